/* error.h - from the library's own error to the public one
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_ERROR_H
#define EXEAT_CORE_ERROR_H

#include "core/base/err.h"
#include "core/include/exeat.h"

/* ret may be NULL. An error without a code becomes EXEAT_INTERNAL. */
void exeat_error_from(struct exeat_error *ret, const struct err *err);

/* An argument that is needed, by its name in exeat.h. */
struct error_arg {
	const char *name;
	const void *value;
};
#define ERROR_ARGS(...) ((const struct error_arg[]){ __VA_ARGS__, { 0 } })
/* 0, or -EINVAL: the first that is NULL is EXEAT_INVALID. */
int error_needs(struct exeat_error *ret, const char *step,
		const struct error_arg *args);
/* How long a call may wait: 0, or -EINVAL for what is less than -1. */
int error_timeout(struct exeat_error *ret, const char *step, int timeout_ms);

#endif
