/* overdue.c - a run's end waits for front, but not for ever
 * SPDX-License-Identifier: Apache-2.0
 *
 * A run is over when front has told what it refused. Front parses hostile
 * bytes: one that never answers must not keep a caller waiting, and what it
 * saw last is not known. So the session breaks.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/session.h"

static bool waits(const struct exeat_run *run)
{
	return run->phase != PHASE_OVER && run->exited && !run->flushed;
}

static int arm(struct exeat_session *s, int64_t ms)
{
	const struct itimerspec when = {
		.it_value = { ms / 1000, ms % 1000 * 1000000 },
	};

	if (s->overdue < 0) {
		s->overdue = timerfd_create(CLOCK_MONOTONIC,
					    TFD_CLOEXEC | TFD_NONBLOCK);
		if (s->overdue < 0 ||
		    session_watch(s, s->overdue, &s->overdue_source, EPOLLIN,
				  true) < 0)
			return -errno;
	}
	if (timerfd_settime(s->overdue, 0, &when, NULL) < 0)
		return -errno;
	s->overdue_armed = true;
	return 0;
}

void overdue_watch(struct exeat_session *s)
{
	struct err err;

	/* armed already: when it is up, the others are looked at, too */
	if (s->overdue_armed || arm(s, LIMIT_FLUSH_MS) == 0)
		return;
	(void)err_sys(&err, errno, "watch", "timer");
	session_break(s, &err);
}

void overdue_ready(struct exeat_session *s)
{
	const int64_t now = clock_ms();
	int64_t next = INT64_MAX;
	uint64_t times;
	struct err err;

	(void)!read(s->overdue, &times, sizeof(times)); /* only to reset it */
	s->overdue_armed = false;
	for (const struct exeat_run *run = s->runs; run; run = run->next) {
		int64_t left = run->exited_ms + LIMIT_FLUSH_MS - now;

		if (!waits(run))
			continue;
		if (left <= 0) {
			(void)err_new(&err, ERR_TIMEOUT, "session", "front",
				      "does not answer");
			return session_break(s, &err);
		}
		next = left < next ? left : next;
	}
	if (next != INT64_MAX && arm(s, next) < 0) {
		(void)err_sys(&err, errno, "watch", "timer");
		session_break(s, &err);
	}
}
