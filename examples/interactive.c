/* interactive.c - a shell on a terminal: prompts, window size, Ctrl-C
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a person at a terminal does, as a program: wait for the prompt, type,
 * read what comes, make the window wider, interrupt what takes too long.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "ready> "

enum { ANSWER_MS = 60000 };

struct terminal {
	struct exeat_run *run;
	struct exeat_error error;
	char shown[8192]; /* and not yet looked at; terminated */
	size_t len;
};

/* What is no error of the sandbox's: it ended, or did not answer. */
static int unexpected(struct terminal *t, const char *message)
{
	memset(&t->error, 0, sizeof(t->error));
	t->error.code = EXEAT_INTERNAL;
	snprintf(t->error.message, sizeof(t->error.message), "%s", message);
	return -1;
}

/* Type these keys; read until this text, print what comes before it. */
static int type(struct terminal *t, const char *keys, const char *text)
{
	char *end;
	ssize_t n;

	if (exeat_run_write(t->run, keys, strlen(keys), &t->error) < 0)
		return -1;
	while (!(end = strstr(t->shown, text))) {
		if (t->len + 1 == sizeof(t->shown))
			return unexpected(t, "it talks too much");
		n = exeat_run_read(t->run, EXEAT_STDOUT, t->shown + t->len,
				   sizeof(t->shown) - 1 - t->len, ANSWER_MS,
				   &t->error);
		if (n <= 0) /* -EAGAIN, nothing came; 0, the end */
			return unexpected(t,
					  "it has ended, or does not answer");
		t->len += (size_t)n;
		t->shown[t->len] = '\0';
	}
	printf("%.*s", (int)(end - t->shown), t->shown);
	end += strlen(text);
	t->len -= (size_t)(end - t->shown);
	memmove(t->shown, end, t->len + 1);
	return 0;
}

static int converse(struct terminal *t)
{
	int r = type(t, "", PROMPT);

	if (r == 0) /* a terminal shows what is typed; we know it already */
		r = type(t, "stty -echo\n", PROMPT);
	if (r == 0)
		r = type(t, "echo $((6 * 7)) on $(tty)\n", PROMPT);
	if (r == 0)
		r = exeat_run_resize(t->run, 50, 132, &t->error);
	if (r == 0)
		r = type(t, "stty size\n", PROMPT);
	/* it says that it runs, so that Ctrl-C is for it and not the shell */
	if (r == 0)
		r = type(t, "sh -c 'echo digging; exec sleep infinity'\n",
			 "digging");
	if (r == 0)
		r = type(t, "\003", PROMPT);
	if (r == 0)
		r = type(t, "echo interrupted: $?\n", PROMPT);
	if (r == 0)
		r = exeat_run_write(t->run, "exit 7\n", 7, &t->error);
	return r;
}

int main(void)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	const char *argv[] = { "/bin/sh", "-i", NULL };
	const char *env[] = { "PS1=" PROMPT, "ENV=", NULL };
	struct terminal t = { .len = 0 };
	struct exeat_session *session = NULL;
	char text[1024];
	int r;

	options.argv = argv;
	options.env = env;
	options.pty = 1;
	options.pty_rows = 24;
	options.pty_cols = 80;
	r = exeat_session_open(NULL, &session, &t.error);
	if (r == 0)
		r = exeat_run_start(session, &options, &t.run, &t.error);
	if (r == 0)
		r = converse(&t);
	if (r == 0)
		r = exeat_run_wait(t.run, ANSWER_MS, &t.error);
	if (r == 0)
		r = unexpected(&t, "it does not end");
	if (r > 0)
		printf("exit status %d\n", exeat_run_result(t.run)->returncode);
	else
		fprintf(stderr, "interactive: %s\n",
			exeat_error_text(&t.error, text, sizeof(text)));
	exeat_session_close(session); /* and the run, if it lives */
	return r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
