/* result.h - the file that a run's result goes to
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * It may be named in the work dir, where commands write: this one, those of
 * earlier runs, those of other sessions beside us. Whatever they make of the
 * names there must not lead us to another file of the caller's, which would be
 * emptied. So its folder is looked up before the command begins, and kept. On
 * the way there symlinks are followed where the caller alone could have made
 * them, nowhere else; the last name never is one.
 */
#ifndef EXEAT_CORE_CLI_RESULT_H
#define EXEAT_CORE_CLI_RESULT_H

#include "core/base/err.h"

/*
 * The folder of `path`, in which it can be written; `places` are what commands
 * may write to, NULL-terminated. Should: before any command begins. *ret is the
 * caller's; -1 for what the system has below /dev.
 */
int result_folder(const char *path, const char *const *places, int *ret,
		  struct err *err);
/* The file in it, empty: a descriptor, or -errno. */
int result_open(int folder, const char *path);

#endif
