/* preset.c - presets: data files in, settings of package managers to rules
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/preset.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/num.h"
#include "policy/jread.h"
#include "policy/rule.h"

static void setting_done(struct preset_setting *s)
{
	free(s->key);
	free(s->env);
}

static void tool_free(struct preset_tool *t)
{
	if (!t)
		return;
	free(t->program);
	strings_free(t->files);
	strings_free(t->ask);
	strings_free(t->watch);
	strings_free(t->watch_env);
	for (size_t i = 0; i < t->nsettings; i++)
		setting_done(&t->settings[i]);
	free(t->settings);
	free(t);
}

void preset_done(struct preset *p)
{
	free(p->name);
	free(p->title);
	strings_free(p->rules);
	tool_free(p->tool);
	memset(p, 0, sizeof(*p));
}

/* ---- parsing ---- */

static bool one_star_at_most(const char *s)
{
	const char *star = strchr(s, '*');

	return !star || !strchr(star + 1, '*');
}

static int read_setting(const struct jread *j, struct preset_setting *s)
{
	static const char *const keys[] = { "key",    "env",	  "url", "path",
					    "secret", "replaces", NULL };
	int rc = jread_known(j, keys);

	if (!rc)
		rc = jread_string(j, "key", true, &s->key);
	if (!rc)
		rc = jread_string(j, "env", false, &s->env);
	if (!rc)
		rc = jread_bool(j, "url", &s->url);
	if (!rc)
		rc = jread_bool(j, "path", &s->path);
	if (!rc)
		rc = jread_bool(j, "secret", &s->secret);
	if (!rc)
		rc = jread_bool(j, "replaces", &s->replaces);
	if (rc)
		return rc;
	if (!s->key[0] || !one_star_at_most(s->key))
		return jread_wrong(j, "key", SIZE_MAX,
				   "a key, with one * at most, was expected");
	if (s->env &&
	    (!s->env[0] || strchr(s->env, '=') || !one_star_at_most(s->env)))
		return jread_wrong(j, "env", SIZE_MAX,
				   "the name of a variable was expected");
	if (s->env && !strchr(s->env, '*') && strchr(s->key, '*'))
		return jread_wrong(j, "env", SIZE_MAX,
				   "one variable cannot "
				   "hold many keys: put a * into it");
	return 0;
}

static int read_settings(const struct jread *j, struct preset_tool *t)
{
	const json_t *v = jread_get(j, "settings");

	if (!v)
		return 0;
	if (!json_is_array(v))
		return jread_wrong(j, "settings", SIZE_MAX,
				   "an array was expected");
	t->settings = calloc(json_array_size(v) + 1, sizeof(*t->settings));
	if (!t->settings)
		return err_sys(j->err, ENOMEM, j->step, "settings");
	for (size_t i = 0; i < json_array_size(v); i++) {
		struct jread in;
		int rc = jread_enter(j, "settings", i, json_array_get(v, i),
				     &in);

		t->nsettings = i + 1;
		if (!rc)
			rc = read_setting(&in, &t->settings[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int read_format(const struct jread *j, enum preset_format *ret)
{
	static const char *const names[] = {
		[PRESET_JSON] = "json",
		[PRESET_LINES] = "lines",
		[PRESET_URLS] = "urls",
	};
	const json_t *v = jread_get(j, "format");
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	for (size_t i = 0; s && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(s, names[i]) == 0) {
			*ret = (enum preset_format)i;
			return 0;
		}
	}
	return jread_wrong(j, "format", SIZE_MAX,
			   "one of json, lines, urls was expected");
}

static int read_tool(const struct jread *j, struct preset_tool *t)
{
	static const char *const keys[] = { "program",	"files", "ask",
					    "format",	"watch", "watch_env",
					    "settings", NULL };
	int rc = jread_known(j, keys);

	if (!rc)
		rc = jread_string(j, "program", true, &t->program);
	if (!rc)
		rc = jread_strings(j, "files", &t->files);
	if (!rc)
		rc = jread_strings(j, "ask", &t->ask);
	if (!rc)
		rc = read_format(j, &t->format);
	if (!rc)
		rc = jread_strings(j, "watch", &t->watch);
	if (!rc)
		rc = jread_strings(j, "watch_env", &t->watch_env);
	if (!rc)
		rc = read_settings(j, t);
	if (rc)
		return rc;
	if (t->ask[0] && !jread_get(j, "format"))
		return jread_wrong(j, "format", SIZE_MAX,
				   "is needed beside \"ask\"");
	return 0;
}

static int check_rules(const struct jread *j, const struct preset *p)
{
	enum rule_side side = p->deny_only ? RULE_DENY : RULE_ALLOW;

	for (size_t i = 0; p->rules[i]; i++) {
		struct rule_error e;
		struct rule r;

		if (rule_parse(p->rules[i], side, &r, &e))
			return jread_wrong(j, "rules", i, "at byte %zu: %s",
					   e.position, e.message);
		if (r.kind == RULE_PRESET)
			return jread_wrong(j, "rules", i,
					   "a preset within a preset");
	}
	return 0;
}

/* What "@name" can say. */
static int check_name(const struct jread *j, const struct preset *p)
{
	char text[LIMIT_NAME];
	size_t len = strlen(p->name);
	struct rule_error e;
	struct rule r;

	if (len < sizeof(text) - 1) {
		text[0] = '@';
		memcpy(text + 1, p->name, len + 1);
		if (rule_parse(text, RULE_ALLOW, &r, &e) == 0)
			return 0;
	}
	return jread_wrong(j, "name", SIZE_MAX,
			   "lower case letters, digits, "
			   "- and _ were expected");
}

static int read_preset(const struct jread *j, struct preset *p)
{
	static const char *const keys[] = { "name",	 "title", "rules",
					    "deny_only", "tool",  NULL };
	const json_t *tool = jread_get(j, "tool");
	struct jread in;
	int rc = jread_known(j, keys);

	if (!rc)
		rc = jread_string(j, "name", true, &p->name);
	if (!rc)
		rc = jread_string(j, "title", true, &p->title);
	if (!rc)
		rc = jread_bool(j, "deny_only", &p->deny_only);
	if (!rc)
		rc = jread_strings(j, "rules", &p->rules);
	if (!rc)
		rc = check_name(j, p);
	if (!rc)
		rc = check_rules(j, p);
	if (rc || !tool)
		return rc;
	rc = jread_enter(j, "tool", SIZE_MAX, tool, &in);
	if (rc)
		return rc;
	p->tool = calloc(1, sizeof(*p->tool));
	if (!p->tool)
		return err_sys(j->err, ENOMEM, j->step, "%s", p->name);
	return read_tool(&in, p->tool);
}

int preset_parse(const char *text, size_t len, struct preset *ret,
		 struct err *err)
{
	struct preset p = { 0 };
	struct jread j;
	json_t *root;
	int rc = jread_text(text, len, "preset", &root, &j, err);

	if (rc)
		return rc;
	rc = read_preset(&j, &p);
	json_decref(root);
	if (rc) {
		preset_done(&p);
		return rc;
	}
	*ret = p;
	return 0;
}

/* ---- settings ---- */

bool preset_key_matches(const struct preset_setting *s, const char *key)
{
	const char *star = strchr(s->key, '*');
	size_t before, after;
	size_t len = strlen(key);

	if (!star)
		return strcmp(s->key, key) == 0;
	before = (size_t)(star - s->key);
	after = strlen(star + 1);
	return len >= before + after && strncmp(key, s->key, before) == 0 &&
	       strcmp(key + len - after, star + 1) == 0;
}

bool preset_env_name(const struct preset_setting *s, const char *key, char *ret,
		     size_t size)
{
	const char *star = s->env ? strchr(s->env, '*') : NULL;
	struct wbuf w;

	if (!s->env || size == 0)
		return false;
	for (const char *p = key; *p; p++) {
		if (*p == '=' || (unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	}
	w = wbuf_make(ret, size - 1);
	wbuf_bytes(&w, s->env, star ? (size_t)(star - s->env) : strlen(s->env));
	if (star) {
		wbuf_bytes(&w, key, strlen(key));
		wbuf_bytes(&w, star + 1, strlen(star + 1));
	}
	ret[w.bad ? 0 : wbuf_len(&w)] = '\0';
	return !w.bad;
}

/* ---- URLs (RFC 3986 3) ---- */

struct url {
	size_t scheme;	       /* length before "://" */
	const char *authority; /* behind it */
	const char *host;      /* behind user:pw@ */
	const char *end;       /* of the authority */
};

static bool url_split(const char *text, struct url *ret)
{
	const char *colon = strstr(text, "://");

	if (!colon || colon == text)
		return false;
	for (const char *p = text; p < colon; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') ||
			      (*p >= 'A' && *p <= 'Z');

		if (!letter && (p == text || !strchr("0123456789+-.", *p)))
			return false;
	}
	ret->scheme = (size_t)(colon - text);
	ret->authority = colon + 3;
	ret->end = ret->authority + strcspn(ret->authority, "/?#\\");
	ret->host = ret->authority;
	for (const char *p = ret->authority; p < ret->end; p++) {
		if (*p == '@')
			ret->host = p + 1;
	}
	return true;
}

/* The port behind the host, `otherwise` if there is none; 0: not one. */
static uint16_t url_port(const struct url *u, const char **ret_host_end,
			 uint16_t otherwise)
{
	const char *colon = u->end;
	const char *p;
	uint64_t v;

	while (colon > u->host && colon[-1] >= '0' && colon[-1] <= '9')
		colon--;
	if (colon == u->host || colon[-1] != ':') {
		*ret_host_end = u->end;
		return otherwise;
	}
	*ret_host_end = colon - 1;
	p = colon;
	if (colon == u->end) /* "host:" */
		return otherwise;
	return num_parse_u64(&p, UINT16_MAX, &v) && p == u->end ? (uint16_t)v :
								  0;
}

static bool put_rule(const char *host, size_t len, uint16_t port,
		     bool private_ok, struct rule *ret)
{
	char text[LIMIT_RULE_TEXT];
	struct rule_error e;
	struct sbuf b;
	bool ok;

	/* first alone, to learn what it is */
	if (len == 0 || len >= sizeof(text) || memchr(host, '*', len))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (rule_parse(text, RULE_DENY, ret, &e) || ret->ports_given)
		return false;
	if (ret->kind == RULE_CIDR ? ret->prefix.len != 128 :
				     ret->kind != RULE_NAME)
		return false;

	sbuf_init(&b, LIMIT_RULE_TEXT);
	if (ret->kind == RULE_CIDR)
		sbuf_fmt(&b, "tcp/%s:%u", text, port);
	else if (port == 443 || port == 80)
		sbuf_str(&b, text);
	else
		sbuf_fmt(&b, "%s:%u", text, port);
	if (private_ok && ret->kind == RULE_NAME)
		sbuf_str(&b, "+private");
	ok = !b.bad && rule_parse(b.s, RULE_ALLOW, ret, &e) == 0;
	sbuf_done(&b);
	return ok;
}

bool preset_url_rule(const char *url, bool private_ok, char *ret, size_t size)
{
	char text[LIMIT_RULE_TEXT];
	const char *host_end;
	struct rule r;
	struct url u;
	uint16_t port;
	size_t len;

	if (!url_split(url, &u))
		return false;
	if (u.scheme == 5 && strncasecmp(url, "https", 5) == 0)
		port = 443;
	else if (u.scheme == 4 && strncasecmp(url, "http", 4) == 0)
		port = 80;
	else
		return false;
	port = url_port(&u, &host_end, port);
	if (port == 0 || !put_rule(u.host, (size_t)(host_end - u.host), port,
				   private_ok, &r))
		return false;
	len = strlen(rule_str(&r, text)) + 1;
	if (len > size)
		return false;
	memcpy(ret, text, len);
	return true;
}

bool preset_url_strip(const char *url, char *ret, size_t size)
{
	struct url u;
	struct wbuf w;

	if (size == 0 || !url_split(url, &u))
		return false;
	w = wbuf_make(ret, size - 1);
	wbuf_bytes(&w, url, (size_t)(u.authority - url));
	wbuf_bytes(&w, u.host, strlen(u.host));
	ret[w.bad ? 0 : wbuf_len(&w)] = '\0';
	return !w.bad;
}

bool preset_next_url(const char **cursor, const char **ret, size_t *ret_len)
{
	static const char between[] = " \t\r\n,|";
	const char *p = *cursor + strspn(*cursor, between);
	size_t len = strcspn(p, between);
	const char *named = memchr(p, '=', len);
	const char *scheme = strstr(p, "://");

	*cursor = p + len;
	if (len == 0)
		return false;
	/* "name=https://..." */
	if (named && scheme && named < scheme && scheme < p + len) {
		len -= (size_t)(named + 1 - p);
		p = named + 1;
	}
	*ret = p;
	*ret_len = len;
	return true;
}
