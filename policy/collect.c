/* collect.c - the rules of a policy: parsed, presets expanded, each once
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/builder.h"
#include "policy/guard.h"
#include "policy/pattern.h"

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

/* Neighbours mostly have the same ports: share the slice. */
static uint32_t add_ports(struct builder *b, const struct rule *r)
{
	size_t at = b->ports.count;
	void *to;

	if (b->rules.count > 0) {
		const struct image_rule *last =
			builder_rule(b, (uint32_t)b->rules.count - 1);

		if (last->nports == r->nports &&
		    memcmp(builder_ports(b, last->ports), r->ports,
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
		const char *text = builder_text(b, builder_rule(b, i)->text);
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
		const struct image_rule *r = builder_rule(b, b->seen[at]);

		if (r->side == side &&
		    strcmp(builder_text(b, r->text), text) == 0)
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
		   r->name[0]		      ? add_text(b, r->name) :
						0;
	*slot = (uint32_t)b->rules.count;
	to = vec_add(b, &b->rules, 1);
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
	uint32_t origin = add_text(b, "@");
	struct rule_error e;
	struct rule r;

	if (!b->bad) {
		b->text.count--; /* "@" and the name are one string */
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
	int rc;

	(void)add_text(b, ""); /* offset 0 is the empty string */
	rc = collect(b, RULE_ALLOW, spec->allow, spec->nallow);
	if (!rc)
		rc = collect(b, RULE_DENY, spec->deny, spec->ndeny);
	if (!rc && b->bad)
		rc = err_sys(b->err, ENOMEM, "compile policy", "rules");
	return rc;
}
