/* treecopy.c - a tree that a payload made, copied without following anything
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A walk (treewalk.h), each of whose folders has a twin in the copy. An entry
 * is opened by O_PATH first: what that is, and nothing that is put in its
 * place, is read. A file with several names is linked into `links` under its
 * number in a table; its next name is a link to that one. What its owner shut
 * is opened for the time of the copy, because a payload could do the same.
 */
#include "core/treecopy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/treewalk.h"

enum {
	DATA = 256 << 10, /* of a file */
	XATTR_NAMES = 64 << 10,
	MODES = 01777,
};

struct linked {
	dev_t dev;
	ino_t ino;
	uint64_t number; /* 0: free slot */
};

struct copy {
	struct tree_copy *c;
	struct tree_walk walk;
	struct linked *links; /* open addressing; room is a power of 2 */
	size_t nlinks, room;
	bool no_clone; /* the file systems cannot share blocks */
	char *data;
};

static const char step[] = "copy";

static int failed(struct copy *k, int errnum)
{
	if (errnum == EACCES || errnum == EPERM) {
		int r = err_new(k->walk.err, ERR_CONFLICT, step, k->walk.path.s,
				"it is somebody else's, and may not be read");

		err_remedy(k->walk.err, "remove it, or make it readable");
		return r;
	}
	if (errnum == EAGAIN)
		return err_new(k->walk.err, ERR_CONFLICT, step, k->walk.path.s,
			       "a process holds it (a lease)");
	return err_sys(k->walk.err, errnum, step, "%s", k->walk.path.s);
}

static bool may_read(const struct tree_copy *c, const struct stat *st)
{
	mode_t needs = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return !c->guard || st->st_uid == c->reader ||
	       (st->st_mode & needs) == needs;
}

/* ---- what a file has besides its bytes ---- */

/* An overlay's own notes mean something to the kernel. */
static bool is_wanted(const char *name)
{
	return strncmp(name, "user.", 5) == 0 &&
	       strncmp(name, "user.overlay.", 13) != 0;
}

static int copy_xattrs(int from, int to, char *data)
{
	char *names, *end;
	ssize_t n = flistxattr(from, NULL, 0);
	int r = 0;

	if (n <= 0)
		return n == 0 || errno == ENOTSUP ? 0 : -errno;
	names = malloc(XATTR_NAMES);
	if (!names)
		return -ENOMEM;
	n = flistxattr(from, names, XATTR_NAMES);
	end = names + (n > 0 ? n : 0);
	for (char *p = names; r == 0 && p < end; p += strlen(p) + 1) {
		ssize_t len;

		if (!is_wanted(p))
			continue;
		len = fgetxattr(from, p, data, DATA);
		if (len < 0)
			continue; /* gone meanwhile */
		if (fsetxattr(to, p, data, (size_t)len, 0) < 0 &&
		    errno != ENOTSUP)
			r = -errno;
	}
	free(names);
	return r;
}

/* Should: last of all that changes the copy. */
static int finish(struct copy *k, int from, int to, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r = copy_xattrs(from, to, k->data);

	if (r == 0 && k->c->give && fchown(to, k->c->uid, k->c->gid) < 0)
		r = -errno;
	if (r == 0 &&
	    (fchmod(to, st->st_mode & MODES) < 0 || futimens(to, times) < 0))
		r = -errno;
	return r;
}

/* ---- files ---- */

static int copy_plain(int from, int to, off_t at, off_t end, char *data)
{
	while (at < end) {
		size_t want = end - at > DATA ? DATA : (size_t)(end - at);
		ssize_t n = pread(from, data, want, at);

		for (ssize_t done = 0; done < n;) {
			ssize_t m = pwrite(to, data + done, (size_t)(n - done),
					   at + done);

			if (m < 0)
				return -errno;
			done += m;
		}
		if (n <= 0)
			return n < 0 ? -errno : 0; /* shorter meanwhile */
		at += n;
	}
	return 0;
}

/* One stretch of data; in the kernel where it can. */
static int copy_stretch(int from, int to, off_t at, off_t end, char *data)
{
	off_t out = at;

	while (at < end) {
		ssize_t n = copy_file_range(from, &at, to, &out,
					    (size_t)(end - at), 0);

		if (n == 0)
			return 0;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT ||
			      errno == EIO || errno == EFBIG))
			return -errno;
		if (n < 0)
			return copy_plain(from, to, at, end, data);
	}
	return 0;
}

/* Its holes stay holes. */
static int copy_bytes(int from, int to, off_t size, char *data)
{
	off_t at = 0;

	while (at < size) {
		off_t start = lseek(from, at, SEEK_DATA), end;
		int r;

		if (start < 0 && errno == ENXIO)
			break;
		if (start < 0)
			start = at;
		end = lseek(from, start, SEEK_HOLE);
		if (end < 0 || end > size)
			end = size;
		if (end <= start)
			break;
		r = copy_stretch(from, to, start, end, data);
		if (r < 0)
			return r;
		at = end;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int fill_file(struct copy *k, int from, int to, const struct stat *st)
{
	k->c->files++;
	k->c->bytes += (uint64_t)st->st_size;
	if (st->st_size == 0)
		return 0;
	if (!k->no_clone && ioctl(to, FICLONE, from) == 0)
		return 0;
	k->no_clone = k->no_clone || errno == EOPNOTSUPP || errno == EXDEV ||
		      errno == ENOTTY || errno == ENOSYS || errno == EINVAL;
	k->c->copied = true;
	return copy_bytes(from, to, st->st_size, k->data);
}

/* To read: what the O_PATH descriptor is. Its owner can always. */
static int open_to_read(const struct copy *k, int place, const struct stat *st)
{
	char proc[64];
	int fd;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", place);
	fd = open(proc, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 || errno != EACCES || st->st_uid != k->walk.me)
		return fd < 0 ? -errno : fd;
	if (chmod(proc, (st->st_mode & ALLPERMS) | S_IRUSR) < 0)
		return -errno;
	fd = open(proc, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	(void)chmod(proc, st->st_mode & ALLPERMS);
	return fd;
}

static bool is_hidden(const struct copy *k)
{
	for (size_t i = 0; k->c->hidden && i < k->c->hidden->n; i++)
		if (strcmp(k->c->hidden->texts[i], k->walk.path.s) == 0)
			return true;
	return false;
}

static int make_file(struct copy *k, int place, const struct stat *st, int to,
		     const char *name)
{
	cleanup_fd int out = openat(
		to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	cleanup_fd int in = -1;
	int r = 0;

	if (out < 0)
		return -errno;
	in = open_to_read(k, place, st);
	if (in < 0)
		return in;
	if (!is_hidden(k))
		r = fill_file(k, in, out, st);
	return r < 0 ? r : finish(k, in, out, st);
}

/* ---- files with several names ---- */

static struct linked *slot(struct linked *table, size_t room,
			   const struct stat *st)
{
	size_t at =
		(size_t)((uint64_t)st->st_ino * 0x9e3779b97f4a7c15ULL >> 20) &
		(room - 1);

	while (table[at].number != 0 &&
	       (table[at].ino != st->st_ino || table[at].dev != st->st_dev))
		at = (at + 1) & (room - 1);
	return &table[at];
}

static int links_grow(struct copy *k)
{
	size_t room = k->room ? 2 * k->room : 256;
	struct linked *table;

	if (k->room > 2 * k->nlinks)
		return 0;
	table = calloc(room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < k->room; i++) {
		const struct linked *l = &k->links[i];
		const struct stat st = { .st_dev = l->dev, .st_ino = l->ino };

		if (l->number != 0)
			*slot(table, room, &st) = *l;
	}
	free(k->links);
	k->links = table;
	k->room = room;
	return 0;
}

static int make_linked(struct copy *k, int place, const struct stat *st, int to,
		       const char *name)
{
	struct linked *l;
	char number[24];
	int r = links_grow(k);

	if (r < 0)
		return r;
	l = slot(k->links, k->room, st);
	if (l->number != 0) {
		(void)snprintf(number, sizeof(number), "%llu",
			       (unsigned long long)l->number);
		return linkat(k->c->links, number, to, name, 0) < 0 ? -errno :
								      0;
	}
	r = make_file(k, place, st, to, name);
	if (r < 0)
		return r;
	*l = (struct linked){ st->st_dev, st->st_ino, ++k->nlinks };
	(void)snprintf(number, sizeof(number), "%zu", k->nlinks);
	return linkat(to, name, k->c->links, number, 0) < 0 ? -errno : 0;
}

static void links_clear(struct copy *k)
{
	for (size_t i = 1; i <= k->nlinks; i++) {
		char number[24];

		(void)snprintf(number, sizeof(number), "%zu", i);
		(void)unlinkat(k->c->links, number, 0); /* all that is there */
	}
	free(k->links);
}

static int make_symlink(struct copy *k, int place, const struct stat *st,
			int to, const char *name)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	char text[PATH_MAX];
	ssize_t n = readlinkat(place, "", text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (symlinkat(text, to, name) < 0)
		return -errno;
	if (k->c->give &&
	    fchownat(to, name, k->c->uid, k->c->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* ---- a folder ---- */

static int copy_entry(struct copy *k, const struct tree_level *at,
		      const char *name)
{
	cleanup_fd int place =
		openat(at->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (place < 0)
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile */
	if (fstat(place, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return make_symlink(k, place, &st, at->twin, name);
	if (S_ISDIR(st.st_mode))
		return 1;
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!may_read(k->c, &st))
		return -EACCES;
	return st.st_nlink > 1 ? make_linked(k, place, &st, at->twin, name) :
				 make_file(k, place, &st, at->twin, name);
}

static int entry(struct tree_walk *w, const struct tree_level *at,
		 const struct dirent64 *e)
{
	int r = copy_entry(w->user, at, e->d_name);

	return r < 0 ? failed(w->user, -r) : r;
}

/* The folder of the copy: made, but for the top, which is given. */
static int open_twin(int dirfd, const char *name, struct tree_level *ret)
{
	if (strcmp(name, ".") != 0 && mkdirat(dirfd, name, 0700) < 0)
		return -errno;
	ret->twin = openat(dirfd, name,
			   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return ret->twin < 0 || fstat(ret->twin, &ret->twin_st) < 0 ? -errno :
								      0;
}

static int enter(struct tree_walk *w, const struct tree_level *at,
		 const char *name, struct tree_level *ret)
{
	struct copy *k = w->user;
	int r = tree_open(w, at->fd, name, ret);

	if ((r == -ENOENT || r == -ENOTDIR) && strcmp(name, ".") != 0)
		return 1; /* gone meanwhile */
	if (r == 0 && !may_read(k->c, &ret->st))
		r = -EACCES;
	if (r == 0)
		r = open_twin(at->twin, name, ret);
	return r < 0 ? failed(k, -r) : 0;
}

static int leave(struct tree_walk *w, const struct tree_level *at)
{
	int r = finish(w->user, at->fd, at->twin, &at->st);

	return r < 0 ? failed(w->user, -r) : 0;
}

int tree_copy(int from, int to, struct tree_copy *c, struct err *err)
{
	struct copy k = {
		.c = c,
		.data = malloc(DATA),
		.walk = {
			.step = step,
			.err = err,
			.user = &k,
			.entry = entry,
			.enter = enter,
			.leave = leave,
		},
	};
	int r = k.data ? tree_walk(&k.walk, from, to, c->path) :
			 err_sys(err, ENOMEM, step, "%s", c->path);

	links_clear(&k);
	free(k.data);
	return r;
}
