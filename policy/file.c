/* file.c - the policy file (JSON)
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/file.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "policy/jread.h"

void policy_file_done(struct policy_file *f)
{
	strings_free(f->allow);
	strings_free(f->deny);
	policy_budgets_free(f->budgets, f->nbudgets);
	strings_free(f->direct);
	upproxy_wipe(&f->upstream);
	if (f->ceiling) {
		policy_file_done(f->ceiling);
		free(f->ceiling);
	}
	memset(f, 0, sizeof(*f));
}

/* ---- budgets ---- */

static const char *const way_keys[POLICY_WAYS] = { "max_upload",
						   "max_download" };

/* One limit of `name`, if the key is there: a number, or a text with K, M, G. */
static int read_size(const struct jread *j, const char *key, const char *name,
		     enum policy_way way, struct policy_file *f)
{
	const json_t *v = jread_get(j, key);
	uint64_t size = 0;
	int rc;

	if (!v)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) > 0)
		size = (uint64_t)json_integer_value(v);
	else if (!json_is_string(v) || !num_size(json_string_value(v), &size))
		size = 0;
	if (size == 0)
		return jread_wrong(j, key, SIZE_MAX,
				   "a size above 0 was expected: bytes, or "
				   "\"10K\", \"10M\", \"1G\"");
	rc = policy_budget_add(&f->budgets, &f->nbudgets, name, way, size);
	if (rc == -E2BIG)
		return jread_fail(j, ERR_LIMIT, key, SIZE_MAX,
				  "too many budgets");
	return rc ? err_sys(j->err, -rc, j->step, "%s", key) : 0;
}

/* Those of hosts that no rule of the list is written for: name to size. */
static int read_sizes(const struct jread *j, enum policy_way way,
		      struct policy_file *f)
{
	const json_t *v = jread_get(j, way_keys[way]);
	const char *name;
	struct jread in;
	json_t *size;
	int rc;

	if (!v)
		return 0;
	rc = jread_enter(j, way_keys[way], SIZE_MAX, v, &in);
	if (rc)
		return rc;
	json_object_foreach((json_t *)(uintptr_t)v, name, size) {
		struct rule_error e;
		struct rule r;

		if (rule_parse(name, RULE_DENY, &r, &e))
			return jread_wrong(&in, name, SIZE_MAX,
					   "at byte %zu: %s", e.position,
					   e.message);
		rc = read_size(&in, name, name, way, f);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- the upstream proxy ---- */

/* No part of the URL is shown: there may be a password in it. */
static int read_upstream_url(const struct jread *j, struct policy_file *f)
{
	const json_t *v = jread_get(j, "upstream_proxy");
	struct upproxy_error e;

	if (!v)
		return 0;
	if (!json_is_string(v))
		return jread_wrong(j, "upstream_proxy", SIZE_MAX,
				   "a URL was expected");
	if (strlen(json_string_value(v)) != json_string_length(v))
		return jread_wrong(j, "upstream_proxy", SIZE_MAX, "a NUL byte");
	if (upproxy_parse(json_string_value(v), &f->upstream, &e))
		return jread_wrong(j, "upstream_proxy", SIZE_MAX,
				   "at byte %zu: %s%s%s", e.position, e.message,
				   e.remedy[0] ? "; " : "", e.remedy);
	return 0;
}

/* One of a proxy's choices; *ret "" if it is not there. */
static int read_choice(const struct jread *j, const char *key, bool has_proxy,
		       const char **ret)
{
	const json_t *v = jread_get(j, key);

	*ret = "";
	if (!v)
		return 0;
	if (!has_proxy)
		return jread_wrong(j, key, SIZE_MAX,
				   "has no meaning without upstream_proxy");
	if (!json_is_string(v))
		return jread_wrong(j, key, SIZE_MAX, "a string was expected");
	*ret = json_string_value(v);
	return 0;
}

static int read_upstream(const struct jread *j, struct policy_file *f)
{
	int rc = read_upstream_url(j, f);
	const bool has = f->upstream.kind != UPPROXY_NONE;
	const char *by = "", *dns = "", *why;

	if (!rc)
		rc = read_choice(j, "upstream_by", has, &by);
	if (!rc)
		rc = read_choice(j, "upstream_dns", has, &dns);
	if (rc || !has)
		return rc;
	why = upproxy_choose(&f->upstream, by[0] ? by : NULL,
			     dns[0] ? dns : NULL);
	if (why)
		return jread_wrong(j, by[0] ? "upstream_by" : "upstream_dns",
				   SIZE_MAX, "%s", why);
	return 0;
}

static int add_direct(struct policy_file *f, const char *text)
{
	char **texts = reallocarray(f->direct, f->ndirect + 2, sizeof(*texts));

	if (!texts)
		return -ENOMEM;
	f->direct = texts;
	texts[f->ndirect + 1] = NULL;
	texts[f->ndirect] = strdup(text);
	return texts[f->ndirect++] ? 0 : -ENOMEM;
}

/* A rule that says it: as the deny rule that holds for just what it allows. */
static int read_direct(const struct jread *j, enum rule_side side,
		       struct policy_file *f)
{
	const json_t *v = jread_get(j, "upstream_proxy");
	const char *text = json_string_value(jread_get(j, "rule"));
	char direct[LIMIT_RULE_TEXT];
	struct rule_error e;
	struct rule r;

	if (!v)
		return 0;
	if (!json_is_string(v) || strcmp(json_string_value(v), "direct") != 0)
		return jread_wrong(j, "upstream_proxy", SIZE_MAX,
				   "a rule can only say \"direct\"");
	if (side == RULE_DENY)
		return jread_wrong(j, "upstream_proxy", SIZE_MAX,
				   "a deny rule goes nowhere");
	/* what is wrong with it is told where rules are read */
	if (rule_parse(text, side, &r, &e) || r.kind == RULE_HOST)
		return 0;
	r.side = RULE_DENY;
	r.flags = 0;
	r.lookup = false;
	r.ports_given = r.proto_given = r.kind != RULE_PRESET;
	if (add_direct(f, rule_str(&r, direct)) < 0)
		return err_sys(j->err, ENOMEM, j->step, "upstream_proxy");
	return 0;
}

/* ---- rules ---- */

/* A rule with something beside it. Borrows *ret. */
static int read_rule_object(const struct jread *j, enum rule_side side,
			    struct policy_file *f, const char **ret)
{
	static const char *const keys[] = { "rule",	      "comment",
					    "max_upload",     "max_download",
					    "upstream_proxy", NULL };
	const json_t *comment = jread_get(j, "comment");
	const json_t *rule = jread_get(j, "rule");
	int rc = jread_known(j, keys);

	if (rc)
		return rc;
	if (comment && !json_is_string(comment))
		return jread_wrong(j, "comment", SIZE_MAX,
				   "a string was expected");
	if (!json_is_string(rule))
		return jread_wrong(j, "rule", SIZE_MAX,
				   "a string was expected");
	*ret = json_string_value(rule);
	for (enum policy_way way = POLICY_UP; way < POLICY_WAYS; way++) {
		if (side == RULE_DENY && jread_get(j, way_keys[way]))
			return jread_wrong(j, way_keys[way], SIZE_MAX,
					   "a deny rule has no budget");
		rc = read_size(j, way_keys[way], *ret, way, f);
		if (rc)
			return rc;
	}
	return read_direct(j, side, f);
}

static int read_rule(const struct jread *j, const char *key, size_t i,
		     const json_t *value, enum rule_side side,
		     struct policy_file *f, char **ret)
{
	const char *text = json_string_value(value);
	struct rule_error e;
	struct rule r;

	if (json_is_object(value)) {
		struct jread in;
		int rc = jread_enter(j, key, i, value, &in);

		if (!rc)
			rc = read_rule_object(&in, side, f, &text);
		if (rc)
			return rc;
	}
	if (!text)
		return jread_wrong(j, key, i,
				   "a rule, or an object with one, "
				   "was expected");
	if (rule_parse(text, side, &r, &e))
		return jread_wrong(j, key, i, "\"%.80s\" at byte %zu: %s", text,
				   e.position, e.message);
	*ret = strdup(text);
	return *ret ? 0 : err_sys(j->err, ENOMEM, j->step, "%s", key);
}

static int read_rules(const struct jread *j, const char *key,
		      enum rule_side side, struct policy_file *f, char ***ret,
		      size_t *ret_n)
{
	const json_t *v = jread_get(j, key);
	char **out;
	size_t n = json_array_size(v);

	if (!v)
		return 0;
	if (!json_is_array(v))
		return jread_wrong(j, key, SIZE_MAX, "an array was expected");
	if (n > LIMIT_RULES)
		return jread_wrong(j, key, SIZE_MAX, "too many rules");
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		return err_sys(j->err, ENOMEM, j->step, "%s", key);
	*ret = out;
	for (size_t i = 0; i < n; i++) {
		int rc = read_rule(j, key, i, json_array_get(v, i), side, f,
				   &out[i]);

		if (rc)
			return rc;
	}
	*ret_n = n;
	return 0;
}

static int read_version(const struct jread *j)
{
	const json_t *v = jread_get(j, "version");

	if (json_is_integer(v) && json_integer_value(v) == 1)
		return 0;
	return jread_wrong(j, "version", SIZE_MAX, "1 was expected");
}

static int read_mode(const struct jread *j, struct policy_file *f)
{
	const json_t *v = jread_get(j, "network_mode");

	if (!v)
		return 0;
	if (!json_is_string(v) ||
	    !policy_mode_parse(json_string_value(v), &f->mode))
		return jread_wrong(j, "network_mode", SIZE_MAX,
				   "one of "
				   "blocked, allowlist, open was expected");
	f->has_mode = true;
	return 0;
}

static int read_dns_refusal(const struct jread *j, struct policy_file *f)
{
	const json_t *v = jread_get(j, "dns_refusal");
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	if (s && strcmp(s, "nxdomain") == 0)
		f->dns_refusal = POLICY_NXDOMAIN;
	else if (s && strcmp(s, "refused") == 0)
		f->dns_refusal = POLICY_REFUSED;
	else
		return jread_wrong(j, "dns_refusal", SIZE_MAX,
				   "one of nxdomain, refused was expected");
	return 0;
}

static int read_policy(const struct jread *j, struct policy_file *f);

/* A ceiling of a ceiling says nothing, so it ends there. */
static int read_ceiling(const struct jread *j, struct policy_file *f)
{
	const json_t *v = jread_get(j, "network_ceiling");
	struct jread in;
	int rc;

	if (!v)
		return 0;
	if (j->path[0])
		return jread_wrong(j, "network_ceiling", SIZE_MAX,
				   "a ceiling has no ceiling");
	rc = jread_enter(j, "network_ceiling", SIZE_MAX, v, &in);
	if (rc)
		return rc;
	f->ceiling = calloc(1, sizeof(*f->ceiling));
	if (!f->ceiling)
		return err_sys(j->err, ENOMEM, j->step, "network_ceiling");
	rc = read_policy(&in, f->ceiling);
	if (!rc && (f->ceiling->upstream.kind || f->ceiling->ndirect))
		return jread_wrong(j, "network_ceiling", SIZE_MAX,
				   "a ceiling has no upstream_proxy");
	return rc;
}

static int read_policy(const struct jread *j, struct policy_file *f)
{
	static const char *const keys[] = {
		"version",	     "network_mode",
		"network_allowlist", "network_denylist",
		"network_ceiling",   "upstream_proxy",
		"upstream_by",	     "upstream_dns",
		"upstream_direct",   "dns_refusal",
		"require_names",     "max_upload",
		"max_download",	     NULL
	};
	int rc = jread_known(j, keys);

	if (!rc && (!j->path[0] || jread_get(j, "version")))
		rc = read_version(j);
	if (!rc)
		rc = read_mode(j, f);
	/* first: rules of the allow-list may be added to it */
	if (!rc)
		rc = read_rules(j, "upstream_direct", RULE_DENY, f, &f->direct,
				&f->ndirect);
	if (!rc)
		rc = read_rules(j, "network_allowlist", RULE_ALLOW, f,
				&f->allow, &f->nallow);
	if (!rc)
		rc = read_rules(j, "network_denylist", RULE_DENY, f, &f->deny,
				&f->ndeny);
	for (enum policy_way way = POLICY_UP; !rc && way < POLICY_WAYS; way++)
		rc = read_sizes(j, way, f);
	if (!rc)
		rc = read_dns_refusal(j, f);
	if (!rc)
		rc = jread_bool(j, "require_names", &f->require_names);
	if (!rc)
		rc = read_upstream(j, f);
	if (!rc)
		rc = read_ceiling(j, f);
	f->has_allow = f->allow != NULL;
	return rc;
}

int policy_file_parse(const char *text, size_t len, struct policy_file *ret,
		      struct err *err)
{
	struct policy_file f = { 0 };
	struct jread j;
	json_t *root;
	int rc;

	if (len > LIMIT_POLICY_FILE)
		return err_new(err, ERR_LIMIT, "policy file", NULL,
			       "more than %d bytes", LIMIT_POLICY_FILE);
	rc = jread_text(text, len, "policy file", &root, &j, err);
	if (rc)
		return rc;
	rc = read_policy(&j, &f);
	json_decref(root);
	if (rc) {
		policy_file_done(&f);
		return rc;
	}
	*ret = f;
	return 0;
}
