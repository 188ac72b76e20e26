/* sysnet_pins.c - pins: addresses of names, for a while
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/sys/nft_private.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

static struct nft_pin pin_of(const char *addr, enum rule_proto proto,
			     uint16_t lo, uint16_t hi)
{
	return (struct nft_pin){
		.addr = addr_of(addr),
		.proto = proto,
		.range = { lo, hi },
	};
}

static void pin(struct posture *p, const struct nft_pin *pins, size_t n,
		unsigned ttl_s)
{
	struct err err = { .code = ERR_NONE };

	must(nft_pin(p->nft, pins, n, ttl_s, &err), &err);
}

static void pins_open_exactly(void **state)
{
	struct plan plan = { .mode = POLICY_ALLOWLIST, .names = true };
	const struct nft_pin pins[] = {
		pin_of("203.0.113.1", RULE_TCP, 80, 80),
		pin_of("203.0.113.1", RULE_TCP, 443, 443),
		pin_of("203.0.113.1", RULE_UDP, 5000, 5015),
		pin_of("2001:db8::1", RULE_TCP, 443, 443),
		pin_of("10.0.0.1", RULE_TCP, 443, 443),
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_refused(&p, "203.0.113.1", 443, NFT_LIST);
	expect_refused(&p, "2001:db8::1", 443, NFT_LIST);
	pin(&p, pins, 5, 3600);
	expect_gate(&p, "203.0.113.1", 80);
	expect_gate(&p, "203.0.113.1", 443);
	expect_gate(&p, "2001:db8::1", 443);
	expect_gate(&p, "10.0.0.1", 443);
	expect_udp_gate(p.gate.udp, "203.0.113.1", 5000);
	expect_udp_gate(p.gate.udp, "203.0.113.1", 5015);
	expect_refused(&p, "203.0.113.1", 81, NFT_LIST);
	expect_refused(&p, "203.0.113.1", 5000, NFT_LIST);
	expect_refused(&p, "203.0.113.2", 443, NFT_LIST);
	expect_refused(&p, "2001:db8::1", 80, NFT_LIST);
	expect_refused(&p, "2001:db8::2", 443, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.1", 443, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.1", 5016, NFT_LIST);
	/* again, twice in one call, and in parts that overlap */
	pin(&p, pins, 5, 60);
	pin(&p, (struct nft_pin[]){ pins[0], pins[0], pins[2], pins[2] }, 4,
	    60);
	expect_gate(&p, "203.0.113.1", 80);
	posture_close(&p);
}

static void pin_classes(void **state)
{
	struct plan_pin_class classes[] = {
		{ RULE_TCP, { 1024, 65535 } },
		{ RULE_UDP, { 1, 65535 } },
	};
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.names = true,
		.pin_classes = classes,
		.npin_classes = 2,
	};
	const struct nft_pin pins[] = {
		pin_of("203.0.113.1", RULE_TCP, 1024, 65535),
		pin_of("2001:db8::1", RULE_UDP, 1, 65535),
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_refused(&p, "203.0.113.1", 5432, NFT_LIST);
	pin(&p, pins, 2, 3600);
	pin(&p, pins, 2, 3600);
	expect_gate(&p, "203.0.113.1", 5432);
	expect_gate(&p, "203.0.113.1", 65535);
	expect_refused(&p, "203.0.113.1", 443, NFT_LIST);
	expect_refused(&p, "203.0.113.2", 5432, NFT_LIST);
	expect_udp_gate(p.gate.udp, "2001:db8::1", 5432);
	expect_refused(&p, "2001:db8::1", 5432, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.1", 5432, NFT_LIST);
	posture_close(&p);
}

static bool refused_now(struct posture *p, const struct endpoint *to)
{
	int r = payload_connect(BY_V4, to, NULL, NULL);
	cleanup_fd int accepted = -1;

	assert_true(r == 0 || r == ECONNREFUSED);
	if (r)
		return true;
	/* The backlog must not run full. */
	wait_readable(p->gate.tcp);
	accepted = accept(p->gate.tcp, NULL, NULL);
	assert_true(accepted >= 0);
	return false;
}

/* A pin ends; a renewed one lives its whole time from then on. */
static void expiry_and_renewal(void **state)
{
	struct plan plan = { .mode = POLICY_ALLOWLIST, .names = true };
	const struct nft_pin kept = pin_of("203.0.113.1", RULE_TCP, 443, 443);
	const struct nft_pin left = pin_of("203.0.113.2", RULE_TCP, 443, 443);
	struct endpoint to_kept = at("203.0.113.1", 443);
	struct endpoint to_left = at("203.0.113.2", 443);
	struct posture p;
	int64_t start, until;

	(void)state;
	posture_open(&p, &plan);
	start = clock_ms();
	pin(&p, &kept, 1, 1);
	pin(&p, &left, 1, 1);
	assert_false(refused_now(&p, &to_kept));
	assert_false(refused_now(&p, &to_left));
	/* longer at first, cut short, and longer again */
	pin(&p, &kept, 1, 3600);
	pin(&p, &kept, 1, 1);
	pin(&p, &kept, 1, 3);
	until = clock_ms();
	while (!refused_now(&p, &to_left))
		assert_true(clock_ms() - start < 5000);
	assert_true(clock_ms() - start >= 900);
	assert_false(refused_now(&p, &to_kept));
	while (!refused_now(&p, &to_kept))
		assert_true(clock_ms() - until < 8000);
	assert_true(clock_ms() - until >= 2900);
	/* An expired one, which the kernel may not have collected yet. */
	pin(&p, &kept, 1, 60);
	assert_false(refused_now(&p, &to_kept));
	posture_close(&p);
}

static void refused_pins(void **state)
{
	struct plan_pin_class class = { RULE_TCP, { 1024, 65535 } };
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.names = true,
		.pin_classes = &class,
		.npin_classes = 1,
	};
	const struct nft_pin bad[] = {
		pin_of("203.0.113.1", RULE_TCP, 1024, 65534),
		pin_of("203.0.113.1", RULE_UDP, 1024, 65535),
		pin_of("203.0.113.1", RULE_TCP_UDP, 443, 443),
		pin_of("203.0.113.1", RULE_TCP, 0, 10),
		pin_of("203.0.113.1", RULE_TCP, 100, 116),
		pin_of("203.0.113.1", RULE_TCP, 100, 99),
	};
	struct err err;
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err_clear(&err);
		assert_true(nft_pin(p.nft, &bad[i], 1, 60, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
	}
	posture_close(&p);
	plan = (struct plan){ .mode = POLICY_BLOCKED };
	posture_open(&p, &plan);
	err_clear(&err);
	assert_true(nft_pin(p.nft, bad, 1, 60, &err) < 0);
	posture_close(&p);
}

static int pin_block(struct posture *p, unsigned block, struct err *err)
{
	enum { N = LIMIT_PINS / 16 / 2 };
	static struct nft_pin pins[N];

	for (uint32_t i = 0; i < N; i++) {
		pins[i] = pin_of("20.0.0.0", RULE_TCP, 1000, 1015);
		pins[i].addr = addr_from_v4(0x14000000 + block * N + i);
	}
	return nft_pin(p->nft, pins, N, 3600, err);
}

/* As many as there may be can be renewed; more fail and change nothing. */
static void many_pins(void **state)
{
	struct plan plan = { .mode = POLICY_ALLOWLIST, .names = true };
	struct err err = { .code = ERR_NONE };
	struct posture p;
	int64_t start = clock_ms();

	(void)state;
	posture_open(&p, &plan);
	must(pin_block(&p, 0, &err), &err);
	must(pin_block(&p, 1, &err), &err);
	print_message("%d pins: %ld ms\n", LIMIT_PINS,
		      (long)(clock_ms() - start));
	must(pin_block(&p, 0, &err), &err);
	must(pin_block(&p, 1, &err), &err);
	assert_true(pin_block(&p, 2, &err) < 0);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.object, "exeat pin4");
	expect_gate(&p, "20.0.0.0", 1000);
	expect_gate(&p, "20.0.15.255", 1015);
	expect_refused(&p, "20.0.15.255", 1016, NFT_LIST);
	posture_close(&p);
}

/* A policy that comes with pins is never in force without them. */
static void come_with_policy(void **state)
{
	enum { N = 4000, SMALL = 64 << 10 };
	static struct nft_pin list[N];
	struct plan_pin_class class = { RULE_TCP, { 2000, 3000 } };
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.names = true,
		.pin_classes = &class,
		.npin_classes = 1,
	};
	struct plan none = { .mode = POLICY_BLOCKED };
	struct nft_pins pins = { .list = list, .n = N, .ttl_s = 3600 };
	struct err err = { .code = ERR_NONE };
	struct posture p;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		list[i] = pin_of("20.0.0.0", RULE_TCP, 443, 443);
		list[i].addr = addr_from_v4(0x14000000 + i / 2);
	}
	list[N - 1] = pin_of("2001:db8::1", RULE_TCP, 2000, 3000);
	posture_open(&p, &plan);
	pin(&p, (struct nft_pin[]){ pin_of("30.0.0.1", RULE_TCP, 80, 80) }, 1,
	    3600);
	/* in one transaction, and in many */
	for (int i = 0; i < 2; i++) {
		must(nft_load_pins(p.nft, &plan, &pins, &err), &err);
		expect_gate(&p, "20.0.0.0", 443);
		expect_gate(&p, "20.0.7.206", 443);
		expect_gate(&p, "2001:db8::1", 2500);
		expect_refused(&p, "20.0.0.0", 444, NFT_LIST);
		expect_refused(&p, "30.0.0.1", 80, NFT_LIST);
		p.nft->room = SMALL;
	}
	/* they can be renewed, and ranges that the plan has not change nothing */
	pin(&p, list, N, 3600);
	list[0].range.hi = 1000;
	assert_true(nft_load_pins(p.nft, &plan, &pins, &err) < 0);
	expect_gate(&p, "20.0.7.206", 443);
	assert_true(nft_load_pins(p.nft, &none, &pins, &err) < 0);
	expect_gate(&p, "2001:db8::1", 2500);
	must(nft_load(p.nft, &plan, &err), &err);
	expect_refused(&p, "20.0.7.206", 443, NFT_LIST);
	posture_close(&p);
}

int sysnet_pins_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_open_exactly),
		cmocka_unit_test(pin_classes),
		cmocka_unit_test(expiry_and_renewal),
		cmocka_unit_test(refused_pins),
		cmocka_unit_test(many_pins),
		cmocka_unit_test(come_with_policy),
	};

	return cmocka_run_group_tests_name("sysnet_pins", tests, NULL, NULL);
}
