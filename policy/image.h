/* image.h - the compiled policy as bytes, and the view of it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One block in the byte order of the machine: a head, then tables, each at an
 * offset that is a multiple of 8. No pointers, so it is mapped where it lands.
 *
 *	rules	one entry a rule, in the order of the lists, allow first
 *	shapes	what a rule says beside its host; rules that say the same
 *		share one, so that few of them serve long lists
 *	ports	pool of port ranges, a slice for each shape
 *	text	pool of terminated strings
 *	slots	hash of names by literal suffix (index.h)
 *	names	a literal suffix and its uses: the rules whose name is it,
 *		whose glob is "*." and it, and whose glob merely ends in it
 *	cslots	hash by side, prefix length and masked address
 *	cidrs	a prefix of a side and its uses
 *	uses	pool of uses, for entries that have not exactly one: exact
 *		names first, then "*.", then other globs, rules ascending
 *	budgets	what a flow is counted for, and its limits; few, so they are
 *		walked
 *	web	two bit sets (tcp, udp) of the ports that name rules have
 *
 * A name is looked up once for each of its suffixes, an address once for each
 * prefix length in use on a side. A verdict over a long list waits for memory,
 * not for the processor: a key that is not there costs one line of it, one
 * that is there three (slot, entry, text), because the entry has the rule and
 * its shape.
 *
 * policy_new() checks everything that a later step relies on; after it, no
 * bytes of an image can make a function read outside of it.
 *
 * Inside policy/ only.
 */
#ifndef EXEAT_POLICY_IMAGE_H
#define EXEAT_POLICY_IMAGE_H

#include "policy/index.h"
#include "policy/policy.h"

#define IMAGE_MAGIC "exeatpol"
enum {
	IMAGE_VERSION = 3,
	IMAGE_SIDES = 2,		/* enum rule_side */
	IMAGE_LENGTHS = 129,		/* prefix lengths 0..128 */
	IMAGE_PORT_WORDS = 65536 / 64,
};

/* How a name rule hangs on its literal suffix. */
enum image_hang { HANG_EXACT, HANG_BELOW, HANG_GLOB, HANG_COUNT };

struct image_table {
	uint32_t offset;	/* from the beginning of the image */
	uint32_t count;		/* entries */
};

enum image_flag {
	IMAGE_REQUIRE_NAMES = 1,
	IMAGE_NAMES = 2,	/* there are allow rules for names */
};

struct image_head {
	char magic[8];
	uint32_t version;
	uint32_t mode, dns_refusal;
	uint32_t flags;
	uint64_t length;
	uint64_t digest;
	struct image_table rules, shapes, ports, text, slots, names, cslots,
		cidrs, uses, budgets, web;
	uint32_t nlengths[IMAGE_SIDES];
	uint8_t lengths[IMAGE_SIDES][IMAGE_LENGTHS];
};

struct image_shape {
	uint8_t side, kind, hang, protos;
	uint8_t flags, lookup, proto_given, ports_given;
	uint8_t opens_private;	/* an allow CIDR inside a private range */
	uint8_t nports, pad[2];
	uint32_t ports;		/* first entry in the pool */
};

struct image_rule {
	uint32_t shape;
	uint32_t text, origin;
	uint32_t host;		/* text of the name; RULE_CIDR: entry of cidrs */
};

/* The rule's shape comes with it, so that the rule need not be read. */
struct image_use {
	uint32_t rule, shape;
};

struct image_uses {
	uint32_t count;
	struct image_use one;	/* count != 1: .rule is the first in uses */
};

struct image_name {
	uint32_t key;		/* offset in text */
	struct image_uses uses;
};

struct image_cidr {
	uint8_t addr[16];
	uint8_t side, len, pad[2];
	struct image_uses uses;
};

/* Said as a deny rule says it: complete. */
struct image_budget {
	uint32_t text;		/* canonical */
	uint32_t host;		/* text of the name; none for RULE_CIDR */
	uint32_t ports;		/* first entry in the pool */
	uint8_t kind, protos, nports, len;	/* len: of the prefix */
	uint8_t addr[16];
	uint64_t max[POLICY_WAYS];		/* 0: no limit */
};

struct policy {
	const struct image_head *head;
	const struct image_rule *rules;
	const struct image_shape *shapes;
	const struct port_range *ports;
	const char *text;
	const uint32_t *slots;
	const struct image_name *names;
	const uint32_t *cslots;
	const struct image_cidr *cidrs;
	const struct image_use *uses;
	const struct image_budget *budgets;
	const uint64_t *web;	/* [2][IMAGE_PORT_WORDS] */
};

/* One step of the hash of a name, from its last character to its first. */
static inline uint32_t image_hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u;	/* FNV-1a */
}
enum { IMAGE_HASH_SEED = 0x811c9dc5 };

/* Spread the bits of a hash. */
static inline uint32_t image_mix(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x7feb352du;
	h ^= h >> 15;
	h *= 0x846ca68bu;
	return h ^ h >> 16;
}

/* Both mixed. */
uint32_t image_hash_name(const char *s);
uint32_t image_hash_cidr(unsigned side, const struct prefix *p);

/* The suffixes of a name, the empty one first, and their mixed hashes. */
enum { IMAGE_CUTS = LIMIT_NAME + 1 };
struct image_cut {
	uint32_t at, hash;
};
/*
 * Mustn't: for a name that is longer than LIMIT_NAME. What each will be looked
 * up by is on its way to the cache afterwards.
 */
size_t image_cut(const struct policy *p, const char *name,
		 struct image_cut ret[IMAGE_CUTS]);

/* NULL if there is none. */
const struct image_name *image_find_name(const struct policy *p,
					 const char *key, uint32_t hash);
const struct image_cidr *image_find_cidr(const struct policy *p, unsigned side,
					 const struct prefix *key);

/* l->count of them. */
static inline const struct image_use *image_uses(const struct policy *p,
						 const struct image_uses *l)
{
	return l->count == 1 ? &l->one : p->uses + l->one.rule;
}

static inline const struct image_shape *image_shape(const struct policy *p,
						    uint32_t rule)
{
	return &p->shapes[p->rules[rule].shape];
}

/* Mustn't: for a rule of another kind than RULE_CIDR. */
struct prefix image_rule_prefix(const struct policy *p, uint32_t rule);

/* Has a name rule of the allow side this protocol and port? */
bool image_name_port(const struct policy *p, enum rule_proto proto,
		     uint16_t port);

/* Add the ports lo..hi to a set. */
void image_mark_ports(uint64_t set[IMAGE_PORT_WORDS], struct port_range x);

/* The next range of a set at or behind *from, which moves past it. */
bool image_next_ports(const uint64_t set[IMAGE_PORT_WORDS], uint32_t *from,
		      struct port_range *ret);

/*
 * Does a rule of p, or its mode, allow all that the allow rule `r` does? May
 * say no where several rules together would. *next: 0 at first; carried on
 * from rule to rule of one list it keeps long lists cheap.
 */
bool policy_implies_rule(const struct policy *p, const struct rule *r,
			 uint32_t *next);

/* Does it hold for this protocol and port? */
bool image_shape_ports(const struct policy *p, const struct image_shape *s,
		       unsigned proto, uint16_t port);

#endif
