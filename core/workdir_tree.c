/* workdir_tree.c - a tree that a payload made: searched, measured
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Nothing in the tree is trusted: treewalk.h. The search for sockets is not to
 * be ended by depth or PATH_MAX: a payload of an earlier session cannot shut the
 * next one out.
 */
#include "core/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/treewalk.h"

enum {
	SEARCH_MS = 30000, /* then it is refused */
	LOOK_EACH = 256,   /* names, at the clock */
	STAT_BLOCK = 512,  /* bytes, of st_blocks */
	SOCKETS_MAX = 256, /* each one costs a mount in every session */
};

/* ---- search ---- */

/* A payload may have made more than anybody waits for. */
struct patience {
	int64_t deadline;
	unsigned seen;
};

static bool is_late(struct patience *p)
{
	return p->seen++ % LOOK_EACH == 0 && clock_ms() >= p->deadline;
}

struct search {
	struct patience patience;
	char ***list;
	size_t *n;
};

static const char search_step[] = "look for sockets";

static int too_much(struct tree_walk *w, const char *why)
{
	int r;

	/* the beginning of a path says enough */
	if (w->path.len >= PATH_MAX)
		w->path.s[PATH_MAX - 1] = '\0';
	r = err_new(w->err, ERR_LIMIT, w->step, w->path.s, "%s", why);
	err_remedy(w->err, "remove stale ones, or name another folder");
	return r;
}

/* The socket whose path it is. */
static int found(struct tree_walk *w, const struct search *s)
{
	char **bigger, *copy;

	/* a longer path cannot be covered, but entered step by step */
	if (w->path.len >= PATH_MAX)
		return too_much(w, "a socket lies too deep to be covered");
	if (*s->n >= SOCKETS_MAX)
		return too_much(w, "more sockets than can be covered");
	copy = strdup(w->path.s);
	bigger = reallocarray(*s->list, *s->n + 1, sizeof(*bigger));
	if (bigger)
		*s->list = bigger;
	if (!copy || !bigger) {
		free(copy);
		return err_sys(w->err, ENOMEM, w->step, NULL);
	}
	bigger[(*s->n)++] = copy;
	return 0;
}

static int search_entry(struct tree_walk *w, const struct tree_level *at,
			const struct dirent64 *e)
{
	unsigned char type = tree_type(at->fd, e);
	struct search *s = w->user;

	if (is_late(&s->patience))
		return too_much(w, "it takes too long to search");
	if (type == DT_SOCK)
		return found(w, s);
	return type == DT_DIR;
}

static int search_enter(struct tree_walk *w, const struct tree_level *at,
			const char *name, struct tree_level *ret)
{
	int r = tree_open(w, at->fd, name, ret);
	bool is_top = strcmp(name, ".") == 0;
	struct search *s = w->user;

	if (r == -EMFILE || r == -ENFILE || (r < 0 && is_top))
		return err_sys(w->err, -r, w->step, "%s", w->path.s);
	if (is_late(&s->patience))
		return too_much(w, "it takes too long to search");
	return r < 0; /* gone, or closed to us as to the payload */
}

int workdir_sockets_below(int dirfd, const char *path, char ***list, size_t *n,
			  struct err *err)
{
	struct search s = {
		.patience = { .deadline = clock_ms() + SEARCH_MS },
		.list = list,
		.n = n,
	};
	struct tree_walk w = {
		.step = search_step,
		.err = err,
		.user = &s,
		.entry = search_entry,
		.enter = search_enter,
	};

	if (strlen(path) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, search_step, "%s", path);
	return tree_walk(&w, dirfd, -1, path);
}

int workdir_find_sockets(struct workdir *w, struct err *err)
{
	return workdir_sockets_below(w->fd, w->path, &w->sockets, &w->nsockets,
				     err);
}

/* ---- measure ---- */

struct usage {
	struct patience patience;
	dev_t dev; /* of the top: what else is mounted is not in it */
	uint64_t bytes;
};

static const char usage_step[] = "measure work dir";

static int usage_late(struct tree_walk *w)
{
	return err_new(w->err, ERR_LIMIT, w->step, NULL, "it takes too long");
}

static int usage_entry(struct tree_walk *w, const struct tree_level *at,
		       const struct dirent64 *e)
{
	struct usage *u = w->user;
	struct stat st;

	if (is_late(&u->patience))
		return usage_late(w);
	if (fstatat(at->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_dev != u->dev)
		return 0; /* gone meanwhile, or none of its */
	if (S_ISDIR(st.st_mode) || st.st_nlink < 2)
		u->bytes += (uint64_t)st.st_blocks * STAT_BLOCK;
	else /* its other names say the rest */
		u->bytes += (uint64_t)st.st_blocks * STAT_BLOCK / st.st_nlink;
	return S_ISDIR(st.st_mode);
}

static int usage_enter(struct tree_walk *w, const struct tree_level *at,
		       const char *name, struct tree_level *ret)
{
	int r = tree_open(w, at->fd, name, ret);
	bool is_top = strcmp(name, ".") == 0;
	struct usage *u = w->user;

	if (r == -EMFILE || r == -ENFILE || (r < 0 && is_top))
		return err_sys(w->err, -r, w->step, "%s", w->path.s);
	if (r == 0 && is_top)
		u->dev = ret->st.st_dev;
	if (is_late(&u->patience))
		return usage_late(w);
	return r < 0; /* gone, or somebody else's, and shut */
}

int workdir_measure(const struct workdir *w, uint64_t *ret, struct err *err)
{
	struct usage u = {
		.patience = { .deadline = clock_ms() + SEARCH_MS },
	};
	struct tree_walk walk = {
		.step = usage_step,
		.err = err,
		.user = &u,
		.entry = usage_entry,
		.enter = usage_enter,
	};
	int r = tree_walk(&walk, w->fd, -1, w->path);

	if (r == 0)
		*ret = u.bytes;
	return r;
}
