/* snapshot.c - kept copies of work dirs, and sessions that begin with one
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A store is a folder of the user's, to which nobody else writes. In it
 *
 *	NAME/tree	what was in the work dir; the payload's user's
 *	NAME/about	JSON: where that was, when, how it was copied
 *	.tmp-RANDOM	one that is being made or removed
 *
 * A snapshot appears by rename(2), whole, and never changes. Each folder is
 * locked (flock) by whoever uses it: shared by the sessions that began with it,
 * whose overlay reads from it, and alone by who makes or removes it. So what
 * nobody holds under a name of the third kind was left by a process that died,
 * and the next one that makes a snapshot removes it.
 */
#include "core/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <dirent.h>

#include "core/base/fd.h"
#include "core/session.h"
#include "core/treecopy.h"
#include "core/treeremove.h"

enum {
	NAME_MAX_LEN = 64,
	ABOUT_MAX = 64 << 10,
	TEMP_LEN = 16,
	TRIES = 16,
};

#define TEMP ".tmp-"
#define ABOUT "about"
#define TREE "tree"
#define LINKS "links"

static const char step[] = "snapshot";

/* What a snapshot says of itself. */
struct about {
	char *path;
	double time;
	uint64_t files, bytes;
	bool shares; /* blocks with the original */
};

/* ---- the store ---- */

static bool name_is_good(const char *name)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = name ? strlen(name) : 0;

	return len > 0 && len <= NAME_MAX_LEN && name[0] != '.' &&
	       strspn(name, set) == len;
}

static int check_name(const char *name, struct err *err)
{
	if (name_is_good(name))
		return 0;
	return err_new(err, ERR_INVALID, step, "name",
		       "1 to %d of letters, digits, '.', '_' and '-', "
		       "not beginning with '.'",
		       NAME_MAX_LEN);
}

/* Heap: `dir`, or the user's store. NULL: no memory, or no such place. */
static char *store_path(const char *dir)
{
	const char *env = secure_getenv("EXEAT_SNAPSHOTS");
	const char *data = secure_getenv("XDG_DATA_HOME");
	const char *home = secure_getenv("HOME");
	char *path = NULL;
	int n = 0;

	if (dir || (env && *env == '/'))
		return strdup(dir ? dir : env);
	if (geteuid() == 0)
		return strdup("/var/lib/exeat/snapshots");
	if (data && *data == '/')
		n = asprintf(&path, "%s/exeat/snapshots", data);
	else if (home && *home == '/')
		n = asprintf(&path, "%s/.local/share/exeat/snapshots", home);
	return n < 0 ? NULL : path;
}

/* mkdir -p; who is not root keeps it to himself. */
static int make_path(char *path)
{
	mode_t mode = geteuid() == 0 ? 0711 : 0700;

	for (char *p = path + 1;; p++) {
		char c = *p;
		int r;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		r = mkdir(path, mode);
		*p = c;
		if (r < 0 && errno != EEXIST)
			return -errno;
		if (c == '\0')
			return 0;
	}
}

/* A descriptor of the store, and its path. ERR_NOT_FOUND: there is none. */
static int store_open(const char *dir, bool make, char **ret_path, int *ret,
		      struct err *err)
{
	cleanup_free char *path = store_path(dir);
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (!path)
		return err_new(err, ERR_UNAVAILABLE, step, "snapshot_dir",
			       "there is no home folder for it");
	if (*path != '/')
		return err_new(err, ERR_INVALID, step, "snapshot_dir",
			       "not an absolute path");
	r = make ? make_path(path) : 0;
	if (r < 0)
		return err_sys(err, -r, "make store", "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open store", "%s", path);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		r = err_new(err, ERR_INVALID, "open store", path,
			    "somebody else's, or others may write to it");
		err_remedy(err, "name another one by snapshot_dir");
		return r;
	}
	if (ret_path) {
		*ret_path = realpath(path, NULL);
		if (!*ret_path)
			return err_sys(err, errno, "open store", "%s", path);
	}
	*ret = fd_steal(&fd);
	return 0;
}

/*
 * A folder of the store, locked: -EWOULDBLOCK if others hold it, -ENOENT if
 * there is none, or no more.
 */
static int hold(int store, const char *name, int how)
{
	cleanup_fd int fd = openat(
		store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st, now;

	if (fd < 0)
		return -errno;
	if (flock(fd, how | LOCK_NB) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fstatat(store, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
	    now.st_ino != st.st_ino || now.st_dev != st.st_dev)
		return -ENOENT;
	return fd_steal(&fd);
}

static int temp_name(char name[sizeof(TEMP) + 2 * TEMP_LEN])
{
	unsigned char random[TEMP_LEN];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	memcpy(name, TEMP, sizeof(TEMP));
	for (size_t i = 0; i < TEMP_LEN; i++)
		(void)snprintf(name + strlen(TEMP) + 2 * i, 3, "%02x",
			       random[i]);
	return 0;
}

/* A folder for one that is being made, held. */
static int temp_make(int store, char name[sizeof(TEMP) + 2 * TEMP_LEN])
{
	for (int i = 0; i < TRIES; i++) {
		int r = temp_name(name);

		if (r == 0 && mkdirat(store, name, 0711) < 0)
			r = -errno;
		if (r == 0)
			r = hold(store, name, LOCK_EX);
		/* a sweep may be faster than the lock */
		if (r != -EEXIST && r != -ENOENT && r != -EWOULDBLOCK)
			return r;
	}
	return -EEXIST;
}

/* What processes that died have left. */
static void sweep(int store)
{
	int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir)
		return fd_close(&fd);
	while ((e = readdir(dir))) {
		cleanup_fd int held = -1;

		if (strncmp(e->d_name, TEMP, strlen(TEMP)) != 0)
			continue;
		held = hold(store, e->d_name, LOCK_EX);
		if (held >= 0)
			(void)tree_remove(store, e->d_name, 0);
	}
	(void)closedir(dir);
}

/* ---- what one says of itself ---- */

static int about_write(int dir, const struct about *a)
{
	json_t *json = json_pack("{s:i, s:s, s:f, s:I, s:I, s:b}", "version", 1,
				 "path", a->path, "time", a->time, "files",
				 (json_int_t)a->files, "bytes",
				 (json_int_t)a->bytes, "shares_blocks",
				 (int)a->shares);
	cleanup_free char *text = json ? json_dumps(json, 0) : NULL;

	json_decref(json);
	return text ? fd_write_file(dir, ABOUT, text) : -ENOMEM;
}

static int about_take(json_t *json, struct about *ret)
{
	json_int_t files, bytes;
	const char *path;
	int version, shares;

	if (json_unpack(json, "{s:i, s:s, s:F, s:I, s:I, s:b}", "version",
			&version, "path", &path, "time", &ret->time, "files",
			&files, "bytes", &bytes, "shares_blocks",
			&shares) < 0 ||
	    version != 1 || *path != '/' || files < 0 || bytes < 0 ||
	    workdir_refused(path))
		return -EBADMSG;
	ret->path = strdup(path);
	ret->files = (uint64_t)files;
	ret->bytes = (uint64_t)bytes;
	ret->shares = shares != 0;
	return ret->path ? 0 : -ENOMEM;
}

static int about_read(int dir, struct about *ret)
{
	cleanup_free char *text = NULL;
	json_t *json;
	size_t len;
	int r = fd_read_file(dir, ABOUT, ABOUT_MAX, &text, &len);

	if (r < 0)
		return r;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	r = json ? about_take(json, ret) : -EBADMSG;
	json_decref(json);
	return r;
}

/* ---- making one ---- */

/* Nothing of it may lie where a run can write. */
static int check_place(const struct exeat_session *s, const char *store,
		       struct err *err)
{
	static const char *const own[] = { "/tmp", "/run", "/dev/shm" };
	const struct list *open = &s->view.read_write;

	for (size_t i = 0; i < open->n; i++) {
		const char *p = open->texts[i];
		size_t len = strlen(p);
		bool hosts = true;

		for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
			hosts = hosts && strcmp(own[k], p) != 0;
		if (hosts && strncmp(p, store, len) == 0 &&
		    (store[len] == '/' || store[len] == '\0'))
			return err_new(err, ERR_INVALID, step, "snapshot_dir",
				       "a run could write to it");
	}
	return 0;
}

static int copy_work(struct exeat_session *s, int dir, struct about *a,
		     struct err *err)
{
	const struct identity *id = &s->identity;
	struct tree_copy c = {
		.give = id->kind == IDENTITY_ROOT,
		.uid = id->host_uid,
		.gid = id->host_gid,
		.guard = id->kind == IDENTITY_ROOT,
		.reader = id->idmap_work_dir ? 0 : id->host_uid,
		.path = s->work.path,
		.hidden = &s->hidden,
	};
	cleanup_fd int tree = -1, links = -1;
	int r;

	if (mkdirat(dir, TREE, 0700) < 0 || mkdirat(dir, LINKS, 0700) < 0)
		return err_sys(err, errno, "make", "snapshot");
	tree = openat(dir, TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	links = openat(dir, LINKS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree < 0 || links < 0)
		return err_sys(err, errno, "open", "snapshot");
	c.links = links;
	r = tree_copy(s->work.fd, tree, &c, err);
	if (r == 0 && unlinkat(dir, LINKS, AT_REMOVEDIR) < 0)
		r = err_sys(err, errno, "remove", "links");
	a->files = c.files;
	a->bytes = c.bytes;
	a->shares = !c.copied;
	return r;
}

static int taken(const char *name, struct err *err)
{
	return err_new(err, ERR_CONFLICT, step, name,
		       "there is one of that name");
}

static int fill(struct exeat_session *s, int store, int dir, const char *temp,
		const char *name, struct err *err)
{
	struct about a = { .path = s->work.path };
	struct timespec now;
	int r = copy_work(s, dir, &a, err);

	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	a.time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	r = about_write(dir, &a);
	if (r == 0 && renameat2(store, temp, store, name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r == -EEXIST)
		return taken(name, err);
	return r < 0 ? err_sys(err, -r, step, "%s", name) : 0;
}

static int make(struct exeat_session *s, const char *name, struct err *err)
{
	char temp[sizeof(TEMP) + 2 * TEMP_LEN];
	cleanup_fd int store = -1, dir = -1;
	cleanup_free char *path = NULL;
	int r = store_open(s->snapshot_dir, true, &path, &store, err);

	if (r < 0)
		return r;
	assert(path != NULL);
	r = check_place(s, path, err);
	if (r < 0)
		return r;
	if (faccessat(store, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return taken(name, err);
	sweep(store);
	dir = temp_make(store, temp);
	if (dir < 0)
		return err_sys(err, -dir, "make snapshot in", "%s", path);
	r = fill(s, store, dir, temp, name, err);
	if (r < 0)
		(void)tree_remove(store, temp, 0);
	return r;
}

int exeat_session_snapshot(struct exeat_session *s, const char *name,
			   struct exeat_error *error)
{
	struct err err;
	bool paused;
	int r;

	if (error_needs(error, step,
			ERROR_ARGS({ "session", s }, { "name", name })) < 0)
		return -EINVAL;
	paused = s->paused;
	err_clear(&err);
	r = check_name(name, &err);
	if (r < 0)
		return session_error(error, &err, r);
	r = exeat_session_pause(s, error);
	if (r < 0) {
		if (!paused) /* some of them may stand still */
			session_pause_send(s, false);
		return r;
	}
	r = make(s, name, &err);
	if (!paused && exeat_session_resume(s, error) < 0)
		return -EIO;
	return r < 0 ? session_error(error, &err, r) : 0;
}

/* ---- using one ---- */

void snapshot_init(struct snapshot *s)
{
	*s = (struct snapshot){ .lock = -1, .tree = -1 };
}

void snapshot_done(struct snapshot *s)
{
	fd_close(&s->lock);
	fd_close(&s->tree);
	free(s->tree_path);
	free(s->path);
	snapshot_init(s);
}

static int not_there(const char *name, int r, struct err *err)
{
	if (r == -ENOENT || r == -EWOULDBLOCK)
		return err_new(err, ERR_NOT_FOUND, step, name,
			       "there is none of that name");
	if (r == -EBADMSG || r == -ENOTDIR)
		return err_new(err, ERR_INVALID, step, name,
			       "it is damaged, or of another version");
	return err_sys(err, -r, step, "%s", name);
}

int snapshot_find(const char *dir, const char *name, struct snapshot *ret,
		  struct err *err)
{
	cleanup_fd int store = -1;
	cleanup_free char *path = NULL;
	struct about about = { 0 };
	int r = check_name(name, err);

	if (r == 0)
		r = store_open(dir, false, &path, &store, err);
	if (r < 0)
		return r;
	ret->lock = hold(store, name, LOCK_SH);
	if (ret->lock < 0)
		return not_there(name, ret->lock, err);
	r = about_read(ret->lock, &about);
	ret->path = about.path;
	ret->tree = openat(ret->lock, TREE,
			   O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && ret->tree < 0)
		r = errno == ENOENT ? -EBADMSG : -errno;
	if (r == 0 &&
	    asprintf(&ret->tree_path, "%s/%s/" TREE, path, name) < 0) {
		ret->tree_path = NULL;
		r = -ENOMEM;
	}
	return r < 0 ? not_there(name, r, err) : 0;
}

/* Where the copy goes, and a folder beside it. */
static int make_tree(struct workdir *w, int *ret_links)
{
	cleanup_fd int place = -1;

	if (w->mount >= 0) {
		/* it has no beside; gone before the first run */
		place = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
	} else {
		place = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
		if (mkdirat(place, WORKDIR_TREE, 0700) < 0)
			return -errno;
		fd_close(&w->fd);
		w->fd = openat(place, WORKDIR_TREE,
			       O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (w->fd < 0 || mkdirat(place, TEMP LINKS, 0700) < 0)
		return -errno;
	*ret_links =
		openat(place, TEMP LINKS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_links < 0 ? -errno : place >= 0 ? fd_steal(&place) : -EBADF;
}

static int copy_into(const struct snapshot *s, const struct identity *id,
		     struct workdir *w, struct err *err)
{
	cleanup_fd int links = -1, place = make_tree(w, &links), to = -1;
	struct tree_copy c = {
		.links = links,
		.give = id->kind == IDENTITY_ROOT && w->mount < 0,
		.uid = id->host_uid,
		.gid = id->host_gid,
		.path = s->tree_path,
	};
	int r;

	if (place < 0)
		return err_sys(err, -place, "make work dir", "%s", w->place);
	to = openat(w->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_sys(err, errno, "open", "%s", w->place);
	r = tree_copy(s->tree, to, &c, err);
	if (r == 0 && unlinkat(place, TEMP LINKS, AT_REMOVEDIR) < 0)
		r = err_sys(err, errno, "remove", "links");
	w->kind = c.copied || w->mount >= 0 ? WORKDIR_COPY : WORKDIR_REFLINK;
	return r;
}

int snapshot_copy(const struct snapshot *s, const struct identity *id,
		  struct workdir *w, struct err *err)
{
	struct workdir_self self;
	int r;

	workdir_become(w, id, false, &self);
	r = copy_into(s, id, w, err);
	workdir_return(&self);
	return r;
}

/* ---- as a tool ---- */

static void tell(int store, const char *name,
		 void (*each)(void *user_data,
			      const struct exeat_snapshot *snapshot),
		 void *user_data)
{
	cleanup_fd int dir = openat(
		store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct about a = { 0 };

	if (each && dir >= 0 && about_read(dir, &a) == 0) {
		const struct exeat_snapshot snapshot = {
			.name = name,
			.path = a.path,
			.how = a.shares ? "reflink" : "copy",
			.time = a.time,
			.files = a.files,
			.bytes = a.bytes,
		};

		each(user_data, &snapshot);
	}
	free(a.path);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_one(const struct dirent *e)
{
	return name_is_good(e->d_name);
}

int exeat_snapshots(const char *snapshot_dir,
		    void (*each)(void *user_data,
				 const struct exeat_snapshot *snapshot),
		    void *user_data, struct exeat_error *error)
{
	cleanup_fd int store = -1;
	struct dirent **list = NULL;
	struct err err;
	int n, r;

	err_clear(&err);
	r = store_open(snapshot_dir, false, NULL, &store, &err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return session_error(error, &err, r);
	n = scandirat(store, ".", &list, is_one, by_name);
	if (n < 0)
		return session_error(error, &err,
				     err_sys(&err, errno, "list", "snapshots"));
	for (int i = 0; i < n; i++) {
		tell(store, list[i]->d_name, each, user_data);
		free(list[i]);
	}
	free(list);
	return 0;
}

static int remove_one(int store, const char *name, struct err *err)
{
	char temp[sizeof(TEMP) + 2 * TEMP_LEN];
	cleanup_fd int held = hold(store, name, LOCK_EX);
	int r = held < 0 ? held : temp_name(temp);

	if (r == -EWOULDBLOCK)
		return err_new(err, ERR_CONFLICT, step, name,
			       "a session that began with it is open");
	if (r < 0)
		return not_there(name, r, err);
	/* nobody finds half of it */
	if (renameat(store, name, store, temp) < 0)
		return err_sys(err, errno, "remove", "%s", name);
	r = tree_remove(store, temp, 0);
	return r < 0 ? err_sys(err, -r, "remove", "%s", name) : 0;
}

int exeat_snapshot_remove(const char *snapshot_dir, const char *name,
			  struct exeat_error *error)
{
	cleanup_fd int store = -1;
	struct err err;
	int r;

	if (error_needs(error, step, ERROR_ARGS({ "name", name })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = check_name(name, &err);
	if (r == 0)
		r = store_open(snapshot_dir, false, NULL, &store, &err);
	if (r == 0)
		r = remove_one(store, name, &err);
	return r < 0 ? session_error(error, &err, r) : 0;
}
