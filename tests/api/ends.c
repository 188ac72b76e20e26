/* ends.c - how a run ends that says too little or too much
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "fixture.h"

/* All that a stream has, as text, until the next call. */
static const char *all_of(struct exeat_run *run, enum exeat_stream stream)
{
	static char text[8192];
	size_t len = 0;
	ssize_t n;

	while ((n = exeat_run_read(run, stream, text + len,
				   sizeof(text) - 1 - len, 20000, NULL)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

/* ---- says nothing ---- */

static void idle(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.command = "echo here; sleep 100";
	o.idle_timeout_ms = 200;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "idle_timeout");
	assert_int_equal(result->returncode, -SIGTERM);
	assert_true(result->runtime_ms >= 200);
	assert_string_equal(all_of(run, EXEAT_STDOUT), "here\n");
	exeat_run_free(run);

	/* who does not heed TERM is killed */
	o.command = "trap '' TERM; while :; do sleep 0.05; done";
	o.kill_grace_ms = 100;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "idle_timeout");
	assert_int_equal(result->returncode, -SIGKILL);
	exeat_run_free(run);
}

static void not_idle(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	/* longer in all than its idle time, on either stream */
	o.command = "for i in 1 2 3 4; do echo; sleep 0.3; echo >&2; sleep 0.3;"
		    "done";
	o.idle_timeout_ms = 1500;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "");
	assert_int_equal(result->returncode, 0);
	assert_int_equal(result->stdout_bytes, 4);
	assert_int_equal(result->stderr_bytes, 4);
	exeat_run_free(run);
}

/* A caller that was away is no reason to end a command that spoke. */
static void caller_away(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.command = "echo one; read x; echo two";
	o.idle_timeout_ms = 300;
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	usleep(600000);
	/* its line is found now; the idle time begins here */
	assert_int_equal(exeat_run_wait(run, 0, NULL), 0);
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "");
	assert_string_equal(all_of(run, EXEAT_STDOUT), "one\ntwo\n");
	exeat_run_free(run);

	/* nor one that ended in the meantime, without a word */
	o.command = "exit 3";
	run = api_start(session, &o);
	usleep(600000);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "");
	assert_int_equal(result->returncode, 3);
	exeat_run_free(run);
}

/* ---- says too much ---- */

static void output_limit(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.command = "echo 12345 >&2; yes";
	o.max_output_bytes = 1000;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "output_limit");
	assert_int_equal(result->returncode, -SIGTERM);
	assert_int_equal(result->stdout_cut, 1);
	assert_int_equal(result->stderr_cut, 0);
	assert_int_equal(result->stderr_bytes, 6);
	assert_true(result->stdout_bytes > 994);
	assert_int_equal(strlen(all_of(run, EXEAT_STDOUT)), 994);
	exeat_run_free(run);

	/* ends by itself: it is cut, and was not ended */
	o.command = "printf 123456 >&2; exec sleep 0.1";
	o.max_output_bytes = 6;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "");
	assert_int_equal(result->stderr_cut, 0);
	exeat_run_free(run);

	/* what it writes while it dies is counted, and kept no more */
	o.command = "trap 'head -c 100000 /dev/zero; exit 9' TERM; "
		    "printf 1234567; while :; do sleep 0.05; done";
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "output_limit");
	assert_int_equal(result->returncode, 9);
	assert_int_equal(result->stdout_bytes, 100007);
	assert_string_equal(all_of(run, EXEAT_STDOUT), "123456");
	exeat_run_free(run);
}

/* ---- in one ---- */

static void append(void *user_data, struct exeat_run *run,
		   enum exeat_stream stream, const void *data, size_t len)
{
	char *text = user_data, *end = text + strlen(text);

	assert_non_null(run);
	assert_int_equal(stream, EXEAT_STDOUT);
	memcpy(end, data, len);
	end[len] = '\0';
}

static void merged(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;
	char text[64] = "";

	(void)state;
	o.command = "for i in 1 2 3; do echo o$i; echo e$i >&2; done";
	o.merge_output = 1;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_int_equal(result->stdout_bytes, 18);
	assert_int_equal(result->stderr_bytes, 0);
	assert_string_equal(all_of(run, EXEAT_STDOUT),
			    "o1\ne1\no2\ne2\no3\ne3\n");
	assert_string_equal(all_of(run, EXEAT_STDERR), "");
	exeat_run_free(run);

	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	o.on_output = append;
	o.user_data = text;
	run = api_start(session, &o);
	api_wait(run);
	assert_string_equal(text, "o1\ne1\no2\ne2\no3\ne3\n");
	exeat_run_free(run);
}

/* ---- helpers ---- */

static void code(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	size_t len;
	char *out;

	(void)state;
	assert_int_equal(exeat_run_code(session, "print('gr\303\274n')", NULL,
					NULL, &out, &len, NULL),
			 0);
	assert_string_equal(out, "gr\303\274n\n");
	assert_int_equal(len, 6);
	free(out);

	o.env = LIST("WORD=there");
	assert_int_equal(
		exeat_run_code(session,
			       "import os, sys\nprint(os.environ['WORD'])\n"
			       "sys.exit('no ' + 'more')",
			       &o, &run, &out, &len, NULL),
		1);
	assert_string_equal(out, "there\n");
	assert_int_equal(exeat_run_result(run)->returncode, 1);
	assert_string_equal(all_of(run, EXEAT_STDERR), "no more\n");
	free(out);
	exeat_run_free(run);

	o.command = "true";
	assert_true(exeat_run_code(session, "", &o, NULL, NULL, NULL, &error) <
		    0);
	api_expect(&error, EXEAT_INVALID, "command", "");
	o.command = NULL;
	assert_true(exeat_run_code(session, NULL, &o, NULL, NULL, NULL,
				   &error) < 0);
	api_expect(&error, EXEAT_INVALID, "code", "");
}

/* ---- bad input ---- */

static void refused(const struct exeat_run_options *o, const char *what)
{
	struct exeat_error error = { 0 };
	struct exeat_run *run = NULL;

	assert_true(exeat_run_start(session, o, &run, &error) < 0);
	api_expect(&error, EXEAT_INVALID, what, "");
	assert_null(run);
}

static void bad_options(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "true";
	o.idle_timeout_ms = -1;
	refused(&o, "idle_timeout");
	o.idle_timeout_ms = 100;
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_INHERIT;
	refused(&o, "idle_timeout");
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	refused(&o, "idle_timeout");
	o.idle_timeout_ms = 0;
	o.max_output_bytes = 1;
	refused(&o, "max_output");
	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_FD;
	o.stdio_fd[EXEAT_STDOUT] = 1;
	refused(&o, "max_output");
	o.max_output_bytes = 0;
	o.merge_output = 1;
	refused(&o, "merge_output");
	/* the longest that may be named: ten years */
	o = RUN_OPTIONS;
	o.command = "true";
	o.idle_timeout_ms = INT64_C(315576000000);
	o.timeout_ms = INT64_C(315576000000);
	o.kill_grace_ms = INT64_C(315576000000);
	(void)api_exec(session, &o, 0);
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(idle),	   WITH_SESSION(not_idle),
	WITH_SESSION(caller_away), WITH_SESSION(output_limit),
	WITH_SESSION(merged),	   WITH_SESSION(code),
	WITH_SESSION(bad_options),
};

API_MAIN("ends", tests)
