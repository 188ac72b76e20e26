/* sysnet_gate.c - the gate's sockets: replies, the kernel log, the probe
 * SPDX-License-Identifier: Apache-2.0
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "sysnet_groups.h"
#include "sysnet_posture.h"

/* RFC 1071; len is even. */
static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 2)
		start += (uint32_t)p[i] << 8 | p[i + 1];
	return start;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

/* A datagram from any source, as the gate writes it. */
static void raw_reply(const struct gate_sockets *g, const struct endpoint *from,
		      const struct endpoint *to, const char text[4])
{
	bool v4 = addr_is_v4(&to->addr);
	size_t head = v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	size_t alen = v4 ? 4 : 16;
	uint8_t packet[sizeof(struct ip6_hdr) + sizeof(struct udphdr) + 4] = {
		0,
	};
	struct udphdr udp = {
		.source = htons(from->port),
		.dest = htons(to->port),
		.len = htons(sizeof(udp) + 4),
	};
	uint32_t s = IPPROTO_UDP + sizeof(udp) + 4;

	s = sum(from->addr.b + 16 - alen, alen, s);
	s = sum(to->addr.b + 16 - alen, alen, s);
	s = sum(&udp, sizeof(udp), s);
	udp.check = fold(sum(text, 4, s));
	if (v4) {
		struct iphdr ip = {
			.version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_UDP,
		};

		memcpy(&ip.saddr, from->addr.b + 12, 4);
		memcpy(&ip.daddr, to->addr.b + 12, 4);
		memcpy(packet, &ip, sizeof(ip));
	} else {
		struct ip6_hdr ip = {
			.ip6_flow = htonl(6U << 28),
			.ip6_plen = udp.len,
			.ip6_nxt = IPPROTO_UDP,
			.ip6_hlim = 64,
		};

		memcpy(&ip.ip6_src, from->addr.b, 16);
		memcpy(&ip.ip6_dst, to->addr.b, 16);
		memcpy(packet, &ip, sizeof(ip));
	}
	memcpy(packet + head, &udp, sizeof(udp));
	memcpy(packet + head + sizeof(udp), text, 4);
	/* without an address: the gate's filter lets none pass */
	assert_int_equal(write(v4 ? g->raw4 : g->raw6, packet,
			       head + sizeof(udp) + 4),
			 (ssize_t)(head + sizeof(udp) + 4));
}

/* Ask from a connected socket (it takes answers from nobody else), answer
 * through the raw socket, from a process that left the namespace. */
static void replies(void **state)
{
	static const struct {
		const char *server;
		uint16_t port;
	} rows[] = {
		{ "8.8.8.8", 53 },	{ "192.0.0.5", 53 },
		{ "2001:db8::53", 53 }, { "fd5a:8f3c:e7a1::5", 53 },
		{ "203.0.113.9", 443 }, { "2001:db8::9", 443 },
	};
	struct plan plan = { .mode = POLICY_OPEN };
	struct err err = { .code = ERR_NONE };
	cleanup_fd int other = -1;
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct endpoint server = at(rows[i].server, rows[i].port);
		struct endpoint from, to;
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&server, &ss);
		cleanup_fd int fd = socket(ss.ss_family, SOCK_DGRAM, 0);
		char buf[16];

		assert_true(fd >= 0);
		assert_int_equal(connect(fd, (void *)&ss, len), 0);
		assert_int_equal(send(fd, "ask", 3, 0), 3);
		assert_int_equal(recv_orig(rows[i].port == 53 ? p.gate.dns_udp :
								p.gate.udp,
					   buf, sizeof(buf), &from, &to),
				 3);
		assert_true(addr_equal(&to.addr, &server.addr));
		fd_close(&other);
		must(netns_new(&other, &err), &err);
		raw_reply(&p.gate, &to, &from, "pong");
		wait_readable(fd);
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), 4);
		assert_memory_equal(buf, "pong", 4);
		must(netns_enter(p.netns, &err), &err);
	}
	posture_close(&p);
}

/* ---- the kernel log ---- */

static void on_packet(void *user, const struct nflog_packet *packet)
{
	struct nflog_packet *ret = user;

	*ret = *packet;
}

static struct nflog_packet next_packet(int fd)
{
	struct nflog_packet p = { .protocol = 0 };
	uint8_t buf[4096];
	ssize_t n;

	wait_readable(fd);
	n = recv(fd, buf, sizeof(buf), 0);
	assert_true(n > 0);
	assert_int_equal(nflog_parse(buf, (size_t)n, on_packet, &p), 1);
	return p;
}

static void log_tells(void **state)
{
	struct plan_range denied[] = { range_of("203.0.113.66") };
	struct plan_group deny = group_all(denied, 1);
	struct plan plan = {
		.mode = POLICY_OPEN,
		.deny = &deny,
		.ndeny = 1,
	};
	static const struct {
		const char *to;
		uint16_t port;
		enum nft_refusal why;
		bool udp;
	} rows[] = {
		{ "169.254.169.254", 80, NFT_GUARD, false },
		{ "203.0.113.66", 443, NFT_DENY, false },
		{ "203.0.113.66", 443, NFT_DENY, true },
		{ "10.0.0.1", 5432, NFT_PRIVATE, false },
		{ "fd00::1", 5432, NFT_PRIVATE, false },
		{ "fd00::1", 123, NFT_PRIVATE, true },
		{ "192.0.0.6", 22, NFT_LIST, false },
		{ "fd00:ec2::254", 80, NFT_GUARD, false },
	};
	struct posture p;

	(void)state;
	posture_open(&p, &plan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct endpoint to = at(rows[i].to, rows[i].port);
		enum family how = addr_is_v4(&to.addr) ? BY_V4 : BY_V6;
		uint64_t before = counted(&p, rows[i].why);
		struct nflog_packet packet;
		char a[ENDPOINT_STRLEN], b[ENDPOINT_STRLEN];

		if (rows[i].udp)
			assert_int_equal(payload_send(how, &to), EPERM);
		else
			assert_int_equal(payload_connect(how, &to, NULL, NULL),
					 ECONNREFUSED);
		packet = next_packet(p.gate.nflog);
		assert_int_equal(packet.why, rows[i].why);
		assert_int_equal(packet.protocol,
				 rows[i].udp ? IPPROTO_UDP : IPPROTO_TCP);
		assert_string_equal(endpoint_str(&packet.dst, a),
				    endpoint_str(&to, b));
		assert_int_not_equal(packet.src.port, 0);
		assert_int_equal(counted(&p, rows[i].why), before + 1);
	}
	/* nothing but what was told */
	assert_int_equal(recv(p.gate.nflog, &(char){ 0 }, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	posture_close(&p);
}

/* A flood is logged at the limit's rate and counted in full. */
static void flood(void **state)
{
	enum { N = 5000 };
	struct plan plan = { .mode = POLICY_BLOCKED };
	struct endpoint to = at("203.0.113.9", 9);
	unsigned logged = 0;
	struct posture p;
	int64_t start, ms;
	uint8_t buf[4096];
	ssize_t n;

	(void)state;
	posture_open(&p, &plan);
	start = clock_ms();
	for (int i = 0; i < N; i++)
		assert_int_equal(payload_send(BY_V4, &to), EPERM);
	ms = clock_ms() - start;
	assert_int_equal(counted(&p, NFT_LIST), N);
	while ((n = recv(p.gate.nflog, buf, sizeof(buf), 0)) > 0) {
		struct nflog_packet packet;
		int r = nflog_parse(buf, (size_t)n, on_packet, &packet);

		assert_true(r > 0);
		logged += (unsigned)r;
	}
	assert_true(logged >= LIMIT_NFLOG_BURST);
	assert_true(logged <= LIMIT_NFLOG_BURST + 2 +
				      (uint64_t)ms * LIMIT_NFLOG_RATE_S / 1000);
	posture_close(&p);
}

/* ---- what the machine has, and how it fails ---- */

static void probe(void **state)
{
	struct err err = { .code = ERR_NONE };
	cleanup_fd int ns = -1;

	(void)state;
	must(netns_new(&ns, &err), &err);
	must(nft_probe(&err), &err);
	/* leaves nothing: works again */
	must(nft_probe(&err), &err);
}

static void ports_taken(void **state)
{
	struct err err = { .code = ERR_NONE };
	struct gate_sockets g = { -1, -1, -1, -1, -1, -1, -1, -1 };
	cleanup_fd int ns = -1, taken = -1;
	char text[512];

	(void)state;
	must(netns_new(&ns, &err), &err);
	taken = own_listener("127.0.0.1", GATE_PORT_TCP);
	assert_int_equal(gate_sockets_open(&g, &err), -EADDRINUSE);
	assert_non_null(
		strstr(err_str(&err, text, sizeof(text)), "port 64501"));
	assert_int_equal(g.dns_tcp, -1);
}

/* No capability over the namespace: it says so. */
static void no_right(void **state)
{
	struct err err = { .code = ERR_NONE };
	struct plan plan = { .mode = POLICY_BLOCKED };
	struct nft *nft;
	int status;
	pid_t pid;

	(void)state;
	/* The parent's user namespace owns it. */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		bool ok = setresuid(0, 0, 0) == 0 &&
			  unshare(CLONE_NEWUSER) == 0 &&
			  nft_open(&nft, &err) == 0 &&
			  nft_load(nft, &plan, &err) == -EPERM &&
			  strstr(err.remedy, "CAP_NET_ADMIN");

		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int sysnet_gate_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),     cmocka_unit_test(log_tells),
		cmocka_unit_test(flood),       cmocka_unit_test(probe),
		cmocka_unit_test(ports_taken), cmocka_unit_test(no_right),
	};

	return cmocka_run_group_tests_name("sysnet_gate", tests, NULL, NULL);
}
