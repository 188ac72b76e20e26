/* session.c - what a run costs in an open session, and opening one
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_session [ROUNDS]
 *
 * Each round times, one after the other: posix_spawn() and wait of `true`,
 * a run of `true` in an open session, opening and closing a session. Prints
 * the medians and their ratio to posix_spawn of the same rounds.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "core/base/num.h"
#include "core/include/exeat.h"

enum { ROUNDS_MAX = 5000 };

extern char **environ;

static double now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *v, uint64_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void die(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "bench: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	exit(1);
}

static double time_spawn(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };
	double start = now_us();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		exit(1);
	return now_us() - start;
}

static double time_run(struct exeat_session *session)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_run *run;
	double start = now_us(), took;

	options.argv = argv;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	if (exeat_run_start(session, &options, &run, &error) < 0 ||
	    exeat_run_wait(run, -1, &error) < 0)
		die(&error);
	took = now_us() - start;
	if (exeat_run_result(run)->returncode != 0)
		exit(1);
	exeat_run_free(run);
	return took;
}

static double time_open(void)
{
	struct exeat_session *session;
	struct exeat_error error;
	double start = now_us();

	if (exeat_session_open(NULL, &session, &error) < 0)
		die(&error);
	exeat_session_close(session);
	return now_us() - start;
}

int main(int argc, char *argv[])
{
	static double spawn[ROUNDS_MAX], run[ROUNDS_MAX], open[ROUNDS_MAX];
	uint64_t rounds = 200;
	const char *text = argc > 1 ? argv[1] : "200";
	struct exeat_session *session;
	struct exeat_error error;
	double base;

	if (!num_parse_u64(&text, ROUNDS_MAX, &rounds) || rounds == 0)
		return 2;
	if (exeat_session_open(NULL, &session, &error) < 0)
		die(&error);
	for (int i = 0; i < 3; i++)
		(void)time_run(session);
	for (uint64_t i = 0; i < rounds; i++) {
		spawn[i] = time_spawn();
		run[i] = time_run(session);
	}
	for (uint64_t i = 0; i < rounds; i++)
		open[i] = time_open();
	exeat_session_close(session);
	base = median(spawn, rounds);
	printf("posix_spawn of true\t%8.0f us\t1.00\n", base);
	printf("run of true\t\t%8.0f us\t%.2f\n", median(run, rounds),
	       median(run, rounds) / base);
	printf("session open + close\t%8.0f us\t%.2f\n", median(open, rounds),
	       median(open, rounds) / base);
	return 0;
}
