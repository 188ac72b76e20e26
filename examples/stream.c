/* stream.c - output line by line as it arrives, and more than memory holds
 * SPDX-License-Identifier: Apache-2.0
 *
 * A run's pipes are pipes: who does not read makes the command wait, and a
 * command that does not read makes us wait. So neither an endless output nor
 * an input without end needs more than a little memory.
 */
#include <errno.h>
#include <exeat.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENT = 8 << 20 }; /* bytes, more than all pipes and buffers hold */

/* Both outputs as one stream, in the order in which they are written. */
static int lines(struct exeat_session *session, struct exeat_error *error)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_run *run;
	char line[256];
	ssize_t n;
	int r;

	options.command = "echo compiling; echo 'warning: unused' >&2; "
			  "echo linking; exit 3";
	options.merge_output = 1;
	r = exeat_run_start(session, &options, &run, error);
	if (r < 0)
		return r;
	while ((n = exeat_run_read_line(run, EXEAT_STDOUT, line, sizeof(line),
					-1, error)) > 0)
		printf("> %s", line);
	r = n < 0 ? (int)n : exeat_run_wait(run, -1, error);
	if (r >= 0)
		printf("exit status %d\n", exeat_run_result(run)->returncode);
	exeat_run_free(run);
	return r;
}

/* Who has seen enough of something endless says so. */
static int endless(struct exeat_session *session, struct exeat_error *error)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_run *run;
	char line[64];
	int i, r;

	options.command = "exec seq 1 1000000000000";
	r = exeat_run_start(session, &options, &run, error);
	if (r < 0)
		return r;
	for (i = 0; i < 3 && r >= 0; i++) {
		r = (int)exeat_run_read_line(run, EXEAT_STDOUT, line,
					     sizeof(line), -1, error);
		if (r > 0)
			printf("line %s", line);
	}
	if (r >= 0)
		r = exeat_run_kill(run, SIGTERM, error);
	if (r >= 0)
		r = exeat_run_wait(run, -1, error);
	if (r >= 0)
		printf("enough: %s\n",
		       exeat_run_result(run)->termination_reason);
	exeat_run_free(run);
	return r;
}

/*
 * Both ends of one command. Who only wrote would wait for ever once the
 * command waits for its output to be read: so only what is taken at once is
 * written, and reading goes on meanwhile.
 */
static int through(struct exeat_session *session, struct exeat_error *error)
{
	static char out[SENT], in[64 << 10];
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	size_t sent = 0, got = 0, right = 0;
	struct exeat_run *run;
	ssize_t n;
	int r;

	memset(out, 'a', sizeof(out));
	options.command = "tr a b";
	r = exeat_spawn(session, &options, &run, error);
	if (r < 0)
		return r;
	do {
		while (sent < SENT) {
			n = exeat_run_write_some(run, out + sent, SENT - sent,
						 error);
			if (n < 0)
				break; /* -EAGAIN: read first */
			sent += (size_t)n;
		}
		if (sent == SENT)
			exeat_run_close_stdin(run); /* again is no harm */
		n = exeat_run_read(run, EXEAT_STDOUT, in, sizeof(in), -1,
				   error);
		for (ssize_t i = 0; i < n; i++)
			right += in[i] == 'b';
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	r = n < 0 ? (int)n : exeat_run_wait(run, -1, error);
	if (r >= 0)
		printf("%lu bytes there, %lu back, %lu of them right\n",
		       (unsigned long)sent, (unsigned long)got,
		       (unsigned long)right);
	exeat_run_free(run);
	return r;
}

int main(void)
{
	struct exeat_session *session;
	struct exeat_error error;
	char text[1024];
	int r = exeat_session_open(NULL, &session, &error);

	if (r == 0) {
		r = lines(session, &error);
		if (r >= 0)
			r = endless(session, &error);
		if (r >= 0)
			r = through(session, &error);
		exeat_session_close(session);
	}
	if (r < 0)
		fprintf(stderr, "stream: %s\n",
			exeat_error_text(&error, text, sizeof(text)));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
