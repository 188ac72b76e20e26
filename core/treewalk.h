/* treewalk.h - every folder of a tree that a payload made, one after another
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted: names, depth, rights and links are whatever
 * somebody wanted them to be. Every step is relative to an open folder and
 * follows no link. Each folder is read once as a whole: what is no folder is
 * dealt with at once, the names of its folders wait on one stack of texts, and
 * of the way back only the last OPEN folders stay open; those before are found
 * again by ".." and recognised by device and number. So neither depth nor
 * PATH_MAX ends it. A folder that its owner shut is opened for as long as we have
 * it open, because a payload could do the same.
 */
#ifndef EXEAT_CORE_TREEWALK_H
#define EXEAT_CORE_TREEWALK_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/base/err.h"

/* A folder on the way from the top to where the walk is. */
struct tree_level {
	int fd;		/* to read; -1: it will be found again */
	int twin;	/* what is made of it elsewhere, likewise; -1: nothing */
	struct stat st; /* of the folder, as it was */
	struct stat twin_st;
	bool changed; /* it was shut, and gets its mode back with close() */
	/* The walk's own: how long its two texts were before this folder. */
	size_t path_len, names;
};

/* Zero-initialised but for what the caller says. */
struct tree_walk {
	/* Said by the caller: */
	const char *step; /* for errors, with the path as object */
	struct err *err;
	void *user;
	/*
	 * A name in the folder `at`, at the end of `path`. 0, or 1: a folder,
	 * to be entered when this one has been read; negative: *err says why
	 * the walk ends.
	 */
	int (*entry)(struct tree_walk *w, const struct tree_level *at,
		     const struct dirent64 *e);
	/*
	 * Open folder `name` of `at` (the top: "." of what the walk was begun
	 * with) by tree_open(), and its twin. 0, or 1: it is left out (what is
	 * open in *ret is closed); negative as above.
	 */
	int (*enter)(struct tree_walk *w, const struct tree_level *at,
		     const char *name, struct tree_level *ret);
	/* All in it is done; NULL: nothing is to be done then. 0, or as
	 * above. */
	int (*leave)(struct tree_walk *w, const struct tree_level *at);

	struct sbuf path; /* where the walk is; not to be changed */

	/* The walk's own: */
	struct sbuf names; /* folders still to see, the last ones first */
	struct tree_level *way;
	size_t depth, size;
	uid_t me; /* whose folders can be opened when they are shut */
};

/*
 * Walk the folder `fd` (any descriptor of it), whose path for errors is `path`;
 * `twin` is handed to the first enter(). 0, or what a callback returned.
 * ERR_CONFLICT: the tree was moved meanwhile.
 */
int tree_walk(struct tree_walk *w, int fd, int twin, const char *path);
/* fd, st and changed of a level, or -errno. */
int tree_open(const struct tree_walk *w, int dirfd, const char *name,
	      struct tree_level *ret);
/* The kind of an entry, also where the file system does not say it with the
 * name; DT_UNKNOWN: it is gone. */
unsigned char tree_type(int dirfd, const struct dirent64 *e);

#endif
