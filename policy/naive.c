/* naive.c - the verdict by a linear walk: what policy_decide() is held against
 * SPDX-License-Identifier: Apache-2.0
 *
 * Written from the contract, not from decide.c: it reads typed rules only and
 * shares no step with it but the classes of addresses.
 */
#include "policy/policy.h"

#include <string.h>

#include "policy/guard.h"

static bool ports_match(const struct rule *r, const struct policy_question *q)
{
	bool found = false;

	for (unsigned i = 0; i < r->nports; i++)
		found = found || (q->port >= r->ports[i].lo &&
				  q->port <= r->ports[i].hi);
	return found && (r->protos & q->proto) == q->proto;
}

static bool cidr_matches(const struct rule *r, const struct addr *a)
{
	return r->kind == RULE_CIDR &&
	       addr_is_v4(&r->prefix.addr) == addr_is_v4(a) &&
	       prefix_contains(&r->prefix, a);
}

static bool is_alias(const char *name)
{
	return name && (strcmp(name, "host.exeat.internal") == 0 ||
			strcmp(name, "host.docker.internal") == 0);
}

/* Either name of the host is denied by what denies one of them. */
static bool deny_matches_name(const struct rule *r, const char *name)
{
	if (!name)
		return false;
	if (is_alias(name))
		return rule_matches_name(r, "host.exeat.internal") ||
		       rule_matches_name(r, "host.docker.internal");
	return rule_matches_name(r, name);
}

static bool deny_matches(const struct rule *r, const struct policy_question *q,
			 bool has_addr, enum addr_class class)
{
	struct addr inner[GUARD_EMBEDDED_MAX];
	size_t n;

	if (q->ask == POLICY_ASK_LOOKUP)
		return r->lookup && deny_matches_name(r, q->name);
	if (!ports_match(r, q))
		return false;
	if (deny_matches_name(r, q->name) ||
	    (class == ADDR_HOST_ALIAS &&
	     deny_matches_name(r, "host.exeat.internal")))
		return true;
	if (!has_addr)
		return false;
	if (cidr_matches(r, &q->addr))
		return true;
	n = guard_embedded(&q->addr, inner);
	for (size_t i = 0; i < n; i++) {
		if (cidr_matches(r, &inner[i]))
			return true;
	}
	return false;
}

static struct policy_verdict refuse(enum policy_reason reason, uint32_t rule)
{
	return (struct policy_verdict){ .reason = reason, .rule = rule };
}

/* The first allow rule for the host's loopback. */
static struct policy_verdict host_verdict(const struct policy *p,
					  const struct policy_question *q)
{
	struct policy_verdict v = refuse(POLICY_R_DEFAULT, POLICY_NO_RULE);
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		policy_get_rule(p, i, &r);
		if (r.side != RULE_ALLOW || r.kind != RULE_HOST)
			continue;
		if (q->ask == POLICY_ASK_CONNECT && !ports_match(&r, q))
			continue;
		v.reason = POLICY_R_RULE;
		v.rule = i;
		v.host_alias = true;
		v.by_address = q->ask == POLICY_ASK_CONNECT;
		v.allow = true;
		break;
	}
	return v;
}

struct walk {
	uint32_t by_name, by_addr;	/* rules that let it by */
	bool named, covered;		/* would, were it not private */
	bool private_ok;
	bool some_name_has_port;
};

static void walk_rule(const struct rule *r, uint32_t i,
		      const struct policy_question *q, bool has_addr,
		      bool is_private, struct walk *w)
{
	bool name_rule = r->kind == RULE_NAME || r->kind == RULE_GLOB;
	bool connect = q->ask == POLICY_ASK_CONNECT;
	bool private_flag = r->flags & RULE_PRIVATE;

	if (connect && !ports_match(r, q))
		return;
	w->some_name_has_port |= name_rule;
	if (name_rule && q->name && !is_alias(q->name) &&
	    rule_matches_name(r, q->name)) {
		w->named = true;
		w->private_ok |= private_flag;
		if ((!is_private || private_flag) &&
		    w->by_name == POLICY_NO_RULE)
			w->by_name = i;
	}
	if (connect && has_addr && cidr_matches(r, &q->addr)) {
		w->covered = true;
		if ((!is_private || guard_inside_private(&r->prefix)) &&
		    w->by_addr == POLICY_NO_RULE)
			w->by_addr = i;
	}
}

static struct walk walk_allow(const struct policy *p,
			      const struct policy_question *q, bool has_addr,
			      bool is_private)
{
	struct walk w = { .by_name = POLICY_NO_RULE,
			  .by_addr = POLICY_NO_RULE };
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		policy_get_rule(p, i, &r);
		if (r.side == RULE_ALLOW)
			walk_rule(&r, i, q, has_addr, is_private, &w);
	}
	return w;
}

static struct policy_verdict by_rules(const struct policy *p,
				      const struct policy_question *q,
				      bool has_addr, bool is_private)
{
	struct walk w = walk_allow(p, q, has_addr, is_private);
	bool open = policy_get_mode(p) == POLICY_OPEN;
	bool strict = policy_get_require_names(p);
	bool connect = q->ask == POLICY_ASK_CONNECT;
	struct policy_verdict v = { .allow = true, .rule = POLICY_NO_RULE };

	v.private_ok = w.private_ok;
	v.by_address = w.by_addr != POLICY_NO_RULE ||
		       (open && !strict && !is_private);
	if (w.by_name != POLICY_NO_RULE || w.by_addr != POLICY_NO_RULE) {
		v.reason = POLICY_R_RULE;
		v.rule = w.by_name != POLICY_NO_RULE ? w.by_name : w.by_addr;
		return v;
	}
	v.reason = POLICY_R_OPEN;
	if (open && !is_private) {
		if (!connect || !strict)
			return v;
		if (!q->name || is_alias(q->name))
			return refuse(POLICY_R_NO_NAME, POLICY_NO_RULE);
		if (q->proto == RULE_UDP && q->port == 443)
			return refuse(POLICY_R_PROTOCOL, POLICY_NO_RULE);
		return v;
	}
	if (is_private && (open || w.named || w.covered))
		return refuse(POLICY_R_PRIVATE, POLICY_NO_RULE);
	if (connect && !q->name && w.some_name_has_port)
		return refuse(POLICY_R_NO_NAME, POLICY_NO_RULE);
	return refuse(POLICY_R_DEFAULT, POLICY_NO_RULE);
}

static bool is_sound(const struct policy_question *q)
{
	char name[LIMIT_NAME + 1];

	if (q->name && (!name_canonical(q->name, strlen(q->name), name) ||
			strcmp(q->name, name) != 0))
		return false;
	if (q->ask == POLICY_ASK_LOOKUP)
		return q->name != NULL;
	return (q->proto == RULE_TCP || q->proto == RULE_UDP) && q->port > 0;
}

struct policy_verdict policy_decide_naive(const struct policy *p,
					  const struct policy_question *q)
{
	static const struct addr none;
	enum addr_class class = ADDR_PUBLIC;
	bool has_addr = q->ask == POLICY_ASK_CONNECT;
	struct rule r;

	if (!is_sound(q))
		return refuse(POLICY_R_MALFORMED, POLICY_NO_RULE);
	if (q->learnt == POLICY_NAME_PROXY && q->name &&
	    addr_equal(&q->addr, &none))
		has_addr = false;
	if (has_addr)
		class = guard_class(&q->addr, NULL);
	if (class == ADDR_GUARDED || class == ADDR_RESOLVER ||
	    (q->name && guard_name(q->name)))
		return refuse(POLICY_R_GUARD, POLICY_NO_RULE);
	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		policy_get_rule(p, i, &r);
		if (r.side == RULE_DENY && deny_matches(&r, q, has_addr, class))
			return refuse(POLICY_R_DENY_RULE, i);
	}
	if (policy_get_mode(p) == POLICY_BLOCKED)
		return refuse(POLICY_R_BLOCKED, POLICY_NO_RULE);
	if (class == ADDR_HOST_ALIAS || (!has_addr && is_alias(q->name)))
		return host_verdict(p, q);
	return by_rules(p, q, has_addr, class == ADDR_PRIVATE);
}
