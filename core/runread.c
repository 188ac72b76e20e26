/* runread.c - reading a run's output: bytes, lines, text
 * SPDX-License-Identifier: Apache-2.0
 *
 * All three take from what the stream keeps. Lines and text take only what is
 * whole; what is not stays until the rest has come, or nothing more can.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/base/text.h"
#include "core/session.h"

enum {
	CHAR_MAX_BYTES = 4,
	TEXT_ROOM = 8, /* the least: a character and its terminator */
};
static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* A reader that waits, and until when. */
struct wait {
	struct exeat_run *run; /* held; NULL: nothing is */
	struct stream *st;
	int64_t deadline;
	bool turned; /* once in any case, however short the time */
};

static void wait_done(struct wait *w)
{
	if (w->run)
		run_release(w->run);
}

#define cleanup_wait __attribute__((cleanup(wait_done)))

static int wait_begin(struct wait *w, struct exeat_run *run,
		      enum exeat_stream stream, const void *buf, bool has_room,
		      int timeout_ms, struct exeat_error *error)
{
	bool output = stream == EXEAT_STDOUT || stream == EXEAT_STDERR;
	struct err err;

	if (error_needs(error, "read",
			ERROR_ARGS({ "run", run }, { "buf", buf })) < 0 ||
	    error_timeout(error, "read", timeout_ms) < 0)
		return -EINVAL;
	if (!output || !has_room) {
		err_clear(&err);
		(void)err_new(&err, ERR_INVALID, "read",
			      output ? "size" : "stream",
			      output ? "too small" : "not an output");
		(void)session_error(error, &err, -EINVAL);
		return -EINVAL;
	}
	*w = (struct wait){
		.run = run,
		.st = &run->streams[stream],
		.deadline = timeout_ms < 0 ? INT64_MAX :
					     clock_ms() + timeout_ms,
	};
	run_hold(run);
	return 0;
}

/* Can more bytes come than are kept? */
static bool more_comes(const struct wait *w)
{
	return (w->st->fd >= 0 || w->st->awaited) && !w->run->lost &&
	       !stream_full(w->st);
}

/* -EAGAIN: the time is up. */
static int wait_turn(struct wait *w)
{
	int64_t left = w->deadline - clock_ms();

	left = left > 0 ? left : 0;
	if (left == 0 && w->turned)
		return -EAGAIN;
	/* a broken session ends the run too: seen by more_comes() */
	(void)exeat_session_dispatch(w->run->session,
				     left > INT32_MAX ? -1 : (int)left, NULL);
	w->turned = true;
	return 0;
}

/* Nothing is left, and nothing comes. */
static int wait_end(const struct wait *w, struct exeat_error *error)
{
	return w->run->lost ? session_error(error, &w->run->err, -EIO) : 0;
}

ssize_t exeat_run_read(struct exeat_run *run, enum exeat_stream stream,
		       void *buf, size_t size, int timeout_ms,
		       struct exeat_error *error)
{
	cleanup_wait struct wait w = { .run = NULL };
	int r = wait_begin(&w, run, stream, buf, size > 0, timeout_ms, error);

	while (r == 0 && w.st->len == 0 && more_comes(&w))
		r = wait_turn(&w);
	if (r < 0)
		return r;
	if (w.st->len > 0)
		return (ssize_t)stream_take(w.st, buf, size);
	return wait_end(&w, error);
}

/* ---- lines ---- */

/* Its length with the newline; 0: there is no newline in the first `max`. */
static size_t line_len(const struct stream *st, size_t searched, size_t max)
{
	const char *text = st->buf + st->start, *end;
	size_t len = st->len < max ? st->len : max;

	end = len > searched ? memchr(text + searched, '\n', len - searched) :
			       NULL;
	return end ? (size_t)(end - text) + 1 : 0;
}

ssize_t exeat_run_read_line(struct exeat_run *run, enum exeat_stream stream,
			    char *buf, size_t size, int timeout_ms,
			    struct exeat_error *error)
{
	size_t len = 0, searched = 0;
	cleanup_wait struct wait w = { .run = NULL };
	int r = wait_begin(&w, run, stream, buf, size > 1, timeout_ms, error);

	while (r == 0) {
		if (w.st->len > 0)
			len = line_len(w.st, searched, size - 1);
		if (len > 0 || w.st->len >= size - 1 || !more_comes(&w))
			break;
		searched = w.st->len;
		r = wait_turn(&w);
	}
	if (r < 0)
		return r;
	if (w.st->len == 0)
		return wait_end(&w, error);
	len = stream_take(w.st, buf, len > 0 ? len : size - 1);
	buf[len] = '\0';
	return (ssize_t)len;
}

/* ---- text ---- */

/* Could these `len` bytes, of no character yet, become one? */
static bool is_begun(const uint8_t *s, size_t len)
{
	size_t wanted = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint8_t whole[CHAR_MAX_BYTES + 1] = { 0 };
	size_t n;

	if (s[0] < 0xc2 || s[0] > 0xf4 || len >= wanted)
		return false;
	if (len == 1)
		return true;
	memcpy(whole, s, len);
	memset(whole + len, 0x80, wanted - len);
	(void)text_char(whole, &n);
	return n > 0;
}

/*
 * One character from `len` bytes to `out`; returns how many were taken, 0: the
 * rest of it is still to come.
 */
static size_t one_char(const uint8_t *from, size_t len, bool more, char *out,
		       size_t *ret_len)
{
	uint8_t s[CHAR_MAX_BYTES + 1] = { 0 };
	size_t n;

	memcpy(s, from, len < CHAR_MAX_BYTES ? len : CHAR_MAX_BYTES);
	(void)text_char(s, &n);
	if (n == 0 && more && is_begun(s, len))
		return 0;
	*ret_len = n > 0 ? n : sizeof(replacement) - 1;
	memcpy(out, n > 0 ? (const char *)s : replacement, *ret_len);
	return n > 0 ? n : 1;
}

/* Whole characters of what is kept, as many as there is room for. */
static size_t take_text(struct stream *st, bool more, char *buf, size_t size)
{
	const uint8_t *from = (const uint8_t *)st->buf + st->start;
	size_t taken = 0, n = 0, len;

	while (taken < st->len && size - n > CHAR_MAX_BYTES) {
		size_t used = one_char(from + taken, st->len - taken, more,
				       buf + n, &len);

		if (used == 0)
			break;
		taken += used;
		n += len;
	}
	buf[n] = '\0';
	stream_drop(st, taken);
	return n;
}

ssize_t exeat_run_read_text(struct exeat_run *run, enum exeat_stream stream,
			    char *buf, size_t size, int timeout_ms,
			    struct exeat_error *error)
{
	cleanup_wait struct wait w = { .run = NULL };
	size_t n = 0;
	int r = wait_begin(&w, run, stream, buf, size >= TEXT_ROOM, timeout_ms,
			   error);

	while (r == 0) {
		if (w.st->len > 0)
			n = take_text(w.st, more_comes(&w), buf, size);
		if (n > 0)
			return (ssize_t)n;
		if (!more_comes(&w))
			return wait_end(&w, error);
		r = wait_turn(&w);
	}
	return r;
}
