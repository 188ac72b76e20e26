/* treecopy.h - a tree that a payload made, copied without following anything
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_TREECOPY_H
#define EXEAT_CORE_TREECOPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "core/list.h"

struct tree_copy {
	int links; /* an empty folder on the file system of the copy, not in it:
		    * hard links are found again there */
	/* Whom the copy is to belong to, if not to the process. */
	bool give;
	uid_t uid;
	gid_t gid;
	/* A process with more rights than `reader`: it reads only what he, or
	 * everybody, may. */
	bool guard;
	uid_t reader;
	const char *path; /* of the tree, for errors and the next */
	const struct list *hidden; /* paths of files that are left empty */
	/* What was done: */
	uint64_t files, bytes;
	bool copied; /* a file's bytes: not all of them share their blocks */
};

/*
 * Copy what is in folder `from` into the empty folder `to`, and its mode and
 * time. Files (sharing blocks where the file system can), folders, symbolic
 * links as they are, hard links among each other, times, extended attributes
 * "user.*" but an overlay's; no setuid or setgid bit. Sockets, fifos and
 * devices are left out. Neither depth nor PATH_MAX ends it. What is changed
 * meanwhile may come as it was or as it is. On an error the rest is left
 * undone. ERR_CONFLICT: something in it may not be read.
 */
int tree_copy(int from, int to, struct tree_copy *c, struct err *err);

#endif
