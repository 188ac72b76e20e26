/* workdir_kept.h - making what a session keeps in its work dir
 * SPDX-License-Identifier: Apache-2.0
 *
 * A payload of an earlier session may have written to these folders: every
 * step is relative to an open directory, follows no symlink and replaces
 * nothing.
 */
#ifndef EXEAT_CORE_WORKDIR_KEPT_H
#define EXEAT_CORE_WORKDIR_KEPT_H

#include <sys/types.h>

/* Make if it is not there, open without following a link. *ret is closed. */
int kept_folder(int dirfd, const char *name, int *ret);
/* A whole file, or nothing if the name is taken. */
int kept_file(int dirfd, const char *name, const char *text, mode_t mode);
/* A symbolic link, or nothing if the name is taken. */
int kept_link(int dirfd, const char *name, const char *target);

/*
 * The virtual environment in `exeat`, the folder .exeat of the work dir
 * `path`, if Python is in view. One whose Python the system has no more is
 * made anew; what was installed for that one stays where it is.
 */
int kept_venv(int exeat, const char *path);

#endif
