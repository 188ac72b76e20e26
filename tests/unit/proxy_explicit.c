/* proxy_explicit.c - what an HTTP proxy is asked, and what it makes of heads
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proxyd_http.h"

#define H "Host: a.test\r\n"
#define END "\r\n"

static const char *target(const char *text, struct proxy_target *ret)
{
	struct http_head head;

	if (http_peek((const uint8_t *)text, strlen(text), &head) != HTTP_OK)
		fail_msg("\"%s\": %s", text, head.why ? head.why : "");
	return proxy_target_parse((const uint8_t *)text, &head, ret);
}

static void targets(void **state)
{
	static const struct {
		const char *text, *name, *addr;
		uint16_t port;
		bool tunnel, keep;
	} rows[] = {
		{ "CONNECT a.test:443 HTTP/1.1\r\n" H END, "a.test", "", 443,
		  true, true },
		{ "CONNECT A.Test.:8443 HTTP/1.0\r\n" END, "a.test", "", 8443,
		  true, false },
		{ "CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: 192.0.2.1\r\n" END,
		  "", "192.0.2.1", 22, true, true },
		{ "CONNECT [2001:db8::1]:22 HTTP/1.0\r\n" END, "",
		  "2001:db8::1", 22, true, false },
		{ "GET http://a.test HTTP/1.1\r\n" H END, "a.test", "", 80,
		  false, true },
		{ "GET HTTP://a.test:8080/x HTTP/1.1\r\n" H END, "a.test", "",
		  8080, false, true },
		{ "GET http://a.test:?q HTTP/1.1\r\n" H
		  "Connection: x, Close\r\n" END,
		  "a.test", "", 80, false, false },
		{ "GET http://a.test/ HTTP/1.1\r\n" H
		  "Proxy-Connection: close\r\n" END,
		  "a.test", "", 80, false, false },
		{ "GET http://[::1]:80/ HTTP/1.1\r\nHost: [::1]\r\n" END, "",
		  "::1", 80, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_target t;
		char addr[ADDR_STRLEN];

		assert_null(target(rows[i].text, &t));
		assert_string_equal(t.name, rows[i].name);
		assert_int_equal(t.to.port, rows[i].port);
		assert_int_equal(t.tunnel, rows[i].tunnel);
		assert_int_equal(t.keep, rows[i].keep);
		if (rows[i].addr[0])
			assert_string_equal(addr_str(&t.to.addr, addr),
					    rows[i].addr);
	}
}

static void no_targets(void **state)
{
	static const char *const rows[] = {
		"GET / HTTP/1.1\r\n" H END,
		"OPTIONS * HTTP/1.1\r\n" H END,
		"CONNECT a.test HTTP/1.1\r\n" H END,
		"CONNECT a.test:0 HTTP/1.1\r\n" H END,
		"CONNECT a.test:443 HTTP/1.1\r\n" H "Content-Length: 3\r\n" END,
		"CONNECT a.test:443 HTTP/1.1\r\n" H
		"Transfer-Encoding: chunked\r\n" END,
	};
	struct proxy_target t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!target(rows[i], &t))
			fail_msg("\"%s\" has a target", rows[i]);
}

static void requests(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "GET http://a.test/x?y#z HTTP/1.1\r\n" H END,
		  "GET /x?y HTTP/1.1\r\n" H "Connection: close\r\n" END },
		{ "GET http://a.test?q HTTP/1.0\r\n" END,
		  "GET /?q HTTP/1.0\r\n" H "Connection: close\r\n" END },
		{ "OPTIONS http://a.test:81 HTTP/1.1\r\n" H END,
		  "OPTIONS * HTTP/1.1\r\nHost: a.test:81\r\n"
		  "Connection: close\r\n" END },
		/* what is between us and the client stays there */
		{ "POST http://a.test/ HTTP/1.1\r\n" H
		  "Proxy-Authorization: Basic eDp5\r\n"
		  "proxy-connection: keep-alive\r\nKeep-Alive: 300\r\n"
		  "TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
		  "X-Secret: 1\r\nConnection: X-Secret, Upgrade\r\n"
		  "Authorization: Basic eDp5\r\nContent-Length: 3\r\n"
		  "X-Other: 2\r\n" END,
		  "POST / HTTP/1.1\r\n" H
		  "Authorization: Basic eDp5\r\nContent-Length: 3\r\n"
		  "X-Other: 2\r\nConnection: close\r\n" END },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *from = (const uint8_t *)rows[i].from;
		struct http_head head;
		struct sbuf b;

		sbuf_init(&b, 4096);
		assert_int_equal(http_peek(from, strlen(rows[i].from), &head),
				 HTTP_OK);
		proxy_request_rewrite(from, &head, &b);
		assert_false(b.bad);
		assert_string_equal(b.s, rows[i].to);
		/* our own parser takes it for the same request */
		assert_int_equal(http_peek((const uint8_t *)b.s, b.len, &head),
				 HTTP_OK);
		assert_string_equal(head.name, "a.test");
		sbuf_done(&b);
	}
}

static void responses(void **state)
{
	static const struct {
		const char *text;
		enum http_status status;
		enum proxy_framing framing;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", HTTP_OK,
		  PROXY_LENGTH },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		  HTTP_OK, PROXY_CHUNKED },
		{ "HTTP/1.0 200 OK\r\n\r\n", HTTP_OK, PROXY_UNTIL_CLOSE },
		{ "HTTP/1.1 200\nX: y\n\nbody", HTTP_OK, PROXY_UNTIL_CLOSE },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", HTTP_OK,
		  PROXY_UNTIL_CLOSE },
		{ "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", HTTP_OK,
		  PROXY_NO_BODY },
		{ "HTTP/1.1 304 Same\r\n\r\n", HTTP_OK, PROXY_NO_BODY },
		{ "HTTP/1.1 100 Continue\r\n\r\n", HTTP_OK, PROXY_NO_BODY },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		  "Content-Length: 5\r\n\r\n",
		  HTTP_OK, PROXY_LENGTH },
		{ "HTTP/1.1 200 OK\r\nX: y\r\n", HTTP_NEED_MORE, 0 },
		{ "HTT", HTTP_NEED_MORE, 0 },
		{ "hello, world", HTTP_BAD, 0 },
		{ "HTTP/1.1 2000 OK\r\n\r\n", HTTP_BAD, 0 },
		{ "HTTP/2.0 200 OK\r\n\r\n", HTTP_BAD, 0 },
		{ "HTTP/1.1 101 Switching\r\n\r\n", HTTP_BAD, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		  "Content-Length: 6\r\n\r\n",
		  HTTP_BAD, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", HTTP_BAD,
		  0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n",
		  HTTP_BAD, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", HTTP_BAD,
		  0 },
		{ "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", HTTP_BAD, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *p = (const uint8_t *)rows[i].text;
		struct proxy_response r;
		enum http_status s =
			proxy_response_peek(p, strlen(rows[i].text), false, &r);

		if (s != rows[i].status)
			fail_msg("\"%s\": %d", rows[i].text, s);
		if (s == HTTP_OK)
			assert_int_equal(r.framing, rows[i].framing);
		if (s == HTTP_BAD)
			assert_non_null(r.why);
	}
}

static void rewritten_responses(void **state)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\n"
		"X-Hop: 1\r\nProxy-Authenticate: Basic\r\n"
		"Content-Length: 5\r\nServer: x\r\n\r\nhello";
	struct proxy_response r;
	struct sbuf b;

	(void)state;
	sbuf_init(&b, 4096);
	assert_int_equal(proxy_response_peek((const uint8_t *)text,
					     sizeof(text) - 1, true, &r),
			 HTTP_OK);
	assert_int_equal(r.framing, PROXY_NO_BODY); /* of HEAD */
	assert_int_equal(r.len, sizeof(text) - 1 - strlen("hello"));
	proxy_response_rewrite((const uint8_t *)text, &r, true, &b);
	assert_string_equal(b.s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
				 "Server: x\r\nConnection: keep-alive\r\n\r\n");
	sbuf_clear(&b);
	proxy_response_rewrite((const uint8_t *)text, &r, false, &b);
	assert_non_null(strstr(b.s, "Connection: close\r\n\r\n"));
	sbuf_done(&b);
}

static void endless_head(void **state)
{
	static uint8_t text[LIMIT_PEEK_BYTES];
	struct proxy_response r;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "HTTP/1.1 ", 9);
	assert_int_equal(proxy_response_peek(text, sizeof(text) - 1, false, &r),
			 HTTP_NEED_MORE);
	assert_int_equal(proxy_response_peek(text, sizeof(text), false, &r),
			 HTTP_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(no_targets),
		cmocka_unit_test(requests),
		cmocka_unit_test(responses),
		cmocka_unit_test(rewritten_responses),
		cmocka_unit_test(endless_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
