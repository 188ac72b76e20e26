/* treeremove.h - a tree that a payload made, removed
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_TREEREMOVE_H
#define EXEAT_CORE_TREEREMOVE_H

#include <stdint.h>

/*
 * Remove the directory `name` in dirfd with everything in it: no symlink
 * followed, no mount crossed, directories without rights opened first. Stops
 * at `deadline_ms` (clock_ms(); 0: never). 0, or -errno of what stays.
 */
int tree_remove(int dirfd, const char *name, int64_t deadline_ms);

#endif
