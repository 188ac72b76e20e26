/* attend.c - between a run and the caller's own descriptors and signals
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/cli/attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/base/fd.h"

enum { PIECE = 4096 }; /* PIPE_BUF: a pipe with room takes it at once */

/* By nohup(1), or as a job of a shell without job control. A signalfd would
 * have it all the same. */
static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 &&
	       action.sa_handler == SIG_IGN;
}

int attend_begin(struct attend *a)
{
	static const int heard[] = { SIGINT,  SIGTERM, SIGHUP,	SIGQUIT,
				     SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
		if (!is_ignored(heard[i]))
			(void)sigaddset(&set, heard[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	a->keys = a->pty;
	return a->signals < 0 ? -errno : 0;
}

/* ---- the caller's terminal ---- */

void attend_window(unsigned short *ret_rows, unsigned short *ret_cols)
{
	struct winsize size = { 0 };

	for (int fd = STDOUT_FILENO; fd >= STDIN_FILENO; fd--)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0)
			break;
	*ret_rows = size.ws_row;
	*ret_cols = size.ws_col;
}

/* A command that has this terminal is in none of its process groups. */
static void window_changed(struct attend *a)
{
	unsigned short rows, cols;

	if (!a->pty) {
		(void)exeat_run_kill(a->run, SIGWINCH, NULL);
		return;
	}
	attend_window(&rows, &cols);
	if (rows > 0 && cols > 0)
		(void)exeat_run_resize(a->run, rows, cols, NULL);
}

/* A job whose shell has the terminal itself: its modes are the shell's now. */
static bool in_background(int terminal)
{
	pid_t front = tcgetpgrp(terminal);

	return front >= 0 && front != getpgrp();
}

/* Every key is the run's: none is a signal here, none is echoed. In the
 * background the whole job stops instead, as one stops that would change the
 * terminal. Not by the change itself, which would be tried again before any
 * signal was taken: `kill %1` means us, although it finds us stopped. */
static void raw_begin(struct attend *a)
{
	struct termios raw;

	if (!a->pty || tcgetattr(STDIN_FILENO, &raw) < 0)
		return;
	if (in_background(STDIN_FILENO)) {
		if (!a->ending)
			(void)kill(0, SIGTTOU);
		return;
	}
	if (!a->is_raw)
		a->before = raw;
	cfmakeraw(&raw);
	a->is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void raw_end(struct attend *a)
{
	if (a->is_raw && !in_background(STDIN_FILENO))
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &a->before);
	a->is_raw = false;
}

void attend_end(struct attend *a)
{
	raw_end(a);
	fd_close(&a->signals);
}

/* ---- a terminal that the run has, too ---- */

static bool is_readable(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}

/* The run of a job in the background: nothing is typed for it. */
static void share_little(int fd, struct exeat_run_options *o)
{
	char path[32];

	o->stdio[fd] = EXEAT_STDIO_NONE;
	if (fd == STDIN_FILENO)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o->stdio_fd[fd] = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	/* if the terminal is another user's, it is written to for the run */
	o->stdio[fd] = o->stdio_fd[fd] < 0 ? EXEAT_STDIO_CALLBACK :
					     EXEAT_STDIO_FD;
}

void attend_share(struct attend *a, bool outputs, struct exeat_run_options *o)
{
	for (int fd = 0; fd <= (outputs ? STDERR_FILENO : STDIN_FILENO); fd++) {
		o->stdio[fd] = EXEAT_STDIO_INHERIT;
		if (tcgetpgrp(fd) < 0 || !is_readable(fd))
			continue;
		if (in_background(fd))
			share_little(fd, o);
		else
			a->terminal = fd;
	}
}

/* Its time stands still, too; from a callback that cannot be had. The shell
 * puts the terminal back into its own modes. */
static void run_hold(struct attend *a)
{
	a->has_modes = a->terminal >= 0 && !in_background(a->terminal) &&
		       tcgetattr(a->terminal, &a->modes) == 0;
	if (exeat_session_pause(a->session, NULL) < 0)
		a->held = exeat_run_kill(a->run, SIGSTOP, NULL) == 0;
}

static void run_let_go(struct attend *a)
{
	if (a->has_modes && !in_background(a->terminal))
		(void)tcsetattr(a->terminal, TCSADRAIN, &a->modes);
	a->has_modes = false;
	(void)exeat_session_resume(a->session, NULL);
	if (a->held)
		(void)exeat_run_kill(a->run, SIGCONT, NULL);
	a->held = false;
}

static bool is_continued(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, SIGCONT) == 1;
}

/* By the signal itself: where no shell could continue us it does nothing.
 * False then; else we have been continued, and hear of that next. */
static bool job_stop(int number)
{
	sigset_t set, mask;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, number);
	(void)kill(number == SIGTSTP ? getpid() : 0, number);
	(void)sigprocmask(SIG_UNBLOCK, &set, &mask);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	return is_continued();
}

static void job_continued(struct attend *a)
{
	if (a->terminal >= 0 && !a->ending && in_background(a->terminal)) {
		if (!a->quiet)
			(void)fputs("exeat: the command has the terminal to "
				    "read: it waits for fg\n",
				    stderr);
		if (job_stop(SIGTTIN))
			return;
	}
	if (a->pty)
		raw_begin(a);
	else
		run_let_go(a);
	window_changed(a);
}

static void stop_asked(struct attend *a)
{
	if (a->pty) {
		/* from elsewhere: the key goes in as a key */
		raw_end(a);
		(void)raise(SIGSTOP);
		return;
	}
	run_hold(a);
	if (!job_stop(SIGTSTP))
		job_continued(a);
}

/* ---- signals ---- */

static void signal_take(struct attend *a, int number)
{
	switch (number) {
	case SIGWINCH:
		return window_changed(a);
	case SIGTSTP:
		return stop_asked(a);
	case SIGCONT:
		return job_continued(a);
	default:
		a->ending = true;
		(void)exeat_run_kill(a->run, number, NULL);
	}
}

static void signals_take(struct attend *a)
{
	struct signalfd_siginfo si;

	while (read(a->signals, &si, sizeof(si)) == sizeof(si))
		signal_take(a, (int)si.ssi_signo);
}

/* ---- output ---- */

/* Its reader has gone, or the terminal has: the command is told as by a pipe
 * of its own, else it would write, and nobody would read, without end. */
static void output_refused(struct attend *a, int errnum)
{
	if ((errnum != EPIPE && errnum != EIO) || a->unread)
		return;
	a->unread = true;
	(void)exeat_run_kill(a->run, SIGPIPE, NULL);
}

/* Signals are heard while whoever reads us takes its time. */
void attend_output(void *attend, struct exeat_run *run,
		   enum exeat_stream stream, const void *data, size_t len)
{
	const int fd = stream == EXEAT_STDERR ? STDERR_FILENO : STDOUT_FILENO;
	struct attend *a = attend;
	const char *at = data;

	(void)run;
	while (len > 0) {
		struct pollfd fds[2] = {
			{ .fd = fd, .events = POLLOUT },
			{ .fd = a->signals, .events = POLLIN },
		};
		ssize_t n;

		(void)poll(fds, 2, -1);
		if (fds[1].revents)
			signals_take(a);
		if (!fds[0].revents)
			continue;
		n = write(fd, at, len < PIECE ? len : PIECE);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return output_refused(a, errno);
		at += n;
		len -= (size_t)n;
	}
}

/* ---- input ---- */

static void keys_give(struct attend *a)
{
	ssize_t n = exeat_run_write_some(a->run, a->typed, a->ntyped, NULL);

	if (n < 0 && n != -EAGAIN) {
		a->keys = false; /* the run has ended, or is about to */
		return;
	}
	n = n > 0 ? n : 0;
	a->ntyped -= (size_t)n;
	memmove(a->typed, a->typed + n, a->ntyped);
	/* what the run does not take now, it takes later: nothing is read
	 * from the terminal meanwhile */
	a->keys = a->ntyped == 0;
}

void attend_input(void *attend, struct exeat_run *run)
{
	(void)run;
	keys_give(attend);
}

/* Reading in the background stops us, and our end would not be seen. */
static bool keys_wanted(const struct attend *a)
{
	return a->keys && !(a->ending && in_background(STDIN_FILENO));
}

static void keys_take(struct attend *a)
{
	ssize_t n = read(STDIN_FILENO, a->typed, sizeof(a->typed));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		a->keys = false;
		return exeat_run_close_stdin(a->run);
	}
	a->ntyped = (size_t)n;
	keys_give(a);
}

/* ---- the loop ---- */

int attend_run(struct attend *a, struct exeat_error *error)
{
	struct pollfd fds[3] = {
		{ .fd = exeat_session_fd(a->session), .events = POLLIN },
		{ .fd = a->signals, .events = POLLIN },
		{ .events = POLLIN },
	};
	int r;

	raw_begin(a);
	while ((r = exeat_run_wait(a->run, 0, error)) == 0) {
		fds[2].fd = keys_wanted(a) ? STDIN_FILENO : -1;
		(void)poll(fds, 3, -1);
		if (fds[1].revents)
			signals_take(a);
		if (fds[2].revents)
			keys_take(a);
	}
	return r;
}
