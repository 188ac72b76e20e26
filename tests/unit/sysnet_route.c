/* sysnet_route.c - what the kernel says about addresses
 * SPDX-License-Identifier: Apache-2.0
 */
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

static void set_lo(bool up)
{
	struct ifreq r = { .ifr_name = "lo" };
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	r.ifr_flags = up ? IFF_UP : 0;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
}

static struct sockaddr sockaddr4(const char *addr)
{
	const struct endpoint to = at(addr, 0);
	struct sockaddr_storage sa;
	struct sockaddr r;

	(void)endpoint_to_sockaddr(&to, &sa);
	memcpy(&r, &sa, sizeof(r));
	return r;
}

/* An own address, of the name "lo:more"; the one before it goes. */
static void give_lo(const char *addr)
{
	struct ifreq r = { .ifr_name = "lo:more", .ifr_addr = sockaddr4(addr) };
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
}

/* As if this /24 were out there. */
static void route_by_lo(const char *net)
{
	char lo[] = "lo";
	struct rtentry r = {
		.rt_dst = sockaddr4(net),
		.rt_genmask = sockaddr4("255.255.255.0"),
		.rt_flags = RTF_UP,
		.rt_dev = lo,
	};
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCADDRT, &r), 0);
}

static enum route_kind kept_kind(struct routes *r, const char *addr)
{
	struct err err = { .code = ERR_NONE };
	struct addr a = addr_of(addr);
	enum route_kind kind = ROUTE_NONE;

	must(routes_ask(r, &a, &kind, &err), &err);
	return kind;
}

static void kept_until_changed(void **state)
{
	struct err err = { .code = ERR_NONE };
	cleanup_fd int ns = -1;
	const int least = 1;
	struct routes r;
	int fd;

	(void)state;
	must(netns_new(&ns, &err), &err);
	must(routes_open(&r, &err), &err);
	route_by_lo("203.0.113.0");
	assert_int_equal(kept_kind(&r, "203.0.113.9"), ROUTE_UNICAST);
	/* the second time it is not asked for */
	fd = fd_steal(&r.fd);
	assert_int_equal(kept_kind(&r, "203.0.113.9"), ROUTE_UNICAST);
	r.fd = fd;
	give_lo("203.0.113.9");
	assert_int_equal(kept_kind(&r, "203.0.113.9"), ROUTE_LOCAL);
	assert_int_equal(kept_kind(&r, "203.0.113.9"), ROUTE_LOCAL);

	/* more changes than the socket can hold */
	route_by_lo("198.51.100.0");
	assert_int_equal(kept_kind(&r, "198.51.100.7"), ROUTE_UNICAST);
	assert_int_equal(setsockopt(r.watch, SOL_SOCKET, SO_RCVBUF, &least,
				    sizeof(least)),
			 0);
	for (int i = 0; i < 64; i++)
		set_lo(i % 2);
	give_lo("198.51.100.7");
	assert_int_equal(kept_kind(&r, "198.51.100.7"), ROUTE_LOCAL);

	/* what cannot be known is asked for */
	route_by_lo("192.0.2.0");
	assert_int_equal(kept_kind(&r, "192.0.2.3"), ROUTE_UNICAST);
	fd_close(&r.watch);
	give_lo("192.0.2.3");
	assert_int_equal(kept_kind(&r, "192.0.2.3"), ROUTE_LOCAL);
	routes_close(&r);
}

int sysnet_route_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_routes),
		cmocka_unit_test(in_a_posture),
		cmocka_unit_test(kept_until_changed),
	};

	return cmocka_run_group_tests_name("sysnet_route", tests, NULL, NULL);
}
