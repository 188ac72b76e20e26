/* nft_part.h - the parts that the rules of a posture are made of
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each adds whole rules to a chain, or ends a rule that was begun.
 */
#ifndef EXEAT_SYS_NFT_PART_H
#define EXEAT_SYS_NFT_PART_H

#include <stddef.h>
#include <stdint.h>

#include "core/sys/nft.h"
#include "core/sys/nft_rule.h"

/* ---- the end of a rule ---- */

/* Go to the chain of that reason, which lets nothing return. */
void part_refuse(struct nft_rule *r, enum nft_refusal why);
void part_accept(struct nft_rule *r);

/* ---- rules ---- */

/* Refuse visibly: TCP by RST, which ends a connect() at once where an ICMP
 * error would not, the rest by ICMP. */
void part_reject(struct nft_batch *b, const char *table, const char *chain);

/* The chain that part_refuse() goes to, and its counter. */
void part_refuse_chain(struct nft_batch *b, const char *table,
		       enum nft_refusal why);

/* Sets STEM4 and STEM6 of these prefixes, which may overlap. */
void part_prefixes(struct nft_batch *b, const char *table, const char *stem,
		   const struct prefix *prefixes, size_t n);

/* For a destination in STEM4 or STEM6. */
void part_accept_daddr(struct nft_batch *b, const char *table,
		       const char *chain, const char *stem);
void part_refuse_daddr(struct nft_batch *b, const char *table,
		       const char *chain, const char *stem,
		       enum nft_refusal why);

/*
 * A rule for each protocol of `protos` (enum rule_proto) and range of ports;
 * ports NULL: all of them. `why` is an nft_refusal or PART_ACCEPT.
 */
enum { PART_ACCEPT = -1 };

void part_ports(struct nft_batch *b, const char *table, const char *chain,
		uint8_t proto_bits, const struct port_range *ports,
		size_t nports, int why);

#endif
