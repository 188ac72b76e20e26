/* sysnet_modes.c - what each mode allows
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/sys/nft_private.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

static void expect_nothing(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	assert_true(listener >= 0);
	assert_int_equal(poll(&pfd, 1, 0), 0);
}

static void blocked_refuses_all(void **state)
{
	struct plan plan = { .mode = POLICY_BLOCKED };
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_refused(&p, "203.0.113.9", 443, NFT_LIST);
	expect_refused(&p, "10.0.0.1", 80, NFT_LIST);
	expect_refused(&p, "2001:db8::1", 443, NFT_LIST);
	expect_refused(&p, "64:ff9b::808:808", 443, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.9", 443, NFT_LIST);
	expect_udp_refused(&p, "2001:db8::1", 9999, NFT_LIST);
	/* the listeners are there, for a posture that is opened later */
	expect_nothing(p.gate.tcp);
	expect_nothing(p.gate.udp);
	posture_close(&p);
}

static void allowlist_passes_what_it_names(void **state)
{
	struct plan_range web[] = {
		range_of("203.0.113.0/24"),
		range_of("2001:db8:1::/48"),
	};
	struct plan_range any[] = {
		range_of("10.1.2.3"),
		range_of("255.255.255.254/31"),
		range_of("ffff:ffff:ffff:ffff::/64"),
	};
	struct plan_group allow[] = {
		{
			.protos = RULE_TCP,
			.nports = 3,
			.ports = { { 80, 80 }, { 443, 443 }, { 8000, 8999 } },
			.ranges = web,
			.nranges = 2,
		},
		{
			.protos = RULE_UDP,
			.nports = 1,
			.ports = { { 65535, 65535 } },
			.ranges = web,
			.nranges = 2,
		},
		group_all(any, 1),
	};
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = allow,
		.nallow = 3,
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_gate(&p, "203.0.113.0", 80);
	expect_gate(&p, "203.0.113.255", 443);
	expect_gate(&p, "203.0.113.9", 8000);
	expect_gate(&p, "203.0.113.9", 8999);
	expect_gate(&p, "2001:db8:1::", 443);
	expect_gate(&p, "2001:db8:1:ffff:ffff:ffff:ffff:ffff", 80);
	expect_udp_gate(p.gate.udp, "203.0.113.9", 65535);
	expect_udp_gate(p.gate.udp, "2001:db8:1::9", 65535);
	expect_gate(&p, "10.1.2.3", 1);
	expect_udp_gate(p.gate.udp, "10.1.2.3", 1);
	/* one past every edge */
	expect_refused(&p, "203.0.112.255", 80, NFT_LIST);
	expect_refused(&p, "203.0.114.0", 80, NFT_LIST);
	expect_refused(&p, "2001:db8:0:ffff::", 80, NFT_LIST);
	expect_refused(&p, "2001:db8:2::", 80, NFT_LIST);
	expect_refused(&p, "203.0.113.9", 79, NFT_LIST);
	expect_refused(&p, "203.0.113.9", 81, NFT_LIST);
	expect_refused(&p, "203.0.113.9", 7999, NFT_LIST);
	expect_refused(&p, "203.0.113.9", 9000, NFT_LIST);
	expect_refused(&p, "203.0.113.9", 65535, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.9", 443, NFT_LIST);
	expect_udp_refused(&p, "203.0.113.9", 65534, NFT_LIST);
	expect_refused(&p, "10.1.2.4", 1, NFT_LIST);
	posture_close(&p);
}

/* Ranges that end with the last address of their family. */
static void last_addresses(void **state)
{
	struct plan_range ranges[] = {
		range_of("223.0.0.0/8"),
		range_of("255.255.255.255"),
		range_of("8000::/1"),
	};
	struct plan_group allow = group_all(ranges, 3);
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = &allow,
		.nallow = 1,
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_gate(&p, "223.255.255.255", 80);
	expect_gate(&p, "9000::1", 80);
	expect_gate(&p, "fe7f:ffff::1", 80);
	expect_refused(&p, "222.255.255.255", 80, NFT_LIST);
	expect_refused(&p, "7fff:ffff::1", 80, NFT_LIST);
	expect_refused(&p, "fe80::1", 80, NFT_GUARD);
	posture_close(&p);
}

static void deny_beats_allow(void **state)
{
	struct plan_range net[] = {
		range_of("203.0.113.0/24"),
		range_of("2001:db8::/32"),
	};
	struct plan_range one[] = {
		range_of("203.0.113.9"),
		range_of("2001:db8::9"),
	};
	struct plan_range smtp[] = { range_of("203.0.113.25") };
	struct plan_group allow = group_all(net, 2);
	struct plan_group deny[] = {
		group_all(one, 2),
		{
			.protos = RULE_TCP,
			.nports = 1,
			.ports = { { 25, 25 } },
			.ranges = smtp,
			.nranges = 1,
		},
	};
	struct plan plan = {
		.allow = &allow,
		.nallow = 1,
		.deny = deny,
		.ndeny = 2,
	};

	(void)state;
	for (int open = 0; open < 2; open++) {
		struct posture p;

		plan.mode = open ? POLICY_OPEN : POLICY_ALLOWLIST;
		posture_open(&p, &plan);
		expect_gate(&p, "203.0.113.8", 443);
		expect_gate(&p, "2001:db8::8", 443);
		expect_gate(&p, "203.0.113.25", 26);
		expect_refused(&p, "203.0.113.9", 443, NFT_DENY);
		expect_refused(&p, "2001:db8::9", 443, NFT_DENY);
		expect_udp_refused(&p, "203.0.113.9", 443, NFT_DENY);
		expect_refused(&p, "203.0.113.25", 25, NFT_DENY);
		expect_udp_gate(p.gate.udp, "203.0.113.25", 25);
		posture_close(&p);
	}
}

static void open_refuses_private(void **state)
{
	struct plan_range some[] = {
		range_of("10.5.0.0/16"),
		range_of("fd12:3456::/32"),
	};
	struct plan_group allow = {
		.protos = RULE_TCP,
		.nports = 1,
		.ports = { { 5432, 5432 } },
		.ranges = some,
		.nranges = 2,
	};
	struct plan plan = {
		.mode = POLICY_OPEN,
		.allow = &allow,
		.nallow = 1,
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_gate(&p, "203.0.113.9", 443);
	expect_gate(&p, "2001:db8::1", 22);
	expect_gate(&p, "64:ff9b::808:808", 22);
	expect_udp_gate(p.gate.udp, "203.0.113.9", 443);
	expect_udp_gate(p.gate.udp, "2001:db8::1", 443);
	expect_gate(&p, "10.5.6.7", 5432);
	expect_gate(&p, "fd12:3456::1", 5432);
	expect_refused(&p, "10.5.6.7", 80, NFT_PRIVATE);
	expect_refused(&p, "10.6.0.0", 5432, NFT_PRIVATE);
	expect_refused(&p, "172.16.0.1", 443, NFT_PRIVATE);
	expect_refused(&p, "172.31.255.255", 443, NFT_PRIVATE);
	expect_gate(&p, "172.32.0.0", 443);
	expect_refused(&p, "192.168.1.1", 443, NFT_PRIVATE);
	expect_refused(&p, "100.64.0.1", 443, NFT_PRIVATE);
	expect_refused(&p, "fc00::1", 443, NFT_PRIVATE);
	expect_refused(&p, "fd12:3457::1", 5432, NFT_PRIVATE);
	expect_refused(&p, "64:ff9b::a00:1", 443, NFT_PRIVATE);
	expect_refused(&p, "2002:a00:1::1", 443, NFT_PRIVATE);
	expect_udp_refused(&p, "192.168.1.1", 123, NFT_PRIVATE);
	posture_close(&p);
}

/* An empty list allows nothing. */
static void empty_allowlist(void **state)
{
	struct plan plan = { .mode = POLICY_ALLOWLIST };
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	expect_refused(&p, "203.0.113.9", 443, NFT_LIST);
	expect_refused(&p, "2001:db8::1", 443, NFT_LIST);
	posture_close(&p);
}

/* Every distinct list of ports that a policy may have, on both sides. */
static void many_groups(void **state)
{
	enum { N = LIMIT_PORT_GROUPS };
	static struct plan_group allow[N], deny[N];
	static struct plan_range ranges[N][2];
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = allow,
		.nallow = N,
		.deny = deny,
		.ndeny = N,
	};
	struct posture p;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		struct plan_group *g = &allow[i];

		ranges[i][0].first = addr_from_v4(0xcb000000 + i * 256);
		ranges[i][0].last = addr_from_v4(0xcb0000ff + i * 256);
		ranges[i][1] = range_of("2001:db8::/32");
		g->protos = RULE_TCP_UDP;
		g->nports = LIMIT_RULE_PORTS;
		for (unsigned k = 0; k < LIMIT_RULE_PORTS; k++) {
			uint16_t lo = (uint16_t)(1000 + i * 320 + k * 20);

			g->ports[k] = (struct port_range){
				lo,
				(uint16_t)(lo + 9),
			};
		}
		g->ranges = ranges[i];
		g->nranges = 2;
		deny[i] = *g;
		deny[i].nranges = 1;
		deny[i].nports = 1;
	}
	posture_open(&p, &plan);
	expect_gate(&p, "2001:db8::1", 1000);
	expect_gate(&p, "2001:db8::1", 1000 + 63 * 320 + 15 * 20 + 9);
	expect_refused(&p, "2001:db8::1", 1010, NFT_LIST);
	expect_gate(&p, "203.0.63.1", 1000 + 63 * 320 + 20);
	expect_refused(&p, "203.0.63.1", 1000 + 63 * 320, NFT_DENY);
	expect_refused(&p, "203.0.63.1", 1000, NFT_LIST);
	posture_close(&p);
}

/* A long list loads in bounded time and decides. */
static void hundred_thousand_ranges(void **state)
{
	enum { N = 100000 };
	struct plan_range *ranges = calloc(N, sizeof(*ranges));
	struct plan_group allow = group_all(ranges, N);
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = &allow,
		.nallow = 1,
	};

	(void)state;
	assert_non_null(ranges);
	for (int exact = 0; exact < 2; exact++) {
		int64_t start;
		struct posture p;

		for (uint32_t i = 0; i < N; i++) {
			uint32_t base = 0x14000000 + i * 16;

			ranges[i].first = addr_from_v4(base + 4);
			ranges[i].last = addr_from_v4(base + (exact ? 4 : 7));
		}
		start = clock_ms();
		posture_open(&p, &plan);
		print_message("%d %s: %ld ms\n", N,
			      exact ? "addresses" : "ranges",
			      (long)(clock_ms() - start));
		assert_true(clock_ms() - start < 20000);
		expect_gate(&p, "20.0.0.4", 443);
		expect_gate(&p, "20.24.105.244", 443);
		expect_refused(&p, "20.24.105.243", 443, NFT_LIST);
		expect_refused(&p, "20.24.106.4", 443, NFT_LIST);
		if (!exact)
			expect_gate(&p, "20.24.105.247", 443);
		expect_refused(&p, "20.0.0.8", 443, NFT_LIST);
		posture_close(&p);
	}
	free(ranges);
}

/* Where the machine's buffers are small, big plans come in chunks. */
static void small_buffer(void **state)
{
	enum { N = 20000, STOCK = 212992 - 32 };
	struct plan_range *ranges = calloc(N, sizeof(*ranges));
	struct plan_group allow = group_all(ranges, N);
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = &allow,
		.nallow = 1,
	};
	struct err err = { .code = ERR_NONE };
	struct posture p;

	(void)state;
	assert_non_null(ranges);
	for (uint32_t i = 0; i < N; i++) {
		ranges[i] = range_of("2001:db8::/126");
		ranges[i].first.b[5] = ranges[i].last.b[5] = (uint8_t)(i >> 8);
		ranges[i].first.b[6] = ranges[i].last.b[6] = (uint8_t)i;
	}
	must(netns_new(&p.netns, &err), &err);
	must(gate_sockets_open(&p.gate, &err), &err);
	must(nft_open(&p.nft, &err), &err);
	p.nft->room = STOCK;
	must(nft_load(p.nft, &plan, &err), &err);
	expect_gate(&p, "2001:db8::3", 443);
	expect_gate(&p, "2001:db8:4e:1f00::", 443);
	expect_refused(&p, "2001:db8:4e:1f00::4", 443, NFT_LIST);
	expect_refused(&p, "2001:db8:4e:2000::", 443, NFT_LIST);
	/* Too small even for the switch: nothing is in force, nothing is
	 * left, and with room it goes again. */
	posture_close(&p);
	must(netns_new(&p.netns, &err), &err);
	must(nft_open(&p.nft, &err), &err);
	p.nft->room = 4096;
	assert_int_equal(nft_load(p.nft, &plan, &err), -EMSGSIZE);
	assert_int_equal(err.errnum, EMSGSIZE);
	p.nft->room = STOCK;
	must(nft_load(p.nft, &plan, &err), &err);
	posture_close(&p);
	free(ranges);
}

/* Every form of IPv6 address that embeds an IPv4 one, allowed by prefix. */
static void forms_of_v6(void **state)
{
	struct plan_range forms[] = {
		range_of("::ffff:203.0.113.0/120"),   /* mapped: IPv4 */
		range_of("::203.0.113.0/120"),	      /* compatible */
		range_of("::ffff:0:203.0.113.0/120"), /* SIIT */
		range_of("64:ff9b::203.0.113.0/120"), /* NAT64 */
		range_of("64:ff9b:1::203.0.113.0/120"),
		range_of("2001:db8::5efe:cb00:7100/120"), /* ISATAP */
		range_of("2002:cb00:7100::/40"),	  /* 6to4 */
	};
	static const char *const inside[] = {
		"203.0.113.7",		"::203.0.113.7",
		"::ffff:0:203.0.113.7", "64:ff9b::cb00:7107",
		"64:ff9b:1::cb00:7107", "2001:db8::5efe:cb00:7107",
		"2002:cb00:7107::1",
	};
	static const char *const outside[] = {
		"203.0.114.7",		"::203.0.114.7",
		"::ffff:0:203.0.114.7", "64:ff9b::cb00:7207",
		"64:ff9b:1::cb00:7207", "2001:db8::5efe:cb00:7207",
		"2002:cb00:7207::1",
	};
	struct plan_group allow = group_all(forms, 7);
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = &allow,
		.nallow = 1,
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < 7; i++) {
		expect_gate(&p, inside[i], 443);
		expect_refused(&p, outside[i], 443, NFT_LIST);
		expect_udp_gate(p.gate.udp, inside[i], 443);
	}
	posture_close(&p);
}

/* From rules as typed to packets. */
static void from_rules(void **state)
{
	static const char *const allow[] = {
		"203.0.113.0/24:443",
		"udp/203.0.113.53:53-60",
		"[2001:db8::/32]:80,8000-8100",
		"0.0.0.0/0:7",
		"10.1.0.0/16",
		"host.exeat.internal:5432",
		"example.com:1-65535",
		"*.example.org",
	};
	static const char *const deny[] = { "203.0.113.66", "tcp/::/0:8080" };
	struct policy_spec spec = {
		.mode = POLICY_ALLOWLIST,
		.allow = allow,
		.nallow = sizeof(allow) / sizeof(*allow),
		.deny = deny,
		.ndeny = sizeof(deny) / sizeof(*deny),
	};
	struct err err = { .code = ERR_NONE };
	struct nft_pin pin = { .addr = addr_of("20.1.2.3"), .proto = RULE_TCP };
	struct policy *policy;
	struct posture p;
	struct plan *plan;
	void *image;
	size_t len;

	(void)state;
	must(policy_compile(&spec, &image, &len, &err), &err);
	assert_int_equal(policy_new(image, len, &policy), 0);
	assert_int_equal(policy_plan_new(policy, &plan), 0);
	posture_open(&p, plan);
	expect_gate(&p, "203.0.113.9", 443);
	expect_refused(&p, "203.0.113.9", 444, NFT_LIST);
	expect_udp_gate(p.gate.udp, "203.0.113.53", 60);
	expect_udp_refused(&p, "203.0.113.53", 61, NFT_LIST);
	expect_gate(&p, "2001:db8::1", 8100);
	expect_refused(&p, "2001:db8::1", 8080, NFT_DENY);
	expect_refused(&p, "203.0.113.66", 443, NFT_DENY);
	expect_gate(&p, "8.8.8.8", 7);
	expect_refused(&p, "10.0.0.1", 7, NFT_LIST);
	expect_gate(&p, "10.1.0.1", 7);
	expect_refused(&p, "169.254.169.254", 7, NFT_GUARD);
	expect_gate(&p, "192.0.0.6", 5432);
	expect_refused(&p, "192.0.0.6", 7, NFT_LIST);
	expect_refused(&p, "20.1.2.3", 5000, NFT_LIST);
	assert_int_equal(plan->npin_classes, 1);
	pin.range = plan->pin_classes[0].range;
	must(nft_pin(p.nft, &pin, 1, 60, &err), &err);
	expect_gate(&p, "20.1.2.3", 5000);
	posture_close(&p);
	policy_plan_free(plan);
	policy_free(policy);
	free(image);
}

/* A new policy in place: atomic, flows live on, counters go on. */
static void replace(void **state)
{
	struct plan_range a[] = { range_of("203.0.113.1") };
	struct plan_range b[] = { range_of("203.0.113.2") };
	struct plan_group allow_a = group_all(a, 1), allow_b = group_all(b, 1);
	struct plan plan = {
		.mode = POLICY_ALLOWLIST,
		.allow = &allow_a,
		.nallow = 1,
	};
	struct endpoint to = at("203.0.113.1", 443);
	struct err err = { .code = ERR_NONE };
	cleanup_fd int flow = -1;
	struct posture p;
	uint64_t list;

	(void)state;
	posture_open(&p, &plan);
	expect_refused(&p, "203.0.113.2", 443, NFT_LIST);
	list = counted(&p, NFT_LIST);
	for (int i = 0; i < 3; i++) {
		expect_gate(&p, "203.0.113.1", 80);
		plan.allow = &allow_b;
		must(nft_load(p.nft, &plan, &err), &err);
		assert_int_equal(counted(&p, NFT_LIST), list);
		expect_gate(&p, "203.0.113.2", 80);
		expect_refused(&p, "203.0.113.1", 80, NFT_LIST);
		plan.allow = &allow_a;
		must(nft_load(p.nft, &plan, &err), &err);
		list = counted(&p, NFT_LIST);
		expect_refused(&p, "169.254.169.254", 80, NFT_GUARD);
	}
	assert_int_equal(payload_connect(BY_V4, &to, &flow, NULL), 0);
	plan.mode = POLICY_BLOCKED;
	must(nft_load(p.nft, &plan, &err), &err);
	expect_refused(&p, "203.0.113.1", 443, NFT_LIST);
	/* A live flow is the gate's to close. */
	assert_int_equal(fd_write_all(flow, "x", 1), 0);
	posture_close(&p);
}

int sysnet_modes_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocked_refuses_all),
		cmocka_unit_test(allowlist_passes_what_it_names),
		cmocka_unit_test(last_addresses),
		cmocka_unit_test(deny_beats_allow),
		cmocka_unit_test(open_refuses_private),
		cmocka_unit_test(empty_allowlist),
		cmocka_unit_test(many_groups),
		cmocka_unit_test(hundred_thousand_ranges),
		cmocka_unit_test(small_buffer),
		cmocka_unit_test(forms_of_v6),
		cmocka_unit_test(from_rules),
		cmocka_unit_test(replace),
	};

	return cmocka_run_group_tests_name("sysnet_modes", tests, NULL, NULL);
}
