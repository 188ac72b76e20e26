/* happy.h - Happy Eyeballs: the first of several addresses that answers
 * SPDX-License-Identifier: Apache-2.0
 *
 * RFC 8305 5: addresses are tried one after the other, LIMIT_HE_DELAY_MS
 * apart or as soon as the one before has failed, and the first that connects
 * wins. The order is the owner's (happy_add()). Addresses may still be added
 * while the race is on.
 */
#ifndef EXEAT_PROXY_HAPPY_H
#define EXEAT_PROXY_HAPPY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"
#include "core/base/limits.h"
#include "proxy/connector.h"

struct happy;

enum {
	HAPPY_ADDRS = 2 * LIMIT_DNS_ADDRS, /* the rest is not tried */
	HAPPY_ATTEMPTS = 8,		   /* at a time: the oldest gives way */
};

struct happy_result {
	int fd;		      /* taken by the callback; -1: none */
	struct endpoint peer; /* what fd is connected to */
	int error;	      /* errno of the best failure, 0: none */
	bool own;	      /* nothing failed, but what was tried is the
				 * host itself */
	uint32_t failure;     /* of the proxy that goes with error, or 0 */
};

/* Called once, never from within one of the calls below. */
typedef void happy_cb(void *user, const struct happy_result *r);

/* `like` says all of the target but the address. 0 or -ENOMEM. */
int happy_new(struct connector_env *env, const struct connector_target *like,
	      happy_cb *done, void *user, struct happy **ret);
/* Give up: `done` is not called any more. */
void happy_free(struct happy *h);

/*
 * More addresses, at the end of the list; ones that are there already are
 * skipped. The families take turns from the first of the list on (RFC 8305 4).
 */
void happy_add(struct happy *h, const struct endpoint *to, size_t n);
/* No more will come: when the list is through, that is the end. */
void happy_close(struct happy *h);

/* What would be said if it had to end now: ETIMEDOUT while only silence. */
int happy_error(const struct happy *h);

#endif
