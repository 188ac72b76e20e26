/* chain.c - each line of a session, bound to the one before
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/audit/chain.h"

#include <assert.h>
#include <errno.h>
#include <sha2.h>
#include <string.h>

/* How a line goes on behind its text, around the digits. */
#define BEFORE ",\"hash\":\""
#define BEHIND "\"}"

enum {
	BEFORE_LEN = sizeof(BEFORE) - 1,
	BEHIND_LEN = sizeof(BEHIND) - 1,
	TAIL_LEN = BEFORE_LEN + AUDIT_HASH_LEN + BEHIND_LEN,
};

_Static_assert(2 * SHA256_DIGEST_LENGTH == AUDIT_HASH_LEN, "two digits a byte");

void audit_chain_init(struct audit_chain *c)
{
	memset(c->hash, '0', AUDIT_HASH_LEN);
	c->hash[AUDIT_HASH_LEN] = '\0';
}

void audit_chain_add(struct audit_chain *c, const void *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)c->hash, AUDIT_HASH_LEN);
	SHA256Update(&ctx, text, len);
	SHA256Final(digest, &ctx);
	for (size_t i = 0; i < sizeof(digest); i++) {
		c->hash[2 * i] = digits[digest[i] >> 4];
		c->hash[2 * i + 1] = digits[digest[i] & 15];
	}
}

int audit_chain_seal(struct audit_chain *c, struct sbuf *b, size_t from)
{
	struct audit_chain next = *c;

	assert(b->len >= from + 3 && memcmp(b->s + b->len - 2, "}\n", 2) == 0);
	b->len -= 2;
	audit_chain_add(&next, b->s + from, b->len - from);
	sbuf_str(b, BEFORE);
	sbuf_add(b, next.hash, AUDIT_HASH_LEN);
	sbuf_str(b, BEHIND "\n");
	if (b->bad)
		return -ENOMEM;
	*c = next;
	return 0;
}

const char *audit_chain_find(const char *line, size_t len, size_t *ret_len)
{
	const char *tail;

	if (len < TAIL_LEN)
		return NULL;
	tail = line + len - TAIL_LEN;
	if (memcmp(tail, BEFORE, BEFORE_LEN) != 0 ||
	    memcmp(line + len - BEHIND_LEN, BEHIND, BEHIND_LEN) != 0)
		return NULL;
	*ret_len = len - TAIL_LEN;
	return tail + BEFORE_LEN;
}
