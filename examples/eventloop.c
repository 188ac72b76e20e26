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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { JOBS = 3, TICK_NS = 10 * 1000 * 1000 };

/* A session of its own, in which each step begins when the last has ended. */
struct job {
	struct exeat_session *session;
	struct exeat_run *run;
	struct exeat_error error;
	int failed; /* the sandbox, not a command */
	int number, step, done;
	char said[256]; /* what the steps have printed */
	size_t len;
};

static void next_step(struct job *job);

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
	struct job *job = user_data;

	if (exeat_run_result(run)->returncode != 0)
		job->done = 1;
	else
		next_step(job);
}

static void next_step(struct job *job)
{
	static const char *const steps[] = {
		"echo prepared > state",
		"sleep 0.2; echo job $JOB: $(cat state)",
		"echo computed $((JOB * 111))",
	};
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	const char *env[2] = { NULL, NULL };
	char variable[32];

	if (job->step == sizeof(steps) / sizeof(steps[0])) {
		job->done = 1;
		return;
	}
	snprintf(variable, sizeof(variable), "JOB=%d", job->number);
	env[0] = variable;
	options.env = env;
	options.command = steps[job->step++];
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	options.on_output = on_output;
	options.on_exit = on_exit_next;
	options.user_data = job;
	/* runs that have ended are freed with their session */
	job->failed = exeat_run_start(job->session, &options, &job->run,
				      &job->error) < 0;
	job->done = job->failed;
}

/* The session opens while the loop runs; its first step waits for that. */
static int begin(struct job *job, int number, int epoll)
{
	struct epoll_event event = { .events = EPOLLIN };

	job->number = number;
	if (exeat_session_begin(NULL, &job->session, &job->error) < 0)
		return -1;
	event.data.ptr = job;
	next_step(job);
	return job->failed ? -1 :
			     epoll_ctl(epoll, EPOLL_CTL_ADD,
				       exeat_session_fd(job->session), &event);
}

static int all_done(const struct job *jobs)
{
	for (int i = 0; i < JOBS; i++)
		if (!jobs[i].done)
			return 0;
	return 1;
}

static void serve(int epoll, const struct job *jobs, int clock, uint64_t *ticks)
{
	struct epoll_event event;
	uint64_t n;

	while (!all_done(jobs)) {
		struct job *job;

		if (epoll_wait(epoll, &event, 1, -1) < 1)
			continue;
		job = event.data.ptr;
		if (!job) {
			if (read(clock, &n, sizeof(n)) == sizeof(n))
				*ticks += n;
		} else if (exeat_session_dispatch(job->session, 0,
						  &job->error) < 0) {
			job->failed = job->done = 1;
		}
	}
}

int main(void)
{
	const struct itimerspec often = { { 0, TICK_NS }, { 0, TICK_NS } };
	struct epoll_event tick = { .events = EPOLLIN };
	static struct job jobs[JOBS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), status = EXIT_SUCCESS;
	int clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t ticks = 0;
	char text[1024];

	if (epoll < 0 || clock < 0 ||
	    timerfd_settime(clock, 0, &often, NULL) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, clock, &tick) < 0) {
		perror("eventloop");
		return EXIT_FAILURE;
	}
	for (int i = 0; i < JOBS; i++)
		if (begin(&jobs[i], i + 1, epoll) < 0)
			jobs[i].failed = jobs[i].done = 1;
	serve(epoll, jobs, clock, &ticks);
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
