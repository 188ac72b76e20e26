/* mount.h - the mount interface of Linux 5.12, one step a function
 * SPDX-License-Identifier: Apache-2.0
 *
 * A mount is a descriptor first: made or cloned detached, restricted, and
 * attached last, so that nothing is ever visible before it is read-only.
 */
#ifndef EXEAT_SYS_MOUNT_H
#define EXEAT_SYS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

struct mount_option {
	const char *key;	/* NULL: end of the list */
	const char *value;	/* NULL: a flag */
};

/* A new, detached mount: its descriptor, or -errno. attr: MOUNT_ATTR_*. */
int mount_new(const char *fstype, const struct mount_option *options,
	      unsigned attr);
/* size in bytes, 0: the kernel's default. */
int mount_new_tmpfs(uint64_t size, uint32_t mode, unsigned attr);
/* A detached copy of the tree at path: its descriptor, or -errno. */
int mount_clone(int dirfd, const char *path, bool recursive);
/* The same of an absolute path, in which no symlink is followed: whoever may
 * write in a folder on the way could lead it elsewhere. */
int mount_clone_path(const char *path, bool recursive);
/* Add MOUNT_ATTR_*; none is ever taken away. 0 or -errno. */
int mount_restrict(int mount, uint64_t attr, bool recursive);
/* Put a detached mount onto the file or directory `target` (O_PATH). */
int mount_attach(int mount, int target);

/*
 * In a mount namespace that the process may change: cut propagation, and put
 * an empty tmpfs above the root, where no path leads. *ret_root is its
 * descriptor.
 */
int mount_root_begin(uint64_t size, int *ret_root, struct err *err);
/* Make it the root and let the old one go. The working directory is "/". */
int mount_root_enter(int root, struct err *err);

#endif
