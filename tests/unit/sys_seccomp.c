/* sys_seccomp.c - the allow-lists of the gate: what passes, what kills
 * SPDX-License-Identifier: Apache-2.0
 *
 * The payload's deny-list is tried from inside a sandbox: backends_inside.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/sys/seccomp.h"
#include "tests/unit/sys_child.h"

enum outcome {
	PASSES, /* not refused by the filter */
	KILLS,
	FAILS, /* the filter's errno */
};

/* Each returns what the system call did. */
static long try_socket(long family, long type, long protocol)
{
	return syscall(SYS_socket, family, type, protocol);
}

static long inet(void)
{
	return try_socket(AF_INET, SOCK_STREAM, 0);
}
static long inet6_flags(void)
{
	return try_socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  0);
}
static long raw(void)
{
	return try_socket(AF_INET, SOCK_RAW, 1);
}
static long unix_socket(void)
{
	return try_socket(AF_UNIX, SOCK_STREAM, 0);
}
static long route(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, 0);
}
static long netfilter(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, 12);
}
static long vsock(void)
{
	return try_socket(40, SOCK_STREAM, 0);
}
static long connect_it(void)
{
	return syscall(SYS_connect, -1, NULL, 0);
}
static long bind_it(void)
{
	return syscall(SYS_bind, -1, NULL, 0);
}
static long listen_it(void)
{
	return syscall(SYS_listen, -1, 0);
}
static long accept_it(void)
{
	return syscall(SYS_accept4, -1, NULL, NULL, 0);
}
static long open_it(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
}
static long exec_it(void)
{
	return syscall(SYS_execve, NULL, NULL, NULL);
}
static long fork_it(void)
{
	return syscall(SYS_clone, 0x11, 0, 0, 0, 0);
}
static long trace_it(void)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0);
}
static long kill_it(void)
{
	return syscall(SYS_kill, 0, 0);
}
static long code(void)
{
	return syscall(SYS_mmap, NULL, 4096L, (long)(PROT_READ | PROT_EXEC),
		       (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);
}
static long setns_it(void)
{
	return syscall(SYS_setns, -1, 0);
}
static long unshare_it(void)
{
	return syscall(SYS_unshare, 0);
}
static long mount_it(void)
{
	return syscall(SYS_mount, 0, 0, 0, 0, 0);
}
static long uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}
static long rename_it(void)
{
	return syscall(SYS_renameat, -1, "a", -1, "b");
}
static long stat_path(void)
{
	struct stat st;

	return syscall(SYS_newfstatat, AT_FDCWD, "/", &st, 0);
}
static long set_tty(void)
{
	return syscall(SYS_ioctl, 0, 0x5412, NULL);
}

/* What names an address, and what does not. */
static long send_connected(void)
{
	return syscall(SYS_sendto, -1, "x", 1, 0, NULL, 0);
}
static long send_anywhere(void)
{
	struct sockaddr sa = { .sa_family = AF_INET };

	return syscall(SYS_sendto, -1, "x", 1, 0, &sa, sizeof(sa));
}
static long send_message(void)
{
	struct msghdr mh = { 0 };

	return syscall(SYS_sendmsg, -1, &mh, 0);
}
static long fast_message(void)
{
	struct msghdr mh = { 0 };

	return syscall(SYS_sendmsg, -1, &mh, MSG_FASTOPEN);
}
static long send_messages(void)
{
	return syscall(SYS_sendmmsg, -1, NULL, 0, 0);
}
static long fast_open(void)
{
	return syscall(SYS_sendto, -1, "x", 1, MSG_FASTOPEN, NULL, 0);
}
static long set_option(int level, int option)
{
	int value = 1;

	return syscall(SYS_setsockopt, -1, level, option, &value,
		       sizeof(value));
}
static long no_delay(void)
{
	return set_option(IPPROTO_TCP, TCP_NODELAY);
}
static long hard_end(void)
{
	return set_option(SOL_SOCKET, SO_LINGER);
}
static long join_group(void)
{
	return set_option(IPPROTO_IP, IP_ADD_MEMBERSHIP);
}
static long source_route(void)
{
	return set_option(IPPROTO_IP, IP_OPTIONS);
}
static long other_device(void)
{
	return set_option(SOL_SOCKET, SO_BINDTODEVICE);
}
/* What would rewrite an audit. */
static long truncate_it(void)
{
	return syscall(SYS_ftruncate, -1, 0);
}
static long seek(void)
{
	return syscall(SYS_lseek, -1, 0, SEEK_SET);
}
static long write_through(void)
{
	return syscall(SYS_mmap, NULL, 4096L, (long)(PROT_READ | PROT_WRITE),
		       (long)MAP_SHARED, -1L, 0L);
}
static long long_message(void)
{
	return fd_sealed_memfd("x", "text", 4);
}

/* What front, dialer and tls do all day. */
static long daily(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { .fd = -1 };
	char buf[16] = "x";
	int ends[2], ep;
	char *heap;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &e) < 0 ||
	    write(ends[1], buf, 1) != 1 || epoll_wait(ep, &e, 1, 0) != 1 ||
	    read(ends[0], buf, sizeof(buf)) != 1 || poll(&p, 1, 0) != 0)
		return -1;
	heap = malloc(10 << 20);
	if (!heap)
		return -1;
	heap[0] = 1;
	free(heap);
	return clock_us() > 0 ? 0 : -1;
}

static const struct {
	const char *name;
	long (*call)(void);
	enum outcome front, dialer, tls;
	bool plain_only; /* wider in builds with sanitizers */
} rows[] = {
	{ "daily", daily, PASSES, PASSES, PASSES, false },
	{ "inet", inet, KILLS, PASSES, PASSES, false },
	{ "inet6", inet6_flags, KILLS, PASSES, KILLS, false },
	{ "raw", raw, KILLS, KILLS, KILLS, false },
	{ "unix", unix_socket, KILLS, KILLS, KILLS, false },
	{ "route", route, KILLS, PASSES, KILLS, false },
	{ "netfilter", netfilter, KILLS, KILLS, KILLS, false },
	{ "vsock", vsock, KILLS, KILLS, KILLS, false },
	{ "connect", connect_it, KILLS, PASSES, KILLS, false },
	{ "bind", bind_it, KILLS, PASSES, KILLS, false },
	{ "listen", listen_it, KILLS, KILLS, KILLS, false },
	{ "accept", accept_it, PASSES, KILLS, PASSES, false },
	{ "open", open_it, KILLS, FAILS, FAILS, true },
	{ "exec", exec_it, KILLS, KILLS, KILLS, false },
	{ "fork", fork_it, KILLS, KILLS, KILLS, true },
	{ "trace", trace_it, KILLS, KILLS, KILLS, true },
	{ "kill", kill_it, KILLS, KILLS, KILLS, false },
	{ "code", code, KILLS, KILLS, KILLS, true },
	{ "setns", setns_it, KILLS, KILLS, KILLS, false },
	{ "unshare", unshare_it, KILLS, KILLS, KILLS, false },
	{ "mount", mount_it, KILLS, KILLS, KILLS, false },
	{ "io_uring", uring, KILLS, KILLS, KILLS, false },
	{ "rename", rename_it, KILLS, KILLS, KILLS, false },
	{ "stat", stat_path, KILLS, KILLS, KILLS, false },
	{ "tty", set_tty, KILLS, KILLS, KILLS, false },
	{ "send", send_connected, PASSES, PASSES, PASSES, false },
	{ "send to", send_anywhere, KILLS, PASSES, KILLS, false },
	{ "send message", send_message, KILLS, PASSES, PASSES, false },
	{ "send messages", send_messages, KILLS, KILLS, KILLS, false },
	{ "fast open", fast_open, KILLS, PASSES, KILLS, false },
	{ "fast open, by message", fast_message, KILLS, PASSES, KILLS, false },
	{ "no delay", no_delay, PASSES, PASSES, PASSES, false },
	{ "hard end", hard_end, PASSES, PASSES, PASSES, false },
	{ "join group", join_group, KILLS, PASSES, KILLS, false },
	{ "source route", source_route, KILLS, PASSES, KILLS, false },
	{ "other device", other_device, KILLS, PASSES, KILLS, false },
	{ "truncate", truncate_it, KILLS, KILLS, KILLS, false },
	{ "seek", seek, KILLS, KILLS, KILLS, false },
	{ "write through", write_through, KILLS, KILLS, KILLS, true },
	{ "long message", long_message, KILLS, PASSES, KILLS, false },
};

struct attempt {
	const struct seccomp_prog *prog;
	long (*call)(void);
};

/* Exit 0: went through; 1: ENOENT; 2: no filter. */
static void attempt(void *arg)
{
	const struct attempt *a = arg;
	struct err err;
	long r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    seccomp_load(a->prog, &err) < 0)
		_exit(2);
	r = a->call();
	_exit(r < 0 && errno == ENOENT ? 1 : 0);
}

static void check_row(const char *filter, const struct seccomp_prog *prog,
		      size_t i, enum outcome expected)
{
	struct attempt a = { .prog = prog, .call = rows[i].call };
	int status = status_of(attempt, &a);
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	enum outcome got = killed		    ? KILLS :
			   WEXITSTATUS(status) == 1 ? FAILS :
						      PASSES;

	assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) < 2));
	if (got != expected)
		fail_msg("%s, %s: expected %d, got %d", filter, rows[i].name,
			 (int)expected, (int)got);
}

static void gate(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (SANITIZED && rows[i].plain_only)
			continue;
		check_row("front", &seccomp_front, i, rows[i].front);
		check_row("dialer", &seccomp_dialer, i, rows[i].dialer);
		check_row("tls", &seccomp_tls, i, rows[i].tls);
	}
}

static void without_no_new_privs(struct child *c, void *arg)
{
	struct err err;

	(void)arg;
	if (geteuid() == 0)
		return; /* may do it without */
	CHILD_CHECK(c, seccomp_load(&seccomp_front, &err) < 0);
	CHILD_CHECK(c, err.errnum == EACCES);
}

static void load_error(void **state)
{
	(void)state;
	in_child(without_no_new_privs, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gate),
		cmocka_unit_test(load_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
