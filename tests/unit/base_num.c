/* base_num.c - numbers, sizes, durations
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/num.h"

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool ok;
		uint64_t value;
		size_t used;
	} rows[] = {
		{ "0", 0, true, 0, 1 },
		{ "65535", 65535, true, 65535, 5 },
		{ "65536", 65535, false, 0, 0 },
		{ "80-90", 65535, true, 80, 2 },
		{ "007", 10, true, 7, 3 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX, 20 },
		{ "18446744073709551616", UINT64_MAX, false, 0, 0 },
		{ "99999999999999999999999", UINT64_MAX, false, 0, 0 },
		{ "", 9, false, 0, 0 },
		{ "-1", 9, false, 0, 0 },
		{ "+1", 9, false, 0, 0 },
		{ " 1", 9, false, 0, 0 },
		{ "x", 9, false, 0, 0 },
		{ "0x10", 99, true, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *cursor = rows[i].text;
		uint64_t v = 4711;
		bool ok = num_parse_u64(&cursor, rows[i].max, &v);

		if (ok != rows[i].ok)
			fail_msg("\"%s\": parsed %d", rows[i].text, ok);
		assert_int_equal(cursor - rows[i].text, rows[i].used);
		assert_int_equal(v, ok ? rows[i].value : 4711);
	}
}

static void thousandths(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "2", true, 2000 },
		{ "1.5", true, 1500 },
		{ "0.125", true, 125 },
		{ "0.01", true, 10 },
		{ "18446744073709550", true, 18446744073709550000U },
		{ "18446744073709551", false, 0 },
		{ "0.1234", false, 0 },
		{ ".5", false, 0 },
		{ "1.", false, 0 },
		{ "1.x", false, 0 },
		{ "1,5", false, 0 },
		{ "-1", false, 0 },
		{ "1 ", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t v = 4711;
		bool ok = num_thousandths(rows[i].text, &v);

		if (ok != rows[i].ok)
			fail_msg("\"%s\": parsed %d", rows[i].text, ok);
		assert_int_equal(v, ok ? rows[i].value : 4711);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} rows[] = {
		{ "0", true, 0 },
		{ "512", true, 512 },
		{ "4K", true, 4096 },
		{ "4k", true, 4096 },
		{ "10M", true, 10485760 },
		{ "3G", true, 3221225472 },
		{ "2T", true, 2199023255552 },
		{ "18014398509481983K", true, UINT64_MAX - 1023 },
		{ "18014398509481984K", false, 0 },
		{ "K", false, 0 },
		{ "", false, 0 },
		{ "4KB", false, 0 },
		{ "4KK", false, 0 },
		{ "4 K", false, 0 },
		{ "4P", false, 0 },
		{ "4 ", false, 0 },
		{ "1.5M", false, 0 },
		{ "-4K", false, 0 },
		{ "4\x0bx", false, 0 },
		{ "4\x20", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t v = 4711;
		bool ok = num_size(rows[i].text, &v);

		if (ok != rows[i].ok)
			fail_msg("\"%s\": parsed %d", rows[i].text, ok);
		assert_int_equal(v, ok ? rows[i].bytes : 4711);
	}
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t ms;
	} rows[] = {
		{ "90", true, 90000 },
		{ "1.5", true, 1500 },
		{ "0.001", true, 1 },
		{ "0", true, 0 },
		{ "90s", true, 90000 },
		{ "5m", true, 300000 },
		{ "1h", true, 3600000 },
		{ "250ms", true, 250 },
		{ "0.5h", true, 1800000 },
		{ "1.05s", true, 1050 },
		{ "2562047788h", true, 9223372036800000 },
		{ "2562047789h", false, 0 },
		{ "2562047788.028h", false, 0 },
		{ "9223372036854775ms", true, 9223372036854775 },
		{ "9223372036854776ms", false, 0 },
		{ "9223372036854775807", false, 0 },
		{ "9223372036854775808ms", false, 0 },
		{ "0.5ms", false, 0 },
		{ "0.0001", false, 0 },
		{ ".5", false, 0 },
		{ "1.", false, 0 },
		{ "1.s", false, 0 },
		{ "", false, 0 },
		{ "s", false, 0 },
		{ "5 m", false, 0 },
		{ "5M", false, 0 },
		{ "5d", false, 0 },
		{ "-5s", false, 0 },
		{ "1e3", false, 0 },
		{ "1m30s", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t v = 4711;
		bool ok = num_duration_ms(rows[i].text, &v);

		if (ok != rows[i].ok)
			fail_msg("\"%s\": parsed %d", rows[i].text, ok);
		assert_int_equal(v, ok ? rows[i].ms : 4711);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(thousandths),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests_name("base/num", tests, NULL, NULL);
}
