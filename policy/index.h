/* index.h - hashes: where an entry with this key is, if there is one
 * SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing, a power of two in size, at most half full. Two forms:
 *
 *	struct index	grows while a policy is compiled; keeps whole hashes,
 *			so that growing reads no key and a key is compared
 *			almost only with itself
 *	slots		in the image: 32 bits each. The low ones, as many as
 *			number the slots, say which entry (all set: none); the
 *			others are of the hash, so that a key that is not there
 *			costs one line of memory
 *
 * Hashes go through image_mix() first: every bit of them is as good as any.
 *
 * Inside policy/ only.
 */
#ifndef EXEAT_POLICY_INDEX_H
#define EXEAT_POLICY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INDEX_NONE = UINT32_MAX, INDEX_SLOTS_MIN = 8 };

struct index_slot {
	uint32_t hash, at;
};

struct index {
	struct index_slot *slots;
	uint32_t nslots, count;
};

/* Room for n entries, so that adding them need not grow it. False: no memory. */
bool index_reserve(struct index *x, size_t n);
/*
 * The next entry with this hash, or INDEX_NONE. *cursor begins as the hash
 * and moves on; compare the keys, and go on if they differ.
 */
uint32_t index_next(const struct index *x, uint32_t hash, uint32_t *cursor);
/* Mustn't: be there already. False: out of memory, nothing changed. */
bool index_add(struct index *x, uint32_t hash, uint32_t at);
void index_done(struct index *x);

/* The same as slots of the image, on the heap; NULL: out of memory. */
uint32_t *index_to_slots(const struct index *x, uint32_t *ret_n);

/*
 * As index_next(), of n slots. An image may be anybody's: however its slots
 * are filled, a search that began at `hash` ends after n of them.
 */
static inline uint32_t slots_next(const uint32_t *slots, uint32_t n,
				  uint32_t hash, uint32_t *cursor)
{
	uint32_t mask = n - 1;

	while (*cursor - hash < n) {
		uint32_t slot = slots[(*cursor)++ & mask];

		if ((slot & mask) == mask)
			break;
		if (((slot ^ hash) & ~mask) == 0)
			return slot & mask;
	}
	return INDEX_NONE;
}

#endif
