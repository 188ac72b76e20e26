/* cgroup.h - limits on groups of processes: cgroups, of version 2 and of 1
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Limits of memory, processor time and number of processes are kept by the
 * kernel's control groups (cgroups(7)). Where they lie depends on the machine:
 * one tree of version 2, a tree for each controller of version 1, or some of
 * both. Each controller is looked for by itself, and a group is a directory in
 * each tree that is needed.
 *
 * A session has one group, each of its runs one below it: so both have limits
 * and what a run used is told apart. The caller makes them with his own rights
 * and opens the files by which a process joins; the payload joins before it
 * executes anything, and has no way to these trees afterwards.
 *
 * In version 2 a group with processes in it passes no controllers on to groups
 * below it, and our own has some: the caller, at least. So the place is the
 * nearest one above that may be written, has no processes, and has or can be
 * given the controllers; for root there is always one. Where there is none, as
 * in a container or in a group that was made over to a user, the processes of
 * our own group are moved into one below it, exeat.callers, and stay there; so
 * they are at once where systemd delegated it (Delegate=yes). A session's group
 * passes all its controllers on: as long as it lasts the kernel refuses to take
 * them from the place.
 *
 * A session's group is locked (flock(2)) as long as its caller lives; what dead
 * ones left is removed by the next session that looks at the same place. Who
 * removes has locked it for himself; who makes one may find it gone when he has
 * the lock, and makes it again.
 */
#ifndef EXEAT_CORE_CGROUP_H
#define EXEAT_CORE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

enum cgroup_kind { CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS, CGROUP_KINDS };

struct cgroup_limits {
	uint64_t memory;     /* bytes; 0: no limit, as below */
	uint64_t cpu_millis; /* 1000: all the time of one processor */
	uint64_t pids;	     /* processes and threads */
};

/* A directory in one tree, with the controllers that it serves. */
struct cgroup_place {
	int fd;
	bool v2;
	unsigned kinds; /* bit set of enum cgroup_kind */
};

struct cgroup {
	struct cgroup_place places[CGROUP_KINDS];
	unsigned nplaces;
	unsigned kinds;		 /* that it has */
	int missing[CGROUP_KINDS]; /* -errno of those that it has not */
	char *where[CGROUP_KINDS]; /* of a session: the directory where it is,
				    * or would have to be; NULL: nowhere */
	int parents[CGROUP_KINDS]; /* the directories that they are in */
	char name[64];
};

struct cgroup_usage {
	uint64_t oom_kills;   /* processes killed for lack of memory */
	uint64_t memory_peak; /* bytes; 0: not known */
	uint64_t user_us;     /* processor time of all that were in it, */
	uint64_t system_us;   /* dead or alive; 0: not known */
};

/* Zero-initialised is none: nothing to remove. */

/* The group of a session, with every kind that can be had here; it may be
 * none. */
int cgroup_open(const char *session, struct cgroup *ret, struct err *err);
/* ERR_UNAVAILABLE: it has not got this kind; reason and remedy say why. */
int cgroup_need(const struct cgroup *g, enum cgroup_kind kind, struct err *err);
/* A group below it, for a run. */
int cgroup_open_below(const struct cgroup *parent, uint32_t run,
		      struct cgroup *ret, struct err *err);
/* 2 or 1: the tree that this kind is in; 0: it has not got it. */
int cgroup_version(const struct cgroup *g, enum cgroup_kind kind);
/*
 * A group of version 2 without controllers, in which a session's processes are
 * frozen; where there is none to be had, an error. (In version 1 what is frozen
 * cannot be killed: it would outlive whoever froze it.)
 */
int cgroup_open_freezer(const char *session, struct cgroup *ret,
			struct err *err);
/* cgroup.freeze and cgroup.events of a group: 2, 0 if it is in no tree of
 * version 2, or -errno. The caller owns them. */
int cgroup_freezer_files(const struct cgroup *g, int ret_fds[2]);
int cgroup_limit(const struct cgroup *g, const struct cgroup_limits *limits,
		 struct err *err);
/* The files by which a process joins, to write "0" to: their number, or
 * -errno. The caller owns them. */
int cgroup_joins(const struct cgroup *g, int ret_fds[CGROUP_KINDS],
		 struct err *err);
void cgroup_usage(const struct cgroup *g, struct cgroup_usage *ret);
/* Remove and forget. False: something is in it still; it is removed later, by
 * its parent's end or by the next session. */
bool cgroup_close(struct cgroup *g);

/* For tests: they take any directory. A new directory, made and held: 0 or
 * -errno; its lock goes with *ret. And: remove those without processes that
 * nobody holds. */
int cgroup_hold(int parent, const char *name, int *ret);
void cgroup_sweep(int placefd);
/* For tests: what `mountinfo` and `self` (proc(5), cgroups(7)) say of where a
 * controller is. -ENOENT: nowhere. */
int cgroup_find(const char *mountinfo, const char *self, enum cgroup_kind kind,
		bool *ret_v2, char *ret_mount, char *ret_own, size_t size);

#endif
