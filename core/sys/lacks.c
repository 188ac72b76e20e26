/* lacks.c - an error where the machine lacks something, with what helps
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/lacks.h"

#include <errno.h>

static const char oldest[] = "Linux 5.15 or later";

int lacks(struct err *err, int errnum, const char *step, const char *object,
	  const char *needs)
{
	int r = err_sys(err, errnum, step, object ? "%s" : NULL, object);

	if (!err)
		return r;
	switch (errnum) {
	case EPERM:
	case EACCES:
	case EINVAL:
	case ENODEV:
	case ENOSYS:
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
	case ESOCKTNOSUPPORT:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
		err->code = ERR_UNAVAILABLE;
		err_remedy(err,
			   "it takes %s; in a container: its seccomp and "
			   "AppArmor profiles must allow it",
			   needs ? needs : oldest);
		break;
	case EMFILE:
	case ENFILE:
		err_remedy(err, "raise the limit of open files (ulimit -n, "
				"sysctl fs.file-max)");
		break;
	case EAGAIN:
		err->code = ERR_LIMIT;
		err_remedy(err, "raise the limit of processes (ulimit -u, "
				"pids.max of the cgroup)");
		break;
	case ENOSPC:
	case EUSERS:
		err->code = ERR_LIMIT;
		err_remedy(err, "as root: raise the sysctls "
				"user.max_*_namespaces");
		break;
	case ENOMEM:
		err_remedy(err, "the machine, or the cgroup, is out of memory");
		break;
	default:
		break;
	}
	return r;
}
