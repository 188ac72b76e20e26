/* workpath.h - what a caller names in the work dir, found from outside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: files.c.
 */
#ifndef EXEAT_CORE_WORKPATH_H
#define EXEAT_CORE_WORKPATH_H

#include <stdbool.h>

#include "core/base/err.h"

struct exeat_session;

/*
 * A caller's path, relative to the work dir, without "." and empty components:
 * heap; "" is the work dir itself. `making`: what is to be made has a name that
 * is text.
 */
int workpath_take(const struct exeat_session *s, const char *path, bool making,
		  char **ret, struct err *err);
/* What a failed lookup (errno) means to who asked for `path`. */
int workpath_error(struct err *err, int errnum, const char *path);
int workpath_bad(struct err *err, const char *path, const char *why);

/* A descriptor of what a path taken names, or -errno; no link is followed. */
int workpath_open(const struct exeat_session *s, const char *path, int flags);
/* The same of a folder, made with all above it where it is missing. */
int workpath_make(const struct exeat_session *s, char *path);
/* The folder that its last name is in (made, if asked for); *ret_name points
 * into `path`. */
int workpath_parent(const struct exeat_session *s, char *path, bool make,
		    const char **ret_name);
/* Give it to whom what is made in the work dir belongs. */
int workpath_own(const struct exeat_session *s, int fd);

#endif
