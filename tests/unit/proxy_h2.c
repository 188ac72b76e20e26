/* proxy_h2.c - frames, header blocks and fields of HTTP/2
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/h2.h"
#include "tests/unit/proxy_h2.h"

#define GET ":method=GET|:scheme=http|:path=/"
#define A "|:authority=a.test"
#define LAST (H2_END_STREAM | H2_END_HEADERS)

static uint8_t bytes[LIMIT_PEEK_BYTES * 2];

struct outcome {
	enum h2_status last;
	unsigned requests;
	size_t taken;
	struct h2_request request; /* the last one */
	const char *why;
};

/* Show it all, in pieces. */
static struct outcome feed(bool upgraded, const uint8_t *data, size_t len,
			   size_t piece)
{
	struct h2 *h = h2_new(upgraded);
	struct outcome o = { .why = "" };
	size_t end = 0;

	assert_non_null(h);
	do {
		size_t n = 0;

		end = len - end < piece ? len : end + piece;
		do {
			o.last = h2_feed(h, data + o.taken, end - o.taken, &n,
					 &o.request, &o.why);
			if (o.last != H2_BAD)
				o.taken += n;
			o.requests += o.last == H2_REQUEST;
		} while (o.last == H2_REQUEST);
	} while (o.last != H2_BAD && end < len);
	h2_free(h);
	return o;
}

/* The whole and byte by byte come to the same. */
static struct outcome feed_both(const struct wbuf *w)
{
	struct outcome a = feed(false, bytes, wbuf_len(w), wbuf_len(w));
	struct outcome b = feed(false, bytes, wbuf_len(w), 1);

	assert_false(w->bad);
	assert_int_equal(a.last, b.last);
	assert_int_equal(a.requests, b.requests);
	assert_true(a.last == H2_BAD || a.taken == b.taken);
	return a;
}

static void good_fields(void **state)
{
	static const struct {
		const char *fields, *name;
		bool literal, connect;
	} rows[] = {
		{ GET A, "a.test", false, false },
		{ GET "|:authority=A.Test.:8080", "a.test", false, false },
		{ GET "|host=a.test", "a.test", false, false },
		{ GET A "|host=a.test:80", "a.test", false, false },
		{ GET, "", false, false },
		{ GET "|:authority=192.0.2.1", "", true, false },
		{ GET "|:authority=[2001:db8::1]:80", "", true, false },
		{ ":method=OPTIONS|:scheme=http|:path=*" A, "a.test", false,
		  false },
		{ ":method=PROPFIND|:scheme=https|:path=/x" A, "a.test", false,
		  false },
		{ ":method=CONNECT|:authority=b.test:443", "b.test", false,
		  true },
		{ ":method=connect|:authority=b.test:443", "b.test", false,
		  true },
		{ ":method=CONNECT|:protocol=websocket|:scheme=http|:path=/" A,
		  "a.test", false, true },
		{ GET A "|te=trailers|content-length=0|x=|y=\xc3\xbc", "a.test",
		  false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));
		struct outcome o;

		h2_begin(&w);
		h2_headers(&w, LAST, 1, rows[i].fields);
		o = feed_both(&w);
		if (o.last == H2_BAD)
			fail_msg("%s: %s", rows[i].fields, o.why);
		assert_int_equal(o.requests, 1);
		assert_int_equal(o.taken, wbuf_len(&w));
		assert_string_equal(o.request.name, rows[i].name);
		assert_int_equal(o.request.literal, rows[i].literal);
		assert_int_equal(o.request.connect, rows[i].connect);
	}
}

static void bad_fields(void **state)
{
	static const char *const rows[] = {
		"x=y",
		":method=GET|:path=/" A,
		":method=GET|:scheme=http" A,
		":scheme=http|:path=/" A,
		GET A "|:authority=a.test",
		GET A "|:authority=b.test",
		GET "|:authority=",
		GET "|:authority=u@a.test",
		GET "|:authority=a.test#.b.test",
		GET "|:authority=[a.test]",
		GET "|:authority=a.test:99999",
		GET A "|host=b.test",
		GET A "|host=192.0.2.1",
		GET "|:authority=192.0.2.1|host=a.test",
		GET A "|host=a.test|host=a.test",
		GET "|host=",
		GET "|x=y" A,
		GET A "|:path=/",
		GET A "|:status=200",
		GET A "|:protocol=websocket",
		GET A "|:x=y",
		GET A "|X=y",
		GET A "|a b=y",
		GET A "|a:b=y",
		GET A "|=y",
		GET A "|x=a\r\nb: c",
		GET A "|x=a\nb",
		GET A "|x= y",
		GET A "|x=y\t",
		GET A "|x=\x7f",
		GET A "|connection=close",
		GET A "|transfer-encoding=chunked",
		GET A "|transfer_encoding=chunked",
		GET A "|content_length=5",
		GET A "|keep-alive=x",
		GET A "|proxy-connection=x",
		GET A "|upgrade=websocket",
		GET A "|te=gzip",
		GET A "|content-length=5",
		GET A "|content-length=+0",
		GET A "|content-length=0|content-length=0",
		":method=TRACE|:scheme=http|:path=/" A,
		":method=track|:scheme=http|:path=/" A,
		":method=G T|:scheme=http|:path=/" A,
		":method=|:scheme=http|:path=/" A,
		":method=GET|:scheme=http|:path=" A,
		":method=GET|:scheme=http|:path=*" A,
		":method=GET|:scheme=http|:path=http://b.test/" A,
		":method=GET|:scheme=http|:path=/ HTTP/1.1" A,
		":method=GET|:scheme=x|:path=/" A,
		":method=CONNECT|:scheme=http|:path=/" A,
		":method=CONNECT",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));
		struct outcome o;

		h2_begin(&w);
		h2_headers(&w, LAST, 1, rows[i]);
		o = feed_both(&w);
		if (o.last != H2_BAD)
			fail_msg("%s: %d", rows[i], o.last);
		assert_int_equal(o.requests, 0);
		assert_true(o.why[0]);
	}
}

/* One request, then a frame. */
struct frame_row {
	int type, flags;
	uint32_t stream;
	const char *payload;
	size_t len;
	bool ok;
};

static void frames(void **state)
{
	static const struct frame_row rows[] = {
		{ H2_DATA, 0, 1, "x", 1, true },
		{ H2_DATA, H2_PADDED, 1, "\2x\0\0", 4, true },
		{ H2_DATA, H2_PADDED, 1, "\1", 1, false },
		{ H2_DATA, H2_PADDED, 1, "", 0, false },
		{ H2_DATA, 0, 0, "x", 1, false },
		{ H2_DATA, 0, 2, "x", 1, false },
		{ H2_DATA, 0, 3, "x", 1, false }, /* nobody asked */
		{ H2_DATA, 0, 0x80000001, "x", 1, false },
		{ H2_PRIORITY, 0, 9, "\0\0\0\0\1", 5, true },
		{ H2_PRIORITY, 0, 9, "\0\0\0\0", 4, false },
		{ H2_RST_STREAM, 0, 1, "\0\0\0\0", 4, true },
		{ H2_RST_STREAM, 0, 1, "\0\0\0", 3, false },
		{ H2_SETTINGS, 0, 0, "\0\1\0\0\0\0", 6, true },
		{ H2_SETTINGS, 0, 0, "\0\1\0\0\0", 5, false },
		{ H2_SETTINGS, 0, 1, "", 0, false },
		{ H2_SETTINGS, H2_ACK, 0, "", 0, true },
		{ H2_SETTINGS, H2_ACK, 0, "\0\1\0\0\0\0", 6, false },
		{ H2_PUSH_PROMISE, H2_END_HEADERS, 1, "\0\0\0\3", 4, false },
		{ H2_PING, 0, 0, "01234567", 8, true },
		{ H2_PING, 0, 0, "0123456", 7, false },
		{ H2_GOAWAY, 0, 0, "01234567why", 11, true },
		{ H2_GOAWAY, 0, 0, "0123456", 7, false },
		{ H2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4, true },
		{ H2_WINDOW_UPDATE, 0, 0, "\0\0\0\1\1", 5, false },
		{ H2_CONTINUATION, H2_END_HEADERS, 1, "", 0, false },
		{ 0x10, 0, 0, "anything", 8, true },
		{ 0xff, 0xff, 77, "", 0, true },
		/* no end of the stream, an even one, nothing in it */
		{ H2_HEADERS, H2_END_HEADERS, 1, "", 0, false },
		{ H2_HEADERS, LAST, 2, "", 0, false },
		{ H2_HEADERS, LAST, 0, "", 0, false },
		{ H2_HEADERS, LAST, 3, "", 0, false },
		{ H2_HEADERS, LAST, 1, "", 0, true },
		{ H2_HEADERS, LAST, 1, "\0\1x\1y", 5, true },
		{ H2_HEADERS, LAST, 1, "\0\4host\1a", 7, false },
		{ H2_HEADERS, LAST, 1, "\x82", 1, false },
		{ H2_HEADERS, LAST, 1, "\xbe", 1, false }, /* empty table */
		{ H2_HEADERS, LAST, 1, "\x80", 1, false },
		{ H2_HEADERS, LAST, 1, "\0\1x", 3, false },	   /* cut */
		{ H2_HEADERS, LAST, 1, "\x3f\xe1\x7f", 3, true },  /* 16384 */
		{ H2_HEADERS, LAST, 1, "\x3f\xe2\x7f", 3, false }, /* more */
		{ H2_HEADERS, LAST | H2_PADDED, 1, "\1\0", 2, true },
		{ H2_HEADERS, LAST | H2_PADDED, 1, "\2\0", 2, false },
		{ H2_HEADERS, LAST | H2_PADDED, 1, "", 0, false },
		{ H2_HEADERS, LAST | H2_HAS_PRIORITY, 1, "\0\0\0\0\1", 5,
		  true },
		{ H2_HEADERS, LAST | H2_HAS_PRIORITY, 1, "\0\0\0\0", 4, false },
		{ H2_HEADERS, LAST | H2_PADDED | H2_HAS_PRIORITY, 1,
		  "\1\0\0\0\0\1\0", 7, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));
		struct outcome o;

		h2_begin(&w);
		h2_headers(&w, H2_END_HEADERS, 1, GET A);
		h2_frame(&w, rows[i].type, rows[i].flags, rows[i].stream,
			 rows[i].payload, rows[i].len);
		o = feed_both(&w);
		assert_int_equal(o.requests, 1);
		if ((o.last != H2_BAD) != rows[i].ok)
			fail_msg("row %zu: %d %s", i, o.last, o.why);
		assert_true(!rows[i].ok || o.taken == wbuf_len(&w));
	}
}

static void beginnings(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool ok;
	} rows[] = {
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 23, true },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", 24, false },
		{ "PRI * HTTP/2.0\r\nX: y\r\n\r\n", 24, false },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, true },
		{ H2_PREFACE "\0\0\0\4\0\0\0\0\0", 33, true },
		{ H2_PREFACE "\0\0\0\4\1\0\0\0\0", 33, false },
		{ H2_PREFACE "\0\0\10\6\0\0\0\0\0", 33, false },
		{ H2_PREFACE "\0\0\0\1\5\0\0\0\1", 33, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));

		wbuf_bytes(&w, rows[i].text, rows[i].len);
		if ((feed_both(&w).last != H2_BAD) != rows[i].ok)
			fail_msg("row %zu", i);
	}
}

/* A block in many frames; nothing may come between them. */
static void continuations(void **state)
{
	(void)state;
	for (int kind = 0; kind < 5; kind++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));
		uint8_t block[256];
		struct wbuf b = wbuf_make(block, sizeof(block));
		size_t n;
		struct outcome o;

		h2_block(&b, 0, GET A);
		n = wbuf_len(&b);
		h2_begin(&w);
		h2_frame(&w, H2_HEADERS, H2_END_STREAM, 1, block, 3);
		for (size_t i = 3; i < n; i++) {
			bool last = i == n - 1;

			if (kind == 1 && i == 5)
				h2_frame(&w, H2_PING, 0, 0, "01234567", 8);
			h2_frame(&w, H2_CONTINUATION,
				 last && kind != 2 ? H2_END_HEADERS : 0,
				 kind == 3 && i == 5 ? 3 : 1, block + i, 1);
			for (int j = 0; kind == 4 && i == 5 && j < 70; j++)
				h2_frame(&w, H2_CONTINUATION, 0, 1, "", 0);
		}
		o = feed_both(&w);
		assert_int_equal(o.requests, kind == 0);
		assert_int_equal(o.last, kind == 0 || kind == 2 ? H2_NEED_MORE :
								  H2_BAD);
	}
}

/* An index means what was said before, in whichever block. */
static void table(void **state)
{
	struct wbuf w = wbuf_make(bytes, sizeof(bytes));
	uint8_t block[256];
	struct wbuf b = wbuf_make(block, sizeof(block));
	struct outcome o;

	(void)state;
	h2_begin(&w);
	h2_block(&b, 0x40, GET A);
	h2_frame(&w, H2_HEADERS, LAST, 1, block, wbuf_len(&b));
	/* :method, :scheme and :path are 65 to 63, :authority is 62; the name
	 * of 62 with another value */
	h2_frame(&w, H2_HEADERS, LAST, 3, "\xc1\xc0\xbf\x7e\6b.test", 11);
	o = feed_both(&w);
	assert_int_equal(o.requests, 2);
	assert_string_equal(o.request.name, "b.test");
	/* which is now 62 itself */
	h2_frame(&w, H2_HEADERS, LAST, 5, "\xc2\xc1\xc0\xbf", 4);
	o = feed_both(&w);
	assert_int_equal(o.requests, 3);
	assert_string_equal(o.request.name, "a.test");
	/* a table of size 0 has nothing */
	h2_frame(&w, H2_HEADERS, LAST, 7, "\x20\xc2\xc1\xc0\xbf", 5);
	assert_int_equal(feed_both(&w).last, H2_BAD);
}

/* A body is as long as it was said to be. */
static void bodies(void **state)
{
	static const struct {
		size_t first, second;
		bool ok;
	} rows[] = {
		{ 2, 3, true },	 { 0, 5, true },  { 2, 2, false },
		{ 5, 1, false }, { 6, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int trailer = 0; trailer < 2; trailer++) {
			struct wbuf w = wbuf_make(bytes, sizeof(bytes));

			h2_begin(&w);
			h2_headers(&w, H2_END_HEADERS, 1,
				   GET A "|content-length=5");
			h2_frame(&w, H2_DATA, 0, 1, "123456", rows[i].first);
			h2_frame(&w, H2_DATA, trailer ? 0 : H2_END_STREAM, 1,
				 "123456", rows[i].second);
			if (trailer)
				h2_headers(&w, LAST, 1, "x=y");
			if ((feed_both(&w).last != H2_BAD) != rows[i].ok)
				fail_msg("row %zu, trailer %d", i, trailer);
		}
	}
}

/* What is given up counts no more; what is not, has its limit. */
static void many_bodies(void **state)
{
	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		struct wbuf w = wbuf_make(bytes, sizeof(bytes));

		h2_begin(&w);
		for (uint32_t id = 1; id < 400; id += 2) {
			h2_headers(&w, H2_END_HEADERS, id,
				   GET A "|content-length=5");
			if (reset)
				h2_frame(&w, H2_RST_STREAM, 0, id, "\0\0\0\0",
					 4);
		}
		assert_int_equal(feed_both(&w).last,
				 reset ? H2_NEED_MORE : H2_BAD);
	}
}

/* Small on the wire, huge when read; and simply huge. */
static void bombs(void **state)
{
	static uint8_t block[8192];
	static char big[3000];
	struct wbuf w = wbuf_make(bytes, sizeof(bytes));
	struct wbuf b = wbuf_make(block, sizeof(block));
	struct outcome o;

	(void)state;
	memset(big, 'x', sizeof(big));
	h2_begin(&w);
	h2_block(&b, 0, GET A);
	wbuf_bytes(&b, "\x40\1x\x7f\xb9\x16", 6); /* 3000 */
	wbuf_bytes(&b, big, sizeof(big));
	for (int i = 0; i < 100; i++)
		wbuf_u8(&b, 0xbe);
	h2_frame(&w, H2_HEADERS, LAST, 1, block, wbuf_len(&b));
	o = feed(false, bytes, wbuf_len(&w), wbuf_len(&w));
	assert_int_equal(o.last, H2_BAD);
	assert_string_equal(o.why, "too many headers");

	w = wbuf_make(bytes, sizeof(bytes));
	h2_begin(&w);
	wbuf_bytes(&w, "\1\0\0\1\5\0\0\0\1", 9); /* 65536 bytes */
	assert_int_equal(feed_both(&w).last, H2_BAD);
}

static void upgraded(void **state)
{
	struct wbuf w = wbuf_make(bytes, sizeof(bytes));
	struct outcome o;

	(void)state;
	h2_begin(&w);
	h2_headers(&w, LAST, 1, GET A);
	assert_int_equal(feed(true, bytes, wbuf_len(&w), 7).last, H2_BAD);
	w = wbuf_make(bytes, sizeof(bytes));
	h2_begin(&w);
	h2_headers(&w, LAST, 3, GET A);
	o = feed(true, bytes, wbuf_len(&w), 7);
	assert_int_equal(o.requests, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_fields),	 cmocka_unit_test(bad_fields),
		cmocka_unit_test(frames),	 cmocka_unit_test(beginnings),
		cmocka_unit_test(continuations), cmocka_unit_test(table),
		cmocka_unit_test(bodies),	 cmocka_unit_test(many_bodies),
		cmocka_unit_test(bombs),	 cmocka_unit_test(upgraded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
