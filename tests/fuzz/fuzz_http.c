/* fuzz_http.c - request heads and bodies
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/http.h"
#include "tests/fuzz/fuzz.h"

static void check_head(const struct http_head *h, size_t size)
{
	char canonical[LIMIT_NAME + 1];

	assert(h->len > 0 && h->len <= size);
	assert(h->version == 10 || h->version == 11);
	assert(!h->chunked || h->length == 0);
	assert(!h->literal || !h->name[0]);
	assert(!h->name[0] ||
	       (name_canonical(h->name, strlen(h->name), canonical) &&
		strcmp(canonical, h->name) == 0));
}

/* Byte by byte a body ends where it ends as a whole. */
static void check_body(const struct http_head *h, const uint8_t *data,
		       size_t size)
{
	struct http_body whole, slow;
	size_t used = 0, at = 0;
	enum http_status s, t = HTTP_NEED_MORE;

	http_body_start(&whole, h);
	slow = whole;
	s = http_body_feed(&whole, data, size, &used);
	if (slow.state == HTTP_BODY_END)
		t = HTTP_OK;
	while (t == HTTP_NEED_MORE && at < size) {
		size_t n = 0;

		t = http_body_feed(&slow, data + at, 1, &n);
		at += n;
	}
	assert(s == t);
	assert(s == HTTP_BAD || at == used);
}

/* Byte by byte a server has switched where it has as a whole. */
static void check_switch(const uint8_t *data, size_t size)
{
	struct http_switch whole, slow;
	enum http_status s, t = HTTP_NEED_MORE;

	http_switch_init(&whole, HTTP_UPGRADE_WEBSOCKET);
	slow = whole;
	s = http_switch_feed(&whole, data, size);
	for (size_t i = 0; i < size && t == HTTP_NEED_MORE; i++)
		t = http_switch_feed(&slow, data + i, 1);
	assert(s == t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h, part;
	enum http_status s = http_peek(data, size, &h);

	if (s == HTTP_BAD)
		assert(h.why);
	check_switch(data, size);
	if (s != HTTP_OK)
		return 0;
	check_head(&h, size);
	assert(http_peek(data, h.len, &part) == HTTP_OK);
	assert(part.len == h.len && strcmp(part.name, h.name) == 0);
	assert(http_peek(data, h.len - 1, &part) == HTTP_NEED_MORE);
	check_body(&h, data + h.len, size - h.len);
	return 0;
}
