/* sys_layer.c - files of ours over a directory that the host goes on changing
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host is a process that stays outside of every namespace and replaces, by
 * rename(2), what the view covers: with overlayfs, and with a mount below the
 * directory that the kernel will not let an overlay uncover.
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
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "core/sys/view.h"
#include "tests/unit/sys_child.h"

#define OVERLAY_MAGIC 0x794c7630

enum { BIG = 200 << 10 };

static char tree[32];

/* -- the host -- */

static void host_put(struct child *c, const char *name, const char *text)
{
	cleanup_fd int dir = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHILD_CHECK(c, fd_write_file(dir, "next", text) == 0);
	CHILD_CHECK(c, fchmodat(dir, "next", 0644, 0) == 0);
	CHILD_CHECK(c, renameat(dir, "next", dir, name) == 0);
}

/* A folder with another `secret` takes the place of the one that is there. */
static void host_put_folder(struct child *c)
{
	cleanup_fd int dir = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHILD_CHECK(c, renameat(dir, "sub", dir, "former") == 0);
	CHILD_CHECK(c, mkdirat(dir, "sub", 0755) == 0);
	host_put(c, "sub/secret", "secret of the host\n");
	host_put(c, "sub/other", "other\n");
}

/* Its end of the socket, by which it is told when. */
static int host_start(struct child *c)
{
	int pair[2];
	char byte;

	CHILD_CHECK(c, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				  pair) == 0);
	if (fork() != 0) {
		fd_close(&pair[1]);
		return pair[0];
	}
	fd_close(&pair[0]);
	if (read(pair[1], &byte, 1) != 1)
		_exit(0);
	host_put(c, "hosts", "of the host\n");
	host_put(c, "link", "of the host\n");
	host_put(c, "sub/secret", "secret of the host\n");
	host_put_folder(c);
	CHILD_CHECK(c, write(pair[1], &byte, 1) == 1);
	_exit(0);
}

static void host_change(struct child *c, int host)
{
	char byte = 0;

	CHILD_CHECK(c, write(host, &byte, 1) == 1);
	CHILD_CHECK(c, read(host, &byte, 1) == 1);
}

/* -- the session -- */

static void sees(struct child *c, const char *path, const char *text)
{
	cleanup_free char *found = NULL;
	int r = fd_read_file(AT_FDCWD, path, 2 * BIG, &found, NULL);

	if (r < 0 || strcmp(found, text) != 0)
		child_fail(c, "%s: %d, %s", path, r, r < 0 ? "" : found);
}

static bool is_missing(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && errno == ENOENT;
}

static bool is_read_only(const char *path)
{
	return open(path, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS;
}

static void sees_ours(struct child *c)
{
	sees(c, "/etc/hosts", "ours\n");
	sees(c, "/etc/link", "ours\n");
	sees(c, "/etc/new", "ours\n");
	sees(c, "/etc/sub/new", "ours\n");
	CHILD_CHECK(c, is_read_only("/etc/hosts"));
	CHILD_CHECK(c, is_missing("/etc/sub/secret"));
	CHILD_CHECK(c, is_missing("/etc/hidden"));
	CHILD_CHECK(c, is_missing("/etc/nothing"));
}

static void sees_the_rest(struct child *c)
{
	struct stat st;

	sees(c, "/etc/plain", "plain\n");
	sees(c, "/etc/away", "plain\n");
	sees(c, "/etc/sub/other", "other\n");
	sees(c, "/etc/folder/file", "file\n");
	CHILD_CHECK(c, stat("/etc/big", &st) == 0 && st.st_size == BIG);
	CHILD_CHECK(c, is_read_only("/etc/plain"));
	CHILD_CHECK(c, mkdir("/etc/x", 0755) < 0 && errno == EROFS);
	CHILD_CHECK(c, mkdir("/etc/sub/x", 0755) < 0 && errno == EROFS);
	CHILD_CHECK(c, mkdir("/etc/folder/x", 0755) < 0 && errno == EROFS);
}

static void plan(struct child *c, struct view *v)
{
	static const struct {
		enum view_kind kind;
		const char *path, *source;
	} ops[] = {
		{ VIEW_LAYERED, "/etc", tree },
		{ VIEW_FILE, "/etc/hosts", "ours\n" },
		{ VIEW_FILE, "/etc/link", "ours\n" },
		{ VIEW_FILE, "/etc/new", "ours\n" },
		{ VIEW_FILE, "/etc/sub/new", "ours\n" },
		{ VIEW_MASK, "/etc/sub/secret", NULL },
		{ VIEW_MASK, "/etc/hidden", NULL },
		{ VIEW_MASK, "/etc/nothing", NULL },
		/* behind a link of the host's: by a mount */
		{ VIEW_MASK, "/etc/way/masked", NULL },
	};

	view_init(v);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		const struct view_op op = {
			.kind = ops[i].kind,
			.path = (char *)(uintptr_t)ops[i].path,
			.source = (char *)(uintptr_t)ops[i].source,
		};

		CHILD_CHECK(c, view_add(v, &op) == 0);
	}
}

static void check(struct child *c, const struct err *err, int r)
{
	char text[512];

	if (r < 0)
		child_fail(c, "%s", err_str(err, text, sizeof(text)));
}

static bool is_overlay(void)
{
	struct statfs fs;

	return statfs("/etc", &fs) == 0 && fs.f_type == OVERLAY_MAGIC;
}

/* In a mount namespace that the keeper's is less privileged than. */
static void mount_below(struct child *c)
{
	char path[64];
	struct err err;

	(void)snprintf(path, sizeof(path), "%s/hosts", tree);
	check(c, &err, isolate_userns(0, 0, &err));
	CHILD_CHECK(c, unshare(CLONE_NEWNS) == 0);
	CHILD_CHECK(c, mount(path, path, NULL, MS_BIND, NULL) == 0);
}

static void in_session(struct child *c, void *arg)
{
	const bool *with_mount = arg;
	struct err err;
	struct view v;
	int host;

	check(c, &err, isolate_identity(child_uid(), child_gid(), &err));
	host = host_start(c);
	if (*with_mount)
		mount_below(c);
	check(c, &err, isolate_userns(0, 0, &err));
	check(c, &err, isolate_pid1(CLONE_NEWNS, &err));
	plan(c, &v);
	check(c, &err, view_session(&v, NULL, 0, &err));
	CHILD_CHECK(c, !*with_mount || !is_overlay());
	sees_ours(c);
	sees_the_rest(c);
	sees(c, "/etc/folder/masked", "");
	host_change(c, host);
	sees_ours(c);
	sees_the_rest(c);
	CHILD_CHECK(c, unshare(CLONE_NEWNS) == 0);
	check(c, &err, view_run(&v, &err));
	sees_ours(c);
	sees_the_rest(c);
	view_done(&v);
	fd_close(&host);
}

static void overlaid(void **state)
{
	bool with_mount = false;

	(void)state;
	in_child(in_session, &with_mount);
}

static void copied(void **state)
{
	bool with_mount = true;

	(void)state;
	in_child(in_session, &with_mount);
}

/* -- the tree -- */

static const char *const files[][2] = {
	{ "hosts", "of the host\n" },	 { "plain", "plain\n" },
	{ "hidden", "hidden\n" },	 { "sub/secret", "secret\n" },
	{ "sub/other", "other\n" },	 { "folder/file", "file\n" },
	{ "folder/masked", "masked\n" }, { "big", "" },
};

static int make_tree(void **state)
{
	cleanup_fd int dir = -1;
	char big[48];

	(void)state;
	(void)snprintf(tree, sizeof(tree), "/tmp/exeat-layer-XXXXXX");
	if (!mkdtemp(tree) || chmod(tree, 0755) < 0)
		return -1;
	dir = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || mkdirat(dir, "sub", 0755) < 0 ||
	    mkdirat(dir, "folder", 0755) < 0 ||
	    symlinkat("/nowhere/else", dir, "link") < 0 ||
	    symlinkat("plain", dir, "away") < 0 ||
	    symlinkat("folder", dir, "way") < 0)
		return -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (fd_write_file(dir, files[i][0], files[i][1]) < 0 ||
		    fchmodat(dir, files[i][0], 0644, 0) < 0)
			return -1;
	(void)snprintf(big, sizeof(big), "%s/big", tree);
	if (truncate(big, BIG) < 0 || fchown(dir, child_uid(), child_gid()) < 0)
		return -1;
	return fchownat(dir, "sub", child_uid(), child_gid(), 0);
}

static int remove_tree(void **state)
{
	static const char *const names[] = {
		"hosts",	 "plain",	"hidden",	 "link",
		"away",		 "way",		"big",		 "next",
		"sub/secret",	 "sub/other",	"former/secret", "former/other",
		"folder/masked", "folder/file", "sub",		 "former",
		"folder",
	};
	cleanup_fd int dir = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (unlinkat(dir, names[i], 0) < 0)
			(void)unlinkat(dir, names[i], AT_REMOVEDIR);
	return rmdir(tree); /* fails if anything else was made there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(overlaid, make_tree,
						remove_tree),
		cmocka_unit_test_setup_teardown(copied, make_tree, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
