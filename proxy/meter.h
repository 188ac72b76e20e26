/* meter.h - bytes of a session against the budgets of its policy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A counter belongs to the text of a budget and lives as long as front: it
 * counts all postures, connections and datagrams that the budget holds for,
 * also those of a posture that is gone. A flow has a meter: the counters of
 * every name and address that it was allowed for. Before bytes go on they
 * are held against all of them; what has gone on is added to all of them.
 * There is one loop, so between the two nothing else is counted: no byte
 * more than a budget has goes on.
 *
 * What front counts is what it sees: the bytes of a TCP stream, TLS and HTTP
 * heads included, and the data of datagrams. A front that was taken over
 * counts nothing: a budget bounds payloads, not the gate.
 */
#ifndef EXEAT_PROXY_METER_H
#define EXEAT_PROXY_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

struct counter {
	char *text;		     /* of the budget */
	uint64_t max[POLICY_WAYS];   /* as the latest policy has it; 0: none */
	uint64_t used[POLICY_WAYS];
};

/* All of a session. Zero-initialised is empty. */
struct counters {
	struct counter *all; /* LIMIT_BUDGETS of them, or NULL */
	size_t n;
};

/* Which counter a policy's budget has. */
struct counter_map {
	uint8_t at[LIMIT_BUDGETS];
};

/*
 * Take the numbers of a policy over, make the counters that are new. -ENOMEM;
 * -E2BIG: a session has had LIMIT_BUDGETS different ones.
 */
int counters_take(struct counters *c, const struct policy *p,
		  struct counter_map *ret);
void counters_done(struct counters *c);

struct meter {
	struct counters *counters; /* NULL: nothing is counted */
	struct policy_budgets held; /* by counter */
};

/* Count for what holds for the question, too. */
void meter_add(struct meter *m, struct counters *c, const struct policy *p,
	       const struct counter_map *map, const struct policy_question *q);
/* Of `len` bytes, how many may go on. */
size_t meter_room(const struct meter *m, enum policy_way way, size_t len);
void meter_count(struct meter *m, enum policy_way way, size_t len);
/* The first budget that has not so much left, or nothing; NULL: all have. */
const struct counter *meter_short(const struct meter *m, enum policy_way way,
				  size_t len);
/* The first that has nothing left, whichever way. */
const struct counter *meter_spent(const struct meter *m);

enum { METER_WHY = 96 };
/* "all of its 10M up are used". Returns buf. */
const char *counter_why(const struct counter *c, char buf[METER_WHY]);

#endif
