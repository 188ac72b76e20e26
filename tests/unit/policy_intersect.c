/* policy_intersect.c - what two policies both allow
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/policy_build.h"

#define OPEN POLICY_OPEN
#define SOME POLICY_ALLOWLIST
#define NONE POLICY_BLOCKED

struct row {
	enum policy_mode a_mode, b_mode;
	const char *const *a, *const *b;
	enum policy_mode mode;
	const char *const *both;
};

static void expect_rules(size_t row, const struct policy *p,
			 const char *const *rules)
{
	uint32_t i = 0;

	for (; rules && rules[i]; i++) {
		bool found = false;

		for (uint32_t k = 0; k < policy_nrules(p); k++)
			found |= !strcmp(policy_rule_text(p, k), rules[i]);
		if (!found)
			fail_msg("row %zu: no %s", row, rules[i]);
	}
	if (policy_nrules(p) != i)
		fail_msg("row %zu: %zu rules, the first %s", row,
			 policy_nrules(p), policy_rule_text(p, 0));
}

static struct built both_of(const struct policy *a, const struct policy *b)
{
	struct built both = { 0 };

	assert_int_equal(
		policy_intersect(a, b, &both.image, &both.len, &both.err), 0);
	assert_int_equal(policy_new(both.image, both.len, &both.p), 0);
	return both;
}

static void check_row(size_t i, const struct row *row, bool swapped)
{
	struct built a = build(row->a_mode, row->a, NULL);
	struct built b = build(row->b_mode, row->b, NULL);
	struct built both = swapped ? both_of(b.p, a.p) : both_of(a.p, b.p);

	assert_int_equal(policy_get_mode(both.p), row->mode);
	expect_rules(i, both.p, row->both);
	built_done(&both);
	built_done(&b);
	built_done(&a);
}

static void pairs(void **state)
{
	const struct row rows[] = {
		/* names and globs */
		{ SOME, SOME, LIST("a.test"), LIST("a.test"), SOME,
		  LIST("a.test") },
		{ SOME, SOME, LIST("a.test"), LIST("b.test"), SOME, NULL },
		{ SOME, SOME, LIST("*.a.test"), LIST("x.a.test", "a.test"),
		  SOME, LIST("x.a.test") },
		{ SOME, SOME, LIST("*.a.test"), LIST("*.x.a.test"), SOME,
		  LIST("*.x.a.test") },
		{ SOME, SOME, LIST("a*.x.test"), LIST("*b.x.test"), SOME,
		  NULL },
		{ SOME, SOME, LIST("*+wide"), LIST("a.test", "*.com+wide"),
		  SOME, LIST("a.test", "*.com+wide") },
		/* ports and protocols */
		{ SOME, SOME, LIST("a.test"), LIST("a.test:443,8443"), SOME,
		  LIST("a.test:443") },
		{ SOME, SOME, LIST("a.test:80-90"), LIST("a.test:85-100"), SOME,
		  LIST("a.test:85-90") },
		{ SOME, SOME, LIST("a.test:22"), LIST("udp/a.test:22"), SOME,
		  NULL },
		{ SOME, SOME, LIST("*.a.test:443"), LIST("x.a.test"), SOME,
		  LIST("x.a.test:443") },
		{ SOME, SOME, LIST("10.0.0.0/8"), LIST("udp/10.1.0.0/16:53"),
		  SOME, LIST("udp/10.1.0.0/16:53") },
		{ SOME, SOME, LIST("tcp/10.0.0.0/8"), LIST("10.1.0.0/16:53"),
		  SOME, LIST("tcp/10.1.0.0/16:53") },
		{ SOME, SOME, LIST("[2001:db8::/32]:443"), LIST("2001:db8::1"),
		  SOME, LIST("[2001:db8::1]:443") },
		/* a wider range opens nothing private, its name nothing */
		{ SOME, SOME, LIST("0.0.0.0/0"), LIST("10.0.0.0/8"), SOME,
		  NULL },
		{ SOME, SOME, LIST("a.test"), LIST("203.0.113.0/24"), SOME,
		  NULL },
		{ SOME, SOME, LIST("a.test+private"), LIST("a.test"), SOME,
		  LIST("a.test") },
		{ SOME, SOME, LIST("host.exeat.internal:80,81"),
		  LIST("host.docker.internal:81", "*+wide"), SOME,
		  LIST("host.exeat.internal:81") },
		/* modes */
		{ OPEN, SOME, NULL, LIST("a.test", "203.0.113.1"), SOME,
		  LIST("a.test", "203.0.113.1") },
		{ OPEN, SOME, NULL, LIST("a.test+private", "10.0.0.0/8"), SOME,
		  LIST("a.test") },
		{ OPEN, SOME, LIST("10.0.0.0/8"), LIST("10.1.0.0/16"), SOME,
		  LIST("10.1.0.0/16") },
		{ OPEN, OPEN, LIST("10.0.0.0/8"), LIST("10.1.0.0/16"), OPEN,
		  LIST("10.1.0.0/16") },
		{ OPEN, NONE, LIST("10.0.0.0/8"), NULL, NONE, NULL },
		{ SOME, NONE, LIST("a.test"), NULL, NONE, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_row(i, &rows[i], false);
		check_row(i, &rows[i], true);
	}
}

static void options_are_the_narrower(void **state)
{
	struct policy_spec strict = { .mode = OPEN, .require_names = true };
	struct built a = build_spec(&strict, NULL, LIST("bad.test"));
	struct built b = build(OPEN, NULL, LIST("10.9.0.0/16", "bad.test"));
	struct built both = both_of(a.p, b.p);

	(void)state;
	assert_true(policy_get_require_names(both.p));
	expect_rules(0, both.p, LIST("bad.test", "10.9.0.0/16"));
	built_done(&both);
	/* an address rule says nothing where names are required */
	built_done(&b);
	b = build(SOME, LIST("203.0.113.0/24", "a.test"), NULL);
	both = both_of(a.p, b.p);
	expect_rules(1, both.p, LIST("a.test", "bad.test"));
	built_done(&both);
	built_done(&b);
	built_done(&a);
}

static void many_ports(void **state)
{
	/* 31 ranges in common: more than one rule holds */
	struct built a = build(
		SOME,
		LIST("a.test:1-10,21-30,41-50,61-70,81-90,101-110,121-130,"
		     "141-150,161-170,181-190,201-210,221-230,241-250,261-270,"
		     "281-290,301-310"),
		NULL);
	struct built b = build(
		SOME,
		LIST("*.test:6-25,26-45,46-65,66-85,86-105,106-125,126-145,"
		     "146-165,166-185,186-205,206-225,226-245,246-265,266-285,"
		     "286-305,306-320+wide"),
		NULL);
	struct built both;

	(void)state;
	assert_non_null(a.p);
	assert_non_null(b.p);
	both = both_of(a.p, b.p);
	for (uint16_t port = 1; port < 400; port++) {
		const struct policy_question q = {
			.ask = POLICY_ASK_CONNECT,
			.name = "a.test",
			.learnt = POLICY_NAME_SNI,
			.addr = addr_from_v4(0xcb007109),
			.proto = RULE_TCP,
			.port = port,
		};

		assert_int_equal(policy_decide(both.p, &q).allow,
				 policy_decide(a.p, &q).allow &&
					 policy_decide(b.p, &q).allow);
	}
	built_done(&both);
	built_done(&b);
	built_done(&a);
}

static void denies_are_added(void **state)
{
	struct built a = build(SOME, LIST("*.a.test"), LIST("x.a.test"));
	struct built b = build(NONE, NULL, LIST("y.a.test", "x.a.test"));
	struct built sum = { 0 };

	(void)state;
	assert_int_equal(
		policy_add_denies(a.p, b.p, &sum.image, &sum.len, &sum.err), 0);
	assert_int_equal(policy_new(sum.image, sum.len, &sum.p), 0);
	assert_int_equal(policy_get_mode(sum.p), SOME);
	expect_rules(0, sum.p, LIST("*.a.test", "x.a.test", "y.a.test"));
	assert_true(policy_denies_names_as(sum.p, b.p));
	assert_true(policy_denies_names_as(sum.p, a.p));
	assert_false(policy_denies_names_as(a.p, sum.p));
	built_done(&sum);
	built_done(&b);
	built_done(&a);
}

/* Long lists: as many again, half of them alike, not a product of the two. */
static void long_lists(void **state)
{
	enum { N = 100000 };
	const char **lists[2];
	struct built p[2], both;
	char text[32];

	(void)state;
	for (int k = 0; k < 2; k++) {
		lists[k] = calloc(N + 1, sizeof(char *));
		assert_non_null(lists[k]);
		for (int i = 0; i < N; i++) {
			(void)snprintf(text, sizeof(text), "n%d.a.test%s",
				       i + k * N / 2, k && i % 2 ? ":443" : "");
			lists[k][i] = strdup(text);
		}
		p[k] = build(SOME, lists[k], NULL);
		assert_non_null(p[k].p);
	}
	both = both_of(p[0].p, p[1].p);
	assert_int_equal(policy_nrules(both.p), N / 2);
	built_done(&both);
	for (int k = 0; k < 2; k++) {
		built_done(&p[k]);
		for (int i = 0; i < N; i++)
			free((char *)(uintptr_t)lists[k][i]);
		free(lists[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(options_are_the_narrower),
		cmocka_unit_test(many_ports),
		cmocka_unit_test(denies_are_added),
		cmocka_unit_test(long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
