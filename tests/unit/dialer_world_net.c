/* dialer_world_net.c - the namespace, its addresses, and peers in it
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dialer_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"

static void die(const char *what)
{
	fprintf(stderr, "dialer_world: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_file(const char *path, const char *text)
{
	if (fd_write_file(AT_FDCWD, path, text) < 0)
		die(path);
}

/* -- rtnetlink -- */

struct request {
	struct nlmsghdr head;
	union {
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	char attrs[256];
};

static void put_attr(struct request *r, unsigned short type, const void *data,
		     size_t len)
{
	struct rtattr *a =
		(struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) +
			    (unsigned)RTA_ALIGN(RTA_LENGTH(len));
}

static void talk(int fd, struct request *r, const char *what)
{
	char buf[4096];
	struct nlmsghdr *reply = (struct nlmsghdr *)buf;
	struct nlmsgerr *error;

	r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
	if (send(fd, r, r->head.nlmsg_len, 0) < 0 ||
	    recv(fd, buf, sizeof(buf), 0) < (ssize_t)sizeof(*reply))
		die(what);
	error = NLMSG_DATA(reply);
	if (reply->nlmsg_type != NLMSG_ERROR || error->error) {
		errno = -error->error;
		die(what);
	}
}

static size_t bytes_of(const char *text, uint8_t ret[16], uint8_t *ret_family)
{
	if (inet_pton(AF_INET, text, ret) == 1) {
		*ret_family = AF_INET;
		return 4;
	}
	if (inet_pton(AF_INET6, text, ret) != 1)
		die(text);
	*ret_family = AF_INET6;
	return 16;
}

static void add_addr(int fd, unsigned lo, const char *addr)
{
	struct request r = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.addr)),
			  .nlmsg_type = RTM_NEWADDR },
	};
	uint8_t bytes[16];
	size_t len = bytes_of(addr, bytes, &r.addr.ifa_family);

	r.addr.ifa_prefixlen = (unsigned char)(8 * len);
	r.addr.ifa_index = lo;
	r.addr.ifa_flags = IFA_F_NODAD;
	put_attr(&r, IFA_LOCAL, bytes, len);
	put_attr(&r, IFA_ADDRESS, bytes, len);
	talk(fd, &r, addr);
}

/* Every address of the prefix answers here, but none is a source. */
static void add_local(int fd, unsigned lo, const char *prefix, uint8_t bits,
		      const char *source)
{
	struct request r = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.route)),
			  .nlmsg_type = RTM_NEWROUTE },
	};
	uint8_t bytes[16];
	size_t len = bytes_of(prefix, bytes, &r.route.rtm_family);

	r.route.rtm_dst_len = bits;
	r.route.rtm_table = RT_TABLE_LOCAL;
	r.route.rtm_protocol = RTPROT_STATIC;
	r.route.rtm_scope = RT_SCOPE_HOST;
	r.route.rtm_type = RTN_LOCAL;
	put_attr(&r, RTA_DST, bytes, len);
	put_attr(&r, RTA_OIF, &lo, sizeof(lo));
	len = bytes_of(source, bytes, &r.route.rtm_family);
	put_attr(&r, RTA_PREFSRC, bytes, len);
	talk(fd, &r, prefix);
}

static void make_net(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	cleanup_fd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cleanup_fd int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	unsigned lo = if_nametoindex("lo");

	if (s < 0 || fd < 0 || ioctl(s, SIOCSIFFLAGS, &up) < 0)
		die("lo");
	add_addr(fd, lo, "192.0.2.1");
	add_addr(fd, lo, "2001:db8::1");
	add_local(fd, lo, "203.0.113.0", 24, "192.0.2.1");
	add_local(fd, lo, "10.9.0.0", 16, "192.0.2.1");
	add_local(fd, lo, "2001:db8:1::", 64, "2001:db8::1");
}

void world_enter_namespace(void)
{
	const unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: no user namespace: %s\n",
			strerror(errno));
		exit(getenv("EXEAT_MUST_RUN") ? 1 : 77);
	}
	write_file("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
	make_net();
}

/* -- addresses and peers -- */

struct addr world_addr(const char *text)
{
	const char *cursor = text;
	struct addr a;

	if (!addr_parse(&cursor, &a) || *cursor)
		die(text);
	return a;
}

struct endpoint world_endpoint(const char *addr, uint16_t port)
{
	return (struct endpoint){ world_addr(addr), port };
}

static int listen_with(const char *addr, uint16_t port, int backlog)
{
	const struct endpoint e = world_endpoint(addr, port);
	const int on = 1;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int fd = socket(sa.ss_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    listen(fd, backlog) < 0)
		die("listen");
	return fd;
}

int world_listen(const char *addr, uint16_t port)
{
	return listen_with(addr, port, 512);
}

struct world_hole world_hole_new(const char *addr, uint16_t port)
{
	const struct endpoint e = world_endpoint(addr, port);
	struct world_hole h = { .listener = listen_with(addr, port, 0) };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);

	h.filler = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h.filler < 0 || connect(h.filler, (struct sockaddr *)&sa, len) < 0)
		die("fill");
	return h;
}

void world_hole_done(struct world_hole *h)
{
	fd_close(&h->listener);
	fd_close(&h->filler);
}

bool world_accepted(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	cleanup_fd int fd = -1;

	if (poll(&p, 1, 0) <= 0)
		return false;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd >= 0;
}
