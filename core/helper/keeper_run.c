/* keeper_run.c - runs: birth, signals, time, end
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: keeper.h. The end of a run has two parts: every process
 * of it but the stub has ended (BACKEND_EXITED: front is asked to report what
 * the kernel still holds, the caller is told), and nothing is left (the
 * child's pidfd: the run is forgotten). A child that was killed says nothing;
 * then both happen at once.
 */
#include "core/helper/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"

/* From the KILL of a run's processes to that of all that it is. */
enum {
	LAST_MS = 1000,
	LAST_KILL_MS = 2000, /* by the caller, who has set no time */
};

static struct keeper_run *run_find(struct keeper *k, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->id == id)
			return k->runs[i];
	return NULL;
}

static struct keeper_run *run_new(struct keeper *k, uint32_t posture,
				  struct err *err)
{
	struct keeper_run *run;
	size_t i = 0;

	while (i < LIMIT_RUNS && k->runs[i])
		i++;
	run = i < LIMIT_RUNS ? calloc(1, sizeof(*run)) : NULL;
	if (!run) {
		(void)err_new(err, ERR_LIMIT, "start run", NULL,
			      "at most %d runs at a time", LIMIT_RUNS);
		return NULL;
	}
	*run = (struct keeper_run){
		.keeper = k,
		.posture = posture,
		.child = { .pid = -1, .pidfd = -1, .control = -1 },
		.control = { .chan = { .fd = -1 } },
	};
	k->runs[i] = run;
	return run;
}

static void fds_close(struct keeper_run *run)
{
	while (run->nfds > 0)
		fd_close(&run->fds[--run->nfds]);
}

static void run_free(struct keeper_run *run)
{
	struct keeper *k = run->keeper;

	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (k->runs[i] == run)
			k->runs[i] = NULL;
	if (run->gone)
		event_free(run->gone);
	if (run->timer)
		event_free(run->timer);
	wire_done(&run->control);
	fds_close(run);
	fd_close(&run->child.pidfd);
	free(run->command);
	free(run);
}

static void report_failed(struct keeper *k, uint32_t id, uint32_t exit_code,
			  const struct err *err)
{
	struct sbuf body;

	sbuf_init(&body, LIMIT_CHAN_QUEUE);
	sbuf_u32(&body, id);
	sbuf_u32(&body, exit_code);
	err_encode(err, &body);
	if (body.bad)
		return keeper_fatal(k, err);
	wire_send(&k->caller, K_RUN_FAILED, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

static uint64_t signal_bit(int signal)
{
	return signal >= 1 && signal < NSIG ? UINT64_C(1) << (signal - 1) : 0;
}

static void report_exited(struct keeper_run *run)
{
	uint8_t body[64];
	struct wbuf b = wbuf_make(body, sizeof(body));
	enum run_reason reason = run->reason;

	if (reason == RUN_ENDED && WIFSIGNALED((int)run->status) &&
	    run->kills & signal_bit(WTERMSIG((int)run->status)))
		reason = RUN_KILLED;
	wbuf_u32(&b, run->id);
	wbuf_u32(&b, run->status);
	wbuf_u8(&b, (uint8_t)reason);
	wbuf_u64(&b, run->utime_us);
	wbuf_u64(&b, run->stime_us);
	wbuf_u64(&b, run->maxrss_kib);
	wbuf_u64(&b, run->born_us ? (uint64_t)(clock_us() - run->born_us) : 0);
	wire_send(&run->keeper->caller, K_EXITED, body, wbuf_len(&b), NULL, 0);
}

/* ---- the end ---- */

static void run_flush(struct keeper_run *run)
{
	struct keeper_posture *p =
		keeper_posture_find(run->keeper, run->posture);

	if (run->flushed || !p || run->state == RUN_PREPARED)
		return;
	run->flushed = true;
	keeper_posture_flush(run->keeper, p, run->id);
}

/* The session's time is up and nothing lives: that is its end, as soon as the
 * caller has heard of theirs. */
static void over_check(struct keeper *k)
{
	const struct timeval last = {
		.tv_sec = LIMIT_SESSION_LAST_MS / 1000,
		.tv_usec = LIMIT_SESSION_LAST_MS % 1000 * 1000,
	};

	if (!k->over)
		return;
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->state != RUN_PREPARED &&
		    k->runs[i]->state != RUN_DONE)
			return;
	(void)event_add(k->life, &last);
}

/*
 * Every process of the run but the stub has ended: the caller is told now. The
 * stub's own end, and what the kernel then clears away, nobody waits for.
 */
static void run_over(struct keeper_run *run)
{
	struct keeper *k = run->keeper;
	struct keeper_posture *p = keeper_posture_find(k, run->posture);
	bool counted = run->state >= RUN_BORN;

	if (run->over)
		return;
	run->over = true;
	(void)event_del(run->timer);
	run_flush(run);
	if (run->state != RUN_PREPARED && !run->failed)
		report_exited(run);
	run->state = RUN_DONE;
	run->stopping = 0;
	keeper_pause_check(k);
	over_check(k);
	if (counted && p) {
		p->live_runs--;
		keeper_posture_runs(k, p);
	}
	keeper_spare_wait(k);
}

static void run_gone_cb(evutil_socket_t fd, short what, void *user)
{
	struct keeper_run *run = user;

	(void)fd;
	(void)what;
	/* its last words may still wait */
	wire_drain(&run->control);
	(void)waitpid(run->child.pid, NULL, 0);
	/* a wait status: ended by that signal */
	if (!run->has_status)
		run->status = run->ended_by ? (uint32_t)run->ended_by : SIGKILL;
	run_over(run);
	run_free(run);
}

static void child_failed(struct keeper_run *run, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct err err;
	uint32_t exit_code;

	/* it has one end, whatever it says of a second */
	if (run->over || run->failed)
		return;
	if (!backend_get_failed(&r, &err, &exit_code)) {
		(void)err_new(&err, ERR_INTERNAL, "start command", NULL,
			      "malformed message");
		exit_code = 125;
	}
	run->failed = true;
	/* a spare one: whoever comes next makes up for it */
	if (run->state != RUN_PREPARED)
		report_failed(run->keeper, run->id, exit_code, &err);
	run_over(run);
}

static void child_exited(struct keeper_run *run, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	run->status = rbuf_u32(&r);
	run->utime_us = rbuf_u64(&r);
	run->stime_us = rbuf_u64(&r);
	run->maxrss_kib = rbuf_u64(&r);
	run->has_status = !r.bad;
	run_over(run);
	/* everybody is told: it may leave */
	(void)shutdown(run->control.chan.fd, SHUT_WR);
}

static void child_tty(struct keeper_run *run, struct msg *m)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	/* it has been told of its command, and of nobody's end */
	if (run->state != RUN_BORN && run->state != RUN_RUNNING)
		return;
	wbuf_u32(&b, run->id);
	wire_send(&run->keeper->caller, K_TTY, body, wbuf_len(&b), m->fds, 1);
}

static void child_message(void *user, struct msg *m)
{
	struct keeper_run *run = user;

	switch ((enum backend_message)m->type) {
	case BACKEND_TTY:
		return child_tty(run, m);
	case BACKEND_STARTED:
		if (run->state == RUN_BORN)
			run->state = RUN_RUNNING;
		return keeper_pause_check(run->keeper);
	case BACKEND_FAILED:
		return child_failed(run, m);
	case BACKEND_EXITED:
		return child_exited(run, m);
	case BACKEND_STOPPED:
		return keeper_run_stopped(run);
	case BACKEND_LOOSE:
		/* the child kills it */
		if (run->state == RUN_RUNNING)
			run->kills |= signal_bit(SIGKILL);
		return;
	case BACKEND_COMMAND:
	case BACKEND_SIGNAL:
	case BACKEND_PAUSE:
		return; /* not in the table of the chan */
	}
}

/* Nothing reaches the child any more: without the command it would wait. */
static void child_end(void *user, int error)
{
	struct keeper_run *run = user;
	struct err err;

	/* its pidfd tells of its end, and that everything else is gone too */
	if (error == EPIPE || error == ECONNRESET)
		return;
	if (run->state != RUN_PREPARED && !run->over && !run->failed) {
		(void)err_sys(&err, error, "send", "command");
		report_failed(run->keeper, run->id, 125, &err);
		run->failed = true;
	}
	(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
}

/* ---- time and signals ---- */

/* What it does to a program that has not said what it shall do. */
static bool is_deadly(int signal)
{
	switch (signal) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	/* these stop nobody who has a session to himself */
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return true;
	}
}

/* As if the command had begun, and had got no further. */
static void run_signal_unborn(struct keeper_run *run, int signal)
{
	if (signal == SIGSTOP || signal == SIGCONT)
		run->stopped = signal == SIGSTOP;
	else if (is_deadly(signal) && !run->ended_by) {
		run->ended_by = signal;
		(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
	}
}

static void run_signal(struct keeper_run *run, int signal)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (run->state < RUN_BORN)
		return run_signal_unborn(run, signal);
	wbuf_u32(&b, (uint32_t)signal);
	wire_send(&run->control, BACKEND_SIGNAL, body, wbuf_len(&b), NULL, 0);
}

void keeper_run_timer(struct keeper_run *run, uint64_t ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000) * 1000,
	};

	(void)event_add(run->timer, &tv);
	run->due_us = ms < INT64_MAX / 2000 ? clock_us() + (int64_t)ms * 1000 :
					      INT64_MAX;
	run->left_ms = 0;
}

static void run_end(struct keeper_run *run, enum run_reason reason)
{
	run->reason = reason;
	run_signal(run, SIGTERM);
	keeper_run_timer(run, run->grace_ms);
}

static void run_timer_cb(evutil_socket_t fd, short what, void *user)
{
	struct keeper_run *run = user;

	(void)fd;
	(void)what;
	if (run->reason == RUN_ENDED && !run->killed)
		return run_end(run, RUN_TIMEOUT);
	/* by its child, which then knows what all of it has used; but it has
	 * to end though the child be busy */
	if (run->state == RUN_RUNNING && !run->killed) {
		run->killed = true;
		run_signal(run, SIGKILL);
		return keeper_run_timer(run, LAST_MS);
	}
	(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
}

void keeper_run_end(struct keeper *k, uint32_t id, enum run_reason reason)
{
	struct keeper_run *run = run_find(k, id);

	if (run && run->state != RUN_DONE && run->reason == RUN_ENDED &&
	    (reason == RUN_IDLE || reason == RUN_OUTPUT))
		run_end(run, reason);
}

/* ---- the session's time ---- */

/* However long the grace that it has been given before. */
static void end_in_time(struct keeper_run *run)
{
	const int64_t last =
		clock_us() + (int64_t)LIMIT_SESSION_GRACE_MS * 1000;

	run->grace_ms = LIMIT_SESSION_GRACE_MS;
	if (run->reason == RUN_ENDED)
		run_end(run, RUN_SESSION);
	else if (run->due_us > last)
		keeper_run_timer(run, LIMIT_SESSION_GRACE_MS);
}

void keeper_runs_over(struct keeper *k)
{
	struct err err;

	if (k->over) {
		(void)err_new(&err, ERR_TIMEOUT, "session", NULL,
			      "its time is up");
		keeper_fatal(k, &err);
	}
	k->over = true;
	keeper_resume(k);
	for (size_t i = 0; i < LIMIT_RUNS; i++) {
		struct keeper_run *run = k->runs[i];

		if (run && run->state != RUN_PREPARED && run->state != RUN_DONE)
			end_in_time(run);
	}
	over_check(k);
}

void keeper_run_kill(struct keeper *k, uint32_t id, int signal)
{
	struct keeper_run *run = run_find(k, id);

	if (!run || run->state == RUN_DONE || signal < 1 || signal >= NSIG)
		return;
	run->kills |= signal_bit(signal);
	run_signal(run, signal);
	if (signal != SIGKILL || run->state < RUN_BORN || run->killed)
		return;
	/* by its child, as when its time is up; but it has to end */
	run->killed = true;
	keeper_run_timer(run, LAST_KILL_MS);
}

/* ---- birth ---- */

static void child_kill(struct keeper_run *run)
{
	if (run->child.pid < 0)
		return;
	(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
	(void)waitpid(run->child.pid, NULL, 0);
	run->child.pid = -1;
}

static int run_child(struct keeper_run *run, int netns, struct err *err)
{
	struct keeper *k = run->keeper;
	int r = netns_enter(netns, err);

	if (r == 0)
		r = k->backend->prepare(&k->spec, &run->child, err);
	if (r < 0)
		return r;
	run->control.on_message = child_message;
	run->control.on_end = child_end;
	run->control.user = run;
	r = wire_init(&run->control, k->base, fd_steal(&run->child.control),
		      backend_keeper_rules, backend_keeper_nrules);
	run->gone =
		event_new(k->base, run->child.pidfd, EV_READ, run_gone_cb, run);
	run->timer = event_new(k->base, -1, 0, run_timer_cb, run);
	if (r < 0 || !run->gone || !run->timer ||
	    event_add(run->gone, NULL) < 0) {
		child_kill(run);
		return err_sys(err, ENOMEM, "watch run", "%u", run->id);
	}
	return 0;
}

struct keeper_run *keeper_run_make(struct keeper *k, uint32_t posture,
				   int netns, struct err *err)
{
	struct keeper_run *run = run_new(k, posture, err);

	if (run && run_child(run, netns, err) < 0) {
		run_free(run);
		run = NULL;
	}
	return run;
}

/* The posture is ready, the child is there: the command goes. */
static void run_born(struct keeper_run *run, struct keeper_posture *p)
{
	run->state = RUN_BORN;
	run->born_us = clock_us();
	p->live_runs++;
	if (p->peak < p->live_runs)
		p->peak = p->live_runs;
	keeper_posture_runs(run->keeper, p);
	if (run->timeout_ms)
		keeper_run_timer(run, run->timeout_ms);
	wire_send(&run->control, BACKEND_COMMAND, run->command,
		  run->command_len, run->fds, run->nfds);
	fds_close(run);
	free(run->command);
	run->command = NULL;
	if (run->stopped)
		run_signal(run, SIGSTOP);
}

/* 0: run_free() is due with the error that is set. */
static int command_take(struct keeper_run *run, struct rbuf *r, struct msg *m,
			struct err *err)
{
	run->timeout_ms = rbuf_u64(r);
	run->grace_ms = rbuf_u64(r);
	run->command_len = rbuf_left(r);
	run->command = malloc(run->command_len ? run->command_len : 1);
	if (r->bad || !run->command)
		return err_sys(err, ENOMEM, "take command", "run %u", run->id);
	memcpy(run->command, rbuf_bytes(r, run->command_len), run->command_len);
	for (run->nfds = 0; run->nfds < m->nfds; run->nfds++)
		run->fds[run->nfds] = fd_steal(&m->fds[run->nfds]);
	return 0;
}

void keeper_run_start(struct keeper *k, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	uint32_t posture = rbuf_u32(&r);
	struct keeper_posture *p = keeper_posture_find(k, posture);
	struct keeper_run *run;
	struct err err;

	err_clear(&err);
	if (k->over) {
		(void)err_new(&err, ERR_TIMEOUT, "start run", NULL,
			      "the session's time is up");
		return report_failed(k, id, 125, &err);
	}
	if (!p) {
		/* its K_POSTURE_FAILED is on the way already */
		(void)err_new(&err, ERR_INTERNAL, "start run", NULL,
			      "its posture does not exist");
		return report_failed(k, id, 125, &err);
	}
	run = keeper_spare_find(k, posture);
	if (!run)
		run = keeper_run_make(k, posture, p->netns, &err);
	if (!run)
		return report_failed(k, id, 125, &err);
	run->id = id;
	if (command_take(run, &r, m, &err) < 0) {
		report_failed(k, id, 125, &err);
		child_kill(run);
		return run_free(run);
	}
	if (p->missing || k->paused)
		run->state = RUN_WAITING;
	else
		run_born(run, p);
	keeper_spare_used(k, p);
}

void keeper_runs_of_posture(struct keeper *k, uint32_t posture,
			    const struct err *err)
{
	struct keeper_posture *p = keeper_posture_find(k, posture);

	for (size_t i = 0; i < LIMIT_RUNS; i++) {
		struct keeper_run *run = k->runs[i];

		if (!run || run->posture != posture ||
		    run->state != RUN_WAITING || run->ended_by)
			continue;
		if (!err && !k->paused) {
			run_born(run, p);
			keeper_spare_used(k, p);
		}
		if (!err)
			continue;
		report_failed(k, run->id, 125, err);
		run->failed = true;
		(void)pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
	}
}
