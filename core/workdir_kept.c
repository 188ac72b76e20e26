/* workdir_kept.c - what a session keeps in its work dir: HOME, caches, venv
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A program that one run installs is found by its name in the next: PATH has
 * HOME/.local/bin, and HOME is made so that the package managers of this
 * machine install there. What one knows by a place of its own (~/.cargo/bin,
 * ~/go/bin) is a link; what it has to be told, it is told in a file of its own.
 * Variables would do it too, but they would be in every environment, and
 * stronger than what a user writes to such a file.
 *
 * All of it is made anew when a session opens if it is not there, and left
 * alone if it is. That somebody put a link or a file where a folder of HOME's
 * would be is his business; .exeat itself and HOME have to be folders.
 *
 * As root the files are made with the payload's file-system uid, so that the
 * kernel holds us to what the payload itself may do there.
 */
#include "core/workdir_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/workdir.h"

static const char step[] = "prepare work dir";

/* ---- making things in a folder that is not trusted ---- */

int kept_folder(int dirfd, const char *name, int *ret)
{
	int fd;

	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fd_close(ret);
	*ret = fd;
	return 0;
}

int kept_file(int dirfd, const char *name, const char *text, mode_t mode)
{
	cleanup_fd int fd = openat(
		dirfd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		(void)unlinkat(dirfd, name, 0); /* the first error counts */
	return r;
}

int kept_link(int dirfd, const char *name, const char *target)
{
	if (symlinkat(target, dirfd, name) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* ---- HOME ---- */

enum {
	TOOL_NPM,
	TOOL_CARGO,
	TOOL_GO,
	TOOL_MAX,
};

/* In this order, that of PATH. */
static const char *const tool_places[] = { "/usr/local", "/usr" };
static const char *const tool_names[TOOL_MAX] = {
	[TOOL_NPM] = "npm",
	[TOOL_CARGO] = "cargo",
	[TOOL_GO] = "go",
};

static const struct home_entry {
	unsigned tools;	    /* any of them: for whom it is made */
	const char *folder; /* in HOME; each name with its "/" */
	const char *name;   /* in it: a link or a file */
	const char *target, *text;
} home_entries[] = {
	{ .tools = 1U << TOOL_NPM | 1U << TOOL_CARGO | 1U << TOOL_GO,
	  .folder = ".local/bin/" },
	{ .tools = 1U << TOOL_NPM,
	  .folder = "",
	  .name = ".npmrc",
	  .text = "prefix=${HOME}/.local\n" },
	{ .tools = 1U << TOOL_CARGO,
	  .folder = ".cargo/",
	  .name = "bin",
	  .target = "../.local/bin" },
	{ .tools = 1U << TOOL_GO,
	  .folder = "go/",
	  .name = "bin",
	  .target = "../.local/bin" },
};

/* "a/b/" below the folder, made as far as it is not there. */
static int home_folder(int home, const char *path, int *ret)
{
	int r = 0;

	for (int at = home; r == 0 && *path; at = *ret) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");

		(void)snprintf(name, sizeof(name), "%.*s", (int)n, path);
		r = kept_folder(at, name, ret);
		path += n + 1;
	}
	return r;
}

static int home_make(int home, const struct home_entry *e)
{
	cleanup_fd int fd = -1;
	int r = home_folder(home, e->folder, &fd);
	int at = fd >= 0 ? fd : home;

	if (r == 0 && e->target)
		r = kept_link(at, e->name, e->target);
	if (r == 0 && e->text)
		r = kept_file(at, e->name, e->text, 0644);
	/* what is there instead, or what its owner shut, is the user's */
	if (r == -ENOTDIR || r == -ELOOP || r == -EACCES)
		return 0;
	return r;
}

/*
 * npm looks for the machine's settings by its prefix, which is another now: the
 * file that it would have found. (Debian's has a fixed place for it.)
 */
static int make_npm_settings(int home, const char *place)
{
	char target[64];

	(void)snprintf(target, sizeof(target), "%s/etc/npmrc", place);
	if (access(target, F_OK) < 0)
		return 0;
	return home_make(home, &(struct home_entry){ .folder = ".local/etc/",
						     .name = "npmrc",
						     .target = target });
}

/* Where the tool is, or NULL. */
static const char *find_tool(const char *name)
{
	char path[64];

	for (size_t i = 0; i < sizeof(tool_places) / sizeof(tool_places[0]);
	     i++) {
		(void)snprintf(path, sizeof(path), "%s/bin/%s", tool_places[i],
			       name);
		if (access(path, X_OK) == 0)
			return tool_places[i];
	}
	return NULL;
}

static int make_home(int exeat)
{
	const char *places[TOOL_MAX];
	cleanup_fd int home = -1;
	unsigned tools = 0;
	int r = kept_folder(exeat, "home", &home);

	for (unsigned i = 0; i < TOOL_MAX; i++) {
		places[i] = find_tool(tool_names[i]);
		tools |= places[i] ? 1U << i : 0;
	}
	for (size_t i = 0;
	     r == 0 && i < sizeof(home_entries) / sizeof(home_entries[0]); i++)
		if (home_entries[i].tools & tools)
			r = home_make(home, &home_entries[i]);
	if (r == 0 && places[TOOL_NPM])
		r = make_npm_settings(home, places[TOOL_NPM]);
	return r;
}

/* ---- all of it ---- */

static int populate(struct workdir *w)
{
	cleanup_fd int exeat = -1;
	int r;

	r = kept_folder(w->fd, ".exeat", &exeat);
	if (r == 0)
		r = kept_file(exeat, ".gitignore", "*\n", 0644);
	if (r == 0)
		r = make_home(exeat);
	if (r == 0)
		r = kept_venv(exeat, w->path);
	return r;
}

void workdir_become(const struct workdir *w, const struct identity *id,
		    bool always, struct workdir_self *ret)
{
	*ret = (struct workdir_self){
		.other = id->kind == IDENTITY_ROOT && !id->idmap_work_dir &&
			 (always || w->mount >= 0),
		.uid = geteuid(),
		.gid = getegid(),
	};
	if (!ret->other)
		return;
	(void)setfsgid(id->host_gid); /* both answer the old one */
	(void)setfsuid(id->host_uid);
}

void workdir_return(const struct workdir_self *self)
{
	if (!self->other)
		return;
	(void)setfsuid(self->uid);
	(void)setfsgid(self->gid);
}

int workdir_populate(struct workdir *w, const struct identity *id,
		     struct err *err)
{
	struct workdir_self self;
	int r;

	workdir_become(w, id, true, &self);
	r = populate(w);
	workdir_return(&self);
	if (r == -ENOTDIR || r == -ELOOP)
		r = err_new(err, ERR_CONFLICT, step, w->path,
			    "something in its .exeat is a link where a folder "
			    "has to be");
	else if (r < 0)
		r = err_sys(err, -r, step, "%s/.exeat", w->path);
	if (r < 0)
		err_remedy(err, "remove its .exeat, or name another work dir");
	return r;
}
