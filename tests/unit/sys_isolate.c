/* sys_isolate.c - giving up what is not needed
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "tests/unit/sys_child.h"

static void check_ok(struct child *c, const char *what, int r,
		     const struct err *err)
{
	char text[512];

	if (r < 0)
		child_fail(c, "%s: %s", what, err_str(err, text, sizeof(text)));
}

static void become_ordinary(struct child *c)
{
	struct err err;

	check_ok(c, "identity",
		 isolate_identity(child_uid(), child_gid(), &err), &err);
}

/* -- identity -- */

static void take_identity(struct child *c, void *arg)
{
	uid_t uid = child_uid();
	struct err err;
	int r;

	(void)arg;
	become_ordinary(c);
	CHILD_CHECK(c, getuid() == uid && geteuid() == uid);
	CHILD_CHECK(c, getgid() == child_gid());
	CHILD_CHECK(c, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
	CHILD_CHECK(c, uid == 0 || setresuid(0, 0, 0) < 0);
	become_ordinary(c); /* nothing to do */
	if (uid == 0)
		return;
	r = isolate_identity(uid + 1, child_gid(), &err);
	CHILD_CHECK(c, r == -EPERM);
	CHILD_CHECK(c, getuid() == uid);
	if (strlen(err.step) == 0)
		child_fail(c, "an error without a step");
}

static void no_groups(struct child *c, void *arg)
{
	(void)arg;
	become_ordinary(c);
	CHILD_CHECK(c, getgroups(0, NULL) == 0);
}

static void identity(void **state)
{
	(void)state;
	in_child(take_identity, NULL);
	if (geteuid() == 0 && child_uid() != 0)
		in_child(no_groups, NULL);
}

/* -- user namespaces -- */

static void make_userns(struct child *c, void *arg)
{
	char map[128];
	cleanup_fd int fd = -1;
	ssize_t n;
	struct err err;
	uid_t uid = child_uid();
	unsigned in = 0, out = 0, count = 0;

	(void)arg;
	become_ordinary(c);
	check_ok(c, "userns", isolate_userns(1234, 5678, &err), &err);
	CHILD_CHECK(c, getuid() == 1234 && getgid() == 5678);
	fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	n = fd_read_all(fd, map, sizeof(map) - 1);
	CHILD_CHECK(c, n > 0);
	map[n] = '\0';
	CHILD_CHECK(c, sscanf(map, "%u %u %u", &in, &out, &count) == 3);
	CHILD_CHECK(c, in == 1234 && out == uid && count == 1);
}

/* Forbid it in a namespace of our own, and see what it says. */
static void forbidden_userns(struct child *c, void *arg)
{
	static const char sysctl[] = "/proc/sys/user/max_user_namespaces";
	struct err err;
	int r;

	(void)arg;
	become_ordinary(c);
	check_ok(c, "userns", isolate_userns(0, 0, &err), &err);
	CHILD_CHECK(c, fd_write_file(AT_FDCWD, sysctl, "0") == 0);
	r = isolate_userns(0, 0, &err);
	CHILD_CHECK(c, r < 0);
	CHILD_CHECK(c, err.code == ERR_UNAVAILABLE);
	CHILD_CHECK(c, strcmp(err.object, "user.max_user_namespaces") == 0);
	CHILD_CHECK(c, strstr(err.remedy, "user.max_user_namespaces=") != NULL);
}

static void userns(void **state)
{
	(void)state;
	in_child(make_userns, NULL);
	in_child(forbidden_userns, NULL);
}

/* -- pid 1, empty root, no capability -- */

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		(void)closedir(dir);
	return n;
}

static bool says(const char *status, const char *line)
{
	const char *p = strstr(status, line);

	return p && p[strlen(line)] == '\n';
}

static void whole_helper(struct child *c, void *arg)
{
	char status[4096];
	cleanup_fd int fd = -1;
	struct err err;
	ssize_t n;

	(void)arg;
	become_ordinary(c);
	check_ok(c, "userns", isolate_userns(child_uid(), child_gid(), &err),
		 &err);
	check_ok(c, "pid 1",
		 isolate_pid1(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS, &err),
		 &err);
	CHILD_CHECK(c, getpid() == 1);
	/* of the host's /proc, while it is there */
	fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	CHILD_CHECK(c, fd >= 0);
	check_ok(c, "empty root", isolate_empty_root(&err), &err);
	CHILD_CHECK(c, count_entries("/") == 2);
	CHILD_CHECK(c, mkdir("/x", 0700) < 0 && errno == EROFS);
	CHILD_CHECK(c, chdir("/..") == 0 && count_entries(".") == 2);
	check_ok(c, "drop", isolate_drop(&err), &err);
	check_ok(c, "drop again", isolate_drop(&err), &err);
	n = fd_read_all(fd, status, sizeof(status) - 1);
	CHILD_CHECK(c, n > 0);
	status[n] = '\0';
	CHILD_CHECK(c, says(status, "CapPrm:\t0000000000000000"));
	CHILD_CHECK(c, says(status, "CapEff:\t0000000000000000"));
	CHILD_CHECK(c, says(status, "CapInh:\t0000000000000000"));
	CHILD_CHECK(c, says(status, "CapBnd:\t0000000000000000"));
	CHILD_CHECK(c, says(status, "CapAmb:\t0000000000000000"));
	CHILD_CHECK(c, says(status, "NoNewPrivs:\t1"));
	CHILD_CHECK(c, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHILD_CHECK(c, sethostname("x", 1) < 0 && errno == EPERM);
}

static void helper(void **state)
{
	(void)state;
	in_child(whole_helper, NULL);
}

/* -- descriptors -- */

static void close_some(struct child *c, void *arg)
{
	/* the report of the test is among them: above, and kept */
	const int keep[] = { -1, 2, 101, 104, 105, 200 };
	const int report = *(int *)arg;

	for (int fd = 100; fd < 108; fd++)
		CHILD_CHECK(c, dup2(0, fd) == fd);
	CHILD_CHECK(c, dup2(0, 300) == 300 && report < 100);
	CHILD_CHECK(c, isolate_close_fds(100, keep, 6) == 0);
	for (int fd = 100; fd < 301; fd++) {
		bool kept = fd == 101 || fd == 104 || fd == 105;

		if ((fcntl(fd, F_GETFD) >= 0) != kept)
			child_fail(c, "descriptor %d", fd);
	}
	CHILD_CHECK(c, fcntl(0, F_GETFD) >= 0);
}

static void descriptors(void **state)
{
	int lowest = dup(0);

	(void)state;
	fd_close(&lowest);
	lowest = 10;
	in_child(close_some, &lowest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(userns),
		cmocka_unit_test(helper),
		cmocka_unit_test(descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
