/* fuzz_ask.c - messages between front and dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * What can be decoded has one encoding only.
 */
#include <string.h>

#include "proxy/ask.h"
#include "tests/fuzz/fuzz.h"

static void check_same(struct sbuf *b, const uint8_t *data, size_t size)
{
	assert(!b->bad && b->len == size && memcmp(b->s, data, size) == 0);
	sbuf_done(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer_resolve resolve;
	static struct answer answer;
	static struct ask ask;
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	if (ask_decode(data, size, &ask)) {
		ask_encode(&ask, &b);
		check_same(&b, data, size);
	}
	if (answer_decode(data, size, &answer)) {
		answer_encode(&answer, &b);
		check_same(&b, data, size);
	}
	if (answer_resolve_decode(data, size, &resolve)) {
		answer_resolve_encode(&resolve, &b);
		check_same(&b, data, size);
	}
	return 0;
}
