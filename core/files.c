/* files.c - files of the work dir, from outside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A payload may change the work dir while it is read, and may have put any
 * link into it. So a path is resolved beneath the work dir without following a
 * symbolic link (openat2(2), RESOLVE_BENEATH), once, and everything else is
 * relative to the folder that was found. What is written gets its name when it
 * is whole (rename(2)): nobody sees half of it, and no file that is there is
 * opened for writing.
 *
 * A caller who is root could read what the payload could not, by a hard link
 * into the work dir: he is held to what its owner may read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/session.h"
#include "core/sys/compat.h"

enum {
	TRIES = 128,	    /* of a resolution that a rename disturbed */
	LIST_MAX = 1000000, /* entries of one folder */
	FILE_MODES = 0777,
	FOLDER_MODE = 0755,
};

/* ---- paths ---- */

static int bad_path(struct err *err, const char *path, const char *why)
{
	return err_new(err, ERR_INVALID, "path", path, "%s", why);
}

/* What a failed lookup means to who asked for it. */
static int path_error(struct err *err, int errnum, const char *path)
{
	switch (errnum) {
	case ELOOP:
		return bad_path(err, path, "a symbolic link is in it");
	case EXDEV:
		return bad_path(err, path, "leads out of the work dir");
	case ENAMETOOLONG:
		return bad_path(err, path, "too long");
	case ENOENT:
		return err_new(err, ERR_NOT_FOUND, "path", path,
			       "no such file or directory");
	case ENOTDIR:
	case EISDIR:
	case EEXIST:
	case ENOTEMPTY:
	case EBUSY:
		return err_new(err, ERR_CONFLICT, "path", path, "%s",
			       strerrordesc_np(errnum));
	default:
		return err_sys(err, errnum, "path", "%s", path);
	}
}

/*
 * Relative to the work dir, without "." and empty components: heap. "" is the
 * work dir itself.
 */
static int path_take(const struct exeat_session *s, const char *path,
		     char **ret, struct err *err)
{
	const char *root = s->work.path, *at = path ? path : "";
	size_t len = strlen(root), n = 0;
	char *out;

	if (!path)
		return bad_path(err, "", "none");
	if (at[0] == '/' && (strncmp(at, root, len) != 0 ||
			     (at[len] != '/' && at[len] != '\0')))
		return bad_path(err, path, "not under the work dir");
	if (at[0] == '/')
		at += len;
	out = malloc(strlen(at) + 1);
	if (!out)
		return err_sys(err, ENOMEM, "path", "%s", path);
	while (*(at += strspn(at, "/")) != '\0') {
		size_t part = strcspn(at, "/");

		if (part == 2 && memcmp(at, "..", 2) == 0) {
			free(out);
			return bad_path(err, path, "\"..\" is in it");
		}
		if (part != 1 || *at != '.') {
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, at, part);
			n += part;
		}
		at += part;
	}
	out[n] = '\0';
	*ret = out;
	return 0;
}

/* A descriptor beneath the work dir, or -errno. */
static int open_beneath(const struct exeat_session *s, const char *path,
			int flags)
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

/* Whom what is made in the work dir belongs to. */
static int own(const struct exeat_session *s, int dirfd, const char *name)
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
	return fchownat(dirfd, name, st.st_uid, st.st_gid,
			AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) < 0 ?
		       -errno :
		       0;
}

static int make_folder(const struct exeat_session *s, int parent,
		       const char *name)
{
	int r;

	if (mkdirat(parent, name, FOLDER_MODE) < 0)
		return errno == EEXIST ? 0 : -errno;
	r = own(s, parent, name);
	if (r < 0)
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	return r;
}

/* A folder with all above it, made where it is missing. */
static int make_folders(const struct exeat_session *s, char *path)
{
	int fd = open_beneath(s, "", O_PATH | O_DIRECTORY);
	size_t at = 0;

	while (fd >= 0 && path[at] != '\0') {
		size_t end = at + strcspn(path + at, "/");
		char stop = path[end];
		int next;

		path[end] = '\0';
		next = make_folder(s, fd, path + at);
		if (next == 0)
			next = open_beneath(s, path, O_PATH | O_DIRECTORY);
		(void)close(fd);
		fd = next;
		path[end] = stop;
		at = stop ? end + 1 : end;
	}
	return fd;
}

/* The folder that a path's last name is in; *ret_name points into `path`. */
static int open_parent(const struct exeat_session *s, char *path, bool make,
		       const char **ret_name)
{
	char *slash = strrchr(path, '/');
	int fd;

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		return open_beneath(s, "", O_PATH | O_DIRECTORY);
	*slash = '\0';
	fd = open_beneath(s, path, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT && make)
		fd = make_folders(s, path);
	*slash = '/';
	return fd;
}

/* ---- put ---- */

/* A file without a name that anybody knows, beside where it is to be. */
static int temp_make(const struct exeat_session *s, int dirfd, char name[64])
{
	static const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				 O_CLOEXEC;

	for (int i = 0; i < TRIES; i++) {
		int fd;

		(void)snprintf(name, 64, ".exeat-put-%s-%d", s->id, i);
		fd = openat(dirfd, name, flags, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? -errno : fd;
	}
	return -EEXIST;
}

static int temp_fill(const struct exeat_session *s, int fd, const void *data,
		     size_t len, unsigned mode)
{
	int r = fd_write_all(fd, data, len);

	if (r == 0)
		r = own(s, fd, "");
	if (r == 0 && fchmod(fd, mode ? mode & FILE_MODES : 0644) < 0)
		r = -errno;
	return r;
}

static int put(const struct exeat_session *s, char *path, const void *data,
	       size_t len, unsigned mode)
{
	cleanup_fd int fd = -1, dirfd = -1;
	const char *name;
	char temp[64];
	int r;

	dirfd = open_parent(s, path, true, &name);
	if (dirfd < 0)
		return dirfd;
	fd = temp_make(s, dirfd, temp);
	if (fd < 0)
		return fd;
	r = temp_fill(s, fd, data, len, mode);
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temp, 0);
	return r;
}

int exeat_put_bytes(struct exeat_session *s, const char *path, const void *data,
		    size_t len, unsigned mode, struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	struct err err;
	int r;

	err_clear(&err);
	r = path_take(s, path, &at, &err);
	if (r == 0 && *at == '\0')
		r = bad_path(&err, path, "is the work dir");
	if (r == 0 && mode > FILE_MODES)
		r = err_new(&err, ERR_INVALID, "put", "mode",
			    "more than permissions of a file");
	if (r == 0) {
		r = put(s, at, data, len, mode);
		if (r < 0)
			r = path_error(&err, -r, path);
	}
	return r < 0 ? session_error(error, &err, r) : 0;
}

/* ---- get ---- */

/* Is it a file, and one that the work dir's owner could read? */
static int may_read(const struct exeat_session *s, int fd, struct stat *ret)
{
	if (fstat(fd, ret) < 0)
		return -errno;
	if (S_ISDIR(ret->st_mode))
		return -EISDIR;
	if (!S_ISREG(ret->st_mode))
		return -EINVAL;
	if (s->identity.kind == IDENTITY_ROOT && !s->identity.idmap_work_dir &&
	    ret->st_uid != s->identity.host_uid && !(ret->st_mode & S_IROTH))
		return -EACCES;
	return 0;
}

/* To read: what the O_PATH descriptor is, no other by that name. */
static int reopen(int fd)
{
	char proc[64];
	int copy;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	copy = open(proc, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}

/* All of it, as long as it does not grow over the limit meanwhile. */
static int read_whole(int fd, size_t size, size_t max, char **ret,
		      size_t *ret_len)
{
	size_t room = (size < max ? size : max) + 1;
	char *data = NULL;
	ssize_t n = 0;
	size_t len = 0;

	for (;;) {
		char *more = realloc(data, room + 1);

		if (!more) {
			n = -ENOMEM;
			break;
		}
		data = more;
		n = fd_read_all(fd, data + len, room - len);
		if (n < 0)
			break;
		len += (size_t)n;
		if (len > max) {
			n = -EFBIG;
			break;
		}
		if (len < room) {
			data[len] = '\0';
			*ret = data;
			*ret_len = len;
			return 0;
		}
		room = room > max / 2 ? max + 1 : room * 2;
	}
	free(data);
	return (int)n;
}

static int get(const struct exeat_session *s, const char *path, size_t max,
	       char **ret, size_t *ret_len)
{
	cleanup_fd int place = open_beneath(s, path, O_PATH);
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (place < 0)
		return place;
	r = may_read(s, place, &st);
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	fd = reopen(place);
	return fd < 0 ? fd :
			read_whole(fd, (size_t)st.st_size, max, ret, ret_len);
}

int exeat_get_bytes(struct exeat_session *s, const char *path, size_t max_bytes,
		    void **ret, size_t *ret_len, struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	char *data = NULL;
	struct err err;
	size_t len = 0;
	int r;

	err_clear(&err);
	r = path_take(s, path, &at, &err);
	if (r == 0 && max_bytes >= SIZE_MAX / 2)
		r = err_new(&err, ERR_INVALID, "get", "max_bytes",
			    "more than there is memory");
	if (r < 0)
		return session_error(error, &err, r);
	r = get(s, at, max_bytes, &data, &len);
	if (r == -EFBIG)
		r = err_new(&err, ERR_LIMIT, "get", path,
			    "longer than max_bytes (%zu)", max_bytes);
	else if (r == -EINVAL)
		r = err_new(&err, ERR_CONFLICT, "get", path, "not a file");
	else if (r < 0)
		r = path_error(&err, -r, path);
	if (r < 0)
		return session_error(error, &err, r);
	*ret = data;
	*ret_len = len;
	return 0;
}

/* ---- stat, list, remove ---- */

static enum exeat_file_kind kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return EXEAT_FILE_REGULAR;
	case S_IFDIR:
		return EXEAT_FILE_DIRECTORY;
	case S_IFLNK:
		return EXEAT_FILE_SYMLINK;
	default:
		return EXEAT_FILE_OTHER;
	}
}

static int stat_of(int dirfd, const char *name, struct exeat_file *ret)
{
	struct stat st;
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);

	if (fstatat(dirfd, name, &st, flags) < 0)
		return -errno;
	ret->kind = kind_of(st.st_mode);
	ret->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	ret->mode = st.st_mode & FILE_MODES;
	ret->mtime =
		(double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9;
	return 0;
}

int exeat_stat_file(struct exeat_session *s, const char *path,
		    struct exeat_file *ret, struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	cleanup_fd int dirfd = -1;
	const char *name;
	struct err err;
	int r;

	err_clear(&err);
	r = path_take(s, path, &at, &err);
	if (r < 0)
		return session_error(error, &err, r);
	dirfd = open_parent(s, at, false, &name);
	*ret = (struct exeat_file){ .name = "" };
	r = dirfd < 0 ? dirfd : stat_of(dirfd, name, ret);
	if (r < 0)
		r = path_error(&err, -r, path);
	return r < 0 ? session_error(error, &err, r) : 0;
}

/* Entries as they are read; their names lie in one text. */
struct listed {
	struct exeat_file file;
	size_t name; /* where in `names`, which moves while it grows */
};

struct listing {
	struct listed *files;
	size_t n, room;
	char *names;
	size_t names_len, names_room;
};

static int listing_add(struct listing *l, int dirfd, const char *name)
{
	size_t len = strlen(name) + 1;
	int r;

	if (l->n == LIST_MAX)
		return -EFBIG;
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		void *more = reallocarray(l->files, room, sizeof(*l->files));

		if (!more)
			return -ENOMEM;
		l->files = more;
		l->room = room;
	}
	if (l->names_room - l->names_len < len) {
		size_t room = 2 * (l->names_room + len);
		char *more = realloc(l->names, room);

		if (!more)
			return -ENOMEM;
		l->names = more;
		l->names_room = room;
	}
	r = stat_of(dirfd, name, &l->files[l->n].file);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* gone meanwhile */
	memcpy(l->names + l->names_len, name, len);
	l->files[l->n++].name = l->names_len;
	l->names_len += len;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct exeat_file *)a)->name,
		      ((const struct exeat_file *)b)->name);
}

/* One piece of memory: the entries, then their names. */
static int listing_finish(struct listing *l, struct exeat_file **ret)
{
	size_t size = l->n * sizeof(struct exeat_file);
	struct exeat_file *files = malloc(size + l->names_len + 1);
	char *names = (char *)files + size;

	if (!files)
		return -ENOMEM;
	if (l->names_len > 0)
		memcpy(names, l->names, l->names_len);
	for (size_t i = 0; i < l->n; i++) {
		files[i] = l->files[i].file;
		files[i].name = names + l->files[i].name;
	}
	qsort(files, l->n, sizeof(*files), by_name);
	*ret = files;
	return 0;
}

static int list(const struct exeat_session *s, const char *path,
		struct listing *l)
{
	int fd = open_beneath(s, path, O_RDONLY | O_DIRECTORY), r = 0;
	const struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = listing_add(l, dirfd(dir), e->d_name);
	if (r == 0)
		r = -errno;
	(void)closedir(dir);
	return r;
}

int exeat_list_files(struct exeat_session *s, const char *path,
		     struct exeat_file **ret, size_t *ret_n,
		     struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	struct listing l = { 0 };
	struct err err;
	int r;

	err_clear(&err);
	r = path_take(s, path, &at, &err);
	if (r < 0)
		return session_error(error, &err, r);
	r = list(s, at, &l);
	if (r == 0)
		r = listing_finish(&l, ret);
	free(l.files);
	free(l.names);
	if (r == -EFBIG)
		r = err_new(&err, ERR_LIMIT, "list", path,
			    "more than %d entries", LIST_MAX);
	else if (r < 0)
		r = path_error(&err, -r, path);
	if (r < 0)
		return session_error(error, &err, r);
	*ret_n = l.n;
	return 0;
}

static int remove_one(const struct exeat_session *s, char *path, bool recursive)
{
	cleanup_fd int dirfd = -1;
	const char *name;
	struct stat st;

	dirfd = open_parent(s, path, false, &name);
	if (dirfd < 0)
		return dirfd;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && recursive)
		return workdir_remove_tree(dirfd, name, 0);
	return unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) <
			       0 ?
		       -errno :
		       0;
}

int exeat_remove_file(struct exeat_session *s, const char *path, int recursive,
		      struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	struct err err;
	int r;

	err_clear(&err);
	r = path_take(s, path, &at, &err);
	if (r == 0 && *at == '\0')
		r = bad_path(&err, path, "is the work dir");
	if (r == 0) {
		r = remove_one(s, at, recursive != 0);
		if (r < 0)
			r = path_error(&err, -r, path);
	}
	return r < 0 ? session_error(error, &err, r) : 0;
}
