/* pins.h - which addresses stand for which names, in one posture
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pin says: this address was given to the payload as an answer for this
 * name. It lives LIMIT_PIN_S after the last answer or use. At LIMIT_PINS the
 * one that was not used for the longest time goes.
 *
 * The kernel has its own copy with a time-out. It is told again only when
 * that copy may be older than PIN_RENEW_S, so a busy name costs no call.
 */
#ifndef EXEAT_PROXY_PINS_H
#define EXEAT_PROXY_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/limits.h"

enum {
	PIN_RENEW_S = 60,
	/* Given to the kernel: never ends before ours. */
	PIN_KERNEL_S = LIMIT_PIN_S + 2 * PIN_RENEW_S,
};

struct pins;

int pins_new(struct pins **ret); /* 0 or -errno */
void pins_free(struct pins *p);

/*
 * Add, or prolong, and make it the most recent. *ret_stale: the kernel does
 * not have it, or was not told for PIN_RENEW_S. 0 or -ENOMEM.
 */
int pins_add(struct pins *p, const char *name, const struct addr *a,
	     int64_t now_ms, bool *ret_stale);
/* The kernel has it, for PIN_KERNEL_S from `now_ms`. */
void pins_told(struct pins *p, const char *name, const struct addr *a,
	       int64_t now_ms);

/* The address is another name's now; the kernel keeps it until its time. */
void pins_remove(struct pins *p, const char *name, const struct addr *a);
/* Was it the last answer's, and did that come through other names, which are
 * not kept? */
void pins_set_chained(struct pins *p, const char *name, const struct addr *a,
		      bool chained);
/*
 * Another policy: keep those that `keeps` says. The kernel has none of them
 * any more but what pins_hand() gave out since the last time.
 */
void pins_prune(struct pins *p,
		bool (*keeps)(void *user, const char *name,
			      const struct addr *a, bool chained),
		void *user);
/*
 * Those that live, in the order of use: the addresses of one answer come one
 * after the other. `takes`, which Mustn't add any, says which of them the
 * kernel will have with the next policy.
 */
void pins_hand(struct pins *p, int64_t now_ms,
	       bool (*takes)(void *user, const char *name, const struct addr *a,
			     bool chained),
	       void *user);

bool pins_has(const struct pins *p, const char *name, const struct addr *a,
	      int64_t now_ms);

/* Names of an address, the most recent first; borrowed until the next add. */
size_t pins_names(const struct pins *p, const struct addr *a, int64_t now_ms,
		  const char **ret, size_t max);

#endif
