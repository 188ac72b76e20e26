/* view_run.c - the parts of the root that every run has of its own
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A run pays for every mount twice, when it is made and when it goes: only
 * /tmp, /dev/shm, /dev/pts, /run and /proc are made here, the rest is copied
 * with the keeper's mount namespace.
 *
 * In this order: clones of what the run's mounts are going to cover or need
 * from the template; the run's mounts; then what lies on them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/lacks.h"
#include "core/sys/mount.h"
#include "core/sys/view_private.h"

#define NO_PRIVILEGE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define INERT (NO_PRIVILEGE | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY)

struct run {
	struct view_root root;
	int *clones; /* one an operation; -1: none */
};

/* -- clones -- */

static bool is_bind(const struct view_op *op)
{
	return op->kind == VIEW_BIND_RO || op->kind == VIEW_BIND_RW;
}

/* Where in the template the mount of an operation is to be had, or NULL. */
static const char *clone_source(const struct view_op *op)
{
	if (!op->target)
		return NULL;
	if (op->per_run && is_bind(op))
		return op->source + strspn(op->source, "/");
	if (!op->again || op->kind == VIEW_DIR || op->kind == VIEW_SYMLINK)
		return NULL;
	return op->target;
}

static int take_clone(struct run *run, const struct view_op *op, int *ret)
{
	const char *source = clone_source(op);
	cleanup_fd int place = -1, mount = -1;
	uint64_t attr = NO_PRIVILEGE;
	int r;

	if (!source)
		return 0;
	place = view_open(&run->root, source);
	if (place < 0)
		return place;
	mount = open_tree(place, "",
			  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
				  AT_EMPTY_PATH);
	if (mount < 0)
		return -errno;
	if (op->per_run && is_bind(op)) {
		if (op->kind == VIEW_BIND_RO)
			attr |= MOUNT_ATTR_RDONLY;
		r = mount_restrict(mount, attr, true);
		if (r < 0)
			return r;
	}
	*ret = fd_steal(&mount);
	return 0;
}

/* -- /proc -- */

/* A read-only copy of a part of /proc, or /dev/null, over that part. */
static int cover_proc(const struct view_root *root, const char *proc,
		      const char *name, const char *by)
{
	char path[64];
	cleanup_fd int place = -1, mount = -1;
	int n = snprintf(path, sizeof(path), "%s/%s", proc, name);
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int r;

	if ((size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	place = view_open(root, path);
	if (place == -ENOENT)
		return 0; /* not in this kernel */
	if (place < 0)
		return place;
	mount = mount_clone(root->fd, by ? by : path, false);
	if (mount < 0)
		return mount;
	if (!by)
		attr |= MOUNT_ATTR_RDONLY;
	r = mount_restrict(mount, attr, false);
	return r < 0 ? r : mount_attach(mount, place);
}

static int run_proc(struct run *run, const struct view_op *op)
{
	static const char *const read_only[] = { "sys", "sysrq-trigger" };
	static const char *const masked[] = { "kcore", "keys", "timer_list" };
	cleanup_fd int proc =
		mount_new("proc", NULL, NO_PRIVILEGE | MOUNT_ATTR_NOEXEC);
	int r;

	if (proc < 0)
		return proc;
	r = view_attach(&run->root, proc, op->target);
	for (size_t i = 0; i < 2 && r == 0; i++)
		r = cover_proc(&run->root, op->target, read_only[i], NULL);
	for (size_t i = 0; i < 3 && r == 0; i++)
		r = cover_proc(&run->root, op->target, masked[i], "dev/null");
	return r;
}

/* -- the other operations of a run -- */

static int run_tmpfs_at(struct run *run, const char *target, uint64_t size,
			uint32_t mode)
{
	cleanup_fd int mount = mount_new_tmpfs(size, mode, NO_PRIVILEGE);
	int r;

	if (mount < 0)
		return mount;
	r = view_attach(&run->root, mount, target);
	return r < 0 ? r : view_root_own(&run->root, mount);
}

static int run_dev(struct run *run, const struct view_op *op)
{
	static const struct mount_option options[] = {
		{ "newinstance", NULL },
		{ "ptmxmode", "0666" },
		{ "mode", "0620" },
		{ NULL, NULL },
	};
	cleanup_fd int pts = mount_new("devpts", options,
				       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	char path[64];
	int r;

	if (pts < 0)
		return pts;
	(void)snprintf(path, sizeof(path), "%s/pts", op->target);
	r = view_attach(&run->root, pts, path);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/shm", op->target);
	return run_tmpfs_at(run, path, op->size, 01777);
}

static int run_mask(struct run *run, const struct view_op *op)
{
	cleanup_fd int place = view_open(&run->root, op->target);
	cleanup_fd int mount = -1;
	struct stat st;
	int r;

	if (place < 0)
		return place == -ENOENT ? 0 : place;
	if (fstat(place, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		mount = mount_new_tmpfs(4096, 0555, INERT);
		return mount < 0 ? mount : mount_attach(mount, place);
	}
	mount = mount_clone(run->root.fd, "dev/null", false);
	if (mount < 0)
		return mount;
	r = mount_restrict(mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
	return r < 0 ? r : mount_attach(mount, place);
}

static int run_dir(struct run *run, const struct view_op *op)
{
	mode_t mode = op->mode ? op->mode : 0755;
	cleanup_fd int fd = view_make(&run->root, op->target, S_IFDIR | mode);

	return fd < 0 ? fd : 0;
}

static int perform(struct run *run, const struct view_op *op, int clone)
{
	if (clone >= 0)
		return view_attach(&run->root, clone, op->target);
	switch (op->kind) {
	case VIEW_TMPFS:
		return run_tmpfs_at(run, op->target, op->size, op->mode);
	case VIEW_PROC:
		return run_proc(run, op);
	case VIEW_DEV:
		return run_dev(run, op);
	case VIEW_DIR:
		return run_dir(run, op);
	case VIEW_SYMLINK:
		return view_link(&run->root, op->target, op->source);
	case VIEW_MASK:
		return run_mask(run, op);
	case VIEW_BIND_RO:
	case VIEW_BIND_RW:
	case VIEW_MOUNT_FD:
	case VIEW_FILE:
	case VIEW_COVER:
	case VIEW_LAYERED:
		break; /* they came as clones */
	}
	return 0;
}

/* First the mounts of the run, then what the session put below them. */
static bool is_due(const struct view_op *op, bool again)
{
	if (!op->target)
		return false;
	if (again)
		return op->again;
	return !op->again &&
	       (op->per_run || op->kind == VIEW_DEV || op->kind == VIEW_PROC);
}

static int pass(struct run *run, const struct view *v, bool again,
		struct err *err)
{
	for (size_t i = 0; i < v->nops; i++) {
		const struct view_op *op = &v->ops[i];
		int r;

		if (!is_due(op, again))
			continue;
		r = perform(run, op, run->clones[i]);
		if (r < 0)
			return lacks(err, -r, view_step(op->kind), op->path,
				     NULL);
	}
	return 0;
}

static int build(struct run *run, const struct view *v, struct err *err)
{
	int r;

	for (size_t i = 0; i < v->nops; i++) {
		r = take_clone(run, &v->ops[i], &run->clones[i]);
		if (r < 0)
			return err_sys(err, -r, "find in the template", "%s",
				       v->ops[i].path);
	}
	r = pass(run, v, false, err);
	return r < 0 ? r : pass(run, v, true, err);
}

int view_run(const struct view *v, struct err *err)
{
	cleanup_fd int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct run run = { .clones = NULL };
	mode_t mask;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "open", "/");
	r = view_root_init(&run.root, fd, v->nops + 1);
	run.clones = calloc(v->nops + 1, sizeof(*run.clones));
	if (r < 0 || !run.clones) {
		r = err_sys(err, ENOMEM, "make the run's root", NULL);
	} else {
		for (size_t i = 0; i < v->nops; i++)
			run.clones[i] = -1;
		mask = umask(0);
		r = build(&run, v, err);
		umask(mask);
		for (size_t i = 0; i < v->nops; i++)
			fd_close(&run.clones[i]);
	}
	free(run.clones);
	view_root_done(&run.root);
	return r;
}
