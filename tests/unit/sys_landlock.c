/* sys_landlock.c - files on stdin, stdout and stderr, opened again
 * SPDX-License-Identifier: Apache-2.0
 *
 * Also as on a kernel whose Landlock knows no truncation: the ruleset is made
 * without it then, and what is left is the filter's to refuse. As in a run, the
 * file lies where no path from "/" leads: on a file system that was unmounted.
 */
#include "core/sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/sys_child.h"

static const char text[] = "the caller's\n";

struct way {
	const char *what;
	int flags; /* -1: truncate(2) */
};

static const struct way ways[] = {
	{ "O_WRONLY", O_WRONLY },
	{ "O_RDWR", O_RDWR },
	{ "O_WRONLY|O_TRUNC", O_WRONLY | O_TRUNC },
	{ "O_RDONLY|O_TRUNC", O_RDONLY | O_TRUNC },
	{ "3|O_TRUNC", O_ACCMODE | O_TRUNC },
	{ "3|O_TRUNC|O_CREAT", O_ACCMODE | O_TRUNC | O_CREAT },
	{ "truncate", -1 },
};

/* Also with rubbish in the register's upper half, which the kernel ignores. */
static long reopen(const char *path, const struct way *w, long high)
{
	long fd;

	if (w->flags < 0)
		return truncate(path, 0);
	fd = syscall(SYS_openat, AT_FDCWD, path, (long)w->flags | high, 0600);
	if (fd < 0)
		return fd;
	(void)close((int)fd);
	return 0;
}

static void put(struct child *c, const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	size_t len = strlen(what);

	CHILD_CHECK(c, fd >= 0 && write(fd, what, len) == (ssize_t)len);
	(void)close(fd);
}

/* A file system of our own at `dir`. */
static void mount_own(struct child *c, const char *dir)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	CHILD_CHECK(c, unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
	put(c, "/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	put(c, "/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	put(c, "/proc/self/gid_map", map);
	CHILD_CHECK(c, mount("none", dir, "tmpfs", 0, "mode=700") == 0);
}

/* stdin is such a file, opened with `flags`; the two others are none. */
static void confine(struct child *c, const char *dir, int flags, int abi)
{
	int file, null = open("/dev/null", O_RDWR);
	struct err err = { 0 };
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/file", dir);
	mount_own(c, dir);
	put(c, path, text);
	file = open(path, flags);
	CHILD_CHECK(c, file >= 0 && null >= 0);
	CHILD_CHECK(c, umount2(dir, MNT_DETACH) == 0);
	CHILD_CHECK(c, dup2(file, 0) == 0 && dup2(null, 1) == 1 &&
			       dup2(null, 2) == 2);
	CHILD_CHECK(c, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (landlock_stdio(abi, &err) < 0)
		child_fail(c, "ABI %d: %s", abi, err.message);
}

static off_t stdin_size(void)
{
	struct stat st;

	return fstat(0, &st) == 0 ? st.st_size : -1;
}

struct trial {
	char dir[64];
	int abi;
};

static const char self[] = "/proc/self/fd/0";

static void reads(struct child *c, void *arg)
{
	const struct trial *t = arg;
	char own[80];
	int fd;

	confine(c, t->dir, O_RDONLY, t->abi);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		for (long high = 0; high <= 1; high++) {
			long r = reopen(self, &ways[i], high << 32);

			if (r >= 0 || errno != EACCES)
				child_fail(c, "ABI %d, %s, %ld: %ld, %m",
					   t->abi, ways[i].what, high, r);
		}
	}
	CHILD_CHECK(c, stdin_size() == sizeof(text) - 1);
	CHILD_CHECK(c, (fd = open(self, O_RDONLY)) >= 0);
	/* what the run may write can be made anew, and cut */
	(void)snprintf(own, sizeof(own), "%s/own", t->dir);
	fd = open(own, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHILD_CHECK(c, fd >= 0 && write(fd, "x", 1) == 1);
	CHILD_CHECK(c, ftruncate(fd, 0) == 0 && unlink(own) == 0);
}

/* Whoever was given the right to write may cut by any way. */
static void writes(struct child *c, void *arg)
{
	const struct trial *t = arg;
	int fd;

	confine(c, t->dir, O_RDWR, t->abi);
	fd = open(self, O_WRONLY | O_TRUNC);
	CHILD_CHECK(c, fd >= 0 && stdin_size() == 0);
	CHILD_CHECK(c, write(fd, text, sizeof(text) - 1) > 0);
	CHILD_CHECK(c, truncate(self, 0) == 0 && stdin_size() == 0);
}

/* The ways work where nothing is confined: each is a hole to close. */
static void open_to_all(struct child *c, void *arg)
{
	const struct trial *t = arg;
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/file", t->dir);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		put(c, path, text);
		CHILD_CHECK(c, reopen(path, &ways[i], 0) >= 0);
	}
	CHILD_CHECK(c, unlink(path) == 0);
}

static void stdio_file(void **state)
{
	struct trial t = { .dir = "/tmp/exeat-unit-XXXXXX" };
	int newest = landlock_abi();

	(void)state;
	if (newest < 2)
		skip();
	assert_non_null(mkdtemp(t.dir));
	for (t.abi = 2; t.abi <= newest && t.abi <= 3; t.abi++) {
		in_child(reads, &t);
		in_child(writes, &t);
	}
	in_child(open_to_all, &t);
	assert_int_equal(rmdir(t.dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stdio_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
