/* parallel.c - five tries at a time, and the first three that end
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each try is a run of its own in one session. Here two of the five never end,
 * as tries do; who has three answers does not wait for them.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIES = 5, NEEDED = 3, PATIENCE_MS = 60000 };

static int start(struct exeat_session *session, int number,
		 struct exeat_run **ret, struct exeat_error *error)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	const char *env[2] = { NULL, NULL };
	char variable[32];

	snprintf(variable, sizeof(variable), "TRY=%d", number);
	env[0] = variable;
	options.env = env; /* copied, as everything in options is */
	options.command = "case $TRY in 2|4) exec sleep infinity;; esac; "
			  "echo $((TRY * TRY))";
	return exeat_run_start(session, &options, ret, error);
}

/* What a run has said, if it has ended. */
static int tell(int number, struct exeat_run *run, struct exeat_error *error)
{
	const struct exeat_result *result = exeat_run_result(run);
	char line[64];
	ssize_t n;

	if (!result) {
		printf("try %d: given up\n", number);
		return 0;
	}
	n = exeat_run_read_line(run, EXEAT_STDOUT, line, sizeof(line), -1,
				error);
	if (n < 0)
		return (int)n;
	printf("try %d: exit status %d, %s", number, result->returncode,
	       n > 0 ? line : "nothing said\n");
	return 0;
}

int main(void)
{
	struct exeat_run *run[TRIES] = { NULL };
	struct exeat_session *session;
	struct exeat_error error;
	char text[1024];
	int r = exeat_session_open(NULL, &session, &error);

	if (r == 0) {
		for (int i = 0; i < TRIES && r == 0; i++)
			r = start(session, i + 1, &run[i], &error);
		if (r == 0)
			r = exeat_runs_wait(run, TRIES, NEEDED, PATIENCE_MS,
					    &error);
		if (r >= 0)
			printf("%d of %d have ended\n", r, TRIES);
		for (int i = 0; i < TRIES && r >= 0; i++)
			r = tell(i + 1, run[i], &error);
		for (int i = 0; i < TRIES; i++)
			exeat_run_free(run[i]); /* ends what still runs */
		exeat_session_close(session);
	}
	if (r < 0)
		fprintf(stderr, "parallel: %s\n",
			exeat_error_text(&error, text, sizeof(text)));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
