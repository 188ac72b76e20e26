/* viewplan_mount.h - mounts as descriptors: what only root can hand over
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_VIEWPLAN_MOUNT_H
#define EXEAT_CORE_VIEWPLAN_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/err.h"

/*
 * A detached, recursive copy of the mount of `path`, nosuid and nodev,
 * read-only if asked; with `map` its files of uid and gid 0 are shown as `uid`
 * and `gid`, and what those make belongs to 0 on disk. -EPERM without a reason
 * in `err`: the caller may not make one at all (then the path itself has to
 * do).
 */
int viewplan_mount_open(int dirfd, const char *path, bool read_only, bool map,
			uid_t uid, gid_t gid, int *ret, struct err *err);

#endif
