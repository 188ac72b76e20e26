/* hello.c - one session, one command, its output
 * SPDX-License-Identifier: Apache-2.0
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "hello: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	return EXIT_FAILURE;
}

int main(void)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_session *session;
	struct exeat_run *run;
	char *out;
	int status;

	if (exeat_session_open(NULL, &session, &error) < 0)
		return failed(&error);
	options.command = "echo hello from $(id -un) in $PWD";
	if (exeat_exec(session, &options, &run, &out, NULL, NULL, NULL,
		       &error) < 0) {
		exeat_session_close(session);
		return failed(&error);
	}
	printf("%s", out);
	status = exeat_run_result(run)->returncode;
	free(out);
	exeat_run_free(run);
	exeat_session_close(session);
	return status;
}
