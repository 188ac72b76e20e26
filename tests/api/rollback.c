/* rollback.c - a policy that cannot be put in force everywhere is nowhere
 * SPDX-License-Identifier: Apache-2.0
 *
 * EXEAT_HELPER is faulty.c: the kernel refuses the second posture's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"

/* Is the address let to the gate? "open" or "refused", a line each time. */
static const char try[] =
	"import socket, sys\n"
	"print('up', flush=True)\n"
	"for line in sys.stdin:\n"
	"    try:\n"
	"        socket.create_connection((line.strip(), 7), 30).close()\n"
	"        print('open', flush=True)\n"
	"    except ConnectionRefusedError:\n"
	"        print('refused', flush=True)\n";

static struct exeat_run *start(struct exeat_session *session,
			       const char *const *list)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[8];

	o.argv = LIST("python3", "-c", try);
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.network_allowlist = list;
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 3);
	return run;
}

static void expect(struct exeat_run *run, const char *address, const char *what)
{
	char line[32], buf[16] = "";
	int n = snprintf(line, sizeof(line), "%s\n", address);

	assert_int_equal(exeat_run_write(run, line, (size_t)n, NULL), 0);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf) - 1,
				   60000, NULL) > 0);
	if (strncmp(buf, what, strlen(what)) != 0)
		fail_msg("%s: %s, not %s", address, buf, what);
}

static void all_or_nothing(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_policy_options po = {
		.size = sizeof(po),
		.network_allowlist = LIST("203.0.113.77", "203.0.113.78"),
	};
	struct exeat_session *session;
	struct exeat_run *plain, *named;
	struct exeat_error error = { 0 };
	char *before, *after;

	(void)state;
	so.network_allowlist =
		LIST("203.0.113.77", "203.0.113.79", "203.0.113.80");
	session = api_open(&so);
	plain = start(session, NULL);
	named = start(session, LIST("203.0.113.77", "203.0.113.79"));
	expect(plain, "203.0.113.79", "open");
	expect(plain, "203.0.113.78", "refused");
	before = exeat_session_policy(session);
	/* the first posture takes it, the second does not */
	assert_true(exeat_session_set_policy(session, &po, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "nftables", "");
	after = exeat_session_policy(session);
	assert_string_equal(before, after);
	expect(plain, "203.0.113.79", "open");
	expect(plain, "203.0.113.78", "refused");
	expect(named, "203.0.113.79", "open");
	expect(named, "203.0.113.78", "refused");
	/* and it is none the worse for it */
	assert_int_equal(exeat_session_set_policy(session, &po, &error), 0);
	expect(plain, "203.0.113.79", "refused");
	expect(plain, "203.0.113.78", "open");
	expect(named, "203.0.113.77", "open");
	expect(named, "203.0.113.79", "refused");
	exeat_run_close_stdin(plain);
	exeat_run_close_stdin(named);
	(void)api_wait(plain);
	(void)api_wait(named);
	exeat_session_close(session);
	free(before);
	free(after);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(all_or_nothing),
};

API_MAIN("rollback", tests)
