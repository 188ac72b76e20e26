/* core_run.c - a run's output as text, and which runs may still live
 * SPDX-License-Identifier: Apache-2.0
 *
 *	text		random bytes, cut anywhere, and read in any portions,
 *			are the text that they are in one piece, and that is
 *			what Unicode's table of well-formed sequences says
 *	unended		each end that the keeper reports counts once, of a run
 *			that its owner has freed, too
 *
 * The seed is printed; EXEAT_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/num.h"
#include "core/base/text.h"
#include "core/session.h"

enum {
	ROUNDS = 3000,
	BYTES = 48,	      /* of a round, at most */
	TEXT = 3 * BYTES + 1, /* each a replacement */
	ROOM = 8,	      /* the least that a reader may have */
};

static uint64_t seed;

static size_t below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % n);
}

/* ---- what it should be ---- */

/* How many bytes of a well-formed sequence begin here (Unicode, table 3-7). */
static size_t sequence(const uint8_t *s, size_t n)
{
	static const struct {
		uint8_t lo, hi, second_lo, second_hi;
		size_t len;
	} rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (s[0] < rows[i].lo || s[0] > rows[i].hi || rows[i].len > n)
			continue;
		if (rows[i].len > 1 &&
		    (s[1] < rows[i].second_lo || s[1] > rows[i].second_hi))
			continue;
		for (size_t at = 2; at < rows[i].len; at++)
			if (s[at] < 0x80 || s[at] > 0xbf)
				return 0;
		return rows[i].len;
	}
	return 0;
}

static size_t expected(const uint8_t *s, size_t n, char ret[TEXT])
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		size_t used = sequence(s + i, n - i);

		memcpy(ret + len, used ? (const char *)s + i : "\xef\xbf\xbd",
		       used ? used : 3);
		len += used ? used : 3;
		i += used ? used : 1;
	}
	return len;
}

/* ---- what it is ---- */

static struct exeat_session session = { .due = -1, .due_ms = INT64_MAX };
static struct exeat_run run = { .session = &session,
				.output_left = UINT64_MAX };

/* What is there now, in portions; whole characters each. */
static size_t read_on(char *at, size_t room)
{
	char portion[ROOM + 8];
	size_t len = 0;

	for (;;) {
		size_t size = ROOM + below(8);
		ssize_t n = exeat_run_read_text(&run, EXEAT_STDOUT, portion,
						size, 0, NULL);

		if (n <= 0)
			return len;
		assert_true((size_t)n < size && portion[n] == '\0');
		for (size_t i = 0; i < (size_t)n;) {
			size_t used =
				sequence((uint8_t *)portion + i, (size_t)n - i);

			assert_int_not_equal(used, 0);
			i += used;
		}
		assert_true(len + (size_t)n <= room);
		memcpy(at + len, portion, (size_t)n);
		len += (size_t)n;
	}
}

/* Through a pipe, as a command writes it. */
static size_t decoded(const uint8_t *bytes, size_t n, bool cut, char ret[TEXT])
{
	size_t len = 0;
	int ends[2];

	stream_init(&run, EXEAT_STDOUT);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(stream_attach(&run.streams[EXEAT_STDOUT], ends[0]), 0);
	for (size_t i = 0; i < n;) {
		size_t chunk = cut ? 1 + below(n - i) : n;

		assert_int_equal(write(ends[1], bytes + i, chunk), chunk);
		i += chunk;
		len += read_on(ret + len, TEXT - len);
	}
	assert_int_equal(close(ends[1]), 0);
	len += read_on(ret + len, TEXT - len);
	assert_int_equal(run.streams[EXEAT_STDOUT].fd, -1);
	stream_done(&run.streams[EXEAT_STDOUT]);
	return len;
}

static void text(void **state)
{
	/* most of what comes of these is nearly a character */
	static const uint8_t bytes[] = {
		0x00, 0x0a, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
		0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe2,
		0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
	};

	(void)state;
	session.epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_true(session.epoll >= 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t said[BYTES];
		char want[TEXT], whole[TEXT], pieces[TEXT];
		size_t n = below(BYTES + 1), len;

		for (size_t i = 0; i < n; i++)
			said[i] = bytes[below(sizeof(bytes))];
		len = expected(said, n, want);
		assert_int_equal(decoded(said, n, false, whole), len);
		assert_memory_equal(whole, want, len);
		assert_int_equal(decoded(said, n, true, pieces), len);
		assert_memory_equal(pieces, want, len);
	}
	assert_int_equal(close(session.epoll), 0);
}

/* ---- runs that may still live ---- */

/* The keeper says that a run has ended, or could not begin. */
static void end_of(struct exeat_session *s, uint32_t type, uint32_t id)
{
	const struct err err = { .code = ERR_NOT_FOUND };
	struct sbuf body;
	struct msg m = { .type = type };

	sbuf_init(&body, 4096);
	sbuf_u32(&body, id);
	if (type == K_RUN_FAILED) {
		sbuf_u32(&body, 127);
		err_encode(&err, &body);
	} else {
		sbuf_u32(&body, 0);
		for (int i = 0; i < 33; i++)
			sbuf_u8(&body, 0);
	}
	assert_false(body.bad);
	m.body = (const uint8_t *)body.s;
	m.len = body.len;
	session_message(s, &s->helpers[HELPER_KEEPER], &m);
	sbuf_done(&body);
}

static void unended(void **state)
{
	struct exeat_session s = { .unended = 3, .due = -1 };

	(void)state;
	end_of(&s, K_RUN_FAILED, 1);
	assert_int_equal(s.unended, 2);
	end_of(&s, K_EXITED, 2);
	assert_int_equal(s.unended, 1);
	end_of(&s, K_EXITED, 3);
	assert_int_equal(s.unended, 0);
	/* a keeper that counts wrongly makes nobody wait for ever */
	end_of(&s, K_EXITED, 4);
	assert_int_equal(s.unended, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(unended),
	};
	const char *given = getenv("EXEAT_SEED");

	if (!given || !num_parse_u64(&given, UINT64_MAX, &seed))
		seed = (uint64_t)time(NULL) * 2 + 1;
	print_message("EXEAT_SEED=%llu\n", (unsigned long long)seed);
	if (seed == 0)
		seed = 1;
	return cmocka_run_group_tests_name("core/run", tests, NULL, NULL);
}
