/* view.h - the file view of a session: said first as a list, done after
 * SPDX-License-Identifier: Apache-2.0
 *
 * The caller's library looks at the host and writes a list of typed
 * operations; the keeper performs it: session operations once, into the
 * template of the root; run operations for every run, in the run's own mount
 * namespace. The list travels encoded in the message that opens the session.
 *
 * The source of a session operation is a path of the host. The host is gone
 * when a run's operations are performed: the source of a per-run bind is a
 * path inside the template. What has to appear under a per-run tmpfs (a work
 * dir below /tmp) is an operation of the session; view_run() repeats it there.
 */
#ifndef EXEAT_SYS_VIEW_H
#define EXEAT_SYS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"

enum view_kind {
	VIEW_BIND_RO,		/* source, without a symlink -> path,
				 * recursive; read-only, nosuid, nodev */
	VIEW_BIND_RW,		/* source -> path; nosuid, nodev */
	VIEW_MOUNT_FD,		/* a detached mount passed as descriptor `fd` ->
				 * path (root's id-mapped work dir) */
	VIEW_TMPFS,		/* size in bytes, mode */
	VIEW_DIR,		/* mkdir -p, mode */
	VIEW_SYMLINK,		/* path -> source (the link's text) */
	VIEW_FILE,		/* a read-only file of ours over `path`, with the
				 * text `source` (resolv.conf, passwd) */
	VIEW_MASK,		/* an empty file or directory over `path`, if it is
				 * there */
	VIEW_PROC,		/* the pid namespace's own /proc; /proc/sys and
				 * /proc/sysrq-trigger read-only, what tells of the
				 * machine's memory and keys empty (needs VIEW_DEV) */
	VIEW_DEV,		/* minimal /dev: null zero full random urandom tty
				 * ptmx pts shm fd stdin stdout stderr; a session
				 * operation, whose pts and shm (size) are the run's */
	VIEW_COVER,		/* an empty read-only file over a unix socket */
	VIEW_LAYERED,		/* like VIEW_BIND_RO, but the session's VIEW_FILE
				 * and VIEW_MASK below it that follow in the list
				 * are no mounts: they stay in force when the host
				 * puts other files in the place of those they
				 * cover. A name that is masked is not there */
};

struct view_op {
	enum view_kind kind;
	bool per_run;
	bool optional;		/* a source that is not there is no error */
	char *path;		/* inside; absolute */
	char *source;		/* outside, or text; may be NULL */
	uint64_t size;		/* tmpfs limit in bytes; 0: kernel's default */
	uint32_t mode;
	int fd_index;		/* VIEW_MOUNT_FD: index into the message's fds */

	/* private to view_session() and view_run() */
	char *target;		/* path, symlinks resolved; NULL: left out */
	bool again;		/* lies on a mount of the run */
	bool laid;		/* done by a VIEW_LAYERED */
};

struct view {
	struct view_op *ops;
	size_t nops, size;	/* performed in this order, session ones first */
};

void view_init(struct view *v);
void view_done(struct view *v);
/* Append a copy. 0 or -ENOMEM. */
int view_add(struct view *v, const struct view_op *op);
void view_encode(const struct view *v, struct sbuf *ret);
int view_decode(struct rbuf *r, struct view *ret);

/* A work dir with a mount of its own. */
struct view_work {
	const char *place;	/* an empty folder of the user's, for a moment */
	const char *lower;	/* what it begins with, and never changes; NULL:
				 * nothing */
	uint64_t size;		/* bytes that it may have in memory; 0: on the
				 * disk, in `place` (with `lower` only) */
};

/*
 * Keeper, before view_session(), whose VIEW_MOUNT_FD shows it: a detached
 * mount, until the last descriptor of it is closed. ERR_UNAVAILABLE: the
 * kernel, or the file system of `place`, cannot.
 */
int view_work(const struct view_work *w, int *ret, struct err *err);

/*
 * Keeper, once, in its own fresh mount namespace: make the template root on
 * a tmpfs, perform the session's operations, pivot into it; the old root is
 * gone afterwards. Paths are resolved inside the new root without following
 * a symlink out of it. A mounted procfs of the keeper's pid namespace stays
 * at /proc (the kernel wants to see one before a run may mount its own).
 */
int view_session(struct view *v, const int *fds, unsigned nfds,
		 struct err *err);
/*
 * The run's child, in a mount namespace copied from the keeper's. Performs
 * the per-run operations, and again those of the session whose place one of
 * them covers: resolv.conf where /etc/resolv.conf leads into /run, a work dir
 * below /tmp. The list Must be the one that view_session() has seen.
 */
int view_run(const struct view *v, struct err *err);

#endif
