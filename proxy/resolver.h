/* resolver.h - what upstream says of a name: asked once, kept for its TTL
 * SPDX-License-Identifier: Apache-2.0
 *
 * Knows no policy: an answer here is neither vetted nor followed. One for all
 * postures of a session, so names that several ask are asked upstream once.
 */
#ifndef EXEAT_PROXY_RESOLVER_H
#define EXEAT_PROXY_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/limits.h"

struct event_base;
struct resolver;
struct resolver_ask;
struct upstream_server;

enum {
	RESOLVER_KEPT = 4096,		   /* answers; least recently used go */
	RESOLVER_OPEN = LIMIT_DNS_QUERIES, /* questions upstream */
};

struct resolver_answer {
	uint8_t rcode;	    /* NOERROR or NXDOMAIN */
	int64_t expires_ms; /* clock_ms() */
	size_t nchain;	    /* CNAME targets in order, each */
	const char *chain;  /* terminated, one after the other */
	size_t naddrs;
	const struct addr *addrs;
	size_t rdata_len;
	const uint8_t *rdata; /* HTTPS, SVCB */
};

/*
 * NULL: no server gave a usable answer in LIMIT_DNS_UPSTREAM_MS. Borrowed for
 * the call. Never called from within resolver_ask().
 */
typedef void resolver_cb(void *user, const struct resolver_answer *a);

int resolver_new(struct event_base *base, struct resolver **ret);
/* Mustn't: while an ask is open. */
void resolver_free(struct resolver *r);

/*
 * At most UPSTREAM_SERVERS. What is kept is forgotten, what is open is asked
 * again. 0 or -errno.
 */
int resolver_set_servers(struct resolver *r,
			 const struct upstream_server *servers, size_t n);

/* Would this be answered from what is kept, or by what is asked already? */
bool resolver_knows(struct resolver *r, const char *name, uint16_t qtype);

/*
 * Ask for a canonical name. `done` is called once, unless cancelled first.
 * 0, -ENOMEM, -ENOBUFS (RESOLVER_OPEN).
 */
int resolver_ask(struct resolver *r, const char *name, uint16_t qtype,
		 resolver_cb *done, void *user, struct resolver_ask **ret);
/* Accepts NULL. Mustn't: after `done`. */
void resolver_cancel(struct resolver_ask *a);

#endif
