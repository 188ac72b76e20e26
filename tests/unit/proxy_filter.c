/* proxy_filter.c - what of a client's bytes goes on, step by step
 * SPDX-License-Identifier: Apache-2.0
 *
 * A script is a string of steps: what the client or the server sends, and
 * what the filter must say to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/filter.h"
#include "tests/unit/proxy_hello.h"

#define GET(name) "GET / HTTP/1.1\r\nHost: " name "\r\n\r\n"
#define WS_ANSWER                                  \
	"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define H2C_ANSWER "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define CHAT(kind)                           \
	"GET / HTTP/1.1\r\nHost: a.test\r\n" \
	"Upgrade: " kind "\r\n\r\n"

enum who { END, CLIENT, SERVER, ALLOW, ADMIT, ENDED };

struct step {
	enum who who;
	const char *bytes;
	enum filter_step says; /* CLIENT */
	const char *name;      /* ASK */
	enum policy_learnt learnt;
	enum policy_reason reason; /* REFUSE */
};

#define SAY(b)                                     \
	{                                          \
		CLIENT, b, FILTER_PASS, NULL, 0, 0 \
	}
#define HOLD(b)                                    \
	{                                          \
		CLIENT, b, FILTER_HOLD, NULL, 0, 0 \
	}
#define ASK(b, name, learnt)                           \
	{                                              \
		CLIENT, b, FILTER_ASK, name, learnt, 0 \
	}
#define REFUSE(b, reason)                                 \
	{                                                 \
		CLIENT, b, FILTER_REFUSE, NULL, 0, reason \
	}
#define ANSWERS(b)                       \
	{                                \
		SERVER, b, 0, NULL, 0, 0 \
	}
#define ALLOWED                                    \
	{                                          \
		ALLOW, "", FILTER_PASS, NULL, 0, 0 \
	}

struct script {
	enum policy_carry carry;
	struct step steps[8];
};

static void play(size_t row, const struct script *s)
{
	static uint8_t window[8192];
	static struct filter f;
	size_t held = 0;

	filter_init(&f, s->carry);
	for (const struct step *st = s->steps; st->who != END; st++) {
		size_t n = strlen(st->bytes), pass;
		enum filter_step says;

		if (st->who == SERVER) {
			(void)filter_server(&f, (const uint8_t *)st->bytes, n);
			continue;
		}
		if (st->who == ADMIT) {
			filter_admit(&f);
			continue;
		}
		if (st->who == ALLOW)
			filter_allowed(&f);
		if (st->who == ENDED)
			filter_client_ended(&f);
		memcpy(window + held, st->bytes, n);
		held += n;
		says = filter_client(&f, window, held, &pass);
		if (says != st->says)
			fail_msg("row %zu step %td: %d (%s)", row,
				 st - s->steps, says, f.why ? f.why : "");
		held -= pass;
		memmove(window, window + pass, held);
		if (says == FILTER_ASK) {
			assert_string_equal(f.name, st->name);
			if (f.learnt != st->learnt)
				fail_msg("row %zu: learnt %d", row, f.learnt);
		}
		if (says == FILTER_REFUSE && f.reason != st->reason)
			fail_msg("row %zu: reason %d", row, f.reason);
		if (says == FILTER_PASS)
			assert_int_equal(held, 0);
	}
	filter_done(&f);
}

static void http_scripts(void **state)
{
	static const struct script rows[] = {
		{ POLICY_CARRY_HTTP,
		  { HOLD("GET / "), HOLD("HTTP/1.1\r\nHost: a.t"),
		    ASK("est\r\n\r\n", "a.test", POLICY_NAME_HOST), ALLOWED,
		    SAY(GET("A.test")),
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test") GET("b.test"), "a.test", POLICY_NAME_HOST),
		    { ALLOW, "", FILTER_ASK, "b.test", POLICY_NAME_HOST, 0 },
		    ALLOWED } },
		/* no name: not even by the pin */
		{ POLICY_CARRY_HTTP,
		  { ASK("GET / HTTP/1.0\r\n\r\n", "", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("192.0.2.1"), "", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_PINNED,
		  { ASK("GET / HTTP/1.0\r\n\r\n", "", POLICY_NAME_PIN) } },
		{ POLICY_CARRY_PINNED,
		  { ASK(GET("192.0.2.1"), "", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_ANY,
		  { ASK(GET("192.0.2.1"), "", POLICY_NAME_NONE) } },
		{ POLICY_CARRY_HTTP,
		  { REFUSE("CONNECT a.test:443 HTTP/1.1\r\n"
			   "Host: a.test:443\r\n\r\n",
			   POLICY_R_PROTOCOL) } },
		{ POLICY_CARRY_ANY,
		  { ASK("CONNECT a.test:443 HTTP/1.1\r\n"
			"Host: a.test:443\r\n\r\n",
			"a.test", POLICY_NAME_HOST),
		    ALLOWED, SAY("\1\2\3") } },
		{ POLICY_CARRY_HTTP,
		  { ASK("POST / HTTP/1.1\r\nHost: a.test\r\n"
			"Transfer-Encoding: chunked\r\n\r\n",
			"a.test", POLICY_NAME_HOST),
		    ALLOWED, SAY("5\r\nGET /\r\n0\r\n\r\n"), SAY(GET("a.test")),
		    REFUSE("\r\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK("POST / HTTP/1.1\r\nHost: a.test\r\n"
			"Transfer-Encoding: chunked\r\n\r\n",
			"a.test", POLICY_NAME_HOST),
		    ALLOWED, REFUSE("x\r\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    REFUSE("EHLO x\r\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    REFUSE("PRI * HTTP/2.0\r\n", POLICY_R_MALFORMED) } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(i, &rows[i]);
}

static void upgrade_scripts(void **state)
{
	static const struct script rows[] = {
		/* a second request: "101" may be of the first one's answer */
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 200 OK\r\n\r\n"), SAY(CHAT("websocket")),
		    ANSWERS("HTTP/1.1 101 of the body"),
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    SAY(CHAT("websocket")), ANSWERS(WS_ANSWER),
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("websocket"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    HOLD("\x81\1"), ANSWERS("HTTP/1.1 101 x\r\nUpg"), HOLD("z"),
		    ANSWERS("rade: WebSocket\r\nSec-WebSocket-Accept: "
			    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
		    SAY("\x81\1") } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("websocket"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS(WS_ANSWER), SAY("\x81\1z") } },
		/* a status that some page was asked for */
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("websocket"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 101 x\r\nContent-Length: 0\r\n\r\n"),
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("websocket"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS(H2C_ANSWER),
		    REFUSE("\x81\1", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("websocket"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 200 OK\r\n"), SAY(GET("a.test")),
		    REFUSE("\x81\1", POLICY_R_MALFORMED) } },
		/* h2c: HTTP/2 behind a switch and nothing else, else HTTP/1 */
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("h2c"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    HOLD(PREFACE), ANSWERS(H2C_ANSWER), SAY(""),
		    HOLD("\1\1\1") } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("h2c"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS(H2C_ANSWER),
		    REFUSE(GET("a.test"), POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("h2c"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 200 OK\r\n"),
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("h2c"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 200 OK\r\n"),
		    REFUSE(PREFACE, POLICY_R_MALFORMED) } },
		/* a later one is not followed: its preface is refused */
		{ POLICY_CARRY_HTTP,
		  { ASK(GET("a.test"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 200 OK\r\n\r\n"), SAY(CHAT("h2c")),
		    ANSWERS(H2C_ANSWER),
		    REFUSE(PREFACE, POLICY_R_MALFORMED) } },
		/* a body that would be HTTP/2 for who switches too early */
		{ POLICY_CARRY_HTTP,
		  { ASK("POST / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\n"
			"Content-Length: 99\r\n\r\n",
			"a.test", POLICY_NAME_HOST),
		    ALLOWED, SAY("PRI * "),
		    REFUSE("HTTP/2.0\r\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_HTTP,
		  { ASK("POST / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\n"
			"Content-Length: 4\r\n\r\nPRIx",
			"a.test", POLICY_NAME_HOST),
		    ALLOWED, HOLD(PREFACE), ANSWERS(H2C_ANSWER), SAY("") } },
		/* a switch that nobody asked for opens nothing */
		{ POLICY_CARRY_HTTP,
		  { ASK(CHAT("other/1"), "a.test", POLICY_NAME_HOST), ALLOWED,
		    ANSWERS("HTTP/1.1 101 x\r\n"),
		    REFUSE("\x81\1", POLICY_R_MALFORMED) } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(i, &rows[i]);
}

/* What the client's end makes of too few bytes. */
static void end_scripts(void **state)
{
	static const struct script rows[] = {
		{ POLICY_CARRY_PINNED,
		  { HOLD("abc"),
		    { ENDED, "", FILTER_ASK, "", POLICY_NAME_PIN, 0 },
		    ALLOWED } },
		{ POLICY_CARRY_ANY,
		  { HOLD("abc"),
		    { ENDED, "", FILTER_ASK, "", POLICY_NAME_NONE, 0 },
		    ALLOWED } },
		{ POLICY_CARRY_PINNED,
		  { HOLD("GET /"), { ENDED, "", FILTER_HOLD, NULL, 0, 0 } } },
		{ POLICY_CARRY_PINNED,
		  { HOLD("\x16\3\1"),
		    { ENDED, "", FILTER_HOLD, NULL, 0, 0 } } },
		{ POLICY_CARRY_HTTP,
		  { HOLD("abc"), { ENDED, "", FILTER_HOLD, NULL, 0, 0 } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(i, &rows[i]);
}

static void other_scripts(void **state)
{
	static const struct script rows[] = {
		{ POLICY_CARRY_PINNED,
		  { ASK("SSH-2.0-x\r\n", "", POLICY_NAME_PIN), ALLOWED,
		    SAY(GET("b.test")) } },
		{ POLICY_CARRY_ANY,
		  { ASK("\1\2\3", "", POLICY_NAME_NONE), ALLOWED, SAY("x") } },
		{ POLICY_CARRY_TLS,
		  { REFUSE("SSH-2.0-x\r\n", POLICY_R_PROTOCOL) } },
		{ POLICY_CARRY_HTTP, { REFUSE("\1", POLICY_R_PROTOCOL) } },
		/* the server spoke first; the first bytes come late */
		{ POLICY_CARRY_PINNED,
		  { { ADMIT, "", 0, NULL, 0, 0 },
		    SAY("USER x\r\n"),
		    SAY(GET("b.test")) } },
		{ POLICY_CARRY_PINNED,
		  { { ADMIT, "", 0, NULL, 0, 0 },
		    ASK(GET("b.test"), "b.test", POLICY_NAME_HOST) } },
		{ POLICY_CARRY_PINNED,
		  { { ADMIT, "", 0, NULL, 0, 0 }, HOLD("G") } },
		/* first bytes that a lenient server would skip */
		{ POLICY_CARRY_PINNED, { REFUSE("\r\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_PINNED, { REFUSE("\n\n", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_PINNED, { REFUSE(" ", POLICY_R_MALFORMED) } },
		{ POLICY_CARRY_PINNED,
		  { HOLD("\x16"), HOLD("\3"),
		    REFUSE("\1\x7f\xff", POLICY_R_MALFORMED) } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(i, &rows[i]);
}

/* The whole way of a hello for `name` and `second`, with a retry between. */
static void tls_second(void **state)
{
	static uint8_t hello[1024], retry[64], second[1024];
	const struct hello_spec a = { .name = "a.test" },
				b = { .name = "b.test" };
	struct wbuf w = wbuf_make(retry, sizeof(retry));
	static struct filter f;
	size_t n = hello_build(&a, hello, sizeof(hello)), m, pass;

	(void)state;
	wbuf_bytes(&w, "\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03", 11);
	wbuf_bytes(&w,
		   "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e"
		   "\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09"
		   "\xe2\xc8\xa8\x33\x9c",
		   32);
	wbuf_bytes(&w, "\x00\x13\x01\x00\x00\x00", 6);
	for (int same = 0; same < 2; same++) {
		m = hello_build(same ? &a : &b, second, sizeof(second));
		filter_init(&f, POLICY_CARRY_TLS);
		assert_int_equal(filter_client(&f, hello, n, &pass),
				 FILTER_ASK);
		assert_string_equal(f.name, "a.test");
		filter_allowed(&f);
		assert_int_equal(filter_client(&f, hello, n, &pass),
				 FILTER_PASS);
		/* ahead of the server's answer it waits */
		assert_int_equal(filter_client(&f, second, m, &pass),
				 FILTER_HOLD);
		assert_int_equal(pass, 0);
		assert_true(filter_waits_for_server(&f));
		assert_true(filter_server(&f, retry, wbuf_len(&w)));
		assert_int_equal(filter_client(&f, second, m, &pass),
				 same ? FILTER_PASS : FILTER_REFUSE);
		assert_int_equal(pass, same ? m : 0);
	}
	/* no retry: everything passes */
	filter_init(&f, POLICY_CARRY_TLS);
	(void)filter_client(&f, hello, n, &pass);
	filter_allowed(&f);
	(void)filter_client(&f, hello, n, &pass);
	retry[11] ^= 1;
	assert_true(filter_server(&f, retry, wbuf_len(&w)));
	assert_int_equal(filter_client(&f, second, m, &pass), FILTER_PASS);
	assert_int_equal(f.mode, FILTER_OPAQUE);
}

static void tls_without_name(void **state)
{
	static const enum policy_learnt learnt[] = {
		[POLICY_CARRY_ANY] = POLICY_NAME_NONE,
		[POLICY_CARRY_TLS] = POLICY_NAME_SNI,
		[POLICY_CARRY_PINNED] = POLICY_NAME_PIN,
	};
	static const enum policy_carry carries[] = { POLICY_CARRY_ANY,
						     POLICY_CARRY_TLS,
						     POLICY_CARRY_PINNED };
	const struct hello_spec none = { .name = NULL };
	static uint8_t hello[512];
	size_t n = hello_build(&none, hello, sizeof(hello)), pass;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		static struct filter f;

		filter_init(&f, carries[i]);
		assert_int_equal(filter_client(&f, hello, n, &pass),
				 FILTER_ASK);
		assert_string_equal(f.name, "");
		assert_int_equal(f.learnt, learnt[carries[i]]);
	}
}

static void responses(void **state)
{
	static struct filter f;
	const char *get = GET("a.test");
	size_t n = strlen(get), pass;

	(void)state;
	filter_init(&f, POLICY_CARRY_HTTP);
	assert_false(filter_may_respond(&f));
	(void)filter_client(&f, (const uint8_t *)get, n, &pass);
	assert_true(filter_may_respond(&f));
	filter_allowed(&f);
	(void)filter_client(&f, (const uint8_t *)get, n, &pass);
	assert_false(filter_may_respond(&f));
	(void)filter_server(&f, (const uint8_t *)"HTTP/1.1 200\r\n", 14);
	assert_true(filter_may_respond(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_scripts),
		cmocka_unit_test(upgrade_scripts),
		cmocka_unit_test(end_scripts),
		cmocka_unit_test(other_scripts),
		cmocka_unit_test(tls_second),
		cmocka_unit_test(tls_without_name),
		cmocka_unit_test(responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
