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
	return image_mix(h);
}

uint32_t image_hash_cidr(unsigned side, const struct prefix *p)
{
	uint64_t words[2];
	uint64_t h = (uint64_t)p->len << 1 | side;

	memcpy(words, p->addr.b, sizeof(words));
	h = (h ^ words[0]) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32 ^ words[1]) * 0x9e3779b97f4a7c15u;
	return image_mix((uint32_t)(h >> 32));
}

size_t image_cut(const struct policy *p, const char *name,
		 struct image_cut ret[IMAGE_CUTS])
{
	uint32_t mask = p->head->slots.count - 1;
	uint32_t hash = IMAGE_HASH_SEED;
	size_t n = 0;

	for (size_t len = strlen(name), at = len;; at--) {
		if (at == len || at == 0 || name[at - 1] == '.') {
			ret[n].at = (uint32_t)at;
			ret[n].hash = image_mix(hash);
			__builtin_prefetch(&p->slots[ret[n++].hash & mask]);
		}
		if (at == 0)
			return n;
		hash = image_hash_step(hash, name[at - 1]);
	}
}

const struct image_name *image_find_name(const struct policy *p,
					 const char *key, uint32_t hash)
{
	uint32_t n = p->head->slots.count;
	uint32_t cursor = hash;
	uint32_t at;

	while ((at = slots_next(p->slots, n, hash, &cursor)) != INDEX_NONE) {
		if (strcmp(p->text + p->names[at].key, key) == 0)
			return &p->names[at];
	}
	return NULL;
}

const struct image_cidr *image_find_cidr(const struct policy *p, unsigned side,
					 const struct prefix *key)
{
	uint32_t hash = image_hash_cidr(side, key);
	uint32_t n = p->head->cslots.count;
	uint32_t cursor = hash;
	uint32_t at;

	while ((at = slots_next(p->cslots, n, hash, &cursor)) != INDEX_NONE) {
		const struct image_cidr *c = &p->cidrs[at];

		if (c->side == side && c->len == key->len &&
		    memcmp(c->addr, key->addr.b, sizeof(c->addr)) == 0)
			return c;
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

bool image_shape_ports(const struct policy *p, const struct image_shape *s,
		       unsigned proto, uint16_t port)
{
	const struct port_range *ports = p->ports + s->ports;

	if (proto == 0 || (s->protos & proto) != proto)
		return false;
	for (uint8_t k = 0; k < s->nports; k++) {
		if (ports[k].lo <= port && port <= ports[k].hi)
			return true;
	}
	return false;
}

struct prefix image_rule_prefix(const struct policy *p, uint32_t rule)
{
	const struct image_cidr *c = &p->cidrs[p->rules[rule].host];
	struct prefix prefix = { .len = c->len };

	memcpy(prefix.addr.b, c->addr, sizeof(prefix.addr.b));
	return prefix;
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

static bool check_shape(const struct policy *p, const struct image_shape *s)
{
	uint32_t n = p->head->ports.count;
	bool glob = s->kind == RULE_GLOB;

	if (s->side >= IMAGE_SIDES || s->kind > RULE_HOST ||
	    s->kind == RULE_PRESET || s->hang >= HANG_COUNT ||
	    glob != (s->hang != HANG_EXACT))
		return false;
	return s->protos >= RULE_TCP && s->protos <= RULE_TCP_UDP &&
	       s->nports > 0 && s->nports <= LIMIT_RULE_PORTS &&
	       s->ports <= n && s->nports <= n - s->ports;
}

static bool check_rule(const struct policy *p, const struct image_rule *r)
{
	const struct image_head *h = p->head;

	if (r->shape >= h->shapes.count || r->text >= h->text.count ||
	    r->origin >= h->text.count ||
	    strnlen(p->text + r->text, LIMIT_RULE_TEXT) >= LIMIT_RULE_TEXT)
		return false;
	if (p->shapes[r->shape].kind == RULE_CIDR)
		return r->host < h->cidrs.count;
	return r->host < h->text.count &&
	       (r->host == r->text ||
		strnlen(p->text + r->host, LIMIT_NAME + 1) <= LIMIT_NAME);
}

static bool check_use(const struct policy *p, const struct image_use *u)
{
	return u->rule < p->head->rules.count &&
	       u->shape == p->rules[u->rule].shape;
}

static bool check_uses(const struct policy *p, const struct image_uses *l)
{
	uint32_t n = p->head->uses.count;

	if (l->count == 1)
		return check_use(p, &l->one);
	return l->one.rule <= n && l->count <= n - l->one.rule;
}

static bool check_rules(const struct policy *p)
{
	const struct image_head *h = p->head;

	for (uint32_t i = 0; i < h->ports.count; i++) {
		if (p->ports[i].lo == 0 || p->ports[i].lo > p->ports[i].hi)
			return false;
	}
	for (uint32_t i = 0; i < h->shapes.count; i++) {
		if (!check_shape(p, &p->shapes[i]))
			return false;
	}
	for (uint32_t i = 0; i < h->rules.count; i++) {
		if (!check_rule(p, &p->rules[i]))
			return false;
	}
	for (uint32_t i = 0; i < h->uses.count; i++) {
		if (!check_use(p, &p->uses[i]))
			return false;
	}
	return true;
}

static bool check_budget(const struct policy *p, const struct image_budget *b)
{
	const struct image_head *h = p->head;
	uint32_t n = h->ports.count;

	if (b->kind > RULE_HOST || b->kind == RULE_PRESET || b->len > 128 ||
	    b->text >= h->text.count || b->host >= h->text.count ||
	    b->protos < RULE_TCP || b->protos > RULE_TCP_UDP)
		return false;
	return strnlen(p->text + b->text, LIMIT_RULE_TEXT) < LIMIT_RULE_TEXT &&
	       strnlen(p->text + b->host, LIMIT_NAME + 1) <= LIMIT_NAME &&
	       b->nports > 0 && b->nports <= LIMIT_RULE_PORTS &&
	       b->ports <= n && b->nports <= n - b->ports;
}

static bool check_budgets(const struct policy *p)
{
	uint32_t n = p->head->budgets.count;

	for (uint32_t i = 0; n <= LIMIT_BUDGETS && i < n; i++) {
		if (!check_budget(p, &p->budgets[i]))
			return false;
	}
	return n <= LIMIT_BUDGETS;
}

/* Each says an entry that is there, or none. */
static bool check_slots(const uint32_t *slots, uint32_t n, uint32_t count)
{
	uint32_t mask = n - 1;
	bool bad = count > mask;

	for (uint32_t i = 0; i < n; i++)
		bad |= (slots[i] & mask) >= count && (slots[i] & mask) != mask;
	return !bad;
}

static bool check_hashes(const struct policy *p)
{
	const struct image_head *h = p->head;

	for (uint32_t i = 0; i < h->names.count; i++) {
		if (p->names[i].key >= h->text.count ||
		    !check_uses(p, &p->names[i].uses))
			return false;
	}
	for (uint32_t i = 0; i < h->cidrs.count; i++) {
		if (p->cidrs[i].len > 128 || !check_uses(p, &p->cidrs[i].uses))
			return false;
	}
	return check_slots(p->slots, h->slots.count, h->names.count) &&
	       check_slots(p->cslots, h->cslots.count, h->cidrs.count);
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
	       is_power_of_two(h->cslots.count) && h->text.count > 0 &&
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
		.shapes = check_table(&f, &h->shapes, sizeof(*ret->shapes)),
		.ports = check_table(&f, &h->ports, sizeof(*ret->ports)),
		.text = check_table(&f, &h->text, 1),
		.slots = check_table(&f, &h->slots, sizeof(*ret->slots)),
		.names = check_table(&f, &h->names, sizeof(*ret->names)),
		.cslots = check_table(&f, &h->cslots, sizeof(*ret->cslots)),
		.cidrs = check_table(&f, &h->cidrs, sizeof(*ret->cidrs)),
		.uses = check_table(&f, &h->uses, sizeof(*ret->uses)),
		.budgets = check_table(&f, &h->budgets, sizeof(*ret->budgets)),
		.web = check_table(&f, &h->web, sizeof(*ret->web)),
	};
	/* the pool ends in a NUL, so every string in it does */
	return !f.bad && ret->text[h->text.count - 1] == '\0' &&
	       check_rules(ret) && check_budgets(ret) && check_hashes(ret);
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

const void *policy_get_image(const struct policy *p, size_t *ret_len)
{
	*ret_len = (size_t)p->head->length;
	return p->head;
}

static bool same_budgets(const struct policy *a, const struct policy *b)
{
	uint32_t n = a->head->budgets.count;

	for (uint32_t i = 0; n == b->head->budgets.count && i < n; i++) {
		if (strcmp(policy_budget_text(a, i),
			   policy_budget_text(b, i)) != 0 ||
		    memcmp(a->budgets[i].max, b->budgets[i].max,
			   sizeof(a->budgets[i].max)) != 0)
			return false;
	}
	return n == b->head->budgets.count;
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
		if (image_shape(a, i)->side != image_shape(b, i)->side ||
		    strcmp(policy_rule_text(a, i), policy_rule_text(b, i)) != 0)
			return false;
	}
	return same_budgets(a, b);
}

size_t policy_nrules(const struct policy *p)
{
	return p->head->rules.count;
}

void policy_get_rule(const struct policy *p, uint32_t i, struct rule *ret)
{
	const struct image_shape *s = image_shape(p, i);

	memset(ret, 0, sizeof(*ret));
	ret->side = (enum rule_side)s->side;
	ret->kind = (enum rule_kind)s->kind;
	ret->protos = s->protos;
	ret->flags = s->flags;
	ret->lookup = s->lookup != 0;
	ret->proto_given = s->proto_given != 0;
	ret->ports_given = s->ports_given != 0;
	ret->nports = s->nports;
	memcpy(ret->ports, p->ports + s->ports, s->nports * sizeof(*p->ports));
	if (s->kind == RULE_CIDR) {
		ret->prefix = image_rule_prefix(p, i);
	} else {
		const char *name = p->text + p->rules[i].host;

		memcpy(ret->name, name, strlen(name));
	}
}

const char *policy_rule_text(const struct policy *p, uint32_t i)
{
	return p->text + p->rules[i].text;
}

const char *policy_rule_origin(const struct policy *p, uint32_t i)
{
	return p->text + p->rules[i].origin;
}
