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
#include "core/cgroup_place.h"

enum {
	PERIOD_US = 100000, /* what the kernel has by itself, too */
	QUOTA_MIN_US = 1000,
	HOLD_TRIES = 100, /* that a group may be swept away as it is made */
	HOLD_MS = 2000,	  /* that who sweeps may take */
};

#define PREFIX "exeat-"

/* What the options are called. */
static const char *const names[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpus",
	[CGROUP_PIDS] = "pids",
};

static const char remedy[] =
	"a group of one's own: systemd-run --user --scope -p Delegate=yes "
	"COMMAND; or as root; or \":best-effort\" behind the limit";

/* ---- what it lacks ---- */

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
	case -EOPNOTSUPP:
		return "it is for threads (cgroup.type)";
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
			    cgroup_controllers[kind]);
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
	struct cgroup_map map = { NULL, NULL };
	int r = cgroup_map_read(&map, err);

	*ret = (struct cgroup){ .nplaces = 0 };
	(void)snprintf(ret->name, sizeof(ret->name), PREFIX "%s", session);
	for (int k = 0; r == 0 && k < CGROUP_KINDS; k++) {
		struct cgroup_place place;

		if (ret->kinds & 1U << k)
			continue;
		ret->missing[k] = cgroup_place_open(&map, (enum cgroup_kind)k,
						    &place, &ret->where[k]);
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
		if (place.v2 &&
		    cgroup_place_prepare(ret->places[ret->nplaces - 1].fd,
					 place.kinds) != (int)place.kinds)
			r = err_new(err, ERR_INTERNAL, "make cgroup", ret->name,
				    "its controllers cannot be passed on");
	}
	cgroup_map_done(&map);
	if (r < 0)
		(void)cgroup_close(ret);
	return r;
}

int cgroup_open_freezer(const char *session, struct cgroup *ret,
			struct err *err)
{
	struct cgroup_map map = { NULL, NULL };
	struct cgroup_place place;
	int r = cgroup_map_read(&map, err);

	*ret = (struct cgroup){ .nplaces = 0 };
	(void)snprintf(ret->name, sizeof(ret->name), PREFIX "%s-pause",
		       session);
	if (r == 0) {
		r = cgroup_place_any(&map, &place, &ret->where[0]);
		if (r < 0)
			err_sys(err, -r, "find cgroup of version 2", "%s",
				ret->where[0] ? ret->where[0] : "");
	}
	if (r == 0) {
		cgroup_sweep(place.fd);
		r = group_make(ret, place, place.fd, err);
	}
	cgroup_map_done(&map);
	if (r < 0)
		(void)cgroup_close(ret);
	return r;
}

int cgroup_freezer_files(const struct cgroup *g, int ret_fds[2])
{
	for (unsigned i = 0; i < g->nplaces; i++) {
		const struct cgroup_place *p = &g->places[i];
		cleanup_fd int freeze = -1, events = -1;

		if (!p->v2)
			continue;
		freeze = openat(p->fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
		events = openat(p->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
		if (freeze < 0 || events < 0)
			return -errno;
		ret_fds[0] = fd_steal(&freeze);
		ret_fds[1] = fd_steal(&events);
		return 2;
	}
	return 0;
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
	/* who has to go for lack of memory, be it the session's, goes as a
	 * whole; version 1 has no way to say so */
	for (unsigned i = 0; i < g.nplaces; i++)
		if (g.places[i].v2 && g.places[i].kinds & 1U << CGROUP_MEMORY)
			(void)cgroup_put(g.places[i].fd, "memory.oom.group",
					 "1");
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

static int number_put(int dirfd, const char *name, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return cgroup_put(dirfd, name, text);
}

/* Swap is no way around a limit of memory; not every kernel counts it. */
static int memory_limit(const struct cgroup_place *p, uint64_t bytes)
{
	int r;

	if (p->v2) {
		(void)cgroup_put(p->fd, "memory.swap.max", "0");
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
		return cgroup_put(p->fd, "cpu.max", text);
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
	char text[CGROUP_VALUE_SIZE];
	size_t len = strlen(key);

	for (const char *line = cgroup_get(dirfd, name, text, sizeof(text));
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
