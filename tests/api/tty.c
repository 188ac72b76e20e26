/* tty.c - a run with a terminal
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

enum { WAIT_MS = 20000 };

static struct exeat_run *start(const char *command)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = command;
	o.pty = 1;
	return api_start(session, &o);
}

/* Read until the text has been shown; fail if it is not. */
static void until_shown(struct exeat_run *run, const char *text)
{
	char shown[16384] = "";
	size_t len = 0;

	while (!strstr(shown, text)) {
		ssize_t n = exeat_run_read(run, EXEAT_STDOUT, shown + len,
					   sizeof(shown) - 1 - len, WAIT_MS,
					   NULL);

		if (n <= 0)
			fail_msg("not shown: %s; but: %s", text, shown);
		len += (size_t)n;
		shown[len] = '\0';
	}
}

/* The same of long output, of which only the end is kept. */
static void until_shown_last(struct exeat_run *run, const char *text)
{
	char shown[8192] = "";
	size_t len = 0;

	while (!strstr(shown, text)) {
		const size_t kept = len < 64 ? len : 64;
		ssize_t n;

		memmove(shown, shown + len - kept, kept);
		n = exeat_run_read(run, EXEAT_STDOUT, shown + kept,
				   sizeof(shown) - 1 - kept, WAIT_MS, NULL);
		if (n <= 0)
			fail_msg("not shown: %s", text);
		len = kept + (size_t)n;
		shown[len] = '\0';
	}
}

static void type(struct exeat_run *run, const char *keys)
{
	assert_int_equal(exeat_run_write(run, keys, strlen(keys), NULL), 0);
}

static void is_a_terminal(void **state)
{
	struct exeat_run *run = start(
		"test -t 0 && test -t 1 && test -t 2 && tty && stty size && "
		"test -c \"$(tty)\" && echo same > /dev/tty && ps -o tty= $$");

	(void)state;
	until_shown(run, "/dev/pts/0\r\n24 80\r\nsame\r\npts/0\r\n");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

/* All of it, and in order, however much. */
static void output_is_whole(void **state)
{
	struct exeat_run *run = start("seq 50000");
	char line[64], expected[64];

	(void)state;
	for (int i = 1; i <= 50000; i++) {
		(void)snprintf(expected, sizeof(expected), "%d\r\n", i);
		assert_true(exeat_run_read_line(run, EXEAT_STDOUT, line,
						sizeof(line), WAIT_MS,
						NULL) > 0);
		assert_string_equal(line, expected);
	}
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, line, sizeof(line),
					WAIT_MS, NULL),
			 0);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void keys(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	/* echoed; ^D ends the input; what is typed too early is kept */
	o.argv = LIST("cat");
	o.pty = 1;
	run = api_start(session, &o);
	type(run, "hello\n");
	until_shown(run, "hello\r\nhello\r\n");
	exeat_run_close_stdin(run);
	assert_int_equal(api_wait(run)->returncode, 0);
	assert_true(exeat_run_write(run, "x", 1, NULL) < 0);
	exeat_run_free(run);

	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = "bytes\n";
	o.stdin_len = 6;
	run = api_start(session, &o);
	until_shown(run, "bytes\r\nbytes\r\n");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
	/* half a line has an end, too */
	o.stdin_len = 3;
	run = api_start(session, &o);
	until_shown(run, "bytbyt");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

/* What is erased is a character, however many bytes it has. */
static void erases_characters(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.command = "stty -echo; echo ready; cat";
	o.pty = 1;
	run = api_start(session, &o);
	until_shown(run, "ready");
	type(run, "a\u017e\u65e5\177\177b\n");
	until_shown(run, "ab\r\n");
	exeat_run_close_stdin(run);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void interrupt(void **state)
{
	/* the shell goes on: the key is for what is in the foreground */
	struct exeat_run *run =
		start("stty -echo; (echo ready; exec sleep 100); echo $?");

	(void)state;
	until_shown(run, "ready");
	type(run, "\003");
	assert_int_equal(api_wait(run)->returncode, -SIGINT);
	exeat_run_free(run);

	run = start("trap 'echo caught; exit 5' INT; echo ready; "
		    "while :; do sleep 0.05; done");
	until_shown(run, "ready");
	type(run, "\003");
	until_shown(run, "caught");
	assert_int_equal(api_wait(run)->returncode, 5);
	exeat_run_free(run);
}

/* A shell with job control: stop, list, continue. */
static void job_control(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.argv = LIST("bash", "--norc", "-i");
	o.env = LIST("PS1=> ", "PS2=", "HISTFILE=");
	o.pty = 1;
	run = api_start(session, &o);
	until_shown(run, "> ");
	/* only when it is in the foreground is the key its own */
	type(run, "sh -c 'echo rea\"\"dy; exec sleep 100'\n");
	until_shown(run, "ready");
	type(run, "\032");
	until_shown(run, "Stopped");
	type(run, "jobs; bg\n");
	until_shown(run, "sleep 100' &");
	type(run, "kill %1; wait %1; echo is=$?\n");
	until_shown(run, "is=143");
	type(run, "exit 0\n");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void window(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	(void)state;
	o.command = "trap 'stty size; exit' WINCH; stty size; "
		    "while :; do sleep 0.05; done";
	o.pty = 1;
	o.pty_rows = 40;
	o.pty_cols = 132;
	run = api_start(session, &o);
	until_shown(run, "40 132");
	assert_true(exeat_run_resize(run, 0, 80, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "size", "");
	assert_int_equal(exeat_run_resize(run, 50, 100, NULL), 0);
	until_shown(run, "50 100");
	assert_int_equal(api_wait(run)->returncode, 0);
	assert_int_equal(exeat_run_resize(run, 50, 100, NULL), 0);
	exeat_run_free(run);

	/* before there is a terminal: it has that size when it is there */
	o.command = "until stty size | grep '7 9'; do sleep 0.05; done";
	run = api_start(session, &o);
	assert_int_equal(exeat_run_resize(run, 7, 9, NULL), 0);
	until_shown(run, "7 9");
	exeat_run_free(run);
	o.pty = 0;
	o.pty_rows = o.pty_cols = 0;
	o.command = "true";
	run = api_start(session, &o);
	assert_true(exeat_run_resize(run, 5, 5, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "pty", "");
	exeat_run_free(run);
}

static void ends(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char marker[64], command[192];

	(void)state;
	/* a command that is not there needs no terminal */
	o.argv = LIST("no-such-command");
	o.pty = 1;
	run = api_start(session, &o);
	assert_int_equal(api_wait(run)->returncode, 127);
	exeat_run_free(run);
	/* one that closes all of it goes on */
	o.argv = NULL;
	o.command = "exec <&- >&- 2>&-; sleep 0.1; exit 4";
	run = api_start(session, &o);
	assert_int_equal(api_wait(run)->returncode, 4);
	exeat_run_free(run);
	/* the time is up; what was left in the background is gone too */
	(void)snprintf(marker, sizeof(marker), "3611.%d", getpid());
	(void)snprintf(command, sizeof(command),
		       "setsid sleep %s & trap '' HUP; sleep %s", marker,
		       marker);
	o.command = command;
	o.timeout_ms = 300;
	o.kill_grace_ms = 100;
	run = api_start(session, &o);
	assert_string_equal(api_wait(run)->termination_reason, "timeout");
	assert_int_equal(api_processes(marker), 0);
	exeat_run_free(run);
	/* its owner forgets it */
	o.timeout_ms = 0;
	(void)snprintf(command, sizeof(command), "sleep %s", marker);
	run = api_start(session, &o);
	exeat_run_free(run);
	assert_true(api_becomes_zero(api_processes, marker, WAIT_MS));
}

/* Nobody has it for a while; then it is opened by its name, and written. */
static void comes_back(void **state)
{
	struct exeat_run *run =
		start("exec <&- >&- 2>&-; sleep 0.2; seq 20000 > /dev/tty; "
		      "sleep 0.2; echo last > /dev/tty; exit 4");

	(void)state;
	until_shown_last(run, "\r\n20000\r\n");
	until_shown_last(run, "last");
	assert_int_equal(api_wait(run)->returncode, 4);
	exeat_run_free(run);
}

/* Killed before there is a terminal, or after: there is an end to read. */
static void killed_early(void **state)
{
	struct exeat_run *run = start("sleep 1000");
	char buf[64];

	(void)state;
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	assert_int_equal(api_wait(run)->returncode, -SIGKILL);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					WAIT_MS, NULL),
			 0);
	exeat_run_free(run);
}

static void bad_options(void **state)
{
	static const struct {
		int stream;
		enum exeat_stdio kind;
	} bad[] = {
		{ EXEAT_STDIN, EXEAT_STDIO_INHERIT },
		{ EXEAT_STDIN, EXEAT_STDIO_NONE },
		{ EXEAT_STDOUT, EXEAT_STDIO_NONE },
		{ EXEAT_STDOUT, EXEAT_STDIO_INHERIT },
		{ EXEAT_STDERR, EXEAT_STDIO_PIPE },
	};
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct exeat_run_options o = RUN_OPTIONS;

		o.command = "true";
		o.pty = 1;
		o.stdio[bad[i].stream] = bad[i].kind;
		assert_true(exeat_run_start(session, &o, &run, &error) < 0);
		api_expect(&error, EXEAT_INVALID, "pty", "");
	}
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(is_a_terminal), WITH_SESSION(output_is_whole),
	WITH_SESSION(keys),	     WITH_SESSION(erases_characters),
	WITH_SESSION(interrupt),     WITH_SESSION(job_control),
	WITH_SESSION(window),	     WITH_SESSION(ends),
	WITH_SESSION(comes_back),    WITH_SESSION(killed_early),
	WITH_SESSION(bad_options),
};

API_MAIN("tty", tests)
