/* drive.c - a session that is told what to do, line by line
 * SPDX-License-Identifier: Apache-2.0
 *
 * drive WORK_DIR [RULE|- [AUDIT|- [BUDGET]]]: opens a session there; RULE makes
 * an allow-list of the session's own, which bounds its runs; AUDIT is a file,
 * BUDGET a max_upload.
 * Fields of a line of stdin are separated by tabs; a MODE or list "-" is none
 * given, a list "{}" an empty one; every command is answered:
 *
 *	start NAME MODE RULE,RULE SHELL-COMMAND	started | error TEXT
 *	policy MODE RULE,RULE DENY,DENY			changed | error TEXT
 *	inforce						policy as JSON
 *	line NAME	the next line of its output, or "(end)"
 *	tell NAME TEXT	a line to its input		told | error TEXT
 *	kill NAME					killed | error TEXT
 *	wait NAME	out LINE ... end STATUS | error TEXT
 *
 * End of file closes the session.
 */
#include <exeat.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 8, RULES = 8, FIELDS = 5, LINE = 64 << 10 };

struct named_run {
	char name[32];
	struct exeat_run *run;
};

static struct exeat_session *session;
static struct named_run runs[RUNS];

static void say_error(const struct exeat_error *error)
{
	char text[1024];

	printf("error %s\n", exeat_error_text(error, text, sizeof(text)));
}

static struct named_run *find(const char *name)
{
	for (int i = 0; i < RUNS; i++)
		if (runs[i].run && strcmp(runs[i].name, name) == 0)
			return &runs[i];
	return NULL;
}

static void forget(struct named_run *r)
{
	exeat_run_free(r->run);
	r->run = NULL;
}

/* NULL: none given. `ret` has room for RULES and the end. */
static const char *const *list_of(char *text, const char *ret[])
{
	char *rule;
	int n = 0;

	if (strcmp(text, "-") == 0)
		return NULL;
	if (strcmp(text, "{}") == 0)
		text = NULL;
	while (n < RULES && (rule = strsep(&text, ",")) != NULL)
		ret[n++] = rule;
	ret[n] = NULL;
	return ret;
}

static const char *mode_of(const char *text)
{
	return strcmp(text, "-") == 0 ? NULL : text;
}

static void change(char *fields[])
{
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	const char *allow[RULES + 1], *deny[RULES + 1];
	struct exeat_error error;

	o.network_mode = mode_of(fields[1]);
	o.network_allowlist = list_of(fields[2], allow);
	o.network_denylist = list_of(fields[3], deny);
	if (exeat_session_set_policy(session, &o, &error) < 0)
		say_error(&error);
	else
		printf("changed\n");
}

static void say_in_force(void)
{
	char *text = exeat_session_policy(session);

	printf("%s\n", text ? text : "error no memory");
	free(text);
}

static void start(char *fields[])
{
	struct exeat_run_options o = EXEAT_RUN_OPTIONS_INIT;
	const char *rules[RULES + 1];
	struct exeat_error error;
	struct named_run *r = NULL;

	for (int i = 0; i < RUNS && !r; i++)
		if (!runs[i].run)
			r = &runs[i];
	if (!r) {
		printf("error too many runs\n");
		return;
	}
	o.network_allowlist = list_of(fields[3], rules);
	o.network_mode = mode_of(fields[2]);
	o.command = fields[4];
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	if (exeat_run_start(session, &o, &r->run, &error) < 0) {
		r->run = NULL;
		say_error(&error);
		return;
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", fields[1]);
	printf("started\n");
}

/* One line of a run's output; false at its end. */
static bool read_line(struct exeat_run *run, char *ret, size_t size)
{
	struct exeat_error error;
	size_t n = 0;
	char c;

	while (n + 1 < size &&
	       exeat_run_read(run, EXEAT_STDOUT, &c, 1, -1, &error) == 1) {
		if (c == '\n') {
			ret[n] = '\0';
			return true;
		}
		ret[n++] = c;
	}
	ret[n] = '\0';
	return n > 0;
}

static void wait_end(struct named_run *r)
{
	struct exeat_error error;
	char line[LINE];

	while (read_line(r->run, line, sizeof(line)))
		printf("out %s\n", line);
	if (exeat_run_wait(r->run, -1, &error) < 0)
		say_error(&error);
	else
		printf("end %d\n", exeat_run_result(r->run)->returncode);
	forget(r);
}

static void obey(char *fields[], int n)
{
	struct named_run *r = n > 1 ? find(fields[1]) : NULL;
	struct exeat_error error;
	char line[LINE];

	if (n == FIELDS && strcmp(fields[0], "start") == 0) {
		start(fields);
	} else if (n == 4 && strcmp(fields[0], "policy") == 0) {
		change(fields);
	} else if (strcmp(fields[0], "inforce") == 0) {
		say_in_force();
	} else if (!r) {
		printf("error no such run\n");
	} else if (strcmp(fields[0], "line") == 0) {
		printf("%s\n",
		       read_line(r->run, line, sizeof(line)) ? line : "(end)");
	} else if (n == 3 && strcmp(fields[0], "tell") == 0) {
		(void)snprintf(line, sizeof(line), "%s\n", fields[2]);
		if (exeat_run_write(r->run, line, strlen(line), &error) < 0)
			say_error(&error);
		else
			printf("told\n");
	} else if (strcmp(fields[0], "kill") == 0) {
		if (exeat_run_kill(r->run, SIGKILL, &error) < 0)
			say_error(&error);
		else
			printf("killed\n");
	} else if (strcmp(fields[0], "wait") == 0) {
		wait_end(r);
	} else {
		printf("error what\n");
	}
}

int main(int argc, char *argv[])
{
	struct exeat_session_options o = EXEAT_SESSION_OPTIONS_INIT;
	const char *bound[2] = { NULL }, *max_upload[2] = { NULL };
	struct exeat_error error;
	char line[LINE];

	if (argc < 2)
		return EXIT_FAILURE;
	o.host_work_dir = argv[1];
	if (argc > 3 && strcmp(argv[3], "-") != 0)
		o.audit_fd = open(argv[3],
				  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
				  0600);
	if (argc > 2 && strcmp(argv[2], "-") != 0) {
		bound[0] = argv[2];
		o.network_allowlist = bound;
	}
	if (argc > 4) {
		max_upload[0] = argv[4];
		o.max_upload = max_upload;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (exeat_session_open(&o, &session, &error) < 0) {
		say_error(&error);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), stdin)) {
		char *fields[FIELDS], *rest = line;
		int n = 0;

		line[strcspn(line, "\n")] = '\0';
		while (n < FIELDS - 1 &&
		       (fields[n] = strsep(&rest, "\t")) != NULL)
			n++;
		if (rest && n == FIELDS - 1)
			fields[n++] = rest;
		obey(fields, n);
	}
	for (int i = 0; i < RUNS; i++)
		if (runs[i].run)
			forget(&runs[i]);
	exeat_session_close(session);
	return EXIT_SUCCESS;
}
