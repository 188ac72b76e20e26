/* userns.c - the backend that needs nothing but the kernel
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	keeper --fork--> stub (pid 1 of the run) --clone--> payload
 *
 * stub stays in the keeper's user namespace, makes the run's mounts, drops
 * every capability and starts the payload, which confines itself and waits for
 * the command: all of that is done before there is one. From then on the stub
 * reaps, passes signals on, and reports. It is undumpable (the payload made
 * their memory so while it was one) and in another user namespace than the
 * payload, which can neither trace nor kill it: a signal from inside has no
 * effect on pid 1.
 *
 * stub ends in one of three ways, and the kernel then kills whatever is left
 * in the pid namespace: the command has ended, and the keeper, which was told,
 * has closed its half of `control`; it has closed it before;
 * somebody killed it through its pidfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/hold.h"
#include "backends/payload.h"
#include "core/base/fd.h"
#include "core/sys/command.h"
#include "core/sys/compat.h"
#include "core/sys/isolate.h"
#include "core/sys/lacks.h"
#include "core/sys/landlock.h"
#include "core/sys/mount.h"
#include "core/sys/process.h"

/* What one stub may have waiting for the keeper. */
#define QUEUE_LIMIT (64 << 10)

/* What a payload needs before exec, several times over. */
#define PAYLOAD_STACK (128 << 10)

enum {
	EXIT_SANDBOX = 125,
	CONTROL_FD = 3,
};

struct stub {
	const struct backend_spec *spec;
	struct chan control;
	int signals; /* signalfd: SIGCHLD */
	pid_t payload;
	struct hold hold;
	bool owes; /* it has not said yet that all stand still */
};

/* -- talking to the keeper -- */

/* The stub has nothing else to do: wait until the message has left. */
static void tell(struct stub *s, uint32_t type, const void *body, size_t len)
{
	struct pollfd p = { .fd = s->control.fd, .events = POLLOUT };
	int r = chan_send(&s->control, type, body, len, NULL, 0);

	while (r == 0 && chan_wants_write(&s->control)) {
		(void)poll(&p, 1, -1); /* the flush says what is wrong */
		r = chan_flush(&s->control);
	}
}

_Noreturn static void give_up(struct stub *s, const struct err *err,
			      uint32_t exit_code)
{
	struct sbuf body;

	sbuf_init(&body, QUEUE_LIMIT);
	backend_put_failed(&body, err, exit_code);
	if (!body.bad)
		tell(s, BACKEND_FAILED, body.s, body.len);
	_exit(EXIT_SANDBOX);
}

/* -- the payload -- */

/*
 * Start the payload, which takes the command from `control` itself, and wait
 * until exec has succeeded or failed. Until then our memory is the payload's:
 * we stand still. A child of vfork(2) would let us stand still in a state that
 * counts as load. The write end is this process's only for the time of the
 * call.
 */
static void start(struct stub *s)
{
	_Alignas(16) char stack[PAYLOAD_STACK];
	struct payload payload;
	struct payload_failure failure;
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		err_sys(&failure.err, errno, "make pipe", NULL);
		give_up(s, &failure.err, EXIT_SANDBOX);
	}
	payload_init(&payload, s->spec, &s->control);
	payload.report = ends[1];
	s->payload =
		process_share(payload_main, &payload, stack, sizeof(stack));
	if (s->payload < 0) {
		(void)lacks(&failure.err, -s->payload, "fork", NULL, NULL);
		give_up(s, &failure.err, EXIT_SANDBOX);
	}
	/* not sooner: to map uid 0 takes CAP_SETFCAP where the map's user
	 * namespace is made */
	if (isolate_drop_held() < 0)
		_exit(EXIT_SANDBOX);
	(void)close(ends[1]); /* fd_close() would put our errno in its place */
	n = fd_read_all(ends[0], &failure, sizeof(failure));
	fd_close(&ends[0]);
	payload_left(&payload);
	/* the sanitizer's shadow of it would outlive it */
	ASAN_UNPOISON_MEMORY_REGION(stack, sizeof(stack));
	if (n == 0)
		return tell(s, BACKEND_STARTED, NULL, 0);
	if (n != (ssize_t)sizeof(failure)) {
		err_new(&failure.err, ERR_INTERNAL, "start command", NULL,
			"its confinement ended half way");
		failure.exit_code = EXIT_SANDBOX;
	}
	if (failure.exit_code == 0)
		_exit(EXIT_SANDBOX); /* killed before it began */
	give_up(s, &failure.err, failure.exit_code);
}

/* -- while it runs -- */

static uint64_t to_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/*
 * Kill what is left in the pid namespace. All of it descends from us, so
 * without a child there is nothing: that spares the kernel a walk over every
 * process of the machine.
 */
static void end_rest(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, WNOHANG | __WALL);
	while (pid > 0);
	if (pid < 0)
		return; /* ECHILD */
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
}

/*
 * Clearing our namespaces away takes longer than all that others still do for
 * this run, on a processor that they want: the keeper says when.
 */
_Noreturn static void leave(struct stub *s)
{
	struct pollfd p = { .fd = s->control.fd, .events = POLLIN };
	struct msg m;
	int r;

	while ((r = chan_recv(&s->control, 0, &m)) >= 0) {
		if (r > 0)
			msg_done(&m); /* a signal that came too late */
		else
			(void)poll(&p, 1, -1); /* the recv says what it was */
	}
	_exit(0);
}

/*
 * The command has ended: nothing of its run may be left when we say so. Then
 * all of it has been waited for, by us or by whom we waited for: what was left
 * behind is counted like the rest. (Not what a process of the run had reaped
 * unseen, by ignoring SIGCHLD.)
 */
_Noreturn static void finish(struct stub *s, int status)
{
	struct rusage usage = { .ru_maxrss = 0 };
	uint8_t body[28];
	struct wbuf w = wbuf_make(body, sizeof(body));

	end_rest();
	(void)getrusage(RUSAGE_CHILDREN, &usage); /* EFAULT, EINVAL: no */
	wbuf_u32(&w, (uint32_t)status);
	wbuf_u64(&w, to_us(&usage.ru_utime));
	wbuf_u64(&w, to_us(&usage.ru_stime));
	wbuf_u64(&w, (uint64_t)usage.ru_maxrss);
	tell(s, BACKEND_EXITED, body, wbuf_len(&w));
	leave(s);
}

/* Every orphan of the run is a child of pid 1. */
static void reap(struct stub *s)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	/* one read for any number: SIGCHLD does not queue */
	(void)!read(s->signals, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->payload)
			finish(s, status);
}

static void stopped(struct stub *s)
{
	if (s->owes)
		tell(s, BACKEND_STOPPED, NULL, 0);
	s->owes = false;
}

static void look(struct stub *s)
{
	switch (hold_look(&s->hold)) {
	case HOLD_STILL:
		return stopped(s);
	case HOLD_LOOSE:
		tell(s, BACKEND_LOOSE, NULL, 0);
		(void)kill(-1, SIGKILL); /* ESRCH: reap() will tell */
		return;
	case HOLD_OFF:
	case HOLD_TRYING:
		return;
	}
}

static void pause_all(struct stub *s, bool on, int *group)
{
	/* each is answered, also one that is over before it was so */
	stopped(s);
	hold_end(&s->hold);
	if (on) {
		s->owes = true;
		hold_begin(&s->hold, fd_steal(group));
	}
}

/* To everything in the pid namespace but ourselves. */
static void signal_all(struct stub *s, uint32_t sig)
{
	if (sig == 0 || sig > (uint32_t)SIGRTMAX)
		return;
	if (s->hold.state != HOLD_OFF)
		hold_signal(&s->hold, (int)sig);
	else
		(void)kill(-1, (int)sig); /* ESRCH: reap() will tell */
}

static void control(struct stub *s)
{
	struct rbuf body;
	struct msg m;
	int r = chan_recv(&s->control, 0, &m);

	if (r == 0)
		return;
	if (r < 0 || (m.type != BACKEND_SIGNAL && m.type != BACKEND_PAUSE))
		_exit(EXIT_SANDBOX);
	body = rbuf_make(m.body, m.len);
	if (m.type == BACKEND_SIGNAL)
		signal_all(s, rbuf_u32(&body));
	else
		pause_all(s, rbuf_u8(&body) != 0,
			  m.nfds ? &m.fds[0] : &(int){ -1 });
	msg_done(&m);
}

_Noreturn static void attend(struct stub *s)
{
	struct pollfd p[2] = {
		{ .fd = s->control.fd, .events = POLLIN },
		{ .fd = s->signals, .events = POLLIN },
	};

	for (;;) {
		if (poll(p, 2, hold_wait(&s->hold)) < 0) {
			if (errno == EINTR)
				continue; /* a debugger */
			/* deaf, we would keep the run from ending */
			_exit(EXIT_SANDBOX);
		}
		if (p[1].revents)
			reap(s);
		if (p[0].revents)
			control(s);
		if (hold_wait(&s->hold) == 0)
			look(s);
	}
}

/* -- birth -- */

static int open_signals(int *ret, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return err_sys(err, errno, "block SIGCHLD", NULL);
	*ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret < 0 ? err_sys(err, errno, "signalfd", NULL) : 0;
}

/* No descriptor of the keeper's stays: it holds those of all sessions. */
static int take_control(int fd)
{
	const int keep[] = { CONTROL_FD };

	if (fd != CONTROL_FD && dup3(fd, CONTROL_FD, O_CLOEXEC) < 0)
		return -errno;
	return isolate_close_fds(CONTROL_FD, keep, 1);
}

_Noreturn static void stub_main(const struct backend_spec *spec, int fd)
{
	struct stub s = { .spec = spec, .signals = -1, .payload = -1 };
	struct err err;
	int r;

	hold_init(&s.hold);
	process_reset_signals();
	if (take_control(fd) < 0)
		_exit(EXIT_SANDBOX);
	chan_init(&s.control, CONTROL_FD, backend_child_rules,
		  backend_child_nrules, QUEUE_LIMIT);
	r = view_run(spec->view, &err);
	if (r == 0 && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		r = err_sys(&err, errno, "set host name", "%s", spec->hostname);
	if (r == 0)
		r = open_signals(&s.signals, &err);
	if (r < 0)
		give_up(&s, &err, EXIT_SANDBOX);
	start(&s);
	attend(&s);
}

#define RUN_NAMESPACES \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

static int userns_prepare(const struct backend_spec *spec,
			  struct backend_child *ret, struct err *err)
{
	cleanup_fd int ours = -1, theirs = -1;
	int pair[2], pidfd = -1;
	int r = chan_pair(pair);
	pid_t pid;

	if (r < 0)
		return err_sys(err, -r, "make control socket", NULL);
	ours = pair[0];
	theirs = pair[1];
	pid = process_fork(RUN_NAMESPACES, SIGCHLD, &pidfd);
	if (pid == 0)
		stub_main(spec, theirs);
	if (pid < 0)
		return lacks(err, -pid, "make the run's namespaces", NULL,
			     NULL);
	*ret = (struct backend_child){
		.pid = pid,
		.pidfd = pidfd,
		.control = fd_steal(&ours),
	};
	return 0;
}

/* -- probe -- */

static int probe_filesystem(const char *type, struct err *err)
{
	cleanup_fd int mount = mount_new(type, NULL, 0);
	int r;

	if (mount >= 0)
		return 0;
	r = err_new(err, ERR_UNAVAILABLE, "mount", type, "%s",
		    strerrordesc_np(-mount));
	if (strcmp(type, "proc") == 0 && mount == -EPERM)
		err_remedy(err, "in a container: its /proc must not be "
				"partly covered (Docker: --security-opt "
				"systempaths=unconfined)");
	else
		err_remedy(err, "Linux 5.12 or later; in a container: allow "
				"mounts in its seccomp and AppArmor profiles");
	return r;
}

static int probe_seccomp(struct err *err)
{
	const unsigned action = SECCOMP_RET_KILL_PROCESS;
	int r;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		return 0;
	r = err_new(err, ERR_UNAVAILABLE, "filter system calls", "seccomp",
		    "%s", strerrordesc_np(errno));
	err_remedy(err, "the kernel needs CONFIG_SECCOMP_FILTER");
	return r;
}

/* As pid 1 of namespaces like a keeper's, with a root like a run's. */
static int probe_inside(struct err *err)
{
	static const char *const types[] = { "proc", "tmpfs", "devpts" };
	cleanup_fd int root = -1;
	int r = 0;

	for (size_t i = 0; i < 3 && r == 0; i++)
		r = probe_filesystem(types[i], err);
	if (r == 0)
		r = mount_root_begin(1 << 20, &root, err);
	if (r == 0)
		r = mount_root_enter(root, err);
	if (r == 0)
		r = isolate_drop(err);
	if (r == 0)
		r = landlock_sockets((const char *const[]){ NULL }, err);
	return r == 0 ? probe_seccomp(err) : r;
}

_Noreturn static void probe_child(int report)
{
	struct err err;
	int r = 0;

	err_clear(&err);
	process_reset_signals();
	/* root's sessions work as another user; one id is as good as any */
	if (geteuid() == 0 && isolate_identity(65534, 65534, &err) < 0 &&
	    err.errnum != EINVAL && err.errnum != EPERM)
		r = -1;
	if (r == 0) {
		err_clear(&err);
		r = isolate_userns(0, 0, &err);
	}
	if (r == 0)
		r = isolate_pid1(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
					 CLONE_NEWCGROUP,
				 &err);
	if (r == 0)
		(void)probe_inside(&err);
	(void)fd_write_all(report, &err, sizeof(err));
	_exit(0);
}

static int userns_probe(struct err *err)
{
	struct err result;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make pipe", NULL);
	/* no exit signal: the caller's handlers and waits notice nothing */
	pid = process_fork(0, 0, NULL);
	if (pid == 0)
		probe_child(ends[1]);
	fd_close(&ends[1]);
	if (pid < 0) {
		fd_close(&ends[0]);
		return err_sys(err, -pid, "fork", NULL);
	}
	n = fd_read_all(ends[0], &result, sizeof(result));
	fd_close(&ends[0]);
	while (waitpid(pid, &status, __WCLONE) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(result))
		return err_new(err, ERR_UNAVAILABLE, "probe", "userns",
			       "the probe was killed: a system call is "
			       "forbidden here");
	if (result.code == ERR_NONE)
		return 0;
	if (err)
		*err = result;
	return result.errnum > 0 ? -result.errnum : -ENOTSUP;
}

const struct backend backend_userns = {
	.name = "userns",
	.probe = userns_probe,
	.prepare = userns_prepare,
};
