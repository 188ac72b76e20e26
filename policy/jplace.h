/* jplace.h - where things stand in a JSON text
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parser keeps no positions of what it has read. They are looked for
 * afterwards, when there is something to complain about: a walk over the text,
 * in which all that is not asked for is skipped. Inside policy/ only.
 */
#ifndef EXEAT_POLICY_JPLACE_H
#define EXEAT_POLICY_JPLACE_H

#include <stddef.h>

struct jplace {
	size_t line, column; /* both from 1; a column is a character */
};

/*
 * All texts: parsed without an error, so what is skipped is well-formed;
 * nothing at or behind `end` is read in any case. `object` and `array` may
 * have blanks before them.
 */

/* The key of this name, at its quote; NULL: not there. */
const char *jplace_member(const char *object, const char *end, const char *key,
			  const char **ret_value);
/* The element, at its first character; NULL: there are not so many. */
const char *jplace_element(const char *array, const char *end, size_t index);
/* From a pointer into the text. */
struct jplace jplace_make(const char *text, const char *at);

#endif
