/* cgroup.c - limits on groups of processes: cgroups, of version 2 and of 1
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"

enum {
	PROC_MAX = 1 << 20, /* bytes of mountinfo */
	PATH_SIZE = 4096,
	VALUE_SIZE = 256,
	PERIOD_US = 100000, /* what the kernel has by itself, too */
	QUOTA_MIN_US = 1000,
	HOLD_TRIES = 100, /* that a group may be swept away as it is made */
	HOLD_MS = 2000,	  /* that who sweeps may take */
};

#define PREFIX "exeat-"

static const char *const controllers[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_PIDS] = "pids",
};

/* What the options are called. */
static const char *const names[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpus",
	[CGROUP_PIDS] = "pids",
};

static const char remedy[] =
	"a group of one's own: systemd-run --user --scope -p Delegate=yes "
	"COMMAND; or as root; or \":best-effort\" behind the limit";

/* ---- where a controller is ---- */

/* Is `word` one of a list that is separated by commas or spaces? */
static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t at = 0; at < len;) {
		size_t part = 0;

		while (at + part < len && !strchr(", \n", list[at + part]))
			part++;
		if (part == n && memcmp(list + at, word, n) == 0)
			return true;
		at += part + 1;
	}
	return false;
}

/* Fields of a line of mountinfo; false if it is of another kind. */
struct mount_line {
	char root[PATH_SIZE], point[PATH_SIZE], type[32], options[PATH_SIZE];
};

static bool mount_parse(const char *line, struct mount_line *ret)
{
	const char *dash = strstr(line, " - ");

	/* paths with spaces are escaped there (\040): none of ours is */
	return dash && dash < line + strcspn(line, "\n") &&
	       sscanf(line, "%*s %*s %*s %4095s %4095s", ret->root,
		      ret->point) == 2 &&
	       sscanf(dash, " - %31s %*s %4095s", ret->type, ret->options) == 2;
}

/* Our own group in the tree of a controller ("": version 2), from `self`. */
static bool own_path(const char *self, const char *controller, char *ret,
		     size_t size)
{
	for (const char *line = self; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':');
		const char *path = list ? strchr(list + 1, ':') : NULL;
		size_t len;

		if (!path || path > line + strcspn(line, "\n"))
			continue;
		len = (size_t)(path - list) - 1;
		if (*controller == '\0' ? len > 0 :
					  !has_word(list + 1, len, controller))
			continue;
		(void)snprintf(ret, size, "%.*s", (int)strcspn(path + 1, "\n"),
			       path + 1);
		return true;
	}
	return false;
}

/* A path of the tree as it is named below its mount. */
static void below_mount(const char *root, char *path)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (len > 0 && strncmp(path, root, len) == 0 &&
	    (path[len] == '/' || path[len] == '\0'))
		memmove(path, path + len, strlen(path + len) + 1);
	else if (len > 0 || strstr(path, "/.."))
		path[0] = '\0'; /* not below it: what is mounted, then */
	if (strcmp(path, "/") == 0)
		path[0] = '\0';
}

int cgroup_find(const char *mountinfo, const char *self, enum cgroup_kind kind,
		bool *ret_v2, char *ret_mount, char *ret_own, size_t size)
{
	struct mount_line m;

	/* a controller that is in a tree of its own is not in the other */
	for (int v2 = 0; v2 < 2; v2++)
		for (const char *line = mountinfo; *line;
		     line += strcspn(line, "\n"), line += *line == '\n') {
			if (!mount_parse(line, &m) ||
			    strcmp(m.type, v2 ? "cgroup2" : "cgroup") != 0 ||
			    (!v2 && !has_word(m.options, strlen(m.options),
					      controllers[kind])) ||
			    !own_path(self, v2 ? "" : controllers[kind],
				      ret_own, size))
				continue;
			below_mount(m.root, ret_own);
			(void)snprintf(ret_mount, size, "%s", m.point);
			*ret_v2 = v2;
			return 0;
		}
	return -ENOENT;
}

/* ---- files ---- */

static int value_put(int dirfd, const char *name, const char *text)
{
	cleanup_fd int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

static int number_put(int dirfd, const char *name, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return value_put(dirfd, name, text);
}

/* As text; "" if it is not there. */
static const char *value_get(int dirfd, const char *name, char *buf,
			     size_t size)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read_all(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* Which of these kinds does a file list? */
static unsigned kinds_in(int dirfd, const char *file, unsigned kinds)
{
	char list[VALUE_SIZE];
	size_t len = strlen(value_get(dirfd, file, list, sizeof(list)));

	for (unsigned k = 0; k < CGROUP_KINDS; k++)
		if (!has_word(list, len, controllers[k]))
			kinds &= ~(1U << k);
	return kinds;
}

/* ---- a place for groups ---- */

/* Version 2: the kinds that groups below can have, at least one, or -errno:
 * -ENOENT: it has not got them itself; -EBUSY: processes are in it. */
static int place_prepare(int dirfd, unsigned kinds)
{
	unsigned on = kinds_in(dirfd, "cgroup.subtree_control", kinds);
	int error = -ENOENT;

	if (faccessat(dirfd, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
	    faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	kinds = kinds_in(dirfd, "cgroup.controllers", kinds);
	for (unsigned k = 0; k < CGROUP_KINDS; k++) {
		char text[16];
		int r;

		if (!(kinds & ~on & 1U << k))
			continue;
		(void)snprintf(text, sizeof(text), "+%s", controllers[k]);
		r = value_put(dirfd, "cgroup.subtree_control", text);
		if (r == 0)
			on |= 1U << k;
		else
			error = r;
	}
	return on ? (int)on : error;
}

/* From our own group upwards; the nearest one and its reason stay. */
static int place_find_v2(const char *mount, char *own, unsigned *kinds,
			 char **where)
{
	int first = 0;

	for (;;) {
		char path[2 * PATH_SIZE];
		cleanup_fd int fd = -1;
		char *slash;
		int r;

		(void)snprintf(path, sizeof(path), "%s%s", mount, own);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : place_prepare(fd, *kinds);
		if (r > 0 || !first) {
			free(*where);
			*where = strdup(path);
		}
		if (r > 0) {
			*kinds = (unsigned)r;
			return fd_steal(&fd);
		}
		first = first ? first : r;
		slash = strrchr(own, '/');
		if (!slash)
			return first;
		*slash = '\0';
	}
}

static int place_find_v1(const char *mount, const char *own, char **where)
{
	char path[2 * PATH_SIZE];
	int fd;

	(void)snprintf(path, sizeof(path), "%s%s", mount, own);
	*where = strdup(path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd < 0 ? -errno : fd;
}

/* The files of proc(5) that say where we are. */
struct map {
	char *mountinfo, *self;
};

static int map_read(struct map *ret, struct err *err)
{
	size_t len;
	int r = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", PROC_MAX,
			     &ret->mountinfo, &len);

	if (r == 0)
		r = fd_read_file(AT_FDCWD, "/proc/self/cgroup", PROC_MAX,
				 &ret->self, &len);
	return r < 0 ? err_sys(err, -r, "read", "/proc/self") : 0;
}

/* Why a place cannot have groups with this controller. */
static const char *reason_of(int error)
{
	switch (error) {
	case -ENOENT:
		return "it has not got this controller (cgroup.controllers)";
	case -EACCES:
	case -EPERM:
		return "no groups may be made there";
	case -EROFS:
		return "it is mounted read-only";
	case -EBUSY:
		return "it has processes of its own, and such a group passes "
		       "no controller on (cgroup.subtree_control)";
	default:
		return strerrordesc_np(-error);
	}
}

int cgroup_need(const struct cgroup *g, enum cgroup_kind kind, struct err *err)
{
	int r;

	if (g->kinds & 1U << kind)
		return 0;
	if (g->where[kind])
		r = err_new(err, ERR_UNAVAILABLE, "limit", names[kind],
			    "cgroup %s: %s", g->where[kind],
			    reason_of(g->missing[kind]));
	else
		r = err_new(err, ERR_UNAVAILABLE, "limit", names[kind],
			    "no cgroups with the controller \"%s\" are mounted",
			    controllers[kind]);
	err_remedy(err, "%s", remedy);
	return r;
}

int cgroup_version(const struct cgroup *g, enum cgroup_kind kind)
{
	for (unsigned i = 0; i < g->nplaces; i++)
		if (g->places[i].kinds & 1U << kind)
			return g->places[i].v2 ? 2 : 1;
	return 0;
}

/* Where one kind is, and every other one that shares its tree. 0 or -errno;
 * *where, which is the caller's to free, is the directory that it is about. */
static int place_open(const struct map *map, enum cgroup_kind kind,
		      struct cgroup_place *ret, char **where)
{
	char mount[PATH_SIZE], own[PATH_SIZE], other[PATH_SIZE],
		path[PATH_SIZE];
	bool v2, other_v2;
	int r = cgroup_find(map->mountinfo, map->self, kind, &v2, mount, own,
			    sizeof(mount));

	if (r < 0)
		return r;
	ret->v2 = v2;
	ret->kinds = 0;
	for (int k = 0; k < CGROUP_KINDS; k++)
		if (cgroup_find(map->mountinfo, map->self, (enum cgroup_kind)k,
				&other_v2, other, path, sizeof(other)) == 0 &&
		    strcmp(mount, other) == 0)
			ret->kinds |= 1U << k;
	ret->fd = v2 ? place_find_v2(mount, own, &ret->kinds, where) :
		       place_find_v1(mount, own, where);
	if (ret->fd >= 0 && !(ret->kinds & 1U << kind)) {
		fd_close(&ret->fd);
		return -ENOENT;
	}
	return ret->fd < 0 ? ret->fd : 0;
}

/* ---- what dead sessions left ---- */

/* Is it what has the name, still? Then it was not removed before it was locked;
 * and as long as it is locked for us alone, nobody else removes it. */
static bool is_named(int parent, const char *name, int fd)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 &&
	       fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

static void sweep_below(int dirfd)
{
	const struct dirent *e;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			(void)unlinkat(dirfd, e->d_name, AT_REMOVEDIR);
	(void)closedir(dir);
}

void cgroup_sweep(int placefd)
{
	const struct dirent *e;
	int fd = openat(placefd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		cleanup_fd int group = -1;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		group = openat(placefd, e->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (group < 0 || flock(group, LOCK_EX | LOCK_NB) < 0 ||
		    !is_named(placefd, e->d_name, group))
			continue;
		sweep_below(group);
		(void)unlinkat(placefd, e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(dir);
}

/* ---- groups ---- */

/* Who holds it alone is about to remove it, and does not take long. */
static int lock_shared(int fd)
{
	int64_t deadline = clock_ms() + HOLD_MS;

	while (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_ms() >= deadline)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

/* -ESTALE: it was removed before it was locked. */
static int hold_once(int parent, const char *name, int *ret)
{
	cleanup_fd int fd = -1;
	int r;

	/* nobody else is to open it: a lock of theirs would be in our way */
	if (mkdirat(parent, name, 0700) < 0)
		return -errno;
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	r = lock_shared(fd);
	if (r < 0)
		return r;
	if (!is_named(parent, name, fd))
		return -ESTALE;
	*ret = fd_steal(&fd);
	return 0;
}

int cgroup_hold(int parent, const char *name, int *ret)
{
	int r = -ESTALE;

	for (int i = 0; r == -ESTALE && i < HOLD_TRIES; i++)
		r = hold_once(parent, name, ret);
	return r;
}

/* Its directory in one tree, held. */
static int group_make(struct cgroup *g, struct cgroup_place place,
		      int take_parent, struct err *err)
{
	int fd = -1, r = cgroup_hold(take_parent, g->name, &fd);

	if (r < 0) {
		(void)close(take_parent);
		return err_sys(err, -r, "make cgroup", "%s", g->name);
	}
	g->parents[g->nplaces] = take_parent;
	g->places[g->nplaces] = (struct cgroup_place){
		.fd = fd,
		.v2 = place.v2,
		.kinds = place.kinds,
	};
	g->nplaces++;
	return 0;
}

int cgroup_open(const char *session, struct cgroup *ret, struct err *err)
{
	struct map map = { NULL, NULL };
	int r = map_read(&map, err);

	*ret = (struct cgroup){ .nplaces = 0 };
	(void)snprintf(ret->name, sizeof(ret->name), PREFIX "%s", session);
	for (int k = 0; r == 0 && k < CGROUP_KINDS; k++) {
		struct cgroup_place place;

		if (ret->kinds & 1U << k)
			continue;
		ret->missing[k] = place_open(&map, (enum cgroup_kind)k, &place,
					     &ret->where[k]);
		if (ret->missing[k] < 0)
			continue;
		cgroup_sweep(place.fd);
		r = group_make(ret, place, place.fd, err);
		if (r < 0)
			break;
		ret->kinds |= place.kinds;
		for (int other = k + 1; other < CGROUP_KINDS; other++)
			if (place.kinds & 1U << other && ret->where[k])
				ret->where[other] = strdup(ret->where[k]);
		/* its runs' groups have what it has */
		if (place.v2 && place_prepare(ret->places[ret->nplaces - 1].fd,
					      place.kinds) != (int)place.kinds)
			r = err_new(err, ERR_INTERNAL, "make cgroup", ret->name,
				    "its controllers cannot be passed on");
	}
	free(map.mountinfo);
	free(map.self);
	if (r < 0)
		(void)cgroup_close(ret);
	return r;
}

int cgroup_open_below(const struct cgroup *parent, uint32_t run,
		      struct cgroup *ret, struct err *err)
{
	struct cgroup g = { .nplaces = 0 };
	int r = 0;

	(void)snprintf(g.name, sizeof(g.name), "run-%u", run);
	for (unsigned i = 0; r == 0 && i < parent->nplaces; i++) {
		int fd = fcntl(parent->places[i].fd, F_DUPFD_CLOEXEC, 3);

		r = fd < 0 ? err_sys(err, errno, "make cgroup", "%s", g.name) :
			     group_make(&g, parent->places[i], fd, err);
	}
	g.kinds = parent->kinds;
	if (r < 0)
		(void)cgroup_close(&g);
	else
		*ret = g;
	return r;
}

bool cgroup_close(struct cgroup *g)
{
	bool gone = true;

	for (int k = 0; k < CGROUP_KINDS; k++) {
		free(g->where[k]);
		g->where[k] = NULL;
	}
	for (unsigned i = 0; i < g->nplaces; i++) {
		sweep_below(g->places[i].fd);
		if (unlinkat(g->parents[i], g->name, AT_REMOVEDIR) < 0 &&
		    errno != ENOENT)
			gone = false;
		fd_close(&g->places[i].fd);
		fd_close(&g->parents[i]);
	}
	g->nplaces = 0;
	return gone;
}

int cgroup_joins(const struct cgroup *g, int ret_fds[CGROUP_KINDS],
		 struct err *err)
{
	for (unsigned i = 0; i < g->nplaces; i++) {
		ret_fds[i] = openat(g->places[i].fd, "cgroup.procs",
				    O_WRONLY | O_CLOEXEC);
		if (ret_fds[i] >= 0)
			continue;
		err_sys(err, errno, "open cgroup", "%s/cgroup.procs", g->name);
		while (i-- > 0)
			fd_close(&ret_fds[i]);
		return -EIO;
	}
	return (int)g->nplaces;
}

/* ---- limits ---- */

/* Swap is no way around a limit of memory; not every kernel counts it. */
static int memory_limit(const struct cgroup_place *p, uint64_t bytes)
{
	int r;

	if (p->v2) {
		(void)value_put(p->fd, "memory.swap.max", "0");
		/* all of the run, not what the kernel happens to pick */
		(void)value_put(p->fd, "memory.oom.group", "1");
		return number_put(p->fd, "memory.max", bytes);
	}
	r = number_put(p->fd, "memory.limit_in_bytes", bytes);
	if (r == 0)
		(void)number_put(p->fd, "memory.memsw.limit_in_bytes", bytes);
	return r;
}

static int cpu_limit(const struct cgroup_place *p, uint64_t millis)
{
	uint64_t quota = millis * (PERIOD_US / 1000);
	char text[64];
	int r;

	quota = quota < QUOTA_MIN_US ? QUOTA_MIN_US : quota;
	if (p->v2) {
		(void)snprintf(text, sizeof(text), "%llu %d",
			       (unsigned long long)quota, PERIOD_US);
		return value_put(p->fd, "cpu.max", text);
	}
	r = number_put(p->fd, "cpu.cfs_period_us", PERIOD_US);
	return r < 0 ? r : number_put(p->fd, "cpu.cfs_quota_us", quota);
}

static int limit_one(const struct cgroup_place *p, enum cgroup_kind kind,
		     const struct cgroup_limits *limits)
{
	switch (kind) {
	case CGROUP_MEMORY:
		return limits->memory ? memory_limit(p, limits->memory) : 0;
	case CGROUP_CPU:
		return limits->cpu_millis ? cpu_limit(p, limits->cpu_millis) :
					    0;
	case CGROUP_PIDS:
		return limits->pids ?
			       number_put(p->fd, "pids.max", limits->pids) :
			       0;
	case CGROUP_KINDS:
		break;
	}
	return -EINVAL;
}

int cgroup_limit(const struct cgroup *g, const struct cgroup_limits *limits,
		 struct err *err)
{
	for (unsigned i = 0; i < g->nplaces; i++)
		for (int k = 0; k < CGROUP_KINDS; k++) {
			int r = 0;

			if (g->places[i].kinds & 1U << k)
				r = limit_one(&g->places[i],
					      (enum cgroup_kind)k, limits);
			if (r < 0)
				return err_sys(err, -r, "limit", "%s",
					       names[k]);
		}
	return 0;
}

/* ---- usage ---- */

static uint64_t number_of(const char *text)
{
	uint64_t n = 0;

	text += strspn(text, " ");
	return num_parse_u64(&text, UINT64_MAX, &n) ? n : 0;
}

/* The number behind a key ("oom_kill 3"), or the whole ("" as key). */
static uint64_t number_get(int dirfd, const char *name, const char *key)
{
	char text[VALUE_SIZE];
	size_t len = strlen(key);

	for (const char *line = value_get(dirfd, name, text, sizeof(text));
	     *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, key, len) == 0 &&
		    (len == 0 || line[len] == ' '))
			return number_of(line + len);
	return 0;
}

static void memory_usage(const struct cgroup_place *p, struct cgroup_usage *ret)
{
	ret->oom_kills = number_get(
		p->fd, p->v2 ? "memory.events" : "memory.oom_control",
		"oom_kill");
	ret->memory_peak = number_get(
		p->fd, p->v2 ? "memory.peak" : "memory.max_usage_in_bytes", "");
}

/* Every group of version 2 counts this; of version 1 the trees that have
 * "cpuacct" too do, as those of cpu,cpuacct. */
static void cpu_usage(const struct cgroup_place *p, struct cgroup_usage *ret)
{
	if (p->v2) {
		ret->user_us = number_get(p->fd, "cpu.stat", "user_usec");
		ret->system_us = number_get(p->fd, "cpu.stat", "system_usec");
	} else if (p->kinds & 1U << CGROUP_CPU) {
		ret->user_us =
			number_get(p->fd, "cpuacct.usage_user", "") / 1000;
		ret->system_us =
			number_get(p->fd, "cpuacct.usage_sys", "") / 1000;
	}
}

void cgroup_usage(const struct cgroup *g, struct cgroup_usage *ret)
{
	*ret = (struct cgroup_usage){ 0 };
	for (unsigned i = 0; i < g->nplaces; i++) {
		if (g->places[i].kinds & 1U << CGROUP_MEMORY)
			memory_usage(&g->places[i], ret);
		cpu_usage(&g->places[i], ret);
	}
}
