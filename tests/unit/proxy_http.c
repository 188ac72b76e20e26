/* proxy_http.c - request heads and bodies
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http.h"

#define R "GET / HTTP/1.1\r\n"
#define H "Host: a.test\r\n"
#define END "\r\n"

struct head_row {
	const char *text;
	enum http_status status;
	const char *name;
};

static void check_head(const struct head_row *row)
{
	struct http_head h;
	size_t len = strlen(row->text);
	enum http_status s = http_peek((const uint8_t *)row->text, len, &h);

	if (s != row->status)
		fail_msg("\"%s\": %d (%s)", row->text, s, h.why ? h.why : "");
	assert_string_equal(h.name, row->name ? row->name : "");
	if (s == HTTP_BAD)
		assert_non_null(h.why);
}

static void check_heads(const struct head_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_head(&rows[i]);
}

static void good_heads(void **state)
{
	static const struct head_row rows[] = {
		{ R H END, HTTP_OK, "a.test" },
		{ R "host:A.Test.:80 \r\n" END, HTTP_OK, "a.test" },
		{ R "HOST:\ta.test\t\r\nX:\r\n" END, HTTP_OK, "a.test" },
		{ R "Host: a.test:\r\n" END, HTTP_OK, "a.test" },
		{ R "Host: 192.0.2.1\r\n" END, HTTP_OK, "" },
		{ R "Host: [2001:db8::1]:8080\r\n" END, HTTP_OK, "" },
		{ "GET / HTTP/1.0\r\n" END, HTTP_OK, "" },
		{ "GET / HTTP/1.0\r\n" H END, HTTP_OK, "a.test" },
		{ "GET http://a.test/x HTTP/1.1\r\n" H END, HTTP_OK, "a.test" },
		{ "GET HTTP://A.TEST HTTP/1.1\r\n" H END, HTTP_OK, "a.test" },
		{ "GET http://a.test?q HTTP/1.0\r\n" END, HTTP_OK, "a.test" },
		{ "OPTIONS * HTTP/1.1\r\n" H END, HTTP_OK, "a.test" },
		{ "M-SEARCH /x HTTP/1.1\r\n" H END, HTTP_OK, "a.test" },
		{ "GET /\xc3\xbc HTTP/1.1\r\n" H "X: \xc3\xbc\r\n" END, HTTP_OK,
		  "a.test" },
		{ "CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n" END,
		  HTTP_OK, "b.test" },
	};

	(void)state;
	check_heads(rows, sizeof(rows) / sizeof(rows[0]));
}

static void bad_heads(void **state)
{
	static const struct head_row rows[] = {
		{ R END, HTTP_BAD, NULL }, /* no Host */
		{ R H H END, HTTP_BAD, NULL },
		{ R H "host: b.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host:\r\n" END, HTTP_BAD, NULL },
		{ R "Host : a.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host\t: a.test\r\n" END, HTTP_BAD, NULL },
		{ R " Host: a.test\r\n" END, HTTP_BAD, NULL },
		{ R H " folded\r\n" END, HTTP_BAD, NULL },
		{ R H "\tfolded\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test\n\r\n", HTTP_BAD, NULL },
		{ R "Host: a.test\r\r\n\r\n", HTTP_BAD, NULL },
		{ R "Host: a\r.test\r\n" END, HTTP_BAD, NULL },
		{ R H "\n", HTTP_BAD, NULL },
		{ "GET / HTTP/1.1\n" H END, HTTP_BAD, NULL },
		{ "GET / HTTP/1.1\rX\r\n" H END, HTTP_BAD, NULL },
		{ R "Host: a.test b.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test, b.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host: u@a.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test#.b.test\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test\\.b\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test%00\r\n" END, HTTP_BAD, NULL },
		{ R "Host: [a.test]\r\n" END, HTTP_BAD, NULL },
		{ R "Host: [[::1]]\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test]:443\r\n" END, HTTP_BAD, NULL },
		{ R "Host: [192.0.2.1]\r\n" END, HTTP_BAD, NULL },
		{ R "Host: 2001:db8::1\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test:80:90\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test:65536\r\n" END, HTTP_BAD, NULL },
		{ R "Host: a.test:8o\r\n" END, HTTP_BAD, NULL },
		{ R H "NoColon\r\n" END, HTTP_BAD, NULL },
		{ R H ": x\r\n" END, HTTP_BAD, NULL },
		{ R H "X: \x01\r\n" END, HTTP_BAD, NULL },
		{ R H "Connection: close, host\r\n" END, HTTP_BAD, NULL },
		{ R H "Connection: Transfer-Encoding\r\n" END, HTTP_BAD, NULL },
		{ R H "Content_Length: 5\r\n" END, HTTP_BAD, NULL },
		{ R H "transfer_encoding: chunked\r\n" END, HTTP_BAD, NULL },
		{ "GET  / HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET /  HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET\t/ HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET / HTTP/1.2\r\n" H END, HTTP_BAD, NULL },
		{ "GET / HTTP/2.0\r\n" H END, HTTP_BAD, NULL },
		{ "GET / http/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET / HTTP/1.1 \r\n" H END, HTTP_BAD, NULL },
		{ "GET x HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET * HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET http:// HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET https://a.test/ HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET http://b.test/ HTTP/1.1\r\n" H END, HTTP_BAD, NULL },
		{ "GET http://a.test@b.test/ HTTP/1.1\r\n"
		  "Host: b.test\r\n" END,
		  HTTP_BAD, NULL },
		{ "GET /\r\n", HTTP_BAD, NULL }, /* HTTP/0.9 */
		{ "\r\n" R H END, HTTP_BAD, NULL },
		{ "\n", HTTP_BAD, NULL },
		{ " GET / HTTP/1.1\r\n", HTTP_BAD, NULL },
	};

	(void)state;
	check_heads(rows, sizeof(rows) / sizeof(rows[0]));
}

static void other_protocols(void **state)
{
	static const struct head_row rows[] = {
		{ "", HTTP_NEED_MORE, NULL },
		{ "G", HTTP_NEED_MORE, NULL },
		{ "GET / HT", HTTP_NEED_MORE, NULL },
		{ R "Host: a.te", HTTP_NEED_MORE, NULL },
		{ R H "\r", HTTP_NEED_MORE, NULL },
		{ "PRI * HTTP/2.0\r\n", HTTP_H2, NULL },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_H2, NULL },
		{ "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", HTTP_NOT_HTTP, NULL },
		{ "SSH-2.0-x\r\n", HTTP_NOT_HTTP, NULL },
		{ "EHLO a.test\r\n", HTTP_NOT_HTTP, NULL },
		{ "GET key\r\n", HTTP_NOT_HTTP, NULL },
		{ "*1\r\n$4\r\nPING\r\n", HTTP_NOT_HTTP, NULL },
		{ "OPTIONS rtsp://a.test/ RTSP/1.0\r\n", HTTP_NOT_HTTP, NULL },
		{ "\x16\x03\x01", HTTP_NOT_HTTP, NULL },
		{ "\x01", HTTP_NOT_HTTP, NULL },
		/* a method of any length */
		{ "abcdefghijklmnopqrstuvwxyzabcdefghijk", HTTP_NEED_MORE,
		  NULL },
		{ "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJK / HTTP/1.1\r\n"
		  "\r\n",
		  HTTP_BAD, NULL },
	};

	(void)state;
	check_heads(rows, sizeof(rows) / sizeof(rows[0]));
}

static void nul_bytes(void **state)
{
	static const char texts[][64] = {
		"GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\0.b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX: \0\r\n\r\n",
		"GET / HTTP/1.1\r\nHo\0st: a.test\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct http_head h;

		assert_int_equal(http_peek((const uint8_t *)texts[i],
					   sizeof(texts[i]), &h),
				 HTTP_BAD);
	}
}

/* What has a length in digits and a NUL is no request in progress. */
static void packets(void **state)
{
	static const struct {
		const char bytes[64];
		size_t len;
		enum http_status status;
	} rows[] = {
#define ROW(bytes, status) { bytes, sizeof(bytes) - 1, (status) }
		ROW("0029git-upload-pack /x\0host=a.test\0", HTTP_NOT_HTTP),
		ROW("0029git-upload-pack /x\0", HTTP_NOT_HTTP),
		ROW("0029git-upload-pack /x", HTTP_NEED_MORE),
		ROW("0029git-upload-pack", HTTP_NEED_MORE),
		ROW("9 /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", HTTP_NOT_HTTP),
		ROW("9 / HTTP/1.1\r\nHost: \0\r\n\r\n", HTTP_BAD),
		ROW("FOO /x\0host=a.test\0", HTTP_NEED_MORE),
		ROW("GET /x\0", HTTP_NEED_MORE),
		ROW("FOO /\0 HTTP/1.1\r\n", HTTP_BAD),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head h;

		if (http_peek((const uint8_t *)rows[i].bytes, rows[i].len,
			      &h) != rows[i].status)
			fail_msg("row %zu: %s", i, rows[i].bytes);
	}
}

static void framing(void **state)
{
	static const struct {
		const char *fields;
		bool ok, chunked;
		uint64_t length;
		enum http_upgrade upgrade;
	} rows[] = {
		{ "", true, false, 0, 0 },
		{ "Content-Length: 5\r\n", true, false, 5, 0 },
		{ "Content-Length: 0\r\n", true, false, 0, 0 },
		{ "Content-Length: 9223372036854775807\r\n", true, false,
		  INT64_MAX, 0 },
		{ "Content-Length: 9223372036854775808\r\n", false, 0, 0, 0 },
		{ "Content-Length:\r\n", false, 0, 0, 0 },
		{ "Content-Length: -1\r\n", false, 0, 0, 0 },
		{ "Content-Length: +1\r\n", false, 0, 0, 0 },
		{ "Content-Length: 0x5\r\n", false, 0, 0, 0 },
		{ "Content-Length: 5, 5\r\n", false, 0, 0, 0 },
		{ "Content-Length: 5\r\nContent-Length: 5\r\n", false, 0, 0,
		  0 },
		{ "Transfer-Encoding: Chunked\r\n", true, true, 0, 0 },
		{ "Transfer-Encoding: gzip, chunked\r\n", false, 0, 0, 0 },
		{ "Transfer-Encoding: identity\r\n", false, 0, 0, 0 },
		{ "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
		  false, 0, 0, 0 },
		{ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", false,
		  0, 0, 0 },
		{ "Upgrade: websocket\r\n", true, false, 0,
		  HTTP_UPGRADE_WEBSOCKET },
		{ "Upgrade: h2c\r\n", true, false, 0, HTTP_UPGRADE_H2C },
		{ "Upgrade: websocket, h2c\r\n", true, false, 0,
		  HTTP_UPGRADE_H2C },
		{ "HTTP2-Settings: AAMA\r\n", true, false, 0,
		  HTTP_UPGRADE_H2C },
		{ "Upgrade: websocket\r\nUpgrade: x/1\r\n", true, false, 0,
		  HTTP_UPGRADE_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512];
		struct http_head h;
		enum http_status s;

		(void)snprintf(text, sizeof(text), R H "%s" END,
			       rows[i].fields);
		s = http_peek((const uint8_t *)text, strlen(text), &h);
		if ((s == HTTP_OK) != rows[i].ok)
			fail_msg("\"%s\": %d", rows[i].fields, s);
		if (s != HTTP_OK)
			continue;
		assert_int_equal(h.chunked, rows[i].chunked);
		assert_int_equal(h.length, rows[i].length);
		assert_int_equal(h.upgrade, rows[i].upgrade);
	}
}

/* Chunks with HTTP/1.0 are read differently by different servers. */
static void old_chunks(void **state)
{
	static const struct head_row row = {
		"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n" END,
		HTTP_BAD, NULL
	};

	(void)state;
	check_head(&row);
}

static void bodies(void **state)
{
	static const struct {
		const char *text;
		enum http_status status;
		size_t used;
	} rows[] = {
		{ "0\r\n\r\nGET", HTTP_OK, 5 },
		{ "3\r\nabc\r\n0\r\n\r\nGET", HTTP_OK, 13 },
		{ "A;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n", HTTP_OK, 32 },
		{ "0\r\nX-Sum: v w\r\nY:\r\n\r\nGET", HTTP_OK, 21 },
		{ "3\r\nabc\r\n", HTTP_NEED_MORE, 8 },
		{ "0\r\n", HTTP_NEED_MORE, 3 },
		{ "3\nabc", HTTP_BAD, 0 },
		{ "3\r\nabcd", HTTP_BAD, 0 },
		{ "3\r\nabc\n", HTTP_BAD, 0 },
		{ "\r\n", HTTP_BAD, 0 },
		{ ";x\r\n", HTTP_BAD, 0 },
		{ " 3\r\n", HTTP_BAD, 0 },
		{ "0x3\r\n", HTTP_BAD, 0 },
		{ "-3\r\n", HTTP_BAD, 0 },
		{ "3\rx", HTTP_BAD, 0 },
		{ "3;\n\r\n", HTTP_BAD, 0 },
		{ "1000000000000000\r\n", HTTP_BAD, 0 },
		{ "0\r\nT: v\n\r\n", HTTP_BAD, 0 },
		{ "0\r\n\n", HTTP_BAD, 0 },
		{ "3 \r\nabc\r\n0\r\n\r\n", HTTP_BAD, 0 },
		{ "3\t;x\r\n", HTTP_BAD, 0 },
		{ "3;\x7f\r\n", HTTP_BAD, 0 },
		{ "0\r\nT v\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nT\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\n: v\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nT : v\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nT: v\r\n w\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nT: \x01\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nhost: b.test\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\nContent-Length: 5\r\n\r\n", HTTP_BAD, 0 },
		{ "0\r\ntransfer_encoding: x\r\n\r\n", HTTP_BAD, 0 },
	};
	const struct http_head chunked = { .chunked = true };
	const struct http_head five = { .length = 5 };
	struct http_body b;
	size_t used = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum http_status s;

		http_body_start(&b, &chunked);
		s = http_body_feed(&b, (const uint8_t *)rows[i].text,
				   strlen(rows[i].text), &used);
		if (s != rows[i].status)
			fail_msg("\"%s\": %d", rows[i].text, s);
		if (s != HTTP_BAD)
			assert_int_equal(used, rows[i].used);
	}
	http_body_start(&b, &five);
	assert_int_equal(http_body_feed(&b, (const uint8_t *)"ab", 2, &used),
			 HTTP_NEED_MORE);
	assert_int_equal(http_body_feed(&b, (const uint8_t *)"cdeGET", 6,
					&used),
			 HTTP_OK);
	assert_int_equal(used, 3);
}

/* Lines without an end: each has its limit. */
static void endless(void **state)
{
	static uint8_t text[LIMIT_PEEK_BYTES + 10];
	const struct http_head chunked = { .chunked = true };
	struct http_head h;
	struct http_body b;
	size_t used, n;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, R, strlen(R));
	assert_int_equal(http_peek(text, LIMIT_PEEK_BYTES - 1, &h),
			 HTTP_NEED_MORE);
	assert_int_equal(http_peek(text, LIMIT_PEEK_BYTES, &h), HTTP_BAD);
	memset(text, 'x', sizeof(text));
	memcpy(text, "0;", 2);
	http_body_start(&b, &chunked);
	assert_int_equal(http_body_feed(&b, text, 300, &used), HTTP_BAD);
	memcpy(text, "0\r\n", 3);
	http_body_start(&b, &chunked);
	assert_int_equal(http_body_feed(&b, text, 9000, &used), HTTP_BAD);
	n = strlen(R H);
	memcpy(text, R H, n);
	for (int i = 0; i < 300; i++, n += 6)
		memcpy(text + n, "X: y\r\n", 6);
	assert_int_equal(http_peek(text, n, &h), HTTP_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_heads),	   cmocka_unit_test(bad_heads),
		cmocka_unit_test(other_protocols), cmocka_unit_test(nul_bytes),
		cmocka_unit_test(packets),	   cmocka_unit_test(framing),
		cmocka_unit_test(old_chunks),	   cmocka_unit_test(bodies),
		cmocka_unit_test(endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
