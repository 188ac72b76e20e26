/* fuzz_preset.c - preset files, and URLs out of a tool's settings
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "policy/preset.h"
#include "policy/rule.h"
#include "tests/fuzz/fuzz.h"

static void check_url(const char *url)
{
	char rule[LIMIT_RULE_TEXT], *stripped;
	size_t size = strlen(url) + 1;
	struct rule_error e;
	struct rule r;

	if (preset_url_rule(url, true, rule, sizeof(rule))) {
		assert(rule_parse(rule, RULE_ALLOW, &r, &e) == 0);
		assert(r.kind == RULE_NAME || r.kind == RULE_CIDR);
	}
	stripped = malloc(size);
	assert(stripped);
	if (preset_url_strip(url, stripped, size)) {
		size_t start = (size_t)(strstr(stripped, "://") - stripped) + 3;
		size_t len = strcspn(stripped + start, "/?#\\");

		assert(!memchr(stripped + start, '@', len));
	}
	free(stripped);
}

static void check_tool(const struct preset_tool *t, const char *key)
{
	char env[64];

	for (size_t i = 0; i < t->nsettings; i++) {
		(void)preset_key_matches(&t->settings[i], key);
		if (preset_env_name(&t->settings[i], key, env, sizeof(env)))
			assert(strlen(env) < sizeof(env) && !strchr(env, '='));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	const char *cursor = text, *url;
	struct preset p;
	size_t len;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (preset_parse((const char *)data, size, &p, NULL) == 0) {
		assert(p.name && p.title && p.rules);
		if (p.tool)
			check_tool(p.tool, text);
		preset_done(&p);
	}
	check_url(text);
	while (preset_next_url(&cursor, &url, &len)) {
		assert(len > 0 && url >= text && url + len <= text + size);
		assert(cursor > url || cursor == url + len);
	}
	free(text);
	return 0;
}
