/* proxyd.h - explicit proxies inside: what the parts of front see of them
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One listener of every namespace that may reach something speaks HTTP and
 * SOCKS 5 (proxyd.c): the first byte says which. It is a convenience for
 * programs that want a proxy, and no part of the wall: what it is asked for
 * is decided by the same dialer, with the same rules, as a connection that a
 * program makes itself.
 *
 *	CONNECT, SOCKS	become a flow (flow_tunnel.c) whose destination was
 *			said instead of being seen: dialled, answered, and
 *			from then on filtered and relayed as any other
 *	http://...	is an exchange (proxyd_plain.c): one connection to the
 *			origin for each request, any number of requests of
 *			one client
 *
 * A name is sent to the dialer without an address; an address needs a rule
 * for addresses. To SOCKS clients that resolve names themselves, an address
 * that is not decided by address alone is what it would be without a proxy:
 * the name within decides, against the names that it is pinned for.
 */
#ifndef EXEAT_PROXY_PROXYD_H
#define EXEAT_PROXY_PROXYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/buf.h"
#include "policy/policy.h"

struct posture;

enum proxyd_protocol { PROXYD_NONE, PROXYD_HTTP, PROXYD_SOCKS };

/* Where a client wants to go; the name, or "" and the address. */
struct proxyd_target {
	enum proxyd_protocol protocol;
	char name[LIMIT_NAME + 1];
	struct endpoint to;
};

/* ---- flow_tunnel.c ---- */

/* The client's socket is taken over; `data`: what came behind the request. */
void flow_tunnel(struct posture *p, int take_client,
		 const struct proxyd_target *target, const uint8_t *data,
		 size_t len);

/* ---- proxyd_say.c: the client's answer. False if it cannot be said ---- */

bool proxyd_say_open(int fd, enum proxyd_protocol protocol);

struct proxyd_refusal {
	enum policy_reason reason;
	const char *hint; /* the rule that would allow, or "" */
	const char *why;  /* or NULL */
};
bool proxyd_say_refused(int fd, const struct proxyd_target *target,
			const struct proxyd_refusal *refusal);
/* The policy allows it, but the target was not reached: errno. */
bool proxyd_say_failed(int fd, const struct proxyd_target *target, int error);

/*
 * What may be said to a target that was dialled for a name. A proxy of the
 * caller's may have resolved it: then there is no address, and what a port
 * carries for names decides.
 */
enum policy_carry proxyd_carry(const struct policy *p,
			       const struct proxyd_target *target,
			       const struct endpoint *peer,
			       struct endpoint *ret_to);

/* A response of ours, the last one on its connection. */
bool respond_http(int fd, const char *status, const struct sbuf *body);
bool respond_socks(int fd, uint8_t reply);

#endif
