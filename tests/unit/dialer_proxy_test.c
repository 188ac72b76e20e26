/* dialer_proxy_test.c - names that an explicit proxy was given
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "dialer_tests.h"
#include "dialer_world.h"
#include "proxy/dns.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct answer ask(struct world *w, const char *name, uint16_t port)
{
	cleanup_fd int fd = -1;
	struct answer a =
		world_dial(w, name, POLICY_NAME_PROXY, "::", port, &fd);

	assert_int_equal(fd >= 0, a.allow && a.error == 0);
	return a;
}

static void assert_reached(const struct answer *a, const char *addr)
{
	char buf[ADDR_STRLEN];

	if (!a->allow || a->error)
		fail_msg("allow %d, reason %s, error %s", a->allow,
			 policy_reason_name(a->reason), strerror(a->error));
	assert_string_equal(addr_str(&a->peer.addr, buf), addr);
}

static void assert_refused(const struct answer *a, enum policy_reason reason)
{
	if (a->allow || a->reason != reason)
		fail_msg("allow %d, reason %s instead of %s", a->allow,
			 policy_reason_name(a->reason),
			 policy_reason_name(reason));
}

/* Resolved here; what answered is pinned for this name and no other. */
static void test_reached(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("a.test", "b.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.1", 443);
	struct answer a;
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.1");
	a = ask(w, "a.test", 443);
	assert_reached(&a, "203.0.113.1");
	assert_string_equal(a.rule, "a.test");
	assert_true(world_accepted(l));
	a = world_dial(w, "a.test", POLICY_NAME_SNI, "203.0.113.1", 443, &fd);
	assert_reached(&a, "203.0.113.1");
	fd_close(&fd);
	a = world_dial(w, "b.test", POLICY_NAME_SNI, "203.0.113.1", 443, &fd);
	assert_refused(&a, POLICY_R_NOT_PINNED);
	world_free(w);
}

static void test_families(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	cleanup_fd int l = world_listen("203.0.113.1", 443);
	struct answer a;

	(void)state;
	/* nobody listens at the first */
	world_aaaa(w, "a.test", "2001:db8:1::9");
	world_a(w, "a.test", "203.0.113.1");
	a = ask(w, "a.test", 443);
	assert_reached(&a, "203.0.113.1");
	world_free(w);
}

static void test_refused(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST,
			  LIST("a.test", "*.wild.test:22", "203.0.113.0/24"),
			  LIST("bad.wild.test", "203.0.113.9"));
	struct answer a;

	(void)state;
	a = ask(w, "evil.test", 443);
	assert_refused(&a, POLICY_R_DEFAULT);
	assert_string_equal(a.hint, "evil.test");
	a = ask(w, "localhost", 443);
	assert_refused(&a, POLICY_R_GUARD);
	assert_string_equal(a.hint, "");
	a = ask(w, "a.test", 22);
	assert_refused(&a, POLICY_R_DEFAULT);
	a = ask(w, "bad.wild.test", 22);
	assert_refused(&a, POLICY_R_DENY_RULE);
	assert_int_equal(world_asked_all(w), 0);
	/* an answer that points where it may not */
	world_a(w, "a.test", "10.9.0.1");
	a = ask(w, "a.test", 443);
	assert_refused(&a, POLICY_R_PRIVATE);
	world_a(w, "x.wild.test", "127.0.0.1");
	a = ask(w, "x.wild.test", 22);
	assert_refused(&a, POLICY_R_GUARD);
	world_a(w, "y.wild.test", "203.0.113.9");
	a = ask(w, "y.wild.test", 22);
	assert_refused(&a, POLICY_R_DENY_RULE);
	world_free(w);
}

static void test_not_reached(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("*.a.test"), NULL);
	struct answer a;

	(void)state;
	a = ask(w, "none.a.test", 443);
	assert_true(a.allow);
	assert_int_equal(a.error, EHOSTUNREACH);
	world_a(w, "shut.a.test", "203.0.113.1");
	a = ask(w, "shut.a.test", 443);
	assert_true(a.allow);
	assert_int_equal(a.error, ECONNREFUSED);
	world_free(w);
}

/* In open, too: by the name's addresses, and never to the machine itself. */
static void test_open(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, LIST("bad.test"));
	cleanup_fd int l = world_listen("203.0.113.1", 25);
	cleanup_fd int own = world_listen("::1", 25);
	struct answer a;

	(void)state;
	world_a(w, "a.test", "203.0.113.1");
	a = ask(w, "a.test", 25);
	assert_reached(&a, "203.0.113.1");
	a = ask(w, "bad.test", 25);
	assert_refused(&a, POLICY_R_DENY_RULE);
	a = ask(w, "localhost", 25);
	assert_refused(&a, POLICY_R_GUARD);
	a = ask(w, "x.localhost", 25);
	assert_refused(&a, POLICY_R_GUARD);
	a = ask(w, "metadata.google.internal", 25);
	assert_refused(&a, POLICY_R_GUARD);
	a = ask(w, "host.exeat.internal", 25);
	assert_refused(&a, POLICY_R_DEFAULT);
	a = ask(w, "none.test", 25);
	assert_int_equal(a.error, EHOSTUNREACH);
	assert_false(world_accepted(own));
	world_free(w);
}

static void test_host_alias(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST,
				    LIST("host.exeat.internal:8080"), NULL);
	cleanup_fd int l = world_listen("127.0.0.1", 8080);
	struct answer a;

	(void)state;
	a = ask(w, "host.docker.internal", 8080);
	assert_reached(&a, "127.0.0.1");
	assert_true(world_accepted(l));
	a = ask(w, "host.exeat.internal", 8081);
	assert_refused(&a, POLICY_R_DEFAULT);
	assert_int_equal(world_asked_all(w), 0);
	world_free(w);
}

/* Names that are made up are counted here as in DNS. */
static void test_quota(void **state)
{
	struct world *w =
		world_new(POLICY_ALLOWLIST, LIST("*.wild.test"), NULL);
	struct answer a = { .allow = true };
	char name[64];
	int n;

	(void)state;
	for (n = 0; n <= LIMIT_DNS_NAMES && a.allow; n++) {
		(void)snprintf(name, sizeof(name), "n%d.wild.test", n);
		a = ask(w, name, 443);
	}
	assert_refused(&a, POLICY_R_LIMIT);
	assert_true(n > 32);
	world_free(w);
}

int dialer_proxy_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reached),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_reached),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_host_alias),
		cmocka_unit_test(test_quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
