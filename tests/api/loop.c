/* loop.c - a session in somebody's event loop, callbacks, threads, signals
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

extern char **environ;

/* ---- the descriptor ---- */

/* Nothing but poll() and dispatch without waiting. */
static void turn(struct exeat_session *session)
{
	struct pollfd p = {
		.fd = exeat_session_fd(session),
		.events = POLLIN,
	};

	if (poll(&p, 1, 60000) != 1)
		fail_msg("nothing within 60 s");
	assert_int_equal(exeat_session_dispatch(session, 0, NULL), 0);
}

static void poll_alone_is_enough(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *session;
	struct exeat_run *runs[3];
	char buf[8];

	(void)state;
	so.network_mode = "open";
	assert_int_equal(exeat_session_begin(&so, &session, NULL), 0);
	o.command = "cat; echo end";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = "in\n";
	o.stdin_len = 3;
	for (int i = 0; i < 3; i++)
		runs[i] = api_start(session, &o);
	for (int i = 0; i < 3; i++) {
		while (!exeat_run_result(runs[i]))
			turn(session);
		assert_int_equal(exeat_run_result(runs[i])->returncode, 0);
		assert_int_equal(exeat_run_read(runs[i], EXEAT_STDOUT, buf,
						sizeof(buf), 0, NULL),
				 7);
		assert_memory_equal(buf, "in\nend\n", 7);
	}
	exeat_session_close(session);
}

/* An idle session does not keep the loop busy. */
static void idle_is_quiet(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	struct pollfd p = {
		.fd = exeat_session_fd(session),
		.events = POLLIN,
	};
	unsigned turns = 0;

	(void)state;
	o.command = "exec >&- 2>&-; exec sleep 0.4";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	while (!exeat_run_result(run)) {
		(void)poll(&p, 1, 60000);
		(void)exeat_session_dispatch(session, 0, NULL);
		turns++;
	}
	assert_in_range(turns, 1, 50);
	assert_int_equal(poll(&p, 1, 0), 0);
	exeat_session_close(session);
}

/* ---- callbacks that free ---- */

struct freer {
	struct exeat_run *others[4];
	unsigned calls;
};

static void free_on_output(void *user_data, struct exeat_run *run,
			   enum exeat_stream stream, const void *data,
			   size_t len)
{
	struct freer *f = user_data;

	(void)stream;
	(void)data;
	(void)len;
	f->calls++;
	exeat_run_free(run);
}

static void free_on_exit(void *user_data, struct exeat_run *run)
{
	struct freer *f = user_data;

	f->calls++;
	for (int i = 0; i < 4; i++) {
		exeat_run_free(f->others[i]);
		f->others[i] = NULL;
	}
	(void)run;
}

static void free_from_on_output(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct freer f = { 0 };
	char marker[64], command[128];

	(void)state;
	(void)snprintf(marker, sizeof(marker), "3602.%d", getpid());
	(void)snprintf(command, sizeof(command), "echo x; exec sleep %s",
		       marker);
	o.command = command;
	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	o.on_output = free_on_output;
	o.on_exit = free_on_exit;
	o.user_data = &f;
	(void)api_start(session, &o);
	while (f.calls == 0)
		turn(session);
	/* freed by its owner: its end is not told */
	assert_true(api_becomes_zero(api_processes, marker, 2000));
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	assert_int_equal(f.calls, 1);
	exeat_session_close(session);
}

/* on_exit of one frees itself, one that has ended, and two that live. */
static void free_from_on_exit(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct freer f = { 0 };

	(void)state;
	o.argv = LIST("sleep", "1000");
	f.others[0] = api_start(session, &o);
	o.network_mode = "open";
	f.others[1] = api_start(session, &o);
	o.argv = LIST("true");
	f.others[2] = api_start(session, &o);
	api_wait(f.others[2]);
	o.on_exit = free_on_exit;
	o.user_data = &f;
	f.others[3] = api_start(session, &o);
	while (f.calls == 0)
		turn(session);
	assert_null(f.others[0]);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

/* ---- callbacks that free what a call waits for ---- */

/* Whoever still uses what is freed finds something else there. */
enum { PERTURB = 0xa5 };

static void forget(struct exeat_run **at)
{
	exeat_run_free(*at);
	*at = NULL;
}

static void forget_on_exit(void *user_data, struct exeat_run *run)
{
	struct exeat_run **at = user_data;

	assert_ptr_equal(*at, run);
	forget(at);
}

static void forget_on_output(void *user_data, struct exeat_run *run,
			     enum exeat_stream stream, const void *data,
			     size_t len)
{
	(void)stream;
	(void)data;
	(void)len;
	forget_on_exit(user_data, run);
}

static void forgotten_while_it_ends(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run *runs[3] = { NULL };
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	(void)mallopt(M_PERTURB, PERTURB);
	o.command = "exit 3";
	o.on_exit = forget_on_exit;
	o.user_data = &runs[0];
	runs[0] = api_start(session, &o);
	assert_int_equal(exeat_run_wait(runs[0], 60000, NULL), 1);
	assert_null(runs[0]);
	for (int i = 0; i < 3; i++) {
		o.user_data = &runs[i];
		runs[i] = api_start(session, &o);
	}
	assert_int_equal(exeat_runs_wait(runs, 3, 3, 60000, NULL), 3);
	for (int i = 0; i < 3; i++)
		assert_null(runs[i]);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

static void forgotten_while_it_talks(void **state)
{
	static char much[1 << 20];
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error;
	struct exeat_run *run;
	char buf[64];

	(void)state;
	(void)mallopt(M_PERTURB, PERTURB);
	o.command = "echo x >&2; exec sleep 1000";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_CALLBACK;
	o.on_output = forget_on_output;
	o.user_data = &run;
	run = api_start(session, &o);
	assert_int_equal(exeat_run_write(run, much, sizeof(much), &error),
			 -EPIPE);
	assert_null(run);
	/* it has no more to say */
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 0);
	assert_null(run);
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, buf,
					     sizeof(buf), 60000, NULL),
			 0);
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read_text(run, EXEAT_STDOUT, buf,
					     sizeof(buf), 60000, NULL),
			 0);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

/* What a callback was given stays, though it waits for more of the same. */
struct answerer {
	struct exeat_session *session;
	unsigned calls;
	bool freed;
};

static void answer(void *user_data, struct exeat_run *run,
		   enum exeat_stream stream, const void *data, size_t len)
{
	struct answerer *a = user_data;
	const unsigned call = a->calls++;

	(void)stream;
	if (call > 0) {
		assert_int_equal(len, 3);
		assert_memory_equal(data, "two", 3);
		return;
	}
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	while (a->calls == 1)
		assert_int_equal(exeat_session_dispatch(a->session, -1, NULL),
				 0);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "one", 3);
	if (a->freed) {
		exeat_run_free(run);
		assert_memory_equal(data, "one", 3);
	}
}

static void output_stays_for_its_callback(void **state)
{
	struct answerer a = { .session = api_open(NULL) };
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	(void)mallopt(M_PERTURB, PERTURB);
	o.command = "printf one; read x; printf two";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	o.on_output = answer;
	o.user_data = &a;
	for (int i = 0; i < 2; i++) {
		a.freed = i == 1;
		a.calls = 0;
		run = api_start(a.session, &o);
		assert_int_equal(exeat_run_wait(run, 60000, NULL), 1);
		assert_int_equal(a.calls, 2);
	}
	exeat_session_close(a.session);
}

static void free_of_a_living_run(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char marker[64], buf[8];

	(void)state;
	(void)snprintf(marker, sizeof(marker), "3603.%d", getpid());
	o.argv = LIST("sh", "-c", "trap '' TERM; echo up; sleep $0; true",
		      marker);
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL) > 0);
	exeat_run_free(run);
	assert_true(api_becomes_zero(api_processes, marker, 2000));
	exeat_session_close(session);
}

static void close_with_living_runs(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct freer f = { 0 };
	char marker[64];

	(void)state;
	(void)snprintf(marker, sizeof(marker), "3604.%d", getpid());
	o.argv = LIST("sleep", marker);
	o.on_exit = free_on_exit;
	o.user_data = &f;
	for (int i = 0; i < 5; i++)
		(void)api_start(session, &o);
	o.network_mode = "open";
	(void)api_start(session, &o);
	exeat_session_close(session);
	/* not "soon": now */
	assert_int_equal(api_processes(marker), 0);
	assert_int_equal(api_helpers(), 0);
	assert_int_equal(api_work_dirs(), 0);
	assert_int_equal(f.calls, 0);
}

static void close_what_has_just_begun(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	so.network_mode = "open";
	o.argv = LIST("true");
	for (int i = 0; i < 20; i++) {
		struct exeat_session *session;

		assert_int_equal(exeat_session_begin(&so, &session, NULL), 0);
		if (i & 1)
			(void)api_start(session, &o);
		exeat_session_close(session);
		assert_int_equal(api_helpers(), 0);
		assert_int_equal(api_work_dirs(), 0);
	}
}

/* ---- what is the caller's own ---- */

static volatile sig_atomic_t children;

static void child_ended(int signal)
{
	(void)signal;
	children++;
}

static void caller_notices_nothing(void **state)
{
	const struct sigaction handler = { .sa_handler = child_ended };
	struct sigaction old, now;
	struct exeat_session *session;
	sigset_t before, after;
	char **environment = environ;
	pid_t own;
	int status;

	(void)state;
	(void)sigaction(SIGCHLD, &handler, &old);
	(void)sigprocmask(SIG_SETMASK, NULL, &before);
	own = fork();
	if (own == 0) {
		(void)pause();
		_exit(0);
	}
	session = api_open(NULL);
	for (int i = 0; i < 3; i++) {
		api_sh(session, "kill -9 $$", -9);
		/* our own child, which lives, is the only one */
		assert_int_equal(waitpid(-1, &status, WNOHANG), 0);
	}
	exeat_session_close(session);
	assert_int_equal(waitpid(-1, &status, WNOHANG), 0);
	assert_int_equal(children, 0);
	(void)kill(own, SIGKILL);
	assert_int_equal(wait(NULL), own);
	assert_int_equal(wait(NULL), -1);
	(void)sigaction(SIGCHLD, &old, &now);
	assert_ptr_equal(now.sa_handler, child_ended);
	(void)sigprocmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < NSIG; i++)
		assert_int_equal(sigismember(&before, i),
				 sigismember(&after, i));
	assert_ptr_equal(environment, environ);
}

/* The caller's odd mask and ignored signals do not reach a command. */
static void signals_inside_are_plain(void **state)
{
	struct exeat_session *session;
	sigset_t all, old;
	const char *text;

	(void)state;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	api_signal(SIGPIPE, SIG_IGN);
	api_signal(SIGINT, SIG_IGN);
	session = api_open(NULL);
	text = api_sh(session, "grep -E 'Sig(Blk|Ign)' /proc/self/status", 0);
	assert_string_equal(text, "SigBlk:\t0000000000000000\n"
				  "SigIgn:\t0000000000000000\n");
	exeat_session_close(session);
	api_signal(SIGPIPE, SIG_DFL);
	api_signal(SIGINT, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- threads ---- */

static void *use_a_session(void *arg)
{
	const char *text = arg;
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *session;
	const char *failed = NULL;

	if (exeat_session_open(&so, &session, NULL) < 0)
		return (void *)(uintptr_t) "open";
	o.argv = LIST("echo", text);
	for (int i = 0; i < 20 && !failed; i++) {
		struct exeat_run *run;
		char *out = NULL;

		if (exeat_exec(session, &o, &run, &out, NULL, NULL, NULL,
			       NULL) < 0)
			failed = "exec";
		else if (strncmp(out, text, strlen(text)) != 0)
			failed = "output";
		else
			exeat_run_free(run);
		free(out);
	}
	exeat_session_close(session);
	return (void *)(uintptr_t)failed;
}

static void two_threads_two_sessions(void **state)
{
	const char *const texts[] = { "first", "second" };
	pthread_t threads[2];
	void *failed;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						use_a_session,
						(void *)(uintptr_t)texts[i]),
				 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		if (failed)
			fail_msg("%s", (const char *)failed);
	}
}

static void *open_and_end(void *arg)
{
	struct exeat_session_options so = SESSION_OPTIONS;

	if (exeat_session_open(&so, arg, NULL) < 0)
		*(struct exeat_session **)arg = NULL;
	return NULL;
}

static void session_outlives_its_thread(void **state)
{
	struct exeat_session *session = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, open_and_end, &session),
			 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_non_null(session);
	for (int i = 0; i < 3; i++)
		assert_string_equal(api_sh(session, "echo lives", 0),
				    "lives\n");
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(poll_alone_is_enough),
	cmocka_unit_test(idle_is_quiet),
	cmocka_unit_test(free_from_on_output),
	cmocka_unit_test(free_from_on_exit),
	cmocka_unit_test(forgotten_while_it_ends),
	cmocka_unit_test(forgotten_while_it_talks),
	cmocka_unit_test(output_stays_for_its_callback),
	cmocka_unit_test(free_of_a_living_run),
	cmocka_unit_test(close_with_living_runs),
	cmocka_unit_test(close_what_has_just_begun),
	cmocka_unit_test(caller_notices_nothing),
	cmocka_unit_test(signals_inside_are_plain),
	cmocka_unit_test(two_threads_two_sessions),
	cmocka_unit_test(session_outlives_its_thread),
};

API_MAIN("loop", tests)
