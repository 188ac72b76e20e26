/* spawn.c - starting a helper from a process that may be large and threaded
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	caller --clone--> outer --clone--> inner --execve--> helper
 *
 * Both clones share the caller's memory and suspend their parent (CLONE_VM |
 * CLONE_VFORK): nothing is copied, however large the caller is, and the
 * result comes back in `struct job`. Outer has no exit signal: nothing but
 * our own waitpid(__WCLONE) sees it. It shares the caller's descriptor table,
 * so that the pidfd which its own clone returns is the caller's. When it has
 * gone, inner is an orphan.
 *
 * An orphan goes to the nearest subreaper or to pid 1. A caller that is one
 * of these itself gets the helper as a child after all when it ends, as it
 * gets every other orphan of the machine.
 *
 * Outer and inner run on a stack of their own with a guard page below. In
 * them only system calls, on memory prepared before: another thread of the
 * caller may hold any lock.
 */
#include "core/sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/base/fd.h"
#include "core/sys/compat.h"
#include "core/sys/lacks.h"
#include "core/sys/process.h"

#define STACK_SIZE (64UL << 10)
#define FIRST_FD 3
#define FDS_MAX 64

/* The sanitizer's shadow of this stack would outlive it. */
#define ON_CHILD_STACK __attribute__((no_sanitize("address", "undefined")))

struct job {
	const char *path;
	char *const *argv;
	char *const *envp;
	int fds[FDS_MAX];
	unsigned nfds;
	int null;		/* /dev/null */
	bool keep_stderr;
	uint8_t *stack_top;	/* of inner */
	/* results */
	int pidfd;
	const char *failed;	/* step, or NULL */
	int errnum;
};

ON_CHILD_STACK
static int failed(struct job *job, const char *step)
{
	job->errnum = errno;
	job->failed = step;
	return 1;
}

/* Move what is passed on out of the way, then into its place. */
ON_CHILD_STACK
static int place_fds(struct job *job)
{
	int above = FIRST_FD + (int)job->nfds;

	job->null = fcntl(job->null, F_DUPFD_CLOEXEC, above);
	if (job->null < 0)
		return failed(job, "duplicate /dev/null");
	for (unsigned i = 0; i < job->nfds; i++) {
		job->fds[i] = fcntl(job->fds[i], F_DUPFD_CLOEXEC, above);
		if (job->fds[i] < 0)
			return failed(job, "duplicate descriptor");
	}
	for (unsigned i = 0; i < job->nfds; i++)
		if (dup2(job->fds[i], FIRST_FD + (int)i) < 0)
			return failed(job, "place descriptor");
	for (int fd = 0; fd < FIRST_FD; fd++) {
		if (fd == STDERR_FILENO && job->keep_stderr &&
		    fcntl(fd, F_GETFD) >= 0)
			continue;
		if (dup2(job->null, fd) < 0)
			return failed(job, "place /dev/null");
	}
	if (close_range((unsigned)above, ~0U, 0) < 0)
		return failed(job, "close descriptors");
	return 0;
}

ON_CHILD_STACK
static int inner(void *arg)
{
	struct job *job = arg;

	(void)setsid();		/* a new process leads no group: it succeeds */
	if (place_fds(job) == 0) {
		process_reset_signals();
		(void)execve(job->path, job->argv, job->envp);
		failed(job, "execute");
	}
	(void)syscall(SYS_exit, 127);
	return 127;
}

ON_CHILD_STACK
static int outer(void *arg)
{
	struct job *job = arg;
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

	if (clone(inner, job->stack_top, flags, job, &job->pidfd) < 0)
		failed(job, "clone");
	(void)syscall(SYS_exit, 0);
	return 0;
}

/* Everything but the stacks and the signal mask. 0 or -errno. */
static int run_outer(struct job *job, uint8_t *outer_top)
{
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES;
	pid_t pid = clone(outer, outer_top, flags, job);
	int status;

	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, __WCLONE) < 0)
		if (errno != EINTR)
			break;	/* ECHILD: another thread waits for __WALL */
	return 0;
}

/* All 64, also those that the C library keeps to itself. */
static void block_signals(uint64_t *ret_old)
{
	const uint64_t all = ~UINT64_C(0);

	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, ret_old,
		      sizeof(all));
}

static void restore_signals(uint64_t old)
{
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

/* Two stacks, each with a guard page below; NULL: errno says why. */
static uint8_t *map_stacks(size_t *ret_size, size_t *ret_guard)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = 2 * (guard + STACK_SIZE);
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, guard, PROT_NONE) < 0 ||
	    mprotect(p + guard + STACK_SIZE, guard, PROT_NONE) < 0) {
		int saved = errno;

		(void)munmap(p, size);	/* our own mapping */
		errno = saved;
		return NULL;
	}
	*ret_size = size;
	*ret_guard = guard;
	return p;
}

int spawn_helper(const char *path, char *const argv[], const int *fds,
		 unsigned nfds, int keep_stderr, int *ret_pidfd,
		 struct err *err)
{
	static char *const no_environment[] = { NULL };
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct job job = {
		.path = path,
		.argv = argv,
		.envp = no_environment,
		.nfds = nfds,
		.null = null,
		.keep_stderr = keep_stderr != 0,
		.pidfd = -1,
	};
	size_t size, guard;
	uint64_t mask;
	uint8_t *stacks;
	int r;

	if (null < 0)
		return err_sys(err, errno, "open", "/dev/null");
	if (nfds > FDS_MAX)
		return err_new(err, ERR_INVALID, "start helper", path,
			       "more than %d descriptors", FDS_MAX);
	if (nfds > 0)
		memcpy(job.fds, fds, nfds * sizeof(*fds));
	stacks = map_stacks(&size, &guard);
	if (!stacks)
		return err_sys(err, errno, "map a stack", NULL);
	job.stack_top = stacks + guard + STACK_SIZE;
	block_signals(&mask);
	r = run_outer(&job, stacks + size);
	restore_signals(mask);
	(void)munmap(stacks, size);	/* our own mapping */
	if (r < 0)
		return lacks(err, -r, "start helper", path, NULL);
	if (job.failed) {
		fd_close(&job.pidfd);
		r = err_sys(err, job.errnum, job.failed, "%s", path);
		/* what is there is no program, or none of this machine */
		if (job.errnum == ENOEXEC || job.errnum == EACCES)
			err->code = ERR_UNAVAILABLE;
		return r;
	}
	*ret_pidfd = job.pidfd;
	return 0;
}
