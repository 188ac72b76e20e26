/* helperpath.c - where the helper binary is
 * SPDX-License-Identifier: Apache-2.0
 *
 * In order: the option, $EXEAT_HELPER, beside the library or program that
 * this code is in (an installation may be moved as a whole; a build tree has
 * it nearby), the place of the installation.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/session.h"

/* errno says why not. */
static bool usable(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0)
		return false;
	errno = EISDIR;
	return !S_ISDIR(st.st_mode);
}

/* The file that this code was loaded from. */
static bool own_file(char ret[PATH_MAX])
{
	const void *headers = (void *)(uintptr_t)getauxval(AT_PHDR);
	Dl_info own, program;

	if (!dladdr((void *)(uintptr_t)own_file, &own) || !own.dli_fname)
		return false;
	/* the linker knows the program as argv[0], a word of the caller's */
	if (dladdr(headers, &program) && program.dli_fbase == own.dli_fbase)
		return realpath("/proc/self/exe", ret);
	return realpath(own.dli_fname, ret);
}

static bool beside(char *ret, size_t size)
{
	static const char *const places[] = {
		"../libexec/exeat/exeat-helper",
		"../../libexec/exeat/exeat-helper",
		"helper/exeat-helper",
		"../helper/exeat-helper",
	};
	char dir[PATH_MAX];
	char *slash;

	if (!own_file(dir))
		return false;
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(ret, size, "%s/%s", dir, places[i]);

		if (n > 0 && (size_t)n < size && usable(ret))
			return true;
	}
	return false;
}

int helper_path(const char *option, char *ret, size_t size, struct err *err)
{
	const char *named = option ? option : secure_getenv("EXEAT_HELPER");

	if (!named && beside(ret, size))
		return 0;
	(void)snprintf(ret, size, "%s",
		       named ? named : EXEAT_LIBEXEC "/exeat-helper");
	if (usable(ret))
		return 0;
	(void)err_sys(err, errno, "find helper", "%s", ret);
	err->code = ERR_UNAVAILABLE;
	err_remedy(err, "install exeat-helper, or name it by EXEAT_HELPER");
	return -ENOENT;
}

int helper_tls_check(const char *helper, struct err *err)
{
	char path[PATH_MAX + sizeof(HELPER_TLS_SUFFIX)];

	(void)snprintf(path, sizeof(path), "%s" HELPER_TLS_SUFFIX, helper);
	if (usable(path))
		return 0;
	(void)err_sys(err, errno, "find helper", "%s", path);
	err->code = ERR_UNAVAILABLE;
	err_remedy(err,
		   "install exeat-helper-tls beside exeat-helper: https:// "
		   "proxies need it");
	return -ENOENT;
}
