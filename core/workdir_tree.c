/* workdir_tree.c - walking a tree that a payload made: remove it, search it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted: names, depth, rights and links are whatever
 * somebody wanted them to be. Every step is relative to an open directory and
 * refuses symlinks. Depth costs descriptors, so removal goes DEPTH levels
 * down at most and moves what is deeper to the top of the tree, where the
 * next round finds it.
 */
#include "core/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"

enum {
	REMOVE_DEPTH = 32,
	REMOVE_CHUNK = 4096, /* bytes of names read at once, per level */
	SEARCH_DEPTH = 256,
	SOCKETS_MAX = 256, /* each one costs a mount in every session */
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* ---- removal ---- */

struct removal {
	int top;   /* the root of the tree */
	dev_t dev; /* of which: others are not ours to empty */
	int64_t deadline;
	uint64_t moved; /* number of the next folder moved up */
};

/* Open a folder that can be read only when it was given the right. */
static int open_closed(int dirfd, const char *name)
{
	cleanup_fd int path = openat(
		dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char proc[64];
	int fd;

	if (path < 0)
		return -errno;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	if (chmod(proc, 0700) < 0)
		return -errno;
	fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* An open folder, given rights if its maker took them away. */
static int open_folder(int dirfd, const char *name, dev_t *ret_dev)
{
	int fd = openat(dirfd, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		fd = errno == EACCES ? open_closed(dirfd, name) : -errno;
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
	*ret_dev = st.st_dev;
	return fd;
}

/* A folder that lies too deep: to the top of the tree, under a new name. */
static int move_up(struct removal *rm, int dirfd, const char *name)
{
	char to[32];
	dev_t dev;

	/* its ".." changes, which is a write to the folder itself */
	cleanup_fd int fd = open_folder(dirfd, name, &dev);

	if (fd < 0)
		return fd;
	(void)snprintf(to, sizeof(to), ".exeat-rm-%llu",
		       (unsigned long long)rm->moved++);
	if (renameat(dirfd, name, rm->top, to) < 0)
		return -errno;
	return 0;
}

static int remove_inside(struct removal *rm, int dirfd, unsigned depth);

static int remove_folder(struct removal *rm, int dirfd, const char *name,
			 unsigned depth)
{
	cleanup_fd int fd = -1;
	dev_t dev = 0;
	int r;

	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	if (depth >= REMOVE_DEPTH)
		return move_up(rm, dirfd, name);
	fd = open_folder(dirfd, name, &dev);
	if (fd < 0)
		return fd;
	if (dev != rm->dev)
		return -EXDEV;
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

int workdir_remove_tree(int dirfd, const char *name, int64_t deadline_ms)
{
	struct removal rm = { .deadline = deadline_ms };
	cleanup_fd int fd = open_folder(dirfd, name, &rm.dev);
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

/* ---- search ---- */

struct search {
	char path[PATH_MAX];
	char ***list;
	size_t *n;
	struct err *err;
};

static const char search_step[] = "look for sockets";

static int found(struct search *s)
{
	char **bigger, *copy;

	if (*s->n >= SOCKETS_MAX) {
		int r = err_new(s->err, ERR_LIMIT, search_step, s->path,
				"more than %d sockets", SOCKETS_MAX);

		err_remedy(s->err, "remove stale ones, or name another folder");
		return r;
	}
	copy = strdup(s->path);
	bigger = reallocarray(*s->list, *s->n + 1, sizeof(*bigger));
	if (bigger)
		*s->list = bigger;
	if (!copy || !bigger) {
		free(copy);
		return err_sys(s->err, ENOMEM, search_step, NULL);
	}
	bigger[(*s->n)++] = copy;
	return 0;
}

/* The type of an entry where the file system does not say it with the name. */
static unsigned char entry_type(int dirfd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(st.st_mode);
}

static int search_folder(struct search *s, DIR *dir, size_t len,
			 unsigned depth);

/* Append "/name" to the path; false if it is too long. */
static bool push(struct search *s, size_t len, const char *name,
		 size_t *ret_len)
{
	size_t n = strlen(name);

	if (len + 1 + n >= sizeof(s->path))
		return false;
	s->path[len] = '/';
	memcpy(s->path + len + 1, name, n + 1);
	*ret_len = len + 1 + n;
	return true;
}

static int search_entry(struct search *s, DIR *dir, const struct dirent *e,
			size_t len, unsigned depth)
{
	unsigned char type = entry_type(dirfd(dir), e);
	size_t deeper;
	DIR *sub;
	int fd, r;

	if ((type != DT_SOCK && type != DT_DIR) || is_dots(e->d_name))
		return 0;
	if (depth >= SEARCH_DEPTH || !push(s, len, e->d_name, &deeper)) {
		r = err_new(s->err, ERR_LIMIT, search_step, s->path,
			    "the tree is too deep to be searched");
		err_remedy(s->err, "name another folder");
		return r;
	}
	if (type == DT_SOCK)
		return found(s);
	fd = openat(dirfd(dir), e->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
			    O_NONBLOCK);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return err_sys(s->err, errno, search_step, "%s", s->path);
	if (fd < 0)
		return 0; /* gone, or closed to us as to the payload */
	sub = fdopendir(fd);
	if (!sub) {
		fd_close(&fd);
		return err_sys(s->err, ENOMEM, search_step, NULL);
	}
	r = search_folder(s, sub, deeper, depth + 1);
	(void)closedir(sub);
	return r;
}

static int search_folder(struct search *s, DIR *dir, size_t len, unsigned depth)
{
	struct dirent *e;
	int r;

	while ((e = readdir(dir))) {
		r = search_entry(s, dir, e, len, depth);
		if (r < 0)
			return r;
		s->path[len] = '\0';
	}
	return 0;
}

int workdir_sockets_below(int dirfd, const char *path, char ***list, size_t *n,
			  struct err *err)
{
	struct search s = { .list = list, .n = n, .err = err };
	int fd, r;
	DIR *dir;

	if (strlen(path) >= sizeof(s.path))
		return err_sys(err, ENAMETOOLONG, search_step, "%s", path);
	memcpy(s.path, path, strlen(path) + 1);
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, search_step, "%s", path);
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return err_sys(err, ENOMEM, search_step, NULL);
	}
	r = search_folder(&s, dir, strlen(path), 0);
	(void)closedir(dir);
	return r;
}

int workdir_find_sockets(struct workdir *w, struct err *err)
{
	return workdir_sockets_below(w->fd, w->path, &w->sockets, &w->nsockets,
				     err);
}
