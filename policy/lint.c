/* lint.c - rules that open more than they seem to
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A drain is a host of many tenants: who allows it lets data out to people
 * whom the rule does not name. Those known are data, policy/drains.json. An
 * entry has hosts, why, what to do, and what tells tenants apart:
 *
 *	"by": "name"	their names. To allow one of them is no matter; a
 *			wildcard that holds for a stranger's, is
 *	"by": "path"	something behind the name: any rule for it opens all
 *
 * Both sides are compiled, and each is asked about names of the other: the
 * policy about a stranger's name under each drain ("*" said as a label), the
 * drains by path (they are a deny-list) about the name of each rule. So it
 * costs one look-up for each of them, not one for each pair.
 */
#include "policy/lint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/budget.h"
#include "policy/image.h"
#include "policy/jread.h"
#include "policy/pattern.h"

struct drain {
	const char *reason, *advice; /* borrowed from `root` */
	bool by_path;
	char **hosts;
};

struct lint {
	const struct policy *p;
	void (*each)(void *user, const struct policy_warning *w);
	void *user;
	int count;
	json_t *root;
	struct drain *drains;
	size_t ndrains;
	uint32_t *found; /* of each rule: drain + 1, or 0 */
	void *image;	 /* the drains by path, as deny rules */
	struct policy *by_path;
	uint32_t *drain_of; /* of each rule of these */
};

/* ---- the data ---- */

static int read_drain(const struct jread *j, struct drain *ret)
{
	static const char *const keys[] = { "hosts", "by", "reason", "advice",
					    NULL };
	const char *by = json_string_value(jread_get(j, "by"));
	int rc = jread_known(j, keys);

	ret->reason = json_string_value(jread_get(j, "reason"));
	ret->advice = json_string_value(jread_get(j, "advice"));
	if (rc || !by || !ret->reason || !ret->advice)
		return -EINVAL;
	ret->by_path = strcmp(by, "path") == 0;
	return jread_strings(j, "hosts", &ret->hosts);
}

static int read_drains(struct lint *l)
{
	struct jread j, in;
	const json_t *list;
	int rc = jread_text(policy_drains, strlen(policy_drains), "drains",
			    &l->root, &j, NULL);

	if (rc)
		return rc;
	list = jread_get(&j, "drains");
	l->ndrains = json_array_size(list);
	l->drains = calloc(l->ndrains + 1, sizeof(*l->drains));
	if (!l->drains)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < l->ndrains; i++) {
		rc = jread_enter(&j, "drains", i, json_array_get(list, i), &in);
		if (!rc)
			rc = read_drain(&in, &l->drains[i]);
	}
	return rc;
}

static size_t count_hosts(const struct lint *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->ndrains; i++) {
		for (char **h = l->drains[i].hosts; *h; h++)
			n++;
	}
	return n;
}

/* A host that is there twice would be one rule: it is an error of the data. */
static int compile_paths(struct lint *l)
{
	struct policy_spec spec = { .mode = POLICY_OPEN };
	size_t max = count_hosts(l), len;
	const char **hosts = calloc(max + 1, sizeof(*hosts));
	int rc = -ENOMEM;

	l->drain_of = calloc(max + 1, sizeof(*l->drain_of));
	for (size_t i = 0; hosts && l->drain_of && i < l->ndrains; i++) {
		for (char **h = l->drains[i].hosts; l->drains[i].by_path && *h;
		     h++) {
			l->drain_of[spec.ndeny] = (uint32_t)i;
			hosts[spec.ndeny++] = *h;
		}
	}
	spec.deny = hosts;
	if (hosts && l->drain_of)
		rc = policy_compile(&spec, &l->image, &len, NULL);
	free(hosts);
	if (!rc)
		rc = policy_new(l->image, len, &l->by_path);
	if (!rc && policy_nrules(l->by_path) != spec.ndeny)
		rc = -EINVAL;
	return rc;
}

/* ---- drains ---- */

/* A name that the pattern holds for, and that nobody is known to have. */
static bool sample(const char *pattern, char ret[LIMIT_NAME + 1])
{
	size_t n = 0;

	for (; *pattern; pattern++) {
		if (n >= LIMIT_NAME)
			return false;
		ret[n++] = *pattern == '*' ? 'x' : *pattern;
	}
	ret[n] = '\0';
	return name_is_canonical(ret);
}

static bool is_bounded(const struct policy *p, const char *name)
{
	const struct policy_question q = { .ask = POLICY_ASK_LOOKUP,
					   .name = name };
	const struct policy_budgets none = { { 0 } };
	struct policy_budgets found = policy_find_budgets(p, &q);

	return memcmp(&found, &none, sizeof(none)) != 0;
}

static void note(struct lint *l, uint32_t rule, size_t drain, const char *name)
{
	if (!l->found[rule] && !is_bounded(l->p, name) &&
	    policy_budget_of_rule(l->p, policy_rule_text(l->p, rule)) ==
		    POLICY_NO_RULE)
		l->found[rule] = (uint32_t)drain + 1;
}

/* Every allow rule that holds for the name. */
static void note_name(struct lint *l, const char *name, size_t drain)
{
	const struct policy *p = l->p;
	struct image_cut cuts[IMAGE_CUTS];
	size_t n = image_cut(p, name, cuts);

	for (size_t i = 0; i < n; i++) {
		const struct image_name *entry =
			image_find_name(p, name + cuts[i].at, cuts[i].hash);
		const struct image_use *uses =
			entry ? image_uses(p, &entry->uses) : NULL;

		for (uint32_t k = 0; entry && k < entry->uses.count; k++) {
			const struct image_shape *s = &p->shapes[uses[k].shape];
			const char *host =
				p->text + p->rules[uses[k].rule].host;

			if (s->side == RULE_ALLOW &&
			    pattern_matches(host, name))
				note(l, uses[k].rule, drain, name);
		}
	}
}

static void find_drains(struct lint *l)
{
	char name[LIMIT_NAME + 1];
	struct rule r;
	uint32_t deny;

	for (size_t i = 0; i < l->ndrains; i++) {
		for (char **h = l->drains[i].hosts; *h; h++) {
			if (sample(*h, name))
				note_name(l, name, i);
		}
	}
	for (uint32_t i = 0; i < policy_nrules(l->p); i++) {
		policy_get_rule(l->p, i, &r);
		if (r.side == RULE_ALLOW &&
		    (r.kind == RULE_NAME || r.kind == RULE_GLOB) &&
		    sample(r.name, name) &&
		    policy_name_denied(l->by_path, name, &deny) &&
		    deny != POLICY_NO_RULE)
			note(l, i, l->drain_of[deny], name);
	}
}

/* ---- what a rule itself says ---- */

static void warn(struct lint *l, uint32_t rule, const char *reason,
		 const char *advice)
{
	const struct policy_warning w = { rule, reason, advice };

	l->count++;
	l->each(l->user, &w);
}

static bool all_ports(const struct rule *r)
{
	return r->nports == 1 && r->ports[0].lo == 1 &&
	       r->ports[0].hi == UINT16_MAX;
}

static void check_wildcard(struct lint *l, uint32_t i, const struct rule *r)
{
	if (pattern_is_shared(r->name))
		warn(l, i, "anybody can register a name below this suffix",
		     "name the hosts that are meant");
	else if (r->flags & RULE_WIDE)
		warn(l, i, "a wildcard over what belongs to many (+wide)",
		     "name the hosts that are meant");
}

static void check_range(struct lint *l, uint32_t i, const struct rule *r)
{
	bool v4 = r->prefix.len >= 96 && addr_is_v4(&r->prefix.addr);

	if (v4 ? r->prefix.len < 96 + 16 : r->prefix.len < 32)
		warn(l, i,
		     v4 ? "a range wider than /16: strangers are in it" :
			  "a range wider than /32: strangers are in it",
		     "write the ranges that are meant");
}

static void check_rules(struct lint *l)
{
	struct rule r;

	for (uint32_t i = 0; i < policy_nrules(l->p); i++) {
		policy_get_rule(l->p, i, &r);
		if (r.side == RULE_DENY)
			continue;
		if (l->found[i]) {
			const struct drain *d = &l->drains[l->found[i] - 1];

			warn(l, i, d->reason, d->advice);
		}
		if (r.kind == RULE_GLOB && !l->found[i])
			check_wildcard(l, i, &r);
		if (r.kind != RULE_CIDR && all_ports(&r))
			warn(l, i, "all ports",
			     "write the ports that are meant");
		if (r.kind == RULE_CIDR)
			check_range(l, i, &r);
	}
}

static void lint_done(struct lint *l)
{
	for (size_t i = 0; l->drains && i < l->ndrains; i++)
		strings_free(l->drains[i].hosts);
	free(l->drains);
	free(l->found);
	free(l->drain_of);
	policy_free(l->by_path);
	free(l->image);
	json_decref(l->root);
}

int policy_lint(const struct policy *p,
		void (*each)(void *user, const struct policy_warning *w),
		void *user)
{
	struct lint l = { .p = p, .each = each, .user = user };
	int rc = read_drains(&l);

	if (!rc)
		rc = compile_paths(&l);
	if (!rc) {
		l.found = calloc(policy_nrules(p) + 1, sizeof(*l.found));
		rc = l.found ? 0 : -ENOMEM;
	}
	if (!rc) {
		find_drains(&l);
		check_rules(&l);
	}
	lint_done(&l);
	return rc ? rc : l.count;
}
