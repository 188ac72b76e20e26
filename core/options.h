/* options.h - option structs of callers that know another header
 * SPDX-License-Identifier: Apache-2.0
 *
 * A struct of the public header that begins with its size may grow at its end,
 * by fields whose value in ..._OPTIONS_INIT means what was done before they
 * were there. A new field mustn't lie where an older struct had padding.
 */
#ifndef EXEAT_CORE_OPTIONS_H
#define EXEAT_CORE_OPTIONS_H

#include <stddef.h>

#include "core/base/err.h"

/*
 * Take the caller's struct, whose first member is its size, over `ret`: this
 * library's, of `size` bytes, with its ..._OPTIONS_INIT in it. A shorter
 * struct leaves the rest as it is; a longer one is taken if all that is too
 * much is zero. NULL: nothing was given. ERR_INVALID names "size"; then
 * nothing is written.
 */
int options_from_caller(void *ret, size_t size, const void *options,
			const char *step, struct err *err);

#endif
