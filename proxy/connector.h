/* connector.h - reaching a target: a chain of identical small links
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A connector ends with a connected socket or an error. It is a chain of
 * links, each a connector_type: the first link (`direct`) makes the socket,
 * each later one goes on with the descriptor that the links before it have
 * made ready. A link reports its end by connector_end(); the chain then
 * starts the next one, or tells the owner. Which links a target needs is
 * decided in one place (connector_new()).
 *
 *	new -> link 0 -> link 1 ... -> done(OK, FAILED or OWN)
 *
 *	direct		a socket to the target
 *	reach, talk	a socket to the caller's own proxy, the first of its
 *			addresses that answers; then CONNECT or SOCKS
 *	wrap		between them, if it is https://: TLS to the proxy
 *
 * No end is ever reported from within connector_new(): always from the loop.
 */
#ifndef EXEAT_PROXY_CONNECTOR_H
#define EXEAT_PROXY_CONNECTOR_H

#include <stdbool.h>
#include <sys/queue.h>

#include "core/base/addr.h"
#include "core/base/limits.h"
#include "policy/rule.h"
#include "proxy/dialer.h"

struct event;
struct event_base;
struct connector;
struct upproxy;

enum connector_end {
	CONNECTOR_OK,
	CONNECTOR_FAILED, /* error: errno */
	CONNECTOR_OWN,	  /* it would have reached the host itself */
};

struct connector_target {
	enum rule_proto proto; /* RULE_TCP or RULE_UDP */
	struct endpoint to;    /* vetted */
	bool host;	       /* a service of the host is meant: the route
				 * is not asked, an own address is right */
	bool by_proxy;	       /* through env->proxy */
	const char *name;      /* by_proxy: it is told this, not the address;
				 * borrowed. NULL: the address */
};

/* Lent by the owner of connectors; outlives them. */
struct connector_env {
	struct event_base *base;
	const struct dialer_hooks *hooks;
	struct dialer *dialer;	     /* looks up the proxy's name */
	const struct upproxy *proxy; /* the caller's own, or NULL */
	/* where the proxy was found last: no target of a payload */
	size_t nproxy_addrs;
	struct addr proxy_addrs[LIMIT_DNS_ADDRS];
	/* of connector_wrap.c: who waits for TLS */
	LIST_HEAD(wrap_list, wrap) wraps;
	uint32_t last_wrap;
};

/* Is it the proxy itself? Nobody inside may speak to it. */
bool connector_is_proxy(const struct connector_env *env, const char *name,
			const struct endpoint *to);

/* Called once; the connector Should be freed by it (it may). */
typedef void connector_cb(void *user, struct connector *c,
			  enum connector_end end, int error);

/* 0 or -ENOMEM. */
int connector_new(struct connector_env *env,
		  const struct connector_target *target, connector_cb *done,
		  void *user, struct connector **ret);
/* The connected socket, once, after CONNECTOR_OK. */
int connector_steal_fd(struct connector *c);
/* At any time; `done` is not called any more. */
void connector_free(struct connector *c);
/* dialer_wrapped() */
void connector_wrapped(struct connector_env *env, uint32_t id, int take_fd,
		       uint32_t failure);

/* ---- for the links ---- */

struct connector_type {
	const char *name;
	/* Begin: 0 or -errno. Mustn't call connector_end() itself. */
	int (*start)(struct connector *c);
	/* Release what start() made, but for c->fd. Called once for each
	 * start(), failed ones too, before the next link or at the end. */
	void (*stop)(struct connector *c);
};

extern const struct connector_type connector_direct;
extern const struct connector_type connector_reach;
extern const struct connector_type connector_wrap;
extern const struct connector_type connector_talk;

struct connector {
	struct connector_env *env;
	struct connector_target target;
	int fd; /* handed on from link to link */
	bool wrapped; /* it leads to the proxy by way of a process of ours */

	/* of the link that is at work */
	struct event *event;
	int error;
	void *state;
	uint32_t failure; /* of the proxy: upproxy_talk.h; 0: none */

	/* of the chain */
	const struct connector_type *const *links; /* NULL ends it */
	connector_cb *done;
	void *user;
};

void connector_end(struct connector *c, enum connector_end end, int error);

#endif
