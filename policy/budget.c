/* budget.c - how many bytes may go to and come from what is allowed
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A budget is a deny rule that begins to hold when its bytes are used up. So
 * it is read as one, matched as one (an address also by what it embeds), and
 * the text of that rule is what its bytes are counted under: one count for a
 * session, whatever posture or connection they belong to.
 *
 * Here are the names and the numbers. Who sees the bytes counts them (front);
 * this is looked at once for each name of a flow, and a policy has few of
 * them, so they are walked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "policy/budget.h"
#include "policy/builder.h"
#include "policy/guard.h"
#include "policy/pattern.h"

/* ---- compile ---- */

static int bad_budget(struct builder *b, const char *name, enum err_code code,
		      const char *why)
{
	return err_new(b->err, code, "budget", name, "%s", why);
}

/* As the host of a deny rule: without flags. */
static int parse_name(const char *name, struct rule *ret, struct rule_error *e)
{
	char text[LIMIT_RULE_TEXT] = "";
	size_t len = strcspn(name, "+");

	if (len >= sizeof(text))
		return rule_parse(name, RULE_DENY, ret, e);
	memcpy(text, name, len);
	return rule_parse(text, RULE_DENY, ret, e);
}

static struct image_budget *find_text(const struct builder *b, const char *text)
{
	struct image_budget *all = (void *)b->budgets.data;

	for (size_t i = 0; i < b->budgets.count; i++) {
		if (strcmp(builder_text(b, all[i].text), text) == 0)
			return &all[i];
	}
	return NULL;
}

static struct image_budget *add_budget(struct builder *b, const struct rule *r,
				       const char *text)
{
	struct image_budget out = {
		.kind = (uint8_t)r->kind,
		.protos = r->protos,
		.nports = r->nports,
		.ports = (uint32_t)b->ports.count,
		.len = r->prefix.len,
	};
	struct port_range *ports = builder_add(b, &b->ports, r->nports);
	struct image_budget *to;

	memcpy(out.addr, r->prefix.addr.b, sizeof(out.addr));
	out.text = builder_add_text(b, text);
	if (r->kind != RULE_CIDR)
		out.host = builder_add_text(b, r->name);
	to = builder_add(b, &b->budgets, 1);
	if (!ports || !to)
		return NULL;
	memcpy(ports, r->ports, r->nports * sizeof(*ports));
	*to = out;
	return to;
}

static int collect_one(struct builder *b, const struct policy_budget *budget,
		       const struct rule *r)
{
	char buf[LIMIT_RULE_TEXT];
	const char *text = rule_str(r, buf);
	struct image_budget *to = find_text(b, text);

	if (!to && b->budgets.count >= LIMIT_BUDGETS)
		return bad_budget(b, budget->name, ERR_LIMIT,
				  "too many budgets");
	if (!to)
		to = add_budget(b, r, text);
	if (!to)
		return err_sys(b->err, ENOMEM, "compile policy", "budgets");
	for (int way = 0; way < POLICY_WAYS; way++) {
		uint64_t max = budget->max[way];

		if (max > 0 && (to->max[way] == 0 || max < to->max[way]))
			to->max[way] = max;
	}
	return 0;
}

static int collect_preset(struct builder *b, const struct policy_budget *budget,
			  const char *name)
{
	const struct policy_preset *p = NULL;
	struct rule_error e;
	struct rule r;
	int rc = 0;

	for (size_t i = 0; !p && i < b->spec->npresets; i++)
		if (strcmp(b->spec->presets[i].name, name) == 0)
			p = &b->spec->presets[i];
	if (!p)
		return bad_budget(b, budget->name, ERR_INVALID,
				  "the allow-list has no such preset");
	for (size_t i = 0; rc == 0 && i < p->nrules; i++) {
		if (parse_name(p->rules[i], &r, &e) || r.kind == RULE_PRESET)
			return bad_budget(b, p->rules[i], ERR_INVALID,
					  "not a rule");
		rc = collect_one(b, budget, &r);
	}
	return rc;
}

int builder_collect_budgets(struct builder *b)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->spec->nbudgets; i++) {
		const struct policy_budget *budget = &b->spec->budgets[i];
		struct rule_error e;
		struct rule r;

		if (parse_name(budget->name, &r, &e))
			return err_new(b->err, ERR_INVALID, "budget",
				       budget->name, "at byte %zu: %s",
				       e.position, e.message);
		if (r.kind == RULE_PRESET)
			rc = collect_preset(b, budget, r.name);
		else
			rc = collect_one(b, budget, &r);
	}
	return rc;
}

/* ---- which of them hold ---- */

static bool holds_port(const struct policy *p, const struct image_budget *b,
		       const struct policy_question *q)
{
	const struct port_range *ports = p->ports + b->ports;

	if (q->ask == POLICY_ASK_LOOKUP)
		return true;
	if (!(b->protos & q->proto))
		return false;
	for (uint8_t k = 0; k < b->nports; k++) {
		if (ports[k].lo <= q->port && q->port <= ports[k].hi)
			return true;
	}
	return false;
}

static bool holds_addr(const struct image_budget *b, const struct addr *a)
{
	struct addr inner[GUARD_EMBEDDED_MAX];
	struct prefix prefix = { .len = b->len };
	size_t n = guard_embedded(a, inner);

	memcpy(prefix.addr.b, b->addr, sizeof(prefix.addr.b));
	for (size_t i = 0; i < n; i++) {
		if (prefix_contains(&prefix, &inner[i]))
			return true;
	}
	return prefix_contains(&prefix, a);
}

static bool holds_host(const struct policy *p, const struct image_budget *b,
		       const struct policy_question *q)
{
	const char *host = p->text + b->host;

	switch ((enum rule_kind)b->kind) {
	case RULE_NAME:
		return q->name && strcmp(host, q->name) == 0;
	case RULE_GLOB:
		return q->name && pattern_matches(host, q->name);
	case RULE_HOST:
		if (q->name && name_is_host_alias(q->name))
			return true;
		return q->ask == POLICY_ASK_CONNECT &&
		       guard_class(&q->addr, NULL) == ADDR_HOST_ALIAS;
	case RULE_CIDR:
		return q->ask == POLICY_ASK_CONNECT && holds_addr(b, &q->addr);
	case RULE_PRESET:
		break;
	}
	return false;
}

struct policy_budgets policy_find_budgets(const struct policy *p,
					  const struct policy_question *q)
{
	struct policy_budgets found = { { 0 } };

	for (uint32_t i = 0; i < p->head->budgets.count; i++) {
		const struct image_budget *b = &p->budgets[i];

		if (holds_port(p, b, q) && holds_host(p, b, q))
			found.bits[i / 64] |= (uint64_t)1 << i % 64;
	}
	return found;
}

/* ---- reading ---- */

size_t policy_nbudgets(const struct policy *p)
{
	return p->head->budgets.count;
}

const char *policy_budget_text(const struct policy *p, uint32_t i)
{
	return p->text + p->budgets[i].text;
}

bool policy_budget_is_named(const struct policy *p, uint32_t i)
{
	return p->budgets[i].kind != RULE_CIDR;
}

uint64_t policy_budget_max(const struct policy *p, uint32_t i,
			   enum policy_way way)
{
	return p->budgets[i].max[way];
}

void policy_say_budget(const struct policy *p, uint32_t i, struct sbuf *ret)
{
	static const char *const ways[POLICY_WAYS] = { "up", "down" };
	const char *before = "at most ";
	char size[NUM_SIZE_STRLEN];

	for (int way = 0; way < POLICY_WAYS; way++) {
		uint64_t max = p->budgets[i].max[way];

		if (max == 0)
			continue;
		sbuf_fmt(ret, "%s%s %s", before, num_size_str(max, size),
			 ways[way]);
		before = ", ";
	}
}

uint32_t policy_budget_of_rule(const struct policy *p, const char *rule)
{
	char text[LIMIT_RULE_TEXT];
	struct rule_error e;
	struct rule r;

	if (policy_nbudgets(p) == 0 || parse_name(rule, &r, &e))
		return POLICY_NO_RULE;
	(void)rule_str(&r, text);
	for (uint32_t i = 0; i < policy_nbudgets(p); i++) {
		if (strcmp(policy_budget_text(p, i), text) == 0)
			return i;
	}
	return POLICY_NO_RULE;
}

/* ---- does it belong to the list? ---- */

static bool share_ports(const struct rule *a, const struct rule *b)
{
	if (!(a->protos & b->protos))
		return false;
	for (uint8_t i = 0; i < a->nports; i++) {
		for (uint8_t k = 0; k < b->nports; k++) {
			if (a->ports[i].lo <= b->ports[k].hi &&
			    b->ports[k].lo <= a->ports[i].hi)
				return true;
		}
	}
	return false;
}

static bool allows_host(const struct rule *rule, const struct rule *budget)
{
	bool named = budget->kind == RULE_NAME || budget->kind == RULE_GLOB;

	if (named)
		return (rule->kind == RULE_NAME || rule->kind == RULE_GLOB) &&
		       pattern_implies(rule->name, budget->name);
	if (rule->kind != budget->kind)
		return false;
	return budget->kind != RULE_CIDR ||
	       prefix_covers(&rule->prefix, &budget->prefix);
}

static bool has_preset(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		const char *origin = policy_rule_origin(p, i);

		if (image_shape(p, i)->side == RULE_ALLOW && origin[0] == '@' &&
		    strcmp(origin + 1, name) == 0)
			return true;
	}
	return false;
}

bool policy_budget_fits(const struct policy *p, const char *name)
{
	struct rule budget, rule;
	struct rule_error e;

	if (policy_get_mode(p) == POLICY_BLOCKED ||
	    parse_name(name, &budget, &e))
		return false;
	if (budget.kind == RULE_PRESET)
		return has_preset(p, budget.name);
	if (policy_get_mode(p) == POLICY_OPEN && budget.kind != RULE_HOST)
		return true;
	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		policy_get_rule(p, i, &rule);
		if (rule.side == RULE_ALLOW && allows_host(&rule, &budget) &&
		    share_ports(&rule, &budget))
			return true;
	}
	return false;
}

/* ---- lists ---- */

static int list_extend(struct policy_budget **list, size_t *n, const char *name)
{
	struct policy_budget *grown;
	char *copy;

	if (*n >= LIMIT_BUDGETS)
		return -E2BIG;
	grown = reallocarray(*list, *n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*list = grown;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	grown[(*n)++] = (struct policy_budget){ .name = copy };
	return 0;
}

int policy_budget_add(struct policy_budget **list, size_t *n, const char *name,
		      enum policy_way way, uint64_t max)
{
	size_t i = 0;
	int rc = 0;

	while (i < *n && strcmp((*list)[i].name, name) != 0)
		i++;
	if (i == *n)
		rc = list_extend(list, n, name);
	if (rc)
		return rc;
	if ((*list)[i].max[way] == 0 || max < (*list)[i].max[way])
		(*list)[i].max[way] = max;
	return 0;
}

void policy_budgets_free(struct policy_budget *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)list[i].name);
	free(list);
}
