/* spawn.h - starting a helper from a process that may be large and threaded
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_SPAWN_H
#define EXEAT_SYS_SPAWN_H

#include "core/base/err.h"

/*
 * Execute `path` with argv and an empty environment as a process that is
 * nobody's child of ours: the caller gets no SIGCHLD and its wait() never
 * sees it (cloned twice, CLONE_VM | CLONE_VFORK; the first is reaped here
 * with __WCLONE and sends no signal). fds[i] becomes descriptor 3 + i, 0-2
 * are /dev/null (2 stays the caller's stderr if keep_stderr), all others are
 * closed. Signal mask and dispositions are the default, own session
 * (setsid). Safe in threaded programs: between clone and exec only
 * async-signal-safe calls on memory prepared before; all signals are blocked
 * meanwhile and restored. *ret_pidfd names the process.
 */
int spawn_helper(const char *path, char *const argv[], const int *fds,
		 unsigned nfds, int keep_stderr, int *ret_pidfd,
		 struct err *err);

#endif
