/* isolate.c - how a helper gives up what it does not need
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"
#include "core/sys/compat.h"
#include "core/sys/lacks.h"
#include "core/sys/mount.h"
#include "core/sys/process.h"

/* -- identity -- */

static bool is_already(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return false;
	return r == uid && e == uid && s == uid && rg == gid && eg == gid &&
	       sg == gid;
}

int isolate_identity(uid_t uid, gid_t gid, struct err *err)
{
	bool root = geteuid() == 0;

	/* in a user namespace of one id, setgroups is denied for good */
	if (root && setgroups(0, NULL) < 0 && (errno != EPERM || uid != 0))
		return err_sys(err, errno, "drop supplementary groups", NULL);
	if (is_already(uid, gid))
		return 0;
	if (!root)
		return err_sys(err, EPERM, "take identity", "uid %u gid %u",
			       (unsigned)uid, (unsigned)gid);
	if (setresgid(gid, gid, gid) < 0)
		return err_sys(err, errno, "take gid", "%u", (unsigned)gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_sys(err, errno, "take uid", "%u", (unsigned)uid);
	if (!is_already(uid, gid) || (uid != 0 && setresuid(0, 0, 0) == 0))
		return err_new(err, ERR_INTERNAL, "take identity", NULL,
			       "the former identity can be regained");
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "become dumpable", NULL);
	return 0;
}

/* -- user namespace -- */

/* The number in a file of /proc/sys; -1 if it is not there. */
static int64_t read_sysctl(const char *path)
{
	cleanup_free char *text = NULL;
	const char *cursor;
	uint64_t v;

	if (fd_read_file(AT_FDCWD, path, 64, &text, NULL) < 0)
		return -1;
	cursor = text;
	return num_parse_u64(&cursor, INT64_MAX, &v) ? (int64_t)v : -1;
}

/* What forbids user namespaces, as far as the machine tells. */
static const struct {
	const char *path;
	const char *name;
	int64_t forbidding, good;
} switches[] = {
	{ "/proc/sys/kernel/unprivileged_userns_clone",
	  "kernel.unprivileged_userns_clone", 0, 1 },
	{ "/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", 0,
	  10000 },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
	  "kernel.apparmor_restrict_unprivileged_userns", 1, 0 },
};

static int forbidden(struct err *err, int errnum, const char *step)
{
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		int r;

		if (read_sysctl(switches[i].path) != switches[i].forbidding)
			continue;
		r = err_new(err, ERR_UNAVAILABLE, step, switches[i].name,
			    "user namespaces are forbidden (%s)",
			    strerrordesc_np(errnum));
		err_remedy(err, "as root: sysctl -w %s=%lld", switches[i].name,
			   (long long)switches[i].good);
		if (err)
			err->errnum = errnum;
		return r;
	}
	if (errnum == ENOSPC || errnum == EUSERS) {
		err_new(err, ERR_UNAVAILABLE, step, NULL,
			"too many user namespaces, or too deep");
		err_remedy(err, "as root: raise user.max_user_namespaces");
	} else if (errnum == EPERM || errnum == ENOSYS || errnum == EINVAL) {
		err_new(err, ERR_UNAVAILABLE, step, NULL,
			"user namespaces are not available (%s)",
			strerrordesc_np(errnum));
		err_remedy(err, "in a container: allow unshare and mount in "
				"its seccomp and AppArmor profiles; not in a "
				"chroot; the kernel needs CONFIG_USER_NS");
	} else {
		return err_sys(err, errnum, step, NULL);
	}
	if (err)
		err->errnum = errnum;
	return -ENOTSUP;
}

static int write_map(const char *path, unsigned inside, unsigned outside,
		     struct err *err)
{
	char line[40];
	int r;

	(void)snprintf(line, sizeof(line), "%u %u 1\n", inside, outside);
	r = fd_write_file(AT_FDCWD, path, line);
	return r < 0 ? err_sys(err, -r, "map ids", "%s", path) : 0;
}

int isolate_userns(uid_t inside_uid, gid_t inside_gid, struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return forbidden(err, errno, "make user namespace");
	/* an unprivileged process may map its group only without setgroups */
	r = fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
	if (r < 0)
		return err_sys(err, -r, "deny setgroups", NULL);
	r = write_map("/proc/self/uid_map", inside_uid, uid, err);
	return r < 0 ? r :
		       write_map("/proc/self/gid_map", inside_gid, gid, err);
}

int isolate_pid1(int more_unshare_flags, struct err *err)
{
	pid_t pid;

	/* AppArmor lets the user namespace be made, and takes its powers */
	if (unshare(CLONE_NEWPID | more_unshare_flags) < 0) {
		int errnum = errno;

		return errnum == EPERM || errnum == EACCES ?
			       forbidden(err, errnum, "make namespaces") :
			       lacks(err, errnum, "make namespaces", NULL,
				     "CONFIG_PID_NS, CONFIG_IPC_NS, "
				     "CONFIG_UTS_NS and CONFIG_CGROUPS");
	}
	pid = process_fork(0, SIGCHLD, NULL);
	if (pid < 0)
		return lacks(err, -pid, "fork", NULL, NULL);
	if (pid > 0)
		_exit(0);
	return 0;
}

int isolate_empty_root(struct err *err)
{
	cleanup_fd int root = -1;
	int r = mount_root_begin(4096, &root, err);

	if (r < 0)
		return r;
	r = mount_restrict(root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, false);
	if (r < 0)
		return err_sys(err, -r, "make root read-only", NULL);
	return mount_root_enter(root, err);
}

/* -- capabilities -- */

/* Asked only when dropping fails: it does without the right, and at the end. */
static int drop_bounding(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		int errnum, has;

		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		errnum = errno;
		has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has < 0)
			break;	/* beyond the last of this kernel */
		if (has)
			return -errnum;
	}
	return 0;
}

int isolate_bound(struct err *err)
{
	int r = drop_bounding();

	if (r < 0)
		return err_sys(err, -r, "empty the bounding set", NULL);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, errno, "clear ambient capabilities", NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "set no_new_privs", NULL);
	return 0;
}

int isolate_drop_held(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memset(none, 0, sizeof(none));
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int isolate_drop(struct err *err)
{
	int r = isolate_bound(err);

	if (r < 0)
		return r;
	r = isolate_drop_held();
	if (r < 0)
		return err_sys(err, -r, "drop capabilities", NULL);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, errno, "become undumpable", NULL);
	return 0;
}

/* -- descriptors -- */

int isolate_close_fds(int first, const int *keep, unsigned nkeep)
{
	unsigned from = (unsigned)first;

	for (unsigned i = 0; i < nkeep; i++) {
		unsigned fd = (unsigned)keep[i];

		if (keep[i] < 0 || fd < from)
			continue;
		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return -errno;
		from = fd + 1;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}
