/* image.c - a view of a compiled policy: checked once, then read in place
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t image_hash_name(const char *s)
{
	uint32_t h = IMAGE_HASH_SEED;

	for (size_t i = strlen(s); i > 0; i--)
		h = image_hash_step(h, s[i - 1]);
	return h;
}

uint32_t image_hash_cidr(unsigned side, const struct prefix *p)
{
	uint64_t words[2];
	uint64_t h = (uint64_t)p->len << 1 | side;

	memcpy(words, p->addr.b, sizeof(words));
	h = (h ^ words[0]) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32 ^ words[1]) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32);
}

const struct image_name *image_find_name(const struct policy *p,
					 const char *key, uint32_t hash)
{
	uint32_t mask = p->head->slots.count - 1;
	uint32_t at = image_mix(hash) & mask;

	for (uint32_t n = 0; n <= mask; n++, at = (at + 1) & mask) {
		const struct image_slot *slot = &p->slots[at];

		if (slot->name == IMAGE_FREE)
			return NULL;
		if (slot->hash == hash &&
		    strcmp(p->text + p->names[slot->name].key, key) == 0)
			return &p->names[slot->name];
	}
	return NULL;
}

const struct image_cidr *image_find_cidr(const struct policy *p, unsigned side,
					 const struct prefix *key)
{
	uint32_t mask = p->head->cidrs.count - 1;
	uint32_t at = image_mix(image_hash_cidr(side, key)) & mask;

	for (uint32_t n = 0; n <= mask; n++, at = (at + 1) & mask) {
		const struct image_cidr *slot = &p->cidrs[at];

		if (!slot->used)
			return NULL;
		if (slot->side == side && slot->len == key->len &&
		    memcmp(slot->addr, key->addr.b, sizeof(slot->addr)) == 0)
			return slot;
	}
	return NULL;
}

bool image_name_port(const struct policy *p, enum rule_proto proto,
		     uint16_t port)
{
	size_t set = proto == RULE_UDP ? IMAGE_PORT_WORDS : 0;

	return p->web[set + port / 64] >> (port % 64) & 1;
}

void image_mark_ports(uint64_t set[IMAGE_PORT_WORDS], struct port_range x)
{
	for (unsigned word = x.lo / 64; word <= x.hi / 64; word++) {
		uint64_t mask = UINT64_MAX;

		if (word == x.lo / 64)
			mask &= UINT64_MAX << (x.lo % 64);
		if (word == x.hi / 64)
			mask &= UINT64_MAX >> (63 - x.hi % 64);
		set[word] |= mask;
	}
}

bool image_next_ports(const uint64_t set[IMAGE_PORT_WORDS], uint32_t *from,
		      struct port_range *ret)
{
	uint32_t lo = *from;
	uint32_t hi;

	while (lo < 65536 && !(set[lo / 64] >> (lo % 64) & 1))
		lo += set[lo / 64] >> (lo % 64) ? 1 : 64 - lo % 64;
	if (lo >= 65536)
		return false;
	for (hi = lo; hi + 1 < 65536; hi++) {
		if (!(set[(hi + 1) / 64] >> ((hi + 1) % 64) & 1))
			break;
	}
	ret->lo = (uint16_t)lo;
	ret->hi = (uint16_t)hi;
	*from = hi + 1;
	return true;
}

bool image_rule_ports(const struct policy *p, uint32_t i, unsigned proto,
		      uint16_t port)
{
	const struct image_rule *r = &p->rules[i];
	const struct port_range *ports = p->ports + r->ports;

	if (proto == 0 || (r->protos & proto) != proto)
		return false;
	for (uint8_t k = 0; k < r->nports; k++) {
		if (ports[k].lo <= port && port <= ports[k].hi)
			return true;
	}
	return false;
}

struct prefix image_rule_prefix(const struct image_rule *r)
{
	struct prefix p = { .len = r->prefix_len };

	memcpy(p.addr.b, r->addr, sizeof(p.addr.b));
	return p;
}

/* ---- checks ---- */

struct frame {
	const uint8_t *image;
	size_t len;
	bool bad;
};

static const void *check_table(struct frame *f, const struct image_table *t,
			       size_t entry)
{
	if (t->offset % 8 || t->offset > f->len ||
	    t->count > (f->len - t->offset) / entry)
		f->bad = true;
	return f->bad ? NULL : f->image + t->offset;
}

static bool is_power_of_two(uint32_t n)
{
	return n > 0 && (n & (n - 1)) == 0;
}

static bool check_rule(const struct policy *p, const struct image_rule *r)
{
	const struct image_head *h = p->head;
	bool shape = r->side < IMAGE_SIDES && r->kind <= RULE_HOST &&
		     r->kind != RULE_PRESET && r->protos >= RULE_TCP &&
		     r->protos <= RULE_TCP_UDP && r->prefix_len <= 128;

	if (!shape || r->nports == 0 || r->nports > LIMIT_RULE_PORTS ||
	    r->ports > h->ports.count || r->nports > h->ports.count - r->ports)
		return false;
	if (r->text >= h->text.count || r->name >= h->text.count ||
	    r->origin >= h->text.count)
		return false;
	return strnlen(p->text + r->name, LIMIT_NAME + 1) <= LIMIT_NAME &&
	       strnlen(p->text + r->text, LIMIT_RULE_TEXT) < LIMIT_RULE_TEXT;
}

static bool check_list(const struct policy *p, const struct image_list *l)
{
	uint32_t n = p->head->lists.count;

	return l->first <= n && l->count <= n - l->first;
}

static bool check_rules(const struct policy *p)
{
	const struct image_head *h = p->head;

	for (uint32_t i = 0; i < h->ports.count; i++) {
		if (p->ports[i].lo == 0 || p->ports[i].lo > p->ports[i].hi)
			return false;
	}
	for (uint32_t i = 0; i < h->rules.count; i++) {
		if (!check_rule(p, &p->rules[i]))
			return false;
	}
	for (uint32_t i = 0; i < h->lists.count; i++) {
		if (p->lists[i] >= h->rules.count)
			return false;
	}
	return true;
}

static bool check_hashes(const struct policy *p)
{
	const struct image_head *h = p->head;

	for (uint32_t i = 0; i < h->names.count; i++) {
		const struct image_name *name = &p->names[i];

		if (name->key >= h->text.count)
			return false;
		for (size_t k = 0; k < (size_t)IMAGE_SIDES * HANG_COUNT; k++) {
			if (!check_list(p, &name->lists[k / HANG_COUNT]
						       [k % HANG_COUNT]))
				return false;
		}
	}
	for (uint32_t i = 0; i < h->slots.count; i++) {
		if (p->slots[i].name != IMAGE_FREE &&
		    p->slots[i].name >= h->names.count)
			return false;
	}
	for (uint32_t i = 0; i < h->cidrs.count; i++) {
		if (p->cidrs[i].used && !check_list(p, &p->cidrs[i].list))
			return false;
	}
	return true;
}

static bool check_head(const struct image_head *h, size_t len)
{
	if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)) != 0 ||
	    h->version != IMAGE_VERSION || h->length != len ||
	    h->mode > POLICY_OPEN || h->dns_refusal > POLICY_REFUSED)
		return false;
	for (unsigned side = 0; side < IMAGE_SIDES; side++) {
		if (h->nlengths[side] > IMAGE_LENGTHS)
			return false;
		for (uint32_t i = 0; i < h->nlengths[side]; i++) {
			if (h->lengths[side][i] > 128)
				return false;
		}
	}
	return is_power_of_two(h->slots.count) &&
	       is_power_of_two(h->cidrs.count) && h->text.count > 0 &&
	       h->web.count == (uint32_t)2 * IMAGE_PORT_WORDS;
}

static bool view(const void *image, size_t len, struct policy *ret)
{
	const struct image_head *h = image;
	struct frame f = { image, len, false };

	if (len < sizeof(*h) || (uintptr_t)image % 8 || !check_head(h, len))
		return false;
	*ret = (struct policy){
		.head = h,
		.rules = check_table(&f, &h->rules, sizeof(*ret->rules)),
		.ports = check_table(&f, &h->ports, sizeof(*ret->ports)),
		.text = check_table(&f, &h->text, 1),
		.slots = check_table(&f, &h->slots, sizeof(*ret->slots)),
		.names = check_table(&f, &h->names, sizeof(*ret->names)),
		.cidrs = check_table(&f, &h->cidrs, sizeof(*ret->cidrs)),
		.lists = check_table(&f, &h->lists, sizeof(*ret->lists)),
		.web = check_table(&f, &h->web, sizeof(*ret->web)),
	};
	/* the pool ends in a NUL, so every string in it does */
	return !f.bad && ret->text[h->text.count - 1] == '\0' &&
	       check_rules(ret) && check_hashes(ret);
}

int policy_new(const void *image, size_t len, struct policy **ret)
{
	struct policy p;
	struct policy *copy;

	if (!view(image, len, &p))
		return -EINVAL;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = p;
	*ret = copy;
	return 0;
}

void policy_free(struct policy *p)
{
	free(p);
}

/* ---- reading ---- */

enum policy_mode policy_get_mode(const struct policy *p)
{
	return (enum policy_mode)p->head->mode;
}

enum policy_dns_refusal policy_get_dns_refusal(const struct policy *p)
{
	return (enum policy_dns_refusal)p->head->dns_refusal;
}

bool policy_get_require_names(const struct policy *p)
{
	return p->head->flags & IMAGE_REQUIRE_NAMES;
}

uint64_t policy_get_digest(const struct policy *p)
{
	return p->head->digest;
}

const void *policy_get_image(const struct policy *p, size_t *ret_len)
{
	*ret_len = (size_t)p->head->length;
	return p->head;
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
	const struct image_head *x = a->head, *y = b->head;

	if (x == y)
		return true;
	if (x->digest != y->digest || x->mode != y->mode ||
	    x->dns_refusal != y->dns_refusal || x->flags != y->flags ||
	    x->rules.count != y->rules.count)
		return false;
	for (uint32_t i = 0; i < x->rules.count; i++) {
		if (a->rules[i].side != b->rules[i].side ||
		    strcmp(policy_rule_text(a, i), policy_rule_text(b, i)) != 0)
			return false;
	}
	return true;
}

size_t policy_nrules(const struct policy *p)
{
	return p->head->rules.count;
}

void policy_get_rule(const struct policy *p, uint32_t i, struct rule *ret)
{
	const struct image_rule *r = &p->rules[i];

	memset(ret, 0, sizeof(*ret));
	ret->side = (enum rule_side)r->side;
	ret->kind = (enum rule_kind)r->kind;
	ret->protos = r->protos;
	ret->flags = r->flags;
	ret->lookup = r->lookup != 0;
	ret->proto_given = r->proto_given != 0;
	ret->ports_given = r->ports_given != 0;
	ret->nports = r->nports;
	memcpy(ret->ports, p->ports + r->ports, r->nports * sizeof(*p->ports));
	memcpy(ret->name, p->text + r->name, strlen(p->text + r->name));
	ret->prefix = image_rule_prefix(r);
}

const char *policy_rule_text(const struct policy *p, uint32_t i)
{
	return p->text + p->rules[i].text;
}

const char *policy_rule_origin(const struct policy *p, uint32_t i)
{
	return p->text + p->rules[i].origin;
}
