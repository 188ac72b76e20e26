/* policy_plan.c - ranges, groups, classes and ports of the kernel plan
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/policy_build.h"

/* "first-last first-last ...", single addresses alone. */
static void put_ranges(const struct plan_group *g, struct sbuf *b)
{
	for (size_t i = 0; i < g->nranges; i++) {
		char first[ADDR_STRLEN], last[ADDR_STRLEN];

		addr_str(&g->ranges[i].first, first);
		addr_str(&g->ranges[i].last, last);
		sbuf_fmt(b, "%s%s", i ? " " : "", first);
		if (strcmp(first, last) != 0)
			sbuf_fmt(b, "-%s", last);
	}
}

static void check_group(const struct plan_group *g, uint8_t protos,
			bool all_ports, const char *ranges)
{
	struct sbuf b;

	sbuf_init(&b, 1 << 16);
	put_ranges(g, &b);
	assert_int_equal(g->protos, protos);
	assert_int_equal(g->all_ports, all_ports);
	assert_string_equal(b.s ? b.s : "", ranges);
	sbuf_done(&b);
}

static struct plan *plan_of(const struct built *b)
{
	struct plan *plan;

	assert_non_null(b->p);
	assert_int_equal(policy_plan_new(b->p, &plan), 0);
	return plan;
}

static void merges_and_groups(void **unused)
{
	struct built b = build(
		POLICY_ALLOWLIST,
		LIST("203.0.113.128/25", "203.0.113.0/25", "2001:db8::/33",
		     "2001:db8:8000::/33", "198.51.100.9:22", "198.51.100.8:22",
		     "198.51.100.11:22", "udp/198.51.100.1:53,5353",
		     "203.0.113.7", "255.255.255.255", "255.255.255.254"),
		LIST("203.0.113.9", "ffff::/16"));
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_int_equal(plan->mode, POLICY_ALLOWLIST);
	assert_false(plan->names);
	assert_int_equal(plan->nallow, 3);
	check_group(&plan->allow[0], RULE_TCP_UDP, true,
		    "203.0.113.0-203.0.113.255 "
		    "255.255.255.254-255.255.255.255 "
		    "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
	check_group(&plan->allow[1], RULE_TCP_UDP, false,
		    "198.51.100.8-198.51.100.9 198.51.100.11");
	assert_int_equal(plan->allow[1].nports, 1);
	assert_int_equal(plan->allow[1].ports[0].lo, 22);
	check_group(&plan->allow[2], RULE_UDP, false, "198.51.100.1");
	assert_int_equal(plan->allow[2].nports, 2);
	assert_int_equal(plan->ndeny, 1);
	check_group(&plan->deny[0], RULE_TCP_UDP, true,
		    "203.0.113.9 ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:"
		    "ffff");
	policy_plan_free(plan);
	built_done(&b);
}

/* A wide prefix does not open what is private; a rule inside does. */
static void cuts_out_what_is_private(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("0.0.0.0/0", "10.1.0.0/16"),
			       LIST("0.0.0.0/0:25"));
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_int_equal(plan->nallow, 1);
	check_group(&plan->allow[0], RULE_TCP_UDP, true,
		    "0.0.0.0-9.255.255.255 10.1.0.0-10.1.255.255 "
		    "11.0.0.0-100.63.255.255 100.128.0.0-172.15.255.255 "
		    "172.32.0.0-192.167.255.255 192.169.0.0-255.255.255.255");
	check_group(&plan->deny[0], RULE_TCP_UDP, false,
		    "0.0.0.0-255.255.255.255");
	policy_plan_free(plan);
	built_done(&b);

	b = build(POLICY_ALLOWLIST, LIST("fc00::/6", "tcp/10.0.0.0/7"), NULL);
	plan = plan_of(&b);
	assert_int_equal(plan->nallow, 2);
	check_group(&plan->allow[0], RULE_TCP_UDP, true,
		    "fe00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	check_group(&plan->allow[1], RULE_TCP, true, "11.0.0.0-11.255.255.255");
	policy_plan_free(plan);
	built_done(&b);
}

static void open_has_only_the_openers(void **unused)
{
	struct built b = build(POLICY_OPEN,
			       LIST("10.0.0.0/8:22", "db.test+private"),
			       LIST("203.0.113.9"));
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_true(plan->names);
	assert_int_equal(plan->nallow, 1);
	check_group(&plan->allow[0], RULE_TCP_UDP, false,
		    "10.0.0.0-10.255.255.255");
	assert_int_equal(plan->ndeny, 1);
	policy_plan_free(plan);
	built_done(&b);
}

static void classes_of_wide_ranges(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("a.test", "a.test:1000-1015", "a.test:1000-1016",
			   "b.test:1000-1016,5000-6000", "udp/a.test:1000-1016",
			   "203.0.113.9:1-1000"),
		      NULL);
	struct policy_spec strict = { .mode = POLICY_OPEN,
				      .require_names = true };
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_int_equal(plan->npin_classes, 3);
	assert_int_equal(plan->pin_classes[0].proto, RULE_TCP);
	assert_int_equal(plan->pin_classes[0].range.lo, 1000);
	assert_int_equal(plan->pin_classes[0].range.hi, 1016);
	assert_int_equal(plan->pin_classes[1].range.lo, 5000);
	assert_int_equal(plan->pin_classes[2].proto, RULE_UDP);
	policy_plan_free(plan);
	built_done(&b);

	b = build_spec(&strict, NULL, NULL);
	plan = plan_of(&b);
	assert_int_equal(plan->npin_classes, 3);
	policy_plan_free(plan);
	built_done(&b);
}

static void ports_of_the_host(void **unused)
{
	struct built b = build(
		POLICY_ALLOWLIST,
		LIST("host.exeat.internal:80-90", "host.docker.internal:85-95",
		     "host.exeat.internal:443", "udp/host.exeat.internal:53"),
		NULL);
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_false(plan->names);
	assert_int_equal(plan->host_ports_tcp_n, 2);
	assert_int_equal(plan->host_ports_tcp[0].lo, 80);
	assert_int_equal(plan->host_ports_tcp[0].hi, 95);
	assert_int_equal(plan->host_ports_tcp[1].lo, 443);
	assert_int_equal(plan->host_ports_udp_n, 1);
	assert_int_equal(plan->host_ports_udp[0].lo, 53);
	policy_plan_free(plan);
	built_done(&b);
}

static void nothing_to_plan(void **unused)
{
	struct built b = build(POLICY_BLOCKED, NULL, NULL);
	struct plan *plan = plan_of(&b);

	(void)unused;
	assert_int_equal(plan->nallow + plan->ndeny + plan->npin_classes, 0);
	policy_plan_free(plan);
	policy_plan_free(NULL);
	built_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merges_and_groups),
		cmocka_unit_test(cuts_out_what_is_private),
		cmocka_unit_test(open_has_only_the_openers),
		cmocka_unit_test(classes_of_wide_ranges),
		cmocka_unit_test(ports_of_the_host),
		cmocka_unit_test(nothing_to_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
