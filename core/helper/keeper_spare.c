/* keeper_spare.c - children that are there before anybody asks
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A run that finds a child in its posture costs little more than a fork. The
 * first is made as soon as the view stands, in a namespace that the first
 * posture takes over. A posture of which the caller has said that more runs
 * may come (K_PREPARE) has one ready, and once it had a run SPARES_MIN of them,
 * or as many as it had runs at a time of late.
 *
 * To make one is as much work as a small run is, and to a run's beginning and
 * end several processes want the processors. So they are made when nothing has
 * begun or ended for QUIET_MS, one a turn of the loop, so that what comes
 * meanwhile does not wait for all of them. Only the last one is replaced at
 * once when it is taken, and not for the first run in a while: who runs one
 * command right after the other finds one, too, and who opens a session for a
 * single command does not wait until a second child is made and cleared away.
 *
 * After LIMIT_SPARE_IDLE_MS without a run the posture that was used last keeps
 * SPARES_MIN, all others none.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/pidfd.h>

#include "core/base/fd.h"
#include "core/helper/keeper.h"

enum {
	SPARES_MIN = 2,
	QUIET_MS = 3,
};

static bool is_spare(const struct keeper_run *run, uint32_t posture)
{
	return run && run->posture == posture && run->state == RUN_PREPARED &&
	       !run->over;
}

struct keeper_run *keeper_spare_find(struct keeper *k, uint32_t posture)
{
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (is_spare(k->runs[i], posture))
			return k->runs[i];
	return NULL;
}

static uint32_t count(const struct keeper *k, uint32_t posture)
{
	uint32_t n = 0;

	for (size_t i = 0; i < LIMIT_RUNS; i++)
		n += is_spare(k->runs[i], posture);
	return n;
}

static uint32_t count_all(const struct keeper *k)
{
	uint32_t n = 0;

	for (size_t i = 0; i < LIMIT_RUNS; i++)
		n += k->runs[i] && is_spare(k->runs[i], k->runs[i]->posture);
	return n;
}

static void drop(struct keeper_run *run)
{
	/* it lives until its pidfd tells, but nobody is to find it */
	run->over = true;
	(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
}

static void drop_above(struct keeper *k, uint32_t posture, uint32_t kept)
{
	for (size_t i = 0; i < LIMIT_RUNS; i++) {
		if (!is_spare(k->runs[i], posture))
			continue;
		if (kept > 0)
			kept--;
		else
			drop(k->runs[i]);
	}
}

void keeper_runs_unprepare(struct keeper *k, uint32_t posture)
{
	drop_above(k, posture, 0);
}

/* ---- the first ---- */

void keeper_spare_make(struct keeper *k)
{
	struct err err;

	/* what fails is made up for by the first posture and the first run */
	if (netns_new(&k->spare_netns, &err) == 0)
		(void)keeper_run_make(k, 0, k->spare_netns, &err);
}

void keeper_spare_taken(struct keeper *k, uint32_t posture)
{
	struct keeper_run *run = keeper_spare_find(k, 0);

	if (run)
		run->posture = posture;
}

/* ---- more ---- */

static void timer_cb(evutil_socket_t fd, short what, void *user);

static void timer_start(struct keeper *k, enum keeper_rest rest, int ms)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (!k->spare_timer)
		k->spare_timer = event_new(k->base, -1, 0, timer_cb, k);
	/* counted from now: to make a posture takes longer than this */
	(void)event_base_update_cache_time(k->base);
	/* without a timer runs make their children themselves */
	if (k->spare_timer && event_add(k->spare_timer, &tv) == 0)
		k->rest = rest;
}

static bool lacks_some(const struct keeper *k, const struct keeper_posture *p)
{
	return p->id != 0 && p->many && count(k, p->id) < p->spares;
}

static void make(struct keeper *k, struct keeper_posture *p)
{
	struct err err;

	/* one that cannot be made, or ends by itself, is not tried for ever */
	if (k->spare_tries == 0 || count_all(k) >= LIMIT_SPARES)
		return;
	k->spare_tries--;
	if (!keeper_run_make(k, p->id, p->netns, &err))
		k->spare_tries = 0;
}

/* As many as it had runs at a time since it was looked at last. */
static void follow(struct keeper_posture *p)
{
	uint32_t wanted = p->peak < LIMIT_SPARES ? p->peak : LIMIT_SPARES;

	if (p->spares < wanted)
		p->spares = wanted;
	if (p->spares < SPARES_MIN)
		p->spares = SPARES_MIN;
	p->peak = p->live_runs;
}

static void make_some(struct keeper *k)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct keeper_posture *p = &k->postures[i];

		p->streak = 0;
		if (p->many && p->peak > 0)
			follow(p);
		if (!lacks_some(k, p))
			continue;
		make(k, p);
		if (k->spare_tries > 0 && count_all(k) < LIMIT_SPARES)
			return timer_start(k, REST_QUIET, 0);
		break;
	}
	timer_start(k, REST_IDLE, LIMIT_SPARE_IDLE_MS);
}

static void drop_some(struct keeper *k)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct keeper_posture *p = &k->postures[i];

		if (p->id == 0 || !p->many)
			continue;
		p->peak = p->live_runs;
		p->spares = p->id == k->last_posture ? SPARES_MIN : 0;
		drop_above(k, p->id, p->spares);
	}
}

static void timer_cb(evutil_socket_t fd, short what, void *user)
{
	struct keeper *k = user;

	(void)fd;
	(void)what;
	if (k->over)
		return;
	if (k->rest == REST_QUIET)
		make_some(k);
	else
		drop_some(k);
}

void keeper_spare_want(struct keeper *k, uint32_t posture)
{
	struct keeper_posture *p = keeper_posture_find(k, posture);

	if (!p)
		return;
	p->many = true;
	if (p->spares == 0)
		p->spares = 1;
	keeper_spare_used(k, p);
}

void keeper_spare_used(struct keeper *k, struct keeper_posture *p)
{
	k->last_posture = p->id;
	if (!p->many || k->over)
		return;
	k->spare_tries = LIMIT_SPARES;
	if (p->live_runs > 0 && ++p->streak > 1 && count(k, p->id) == 0)
		make(k, p);
	timer_start(k, REST_QUIET, QUIET_MS);
}

void keeper_spare_wait(struct keeper *k)
{
	if (k->spare_timer && k->rest == REST_QUIET &&
	    event_pending(k->spare_timer, EV_TIMEOUT, NULL))
		timer_start(k, REST_QUIET, QUIET_MS);
}
