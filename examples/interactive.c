/* interactive.c - a shell on a terminal: prompts, window size, Ctrl-C
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a person at a terminal does, as a program: wait for the prompt, type,
 * read what comes, make the window wider, interrupt what takes too long.
 */
#include <errno.h>
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "ready> "

enum { ANSWER_MS = 60000 };

struct terminal {
	struct exeat_run *run;
	char shown[8192]; /* and not yet looked at; terminated */
	size_t len;
};

static int fail(struct exeat_error *error, int r, const char *message)
{
	memset(error, 0, sizeof(*error));
	error->code = EXEAT_INTERNAL;
	error->errnum = -r;
	snprintf(error->step, sizeof(error->step), "converse");
	snprintf(error->message, sizeof(error->message), "%s", message);
	return r;
}

/* Print what comes before the text, and forget the text. */
static int until(struct terminal *t, const char *text,
		 struct exeat_error *error)
{
	char *end;
	ssize_t n;

	while (!(end = strstr(t->shown, text))) {
		if (t->len + 1 == sizeof(t->shown))
			return fail(error, -E2BIG, "it talks too much");
		n = exeat_run_read(t->run, EXEAT_STDOUT, t->shown + t->len,
				   sizeof(t->shown) - 1 - t->len, ANSWER_MS,
				   error);
		if (n == -EAGAIN)
			return fail(error, -ETIME, "it does not answer");
		if (n <= 0)
			return fail(error, -EPIPE, "it has ended");
		t->len += (size_t)n;
		t->shown[t->len] = '\0';
	}
	printf("%.*s", (int)(end - t->shown), t->shown);
	end += strlen(text);
	t->len -= (size_t)(end - t->shown);
	memmove(t->shown, end, t->len + 1);
	return 0;
}

static int type(struct terminal *t, const char *keys, struct exeat_error *error)
{
	return exeat_run_write(t->run, keys, strlen(keys), error);
}

/* A line of ours, and all that it brings. */
static int ask(struct terminal *t, const char *line, struct exeat_error *error)
{
	int r = type(t, line, error);

	if (r == 0)
		r = type(t, "\n", error);
	return r == 0 ? until(t, PROMPT, error) : r;
}

static int converse(struct terminal *t, struct exeat_error *error)
{
	int r = until(t, PROMPT, error);

	if (r == 0) /* a terminal shows what is typed; we know it already */
		r = ask(t, "stty -echo", error);
	if (r == 0)
		r = ask(t, "echo $((6 * 7)) on $(tty)", error);
	if (r == 0)
		r = exeat_run_resize(t->run, 50, 132, error);
	if (r == 0)
		r = ask(t, "stty size", error);
	/* it says that it runs, so that Ctrl-C is for it and not the shell */
	if (r == 0)
		r = type(t, "sh -c 'echo digging; exec sleep infinity'\n",
			 error);
	if (r == 0)
		r = until(t, "digging", error);
	if (r == 0)
		r = type(t, "\003", error);
	if (r == 0)
		r = until(t, PROMPT, error);
	if (r == 0)
		r = ask(t, "echo interrupted: $?", error);
	return r == 0 ? type(t, "exit 7\n", error) : r;
}

static int session_with_shell(struct exeat_session *session,
			      struct exeat_error *error)
{
	const char *argv[] = { "/bin/sh", "-i", NULL };
	const char *env[] = { "PS1=" PROMPT, "ENV=", NULL };
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct terminal terminal = { NULL, "", 0 };
	int r;

	options.argv = argv;
	options.env = env;
	options.pty = 1;
	options.pty_rows = 24;
	options.pty_cols = 80;
	r = exeat_run_start(session, &options, &terminal.run, error);
	if (r < 0)
		return r;
	r = converse(&terminal, error);
	if (r == 0)
		r = exeat_run_wait(terminal.run, ANSWER_MS, error);
	if (r == 0)
		r = fail(error, -ETIME, "it does not end");
	if (r > 0)
		printf("exit status %d\n",
		       exeat_run_result(terminal.run)->returncode);
	exeat_run_free(terminal.run);
	return r;
}

int main(void)
{
	struct exeat_session *session;
	struct exeat_error error;
	char text[1024];
	int r = exeat_session_open(NULL, &session, &error);

	if (r == 0) {
		r = session_with_shell(session, &error);
		exeat_session_close(session);
	}
	if (r < 0)
		fprintf(stderr, "interactive: %s\n",
			exeat_error_text(&error, text, sizeof(text)));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
