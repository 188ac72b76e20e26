/* seccomp.c - put a generated filter in force
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>

#include "core/sys/compat.h"

int seccomp_load(const struct seccomp_prog *prog, struct err *err)
{
	struct sock_fprog fprog = {
		.len = prog->len,
		/* the kernel's type lacks the const; it only reads */
		.filter = (struct sock_filter *)(uintptr_t)prog->filter,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0) {
		int r = err_sys(err, errno, "load system call filter", NULL);

		err_remedy(err, "the kernel needs CONFIG_SECCOMP_FILTER");
		return r;
	}
	return 0;
}
