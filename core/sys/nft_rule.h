/* nft_rule.h - tables, chains, sets and rules as messages of a batch
 * SPDX-License-Identifier: Apache-2.0
 *
 * The words of the wall: each function adds one thing that `nft` would write
 * as one word or two. A rule is begun, given matches and statements in the
 * order in which the kernel runs them, and ended.
 */
#ifndef EXEAT_SYS_NFT_RULE_H
#define EXEAT_SYS_NFT_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sys/nft_batch.h"
#include "policy/rule.h"

/* What differs between the families; index with enum nft_family. */
enum nft_family { NFT_V4, NFT_V6, NFT_FAMILIES };

struct nft_family_facts {
	uint8_t nfproto;
	uint8_t addr_len;
	uint8_t saddr, daddr; /* offsets in the header */
	uint32_t key_type;    /* of a set, for `nft list` */
	char suffix;	      /* of set names: guard4, guard6 */
};
extern const struct nft_family_facts nft_families[NFT_FAMILIES];

enum { NFT_NAME_SIZE = 32 };

/* ---- objects ---- */

void nft_add_table(struct nft_batch *b, const char *table);
void nft_delete_table(struct nft_batch *b, const char *table);

void nft_add_chain(struct nft_batch *b, const char *table, const char *chain);
/* On a hook; whatever falls off its end is accepted or dropped. */
void nft_add_base_chain(struct nft_batch *b, const char *table,
			const char *chain, uint32_t hook, int priority,
			bool accept);
/* What falls off the end of a base chain that is there. */
void nft_set_end(struct nft_batch *b, const char *table, const char *chain,
		 bool accept);
void nft_delete_chain(struct nft_batch *b, const char *table,
		      const char *chain);
void nft_add_counter(struct nft_batch *b, const char *table, const char *name);

struct nft_set_spec {
	const char *table;
	const char *name;
	uint32_t key_type, key_len;
	uint32_t flags; /* enum nft_set_flags */
	uint32_t size;	/* 0: no limit */
};
void nft_add_set(struct nft_batch *b, const struct nft_set_spec *s);

/* ---- rules ---- */

struct nft_rule {
	struct nft_batch *batch;
	struct nftnl_rule *rule; /* NULL once something failed */
};

struct nft_rule nft_rule_begin(struct nft_batch *b, const char *table,
			       const char *chain);
void nft_rule_end(struct nft_rule *r);

/* matches: the rule ends here for a packet that does not match */
void nft_match_family(struct nft_rule *r, enum nft_family f);
/* Family and (source or destination) address in the set, or not in it. */
void nft_match_addr(struct nft_rule *r, enum nft_family f, bool source,
		    const char *set, bool in_set);
void nft_match_proto(struct nft_rule *r, uint8_t ipproto);
/* Destination port of TCP or UDP. */
void nft_match_ports(struct nft_rule *r, struct port_range range);
/* ICMP or ICMPv6 type. */
void nft_match_icmp(struct nft_rule *r, enum nft_family f, uint8_t first,
		    uint8_t last);
/* Not the first packet of a connection: (flags & (SYN|ACK)) != SYN. */
void nft_match_tcp_later(struct nft_rule *r);
void nft_match_tcp_reset(struct nft_rule *r);
void nft_match_mark(struct nft_rule *r, uint32_t mark);
void nft_match_not_iif(struct nft_rule *r, uint32_t ifindex);
/* Destination address . protocol . destination port in the set. */
void nft_match_pin(struct nft_rule *r, enum nft_family f, const char *set);
void nft_match_limit(struct nft_rule *r, unsigned per_second, unsigned burst);

/* statements */
void nft_do_count(struct nft_rule *r, const char *counter);
void nft_do_log(struct nft_rule *r, uint16_t group, const char *prefix);
void nft_do_tproxy(struct nft_rule *r, uint16_t port);
void nft_do_reset(struct nft_rule *r);	  /* TCP RST */
void nft_do_prohibit(struct nft_rule *r); /* ICMP admin prohibited */
void nft_do_accept(struct nft_rule *r);
void nft_do_drop(struct nft_rule *r);
void nft_do_goto(struct nft_rule *r, const char *chain);
void nft_do_jump(struct nft_rule *r, const char *chain);

#endif
