/* stream.c - the pipes of a run, and what is in between
 * SPDX-License-Identifier: Apache-2.0
 *
 * Output: read as it comes, given to the callback or kept until somebody
 * reads it. Over STREAM_KEEP bytes the pipe is left alone until there is room:
 * the payload waits, nothing is lost. Input: kept until the pipe takes it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/session.h"

enum {
	STREAM_CHUNK = 64 << 10,
	STREAM_KEEP = 64 << 20,
	STREAM_INPUT = 256 << 10, /* taken without waiting */
};

void stream_init(struct exeat_run *run, enum exeat_stream which)
{
	struct stream *st = &run->streams[which];

	*st = (struct stream){ .run = run, .which = which, .fd = -1 };
	st->source = (struct source){ SOURCE_STREAM, st };
}

static uint32_t interest(const struct stream *st)
{
	if (st->which == EXEAT_STDIN)
		return st->len > 0 ? EPOLLOUT : 0;
	if (st->len >= STREAM_KEEP)
		return 0;
	return st->hung ? EPOLLIN | (uint32_t)EPOLLET : EPOLLIN;
}

static void stream_unwatch(struct stream *st)
{
	if (st->watched)
		(void)epoll_ctl(st->run->session->epoll, EPOLL_CTL_DEL, st->fd,
				NULL);
	st->watched = false;
}

/*
 * A descriptor that nothing is wanted of is taken out: epoll reports a hang-up
 * of what it has, wanted or not.
 */
static int stream_watch(struct stream *st)
{
	uint32_t events = interest(st);
	int r = 0;

	if (st->fd < 0 || events == 0) {
		stream_unwatch(st);
		return 0;
	}
	if (!st->watched)
		r = session_watch(st->run->session, st->fd, &st->source, events,
				  true);
	st->watched = r == 0;
	return r;
}

/*
 * Nobody has the terminal, or somebody has it again. While nobody has, it is
 * always readable: only what changes is of interest.
 */
static void stream_hang(struct stream *st, bool hung)
{
	if (st->hung == hung)
		return;
	st->hung = hung;
	stream_unwatch(st);
	(void)stream_watch(st);
}

int stream_attach(struct stream *st, int take_fd)
{
	int r;

	st->fd = take_fd;
	r = fd_nonblock(take_fd, true);
	return r < 0 ? r : stream_watch(st);
}

void stream_close(struct stream *st)
{
	st->awaited = false;
	if (st->fd < 0)
		return;
	stream_unwatch(st);
	fd_close(&st->fd);
}

void stream_done(struct stream *st)
{
	stream_close(st);
	free(st->buf);
	st->buf = NULL;
	st->start = st->len = st->size = 0;
}

/*
 * Room for n more bytes behind what is there. What was taken is given back
 * when it is the greater part: a byte is moved once on average.
 */
static char *reserve(struct stream *st, size_t n)
{
	size_t size = st->size ? st->size : STREAM_CHUNK;
	char *buf;

	if (st->start >= st->len && st->start > 0) {
		memmove(st->buf, st->buf + st->start, st->len);
		st->start = 0;
	}
	if (n > SIZE_MAX / 4)
		return NULL;
	while (size < st->start + st->len + n)
		size *= 2;
	if (size != st->size) {
		buf = realloc(st->buf, size);
		if (!buf)
			return NULL;
		st->buf = buf;
		st->size = size;
	}
	return st->buf + st->start + st->len;
}

/* The caller's SIGPIPE is its own: one that we would cause is taken back. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
	static const struct timespec now = { 0 };
	sigset_t sigpipe, mask, pending;
	ssize_t n;
	int error;

	(void)sigemptyset(&sigpipe);
	(void)sigaddset(&sigpipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &sigpipe, &mask);
	(void)sigpending(&pending);
	n = write(fd, data, len);
	error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&sigpipe, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = error;
	return n;
}

/* Room again for a caller that was told to wait. */
static void input_room(struct stream *st)
{
	struct exeat_run *run = st->run;

	if (!run->wants_stdin || (st->fd >= 0 && st->len >= STREAM_INPUT / 2))
		return;
	run->wants_stdin = false;
	if (run->on_stdin_ready)
		run->on_stdin_ready(run->user_data, run);
}

static void input_ready(struct stream *st)
{
	ssize_t n = write_quietly(st->fd, st->buf + st->start, st->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* nobody reads any more: what is left has no addressee */
		st->len = 0;
		stream_close(st);
		return input_room(st);
	}
	st->start += (size_t)n;
	st->len -= (size_t)n;
	if (st->len == 0 && st->close_when_empty)
		return stream_close(st);
	if (st->len == 0)
		stream_unwatch(st);
	input_room(st);
}

ssize_t stream_queue_some(struct stream *st, const void *data, size_t len)
{
	size_t room = st->len < STREAM_INPUT ? STREAM_INPUT - st->len : 0;
	size_t n = len < room ? len : room;
	int r;

	if ((st->fd < 0 && !st->awaited) || st->close_when_empty)
		return -EPIPE;
	if (n == 0)
		return len == 0 ? 0 : -EAGAIN;
	r = stream_queue(st, data, n);
	return r < 0 ? r : (ssize_t)n;
}

/* How many of n bytes that came are still within the limit. */
static size_t output_cut(struct stream *st, size_t n)
{
	struct exeat_run *run = st->run;

	st->total += n;
	if (run->idle_ms)
		run->active_ms = clock_ms();
	if (n <= run->output_left) {
		if (run->output_left != UINT64_MAX)
			run->output_left -= n;
		return n;
	}
	n = (size_t)run->output_left;
	run->output_left = 0;
	if (st->which == EXEAT_STDOUT)
		run->result.stdout_cut = 1;
	else
		run->result.stderr_cut = 1;
	run_end(run, RUN_OUTPUT);
	return n;
}

static void output_end(struct stream *st)
{
	stream_close(st);
	run_check(st->run);
}

/*
 * What a callback is given stays as it is until it returns, whatever it calls:
 * more of the stream may come meanwhile, and its run be freed.
 */
static void output_give(struct stream *st, const char *data, size_t n)
{
	struct exeat_run *run = st->run;
	const size_t size = st->size;
	char *lent = st->buf;

	st->buf = NULL;
	st->size = 0;
	run->on_output(run->user_data, run, st->which, data, n);
	if (st->buf || st->fd < 0)
		return free(lent);
	st->buf = lent;
	st->size = size;
}

/* False if nothing could be read for lack of memory. */
static bool output_ready(struct stream *st)
{
	struct exeat_run *run = st->run;
	char *room = reserve(st, STREAM_CHUNK);
	ssize_t n;

	if (!room)
		return false; /* asked again; the payload waits meanwhile */
	n = read(st->fd, room, STREAM_CHUNK);
	if (n < 0 && errno == EINTR)
		return true;
	/* after the exit: whoever still holds the other end is not of this run */
	if (n < 0 && errno == EAGAIN && !run->exited)
		return true;
	/* nobody has the terminal now, but /dev/tty may be opened again. Were
	 * our end closed, the command would be hung up, even while it exits */
	if (n < 0 && errno == EIO && run->pty && !run->exited) {
		stream_hang(st, true);
		return true;
	}
	if (n <= 0) {
		output_end(st);
		return true;
	}
	stream_hang(st, false);
	n = (ssize_t)output_cut(st, (size_t)n);
	if (n > 0 && run->callback[st->which]) {
		output_give(st, room, (size_t)n);
	} else {
		st->len += (size_t)n;
		if (st->len >= STREAM_KEEP)
			stream_unwatch(st);
	}
	return true;
}

void stream_ready(struct stream *st)
{
	if (st->fd < 0)
		return;
	if (st->which == EXEAT_STDIN)
		input_ready(st);
	else
		(void)output_ready(st);
}

void stream_drain(struct stream *st)
{
	while (st->fd >= 0 && st->len < STREAM_KEEP && output_ready(st))
		;
}

int stream_queue(struct stream *st, const void *data, size_t len)
{
	char *room;

	if (st->fd < 0 && !st->awaited)
		return -EPIPE;
	if (len == 0)
		return 0;
	room = reserve(st, len);
	if (!room)
		return -ENOMEM;
	memcpy(room, data, len);
	st->len += len;
	st->last = room[len - 1];
	return stream_watch(st);
}

bool stream_full(const struct stream *st)
{
	return st->fd >= 0 && st->which != EXEAT_STDIN &&
	       st->len >= STREAM_KEEP;
}

void stream_drop(struct stream *st, size_t n)
{
	st->start += n;
	st->len -= n;
	if (st->len == 0)
		st->start = 0;
	/* a failure shows again, and is heard, when the pipe is attached */
	(void)stream_watch(st);
}

size_t stream_take(struct stream *st, void *buf, size_t size)
{
	size_t n = st->len < size ? st->len : size;

	memcpy(buf, st->buf + st->start, n);
	stream_drop(st, n);
	return n;
}
