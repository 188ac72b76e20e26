/* nft_part.c - the parts that the rules of a posture are made of
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/nft_part.h"

/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/sys/netns.h"
#include "core/sys/nft_private.h"
#include "core/sys/nft_set.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { PREFIXES_MAX = 512 }; /* of the guard's tables */

/* The protocols of a rule_proto bit set, for loops. */
static const struct {
	enum rule_proto proto;
	uint8_t ipproto;
} protos[] = {
	{ RULE_TCP, IPPROTO_TCP },
	{ RULE_UDP, IPPROTO_UDP },
};

/* Also in the names of counters and chains. */
static const char *const refusal_names[NFT_REFUSALS] = {
	[NFT_GUARD] = "guard",	   [NFT_DENY] = "deny",
	[NFT_PRIVATE] = "private", [NFT_LIST] = "list",
	[NFT_SOURCE] = "source",   [NFT_PROTOCOL] = "protocol",
};

bool nft_refusal_parse(const char *name, size_t len, enum nft_refusal *ret)
{
	for (enum nft_refusal i = 0; i < NFT_REFUSALS; i++) {
		if (strlen(refusal_names[i]) == len &&
		    memcmp(refusal_names[i], name, len) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static void refuse_chain(enum nft_refusal why, char buf[NFT_NAME_SIZE])
{
	(void)snprintf(buf, NFT_NAME_SIZE, "refuse_%s", refusal_names[why]);
}

void part_reject(struct nft_batch *b, const char *table, const char *chain)
{
	struct nft_rule r;

	r = nft_rule_begin(b, table, chain);
	nft_match_proto(&r, IPPROTO_TCP);
	nft_do_reset(&r);
	nft_rule_end(&r);
	r = nft_rule_begin(b, table, chain);
	nft_do_prohibit(&r);
	nft_rule_end(&r);
}

void part_refuse_chain(struct nft_batch *b, const char *table,
		       enum nft_refusal why)
{
	const char *name = refusal_names[why];
	char chain[NFT_NAME_SIZE];
	struct nft_rule r;

	refuse_chain(why, chain);
	nft_add_counter(b, table, name);
	nft_add_chain(b, table, chain);
	r = nft_rule_begin(b, table, chain);
	nft_do_count(&r, name);
	nft_match_limit(&r, LIMIT_NFLOG_RATE_S, LIMIT_NFLOG_BURST);
	nft_do_log(&r, GATE_NFLOG_GROUP, name);
	nft_rule_end(&r);
	part_reject(b, table, chain);
}

void part_refuse(struct nft_rule *r, enum nft_refusal why)
{
	char chain[NFT_NAME_SIZE];

	refuse_chain(why, chain);
	nft_do_goto(r, chain);
	nft_rule_end(r);
}

void part_accept(struct nft_rule *r)
{
	nft_do_accept(r);
	nft_rule_end(r);
}

void part_prefixes(struct nft_batch *b, const char *table, const char *stem,
		   const struct prefix *prefixes, size_t n)
{
	struct plan_range ranges[PREFIXES_MAX];

	if (n > COUNT(ranges))
		return batch_fail(b, E2BIG, "nftables: fill set", stem);
	n = nft_ranges_from_prefixes(prefixes, n, ranges);
	nft_add_ranges(b, table, stem, ranges, n);
}

void part_accept_daddr(struct nft_batch *b, const char *table,
		       const char *chain, const char *stem)
{
	char set[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r = nft_rule_begin(b, table, chain);

		nft_match_addr(&r, f, false, nft_set_name(stem, f, set), true);
		part_accept(&r);
	}
}

void part_refuse_daddr(struct nft_batch *b, const char *table,
		       const char *chain, const char *stem,
		       enum nft_refusal why)
{
	char set[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r = nft_rule_begin(b, table, chain);

		nft_match_addr(&r, f, false, nft_set_name(stem, f, set), true);
		part_refuse(&r, why);
	}
}

static void add_port_rule(struct nft_batch *b, const char *table,
			  const char *chain, uint8_t ipproto,
			  const struct port_range *range, int why)
{
	struct nft_rule r = nft_rule_begin(b, table, chain);

	nft_match_proto(&r, ipproto);
	if (range)
		nft_match_ports(&r, *range);
	if (why == PART_ACCEPT)
		return part_accept(&r);
	part_refuse(&r, (enum nft_refusal)why);
}

void part_ports(struct nft_batch *b, const char *table, const char *chain,
		uint8_t proto_bits, const struct port_range *ports,
		size_t nports, int why)
{
	for (size_t p = 0; p < COUNT(protos); p++) {
		if (!(proto_bits & protos[p].proto))
			continue;
		if (!ports)
			add_port_rule(b, table, chain, protos[p].ipproto, NULL,
				      why);
		for (size_t i = 0; ports && i < nports; i++)
			add_port_rule(b, table, chain, protos[p].ipproto,
				      &ports[i], why);
	}
}
