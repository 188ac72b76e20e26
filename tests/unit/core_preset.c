/* core_preset.c - presets: settings found, tools asked once, nobody believed
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every test has a home of its own, with presets and a package manager of its
 * own: a script that counts how often it was asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/preset.h"
#include "core/preset_private.h"
#include "core/treeremove.h"
#include "core/workdir.h"
#include "tests/unit/core_child.h"

/* ---- a home ---- */

static char home[64];

static bool put(const char *name, const char *text, mode_t mode)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", home, name);
	return fd_write_file(AT_FDCWD, path, text) == 0 &&
	       chmod(path, mode) == 0;
}

static bool folder(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", home, name);
	return mkdir(path, 0700) == 0;
}

static size_t times_asked(void)
{
	char path[256], *text = NULL;
	size_t len = 0;

	(void)snprintf(path, sizeof(path), "%s/asked", home);
	if (fd_read_file(AT_FDCWD, path, 4096, &text, &len) < 0)
		return 0;
	free(text);
	return len;
}

static const char tool_script[] = "#!/bin/sh\n"
				  "printf x >>\"$HOME/asked\"\n"
				  "[ \"$PWD\" = / ] || exit 1\n"
				  "[ \"$FAIL\" = \"\" ] || exit 3\n"
				  "cat \"$HOME/answer\"\n";

static const char tool_preset[] =
	"{\"name\": \"tool\", \"title\": \"T\", \"tool\": {"
	"\"program\": \"tool\", \"files\": [\"~/tool.conf\"],"
	"\"ask\": [\"tool\", \"config\"], \"format\": \"json\","
	"\"watch\": [\"~/watched\"], \"watch_env\": [\"TOOL_*\"],"
	"\"settings\": ["
	"{\"key\": \"registry\", \"env\": \"TOOL_REGISTRY\", \"url\": true},"
	"{\"key\": \"@*:registry\", \"env\": \"TOOL_*\", \"url\": true},"
	"{\"key\": \"main.ca\", \"env\": \"TOOL_CA\", \"path\": true},"
	"{\"key\": \"token\", \"env\": \"TOOL_TOKEN\", \"secret\": true}]}}";

static const char answer[] =
	"{\"registry\": \"https://u:pw@reg.test:8443/x\", \"other\": 1,"
	" \"@a:registry\": \"http://a.test/\", \"token\": \"s3cret\","
	" \"null\": null, \"odd\": \"${X}\"}";

static bool make_home(void)
{
	char path[128];

	(void)snprintf(home, sizeof(home), "/tmp/exeat-unit-XXXXXX");
	CHECK(mkdtemp(home));
	CHECK(clearenv() == 0);
	(void)snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", home);
	CHECK(setenv("HOME", home, 1) == 0 && setenv("PATH", path, 1) == 0);
	CHECK(folder("bin") && folder(".config") && folder(".config/exeat"));
	CHECK(folder(".config/exeat/presets"));
	CHECK(put("bin/tool", tool_script, 0755));
	CHECK(put("answer", answer, 0644));
	CHECK(put(".config/exeat/presets/tool.json", tool_preset, 0644));
	return true;
}

static bool drop_home(void)
{
	return tree_remove(AT_FDCWD, home, 0) == 0;
}

static bool lists(char *const *list, const char *text)
{
	for (; list && *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static bool has_rule(const struct preset_set *s, const char *rule)
{
	for (size_t i = 0; i < s->npresets; i++)
		for (size_t k = 0; k < s->presets[i].nrules; k++)
			if (strcmp(s->presets[i].rules[k], rule) == 0)
				return true;
	return false;
}

static bool make_set(const char *name, bool credentials, struct preset_set *ret,
		     struct err *err)
{
	const char *allow[] = { "x.test", name, NULL };

	return preset_set_make(allow, NULL, credentials, ret, err) == 0;
}

/* ---- tests ---- */

static bool asked_steps(void *unused)
{
	struct preset_set s;
	struct err err;

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(make_set("@tool", false, &s, &err));
	CHECK(s.npresets == 1 && strcmp(s.presets[0].name, "tool") == 0);
	CHECK(s.presets[0].nrules == 2);
	CHECK(has_rule(&s, "reg.test:8443+private"));
	CHECK(has_rule(&s, "a.test+private"));
	/* handed in without the password, the secret not at all */
	CHECK(lists(s.env.texts, "TOOL_REGISTRY=https://reg.test:8443/x"));
	CHECK(lists(s.env.texts, "TOOL_@a:registry=http://a.test/"));
	CHECK(s.env.texts[2] == NULL);
	preset_set_done(&s);
	CHECK(make_set("@tool", true, &s, &err));
	CHECK(lists(s.env.texts, "TOOL_REGISTRY=https://u:pw@reg.test:8443/x"));
	CHECK(lists(s.env.texts, "TOOL_TOKEN=s3cret"));
	preset_set_done(&s);
	CHECK(times_asked() == 1);
	return drop_home();
}

static void asked_once(void **state)
{
	(void)state;
	assert_true(child_run(asked_steps, NULL));
}

static bool cache_steps(void *unused)
{
	static const char broken[] = "{\"key\": ";
	struct preset_set s;
	struct err err;
	struct stat st;
	char path[160];

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(make_set("@tool", false, &s, &err));
	preset_set_done(&s);
	(void)snprintf(path, sizeof(path), "%s/.cache/exeat/preset-tool.json",
		       home);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	/* each of these makes the answer an old one */
	CHECK(put("watched", "x", 0600));
	CHECK(make_set("@tool", false, &s, &err));
	preset_set_done(&s);
	CHECK(times_asked() == 2);
	CHECK(setenv("TOOL_X", "1", 1) == 0);
	CHECK(make_set("@tool", false, &s, &err));
	preset_set_done(&s);
	CHECK(times_asked() == 3);
	CHECK(put("bin/tool", tool_script, 0755) && put("watched", "yy", 0600));
	CHECK(make_set("@tool", false, &s, &err));
	preset_set_done(&s);
	CHECK(times_asked() == 4);
	/* a broken cache is none */
	CHECK(put(".cache/exeat/preset-tool.json", broken, 0600));
	CHECK(make_set("@tool", false, &s, &err));
	CHECK(has_rule(&s, "reg.test:8443+private"));
	preset_set_done(&s);
	CHECK(times_asked() == 5);
	/* nor is one in the way of the session */
	CHECK(chmod(path, 0) == 0);
	CHECK(make_set("@tool", false, &s, &err));
	preset_set_done(&s);
	return drop_home();
}

static void cache(void **state)
{
	(void)state;
	assert_true(child_run(cache_steps, NULL));
}

static bool order_steps(void *unused)
{
	struct preset_set s;
	char ca[128], line[192];
	struct err err;

	(void)unused;
	CHECK(child_ordinary() && make_home());
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", home);
	CHECK(put("ca.pem", "x", 0600));
	(void)snprintf(line, sizeof(line),
		       "registry = http://file.test/\n[main]\n# c\nCA = %s\n",
		       ca);
	CHECK(put("tool.conf", line, 0600));
	CHECK(make_set("@tool", false, &s, &err));
	CHECK(has_rule(&s, "file.test+private"));
	CHECK(!has_rule(&s, "reg.test:8443+private"));
	(void)snprintf(line, sizeof(line), "TOOL_CA=%s", ca);
	CHECK(lists(s.env.texts, line) && lists(s.files.texts, ca));
	preset_set_done(&s);
	/* the environment comes before files, and before the tool */
	CHECK(setenv("TOOL_REGISTRY", "https://env.test", 1) == 0);
	CHECK(make_set("@tool", false, &s, &err));
	CHECK(has_rule(&s, "env.test+private"));
	CHECK(!has_rule(&s, "file.test+private"));
	preset_set_done(&s);
	/* a placeholder is no value */
	CHECK(setenv("TOOL_REGISTRY", "${R}", 1) == 0);
	CHECK(make_set("@tool", false, &s, &err));
	CHECK(has_rule(&s, "file.test+private"));
	preset_set_done(&s);
	return drop_home();
}

static void order(void **state)
{
	(void)state;
	assert_true(child_run(order_steps, NULL));
}

static bool failing_steps(void *unused)
{
	struct preset_set s;
	struct err err;

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(setenv("FAIL", "1", 1) == 0);
	CHECK(!make_set("@tool", false, &s, &err));
	CHECK(err.code == ERR_UNAVAILABLE && err.remedy[0]);
	CHECK(unsetenv("FAIL") == 0 && put("answer", "no json", 0600));
	CHECK(!make_set("@tool", false, &s, &err));
	CHECK(err.code == ERR_UNAVAILABLE);
	CHECK(put("answer", "{}", 0600));
	CHECK(!make_set("@tool", false, &s, &err));
	CHECK(err.code == ERR_UNAVAILABLE);
	CHECK(strcmp(err.object, "@tool") == 0);
	CHECK(put("answer", answer, 0600));
	CHECK(setenv("PATH", "/nowhere:bin:.", 1) == 0);
	CHECK(!make_set("@tool", false, &s, &err));
	CHECK(err.code == ERR_UNAVAILABLE);
	CHECK(strcmp(err.message, "no such program") == 0);
	return drop_home();
}

static void failing(void **state)
{
	(void)state;
	assert_true(child_run(failing_steps, NULL));
}

/* A payload of an earlier session could write everything in the work dir. */
static bool work_dir_steps(void *unused)
{
	const char *allow[] = { "@tool", NULL };
	struct preset_set s;
	struct err err;
	char dir[96];

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(make_set("@tool", false, &s, &err)); /* fills the cache */
	preset_set_done(&s);
	/* the home is the work dir: not even the preset is there */
	CHECK(preset_set_make_for(home, allow, NULL, false, &s, &err) < 0);
	CHECK(err.code == ERR_INVALID);
	/* the program alone */
	(void)snprintf(dir, sizeof(dir), "%s/bin", home);
	CHECK(put("watched", "changed", 0600));
	CHECK(preset_set_make_for(dir, allow, NULL, false, &s, &err) < 0);
	CHECK(strcmp(err.message, "no such program") == 0);
	CHECK(times_asked() == 1);
	/* a watched file alone, a link to it, too */
	CHECK(folder("w") && put("w/rc", "x", 0600));
	(void)snprintf(dir, sizeof(dir), "%s/watched", home);
	CHECK(unlink(dir) == 0 && symlink("w/rc", dir) == 0);
	(void)snprintf(dir, sizeof(dir), "%s/w", home);
	CHECK(preset_set_make_for(dir, allow, NULL, false, &s, &err) < 0);
	CHECK(err.code == ERR_UNAVAILABLE && strstr(err.message, "payload"));
	CHECK(times_asked() == 1);
	/* the cache alone is asked past */
	CHECK(unlink(dir) < 0);
	(void)snprintf(dir, sizeof(dir), "%s/.cache", home);
	CHECK(preset_set_make_for(dir, allow, NULL, false, &s, &err) == 0);
	preset_set_done(&s);
	CHECK(times_asked() == 2);
	return drop_home();
}

static void work_dir(void **state)
{
	(void)state;
	assert_true(child_run(work_dir_steps, NULL));
}

static bool builtin_steps(void *unused)
{
	const char *deny[] = { "@metadata", "@tool", NULL };
	struct preset_set s;
	struct err err;
	char **names;

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(make_set("@github", false, &s, &err));
	CHECK(has_rule(&s, "github.com:22") && !s.env.given);
	preset_set_done(&s);
	CHECK(!make_set("@metadata", false, &s, &err));
	CHECK(err.code == ERR_INVALID && strstr(err.message, "deny"));
	CHECK(preset_set_make(NULL, deny, false, &s, &err) == 0);
	/* on the deny side nothing is handed in */
	CHECK(s.npresets == 2 && s.presets[0].deny_only && !s.env.given);
	preset_set_done(&s);
	CHECK(!make_set("@nosuch", false, &s, &err));
	CHECK(err.code == ERR_INVALID && strstr(err.message, "@pypi"));
	/* the user's own is listed, and takes the place of ours */
	CHECK(preset_names(&names) == 0);
	CHECK(lists(names, "tool") && lists(names, "pypi"));
	preset_names_free(names);
	CHECK(put(".config/exeat/presets/github.json",
		  "{\"name\":\"github\",\"title\":\"x\","
		  "\"rules\":[\"g.test\"]}",
		  0600));
	CHECK(make_set("@github", false, &s, &err));
	CHECK(has_rule(&s, "g.test") && !has_rule(&s, "github.com"));
	preset_set_done(&s);
	CHECK(put(".config/exeat/presets/github.json", "{\"name\":1}", 0600));
	CHECK(!make_set("@github", false, &s, &err));
	CHECK(err.code == ERR_INVALID);
	/* names that could lead elsewhere are left to the rule parser */
	CHECK(make_set("@../../x", false, &s, &err) && s.npresets == 0);
	preset_set_done(&s);
	return drop_home();
}

static void builtin(void **state)
{
	(void)state;
	assert_true(child_run(builtin_steps, NULL));
}

static bool mirror_steps(void *unused)
{
	struct preset_set s;
	struct err err;

	(void)unused;
	CHECK(child_ordinary() && make_home());
	CHECK(setenv("PIP_INDEX_URL", "http://m.test:8080/simple", 1) == 0);
	CHECK(make_set("@pypi", false, &s, &err));
	/* right behind a mirror: it takes the place, and uv learns of it */
	CHECK(s.presets[0].nrules == 1);
	CHECK(has_rule(&s, "m.test:8080+private"));
	CHECK(lists(s.env.texts, "PIP_INDEX_URL=http://m.test:8080/simple"));
	CHECK(lists(s.env.texts, "UV_DEFAULT_INDEX=http://m.test:8080/simple"));
	preset_set_done(&s);
	return drop_home();
}

static void mirror(void **state)
{
	(void)state;
	assert_true(child_run(mirror_steps, NULL));
}

static void ini(void **state)
{
	static const char text[] =
		"top=1\n[a]\nKey_One = x = y\n; no\n# no\n"
		"list =\n  one\n  two\nempty =\nnull = null\n[b]\nkey-one: z\n"
		"lonely\n";
	struct preset_values v = { 0 };

	(void)state;
	assert_int_equal(preset_values_ini(text, &v), 0);
	assert_string_equal(preset_values_get(&v, "top"), "1");
	assert_string_equal(preset_values_get(&v, "a.key-one"), "x = y");
	assert_string_equal(preset_values_get(&v, "a.list"), "one two");
	assert_string_equal(preset_values_get(&v, "b.key-one"), "z");
	assert_null(preset_values_get(&v, "a.empty"));
	assert_null(preset_values_get(&v, "a.null"));
	assert_int_equal(v.n, 4);
	preset_values_done(&v);
	assert_int_equal(preset_values_ini("[a\nx=1\n", &v), -EBADMSG);
	preset_values_done(&v);
}

static void answers(void **state)
{
	struct preset_values v = { 0 };

	(void)state;
	assert_int_equal(preset_values_answer("a=\"x\"\nb = y z\nc\n",
					      PRESET_LINES, &v),
			 0);
	assert_string_equal(preset_values_get(&v, "a"), "x");
	assert_string_equal(preset_values_get(&v, "b"), "y z");
	preset_values_done(&v);
	assert_int_equal(preset_values_answer("http://a\ncdrom:x\nHTTPS://b\n"
					      "http://a\n",
					      PRESET_URLS, &v),
			 0);
	assert_string_equal(preset_values_get(&v, "url"), "http://a HTTPS://b");
	preset_values_done(&v);
	assert_int_equal(preset_values_answer("{\"a\":[\"x\",\"y\"],\"b\":true,"
					      "\"c\":12,\"d\":{\"e\":1}}",
					      PRESET_JSON, &v),
			 0);
	assert_string_equal(preset_values_get(&v, "a"), "x y");
	assert_string_equal(preset_values_get(&v, "b"), "true");
	assert_string_equal(preset_values_get(&v, "c"), "12");
	assert_int_equal(v.n, 3);
	preset_values_done(&v);
	assert_int_equal(preset_values_answer("[1]", PRESET_JSON, &v),
			 -EBADMSG);
	preset_values_done(&v);
}

/* A caller that reaps everything, or wants no children, is no error. */
static bool reaped_steps(void *unused)
{
	char *const argv[] = { (char *)"sh", (char *)"-c",
			       (char *)"echo out; echo err >&2; pwd", NULL };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	char *text = NULL;

	(void)unused;
	CHECK(preset_run("/bin/sh", argv, "/usr/bin:/bin", &text) == 0);
	CHECK(strcmp(text, "out\n/\n") == 0);
	free(text);
	CHECK(sigaction(SIGCHLD, &ignore, NULL) == 0);
	CHECK(preset_run("/bin/sh", argv, "/usr/bin:/bin", &text) == 0);
	CHECK(strcmp(text, "out\n/\n") == 0);
	free(text);
	CHECK(preset_run("/nowhere", argv, "/usr/bin:/bin", &text) == -ENOENT);
	return true;
}

static void reaped(void **state)
{
	(void)state;
	assert_true(child_run(reaped_steps, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asked_once), cmocka_unit_test(cache),
		cmocka_unit_test(order),      cmocka_unit_test(failing),
		cmocka_unit_test(work_dir),   cmocka_unit_test(builtin),
		cmocka_unit_test(mirror),     cmocka_unit_test(ini),
		cmocka_unit_test(answers),    cmocka_unit_test(reaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
