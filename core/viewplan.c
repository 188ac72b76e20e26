/* viewplan.c - the files that a session sees: from the host to a list
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The list is written in this order:
 *
 *	base	the system's folders, read-only; /bin and the like as the host
 *		has them, links or folders
 *	etc	secrets masked, files of ours over the host's
 *	mounts	the work dir and additional paths, sorted, so that a folder
 *		comes before what is in it
 *	kept	files of the caller's that govern a run, where one could write
 *		to them: read-only over themselves. Nobody moves a mount point
 *		of his own view; a folder above the file could be moved with
 *		the mount in it, so each is bound to itself, too
 *	hidden	the same with an empty file
 *	covers	over unix sockets in those
 *	fresh	/proc, /tmp, /run: every run's own. What the list put below
 *		them the run gets again (view_run)
 */
#include "core/viewplan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/viewplan_etc.h"
#include "core/viewplan_mount.h"

enum {
	MOUNTS_MAX = 256,
	UNIX_MAX = 16 << 20, /* bytes of the kernel's list of sockets */
	RUN_SIZE = 16 << 20, /* bytes of a run's /run */
};

static const char step[] = "make view";

#define UV_PATH "/run/exeat/bin/uv"

/* One mount that is not the system's. */
struct plan_mount {
	char *path; /* inside */
	char *source;
	int dirfd; /* of the work dir, else AT_FDCWD */
	bool read_only;
	bool kept;   /* no path that was asked for */
	bool mapped; /* kept: like the mount that it is a part of */
};

struct planner {
	const struct viewplan_request *rq;
	struct viewplan plan;
	struct plan_mount mounts[MOUNTS_MAX];
	size_t nmounts;
	struct list hidden; /* paths inside */
	struct err *err;
};

static int no_memory(struct planner *p)
{
	return err_sys(p->err, ENOMEM, step, NULL);
}

/* Every list operation comes through here. */
static int add(struct planner *p, struct view_op op)
{
	return view_add(&p->plan.view, &op) < 0 ? no_memory(p) : 0;
}

static int show(struct planner *p, struct list *list, const char *path)
{
	return list_add(list, path) < 0 ? no_memory(p) : 0;
}

/* ---- base ---- */

static const char *const base_paths[] = {
	"/usr",
	"/bin",
	"/sbin",
	"/lib",
	"/lib32",
	"/lib64",
	"/libx32",
	"/opt",
	"/etc",
	"/var/lib/dpkg",
	"/var/lib/apt",
	"/var/cache/apt",
	"/sys/devices/system/cpu",
};

static bool below(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	return strncmp(outer, inner, n) == 0 &&
	       (inner[n] == '/' || inner[n] == '\0');
}

static bool in_base(const char *path)
{
	for (size_t i = 0; i < sizeof(base_paths) / sizeof(base_paths[0]); i++)
		if (below(base_paths[i], path))
			return true;
	return false;
}

/* Names that programs expect; nothing of the host's is behind them. */
static int plan_names(struct planner *p)
{
	static const struct view_op ops[] = {
		{ .kind = VIEW_DEV, .path = (char *)"/dev" },
		{ .kind = VIEW_SYMLINK,
		  .path = (char *)"/var/tmp",
		  .source = (char *)"../tmp" },
		{ .kind = VIEW_SYMLINK,
		  .path = (char *)"/var/run",
		  .source = (char *)"../run" },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(ops) / sizeof(ops[0]); i++)
		/* a link may not stand in the way of the work dir */
		if (!below(ops[i].path, p->rq->work->path))
			r = add(p, ops[i]);
	return r;
}

static int plan_base(struct planner *p)
{
	for (size_t i = 0; i < sizeof(base_paths) / sizeof(base_paths[0]);
	     i++) {
		struct view_op op = { .kind = VIEW_BIND_RO };
		char target[PATH_MAX];
		struct stat st;
		ssize_t n;
		int r;

		op.path = op.source = (char *)(uintptr_t)base_paths[i];
		if (strcmp(op.path, "/etc") == 0)
			op.kind = VIEW_LAYERED;
		if (lstat(op.path, &st) < 0)
			continue;
		/* a source has no symlink in it: see mount_clone_path() */
		if (strrchr(op.path, '/') != op.path &&
		    realpath(op.path, target))
			op.source = target;
		if (S_ISLNK(st.st_mode)) {
			n = readlink(op.path, target, sizeof(target) - 1);
			if (n < 0)
				continue;
			target[n] = '\0';
			op.kind = VIEW_SYMLINK;
			op.source = target;
		}
		r = add(p, op);
		if (r == 0)
			r = show(p, &p->plan.read_only, op.path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- fresh ---- */

static int plan_fresh(struct planner *p)
{
	static const struct view_op ops[] = {
		{ .kind = VIEW_PROC, .per_run = true, .path = (char *)"/proc" },
		{ .kind = VIEW_TMPFS,
		  .per_run = true,
		  .path = (char *)"/tmp",
		  .mode = 01777 },
		{ .kind = VIEW_TMPFS,
		  .per_run = true,
		  .path = (char *)"/run",
		  .mode = 0755,
		  .size = RUN_SIZE },
		{ .kind = VIEW_DIR,
		  .per_run = true,
		  .path = (char *)"/run/exeat/bin",
		  .mode = 0755 },
	};
	int r = show(p, &p->plan.read_write, "/dev/shm");

	for (size_t i = 0; r == 0 && i < sizeof(ops) / sizeof(ops[0]); i++) {
		r = add(p, ops[i]);
		if (r == 0 && ops[i].kind == VIEW_TMPFS)
			r = show(p, &p->plan.read_write, ops[i].path);
	}
	return r;
}

/* ---- mounts ---- */

static int plan_mount_add(struct planner *p, const char *path,
			  const char *source, int dirfd, bool read_only)
{
	struct plan_mount *m = &p->mounts[p->nmounts];

	if (p->nmounts >= MOUNTS_MAX)
		return err_new(p->err, ERR_LIMIT, step, path,
			       "more than %d paths", MOUNTS_MAX);
	*m = (struct plan_mount){ .dirfd = dirfd, .read_only = read_only };
	m->path = strdup(path);
	m->source = strdup(source);
	p->nmounts++;
	return m->path && m->source ? 0 : no_memory(p);
}

/* "a//b/./c/" as "/a/b/c"; false for a relative path or one with "..". */
static bool normalise(const char *path, char ret[PATH_MAX])
{
	size_t len = 0;

	if (*path != '/' || strlen(path) >= PATH_MAX)
		return false;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.')
			return false;
		if (n > 0 && !(n == 1 && path[0] == '.')) {
			ret[len++] = '/';
			memcpy(ret + len, path, n);
			len += n;
		}
		path += n;
		path += *path == '/';
	}
	if (len == 0)
		ret[len++] = '/';
	ret[len] = '\0';
	return true;
}

/* Why a path of the caller's may not be shown, or NULL. */
static const char *why_refused(const struct planner *p, const char *path,
			       const struct stat *st, bool read_only)
{
	const char *work = p->rq->work->path;

	if (strcmp(path, "/") == 0)
		return "everything";
	if (S_ISSOCK(st->st_mode))
		return "a socket leads out of the sandbox";
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return "neither a file nor a folder";
	if (below(path, work))
		return "it holds the work dir";
	if (below("/proc", path) || below("/sys", path) || below("/dev", path))
		return "the kernel's own files";
	if (below("/run/exeat", path))
		return "Exeat's own";
	if (below(path, "/tmp") || below(path, "/run"))
		return "fresh in every run";
	if (!read_only)
		return workdir_refused(path);
	return NULL;
}

static int plan_extra(struct planner *p, const char *given, bool read_only)
{
	char real[PATH_MAX], path[PATH_MAX];
	const char *why;
	struct stat st;

	if (!realpath(given, real) || stat(real, &st) < 0)
		return err_new(p->err, ERR_INVALID, step, given, "%s",
			       strerrordesc_np(errno));
	/* shown under the name that programs know it by */
	if (!normalise(given, path))
		memcpy(path, real, strlen(real) + 1);
	why = why_refused(p, real, &st, read_only);
	if (!why)
		why = why_refused(p, path, &st, read_only);
	if (why)
		return err_new(p->err, ERR_INVALID, step, given, "refused: %s",
			       why);
	/* it is there, with its secrets masked */
	for (size_t i = 0; i < sizeof(base_paths) / sizeof(base_paths[0]); i++)
		if (read_only && strcmp(base_paths[i], path) == 0)
			return 0;
	return plan_mount_add(p, path, real, AT_FDCWD, read_only);
}

static int plan_extras(struct planner *p, const char *const *list,
		       bool read_only)
{
	int r = 0;

	for (; r == 0 && list && *list; list++)
		r = plan_extra(p, *list, read_only);
	return r;
}

/* Files of presets: what the view has anyway is not mounted again. */
static int plan_files(struct planner *p)
{
	const char *const *f = p->rq->extra_files;
	char real[PATH_MAX];
	int r = 0;

	for (; r == 0 && f && *f; f++)
		if (!realpath(*f, real) || !in_base(real) || !in_base(*f))
			r = plan_extra(p, *f, true);
	return r;
}

/* The first program `uv` of the caller's PATH, unless the view's own PATH has
 * it; a script that stands for it is none, and the work dir's is shown there. */
static int plan_uv(struct planner *p)
{
	const char *path = secure_getenv("PATH");
	char name[PATH_MAX], real[PATH_MAX], magic[4];

	while (path && *path) {
		int n = (int)strcspn(path, ":");
		cleanup_fd int fd = -1;

		(void)snprintf(name, sizeof(name), "%.*s/uv", n, path);
		path += n + (path[n] == ':');
		if (*name != '/' || access(name, X_OK) < 0 ||
		    !realpath(name, real) || below(p->rq->work->path, real))
			continue;
		fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0 || pread(fd, magic, 4, 0) != 4 ||
		    memcmp(magic, "\177ELF", 4) != 0)
			continue;
		if (below("/usr/bin", name) || below("/usr/local/bin", name) ||
		    below("/bin", name))
			return 0;
		p->plan.uv = strdup(real);
		if (!p->plan.uv)
			return no_memory(p);
		return plan_mount_add(p, UV_PATH, real, AT_FDCWD, true);
	}
	return 0;
}

/* The work dir is a mount already, of the keeper's. */
static int open_made(struct planner *p, int *ret_index)
{
	int fd = fcntl(p->rq->work->mount, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(p->err, errno, step, "%s", p->rq->work->path);
	*ret_index = (int)p->plan.nfds;
	p->plan.fds[p->plan.nfds++] = fd;
	return 0;
}

/*
 * As root the keeper is somebody else and may not reach the source: it gets
 * the mount itself. *ret_index stays -1 where the path has to do.
 */
static int open_mount(struct planner *p, const struct plan_mount *m,
		      int *ret_index)
{
	const struct identity *id = p->rq->id;
	bool map = id->idmap_work_dir && m->dirfd >= 0;
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (m->dirfd >= 0 && p->rq->work->mount >= 0)
		return open_made(p, ret_index);
	if (id->kind != IDENTITY_ROOT)
		return 0;
	/* additional folders of root's that are to be written are mapped too */
	if (m->kept)
		map = m->mapped;
	else if (!m->read_only && m->dirfd < 0 && stat(m->source, &st) == 0)
		map = st.st_uid == 0;
	/* one is kept for a work dir that is a mount */
	if (p->plan.nfds >= VIEWPLAN_FDS_MAX - 1)
		return err_new(p->err, ERR_LIMIT, step, m->path,
			       "root can show %d paths at most",
			       VIEWPLAN_FDS_MAX - 1);
	r = viewplan_mount_open(m->dirfd, m->dirfd >= 0 ? "" : m->source,
				m->read_only, map, id->host_uid, id->host_gid,
				&fd, p->err);
	if (r == -EPERM && !map)
		return 0;
	if (r < 0)
		return r;
	*ret_index = (int)p->plan.nfds;
	p->plan.fds[p->plan.nfds++] = fd_steal(&fd);
	return 0;
}

static int perform_mount(struct planner *p, const struct plan_mount *m)
{
	struct view_op op = {
		.kind = m->read_only ? VIEW_BIND_RO : VIEW_BIND_RW,
		.path = m->path,
		.source = m->source,
		.fd_index = -1,
	};
	int r = open_mount(p, m, &op.fd_index);

	if (r < 0)
		return r;
	if (op.fd_index >= 0)
		op.kind = VIEW_MOUNT_FD;
	return add(p, op);
}

static int compare_mounts(const void *a, const void *b)
{
	const struct plan_mount *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int cover(struct planner *p, const char *socket)
{
	struct view_op op = { .kind = VIEW_COVER, .optional = true };

	op.path = (char *)(uintptr_t)socket;
	return add(p, op);
}

static bool is_covered(const struct planner *p, const char *path)
{
	const struct view *v = &p->plan.view;

	for (size_t i = 0; i < v->nops; i++)
		if (v->ops[i].kind == VIEW_COVER &&
		    strcmp(v->ops[i].path, path) == 0)
			return true;
	return false;
}

/*
 * Services of the host that listen somewhere in the system's folders. Those
 * are too large to be searched in every session; the kernel has a list of the
 * sockets in our network namespace (proc(5): the path is the eighth field).
 */
static int cover_base(struct planner *p)
{
	cleanup_free char *text = NULL;
	int r = 0;

	if (fd_read_file(AT_FDCWD, "/proc/net/unix", UNIX_MAX, &text, NULL) < 0)
		return 0;
	for (char *line = text, *next; r == 0 && line; line = next) {
		char *path;
		struct stat st;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		path = strchr(line, '/');
		if (path && in_base(path) && !is_covered(p, path) &&
		    lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
			r = cover(p, path);
	}
	return r;
}

/* Host sockets in what the caller shows besides the work dir. */
static int cover_extra(struct planner *p, const struct plan_mount *m)
{
	cleanup_fd int fd = -1;
	char **list = NULL;
	size_t n = 0;
	int r;

	if (m->dirfd >= 0 || m->kept)
		return 0;
	fd = open(m->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0; /* a file, or closed to us */
	r = workdir_sockets_below(fd, m->path, &list, &n, p->err);
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = cover(p, list[i]);
		free(list[i]);
	}
	free(list);
	return r;
}

/* ---- kept and hidden ---- */

/* The innermost mount that shows this path, or NULL. */
static const struct plan_mount *mount_of(const struct planner *p,
					 const char *path)
{
	const struct plan_mount *found = NULL;

	for (size_t i = 0; i < p->nmounts; i++) {
		const struct plan_mount *m = &p->mounts[i];

		if (below(m->path, path) &&
		    (!found || strlen(m->path) > strlen(found->path)))
			found = m;
	}
	return found;
}

static bool is_mapped(const struct planner *p, const struct plan_mount *m)
{
	struct stat st;

	if (m->kept)
		return m->mapped;
	if (m->dirfd >= 0)
		return p->rq->id->idmap_work_dir;
	return !m->read_only && stat(m->source, &st) == 0 && st.st_uid == 0;
}

/* Masked when everything is mounted. */
static int hide(struct planner *p, const char *path)
{
	return list_add_once(&p->hidden, path) < 0 ? no_memory(p) : 0;
}

static int perform_hide(struct planner *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->hidden.n; i++) {
		struct view_op op = { .kind = VIEW_MASK, .optional = true };

		op.path = p->hidden.texts[i];
		r = add(p, op);
	}
	return r;
}

/* A part of the mount, bound to itself. */
static int pin(struct planner *p, const struct plan_mount *of, const char *path,
	       const char *source, bool read_only)
{
	bool mapped = is_mapped(p, of);
	int r = plan_mount_add(p, path, source, AT_FDCWD, read_only);

	if (r == 0) {
		p->mounts[p->nmounts - 1].kept = true;
		p->mounts[p->nmounts - 1].mapped = mapped;
	}
	return r;
}

/*
 * The file `real` lies in the mount: pin each folder on the way to it, and the
 * file. Where another mount begins, the rest is that one's.
 */
static int keep_in(struct planner *p, const struct plan_mount *m,
		   const char *real, bool hidden)
{
	char path[PATH_MAX], source[PATH_MAX];
	size_t at = strlen(m->source);
	int r = 0;

	while (r == 0 && real[at]) {
		int n;

		at += 1 + strcspn(real + at + 1, "/");
		(void)snprintf(source, sizeof(source), "%.*s", (int)at, real);
		n = snprintf(path, sizeof(path), "%s%s", m->path,
			     source + strlen(m->source));
		if ((size_t)n >= sizeof(path))
			return err_sys(p->err, ENAMETOOLONG, step, "%s", real);
		if (mount_of(p, path) != m)
			return 0;
		if (!real[at] && hidden)
			return hide(p, path);
		if (m->read_only)
			continue; /* nothing in it can be moved */
		r = pin(p, m, path, source, !real[at]);
		m = &p->mounts[p->nmounts - 1];
	}
	return r;
}

/* Is what the payload sees there another folder than the host's? */
static bool is_copy(const struct workdir *w)
{
	return w->kind == WORKDIR_OVERLAY || w->kind == WORKDIR_REFLINK ||
	       w->kind == WORKDIR_COPY;
}

static int keep(struct planner *p, const char *real, bool hidden)
{
	const struct workdir *work = p->rq->work;
	const size_t n = p->nmounts;
	int r = hidden && in_base(real) ? hide(p, real) : 0;

	/* a copy of it governs nothing, but says as much */
	if (r == 0 && hidden && is_copy(work) && below(work->path, real))
		r = hide(p, real);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct plan_mount *m = &p->mounts[i];

		if (m->dirfd >= 0 && is_copy(work))
			continue;
		if (!below(m->source, real) || (m->read_only && !hidden))
			continue;
		if (strcmp(m->source, real) != 0)
			r = keep_in(p, m, real, hidden);
		else if (hidden)
			r = hide(p, m->path);
		else
			r = err_new(p->err, ERR_INVALID, step, m->path,
				    "refused: it governs what runs may do");
	}
	return r;
}

static int plan_kept(struct planner *p, const struct list *files, bool hidden)
{
	int r = 0;

	for (size_t i = 0; r == 0 && files && i < files->n; i++)
		r = keep(p, files->texts[i], hidden);
	return r;
}

static int plan_mounts(struct planner *p)
{
	const struct workdir *work = p->rq->work;
	int r = plan_kept(p, p->rq->governing, false);

	if (r == 0)
		r = plan_kept(p, p->rq->hidden, true);
	if (r == 0)
		r = cover_base(p);
	qsort(p->mounts, p->nmounts, sizeof(p->mounts[0]), compare_mounts);
	for (size_t i = 0; r == 0 && i < p->nmounts; i++) {
		const struct plan_mount *m = &p->mounts[i];

		if (i > 0 && strcmp(m->path, m[-1].path) == 0)
			return err_new(p->err, ERR_INVALID, step, m->path,
				       "named twice");
		r = perform_mount(p, m);
		if (r == 0 && (!m->kept || m->read_only))
			r = show(p,
				 m->read_only ? &p->plan.read_only :
						&p->plan.read_write,
				 m->path);
	}
	for (size_t i = 0; r == 0 && i < p->nmounts; i++)
		r = cover_extra(p, &p->mounts[i]);
	for (size_t i = 0; r == 0 && i < work->nsockets; i++)
		r = cover(p, work->sockets[i]);
	return r < 0 ? r : perform_hide(p);
}

/* ---- all of it ---- */

/* Where the payload sees it need not be where it lies. */
static int plan_work(struct planner *p)
{
	const struct workdir *work = p->rq->work;
	cleanup_free char *tree = NULL;

	if (work->mount >= 0 || !is_copy(work))
		return plan_mount_add(p, work->path, work->path, work->fd,
				      false);
	if (asprintf(&tree, "%s/" WORKDIR_TREE, work->place) < 0) {
		tree = NULL;
		return no_memory(p);
	}
	return plan_mount_add(p, work->path, tree, work->fd, false);
}

static int make(struct planner *p)
{
	const struct viewplan_request *rq = p->rq;
	int r;

	r = plan_base(p);
	if (r == 0)
		r = plan_names(p);
	if (r == 0)
		r = viewplan_etc(rq, &p->plan.view, p->err);
	if (r == 0)
		r = plan_work(p);
	if (r == 0)
		r = plan_extras(p, rq->read_only_paths, true);
	if (r == 0)
		r = plan_extras(p, rq->read_write_paths, false);
	if (r == 0)
		r = plan_files(p);
	if (r == 0)
		r = plan_uv(p);
	if (r == 0)
		r = plan_mounts(p);
	return r < 0 ? r : plan_fresh(p);
}

int viewplan_make(const struct viewplan_request *request, struct viewplan *ret,
		  struct err *err)
{
	struct planner *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_sys(err, ENOMEM, step, NULL);
	p->rq = request;
	p->err = err;
	view_init(&p->plan.view);
	r = make(p);
	for (size_t i = 0; i < p->nmounts; i++) {
		free(p->mounts[i].path);
		free(p->mounts[i].source);
	}
	list_free(&p->hidden);
	if (r < 0)
		viewplan_done(&p->plan);
	else
		*ret = p->plan;
	free(p);
	return r;
}

void viewplan_done(struct viewplan *p)
{
	view_done(&p->view);
	for (unsigned i = 0; i < p->nfds; i++)
		fd_close(&p->fds[i]);
	list_free(&p->read_only);
	list_free(&p->read_write);
	free(p->uv);
	*p = (struct viewplan){ 0 };
}
