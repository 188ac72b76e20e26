/* files.c - files of the work dir, from outside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A payload may change the work dir while it is read, and may have put any
 * link into it. So a path is resolved beneath the work dir without following a
 * symbolic link (openat2(2), RESOLVE_BENEATH), once, and everything else is
 * relative to the folder that was found. What is written gets its name when it
 * is whole: until then it has none (O_TMPFILE), so that a caller who is killed
 * leaves nothing, and nobody sees half of it. No file that is there is opened
 * for writing.
 *
 * A caller who is root could read what the payload could not, by a link into
 * the work dir: he is held to what its owner may read. What he makes he gives
 * away by its descriptor, for behind a name may be another thing by then.
 *
 * Nothing waits for a payload: neither for the other end of a FIFO nor for a
 * lease (fcntl(2)) that it has on its file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/session.h"
#include "core/treeremove.h"
#include "core/workpath.h"

enum {
	LIST_MAX = 1000000, /* entries of one folder */
	REMOVE_MS = 120000, /* a payload may fill what is being emptied */
	FILE_MODES = 0777,
	FILE_MODE = 0644,
	TEMP_NAME = 64,
};

/* ---- put ---- */

/* For the time until it has its own. */
static int temp_name(char ret[TEMP_NAME])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	(void)snprintf(ret, TEMP_NAME, ".exeat-put-%016llx",
		       (unsigned long long)random);
	return 0;
}

/* A file that has no name; where the file system has no such thing, one in
 * `ret`. */
static int temp_make(int dirfd, char ret[TEMP_NAME])
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600), r;

	ret[0] = '\0';
	if (fd >= 0)
		return fd;
	r = temp_name(ret);
	if (r < 0)
		return r;
	fd = openat(dirfd, ret,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int temp_fill(const struct exeat_session *s, int fd, const void *data,
		     size_t len, unsigned mode)
{
	int r = fd_write_all(fd, data, len);

	if (r == 0)
		r = workpath_own(s, fd);
	if (r == 0 && fchmod(fd, mode ? mode : FILE_MODE) < 0)
		r = -errno;
	return r;
}

/* Give it a name that is free. */
static int temp_link(int fd, int dirfd, const char *name)
{
	char proc[64];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, proc, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ?
		       -errno :
		       0;
}

/* To its place, in place of what is there: linkat(2) replaces nothing. */
static int temp_place(int fd, int dirfd, char temp[TEMP_NAME], const char *name)
{
	int r;

	if (*temp == '\0') {
		r = temp_link(fd, dirfd, name);
		if (r != -EEXIST)
			return r;
		r = temp_name(temp);
		if (r == 0)
			r = temp_link(fd, dirfd, temp);
		if (r < 0) {
			temp[0] = '\0';
			return r;
		}
	}
	return renameat(dirfd, temp, dirfd, name) < 0 ? -errno : 0;
}

static int put(const struct exeat_session *s, char *path, const void *data,
	       size_t len, unsigned mode)
{
	cleanup_fd int fd = -1, dirfd = -1;
	char temp[TEMP_NAME];
	const char *name;
	int r;

	dirfd = workpath_parent(s, path, true, &name);
	if (dirfd < 0)
		return dirfd;
	fd = temp_make(dirfd, temp);
	if (fd < 0)
		return fd;
	r = temp_fill(s, fd, data, len, mode);
	if (r == 0)
		r = temp_place(fd, dirfd, temp, name);
	if (r < 0 && *temp)
		(void)unlinkat(dirfd, temp, 0);
	return r;
}

int exeat_put_bytes(struct exeat_session *s, const char *path, const void *data,
		    size_t len, unsigned mode, struct exeat_error *error)
{
	cleanup_free char *at = NULL;
	struct err err;
	int r;

	if (error_needs(error, "put",
			ERROR_ARGS({ "session", s }, { "path", path })) < 0 ||
	    (len > 0 &&
	     error_needs(error, "put", ERROR_ARGS({ "data", data })) < 0))
		return -EINVAL;
	err_clear(&err);
	r = workpath_take(s, path, true, &at, &err);
	if (r == 0 && *at == '\0')
		r = workpath_bad(&err, path, "is the work dir");
	if (r == 0 && len > PTRDIFF_MAX)
		r = err_new(&err, ERR_INVALID, "put", "len",
			    "nothing is so long");
	if (r == 0 && mode > FILE_MODES)
		r = err_new(&err, ERR_INVALID, "put", "mode",
			    "more than permissions of a file");
	if (r == 0) {
		struct workdir_self self;

		workdir_become(&s->work, &s->identity, false, &self);
		r = put(s, at, data, len, mode);
		workdir_return(&self);
		if (r < 0)
			r = workpath_error(&err, -r, path);
	}
	return r < 0 ? session_error(error, &err, r) : 0;
}

/* ---- get ---- */

/* Is it a file, and one that the work dir's owner could read? */
static int may_read(const struct exeat_session *s, int fd, struct stat *ret)
{
	struct stat work;

	if (fstat(fd, ret) < 0)
		return -errno;
	if (S_ISDIR(ret->st_mode))
		return -EISDIR;
	if (!S_ISREG(ret->st_mode))
		return -EINVAL;
	if (s->identity.kind != IDENTITY_ROOT || ret->st_mode & S_IROTH)
		return 0;
	/* as workpath_own() has it */
	if (!s->identity.idmap_work_dir)
		return ret->st_uid == s->identity.host_uid ? 0 : -EACCES;
	if (fstatat(s->work.fd, "", &work, AT_EMPTY_PATH) < 0)
		return -errno;
	return ret->st_uid == work.st_uid ? 0 : -EACCES;
}

/* To read: what the O_PATH descriptor is, no other by that name. */
static int reopen(int fd)
{
	char proc[64];
	int copy;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	copy = open(proc, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
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
	cleanup_fd int place = workpath_open(s, path, O_PATH);
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

	if (error_needs(error, "get",
			ERROR_ARGS({ "session", s }, { "path", path },
				   { "ret", ret })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = workpath_take(s, path, false, &at, &err);
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
		r = workpath_error(&err, -r, path);
	if (r < 0)
		return session_error(error, &err, r);
	*ret = data;
	if (ret_len)
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
	struct exeat_file file = { .name = "" };
	cleanup_free char *at = NULL;
	cleanup_fd int dirfd = -1;
	const char *name;
	struct err err;
	int r;

	if (error_needs(error, "stat",
			ERROR_ARGS({ "session", s }, { "path", path },
				   { "ret", ret })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = workpath_take(s, path, false, &at, &err);
	if (r < 0)
		return session_error(error, &err, r);
	dirfd = workpath_parent(s, at, false, &name);
	r = dirfd < 0 ? dirfd : stat_of(dirfd, name, &file);
	if (r < 0)
		return session_error(error, &err,
				     workpath_error(&err, -r, path));
	*ret = file;
	return 0;
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
	char *names;

	if (!files)
		return -ENOMEM;
	names = (char *)files + size;
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
	int fd = workpath_open(s, path, O_RDONLY | O_DIRECTORY), r = 0;
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

	if (error_needs(error, "list",
			ERROR_ARGS({ "session", s }, { "path", path },
				   { "ret", ret }, { "ret_n", ret_n })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = workpath_take(s, path, false, &at, &err);
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
		r = workpath_error(&err, -r, path);
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

	dirfd = workpath_parent(s, path, false, &name);
	if (dirfd < 0)
		return dirfd;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && recursive)
		return tree_remove(dirfd, name, clock_ms() + REMOVE_MS);
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

	if (error_needs(error, "remove",
			ERROR_ARGS({ "session", s }, { "path", path })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = workpath_take(s, path, false, &at, &err);
	if (r == 0 && *at == '\0')
		r = workpath_bad(&err, path, "is the work dir");
	if (r == 0) {
		struct workdir_self self;

		workdir_become(&s->work, &s->identity, false, &self);
		r = remove_one(s, at, recursive != 0);
		workdir_return(&self);
		if (r < 0)
			r = workpath_error(&err, -r, path);
	}
	return r < 0 ? session_error(error, &err, r) : 0;
}
