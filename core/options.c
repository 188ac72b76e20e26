/* options.c - option structs of callers that know another header
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/options.h"

#include <stdbool.h>
#include <string.h>

/* More is no size but memory that nobody has set. */
enum { OPTIONS_MAX = 4096 };

static bool all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

int options_from_caller(void *ret, size_t size, const void *options,
			const char *step, struct err *err)
{
	size_t given;

	if (!options)
		return 0;
	memcpy(&given, options, sizeof(given));
	/* no struct ends within its last member */
	if (given < sizeof(given) || given % sizeof(given) != 0 ||
	    given > OPTIONS_MAX)
		return err_new(err, ERR_INVALID, step, "size",
			       "not made with its ..._OPTIONS_INIT");
	if (given > size &&
	    !all_zero((const unsigned char *)options + size, given - size))
		return err_new(err, ERR_INVALID, step, "size",
			       "sets an option of a later version");
	memcpy(ret, options, given < size ? given : size);
	memcpy(ret, &size, sizeof(size));
	return 0;
}
