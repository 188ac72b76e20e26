/* proxy_tls.c - ClientHellos whole, cut, spread, broken; the second one
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/tls.h"
#include "tests/unit/proxy_hello.h"

static uint8_t buf[128 << 10];

static void hellos(void **state)
{
	static const struct {
		struct hello_spec spec;
		enum tls_status status;
		const char *sni;
	} rows[] = {
		{ { .name = "a.test" }, TLS_OK, "a.test" },
		{ { .name = "A.tEST." }, TLS_OK, "a.test" },
		{ { .name = NULL }, TLS_OK, "" },
		{ { .name = "a.test", .ech = 1 }, TLS_OK, "a.test" },
		{ { .name = "a.test", .record = 1 }, TLS_OK, "a.test" },
		{ { .name = "a.test", .record = 7 }, TLS_OK, "a.test" },
		{ { .name = "a.test", .padding = 17000 }, TLS_OK, "a.test" },
		{ { .name = "a.test", .padding = 60000 }, TLS_OK, "a.test" },
		{ { .name = "a.test", .padding = 65500 }, TLS_BAD, "" },
		{ { .name = "a.test", .padding = 20000, .record = 1 },
		  TLS_BAD,
		  "" },
		{ { .name = "192.0.2.1" }, TLS_BAD, "" },
		{ { .name = "a b.test" }, TLS_BAD, "" },
		{ { .name = "a..test" }, TLS_BAD, "" },
		{ { .name = "" }, TLS_BAD, "" },
		{ { .name = "a.test", .second_name = "b.test" }, TLS_BAD, "" },
		{ { .name = "a.test", .twice = 1 }, TLS_BAD, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = hello_build(&rows[i].spec, buf, sizeof(buf));
		struct tls_hello h;
		enum tls_status s = tls_peek(buf, n, &h);

		if (n == 0 || s != rows[i].status)
			fail_msg("row %zu: %d", i, s);
		assert_string_equal(h.sni, rows[i].sni);
		if (s != TLS_OK)
			continue;
		assert_int_equal(h.len, n);
		assert_int_equal(h.has_ech, rows[i].spec.ech);
	}
}

/* Every length short of the whole asks for more, in any cut into records. */
static void truncated(void **state)
{
	static const size_t records[] = { 0, 1, 2, 3, 4, 5, 50 };

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		const struct hello_spec spec = { .name = "a.test",
						 .alpn = "h2",
						 .record = records[i] };
		size_t n = hello_build(&spec, buf, sizeof(buf));
		struct tls_hello h;

		for (size_t len = 0; len < n; len++)
			if (tls_peek(buf, len, &h) != TLS_NEED_MORE)
				fail_msg("record %zu, %zu of %zu bytes",
					 records[i], len, n);
		assert_int_equal(tls_peek(buf, n, &h), TLS_OK);
		assert_string_equal(h.alpn, "h2");
		/* what follows belongs to somebody else */
		buf[n] = 0x17;
		assert_int_equal(tls_peek(buf, n + 1, &h), TLS_OK);
		assert_int_equal(h.len, n);
	}
}

static void other_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum tls_status status;
	} rows[] = {
		{ "", 0, TLS_NEED_MORE },
		{ "G", 1, TLS_NOT_TLS },
		{ "\x16", 1, TLS_NEED_MORE },
		/* no version, but Go takes it in a first record */
		{ "\x16\x02", 2, TLS_BAD },
		{ "\x16\x00", 2, TLS_BAD },
		{ "\x16\x0f", 2, TLS_BAD },
		{ "\x16\x10", 2, TLS_NOT_TLS },
		{ "\x16\x03\x01\x00\x00", 5, TLS_BAD },		/* empty */
		{ "\x15\x03\x01\x00\x02\x01\x00", 7, TLS_BAD }, /* alert */
		{ "\x17\x03\x03\x00\x01z", 6, TLS_BAD },
		{ "\x16\x03\x01\xff\xff", 5, TLS_BAD },	    /* too long */
		{ "\x16\x03\x01\x00\x01\x02", 6, TLS_BAD }, /* other type */
		{ "\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9, TLS_BAD },
		{ "\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9, TLS_BAD },
		{ "\x16\x03\x01\x00\x02\x01\x00G", 8, TLS_BAD },
		{ "\x80\x2e\x01\x03\x01", 5, TLS_NOT_TLS }, /* SSL 2 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tls_hello h;
		enum tls_status s = tls_peek((const uint8_t *)rows[i].bytes,
					     rows[i].len, &h);

		if (s != rows[i].status)
			fail_msg("row %zu: %d", i, s);
	}
}

/* Every byte of a hello changed to every value: no crash, no other name
 * unless the name's own bytes changed. */
static void mutated(void **state)
{
	const struct hello_spec spec = { .name = "a.test", .alpn = "h2" };
	size_t n = hello_build(&spec, buf, sizeof(buf));
	uint8_t *name = memmem(buf, n, "a.test", 6);

	(void)state;
	assert_non_null(name);
	for (size_t i = 0; i < n; i++) {
		uint8_t was = buf[i];

		for (int v = 0; v < 256; v++) {
			struct tls_hello h;

			buf[i] = (uint8_t)v;
			if (tls_peek(buf, n, &h) != TLS_OK ||
			    (buf + i >= name && buf + i < name + 6))
				continue;
			if (h.sni[0] && strcmp(h.sni, "a.test") != 0)
				fail_msg("byte %zu = %d: \"%s\"", i, v, h.sni);
		}
		buf[i] = was;
	}
}

/* -- what follows the hello -- */

static const uint8_t retry_random[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

/* A server's first message, in records of `record` bytes, perhaps behind a
 * warning. */
static size_t server_says(bool retry, bool alert, size_t record)
{
	uint8_t body[44] = { 2, 0, 0, 40, 3, 3 };
	struct wbuf w = wbuf_make(buf, sizeof(buf));

	if (retry)
		memcpy(body + 6, retry_random, 32);
	if (alert)
		wbuf_bytes(&w, "\x15\x03\x03\x00\x02\x01\x70", 7);
	for (size_t at = 0; at < sizeof(body); at += record) {
		size_t n = sizeof(body) - at;

		if (n > record)
			n = record;
		wbuf_u8(&w, 22);
		wbuf_u16(&w, 0x0303);
		wbuf_u16(&w, (uint16_t)n);
		wbuf_bytes(&w, body + at, n);
	}
	return wbuf_len(&w);
}

static void server_judged(void **state)
{
	static const size_t records[] = { 44, 1, 3, 40 };
	struct tls_watch w;

	(void)state;
	for (int i = 0; i < 16; i++) {
		bool retry = i & 1, alert = i & 2;
		size_t n = server_says(retry, alert, records[i >> 2]);

		for (size_t step = 1; step <= n; step += 6) {
			tls_watch_init(&w);
			for (size_t at = 0; at < n; at += step)
				tls_watch_server(&w, buf + at,
						 n - at < step ? n - at : step);
			assert_int_equal(w.state, retry ? TLS_WATCH_SECOND :
							  TLS_WATCH_OVER);
		}
	}
	tls_watch_init(&w);
	tls_watch_server(&w, (const uint8_t *)"HTTP/1.1 400", 12);
	assert_int_equal(w.state, TLS_WATCH_BAD);
}

#define CCS "\x14\x03\x03\x00\x01\x01"
#define EARLY "\x17\x03\x03\x00\x03xyz"

/* What the client sends behind its hello: `tail`, then a hello for `name`. */
static size_t second_flight(const char *tail, size_t tail_len, const char *name)
{
	const struct hello_spec spec = { .name = name };

	memcpy(buf, tail, tail_len);
	return tail_len +
	       hello_build(&spec, buf + tail_len, sizeof(buf) - tail_len);
}

static void second_hello(void **state)
{
	static const char tail[] = CCS EARLY EARLY;
	const size_t tail_len = sizeof(tail) - 1;
	struct tls_watch w;
	size_t n, pass;

	(void)state;
	/* before the server answered: early data passes, a hello waits */
	tls_watch_init(&w);
	n = second_flight(tail, tail_len, "a.test");
	assert_int_equal(tls_watch_client(&w, "a.test", buf, n, &pass),
			 TLS_NEED_MORE);
	assert_int_equal(pass, tail_len);
	/* it wants a second one, with the same name */
	w.state = TLS_WATCH_SECOND;
	assert_int_equal(tls_watch_client(&w, "a.test", buf + pass, n - pass,
					  &pass),
			 TLS_OK);
	assert_int_equal(pass, n - tail_len);
	assert_int_equal(w.state, TLS_WATCH_OVER);
	/* another name, or none */
	for (int i = 0; i < 2; i++) {
		tls_watch_init(&w);
		w.state = TLS_WATCH_SECOND;
		n = second_flight(tail, tail_len, i ? "b.test" : NULL);
		assert_int_equal(tls_watch_client(&w, "a.test", buf, n, &pass),
				 TLS_BAD);
	}
	/* any cut of the flight */
	n = second_flight(tail, tail_len, "a.test");
	for (size_t cut = 0; cut <= n; cut++) {
		size_t first, rest;

		tls_watch_init(&w);
		w.state = TLS_WATCH_SECOND;
		assert_int_not_equal(tls_watch_client(&w, "a.test", buf, cut,
						      &first),
				     TLS_BAD);
		assert_int_equal(tls_watch_client(&w, "a.test", buf + first,
						  n - first, &rest),
				 TLS_OK);
		assert_int_equal(first + rest, n);
	}
	/* no second one is wanted: everything passes */
	tls_watch_init(&w);
	w.state = TLS_WATCH_OVER;
	n = second_flight(tail, tail_len, "b.test");
	assert_int_equal(tls_watch_client(&w, "a.test", buf, n, &pass), TLS_OK);
	assert_int_equal(pass, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos),	 cmocka_unit_test(truncated),
		cmocka_unit_test(other_bytes),	 cmocka_unit_test(mutated),
		cmocka_unit_test(server_judged), cmocka_unit_test(second_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
