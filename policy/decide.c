/* decide.c - the verdict
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	facts	which rules match: the lowest deny rule, the lowest name rule,
 *		name rule with +private, CIDR rule, CIDR rule that opens a
 *		private range, rule for the host alias. By the hashes of the
 *		image, whatever the number of rules
 *	judge	guard, deny, mode, host alias, name, address, in this order: a
 *		reason. Nothing else turns a reason into allow but the one
 *		line at the end of policy_decide()
 *
 * An IPv6 address that embeds IPv4 ones is held against the deny rules in
 * every form; an allow rule must name it as it stands.
 */
#include "policy/policy.h"

#include <string.h>

#include "policy/guard.h"
#include "policy/image.h"
#include "policy/pattern.h"

struct facts {
	uint32_t deny;
	uint32_t name, name_private;
	uint32_t cidr, opener;
	uint32_t host;
};

static const struct facts no_facts = {
	POLICY_NO_RULE, POLICY_NO_RULE, POLICY_NO_RULE,
	POLICY_NO_RULE, POLICY_NO_RULE, POLICY_NO_RULE,
};

static void lowest(uint32_t *have, uint32_t rule)
{
	if (rule < *have)
		*have = rule;
}

/* ---- facts ---- */

static bool fits(const struct policy *p, const struct policy_question *q,
		 const struct image_shape *s)
{
	if (q->ask == POLICY_ASK_LOOKUP)
		return s->side == RULE_ALLOW || s->lookup;
	return image_shape_ports(p, s, q->proto, q->port);
}

/* Would the rule change anything, were it to match? */
static bool matters(const struct image_use *u, const struct image_shape *s,
		    const struct facts *f)
{
	if (s->side == RULE_DENY)
		return u->rule < f->deny;
	if (s->kind == RULE_HOST)
		return u->rule < f->host;
	return u->rule < f->name ||
	       ((s->flags & RULE_PRIVATE) && u->rule < f->name_private);
}

static void note_name(const struct image_use *u, const struct image_shape *s,
		      struct facts *f)
{
	if (s->side == RULE_DENY) {
		lowest(&f->deny, u->rule);
	} else if (s->kind == RULE_HOST) {
		lowest(&f->host, u->rule);
	} else {
		lowest(&f->name, u->rule);
		if (s->flags & RULE_PRIVATE)
			lowest(&f->name_private, u->rule);
	}
}

/* The rules that hang on a suffix; `whole`: it is all of the name. */
static void visit_uses(const struct policy *p, const struct policy_question *q,
		       const char *name, const struct image_uses *l, bool whole,
		       struct facts *f)
{
	const struct image_use *uses = image_uses(p, l);

	for (uint32_t k = 0; k < l->count; k++) {
		const struct image_shape *s = &p->shapes[uses[k].shape];

		if (whole && s->hang != HANG_EXACT)
			break; /* exact ones come first */
		if (!whole && s->hang == HANG_EXACT)
			continue;
		if (!matters(&uses[k], s, f) || !fits(p, q, s))
			continue;
		if (s->hang == HANG_GLOB &&
		    !pattern_matches(p->text + p->rules[uses[k].rule].host,
				     name))
			continue;
		note_name(&uses[k], s, f);
	}
}

static void visit_name(const struct policy *p, const struct policy_question *q,
		       const char *name, struct facts *f)
{
	struct image_cut cuts[IMAGE_CUTS];
	size_t n = image_cut(p, name, cuts);

	for (size_t i = 0; i < n; i++) {
		const char *suffix = name + cuts[i].at;
		const struct image_name *entry =
			image_find_name(p, suffix, cuts[i].hash);

		if (entry)
			visit_uses(p, q, name, &entry->uses, suffix == name, f);
	}
}

/* The host alias has two names: what is said of one holds for both. */
static void visit_names(const struct policy *p, const struct policy_question *q,
			const char *name, struct facts *f)
{
	if (!name_is_host_alias(name)) {
		visit_name(p, q, name, f);
		return;
	}
	visit_name(p, q, HOST_ALIAS_NAME, f);
	visit_name(p, q, HOST_ALIAS_OTHER, f);
	/* a wildcard never stands for it in an allow rule */
	f->name = POLICY_NO_RULE;
	f->name_private = POLICY_NO_RULE;
}

static void visit_cidr(const struct policy *p, const struct policy_question *q,
		       const struct image_uses *l, struct facts *f)
{
	const struct image_use *uses = image_uses(p, l);

	for (uint32_t k = 0; k < l->count; k++) {
		const struct image_shape *s = &p->shapes[uses[k].shape];

		if (!fits(p, q, s))
			continue;
		if (s->side == RULE_DENY)
			lowest(&f->deny, uses[k].rule);
		else if (s->opens_private)
			lowest(&f->opener, uses[k].rule);
		else
			lowest(&f->cidr, uses[k].rule);
		return; /* equal prefixes are all of one kind */
	}
}

/* Prefixes of 0.0.0.0/0 and longer are IPv4, ::/0 is IPv6 only. */
static void visit_addr(const struct policy *p, const struct policy_question *q,
		       unsigned side, const struct addr *a, struct facts *f)
{
	const struct image_head *h = p->head;
	bool v4 = addr_is_v4(a);

	for (uint32_t i = 0; i < h->nlengths[side]; i++) {
		struct prefix key = prefix_make(a, h->lengths[side][i]);
		const struct image_cidr *entry;

		if (v4 && key.len < 96)
			continue;
		entry = image_find_cidr(p, side, &key);
		if (entry)
			visit_cidr(p, q, &entry->uses, f);
	}
}

static void visit_deny_addr(const struct policy *p,
			    const struct policy_question *q,
			    const struct addr *a, struct facts *f)
{
	struct addr inner[GUARD_EMBEDDED_MAX];
	size_t n = guard_embedded(a, inner);

	visit_addr(p, q, RULE_DENY, a, f);
	for (size_t i = 0; i < n; i++)
		visit_addr(p, q, RULE_DENY, &inner[i], f);
}

/* An explicit proxy was given a name that nobody has resolved yet. */
static bool has_addr(const struct policy_question *q)
{
	static const struct addr none;

	return q->ask == POLICY_ASK_CONNECT &&
	       !(q->learnt == POLICY_NAME_PROXY && q->name &&
		 addr_equal(&q->addr, &none));
}

static struct facts find_facts(const struct policy *p,
			       const struct policy_question *q,
			       enum addr_class class)
{
	struct facts f = no_facts;

	if (has_addr(q)) {
		visit_addr(p, q, RULE_ALLOW, &q->addr, &f);
		visit_deny_addr(p, q, &q->addr, &f);
	}
	if (q->name)
		visit_names(p, q, q->name, &f);
	if (class == ADDR_HOST_ALIAS) {
		struct facts alias = no_facts;

		visit_names(p, q, HOST_ALIAS_NAME, &alias);
		lowest(&f.deny, alias.deny);
		f.host = alias.host;
	}
	return f;
}

/* ---- judge ---- */

static bool well_formed(const struct policy_question *q)
{
	if (q->name && !name_is_canonical(q->name))
		return false;
	switch (q->ask) {
	case POLICY_ASK_LOOKUP:
		return q->name != NULL;
	case POLICY_ASK_CONNECT:
		return (q->proto == RULE_TCP || q->proto == RULE_UDP) &&
		       q->port > 0;
	}
	return false;
}

static bool is_guarded(const struct policy_question *q, enum addr_class class)
{
	return class == ADDR_GUARDED || class == ADDR_RESOLVER ||
	       (q->name && guard_name(q->name));
}

static enum policy_reason judge_host(const struct facts *f,
				     const struct policy_question *q,
				     struct policy_verdict *v)
{
	if (f->host == POLICY_NO_RULE)
		return POLICY_R_DEFAULT;
	v->rule = f->host;
	v->host_alias = true;
	v->by_address = q->ask == POLICY_ASK_CONNECT;
	return POLICY_R_RULE;
}

static enum policy_reason judge_lookup(const struct policy *p,
				       const struct facts *f,
				       struct policy_verdict *v)
{
	bool open = policy_get_mode(p) == POLICY_OPEN;

	v->by_address = open && !policy_get_require_names(p);
	v->private_ok = f->name_private != POLICY_NO_RULE;
	if (f->name != POLICY_NO_RULE) {
		v->rule = f->name;
		return POLICY_R_RULE;
	}
	return open ? POLICY_R_OPEN : POLICY_R_DEFAULT;
}

/* Mode open, an address that is not private, no rule speaks of the flow. */
static enum policy_reason judge_open(const struct policy *p,
				     const struct policy_question *q,
				     struct policy_verdict *v)
{
	if (!policy_get_require_names(p)) {
		v->by_address = true;
		return POLICY_R_OPEN;
	}
	/* the name of the host alias says nothing of another address */
	if (!q->name || name_is_host_alias(q->name))
		return POLICY_R_NO_NAME;
	/* QUIC cannot be held to a name */
	if (q->proto == RULE_UDP && q->port == 443)
		return POLICY_R_PROTOCOL;
	return POLICY_R_OPEN;
}

static enum policy_reason judge_connect(const struct policy *p,
					const struct facts *f,
					const struct policy_question *q,
					bool is_private,
					struct policy_verdict *v)
{
	bool open = policy_get_mode(p) == POLICY_OPEN;
	uint32_t name = is_private ? f->name_private : f->name;
	uint32_t cidr = is_private ? f->opener : f->cidr;

	v->private_ok = f->name_private != POLICY_NO_RULE;
	if (name != POLICY_NO_RULE || cidr != POLICY_NO_RULE) {
		v->rule = name != POLICY_NO_RULE ? name : cidr;
		v->by_address =
			cidr != POLICY_NO_RULE ||
			(open && !is_private && !policy_get_require_names(p));
		return POLICY_R_RULE;
	}
	if (open && !is_private)
		return judge_open(p, q, v);
	if (is_private &&
	    (open || f->name != POLICY_NO_RULE || f->cidr != POLICY_NO_RULE))
		return POLICY_R_PRIVATE;
	if (!q->name && image_name_port(p, q->proto, q->port))
		return POLICY_R_NO_NAME;
	return POLICY_R_DEFAULT;
}

static enum policy_reason judge(const struct policy *p,
				const struct policy_question *q,
				struct policy_verdict *v)
{
	enum addr_class class = ADDR_PUBLIC;
	struct facts f;

	if (!well_formed(q))
		return POLICY_R_MALFORMED;
	if (has_addr(q))
		class = guard_class(&q->addr, NULL);
	if (is_guarded(q, class))
		return POLICY_R_GUARD;
	f = find_facts(p, q, class);
	if (f.deny != POLICY_NO_RULE) {
		v->rule = f.deny;
		return POLICY_R_DENY_RULE;
	}
	if (policy_get_mode(p) == POLICY_BLOCKED)
		return POLICY_R_BLOCKED;
	if (class == ADDR_HOST_ALIAS ||
	    (!has_addr(q) && name_is_host_alias(q->name)))
		return judge_host(&f, q, v);
	if (q->ask == POLICY_ASK_LOOKUP)
		return judge_lookup(p, &f, v);
	return judge_connect(p, &f, q, class == ADDR_PRIVATE, v);
}

struct policy_verdict policy_decide(const struct policy *p,
				    const struct policy_question *q)
{
	static const struct policy_verdict deny = {
		.allow = false,
		.reason = POLICY_R_DEFAULT,
		.rule = POLICY_NO_RULE,
	};
	struct policy_verdict v = deny;
	enum policy_reason reason = judge(p, q, &v);
	bool yes = reason == POLICY_R_RULE || reason == POLICY_R_OPEN;

	if (!yes) { /* a refusal says nothing of how to go on */
		uint32_t rule = v.rule;

		v = deny;
		v.rule = rule;
	}
	v.reason = reason;
	v.allow = yes;
	return v;
}

/* ---- the same facts, asked in other ways ---- */

bool policy_name_denied(const struct policy *p, const char *name,
			uint32_t *ret_rule)
{
	struct policy_question q = { .ask = POLICY_ASK_LOOKUP, .name = name };
	struct facts f = no_facts;

	*ret_rule = POLICY_NO_RULE;
	if (!well_formed(&q) || guard_name(name))
		return true;
	visit_names(p, &q, name, &f);
	*ret_rule = f.deny;
	return f.deny != POLICY_NO_RULE;
}

bool policy_name_exact(const struct policy *p, const char *name)
{
	const struct image_name *entry =
		image_find_name(p, name, image_hash_name(name));
	const struct image_use *uses = entry ? image_uses(p, &entry->uses) :
					       NULL;

	for (uint32_t k = 0; entry && k < entry->uses.count; k++) {
		const struct image_shape *s = &p->shapes[uses[k].shape];

		if (s->hang == HANG_EXACT && s->side == RULE_ALLOW)
			return true;
	}
	return false;
}

bool policy_vet_answer(const struct policy *p, const char *name,
		       const struct addr *a, enum policy_reason *ret_reason,
		       uint32_t *ret_rule)
{
	struct policy_question q = { .ask = POLICY_ASK_LOOKUP, .name = name };
	enum addr_class class = guard_class(a, NULL);
	struct facts f = no_facts;

	*ret_rule = POLICY_NO_RULE;
	*ret_reason = POLICY_R_MALFORMED;
	if (!well_formed(&q))
		return false;
	*ret_reason = POLICY_R_GUARD;
	if (class != ADDR_PUBLIC && class != ADDR_PRIVATE)
		return false;
	visit_addr(p, &q, RULE_ALLOW, a, &f);
	visit_deny_addr(p, &q, a, &f);
	if (f.deny != POLICY_NO_RULE) {
		*ret_reason = POLICY_R_DENY_RULE;
		*ret_rule = f.deny;
		return false;
	}
	if (class == ADDR_PUBLIC)
		return true;
	visit_names(p, &q, name, &f);
	*ret_reason = POLICY_R_PRIVATE;
	return f.opener != POLICY_NO_RULE || f.name_private != POLICY_NO_RULE;
}
