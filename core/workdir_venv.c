/* workdir_venv.c - what a session keeps in its work dir: HOME and Python's venv
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The virtual environment is the layout of PEP 405, written here: python
 * finds pyvenv.cfg beside its own folder, `home` in it says where the real one
 * is. Nothing is started for it, so a session opens in no time.
 *
 * A payload of an earlier session may have written to the folder: every step
 * is relative to an open directory, follows no symlink and replaces nothing.
 * As root the files are made with the payload's file-system uid, so that the
 * kernel holds us to what the payload itself may do there.
 */
#include "core/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"

static const char step[] = "prepare work dir";

/* ---- the machine's Python ---- */

struct python {
	char home[PATH_MAX]; /* folder of the program */
	char name[16];	     /* "python3.11" */
};

/* "python3.11" and nothing else. */
static bool is_versioned(const char *name)
{
	size_t digits;

	if (strncmp(name, "python3.", 8) != 0 ||
	    strlen(name) >= sizeof(((struct python *)NULL)->name))
		return false;
	digits = strspn(name + 8, "0123456789");
	return digits > 0 && name[8 + digits] == '\0';
}

/* The one lib/python3.X beside the program's folder. */
static bool version_by_library(const char *home, char name[16])
{
	char path[PATH_MAX + 8];
	unsigned found = 0;
	struct dirent *e;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/../lib", home);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((e = readdir(dir)))
		if (is_versioned(e->d_name) && found++ == 0)
			memcpy(name, e->d_name, strlen(e->d_name) + 1);
	(void)closedir(dir);
	return found == 1;
}

/* Where the payload's PATH leads to, as far as it is in the view. */
static bool find_python(struct python *ret)
{
	static const char *const places[] = { "/usr/local/bin", "/usr/bin",
					      "/bin" };
	static const char *const view[] = { "/usr/", "/opt/", "/bin/" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char link[64], real[PATH_MAX], *slash;
		bool in_view = false;

		(void)snprintf(link, sizeof(link), "%s/python3", places[i]);
		if (access(link, X_OK) < 0 || !realpath(link, real))
			continue;
		for (size_t k = 0; k < sizeof(view) / sizeof(view[0]); k++)
			in_view |= strncmp(real, view[k], strlen(view[k])) == 0;
		slash = strrchr(real, '/');
		if (!in_view)
			continue;
		*slash = '\0';
		memcpy(ret->home, real, strlen(real) + 1);
		if (is_versioned(slash + 1)) {
			memcpy(ret->name, slash + 1, strlen(slash + 1) + 1);
			return true;
		}
		if (version_by_library(real, ret->name))
			return true;
	}
	return false;
}

/* ---- making things in a folder that is not trusted ---- */

/* Make if it is not there, open without following a link. */
static int make_folder(int dirfd, const char *name, int *ret)
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

/* A whole file, or nothing if the name is taken. */
static int make_file(int dirfd, const char *name, const char *text, mode_t mode)
{
	cleanup_fd int fd = openat(
		dirfd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	return fd_write_all(fd, text, strlen(text));
}

static int make_link(int dirfd, const char *name, const char *target)
{
	if (symlinkat(target, dirfd, name) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* ---- the virtual environment ---- */

/* A script that finds its Python by its own place: no path to be quoted. */
static const char pip_script[] = "#!/bin/sh\n"
				 "exec \"${0%/*}/python\" -m pip \"$@\"\n";

static const char activate_script[] =
	"# for `. bin/activate` in a POSIX shell; runs of Exeat need it not\n"
	"deactivate() {\n"
	"\tPATH=$_EXEAT_OLD_PATH\n"
	"\texport PATH\n"
	"\tunset VIRTUAL_ENV _EXEAT_OLD_PATH\n"
	"\tunset -f deactivate\n"
	"}\n"
	"_EXEAT_OLD_PATH=$PATH\n"
	"PATH=$VIRTUAL_ENV/bin:$PATH\n"
	"export PATH VIRTUAL_ENV\n";

static int make_bin(int venv, const char *path, const struct python *python)
{
	cleanup_free char *activate = NULL;
	char target[PATH_MAX + 16];
	cleanup_fd int bin = -1;
	int r;

	r = make_folder(venv, "bin", &bin);
	if (r < 0)
		return r;
	(void)snprintf(target, sizeof(target), "%s/%s", python->home,
		       python->name);
	r = make_link(bin, "python", target);
	if (r == 0)
		r = make_link(bin, "python3", "python");
	if (r == 0)
		r = make_link(bin, python->name, "python");
	if (r == 0)
		r = make_file(bin, "pip", pip_script, 0755);
	if (r == 0)
		r = make_file(bin, "pip3", pip_script, 0755);
	/* a quote in the path would end ours; such a path has no script */
	if (r < 0 || strchr(path, '\''))
		return r;
	if (asprintf(&activate, "VIRTUAL_ENV='%s/.exeat/venv'\n%s", path,
		     activate_script) < 0) {
		activate = NULL;
		return -ENOMEM;
	}
	return make_file(bin, "activate", activate, 0644);
}

static int make_library(int venv, const struct python *python)
{
	cleanup_fd int fd = -1;
	int r;

	r = make_folder(venv, "lib", &fd);
	if (r == 0)
		r = make_folder(fd, python->name, &fd);
	if (r == 0)
		r = make_folder(fd, "site-packages", &fd);
	if (r == 0)
		r = make_link(venv, "lib64", "lib");
	return r;
}

static int make_venv(int exeat, const char *path)
{
	struct python python;
	char config[PATH_MAX + 128], made[64];
	cleanup_fd int venv = -1;
	int r;

	if (!find_python(&python))
		return 0;
	r = make_folder(exeat, "venv", &venv);
	if (r < 0)
		return r;
	(void)snprintf(made, sizeof(made), "lib/%s/site-packages", python.name);
	if (faccessat(venv, "pyvenv.cfg", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    faccessat(venv, made, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	r = make_bin(venv, path, &python);
	if (r == 0)
		r = make_library(venv, &python);
	if (r < 0)
		return r;
	/* last: from now on it is a virtual environment */
	(void)snprintf(config, sizeof(config),
		       "home = %s\n"
		       "include-system-site-packages = true\n"
		       "version = %s\n",
		       python.home, python.name + strlen("python"));
	return make_file(venv, "pyvenv.cfg", config, 0644);
}

static int populate(struct workdir *w)
{
	cleanup_fd int exeat = -1, home = -1;
	int r;

	r = make_folder(w->fd, ".exeat", &exeat);
	if (r == 0)
		r = make_file(exeat, ".gitignore", "*\n", 0644);
	if (r == 0)
		r = make_folder(exeat, "home", &home);
	if (r == 0)
		r = make_venv(exeat, w->path);
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
