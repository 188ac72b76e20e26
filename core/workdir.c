/* workdir.c - the work dir of a session: kept or fresh
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A kept one is opened once, without symlinks, and used by its descriptor
 * from then on. A fresh one lives in BASE/exeat-UID/NAME, BASE being $TMPDIR
 * or /var/tmp:
 *
 *	parent	exeat-UID, made by the first session of this user and verified
 *		by every other one: ours, and nobody else may write there
 *	lock	NAME.lock, locked (flock) as long as the session lives. It is
 *		made before NAME and removed after it, so a folder always has
 *		a lock and a lock that nobody holds is a dead session's
 *	sweep	every new session removes what dead ones left
 */
#include "core/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/treeremove.h"

enum {
	NAME_LEN = 10,
	NAME_TRIES = 16,
	SWEEP_LOOK_MS = 5,     /* for looking at locks */
	SWEEP_REMOVE_MS = 200, /* for removing what is dead */
};

/* ---- paths that cannot be a work dir ---- */

/* Refused: each of these, and every folder above it; `below`: what is in it
 * too. */
static const struct {
	const char *path;
	bool below;
	const char *why;
} refused[] = {
	{ "/proc", true, "the kernel's own files" },
	{ "/sys", true, "the kernel's own files" },
	{ "/dev", true, "fresh in every run" },
	{ "/etc", true, "the machine's settings" },
	{ "/boot", true, "a system folder" },
	{ "/bin", true, "a system folder" },
	{ "/sbin", true, "a system folder" },
	{ "/lib", true, "a system folder" },
	{ "/lib32", true, "a system folder" },
	{ "/lib64", true, "a system folder" },
	{ "/libx32", true, "a system folder" },
	{ "/usr/bin", true, "a system folder" },
	{ "/usr/sbin", true, "a system folder" },
	{ "/usr/lib", true, "a system folder" },
	{ "/usr/lib64", true, "a system folder" },
	{ "/usr/share", false, "a system folder" },
	{ "/usr/local/bin", true, "a system folder" },
	{ "/opt", false, "a system folder" },
	{ "/var/lib/dpkg", true, "the package manager's" },
	{ "/var/lib/apt", true, "the package manager's" },
	{ "/var/cache/apt", true, "the package manager's" },
	{ "/run/exeat", true, "Exeat's own" },
	{ "/tmp", false, "fresh in every run; a folder below it will do" },
};

/* Is `inner` the folder `outer`, or below it? */
static bool within(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	if (n == 1)
		return true;
	return strncmp(outer, inner, n) == 0 &&
	       (inner[n] == '/' || inner[n] == '\0');
}

const char *workdir_refused(const char *path)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (strcmp(path, refused[i].path) == 0 ||
		    (refused[i].below && within(refused[i].path, path)))
			return refused[i].why;
		if (within(path, refused[i].path))
			return "it holds system folders";
	}
	return NULL;
}

/* ---- kept ---- */

void workdir_init(struct workdir *w)
{
	*w = (struct workdir){ .fd = -1, .mount = -1, .lock = -1 };
}

/* Open a path that has no symlink in it; ELOOP if it got one meanwhile. */
static int open_plain(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int workdir_open(const char *path, struct workdir *ret, struct err *err)
{
	static const char step[] = "open work dir";
	cleanup_free char *real = NULL;
	cleanup_fd int fd = -1;
	const char *why;

	if (!*path)
		return err_new(err, ERR_INVALID, step, path, "it is empty");
	real = realpath(path, NULL);
	if (!real)
		return err_new(err, ERR_INVALID, step, path, "%s",
			       strerrordesc_np(errno));
	why = workdir_refused(real);
	if (why)
		return err_new(err, ERR_INVALID, step, path, "refused: %s",
			       why);
	fd = open_plain(real);
	if (fd < 0)
		return err_new(err, ERR_INVALID, step, path, "%s",
			       strerrordesc_np(-fd));
	if (faccessat(fd, "", R_OK | W_OK | X_OK, AT_EACCESS | AT_EMPTY_PATH) <
	    0)
		return err_new(err, ERR_INVALID, step, path,
			       "not a folder to read, write and enter: %s",
			       strerrordesc_np(errno));
	workdir_init(ret);
	ret->path = real;
	real = NULL;
	ret->fd = fd_steal(&fd);
	return 0;
}

/* ---- fresh ---- */

static const char fresh_step[] = "make work dir";

/* BASE, without a symlink in it. Heap. */
static int find_base(char **ret, struct err *err)
{
	const char *tmp = secure_getenv("TMPDIR");
	cleanup_free char *real = NULL;
	char below[PATH_MAX];
	struct stat st;
	const char *why;
	int r;

	/*
	 * Not /tmp: who may make unix sockets in the run's own /tmp could make
	 * them in everything below it, and this is where they must not be.
	 */
	if (!tmp || *tmp != '/')
		tmp = "/var/tmp";
	real = realpath(tmp, NULL);
	if (!real || stat(real, &st) < 0) {
		r = err_sys(err, errno, fresh_step, "%s", tmp);
		err_remedy(err, "set TMPDIR to a folder that you may write");
		return r;
	}
	(void)snprintf(below, sizeof(below), "%s/exeat", real);
	why = workdir_refused(below);
	if (why) {
		r = err_new(err, ERR_UNAVAILABLE, fresh_step, real,
			    "no place for a work dir: %s", why);
		err_remedy(err, "set TMPDIR to another folder");
		return r;
	}
	/* who may rename our folder there could put another in its place */
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX) &&
	    st.st_uid != geteuid()) {
		r = err_new(err, ERR_UNAVAILABLE, fresh_step, real,
			    "others may replace folders in it");
		err_remedy(err, "set its sticky bit (chmod +t), or TMPDIR");
		return r;
	}
	*ret = real;
	real = NULL;
	return 0;
}

/*
 * exeat-UID in `base`: ours, and written by nobody else. The payload of
 * another uid (root's) gets through to its own folder by name.
 */
static int open_parent(const char *base, const struct identity *id,
		       char **ret_path, int *ret_fd, struct err *err)
{
	mode_t mode = id->host_uid == geteuid() ? 0700 : 0711;
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (asprintf(&path, "%s/exeat-%u", strcmp(base, "/") ? base : "",
		     geteuid()) < 0) {
		path = NULL;
		return err_sys(err, ENOMEM, fresh_step, NULL);
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(err, errno, fresh_step, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOTDIR && errno != ELOOP && errno != EACCES)
		return err_sys(err, errno, fresh_step, "%s", path);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH))) {
		r = err_new(err, ERR_UNAVAILABLE, fresh_step, path,
			    "somebody else's, or others may write to it");
		err_remedy(err, "remove it, set TMPDIR, or name a work dir");
		return r;
	}
	if ((st.st_mode & mode) != mode && fchmod(fd, mode) < 0)
		return err_sys(err, errno, fresh_step, "%s", path);
	*ret_path = path;
	path = NULL;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static void make_name(char name[NAME_LEN + 1])
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char random[NAME_LEN] = { 0 };

	/* a short count cannot be at this size; a taken name is tried again */
	(void)!getrandom(random, sizeof(random), 0);
	for (int i = 0; i < NAME_LEN; i++)
		name[i] = set[random[i] % (sizeof(set) - 1)];
	name[NAME_LEN] = '\0';
}

/*
 * Make and take a lock. -EAGAIN: a sweep was faster (it looked before we had
 * it, and removed it). -ENOENT: the last other session took the parent along.
 */
static int make_lock(int parent, const char *lock_name, int *ret)
{
	cleanup_fd int fd = openat(
		parent, lock_name,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -EAGAIN;
	*ret = fd_steal(&fd);
	return 0;
}

static void lock_name_of(const char *name, char ret[NAME_LEN + 6])
{
	(void)snprintf(ret, NAME_LEN + 6, "%s.lock", name);
}

/* NAME, its lock, and a descriptor of it, owned by the identity. */
static int make_folder(int parent, const struct identity *id, struct workdir *w,
		       char name[NAME_LEN + 1])
{
	char lock_name[NAME_LEN + 6];
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < NAME_TRIES; i++) {
		make_name(name);
		lock_name_of(name, lock_name);
		r = make_lock(parent, lock_name, &w->lock);
	}
	if (r < 0)
		return r;
	if (mkdirat(parent, name, 0700) < 0)
		return -errno;
	w->fd = openat(parent, name,
		       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	if (id->host_uid != geteuid() &&
	    fchownat(w->fd, "", id->host_uid, id->host_gid, AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/* Remove NAME, then the lock that we hold. */
static void remove_folder(int parent, const char *name, int64_t deadline)
{
	char lock_name[NAME_LEN + 6];

	if (tree_remove(parent, name, deadline) < 0)
		return; /* a later sweep goes on with it */
	lock_name_of(name, lock_name);
	(void)unlinkat(parent, lock_name, 0); /* gone is what we want */
}

/* One entry of the parent: true if it was a dead session's lock. */
static bool sweep_one(int parent, const char *entry, int64_t deadline)
{
	char name[NAME_LEN + 1];
	cleanup_fd int lock = -1;
	struct stat st;

	if (strlen(entry) != NAME_LEN + 5 ||
	    strcmp(entry + NAME_LEN, ".lock") != 0)
		return false;
	lock = openat(parent, entry, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (fstat(lock, &st) < 0 || st.st_nlink == 0)
		return false;
	memcpy(name, entry, NAME_LEN);
	name[NAME_LEN] = '\0';
	remove_folder(parent, name, deadline);
	return true;
}

static void sweep(int parent)
{
	int64_t start = clock_ms(), limit = start + SWEEP_LOOK_MS;
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((e = readdir(dir)) && clock_ms() < limit)
		if (sweep_one(parent, e->d_name, start + SWEEP_REMOVE_MS))
			limit = start + SWEEP_REMOVE_MS;
	(void)closedir(dir);
}

static int fresh_in(const char *base, const struct identity *id,
		    struct workdir *ret, struct err *err)
{
	cleanup_free char *parent_path = NULL;
	cleanup_fd int parent = -1;
	char name[NAME_LEN + 1];
	struct workdir w;
	int r;

	workdir_init(&w);
	w.fresh = true;
	w.kind = WORKDIR_FRESH;
	r = open_parent(base, id, &parent_path, &parent, err);
	if (r < 0)
		return r;
	sweep(parent);
	r = make_folder(parent, id, &w, name);
	if (r == 0 && asprintf(&w.place, "%s/%s", parent_path, name) < 0) {
		w.place = NULL;
		r = -ENOMEM;
	}
	if (r == 0) {
		w.path = strdup(w.place);
		r = w.path ? 0 : -ENOMEM;
	}
	if (r < 0) {
		if (w.lock >= 0)
			remove_folder(parent, name, 0);
		workdir_close(&w);
		return err_sys(err, -r, fresh_step, "in %s", parent_path);
	}
	*ret = w;
	return 0;
}

int workdir_fresh(const struct identity *id, struct workdir *ret,
		  struct err *err)
{
	cleanup_free char *base = NULL;
	int r = find_base(&base, err);

	if (r < 0)
		return r;
	for (int i = 0; i < NAME_TRIES; i++) {
		r = fresh_in(base, id, ret, err);
		if (r != -ENOENT)
			return r;
	}
	return r;
}

int workdir_parent(const struct workdir *w, const char **ret_name)
{
	const char *slash = w->place ? strrchr(w->place, '/') : NULL;
	cleanup_free char *path = NULL;

	if (!w->fresh || !slash || slash == w->place)
		return -1;
	*ret_name = slash + 1;
	path = strndup(w->place, (size_t)(slash - w->place));
	return path ? open_plain(path) : -1;
}

void workdir_close(struct workdir *w)
{
	const char *name;
	cleanup_fd int parent = workdir_parent(w, &name);

	fd_close(&w->fd);
	fd_close(&w->mount);
	if (parent >= 0) {
		remove_folder(parent, name, 0);
		w->place[name - 1 - w->place] = '\0';
		(void)rmdir(w->place); /* unless another session is there */
	}
	fd_close(&w->lock);
	for (size_t i = 0; i < w->nsockets; i++)
		free(w->sockets[i]);
	free(w->sockets);
	free(w->path);
	free(w->place);
	workdir_init(w);
}
