/* fuzz_socks.c - what SOCKS clients say
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/proxyd_socks.h"
#include "tests/fuzz/fuzz.h"

/* RFC 1928 4, byte by byte. */
static void check_naive(const uint8_t *data, const struct socks_request *q)
{
	char name[256] = "";
	size_t n = data[4];

	assert(data[0] == 5 && data[1] == 1); /* then what is reserved */
	assert(q->port == (data[q->len - 2] << 8 | data[q->len - 1]));
	if (data[3] == 1 || data[3] == 4) {
		n = data[3] == 1 ? 4 : 16;
		assert(q->literal && q->len == 6 + n);
		assert(memcmp(q->addr.b + 16 - n, data + 4, n) == 0);
		return;
	}
	assert(data[3] == 3 && q->len == 7 + n);
	memcpy(name, data + 5, n);
	assert(strlen(name) == n);
	if (q->literal)
		return; /* an address as text */
	if (name[n - 1] == '.')
		name[n - 1] = '\0';
	assert(strcasecmp(name, q->name) == 0);
}

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
	check_naive(data, &q);
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
