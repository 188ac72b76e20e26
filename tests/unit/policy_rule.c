/* policy_rule.c - the rule grammar, row by row
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/pattern.h"
#include "policy/rule.h"

/* Text in, canonical text out. */
struct good {
	enum rule_side side;
	const char *in, *out;
};

static const struct good good[] = {
	/* names */
	{ RULE_ALLOW, "example.com", "example.com" },
	{ RULE_ALLOW, "Example.COM.", "example.com" },
	{ RULE_ALLOW, "tcp/example.com", "example.com" },
	{ RULE_ALLOW, "TCP/example.com:443,80", "example.com" },
	{ RULE_ALLOW, "example.com:22", "example.com:22" },
	{ RULE_ALLOW, "example.com:*", "example.com:*" },
	{ RULE_ALLOW, "example.com:1-65535", "example.com:*" },
	{ RULE_ALLOW, "example.com:81,80,22-25,24-30",
	  "example.com:22-30,80-81" },
	{ RULE_ALLOW, "udp/example.com:53", "udp/example.com:53" },
	{ RULE_ALLOW, "_srv.example.com", "_srv.example.com" },
	{ RULE_ALLOW, "-x.example.com", "-x.example.com" },
	/* as it is on the wire: an A-label is not looked into */
	{ RULE_ALLOW, "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
	{ RULE_ALLOW, "xn--bcher-KVA.EXAMPLE.", "xn--bcher-kva.example" },
	{ RULE_DENY, "xn--abc-.example", "xn--abc-.example" },
	{ RULE_DENY, "xn--.example", "xn--.example" },
	{ RULE_DENY, "xn--b*-kva.example", "xn--b*-kva.example" },
	{ RULE_ALLOW, "a.0xg", "a.0xg" },
	{ RULE_ALLOW, "09.example", "09.example" },
	{ RULE_ALLOW, "localhost", "localhost" },
	{ RULE_ALLOW,
	  "b\xc3\xbc"
	  "cher.example",
	  "xn--bcher-kva.example" },
	{ RULE_ALLOW,
	  "example\xe3\x80\x82"
	  "com",
	  "example.com" },
	{ RULE_ALLOW,
	  "*.b\xc3\xbc"
	  "cher.example",
	  "*.xn--bcher-kva.example" },
	{ RULE_ALLOW, "example.com+private", "example.com+private" },
	{ RULE_ALLOW, "example.com:22+private", "example.com:22+private" },
	/* globs */
	{ RULE_ALLOW, "*.example.com", "*.example.com" },
	{ RULE_ALLOW, "a*b.example.com", "a*b.example.com" },
	{ RULE_ALLOW, "*.a.*.example.com", "*.a.*.example.com" },
	{ RULE_ALLOW, "*+wide", "*+wide" },
	{ RULE_ALLOW, "*.com+wide", "*.com+wide" },
	{ RULE_ALLOW, "*.com+wide+private", "*.com+private+wide" },
	{ RULE_DENY, "*", "*" },
	{ RULE_DENY, "*.com", "*.com" },
	{ RULE_DENY, "example.*", "example.*" },
	/* addresses */
	{ RULE_ALLOW, "10.0.0.0/8", "10.0.0.0/8" },
	{ RULE_ALLOW, "10.0.0.1", "10.0.0.1" },
	{ RULE_ALLOW, "10.0.0.1/32", "10.0.0.1" },
	{ RULE_ALLOW, "10.0.0.1:22", "10.0.0.1:22" },
	{ RULE_ALLOW, "10.0.0.1:*", "10.0.0.1" },
	{ RULE_ALLOW, "tcp/10.0.0.1", "tcp/10.0.0.1" },
	{ RULE_ALLOW, "tcp/10.0.0.1:1-65535", "tcp/10.0.0.1" },
	{ RULE_ALLOW, "udp/10.0.0.0/8:53,443", "udp/10.0.0.0/8:53,443" },
	{ RULE_ALLOW, "0.0.0.0/0", "0.0.0.0/0" },
	{ RULE_ALLOW, "::/0", "::/0" },
	{ RULE_ALLOW, "[::/0]:443", "[::/0]:443" },
	{ RULE_ALLOW, "2001:DB8::1", "2001:db8::1" },
	{ RULE_ALLOW, "[2001:db8::1]", "2001:db8::1" },
	{ RULE_ALLOW, "[2001:db8::/32]:443", "[2001:db8::/32]:443" },
	{ RULE_ALLOW, "2001:db8::/32", "2001:db8::/32" },
	{ RULE_ALLOW, "::ffff:10.0.0.1", "10.0.0.1" },
	{ RULE_ALLOW, "[::ffff:a00:1]:22", "10.0.0.1:22" },
	{ RULE_ALLOW, "1::8:80", "1::8:80" },
	{ RULE_DENY, "10.0.0.0/8", "10.0.0.0/8" },
	{ RULE_DENY, "tcp/10.0.0.0/8:22", "tcp/10.0.0.0/8:22" },
	/* deny names: the lookup goes with the bare form only */
	{ RULE_DENY, "example.com", "example.com" },
	{ RULE_DENY, "example.com:*", "example.com:*" },
	{ RULE_DENY, "tcp/example.com:*", "tcp/example.com" },
	{ RULE_DENY, "udp/example.com", "udp/example.com" },
	{ RULE_DENY, "example.com:80,443", "example.com:80,443" },
	/* presets, the host */
	{ RULE_ALLOW, "@pypi", "@pypi" },
	{ RULE_DENY, "@my-own_1", "@my-own_1" },
	{ RULE_ALLOW, "host.exeat.internal:5432", "host.exeat.internal:5432" },
	{ RULE_ALLOW, "host.docker.internal:80,443",
	  "host.exeat.internal:80,443" },
	{ RULE_ALLOW, "udp/host.exeat.internal:443",
	  "udp/host.exeat.internal:443" },
	{ RULE_DENY, "host.docker.internal", "host.exeat.internal" },
};

static void prints_canonical_text(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[LIMIT_RULE_TEXT];
		struct rule_error e = { 0 };
		struct rule r, again;

		if (rule_parse(good[i].in, good[i].side, &r, &e) != 0)
			fail_msg("%s: at byte %zu: %s", good[i].in, e.position,
				 e.message);
		assert_string_equal(rule_str(&r, text), good[i].out);
		assert_int_equal(rule_parse(text, good[i].side, &again, &e), 0);
		assert_memory_equal(&r, &again, sizeof(r));
	}
}

/* Text, byte of the error, a part of its message. */
struct bad {
	enum rule_side side;
	const char *in;
	size_t at;
	const char *says;
};

static const struct bad bad[] = {
	{ RULE_ALLOW, "", 0, "a host" },
	{ RULE_ALLOW, "!example.com", 0, "deny-list" },
	{ RULE_DENY, "!example.com", 0, "deny-list" },
	{ RULE_ALLOW, "*", 0, "+wide" },
	{ RULE_ALLOW, "*.", 0, "+wide" },
	{ RULE_ALLOW, "*.com", 0, "+wide" },
	{ RULE_ALLOW, "tcp/*.co.uk", 4, "+wide" },
	{ RULE_ALLOW, "a*.com", 0, "+wide" },
	{ RULE_ALLOW, "*.github.io", 0, "+wide" },
	/* public by a wildcard of the list, also one label further */
	{ RULE_ALLOW, "*.kawasaki.jp", 0, "+wide" },
	{ RULE_ALLOW, "*.x.kawasaki.jp", 0, "+wide" },
	{ RULE_ALLOW, "*.xn--p1ai", 0, "+wide" },
	{ RULE_ALLOW, "*.XN--P1AI.", 0, "+wide" },
	{ RULE_ALLOW, "xn--1.2.3.4", 0, "four decimal" },
	{ RULE_ALLOW, "example.*", 0, "+wide" },
	{ RULE_ALLOW, "*.*.com", 0, "+wide" },
	{ RULE_ALLOW, "**.example.com", 1, "one *" },
	/* udp and names */
	{ RULE_ALLOW, "udp/example.com", 15, "needs ports" },
	{ RULE_ALLOW, "udp/example.com:443", 4, "QUIC" },
	{ RULE_ALLOW, "udp/example.com:400-500", 4, "QUIC" },
	{ RULE_ALLOW, "udp/example.com:*", 4, "QUIC" },
	/* presets */
	{ RULE_ALLOW, "@pypi:443", 5, "takes no" },
	{ RULE_ALLOW, "@pypi+private", 5, "takes no" },
	{ RULE_ALLOW, "tcp/@pypi", 4, "'@'" },
	{ RULE_ALLOW, "@", 1, "preset name" },
	{ RULE_ALLOW, "@Pypi", 1, "preset name" },
	/* names */
	{ RULE_ALLOW, "a..b", 2, "empty label" },
	{ RULE_ALLOW, ".a", 0, "empty label" },
	{ RULE_ALLOW, "a.b..", 3, "empty label" },
	{ RULE_ALLOW, "a b", 1, "blank" },
	{ RULE_ALLOW, " a", 0, "blank" },
	{ RULE_ALLOW, "a\n", 1, "control" },
	{ RULE_ALLOW, "a\r\n", 1, "control" },
	{ RULE_ALLOW, "a#.evil.test", 1, "'#'" },
	{ RULE_ALLOW, "a%00.test", 1, "'%'" },
	{ RULE_ALLOW, "evil.test\\.a.test", 9, "'\\'" },
	{ RULE_ALLOW, "allowed.test@evil.test", 12, "user information" },
	{ RULE_ALLOW, "https://example.com", 5, "not a URL" },
	{ RULE_ALLOW, "example.com/path", 11, "without a path" },
	{ RULE_ALLOW, "icmp/example.com", 4, "tcp/ and udp/" },
	{ RULE_ALLOW, "tcp/", 4, "a host" },
	{ RULE_ALLOW, "a.com,b.com", 5, "one rule is one string" },
	{ RULE_ALLOW, "a.com:80,b.com", 9, "never between rules" },
	{ RULE_ALLOW, "a.com:80,10.0.0.1", 9, "never between rules" },
	{ RULE_ALLOW, "10.0.0.1,10.0.0.2", 8, "one rule is one string" },
	{ RULE_ALLOW, "@pypi,@npm", 6, "begins a preset" },
	{ RULE_ALLOW, "*.b\xc3\xbc*.example", 2, "ASCII" },
	{ RULE_ALLOW, "\xff\xfe.example", 0, "" },
	/* brackets */
	{ RULE_ALLOW, "[example.com]", 1, "IPv6 address" },
	{ RULE_ALLOW, "[[::1]]", 1, "IPv6 address" },
	{ RULE_ALLOW, "[10.0.0.1]:80", 1, "IPv6 address" },
	{ RULE_ALLOW, "[::1", 4, "']'" },
	{ RULE_ALLOW, "[2001:db8::]/32", 12, "inside the brackets" },
	{ RULE_ALLOW, "allowed.test]:443", 12, "']'" },
	{ RULE_ALLOW, "[fe80::1%eth0]", 8, "'%'" },
	/* IPv4 in odd forms */
	{ RULE_ALLOW, "10.1", 0, "four decimal" },
	{ RULE_ALLOW, "0x7f.0.0.1", 0, "four decimal" },
	{ RULE_ALLOW, "0x7f000001", 0, "four decimal" },
	{ RULE_ALLOW, "010.0.0.1", 0, "four decimal" },
	{ RULE_ALLOW, "2130706433", 0, "four decimal" },
	{ RULE_ALLOW, "1.2.3.4.5", 0, "four decimal" },
	{ RULE_ALLOW, "256.0.0.1", 0, "four decimal" },
	{ RULE_ALLOW, "1.2.3.4.", 0, "four decimal" },
	{ RULE_DENY, "a.0x1f", 0, "four decimal" },
	/* prefixes */
	{ RULE_ALLOW, "10.0.0.1/8", 8, "write 10.0.0.0/8" },
	{ RULE_DENY, "2001:db8::1/32", 11, "write 2001:db8::/32" },
	{ RULE_ALLOW, "10.0.0.0/33", 9, "up to 32" },
	{ RULE_ALLOW, "::/129", 3, "up to 128" },
	{ RULE_ALLOW, "10.0.0.0/08", 9, "up to 32" },
	{ RULE_ALLOW, "10.0.0.0/", 9, "up to 32" },
	{ RULE_ALLOW, "::ffff:168.0.0.0/103", 0, "write 168.0.0.0/7" },
	{ RULE_ALLOW, "::ffff:0:0/96", 0, "write 0.0.0.0/0" },
	{ RULE_ALLOW, "[::ffff:a00:0/104]:22", 1, "write 10.0.0.0/8" },
	{ RULE_ALLOW, "::/8", 0, "all of IPv4" },
	{ RULE_DENY, "::/80", 0, "all of IPv4" },
	{ RULE_ALLOW, "2001:db8::g", 0, "not an IPv6 address" },
	{ RULE_ALLOW, "a.com:80:90", 8, "':' again" },
	/* ports */
	{ RULE_ALLOW, "a.com:", 6, "a port" },
	{ RULE_ALLOW, "a.com:0", 6, "1-65535" },
	{ RULE_ALLOW, "a.com:65536", 6, "1-65535" },
	{ RULE_ALLOW, "a.com:080", 6, "1-65535" },
	{ RULE_ALLOW, "a.com:90-80", 6, "backwards" },
	{ RULE_ALLOW, "a.com:80-", 9, "a port" },
	{ RULE_ALLOW, "a.com:80,", 9, "a port" },
	{ RULE_ALLOW, "a.com:80,*", 9, "alone" },
	{ RULE_ALLOW, "a.com:80x", 8, "'x'" },
	{ RULE_ALLOW, "a.com:*,80", 7, "comma" },
	{ RULE_ALLOW, "a.com:1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33", 49,
	  "at most 16" },
	/* flags */
	{ RULE_ALLOW, "a.com+", 6, "unknown flag" },
	{ RULE_ALLOW, "a.com+foo", 6, "unknown flag" },
	{ RULE_ALLOW, "a.com+private+private", 13, "twice" },
	{ RULE_ALLOW, "a.com+wide", 5, "wildcard" },
	{ RULE_ALLOW, "10.0.0.1+private", 8, "by itself" },
	{ RULE_ALLOW, "0.0.0.0/0+wide", 9, "wildcard" },
	{ RULE_DENY, "a.com+private", 5, "allow rules" },
	/* the host */
	{ RULE_ALLOW, "host.exeat.internal", 19, "PORT" },
	{ RULE_ALLOW, "host.docker.internal", 20, "PORT" },
	{ RULE_ALLOW, "host.exeat.internal:22+private", 22, "no flag" },
};

static void refuses_with_position(void **unused)
{
	unsigned wrong = 0;

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rule_error e = { .position = SIZE_MAX };
		struct rule r;

		if (rule_parse(bad[i].in, bad[i].side, &r, &e) == 0)
			fail_msg("\"%s\" is taken for a rule", bad[i].in);
		if (e.position == bad[i].at && strstr(e.message, bad[i].says))
			continue;
		print_error("\"%s\": at byte %zu: %s (expected %zu, %s)\n",
			    bad[i].in, e.position, e.message, bad[i].at,
			    bad[i].says);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void refuses_what_is_too_long(void **unused)
{
	char label[80], name[300], text[LIMIT_RULE_TEXT * 2];
	struct rule_error e;
	struct rule r;

	(void)unused;
	memset(label, 'a', sizeof(label));
	memcpy(label + 63, ".test", 6);
	assert_int_equal(rule_parse(label, RULE_ALLOW, &r, &e), 0);
	memcpy(label + 64, ".test", 6);
	label[63] = 'a';
	assert_int_not_equal(rule_parse(label, RULE_ALLOW, &r, &e), 0);
	assert_int_equal(e.position, 63);

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0'; /* 127 labels */
	assert_int_equal(rule_parse(name, RULE_ALLOW, &r, &e), 0);
	name[253] = 'a';
	name[254] = '\0';
	assert_int_not_equal(rule_parse(name, RULE_ALLOW, &r, &e), 0);

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_not_equal(rule_parse(text, RULE_ALLOW, &r, &e), 0);
	assert_int_equal(e.position, LIMIT_RULE_TEXT - 1);
}

static struct rule rule(const char *text, enum rule_side side)
{
	struct rule_error e = { 0 };
	struct rule r;

	if (rule_parse(text, side, &r, &e) != 0)
		fail_msg("%s: %s", text, e.message);
	return r;
}

static void completes_what_is_left_out(void **unused)
{
	struct rule r = rule("example.com", RULE_ALLOW);

	(void)unused;
	assert_int_equal(r.protos, RULE_TCP);
	assert_int_equal(r.nports, 2);
	assert_int_equal(r.ports[0].lo, 80);
	assert_int_equal(r.ports[1].hi, 443);
	assert_false(r.lookup);

	r = rule("example.com:22", RULE_ALLOW);
	assert_int_equal(r.protos, RULE_TCP);
	r = rule("10.0.0.0/8", RULE_ALLOW);
	assert_int_equal(r.protos, RULE_TCP_UDP);
	assert_int_equal(r.nports, 1);
	assert_int_equal(r.ports[0].lo, 1);
	assert_int_equal(r.ports[0].hi, 65535);

	r = rule("example.com", RULE_DENY);
	assert_int_equal(r.protos, RULE_TCP_UDP);
	assert_int_equal(r.ports[0].hi, 65535);
	assert_true(r.lookup);
	assert_false(rule("example.com:*", RULE_DENY).lookup);
	assert_false(rule("tcp/example.com", RULE_DENY).lookup);
	assert_true(rule("10.0.0.0/8", RULE_DENY).lookup);
	assert_false(rule("10.0.0.0/8:22", RULE_DENY).lookup);
}

static void matches_names(void **unused)
{
	static const struct {
		const char *rule, *name;
		bool match;
	} rows[] = {
		{ "allowed.test", "allowed.test", true },
		{ "allowed.test", "evilallowed.test", false },
		{ "allowed.test", "allowed.test.evil.test", false },
		{ "allowed.test", "x.allowed.test", false },
		{ "*.wild.test", "a.wild.test", true },
		{ "*.wild.test", "a.b.wild.test", true },
		{ "*.wild.test", "wild.test", false },
		{ "*.wild.test", "evilwild.test", false },
		{ "*", "a", true },
		{ "*", "a.b.c", true },
		{ "a*.x.test", "a.x.test", true },
		{ "a*.x.test", "abc.x.test", true },
		{ "a*.x.test", "ab.c.x.test", false },
		{ "a*.x.test", "b.x.test", false },
		{ "a*b*c.x.test", "a1b2bc.x.test", true },
		{ "a*b*c.x.test", "a1c2b.x.test", false },
		{ "a.*.x.test", "a.b.x.test", true },
		{ "a.*.x.test", "a.b.c.x.test", false },
		{ "*.a*.x.test", "q.r.ab.x.test", true },
		{ "*.a*.x.test", "ab.x.test", false },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule r = rule(rows[i].rule, RULE_DENY);

		if (rule_matches_name(&r, rows[i].name) != rows[i].match)
			fail_msg("%s against %s: %d expected", rows[i].rule,
				 rows[i].name, rows[i].match);
	}
}

static void implies(void **unused)
{
	static const struct {
		const char *outer, *inner;
		bool yes;
	} rows[] = {
		{ "example.com", "example.com", true },
		{ "example.com", "example.com:443", true },
		{ "example.com:443", "example.com", false },
		{ "example.com", "example.com:22", false },
		{ "example.com", "example.com+private", false },
		{ "example.com+private", "example.com", true },
		{ "*.example.com", "a.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "*.a.example.com", true },
		{ "*.example.com", "*.example.com", true },
		{ "*.a.example.com", "*.example.com", false },
		{ "*.example.com", "a*.example.com", true },
		{ "a*.example.com", "ab*.example.com", true },
		{ "ab*.example.com", "a*.example.com", false },
		{ "a*.example.com", "*.example.com", false },
		{ "x.*.example.com", "*.example.com", false },
		{ "*+wide", "*.example.com", true },
		{ "*+wide", "10.0.0.1", false },
		{ "*:*+wide", "host.exeat.internal:80", false },
		{ "10.0.0.0/8", "10.1.0.0/16", true },
		{ "10.1.0.0/16", "10.0.0.0/8", false },
		{ "0.0.0.0/0", "203.0.113.0/24", true },
		{ "0.0.0.0/0", "10.0.0.0/8", false },
		{ "::/0", "203.0.113.9", false },
		{ "::/0", "2001:db8::1", true },
		{ "10.0.0.0/8:22", "10.0.0.1:22", true },
		{ "10.0.0.0/8:22", "10.0.0.1", false },
		{ "tcp/10.0.0.1", "udp/10.0.0.1", false },
		{ "host.exeat.internal:80-90", "host.exeat.internal:85", true },
		{ "host.exeat.internal:80", "host.exeat.internal:81", false },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule outer = rule(rows[i].outer, RULE_ALLOW);
		struct rule inner = rule(rows[i].inner, RULE_ALLOW);

		if (rule_implies(&outer, &inner) != rows[i].yes)
			fail_msg("%s implies %s: %d expected", rows[i].outer,
				 rows[i].inner, rows[i].yes);
	}
}

static void canonical_names(void **unused)
{
	static const struct {
		const char *in, *out; /* out NULL: not a name */
	} rows[] = {
		{ "Example.COM.", "example.com" },
		{ "a", "a" },
		{ "_x.a-b", "_x.a-b" },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "", NULL },
		{ ".", NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ "a.b..", NULL },
		{ "1.2.3.4", NULL },
		{ "1.2.3.4.", NULL },
		{ "0x7f.1", NULL },
		{ "a.0x", NULL },
		{ "b\xc3\xbc"
		  "cher.example",
		  NULL },
		{ "a*b.test", NULL },
		{ "a b", NULL },
		{ "a\tb", NULL },
		{ "a@b", NULL },
		{ "a:b", NULL },
		{ "[::1]", NULL },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[LIMIT_NAME + 1];
		bool ok = name_canonical(rows[i].in, strlen(rows[i].in), name);

		if (ok != (rows[i].out != NULL))
			fail_msg("\"%s\": %d", rows[i].in, ok);
		if (ok)
			assert_string_equal(name, rows[i].out);
		if (ok)
			assert_true(name_is_canonical(name));
	}
	assert_false(name_canonical("a\0b", 3, (char[LIMIT_NAME + 1]){ 0 }));
	assert_false(name_is_canonical("A.test"));
	assert_false(name_is_canonical("a.test."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_canonical_text),
		cmocka_unit_test(refuses_with_position),
		cmocka_unit_test(refuses_what_is_too_long),
		cmocka_unit_test(completes_what_is_left_out),
		cmocka_unit_test(matches_names),
		cmocka_unit_test(implies),
		cmocka_unit_test(canonical_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
