/* run.c - one command: start, wait, end
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: session.h. The keeper keeps the time and holds the
 * processes; here are the options, the pipes, and the result.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/options.h"
#include "core/proto.h"
#include "core/session.h"
#include "core/sys/command.h"

enum {
	GRACE_MS = 2000,
	TTY_ROWS = 24,		     /* as every terminal had once */
	TTY_COLS = 80,
};

struct exeat_run *run_by_id(struct exeat_session *s, uint32_t id)
{
	for (struct exeat_run *run = s->runs; run; run = run->next)
		if (run->id == id)
			return run;
	return NULL;
}

/* ---- stdio ---- */

static enum exeat_stdio stdio_kind(const struct exeat_run_options *o, int i)
{
	if (o->stdio[i] != EXEAT_STDIO_DEFAULT)
		return o->stdio[i];
	return i == EXEAT_STDIN ? EXEAT_STDIO_NONE : EXEAT_STDIO_PIPE;
}

static int stdio_dup(int fd, struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_sys(err, errno, "duplicate", "descriptor %d", fd);
	return copy;
}

static int stdio_pipe(struct exeat_run *run, int i, struct err *err)
{
	int ends[2], r;
	int theirs = i == EXEAT_STDIN ? 0 : 1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe", "stdio %d", i);
	r = stream_attach(&run->streams[i], ends[1 - theirs]);
	if (r < 0) {
		(void)close(ends[theirs]);
		return err_sys(err, -r, "watch", "stdio %d", i);
	}
	return ends[theirs];
}

static int stdio_null(struct err *err)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? err_sys(err, errno, "open", "/dev/null") : fd;
}

/* The run's end of one descriptor, or -errno. */
static int stdio_open(struct exeat_run *run, const struct exeat_run_options *o,
		      int i, struct err *err)
{
	int fd, flags;

	switch (stdio_kind(o, i)) {
	case EXEAT_STDIO_INHERIT:
		/* a caller without one has none to hand on: then the number
		 * may be one of ours, none of which is to be inherited */
		flags = fcntl(i, F_GETFD);
		if (flags < 0 || (flags & FD_CLOEXEC))
			break;
		return stdio_dup(i, err);
	case EXEAT_STDIO_FD:
		return stdio_dup(o->stdio_fd[i], err);
	case EXEAT_STDIO_CALLBACK:
		run->callback[i] = true;
		return stdio_pipe(run, i, err);
	case EXEAT_STDIO_BYTES:
		fd = stdio_pipe(run, i, err);
		if (fd >= 0 && stream_queue(&run->streams[i], o->stdin_bytes,
					    o->stdin_len) < 0) {
			(void)close(fd);
			return err_sys(err, ENOMEM, "copy", "stdin");
		}
		if (fd >= 0)
			exeat_run_close_stdin(run);
		return fd;
	case EXEAT_STDIO_PIPE:
		return stdio_pipe(run, i, err);
	case EXEAT_STDIO_NONE:
	case EXEAT_STDIO_DEFAULT:
		break;
	}
	return stdio_null(err);
}

/* ---- start ---- */

static bool is_python(const struct exeat_run_options *o)
{
	return o->script && o->script_type &&
	       strcmp(o->script_type, "python") == 0;
}

static const char *const *run_argv(const struct exeat_run_options *o,
				   const char *ret[4])
{
	if (o->argv)
		return o->argv;
	ret[0] = is_python(o) ? "python3" : o->shell ? o->shell : "/bin/sh";
	ret[1] = "-c";
	ret[2] = o->command ? o->command : o->script;
	ret[3] = NULL;
	return ret;
}

/* Returns the number of cgroups to join, whose files are in ret_fds. */
static int run_encode(struct exeat_run *run, const struct exeat_run_options *o,
		      const struct list *env, struct sbuf *b, int *ret_fds,
		      struct err *err)
{
	struct exeat_session *s = run->session;
	const char *shell[4];
	cleanup_free char *under = NULL;
	struct command c = {
		.argv = run_argv(o, shell),
		.envp = (const char *const *)env->texts,
		.cwd = o->cwd ? o->cwd : s->work.path,
		.new_session = true,
		.tty = run->pty,
		.rows = run->rows,
		.cols = run->cols,
	};
	int groups;

	if (c.cwd[0] != '/') {
		if (asprintf(&under, "%s/%s", s->work.path, c.cwd) < 0)
			return err_sys(err, ENOMEM, "make", "cwd");
		c.cwd = under;
	}
	groups = limits_run(run, o, &c, ret_fds, err);
	if (groups < 0)
		return groups;
	sbuf_u32(b, run->id);
	sbuf_u32(b, run->posture->id);
	sbuf_u64(b, (uint64_t)o->timeout_ms);
	sbuf_u64(b, (uint64_t)(o->kill_grace_ms ? o->kill_grace_ms : GRACE_MS));
	command_encode(&c, b);
	if (b->bad)
		return err_new(err, ERR_LIMIT, "run", "argv and env",
			       "more than %d bytes", LIMIT_ARGS_BYTES);
	return groups;
}

static int run_send(struct exeat_run *run, const struct exeat_run_options *o,
		    const struct list *preset_env, struct err *err)
{
	struct exeat_session *s = run->session;
	enum { FDS = 3 + CGROUP_KINDS };
	int fds[FDS] = { -1, -1, -1, -1, -1, -1 }, r, n = 3;
	struct list env = { 0 };
	struct sbuf body;

	sbuf_init(&body, LIMIT_ARGS_BYTES);
	r = environ_make(s, policy_get_mode(run->posture->policy), preset_env,
			 o, &env, err);
	if (r == 0)
		r = run_encode(run, o, &env, &body, fds + 3, err);
	if (r > 0) {
		n += r;
		r = 0;
	}
	if (r == 0 && run->pty)
		r = run_tty_await(run, o, err);
	for (int i = 0; r == 0 && i < 3; i++) {
		fds[i] = run->pty ? stdio_null(err) :
			 i == EXEAT_STDERR && o->merge_output ?
				    stdio_dup(fds[EXEAT_STDOUT], err) :
				    stdio_open(run, o, i, err);
		r = fds[i] < 0 ? fds[i] : 0;
	}
	if (r == 0) {
		session_send(s, HELPER_KEEPER, K_RUN, body.s, body.len, fds,
			     (unsigned)n);
		s->unended++;
	}
	for (int i = 0; i < FDS; i++)
		fd_close(&fds[i]);
	sbuf_done(&body);
	list_free(&env);
	return r;
}

static struct exeat_run *run_new(struct exeat_session *s,
				 const struct exeat_run_options *o,
				 struct posture *p)
{
	struct exeat_run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->session = s;
	run->posture = p;
	run->named = posture_is_named(o);
	run->id = ++s->last_run;
	run->on_output = o->on_output;
	run->on_exit = o->on_exit;
	run->on_stdin_ready = o->on_stdin_ready;
	run->pty = o->pty != 0;
	run->python = is_python(o);
	run->rows = o->pty_rows ? o->pty_rows : TTY_ROWS;
	run->cols = o->pty_cols ? o->pty_cols : TTY_COLS;
	run->idle_ms = o->idle_timeout_ms;
	run->active_ms = clock_ms();
	run->output_left = o->max_output_bytes ? o->max_output_bytes :
						 UINT64_MAX;
	run->user_data = o->user_data;
	run->result = (struct exeat_result){
		.backend = s->backend,
		.network_mode = policy_mode_name(policy_get_mode(p->policy)),
		.termination_reason = run->reason,
		.start_error = run->start_error,
		.refusals = run->refusals,
		.memory_enforced = "",
		.cpus_enforced = "",
		.pids_enforced = "",
		.disk_enforced = "",
	};
	for (int i = 0; i < 3; i++)
		stream_init(run, (enum exeat_stream)i);
	run->next = s->runs;
	s->runs = run;
	return run;
}

static unsigned runs_alive(const struct exeat_session *s)
{
	unsigned n = 0;

	for (const struct exeat_run *run = s->runs; run; run = run->next)
		n += run->phase != PHASE_OVER;
	return n;
}

static int run_start(struct exeat_session *s, const struct exeat_run_options *o,
		     struct exeat_run **ret, struct err *err)
{
	struct list preset_env;
	struct posture *p;
	struct exeat_run *run;
	int r;

	if (s->fatal.code != ERR_NONE) {
		*err = s->fatal;
		return -EIO;
	}
	r = run_check_options(o, err);
	if (r < 0)
		return r;
	if (s->over_ms && clock_ms() >= s->over_ms)
		return err_new(err, ERR_TIMEOUT, "session", NULL,
			       "its time is up");
	if (s->paused)
		session_pause_send(s, false);
	if (runs_alive(s) >= LIMIT_RUNS - 1)
		return err_new(err, ERR_LIMIT, "run", NULL,
			       "at most %d runs at a time", LIMIT_RUNS - 1);
	r = posture_get(s, o, &preset_env, &p, err);
	if (r < 0)
		return r;
	run = run_new(s, o, p);
	if (!run) {
		posture_put(s, p, posture_is_named(o));
		r = err_sys(err, ENOMEM, "make", "run");
	} else {
		r = run_send(run, o, &preset_env, err);
		if (r == 0) {
			due_watch(run);
			/* who opens a session for one run does not wait for
			 * it to be open first */
			if (++s->started > 1 || s->opened)
				posture_expect(s, p);
		} else {
			exeat_run_free(run);
		}
	}
	list_free(&preset_env);
	if (r == 0)
		*ret = run;
	return r;
}

int exeat_run_start(struct exeat_session *s,
		    const struct exeat_run_options *options,
		    struct exeat_run **ret, struct exeat_error *error)
{
	struct exeat_run_options o = EXEAT_RUN_OPTIONS_INIT;
	struct err err;
	int r;

	if (error_needs(error, "run",
			ERROR_ARGS({ "session", s }, { "ret", ret })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "run", &err);
	resolv_watch_poll(s);
	if (r == 0)
		r = run_start(s, &o, ret, &err);
	return r < 0 ? session_error(error, &err, r) : 0;
}

/* ---- the end ---- */

void run_check(struct exeat_run *run)
{
	struct exeat_session *s = run->session;

	if (run->phase == PHASE_OVER)
		return;
	if (!run->lost && (!run->exited || !run->flushed ||
			   run->streams[EXEAT_STDOUT].fd >= 0 ||
			   run->streams[EXEAT_STDERR].fd >= 0))
		return;
	run->phase = PHASE_OVER;
	/* a terminal that has not come by now does not come */
	run->streams[EXEAT_STDOUT].awaited = false;
	stream_close(&run->streams[EXEAT_STDIN]);
	run->result.stdout_bytes = run->streams[EXEAT_STDOUT].total;
	run->result.stderr_bytes = run->streams[EXEAT_STDERR].total;
	posture_put(s, run->posture, run->named);
	run->posture = NULL;
	if (run->on_exit)
		run->on_exit(run->user_data, run);
}

static void set_reason(struct exeat_run *run, int status, unsigned reason)
{
	static const char *const names[] = {
		[RUN_TIMEOUT] = "timeout",	  [RUN_KILLED] = "killed",
		[RUN_IDLE] = "idle_timeout",	  [RUN_OUTPUT] = "output_limit",
		[RUN_SESSION] = "session_closed",
	};
	const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	const char *name = number ? sigabbrev_np(number) : NULL;

	if (reason < sizeof(names) / sizeof(names[0]) && names[reason])
		(void)snprintf(run->reason, sizeof(run->reason), "%s",
			       names[reason]);
	else if (name)
		(void)snprintf(run->reason, sizeof(run->reason), "signal:SIG%s",
			       name);
	else if (number >= SIGRTMIN) /* signal(7): they have no other names */
		(void)snprintf(run->reason, sizeof(run->reason),
			       "signal:SIGRTMIN+%d", number - SIGRTMIN);
	else if (number)
		(void)snprintf(run->reason, sizeof(run->reason), "signal:SIG%d",
			       number);
}

void run_exited(struct exeat_run *run, int status, unsigned reason)
{
	run->result.returncode = WIFSIGNALED(status) ? -WTERMSIG(status) :
						       WEXITSTATUS(status);
	set_reason(run, status, reason);
	limits_ended(run, status);
	run->exited = true;
	run->asked_ms = clock_ms();
	run->front_words = run->session->helpers[HELPER_FRONT].words;
	if (!run->flushed)
		due_watch(run);
	stream_drain(&run->streams[EXEAT_STDOUT]);
	stream_drain(&run->streams[EXEAT_STDERR]);
	run_check(run);
}

/* What could not be started, and why: the step says nothing to the user, who
 * may not know the program that runs a script. */
static void err_start(const struct err *err, bool no_python, char *buf,
		      size_t size)
{
	struct err shown = *err;

	shown.step[0] = shown.remedy[0] = '\0';
	if (no_python)
		err_remedy(&shown, "install python3: sessions see that of "
				   "/usr and /opt");
	(void)err_str(&shown, buf, size);
}

void run_failed(struct exeat_run *run, unsigned exit_code,
		const struct err *err)
{
	if (run->phase == PHASE_OVER)
		return;
	run->result.returncode = (int)exit_code;
	if (exit_code == 125)
		run->err = *err;
	else
		err_start(err, run->python && exit_code == 127,
			  run->start_error, sizeof(run->start_error));
	/* nothing ran: there is nothing to wait for */
	run->exited = run->flushed = true;
	stream_close(&run->streams[EXEAT_STDOUT]);
	stream_close(&run->streams[EXEAT_STDERR]);
	run_check(run);
}

void run_flushed(struct exeat_run *run)
{
	run->flushed = true;
	run_check(run);
}

void run_lost(struct exeat_run *run, const struct err *err)
{
	if (run->phase == PHASE_OVER)
		return;
	run->lost = true;
	run->err = *err;
	run->result.returncode = -1;
	(void)snprintf(run->reason, sizeof(run->reason), "session_closed");
	/* on_exit is the last that its owner hears of it */
	stream_close(&run->streams[EXEAT_STDOUT]);
	stream_close(&run->streams[EXEAT_STDERR]);
	run_check(run);
}

const struct exeat_result *exeat_run_result(const struct exeat_run *run)
{
	return run && run->phase == PHASE_OVER ? &run->result : NULL;
}

uint64_t exeat_run_id(const struct exeat_run *run)
{
	return run ? run->id : 0;
}

int exeat_run_kill(struct exeat_run *run, int signal, struct exeat_error *error)
{
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));
	struct err err;
	int r;

	if (error_needs(error, "kill", ERROR_ARGS({ "run", run })) < 0)
		return -EINVAL;
	if (signal < 1 || signal >= NSIG) {
		err_clear(&err);
		r = err_new(&err, ERR_INVALID, "kill", "signal",
			    "there is no signal %d", signal);
		return session_error(error, &err, r);
	}
	if (run->phase == PHASE_OVER)
		return 0;
	wbuf_u32(&b, run->id);
	wbuf_u32(&b, (uint32_t)signal);
	session_send(run->session, HELPER_KEEPER, K_KILL, body, wbuf_len(&b),
		     NULL, 0);
	return 0;
}

void run_end(struct exeat_run *run, enum run_reason reason)
{
	uint8_t body[5];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (run->ending || run->exited || run->phase == PHASE_OVER)
		return;
	run->ending = true;
	wbuf_u32(&b, run->id);
	wbuf_u8(&b, (uint8_t)reason);
	session_send(run->session, HELPER_KEEPER, K_END, body, wbuf_len(&b),
		     NULL, 0);
}

static void run_destroy(struct exeat_run *run)
{
	for (size_t i = 0; i < run->result.nrefusals; i++)
		run_refusal_free(&run->refusals[i]);
	free(run);
}

void runs_bury(struct exeat_session *s)
{
	struct exeat_run **at = &s->dead;

	while (*at) {
		struct exeat_run *run = *at;

		if (run->held > 0) {
			at = &run->next;
			continue;
		}
		*at = run->next;
		run_destroy(run);
	}
}

void run_hold(struct exeat_run *run)
{
	run->held++;
}

void run_release(struct exeat_run *run)
{
	struct exeat_session *s = run->session;

	run->held--;
	if (s->dispatching == 0)
		runs_bury(s);
}

void exeat_run_free(struct exeat_run *run)
{
	struct exeat_session *s;
	struct exeat_run **at;

	if (!run)
		return;
	s = run->session;
	if (run->phase != PHASE_OVER) {
		(void)exeat_run_kill(run, SIGKILL, NULL);
		run->phase = PHASE_OVER;
		posture_put(s, run->posture, run->named);
		run->posture = NULL;
	}
	for (int i = 0; i < 3; i++)
		stream_done(&run->streams[i]);
	(void)cgroup_close(&run->cgroup);
	for (at = &s->runs; *at != run; at = &(*at)->next)
		;
	*at = run->next;
	run->next = s->dead;
	s->dead = run;
	if (s->dispatching == 0)
		runs_bury(s);
}
