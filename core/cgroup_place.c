/* cgroup_place.c - where on the machine groups may be made
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/cgroup_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/fd.h"

enum {
	PROC_MAX = 1 << 20, /* bytes of mountinfo */
	PATH_SIZE = 4096,
	CLEAR_MS = 2000, /* while what is in a group forks */
};

/* Not one of those that are swept: what is in it may make groups there. */
#define CALLERS "exeat.callers"

const char *const cgroup_controllers[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_PIDS] = "pids",
};

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

/* The tree of a controller of version 1, or ("") that of version 2. */
static int tree_find(const char *mountinfo, const char *self,
		     const char *controller, char *ret_mount, char *ret_own,
		     size_t size)
{
	const bool v2 = *controller == '\0';
	struct mount_line m;

	for (const char *line = mountinfo; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		if (!mount_parse(line, &m) ||
		    strcmp(m.type, v2 ? "cgroup2" : "cgroup") != 0 ||
		    (!v2 &&
		     !has_word(m.options, strlen(m.options), controller)) ||
		    /* of a cgroup namespace around ours */
		    strncmp(m.root, "/..", 3) == 0 ||
		    !own_path(self, controller, ret_own, size))
			continue;
		below_mount(m.root, ret_own);
		(void)snprintf(ret_mount, size, "%s", m.point);
		return 0;
	}
	return -ENOENT;
}

int cgroup_find(const char *mountinfo, const char *self, enum cgroup_kind kind,
		bool *ret_v2, char *ret_mount, char *ret_own, size_t size)
{
	/* a controller that is in a tree of its own is not in the other */
	int r = tree_find(mountinfo, self, cgroup_controllers[kind], ret_mount,
			  ret_own, size);

	*ret_v2 = r < 0;
	return r < 0 ? tree_find(mountinfo, self, "", ret_mount, ret_own,
				 size) :
		       0;
}

/* ---- files ---- */

int cgroup_put(int dirfd, const char *name, const char *text)
{
	cleanup_fd int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

const char *cgroup_get(int dirfd, const char *name, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read_all(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* Which of these kinds does a file list? */
static unsigned kinds_in(int dirfd, const char *file, unsigned kinds)
{
	char list[CGROUP_VALUE_SIZE];
	size_t len = strlen(cgroup_get(dirfd, file, list, sizeof(list)));

	for (unsigned k = 0; k < CGROUP_KINDS; k++)
		if (!has_word(list, len, cgroup_controllers[k]))
			kinds &= ~(1U << k);
	return kinds;
}

/* ---- a place for groups ---- */

/* May we make groups there, and move what is below into them? */
static int may_make(int dirfd)
{
	if (faccessat(dirfd, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
	    faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	return 0;
}

int cgroup_place_prepare(int dirfd, unsigned kinds)
{
	unsigned on = kinds_in(dirfd, "cgroup.subtree_control", kinds);
	int error = may_make(dirfd);

	if (error < 0)
		return error;
	error = -ENOENT;
	kinds = kinds_in(dirfd, "cgroup.controllers", kinds);
	for (unsigned k = 0; k < CGROUP_KINDS; k++) {
		char text[16];
		int r;

		if (!(kinds & ~on & 1U << k))
			continue;
		(void)snprintf(text, sizeof(text), "+%s",
			       cgroup_controllers[k]);
		r = cgroup_put(dirfd, "cgroup.subtree_control", text);
		if (r == 0)
			on |= 1U << k;
		else
			error = r;
	}
	return on ? (int)on : error;
}

/* Are there processes in it, and does that matter? (In the root it does not, and
 * the root has no type.) -EOPNOTSUPP: groups below it could have no processes of
 * their own. */
static int is_full(int dirfd)
{
	char text[CGROUP_VALUE_SIZE];

	if (*cgroup_get(dirfd, "cgroup.type", text, sizeof(text)) == '\0')
		return 0;
	if (strcmp(text, "domain\n") != 0)
		return -EOPNOTSUPP;
	return *cgroup_get(dirfd, "cgroup.procs", text, sizeof(text)) != '\0';
}

/* Did systemd give it away, with all that is below it (Delegate= of
 * systemd.resource-control(5))? */
static bool is_delegated(int dirfd)
{
	static const char *const names[] = { "user.delegate",
					     "trusted.delegate" };
	char value[2];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fgetxattr(dirfd, names[i], value, sizeof(value)) == 1 &&
		    value[0] == '1')
			return true;
	return false;
}

/* One turn: -EAGAIN if more may have come meanwhile, 0 if it was empty. */
static int clear_once(int dirfd)
{
	cleanup_free char *pids = NULL;
	cleanup_fd int callers = -1;
	size_t len;
	int r = fd_read_file(dirfd, "cgroup.procs", PROC_MAX, &pids, &len);

	if (r < 0 || len == 0)
		return r;
	if (mkdirat(dirfd, CALLERS, 0755) < 0 && errno != EEXIST)
		return -errno;
	callers = openat(dirfd, CALLERS,
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (callers < 0)
		return -errno;
	for (char *pid = pids, *end; (end = strchr(pid, '\n')) != NULL;
	     pid = end + 1) {
		*end = '\0';
		/* of another pid namespace: as "0" it would be ourselves */
		if (strcmp(pid, "0") == 0)
			return -EBUSY;
		r = cgroup_put(callers, "cgroup.procs", pid);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return -EAGAIN;
}

int cgroup_place_clear(int dirfd)
{
	int64_t deadline = clock_ms() + CLEAR_MS;
	int r;

	do
		r = clear_once(dirfd);
	while (r == -EAGAIN && clock_ms() < deadline);
	return r == -EAGAIN ? -EBUSY : r;
}

/*
 * A group, if it is fit to have groups with these kinds below: all of them, or
 * at least one. What is in it is moved out of the way only if it is ours to
 * arrange.
 */
static int place_take(int dirfd, unsigned kinds, bool all, bool ours)
{
	unsigned has = kinds_in(dirfd, "cgroup.controllers", kinds);
	int r = may_make(dirfd);

	if (r < 0)
		return r;
	if (has == 0 || (all && has != kinds))
		return -ENOENT;
	r = is_full(dirfd);
	if (r > 0)
		r = ours ? cgroup_place_clear(dirfd) : -EBUSY;
	if (r == 0)
		r = cgroup_place_prepare(dirfd, has);
	return all && r >= 0 && (unsigned)r != kinds ? -ENOENT : r;
}

struct want {
	unsigned kinds; /* 0: any, as long as groups can be made */
	bool all;	/* of them, not just some */
	bool clear;	/* our own group may be cleared for it */
};

/* From our own group upwards; the nearest one and its reason stay. */
static int place_climb(const char *mount, const char *group,
		       const struct want *want, unsigned *kinds, char **where)
{
	char own[PATH_SIZE];
	int first = 0;

	(void)snprintf(own, sizeof(own), "%s", group);
	for (;;) {
		char path[2 * PATH_SIZE];
		cleanup_fd int fd = -1;
		char *slash;
		int r;

		(void)snprintf(path, sizeof(path), "%s%s", mount, own);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			r = -errno;
		else if (want->kinds == 0)
			r = may_make(fd);
		else
			r = place_take(fd, want->kinds, want->all,
				       !first && (want->clear ||
						  is_delegated(fd)));
		if (r >= 0 || !first) {
			free(*where);
			*where = strdup(path);
		}
		if (r >= 0) {
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

/* What has all of the kinds before what has some; and processes that are not
 * known to be ours to arrange are moved only if there is no other place. */
static int place_find_v2(const char *mount, const char *own, unsigned *kinds,
			 char **where)
{
	static const struct want wants[] = {
		{ .all = true },
		{ .all = true, .clear = true },
		{ .all = false },
		{ .all = false, .clear = true },
	};
	const unsigned asked = *kinds;
	int fd = -ENOENT;

	for (size_t i = 0; fd < 0 && i < sizeof(wants) / sizeof(wants[0]);
	     i++) {
		struct want want = wants[i];

		want.kinds = asked;
		fd = place_climb(mount, own, &want, kinds, where);
	}
	return fd;
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

int cgroup_map_read(struct cgroup_map *ret, struct err *err)
{
	size_t len;
	int r = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", PROC_MAX,
			     &ret->mountinfo, &len);

	if (r == 0)
		r = fd_read_file(AT_FDCWD, "/proc/self/cgroup", PROC_MAX,
				 &ret->self, &len);
	return r < 0 ? err_sys(err, -r, "read", "/proc/self") : 0;
}

void cgroup_map_done(struct cgroup_map *map)
{
	free(map->mountinfo);
	free(map->self);
	*map = (struct cgroup_map){ .mountinfo = NULL };
}

int cgroup_place_open(const struct cgroup_map *map, enum cgroup_kind kind,
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

int cgroup_place_any(const struct cgroup_map *map, struct cgroup_place *ret,
		     char **where)
{
	char mount[PATH_SIZE], own[PATH_SIZE];
	int r = tree_find(map->mountinfo, map->self, "", mount, own,
			  sizeof(mount));

	if (r < 0)
		return r;
	*ret = (struct cgroup_place){ .v2 = true };
	ret->fd = place_find_v2(mount, own, &ret->kinds, where);
	return ret->fd < 0 ? ret->fd : 0;
}
