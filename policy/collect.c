/* collect.c - the rules of a policy: parsed, presets expanded, each once
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "policy/builder.h"
#include "policy/guard.h"
#include "policy/pattern.h"

void *builder_add(struct builder *b, struct vec *v, size_t n)
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

uint32_t builder_add_text(struct builder *b, const char *s)
{
	size_t len = strlen(s) + 1;
	size_t at = b->text.count;
	void *to = builder_add(b, &b->text, len);

	if (!to)
		return 0;
	memcpy(to, s, len);
	return (uint32_t)at;
}

/* ---- shapes ---- */

static bool same_shape(const struct builder *b, const struct image_shape *s,
		       const struct image_shape *like,
		       const struct port_range *ports)
{
	return memcmp(s, like, offsetof(struct image_shape, ports)) == 0 &&
	       memcmp(builder_ports(b, s->ports), ports,
		      s->nports * sizeof(*ports)) == 0;
}

static uint32_t hash_shape(const struct image_shape *s,
			   const struct port_range *ports)
{
	uint32_t h = IMAGE_HASH_SEED;
	uint8_t bytes[offsetof(struct image_shape, ports)];

	memcpy(bytes, s, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		h = image_hash_step(h, (char)bytes[i]);
	for (uint8_t i = 0; i < s->nports; i++)
		h = image_mix(h ^ (uint32_t)ports[i].lo << 16 ^ ports[i].hi);
	return image_mix(h);
}

/* The entry for this shape; its ports are those of the rule. */
static uint32_t add_shape(struct builder *b, struct image_shape *like,
			  const struct port_range *ports)
{
	uint32_t hash, cursor, at;
	struct image_shape *to;
	void *room;

	/* neighbours are mostly alike */
	if (b->rules.count > 0) {
		at = builder_rule(b, (uint32_t)b->rules.count - 1)->shape;
		if (same_shape(b, builder_shape(b, at), like, ports))
			return at;
	}
	cursor = hash = hash_shape(like, ports);
	do {
		at = index_next(&b->shape_index, hash, &cursor);
		if (at != INDEX_NONE &&
		    same_shape(b, builder_shape(b, at), like, ports))
			return at;
	} while (at != INDEX_NONE);
	at = (uint32_t)b->shapes.count;
	like->ports = (uint32_t)b->ports.count;
	room = builder_add(b, &b->ports, like->nports);
	to = builder_add(b, &b->shapes, 1);
	if (!room || !to || !index_add(&b->shape_index, hash, at)) {
		b->bad = true;
		return 0;
	}
	memcpy(room, ports, like->nports * sizeof(*ports));
	*to = *like;
	return at;
}

static uint32_t shape_of(struct builder *b, const struct rule *r)
{
	struct image_shape s = {
		.side = (uint8_t)r->side,
		.kind = (uint8_t)r->kind,
		.hang = HANG_EXACT,
		.protos = r->protos,
		.flags = r->flags,
		.lookup = r->lookup,
		.proto_given = r->proto_given,
		.ports_given = r->ports_given,
		.nports = r->nports,
	};
	bool below;

	s.opens_private = r->kind == RULE_CIDR && r->side == RULE_ALLOW &&
			  guard_inside_private(&r->prefix);
	if (r->kind == RULE_GLOB) {
		(void)pattern_literal_suffix(r->name, &below);
		s.hang = below ? HANG_BELOW : HANG_GLOB;
	}
	return add_shape(b, &s, r->ports);
}

/* ---- rules ---- */

/* Of a whole text; quicker than that of a name, whose suffixes count. */
static uint32_t hash_text(const char *text)
{
	uint64_t h = IMAGE_HASH_SEED;
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		size_t left = len - at;
		uint64_t word = 0;

		memcpy(&word, text + at,
		       left < sizeof(word) ? left : sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return image_mix((uint32_t)h);
}

static bool is_seen(const struct builder *b, enum rule_side side,
		    const char *text, uint32_t hash)
{
	uint32_t cursor = hash;
	uint32_t at;

	while ((at = index_next(&b->seen, hash, &cursor)) != INDEX_NONE) {
		const struct image_rule *r = builder_rule(b, at);

		if (builder_shape(b, r->shape)->side == side &&
		    strcmp(builder_text(b, r->text), text) == 0)
			return true;
	}
	return false;
}

static uint32_t add_cidr(struct builder *b, const struct rule *r)
{
	uint32_t hash = image_hash_cidr(r->side, &r->prefix);
	uint32_t cursor = hash;
	struct image_cidr *c;
	uint32_t at;

	while ((at = index_next(&b->cidr_index, hash, &cursor)) != INDEX_NONE) {
		c = builder_cidr(b, at);
		if (c->side == r->side && c->len == r->prefix.len &&
		    memcmp(c->addr, r->prefix.addr.b, sizeof(c->addr)) == 0)
			return at;
	}
	at = (uint32_t)b->cidrs.count;
	c = builder_add(b, &b->cidrs, 1);
	if (!c || !index_add(&b->cidr_index, hash, at)) {
		b->bad = true;
		return 0;
	}
	*c = (struct image_cidr){ .side = (uint8_t)r->side,
				  .len = r->prefix.len };
	memcpy(c->addr, r->prefix.addr.b, sizeof(c->addr));
	return at;
}

static void add_rule(struct builder *b, const struct rule *r, uint32_t origin)
{
	char buf[LIMIT_RULE_TEXT];
	const char *text = rule_str(r, buf);
	uint32_t hash = hash_text(text);
	struct image_rule out = { .origin = origin };
	struct image_rule *to;

	if (is_seen(b, r->side, text, hash))
		return;
	out.shape = shape_of(b, r);
	out.text = builder_add_text(b, text);
	if (r->kind == RULE_CIDR)
		out.host = add_cidr(b, r);
	else if (strcmp(text, r->name) == 0)
		out.host = out.text;
	else
		out.host = builder_add_text(b, r->name);
	if (!b->bad && !index_add(&b->seen, hash, (uint32_t)b->rules.count))
		b->bad = true;
	to = builder_add(b, &b->rules, 1);
	if (to)
		*to = out;
}

/* Where a rule came from, for messages. */
struct place {
	enum rule_side side;
	size_t index;			    /* in the list */
	const struct policy_preset *preset; /* or NULL */
	size_t preset_index;
	const char *text;
};

static int refuse(struct builder *b, const struct place *at, enum err_code code,
		  const char *message)
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
	rc = err_new(b->err, code, "policy", object.bad ? NULL : object.s, "%s",
		     message);
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
	rc = refuse(b, at, ERR_INVALID, message.bad ? e->message : message.s);
	sbuf_done(&message);
	return rc;
}

static int collect_rule(struct builder *b, const struct place *at,
			const struct rule *r, uint32_t origin)
{
	if (b->spec->mode == POLICY_OPEN && r->side == RULE_ALLOW &&
	    !rule_fits_open(r))
		return refuse(
			b, at, ERR_INVALID,
			"mode open has it already; "
			"a list beside it takes rules with +private, "
			"addresses inside a private range, and " HOST_ALIAS_NAME
			":PORT");
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
	uint32_t origin = builder_add_text(b, "@");
	struct rule_error e;
	struct rule r;

	if (!b->bad) {
		b->text.count--; /* "@" and the name are one string */
		(void)builder_add_text(b, preset->name);
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
	uint32_t origin =
		builder_add_text(b, side == RULE_ALLOW ? "allow" : "deny");

	for (size_t i = 0; i < n; i++) {
		struct place at = { .side = side,
				    .index = i,
				    .text = texts[i] };
		int rc = collect_text(b, &at, origin);

		if (rc)
			return rc;
	}
	return 0;
}

int builder_collect(struct builder *b)
{
	const struct policy_spec *spec = b->spec;
	size_t n = spec->nallow + spec->ndeny;
	int rc;

	if (!index_reserve(&b->seen, n < LIMIT_RULES ? n : LIMIT_RULES))
		b->bad = true;
	(void)builder_add_text(b, ""); /* offset 0 is the empty string */
	rc = collect(b, RULE_ALLOW, spec->allow, spec->nallow);
	if (!rc)
		rc = collect(b, RULE_DENY, spec->deny, spec->ndeny);
	if (!rc && b->bad)
		rc = err_sys(b->err, ENOMEM, "compile policy", "rules");
	return rc;
}
