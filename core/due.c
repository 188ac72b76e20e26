/* due.c - what is due at a time of its own: one timer for all runs
 * SPDX-License-Identifier: Apache-2.0
 *
 * A run is over when front has told what it refused. Front parses hostile
 * bytes: one that never answers must not keep a caller waiting, and what it
 * saw last is not known. So the session breaks. But its answer stands behind
 * all that it said before, which a caller who looks seldom has not read.
 *
 * A run that says nothing for its idle time is ended. What it has said and
 * nobody has taken yet counts: a caller that was away for long must not blame
 * the command.
 *
 * Helpers that say nothing: alive.c.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

enum { FLUSH_TRIES = LIMIT_SILENT_MS / LIMIT_FLUSH_MS };

/* By clock_ms(); INT64_MAX: nothing is. */
static int64_t run_due(const struct exeat_run *run)
{
	if (run->phase == PHASE_OVER)
		return INT64_MAX;
	if (run->exited)
		return run->flushed ? INT64_MAX :
				      run->asked_ms + LIMIT_FLUSH_MS;
	if (run->idle_ms == 0 || run->ending || run->session->paused)
		return INT64_MAX;
	return run->idle_ms > INT64_MAX - run->active_ms ?
		       INT64_MAX :
		       run->active_ms + run->idle_ms;
}

int due_open(struct exeat_session *s, struct err *err)
{
	int r = 0;

	s->due = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->due < 0)
		r = -errno;
	else
		r = session_watch(s, s->due, &s->due_source, EPOLLIN, true);
	return r < 0 ? err_sys(err, -r, "make", "timer") : 0;
}

void due_at(struct exeat_session *s, int64_t due_ms)
{
	const int64_t now = clock_ms(), ms = due_ms > now ? due_ms - now : 1;
	const struct itimerspec when = {
		.it_value = { ms / 1000, ms % 1000 * 1000000 },
	};
	struct err err;

	/* when the timer is up, all are looked at */
	if (due_ms >= s->due_ms)
		return;
	s->due_ms = due_ms;
	if (timerfd_settime(s->due, 0, &when, NULL) == 0)
		return;
	err_clear(&err);
	(void)err_sys(&err, errno, "set", "timer");
	session_break(s, &err);
}

void due_watch(struct exeat_run *run)
{
	due_at(run->session, run_due(run));
	if (run->phase != PHASE_OVER)
		alive_watch(run->session);
}

/* Has it said something that is not read yet? */
static bool speaks(const struct exeat_run *run)
{
	for (int i = EXEAT_STDOUT; i <= EXEAT_STDERR; i++) {
		const struct stream *st = &run->streams[i];
		struct pollfd p = { .fd = st->fd, .events = POLLIN };

		if (stream_full(st) ||
		    (st->fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & POLLIN))
			return true;
	}
	return false;
}

/* Front's answer is there, or may be behind what it said and says; but nobody
 * waits for one who talks without end. */
static bool flush_may_come(struct exeat_run *run)
{
	const struct helper *front = &run->session->helpers[HELPER_FRONT];
	const uint64_t words = run->front_words;

	session_hear(run->session);
	run->front_words = front->words;
	run->asked_ms = clock_ms();
	return run->flushed || run->session->fatal.code != ERR_NONE ||
	       (++run->asked < FLUSH_TRIES && front->words != words);
}

/* False: the session is broken. */
static bool run_is_due(struct exeat_run *run)
{
	struct err err;

	if (run->exited) {
		if (flush_may_come(run))
			return run->session->fatal.code == ERR_NONE;
		(void)err_new(&err, ERR_TIMEOUT, "session", "front",
			      "does not answer");
		session_break(run->session, &err);
		run->session->helpers[HELPER_FRONT].hangs = true;
		return false;
	}
	if (speaks(run))
		run->active_ms = clock_ms();
	else
		run_end(run, RUN_IDLE);
	return true;
}

static struct exeat_run *first_due(const struct exeat_session *s, int64_t now)
{
	for (struct exeat_run *run = s->runs; run; run = run->next)
		if (run_due(run) <= now)
			return run;
	return NULL;
}

void due_ready(struct exeat_session *s)
{
	const int64_t now = clock_ms();
	struct exeat_run *run;
	uint64_t times;
	int64_t next;

	(void)!read(s->due, &times, sizeof(times)); /* only to reset it */
	s->due_ms = INT64_MAX;
	if (s->tick_ms && s->tick_ms <= now)
		alive_tick(s);
	if (s->fatal.code != ERR_NONE)
		return;
	/* callbacks may free any run: after each, from the first */
	while ((run = first_due(s, now)) != NULL)
		if (!run_is_due(run))
			return;
	next = s->tick_ms ? s->tick_ms : INT64_MAX;
	for (run = s->runs; run; run = run->next)
		next = run_due(run) < next ? run_due(run) : next;
	due_at(s, next);
}
