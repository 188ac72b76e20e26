/* view_layer.c - a directory of the host with files of ours laid over it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A mount over a file of the host's lasts as long as that file: once the host
 * puts another in its place by rename(2), as editors, package managers and
 * whoever writes resolv.conf do, the kernel takes the mount away in every
 * namespace, and what it covered shows. So in a directory that the host
 * changes nothing is mounted; what is ours stands beside it, by name:
 *
 *	lay	`ours`, a tree on scratch, gets the VIEW_FILEs of the list; a
 *		VIEW_MASK is a whiteout there: no such name
 *	overlay	ours over the host's, read-only: a name of ours is found
 *		first, whatever lies below it, now or later
 *	copy	where the kernel refuses that (mounts below the directory, as
 *		in containers; no overlayfs): ours is completed with copies
 *		of links and small files; folders are bound, but those with
 *		something of ours in them are completed likewise. What the
 *		host changes in what was copied shows in the next session
 *
 * What lies behind a symlink of the host's is not laid by name, but mounted
 * over like anywhere else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/mount.h"
#include "core/sys/view_private.h"

#define READ_ONLY (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY)

enum {
	COPY_MAX = 64 << 10, /* bytes; a larger file is bound */
	BINDS_MAX = 1024,
	DEPTH_MAX = 8, /* of folders with something of ours */
};

struct layer {
	const struct view_root *root;
	const struct view_op *op;
	int scratch, lower, ours;
	char name[16]; /* of ours, in scratch */
	char *binds[BINDS_MAX];
	size_t nbinds;
};

/* -- lay -- */

/* One folder down on both sides. 1: the host's is none. */
static int descend(int *lower, int *ours, const char *name)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int below = openat(*lower, name, flags);
	struct stat st;
	int r = 0;

	if (below < 0)
		return 1;
	if (fstat(below, &st) < 0 ||
	    (mkdirat(*ours, name, st.st_mode & 0777) < 0 && errno != EEXIST))
		r = -errno;
	fd_close(lower);
	*lower = below;
	if (r < 0)
		return r;
	below = openat(*ours, name, flags);
	if (below < 0)
		return -errno;
	fd_close(ours);
	*ours = below;
	return 0;
}

static int put_text(int dir, const char *name, const char *text)
{
	cleanup_fd int file = openat(
		dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);

	return file < 0 ? -errno : fd_write_all(file, text, strlen(text));
}

static int put_whiteout(int lower, int ours, const char *name)
{
	struct stat st;

	if (fstatat(lower, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* there is nothing to hide */
	return mknodat(ours, name, S_IFCHR, makedev(0, 0)) < 0 &&
			       errno != EEXIST ?
		       -errno :
		       0;
}

/* `rel` is the operation's path below the directory. 1: not by name. */
static int lay_one(const struct layer *l, const struct view_op *op,
		   const char *rel)
{
	cleanup_fd int lower = fcntl(l->lower, F_DUPFD_CLOEXEC, 0);
	cleanup_fd int ours = fcntl(l->ours, F_DUPFD_CLOEXEC, 0);
	char name[NAME_MAX + 1];
	size_t len;

	if (lower < 0 || ours < 0)
		return -errno;
	for (; (len = strcspn(rel, "/")) < strlen(rel); rel += len + 1) {
		int r;

		if (len == 0 || len > NAME_MAX)
			return 1;
		memcpy(name, rel, len);
		name[len] = '\0';
		r = descend(&lower, &ours, name);
		if (r != 0)
			return r;
	}
	return op->kind == VIEW_FILE ? put_text(ours, rel, op->source) :
				       put_whiteout(lower, ours, rel);
}

static int lay(const struct layer *l, struct view *v)
{
	size_t len = strlen(l->op->path);

	for (size_t i = (size_t)(l->op - v->ops) + 1; i < v->nops; i++) {
		struct view_op *op = &v->ops[i];
		int r;

		if ((op->kind != VIEW_FILE && op->kind != VIEW_MASK) ||
		    op->per_run || strncmp(op->path, l->op->path, len) != 0 ||
		    op->path[len] != '/' || strstr(op->path + len, "/."))
			continue;
		r = lay_one(l, op, op->path + len + 1);
		if (r < 0)
			return r;
		op->laid = r == 0;
	}
	return 0;
}

/* -- overlay -- */

static int overlay(const struct layer *l)
{
	char dirs[256];
	const struct mount_option options[] = {
		{ "lowerdir", dirs },
		/* only for writing; the kernel's log need not say so */
		{ "xino", "off" },
		{ "index", "off" },
		{ "nfs_export", "off" },
		{ NULL, NULL },
	};
	cleanup_fd int mount = -1;
	int n = snprintf(dirs, sizeof(dirs), "%s:%s", l->name, l->op->source);

	/* the path would have to be escaped, by kernels in different ways */
	if ((size_t)n >= sizeof(dirs) || strpbrk(l->op->source, ":,\\"))
		return -EINVAL;
	if (fchdir(l->scratch) < 0)
		return -errno;
	mount = mount_new("overlay", options, READ_ONLY);
	return mount < 0 ? mount : view_attach(l->root, mount, l->op->target);
}

/* -- copy -- */

static int bind_later(struct layer *l, const char *rel)
{
	if (l->nbinds == BINDS_MAX)
		return -E2BIG;
	l->binds[l->nbinds] = strdup(rel);
	return l->binds[l->nbinds++] ? 0 : -ENOMEM;
}

static int copy_file(int lower, int ours, const char *name, mode_t mode)
{
	cleanup_free char *text = NULL;
	cleanup_fd int file = -1;
	size_t len;
	int r = fd_read_file(lower, name, COPY_MAX, &text, &len);

	if (r == -EACCES || r == -ENOENT)
		return 0; /* nor could the payload read it */
	if (r < 0)
		return r;
	file = openat(ours, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		      (mode & 0555) | 0400);
	return file < 0 ? -errno : fd_write_all(file, text, len);
}

static int copy_link(int lower, int ours, const char *name)
{
	char text[PATH_MAX];
	ssize_t len = readlinkat(lower, name, text, sizeof(text) - 1);

	if (len < 0)
		return errno == ENOENT ? 0 : -errno;
	text[len] = '\0';
	return symlinkat(text, ours, name) < 0 ? -errno : 0;
}

/* What is not ours, as `st` says that it is; `rel` is below the directory. */
static int take(struct layer *l, int lower, int ours, const char *rel,
		const char *name, const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return copy_link(lower, ours, name);
	if (S_ISREG(st->st_mode) && st->st_size <= COPY_MAX)
		return copy_file(lower, ours, name, st->st_mode);
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0; /* sockets, pipes */
	if (S_ISDIR(st->st_mode) ? mkdirat(ours, name, 0755) < 0 :
				   mknodat(ours, name, S_IFREG | 0444, 0) < 0)
		return -errno;
	return bind_later(l, rel);
}

static int complete(struct layer *l, int lower, int ours, const char *rel,
		    unsigned depth);

static int complete_one(struct layer *l, int lower, int ours, const char *rel,
			const char *name, unsigned depth)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	cleanup_fd int lower_dir = -1, our_dir = -1;
	struct stat st, own;

	if (fstatat(lower, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone meanwhile */
	if (fstatat(ours, name, &own, AT_SYMLINK_NOFOLLOW) < 0)
		return take(l, lower, ours, rel, name, &st);
	if (S_ISCHR(own.st_mode)) /* what it stands for is not taken */
		return unlinkat(ours, name, 0) < 0 ? -errno : 0;
	if (!S_ISDIR(own.st_mode) || !S_ISDIR(st.st_mode))
		return 0;
	lower_dir = openat(lower, name, flags);
	our_dir = openat(ours, name, flags);
	if (lower_dir < 0 || our_dir < 0)
		return -errno;
	return complete(l, lower_dir, our_dir, rel, depth + 1);
}

static int complete(struct layer *l, int lower, int ours, const char *rel,
		    unsigned depth)
{
	char path[PATH_MAX];
	struct dirent *e;
	int fd, r = 0;
	DIR *dir;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	fd = openat(lower, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(dir))) {
		int n = snprintf(path, sizeof(path), "%s%s%s", rel,
				 *rel ? "/" : "", e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = (size_t)n >= sizeof(path) ?
			    -ENAMETOOLONG :
			    complete_one(l, lower, ours, path, e->d_name,
					 depth);
	}
	(void)closedir(dir);
	return r;
}

static int bind_one(const struct layer *l, const char *rel)
{
	cleanup_fd int mount = mount_clone(l->lower, rel, true);
	char target[PATH_MAX];
	int n, r;

	if (mount < 0)
		return mount == -ENOENT ? 0 : mount;
	r = mount_restrict(mount, READ_ONLY, true);
	n = snprintf(target, sizeof(target), "%s/%s", l->op->target, rel);
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	return r < 0 ? r : view_attach(l->root, mount, target);
}

static int copy(struct layer *l)
{
	cleanup_fd int mount = -1;
	int r = complete(l, l->lower, l->ours, "", 0);

	if (r < 0)
		return r;
	mount = mount_clone(l->scratch, l->name, false);
	if (mount < 0)
		return mount;
	r = mount_restrict(mount, READ_ONLY, false);
	if (r == 0)
		r = view_attach(l->root, mount, l->op->target);
	for (size_t i = 0; r == 0 && i < l->nbinds; i++)
		r = bind_one(l, l->binds[i]);
	return r;
}

/* -- the whole -- */

static int put_layer(struct layer *l, struct view *v)
{
	int r;

	(void)snprintf(l->name, sizeof(l->name), "ours-%zu",
		       (size_t)(l->op - v->ops));
	l->lower = open(l->op->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->lower < 0)
		return -errno;
	if (mkdirat(l->scratch, l->name, 0755) < 0)
		return -errno;
	l->ours = openat(l->scratch, l->name,
			 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->ours < 0)
		return -errno;
	r = lay(l, v);
	if (r == 0 && overlay(l) < 0)
		r = copy(l);
	return r;
}

int view_layer(const struct view_root *root, int scratch, struct view *v,
	       const struct view_op *op)
{
	struct layer *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct layer){
		.root = root,
		.op = op,
		.scratch = scratch,
		.lower = -1,
		.ours = -1,
	};
	r = put_layer(l, v);
	fd_close(&l->lower);
	fd_close(&l->ours);
	for (size_t i = 0; i < l->nbinds; i++)
		free(l->binds[i]);
	free(l);
	return r;
}
