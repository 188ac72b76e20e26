/* agent.c - the loop of an agent: install, be refused, decide, branch, compute
 * SPDX-License-Identifier: Apache-2.0
 *
 *	agent INSTALL-COMMAND PYTHON-TEXT [RULE...]
 *
 * The rules are what its principal grants at most: the session's bound. The
 * agent begins with nothing of it. It installs, reads what was refused and the
 * rule that would have allowed it, takes that rule, and installs again; a rule
 * that was not granted is an error. Then it keeps what it has as a snapshot,
 * and begins each try from there, `blocked`, in a session of its own: what one
 * try spoils no other one sees. The first that succeeds leaves result.txt.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RULES = 16, TRIES = 3, RESULT_MAX = 4096 };

static struct exeat_error error; /* what every call fills that fails */

/* The next step: take the rules that would have helped. How many are new? */
static int take_rules(const struct exeat_result *result, const char **rules)
{
	int taken = 0;

	for (size_t i = 0, n; i < result->nrefusals; i++) {
		const char *hint = result->refusals[i].allow_hint;

		for (n = 0; rules[n] && strcmp(rules[n], hint) != 0; n++)
			;
		if (rules[n] || *hint == '\0' || n == RULES)
			continue; /* taken already, or no rule can help */
		rules[n] = hint;
		taken++;
		printf("agent: next time with %s\n", hint);
	}
	return taken;
}

/* The command's exit status; negative: it was not run. */
static int install(struct exeat_session *session, const char *command)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	const char *rules[RULES + 1] = { NULL };
	const struct exeat_result *result;
	struct exeat_run *run;

	options.command = command;
	options.network_mode = "blocked";
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_INHERIT;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_INHERIT;
	do {
		if (exeat_exec(session, &options, &run, NULL, NULL, NULL, NULL,
			       &error) < 0)
			return -1;
		/* a run, and what it was refused, lives until exeat_run_free()
		 * or its session's close: the rules are borrowed from it */
		result = exeat_run_result(run);
		printf("agent: install (%s): %d\n", result->network_mode,
		       result->returncode);
		options.network_mode = "allowlist";
		options.network_allowlist = rules;
	} while (result->returncode != 0 && take_rules(result, rules) > 0);
	return result->returncode;
}

/* 0: it succeeded; 1: it did not; negative: the sandbox failed. */
static int attempt(const char *snapshot, const char *python, const char *env)
{
	struct exeat_session_options options = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_run_options code = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_session *session;
	char *said = NULL;
	void *text = NULL;
	size_t len;
	int r;

	options.snapshot = snapshot;
	if (exeat_session_open(&options, &session, &error) < 0)
		return -1;
	code.env = (const char *const[]){ env, NULL };
	r = exeat_run_code(session, python, &code, NULL, &said, NULL, &error);
	if (r >= 0)
		printf("agent: %s: %d\n%s", env, r, said);
	if (r == 0)
		r = exeat_get_bytes(session, "result.txt", RESULT_MAX, &text,
				    &len, &error);
	if (r == 0)
		printf("agent: result: %s", (char *)text);
	free(said);
	free(text);
	exeat_session_close(session);
	return r;
}

static int branch(struct exeat_session *session, const char *python)
{
	char name[32], env[] = "TRY=1";
	int r;

	snprintf(name, sizeof(name), "agent-%ld", (long)getpid());
	if (exeat_session_snapshot(session, name, &error) < 0)
		return -1;
	do
		r = attempt(name, python, env);
	while (r == 1 && env[4]++ < '0' + TRIES);
	(void)exeat_snapshot_remove(NULL, name, NULL);
	return r;
}

int main(int argc, char *argv[])
{
	struct exeat_session_options options = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_session *session = NULL;
	char text[1024];
	int r = -1;

	if (argc < 3) {
		fprintf(stderr, "usage: agent INSTALL PYTHON [RULE...]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what runs print */
	options.network_allowlist = (const char *const *)(argv + 3);
	if (exeat_session_open(&options, &session, &error) == 0 &&
	    exeat_put_bytes(session, "data.txt", "1 2 3\n", 6, 0, &error) == 0)
		r = install(session, argv[1]);
	if (r == 0)
		r = branch(session, argv[2]);
	exeat_session_close(session); /* NULL is fine */
	if (r < 0)
		fprintf(stderr, "agent: %s\n",
			exeat_error_text(&error, text, sizeof(text)));
	return r < 0 ? 125 : r;
}
