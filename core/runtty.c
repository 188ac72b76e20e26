/* runtty.c - a run with a terminal of its own
 * SPDX-License-Identifier: Apache-2.0
 *
 * The terminal is made inside, in the run's devpts, so that what a program
 * calls it exists for it. The end that we read and type at comes while the
 * command starts; until then what is typed waits, and so does the size.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/session.h"

int run_tty_await(struct exeat_run *run, const struct exeat_run_options *o,
		  struct err *err)
{
	struct stream *in = &run->streams[EXEAT_STDIN];

	run->callback[EXEAT_STDOUT] = o->stdio[EXEAT_STDOUT] ==
				      EXEAT_STDIO_CALLBACK;
	in->awaited = run->streams[EXEAT_STDOUT].awaited = true;
	if (o->stdio[EXEAT_STDIN] != EXEAT_STDIO_BYTES)
		return 0;
	if (stream_queue(in, o->stdin_bytes, o->stdin_len) < 0)
		return err_sys(err, ENOMEM, "copy", "stdin");
	exeat_run_close_stdin(run);
	return 0;
}

static int tty_resize(struct exeat_run *run)
{
	const struct winsize size = {
		.ws_row = run->rows,
		.ws_col = run->cols,
	};
	int fd = run->streams[EXEAT_STDOUT].fd;

	return fd < 0 || ioctl(fd, TIOCSWINSZ, &size) == 0 ? 0 : -errno;
}

void run_tty(struct exeat_run *run, int take_fd)
{
	struct stream *in = &run->streams[EXEAT_STDIN];
	struct stream *out = &run->streams[EXEAT_STDOUT];
	unsigned number;
	int copy, r;

	if (run->phase == PHASE_OVER || !out->awaited) {
		(void)close(take_fd);
		return;
	}
	in->awaited = out->awaited = false;
	/* nothing else is to be read from, or written to, in its place */
	copy = ioctl(take_fd, TIOCGPTN, &number) < 0 ?
		       -1 :
		       fcntl(take_fd, F_DUPFD_CLOEXEC, 3);
	r = copy < 0 ? -errno : stream_attach(in, copy);
	if (r == 0)
		r = stream_attach(out, take_fd);
	else
		(void)close(take_fd);
	if (r == 0)
		r = tty_resize(run);
	if (r == 0)
		return;
	/* nobody could talk to it */
	(void)err_sys(&run->err, -r, "watch", "terminal");
	(void)exeat_run_kill(run, SIGKILL, NULL);
}

int exeat_run_resize(struct exeat_run *run, unsigned short rows,
		     unsigned short cols, struct exeat_error *error)
{
	struct err err;
	int r;

	if (error_needs(error, "resize", ERROR_ARGS({ "run", run })) < 0)
		return -EINVAL;
	err_clear(&err);
	if (!run->pty)
		r = err_new(&err, ERR_INVALID, "resize", "pty",
			    "the run has no terminal");
	else if (rows == 0 || cols == 0)
		r = err_new(&err, ERR_INVALID, "resize",
			    rows == 0 ? "rows" : "cols", "is 0");
	else {
		run->rows = rows;
		run->cols = cols;
		r = tty_resize(run);
		if (r < 0)
			r = err_sys(&err, -r, "resize", "terminal");
	}
	return r < 0 ? session_error(error, &err, r) : 0;
}
