/* resolver_upstream.h - c-ares in a libevent loop: a query out, bytes back
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_PROXY_RESOLVER_UPSTREAM_H
#define EXEAT_PROXY_RESOLVER_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

struct event_base;
struct upstream;

enum { UPSTREAM_SERVERS = 8 };

struct upstream_server {
	struct endpoint at; /* port 53 if 0 */
	uint32_t scope;	    /* link-local: index of the interface */
};

/*
 * The answer to one query, borrowed; NULL if no server gave one. Called
 * exactly once, at destruction too. Mustn't free the upstream.
 */
typedef void upstream_cb(void *user, const uint8_t *data, size_t len);

/* 0 or -errno. */
int upstream_new(struct event_base *base, struct upstream **ret);
void upstream_free(struct upstream *u);

/* Queries under way stay with the former servers. 0 or -errno. */
int upstream_set_servers(struct upstream *u,
			 const struct upstream_server *servers, size_t n);

/*
 * Send a message (dns_query_build()) to the first server that answers it, over
 * TCP if the answer was cut. A server that let a query wait while another
 * answered it is asked last for UPSTREAM_LATE_MS. `edns`: the query has an OPT record at its end.
 * `done` may be called before this returns.
 */
void upstream_send(struct upstream *u, const uint8_t *query, size_t len,
		   bool edns, upstream_cb *done, void *user);

/* Should be called every UPSTREAM_TICK_MS while upstream_is_busy(). */
enum { UPSTREAM_TICK_MS = 100, UPSTREAM_LATE_MS = 60000 };
void upstream_tick(struct upstream *u);
bool upstream_is_busy(const struct upstream *u);

#endif
