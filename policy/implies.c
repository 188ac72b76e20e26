/* implies.c - rules compared: which names one matches, which bounds another
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/guard.h"
#include "policy/pattern.h"
#include "policy/rule.h"

bool rule_equal(const struct rule *a, const struct rule *b)
{
	bool same = a->side == b->side && a->kind == b->kind &&
		    a->protos == b->protos && a->flags == b->flags &&
		    a->lookup == b->lookup && a->nports == b->nports &&
		    a->ports_given == b->ports_given &&
		    a->proto_given == b->proto_given &&
		    a->prefix.len == b->prefix.len;

	for (unsigned i = 0; same && i < a->nports; i++)
		same = a->ports[i].lo == b->ports[i].lo &&
		       a->ports[i].hi == b->ports[i].hi;
	return same && strcmp(a->name, b->name) == 0 &&
	       addr_equal(&a->prefix.addr, &b->prefix.addr);
}

bool rule_matches_name(const struct rule *r, const char *name)
{
	switch (r->kind) {
	case RULE_NAME:
		return strcmp(r->name, name) == 0;
	case RULE_GLOB:
		return pattern_matches(r->name, name);
	case RULE_HOST:
		return name_is_host_alias(name);
	case RULE_CIDR:
	case RULE_PRESET:
		break;
	}
	return false;
}

bool rule_fits_open(const struct rule *r)
{
	switch (r->kind) {
	case RULE_HOST:
		return true;
	case RULE_CIDR:
		return guard_inside_private(&r->prefix);
	case RULE_NAME:
	case RULE_GLOB:
		return r->flags & RULE_PRIVATE;
	case RULE_PRESET:
		break;
	}
	return false;
}

static bool ports_imply(const struct rule *outer, const struct rule *inner)
{
	for (uint8_t i = 0; i < inner->nports; i++) {
		bool found = false;

		for (uint8_t k = 0; k < outer->nports && !found; k++)
			found = outer->ports[k].lo <= inner->ports[i].lo &&
				inner->ports[i].hi <= outer->ports[k].hi;
		if (!found)
			return false;
	}
	return true;
}

static bool cidr_implies(const struct rule *outer, const struct rule *inner)
{
	/* what lies inside a private range opens it, a wider one does not */
	bool opens = inner->side == RULE_ALLOW &&
		     guard_inside_private(&inner->prefix);

	if (addr_is_v4(&outer->prefix.addr) != addr_is_v4(&inner->prefix.addr))
		return false;
	if (opens && !guard_inside_private(&outer->prefix))
		return false;
	return prefix_covers(&outer->prefix, &inner->prefix);
}

static bool host_implies(const struct rule *outer, const struct rule *inner)
{
	switch (outer->kind) {
	case RULE_NAME:
		return inner->kind == RULE_NAME &&
		       strcmp(outer->name, inner->name) == 0;
	case RULE_GLOB:
		if (inner->kind == RULE_HOST && outer->side == RULE_DENY)
			return pattern_matches(outer->name, HOST_ALIAS_NAME) &&
			       pattern_matches(outer->name, HOST_ALIAS_OTHER);
		return (inner->kind == RULE_NAME || inner->kind == RULE_GLOB) &&
		       pattern_implies(outer->name, inner->name);
	case RULE_CIDR:
		return inner->kind == RULE_CIDR && cidr_implies(outer, inner);
	case RULE_HOST:
		return inner->kind == RULE_HOST;
	case RULE_PRESET:
		return inner->kind == RULE_PRESET &&
		       strcmp(outer->name, inner->name) == 0;
	}
	return false;
}

bool rule_implies(const struct rule *outer, const struct rule *inner)
{
	if (outer->side != inner->side || inner->lookup > outer->lookup)
		return false;
	if ((inner->protos & outer->protos) != inner->protos)
		return false;
	if ((inner->flags & RULE_PRIVATE) && !(outer->flags & RULE_PRIVATE))
		return false;
	return ports_imply(outer, inner) && host_implies(outer, inner);
}
