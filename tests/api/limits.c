/* limits.c - memory, processors, processes, files: kept, and said by whom
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether there are cgroups to be had is the machine's. Where none are, the
 * tests of what they keep show that asking for it is an error, and why.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api.h"
#include "fixture.h"

enum { MIB = 1 << 20 };

#define EAT "b = bytearray(200 << 20); print(len(b))"

/* Can a cgroup keep it here? If not, the error says so. */
static bool kept(const struct exeat_run_options *o)
{
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	if (exeat_run_start(session, o, &run, &error) == 0) {
		exeat_run_free(run);
		return true;
	}
	api_expect(&error, EXEAT_UNAVAILABLE, "limit", "best-effort");
	print_message("no cgroup: %s\n", error.message);
	return false;
}

/* ---- kept by a cgroup ---- */

static void memory(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.script = EAT;
	o.script_type = "python";
	o.memory_bytes = 64 * MIB;
	if (!kept(&o))
		return;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "oom");
	assert_int_equal(result->returncode, -SIGKILL);
	assert_true(result->oom_kills >= 1);
	assert_string_equal(result->memory_enforced, "cgroup");
	assert_string_equal(result->cpus_enforced, "");
	exeat_run_free(run);
	/* with room enough: what it took at most is known */
	o.memory_bytes = 400 * MIB;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "");
	assert_int_equal(result->returncode, 0);
	assert_int_equal(result->oom_kills, 0);
	if (result->memory_peak_bytes)
		assert_true(result->memory_peak_bytes > 200ULL * MIB &&
			    result->memory_peak_bytes <= 400ULL * MIB);
	exeat_run_free(run);
	/* of all its processes together */
	o.script = NULL;
	o.script_type = NULL;
	o.memory_bytes = 100 * MIB;
	o.command = "for i in 1 2 3 4; do python3 -c "
		    "'import time; b = bytearray(40 << 20); time.sleep(60)' & "
		    "done; wait -n; exit 1";
	o.shell = "/bin/bash";
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->termination_reason, "oom");
	exeat_run_free(run);
}

static void processes(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.command = "bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 0.5; "
		    "ls -d /proc/[0-9]* | wc -l; echo still here";
	o.pids = 30;
	if (!kept(&o))
		return;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->pids_enforced, "cgroup");
	exeat_run_free(run);
	/* the machine and other runs notice nothing */
	assert_string_equal(api_sh(session, "echo other", 0), "other\n");
}

static void processors(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	/* a tenth of one: what it used is not much more than that */
	o.script = "import time\n"
		   "end = time.monotonic() + 1.5\n"
		   "while time.monotonic() < end: pass\n";
	o.script_type = "python";
	o.cpus = 0.1;
	if (!kept(&o))
		return;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_string_equal(result->cpus_enforced, "cgroup");
	assert_int_equal(result->returncode, 0);
	assert_true(result->user_us + result->system_us <
		    result->runtime_ms * 1000 / 3);
	exeat_run_free(run);
}

/* What all runs of a session may have together. */
static void of_a_session(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *runs[4];
	unsigned killed = 0;

	(void)state;
	exeat_session_close(session);
	session = NULL;
	s.memory_bytes = 120 * MIB;
	if (exeat_session_open(&s, &session, &error) < 0) {
		api_expect(&error, EXEAT_UNAVAILABLE, "limit", "memory");
		return;
	}
	o.script = "b = bytearray(50 << 20); input()";
	o.script_type = "python";
	for (int i = 0; i < 4; i++)
		assert_int_equal(exeat_spawn(session, &o, &runs[i], NULL), 0);
	/* four of fifty are too much for it, whoever has to go */
	assert_true(exeat_runs_wait(runs, 4, 1, 20000, NULL) >= 1);
	for (int i = 0; i < 4; i++) {
		(void)exeat_run_write(runs[i], "\n", 1, NULL);
		killed += strcmp(api_wait(runs[i])->termination_reason,
				 "oom") == 0;
		assert_string_equal(exeat_run_result(runs[i])->memory_enforced,
				    "cgroup");
		exeat_run_free(runs[i]);
	}
	assert_true(killed >= 1 && killed < 4);
}

/*
 * From the first to the last process, also of a child that was there before its
 * command: what a process of it reads is what it is in.
 */
static void never_outside(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "look='grep -q exeat-[0-9a-f]*/run- /proc/self/cgroup'; "
		    "$look && echo in; "
		    "(setsid sh -c \"$look && echo in; echo > said\" &); "
		    "while [ ! -e said ]; do sleep 0.01; done; rm said";
	o.pids = 100;
	if (!kept(&o))
		return;
	for (int i = 0; i < 6; i++)
		assert_string_equal(api_exec(session, &o, 0), "in\nin\n");
}

/* ---- what was used ---- */

/* By one that nobody waited for, and that was killed at the end. */
static void left_behind(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;

	(void)state;
	o.script = "import os, time\n"
		   "if os.fork() == 0:\n"
		   "    os.setsid()\n"
		   "    if os.fork() == 0:\n"
		   "        b = bytearray(90 << 20)\n"
		   "        while time.process_time() < 0.4: pass\n"
		   "        open('burnt', 'w').close()\n"
		   "        time.sleep(1000)\n"
		   "    os._exit(0)\n"
		   "while not os.path.exists('burnt'): time.sleep(0.01)\n";
	o.script_type = "python";
	for (int i = 0; i < 2; i++) {
		run = api_start(session, &o);
		result = api_wait(run);
		assert_string_equal(result->termination_reason, "");
		assert_true(result->user_us + result->system_us >= 390000);
		assert_true(result->max_rss_kib >= 90 << 10);
		exeat_run_free(run);
		/* and by its group, where there is one */
		api_sh(session, "rm burnt", 0);
		o.pids = 1000;
		o.limits_best_effort = EXEAT_LIMIT_PIDS;
	}
}

/* ---- best effort ---- */

static void best_effort(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run;
	bool group;

	(void)state;
	o.script = EAT;
	o.script_type = "python";
	o.memory_bytes = 64 * MIB;
	o.limits_best_effort = EXEAT_LIMIT_MEMORY | EXEAT_LIMIT_CPUS |
			       EXEAT_LIMIT_PIDS;
	o.pids = 5;
	o.cpus = 0.5;
	run = api_start(session, &o);
	result = api_wait(run);
	assert_int_not_equal(result->returncode, 0);
	group = strcmp(result->memory_enforced, "cgroup") == 0;
	if (!group) {
		assert_string_equal(result->memory_enforced, "rlimit");
		assert_string_equal(result->cpus_enforced, "affinity");
		assert_string_equal(result->pids_enforced, "rlimit");
		/* an allocation fails: nobody is killed */
		assert_string_equal(result->termination_reason, "");
		assert_int_equal(result->oom_kills, 0);
	}
	exeat_run_free(run);
	/* processes are counted in this run alone, whoever is the user */
	o = RUN_OPTIONS;
	o.pids = 4;
	o.limits_best_effort = EXEAT_LIMIT_PIDS;
	o.script = "import os, time\n"
		   "n = 0\n"
		   "try:\n"
		   "    while n < 10:\n"
		   "        if os.fork() == 0: time.sleep(60)\n"
		   "        n += 1\n"
		   "except BlockingIOError: pass\n"
		   "print(n)\n";
	o.script_type = "python";
	assert_string_equal(api_exec(session, &o, 0), "3\n");
	assert_string_equal(api_exec(session, &o, 0), "3\n");
	if (group)
		return;
	o.pids = 0;
	o.cpus = 1;
	o.limits_best_effort = EXEAT_LIMIT_CPUS;
	o.script = "import os; print(len(os.sched_getaffinity(0)))";
	assert_string_equal(api_exec(session, &o, 0), "1\n");
}

/* ---- of each process ---- */

static void files(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct rlimit core;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	o.command = "ulimit -n; ulimit -c; ulimit -f; "
		    "head -c 100000 /dev/zero > f; stat -c %s f";
	o.shell = "/bin/bash";
	o.open_files = 40;
	o.core_bytes = 1024;
	o.file_size_bytes = 8192;
	/* it is given as much as we have */
	assert_string_equal(api_exec(session, &o, 0),
			    core.rlim_max < 1024 ? "40\n0\n8\n8192\n" :
						   "40\n1\n8\n8192\n");
}

static void bad_options(void **state)
{
	static const double bad[] = { -1, 0.001, 1e9, NAN, INFINITY };
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct exeat_run_options o = RUN_OPTIONS;

		o.command = "true";
		o.cpus = bad[i];
		assert_true(exeat_run_start(session, &o, &run, &error) < 0);
		api_expect(&error, EXEAT_INVALID, "cpus", "");
		o.cpus = 0;
		o.limits_best_effort = 64;
		assert_true(exeat_run_start(session, &o, &run, &error) < 0);
		api_expect(&error, EXEAT_INVALID, "best_effort", "");
	}
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(memory),	   WITH_SESSION(processes),
	WITH_SESSION(processors),  WITH_SESSION(of_a_session),
	WITH_SESSION(best_effort), WITH_SESSION(files),
	WITH_SESSION(left_behind), WITH_SESSION(never_outside),
	WITH_SESSION(bad_options),
};

API_MAIN("limits", tests)
