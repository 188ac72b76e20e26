/* policy_upproxy.c - the URL of the caller's own proxy
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/upproxy.h"

static const struct {
	const char *url;
	enum upproxy_kind kind;
	enum upproxy_by by;
	const char *host; /* or address */
	uint16_t port;
	const char *user, *password; /* NULL: no credentials */
} good[] = {
	{ "http://proxy.test:3128", UPPROXY_HTTP, UPPROXY_BY_ADDRESS,
	  "proxy.test", 3128, NULL, NULL },
	{ "HTTP://Proxy.TEST./", UPPROXY_HTTP, UPPROXY_BY_ADDRESS, "proxy.test",
	  80, NULL, NULL },
	{ "https://proxy.test", UPPROXY_HTTPS, UPPROXY_BY_ADDRESS, "proxy.test",
	  443, NULL, NULL },
	{ "https://pr\xc3\xb6xy.test", UPPROXY_HTTPS, UPPROXY_BY_ADDRESS,
	  "xn--prxy-6qa.test", 443, NULL, NULL },
	{ "socks5://10.0.0.9", UPPROXY_SOCKS, UPPROXY_BY_ADDRESS, "10.0.0.9",
	  1080, NULL, NULL },
	{ "socks5h://[2001:db8::9]:9", UPPROXY_SOCKS, UPPROXY_BY_NAME,
	  "2001:db8::9", 9, NULL, NULL },
	{ "http://u:p@h.test", UPPROXY_HTTP, UPPROXY_BY_ADDRESS, "h.test", 80,
	  "u", "p" },
	{ "http://u@h.test", UPPROXY_HTTP, UPPROXY_BY_ADDRESS, "h.test", 80,
	  "u", "" },
	{ "http://u:a@b:c@h.test", UPPROXY_HTTP, UPPROXY_BY_ADDRESS, "h.test",
	  80, "u", "a@b:c" },
	{ "socks5://a%3ab:%40%2F%25@h.test", UPPROXY_SOCKS, UPPROXY_BY_ADDRESS,
	  "h.test", 1080, "a:b", "@/%" },
	{ "http://\xc3\xbc:%c3%9F@h.test", UPPROXY_HTTP, UPPROXY_BY_ADDRESS,
	  "h.test", 80, "\xc3\xbc", "\xc3\x9f" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[ADDR_STRLEN];
		struct upproxy_error e = { 0 };
		struct upproxy u;

		print_message("%s\n", good[i].url);
		assert_int_equal(upproxy_parse(good[i].url, &u, &e), 0);
		assert_int_equal(u.kind, good[i].kind);
		assert_int_equal(u.by, good[i].by);
		assert_string_equal(u.host[0] ? u.host :
						addr_str(&u.addr, text),
				    good[i].host);
		assert_int_equal(u.port, good[i].port);
		assert_int_equal(u.has_credentials, good[i].user != NULL);
		if (good[i].user) {
			assert_string_equal(u.user, good[i].user);
			assert_string_equal(u.password, good[i].password);
		}
	}
}

static const struct {
	const char *url;
	size_t position;
	const char *says; /* message or remedy */
} bad[] = {
	{ "", 0, "no scheme" },
	{ "proxy.test:3128", 0, "no scheme" },
	{ "ftp://h", 0, "not served" },
	{ "socks4://h", 0, "SOCKS 4" },
	{ "socks://h", 0, "socks5h" },
	{ "ntlm://h", 0, "NTLM" },
	{ "Negotiate://h", 0, "Kerberos" },
	{ "pac+http://h/x.pac", 0, "PAC" },
	{ "http://", 7, "missing" },
	{ "http://:80", 7, "missing" },
	{ "http://h:", 9, "not a port" },
	{ "http://h:0", 9, "not a port" },
	{ "http://h:65536", 9, "not a port" },
	{ "http://h:80x", 11, "follow" },
	{ "http://h/x", 9, "follow" },
	{ "http://h?x", 8, "follow" },
	{ "http://h#x", 8, "follow" },
	{ "http://a b", 7, "not a host" },
	{ "http://2001:db8::1", 7, "brackets" },
	{ "http://[10.0.0.1]", 7, "brackets" },
	{ "http://[2001:db8::1", 7, "brackets" },
	{ "http://0x7f.1", 7, "not a host" },
	{ "http://1.2.3", 7, "not a host" },
	{ "http://0.0.0.0", 7, "no address" },
	{ "http://[::]", 7, "no address" },
	{ "http://@h", 7, "user name" },
	{ "http://:p@h", 7, "user name" },
	{ "http://a%3Ab:p@h", 7, "colon" },
	{ "http://u:%4@h", 9, "two digits" },
	{ "http://u:%zz@h", 9, "two digits" },
	{ "http://u:%00@h", 11, "no proxy takes" },
	{ "http://u:%0d%0aX@h", 11, "no proxy takes" },
	{ "http://u: @h", 9, "blank" },
	{ "socks5://u@h", 10, "password" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct upproxy_error e = { 0 };
		struct upproxy u;

		print_message("%s\n", bad[i].url);
		assert_int_not_equal(upproxy_parse(bad[i].url, &u, &e), 0);
		assert_int_equal(e.position, bad[i].position);
		assert_true(strstr(e.message, bad[i].says) ||
			    strstr(e.remedy, bad[i].says));
	}
}

static void test_long(void **state)
{
	struct upproxy_error e = { 0 };
	char url[400];
	struct upproxy u;

	(void)state;
	(void)snprintf(url, sizeof(url), "http://u:%0255d@h", 1);
	assert_int_equal(upproxy_parse(url, &u, &e), 0);
	(void)snprintf(url, sizeof(url), "http://u:%0256d@h", 1);
	assert_int_not_equal(upproxy_parse(url, &u, &e), 0);
	assert_int_equal(e.position, 9 + 255);
}

static void test_choose(void **state)
{
	static const struct {
		const char *url, *by, *dns;
		bool ok, by_name, by_proxy;
	} rows[] = {
		{ "http://h", NULL, NULL, true, false, false },
		{ "http://h", "address", "local", true, false, false },
		{ "http://h", "name", NULL, true, true, false },
		{ "http://h", NULL, "proxy", true, true, true },
		{ "http://h", "name", "proxy", true, true, true },
		{ "http://h", "address", "proxy", false, false, false },
		{ "http://h", "both", NULL, false, false, false },
		{ "http://h", NULL, "both", false, false, false },
		{ "socks5h://h", NULL, NULL, true, true, false },
		{ "socks5h://h", "name", "local", true, true, false },
		{ "socks5h://h", "address", NULL, false, false, false },
		{ "socks5://h", "name", NULL, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upproxy_error e;
		struct upproxy u;

		assert_int_equal(upproxy_parse(rows[i].url, &u, &e), 0);
		assert_int_equal(!upproxy_choose(&u, rows[i].by, rows[i].dns),
				 rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(u.by == UPPROXY_BY_NAME, rows[i].by_name);
		assert_int_equal(u.dns, rows[i].by_proxy);
	}
}

static void test_message(void **state)
{
	struct upproxy_error e;
	struct upproxy u, back;
	struct sbuf b;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct rbuf r;

		assert_int_equal(upproxy_parse(good[i].url, &u, &e), 0);
		sbuf_init(&b, 4096);
		upproxy_encode(&u, &b);
		assert_false(b.bad);
		r = rbuf_make(b.s, b.len);
		assert_true(upproxy_decode(&r, &back));
		assert_string_equal(back.host, u.host);
		assert_string_equal(back.user, u.user);
		assert_string_equal(back.password, u.password);
		assert_true(addr_equal(&back.addr, &u.addr));
		assert_int_equal(back.port, u.port);
		for (size_t n = 0; n < b.len; n++) {
			r = rbuf_make(b.s, n);
			assert_false(upproxy_decode(&r, &back));
		}
		b.s[0] = UPPROXY_SOCKS + 1;
		r = rbuf_make(b.s, b.len);
		assert_false(upproxy_decode(&r, &back));
		sbuf_done(&b);
	}
}

/* What is shown says all but the credentials, and is read again. */
static void test_url(void **state)
{
	char url[UPPROXY_URL], again[UPPROXY_URL];
	struct upproxy_error e;
	struct upproxy u, back;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(upproxy_parse(good[i].url, &u, &e), 0);
		assert_int_equal(upproxy_parse(upproxy_url(&u, url), &back, &e),
				 0);
		assert_string_equal(upproxy_url(&back, again), url);
		assert_int_equal(back.kind, u.kind);
		assert_int_equal(back.by, u.by);
		assert_int_equal(back.port, u.port);
		assert_string_equal(back.host, u.host);
		assert_true(addr_equal(&back.addr, &u.addr));
		assert_int_equal(back.has_credentials, u.has_credentials);
		assert_int_equal(upproxy_is_masked(&back), u.has_credentials);
		assert_false(upproxy_is_masked(&u));
	}
	assert_int_equal(upproxy_parse("https://u:p@h.test", &u, &e), 0);
	assert_string_equal(upproxy_url(&u, url), "https://***:***@h.test:443");
	assert_int_equal(upproxy_parse("socks5h://[2001:db8::1]", &u, &e), 0);
	assert_string_equal(upproxy_url(&u, url),
			    "socks5h://[2001:db8::1]:1080");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long),	cmocka_unit_test(test_choose),
		cmocka_unit_test(test_message), cmocka_unit_test(test_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
