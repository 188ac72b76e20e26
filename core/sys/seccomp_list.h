/* seccomp_list.h - every system call that a filter decides on, and why
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One row is one rule: a call, the filters that have it, what happens, up to
 * two conditions on arguments, the reason. Rows of one call add up.
 *
 * payload is a deny-list: what is not here passes. It closes what no
 * namespace closes (vsock, io_uring, setuid bits in a shared directory) and
 * what ordinary programs never need of the kernel. It answers with the error
 * that a kernel without the feature, or the lack of a capability, gives.
 *
 * cut is a deny-list too, added for runs that may read a regular file of the
 * caller's on a kernel whose Landlock knows no truncation.
 *
 * front, dialer and tls are allow-lists: anything else kills the process. Rows
 * of SANITIZED exist only in builds with sanitizers.
 *
 * Conditions compare 64 bits, while the kernel reads an int from some of
 * these registers. A denial must not depend on the upper half: it is either
 * masked away or a value in it makes the rule match.
 *
 * Only seccomp_gen.c includes this file.
 */
#ifndef EXEAT_SYS_SECCOMP_LIST_H
#define EXEAT_SYS_SECCOMP_LIST_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum filter {
	PAYLOAD = 1,
	FRONT = 2,
	DIALER = 4,
	SANITIZED = 8,		/* with GATE: builds with sanitizers only */
	CUT = 16,		/* besides PAYLOAD, where Landlock is too old */
	TLS = 32,		/* of exeat-helper-tls */
	GATE = FRONT | DIALER | TLS,
};

enum { ALLOW = -1 };		/* any other action is an errno */

struct rule {
	const char *name;
	int filters;
	int action;
	const char *why;
	unsigned nconds;
	struct scmp_arg_cmp conds[2];
	int number;		/* of calls younger than libseccomp; else 0 */
};

/* A table: */
/* clang-format off */

#define LOW32 UINT64_C(0xffffffff)
#define IS(arg, value)		{ (arg), SCMP_CMP_MASKED_EQ, LOW32, (value) }
#define EXACTLY(arg, value)	{ (arg), SCMP_CMP_EQ, (value), 0 }
#define NOT(arg, value)		{ (arg), SCMP_CMP_NE, (value), 0 }
#define ABOVE(arg, value)	{ (arg), SCMP_CMP_GT, (value), 0 }
#define HAS(arg, bit)		{ (arg), SCMP_CMP_MASKED_EQ, (bit), (bit) }
/* A socket's type without SOCK_NONBLOCK and SOCK_CLOEXEC. */
#define TYPE(arg, value)	{ (arg), SCMP_CMP_MASKED_EQ, 0xf, (value) }
#define LACKS(arg, bit)		{ (arg), SCMP_CMP_MASKED_EQ, (bit), 0 }

#define DENY(name, errnum, why) { name, PAYLOAD, errnum, why, 0, { { 0 } }, 0 }
#define DENY_NEW(name, nr, errnum, why) \
	{ name, PAYLOAD, errnum, why, 0, { { 0 } }, nr }
#define DENY_IF(name, errnum, why, cond) \
	{ name, PAYLOAD, errnum, why, 1, { cond }, 0 }
#define DENY_IF2(name, errnum, why, a, b) \
	{ name, PAYLOAD, errnum, why, 2, { a, b }, 0 }
#define PASS(name, filters, why) { name, filters, ALLOW, why, 0, { { 0 } }, 0 }
#define PASS_IF(name, filters, why, cond) \
	{ name, filters, ALLOW, why, 1, { cond }, 0 }
#define PASS_IF2(name, filters, why, a, b) \
	{ name, filters, ALLOW, why, 2, { a, b }, 0 }
#define ANSWER(name, filters, errnum, why) \
	{ name, filters, errnum, why, 0, { { 0 } }, 0 }

/* Both bits, for a call that may carry a mode: `arg` is its argument. */
#define DENY_SETID(name, arg) \
	DENY_IF(name, EPERM, "setuid bit", HAS(arg, 04000)), \
	DENY_IF(name, EPERM, "setgid bit", HAS(arg, 02000))
/* The mode counts only when a file may be made. */
#define TMPFILE_BIT 020000000	/* O_TMPFILE without O_DIRECTORY */
#define DENY_OPEN_SETID(name, flags, mode) \
	DENY_IF2(name, EPERM, "setuid", HAS(flags, O_CREAT), HAS(mode, 04000)), \
	DENY_IF2(name, EPERM, "setgid", HAS(flags, O_CREAT), HAS(mode, 02000)), \
	DENY_IF2(name, EPERM, "setuid", HAS(flags, TMPFILE_BIT), \
		 HAS(mode, 04000)), \
	DENY_IF2(name, EPERM, "setgid", HAS(flags, TMPFILE_BIT), \
		 HAS(mode, 02000))

/* `flags` without the right to write that shortening needs. */
#define CUT_OPEN(name, flags) \
	{ name, CUT, EACCES, "reads, and cuts", 1, \
	  { { (flags), SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC } }, \
	  0 }, \
	{ name, CUT, EACCES, "neither reads nor writes, but cuts", 1, \
	  { { (flags), SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, \
	      O_TRUNC | O_ACCMODE } }, 0 }

#define DENY_FILE_CAPS(name) \
	DENY_IF(name, EPERM, "file capabilities", EXACTLY(3, 20)), \
	DENY_IF(name, EPERM, "file capabilities of a user namespace", \
		EXACTLY(3, 24))

#define DENY_FAMILY(n) \
	DENY_IF("socket", EAFNOSUPPORT, "family", EXACTLY(0, n))

static const struct rule rules[] = {
	/*
	 * -- payload: socket families. UNIX 1, INET 2, INET6 10 and NETLINK 16
	 * (routes only) remain. vsock leads to the hypervisor from any network
	 * namespace; the others are attack surface of the kernel.
	 */
	DENY_FAMILY(0), DENY_FAMILY(3), DENY_FAMILY(4), DENY_FAMILY(5),
	DENY_FAMILY(6), DENY_FAMILY(7), DENY_FAMILY(8), DENY_FAMILY(9),
	DENY_FAMILY(11), DENY_FAMILY(12), DENY_FAMILY(13), DENY_FAMILY(14),
	DENY_FAMILY(15),
	DENY_IF("socket", EAFNOSUPPORT, "every later family", ABOVE(0, 16)),
	DENY_IF2("socket", EAFNOSUPPORT, "netlink but for routes",
		 EXACTLY(0, AF_NETLINK), NOT(2, 0)),
	DENY_IF("socketpair", EAFNOSUPPORT, "only AF_UNIX has pairs",
		NOT(0, AF_UNIX)),

	/* -- payload: what goes round a filter -- */
	DENY("io_uring_setup", ENOSYS, "opens and connects unseen; programs "
	     "fall back"),
	DENY("io_uring_enter", ENOSYS, "as above"),
	DENY("io_uring_register", ENOSYS, "as above"),
	DENY("openat2", ENOSYS, "its mode is in memory; programs fall back"),

	/* -- payload: setuid and setgid bits. mkdir drops them itself. -- */
	DENY_SETID("chmod", 1),
	DENY_SETID("fchmod", 1),
	DENY_SETID("fchmodat", 2),
	{ "fchmodat2", PAYLOAD, EPERM, "setuid bit", 1, { HAS(2, 04000) }, 452 },
	{ "fchmodat2", PAYLOAD, EPERM, "setgid bit", 1, { HAS(2, 02000) }, 452 },
	DENY_SETID("creat", 1),
	DENY_SETID("mknod", 1),
	DENY_SETID("mknodat", 2),
	DENY_OPEN_SETID("open", 1, 2),
	DENY_OPEN_SETID("openat", 2, 3),

	/*
	 * -- payload: file capabilities, which root of a nested user namespace
	 * may set. Through an id-mapped work dir they would be root's own, for
	 * everybody on the host. The name of the attribute is in memory; its
	 * value has one of two sizes (vfs_cap_data, vfs_ns_cap_data), which no
	 * ACL has.
	 */
	DENY_FILE_CAPS("setxattr"),
	DENY_FILE_CAPS("lsetxattr"),
	DENY_FILE_CAPS("fsetxattr"),
	DENY_NEW("setxattrat", 463, ENOSYS, "its size is in memory; programs "
		 "fall back"),

	/*
	 * -- payload: the run's first process has the same user on the host,
	 * which is all that the kernel asks of who sets another's limits.
	 */
	DENY_IF2("prlimit64", EPERM, "limits of the run's first process",
		 IS(0, 1), NOT(2, 0)),

	/* -- payload: mounts, which a nested user namespace would allow -- */
	DENY("mount", EPERM, "mounts"),
	DENY("umount", EPERM, "mounts"),
	DENY("umount2", EPERM, "mounts"),
	DENY("pivot_root", EPERM, "mounts"),
	DENY_NEW("open_tree", 428, EPERM, "mounts"),
	DENY_NEW("move_mount", 429, EPERM, "mounts"),
	DENY_NEW("fsopen", 430, EPERM, "mounts"),
	DENY_NEW("fsconfig", 431, EPERM, "mounts"),
	DENY_NEW("fsmount", 432, EPERM, "mounts"),
	DENY_NEW("fspick", 433, EPERM, "mounts"),
	DENY_NEW("mount_setattr", 442, EPERM, "mounts"),
	DENY_NEW("open_tree_attr", 467, EPERM, "mounts"),

	/* -- payload: parts of the kernel with a history -- */
	DENY("bpf", EPERM, "programs in the kernel"),
	DENY("perf_event_open", EPERM, "sees the machine"),
	DENY("userfaultfd", EPERM, "stops the kernel in the middle"),
	DENY("keyctl", ENOSYS, "keyrings belong to the user, not the run"),
	DENY("add_key", ENOSYS, "as above"),
	DENY("request_key", ENOSYS, "as above; calls a program of the host"),
	DENY("kexec_load", EPERM, "the machine's"),
	DENY("kexec_file_load", EPERM, "the machine's"),
	DENY("init_module", EPERM, "the machine's"),
	DENY("finit_module", EPERM, "the machine's"),
	DENY("delete_module", EPERM, "the machine's"),
	DENY("swapon", EPERM, "the machine's"),
	DENY("swapoff", EPERM, "the machine's"),
	DENY("reboot", EPERM, "the machine's"),
	DENY("acct", EPERM, "the machine's"),
	DENY("quotactl", EPERM, "the machine's"),
	DENY_NEW("quotactl_fd", 443, EPERM, "the machine's"),
	DENY("syslog", EPERM, "reads the machine's log"),
	DENY("vhangup", EPERM, "terminals"),
	DENY("iopl", EPERM, "ports"),
	DENY("ioperm", EPERM, "ports"),
	DENY("open_by_handle_at", EPERM, "opens round the view"),
	DENY_IF("ioctl", EPERM, "TIOCSTI types into the caller's terminal",
		IS(1, 0x5412)),
	DENY_IF("ioctl", EPERM, "TIOCLINUX pastes into a console",
		IS(1, 0x541c)),
	DENY_IF("ioctl", EPERM, "TIOCSETD loads line disciplines",
		IS(1, 0x5423)),

	/*
	 * -- cut: shortening a file that was opened for reading. Opening for
	 * writing is Landlock's. Access mode 3 needs the file's write bit, but
	 * gives neither reading nor writing for Landlock to look at.
	 */
	{ "truncate", CUT, EACCES, "by path", 0, { { 0 } }, 0 },
	CUT_OPEN("open", 1), CUT_OPEN("openat", 2),

	/*
	 * -- gate: relaying and talking. Front holds UDP sockets of the host,
	 * each connected to what the policy allowed; a call with an address
	 * would send to any other one. A TCP socket whose connection has ended
	 * would make a new one (MSG_FASTOPEN). So front names no address: it
	 * sends, and writes, to what is connected. It passes on no descriptor
	 * either, and joins no group, nor routes by a socket's options.
	 */
	PASS("read", GATE, "descriptors given"),
	PASS("readv", GATE, "descriptors given"),
	PASS("write", GATE, "descriptors given"),
	PASS("writev", GATE, "descriptors given"),
	PASS("recvfrom", GATE, "sockets"),
	PASS("recvmsg", GATE, "sockets, messages"),
	PASS_IF2("sendto", FRONT | TLS, "what is connected", EXACTLY(4, 0),
		 LACKS(3, MSG_FASTOPEN)),
	PASS("sendto", DIALER, "DNS, netlink"),
	PASS("sendmsg", DIALER, "messages with descriptors"),
	PASS_IF("sendmsg", TLS, "messages with descriptors",
		LACKS(2, MSG_FASTOPEN)),
	PASS("pipe2", GATE, "the loop's wake-up, of some libraries"),
	PASS("shutdown", GATE, "half-close"),
	PASS("close", GATE, "descriptors"),
	PASS("close_range", GATE, "descriptors"),
	PASS("getsockname", GATE, "the original destination"),
	PASS("getpeername", GATE, "who it is"),
	PASS_IF2("getsockopt", FRONT | TLS, "SO_ERROR", IS(1, SOL_SOCKET),
		 IS(2, SO_ERROR)),
	PASS_IF2("setsockopt", FRONT | TLS, "a hard end", IS(1, SOL_SOCKET),
		 IS(2, SO_LINGER)),
	PASS_IF2("setsockopt", FRONT | TLS, "no waiting", IS(1, IPPROTO_TCP),
		 IS(2, TCP_NODELAY)),
	PASS("getsockopt", DIALER, "SO_ERROR"),
	PASS("setsockopt", DIALER, "no waiting; c-ares has its own"),
	PASS("accept4", FRONT | TLS, "payloads' connections; the dialer's"),
	PASS("fcntl", GATE, "non-blocking, seals, duplicates"),
	PASS("dup", GATE, "descriptors"),
	PASS_IF("ioctl", GATE, "FIONREAD", IS(1, 0x541b)),
	PASS_IF("ioctl", GATE, "FIONBIO", IS(1, 0x5421)),
	PASS_IF("ioctl", GATE, "SIOCOUTQ", IS(1, 0x5411)),

	/*
	 * -- dialer: opening. tls makes sockets, but cannot connect one: what it
	 * is handed are the host's, and connect() would aim them anew.
	 */
	PASS_IF2("socket", DIALER, "dialling, DNS", EXACTLY(0, AF_INET),
		 TYPE(1, SOCK_STREAM)),
	PASS_IF2("socket", TLS, "in its own network namespace, for the dialer "
		 "to connect", EXACTLY(0, AF_INET), TYPE(1, SOCK_STREAM)),
	PASS_IF2("socket", DIALER, "DNS, relays", EXACTLY(0, AF_INET),
		 TYPE(1, SOCK_DGRAM)),
	PASS_IF2("socket", DIALER, "dialling, DNS", EXACTLY(0, AF_INET6),
		 TYPE(1, SOCK_STREAM)),
	PASS_IF2("socket", DIALER, "DNS, relays", EXACTLY(0, AF_INET6),
		 TYPE(1, SOCK_DGRAM)),
	PASS_IF2("socket", DIALER, "the route question",
		 EXACTLY(0, AF_NETLINK), EXACTLY(2, 0)),
	PASS("connect", DIALER, "dialling"),
	PASS("bind", DIALER, "c-ares, netlink"),
	ANSWER("openat", DIALER, ENOENT, "c-ares looks for its files whenever "
	       "a channel is made; the root is empty"),
	ANSWER("open", DIALER, ENOENT, "as above"),
	ANSWER("openat", TLS, ENOENT, "the C library looks for the time zone"),
	ANSWER("open", TLS, ENOENT, "as above"),

	/* -- gate: the loop -- */
	PASS("epoll_create1", GATE, "the loop"),
	PASS("epoll_ctl", GATE, "the loop"),
	PASS("epoll_wait", GATE, "the loop"),
	PASS("epoll_pwait", GATE, "the loop"),
	PASS("epoll_pwait2", GATE, "the loop"),
	PASS("poll", GATE, "waiting for one descriptor"),
	PASS("ppoll", GATE, "waiting for one descriptor"),
	PASS("timerfd_create", GATE, "the loop's clock"),
	PASS("timerfd_settime", GATE, "the loop's clock"),
	PASS("eventfd2", GATE, "the loop's wake-up"),
	PASS("clock_gettime", GATE, "time, where the vdso cannot"),
	PASS("clock_getres", GATE, "time"),
	PASS("gettimeofday", GATE, "time"),
	PASS("time", GATE, "time"),
	PASS("restart_syscall", GATE, "after a stop"),

	/* -- gate: memory -- */
	PASS_IF2("mmap", GATE, "memory, policy images; never code, and no "
		 "file to write through", LACKS(2, PROT_EXEC),
		 LACKS(3, MAP_SHARED)),
	PASS_IF("mprotect", GATE, "memory; never code", LACKS(2, PROT_EXEC)),
	PASS("munmap", GATE, "memory"),
	PASS("mremap", GATE, "memory"),
	PASS("madvise", GATE, "memory"),
	PASS("brk", GATE, "memory"),
	PASS("memfd_create", DIALER, "long messages; front has none"),
	PASS("fstat", GATE, "size of what was passed"),
	PASS("fstatfs", GATE, "kind of what was passed"),
	PASS_IF("newfstatat", GATE, "fstat() of some libraries",
		HAS(3, AT_EMPTY_PATH)),
	PASS_IF("statx", GATE, "fstat() of some libraries",
		HAS(2, AT_EMPTY_PATH)),
	/* no lseek, no ftruncate: what front has written stays written */
	PASS("fsync", FRONT, "the audit"),
	PASS("fdatasync", FRONT, "the audit"),
	PASS("sysinfo", GATE, "qsort() asks for the size of memory"),
	PASS("uname", DIALER, "c-ares from 1.20 asks for the host's domain"),
	PASS("getrandom", GATE, "query ids, hash keys"),
	PASS("futex", GATE, "locks of the C library"),

	/* -- gate: the process itself -- */
	PASS("rt_sigaction", GATE, "SIGPIPE"),
	PASS("rt_sigprocmask", GATE, "abort()"),
	PASS("rt_sigreturn", GATE, "handlers"),
	PASS("getpid", GATE, "abort(), id of a netlink socket"),
	PASS("gettid", GATE, "abort()"),
	PASS("getuid", GATE, "libraries ask before they read variables"),
	PASS("geteuid", GATE, "as above"),
	PASS("getgid", GATE, "as above"),
	PASS("getegid", GATE, "as above"),
	PASS_IF("tgkill", GATE, "abort()", IS(2, 6)),
	PASS("exit", GATE, "the end"),
	PASS("exit_group", GATE, "the end"),

	/* -- sanitizers: reports, symbols, leaks -- */
	PASS("mmap", GATE | SANITIZED, "shadow memory"),
	PASS("mprotect", GATE | SANITIZED, "shadow memory"),
	PASS("sigaltstack", GATE | SANITIZED, "reports"),
	PASS("prctl", GATE | SANITIZED, "reports"),
	PASS("readlink", GATE | SANITIZED, "symbols"),
	PASS("openat", FRONT | SANITIZED, "symbols"),
	PASS("open", FRONT | SANITIZED, "symbols"),
	PASS("getdents64", GATE | SANITIZED, "threads"),
	PASS("sched_yield", GATE | SANITIZED, "locks"),
	PASS("sched_getaffinity", GATE | SANITIZED, "start"),
	PASS("prlimit64", GATE | SANITIZED, "stacks"),
	PASS("getppid", GATE | SANITIZED, "leaks"),
	PASS("clone", GATE | SANITIZED, "leaks"),
	PASS("wait4", GATE | SANITIZED, "leaks"),
	PASS("ptrace", GATE | SANITIZED, "leaks"),
};

/* clang-format on */

#endif
