/* sys_spawn.c - a helper that is nobody's child
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/spawn.h"

#define SELF "/proc/self/exe"

extern char **environ;

static volatile sig_atomic_t nchld;

static void chld_cb(int sig)
{
	(void)sig;
	nchld++;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The helper: what it finds wrong goes to descriptor 3. */
static int helper_main(int argc, char **argv)
{
	char text[64];
	sigset_t mask;
	struct sigaction old;
	int wrong = 0;

	wrong |= (argc == 3 && strcmp(argv[2], "arg") == 0) ? 0 : 1;
	wrong |= environ && environ[0] ? 2 : 0;
	wrong |= getsid(0) == getpid() ? 0 : 4;
	wrong |= sigprocmask(SIG_SETMASK, NULL, &mask) == 0 &&
				 !sigismember(&mask, SIGUSR1) &&
				 !sigismember(&mask, SIGCHLD) ?
			 0 :
			 8;
	wrong |= sigaction(SIGPIPE, NULL, &old) == 0 &&
				 old.sa_handler == SIG_DFL ?
			 0 :
			 16;
	wrong |= is_open(0) && is_open(1) && is_open(2) ? 0 : 32;
	wrong |= is_open(3) && is_open(4) && !is_open(5) ? 0 : 64;
	for (int fd = 6; fd < 1000; fd++)
		wrong |= is_open(fd) ? 128 : 0;
	(void)snprintf(text, sizeof(text), "wrong %d", wrong);
	if (fd_write_all(3, text, strlen(text)) < 0)
		return 1;
	/* live until the test lets go of the other pipe */
	return read(4, text, 1) == 0 ? 0 : 1;
}

static bool ended(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void unnoticed(void **state)
{
	char *const argv[] = { (char *)(uintptr_t) "helper",
			       (char *)(uintptr_t) "helper",
			       (char *)(uintptr_t) "arg", NULL };
	struct sigaction chld = { .sa_handler = chld_cb }, old_chld;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old_pipe;
	sigset_t block, before, after;
	int out[2], hold[2], fds[2], pidfd = -1;
	struct err err;
	char text[64];
	ssize_t n;

	(void)state;
	nchld = 0;
	assert_int_equal(sigaction(SIGCHLD, &chld, &old_chld), 0);
	assert_int_equal(sigaction(SIGPIPE, &ignore, &old_pipe), 0);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	/* crossed: what becomes 3 may be 4 here and the other way round */
	fds[0] = out[1];
	fds[1] = hold[0];
	assert_int_equal(spawn_helper(SELF, argv, fds, 2, 0, &pidfd, &err), 0);
	assert_true(pidfd >= 0);
	assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	fd_close(&out[1]);
	n = fd_read_all(out[0], text, 7);
	assert_int_equal(n, 7);
	text[n] = '\0';
	assert_string_equal(text, "wrong 0");
	assert_false(ended(pidfd, 0));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	fd_close(&hold[1]);
	assert_true(ended(pidfd, 10000));
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(nchld, 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, &after), 0);
	assert_true(sigismember(&after, SIGUSR1));
	assert_false(sigismember(&after, SIGTERM));
	assert_int_equal(sigaction(SIGCHLD, &old_chld, NULL), 0);
	assert_int_equal(sigaction(SIGPIPE, &old_pipe, NULL), 0);
	fd_close(&pidfd);
	fd_close(&out[0]);
	fd_close(&hold[0]);
}

static void failures(void **state)
{
	static const struct {
		const char *path;
		int errnum;
	} rows[] = {
		{ "/no/such", ENOENT },
		{ "/etc/passwd", EACCES },
		{ "/", EACCES },
	};
	char *const argv[] = { (char *)(uintptr_t) "x", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int pidfd = 4711, next = dup(0);
		struct err err;

		assert_int_equal(spawn_helper(rows[i].path, argv, NULL, 0, 0,
					      &pidfd, &err),
				 -rows[i].errnum);
		assert_int_equal(pidfd, 4711);
		assert_int_equal(err.errnum, rows[i].errnum);
		assert_string_equal(err.step, "execute");
		assert_string_equal(err.object, rows[i].path);
		fd_close(&next);
		/* no descriptor and no child is left */
		next = dup(0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
		fd_close(&next);
	}
}

/* Many, so that a leak of stacks or descriptors would show. */
static void many(void **state)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	int lowest = dup(0), pidfd, again;
	struct err err;

	(void)state;
	fd_close(&lowest);
	lowest = dup(0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(spawn_helper("/bin/true", argv, NULL, 0, 1,
					      &pidfd, &err),
				 0);
		assert_true(ended(pidfd, 10000));
		fd_close(&pidfd);
	}
	again = dup(0);
	assert_int_equal(again, lowest + 1);
	fd_close(&again);
	fd_close(&lowest);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unnoticed),
		cmocka_unit_test(failures),
		cmocka_unit_test(many),
	};

	if (argc > 1)
		return helper_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
