/* backends_inside.c - what a payload of the test tries
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/backends_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int wrong;

/* `result` is a system call's; `expected` an errno, 0 for success. */
static void check(const char *what, long result, int expected)
{
	int got = result < 0 ? errno : 0;

	if (got == expected)
		return;
	(void)printf("%s: expected %s, got %s\n", what,
		     strerrorname_np(expected), strerrorname_np(got));
	wrong = 1;
}

/* Whatever the reason: it must not succeed. */
static void check_fails(const char *what, long result)
{
	if (result < 0)
		return;
	(void)printf("%s: succeeded\n", what);
	wrong = 1;
}

static void try_sockets(void)
{
	static const struct {
		const char *name;
		long family;
		int type, protocol, expected;
	} rows[] = {
		{ "unix", AF_UNIX, SOCK_STREAM, 0, 0 },
		{ "inet", AF_INET, SOCK_STREAM, 0, 0 },
		{ "inet6", AF_INET6, SOCK_DGRAM, 0, 0 },
		{ "route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, 0 },
		{ "raw", AF_INET, SOCK_RAW, 1, EPERM },
		{ "vsock", AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT },
		{ "alg", AF_ALG, SOCK_SEQPACKET, 0, EAFNOSUPPORT },
		{ "packet", AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT },
		{ "bluetooth", AF_BLUETOOTH, SOCK_RAW, 0, EAFNOSUPPORT },
		{ "x25", 9, SOCK_SEQPACKET, 0, EAFNOSUPPORT },
		{ "netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER,
		  EAFNOSUPPORT },
		{ "uevent", AF_NETLINK, SOCK_RAW, 15, EAFNOSUPPORT },
		/* the kernel reads 32 bits, a filter 64 */
		{ "vsock, high half", AF_VSOCK | (1L << 32), SOCK_STREAM, 0,
		  EAFNOSUPPORT },
	};
	int pair[2];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].name,
		      syscall(SYS_socket, rows[i].family, rows[i].type,
			      rows[i].protocol),
		      rows[i].expected);
	check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void try_setid(void)
{
	int fd = open("f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	check("create", fd, 0);
	check("chmod", chmod("f", 0700), 0);
	check("chmod suid", chmod("f", 04755), EPERM);
	check("chmod sgid", chmod("f", 02755), EPERM);
	check("fchmod suid", fchmod(fd, 06755), EPERM);
	check("fchmodat suid", fchmodat(AT_FDCWD, "f", 04755, 0), EPERM);
	check("fchmodat2 suid", syscall(452, AT_FDCWD, "f", 04755, 0), EPERM);
	check("open suid", open("g", O_WRONLY | O_CREAT, 04755), EPERM);
	check("openat sgid", openat(AT_FDCWD, "g", O_RDWR | O_CREAT, 02755),
	      EPERM);
	check("tmpfile suid", open(".", O_WRONLY | O_TMPFILE, 04755), EPERM);
	/* without O_CREAT the mode is no mode */
	check("open", open("f", O_RDONLY, 04755), 0);
	check("creat suid", creat("g", 04755), EPERM);
	check("mknod suid", mknod("g", S_IFREG | 04755, 0), EPERM);
	check("fifo", mkfifo("p", 0600), 0);
	check("openat2", syscall(SYS_openat2, AT_FDCWD, "f", NULL, 0L), ENOSYS);
	check("sticky", chmod("f", 01755), 0);
	(void)close(fd);
	(void)unlink("f");
	(void)unlink("p");
}

static void try_kernel(void)
{
	char c = 'x';

	check("io_uring", syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
	check("bpf", syscall(SYS_bpf, 0, NULL, 0), EPERM);
	check("keyctl", syscall(SYS_keyctl, 0, 0, 0), ENOSYS);
	check("perf", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM);
	check("userfaultfd", syscall(SYS_userfaultfd, 0), EPERM);
	check("mount", mount("x", "/tmp", "tmpfs", 0, NULL), EPERM);
	check("umount", umount("/tmp"), EPERM);
	check("fsopen", syscall(430, "tmpfs", 0), EPERM);
	check("open_tree", syscall(428, AT_FDCWD, "/", 0), EPERM);
	check("TIOCSTI", ioctl(0, TIOCSTI, &c), EPERM);
	check("TIOCLINUX", ioctl(0, 0x541c | (1UL << 32), &c), EPERM);
}

static void try_neighbours(void)
{
	check("ptrace", ptrace(PTRACE_ATTACH, 1, NULL, NULL), EPERM);
	check("mem of 1", open("/proc/1/mem", O_RDONLY), EACCES);
	check("root of 1", open("/proc/1/root/tmp", O_RDONLY), EACCES);
	check("ns of 1", open("/proc/1/ns/net", O_RDONLY), EACCES);
	check("kill 1", kill(1, SIGKILL), 0); /* without effect */
	check("stop 1", kill(1, SIGSTOP), 0);
	check("kill 1 by TERM", kill(1, SIGTERM), 0);
	check_fails("sysctl", open("/proc/sys/net/ipv4/ip_forward", O_WRONLY));
	check_fails("kernel's sysctl",
		    open("/proc/sys/kernel/hostname", O_WRONLY));
	check("host name", sethostname("x", 1), EPERM);
}

/* Ask rtnetlink for an address on lo; the kernel's answer as an errno. */
static int add_address(void)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
		struct rtattr attr;
		uint8_t addr[4];
	} q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = RTM_NEWADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
					 NLM_F_CREATE },
		.body = { .ifa_family = AF_INET,
			  .ifa_prefixlen = 32,
			  .ifa_index = 1 },
		.attr = { .rta_len = sizeof(struct rtattr) + 4,
			  .rta_type = IFA_LOCAL },
		.addr = { 192, 0, 0, 9 },
	};
	char answer[512] __attribute__((aligned(8)));
	struct nlmsghdr *head = (struct nlmsghdr *)(void *)answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	ssize_t n;

	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
		return -1;
	n = recv(fd, answer, sizeof(answer), 0);
	(void)close(fd);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
	    head->nlmsg_type != NLMSG_ERROR)
		return -1;
	errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
	return errno ? -1 : 0;
}

static void try_network(void)
{
	int mark = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	check("address", add_address(), EPERM);
	check("mark", setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)),
	      EPERM);
	(void)close(fd);
}

/* More of the same from a user namespace of the payload's own. */
static void try_nested(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(0);
		try_kernel();
		try_neighbours();
		try_network();
		check("setns", setns(open("/proc/1/ns/net", O_RDONLY), 0),
		      EBADF);
		_exit(wrong);
	}
	(void)waitpid(pid, &status, 0);
	if (status != 0)
		wrong = 1;
}

static void try_bind(const char *path, int expected)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	check(path, bind(fd, (struct sockaddr *)&sa, sizeof(sa)), expected);
	(void)close(fd);
	(void)unlink(path);
}

static void try_unix(bool tmp_is_free)
{
	try_bind("s", EACCES);
	try_bind("/run/s", 0);
	try_bind("/dev/shm/s", 0);
	try_bind("/tmp/s", tmp_is_free ? 0 : EACCES);
	check("mknod socket", mknod("s", S_IFSOCK | 0600, 0), EACCES);
}

static void try_i386(void)
{
#ifdef __x86_64__
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		long r;

		/* getpid() of i386 */
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
		_exit(r > 0 ? 1 : 2);
	}
	(void)waitpid(pid, &status, 0);
	/* or SEGV, in a kernel without the 32-bit entry */
	if (!WIFSIGNALED(status)) {
		(void)printf("i386: status %x\n", (unsigned)status);
		wrong = 1;
	}
#endif
}

int inside_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "calls") == 0) {
		try_sockets();
		try_setid();
		try_kernel();
		try_i386();
	} else if (strcmp(name, "tamper") == 0) {
		try_neighbours();
		try_network();
		try_nested();
	} else if (strcmp(name, "unix") == 0) {
		try_unix(argc > 2);
	} else if (strcmp(name, "massacre") == 0) {
		/* everything it can reach but itself: pid 1 must survive */
		check("kill all", kill(-1, SIGKILL), ESRCH);
	} else {
		(void)printf("no such test: %s\n", name);
		return 2;
	}
	(void)fflush(stdout);
	return wrong;
}
