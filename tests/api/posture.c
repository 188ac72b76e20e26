/* posture.c - the network posture that a run names, and its bound
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { POSTURES = 32 };

/* The network namespace of a run of these options. Heap. */
static char *namespace_of(struct exeat_session *session, const char *mode,
			  const char *const *allow, int is_private)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.argv = LIST("readlink", "/proc/self/ns/net");
	o.network_mode = mode;
	o.network_allowlist = allow;
	o.private_network = is_private;
	return strdup(api_exec(session, &o, 0));
}

static void one_posture_one_namespace(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char *got[7];

	(void)state;
	got[0] = namespace_of(session, NULL, NULL, 0);
	got[1] = namespace_of(session, "blocked", NULL, 0);
	got[2] = namespace_of(session, "open", NULL, 0);
	got[3] = namespace_of(session, NULL, LIST("a.example", "10.0.0.1"), 0);
	got[4] = namespace_of(session, "allowlist",
			      LIST("A.Example.:80,443", "10.0.0.1/32"), 0);
	got[5] = namespace_of(session, NULL, LIST("b.example"), 0);
	got[6] = namespace_of(session, NULL, NULL, 1);
	assert_string_equal(got[0], got[1]);
	/* one policy in two spellings */
	assert_string_equal(got[3], got[4]);
	for (int i = 0; i < 7; i++)
		for (int k = i + 1; k < 7; k++)
			if (k != 1 && k != 4 && strcmp(got[i], got[k]) == 0)
				fail_msg("%d and %d share", i, k);
	for (int i = 0; i < 7; i++)
		free(got[i]);
	exeat_session_close(session);
}

/* Three at once; each is told its own mode, loopback is not shared. */
static void postures_at_the_same_time(void **state)
{
	static const char *const modes[] = { "blocked", "allowlist", "open" };
	struct exeat_session *session = api_open(NULL);
	struct exeat_run *runs[3];
	char buf[16];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct exeat_run_options o = RUN_OPTIONS;

		/* the port would be taken in a namespace that is shared */
		o.script = "import socket, sys\n"
			   "s = socket.create_server(('127.0.0.1', 7777))\n"
			   "print('up', flush=True)\nsys.stdin.read()\n";
		o.script_type = "python";
		o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
		o.network_mode = modes[i];
		o.network_allowlist = i == 1 ? LIST("a.example") : NULL;
		runs[i] = api_start(session, &o);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(exeat_run_read(runs[i], EXEAT_STDOUT, buf,
						sizeof(buf), 60000, NULL),
				 3);
	for (int i = 0; i < 3; i++) {
		const struct exeat_result *result;

		exeat_run_close_stdin(runs[i]);
		result = api_wait(runs[i]);
		assert_int_equal(result->returncode, 0);
		assert_string_equal(result->network_mode, modes[i]);
	}
	exeat_session_close(session);
}

static void loopback_is_shared_in_one_posture(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *server;
	char buf[16];

	(void)state;
	o.script_type = "python";
	o.script = "import socket\n"
		   "s = socket.create_server(('127.0.0.1', 7778))\n"
		   "print('up', flush=True)\ns.accept()[0].send(b'hello')\n";
	server = api_start(session, &o);
	assert_true(exeat_run_read(server, EXEAT_STDOUT, buf, sizeof(buf),
				   60000, NULL) > 0);
	o.script =
		"import socket\n"
		"print(socket.create_connection(('127.0.0.1', 7778)).recv(9))\n";
	assert_string_equal(api_exec(session, &o, 0), "b'hello'\n");
	assert_int_equal(api_wait(server)->returncode, 0);
	o.private_network = 1;
	assert_string_equal(api_exec(session, &o, 1), "");
	exeat_session_close(session);
}

/* ---- how many ---- */

static struct exeat_run *start_nth(struct exeat_session *session, int n,
				   struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char rule[32];

	(void)snprintf(rule, sizeof(rule), "n%d.example", n);
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.network_allowlist = LIST(rule);
	return exeat_run_start(session, &o, &run, error) < 0 ? NULL : run;
}

static void many_postures_in_turn(void **state)
{
	struct exeat_session *session = api_open(NULL);

	(void)state;
	for (int i = 0; i < POSTURES + 8; i++) {
		struct exeat_run *run = start_nth(session, i, NULL);

		assert_non_null(run);
		exeat_run_close_stdin(run);
		assert_int_equal(api_wait(run)->returncode, 0);
		exeat_run_free(run);
	}
	exeat_session_close(session);
}

static void too_many_postures_at_once(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_error error = { 0 };
	struct exeat_run *runs[POSTURES];

	(void)state;
	for (int i = 0; i < POSTURES; i++) {
		runs[i] = start_nth(session, i, &error);
		assert_non_null(runs[i]);
	}
	assert_null(start_nth(session, POSTURES, &error));
	api_expect(&error, EXEAT_LIMIT, "posture", "32");
	/* of one that is there already there may be more */
	assert_non_null(start_nth(session, 3, &error));
	/* and when one goes another may come */
	exeat_run_close_stdin(runs[0]);
	api_wait(runs[0]);
	runs[0] = start_nth(session, POSTURES, &error);
	assert_non_null(runs[0]);
	for (int i = 0; i < POSTURES; i++) {
		exeat_run_close_stdin(runs[i]);
		assert_int_equal(api_wait(runs[i])->returncode, 0);
	}
	exeat_session_close(session);
}

/* ---- the bound ---- */

/* One run under a session: refused (text: what is named), or what it gets. */
struct bound_row {
	const char *mode;
	const char *const *allow;
	enum exeat_code code;
	const char *text;
};

static void check_bound(struct exeat_session_options *so,
			const struct bound_row *rows, size_t n)
{
	struct exeat_session *session = api_open(so);

	for (size_t i = 0; i < n; i++) {
		struct exeat_run_options o = RUN_OPTIONS;
		struct exeat_error error = { 0 };
		struct exeat_run *run = NULL;
		int r;

		o.argv = LIST("true");
		o.network_mode = rows[i].mode;
		o.network_allowlist = rows[i].allow;
		r = exeat_run_start(session, &o, &run, &error);
		if (rows[i].code != EXEAT_OK) {
			if (r == 0)
				fail_msg("row %zu: not refused", i);
			api_expect(&error, rows[i].code, rows[i].text, "");
			continue;
		}
		if (r < 0)
			fail_msg("row %zu: %s", i, error.message);
		assert_string_equal(api_wait(run)->network_mode, rows[i].text);
		exeat_run_free(run);
	}
	exeat_session_close(session);
}

#define CHECK_BOUND(so, rows) \
	check_bound(so, rows, sizeof(rows) / sizeof((rows)[0]))

static void nothing_named_bounds_nothing(void **state)
{
	const struct bound_row rows[] = {
		{ NULL, NULL, EXEAT_OK, "blocked" },
		{ "open", NULL, EXEAT_OK, "open" },
		{ NULL, LIST("a.example"), EXEAT_OK, "allowlist" },
		{ "allowlist", NULL, EXEAT_OK, "allowlist" },
	};
	struct exeat_session_options o = SESSION_OPTIONS;

	(void)state;
	CHECK_BOUND(&o, rows);
}

static void what_the_session_names_is_the_bound(void **state)
{
	const struct bound_row rows[] = {
		{ NULL, NULL, EXEAT_OK, "allowlist" },
		{ "blocked", NULL, EXEAT_OK, "blocked" },
		{ "allowlist", NULL, EXEAT_OK, "allowlist" },
		{ NULL, LIST("x.a.example"), EXEAT_OK, "allowlist" },
		{ NULL, LIST("10.1.2.0/24"), EXEAT_OK, "allowlist" },
		{ NULL, (const char *const[]){ NULL }, EXEAT_OK, "allowlist" },
		{ "open", NULL, EXEAT_POLICY, "network_mode open" },
		{ NULL, LIST("x.a.example", "b.example"), EXEAT_POLICY,
		  "b.example" },
		{ NULL, LIST("x.a.example:22"), EXEAT_POLICY,
		  "x.a.example:22" },
		{ NULL, LIST("10.0.0.0/8"), EXEAT_POLICY, "10.0.0.0/8" },
	};
	struct exeat_session_options o = SESSION_OPTIONS;

	(void)state;
	o.network_allowlist = LIST("*.a.example", "10.1.0.0/16");
	CHECK_BOUND(&o, rows);
}

static void a_ceiling_is_the_bound(void **state)
{
	const struct bound_row rows[] = {
		{ NULL, NULL, EXEAT_OK, "blocked" },
		{ NULL, LIST("a.example"), EXEAT_OK, "allowlist" },
		{ NULL, LIST("c.example"), EXEAT_POLICY, "c.example" },
		{ "open", NULL, EXEAT_POLICY, "network_mode open" },
	};
	const struct bound_row blocked[] = {
		{ NULL, NULL, EXEAT_OK, "blocked" },
		{ NULL, LIST("a.example"), EXEAT_POLICY, "network_mode" },
		{ "open", NULL, EXEAT_POLICY, "network_mode open" },
	};
	const struct bound_row open[] = {
		{ "open", NULL, EXEAT_OK, "open" },
		{ NULL, LIST("a.example"), EXEAT_OK, "allowlist" },
		{ NULL, LIST("a.example+private"), EXEAT_POLICY, "a.example" },
		{ NULL, LIST("10.0.0.0/8"), EXEAT_POLICY, "10.0.0.0/8" },
		{ "open", LIST("10.0.0.0/8"), EXEAT_POLICY, "10.0.0.0/8" },
		{ NULL, LIST("host.exeat.internal:80"), EXEAT_POLICY,
		  "host.exeat.internal" },
	};
	struct exeat_session_options o = SESSION_OPTIONS;

	(void)state;
	o.network_ceiling = "{\"version\": 1, \"network_allowlist\": "
			    "[\"a.example\", \"b.example\"]}";
	CHECK_BOUND(&o, rows);
	o.network_ceiling = "{\"version\": 1, \"network_mode\": \"blocked\"}";
	CHECK_BOUND(&o, blocked);
	o.network_ceiling = "{\"version\": 1, \"network_mode\": \"open\"}";
	CHECK_BOUND(&o, open);
	o.network_ceiling = NULL;
	o.network_mode = "open";
	CHECK_BOUND(&o, open);
}

static void policy_file_of_the_session(void **state)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *session;
	char *text;

	(void)state;
	o.network_policy =
		"{\"version\": 1, \"network_allowlist\": "
		"[{\"rule\": \"A.example:443\", \"comment\": \"why\"}], "
		"\"network_denylist\": [\"bad.a.example\"]}";
	session = api_open(&o);
	text = exeat_session_policy(session);
	assert_non_null(text);
	assert_non_null(strstr(text, "allowlist"));
	assert_non_null(strstr(text, "\"a.example:443\""));
	assert_non_null(strstr(text, "bad.a.example"));
	free(text);
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_posture_one_namespace),
	cmocka_unit_test(postures_at_the_same_time),
	cmocka_unit_test(loopback_is_shared_in_one_posture),
	cmocka_unit_test(many_postures_in_turn),
	cmocka_unit_test(too_many_postures_at_once),
	cmocka_unit_test(nothing_named_bounds_nothing),
	cmocka_unit_test(what_the_session_names_is_the_bound),
	cmocka_unit_test(a_ceiling_is_the_bound),
	cmocka_unit_test(policy_file_of_the_session),
};

API_MAIN("posture", tests)
