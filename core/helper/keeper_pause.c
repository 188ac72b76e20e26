/* keeper_pause.c - all runs of a session stand still, and go on
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A run that has its command and has not executed it yet is waited for first:
 * its child has no ear until then, and in a frozen group it would not get there.
 * None begins meanwhile.
 *
 * With K_PAUSE come the files of a group that can be frozen, or of two: one
 * that processes are moved to, and the session's of version 2, in which the
 * runs that have limits are already. Both are frozen; then each run's child
 * moves what is in neither (backends/hold.h). Without such files, or where they
 * cannot be used, the children stop what they have by signals. Only when each
 * has answered, and the kernel says that the groups are frozen, is the caller
 * told.
 *
 * The files are kept until all go on: if the session's time is up meanwhile, it
 * is we who thaw them. If we end, what is frozen ends, too: of version 2 the
 * kernel kills it.
 */
#include "core/helper/keeper.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"

enum {
	FDS_OF_ONE = 2, /* cgroup.freeze, cgroup.events; then comes the file
			   * by which a process joins */
	FROZEN_POLL_MS = 2,
};

/* ---- the groups ---- */

static bool freeze_put(const struct keeper *k, const char *text)
{
	bool all = true;

	for (unsigned i = 0; i < k->nfreezers; i++)
		all = write(k->freezers[i].freeze, text, 1) == 1 && all;
	return all;
}

static void freezers_drop(struct keeper *k)
{
	(void)freeze_put(k, "0"); /* gone: nobody is in it */
	while (k->nfreezers > 0) {
		struct keeper_freezer *f = &k->freezers[--k->nfreezers];

		fd_close(&f->freeze);
		fd_close(&f->events);
	}
	fd_close(&k->join_frozen);
}

static void freezers_take(struct keeper *k, struct msg *m)
{
	int *fd = m->fds;

	while (m->nfds > FDS_OF_ONE && k->nfreezers < KEEPER_FREEZERS &&
	       fd + FDS_OF_ONE < m->fds + m->nfds) {
		struct keeper_freezer *f = &k->freezers[k->nfreezers++];

		f->freeze = fd_steal(fd++);
		f->events = fd_steal(fd++);
	}
	if (k->nfreezers > 0)
		k->join_frozen = fd_steal(fd);
}

/* cgroups(7): "frozen 1", when nobody in it runs any more. */
static bool is_frozen(const struct keeper_freezer *f)
{
	static const char yes[] = "frozen 1\n";
	char text[256];
	ssize_t n = pread(f->events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, yes) != NULL;
}

static bool all_frozen(const struct keeper *k)
{
	for (unsigned i = 0; i < k->nfreezers; i++)
		if (!is_frozen(&k->freezers[i]))
			return false;
	return true;
}

static void frozen_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	keeper_pause_check(user);
}

/* epoll(7) would tell of a change as of urgent data, libevent does not. */
static void look_later(struct keeper *k)
{
	const struct timeval tv = { 0, FROZEN_POLL_MS * 1000 };
	struct err err;

	if (!k->frozen_timer)
		k->frozen_timer = event_new(k->base, -1, 0, frozen_cb, k);
	if (k->frozen_timer && event_add(k->frozen_timer, &tv) == 0)
		return;
	(void)err_sys(&err, ENOMEM, "watch", "the pause");
	keeper_fatal(k, &err);
}

/* ---- the runs ---- */

static void run_pause(struct keeper_run *run, bool pause)
{
	const int *group = &run->keeper->join_frozen;
	const uint8_t body[1] = { pause };

	run->stopping += pause;
	wire_send(&run->control, BACKEND_PAUSE, body, 1, group,
		  pause && *group >= 0);
	if (!pause && run->left_ms)
		keeper_run_timer(run, run->left_ms);
}

static void runs_pause(struct keeper *k, bool pause)
{
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->state == RUN_RUNNING)
			run_pause(k->runs[i], pause);
}

/* False: one is on its way to its command. */
static bool pause_begin(struct keeper *k)
{
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->state == RUN_BORN)
			return false;
	k->pause_begun = true;
	if (!freeze_put(k, "1"))
		freezers_drop(k);
	runs_pause(k, true);
	return true;
}

void keeper_pause_check(struct keeper *k)
{
	uint8_t body[1] = { 1 };

	if (!k->paused || k->pause_told || (!k->pause_begun && !pause_begin(k)))
		return;
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->stopping)
			return;
	if (!all_frozen(k))
		return look_later(k);
	k->pause_told = true;
	wire_send(&k->caller, K_PAUSED, body, 1, NULL, 0);
}

/* What is left of the run's time, kept while it stands still. */
static void time_stop(struct keeper_run *run)
{
	int64_t left_ms;

	/* who was killed has to end also now */
	if (run->killed || !event_pending(run->timer, EV_TIMEOUT, NULL))
		return;
	left_ms = (run->due_us - clock_us()) / 1000;
	run->left_ms = left_ms > 0 ? (uint64_t)left_ms : 1;
	(void)event_del(run->timer);
}

void keeper_run_stopped(struct keeper_run *run)
{
	/* of one that was over before it was so, the answer comes late */
	if (run->stopping == 0 || --run->stopping > 0 || !run->keeper->paused)
		return;
	time_stop(run);
	keeper_pause_check(run->keeper);
}

/* What was asked for while all stood still, and is ready. */
static void begin_waiting(struct keeper *k)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (k->postures[i].id != 0 && !k->postures[i].missing)
			keeper_runs_of_posture(k, k->postures[i].id, NULL);
}

void keeper_pause(struct keeper *k, struct msg *m)
{
	/* its end is not to be put off */
	if (k->over)
		return keeper_resume(k);
	if (!k->paused) {
		freezers_take(k, m);
		k->paused = true;
		k->pause_begun = false;
	}
	k->pause_told = false;
	keeper_pause_check(k);
}

void keeper_resume(struct keeper *k)
{
	uint8_t body[1] = { 0 };

	if (k->paused) {
		k->paused = false;
		freezers_drop(k);
		if (k->frozen_timer)
			(void)event_del(k->frozen_timer);
		if (k->pause_begun)
			runs_pause(k, false);
	}
	if (!k->over)
		begin_waiting(k);
	wire_send(&k->caller, K_PAUSED, body, 1, NULL, 0);
}
