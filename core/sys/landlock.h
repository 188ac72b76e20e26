/* landlock.h - no unix socket is made outside of /tmp and the like
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_LANDLOCK_H
#define EXEAT_SYS_LANDLOCK_H

#include "core/base/err.h"

/* The ABI version, or -errno (ENOSYS, EOPNOTSUPP: not there). */
int landlock_abi(void);

/*
 * Handle MAKE_SOCK and REFER; grant REFER on "/", both on each of
 * allowed_dirs (NULL-terminated). Needs no_new_privs. Below ABI 2:
 * ERR_UNAVAILABLE with the remedy.
 */
int landlock_no_sockets(const char *const *allowed_dirs, struct err *err);

#endif
