/* http.c - HTTP/1 request heads
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The first line decides whether it is HTTP at all (classify): only lines
 * that end in a protocol version are, besides the short form of HTTP/0.9,
 * which is refused. From then on everything is either exactly as RFC 9112
 * wants it or bad. Each header line is looked up in one table; what it says
 * is collected in `struct seen`, and judge() holds it together at the end.
 */
#include "proxy/http.h"

#include <string.h>

#include "proxy/http_text.h"

enum { HEADERS_MAX = 256 };

/* What the header lines said. */
struct seen {
	unsigned hosts, lengths, encodings;
	struct text host, length, encoding;
	bool websocket, h2c, other_upgrade;
};

static enum http_status bad(struct http_head *h, const char *why)
{
	h->name[0] = '\0';
	h->why = why;
	return HTTP_BAD;
}

/*
 * Is the first line a request line? Decided on the whole line, so that a
 * greeting of another protocol ("SSH-2.0-x y", "EHLO x") is not taken for
 * one. `line` is without the LF.
 */
static enum http_status classify_line(struct text line)
{
	static const char *const methods[] = { "GET",	"HEAD",	  "POST",
					       "PUT",	"DELETE", "OPTIONS",
					       "PATCH", "TRACE" };
	struct text method;

	if (text_contains(line, "HTTP/"))
		return HTTP_OK;
	method = text_cut(&line, ' ');
	line = text_trim(line);
	if (!text_starts(line, "/") && !text_starts(line, "http:"))
		return HTTP_NOT_HTTP;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (text_is(method, methods[i]))
			return HTTP_BAD;
	return HTTP_NOT_HTTP;
}

/*
 * A client whose packets begin with their length in digits, as git's do
 * ("0029git-upload-pack /x" NUL "host=a.test" NUL), may wait for the answer
 * without ever having ended a line. No method begins with a digit and no
 * request line has a NUL; for one of them alone a lenient server can be found.
 */
static bool is_packet(const uint8_t *data, size_t line)
{
	return data[0] >= '0' && data[0] <= '9' && memchr(data, '\0', line);
}

static enum http_status classify(const uint8_t *data, size_t len,
				 size_t *ret_line)
{
	const uint8_t *lf;
	size_t n = 0;

	if (len == 0)
		return HTTP_NEED_MORE;
	/* what a lenient server would skip before a request */
	if (strchr("\r\n\t ", data[0]) && data[0] != '\0')
		return HTTP_BAD;
	/* of any length: some servers pass on a method that nobody knows */
	while (n < len && http_is_tchar(data[n]))
		n++;
	if (n == len)
		return HTTP_NEED_MORE;
	if (n == 0 || (data[n] != ' ' && data[n] != '\t'))
		return HTTP_NOT_HTTP;
	lf = memchr(data, '\n', len);
	if (is_packet(data, lf ? (size_t)(lf - data) : len))
		return HTTP_NOT_HTTP;
	if (!lf)
		return HTTP_NEED_MORE;
	*ret_line = (size_t)(lf - data);
	return classify_line((struct text){ (const char *)data, *ret_line });
}

/* Method, target and version; *ret_authority is that of the target. */
static const char *parse_request_line(struct text line, struct http_head *h,
				      struct text *ret_authority)
{
	struct text method, target;

	method = text_cut(&line, ' ');
	target = text_cut(&line, ' ');
	if (text_is(line, "HTTP/1.1"))
		h->version = 11;
	else if (text_is(line, "HTTP/1.0"))
		h->version = 10;
	/* text_is ignores case, the version does not (RFC 9112 2.3) */
	if (h->version == 0 || memcmp(line.p, "HTTP/", 5) != 0)
		return "bad request line";
	if (!http_is_token(method))
		return "bad method";
	if (http_has_control(target) || memchr(target.p, '\t', target.len))
		return "bad request target";
	*ret_authority = (struct text){ NULL, 0 };
	/* methods are case-sensitive; servers are not always */
	if (text_is(method, "CONNECT")) {
		h->method = HTTP_CONNECT;
		*ret_authority = target;
		return target.len > 0 ? NULL : "bad request target";
	}
	/* and its twin, which one server knows */
	if (text_is(method, "TRACE") || text_is(method, "TRACK"))
		h->method = HTTP_TRACE;
	if (text_starts(target, "http://")) {
		target.p += 7;
		target.len -= 7;
		ret_authority->p = target.p;
		while (ret_authority->len < target.len &&
		       !memchr("/?#", target.p[ret_authority->len], 3))
			ret_authority->len++;
		return ret_authority->len > 0 ? NULL : "bad request target";
	}
	if (text_starts(target, "/"))
		return NULL;
	return text_is(target, "*") && text_is(method, "OPTIONS") ?
		       NULL :
		       "bad request target";
}

static void see_upgrade(struct seen *s, struct text value)
{
	while (value.len > 0) {
		struct text item = text_trim(text_cut(&value, ','));

		if (text_is(item, "websocket"))
			s->websocket = true;
		else if (text_starts(item, "h2c"))
			s->h2c = true;
		else if (item.len > 0)
			s->other_upgrade = true;
	}
}

/*
 * Connection names fields that the next server takes out before it hands the
 * request on (RFC 9110 7.6.1): then it would be another request.
 */
static bool names_framing(struct text value)
{
	while (value.len > 0) {
		struct text item = text_trim(text_cut(&value, ','));

		if (text_is(item, "Host") || text_is(item, "Content-Length") ||
		    text_is(item, "Transfer-Encoding"))
			return true;
	}
	return false;
}

static const char *parse_header(struct text line, struct seen *s)
{
	struct text name, value = line;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return "folded header";
	if (!memchr(line.p, ':', line.len))
		return "header without a colon";
	name = text_cut(&value, ':');
	value = text_trim(value);
	if (!http_is_token(name) || http_is_lookalike(name))
		return "bad header name";
	if (http_has_control(value))
		return "control character in a header";
	if (text_is(name, "Host")) {
		s->hosts++;
		s->host = value;
	} else if (text_is(name, "Content-Length")) {
		s->lengths++;
		s->length = value;
	} else if (text_is(name, "Transfer-Encoding")) {
		s->encodings++;
		s->encoding = value;
	} else if (text_is(name, "Upgrade")) {
		see_upgrade(s, value);
	} else if (text_is(name, "Connection")) {
		return names_framing(value) ? "bad Connection" : NULL;
	} else if (text_is(name, "HTTP2-Settings")) {
		s->h2c = true;
	}
	return NULL;
}

static const char *judge_body(const struct seen *s, struct http_head *h)
{
	if (s->encodings > 1 || s->lengths > 1)
		return "two lengths of the body";
	if (s->encodings && s->lengths)
		return "Content-Length beside Transfer-Encoding";
	if (s->encodings) {
		h->chunked = true;
		return h->version == 11 && text_is(s->encoding, "chunked") ?
			       NULL :
			       "bad Transfer-Encoding";
	}
	if (!s->lengths)
		return NULL;
	return http_length(s->length, &h->length) ? NULL : "bad Content-Length";
}

/* Host and target must be of one mind. */
static const char *judge_host(const struct seen *s, struct text authority,
			      struct http_head *h)
{
	char name[LIMIT_NAME + 1];
	bool literal;

	if (s->hosts > 1)
		return "more than one Host";
	if (s->hosts == 0 && h->version == 11)
		return "no Host";
	if (s->hosts && !http_authority(s->host, h->name, &h->literal))
		return "bad Host";
	if (!authority.p)
		return NULL;
	if (!http_authority(authority, name, &literal))
		return "bad authority";
	if (s->hosts && (literal != h->literal || strcmp(name, h->name) != 0))
		return "Host is not the target's";
	memcpy(h->name, name, sizeof(name));
	h->literal = literal;
	return NULL;
}

static const char *judge(const struct seen *s, struct text authority,
			 struct http_head *h)
{
	const char *why = judge_host(s, authority, h);

	if (s->h2c)
		h->upgrade = HTTP_UPGRADE_H2C;
	else if (s->other_upgrade)
		h->upgrade = HTTP_UPGRADE_OTHER;
	else if (s->websocket)
		h->upgrade = HTTP_UPGRADE_WEBSOCKET;
	return why ? why : judge_body(s, h);
}

/*
 * The next line, ended by CRLF, without it. NEED_MORE, OK or BAD (a bare CR
 * or LF).
 */
static enum http_status next_line(const uint8_t *data, size_t len, size_t *at,
				  struct text *ret)
{
	const uint8_t *p = data + *at;
	const uint8_t *lf = memchr(p, '\n', len - *at);
	size_t n = lf ? (size_t)(lf - p) : len - *at;

	if (!lf)
		return HTTP_NEED_MORE;
	if (n == 0 || p[n - 1] != '\r' || memchr(p, '\r', n - 1))
		return HTTP_BAD;
	*ret = (struct text){ (const char *)p, n - 1 };
	*at += n + 1;
	return HTTP_OK;
}

static enum http_status parse_head(const uint8_t *data, size_t len,
				   struct http_head *ret)
{
	struct seen seen = { 0 };
	struct text line, authority;
	const char *why;
	size_t at = 0;

	if (next_line(data, len, &at, &line) != HTTP_OK)
		return bad(ret, "bad line end");
	why = parse_request_line(line, ret, &authority);
	if (why)
		return bad(ret, why);
	for (unsigned n = 0;; n++) {
		enum http_status s = next_line(data, len, &at, &line);

		if (s == HTTP_BAD)
			return bad(ret, "bad line end");
		if (s != HTTP_OK)
			return s;
		if (line.len == 0)
			break;
		why = n < HEADERS_MAX ? parse_header(line, &seen) :
					"too many headers";
		if (why)
			return bad(ret, why);
	}
	ret->len = at;
	why = judge(&seen, authority, ret);
	return why ? bad(ret, why) : HTTP_OK;
}

enum http_status http_peek(const uint8_t *data, size_t len,
			   struct http_head *ret)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n";
	bool full = len >= LIMIT_PEEK_BYTES;
	size_t line;
	enum http_status s;

	memset(ret, 0, sizeof(*ret));
	if (full)
		len = LIMIT_PEEK_BYTES;
	s = classify(data, len, &line);
	if (s == HTTP_BAD)
		return bad(ret, "bad request line");
	if (s == HTTP_OK) {
		if (line + 1 == sizeof(preface) - 1 &&
		    memcmp(data, preface, line + 1) == 0)
			return HTTP_H2;
		s = parse_head(data, len, ret);
	}
	return s == HTTP_NEED_MORE && full ? bad(ret, "head too long") : s;
}
