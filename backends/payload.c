/* payload.c - from a fork of the run's first process to the command
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The order is the point. Each step needs what a later one takes away. While
 * there is no command, and nobody waits:
 *
 *	user namespace	its capabilities serve to empty the bounding set
 *	capabilities	none left, no_new_privs, undumpable
 *	Landlock	needs no_new_privs
 *	signals		none blocked
 *	seccomp		what follows needs no more than it lets pass
 *
 * Then, with the payload's own rights and under its own filter:
 *
 *	cgroups		by descriptors: it has no path to them
 *	limits		a hard limit may only be lowered
 *	terminal, stdio, session
 *	working dir
 *	Landlock	once more, if a file lies on stdio; where it is too old
 *			a second filter
 *	descriptors	all but 0-2 end with exec
 *	exec
 *
 * All of it happens in the memory of the process that started us: exec has
 * nothing to clear away, and a child that waits costs one memory, not two.
 */
#include "backends/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"
#include "core/sys/landlock.h"
#include "core/sys/seccomp.h"

enum {
	EXIT_SANDBOX = 125, /* the sandbox failed */
	EXIT_CANNOT_EXEC = 126,
	EXIT_NOT_FOUND = 127,
};

/* Clear of 0-2 and of what the keeper sends. */
#define FD_ABOVE 10

static int set_limit(int resource, uint64_t value, const char *name,
		     struct err *err)
{
	struct rlimit limit;

	if (value == UINT64_MAX)
		return 0;
	if (getrlimit(resource, &limit) < 0)
		return err_sys(err, errno, "read limit", "%s", name);
	/* no capability of the machine's is left: only down */
	if (value < limit.rlim_max)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(resource, &limit) < 0)
		return err_sys(err, errno, "set limit", "%s", name);
	return 0;
}

/* The first so many of those that we may be on. */
static int set_cpus(uint32_t n, struct err *err)
{
	cpu_set_t set;
	uint32_t seen = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return err_sys(err, errno, "read affinity", NULL);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set) && ++seen > n)
			CPU_CLR(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return err_sys(err, errno, "set affinity", NULL);
	return 0;
}

static int set_limits(const struct command *c, struct err *err)
{
	int r = set_limit(RLIMIT_FSIZE, c->rlimit_fsize, "file size", err);

	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, c->rlimit_nofile, "open files",
			      err);
	if (r == 0)
		r = set_limit(RLIMIT_CORE, c->rlimit_core, "core file", err);
	if (r == 0 && c->rlimit_as)
		r = set_limit(RLIMIT_AS, c->rlimit_as, "address space", err);
	if (r == 0 && c->rlimit_nproc)
		r = set_limit(RLIMIT_NPROC, c->rlimit_nproc, "processes", err);
	return r == 0 && c->cpus ? set_cpus(c->cpus, err) : r;
}

/* The descriptors behind stdio are groups that it is to be in: whatever it
 * forks is in them too. */
static int join_groups(const int *fds, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n; i++)
		if (write(fds[i], "0", 1) < 0)
			return err_sys(err, errno, "join cgroup", NULL);
	return 0;
}

/* -- the terminal -- */

/* There is nothing else to do: wait until it has left. */
static int send_terminal(struct chan *control, int fd)
{
	struct pollfd p = { .fd = control->fd, .events = POLLOUT };
	int r = chan_send(control, BACKEND_TTY, NULL, 0, &fd, 1);

	while (r == 0 && chan_wants_write(control)) {
		(void)poll(&p, 1, -1); /* the flush says what is wrong */
		r = chan_flush(control);
	}
	return r;
}

/* In the run's own devpts (pts(4)), so that its name means it inside. */
static int make_terminal(const struct command *c, struct chan *control,
			 int *ret, struct err *err)
{
	const struct winsize size = { .ws_row = c->rows, .ws_col = c->cols };
	cleanup_fd int master =
		open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	cleanup_fd int slave = -1;
	struct termios modes;
	int unlock = 0, r;

	if (master < 0)
		return err_sys(err, errno, "open", "/dev/ptmx");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
	    ioctl(master, TIOCSWINSZ, &size) < 0)
		return err_sys(err, errno, "set up terminal", NULL);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, errno, "open terminal", NULL);
	/* text is UTF-8: what erases a character, erases all its bytes */
	if (tcgetattr(slave, &modes) < 0)
		return err_sys(err, errno, "set up terminal", NULL);
	modes.c_iflag |= IUTF8;
	if (tcsetattr(slave, TCSANOW, &modes) < 0)
		return err_sys(err, errno, "set up terminal", NULL);
	r = send_terminal(control, master);
	if (r < 0)
		return err_sys(err, -r, "hand out terminal", NULL);
	*ret = fd_steal(&slave);
	return 0;
}

static int set_stdio(const struct command *c, const int fds[3], struct err *err)
{
	int above[3];

	/* what came may be 0-2 itself */
	for (int i = 0; i < 3; i++) {
		struct stat st;

		above[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_ABOVE);
		if (above[i] < 0 || fstat(above[i], &st) < 0)
			return err_sys(err, errno, "duplicate stdio", NULL);
		/* what lies in it is not in the view */
		if (S_ISDIR(st.st_mode))
			return err_new(err, ERR_INVALID, "stdio", NULL,
				       "descriptor %d is a directory", i);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(above[i], i) < 0)
			return err_sys(err, errno, "set stdio", NULL);
	if (c->new_session && setsid() < 0)
		return err_sys(err, errno, "make session", NULL);
	if (c->tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return err_sys(err, errno, "take terminal", NULL);
	return 0;
}

static int enter_dir(const char *cwd, struct err *err)
{
	int errnum;

	if (chdir(cwd) == 0)
		return 0;
	errnum = errno;
	return err_new(err, ERR_INVALID, "cwd", cwd, "%s",
		       strerrordesc_np(errnum));
}

/* -- Landlock -- */

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/*
 * A grant covers what is bound beneath as well: a directory of the run that
 * has a part of the host below it gets none.
 */
static bool is_of_run_alone(const struct view *view, const char *dir)
{
	for (size_t i = 0; i < view->nops; i++) {
		const struct view_op *op = &view->ops[i];

		if (op->target && is_below(op->target, dir) &&
		    (op->kind == VIEW_BIND_RW || op->kind == VIEW_MOUNT_FD ||
		     (op->kind == VIEW_TMPFS && !op->per_run)))
			return false;
	}
	return true;
}

/* Where sockets may be made, or NULL if there is no memory. */
static char *socket_dir(const struct view_op *op)
{
	char *path;

	return asprintf(&path, "/%s%s", op->target,
			op->kind == VIEW_DEV ? "/shm" : "") < 0 ?
		       NULL :
		       path;
}

static int forbid_sockets(const struct view *view, struct err *err)
{
	char **dirs = calloc(view->nops + 1, sizeof(*dirs));
	bool full = !dirs;
	size_t n = 0;
	int r;

	for (size_t i = 0; !full && i < view->nops; i++) {
		const struct view_op *op = &view->ops[i];

		if (!op->target ||
		    !((op->kind == VIEW_TMPFS && op->per_run) ||
		      op->kind == VIEW_DEV) ||
		    !is_of_run_alone(view, op->target))
			continue;
		dirs[n] = socket_dir(op);
		full = !dirs[n++];
	}
	r = full ? err_sys(err, ENOMEM, "restrict unix sockets", NULL) :
		   landlock_sockets((const char *const *)dirs, err);
	while (n > 0)
		free(dirs[--n]);
	free(dirs);
	return r;
}

/* -- the order -- */

/* They are at their defaults: who started us has seen to that. */
static int unblock_signals(struct err *err)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(err, errno, "unblock signals", NULL);
	return 0;
}

/* All that does not depend on the command: done while nobody waits for it. */
static int confine(const struct backend_spec *spec, struct err *err)
{
	int r;

	/* the files of the map belong to us only while we are dumpable */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "become dumpable", NULL);
	r = isolate_userns(spec->uid, spec->gid, err);
	if (r == 0)
		r = isolate_drop(err);
	if (r == 0 && !spec->work_dir_sockets)
		r = forbid_sockets(spec->view, err);
	if (r == 0)
		r = unblock_signals(err);
	return r < 0 ? r : seccomp_load(&seccomp_payload, err);
}

static int become(const struct command *c, struct chan *control, const int *fds,
		  unsigned nfds, struct err *err)
{
	int r = join_groups(fds + 3, nfds - 3, err), tty = -1;

	if (r == 0)
		r = set_limits(c, err);
	if (r == 0 && c->tty)
		r = make_terminal(c, control, &tty, err);
	if (r == 0)
		r = set_stdio(c, tty < 0 ? fds : (int[3]){ tty, tty, tty },
			      err);
	if (r == 0)
		r = enter_dir(c->cwd, err);
	if (r == 0)
		r = landlock_stdio(landlock_abi(), err);
	if (r == 0 && close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		r = err_sys(err, errno, "close descriptors", NULL);
	return r;
}

/* -- exec -- */

/* What execve() says of it would not help who asks why. */
static int exec_error(const char *path, int errnum)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errnum;
	if (errnum == ENOENT)
		return -ELIBACC; /* it is there: what it names is not */
	return errnum == EACCES && S_ISDIR(st.st_mode) ? -EISDIR : -errnum;
}

/* execve(), and what a shell does with a text that names no interpreter. */
static int exec_path(const char *path, const struct command *c)
{
	static const char shell[] = "/bin/sh";
	size_t n = 0;
	const char **argv;

	(void)execve(path, (char *const *)(uintptr_t)c->argv,
		     (char *const *)(uintptr_t)c->envp);
	if (errno != ENOEXEC)
		return exec_error(path, errno);
	while (c->argv[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[0] = shell;
	argv[1] = path;
	memcpy(argv + 2, c->argv + 1, n * sizeof(*argv));
	(void)execve(shell, (char *const *)(uintptr_t)argv,
		     (char *const *)(uintptr_t)c->envp);
	free(argv);
	return -ENOEXEC;
}

static const char *get_search_path(const struct command *c)
{
	for (const char *const *e = c->envp; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return "/usr/bin:/bin";
}

/* Found, and not to be executed: better than nothing found at all. */
static bool is_there(int error)
{
	return error == -EACCES || error == -EISDIR || error == -ELIBACC;
}

/* The errno of a directory that says "not here, look on". */
static bool goes_on(int error)
{
	return is_there(error) || error == -ENOENT || error == -ENOTDIR ||
	       error == -ENAMETOOLONG || error == -ELOOP;
}

/* As execvp(), but the command's PATH counts, not ours. */
static int exec_search(const struct command *c)
{
	const char *dir = get_search_path(c);
	int best = -ENOENT;
	char path[PATH_MAX];

	if (c->argv[0][0] == '\0')
		return -ENOENT;
	if (strchr(c->argv[0], '/'))
		return exec_path(c->argv[0], c);
	for (;;) {
		size_t len = strcspn(dir, ":");
		/* an empty entry is the working directory */
		int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)len, dir,
				 len > 0 ? "/" : "./", c->argv[0]);

		if (n > 0 && (size_t)n < sizeof(path)) {
			int r = exec_path(path, c);

			if (!goes_on(r))
				return r;
			if (is_there(r))
				best = r;
		}
		if (dir[len] == '\0')
			return best;
		dir += len + 1;
	}
}

/* -- waiting for the command -- */

/* The next message; without a keeper there is no run. */
static void wait_message(struct chan *control, struct msg *m)
{
	struct pollfd p = { .fd = control->fd, .events = POLLIN };

	for (;;) {
		int r = chan_recv(control, 0, m);

		if (r < 0)
			_exit(EXIT_SANDBOX);
		if (r > 0)
			return;
		(void)poll(&p, 1, -1); /* the next recv says what it was */
	}
}

/* Returns only if it cannot be executed. */
static void execute(struct payload *p, struct payload_failure *failure)
{
	const struct msg *m = &p->message;
	struct command *c = &p->command;
	int r;

	if (m->type != BACKEND_COMMAND) {
		failure->exit_code = 0;
		return;
	}
	r = command_decode(m->body, m->len, c);
	if (r < 0) {
		(void)err_sys(&failure->err, -r, "read command", NULL);
		return;
	}
	if (become(c, p->control, m->fds, m->nfds, &failure->err) < 0)
		return;
	r = exec_search(c);
	if (r == -ELIBACC)
		(void)err_new(&failure->err, ERR_NOT_FOUND, "execute",
			      c->argv[0], "its interpreter is not there");
	else
		(void)err_sys(&failure->err, -r, "execute", "%s", c->argv[0]);
	failure->exit_code = r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
}

void payload_init(struct payload *p, const struct backend_spec *spec,
		  struct chan *control)
{
	p->spec = spec;
	p->control = control;
	p->report = -1;
	p->message.nfds = 0;
	p->message.mapped = 0;
	p->command.argv = NULL;
	p->command.envp = NULL;
}

int payload_main(void *payload)
{
	struct payload *p = payload;
	struct payload_failure failure = { .exit_code = EXIT_SANDBOX };

	if (confine(p->spec, &failure.err) == 0) {
		wait_message(p->control, &p->message);
		execute(p, &failure);
	}
	/* smaller than PIPE_BUF: whole or not at all; EOF then says enough */
	(void)fd_write_all(p->report, &failure, sizeof(failure));
	_exit(EXIT_SANDBOX);
}

void payload_left(struct payload *p)
{
	p->message.nfds = 0; /* they were in its table, not in ours */
	msg_done(&p->message);
	command_done(&p->command);
}
