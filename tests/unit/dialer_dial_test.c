/* dialer_dial_test.c - which flows are dialled, and where to
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "dialer_tests.h"
#include "dialer_world.h"
#include "policy/guard.h"
#include "proxy/dns.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_peer(const struct answer *a, const char *addr, uint16_t port)
{
	char buf[ADDR_STRLEN];

	if (!a->allow || a->error)
		fail_msg("allow %d, reason %s, error %s", a->allow,
			 policy_reason_name(a->reason), strerror(a->error));
	assert_string_equal(addr_str(&a->peer.addr, buf), addr);
	assert_int_equal(a->peer.port, port);
}

static void assert_refused(const struct answer *a, enum policy_reason reason)
{
	if (a->allow || a->reason != reason)
		fail_msg("allow %d, reason %s instead of %s", a->allow,
			 policy_reason_name(a->reason),
			 policy_reason_name(reason));
}

static void resolve(struct world *w, const char *name, uint16_t qtype)
{
	struct answer_resolve r = world_resolve(w, name, qtype);

	assert_true(r.allow && r.naddrs > 0);
}

static void test_by_name(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.1", 443);
	cleanup_fd int fd = -1;
	struct answer a;
	int type, idle_s;
	socklen_t len = sizeof(type);

	(void)state;
	world_a(w, "a.test", "203.0.113.1");
	/* not given to this posture yet */
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.1", 443, &fd);
	assert_refused(&a, POLICY_R_NOT_PINNED);
	assert_int_equal(fd, -1);
	resolve(w, "a.test", DNS_TYPE_A);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.1", 443, &fd);
	assert_peer(&a, "203.0.113.1", 443);
	assert_string_equal(a.name, "a.test");
	assert_string_equal(a.rule, "a.test");
	assert_true(fd >= 0);
	assert_true(world_accepted(l));
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_STREAM);
	assert_int_equal(
		getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &len), 0);
	assert_int_equal(idle_s, LIMIT_KEEPALIVE_S);
	world_free(w);
}

static void test_refusals(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("a.test", "198.51.100.0/24:443"),
				    LIST("b.test", "203.0.113.9"));
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.1", 443, &fd);
	assert_refused(&a, POLICY_R_NO_NAME);
	a = world_dial(w, "evil.test", POLICY_NAME_SNI, "203.0.113.1", 443,
		       &fd);
	assert_false(a.allow);
	assert_string_equal(a.hint, "evil.test");
	a = world_dial(w, "b.test", POLICY_NAME_SNI, "198.51.100.1", 443, &fd);
	assert_refused(&a, POLICY_R_DENY_RULE);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "169.254.169.254", 443,
		       &fd);
	assert_refused(&a, POLICY_R_GUARD);
	a = world_dial(w, "", POLICY_NAME_NONE, "127.0.0.1", 443, &fd);
	assert_refused(&a, POLICY_R_GUARD);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.1", 25, &fd);
	assert_false(a.allow);
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

static void test_by_address(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("203.0.113.0/28", "2001:db8:1::/64"),
				    NULL);
	cleanup_fd int l4 = world_listen("203.0.113.2", 5432);
	cleanup_fd int l6 = world_listen("2001:db8:1::2", 5432);
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.2", 5432, &fd);
	assert_peer(&a, "203.0.113.2", 5432);
	fd_close(&fd);
	a = world_dial(w, "", POLICY_NAME_NONE, "2001:db8:1::2", 5432, &fd);
	assert_peer(&a, "2001:db8:1::2", 5432);
	fd_close(&fd);
	assert_true(world_accepted(l4));
	assert_true(world_accepted(l6));
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.20", 5432, &fd);
	assert_refused(&a, POLICY_R_DEFAULT);
	assert_string_equal(a.hint, "203.0.113.20:5432");
	world_free(w);
}

static void test_open_denies(void **state)
{
	struct world *w =
		world_new(POLICY_OPEN, NULL, LIST("bad.test", "203.0.113.9"));
	cleanup_fd int l = world_listen("203.0.113.3", 443);
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "good.test", POLICY_NAME_SNI, "203.0.113.3", 443,
		       &fd);
	assert_peer(&a, "203.0.113.3", 443);
	fd_close(&fd);
	a = world_dial(w, "bad.test", POLICY_NAME_SNI, "203.0.113.3", 443, &fd);
	assert_refused(&a, POLICY_R_DENY_RULE);
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.9", 443, &fd);
	assert_refused(&a, POLICY_R_DENY_RULE);
	a = world_dial(w, "", POLICY_NAME_NONE, "10.9.0.1", 443, &fd);
	assert_refused(&a, POLICY_R_PRIVATE);
	assert_int_equal(world_asked_all(w), 0);
	assert_true(world_accepted(l));
	world_free(w);
}

/* Whatever front says of where it learnt a name: the address is judged. */
static void test_no_address(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	cleanup_fd int l = world_listen("::1", 443);
	struct answer a;
	int fd;

	(void)state;
	for (int i = POLICY_NAME_NONE; i <= POLICY_NAME_PROXY; i++) {
		const enum policy_learnt learnt = (enum policy_learnt)i;

		/* but for a proxy's: it has not been resolved yet */
		if (learnt != POLICY_NAME_PROXY) {
			a = world_dial(w, "good.test", learnt, "::", 443, &fd);
			assert_refused(&a, POLICY_R_MALFORMED);
		}
		a = world_dial(w, "", learnt, "::", 443, &fd);
		assert_refused(&a, POLICY_R_MALFORMED);
		a = world_dial(w, "good.test", learnt, "0.0.0.0", 443, &fd);
		assert_refused(&a, POLICY_R_GUARD);
		a = world_dial(w, "good.test", learnt, "::1", 443, &fd);
		assert_refused(&a, POLICY_R_GUARD);
	}
	assert_false(world_accepted(l));
	world_free(w);
}

static void test_own_addresses(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	cleanup_fd int l = world_listen("192.0.2.1", 443);
	struct answer a;
	int fd;

	(void)state;
	world_route(w, "203.0.113.77", DIALER_ROUTE_OWN);
	world_route(w, "203.0.113.78", DIALER_ROUTE_REFUSED);
	world_route(w, "203.0.113.79", DIALER_ROUTE_NONE);
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.77", 443, &fd);
	assert_refused(&a, POLICY_R_OWN);
	assert_string_equal(a.rule, "");
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.78", 443, &fd);
	assert_refused(&a, POLICY_R_OWN);
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.79", 443, &fd);
	assert_true(a.allow);
	assert_int_equal(a.error, ENETUNREACH);
	/* the route did not know it: both ends are one address */
	a = world_dial(w, "", POLICY_NAME_NONE, "192.0.2.1", 443, &fd);
	assert_refused(&a, POLICY_R_OWN);
	assert_int_equal(fd, -1);
	assert_true(world_accepted(l));
	world_free(w);
}

/* What stands for an own IPv4 address comes back from the network. */
static void test_own_embedded(void **state)
{
	static const char *const forms[] = {
		"64:ff9b::203.0.113.77",     "64:ff9b:1::203.0.113.77",
		"2002:cb00:714d::1",	     "::203.0.113.77",
		"::ffff:0:203.0.113.77",     "2001:db8::5efe:203.0.113.77",
		"64:ff9b:1:cb00:71:4d00::1",
	};
	struct world *w = world_new(POLICY_OPEN, NULL, LIST("203.0.113.88"));
	struct answer a;
	int fd;

	(void)state;
	world_route(w, "203.0.113.77", DIALER_ROUTE_OWN);
	world_route(w, "203.0.113.79", DIALER_ROUTE_NONE);
	world_route(w, "::/0", DIALER_ROUTE_NONE);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		a = world_dial(w, "", POLICY_NAME_NONE, forms[i], 443, &fd);
		assert_refused(&a, POLICY_R_OWN);
	}
	a = world_dial(w, "", POLICY_NAME_NONE, "64:ff9b::203.0.113.88", 443,
		       &fd);
	assert_refused(&a, POLICY_R_DENY_RULE);
	/* another one is the network's to lead on, if that leads anywhere */
	a = world_dial(w, "", POLICY_NAME_NONE, "64:ff9b::203.0.113.79", 443,
		       &fd);
	assert_true(a.allow);
	assert_int_equal(a.error, ENETUNREACH);
	world_free(w);
}

/* The host is given the address, by a route, while it is being dialled. */
static void test_own_meanwhile(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	cleanup_fd int l = world_listen("203.0.113.1", 443);
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.1", 443, &fd);
	assert_peer(&a, "203.0.113.1", 443);
	fd_close(&fd);
	world_route_later(w, "203.0.113.1", 1, DIALER_ROUTE_OWN);
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.1", 443, &fd);
	assert_refused(&a, POLICY_R_OWN);
	assert_int_equal(fd, -1);
	world_free(w);
}

static void test_refused_target(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "", POLICY_NAME_NONE, "203.0.113.4", 4444, &fd);
	assert_true(a.allow);
	assert_int_equal(a.error, ECONNREFUSED);
	assert_int_equal(fd, -1);
	world_free(w);
}

static void test_pin_without_name(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST,
			  LIST("a.test:22", "b.test:22", "c.test:2222"), NULL);
	cleanup_fd int l = world_listen("203.0.113.5", 22);
	struct answer a;
	int fd;

	(void)state;
	a = world_dial(w, "", POLICY_NAME_PIN, "203.0.113.5", 22, &fd);
	assert_refused(&a, POLICY_R_NOT_PINNED);
	world_a(w, "a.test", "203.0.113.5");
	world_a(w, "b.test", "203.0.113.5");
	world_a(w, "c.test", "203.0.113.5");
	resolve(w, "b.test", DNS_TYPE_A);
	resolve(w, "a.test", DNS_TYPE_A);
	resolve(w, "c.test", DNS_TYPE_A);
	/* c.test is the most recent, but not for this port */
	a = world_dial(w, "", POLICY_NAME_PIN, "203.0.113.5", 22, &fd);
	assert_peer(&a, "203.0.113.5", 22);
	assert_string_equal(a.name, "a.test");
	fd_close(&fd);
	a = world_dial(w, "", POLICY_NAME_PIN, "203.0.113.6", 22, &fd);
	assert_refused(&a, POLICY_R_NOT_PINNED);
	a = world_dial(w, "", POLICY_NAME_PIN, "203.0.113.5", 23, &fd);
	assert_false(a.allow);
	assert_true(world_accepted(l));
	world_free(w);
}

static void test_present_addresses(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int old = world_listen("203.0.113.6", 443);
	cleanup_fd int new = world_listen("203.0.113.7", 443);
	struct answer a;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.6");
	resolve(w, "a.test", DNS_TYPE_A);
	/* what is kept of DNS goes, the pin stays a token for the name */
	world_a(w, "a.test", "203.0.113.7");
	world_use_servers(w, false, true);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.6", 443, &fd);
	assert_peer(&a, "203.0.113.7", 443);
	fd_close(&fd);
	assert_false(world_accepted(old));
	assert_true(world_accepted(new));
	world_free(w);
}

static void test_rebinding(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int public = world_listen("203.0.113.8", 443);
	cleanup_fd int private = world_listen("10.9.0.8", 443);
	struct answer a;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.8");
	resolve(w, "a.test", DNS_TYPE_A);
	world_a(w, "a.test", "10.9.0.8");
	world_use_servers(w, false, true);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.8", 443, &fd);
	assert_peer(&a, "203.0.113.8", 443);
	fd_close(&fd);
	assert_true(world_accepted(public));
	assert_false(world_accepted(private));
	/* and the private one is nobody's */
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "10.9.0.8", 443, &fd);
	assert_false(a.allow);
	world_free(w);
}

static void test_dial_when_dns_is_gone(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.8", 443);
	struct answer a;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.8");
	resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(dialer_set_servers(world_dialer(w), NULL, 0, NULL), 0);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.8", 443, &fd);
	assert_peer(&a, "203.0.113.8", 443);
	fd_close(&fd);
	assert_true(world_accepted(l));
	world_free(w);
}

static void test_port_of_deny_rule(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test:22,23"),
				    LIST("203.0.113.11:22"));
	cleanup_fd int bad = world_listen("203.0.113.11", 22);
	cleanup_fd int good = world_listen("203.0.113.12", 22);
	struct answer a;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.11 203.0.113.12");
	resolve(w, "a.test", DNS_TYPE_A);
	a = world_dial(w, "a.test", POLICY_NAME_PIN, "203.0.113.12", 22, &fd);
	assert_peer(&a, "203.0.113.12", 22);
	fd_close(&fd);
	fd_close(&good);
	/* with the good one gone the denied one is still not tried */
	a = world_dial(w, "a.test", POLICY_NAME_PIN, "203.0.113.12", 22, &fd);
	assert_int_equal(a.error, ECONNREFUSED);
	assert_false(world_accepted(bad));
	world_free(w);
}

static void test_happy_dead_ipv6(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct world_hole hole = world_hole_new("2001:db8:1::20", 443);
	cleanup_fd int l = world_listen("203.0.113.20", 443);
	struct answer a;
	int64_t start, took;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.20");
	world_aaaa(w, "a.test", "2001:db8:1::20");
	resolve(w, "a.test", DNS_TYPE_AAAA);
	start = clock_ms();
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "2001:db8:1::20", 443,
		       &fd);
	took = clock_ms() - start;
	assert_peer(&a, "203.0.113.20", 443);
	fd_close(&fd);
	assert_true(took >= LIMIT_HE_DELAY_MS - 20);
	assert_true(took < LIMIT_HE_DELAY_MS + 500);
	world_hole_done(&hole);
	assert_true(world_accepted(l));
	world_free(w);
}

static void test_happy_refused_and_unrouted(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.happy.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.21", 443);
	cleanup_fd int l6 = world_listen("2001:db8:1::22", 443);
	struct answer a;
	int64_t start;
	int fd;

	(void)state;
	/* nobody listens there: no delay */
	world_a(w, "a.happy.test", "203.0.113.21");
	world_aaaa(w, "a.happy.test", "2001:db8:1::21");
	resolve(w, "a.happy.test", DNS_TYPE_AAAA);
	start = clock_ms();
	a = world_dial(w, "a.happy.test", POLICY_NAME_SNI, "2001:db8:1::21",
		       443, &fd);
	assert_peer(&a, "203.0.113.21", 443);
	assert_true(clock_ms() - start < LIMIT_HE_DELAY_MS);
	fd_close(&fd);
	/* the chosen family wins when it works */
	world_a(w, "b.happy.test", "203.0.113.21");
	world_aaaa(w, "b.happy.test", "2001:db8:1::22");
	resolve(w, "b.happy.test", DNS_TYPE_AAAA);
	a = world_dial(w, "b.happy.test", POLICY_NAME_SNI, "2001:db8:1::22",
		       443, &fd);
	assert_peer(&a, "2001:db8:1::22", 443);
	fd_close(&fd);
	/* the chosen address among several of its family */
	world_a(w, "c.happy.test", "203.0.113.99 203.0.113.98 203.0.113.21");
	resolve(w, "c.happy.test", DNS_TYPE_A);
	start = clock_ms();
	a = world_dial(w, "c.happy.test", POLICY_NAME_SNI, "203.0.113.21", 443,
		       &fd);
	assert_peer(&a, "203.0.113.21", 443);
	fd_close(&fd);
	assert_true(world_accepted(l));
	assert_true(world_accepted(l6));
	world_free(w);
}

static void test_slow_other_family(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.23", 443);
	struct answer a;
	int64_t start;
	int fd;

	(void)state;
	/* nobody answers for AAAA; what is known of A is enough */
	world_a(w, "a.test", "203.0.113.23");
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_AAAA,
					     .silent = true });
	resolve(w, "a.test", DNS_TYPE_A);
	start = clock_ms();
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.23", 443, &fd);
	assert_peer(&a, "203.0.113.23", 443);
	assert_true(clock_ms() - start < 1000);
	fd_close(&fd);
	assert_true(world_accepted(l));
	world_free(w);
}

static void test_late_other_family(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct world_hole hole = world_hole_new("2001:db8:1::24", 443);
	cleanup_fd int l = world_listen("203.0.113.24", 443);
	struct ask ask = {
		.learnt = POLICY_NAME_SNI,
		.to = world_endpoint("2001:db8:1::24", 443),
		.name = "a.test",
	};
	struct answer a;
	uint32_t id;
	int64_t start;
	int fd;

	(void)state;
	/* A is answered long after the attempt at the silent AAAA began */
	world_aaaa(w, "a.test", "2001:db8:1::24");
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_A,
					     .silent = true });
	resolve(w, "a.test", DNS_TYPE_AAAA);
	id = world_send(w, ASK_DIAL, ask);
	world_run_ms(w, 2 * LIMIT_HE_DELAY_MS);
	assert_false(world_has_answer(w, id));
	world_a(w, "a.test", "203.0.113.24");
	world_use_servers(w, false, true);
	start = clock_ms();
	a = world_answer(w, id, &fd);
	assert_peer(&a, "203.0.113.24", 443);
	assert_true(clock_ms() - start < 1000);
	fd_close(&fd);
	world_hole_done(&hole);
	assert_true(world_accepted(l));
	world_free(w);
}

static void test_host_alias(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("host.exeat.internal:8080", "a.test"),
				    NULL);
	cleanup_fd int l4 = world_listen("127.0.0.1", 8080);
	cleanup_fd int l6 = -1;
	char host[ADDR_STRLEN];
	struct answer a;
	int fd;

	(void)state;
	(void)addr_str(&gate_addrs.host4, host);
	world_route(w, "127.0.0.0/8", DIALER_ROUTE_OWN);
	world_route(w, "::1", DIALER_ROUTE_OWN);
	a = world_dial(w, "host.exeat.internal", POLICY_NAME_HOST, host, 8080,
		       &fd);
	assert_peer(&a, "127.0.0.1", 8080);
	fd_close(&fd);
	a = world_dial(w, "", POLICY_NAME_NONE, host, 8080, &fd);
	assert_peer(&a, "127.0.0.1", 8080);
	fd_close(&fd);
	a = world_dial(w, "", POLICY_NAME_NONE, host, 8081, &fd);
	assert_false(a.allow);
	/* that name, but another address */
	a = world_dial(w, "host.exeat.internal", POLICY_NAME_HOST,
		       "203.0.113.1", 8080, &fd);
	assert_false(a.allow);
	/* ::1 if nobody is at 127.0.0.1 */
	fd_close(&l4);
	l6 = world_listen("::1", 8080);
	a = world_dial(w, "", POLICY_NAME_NONE, host, 8080, &fd);
	assert_peer(&a, "::1", 8080);
	fd_close(&fd);
	world_free(w);
}

static void test_udp(void **state)
{
	struct world *w = world_new(
		POLICY_ALLOWLIST,
		LIST("udp/203.0.113.0/28:53", "udp/a.test:123"), NULL);
	struct ask a = { .proto = RULE_UDP };
	struct answer r;
	int fd, type = 0;
	socklen_t len = sizeof(type);

	(void)state;
	a.to = world_endpoint("203.0.113.2", 53);
	r = world_answer(w, world_send(w, ASK_DIAL, a), &fd);
	assert_peer(&r, "203.0.113.2", 53);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_DGRAM);
	fd_close(&fd);
	a.to.port = 54;
	r = world_answer(w, world_send(w, ASK_DIAL, a), &fd);
	assert_false(r.allow);
	/* by name: the pinned address, whatever the name says by now */
	world_a(w, "a.test", "203.0.113.30");
	resolve(w, "a.test", DNS_TYPE_A);
	world_a(w, "a.test", "203.0.113.31");
	world_use_servers(w, false, true);
	a.to = world_endpoint("203.0.113.30", 123);
	a.learnt = POLICY_NAME_PIN;
	r = world_answer(w, world_send(w, ASK_DIAL, a), &fd);
	assert_peer(&r, "203.0.113.30", 123);
	assert_string_equal(r.name, "a.test");
	fd_close(&fd);
	(void)world_send(w, ASK_USED, a);
	world_run_ms(w, 20);
	assert_int_equal(world_broken(w), 0);
	world_free(w);
}

static void test_check(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("a.test", "b.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.40", 80);
	struct ask a = {
		.learnt = POLICY_NAME_HOST,
		.to = world_endpoint("203.0.113.40", 80),
		.name = "a.test",
	};
	struct answer r;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.40");
	resolve(w, "a.test", DNS_TYPE_A);
	r = world_answer(w, world_send(w, ASK_CHECK, a), &fd);
	assert_true(r.allow);
	assert_int_equal(fd, -1);
	assert_false(world_accepted(l));
	memcpy(a.name, "b.test", 7);
	r = world_answer(w, world_send(w, ASK_CHECK, a), &fd);
	assert_refused(&r, POLICY_R_NOT_PINNED);
	memcpy(a.name, "c.test", 7);
	r = world_answer(w, world_send(w, ASK_CHECK, a), &fd);
	assert_false(r.allow);
	world_free(w);
}

static void test_not_pinned_before_ack(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	const struct ask q = { .qtype = DNS_TYPE_A, .name = "a.test" };
	struct answer a;
	uint32_t id;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.41");
	world_pins(w, WORLD_PIN_HELD);
	id = world_send(w, ASK_RESOLVE, q);
	world_run_ms(w, 50);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.41", 443, &fd);
	assert_refused(&a, POLICY_R_NOT_PINNED);
	world_release_pins(w);
	(void)world_answer_resolve(w, id);
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.41", 443, &fd);
	assert_true(a.allow);
	assert_int_equal(a.error, ECONNREFUSED);
	world_free(w);
}

int dialer_dial_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_open_denies),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_own_embedded),
		cmocka_unit_test(test_own_meanwhile),
		cmocka_unit_test(test_refused_target),
		cmocka_unit_test(test_pin_without_name),
		cmocka_unit_test(test_present_addresses),
		cmocka_unit_test(test_rebinding),
		cmocka_unit_test(test_dial_when_dns_is_gone),
		cmocka_unit_test(test_port_of_deny_rule),
		cmocka_unit_test(test_happy_dead_ipv6),
		cmocka_unit_test(test_happy_refused_and_unrouted),
		cmocka_unit_test(test_slow_other_family),
		cmocka_unit_test(test_late_other_family),
		cmocka_unit_test(test_host_alias),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_not_pinned_before_ack),
	};

	return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
