/* sysnet_sets.c - prefixes to ranges
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/nft_set.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

static const struct {
	const char *in[6];
	const char *out[6]; /* "first-last", as strings in pairs */
} rows[] = {
	{ { "10.0.0.0/8" }, { "10.0.0.0", "10.255.255.255" } },
	{ { "10.0.0.128/25", "10.0.0.0/25" }, { "10.0.0.0", "10.0.0.255" } },
	{ { "10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/9" },
	  { "10.0.0.0", "10.255.255.255" } },
	{ { "2001:db8::/32", "10.0.0.1" },
	  { "10.0.0.1", "10.0.0.1",
	    "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" } },
	/* families do not join, though mapped addresses are neighbours */
	{ { "255.255.255.255", "::1:0:0:0", "0.0.0.0" },
	  { "0.0.0.0", "0.0.0.0", "255.255.255.255", "255.255.255.255",
	    "::1:0:0:0", "::1:0:0:0" } },
	{ { "::fffe:ffff:ffff", "0.0.0.0/0" },
	  { "0.0.0.0", "255.255.255.255", "::fffe:ffff:ffff",
	    "::fffe:ffff:ffff" } },
};

static void merge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct prefix in[6];
		struct plan_range out[6];
		size_t n = 0, count;
		bool extra;

		while (n < 6 && rows[i].in[n]) {
			const char *text = rows[i].in[n];

			assert_true(prefix_parse(&text, &in[n++], &extra));
		}
		count = nft_ranges_from_prefixes(in, n, out);
		for (size_t k = 0; k < count; k++) {
			char a[ADDR_STRLEN], b[ADDR_STRLEN];

			assert_in_range(k, 0, 2);
			assert_non_null(rows[i].out[2 * k]);
			assert_string_equal(addr_str(&out[k].first, a),
					    rows[i].out[2 * k]);
			assert_string_equal(addr_str(&out[k].last, b),
					    rows[i].out[2 * k + 1]);
		}
		assert_true(count == 3 || !rows[i].out[2 * count]);
	}
}

int sysnet_sets_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge),
	};

	return cmocka_run_group_tests_name("sysnet_sets", tests, NULL, NULL);
}
