/* pattern.h - names and globs as text: what a host in a rule may look like
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pattern is a canonical name whose labels may hold "*". A leading "*." is
 * any number of labels, at least one; every other "*" matches within its
 * label. "*" alone is every name.
 *
 * Inside policy/ only.
 */
#ifndef EXEAT_POLICY_PATTERN_H
#define EXEAT_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/limits.h"

/* The two names of the host's loopback; the first is the canonical one. */
#define HOST_ALIAS_NAME "host.exeat.internal"
#define HOST_ALIAS_OTHER "host.docker.internal"
bool name_is_host_alias(const char *name);

/* Is this byte one of a canonical name, dot aside? */
bool name_char(unsigned char c);

/* Already as name_canonical() would give it? */
bool name_is_canonical(const char *name);

/* The last label is a number, so it can only be an IPv4 address (WHATWG URL
 * 3.5): decimal digits, or 0x and hexadecimal ones. */
bool name_ends_in_number(const char *text, size_t len);

/*
 * Unicode to A-labels (RFC 5891 5, with the mappings of UTS 46); false as
 * below. In unicode.c, or, never true, in ascii.c, like pattern_is_public().
 */
bool name_to_a_labels(const char *text, size_t len, char ret[LIMIT_NAME + 1],
		      size_t *ret_at, const char **ret_why);

/*
 * Canonical form of a host as typed: a name (IDNA by libidn2) or a glob.
 * False: *ret_why is a static text, *ret_at the offset in `text`.
 */
bool pattern_canonical(const char *text, size_t len, char ret[LIMIT_NAME + 1],
		       size_t *ret_at, const char **ret_why);

bool pattern_matches(const char *pattern, const char *name);

/* Does every name that `inner` matches match `outer` too? May say no where
 * the answer is yes, never the reverse. */
bool pattern_implies(const char *outer, const char *inner);

/*
 * The labels after the last one with a star, "" if there are none: what every
 * name that matches ends in. *ret_plain: nothing but a leading "*." comes
 * before them. Borrowed from `pattern`.
 */
const char *pattern_literal_suffix(const char *pattern, bool *ret_plain);

/* A wildcard under which anybody can register a name. */
bool pattern_is_public(const char *pattern);
/* The same, of a suffix that is one company's, for its customers. Never true
 * in ascii.c. */
bool pattern_is_shared(const char *pattern);

#endif
