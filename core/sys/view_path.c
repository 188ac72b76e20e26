/* view_path.c - paths inside a root under construction
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A tree that is bound into the root may hold any symlink, and somebody on
 * the host may change it meanwhile. view_resolve() reads the links itself and
 * keeps every ".." and "/" inside; its result has no link left. Whatever is
 * then opened by that result is opened with RESOLVE_NO_SYMLINKS: a link that
 * appeared since is an error, not a way out.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"
#include "core/sys/mount.h"
#include "core/sys/view_private.h"

int view_root_init(struct view_root *root, int fd, size_t max)
{
	*root = (struct view_root){ .fd = fd, .max = max };
	root->ours = calloc(max, sizeof(*root->ours));
	return root->ours ? 0 : -ENOMEM;
}

void view_root_done(struct view_root *root)
{
	free(root->ours);
	root->ours = NULL;
}

int view_root_own(struct view_root *root, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (root->nours == root->max)
		return -ENOMEM;
	root->ours[root->nours++] = st.st_dev;
	return 0;
}

static bool is_ours(const struct view_root *root, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < root->nours; i++)
		if (root->ours[i] == st.st_dev)
			return true;
	return false;
}

int view_open(const struct view_root *root, const char *target)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	int fd = sys_openat2(root->fd, target[0] ? target : ".", &how);

	return fd < 0 ? -errno : fd;
}

/* -- resolving -- */

struct walk {
	char done[PATH_MAX]; /* resolved; no leading "/" */
	size_t len;
	char rest[PATH_MAX]; /* still to go */
	unsigned links;
};

/* Cut the first component off w->rest; false at the end. */
static bool next_component(struct walk *w, char ret[NAME_MAX + 2])
{
	size_t skip = strspn(w->rest, "/");
	size_t len = strcspn(w->rest + skip, "/");

	if (len == 0)
		return false;
	if (len > NAME_MAX)
		len = NAME_MAX + 1; /* too long: the kernel says so */
	memcpy(ret, w->rest + skip, len);
	ret[len] = '\0';
	memmove(w->rest, w->rest + skip + len,
		strlen(w->rest + skip + len) + 1);
	return true;
}

static void go_up(struct walk *w)
{
	char *slash = memrchr(w->done, '/', w->len);

	w->len = slash ? (size_t)(slash - w->done) : 0;
	w->done[w->len] = '\0';
}

static int go_down(struct walk *w, const char *name)
{
	int n = snprintf(w->done + w->len, sizeof(w->done) - w->len, "%s%s",
			 w->len > 0 ? "/" : "", name);

	if ((size_t)n >= sizeof(w->done) - w->len)
		return -ENAMETOOLONG;
	w->len += (size_t)n;
	return 0;
}

/* The link w->done leads to what stands in it, then to the rest. */
static int follow(struct walk *w, int link)
{
	char text[PATH_MAX], whole[PATH_MAX];
	ssize_t len = readlinkat(link, "", text, sizeof(text) - 1);
	int n;

	if (len < 0)
		return -errno;
	if (++w->links > VIEW_LINKS_MAX)
		return -ELOOP;
	text[len] = '\0';
	n = snprintf(whole, sizeof(whole), "%s/%s", text, w->rest);
	if ((size_t)n >= sizeof(whole))
		return -ENAMETOOLONG;
	memcpy(w->rest, whole, (size_t)n + 1);
	if (text[0] == '/') {
		w->len = 0;
		w->done[0] = '\0';
	} else {
		go_up(w);
	}
	return 0;
}

static int step(const struct view_root *root, struct walk *w, const char *name,
		bool keep_last)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		go_up(w);
		return 0;
	}
	r = go_down(w, name);
	if (r < 0)
		return r;
	fd = view_open(root, w->done);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode) ||
	    (keep_last && w->rest[strspn(w->rest, "/")] == '\0'))
		return 0;
	return follow(w, fd);
}

/* Most paths have no link in them: one look, not one for every component. */
static bool is_resolved(const struct view_root *root, const char *path,
			bool keep_last)
{
	cleanup_fd int fd = -1;
	size_t len = strlen(path);
	struct stat st;

	/* what would have to be left out or taken back */
	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/.") ||
	    (len > 1 && path[len - 1] == '/'))
		return false;
	fd = view_open(root, path + 1);
	/* what is missing comes before the first link, if there is one */
	if (fd == -ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	return keep_last || !S_ISLNK(st.st_mode);
}

int view_resolve(const struct view_root *root, const char *path, bool keep_last,
		 char **ret)
{
	struct walk w = { .len = 0 };
	char name[NAME_MAX + 2];

	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	if (is_resolved(root, path, keep_last)) {
		*ret = strdup(path + 1);
		return *ret ? 0 : -ENOMEM;
	}
	memcpy(w.rest, path, strlen(path) + 1);
	while (next_component(&w, name)) {
		int r = step(root, &w, name, keep_last);

		if (r < 0)
			return r;
	}
	*ret = strdup(w.done);
	return *ret ? 0 : -ENOMEM;
}

/* -- making -- */

/* One missing component. The umask is 0 while a root is made. */
static int make_one(const struct view_root *root, int parent, const char *name,
		    mode_t mode)
{
	int r;

	if (!is_ours(root, parent))
		return -EROFS;
	if (S_ISREG(mode))
		r = mknodat(parent, name, mode, 0);
	else
		r = mkdirat(parent, name, mode & 07777);
	return r < 0 && errno != EEXIST ? -errno : 0;
}

int view_make(const struct view_root *root, const char *target, mode_t mode)
{
	char path[PATH_MAX];
	cleanup_fd int fd = view_open(root, target);
	cleanup_fd int parent = -1;
	const char *name;
	char *slash;
	int r;

	if (fd != -ENOENT)
		return fd < 0 ? fd : fd_steal(&fd);
	if (strlen(target) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, target, strlen(target) + 1);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (slash)
		*slash = '\0';
	/* recursion as deep as the path has components */
	parent = slash ? view_make(root, path, S_IFDIR | 0755) :
			 view_open(root, "");
	if (parent < 0)
		return parent;
	r = make_one(root, parent, name, mode);
	return r < 0 ? r : view_open(root, target);
}

int view_link(const struct view_root *root, const char *target,
	      const char *text)
{
	char path[PATH_MAX], there[PATH_MAX];
	cleanup_fd int parent = -1;
	char *slash;
	ssize_t len;

	if (strlen(target) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, target, strlen(target) + 1);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	parent = slash ? view_make(root, path, S_IFDIR | 0755) :
			 view_open(root, "");
	if (parent < 0)
		return parent;
	if (slash)
		memmove(path, slash + 1, strlen(slash + 1) + 1);
	len = readlinkat(parent, path, there, sizeof(there));
	if (len >= 0 && (size_t)len == strlen(text) &&
	    memcmp(there, text, (size_t)len) == 0)
		return 0;
	if (len >= 0)
		return -EEXIST;
	if (!is_ours(root, parent))
		return -EROFS;
	return symlinkat(text, parent, path) < 0 ? -errno : 0;
}

int view_attach(const struct view_root *root, int mount, const char *target)
{
	cleanup_fd int place = -1;
	struct stat st, there;
	mode_t mode;

	if (fstat(mount, &st) < 0)
		return -errno;
	mode = S_ISDIR(st.st_mode) ? S_IFDIR | 0755 : S_IFREG | 0444;
	place = view_make(root, target, mode);
	if (place < 0)
		return place;
	/* the kernel's answer to a mixture would be EINVAL */
	if (fstat(place, &there) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) != S_ISDIR(there.st_mode))
		return S_ISDIR(st.st_mode) ? -ENOTDIR : -EISDIR;
	return mount_attach(mount, place);
}
