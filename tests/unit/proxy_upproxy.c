/* proxy_upproxy.c - what is said to a proxy, and what is made of its answers
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/synth.h"
#include "proxy/upproxy_talk.h"

#define BYTES(s) s, sizeof(s) - 1

struct row {
	const char *url, *name, *to; /* to: address or NULL */
	uint16_t port;
	/* what is said, and answered, in turns */
	struct {
		const char *say;
		size_t say_len;
		const char *hear;
		size_t hear_len;
	} turns[4];
	size_t nturns;
	uint32_t failure;
};

static const struct row rows[] = {
	{ .url = "http://p",
	  .to = "203.0.113.1",
	  .port = 443,
	  .turns = { { BYTES("CONNECT 203.0.113.1:443 HTTP/1.1\r\n"
			     "Host: 203.0.113.1:443\r\n\r\n"),
		       BYTES("HTTP/1.1 200 Connection established\r\n"
			     "Content-Length: 5\r\n\r\n") } },
	  .nturns = 1 },
	{ .url = "http://Aladdin:open%20sesame@p",
	  .to = "2001:db8::1",
	  .port = 22,
	  .turns = { { BYTES("CONNECT [2001:db8::1]:22 HTTP/1.1\r\n"
			     "Host: [2001:db8::1]:22\r\n"
			     "Proxy-Authorization: Basic "
			     "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
		       BYTES("HTTP/1.0 200\n\n") } },
	  .nturns = 1 },
	{ .url = "http://p",
	  .name = "a.test",
	  .port = 8443,
	  .turns = { { BYTES("CONNECT a.test:8443 HTTP/1.1\r\n"
			     "Host: a.test:8443\r\n\r\n"),
		       BYTES("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
			     "HTTP/1.1 204 \r\n\r\n") } },
	  .nturns = 1 },
	{ .url = "socks5://p",
	  .to = "203.0.113.1",
	  .port = 443,
	  .turns = { { BYTES("\5\1\0"), BYTES("\5\0") },
		     { BYTES("\5\1\0\1\xcb\0\x71\1\1\xbb"),
		       BYTES("\5\0\0\1\1\2\3\4\5\6") } },
	  .nturns = 2 },
	{ .url = "socks5h://u:pw@p",
	  .name = "a.test",
	  .port = 80,
	  .turns = { { BYTES("\5\2\0\2"), BYTES("\5\2") },
		     { BYTES("\1\1u\2pw"), BYTES("\1\0") },
		     { BYTES("\5\1\0\3\6a.test\0\x50"),
		       BYTES("\5\0\0\3\3abc\0\1") } },
	  .nturns = 3 },
	{ .url = "socks5://u:pw@p",
	  .to = "2001:db8::1",
	  .port = 1,
	  .turns = { { BYTES("\5\2\0\2"), BYTES("\5\0") },
		     { BYTES("\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
			     "\0\1"),
		       BYTES("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") } },
	  .nturns = 2 },
};

static void begin(struct upproxy_talk *t, struct upproxy *u,
		  const struct row *row)
{
	struct upproxy_error e;
	struct endpoint to = { .port = row->port };
	const char *p = row->to;

	assert_int_equal(upproxy_parse(row->url, u, &e), 0);
	if (p)
		assert_true(addr_parse(&p, &to.addr));
	upproxy_talk_begin(t, u, row->name, &to);
}

/* Bytes in pieces of `piece`; `more` are the target's, and must be left. */
static enum upproxy_status hear(struct upproxy_talk *t, const char *data,
				size_t len, size_t piece, size_t more)
{
	enum upproxy_status r = UPPROXY_MORE;
	size_t done = 0;

	while (r == UPPROXY_MORE && done < len) {
		size_t n = len - done < piece ? len - done : piece, used;

		r = upproxy_talk_take(t, data + done, n, &used);
		assert_true(used <= n);
		done += used;
	}
	if (r == UPPROXY_DONE)
		assert_int_equal(done, len - more);
	return r;
}

static void test_talks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece < 80; piece++) {
			enum upproxy_status r = UPPROXY_MORE;
			struct upproxy_talk t;
			struct upproxy u;

			begin(&t, &u, &rows[i]);
			for (size_t k = 0; k < rows[i].nturns; k++) {
				size_t len;
				const void *out = upproxy_talk_out(&t, &len);
				char in[128];
				bool last = k + 1 == rows[i].nturns;
				size_t n = rows[i].turns[k].hear_len;

				assert_int_equal(len, rows[i].turns[k].say_len);
				assert_memory_equal(out, rows[i].turns[k].say,
						    len);
				upproxy_talk_sent(&t, len);
				memcpy(in, rows[i].turns[k].hear, n);
				memcpy(in + n, "SSH", 3);
				assert_int_equal(r, UPPROXY_MORE);
				r = hear(&t, in, n + (last ? 3 : 0), piece,
					 last ? 3 : 0);
			}
			assert_int_equal(r, UPPROXY_DONE);
		}
	}
}

#define HTTP(n) ((uint32_t)UPPROXY_F_HTTP << 16 | (n))
#define F(kind, n) ((uint32_t)UPPROXY_F_##kind << 16 | (n))

static const struct {
	const char *url, *hear;
	size_t len;
	uint32_t failure;
	int error;
	const char *text;
} failures[] = {
	{ "http://p",
	  BYTES("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n"),
	  HTTP(407), EACCES, "HTTP 407, it wants other credentials" },
	{ "http://p",
	  BYTES("HTTP/1.1 407 x\r\nproxy-authenticate:\tNTLM\r\n"
		"Proxy-Authenticate: Negotiate\r\n\r\n"),
	  F(AUTH, 407), EACCES, "does not take Basic" },
	{ "http://p",
	  BYTES("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n"
		"Proxy-Authenticate: basic realm=x\r\n\r\n"),
	  HTTP(407), EACCES, "HTTP 407" },
	{ "http://p", BYTES("HTTP/1.1 403 no\r\n\r\n"), HTTP(403), EACCES,
	  "not allowed there" },
	{ "http://p", BYTES("HTTP/1.1 502 no\r\n\r\n"), HTTP(502), EHOSTUNREACH,
	  "could not reach" },
	{ "http://p", BYTES("HTTP/1.1 504\r\n\r\n"), HTTP(504), ETIMEDOUT,
	  "did not answer" },
	{ "http://p", BYTES("HTTP/1.1 301 x\r\nLocation: http://evil/\r\n\r\n"),
	  HTTP(301), EHOSTUNREACH, "HTTP 301" },
	{ "http://p", BYTES("HTTP/1.1 101 x\r\n\r\n"), HTTP(101), EHOSTUNREACH,
	  "HTTP 101" },
	{ "http://p", BYTES("SSH-2.0-x"), F(NONSENSE, 0), EPROTO,
	  "does not speak" },
	{ "http://p", BYTES("HTTP/2 200\r\n"), F(NONSENSE, 0), EPROTO, "" },
	{ "http://p", BYTES("HTTP/1.1 2000 x\r\n"), F(NONSENSE, 0), EPROTO,
	  "" },
	{ "http://p", BYTES("HTTP/1.1 20 x\r\n"), F(NONSENSE, 0), EPROTO, "" },
	{ "http://p", BYTES("HTTP/1.1 000 x\r\n"), F(NONSENSE, 0), EPROTO, "" },
	{ "http://p", BYTES("\r\n"), F(NONSENSE, 0), EPROTO, "" },
	{ "socks5://p", BYTES("\4\0"), F(NONSENSE, 0), EPROTO, "" },
	{ "socks5://p", BYTES("\5\xff"), F(METHOD, 255), EACCES,
	  "none of our ways" },
	{ "socks5://p", BYTES("\5\2"), F(METHOD, 2), EACCES, "" },
	{ "socks5://p", BYTES("HTTP/1.1 400"), F(NONSENSE, 0), EPROTO, "" },
	{ "socks5://p", BYTES("\5\0\5\0"), F(NONSENSE, 0), EPROTO, "" },
};

static void test_failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const struct row row = { .url = failures[i].url,
					 .name = "a.test",
					 .port = 1 };
		char text[UPPROXY_FAILURE_TEXT];
		struct upproxy_talk t;
		struct upproxy u;
		size_t len;

		print_message("%zu\n", i);
		begin(&t, &u, &row);
		(void)upproxy_talk_out(&t, &len);
		upproxy_talk_sent(&t, len);
		assert_int_equal(hear(&t, failures[i].hear, failures[i].len, 7,
				      0),
				 UPPROXY_FAILED);
		assert_int_equal(t.failure, failures[i].failure);
		assert_true(upproxy_failure_valid(t.failure));
		assert_int_equal(upproxy_failure_errno(t.failure),
				 failures[i].error);
		assert_non_null(strstr(upproxy_failure_text(t.failure, text),
				       failures[i].text));
	}
	assert_false(upproxy_failure_valid(F(LAST, 0) + (1 << 16)));
}

/* What no proxy says itself: TLS to it failed before. */
static const struct {
	uint32_t failure;
	int error;
	bool final; /* whatever the target */
	const char *text;
} tls_failures[] = {
	{ F(TLS_NONSENSE, 0), EPROTO, true, "does not speak TLS" },
	{ F(TLS_OLD, 0), EPROTO, true, "older than 1.2" },
	{ F(TLS_CERTIFICATE, UPPROXY_C_EXPIRED), EACCES, true, "has expired" },
	{ F(TLS_CERTIFICATE, UPPROXY_C_EARLY), EACCES, true, "not valid yet" },
	{ F(TLS_CERTIFICATE, UPPROXY_C_WEAK), EACCES, true, "too weak" },
	{ F(TLS_CERTIFICATE, 999), EACCES, true, "cannot be verified" },
	{ F(TLS_ALERT, 70), EPROTO, true, "TLS alert 70, its TLS is older" },
	{ F(TLS_ALERT, 80), EPROTO, true, "TLS alert 80" },
	{ F(TLS_LOST, ECONNRESET), ECONNRESET, false, "closed in the" },
	{ F(TLS_LATE, 0), ETIMEDOUT, false, "in time" },
	{ F(TLS_LIMIT, 0), ENOBUFS, false, "too many" },
};

static void test_tls_failures(void **state)
{
	const size_t n = sizeof(tls_failures) / sizeof(tls_failures[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const uint32_t failure = tls_failures[i].failure;
		char text[UPPROXY_FAILURE_TEXT];

		assert_true(upproxy_failure_valid(failure));
		assert_int_equal(upproxy_failure_errno(failure),
				 tls_failures[i].error);
		assert_int_equal(upproxy_failure_final(failure),
				 tls_failures[i].final);
		assert_non_null(strstr(upproxy_failure_text(failure, text),
				       tls_failures[i].text));
	}
}

/* A head without an end is not heard for ever. */
static void test_endless(void **state)
{
	const struct row row = { .url = "http://p", .name = "a", .port = 1 };
	static const char begins[] = "HTTP/1.1 200 x\r\n";
	enum upproxy_status r;
	struct upproxy_talk t;
	struct upproxy u;
	size_t used, all = 0;

	(void)state;
	begin(&t, &u, &row);
	r = upproxy_talk_take(&t, BYTES(begins), &used);
	while (r == UPPROXY_MORE) {
		r = upproxy_talk_take(&t, "xxxxxxxxxxxxxxx", 15, &used);
		all += used;
		assert_true(all <= UPPROXY_HEAD_MAX);
	}
	assert_int_equal(r, UPPROXY_FAILED);
	assert_int_equal(t.failure, F(NONSENSE, 0));
}

static void test_synth(void **state)
{
	struct addr a, b, again;
	char *old, name[32];
	struct synth *s;

	(void)state;
	assert_int_equal(synth_new(&s), 0);
	assert_int_equal(synth_get(s, "a.test", &a, &old), 0);
	assert_null(old);
	assert_true(synth_is(&a));
	assert_int_equal(synth_get(s, "b.test", &b, &old), 0);
	assert_false(addr_equal(&a, &b));
	assert_string_equal(synth_name(s, &a), "a.test");
	assert_string_equal(synth_name(s, &b), "b.test");
	for (int i = 2; i < LIMIT_SYNTH; i++) {
		(void)snprintf(name, sizeof(name), "%d.test", i);
		assert_int_equal(synth_get(s, name, &again, &old), 0);
		assert_null(old);
		assert_true(synth_is(&again));
	}
	assert_int_equal(synth_get(s, "a.test", &again, &old), 0);
	assert_true(addr_equal(&a, &again));
	/* b.test was asked for the longest time ago */
	assert_int_equal(synth_get(s, "c.test", &again, &old), 0);
	assert_true(addr_equal(&b, &again));
	assert_string_equal(old, "b.test");
	free(old);
	assert_string_equal(synth_name(s, &b), "c.test");
	again = addr_from_v4(0xc6130000 + 0xffff);
	assert_true(synth_is(&again));
	assert_null(synth_name(s, &again));
	again = addr_from_v4(0xc6120000);
	assert_null(synth_name(s, &again));
	again = addr_from_v4(0xc6140001);
	assert_false(synth_is(&again));
	synth_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talks),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_tls_failures),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_synth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
