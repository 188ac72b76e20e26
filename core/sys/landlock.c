/* landlock.c - no unix socket is made outside of /tmp and the like
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A unix socket in a directory that several runs share would carry
 * descriptors from one network posture to another. The ruleset handles two
 * rights: MAKE_SOCK, granted nowhere but beneath the run's own directories,
 * and REFER, granted everywhere, because a ruleset that does not handle it
 * denies every rename and link between directories.
 */
#include "core/sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"

/* The first version that knows REFER. */
#define ABI_MIN 2

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0,
			 LANDLOCK_CREATE_RULESET_VERSION);

	return v < 0 ? -errno : (int)v;
}

static int grant(int ruleset, const char *dir, uint64_t access, struct err *err)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	cleanup_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open for Landlock", "%s", dir);
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &rule, 0) < 0)
		return err_sys(err, errno, "add Landlock rule", "%s", dir);
	return 0;
}

static int unavailable(int abi, struct err *err)
{
	int r = err_new(err, ERR_UNAVAILABLE, "restrict unix sockets",
			"Landlock",
			abi == -EOPNOTSUPP ? "switched off" :
			abi < 0		   ? "not in this kernel" :
					     "too old in this kernel");

	err_remedy(err, abi == -EOPNOTSUPP ?
				"boot with lsm=landlock,... or allow unix "
				"sockets in the work dir" :
				"use Linux 5.19 or later with "
				"CONFIG_SECURITY_LANDLOCK, or allow unix "
				"sockets in the work dir");
	return r;
}

int landlock_no_sockets(const char *const *allowed_dirs, struct err *err)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK |
				     LANDLOCK_ACCESS_FS_REFER,
	};
	cleanup_fd int ruleset = -1;
	int abi = landlock_abi();
	int r;

	if (abi < ABI_MIN)
		return unavailable(abi, err);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			       0);
	if (ruleset < 0)
		return err_sys(err, errno, "make Landlock ruleset", NULL);
	r = grant(ruleset, "/", LANDLOCK_ACCESS_FS_REFER, err);
	for (; r == 0 && *allowed_dirs; allowed_dirs++)
		r = grant(ruleset, *allowed_dirs, attr.handled_access_fs, err);
	if (r < 0)
		return r;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(err, errno, "restrict with Landlock", NULL);
	return 0;
}
