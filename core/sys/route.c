/* route.c - asking the kernel where an address would go
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"

int route_open(struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return err_sys(err, errno, "open rtnetlink", "NETLINK_ROUTE");
	return fd;
}

static void put_port(struct nlmsghdr *nlh, const struct route_flow *f)
{
	if (f->port == 0)
		return;
	mnl_attr_put_u8(nlh, RTA_IP_PROTO, f->ipproto);
	mnl_attr_put_u16(nlh, RTA_DPORT, htons(f->port));
}

static int ask(int fd, const struct route_flow *f, uint32_t seq)
{
	const struct addr *to = &f->to;
	_Alignas(struct nlmsghdr) uint8_t buf[256];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	size_t len = addr_is_v4(to) ? 4 : 16;
	struct rtmsg *rtm;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = seq;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = len == 4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = (uint8_t)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, to->b + sizeof(to->b) - len);
	put_port(nlh, f);
	if (sendto(fd, nlh, nlh->nlmsg_len, 0, (void *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

static enum route_kind kind_of(uint8_t rtn)
{
	switch (rtn) {
	case RTN_UNICAST:
		return ROUTE_UNICAST;
	case RTN_LOCAL:
	case RTN_ANYCAST: /* an own address, too */
		return ROUTE_LOCAL;
	case RTN_BROADCAST:
		return ROUTE_BROADCAST;
	case RTN_MULTICAST:
		return ROUTE_MULTICAST;
	default:
		return ROUTE_NONE;
	}
}

/* 0 and *ret_kind, -errno, or 1: not an answer to us. */
static int answer(const struct nlmsghdr *nlh, uint32_t seq,
		  enum route_kind *ret_kind)
{
	if (nlh->nlmsg_seq != seq)
		return 1;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

		if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
			return -EBADMSG;
		return e->error ? e->error : -EBADMSG;
	}
	if (nlh->nlmsg_type == RTM_NEWROUTE) {
		const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

		if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm))
			return -EBADMSG;
		*ret_kind = kind_of(rtm->rtm_type);
		return 0;
	}
	return 1;
}

static int receive(int fd, uint32_t seq, enum route_kind *ret_kind)
{
	_Alignas(struct nlmsghdr) uint8_t buf[8192];

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *nlh = (const void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			int r = answer(nlh, seq, ret_kind);

			if (r <= 0)
				return r;
		}
	}
}

int route_ask_flow(int fd, const struct route_flow *f, enum route_kind *ret,
		   struct err *err)
{
	static uint32_t seq;
	enum route_kind kind = ROUTE_NONE;
	char text[ADDR_STRLEN];
	int r;

	r = ask(fd, f, ++seq);
	if (!r)
		r = receive(fd, seq, &kind);
	switch (-r) {
	case 0:
	/* How the kernel says that a route leads nowhere. */
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES: /* prohibit */
	case EINVAL: /* blackhole; also IPv4 that cannot be sent to */
	case ESRCH:
	case EAFNOSUPPORT: /* the kernel has no IPv6 */
		*ret = r ? ROUTE_NONE : kind;
		return 0;
	default:
		return err_sys(err, -r, "ask for route", "%s",
			       addr_str(&f->to, text));
	}
}

int route_ask(int fd, const struct addr *to, enum route_kind *ret,
	      struct err *err)
{
	const struct route_flow f = { .to = *to };

	return route_ask_flow(fd, &f, ret, err);
}

/* -- with a memory -- */

/* A socket that has no number of its own yet is told nothing: bind() first. */
static int watch(int fd)
{
	static const int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,	 RTNLGRP_IPV4_RULE,
		RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP,
	};
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };

	if (bind(fd, (const void *)&any, sizeof(any)) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	}
	return 0;
}

int routes_open(struct routes *ret, struct err *err)
{
	cleanup_fd int fd = route_open(err), told = -1;
	int r;

	*ret = (struct routes){ .fd = -1, .watch = -1 };
	if (fd < 0)
		return fd;
	told = route_open(err);
	if (told < 0)
		return told;
	r = watch(told);
	if (r < 0)
		return err_sys(err, -r, "watch routes", "NETLINK_ROUTE");
	ret->fd = fd_steal(&fd);
	ret->watch = fd_steal(&told);
	return 0;
}

void routes_close(struct routes *r)
{
	fd_close(&r->fd);
	fd_close(&r->watch);
}

/* Since the last call. Reads all that is there; true if it cannot be known. */
static bool changed(int watch_fd)
{
	bool any = false;
	uint8_t byte;

	for (;;) {
		/* what has changed does not matter: the rest is cut off */
		ssize_t n = recv(watch_fd, &byte, sizeof(byte), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return any;
		any = true;
		/* ENOBUFS: some were lost, and others are there */
		if (n < 0 && errno != EINTR && errno != ENOBUFS)
			return true;
	}
}

static struct route_flow *place(struct routes *r, const struct route_flow *f)
{
	unsigned sum = f->port;

	for (size_t i = 0; i < sizeof(f->to.b); i++)
		sum = sum * 31 + f->to.b[i];
	return &r->kept[sum % ROUTES_KEPT];
}

static bool is_same(const struct route_flow *a, const struct route_flow *b)
{
	return addr_equal(&a->to, &b->to) && a->ipproto == b->ipproto &&
	       a->port == b->port;
}

int routes_ask(struct routes *r, const struct route_flow *f,
	       enum route_kind *ret, struct err *err)
{
	static const struct addr none;
	struct route_flow *kept = place(r, f);
	int e;

	if (changed(r->watch))
		memset(r->kept, 0, sizeof(r->kept));
	if (is_same(kept, f) && !addr_equal(&f->to, &none)) {
		*ret = ROUTE_UNICAST;
		return 0;
	}
	e = route_ask_flow(r->fd, f, ret, err);
	if (e == 0 && *ret == ROUTE_UNICAST)
		*kept = *f;
	return e;
}
