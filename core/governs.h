/* governs.h - files that say what a run may do, kept from the run
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_GOVERNS_H
#define EXEAT_CORE_GOVERNS_H

#include <sys/types.h>

#include "core/base/err.h"
#include "core/list.h"

/* What runs may write to. */
struct governs {
	struct list roots; /* folders and files, without a symlink */
	uid_t writer;	   /* the payload's user */
};

/* `work`: the kept work dir, or NULL. */
int governs_init(struct governs *g, uid_t writer, const char *work,
		 const char *const *read_write_paths, struct err *err);
void governs_done(struct governs *g);

/*
 * Append to `ret` the paths of these files, without a symlink. One that has no
 * name (a pipe) is left out. ERR_INVALID, with the file as object: it is not
 * there; a run could have another one read in its place, because a symlink on
 * the way to it, or another hard link, is in the run's reach.
 */
int governs_find(const struct governs *g, const char *const *files,
		 struct list *ret, struct err *err);

/* For appending; made if it is not there. ERR_INVALID: a run could write to
 * it, or make it another file. */
int governs_open_audit(const struct governs *g, const char *path, int *ret,
		       struct err *err);
/* The same for one that the caller has opened. */
int governs_check_audit(const struct governs *g, int fd, struct err *err);

#endif
