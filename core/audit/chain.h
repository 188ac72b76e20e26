/* chain.h - each line of a session, bound to the one before
 * SPDX-License-Identifier: Apache-2.0
 *
 * A line's last field is its hash: SHA-256, in lower-case hexadecimal digits,
 * of the digits of the line before (64 zeros before the first) and of the
 * line's own bytes up to the comma in front of the field. So
 *
 *	printf %s "$hash_before${line%,\"hash\":*}" | sha256sum
 *
 * prints it. There is one chain for each session, however many append to one
 * file: they need not know of each other.
 */
#ifndef EXEAT_AUDIT_CHAIN_H
#define EXEAT_AUDIT_CHAIN_H

#include <stddef.h>

#include "core/base/buf.h"

enum { AUDIT_HASH_LEN = 64 }; /* digits */

/* What the writer says of a session; a chain is closed by the second. */
#define AUDIT_BEGINS "the session begins"
#define AUDIT_ENDS "the session ends"

struct audit_chain {
	char hash[AUDIT_HASH_LEN + 1]; /* of the last line */
};

void audit_chain_init(struct audit_chain *c);
/* One more line: `text` is what stands in it before its hash. */
void audit_chain_add(struct audit_chain *c, const void *text, size_t len);
/*
 * Put its hash into the line that begins at b->s + from and ends b, as
 * audit_format() has left it. 0 or -ENOMEM (then c is as it was).
 */
int audit_chain_seal(struct audit_chain *c, struct sbuf *b, size_t from);
/* How long is the text before the hash of a whole line (without newline), and
 * where its digits are; NULL: it has none. */
const char *audit_chain_find(const char *line, size_t len, size_t *ret_len);

#endif
