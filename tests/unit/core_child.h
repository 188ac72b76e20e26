/* core_child.h - a test's steps as somebody else: in a child process
 * SPDX-License-Identifier: Apache-2.0
 *
 * cmocka's assertions jump within one process, so steps in a child use
 * CHECK() and return; the parent asserts that all of them came through.
 */
#ifndef EXEAT_TEST_CORE_CHILD_H
#define EXEAT_TEST_CORE_CHILD_H

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/err.h"

/* Steps return true at their end. */
typedef bool child_steps(void *arg);

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				      __LINE__, #condition);                   \
			return false;                                          \
		}                                                              \
	} while (0)

/* A call that gives 0, and its reason if not. */
#define CHECK_OK(call, err)                                                    \
	do {                                                                   \
		char text_[1024];                                              \
		int r_ = (call);                                               \
		if (r_ < 0) {                                                  \
			(void)fprintf(stderr, "%s:%d: %s: %d: %s\n", __FILE__, \
				      __LINE__, #call, r_,                     \
				      err_str((err), text_, sizeof(text_)));   \
			return false;                                          \
		}                                                              \
	} while (0)

enum { CHILD_NOBODY = 65534 };

static inline bool child_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* A namespace that maps one id, `inside`, to ours. */
static inline bool child_one_id(unsigned inside)
{
	unsigned uid = geteuid(), gid = getegid();
	char text[64];

	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	(void)snprintf(text, sizeof(text), "%u %u 1", inside, uid);
	if (!child_write("/proc/self/uid_map", text) ||
	    !child_write("/proc/self/setgroups", "deny"))
		return false;
	(void)snprintf(text, sizeof(text), "%u %u 1", inside, gid);
	return child_write("/proc/self/gid_map", text);
}

/* From root to an ordinary user; nothing if we are one. */
static inline bool child_ordinary(void)
{
	if (geteuid() != 0)
		return true;
	return setgroups(0, NULL) == 0 &&
	       setresgid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY) == 0 &&
	       setresuid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY) == 0 &&
	       prctl(PR_SET_DUMPABLE, 1) == 0; /* /proc/self is ours again */
}

static inline bool child_run(child_steps *steps, void *arg)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		bool ok = steps(arg);

		(void)fflush(NULL);
		_exit(ok ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
