/* backends_userns.c - the userns backend, whole: what a payload sees, what it
 * cannot do, how it ends
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "core/base/fd.h"
#include "tests/unit/backends_box.h"
#include "tests/unit/backends_inside.h"

#define WORK "/w"
#define INSIDE "/run/tool/inside"

static struct box_dirs dirs;

/* -- helpers -- */

static void run(struct box *b, const char *const argv[])
{
	b->argv = argv;
	if (!b->work_at)
		b->work_at = WORK;
	box_run(&dirs, b);
}

static void shell(struct box *b, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	run(b, argv);
}

static void assert_exit(const struct box *b, int code)
{
	if (!b->exited || !WIFEXITED(b->status) ||
	    WEXITSTATUS(b->status) != code)
		fail_msg("expected exit %d; exited %d, status 0x%x, %s\n%s",
			 code, b->exited, (unsigned)b->status, b->err.message,
			 b->out);
	assert_true(b->gone);
}

/* One line of the output, exactly. */
static void assert_line(const struct box *b, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = b->out; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, line, len) == 0 &&
		    (p[len] == '\n' || p[len] == '\0'))
			return;
	}
	fail_msg("no line \"%s\" in:\n%s", line, b->out);
}

/* A script that must succeed and say `line`. */
static void script_says(const char *script, const char *line)
{
	struct box b = { .signal = 0 };

	shell(&b, script);
	assert_exit(&b, 0);
	assert_line(&b, line);
}

/* -- what a payload sees -- */

static void identity(void **state)
{
	char line[64];

	(void)state;
	(void)snprintf(line, sizeof(line), "%u", (unsigned)box_uid());
	script_says("id -u", line);
	script_says("uname -n", "box");
	script_says("exec awk '/^(Cap|NoNew|Seccomp:)/ { print $1, $2 }' "
		    "/proc/self/status | tr '\\n' ' '",
		    "CapInh: 0000000000000000 CapPrm: 0000000000000000 "
		    "CapEff: 0000000000000000 CapBnd: 0000000000000000 "
		    "CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ");
	/* the stub, the shell */
	script_says("echo /proc/[0-9]*", "/proc/1 /proc/2");
	script_says("ls /proc/self/fd | head -c 6 | tr '\\n' ' '", "0 1 2 ");
}

static void view(void **state)
{
	static const char *const true_here[] = {
		"! touch /usr/x",
		"! touch /x",
		"! touch /dev/x",
		"! touch /etc/x",
		"! mkdir /dev/pts/x",
		"touch /tmp/x /run/x /dev/shm/x",
		"touch x",
		"! test -e /home",
		"! test -e /root",
		"! test -e /old",
		"test -r /etc/hosts",
		"! test -s /etc/shadow",
		"test -z \"$(ls /etc/default)\"",
		"test \"$(cat /etc/passwd)\" = 'me:x:1000:1000::/:/bin/sh'",
		"! (echo x >/etc/passwd)",
		"test \"$(cat /link)\" = 'through a link'",
		"test \"$(cat /run/by/link)\" = 'through a link'",
		"! (echo x >/run/by/link)",
		"! rm -f /run/by/link",
		"test -k /run/lock",
		"test -x /run/tool/inside",
		"echo x >/dev/null",
		"test -c /dev/ptmx",
		"test -c /dev/tty",
		"test \"$(head -c 3 /dev/zero | wc -c)\" = 3",
		"test \"$(readlink /dev/stdout)\" = /proc/self/fd/1",
		"! (echo 1 >/proc/sys/net/ipv4/ip_forward)",
		"! (echo b >/proc/sysrq-trigger)",
		"! test -s /proc/keys",
		"! test -s /proc/timer_list",
		"test \"$(stat -c %a /tmp)\" = 1777",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(true_here) / sizeof(true_here[0]); i++) {
		struct box b = { .signal = 0 };
		char text[256];

		(void)snprintf(text, sizeof(text), "set -e; %s || exit 9",
			       true_here[i]);
		shell(&b, text);
		if (!b.exited || b.status != 0)
			fail_msg("not so: %s\n%s", true_here[i], b.out);
	}
	script_says("ls -A /", "usr");
}

static void fresh_tmp(void **state)
{
	struct box b = { .repeat = 2 };

	(void)state;
	/* twice in one session: the second would see the first one's */
	shell(&b, "test ! -e /tmp/x && test ! -e /dev/shm/x && "
		  "test ! -e /run/x && touch /tmp/x /dev/shm/x /run/x");
	assert_exit(&b, 0);
}

static void terminal(void **state)
{
	(void)state;
	/* devpts is the run's own, and gives terminals */
	script_says("script -qc 'tty' /dev/null </dev/null | tr -d '\\r' | "
		    "grep -o '/dev/pts/[0-9]*'",
		    "/dev/pts/0");
}

static void renames(void **state)
{
	(void)state;
	script_says("mkdir -p a b && echo 1 >a/f && mv a/f b/f && "
		    "ln b/f a/g && cat a/g && rm -r a b",
		    "1");
}

static void work_below_tmp(void **state)
{
	struct box b = { .work_at = "/tmp/deep/w" };
	const char *const unix_only[] = { INSIDE, "unix", NULL };

	(void)state;
	shell(&b, "touch /tmp/deep/w/kept && test ! -e /tmp/deep/x && pwd");
	assert_exit(&b, 0);
	assert_line(&b, "/tmp/deep/w");
	script_says("test -e kept && rm kept && echo yes", "yes");
	/* then /tmp takes no sockets either: it has the work dir below it */
	b = (struct box){ .work_at = "/tmp/deep/w" };
	run(&b, unix_only);
	assert_exit(&b, 0);
}

/* -- what it cannot do -- */

static void inside(const char *name, const char *arg)
{
	const char *const argv[] = { INSIDE, name, arg, NULL };
	struct box b = { .signal = 0 };

	run(&b, argv);
	assert_exit(&b, 0);
}

static void calls(void **state)
{
	(void)state;
	inside("calls", NULL);
}

static void tamper(void **state)
{
	(void)state;
	inside("tamper", NULL);
}

static void unix_sockets(void **state)
{
	struct box b = { .work_dir_sockets = true };

	(void)state;
	inside("unix", "tmp");
	/* lifted, the same program finds that it may */
	run(&b, (const char *const[]){ INSIDE, "unix", "tmp", NULL });
	assert_exit(&b, 1);
	assert_line(&b, "s: expected EACCES, got 0");
}

static void massacre(void **state)
{
	(void)state;
	/* with a status that only a living stub reports */
	inside("massacre", NULL);
}

/* -- how it ends -- */

static void statuses(void **state)
{
	struct box b = { .signal = 0 };

	(void)state;
	shell(&b, "exit 42");
	assert_exit(&b, 42);
	b = (struct box){ .signal = 0 };
	shell(&b, "kill -SEGV $$");
	assert_true(b.exited);
	assert_true(WIFSIGNALED(b.status));
	assert_int_equal(WTERMSIG(b.status), SIGSEGV);
}

static void signals(void **state)
{
	struct box b = { .signal = SIGTERM };

	(void)state;
	shell(&b, "echo go; sleep 1000");
	assert_true(b.exited);
	assert_true(WIFSIGNALED(b.status));
	assert_int_equal(WTERMSIG(b.status), SIGTERM);
	/* to the whole tree: the shell waits for a child that was hit too */
	b = (struct box){ .signal = SIGTERM };
	shell(&b, "trap 'echo hit' TERM; sh -c 'echo go; sleep 1000'; "
		  "echo after; exit 3");
	assert_exit(&b, 3);
	assert_line(&b, "hit");
	assert_line(&b, "after");
}

/* `sleep` holds stdout: the run has an end only if it is killed. */
static void stragglers(void **state)
{
	struct box b = { .signal = 0 };

	(void)state;
	shell(&b, "(setsid sleep 1000 &); exit 5");
	assert_exit(&b, 5);
	b = (struct box){ .hang_up = true };
	shell(&b, "(setsid sleep 1000 &); echo go; sleep 1000");
	assert_true(b.gone);
	assert_false(b.exited);
	b = (struct box){ .kill_stub = true };
	shell(&b, "(setsid sleep 1000 &); echo go; sleep 1000");
	assert_true(b.gone);
	assert_false(b.exited);
}

static void failures(void **state)
{
	static const struct {
		const char *program, *cwd;
		uint32_t exit_code;
		enum err_code code;
		const char *step, *object;
	} rows[] = {
		{ "no-such-program", NULL, 127, ERR_NOT_FOUND, "execute",
		  "no-such-program" },
		{ "/no/such", NULL, 127, ERR_NOT_FOUND, "execute", "/no/such" },
		{ "", NULL, 127, ERR_NOT_FOUND, "execute", "" },
		{ "/etc/passwd", NULL, 126, ERR_INTERNAL, "execute",
		  "/etc/passwd" },
		{ "/usr", NULL, 126, ERR_INTERNAL, "execute", "/usr" },
		{ "true", "/no/dir", 125, ERR_INVALID, "cwd", "/no/dir" },
		{ "true", "/etc/hosts", 125, ERR_INVALID, "cwd", "/etc/hosts" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct box b = { .cwd = rows[i].cwd };

		run(&b, (const char *const[]){ rows[i].program, NULL });
		if (!b.failed)
			fail_msg("row %zu did not fail: status 0x%x\n%s", i,
				 (unsigned)b.status, b.out);
		assert_true(b.gone);
		assert_int_equal(b.exit_code, rows[i].exit_code);
		assert_int_equal(b.err.code, rows[i].code);
		assert_string_equal(b.err.step, rows[i].step);
		assert_string_equal(b.err.object, rows[i].object);
	}
}

static void path_search(void **state)
{
	static const char *const env[] = { "A=1", "PATH=/no:/etc/hosts::/bin",
					   NULL };
	struct box b = { .envp = env };

	(void)state;
	/* no "#!": the shell runs it; found by the empty entry */
	script_says("printf 'echo \"script $0 $1 $A\"' >tool; chmod 755 tool; "
		    "echo made",
		    "made");
	run(&b, (const char *const[]){ "tool", "arg", NULL });
	assert_exit(&b, 0);
	assert_line(&b, "script ./tool arg 1");
	script_says("rm tool; echo gone", "gone");
}

static void limits(void **state)
{
	struct box b = { .rlimit_fsize = 1000 };

	(void)state;
	shell(&b, "ulimit -c; trap '' XFSZ; head -c 5000 /dev/zero >big; "
		  "stat -c %s big; rm big");
	assert_exit(&b, 0);
	assert_line(&b, "0");
	assert_line(&b, "1000");
}

/* -- how long it takes -- */

static int64_t spawn_true_us(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	int64_t best = INT64_MAX;

	for (int i = 0; i < 100; i++) {
		int64_t start = clock_us(), took;
		pid_t pid;

		assert_int_equal(posix_spawn(&pid, "/bin/true", NULL, NULL,
					     argv, NULL),
				 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		took = clock_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

static void timing(void **state)
{
	struct box b = { .repeat = 100 };

	(void)state;
	run(&b, (const char *const[]){ "/bin/true", NULL });
	assert_exit(&b, 0);
	(void)printf("# us, best of 100: session %lld, prepare %lld, "
		     "command %lld .. started %lld .. exited %lld .. gone; "
		     "posix_spawn %lld\n",
		     (long long)b.session_us, (long long)b.us[BOX_PREPARED],
		     (long long)b.us[BOX_STARTED], (long long)b.us[BOX_EXITED],
		     (long long)b.us[BOX_GONE], (long long)spawn_true_us());
}

static void probe(void **state)
{
	struct err err;
	sigset_t pending;

	(void)state;
	err_clear(&err);
	assert_int_equal(backend_userns.probe(&err), 0);
	assert_int_equal(err.code, ERR_NONE);
	/* without a trace for the caller's wait() */
	assert_int_equal(sigpending(&pending), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe),
		cmocka_unit_test(identity),
		cmocka_unit_test(view),
		cmocka_unit_test(fresh_tmp),
		cmocka_unit_test(terminal),
		cmocka_unit_test(renames),
		cmocka_unit_test(work_below_tmp),
		cmocka_unit_test(calls),
		cmocka_unit_test(tamper),
		cmocka_unit_test(unix_sockets),
		cmocka_unit_test(massacre),
		cmocka_unit_test(statuses),
		cmocka_unit_test(signals),
		cmocka_unit_test(stragglers),
		cmocka_unit_test(failures),
		cmocka_unit_test(path_search),
		cmocka_unit_test(limits),
		cmocka_unit_test(timing),
	};
	struct err err;
	char text[512];
	int r;

	if (argc > 1)
		return inside_main(argc, argv);
	if (backend_userns.probe(&err) < 0 && !getenv("EXEAT_MUST_RUN")) {
		(void)printf("# skipped: %s\n",
			     err_str(&err, text, sizeof(text)));
		return 77;
	}
	if (box_dirs_make(&dirs) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	box_dirs_remove(&dirs);
	return r;
}
