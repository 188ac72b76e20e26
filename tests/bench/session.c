/* session.c - what a session and its runs cost, against what they replace
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_session [ROUNDS]
 *
 * Each round times both sides of a comparison, one after the other. Printed
 * are the median and the least of either side, the ratio of the medians, and
 * that of the least. Of what takes long there are fewer rounds.
 *
 * A run is prepared when the session had a moment of rest before; one after
 * the other, without any, is the second figure. Opening a session is held
 * against a clone with the namespaces of one run, which does nothing.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/num.h"
#include "core/include/exeat.h"

enum {
	ROUNDS_MAX = 5000,
	SLOW = 20, /* so many times fewer rounds */
	REST_MS = 12,
	AT_ONCE = 100,
	CHUNK = 64 << 10,
};

#define GIGABYTE (UINT64_C(1) << 30)
static const char *const gigabyte_argv[] = { "/usr/bin/head", "-c",
					     "1073741824", "/dev/zero", NULL };
static const char *const true_argv[] = { "/bin/true", NULL };

extern char **environ;
static struct exeat_session *session;
static char chunk[CHUNK];

static double now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "bench: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	exit(1);
}

/* ---- processes ---- */

static pid_t spawn(const char *const *argv, posix_spawn_file_actions_t *actions)
{
	pid_t pid;

	if (posix_spawn(&pid, argv[0], actions, NULL,
			(char *const *)(uintptr_t)argv, environ) != 0)
		exit(1);
	return pid;
}

static void spawn_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		exit(1);
}

static void spawn_one(void)
{
	spawn_wait(spawn(true_argv, NULL));
}

static void spawn_many(void)
{
	pid_t pids[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		pids[i] = spawn(true_argv, NULL);
	for (int i = 0; i < AT_ONCE; i++)
		spawn_wait(pids[i]);
}

static void spawn_gigabyte(void)
{
	posix_spawn_file_actions_t actions;
	uint64_t total = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 ||
	    posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0)
		exit(1);
	pid = spawn(gigabyte_argv, &actions);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	while ((n = read(ends[0], chunk, sizeof(chunk))) > 0)
		total += (uint64_t)n;
	(void)close(ends[0]);
	spawn_wait(pid);
	if (total != GIGABYTE)
		exit(1);
}

static void clone_one(void)
{
	const unsigned long flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
				    CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0UL, NULL, NULL, 0UL);

	if (pid == 0)
		_exit(0);
	if (pid < 0) {
		perror("clone");
		exit(1);
	}
	spawn_wait((pid_t)pid);
}

/* ---- runs ---- */

static struct exeat_run *start(struct exeat_session *in,
			       const struct exeat_run_options *options)
{
	struct exeat_error error;
	struct exeat_run *run;

	if (exeat_run_start(in, options, &run, &error) < 0)
		die(&error);
	return run;
}

static struct exeat_run *start_true(struct exeat_session *in)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;

	options.argv = true_argv;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	return start(in, &options);
}

static void finish(struct exeat_run *run)
{
	struct exeat_error error;

	if (exeat_run_wait(run, -1, &error) < 0)
		die(&error);
	if (exeat_run_result(run)->returncode != 0)
		exit(1);
	exeat_run_free(run);
}

static void run_one(void)
{
	finish(start_true(session));
}

static void run_many(void)
{
	struct exeat_run *runs[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		runs[i] = start_true(session);
	for (int i = 0; i < AT_ONCE; i++)
		finish(runs[i]);
}

static void run_gigabyte(void)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_run *run;
	uint64_t total = 0;
	ssize_t n;

	options.argv = gigabyte_argv;
	run = start(session, &options);
	while ((n = exeat_run_read(run, EXEAT_STDOUT, chunk, sizeof(chunk), -1,
				   &error)) > 0)
		total += (uint64_t)n;
	finish(run);
	if (total != GIGABYTE)
		exit(1);
}

static void count(void *user, struct exeat_run *run, enum exeat_stream stream,
		  const void *data, size_t len)
{
	(void)run;
	(void)stream;
	(void)data;
	*(uint64_t *)user += len;
}

static void call_gigabyte(void)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	uint64_t total = 0;

	options.argv = gigabyte_argv;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	options.on_output = count;
	options.user_data = &total;
	finish(start(session, &options));
	if (total != GIGABYTE)
		exit(1);
}

static void open_close(void)
{
	struct exeat_session *other;
	struct exeat_error error;

	if (exeat_session_open(NULL, &other, &error) < 0)
		die(&error);
	exeat_session_close(other);
}

static void open_run_close(void)
{
	struct exeat_session *other;
	struct exeat_error error;

	if (exeat_session_open(NULL, &other, &error) < 0)
		die(&error);
	finish(start_true(other));
	exeat_session_close(other);
}

/* ---- the table ---- */

static const struct comparison {
	const char *what, *with;
	void (*ours)(void);
	void (*theirs)(void);
	bool rests, slow;
} comparisons[] = {
	{ "prepared run of true", "posix_spawn", run_one, spawn_one, true,
	  false },
	{ "runs without a pause", "posix_spawn", run_one, spawn_one, false,
	  false },
	{ "100 runs at once", "100 posix_spawn", run_many, spawn_many, true,
	  true },
	{ "session open + close", "clone", open_close, clone_one, false,
	  false },
	{ "open + run + close", "clone", open_run_close, clone_one, false,
	  false },
	{ "1 GiB, exeat_run_read", "pipe, read(2)", run_gigabyte,
	  spawn_gigabyte, true, true },
	{ "1 GiB, callback", "pipe, read(2)", call_gigabyte, spawn_gigabyte,
	  true, true },
};

static double timed(void (*work)(void), bool rests)
{
	double begin;

	if (rests)
		(void)poll(NULL, 0, REST_MS);
	begin = now_us();
	work();
	return now_us() - begin;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(const struct comparison *c, uint64_t rounds)
{
	static double ours[ROUNDS_MAX], theirs[ROUNDS_MAX];

	(void)timed(c->ours, c->rests);
	for (uint64_t i = 0; i < rounds; i++) {
		theirs[i] = timed(c->theirs, c->rests);
		ours[i] = timed(c->ours, c->rests);
	}
	qsort(ours, rounds, sizeof(*ours), compare);
	qsort(theirs, rounds, sizeof(*theirs), compare);
	printf("%-22s %-16s %8.0f (%8.0f) us %8.0f (%8.0f) us %6.2f (%.2f)\n",
	       c->what, c->with, ours[rounds / 2], ours[0], theirs[rounds / 2],
	       theirs[0], ours[rounds / 2] / theirs[rounds / 2],
	       ours[0] / theirs[0]);
	(void)fflush(stdout);
}

int main(int argc, char *argv[])
{
	uint64_t rounds = 200;
	const char *text = argc > 1 ? argv[1] : "200";
	struct exeat_error error;

	if (!num_parse_u64(&text, ROUNDS_MAX, &rounds) || rounds == 0)
		return 2;
	if (exeat_session_open(NULL, &session, &error) < 0)
		die(&error);
	printf("%-39s %22s %22s %12s\n", "median (least)", "ours", "theirs",
	       "ratio");
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]);
	     i++) {
		uint64_t n = comparisons[i].slow ? rounds / SLOW : rounds;

		measure(&comparisons[i], n > 3 ? n : 3);
	}
	exeat_session_close(session);
	return 0;
}
