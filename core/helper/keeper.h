/* keeper.h - the keeper's inside: session, postures, runs
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The keeper is pid 1 of a pid namespace that holds every payload, and the
 * only process with capabilities (in U1). It reads nothing that a payload or
 * the network wrote: fixed messages of the caller and of the gate, a mapped
 * policy image of the caller, a wait status. A run's command is forwarded
 * unread to the child that becomes it.
 *
 * A posture: MAKING (namespace, nftables, sockets are made here; front and
 * dialer are told) -> READY (both have acknowledged). Runs that came early
 * wait in their posture.
 *
 * The first posture's namespace, and a child in it, need not know what the
 * posture is: they are made as soon as the view stands. More children than are
 * asked for: keeper_spare.c.
 *
 * A policy for a READY posture: `unchanged` says how far it has come. The
 * dialer says which pins it leaves, and the kernel's table is replaced with
 * them in it. What the dialer pins then, before it has the new one, is refused.
 *
 * A run: PREPARED or WAITING -> BORN -> RUNNING -> DONE (the caller is told) ->
 * gone (the child's pidfd says that nothing of it is left).
 */
#ifndef EXEAT_CORE_HELPER_KEEPER_H
#define EXEAT_CORE_HELPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/backend.h"
#include "core/base/limits.h"
#include "core/helper/helper.h"
#include "core/helper/wire.h"
#include "core/proto.h"
#include "core/sys/netns.h"
#include "core/sys/nft.h"
#include "core/sys/view.h"
#include "policy/policy.h"

struct event;

enum keeper_ack {
	ACK_FRONT = 1,
	ACK_DIALER = 2,
	ACK_PINS = 4, /* the dialer has not said which stay */
};

struct keeper_posture {
	uint32_t id;		/* 0: free slot */
	int netns;
	struct nft *nft;
	bool dials;		/* not blocked: the dialer knows it */
	unsigned missing;	/* enum keeper_ack: who has not got it yet */
	uint32_t live_runs;	/* with a command */
	bool many;		/* more runs may come: */
	uint32_t spares;	/* children to have ready for them */
	uint32_t peak;		/* the most live_runs of late */
	uint32_t streak;	/* runs since nothing began or ended for long */
	/* another policy; without ACK_PINS it is in force in the kernel: */
	int next_image;		/* front has still to get it; -1: none */
	unsigned unchanged;	/* enum keeper_ack: who has not got it yet */
};

enum run_state {
	RUN_PREPARED,		/* a child, no command yet */
	RUN_WAITING,		/* a command, the posture is not ready */
	RUN_BORN,		/* the command is sent */
	RUN_RUNNING,		/* exec succeeded */
	RUN_DONE,		/* status or failure known */
};

struct keeper_run {
	struct keeper *keeper;
	enum run_state state;
	uint32_t id, posture;
	struct backend_child child;
	struct wire control;	/* owns child.control */
	struct event *gone;	/* the child's pidfd */
	struct event *timer;
	uint64_t timeout_ms, grace_ms;
	uint64_t left_ms;	/* of its timer, while it is paused; 0: none */
	int64_t due_us;		/* when its timer is up, if it runs */
	unsigned stopping;	/* pauses of which it has not said yet that
				 * everybody stands still */
	int64_t born_us;
	enum run_reason reason;
	uint64_t kills;		/* the signals of K_KILL: 1 << number - 1 */
	int ended_by;		/* the signal that ended it unborn; 0: none */
	bool stopped;		/* unborn: it is to begin so */
	bool failed, flushed, over;
	bool killed;		/* KILL is sent to all of it */
	bool has_status;
	uint32_t status;	/* as of wait(2) */
	uint64_t utime_us, stime_us, maxrss_kib;
	/* until it is sent: */
	uint8_t *command;
	size_t command_len;
	int fds[MSG_FDS_MAX];	/* stdio, cgroups to join */
	unsigned nfds;
};

/* What the keeper does next about spare children, when its time has come. */
enum keeper_rest {
	REST_QUIET,		/* nothing began or ended: make some */
	REST_IDLE,		/* for long: let them go */
};

/* Files of a group of processes that stands still while `paused`. */
struct keeper_freezer {
	int freeze, events;
};

enum { KEEPER_FREEZERS = 2 };

struct keeper {
	const struct helper_ids *ids;
	struct event_base *base;
	struct wire caller, front, dialer;
	struct view view;
	struct backend_spec spec;
	const struct backend *backend;
	char hostname[65];
	int fresh_in;		/* of a fresh work dir: its folder; -1: none */
	int fresh_lock;		/* held as long as it is there */
	char fresh_name[32];
	bool open;
	bool paused;
	bool pause_begun;	/* no run was on its way to its command */
	bool pause_told;	/* the caller knows that all stand still */
	struct keeper_freezer freezers[KEEPER_FREEZERS]; /* frozen ones */
	unsigned nfreezers;
	int join_frozen;	/* cgroup.procs of the last one; -1: none */
	struct event *frozen_timer; /* NULL: none yet */
	bool over;		/* its time is up: what lives is being ended */
	struct event *life;	/* NULL: it has no time */
	int spare_netns;	/* becomes the first posture's; -1: it has */
	struct event *spare_timer; /* NULL: none yet */
	enum keeper_rest rest;
	uint32_t spare_tries;	/* may still be made until it is used again */
	uint32_t last_posture;	/* that was used */
	struct keeper_posture postures[LIMIT_POSTURES];
	struct keeper_run *runs[LIMIT_RUNS];
};

/* Tell the caller what went wrong and end. */
void keeper_fatal(struct keeper *k, const struct err *err);

/* ---- keeper_posture.c ---- */
void keeper_posture_add(struct keeper *k, struct msg *m);
void keeper_posture_drop(struct keeper *k, uint32_t id);
void keeper_posture_policy(struct keeper *k, struct msg *m);
void keeper_posture_ack(struct keeper *k, uint32_t id, enum keeper_ack who);
void keeper_posture_staying(struct keeper *k, const struct msg *m);
void keeper_pin(struct keeper *k, const struct msg *m);
struct keeper_posture *keeper_posture_find(struct keeper *k, uint32_t id);
/* Tell front whose the events of the posture are. */
void keeper_posture_runs(struct keeper *k, struct keeper_posture *p);
/* Tell front the kernel's totals, because a run has ended. */
void keeper_posture_flush(struct keeper *k, struct keeper_posture *p,
			  uint32_t run);

/* ---- keeper_run.c ---- */
void keeper_run_start(struct keeper *k, struct msg *m);
/* A child without a command; NULL: err says why. */
struct keeper_run *keeper_run_make(struct keeper *k, uint32_t posture,
				   int netns, struct err *err);
void keeper_run_kill(struct keeper *k, uint32_t id, int signal);
/* TERM, then KILL after the run's grace: once, for the first reason. */
void keeper_run_end(struct keeper *k, uint32_t id, enum run_reason reason);
/* The run's time, from now on; then the end that it has come to. */
void keeper_run_timer(struct keeper_run *run, uint64_t ms);
/* The session's time is up. */
void keeper_runs_over(struct keeper *k);
/* The posture of waiting runs is ready, or (err) will never be. */
void keeper_runs_of_posture(struct keeper *k, uint32_t posture,
			    const struct err *err);

/* ---- keeper_fresh.c ---- */
void keeper_fresh(struct keeper *k, struct msg *m);
/* At the end of the session, if the caller is dead. */
void keeper_fresh_remove(struct keeper *k);

/* ---- keeper_pause.c ---- */
/* Stop all, or let all go on; K_PAUSED follows. Each one's time stands still
 * from when it does. */
void keeper_pause(struct keeper *k, struct msg *m);
void keeper_resume(struct keeper *k);
/* Its child has said so. */
void keeper_run_stopped(struct keeper_run *run);
/* One less is on the way: perhaps nobody is any more. */
void keeper_pause_check(struct keeper *k);

/* ---- keeper_spare.c ---- */
/* A namespace and a child in it, whoever will need them. */
void keeper_spare_make(struct keeper *k);
/* The posture took the spare namespace: the child in it is one of its own. */
void keeper_spare_taken(struct keeper *k, uint32_t posture);
/* A child of the posture without a command, or NULL. */
struct keeper_run *keeper_spare_find(struct keeper *k, uint32_t posture);
/* More runs may come in this posture. */
void keeper_spare_want(struct keeper *k, uint32_t posture);
/* Should: when a run has got its child, and its command is sent. */
void keeper_spare_used(struct keeper *k, struct keeper_posture *p);
/* Something else has the processors: what is to be made waits a little. */
void keeper_spare_wait(struct keeper *k);
/* The posture goes: children without a command go with it. */
void keeper_runs_unprepare(struct keeper *k, uint32_t posture);

#endif
