/* base_addr.c - addresses and prefixes: text, order, sets, sockaddr
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/addr.h"

/* `printed` NULL: must be refused. `rest` is what the cursor stops at. */
static const struct {
	const char *text, *printed, *rest;
} addr_rows[] = {
	{ "0.0.0.0", "0.0.0.0", "" },
	{ "255.255.255.255", "255.255.255.255", "" },
	{ "1.2.3.4:80", "1.2.3.4", ":80" },
	{ "1.2.3.4/24", "1.2.3.4", "/24" },
	{ "1.2.3.4]", "1.2.3.4", "]" },
	{ "1.2.3.4 ", "1.2.3.4", " " },
	/* never a short, octal, hexadecimal or decimal form */
	{ "1.2.3", NULL, NULL },
	{ "1.2.3.", NULL, NULL },
	{ "1.2.3.4.", NULL, NULL },
	{ "1.2.3.4.5", NULL, NULL },
	{ "1.2.3.4x", NULL, NULL },
	{ "1.2.3.4-5", NULL, NULL },
	{ "1.2.3.4.example.com", NULL, NULL },
	{ "01.2.3.4", NULL, NULL },
	{ "1.2.3.00", NULL, NULL },
	{ "1.2.3.256", NULL, NULL },
	{ "1..3.4", NULL, NULL },
	{ "0x1.2.3.4", NULL, NULL },
	{ "2130706433", NULL, NULL },
	{ "+1.2.3.4", NULL, NULL },
	{ "-1.2.3.4", NULL, NULL },
	{ " 1.2.3.4", NULL, NULL },
	{ "", NULL, NULL },
	{ "example.com", NULL, NULL },
	{ "::", "::", "" },
	{ "::1", "::1", "" },
	{ "::1]:443", "::1", "]:443" },
	{ "fe80::1/10", "fe80::1", "/10" },
	/* RFC 5952: lower case, longest run of zeros, the first of equals,
	 * a single zero is not shortened */
	{ "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "" },
	{ "2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1", "" },
	/* the same address as IPv4, however it is written */
	{ "::ffff:1.2.3.4", "1.2.3.4", "" },
	{ "::ffff:102:304", "1.2.3.4", "" },
	{ "0:0:0:0:0:FFFF:1.2.3.4", "1.2.3.4", "" },
	{ "64:ff9b::1.2.3.4", "64:ff9b::102:304", "" },
	{ "fe80::1%eth0", NULL, NULL },
	{ "::1:", NULL, NULL },
	{ ":::", NULL, NULL },
	{ "1::2::3", NULL, NULL },
	{ "12345::", NULL, NULL },
	{ "1:2:3:4:5:6:7", NULL, NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL, NULL },
	{ "::g", NULL, NULL },
	{ "::1.2.3", NULL, NULL },
	{ "::ffff:01.2.3.4", NULL, NULL },
	{ "0000:0000:0000:0000:0000:ffff:255.255.255.255", "255.255.255.255",
	  "" },
	{ "0000:0000:0000:0000:0000:0ffff:255.255.255.255", NULL, NULL },
};

static void addr_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(addr_rows) / sizeof(addr_rows[0]); i++) {
		const char *cursor = addr_rows[i].text;
		struct addr a, again;
		char buf[ADDR_STRLEN];
		bool ok = addr_parse(&cursor, &a);

		if (ok != (addr_rows[i].printed != NULL))
			fail_msg("\"%s\": parsed %d", addr_rows[i].text, ok);
		if (!ok) {
			assert_ptr_equal(cursor, addr_rows[i].text);
			continue;
		}
		assert_string_equal(addr_str(&a, buf), addr_rows[i].printed);
		assert_string_equal(cursor, addr_rows[i].rest);
		cursor = buf;
		assert_true(addr_parse(&cursor, &again));
		assert_true(addr_equal(&a, &again));
	}
}

static struct addr addr(const char *text)
{
	struct addr a;

	if (!addr_parse(&text, &a))
		fail_msg("not an address: %s", text);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	if (!prefix_parse(&text, &p, NULL))
		fail_msg("not a prefix: %s", text);
	return p;
}

/* parse(format(x)) == x for whatever bytes. */
static void addr_round_trip(void **state)
{
	unsigned seed = 20240229;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct addr a, again;
		char buf[ADDR_STRLEN];
		const char *cursor = buf;

		for (size_t b = 0; b < sizeof(a.b); b++)
			a.b[b] = rand_r(&seed) % 3 ? 0 : (uint8_t)rand_r(&seed);
		addr_str(&a, buf);
		if (!addr_parse(&cursor, &again) || !addr_equal(&a, &again) ||
		    *cursor)
			fail_msg("%s does not come back", buf);
	}
}

static const struct {
	const char *text, *printed;
	int len;
	bool host_bits;
} prefix_rows[] = {
	{ "10.0.0.0/8", "10.0.0.0/8", 104, false },
	{ "10.1.2.3/8", "10.0.0.0/8", 104, true },
	{ "0.0.0.0/0", "0.0.0.0/0", 96, false },
	{ "1.2.3.4", "1.2.3.4", 128, false },
	{ "1.2.3.4/32", "1.2.3.4", 128, false },
	{ "1.2.3.255/31", "1.2.3.254/31", 127, true },
	{ "::/0", "::/0", 0, false },
	{ "::1", "::1", 128, false },
	{ "2001:db8::1/32", "2001:db8::/32", 32, true },
	{ "fe80::/10", "fe80::/10", 10, false },
	{ "ff00::/9", "ff00::/9", 9, false },
	{ "::ffff:10.0.0.0/104", "10.0.0.0/8", 104, false },
	{ "::ffff:0:0/96", "0.0.0.0/0", 96, false },
	{ "::ffff:0:0/95", "::fffe:0:0/95", 95, true },
	{ "1.2.3.4/33", NULL, 0, false },
	{ "1.2.3.4/", NULL, 0, false },
	{ "1.2.3.4/a", NULL, 0, false },
	{ "1.2.3.4/-1", NULL, 0, false },
	{ "1.2.3.4/08", NULL, 0, false },
	{ "1.2.3.4/255.0.0.0", NULL, 0, false },
	{ "::/129", NULL, 0, false },
	{ "::/18446744073709551616", NULL, 0, false },
};

static void prefix_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefix_rows) / sizeof(prefix_rows[0]);
	     i++) {
		const char *text = prefix_rows[i].text, *cursor = text;
		const char *printed = prefix_rows[i].printed;
		struct prefix p;
		char buf[PREFIX_STRLEN];
		bool host_bits;
		bool ok = prefix_parse(&cursor, &p, &host_bits);

		if (ok != (printed != NULL))
			fail_msg("\"%s\": parsed %d", text, ok);
		if (!ok) {
			assert_ptr_equal(cursor, text);
			continue;
		}
		assert_string_equal(prefix_str(&p, buf), printed);
		assert_int_equal(p.len, prefix_rows[i].len);
		assert_int_equal(host_bits, prefix_rows[i].host_bits);
		assert_string_equal(cursor, "");
	}
}

static const struct {
	const char *outer, *inner;
	bool covers;
} cover_rows[] = {
	{ "10.0.0.0/8", "10.255.255.255", true },
	{ "10.0.0.0/8", "11.0.0.0", false },
	{ "10.0.0.0/8", "9.255.255.255", false },
	{ "10.0.0.0/8", "10.0.0.0/8", true },
	{ "10.0.0.0/8", "10.0.0.0/7", false },
	{ "10.0.0.0/9", "10.128.0.0/9", false },
	{ "0.0.0.0/0", "255.255.255.255", true },
	{ "0.0.0.0/0", "::1", false },
	{ "0.0.0.0/0", "::ffff:1.2.3.4", true },
	{ "1.2.3.4", "1.2.3.4", true },
	{ "1.2.3.4", "1.2.3.5", false },
	{ "fe80::/10", "febf:ffff::", true },
	{ "fe80::/10", "fec0::", false },
	{ "::/0", "2001:db8::/32", true },
};

static void prefix_sets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cover_rows) / sizeof(cover_rows[0]);
	     i++) {
		struct prefix outer = prefix(cover_rows[i].outer);
		struct prefix inner = prefix(cover_rows[i].inner);

		if (prefix_covers(&outer, &inner) != cover_rows[i].covers)
			fail_msg("%s covers %s: expected %d",
				 cover_rows[i].outer, cover_rows[i].inner,
				 cover_rows[i].covers);
		if (inner.len == 128)
			assert_int_equal(prefix_contains(&outer, &inner.addr),
					 cover_rows[i].covers);
	}
}

static void prefix_ends(void **state)
{
	struct addr first, last, expected;
	struct prefix p = prefix("10.1.16.0/20");

	(void)state;
	prefix_range(&p, &first, &last);
	expected = addr("10.1.16.0");
	assert_true(addr_equal(&first, &expected));
	expected = addr("10.1.31.255");
	assert_true(addr_equal(&last, &expected));
	p = prefix("::/0");
	prefix_range(&p, &first, &last);
	expected = addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	assert_true(addr_equal(&last, &expected));
	p = prefix("1.2.3.4");
	prefix_range(&p, &first, &last);
	assert_true(addr_equal(&first, &last));
}

static void addr_steps(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "1.2.3.4", "1.2.3.5" },
		{ "1.2.255.255", "1.3.0.0" },
		{ "255.255.255.255", "::1:0:0:0" },
		{ "::ffff", "::1:0" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = addr(rows[i].from), before = a, to;

		if (!rows[i].to) {
			assert_false(addr_next(&a));
			assert_true(addr_equal(&a, &before));
			continue;
		}
		to = addr(rows[i].to);
		assert_true(addr_next(&a));
		assert_true(addr_equal(&a, &to));
		assert_true(addr_compare(&before, &a) < 0);
		assert_true(addr_compare(&a, &before) > 0);
		assert_int_equal(addr_compare(&a, &to), 0);
	}
}

static void sockaddrs(void **state)
{
	static const struct {
		const char *addr;
		uint16_t port;
		int family;
		const char *printed;
	} rows[] = {
		{ "1.2.3.4", 80, AF_INET, "1.2.3.4:80" },
		{ "::1", 65535, AF_INET6, "[::1]:65535" },
		{ "fe80::1", 0, AF_INET6, "[fe80::1]:0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct endpoint ep = { addr(rows[i].addr), rows[i].port }, back;
		char buf[ENDPOINT_STRLEN];
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&ep, &ss);

		assert_int_equal(ss.ss_family, rows[i].family);
		assert_true(endpoint_from_sockaddr((void *)&ss, len, &back));
		assert_true(addr_equal(&ep.addr, &back.addr));
		assert_int_equal(back.port, rows[i].port);
		assert_string_equal(endpoint_str(&back, buf), rows[i].printed);
		/* one byte short is no address */
		assert_false(
			endpoint_from_sockaddr((void *)&ss, len - 1, &back));

		len = endpoint_to_sockaddr6(&ep, &ss);
		assert_int_equal(len, sizeof(struct sockaddr_in6));
		assert_int_equal(ss.ss_family, AF_INET6);
		assert_true(endpoint_from_sockaddr((void *)&ss, len, &back));
		assert_true(addr_equal(&ep.addr, &back.addr));
		ss.ss_family = AF_UNIX;
		assert_false(endpoint_from_sockaddr((void *)&ss, len, &back));
	}
}

static void raw_bytes(void **state)
{
	static const uint8_t bytes[16] = { 0x20, 1, [15] = 9 };
	struct addr a = addr_from_bytes(bytes, 16), expected = addr("2001::9");

	(void)state;
	assert_true(addr_equal(&a, &expected));
	assert_false(addr_is_v4(&a));
	a = addr_from_bytes((const uint8_t *)"\x0a\x00\x00\x01", 4);
	assert_true(addr_is_v4(&a));
	assert_int_equal(addr_to_v4(&a), 0x0a000001);
	a = addr_from_v4(0xc0000205);
	expected = addr("192.0.2.5");
	assert_true(addr_equal(&a, &expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_text),
		cmocka_unit_test(addr_round_trip),
		cmocka_unit_test(prefix_text),
		cmocka_unit_test(prefix_sets),
		cmocka_unit_test(prefix_ends),
		cmocka_unit_test(addr_steps),
		cmocka_unit_test(sockaddrs),
		cmocka_unit_test(raw_bytes),
	};

	return cmocka_run_group_tests_name("base/addr", tests, NULL, NULL);
}
