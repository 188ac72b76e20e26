/* pause.c - a session that stands still
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every process of every run is stopped by SIGSTOP to all of its pid namespace
 * at once: what is being forked meanwhile is stopped with its parent. (A cgroup
 * freezer of version 1 would keep what it froze from dying with its owner.)
 * The runs' own times stand still with them.
 */
#include <errno.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

void session_pause_send(struct exeat_session *s, bool pause)
{
	uint8_t body[1] = { pause };

	if (s->paused == pause)
		return;
	s->paused = s->pausing = pause;
	for (struct exeat_run *run = s->runs; !pause && run; run = run->next) {
		run->active_ms = clock_ms();
		due_watch(run);
	}
	session_send(s, HELPER_KEEPER, K_PAUSE, body, 1, NULL, 0);
}

int exeat_session_pause(struct exeat_session *s, struct exeat_error *error)
{
	int64_t deadline = clock_ms() + LIMIT_PAUSE_MS;
	struct err err;
	int r = 0;

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
	return r;
}

int exeat_session_resume(struct exeat_session *s, struct exeat_error *error)
{
	session_pause_send(s, false);
	return exeat_session_dispatch(s, 0, error);
}
