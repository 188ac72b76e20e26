/* stream.c - what goes in and out of a run, and who waits for whom
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "fixture.h"

enum { BIG = 20 << 20 };

/* ---- stdin ---- */

static void stdin_none(void **state)
{
	(void)state;
	assert_string_equal(api_sh(session, "readlink /proc/self/fd/0; cat", 0),
			    "/dev/null\n");
}

/* What is closed, or close-on-exec as the session's own descriptors are, which
 * may have got the number, is not for the run. */
static void stdin_inherit(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	o.command = "readlink /proc/$$/fd/0";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_INHERIT;
	assert_int_equal(dup2(pipes[0], STDIN_FILENO), STDIN_FILENO);
	assert_non_null(strstr(api_exec(session, &o, 0), "pipe:"));
	assert_int_equal(fcntl(STDIN_FILENO, F_SETFD, FD_CLOEXEC), 0);
	assert_string_equal(api_exec(session, &o, 0), "/dev/null\n");
	(void)close(STDIN_FILENO);
	assert_string_equal(api_exec(session, &o, 0), "/dev/null\n");
	if (kept >= 0) {
		(void)dup2(kept, STDIN_FILENO);
		(void)close(kept);
	}
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void stdin_bytes(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char *out, *bytes = malloc(BIG);
	size_t len;

	(void)state;
	for (size_t i = 0; i < BIG; i++)
		bytes[i] = (char)(i * 31 >> 7);
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = bytes;
	o.stdin_len = BIG;
	assert_int_equal(
		exeat_exec(session, &o, &run, &out, &len, NULL, NULL, NULL), 0);
	assert_int_equal(len, BIG);
	assert_memory_equal(out, bytes, BIG);
	free(out);
	exeat_run_free(run);

	o.stdin_len = 0;
	assert_string_equal(api_exec(session, &o, 0), "");
	/* who does not read it is not waited for */
	o.stdin_len = BIG;
	o.argv = LIST("true");
	assert_string_equal(api_exec(session, &o, 0), "");
	free(bytes);
}

static void stdin_pipe(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	for (int i = 0; i < 3; i++) {
		/* what was written is there before the next is */
		assert_int_equal(exeat_run_write(run, "ping\n", 5, NULL), 0);
		assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf,
						sizeof(buf), 60000, NULL),
				 5);
		assert_memory_equal(buf, "ping\n", 5);
	}
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 0,
					NULL),
			 -EAGAIN);
	exeat_run_close_stdin(run);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 0);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void write_to_nobody(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	int64_t deadline = api_ms() + 60000;
	struct exeat_run *run;
	char buf[8];
	int r;

	(void)state;
	/* SIGPIPE is as the system made it: it would end this program */
	api_signal(SIGPIPE, SIG_DFL);
	o.command = "exec <&-; echo closed; sleep 100";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL) > 0);
	/* the process that made it may hold its copy for a moment longer */
	while ((r = exeat_run_write(run, "x", 1, &error)) == 0)
		assert_true(api_ms() < deadline);
	assert_int_equal(r, -EPIPE);
	api_expect(&error, EXEAT_CONFLICT, "stdin", "");
	assert_int_equal(exeat_run_write(run, "x", 1, NULL), -EPIPE);
	exeat_run_free(run);

	/* nor after the end, nor after our own close, nor without a pipe */
	o.command = "true";
	run = api_start(session, &o);
	api_wait(run);
	assert_int_equal(exeat_run_write(run, "x", 1, NULL), -EPIPE);
	exeat_run_free(run);
	o.argv = LIST("cat");
	o.command = NULL;
	run = api_start(session, &o);
	exeat_run_close_stdin(run);
	assert_int_equal(exeat_run_write(run, "x", 1, NULL), -EPIPE);
	exeat_run_free(run);
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_NONE;
	run = api_start(session, &o);
	assert_int_equal(exeat_run_write(run, "x", 1, NULL), -EPIPE);
	exeat_run_free(run);
}

/* A write waits for who is slow, and ends when the command does. */
static void write_to_who_does_not_read(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char *bytes = calloc(1, 1 << 20);

	(void)state;
	o.command = "sleep 0.2; wc -c";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	assert_int_equal(exeat_run_write(run, bytes, 1 << 20, NULL), 0);
	exeat_run_close_stdin(run);
	api_wait(run);
	memset(bytes, 0, 16);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, bytes, 16, 0, NULL),
			 8);
	assert_string_equal(bytes, "1048576\n");
	exeat_run_free(run);
	o.command = "sleep 0.1";
	run = api_start(session, &o);
	assert_int_equal(exeat_run_write(run, bytes, 1 << 20, NULL), -EPIPE);
	exeat_run_free(run);
	free(bytes);
}

/* ---- output ---- */

static uint64_t sum_of(const char *data, size_t len, uint64_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + (unsigned char)data[i];
	return sum;
}

static void output_is_whole(void **state)
{
	static const char writer[] =
		"import sys\n"
		"b = bytes((i * 31 >> 7) & 255 for i in range(1 << 15)) * 640\n"
		"sys.stdout.buffer.write(b)\n";
	struct exeat_run_options o = RUN_OPTIONS;
	uint64_t sum = 0, expected = 0;
	static char buf[100000];
	struct exeat_run *run;
	size_t total = 0;
	ssize_t n;

	(void)state;
	o.script = writer;
	o.script_type = "python";
	run = api_start(session, &o);
	while ((n = exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL)) > 0) {
		sum = sum_of(buf, (size_t)n, sum);
		total += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(total, BIG);
	for (size_t i = 0; i < BIG; i++) {
		char c = (char)((i % (1 << 15)) * 31 >> 7);

		expected = sum_of(&c, 1, expected);
	}
	assert_true(sum == expected);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void output_is_kept_while_waiting(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char buf[32] = "";
	struct exeat_run *run;

	(void)state;
	o.command = "echo out; echo err >&2";
	run = api_start(session, &o);
	api_wait(run);
	assert_int_equal(exeat_run_read(run, EXEAT_STDERR, buf, 2, 0, NULL), 2);
	assert_memory_equal(buf, "er", 2);
	assert_int_equal(exeat_run_read(run, EXEAT_STDERR, buf, 8, 0, NULL), 2);
	assert_int_equal(exeat_run_read(run, EXEAT_STDERR, buf, 8, 0, NULL), 0);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, 8, 0, NULL), 4);
	assert_memory_equal(buf, "out\n", 4);
	exeat_run_free(run);
}

static void output_comes_as_it_is_written(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.command = "echo one; read x; echo two";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 4);
	assert_int_equal(exeat_run_wait(run, 0, NULL), 0);
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 4);
	assert_memory_equal(buf, "two\n", 4);
	exeat_run_free(run);
}

/*
 * Who prints and is not read waits; the session and other runs do not. A
 * waiting caller is told, since nothing would ever change.
 */
static void output_nobody_reads(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	static char buf[1 << 20];
	struct exeat_run *run;
	size_t total = 0;
	ssize_t n;

	(void)state;
	o.command = "head -c 100000000 /dev/zero; echo end";
	run = api_start(session, &o);
	assert_true(exeat_run_wait(run, 60000, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "output", "");
	assert_string_equal(api_sh(session, "echo other", 0), "other\n");
	while ((n = exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL)) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(total, 100000004);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void write_to_who_is_not_read(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	static char bytes[1 << 20];
	struct exeat_run *run;
	int r = 0;

	(void)state;
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	for (int i = 0; r == 0 && i < 100; i++)
		r = exeat_run_write(run, bytes, sizeof(bytes), &error);
	assert_true(r < 0);
	api_expect(&error, EXEAT_LIMIT, "output", "");
	exeat_run_free(run);
}

/* ---- callbacks and descriptors ---- */

struct collected {
	size_t len[3];
	unsigned calls, exits;
	bool after_exit;
	uint64_t sum;
};

static void collect(void *user_data, struct exeat_run *run,
		    enum exeat_stream stream, const void *data, size_t len)
{
	struct collected *c = user_data;

	assert_non_null(run);
	assert_true(len > 0);
	c->len[stream] += len;
	c->sum = sum_of(data, len, c->sum);
	c->calls++;
	c->after_exit |= c->exits > 0;
}

static void count_exit(void *user_data, struct exeat_run *run)
{
	struct collected *c = user_data;

	assert_non_null(exeat_run_result(run));
	c->exits++;
}

static void output_by_callback(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct collected c = { 0 };
	struct exeat_run *run;

	(void)state;
	o.command = "head -c 5000000 /dev/zero; echo error >&2";
	o.stdio[EXEAT_STDOUT] = o.stdio[EXEAT_STDERR] = EXEAT_STDIO_CALLBACK;
	o.on_output = collect;
	o.on_exit = count_exit;
	o.user_data = &c;
	run = api_start(session, &o);
	api_wait(run);
	assert_int_equal(c.len[EXEAT_STDOUT], 5000000);
	assert_int_equal(c.len[EXEAT_STDERR], 6);
	assert_int_equal(c.exits, 1);
	assert_false(c.after_exit);
	exeat_run_free(run);
	assert_int_equal(c.exits, 1);
}

static void stdio_by_descriptor(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16] = "";
	int in[2], out[2];

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	o.argv = LIST("cat");
	for (int i = 0; i < 3; i++)
		o.stdio[i] = i == 2 ? EXEAT_STDIO_NONE : EXEAT_STDIO_FD;
	o.stdio_fd[0] = in[0];
	o.stdio_fd[1] = out[1];
	run = api_start(session, &o);
	assert_int_equal(write(in[1], "through\n", 8), 8);
	(void)close(in[1]);
	api_wait(run);
	/* borrowed: both are still ours */
	(void)close(in[0]);
	assert_int_equal(close(out[1]), 0);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 8);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 0);
	assert_string_equal(buf, "through\n");
	(void)close(out[0]);
	exeat_run_free(run);
}

/* No descriptor of the caller or of ours is open in a payload. */
static void descriptors_inside(void **state)
{
	int fd = open("/etc/passwd",
		      O_RDONLY); /* deliberately without CLOEXEC */

	(void)state;
	assert_string_equal(api_sh(session, "cd /proc/self/fd; echo *", 0),
			    "0 1 2 3\n"); /* 3 is the listing itself */
	(void)close(fd);
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(stdin_none),
	WITH_SESSION(stdin_inherit),
	WITH_SESSION(stdin_bytes),
	WITH_SESSION(stdin_pipe),
	WITH_SESSION(write_to_nobody),
	WITH_SESSION(write_to_who_does_not_read),
	WITH_SESSION(output_is_whole),
	WITH_SESSION(output_is_kept_while_waiting),
	WITH_SESSION(output_comes_as_it_is_written),
	WITH_SESSION(output_nobody_reads),
	WITH_SESSION(write_to_who_is_not_read),
	WITH_SESSION(output_by_callback),
	WITH_SESSION(stdio_by_descriptor),
	WITH_SESSION(descriptors_inside),
};

API_MAIN("stream", tests)
