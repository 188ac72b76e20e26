/* governs.c - files that say what a run may do, kept from the run
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * What a run can write to it can prepare for the next one: the policy file in
 * the work dir, the folder that it is in, a symlink on the way to it, another
 * hard link. So a path is walked here as the kernel walks it, and each name is
 * judged by the folder that it stands in:
 *
 *	symlink in a folder of a run's		refused
 *	the file, in a folder of a run's	the view keeps it: read-only,
 *						neither it nor a folder above
 *						it can be moved (viewplan.c)
 *	the file, with another hard link that	refused
 *	the run may write to
 *
 * An audit file is refused in all of these cases: a run whose view does not
 * have it read-only could change the lines of an earlier one.
 */
#include "core/governs.h"

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

/* ---- what runs may write to ---- */

int governs_init(struct governs *g, uid_t writer, const char *work,
		 const char *const *read_write_paths, struct err *err)
{
	char real[PATH_MAX];
	int r = 0;

	*g = (struct governs){ .writer = writer };
	if (work)
		r = list_add(&g->roots, work);
	for (; r == 0 && read_write_paths && *read_write_paths;
	     read_write_paths++)
		/* the view says what is wrong with one that is not there */
		if (realpath(*read_write_paths, real))
			r = list_add(&g->roots, real);
	return r < 0 ? err_sys(err, ENOMEM, "copy", "read_write_paths") : 0;
}

void governs_done(struct governs *g)
{
	list_free(&g->roots);
}

static bool is_writable(const struct governs *g, const char *path)
{
	for (size_t i = 0; i < g->roots.n; i++) {
		size_t n = strlen(g->roots.texts[i]);

		if (strncmp(g->roots.texts[i], path, n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	return false;
}

/* ---- the walk ---- */

struct walk {
	char done[PATH_MAX]; /* without a symlink; "" is the root */
	char rest[PATH_MAX];
	unsigned links;
};

static int put_before_rest(struct walk *w, const char *text)
{
	char whole[PATH_MAX];
	int n = snprintf(whole, sizeof(whole), "%s/%s", text, w->rest);

	if ((size_t)n >= sizeof(whole))
		return -ENAMETOOLONG;
	memcpy(w->rest, whole, (size_t)n + 1);
	return 0;
}

static int begin(struct walk *w, const char *path)
{
	*w = (struct walk){ .links = 0 };
	if (strlen(path) >= sizeof(w->rest))
		return -ENAMETOOLONG;
	memcpy(w->rest, path, strlen(path) + 1);
	if (*path == '/')
		return 0;
	return getcwd(w->done, sizeof(w->done)) ? 0 : -errno;
}

static int go_down(struct walk *w, const char *name, size_t len)
{
	size_t done = strlen(w->done);

	if (done + len + 2 > sizeof(w->done) || len > NAME_MAX)
		return -ENAMETOOLONG;
	w->done[done] = '/';
	memcpy(w->done + done + 1, name, len);
	w->done[done + 1 + len] = '\0';
	return 0;
}

static void go_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash)
		*slash = '\0';
}

/* w->done is a symlink. -EXDEV: a run could make it another one. */
static int follow(const struct governs *g, struct walk *w)
{
	char text[PATH_MAX];
	ssize_t len = readlink(w->done, text, sizeof(text) - 1);

	if (len < 0)
		return -errno;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	text[len] = '\0';
	go_up(w);
	if (is_writable(g, *w->done ? w->done : "/"))
		return -EXDEV;
	if (*text == '/')
		w->done[0] = '\0';
	return put_before_rest(w, text);
}

/*
 * The path in w->done, without a symlink; the end may be missing. -EXDEV: a
 * symlink on the way is in a run's reach.
 */
static int resolve(const struct governs *g, const char *path, struct walk *w)
{
	int r = begin(w, path);

	while (r == 0) {
		const char *name = w->rest + strspn(w->rest, "/");
		size_t len = strcspn(name, "/");
		struct stat st;

		if (len == 0)
			break;
		if (len == 2 && name[0] == '.' && name[1] == '.')
			go_up(w);
		else if (len != 1 || name[0] != '.')
			r = go_down(w, name, len);
		memmove(w->rest, name + len, strlen(name + len) + 1);
		if (r < 0 || lstat(*w->done ? w->done : "/", &st) < 0)
			continue; /* what is missing has nothing below it */
		if (S_ISLNK(st.st_mode))
			r = follow(g, w);
	}
	return r;
}

/* ---- files that are read ---- */

static const char step[] = "keep file from runs";

static int refuse_link(const char *path, struct err *err)
{
	int r = err_new(err, ERR_INVALID, step, path,
			"a symlink on the way to it lies where a run could "
			"change it");

	err_remedy(err, "name the file itself");
	return r;
}

/* Could the payload write to it by a name that is not kept from it? */
static bool has_other_names(const struct governs *g, const char *real,
			    const struct stat *st)
{
	return st->st_nlink > 1 &&
	       (is_writable(g, real) || st->st_uid == g->writer ||
		(st->st_mode & (S_IWGRP | S_IWOTH)));
}

static int find_one(const struct governs *g, const char *path, struct list *ret,
		    struct err *err)
{
	struct walk w;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_new(err, ERR_INVALID, step, path, "%s",
			       strerrordesc_np(errno));
	if (st.st_nlink == 0)
		return 0; /* open, and without a name */
	r = resolve(g, path, &w);
	if (r == -EXDEV)
		return refuse_link(path, err);
	if (r < 0)
		return err_new(err, ERR_INVALID, step, path, "%s",
			       strerrordesc_np(-r));
	if (!S_ISREG(st.st_mode) && is_writable(g, w.done))
		return err_new(err, ERR_INVALID, step, path,
			       "not a regular file, and a run could write it");
	if (!S_ISREG(st.st_mode))
		return 0;
	if (has_other_names(g, w.done, &st)) {
		r = err_new(err, ERR_INVALID, step, path,
			    "it has other hard links, by which a run could "
			    "write it");
		err_remedy(err, "put a copy in its place");
		return r;
	}
	return list_add_once(ret, w.done) < 0 ?
		       err_sys(err, ENOMEM, step, "%s", path) :
		       0;
}

int governs_find(const struct governs *g, const char *const *files,
		 struct list *ret, struct err *err)
{
	int r = 0;

	for (; r == 0 && files && *files; files++)
		r = find_one(g, *files, ret, err);
	return r;
}

/* ---- the audit ---- */

static const char audit[] = "audit";

static int refuse_audit(const char *path, struct err *err)
{
	int r = err_new(err, ERR_INVALID, audit, path,
			"a run could write to it");

	err_remedy(err, "put it outside of the work dir and of what is shown "
			"writable");
	return r;
}

/* The file behind a path, if it is there: may a run not write to it? */
static int check_audit(const struct governs *g, const char *path,
		       struct walk *w, struct err *err)
{
	struct stat st;
	int r = resolve(g, path, w);

	if (r == -EXDEV)
		return refuse_audit(path, err);
	if (r == 0 && is_writable(g, w->done))
		return refuse_audit(w->done, err);
	if (r < 0)
		return err_sys(err, -r, audit, "%s", path);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    has_other_names(g, w->done, &st))
		return refuse_audit(path, err);
	return 0;
}

int governs_open_audit(const struct governs *g, const char *path, int *ret,
		       struct err *err)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC;
	struct walk w;
	struct stat st;
	int r = check_audit(g, path, &w, err);

	if (r < 0)
		return r;
	/* a pipe or a terminal may have no name but the one in /proc */
	*ret = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ?
		       open(path, flags, 0600) :
		       open(w.done, flags | O_NOFOLLOW, 0600);
	return *ret < 0 ? err_sys(err, errno, audit, "%s", path) : 0;
}

int governs_check_audit(const struct governs *g, int fd, struct err *err)
{
	char path[32];
	struct walk w;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return check_audit(g, path, &w, err);
}
