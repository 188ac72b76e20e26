/* result.c - the file that a run's result goes to
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/cli/result.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"

enum { LINKS_MAX = 40 }; /* in one path, like the kernel */

/* What is left of the way, and where it has led. */
struct walk {
	int at;
	char rest[PATH_MAX];
	unsigned links;
};

static bool is_systems(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A link in a folder that cannot be told is not trusted. */
static bool is_commands(int folder, const char *const *places)
{
	char link[32], at[PATH_MAX], place[PATH_MAX];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
	len = readlink(link, at, sizeof(at) - 1);
	if (len < 0)
		return true;
	at[len] = '\0';
	for (; *places; places++) {
		size_t n;

		if (!realpath(*places, place))
			continue; /* the session says what is wrong with it */
		n = strlen(place);
		if (strncmp(at, place, n) == 0 &&
		    (at[n] == '/' || at[n] == '\0'))
			return true;
	}
	return false;
}

static int go_on_from(struct walk *w, const char *text)
{
	char whole[PATH_MAX];
	int n = snprintf(whole, sizeof(whole), "%s/%s", text, w->rest);
	int root;

	if ((size_t)n >= sizeof(whole))
		return -ENAMETOOLONG;
	memcpy(w->rest, whole, (size_t)n + 1);
	if (*text != '/')
		return 0;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd_close(&w->at);
	w->at = root;
	return 0;
}

/* -EXDEV: a symlink that a command could have made. */
static int step(struct walk *w, const char *name, const char *const *places)
{
	cleanup_fd int fd =
		openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char text[PATH_MAX];
	struct stat st;
	ssize_t len;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode)) {
		fd_close(&w->at);
		w->at = fd_steal(&fd);
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	if (is_commands(w->at, places))
		return -EXDEV;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	len = readlinkat(fd, "", text, sizeof(text) - 1);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return go_on_from(w, text);
}

/* The next name of the way; false: there is none. */
static bool next_name(struct walk *w, char *name, size_t size)
{
	const char *from = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(from, "/");

	if (len == 0 || len >= size)
		return false;
	memcpy(name, from, len);
	name[len] = '\0';
	memmove(w->rest, from + len, strlen(from + len) + 1);
	return true;
}

static int walk(struct walk *w, const char *path, const char *const *places)
{
	size_t len = (size_t)(last_name(path) - path);
	char name[PATH_MAX];
	int r = 0;

	if (len >= sizeof(w->rest))
		return -ENAMETOOLONG;
	memcpy(w->rest, path, len);
	w->rest[len] = '\0';
	w->at = open(*path == '/' ? "/" : ".",
		     O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (w->at < 0)
		return -errno;
	while (r == 0 && next_name(w, name, sizeof(name)))
		r = step(w, name, places);
	return r;
}

/* Said now, not when the command has run for nothing. */
static int can_write(int folder, const char *name)
{
	struct stat st;

	if (*name == '\0')
		return -EISDIR;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISLNK(st.st_mode))
			return -ELOOP;
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
	}
	if (faccessat(folder, name, W_OK, AT_EACCESS) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int result_folder(const char *path, const char *const *places, int *ret,
		  struct err *err)
{
	struct walk w = { .at = -1 };
	int r = 0;

	*ret = -1;
	if (is_systems(path))
		return 0;
	r = walk(&w, path, places);
	if (r == 0)
		r = can_write(w.at, last_name(path));
	if (r == 0)
		*ret = fd_steal(&w.at);
	fd_close(&w.at);
	if (r == -EXDEV)
		return err_new(err, ERR_INVALID, "--json", path,
			       "on the way there is a symlink that a command "
			       "could have made");
	return r < 0 ? err_sys(err, -r, "--json", "%s", path) : 0;
}

/*
 * A FIFO's reader is not waited for, who may never come. Of the system's own
 * there are /dev/stdout and others: behind one there may be a file in which the
 * command's output is already.
 */
int result_open(int folder, const char *path)
{
	const bool own = is_systems(path);
	int fd = openat(folder, own ? path : last_name(path),
			O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC |
				(own ? O_APPEND : O_TRUNC | O_NOFOLLOW),
			0666);

	if (fd < 0)
		return -errno;
	(void)fd_nonblock(fd, false);
	return fd;
}
