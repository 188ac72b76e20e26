/* audit.h - events: what was allowed, refused or failed, one JSON line each
 * SPDX-License-Identifier: Apache-2.0
 *
 * An event is a flat struct; what it leaves zero is left out of the line,
 * except where a `has_` flag says that zero is meant. All text is borrowed
 * for the call, and all of it is taken for hostile: escaped and bounded. The
 * fields, their JSON names and their meaning are one table, see schema.h.
 */
#ifndef EXEAT_AUDIT_AUDIT_H
#define EXEAT_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/audit/chain.h"
#include "core/base/addr.h"
#include "core/base/buf.h"

enum audit_layer {
	AUDIT_DNS,
	AUDIT_KERNEL,
	AUDIT_TCP,
	AUDIT_TLS,
	AUDIT_HTTP,
	AUDIT_UDP,
	AUDIT_PROXY,
	AUDIT_POLICY,
	AUDIT_LIFECYCLE,
};

enum audit_verdict {
	AUDIT_DENY,
	AUDIT_ALLOW,
	AUDIT_FAIL,		/* allowed, but it did not work: see errno */
	AUDIT_NONE,		/* nothing was decided (lifecycle): left out */
};

struct audit_event {
	int64_t time_us;	/* wall clock, microseconds since 1970 */
	uint64_t seq;		/* set by audit_write() */
	const char *session, *label;
	uint32_t run;		/* 0: none or several */
	uint32_t posture;	/* 0: none */
	enum audit_layer layer;
	enum audit_verdict verdict;
	const char *protocol;
	const char *name, *learnt;
	bool has_address;
	struct addr address;
	uint16_t port;
	const char *rule, *reason, *hint;
	int error;		/* errno, positive */
	bool has_bytes;
	uint64_t bytes_in, bytes_out;	/* to and from the payload */
	bool has_duration;
	uint64_t duration_ms;
	const char *chain;	/* CNAMEs, a blank between */
	uint64_t dropped;
	uint32_t pid;
	const char *exe;
	const char *hash;	/* put in by audit_write(); see chain.h */
};

/* "dns", "deny", ...; NULL for AUDIT_NONE and what is no such value. */
const char *audit_layer_name(enum audit_layer layer);
const char *audit_verdict_name(enum audit_verdict verdict);

/*
 * Append the event as one line, newline included. 0; -EINVAL (layer or
 * verdict out of range); -ENOMEM (out of memory, or over the limit of `line`:
 * AUDIT_LINE_MAX is always enough for one).
 */
enum { AUDIT_LINE_MAX = 16 * 1024 };
int audit_format(const struct audit_event *e, struct sbuf *line);

/*
 * An event as the body of a message, and back. The text of a decoded one is
 * borrowed from `body`. False if malformed.
 */
void audit_encode(const struct audit_event *e, struct sbuf *ret);
bool audit_decode(const void *body, size_t len, struct audit_event *ret);

/*
 * The writer
 *
 * Lines are numbered without gaps and chained, so that a missing one shows,
 * and a changed one. What cannot be written is lost, never queued and never
 * waited for: a slow reader must not stop the gate. The loss is counted, and
 * the next line that gets through comes behind a lifecycle line that says how
 * many were lost and why. A line that went out in part is completed before
 * anything else is written.
 *
 * Should: SIGPIPE is ignored by the process.
 */
struct audit_writer {
	int fd;			/* -1: nowhere; events are only counted */
	uint64_t seq;		/* of the last line */
	struct audit_chain chain;	/* up to the last line */
	uint64_t total;		/* events that came */
	uint64_t lost;		/* of these, not written: all time */
	uint64_t unsaid;	/* lost, and no line has said so yet */
	uint32_t per_second;	/* 0: no limit */
	uint64_t allowance;	/* private: thousandths of events */
	int64_t last_ms;	/* private */
	struct sbuf line;	/* private: from `sent` on still to write */
	size_t sent;
};

/* Takes the descriptor over. A burst of one second's events is admitted. */
void audit_writer_init(struct audit_writer *w, int take_fd,
		       uint32_t per_second);
void audit_writer_done(struct audit_writer *w);

/*
 * Write one event; `now_ms` is the monotonic clock. 0; -EAGAIN (full) or
 * -EBUSY (over the rate): lost and counted; another -errno: lost, and writing
 * does not work at all.
 */
int audit_write(struct audit_writer *w, const struct audit_event *e,
		int64_t now_ms);

/*
 * At the end: complete a line that went out in part and say what was lost,
 * with the time, session and label of `like`. 0 or -errno.
 */
int audit_flush(struct audit_writer *w, const struct audit_event *like);
/* The same, and then the line that closes the chain. Nothing may follow. */
int audit_end(struct audit_writer *w, const struct audit_event *like);

#endif
