/* sysnet_route.c - what the kernel says about addresses
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/route.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

static enum route_kind kind_of(int fd, const char *addr)
{
	struct err err = { .code = ERR_NONE };
	struct addr a = addr_of(addr);
	enum route_kind kind = ROUTE_UNICAST;

	must(route_ask(fd, &a, &kind, &err), &err);
	return kind;
}

/* A namespace whose lo is down: nowhere to go. */
static void no_routes(void **state)
{
	struct err err = { .code = ERR_NONE };
	cleanup_fd int fd = route_open(&err);

	(void)state;
	must(fd, &err);
	assert_int_equal(kind_of(fd, "203.0.113.9"), ROUTE_NONE);
	assert_int_equal(kind_of(fd, "2001:db8::1"), ROUTE_NONE);
	assert_int_equal(kind_of(fd, "ff0e::1"), ROUTE_NONE);
}

static void in_a_posture(void **state)
{
	struct err err = { .code = ERR_NONE };
	cleanup_fd int ns = -1, fd = -1;

	(void)state;
	must(netns_new(&ns, &err), &err);
	fd = route_open(&err);
	must(fd, &err);
	assert_int_equal(kind_of(fd, "127.0.0.1"), ROUTE_LOCAL);
	assert_int_equal(kind_of(fd, "::1"), ROUTE_LOCAL);
	assert_int_equal(kind_of(fd, "192.0.0.2"), ROUTE_LOCAL);
	assert_int_equal(kind_of(fd, "fd5a:8f3c:e7a1::2"), ROUTE_LOCAL);
	/* every address is local in there, and there is no way out */
	assert_int_equal(kind_of(fd, "203.0.113.9"), ROUTE_LOCAL);
	assert_int_equal(kind_of(fd, "2001:db8::1"), ROUTE_LOCAL);
	assert_int_equal(kind_of(fd, "255.255.255.255"), ROUTE_BROADCAST);
	assert_int_not_equal(kind_of(fd, "224.0.0.251"), ROUTE_UNICAST);
}

int sysnet_route_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_routes),
		cmocka_unit_test(in_a_posture),
	};

	return cmocka_run_group_tests_name("sysnet_route", tests, NULL, NULL);
}
