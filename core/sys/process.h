/* process.h - a fork that can make namespaces, without a handler's help
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_PROCESS_H
#define EXEAT_SYS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * fork() with CLONE_NEW* flags. exit_signal: SIGCHLD, or 0 for a child that
 * only waitpid(__WCLONE or __WALL) sees. ret_pidfd may be NULL; the
 * descriptor is close-on-exec. Returns the pid, 0 in the child, or -errno.
 * Mustn't be called while the process has other threads: no atfork handler
 * runs.
 */
pid_t process_fork(unsigned long namespaces, int exit_signal, int *ret_pidfd);

/*
 * A child that runs child(arg) in our memory, on a stack of its own there, until
 * it executes a program or ends, which must not be by returning; SIGCHLD then.
 * Descriptors and signals are not shared. Returns the pid, or -errno.
 * Mustn't: until then, touch anything but the stack, or fail in a system call,
 * or restore errno, as fd_close() does (the child's is ours): close(2) and read
 * what tells of it.
 */
pid_t process_share(int (*child)(void *), void *arg, void *stack, size_t size);

/* Every signal back to its default, nothing blocked; also the two that the
 * C library keeps to itself. Async-signal-safe. */
void process_reset_signals(void);

#endif
