/* keeper_fresh.c - the fresh work dir of a caller who was killed
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A caller who closes his session removes its work dir when we have gone. One
 * who was killed cannot: then it is ours to remove, after every process of the
 * session has ended, by the descriptor of the folder that it is in. Its lock is
 * the caller's and ours, so that no other session takes it for a dead one's
 * before we have done it.
 *
 * Where that folder is another user's (root's, who is not the payload) only
 * what is in the work dir goes. Its name and its lock stay, until a session of
 * that user finds them.
 */
#include "core/helper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/treeremove.h"

enum { CALLER_MS = 100 };

void keeper_fresh(struct keeper *k, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	const char *name = rbuf_str(&r);
	struct err err;

	if (!name || r.bad || rbuf_left(&r) > 0 || strchr(name, '/') ||
	    strlen(name) >= sizeof(k->fresh_name) || k->fresh_in >= 0) {
		err_clear(&err);
		(void)err_new(&err, ERR_INTERNAL, "keep work dir", NULL,
			      "malformed message, or a second one");
		return keeper_fatal(k, &err);
	}
	memcpy(k->fresh_name, name, strlen(name) + 1);
	k->fresh_in = fd_steal(&m->fds[0]);
	k->fresh_lock = fd_steal(&m->fds[1]);
}

/*
 * Has he ended, or executed something else? He who closes his session kills us.
 * Another helper may have seen his end before us, and ended, and we by that.
 */
static bool caller_has_gone(const struct keeper *k)
{
	struct pollfd p[] = {
		{ .fd = k->caller.chan.fd, .events = 0 }, /* POLLHUP */
		{ .fd = KEEPER_FD_CALLER_PID, .events = POLLIN },
	};

	return poll(p, sizeof(p) / sizeof(p[0]), CALLER_MS) > 0;
}

/* Every process in the pid namespace: false if one does not die. */
static bool kill_everybody(void)
{
	const int64_t deadline = clock_ms() + LIMIT_KILL_MS;

	(void)kill(-1, SIGKILL); /* ESRCH: nobody is there */
	while (clock_ms() < deadline) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid == 0)
			(void)poll(NULL, 0, 1);
	}
	return false;
}

void keeper_fresh_remove(struct keeper *k)
{
	char lock[sizeof(k->fresh_name) + sizeof(".lock")];

	if (k->fresh_in < 0 || !kill_everybody() || !caller_has_gone(k) ||
	    tree_remove(k->fresh_in, k->fresh_name, 0) < 0)
		return;
	(void)snprintf(lock, sizeof(lock), "%s.lock", k->fresh_name);
	(void)unlinkat(k->fresh_in, lock, 0); /* gone is what we want */
}
