/* eventloop.c - many sessions in one loop of the program's own
 * SPDX-License-Identifier: Apache-2.0
 *
 * A session is one descriptor to the loop: when it is readable,
 * exeat_session_dispatch() does what is due and calls back. Nothing blocks, and
 * nothing starts a thread; the loop's other descriptors (here a clock) are
 * served all the while.
 */
#define _POSIX_C_SOURCE 200809L
#include <exeat.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { JOBS = 3, TICK_NS = 10 * 1000 * 1000 };

static const char *const steps[] = {
	"echo prepared > state",
	"sleep 0.2; echo job $JOB: $(cat state)",
	"echo computed $((JOB * 111))",
	NULL,
};

/* A session of its own, in which each step begins when the last has ended. */
struct job {
	struct exeat_session *session;
	struct exeat_error error;
	char env[32], said[256]; /* "JOB=N"; what the steps have printed */
	size_t step, len;
	int done, failed; /* failed: the sandbox, not a command */
};

static void on_output(void *user_data, struct exeat_run *run,
		      enum exeat_stream stream, const void *data, size_t len)
{
	struct job *job = user_data;
	size_t room = sizeof(job->said) - 1 - job->len;

	(void)run;
	(void)stream;
	len = len < room ? len : room;
	memcpy(job->said + job->len, data, len);
	job->len += len;
}

static void on_exit_next(void *user_data, struct exeat_run *run)
{
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct job *job = user_data;
	const char *const env[] = { job->env, NULL };

	/* run: the step before; none at the beginning */
	if ((run && exeat_run_result(run)->returncode) || !steps[job->step]) {
		job->done = 1;
		return;
	}
	options.command = steps[job->step++];
	options.env = env;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	options.on_output = on_output;
	options.on_exit = on_exit_next;
	options.user_data = job;
	/* runs that have ended are freed with their session */
	if (exeat_run_start(job->session, &options, &run, &job->error) < 0)
		job->failed = job->done = 1;
}

int main(void)
{
	const struct itimerspec often = { { 0, TICK_NS }, { 0, TICK_NS } };
	int clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct pollfd polled[JOBS + 1]; /* the last one is the clock */
	static struct job jobs[JOBS];
	int left = JOBS, status = EXIT_SUCCESS;
	uint64_t ticks = 0, n;
	char text[1024];

	for (int i = 0; i < JOBS; i++) {
		/* it opens while the loop runs: its first step waits for that */
		if (exeat_session_begin(NULL, &jobs[i].session,
					&jobs[i].error) < 0) {
			jobs[i].failed = jobs[i].done = 1;
			polled[i].fd = -1;
			continue;
		}
		snprintf(jobs[i].env, sizeof(jobs[i].env), "JOB=%d", i + 1);
		polled[i].fd = exeat_session_fd(jobs[i].session);
		polled[i].events = POLLIN;
		on_exit_next(&jobs[i], NULL);
	}
	(void)timerfd_settime(clock, 0, &often, NULL);
	polled[JOBS].fd = clock;
	polled[JOBS].events = POLLIN;
	while (left > 0 && poll(polled, JOBS + 1, -1) >= 0) {
		left = 0;
		for (int i = 0; i < JOBS; i++) {
			if (!jobs[i].done && polled[i].revents &&
			    exeat_session_dispatch(jobs[i].session, 0,
						   &jobs[i].error) < 0)
				jobs[i].failed = jobs[i].done = 1;
			left += !jobs[i].done;
		}
		if (polled[JOBS].revents && read(clock, &n, sizeof(n)) > 0)
			ticks += n;
	}
	for (int i = 0; i < JOBS; i++) {
		printf("%s", jobs[i].said);
		if (jobs[i].failed) {
			fprintf(stderr, "eventloop: %s\n",
				exeat_error_text(&jobs[i].error, text,
						 sizeof(text)));
			status = EXIT_FAILURE;
		}
		exeat_session_close(jobs[i].session);
	}
	printf("the clock went on: %s\n", ticks > 0 ? "yes" : "no");
	return status;
}
