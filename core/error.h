/* error.h - from the library's own error to the public one
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_ERROR_H
#define EXEAT_CORE_ERROR_H

#include "core/base/err.h"
#include "core/include/exeat.h"

/* ret may be NULL. An error without a code becomes EXEAT_INTERNAL. */
void exeat_error_from(struct exeat_error *ret, const struct err *err);

#endif
