/* main.c - how a helper begins
 * SPDX-License-Identifier: Apache-2.0
 *
 *	exeat-helper keeper|front|dialer UID GID
 *	exeat-helper-tls tls UID GID
 *
 * Executed by the library only; it finds its sockets at fixed descriptors.
 */
#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/base/msg.h"
#include "core/base/num.h"
#include "core/helper/helper.h"
#include "core/proto.h"
#include "core/sys/isolate.h"
#include "core/sys/lacks.h"

/* One message on a socket that nobody reads from here. */
static int send_once(int fd, uint32_t type, const void *body, size_t len,
		     const int *fds, unsigned nfds)
{
	struct chan c;
	int r;

	chan_init(&c, fd, NULL, 0, LIMIT_CHAN_QUEUE);
	r = chan_send(&c, type, body, len, fds, nfds);
	c.fd = -1;
	chan_done(&c);
	return r;
}

int helper_hello(int fd, struct err *err)
{
	cleanup_fd int self = pidfd_open(getpid(), 0);
	uint8_t body[64];
	struct wbuf b = wbuf_make(body, sizeof(body));
	int r;

	if (self < 0)
		return lacks(err, errno, "pidfd_open", "own process",
			     "pidfds (Linux 5.3 or later)");
	wbuf_str(&b, EXEAT_VERSION);
	r = send_once(fd, P_HELLO, body, wbuf_len(&b), &self, 1);
	return r < 0 ? err_sys(err, -r, "greet", "caller") : 0;
}

int helper_fail(int fd, const struct err *err)
{
	struct sbuf body;

	sbuf_init(&body, LIMIT_CHAN_QUEUE);
	err_encode(err, &body);
	/* nobody is left to be told if this fails; the end says enough */
	if (!body.bad)
		(void)send_once(fd, P_ERROR, body.s, body.len, NULL, 0);
	sbuf_done(&body);
	return EXIT_FAILURE;
}

void helper_bye(int fd)
{
	/* as above; then it looks as if this one had been the first to go */
	(void)send_once(fd, P_BYE, NULL, 0, NULL, 0);
}

/* As many descriptors as the user may have: each flow takes two. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	/* at its present limit the gate accepts fewer, and works */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int helper_isolate_gate(const struct helper_ids *ids, struct err *err)
{
	int r;

	raise_descriptors();
	r = isolate_identity(ids->uid, ids->gid, err);
	if (r == 0)
		r = isolate_userns(ids->uid, ids->gid, err);
	if (r == 0)
		r = isolate_pid1(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS,
				 err);
	if (r == 0)
		r = isolate_empty_root(err);
	return r;
}

static void caller_gone_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	(void)event_base_loopbreak(user);
}

struct event_base *helper_loop(int caller_pidfd)
{
	struct event_base *base = event_base_new();
	struct event *gone;

	if (!base)
		return NULL;
	gone = event_new(base, caller_pidfd, EV_READ, caller_gone_cb, base);
	if (!gone || event_add(gone, NULL) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

static bool parse_id(const char *text, unsigned *ret)
{
	uint64_t v;

	if (!num_parse_u64(&text, UINT32_MAX - 1, &v) || *text != '\0')
		return false;
	*ret = (unsigned)v;
	return true;
}

int main(int argc, char *argv[])
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct helper_ids ids;

	/* a vanished peer is an error of the call, not a signal */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	if (argc != 4 || !parse_id(argv[2], &ids.uid) ||
	    !parse_id(argv[3], &ids.gid))
		goto usage;
	for (const struct helper_mode *m = helper_modes; m->name; m++)
		if (strcmp(argv[1], m->name) == 0)
			return m->main(&ids);
usage:
	(void)fputs("exeat-helper: started by exeat, not by hand\n", stderr);
	return 2;
}
