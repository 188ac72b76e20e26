/* proxy_world.c - front as a whole: listeners, payloads, targets, a dialer
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/proxy_world.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/msg.h"

enum { POSTURE = 1 };

/* -- the namespace -- */

static void write_file(const char *path, const char *text)
{
	if (fd_write_file(AT_FDCWD, path, text) < 0)
		fail_msg("%s: %s", path, strerror(errno));
}

static struct endpoint endpoint_of(const char *address, uint16_t port)
{
	struct endpoint ep = { .port = port };
	const char *cursor = address;

	assert_true(addr_parse(&cursor, &ep.addr) && !*cursor);
	return ep;
}

static void add_address4(int fd, int alias, const char *address)
{
	struct endpoint ep = endpoint_of(address, 0);
	struct sockaddr_storage sa;
	struct ifreq ifr = { 0 };

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "lo:%d", alias);
	(void)endpoint_to_sockaddr(&ep, &sa);
	memcpy(&ifr.ifr_addr, &sa, sizeof(struct sockaddr_in));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
}

static void add_address6(const char *address)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in6_ifreq ifr = {
		.ifr6_prefixlen = 128,
		.ifr6_ifindex = (int)if_nametoindex("lo"),
	};
	struct endpoint ep = endpoint_of(address, 0);
	int64_t until = clock_ms() + 20000;
	struct sockaddr_storage sa;

	memcpy(&ifr.ifr6_addr, ep.addr.b, 16);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	/* it is tentative until a worker of the kernel has looked at it */
	(void)endpoint_to_sockaddr(&ep, &sa);
	while (bind(fd, (struct sockaddr *)&sa, sizeof(struct sockaddr_in6)) <
	       0) {
		assert_int_equal(errno, EADDRNOTAVAIL);
		assert_true(clock_ms() < until);
		(void)sched_yield();
	}
	fd_close(&fd);
}

int world_enter(void)
{
	unsigned uid = getuid(), gid = getgid();
	struct ifreq lo = { .ifr_name = "lo" };
	char map[64];
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("SKIP: no namespaces: %s\n", strerror(errno));
		return getenv("EXEAT_MUST_RUN") ? 1 : 77;
	}
	(void)snprintf(map, sizeof(map), "0 %u 1\n", uid);
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "0 %u 1\n", gid);
	write_file("/proc/self/gid_map", map);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
	lo.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	add_address4(fd, 1, NAMED);
	add_address4(fd, 2, OPENED);
	add_address6(NAMED6);
	fd_close(&fd);
	return 0;
}

/* -- sockets -- */

static int bound(int type, const char *address, uint16_t port)
{
	struct endpoint ep = endpoint_of(address, port);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&ep, &sa);
	int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1;

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* Any local address, both families, like the keeper's. */
static int listener(uint16_t port)
{
	int fd = bound(SOCK_STREAM, "::", port);

	assert_int_equal(listen(fd, 512), 0);
	return fd;
}

static int udp_socket(uint16_t port)
{
	int fd = bound(SOCK_DGRAM, "::", port);
	const int one = 1;

	assert_int_equal(setsockopt(fd, SOL_IP, IP_RECVORIGDSTADDR, &one,
				    sizeof(one)),
			 0);
	assert_int_equal(setsockopt(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, &one,
				    sizeof(one)),
			 0);
	return fd;
}

static int raw_socket(int family)
{
	struct endpoint self =
		endpoint_of(family == AF_INET ? "127.0.0.1" : "::1", 0);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&self, &sa);
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			IPPROTO_RAW);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

int world_connect(const char *address, uint16_t port)
{
	struct endpoint ep = endpoint_of(address, port);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&ep, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(fd_nonblock(fd, true), 0);
	return fd;
}

int world_accept(struct world *w)
{
	int fd = -1;

	world_until(w, (fd = accept4(w->target, NULL, NULL,
				     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

static int dial(struct world *w, enum rule_proto proto)
{
	struct endpoint ep = endpoint_of("127.0.0.1", w->target_port);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&ep, &sa);
	int fd = socket(AF_INET,
			(proto == RULE_TCP ? SOCK_STREAM : SOCK_DGRAM) |
				SOCK_CLOEXEC,
			0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* -- the dialer -- */

static bool verdict(const struct ask *a, enum policy_reason *ret_reason)
{
	struct endpoint opened = endpoint_of(OPENED, 0);
	bool address = addr_equal(&a->to.addr, &opened.addr);

	*ret_reason = POLICY_R_RULE;
	if (strcmp(a->name, "allowed.test") == 0 ||
	    strcmp(a->name, "other.test") == 0 || strstr(a->name, ".many.test"))
		return true;
	*ret_reason = POLICY_R_DENY_RULE;
	if (strcmp(a->name, "denied.test") == 0)
		return false;
	*ret_reason = POLICY_R_NO_NAME;
	if (!a->name[0] && a->learnt == POLICY_NAME_PIN)
		return true;
	return address;
}

static void answer_ask(struct world *w, enum ask_message type,
		       const struct ask *a)
{
	struct answer ans = { .id = a->id };
	struct sbuf b;
	int fd = -1;

	ans.allow = verdict(a, &ans.reason) && !w->refuse &&
		    !(w->refused && strcmp(a->name, w->refused) == 0);
	(void)snprintf(ans.rule, sizeof(ans.rule), "%s",
		       ans.allow ? "allowed.test" : "");
	(void)snprintf(ans.hint, sizeof(ans.hint), "%s",
		       ans.allow ? "" : "hinted.test");
	(void)snprintf(ans.name, sizeof(ans.name), "%s", a->name);
	if (ans.allow)
		ans.error = w->dial_error;
	if (ans.allow && !ans.error && type == ASK_DIAL)
		fd = dial(w, a->proto);
	sbuf_init(&b, MSG_INLINE_MAX);
	answer_encode(&ans, &b);
	assert_int_equal(
		chan_send(&w->dialer, ANSWER, b.s, b.len, &fd, fd >= 0), 0);
	sbuf_done(&b);
	fd_close(&fd);
}

static void answer_lookup(struct world *w, const struct ask *a)
{
	struct answer_resolve ans = { .id = a->id, .ttl_s = 60, .naddrs = 1 };
	struct sbuf b;

	ans.allow = verdict(a, &ans.reason);
	ans.addrs[0] = endpoint_of(a->qtype == 28 ? NAMED6 : NAMED, 0).addr;
	(void)snprintf(ans.chain, sizeof(ans.chain), "cdn.test");
	(void)snprintf(ans.hint, sizeof(ans.hint), "%s",
		       ans.allow ? "" : "hinted.test");
	sbuf_init(&b, MSG_INLINE_MAX);
	answer_resolve_encode(&ans, &b);
	assert_int_equal(
		chan_send(&w->dialer, ANSWER_RESOLVE, b.s, b.len, NULL, 0), 0);
	sbuf_done(&b);
}

static void dialer_cb(evutil_socket_t fd, short what, void *world)
{
	struct world *w = world;
	static struct msg m;
	struct ask a;

	(void)fd;
	(void)what;
	while (chan_recv(&w->dialer, 0, &m) == 1) {
		assert_true(ask_decode(m.body, m.len, &a));
		w->asked[m.type - ASK_DIAL]++;
		if (m.type != ASK_CANCEL)
			w->last = a;
		if (!w->mute && (m.type == ASK_DIAL || m.type == ASK_CHECK))
			answer_ask(w, m.type, &a);
		if (!w->mute && m.type == ASK_RESOLVE)
			answer_lookup(w, &a);
		msg_done(&m);
	}
}

unsigned world_asked(const struct world *w, enum ask_message type)
{
	return w->asked[type - ASK_DIAL];
}

/* -- events -- */

static void keep(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text ? text : "");
}

static void event_cb(void *user, const struct audit_event *e)
{
	struct world *w = user;
	struct world_event *to;

	assert_true(w->nevents < WORLD_EVENTS);
	to = &w->events[w->nevents++];
	to->e = *e;
	keep(to->name, sizeof(to->name), e->name);
	keep(to->reason, sizeof(to->reason), e->reason);
	keep(to->rule, sizeof(to->rule), e->rule);
	keep(to->hint, sizeof(to->hint), e->hint);
	keep(to->learnt, sizeof(to->learnt), e->learnt);
	keep(to->chain, sizeof(to->chain), e->chain);
}

static void broken_cb(void *user, int error)
{
	((struct world *)user)->broken = error;
}

const struct world_event *world_last(const struct world *w)
{
	assert_true(w->nevents > 0);
	return &w->events[w->nevents - 1];
}

/* -- life -- */

static void compile(struct world *w, enum policy_mode mode,
		    const struct policy_budget *budgets, size_t n)
{
	static const char *const allow[] = { "allowed.test:80,443,8080",
					     "other.test:80,443,8080",
					     OPENED "/32" };
	static const char *const deny[] = { "denied.test" };
	struct policy_spec spec = {
		.mode = mode,
		.allow = allow,
		.nallow = mode == POLICY_ALLOWLIST ? 3 : 0,
		.deny = deny,
		.ndeny = 1,
		.budgets = budgets,
		.nbudgets = n,
	};
	struct err err;
	size_t len;

	if (policy_compile(&spec, &w->image, &len, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(policy_new(w->image, len, &w->policy), 0);
}

static uint16_t local_port(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint ep;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, len, &ep));
	return ep.port;
}

/* One front has one listener a posture: each port is a posture of its own. */
static void add_posture(struct world *w, uint32_t id, uint16_t port)
{
	struct front_sockets s = {
		.tcp = listener(port),
		.dns_tcp = port == 443 ? listener(53) : -1,
		.udp = port == 443 ? udp_socket(5000) : -1,
		.dns_udp = port == 443 ? udp_socket(53) : -1,
		.raw4 = raw_socket(AF_INET),
		.raw6 = raw_socket(AF_INET6),
		.proxy = -1,
	};
	struct err err;

	if (front_add_posture(w->front, id, w->policy, &s, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(s.tcp, -1);
	front_set_run(w->front, id, 7);
}

struct world *world_new(enum policy_mode mode)
{
	return world_with(mode, NULL, 0);
}

struct world *world_with(enum policy_mode mode,
			 const struct policy_budget *budgets, size_t n)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct front_hooks hooks = { w, event_cb, broken_cb };
	int pair[2];

	assert_non_null(w);
	compile(w, mode, budgets, n);
	w->base = event_base_new();
	assert_int_equal(chan_pair(pair), 0);
	chan_init(&w->dialer, pair[1], ask_dialer_rules, ask_dialer_nrules,
		  LIMIT_CHAN_QUEUE);
	w->dialer_in = event_new(w->base, w->dialer.fd, EV_READ | EV_PERSIST,
				 dialer_cb, w);
	event_add(w->dialer_in, NULL);
	assert_int_equal(front_new(w->base, pair[0], &hooks, &w->front), 0);
	w->target = bound(SOCK_STREAM, "127.0.0.1", 0);
	assert_int_equal(listen(w->target, 512), 0);
	w->target_port = local_port(w->target);
	w->target_udp = bound(SOCK_DGRAM, "127.0.0.1", w->target_port);
	add_posture(w, POSTURE, 443);
	add_posture(w, POSTURE + 1, 80);
	add_posture(w, POSTURE + 2, PORT_OTHER);
	return w;
}

void world_free(struct world *w)
{
	front_free(w->front);
	event_free(w->dialer_in);
	chan_done(&w->dialer);
	fd_close(&w->target);
	fd_close(&w->target_udp);
	event_base_free(w->base);
	policy_free(w->policy);
	free(w->image);
	free(w);
}

void world_turn(struct world *w)
{
	struct timeval tv = { .tv_usec = 2000 };

	/* come back soon even if nothing happens: others have sockets too */
	(void)event_base_loopexit(w->base, &tv);
	(void)event_base_loop(w->base, EVLOOP_ONCE);
}

/* -- talking -- */

void world_send(struct world *w, int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		world_until(w, (n = send(fd, p, len, MSG_NOSIGNAL)) >= 0 ||
				       errno != EAGAIN);
		if (n < 0)
			fail_msg("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

void world_say(struct world *w, int fd, const char *text)
{
	world_send(w, fd, text, strlen(text));
}

void world_expect(struct world *w, int fd, const void *data, size_t len)
{
	static uint8_t buf[256 << 10];
	size_t at = 0;
	ssize_t n;

	assert_true(len <= sizeof(buf));
	while (at < len) {
		world_until(w, (n = recv(fd, buf + at, len - at, 0)) >= 0 ||
				       errno != EAGAIN);
		if (n <= 0)
			fail_msg("ended after %zu of %zu bytes: %s", at, len,
				 n < 0 ? strerror(errno) : "end of file");
		at += (size_t)n;
	}
	assert_memory_equal(buf, data, len);
}

void world_hear(struct world *w, int fd, const char *text)
{
	world_expect(w, fd, text, strlen(text));
}

int world_read_end(struct world *w, int fd, char *buf, size_t size)
{
	size_t at = 0;
	ssize_t n;

	for (;;) {
		world_until(w,
			    (n = recv(fd, buf + at, size - 1 - at, 0)) >= 0 ||
				    errno != EAGAIN);
		if (n <= 0) {
			buf[at] = '\0';
			return n < 0 ? errno : 0;
		}
		at += (size_t)n;
		assert_true(at < size - 1);
	}
}

void world_reset(int *fd)
{
	const struct linger hard = { 1, 0 };

	(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	fd_close(fd);
}
