/* agent.c - the shape an agent uses: prepare, install, compute
 * SPDX-License-Identifier: Apache-2.0
 *
 *	agent RULE... -- INSTALL-COMMAND -- COMPUTE-COMMAND
 *
 * One session, three runs. The first writes data and the third computes with
 * it: both `blocked`. Only the second, the installation, may reach something,
 * and only what the rules name. What it was refused is printed, with the rule
 * that would have allowed it.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "agent: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	return 125;
}

static void tell_refusals(const struct exeat_result *result)
{
	for (size_t i = 0; i < result->nrefusals; i++) {
		const struct exeat_refusal *r = &result->refusals[i];

		fprintf(stderr, "agent: refused %s %s port %u (%s)%s%s\n",
			r->protocol, *r->name ? r->name : r->address, r->port,
			r->reason, *r->allow_hint ? "; rule: " : "",
			r->allow_hint);
	}
}

/* A shell command; its exit status, or 125 when the sandbox failed. */
static int step(struct exeat_session *session, const char *title,
		const char *command, const char *const *allow)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_run *run;
	int status;

	options.command = command;
	options.network_allowlist = allow; /* NULL: blocked */
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_INHERIT;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_INHERIT;
	if (exeat_run_start(session, &options, &run, &error) < 0)
		return failed(&error);
	if (exeat_run_wait(run, -1, &error) < 0) {
		exeat_run_free(run);
		return failed(&error);
	}
	status = exeat_run_result(run)->returncode;
	fprintf(stderr, "agent: %s (%s): %d\n", title,
		exeat_run_result(run)->network_mode, status);
	tell_refusals(exeat_run_result(run));
	exeat_run_free(run);
	return status;
}

/* The words up to "--" as a NULL-terminated list, in place. */
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
	char **install = argc > 1 ? until_dashes(argv + 1) : NULL;
	char **compute = install ? until_dashes(install) : NULL;
	struct exeat_session *session;
	struct exeat_error error;
	int status;

	if (!compute || !*install || !*compute) {
		fprintf(stderr, "usage: agent RULE... -- INSTALL-COMMAND -- "
				"COMPUTE-COMMAND\n");
		return 2;
	}
	if (exeat_session_open(NULL, &session, &error) < 0)
		return failed(&error);
	status = step(session, "write data", "seq 1 10 > data.txt", NULL);
	if (status == 0)
		status = step(session, "install", *install,
			      (const char *const *)(argv + 1));
	if (status == 0)
		status = step(session, "compute", *compute, NULL);
	exeat_session_close(session);
	return status < 0 ? 128 - status : status;
}
