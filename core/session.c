/* session.c - opening, dispatching and closing a session
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: session.h. Opening is: check the options (nothing is
 * started for a bad one), start the keeper, make the work dir and the view
 * while it isolates itself, start the others, and send each what it needs;
 * the answers come through dispatch.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/backend.h"
#include "core/base/fd.h"
#include "core/error.h"
#include "core/options.h"
#include "core/proto.h"
#include "core/session.h"
#include "core/sys/lacks.h"
#include "core/sys/spawn.h"

enum {
	EVENTS = 32,	   /* handled in one turn */
	MESSAGES = 256,	   /* of one helper, before others get their turn */
	LAST_WORDS = 4096, /* the same, when it or another has ended */
	LAST_MS = 100,	   /* for the ends that follow from one */
};

int session_error(struct exeat_error *error, const struct err *err, int r)
{
	exeat_error_from(error, err);
	return r;
}

void session_break(struct exeat_session *s, const struct err *err)
{
	if (s->fatal.code == ERR_NONE)
		s->fatal = *err;
}

/* on_exit may free any run: after each, from the first. */
static void runs_lose(struct exeat_session *s)
{
	struct exeat_run *run = s->runs;

	while (run) {
		if (run->phase == PHASE_OVER) {
			run = run->next;
			continue;
		}
		run_lost(run, &s->fatal);
		run = s->runs;
	}
}

/* ---- epoll ---- */

int session_watch(struct exeat_session *s, int fd, struct source *source,
		  uint32_t events, bool add)
{
	struct epoll_event e = { .events = events, .data.ptr = source };

	if (epoll_ctl(s->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) <
	    0)
		return -errno;
	return 0;
}

static void helper_broke(struct helper *h, const char *why)
{
	struct err err;

	err_clear(&err);
	(void)err_new(&err, ERR_INTERNAL, "session", h->name, "%s", why);
	session_break(h->session, &err);
}

/*
 * 0: nothing more is there, or `limit` messages were handled: a helper that
 * never stops must not keep us from the others. -errno.
 */
static int helper_read(struct helper *h, int limit)
{
	for (int i = 0; i < limit; i++) {
		struct msg m;
		int got = chan_recv(&h->chan,
				    h->hello ? PROTO_SERVING : PROTO_STARTING,
				    &m);

		if (got <= 0)
			return got;
		session_message(h->session, h, &m);
		msg_done(&m);
	}
	return 0;
}

/*
 * The helpers end with each other: what the first of them said about it may
 * still be in its channel when another one's end is seen.
 */
void session_hear(struct exeat_session *s)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		if (!h->ended && !h->gone && h->chan.fd >= 0)
			h->gone = helper_read(h, LAST_WORDS) < 0;
	}
}

/*
 * The first of them to end, when this one's end is seen. Who follows another
 * one says so; so it is the one that says nothing, whose end is there already,
 * or is on its way.
 */
static struct helper *first_to_end(struct helper *seen)
{
	struct exeat_session *s = seen->session;
	int64_t deadline = clock_ms() + LAST_MS;

	while (seen->said_bye) {
		struct pollfd alive[HELPERS];
		int64_t left = deadline - clock_ms();
		nfds_t n = 0;

		for (unsigned i = 0; i < HELPERS; i++) {
			struct helper *h = &s->helpers[i];

			if (h->gone && !h->said_bye)
				return h;
			if (!h->gone && !h->ended && h->chan.fd >= 0)
				alive[n++].fd = h->chan.fd;
		}
		for (nfds_t i = 0; i < n; i++)
			alive[i].events = 0; /* the end alone */
		if (n == 0 || left <= 0 || poll(alive, n, (int)left) <= 0)
			break;
		session_hear(s);
	}
	return seen;
}

static void helper_ended(struct helper *h, const char *why)
{
	if (h->ended)
		return;
	h->ended = true;
	(void)epoll_ctl(h->session->epoll, EPOLL_CTL_DEL, h->chan.fd, NULL);
	session_hear(h->session);
	if (h->session->fatal.code == ERR_NONE)
		helper_broke(first_to_end(h), why);
}

/* Watch for room only while there is something to send. */
static void helper_watch(struct helper *h)
{
	bool writing = chan_wants_write(&h->chan);

	if (writing == h->writing)
		return;
	h->writing = writing;
	(void)session_watch(h->session, h->chan.fd, &h->chan_source,
			    EPOLLIN | (writing ? EPOLLOUT : 0), false);
}

void session_send(struct exeat_session *s, unsigned helper, uint32_t type,
		  const void *body, size_t len, const int *fds, unsigned nfds)
{
	struct helper *h = &s->helpers[helper];
	int r;

	if (s->fatal.code != ERR_NONE)
		return;
	r = chan_send(&h->chan, type, body, len, fds, nfds);
	if (r == 0)
		return helper_watch(h);
	/*
	 * The runs end in the next dispatch, for which the descriptor becomes
	 * readable: a callback must not run under exeat_run_start().
	 */
	if (r != -EPIPE)
		helper_broke(h, strerror(-r));
	(void)shutdown(h->chan.fd, SHUT_RDWR);
}

static void chan_ready(struct helper *h, uint32_t events, int limit)
{
	int r = 0;

	if (h->ended)
		return;
	if (events & EPOLLOUT)
		r = chan_flush(&h->chan);
	if (r == 0)
		r = helper_read(h, limit);
	if (r == 0)
		return helper_watch(h);
	helper_ended(h, r == -EPIPE ? "ended unexpectedly" : strerror(-r));
}

static void pidfd_ready(struct helper *h)
{
	(void)epoll_ctl(h->session->epoll, EPOLL_CTL_DEL, h->pidfd, NULL);
	/* its last words are still in the channel */
	chan_ready(h, EPOLLIN, LAST_WORDS);
	if (h->session->fatal.code == ERR_NONE)
		helper_ended(h, "ended unexpectedly");
}

int exeat_session_dispatch(struct exeat_session *s, int timeout_ms,
			   struct exeat_error *error)
{
	struct epoll_event events[EVENTS];
	int n;

	if (error_needs(error, "dispatch", ERROR_ARGS({ "session", s })) < 0 ||
	    error_timeout(error, "dispatch", timeout_ms) < 0)
		return -EINVAL;
	if (s->fatal.code != ERR_NONE)
		timeout_ms = 0;
	n = epoll_wait(s->epoll, events, EVENTS, timeout_ms);
	s->dispatching++;
	for (int i = 0; i < n; i++) {
		struct source *source = events[i].data.ptr;

		switch (source->kind) {
		case SOURCE_CHAN:
			chan_ready(source->owner, events[i].events, MESSAGES);
			break;
		case SOURCE_PIDFD:
			pidfd_ready(source->owner);
			break;
		case SOURCE_DUE:
			due_ready(source->owner);
			break;
		case SOURCE_STREAM:
			stream_ready(source->owner);
			break;
		case SOURCE_RESOLV:
			resolv_watch_ready(source->owner);
			break;
		}
	}
	if (s->fatal.code != ERR_NONE)
		runs_lose(s);
	if (--s->dispatching == 0)
		runs_bury(s);
	if (s->fatal.code != ERR_NONE)
		return session_error(error, &s->fatal, -EIO);
	return 0;
}

int exeat_session_fd(const struct exeat_session *s)
{
	return s ? s->epoll : -1;
}

/* ---- opening ---- */

/* The keeper removes it if we are killed. */
static int work_fresh(struct exeat_session *s, struct err *err)
{
	const char *name;
	cleanup_fd int parent = -1;
	uint8_t body[64];
	struct wbuf b = wbuf_make(body, sizeof(body));
	int fds[2], r = workdir_fresh(&s->identity, &s->work, err);

	if (r < 0)
		return r;
	parent = workdir_parent(&s->work, &name);
	if (parent < 0)
		return err_sys(err, -parent, "open", "%s", s->work.place);
	fds[0] = parent;
	fds[1] = s->work.lock;
	wbuf_str(&b, name);
	session_send(s, HELPER_KEEPER, K_FRESH, body, wbuf_len(&b), fds, 2);
	return 0;
}

/* An overlay, if the keeper may make one and nobody else's files are in it. */
static int work_from_snapshot(struct exeat_session *s, struct err *err)
{
	const struct snapshot *from = &s->snapshot;
	char *path = s->work.path;
	struct stat st;
	struct err why;
	int r;

	workdir_init(&s->work);
	r = work_fresh(s, err);
	if (r < 0) {
		free(path);
		return r;
	}
	free(s->work.path);
	s->work.path = path;
	s->work.kind = WORKDIR_OVERLAY;
	if (fstat(from->tree, &st) == 0 && st.st_uid == s->identity.host_uid &&
	    workmount_open(s, from->tree_path, &why) == 0)
		return 0;
	r = s->fatal.code != ERR_NONE ? -EIO : 0;
	if (r < 0)
		*err = s->fatal;
	if (r == 0 && s->disk_bytes)
		r = workmount_open(s, NULL, err);
	return r == 0 ? snapshot_copy(from, &s->identity, &s->work, err) : r;
}

static int work_open(struct exeat_session *s,
		     const struct exeat_session_options *o, struct err *err)
{
	int r;

	if (s->snapshot.path)
		return work_from_snapshot(s, err);
	if (!o->host_work_dir) {
		r = work_fresh(s, err);
		if (r == 0 && s->disk_bytes) {
			r = workmount_open(s, NULL, err);
			s->work.kind = WORKDIR_TMPFS;
		}
		return r;
	}
	r = workdir_populate(&s->work, &s->identity, err);
	return r < 0 ? r : workdir_find_sockets(&s->work, err);
}

static int view_open(struct exeat_session *s,
		     const struct exeat_session_options *o, struct err *err)
{
	cleanup_free char *ca = s->ca.inside ? ca_bundle(&s->ca) : NULL;
	const struct viewplan_request request = {
		.id = &s->identity,
		.work = &s->work,
		.read_only_paths = o->read_only_paths,
		.read_write_paths = o->read_write_paths,
		.extra_files = (const char *const *)s->preset_files.texts,
		.governing = &s->governing,
		.hidden = &s->hidden,
		.ca = ca,
	};

	if (s->ca.inside && !ca)
		return err_sys(err, ENOMEM, "make", VIEWPLAN_CA);
	return viewplan_make(&request, &s->view, err);
}

static int disk_take(struct exeat_session *s,
		     const struct exeat_session_options *o, struct err *err)
{
	int r;

	s->disk_bytes = o->disk_bytes;
	if (!o->disk_bytes || !o->host_work_dir ||
	    (o->limits_best_effort & EXEAT_LIMIT_DISK))
		return 0;
	r = err_new(err, ERR_UNAVAILABLE, "limit", "disk",
		    "nobody keeps it for a folder of the host's");
	err_remedy(err,
		   "leave the work dir to the session, which makes a fresh "
		   "one, or ask for best effort (SIZE:best-effort): then "
		   "no file gets larger");
	return r;
}

static int options_take(struct exeat_session *s,
			const struct exeat_session_options *o, struct err *err)
{
	const char *backend = o->backend ? o->backend : "userns";
	const struct backend *found = backend_find(backend);

	if (!found)
		return err_new(err, ERR_INVALID, "backend", backend,
			       "no such backend; there are: %s",
			       backend_names());
	s->timeout_ms = (uint64_t)o->timeout_ms;
	s->backend = found->name;
	s->work_dir_sockets = o->work_dir_sockets != 0;
	s->with_credentials = o->with_credentials != 0;
	s->proxy_env = o->proxy_env != 0;
	s->on_event = o->on_event;
	s->user_data = o->user_data;
	if (list_copy(&s->env, o->env) < 0)
		return err_sys(err, ENOMEM, "copy", "env");
	if (o->label) {
		s->label = strdup(o->label);
		if (!s->label)
			return err_sys(err, ENOMEM, "copy", "label");
	}
	if (o->snapshot_dir) {
		s->snapshot_dir = strdup(o->snapshot_dir);
		if (!s->snapshot_dir)
			return err_sys(err, ENOMEM, "copy", "snapshot_dir");
	}
	return disk_take(s, o, err);
}

/* The files that say what a run may do, and the one that says what it did. */
static int governs_open(struct exeat_session *s,
			const struct exeat_session_options *o, struct err *err)
{
	const char *const ca[] = { o->ca_file, NULL };
	struct governs g;
	/* on the host nothing is a run's where a snapshot will be seen */
	int r = governs_init(&g, s->identity.host_uid,
			     s->snapshot.path ? NULL : s->work.path,
			     o->read_write_paths, err);

	if (r == 0)
		r = governs_find(&g, o->governing_files, &s->governing, err);
	if (r == 0)
		r = governs_find(&g, ca, &s->governing, err);
	if (r == 0)
		r = governs_find(&g, o->hidden_files, &s->hidden, err);
	if (r == 0 && o->audit_file && o->audit_fd >= 0)
		r = err_new(err, ERR_INVALID, "audit_file", o->audit_file,
			    "audit_fd is given, too");
	else if (r == 0 && o->audit_file)
		r = governs_open_audit(&g, o->audit_file, &s->audit, err);
	else if (r == 0)
		r = governs_check_audit(&g, o->audit_fd, err);
	governs_done(&g);
	return r;
}

static int snapshot_take(struct exeat_session *s,
			 const struct exeat_session_options *o, struct err *err)
{
	int r;

	if (o->host_work_dir)
		return err_new(err, ERR_INVALID, "session", "snapshot",
			       "host_work_dir is given, too");
	r = snapshot_find(o->snapshot_dir, o->snapshot, &s->snapshot, err);
	if (r < 0)
		return r;
	s->work.path = strdup(s->snapshot.path);
	return s->work.path ? 0 : err_sys(err, ENOMEM, "copy", "path");
}

/* What the caller asks for, as far as it can be told without making it. */
static int session_check(struct exeat_session *s,
			 const struct exeat_session_options *o, struct err *err)
{
	int r = options_take(s, o, err);

	/* presets trust no setting that lies in the work dir: it comes first */
	if (r == 0 && o->host_work_dir)
		r = workdir_open(o->host_work_dir, &s->work, err);
	if (r == 0 && o->snapshot)
		r = snapshot_take(s, o, err);
	if (r == 0)
		r = network_open(s, o, err);
	if (r == 0)
		r = environ_check(s, err);
	if (r == 0)
		r = helper_path(o->helper_path, s->helper_path,
				sizeof(s->helper_path), err);
	if (r == 0 && s->proxy.kind == UPPROXY_HTTPS)
		r = helper_tls_check(s->helper_path, err);
	if (r == 0)
		r = identity_find(s->snapshot.path ? s->snapshot.tree :
						     s->work.fd,
				  o->user, &s->identity, err);
	if (r == 0)
		r = governs_open(s, o, err);
	if (r == 0)
		r = limits_open(s, o, err);
	return r;
}

static int session_build(struct exeat_session *s,
			 const struct exeat_session_options *o,
			 int pairs[PAIRS][2], struct err *err)
{
	int r = session_check(s, o, err);

	if (r == 0)
		r = due_open(s, err);
	if (r == 0)
		r = helpers_start_keeper(s, pairs, err);
	if (r == 0)
		r = work_open(s, o, err);
	if (r == 0)
		r = view_open(s, o, err);
	if (r == 0)
		r = helpers_open_keeper(s, err);
	if (r == 0)
		r = helpers_start_front(s, pairs, err);
	if (r == 0)
		r = helpers_open_front(
			s, s->audit >= 0 ? s->audit : o->audit_fd, err);
	if (r == 0 && s->settings.network.has_mode &&
	    s->settings.network.mode != POLICY_BLOCKED)
		r = session_need_dialer(s, err);
	/* the keeper needs the folder, not yet what is in it */
	if (r == 0 && !o->host_work_dir)
		r = workdir_populate(&s->work, &s->identity, err);
	return r;
}

static int session_start(struct exeat_session *s,
			 const struct exeat_session_options *o, struct err *err)
{
	int pairs[PAIRS][2], r;

	memset(pairs, -1, sizeof(pairs));
	r = session_build(s, o, pairs, err);
	for (int i = 0; i < PAIRS; i++) {
		fd_close(&pairs[i][0]);
		fd_close(&pairs[i][1]);
	}
	return r;
}

int session_id_make(char ret[SESSION_ID_SIZE])
{
	uint8_t random[(SESSION_ID_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static struct exeat_session *session_new(void)
{
	struct exeat_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	workdir_init(&s->work);
	snapshot_init(&s->snapshot);
	helpers_init(s);
	s->audit = -1;
	s->resolv.fd = -1;
	s->resolv.source = (struct source){ SOURCE_RESOLV, s };
	s->due = -1;
	s->due_ms = INT64_MAX;
	s->due_source = (struct source){ SOURCE_DUE, s };
	s->self = pidfd_open(getpid(), 0);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || s->self < 0 || session_id_make(s->id) < 0) {
		fd_close(&s->epoll);
		fd_close(&s->self);
		free(s);
		return NULL;
	}
	return s;
}

int exeat_session_begin(const struct exeat_session_options *options,
			struct exeat_session **ret, struct exeat_error *error)
{
	struct exeat_session_options o = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_session *s;
	struct err err;
	int r;

	if (error_needs(error, "session", ERROR_ARGS({ "ret", ret })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "session", &err);
	if (r == 0)
		r = session_check_options(&o, &err);
	if (r < 0)
		return session_error(error, &err, r);
	s = session_new();
	if (!s) {
		r = lacks(&err, errno ? errno : ENOMEM, "make", "session",
			  "pidfds (Linux 5.3 or later)");
		return session_error(error, &err, r);
	}
	r = session_start(s, &o, &err);
	if (r < 0) {
		exeat_session_close(s);
		return session_error(error, &err, r);
	}
	*ret = s;
	return 0;
}

int exeat_session_open(const struct exeat_session_options *options,
		       struct exeat_session **ret, struct exeat_error *error)
{
	struct exeat_session *s = NULL;
	int r = error_needs(error, "session", ERROR_ARGS({ "ret", ret }));

	if (r == 0)
		r = exeat_session_begin(options, &s, error);
	if (r < 0)
		return r;
	assert(s);
	while (r == 0 && !(s->opened && s->helpers[HELPER_FRONT].hello))
		r = exeat_session_dispatch(s, -1, error);
	if (r < 0) {
		exeat_session_close(s);
		return r;
	}
	posture_make_own(s);
	*ret = s;
	return 0;
}

/* ---- closing ---- */

void exeat_session_close(struct exeat_session *s)
{
	if (!s)
		return;
	resolv_watch_stop(s);
	helpers_stop(s);
	/* no payload lives: the helpers end while their traces are cleared */
	workdir_close(&s->work);
	snapshot_done(&s->snapshot);
	free(s->snapshot_dir);
	while (s->runs)
		exeat_run_free(s->runs);
	runs_bury(s);
	limits_close(s);
	network_close(s);
	viewplan_done(&s->view);
	identity_done(&s->identity);
	list_free(&s->env);
	list_free(&s->governing);
	list_free(&s->hidden);
	fd_close(&s->audit);
	for (int i = 0; i < 3; i++)
		fd_close(&s->dialer_fds[i]);
	fd_close(&s->dialer_own);
	helpers_done(s);
	fd_close(&s->due);
	fd_close(&s->self);
	fd_close(&s->epoll);
	free(s->label);
	free(s);
}

/* ---- what a session is ---- */

const char *exeat_session_id(const struct exeat_session *s)
{
	return s ? s->id : NULL;
}

const char *exeat_session_work_dir(const struct exeat_session *s)
{
	return s ? s->work.path : NULL;
}

int exeat_session_work_dir_is_fresh(const struct exeat_session *s)
{
	return s && s->work.fresh;
}

const char *exeat_session_work_dir_kind(const struct exeat_session *s)
{
	static const char *const kinds[] = {
		[WORKDIR_KEPT] = "kept",       [WORKDIR_FRESH] = "fresh",
		[WORKDIR_TMPFS] = "tmpfs",     [WORKDIR_OVERLAY] = "overlay",
		[WORKDIR_REFLINK] = "reflink", [WORKDIR_COPY] = "copy",
	};

	return s ? kinds[s->work.kind] : NULL;
}

const char *exeat_session_backend(const struct exeat_session *s)
{
	return s ? s->backend : NULL;
}
