/* ascii.c - unicode.c without its libraries, for who reads nobody's rules
 * SPDX-License-Identifier: Apache-2.0
 *
 * The gate compares names of the wire with compiled rules: A-labels on both
 * sides, and the rules that it writes itself, as hints, have no wildcard. It
 * starts with every session: three libraries less are worth having.
 */
#include "policy/pattern.h"

bool name_to_a_labels(const char *text, size_t len, char ret[LIMIT_NAME + 1],
		      size_t *ret_at, const char **ret_why)
{
	(void)text;
	(void)len;
	(void)ret;
	*ret_at = 0;
	*ret_why = "not in ASCII";
	return false;
}

bool pattern_is_public(const char *pattern)
{
	(void)pattern;
	return true;	/* without the list nobody can say that it is not */
}

bool pattern_is_shared(const char *pattern)
{
	(void)pattern;
	return false;
}
