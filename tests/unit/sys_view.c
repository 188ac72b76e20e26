/* sys_view.c - paths that want to leave the root, sources that are not there,
 * mounts that are passed
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a payload sees of a whole view: backends_userns.c.
 */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "core/sys/mount.h"
#include "core/sys/view.h"
#include "tests/unit/sys_child.h"

/* A tree of the host: rw/, rw/out -> /../../escaped, rw/up -> ../../up, ... */
static char tree[] = "/tmp/exeat-view-XXXXXX";
static char rw[64];

static void add(struct child *c, struct view *v, struct view_op op)
{
	CHILD_CHECK(c, view_add(v, &op) == 0);
}

#define OP(k, p, s)                                          \
	(struct view_op)                                     \
	{                                                    \
		.kind = (k), .path = (char *)(uintptr_t)(p), \
		.source = (char *)(uintptr_t)(s)             \
	}

static void become_keeper(struct child *c)
{
	struct err err;
	char text[512];
	int r = isolate_identity(child_uid(), child_gid(), &err);

	if (r == 0)
		r = isolate_userns(0, 0, &err);
	if (r == 0)
		r = isolate_pid1(CLONE_NEWNS, &err);
	if (r < 0)
		child_fail(c, "%s", err_str(&err, text, sizeof(text)));
}

static void session(struct child *c, struct view *v)
{
	struct err err;
	char text[512];

	if (view_session(v, NULL, 0, &err) < 0)
		child_fail(c, "%s", err_str(&err, text, sizeof(text)));
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* -- links -- */

static void follow_links(struct child *c, void *arg)
{
	struct view v;

	(void)arg;
	become_keeper(c);
	view_init(&v);
	add(c, &v, OP(VIEW_BIND_RW, "/rw", rw));
	add(c, &v, OP(VIEW_FILE, "/rw/out", "out"));
	add(c, &v, OP(VIEW_FILE, "/rw/up", "up"));
	add(c, &v, OP(VIEW_DIR, "/rw/dir/below", NULL));
	add(c, &v, OP(VIEW_FILE, "/rw/dangling/deep", "deep"));
	add(c, &v, OP(VIEW_DIR, "/a/../b/./c//d", NULL));
	session(c, &v);
	/* each inside, however many ".." there were */
	CHILD_CHECK(c, exists("/escaped/file"));
	CHILD_CHECK(c, exists("/up"));
	CHILD_CHECK(c, exists("/made/below"));
	CHILD_CHECK(c, exists("/nowhere/deep"));
	CHILD_CHECK(c, exists("/b/c/d") && !exists("/a"));
	view_done(&v);
}

/* A step that must fail, with this errno and object. */
struct refusal {
	enum view_kind kind;
	const char *path, *source;
	int errnum;
};

static void refuse(struct child *c, void *arg)
{
	const struct refusal *row = arg;
	struct view v;
	struct err err;
	int r;

	become_keeper(c);
	view_init(&v);
	add(c, &v, OP(VIEW_BIND_RW, "/rw", rw));
	add(c, &v, OP(VIEW_BIND_RO, "/etc", "/etc"));
	add(c, &v, OP(row->kind, row->path, row->source));
	err_clear(&err);
	r = view_session(&v, NULL, 0, &err);
	if (r != -row->errnum)
		child_fail(c, "%s: %d instead of -%d", row->path, r,
			   row->errnum);
	CHILD_CHECK(c, strcmp(err.object, row->path) == 0);
	view_done(&v);
}

static void refusals(void **state)
{
	char link_to_root[96];
	const struct refusal rows[] = {
		/* nothing is created in a directory that is the host's */
		{ VIEW_DIR, "/rw/new", NULL, EROFS },
		{ VIEW_FILE, "/rw/new", "text", EROFS },
		{ VIEW_FILE, "/etc/exeat-none", "text", EROFS },
		{ VIEW_SYMLINK, "/rw/link", "text", EROFS },
		{ VIEW_BIND_RO, "/x", "/no/such/source", ENOENT },
		/* nor is a link of the payload's followed */
		{ VIEW_BIND_RO, "/x", link_to_root, ELOOP },
		{ VIEW_FILE, "/rw/loop", "text", ELOOP },
		{ VIEW_BIND_RO, "/rw/file", "/usr", ENOTDIR },
		{ VIEW_FILE, "/rw", "text", EISDIR },
		{ VIEW_DIR, "/rw/file", NULL, ENOTDIR },
		{ VIEW_SYMLINK, "/rw/up", "another", EEXIST },
		{ VIEW_MOUNT_FD, "/x", NULL, EBADF },
	};
	char path[96];

	(void)state;
	(void)snprintf(link_to_root, sizeof(link_to_root), "%s/dangling", rw);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refusal row = rows[i];

		in_child(refuse, &row);
	}
	(void)snprintf(path, sizeof(path), "%s/new", rw);
	assert_false(exists(path));
	(void)snprintf(path, sizeof(path), "%s/link", rw);
	assert_false(exists(path));
}

static void links(void **state)
{
	(void)state;
	in_child(follow_links, NULL);
	assert_false(exists("/escaped"));
	assert_false(exists("/made"));
}

/* -- sockets that lie there -- */

static void cover_socket(struct child *c, void *arg)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;
	struct view v;

	(void)arg;
	become_keeper(c);
	view_init(&v);
	add(c, &v, OP(VIEW_BIND_RW, "/rw", rw));
	add(c, &v, OP(VIEW_COVER, "/rw/sock", NULL));
	add(c, &v, OP(VIEW_COVER, "/rw/gone", NULL));
	session(c, &v);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/rw/sock");
	CHILD_CHECK(c, stat("/rw/sock", &st) == 0 && S_ISREG(st.st_mode));
	CHILD_CHECK(c, connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0);
	CHILD_CHECK(c, errno == ECONNREFUSED);
	CHILD_CHECK(c, unlink("/rw/sock") < 0 && errno == EBUSY);
	(void)close(fd);
	view_done(&v);
}

static void cover(void **state)
{
	(void)state;
	in_child(cover_socket, NULL);
}

/* -- binds of a run, from the template -- */

static void bind_in_run(struct child *c, void *arg)
{
	struct view v;
	struct err err;
	struct view_op tmp = OP(VIEW_TMPFS, "/tmp", NULL);
	struct view_op bind = OP(VIEW_BIND_RO, "/tmp/w", "/parked/w");
	struct view_op mask = OP(VIEW_MASK, "/parked", NULL);
	char text[512];

	(void)arg;
	become_keeper(c);
	view_init(&v);
	tmp.per_run = bind.per_run = mask.per_run = true;
	tmp.mode = 01777;
	add(c, &v, OP(VIEW_BIND_RW, "/parked/w", rw));
	add(c, &v, tmp);
	add(c, &v, bind);
	add(c, &v, mask);
	session(c, &v);
	CHILD_CHECK(c, exists("/parked/w/file") && !exists("/tmp/w"));
	CHILD_CHECK(c, unshare(CLONE_NEWNS) == 0);
	if (view_run(&v, &err) < 0)
		child_fail(c, "%s", err_str(&err, text, sizeof(text)));
	CHILD_CHECK(c, exists("/tmp/w/file") && !exists("/parked/w"));
	CHILD_CHECK(c, open("/tmp/w/file", O_WRONLY | O_CLOEXEC) < 0 &&
			       errno == EROFS);
	CHILD_CHECK(c, mkdir("/parked/x", 0700) < 0 && errno == EROFS);
	view_done(&v);
}

static void run_binds(void **state)
{
	(void)state;
	in_child(bind_in_run, NULL);
}

/* -- mounts that real root passes -- */

static void pass_mount(struct child *c, void *arg)
{
	struct view v;
	struct err err;
	char text[512];
	int mount = mount_clone(AT_FDCWD, tree, true);

	(void)arg;
	CHILD_CHECK(c, mount >= 0);
	become_keeper(c);
	view_init(&v);
	add(c, &v, OP(VIEW_MOUNT_FD, "/w", NULL));
	if (view_session(&v, &mount, 1, &err) < 0)
		child_fail(c, "%s", err_str(&err, text, sizeof(text)));
	CHILD_CHECK(c, exists("/w/rw/file"));
	CHILD_CHECK(c, !exists("/tmp"));
	view_done(&v);
}

static void mount_fd(void **state)
{
	(void)state;
	if (geteuid() != 0 || child_uid() == 0)
		skip(); /* only real root has such mounts */
	in_child(pass_mount, NULL);
}

/* -- the tree -- */

static int make_tree(void **state)
{
	static const struct {
		const char *name, *text;
	} symlinks[] = {
		{ "out", "/../../escaped/file" },
		{ "up", "../../../up" },
		{ "dir", "/made" },
		{ "dangling", "/nowhere" },
		{ "loop", "loop" },
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	cleanup_fd int dir = -1, sock = -1;

	(void)state;
	if (!mkdtemp(tree) || chmod(tree, 0755) < 0)
		return -1;
	(void)snprintf(rw, sizeof(rw), "%s/rw", tree);
	if (mkdir(rw, 0755) < 0 || chown(rw, child_uid(), child_gid()) < 0)
		return -1;
	dir = open(rw, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fd_write_file(dir, "file", "text") < 0 ||
	    fchownat(dir, "file", child_uid(), child_gid(), 0) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(symlinks) / sizeof(symlinks[0]); i++)
		if (symlinkat(symlinks[i].text, dir, symlinks[i].name) < 0)
			return -1;
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", rw);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(sock, (struct sockaddr *)&sa, sizeof(sa));
}

static int remove_tree(void **state)
{
	static const char *const names[] = { "out",  "up",   "dir", "dangling",
					     "loop", "file", "sock" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", rw, names[i]);
		if (unlink(path) < 0)
			return -1;
	}
	/* fails if anything was created on the host */
	return rmdir(rw) < 0 || rmdir(tree) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),    cmocka_unit_test(refusals),
		cmocka_unit_test(cover),    cmocka_unit_test(run_binds),
		cmocka_unit_test(mount_fd),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
