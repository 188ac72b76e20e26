/* fuzz_proxy.c - heads through the HTTP proxy: CONNECT, http://, responses
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "proxy/proxyd_http.h"
#include "tests/fuzz/fuzz.h"

/* Host and Connection are added: a full head would have too many then. */
static bool is_full(const uint8_t *data, size_t len)
{
	unsigned lines = 0;

	for (size_t i = 0; i < len; i++)
		lines += data[i] == '\n';
	return lines > 250;
}

/* What is sent on is one request, of the same host, with the same body. */
static void check_rewritten(const uint8_t *data, const struct http_head *head)
{
	struct http_head sent;
	struct sbuf b;

	sbuf_init(&b, 4 * LIMIT_PEEK_BYTES);
	proxy_request_rewrite(data, head, &b);
	assert(!b.bad);
	if (b.len < LIMIT_PEEK_BYTES && !is_full(data, head->len)) {
		assert(http_peek((const uint8_t *)b.s, b.len, &sent) ==
		       HTTP_OK);
		assert(sent.len == b.len);
		assert(strcmp(sent.name, head->name) == 0);
		assert(sent.literal == head->literal);
		assert(sent.chunked == head->chunked);
		assert(sent.length == head->length);
		assert(sent.upgrade == HTTP_UPGRADE_NONE);
	}
	assert(!strcasestr(b.s, "\nproxy-authorization:"));
	sbuf_done(&b);
}

static void check_request(const uint8_t *data, size_t size)
{
	struct proxy_target t;
	struct http_head head;

	if (http_peek(data, size, &head) != HTTP_OK)
		return;
	if (proxy_target_parse(data, &head, &t))
		return;
	assert(t.to.port > 0);
	assert(strcmp(t.name, head.name) == 0);
	assert(t.tunnel == (head.method == HTTP_CONNECT));
	if (!t.tunnel)
		check_rewritten(data, &head);
}

static void check_response(const uint8_t *data, size_t size)
{
	struct proxy_response r, again;
	enum http_status s = proxy_response_peek(data, size, false, &r);
	struct sbuf b;

	if (s == HTTP_BAD)
		assert(r.why);
	if (s != HTTP_OK)
		return;
	assert(r.len > 0 && r.len <= size);
	assert(r.status >= 100 && r.status < 600 && r.status != 101);
	sbuf_init(&b, 4 * LIMIT_PEEK_BYTES);
	proxy_response_rewrite(data, &r, true, &b);
	assert(!b.bad);
	if (b.len < LIMIT_PEEK_BYTES && !is_full(data, r.len)) {
		assert(proxy_response_peek((const uint8_t *)b.s, b.len, false,
					   &again) == HTTP_OK);
		assert(again.len == b.len && again.status == r.status);
		assert(again.framing == r.framing && again.length == r.length);
	}
	sbuf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(data, size);
	check_response(data, size);
	return 0;
}
