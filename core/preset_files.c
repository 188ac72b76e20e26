/* preset_files.c - where settings are, and what is not believed
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/preset_private.h"

bool preset_is_below(const char *dir, const char *path)
{
	char real[PATH_MAX], folder[PATH_MAX];
	const char *at = path;
	size_t n;

	if (!dir)
		return false;
	/* what is not there yet is where its folder is */
	while (!realpath(at, real)) {
		char *slash;

		if (strlen(at) >= sizeof(folder))
			return true;
		memmove(folder, at, strlen(at) + 1);
		slash = strrchr(folder, '/');
		if (!slash || slash == folder)
			return false;
		*slash = '\0';
		at = folder;
	}
	n = strlen(dir);
	return strncmp(real, dir, n) == 0 &&
	       (real[n] == '/' || real[n] == '\0');
}

/* The caller's home, absolute, or NULL. Static: buf. */
static const char *home_folder(char *buf, size_t size)
{
	const char *home = getenv("HOME");
	struct passwd pw, *found = NULL;

	if (home)
		return *home == '/' ? home : NULL;
	if (getpwuid_r(geteuid(), &pw, buf, size, &found) != 0 || !found)
		return NULL;
	return pw.pw_dir;
}

char *preset_expand(const char *pattern)
{
	char buf[4096], name[128];
	const char *start = "", *rest = pattern;
	char *path;
	size_t n;

	if (*pattern == '~') {
		start = home_folder(buf, sizeof(buf));
		rest = pattern + 1;
	} else if (*pattern == '$') {
		n = strcspn(pattern + 1, "/");
		if (n >= sizeof(name))
			return NULL;
		memcpy(name, pattern + 1, n);
		name[n] = '\0';
		start = getenv(name);
		rest = pattern + 1 + n;
	}
	if (!start || asprintf(&path, "%s%s", start, rest) < 0)
		return NULL;
	if (*path == '/')
		return path;
	free(path);
	return NULL;
}

char *preset_own_folder(const char *variable, const char *otherwise)
{
	const char *value = getenv(variable);
	char buf[4096], *path;
	const char *home;
	int n;

	if (value && *value == '/') {
		n = asprintf(&path, "%s/exeat", value);
	} else {
		home = home_folder(buf, sizeof(buf));
		if (!home)
			return NULL;
		n = asprintf(&path, "%s/%s/exeat", home, otherwise);
	}
	return n < 0 ? NULL : path;
}

char *preset_safe_path(const char *work_dir)
{
	const char *path = getenv("PATH");
	struct sbuf b;

	sbuf_init(&b, 64 << 10);
	sbuf_str(&b, "");
	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t n = strcspn(path, ":");
		char folder[PATH_MAX];

		if (n > 0 && n < sizeof(folder) && *path == '/') {
			memcpy(folder, path, n);
			folder[n] = '\0';
			if (!preset_is_below(work_dir, folder))
				sbuf_fmt(&b, "%s%s", b.len > 0 ? ":" : "",
					 folder);
		}
		path += n + (path[n] == ':');
	}
	return sbuf_steal(&b);
}

bool preset_find_program(const char *path, const char *name,
			 const char *work_dir, char *ret, size_t size)
{
	while (*path) {
		int n = (int)strcspn(path, ":");
		struct stat st;

		(void)snprintf(ret, size, "%.*s/%s", n, path, name);
		path += n + (path[n] == ':');
		if (stat(ret, &st) == 0 && S_ISREG(st.st_mode) &&
		    access(ret, X_OK) == 0 && !preset_is_below(work_dir, ret))
			return true;
	}
	return false;
}
