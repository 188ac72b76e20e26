/* verify.c - is an audit as it was written?
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Sessions that append to one file do not know of each other, so each has its
 * own numbers and its own chain, and they are followed side by side. After a
 * fault a session goes on from what the line says of itself: one changed line
 * is one fault, not as many as lines follow. A number that was there already
 * moves nothing, so that a line that comes twice does not hide the next.
 *
 * A session that was killed, or whose disk was full to the end, leaves half a
 * record, and the next one begins in the same line. Within a record nothing
 * can look like the beginning of one: its quotes would be escaped. So lines
 * are cut there. Half a record is no fault of its own, since it claims
 * nothing; what is missing shows in its chain. (Two sessions at once on a disk
 * that is full may tear each other's lines: that is called broken.)
 */
#include "core/audit/verify.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audit/audit.h"
#include "core/base/limits.h"

/* What every record begins with: its first field. */
#define RECORD_BEGIN "{\"time\":\""

enum { SESSION_ID_MAX = 63 };

struct session {
	struct session *next;
	char id[SESSION_ID_MAX + 1];
	struct audit_chain chain;
	uint64_t seq, line, records, lost;
	bool closed, broken;
};

struct audit_verify {
	struct audit_hooks hooks;
	struct audit_totals totals;
	void *tree; /* of sessions, by id */
	struct session *first, **last;
	char line[AUDIT_LINE_MAX]; /* what of a line is there, terminated */
	size_t len;
	bool too_long;
};

/* A record, as far as it matters here. */
struct record {
	json_t *root; /* the texts are its own */
	const char *session, *hash;
	uint64_t seq, lost;
	size_t text_len;
	bool ends;
};

static void fault(struct audit_verify *v, const struct session *s,
		  enum audit_state state, uint64_t line, const char *reason)
{
	const struct audit_fault f = {
		.line = line,
		.session = s ? s->id : "",
		.state = state,
		.reason = reason,
	};

	v->totals.faults++;
	if (state > v->totals.state)
		v->totals.state = state;
	if (v->hooks.fault)
		v->hooks.fault(v->hooks.user, &f);
}

/* ---- records ---- */

static const char *text_of(const json_t *root, const char *key)
{
	const char *text = json_string_value(json_object_get(root, key));

	return text ? text : "";
}

static uint64_t number_of(const json_t *root, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(root, key));

	return n > 0 ? (uint64_t)n : 0;
}

static bool is_hash(const char *s)
{
	return strspn(s, "0123456789abcdef") >= AUDIT_HASH_LEN;
}

/* True: *ret is a record, to be done with record_done(). */
static bool record_parse(const char *text, size_t len, struct record *ret)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct record r = { .root = root, .session = text_of(root, "session") };
	bool lifecycle = strcmp(text_of(root, "layer"), "lifecycle") == 0;

	r.hash = audit_chain_find(text, len, &r.text_len);
	r.seq = number_of(root, "seq");
	if (lifecycle) {
		r.lost = number_of(root, "dropped");
		r.ends = strcmp(text_of(root, "reason"), AUDIT_ENDS) == 0;
	}
	if (root && r.hash && is_hash(r.hash) && r.seq > 0 && *r.session &&
	    strlen(r.session) <= SESSION_ID_MAX) {
		*ret = r;
		return true;
	}
	json_decref(root);
	return false;
}

static void record_done(struct record *r)
{
	json_decref(r->root);
}

/* ---- sessions ---- */

static int compare(const void *a, const void *b)
{
	const struct session *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int session_get(struct audit_verify *v, const char *id,
		       struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s)), **found;

	if (!s)
		return -ENOMEM;
	(void)snprintf(s->id, sizeof(s->id), "%s", id);
	found = tsearch(s, &v->tree, compare);
	if (!found || *found != s) {
		free(s);
		if (!found)
			return -ENOMEM;
		*ret = *found;
		return 0;
	}
	audit_chain_init(&s->chain);
	*v->last = s;
	v->last = &s->next;
	*ret = s;
	return ++v->totals.sessions > LIMIT_AUDIT_SESSIONS ? -E2BIG : 0;
}

/* The session goes on from this record, whatever is right about it. */
static void session_advance(struct audit_verify *v, struct session *s,
			    const struct record *r)
{
	s->seq = r->seq;
	memcpy(s->chain.hash, r->hash, AUDIT_HASH_LEN);
	s->line = v->totals.lines;
	s->lost += r->lost;
	s->closed = r->ends;
	v->totals.lost += r->lost;
}

static bool fits(const struct session *s, const char *text,
		 const struct record *r)
{
	struct audit_chain chain = s->chain;

	audit_chain_add(&chain, text, r->text_len);
	return memcmp(chain.hash, r->hash, AUDIT_HASH_LEN) == 0;
}

static void session_record(struct audit_verify *v, struct session *s,
			   const char *text, const struct record *r)
{
	char why[160] = "";
	bool again = r->seq <= s->seq;

	s->records++;
	v->totals.records++;
	if (s->closed)
		(void)snprintf(why, sizeof(why),
			       "record %" PRIu64 " stands behind the end of "
			       "its session",
			       r->seq);
	else if (again)
		(void)snprintf(why, sizeof(why),
			       "record %" PRIu64
			       " stands behind record %" PRIu64
			       ": repeated, or out of order",
			       r->seq, s->seq);
	else if (r->seq > s->seq + 1)
		(void)snprintf(why, sizeof(why),
			       "records missing before record %" PRIu64
			       ": %" PRIu64,
			       r->seq, r->seq - s->seq - 1);
	else if (!fits(s, text, r))
		(void)snprintf(why, sizeof(why),
			       "the hash of record %" PRIu64 " does not fit: "
			       "it was changed, or the one before it",
			       r->seq);
	if (*why) {
		s->broken = true;
		fault(v, s, AUDIT_BROKEN, v->totals.lines, why);
	}
	if (!s->closed && !again)
		session_advance(v, s, r);
}

/* ---- lines ---- */

/* A record that breaks off: as far as it goes it is like one. */
static bool is_half(const char *text, size_t len)
{
	size_t begin = sizeof(RECORD_BEGIN) - 1;

	return memcmp(text, RECORD_BEGIN, len < begin ? len : begin) == 0 &&
	       text[len - 1] != '}';
}

/* What stands between two beginnings of records, or a whole line. */
static int piece(struct audit_verify *v, const char *text, size_t len)
{
	struct session *s = NULL;
	struct record r;
	int error;

	if (!record_parse(text, len, &r)) {
		bool half = is_half(text, len);

		fault(v, NULL, half ? AUDIT_UNTOLD : AUDIT_BROKEN,
		      v->totals.lines,
		      half ? "a record breaks off" : "this is no record");
		return 0;
	}
	error = session_get(v, r.session, &s);
	if (error == 0)
		session_record(v, s, text, &r);
	record_done(&r);
	return error;
}

static const char *next_begin(const char *from, const char *end)
{
	const char *p = memmem(from, (size_t)(end - from), RECORD_BEGIN,
			       sizeof(RECORD_BEGIN) - 1);

	return p ? p : end;
}

static int line_end(struct audit_verify *v)
{
	const char *p = v->line, *end = p + v->len;
	int r = 0;

	v->totals.lines++;
	if (v->too_long)
		fault(v, NULL, AUDIT_BROKEN, v->totals.lines,
		      "longer than a record can be");
	else if (p == end)
		fault(v, NULL, AUDIT_BROKEN, v->totals.lines,
		      "this is no record");
	while (r == 0 && p < end && !v->too_long) {
		const char *next = next_begin(p + 1, end);

		r = piece(v, p, (size_t)(next - p));
		p = next;
	}
	v->len = 0;
	v->too_long = false;
	return r;
}

static void line_add(struct audit_verify *v, const char *data, size_t len)
{
	if (len > sizeof(v->line) - v->len) {
		v->too_long = true;
		return;
	}
	memcpy(v->line + v->len, data, len);
	v->len += len;
}

int audit_verify_bytes(struct audit_verify *v, const void *data, size_t len)
{
	const char *p = data, *end = p + len;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;
		int r;

		line_add(v, p, (size_t)(stop - p));
		if (!newline)
			return 0;
		r = line_end(v);
		if (r < 0)
			return r;
		p = newline + 1;
	}
	return 0;
}

/* ---- life ---- */

struct audit_verify *audit_verify_new(const struct audit_hooks *hooks)
{
	struct audit_verify *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->hooks = *hooks;
	v->last = &v->first;
	return v;
}

static void session_end(struct audit_verify *v, const struct session *s)
{
	const struct audit_session told = {
		.id = s->id,
		.state = s->broken  ? AUDIT_BROKEN :
			 !s->closed ? AUDIT_UNTOLD :
				      AUDIT_WHOLE,
		.records = s->records,
		.lost = s->lost,
		.line = s->line,
		.hash = s->chain.hash,
	};

	if (!s->closed)
		fault(v, s, AUDIT_UNTOLD, s->line,
		      "no end behind this record: the session lives, was "
		      "killed, or its last records were cut off");
	if (v->hooks.session)
		v->hooks.session(v->hooks.user, &told);
}

int audit_verify_end(struct audit_verify *v, struct audit_totals *ret)
{
	int r = v->len > 0 || v->too_long ? line_end(v) : 0;

	if (r < 0)
		return r;
	for (const struct session *s = v->first; s; s = s->next)
		session_end(v, s);
	/* nothing at all is not whole: it may have been everything */
	if (v->totals.sessions == 0 && v->totals.state == AUDIT_WHOLE)
		v->totals.state = AUDIT_UNTOLD;
	*ret = v->totals;
	return 0;
}

static void keep(void *session)
{
	(void)session; /* freed by the list */
}

void audit_verify_free(struct audit_verify *v)
{
	if (!v)
		return;
	tdestroy(v->tree, keep);
	while (v->first) {
		struct session *s = v->first;

		v->first = s->next;
		free(s);
	}
	free(v);
}
