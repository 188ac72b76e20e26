/* snapshot.h - kept copies of work dirs, and sessions that begin with one
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_SNAPSHOT_H
#define EXEAT_CORE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

struct identity;
struct workdir;

/* One that is in use. */
struct snapshot {
	int lock;	 /* its folder, locked: nobody removes it; -1: none */
	int tree;	 /* O_PATH | O_DIRECTORY: what was in the work dir */
	char *tree_path; /* on the host */
	char *path;	 /* of the work dir that it is of */
};

void snapshot_init(struct snapshot *s);
void snapshot_done(struct snapshot *s);
/*
 * Find one in the store `dir` (NULL: the user's) and hold it. ERR_INVALID: the
 * name; ERR_NOT_FOUND.
 */
int snapshot_find(const char *dir, const char *name, struct snapshot *ret,
		  struct err *err);
/*
 * A copy of it in the fresh work dir `w`, which is empty: in its folder, or in
 * the keeper's mount. Its path is then the original's.
 */
int snapshot_copy(const struct snapshot *s, const struct identity *id,
		  struct workdir *w, struct err *err);

#endif
