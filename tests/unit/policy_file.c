/* policy_file.c - policy files and rule lists, good and bad
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/file.h"

static void reads_all_keys(void **unused)
{
	static const char text[] =
		"{\"version\": 1, \"network_mode\": \"allowlist\",\n"
		" \"network_allowlist\": [\"@pypi\", \"github.com:22\",\n"
		"  {\"rule\": \"api.example.com\", \"comment\": \"why\",\n"
		"   \"max_upload\": null}],\n"
		" \"network_denylist\": [\"10.0.0.0/8\"],\n"
		" \"network_ceiling\": {\"network_mode\": \"open\",\n"
		"   \"network_denylist\": [\"evil.test\"]},\n"
		" \"upstream_proxy\": null, \"dns_refusal\": \"refused\",\n"
		" \"require_names\": true}\n";
	struct policy_file f;
	struct err err = { 0 };

	(void)unused;
	assert_int_equal(policy_file_parse(text, strlen(text), &f, &err), 0);
	assert_true(f.has_mode && f.has_allow && f.require_names);
	assert_int_equal(f.mode, POLICY_ALLOWLIST);
	assert_int_equal(f.dns_refusal, POLICY_REFUSED);
	assert_int_equal(f.nallow, 3);
	assert_string_equal(f.allow[0], "@pypi");
	assert_string_equal(f.allow[2], "api.example.com");
	assert_null(f.allow[3]);
	assert_int_equal(f.ndeny, 1);
	assert_non_null(f.ceiling);
	assert_int_equal(f.ceiling->mode, POLICY_OPEN);
	assert_false(f.ceiling->has_allow);
	assert_string_equal(f.ceiling->deny[0], "evil.test");
	policy_file_done(&f);
}

static void reads_budgets(void **unused)
{
	static const char text[] =
		"{\"version\": 1, \"network_allowlist\": [\"c.test\",\n"
		"  {\"rule\": \"a.test:22\", \"max_upload\": \"10M\",\n"
		"   \"max_download\": 77}],\n"
		" \"max_upload\": {\"b.test\": \"1k\", \"a.test:22\": 9},\n"
		" \"max_download\": {\"b.test\": \"2G\"}}";
	struct policy_file f;

	(void)unused;
	assert_int_equal(policy_file_parse(text, strlen(text), &f, NULL), 0);
	assert_int_equal(f.nallow, 2);
	assert_int_equal(f.nbudgets, 2);
	assert_string_equal(f.budgets[0].name, "a.test:22");
	/* of two for the same the lower one */
	assert_int_equal(f.budgets[0].max[POLICY_UP], 9);
	assert_int_equal(f.budgets[0].max[POLICY_DOWN], 77);
	assert_string_equal(f.budgets[1].name, "b.test");
	assert_int_equal(f.budgets[1].max[POLICY_UP], 1024);
	assert_int_equal(f.budgets[1].max[POLICY_DOWN], 2LL << 30);
	policy_file_done(&f);
}

static void what_is_missing(void **unused)
{
	static const char text[] =
		"{\"version\":1,\"network_mode\":null,"
		"\"network_allowlist\":null,\"network_ceiling\":null}";
	static const char empty[] = "{\"version\":1,\"network_allowlist\":[]}";
	struct policy_file f;

	(void)unused;
	assert_int_equal(policy_file_parse(text, strlen(text), &f, NULL), 0);
	assert_false(f.has_mode || f.has_allow);
	assert_int_equal(f.dns_refusal, POLICY_NXDOMAIN);
	assert_null(f.ceiling);
	policy_file_done(&f);
	/* an empty list is a list */
	assert_int_equal(policy_file_parse(empty, strlen(empty), &f, NULL), 0);
	assert_true(f.has_allow);
	assert_int_equal(f.nallow, 0);
	policy_file_done(&f);
}

static const struct {
	const char *text;
	enum err_code code;
	const char *says; /* in the whole line */
} bad_files[] = {
	{ "", ERR_INVALID, "line 1" },
	{ "[]", ERR_INVALID, "object was expected" },
	{ "{\"version\":1", ERR_INVALID, "line 1 column" },
	{ "{\"version\":1}x", ERR_INVALID, "line 1 column 14" },
	{ "{\"version\":1,\n\"a\":}", ERR_INVALID, "line 2 column" },
	{ "{\"version\":1,\"version\":1}", ERR_INVALID, "uplicate" },
	{ "{}", ERR_INVALID, "version" },
	{ "{\"version\":2}", ERR_INVALID, "version" },
	{ "{\"version\":\"1\"}", ERR_INVALID, "version" },
	{ "{\"version\":1,\"mode\":\"open\"}", ERR_INVALID,
	  "mode: line 1 column 14: unknown key" },
	{ "{\"version\":1,\"network_mode\":\"Open\"}", ERR_INVALID,
	  "network_mode: line 1 column 14: one of" },
	{ "{\"version\":1,\"network_allowlist\":\"a\"}", ERR_INVALID,
	  "network_allowlist: line 1 column 14: an array" },
	{ "{\"version\":1,\"network_allowlist\":[\"a\",1]}", ERR_INVALID,
	  "network_allowlist[1]: line 1 column 39: a rule" },
	{ "{\"version\":1,\"network_allowlist\":[\"a\",\"b c\"]}", ERR_INVALID,
	  "column 39: \"b c\" at byte 1" },
	{ "{\"version\":1,\"network_denylist\":[\"a\\u0000b\"]}", ERR_INVALID,
	  "line 1" },
	{ "{\"version\":1,\"network_denylist\":[\"a+private\"]}", ERR_INVALID,
	  "network_denylist[0]" },
	{ "{\"version\":1,\"network_allowlist\":[{\"comment\":\"x\"}]}",
	  ERR_INVALID,
	  "network_allowlist[0].rule: line 1 column 35: a string" },
	{ "{\"version\":1,\"network_allowlist\":[{\"rule\":\"a\","
	  "\"x\":1}]}",
	  ERR_INVALID,
	  "network_allowlist[0].x: line 1 column 47: unknown key" },
	{ "{\"version\":1,\"network_allowlist\":[{\"rule\":\"a\","
	  "\"max_upload\":\"1X\"}]}",
	  ERR_INVALID,
	  "network_allowlist[0].max_upload: line 1 column 47: a size" },
	{ "{\"version\":1,\"network_allowlist\":[{\"rule\":\"a\","
	  "\"max_download\":0}]}",
	  ERR_INVALID, "network_allowlist[0].max_download" },
	{ "{\"version\":1,\"network_denylist\":[{\"rule\":\"a\","
	  "\"max_upload\":1}]}",
	  ERR_INVALID, "max_upload: line 1 column 46: a deny rule" },
	{ "{\"version\":1,\"max_upload\":\"1M\"}", ERR_INVALID,
	  "max_upload: line 1 column 14: an object" },
	{ "{\"version\":1,\"max_upload\":{\"a b\":1}}", ERR_INVALID,
	  "max_upload.a b: line 1 column 28: at byte 1" },
	{ "{\"version\":1,\"max_download\":{\"a\":-1}}", ERR_INVALID,
	  "max_download.a: line 1 column 30: a size" },
	{ "{\"version\":1,\"network_allowlist\":[{\"rule\":\"a\","
	  "\"upstream_proxy\":\"http://p:1\"}]}",
	  ERR_INVALID,
	  "network_allowlist[0].upstream_proxy: line 1 column 47" },
	{ "{\"version\":1,\"network_denylist\":[{\"rule\":\"a\","
	  "\"upstream_proxy\":\"direct\"}]}",
	  ERR_INVALID, "network_denylist[0].upstream_proxy" },
	{ "{\"version\":1,\"upstream_proxy\":\"http://p:x\"}", ERR_INVALID,
	  "upstream_proxy: line 1 column 14: at byte 9: not a port" },
	{ "{\"version\":1,\"upstream_proxy\":1}", ERR_INVALID,
	  "upstream_proxy" },
	{ "{\"version\":1,\"upstream_direct\":[\"a..b\"]}", ERR_INVALID,
	  "upstream_direct[0]" },
	{ "{\"version\":1,\"upstream_direct\":\"a.test\"}", ERR_INVALID,
	  "an array was expected" },
	{ "{\"version\":1,\"network_ceiling\":{\"upstream_direct\":"
	  "[\"a.test\"]}}",
	  ERR_INVALID, "a ceiling has no upstream_proxy" },
	{ "{\"version\":1,\"upstream_by\":\"name\"}", ERR_INVALID,
	  "upstream_by" },
	{ "{\"version\":1,\"upstream_proxy\":\"http://p:1\","
	  "\"upstream_by\":\"magic\"}",
	  ERR_INVALID, "upstream_by" },
	{ "{\"version\":1,\"upstream_proxy\":\"http://p:1\","
	  "\"upstream_dns\":\"both\"}",
	  ERR_INVALID, "upstream_dns" },
	{ "{\"version\":1,\"network_ceiling\":{\"upstream_proxy\":"
	  "\"http://p:1\"}}",
	  ERR_INVALID, "a ceiling has no upstream_proxy" },
	{ "{\"version\":1,\"dns_refusal\":\"drop\"}", ERR_INVALID,
	  "dns_refusal" },
	{ "{\"version\":1,\"require_names\":1}", ERR_INVALID, "require_names" },
	{ "{\"version\":1,\"network_ceiling\":[]}", ERR_INVALID,
	  "network_ceiling" },
	{ "{\"version\":1,\"network_ceiling\":{\"x\":1}}", ERR_INVALID,
	  "network_ceiling.x: line 1 column 33: unknown key" },
	{ "{\"version\":1,\"network_ceiling\":{\"network_ceiling\":"
	  "{}}}",
	  ERR_INVALID, "has no ceiling" },
	{ "{\"version\":1,\"network_ceiling\":{\"version\":3}}", ERR_INVALID,
	  "network_ceiling.version" },
	/* places: lines, characters, escapes, what is skipped */
	{ "\n {\n\"version\" : 1 ,\r\n\t\"colour\": 1}", ERR_INVALID,
	  "colour: line 4 column 2: unknown key" },
	{ "{\"version\":1, \"\u00fc\u20ac\": 1, \"x\": 2}", ERR_INVALID,
	  "line 1 column 15: unknown key" },
	{ "{\"version\":1,\"network_allowlist\":[\"\u00fc.test\","
	  "7]}",
	  ERR_INVALID, "[1]: line 1 column 44: a rule" },
	{ "{\"version\":1, \"\\u0063olour\": 1}", ERR_INVALID,
	  "colour: line 1 column 15: unknown key" },
	{ "{\"version\":1,\"network_denylist\":[\"a\",\n"
	  " {\"comment\":\"}]\\\"{[\", \"rule\":\"b\"},\n"
	  "  {\"rule\":\"c\", \"\\u0078\":[[1],{\"x\":-1e5}]}]}",
	  ERR_INVALID, "network_denylist[2].x: line 3 column 16" },
	{ "{\"network_ceiling\":{\"version\":1,\n"
	  "\"version \":1},\"version\":1}",
	  ERR_INVALID, "line 2 column 1: unknown key" },
};

static void refuses_files(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		struct policy_file f;
		struct err err = { 0 };
		char line[1024];

		assert_int_not_equal(
			policy_file_parse(bad_files[i].text,
					  strlen(bad_files[i].text), &f, &err),
			0);
		err_str(&err, line, sizeof(line));
		if (err.code != bad_files[i].code ||
		    !strstr(line, bad_files[i].says))
			fail_msg("%s: %s: %s", bad_files[i].text,
				 err_code_name(err.code), line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_keys),
		cmocka_unit_test(reads_budgets),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(refuses_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
