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

/* What there is where the payload sees the work dir. */
enum workdir_kind {
	WORKDIR_KEPT,	 /* the caller's folder */
	WORKDIR_FRESH,	 /* `place` */
	WORKDIR_TMPFS,	 /* a mount of the keeper's */
	WORKDIR_OVERLAY, /* of a snapshot: likewise */
	WORKDIR_REFLINK, /* of a snapshot: WORKDIR_TREE in `place` */
	WORKDIR_COPY,	 /* likewise, or in a mount of the keeper's */
};
#define WORKDIR_TREE "tree"

struct workdir {
	char *path;  /* inside; absolute, no symlink in it */
	char *place; /* not kept: its folder on the host, which goes */
	enum workdir_kind kind;
	int fd;		/* what is in it: O_PATH | O_DIRECTORY */
	int mount;	/* the keeper's, for the view; -1: none */
	bool fresh;	/* `place` is removed by workdir_close() */
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
 * Make what a session keeps in it: .exeat/ (.gitignore "*"); .exeat/home, in
 * which npm, cargo and go, if they are here, install programs to .local/bin;
 * and the virtual environment .exeat/venv if Python is in view (PEP 405 layout
 * written directly: pyvenv.cfg with system site packages, bin/python links,
 * lib/pythonX.Y/site-packages, a `pip` that calls `python -m pip`): no
 * process is started for it. Everything is owned by the identity; existing
 * files stay, but for an environment whose Python the system has no more. No
 * symlink is followed (a payload of an earlier session wrote here).
 */
int workdir_populate(struct workdir *w, const struct identity *id,
		     struct err *err);
/*
 * Root is nobody in a file system of the keeper's: what is made there, is made
 * with the payload's file-system ids, and the kernel holds us to what the
 * payload itself may do. `always`: whatever file system it is in.
 */
struct workdir_self {
	bool other;
	uid_t uid; /* ours again */
	gid_t gid;
};
void workdir_become(const struct workdir *w, const struct identity *id,
		    bool always, struct workdir_self *ret);
void workdir_return(const struct workdir_self *self);
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
/* Bytes on disk of what is in it; of a file with several names, the share of
 * those that are. ERR_LIMIT: it takes too long. */
int workdir_measure(const struct workdir *w, uint64_t *ret, struct err *err);
/* Of a fresh one: a descriptor of the folder that it is in, and its name there,
 * which is borrowed. -1: it is not there any more. */
int workdir_parent(const struct workdir *w, const char **ret_name);
/* Is `path` one that no work dir or additional path may be? Static text that
 * says why, or NULL. `path` has no symlink in it. */
const char *workdir_refused(const char *path);
/* Remove a fresh one with everything in it (no symlink followed, no mount
 * crossed), close. */
void workdir_close(struct workdir *w);
/* Zero-initialised is closed: fd and lock -1. */
void workdir_init(struct workdir *w);

#endif
