/* nft_wall.c - the rules of a posture namespace
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Two tables of family inet. The guard's comes first (priority) and is the
 * same in every posture; accept in it only means: on to the policy's. Both
 * end a packet that they do not like in a chain named after the reason, which
 * counts, logs and rejects it.
 *
 *	exeat_guard	output -300	guarded destinations
 *	exeat		output 0	the policy, only for beginnings: there is
 *					no conntrack, and a rule that went
 *					away kills no live flow
 *			prerouting -150	what output let by goes to the gate
 *
 * Everything is built while nothing refers to it; the base chains, which put
 * it in force, are made by the nft_enforce_ functions, in one transaction. A
 * group of the plan is a set of addresses and a chain of its ports, so that a
 * list of ports costs nothing for other destinations.
 *
 * The first match decides, so the order of calls here is the policy.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>

#include "core/base/limits.h"
#include "core/sys/netns.h"
#include "core/sys/nft_part.h"
#include "core/sys/nft_private.h"
#include "core/sys/nft_set.h"
#include "policy/guard.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	LO_IFINDEX = 1, /* in every network namespace */
	PORT_DNS = 53,

	PRIORITY_GUARD = -300,
	PRIORITY_POLICY = 0,
	PRIORITY_MANGLE = -150,

	/* ICMP and ICMPv6 types that are errors (RFC 792, RFC 4443 2.1) */
	ICMP_UNREACHABLE = 3,
	ICMP_EXCEEDED = 11,
	ICMP_PARAMETER = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_PARAMETER = 4,
};

void nft_class_stem(size_t index, char buf[NFT_NAME_SIZE])
{
	(void)snprintf(buf, NFT_NAME_SIZE, "class%zu_", index);
}

static void group_stem(const char *kind, size_t index, char buf[NFT_NAME_SIZE])
{
	(void)snprintf(buf, NFT_NAME_SIZE, "%s%zu_", kind, index);
}

enum { CHAIN_SIZE = NFT_NAME_SIZE + 8 };

/* The chain of a group's ports. */
static void ports_chain(const char *stem, char buf[CHAIN_SIZE])
{
	(void)snprintf(buf, CHAIN_SIZE, "%sports", stem);
}

/* Loopback and the addresses on lo: the payload's own. */
static size_t own_prefixes(struct prefix ret[4])
{
	struct addr loopback4 = addr_from_v4(INADDR_LOOPBACK);
	struct addr loopback6 = { .b = { [15] = 1 } };

	ret[0] = prefix_make(&loopback4, 96 + 8);
	ret[1] = prefix_make(&loopback6, 128);
	ret[2] = prefix_make(&gate_addrs.own4, 128);
	ret[3] = prefix_make(&gate_addrs.own6, 128);
	return 4;
}

static void add_own_set(struct nft_batch *b, const char *table)
{
	struct prefix own[4];

	part_prefixes(b, table, "own", own, own_prefixes(own));
}

/* ---- guard ---- */

void nft_build_guard(struct nft_batch *b)
{
	struct prefix pass[8];
	const struct prefix *guarded;
	size_t n = own_prefixes(pass), nguarded;

	pass[n++] = prefix_make(&gate_addrs.resolver4, 128);
	pass[n++] = prefix_make(&gate_addrs.resolver6, 128);
	pass[n++] = prefix_make(&gate_addrs.host4, 128);
	pass[n++] = prefix_make(&gate_addrs.host6, 128);
	guarded = guard_prefixes(&nguarded);
	nft_add_table(b, NFT_TABLE_GUARD);
	part_prefixes(b, NFT_TABLE_GUARD, "pass", pass, n);
	part_prefixes(b, NFT_TABLE_GUARD, "guard", guarded, nguarded);
	part_refuse_chain(b, NFT_TABLE_GUARD, NFT_GUARD);
}

void nft_enforce_guard(struct nft_batch *b)
{
	static const char chain[] = "output";

	nft_add_base_chain(b, NFT_TABLE_GUARD, chain, NF_INET_LOCAL_OUT,
			   PRIORITY_GUARD, true);
	part_accept_daddr(b, NFT_TABLE_GUARD, chain, "pass");
	part_refuse_daddr(b, NFT_TABLE_GUARD, chain, "guard", NFT_GUARD);
}

/* ---- what the policy refers to ---- */

/* Sets STEM4, STEM6 and the chain STEMports, which returns if the protocol or
 * port is another. `why`: see part_ports(). */
static void add_group(struct nft_batch *b, const char *table, const char *stem,
		      const struct plan_group *g, int why)
{
	char chain[CHAIN_SIZE];

	nft_add_ranges(b, table, stem, g->ranges, g->nranges);
	ports_chain(stem, chain);
	nft_add_chain(b, table, chain);
	if (why >= 0 && g->all_ports && g->protos == RULE_TCP_UDP) {
		/* Denied as a whole: whatever the protocol is. */
		struct nft_rule r = nft_rule_begin(b, table, chain);

		return part_refuse(&r, (enum nft_refusal)why);
	}
	part_ports(b, table, chain, g->protos, g->all_ports ? NULL : g->ports,
		   g->nports, why);
}

static void add_pin_sets(struct nft_batch *b, const char *table,
			 const struct plan *plan)
{
	/* nft's types inet_proto and inet_service, for its listing only */
	const uint32_t after = 12 << 6 | 13;
	char name[NFT_NAME_SIZE], stem[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_set_spec spec = {
			.table = table,
			.name = nft_set_name(NFT_SET_PIN, f, name),
			.key_type = nft_families[f].key_type << 12 | after,
			.key_len = nft_families[f].addr_len + 8U,
			.flags = NFT_SET_TIMEOUT,
			.size = LIMIT_PINS + NFT_PINS_PENDING,
		};

		nft_add_set(b, &spec);
		spec.key_type = nft_families[f].key_type;
		spec.key_len = nft_families[f].addr_len;
		for (size_t i = 0; i < plan->npin_classes; i++) {
			nft_class_stem(i, stem);
			spec.name = nft_set_name(stem, f, name);
			nft_add_set(b, &spec);
		}
	}
}

static bool has_host(const struct plan *plan)
{
	return plan->host_ports_tcp_n || plan->host_ports_udp_n;
}

/* Chain "host": the ports of the host alias. */
static void add_host(struct nft_batch *b, const char *table,
		     const struct plan *plan)
{
	struct prefix host[2] = {
		prefix_make(&gate_addrs.host4, 128),
		prefix_make(&gate_addrs.host6, 128),
	};

	part_prefixes(b, table, "host", host, COUNT(host));
	nft_add_chain(b, table, "host");
	if (plan->host_ports_tcp_n)
		part_ports(b, table, "host", RULE_TCP, plan->host_ports_tcp,
			   plan->host_ports_tcp_n, PART_ACCEPT);
	if (plan->host_ports_udp_n)
		part_ports(b, table, "host", RULE_UDP, plan->host_ports_udp,
			   plan->host_ports_udp_n, PART_ACCEPT);
}

/* Does any rule of this policy refuse for that reason? */
static bool refuses(const struct plan *plan, enum nft_refusal why)
{
	if (why == NFT_DENY)
		return plan->mode != POLICY_BLOCKED && plan->ndeny;
	return why != NFT_PRIVATE || plan->mode == POLICY_OPEN;
}

void nft_build_policy(struct nft_batch *b, const char *table,
		      const struct plan *plan)
{
	struct prefix gate[4] = {
		prefix_make(&gate_addrs.host4, 128),
		prefix_make(&gate_addrs.host6, 128),
		prefix_make(&gate_addrs.resolver4, 128),
		prefix_make(&gate_addrs.resolver6, 128),
	};
	const struct prefix *private;
	char stem[NFT_NAME_SIZE];
	size_t n;

	nft_add_table(b, table);
	for (enum nft_refusal why = NFT_DENY; why < NFT_REFUSALS; why++)
		if (refuses(plan, why))
			part_refuse_chain(b, table, why);
	add_own_set(b, table);
	if (plan->mode == POLICY_BLOCKED)
		return;
	part_prefixes(b, table, "gate", gate, COUNT(gate));
	if (has_host(plan))
		add_host(b, table, plan);
	for (size_t i = 0; i < plan->ndeny; i++) {
		group_stem("deny", i, stem);
		add_group(b, table, stem, &plan->deny[i], NFT_DENY);
	}
	for (size_t i = 0; i < plan->nallow; i++) {
		group_stem("allow", i, stem);
		add_group(b, table, stem, &plan->allow[i], PART_ACCEPT);
	}
	if (plan->names || plan->npin_classes)
		add_pin_sets(b, table, plan);
	if (plan->mode == POLICY_OPEN) {
		private = guard_private_prefixes(&n);
		part_prefixes(b, table, "private", private, n);
	}
}

/* ---- output: the policy ---- */

static const char output[] = "output";

/* What is no beginning of anything that the policy speaks of. */
static void output_passes(struct nft_batch *b, const char *table)
{
	struct nft_rule r;

	r = nft_rule_begin(b, table, output);
	nft_match_mark(&r, GATE_MARK);
	part_accept(&r);
	/* Ours carry foreign sources; a payload cannot make them. */
	r = nft_rule_begin(b, table, output);
	nft_match_icmp(&r, NFT_V4, ICMP_UNREACHABLE, ICMP_UNREACHABLE);
	part_accept(&r);
	r = nft_rule_begin(b, table, output);
	nft_match_icmp(&r, NFT_V4, ICMP_EXCEEDED, ICMP_PARAMETER);
	part_accept(&r);
	r = nft_rule_begin(b, table, output);
	nft_match_icmp(&r, NFT_V6, ICMP6_UNREACHABLE, ICMP6_PARAMETER);
	part_accept(&r);
	r = nft_rule_begin(b, table, output);
	nft_match_tcp_later(&r);
	part_accept(&r);
}

/* Every address is local here, so that anybody can bind any. */
static void output_sources(struct nft_batch *b, const char *table)
{
	char set[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r = nft_rule_begin(b, table, output);

		nft_match_addr(&r, f, true, nft_set_name("own", f, set), false);
		part_refuse(&r, NFT_SOURCE);
	}
}

static void output_dns(struct nft_batch *b, const char *table)
{
	struct port_range dns = { PORT_DNS, PORT_DNS };

	part_ports(b, table, output, RULE_TCP_UDP, &dns, 1, PART_ACCEPT);
}

/* Jump to STEMports for destinations in STEM4 and STEM6. */
static void output_group(struct nft_batch *b, const char *table,
			 const char *stem, const struct plan_group *g)
{
	char set[NFT_NAME_SIZE], chain[CHAIN_SIZE];

	ports_chain(stem, chain);
	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r;

		if (!nft_ranges_have(g->ranges, g->nranges, f))
			continue;
		r = nft_rule_begin(b, table, output);
		nft_match_addr(&r, f, false, nft_set_name(stem, f, set), true);
		nft_do_jump(&r, chain);
		nft_rule_end(&r);
	}
}

static void output_groups(struct nft_batch *b, const char *table,
			  const char *kind, const struct plan_group *groups,
			  size_t n)
{
	char stem[NFT_NAME_SIZE];

	for (size_t i = 0; i < n; i++) {
		group_stem(kind, i, stem);
		output_group(b, table, stem, &groups[i]);
	}
}

static void output_host(struct nft_batch *b, const char *table)
{
	char set[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r = nft_rule_begin(b, table, output);

		nft_match_addr(&r, f, false, nft_set_name("host", f, set),
			       true);
		nft_do_jump(&r, "host");
		nft_rule_end(&r);
	}
}

static void output_pins(struct nft_batch *b, const char *table,
			const struct plan *plan)
{
	char set[NFT_NAME_SIZE], stem[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++) {
		struct nft_rule r = nft_rule_begin(b, table, output);

		nft_match_pin(&r, f, nft_set_name(NFT_SET_PIN, f, set));
		part_accept(&r);
		for (size_t i = 0; i < plan->npin_classes; i++) {
			const struct plan_pin_class *c = &plan->pin_classes[i];

			nft_class_stem(i, stem);
			r = nft_rule_begin(b, table, output);
			nft_match_addr(&r, f, false, nft_set_name(stem, f, set),
				       true);
			nft_match_proto(&r, c->proto == RULE_TCP ? IPPROTO_TCP :
								   IPPROTO_UDP);
			nft_match_ports(&r, c->range);
			part_accept(&r);
		}
	}
}

static void output_rest(struct nft_batch *b, const char *table)
{
	struct nft_rule r;

	part_ports(b, table, output, RULE_TCP_UDP, NULL, 0, NFT_LIST);
	r = nft_rule_begin(b, table, output);
	part_refuse(&r, NFT_PROTOCOL);
}

static void enforce_output(struct nft_batch *b, const char *table,
			   const struct plan *plan, bool yield)
{
	nft_add_base_chain(b, table, output, NF_INET_LOCAL_OUT, PRIORITY_POLICY,
			   yield);
	output_passes(b, table);
	output_sources(b, table);
	part_accept_daddr(b, table, output, "own");
	output_dns(b, table);
	if (plan->mode != POLICY_BLOCKED) {
		output_groups(b, table, "deny", plan->deny, plan->ndeny);
		/* The host alias has its ports, the resolver only DNS,
		 * whatever a range around them says. */
		if (has_host(plan))
			output_host(b, table);
		part_refuse_daddr(b, table, output, "gate", NFT_LIST);
		output_groups(b, table, "allow", plan->allow, plan->nallow);
		if (plan->names || plan->npin_classes)
			output_pins(b, table, plan);
	}
	if (plan->mode == POLICY_OPEN) {
		part_refuse_daddr(b, table, output, "private", NFT_PRIVATE);
		part_ports(b, table, output, RULE_TCP_UDP, NULL, 0,
			   PART_ACCEPT);
	}
	output_rest(b, table);
}

/* ---- prerouting: to the gate ---- */

static const char prerouting[] = "prerouting";

static void to_gate(struct nft_batch *b, const char *table, uint8_t ipproto,
		    const struct port_range *ports, uint16_t gate_port)
{
	struct nft_rule r = nft_rule_begin(b, table, prerouting);

	nft_match_proto(&r, ipproto);
	if (ports)
		nft_match_ports(&r, *ports);
	nft_do_tproxy(&r, gate_port);
	part_accept(&r);
}

static void enforce_prerouting(struct nft_batch *b, const char *table,
			       const struct plan *plan, bool yield)
{
	struct port_range dns = { PORT_DNS, PORT_DNS };
	struct nft_rule r;

	nft_add_base_chain(b, table, prerouting, NF_INET_PRE_ROUTING,
			   PRIORITY_MANGLE, yield);
	r = nft_rule_begin(b, table, prerouting);
	nft_match_not_iif(&r, LO_IFINDEX);
	nft_do_drop(&r);
	nft_rule_end(&r);
	r = nft_rule_begin(b, table, prerouting);
	nft_match_mark(&r, GATE_MARK);
	part_accept(&r);
	part_accept_daddr(b, table, prerouting, "own");
	/* Needs no listener; it may be our refusal of a foreign source. */
	r = nft_rule_begin(b, table, prerouting);
	nft_match_tcp_reset(&r);
	part_accept(&r);
	to_gate(b, table, IPPROTO_UDP, &dns, GATE_PORT_DNS_UDP);
	to_gate(b, table, IPPROTO_TCP, &dns, GATE_PORT_DNS_TCP);
	if (plan->mode != POLICY_BLOCKED) {
		to_gate(b, table, IPPROTO_TCP, NULL, GATE_PORT_TCP);
		to_gate(b, table, IPPROTO_UDP, NULL, GATE_PORT_UDP);
	} else {
		/* What lives of another policy is the gate's to end. */
		r = nft_rule_begin(b, table, prerouting);
		nft_match_tcp_later(&r);
		nft_do_tproxy(&r, GATE_PORT_TCP);
		part_accept(&r);
	}
	/* tproxy does not match while nobody listens. */
	part_reject(b, table, prerouting);
}

void nft_enforce_policy(struct nft_batch *b, const char *table,
			const struct plan *plan, bool yield)
{
	enforce_output(b, table, plan, yield);
	enforce_prerouting(b, table, plan, yield);
}

void nft_yield_policy(struct nft_batch *b, const char *table, bool yield)
{
	nft_set_end(b, table, output, yield);
	nft_set_end(b, table, prerouting, yield);
}

void nft_retire_policy(struct nft_batch *b, const char *table)
{
	nft_delete_chain(b, table, output);
	nft_delete_chain(b, table, prerouting);
}
