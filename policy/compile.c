/* compile.c - from rules as typed to an image
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	collect		parse the lists, put the rules of presets in their
 *			place, leave out repetitions: the tables `rules`,
 *			`ports`, `text` grow (collect.c)
 *	index		two passes over the rules for each hash: count how
 *			many hang on each key, then hand out slices of
 *			`lists` and fill them
 *	assemble	copy the tables behind the head
 *	check		view the result as anybody would; count port lists
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "policy/builder.h"
#include "policy/pattern.h"
#include "policy/plan.h"

/* ---- index ---- */

static void mark_web(struct builder *b, const struct image_rule *r)
{
	for (uint8_t i = 0; i < r->nports; i++) {
		struct port_range x = *builder_ports(b, r->ports + i);

		if (r->protos & RULE_TCP)
			image_mark_ports(b->web[0], x);
		if (r->protos & RULE_UDP)
			image_mark_ports(b->web[1], x);
	}
}

/* The entry of this key, made if it is new: there is room for all. */
static struct image_name *name_entry(struct builder *b, const char *key,
				     uint32_t key_at)
{
	uint32_t hash = image_hash_name(key);
	uint32_t at = image_mix(hash) & (b->nslots - 1);

	while (b->slots[at].name != IMAGE_FREE) {
		struct image_name *name = &b->names[b->slots[at].name];

		if (b->slots[at].hash == hash &&
		    strcmp(builder_text(b, name->key), key) == 0)
			return name;
		at = (at + 1) & (b->nslots - 1);
	}
	b->slots[at].hash = hash;
	b->slots[at].name = b->nnames;
	b->names[b->nnames].key = key_at;
	return &b->names[b->nnames++];
}

static struct image_list *name_list(struct builder *b,
				    const struct image_rule *r)
{
	const char *name = builder_text(b, r->name);
	bool below;
	const char *key = pattern_literal_suffix(name, &below);
	enum image_hang hang = below ? HANG_BELOW : HANG_GLOB;

	if (r->kind != RULE_GLOB)
		hang = HANG_EXACT;
	return &name_entry(b, key, r->name + (uint32_t)(key - name))
			->lists[r->side][hang];
}

static struct image_cidr *cidr_slot(struct builder *b,
				    const struct image_rule *r)
{
	struct prefix p = image_rule_prefix(r);
	uint32_t at = image_mix(image_hash_cidr(r->side, &p)) & (b->ncidrs - 1);

	while (b->cidrs[at].used) {
		struct image_cidr *slot = &b->cidrs[at];

		if (slot->side == r->side && slot->len == p.len &&
		    memcmp(slot->addr, p.addr.b, sizeof(slot->addr)) == 0)
			return slot;
		at = (at + 1) & (b->ncidrs - 1);
	}
	b->cidrs[at].used = 1;
	b->cidrs[at].side = r->side;
	b->cidrs[at].len = p.len;
	memcpy(b->cidrs[at].addr, p.addr.b, sizeof(p.addr.b));
	return &b->cidrs[at];
}

static struct image_list *rule_list(struct builder *b,
				    const struct image_rule *r)
{
	if (r->kind == RULE_CIDR)
		return &cidr_slot(b, r)->list;
	return name_list(b, r);
}

static uint32_t slots_for(size_t n)
{
	uint32_t size = IMAGE_SLOTS_MIN;

	while (size < n * 2)
		size *= 2;
	return size;
}

static void hand_out(struct image_list *l, uint32_t *next)
{
	l->first = *next;
	*next += l->count;
	l->count = 0;
}

static bool index_alloc(struct builder *b)
{
	size_t cidrs = 0;

	for (uint32_t i = 0; i < b->rules.count; i++)
		cidrs += builder_rule(b, i)->kind == RULE_CIDR;
	b->ncidrs = slots_for(cidrs);
	b->nslots = slots_for(b->rules.count - cidrs);
	b->nlists = (uint32_t)b->rules.count;
	b->slots = malloc(b->nslots * sizeof(*b->slots));
	b->names = calloc(b->rules.count - cidrs + 1, sizeof(*b->names));
	b->cidrs = calloc(b->ncidrs, sizeof(*b->cidrs));
	b->lists = calloc(b->nlists + (size_t)1, sizeof(*b->lists));
	if (!b->slots || !b->names || !b->cidrs || !b->lists)
		return false;
	for (uint32_t i = 0; i < b->nslots; i++)
		b->slots[i] = (struct image_slot){ 0, IMAGE_FREE };
	return true;
}

static void index_rules(struct builder *b)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < b->rules.count; i++) {
		const struct image_rule *r = builder_rule(b, i);

		rule_list(b, r)->count++;
		if (r->side == RULE_ALLOW &&
		    (r->kind == RULE_NAME || r->kind == RULE_GLOB))
			mark_web(b, r);
	}
	for (uint32_t i = 0; i < b->nnames; i++) {
		for (unsigned k = 0; k < HANG_COUNT; k++) {
			hand_out(&b->names[i].lists[RULE_ALLOW][k], &next);
			hand_out(&b->names[i].lists[RULE_DENY][k], &next);
		}
	}
	for (uint32_t i = 0; i < b->ncidrs; i++)
		hand_out(&b->cidrs[i].list, &next);
	for (uint32_t i = 0; i < b->rules.count; i++) {
		struct image_list *l = rule_list(b, builder_rule(b, i));

		b->lists[l->first + l->count++] = i;
	}
}

/* ---- assemble ---- */

static uint64_t digest_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u; /* FNV-1a */
	return h;
}

static uint64_t digest(const struct builder *b, const struct image_head *h)
{
	/* each is a small number */
	const uint8_t facts[3] = { (uint8_t)h->mode, (uint8_t)h->dns_refusal,
				   (uint8_t)h->flags };
	uint64_t d = digest_bytes(0xcbf29ce484222325u, facts, sizeof(facts));

	for (uint32_t i = 0; i < b->rules.count; i++) {
		const struct image_rule *r = builder_rule(b, i);
		const char *text = builder_text(b, r->text);

		d = digest_bytes(d, &r->side, 1);
		d = digest_bytes(d, text, strlen(text) + 1);
	}
	return d;
}

static void fill_head(const struct builder *b, struct image_head *h)
{
	bool used[IMAGE_SIDES][IMAGE_LENGTHS] = { { false } };

	memcpy(h->magic, IMAGE_MAGIC, sizeof(h->magic));
	h->version = IMAGE_VERSION;
	h->mode = b->spec->mode;
	h->dns_refusal = b->spec->dns_refusal;
	h->flags = b->spec->require_names ? IMAGE_REQUIRE_NAMES : 0;
	for (uint32_t i = 0; i < b->rules.count; i++) {
		const struct image_rule *r = builder_rule(b, i);

		if (r->kind == RULE_CIDR)
			used[r->side][r->prefix_len] = true;
		else if (r->side == RULE_ALLOW && r->kind != RULE_HOST)
			h->flags |= IMAGE_NAMES;
	}
	for (unsigned side = 0; side < IMAGE_SIDES; side++) {
		for (unsigned len = 0; len < IMAGE_LENGTHS; len++) {
			if (used[side][len])
				h->lengths[side][h->nlengths[side]++] =
					(uint8_t)len;
		}
	}
	h->digest = digest(b, h);
}

/* The tables and where they go; with image NULL only the places. */
static size_t lay_out(const struct builder *b, struct image_head *h,
		      uint8_t *image)
{
	const struct {
		struct image_table *table;
		const void *data;
		size_t count, entry;
	} parts[] = {
		{ &h->rules, b->rules.data, b->rules.count, b->rules.entry },
		{ &h->ports, b->ports.data, b->ports.count, b->ports.entry },
		{ &h->text, b->text.data, b->text.count, 1 },
		{ &h->slots, b->slots, b->nslots, sizeof(*b->slots) },
		{ &h->names, b->names, b->nnames, sizeof(*b->names) },
		{ &h->cidrs, b->cidrs, b->ncidrs, sizeof(*b->cidrs) },
		{ &h->lists, b->lists, b->nlists, sizeof(*b->lists) },
		{ &h->web, b->web, (size_t)2 * IMAGE_PORT_WORDS,
		  sizeof(b->web[0][0]) },
	};
	size_t at = sizeof(*h);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t len = parts[i].count * parts[i].entry;

		at = (at + 7) & ~(size_t)7;
		parts[i].table->offset = (uint32_t)at;
		parts[i].table->count = (uint32_t)parts[i].count;
		if (image && len > 0)
			memcpy(image + at, parts[i].data, len);
		at += len;
	}
	return at;
}

static int assemble(struct builder *b, void **ret, size_t *ret_len)
{
	struct image_head h = { .version = IMAGE_VERSION };
	size_t len = lay_out(b, &h, NULL);
	uint8_t *image;

	if (len > UINT32_MAX)
		return err_new(b->err, ERR_LIMIT, "compile policy", NULL,
			       "the rules take more than 4 GiB");
	image = calloc(1, len);
	if (!image)
		return err_sys(b->err, ENOMEM, "compile policy", "image");
	fill_head(b, &h);
	h.length = len;
	(void)lay_out(b, &h, image); /* the same length again */
	memcpy(image, &h, sizeof(h));
	*ret = image;
	*ret_len = len;
	return 0;
}

/* ---- check ---- */

static int check_image(struct builder *b, const void *image, size_t len)
{
	struct policy *p;
	int rc = policy_new(image, len, &p);
	bool fits;

	if (rc)
		return err_sys(b->err, -rc, "compile policy", "image");
	fits = plan_fits(p);
	policy_free(p);
	if (!fits)
		return err_new(b->err, ERR_LIMIT, "compile policy", NULL,
			       "more than %d different lists of ports",
			       LIMIT_PORT_GROUPS);
	return 0;
}

static int build(struct builder *b, void **ret_image, size_t *ret_len)
{
	cleanup_free void *image = NULL;
	size_t len = 0;
	int rc;

	rc = builder_collect(b);
	if (rc)
		return rc;
	if (!index_alloc(b))
		return err_sys(b->err, ENOMEM, "compile policy", "index");
	index_rules(b);
	rc = assemble(b, &image, &len);
	if (!rc)
		rc = check_image(b, image, len);
	if (rc)
		return rc;
	*ret_image = image;
	*ret_len = len;
	image = NULL;
	return 0;
}

int policy_compile(const struct policy_spec *spec, void **ret_image,
		   size_t *ret_len, struct err *err)
{
	struct builder *b;
	int rc;

	if (spec->mode == POLICY_BLOCKED && spec->nallow > 0)
		return err_new(err, ERR_INVALID, "policy", NULL,
			       "mode blocked takes no allow-list");
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_sys(err, ENOMEM, "compile policy", "builder");
	b->spec = spec;
	b->err = err;
	b->rules.entry = sizeof(struct image_rule);
	b->ports.entry = sizeof(struct port_range);
	b->text.entry = 1;
	rc = build(b, ret_image, ret_len);
	free(b->rules.data);
	free(b->ports.data);
	free(b->text.data);
	free(b->seen);
	free(b->slots);
	free(b->names);
	free(b->cidrs);
	free(b->lists);
	free(b);
	return rc;
}
