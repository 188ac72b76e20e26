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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/cgroup_place.h"
#include "core/treeremove.h"

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
	/* a mount of a cgroup namespace around ours: not from here */
	{ "30 23 0:26 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n",
	  CGROUP_CPU, -ENOENT, false, NULL, NULL },
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

/* ---- which of those above ours ---- */

/* A tree as the kernel shows one, of files; the groups are a/b below a root
 * that is not the machine's. */
struct level {
	const char *controllers, *procs, *type;
	bool closed; /* to us */
};

static const struct {
	struct level levels[3]; /* root, a, a/b, which is ours */
	int r;
	unsigned kinds;
	const char *where;
} places[] = {
	/* ours has processes; the one above has all */
	{ { { "cpu memory pids", "", "domain\n", false },
	    { "cpu memory pids", "", "domain\n", false },
	    { "cpu memory pids", "7\n", "domain\n", false } },
	  0,
	  7,
	  "/a" },
	/* all of the kinds before the nearest */
	{ { { "cpu memory pids", "", "domain\n", false },
	    { "memory pids", "", "domain\n", false },
	    { "", "7\n", "domain\n", false } },
	  0,
	  7,
	  "" },
	/* else the nearest with some, the first of which is asked for */
	{ { { "memory", "", "domain\n", false },
	    { "memory", "", "domain\n", false },
	    { "", "7\n", "domain\n", false } },
	  0,
	  1 << CGROUP_MEMORY,
	  "/a" },
	/* processes matter everywhere but in the machine's root */
	{ { { "cpu memory pids", "1\n", "", false },
	    { "cpu memory pids", "5\n", "domain\n", false },
	    { "cpu memory pids", "7\n", "domain\n", false } },
	  0,
	  7,
	  "" },
	{ { { "cpu memory pids", "1\n", "domain\n", true },
	    { "cpu memory pids", "5\n", "domain\n", false },
	    { "cpu memory pids", "0\n", "domain\n", false } },
	  -EBUSY,
	  0,
	  "/a/b" },
	/* groups of threads have none with processes below them */
	{ { { "cpu memory pids", "", "domain\n", true },
	    { "cpu memory pids", "", "domain threaded\n", false },
	    { "cpu memory pids", "", "domain invalid\n", false } },
	  -EOPNOTSUPP,
	  0,
	  "/a/b" },
	/* the reason that is told is that of ours */
	{ { { "memory", "", "domain\n", true },
	    { "memory", "", "domain\n", true },
	    { "memory", "7\n", "domain\n", true } },
	  -EACCES,
	  0,
	  "/a/b" },
	{ { { "", "", "domain\n", false },
	    { "io", "", "domain\n", false },
	    { "io", "", "domain\n", false } },
	  -ENOENT,
	  0,
	  "/a/b" },
};

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void make_level(const char *dir, const struct level *l)
{
	assert_true(mkdir(dir, 0700) == 0 || errno == EEXIST);
	assert_int_equal(chmod(dir, 0700), 0);
	write_file(dir, "cgroup.controllers", l->controllers);
	write_file(dir, "cgroup.subtree_control", "");
	write_file(dir, "cgroup.procs", l->procs);
	write_file(dir, "cgroup.type", l->type);
}

static void placed(void **state)
{
	char top[] = "/tmp/exeat-test-XXXXXX", mountinfo[256], dirs[3][64];
	struct cgroup_map map = { .mountinfo = mountinfo };
	char self[] = "0::/a/b\n";

	(void)state;
	map.self = self;
	assert_non_null(mkdtemp(top));
	(void)snprintf(mountinfo, sizeof(mountinfo),
		       "30 23 0:26 / %s rw - cgroup2 cgroup2 rw\n", top);
	(void)snprintf(dirs[0], sizeof(dirs[0]), "%s", top);
	(void)snprintf(dirs[1], sizeof(dirs[1]), "%s/a", top);
	(void)snprintf(dirs[2], sizeof(dirs[2]), "%s/a/b", top);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct cgroup_place place = { .fd = -1 };
		cleanup_free char *where = NULL;
		bool closed = false;
		int r;

		print_message("row %zu\n", i);
		for (int l = 0; l < 3; l++)
			make_level(dirs[l], &places[i].levels[l]);
		for (int l = 3; l-- > 0;) {
			closed |= places[i].levels[l].closed;
			if (places[i].levels[l].closed)
				assert_int_equal(chmod(dirs[l], 0500), 0);
		}
		if (closed && access(dirs[0], W_OK) == 0)
			continue; /* to root nothing is */
		r = cgroup_place_open(&map, CGROUP_MEMORY, &place, &where);
		assert_int_equal(r, places[i].r);
		assert_non_null(where);
		assert_string_equal(where + strlen(top), places[i].where);
		if (r < 0)
			continue;
		assert_true(place.v2);
		assert_int_equal(place.kinds, places[i].kinds);
		(void)close(place.fd);
	}
	for (int l = 0; l < 3; l++)
		assert_int_equal(chmod(dirs[l], 0700), 0);
	assert_int_equal(tree_remove(AT_FDCWD, top, 0), 0);
}

/* ---- cleared ---- */

enum { GENERATIONS = 100000 };

/* Joins a group, says so, and stays; or has a child that has the next. */
static void join(int procs, int joined, bool forks)
{
	if (write(procs, "0", 1) != 1 || write(joined, "", 1) != 1)
		_exit(1);
	for (int i = 0; forks && i < GENERATIONS; i++)
		if (fork() > 0)
			_exit(0);
	for (;;)
		(void)pause();
}

static void wait_all(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void cleared(void **state)
{
	struct cgroup_map map;
	struct cgroup_place place;
	struct err err;
	char name[64], text[64];
	int joined[2];
	cleanup_free char *where = NULL;
	cleanup_fd int group = -1, procs = -1, below = -1;

	(void)state;
	assert_int_equal(cgroup_map_read(&map, &err), 0);
	if (cgroup_place_any(&map, &place, &where) < 0) {
		cgroup_map_done(&map);
		print_message("no groups of version 2 may be made\n");
		return;
	}
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	(void)snprintf(name, sizeof(name), "test-of-exeat-%d", getpid());
	assert_int_equal(mkdirat(place.fd, name, 0755), 0);
	group = openat(place.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	procs = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	assert_true(procs >= 0);
	assert_int_equal(pipe(joined), 0);
	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			join(procs, joined[1], i % 2 == 0);
	}
	for (int i = 0; i < 6; i++)
		assert_int_equal(read(joined[0], text, 1), 1);
	assert_int_equal(cgroup_place_clear(group), 0);
	assert_string_equal(
		cgroup_get(group, "cgroup.procs", text, sizeof(text)), "");
	below = openat(group, "exeat.callers",
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(below >= 0);
	assert_true(*cgroup_get(below, "cgroup.procs", text, sizeof(text)));
	/* and once more, with nobody there */
	assert_int_equal(cgroup_place_clear(group), 0);
	assert_int_equal(cgroup_put(below, "cgroup.kill", "1"), 0);
	wait_all();
	assert_int_equal(unlinkat(group, "exeat.callers", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(place.fd, name, AT_REMOVEDIR), 0);
	(void)close(joined[0]);
	(void)close(joined[1]);
	(void)close(place.fd);
	cgroup_map_done(&map);
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
		cmocka_unit_test(placed),
		cmocka_unit_test(cleared),
		cmocka_unit_test(held_is_not_swept),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
