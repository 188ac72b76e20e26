/* compile.c - from rules as typed to an image
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	collect		parse the lists, put the rules of presets in their
 *			place, leave out repetitions: the tables `rules`,
 *			`ports`, `text` grow
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
#include "policy/guard.h"
#include "policy/image.h"
#include "policy/pattern.h"
#include "policy/plan.h"

/* A growing array; `bad` once memory ran out. */
struct vec {
	uint8_t *data;
	size_t count, size, entry;
};

struct builder {
	const struct policy_spec *spec;
	struct err *err;
	bool bad;		/* out of memory */
	struct vec rules, ports, text;
	uint32_t *seen;		/* hash of rule numbers: repetitions */
	size_t nseen;
	struct image_slot *slots;
	struct image_name *names;
	struct image_cidr *cidrs;
	uint32_t *lists;
	uint32_t nslots, nnames, ncidrs, nlists;
	uint64_t web[2][IMAGE_PORT_WORDS];
};

static void *vec_add(struct builder *b, struct vec *v, size_t n)
{
	void *at;

	if (b->bad)
		return NULL;
	if (v->count + n > v->size) {
		size_t size = v->size ? v->size * 2 : 64;
		void *data;

		while (size < v->count + n)
			size *= 2;
		data = reallocarray(v->data, size, v->entry);
		if (!data) {
			b->bad = true;
			return NULL;
		}
		v->data = data;
		v->size = size;
	}
	at = v->data + v->count * v->entry;
	v->count += n;
	return at;
}

static uint32_t add_text(struct builder *b, const char *s)
{
	size_t len = strlen(s) + 1;
	size_t at = b->text.count;
	void *to = vec_add(b, &b->text, len);

	if (!to)
		return 0;
	memcpy(to, s, len);
	return (uint32_t)at;
}

static const char *text_at(const struct builder *b, uint32_t at)
{
	return (const char *)b->text.data + at;
}

static struct image_rule *rule_at(const struct builder *b, uint32_t i)
{
	return (struct image_rule *)(void *)b->rules.data + i;
}

static const struct port_range *ports_at(const struct builder *b, uint32_t i)
{
	return (const struct port_range *)(const void *)b->ports.data + i;
}

/* ---- collect ---- */

/* Neighbours mostly have the same ports: share the slice. */
static uint32_t add_ports(struct builder *b, const struct rule *r)
{
	size_t at = b->ports.count;
	void *to;

	if (b->rules.count > 0) {
		const struct image_rule *last =
			rule_at(b, (uint32_t)b->rules.count - 1);

		if (last->nports == r->nports &&
		    memcmp(ports_at(b, last->ports), r->ports,
			   r->nports * sizeof(r->ports[0])) == 0)
			return last->ports;
	}
	to = vec_add(b, &b->ports, r->nports);
	if (to)
		memcpy(to, r->ports, r->nports * sizeof(r->ports[0]));
	return (uint32_t)at;
}

static bool seen_grow(struct builder *b)
{
	size_t n = b->nseen ? b->nseen * 2 : 1024;
	uint32_t *seen = malloc(n * sizeof(*seen));

	if (!seen)
		return false;
	memset(seen, 0xff, n * sizeof(*seen));
	for (uint32_t i = 0; i < b->rules.count; i++) {
		const char *text = text_at(b, rule_at(b, i)->text);
		size_t at = image_mix(image_hash_name(text)) & (n - 1);

		while (seen[at] != IMAGE_FREE)
			at = (at + 1) & (n - 1);
		seen[at] = i;
	}
	free(b->seen);
	b->seen = seen;
	b->nseen = n;
	return true;
}

/*
 * The slot for this rule: NULL if an equal one is there (or memory is out,
 * then b->bad).
 */
static uint32_t *seen_slot(struct builder *b, enum rule_side side,
			   const char *text)
{
	size_t at;

	if (b->rules.count * 2 >= b->nseen && !seen_grow(b)) {
		b->bad = true;
		return NULL;
	}
	at = image_mix(image_hash_name(text)) & (b->nseen - 1);
	while (b->seen[at] != IMAGE_FREE) {
		const struct image_rule *r = rule_at(b, b->seen[at]);

		if (r->side == side && strcmp(text_at(b, r->text), text) == 0)
			return NULL;
		at = (at + 1) & (b->nseen - 1);
	}
	return &b->seen[at];
}

static void add_rule(struct builder *b, const struct rule *r, uint32_t origin)
{
	char text[LIMIT_RULE_TEXT];
	struct image_rule *to;
	struct image_rule out = {
		.side = (uint8_t)r->side,
		.kind = (uint8_t)r->kind,
		.protos = r->protos,
		.flags = r->flags,
		.lookup = r->lookup,
		.proto_given = r->proto_given,
		.ports_given = r->ports_given,
		.nports = r->nports,
		.prefix_len = r->prefix.len,
		.origin = origin,
	};
	uint32_t *slot = seen_slot(b, r->side, rule_str(r, text));

	if (!slot)
		return;
	memcpy(out.addr, r->prefix.addr.b, sizeof(out.addr));
	out.opens_private = r->kind == RULE_CIDR && r->side == RULE_ALLOW &&
			    guard_inside_private(&r->prefix);
	out.ports = add_ports(b, r);
	out.text = add_text(b, text);
	out.name = strcmp(text, r->name) == 0 ? out.text :
		   r->name[0] ? add_text(b, r->name) : 0;
	*slot = (uint32_t)b->rules.count;
	to = vec_add(b, &b->rules, 1);
	if (to)
		*to = out;
}

/* Where a rule came from, for messages. */
struct place {
	enum rule_side side;
	size_t index;			/* in the list */
	const struct policy_preset *preset;	/* or NULL */
	size_t preset_index;
	const char *text;
};

static int refuse(struct builder *b, const struct place *at,
		  enum err_code code, const char *message)
{
	struct sbuf object;
	int rc;

	sbuf_init(&object, LIMIT_RULE_TEXT * 2);
	sbuf_fmt(&object, "%s[%zu]", at->side == RULE_ALLOW ? "allow" : "deny",
		 at->index);
	if (at->preset)
		sbuf_fmt(&object, " @%s[%zu]", at->preset->name,
			 at->preset_index);
	sbuf_fmt(&object, " \"%.*s\"", 120, at->text);
	rc = err_new(b->err, code, "policy", object.bad ? NULL : object.s,
		     "%s", message);
	sbuf_done(&object);
	return rc;
}

static int refuse_text(struct builder *b, const struct place *at,
		       const struct rule_error *e)
{
	struct sbuf message;
	int rc;

	sbuf_init(&message, LIMIT_RULE_TEXT);
	sbuf_fmt(&message, "at byte %zu: %s", e->position, e->message);
	rc = refuse(b, at, ERR_INVALID,
		    message.bad ? e->message : message.s);
	sbuf_done(&message);
	return rc;
}

static int collect_rule(struct builder *b, const struct place *at,
			const struct rule *r, uint32_t origin)
{
	if (b->spec->mode == POLICY_OPEN && r->side == RULE_ALLOW &&
	    !rule_fits_open(r))
		return refuse(b, at, ERR_INVALID, "mode open has it already; "
			      "a list beside it takes rules with +private, "
			      "addresses inside a private range, and "
			      HOST_ALIAS_NAME ":PORT");
	add_rule(b, r, origin);
	if (b->bad)
		return err_sys(b->err, ENOMEM, "compile policy", "%s",
			       at->text);
	if (b->rules.count > LIMIT_RULES)
		return refuse(b, at, ERR_LIMIT, "too many rules");
	return 0;
}

/* Flags mean nothing in a deny rule; presets are written for both lists. */
static int parse_preset_rule(const struct place *at, struct rule *ret,
			     struct rule_error *e)
{
	char text[LIMIT_RULE_TEXT] = "";
	size_t len = strcspn(at->text, "+");

	if (at->side == RULE_ALLOW || len >= sizeof(text))
		return rule_parse(at->text, at->side, ret, e);
	memcpy(text, at->text, len);
	return rule_parse(text, at->side, ret, e);
}

static int collect_preset(struct builder *b, struct place *at,
			  const struct policy_preset *preset)
{
	uint32_t origin = add_text(b, "@");
	struct rule_error e;
	struct rule r;

	if (!b->bad) {
		b->text.count--;	/* "@" and the name are one string */
		(void)add_text(b, preset->name);
	}
	if (preset->deny_only && at->side == RULE_ALLOW)
		return refuse(b, at, ERR_INVALID,
			      "this preset goes to the deny-list only");
	at->preset = preset;
	for (size_t i = 0; i < preset->nrules; i++) {
		int rc;

		at->preset_index = i;
		at->text = preset->rules[i];
		if (parse_preset_rule(at, &r, &e))
			return refuse_text(b, at, &e);
		if (r.kind == RULE_PRESET)
			return refuse(b, at, ERR_INVALID,
				      "a preset within a preset");
		rc = collect_rule(b, at, &r, origin);
		if (rc)
			return rc;
	}
	return 0;
}

static int unknown_preset(struct builder *b, const struct place *at)
{
	struct sbuf message;
	int rc;

	sbuf_init(&message, 4096);
	sbuf_str(&message, "unknown preset; known are:");
	for (size_t i = 0; i < b->spec->npresets; i++)
		sbuf_fmt(&message, " @%s", b->spec->presets[i].name);
	rc = refuse(b, at, ERR_INVALID,
		    message.bad ? "unknown preset" : message.s);
	sbuf_done(&message);
	return rc;
}

static int collect_text(struct builder *b, struct place *at, uint32_t origin)
{
	struct rule_error e;
	struct rule r;

	if (rule_parse(at->text, at->side, &r, &e))
		return refuse_text(b, at, &e);
	if (r.kind != RULE_PRESET)
		return collect_rule(b, at, &r, origin);
	for (size_t i = 0; i < b->spec->npresets; i++) {
		if (strcmp(b->spec->presets[i].name, r.name) == 0)
			return collect_preset(b, at, &b->spec->presets[i]);
	}
	return unknown_preset(b, at);
}

static int collect(struct builder *b, enum rule_side side,
		   const char *const *texts, size_t n)
{
	uint32_t origin = add_text(b, side == RULE_ALLOW ? "allow" : "deny");

	for (size_t i = 0; i < n; i++) {
		struct place at = { .side = side, .index = i,
				    .text = texts[i] };
		int rc = collect_text(b, &at, origin);

		if (rc)
			return rc;
	}
	return 0;
}

/* ---- index ---- */

static void mark_web(struct builder *b, const struct image_rule *r)
{
	for (uint8_t i = 0; i < r->nports; i++) {
		struct port_range x = *ports_at(b, r->ports + i);

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
		    strcmp(text_at(b, name->key), key) == 0)
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
	const char *name = text_at(b, r->name);
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
	uint32_t at = image_mix(image_hash_cidr(r->side, &p)) &
		      (b->ncidrs - 1);

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
		cidrs += rule_at(b, i)->kind == RULE_CIDR;
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
		const struct image_rule *r = rule_at(b, i);

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
		struct image_list *l = rule_list(b, rule_at(b, i));

		b->lists[l->first + l->count++] = i;
	}
}

/* ---- assemble ---- */

static uint64_t digest_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;	/* FNV-1a */
	return h;
}

static uint64_t digest(const struct builder *b, const struct image_head *h)
{
	uint32_t facts[] = { h->mode, h->dns_refusal, h->flags };
	uint64_t d = digest_bytes(0xcbf29ce484222325u, facts, sizeof(facts));

	for (uint32_t i = 0; i < b->rules.count; i++) {
		const struct image_rule *r = rule_at(b, i);
		const char *text = text_at(b, r->text);

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
		const struct image_rule *r = rule_at(b, i);

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
	(void)lay_out(b, &h, image);	/* the same length again */
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
	size_t len;
	int rc;

	(void)add_text(b, "");	/* offset 0 is the empty string */
	rc = collect(b, RULE_ALLOW, b->spec->allow, b->spec->nallow);
	if (!rc)
		rc = collect(b, RULE_DENY, b->spec->deny, b->spec->ndeny);
	if (rc)
		return rc;
	if (b->bad || !index_alloc(b))
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
