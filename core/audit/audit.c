/* audit.c - an event as a JSON line and as the body of a message
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Both forms walk the table of schema.c, field by field. The line is written
 * directly, without a tree in between: there is one for every connection.
 *
 * Text is hostile. It comes out as valid UTF-8 whatever came in: bytes that
 * are none are written as \u00XX, and so is every character that moves a
 * terminal's cursor or turns the direction of writing. It is cut at
 * LIMIT_AUDIT_TEXT bytes of output, between characters, and ends in U+2026
 * then.
 */
#include "core/audit/audit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/audit/schema.h"
#include "core/base/limits.h"
#include "core/base/text.h"

static const char *const layers[] = {
	[AUDIT_DNS] = "dns",
	[AUDIT_KERNEL] = "kernel",
	[AUDIT_TCP] = "tcp",
	[AUDIT_TLS] = "tls",
	[AUDIT_HTTP] = "http",
	[AUDIT_UDP] = "udp",
	[AUDIT_PROXY] = "proxy",
	[AUDIT_POLICY] = "policy",
	[AUDIT_LIFECYCLE] = "lifecycle",
};

static const char *const verdicts[] = {
	[AUDIT_DENY] = "deny",
	[AUDIT_ALLOW] = "allow",
	[AUDIT_FAIL] = "fail",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What stands for the rest of a text that was cut: U+2026. */
#define CUT_MARK "\xe2\x80\xa6"
enum { ESCAPED = 16 }; /* one character, at most */

#define TEXT_ROOM (LIMIT_AUDIT_TEXT - sizeof(CUT_MARK) + 1)

const char *audit_layer_name(enum audit_layer layer)
{
	return (size_t)layer < COUNT(layers) ? layers[layer] : NULL;
}

const char *audit_verdict_name(enum audit_verdict verdict)
{
	return (size_t)verdict < COUNT(verdicts) ? verdicts[verdict] : NULL;
}

static const void *value_of(const struct audit_event *e,
			    const struct audit_field *f)
{
	return (const char *)e + f->offset;
}

static const char *text_of(const struct audit_event *e,
			   const struct audit_field *f)
{
	const char *s;

	memcpy(&s, value_of(e, f), sizeof(s));
	return s;
}

static uint64_t number_of(const struct audit_event *e,
			  const struct audit_field *f)
{
	const void *p = value_of(e, f);
	uint64_t v = 0;

	switch (f->type) {
	case AUDIT_T_TIME:
	case AUDIT_T_U64:
		memcpy(&v, p, sizeof(v));
		return v;
	case AUDIT_T_U32:
		return *(const uint32_t *)p;
	case AUDIT_T_U16:
		return *(const uint16_t *)p;
	case AUDIT_T_LAYER:
		return (uint64_t)e->layer;
	case AUDIT_T_VERDICT:
		return (uint64_t)e->verdict;
	case AUDIT_T_ERRNO:
		return (uint64_t)(int64_t)e->error;
	case AUDIT_T_TEXT:
	case AUDIT_T_LIST:
	case AUDIT_T_ADDRESS:
		break;
	}
	return 0;
}

static bool flag_of(const struct audit_event *e, const struct audit_field *f)
{
	return *(const bool *)((const char *)e + f->flag);
}

static bool is_text(const struct audit_field *f)
{
	return f->type == AUDIT_T_TEXT || f->type == AUDIT_T_LIST;
}

static bool present(const struct audit_event *e, const struct audit_field *f)
{
	switch (f->when) {
	case AUDIT_ALWAYS:
		return true;
	case AUDIT_IF_FLAG:
		return flag_of(e, f);
	case AUDIT_IF_SET:
		break;
	}
	if (f->type == AUDIT_T_VERDICT) /* its zero is deny: never left out */
		return e->verdict != AUDIT_NONE;
	if (is_text(f))
		return text_of(e, f) && text_of(e, f)[0] != '\0';
	return number_of(e, f) != 0;
}

/* -- JSON -- */

/* One character as it stands in a JSON string; its length. Moves *s on. */
static size_t escape_one(const uint8_t **s, char out[ESCAPED])
{
	size_t len;
	uint32_t c = text_char(*s, &len);

	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		*s += 1;
		return 2;
	}
	if (len > 0 && !text_char_hides(c)) {
		memcpy(out, *s, len);
		*s += len;
		return len;
	}
	*s += len ? len : 1;
	if (c > 0xffff) /* RFC 8259 7: two surrogates */
		return (size_t)snprintf(out, ESCAPED, "\\u%04x\\u%04x",
					0xd7c0 + (unsigned)(c >> 10),
					0xdc00 + (unsigned)(c & 0x3ff));
	return (size_t)snprintf(out, ESCAPED, "\\u%04x", (unsigned)c);
}

/* How many bytes from s on can be written as they are. */
static size_t plain_run(const uint8_t *s, const uint8_t *end)
{
	const uint8_t *p = s;

	while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')
		p++;
	return (size_t)(p - s);
}

/* A JSON string that uses up at most *room bytes, the mark of a cut apart. */
static void put_text(struct sbuf *b, const char *text, size_t len, size_t *room)
{
	const uint8_t *s = (const uint8_t *)text, *end = s + len;
	char out[ESCAPED];

	sbuf_add(b, "\"", 1);
	while (s < end) {
		size_t n = plain_run(s, end);

		if (n > *room)
			n = *room;
		if (n > 0) {
			sbuf_add(b, s, n);
			s += n;
			*room -= n;
			continue;
		}
		n = escape_one(&s, out);
		if (n > *room) {
			sbuf_str(b, CUT_MARK);
			*room = 0;
			break;
		}
		sbuf_add(b, out, n);
		*room -= n;
	}
	sbuf_add(b, "\"", 1);
}

static void put_list(struct sbuf *b, const char *words)
{
	size_t room = TEXT_ROOM;
	const char *separator = "";

	sbuf_str(b, "[");
	for (words += strspn(words, " "); *words && room > 0;
	     words += strspn(words, " ")) {
		size_t len = strcspn(words, " ");

		sbuf_str(b, separator);
		put_text(b, words, len, &room);
		separator = ",";
		words += len;
	}
	sbuf_str(b, "]");
}

static void put_time(struct sbuf *b, int64_t us)
{
	time_t s = (time_t)(us / 1000000);
	long fraction = (long)(us % 1000000);
	struct tm tm;

	if (fraction < 0) { /* before 1970 */
		fraction += 1000000;
		s--;
	}
	if (!gmtime_r(&s, &tm)) /* a year that no int holds */
		memset(&tm, 0, sizeof(tm));
	sbuf_fmt(b, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\"",
		 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		 tm.tm_min, tm.tm_sec, fraction);
}

static void put_number(struct sbuf *b, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	sbuf_add(b, digits + i, sizeof(digits) - i);
}

static void put_errno(struct sbuf *b, int error)
{
	const char *name = strerrorname_np(error);

	if (name)
		sbuf_fmt(b, "\"%s\"", name);
	else
		sbuf_fmt(b, "\"%d\"", error);
}

static void put_value(struct sbuf *b, const struct audit_event *e,
		      const struct audit_field *f)
{
	char address[ADDR_STRLEN];
	size_t room = TEXT_ROOM;

	switch (f->type) {
	case AUDIT_T_TIME:
		put_time(b, e->time_us);
		return;
	case AUDIT_T_U64:
	case AUDIT_T_U32:
	case AUDIT_T_U16:
		put_number(b, number_of(e, f));
		return;
	case AUDIT_T_TEXT:
		put_text(b, text_of(e, f), strlen(text_of(e, f)), &room);
		return;
	case AUDIT_T_LIST:
		put_list(b, text_of(e, f));
		return;
	case AUDIT_T_LAYER:
		sbuf_fmt(b, "\"%s\"", audit_layer_name(e->layer));
		return;
	case AUDIT_T_VERDICT:
		sbuf_fmt(b, "\"%s\"", audit_verdict_name(e->verdict));
		return;
	case AUDIT_T_ADDRESS:
		sbuf_fmt(b, "\"%s\"", addr_str(&e->address, address));
		return;
	case AUDIT_T_ERRNO:
		put_errno(b, e->error);
		return;
	}
}

static bool valid(const struct audit_event *e)
{
	return audit_layer_name(e->layer) &&
	       (audit_verdict_name(e->verdict) || e->verdict == AUDIT_NONE);
}

int audit_format(const struct audit_event *e, struct sbuf *line)
{
	char separator = '{';

	if (!valid(e))
		return -EINVAL;
	for (size_t i = 0; i < audit_nfields; i++) {
		const struct audit_field *f = &audit_fields[i];

		if (!present(e, f))
			continue;
		sbuf_add(line, &separator, 1);
		sbuf_add(line, "\"", 1);
		sbuf_str(line, f->name);
		sbuf_add(line, "\":", 2);
		put_value(line, e, f);
		separator = ',';
	}
	sbuf_add(line, "}\n", 2);
	return line->bad ? -ENOMEM : 0;
}

/* -- messages -- */

/* Neighbours may share a flag: then it is said once, before the first. */
static bool leads_flag(const struct audit_field *f)
{
	return f->when == AUDIT_IF_FLAG &&
	       (f == audit_fields || f[-1].flag != f->flag);
}

void audit_encode(const struct audit_event *e, struct sbuf *ret)
{
	for (size_t i = 0; i < audit_nfields; i++) {
		const struct audit_field *f = &audit_fields[i];

		if (leads_flag(f))
			sbuf_u8(ret, flag_of(e, f));
		if (is_text(f))
			sbuf_lstr(ret, text_of(e, f));
		else if (f->type == AUDIT_T_ADDRESS)
			sbuf_add(ret, e->address.b, sizeof(e->address.b));
		else
			sbuf_u64(ret, number_of(e, f));
	}
}

/* Store v into the number of field f; false if it does not fit. */
static bool store_number(struct audit_event *e, const struct audit_field *f,
			 uint64_t v)
{
	void *p = (char *)e + f->offset;

	switch (f->type) {
	case AUDIT_T_TIME:
	case AUDIT_T_U64:
		memcpy(p, &v, sizeof(v));
		return true;
	case AUDIT_T_U32:
		*(uint32_t *)p = (uint32_t)v;
		return v <= UINT32_MAX;
	case AUDIT_T_U16:
		*(uint16_t *)p = (uint16_t)v;
		return v <= UINT16_MAX;
	case AUDIT_T_LAYER:
		e->layer = (enum audit_layer)v;
		return v < COUNT(layers);
	case AUDIT_T_VERDICT:
		e->verdict = (enum audit_verdict)v;
		return v <= AUDIT_NONE;
	case AUDIT_T_ERRNO:
		e->error = (int)v;
		return v <= INT_MAX;
	case AUDIT_T_TEXT:
	case AUDIT_T_LIST:
	case AUDIT_T_ADDRESS:
		break;
	}
	return false;
}

static bool decode_field(struct rbuf *r, struct audit_event *e,
			 const struct audit_field *f)
{
	const uint8_t *p;
	const char *s;

	if (leads_flag(f)) {
		uint8_t flag = rbuf_u8(r);

		if (flag > 1)
			return false;
		*(bool *)((char *)e + f->flag) = flag;
	}
	if (is_text(f)) {
		s = rbuf_str(r);
		memcpy((char *)e + f->offset, &s, sizeof(s));
		return true;
	}
	if (f->type != AUDIT_T_ADDRESS)
		return store_number(e, f, rbuf_u64(r));
	p = rbuf_bytes(r, sizeof(e->address.b));
	if (p)
		e->address = addr_from_bytes(p, sizeof(e->address.b));
	return true;
}

bool audit_decode(const void *body, size_t len, struct audit_event *ret)
{
	struct rbuf r = rbuf_make(body, len);
	struct audit_event e = { 0 };

	for (size_t i = 0; i < audit_nfields; i++)
		if (!decode_field(&r, &e, &audit_fields[i]))
			return false;
	if (r.bad || rbuf_left(&r) > 0)
		return false;
	*ret = e;
	return true;
}
