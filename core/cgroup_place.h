/* cgroup_place.h - where on the machine groups may be made
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: cgroup.h. For cgroup.c alone.
 */
#ifndef EXEAT_CORE_CGROUP_PLACE_H
#define EXEAT_CORE_CGROUP_PLACE_H

#include "core/base/err.h"
#include "core/cgroup.h"

enum { CGROUP_VALUE_SIZE = 256 };

/* By kind, as the kernel calls them. */
extern const char *const cgroup_controllers[CGROUP_KINDS];

/* The files of proc(5) that say where we are. */
struct cgroup_map {
	char *mountinfo, *self;
};

int cgroup_map_read(struct cgroup_map *ret, struct err *err);
void cgroup_map_done(struct cgroup_map *map);

/* Where one kind is, and every other one that shares its tree. 0 or -errno;
 * *where, which is the caller's to free, is the directory that it is about. */
int cgroup_place_open(const struct cgroup_map *map, enum cgroup_kind kind,
		      struct cgroup_place *ret, char **where);
/* Version 2: the kinds that groups below can have, at least one, or -errno:
 * -ENOENT: it has not got them itself. No processes are to be in it: those
 * controllers that may be threaded would make it fit for threads alone. */
int cgroup_place_prepare(int dirfd, unsigned kinds);
/* Version 2: move the processes that are in a group into one below it, until
 * there is none. 0 or -errno; -EBUSY: some cannot be moved. */
int cgroup_place_clear(int dirfd);
/* Where groups of version 2 can be made, with any controllers or none: the
 * nearest place above our own group. */
int cgroup_place_any(const struct cgroup_map *map, struct cgroup_place *ret,
		     char **where);

/* Write a file of a group: 0 or -errno. */
int cgroup_put(int dirfd, const char *name, const char *text);
/* Its text, in buf; "" if it is not there. */
const char *cgroup_get(int dirfd, const char *name, char *buf, size_t size);

#endif
