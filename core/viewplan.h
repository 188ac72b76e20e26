/* viewplan.h - the files that a session sees: from the host to a list
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_VIEWPLAN_H
#define EXEAT_CORE_VIEWPLAN_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/identity.h"
#include "core/list.h"
#include "core/sys/view.h"
#include "core/workdir.h"

enum { VIEWPLAN_FDS_MAX = 13 };

/* The host name inside: /etc/hostname and /etc/hosts of the view say it. */
#define VIEWPLAN_HOSTNAME "exeat"
/* Authorities to trust inside, as PEM. */
#define VIEWPLAN_CA "/etc/exeat-ca.pem"

struct viewplan_request {
	const struct identity *id;
	const struct workdir *work;
	const char *const *read_only_paths; /* or NULL */
	const char *const *read_write_paths;
	const char *const *extra_files; /* presets: CA files, read-only */
	/* Paths of the host, without a symlink (governs.h), or NULL. */
	const struct list *governing; /* kept as they are */
	const struct list *hidden;
	const char *ca; /* what VIEWPLAN_CA has, or NULL: it is not there */
};

struct viewplan {
	struct view view;
	int fds[VIEWPLAN_FDS_MAX]; /* detached mounts, for root */
	unsigned nfds;
	struct list read_only, read_write; /* what is in force */
	char *uv; /* shown as /run/exeat/bin/uv, or NULL */
};

/*
 * What every session sees, and what this caller adds. Broad or dangerous
 * paths ("/", "/proc", "/sys", a parent of the work dir, a socket) are
 * ERR_INVALID with the path as object. As root, the work dir and additional paths are opened here
 * (open_tree, id-mapped if the identity says so; where that cannot be done
 * ERR_UNAVAILABLE names chown and --user) because the keeper may not reach
 * them by path.
 */
int viewplan_make(const struct viewplan_request *request, struct viewplan *ret,
		  struct err *err);
void viewplan_done(struct viewplan *p);

#endif
