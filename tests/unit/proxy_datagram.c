/* proxy_datagram.c - UDP flows and DNS through front
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/dns.h"
#include "proxy/front_private.h"
#include "tests/unit/proxy_world.h"

/* A payload's socket; connected, so that only true replies arrive. */
static int udp_client(const char *address, uint16_t port)
{
	struct endpoint ep = { .port = port };
	struct sockaddr_storage sa;
	const char *cursor = address;
	socklen_t len;
	int fd;

	assert_true(addr_parse(&cursor, &ep.addr));
	len = endpoint_to_sockaddr(&ep, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static ssize_t hear(struct world *w, int fd, void *buf, size_t size)
{
	ssize_t n;

	world_until(w, (n = recv(fd, buf, size, 0)) >= 0 || errno != EAGAIN);
	return n;
}

/* What the target gets, and from where. */
static void target_hears(struct world *w, const char *text,
			 struct sockaddr_storage *ret_from)
{
	char buf[64] = "";
	socklen_t len = sizeof(*ret_from);

	world_until(w, recvfrom(w->target_udp, buf, sizeof(buf) - 1, 0,
				(struct sockaddr *)ret_from, &len) >= 0);
	assert_string_equal(buf, text);
}

static void udp_relays(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct sockaddr_storage from;
	struct front_stats stats;
	char buf[64] = "";
	int fd = udp_client(OPENED, 5000);

	(void)state;
	say(fd, "one");
	say(fd, "two");
	target_hears(w, "one", &from);
	target_hears(w, "two", &from);
	assert_int_equal(world_asked(w, ASK_DIAL), 1);
	assert_int_equal(w->last.proto, RULE_UDP);
	assert_int_equal(w->last.to.port, 5000);
	assert_true(sendto(w->target_udp, "back", 4, 0,
			   (struct sockaddr *)&from,
			   sizeof(struct sockaddr_in)) == 4);
	assert_int_equal(hear(w, fd, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "back");
	front_get_stats(w->front, &stats);
	assert_int_equal(stats.udp_flows, 1);
	/* a second port is a second flow */
	fd_close(&fd);
	fd = udp_client(OPENED, 5000);
	say(fd, "three");
	target_hears(w, "three", &from);
	front_get_stats(w->front, &stats);
	assert_int_equal(stats.udp_flows, 2);
	udp_tick(w->front, clock_ms() + LIMIT_UDP_IDLE_MS + 1000);
	front_get_stats(w->front, &stats);
	assert_int_equal(stats.udp_flows, 0);
	assert_int_equal(w->nevents, 2);
	assert_int_equal(w->events[0].e.verdict, AUDIT_ALLOW);
	assert_int_equal(w->events[0].e.layer, AUDIT_UDP);
	assert_int_equal(w->events[0].e.bytes_out, 6);
	assert_int_equal(w->events[0].e.bytes_in, 4);
	fd_close(&fd);
	world_free(w);
}

/* Refused once: what follows costs neither a question nor a record. */
static void check_refused(const char *address, int error)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(address, 5000);
	char buf[8];

	for (int i = 0; i < 3; i++) {
		say(fd, "x");
		/* an ICMP error: at once, for every datagram */
		world_until(w, recv(fd, buf, sizeof(buf), 0) < 0 &&
				       errno != EAGAIN);
		assert_int_equal(errno, error);
	}
	assert_int_equal(w->nevents, 1);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_DENY);
	assert_string_equal(world_last(w)->hint, "hinted.test");
	assert_int_equal(world_asked(w, ASK_DIAL), 1);
	udp_tick(w->front, clock_ms() + 6000);
	say(fd, "again");
	world_until(w, world_asked(w, ASK_DIAL) == 2);
	fd_close(&fd);
	world_free(w);
}

static void udp_refused(void **state)
{
	(void)state;
	check_refused(NAMED, EHOSTUNREACH);
	check_refused(NAMED6, EACCES);
}

/* Without a descriptor to spare a flow is refused, and the next one is not. */
static void udp_without_room(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(OPENED, 5000), fd_max = w->front->fd_max;
	struct sockaddr_storage from;

	(void)state;
	w->front->fd_max = fd;
	say(fd, "lost");
	world_until(w, w->nevents == 1);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_DENY);
	assert_string_equal(world_last(w)->reason,
			    policy_reason_name(POLICY_R_LIMIT));
	assert_int_equal(world_asked(w, ASK_DIAL), 0);
	w->front->fd_max = fd_max;
	w->mute = true;
	say(fd, "held");
	world_until(w, world_asked(w, ASK_DIAL) == 1);
	assert_int_equal(w->front->unconnected, 1);
	assert_int_equal(w->front->udp_fds, 1);
	front_drop_posture(w->front, 1);
	assert_int_equal(w->front->unconnected, 0);
	fd_close(&fd);
	world_free(w);

	w = world_new(POLICY_ALLOWLIST);
	fd = udp_client(OPENED, 5000);
	say(fd, "heard");
	target_hears(w, "heard", &from);
	assert_int_equal(w->front->unconnected, 0);
	assert_int_equal(w->front->udp_fds, 1);
	fd_close(&fd);
	world_free(w);
}

/* The target's port is closed: the flow ends and says why, the program too. */
static void udp_error_ends(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(OPENED, 5000);
	char buf[8];

	(void)state;
	fd_close(&w->target_udp);
	say(fd, "x");
	world_until(w, w->nevents == 1);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_FAIL);
	assert_int_equal(world_last(w)->e.error, ECONNREFUSED);
	world_until(w, recv(fd, buf, sizeof(buf), 0) < 0 && errno != EAGAIN);
	assert_int_equal(errno, ECONNREFUSED);
	fd_close(&fd);
	world_free(w);
}

/* The flow that was silent for longest goes first, and none that asks. */
static void udp_gives_way(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int first = udp_client(OPENED, 5000), second = udp_client(OPENED, 5000);
	struct sockaddr_storage from = { 0 }, again = { 0 };
	int64_t now = clock_ms();

	(void)state;
	say(first, "a");
	target_hears(w, "a", &from);
	say(second, "b");
	target_hears(w, "b", &again);
	assert_false(udp_give_way(w->front, now + LIMIT_UDP_SPARE_MS - 1));
	now = clock_ms() + LIMIT_UDP_SPARE_MS;
	assert_true(udp_give_way(w->front, now));
	assert_int_equal(w->front->stats.udp_flows, 1);
	/* the same socket as before */
	say(second, "c");
	target_hears(w, "c", &from);
	assert_memory_equal(&from, &again, sizeof(from));
	w->mute = true;
	say(first, "d");
	world_until(w, w->front->stats.udp_flows == 2);
	now = clock_ms() + LIMIT_UDP_SPARE_MS;
	assert_true(udp_give_way(w->front, now));
	assert_false(udp_give_way(w->front, now));
	assert_int_equal(w->front->stats.udp_flows, 1);
	fd_close(&first);
	fd_close(&second);
	world_free(w);
}

/* A flow that goes on keeps its pin alive. */
static void udp_used(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct sockaddr_storage from;
	int fd = udp_client(OPENED, 5000);
	int64_t began;

	(void)state;
	say(fd, "x");
	target_hears(w, "x", &from);
	/* used later than it began, by the clock's grain */
	began = clock_ms();
	world_until(w, clock_ms() > began + 1);
	say(fd, "y");
	target_hears(w, "y", &from);
	udp_tick(w->front, began + 30000);
	assert_int_equal(world_asked(w, ASK_USED), 0);
	udp_tick(w->front, began + LIMIT_UDP_IDLE_MS);
	world_until(w, world_asked(w, ASK_USED) == 1);
	assert_int_equal(w->last.to.port, 5000);
	fd_close(&fd);
	world_free(w);
}

static size_t query(const char *name, uint16_t qtype, uint8_t *buf)
{
	size_t n = dns_query_build(4711, name, qtype, buf, 512);

	assert_true(n > 0);
	return n;
}

static void expect_answer(const uint8_t *buf, ssize_t n, const char *name,
			  uint16_t qtype, const char *address)
{
	static struct dns_answer a;
	char text[ADDR_STRLEN];
	const uint16_t id = 4711;

	assert_true(n > 0);
	assert_true(dns_answer_parse(buf, (size_t)n, &id, name, qtype, &a));
	assert_int_equal(a.rcode, DNS_NOERROR);
	assert_int_equal(a.naddrs, 1);
	assert_int_equal(a.ttl_s, 60);
	assert_string_equal(addr_str(&a.addrs[0], text), address);
}

static void dns_udp(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(NAMED, 53), fd6 = udp_client(NAMED6, 53);
	uint8_t buf[1024];
	size_t n = query("allowed.test", 1, buf);

	(void)state;
	/* the reply comes from the address that was asked, in both families */
	assert_int_equal(send(fd, buf, n, 0), n);
	expect_answer(buf, hear(w, fd, buf, sizeof(buf)), "allowed.test", 1,
		      NAMED);
	assert_int_equal(w->nevents, 1);
	assert_int_equal(world_last(w)->e.layer, AUDIT_DNS);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_ALLOW);
	assert_string_equal(world_last(w)->chain, "cdn.test");
	n = query("allowed.test", 28, buf);
	assert_int_equal(send(fd6, buf, n, 0), n);
	expect_answer(buf, hear(w, fd6, buf, sizeof(buf)), "allowed.test", 28,
		      NAMED6);
	fd_close(&fd);
	fd_close(&fd6);
	world_free(w);
}

static void dns_refused(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(NAMED, 53);
	struct dns_answer a;
	uint8_t buf[1024];
	size_t n = query("evil.test", 1, buf);
	ssize_t got;

	(void)state;
	assert_int_equal(send(fd, buf, n, 0), n);
	got = hear(w, fd, buf, sizeof(buf));
	assert_true(
		dns_answer_parse(buf, (size_t)got, NULL, "evil.test", 1, &a));
	assert_int_equal(a.rcode, DNS_NXDOMAIN);
	assert_non_null(memmem(buf, (size_t)got, "--allow hinted.test", 19));
	assert_int_equal(world_last(w)->e.verdict, AUDIT_DENY);
	assert_string_equal(world_last(w)->name, "evil.test");
	/* two questions: an answer at once, and a record */
	n = query("evil.test", 1, buf);
	buf[5] = 2;
	assert_int_equal(send(fd, buf, n, 0), n);
	got = hear(w, fd, buf, sizeof(buf));
	assert_true(got >= 12);
	assert_int_equal(buf[3] & 0xf, DNS_FORMERR);
	assert_int_equal(w->nevents, 2);
	assert_int_equal(world_asked(w, ASK_RESOLVE), 1);
	fd_close(&fd);
	world_free(w);
}

static void dns_blocked(void **state)
{
	struct world *w = world_new(POLICY_BLOCKED);
	int fd = udp_client(NAMED, 53);
	struct dns_answer a;
	uint8_t buf[1024];
	size_t n = query("allowed.test", 1, buf);
	ssize_t got;

	(void)state;
	assert_int_equal(send(fd, buf, n, 0), n);
	got = hear(w, fd, buf, sizeof(buf));
	assert_true(dns_answer_parse(buf, (size_t)got, NULL, "allowed.test", 1,
				     &a));
	assert_int_equal(a.rcode, DNS_NXDOMAIN);
	assert_int_equal(world_asked(w, ASK_RESOLVE), 0);
	assert_string_equal(world_last(w)->reason,
			    policy_reason_name(POLICY_R_BLOCKED));
	assert_string_equal(world_last(w)->hint, "allowed.test");
	fd_close(&fd);
	world_free(w);
}

static size_t framed(const char *name, uint8_t *buf)
{
	size_t n = query(name, 1, buf + 2);

	buf[0] = (uint8_t)(n >> 8);
	buf[1] = (uint8_t)n;
	return n + 2;
}

static void expect_framed(struct world *w, int fd, const char *name)
{
	uint8_t buf[1024];
	size_t at = 0, want = 2;

	while (at < want) {
		ssize_t n = hear(w, fd, buf + at, want - at);

		assert_true(n > 0);
		at += (size_t)n;
		if (at == 2)
			want = 2 + ((size_t)buf[0] << 8 | buf[1]);
	}
	expect_answer(buf + 2, (ssize_t)want - 2, name, 1, NAMED);
}

static void dns_tcp(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = world_connect(NAMED, 53);
	uint8_t buf[1024];
	char rest[8];
	size_t n = framed("allowed.test", buf);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		world_send(w, fd, buf + i, 1);
		world_turn(w);
	}
	expect_framed(w, fd, "allowed.test");
	/* pipelined, more than are taken at a time */
	for (int i = 0; i < 100; i++)
		world_send(w, fd, buf, n);
	for (int i = 0; i < 100; i++)
		expect_framed(w, fd, "allowed.test");
	shutdown(fd, SHUT_WR);
	assert_int_equal(world_read_end(w, fd, rest, sizeof(rest)), 0);
	fd_close(&fd);
	w->nevents = 0;
	world_until(w, w->front->dns_conns == 0);

	/* a client that leaves takes its questions along */
	w->mute = true;
	fd = world_connect(NAMED, 53);
	world_send(w, fd, buf, n);
	world_until(w, w->front->stats.dns_queries == 1);
	world_reset(&fd);
	world_until(w, w->front->stats.dns_queries == 0);
	world_until(w, world_asked(w, ASK_CANCEL) == 1);

	/* an absurd length ends it */
	fd = world_connect(NAMED, 53);
	world_send(w, fd, "\xff\xff", 2);
	(void)world_read_end(w, fd, rest, sizeof(rest));
	fd_close(&fd);
	world_free(w);
}

static void dns_times_out(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(NAMED, 53);
	uint8_t buf[1024];
	size_t n = query("allowed.test", 1, buf);

	(void)state;
	w->mute = true;
	assert_int_equal(send(fd, buf, n, 0), n);
	world_until(w, world_asked(w, ASK_RESOLVE) == 1);
	dns_tick(w->front, clock_ms() + 60000);
	assert_true(hear(w, fd, buf, sizeof(buf)) >= 12);
	assert_int_equal(buf[3] & 0xf, DNS_SERVFAIL);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_FAIL);
	world_until(w, world_asked(w, ASK_CANCEL) == 1);
	fd_close(&fd);
	world_free(w);
}

static void dropped_with_posture(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int fd = udp_client(NAMED, 53), udp = udp_client(OPENED, 5000);
	uint8_t buf[512];
	size_t n = query("allowed.test", 1, buf);
	struct front_stats stats;

	(void)state;
	w->mute = true;
	assert_int_equal(send(fd, buf, n, 0), n);
	say(udp, "x");
	world_until(w, world_asked(w, ASK_RESOLVE) == 1 &&
			       world_asked(w, ASK_DIAL) == 1);
	front_drop_posture(w->front, 1);
	front_get_stats(w->front, &stats);
	assert_int_equal(stats.udp_flows, 0);
	assert_int_equal(stats.dns_queries, 0);
	world_until(w, world_asked(w, ASK_CANCEL) == 2);
	fd_close(&fd);
	fd_close(&udp);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_relays),
		cmocka_unit_test(udp_refused),
		cmocka_unit_test(udp_without_room),
		cmocka_unit_test(udp_error_ends),
		cmocka_unit_test(udp_gives_way),
		cmocka_unit_test(udp_used),
		cmocka_unit_test(dns_udp),
		cmocka_unit_test(dns_refused),
		cmocka_unit_test(dns_blocked),
		cmocka_unit_test(dns_tcp),
		cmocka_unit_test(dns_times_out),
		cmocka_unit_test(dropped_with_posture),
	};
	int r = world_enter();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
