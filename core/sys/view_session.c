/* view_session.c - the template of the root, made once by the keeper
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * `root`, a tmpfs, becomes the root. Another one, `scratch`, holds the texts
 * of VIEW_FILE, an empty file and an empty directory, of which read-only
 * clones are put into the view; it goes in the end, the clones live on.
 *
 * root and /dev belong, as files, to uid 0 of the keeper's user namespace,
 * which is the payload's own uid outside: they are read-only mounts in the
 * end. What a run mounts needs its directory before that.
 *
 * A run covers some directories of the template (/tmp, /run). What the
 * session puts below one of them is there all the same, in the template; it
 * is marked, and view_run() takes it from there.
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

/* The root needs room for directories and links only. */
#define ROOT_SIZE (16UL << 20)

/* Where scratch is mounted meanwhile: only an attached mount can be cloned
 * from by every kernel. */
#define SCRATCH_DIR ".exeat-scratch"
#define EMPTY_FILE "empty"
#define EMPTY_DIR "void"

struct session {
	struct view_root root;
	struct view *view;
	int scratch;
	unsigned nfiles; /* in scratch */
	const int *fds;
	unsigned nfds;
};

/* A read-only file or directory of scratch as a detached mount. */
static int clone_scratch(struct session *s, const char *name)
{
	cleanup_fd int mount = mount_clone(s->scratch, name, false);
	int r;

	if (mount < 0)
		return mount;
	r = mount_restrict(mount, INERT, false);
	return r < 0 ? r : fd_steal(&mount);
}

static int open_scratch(struct session *s, struct err *err)
{
	int root = s->root.fd, r;
	cleanup_fd int place = -1, empty = -1;

	s->scratch = mount_new_tmpfs(0, 0755, NO_PRIVILEGE);
	if (s->scratch < 0)
		return lacks(err, -s->scratch, "make scratch", "tmpfs", NULL);
	if (mkdirat(root, SCRATCH_DIR, 0700) < 0)
		return err_sys(err, errno, "make scratch", NULL);
	place = openat(root, SCRATCH_DIR, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0)
		return err_sys(err, errno, "open scratch", NULL);
	r = mount_attach(s->scratch, place);
	if (r < 0)
		return err_sys(err, -r, "attach scratch", NULL);
	empty = openat(s->scratch, EMPTY_FILE,
		       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (empty < 0 || mkdirat(s->scratch, EMPTY_DIR, 0555) < 0)
		return err_sys(err, errno, "fill scratch", NULL);
	return 0;
}

/* The working directory is the new root already. */
static int drop_scratch(struct err *err)
{
	if (umount2(SCRATCH_DIR, MNT_DETACH) < 0 || rmdir(SCRATCH_DIR) < 0)
		return err_sys(err, errno, "drop scratch", NULL);
	return 0;
}

/* -- one function an operation: 0 or -errno -- */

static int op_bind(struct session *s, const struct view_op *op)
{
	uint64_t attr = NO_PRIVILEGE;
	cleanup_fd int mount = mount_clone_path(op->source, true);
	int r;

	if (mount < 0)
		return mount;
	if (op->kind == VIEW_BIND_RO)
		attr |= MOUNT_ATTR_RDONLY;
	r = mount_restrict(mount, attr, true);
	return r < 0 ? r : view_attach(&s->root, mount, op->target);
}

static int op_mount_fd(struct session *s, const struct view_op *op)
{
	int mount, r;

	if (op->fd_index < 0 || (unsigned)op->fd_index >= s->nfds)
		return -EBADF;
	mount = s->fds[op->fd_index];
	r = mount_restrict(mount, NO_PRIVILEGE, true);
	return r < 0 ? r : view_attach(&s->root, mount, op->target);
}

static int op_tmpfs(struct session *s, const struct view_op *op)
{
	cleanup_fd int mount =
		mount_new_tmpfs(op->size, op->mode, NO_PRIVILEGE);
	int r;

	if (mount < 0)
		return mount;
	r = view_attach(&s->root, mount, op->target);
	return r < 0 ? r : view_root_own(&s->root, mount);
}

/* Also the place where a run mounts something. */
static int op_dir(struct session *s, const struct view_op *op)
{
	mode_t mode = op->mode ? op->mode : 0755;
	cleanup_fd int fd = view_make(&s->root, op->target, S_IFDIR | mode);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int op_file(struct session *s, const struct view_op *op)
{
	cleanup_fd int mount = -1, file = -1;
	char name[16];
	int r;

	(void)snprintf(name, sizeof(name), "f%u", s->nfiles++);
	file = openat(s->scratch, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		      0444);
	if (file < 0)
		return -errno;
	r = fd_write_all(file, op->source, strlen(op->source));
	if (r < 0)
		return r;
	mount = clone_scratch(s, name);
	return mount < 0 ? mount : view_attach(&s->root, mount, op->target);
}

/* VIEW_MASK and VIEW_COVER: only what is there. */
static int op_mask(struct session *s, const struct view_op *op)
{
	cleanup_fd int there = view_open(&s->root, op->target);
	cleanup_fd int mount = -1;
	struct stat st;

	if (there < 0)
		return there;
	if (fstat(there, &st) < 0)
		return -errno;
	mount = clone_scratch(s, S_ISDIR(st.st_mode) ? EMPTY_DIR : EMPTY_FILE);
	return mount < 0 ? mount : mount_attach(mount, there);
}

/* The keeper's own; a run mounts its own above. */
static int op_proc(struct session *s, const struct view_op *op)
{
	cleanup_fd int mount =
		mount_new("proc", NULL, NO_PRIVILEGE | MOUNT_ATTR_NOEXEC);

	return mount < 0 ? mount : view_attach(&s->root, mount, op->target);
}

static int bind_device(int dev, const char *name)
{
	char path[32];
	cleanup_fd int mount = -1, place = -1;
	int r;

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	mount = mount_clone(AT_FDCWD, path, false);
	if (mount < 0)
		return mount;
	r = mount_restrict(mount, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
	if (r < 0)
		return r;
	if (mknodat(dev, name, S_IFREG | 0444, 0) < 0)
		return -errno;
	place = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return place < 0 ? -errno : mount_attach(mount, place);
}

static int fill_dev(int dev)
{
	static const char *const devices[] = { "null",	 "zero",    "full",
					       "random", "urandom", "tty" };
	static const struct {
		const char *name, *text;
	} links[] = {
		{ "fd", "/proc/self/fd" },
		{ "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" },
		{ "stderr", "/proc/self/fd/2" },
		{ "ptmx", "pts/ptmx" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i].text, dev, links[i].name) < 0)
			return -errno;
	if (mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 0755) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		int r = bind_device(dev, devices[i]);

		if (r < 0)
			return r;
	}
	return mount_restrict(dev, MOUNT_ATTR_RDONLY, false);
}

static int op_dev(struct session *s, const struct view_op *op)
{
	cleanup_fd int dev = mount_new_tmpfs(
		1 << 20, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	int r;

	if (dev < 0)
		return dev;
	r = view_attach(&s->root, dev, op->target);
	return r < 0 ? r : fill_dev(dev);
}

static int perform(struct session *s, const struct view_op *op)
{
	switch (op->kind) {
	case VIEW_BIND_RO:
	case VIEW_BIND_RW:
		return op_bind(s, op);
	case VIEW_MOUNT_FD:
		return op_mount_fd(s, op);
	case VIEW_TMPFS:
		return op_tmpfs(s, op);
	case VIEW_DIR:
		return op_dir(s, op);
	case VIEW_SYMLINK:
		return view_link(&s->root, op->target, op->source);
	case VIEW_FILE:
		return op_file(s, op);
	case VIEW_MASK:
	case VIEW_COVER:
		return op_mask(s, op);
	case VIEW_PROC:
		return op_proc(s, op);
	case VIEW_DEV:
		return op_dev(s, op);
	case VIEW_LAYERED:
		return view_layer(&s->root, s->scratch, s->view, op);
	}
	return -EINVAL;
}

/* -- the whole -- */

/* Ours by nature: there is no source at run time that could be repeated. */
static bool is_of_run(const struct view_op *op)
{
	return op->per_run && op->kind != VIEW_FILE && op->kind != VIEW_COVER &&
	       op->kind != VIEW_MOUNT_FD && op->kind != VIEW_DEV &&
	       op->kind != VIEW_LAYERED;
}

/* What the template has to hold for an operation of the run. */
static int prepare_for_run(struct session *s, const struct view_op *op)
{
	switch (op->kind) {
	case VIEW_PROC:
		return op_proc(s, op);
	case VIEW_TMPFS:
		return op_dir(s, op);
	case VIEW_BIND_RO:
	case VIEW_BIND_RW:
	case VIEW_MOUNT_FD:
	case VIEW_DIR:
	case VIEW_SYMLINK:
	case VIEW_FILE:
	case VIEW_MASK:
	case VIEW_DEV:
	case VIEW_COVER:
	case VIEW_LAYERED:
		break;
	}
	return 0;
}

/* A missing source, or nothing to mask: left out. */
static bool may_lack(const struct view_op *op, int error)
{
	if (error != -ENOENT && error != -ENOTDIR)
		return false;
	return op->optional || op->kind == VIEW_MASK || op->kind == VIEW_COVER;
}

static int explain(const struct view_op *op, int error, struct err *err)
{
	const char *step = view_step(op->kind);
	/* of a path of the caller's it says nothing about the machine */
	int r = error == -EACCES ? err_sys(err, EACCES, step, "%s", op->path) :
				   lacks(err, -error, step, op->path, NULL);

	if (error == -EROFS)
		err_remedy(err, "make it on the host: nothing is created in "
				"a directory that is the host's");
	else if (error == -EPERM && op->kind == VIEW_PROC)
		err_remedy(err, "in a container: its /proc must not be "
				"partly covered (Docker: --security-opt "
				"systempaths=unconfined)");
	return r;
}

static int do_op(struct session *s, struct view_op *op, struct err *err)
{
	int r;

	free(op->target);
	op->target = NULL;
	op->again = false;
	if (op->laid)
		return 0;
	r = view_resolve(&s->root, op->path, op->kind == VIEW_SYMLINK,
			 &op->target);
	if (r == 0)
		r = is_of_run(op) ? prepare_for_run(s, op) : perform(s, op);
	if (r == 0)
		return 0;
	free(op->target);
	op->target = NULL;
	return may_lack(op, r) ? 0 : explain(op, r, err);
}

static bool lies_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* Mark what a mount of the run will cover. */
static void mark_again(struct view *v)
{
	for (size_t i = 0; i < v->nops; i++) {
		struct view_op *op = &v->ops[i];

		for (size_t j = 0; j < v->nops && op->target; j++) {
			const struct view_op *run = &v->ops[j];

			if (run->target && run->kind == VIEW_TMPFS &&
			    is_of_run(run) && !is_of_run(op) &&
			    lies_below(op->target, run->target))
				op->again = true;
		}
	}
}

static int build(struct session *s, struct view *v, struct err *err)
{
	int r = view_root_own(&s->root, s->root.fd);

	if (r < 0)
		return err_sys(err, -r, "make root", NULL);
	for (size_t i = 0; i < v->nops; i++) {
		r = do_op(s, &v->ops[i], err);
		if (r < 0)
			return r;
	}
	mark_again(v);
	r = mount_root_enter(s->root.fd, err);
	if (r == 0)
		r = drop_scratch(err);
	if (r < 0)
		return r;
	r = mount_restrict(s->root.fd, MOUNT_ATTR_RDONLY, false);
	return r < 0 ? err_sys(err, -r, "make root read-only", NULL) : 0;
}

int view_session(struct view *v, const int *fds, unsigned nfds, struct err *err)
{
	struct session s = {
		.view = v,
		.scratch = -1,
		.fds = fds,
		.nfds = nfds,
	};
	cleanup_fd int root = -1;
	mode_t mask = umask(0);
	int r = mount_root_begin(ROOT_SIZE, &root, err);

	if (r == 0) {
		r = view_root_init(&s.root, root, v->nops + 1);
		if (r < 0)
			err_sys(err, -r, "make root", NULL);
	}
	if (r == 0)
		r = open_scratch(&s, err);
	if (r == 0)
		r = build(&s, v, err);
	view_root_done(&s.root);
	fd_close(&s.scratch);
	umask(mask);
	return r;
}
