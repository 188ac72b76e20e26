/* runwait.c - waiting for the end of one run, or of some of many
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fd.h"
#include "core/session.h"

/* Nobody reads what it writes, and no more is kept. */
static bool is_stuck(const struct exeat_run *run)
{
	return stream_full(&run->streams[EXEAT_STDOUT]) ||
	       stream_full(&run->streams[EXEAT_STDERR]);
}

static int error_stuck(struct exeat_error *error)
{
	struct err err;

	err_clear(&err);
	(void)err_new(&err, ERR_LIMIT, "wait", "output",
		      "nobody reads it and no more is kept");
	return session_error(error, &err, -E2BIG);
}

int exeat_run_wait(struct exeat_run *run, int timeout_ms,
		   struct exeat_error *error)
{
	int r = error_needs(error, "wait", ERROR_ARGS({ "run", run }));

	if (r < 0)
		return r;
	run_hold(run);
	r = exeat_runs_wait(&run, 1, 1, timeout_ms, error);
	if (r > 0 && run->err.code != ERR_NONE)
		r = session_error(error, &run->err, -EIO);
	run_release(run);
	return r;
}

/* ---- of many ---- */

struct waiting {
	struct exeat_run **runs; /* held; callbacks may change the caller's */
	size_t n;
	struct pollfd *polled; /* each session of a live run, once */
	struct exeat_session **sessions;
	size_t npolled;
	/* for a single run, which is most: */
	struct exeat_run *run;
	struct pollfd one;
	struct exeat_session *session;
};

static int waiting_begin(struct waiting *w, struct exeat_run *const *runs,
			 size_t n)
{
	*w = (struct waiting){ .n = n };
	w->runs = n > 1 ? calloc(n, sizeof(struct exeat_run *)) : &w->run;
	w->polled = n > 1 ? calloc(n, sizeof(*w->polled)) : &w->one;
	w->sessions = n > 1 ? calloc(n, sizeof(struct exeat_session *)) :
			      &w->session;
	if (!w->runs || !w->polled || !w->sessions) {
		w->n = 0;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		w->runs[i] = runs[i];
		run_hold(runs[i]);
	}
	return 0;
}

static void waiting_done(struct waiting *w)
{
	for (size_t i = 0; i < w->n; i++)
		run_release(w->runs[i]);
	if (w->runs == &w->run)
		return;
	free(w->runs);
	free(w->polled);
	free(w->sessions);
}

static void sessions_add(struct waiting *w, struct exeat_session *s)
{
	for (size_t i = 0; i < w->npolled; i++)
		if (w->sessions[i] == s)
			return;
	w->polled[w->npolled] = (struct pollfd){
		.fd = exeat_session_fd(s),
		.events = POLLIN,
	};
	w->sessions[w->npolled++] = s;
}

/* How many are over; *ret_stuck: none of the others can come to an end. */
static size_t count_over(struct waiting *w, bool *ret_stuck)
{
	size_t over = 0, stuck = 0;

	w->npolled = 0;
	for (size_t i = 0; i < w->n; i++) {
		const struct exeat_run *run = w->runs[i];

		if (run->phase == PHASE_OVER) {
			over++;
			continue;
		}
		stuck += is_stuck(run);
		sessions_add(w, run->session);
	}
	*ret_stuck = stuck > 0 && over + stuck == w->n;
	return over;
}

static int turn(struct waiting *w, int timeout_ms, struct exeat_error *error)
{
	struct err err;

	if (w->npolled == 1) {
		(void)exeat_session_dispatch(w->sessions[0], timeout_ms, NULL);
		return 0;
	}
	if (poll(w->polled, w->npolled, timeout_ms) < 0 && errno != EINTR) {
		err_clear(&err);
		(void)err_sys(&err, errno, "wait", "sessions");
		return session_error(error, &err, -EIO);
	}
	/* a broken one ends its runs: that is seen when they are counted */
	for (size_t i = 0; i < w->npolled; i++)
		(void)exeat_session_dispatch(w->sessions[i], 0, NULL);
	return 0;
}

static int wait_many(struct waiting *w, size_t needed, int timeout_ms,
		     struct exeat_error *error)
{
	int64_t deadline = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;
	bool turned = false; /* once in any case, however short the time */

	for (;;) {
		int64_t left = deadline - clock_ms();
		bool stuck;
		size_t over = count_over(w, &stuck);
		int r;

		left = left > 0 ? left : 0;
		if (over >= needed || over == w->n || (left == 0 && turned))
			return (int)over;
		if (stuck)
			return error_stuck(error);
		r = turn(w, left > INT32_MAX ? -1 : (int)left, error);
		if (r < 0)
			return r;
		turned = true;
	}
}

static int runs_check(struct exeat_run *const *runs, size_t n, size_t needed,
		      struct err *err)
{
	char name[32];

	if (needed > n || n > INT32_MAX)
		return err_new(err, ERR_INVALID, "wait", "needed",
			       "more than there are runs");
	if (!runs && n > 0)
		return err_new(err, ERR_INVALID, "wait", "runs", "is NULL");
	for (size_t i = 0; i < n; i++) {
		if (runs[i])
			continue;
		(void)snprintf(name, sizeof(name), "runs[%zu]", i);
		return err_new(err, ERR_INVALID, "wait", name, "is NULL");
	}
	return 0;
}

int exeat_runs_wait(struct exeat_run *const *runs, size_t n, size_t needed,
		    int timeout_ms, struct exeat_error *error)
{
	struct waiting w;
	struct err err;
	int r;

	err_clear(&err);
	if (error_timeout(error, "wait", timeout_ms) < 0)
		return -EINVAL;
	r = runs_check(runs, n, needed, &err);
	if (r < 0)
		return session_error(error, &err, r);
	if (waiting_begin(&w, runs, n) == 0)
		r = wait_many(&w, needed, timeout_ms, error);
	else
		r = session_error(error, &err,
				  err_sys(&err, ENOMEM, "wait", "runs"));
	waiting_done(&w);
	return r;
}
