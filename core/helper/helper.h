/* helper.h - what the helpers share
 * SPDX-License-Identifier: Apache-2.0
 *
 * Life of a helper: the caller executes it with its sockets at fixed
 * descriptors (core/proto.h) and the payload's host uid and gid as arguments.
 * It becomes that user, isolates itself, says P_HELLO with its own pidfd, and
 * serves until the caller, or another helper, is gone.
 */
#ifndef EXEAT_CORE_HELPER_HELPER_H
#define EXEAT_CORE_HELPER_HELPER_H

#include <sys/types.h>

#include "core/base/err.h"

struct event_base;

struct helper_ids {
	uid_t uid;
	gid_t gid;
};

/* What a binary can be; NULL ends it. */
struct helper_mode {
	const char *name;
	int (*main)(const struct helper_ids *ids);
};
extern const struct helper_mode helper_modes[];

/* Each serves until its end and returns the exit status. */
int keeper_main(const struct helper_ids *ids);
int front_main(const struct helper_ids *ids);
int dialer_main(const struct helper_ids *ids);

/* P_HELLO with the own pidfd over `fd`. 0 or -errno. */
int helper_hello(int fd, struct err *err);
/* P_ERROR over `fd`; returns the exit status for main. */
int helper_fail(int fd, const struct err *err);
/* P_BYE over `fd`. */
void helper_bye(int fd);

/*
 * front, dialer and tls: own user namespace (a sibling of the keeper's), pid 1 of
 * an own pid namespace, own ipc and uts namespaces, an empty root.
 */
int helper_isolate_gate(const struct helper_ids *ids, struct err *err);

/* A loop that ends when the process behind the pidfd does. NULL: no memory. */
struct event_base *helper_loop(int caller_pidfd);

#endif
