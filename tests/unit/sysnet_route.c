/* sysnet_route.c - what the kernel says about addresses
 * SPDX-License-Identifier: Apache-2.0
 */
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
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

static enum route_kind flow_kind(struct routes *r, const char *addr,
				 uint8_t ipproto, uint16_t port)
{
	struct err err = { .code = ERR_NONE };
	const struct route_flow f = { addr_of(addr), ipproto, port };
	enum route_kind kind = ROUTE_NONE;

	must(routes_ask(r, &f, &kind, &err), &err);
	return kind;
}

static enum route_kind kept_kind(struct routes *r, const char *addr)
{
	return flow_kind(r, addr, 0, 0);
}

/* A message to rtnetlink with this header, to be filled. */
static struct nlmsghdr *message(void *buf, uint16_t type, const void *header,
				size_t len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
			   NLM_F_EXCL;
	memcpy(mnl_nlmsg_put_extra_header(nlh, len), header, len);
	return nlh;
}

static void carry_out(const struct nlmsghdr *nlh)
{
	_Alignas(struct nlmsghdr) uint8_t buf[1024];
	cleanup_fd int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct nlmsgerr *e;

	assert_int_equal(send(fd, nlh, nlh->nlmsg_len, 0), nlh->nlmsg_len);
	assert_true(recv(fd, buf, sizeof(buf), 0) > 0);
	e = mnl_nlmsg_get_payload((void *)buf);
	assert_int_equal(e->error, 0);
}

/* One port of TCP goes by a table of its own, where all is local. */
static void rule_for_port(uint16_t port, uint32_t table)
{
	_Alignas(struct nlmsghdr) uint8_t buf[1024];
	const struct fib_rule_hdr rule = {
		.family = AF_INET,
		.action = FR_ACT_TO_TBL,
	};
	const struct fib_rule_port_range ports = { port, port };
	const struct rtmsg local = {
		.rtm_family = AF_INET,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL,
	};
	struct nlmsghdr *nlh =
		message(buf, RTM_NEWROUTE, &local, sizeof(local));

	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_OIF, 1);
	carry_out(nlh);
	nlh = message(buf, RTM_NEWRULE, &rule, sizeof(rule));
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, 10);
	mnl_attr_put_u8(nlh, FRA_IP_PROTO, IPPROTO_TCP);
	mnl_attr_put(nlh, FRA_DPORT_RANGE, sizeof(ports), &ports);
	carry_out(nlh);
}

/* A rule that names ports: what is known of one is not of another. */
static void by_port(void **state)
{
	struct err err = { .code = ERR_NONE };
	struct routes r;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	set_lo(true);
	must(routes_open(&r, &err), &err);
	route_by_lo("203.0.113.0");
	assert_int_equal(flow_kind(&r, "203.0.113.9", IPPROTO_TCP, 443),
			 ROUTE_UNICAST);
	rule_for_port(443, 100);
	assert_int_equal(kept_kind(&r, "203.0.113.9"), ROUTE_UNICAST);
	assert_int_equal(flow_kind(&r, "203.0.113.9", IPPROTO_TCP, 80),
			 ROUTE_UNICAST);
	assert_int_equal(flow_kind(&r, "203.0.113.9", IPPROTO_UDP, 443),
			 ROUTE_UNICAST);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(flow_kind(&r, "203.0.113.9", IPPROTO_TCP, 443),
				 ROUTE_LOCAL);
		assert_int_equal(flow_kind(&r, "203.0.113.9", IPPROTO_TCP, 80),
				 ROUTE_UNICAST);
	}
	routes_close(&r);
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
		cmocka_unit_test(by_port),
	};

	return cmocka_run_group_tests_name("sysnet_route", tests, NULL, NULL);
}
