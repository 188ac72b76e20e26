/* writer.c - event lines to a descriptor, losing rather than waiting
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * `line` holds what is being written, at most two lines: the one that tells
 * of a loss and the event's own. Either nothing of it reaches the descriptor
 * (then it is forgotten, the event is lost, and its number is used again) or
 * some of it does: then the rest stays in `line` and goes first, and until it
 * is gone every other event is lost. So memory is bounded, and no reader ever
 * sees half a line in the middle of a stream. Number and chain go on with what
 * is written, never with what is lost.
 *
 * The rate is a bucket of thousandths of events, filled by the clock that the
 * caller passes in.
 */
#include "core/audit/audit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"

void audit_writer_init(struct audit_writer *w, int take_fd, uint32_t per_second)
{
	*w = (struct audit_writer){
		.fd = take_fd,
		.per_second = per_second,
		.allowance = (uint64_t)per_second * 1000,
		.last_ms = INT64_MIN,
	};
	audit_chain_init(&w->chain);
	sbuf_init(&w->line, 2 * AUDIT_LINE_MAX);
}

void audit_writer_done(struct audit_writer *w)
{
	sbuf_done(&w->line);
	fd_close(&w->fd);
}

static bool within_rate(struct audit_writer *w, int64_t now_ms)
{
	uint64_t full = (uint64_t)w->per_second * 1000, passed;

	if (w->per_second == 0)
		return true;
	if (w->last_ms == INT64_MIN || now_ms < w->last_ms)
		w->last_ms = now_ms;
	passed = (uint64_t)(now_ms - w->last_ms);
	w->last_ms = now_ms;
	/* a second fills it: no need to multiply more, and no overflow */
	if (passed >= 1000 || w->allowance + passed * w->per_second >= full)
		w->allowance = full;
	else
		w->allowance += passed * w->per_second;
	if (w->allowance < 1000)
		return false;
	w->allowance -= 1000;
	return true;
}

static void line_clear(struct audit_writer *w)
{
	sbuf_clear(&w->line);
	w->sent = 0;
}

/* A socket that nobody reads must not be waited for, whoever shares it. */
static ssize_t put(int fd, const char *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

/* Write from `sent` on. 0: all of it. -EAGAIN: not all. Else broken. */
static int line_push(struct audit_writer *w)
{
	while (w->sent < w->line.len) {
		ssize_t n =
			put(w->fd, w->line.s + w->sent, w->line.len - w->sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		if (n == 0)
			return -EIO;
		w->sent += (size_t)n;
	}
	line_clear(w);
	return 0;
}

/* One line more to write; the number and the chain are its own then. */
static int add_line(struct audit_writer *w, const struct audit_event *e,
		    uint64_t *seq, struct audit_chain *chain)
{
	struct audit_event numbered = *e;
	size_t from = w->line.len;
	int r;

	numbered.seq = ++*seq;
	numbered.hash = NULL;
	r = audit_format(&numbered, &w->line);
	return r < 0 ? r : audit_chain_seal(chain, &w->line, from);
}

/* The line that tells of the loss, at the time and of the session of `e`. */
static int add_loss(struct audit_writer *w, const struct audit_event *e,
		    uint64_t *seq, struct audit_chain *chain)
{
	const struct audit_event loss = {
		.time_us = e->time_us,
		.session = e->session,
		.label = e->label,
		.layer = AUDIT_LIFECYCLE,
		.verdict = AUDIT_NONE,
		.reason = "events lost: they came faster than they could "
			  "be written",
		.dropped = w->unsaid,
	};

	return add_line(w, &loss, seq, chain);
}

/* Write what was lost, if anything was, and then the event if `whole`. */
static int write_lines(struct audit_writer *w, const struct audit_event *e,
		       bool whole)
{
	struct audit_chain chain = w->chain;
	uint64_t seq = w->seq;
	int r = 0;

	if (w->unsaid > 0)
		r = add_loss(w, e, &seq, &chain);
	if (r == 0 && whole)
		r = add_line(w, e, &seq, &chain);
	if (r == 0)
		r = line_push(w);
	if (r < 0 && w->sent == 0) {
		line_clear(w);
		return r;
	}
	/* written, or partly: then the rest follows, the lines are counted */
	w->seq = seq;
	w->chain = chain;
	w->unsaid = 0;
	return 0;
}

int audit_write(struct audit_writer *w, const struct audit_event *e,
		int64_t now_ms)
{
	int r;

	w->total++;
	if (w->fd < 0)
		return 0;
	r = within_rate(w, now_ms) ? 0 : -EBUSY;
	if (r == 0 && w->line.len > 0)
		r = line_push(w);
	if (r == 0)
		r = write_lines(w, e, true);
	if (r < 0) {
		w->lost++;
		w->unsaid++;
	}
	return r;
}

/* What is unfinished or unsaid, and then the event, if there is one. */
static int finish(struct audit_writer *w, const struct audit_event *like,
		  const struct audit_event *last)
{
	int r = 0;

	if (w->fd < 0)
		return 0;
	if (w->line.len > 0)
		r = line_push(w);
	if (r == 0 && (w->unsaid > 0 || last))
		r = write_lines(w, last ? last : like, last != NULL);
	if (r == 0 && w->line.len > 0)
		r = -EAGAIN;
	return r;
}

int audit_flush(struct audit_writer *w, const struct audit_event *like)
{
	return finish(w, like, NULL);
}

int audit_end(struct audit_writer *w, const struct audit_event *like)
{
	const struct audit_event end = {
		.time_us = like->time_us,
		.session = like->session,
		.label = like->label,
		.layer = AUDIT_LIFECYCLE,
		.verdict = AUDIT_NONE,
		.reason = AUDIT_ENDS,
	};

	return finish(w, like, &end);
}
