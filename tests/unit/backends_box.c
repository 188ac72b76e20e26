/* backends_box.c - a keeper in small, to run one command as a backend would
 * SPDX-License-Identifier: Apache-2.0
 *
 * box_run() forks; the child becomes a keeper (isolate_*, view_session) and
 * runs the command; it writes what happened into shared memory, and its end
 * of a pipe closes when the last process has gone.
 */
#include "tests/unit/backends_box.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "core/base/fd.h"
#include "core/sys/command.h"
#include "core/sys/isolate.h"
#include "tests/unit/sys_child.h"

#define PATIENCE_MS 20000

/* uid 0 of a user namespace with one id is shown as another inside. */
uid_t box_uid(void)
{
	return child_uid() == 0 ? 1000 : child_uid();
}

static gid_t box_gid(void)
{
	return child_gid() == 0 ? 1000 : child_gid();
}

int box_dirs_make(struct box_dirs *d)
{
	(void)snprintf(d->work, sizeof(d->work), "/tmp/exeat-unit-XXXXXX");
	if (!mkdtemp(d->work) || chmod(d->work, 0755) < 0)
		return -errno;
	return geteuid() != 0				    ? 0 :
	       chown(d->work, child_uid(), child_gid()) < 0 ? -errno :
							      0;
}

void box_dirs_remove(struct box_dirs *d)
{
	const char *const argv[] = { "rm", "-rf", "--", d->work, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		(void)execv("/bin/rm", (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	(void)waitpid(pid, NULL, 0);
}

/* -- the view -- */

struct op {
	enum view_kind kind;
	bool per_run, optional;
	const char *path, *source;
	uint32_t mode;
};

static const struct op common_ops[] = {
	{ VIEW_BIND_RO, false, false, "/usr", "/usr", 0 },
	{ VIEW_BIND_RO, false, true, "/bin", "/bin", 0 },
	{ VIEW_BIND_RO, false, true, "/sbin", "/sbin", 0 },
	{ VIEW_BIND_RO, false, true, "/lib", "/lib", 0 },
	{ VIEW_BIND_RO, false, true, "/lib64", "/lib64", 0 },
	{ VIEW_BIND_RO, false, true, "/no/such", "/no/such", 0 },
	{ VIEW_BIND_RO, false, false, "/etc", "/etc", 0 },
	{ VIEW_MASK, false, false, "/etc/shadow", NULL, 0 },
	{ VIEW_MASK, false, false, "/etc/default", NULL, 0 },
	{ VIEW_MASK, false, false, "/etc/no-such", NULL, 0 },
	{ VIEW_SYMLINK, false, false, "/link", "run/by/link", 0 },
	{ VIEW_FILE, false, false, "/link", "through a link\n", 0 },
	{ VIEW_FILE, false, false, "/etc/passwd", "me:x:1000:1000::/:/bin/sh\n",
	  0 },
	{ VIEW_DEV, false, false, "/dev", NULL, 0 },
	{ VIEW_TMPFS, true, false, "/tmp", NULL, 01777 },
	{ VIEW_TMPFS, true, false, "/run", NULL, 0755 },
	{ VIEW_DIR, true, false, "/run/lock", NULL, 01777 },
	{ VIEW_PROC, true, false, "/proc", NULL, 0 },
};

static void add_op(struct view *v, const struct op *o)
{
	struct view_op op = {
		.kind = o->kind,
		.per_run = o->per_run,
		.optional = o->optional,
		.path = (char *)(uintptr_t)o->path,
		.source = (char *)(uintptr_t)o->source,
		.mode = o->mode,
	};
	char real[PATH_MAX];

	/* no symlink in what is bound */
	if (o->kind == VIEW_BIND_RO && realpath(o->source, real))
		op.source = real;
	if (view_add(v, &op) < 0)
		abort();
}

static void make_view(const struct box_dirs *d, const struct box *b,
		      struct view *v)
{
	const struct op work = { VIEW_BIND_RW, false,	false,
				 b->work_at,   d->work, 0 };
	char exe[512];
	const struct op self = { VIEW_BIND_RO,	     false, false,
				 "/run/tool/inside", exe,   0 };
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	/* the link itself leads into another mount namespace */
	if (n < 0)
		abort();
	exe[n] = '\0';
	view_init(v);
	add_op(v, &work);
	add_op(v, &self);
	for (size_t i = 0; i < sizeof(common_ops) / sizeof(common_ops[0]); i++)
		add_op(v, &common_ops[i]);
}

/* -- one run, in the keeper -- */

struct live {
	struct backend_child child;
	struct chan control;
	int out; /* read end */
	size_t len;
	int64_t since; /* the last point in time */
	int64_t us[BOX_POINTS];
};

static void reached(struct live *l, enum box_point point)
{
	int64_t now = clock_us();

	l->us[point] = now - l->since;
	l->since = now;
}

static int send_command(struct live *l, const struct box *b, int out)
{
	static const char *const default_env[] = { "PATH=/usr/bin:/bin", NULL };
	const struct command c = {
		.argv = b->argv,
		.envp = b->envp ? b->envp : default_env,
		.cwd = b->cwd ? b->cwd : b->work_at,
		.new_session = true,
		.rlimit_fsize = b->rlimit_fsize ? b->rlimit_fsize : UINT64_MAX,
		.rlimit_nofile = UINT64_MAX,
		.rlimit_core = 0,
	};
	cleanup_fd int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int fds[3] = { in, out, out };
	struct sbuf body;
	int r;

	sbuf_init(&body, 1 << 20);
	command_encode(&c, &body);
	r = body.bad ? -ENOMEM :
		       chan_send(&l->control, BACKEND_COMMAND, body.s, body.len,
				 fds, 3);
	sbuf_done(&body);
	return r;
}

static void interfere(struct live *l, const struct box *b)
{
	const uint8_t sig[4] = { 0, 0, 0, (uint8_t)b->signal };

	if (b->signal)
		(void)chan_send(&l->control, BACKEND_SIGNAL, sig, 4, NULL, 0);
	if (b->hang_up)
		chan_done(&l->control);
	if (b->kill_stub)
		(void)kill(l->child.pid, SIGKILL);
}

/* False at the end of the stream. */
static bool on_output(struct live *l, struct box *b)
{
	ssize_t n = read(l->out, b->out + l->len, BOX_OUT - 1 - l->len);

	if (n > 0 && l->len == 0)
		interfere(l, b);
	if (n > 0)
		l->len += (size_t)n;
	b->out[l->len] = '\0';
	return n > 0;
}

static bool on_message(struct live *l, struct box *b)
{
	struct rbuf r;
	struct msg m;
	int got = chan_recv(&l->control, 0, &m);

	if (got <= 0)
		return got == 0;
	r = rbuf_make(m.body, m.len);
	if (m.type == BACKEND_FAILED) {
		b->failed = true;
		if (!backend_get_failed(&r, &b->err, &b->exit_code))
			b->exit_code = 0;
	} else if (m.type == BACKEND_STARTED) {
		reached(l, BOX_STARTED);
	} else if (m.type == BACKEND_EXITED) {
		reached(l, BOX_EXITED);
		b->exited = true;
		b->status = (int)rbuf_u32(&r);
		(void)shutdown(l->control.fd, SHUT_WR);
	}
	msg_done(&m);
	return true;
}

static bool chan_has(const struct chan *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return c->fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Until the child has gone and every holder of stdout with it. */
static void attend(struct live *l, struct box *b)
{
	bool output = true, control = true;

	while (output || !b->gone) {
		struct pollfd p[3] = {
			{ .fd = output ? l->out : -1, .events = POLLIN },
			{ .fd = control ? l->control.fd : -1,
			  .events = POLLIN },
			{ .fd = b->gone ? -1 : l->child.pidfd,
			  .events = POLLIN },
		};

		if (poll(p, 3, PATIENCE_MS) <= 0) {
			(void)kill(l->child.pid, SIGKILL);
			break;
		}
		if (p[1].revents)
			control = on_message(l, b);
		if (p[0].revents)
			output = on_output(l, b);
		if (p[2].revents && !b->gone) {
			reached(l, BOX_GONE);
			b->gone = true;
		}
	}
	/* what it said last may have come after the poll */
	while (control && chan_has(&l->control))
		control = on_message(l, b);
}

static int run_once(const struct backend_spec *spec, struct box *b,
		    int64_t us[BOX_POINTS])
{
	int pipe_ends[2];
	struct live l = { .since = clock_us() };
	int r = backend_userns.prepare(spec, &l.child, &b->err);

	if (r < 0)
		return r;
	reached(&l, BOX_PREPARED);
	chan_init(&l.control, l.child.control, backend_keeper_rules,
		  backend_keeper_nrules, 1 << 20);
	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return -errno;
	l.out = pipe_ends[0];
	r = send_command(&l, b, pipe_ends[1]);
	fd_close(&pipe_ends[1]);
	if (r == 0)
		attend(&l, b);
	memcpy(us, l.us, sizeof(l.us));
	fd_close(&l.out);
	chan_done(&l.control);
	(void)waitpid(l.child.pid, NULL, 0);
	fd_close(&l.child.pidfd);
	return r;
}

static int run_all(const struct backend_spec *spec, struct box *b)
{
	unsigned n = b->repeat ? b->repeat : 1;

	for (unsigned i = 0; i < n; i++) {
		int64_t us[BOX_POINTS] = { 0 };
		int r;

		b->gone = false;
		r = run_once(spec, b, us);
		if (r < 0)
			return r;
		for (int j = 0; j < BOX_POINTS; j++)
			if (i == 0 || us[j] < b->us[j])
				b->us[j] = us[j];
	}
	return 0;
}

/* -- the keeper -- */

static int be_keeper(const struct box_dirs *d, struct box *b)
{
	struct backend_spec spec = {
		.uid = box_uid(),
		.gid = box_gid(),
		.work_dir_sockets = b->work_dir_sockets,
		.hostname = "box",
	};
	struct view view;
	int64_t start;
	int r = isolate_identity(child_uid(), child_gid(), &b->err);

	if (r == 0)
		r = isolate_userns(0, 0, &b->err);
	if (r == 0)
		r = isolate_pid1(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
					 CLONE_NEWNET,
				 &b->err);
	if (r < 0)
		return r;
	make_view(d, b, &view);
	spec.view = &view;
	start = clock_us();
	r = view_session(&view, NULL, 0, &b->err);
	b->session_us = clock_us() - start;
	if (r == 0)
		r = run_all(&spec, b);
	view_done(&view);
	return r;
}

void box_run(const struct box_dirs *d, struct box *b)
{
	struct box *shared = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2];
	char text[512], byte;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*shared = *b;
	pid = fork();
	if (pid == 0) {
		int r;

		fd_close(&ends[0]);
		r = be_keeper(d, shared);
		if (r < 0)
			shared->failed = true;
		_exit(r < 0 ? 1 : 0);
	}
	assert_true(pid > 0);
	fd_close(&ends[1]);
	/* nobody writes: it ends with the last process of the box */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	fd_close(&ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	*b = *shared;
	(void)munmap(shared, sizeof(*shared));
	if (b->failed && b->exit_code == 0)
		fail_msg("the box broke: %s",
			 err_str(&b->err, text, sizeof(text)));
}
