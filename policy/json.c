/* json.c - a policy as canonical JSON, one line
 * SPDX-License-Identifier: Apache-2.0
 *
 * What policy_file_parse() reads back to a policy that decides alike: rules
 * in canonical form, presets replaced by their rules.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "policy/budget.h"
#include "policy/image.h"
#include "policy/upproxy.h"

static int add_text(const char *data, size_t len, void *arg)
{
	struct sbuf *b = arg;

	sbuf_add(b, data, len);
	return b->bad ? -1 : 0;
}

static const char *const way_keys[POLICY_WAYS] = { "max_upload",
						   "max_download" };

static int set_size(json_t *o, const char *key, uint64_t size)
{
	char text[NUM_SIZE_STRLEN];

	return json_object_set_new(o, key,
				   json_string(num_size_str(size, text)));
}

static json_t *rule_object(const struct policy *p, const char *rule,
			   uint32_t budget)
{
	json_t *o = json_object();
	int rc = json_object_set_new(o, "rule", json_string(rule));

	for (enum policy_way way = POLICY_UP; way < POLICY_WAYS; way++) {
		uint64_t max = policy_budget_max(p, budget, way);

		if (max > 0)
			rc |= set_size(o, way_keys[way], max);
	}
	if (rc) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* `used`: the budgets that were said beside a rule. */
static json_t *rule_list(const struct policy *p, enum rule_side side,
			 struct policy_budgets *used)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < policy_nrules(p); i++) {
		const char *text = policy_rule_text(p, i);
		uint32_t budget = POLICY_NO_RULE;
		json_t *rule;

		if (image_shape(p, i)->side != side)
			continue;
		if (side == RULE_ALLOW)
			budget = policy_budget_of_rule(p, text);
		if (budget != POLICY_NO_RULE) {
			used->bits[budget / 64] |= (uint64_t)1 << budget % 64;
			rule = rule_object(p, text, budget);
		} else {
			rule = json_string(text);
		}
		if (json_array_append_new(list, rule) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* The budgets of hosts that no rule is written for; left out if none. */
static int fill_sizes(const struct policy *p, json_t *o, enum policy_way way,
		      const struct policy_budgets *used)
{
	json_t *sizes = json_object();
	int rc = sizes ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < policy_nbudgets(p); i++) {
		uint64_t max = policy_budget_max(p, i, way);

		if (max > 0 && !(used->bits[i / 64] >> (i % 64) & 1))
			rc |= set_size(sizes, policy_budget_text(p, i), max);
	}
	if (rc || json_object_size(sizes) == 0) {
		json_decref(sizes);
		return rc;
	}
	return json_object_set_new(o, way_keys[way], sizes);
}

static int fill(const struct policy *p, json_t *o)
{
	bool refused = policy_get_dns_refusal(p) == POLICY_REFUSED;
	const char *mode = policy_mode_name(policy_get_mode(p));
	struct policy_budgets used = { { 0 } };
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{ "version", json_integer(1) },
		{ "network_mode", json_string(mode) },
		{ "network_allowlist", rule_list(p, RULE_ALLOW, &used) },
		{ "network_denylist", rule_list(p, RULE_DENY, &used) },
		{ "network_ceiling", json_null() },
		{ "upstream_proxy", json_null() },
		{ "dns_refusal",
		  json_string(refused ? "refused" : "nxdomain") },
		{ "require_names", json_boolean(policy_get_require_names(p)) },
	};
	int rc = 0;

	/* each value is consumed, also by a call that fails */
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		rc |= json_object_set_new(o, members[i].key, members[i].value);
	for (enum policy_way way = POLICY_UP; way < POLICY_WAYS; way++)
		rc |= fill_sizes(p, o, way, &used);
	return rc ? -ENOMEM : 0;
}

static const char *by_word(const struct upproxy *u)
{
	return u->by == UPPROXY_BY_NAME ? "name" : "address";
}

/* Exceptions may stand alone: another part of the options names the proxy. */
static int fill_upstream(json_t *o, const struct policy_upstream *u)
{
	json_t *direct = json_array();
	char url[UPPROXY_URL];
	int rc = direct ? 0 : -ENOMEM;

	if (u->proxy && u->proxy->kind != UPPROXY_NONE) {
		rc |= json_object_set_new(
			o, "upstream_proxy",
			json_string(upproxy_url(u->proxy, url)));
		rc |= json_object_set_new(o, "upstream_by",
					  json_string(by_word(u->proxy)));
		rc |= json_object_set_new(o, "upstream_dns",
					  json_string(u->proxy->dns ? "proxy" :
								      "local"));
	}
	for (uint32_t i = 0; u->direct && i < policy_nrules(u->direct); i++)
		rc |= json_array_append_new(
			direct, json_string(policy_rule_text(u->direct, i)));
	if (rc || json_array_size(direct) == 0) {
		json_decref(direct);
		return rc ? -ENOMEM : 0;
	}
	return json_object_set_new(o, "upstream_direct", direct);
}

int policy_json(const struct policy *p, struct sbuf *ret)
{
	const struct policy_upstream none = { NULL, NULL };

	return policy_json_with(p, &none, ret);
}

int policy_json_with(const struct policy *p, const struct policy_upstream *u,
		     struct sbuf *ret)
{
	json_t *o = json_object();
	int rc = o ? fill(p, o) : -ENOMEM;

	if (!rc)
		rc = fill_upstream(o, u);
	if (!rc && json_dump_callback(o, add_text, ret, JSON_COMPACT))
		rc = -ENOMEM;
	json_decref(o);
	return rc;
}
