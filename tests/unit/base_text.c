/* base_text.c - what is shown of a text, and what escaped
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/text.h"

static const struct {
	const char *text, *shown;
} rows[] = {
	{ "", "" },
	{ "plain ~", "plain ~" },
	{ "f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x90\x8d",
	  "f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x90\x8d" },
	{ "\x1b]0;x\a\x7f\r\n", "\\x1b]0;x\\x07\\x7f\\x0d\\x0a" },
	{ "\xc2\x9b", "\\xc2\\x9b" },	       /* CSI in one character */
	{ "\x9b", "\\x9b" },		       /* and in one byte */
	{ "\xe2\x80\xae", "\\xe2\\x80\\xae" }, /* from right to left */
	{ "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
	{ "\xd8\x9c", "\\xd8\\x9c" },
	{ "\xf3\xa0\x80\xa1", "\\xf3\\xa0\\x80\\xa1" }, /* a tag */
	{ "\xc0\x9b", "\\xc0\\x9b" },			/* overlong */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* a surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xe2\x80", "\\xe2\\x80" }, /* the end comes first */
	{ "\xff\xfe", "\\xff\\xfe" },
};

static void shown(void **state)
{
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(text_shown(rows[i].text, buf, sizeof(buf)),
				    rows[i].shown);
}

/* In every size: terminated, a beginning of the whole, nothing in halves. */
static void cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t size = 0; size < 64; size++) {
			char buf[65];
			size_t len;

			memset(buf, 'x', sizeof(buf));
			(void)text_shown(rows[i].text, buf, size);
			assert_int_equal(buf[size], 'x');
			if (size == 0)
				continue;
			len = strlen(buf);
			assert_true(len < size);
			assert_memory_equal(buf, rows[i].shown, len);
			if (len > 0 && buf[len - 1] == '\\')
				fail_msg("row %zu, size %zu: \"%s\"", i, size,
					 buf);
		}
	}
}

static void is_utf8(void **state)
{
	static const char *const good[] = { "", "a\n", "\xc3\xbc",
					    "\xe2\x80\xae",
					    "\xf0\x9f\x90\x8d" };
	static const char *const bad[] = { "\xff", "a\xc3", "\xc0\x9b",
					   "\xed\xa0\x80", "\xf4\x90\x80\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(text_is_utf8(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_is_utf8(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown),
		cmocka_unit_test(cut),
		cmocka_unit_test(is_utf8),
	};

	return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
