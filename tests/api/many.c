/* many.c - waiting for N of M
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { RUNS = 6, WAIT_MS = 20000 };

static struct exeat_session *sessions[2];

static int open_sessions(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		sessions[i] = api_open(NULL);
	return 0;
}

static int close_sessions(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		exeat_session_close(sessions[i]);
	return 0;
}

/* Runs of both sessions in turn, each waiting for a line. */
static void start_all(struct exeat_run *runs[RUNS])
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = "read x; exit $x";
	for (int i = 0; i < RUNS; i++)
		assert_int_equal(
			exeat_spawn(sessions[i % 2], &o, &runs[i], NULL), 0);
}

static unsigned ended(struct exeat_run *const runs[RUNS])
{
	unsigned n = 0;

	for (int i = 0; i < RUNS; i++)
		n += exeat_run_result(runs[i]) != NULL;
	return n;
}

static void some_of_many(void **state)
{
	struct exeat_run *runs[RUNS];

	(void)state;
	start_all(runs);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 0, -1, NULL), 0);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 1, 30, NULL), 0);
	assert_int_equal(exeat_run_write(runs[4], "7\n", 2, NULL), 0);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 1, WAIT_MS, NULL), 1);
	assert_int_equal(exeat_run_result(runs[4])->returncode, 7);
	assert_int_equal(ended(runs), 1);
	/* of the other session, too */
	assert_int_equal(exeat_run_write(runs[1], "0\n", 2, NULL), 0);
	assert_int_equal(exeat_run_write(runs[2], "0\n", 2, NULL), 0);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 3, WAIT_MS, NULL), 3);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 4, 30, NULL), 3);
	for (int i = 0; i < RUNS; i++)
		assert_int_equal(exeat_run_kill(runs[i], 9, NULL), 0);
	assert_int_equal(exeat_runs_wait(runs, RUNS, RUNS, WAIT_MS, NULL),
			 RUNS);
	for (int i = 0; i < RUNS; i++)
		exeat_run_free(runs[i]);
}

/* One whose output nobody reads does not keep the others from being waited
 * for; when it alone is left, nothing would ever change. */
static void stuck(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *runs[2];

	(void)state;
	o.command = "head -c 100000000 /dev/zero";
	runs[0] = api_start(sessions[0], &o);
	o.command = "sleep 0.5";
	runs[1] = api_start(sessions[1], &o);
	assert_int_equal(exeat_runs_wait(runs, 2, 1, WAIT_MS, &error), 1);
	assert_non_null(exeat_run_result(runs[1]));
	assert_true(exeat_runs_wait(runs, 2, 2, WAIT_MS, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "output", "");
	assert_true(exeat_runs_wait(runs, 2, 3, 0, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "needed", "");
	for (int i = 0; i < 2; i++)
		exeat_run_free(runs[i]);
}

/* A session that breaks ends its runs, and only its own. */
static void broken(void **state)
{
	struct exeat_error error = { 0 };
	struct exeat_run *runs[RUNS];
	pid_t keeper;

	(void)state;
	start_all(runs);
	assert_int_equal(exeat_runs_wait(runs, RUNS, 1, 30, NULL), 0);
	keeper = api_helper_pid("keeper");
	assert_true(keeper > 0);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	assert_int_equal(exeat_runs_wait(runs, RUNS, RUNS / 2, WAIT_MS, NULL),
			 RUNS / 2);
	assert_int_equal(ended(runs), RUNS / 2);
	for (int i = 0; i < RUNS; i++) {
		if (exeat_run_result(runs[i]))
			assert_true(exeat_run_wait(runs[i], 0, &error) < 0);
		else
			assert_int_equal(exeat_run_wait(runs[i], 0, NULL), 0);
	}
	for (int i = 0; i < RUNS; i++)
		exeat_run_free(runs[i]);
}

#define WITH_SESSIONS(test) \
	cmocka_unit_test_setup_teardown(test, open_sessions, close_sessions)

static const struct CMUnitTest tests[] = {
	WITH_SESSIONS(some_of_many),
	WITH_SESSIONS(stuck),
	WITH_SESSIONS(broken),
};

API_MAIN("many", tests)
