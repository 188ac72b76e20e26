/* treewalk.c - every folder of a tree that a payload made, one after another
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: treewalk.h.
 */
#include "core/treewalk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "core/base/fd.h"

enum {
	OPEN = 64,		/* folders held open on the way down */
	CHUNK = 32 << 10,	/* of names */
	TEXT_MAX = 256 << 20,	/* of a path, and of names to see */
};

static int no_memory(struct tree_walk *w)
{
	return err_sys(w->err, ENOMEM, w->step, NULL);
}

static void text_cut(struct sbuf *b, size_t len)
{
	b->len = len;
	b->s[len] = '\0';
}

static void path_add(struct sbuf *path, const char *name)
{
	sbuf_add(path, "/", 1);
	sbuf_str(path, name);
}

/* ---- a folder ---- */

/* To read, what the O_PATH descriptor is; what its owner shut is opened for as
 * long as it is open here. */
static int open_shut(const struct tree_walk *w, int place,
		     const struct stat *now, struct tree_level *l)
{
	const mode_t rights = S_IRUSR | S_IXUSR;
	char proc[64];
	int r;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", place);
	if (now->st_uid == w->me && (now->st_mode & rights) != rights)
		l->changed = chmod(proc, (now->st_mode & ALLPERMS) | rights) ==
			     0;
	l->fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->fd >= 0)
		return 0;
	r = -errno;
	if (l->changed)
		(void)chmod(proc, l->st.st_mode & ALLPERMS);
	l->changed = false;
	return r;
}

int tree_open(const struct tree_walk *w, int dirfd, const char *name,
	      struct tree_level *ret)
{
	cleanup_fd int place = openat(
		dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (place < 0 || fstat(place, &ret->st) < 0)
		return -errno;
	return open_shut(w, place, &ret->st, ret);
}

/* Mustn't be put off: by another way it may not be found again. */
static void level_close(struct tree_level *l)
{
	if (l->fd >= 0 && l->changed)
		(void)fchmod(l->fd, l->st.st_mode & ALLPERMS);
	l->changed = false;
	fd_close(&l->fd);
	fd_close(&l->twin);
}

unsigned char tree_type(int dirfd, const struct dirent64 *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(st.st_mode);
}

static int see(struct tree_walk *w, const struct tree_level *at,
	       const struct dirent64 *e)
{
	size_t len = w->path.len;
	int r;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return 0;
	path_add(&w->path, e->d_name);
	if (w->path.bad)
		return no_memory(w);
	r = w->entry(w, at, e);
	if (r < 0)
		return r;
	text_cut(&w->path, len);
	if (r > 0)
		sbuf_add(&w->names, e->d_name, strlen(e->d_name) + 1);
	return w->names.bad ? no_memory(w) : 0;
}

static int see_all(struct tree_walk *w, const struct tree_level *at)
{
	_Alignas(struct dirent64) char names[CHUNK];
	ssize_t n;

	while ((n = getdents64(at->fd, names, sizeof(names))) > 0) {
		const struct dirent64 *e;

		for (ssize_t i = 0; i < n; i += e->d_reclen) {
			int r;

			e = (const struct dirent64 *)(const void *)(names + i);
			r = see(w, at, e);
			if (r < 0)
				return r;
		}
	}
	/* gone meanwhile: empty */
	return n < 0 && errno != ENOENT ?
		       err_sys(w->err, errno, w->step, "%s", w->path.s) :
		       0;
}

/* ---- down, and up ---- */

/* Make take_l, whose path is `path`, the place where the walk is. */
static int arrive(struct tree_walk *w, struct tree_level *take_l,
		  size_t path_len)
{
	if (w->depth == w->size) {
		size_t size = w->size ? 2 * w->size : OPEN;
		void *bigger = reallocarray(w->way, size, sizeof(*w->way));

		if (!bigger) {
			level_close(take_l);
			return no_memory(w);
		}
		w->way = bigger;
		w->size = size;
	}
	take_l->path_len = path_len;
	take_l->names = w->names.len;
	w->way[w->depth++] = *take_l;
	if (w->depth > OPEN)
		level_close(&w->way[w->depth - 1 - OPEN]);
	return see_all(w, take_l);
}

/* Into the folder whose name was remembered last. */
static int descend(struct tree_walk *w)
{
	size_t at = w->names.len - 1, len = w->path.len;
	struct tree_level l = { .fd = -1, .twin = -1 };
	int r;

	while (at > 0 && w->names.s[at - 1] != '\0')
		at--;
	path_add(&w->path, w->names.s + at);
	if (w->path.bad)
		return no_memory(w);
	r = w->enter(w, &w->way[w->depth - 1], w->names.s + at, &l);
	text_cut(&w->names, at);
	if (r == 0)
		return arrive(w, &l, len);
	level_close(&l);
	if (r > 0)
		text_cut(&w->path, len);
	return r < 0 ? r : 0;
}

/* The folder above, by ".."; it must be the one that it was. */
static int open_above(int below, const struct stat *was, struct stat *ret)
{
	int fd = openat(below, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, ret) == 0 && ret->st_dev == was->st_dev &&
	    ret->st_ino == was->st_ino)
		return fd;
	(void)close(fd);
	return -ESTALE;
}

/* A level that was closed for want of descriptors, from the one below it. */
static int back(const struct tree_walk *w, const struct tree_level *below,
		struct tree_level *l)
{
	struct stat now = { .st_mode = 0 };
	cleanup_fd int place = open_above(below->fd, &l->st, &now);
	int r = place < 0 ? place : open_shut(w, place, &now, l);

	if (r < 0 || below->twin < 0)
		return r;
	fd_close(&place);
	place = open_above(below->twin, &l->twin_st, &now);
	if (place < 0)
		return place;
	l->twin = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return l->twin < 0 ? -errno : 0;
}

static int ascend(struct tree_walk *w)
{
	struct tree_level *l = &w->way[--w->depth];
	struct tree_level *above = w->depth > 0 ? l - 1 : NULL;
	int r = 0;

	if (above && above->fd < 0 && back(w, l, above) < 0)
		r = err_new(w->err, ERR_CONFLICT, w->step, w->path.s,
			    "the tree was changed meanwhile");
	if (r == 0 && w->leave)
		r = w->leave(w, l);
	text_cut(&w->path, l->path_len);
	level_close(l);
	return r;
}

static int walk(struct tree_walk *w, int fd, int twin)
{
	const struct tree_level given = { .fd = fd, .twin = twin };
	struct tree_level top = { .fd = -1, .twin = -1 };
	int r = w->enter(w, &given, ".", &top);

	if (r != 0)
		level_close(&top);
	else
		r = arrive(w, &top, w->path.len);
	while (r == 0 && w->depth > 0)
		r = w->names.len > w->way[w->depth - 1].names ? descend(w) :
								ascend(w);
	return r < 0 ? r : 0;
}

int tree_walk(struct tree_walk *w, int fd, int twin, const char *path)
{
	int r;

	w->me = (uid_t)setfsuid((uid_t)-1); /* changes nothing, and tells */
	sbuf_init(&w->path, TEXT_MAX);
	sbuf_init(&w->names, TEXT_MAX);
	sbuf_str(&w->path, path);
	sbuf_add(&w->names, "", 1); /* never without a text */
	r = w->path.bad || w->names.bad ? no_memory(w) : walk(w, fd, twin);
	while (w->depth > 0)
		level_close(&w->way[--w->depth]);
	sbuf_done(&w->path);
	sbuf_done(&w->names);
	free(w->way);
	return r;
}
