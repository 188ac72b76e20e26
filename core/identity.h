/* identity.h - who the payload is, outside and inside
 * SPDX-License-Identifier: Apache-2.0
 *
 * Three kinds of callers: an ordinary user, root of the
 * host, uid 0 of a user namespace that maps one id only.
 */
#ifndef EXEAT_CORE_IDENTITY_H
#define EXEAT_CORE_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/err.h"

enum identity_kind {
	IDENTITY_USER,	      /* ordinary: everything is its own uid */
	IDENTITY_ROOT,	      /* may become the payload's uid */
	IDENTITY_ONE_ID_ROOT, /* uid 0, cannot be anything else */
};

struct identity {
	enum identity_kind kind;
	uid_t host_uid; /* of every helper and payload */
	gid_t host_gid;
	uid_t uid; /* inside */
	gid_t gid;
	bool idmap_work_dir; /* root-owned work dir: show it id-mapped */
	bool groups_kept;    /* supplementary groups could not be dropped */
	char user[33];	     /* name inside */
	char *passwd;	     /* /etc/passwd inside but for the payload's line */
	char *group;	     /* /etc/group inside */
	char *shell;	     /* of that line */
};

/*
 * work_dir_fd: the work dir, or -1 for a fresh one (not made yet). `user`:
 * "UID[:GID]" or NULL; only root may ask for another one, 0 is refused for
 * now as host uid. ERR_INVALID, ERR_UNAVAILABLE (inside Exeat itself).
 */
int identity_find(int work_dir_fd, const char *user, struct identity *ret,
		  struct err *err);
void identity_done(struct identity *id);

/* The whole of /etc/passwd inside; `home` is the payload's. Heap, or NULL. */
char *identity_passwd(const struct identity *id, const char *home);

#endif
