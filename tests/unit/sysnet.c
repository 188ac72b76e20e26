/* sysnet.c - unit tests of the network half of core/sys
 * SPDX-License-Identifier: Apache-2.0
 *
 * Real packets in network namespaces of our own: the program enters a user
 * namespace first, so it runs as anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "sysnet_groups.h"

/* Exit 77 (skipped), or fail where a skip is not allowed. */
static int skip(const char *what)
{
	fprintf(stderr, "SKIP: user namespaces are forbidden here: %s: %s\n",
		what, strerror(errno));
	return getenv("EXEAT_MUST_RUN") ? 1 : 77;
}

static int write_map(const char *path, unsigned id)
{
	char line[32];

	(void)snprintf(line, sizeof(line), "0 %u 1\n", id);
	return fd_write_file(AT_FDCWD, path, line);
}

int main(void)
{
	unsigned uid = geteuid(), gid = getegid();
	int failed = 0;

	failed += sysnet_nflog_tests();
	failed += sysnet_sets_tests();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return failed ? 1 : skip("unshare");
	if (write_map("/proc/self/uid_map", uid) ||
	    fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") ||
	    write_map("/proc/self/gid_map", gid))
		return failed ? 1 : skip("uid_map");
	failed += sysnet_route_tests();
	failed += sysnet_gate_tests();
	failed += sysnet_wall_tests();
	failed += sysnet_modes_tests();
	failed += sysnet_pins_tests();
	return failed ? 1 : 0;
}
