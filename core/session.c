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
	CLOSE_MS = 2000,   /* front may finish its audit so long */
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
static void last_words(struct exeat_session *s)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		if (!h->ended && h->chan.fd >= 0)
			(void)helper_read(h, LAST_WORDS);
	}
}

static void helper_ended(struct helper *h, const char *why)
{
	if (h->ended)
		return;
	h->ended = true;
	(void)epoll_ctl(h->session->epoll, EPOLL_CTL_DEL, h->chan.fd, NULL);
	last_words(h->session);
	helper_broke(h, why);
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
	bool broken = s->fatal.code != ERR_NONE;
	int n = epoll_wait(s->epoll, events, EVENTS, broken ? 0 : timeout_ms);

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
			stream_ready(source->owner, events[i].events);
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
	return s->epoll;
}

/* ---- opening ---- */

static const char *const helper_names[HELPERS] = {
	"keeper",
	"front",
	"dialer",
	"tls",
};

enum { HELPER_FDS = 4, TLS_FDS = 3 };

static int helper_start_at(struct exeat_session *s, unsigned which,
			   const char *path, const int *fds, unsigned nfds,
			   int take_own, struct err *err)
{
	struct helper *h = &s->helpers[which];
	char uid[16], gid[16];
	char *argv[] = {
		(char *)(uintptr_t) "exeat-helper",
		(char *)(uintptr_t)helper_names[which],
		uid,
		gid,
		NULL,
	};
	int r;

	chan_init(&h->chan, take_own, proto_caller_tables[which].rules,
		  proto_caller_tables[which].nrules, LIMIT_CHAN_QUEUE);
	(void)snprintf(uid, sizeof(uid), "%u", s->identity.host_uid);
	(void)snprintf(gid, sizeof(gid), "%u", s->identity.host_gid);
	r = spawn_helper(path, argv, fds, nfds, 0, &h->pidfd, err);
	if (r < 0)
		return r;
	r = session_watch(s, h->chan.fd, &h->chan_source, EPOLLIN, true);
	return r < 0 ? err_sys(err, -r, "watch", "%s", h->name) : 0;
}

static int helper_start(struct exeat_session *s, unsigned which,
			const int fds[HELPER_FDS], int take_own,
			struct err *err)
{
	return helper_start_at(s, which, s->helper_path, fds, HELPER_FDS,
			       take_own, err);
}

/*
 * The pairs between caller and helpers, and between helpers. All are made at
 * the start; the dialer's ends wait in the session until a posture needs it.
 */
enum { PAIR_CK, PAIR_CF, PAIR_CD, PAIR_KF, PAIR_KD, PAIR_FD, PAIRS };

static int pairs_make(int pairs[PAIRS][2], struct err *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < PAIRS; i++)
		r = chan_pair(pairs[i]);
	return r < 0 ? err_sys(err, -r, "socketpair", "helpers") : 0;
}

static void send_life(struct exeat_session *s)
{
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));

	wbuf_u64(&b, s->timeout_ms);
	session_send(s, HELPER_KEEPER, K_LIFE, body, wbuf_len(&b), NULL, 0);
}

static int send_open(struct exeat_session *s, struct err *err)
{
	struct sbuf b;

	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	sbuf_u32(&b, s->identity.uid);
	sbuf_u32(&b, s->identity.gid);
	sbuf_u8(&b, s->work_dir_sockets);
	sbuf_lstr(&b, s->backend);
	sbuf_lstr(&b, VIEWPLAN_HOSTNAME);
	view_encode(&s->view.view, &b);
	if (!b.bad)
		session_send(s, HELPER_KEEPER, K_OPEN, b.s, b.len, s->view.fds,
			     s->view.nfds);
	sbuf_done(&b);
	if (b.bad)
		return err_sys(err, ENOMEM, "encode", "view");
	if (s->timeout_ms)
		send_life(s);
	return 0;
}

/* It takes longest: it begins first, and isolates itself meanwhile. */
static int keeper_start(struct exeat_session *s, int pairs[PAIRS][2],
			struct err *err)
{
	int r = pairs_make(pairs, err);
	const int fds[] = { pairs[PAIR_CK][1], pairs[PAIR_KF][0],
			    pairs[PAIR_KD][0], s->self };

	if (r < 0)
		return r;
	return helper_start(s, HELPER_KEEPER, fds, fd_steal(&pairs[PAIR_CK][0]),
			    err);
}

static int front_start(struct exeat_session *s, int pairs[PAIRS][2],
		       struct err *err)
{
	const int fds[] = { pairs[PAIR_CF][1], pairs[PAIR_KF][1],
			    pairs[PAIR_FD][0], s->self };
	int r = helper_start(s, HELPER_FRONT, fds, fd_steal(&pairs[PAIR_CF][0]),
			     err);

	s->dialer_fds[0] = fd_steal(&pairs[PAIR_CD][1]);
	s->dialer_fds[1] = fd_steal(&pairs[PAIR_KD][1]);
	s->dialer_fds[2] = fd_steal(&pairs[PAIR_FD][1]);
	s->dialer_own = fd_steal(&pairs[PAIR_CD][0]);
	return r;
}

int session_need_tls(struct exeat_session *s, int *ret_fd, struct err *err)
{
	char path[sizeof(s->helper_path) + sizeof(HELPER_TLS_SUFFIX)];
	int own[2] = { -1, -1 }, dialer[2] = { -1, -1 };
	int r = chan_pair(own);

	if (r == 0)
		r = chan_pair(dialer);
	if (r < 0) {
		r = err_sys(err, -r, "socketpair", "tls");
	} else {
		const int fds[TLS_FDS] = { own[1], dialer[1], s->self };

		(void)snprintf(path, sizeof(path), "%s" HELPER_TLS_SUFFIX,
			       s->helper_path);
		r = helper_start_at(s, HELPER_TLS, path, fds, TLS_FDS,
				    fd_steal(&own[0]), err);
	}
	if (r == 0)
		*ret_fd = fd_steal(&dialer[0]);
	for (int i = 0; i < 2; i++) {
		fd_close(&own[i]);
		fd_close(&dialer[i]);
	}
	return r;
}

int session_need_dialer(struct exeat_session *s, struct err *err)
{
	const int fds[] = { s->dialer_fds[0], s->dialer_fds[1],
			    s->dialer_fds[2], s->self };
	struct sbuf b;
	int r;

	if (s->dialer_own < 0)
		return 0;
	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	r = resolv_encode(&b, false, err);
	if (r == 0) {
		r = helper_start(s, HELPER_DIALER, fds,
				 fd_steal(&s->dialer_own), err);
		for (int i = 0; i < 3; i++)
			fd_close(&s->dialer_fds[i]);
		/* its ends are closed now: keeper and front end with it */
		if (r < 0)
			session_break(s, err);
	}
	if (r == 0)
		r = upproxy_send(s, err);
	if (r == 0) {
		session_send(s, HELPER_DIALER, D_OPEN, b.s, b.len, NULL, 0);
		resolv_watch_start(s, &b);
	}
	sbuf_done(&b);
	return r;
}

/*
 * A pipe or a terminal opened once more, not to wait for its reader: front
 * would, and with it every connection. The flag belongs to what was opened,
 * which the caller may share with others. -1: it stays as it is.
 */
static int audit_own(int fd)
{
	struct stat st;
	char proc[64];

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return -1;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return open(proc,
		    O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int send_front(struct exeat_session *s, int audit_fd, struct err *err)
{
	cleanup_fd int own = audit_own(audit_fd);
	struct sbuf b;

	if (own >= 0)
		audit_fd = own;
	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	sbuf_lstr(&b, s->id);
	sbuf_lstr(&b, s->label ? s->label : "");
	if (!b.bad)
		session_send(s, HELPER_FRONT, F_OPEN, b.s, b.len, &audit_fd,
			     audit_fd >= 0 ? 1 : 0);
	sbuf_done(&b);
	return b.bad ? err_sys(err, ENOMEM, "encode", "label") : 0;
}

static int work_open(struct exeat_session *s,
		     const struct exeat_session_options *o, struct err *err)
{
	int r;

	if (!o->host_work_dir)
		return workdir_fresh(&s->identity, &s->work, err);
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

static int options_take(struct exeat_session *s,
			const struct exeat_session_options *o, struct err *err)
{
	const char *backend = o->backend ? o->backend : "userns";
	const struct backend *found = backend_find(backend);

	if (!found)
		return err_new(err, ERR_INVALID, "backend", backend,
			       "no such backend; there are: %s",
			       backend_names());
	if (o->timeout_ms < 0)
		return err_new(err, ERR_INVALID, "session", "timeout",
			       "negative");
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
	return 0;
}

/* The files that say what a run may do, and the one that says what it did. */
static int governs_open(struct exeat_session *s,
			const struct exeat_session_options *o, struct err *err)
{
	const char *const ca[] = { o->ca_file, NULL };
	struct governs g;
	int r = governs_init(&g, s->identity.host_uid, s->work.path,
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

/* What the caller asks for, as far as it can be told without making it. */
static int session_check(struct exeat_session *s,
			 const struct exeat_session_options *o, struct err *err)
{
	int r = options_take(s, o, err);

	/* presets trust no setting that lies in the work dir: it comes first */
	if (r == 0 && o->host_work_dir)
		r = workdir_open(o->host_work_dir, &s->work, err);
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
		r = identity_find(s->work.fd, o->user, &s->identity, err);
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
		r = keeper_start(s, pairs, err);
	if (r == 0)
		r = work_open(s, o, err);
	if (r == 0)
		r = view_open(s, o, err);
	if (r == 0)
		r = send_open(s, err);
	if (r == 0)
		r = front_start(s, pairs, err);
	if (r == 0)
		r = send_front(s, s->audit >= 0 ? s->audit : o->audit_fd, err);
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

static struct exeat_session *session_new(void)
{
	struct exeat_session *s = calloc(1, sizeof(*s));
	uint8_t random[8];

	if (!s)
		return NULL;
	workdir_init(&s->work);
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		*h = (struct helper){
			.session = s,
			.name = helper_names[i],
			.chan = { .fd = -1 },
			.pidfd = -1,
			.chan_source = { SOURCE_CHAN, h },
			.pid_source = { SOURCE_PIDFD, h },
		};
	}
	for (int i = 0; i < 3; i++)
		s->dialer_fds[i] = -1;
	s->dialer_own = -1;
	s->audit = -1;
	s->resolv.fd = -1;
	s->resolv.source = (struct source){ SOURCE_RESOLV, s };
	s->due = -1;
	s->due_ms = INT64_MAX;
	s->due_source = (struct source){ SOURCE_DUE, s };
	s->self = pidfd_open(getpid(), 0);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || s->self < 0 ||
	    getrandom(random, sizeof(random), 0) != sizeof(random)) {
		fd_close(&s->epoll);
		fd_close(&s->self);
		free(s);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(s->id + 2 * i, 3, "%02x", random[i]);
	return s;
}

int exeat_session_begin(const struct exeat_session_options *options,
			struct exeat_session **ret, struct exeat_error *error)
{
	struct exeat_session_options o = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_session *s;
	struct err err;
	int r;

	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "session", &err);
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
	int r = exeat_session_begin(options, &s, error);

	if (r < 0)
		return r;
	assert(s);
	while (r == 0 && !(s->opened && s->helpers[HELPER_FRONT].hello))
		r = exeat_session_dispatch(s, -1, error);
	if (r < 0) {
		exeat_session_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* ---- closing ---- */

/*
 * Before P_HELLO the pidfd is of the process that was started, not of the one
 * that it forked to serve: wait until there is a pidfd to kill, or nobody.
 */
static void await_hello(struct helper *h)
{
	int64_t deadline = clock_ms() + CLOSE_MS;

	while (!h->hello && h->chan.fd >= 0) {
		struct pollfd pfd = { .fd = h->chan.fd, .events = POLLIN };
		int64_t left = deadline - clock_ms();
		struct msg m;
		int r;

		if (left < 0)
			return;
		(void)poll(&pfd, 1, (int)left);
		r = chan_recv(&h->chan, 0, &m);
		if (r < 0)
			return;
		if (r == 0)
			continue;
		if (m.type == P_HELLO) {
			fd_close(&h->pidfd);
			h->pidfd = fd_steal(&m.fds[0]);
			h->hello = true;
		}
		msg_done(&m);
	}
}

static void await_end(const struct helper *h, int timeout_ms)
{
	struct pollfd pfd = { .fd = h->pidfd, .events = POLLIN };

	if (h->pidfd < 0)
		return;
	if (poll(&pfd, 1, timeout_ms) == 0) {
		(void)pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
		(void)poll(&pfd, 1, -1);
	}
}

/*
 * The keeper's end is the end of every payload: while one may live, nothing
 * goes on without it. Front and dialer follow, each as soon as it sees the end
 * of a channel.
 */
static void helpers_stop(struct exeat_session *s)
{
	struct helper *keeper = &s->helpers[HELPER_KEEPER];

	await_hello(keeper);
	if (keeper->pidfd >= 0)
		(void)pidfd_send_signal(keeper->pidfd, SIGKILL, NULL, 0);
	if (s->unended || !keeper->hello)
		await_end(keeper, keeper->hello ? -1 : 0);
	for (unsigned i = 0; i < HELPERS; i++) {
		await_hello(&s->helpers[i]);
		chan_done(&s->helpers[i].chan);
	}
}

static void helpers_done(struct exeat_session *s)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		await_end(&s->helpers[i], CLOSE_MS);
		fd_close(&s->helpers[i].pidfd);
	}
}

void exeat_session_close(struct exeat_session *s)
{
	if (!s)
		return;
	resolv_watch_stop(s);
	helpers_stop(s);
	/* no payload lives: the helpers end while their traces are cleared */
	workdir_close(&s->work);
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
	return s->id;
}

const char *exeat_session_work_dir(const struct exeat_session *s)
{
	return s->work.path;
}

int exeat_session_work_dir_is_fresh(const struct exeat_session *s)
{
	return s->work.fresh;
}

const char *exeat_session_backend(const struct exeat_session *s)
{
	return s->backend;
}
