/* filetar.c - a folder of the work dir as a tar stream, in and out
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * An archive is of unknown origin, and what is packed is a payload's. Nothing
 * of the caller's reads either: tar runs inside, as a `blocked` run, with the
 * payload's rights. So an archive does nothing that a payload could not do by
 * itself, and none has what a payload could not read. The folder is looked up
 * from outside first, which tells wrong paths as everywhere; a payload that
 * changes it afterwards leads tar about in its own view.
 *
 * The tar is the system's: in the PATH of runs a payload could have one of its
 * own, which would be given the caller's descriptor. Its options are those
 * that GNU tar and BusyBox have in common; but to leave out what the session
 * keeps in the work dir takes one that some BusyBox lacks, which is said then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/session.h"
#include "core/workpath.h"

enum { SAID_MAX = 4096 }; /* of what tar says: its first words */

/* What one call needs until its end. */
struct tar {
	struct exeat_session *session;
	const char *path; /* as the caller named it */
	int fd;
	bool out; /* of the work dir */
	char *dir;
	char said[SAID_MAX + 1];
	size_t said_len;
};

static int tar_invalid(struct err *err, const char *what, const char *why)
{
	return err_new(err, ERR_INVALID, "tar", what, "%s", why);
}

static int fd_check(const struct tar *t, struct err *err)
{
	int flags = fcntl(t->fd, F_GETFL), mode = flags & O_ACCMODE;
	struct stat st;

	if (flags < 0 || fstat(t->fd, &st) < 0)
		return tar_invalid(err, "fd", "not an open descriptor");
	if (S_ISDIR(st.st_mode))
		return tar_invalid(err, "fd", "a directory");
	if (flags & O_PATH || mode == (t->out ? O_RDONLY : O_WRONLY))
		return tar_invalid(err, "fd",
				   t->out ? "not open for writing" :
					    "not open for reading");
	if (flags & O_NONBLOCK && !S_ISREG(st.st_mode))
		return tar_invalid(err, "fd",
				   "does not wait (O_NONBLOCK): tar would take "
				   "that for an error");
	return 0;
}

static int dir_make(const struct exeat_session *s, char *at)
{
	struct workdir_self self;
	int fd;

	workdir_become(&s->work, &s->identity, false, &self);
	fd = workpath_make(s, at);
	workdir_return(&self);
	return fd;
}

/* Where tar is to be; made, for what comes in. */
static int dir_find(struct tar *t, struct err *err)
{
	cleanup_free char *at = NULL;
	cleanup_fd int fd = -1;
	int r = workpath_take(t->session, t->path, !t->out, &at, err);

	if (r < 0)
		return r;
	fd = workpath_open(t->session, at, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT && !t->out)
		fd = dir_make(t->session, at);
	if (fd < 0)
		return workpath_error(err, -fd, t->path);
	if (asprintf(&t->dir, "%s/%s", t->session->work.path, at) < 0) {
		t->dir = NULL;
		return err_sys(err, ENOMEM, "tar", "%s", t->path);
	}
	return *at == '\0'; /* it is the work dir */
}

static void hear_cb(void *user_data, struct exeat_run *run,
		    enum exeat_stream stream, const void *data, size_t len)
{
	struct tar *t = user_data;
	size_t room = SAID_MAX - t->said_len;

	(void)run;
	(void)stream;
	len = len < room ? len : room;
	memcpy(t->said + t->said_len, data, len);
	t->said_len += len;
}

static int tar_start(struct tar *t, bool whole, struct exeat_run **ret,
		     struct exeat_error *error)
{
	static const char *const in[] = {
		"tar", "-x", "-o", "--no-same-permissions", "-f", "-", NULL
	};
	static const char *const out[] = { "tar", "-c", "-f", "-", ".", NULL };
	/* what the session keeps for itself stays with it */
	static const char *const out_whole[] = {
		"tar", "--exclude=./.exeat", "-c", "-f", "-", ".", NULL
	};
	static const char *const env[] = {
		"PATH=/usr/bin:/bin",
		"LC_ALL=C.UTF-8",
		"LANGUAGE=",
		"TAR_OPTIONS=",
		"LD_PRELOAD=",
		"LD_LIBRARY_PATH=",
		NULL,
	};
	struct exeat_run_options o = {
		.size = sizeof(o),
		.argv = !t->out ? in :
			whole	? out_whole :
				  out,
		.network_mode = "blocked",
		.env = env,
		.cwd = t->dir,
		.on_output = hear_cb,
		.user_data = t,
	};
	int theirs = t->out ? EXEAT_STDOUT : EXEAT_STDIN, r;

	o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_CALLBACK;
	o.stdio[theirs] = EXEAT_STDIO_FD;
	o.stdio_fd[theirs] = t->fd;
	/* what is full can still be packed, into a file as large as it takes */
	t->session->disk_spared = t->out;
	r = exeat_run_start(t->session, &o, ret, error);
	t->session->disk_spared = false;
	return r;
}

/* ---- how it ended ---- */

/* The first of tar's lines that tells a failure, by these words if there are
 * any; without its name. */
static const char *reason(struct tar *t, const char *words)
{
	char *line, *rest = t->said;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "tar: ", 5) == 0)
			line += 5;
		/* of a name: it says what it does about it, and does it */
		if (words ? strstr(line, words) != NULL :
			    *line && !strstr(line, "Removing leading"))
			return line;
	}
	return "tar failed, and did not say why";
}

/* Not a failure: what was packed changed meanwhile. */
static bool has_changed_only(const struct tar *t, int returncode)
{
	return t->out && returncode == 1 &&
	       (strstr(t->said, " as we read it") ||
		strstr(t->said, " before we read it"));
}

static int ended_early(const struct tar *t, const struct exeat_result *result,
		       struct err *err)
{
	static const struct {
		const char *reason;
		enum err_code code;
		const char *object, *words;
	} ends[] = {
		{ "signal:SIGPIPE", ERR_INVALID, "fd", "nobody reads it" },
		{ "signal:SIGXFSZ", ERR_LIMIT, "fd",
		  "a file may not be larger" },
		{ "oom", ERR_LIMIT, "memory", "the limit of memory" },
		{ "session_closed", ERR_TIMEOUT, "session",
		  "its time is over" },
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(result->termination_reason, ends[i].reason) == 0)
			return err_new(err, ends[i].code, "tar", ends[i].object,
				       "%s", ends[i].words);
	return err_new(err, ERR_INTERNAL, "tar", t->path, "tar ended: %s",
		       result->termination_reason);
}

static int said_failure(struct tar *t, struct err *err)
{
	static const struct {
		const char *words;
		enum err_code code;
	} kinds[] = {
		{ "No space left on device", ERR_LIMIT },
		{ "Disk quota exceeded", ERR_LIMIT },
		{ "File too large", ERR_LIMIT },
		{ "Permission denied", ERR_CONFLICT },
		{ "Read-only file system", ERR_CONFLICT },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strstr(t->said, kinds[i].words))
			return err_new(err, kinds[i].code, "tar", t->path, "%s",
				       reason(t, kinds[i].words));
	if (t->out)
		return err_new(err, ERR_CONFLICT, "tar", t->path, "%s",
			       reason(t, NULL));
	return err_new(err, ERR_INVALID, "tar", "archive", "%s",
		       reason(t, NULL));
}

static int tar_ended(struct tar *t, const struct exeat_result *result,
		     struct err *err)
{
	t->said[t->said_len] = '\0';
	if (*result->start_error) {
		int r = err_new(err, ERR_UNAVAILABLE, "tar", "tar", "%s",
				result->start_error);

		err_remedy(err, "install tar where it is in view, as "
				"/usr/bin/tar or /bin/tar");
		return r;
	}
	if (result->returncode == 0 || has_changed_only(t, result->returncode))
		return 0;
	if (strstr(t->said, "tar: unrecognized option '--exclude")) {
		int r = err_new(err, ERR_UNAVAILABLE, "tar", t->path,
				"this tar can leave nothing out (--exclude)");

		err_remedy(err, "install GNU tar, or name a folder of it");
		return r;
	}
	if (*result->termination_reason)
		return ended_early(t, result, err);
	return said_failure(t, err);
}

/* ---- the calls ---- */

static int tar_run(struct tar *t, struct exeat_error *error)
{
	struct exeat_run *run = NULL;
	struct err err;
	int r, whole;

	if (error_needs(error, "tar",
			ERROR_ARGS({ "session", t->session },
				   { "path", t->path })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = t->session->dispatching > 0 ?
		    err_new(&err, ERR_CONFLICT, "tar", NULL,
			    "called from a callback") :
		    fd_check(t, &err);
	whole = r == 0 ? dir_find(t, &err) : r;
	if (whole < 0)
		return session_error(error, &err, whole);
	r = tar_start(t, whole, &run, error);
	if (r == 0)
		r = exeat_run_wait(run, -1, error);
	if (r > 0) {
		r = tar_ended(t, exeat_run_result(run), &err);
		if (r < 0)
			(void)session_error(error, &err, r);
	}
	exeat_run_free(run);
	return r;
}

int exeat_put_tar(struct exeat_session *s, const char *path, int fd,
		  struct exeat_error *error)
{
	struct tar t = { .session = s, .path = path, .fd = fd };
	int r = tar_run(&t, error);

	free(t.dir);
	return r;
}

int exeat_get_tar(struct exeat_session *s, const char *path, int fd,
		  struct exeat_error *error)
{
	struct tar t = { .session = s, .path = path, .fd = fd, .out = true };
	int r = tar_run(&t, error);

	free(t.dir);
	return r;
}
