/* view_private.h - what the files of the view share
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_VIEW_PRIVATE_H
#define EXEAT_SYS_VIEW_PRIVATE_H

#include <sys/stat.h>

#include "core/sys/view.h"

enum {
	VIEW_OPS_MAX = 4096, /* of one view; more is malformed */
	VIEW_LINKS_MAX = 40, /* symlinks in one path, like the kernel */
};

/* A root under construction. */
struct view_root {
	int fd;
	/* The file systems that are ours: only there anything is created. */
	dev_t *ours;
	size_t nours, max;
};

/* 0 or -ENOMEM. `max` file systems can be ours. */
int view_root_init(struct view_root *root, int fd, size_t max);
void view_root_done(struct view_root *root); /* fd stays open */
/* From now on the file system of this descriptor is ours. */
int view_root_own(struct view_root *root, int fd);

/*
 * The path inside the root with every symlink resolved, without a leading
 * "/": "" is the root itself. What does not exist is taken literally. With
 * `keep_last` a link at the end is not followed. Heap. 0 or -errno.
 */
int view_resolve(const struct view_root *root, const char *path, bool keep_last,
		 char **ret);

/* O_PATH descriptor of a resolved path, or -errno; follows no symlink. */
int view_open(const struct view_root *root, const char *target);

/*
 * O_PATH descriptor of a resolved path; what is missing is created, if it
 * lies on a file system of ours (else -EROFS): directories, and at the end a
 * directory with `mode` or, for S_IFREG in mode, an empty file. -errno.
 */
int view_make(const struct view_root *root, const char *target, mode_t mode);

/* Make a symlink at a resolved path; an equal one is fine. 0 or -errno. */
int view_link(const struct view_root *root, const char *target,
	      const char *text);

/* The operation as a step of an error: "show", "make tmpfs", ... */
const char *view_step(enum view_kind kind);

/* Attach a detached mount where it belongs. A file or directory that is
 * missing there is made. */
int view_attach(const struct view_root *root, int mount, const char *target);

/*
 * VIEW_LAYERED, which is in the list: put it in its place, with what follows in
 * the list and lies below it. `scratch`: a tmpfs, attached. Changes the
 * working directory. 0 or -errno.
 */
int view_layer(const struct view_root *root, int scratch, struct view *v,
	       const struct view_op *op);

#endif
