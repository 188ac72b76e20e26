/* route.h - asking the kernel where an address would go
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_ROUTE_H
#define EXEAT_SYS_ROUTE_H

#include "core/base/addr.h"
#include "core/base/err.h"

enum route_kind {
	ROUTE_UNICAST,
	ROUTE_LOCAL, /* an own address of this host */
	ROUTE_BROADCAST,
	ROUTE_MULTICAST,
	ROUTE_NONE, /* unreachable, prohibited, no route */
};

/* A netlink socket for route_ask(); close-on-exec. fd or -errno. */
int route_open(struct err *err);

/* Rules of the host (ip-rule(8)) may send a port another way. */
struct route_flow {
	struct addr to;
	uint8_t ipproto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port;	 /* 0: none in particular, nor a protocol */
};

/* RTM_GETROUTE (rtnetlink(7)); synchronous, answered by the kernel at once. */
int route_ask_flow(int fd, const struct route_flow *f, enum route_kind *ret,
		   struct err *err);
/* The same for no port in particular. */
int route_ask(int fd, const struct addr *to, enum route_kind *ret,
	      struct err *err);

enum { ROUTES_KEPT = 256 };

/*
 * The same question with a memory: ROUTE_UNICAST is kept until the kernel
 * tells of a change of addresses, routes, rules or links, which is looked up
 * before each use. An address that the host is given is ROUTE_LOCAL from then
 * on. No other answer is kept.
 */
struct routes {
	int fd, watch;
	struct route_flow kept[ROUTES_KEPT]; /* by hash; "::" is free */
};

int routes_open(struct routes *r, struct err *err); /* 0 or -errno */
int routes_ask(struct routes *r, const struct route_flow *f,
	       enum route_kind *ret, struct err *err);
void routes_close(struct routes *r);

#endif
