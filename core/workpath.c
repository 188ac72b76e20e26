/* workpath.c - what a caller names in the work dir, found from outside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: files.c.
 */
#include "core/workpath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/text.h"
#include "core/session.h"
#include "core/sys/compat.h"

enum {
	TRIES = 128, /* of a resolution that a rename disturbed */
	FOLDER_MODE = 0755,
};

/* ---- as text ---- */

int workpath_bad(struct err *err, const char *path, const char *why)
{
	return err_new(err, ERR_INVALID, "path", path, "%s", why);
}

int workpath_error(struct err *err, int errnum, const char *path)
{
	switch (errnum) {
	case ELOOP:
		return workpath_bad(err, path, "a symbolic link is in it");
	case EXDEV:
		return workpath_bad(err, path, "leads out of the work dir");
	case ENAMETOOLONG:
		return err_new(err, ERR_LIMIT, "path", path, "too long");
	case EAGAIN:
		return err_new(err, ERR_CONFLICT, "path", path,
			       "it is held, or moved all the time");
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EEXIST:
	case ENOTEMPTY:
	case EBUSY:
	case EACCES:
	case EPERM:
	case EROFS:
		return err_new(err,
			       errnum == ENOENT ? ERR_NOT_FOUND : ERR_CONFLICT,
			       "path", path, "%s", strerrordesc_np(errnum));
	default:
		return err_sys(err, errnum, "path", "%s", path);
	}
}

/* Its components, one slash between them; false: one is "..". */
static bool normalise(const char *at, char *ret)
{
	size_t n = 0;

	while (*(at += strspn(at, "/")) != '\0') {
		size_t part = strcspn(at, "/");

		if (part == 2 && memcmp(at, "..", 2) == 0)
			return false;
		if (part != 1 || *at != '.') {
			if (n > 0)
				ret[n++] = '/';
			memcpy(ret + n, at, part);
			n += part;
		}
		at += part;
	}
	ret[n] = '\0';
	return true;
}

int workpath_take(const struct exeat_session *s, const char *path, bool making,
		  char **ret, struct err *err)
{
	const char *root = s->work.path, *at = path;
	size_t len = strlen(root);
	char *out;

	if (making && !text_is_utf8(path))
		return err_new(err, ERR_INVALID, "path", "path", "not UTF-8");
	if (at[0] == '/' && (strncmp(at, root, len) != 0 ||
			     (at[len] != '/' && at[len] != '\0')))
		return workpath_bad(err, path, "not under the work dir");
	if (at[0] == '/')
		at += len;
	out = malloc(strlen(at) + 1);
	if (!out)
		return err_sys(err, ENOMEM, "path", "%s", path);
	if (!normalise(at, out)) {
		free(out);
		return workpath_bad(err, path, "\"..\" is in it");
	}
	*ret = out;
	return 0;
}

/* ---- found ---- */

int workpath_open(const struct exeat_session *s, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < TRIES; i++) {
		int fd = sys_openat2(s->work.fd, *path ? path : ".", &how);

		if (fd >= 0 || errno != EAGAIN)
			return fd < 0 ? -errno : fd;
	}
	return -EAGAIN;
}

int workpath_own(const struct exeat_session *s, int fd)
{
	const struct identity *id = &s->identity;
	struct stat st;

	if (id->kind != IDENTITY_ROOT)
		return 0;
	/* shown id-mapped: on disk all is the work dir's owner's */
	if (id->idmap_work_dir) {
		if (fstatat(s->work.fd, "", &st, AT_EMPTY_PATH) < 0)
			return -errno;
	} else {
		st.st_uid = id->host_uid;
		st.st_gid = id->host_gid;
	}
	return fchown(fd, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

/* ---- made ---- */

/* An empty folder of the caller's: what is given away with it is nothing. */
static bool is_new(int fd)
{
	_Alignas(struct dirent64) char names[512];
	const struct dirent64 *e;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return false;
	while ((n = getdents64(fd, names, sizeof(names))) > 0) {
		for (ssize_t at = 0; at < n; at += e->d_reclen) {
			e = (const struct dirent64 *)(const void *)(names + at);
			if (strcmp(e->d_name, ".") != 0 &&
			    strcmp(e->d_name, "..") != 0)
				return false;
		}
	}
	return n == 0;
}

/*
 * What has the name by now may be something that the payload put there, which
 * must not become its own: only the folder that was made is given away. What
 * else it is, the lookup that follows finds.
 */
static int give_away(const struct exeat_session *s, int parent,
		     const char *name)
{
	cleanup_fd int fd = -1;

	if (s->identity.kind != IDENTITY_ROOT)
		return 0;
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || !is_new(fd) ? 0 : workpath_own(s, fd);
}

static int make_folder(const struct exeat_session *s, int parent,
		       const char *name)
{
	int r;

	if (mkdirat(parent, name, FOLDER_MODE) < 0)
		return errno == EEXIST ? 0 : -errno;
	r = give_away(s, parent, name);
	if (r < 0)
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	return r;
}

int workpath_make(const struct exeat_session *s, char *path)
{
	int fd = workpath_open(s, "", O_PATH | O_DIRECTORY);
	size_t at = 0;

	while (fd >= 0 && path[at] != '\0') {
		size_t end = at + strcspn(path + at, "/");
		char stop = path[end];
		int next;

		path[end] = '\0';
		next = make_folder(s, fd, path + at);
		if (next == 0)
			next = workpath_open(s, path, O_PATH | O_DIRECTORY);
		(void)close(fd);
		fd = next;
		path[end] = stop;
		at = stop ? end + 1 : end;
	}
	return fd;
}

int workpath_parent(const struct exeat_session *s, char *path, bool make,
		    const char **ret_name)
{
	char *slash = strrchr(path, '/');
	int fd;

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		return workpath_open(s, "", O_PATH | O_DIRECTORY);
	*slash = '\0';
	fd = workpath_open(s, path, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT && make)
		fd = workpath_make(s, path);
	*slash = '/';
	return fd;
}
