/* helpers.c - the helpers of a session: started, told, awaited, ended
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The keeper takes longest: it begins first, and isolates itself while the
 * caller goes on. The pairs between all of them are made at the start; the
 * dialer's ends wait in the session until a posture needs it, tls is started
 * with it, by an https:// proxy.
 *
 * The keeper's end is the end of every payload: while one may live, nothing
 * goes on without it. Front and dialer follow, each as soon as it sees the end
 * of a channel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"
#include "core/sys/compat.h"
#include "core/sys/spawn.h"

/* ---- starting ---- */

static const char *const helper_names[HELPERS] = {
	"keeper",
	"front",
	"dialer",
	"tls",
};

enum { HELPER_FDS = 4, TLS_FDS = 3 };

void helpers_init(struct exeat_session *s)
{
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
}

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
	alive_watch(s);
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

	s->over_ms = clock_ms() + (int64_t)s->timeout_ms;
	wbuf_u64(&b, s->timeout_ms);
	session_send(s, HELPER_KEEPER, K_LIFE, body, wbuf_len(&b), NULL, 0);
}

int helpers_open_keeper(struct exeat_session *s, struct err *err)
{
	struct sbuf b;
	bool bad;

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
	bad = b.bad;
	sbuf_done(&b);
	if (bad)
		return err_sys(err, ENOMEM, "encode", "view");
	if (s->timeout_ms)
		send_life(s);
	return 0;
}

int helpers_start_keeper(struct exeat_session *s, int pairs[PAIRS][2],
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

int helpers_start_front(struct exeat_session *s, int pairs[PAIRS][2],
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
		if (r == 0)
			r = upproxy_send(s, err);
		/* its ends are closed now, and the credentials forgotten: it
		 * cannot be started again */
		if (r < 0)
			session_break(s, err);
	}
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

int helpers_open_front(struct exeat_session *s, int audit_fd, struct err *err)
{
	cleanup_fd int own = audit_own(audit_fd);
	struct sbuf b;
	bool bad;

	if (own >= 0)
		audit_fd = own;
	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	sbuf_lstr(&b, s->id);
	sbuf_lstr(&b, s->label ? s->label : "");
	if (!b.bad)
		session_send(s, HELPER_FRONT, F_OPEN, b.s, b.len, &audit_fd,
			     audit_fd >= 0 ? 1 : 0);
	bad = b.bad;
	sbuf_done(&b);
	return bad ? err_sys(err, ENOMEM, "encode", "label") : 0;
}

/* ---- ending ---- */

/*
 * Before P_HELLO the pidfd is of the process that was started, not of the one
 * that it forked to serve: wait until there is a pidfd to kill, or nobody.
 */
static void await_hello(struct helper *h, int64_t deadline)
{
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

/* One that hangs before it has said who it is leads a group of processes that
 * it is alone in, with the one that it may have forked. */
static void kill_helper(const struct helper *h)
{
	if (h->pidfd < 0)
		return;
	if (h->hello || pidfd_send_signal(h->pidfd, SIGKILL, NULL,
					  PIDFD_SIGNAL_PROCESS_GROUP) < 0)
		(void)pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
}

static bool has_ended(const struct helper *h, int64_t deadline)
{
	struct pollfd pfd = { .fd = h->pidfd, .events = POLLIN };
	int64_t left;

	if (h->pidfd < 0)
		return true;
	do {
		left = deadline - clock_ms();
		if (poll(&pfd, 1, left > 0 ? (int)left : 0) > 0)
			return true;
	} while (left > 0);
	return false;
}

void helpers_stop(struct exeat_session *s)
{
	struct helper *keeper = &s->helpers[HELPER_KEEPER];
	const int64_t deadline = clock_ms() + LIMIT_HELLO_MS;

	await_hello(keeper, deadline);
	kill_helper(keeper);
	/* what hangs in the kernel does nothing more, and ends when it can */
	if (s->unended || !keeper->hello)
		(void)has_ended(keeper, clock_ms() + LIMIT_KILL_MS);
	for (unsigned i = 0; i < HELPERS; i++) {
		await_hello(&s->helpers[i], deadline);
		chan_done(&s->helpers[i].chan);
	}
}

void helpers_done(struct exeat_session *s)
{
	int64_t deadline = clock_ms() + LIMIT_LAST_MS;

	for (unsigned i = 0; i < HELPERS; i++) {
		const struct helper *h = &s->helpers[i];

		if (!h->hello || h->hangs || !has_ended(h, deadline))
			kill_helper(h);
	}
	deadline = clock_ms() + LIMIT_KILL_MS;
	for (unsigned i = 0; i < HELPERS; i++) {
		(void)has_ended(&s->helpers[i], deadline);
		fd_close(&s->helpers[i].pidfd);
	}
}
