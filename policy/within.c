/* within.c - is one policy bounded by another?
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each rule is held against the few rules of the other policy that its host
 * leads to by the hashes of the image, so the question stays cheap for large
 * lists. It may say no where several rules together would cover one; never
 * yes where something gets wider.
 */
#include <string.h>

#include "policy/image.h"
#include "policy/pattern.h"

/* *next: where to begin, and where to the next time. */
static bool uses_imply(const struct policy *p, const struct image_uses *l,
		       const struct rule *inner, uint32_t *next)
{
	const struct image_use *uses = image_uses(p, l);
	struct rule outer;

	for (uint32_t n = 0; n < l->count; n++) {
		uint32_t k = (*next + n) % l->count;

		if (p->shapes[uses[k].shape].side != inner->side)
			continue;
		policy_get_rule(p, uses[k].rule, &outer);
		if (rule_implies(&outer, inner)) {
			if (l->count > 1)
				*next = k + 1;
			return true;
		}
	}
	return false;
}

/* Every rule that hangs on `text` or a shorter suffix of it. */
static bool suffix_implies(const struct policy *p, const char *text,
			   const struct rule *inner, uint32_t *next)
{
	struct image_cut cuts[IMAGE_CUTS];
	size_t n = image_cut(p, text, cuts);

	while (n-- > 0) { /* few hang on the longest */
		const struct image_name *entry =
			image_find_name(p, text + cuts[n].at, cuts[n].hash);

		if (entry && uses_imply(p, &entry->uses, inner, next))
			return true;
	}
	return false;
}

static bool cidr_implied(const struct policy *p, const struct rule *inner)
{
	const struct image_head *h = p->head;
	uint32_t next = 0;

	for (uint32_t i = 0; i < h->nlengths[inner->side]; i++) {
		uint8_t len = h->lengths[inner->side][i];
		const struct image_cidr *entry;
		struct prefix key;

		if (len > inner->prefix.len)
			continue;
		key = prefix_make(&inner->prefix.addr, len);
		entry = image_find_cidr(p, inner->side, &key);
		if (entry && uses_imply(p, &entry->uses, inner, &next))
			return true;
	}
	return false;
}

static bool implied(const struct policy *p, const struct rule *inner,
		    uint32_t *next)
{
	bool plain;

	if (inner->kind == RULE_CIDR)
		return cidr_implied(p, inner);
	return suffix_implies(p, pattern_literal_suffix(inner->name, &plain),
			      inner, next);
}

/* Has mode open it without a rule? */
static bool open_has(const struct policy *outer, const struct rule *r)
{
	if (policy_get_mode(outer) != POLICY_OPEN || rule_fits_open(r))
		return false;
	/* an address rule lets flows without a name by */
	return !(policy_get_require_names(outer) && r->kind == RULE_CIDR);
}

bool policy_implies_rule(const struct policy *p, const struct rule *r,
			 uint32_t *next)
{
	return open_has(p, r) || implied(p, r, next);
}

static bool allows_within(const struct policy *outer,
			  const struct policy *inner, uint32_t *ret_rule)
{
	uint32_t next = 0;
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(inner); i++) {
		policy_get_rule(inner, i, &r);
		if (r.side != RULE_ALLOW)
			continue;
		if (!policy_implies_rule(outer, &r, &next)) {
			*ret_rule = i;
			return false;
		}
	}
	return true;
}

static bool denies_as_much(const struct policy *outer,
			   const struct policy *inner)
{
	uint32_t next = 0;
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(outer); i++) {
		policy_get_rule(outer, i, &r);
		if (r.side == RULE_DENY && !implied(inner, &r, &next))
			return false;
	}
	return true;
}

bool policy_denies_names_as(const struct policy *p, const struct policy *q)
{
	uint32_t next = 0;
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(q); i++) {
		policy_get_rule(q, i, &r);
		if (r.side == RULE_DENY && r.kind != RULE_CIDR &&
		    !implied(p, &r, &next))
			return false;
	}
	return true;
}

bool policy_within(const struct policy *outer, const struct policy *inner,
		   uint32_t *ret_rule)
{
	*ret_rule = POLICY_NO_RULE;
	if (policy_get_mode(inner) == POLICY_BLOCKED ||
	    policy_equal(outer, inner))
		return true;
	if (policy_get_mode(inner) > policy_get_mode(outer))
		return false;
	if (policy_get_mode(inner) == POLICY_OPEN &&
	    policy_get_require_names(outer) && !policy_get_require_names(inner))
		return false;
	return denies_as_much(outer, inner) &&
	       allows_within(outer, inner, ret_rule);
}
