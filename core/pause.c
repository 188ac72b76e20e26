/* pause.c - a session that stands still
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Where we may make groups of version 2, one is made when a session is paused
 * for the first time. The keeper freezes it, each run's child moves what the run
 * has into it (backends/hold.h), and there it stays. Elsewhere the children use
 * SIGSTOP, and watch. (A freezer of version 1 would keep what it froze from dying
 * with its owner: there is no way to kill it.) Each run's own time stands still
 * from the moment that the run does.
 */
#include <errno.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

enum { FILES = 5 };

/* Of the groups to be frozen, as K_PAUSE has them; none: they are stopped. */
static unsigned files_open(struct exeat_session *s, int fds[FILES])
{
	struct err err;
	int n = 0, r;

	if (!s->freezer_tried)
		(void)cgroup_open_freezer(s->id, &s->freezer, &err);
	s->freezer_tried = true;
	if (s->freezer.nplaces == 0)
		return 0;
	/* runs that have groups of version 2 for their limits stay in them */
	r = cgroup_freezer_files(&s->cgroup, fds);
	if (r >= 0) {
		n = r;
		r = cgroup_freezer_files(&s->freezer, fds + n);
	}
	if (r >= 0) {
		n += r;
		r = cgroup_joins(&s->freezer, fds + n, &err);
	}
	if (r >= 0)
		return (unsigned)(n + r);
	while (n > 0)
		fd_close(&fds[--n]);
	return 0;
}

void session_pause_send(struct exeat_session *s, bool pause)
{
	uint8_t body[1] = { pause };
	unsigned nfds = 0;
	int fds[FILES];

	if (s->paused == pause)
		return;
	if (pause)
		nfds = files_open(s, fds);
	s->paused = s->pausing = pause;
	s->resumes += !pause;
	for (struct exeat_run *run = s->runs; !pause && run; run = run->next) {
		run->active_ms = clock_ms();
		due_watch(run);
	}
	session_send(s, HELPER_KEEPER, K_PAUSE, body, 1, fds, nfds);
	while (nfds > 0)
		fd_close(&fds[--nfds]);
}

int exeat_session_pause(struct exeat_session *s, struct exeat_error *error)
{
	int64_t deadline = clock_ms() + LIMIT_PAUSE_MS;
	struct err err;
	int r = error_needs(error, "pause", ERROR_ARGS({ "session", s }));

	if (r < 0)
		return r;
	err_clear(&err);
	if (s->dispatching > 0)
		return session_error(error, &err,
				     err_new(&err, ERR_CONFLICT, "pause", NULL,
					     "called from a callback"));
	if (s->fatal.code != ERR_NONE)
		return session_error(error, &s->fatal, -EIO);
	session_pause_send(s, true);
	alive_ask(s);
	while (r == 0 && s->paused && s->pausing) {
		int64_t left = deadline - clock_ms();

		if (left <= 0) {
			const struct helper *h = alive_silent(s);

			(void)err_new(&err, ERR_TIMEOUT, "pause",
				      h ? h->name : NULL, "%s",
				      h ? "does not answer" :
					  "not every process stands still");
			return session_error(error, &err, -ETIMEDOUT);
		}
		r = exeat_session_dispatch(s, (int)left, error);
	}
	if (r == 0 && !s->paused)
		return session_error(error, &err,
				     err_new(&err, ERR_CONFLICT, "pause", NULL,
					     "a callback let the runs go on"));
	return r;
}

int exeat_session_resume(struct exeat_session *s, struct exeat_error *error)
{
	if (error_needs(error, "resume", ERROR_ARGS({ "session", s })) < 0)
		return -EINVAL;
	session_pause_send(s, false);
	return exeat_session_dispatch(s, 0, error);
}
