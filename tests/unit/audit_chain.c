/* audit_chain.c - the chain of an audit's lines, and what breaks it
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/audit/audit.h"
#include "core/audit/verify.h"
#include "core/base/buf.h"
#include "core/base/limits.h"

enum { LINES = 9, A = 0, B = 1, FAULTS = 64 };

/* Two sessions in one file: who wrote each of its lines. */
static const int writers[LINES] = { A, B, A, A, B, A, B, B, A };
static const char *const ids[] = { "aaaa", "bbbb" };

struct file {
	char *lines[LINES];
};

static char *drain(int fd)
{
	off_t len = lseek(fd, 0, SEEK_CUR);
	char *text = calloc(1, (size_t)len + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)len, 0), len);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return text;
}

/* The i-th line of its session: the first, one in between, the last. */
static void write_line(struct audit_writer *w, int who, int nth, bool last)
{
	const struct audit_event e = {
		.time_us = 1700000000000000 + nth,
		.session = ids[who],
		.layer = nth == 1 ? AUDIT_LIFECYCLE : AUDIT_TCP,
		.verdict = nth == 1 ? AUDIT_NONE : AUDIT_DENY,
		.name = nth == 1 ? NULL : "a \"name\" {\"time\":\"",
		.reason = nth == 1 ? AUDIT_BEGINS : "default",
	};

	if (last)
		assert_int_equal(audit_end(w, &e), 0);
	else
		assert_int_equal(audit_write(w, &e, nth), 0);
}

static int setup(void **state)
{
	struct file *f = calloc(1, sizeof(*f));
	int fd = memfd_create("audit", MFD_CLOEXEC);
	struct audit_writer w[2];
	int left[2] = { 5, 4 }, nth[2] = { 0, 0 };

	assert_non_null(f);
	assert_true(fd >= 0);
	for (int who = A; who <= B; who++)
		audit_writer_init(&w[who], dup(fd), 0);
	for (int i = 0; i < LINES; i++) {
		int who = writers[i];

		write_line(&w[who], who, ++nth[who], --left[who] == 0);
		f->lines[i] = drain(fd);
	}
	for (int who = A; who <= B; who++)
		audit_writer_done(&w[who]);
	close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct file *f = *state;

	for (int i = 0; i < LINES; i++)
		free(f->lines[i]);
	free(f);
	return 0;
}

/* ---- verifying ---- */

struct found {
	struct audit_totals totals;
	size_t n;
	struct {
		uint64_t line;
		enum audit_state state;
		char session[80], reason[200];
	} faults[FAULTS];
	struct audit_session sessions[2];
	size_t nsessions;
	char heads[2][AUDIT_HASH_LEN + 1];
};

static void on_fault(void *user, const struct audit_fault *f)
{
	struct found *found = user;

	assert_true(found->n < FAULTS);
	found->faults[found->n].line = f->line;
	found->faults[found->n].state = f->state;
	snprintf(found->faults[found->n].session, 80, "%s", f->session);
	snprintf(found->faults[found->n++].reason, 200, "%s", f->reason);
}

static void on_session(void *user, const struct audit_session *s)
{
	struct found *found = user;

	if (found->nsessions < 2) {
		found->sessions[found->nsessions] = *s;
		memcpy(found->heads[found->nsessions], s->hash,
		       AUDIT_HASH_LEN + 1);
	}
	found->nsessions++;
}

/* Fed in pieces of `step` bytes. */
static struct found verify(const char *text, size_t len, size_t step)
{
	struct found found = { 0 };
	const struct audit_hooks hooks = { &found, on_fault, on_session };
	struct audit_verify *v = audit_verify_new(&hooks);

	assert_non_null(v);
	for (size_t at = 0; at < len; at += step)
		assert_int_equal(audit_verify_bytes(v, text + at,
						    len - at < step ? len - at :
								      step),
				 0);
	assert_int_equal(audit_verify_end(v, &found.totals), 0);
	audit_verify_free(v);
	assert_int_equal(found.totals.faults, found.n);
	assert_int_equal(found.totals.sessions, found.nsessions);
	return found;
}

/* The lines of this order; -1 ends it. */
static struct sbuf join(const struct file *f, const int *order)
{
	struct sbuf b;

	sbuf_init(&b, 1 << 20);
	for (; *order >= 0; order++)
		sbuf_str(&b, f->lines[*order]);
	assert_false(b.bad);
	return b;
}

#define ALL 0, 1, 2, 3, 4, 5, 6, 7, 8

static const int all_lines[] = { ALL, -1 };

static void whole(void **state)
{
	static const size_t steps[] = { 1, 2, 7, 100, 1 << 20 };
	struct sbuf b = join(*state, all_lines);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct found found = verify(b.s, b.len, steps[i]);

		assert_int_equal(found.totals.state, AUDIT_WHOLE);
		assert_int_equal(found.totals.lines, LINES);
		assert_int_equal(found.totals.records, LINES);
		assert_int_equal(found.totals.faults, 0);
		assert_int_equal(found.nsessions, 2);
		assert_int_equal(found.sessions[0].records, 5);
		assert_int_equal(found.sessions[1].line, 8);
		assert_non_null(strstr(((struct file *)*state)->lines[8],
				       found.heads[0]));
	}
	sbuf_done(&b);
}

/* Each alone, in any order, at other lines of another file. */
static void alone(void **state)
{
	static const int orders[][LINES + 1] = {
		{ 0, 2, 3, 5, 8, -1 },
		{ 1, 4, 6, 7, -1 },
		{ 1, 4, 6, 7, 0, 2, 3, 5, 8, -1 },
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct sbuf b = join(*state, orders[i]);
		struct found found = verify(b.s, b.len, b.len);

		assert_int_equal(found.totals.state, AUDIT_WHOLE);
		sbuf_done(&b);
	}
}

/* Another order of lines: the first fault, and how many there are. */
static const struct {
	const char *what;
	int order[LINES + 3];
	enum audit_state state;
	size_t faults;
	uint64_t line;
	const char *session, *reason;
} orders[] = {
	{ "a line is gone",
	  { 0, 1, 2, 4, 5, 6, 7, 8, -1 },
	  AUDIT_BROKEN,
	  1,
	  5,
	  "aaaa",
	  "records missing before record 4: 1" },
	{ "the first is gone",
	  { 1, 2, 3, 4, 5, 6, 7, 8, -1 },
	  AUDIT_BROKEN,
	  1,
	  2,
	  "aaaa",
	  "records missing before record 2: 1" },
	{ "three are gone",
	  { 0, 1, 4, 6, 7, 8, -1 },
	  AUDIT_BROKEN,
	  1,
	  6,
	  "aaaa",
	  "records missing before record 5: 3" },
	{ "two changed places",
	  { 0, 1, 3, 2, 4, 5, 6, 7, 8, -1 },
	  AUDIT_BROKEN,
	  2,
	  3,
	  "aaaa",
	  "records missing before record 3: 1" },
	{ "a line comes again",
	  { 0, 1, 2, 3, 2, 4, 5, 6, 7, 8, -1 },
	  AUDIT_BROKEN,
	  1,
	  5,
	  "aaaa",
	  "record 2 stands behind record 3" },
	{ "and again behind the end",
	  { ALL, 3, -1 },
	  AUDIT_BROKEN,
	  1,
	  10,
	  "aaaa",
	  "record 3 stands behind the end" },
	{ "the end comes twice",
	  { ALL, 8, -1 },
	  AUDIT_BROKEN,
	  1,
	  10,
	  "aaaa",
	  "record 5 stands behind the end" },
	{ "the end is cut off",
	  { 0, 1, 2, 3, 4, 5, 6, 7, -1 },
	  AUDIT_UNTOLD,
	  1,
	  6,
	  "aaaa",
	  "no end" },
	{ "both ends are",
	  { 0, 1, 2, 3, 4, 5, 6, -1 },
	  AUDIT_UNTOLD,
	  2,
	  6,
	  "aaaa",
	  "no end" },
	{ "one line of the other",
	  { 0, 2, 3, 5, 8, 4, -1 },
	  AUDIT_BROKEN,
	  2,
	  6,
	  "bbbb",
	  "records missing before record 2: 1" },
};

static void reordered(void **state)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct sbuf b = join(*state, orders[i].order);
		struct found found = verify(b.s, b.len, 13);

		if (found.totals.state != orders[i].state ||
		    found.n != orders[i].faults ||
		    found.faults[0].line != orders[i].line)
			fail_msg("%s: state %d, %zu faults, first in %u: %s",
				 orders[i].what, (int)found.totals.state,
				 found.n, (unsigned)found.faults[0].line,
				 found.faults[0].reason);
		assert_string_equal(found.faults[0].session, orders[i].session);
		assert_non_null(
			strstr(found.faults[0].reason, orders[i].reason));
		sbuf_done(&b);
	}
}

/* Any byte of any line, changed to any of some others: never whole. */
static void changed(void **state)
{
	static const char others[] = "0a\"{}\\ \n";
	struct sbuf b = join(*state, all_lines);

	for (size_t at = 0; at < b.len; at++) {
		char old = b.s[at];

		for (const char *p = others; *p; p++) {
			struct found found;

			/* the newline at the end may be missing */
			if (*p == old || at == b.len - 1)
				continue;
			b.s[at] = *p;
			found = verify(b.s, b.len, b.len);
			/* two records in one line are two records */
			if (old != '\n' || *p != ' ')
				assert_int_not_equal(found.totals.state,
						     AUDIT_WHOLE);
		}
		b.s[at] = old;
	}
	/* one byte of a text is one fault, in its line */
	*strstr(b.s, "name\\\"") = 'g';
	{
		struct found found = verify(b.s, b.len, b.len);

		assert_int_equal(found.n, 1);
		assert_int_equal(found.faults[0].line, 3);
		assert_non_null(strstr(found.faults[0].reason,
				       "the hash of record 2 does not fit"));
	}
	sbuf_done(&b);
}

/* Cut anywhere: no more than the end of one line can be missing unseen. */
static void truncated(void **state)
{
	struct sbuf b = join(*state, all_lines);

	for (size_t len = 0; len < b.len - 1; len++) {
		struct found found = verify(b.s, len, len + 1);

		assert_int_equal(found.totals.state, AUDIT_UNTOLD);
	}
	assert_int_equal(verify(b.s, b.len - 1, b.len).totals.state,
			 AUDIT_WHOLE);
	sbuf_done(&b);
}

/* A killed session's half record, and the next session behind it. */
static void half(void **state)
{
	const struct file *f = *state;
	struct found found;
	struct sbuf b;

	sbuf_init(&b, 1 << 20);
	sbuf_str(&b, f->lines[0]);
	sbuf_add(&b, f->lines[2], strlen(f->lines[2]) / 2);
	for (int i = 1; i < LINES; i++)
		if (writers[i] == B)
			sbuf_str(&b, f->lines[i]);
	found = verify(b.s, b.len, 5);
	assert_int_equal(found.totals.state, AUDIT_UNTOLD);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.faults[0].reason, "a record breaks off");
	assert_int_equal(found.faults[0].line, 2);
	assert_int_equal(found.sessions[0].state, AUDIT_UNTOLD);
	assert_int_equal(found.sessions[1].state, AUDIT_WHOLE);
	sbuf_done(&b);
}

#define HASH64 \
	"0000000000000000000000000000000000000000000000000000000000000000"

static const char *const nonsense[] = {
	"\n",
	"x\n",
	"{}\n",
	"[]\n",
	"null\n",
	"{\"time\":\"\",\"seq\":1,\"session\":\"s\"}\n",
	"{\"time\":\"\",\"seq\":1,\"session\":\"s\",\"hash\":\"00\"}\n",
	/* no number, no session, numbers that are none, a name too long */
	"{\"time\":\"\",\"session\":\"s\",\"hash\":\"" HASH64 "\"}\n",
	"{\"time\":\"\",\"seq\":1,\"hash\":\"" HASH64 "\"}\n",
	"{\"time\":\"\",\"seq\":0,\"session\":\"s\",\"hash\":\"" HASH64 "\"}\n",
	"{\"time\":\"\",\"seq\":-1,\"session\":\"s\",\"hash\":\"" HASH64
	"\"}\n",
	"{\"time\":\"\",\"seq\":1.5,\"session\":\"s\",\"hash\":\"" HASH64
	"\"}\n",
	"{\"time\":\"\",\"seq\":99999999999999999999,\"session\":\"s\","
	"\"hash\":\"" HASH64 "\"}\n",
	"{\"time\":\"\",\"seq\":1,\"session\":\"" HASH64 "\",\"hash\":\"" HASH64
	"\"}\n",
	/* two of one key; a hash that is none; one that is not the last */
	"{\"time\":\"\",\"seq\":1,\"seq\":1,\"session\":\"s\",\"hash\":\"" HASH64
	"\"}\n",
	"{\"time\":\"\",\"seq\":1,\"session\":\"s\",\"hash\":\"X" HASH64
	"\"}\n",
	"{\"hash\":\"" HASH64 "\",\"time\":\"\",\"seq\":1,\"session\":\"s\"}\n",
	/* a hash that fits nothing */
	"{\"time\":\"\",\"seq\":1,\"session\":\"s\",\"hash\":\"" HASH64 "\"}\n",
};

static void no_records(void **state)
{
	char long_line[AUDIT_LINE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(
			verify(nonsense[i], strlen(nonsense[i]), 3).totals.state,
			AUDIT_BROKEN);
	assert_int_equal(verify("", 0, 1).totals.state, AUDIT_UNTOLD);
	assert_int_equal(verify("\0\n", 2, 1).totals.state, AUDIT_BROKEN);
	memset(long_line, '[', sizeof(long_line));
	assert_string_equal(
		verify(long_line, sizeof(long_line), 1000).faults[0].reason,
		"longer than a record can be");
	assert_string_equal(
		verify(long_line, AUDIT_LINE_MAX, 1000).faults[0].reason,
		"this is no record");
}

/* The loss that a record tells is told, and is no fault. */
static void losses(void **state)
{
	int fd = memfd_create("audit", MFD_CLOEXEC), full = -1;
	struct audit_writer w;
	struct found found;
	char *text;
	const struct audit_event e = { .session = "s", .layer = AUDIT_DNS };

	(void)state;
	audit_writer_init(&w, dup(fd), 0);
	assert_int_equal(audit_write(&w, &e, 0), 0);
	/* the disk is full for a while */
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_true(dup3(full, w.fd, O_CLOEXEC) >= 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(audit_write(&w, &e, 0), -ENOSPC);
	assert_int_equal(audit_end(&w, &e), -ENOSPC);
	assert_true(dup3(fd, w.fd, O_CLOEXEC) >= 0);
	assert_int_equal(audit_write(&w, &e, 0), 0);
	assert_int_equal(audit_end(&w, &e), 0);
	text = drain(fd);
	found = verify(text, strlen(text), 4096);
	assert_int_equal(found.totals.state, AUDIT_WHOLE);
	assert_int_equal(found.totals.records, 4);
	assert_int_equal(found.totals.lost, 5);
	assert_int_equal(found.sessions[0].lost, 5);
	free(text);
	audit_writer_done(&w);
	close(full);
	close(fd);
}

/* The digits are those of the standard. */
static void digits(void **state)
{
	struct audit_chain c, before;
	struct audit_event e = { .session = "s" };
	struct sbuf b, again;
	const char *hash;
	size_t len;

	(void)state;
	audit_chain_init(&c);
	assert_string_equal(c.hash, HASH64);
	/* sha256(64 zeros and "abc"), as sha256sum(1) has it */
	audit_chain_add(&c, "abc", 3);
	assert_string_equal(
		c.hash,
		"b64374d04ef9c4f39fddb1e0d6be38a0130f6c057fc0f4ee467ea0e18bc758f1");
	/* what is sealed is what the table of fields would have made of it */
	sbuf_init(&b, AUDIT_LINE_MAX);
	sbuf_init(&again, AUDIT_LINE_MAX);
	assert_int_equal(audit_format(&e, &b), 0);
	assert_int_equal(audit_chain_seal(&c, &b, 0), 0);
	e.hash = c.hash;
	assert_int_equal(audit_format(&e, &again), 0);
	assert_string_equal(b.s, again.s);
	hash = audit_chain_find(b.s, b.len - 1, &len);
	assert_memory_equal(hash, c.hash, AUDIT_HASH_LEN);
	assert_null(audit_chain_find(b.s, b.len, &len));
	assert_null(audit_chain_find(b.s, 3, &len));
	sbuf_done(&again);
	/* no room: nothing has happened to the chain */
	sbuf_done(&b);
	sbuf_init(&b, 120);
	e.hash = NULL;
	before = c;
	assert_int_equal(audit_format(&e, &b), 0);
	assert_int_equal(audit_chain_seal(&c, &b, 0), -ENOMEM);
	assert_string_equal(c.hash, before.hash);
	sbuf_done(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole),
		T(alone),
		T(reordered),
		T(changed),
		T(truncated),
		T(half),
		cmocka_unit_test(no_records),
		cmocka_unit_test(losses),
		cmocka_unit_test(digits),
	};

	return cmocka_run_group_tests_name("audit/chain", tests, NULL, NULL);
}
