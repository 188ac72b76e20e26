/* route.h - asking the kernel where an address would go
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_ROUTE_H
#define EXEAT_SYS_ROUTE_H

#include "core/base/addr.h"
#include "core/base/err.h"

enum route_kind {
	ROUTE_UNICAST,
	ROUTE_LOCAL,		/* an own address of this host */
	ROUTE_BROADCAST,
	ROUTE_MULTICAST,
	ROUTE_NONE,		/* unreachable, prohibited, no route */
};

/* A netlink socket for route_ask(); close-on-exec. fd or -errno. */
int route_open(struct err *err);

/* RTM_GETROUTE (rtnetlink(7)); synchronous, answered by the kernel at once. */
int route_ask(int fd, const struct addr *to, enum route_kind *ret,
	      struct err *err);

#endif
