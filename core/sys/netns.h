/* netns.h - a posture's network namespace and the sockets of the gate in it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every function here acts on the calling thread's network namespace; the
 * keeper hops between the namespaces it made with netns_enter().
 */
#ifndef EXEAT_SYS_NETNS_H
#define EXEAT_SYS_NETNS_H

#include <stdint.h>

#include "core/base/err.h"

/*
 * Fixed ports that the gate's listeners hold in every posture namespace.
 * Above the kernel's default range of ephemeral ports.
 */
enum {
	GATE_PORT_TCP = 64501,
	GATE_PORT_DNS_TCP = 64502,
	GATE_PORT_UDP = 64503,
	GATE_PORT_DNS_UDP = 64504,
	GATE_PORT_PROXY = 64505,	/* HTTP and SOCKS 5, at 127.0.0.1, ::1 */
	GATE_MARK = 0x45584541,		/* SO_MARK of every socket of ours */
	GATE_NFLOG_GROUP = 5,
};

/*
 * unshare(CLONE_NEWNET) and make it a posture namespace: addresses
 * 192.0.0.2/32 and our ULA (nodad) on lo first, lo up, `local default dev lo`
 * for both families. All rtnetlink requests in one batch. bindv6only is 0 in
 * every new namespace. On success the thread is in it and *ret_fd
 * (close-on-exec) names it. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the user
 * namespace, and a procfs at /proc (thread-self). After an error the thread
 * may be in a namespace that is of no use.
 *
 * ip_unprivileged_port_start becomes 0 through /proc/sys/net, which shows the
 * network namespace of whoever opens it. Where that is read-only (some
 * containers) it stays as it was: payloads then cannot bind ports below
 * 1024, all else is the same.
 */
int netns_new(int *ret_fd, struct err *err);
int netns_enter(int fd, struct err *err);
/*
 * unshare(CLONE_NEWNET) with nothing but 127.0.0.1 in it: for a process whose
 * own sockets shall lead nowhere else. Needs the same capabilities.
 */
int netns_alone(struct err *err);

/* All -1 when not open. */
struct gate_sockets {
	int tcp;		/* transparent listener, dual-stack, marked */
	int dns_tcp;		/* the same, for port 53 */
	int udp;		/* IP(V6)_RECVORIGDSTADDR, transparent */
	int dns_udp;
	int raw4, raw6;		/* IP_HDRINCL: replies from any source */
	int proxy;		/* listener, dual-stack, marked; not
				 * transparent: who wants it names it */
	int nflog;		/* netlink, bound to GATE_NFLOG_GROUP, copies 128
				 * bytes of each packet, queue threshold 1 */
};

/* Non-blocking, close-on-exec, no SO_REUSEADDR, SO_MARK set, in the current
 * namespace. */
int gate_sockets_open(struct gate_sockets *ret, struct err *err);
void gate_sockets_close(struct gate_sockets *s);

#endif
