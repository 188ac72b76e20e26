/* mount.c - the mount interface of Linux 5.12, one step a function
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"
#include "core/sys/lacks.h"

int mount_new(const char *fstype, const struct mount_option *options,
	      unsigned attr)
{
	cleanup_fd int fs = fsopen(fstype, FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0)
		return -errno;
	for (; options && options->key; options++) {
		unsigned how = options->value ? FSCONFIG_SET_STRING :
						FSCONFIG_SET_FLAG;

		if (fsconfig(fs, how, options->key, options->value, 0) < 0)
			return -errno;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	return mount < 0 ? -errno : mount;
}

int mount_new_tmpfs(uint64_t size, uint32_t mode, unsigned attr)
{
	char mode_text[16], size_text[24];
	struct mount_option options[] = {
		{ "mode", mode_text },
		{ "size", size_text },
		{ NULL, NULL },
	};

	(void)snprintf(mode_text, sizeof(mode_text), "%" PRIo32, mode & 07777);
	(void)snprintf(size_text, sizeof(size_text), "%" PRIu64, size);
	if (size == 0)
		options[1].key = NULL;
	return mount_new("tmpfs", options, attr);
}

int mount_clone(int dirfd, const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	int mount;

	if (recursive)
		flags |= AT_RECURSIVE;
	mount = open_tree(dirfd, path, flags);
	return mount < 0 ? -errno : mount;
}

int mount_clone_path(const char *path, bool recursive)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_fd int fd = sys_openat2(AT_FDCWD, path, &how);
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
	int mount;

	if (fd < 0)
		return -errno;
	if (recursive)
		flags |= AT_RECURSIVE;
	mount = open_tree(fd, "", flags);
	return mount < 0 ? -errno : mount;
}

int mount_restrict(int mount, uint64_t attr, bool recursive)
{
	struct mount_attr set = { .attr_set = attr };
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	return mount_setattr(mount, "", flags, &set, sizeof(set)) < 0 ? -errno :
									0;
}

int mount_attach(int mount, int target)
{
	const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH |
			       MOVE_MOUNT_T_EMPTY_PATH;

	return move_mount(mount, "", target, "", flags) < 0 ? -errno : 0;
}

int mount_root_begin(uint64_t size, int *ret_root, struct err *err)
{
	cleanup_fd int root = -1, above = -1;
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return lacks(err, errno, "make mounts private", NULL, NULL);
	root = mount_new_tmpfs(size, 0755,
			       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (root < 0)
		return lacks(err, -root, "make root", "tmpfs",
			     "Linux 5.12 or later");
	/*
	 * Absolute paths start below whatever lies above the root, so every
	 * source keeps its path, and no directory of the host is needed.
	 */
	above = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return err_sys(err, errno, "open", "/");
	r = mount_attach(root, above);
	if (r < 0)
		return lacks(err, -r, "attach root", NULL, NULL);
	*ret_root = fd_steal(&root);
	return 0;
}

int mount_root_enter(int root, struct err *err)
{
	int r;

	if (fchdir(root) < 0)
		return err_sys(err, errno, "enter root", NULL);
	/* the old root ends up above the new one, and goes */
	if (syscall(SYS_pivot_root, ".", ".") < 0) {
		r = err_sys(err, errno, "pivot_root", NULL);
		err_remedy(err, "the root of this machine may be an initramfs: "
				"use a real file system, or a container");
		return r;
	}
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, errno, "let the old root go", NULL);
	if (chdir("/") < 0)
		return err_sys(err, errno, "chdir", "/");
	return 0;
}
