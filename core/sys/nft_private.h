/* nft_private.h - what the files of the wall share
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_NFT_PRIVATE_H
#define EXEAT_SYS_NFT_PRIVATE_H

#include "core/sys/nft.h"
#include "core/sys/nft_batch.h"

#define NFT_TABLE_GUARD "exeat_guard"

struct nft {
	int fd;
	uint32_t seq;
	size_t room; /* bytes of the biggest batch */
	bool loaded;
	const char *table;		/* of the policy in force */
	const char *stale; /* a replaced table that would not go */
	bool pins;			/* the plan has name rules */
	struct plan_pin_class *classes; /* a copy of the plan's */
	size_t nclasses;
	struct nft_counters before; /* of tables that were replaced */
};

/* By its name, as the kernel logs and counts it ("guard"); false: none's. */
bool nft_refusal_parse(const char *name, size_t len, enum nft_refusal *ret);

/* The tables of `plan`, up to but not including the base chains. */
void nft_build_guard(struct nft_batch *b);
void nft_build_policy(struct nft_batch *b, const char *table,
		      const struct plan *plan);
/* The base chains: from this transaction on it is in force. `yield`: see
 * nft_yield_policy(). */
void nft_enforce_guard(struct nft_batch *b);
void nft_enforce_policy(struct nft_batch *b, const char *table,
			const struct plan *plan, bool yield);
/* May a packet pass that falls off the end of its base chains? None does but
 * for a moment when they come or go, and then the others judge it. */
void nft_yield_policy(struct nft_batch *b, const char *table, bool yield);
/* Take its base chains away. */
void nft_retire_policy(struct nft_batch *b, const char *table);

/*
 * Sets of pins: stems, see nft_set_name(). Until a transaction ends the kernel
 * counts what it deletes, too: a renewal must not fail because a set is full.
 */
enum {
	NFT_PINS_PENDING = 4096,
	NFT_PINS_BATCH = 256 << 10, /* bytes, some 1,200 elements */
};
#define NFT_SET_PIN "pin"
void nft_class_stem(size_t index, char buf[32]);
/* Bytes of a batch that pins are put in. */
size_t nft_small_room(const struct nft *n);
bool nft_takes_pins(const struct plan *plan);
/* Into a table that has none yet. */
void nft_build_pins(struct nft_batch *b, const char *table,
		    const struct plan *plan, const struct nft_pins *pins);

/* The expression that the kernel lacks, as an error; 0 if it has all. Makes
 * and removes a table of its own. */
int nft_probe_kernel(int fd, uint32_t *seq, struct err *err);

/* Add a table's counters (NULL: all tables') to *ret. */
int nft_counters_add(struct nft *n, const char *table, struct nft_counters *ret,
		     struct err *err);

#endif
