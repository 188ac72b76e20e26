/* upproxy_http.c - CONNECT to a proxy (RFC 9110 9.3.6)
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One request, and the head of its answer, byte by byte, so that it ends
 * exactly where the target's bytes begin. A 2xx has no body, whatever its
 * fields say. Interim answers (1xx) are passed over. Of all fields only those
 * that say which authentication a 407 wants are looked at.
 */
#include <string.h>
#include <strings.h>

#include "proxy/upproxy_talk.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(struct wbuf *b, const uint8_t *p, size_t len)
{
	for (; len > 0; p += 3) {
		const size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16;

		if (n > 1)
			v |= (uint32_t)p[1] << 8;
		if (n > 2)
			v |= p[2];
		for (size_t i = 0; i < 4; i++) {
			unsigned digit = v >> (18 - 6 * i) & 63;

			wbuf_u8(b,
				(uint8_t)(i <= n ? base64_digits[digit] : '='));
		}
		len -= n;
	}
}

static void put(struct wbuf *b, const char *s)
{
	wbuf_bytes(b, s, strlen(s));
}

/* RFC 9110 7.2: host and port; an IPv6 address in brackets. */
static void put_authority(struct wbuf *b, const struct upproxy_talk *t)
{
	char text[ENDPOINT_STRLEN], port[8];
	size_t n = sizeof(port);

	if (!t->name)
		return put(b, endpoint_str(&t->to, text));
	put(b, t->name);
	port[--n] = '\0';
	for (unsigned v = t->to.port; v > 0; v /= 10)
		port[--n] = (char)('0' + v % 10);
	port[--n] = ':';
	put(b, port + n);
}

/* RFC 7617 2 */
static void put_basic(struct wbuf *b, const struct upproxy *u)
{
	uint8_t pair[2 * UPPROXY_TEXT + 2];
	struct wbuf both = wbuf_make(pair, sizeof(pair));

	put(&both, u->user);
	put(&both, ":");
	put(&both, u->password);
	put(b, "Proxy-Authorization: Basic ");
	put_base64(b, pair, wbuf_len(&both));
	put(b, "\r\n");
	explicit_bzero(pair, sizeof(pair));
}

void upproxy_http_begin(struct upproxy_talk *t)
{
	struct wbuf b = wbuf_make(t->out, sizeof(t->out));

	put(&b, "CONNECT ");
	put_authority(&b, t);
	put(&b, " HTTP/1.1\r\nHost: ");
	put_authority(&b, t);
	put(&b, "\r\n");
	if (t->upproxy->has_credentials)
		put_basic(&b, t->upproxy);
	put(&b, "\r\n");
	/* the limits of names and credentials leave room */
	t->out_len = b.bad ? 0 : wbuf_len(&b);
}

enum { STATE_STATUS, STATE_FIELDS };

static bool digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200" and no further digit. */
static bool parse_status(const struct upproxy_talk *t, unsigned *ret)
{
	static const char begin[] = "HTTP/1.";
	const uint8_t *s = t->in;
	const size_t n = sizeof(begin) - 1;

	if (t->in_len < n + 5 || memcmp(s, begin, n) != 0 || !digit(s[n]) ||
	    s[n + 1] != ' ')
		return false;
	s += n + 2;
	if (!digit(s[0]) || s[0] == '0' || !digit(s[1]) || !digit(s[2]) ||
	    (t->in_len > n + 5 && s[3] != ' '))
		return false;
	*ret = (s[0] - '0') * 100U + (s[1] - '0') * 10U + (s[2] - '0');
	return true;
}

static bool begins(const uint8_t *s, size_t len, const char *with)
{
	return len >= strlen(with) &&
	       strncasecmp((const char *)s, with, strlen(with)) == 0;
}

static void note_field(struct upproxy_talk *t)
{
	static const char field[] = "proxy-authenticate:";
	const uint8_t *s = t->in;
	size_t len = t->in_len;

	if (!begins(s, len, field))
		return;
	s += sizeof(field) - 1;
	len -= sizeof(field) - 1;
	while (len > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		len--;
	}
	if (begins(s, len, "basic"))
		t->basic = true;
	else
		t->other = true;
}

static enum upproxy_status end_of_head(struct upproxy_talk *t)
{
	const unsigned status = t->http_status;

	t->state = STATE_STATUS;
	if (status >= 200 && status < 300)
		return UPPROXY_DONE;
	if (status < 200 && status != 101) {
		t->http_status = 0;
		return UPPROXY_MORE;
	}
	if (status == 407 && t->other && !t->basic)
		return upproxy_talk_fail(t, UPPROXY_F_AUTH, status);
	return upproxy_talk_fail(t, UPPROXY_F_HTTP, status);
}

static enum upproxy_status end_of_line(struct upproxy_talk *t)
{
	enum upproxy_status r = UPPROXY_MORE;

	if (t->in_len > 0 && t->in_len <= UPPROXY_LINE_KEPT &&
	    t->in[t->in_len - 1] == '\r')
		t->in_len--;
	if (t->state == STATE_STATUS) {
		if (!parse_status(t, &t->http_status))
			return upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
		t->state = STATE_FIELDS;
	} else if (t->in_len == 0) {
		r = end_of_head(t);
	} else {
		note_field(t);
	}
	t->in_len = 0;
	return r;
}

/* Not even the beginning of an answer: no line end need be waited for. */
static bool is_nonsense(const struct upproxy_talk *t)
{
	static const char begin[] = "HTTP/1.";
	const size_t n = sizeof(begin) - 1;

	return t->state == STATE_STATUS &&
	       memcmp(t->in, begin, t->in_len < n ? t->in_len : n) != 0;
}

enum upproxy_status upproxy_http_take(struct upproxy_talk *t,
				      const uint8_t *data, size_t len,
				      size_t *ret_used)
{
	enum upproxy_status r = UPPROXY_MORE;
	size_t i = 0;

	while (i < len && r == UPPROXY_MORE) {
		const uint8_t c = data[i++];

		if (++t->taken > UPPROXY_HEAD_MAX) {
			r = upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
		} else if (c == '\n') {
			r = end_of_line(t);
		} else {
			/* what is longer is not of interest, but is no end */
			if (t->in_len < UPPROXY_LINE_KEPT)
				t->in[t->in_len++] = c;
			else
				t->in[UPPROXY_LINE_KEPT - 1] = ' ';
			if (is_nonsense(t))
				r = upproxy_talk_fail(t, UPPROXY_F_NONSENSE, 0);
		}
	}
	*ret_used = i;
	return r;
}
