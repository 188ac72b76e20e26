/* limits.c - commands that want too much, and how each of them ends
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cgroup keeps memory, processors and processes of a whole run. Where none
 * can be had that is an error, never silence; who asks for best effort gets
 * the limits that the kernel has for single processes, and the result says
 * which it was.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MIB = 1 << 20,
	ANY = EXEAT_LIMIT_MEMORY | EXEAT_LIMIT_CPUS | EXEAT_LIMIT_PIDS
};

static const struct {
	const char *title;
	struct exeat_run_options options;
} wants[] = {
	{ "memory",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "exec tail -n 1 /dev/zero",
	    .memory_bytes = 64 * MIB } },
	{ "processes",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "for i in $(seq 100); do sleep 60 & done",
	    .pids = 20 } },
	{ "processors",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "exec timeout 1 sh -c 'while :; do :; done'",
	    .cpus = 0.25 } },
	{ "time",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "exec sleep infinity",
	    .timeout_ms = 300 } },
	{ "silence",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "echo begun; exec sleep infinity",
	    .idle_timeout_ms = 300 } },
	{ "output",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "exec cat /dev/zero",
	    .max_output_bytes = MIB } },
	{ "file size",
	  { .size = sizeof(struct exeat_run_options),
	    .command = "exec head -c 10M /dev/zero >big",
	    .file_size_bytes = MIB } },
};

static void tell(const char *title, const struct exeat_result *result)
{
	printf("%s: returncode %d", title, result->returncode);
	if (*result->termination_reason)
		printf(", %s", result->termination_reason);
	if (result->stdout_cut)
		printf(", cut");
	if (*result->memory_enforced)
		printf(", by %s", result->memory_enforced);
	if (*result->pids_enforced)
		printf(", by %s", result->pids_enforced);
	if (*result->cpus_enforced)
		printf(", by %s, %ld ms of processor time in %ld ms",
		       result->cpus_enforced,
		       (long)((result->user_us + result->system_us) / 1000),
		       (long)result->runtime_ms);
	printf("\n");
}

static int attempt(struct exeat_session *session, const char *title,
		   struct exeat_run_options options, struct exeat_error *error)
{
	struct exeat_run *run;
	int r = exeat_run_start(session, &options, &run, error);

	if (r < 0 && error->code == EXEAT_UNAVAILABLE) {
		printf("%s: best effort (%s)\n", title, error->message);
		options.limits_best_effort = ANY;
		r = exeat_run_start(session, &options, &run, error);
	}
	if (r < 0)
		return r;
	r = exeat_run_wait(run, -1, error);
	if (r > 0)
		tell(title, exeat_run_result(run));
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
		for (size_t i = 0;
		     i < sizeof(wants) / sizeof(wants[0]) && r >= 0; i++)
			r = attempt(session, wants[i].title, wants[i].options,
				    &error);
		exeat_session_close(session);
	}
	if (r < 0)
		fprintf(stderr, "limits: %s\n",
			exeat_error_text(&error, text, sizeof(text)));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
