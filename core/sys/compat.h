/* compat.h - what the oldest supported libc and kernel headers lack
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of system calls from 424 on are the same on every architecture.
 */
#ifndef EXEAT_SYS_COMPAT_H
#define EXEAT_SYS_COMPAT_H

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif

/* Of pidfd_send_signal(2), since Linux 6.9; before, EINVAL. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

/* No wrapper before glibc 2.42. */
static inline int sys_openat2(int dirfd, const char *path,
			      const struct open_how *how)
{
	return (int)syscall(SYS_openat2, dirfd, path, how, sizeof(*how));
}

#endif
