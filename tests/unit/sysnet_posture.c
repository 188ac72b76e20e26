/* sysnet_posture.c - a posture namespace for a test, and a payload's moves
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sysnet_posture.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/fd.h"

enum {
	PATIENCE_S = 5,
	/* A refusal by RST takes 0.1 ms; a TCP retransmission 1 s. */
	AT_ONCE_US = 50 * 1000,
	TRIES = 3,
};

void must(int r, const struct err *err)
{
	char text[1024];

	if (r >= 0)
		return;
	print_error("failed: %s\n", err_str(err, text, sizeof(text)));
	fail();
}

struct addr addr_of(const char *text)
{
	struct addr a = { .b = { 0 } };

	if (!addr_parse(&text, &a) || *text)
		fail_msg("bad address in a test: %s", text);
	return a;
}

struct endpoint at(const char *addr, uint16_t port)
{
	return (struct endpoint){ .addr = addr_of(addr), .port = port };
}

struct plan_range range_of(const char *text)
{
	struct plan_range r;
	struct prefix p;
	bool extra;

	if (!prefix_parse(&text, &p, &extra) || *text)
		fail_msg("bad prefix in a test: %s", text);
	prefix_range(&p, &r.first, &r.last);
	return r;
}

struct plan_group group_all(const struct plan_range *ranges, size_t n)
{
	return (struct plan_group){
		.protos = RULE_TCP_UDP,
		.all_ports = true,
		.ranges = ranges,
		.nranges = n,
	};
}

void posture_open(struct posture *p, const struct plan *plan)
{
	struct err err = { .code = ERR_NONE };

	must(netns_new(&p->netns, &err), &err);
	must(gate_sockets_open(&p->gate, &err), &err);
	must(nft_open(&p->nft, &err), &err);
	must(nft_load(p->nft, plan, &err), &err);
}

void posture_close(struct posture *p)
{
	nft_free(p->nft);
	gate_sockets_close(&p->gate);
	fd_close(&p->netns);
}

void wait_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, PATIENCE_S * 1000), 1);
}

static socklen_t sockaddr_for(enum family how, const struct endpoint *to,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (void *)ret;
	socklen_t len = how == BY_MAPPED ? endpoint_to_sockaddr6(to, ret) :
					   endpoint_to_sockaddr(to, ret);

	if (ret->ss_family == AF_INET6 &&
	    (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ||
	     IN6_IS_ADDR_MULTICAST(&in6->sin6_addr)))
		in6->sin6_scope_id = 1; /* lo */
	return len;
}

static int payload_socket(enum family how, int type)
{
	struct timeval tv = { .tv_sec = PATIENCE_S };
	int fd = socket(how == BY_V4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC,
			0);

	assert_true(fd >= 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	return fd;
}

int payload_connect(enum family how, const struct endpoint *to, int *ret_fd,
		    int64_t *ret_us)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_for(how, to, &ss);
	cleanup_fd int fd = payload_socket(how, SOCK_STREAM);
	int64_t start = clock_us();
	int r = connect(fd, (void *)&ss, len) ? errno : 0;

	if (ret_us)
		*ret_us = clock_us() - start;
	if (!r && ret_fd)
		*ret_fd = fd_steal(&fd);
	return r;
}

int payload_connect_from(const struct endpoint *from, const struct endpoint *to)
{
	enum family how = addr_is_v4(&to->addr) ? BY_V4 : BY_V6;
	cleanup_fd int fd = payload_socket(how, SOCK_STREAM);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(from, &ss);
	int on = 1;

	/* Needs no right: IPv6 wants it even where the route is local. */
	assert_int_equal(setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on)),
			 0);
	assert_int_equal(bind(fd, (void *)&ss, len), 0);
	len = endpoint_to_sockaddr(to, &ss);
	return connect(fd, (void *)&ss, len) ? errno : 0;
}

int payload_send(enum family how, const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_for(how, to, &ss);
	cleanup_fd int fd = payload_socket(how, SOCK_DGRAM);

	return sendto(fd, "hello", 5, 0, (void *)&ss, len) < 0 ? errno : 0;
}

uint64_t counted(struct posture *p, enum nft_refusal why)
{
	struct err err = { .code = ERR_NONE };
	struct nft_counters c;

	must(nft_counters_get(p->nft, &c, &err), &err);
	return c.packets[why];
}

/* A busy machine may be late once: the best of some tries. */
static void refused_by(struct posture *p, enum family how,
		       const struct endpoint *to, enum nft_refusal why)
{
	char text[ENDPOINT_STRLEN];

	for (int tries = 0;; tries++) {
		uint64_t before = counted(p, why), count;
		int64_t us;
		int r = payload_connect(how, to, NULL, &us);

		count = counted(p, why) - before;
		if (r == ECONNREFUSED && count == 1 && us <= AT_ONCE_US)
			return;
		if (r == ECONNREFUSED && count == 1 && tries < TRIES)
			continue;
		fail_msg("%s: expected a refusal (%d) at once, got %s after "
			 "%ld us, counted %lu",
			 endpoint_str(to, text), why, strerror(r), (long)us,
			 (unsigned long)count);
	}
}

void expect_refused(struct posture *p, const char *addr, uint16_t port,
		    enum nft_refusal why)
{
	struct endpoint to = at(addr, port);

	if (addr_is_v4(&to.addr)) {
		refused_by(p, BY_V4, &to, why);
		refused_by(p, BY_MAPPED, &to, why);
	} else {
		refused_by(p, BY_V6, &to, why);
	}
}

static void udp_refused_by(struct posture *p, enum family how,
			   const struct endpoint *to, enum nft_refusal why)
{
	uint64_t before = counted(p, why);
	char text[ENDPOINT_STRLEN];
	int r = payload_send(how, to);

	if (r != EPERM || counted(p, why) != before + 1)
		fail_msg("%s: expected EPERM, got %s, counted %lu",
			 endpoint_str(to, text), strerror(r),
			 (unsigned long)(counted(p, why) - before));
}

void expect_udp_refused(struct posture *p, const char *addr, uint16_t port,
			enum nft_refusal why)
{
	struct endpoint to = at(addr, port);

	if (addr_is_v4(&to.addr)) {
		udp_refused_by(p, BY_V4, &to, why);
		udp_refused_by(p, BY_MAPPED, &to, why);
	} else {
		udp_refused_by(p, BY_V6, &to, why);
	}
}

static void assert_endpoint(const struct endpoint *got,
			    const struct endpoint *want)
{
	char a[ENDPOINT_STRLEN], b[ENDPOINT_STRLEN];

	assert_string_equal(endpoint_str(got, a), endpoint_str(want, b));
}

/* The connection at the listener, and what it was meant for. */
static void accept_at(int listener, const struct endpoint *want)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint got;
	cleanup_fd int fd = -1;

	wait_readable(listener);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (void *)&ss, &len), 0);
	assert_true(endpoint_from_sockaddr((void *)&ss, len, &got));
	assert_endpoint(&got, want);
}

void expect_gate(struct posture *p, const char *addr, uint16_t port)
{
	struct endpoint to = at(addr, port);
	enum family how = addr_is_v4(&to.addr) ? BY_V4 : BY_V6;
	int listener = port == 53 ? p->gate.dns_tcp : p->gate.tcp;
	cleanup_fd int fd = -1;
	int r = payload_connect(how, &to, &fd, NULL);

	if (r)
		fail_msg("%s port %u: %s", addr, port, strerror(r));
	accept_at(listener, &to);
}

size_t recv_orig(int fd, void *buf, size_t size, struct endpoint *ret_from,
		 struct endpoint *ret_to)
{
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct sockaddr_storage from;
	struct msghdr m = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	bool found = false;
	ssize_t n;

	wait_readable(fd);
	n = recvmsg(fd, &m, 0);
	assert_true(n >= 0);
	assert_true(
		endpoint_from_sockaddr((void *)&from, m.msg_namelen, ret_from));
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if ((c->cmsg_level == SOL_IP &&
		     c->cmsg_type == IP_ORIGDSTADDR) ||
		    (c->cmsg_level == SOL_IPV6 &&
		     c->cmsg_type == IPV6_ORIGDSTADDR))
			found = endpoint_from_sockaddr(
				(void *)CMSG_DATA(c),
				(socklen_t)(c->cmsg_len - CMSG_LEN(0)), ret_to);
	}
	assert_true(found);
	return (size_t)n;
}

void expect_udp_gate(int listener, const char *addr, uint16_t port)
{
	struct endpoint to = at(addr, port), from, got;
	char buf[64];

	for (enum family how = BY_V4; how <= BY_V6; how++) {
		if (addr_is_v4(&to.addr) == (how == BY_V6))
			continue;
		assert_int_equal(payload_send(how, &to), 0);
		assert_int_equal(
			recv_orig(listener, buf, sizeof(buf), &from, &got), 5);
		assert_endpoint(&got, &to);
	}
}

int own_listener(const char *addr, uint16_t port)
{
	struct endpoint ep = at(addr, port);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&ep, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (void *)&ss, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}
