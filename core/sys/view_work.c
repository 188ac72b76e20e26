/* view_work.c - a work dir that is a mount of its own
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The keeper makes it before the view, while the host's paths are still there,
 * and detached: nothing shows it but the descriptor. It is
 *
 *	tmpfs	of the size that it may have, or
 *	overlay	of a folder that stays as it is, and of what is new: two
 *		folders in `place`, or, with a size, in a tmpfs that covers
 *		`place` for the moment that the kernel looks for them by path
 *
 * What makes the overlay is remembered with it (here: uid 0 of the keeper's
 * user namespace), so it can do to the layers what the payload's user could,
 * and no more. Its notes are extended attributes of the user's; where they
 * cannot be written, removing a folder of the lower layer would fail later on,
 * so that it is refused at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/lacks.h"
#include "core/sys/mount.h"
#include "core/sys/view.h"

#define ATTR (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

enum { NODES_MIN = 1024, BLOCK = 4096 };

static const char step[] = "mount work dir";

/* As many files as blocks: each of them costs the kernel memory, too. */
static int open_tmpfs(uint64_t size)
{
	uint64_t nodes = size / BLOCK > NODES_MIN ? size / BLOCK : NODES_MIN;
	char size_text[24], nodes_text[24];
	const struct mount_option options[] = {
		{ "mode", "0700" },
		{ "size", size_text },
		{ "nr_inodes", nodes_text },
		{ NULL, NULL },
	};

	(void)snprintf(size_text, sizeof(size_text), "%" PRIu64, size);
	(void)snprintf(nodes_text, sizeof(nodes_text), "%" PRIu64, nodes);
	return mount_new("tmpfs", options, ATTR);
}

/* upper and work below `place`; the root of both together is upper's. */
static int make_layers(const char *lower, const char *place)
{
	cleanup_fd int dir = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int upper = -1;
	struct stat st;

	if (dir < 0 || stat(lower, &st) < 0 ||
	    mkdirat(dir, "upper", 0700) < 0 || mkdirat(dir, "work", 0700) < 0)
		return -errno;
	upper = openat(dir, "upper",
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0 || fchmod(upper, st.st_mode & 0777) < 0 ||
	    fsetxattr(upper, "user.exeat", "", 0, 0) < 0 ||
	    fremovexattr(upper, "user.exeat") < 0)
		return -errno;
	return 0;
}

static int open_overlay(const char *lower, const char *place)
{
	char upper[PATH_MAX + 8], work[PATH_MAX + 8];
	const struct mount_option options[] = {
		{ "lowerdir", lower },
		{ "upperdir", upper },
		{ "workdir", work },
		{ "userxattr", NULL },
		/* it goes with the session: nothing has to reach the disk */
		{ "volatile", NULL },
		{ NULL, NULL },
	};
	int r;

	/* they would have to be escaped, by kernels in different ways */
	if (strpbrk(lower, ":,\\") || strpbrk(place, ":,\\"))
		return -EINVAL;
	r = make_layers(lower, place);
	if (r < 0)
		return r;
	(void)snprintf(upper, sizeof(upper), "%.*s/upper", PATH_MAX, place);
	(void)snprintf(work, sizeof(work), "%.*s/work", PATH_MAX, place);
	return mount_new("overlay", options, ATTR);
}

/* What is new lies in the tmpfs. */
static int open_small_overlay(const char *lower, const char *place,
			      uint64_t size)
{
	cleanup_fd int tmpfs = open_tmpfs(size);
	cleanup_fd int dir = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (tmpfs < 0)
		return tmpfs;
	if (dir < 0)
		return -errno;
	r = mount_attach(tmpfs, dir);
	if (r < 0)
		return r;
	r = open_overlay(lower, place);
	/* the overlay keeps it */
	if (umount2(place, MNT_DETACH) < 0 && r >= 0) {
		int error = -errno;

		(void)close(r);
		return error;
	}
	return r;
}

int view_work(const struct view_work *w, int *ret, struct err *err)
{
	mode_t mask;
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return lacks(err, errno, "make mounts private", NULL, NULL);
	mask = umask(0);
	if (!w->lower)
		r = open_tmpfs(w->size);
	else if (w->size == 0)
		r = open_overlay(w->lower, w->place);
	else
		r = open_small_overlay(w->lower, w->place, w->size);
	umask(mask);
	if (r < 0)
		return lacks(err, -r, step, w->place, NULL);
	*ret = r;
	return 0;
}
