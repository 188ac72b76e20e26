/* synth.c - addresses that stand for names which nobody here can resolve
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Entry i has the address FIRST + i. Addresses are given out in order until
 * LIMIT_SYNTH are in use, then that of the least recently asked name. Found by
 * name in a hash table, by address as an index.
 */
#include "proxy/synth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/base/limits.h"
#include "proxy/dialer_hash.h"

enum { BUCKETS = 4096 };

static const uint32_t synth_net = 0xc6120000; /* 198.18.0.0/15 */
static const uint32_t synth_mask = 0xfffe0000;
/* .0 looks like a network's own */
static const uint32_t synth_first = 0xc6120001;

struct entry {
	LIST_ENTRY(entry) by_name;
	TAILQ_ENTRY(entry) by_use;
	uint32_t number;
	char *name;
};

LIST_HEAD(entry_list, entry);

struct synth {
	struct hash_key key;
	uint32_t count;
	TAILQ_HEAD(entry_by_use, entry) by_use; /* the most recent first */
	struct entry_list by_name[BUCKETS];
	struct entry *entries[LIMIT_SYNTH];
};

int synth_new(struct synth **ret)
{
	struct synth *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->by_use);
	r = hash_key_init(&s->key);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void synth_free(struct synth *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		free(s->entries[i]->name);
		free(s->entries[i]);
	}
	free(s);
}

bool synth_is(const struct addr *a)
{
	return addr_is_v4(a) && (addr_to_v4(a) & synth_mask) == synth_net;
}

static struct entry_list *bucket(struct synth *s, const char *name)
{
	return &s->by_name[hash_bytes(&s->key, 0, name, strlen(name)) % BUCKETS];
}

static struct entry *entry_new(struct synth *s)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->number = s->count;
	s->entries[s->count++] = e;
	TAILQ_INSERT_HEAD(&s->by_use, e, by_use);
	return e;
}

int synth_get(struct synth *s, const char *name, struct addr *ret,
	      char **ret_old)
{
	struct entry_list *list = bucket(s, name);
	struct entry *e;
	char *copy;

	LIST_FOREACH(e, list, by_name) {
		if (strcmp(e->name, name) == 0)
			break;
	}
	*ret_old = NULL;
	if (!e) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
		if (s->count < LIMIT_SYNTH)
			e = entry_new(s);
		else
			e = TAILQ_LAST(&s->by_use, entry_by_use);
		if (!e) {
			free(copy);
			return -ENOMEM;
		}
		if (e->name)
			LIST_REMOVE(e, by_name);
		*ret_old = e->name;
		e->name = copy;
		LIST_INSERT_HEAD(list, e, by_name);
	}
	TAILQ_REMOVE(&s->by_use, e, by_use);
	TAILQ_INSERT_HEAD(&s->by_use, e, by_use);
	*ret = addr_from_v4(synth_first + e->number);
	return 0;
}

const char *synth_name(const struct synth *s, const struct addr *a)
{
	uint32_t i;

	if (!synth_is(a))
		return NULL;
	i = addr_to_v4(a) - synth_first;
	return i < s->count ? s->entries[i]->name : NULL;
}
