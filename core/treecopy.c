/* treecopy.c - a tree that a payload made, copied without following anything
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * As in the search (workdir_tree.c), each folder is read once as a whole: what
 * is no folder is copied at once, the names of its folders wait on one stack of
 * texts, and of the way back only the last OPEN pairs stay open; those before
 * are found again by ".." and recognised by device and number.
 *
 * An entry is opened by O_PATH first: what that is, and nothing that is put in
 * its place, is read. A file with several names is linked into `links` under
 * its number in a table; its next name is a link to that one. What its owner
 * shut is opened for the time of the copy, because a payload could do the same.
 */
#include "core/treecopy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"

enum {
	OPEN = 64,	  /* pairs held open on the way down */
	CHUNK = 32 << 10, /* of names */
	DATA = 256 << 10, /* of a file */
	TEXT_MAX = 256 << 20,
	XATTR_NAMES = 64 << 10,
	MODES = 01777,
};

/* A folder on the way from the top to where it is, on both sides. */
struct pair {
	int from, to;	/* -1: found again by ".." of the one below it */
	struct stat st; /* of the source, as it was */
	struct stat made;
	bool changed; /* the source, and has to get its mode back */
	size_t path_len, names;
};

struct linked {
	dev_t dev;
	ino_t ino;
	uint64_t number; /* 0: free slot */
};

struct copy {
	struct tree_copy *c;
	struct sbuf path, names;
	struct pair *way;
	size_t depth, size;
	struct linked *links; /* open addressing; room is a power of 2 */
	size_t nlinks, room;
	uid_t me;      /* whose rights over files are ours */
	bool no_clone; /* the file systems cannot share blocks */
	char *data;
	struct err *err;
};

static const char step[] = "copy";

static int failed(struct copy *k, int errnum)
{
	if (errnum == EACCES || errnum == EPERM) {
		int r = err_new(k->err, ERR_CONFLICT, step, k->path.s,
				"it is somebody else's, and may not be read");

		err_remedy(k->err, "remove it, or make it readable");
		return r;
	}
	return err_sys(k->err, errnum, step, "%s", k->path.s);
}

static void text_cut(struct sbuf *b, size_t len)
{
	b->len = len;
	b->s[len] = '\0';
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
	if (fd >= 0 || errno != EACCES || st->st_uid != k->me)
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
		if (strcmp(k->c->hidden->texts[i], k->path.s) == 0)
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

static int copy_entry(struct copy *k, const struct pair *p, const char *name)
{
	cleanup_fd int place =
		openat(p->from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (place < 0)
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile */
	if (fstat(place, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return make_symlink(k, place, &st, p->to, name);
	if (S_ISDIR(st.st_mode)) {
		sbuf_add(&k->names, name, strlen(name) + 1);
		return k->names.bad ? -ENOMEM : 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!may_read(k->c, &st))
		return -EACCES;
	return st.st_nlink > 1 ? make_linked(k, place, &st, p->to, name) :
				 make_file(k, place, &st, p->to, name);
}

static int copy_names(struct copy *k, const struct pair *p)
{
	_Alignas(struct dirent64) char names[CHUNK];
	size_t len = k->path.len;
	ssize_t n;

	while ((n = getdents64(p->from, names, sizeof(names))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e =
				(const struct dirent64 *)(const void *)(names +
									at);
			int r;

			at += e->d_reclen;
			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0)
				continue;
			sbuf_fmt(&k->path, "/%s", e->d_name);
			r = k->path.bad ? -ENOMEM : copy_entry(k, p, e->d_name);
			if (r < 0)
				return failed(k, -r);
			text_cut(&k->path, len);
		}
	}
	return n < 0 ? failed(k, errno) : 0;
}

static void pair_close(struct pair *p)
{
	if (p->from >= 0 && p->changed)
		(void)fchmod(p->from, p->st.st_mode & ALLPERMS);
	fd_close(&p->from);
	fd_close(&p->to);
}

/* The source of a pair, which its owner may have shut. */
static int open_from(struct copy *k, int dirfd, const char *name,
		     struct pair *p)
{
	cleanup_fd int place = openat(
		dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const mode_t rights = S_IRUSR | S_IXUSR;

	if (place < 0 || fstat(place, &p->st) < 0)
		return -errno;
	if (!may_read(k->c, &p->st))
		return -EACCES;
	if (p->st.st_uid == k->me && (p->st.st_mode & rights) != rights) {
		char proc[64];

		(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", place);
		p->changed = chmod(proc, (p->st.st_mode & ALLPERMS) | rights) ==
			     0;
	}
	p->from = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->from < 0 ? -errno : 0;
}

static int open_to(int dirfd, const char *name, struct pair *p)
{
	p->to = openat(dirfd, name,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->to < 0 || fstat(p->to, &p->made) < 0 ? -errno : 0;
}

/* Make take_p the place where the copy is, and copy what is in it. */
static int enter(struct copy *k, struct pair *take_p, size_t path_len)
{
	if (k->depth == k->size) {
		size_t size = k->size ? 2 * k->size : OPEN;
		void *bigger = reallocarray(k->way, size, sizeof(*k->way));

		if (!bigger) {
			pair_close(take_p);
			return failed(k, ENOMEM);
		}
		k->way = bigger;
		k->size = size;
	}
	take_p->path_len = path_len;
	take_p->names = k->names.len;
	k->way[k->depth++] = *take_p;
	if (k->depth > OPEN) {
		fd_close(&k->way[k->depth - 1 - OPEN].from);
		fd_close(&k->way[k->depth - 1 - OPEN].to);
	}
	return copy_names(k, take_p);
}

/* Into the folder whose name was remembered last. */
static int descend(struct copy *k)
{
	const struct pair *above = &k->way[k->depth - 1];
	size_t at = k->names.len - 1, len = k->path.len;
	struct pair p = { .from = -1, .to = -1 };
	const char *name;
	int r;

	while (at > 0 && k->names.s[at - 1] != '\0')
		at--;
	name = k->names.s + at;
	sbuf_fmt(&k->path, "/%s", name);
	r = k->path.bad ? -ENOMEM : open_from(k, above->from, name, &p);
	if (r == 0 && mkdirat(above->to, name, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = open_to(above->to, name, &p);
	text_cut(&k->names, at);
	if (r == 0)
		return enter(k, &p, len);
	pair_close(&p);
	if (r != -ENOENT && r != -ENOTDIR)
		return failed(k, -r);
	text_cut(&k->path, len);
	return 0; /* gone meanwhile */
}

/* One side of the folder above, by ".."; it must be the one that it was. */
static int back(int below, const struct stat *was)
{
	int fd = openat(below, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_dev == was->st_dev &&
	    st.st_ino == was->st_ino)
		return fd;
	(void)close(fd);
	return -ESTALE;
}

static int ascend(struct copy *k)
{
	struct pair *p = &k->way[--k->depth], *above = p - 1;
	int r = 0;

	if (k->depth > 0 && above->from < 0) {
		above->from = back(p->from, &above->st);
		above->to = back(p->to, &above->made);
		if (above->from < 0 || above->to < 0)
			r = err_new(k->err, ERR_CONFLICT, step, k->path.s,
				    "the tree was changed meanwhile");
	}
	if (r == 0) {
		r = finish(k, p->from, p->to, &p->st);
		if (r < 0)
			r = failed(k, -r);
	}
	text_cut(&k->path, p->path_len);
	pair_close(p);
	return r;
}

static int walk(struct copy *k)
{
	int r = 0;

	while (r == 0 && k->depth > 0)
		r = k->names.len > k->way[k->depth - 1].names ? descend(k) :
								ascend(k);
	return r;
}

int tree_copy(int from, int to, struct tree_copy *c, struct err *err)
{
	struct copy k = { .c = c, .err = err, .data = malloc(DATA) };
	struct pair top = { .from = -1, .to = -1 };
	int r = 0;

	k.me = (uid_t)setfsuid((uid_t)-1); /* changes nothing, and tells */
	sbuf_init(&k.path, TEXT_MAX);
	sbuf_init(&k.names, TEXT_MAX);
	sbuf_str(&k.path, c->path);
	sbuf_add(&k.names, "", 1); /* never without a text */
	if (!k.data || k.path.bad || k.names.bad)
		r = err_sys(err, ENOMEM, step, "%s", c->path);
	if (r == 0) {
		r = open_from(&k, from, ".", &top);
		if (r == 0)
			r = open_to(to, ".", &top);
		if (r < 0)
			r = failed(&k, -r);
	}
	if (r == 0)
		r = enter(&k, &top, k.path.len);
	else
		pair_close(&top);
	if (r == 0)
		r = walk(&k);
	while (k.depth > 0)
		pair_close(&k.way[--k.depth]);
	links_clear(&k);
	sbuf_done(&k.path);
	sbuf_done(&k.names);
	free(k.way);
	free(k.data);
	return r;
}
