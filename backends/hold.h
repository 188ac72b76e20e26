/* hold.h - the processes of a run, held still
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * For pid 1 of a run's pid namespace: all the others there are to stand still,
 * whatever they try. There are two ways.
 *
 * Frozen: the keeper was given a group of version 2 whose cgroup.freeze it has
 * written. Every process that is in our own group still, and so in none of the
 * session's, is moved into it; what it forks is born there. Nothing that a
 * process sends or has sent to itself makes it run again.
 *
 * Stopped: SIGSTOP to all at once, which no fork escapes (a child of one that
 * has a signal pending is not born). But the kernel sends SIGCONT for anybody
 * who asked for it before: by a timer, by F_SETSIG, at a child's end. So they
 * are looked at (proc(5)) until none may run and none has run since the look
 * before, and again and again afterwards. By its processor time one is found
 * that ran in between and stopped. Then all are stopped anew; of who goes on
 * and on the run is LOOSE: nothing but SIGKILL would hold it.
 *
 * OFF -> TRYING -> STILL, and back to TRYING if something moved; -> LOOSE.
 *
 * A signal of the caller's that stops or continues acts when all go on: of those
 * who are stopped already, nobody could tell whose SIGSTOP it was.
 */
#ifndef EXEAT_BACKENDS_HOLD_H
#define EXEAT_BACKENDS_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hold_state { HOLD_OFF, HOLD_TRYING, HOLD_STILL, HOLD_LOOSE };

struct hold {
	enum hold_state state;
	int procs;	  /* cgroup.procs of the frozen group; -1: stop them */
	int64_t begun_ms; /* this TRYING */
	int64_t due_ms;	  /* the next look; -1: none */
	int pause_ms;	  /* between the last look and the next */
	uint64_t seen;	  /* the last look's sum of who there was and what
			   * time they had used */
	unsigned looks;
	unsigned moves;	  /* how often something went on by itself */
	bool stopped;	  /* SIGSTOP was sent */
	bool sleepy;	  /* some were in the kernel, and end what they do */
	/* processes that were stopped when it began, and are to stay so;
	 * ascending, as proc(5) lists them */
	pid_t *before;
	size_t nbefore, room;
	bool stay;	/* none is to go on: the caller's SIGSTOP */
	uint32_t later; /* the caller's SIGTSTP and its like, as 1 << signal */
};

void hold_init(struct hold *h);
/* Begin. procs -1: by SIGSTOP. */
void hold_begin(struct hold *h, int take_procs);
/* Milliseconds until hold_look() is due; -1: it is not. */
int hold_wait(const struct hold *h);
/* Look, and do what is to be done about it. The new state. */
enum hold_state hold_look(struct hold *h);
/* The caller's signal for all of them; 0 < sig <= SIGRTMAX. */
void hold_signal(struct hold *h, int sig);
/* They go on; but for those that were stopped before, or by hold_signal(). */
void hold_end(struct hold *h);

#endif
