/* reading.c - output by lines and as text; input without waiting
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "fixture.h"

enum { WAIT_MS = 20000 };

/* ---- lines ---- */

static void expect_line(struct exeat_run *run, size_t size, const char *line)
{
	char buf[64];
	ssize_t n = exeat_run_read_line(run, EXEAT_STDOUT, buf, size, WAIT_MS,
					NULL);

	assert_int_equal(n, strlen(line));
	assert_string_equal(buf, line);
}

static void lines(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[64];

	(void)state;
	o.command = "printf 'one\\n\\ntw'; read x; printf 'o\\nlonger than "
		    "room\\nlast'";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	expect_line(run, sizeof(buf), "one\n");
	expect_line(run, sizeof(buf), "\n");
	/* half a line is none yet, and is not lost */
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, buf,
					     sizeof(buf), 50, NULL),
			 -EAGAIN);
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	expect_line(run, sizeof(buf), "two\n");
	expect_line(run, 8, "longer ");
	expect_line(run, 8, "than ro");
	expect_line(run, 8, "om\n");
	expect_line(run, sizeof(buf), "last");
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, buf,
					     sizeof(buf), WAIT_MS, NULL),
			 0);
	exeat_run_free(run);
}

static void lines_of_many(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[64], expected[64];

	(void)state;
	o.command = "seq 100000";
	run = api_start(session, &o);
	for (int i = 1; i <= 100000; i++) {
		(void)snprintf(expected, sizeof(expected), "%d\n", i);
		assert_true(exeat_run_read_line(run, EXEAT_STDOUT, buf,
						sizeof(buf), WAIT_MS,
						NULL) > 0);
		assert_string_equal(buf, expected);
	}
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, buf,
					     sizeof(buf), WAIT_MS, NULL),
			 0);
	exeat_run_free(run);
}

/* ---- text ---- */

static void text_of(const char *format, size_t room, const char *expected)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char text[256] = "", buf[64], *command;
	struct exeat_run *run;
	size_t len = 0;
	ssize_t n;

	assert_true(asprintf(&command, "printf '%s'", format) > 0);
	o.command = command;
	run = api_start(session, &o);
	while ((n = exeat_run_read_text(run, EXEAT_STDOUT, buf, room, WAIT_MS,
					NULL)) > 0) {
		assert_int_equal(strlen(buf), n);
		assert_true(len + (size_t)n < sizeof(text));
		memcpy(text + len, buf, (size_t)n + 1);
		len += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_string_equal(text, expected);
	exeat_run_free(run);
	free(command);
}

static void text(void **state)
{
	(void)state;
	for (size_t room = 8; room < 24; room += 5) {
		text_of("plain", room, "plain");
		text_of("gr\\303\\274n \\342\\202\\254 \\360\\237\\230\\200",
			room, "gr\303\274n \342\202\254 \360\237\230\200");
		/* no characters: overlong, a surrogate, a lone byte, the end
		 * in the middle of one */
		text_of("\\300\\200", room, "\357\277\275\357\277\275");
		text_of("a\\355\\240\\200b", room,
			"a\357\277\275\357\277\275\357\277\275b");
		text_of("\\200\\377", room, "\357\277\275\357\277\275");
		text_of("\\342\\202", room, "\357\277\275\357\277\275");
		text_of("\\360\\237\\230", room,
			"\357\277\275\357\277\275\357\277\275");
	}
}

/* A character whose bytes come one by one is one character. */
static void text_in_pieces(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.command = "printf 'a\\360\\237'; read x; printf '\\230'; read x; "
		    "printf '\\200\\342'; read x; printf x";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	assert_int_equal(exeat_run_read_text(run, EXEAT_STDOUT, buf,
					     sizeof(buf), WAIT_MS, NULL),
			 1);
	assert_string_equal(buf, "a");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(exeat_run_read_text(run, EXEAT_STDOUT, buf,
						     sizeof(buf), 20, NULL),
				 -EAGAIN);
		assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	}
	assert_int_equal(exeat_run_read_text(run, EXEAT_STDOUT, buf,
					     sizeof(buf), WAIT_MS, NULL),
			 4);
	assert_string_equal(buf, "\360\237\230\200");
	/* what follows is none of its bytes: it was no character */
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	assert_int_equal(exeat_run_read_text(run, EXEAT_STDOUT, buf,
					     sizeof(buf), WAIT_MS, NULL),
			 4);
	assert_string_equal(buf, "\357\277\275x");
	exeat_run_free(run);
}

static void bad_reads(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	char buf[16];

	(void)state;
	o.command = "echo x";
	run = api_start(session, &o);
	assert_true(exeat_run_read_line(run, EXEAT_STDIN, buf, sizeof(buf), 0,
					&error) < 0);
	api_expect(&error, EXEAT_INVALID, "stream", "");
	assert_true(exeat_run_read_line(run, EXEAT_STDOUT, buf, 1, 0, &error) <
		    0);
	api_expect(&error, EXEAT_INVALID, "size", "");
	assert_true(exeat_run_read_text(run, EXEAT_STDOUT, buf, 7, 0, &error) <
		    0);
	api_expect(&error, EXEAT_INVALID, "size", "");
	exeat_run_free(run);
}

/* ---- input without waiting ---- */

static void count_ready(void *user_data, struct exeat_run *run)
{
	unsigned *ready = user_data;

	assert_non_null(run);
	++*ready;
}

static void write_some(void **state)
{
	static char bytes[3 << 20];
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	unsigned ready = 0, waits = 0;
	size_t sent = 0;
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 >> 3);
	/* who does not read takes nothing more after a while */
	o.command = "read go; cksum";
	o.on_stdin_ready = count_ready;
	o.user_data = &ready;
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	assert_int_equal(exeat_run_write_some(run, "go\n", 3, NULL), 3);
	while (sent < sizeof(bytes)) {
		ssize_t n = exeat_run_write_some(run, bytes + sent,
						 sizeof(bytes) - sent, NULL);

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		assert_int_equal(n, -EAGAIN);
		waits++;
		ready = 0;
		while (ready == 0)
			assert_int_equal(exeat_session_dispatch(session,
								WAIT_MS, NULL),
					 0);
	}
	assert_true(waits > 0);
	exeat_run_close_stdin(run);
	assert_true(exeat_run_read_line(run, EXEAT_STDOUT, buf, sizeof(buf),
					WAIT_MS, NULL) > 0);
	assert_non_null(strstr(buf, " 3145728"));
	assert_int_equal(exeat_run_write_some(run, "x", 1, NULL), -EPIPE);
	exeat_run_free(run);

	/* the end is told as well: nobody waits for room for ever */
	o.command = "read x; exec <&-; sleep 100";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	while (exeat_run_write_some(run, bytes, sizeof(bytes), NULL) > 0)
		;
	ready = 0;
	while (ready == 0)
		assert_int_equal(exeat_session_dispatch(session, WAIT_MS, NULL),
				 0);
	exeat_run_free(run);
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(lines),	 WITH_SESSION(lines_of_many),
	WITH_SESSION(text),	 WITH_SESSION(text_in_pieces),
	WITH_SESSION(bad_reads), WITH_SESSION(write_some),
};

API_MAIN("reading", tests)
