/* faults_payload.c - commands that do what no command should
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each of them comes to one end in time, and neither the session nor another
 * run notices anything.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"

enum { GONE_MS = 20000, MIB = 1 << 20, KEPT = 64 * MIB };

static struct exeat_session *session;
static char marker[64];

static int open_session(void **state)
{
	(void)state;
	(void)snprintf(marker, sizeof(marker), "3607.%d", getpid());
	session = api_open(NULL);
	return 0;
}

/* The session works as before; nothing of it is left when it is closed. */
static int close_session(void **state)
{
	(void)state;
	assert_string_equal(api_sh(session, "echo on", 0), "on\n");
	exeat_session_close(session);
	assert_int_equal(api_processes(marker), 0);
	assert_int_equal(api_work_dirs(), 0);
	return 0;
}

static struct exeat_run_options python(const char *script)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.script = script;
	o.script_type = "python";
	return o;
}

/* How it ends; 0: any status. */
static void ends(const struct exeat_run_options *o, int status,
		 const char *reason)
{
	struct exeat_run *run = api_start(session, o);
	const struct exeat_result *result = api_wait(run);

	assert_string_equal(result->termination_reason, reason);
	if (status)
		assert_int_equal(result->returncode, status);
	exeat_run_free(run);
}

/* ---- output ---- */

/* Nobody reads: it waits, others do not, and all of it is there later. */
static void fills_its_pipes(void **state)
{
	static char buf[MIB];
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	uint64_t total = 0;
	ssize_t n;

	(void)state;
	o.command = "head -c 70000000 /dev/zero; echo end";
	run = api_start(session, &o);
	assert_int_equal(exeat_run_wait(run, 60000, &error), -E2BIG);
	api_expect(&error, EXEAT_LIMIT, "nobody reads it", "");
	assert_string_equal(api_sh(session, "echo other", 0), "other\n");
	while ((n = exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL)) > 0)
		total += (uint64_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(total, 70000004);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
	/* and one that is freed as it stands */
	run = api_start(session, &o);
	assert_int_equal(exeat_run_wait(run, 60000, NULL), -E2BIG);
	exeat_run_free(run);
}

static void writes_without_end(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.command = "head -c 10G /dev/zero";
	o.max_output_bytes = 100000;
	run = api_start(session, &o);
	assert_string_equal(api_wait(run)->termination_reason, "output_limit");
	assert_int_equal(exeat_run_result(run)->stdout_cut, 1);
	exeat_run_free(run);
	/* who does not heed TERM may go on until KILL: it is not kept */
	o.command = "trap '' TERM; head -c 10G /dev/zero";
	o.kill_grace_ms = 200;
	ends(&o, -SIGKILL, "output_limit");
}

/* Ten gigabytes, of which the disk sees nothing. */
static void writes_a_huge_file(void **state)
{
	struct exeat_run_options o =
		python("import signal\n"
		       "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
		       "f = open('huge', 'wb')\n"
		       "f.seek(10 << 30)\n"
		       "f.write(b'x')\n"
		       "f.flush()\n");

	(void)state;
	o.file_size_bytes = 1 << 30;
	ends(&o, -SIGXFSZ, "signal:SIGXFSZ");
}

static void fills_its_tmp(void **state)
{
	struct exeat_run_options o =
		python("import errno\n"
		       "f = open('/tmp/full', 'wb')\n"
		       "f.truncate(1 << 20)\n"
		       "try:\n"
		       "    import os\n"
		       "    os.posix_fallocate(f.fileno(), 0, 1 << 50)\n"
		       "except OSError as e:\n"
		       "    print(errno.errorcode[e.errno])\n"
		       "open('here', 'w').write('room')\n");
	const char *what;

	(void)state;
	what = api_exec(session, &o, 0);
	if (strcmp(what, "ENOSPC\n") != 0 && strcmp(what, "EFBIG\n") != 0)
		fail_msg("not full: %s", what);
	assert_string_equal(
		api_sh(session,
		       "cat here; ls /tmp/full 2>&1 >/dev/null | wc -l", 0),
		"room1\n");
}

/* ---- signals ---- */

/* TERM is not heeded: KILL comes after the grace, whoever ends it. */
static void ignores_term(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.argv = LIST("sh", "-c", "trap '' TERM; echo up; exec sleep \"$0\"",
		      marker);
	o.kill_grace_ms = 100;
	o.timeout_ms = 400;
	ends(&o, -SIGKILL, "timeout");
	o.timeout_ms = 0;
	o.idle_timeout_ms = 400;
	ends(&o, -SIGKILL, "idle_timeout");
	o.idle_timeout_ms = 0;
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 3, 60000,
				   NULL) > 0);
	assert_int_equal(exeat_run_kill(run, SIGTERM, NULL), 0);
	assert_int_equal(exeat_run_wait(run, 50, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	assert_string_equal(api_wait(run)->termination_reason, "killed");
	exeat_run_free(run);
	/* one is freed, one is there when the session is closed */
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 3, 60000,
				   NULL) > 0);
	exeat_run_free(run);
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	(void)api_start(session, &o);
}

static void stops_itself(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "kill -STOP $$";
	o.timeout_ms = 300;
	o.kill_grace_ms = 100;
	ends(&o, -SIGKILL, "timeout");
	/* a terminal's stops, and the groups' */
	o.pty = 1;
	o.command = "set -m; (kill -STOP 0); kill -STOP 0; sleep 100";
	ends(&o, 0, "timeout");
}

/*
 * Its stub is pid 1 and has the same user on the host: nothing that this would
 * allow elsewhere comes to it. (The last two do, and are no way to stay.)
 */
#define ATTACK                                                                   \
	"import ctypes, os, resource, signal\n"                                  \
	"libc = ctypes.CDLL(None, use_errno=True)\n"                             \
	"buf = ctypes.create_string_buffer(64)\n"                                \
	"iov = (ctypes.c_void_p * 2)(ctypes.addressof(buf), 64)\n"               \
	"for s in range(1, 65):\n"                                               \
	"    try: os.kill(1, s)\n"                                               \
	"    except OSError: pass\n"                                             \
	"calls = {'trace': (101, 16, 1, 0, 0), 'seize': (101, 0x4206, 1, 0, 0)," \
	" 'read': (310, 1, iov, 1, iov, 1, 0),"                                  \
	" 'write': (311, 1, iov, 1, iov, 1, 0)}\n"                               \
	"if os.uname().machine != 'x86_64': calls = {}\n"                        \
	"fd = os.pidfd_open(1)\n"                                                \
	"for i in range(32): calls['fd %d' % i] = (438, fd, i, 0)\n"             \
	"for name, call in calls.items():\n"                                     \
	"    if libc.syscall(*call) >= 0: print(name)\n"                         \
	"for name in (x for x in dir(resource) if x.startswith('RLIMIT_')):\n"   \
	"    which = getattr(resource, name)\n"                                  \
	"    try: resource.prlimit(1, which, (0, 0))\n"                          \
	"    except OSError: continue\n"                                         \
	"    print(name)\n"                                                      \
	"for name in ('mem', 'environ', 'maps', 'fd/3', 'root/proc', 'cwd/.',"   \
	" 'exe', 'stack', 'syscall', 'io', 'auxv', 'pagemap'):\n"                \
	"    try: open('/proc/1/' + name, 'rb').read(1)\n"                       \
	"    except PermissionError: continue\n"                                 \
	"    except OSError as e: print(e)\n"                                    \
	"    print(name)\n"                                                      \
	"print(os.getppid(), sorted(x for x in os.listdir('/proc')"              \
	" if x.isdigit()))\n"                                                    \
	"os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))\n"           \
	"os.setpriority(os.PRIO_USER, 0, 19)\n"

static void attacks_its_stub(void **state)
{
	struct exeat_run_options o = python(ATTACK);
	struct exeat_run *run, *other;

	(void)state;
	other = api_start(session,
			  &(struct exeat_run_options){
				  .size = sizeof(o), .command = "sleep 100" });
	assert_string_equal(api_exec(session, &o, 0), "1 ['1', '2']\n");
	/* it still does what it is for */
	o = python(ATTACK "print(flush=True)\nwhile True: pass\n");
	assert_int_equal(exeat_spawn(session, &o, &run, NULL), 0);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[1]){ 0 }, 1,
				   GONE_MS, NULL) > 0);
	assert_int_equal(exeat_session_pause(session, NULL), 0);
	assert_int_equal(exeat_session_resume(session, NULL), 0);
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	assert_string_equal(api_wait(run)->termination_reason, "killed");
	exeat_run_free(run);
	assert_int_equal(exeat_run_wait(other, 0, NULL), 0);
	exeat_run_free(other);
}

/* ---- processes ---- */

/* Who holds the pipes after the command's end dies with the run. */
static void leaves_others_behind(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	(void)state;
	o.argv = LIST("sh", "-c",
		      "(setsid sh -c '(sleep $0; echo late) & sleep $0' \"$0\""
		      " & ) ; trap '' HUP; sleep \"$0\" & echo out; exit 7",
		      marker);
	run = api_start(session, &o);
	assert_int_equal(api_wait(run)->returncode, 7);
	assert_int_equal(exeat_run_result(run)->stdout_bytes, 4);
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	exeat_run_free(run);
	o.pty = 1;
	run = api_start(session, &o);
	assert_int_equal(api_wait(run)->returncode, 7);
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	exeat_run_free(run);
}

/* It stops by itself after a thousand, should nothing else stop it. */
static void forks_without_end(void **state)
{
	struct exeat_run_options o =
		python("import os, time\n"
		       "n = 0\n"
		       "try:\n"
		       "    while n < 1000:\n"
		       "        if os.fork() == 0: time.sleep(1000)\n"
		       "        n += 1\n"
		       "except BlockingIOError: pass\n"
		       "print('all' if n == 1000 else n < 20)\n");

	(void)state;
	assert_string_equal(api_exec(session, &o, 0), "all\n");
	o.pids = 20;
	o.limits_best_effort = EXEAT_LIMIT_PIDS;
	assert_string_equal(api_exec(session, &o, 0), "True\n");
	/* all of them are being killed while they fork */
	o = RUN_OPTIONS;
	o.command = "f() { f & f & }; f; wait";
	o.pids = 60;
	o.limits_best_effort = EXEAT_LIMIT_PIDS;
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	o.timeout_ms = 300;
	o.kill_grace_ms = 100;
	{
		struct exeat_run *run = api_start(session, &o);

		(void)api_wait(run);
		exeat_run_free(run);
	}
}

static void closes_everything(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	int64_t began = api_ms();

	(void)state;
	o = python("import os, sys, time\n"
		   "os.closerange(0, 65536)\n"
		   "time.sleep(0.5)\n"
		   "os._exit(5)\n");
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 4,
					60000, NULL),
			 0);
	assert_int_equal(api_wait(run)->returncode, 5);
	assert_true(api_ms() - began >= 500);
	exeat_run_free(run);
	o.pty = 1;
	ends(&o, 5, "");
}

static void changes_what_it_is(void **state)
{
	struct exeat_run_options o = python(
		"import ctypes, os, signal, sys, time\n"
		"if os.fork(): time.sleep(1000)\n"
		"os.setsid()\n"
		"ctypes.CDLL(None).prctl(15, b'exeat-helper')\n"
		"if os.fork(): os._exit(0)\n"
		"os.setpgid(0, 0)\n"
		"signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
		"os.execvp('sleep', ['[kthreadd]', '1000'])\n");

	(void)state;
	o.timeout_ms = 500;
	ends(&o, -SIGTERM, "timeout");
	/* a terminal whose foreground is another group */
	o = python("import os, signal\n"
		   "signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
		   "pid = os.fork()\n"
		   "if pid == 0:\n"
		   "    os.setpgid(0, 0)\n"
		   "    os.tcsetpgrp(0, os.getpid())\n"
		   "    signal.pause()\n"
		   "signal.pause()\n");
	o.pty = 1;
	o.timeout_ms = 500;
	ends(&o, -SIGTERM, "timeout");
	/* one that is another program all the time */
	o = RUN_OPTIONS;
	o.argv = LIST("sh", "-c", "exec sh -c \"$0\" \"$0\"",
		      "exec sh -c \"$0\" \"$0\"");
	o.timeout_ms = 300;
	ends(&o, -SIGTERM, "timeout");
}

/* ---- its work dir ---- */

static void spoils_its_work_dir(void **state)
{
	struct exeat_run_options deep = python("import os\n"
					       "for i in range(10000):\n"
					       "    os.mkdir('d')\n"
					       "    os.chdir('d')\n");

	(void)state;
	(void)api_sh(session, "touch f; rm -rf \"$PWD\" 2>/dev/null; ls", 0);
	(void)api_exec(session, &deep, 0);
	(void)api_sh(session,
		     "mkdir -p shut/in; touch shut/in/f; chmod 0 shut/in shut; "
		     "mkdir plain; chmod 0500 plain; mkfifo pipe; ln -s / root;"
		     "cd /; chmod 0 \"$OLDPWD\"",
		     0);
	exeat_session_close(session);
	assert_int_equal(api_work_dirs(), 0);
	session = api_open(NULL);
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

static const struct CMUnitTest tests[] = {
	WITH_SESSION(fills_its_pipes),	  WITH_SESSION(writes_without_end),
	WITH_SESSION(writes_a_huge_file), WITH_SESSION(fills_its_tmp),
	WITH_SESSION(ignores_term),	  WITH_SESSION(stops_itself),
	WITH_SESSION(attacks_its_stub),	  WITH_SESSION(leaves_others_behind),
	WITH_SESSION(forks_without_end),  WITH_SESSION(closes_everything),
	WITH_SESSION(changes_what_it_is), WITH_SESSION(spoils_its_work_dir),
};

API_MAIN("faults_payload", tests)
