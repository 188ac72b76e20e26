/* agent.c - the loop of an agent: install, be refused, decide, compute
 * SPDX-License-Identifier: Apache-2.0
 *
 *	agent RULE... -- INSTALL-COMMAND -- COMPUTE-COMMAND
 *
 * The rules are what its principal grants at most: the session's bound. The
 * agent begins with nothing of it. It installs, reads what was refused and the
 * rule that would have allowed it, takes that rule if it was granted, and tries
 * again. What computes is `blocked`: it reads data.txt, which is put there
 * first, and leaves result.txt.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 8, RULES = 16, RESULT_MAX = 4096 };

struct agent {
	struct exeat_session *session;
	struct exeat_error error;
	char *rules[RULES + 1]; /* taken so far; NULL-terminated */
	size_t nrules;
};

/* Run a command with the rules (NULL: blocked). 1: *ret has ended, and is the
 * caller's; negative: it was not run. */
static int run(struct agent *agent, const char *command, char *const *rules,
	       struct exeat_run **ret)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	int r;

	options.command = command;
	options.network_mode = rules ? "allowlist" : "blocked";
	options.network_allowlist = (const char *const *)rules;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_INHERIT;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_INHERIT;
	r = exeat_run_start(agent->session, &options, ret, &agent->error);
	if (r < 0)
		return r;
	r = exeat_run_wait(*ret, -1, &agent->error);
	if (r < 0)
		exeat_run_free(*ret);
	return r;
}

static int has(const struct agent *agent, const char *rule)
{
	for (size_t i = 0; i < agent->nrules; i++)
		if (strcmp(agent->rules[i], rule) == 0)
			return 1;
	return 0;
}

/* Decide the next step: take the rules that would have helped. How many? */
static int take_rules(struct agent *agent, const struct exeat_result *result)
{
	int taken = 0;

	for (size_t i = 0; i < result->nrefusals; i++) {
		const struct exeat_refusal *refusal = &result->refusals[i];
		size_t size = strlen(refusal->allow_hint) + 1;
		char *rule;

		printf("agent: refused %s (%s)\n",
		       *refusal->name ? refusal->name : refusal->address,
		       refusal->reason);
		if (size == 1 || has(agent, refusal->allow_hint) ||
		    agent->nrules == RULES)
			continue;
		rule = malloc(size);
		if (!rule)
			break;
		agent->rules[agent->nrules++] =
			memcpy(rule, refusal->allow_hint, size);
		taken++;
	}
	return taken;
}

/* Its exit status; negative: the sandbox failed, or the bound is reached. */
static int install(struct agent *agent, const char *command)
{
	int status = -1;

	for (int i = 0; i < TRIES; i++) {
		struct exeat_run *tried;
		int taken = 0;
		int r = run(agent, command, agent->nrules ? agent->rules : NULL,
			    &tried);

		if (r < 0)
			return r;
		status = exeat_run_result(tried)->returncode;
		if (status != 0)
			taken = take_rules(agent, exeat_run_result(tried));
		printf("agent: install (%s): %d\n",
		       exeat_run_result(tried)->network_mode, status);
		exeat_run_free(tried);
		for (size_t k = agent->nrules - (size_t)taken;
		     k < agent->nrules; k++)
			printf("agent: next time with %s\n", agent->rules[k]);
		if (taken == 0)
			break;
	}
	return status;
}

static int compute(struct agent *agent, const char *command)
{
	struct exeat_run *computed;
	void *text;
	size_t len;
	int status;

	if (exeat_put_bytes(agent->session, "data.txt", "1\n2\n3\n", 6, 0,
			    &agent->error) < 0 ||
	    run(agent, command, NULL, &computed) < 0)
		return -1;
	status = exeat_run_result(computed)->returncode;
	printf("agent: compute (%s): %d\n",
	       exeat_run_result(computed)->network_mode, status);
	exeat_run_free(computed);
	if (status != 0)
		return status;
	if (exeat_get_bytes(agent->session, "result.txt", RESULT_MAX, &text,
			    &len, &agent->error) < 0)
		return -1;
	printf("agent: result: %s", (char *)text);
	free(text);
	return 0;
}

/* The words up to "--" become a NULL-terminated list; NULL: there is none. */
static char **until_dashes(char **at)
{
	while (*at && strcmp(*at, "--") != 0)
		at++;
	if (!*at)
		return NULL;
	*at = NULL;
	return at + 1;
}

int main(int argc, char *argv[])
{
	struct exeat_session_options options = EXEAT_SESSION_OPTIONS_INIT;
	char **first = argc > 1 ? until_dashes(argv + 1) : NULL;
	char **second = first ? until_dashes(first) : NULL;
	struct agent agent = { 0 };
	char text[1024];
	int status = -1;

	if (!second || !*first || !*second) {
		fprintf(stderr, "usage: agent RULE... -- INSTALL-COMMAND -- "
				"COMPUTE-COMMAND\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what runs print */
	options.network_allowlist = (const char *const *)(argv + 1);
	if (exeat_session_open(&options, &agent.session, &agent.error) == 0) {
		status = install(&agent, *first);
		if (status == 0)
			status = compute(&agent, *second);
		exeat_session_close(agent.session);
	}
	for (size_t i = 0; i < agent.nrules; i++)
		free(agent.rules[i]);
	if (status < 0)
		fprintf(stderr, "agent: %s\n",
			exeat_error_text(&agent.error, text, sizeof(text)));
	return status < 0 ? 125 : status;
}
