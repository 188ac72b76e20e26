/* fuzz_socks.c - what SOCKS clients say
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/proxyd_socks.h"
#include "tests/fuzz/fuzz.h"

/* A whole message is whole without what follows, and not before its end. */
static void check_request(const uint8_t *data, size_t size)
{
	struct socks_request q, part;
	char canonical[LIMIT_NAME + 1];
	enum socks_status s = socks_request_peek(data, size, &q);

	if (s == SOCKS_BAD) {
		assert(q.why && q.reply != SOCKS_SUCCEEDED);
		assert(!q.name[0]);
	}
	if (s != SOCKS_OK)
		return;
	assert(q.len > 0 && q.len <= size && q.port > 0);
	assert(q.literal == !q.name[0]);
	assert(q.literal ||
	       (name_canonical(q.name, strlen(q.name), canonical) &&
		strcmp(canonical, q.name) == 0));
	assert(socks_request_peek(data, q.len, &part) == SOCKS_OK);
	assert(part.len == q.len && strcmp(part.name, q.name) == 0);
	assert(socks_request_peek(data, q.len - 1, &part) == SOCKS_NEED_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t method;
	size_t len;

	if (socks_greeting(data, size, &method, &len) == SOCKS_OK) {
		assert(len >= 2 && len <= size);
		assert(method == SOCKS_NO_AUTHENTICATION ||
		       method == SOCKS_PASSWORD || method == SOCKS_NO_METHOD);
	}
	if (socks_password(data, size, &len) == SOCKS_OK)
		assert(len >= 3 && len <= size);
	check_request(data, size);
	return 0;
}
