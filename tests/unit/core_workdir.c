/* core_workdir.c - work dirs: what is taken, what is made, what is removed
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/treeremove.h"
#include "core/treewalk.h"
#include "core/workdir.h"
#include "tests/unit/core_child.h"

/* A folder for one test, owned by whoever asks. */
static bool make_base(char path[64])
{
	(void)snprintf(path, 64, "/tmp/exeat-unit-XXXXXX");
	return mkdtemp(path);
}

static bool remove_base(const char *path)
{
	return tree_remove(AT_FDCWD, path, 0) == 0 && access(path, F_OK) < 0;
}

static bool make_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return false;
	memcpy(sa.sun_path, path, strlen(path));
	return bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static void refused_paths(void **state)
{
	static const char *const bad[] = {
		"/",	      "/proc",	       "/proc/self",	 "/sys",
		"/usr",	      "/usr/bin",      "/etc",		 "/etc/ssl",
		"/var",	      "/var/lib",      "/tmp",		 "/run",
		"/dev",	      "/dev/pts",      "/bin",		 "/lib",
		"/opt",	      "/var/lib/dpkg", "/run/exeat/bin", "/dev/shm",
		"/dev/shm/x", "/boot/grub",
	};
	static const char *const good[] = {
		"/home/a",	    "/root",	"/tmp/a",
		"/usr/src/app",	    "/opt/app", "/srv",
		"/run/user/1000/x", "/usrx",	"/binary",
		"/var/lib/dpkgx",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(workdir_refused(bad[i]));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(workdir_refused(good[i]));
}

static bool kept_steps(void *unused)
{
	char base[64], path[96], link[96];
	struct workdir w;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	(void)snprintf(path, sizeof(path), "%s/a", base);
	(void)snprintf(link, sizeof(link), "%s/link", base);
	CHECK(mkdir(path, 0755) == 0 && symlink(path, link) == 0);
	/* a link of the caller's is resolved once, then there is none */
	CHECK_OK(workdir_open(link, &w, &err), &err);
	CHECK(strcmp(w.path, path) == 0 && w.fd >= 0 && !w.fresh);
	workdir_close(&w);
	CHECK(w.fd == -1 && w.lock == -1 && !w.path);
	CHECK(access(path, F_OK) == 0);
	CHECK(workdir_open("", &w, &err) == -EINVAL);
	CHECK(workdir_open("/nowhere/at/all", &w, &err) == -EINVAL);
	CHECK(err.code == ERR_INVALID);
	CHECK(strcmp(err.object, "/nowhere/at/all") == 0);
	CHECK(workdir_open("/usr", &w, &err) == -EINVAL);
	CHECK(workdir_open("/tmp/../tmp/.", &w, &err) == -EINVAL);
	CHECK(workdir_open("/etc/passwd", &w, &err) == -EINVAL);
	/* not to be written */
	CHECK(chmod(path, 0555) == 0);
	CHECK(workdir_open(path, &w, &err) == -EINVAL);
	CHECK(strstr(err.message, "write"));
	CHECK(remove_base(base));
	return true;
}

static void kept(void **state)
{
	(void)state;
	assert_true(child_run(kept_steps, NULL));
}

/* A tree such as a payload may leave. */
static bool make_mess(int fd)
{
	char deep[201];
	int at = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(at >= 0);
	/* deeper than any path can say */
	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	for (int i = 0; i < 100; i++) {
		int next;

		CHECK(mkdirat(at, deep, 0700) == 0);
		next = openat(at, deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		(void)close(at);
		at = next;
	}
	(void)close(at);
	CHECK(mkdirat(fd, "closed", 0700) == 0);
	CHECK(mkdirat(fd, "closed/in", 0700) == 0);
	CHECK(mkdirat(fd, "closed/in/side", 0000) == 0);
	CHECK(fchmodat(fd, "closed/in", 0500, 0) == 0);
	CHECK(fchmodat(fd, "closed", 0000, 0) == 0);
	CHECK(symlinkat("/", fd, "root") == 0);
	CHECK(symlinkat("/etc/passwd", fd, "file") == 0);
	CHECK(mkfifoat(fd, "fifo", 0) == 0);
	return true;
}

static bool fresh_checks(const char *base)
{
	struct identity id = { .kind = IDENTITY_USER };
	struct workdir w, second;
	char path[128], lock[144];
	struct stat st;
	struct err err;
	int fd;

	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	CHECK(w.fresh && strncmp(w.path, base, strlen(base)) == 0);
	CHECK(fstat(w.fd, &st) == 0);
	CHECK(st.st_uid == id.host_uid && (st.st_mode & 07777) == 0700);
	(void)snprintf(path, sizeof(path), "%s", w.path);
	(void)snprintf(lock, sizeof(lock), "%s.lock", w.path);
	CHECK(access(lock, F_OK) == 0);
	/* a second session sweeps, and lets the first one's be */
	CHECK_OK(workdir_fresh(&id, &second, &err), &err);
	CHECK(access(path, F_OK) == 0 && strcmp(path, second.path) != 0);
	workdir_close(&second);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0 && make_mess(fd));
	(void)close(fd);
	workdir_close(&w);
	CHECK(access(path, F_OK) < 0 && access(lock, F_OK) < 0);
	/* what a killed session leaves, the next one removes */
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	(void)snprintf(path, sizeof(path), "%s", w.path);
	(void)snprintf(lock, sizeof(lock), "%s.lock", w.path);
	w.fresh = false;
	workdir_close(&w);
	CHECK(access(path, F_OK) == 0 && access(lock, F_OK) == 0);
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	CHECK(access(path, F_OK) < 0 && access(lock, F_OK) < 0);
	workdir_close(&w);
	identity_done(&id);
	return true;
}

static bool fresh_steps(void *ordinary)
{
	char base[64];

	CHECK(!ordinary || child_ordinary());
	CHECK(make_base(base));
	CHECK(setenv("TMPDIR", base, 1) == 0);
	CHECK(fresh_checks(base));
	CHECK(remove_base(base));
	return true;
}

static void fresh(void **state)
{
	int yes = 1;

	(void)state;
	assert_true(child_run(fresh_steps, &yes));
}

static void fresh_as_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(child_run(fresh_steps, NULL));
}

static bool taken_steps(void *unused)
{
	struct identity id;
	char base[64], path[128];
	struct workdir w;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	CHECK(setenv("TMPDIR", base, 1) == 0);
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	(void)snprintf(path, sizeof(path), "%s/exeat-%u", base, geteuid());
	/* a link in its place, a folder that others may write */
	CHECK(symlink("/tmp", path) == 0);
	CHECK(workdir_fresh(&id, &w, &err) < 0);
	CHECK(err.code == ERR_UNAVAILABLE);
	CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	CHECK(chmod(path, 0777) == 0);
	CHECK(workdir_fresh(&id, &w, &err) < 0);
	CHECK(err.code == ERR_UNAVAILABLE && err.remedy[0]);
	CHECK(chmod(path, 0700) == 0);
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	workdir_close(&w);
	CHECK(setenv("TMPDIR", "/nowhere", 1) == 0);
	CHECK(workdir_fresh(&id, &w, &err) < 0);
	CHECK(err.remedy[0]);
	identity_done(&id);
	CHECK(remove_base(base));
	return true;
}

static void taken(void **state)
{
	(void)state;
	assert_true(child_run(taken_steps, NULL));
}

static bool populate_steps(void *ordinary)
{
	char base[64], path[160];
	struct identity id;
	struct workdir w;
	struct err err;
	struct stat st;

	CHECK(!ordinary || child_ordinary());
	CHECK(make_base(base));
	CHECK(setenv("TMPDIR", base, 1) == 0);
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	CHECK_OK(workdir_populate(&w, &id, &err), &err);
	CHECK(geteuid() == (ordinary ? geteuid() : 0));
	(void)snprintf(path, sizeof(path), "%s/.exeat/home", w.path);
	CHECK(stat(path, &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(st.st_uid == id.host_uid && st.st_gid == id.host_gid);
	(void)snprintf(path, sizeof(path), "%s/.exeat/.gitignore", w.path);
	CHECK(stat(path, &st) == 0 && st.st_size == 2);
	CHECK(st.st_uid == id.host_uid);
	/* twice is once; what somebody changed stays */
	CHECK(truncate(path, 0) == 0);
	CHECK_OK(workdir_populate(&w, &id, &err), &err);
	CHECK(stat(path, &st) == 0 && st.st_size == 0);
	/* a link in place of a folder is not followed */
	(void)snprintf(path, sizeof(path), "%s/.exeat", w.path);
	CHECK(tree_remove(AT_FDCWD, path, 0) == 0);
	CHECK(symlink("/tmp", path) == 0);
	CHECK(workdir_populate(&w, &id, &err) == -EBUSY);
	CHECK(err.code == ERR_CONFLICT);
	CHECK(access("/tmp/.gitignore", F_OK) < 0);
	workdir_close(&w);
	identity_done(&id);
	CHECK(remove_base(base));
	return true;
}

static void populate(void **state)
{
	int yes = 1;

	(void)state;
	assert_true(child_run(populate_steps, &yes));
	if (geteuid() == 0)
		assert_true(child_run(populate_steps, NULL));
}

/* Python itself takes the environment for one of its own. */
static bool venv_steps(void *unused)
{
	static char script[] =
		"import sys, site, sysconfig\n"
		"venv = sys.argv[1]\n"
		"assert sys.prefix == venv, sys.prefix\n"
		"assert sys.base_prefix != venv\n"
		"assert sysconfig.get_path('purelib').startswith(venv)\n"
		"assert any(p.startswith(venv) for p in sys.path), sys.path\n";
	char base[64], venv[160], python[192];
	struct identity id;
	struct workdir w;
	struct err err;
	int status;
	pid_t pid;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	CHECK(setenv("TMPDIR", base, 1) == 0);
	CHECK_OK(identity_find(-1, NULL, &id, &err), &err);
	CHECK_OK(workdir_fresh(&id, &w, &err), &err);
	CHECK_OK(workdir_populate(&w, &id, &err), &err);
	(void)snprintf(venv, sizeof(venv), "%s/.exeat/venv", w.path);
	(void)snprintf(python, sizeof(python), "%s/bin/python3", venv);
	CHECK(access(python, X_OK) == 0);
	pid = fork();
	if (pid == 0) {
		char *argv[] = { python, (char *)"-c", script, venv, NULL };
		char *envp[] = { NULL };

		(void)execve(python, argv, envp);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	workdir_close(&w);
	identity_done(&id);
	CHECK(remove_base(base));
	return true;
}

static void venv(void **state)
{
	(void)state;
	if (access("/usr/bin/python3", X_OK) < 0)
		skip();
	assert_true(child_run(venv_steps, NULL));
}

static bool socket_steps(void *unused)
{
	char base[64], path[108];
	struct workdir w;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	CHECK_OK(workdir_open(base, &w, &err), &err);
	CHECK_OK(workdir_find_sockets(&w, &err), &err);
	CHECK(w.nsockets == 0);
	(void)snprintf(path, sizeof(path), "%s/a", base);
	CHECK(mkdir(path, 0700) == 0);
	(void)snprintf(path, sizeof(path), "%s/a/.s", base);
	CHECK(make_socket(path));
	(void)snprintf(path, sizeof(path), "%s/link", base);
	CHECK(symlink("a", path) == 0);
	CHECK_OK(workdir_find_sockets(&w, &err), &err);
	CHECK(w.nsockets == 1);
	(void)snprintf(path, sizeof(path), "%s/a/.s", base);
	CHECK(strcmp(w.sockets[0], path) == 0);
	/* more than can be covered is an error, never a silent rest */
	for (int i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof(path), "%s/s%d", base, i);
		CHECK(make_socket(path));
	}
	CHECK(workdir_find_sockets(&w, &err) < 0);
	CHECK(err.code == ERR_LIMIT);
	workdir_close(&w);
	CHECK(remove_base(base));
	return true;
}

/* `levels` folders "d" below `base`; the last one is the working directory. */
static bool dig(const char *base, int levels)
{
	CHECK(chdir(base) == 0);
	for (int i = 0; i < levels; i++)
		CHECK(mkdir("d", 0700) == 0 && chdir("d") == 0);
	return true;
}

/* What a payload made to keep later sessions out, or a socket in. */
static bool deep_steps(void *unused)
{
	enum { DEEP = 10000, OPEN = 200 };
	char base[64], path[108];
	struct workdir w;
	struct err err;
	const struct rlimit few = { OPEN, OPEN };

	(void)unused;
	CHECK(child_ordinary());
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	CHECK(make_base(base));
	CHECK(dig(base, DEEP));
	CHECK(chdir("/") == 0);
	(void)snprintf(path, sizeof(path), "%s/.s", base);
	CHECK(make_socket(path));
	CHECK_OK(workdir_open(base, &w, &err), &err);
	CHECK_OK(workdir_find_sockets(&w, &err), &err);
	CHECK(w.nsockets == 1); /* and it came back to find this one */
	/* where no path leads, a socket cannot be covered: never passed over */
	CHECK(dig(base, 0) && chdir("d") == 0);
	for (int i = 1; i < DEEP; i++)
		CHECK(chdir("d") == 0);
	CHECK(make_socket("s") && chdir("/") == 0);
	CHECK(workdir_find_sockets(&w, &err) < 0);
	CHECK(err.code == ERR_LIMIT && strstr(err.message, "too deep"));
	workdir_close(&w);
	CHECK(remove_base(base));
	return true;
}

/* A folder that a payload shut, to open it again in the next session. */
static bool shut_steps(void *unused)
{
	static const mode_t modes[] = { 0000, 0300, 0400, 0600, 0100 };
	char base[64], dir[80], path[108];
	struct workdir w;
	struct stat st;
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	CHECK_OK(workdir_open(base, &w, &err), &err);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		(void)snprintf(dir, sizeof(dir), "%s/%zu", base, i);
		(void)snprintf(path, sizeof(path), "%s/sub", dir);
		CHECK(mkdir(dir, 0700) == 0 && mkdir(path, 0700) == 0);
		(void)snprintf(path, sizeof(path), "%s/sub/s", dir);
		CHECK(make_socket(path));
		CHECK(chmod(dir, modes[i]) == 0);
		CHECK_OK(workdir_find_sockets(&w, &err), &err);
		/* each call appends: 1 + 2 + 3 ... */
		CHECK(w.nsockets == (i + 1) * (i + 2) / 2);
		CHECK(stat(dir, &st) == 0 && (st.st_mode & 07777) == modes[i]);
	}
	workdir_close(&w);
	CHECK(remove_base(base));
	return true;
}

enum { MOVED_DEPTH = 200, SHUT = 0300 };

/* All of them are as their owner had them. */
static bool all_shut(const char *top)
{
	CHECK(chdir(top) == 0);
	for (int i = 1; i < MOVED_DEPTH; i++) {
		struct stat st;

		/* the third one, which moves, is below another name */
		CHECK(chdir("d") == 0 || chdir("../../moved") == 0);
		CHECK(stat(".", &st) == 0 && (st.st_mode & 07777) == SHUT);
	}
	return true;
}

static int moved_entry(struct tree_walk *w, const struct tree_level *at,
		       const struct dirent64 *e)
{
	const char *base = w->user;

	(void)at;
	if (strcmp(e->d_name, "end") == 0 && base &&
	    (chdir(base) < 0 || rename("d/d/d", "moved") < 0))
		return -errno;
	return e->d_type == DT_DIR;
}

static int moved_enter(struct tree_walk *w, const struct tree_level *at,
		       const char *name, struct tree_level *ret)
{
	return tree_open(w, at->fd, name, ret);
}

/* A tree whose folders are shut is as it was, also where the way back to them
 * is lost. */
static bool moved_steps(void *unused)
{
	struct err err;
	char base[64];

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(base));
	CHECK(dig(base, MOVED_DEPTH) && mkdir("end", 0700) == 0);
	for (int i = 0; i < MOVED_DEPTH; i++)
		CHECK(chmod(".", SHUT) == 0 && chdir("..") == 0);
	for (int moves = 0; moves < 2; moves++) {
		struct tree_walk w = {
			.step = "walk",
			.err = &err,
			.user = moves ? base : NULL,
			.entry = moved_entry,
			.enter = moved_enter,
		};
		cleanup_fd int fd = open(base, O_PATH | O_CLOEXEC);
		int r = tree_walk(&w, fd, -1, base);

		CHECK(moves ? r < 0 && err.code == ERR_CONFLICT : r == 0);
		CHECK(all_shut(base));
	}
	CHECK(chdir("/") == 0);
	CHECK(remove_base(base));
	return true;
}

struct mounted {
	char base[64];
	int fd; /* of it, where the mount is */
};

/* Who has no such mount himself: a descriptor leads there all the same. */
static bool elsewhere_steps(void *arg)
{
	const struct mounted *m = arg;

	CHECK(chdir(m->base) == 0 && unshare(CLONE_NEWNS) == 0);
	CHECK(umount2("t/d", MNT_DETACH) == 0);
	CHECK(access("t/d/under", F_OK) == 0);
	CHECK(tree_remove(m->fd, "t", 0) == -EXDEV);
	CHECK(access("t/d/under", F_OK) == 0 && access("t/x", F_OK) < 0);
	return true;
}

/* What is mounted in a tree is none of it, though of the same file system. */
static bool mounted_steps(void *arg)
{
	struct mounted *m = arg;
	cleanup_fd int fd = -1;

	CHECK(child_one_id(0) && unshare(CLONE_NEWNS) == 0);
	CHECK(chdir(m->base) == 0);
	CHECK(mkdir("t", 0700) == 0 && mkdir("t/x", 0700) == 0);
	CHECK(mkdir("t/d", 0700) == 0 && mkdir("t/d/under", 0700) == 0);
	CHECK(mkdir("out", 0700) == 0 && mkdir("out/keep", 0700) == 0);
	CHECK(mount("out", "t/d", NULL, MS_BIND, NULL) == 0);
	fd = m->fd = open(m->base, O_PATH | O_CLOEXEC);
	CHECK(tree_remove(fd, "t", 0) < 0 && access("t/d/keep", F_OK) == 0);
	CHECK(mkdir("t/x", 0700) == 0);
	CHECK(child_run(elsewhere_steps, m));
	CHECK(access("t/d/keep", F_OK) == 0);
	return true;
}

static bool mounted_base(void *unused)
{
	struct mounted m;

	(void)unused;
	CHECK(child_ordinary());
	CHECK(make_base(m.base));
	CHECK(child_run(mounted_steps, &m));
	CHECK(remove_base(m.base));
	return true;
}

static void mounted(void **state)
{
	(void)state;
	assert_true(child_run(mounted_base, NULL));
}

static void moved(void **state)
{
	(void)state;
	assert_true(child_run(moved_steps, NULL));
}

static void deep(void **state)
{
	(void)state;
	assert_true(child_run(deep_steps, NULL));
}

static void shut(void **state)
{
	(void)state;
	assert_true(child_run(shut_steps, NULL));
}

static void sockets(void **state)
{
	(void)state;
	assert_true(child_run(socket_steps, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_paths),
		cmocka_unit_test(kept),
		cmocka_unit_test(fresh),
		cmocka_unit_test(fresh_as_root),
		cmocka_unit_test(taken),
		cmocka_unit_test(populate),
		cmocka_unit_test(venv),
		cmocka_unit_test(sockets),
		cmocka_unit_test(deep),
		cmocka_unit_test(shut),
		cmocka_unit_test(moved),
		cmocka_unit_test(mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
