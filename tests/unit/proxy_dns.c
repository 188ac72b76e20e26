/* proxy_dns.c - queries, replies, upstream answers, SVCB records
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "proxy/dns.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* flags, then the four counts */
#define HEAD(flags, counts) "\x12\x34" flags counts
#define ASKS "\0\1\0\0\0\0\0\0"
#define A_TEST "\1a\4test\0"
#define IN_A "\0\1\0\1"
#define BYTES(s)                 \
	{                        \
		s, sizeof(s) - 1 \
	}

struct bytes {
	const char *p;
	size_t len;
};

static void queries(void **state)
{
	static const struct {
		struct bytes q;
		enum dns_status status;
		const char *name;
	} rows[] = {
		{ BYTES(HEAD("\1\0", ASKS) A_TEST IN_A), DNS_IS_OK, "a.test" },
		{ BYTES(HEAD("\1\0", ASKS) "\1A\4tEsT\0" IN_A), DNS_IS_OK,
		  "a.test" },
		{ BYTES(HEAD("\1\0", ASKS) "\2_x\4test\0" IN_A), DNS_IS_OK,
		  "_x.test" },
		{ BYTES(HEAD("\x81\0", ASKS) A_TEST IN_A), DNS_IS_DROP, "" },
		{ BYTES("\x12\x34\1\0\0\1\0\0\0\0\0"), DNS_IS_DROP, "" },
		{ BYTES(HEAD("\x21\0", ASKS) A_TEST IN_A), DNS_IS_NOTIMP, "" },
		{ BYTES(HEAD("\x29\0", ASKS) A_TEST IN_A), DNS_IS_NOTIMP, "" },
		{ BYTES(HEAD("\1\0", "\0\0\0\0\0\0\0\0")), DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\2\0\0\0\0\0\0")
				A_TEST IN_A A_TEST IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\1\0\0\0\0") A_TEST IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\1\0\0") A_TEST IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", ASKS) A_TEST IN_A "x"), DNS_IS_FORMERR,
		  "" },
		{ BYTES(HEAD("\1\0", ASKS) A_TEST "\0\1"), DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", ASKS) "\xc0\x0c" IN_A), DNS_IS_FORMERR,
		  "" },
		{ BYTES(HEAD("\1\0", ASKS) "\1a\xc0\x0c" IN_A), DNS_IS_FORMERR,
		  "" },
		{ BYTES(HEAD("\1\0", ASKS) "\x40"
					   "a\0" IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", ASKS) "\x3f"
					   "a\0" IN_A),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", ASKS) A_TEST "\0\1\0\3"), DNS_IS_REFUSED,
		  "a.test" }, /* class CH */
		{ BYTES(HEAD("\1\0", ASKS) A_TEST "\0\1\0\xff"), DNS_IS_REFUSED,
		  "a.test" },
		{ BYTES(HEAD("\1\0", ASKS) A_TEST "\0\0\0\1"), DNS_IS_FORMERR,
		  "" }, /* type 0 */
		{ BYTES(HEAD("\1\0", ASKS) "\0" IN_A), DNS_IS_BAD_NAME, "" },
		{ BYTES(HEAD("\1\0", ASKS) "\3a.b\4test\0" IN_A),
		  DNS_IS_BAD_NAME, "" }, /* a dot in a label */
		{ BYTES(HEAD("\1\0", ASKS) "\3a b\4test\0" IN_A),
		  DNS_IS_BAD_NAME, "" },
		{ BYTES(HEAD("\1\0", ASKS) "\2a\0\4test\0" IN_A),
		  DNS_IS_BAD_NAME, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A
			"\0\0\x29\4\xd0\0\0\x80\0\0\0"),
		  DNS_IS_OK, "a.test" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A
			"\0\0\x29\4\xd0\0\0\0\0\0\6\0\x0a\0\2xy"),
		  DNS_IS_OK, "a.test" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A
			"\0\0\x29\4\xd0\0\1\0\0\0\0"),
		  DNS_IS_BADVERS, "a.test" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A
			"\0\0\x29\4\xd0\0\0\0\0\0\5\0\x0a\0\2x"),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\1") A_TEST IN_A
			"\0\0\x29\4\xd0\0\0\0\0\0\4\0\x0a\0\2"),
		  DNS_IS_FORMERR, "" },
		{ BYTES(HEAD("\1\0", "\0\1\0\0\0\0\0\2") A_TEST IN_A
			"\0\0\x29\4\xd0\0\0\0\0\0\0"
			"\0\0\x29\4\xd0\0\0\0\0\0\0"),
		  DNS_IS_FORMERR, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const uint8_t *p = (const uint8_t *)rows[i].q.p;
		struct dns_query q;
		enum dns_status s = dns_query_parse(p, rows[i].q.len, &q);

		if (s != rows[i].status)
			fail_msg("row %zu: %d", i, s);
		if (rows[i].name[0])
			assert_string_equal(q.name, rows[i].name);
		if (s != DNS_IS_OK)
			continue;
		assert_int_equal(q.id, 0x1234);
		assert_true(q.rd);
		/* every shorter length is refused */
		for (size_t len = 0; len < rows[i].q.len; len++)
			assert_int_not_equal(dns_query_parse(p, len, &q),
					     DNS_IS_OK);
	}
}

static void long_names(void **state)
{
	char name[LIMIT_NAME + 2], label[80];
	uint8_t buf[DNS_QUERY_MAX];
	struct dns_query q;
	size_t n;

	(void)state;
	/* 63 + 63 + 63 + 61 and three dots: as long as a name can be */
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[LIMIT_NAME] = '\0';
	n = dns_query_build(1, name, 1, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(dns_query_parse(buf, n, &q), DNS_IS_OK);
	assert_string_equal(q.name, name);
	name[LIMIT_NAME] = 'a';
	name[LIMIT_NAME + 1] = '\0';
	assert_int_equal(dns_query_build(1, name, 1, buf, sizeof(buf)), 0);
	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	assert_int_equal(dns_query_build(1, label, 1, buf, sizeof(buf)), 0);
	assert_int_equal(dns_query_build(1, "a..b", 1, buf, sizeof(buf)), 0);
	assert_int_equal(dns_query_build(1, "a.test", 1, buf, 20), 0);
}

static struct dns_query parsed(uint16_t qtype, bool edns, uint16_t size)
{
	struct wbuf w;
	uint8_t buf[128];
	struct dns_query q;

	w = wbuf_make(buf, sizeof(buf));
	wbuf_bytes(&w, "\x12\x34\1\x10\0\1\0\0\0\0\0", 11);
	wbuf_u8(&w, edns);
	wbuf_bytes(&w, "\1A\4tesT\0", 8);
	wbuf_u16(&w, qtype);
	wbuf_u16(&w, DNS_CLASS_IN);
	if (edns) {
		wbuf_bytes(&w, "\0\0\x29", 3);
		wbuf_u16(&w, size);
		wbuf_bytes(&w, "\0\0\0\0\0\0", 6);
	}
	assert_int_equal(dns_query_parse(buf, wbuf_len(&w), &q), DNS_IS_OK);
	return q;
}

static void replies(void **state)
{
	struct addr addrs[LIMIT_DNS_ADDRS];
	struct dns_query q = parsed(DNS_TYPE_AAAA, false, 0);
	struct dns_reply r = { .ttl_s = 60,
			       .addrs = addrs,
			       .ede = DNS_EDE_NONE };
	struct dns_answer a;
	uint8_t buf[4096];
	size_t n;

	(void)state;
	for (size_t i = 0; i < LIMIT_DNS_ADDRS; i++) {
		memset(&addrs[i], 0, sizeof(addrs[i]));
		addrs[i].b[0] = 0x20;
		addrs[i].b[15] = (uint8_t)(i + 1);
	}
	addrs[1] = addr_from_v4(0xc0000201);
	r.naddrs = 3;
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	/* the question as it was asked; QR, RD, CD, RA */
	assert_memory_equal(buf,
			    "\x12\x34\x81\x90\0\1\0\2\0\0\0\0\1A\4tesT\0"
			    "\0\x1c\0\1\xc0\x0c",
			    26);
	assert_true(
		dns_answer_parse(buf, n, NULL, "a.test", DNS_TYPE_AAAA, &a));
	assert_int_equal(a.naddrs, 2); /* not the IPv4 one */
	assert_int_equal(a.ttl_s, 60);
	q = parsed(DNS_TYPE_A, false, 0);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_true(dns_answer_parse(buf, n, NULL, "a.test", DNS_TYPE_A, &a));
	assert_int_equal(a.naddrs, 1);
	/* too much for 512 bytes, not for what EDNS says, nor for TCP */
	r.naddrs = LIMIT_DNS_ADDRS;
	q = parsed(DNS_TYPE_AAAA, false, 0);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_true(n <= 512 && (buf[2] & 2));
	assert_int_equal(buf[7], 0);
	n = dns_reply_build(&q, &r, false, buf, sizeof(buf));
	assert_true(n > 512 && !(buf[2] & 2));
	q = parsed(DNS_TYPE_AAAA, true, 1232);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_true(n > 512 && n <= 1232 && !(buf[2] & 2));
	q = parsed(DNS_TYPE_AAAA, true, 100); /* counts as 512 */
	assert_int_equal(q.udp_size, 512);
	/* another type: no data */
	q = parsed(16, false, 0);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_true(n > 0 && buf[7] == 0 && (buf[3] & 0xf) == 0);
	/* an error has no data either */
	q = parsed(DNS_TYPE_A, false, 0);
	r.rcode = DNS_NXDOMAIN;
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_true(buf[7] == 0 && (buf[3] & 0xf) == DNS_NXDOMAIN);
	assert_int_equal(dns_reply_build(&q, &r, true, buf, 11), 0);
}

static void extended_errors(void **state)
{
	struct dns_reply r = { .rcode = DNS_NXDOMAIN,
			       .ede = DNS_EDE_BLOCKED,
			       .ede_text = "why" };
	struct dns_query q = parsed(1, true, 1232);
	char text[600];
	uint8_t buf[1024];
	size_t n = dns_reply_build(&q, &r, true, buf, sizeof(buf));

	(void)state;
	assert_memory_equal(buf + n - 11,
			    "\0\x09\0\x0f\0\5\0\x0f"
			    "why",
			    11);
	/* one is understood only by who speaks EDNS */
	q = parsed(1, false, 0);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_int_equal(n, 12 + 12);
	/* cut, whatever the length */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	r.ede_text = text;
	q = parsed(1, true, 512);
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_int_equal(n, 12 + 12 + 11 + 6 + DNS_EDE_TEXT_MAX);
	r = (struct dns_reply){ .rcode = DNS_BADVERS, .ede = DNS_EDE_NONE };
	n = dns_reply_build(&q, &r, true, buf, sizeof(buf));
	assert_int_equal(buf[3] & 0xf, 0);
	assert_int_equal(buf[n - 6], 1); /* 16 >> 4 */
}

/* -- upstream answers -- */

#define SAYS(n) "\x12\x34\x81\x80\0\1\0" n "\0\0\0\0"
#define TTL60 "\0\0\0\x3c"
#define ME "\xc0\x0c" /* the asked name */
#define C(owner, target, len) owner "\0\5\0\1" TTL60 "\0" len target
#define A(owner, ttl, addr) owner "\0\1\0\1" ttl "\0\4" addr

static void answers(void **state)
{
	static const struct {
		struct bytes msg;
		bool ok;
		size_t naddrs, nchain;
		uint32_t ttl_s;
	} rows[] = {
		{ BYTES(SAYS("\1") A_TEST IN_A A(ME, TTL60, "\1\2\3\4")), 1, 1,
		  0, 60 },
		{ BYTES(SAYS("\1") "\1A\4TEST\0" IN_A A(ME, TTL60, "\1\2\3\4")),
		  1, 1, 0, 60 },
		{ BYTES(SAYS("\2") A_TEST IN_A A(ME, TTL60, "\1\2\3\4")
				A(ME, "\0\0\0\1", "\1\2\3\4")),
		  1, 1, 0, 1 },
		{ BYTES(SAYS("\1") A_TEST IN_A A(ME, "\x80\0\0\1", "\1\2\3\4")),
		  1, 1, 0, 0 },
		/* chains, in any order, by pointer and in full */
		{ BYTES(SAYS("\2") A_TEST IN_A C(ME, "\1b\xc0\x0e", "\4")
				A("\1b\4test\0", TTL60, "\1\2\3\4")),
		  1, 1, 1, 60 },
		{ BYTES(SAYS("\2")
				A_TEST IN_A A("\1b\4test\0", TTL60, "\1\2\3\4")
					C(ME, "\1b\xc0\x0e", "\4")),
		  1, 1, 1, 60 },
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, "\1b\xc0\x0e", "\4")), 1,
		  0, 1, 60 },
		/* of somebody else, another class, another type */
		{ BYTES(SAYS("\1") A_TEST IN_A A("\1b\4test\0", TTL60,
						 "\1\2\3\4")),
		  1, 0, 0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A ME "\0\1\0\3" TTL60
						  "\0\4\1\2\3\4"),
		  1, 0, 0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A ME "\0\x10\0\1" TTL60
						  "\0\3\2hi"),
		  1, 0, 0, 0 },
		/* the address stands under the end of the chain only */
		{ BYTES(SAYS("\2") A_TEST IN_A C(ME, "\1b\xc0\x0e", "\4")
				A(ME, TTL60, "\1\2\3\4")),
		  1, 0, 1, 60 },
		/* loops, bad targets */
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, ME, "\2")), 0, 0, 0, 0 },
		{ BYTES(SAYS("\2") A_TEST IN_A C(ME, "\1b\xc0\x0e", "\4")
				C("\1b\4test\0", ME, "\2")),
		  0, 0, 0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, "\0", "\1")), 0, 0, 0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, "\3a b\0", "\5")), 0, 0, 0,
		  0 },
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, "\1b\0x", "\4")), 0, 0, 0,
		  0 },
		{ BYTES(SAYS("\1") A_TEST IN_A C(ME, "\1b\xc0\xff", "\4")), 0,
		  0, 0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A C("\xc0\x18", ME, "\2")), 0, 0,
		  0, 0 },
		/* broken frames */
		{ BYTES(SAYS("\1") A_TEST IN_A A(ME, TTL60, "\1\2\3")), 0, 0, 0,
		  0 },
		{ BYTES(SAYS("\2") A_TEST IN_A A(ME, TTL60, "\1\2\3\4")), 0, 0,
		  0, 0 },
		{ BYTES(SAYS("\1") A_TEST IN_A ME "\0\1\0\1" TTL60
						  "\0\5\1\2\3\4\5"),
		  0, 0, 0, 0 },
		{ BYTES(SAYS("\0") A_TEST "\0\1"), 0, 0, 0, 0 },
		{ BYTES(SAYS("\0") "\1b\4test\0" IN_A), 0, 0, 0, 0 },
		{ BYTES(SAYS("\0") A_TEST "\0\x1c\0\1"), 0, 0, 0, 0 },
		{ BYTES("\x12\x35\x81\x80" ASKS A_TEST IN_A), 0, 0, 0, 0 },
		{ BYTES("\x12\x34\1\x80" ASKS A_TEST IN_A), 0, 0, 0, 0 },
		{ BYTES("\x12\x34\x91\x80" ASKS A_TEST IN_A), 0, 0, 0, 0 },
	};
	const uint16_t id = 0x1234;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dns_answer a;
		bool ok = dns_answer_parse((const uint8_t *)rows[i].msg.p,
					   rows[i].msg.len, &id, "a.test", 1,
					   &a);

		if (ok != rows[i].ok)
			fail_msg("row %zu: %d", i, ok);
		if (!ok)
			continue;
		assert_int_equal(a.naddrs, rows[i].naddrs);
		assert_int_equal(a.nchain, rows[i].nchain);
		assert_int_equal(a.ttl_s, rows[i].ttl_s);
		if (a.nchain > 0)
			assert_string_equal(a.chain[0], "b.test");
	}
}

/* A chain of `n` CNAMEs and an address, as an upstream would send it. */
static size_t chain_message(size_t n, uint8_t *buf, size_t size)
{
	struct wbuf w = wbuf_make(buf, size);

	wbuf_bytes(&w, "\x12\x34\x81\x80\0\1\0", 7);
	wbuf_u8(&w, (uint8_t)(n + 1));
	wbuf_u32(&w, 0);
	wbuf_bytes(&w, A_TEST IN_A, 12);
	for (size_t i = 0; i <= n; i++) {
		const char owner[4] = { 1, (char)('a' + i), '\xc0', 14 };
		const char target[4] = { 1, (char)('b' + i), '\xc0', 14 };

		wbuf_bytes(&w, owner, 4);
		wbuf_u16(&w, i < n ? 5 : 1);
		wbuf_u16(&w, 1);
		wbuf_u32(&w, (uint32_t)(100 - i));
		wbuf_u16(&w, 4);
		wbuf_bytes(&w, target, 4); /* or any address */
	}
	assert_false(w.bad);
	return wbuf_len(&w);
}

static void chains(void **state)
{
	uint8_t buf[1024];
	struct dns_answer a;

	(void)state;
	for (size_t n = 0; n <= 20; n++) {
		size_t len = chain_message(n, buf, sizeof(buf));
		bool ok = dns_answer_parse(buf, len, NULL, "a.test", 1, &a);

		assert_int_equal(ok, n <= LIMIT_CNAME_CHAIN);
		if (!ok)
			continue;
		assert_int_equal(a.nchain, n);
		assert_int_equal(a.naddrs, 1);
		assert_int_equal(a.ttl_s, 100 - n);
		for (size_t cut = 0; cut < len; cut++)
			assert_false(dns_answer_parse(buf, cut, NULL, "a.test",
						      1, &a));
	}
}

/* Priority 1, target "." unless said otherwise. */
#define P1 "\0\1\0"

static void svcb(void **state)
{
	static const struct {
		struct bytes in, out; /* out.p NULL: refused */
	} rows[] = {
		{ BYTES(P1), BYTES(P1) },
		{ BYTES("\0\0\1B\4Test\0"), BYTES("\0\0\1b\4test\0") },
		{ BYTES(P1 "\0\1\0\3\2h2"), BYTES(P1 "\0\1\0\3\2h2") },
		{ BYTES(P1 "\0\1\0\3\2h2\0\2\0\0"),
		  BYTES(P1 "\0\1\0\3\2h2\0\2\0\0") },
		{ BYTES(P1 "\0\3\0\2\x20\xfb\0\4\0\4abcd\0\5\0\3ech"
			   "\0\6\0\x10"
			   "0123456789abcdef"),
		  BYTES(P1) },
		{ BYTES(P1 "\0\1\0\3\2h2\x1f\xff\0\4data"),
		  BYTES(P1 "\0\1\0\3\2h2") },
		{ BYTES(P1 "\0\0\0\2\0\1\0\1\0\3\2h2"),
		  BYTES(P1 "\0\0\0\2\0\1\0\1\0\3\2h2") },
		{ BYTES(P1 "\0\0\0\4\0\1\0\3\0\1\0\3\2h2\0\3\0\2\0\1"),
		  BYTES(P1 "\0\0\0\2\0\1\0\1\0\3\2h2") },
		{ BYTES(P1 "\0\0\0\2\0\3\0\3\0\2\0\1"), BYTES(P1) },
		{ BYTES(P1 "\0\0\0\2\0\7\0\7\0\0"), { NULL, 0 } },
		{ BYTES(P1 "\0\0\0\2\0\3"), { NULL, 0 } }, /* missing */
		{ BYTES(P1 "\0\0\0\4\0\3\0\1\0\1\0\3\2h2\0\3\0\2\0\1"),
		  { NULL, 0 } },
		{ BYTES(P1 "\0\0\0\0"), { NULL, 0 } },
		{ BYTES(P1 "\0\0\0\1\0"), { NULL, 0 } },
		{ BYTES(P1 "\0\2\0\0"), { NULL, 0 } }, /* without alpn */
		{ BYTES(P1 "\0\1\0\3\2h2\0\2\0\1x"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0\3\3h2"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0\1\0"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0\0"), { NULL, 0 } },
		{ BYTES(P1 "\0\3\0\2\0\1\0\1\0\3\2h2"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0\3\2h2\0\1\0\3\2h2"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0\4\2h2"), { NULL, 0 } },
		{ BYTES(P1 "\0\1\0"), { NULL, 0 } },
		{ BYTES("\0\1\xc0\x0c"), { NULL, 0 } },
		{ BYTES("\0\1\3a b\0"), { NULL, 0 } },
		{ BYTES("\0"), { NULL, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t out[DNS_RDATA_MAX];
		size_t len = 0;
		bool ok = dns_svcb_strip((const uint8_t *)rows[i].in.p,
					 rows[i].in.len, out, &len);

		if (ok != (rows[i].out.p != NULL))
			fail_msg("row %zu: %d", i, ok);
		if (!ok)
			continue;
		assert_int_equal(len, rows[i].out.len);
		assert_memory_equal(out, rows[i].out.p, len);
	}
}

/* Of several the one that matters; an unusable one is passed over. */
static void svcb_answer(void **state)
{
	static const char msg[] = SAYS("\3") A_TEST
		"\0\x41\0\1" ME "\0\x41\0\1" TTL60 "\0\x0a\0\2\0\0\1\0\3\2h2" ME
		"\0\x41\0\1" TTL60 "\0\3\0\3\0" ME "\0\x41\0\1" TTL60
		"\0\7\0\1\0\0\2\0\0";
	struct dns_answer a;

	(void)state;
	assert_true(dns_answer_parse((const uint8_t *)msg, sizeof(msg) - 1,
				     NULL, "a.test", DNS_TYPE_HTTPS, &a));
	assert_int_equal(a.rdata_len, 10);
	assert_memory_equal(a.rdata, "\0\2\0\0\1\0\3\2h2", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries), cmocka_unit_test(long_names),
		cmocka_unit_test(replies), cmocka_unit_test(extended_errors),
		cmocka_unit_test(answers), cmocka_unit_test(chains),
		cmocka_unit_test(svcb),	   cmocka_unit_test(svcb_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
