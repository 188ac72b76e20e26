/* input.c - bad input of every function: its name is said, and nothing else
 * SPDX-License-Identifier: Apache-2.0
 *
 * Options that are wrong are options.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "fixture.h"

static struct exeat_error error;

static void is_refused(long long r, const char *object, const char *call)
{
	if (r < 0 && error.code == EXEAT_INVALID &&
	    strcmp(error.object, object) == 0)
		return;
	fail_msg("%s: %lld, %s of \"%s\", not of \"%s\"", call, r,
		 exeat_code_name(error.code), error.object, object);
}

/* The call fails, and the argument's name is the error's object. */
#define REFUSED(call, object)                        \
	do {                                         \
		error = (struct exeat_error){ 0 };   \
		is_refused((call), (object), #call); \
	} while (0)

/* ---- NULL ---- */

static void null_session(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_file file, *files;
	struct exeat_run *run;
	size_t n;
	void *data;

	(void)state;
	o.command = "true";
	REFUSED(exeat_session_open(NULL, NULL, &error), "ret");
	REFUSED(exeat_session_begin(NULL, NULL, &error), "ret");
	REFUSED(exeat_session_dispatch(NULL, 0, &error), "session");
	REFUSED(exeat_session_pause(NULL, &error), "session");
	REFUSED(exeat_session_resume(NULL, &error), "session");
	REFUSED(exeat_session_set_policy(NULL, NULL, &error), "session");
	REFUSED(exeat_session_snapshot(NULL, "name", &error), "session");
	REFUSED(exeat_run_start(NULL, &o, &run, &error), "session");
	REFUSED(exeat_spawn(NULL, &o, &run, &error), "session");
	REFUSED(exeat_exec(NULL, &o, &run, NULL, NULL, NULL, NULL, &error),
		"session");
	REFUSED(exeat_run_code(NULL, "", NULL, NULL, NULL, NULL, &error),
		"session");
	REFUSED(exeat_put_bytes(NULL, "a", "", 0, 0, &error), "session");
	REFUSED(exeat_get_bytes(NULL, "a", 1, &data, &n, &error), "session");
	REFUSED(exeat_stat_file(NULL, "a", &file, &error), "session");
	REFUSED(exeat_list_files(NULL, "", &files, &n, &error), "session");
	REFUSED(exeat_remove_file(NULL, "a", 0, &error), "session");
	REFUSED(exeat_put_tar(NULL, "", 0, &error), "session");
	REFUSED(exeat_get_tar(NULL, "", 1, &error), "session");
}

static void null_run(void **state)
{
	struct exeat_run *const none[] = { NULL };
	char buf[16];

	(void)state;
	REFUSED(exeat_run_wait(NULL, 0, &error), "run");
	REFUSED(exeat_runs_wait(NULL, 1, 1, 0, &error), "runs");
	REFUSED(exeat_runs_wait(none, 1, 1, 0, &error), "runs[0]");
	REFUSED(exeat_run_read(NULL, EXEAT_STDOUT, buf, 16, 0, &error), "run");
	REFUSED(exeat_run_read_line(NULL, EXEAT_STDOUT, buf, 16, 0, &error),
		"run");
	REFUSED(exeat_run_read_text(NULL, EXEAT_STDOUT, buf, 16, 0, &error),
		"run");
	REFUSED(exeat_run_write(NULL, "", 0, &error), "run");
	REFUSED(exeat_run_write_some(NULL, "", 0, &error), "run");
	REFUSED(exeat_run_resize(NULL, 1, 1, &error), "run");
	REFUSED(exeat_run_kill(NULL, SIGTERM, &error), "run");
}

/* Where the result would go, and what else is needed. */
static void null_arguments(void **state)
{
	struct exeat_policy_answer answer;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_policy *policy;
	struct exeat_file file, *files;
	size_t n;
	void *data;

	(void)state;
	o.command = "true";
	REFUSED(exeat_session_snapshot(session, NULL, &error), "name");
	REFUSED(exeat_snapshot_remove(NULL, NULL, &error), "name");
	REFUSED(exeat_run_start(session, &o, NULL, &error), "ret");
	REFUSED(exeat_spawn(session, &o, NULL, &error), "ret");
	REFUSED(exeat_exec(session, &o, NULL, NULL, NULL, NULL, NULL, &error),
		"ret");
	REFUSED(exeat_run_code(session, NULL, NULL, NULL, NULL, NULL, &error),
		"code");
	REFUSED(exeat_put_bytes(session, NULL, "", 0, 0, &error), "path");
	REFUSED(exeat_put_bytes(session, "a", NULL, 1, 0, &error), "data");
	REFUSED(exeat_get_bytes(session, NULL, 1, &data, &n, &error), "path");
	REFUSED(exeat_get_bytes(session, "a", 1, NULL, &n, &error), "ret");
	REFUSED(exeat_stat_file(session, NULL, &file, &error), "path");
	REFUSED(exeat_stat_file(session, "a", NULL, &error), "ret");
	REFUSED(exeat_list_files(session, NULL, &files, &n, &error), "path");
	REFUSED(exeat_list_files(session, "", NULL, &n, &error), "ret");
	REFUSED(exeat_list_files(session, "", &files, NULL, &error), "ret_n");
	REFUSED(exeat_remove_file(session, NULL, 0, &error), "path");
	REFUSED(exeat_put_tar(session, NULL, 0, &error), "path");
	REFUSED(exeat_get_tar(session, NULL, 1, &error), "path");
	REFUSED(exeat_policy_new(NULL, NULL, &error), "ret");
	REFUSED(exeat_policy_test(NULL, "a.example", &answer, &error),
		"policy");
	REFUSED(exeat_policy_warnings(NULL, NULL, NULL, &error), "policy");
	assert_int_equal(exeat_policy_new(NULL, &policy, &error), 0);
	REFUSED(exeat_policy_test(policy, NULL, &answer, &error), "target");
	REFUSED(exeat_policy_test(policy, "a.example", NULL, &error), "ret");
	exeat_policy_free(policy);
	REFUSED(exeat_audit_verify(NULL, NULL, &error), "ret");
}

/* What cannot fail says nothing of nothing. */
static void null_question(void **state)
{
	char **read_only, **read_write, buf[8] = "before";

	(void)state;
	assert_int_equal(exeat_session_fd(NULL), -1);
	assert_null(exeat_session_id(NULL));
	assert_null(exeat_session_work_dir(NULL));
	assert_int_equal(exeat_session_work_dir_is_fresh(NULL), 0);
	assert_null(exeat_session_work_dir_kind(NULL));
	assert_null(exeat_session_backend(NULL));
	assert_null(exeat_session_policy(NULL));
	assert_null(exeat_policy_json(NULL));
	assert_null(exeat_run_result(NULL));
	assert_int_equal(exeat_run_id(NULL), 0);
	exeat_run_close_stdin(NULL);
	assert_int_equal(exeat_session_fs_allowlist(NULL, &read_only,
						    &read_write),
			 -EINVAL);
	assert_int_equal(exeat_session_fs_allowlist(session, NULL, &read_write),
			 -EINVAL);
	assert_int_equal(exeat_session_fs_allowlist(session, &read_only, NULL),
			 -EINVAL);
	assert_string_equal(exeat_error_text(NULL, buf, sizeof(buf)), "");
	assert_null(exeat_error_text(&error, NULL, 0));
	assert_string_equal(exeat_code_name((enum exeat_code)99), "internal");
}

static void null_is_no_answer_wanted(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_policy *policy;
	struct exeat_run *run;
	void *data;

	(void)state;
	o.command = "echo out; echo err >&2";
	assert_int_equal(
		exeat_exec(session, &o, &run, NULL, NULL, NULL, NULL, NULL), 0);
	exeat_run_free(run);
	assert_int_equal(
		exeat_run_code(session, "1", NULL, NULL, NULL, NULL, NULL), 0);
	assert_int_equal(exeat_runs_wait(NULL, 0, 0, -1, NULL), 0);
	assert_int_equal(exeat_put_bytes(session, "f", NULL, 0, 0, NULL), 0);
	assert_int_equal(exeat_put_bytes(session, "f", "x", 1, 0, NULL), 0);
	assert_int_equal(exeat_get_bytes(session, "f", 1, &data, NULL, NULL),
			 0);
	assert_string_equal(data, "x");
	free(data);
	assert_int_equal(exeat_policy_new(NULL, &policy, NULL), 0);
	assert_int_equal(exeat_policy_warnings(policy, NULL, NULL, NULL), 0);
	exeat_policy_free(policy);
	assert_int_equal(exeat_snapshots("/no/such/store", NULL, NULL, NULL),
			 0);
	assert_int_equal(exeat_presets("pypi", NULL, NULL, NULL), 0);
	assert_true(exeat_presets("", NULL, NULL, &error) < 0);
	assert_int_equal(error.code, EXEAT_INVALID);
}

/* ---- numbers ---- */

static void timeouts(void **state)
{
	static const int bad[] = { -2, INT_MIN };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.command = "echo one; echo two; echo three";
	run = api_start(session, &o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int ms = bad[i];

		REFUSED(exeat_session_dispatch(session, ms, &error),
			"timeout_ms");
		REFUSED(exeat_run_wait(run, ms, &error), "timeout_ms");
		REFUSED(exeat_runs_wait(&run, 1, 1, ms, &error), "timeout_ms");
		REFUSED(exeat_run_read(run, EXEAT_STDOUT, buf, 16, ms, &error),
			"timeout_ms");
		REFUSED(exeat_run_read_line(run, EXEAT_STDOUT, buf, 16, ms,
					    &error),
			"timeout_ms");
		REFUSED(exeat_run_read_text(run, EXEAT_STDOUT, buf, 16, ms,
					    &error),
			"timeout_ms");
	}
	/* the longest: it is a time, and not over at once */
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, buf,
					     sizeof(buf), INT_MAX, &error),
			 4);
	assert_true(exeat_run_read_text(run, EXEAT_STDOUT, buf, sizeof(buf),
					INT_MAX, &error) > 0);
	assert_true(exeat_run_read(run, EXEAT_STDERR, buf, sizeof(buf), INT_MAX,
				   &error) == 0);
	assert_int_equal(exeat_runs_wait(&run, 1, 1, INT_MAX, &error), 1);
	assert_int_equal(exeat_run_wait(run, INT_MAX, &error), 1);
	exeat_run_free(run);
	run = api_start(session, &o);
	while (!exeat_run_result(run))
		assert_int_equal(
			exeat_session_dispatch(session, INT_MAX, &error), 0);
	exeat_run_free(run);
}

static void signals(void **state)
{
	static const int bad[] = { 0, -1, 65, 9999, INT_MIN, INT_MAX };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.command = "exec cat";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(exeat_run_kill(run, bad[i], &error), "signal");
	exeat_run_close_stdin(run);
	/* none of them was another one */
	assert_int_equal(api_wait(run)->returncode, 0);
	REFUSED(exeat_run_kill(run, 0, &error), "signal");
	assert_int_equal(exeat_run_kill(run, SIGTERM, &error), 0);
	exeat_run_free(run);
}

static void streams(void **state)
{
	static const int bad[] = { EXEAT_STDIN, 3, -1, INT_MAX };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.command = "echo out";
	run = api_start(session, &o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum exeat_stream stream = (enum exeat_stream)bad[i];

		REFUSED(exeat_run_read(run, stream, buf, 16, 0, &error),
			"stream");
		REFUSED(exeat_run_read_line(run, stream, buf, 16, 0, &error),
			"stream");
		REFUSED(exeat_run_read_text(run, stream, buf, 16, 0, &error),
			"stream");
	}
	REFUSED(exeat_run_read(run, EXEAT_STDOUT, NULL, 16, 0, &error), "buf");
	REFUSED(exeat_run_read(run, EXEAT_STDOUT, buf, 0, 0, &error), "size");
	REFUSED(exeat_run_read_line(run, EXEAT_STDOUT, buf, 1, 0, &error),
		"size");
	REFUSED(exeat_run_read_text(run, EXEAT_STDOUT, buf, 7, 0, &error),
		"size");
	assert_int_equal(
		exeat_run_read_line(run, EXEAT_STDOUT, buf, 16, -1, NULL), 4);
	/* its stdin is none */
	assert_int_equal(exeat_run_write(run, "x", 1, &error), -EPIPE);
	assert_int_equal(exeat_run_write_some(run, "x", 1, &error), -EPIPE);
	exeat_run_free(run);
}

/* Nothing in memory is so long. */
static void lengths(void **state)
{
	static const size_t bad[] = { SIZE_MAX, SIZE_MAX / 2 + 1 };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run, *other;
	void *data;

	(void)state;
	o.command = "cat";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = "x";
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REFUSED(exeat_run_write(run, "x", bad[i], &error), "len");
		REFUSED(exeat_run_write_some(run, "x", bad[i], &error), "len");
		REFUSED(exeat_run_write(run, NULL, bad[i], &error), "data");
		REFUSED(exeat_put_bytes(session, "a", "x", bad[i], 0, &error),
			"len");
		REFUSED(exeat_get_bytes(session, "a", bad[i], &data, NULL,
					&error),
			"max_bytes");
		o.stdin_len = bad[i];
		REFUSED(exeat_run_start(session, &o, &other, &error),
			"stdin_len");
	}
	REFUSED(exeat_put_bytes(session, "a", "x", 1, 01000, &error), "mode");
	REFUSED(exeat_put_bytes(session, "a", "x", 1, UINT_MAX, &error),
		"mode");
	assert_int_equal(exeat_run_write(run, "x", 1, &error), 0);
	exeat_run_close_stdin(run);
	assert_int_equal(api_wait(run)->stdout_bytes, 1);
	REFUSED(exeat_runs_wait(&run, 1, 2, 0, &error), "needed");
	REFUSED(exeat_runs_wait(&run, SIZE_MAX, 1, 0, &error), "needed");
	exeat_run_free(run);
}

static void terminals(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[64];

	(void)state;
	o.command = "read -r line; stty size";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	REFUSED(exeat_run_resize(run, 24, 80, &error), "pty");
	exeat_run_free(run);
	o.pty = 1;
	o.pty_rows = o.pty_cols = USHRT_MAX;
	run = api_start(session, &o);
	REFUSED(exeat_run_resize(run, 0, 80, &error), "rows");
	REFUSED(exeat_run_resize(run, 24, 0, &error), "cols");
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	assert_true(exeat_run_read_line(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL) > 0);
	assert_true(exeat_run_read_line(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL) > 0);
	assert_string_equal(buf, "65535 65535\r\n");
	exeat_run_free(run);
}

/* ---- paths ---- */

static void paths(void **state)
{
	static const char *const bad[] = {
		"..", "a/..", "a/../b", "../a", "/", "/etc/passwd", "//",
	};
	static const char *const not_utf8[] = { "\xff", "a/\xc3",
						"\xed\xa0\x80" };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct exeat_file file, *files;
	size_t n;
	void *data;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *path = bad[i];

		REFUSED(exeat_put_bytes(session, path, "", 0, 0, &error), path);
		REFUSED(exeat_get_bytes(session, path, 1, &data, &n, &error),
			path);
		REFUSED(exeat_stat_file(session, path, &file, &error), path);
		REFUSED(exeat_list_files(session, path, &files, &n, &error),
			path);
		REFUSED(exeat_remove_file(session, path, 1, &error), path);
		REFUSED(exeat_put_tar(session, path, null, &error), path);
		REFUSED(exeat_get_tar(session, path, null, &error), path);
	}
	REFUSED(exeat_put_bytes(session, "", "", 0, 0, &error), "");
	REFUSED(exeat_remove_file(session, "", 1, &error), "");
	for (size_t i = 0; i < sizeof(not_utf8) / sizeof(not_utf8[0]); i++) {
		REFUSED(exeat_put_bytes(session, not_utf8[i], "", 0, 0, &error),
			"path");
		REFUSED(exeat_put_tar(session, not_utf8[i], null, &error),
			"path");
		/* a command may have made it */
		assert_true(exeat_stat_file(session, not_utf8[i], &file,
					    &error) < 0);
		assert_int_equal(error.code, EXEAT_NOT_FOUND);
	}
	REFUSED(exeat_put_tar(session, "", -1, &error), "fd");
	REFUSED(exeat_get_tar(session, "", INT_MAX, &error), "fd");
	(void)close(null);
}

/* Neither a name nor a path may be endless. */
static void long_paths(void **state)
{
	char name[258], path[6000];
	struct exeat_file file;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memset(path, 'x', sizeof(path));
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_true(exeat_put_bytes(session, name, "", 0, 0, &error) < 0);
	assert_int_equal(error.code, EXEAT_LIMIT);
	assert_true(exeat_stat_file(session, name, &file, &error) < 0);
	assert_int_equal(error.code, EXEAT_LIMIT);
	assert_true(exeat_get_tar(session, path, STDOUT_FILENO, &error) < 0);
	assert_true(exeat_stat_file(session, path, &file, &error) < 0);
	assert_int_equal(error.code, EXEAT_LIMIT);
}

/* Where no command can begin: that is no command's failure. */
static void working_dirs(void **state)
{
	static const char *const bad[] = {
		"missing",	"file",	    "file/below",  "out",
		"out/deeper",	"round",    "/home",	   "/root",
		"/var/log",	"/no/such", "/etc/passwd", "/proc/1/root/x",
		"/usr/../root", "shut",
	};
	static char endless[5000];
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	api_sh(session,
	       "echo x > file; ln -s /var/log out; ln -s round round; "
	       "ln -s /usr in; mkdir shut dir; chmod 0 shut",
	       0);
	o.command = "pwd";
	memset(endless, 'x', sizeof(endless) - 1);
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		o.cwd = i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : endless;
		run = api_start(session, &o);
		if (exeat_run_wait(run, 60000, &error) >= 0)
			fail_msg("began in %s", o.cwd);
		api_expect(&error, EXEAT_INVALID, "cwd", "");
		assert_int_equal(exeat_run_result(run)->returncode, 125);
		exeat_run_free(run);
	}
	/* inside the view it may be anywhere */
	o.cwd = "in";
	assert_string_equal(api_exec(session, &o, 0), "/usr\n");
	o.cwd = "/usr/../etc/.";
	assert_string_equal(api_exec(session, &o, 0), "/etc\n");
	o.cwd = "./dir//.";
	assert_non_null(strstr(api_exec(session, &o, 0), "/dir\n"));
	/* dots are not dot-dot */
	api_sh(session, "mkdir ... ..a; chmod 700 shut", 0);
	o.cwd = ".../../...";
	REFUSED(exeat_run_start(session, &o, &run, &error), "cwd");
	o.cwd = "...";
	assert_non_null(strstr(api_exec(session, &o, 0), "/...\n"));
	o.cwd = "..a";
	assert_non_null(strstr(api_exec(session, &o, 0), "/..a\n"));
}

/* What cannot be executed is a command's end, as a shell has it. */
static void programs(void **state)
{
	static const struct {
		const char *argv0;
		int status;
		const char *reason;
	} rows[] = {
		{ "no-such-program", 127, "No such file" },
		{ "./missing", 127, "No such file" },
		{ "./no-x/below", 126, "Not a directory" },
		{ "./no-x", 126, "Permission denied" },
		{ "./a-dir", 126, "Is a directory" },
		{ "/", 126, "Is a directory" },
		{ ".", 126, "Is a directory" },
		{ "./bad", 126, "interpreter is not there" },
		{ "./twice", 126, "interpreter is not there" },
		{ "./dangling", 127, "No such file" },
		{ "./round", 126, "Too many levels" },
		{ "no-x", 126, "Permission denied" },
		{ "bad", 126, "interpreter is not there" },
		{ "a-dir", 126, "Is a directory" },
	};
	struct exeat_run_options o = RUN_OPTIONS;
	char path[5000];

	(void)state;
	api_sh(session,
	       "echo true > no-x; mkdir a-dir; ln -s nowhere dangling; "
	       "ln -s round round; printf '#!/no/such/sh\\n' > bad; "
	       "printf '#!./bad\\n' > twice; "
	       "chmod 644 no-x; chmod 755 bad twice",
	       0);
	(void)snprintf(path, sizeof(path), "PATH=%s:/usr/bin:/bin",
		       exeat_session_work_dir(session));
	o.env = LIST(path);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct exeat_result *result;
		struct exeat_run *run;

		o.argv = LIST(rows[i].argv0);
		run = api_start(session, &o);
		result = api_wait(run);
		if (result->returncode != rows[i].status ||
		    !strstr(result->start_error, rows[i].argv0) ||
		    !strstr(result->start_error, rows[i].reason))
			fail_msg("%s: %d, \"%s\"", rows[i].argv0,
				 result->returncode, result->start_error);
		assert_string_equal(result->termination_reason, "");
		exeat_run_free(run);
	}
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
}

/* ---- a signal before there is a command ---- */

static void early_signals(void **state)
{
	static const struct {
		int signal;
		bool ends;
	} rows[] = {
		{ SIGTERM, true },  { SIGINT, true },	 { SIGHUP, true },
		{ SIGUSR1, true },  { SIGKILL, true },	 { SIGQUIT, true },
		{ 64, true },	    { SIGCHLD, false },	 { SIGCONT, false },
		{ SIGURG, false },  { SIGWINCH, false }, { SIGTSTP, false },
		{ SIGTTIN, false }, { SIGTTOU, false },
	};
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	exeat_session_close(session);
	/* nothing has begun when the first signal is sent, and in later rows
	 * the posture is a new one each time */
	assert_int_equal(exeat_session_begin(&s, &session, NULL), 0);
	o.private_network = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		o.command = rows[i].ends ? "exec sleep 1000" : "true";
		run = api_start(session, &o);
		assert_int_equal(exeat_run_kill(run, rows[i].signal, NULL), 0);
		result = api_wait(run);
		if (result->returncode !=
			    (rows[i].ends ? -rows[i].signal : 0) ||
		    strcmp(result->termination_reason,
			   rows[i].ends ? "killed" : "") != 0)
			fail_msg("signal %d: %d, \"%s\"", rows[i].signal,
				 result->returncode,
				 result->termination_reason);
		exeat_run_free(run);
	}
	/* the first that ends it is the one that is told */
	o.command = "exec sleep 1000";
	run = api_start(session, &o);
	assert_int_equal(exeat_run_kill(run, SIGWINCH, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	result = api_wait(run);
	assert_true(result->returncode == -SIGTERM ||
		    result->returncode == -SIGKILL);
	assert_string_equal(result->termination_reason, "killed");
	exeat_run_free(run);
}

/* Does it stand still? */
static bool is_stopped(pid_t pid)
{
	char path[64], text[512] = "";
	const char *state;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	state = n > 0 ? strrchr(text, ')') : NULL;
	return state && state[1] == ' ' && state[2] == 'T';
}

static void early_stop(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char number[32];
	int64_t until = api_ms() + 60000;

	(void)state;
	(void)snprintf(number, sizeof(number), "8%d.5", (int)getpid());
	o.private_network = 1;
	o.argv = LIST("sleep", number);
	run = api_start(session, &o);
	assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
	while (!is_stopped(api_process(number))) {
		assert_int_equal(exeat_run_wait(run, 10, NULL), 0);
		assert_true(api_ms() < until);
	}
	/* it waits until the command goes on */
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	assert_int_equal(exeat_run_wait(run, 100, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
	assert_int_equal(api_wait(run)->returncode, -SIGTERM);
	exeat_run_free(run);

	o.argv = LIST("echo", "went on");
	run = api_start(session, &o);
	assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
	assert_int_equal(api_wait(run)->stdout_bytes, 8);
	exeat_run_free(run);
	run = api_start(session, &o);
	assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	(void)api_wait(run);
	exeat_run_free(run);
}

/* ---- many that come to nothing ---- */

/* More than may live at a time: each that could not start leaves its place. */
static void failures(void **state)
{
	enum { BATCH = 35, ALL = 1050 };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *runs[BATCH];

	(void)state;
	for (unsigned n = 0; n < ALL; n += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			o.argv = i % 2 ? LIST("/no/such") : LIST("true");
			o.cwd = i % 2 ? NULL : "missing";
			runs[i] = api_start(session, &o);
		}
		assert_int_equal(exeat_runs_wait(runs, BATCH, BATCH, 60000,
						 NULL),
				 BATCH);
		for (unsigned i = 0; i < BATCH; i++) {
			assert_int_equal(exeat_run_result(runs[i])->returncode,
					 i % 2 ? 127 : 125);
			/* whether they are freed or kept */
			if (n > 0)
				exeat_run_free(runs[i]);
		}
	}
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(null_session),
	cmocka_unit_test(null_run),
	WITH_SESSION(null_arguments),
	WITH_SESSION(null_question),
	WITH_SESSION(null_is_no_answer_wanted),
	WITH_SESSION(timeouts),
	WITH_SESSION(signals),
	WITH_SESSION(streams),
	WITH_SESSION(lengths),
	WITH_SESSION(terminals),
	WITH_SESSION(paths),
	WITH_SESSION(long_paths),
	WITH_SESSION(working_dirs),
	WITH_SESSION(programs),
	WITH_SESSION(early_signals),
	WITH_SESSION(early_stop),
	WITH_SESSION(failures),
};

API_MAIN("input", tests)
