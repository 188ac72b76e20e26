/* proxy_socks.c - what SOCKS clients say
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proxyd_socks.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static void greetings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum socks_status status;
		uint8_t method;
	} rows[] = {
		{ "\5\1\0", 3, SOCKS_OK, SOCKS_NO_AUTHENTICATION },
		{ "\5\3\2\1\0", 5, SOCKS_OK, SOCKS_NO_AUTHENTICATION },
		{ "\5\2\1\2", 4, SOCKS_OK, SOCKS_PASSWORD },
		{ "\5\1\1", 3, SOCKS_OK, SOCKS_NO_METHOD },
		{ "\5\0", 2, SOCKS_OK, SOCKS_NO_METHOD },
		{ "\5\2\0", 3, SOCKS_NEED_MORE, 0 },
		{ "\5", 1, SOCKS_NEED_MORE, 0 },
		{ "\4\1\0\120", 4, SOCKS_BAD, 0 },
		{ "GET", 3, SOCKS_BAD, 0 },
	};
	uint8_t method;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *p = (const uint8_t *)rows[i].bytes;

		assert_int_equal(socks_greeting(p, rows[i].len, &method, &len),
				 rows[i].status);
		if (rows[i].status != SOCKS_OK)
			continue;
		assert_int_equal(method, rows[i].method);
		assert_int_equal(len, rows[i].len);
	}
}

static void passwords(void **state)
{
	size_t len = 0;

	(void)state;
	assert_int_equal(socks_password(BYTES("\1\2me\3you!"), &len), SOCKS_OK);
	assert_int_equal(len, 8);
	assert_int_equal(socks_password(BYTES("\1\0\0"), &len), SOCKS_OK);
	assert_int_equal(socks_password(BYTES("\1\2me\3yo"), &len),
			 SOCKS_NEED_MORE);
	assert_int_equal(socks_password(BYTES("\5\1\0"), &len), SOCKS_BAD);
}

struct request_row {
	const char *bytes;
	size_t len;
	enum socks_status status;
	uint8_t reply;	  /* BAD */
	const char *name; /* "": an address */
	const char *addr;
	uint16_t port;
};

#define NAME_ROW(text) text, sizeof(text) - 1

static void requests(void **state)
{
	static const struct request_row rows[] = {
		{ NAME_ROW("\5\1\0\1\313\0\161\12\1\273"), SOCKS_OK, 0, "",
		  "203.0.113.10", 443 },
		{ NAME_ROW("\5\1\0\3\6a.test\0\120"), SOCKS_OK, 0, "a.test", "",
		  80 },
		{ NAME_ROW("\5\1\0\3\7A.Test.\0\120"), SOCKS_OK, 0, "a.test",
		  "", 80 },
		{ NAME_ROW("\5\1\0\3\11"
			   "192.0.2.1\0\26"),
		  SOCKS_OK, 0, "", "192.0.2.1", 22 },
		{ NAME_ROW("\5\1\0\3\0032::\0\26"), SOCKS_OK, 0, "",
		  "2::", 22 },
		{ NAME_ROW("\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\0\26"),
		  SOCKS_OK, 0, "", "2001:db8::1", 22 },
		/* more to come */
		{ NAME_ROW("\5\1\0\3\6a.test\0"), SOCKS_NEED_MORE, 0, "", "",
		  0 },
		{ NAME_ROW("\5\1\0"), SOCKS_NEED_MORE, 0, "", "", 0 },
		{ NAME_ROW("\5\2\0\1\313\0\161"), SOCKS_NEED_MORE, 0, "", "",
		  0 },
		/* BIND, UDP ASSOCIATE, anything else */
		{ NAME_ROW("\5\2\0\1\313\0\161\12\1\273"), SOCKS_BAD,
		  SOCKS_NO_COMMAND, "", "", 0 },
		{ NAME_ROW("\5\3\0\1\0\0\0\0\0\0"), SOCKS_BAD, SOCKS_NO_COMMAND,
		  "", "", 0 },
		{ NAME_ROW("\5\360\0\3\6a.test\0\120"), SOCKS_BAD,
		  SOCKS_NO_COMMAND, "", "", 0 },
		/* no address, no name, no port, another version */
		{ NAME_ROW("\5\1\0\2\313\0\161\12\1\273"), SOCKS_BAD,
		  SOCKS_NO_ADDRESS_TYPE, "", "", 0 },
		{ NAME_ROW("\5\1\0\3\0\0\120"), SOCKS_BAD, SOCKS_FAILURE, "",
		  "", 0 },
		{ NAME_ROW("\5\1\0\3\7a\0.test\0\120"), SOCKS_BAD,
		  SOCKS_FAILURE, "", "", 0 },
		{ NAME_ROW("\5\1\0\3\6a test\0\120"), SOCKS_BAD, SOCKS_FAILURE,
		  "", "", 0 },
		{ NAME_ROW("\5\1\0\3\0121.2.3.4\0.x\0\120"), SOCKS_BAD,
		  SOCKS_FAILURE, "", "", 0 },
		{ NAME_ROW("\5\1\0\3\6a.test\0\0"), SOCKS_BAD, SOCKS_FAILURE,
		  "", "", 0 },
		{ NAME_ROW("\4\1\0\3\6a.test\0\120"), SOCKS_BAD, SOCKS_FAILURE,
		  "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct request_row *row = &rows[i];
		struct socks_request q;
		char text[ADDR_STRLEN];
		enum socks_status s = socks_request_peek(
			(const uint8_t *)row->bytes, row->len, &q);

		if (s != row->status)
			fail_msg("row %zu: %d (%s)", i, s, q.why ? q.why : "");
		if (s == SOCKS_BAD) {
			assert_int_equal(q.reply, row->reply);
			assert_non_null(q.why);
		}
		if (s != SOCKS_OK)
			continue;
		assert_string_equal(q.name, row->name);
		assert_int_equal(q.len, row->len);
		assert_int_equal(q.port, row->port);
		assert_int_equal(q.literal, row->name[0] == '\0');
		if (q.literal)
			assert_string_equal(addr_str(&q.addr, text), row->addr);
	}
}

static void replies(void **state)
{
	uint8_t r[SOCKS_REPLY_LEN];

	(void)state;
	socks_reply(SOCKS_NOT_ALLOWED, r);
	assert_memory_equal(r, "\5\2\0\1\0\0\0\0\0\0", sizeof(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings),
		cmocka_unit_test(passwords),
		cmocka_unit_test(requests),
		cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
