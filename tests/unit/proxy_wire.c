/* proxy_wire.c - messages between front and dialer; raw UDP packets
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/ask.h"
#include "proxy/packet.h"

static struct endpoint endpoint(const char *address, uint16_t port)
{
	struct endpoint ep = { .port = port };

	assert_true(addr_parse(&address, &ep.addr) && !*address);
	return ep;
}

static void asks(void **state)
{
	struct ask in = { .id = 7,
			  .posture = 3,
			  .proto = RULE_UDP,
			  .learnt = POLICY_NAME_PROXY,
			  .qtype = 65 },
		   out;
	static const char *const bad_names[] = { "A.test",    "a.test.", "a b",
						 "192.0.2.1", "a..b",	 "." };
	struct sbuf b;

	(void)state;
	in.to = endpoint("2001:db8::1", 443);
	(void)snprintf(in.name, sizeof(in.name), "a.test");
	sbuf_init(&b, 4096);
	ask_encode(&in, &b);
	assert_true(ask_decode(b.s, b.len, &out));
	assert_int_equal(out.id, 7);
	assert_int_equal(out.posture, 3);
	assert_int_equal(out.proto, RULE_UDP);
	assert_int_equal(out.learnt, POLICY_NAME_PROXY);
	assert_int_equal(out.qtype, 65);
	assert_string_equal(out.name, "a.test");
	assert_memory_equal(&out.to, &in.to, sizeof(in.to));
	for (size_t len = 0; len < b.len; len++)
		assert_false(ask_decode(b.s, len, &out));
	sbuf_u8(&b, 0);
	assert_false(ask_decode(b.s, b.len, &out));
	sbuf_done(&b);
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		(void)snprintf(in.name, sizeof(in.name), "%s", bad_names[i]);
		ask_encode(&in, &b);
		if (ask_decode(b.s, b.len, &out))
			fail_msg("name \"%s\"", bad_names[i]);
		sbuf_done(&b);
	}
	in.name[0] = '\0';
	ask_encode(&in, &b);
	assert_true(ask_decode(b.s, b.len, &out));
	b.s[8] = RULE_TCP_UDP; /* one of the two, never both */
	assert_false(ask_decode(b.s, b.len, &out));
	b.s[8] = 0;
	assert_false(ask_decode(b.s, b.len, &out));
	sbuf_done(&b);
}

static void answers(void **state)
{
	static struct answer in = { .id = 9,
				    .allow = true,
				    .error = 111,
				    .reason = POLICY_R_LIMIT,
				    .rule = "a.test:22",
				    .hint = "",
				    .name = "a.test" },
			     out;
	struct sbuf b;

	(void)state;
	in.peer = endpoint("192.0.2.1", 22);
	sbuf_init(&b, 4096);
	answer_encode(&in, &b);
	assert_true(answer_decode(b.s, b.len, &out));
	assert_true(out.allow);
	assert_int_equal(out.error, 111);
	assert_int_equal(out.reason, POLICY_R_LIMIT);
	assert_string_equal(out.rule, "a.test:22");
	assert_string_equal(out.name, "a.test");
	assert_memory_equal(&out.peer, &in.peer, sizeof(in.peer));
	for (size_t len = 0; len < b.len; len++)
		assert_false(answer_decode(b.s, len, &out));
	b.s[4] = 2; /* a verdict is yes or no */
	assert_false(answer_decode(b.s, b.len, &out));
	b.s[4] = 1;
	b.s[9] = POLICY_R_LAST + 1;
	assert_false(answer_decode(b.s, b.len, &out));
	b.s[9] = 0;
	b.s[5] = '\x80'; /* an errno is positive */
	assert_false(answer_decode(b.s, b.len, &out));
	sbuf_done(&b);
}

static void lookups(void **state)
{
	static struct answer_resolve in = { .id = 9,
					    .allow = true,
					    .rcode = 3,
					    .ttl_s = 300,
					    .rule = "*.a.test",
					    .chain = "b.test c.test",
					    .naddrs = LIMIT_DNS_ADDRS,
					    .rdata_len = sizeof(in.rdata) },
				     out;
	struct sbuf b;

	(void)state;
	in.addrs[LIMIT_DNS_ADDRS - 1] = endpoint("192.0.2.1", 0).addr;
	in.rdata[511] = 77;
	sbuf_init(&b, 1 << 15);
	answer_resolve_encode(&in, &b);
	assert_true(b.len <= MSG_INLINE_MAX);
	assert_true(answer_resolve_decode(b.s, b.len, &out));
	assert_memory_equal(out.addrs, in.addrs, sizeof(in.addrs));
	assert_memory_equal(out.rdata, in.rdata, sizeof(in.rdata));
	assert_string_equal(out.chain, "b.test c.test");
	assert_int_equal(out.ttl_s, 300);
	for (size_t len = 0; len < b.len; len++)
		assert_false(answer_resolve_decode(b.s, len, &out));
	sbuf_done(&b);
}

/* RFC 1071: over everything, checksum included, the sum is all ones. */
static uint32_t sum(uint32_t s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void check_udp(const uint8_t *head, size_t ip_len, size_t addrs_at,
		      const uint8_t *data, size_t len)
{
	uint32_t s = 17 + 8 + (uint32_t)len;

	s = sum(s, head + addrs_at, ip_len - addrs_at);
	s = sum(s, head + ip_len, 8);
	assert_int_equal(sum(s, data, len), 0xffff);
	assert_int_equal(head[ip_len + 4] << 8 | head[ip_len + 5], 8 + len);
}

static void packets(void **state)
{
	static uint8_t data[PACKET_UDP6_MAX];
	struct endpoint a = endpoint("8.8.8.8", 53);
	struct endpoint b = endpoint("192.0.0.2", 40000);
	struct endpoint c = endpoint("2001:db8::1", 53);
	struct endpoint d = endpoint("fd00::2", 40000);
	uint8_t head[PACKET_HEAD_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 3);
	for (size_t len = 0; len < 300; len++) {
		assert_int_equal(packet_udp_head(&a, &b, data, len, head), 28);
		assert_int_equal(sum(0, head, 20), 0xffff);
		assert_memory_equal(head + 12, "\x08\x08\x08\x08\xc0\0\0\2", 8);
		assert_memory_equal(head + 20, "\0\x35\x9c\x40", 4);
		check_udp(head, 20, 12, data, len);
		assert_int_equal(packet_udp_head(&c, &d, data, len, head), 48);
		assert_int_equal(head[0], 0x60);
		check_udp(head, 40, 8, data, len);
	}
	assert_int_equal(packet_udp_head(&a, &b, data, PACKET_UDP4_MAX, head),
			 28);
	check_udp(head, 20, 12, data, PACKET_UDP4_MAX);
	assert_int_equal(
		packet_udp_head(&a, &b, data, PACKET_UDP4_MAX + 1, head), 0);
	assert_int_equal(packet_udp_head(&c, &d, data, PACKET_UDP6_MAX, head),
			 48);
	check_udp(head, 40, 8, data, PACKET_UDP6_MAX);
	assert_int_equal(
		packet_udp_head(&c, &d, data, PACKET_UDP6_MAX + 1, head), 0);
	assert_int_equal(packet_udp_head(&a, &d, data, 1, head), 0);
	assert_int_equal(packet_send_udp(-1, -1, &a, &b, data, 1),
			 -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks),
		cmocka_unit_test(answers),
		cmocka_unit_test(lookups),
		cmocka_unit_test(packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
