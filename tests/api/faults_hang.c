/* faults_hang.c - helpers that do not end, and do nothing
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A helper is stopped, and a call of the interface waits for it: in the time
 * that limits.h gives, the call fails and says who it is. That time does not
 * pass by itself here: this program's clock, timers and epoll_wait(2), which
 * the library uses in place of the C library's, let it pass whenever all
 * helpers but those that are stopped sleep, having nothing more to do. So
 * however busy the machine is, nobody is blamed who is only late.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api.h"

#define FOR_THE_LIBRARY __attribute__((visibility("default")))

enum { GONE_MS = 20000, LOOK_MS = 5, STEP_MS = 5000, TIMERS = 8 };

/* ---- a clock ---- */

static bool passing;	 /* time passes while all are quiet */
static int64_t ahead_ms; /* of the machine's */
static char names[64];	 /* of every helper */

static struct {
	int fd;
	int64_t due_ms;
} timers[TIMERS];

FOR_THE_LIBRARY int clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, id, ret);

	if (r == 0 && id == CLOCK_MONOTONIC) {
		ret->tv_sec += ahead_ms / 1000;
		ret->tv_nsec += ahead_ms % 1000 * 1000000;
		ret->tv_sec += ret->tv_nsec / 1000000000;
		ret->tv_nsec %= 1000000000;
	}
	return r;
}

static int real_settime(int fd, int flags, const struct itimerspec *when,
			struct itimerspec *old)
{
	return (int)syscall(SYS_timerfd_settime, fd, flags, when, old);
}

FOR_THE_LIBRARY int timerfd_settime(int fd, int flags,
				    const struct itimerspec *when,
				    struct itimerspec *old)
{
	const int64_t ms =
		when->it_value.tv_sec * 1000 + when->it_value.tv_nsec / 1000000;
	size_t i = 0;

	while (i < TIMERS - 1 && timers[i].fd != fd && timers[i].fd != 0)
		i++;
	timers[i].fd = fd;
	timers[i].due_ms = ms > 0 ? api_ms() + ms : INT64_MAX;
	return real_settime(fd, flags, when, old);
}

static void pass(void)
{
	static const struct itimerspec now = { .it_value = { .tv_nsec = 1 } };

	ahead_ms += STEP_MS;
	for (size_t i = 0; i < TIMERS; i++) {
		if (timers[i].fd == 0 || timers[i].due_ms > api_ms())
			continue;
		timers[i].due_ms = INT64_MAX;
		/* it may be closed */
		(void)real_settime(timers[i].fd, 0, &now, NULL);
	}
}

/* In /proc/PID/stat, behind the name: 'S' sleeps, 'T' is stopped. */
static bool has_nothing_to_do(const char *pid)
{
	char path[300], stat[512], *at;
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, stat, sizeof(stat) - 1);
		(void)close(fd);
	}
	if (n <= 0)
		return true; /* it is gone */
	stat[n] = '\0';
	at = strrchr(stat, ')');
	return !strstr(stat, names) || !at || strchr("STtZ", at[2]);
}

static bool all_is_quiet(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool quiet = true;

	assert_non_null(proc);
	while (quiet && (entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			quiet = has_nothing_to_do(entry->d_name);
	(void)closedir(proc);
	return quiet;
}

FOR_THE_LIBRARY int epoll_wait(int epfd, struct epoll_event *events, int max,
			       int timeout)
{
	for (;;) {
		const int ms = passing && timeout != 0 ? LOOK_MS : timeout;
		int n = (int)syscall(SYS_epoll_pwait, epfd, events, max, ms,
				     NULL, 8);

		if (n != 0 || !passing || timeout == 0)
			return n;
		if (!all_is_quiet())
			continue;
		pass();
		if (timeout > 0 && timeout <= STEP_MS)
			return 0;
		if (timeout > 0)
			timeout -= STEP_MS;
	}
}

/* ---- who hangs ---- */

static char marker[64];
static pid_t group; /* stopped */

static int setup(void **state)
{
	(void)state;
	(void)snprintf(names, sizeof(names), "(%s",
		       strrchr(api_helper, '/') + 1);
	(void)snprintf(marker, sizeof(marker), "3609.%d", getpid());
	group = 0;
	return 0;
}

/* With what it may have forked and not yet left to itself. */
static void hang(const char *mode)
{
	pid_t pid;

	do
		pid = api_helper_pid(mode);
	while (pid == 0);
	group = getpgid(pid);
	assert_true(group > 0 && group != getpgrp());
	assert_int_equal(kill(-group, SIGSTOP), 0);
	passing = true;
}

static void close_it(struct exeat_session *s)
{
	int64_t began;

	passing = false;
	began = api_ms();
	exeat_session_close(s);
	assert_true(api_ms() - began < GONE_MS);
	/* before Linux 6.9 one that had not said who it is may be there */
	if (group > 0)
		(void)kill(-group, SIGKILL);
	assert_true(api_helpers_go(GONE_MS));
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

/* ---- a session that is being opened ---- */

static struct exeat_run_options sleeping(void)
{
	static const char *const argv[] = { "sleep", marker, NULL };
	struct exeat_run_options o = RUN_OPTIONS;

	o.argv = argv;
	return o;
}

static void never_opens(const char *mode)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	const struct exeat_run_options ro = sleeping();
	struct exeat_error error = { 0 };
	struct exeat_session *s;

	o.network_mode = "open";
	assert_int_equal(exeat_session_begin(&o, &s, NULL), 0);
	hang(mode);
	/* it may have said all that opening needs, but no more than that */
	(void)api_start(s, &ro);
	while (exeat_session_dispatch(s, -1, &error) == 0)
		;
	api_expect(&error, EXEAT_TIMEOUT, mode, "does not answer");
	close_it(s);
}

static void opening(void **state)
{
	(void)state;
	never_opens("keeper");
	never_opens("front");
	never_opens("dialer");
}

static void make_silent(char path[4200])
{
	char text[96];
	int fd;

	(void)snprintf(text, sizeof(text), "#!/bin/sh\nexec sleep %s\n",
		       marker);
	(void)snprintf(path, 4200, "%s/silent", api_dir);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

/* Nothing has been stopped here: it is a program that never says a word. */
static void silent(uint64_t disk_bytes)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_session *s = NULL;
	char path[4200];

	make_silent(path);
	o.helper_path = path;
	o.disk_bytes = disk_bytes;
	passing = true;
	assert_true(exeat_session_open(&o, &s, &error) < 0);
	passing = false;
	api_expect(&error, EXEAT_TIMEOUT, "keeper", "does not answer");
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

static void silent_from_the_start(void **state)
{
	(void)state;
	silent(0);
	silent(1 << 20);
}

/* ---- calls that wait ---- */

static int runs(struct exeat_session *s, const struct exeat_run_options *o,
		struct exeat_error *error)
{
	struct exeat_run *run = NULL;
	int r = exeat_run_start(s, o, &run, error);

	if (r == 0)
		r = exeat_run_wait(run, -1, error);
	exeat_run_free(run);
	return r;
}

static int run_waits(struct exeat_session *s, struct exeat_error *error)
{
	const struct exeat_run_options o = sleeping();

	return runs(s, &o, error);
}

/* Its time is the keeper's. */
static int run_has_a_time(struct exeat_session *s, struct exeat_error *error)
{
	struct exeat_run_options o = sleeping();

	o.timeout_ms = 100;
	return runs(s, &o, error);
}

static int run_makes_a_posture(struct exeat_session *s,
			       struct exeat_error *error)
{
	struct exeat_run_options o = sleeping();

	o.network_allowlist = LIST("198.51.100.1");
	return runs(s, &o, error);
}

static int run_is_over(struct exeat_session *s, struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = "true";
	return runs(s, &o, error);
}

static int reads(struct exeat_session *s, struct exeat_error *error)
{
	const struct exeat_run_options o = sleeping();
	struct exeat_run *run = api_start(s, &o);
	char buf[16];
	ssize_t n =
		exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), -1, error);

	exeat_run_free(run);
	return n < 0 ? (int)n : 0;
}

static int writes(struct exeat_session *s, struct exeat_error *error)
{
	static const char much[1 << 20];
	const struct exeat_run_options o = sleeping();
	struct exeat_run *run = NULL;
	ssize_t n;

	assert_int_equal(exeat_spawn(s, &o, &run, NULL), 0);
	n = exeat_run_write(run, much, sizeof(much), error);
	exeat_run_free(run);
	return n < 0 ? (int)n : 0;
}

static int tars(struct exeat_session *s, struct exeat_error *error)
{
	int ends[2], r;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	r = exeat_put_tar(s, "in", ends[0], error);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

static int snapshots(struct exeat_session *s, struct exeat_error *error)
{
	return exeat_session_snapshot(s, "never", error);
}

static int pauses(struct exeat_session *s, struct exeat_error *error)
{
	return exeat_session_pause(s, error);
}

static int changes(struct exeat_session *s, struct exeat_error *error)
{
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;

	o.network_mode = "blocked";
	return exeat_session_set_policy(s, &o, error);
}

static const struct {
	const char *name;
	int (*call)(struct exeat_session *s, struct exeat_error *error);
	const char *modes[5];
} calls[] = {
	{ "run_wait", run_waits, { "keeper", "front", "dialer", "tls" } },
	{ "timeout", run_has_a_time, { "keeper" } },
	{ "posture", run_makes_a_posture, { "keeper", "front", "dialer" } },
	{ "end", run_is_over, { "keeper", "front" } },
	{ "read", reads, { "keeper", "dialer" } },
	{ "write", writes, { "keeper" } },
	{ "put_tar", tars, { "keeper", "front" } },
	{ "snapshot", snapshots, { "keeper" } },
	{ "pause", pauses, { "keeper" } },
	{ "set_policy", changes, { "keeper", "front", "dialer" } },
};

static void call_ends(size_t i, const char *mode)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_session *s;

	print_message("%s, %s\n", calls[i].name, mode);
	o.network_mode = "open";
	if (strcmp(mode, "tls") == 0)
		o.upstream_proxy = "https://127.0.0.1:1";
	o.snapshot_dir = api_dir;
	s = api_open(&o);
	/* once: nothing of it is still being made */
	(void)api_sh(s, "true", 0);
	hang(mode);
	assert_true(calls[i].call(s, &error) < 0);
	api_expect(&error, EXEAT_TIMEOUT, mode, "does not answer");
	close_it(s);
}

static void calling(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (size_t j = 0; calls[i].modes[j]; j++)
			call_ends(i, calls[i].modes[j]);
}

/* An idle session, and a busy one, are asked and nobody is blamed. */
static void answering(void **state)
{
	const struct exeat_run_options o = sleeping();
	struct exeat_session *s = api_open(NULL);
	struct exeat_run *run = api_start(s, &o);

	(void)state;
	passing = true;
	assert_int_equal(exeat_run_wait(run, 300000, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	assert_int_equal(exeat_run_wait(run, -1, NULL), 1);
	exeat_run_free(run);
	assert_int_equal(exeat_session_dispatch(s, 300000, NULL), 0);
	passing = false;
	assert_string_equal(api_sh(s, "echo on", 0), "on\n");
	close_it(s);
}

/* Who looks seldom finds the end of a run before all that was refused to it. */
static void seldom(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *s = api_open(NULL);
	struct exeat_file file;
	struct exeat_run *run;

	(void)state;
	o.script = "import socket\n"
		   "for i in range(2000):\n"
		   "    try: socket.getaddrinfo('n%d.test' % i, 1)\n"
		   "    except OSError: pass\n"
		   "open('over', 'w')\n";
	o.script_type = "python";
	(void)api_sh(s, "true", 0);
	run = api_start(s, &o);
	while (exeat_stat_file(s, "over", &file, NULL) < 0)
		(void)poll(NULL, 0, LOOK_MS);
	while (!exeat_run_result(run)) {
		while (!all_is_quiet())
			continue;
		assert_int_equal(exeat_session_dispatch(s, 0, NULL), 0);
		pass();
		pass();
	}
	assert_int_equal(exeat_run_result(run)->refused_total, 2 * 2000);
	exeat_run_free(run);
	close_it(s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(opening, setup),
	cmocka_unit_test_setup(silent_from_the_start, setup),
	cmocka_unit_test_setup(calling, setup),
	cmocka_unit_test_setup(answering, setup),
	cmocka_unit_test_setup(seldom, setup),
};

API_MAIN("faults_hang", tests)
