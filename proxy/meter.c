/* meter.c - bytes of a session against the budgets of its policy
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"

/* ---- counters ---- */

static int counter_find(struct counters *c, const char *text, size_t *ret)
{
	size_t i = 0;

	while (i < c->n && strcmp(c->all[i].text, text) != 0)
		i++;
	*ret = i;
	if (i < c->n)
		return 0;
	if (i >= LIMIT_BUDGETS)
		return -E2BIG;
	c->all[i] = (struct counter){ .text = strdup(text) };
	if (!c->all[i].text)
		return -ENOMEM;
	c->n++;
	return 0;
}

int counters_take(struct counters *c, const struct policy *p,
		  struct counter_map *ret)
{
	size_t n = policy_nbudgets(p);
	size_t at;

	if (n > 0 && !c->all)
		c->all = calloc(LIMIT_BUDGETS, sizeof(*c->all));
	if (n > 0 && !c->all)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		int r = counter_find(c, policy_budget_text(p, i), &at);

		if (r < 0)
			return r;
		ret->at[i] = (uint8_t)at;
	}
	/* what the latest policy does not name is bounded no more */
	for (size_t i = 0; i < c->n; i++)
		memset(c->all[i].max, 0, sizeof(c->all[i].max));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t *max = c->all[ret->at[i]].max;

		for (int way = 0; way < POLICY_WAYS; way++)
			max[way] =
				policy_budget_max(p, i, (enum policy_way)way);
	}
	return 0;
}

void counters_done(struct counters *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->all[i].text);
	free(c->all);
	*c = (struct counters){ 0 };
}

const char *counter_why(const struct counter *c, char buf[METER_WHY])
{
	bool up = c->max[POLICY_UP] && c->used[POLICY_UP] >= c->max[POLICY_UP];
	char size[NUM_SIZE_STRLEN];

	(void)snprintf(buf, METER_WHY, "all of %s bytes %s are used",
		       num_size_str(c->max[up ? POLICY_UP : POLICY_DOWN], size),
		       up ? "up" : "down");
	return buf;
}

/* ---- meters ---- */

void meter_add(struct meter *m, struct counters *c, const struct policy *p,
	       const struct counter_map *map, const struct policy_question *q)
{
	struct policy_budgets found;

	if (policy_nbudgets(p) == 0)
		return;
	found = policy_find_budgets(p, q);
	for (uint32_t i = 0; i < policy_nbudgets(p); i++) {
		uint8_t at = map->at[i];

		if (!(found.bits[i / 64] >> (i % 64) & 1))
			continue;
		m->counters = c;
		m->held.bits[at / 64] |= (uint64_t)1 << at % 64;
	}
}

/* The next counter at or behind *from, which moves past it; NULL: no more. */
static struct counter *next(const struct meter *m, size_t *from)
{
	while (m->counters && *from < m->counters->n) {
		size_t at = (*from)++;

		if (m->held.bits[at / 64] >> at % 64 & 1)
			return &m->counters->all[at];
	}
	return NULL;
}

static uint64_t left(const struct counter *c, enum policy_way way)
{
	if (c->max[way] == 0)
		return UINT64_MAX;
	return c->max[way] > c->used[way] ? c->max[way] - c->used[way] : 0;
}

size_t meter_room(const struct meter *m, enum policy_way way, size_t len)
{
	const struct counter *c;
	size_t from = 0;

	while ((c = next(m, &from))) {
		if (left(c, way) < len)
			len = (size_t)left(c, way);
	}
	return len;
}

void meter_count(struct meter *m, enum policy_way way, size_t len)
{
	struct counter *c;
	size_t from = 0;

	while ((c = next(m, &from)))
		c->used[way] += len;
}

const struct counter *meter_short(const struct meter *m, enum policy_way way,
				  size_t len)
{
	const struct counter *c;
	size_t from = 0;

	while ((c = next(m, &from))) {
		if (left(c, way) == 0 || left(c, way) < len)
			return c;
	}
	return NULL;
}

const struct counter *meter_spent(const struct meter *m)
{
	const struct counter *up = meter_short(m, POLICY_UP, 0);

	return up ? up : meter_short(m, POLICY_DOWN, 0);
}
