/* process.c - a fork that can make namespaces, without a handler's help
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Signals of the kernel's set, which is smaller than sigset_t. */
#define KERNEL_NSIG 64

pid_t process_fork(unsigned long namespaces, int exit_signal, int *ret_pidfd)
{
	unsigned long flags = namespaces | (unsigned long)exit_signal;
	int pidfd = -1;
	long pid;

	if (ret_pidfd)
		flags |= CLONE_PIDFD;
	/*
	 * The raw call, not clone3: container runtimes filter that one. The
	 * order of the last two arguments differs between architectures, but
	 * both are zero.
	 */
	pid = syscall(SYS_clone, flags, 0UL, &pidfd, 0UL, 0UL);
	if (pid < 0)
		return -errno;
	if (pid > 0 && ret_pidfd)
		*ret_pidfd = pidfd;
	return (pid_t)pid;
}

pid_t process_share(int (*child)(void *), void *arg, void *stack, size_t size)
{
	pid_t pid = clone(child, (char *)stack + size, CLONE_VM | SIGCHLD, arg);

	return pid < 0 ? -errno : pid;
}

void process_reset_signals(void)
{
	/* all zero is SIG_DFL, no flags, in the layout of every kernel */
	const unsigned long action[8] = { 0 };
	const uint64_t none = 0;

	/* KILL and STOP refuse, and are the default already */
	for (int sig = 1; sig <= KERNEL_NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, action, NULL,
			      sizeof(none));
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL,
		      sizeof(none));
}
