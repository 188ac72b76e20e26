/* nft_rule.c - tables, chains, sets and rules as messages of a batch
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Expressions speak through registers: a load (meta, payload) writes one, a
 * compare or a lookup reads it. NFT_REG_1 is enough for all but the pin key,
 * which lies in consecutive 32-bit registers, each part padded to four bytes
 * like the key of the set.
 *
 * Keys, ports and addresses are in network order as in the packet; meta
 * values (mark, interface, family) are in the machine's.
 */
#include "core/sys/nft_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

enum {
	/* What the biggest of each takes, with room. */
	OBJECT_MSG_MAX = 512,
	RULE_MSG_MAX = 2048,

	/* nft's numbers of data types, for its listing only. */
	TYPE_IPADDR = 7,
	TYPE_IP6ADDR = 8,
};

const struct nft_family_facts nft_families[NFT_FAMILIES] = {
	[NFT_V4] = {
		.nfproto = NFPROTO_IPV4,
		.addr_len = 4,
		.saddr = offsetof(struct iphdr, saddr),
		.daddr = offsetof(struct iphdr, daddr),
		.key_type = TYPE_IPADDR,
		.suffix = '4',
	},
	[NFT_V6] = {
		.nfproto = NFPROTO_IPV6,
		.addr_len = 16,
		.saddr = offsetof(struct ip6_hdr, ip6_src),
		.daddr = offsetof(struct ip6_hdr, ip6_dst),
		.key_type = TYPE_IP6ADDR,
		.suffix = '6',
	},
};

static void no_memory(struct nft_batch *b, const char *object)
{
	batch_fail(b, ENOMEM, "nftables: build", object);
}

/* ---- objects ---- */

static void put_table(struct nft_batch *b, uint16_t type, uint16_t flags,
		      const char *table)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *nlh;

	if (!t)
		return no_memory(b, table);
	nlh = batch_msg(b, type, flags, OBJECT_MSG_MAX);
	if (nlh) {
		(void)nftnl_table_set_str(t, NFTNL_TABLE_NAME, table);
		nftnl_table_nlmsg_build_payload(nlh, t);
		batch_msg_end(b, nlh);
	}
	nftnl_table_free(t);
}

void nft_add_table(struct nft_batch *b, const char *table)
{
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table);
}

void nft_delete_table(struct nft_batch *b, const char *table)
{
	put_table(b, NFT_MSG_DELTABLE, 0, table);
}

/* Takes over c. */
static void put_chain(struct nft_batch *b, uint16_t type, uint16_t flags,
		      const char *table, const char *chain,
		      struct nftnl_chain *take_c)
{
	struct nlmsghdr *nlh;

	if (!take_c)
		return no_memory(b, chain);
	nlh = batch_msg(b, type, flags, OBJECT_MSG_MAX);
	if (nlh) {
		(void)nftnl_chain_set_str(take_c, NFTNL_CHAIN_TABLE, table);
		(void)nftnl_chain_set_str(take_c, NFTNL_CHAIN_NAME, chain);
		nftnl_chain_nlmsg_build_payload(nlh, take_c);
		batch_msg_end(b, nlh);
	}
	nftnl_chain_free(take_c);
}

void nft_add_chain(struct nft_batch *b, const char *table, const char *chain)
{
	put_chain(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table, chain,
		  nftnl_chain_alloc());
}

void nft_add_base_chain(struct nft_batch *b, const char *table,
			const char *chain, uint32_t hook, int priority,
			bool accept)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (c) {
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY,
				    accept ? NF_ACCEPT : NF_DROP);
		(void)nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
	}
	put_chain(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table, chain,
		  c);
}

void nft_set_end(struct nft_batch *b, const char *table, const char *chain,
		 bool accept)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (c)
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY,
				    accept ? NF_ACCEPT : NF_DROP);
	put_chain(b, NFT_MSG_NEWCHAIN, 0, table, chain, c);
}

void nft_delete_chain(struct nft_batch *b, const char *table, const char *chain)
{
	put_chain(b, NFT_MSG_DELCHAIN, 0, table, chain, nftnl_chain_alloc());
}

void nft_add_counter(struct nft_batch *b, const char *table, const char *name)
{
	struct nftnl_obj *o = nftnl_obj_alloc();
	struct nlmsghdr *nlh;

	if (!o)
		return no_memory(b, name);
	nlh = batch_msg(b, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL,
			OBJECT_MSG_MAX);
	if (nlh) {
		nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, table);
		nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
		nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
		nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
		nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
		nftnl_obj_nlmsg_build_payload(nlh, o);
		batch_msg_end(b, nlh);
	}
	nftnl_obj_free(o);
}

void nft_add_set(struct nft_batch *b, const struct nft_set_spec *spec)
{
	static const uint32_t id = 1; /* wanted by the kernel, unused */
	struct nftnl_set *s = nftnl_set_alloc();
	struct nlmsghdr *nlh;

	if (!s)
		return no_memory(b, spec->name);
	nlh = batch_msg(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL,
			OBJECT_MSG_MAX);
	if (nlh) {
		(void)nftnl_set_set_str(s, NFTNL_SET_TABLE, spec->table);
		(void)nftnl_set_set_str(s, NFTNL_SET_NAME, spec->name);
		nftnl_set_set_u32(s, NFTNL_SET_ID, id);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, spec->key_type);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, spec->key_len);
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, spec->flags);
		if (spec->size)
			nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, spec->size);
		nftnl_set_nlmsg_build_payload(nlh, s);
		batch_msg_end(b, nlh);
	}
	nftnl_set_free(s);
}

/* ---- rules ---- */

struct nft_rule nft_rule_begin(struct nft_batch *b, const char *table,
			       const char *chain)
{
	struct nft_rule r = { .batch = b, .rule = nftnl_rule_alloc() };

	if (!r.rule) {
		no_memory(b, chain);
		return r;
	}
	(void)nftnl_rule_set_str(r.rule, NFTNL_RULE_TABLE, table);
	(void)nftnl_rule_set_str(r.rule, NFTNL_RULE_CHAIN, chain);
	return r;
}

void nft_rule_end(struct nft_rule *r)
{
	struct nlmsghdr *nlh;

	if (!r->rule)
		return;
	nlh = batch_msg(r->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
			RULE_MSG_MAX);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, r->rule);
		batch_msg_end(r->batch, nlh);
	}
	nftnl_rule_free(r->rule);
	r->rule = NULL;
}

/* A new expression at the end of the rule; borrowed. NULL after a failure. */
static struct nftnl_expr *expr(struct nft_rule *r, const char *name)
{
	struct nftnl_expr *e;

	if (!r->rule)
		return NULL;
	e = nftnl_expr_alloc(name);
	if (e) {
		nftnl_rule_add_expr(r->rule, e);
		return e;
	}
	no_memory(r->batch, name);
	nftnl_rule_free(r->rule);
	r->rule = NULL;
	return NULL;
}

static void load_meta(struct nft_rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = expr(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

static void load_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
			 uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = expr(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void compare(struct nft_rule *r, uint32_t op, const void *data,
		    uint32_t len)
{
	struct nftnl_expr *e = expr(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

static void lookup(struct nft_rule *r, const char *set, uint32_t reg,
		   bool in_set)
{
	struct nftnl_expr *e = expr(r, "lookup");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, reg);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	if (!in_set)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS,
				   NFT_LOOKUP_F_INV);
}

static void verdict(struct nft_rule *r, int code, const char *chain)
{
	struct nftnl_expr *e = expr(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

void nft_match_family(struct nft_rule *r, enum nft_family f)
{
	load_meta(r, NFT_META_NFPROTO, NFT_REG_1);
	compare(r, NFT_CMP_EQ, &nft_families[f].nfproto, 1);
}

void nft_match_addr(struct nft_rule *r, enum nft_family f, bool source,
		    const char *set, bool in_set)
{
	const struct nft_family_facts *facts = &nft_families[f];

	nft_match_family(r, f);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER,
		     source ? facts->saddr : facts->daddr, facts->addr_len,
		     NFT_REG_1);
	lookup(r, set, NFT_REG_1, in_set);
}

void nft_match_proto(struct nft_rule *r, uint8_t ipproto)
{
	load_meta(r, NFT_META_L4PROTO, NFT_REG_1);
	compare(r, NFT_CMP_EQ, &ipproto, 1);
}

void nft_match_ports(struct nft_rule *r, struct port_range range)
{
	uint16_t lo = htons(range.lo), hi = htons(range.hi);

	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER,
		     offsetof(struct tcphdr, th_dport), sizeof(lo), NFT_REG_1);
	if (lo == hi)
		return compare(r, NFT_CMP_EQ, &lo, sizeof(lo));
	compare(r, NFT_CMP_GTE, &lo, sizeof(lo));
	compare(r, NFT_CMP_LTE, &hi, sizeof(hi));
}

void nft_match_icmp(struct nft_rule *r, enum nft_family f, uint8_t first,
		    uint8_t last)
{
	nft_match_family(r, f);
	nft_match_proto(r, f == NFT_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER,
		     offsetof(struct icmp6_hdr, icmp6_type), 1, NFT_REG_1);
	if (first == last)
		return compare(r, NFT_CMP_EQ, &first, 1);
	compare(r, NFT_CMP_GTE, &first, 1);
	compare(r, NFT_CMP_LTE, &last, 1);
}

/* TCP with (flags & mask) != value. */
static void match_tcp_flags_not(struct nft_rule *r, uint8_t mask, uint8_t value)
{
	static const uint8_t zero;
	struct nftnl_expr *e;

	nft_match_proto(r, IPPROTO_TCP);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER,
		     offsetof(struct tcphdr, th_flags), 1, NFT_REG_1);
	e = expr(r, "bitwise");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, 1);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, 1);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &zero, 1);
	compare(r, NFT_CMP_NEQ, &value, 1);
}

void nft_match_tcp_later(struct nft_rule *r)
{
	match_tcp_flags_not(r, TH_SYN | TH_ACK, TH_SYN);
}

void nft_match_tcp_reset(struct nft_rule *r)
{
	match_tcp_flags_not(r, TH_RST, 0);
}

void nft_match_mark(struct nft_rule *r, uint32_t mark)
{
	load_meta(r, NFT_META_MARK, NFT_REG_1);
	compare(r, NFT_CMP_EQ, &mark, sizeof(mark));
}

void nft_match_not_iif(struct nft_rule *r, uint32_t ifindex)
{
	load_meta(r, NFT_META_IIF, NFT_REG_1);
	compare(r, NFT_CMP_NEQ, &ifindex, sizeof(ifindex));
}

void nft_match_pin(struct nft_rule *r, enum nft_family f, const char *set)
{
	const struct nft_family_facts *facts = &nft_families[f];
	uint32_t after = NFT_REG32_00 + facts->addr_len / 4U;

	nft_match_family(r, f);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, facts->daddr,
		     facts->addr_len, NFT_REG32_00);
	load_meta(r, NFT_META_L4PROTO, after);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER,
		     offsetof(struct tcphdr, th_dport), sizeof(uint16_t),
		     after + 1);
	lookup(r, set, NFT_REG32_00, true);
}

void nft_match_limit(struct nft_rule *r, unsigned per_second, unsigned burst)
{
	struct nftnl_expr *e = expr(r, "limit");

	if (!e)
		return;
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, per_second);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

void nft_do_count(struct nft_rule *r, const char *counter)
{
	struct nftnl_expr *e = expr(r, "objref");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, counter);
}

void nft_do_log(struct nft_rule *r, uint16_t group, const char *prefix)
{
	struct nftnl_expr *e = expr(r, "log");

	if (!e)
		return;
	nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, prefix);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD, 1);
}

void nft_do_tproxy(struct nft_rule *r, uint16_t port)
{
	struct nftnl_expr *e = expr(r, "immediate");

	if (!e)
		return;
	port = htons(port);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &port, sizeof(port));
	e = expr(r, "tproxy");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_FAMILY, NFPROTO_UNSPEC);
	nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_1);
}

static void reject(struct nft_rule *r, uint32_t type, uint8_t code)
{
	struct nftnl_expr *e = expr(r, "reject");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, type);
	nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, code);
}

void nft_do_reset(struct nft_rule *r)
{
	reject(r, NFT_REJECT_TCP_RST, 0);
}

void nft_do_prohibit(struct nft_rule *r)
{
	reject(r, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

void nft_do_accept(struct nft_rule *r)
{
	verdict(r, NF_ACCEPT, NULL);
}

void nft_do_drop(struct nft_rule *r)
{
	verdict(r, NF_DROP, NULL);
}

void nft_do_goto(struct nft_rule *r, const char *chain)
{
	verdict(r, NFT_GOTO, chain);
}

void nft_do_jump(struct nft_rule *r, const char *chain)
{
	verdict(r, NFT_JUMP, chain);
}
