/* image.h - the compiled policy as bytes, and the view of it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One block in the byte order of the machine: a head, then tables, each at an
 * offset that is a multiple of 8. No pointers, so it is mapped where it lands.
 *
 *	rules	one entry a rule, in the order of the lists, allow first
 *	ports	pool of port ranges, a slice for each rule
 *	text	pool of terminated strings
 *	slots	hash of names by literal suffix
 *	names	a literal suffix: for each side, the rules whose name is it,
 *		whose glob is "*." and it, and whose glob merely ends in it
 *	cidrs	hash by side, prefix length and masked address
 *	lists	pool of rule numbers, ascending in each list
 *	web	two bit sets (tcp, udp) of the ports that name rules have
 *
 * A name is looked up once for each of its suffixes, an address once for each
 * prefix length in use on a side. Both hashes are open-addressing, a power of
 * two in size, at most half full, and end a search at the first free slot.
 *
 * policy_new() checks everything that a later step relies on; after it, no
 * bytes of an image can make a function read outside of it.
 *
 * Inside policy/ only.
 */
#ifndef EXEAT_POLICY_IMAGE_H
#define EXEAT_POLICY_IMAGE_H

#include "policy/policy.h"

#define IMAGE_MAGIC "exeatpol"
enum {
	IMAGE_VERSION = 1,
	IMAGE_SIDES = 2,		/* enum rule_side */
	IMAGE_LENGTHS = 129,		/* prefix lengths 0..128 */
	IMAGE_PORT_WORDS = 65536 / 64,
	IMAGE_SLOTS_MIN = 8,
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
	struct image_table rules, ports, text, slots, names, cidrs, lists, web;
	uint32_t nlengths[IMAGE_SIDES];
	uint8_t lengths[IMAGE_SIDES][IMAGE_LENGTHS];
};

struct image_rule {
	uint8_t side, kind, protos, flags;
	uint8_t lookup, proto_given, ports_given, nports;
	uint8_t prefix_len;
	uint8_t opens_private;	/* an allow CIDR inside a private range */
	uint8_t pad[2];
	uint32_t ports;		/* first entry in the pool */
	uint32_t text, name, origin;
	uint8_t addr[16];
};

struct image_list {
	uint32_t first, count;
};

/* Small, so that a suffix that is not there costs one line of memory. */
struct image_slot {
	uint32_t hash;
	uint32_t name;		/* entry of names; UINT32_MAX: free */
};

struct image_name {
	uint32_t key;		/* offset in text */
	struct image_list lists[IMAGE_SIDES][HANG_COUNT];
};

struct image_cidr {
	uint8_t addr[16];
	uint8_t side, len, used, pad;
	struct image_list list;
};

enum { IMAGE_FREE = UINT32_MAX };

struct policy {
	const struct image_head *head;
	const struct image_rule *rules;
	const struct port_range *ports;
	const char *text;
	const struct image_slot *slots;
	const struct image_name *names;
	const struct image_cidr *cidrs;
	const uint32_t *lists;
	const uint64_t *web;	/* [2][IMAGE_PORT_WORDS] */
};

/* One step of the hash of a name, from its last character to its first. */
static inline uint32_t image_hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u;	/* FNV-1a */
}
enum { IMAGE_HASH_SEED = 0x811c9dc5 };

uint32_t image_hash_name(const char *s);
uint32_t image_hash_cidr(unsigned side, const struct prefix *p);
/* Spread the bits of a hash before it is cut to a slot. */
static inline uint32_t image_mix(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x7feb352du;
	h ^= h >> 15;
	h *= 0x846ca68bu;
	return h ^ h >> 16;
}

/* NULL if there is none. */
const struct image_name *image_find_name(const struct policy *p,
					 const char *key, uint32_t hash);
const struct image_cidr *image_find_cidr(const struct policy *p, unsigned side,
					 const struct prefix *key);

/* Has a name rule of the allow side this protocol and port? */
bool image_name_port(const struct policy *p, enum rule_proto proto,
		     uint16_t port);

/* Add the ports lo..hi to a set. */
void image_mark_ports(uint64_t set[IMAGE_PORT_WORDS], struct port_range x);

/* The next range of a set at or behind *from, which moves past it. */
bool image_next_ports(const uint64_t set[IMAGE_PORT_WORDS], uint32_t *from,
		      struct port_range *ret);

/* Does rule i hold for this protocol and port? */
bool image_rule_ports(const struct policy *p, uint32_t i, unsigned proto,
		      uint16_t port);

struct prefix image_rule_prefix(const struct image_rule *r);

#endif
