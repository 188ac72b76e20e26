/* life.c - when the caller or a helper dies; what is left afterwards: nothing
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

enum { GONE_MS = 20000 };

static char marker[64];

static int make_marker(void **state)
{
	(void)state;
	(void)snprintf(marker, sizeof(marker), "3605.%d", getpid());
	return 0;
}

/* A run that would last, and that has begun. */
static struct exeat_run *start_lasting(struct exeat_session *session)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char buf[8];

	o.argv = LIST("sh", "-c", "echo up; (setsid sleep $0) & wait", marker);
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL) > 0);
	while (api_processes(marker) < 2)
		(void)poll(NULL, 0, 5);
	return run;
}

/* ---- the caller dies ---- */

/* Something runs in it, and its work dir, which is said, has something. */
/*
 * What is not to be followed, waited for or believed when it is removed: links,
 * a FIFO, more depth than is walked at once, the names that it is given then,
 * folders that nobody may enter.
 */
static const char spoiled[] =
	"mkdir -p a/b .exeat-rm-0/x .exeat-rm-1/x/y && echo > a/b/c && "
	"ln -s \"$0\" l && ln -s \"$0\" .exeat-rm-2 && ln -s \"$0/kept\" a/l && "
	"mkfifo p .exeat-rm-3 && d=. && for i in $(seq 80); do d=$d/d && "
	"mkdir $d && ln -s \"$0\" $d/l; done && chmod 0 a/b a $d $PWD";

static const char *outside(void)
{
	static char path[sizeof(api_dir) + 16];

	(void)snprintf(path, sizeof(path), "%s/outside", api_dir);
	return path;
}

static void say_up(int up, struct exeat_session *session)
{
	const char *path = exeat_session_work_dir(session);
	struct exeat_run_options o = RUN_OPTIONS;

	(void)start_lasting(session);
	o.argv = LIST("sh", "-c", spoiled, outside());
	(void)api_exec(session, &o, 0);
	(void)!write(up, path, strlen(path) + 1);
}

static void make_outside(void)
{
	char path[sizeof(api_dir) + 32];

	(void)snprintf(path, sizeof(path), "%s/kept", outside());
	assert_int_equal(mkdir(outside(), 0777), 0);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(outside(), 0707), 0);
}

/* As it was made, and nobody's but ours. */
static void remove_outside(void)
{
	char path[sizeof(api_dir) + 32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/kept", outside());
	assert_int_equal(stat(outside(), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0707);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(outside()), 0);
}

/* The caller of a session, who waits to be killed. */
_Noreturn static void be_a_caller(int up, int forks)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;

	/* a failure here must not go on with the other tests */
	(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
	so.network_mode = "open"; /* with a dialer */
	session = api_open(&so);
	/* who holds every descriptor of the caller, and lives on */
	if (forks && fork() == 0) {
		(void)pause();
		_exit(0);
	}
	say_up(up, session);
	for (;;)
		(void)pause();
}

/* Bounded in time: a busy machine may need a few. */
static void next_session_sweeps(void)
{
	for (int i = 0; i < 50 && api_work_dirs() != 0; i++)
		exeat_session_close(api_open(NULL));
	assert_int_equal(api_work_dirs(), 0);
}

/*
 * What is in the work dir of a caller who has gone goes, and it, too, but where
 * the folder around it is root's, and the session was not. What is left then is
 * the next session's to sweep away.
 */
static void is_removed(const char *path)
{
	if (rmdir(path) < 0)
		assert_int_equal(errno, ENOENT);
	else
		assert_int_equal(geteuid(), 0);
	if (geteuid() != 0)
		assert_int_equal(api_work_dirs(), 0);
	next_session_sweeps();
}

static void caller_is_killed(int forks)
{
	char path[PATH_MAX], c;
	int up[2], status;
	pid_t pid;

	assert_int_equal(pipe(up), 0);
	make_outside();
	pid = fork();
	if (pid == 0) {
		(void)setpgid(0, 0);
		be_a_caller(up[1], forks);
	}
	(void)close(up[1]);
	assert_true(read(up[0], path, sizeof(path)) > 1);
	assert_true(api_helpers() >= 3);
	assert_true(api_processes(marker) >= 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	if (!api_helpers_go(GONE_MS))
		fail_msg("%u helpers are left", api_helpers());
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	/* the fork, if there is one, was alive all the time */
	if (forks)
		assert_int_equal(kill(-pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* the fork is nobody's child: when it is gone, so is what it held */
	assert_int_equal(read(up[0], &c, 1), 0);
	(void)close(up[0]);
	is_removed(path);
	remove_outside();
}

static void killed_caller(void **state)
{
	(void)state;
	caller_is_killed(0);
}

static void killed_caller_with_a_fork(void **state)
{
	(void)state;
	caller_is_killed(1);
}

/* Then nobody is there to remove what is left. */
static void killed_caller_and_keeper(void **state)
{
	char path[PATH_MAX];
	int up[2], status;
	pid_t pid, keeper;

	(void)state;
	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (pid == 0)
		be_a_caller(up[1], 0);
	assert_true(read(up[0], path, sizeof(path)) > 1);
	keeper = api_helper_pid("keeper");
	assert_true(keeper > 0);
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	assert_true(api_helpers_go(GONE_MS));
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	(void)close(up[0]);
	(void)close(up[1]);
	assert_true(api_work_dirs() > 0);
	next_session_sweeps();
}

/* exec closes the descriptors, and the session with them. */
static void caller_executes_another_program(void **state)
{
	char path[PATH_MAX];
	int up[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (pid == 0) {
		say_up(up[1], api_open(NULL));
		(void)execlp("sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	assert_true(read(up[0], path, sizeof(path)) > 1);
	assert_true(api_helpers_go(GONE_MS));
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(up[0]);
	(void)close(up[1]);
	is_removed(path);
}

/* ---- a helper dies ---- */

struct exits {
	unsigned n;
	const char *reason;
};

static void note_exit(void *user_data, struct exeat_run *run)
{
	struct exits *e = user_data;

	e->n++;
	e->reason = exeat_run_result(run)->termination_reason;
}

static void helper_is_killed(const char *mode)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_session *session;
	struct exeat_run *run, *second, *third;
	struct exits e = { 0 };
	char buf[8];
	pid_t pid;

	so.network_mode = "open";
	session = api_open(&so);
	run = start_lasting(session);
	/* each has got where it serves, or there would be no run */
	pid = api_helper_pid(mode);
	assert_true(pid > 0);
	o.argv = LIST("sleep", marker);
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.on_exit = note_exit;
	o.user_data = &e;
	second = api_start(session, &o);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(exeat_run_wait(run, 60000, &error), -EIO);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	assert_string_equal(exeat_run_result(run)->termination_reason,
			    "session_closed");
	/* every run and every call is told */
	memset(&error, 0, sizeof(error));
	assert_true(exeat_run_wait(second, -1, &error) < 0);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	assert_int_equal(e.n, 1);
	assert_string_equal(e.reason, "session_closed");
	assert_true(exeat_session_dispatch(session, -1, &error) < 0);
	assert_true(exeat_run_start(session, &o, &third, &error) < 0);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	assert_int_equal(exeat_run_write(second, "x", 1, &error), -EPIPE);
	assert_int_equal(error.code, EXEAT_CONFLICT);
	assert_true(exeat_run_read(second, EXEAT_STDOUT, buf, sizeof(buf), -1,
				   &error) <= 0);
	/* nothing lives on, closed or not */
	assert_true(api_helpers_go(GONE_MS));
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	exeat_session_close(session);
	assert_int_equal(api_work_dirs(), 0);
}

static void keeper_is_killed(void **state)
{
	(void)state;
	helper_is_killed("keeper");
}

static void front_is_killed(void **state)
{
	(void)state;
	helper_is_killed("front");
}

static void dialer_is_killed(void **state)
{
	(void)state;
	helper_is_killed("dialer");
}

/*
 * The keeper is gone and nobody has dispatched yet: a start may still succeed,
 * but no callback runs under it, and the next turn tells.
 */
static void start_after_the_keepers_end(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run = NULL;
	struct exits e = { 0 };
	int r;

	(void)state;
	assert_int_equal(kill(api_helper_pid("keeper"), SIGKILL), 0);
	assert_true(api_helpers_go(GONE_MS));
	o.argv = LIST("true");
	o.on_exit = note_exit;
	o.user_data = &e;
	r = exeat_run_start(session, &o, &run, &error);
	assert_int_equal(e.n, 0);
	if (r == 0)
		assert_true(exeat_run_wait(run, 60000, &error) < 0);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	exeat_session_close(session);
}

/* ---- nothing leaks ---- */

static void no_descriptor_leaks_in_runs(void **state)
{
	static const char *const modes[] = { "blocked", "open" };
	struct exeat_session *session = api_open(NULL);
	unsigned fds = 0;

	(void)state;
	for (int i = 0; i < 220; i++) {
		struct exeat_run_options o = RUN_OPTIONS;

		/* from here on everything that is made once has been made */
		if (i == 20)
			fds = api_fds();
		o.argv = LIST("cat");
		o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
		o.network_mode = modes[i % 2];
		o.private_network = i % 5 == 0;
		api_exec(session, &o, 0);
	}
	/* a session's timer is made when a run's end first waits for front */
	assert_in_range(api_fds(), fds, fds + 1);
	exeat_session_close(session);
}

static void no_descriptor_leaks_in_sessions(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	unsigned fds = api_fds();

	(void)state;
	so.network_mode = "open";
	for (int i = 0; i < 50; i++) {
		struct exeat_session *session = api_open(&so);

		api_sh(session, "true", 0);
		exeat_session_close(session);
	}
	assert_int_equal(api_fds(), fds);
	assert_int_equal(api_helpers(), 0);
	assert_int_equal(api_work_dirs(), 0);
}

static unsigned fds_of(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return api_entries(path);
}

static void no_descriptor_leaks_in_helpers(void **state)
{
	static const char *const modes[] = { "keeper", "front" };
	struct exeat_session *session = api_open(NULL);
	unsigned before[2], after[2];

	(void)state;
	for (int i = 0; i < 10; i++)
		api_sh(session, "true", 0);
	for (int k = 0; k < 2; k++)
		before[k] = fds_of(api_helper_pid(modes[k]));
	for (int i = 0; i < 100; i++) {
		struct exeat_run_options o = RUN_OPTIONS;

		o.argv = LIST("true");
		o.private_network = i % 4 == 0;
		api_exec(session, &o, 0);
	}
	/* what is on its way out may take a moment */
	for (int k = 0; k < 2; k++) {
		after[k] = fds_of(api_helper_pid(modes[k]));
		for (int i = 0; i < 400 && after[k] > before[k]; i++) {
			(void)poll(NULL, 0, 5);
			after[k] = fds_of(api_helper_pid(modes[k]));
		}
		assert_in_range(after[k], 0, before[k]);
	}
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(killed_caller, make_marker),
	cmocka_unit_test_setup(killed_caller_with_a_fork, make_marker),
	cmocka_unit_test_setup(killed_caller_and_keeper, make_marker),
	cmocka_unit_test_setup(caller_executes_another_program, make_marker),
	cmocka_unit_test_setup(keeper_is_killed, make_marker),
	cmocka_unit_test_setup(front_is_killed, make_marker),
	cmocka_unit_test_setup(dialer_is_killed, make_marker),
	cmocka_unit_test(start_after_the_keepers_end),
	cmocka_unit_test(no_descriptor_leaks_in_runs),
	cmocka_unit_test(no_descriptor_leaks_in_sessions),
	cmocka_unit_test(no_descriptor_leaks_in_helpers),
};

API_MAIN("life", tests)
