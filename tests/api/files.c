/* files.c - the work dir, the view, the virtual environment
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

/* A directory for a session to keep, that its payload may write to. */
static const char *kept_dir(void)
{
	static char dir[sizeof(api_dir) + 16];

	(void)snprintf(dir, sizeof(dir), "%s/kept", api_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	if (geteuid() == 0 && chown(dir, 65534, 65534) < 0)
		assert_int_equal(chmod(dir, 0755), 0); /* one id: ours */
	return dir;
}

static void a_kept_dir_keeps(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	struct stat st;
	char path[sizeof(api_dir) + 64];

	(void)state;
	so.host_work_dir = kept_dir();
	session = api_open(&so);
	assert_false(exeat_session_work_dir_is_fresh(session));
	assert_string_equal(exeat_session_work_dir(session), so.host_work_dir);
	api_sh(session,
	       "echo data > file; mkdir -p \"$HOME\"/.cache; "
	       "echo cached > \"$HOME\"/.cache/x; echo gone > /tmp/x",
	       0);
	/* /tmp is each run's own */
	api_sh(session, "! test -e /tmp/x", 0);
	exeat_session_close(session);

	(void)snprintf(path, sizeof(path), "%s/file", so.host_work_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	session = api_open(&so);
	assert_string_equal(api_sh(session, "cat file \"$HOME\"/.cache/x", 0),
			    "data\ncached\n");
	exeat_session_close(session);
}

static void a_fresh_dir_goes(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char *path = strdup(exeat_session_work_dir(session));

	(void)state;
	assert_true(exeat_session_work_dir_is_fresh(session));
	/* what is hard to remove goes, too; what a link points to does not */
	api_sh(session,
	       "mkdir -p a/b; touch a/b/c; chmod 0 a/b; "
	       "ln -s /etc outside; chmod 0 a",
	       0);
	assert_int_equal(access(path, F_OK), 0);
	exeat_session_close(session);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	free(path);
}

/* The payload lives, and makes folders, until the session is closed. */
static void a_fresh_dir_goes_from_under_a_writer(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "trap '' TERM; echo up; i=0; while :; do "
		    "mkdir -p $i/a/b; i=$((i + 1)); done";
	for (int freed = 0; freed < 2; freed++) {
		struct exeat_session *session = api_open(NULL);
		struct exeat_run *run;
		char buf[8];

		/* an end that was reported says nothing of the next run */
		api_sh(session, "true", 0);
		run = api_start(session, &o);
		assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf,
						sizeof(buf), 60000, NULL),
				 3);
		if (freed)
			exeat_run_free(run);
		exeat_session_close(session);
		assert_int_equal(api_work_dirs(), 0);
		assert_int_equal(api_helpers(), 0);
	}
}

static bool has(char **list, const char *path)
{
	for (; *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

static void the_view_is_told(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	char extra[sizeof(api_dir) + 16], command[3 * sizeof(extra)];
	char **ro, **rw;

	(void)state;
	(void)snprintf(extra, sizeof(extra), "%s/extra", api_dir);
	assert_int_equal(mkdir(extra, 0755), 0);
	so.read_only_paths = LIST(extra);
	session = api_open(&so);
	assert_int_equal(exeat_session_fs_allowlist(session, &ro, &rw), 0);
	assert_true(has(ro, "/usr"));
	assert_true(has(ro, "/etc"));
	assert_true(has(ro, extra));
	assert_false(has(ro, "/home"));
	assert_true(has(rw, exeat_session_work_dir(session)));
	assert_false(has(rw, extra));
	free(ro);
	free(rw);
	(void)snprintf(command, sizeof(command),
		       "ls -d %s >/dev/null && ! touch %s/x 2>/dev/null && "
		       "! test -r /etc/shadow && ! ls /root",
		       extra, extra);
	api_sh(session, command, 0);
	exeat_session_close(session);
}

static void venv_in_place(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char expected[sizeof(api_dir) + 64];

	(void)state;
	(void)snprintf(expected, sizeof(expected), "%s/.exeat/venv\n",
		       exeat_session_work_dir(session));
	assert_string_equal(
		api_sh(session, "python -c 'import sys; print(sys.prefix)'", 0),
		expected);
	assert_string_equal(api_sh(session, "echo $VIRTUAL_ENV", 0), expected);
	/* what one run puts there the next one finds */
	api_sh(session,
	       "echo x = 5 > $(python -c 'import sysconfig as s; "
	       "print(s.get_paths()[\"purelib\"])')/placed.py",
	       0);
	assert_string_equal(api_sh(session,
				   "python3 -c 'import placed; "
				   "print(placed.x)'",
				   0),
			    "5\n");
	if (access("/usr/lib/python3/dist-packages/pip", F_OK) == 0)
		assert_non_null(
			strstr(api_sh(session, "pip --version", 0), "pip "));
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_kept_dir_keeps),
	cmocka_unit_test(a_fresh_dir_goes),
	cmocka_unit_test(a_fresh_dir_goes_from_under_a_writer),
	cmocka_unit_test(the_view_is_told),
	cmocka_unit_test(venv_in_place),
};

API_MAIN("files", tests)
