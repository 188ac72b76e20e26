/* workdir_venv.c - the virtual environment for Python of a work dir
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The virtual environment is the layout of PEP 405, written here: python
 * finds pyvenv.cfg beside its own folder, `home` in it says where the real one
 * is. Nothing is started for it, so a session opens in no time. pip is the
 * machine's, until somebody installs another one here.
 *
 * It is left alone once it is there, whoever made it: also one of another
 * Python that a user put in its place. But a Python of the system's that has
 * gone (an upgrade) would make it useless; then it is led to the one of now.
 */
#include "core/workdir_kept.h"

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

/* ---- the machine's Python ---- */

struct python {
	char program[PATH_MAX]; /* without links */
	char home[PATH_MAX];	/* its folder */
	char name[16];		/* "python3.11" */
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

static bool in_view(const char *path)
{
	static const char *const view[] = { "/usr/", "/opt/", "/bin/" };

	for (size_t i = 0; i < sizeof(view) / sizeof(view[0]); i++)
		if (strncmp(path, view[i], strlen(view[i])) == 0)
			return true;
	return false;
}

/* Where the payload's PATH leads to, as far as it is in the view. */
static bool find_python(struct python *ret)
{
	static const char *const places[] = { "/usr/local/bin", "/usr/bin",
					      "/bin" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char link[64], *slash;

		(void)snprintf(link, sizeof(link), "%s/python3", places[i]);
		if (access(link, X_OK) < 0 || !realpath(link, ret->program) ||
		    !in_view(ret->program))
			continue;
		memcpy(ret->home, ret->program, sizeof(ret->home));
		slash = strrchr(ret->home, '/');
		*slash = '\0';
		if (is_versioned(slash + 1)) {
			memcpy(ret->name, slash + 1, strlen(slash + 1) + 1);
			return true;
		}
		if (version_by_library(ret->home, ret->name))
			return true;
	}
	return false;
}

/* ---- the virtual environment ---- */

/*
 * It finds its Python by its own place: no path to be quoted. A Python without
 * pip is a Debian without python3-pip; then ensurepip is there or it is not.
 */
static const char pip_script[] =
	"#!/bin/sh\n"
	"exec \"${0%/*}/python\" -c '\n"
	"import importlib.util, runpy, sys\n"
	"if importlib.util.find_spec(\"pip\"):\n"
	"    runpy.run_module(\"pip\", run_name=\"__main__\", alter_sys=True)\n"
	"elif importlib.util.find_spec(\"ensurepip\"):\n"
	"    sys.exit(\"pip: not installed; `python -m ensurepip` puts it into \"\n"
	"             \"this environment\")\n"
	"else:\n"
	"    sys.exit(\"pip: not installed on this machine (python3-pip); \"\n"
	"             \"uv does without\")\n"
	"' \"$@\"\n";

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
	cleanup_fd int bin = -1;
	int r;

	r = kept_folder(venv, "bin", &bin);
	if (r == 0)
		r = kept_link(bin, "python", python->program);
	if (r == 0)
		r = kept_link(bin, "python3", "python");
	if (r == 0)
		r = kept_link(bin, python->name, "python");
	if (r == 0)
		r = kept_file(bin, "pip", pip_script, 0755);
	if (r == 0)
		r = kept_file(bin, "pip3", pip_script, 0755);
	/* a quote in the path would end ours; such a path has no script */
	if (r < 0 || strchr(path, '\''))
		return r;
	if (asprintf(&activate, "VIRTUAL_ENV='%s/.exeat/venv'\n%s", path,
		     activate_script) < 0) {
		activate = NULL;
		return -ENOMEM;
	}
	return kept_file(bin, "activate", activate, 0644);
}

static int make_library(int venv, const struct python *python)
{
	cleanup_fd int fd = -1;
	int r;

	r = kept_folder(venv, "lib", &fd);
	if (r == 0)
		r = kept_folder(fd, python->name, &fd);
	if (r == 0)
		r = kept_folder(fd, "site-packages", &fd);
	if (r == 0)
		r = kept_link(venv, "lib64", "lib");
	return r;
}

/*
 * Is `python` there, and does it lead to where something is? Only what the
 * system had can be told to have gone: what it leads to in the work dir may be
 * elsewhere on the host.
 */
static bool has_python(int bin, char ret_gone[PATH_MAX])
{
	char target[PATH_MAX], name[PATH_MAX] = "python";
	struct stat st;

	*ret_gone = '\0';
	for (int hops = 0; hops < 8; hops++) {
		ssize_t n = readlinkat(bin, name, target, sizeof(target) - 1);
		const char *slash;

		if (n < 0)
			return errno == EINVAL; /* a program, no link */
		target[n] = '\0';
		slash = strrchr(target, '/');
		memcpy(name, slash ? slash + 1 : target,
		       strlen(slash ? slash + 1 : target) + 1);
		if (!slash)
			continue;
		if (!in_view(target) || strstr(target, "/../") ||
		    fstatat(AT_FDCWD, target, &st, 0) == 0)
			return true;
		memcpy(ret_gone, name, sizeof(name));
		return false;
	}
	return true;
}

/* Whole, or in pieces of which none is in the way of a new one. */
static bool is_whole(int venv)
{
	cleanup_fd int bin = openat(
		venv, "bin", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char gone[PATH_MAX];

	if (bin < 0)
		return false;
	if (has_python(bin, gone))
		return faccessat(venv, "pyvenv.cfg", F_OK,
				 AT_SYMLINK_NOFOLLOW) == 0;
	/* what cannot be removed stays, and says so itself when it is used */
	(void)unlinkat(venv, "pyvenv.cfg", 0);
	(void)unlinkat(bin, "python", 0);
	if (is_versioned(gone))
		(void)unlinkat(bin, gone, 0);
	return false;
}

int kept_venv(int exeat, const char *path)
{
	char config[PATH_MAX + 128];
	cleanup_fd int venv = -1;
	struct python python;
	int r;

	if (!find_python(&python))
		return 0;
	r = kept_folder(exeat, "venv", &venv);
	if (r < 0)
		return r;
	if (is_whole(venv))
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
	return kept_file(venv, "pyvenv.cfg", config, 0644);
}
