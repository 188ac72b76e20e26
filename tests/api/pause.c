/* pause.c - sessions that stand still, and sessions whose time is up
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "fixture.h"

enum { WAIT_MS = 20000, STILL_MS = 150 };

/* Among all processes of the machine, this program's alone. */
static const char *marker(void)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "3610.%d", getpid());
	return text;
}

static const char *sleeper(void)
{
	static char text[64];

	(void)snprintf(text, sizeof(text), "sleep %s", marker());
	return text;
}

static struct exeat_run *start(const char *command)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = command;
	return api_start(session, &o);
}

static size_t size_of(const char *path)
{
	struct exeat_file file;

	return exeat_stat_file(session, path, &file, NULL) == 0 ? file.size : 0;
}

static void until_larger(const char *path, size_t size)
{
	int64_t deadline = api_ms() + WAIT_MS;

	while (size_of(path) <= size)
		assert_true(api_ms() < deadline);
}

/* Nothing moves, not even what is being forked all the time. */
static void stands_still(void **state)
{
	struct exeat_run *run = start("while :; do (echo >> a); done & "
				      "setsid sh -c 'while :; do (echo >> b); "
				      "done' & wait");

	(void)state;
	for (int i = 0; i < 5; i++) {
		size_t a, b;

		until_larger("a", size_of("a") + 10);
		until_larger("b", size_of("b") + 10);
		assert_int_equal(exeat_session_pause(session, NULL), 0);
		a = size_of("a");
		b = size_of("b");
		usleep(STILL_MS * 1000);
		assert_int_equal(size_of("a"), a);
		assert_int_equal(size_of("b"), b);
		assert_int_equal(exeat_session_resume(session, NULL), 0);
		until_larger("a", a);
		until_larger("b", b);
	}
	exeat_run_free(run);
}

/* One that was asked for just before does not begin meanwhile. */
static void begins_later(void **state)
{
	struct exeat_run *run = start("while :; do echo >> a; done");
	size_t a;

	(void)state;
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	a = size_of("a");
	usleep(STILL_MS * 1000);
	assert_int_equal(size_of("a"), a);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	until_larger("a", a);
	exeat_run_free(run);
}

static void run_resumes(void **state)
{
	struct exeat_run *run = start("while :; do echo >> a; done");
	size_t a;

	(void)state;
	until_larger("a", 10);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	a = size_of("a");
	assert_string_equal(api_sh(session, "echo here", 0), "here\n");
	until_larger("a", a);
	/* resumed already: once more is nothing */
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	exeat_run_free(run);
}

static struct exeat_run *started;

static void start_on_output(void *user_data, struct exeat_run *run,
			    enum exeat_stream stream, const void *data,
			    size_t len)
{
	const bool *armed = user_data;

	(void)run;
	(void)stream;
	(void)data;
	(void)len;
	if (*armed && !started)
		started = start("sleep 100");
}

/* While it is waited for: nobody is told that all stand still. */
static void callback_resumes(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	bool armed = false;
	size_t a;

	(void)state;
	started = NULL;
	o.command = "while :; do echo; echo >> a; sleep 0.01; done";
	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	o.on_output = start_on_output;
	o.user_data = &armed;
	run = api_start(session, &o);
	until_larger("a", size_of("a") + 1);
	armed = true;
	assert_true(exeat_session_pause(session, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "a callback", "");
	assert_non_null(started);
	a = size_of("a");
	until_larger("a", a);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	exeat_run_free(started);
	exeat_run_free(run);
}

/* Its time stands still with it; its end does not wait. */
static void time_and_end(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.command = "echo; read x";
	o.timeout_ms = 1500;
	o.idle_timeout_ms = 1500;
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 4,
				   WAIT_MS, NULL) > 0);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_wait(run, 2000, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	assert_int_equal(exeat_run_write(run, "\n", 1, NULL), 0);
	assert_string_equal(api_wait(run)->termination_reason, "");
	exeat_run_free(run);

	run = start("sleep 100");
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	assert_string_equal(api_wait(run)->termination_reason, "killed");
	exeat_run_free(run);
	/* one with nothing in it, and one that is closed as it is */
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	(void)start(sleeper());
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	exeat_session_close(session);
	session = NULL;
	assert_int_equal(api_processes(marker()), 0);
}

/* ---- who does not want to stand still ---- */

/* Asks the kernel for SIGCONT, every five milliseconds for two seconds. (One
 * that is to come again and again does not, once SIGSTOP has thrown it away.) */
#define BY_TIMERS                                                                 \
	"import ctypes, signal, struct, time\n"                                   \
	"libc = ctypes.CDLL(None)\n"                                              \
	"signal.signal(18, lambda *a: None)\n"                                    \
	"for i in range(400):\n"                                                  \
	"    timer = ctypes.c_void_p()\n"                                         \
	"    event = struct.pack('qii48x', 0, 18, 0)\n"                           \
	"    when = struct.pack('qqqq', 0, 0, i // 200, i % 200 * 5000000 + 1)\n" \
	"    assert libc.timer_create(1, event, ctypes.byref(timer)) == 0\n"      \
	"    assert libc.timer_settime(timer, 0, when, None) == 0\n"              \
	"while True:\n"                                                           \
	"    open('a', 'a').write('x')\n"                                         \
	"    time.sleep(0.001)\n"
/* Has SIGCONT for every byte on its stdin. */
#define BY_INPUT                                                      \
	"import fcntl, os, signal, time\n"                            \
	"signal.signal(18, lambda *a: None)\n"                        \
	"fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())\n"               \
	"fcntl.fcntl(0, 10, 18)\n"                                    \
	"fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n" \
	"while True:\n"                                               \
	"    open('a', 'a').write('x')\n"                             \
	"    time.sleep(0.001)\n"
/* Children that wake each other, and are replaced all the time. */
#define BY_FORKS                                          \
	"import os, signal\n"                             \
	"signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n" \
	"for i in range(8):\n"                            \
	"    if os.fork() == 0:\n"                        \
	"        while True:\n"                           \
	"            if os.fork(): os._exit(0)\n"         \
	"            os.setsid()\n"                       \
	"            os.kill(-1, 18)\n"                   \
	"            open('a', 'a').write('x')\n"         \
	"signal.pause()\n"                                \
	"while True: signal.pause()\n"

/* Is there a group in which the session's processes are frozen? */
static bool is_frozen(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup",
					      "/sys/fs/cgroup/unified" };
	char line[4096], path[8192];
	FILE *f = fopen("/proc/self/cgroup", "r");
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		for (int i = 0; strncmp(line, "0::", 3) == 0 && i < 2; i++) {
			(void)snprintf(path, sizeof(path),
				       "%s%s/exeat-%s-pause", mounts[i],
				       line + 3, exeat_session_id(session));
			found |= access(path, F_OK) == 0;
		}
	}
	if (f)
		(void)fclose(f);
	return found;
}

static void does_not_move(void)
{
	size_t a = size_of("a");

	usleep(STILL_MS * 1000);
	assert_int_equal(size_of("a"), a);
}

/* In the end it is held or killed; frozen, it was held all the time. */
static void is_held_or_killed(struct exeat_run *run, size_t begun)
{
	int64_t deadline = api_ms() + WAIT_MS;
	bool frozen = is_frozen();
	size_t a = begun;

	print_message("%s\n", frozen ? "frozen" : "stopped by signals");
	while (exeat_run_wait(run, STILL_MS, NULL) == 0 && size_of("a") != a) {
		assert_false(frozen);
		assert_true(api_ms() < deadline);
		a = size_of("a");
	}
	if (!frozen && exeat_run_result(run)) {
		assert_string_equal(exeat_run_result(run)->termination_reason,
				    "killed");
		assert_int_equal(exeat_session_resume(session, NULL), 0);
		return;
	}
	assert_null(exeat_run_result(run));
	does_not_move();
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	until_larger("a", a);
}

static struct exeat_run *pause_one(const char *script, size_t *ret)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	o.script = script;
	o.script_type = "python";
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	until_larger("a", size_of("a") + 10);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	*ret = size_of("a");
	return run;
}

static void escapes(void **state)
{
	struct exeat_run *run;
	int64_t deadline;
	size_t a;

	(void)state;
	run = pause_one(BY_TIMERS, &a);
	is_held_or_killed(run, a);
	exeat_run_free(run);
	run = pause_one(BY_FORKS, &a);
	does_not_move();
	is_held_or_killed(run, a);
	exeat_run_free(run);
	/* again and again: by signals it cannot be held, and is not left */
	run = pause_one(BY_INPUT, &a);
	deadline = api_ms() + WAIT_MS;
	for (int i = 0; i < 100 || !is_frozen(); i++) {
		assert_true(api_ms() < deadline);
		if (exeat_run_wait(run, 1, NULL) != 0)
			break;
		(void)exeat_run_write(run, "x", 1, NULL);
	}
	assert_int_equal(exeat_run_result(run) == NULL, is_frozen());
	is_held_or_killed(run, a);
	exeat_run_free(run);
	/* and others are no worse for it */
	assert_string_equal(api_sh(session, "echo here", 0), "here\n");
}

#define GROW                           \
	"def grow():\n"                \
	"    f = open('a', 'ab', 0)\n" \
	"    while True:\n"            \
	"        f.write(b'x')\n"      \
	"        time.sleep(0.001)\n"  \
	"libc = ctypes.CDLL(None)\n"
/* The first process of a pid namespace of its own, which is spared signals. */
#define BY_RANK                                           \
	"import ctypes, os, signal, time\n" GROW          \
	"assert libc.unshare(0x30000000) == 0\n"          \
	"if os.fork() == 0:\n"                            \
	"    for s in range(1, 65):\n"                    \
	"        try: signal.signal(s, signal.SIG_IGN)\n" \
	"        except (OSError, ValueError): pass\n"    \
	"    grow()\n"                                    \
	"os.wait()\n"
/* Threads whose process is a zombie by its first one. */
#define BY_THREADS                                                   \
	"import ctypes, os, threading, time\n" GROW                  \
	"for i in range(3): threading.Thread(target=grow).start()\n" \
	"libc.syscall(60 if os.uname().machine == 'x86_64' else 93, 0)\n"
/* Stopped, it is its tracer's, who continues it without its signal. */
#define BY_TRACER                                                    \
	"import ctypes, os, signal, time\n" GROW "pid = os.fork()\n" \
	"if pid == 0:\n"                                             \
	"    libc.ptrace(0, 0, 0, 0)\n"                              \
	"    os.kill(os.getpid(), signal.SIGUSR1)\n"                 \
	"    grow()\n"                                               \
	"while True:\n"                                              \
	"    os.waitpid(pid, 0x40000000)\n"                          \
	"    libc.ptrace(7, pid, 0, 0)\n"

/* No signal of their own, and yet not as others. */
static void odd_ones(void **state)
{
	static const char *const scripts[] = { BY_RANK, BY_THREADS, BY_TRACER };

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		size_t a;
		struct exeat_run *run = pause_one(scripts[i], &a);

		does_not_move();
		assert_int_equal(size_of("a"), a);
		assert_int_equal(exeat_session_resume(session, NULL), 0);
		until_larger("a", a);
		exeat_run_free(run);
	}
}

/* What was stopped before is not continued by us, and a caller's SIGCONT waits
 * like any other signal. */
static void stopped_before(void **state)
{
	struct exeat_run *run =
		start("sh -c 'while :; do echo >> a; sleep 0.01; done' & p=$!; "
		      "while [ ! -s a ]; do sleep 0.01; done; kill -STOP $p; "
		      "while :; do echo >> b; sleep 0.01; done");
	size_t a, b;

	(void)state;
	until_larger("b", 5);
	a = size_of("a");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(exeat_session_pause(session, NULL), 0);
		b = size_of("b");
		assert_int_equal(exeat_session_resume(session, NULL), 0);
		until_larger("b", b + 5);
		assert_int_equal(size_of("a"), a);
	}
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
	assert_int_equal(exeat_run_wait(run, STILL_MS, NULL), 0);
	b = size_of("b");
	assert_int_equal(exeat_run_wait(run, STILL_MS, NULL), 0);
	assert_int_equal(size_of("b"), b);
	exeat_run_free(run);
}

enum { MANY = 70 };

/*
 * Several processes, each with a file of its own that grows. They do not look
 * after each other: none is stopped or continued but by us.
 */
#define MANY_SCRIPT                                              \
	"import os, time\n"                                      \
	"for i in range(70):\n"                                  \
	"    if os.fork() == 0:\n"                               \
	"        f = os.open(f'f{i}', os.O_CREAT | os.O_RDWR)\n" \
	"        while True:\n"                                  \
	"            os.write(f, b'x')\n"                        \
	"            time.sleep(0.05)\n"                         \
	"os.wait()\n"

static struct exeat_run *start_many(void)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.script = MANY_SCRIPT;
	o.script_type = "python";
	return api_start(session, &o);
}

static void many_sizes(size_t sizes[MANY])
{
	for (int i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		sizes[i] = size_of(name);
	}
}

static void many_grow(void)
{
	size_t sizes[MANY];

	many_sizes(sizes);
	for (int i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		until_larger(name, sizes[i]);
	}
}

static bool many_moved(void)
{
	size_t before[MANY], after[MANY];

	many_sizes(before);
	usleep(STILL_MS * 1000);
	many_sizes(after);
	return memcmp(before, after, sizeof(before)) != 0;
}

static void many_stand(void)
{
	int64_t deadline = api_ms() + WAIT_MS;

	/* a signal outside of a pause takes effect when it does */
	while (many_moved())
		assert_true(api_ms() < deadline);
	assert_false(many_moved());
}

/* The caller's SIGSTOP and SIGCONT mean in a pause what they mean outside: when
 * it is over. */
static void signals_of_callers(void **state)
{
	struct exeat_run *run = start_many();

	(void)state;
	many_grow();
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	many_stand();
	/* it stays so over the next pause */
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	many_stand();
	/* and until this */
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
	many_stand();
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	many_grow();
	/* the last word counts */
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	many_grow();
	/* one that has not come to all of them when the pause begins */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(exeat_run_kill(run, SIGSTOP, NULL), 0);
		assert_int_equal(exeat_session_pause(session, NULL), 0);
		assert_int_equal(exeat_session_resume(session, NULL), 0);
		many_stand();
		assert_int_equal(exeat_run_kill(run, SIGCONT, NULL), 0);
		many_grow();
	}
	exeat_run_free(run);
}

/* A stop that can be handled, too. */
static void tstp_of_callers(void **state)
{
	struct exeat_run *run =
		start("trap 'echo >> c' TSTP; while :; do echo >> a; "
		      "sleep 0.01; done");

	(void)state;
	until_larger("a", 5);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGTSTP, NULL), 0);
	assert_int_equal(size_of("c"), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	until_larger("c", 0);
	exeat_run_free(run);
}

/* ---- a session's own time ---- */

static void time_is_up(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *runs[2], *run;

	(void)state;
	exeat_session_close(session);
	s.timeout_ms = 2000;
	session = api_open(&s);
	assert_string_equal(api_sh(session, "echo in time", 0), "in time\n");
	o.command = "trap 'exit 6' TERM; echo; while :; do sleep 0.05; done";
	runs[0] = api_start(session, &o);
	o.command = sleeper();
	runs[1] = api_start(session, &o);
	assert_string_equal(api_wait(runs[0])->termination_reason,
			    "session_closed");
	assert_int_equal(exeat_run_result(runs[0])->returncode, 6);
	assert_string_equal(api_wait(runs[1])->termination_reason,
			    "session_closed");
	assert_int_equal(exeat_run_result(runs[1])->returncode, -SIGTERM);
	/* before we have heard that it is over */
	assert_true(exeat_run_start(session, &o, &run, &error) < 0);
	api_expect(&error, EXEAT_TIMEOUT, "time is up", "");
	for (int i = 0; i < 2; i++)
		exeat_run_free(runs[i]);
	while (exeat_session_dispatch(session, WAIT_MS, &error) == 0)
		;
	api_expect(&error, EXEAT_TIMEOUT, "time is up", "");
	assert_true(exeat_run_start(session, &o, &run, &error) < 0);
	api_expect(&error, EXEAT_TIMEOUT, "time is up", "");
	assert_int_equal(exeat_put_bytes(session, "after", "it", 2, 0, NULL),
			 0);
	assert_int_equal(size_of("after"), 2);
}

/* Nobody dispatches: it ends all the same. */
static void nobody_looks(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;

	(void)state;
	exeat_session_close(session);
	s.timeout_ms = 1500;
	session = api_open(&s);
	(void)start(sleeper());
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_true(api_becomes_zero(api_processes, marker(), WAIT_MS));
	assert_true(api_helpers_go(WAIT_MS));
	exeat_session_close(session);
	session = NULL;
	s.timeout_ms = -1;
	assert_true(exeat_session_open(&s, &session,
				       &(struct exeat_error){ 0 }) < 0);
}

static const struct CMUnitTest tests[] = {
	WITH_SESSION(stands_still),	WITH_SESSION(begins_later),
	WITH_SESSION(run_resumes),	WITH_SESSION(time_and_end),
	WITH_SESSION(time_is_up),	WITH_SESSION(nobody_looks),
	WITH_SESSION(escapes),		WITH_SESSION(stopped_before),
	WITH_SESSION(callback_resumes), WITH_SESSION(signals_of_callers),
	WITH_SESSION(tstp_of_callers),	WITH_SESSION(odd_ones),
};

API_MAIN("pause", tests)
