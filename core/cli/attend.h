/* attend.h - between a run and the caller's own descriptors and signals
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Most runs have the caller's stdin, stdout and stderr, and only signals are
 * to be passed on. Where output must be seen (it is limited, or its absence
 * is) it is copied. With a terminal of the run's own, the caller's becomes a
 * wire to it: raw, keys go in as they come, the window's size goes with them.
 *
 * Signals that end a foreground program are passed on to the command's tree
 * instead of ending us, so that its end, whatever it is, is reported and a
 * terminal is given back as it was. Those that the caller ignores are ignored.
 *
 * We are a job of the caller's shell; the command is not, for it lives in a
 * session of its own, and to the kernel it may read a terminal that it was
 * handed whoever has it. So what is typed at the shell must be kept from it
 * here. When we are stopped, it is; in the background it goes on only if it has
 * no terminal to read: one that begins there gets none, others wait for `fg`.
 * With a terminal of its own we stop there at once; `fg` makes the wire.
 */
#ifndef EXEAT_CORE_CLI_ATTEND_H
#define EXEAT_CORE_CLI_ATTEND_H

#include <stdbool.h>
#include <termios.h>

#include "core/include/exeat.h"

struct attend {
	struct exeat_session *session;
	struct exeat_run *run;
	int signals;		/* signalfd; -1: none yet */
	bool pty, keys;		/* keys: stdin is read, and goes in */
	bool quiet;		/* no notices */
	int terminal;		/* the caller's, that the run may read; -1 */
	bool held;		/* by SIGSTOP: it could not be paused */
	bool has_modes;		/* which the run had set when it was stopped */
	struct termios modes;
	char typed[4096];	/* what the run did not take yet */
	size_t ntyped;
	bool is_raw, ending;	/* ending: a signal was passed on */
	bool unread;		/* who reads its output has gone; it was told */
	struct termios before;	/* of the caller's terminal */
};

/* Before the session begins: nothing is lost from then on. 0 or -errno. */
int attend_begin(struct attend *a);
/* A run that has our stdin, and our stdout and stderr if `outputs`. */
void attend_share(struct attend *a, bool outputs, struct exeat_run_options *o);
/* What the run's output goes through where it is copied: on_output. */
void attend_output(void *attend, struct exeat_run *run,
		   enum exeat_stream stream, const void *data, size_t len);
/* on_stdin_ready of a run with a terminal. */
void attend_input(void *attend, struct exeat_run *run);
/* The size of the caller's window, or 0. */
void attend_window(unsigned short *ret_rows, unsigned short *ret_cols);
/* Until the run has ended. As exeat_run_wait(). */
int attend_run(struct attend *a, struct exeat_error *error);
/* Should: in any case. The terminal is as it was. */
void attend_end(struct attend *a);

#endif
