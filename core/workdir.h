/* workdir.h - the work dir of a session: kept or fresh, and what is in it
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_WORKDIR_H
#define EXEAT_CORE_WORKDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/identity.h"

struct workdir {
	char *path;	/* absolute, no symlink in it */
	int fd;		/* O_PATH | O_DIRECTORY */
	bool fresh;	/* removed by workdir_close() */
	int lock;	/* fresh: held lock that says "in use" */
	char **sockets; /* unix sockets found in it: to be covered */
	size_t nsockets;
};

/*
 * Kept: `path` must be a directory that the payload may read, write and
 * enter; not "/", not a parent of system folders. ERR_INVALID with the path
 * as object and the reason. Does not know the identity yet.
 */
int workdir_open(const char *path, struct workdir *ret, struct err *err);
/*
 * Fresh: $TMPDIR or /var/tmp, "exeat-UID/XXXXXX", 0700, owned by the identity;
 * sweeps first what dead sessions of this user left there (a lock nobody
 * holds), bounded in time.
 */
int workdir_fresh(const struct identity *id, struct workdir *ret,
		  struct err *err);
/*
 * Make what a session keeps in it: .exeat/ (.gitignore "*"), .exeat/home, and
 * the virtual environment .exeat/venv if Python is in view (PEP 405 layout
 * written directly: pyvenv.cfg with system site packages, bin/python links,
 * lib/pythonX.Y/site-packages, a `pip` that calls `python -m pip`): no
 * process is started for it. Everything is owned by the identity; existing
 * files stay. No symlink is followed (a payload of an earlier session wrote
 * here).
 */
int workdir_populate(struct workdir *w, const struct identity *id,
		     struct err *err);
/* Find unix sockets in it (names only, no symlink followed). */
int workdir_find_sockets(struct workdir *w, struct err *err);
/*
 * The same below any directory: paths that begin with `path` are appended to
 * the heap list *list of *n. The depth of the tree does not matter. ERR_LIMIT:
 * more sockets than can be covered, one whose path is too long to be, or a
 * tree that takes too long to search.
 */
int workdir_sockets_below(int dirfd, const char *path, char ***list, size_t *n,
			  struct err *err);
/*
 * Remove the directory `name` in dirfd with everything in it: no symlink
 * followed, no mount crossed, directories without rights opened first. Stops
 * at `deadline_ms` (clock_ms(); 0: never). 0, or -errno of what stays.
 */
int workdir_remove_tree(int dirfd, const char *name, int64_t deadline_ms);
/* Is `path` one that no work dir or additional path may be? Static text that
 * says why, or NULL. `path` has no symlink in it. */
const char *workdir_refused(const char *path);
/* Remove a fresh one with everything in it (no symlink followed, no mount
 * crossed), close. */
void workdir_close(struct workdir *w);
/* Zero-initialised is closed: fd and lock -1. */
void workdir_init(struct workdir *w);

#endif
