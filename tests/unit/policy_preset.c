/* policy_preset.c - preset files, the ones compiled in, settings to rules
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/pattern.h"
#include "policy/preset.h"
#include "policy/rule.h"

static void reads_builtins(void **unused)
{
	size_t n = 0;

	(void)unused;
	for (; preset_builtins[n].name; n++) {
		const struct preset_builtin *b = &preset_builtins[n];
		struct preset p;
		struct err err = { 0 };
		char line[1024];

		if (preset_parse(b->json, strlen(b->json), &p, &err) != 0)
			fail_msg("%s: %s", b->name,
				 err_str(&err, line, sizeof(line)));
		assert_string_equal(p.name, b->name);
		assert_true(p.rules[0] || p.tool);
		if (n > 0)
			assert_true(strcmp(preset_builtins[n - 1].name,
					   b->name) < 0);
		/* narrow: no wildcard that anybody can register under */
		for (size_t i = 0; p.rules[i]; i++) {
			bool plain;
			const char *suffix =
				pattern_literal_suffix(p.rules[i], &plain);

			assert_false(suffix != p.rules[i] &&
				     pattern_is_public(p.rules[i]));
		}
		preset_done(&p);
	}
	assert_int_equal(n, 16);
}

static void tools_without_hosts(void **unused)
{
	static const char *const names[] = { "npm", "debian" };

	(void)unused;
	for (size_t i = 0; preset_builtins[i].name; i++) {
		const struct preset_builtin *b = &preset_builtins[i];
		struct preset p;

		if (strcmp(b->name, names[0]) != 0 &&
		    strcmp(b->name, names[1]) != 0)
			continue;
		assert_int_equal(
			preset_parse(b->json, strlen(b->json), &p, NULL), 0);
		assert_null(p.rules[0]);
		assert_non_null(p.tool);
		assert_non_null(p.tool->ask[0]);
		preset_done(&p);
	}
}

static void reads_a_tool(void **unused)
{
	static const char text[] =
		"{\"name\":\"x\",\"title\":\"X\",\"rules\":[\"a.test\"],"
		"\"tool\":{\"program\":\"xt\",\"files\":[\"~/.x\"],"
		"\"ask\":[\"xt\",\"show\"],\"format\":\"lines\","
		"\"watch\":[\"/etc/x\"],\"watch_env\":[\"X_*\"],"
		"\"settings\":[{\"key\":\"index\",\"env\":\"X_INDEX\","
		"\"url\":true,\"replaces\":true},"
		"{\"key\":\"token\",\"secret\":true}]}}";
	struct preset p;

	(void)unused;
	assert_int_equal(preset_parse(text, strlen(text), &p, NULL), 0);
	assert_string_equal(p.title, "X");
	assert_false(p.deny_only);
	assert_string_equal(p.rules[0], "a.test");
	assert_string_equal(p.tool->program, "xt");
	assert_string_equal(p.tool->files[0], "~/.x");
	assert_string_equal(p.tool->ask[1], "show");
	assert_null(p.tool->ask[2]);
	assert_int_equal(p.tool->format, PRESET_LINES);
	assert_string_equal(p.tool->watch[0], "/etc/x");
	assert_string_equal(p.tool->watch_env[0], "X_*");
	assert_int_equal(p.tool->nsettings, 2);
	assert_true(p.tool->settings[0].url && p.tool->settings[0].replaces);
	assert_true(p.tool->settings[1].secret);
	assert_null(p.tool->settings[1].env);
	preset_done(&p);
	preset_done(&p); /* twice does no harm */
}

static void refuses_files(void **unused)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{", "line 1" },
		{ "{\"title\":\"\"}", "name: line 1 column 1: a string" },
		{ "{\"name\":\"x\"}", "title: line 1 column 1: a string" },
		{ "{\"name\":\"X\",\"title\":\"\"}",
		  "name: line 1 column 2: lower case" },
		{ "{\"name\":\"\",\"title\":\"\"}",
		  "name: line 1 column 2: lower case" },
		{ "{\"name\":\"x\",\"title\":\"\",\"y\":1}",
		  "y: line 1 column 24: unknown" },
		{ "{\"name\":\"x\",\"title\":\"\",\"rules\":[\"a b\"]}",
		  "rules[0]: line 1 column 33: at byte 1" },
		{ "{\"name\":\"x\",\"title\":\"\",\"rules\":[\"@y\"]}",
		  "rules[0]: line 1 column 33: a preset within" },
		{ "{\"name\":\"x\",\"title\":\"\",\"rules\":[\"*\"]}",
		  "rules[0]" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{}}",
		  "tool.program" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{\"program\":\"p\","
		  "\"ask\":[\"p\"]}}",
		  "tool.format" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{\"program\":\"p\","
		  "\"format\":\"xml\"}}",
		  "tool.format" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{\"program\":\"p\","
		  "\"settings\":[{}]}}",
		  "tool.settings[0].key" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{\"program\":\"p\","
		  "\"settings\":[{\"key\":\"a*b*\"}]}}",
		  "tool.settings[0].key" },
		{ "{\"name\":\"x\",\"title\":\"\",\"tool\":{\"program\":\"p\","
		  "\"settings\":[{\"key\":\"a*\",\"env\":\"E\"}]}}",
		  "tool.settings[0].env" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct preset p;
		struct err err = { 0 };
		char line[1024];

		assert_int_not_equal(preset_parse(rows[i].text,
						  strlen(rows[i].text), &p,
						  &err),
				     0);
		err_str(&err, line, sizeof(line));
		if (!strstr(line, rows[i].says))
			fail_msg("%s: %s", rows[i].text, line);
	}
}

static void keys_and_variables(void **unused)
{
	char key[] = "@*:registry", env[] = "npm_config_*", fixed[] = "E";
	struct preset_setting s = { .key = key, .env = env };
	char buf[32];

	(void)unused;
	assert_true(preset_key_matches(&s, "@corp:registry"));
	assert_false(preset_key_matches(&s, "registry"));
	assert_false(preset_key_matches(&s, "@corp:registry2"));
	assert_false(preset_key_matches(&s, "@registry"));
	assert_true(preset_env_name(&s, "@corp:registry", buf, sizeof(buf)));
	assert_string_equal(buf, "npm_config_@corp:registry");
	assert_false(preset_env_name(&s, "@corp=x:registry", buf, sizeof(buf)));
	assert_false(preset_env_name(&s, "@corp\n:registry", buf, sizeof(buf)));
	assert_false(preset_env_name(&s, "@corp:registry", buf, 20));
	s.env = fixed;
	assert_true(preset_env_name(&s, "key", buf, sizeof(buf)));
	assert_string_equal(buf, "E");
	s.env = NULL;
	assert_false(preset_env_name(&s, "key", buf, sizeof(buf)));
}

static void urls_to_rules(void **unused)
{
	static const struct {
		const char *url, *rule, *stripped; /* NULL: none */
	} rows[] = {
		{ "https://a.test/simple/", "a.test+private",
		  "https://a.test/simple/" },
		{ "HTTP://A.Test", "a.test+private", "HTTP://A.Test" },
		{ "https://a.test:443", "a.test+private",
		  "https://a.test:443" },
		{ "https://a.test:/x", "a.test+private", "https://a.test:/x" },
		{ "http://a.test:8081/x", "a.test:8081+private",
		  "http://a.test:8081/x" },
		{ "https://u:p@a.test:8443/x?y#z", "a.test:8443+private",
		  "https://a.test:8443/x?y#z" },
		{ "https://u:p@q@a.test/x@y", "a.test+private",
		  "https://a.test/x@y" },
		{ "http://10.0.0.1/x", "tcp/10.0.0.1:80", "http://10.0.0.1/x" },
		{ "https://u@10.0.0.1:8080", "tcp/10.0.0.1:8080",
		  "https://10.0.0.1:8080" },
		{ "https://[2001:db8::1]/", "tcp/[2001:db8::1]:443",
		  "https://[2001:db8::1]/" },
		{ "https://[2001:db8::1]:8443/", "tcp/[2001:db8::1]:8443",
		  "https://[2001:db8::1]:8443/" },
		{ "socks5://u:p@a.test:1080", NULL, "socks5://a.test:1080" },
		{ "file:///opt/wheels", NULL, "file:///opt/wheels" },
		{ "/opt/wheels", NULL, NULL },
		{ "direct", NULL, NULL },
		{ "", NULL, NULL },
		{ "https://", NULL, "https://" },
		{ "https:///x", NULL, "https:///x" },
		{ "https://*.a.test/", NULL, "https://*.a.test/" },
		{ "https://a.test:99999/", NULL, "https://a.test:99999/" },
		{ "https://a.test:0/", NULL, "https://a.test:0/" },
		{ "https://a.test:x/", NULL, "https://a.test:x/" },
		{ "https://a b/", NULL, "https://a b/" },
		{ "https://a.test%2f/", NULL, "https://a.test%2f/" },
		{ "https://evil.test\\@a.test/", "evil.test+private",
		  "https://evil.test\\@a.test/" },
		{ "https://10.0.0.0/8", "tcp/10.0.0.0:443",
		  "https://10.0.0.0/8" },
		{ "https://host.exeat.internal/", NULL,
		  "https://host.exeat.internal/" },
		{ "https://0x7f.1/", NULL, "https://0x7f.1/" },
		{ "1http://a.test", NULL, NULL },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char rule[LIMIT_RULE_TEXT] = "", strip[256] = "";
		bool ok =
			preset_url_rule(rows[i].url, true, rule, sizeof(rule));

		if (ok != (rows[i].rule != NULL) ||
		    (ok && strcmp(rule, rows[i].rule) != 0))
			fail_msg("%s: %d %s", rows[i].url, ok, rule);
		ok = preset_url_strip(rows[i].url, strip, sizeof(strip));
		if (ok != (rows[i].stripped != NULL) ||
		    (ok && strcmp(strip, rows[i].stripped) != 0))
			fail_msg("%s: %d %s", rows[i].url, ok, strip);
	}
	assert_false(
		preset_url_rule("https://a.test", true, (char[4]){ 0 }, 4));
}

static void several_urls(void **unused)
{
	const char *cursor = " https://a.test/x|direct, https://b.test\n"
			     "corp=https://c.test/y?z=1 ";
	static const char *const want[] = {
		"https://a.test/x",
		"direct",
		"https://b.test",
		"https://c.test/y?z=1",
	};
	const char *url;
	size_t len, n = 0;

	(void)unused;
	while (preset_next_url(&cursor, &url, &len)) {
		assert_true(n < 4);
		assert_int_equal(len, strlen(want[n]));
		assert_memory_equal(url, want[n], len);
		n++;
	}
	assert_int_equal(n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_builtins),
		cmocka_unit_test(tools_without_hosts),
		cmocka_unit_test(reads_a_tool),
		cmocka_unit_test(refuses_files),
		cmocka_unit_test(keys_and_variables),
		cmocka_unit_test(urls_to_rules),
		cmocka_unit_test(several_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
