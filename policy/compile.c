/* compile.c - from rules as typed to an image
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	collect		parse the lists, put the rules of presets in their
 *			place, leave out repetitions: the tables `rules`,
 *			`shapes`, `ports`, `text`, `cidrs` grow (collect.c)
 *			and the budgets (budget.c)
 *	index		a pass over the rules finds the entry of each and
 *			counts its uses; a second one fills them, those of
 *			entries with several in slices of `uses`
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

static void mark_web(struct builder *b, const struct image_shape *s)
{
	for (uint8_t i = 0; i < s->nports; i++) {
		struct port_range x = *builder_ports(b, s->ports + i);

		if (s->protos & RULE_TCP)
			image_mark_ports(b->web[0], x);
		if (s->protos & RULE_UDP)
			image_mark_ports(b->web[1], x);
	}
}

/* The entry of the rule's literal suffix, made if it is new. */
static uint32_t name_entry(struct builder *b, const struct image_rule *r)
{
	const char *name = builder_text(b, r->host);
	bool below;
	const char *key = pattern_literal_suffix(name, &below);
	uint32_t hash = image_hash_name(key);
	uint32_t cursor = hash;
	struct image_name *to;
	uint32_t at;

	while ((at = index_next(&b->name_index, hash, &cursor)) != INDEX_NONE) {
		if (strcmp(builder_text(b, builder_name(b, at)->key), key) == 0)
			return at;
	}
	at = (uint32_t)b->names.count;
	to = builder_add(b, &b->names, 1);
	if (!to || !index_add(&b->name_index, hash, at)) {
		b->bad = true;
		return 0;
	}
	*to = (struct image_name){ .key = r->host + (uint32_t)(key - name) };
	return at;
}

static struct image_uses *uses_of(struct builder *b, uint32_t rule)
{
	const struct image_rule *r = builder_rule(b, rule);

	if (builder_shape(b, r->shape)->kind == RULE_CIDR)
		return &builder_cidr(b, r->host)->uses;
	return &builder_name(b, b->entries[rule])->uses;
}

/* Does every rule have its entry? Counts the uses. */
static bool count_uses(struct builder *b)
{
	for (uint32_t i = 0; i < b->rules.count && !b->bad; i++) {
		const struct image_rule *r = builder_rule(b, i);

		if (builder_shape(b, r->shape)->kind != RULE_CIDR)
			b->entries[i] = name_entry(b, r);
		if (!b->bad)
			uses_of(b, i)->count++;
	}
	return !b->bad;
}

/* A slice of the pool for entries with several uses; .shape: the next. */
static void hand_out(struct builder *b, struct image_uses *l)
{
	if (l->count == 1)
		return;
	l->one = (struct image_use){ b->nuses, b->nuses };
	b->nuses += l->count;
}

static void fill_uses(struct builder *b, enum image_hang hang)
{
	for (uint32_t i = 0; i < b->rules.count; i++) {
		struct image_use use = { i, builder_rule(b, i)->shape };
		struct image_uses *l = uses_of(b, i);

		if (builder_shape(b, use.shape)->hang != hang)
			continue;
		if (l->count == 1)
			l->one = use;
		else
			b->uses[l->one.shape++] = use;
	}
}

static bool index_rules(struct builder *b)
{
	b->entries = calloc(b->rules.count + 1, sizeof(*b->entries));
	if (!b->entries ||
	    !index_reserve(&b->name_index, b->rules.count - b->cidrs.count) ||
	    !count_uses(b))
		return false;
	for (uint32_t i = 0; i < b->names.count; i++)
		hand_out(b, &builder_name(b, i)->uses);
	for (uint32_t i = 0; i < b->cidrs.count; i++)
		hand_out(b, &builder_cidr(b, i)->uses);
	b->uses = calloc(b->nuses + (size_t)1, sizeof(*b->uses));
	b->slots = index_to_slots(&b->name_index, &b->nslots);
	b->cslots = index_to_slots(&b->cidr_index, &b->ncslots);
	if (!b->uses || !b->slots || !b->cslots)
		return false;
	for (enum image_hang hang = HANG_EXACT; hang < HANG_COUNT; hang++)
		fill_uses(b, hang);
	for (uint32_t i = 0; i < b->shapes.count; i++) {
		const struct image_shape *s = builder_shape(b, i);

		if (s->side == RULE_ALLOW &&
		    (s->kind == RULE_NAME || s->kind == RULE_GLOB))
			mark_web(b, s);
	}
	return true;
}

/* ---- assemble ---- */

static uint64_t digest_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		size_t left = len - i;
		uint64_t word = 0;

		memcpy(&word, p + i, left < sizeof(word) ? left : sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
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

		d = digest_bytes(d, &builder_shape(b, r->shape)->side, 1);
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
	for (uint32_t i = 0; i < b->shapes.count; i++) {
		const struct image_shape *s = builder_shape(b, i);

		if (s->side == RULE_ALLOW &&
		    (s->kind == RULE_NAME || s->kind == RULE_GLOB))
			h->flags |= IMAGE_NAMES;
	}
	for (uint32_t i = 0; i < b->cidrs.count; i++)
		used[builder_cidr(b, i)->side][builder_cidr(b, i)->len] = true;
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
		{ &h->shapes, b->shapes.data, b->shapes.count,
		  b->shapes.entry },
		{ &h->ports, b->ports.data, b->ports.count, b->ports.entry },
		{ &h->text, b->text.data, b->text.count, 1 },
		{ &h->slots, b->slots, b->nslots, sizeof(*b->slots) },
		{ &h->names, b->names.data, b->names.count, b->names.entry },
		{ &h->cslots, b->cslots, b->ncslots, sizeof(*b->cslots) },
		{ &h->cidrs, b->cidrs.data, b->cidrs.count, b->cidrs.entry },
		{ &h->uses, b->uses, b->nuses, sizeof(*b->uses) },
		{ &h->budgets, b->budgets.data, b->budgets.count,
		  b->budgets.entry },
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
	if (!rc)
		rc = builder_collect_budgets(b);
	if (rc)
		return rc;
	if (!index_rules(b))
		return err_sys(b->err, ENOMEM, "compile policy", "index");
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

static void builder_done(struct builder *b)
{
	free(b->rules.data);
	free(b->shapes.data);
	free(b->ports.data);
	free(b->text.data);
	free(b->names.data);
	free(b->cidrs.data);
	free(b->budgets.data);
	index_done(&b->seen);
	index_done(&b->shape_index);
	index_done(&b->name_index);
	index_done(&b->cidr_index);
	free(b->slots);
	free(b->cslots);
	free(b->uses);
	free(b->entries);
	free(b);
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
	b->shapes.entry = sizeof(struct image_shape);
	b->ports.entry = sizeof(struct port_range);
	b->text.entry = 1;
	b->names.entry = sizeof(struct image_name);
	b->cidrs.entry = sizeof(struct image_cidr);
	b->budgets.entry = sizeof(struct image_budget);
	rc = build(b, ret_image, ret_len);
	builder_done(b);
	return rc;
}
