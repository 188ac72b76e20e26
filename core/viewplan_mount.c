/* viewplan_mount.c - mounts as descriptors: what only root can hand over
 * SPDX-License-Identifier: Apache-2.0
 *
 * An id-mapped mount takes its map from a user namespace. Ours is made by a
 * process that ends at once: as long as it is not reaped, its /proc entry
 * gives access to the map, and a descriptor keeps the namespace afterwards.
 */
#include "core/viewplan_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/mount.h"

static const char step[] = "hand over mount";

static int end_at_once(void *unused)
{
	(void)unused;
	return 0;
}

static int write_map(pid_t pid, const char *file, unsigned id)
{
	cleanup_fd int fd = -1;
	char text[64];
	int n;

	(void)snprintf(text, sizeof(text), "/proc/%d/%s", pid, file);
	fd = open(text, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "0 %u 1", id);
	/* the kernel takes a map in one write or not at all */
	return write(fd, text, (size_t)n) < 0 ? -errno : 0;
}

/* A user namespace in which 0 is `uid` and `gid`. */
static int map_open(uid_t uid, gid_t gid)
{
	char stack[16 << 10] __attribute__((aligned(16)));
	char path[64];
	sigset_t all, old;
	int r, fd = -1, pid;

	/* no handler of the caller runs in a process that shares its memory */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = clone(end_at_once, stack + sizeof(stack),
		    CLONE_VM | CLONE_VFORK | CLONE_NEWUSER, NULL);
	r = pid < 0 ? -errno : 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	r = write_map(pid, "uid_map", uid);
	if (r == 0)
		r = write_map(pid, "gid_map", gid);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = -errno;
	}
	/* it sends no signal and only __WCLONE sees it */
	while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		continue;
	return r < 0 ? r : fd;
}

static int set_attributes(int fd, bool read_only, bool map, uid_t uid,
			  gid_t gid)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			    (read_only ? MOUNT_ATTR_RDONLY : 0),
	};
	cleanup_fd int ns = -1;

	if (map) {
		ns = map_open(uid, gid);
		if (ns < 0)
			return ns;
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)ns;
	}
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			  sizeof(attr)) < 0)
		return -errno;
	return 0;
}

int viewplan_mount_open(int dirfd, const char *path, bool read_only, bool map,
			uid_t uid, gid_t gid, int *ret, struct err *err)
{
	cleanup_fd int fd =
		*path ? mount_clone_path(path, true) :
			open_tree(dirfd, "",
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					  AT_RECURSIVE | AT_EMPTY_PATH);
	int r = fd >= 0 ? 0 : *path ? fd : -errno;

	if (r == -EPERM && !map)
		return r;
	if (r == 0)
		r = set_attributes(fd, read_only, map, uid, gid);
	if (r < 0 && map) {
		r = err_new(err, ERR_UNAVAILABLE, step, *path ? path : NULL,
			    "its files belong to root, and the kernel cannot "
			    "show them as uid %u: %s",
			    uid, strerrordesc_np(-r));
		err_remedy(err, "chown it to another user, or name its user "
				"with --user");
		return r;
	}
	if (r < 0)
		return err_sys(err, -r, step, "%s", path);
	*ret = fd_steal(&fd);
	return 0;
}
