/* dialer_limits_test.c - how much may be asked, and of whom
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "dialer_tests.h"
#include "dialer_world.h"
#include "proxy/dns.h"
#include "proxy/quota.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { WINDOW_MS = LIMIT_DNS_WINDOW_S * 1000 };

/* -- the tables alone -- */

static bool name_of(struct quota *b, const char *rule, const char *suffix,
		    unsigned n, size_t bytes, int64_t now_ms)
{
	const struct quota_scope scope = { rule, suffix };
	char name[32];

	(void)snprintf(name, sizeof(name), "n%u", n);
	return quota_name(b, &scope, name, bytes, now_ms);
}

static void test_names_of_a_rule(void **state)
{
	struct quota *b;

	(void)state;
	assert_int_equal(quota_new(&b), 0);
	for (unsigned i = 0; i < LIMIT_DNS_NAMES; i++)
		assert_true(name_of(b, "*.a.test", "", i, 3, 1000));
	assert_false(name_of(b, "*.a.test", "", LIMIT_DNS_NAMES, 3, 1000));
	/* those that are known stay so; another rule has its own */
	assert_true(name_of(b, "*.a.test", "", 0, 3, 1000));
	assert_true(name_of(b, "*.b.test", "", 0, 3, 1000));
	assert_true(name_of(b, "*.a.test", "b.test", 0, 3, 1000));
	quota_free(b);
}

static void test_names_come_back(void **state)
{
	struct quota *b;

	(void)state;
	assert_int_equal(quota_new(&b), 0);
	for (unsigned i = 0; i < LIMIT_DNS_NAMES; i++)
		assert_true(name_of(b, "*.a.test", "", i, 3, 1000));
	/* a use within the window keeps the place of a name */
	assert_true(name_of(b, "*.a.test", "", 7, 3, 1000 + WINDOW_MS / 2));
	assert_false(name_of(b, "*.a.test", "", 9999, 3, 999 + WINDOW_MS));
	assert_true(name_of(b, "*.a.test", "", 9999, 3, 1000 + WINDOW_MS));
	/* these two are counted, and nothing else is any more */
	for (unsigned i = 2; i < LIMIT_DNS_NAMES; i++)
		assert_true(name_of(b, "*.a.test", "", 10000 + i, 3,
				    1000 + WINDOW_MS));
	assert_false(name_of(b, "*.a.test", "", 8888, 3, 1000 + WINDOW_MS));
	quota_free(b);
}

static void test_bytes_of_a_rule(void **state)
{
	enum { LONG = 200, FIT = LIMIT_DNS_NAME_BYTES / LONG };
	struct quota *b;

	(void)state;
	assert_int_equal(quota_new(&b), 0);
	assert_true((int)FIT < (int)LIMIT_DNS_NAMES);
	for (unsigned i = 0; i < FIT; i++)
		assert_true(name_of(b, "*.a.test", "", i, LONG, 0));
	assert_false(name_of(b, "*.a.test", "", FIT, LONG, 0));
	/* a refused one has not been counted: what fits, fits */
	assert_true(name_of(b, "*.a.test", "", FIT,
			    LIMIT_DNS_NAME_BYTES - FIT * LONG, 0));
	assert_false(name_of(b, "*.a.test", "", FIT + 1, 1, 0));
	quota_free(b);
}

static void test_names_of_all_rules(void **state)
{
	struct quota *b;
	unsigned n = 0;
	char rule[32];

	(void)state;
	assert_int_equal(quota_new(&b), 0);
	for (; n <= LIMIT_DNS_NAMES_ALL; n++) {
		(void)snprintf(rule, sizeof(rule), "*.r%u.test", n);
		if (!name_of(b, rule, "", n, 3, 0))
			break;
	}
	assert_int_equal(n, LIMIT_DNS_NAMES_ALL);
	assert_true(name_of(b, rule, "", n, 3, WINDOW_MS));
	quota_free(b);
}

static void test_rate(void **state)
{
	struct quota_rate r = { 0 };
	const int64_t start = INT64_C(1) << 40;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(quota_take(&r, 5, 10, start));
	assert_false(quota_take(&r, 5, 10, start));
	assert_false(quota_take(&r, 5, 10, start + 199));
	assert_true(quota_take(&r, 5, 10, start + 200));
	assert_false(quota_take(&r, 5, 10, start + 200));
	/* never fuller than full, and a clock that stands still adds nothing */
	for (int i = 0; i < 10; i++)
		assert_true(quota_take(&r, 5, 10, start * 2));
	assert_false(quota_take(&r, 5, 10, start * 2));
	assert_false(quota_take(&r, 5, 10, start));
}

/* -- in the dialer -- */

static void test_tunnel_below_a_wildcard(void **state)
{
	enum { TRIED = 500 };
	struct world *w = world_new(
		POLICY_ALLOWLIST,
		LIST("*.wild.test", "shop.wild.test", "*.other.test"), NULL);
	struct answer_resolve r;
	unsigned allowed = 0;
	char name[64];

	(void)state;
	world_a(w, "x0.wild.test", "203.0.113.10");
	world_a(w, "shop.wild.test", "203.0.113.11");
	for (int i = 0; i < TRIED; i++) {
		(void)snprintf(name, sizeof(name), "x%d.wild.test", i);
		r = world_resolve(w, name, DNS_TYPE_A);
		allowed += r.allow;
	}
	assert_int_equal(allowed, LIMIT_DNS_NAMES);
	assert_int_equal(world_asked_all(w), LIMIT_DNS_NAMES);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_LIMIT);
	assert_string_equal(r.rule, "*.wild.test");
	assert_string_equal(r.hint, name);
	/* another type of a known name, a name with its own rule, a neighbour */
	assert_true(world_resolve(w, "x0.wild.test", DNS_TYPE_AAAA).allow);
	assert_true(world_resolve(w, "x0.wild.test", DNS_TYPE_A).allow);
	assert_true(world_resolve(w, "shop.wild.test", DNS_TYPE_A).allow);
	assert_true(world_resolve(w, "a.other.test", DNS_TYPE_A).allow);
	world_free(w);
}

static void test_names_given_to_a_proxy(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.wild.test"), NULL);
	struct answer a = { 0 };
	char name[64];
	int fd;

	(void)state;
	for (int i = 0; i <= LIMIT_DNS_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "x%d.wild.test", i);
		a = world_dial(w, name, POLICY_NAME_PROXY, "::", 443, &fd);
		assert_int_equal(fd, -1);
		if (i < LIMIT_DNS_NAMES)
			assert_true(a.allow);
	}
	assert_false(a.allow);
	assert_int_equal(a.reason, POLICY_R_LIMIT);
	assert_string_equal(a.rule, "*.wild.test");
	assert_int_equal(world_asked(w, name, DNS_TYPE_A), 0);
	world_free(w);
}

static void test_wide_rule_counts_owners(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.test+wide"), NULL);
	struct answer_resolve r = { 0 };
	char name[64];

	(void)state;
	for (int i = 0; i < 2 * LIMIT_DNS_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "www.site%d.test", i);
		r = world_resolve(w, name, DNS_TYPE_A);
		assert_true(r.allow);
	}
	for (int i = 0; i <= LIMIT_DNS_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "x%d.evil.test", i);
		r = world_resolve(w, name, DNS_TYPE_A);
	}
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_LIMIT);
	world_free(w);
}

static void test_questions_a_second(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	const int64_t start = clock_ms();
	struct answer_resolve r = { .allow = true };
	int64_t most = 0;
	int n = 0;

	(void)state;
	world_a(w, "kept.test", "203.0.113.10");
	assert_true(world_resolve(w, "kept.test", DNS_TYPE_A).allow);
	while (r.allow) {
		char name[64];

		(void)snprintf(name, sizeof(name), "q%d.test", n++);
		r = world_resolve(w, name, DNS_TYPE_A);
		most = LIMIT_DNS_BURST +
		       (clock_ms() - start + 1000) * LIMIT_DNS_RATE_S / 1000;
		assert_true(n <= most);
	}
	assert_true(n >= LIMIT_DNS_BURST - 1);
	assert_int_equal(r.reason, POLICY_R_LIMIT);
	/* what is kept costs nothing; 5 ms on there is room for one more */
	assert_true(world_resolve(w, "kept.test", DNS_TYPE_A).allow);
	world_run_ms(w, 2 * 1000 / LIMIT_DNS_RATE_S);
	assert_true(world_resolve(w, "later.test", DNS_TYPE_A).allow);
	world_free(w);
}

static void test_failure_is_kept_for_a_moment(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct answer_resolve r;
	unsigned asked;

	(void)state;
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_A,
					     .rcode = DNS_SERVFAIL });
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(r.rcode, DNS_SERVFAIL);
	asked = world_asked_all(w);
	world_a(w, "a.test", "203.0.113.10");
	for (int i = 0; i < 20; i++) {
		r = world_resolve(w, "a.test", DNS_TYPE_A);
		assert_int_equal(r.rcode, DNS_SERVFAIL);
	}
	assert_int_equal(world_asked_all(w), asked);
	world_run_ms(w, LIMIT_DNS_FAILED_MS + 10);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(r.naddrs, 1);
	world_free(w);
}

static void test_dead_server_is_asked_last(void **state)
{
	static const char *const names[] = { "b.test", "c.test", "d.test",
					     "e.test" };
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct answer_resolve r;
	int64_t start = clock_ms(), first;

	(void)state;
	world_a(w, "a.test", "203.0.113.10");
	world_use_servers(w, true, true);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(r.naddrs, 1);
	first = clock_ms() - start;
	assert_true(first >= 400); /* it was waited for: once */
	start = clock_ms();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		world_a(w, names[i], "203.0.113.10");
		r = world_resolve(w, names[i], DNS_TYPE_A);
		assert_int_equal(r.naddrs, 1);
	}
	assert_true(clock_ms() - start < first);
	/* new servers: their own order */
	world_use_servers(w, true, true);
	world_a(w, "f.test", "203.0.113.10");
	start = clock_ms();
	r = world_resolve(w, "f.test", DNS_TYPE_A);
	assert_int_equal(r.naddrs, 1);
	assert_true(clock_ms() - start >= 400);
	world_free(w);
}

int dialer_limits_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_a_rule),
		cmocka_unit_test(test_names_come_back),
		cmocka_unit_test(test_bytes_of_a_rule),
		cmocka_unit_test(test_names_of_all_rules),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_tunnel_below_a_wildcard),
		cmocka_unit_test(test_names_given_to_a_proxy),
		cmocka_unit_test(test_wide_rule_counts_owners),
		cmocka_unit_test(test_questions_a_second),
		cmocka_unit_test(test_failure_is_kept_for_a_moment),
		cmocka_unit_test(test_dead_server_is_asked_last),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
