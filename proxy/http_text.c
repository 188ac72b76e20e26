/* http_text.c - pieces of text, as the parsers of HTTP see them
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/http_text.h"

#include <string.h>
#include <strings.h>

#include "core/base/addr.h"
#include "core/base/num.h"
#include "policy/rule.h"

enum { AUTHORITY_MAX = LIMIT_NAME + 1 + 6 }; /* trailing dot, port */

bool text_is(struct text t, const char *s)
{
	return t.len == strlen(s) && strncasecmp(t.p, s, t.len) == 0;
}

bool text_starts(struct text t, const char *s)
{
	return t.len >= strlen(s) && strncasecmp(t.p, s, strlen(s)) == 0;
}

bool text_contains(struct text t, const char *s)
{
	for (; t.len >= strlen(s); t.p++, t.len--)
		if (text_starts(t, s))
			return true;
	return false;
}

struct text text_trim(struct text t)
{
	while (t.len > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) {
		t.p++;
		t.len--;
	}
	while (t.len > 0 && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t'))
		t.len--;
	return t;
}

struct text text_cut(struct text *t, char c)
{
	const char *at = t->len > 0 ? memchr(t->p, c, t->len) : NULL;
	struct text head = *t;

	if (at)
		head.len = (size_t)(at - t->p);
	t->p += head.len + (at != NULL);
	t->len -= head.len + (at != NULL);
	return head;
}

bool http_is_tchar(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

bool http_is_token(struct text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (!http_is_tchar((unsigned char)t.p[i]))
			return false;
	return t.len > 0;
}

/* As names of variables, '-' and '_' are one (RFC 3875 4.1.18). */
bool http_is_lookalike(struct text t)
{
	static const char *const names[] = { "Content-Length",
					     "Transfer-Encoding" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]), at = strcspn(names[i], "-");

		if (t.len == n && t.p[at] == '_' &&
		    strncasecmp(t.p, names[i], at) == 0 &&
		    strncasecmp(t.p + at + 1, names[i] + at + 1, n - at - 1) ==
			    0)
			return true;
	}
	return false;
}

bool http_has_control(struct text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (http_is_control((unsigned char)t.p[i]))
			return true;
	return false;
}

bool http_authority(struct text t, char ret[LIMIT_NAME + 1], bool *ret_literal)
{
	char text[AUTHORITY_MAX + 1];
	const char *cursor = text, *colon;
	struct addr addr;
	uint64_t port;
	bool bracket;

	if (t.len == 0 || t.len > AUTHORITY_MAX || memchr(t.p, '\0', t.len))
		return false;
	memcpy(text, t.p, t.len);
	text[t.len] = '\0';
	bracket = text[0] == '[';
	cursor += bracket;
	*ret_literal = false;
	if (addr_parse(&cursor, &addr) && (!bracket || *cursor++ == ']') &&
	    addr_is_v4(&addr) == !bracket && (*cursor == ':' || !*cursor)) {
		*ret_literal = true;
		ret[0] = '\0';
	} else {
		colon = strchr(text, ':');
		cursor = colon ? colon : text + t.len;
		if (!name_canonical(text, (size_t)(cursor - text), ret))
			return false;
	}
	if (*cursor == '\0' || (cursor[0] == ':' && cursor[1] == '\0'))
		return true; /* RFC 3986 3.2.3: an empty port is one */
	cursor++;
	return num_parse_u64(&cursor, UINT16_MAX, &port) && *cursor == '\0';
}

bool http_length(struct text t, uint64_t *ret)
{
	char digits[24];
	const char *cursor = digits;

	if (t.len == 0 || t.len >= sizeof(digits) || memchr(t.p, '\0', t.len))
		return false;
	memcpy(digits, t.p, t.len);
	digits[t.len] = '\0';
	return num_parse_u64(&cursor, INT64_MAX, ret) && *cursor == '\0';
}
