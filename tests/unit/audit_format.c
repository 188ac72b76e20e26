/* audit_format.c - audit lines: golden ones, hostile text, and the schema
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/audit/audit.h"
#include "core/audit/schema.h"
#include "core/base/limits.h"

#define FULL                                                                  \
	{                                                                     \
		.time_us = 1700000000123456, .seq = 18446744073709551615u,    \
		.session = "s1", .label = "build", .run = 3, .posture = 2,    \
		.layer = AUDIT_TLS, .verdict = AUDIT_FAIL, .protocol = "tls", \
		.name = "example.com", .learnt = "sni", .has_address = true,  \
		.address = { { [0] = 0x20,                                    \
			       [1] = 1,                                       \
			       [2] = 0xd,                                     \
			       [3] = 0xb8,                                    \
			       [15] = 1 } },                                  \
		.port = 443, .rule = "example.com", .reason = "rule",         \
		.hint = "example.com:443", .error = ECONNREFUSED,             \
		.has_bytes = true, .bytes_in = 1234567, .has_duration = true, \
		.duration_ms = 15, .chain = "a.example b.example",            \
		.dropped = 7, .pid = 4711, .exe = "/usr/bin/curl",            \
		.hash = "00ff",                                               \
	}

static const struct audit_event full = FULL;

static const struct {
	struct audit_event event;
	const char *line;
} golden[] = {
	{ FULL, "{\"time\":\"2023-11-14T22:13:20.123456Z\","
		"\"seq\":18446744073709551615,\"session\":\"s1\","
		"\"label\":\"build\",\"run\":3,\"posture\":2,\"layer\":\"tls\","
		"\"verdict\":\"fail\",\"protocol\":\"tls\","
		"\"name\":\"example.com\",\"learnt\":\"sni\","
		"\"address\":\"2001:db8::1\",\"port\":443,"
		"\"rule\":\"example.com\",\"reason\":\"rule\","
		"\"hint\":\"example.com:443\",\"errno\":\"ECONNREFUSED\","
		"\"bytes_in\":1234567,\"bytes_out\":0,\"duration_ms\":15,"
		"\"chain\":[\"a.example\",\"b.example\"],\"dropped\":7,"
		"\"pid\":4711,\"exe\":\"/usr/bin/curl\","
		"\"hash\":\"00ff\"}\n" },
	/* zero is deny, and it is always said */
	{ { .seq = 1 },
	  "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"seq\":1,"
	  "\"layer\":\"dns\",\"verdict\":\"deny\"}\n" },
	{ { .time_us = -1,
	    .layer = AUDIT_LIFECYCLE,
	    .verdict = AUDIT_NONE,
	    .session = "",
	    .has_bytes = false,
	    .bytes_in = 5 },
	  "{\"time\":\"1969-12-31T23:59:59.999999Z\",\"seq\":0,"
	  "\"layer\":\"lifecycle\"}\n" },
	/* flags make zeros visible */
	{ { .layer = AUDIT_UDP,
	    .verdict = AUDIT_ALLOW,
	    .has_address = true,
	    .has_bytes = true,
	    .has_duration = true },
	  "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"seq\":0,"
	  "\"layer\":\"udp\",\"verdict\":\"allow\",\"address\":\"::\","
	  "\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0}\n" },
	{ { .layer = AUDIT_KERNEL, .error = 4095 },
	  "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"seq\":0,"
	  "\"layer\":\"kernel\",\"verdict\":\"deny\",\"errno\":\"4095\"}\n" },
	{ { .layer = AUDIT_DNS, .chain = "  a  b " },
	  "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"seq\":0,"
	  "\"layer\":\"dns\",\"verdict\":\"deny\",\"chain\":[\"a\","
	  "\"b\"]}\n" },
};

static void golden_lines(void **state)
{
	struct sbuf b;

	(void)state;
	sbuf_init(&b, AUDIT_LINE_MAX);
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		sbuf_clear(&b);
		assert_int_equal(audit_format(&golden[i].event, &b), 0);
		assert_string_equal(b.s, golden[i].line);
	}
	sbuf_done(&b);
}

/* What stands between the quotes of "name". */
static const struct {
	const char *text, *escaped;
} text_rows[] = {
	{ "plain-text_1.example", "plain-text_1.example" },
	{ "a\"b\\c", "a\\\"b\\\\c" },
	{ "/", "/" },
	{ "a\nb\r\t\x01\x1f\x7f", "a\\u000ab\\u000d\\u0009\\u0001\\u001f"
				  "\\u007f" },
	{ "\x1b[31m", "\\u001b[31m" },
	{ "\xd8\x9c", "\\u061c" },		  /* a direction */
	{ "\xf3\xa0\x80\xa1", "\\udb40\\udc21" }, /* a tag */
	{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	  "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
	  "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf" },
	/* not UTF-8: lone, overlong, surrogate, too high, cut short */
	{ "\xff\xfe", "\\u00ff\\u00fe" },
	{ "\x80", "\\u0080" },
	{ "\xc0\xaf", "\\u00c0\\u00af" },
	{ "\xc1\x81", "\\u00c1\\u0081" },
	{ "\xe0\x9f\xbf", "\\u00e0\\u009f\\u00bf" },
	{ "\xf0\x8f\xbf\xbf", "\\u00f0\\u008f\\u00bf\\u00bf" },
	{ "\xed\xa0\x80", "\\u00ed\\u00a0\\u0080" },
	{ "\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080" },
	{ "\xf5\x80", "\\u00f5\\u0080" },
	{ "\xc3", "\\u00c3" },
	{ "\xe2\x82", "\\u00e2\\u0082" },
	{ "\xf0\x9f\x98", "\\u00f0\\u009f\\u0098" },
	{ "\xc3(", "\\u00c3(" },
	/* controls and what turns or hides text, though valid UTF-8 */
	{ "\xc2\x85\xc2\x9b", "\\u0085\\u009b" },
	{ "\xe2\x80\xae"
	  "moc",
	  "\\u202emoc" },
	{ "\xe2\x80\xa8\xe2\x80\x8b\xef\xbb\xbf\xe2\x81\xa6",
	  "\\u2028\\u200b\\ufeff\\u2066" },
};

static char *name_field(const char *name, struct sbuf *b)
{
	const struct audit_event e = { .name = name };
	char *start, *end;

	sbuf_clear(b);
	assert_int_equal(audit_format(&e, b), 0);
	start = strstr(b->s, "\"name\":\"");
	assert_non_null(start);
	start += strlen("\"name\":\"");
	end = strrchr(b->s, '"');
	*end = '\0';
	return start;
}

static void hostile_text(void **state)
{
	struct sbuf b;

	(void)state;
	sbuf_init(&b, AUDIT_LINE_MAX);
	for (size_t i = 0; i < sizeof(text_rows) / sizeof(text_rows[0]); i++)
		assert_string_equal(name_field(text_rows[i].text, &b),
				    text_rows[i].escaped);
	sbuf_done(&b);
}

/* Text of every kind and length stays within its bound, cut between
 * characters, and the longest possible line within the line's. */
static void bounds(void **state)
{
	static const char *const units[] = { "a",	 "\"",
					     "\x01",	 "\xff",
					     "\xc3\xa9", "\xf0\x9f\x98\x80",
					     "a\x01",	 "ab " };
	char text[3 * LIMIT_AUDIT_TEXT];
	struct sbuf b;

	(void)state;
	sbuf_init(&b, AUDIT_LINE_MAX);
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		size_t n = strlen(units[u]);
		struct audit_event e = full;
		json_t *line;
		char *name;

		for (size_t len = 0; len + n < sizeof(text); len += n) {
			memcpy(text + len, units[u], n);
			text[len + n] = '\0';
			if (len < LIMIT_AUDIT_TEXT - 100 && len % 64)
				continue;
			name = name_field(text, &b);
			assert_true(strlen(name) <= LIMIT_AUDIT_TEXT);
			if (len > LIMIT_AUDIT_TEXT)
				assert_string_equal(name + strlen(name) - 3,
						    "\xe2\x80\xa6");
		}
		e.seq = 1; /* the reader's integers are signed */
		e.session = e.label = e.protocol = e.name = e.learnt = text;
		e.rule = e.reason = e.hint = e.chain = e.exe = text;
		e.hash = text;
		sbuf_clear(&b);
		assert_int_equal(audit_format(&e, &b), 0);
		line = json_loadb(b.s, b.len, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(line);
		json_decref(line);
	}
	sbuf_done(&b);
}

static bool is_of_type(const struct audit_field *f, const json_t *value)
{
	const char *type = audit_type_json(f->type);

	if (json_is_integer(value))
		return strcmp(type, "number") == 0;
	if (json_is_array(value))
		return strcmp(type, "array of strings") == 0;
	return json_is_string(value) && strcmp(type, "string") == 0;
}

/* A full event has every field of the table, in its order, of its type. */
static void schema(void **state)
{
	struct audit_event e = full;
	struct sbuf b;
	const char *key;
	json_t *line, *value;
	size_t i = 0;

	(void)state;
	e.seq = 1; /* the reader's integers are signed */
	sbuf_init(&b, AUDIT_LINE_MAX);
	assert_int_equal(audit_format(&e, &b), 0);
	line = json_loadb(b.s, b.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	json_object_foreach(line, key, value) {
		assert_string_equal(key, audit_fields[i].name);
		assert_true(is_of_type(&audit_fields[i], value));
		i++;
	}
	assert_int_equal(i, audit_nfields);
	json_decref(line);

	/* a field marked `always` is there in the emptiest event */
	e = (struct audit_event){ 0 };
	sbuf_clear(&b);
	assert_int_equal(audit_format(&e, &b), 0);
	line = json_loadb(b.s, b.len, 0, NULL);
	for (i = 0; i < audit_nfields; i++) {
		if (audit_fields[i].when == AUDIT_ALWAYS)
			assert_non_null(
				json_object_get(line, audit_fields[i].name));
	}
	json_decref(line);
	sbuf_done(&b);
}

static void bad_events(void **state)
{
	struct audit_event e = { .layer = (enum audit_layer)99 };
	struct sbuf b;

	(void)state;
	sbuf_init(&b, AUDIT_LINE_MAX);
	assert_int_equal(audit_format(&e, &b), -EINVAL);
	e = (struct audit_event){ .verdict = (enum audit_verdict)4 };
	assert_int_equal(audit_format(&e, &b), -EINVAL);
	assert_null(audit_verdict_name(AUDIT_NONE));
	sbuf_done(&b);
	sbuf_init(&b, 100);
	assert_int_equal(audit_format(&full, &b), -ENOMEM);
	sbuf_done(&b);
}

static void round_trip(void **state)
{
	struct sbuf body, line;

	(void)state;
	sbuf_init(&body, 64 << 10);
	sbuf_init(&line, AUDIT_LINE_MAX);
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		struct audit_event e;

		sbuf_clear(&body);
		audit_encode(&golden[i].event, &body);
		assert_false(body.bad);
		assert_true(audit_decode(body.s, body.len, &e));
		sbuf_clear(&line);
		assert_int_equal(audit_format(&e, &line), 0);
		assert_string_equal(line.s, golden[i].line);
		/* every shorter body, and a longer one, is refused */
		for (size_t len = 0; len < body.len; len++)
			assert_false(audit_decode(body.s, len, &e));
		sbuf_u8(&body, 0);
		assert_false(audit_decode(body.s, body.len, &e));
	}
	sbuf_done(&body);
	sbuf_done(&line);
}

/* Whatever bytes arrive: refused, or an event that can be written. */
static void broken_messages(void **state)
{
	unsigned seed = 17, accepted = 0;
	struct sbuf body, line;

	(void)state;
	sbuf_init(&body, 64 << 10);
	sbuf_init(&line, AUDIT_LINE_MAX);
	audit_encode(&full, &body);
	for (int i = 0; i < 20000; i++) {
		size_t at = (size_t)rand_r(&seed) % body.len;
		char old = body.s[at];
		struct audit_event e;

		body.s[at] = (char)rand_r(&seed);
		if (audit_decode(body.s, body.len, &e)) {
			sbuf_clear(&line);
			assert_int_equal(audit_format(&e, &line), 0);
			accepted++;
		}
		body.s[at] = old;
	}
	assert_true(accepted > 0 && accepted < 20000);
	sbuf_done(&body);
	sbuf_done(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_lines),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(bounds),
		cmocka_unit_test(schema),
		cmocka_unit_test(bad_events),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(broken_messages),
	};

	return cmocka_run_group_tests_name("audit/format", tests, NULL, NULL);
}
