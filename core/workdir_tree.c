/* workdir_tree.c - walking a tree that a payload made: remove it, search it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted: names, depth, rights and links are whatever
 * somebody wanted them to be. Every step is relative to an open directory and
 * refuses symlinks. Depth costs descriptors, so removal goes REMOVE_DEPTH
 * levels down at most and moves what is deeper to the top of the tree, where
 * the next round finds it.
 *
 * The search changes nothing, so it walks: each folder is read once as a whole,
 * the names of its folders wait on one stack of texts, and of the way back only
 * the last SEARCH_OPEN folders stay open; those before are found again by
 * ".." and recognised by device and number. So neither depth nor PATH_MAX ends
 * it: a payload of an earlier session cannot shut the next one out. A folder
 * that its owner shut is opened for the time of the search, because a payload
 * could do the same to what lies in it.
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

#include "core/base/buf.h"
#include "core/base/fd.h"

enum {
	REMOVE_DEPTH = 32,
	REMOVE_CHUNK = 4096, /* bytes of names read at once, per level */
	SEARCH_CHUNK = 32 << 10,
	SEARCH_OPEN = 64,	  /* folders held open on the way down */
	SEARCH_MS = 30000,	  /* then it is refused */
	SEARCH_BYTES = 256 << 20, /* of a path, and of names to see */
	SOCKETS_MAX = 256,	  /* each one costs a mount in every session */
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

/* A folder on the way from the root of the search to where it is. */
struct folder {
	int fd; /* -1: found again by ".." of the one below it */
	dev_t dev;
	ino_t ino;
	mode_t mode;
	bool changed;		/* and has to get `mode` back */
	size_t path_len, names; /* of the two texts, when it was entered */
};

struct search {
	struct sbuf path;
	struct sbuf names; /* folders still to see, the last ones first */
	struct folder *way;
	size_t depth, size;
	int64_t deadline;
	char ***list;
	size_t *n;
	struct err *err;
};

static const char search_step[] = "look for sockets";

static int too_much(struct search *s, const char *why)
{
	int r;

	/* the beginning of a path says enough */
	if (s->path.len >= PATH_MAX)
		s->path.s[PATH_MAX - 1] = '\0';
	r = err_new(s->err, ERR_LIMIT, search_step, s->path.s, "%s", why);
	err_remedy(s->err, "remove stale ones, or name another folder");
	return r;
}

static int no_memory(struct search *s)
{
	return err_sys(s->err, ENOMEM, search_step, NULL);
}

static void text_cut(struct sbuf *b, size_t len)
{
	b->len = len;
	b->s[len] = '\0';
}

/* The socket whose path it is. */
static int found(struct search *s)
{
	char **bigger, *copy;

	/* a longer path cannot be covered, but entered step by step */
	if (s->path.len >= PATH_MAX)
		return too_much(s, "a socket lies too deep to be covered");
	if (*s->n >= SOCKETS_MAX)
		return too_much(s, "more sockets than can be covered");
	copy = strdup(s->path.s);
	bigger = reallocarray(*s->list, *s->n + 1, sizeof(*bigger));
	if (bigger)
		*s->list = bigger;
	if (!copy || !bigger) {
		free(copy);
		return no_memory(s);
	}
	bigger[(*s->n)++] = copy;
	return 0;
}

/* The type of an entry where the file system does not say it with the name. */
static unsigned char entry_type(int dirfd, const struct dirent64 *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(st.st_mode);
}

static int search_entry(struct search *s, int dirfd, const struct dirent64 *e)
{
	unsigned char type = entry_type(dirfd, e);
	size_t len = s->path.len;
	int r = 0;

	if ((type != DT_SOCK && type != DT_DIR) || is_dots(e->d_name))
		return 0;
	if (type == DT_DIR) {
		sbuf_add(&s->names, e->d_name, strlen(e->d_name) + 1);
		return s->names.bad ? no_memory(s) : 0;
	}
	sbuf_fmt(&s->path, "/%s", e->d_name);
	r = s->path.bad ? no_memory(s) : found(s);
	if (r == 0)
		text_cut(&s->path, len);
	return r;
}

/* Sockets are dealt with at once, the names of folders are remembered. */
static int search_names(struct search *s, int fd)
{
	_Alignas(struct dirent64) char names[SEARCH_CHUNK];
	ssize_t n;

	while ((n = getdents64(fd, names, sizeof(names))) > 0) {
		const struct dirent64 *e;

		if (clock_ms() >= s->deadline)
			return too_much(s, "it takes too long to search");
		for (ssize_t at = 0; at < n; at += e->d_reclen) {
			int r;

			e = (const struct dirent64 *)(const void *)(names + at);
			r = search_entry(s, fd, e);
			if (r < 0)
				return r;
		}
	}
	return 0; /* gone meanwhile: empty */
}

/*
 * A folder that its owner, who is the payload's user too, shut: what a payload
 * can open again in a session has to be searched before it.
 */
static int open_shut(int dirfd, const char *name, struct folder *f)
{
	cleanup_fd int path = openat(
		dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char proc[64];
	int fd;

	if (path < 0 || fstat(path, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return -EACCES;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	if (chmod(proc, (st.st_mode & ALLPERMS) | S_IRUSR | S_IXUSR) < 0)
		return -errno;
	f->mode = st.st_mode & ALLPERMS;
	f->changed = true;
	fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int folder_open(int dirfd, const char *name, struct folder *ret)
{
	struct folder f = { .fd = -1 };
	struct stat st;

	f.fd = openat(dirfd, name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
			      O_NONBLOCK);
	if (f.fd < 0)
		f.fd = errno == EACCES ? open_shut(dirfd, name, &f) : -errno;
	if (f.fd < 0)
		return f.fd;
	if (fstat(f.fd, &st) < 0) {
		int r = -errno;

		fd_close(&f.fd);
		return r;
	}
	f.dev = st.st_dev;
	f.ino = st.st_ino;
	/* readable, but nothing in it can be named */
	if (!f.changed && !(st.st_mode & S_IXUSR) && st.st_uid == geteuid()) {
		f.mode = st.st_mode & ALLPERMS;
		f.changed = fchmod(f.fd, f.mode | S_IXUSR) == 0;
	}
	*ret = f;
	return 0;
}

static void folder_close(struct folder *f)
{
	if (f->fd >= 0 && f->changed)
		(void)fchmod(f->fd, f->mode);
	fd_close(&f->fd);
}

/* Make take_f, whose path s->path is, the place where the search is. */
static int enter(struct search *s, struct folder *take_f, size_t path_len)
{
	struct folder *bigger = s->way;

	if (s->depth == s->size) {
		s->size = s->size ? 2 * s->size : SEARCH_OPEN;
		bigger = reallocarray(s->way, s->size, sizeof(*s->way));
	}
	if (!bigger) {
		folder_close(take_f);
		return no_memory(s);
	}
	s->way = bigger;
	take_f->path_len = path_len;
	take_f->names = s->names.len;
	s->way[s->depth++] = *take_f;
	if (s->depth > SEARCH_OPEN)
		fd_close(&s->way[s->depth - 1 - SEARCH_OPEN].fd);
	return search_names(s, take_f->fd);
}

/* Into the folder that was remembered last. */
static int descend(struct search *s)
{
	size_t at = s->names.len - 1, len = s->path.len;
	struct folder f = { .fd = -1 };
	int r;

	while (at > 0 && s->names.s[at - 1] != '\0')
		at--;
	r = folder_open(s->way[s->depth - 1].fd, s->names.s + at, &f);
	sbuf_fmt(&s->path, "/%s", s->names.s + at);
	if (s->path.bad) {
		if (r == 0)
			folder_close(&f);
		return no_memory(s);
	}
	text_cut(&s->names, at);
	if (r == 0)
		return enter(s, &f, len);
	if (r == -EMFILE || r == -ENFILE)
		return err_sys(s->err, -r, search_step, "%s", s->path.s);
	text_cut(&s->path, len);
	return 0; /* gone, or closed to us as to the payload */
}

/* Back to the folder above. */
static int ascend(struct search *s)
{
	struct folder *f = &s->way[--s->depth];
	struct folder *above = s->depth > 0 ? f - 1 : NULL;
	struct stat st;
	int r = 0;

	if (above && above->fd < 0) {
		above->fd =
			openat(f->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (above->fd < 0 || fstat(above->fd, &st) < 0 ||
		    st.st_dev != above->dev || st.st_ino != above->ino) {
			fd_close(&above->fd);
			r = err_new(s->err, ERR_CONFLICT, search_step, NULL,
				    "the tree was changed meanwhile");
		}
	}
	text_cut(&s->path, f->path_len);
	folder_close(f);
	return r;
}

static int search_tree(struct search *s)
{
	int r = 0;

	while (r == 0 && s->depth > 0)
		r = s->names.len > s->way[s->depth - 1].names ? descend(s) :
								ascend(s);
	return r;
}

int workdir_sockets_below(int dirfd, const char *path, char ***list, size_t *n,
			  struct err *err)
{
	struct search s = {
		.list = list,
		.n = n,
		.err = err,
		.deadline = clock_ms() + SEARCH_MS,
	};
	struct folder top = { .fd = -1 };
	int r;

	if (strlen(path) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, search_step, "%s", path);
	r = folder_open(dirfd, ".", &top);
	if (r < 0)
		return err_sys(err, -r, search_step, "%s", path);
	sbuf_init(&s.path, SEARCH_BYTES);
	sbuf_init(&s.names, SEARCH_BYTES);
	sbuf_str(&s.path, path);
	sbuf_add(&s.names, "", 1); /* never without a text */
	if (s.path.bad || s.names.bad)
		r = no_memory(&s);
	else
		r = enter(&s, &top, s.path.len);
	if (r == 0)
		r = search_tree(&s);
	while (s.depth > 0)
		folder_close(&s.way[--s.depth]);
	sbuf_done(&s.path);
	sbuf_done(&s.names);
	free(s.way);
	return r;
}

int workdir_find_sockets(struct workdir *w, struct err *err)
{
	return workdir_sockets_below(w->fd, w->path, &w->sockets, &w->nsockets,
				     err);
}
