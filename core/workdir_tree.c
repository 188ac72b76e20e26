/* workdir_tree.c - a tree that a payload made: removed, searched, measured
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted. What changes nothing walks it (treewalk.h).
 * Removal has to be done with each folder before it leaves it, and depth costs
 * descriptors: so it goes REMOVE_DEPTH levels down at most and moves what is
 * deeper to the top of the tree, where the next round finds it.
 *
 * The search for sockets is not to be ended by depth or PATH_MAX: a payload of
 * an earlier session cannot shut the next one out.
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
#include "core/treewalk.h"

enum {
	REMOVE_DEPTH = 32,
	REMOVE_CHUNK = 4096, /* bytes of names read at once, per level */
	SEARCH_MS = 30000, /* then it is refused */
	LOOK_EACH = 256,   /* names, at the clock */
	STAT_BLOCK = 512,  /* bytes, of st_blocks */
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
	uint64_t names; /* tried, for folders moved up */
	uint64_t moved;
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

/* Is a name at the top taken? By a payload that knew it; it goes, too. */
static bool is_taken(int errnum)
{
	return errnum == EEXIST || errnum == ENOTEMPTY || errnum == ENOTDIR;
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

/* A payload may have made more than anybody waits for. */
struct patience {
	int64_t deadline;
	unsigned seen;
};

static bool is_late(struct patience *p)
{
	return p->seen++ % LOOK_EACH == 0 && clock_ms() >= p->deadline;
}

struct search {
	struct patience patience;
	char ***list;
	size_t *n;
};

static const char search_step[] = "look for sockets";

static int too_much(struct tree_walk *w, const char *why)
{
	int r;

	/* the beginning of a path says enough */
	if (w->path.len >= PATH_MAX)
		w->path.s[PATH_MAX - 1] = '\0';
	r = err_new(w->err, ERR_LIMIT, w->step, w->path.s, "%s", why);
	err_remedy(w->err, "remove stale ones, or name another folder");
	return r;
}

/* The socket whose path it is. */
static int found(struct tree_walk *w, const struct search *s)
{
	char **bigger, *copy;

	/* a longer path cannot be covered, but entered step by step */
	if (w->path.len >= PATH_MAX)
		return too_much(w, "a socket lies too deep to be covered");
	if (*s->n >= SOCKETS_MAX)
		return too_much(w, "more sockets than can be covered");
	copy = strdup(w->path.s);
	bigger = reallocarray(*s->list, *s->n + 1, sizeof(*bigger));
	if (bigger)
		*s->list = bigger;
	if (!copy || !bigger) {
		free(copy);
		return err_sys(w->err, ENOMEM, w->step, NULL);
	}
	bigger[(*s->n)++] = copy;
	return 0;
}

static int search_entry(struct tree_walk *w, const struct tree_level *at,
			const struct dirent64 *e)
{
	unsigned char type = tree_type(at->fd, e);
	struct search *s = w->user;

	if (is_late(&s->patience))
		return too_much(w, "it takes too long to search");
	if (type == DT_SOCK)
		return found(w, s);
	return type == DT_DIR;
}

static int search_enter(struct tree_walk *w, const struct tree_level *at,
			const char *name, struct tree_level *ret)
{
	int r = tree_open(w, at->fd, name, ret);
	bool is_top = strcmp(name, ".") == 0;
	struct search *s = w->user;

	if (r == -EMFILE || r == -ENFILE || (r < 0 && is_top))
		return err_sys(w->err, -r, w->step, "%s", w->path.s);
	if (is_late(&s->patience))
		return too_much(w, "it takes too long to search");
	return r < 0; /* gone, or closed to us as to the payload */
}

int workdir_sockets_below(int dirfd, const char *path, char ***list, size_t *n,
			  struct err *err)
{
	struct search s = {
		.patience = { .deadline = clock_ms() + SEARCH_MS },
		.list = list,
		.n = n,
	};
	struct tree_walk w = {
		.step = search_step,
		.err = err,
		.user = &s,
		.entry = search_entry,
		.enter = search_enter,
	};

	if (strlen(path) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, search_step, "%s", path);
	return tree_walk(&w, dirfd, -1, path);
}

int workdir_find_sockets(struct workdir *w, struct err *err)
{
	return workdir_sockets_below(w->fd, w->path, &w->sockets, &w->nsockets,
				     err);
}

/* ---- measure ---- */

struct usage {
	struct patience patience;
	dev_t dev; /* of the top: what else is mounted is not in it */
	uint64_t bytes;
};

static const char usage_step[] = "measure work dir";

static int usage_late(struct tree_walk *w)
{
	return err_new(w->err, ERR_LIMIT, w->step, NULL, "it takes too long");
}

static int usage_entry(struct tree_walk *w, const struct tree_level *at,
		       const struct dirent64 *e)
{
	struct usage *u = w->user;
	struct stat st;

	if (is_late(&u->patience))
		return usage_late(w);
	if (fstatat(at->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_dev != u->dev)
		return 0; /* gone meanwhile, or none of its */
	if (S_ISDIR(st.st_mode) || st.st_nlink < 2)
		u->bytes += (uint64_t)st.st_blocks * STAT_BLOCK;
	else /* its other names say the rest */
		u->bytes += (uint64_t)st.st_blocks * STAT_BLOCK / st.st_nlink;
	return S_ISDIR(st.st_mode);
}

static int usage_enter(struct tree_walk *w, const struct tree_level *at,
		       const char *name, struct tree_level *ret)
{
	int r = tree_open(w, at->fd, name, ret);
	bool is_top = strcmp(name, ".") == 0;
	struct usage *u = w->user;

	if (r == -EMFILE || r == -ENFILE || (r < 0 && is_top))
		return err_sys(w->err, -r, w->step, "%s", w->path.s);
	if (r == 0 && is_top)
		u->dev = ret->st.st_dev;
	if (is_late(&u->patience))
		return usage_late(w);
	return r < 0; /* gone, or somebody else's, and shut */
}

int workdir_measure(const struct workdir *w, uint64_t *ret, struct err *err)
{
	struct usage u = {
		.patience = { .deadline = clock_ms() + SEARCH_MS },
	};
	struct tree_walk walk = {
		.step = usage_step,
		.err = err,
		.user = &u,
		.entry = usage_entry,
		.enter = usage_enter,
	};
	int r = tree_walk(&walk, w->fd, -1, w->path);

	if (r == 0)
		*ret = u.bytes;
	return r;
}
