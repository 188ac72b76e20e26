/* lacks.h - an error where the machine lacks something, with what helps
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_SYS_LACKS_H
#define EXEAT_SYS_LACKS_H

#include "core/base/err.h"

/*
 * As err_sys(), for a step that a kernel may not know, a container may forbid
 * or a limit may prevent: the error has a remedy, and where the machine is to
 * blame it is ERR_UNAVAILABLE. `needs` is what the step takes, "Linux 5.12 or
 * later"; NULL: nothing in particular. `object` may be NULL. Returns -errnum.
 */
int lacks(struct err *err, int errnum, const char *step, const char *object,
	  const char *needs);

#endif
