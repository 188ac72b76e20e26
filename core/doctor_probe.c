/* doctor_probe.c - each kernel feature, by trying it
 * SPDX-License-Identifier: Apache-2.0
 *
 * A probe does what a session will do, with the same functions, in a child
 * process that then ends: nothing it changed is left. The child writes one
 * struct finding to a pipe; one that dies before is a finding, too.
 */
#include "core/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "core/sys/landlock.h"
#include "core/sys/mount.h"
#include "core/sys/netns.h"
#include "core/sys/nft.h"
#include "core/sys/process.h"
#include "core/sys/seccomp.h"
#include "core/viewplan_mount.h"

enum { PROBE_MS = 10000 };

static void missing(struct finding *f, const char *what, int error,
		    const char *remedy)
{
	f->r = err_new(&f->err, ERR_UNAVAILABLE, "try", what, "%s",
		       strerrordesc_np(-error));
	err_remedy(&f->err, "%s", remedy);
}

/* ---- probes; the child is in a user namespace of its own if `inside` ---- */

static void try_userns(const struct identity *id, struct finding *f)
{
	f->r = isolate_identity(id->host_uid, id->host_gid, &f->err);
	if (f->r == 0)
		f->r = isolate_userns(0, 0, &f->err);
}

static void try_nested(const struct identity *id, struct finding *f)
{
	f->r = isolate_userns(id->uid, id->gid, &f->err);
}

static void try_namespaces(const struct identity *id, struct finding *f)
{
	static const struct {
		int flag;
		const char *name;
	} kinds[] = {
		{ CLONE_NEWPID, "pid" }, { CLONE_NEWNS, "mount" },
		{ CLONE_NEWIPC, "ipc" }, { CLONE_NEWUTS, "uts" },
		{ CLONE_NEWNET, "net" },
	};

	(void)id;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (unshare(kinds[i].flag) == 0)
			continue;
		missing(f, kinds[i].name, -errno,
			"the kernel needs CONFIG_NAMESPACES with all kinds; "
			"see /proc/sys/user/max_*_namespaces");
		return;
	}
}

/* A new /proc wants a pid namespace, and somebody in it. */
static void try_proc(const struct identity *id, struct finding *f)
{
	int status = 0, mount;
	pid_t pid = process_fork(CLONE_NEWPID | CLONE_NEWNS, 0, NULL);

	(void)id;
	if (pid == 0) {
		mount = mount_new("proc", NULL, 0);
		_exit(mount < 0 ? -mount : 0);
	}
	if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
		missing(f, "pid namespace", pid < 0 ? (int)pid : -errno, "");
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		missing(f, "mount of /proc",
			WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO,
			"in a container its /proc must not be partly "
			"covered (Docker: --security-opt "
			"systempaths=unconfined)");
}

static void try_mounts(const struct identity *id, struct finding *f)
{
	int mount = -ENOSYS, r = 0;

	(void)id;
	if (unshare(CLONE_NEWNS) < 0)
		r = -errno;
	if (r == 0)
		r = mount = mount_new_tmpfs(4096, 0700, 0);
	if (r >= 0)
		r = mount_restrict(mount, MOUNT_ATTR_RDONLY, true);
	if (r < 0)
		missing(f, "mount_setattr", r, "Linux 5.12 or later");
}

static void try_posture(const struct identity *id, struct finding *f)
{
	cleanup_fd int fd = -1;

	(void)id;
	f->r = netns_new(&fd, &f->err);
}

static void try_nft(const struct identity *id, struct finding *f)
{
	try_posture(id, f);
	if (f->r == 0)
		f->r = nft_probe(&f->err);
}

static void try_gate(const struct identity *id, struct finding *f)
{
	struct gate_sockets s = { -1, -1, -1, -1, -1, -1, -1, -1 };

	try_posture(id, f);
	if (f->r == 0)
		f->r = gate_sockets_open(&s, &f->err);
	gate_sockets_close(&s);
}

static void try_landlock(const struct identity *id, struct finding *f)
{
	int abi = landlock_abi();

	(void)id;
	if (abi >= 2) {
		(void)snprintf(f->detail, sizeof(f->detail), "ABI %d", abi);
		return;
	}
	f->only_warn = true;
	missing(f, "Landlock ABI 2", abi < 0 ? abi : -EOPNOTSUPP,
		"Linux 5.19 with landlock in lsm=; or allow sockets in the "
		"work dir (--work-dir-sockets)");
}

static void try_seccomp(const struct identity *id, struct finding *f)
{
	(void)id;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		missing(f, "no_new_privs", -errno, "Linux 3.5 or later");
	else
		f->r = seccomp_load(&seccomp_payload, &f->err);
}

static void try_pidfd(const struct identity *id, struct finding *f)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	(void)id;
	if (fd < 0)
		missing(f, "pidfd_open", -errno, "Linux 5.3 or later");
}

static void try_idmap(const struct identity *id, struct finding *f)
{
	cleanup_fd int fd = -1;

	f->r = viewplan_mount_open(AT_FDCWD, "/tmp", false, true, id->host_uid,
				   id->host_gid, &fd, &f->err);
	f->only_warn = f->r < 0;
}

const struct probe doctor_kernel_probes[] = {
	{ "user namespaces", try_userns, false, false },
	{ "nested user namespaces", try_nested, true, false },
	{ "pid, mount, ipc, uts, net namespaces", try_namespaces, true, false },
	{ "a /proc of its own", try_proc, true, false },
	{ "mount attributes", try_mounts, true, false },
	{ "posture namespace", try_posture, true, false },
	{ "nf_tables: tproxy, reject, log", try_nft, true, false },
	{ "transparent sockets, packet log", try_gate, true, false },
	{ "Landlock", try_landlock, false, false },
	{ "system call filters", try_seccomp, false, false },
	{ "pidfd", try_pidfd, false, false },
	{ "id-mapped mounts", try_idmap, false, true },
};
const size_t doctor_kernel_nprobes =
	sizeof(doctor_kernel_probes) / sizeof(doctor_kernel_probes[0]);

/* ---- the child ---- */

_Noreturn static void child(const struct probe *p, const struct identity *id,
			    int report)
{
	struct finding f;

	memset(&f, 0, sizeof(f)); /* its padding is written, too */
	process_reset_signals();
	if (p->inside)
		try_userns(id, &f);
	if (f.r == 0)
		p->run(id, &f);
	_exit(fd_write_all(report, &f, sizeof(f)) < 0);
}

static int collect(int fd, struct finding *ret)
{
	int64_t deadline = clock_ms() + PROBE_MS, left = PROBE_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (left > 0 && poll(&p, 1, (int)left) <= 0)
		left = deadline - clock_ms();
	if (left <= 0)
		return -ETIMEDOUT;
	/* it is written at once */
	return fd_read_all(fd, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -EIO;
}

void doctor_run(const struct probe *p, const struct identity *id,
		struct finding *ret)
{
	cleanup_fd int in = -1, out = -1;
	int fds[2], r, status = 0;
	pid_t pid;

	memset(ret, 0, sizeof(*ret));
	if (pipe2(fds, O_CLOEXEC) < 0) {
		missing(ret, "pipe", -errno, "");
		return;
	}
	out = fds[0];
	in = fds[1];
	(void)fflush(NULL);
	pid = process_fork(0, 0, NULL);
	if (pid == 0)
		child(p, id, in);
	fd_close(&in);
	if (pid < 0) {
		missing(ret, "fork", pid, "");
		return;
	}
	r = collect(out, ret);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		continue;
	if (r < 0)
		ret->r = err_new(&ret->err, ERR_INTERNAL, "try", p->name,
				 r == -ETIMEDOUT ?
					 "no answer" :
					 "the probe ended by signal %d",
				 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}
