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

#include "policy/image.h"

static int add_text(const char *data, size_t len, void *arg)
{
	struct sbuf *b = arg;

	sbuf_add(b, data, len);
	return b->bad ? -1 : 0;
}

static json_t *rule_list(const struct policy *p, enum rule_side side)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < policy_nrules(p); i++) {
		if (image_shape(p, i)->side != side)
			continue;
		if (json_array_append_new(
			    list, json_string(policy_rule_text(p, i))) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int fill(const struct policy *p, json_t *o)
{
	bool refused = policy_get_dns_refusal(p) == POLICY_REFUSED;
	const char *mode = policy_mode_name(policy_get_mode(p));
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{ "version", json_integer(1) },
		{ "network_mode", json_string(mode) },
		{ "network_allowlist", rule_list(p, RULE_ALLOW) },
		{ "network_denylist", rule_list(p, RULE_DENY) },
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
	return rc ? -ENOMEM : 0;
}

int policy_json(const struct policy *p, struct sbuf *ret)
{
	json_t *o = json_object();
	int rc = o ? fill(p, o) : -ENOMEM;

	if (!rc && json_dump_callback(o, add_text, ret, JSON_COMPACT))
		rc = -ENOMEM;
	json_decref(o);
	return rc;
}
