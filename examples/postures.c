/* postures.c - two postures at the same time in one session, event-driven
 * SPDX-License-Identifier: Apache-2.0
 *
 *	postures RULE COMMAND
 *
 * Runs COMMAND twice at once, `blocked` and with the one RULE, in a loop of
 * the program's own: poll() on the session's descriptor, then dispatch.
 */
#include <exeat.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static void on_exit_count(void *user_data, struct exeat_run *run)
{
	const struct exeat_result *result = exeat_run_result(run);
	int *left = user_data;

	printf("%s: %d, %zu refused\n", result->network_mode,
	       result->returncode, result->nrefusals);
	--*left;
}

static int failed(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "postures: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	return EXIT_FAILURE;
}

static int loop(struct exeat_session *session, const int *left,
		struct exeat_error *error)
{
	struct pollfd pfd = {
		.fd = exeat_session_fd(session),
		.events = POLLIN,
	};
	int r = 0;

	while (r == 0 && *left > 0) {
		if (poll(&pfd, 1, -1) > 0)
			r = exeat_session_dispatch(session, 0, error);
	}
	return r;
}

int main(int argc, char *argv[])
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	const char *allow[2] = { argc == 3 ? argv[1] : NULL, NULL };
	struct exeat_session *session;
	struct exeat_error error;
	struct exeat_run *run[2];
	int left = 2, r;

	if (argc != 3) {
		fprintf(stderr, "usage: postures RULE COMMAND\n");
		return 2;
	}
	if (exeat_session_open(NULL, &session, &error) < 0)
		return failed(&error);
	options.command = argv[2];
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	options.on_exit = on_exit_count;
	options.user_data = &left;
	r = exeat_run_start(session, &options, &run[0], &error);
	options.network_allowlist = allow;
	if (r == 0)
		r = exeat_run_start(session, &options, &run[1], &error);
	if (r == 0)
		r = loop(session, &left, &error);
	exeat_session_close(session);
	return r < 0 ? failed(&error) : EXIT_SUCCESS;
}
