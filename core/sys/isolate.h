/* isolate.h - how a helper gives up what it does not need
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each step Must come after the one above it.
 */
#ifndef EXEAT_SYS_ISOLATE_H
#define EXEAT_SYS_ISOLATE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"

/*
 * Where the caller may (real root): drop supplementary groups, take uid and
 * gid, become dumpable again (so that /proc/self is ours). Nothing if the
 * process has them already. Never leaves host uid 0 when `uid` is not 0.
 */
int isolate_identity(uid_t uid, gid_t gid, struct err *err);

/* unshare(CLONE_NEWUSER) with one id each: `inside` maps to the present
 * euid/egid; setgroups denied. All capabilities in the new namespace. The
 * error of a forbidden unshare names the sysctl that forbids it and the
 * remedy. */
int isolate_userns(uid_t inside_uid, gid_t inside_gid, struct err *err);

/* unshare(CLONE_NEWPID | flags), then fork: returns in the child, which is
 * pid 1; the parent has exited. */
int isolate_pid1(int more_unshare_flags, struct err *err);

/* An empty read-only root (tmpfs, pivot_root), cwd "/". */
int isolate_empty_root(struct err *err);

/* Effective, permitted, inheritable, ambient and bounding set empty,
 * no_new_privs, dumpable off. */
int isolate_drop(struct err *err);

/* Two parts of it. Bounding and ambient set empty, no_new_privs: from now on
 * what is held can only be lost, by children too. */
int isolate_bound(struct err *err);
/* Effective, permitted and inheritable set empty: one system call, which cannot
 * fail. 0 or -errno. */
int isolate_drop_held(void);

/* Close every descriptor from `first` on but those in keep[] (sorted). */
int isolate_close_fds(int first, const int *keep, unsigned nkeep);

#endif
