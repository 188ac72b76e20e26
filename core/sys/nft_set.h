/* nft_set.h - filling sets of addresses
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_NFT_SET_H
#define EXEAT_SYS_NFT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sys/nft_rule.h"
#include "policy/policy.h"

/* "guard" and NFT_V6 make "guard6". Returns buf. */
const char *nft_set_name(const char *stem, enum nft_family f,
			 char buf[NFT_NAME_SIZE]);

/*
 * Sort prefixes and merge what overlaps or touches. `ret` has room for n;
 * returns the count.
 */
size_t nft_ranges_from_prefixes(const struct prefix *prefixes, size_t n,
				struct plan_range *ret);

bool nft_ranges_have(const struct plan_range *ranges, size_t n,
		     enum nft_family f);

/*
 * Constant sets STEM4 and STEM6 with these disjoint ranges in ascending
 * order; a family without ranges gets no set. Hash sets if every range is a
 * single address, else interval sets.
 */
void nft_add_ranges(struct nft_batch *b, const char *table, const char *stem,
		    const struct plan_range *ranges, size_t n);

/* Elements of one set as one or more messages. */
struct nft_elems {
	struct nft_batch *batch;
	const char *table, *set;
	uint16_t type, flags;
	size_t max; /* bytes of a message; may be lowered */
	struct nlmsghdr *nlh; /* NULL: none begun, or failed */
	struct nlattr *nest;
};

/* type: NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM. Strings are borrowed. */
struct nft_elems nft_elems_begin(struct nft_batch *b, uint16_t type,
				 const char *table, const char *set);
/* Keep the next n elements in one message. */
void nft_elems_together(struct nft_elems *e, unsigned n);
/* flags: enum nft_set_elem_flags; timeout_ms 0: none. */
void nft_elem(struct nft_elems *e, const void *key, size_t len, uint32_t flags,
	      uint64_t timeout_ms);
void nft_elems_end(struct nft_elems *e);

#endif
