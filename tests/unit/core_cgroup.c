/* core_cgroup.c - where groups are looked for, and who may remove them
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/cgroup.h"

/* ---- where a controller is ---- */

#define V2_MOUNT                                                            \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 " \
	"rw,nsdelegate\n"
#define HYBRID_MOUNTS                                                   \
	"31 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" \
	"32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "   \
	"rw,cpu,cpuacct\n"                                              \
	"33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define CONTAINER_MOUNT \
	"40 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"

static const struct {
	const char *mountinfo, *self;
	enum cgroup_kind kind;
	int r;
	bool v2;
	const char *mount, *own;
} finds[] = {
	{ V2_MOUNT, "0::/user.slice/a.scope\n", CGROUP_MEMORY, 0, true,
	  "/sys/fs/cgroup", "/user.slice/a.scope" },
	{ V2_MOUNT, "0::/\n", CGROUP_PIDS, 0, true, "/sys/fs/cgroup", "" },
	{ HYBRID_MOUNTS, "4:memory:/m\n3:cpu,cpuacct:/c\n0::/u\n",
	  CGROUP_MEMORY, 0, false, "/sys/fs/cgroup/memory", "/m" },
	{ HYBRID_MOUNTS, "4:memory:/m\n3:cpu,cpuacct:/c\n0::/u\n", CGROUP_CPU,
	  0, false, "/sys/fs/cgroup/cpu,cpuacct", "/c" },
	/* in no tree of version 1: the one of version 2 may have it */
	{ HYBRID_MOUNTS, "4:memory:/m\n0::/u\n", CGROUP_PIDS, 0, true,
	  "/sys/fs/cgroup/unified", "/u" },
	{ CONTAINER_MOUNT, "0::/docker/abc/x\n", CGROUP_CPU, 0, true,
	  "/sys/fs/cgroup", "/x" },
	/* not below what is mounted: what is mounted, then */
	{ CONTAINER_MOUNT, "0::/docker/abcd\n", CGROUP_CPU, 0, true,
	  "/sys/fs/cgroup", "" },
	{ V2_MOUNT, "0::/../b\n", CGROUP_CPU, 0, true, "/sys/fs/cgroup", "" },
	{ "", "0::/\n", CGROUP_CPU, -ENOENT, false, NULL, NULL },
	{ V2_MOUNT, "", CGROUP_CPU, -ENOENT, false, NULL, NULL },
	{ "1 2 3\n- cgroup2\n\n", "::\n0\n", CGROUP_CPU, -ENOENT, false, NULL,
	  NULL },
};

static void found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
		char mount[4096], own[4096];
		bool v2 = false;
		int r = cgroup_find(finds[i].mountinfo, finds[i].self,
				    finds[i].kind, &v2, mount, own,
				    sizeof(mount));

		print_message("row %zu\n", i);
		assert_int_equal(r, finds[i].r);
		if (r < 0)
			continue;
		assert_int_equal(v2, finds[i].v2);
		assert_string_equal(mount, finds[i].mount);
		assert_string_equal(own, finds[i].own);
	}
}

/* Which kinds there are is the machine's; of each the other is said why. */
static void why_not(void **state)
{
	struct cgroup g;
	struct err err = { 0 };
	char name[32];

	(void)state;
	(void)snprintf(name, sizeof(name), "test-%d", (int)getpid());
	assert_int_equal(cgroup_open(name, &g, &err), 0);
	for (int k = 0; k < CGROUP_KINDS; k++) {
		int r = cgroup_need(&g, (enum cgroup_kind)k, &err);

		assert_int_equal(r == 0, (g.kinds & 1U << k) != 0);
		assert_int_equal(r == 0,
				 cgroup_version(&g, (enum cgroup_kind)k) != 0);
		if (r == 0)
			continue;
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_non_null(strstr(err.remedy, "Delegate=yes"));
		if (g.where[k])
			assert_non_null(strstr(err.message, g.where[k]));
		print_message("%s: %s\n", err.object, err.message);
	}
	assert_true(cgroup_close(&g));
}

/* ---- made and removed by many at a time ---- */

enum { MAKERS = 6, ROUNDS = 150 };

/* What is held stays, whoever sweeps. 0, or what was wrong. */
static int rounds(int place, int number)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct stat held, named;
		char name[40];
		int fd;

		/* few names: one's group is another's to sweep, soon after */
		(void)snprintf(name, sizeof(name), "exeat-%d", number);
		cgroup_sweep(place);
		if (cgroup_hold(place, name, &fd) < 0)
			return 1;
		cgroup_sweep(place);
		if (mkdirat(fd, "run-1", 0700) < 0)
			return 2;
		cgroup_sweep(place);
		if (fstat(fd, &held) < 0 || fstatat(place, name, &named, 0) < 0)
			return 3;
		if (held.st_ino != named.st_ino)
			return 4;
		/* as if killed: it is the others' to remove */
		(void)close(fd);
		while (fstatat(place, name, &named, 0) == 0)
			cgroup_sweep(place);
	}
	return 0;
}

static void held_is_not_swept(void **state)
{
	char dir[] = "/tmp/exeat-test-XXXXXX";
	pid_t pids[MAKERS];
	int place;

	(void)state;
	assert_non_null(mkdtemp(dir));
	place = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place >= 0);
	for (int i = 0; i < MAKERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(rounds(place, i));
	}
	for (int i = 0; i < MAKERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	(void)close(place);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(why_not),
		cmocka_unit_test(held_is_not_swept),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
