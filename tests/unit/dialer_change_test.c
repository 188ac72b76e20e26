/* dialer_change_test.c - another policy for a posture that lives
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
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
#include "policy_build.h"
#include "proxy/dns.h"

/* How many pins stay, each of one address and a range of ports? */
static size_t staying(struct world *w, const struct built *to)
{
	struct dialer_pins stay = { 0 };

	assert_int_equal(dialer_staying_pins(world_dialer(w), 1, to->p, &stay),
			 0);
	assert_true(stay.ttl_s > LIMIT_PIN_S);
	free(stay.list);
	return stay.n;
}

static void change(struct world *w, const struct built *to)
{
	assert_non_null(to->p);
	(void)staying(w, to);
	assert_int_equal(dialer_set_policy(world_dialer(w), 1, to->p), 0);
	dialer_renew(world_dialer(w), 1);
}

static bool dials(struct world *w, const char *name, const char *addr)
{
	int fd;
	struct answer r = world_dial(w, name, POLICY_NAME_SNI, addr, 443, &fd);

	fd_close(&fd);
	return r.allow;
}

static void test_pins(void **state)
{
	struct built other = build(POLICY_ALLOWLIST, LIST("a.test:443"), NULL);
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("a.test", "b.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.60", 443);
	cleanup_fd int k = world_listen("203.0.113.61", 443);
	const struct addr first = world_addr("203.0.113.60");
	struct dialer_pins stay = { 0 };
	size_t calls;

	(void)state;
	world_a(w, "a.test", "203.0.113.60");
	world_a(w, "b.test", "203.0.113.61");
	(void)world_resolve(w, "a.test", DNS_TYPE_A);
	(void)world_resolve(w, "b.test", DNS_TYPE_A);
	assert_true(dials(w, "a.test", "203.0.113.60"));
	assert_true(dials(w, "b.test", "203.0.113.61"));
	calls = world_pin_calls(w);
	assert_int_equal(
		dialer_staying_pins(world_dialer(w), 1, other.p, &stay), 0);
	assert_int_equal(stay.n, 1);
	assert_true(addr_equal(&stay.list[0].addr, &first));
	assert_int_equal(stay.list[0].proto, RULE_TCP);
	assert_int_equal(stay.list[0].range.lo, 443);
	assert_int_equal(stay.list[0].range.hi, 443);
	free(stay.list);
	/* the old one decides until the kernel has the new one */
	assert_true(dials(w, "b.test", "203.0.113.61"));
	assert_int_equal(dialer_set_policy(world_dialer(w), 1, other.p), 0);
	dialer_renew(world_dialer(w), 1);
	/* the kernel has it: another answer need not tell it */
	(void)world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(world_pin_calls(w), calls);
	assert_true(dials(w, "a.test", "203.0.113.60"));
	assert_false(dials(w, "b.test", "203.0.113.61"));
	assert_false(world_resolve(w, "b.test", DNS_TYPE_A).allow);
	assert_int_equal(dialer_staying_pins(world_dialer(w), 7, other.p,
					     &stay),
			 -ENOENT);
	assert_int_equal(dialer_set_policy(world_dialer(w), 7, other.p),
			 -ENOENT);
	world_free(w);
	built_done(&other);
}

/* What the kernel was not told of goes to it at the next use. */
static void test_not_told(void **state)
{
	struct built same =
		build(POLICY_ALLOWLIST, LIST("a.test", "b.test"), NULL);
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.60", 443);
	size_t calls;

	(void)state;
	world_a(w, "a.test", "203.0.113.60");
	(void)world_resolve(w, "a.test", DNS_TYPE_A);
	calls = world_pin_calls(w);
	/* nobody asked what stays */
	assert_int_equal(dialer_set_policy(world_dialer(w), 1, same.p), 0);
	dialer_renew(world_dialer(w), 1);
	(void)world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(world_pin_calls(w), calls + 1);
	assert_true(dials(w, "a.test", "203.0.113.60"));
	world_free(w);
	built_done(&same);
}

/* A chain of names is not kept: who came by one goes if names are denied. */
static void test_chains(void **state)
{
	struct built denies =
		build(POLICY_ALLOWLIST, LIST("*.x.test"), LIST("cdn.test"));
	struct built same =
		build(POLICY_ALLOWLIST, LIST("*.x.test", "c.test"), NULL);
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("*.x.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.62", 443);
	cleanup_fd int k = world_listen("203.0.113.63", 443);

	(void)state;
	world_cname(w, "chained.x.test", "cdn.test");
	world_a(w, "cdn.test", "203.0.113.62");
	world_a(w, "plain.x.test", "203.0.113.63");
	(void)world_resolve(w, "chained.x.test", DNS_TYPE_A);
	(void)world_resolve(w, "plain.x.test", DNS_TYPE_A);
	change(w, &same);
	assert_true(dials(w, "chained.x.test", "203.0.113.62"));
	assert_true(dials(w, "plain.x.test", "203.0.113.63"));
	change(w, &denies);
	assert_false(dials(w, "chained.x.test", "203.0.113.62"));
	assert_true(dials(w, "plain.x.test", "203.0.113.63"));
	world_free(w);
	built_done(&denies);
	built_done(&same);
}

/* An address that the new policy denies is no answer of it. */
static void test_addresses(void **state)
{
	struct built other =
		build(POLICY_ALLOWLIST, LIST("a.test"), LIST("203.0.113.64"));
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	size_t calls;

	(void)state;
	world_a(w, "a.test", "203.0.113.64");
	(void)world_resolve(w, "a.test", DNS_TYPE_A);
	calls = world_pin_calls(w);
	change(w, &other);
	assert_int_equal(world_pin_calls(w), calls);
	assert_false(dials(w, "a.test", "203.0.113.64"));
	world_free(w);
	built_done(&other);
}

/* What is under way is asked again, by the new policy. */
static void test_under_way(void **state)
{
	struct built none = build(POLICY_ALLOWLIST, NULL, NULL);
	struct built same = build(POLICY_ALLOWLIST,
				  LIST("a.test", "203.0.113.0/24:*"), NULL);
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("*.test+wide", "203.0.113.0/24:*"),
				    NULL);
	struct world_hole hole = world_hole_new("203.0.113.65", 443);
	struct ask a = { .qtype = DNS_TYPE_A, .name = "silent.test" };
	uint32_t ids[3];
	int fd;

	(void)state;
	world_says(w, (struct world_record){ .name = "silent.test",
					     .qtype = DNS_TYPE_A,
					     .silent = true });
	world_a(w, "a.test", "203.0.113.66");
	ids[0] = world_send(w, ASK_RESOLVE, a);
	world_pins(w, WORLD_PIN_HELD);
	memcpy(a.name, "a.test", 7);
	ids[1] = world_send(w, ASK_RESOLVE, a);
	a = (struct ask){ .to = world_endpoint("203.0.113.65", 443) };
	ids[2] = world_send(w, ASK_DIAL, a);
	world_run_ms(w, 100);
	world_pins(w, WORLD_PIN_AT_ONCE);
	change(w, &same);
	/* refused at once; pinned and told; still dialled */
	assert_false(world_answer_resolve(w, ids[0]).allow);
	assert_true(world_answer_resolve(w, ids[1]).allow);
	assert_false(world_has_answer(w, ids[2]));
	change(w, &none);
	assert_false(world_answer(w, ids[2], &fd).allow);
	/* late acknowledgements of what went with the old policy */
	world_release_pins(w);
	world_run_ms(w, 20);
	assert_int_equal(world_broken(w), 0);
	world_hole_done(&hole);
	world_free(w);
	built_done(&none);
	built_done(&same);
}

int dialer_change_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_under_way),
	};

	return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
