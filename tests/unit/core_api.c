/* core_api.c - the public header without a session: policies and errors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/error.h"
#include "core/include/exeat.h"
#include "core/treeremove.h"
#include "core/workdir.h"

static struct exeat_policy *make(const char *mode, const char *const *allow,
				 const char *const *deny)
{
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_policy *p = NULL;
	struct exeat_error e;

	o.network_mode = mode;
	o.network_allowlist = allow;
	o.network_denylist = deny;
	assert_int_equal(exeat_policy_new(&o, &p, &e), 0);
	return p;
}

static void targets(void **state)
{
	static const char *const allow[] = {
		"example.com",
		"*.wild.test:8443",
		"git.test:22",
		"203.0.113.0/24",
		"udp/time.test:123",
		"[2001:db8::/32]:443",
		"host.exeat.internal:5432",
		NULL,
	};
	static const char *const deny[] = { "bad.wild.test", NULL };
	static const struct {
		const char *target;
		int allow;
		const char *rule, *reason, *hint;
	} rows[] = {
		{ "example.com", 1, "example.com", "rule", "" },
		{ "EXAMPLE.com.:80", 1, "example.com", "rule", "" },
		{ "http://example.com/x?y", 1, "example.com", "rule", "" },
		{ "https://u:p@example.com/", 1, "example.com", "rule", "" },
		{ "https://example.com:8443", 0, "", "default",
		  "example.com:8443" },
		{ "example.com:22", 0, "", "default", "example.com:22" },
		{ "udp/example.com:443", 0, "", "default", NULL },
		{ "a.b.wild.test:8443", 1, "*.wild.test:8443", "rule", "" },
		{ "wild.test:8443", 0, "", "default", "wild.test:8443" },
		{ "bad.wild.test:8443", 0, "bad.wild.test", "deny_rule", "" },
		{ "git.test", 0, "", "default", "git.test" },
		{ "tcp/git.test:22", 1, "git.test:22", "rule", "" },
		{ "udp/time.test:123", 1, "udp/time.test:123", "rule", "" },
		{ "203.0.113.7", 1, "203.0.113.0/24", "rule", "" },
		{ "udp/203.0.113.7:53", 1, "203.0.113.0/24", "rule", "" },
		{ "203.0.114.7:25", 0, "", "default", "203.0.114.7:25" },
		{ "[2001:db8::1]:443", 1, NULL, "rule", "" },
		{ "2001:db8::1", 1, NULL, "rule", "" },
		{ "[2001:db8::1]:80", 0, "", NULL, "[2001:db8::1]:80" },
		{ "169.254.169.254:80", 0, "", "guard", "" },
		{ "10.0.0.1:443", 0, "", NULL, "10.0.0.1:443" },
		{ "host.exeat.internal:5432", 1, NULL, "rule", "" },
		{ "host.docker.internal:5433", 0, "", "default", NULL },
	};
	struct exeat_policy *p = make(NULL, allow, deny);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exeat_policy_answer a;
		struct exeat_error e;

		if (exeat_policy_test(p, rows[i].target, &a, &e) != 0)
			fail_msg("%s: %s", rows[i].target, e.message);
		if (a.allow != rows[i].allow ||
		    (rows[i].rule && strcmp(a.rule, rows[i].rule)) ||
		    (rows[i].reason && strcmp(a.reason, rows[i].reason)) ||
		    (rows[i].hint && strcmp(a.allow_hint, rows[i].hint)) ||
		    !a.text[0])
			fail_msg("%s: allow %d, rule \"%s\", reason %s, "
				 "hint \"%s\", text \"%s\"",
				 rows[i].target, a.allow, a.rule, a.reason,
				 a.allow_hint, a.text);
	}
	exeat_policy_free(p);
}

static void bad_targets(void **state)
{
	static const char *const bad[] = {
		"",	      "*.test",		"@pypi",	"10.0.0.0/8",
		"a.test:1-2", "a.test:1,2",	"a.test:*",	"ftp://a.test",
		"a b",	      "a.test+private", "[::1",		"http://",
		"https:///x", "a.test:0",	"a.test:65536",
	};
	struct exeat_policy *p = make(NULL, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct exeat_policy_answer a;
		struct exeat_error e;

		if (exeat_policy_test(p, bad[i], &a, &e) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
		assert_int_equal(e.code, EXEAT_INVALID);
		assert_string_equal(e.object, bad[i]);
		assert_string_not_equal(e.remedy, "");
	}
	exeat_policy_free(p);
}

static void modes(void **state)
{
	static const char *const empty[] = { NULL };
	static const char *const deny[] = { "no.test", NULL };
	struct exeat_policy_answer a;
	struct exeat_policy *p;

	(void)state;
	p = make(NULL, NULL, NULL);
	assert_int_equal(exeat_policy_test(p, "a.test", &a, NULL), 0);
	assert_false(a.allow);
	assert_string_equal(a.reason, "blocked");
	exeat_policy_free(p);
	p = make(NULL, empty, NULL);
	assert_int_equal(exeat_policy_test(p, "a.test", &a, NULL), 0);
	assert_false(a.allow);
	assert_string_equal(a.allow_hint, "a.test");
	exeat_policy_free(p);
	p = make("open", NULL, deny);
	assert_int_equal(exeat_policy_test(p, "a.test", &a, NULL), 0);
	assert_true(a.allow);
	assert_int_equal(exeat_policy_test(p, "no.test", &a, NULL), 0);
	assert_false(a.allow);
	exeat_policy_free(p);
	exeat_policy_free(NULL);
}

/* The printed policy is a policy, and prints the same again. */
static void json(void **state)
{
	static const char *const allow[] = { "Example.com", "@github", NULL };
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_policy *p = make(NULL, allow, NULL), *again;
	char *text = exeat_policy_json(p), *second;
	struct exeat_error e;

	(void)state;
	assert_non_null(strstr(text, "\"example.com\""));
	assert_non_null(strstr(text, "\"github.com:22\""));
	o.network_policy = text;
	assert_int_equal(exeat_policy_new(&o, &again, &e), 0);
	second = exeat_policy_json(again);
	assert_string_equal(text, second);
	free(second);
	free(text);
	exeat_policy_free(again);
	exeat_policy_free(p);
}

static void refusals(void **state)
{
	static const char *const bad[] = { "a.test", "!b.test", NULL };
	static const char *const none[] = { "@nosuch", NULL };
	static const struct {
		struct exeat_policy_options o;
		const char *in_text;
	} rows[] = {
		{ { .size = sizeof(rows[0].o), .network_mode = "closed" },
		  "closed" },
		{ { .size = sizeof(rows[0].o), .network_allowlist = bad },
		  "allow[1]" },
		{ { .size = sizeof(rows[0].o), .network_allowlist = none },
		  "@nosuch" },
		{ { .size = sizeof(rows[0].o),
		    .network_mode = "blocked",
		    .network_allowlist = bad + 2 },
		  "blocked" },
		{ { .size = sizeof(rows[0].o),
		    .network_mode = "open",
		    .network_policy = "{}" },
		  "instead" },
		{ { .size = sizeof(rows[0].o),
		    .network_policy = "{\"version\": 1, \"x\": 2}" },
		  "x" },
		{ { .size = 3 }, "INIT" },
		{ { .size = 100000 }, "INIT" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exeat_policy *p = NULL;
		struct exeat_error e;
		char text[1024];

		assert_int_equal(exeat_policy_new(&rows[i].o, &p, &e), -EINVAL);
		assert_int_equal(e.code, EXEAT_INVALID);
		assert_null(p);
		(void)exeat_error_text(&e, text, sizeof(text));
		if (!strstr(text, rows[i].in_text))
			fail_msg("row %zu: %s", i, text);
	}
}

struct seen {
	unsigned n, deny_only, broken;
	int github, github_rule;
};

static void see(void *user_data, const struct exeat_preset_info *info)
{
	struct seen *s = user_data;

	s->n++;
	s->deny_only += info->deny_only != 0;
	assert_true(info->error || (info->rules[0] && info->title[0]));
	if (strcmp(info->name, "broken") == 0) {
		assert_non_null(info->error);
		s->broken++;
	}
	if (strcmp(info->name, "github") != 0)
		return;
	s->github++;
	for (const char *const *r = info->rules; *r; r++)
		s->github_rule |= strcmp(*r, "github.com:22") == 0;
}

static void presets(void **state)
{
	struct seen s = { 0 };
	struct exeat_error e;

	(void)state;
	assert_int_equal(exeat_presets("@github", see, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.github_rule, 1);
	assert_int_equal(exeat_presets("metadata", see, &s, &e), 0);
	assert_int_equal(s.deny_only, 1);
	assert_int_equal(exeat_presets("nosuch", see, &s, &e), -EINVAL);
	assert_string_equal(e.object, "@nosuch");
}

/* One bad file of the user's hides no other preset. */
static void presets_listed(void **state)
{
	char home[] = "/tmp/exeat-unit-XXXXXX", path[96], *old;
	struct seen s = { 0 };
	struct exeat_error e;

	(void)state;
	old = strdup(getenv("PATH"));
	assert_non_null(mkdtemp(home));
	(void)snprintf(path, sizeof(path), "%s/exeat", home);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/exeat/presets", home);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/exeat/presets/broken.json",
		       home);
	assert_int_equal(fd_write_file(AT_FDCWD, path, "{"), 0);
	assert_int_equal(setenv("XDG_CONFIG_HOME", home, 1), 0);
	/* no package manager of the machine is asked */
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	assert_int_equal(exeat_presets(NULL, see, &s, &e), 0);
	assert_true(s.n > 10 && s.broken == 1 && s.github == 1);
	assert_int_equal(exeat_presets("broken", see, &s, &e), -EINVAL);
	assert_int_equal(setenv("XDG_CONFIG_HOME", "/nowhere", 1), 0);
	assert_int_equal(setenv("PATH", old, 1), 0);
	free(old);
	assert_int_equal(tree_remove(AT_FDCWD, home, 0), 0);
}

static void errors(void **state)
{
	struct err err = { 0 };
	struct exeat_error e;
	char text[64];

	(void)state;
	(void)err_new(&err, ERR_UNAVAILABLE, "do", "thing", "is not there");
	err_remedy(&err, "make it");
	exeat_error_from(&e, &err);
	assert_int_equal(e.code, EXEAT_UNAVAILABLE);
	assert_string_equal(exeat_code_name(e.code), "unavailable");
	assert_string_equal(exeat_error_text(&e, text, sizeof(text)),
			    "do thing: is not there (make it)");
	assert_int_equal(strlen(exeat_error_text(&e, text, 8)), 7);
	exeat_error_from(NULL, &err);
	err_clear(&err);
	exeat_error_from(&e, &err);
	assert_int_equal(e.code, EXEAT_INTERNAL);
	assert_string_equal(exeat_code_name(EXEAT_OK), "ok");
	assert_string_equal(exeat_code_name(EXEAT_NOT_FOUND), "not_found");
	assert_true(exeat_version()[0] >= '0' && exeat_version()[0] <= '9');
}

static void count_warning(void *user, const struct exeat_policy_warning *w)
{
	unsigned *count = user;

	assert_string_equal(w->rule, "gist.github.com");
	assert_string_equal(w->origin, "allow");
	assert_true(w->reason[0] && w->advice[0]);
	++*count;
}

static void warnings_and_budgets(void **unused)
{
	const char *const allow[] = { "gist.github.com", "a.example", NULL };
	const char *const budget[] = { "gist.github.com=10M", NULL };
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_policy_answer answer;
	struct exeat_policy *policy = NULL;
	unsigned count = 0;

	(void)unused;
	o.network_allowlist = allow;
	assert_int_equal(exeat_policy_new(&o, &policy, NULL), 0);
	assert_int_equal(
		exeat_policy_warnings(policy, count_warning, &count, NULL), 1);
	assert_int_equal(count, 1);
	exeat_policy_free(policy);
	o.max_upload = budget;
	assert_int_equal(exeat_policy_new(&o, &policy, NULL), 0);
	assert_int_equal(
		exeat_policy_warnings(policy, count_warning, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(
		exeat_policy_test(policy, "gist.github.com", &answer, NULL), 0);
	assert_true(answer.allow);
	assert_non_null(strstr(answer.text, "at most 10M up"));
	exeat_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(bad_targets),
		cmocka_unit_test(modes),
		cmocka_unit_test(json),
		cmocka_unit_test(refusals),
		cmocka_unit_test(presets),
		cmocka_unit_test(presets_listed),
		cmocka_unit_test(errors),
		cmocka_unit_test(warnings_and_budgets),
	};

	/* no presets of whoever runs the tests */
	if (setenv("XDG_CONFIG_HOME", "/nowhere", 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
