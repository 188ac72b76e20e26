/* landlock.h - what the file view alone cannot forbid
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_LANDLOCK_H
#define EXEAT_SYS_LANDLOCK_H

#include "core/base/err.h"

/* The ABI version, or -errno (ENOSYS, EOPNOTSUPP: not there). */
int landlock_abi(void);

/*
 * Unix sockets can be made beneath socket_dirs only (NULL-terminated). Needs
 * no_new_privs. Below ABI 2: ERR_UNAVAILABLE with the remedy.
 */
int landlock_sockets(const char *const *socket_dirs, struct err *err);

/*
 * If descriptors 0 to 2 hold a regular file: files can be opened beneath "/"
 * only, and those of the three again only in the mode that they have; one that
 * is to be read cannot be shortened either. Otherwise nothing is done, on any
 * kernel. Needs and fails as above. `abi` is landlock_abi(), or less: what an
 * older kernel offers.
 */
int landlock_stdio(int abi, struct err *err);

#endif
