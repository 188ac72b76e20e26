/* runcheck.c - options of a run that are wrong, whatever the session
 * SPDX-License-Identifier: Apache-2.0
 *
 * The error's object is the option's name. Nothing has been started yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/session.h"

enum { SCRIPT_MAX = 128 * 1024 - 1 }; /* MAX_ARG_STRLEN of execve(2) */

static int invalid(struct err *err, const char *what, const char *why)
{
	return err_new(err, ERR_INVALID, "run", what, "%s", why);
}

static int too_long(struct err *err, const char *what)
{
	(void)invalid(err, what, "longer than 128 KiB");
	err_remedy(err, "keep it in a file of the work dir, and run that");
	return -EINVAL;
}

static int stdio_check(const struct exeat_run_options *o, struct err *err)
{
	for (int i = 0; i < 3; i++) {
		switch (o->stdio[i]) {
		case EXEAT_STDIO_DEFAULT:
		case EXEAT_STDIO_NONE:
		case EXEAT_STDIO_PIPE:
		case EXEAT_STDIO_INHERIT:
			continue;
		case EXEAT_STDIO_FD:
			if (fcntl(o->stdio_fd[i], F_GETFD) < 0)
				return invalid(err, "stdio_fd",
					       "not an open descriptor");
			continue;
		case EXEAT_STDIO_BYTES:
			if (i != EXEAT_STDIN)
				return invalid(err, "stdio",
					       "bytes are for stdin");
			if (!o->stdin_bytes && o->stdin_len > 0)
				return invalid(err, "stdin_bytes", "is NULL");
			if (o->stdin_len > PTRDIFF_MAX)
				return invalid(err, "stdin_len",
					       "nothing is so long");
			continue;
		case EXEAT_STDIO_CALLBACK:
			if (i == EXEAT_STDIN || !o->on_output)
				return invalid(err, "stdio",
					       "a callback is "
					       "for output, and needs "
					       "on_output");
			continue;
		}
		return invalid(err, "stdio", "no such kind");
	}
	return o->stdin_len == 0 || o->stdio[EXEAT_STDIN] == EXEAT_STDIO_BYTES ?
		       0 :
		       invalid(err, "stdin_bytes", "stdin is of another kind");
}

/* What is written past us cannot be counted. */
static int watched_check(const struct exeat_run_options *o, struct err *err)
{
	const char *what = o->idle_timeout_ms ? "idle_timeout_ms" :
						"max_output_bytes";
	bool seen = false;

	if (o->idle_timeout_ms == 0 && o->max_output_bytes == 0)
		return 0;
	for (int i = EXEAT_STDOUT; i <= EXEAT_STDERR; i++) {
		if (o->stdio[i] == EXEAT_STDIO_INHERIT ||
		    o->stdio[i] == EXEAT_STDIO_FD)
			return invalid(err, what,
				       "needs outputs that are pipes or "
				       "callbacks");
		seen = seen || o->stdio[i] != EXEAT_STDIO_NONE;
	}
	return seen ? 0 : invalid(err, what, "all output is discarded");
}

static bool pty_stdio(const struct exeat_run_options *o)
{
	enum exeat_stdio in = o->stdio[EXEAT_STDIN];
	enum exeat_stdio out = o->stdio[EXEAT_STDOUT];

	return (in == EXEAT_STDIO_DEFAULT || in == EXEAT_STDIO_PIPE ||
		in == EXEAT_STDIO_BYTES) &&
	       (out == EXEAT_STDIO_DEFAULT || out == EXEAT_STDIO_PIPE ||
		out == EXEAT_STDIO_CALLBACK) &&
	       o->stdio[EXEAT_STDERR] == EXEAT_STDIO_DEFAULT &&
	       !o->merge_output;
}

static int times_check(const struct exeat_run_options *o, struct err *err)
{
	const struct {
		const char *name;
		int64_t ms;
	} times[] = {
		{ "timeout_ms", o->timeout_ms },
		{ "kill_grace_ms", o->kill_grace_ms },
		{ "idle_timeout_ms", o->idle_timeout_ms },
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (time_check("run", times[i].name, times[i].ms, err) < 0)
			return -EINVAL;
	return 0;
}

/* Errors, the audit and JSON could not say what it was. */
static int texts_check(const struct exeat_run_options *o, struct err *err)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "command", o->command },
		{ "script", o->script },
		{ "shell", o->shell },
		{ "cwd", o->cwd },
	};
	char name[32];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].text && !text_is_utf8(texts[i].text))
			return invalid(err, texts[i].name, "not UTF-8");
	for (size_t i = 0; o->argv && o->argv[i]; i++) {
		if (text_is_utf8(o->argv[i]))
			continue;
		(void)snprintf(name, sizeof(name), "argv[%zu]", i);
		return invalid(err, name, "not UTF-8");
	}
	return 0;
}

/* Whether it is there, only the command's own process can know. */
static int cwd_check(const char *cwd, struct err *err)
{
	if (!cwd)
		return 0;
	if (*cwd == '\0')
		return invalid(err, "cwd", "empty");
	/* a relative one is under the work dir */
	while (*cwd && *cwd != '/') {
		size_t part = strcspn(cwd, "/");

		if (part == 2 && memcmp(cwd, "..", 2) == 0)
			return invalid(err, "cwd",
				       "relative, and \"..\" is in it");
		cwd += part;
		cwd += strspn(cwd, "/");
	}
	return 0;
}

/* Is what is given the command, and nothing beside it that it has no use for? */
static int command_check(const struct exeat_run_options *o, struct err *err)
{
	int given =
		(o->argv != NULL) + (o->command != NULL) + (o->script != NULL);
	bool python = o->script_type && strcmp(o->script_type, "python") == 0;

	if (given != 1)
		return invalid(err, "command",
			       "exactly one of argv, command and script");
	if (o->argv && (!o->argv[0] || o->argv[0][0] == '\0'))
		return invalid(err, "argv", "the command is empty");
	if (o->command && o->command[0] == '\0')
		return invalid(err, "command", "empty");
	if (o->command && strlen(o->command) > SCRIPT_MAX)
		return too_long(err, "command");
	if (o->script && strlen(o->script) > SCRIPT_MAX)
		return too_long(err, "script");
	if (o->script_type && !python && strcmp(o->script_type, "shell") != 0)
		return invalid(err, "script_type", "must be shell or python");
	if (o->script_type && !o->script)
		return invalid(err, "script_type", "there is no script");
	if (o->shell && o->shell[0] == '\0')
		return invalid(err, "shell", "empty");
	if (o->shell && (o->argv || python))
		return invalid(err, "shell", "the command needs none");
	return 0;
}

static int pty_check(const struct exeat_run_options *o, struct err *err)
{
	if (o->pty)
		return pty_stdio(o) ? 0 :
				      invalid(err, "pty",
					      "a terminal is all three "
					      "streams");
	if (o->pty_rows || o->pty_cols)
		return invalid(err, o->pty_rows ? "pty_rows" : "pty_cols",
			       "there is no terminal");
	return 0;
}

int run_check_options(const struct exeat_run_options *o, struct err *err)
{
	if (command_check(o, err) < 0 || times_check(o, err) < 0 ||
	    texts_check(o, err) < 0 || cwd_check(o->cwd, err) < 0 ||
	    pty_check(o, err) < 0)
		return -EINVAL;
	if (o->merge_output && o->stdio[EXEAT_STDERR] != EXEAT_STDIO_DEFAULT)
		return invalid(err, "merge_output",
			       "stderr has a place of its own");
	return stdio_check(o, err) < 0 ? -EINVAL : watched_check(o, err);
}
