/* landlock.c - what the file view alone cannot forbid
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Sockets: a unix socket in a directory that several runs share would carry
 * descriptors from one network posture to another. MAKE_SOCK is handled and
 * granted nowhere but beneath the run's own directories.
 *
 * Files on stdin, stdout and stderr: they lie outside the view, and
 * /proc/self/fd/0 opens one anew, for writing too, because the payload is who
 * the file's owner is. The rights of opening are handled and granted beneath
 * "/" - a path outside the view never leads there - and for the three
 * descriptors by their own mode. Only if one of them is a regular file: the
 * check costs a walk on every open.
 *
 * Before ABI 3 (Linux 6.2) Landlock does not look at shortening, and the file
 * system lets its owner do so: truncate(2), and O_TRUNC without the right to
 * write. There a filter refuses both, for every file of such a run: it cannot
 * tell one path from another. O_TRUNC of what is opened for writing stays.
 *
 * REFER is handled and granted everywhere, because a ruleset that does not
 * handle it denies every rename and link between directories.
 */
#include "core/sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"
#include "core/sys/seccomp.h"

/* The first version that knows REFER. */
#define ABI_MIN 2
/* The first that knows TRUNCATE. */
#define ABI_TRUNCATE 3

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0,
			 LANDLOCK_CREATE_RULESET_VERSION);

	return v < 0 ? -errno : (int)v;
}

static int grant_fd(int ruleset, int fd, uint64_t access, const char *what,
		    struct err *err)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access,
		.parent_fd = fd,
	};

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &rule, 0) < 0)
		return err_sys(err, errno, "add Landlock rule", "%s", what);
	return 0;
}

static int grant(int ruleset, const char *dir, uint64_t access, struct err *err)
{
	cleanup_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open for Landlock", "%s", dir);
	return grant_fd(ruleset, fd, access, dir, err);
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

/* What opening a file again may ask for. */
static uint64_t open_rights(int abi)
{
	uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE |
			  LANDLOCK_ACCESS_FS_WRITE_FILE |
			  LANDLOCK_ACCESS_FS_READ_DIR;

	return abi >= ABI_TRUNCATE ? rights | LANDLOCK_ACCESS_FS_TRUNCATE :
				     rights;
}

/* A regular file among the three; `to_read`: one that is not for writing. */
static bool stdio_has_file(bool to_read)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (!to_read || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY))
			return true;
	return false;
}

/* Regular files and devices in their own mode; pipes and sockets are no
 * files, and Landlock leaves them alone. */
static int grant_stdio(int ruleset, uint64_t rights, struct err *err)
{
	const uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE;
	/* cutting too: "> /dev/stderr" of a script asks for it */
	const uint64_t write = rights & (LANDLOCK_ACCESS_FS_WRITE_FILE |
					 LANDLOCK_ACCESS_FS_TRUNCATE);
	int r = 0;

	for (int fd = 0; r == 0 && fd < 3; fd++) {
		int flags = fcntl(fd, F_GETFL);
		int mode = flags & O_ACCMODE;
		struct stat st;

		if (flags < 0 || (flags & O_PATH) || fstat(fd, &st) < 0 ||
		    !(S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
			continue;
		r = grant_fd(ruleset, fd,
			     mode == O_RDONLY ? read :
			     mode == O_WRONLY ? write :
						read | write,
			     "stdio", err);
	}
	return r;
}

/* A ruleset of these rights, and REFER, which is granted everywhere. */
static int ruleset_make(uint64_t rights, uint64_t everywhere, struct err *err)
{
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = rights | LANDLOCK_ACCESS_FS_REFER,
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
	r = grant(ruleset, "/", everywhere | LANDLOCK_ACCESS_FS_REFER, err);
	return r < 0 ? r : fd_steal(&ruleset);
}

static int restrict_self(int ruleset, struct err *err)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(err, errno, "restrict with Landlock", NULL);
	return 0;
}

int landlock_sockets(const char *const *socket_dirs, struct err *err)
{
	const uint64_t rights = LANDLOCK_ACCESS_FS_MAKE_SOCK;
	cleanup_fd int ruleset = ruleset_make(rights, 0, err);
	int r = ruleset < 0 ? ruleset : 0;

	for (; r == 0 && *socket_dirs; socket_dirs++)
		r = grant(ruleset, *socket_dirs,
			  rights | LANDLOCK_ACCESS_FS_REFER, err);
	return r < 0 ? r : restrict_self(ruleset, err);
}

int landlock_stdio(int abi, struct err *err)
{
	uint64_t rights = open_rights(abi);
	cleanup_fd int ruleset = -1;
	int r;

	if (!stdio_has_file(false))
		return 0;
	ruleset = ruleset_make(rights, rights, err);
	if (ruleset < 0)
		return ruleset;
	r = grant_stdio(ruleset, rights, err);
	if (r == 0)
		r = restrict_self(ruleset, err);
	if (r == 0 && abi < ABI_TRUNCATE && stdio_has_file(true))
		r = seccomp_load(&seccomp_cut, err);
	return r;
}
