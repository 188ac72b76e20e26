/* index.c - hashes: where an entry with this key is, if there is one
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/index.h"

#include <stdlib.h>
#include <string.h>

uint32_t index_next(const struct index *x, uint32_t hash, uint32_t *cursor)
{
	uint32_t mask = x->nslots - 1;

	if (x->nslots == 0)
		return INDEX_NONE;
	for (;;) { /* half of the slots are free */
		const struct index_slot *slot = &x->slots[(*cursor)++ & mask];

		if (slot->at == INDEX_NONE || slot->hash == hash)
			return slot->at;
	}
}

static void put(struct index *x, uint32_t hash, uint32_t at)
{
	uint32_t mask = x->nslots - 1;
	uint32_t i = hash & mask;

	while (x->slots[i].at != INDEX_NONE)
		i = (i + 1) & mask;
	x->slots[i] = (struct index_slot){ hash, at };
}

static bool resize(struct index *x, size_t n)
{
	struct index old = *x;
	struct index_slot *slots = malloc(n * sizeof(*slots));

	if (!slots)
		return false;
	memset(slots, 0xff, n * sizeof(*slots)); /* INDEX_NONE */
	x->slots = slots;
	x->nslots = (uint32_t)n;
	for (uint32_t i = 0; i < old.nslots; i++) {
		if (old.slots[i].at != INDEX_NONE)
			put(x, old.slots[i].hash, old.slots[i].at);
	}
	free(old.slots);
	return true;
}

bool index_reserve(struct index *x, size_t n)
{
	size_t size = x->nslots ? x->nslots : INDEX_SLOTS_MIN;

	while (size < n * 2)
		size *= 2;
	return size == x->nslots || resize(x, size);
}

bool index_add(struct index *x, uint32_t hash, uint32_t at)
{
	if (!index_reserve(x, (size_t)x->count + 1))
		return false;
	put(x, hash, at);
	x->count++;
	return true;
}

void index_done(struct index *x)
{
	free(x->slots);
	*x = (struct index){ 0 };
}

uint32_t *index_to_slots(const struct index *x, uint32_t *ret_n)
{
	uint32_t n = x->nslots ? x->nslots : INDEX_SLOTS_MIN;
	uint32_t *slots = malloc(n * sizeof(*slots));

	if (!slots)
		return NULL;
	memset(slots, 0xff, n * sizeof(*slots)); /* free */
	for (uint32_t i = 0; i < x->nslots; i++) {
		const struct index_slot *slot = &x->slots[i];

		if (slot->at != INDEX_NONE)
			slots[i] = (slot->hash & ~(n - 1)) | slot->at;
	}
	*ret_n = n;
	return slots;
}
