/* one_id.c - execute a program as uid 0 of a user namespace with one id
 * SPDX-License-Identifier: Apache-2.0
 *
 *	api_one_id PROGRAM
 *
 * What a rootless container looks like from inside. Real root first becomes
 * somebody else: mapped to itself it would be real root's twin.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SKIP = 77, NOBODY = 65534 };

static int skip(const char *what)
{
	(void)fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
	return getenv("EXEAT_MUST_RUN") ? EXIT_FAILURE : SKIP;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		(void)close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int map(const char *path, unsigned id)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "0 %u 1", id);
	return put(path, line);
}

int main(int argc, char *argv[])
{
	unsigned uid, gid;

	if (argc != 2)
		return 2;
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return skip("become nobody");
	/* who has changed its ids does not own its own files of /proc */
	(void)prctl(PR_SET_DUMPABLE, 1);
	uid = geteuid();
	gid = getegid();
	if (access(argv[1], X_OK) < 0)
		return skip(argv[1]);
	if (unshare(CLONE_NEWUSER) < 0)
		return skip("user namespace");
	if (put("/proc/self/setgroups", "deny") < 0 ||
	    map("/proc/self/uid_map", uid) < 0 ||
	    map("/proc/self/gid_map", gid) < 0)
		return skip("map of the user namespace");
	(void)execv(argv[1], argv + 1);
	perror(argv[1]);
	return EXIT_FAILURE;
}
