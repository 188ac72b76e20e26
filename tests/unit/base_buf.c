/* base_buf.c - bounded buffers: limits, and that a bad state stays
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/buf.h"

static const uint8_t digits[] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
				  11, 12, 13, 14, 15, 16, 17, 18, 19, 20 };

static void reads(void **state)
{
	struct rbuf r = rbuf_make(digits, sizeof(digits));

	(void)state;
	assert_int_equal(rbuf_u8(&r), 0x01);
	assert_int_equal(rbuf_u16(&r), 0x0203);
	assert_int_equal(rbuf_u32(&r), 0x04050607);
	assert_int_equal(rbuf_pos(&r), 7);
	assert_int_equal(rbuf_u64(&r), 0x08090a0b0c0d0e0f);
	assert_int_equal(rbuf_left(&r), 5);
	assert_ptr_equal(rbuf_bytes(&r, 5), digits + 15);
	assert_int_equal(rbuf_left(&r), 0);
	assert_non_null(rbuf_bytes(&r, 0));
	assert_false(r.bad);
}

/* Every read that wants one byte more than there is. */
static void short_reads(void **state)
{
	static const size_t width[] = { 1, 2, 4, 8, 5, 6, 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(width) / sizeof(width[0]); i++) {
		struct rbuf r = rbuf_make(digits, width[i] - 1), sub;
		uint64_t v = 0;

		switch (i) {
		case 0:
			v = rbuf_u8(&r);
			break;
		case 1:
			v = rbuf_u16(&r);
			break;
		case 2:
			v = rbuf_u32(&r);
			break;
		case 3:
			v = rbuf_u64(&r);
			break;
		case 4:
			v = rbuf_bytes(&r, width[i]) != NULL;
			break;
		case 5:
			rbuf_skip(&r, width[i]);
			break;
		default:
			sub = rbuf_sub(&r, width[i]);
			assert_true(sub.bad);
			v = rbuf_u8(&sub);
		}
		assert_true(r.bad);
		assert_int_equal(v, 0);
		/* bad for good, even for what would have fitted */
		assert_int_equal(rbuf_u8(&r), 0);
		assert_null(rbuf_bytes(&r, 0));
		assert_int_equal(rbuf_left(&r), 0);
	}
}

static void empty_reads(void **state)
{
	struct rbuf r = rbuf_make(NULL, 0);

	(void)state;
	assert_int_equal(rbuf_left(&r), 0);
	assert_non_null(rbuf_bytes(&r, 0));
	assert_false(r.bad);
	assert_null(rbuf_bytes(&r, SIZE_MAX));
	assert_true(r.bad);
}

static void subs(void **state)
{
	struct rbuf r = rbuf_make(digits, sizeof(digits));
	struct rbuf sub = rbuf_sub(&r, 3);

	(void)state;
	assert_int_equal(rbuf_pos(&r), 3);
	assert_int_equal(rbuf_u16(&sub), 0x0102);
	assert_int_equal(rbuf_u16(&sub), 0);
	assert_true(sub.bad);
	assert_false(r.bad);
	assert_int_equal(rbuf_u8(&r), 4);
}

static void strings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
		bool bad;
	} rows[] = {
		{ "\0\0\0\2ab\0", 7, "ab", false },
		{ "\0\0\0\0\0", 5, "", false },
		{ "\xff\xff\xff\xff", 4, NULL, false },
		{ "\0\0\0\2ab", 6, NULL, true },     /* no NUL */
		{ "\0\0\0\2abc", 7, NULL, true },    /* NUL is no NUL */
		{ "\0\0\0\3a\0b\0", 8, NULL, true }, /* NUL within */
		{ "\0\0\0\2\0", 5, NULL, true },
		{ "\xff\xff\xff\xfe", 4, NULL, true },
		{ "\0\0\0", 3, NULL, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rbuf r = rbuf_make(rows[i].bytes, rows[i].len);
		const char *s = rbuf_str(&r);

		if (r.bad != rows[i].bad)
			fail_msg("row %zu: bad %d", i, r.bad);
		if (rows[i].text)
			assert_string_equal(s, rows[i].text);
		else
			assert_null(s);
	}
}

static void writes(void **state)
{
	uint8_t mem[64];
	struct wbuf w = wbuf_make(mem, sizeof(mem));
	struct rbuf r;

	(void)state;
	wbuf_u8(&w, 0x01);
	wbuf_u16(&w, 0x0203);
	wbuf_u32(&w, 0x04050607);
	wbuf_u64(&w, 0x08090a0b0c0d0e0f);
	wbuf_bytes(&w, digits + 15, 5);
	assert_int_equal(wbuf_len(&w), 20);
	assert_memory_equal(mem, digits, 20);
	wbuf_str(&w, "name");
	wbuf_str(&w, NULL);
	wbuf_str(&w, "");
	assert_false(w.bad);
	r = rbuf_make(mem, wbuf_len(&w));
	rbuf_skip(&r, 20);
	assert_string_equal(rbuf_str(&r), "name");
	assert_null(rbuf_str(&r));
	assert_string_equal(rbuf_str(&r), "");
	assert_false(r.bad);
	assert_int_equal(rbuf_left(&r), 0);
}

static void full_writes(void **state)
{
	uint8_t mem[8] = { 0 };
	struct wbuf w = wbuf_make(mem, 4);

	(void)state;
	wbuf_u32(&w, 0x01020304);
	assert_false(w.bad);
	wbuf_u8(&w, 5);
	assert_true(w.bad);
	assert_int_equal(mem[4], 0);
	w = wbuf_make(mem, 4);
	wbuf_u64(&w, UINT64_MAX);
	assert_true(w.bad);
	wbuf_u8(&w, 7); /* would fit, but bad is for good */
	assert_memory_equal(mem, "\1\2\3\4\0\0\0\0", 8);
	w = wbuf_make(mem, 8);
	wbuf_str(&w, "abcd"); /* one byte too long with its NUL */
	assert_true(w.bad);
	w = wbuf_make(NULL, 0);
	wbuf_bytes(&w, NULL, 0);
	assert_false(w.bad);
	wbuf_u8(&w, 1);
	assert_true(w.bad);
}

static void growing(void **state)
{
	struct sbuf b;
	char *s;

	(void)state;
	sbuf_init(&b, 100000);
	for (int i = 0; i < 10000; i++)
		sbuf_fmt(&b, "%d,", i % 10);
	assert_false(b.bad);
	assert_int_equal(b.len, 20000);
	assert_int_equal(strlen(b.s), 20000);
	sbuf_fmt(&b, "%01000d", 7); /* longer than the buffer on the stack */
	assert_int_equal(b.len, 21000);
	assert_int_equal(b.s[20999], '7');
	s = sbuf_steal(&b);
	assert_int_equal(strlen(s), 21000);
	free(s);
	assert_null(b.s);
	s = sbuf_steal(&b); /* nothing added: the empty string */
	assert_string_equal(s, "");
	free(s);
	sbuf_done(&b);
}

static void limits(void **state)
{
	struct sbuf b;

	(void)state;
	sbuf_init(&b, 5);
	sbuf_str(&b, "12345");
	assert_false(b.bad);
	sbuf_str(&b, "");
	assert_false(b.bad);
	sbuf_str(&b, "6");
	assert_true(b.bad);
	assert_string_equal(b.s, "12345");
	assert_null(sbuf_steal(&b)); /* nobody else would free it */
	assert_null(b.s);
	assert_true(b.bad);
	sbuf_clear(&b);
	sbuf_str(&b, "1");
	assert_string_equal(b.s, "1");
	sbuf_fmt(&b, "%d", 123456);
	assert_true(b.bad);
	sbuf_clear(&b);
	assert_string_equal(b.s, "");
	sbuf_u32(&b, 1);
	sbuf_u16(&b, 1); /* whole or not at all */
	assert_true(b.bad);
	assert_int_equal(b.len, 4);
	sbuf_clear(&b);
	sbuf_add(&b, "x", SIZE_MAX);
	assert_true(b.bad);
	sbuf_done(&b);
	assert_false(b.bad);
	sbuf_fmt(&b, "%01000d", 1);
	assert_true(b.bad);
	sbuf_done(&b);
}

static void messages(void **state)
{
	struct sbuf b;
	struct rbuf r;

	(void)state;
	sbuf_init(&b, 1000);
	sbuf_u8(&b, 0xfe);
	sbuf_u16(&b, 0xfedc);
	sbuf_u32(&b, 0xfedcba98);
	sbuf_u64(&b, 0xfedcba9876543210);
	sbuf_lstr(&b, "text");
	sbuf_lstr(&b, NULL);
	sbuf_lstr(&b, "");
	assert_false(b.bad);
	r = rbuf_make(b.s, b.len);
	assert_int_equal(rbuf_u8(&r), 0xfe);
	assert_int_equal(rbuf_u16(&r), 0xfedc);
	assert_int_equal(rbuf_u32(&r), 0xfedcba98);
	assert_int_equal(rbuf_u64(&r), 0xfedcba9876543210);
	assert_string_equal(rbuf_str(&r), "text");
	assert_null(rbuf_str(&r));
	assert_string_equal(rbuf_str(&r), "");
	assert_false(r.bad);
	assert_int_equal(rbuf_left(&r), 0);
	sbuf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),       cmocka_unit_test(short_reads),
		cmocka_unit_test(empty_reads), cmocka_unit_test(subs),
		cmocka_unit_test(strings),     cmocka_unit_test(writes),
		cmocka_unit_test(full_writes), cmocka_unit_test(growing),
		cmocka_unit_test(limits),      cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
