/* runio.c - a run's refusals, its stdin, and runs to the end
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/audit/audit.h"
#include "core/base/fd.h"
#include "core/options.h"
#include "core/session.h"

enum { END_OF_FILE = 4 }; /* VEOF of termios(3), as a terminal begins */

/* ---- refusals ---- */

static bool same(const char *a, const char *b)
{
	return strcmp(a, b ? b : "") == 0;
}

static struct exeat_refusal *refusal_find(struct exeat_run *run,
					  const struct audit_event *e,
					  const char *address)
{
	for (size_t i = 0; i < run->result.nrefusals; i++) {
		struct exeat_refusal *f = &run->refusals[i];

		if (f->port == e->port && same(f->address, address) &&
		    same(f->name, e->name) && same(f->protocol, e->protocol) &&
		    same(f->layer, audit_layer_name(e->layer)) &&
		    same(f->reason, e->reason))
			return f;
	}
	return NULL;
}

void run_refusal_free(const struct exeat_refusal *f)
{
	free(f->layer);
	free(f->protocol);
	free(f->name);
	free(f->address);
	free(f->rule);
	free(f->reason);
	free(f->allow_hint);
}

void run_refusal(struct exeat_run *run, const struct audit_event *e)
{
	char address[ADDR_STRLEN] = "";
	uint64_t count = e->dropped ? e->dropped : 1;
	struct exeat_refusal *f;

	if (e->has_address)
		(void)addr_str(&e->address, address);
	run->result.refused_total += count;
	f = refusal_find(run, e, address);
	if (f) {
		f->count += count;
		return;
	}
	if (run->result.nrefusals == LIMIT_REFUSALS)
		return;
	f = &run->refusals[run->result.nrefusals];
	*f = (struct exeat_refusal){
		.layer = strdup(audit_layer_name(e->layer)),
		.protocol = strdup(e->protocol ? e->protocol : ""),
		.name = strdup(e->name ? e->name : ""),
		.address = strdup(address),
		.port = e->port,
		.rule = strdup(e->rule ? e->rule : ""),
		.reason = strdup(e->reason ? e->reason : ""),
		.allow_hint = strdup(e->hint ? e->hint : ""),
		.count = count,
	};
	/* none of them is ever NULL: without memory it is only counted */
	if (f->layer && f->protocol && f->name && f->address && f->rule &&
	    f->reason && f->allow_hint)
		run->result.nrefusals++;
	else
		run_refusal_free(f);
}

/* ---- streams ---- */

static int stdin_error(struct exeat_error *error, int errnum)
{
	struct err err;
	int r;

	err_clear(&err);
	r = err_sys(&err, errnum, "write", "stdin");
	if (errnum == EPIPE) /* of the command's doing, or the caller's */
		err.code = ERR_CONFLICT;
	return session_error(error, &err, r);
}

static int stdin_stuck(struct exeat_error *error)
{
	struct err err;
	int r;

	err_clear(&err);
	r = err_new(&err, ERR_LIMIT, "write", "stdin",
		    "the command waits for its output to be read");
	return session_error(error, &err, r);
}

static int write_check(const struct exeat_run *run, const void *data,
		       size_t len, struct exeat_error *error)
{
	struct err err;
	int r;

	if (error_needs(error, "write", ERROR_ARGS({ "run", run })) < 0 ||
	    (len > 0 &&
	     error_needs(error, "write", ERROR_ARGS({ "data", data })) < 0))
		return -EINVAL;
	if (len <= PTRDIFF_MAX)
		return 0;
	r = err_new(&err, ERR_INVALID, "write", "len", "nothing is so long");
	return session_error(error, &err, r);
}

static int write_all(struct exeat_run *run, const void *data, size_t len,
		     struct exeat_error *error)
{
	struct stream *st = &run->streams[EXEAT_STDIN];
	int r = st->close_when_empty ? -EPIPE : stream_queue(st, data, len);

	if (r < 0)
		return stdin_error(error, -r);
	while (st->len > 0 && (st->fd >= 0 || st->awaited)) {
		if (stream_full(&run->streams[EXEAT_STDOUT]) ||
		    stream_full(&run->streams[EXEAT_STDERR]))
			return stdin_stuck(error);
		r = exeat_session_dispatch(run->session, -1, error);
		if (r < 0)
			return r;
	}
	return len > 0 && st->fd < 0 ? stdin_error(error, EPIPE) : 0;
}

int exeat_run_write(struct exeat_run *run, const void *data, size_t len,
		    struct exeat_error *error)
{
	int r = write_check(run, data, len, error);

	if (r < 0)
		return r;
	run_hold(run);
	r = write_all(run, data, len, error);
	run_release(run);
	return r;
}

ssize_t exeat_run_write_some(struct exeat_run *run, const void *data,
			     size_t len, struct exeat_error *error)
{
	ssize_t n = write_check(run, data, len, error);

	if (n < 0)
		return n;
	n = stream_queue_some(&run->streams[EXEAT_STDIN], data, len);
	if (n < 0 && n != -EAGAIN)
		return stdin_error(error, (int)-n);
	run->wants_stdin = n == -EAGAIN || (size_t)n < len;
	return n;
}

/* A terminal ends by a character, without which nobody hears of it. Behind
 * half a line that hands on the half: the one after it is the end. */
static void type_end(struct stream *st)
{
	static const char ends[] = { END_OF_FILE, END_OF_FILE };
	const bool in_line = st->last != '\0' && st->last != '\n' &&
			     st->last != '\r' && st->last != END_OF_FILE;

	(void)stream_queue(st, ends, in_line ? 2 : 1);
}

void exeat_run_close_stdin(struct exeat_run *run)
{
	struct stream *st;

	if (!run)
		return;
	st = &run->streams[EXEAT_STDIN];
	if (run->pty && !st->close_when_empty)
		type_end(st);
	st->close_when_empty = true;
	if (st->len == 0)
		stream_close(st);
}

/* ---- exec ---- */

static int collect(struct stream *st, char **ret, size_t *ret_len)
{
	char *text = malloc(st->len + 1);

	if (!text)
		return -ENOMEM;
	*ret_len = st->len ? stream_take(st, text, st->len) : 0;
	text[*ret_len] = '\0';
	*ret = text;
	return 0;
}

int exeat_exec(struct exeat_session *s, const struct exeat_run_options *options,
	       struct exeat_run **ret, char **ret_out, size_t *ret_out_len,
	       char **ret_err, size_t *ret_err_len, struct exeat_error *error)
{
	char *out = NULL, *errors = NULL;
	size_t out_len = 0, errors_len = 0;
	struct exeat_run *run = NULL;
	struct err err;
	int r = error_needs(error, "run", ERROR_ARGS({ "ret", ret }));

	if (r == 0)
		r = exeat_run_start(s, options, &run, error);
	if (r < 0)
		return r;
	assert(run);
	r = exeat_run_wait(run, -1, error);
	if (r < 0) {
		exeat_run_free(run);
		return r;
	}
	if ((ret_out &&
	     collect(&run->streams[EXEAT_STDOUT], &out, &out_len) < 0) ||
	    (ret_err &&
	     collect(&run->streams[EXEAT_STDERR], &errors, &errors_len) < 0)) {
		free(out);
		exeat_run_free(run);
		err_clear(&err);
		return session_error(error, &err,
				     err_sys(&err, ENOMEM, "collect",
					     "output"));
	}
	if (ret_out)
		*ret_out = out;
	if (ret_out_len)
		*ret_out_len = out_len;
	if (ret_err)
		*ret_err = errors;
	if (ret_err_len)
		*ret_err_len = errors_len;
	*ret = run;
	return 0;
}

int exeat_run_code(struct exeat_session *s, const char *code,
		   const struct exeat_run_options *options,
		   struct exeat_run **ret, char **ret_out, size_t *ret_out_len,
		   struct exeat_error *error)
{
	struct exeat_run_options o = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_run *run = NULL;
	struct err err;
	int r;

	if (error_needs(error, "run",
			ERROR_ARGS({ "session", s }, { "code", code })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "run", &err);
	if (r == 0 && (o.argv || o.command || o.script))
		r = err_new(&err, ERR_INVALID, "run", "command",
			    "the code is the command");
	if (r < 0)
		return session_error(error, &err, r);
	o.script = code;
	o.script_type = "python";
	r = exeat_exec(s, &o, &run, ret_out, ret_out_len, NULL, NULL, error);
	if (r < 0)
		return r;
	assert(run);
	r = run->result.returncode != 0;
	if (ret)
		*ret = run;
	else
		exeat_run_free(run);
	return r;
}

int exeat_spawn(struct exeat_session *s,
		const struct exeat_run_options *options, struct exeat_run **ret,
		struct exeat_error *error)
{
	struct exeat_run_options o = EXEAT_RUN_OPTIONS_INIT;
	struct err err;
	int r;

	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "run", &err);
	if (r < 0)
		return session_error(error, &err, r);
	if (o.stdio[EXEAT_STDIN] == EXEAT_STDIO_DEFAULT)
		o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	return exeat_run_start(s, &o, ret, error);
}
