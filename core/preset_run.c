/* preset_run.c - one short command, for its output
 * SPDX-License-Identifier: Apache-2.0
 *
 * The command is a child of the caller's process, in a process group of its
 * own. It is waited for by its pid alone, and nothing is done to SIGCHLD: a
 * caller that reaps all its children may be faster, which is no error here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/preset_private.h"

extern char **environ;

/* The caller's environment with PATH and PWD of the command's own. Heap; the
 * last two texts are heap, too. */
static char **make_environment(const char *path)
{
	size_t n = 0, k = 0;
	char **env;

	while (environ && environ[n])
		n++;
	env = calloc(n + 3, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "PATH=", 5) != 0 &&
		    strncmp(environ[i], "PWD=", 4) != 0)
			env[k++] = environ[i];
	env[k] = (char *)"PWD=/";
	if (asprintf(&env[k + 1], "PATH=%s", path) < 0) {
		free(env);
		return NULL;
	}
	return env;
}

static void free_environment(char **env)
{
	size_t n = 0;

	while (env[n])
		n++;
	free(env[n - 1]); /* PATH */
	free(env);
}

static int fill_actions(posix_spawn_file_actions_t *actions, int output)
{
	int r;

	r = posix_spawn_file_actions_addchdir_np(actions, "/");
	if (r == 0)
		r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null",
						     O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, output, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(actions, 2, "/dev/null",
						     O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	return r;
}

static int fill_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP |
						   POSIX_SPAWN_SETSIGMASK |
						   POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	return r ? r : posix_spawnattr_setsigdefault(attr, &all);
}

static int start(const char *program, char *const *argv, const char *path,
		 int output, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char **env;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	env = make_environment(path);
	r = env ? fill_actions(&actions, output) : ENOMEM;
	if (r == 0)
		r = fill_attributes(&attr);
	if (r == 0)
		r = posix_spawn(ret, program, &actions, &attr, argv, env);
	if (env)
		free_environment(env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Until its end of file, bounded in size and time. */
static int collect(int fd, int64_t deadline, struct sbuf *ret)
{
	char buf[16 << 10];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_ms();
		ssize_t n;
		int r;

		if (left <= 0)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)left);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			sbuf_add(ret, buf, (size_t)n);
		if (ret->bad)
			return -EFBIG;
	}
}

/* Has it ended by then? It may have closed its output and gone on. */
static bool ends_until(pid_t pid, int64_t deadline)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;

	if (fd < 0)
		return errno == ESRCH;
	while ((left = deadline - clock_ms()) > 0)
		if (poll(&p, 1, (int)left) > 0)
			return true;
	return false;
}

/* Its end, or the group's. Somebody else may have reaped it (see the top). */
static int reap(pid_t pid, int so_far, int64_t deadline)
{
	int status = 0;
	pid_t r;

	if (so_far == 0 && !ends_until(pid, deadline))
		so_far = -ETIMEDOUT;
	if (so_far < 0)
		(void)kill(-pid, SIGKILL); /* ESRCH: gone already */
	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	if (so_far < 0 || r < 0)
		return so_far;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int preset_run(const char *program, char *const *argv, const char *path,
	       char **ret)
{
	cleanup_fd int out = -1, in = -1;
	int64_t deadline = clock_ms() + PRESET_ASK_MS;
	int pipe_fds[2] = { -1, -1 }, r;
	struct sbuf b;
	pid_t pid = -1;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	out = pipe_fds[0];
	in = pipe_fds[1];
	r = start(program, argv, path, in, &pid);
	if (r < 0)
		return r;
	fd_close(&in);
	sbuf_init(&b, PRESET_ANSWER_MAX);
	sbuf_str(&b, "");
	r = collect(out, deadline, &b);
	fd_close(&out);
	r = reap(pid, r, deadline);
	*ret = sbuf_steal(&b);
	if (r == 0 && !*ret)
		r = -ENOMEM;
	if (r < 0) {
		free(*ret);
		*ret = NULL;
	}
	return r;
}
