/* quota.h - how much may be asked: names below wildcards, questions a second
 * SPDX-License-Identifier: Apache-2.0
 *
 * A name is a message to whoever answers for its zone. Where a rule names a
 * host, there is one; where it has a wildcard, a payload writes what it likes
 * before the dot, and the zone's owner reads it. What is said that way is
 * bounded: the different names of one rule, and the bytes that stand for the
 * wildcard in them.
 *
 * Pure but for memory: time comes in as a parameter.
 */
#ifndef EXEAT_PROXY_QUOTA_H
#define EXEAT_PROXY_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

struct quota;

int quota_new(struct quota **ret); /* 0 or -errno */
void quota_free(struct quota *b);

/* Under what a name is counted. */
struct quota_scope {
	const char *rule;   /* text of the wildcard rule */
	const char *suffix; /* "": all of the rule together */
};

/*
 * May this name be asked for? `bytes` of it stand for the wildcard. One that
 * was asked for within LIMIT_DNS_WINDOW_S may be again, and stays; a new one
 * may within LIMIT_DNS_NAMES and LIMIT_DNS_NAME_BYTES of its scope, and
 * LIMIT_DNS_NAMES_ALL altogether. False leaves nothing behind; out of memory
 * is false.
 */
bool quota_name(struct quota *b, const struct quota_scope *scope,
		const char *name, size_t bytes, int64_t now_ms);

/* A bucket of `burst`, refilled at `per_second`. All zero: full. */
struct quota_rate {
	int64_t last_ms;
	uint64_t taken; /* thousandths */
};

bool quota_take(struct quota_rate *r, unsigned per_second, unsigned burst,
		int64_t now_ms);

#endif
