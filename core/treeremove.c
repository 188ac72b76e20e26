/* treeremove.c - a tree that a payload made, removed
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted. Each folder has to be emptied before it can
 * go, and depth costs descriptors: so it goes REMOVE_DEPTH levels down at most
 * and moves what is deeper to the top of the tree, where the next round finds
 * it.
 *
 * A mount in it is passed over by what the kernel says of the path, not by the
 * device: a folder can be mounted on another of the same file system, and be a
 * device of its own without a mount (a subvolume, which a payload can make).
 * Nor is rmdir(2) asked: who is in another mount namespace than the descriptor
 * that he has is not told that there is a mount (EBUSY).
 */
#include "core/treeremove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"

enum {
	REMOVE_DEPTH = 32,
	REMOVE_CHUNK = 4096, /* bytes of names read at once, per level */
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct removal {
	int top; /* the root of the tree */
	int64_t deadline;
	uint64_t names; /* tried, for folders moved up */
	uint64_t moved;
};

static int open_one(int dirfd, const char *name, int flags, uint64_t resolve)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_DIRECTORY | O_NOFOLLOW |
				    O_CLOEXEC),
		.resolve = resolve,
	};
	int fd = sys_openat2(dirfd, name, &how);

	return fd < 0 ? -errno : fd;
}

/* Open a folder that can be read only when it was given the right. */
static int open_closed(int dirfd, const char *name, uint64_t resolve)
{
	cleanup_fd int path = open_one(dirfd, name, O_PATH, resolve);
	char proc[64];
	int fd;

	if (path < 0)
		return path;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	if (chmod(proc, 0700) < 0)
		return -errno;
	fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* An open folder, given rights if its maker took them away. */
static int open_folder(int dirfd, const char *name, uint64_t resolve)
{
	int fd = open_one(dirfd, name, O_RDONLY, resolve);
	struct stat st;

	if (fd == -EACCES)
		fd = open_closed(dirfd, name, resolve);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	/* readable, but nothing in it may be named or removed */
	if ((st.st_mode & S_IRWXU) != S_IRWXU)
		(void)fchmod(fd, 0700); /* if not ours, the rest will tell */
	return fd;
}

/* Is a name at the top taken? By a payload that knew it; it goes, too. */
static bool is_taken(int errnum)
{
	return errnum == EEXIST || errnum == ENOTEMPTY || errnum == ENOTDIR;
}

/* A folder that lies too deep: to the top of the tree, under a new name. */
static int move_up(struct removal *rm, int dirfd, const char *name)
{
	char to[32];

	/* its ".." changes, which is a write to the folder itself */
	cleanup_fd int fd = open_folder(dirfd, name, RESOLVE_NO_XDEV);

	if (fd < 0)
		return fd;
	do {
		if (rm->deadline && clock_ms() >= rm->deadline)
			return -ETIMEDOUT;
		(void)snprintf(to, sizeof(to), ".exeat-rm-%llu",
			       (unsigned long long)rm->names++);
		if (renameat(dirfd, name, rm->top, to) == 0) {
			rm->moved++;
			return 0;
		}
	} while (is_taken(errno));
	return -errno;
}

static int remove_inside(struct removal *rm, int dirfd, unsigned depth);

static int remove_folder(struct removal *rm, int dirfd, const char *name,
			 unsigned depth)
{
	cleanup_fd int fd = -1;
	int r;

	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	if (depth >= REMOVE_DEPTH)
		return move_up(rm, dirfd, name);
	fd = open_folder(dirfd, name, RESOLVE_NO_XDEV);
	if (fd < 0)
		return fd;
	r = remove_inside(rm, fd, depth + 1);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return r < 0 ? r : -errno;
	return 0;
}

static int remove_entry(struct removal *rm, int dirfd, const struct dirent64 *e,
			unsigned depth)
{
	if (is_dots(e->d_name))
		return 0;
	if (rm->deadline && clock_ms() >= rm->deadline)
		return -ETIMEDOUT;
	if (e->d_type != DT_DIR && unlinkat(dirfd, e->d_name, 0) == 0)
		return 0;
	return remove_folder(rm, dirfd, e->d_name, depth);
}

/*
 * Everything in a folder. The first failure is returned, the rest goes on.
 * Read without a DIR, which would cost four calls and a buffer per folder: this
 * is on the way of every session's end.
 */
static int remove_inside(struct removal *rm, int dirfd, unsigned depth)
{
	_Alignas(struct dirent64) char names[REMOVE_CHUNK];
	const struct dirent64 *e;
	int first = 0;
	ssize_t n;

	while ((n = getdents64(dirfd, names, sizeof(names))) > 0) {
		for (ssize_t at = 0; at < n; at += e->d_reclen) {
			int r;

			e = (const struct dirent64 *)(const void *)(names + at);
			r = remove_entry(rm, dirfd, e, depth);
			if (r == -ETIMEDOUT)
				return r;
			if (r < 0 && first == 0)
				first = r;
		}
	}
	return n < 0 && first == 0 ? -errno : first;
}

int tree_remove(int dirfd, const char *name, int64_t deadline_ms)
{
	struct removal rm = { .deadline = deadline_ms };
	cleanup_fd int fd = open_folder(dirfd, name, 0);
	uint64_t before;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rm.top = fd;
	do {
		before = rm.moved;
		if (lseek(fd, 0, SEEK_SET) < 0)
			return -errno;
		r = remove_inside(&rm, fd, 1);
	} while (rm.moved != before && r != -ETIMEDOUT);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return r < 0 ? r : -errno;
	return 0;
}
