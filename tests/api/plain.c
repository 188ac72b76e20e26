/* plain.c - the header and the library, without anything else
 * SPDX-License-Identifier: Apache-2.0
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "%s\n", exeat_error_text(error, text, sizeof(text)));
	return EXIT_FAILURE;
}

int main(void)
{
	struct exeat_session_options so = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_run_options ro = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_session *session;
	struct exeat_run *run;
	struct exeat_error error;
	const struct exeat_result *result;
	char *out;
	size_t len;
	int ok;

	if (exeat_session_open(&so, &session, &error) < 0)
		return failed(&error);
	ro.command = "echo in; exit 7";
	if (exeat_exec(session, &ro, &run, &out, &len, NULL, NULL, &error) < 0)
		return failed(&error);
	result = exeat_run_result(run);
	ok = result->returncode == 7 && len == 3 && strcmp(out, "in\n") == 0 &&
	     strcmp(result->network_mode, "blocked") == 0;
	if (!ok)
		fprintf(stderr, "status %d, output %s", result->returncode,
			out);
	free(out);
	exeat_run_free(run);
	exeat_session_close(session);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
