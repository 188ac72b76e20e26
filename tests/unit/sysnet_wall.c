/* sysnet_wall.c - what every posture refuses and lets by
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "policy/guard.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

static const enum policy_mode modes[] = {
	POLICY_BLOCKED,
	POLICY_ALLOWLIST,
	POLICY_OPEN,
};

enum { NMODES = sizeof(modes) / sizeof(*modes) };

/* Addresses that no mode opens, not even an allow rule for everything. */
static const char *const guarded[] = {
	"169.254.169.254",
	"169.254.0.1",
	"100.100.100.200",
	"168.63.129.16",
	"192.0.0.192",
	"192.0.0.1",
	"192.0.0.7",
	"0.1.2.3",
	"240.0.0.1",
	"224.0.0.251",
	"239.255.255.255",
	"fe80::1",
	"fec0::1",
	"ff02::1",
	"ff0e::1",
	"100::1",
	"2001:0:1::1",
	"fd00:ec2::254",
	"fd20:ce::254",
	"::169.254.169.254",
	"64:ff9b::a9fe:a9fe",
	"64:ff9b:1::7f00:1",
	"2002:a9fe:a9fe::1",
	"2002:7f00:1::",
	"::ffff:0:127.0.0.1",
	"fe80::a9fe:a9fe",
};

/* Connecting to multicast fails before any rule; others must be refused. */
static bool is_multicast(const struct addr *a)
{
	return addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

static void guard_in_every_mode(void **state)
{
	struct plan_range everything[] = {
		range_of("0.0.0.0/0"),
		range_of("::/0"),
	};
	struct plan_group all = group_all(everything, 2);

	(void)state;
	for (size_t m = 0; m < NMODES; m++) {
		struct plan plan = {
			.mode = modes[m],
			.allow = &all,
			.nallow = modes[m] == POLICY_ALLOWLIST,
		};
		struct posture p;

		posture_open(&p, &plan);
		for (size_t i = 0; i < sizeof(guarded) / sizeof(*guarded);
		     i++) {
			struct addr a = addr_of(guarded[i]);

			if (!is_multicast(&a)) {
				expect_refused(&p, guarded[i], 80, NFT_GUARD);
				expect_refused(&p, guarded[i], 53, NFT_GUARD);
			}
			expect_udp_refused(&p, guarded[i], 5353, NFT_GUARD);
			expect_udp_refused(&p, guarded[i], 53, NFT_GUARD);
		}
		posture_close(&p);
	}
}

static void own_loopback(void **state)
{
	static const struct {
		const char *listen, *connect;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1" },  { "127.9.8.7", "127.9.8.7" },
		{ "0.0.0.0", "127.0.0.1" },    { "0.0.0.0", "192.0.0.2" },
		{ "0.0.0.0", "0.0.0.0" },      { "::1", "::1" },
		{ "::", "fd5a:8f3c:e7a1::2" }, { "::", "::" },
	};

	(void)state;
	for (size_t m = 0; m < NMODES; m++) {
		struct plan plan = { .mode = modes[m] };
		struct posture p;

		posture_open(&p, &plan);
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			/* Port 53 of an own address is the payload's, and
			 * low ports need no right. */
			uint16_t port = i % 2 ? 53 : 8080;
			struct endpoint to = at(rows[i].connect, port);
			enum family how = addr_is_v4(&to.addr) ? BY_V4 : BY_V6;
			cleanup_fd int fd = own_listener(rows[i].listen, port);
			cleanup_fd int c = -1, s = -1;
			char byte = 'x';

			assert_int_equal(payload_connect(how, &to, &c, NULL),
					 0);
			s = accept(fd, NULL, NULL);
			assert_true(s >= 0);
			assert_int_equal(write(c, &byte, 1), 1);
			assert_int_equal(read(s, &byte, 1), 1);
		}
		posture_close(&p);
	}
}

static void dns_reaches_the_gate(void **state)
{
	static const char *const servers[] = {
		"8.8.8.8",	     "192.0.0.5",
		"10.0.0.1",	     "2001:4860:4860::8888",
		"fd5a:8f3c:e7a1::5", "192.0.0.6",
	};

	(void)state;
	for (size_t m = 0; m < NMODES; m++) {
		struct plan plan = { .mode = modes[m] };
		struct posture p;

		posture_open(&p, &plan);
		for (size_t i = 0; i < sizeof(servers) / sizeof(*servers);
		     i++) {
			expect_gate(&p, servers[i], 53);
			expect_udp_gate(p.gate.dns_udp, servers[i], 53);
		}
		posture_close(&p);
	}
}

/* The gate's own addresses carry DNS and the host's ports, nothing else. */
static void gate_addresses(void **state)
{
	static const char *const addrs[] = {
		"192.0.0.5",
		"fd5a:8f3c:e7a1::5",
		"192.0.0.6",
		"fd5a:8f3c:e7a1::6",
	};
	struct plan_range everything[] = {
		range_of("0.0.0.0/0"),
		range_of("::/0"),
	};
	struct plan_group all = group_all(everything, 2);
	struct port_range tcp = { 5432, 5433 }, udp = { 123, 123 };

	(void)state;
	for (size_t m = 0; m < NMODES; m++) {
		struct plan plan = {
			.mode = modes[m],
			.allow = &all,
			.nallow = modes[m] == POLICY_ALLOWLIST,
		};
		struct posture p;

		if (modes[m] != POLICY_BLOCKED) {
			plan.host_ports_tcp = &tcp;
			plan.host_ports_tcp_n = 1;
			plan.host_ports_udp = &udp;
			plan.host_ports_udp_n = 1;
		}
		posture_open(&p, &plan);
		for (size_t i = 0; i < 4; i++) {
			expect_refused(&p, addrs[i], 80, NFT_LIST);
			expect_udp_refused(&p, addrs[i], 5432, NFT_LIST);
			if (i < 2 || modes[m] == POLICY_BLOCKED) {
				expect_refused(&p, addrs[i], 5432, NFT_LIST);
				continue;
			}
			expect_gate(&p, addrs[i], 5432);
			expect_gate(&p, addrs[i], 5433);
			expect_udp_gate(p.gate.udp, addrs[i], 123);
		}
		posture_close(&p);
	}
}

static void foreign_source(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "8.8.8.8", "127.0.0.1" },
		{ "8.8.8.8", "203.0.113.9" },
		{ "2001:db8::1", "::1" },
		{ "2001:db8::1", "2001:db8::2" },
	};
	struct plan plan = { .mode = POLICY_OPEN };
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct endpoint from = at(rows[i].from, 53);
		struct endpoint to = at(rows[i].to, 4000);
		uint64_t before = counted(&p, NFT_SOURCE);

		assert_int_equal(payload_connect_from(&from, &to),
				 ECONNREFUSED);
		assert_int_equal(counted(&p, NFT_SOURCE), before + 1);
	}
	posture_close(&p);
}

/* The gate's ports belong to the gate, with every reuse flag. */
static void gate_ports_are_held(void **state)
{
	static const uint16_t ports[] = {
		GATE_PORT_TCP, GATE_PORT_DNS_TCP, GATE_PORT_PROXY,
		GATE_PORT_UDP, GATE_PORT_DNS_UDP,
	};
	static const char *const addrs[] = { "0.0.0.0", "192.0.0.2", "::1" };
	struct plan plan = { .mode = POLICY_OPEN };
	struct posture p;
	int on = 1;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < 15; i++) {
		struct endpoint ep = at(addrs[i % 3], ports[i / 3]);
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&ep, &ss);
		cleanup_fd int fd = socket(ss.ss_family,
					   i < 9 ? SOCK_STREAM : SOCK_DGRAM, 0);

		assert_true(fd >= 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
					    sizeof(on)),
				 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
					    sizeof(on)),
				 0);
		assert_int_equal(bind(fd, (void *)&ss, len), -1);
		assert_int_equal(errno, EADDRINUSE);
	}
	posture_close(&p);
}

/* Echo requests from a "ping" socket and other protocols: refused. */
static void other_protocols(void **state)
{
	struct plan_range everything[] = { range_of("0.0.0.0/0") };
	struct plan_group all = group_all(everything, 1);
	struct icmphdr echo = { .type = ICMP_ECHO };

	(void)state;
	for (size_t m = 0; m < NMODES; m++) {
		struct plan plan = {
			.mode = modes[m],
			.allow = &all,
			.nallow = modes[m] == POLICY_ALLOWLIST,
		};
		struct endpoint to = at("8.8.8.8", 0);
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&to, &ss);
		cleanup_fd int fd = -1;
		struct posture p;
		uint64_t before;

		posture_open(&p, &plan);
		before = counted(&p, NFT_PROTOCOL);
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
		assert_true(fd >= 0);
		assert_int_equal(sendto(fd, &echo, sizeof(echo), 0, (void *)&ss,
					len),
				 -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(counted(&p, NFT_PROTOCOL), before + 1);
		posture_close(&p);
	}
}

/* The gate is gone: refused at once, nothing hangs. */
static void dead_gate(void **state)
{
	struct plan plan = { .mode = POLICY_OPEN };
	struct endpoint to4 = at("203.0.113.9", 443);
	struct endpoint to6 = at("2001:db8::9", 443);
	struct posture p;
	int64_t us;

	(void)state;
	posture_open(&p, &plan);
	gate_sockets_close(&p.gate);
	assert_int_equal(payload_connect(BY_V4, &to4, NULL, &us), ECONNREFUSED);
	assert_true(us < 250000);
	assert_int_equal(payload_connect(BY_V6, &to6, NULL, &us), ECONNREFUSED);
	assert_true(us < 250000);
	posture_close(&p);
}

int sysnet_wall_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_in_every_mode),
		cmocka_unit_test(own_loopback),
		cmocka_unit_test(dns_reaches_the_gate),
		cmocka_unit_test(gate_addresses),
		cmocka_unit_test(foreign_source),
		cmocka_unit_test(gate_ports_are_held),
		cmocka_unit_test(other_protocols),
		cmocka_unit_test(dead_gate),
	};

	return cmocka_run_group_tests_name("sysnet_wall", tests, NULL, NULL);
}
