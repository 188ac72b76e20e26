/* packages.c - what package managers find in a session, without a network
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

enum { COMMAND_SIZE = sizeof(api_dir) + 512 };

static struct exeat_session *open_kept(const char *dir)
{
	struct exeat_session_options so = SESSION_OPTIONS;

	so.host_work_dir = dir;
	return api_open(&so);
}

static bool here(const char *program)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/usr/bin/%s", program);
	return access(path, X_OK) == 0;
}

/* A whole file, for everybody. */
static void copy(const char *from, const char *to)
{
	char buf[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	assert_int_equal(n, 0);
	assert_int_equal(fchmod(out, 0755), 0);
	(void)close(in);
	(void)close(out);
}

/* ---- the virtual environment ---- */

static const char prefix[] = "python -c 'import sys; print(sys.prefix)'";

static void a_python_that_went(void **state)
{
	const char *dir = api_kept_dir();
	struct exeat_session *session;
	char expected[COMMAND_SIZE];

	(void)state;
	if (!here("python3"))
		skip();
	(void)snprintf(expected, sizeof(expected), "%s/.exeat/venv\n", dir);
	session = open_kept(dir);
	/* as after an upgrade of the system's */
	api_sh(session,
	       "cd .exeat/venv && mkdir -p lib/python3.0/site-packages && "
	       "echo kept > lib/python3.0/site-packages/old && "
	       "rm bin/python* && ln -s /usr/bin/python3.0 bin/python && "
	       "ln -s python bin/python3 && ln -s python bin/python3.0 && "
	       "echo home = /nowhere > pyvenv.cfg && "
	       "! bin/python -V 2>/dev/null",
	       0);
	exeat_session_close(session);

	session = open_kept(dir);
	assert_string_equal(api_sh(session, prefix, 0), expected);
	assert_string_equal(
		api_sh(session,
		       "test ! -L .exeat/venv/bin/python3.0 && "
		       "cat .exeat/venv/lib/python3.0/site-packages/old",
		       0),
		"kept\n");
	exeat_session_close(session);
}

/* It is the user's, whatever he makes of it, as long as something is there. */
static void an_environment_of_ones_own(void **state)
{
	const char *dir = api_kept_dir();
	struct exeat_session *session;

	(void)state;
	if (!here("python3"))
		skip();
	session = open_kept(dir);
	api_sh(session,
	       "mkdir other && printf '#!/bin/sh\\necho mine\\n' > other/py && "
	       "chmod +x other/py && cd .exeat/venv && "
	       "echo home = mine > pyvenv.cfg && rm bin/python* && "
	       "ln -s $PWD/../../other/py bin/python && "
	       "ln -s python bin/python3",
	       0);
	exeat_session_close(session);
	session = open_kept(dir);
	assert_string_equal(api_sh(session,
				   "python; cat .exeat/venv/pyvenv.cfg", 0),
			    "mine\nhome = mine\n");
	exeat_session_close(session);
}

/* A script that is no Python's: `pip` beside a Python that has none. */
static void a_python_without_pip(void **state)
{
	struct exeat_session *session;

	(void)state;
	if (!here("python3"))
		skip();
	session = api_open(NULL);
	assert_non_null(
		strstr(api_sh(session,
			      "mkdir bare && cp .exeat/venv/bin/pip bare && "
			      "printf '#!/bin/sh\\nexec python3 -S \"$@\"\\n' "
			      "> bare/python && chmod +x bare/python && "
			      "bare/pip --version 2>&1",
			      1),
		       "pip: not installed"));
	exeat_session_close(session);
}

static void no_python(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	const struct exeat_result *result;
	struct exeat_run *run = NULL;
	char *out = NULL;

	(void)state;
	o.env = LIST("PATH=/run/exeat/bin");
	assert_int_equal(exeat_run_code(session, "print(1)", &o, &run, &out,
					NULL, &error),
			 1);
	result = exeat_run_result(run);
	assert_int_equal(result->returncode, 127);
	assert_string_equal(result->termination_reason, "");
	assert_non_null(strstr(result->start_error, "python3: "));
	assert_non_null(strstr(result->start_error, "install python3"));
	free(out);
	exeat_run_free(run);

	/* of a program that the caller named, he knows how to get it */
	o.argv = LIST("python3", "-V");
	run = api_start(session, &o);
	result = api_wait(run);
	assert_int_equal(result->returncode, 127);
	assert_null(strstr(result->start_error, "install"));
	exeat_run_free(run);
	exeat_session_close(session);
}

/* ---- programs that a run installs ---- */

static const struct {
	const char *program, *folder;
} installers[] = {
	{ "cargo", ".cargo/bin" },
	{ "go", "go/bin" },
	{ "sh", ".local/bin" }, /* pip install --user, pipx, uv tool, npm -g */
};

static void what_is_installed_is_found(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char command[256], expected[64];

	(void)state;
	for (size_t i = 0; i < sizeof(installers) / sizeof(installers[0]);
	     i++) {
		if (!here(installers[i].program))
			continue;
		(void)snprintf(command, sizeof(command),
			       "mkdir -p ~/%s && cd ~/%s && "
			       "echo 'echo by %s' > tool-%s && chmod +x tool-*",
			       installers[i].folder, installers[i].folder,
			       installers[i].program, installers[i].program);
		api_sh(session, command, 0);
		(void)snprintf(command, sizeof(command), "tool-%s",
			       installers[i].program);
		(void)snprintf(expected, sizeof(expected), "by %s\n",
			       installers[i].program);
		assert_string_equal(api_sh(session, command, 0), expected);
	}
	if (here("npm"))
		assert_string_equal(
			api_sh(session,
			       "test \"$(npm config get prefix)\" = "
			       "\"$HOME/.local\" && echo same",
			       0),
			"same\n");
	exeat_session_close(session);
}

/* HOME is the user's: what he put there is neither replaced nor followed. */
static void a_home_of_ones_own(void **state)
{
	const char *dir = api_kept_dir();
	struct exeat_session *session = open_kept(dir);

	(void)state;
	api_sh(session,
	       "cd && rm -rf .local .cargo go .npmrc && mkdir ../../mine && "
	       "ln -s ../../mine .cargo && ln -s ../../mine .local && "
	       "echo file > go && echo color=false > .npmrc",
	       0);
	exeat_session_close(session);
	session = open_kept(dir);
	assert_string_equal(api_sh(session,
				   "cd && cat go .npmrc && ls -A ../../mine && "
				   "readlink .cargo",
				   0),
			    "file\ncolor=false\n../../mine\n");
	exeat_session_close(session);
}

/* ---- uv ---- */

/* A folder outside of every view with `program` in it, by the name of uv. */
static void put_uv(const char *folder, const char *program)
{
	char path[COMMAND_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", api_dir, folder);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/uv", api_dir, folder);
	copy(program, path);
}

/* echo(1) stands for it: a program of the caller's, seen by its arguments. */
static void uv_from_outside(void **state)
{
	char path[2 * COMMAND_SIZE], command[COMMAND_SIZE];
	struct exeat_session *session;
	char *before;

	(void)state;
	if (here("uv"))
		skip();			 /* that one is in view */
	put_uv("shims", "/usr/bin/ldd"); /* a script is no uv itself */
	put_uv("tools", "/usr/bin/echo");
	before = strdup(getenv("PATH"));
	assert_non_null(before);
	(void)snprintf(path, sizeof(path), "%s/shims:%s/tools:%s", api_dir,
		       api_dir, before);
	assert_int_equal(setenv("PATH", path, 1), 0);
	session = api_open(NULL);
	assert_int_equal(setenv("PATH", before, 1), 0);
	free(before);

	assert_string_equal(api_sh(session, "command -v uv", 0),
			    "/run/exeat/bin/uv\n");
	assert_string_equal(api_sh(session, "uv pip install 'a package'", 0),
			    "pip install a package\n");
	/* that one file, and not to be written to */
	(void)snprintf(command, sizeof(command),
		       "test ! -e %s/tools && ls /run/exeat/bin && "
		       "! { echo >> /run/exeat/bin/uv; } 2>/dev/null",
		       api_dir);
	assert_string_equal(api_sh(session, command, 0), "uv\n");
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_python_that_went),
	cmocka_unit_test(an_environment_of_ones_own),
	cmocka_unit_test(a_python_without_pip),
	cmocka_unit_test(no_python),
	cmocka_unit_test(what_is_installed_is_found),
	cmocka_unit_test(a_home_of_ones_own),
	cmocka_unit_test(uv_from_outside),
};

API_MAIN("packages", tests)
