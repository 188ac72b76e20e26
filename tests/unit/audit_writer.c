/* audit_writer.c - the audit's writer: numbers, losses, floods, slow readers
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/audit/audit.h"
#include "core/base/fd.h"
#include "core/base/num.h"

#define LOST "events lost: they came faster than they could be written"

struct reader {
	struct audit_writer w;
	int fd;
	char text[1 << 20]; /* everything read so far */
	size_t len;
};

static const struct audit_event event = {
	.time_us = 1700000000000000,
	.session = "s1",
	.layer = AUDIT_TCP,
	.verdict = AUDIT_ALLOW,
	.name = "example.com",
};

static int setup(void **state)
{
	struct reader *t = calloc(1, sizeof(*t));
	int fds[2];

	assert_non_null(t);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	t->fd = fds[0];
	audit_writer_init(&t->w, fds[1], 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct reader *t = *state;

	audit_writer_done(&t->w);
	fd_close(&t->fd);
	free(t);
	return 0;
}

static size_t drain(struct reader *t, size_t most)
{
	size_t before = t->len;

	while (t->len - before < most) {
		size_t want = most - (t->len - before);
		ssize_t n;

		if (want > sizeof(t->text) - 1 - t->len)
			want = sizeof(t->text) - 1 - t->len;
		n = read(t->fd, t->text + t->len, want);
		if (n <= 0)
			break;
		t->len += (size_t)n;
	}
	t->text[t->len] = '\0';
	return t->len - before;
}

static uint64_t number_after(const char *line, const char *key)
{
	const char *p = strstr(line, key);
	uint64_t v = 0;

	if (p) {
		p += strlen(key);
		assert_true(num_parse_u64(&p, UINT64_MAX, &v));
	}
	return v;
}

/*
 * Walk over what was read: whole lines, numbered without gaps. Returns how
 * many are events; *ret_lost is what the others say was lost.
 */
static uint64_t walk(struct reader *t, uint64_t *ret_lost)
{
	uint64_t events = 0, seq = 0;
	char *line = t->text, *end;

	*ret_lost = 0;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		assert_memory_equal(line, "{\"time\":\"", 9);
		assert_int_equal(end[-1], '}');
		assert_int_equal(number_after(line, "\"seq\":"), ++seq);
		if (!strstr(line, "\"layer\":\"lifecycle\"")) {
			events++;
			continue;
		}
		assert_non_null(strstr(line, "\"reason\":\"" LOST "\""));
		assert_non_null(strstr(line, "\"session\":\"s1\""));
		*ret_lost += number_after(line, "\"dropped\":");
	}
	assert_string_equal(line, ""); /* no half line */
	return events;
}

static void numbering(void **state)
{
	struct reader *t = *state;
	uint64_t lost;

	for (int i = 0; i < 3; i++)
		assert_int_equal(audit_write(&t->w, &event, i), 0);
	drain(t, SIZE_MAX);
	assert_int_equal(walk(t, &lost), 3);
	assert_int_equal(lost, 0);
	assert_int_equal(t->w.seq, 3);
	assert_int_equal(t->w.total, 3);
	assert_int_equal(audit_flush(&t->w, &event), 0);
	assert_int_equal(drain(t, SIZE_MAX), 0);
}

/* The reader stops and goes on, in steps that cut lines anywhere. */
static void slow_reader(void **state)
{
	struct reader *t = *state;
	struct audit_event e = event;
	char name[900];
	uint64_t events, lost;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	e.name = name;
	for (unsigned i = 0; i < 600; i++) {
		int r = audit_write(&t->w, &e, i);

		assert_true(r == 0 || r == -EAGAIN);
		if (i > 300)
			drain(t, i % 7 ? 0 : 5003);
	}
	assert_true(t->w.lost > 0);
	assert_true(t->w.line.size <= 2 * 2 * AUDIT_LINE_MAX);
	drain(t, SIZE_MAX);
	assert_int_equal(audit_flush(&t->w, &event), 0);
	drain(t, SIZE_MAX);
	events = walk(t, &lost);
	assert_int_equal(lost, t->w.lost);
	assert_int_equal(events + lost, 600);
	assert_int_equal(t->w.unsaid, 0);
}

static void full_pipe(void **state)
{
	struct reader *t = *state;
	uint64_t events, lost;
	char page[4096];

	/* full to the last byte, by somebody else: nothing of ours fits */
	memset(page, 'x', sizeof(page));
	while (write(t->w.fd, page, sizeof(page)) > 0)
		;
	for (int i = 0; i < 5; i++)
		assert_int_equal(audit_write(&t->w, &event, i), -EAGAIN);
	assert_int_equal(t->w.seq, 0);
	assert_int_equal(t->w.unsaid, 5);
	assert_int_equal(audit_flush(&t->w, &event), -EAGAIN);
	drain(t, SIZE_MAX);
	t->len = 0;
	assert_int_equal(audit_write(&t->w, &event, 9), 0);
	drain(t, SIZE_MAX);
	/* the loss is said first, then the event */
	assert_non_null(strstr(t->text, "\"seq\":1,\"session\":\"s1\","
					"\"layer\":\"lifecycle\""));
	events = walk(t, &lost);
	assert_int_equal(events, 1);
	assert_int_equal(lost, 5);
}

static void floods(void **state)
{
	struct reader *t = *state;
	uint64_t events, lost;

	t->w.per_second = 100;
	t->w.allowance = 100000;
	/* a thousand at once: one second's worth passes */
	for (int i = 0; i < 1000; i++) {
		int r = audit_write(&t->w, &event, 5000);

		assert_int_equal(r, i < 100 ? 0 : -EBUSY);
	}
	/* 50 ms later five more may, and the first says what was lost */
	for (int i = 0; i < 10; i++)
		assert_int_equal(audit_write(&t->w, &event, 5050),
				 i < 5 ? 0 : -EBUSY);
	/* much later: a second's worth, not more; a clock that steps back
	 * gives nothing */
	assert_int_equal(audit_write(&t->w, &event, INT64_MAX), 0);
	for (int i = 0; i < 99; i++)
		assert_int_equal(audit_write(&t->w, &event, 6000), 0);
	assert_int_equal(audit_write(&t->w, &event, 6000), -EBUSY);
	assert_int_equal(audit_flush(&t->w, &event), 0);
	drain(t, SIZE_MAX);
	events = walk(t, &lost);
	assert_int_equal(events, 100 + 5 + 100);
	assert_int_equal(lost, 900 + 5 + 1);
	assert_int_equal(t->w.lost, lost);
}

static void gone_reader(void **state)
{
	struct reader *t = *state;

	fd_close(&t->fd);
	assert_int_equal(audit_write(&t->w, &event, 1), -EPIPE);
	assert_int_equal(audit_write(&t->w, &event, 2), -EPIPE);
	assert_int_equal(t->w.lost, 2);
	assert_int_equal(audit_flush(&t->w, &event), -EPIPE);
}

static void nowhere(void **state)
{
	struct audit_writer w;

	(void)state;
	audit_writer_init(&w, -1, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(audit_write(&w, &event, 0), 0);
	assert_int_equal(w.total, 10);
	assert_int_equal(w.lost, 0);
	assert_int_equal(audit_flush(&w, &event), 0);
	audit_writer_done(&w);
}

static void bad_event(void **state)
{
	struct reader *t = *state;
	struct audit_event bad = { .layer = (enum audit_layer)99 };
	uint64_t lost;

	assert_int_equal(audit_write(&t->w, &bad, 0), -EINVAL);
	assert_int_equal(audit_write(&t->w, &event, 0), 0);
	drain(t, SIZE_MAX);
	assert_int_equal(walk(t, &lost), 1);
	assert_int_equal(lost, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(numbering), T(slow_reader), T(full_pipe),
		T(floods),    T(gone_reader), cmocka_unit_test(nowhere),
		T(bad_event),
	};
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
	return cmocka_run_group_tests_name("audit/writer", tests, NULL, NULL);
}
