/* dialer_resolve_test.c - what payloads are told of names
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
#include "policy/guard.h"
#include "proxy/dns.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_addr(const struct addr *a, const char *text)
{
	char buf[ADDR_STRLEN];

	assert_string_equal(addr_str(a, buf), text);
}

static void assert_one(const struct answer_resolve *r, const char *addr)
{
	assert_true(r->allow);
	assert_int_equal(r->rcode, DNS_NOERROR);
	assert_int_equal(r->naddrs, 1);
	assert_addr(&r->addrs[0], addr);
}

static void assert_rcode(const struct answer_resolve *r, uint8_t rcode)
{
	assert_true(r->allow);
	assert_int_equal(r->rcode, rcode);
	assert_int_equal(r->naddrs, 0);
}

static void test_allowed(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("allowed.test", "*.wild.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "allowed.test", "203.0.113.10");
	world_aaaa(w, "allowed.test", "2001:db8:1::10");
	world_a(w, "a.b.wild.test", "203.0.113.11 203.0.113.12");
	r = world_resolve(w, "allowed.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.10");
	assert_string_equal(r.rule, "allowed.test");
	assert_int_equal(r.reason, POLICY_R_RULE);
	assert_true(r.ttl_s > 55 && r.ttl_s <= 60);
	r = world_resolve(w, "allowed.test", DNS_TYPE_AAAA);
	assert_one(&r, "2001:db8:1::10");
	r = world_resolve(w, "a.b.wild.test", DNS_TYPE_A);
	assert_int_equal(r.naddrs, 2);
	assert_addr(&r.addrs[0], "203.0.113.11");
	assert_addr(&r.addrs[1], "203.0.113.12");
	/* only what was asked is pinned, at the ports of the rule */
	assert_true(world_pinned(w, "203.0.113.10", RULE_TCP, 443, 443));
	assert_true(world_pinned(w, "203.0.113.10", RULE_TCP, 80, 80));
	assert_false(world_pinned(w, "203.0.113.10", RULE_UDP, 443, 443));
	assert_int_equal(world_pin_calls(w), 3);
	world_free(w);
}

static void test_refused_name_leaves_nothing(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("allowed.test", "*.wild.test"),
				    LIST("x.wild.test"));
	struct answer_resolve r;

	(void)state;
	world_a(w, "evil.test", "203.0.113.66");
	r = world_resolve(w, "evil.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_DEFAULT);
	assert_string_equal(r.hint, "evil.test");
	r = world_resolve(w, "x.wild.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_DENY_RULE);
	assert_string_equal(r.rule, "x.wild.test");
	r = world_resolve(w, "wild.test", DNS_TYPE_A);
	assert_false(r.allow);
	r = world_resolve(w, "metadata.google.internal", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_GUARD);
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

static void test_other_types_are_not_asked(void **state)
{
	static const uint16_t types[] = { 2, 5, 12, 15, 16, 33, 255 };
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("allowed.test"), NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct answer_resolve r =
			world_resolve(w, "allowed.test", types[i]);

		assert_rcode(&r, DNS_NOERROR);
	}
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

static void test_services_of_a_name(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("allowed.test"),
				    LIST("_no._tcp.allowed.test"));
	struct answer_resolve r;

	(void)state;
	r = world_resolve(w, "_http._tcp.allowed.test", DNS_TYPE_SRV);
	assert_rcode(&r, DNS_NOERROR);
	assert_string_equal(r.rule, "allowed.test");
	r = world_resolve(w, "_http._tcp.evil.test", DNS_TYPE_SRV);
	assert_false(r.allow);
	assert_string_equal(r.hint, "evil.test");
	r = world_resolve(w, "_no._tcp.allowed.test", DNS_TYPE_SRV);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_DENY_RULE);
	/* another type, another form: a name like any */
	r = world_resolve(w, "_http._tcp.allowed.test", DNS_TYPE_A);
	assert_false(r.allow);
	r = world_resolve(w, "x._tcp.allowed.test", DNS_TYPE_SRV);
	assert_false(r.allow);
	r = world_resolve(w, "_http.allowed.test", DNS_TYPE_SRV);
	assert_false(r.allow);
	r = world_resolve(w, "_http._tcp", DNS_TYPE_SRV);
	assert_false(r.allow);
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

static void test_bad_answers_are_refused_whole(void **state)
{
	static const struct {
		const char *addrs;
		enum policy_reason reason;
	} rows[] = {
		{ "203.0.113.10 10.0.0.1", POLICY_R_PRIVATE },
		{ "203.0.113.10 169.254.169.254", POLICY_R_GUARD },
		{ "127.0.0.1", POLICY_R_GUARD },
		{ "0.0.0.0", POLICY_R_GUARD },
		{ "203.0.113.10 203.0.113.77", POLICY_R_OWN },
		{ "203.0.113.10 203.0.113.78", POLICY_R_GUARD },
		{ "203.0.113.10 198.51.100.1", POLICY_R_DENY_RULE },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_new(POLICY_ALLOWLIST,
					    LIST("allowed.test"),
					    LIST("198.51.100.0/24"));
		struct answer_resolve r;

		world_route(w, "203.0.113.77", DIALER_ROUTE_OWN);
		world_route(w, "203.0.113.78", DIALER_ROUTE_REFUSED);
		world_a(w, "allowed.test", rows[i].addrs);
		r = world_resolve(w, "allowed.test", DNS_TYPE_A);
		if (r.allow || r.reason != rows[i].reason)
			fail_msg("%s: allow %d, reason %s", rows[i].addrs,
				 r.allow, policy_reason_name(r.reason));
		assert_int_equal(r.naddrs, 0);
		assert_int_equal(world_pin_calls(w), 0);
		world_free(w);
	}
}

static void test_private_with_flag(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("inner.test+private"), NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "inner.test", "10.9.0.1");
	r = world_resolve(w, "inner.test", DNS_TYPE_A);
	assert_one(&r, "10.9.0.1");
	world_free(w);
}

static void test_unreachable_ipv6_is_left_out(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("allowed.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_route(w, "2001:db8:2::/48", DIALER_ROUTE_NONE);
	world_aaaa(w, "allowed.test", "2001:db8:2::1");
	r = world_resolve(w, "allowed.test", DNS_TYPE_AAAA);
	assert_rcode(&r, DNS_NOERROR);
	assert_int_equal(world_pin_calls(w), 0);
	world_free(w);
}

static void test_cname_chain(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("allowed.test"),
				    LIST("bad.test"));
	struct answer_resolve r;

	(void)state;
	world_cname(w, "allowed.test", "cdn.other.test");
	world_cname(w, "cdn.other.test", "edge.other.test");
	world_a(w, "edge.other.test", "203.0.113.20");
	r = world_resolve(w, "allowed.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.20");
	assert_string_equal(r.chain, "cdn.other.test edge.other.test");
	assert_int_equal(world_asked_all(w), 1);
	world_free(w);
}

static void test_cut_chain_is_followed(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("allowed.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_says(w, (struct world_record){ .name = "allowed.test",
					     .cname = "one.test",
					     .ttl = 60,
					     .last = true });
	world_says(w, (struct world_record){ .name = "one.test",
					     .cname = "two.test",
					     .ttl = 20,
					     .last = true });
	world_a(w, "two.test", "203.0.113.21");
	r = world_resolve(w, "allowed.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.21");
	assert_string_equal(r.chain, "one.test two.test");
	assert_true(r.ttl_s <= 20);
	assert_int_equal(world_asked_all(w), 3);
	world_free(w);
}

static void test_cname_loops(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("*.loop.test", "*.cut.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_cname(w, "a.loop.test", "b.loop.test");
	world_cname(w, "b.loop.test", "a.loop.test");
	r = world_resolve(w, "a.loop.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	world_says(w, (struct world_record){ .name = "a.cut.test",
					     .cname = "b.cut.test",
					     .ttl = 60,
					     .last = true });
	world_says(w, (struct world_record){ .name = "b.cut.test",
					     .cname = "a.cut.test",
					     .ttl = 60,
					     .last = true });
	r = world_resolve(w, "a.cut.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	world_free(w);
}

/* `n` names after the first, each answer one step. */
static struct answer_resolve follow(struct world *w, size_t n)
{
	static char names[32][LIMIT_NAME + 1];

	for (size_t i = 0; i <= n; i++)
		(void)snprintf(names[i], sizeof(names[i]), "n%zu.long.test", i);
	for (size_t i = 0; i < n; i++)
		world_says(w, (struct world_record){ .name = names[i],
						     .cname = names[i + 1],
						     .ttl = 60,
						     .last = true });
	world_a(w, names[n], "203.0.113.22");
	return world_resolve(w, names[0], DNS_TYPE_A);
}

static void test_long_chain(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.long.test"), NULL);
	struct answer_resolve r = follow(w, LIMIT_CNAME_CHAIN);

	(void)state;
	assert_one(&r, "203.0.113.22");
	world_free(w);
	w = world_new(POLICY_ALLOWLIST, LIST("*.long.test"), NULL);
	r = follow(w, LIMIT_CNAME_CHAIN + 1);
	assert_rcode(&r, DNS_SERVFAIL);
	world_free(w);
}

static void test_denied_in_chain(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, LIST("bad.test"));
	struct answer_resolve r;

	(void)state;
	world_cname(w, "a.test", "bad.test");
	world_a(w, "bad.test", "203.0.113.30");
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_DENY_RULE);
	assert_string_equal(r.rule, "bad.test");
	assert_string_equal(r.chain, "bad.test");
	assert_int_equal(r.naddrs, 0);
	/* a cut chain: the denied name is never asked for */
	world_says(w, (struct world_record){ .name = "b.test",
					     .cname = "bad.test",
					     .ttl = 60,
					     .last = true });
	r = world_resolve(w, "b.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(world_asked(w, "bad.test", DNS_TYPE_A), 0);
	world_cname(w, "c.test", "metadata.google.internal");
	r = world_resolve(w, "c.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_GUARD);
	world_free(w);
}

static void test_https(void **state)
{
	/* priority 1, target ".", alpn "h2", port 8443, ipv4hint */
	static const char rdata[] = "\0\1"
				    "\0"
				    "\0\1\0\3\2h2"
				    "\0\3\0\2\x20\xfb"
				    "\0\4\0\4\xcb\0\x71\x01";
	static const char stripped[] = "\0\1"
				       "\0"
				       "\0\1\0\3\2h2";
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("a.test"), LIST("bad.test"));
	struct answer_resolve r;

	(void)state;
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_HTTPS,
					     .ttl = 60,
					     .rdata = rdata,
					     .rdata_len = sizeof(rdata) - 1 });
	r = world_resolve(w, "a.test", DNS_TYPE_HTTPS);
	assert_true(r.allow);
	assert_int_equal(r.rcode, DNS_NOERROR);
	assert_int_equal(r.rdata_len, sizeof(stripped) - 1);
	assert_memory_equal(r.rdata, stripped, sizeof(stripped) - 1);
	assert_int_equal(world_pin_calls(w), 0);
	world_use_servers(w, false, true);
	world_cname(w, "a.test", "bad.test");
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_HTTPS,
					     .cname = "bad.test",
					     .ttl = 60 });
	r = world_resolve(w, "a.test", DNS_TYPE_HTTPS);
	assert_false(r.allow);
	assert_int_equal(r.rdata_len, 0);
	world_free(w);
}

static void test_ttl_is_clamped(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("*.ttl.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_says(w, (struct world_record){ .name = "zero.ttl.test",
					     .qtype = DNS_TYPE_A,
					     .addrs = "203.0.113.1" });
	world_says(w, (struct world_record){ .name = "huge.ttl.test",
					     .qtype = DNS_TYPE_A,
					     .addrs = "203.0.113.1",
					     .ttl = UINT32_C(1) << 31 });
	r = world_resolve(w, "zero.ttl.test", DNS_TYPE_A);
	assert_int_equal(r.ttl_s, LIMIT_TTL_MIN_S);
	r = world_resolve(w, "huge.ttl.test", DNS_TYPE_A);
	/* RFC 2181 8: the top bit makes it zero */
	assert_true(r.ttl_s >= LIMIT_TTL_MIN_S && r.ttl_s <= LIMIT_TTL_MAX_S);
	world_says(w, (struct world_record){ .name = "day.ttl.test",
					     .qtype = DNS_TYPE_A,
					     .addrs = "203.0.113.1",
					     .ttl = 86400 });
	r = world_resolve(w, "day.ttl.test", DNS_TYPE_A);
	assert_int_equal(r.ttl_s, LIMIT_TTL_MAX_S);
	world_free(w);
}

static void test_negative_and_failed(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("*.neg.test"), NULL);
	struct answer_resolve r;

	(void)state;
	r = world_resolve(w, "none.neg.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_NXDOMAIN);
	r = world_resolve(w, "none.neg.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_NXDOMAIN);
	assert_int_equal(world_asked_all(w), 1);
	world_a(w, "four.neg.test", "203.0.113.4");
	r = world_resolve(w, "four.neg.test", DNS_TYPE_AAAA);
	assert_rcode(&r, DNS_NOERROR);
	world_says(w, (struct world_record){ .name = "fail.neg.test",
					     .qtype = DNS_TYPE_A,
					     .rcode = DNS_SERVFAIL });
	r = world_resolve(w, "fail.neg.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	world_free(w);
}

static void test_truncated_goes_to_tcp(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("big.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_says(w, (struct world_record){ .name = "big.test",
					     .qtype = DNS_TYPE_A,
					     .addrs = "203.0.113.40",
					     .ttl = 60,
					     .truncate = true });
	r = world_resolve(w, "big.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.40");
	assert_int_equal(world_asked_tcp(w), 1);
	world_free(w);
}

static void test_server_without_edns(void **state)
{
	static const char *const names[] = {
		"one.old.test",
		"two.old.test",
		"three.old.test",
		"four.old.test",
	};
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("*.old.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_no_edns(w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		world_a(w, names[i], "203.0.113.41");
		r = world_resolve(w, names[i], DNS_TYPE_A);
		assert_one(&r, "203.0.113.41");
	}
	world_free(w);
}

static void test_silent_upstream(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.slow.test"), NULL);
	const int64_t start = clock_ms();
	struct answer_resolve r;
	int64_t took;

	(void)state;
	world_use_servers(w, true, false);
	r = world_resolve(w, "a.slow.test", DNS_TYPE_A);
	took = clock_ms() - start;
	assert_rcode(&r, DNS_SERVFAIL);
	assert_true(took >= LIMIT_DNS_UPSTREAM_MS - 100);
	assert_true(took < LIMIT_DNS_UPSTREAM_MS + 1000);
	/* nobody at all: at once */
	assert_int_equal(dialer_set_servers(world_dialer(w), NULL, 0, NULL), 0);
	r = world_resolve(w, "b.slow.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	world_free(w);
}

static void test_second_server(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "a.test", "203.0.113.42");
	world_use_servers(w, true, true);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.42");
	world_free(w);
}

static void test_servers_replaced(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	const struct ask a = { .qtype = DNS_TYPE_A, .name = "a.test" };
	struct answer_resolve r;
	uint32_t id;

	(void)state;
	world_a(w, "a.test", "203.0.113.43");
	world_use_servers(w, true, false);
	id = world_send(w, ASK_RESOLVE, a);
	world_run_ms(w, 100);
	assert_false(world_has_answer(w, id));
	/* the question under way is put to the new ones */
	world_use_servers(w, false, true);
	r = world_answer_resolve(w, id);
	assert_one(&r, "203.0.113.43");
	world_free(w);
}

static void test_merging_and_cache(void **state)
{
	enum { N = 50 };
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	const struct ask a = { .qtype = DNS_TYPE_A, .name = "a.test" };
	struct answer_resolve r;
	uint32_t ids[N];

	(void)state;
	world_a(w, "a.test", "203.0.113.44");
	for (int i = 0; i < N; i++)
		ids[i] = world_send(w, ASK_RESOLVE, a);
	for (int i = 0; i < N; i++) {
		r = world_answer_resolve(w, ids[i]);
		assert_one(&r, "203.0.113.44");
	}
	assert_int_equal(world_asked_all(w), 1);
	world_a(w, "a.test", "203.0.113.45");
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.44");
	assert_int_equal(world_asked_all(w), 1);
	/* new servers: what the old ones said is forgotten */
	world_use_servers(w, false, true);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.45");
	world_free(w);
}

static void test_many_names(void **state)
{
	enum { N = 1000 };
	/* no rule has a wildcard: any number */
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	uint32_t *ids = calloc(N, sizeof(*ids));
	int64_t start = clock_ms();

	(void)state;
	assert_non_null(ids);
	for (int i = 0; i < N; i++) {
		struct ask a = { .qtype = DNS_TYPE_A };

		(void)snprintf(a.name, sizeof(a.name), "n%d.many.test", i);
		ids[i] = world_send(w, ASK_RESOLVE, a);
		if (i % 100 == 99)
			world_run_ms(w, 1);
	}
	for (int i = 0; i < N; i++) {
		struct answer_resolve r = world_answer_resolve(w, ids[i]);

		assert_rcode(&r, DNS_NXDOMAIN);
	}
	assert_int_equal(world_asked_all(w), N);
	/* the channel was replaced on the way */
	assert_true(world_source_ports(w) >= 2);
	assert_true(clock_ms() - start < 5000);
	free(ids);
	world_free(w);
}

static void test_hosts_come_first(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.local.test"), NULL);
	const struct dialer_host hosts[] = {
		{ "b.local.test", world_addr("203.0.113.50") },
		{ "a.local.test", world_addr("203.0.113.51") },
		{ "a.local.test", world_addr("2001:db8:1::51") },
		{ "blocked.local.test", world_addr("0.0.0.0") },
		{ "Not Canonical", world_addr("203.0.113.52") },
	};
	struct answer_resolve r;

	(void)state;
	assert_int_equal(dialer_set_hosts(world_dialer(w), hosts, 5, NULL), 0);
	r = world_resolve(w, "a.local.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.51");
	r = world_resolve(w, "a.local.test", DNS_TYPE_AAAA);
	assert_one(&r, "2001:db8:1::51");
	r = world_resolve(w, "b.local.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.50");
	r = world_resolve(w, "b.local.test", DNS_TYPE_AAAA);
	assert_rcode(&r, DNS_NOERROR);
	r = world_resolve(w, "a.local.test", DNS_TYPE_HTTPS);
	assert_rcode(&r, DNS_NOERROR);
	r = world_resolve(w, "blocked.local.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_GUARD);
	assert_int_equal(world_asked_all(w), 0);
	/* the name still has to be allowed */
	r = world_resolve(w, "evil.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(dialer_set_hosts(world_dialer(w), NULL, 0, NULL), 0);
	r = world_resolve(w, "a.local.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_NXDOMAIN);
	world_free(w);
}

static void test_special_names(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("host.exeat.internal:8080"), NULL);
	struct answer_resolve r;

	(void)state;
	r = world_resolve(w, "localhost", DNS_TYPE_A);
	assert_one(&r, "127.0.0.1");
	r = world_resolve(w, "x.localhost", DNS_TYPE_AAAA);
	assert_one(&r, "::1");
	r = world_resolve(w, "host.exeat.internal", DNS_TYPE_A);
	assert_int_equal(r.naddrs, 1);
	assert_true(addr_equal(&r.addrs[0], &gate_addrs.host4));
	r = world_resolve(w, "host.docker.internal", DNS_TYPE_AAAA);
	assert_int_equal(r.naddrs, 1);
	assert_true(addr_equal(&r.addrs[0], &gate_addrs.host6));
	assert_int_equal(world_pin_calls(w), 0);
	world_free(w);

	w = world_new(POLICY_OPEN, NULL, LIST("localhost"));
	r = world_resolve(w, "host.exeat.internal", DNS_TYPE_A);
	assert_true(!r.allow || r.rcode == DNS_NXDOMAIN);
	assert_int_equal(r.naddrs, 0);
	r = world_resolve(w, "localhost", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

static void test_answer_waits_for_pin(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	const struct ask a = { .qtype = DNS_TYPE_A, .name = "a.test" };
	struct answer_resolve r;
	uint32_t id;

	(void)state;
	world_a(w, "a.test", "203.0.113.60");
	world_pins(w, WORLD_PIN_HELD);
	id = world_send(w, ASK_RESOLVE, a);
	world_run_ms(w, 150);
	assert_int_equal(world_pin_calls(w), 1);
	assert_false(world_has_answer(w, id));
	world_release_pins(w);
	r = world_answer_resolve(w, id);
	assert_one(&r, "203.0.113.60");
	/* in force and young: no call, no wait */
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.60");
	assert_int_equal(world_pin_calls(w), 1);
	world_free(w);
}

static void test_pin_that_fails(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "a.test", "203.0.113.61");
	world_pins(w, WORLD_PIN_FAILS);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	/* the next answer tries again */
	world_pins(w, WORLD_PIN_AT_ONCE);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.61");
	assert_int_equal(world_pin_calls(w), 2);
	world_free(w);
}

static void test_pin_never_acknowledged(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "a.test", "203.0.113.62");
	world_pins(w, WORLD_PIN_HELD);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_rcode(&r, DNS_SERVFAIL);
	/* too late, for nobody */
	world_release_pins(w);
	world_free(w);
}

static void test_port_ranges(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("a.test:22,8000-8003,9000-9999",
					 "a.test:9500-10500", "b.test:*",
					 "udp/a.test:53"),
				    NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "a.test", "203.0.113.63");
	world_a(w, "b.test", "203.0.113.64");
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.63");
	assert_true(world_pinned(w, "203.0.113.63", RULE_TCP, 22, 22));
	assert_true(world_pinned(w, "203.0.113.63", RULE_TCP, 8000, 8003));
	assert_true(world_pinned(w, "203.0.113.63", RULE_TCP, 9000, 9999));
	assert_true(world_pinned(w, "203.0.113.63", RULE_TCP, 9500, 10500));
	assert_true(world_pinned(w, "203.0.113.63", RULE_UDP, 53, 53));
	r = world_resolve(w, "b.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.64");
	assert_true(world_pinned(w, "203.0.113.64", RULE_TCP, 1, 65535));
	world_free(w);
}

static void test_open_pins_nothing(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct answer_resolve r;

	(void)state;
	world_a(w, "any.test", "203.0.113.65");
	r = world_resolve(w, "any.test", DNS_TYPE_A);
	assert_one(&r, "203.0.113.65");
	assert_int_equal(world_pin_calls(w), 0);
	world_a(w, "inner.test", "10.9.0.2");
	r = world_resolve(w, "inner.test", DNS_TYPE_A);
	assert_false(r.allow);
	assert_int_equal(r.reason, POLICY_R_PRIVATE);
	world_free(w);
}

int dialer_resolve_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_refused_name_leaves_nothing),
		cmocka_unit_test(test_other_types_are_not_asked),
		cmocka_unit_test(test_services_of_a_name),
		cmocka_unit_test(test_bad_answers_are_refused_whole),
		cmocka_unit_test(test_private_with_flag),
		cmocka_unit_test(test_unreachable_ipv6_is_left_out),
		cmocka_unit_test(test_cname_chain),
		cmocka_unit_test(test_cut_chain_is_followed),
		cmocka_unit_test(test_cname_loops),
		cmocka_unit_test(test_long_chain),
		cmocka_unit_test(test_denied_in_chain),
		cmocka_unit_test(test_https),
		cmocka_unit_test(test_ttl_is_clamped),
		cmocka_unit_test(test_negative_and_failed),
		cmocka_unit_test(test_truncated_goes_to_tcp),
		cmocka_unit_test(test_server_without_edns),
		cmocka_unit_test(test_silent_upstream),
		cmocka_unit_test(test_second_server),
		cmocka_unit_test(test_servers_replaced),
		cmocka_unit_test(test_merging_and_cache),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_hosts_come_first),
		cmocka_unit_test(test_special_names),
		cmocka_unit_test(test_answer_waits_for_pin),
		cmocka_unit_test(test_pin_that_fails),
		cmocka_unit_test(test_pin_never_acknowledged),
		cmocka_unit_test(test_port_ranges),
		cmocka_unit_test(test_open_pins_nothing),
	};

	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
