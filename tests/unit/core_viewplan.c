/* core_viewplan.c - the list of files, and the view that it makes
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plan is performed for real: in a user namespace of the test's own, as
 * the keeper does it, for an ordinary caller and (as root) for root with a
 * work dir of its own, of another user, and fresh.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "core/treeremove.h"
#include "core/viewplan.h"
#include "tests/unit/core_child.h"

enum owner { OWNER_CALLER, OWNER_OTHER, OWNER_FRESH };

struct scene {
	bool ordinary; /* give root up first */
	bool one_id;   /* then be uid 0 of a namespace with one id */
	enum owner owner;
	char base[64];
	char work[96], ro[96], rw[96];
	struct identity id;
	struct workdir w;
	struct viewplan plan;
};

static bool put(const char *dir, const char *name, const char *text)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fd_write_file(AT_FDCWD, path, text) == 0;
}

static bool get(const char *dir, const char *name, char ret[512])
{
	char path[160];
	cleanup_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fd_read_all(fd, ret, 511);
	if (n < 0)
		return false;
	ret[n] = '\0';
	return true;
}

static int socket_at(const char *dir, bool bind_it)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct sockaddr *any = (const struct sockaddr *)&sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", dir);
	r = bind_it ? bind(fd, any, sizeof(sa)) || listen(fd, 1) :
		      connect(fd, any, sizeof(sa));
	if (r == 0)
		return fd;
	r = -errno;
	(void)close(fd);
	return r;
}

/* ---- the keeper's part, and what a run then sees ---- */

static bool sees_work(struct scene *s)
{
	char text[512];
	struct stat st;

	CHECK(get(s->w.path, "host-file", text) && strcmp(text, "host") == 0);
	CHECK(put(s->w.path, "made-inside", "inside"));
	CHECK(stat(s->w.path, &st) == 0 && st.st_uid == 0);
	/* a service of the host that happens to live there */
	if (s->w.nsockets > 0)
		CHECK(socket_at(s->w.path, false) < 0);
	return true;
}

static bool sees_extra(struct scene *s)
{
	char text[512];

	CHECK(get(s->ro, "file", text) && strcmp(text, "read") == 0);
	CHECK(!put(s->ro, "new", "x") && errno == EROFS);
	CHECK(socket_at(s->ro, false) < 0);
	CHECK(get(s->rw, "file", text) && strcmp(text, "write") == 0);
	CHECK(put(s->rw, "new", "x"));
	return true;
}

static bool sees_system(struct scene *s)
{
	char text[512], line[256];
	char *passwd = NULL;

	CHECK(access("/usr/bin/env", X_OK) == 0);
	CHECK(access("/bin/sh", X_OK) == 0);
	CHECK(!put("/usr", "new", "x") && errno == EROFS);
	CHECK(!put("/", "new", "x") && errno == EROFS);
	CHECK(access("/root", F_OK) < 0 && access("/home", F_OK) < 0);
	CHECK(access("/var/log", F_OK) < 0 && access("/srv", F_OK) < 0);
	CHECK(access("/run/user", F_OK) < 0);
	CHECK(get("/etc", "resolv.conf", text));
	CHECK(strncmp(text, "nameserver 192.0.0.5\n", 21) == 0);
	CHECK(!strstr(text, "search"));
	CHECK(get("/etc", "hosts", text) && strstr(text, "localhost"));
	CHECK(!get("/etc", "shadow", text) || text[0] == '\0');
	CHECK(fd_read_file(AT_FDCWD, "/etc/passwd", 1 << 20, &passwd, NULL) ==
	      0);
	(void)snprintf(line, sizeof(line),
		       "%s:x:%u:%u::%s/.exeat/home:", s->id.user, s->id.uid,
		       s->id.gid, s->w.path);
	CHECK(strstr(passwd, line));
	free(passwd);
	CHECK(access("/tmp/x", F_OK) < 0 && access("/dev/shm/x", F_OK) < 0);
	CHECK(put("/tmp", "x", "x") && put("/dev/shm", "x", "x"));
	CHECK(put("/dev", "null", "x"));
	CHECK(access("/run/exeat/bin", X_OK) == 0);
	return true;
}

static bool run_steps(void *arg)
{
	struct scene *s = arg;
	struct err err;

	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK_OK(view_run(&s->plan.view, &err), &err);
	CHECK(sees_work(s));
	CHECK(s->owner == OWNER_FRESH || sees_extra(s));
	CHECK(sees_system(s));
	return true;
}

/* A pid namespace ends with its first process: one for each run. */
static bool stub_steps(void *arg)
{
	CHECK(unshare(CLONE_NEWPID) == 0);
	return child_run(run_steps, arg);
}

static bool keeper_in_namespaces(void *arg)
{
	struct scene *s = arg;
	struct err err;

	CHECK_OK(view_session(&s->plan.view, s->plan.fds, s->plan.nfds, &err),
		 &err);
	/* two runs: what one leaves in /tmp the other does not see */
	CHECK(child_run(stub_steps, s));
	CHECK(child_run(stub_steps, s));
	return true;
}

static bool keeper_steps(void *arg)
{
	struct scene *s = arg;
	struct err err;

	CHECK_OK(isolate_identity(s->id.host_uid, s->id.host_gid, &err), &err);
	CHECK_OK(isolate_userns(0, 0, &err), &err);
	CHECK(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) == 0);
	return child_run(keeper_in_namespaces, s);
}

/* ---- the caller's part ---- */

static bool make_extra(struct scene *s)
{
	int fd;

	(void)snprintf(s->ro, sizeof(s->ro), "%s/ro", s->base);
	(void)snprintf(s->rw, sizeof(s->rw), "%s/rw", s->base);
	CHECK(mkdir(s->ro, 0755) == 0 && mkdir(s->rw, 0777) == 0);
	CHECK(put(s->ro, "file", "read") && put(s->rw, "file", "write"));
	fd = socket_at(s->ro, true);
	CHECK(fd >= 0); /* stays open: a service that listens */
	return true;
}

static bool make_work(struct scene *s)
{
	struct err err;

	workdir_init(&s->w);
	if (s->owner == OWNER_FRESH) {
		CHECK_OK(identity_find(-1, NULL, &s->id, &err), &err);
		CHECK_OK(workdir_fresh(&s->id, &s->w, &err), &err);
	} else {
		(void)snprintf(s->work, sizeof(s->work), "%s/work", s->base);
		CHECK(mkdir(s->work, 0755) == 0);
		CHECK(socket_at(s->work, true) >= 0);
		if (s->owner == OWNER_OTHER)
			CHECK(chown(s->work, 4321, 4321) == 0);
		CHECK_OK(workdir_open(s->work, &s->w, &err), &err);
		CHECK_OK(workdir_find_sockets(&s->w, &err), &err);
		CHECK(s->w.nsockets == 1);
		CHECK_OK(identity_find(s->w.fd, NULL, &s->id, &err), &err);
	}
	CHECK_OK(workdir_populate(&s->w, &s->id, &err), &err);
	return put(s->w.path, "host-file", "host");
}

static bool lists_name(char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* Who owns on disk what the payload made? */
static bool disk_owner(struct scene *s)
{
	char path[160];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/made-inside", s->w.path);
	CHECK(stat(path, &st) == 0);
	CHECK(st.st_uid == (s->id.idmap_work_dir ? 0 : s->id.host_uid));
	return true;
}

static bool scene_checks(struct scene *s)
{
	const char *ro[] = { s->ro, NULL }, *rw[] = { s->rw, NULL };
	struct viewplan_request rq = { .id = &s->id, .work = &s->w };
	struct err err;

	CHECK(make_extra(s) && make_work(s));
	if (s->owner != OWNER_FRESH) {
		rq.read_only_paths = ro;
		rq.read_write_paths = rw;
	}
	CHECK_OK(viewplan_make(&rq, &s->plan, &err), &err);
	CHECK(lists_name(s->plan.read_write.texts, s->w.path));
	CHECK(lists_name(s->plan.read_only.texts, "/usr"));
	CHECK(rq.read_only_paths == NULL ||
	      lists_name(s->plan.read_only.texts, s->ro));
	CHECK(child_run(keeper_steps, s));
	CHECK(disk_owner(s));
	viewplan_done(&s->plan);
	workdir_close(&s->w);
	identity_done(&s->id);
	return true;
}

static bool scene_steps(void *arg)
{
	struct scene *s = arg;
	bool ok;

	CHECK(!s->ordinary || child_ordinary());
	CHECK(!s->one_id || child_one_id(0));
	(void)snprintf(s->base, sizeof(s->base), "/tmp/exeat-unit-XXXXXX");
	CHECK(mkdtemp(s->base) && chmod(s->base, 0755) == 0);
	CHECK(setenv("TMPDIR", s->base, 1) == 0);
	ok = scene_checks(s);
	CHECK(tree_remove(AT_FDCWD, s->base, 0) == 0);
	return ok;
}

static void ordinary_kept(void **state)
{
	struct scene s = { .ordinary = true, .owner = OWNER_CALLER };

	(void)state;
	assert_true(child_run(scene_steps, &s));
}

static void ordinary_fresh(void **state)
{
	struct scene s = { .ordinary = true, .owner = OWNER_FRESH };

	(void)state;
	assert_true(child_run(scene_steps, &s));
}

static void one_id(void **state)
{
	struct scene s = { .ordinary = true, .one_id = true };

	(void)state;
	s.owner = OWNER_CALLER;
	assert_true(child_run(scene_steps, &s));
	s.owner = OWNER_FRESH;
	assert_true(child_run(scene_steps, &s));
}

static void as_root(enum owner owner)
{
	struct scene s = { .owner = owner };

	if (geteuid() != 0)
		skip();
	assert_true(child_run(scene_steps, &s));
}

static void root_own(void **state)
{
	(void)state;
	as_root(OWNER_CALLER);
}

static void root_other(void **state)
{
	(void)state;
	as_root(OWNER_OTHER);
}

static void root_fresh(void **state)
{
	(void)state;
	as_root(OWNER_FRESH);
}

/* ---- refusals ---- */

static bool refuses(struct viewplan_request *rq, const char *path, bool write)
{
	const char *list[] = { path, NULL };
	struct viewplan plan;
	struct err err;

	rq->read_only_paths = write ? NULL : list;
	rq->read_write_paths = write ? list : NULL;
	if (viewplan_make(rq, &plan, &err) == 0) {
		viewplan_done(&plan);
		return false;
	}
	return err.code == ERR_INVALID && strcmp(err.object, path) == 0;
}

static bool refusal_steps(void *unused)
{
	static const char *const bad[] = {
		"/",	 "/proc", "/proc/self", "/sys",		"/sys/class",
		"/dev",	 "/tmp",  "/run",	"/dev/null",	"/nowhere/x",
		"/tmp/", "//",	  "/usr/..",	"/etc/../proc",
	};
	struct scene s = { .owner = OWNER_CALLER };
	struct viewplan_request rq = { .id = &s.id, .work = &s.w };
	char path[160];

	(void)unused;
	CHECK(child_ordinary());
	(void)snprintf(s.base, sizeof(s.base), "/tmp/exeat-unit-XXXXXX");
	CHECK(mkdtemp(s.base) && make_extra(&s) && make_work(&s));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(refuses(&rq, bad[i], false));
	CHECK(refuses(&rq, s.base, false)); /* holds the work dir */
	CHECK(refuses(&rq, s.work, false));
	CHECK(refuses(&rq, "/usr/bin", true));
	CHECK(refuses(&rq, "/etc", true));
	(void)snprintf(path, sizeof(path), "%s/sock", s.ro);
	CHECK(refuses(&rq, path, false));
	CHECK(!refuses(&rq, s.ro, false) && !refuses(&rq, s.rw, true));
	CHECK(!refuses(&rq, "/etc", false) && !refuses(&rq, "/usr", false));
	workdir_close(&s.w);
	identity_done(&s.id);
	CHECK(tree_remove(AT_FDCWD, s.base, 0) == 0);
	return true;
}

static void refusals(void **state)
{
	(void)state;
	assert_true(child_run(refusal_steps, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_kept),
		cmocka_unit_test(ordinary_fresh),
		cmocka_unit_test(one_id),
		cmocka_unit_test(root_own),
		cmocka_unit_test(root_other),
		cmocka_unit_test(root_fresh),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
