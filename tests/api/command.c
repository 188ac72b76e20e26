/* command.c - what is run, in which environment, and how it ends
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "fixture.h"

/* ---- what ---- */

static void argv_is_not_a_shell(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.argv = LIST("printf", "%s|", "a b", "$HOME", "", "*");
	assert_string_equal(api_exec(session, &o, 0), "a b|$HOME||*|");
}

static void command_is_a_shell_string(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "x=1; echo $((x + 1)) | tr 2 3";
	assert_string_equal(api_exec(session, &o, 0), "3\n");
	o.command = "echo $0; exit 5";
	assert_string_equal(api_exec(session, &o, 5), "/bin/sh\n");
	o.shell = "bash";
	o.command = "a=(x y); echo ${a[1]}";
	assert_string_equal(api_exec(session, &o, 0), "y\n");
}

static void script_has_a_type(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.script = "for i in 1 2\ndo\n\techo $i\ndone\n";
	assert_string_equal(api_exec(session, &o, 0), "1\n2\n");
	o.script_type = "shell";
	assert_string_equal(api_exec(session, &o, 0), "1\n2\n");
	o.script_type = "python";
	o.script = "import sys\nfor i in range(2):\n\tprint(i)\nsys.exit(3)\n";
	assert_string_equal(api_exec(session, &o, 3), "0\n1\n");
}

/* ---- environment ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of `text`, sorted, without the values: "A B C ". */
static void names_of(char *text, char *ret, size_t size)
{
	char *lines[64] = { NULL }, *line;
	size_t n = 0, used = 0;

	while ((line = strsep(&text, "\n")) != NULL && n < 64)
		if (*line) {
			line[strcspn(line, "=")] = '\0';
			lines[n++] = line;
		}
	qsort(lines, n, sizeof(lines[0]), by_text);
	ret[0] = '\0';
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%s ",
					 lines[i]);
}

static void environment_is_minimal(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *s;
	char *text, names[512];

	(void)state;
	(void)setenv("TERM", "dumb", 1);
	(void)setenv("TZ", "Europe/Vienna", 1);
	(void)setenv("SECRET_OF_THE_CALLER", "x", 1);
	so.network_mode = "open";
	s = api_open(&so);
	o.argv = LIST("env");
	text = strdup(api_exec(s, &o, 0));
	assert_non_null(strstr(text, "TZ=Europe/Vienna\n"));
	assert_non_null(strstr(text, "TERM=dumb\n"));
	assert_non_null(strstr(text, "TMPDIR=/tmp\n"));
	names_of(text, names, sizeof(names));
	assert_string_equal(names, "HOME LANG LOGNAME PATH TERM TMPDIR TZ USER "
				   "VIRTUAL_ENV ");
	free(text);
	o.network_mode = "blocked";
	text = strdup(api_exec(s, &o, 0));
	names_of(text, names, sizeof(names));
	assert_string_equal(names,
			    "CARGO_NET_RETRY HOME LANG LOGNAME PATH "
			    "PIP_RETRIES TERM TMPDIR TZ USER "
			    "UV_HTTP_RETRIES VIRTUAL_ENV YARN_HTTP_RETRY "
			    "npm_config_fetch_retries ");
	free(text);
	(void)unsetenv("TZ");
	exeat_session_close(s);
}

static void environment_last_wins(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *s;

	(void)state;
	so.env = LIST("A=session", "B=session", "EMPTY=", "LANG=xx", "E=a=b");
	s = api_open(&so);
	o.env = LIST("B=run", "C=run");
	o.command = "echo $A $B $C ${EMPTY-unset} $LANG $E";
	assert_string_equal(api_exec(s, &o, 0), "session run run xx a=b\n");
	o.env = NULL;
	assert_string_equal(api_exec(s, &o, 0), "session session xx a=b\n");
	exeat_session_close(s);
}

static void proxy_of_one_run(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *s;

	(void)state;
	so.network_mode = "open";
	s = api_open(&so);
	o.command = "echo \"$http_proxy $HTTPS_PROXY $ALL_PROXY $NO_PROXY\"";
	assert_string_equal(api_exec(s, &o, 0), "   \n");
	o.proxy_env = 1;
	assert_string_equal(api_exec(s, &o, 0),
			    "http://127.0.0.1:64505 http://127.0.0.1:64505 "
			    "socks5h://127.0.0.1:64505 "
			    "localhost,127.0.0.1,::1\n");
	o.env = LIST("HTTPS_PROXY=mine", "NO_PROXY=");
	assert_string_equal(api_exec(s, &o, 0), "http://127.0.0.1:64505 mine "
						"socks5h://127.0.0.1:64505 \n");
	o.env = NULL;
	o.network_mode = "blocked"; /* where no proxy is of use */
	assert_string_equal(api_exec(s, &o, 0), "   \n");
	o.network_mode = NULL;
	o.proxy_env = 0;
	assert_string_equal(api_exec(s, &o, 0), "   \n");
	exeat_session_close(s);
}

/* ---- working directory ---- */

static void cwd_is_the_work_dir(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char expected[4200];

	(void)state;
	(void)snprintf(expected, sizeof(expected), "%s\n",
		       exeat_session_work_dir(session));
	o.command = "pwd; mkdir -p sub/dir";
	assert_string_equal(api_exec(session, &o, 0), expected);
	(void)snprintf(expected, sizeof(expected), "%s/sub/dir\n",
		       exeat_session_work_dir(session));
	o.command = "pwd";
	o.cwd = "sub/dir";
	assert_string_equal(api_exec(session, &o, 0), expected);
	o.cwd = "/usr/bin";
	assert_string_equal(api_exec(session, &o, 0), "/usr/bin\n");
}

static void cwd_impossible(void **state)
{
	static const char *const dirs[] = { "/no/such", "no/such",
					    "/etc/passwd" };
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "echo ran";
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		struct exeat_error error = { 0 };
		struct exeat_run *run;

		o.cwd = dirs[i];
		run = api_start(session, &o);
		assert_true(exeat_run_wait(run, 60000, &error) < 0);
		api_expect(&error, EXEAT_INVALID, "cwd", dirs[i]);
		exeat_run_free(run);
	}
	assert_string_equal(api_sh(session, "echo still", 0), "still\n");
}

/* ---- the end ---- */

static void status_is_data(void **state)
{
	(void)state;
	api_sh(session, "exit 0", 0);
	api_sh(session, "exit 1", 1);
	api_sh(session, "exit 255", 255);
}

static void result_of_a_signal(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.command = "kill -SEGV $$";
	run = api_start(session, &o);
	result = api_wait(run);
	assert_int_equal(result->returncode, -SIGSEGV);
	assert_string_equal(result->termination_reason, "signal:SIGSEGV");
	assert_string_equal(result->backend, "userns");
	assert_string_equal(result->start_error, "");
	exeat_run_free(run);

	/* those that have no name of their own */
	o.argv = LIST("/bin/bash", "-c", "kill -RTMIN+3 $$");
	o.command = NULL;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_int_equal(result->returncode, -(SIGRTMIN + 3));
	assert_string_equal(result->termination_reason, "signal:SIGRTMIN+3");
	exeat_run_free(run);
}

static void command_not_found(void **state)
{
	static const struct {
		const char *argv0;
		int status;
		const char *reason;
	} rows[] = {
		{ "no-such-program", 127, "No such file" },
		{ "/no/such/program", 127, "No such file" },
		{ "/etc/passwd", 126, "Permission denied" },
		{ "/etc", 126, "Is a directory" },
	};
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct exeat_result *result;
		struct exeat_run *run;

		o.argv = LIST(rows[i].argv0);
		run = api_start(session, &o);
		result = api_wait(run);
		assert_int_equal(result->returncode, rows[i].status);
		assert_non_null(strstr(result->start_error, rows[i].argv0));
		assert_non_null(strstr(result->start_error, rows[i].reason));
		exeat_run_free(run);
	}
}

static void usage_is_measured(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.script_type = "python";
	o.script = "import time\nx = bytearray(50 << 20)\n"
		   "t = time.process_time()\n"
		   "while time.process_time() < t + 0.1: pass\n";
	run = api_start(session, &o);
	assert_null(exeat_run_result(run));
	result = api_wait(run);
	assert_true(result->user_us + result->system_us > 100000);
	assert_true(result->max_rss_kib > 50 << 10);
	assert_true(result->runtime_ms >= 100);
	exeat_run_free(run);
}

/* ---- time and signals ---- */

/*
 * A run of a command that says when it is ready for its end, up to that end by
 * its time: of as much as this machine needs to be ready within.
 */
static struct exeat_run *run_out_of_time(const char *command, int grace_ms)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char buf[64];

	o.command = command;
	o.kill_grace_ms = grace_ms;
	for (o.timeout_ms = 50; o.timeout_ms < 60000; o.timeout_ms *= 2) {
		struct exeat_run *run = api_start(session, &o);
		const struct exeat_result *result = api_wait(run);

		assert_string_equal(result->termination_reason, "timeout");
		if (exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 0,
				   NULL) > 0)
			return run;
		exeat_run_free(run);
	}
	fail_msg("never ready: %s", command);
	return NULL;
}

static void timeout_is_term(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.argv = LIST("sleep", "100");
	o.timeout_ms = 50;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "timeout");
	assert_int_equal(result->returncode, -SIGTERM);
	exeat_run_free(run);

	/* a program may use the grace */
	run = run_out_of_time("trap 'exit 9' TERM; echo ready; "
			      "while :; do sleep 0.02; done",
			      30000);
	assert_int_equal(exeat_run_result(run)->returncode, 9);
	exeat_run_free(run);
}

static void timeout_kills_who_ignores_term(void **state)
{
	struct exeat_run *run;

	(void)state;
	run = run_out_of_time("trap '' TERM; echo ready; "
			      "while :; do sleep 0.02; done",
			      50);
	assert_int_equal(exeat_run_result(run)->returncode, -SIGKILL);
	assert_true(exeat_run_result(run)->runtime_ms >= 100);
	exeat_run_free(run);
}

/* Wait until the run has said a line. */
static void await_line(struct exeat_run *run)
{
	char buf[64];

	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL) > 0);
}

static void kill_goes_to_the_tree(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;
	char marker[64], command[256];

	(void)state;
	(void)snprintf(marker, sizeof(marker), "3600.%d", getpid());
	(void)snprintf(command, sizeof(command),
		       "(sleep %s; true) & "
		       "(setsid sh -c 'sleep %s; true') & echo up; wait",
		       marker, marker);
	o.command = command;
	run = api_start(session, &o);
	await_line(run);
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "killed");
	assert_int_equal(result->returncode, -SIGTERM);
	assert_int_equal(api_processes(marker), 0);
	/* of one that has ended: nothing, and no error */
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	exeat_run_free(run);
}

static void kill_before_it_began(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *s = NULL;
	struct exeat_run *run;

	(void)state;
	/* nothing has been answered yet, not even that there is a keeper */
	assert_int_equal(exeat_session_begin(&so, &s, NULL), 0);
	o.argv = LIST("sleep", "1000");
	o.network_mode = "open";
	run = api_start(s, &o);
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	assert_string_equal(api_wait(run)->termination_reason, "killed");
	assert_int_equal(exeat_run_result(run)->returncode, -SIGTERM);
	exeat_session_close(s);
}

static void bad_signals_are_refused(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	(void)state;
	o.argv = LIST("true");
	run = api_start(session, &o);
	assert_true(exeat_run_kill(run, 0, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "signal", "");
	assert_true(exeat_run_kill(run, 1000, &error) < 0);
	api_wait(run);
	exeat_run_free(run);
}

static void nothing_outlives_the_run(void **state)
{
	char marker[64], command[256];

	(void)state;
	(void)snprintf(marker, sizeof(marker), "3601.%d", getpid());
	(void)snprintf(command, sizeof(command),
		       "(setsid sh -c '(trap \"\" TERM HUP; sleep %s) &' &); "
		       "while ! pgrep -f '[s]leep %s' >/dev/null; do :; done; "
		       "echo started",
		       marker, marker);
	assert_string_equal(api_sh(session, command, 0), "started\n");
	assert_int_equal(api_processes(marker), 0);
}

/* A process elsewhere that keeps the pipe open does not keep the run alive. */
static void pipe_kept_by_another_run(void **state)
{
	static const char keep[] =
		"import array, socket, sys\n"
		"s = socket.socket(socket.AF_UNIX)\n"
		"s.bind('\\0keep'); s.listen(); print('up', flush=True)\n"
		"c = s.accept()[0]\n"
		"m = c.recvmsg(1, socket.CMSG_SPACE(4))\n"
		"c.send(b'x'); sys.stdin.read()\n";
	static const char give[] =
		"import array, socket\n"
		"s = socket.socket(socket.AF_UNIX); s.connect('\\0keep')\n"
		"s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, "
		"array.array('i', [1]))])\n"
		"s.recv(1); print('given')\n";
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *keeper;

	(void)state;
	o.script_type = "python";
	o.script = keep;
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	keeper = api_start(session, &o);
	await_line(keeper);
	o.script = give;
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_NONE;
	assert_string_equal(api_exec(session, &o, 0), "given\n");
	exeat_run_close_stdin(keeper);
	api_wait(keeper);
	exeat_run_free(keeper);
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(argv_is_not_a_shell),
	WITH_SESSION(command_is_a_shell_string),
	WITH_SESSION(script_has_a_type),
	cmocka_unit_test(environment_is_minimal),
	cmocka_unit_test(environment_last_wins),
	cmocka_unit_test(proxy_of_one_run),
	WITH_SESSION(cwd_is_the_work_dir),
	WITH_SESSION(cwd_impossible),
	WITH_SESSION(status_is_data),
	WITH_SESSION(result_of_a_signal),
	WITH_SESSION(command_not_found),
	WITH_SESSION(usage_is_measured),
	WITH_SESSION(timeout_is_term),
	WITH_SESSION(timeout_kills_who_ignores_term),
	WITH_SESSION(kill_goes_to_the_tree),
	cmocka_unit_test(kill_before_it_began),
	WITH_SESSION(bad_signals_are_refused),
	WITH_SESSION(nothing_outlives_the_run),
	WITH_SESSION(pipe_kept_by_another_run),
};

API_MAIN("command", tests)
