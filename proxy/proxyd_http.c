/* proxyd_http.c - what an HTTP proxy does to heads
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Both rewriters walk the lines of a head and drop the hop-by-hop fields: a
 * fixed list, and what Connection lists (RFC 9110 7.6.1). Fields that frame
 * the body or say where it goes are never dropped, whatever Connection says
 * of them. Proxy credentials end here. No Via and no Forwarded is added:
 * the origin learns nothing of the sandbox.
 */
#include "proxy/proxyd_http.h"

#include <string.h>
#include <strings.h>

#include "core/base/num.h"
#include "proxy/http_text.h"

enum { RESPONSE_LINES_MAX = 512 };

/* The next line without its end; false at the empty one. */
static bool next_line(struct text *rest, struct text *ret)
{
	struct text line = text_cut(rest, '\n');

	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	*ret = line;
	return line.len > 0;
}

/* -- fields -- */

/* Does a list ("close, TE") hold the word? */
static bool lists(struct text list, struct text word)
{
	while (list.len > 0) {
		struct text item = text_trim(text_cut(&list, ','));

		if (item.len == word.len && item.len > 0 &&
		    strncasecmp(item.p, word.p, item.len) == 0)
			return true;
	}
	return false;
}

static bool lists_text(struct text list, const char *word)
{
	return lists(list, (struct text){ word, strlen(word) });
}

static bool is_connection(struct text name)
{
	return text_is(name, "Connection") || text_is(name, "Proxy-Connection");
}

/* Is the word in a Connection field of this head? */
static bool connection_lists(struct text fields, struct text word)
{
	struct text line;

	while (next_line(&fields, &line)) {
		struct text value = line, name = text_cut(&value, ':');

		if (is_connection(name) && lists(value, word))
			return true;
	}
	return false;
}

static bool hop_by_hop(struct text fields, struct text name)
{
	static const char *const always[] = {
		"Connection",
		"Proxy-Connection",
		"Keep-Alive",
		"Proxy-Authorization",
		"Proxy-Authenticate",
		"Proxy-Authentication-Info",
		"TE",
		"Upgrade",
		"HTTP2-Settings",
	};
	static const char *const never[] = {
		"Host",
		"Content-Length",
		"Transfer-Encoding",
		"Trailer",
	};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (text_is(name, always[i]))
			return true;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (text_is(name, never[i]))
			return false;
	return connection_lists(fields, name);
}

/* What is left of the fields, and how the connection goes on. */
static void put_fields(struct text fields, bool host, const char *connection,
		       struct sbuf *ret)
{
	struct text rest = fields, line;

	while (next_line(&rest, &line)) {
		struct text value = line, name = text_cut(&value, ':');

		if (hop_by_hop(fields, name) ||
		    (!host && text_is(name, "Host")))
			continue;
		sbuf_add(ret, line.p, line.len);
		sbuf_str(ret, "\r\n");
	}
	sbuf_fmt(ret, "Connection: %s\r\n\r\n", connection);
}

/* -- requests -- */

/* name [":" port] or address: http_peek() has judged the host. */
static const char *parse_authority(struct text t, uint16_t otherwise,
				   const struct http_head *head,
				   struct proxy_target *ret)
{
	char text[LIMIT_NAME + 16];
	const char *cursor = text;
	uint64_t port = otherwise;

	if (t.len >= sizeof(text))
		return "bad authority";
	memcpy(text, t.p, t.len);
	text[t.len] = '\0';
	memcpy(ret->name, head->name, sizeof(ret->name));
	if (head->literal) {
		cursor += text[0] == '[';
		if (!addr_parse(&cursor, &ret->to.addr))
			return "bad authority";
		cursor += *cursor == ']';
	} else {
		cursor += strcspn(text, ":");
	}
	if (cursor[0] == ':' && cursor[1] != '\0') {
		cursor++;
		if (!num_parse_u64(&cursor, UINT16_MAX, &port) || *cursor)
			return "bad port";
	}
	if (port == 0)
		return "no port";
	ret->to.port = (uint16_t)port;
	return NULL;
}

/* "http://" has been seen; what is before the path. */
static struct text authority_of(struct text target)
{
	struct text a = { target.p + strlen("http://"), 0 };

	while (a.len < target.len - strlen("http://") &&
	       !memchr("/?#", a.p[a.len], 3))
		a.len++;
	return a;
}

static bool wants_keep(struct text fields, unsigned version)
{
	struct text line;

	if (version != 11)
		return false;
	while (next_line(&fields, &line)) {
		struct text value = line, name = text_cut(&value, ':');

		if (is_connection(name) && lists_text(value, "close"))
			return false;
	}
	return true;
}

static bool has_http(struct text target)
{
	return target.len > 7 && strncasecmp(target.p, "http://", 7) == 0;
}

const char *proxy_target_parse(const uint8_t *data,
			       const struct http_head *head,
			       struct proxy_target *ret)
{
	struct text rest = { (const char *)data, head->len }, line, method,
		    target;

	memset(ret, 0, sizeof(*ret));
	(void)next_line(&rest, &line);
	method = text_cut(&line, ' ');
	target = text_cut(&line, ' ');
	ret->keep = wants_keep(rest, head->version);
	ret->head = text_is(method, "HEAD");
	if (head->method == HTTP_CONNECT) {
		ret->tunnel = true;
		if (head->chunked || head->length > 0)
			return "CONNECT with a body";
		return parse_authority(target, 0, head, ret);
	}
	if (!has_http(target))
		return "this is a proxy: CONNECT or http:// is wanted";
	return parse_authority(authority_of(target), 80, head, ret);
}

/* "http://a.test?q" is "/?q" of a.test; a fragment stays at home. */
static void put_origin_form(struct text method, struct text target,
			    struct sbuf *ret)
{
	struct text a = authority_of(target);
	struct text path = { a.p + a.len,
			     target.len - strlen("http://") - a.len };

	path = text_cut(&path, '#');
	if (path.len == 0 && text_is(method, "OPTIONS")) {
		sbuf_str(ret, "*"); /* RFC 9112 3.2.4 */
		return;
	}
	if (path.len == 0 || path.p[0] != '/')
		sbuf_str(ret, "/");
	sbuf_add(ret, path.p, path.len);
}

void proxy_request_rewrite(const uint8_t *data, const struct http_head *head,
			   struct sbuf *ret)
{
	struct text rest = { (const char *)data, head->len }, line, method,
		    target, a;

	(void)next_line(&rest, &line);
	method = text_cut(&line, ' ');
	target = text_cut(&line, ' ');
	sbuf_add(ret, method.p, method.len);
	sbuf_str(ret, " ");
	put_origin_form(method, target, ret);
	sbuf_fmt(ret, " HTTP/1.%u\r\n", head->version - 10);
	a = authority_of(target);
	/* RFC 9112 3.2.2: Host is the target's; 1.0 may come without */
	sbuf_str(ret, "Host: ");
	sbuf_add(ret, a.p, a.len);
	sbuf_str(ret, "\r\n");
	put_fields(rest, false, "close", ret);
}

/* -- responses -- */

static enum http_status bad(struct proxy_response *r, const char *why)
{
	r->why = why;
	return HTTP_BAD;
}

static bool status_line(struct text line, struct proxy_response *r)
{
	struct text version = text_cut(&line, ' ');

	if (version.len != 8 || memcmp(version.p, "HTTP/1.", 7) != 0 ||
	    line.len < 3 || (line.len > 3 && line.p[3] != ' '))
		return false;
	for (int i = 0; i < 3; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return false;
		r->status = r->status * 10 + (unsigned)(line.p[i] - '0');
	}
	return r->status >= 100 && r->status < 600;
}

/* A name is empty only in a line of ":". */
static char end_of(struct text t)
{
	return t.len > 0 ? t.p[t.len - 1] : ' ';
}

/* RFC 9112 6.3, with what it lets a proxy repair refused instead. */
static const char *frame(struct text fields, struct proxy_response *r)
{
	bool length = false, coded = false, chunked = false;
	struct text line;
	unsigned n = 0;

	while (next_line(&fields, &line)) {
		struct text value = line, name = text_cut(&value, ':');

		if (++n > RESPONSE_LINES_MAX)
			return "too many headers";
		if (strchr(" \t", line.p[0]) || strchr(" \t", end_of(name)))
			return "blank around a header name";
		if (http_has_control(value))
			return "control in a header";
		value = text_trim(value);
		if (text_is(name, "Content-Length")) {
			uint64_t n_bytes;

			if (!http_length(value, &n_bytes) ||
			    (length && n_bytes != r->length))
				return "bad Content-Length";
			r->length = n_bytes;
			length = true;
		} else if (text_is(name, "Transfer-Encoding")) {
			if (coded)
				return "two Transfer-Encodings";
			coded = true;
			chunked = text_is(value, "chunked");
		}
	}
	if (coded && length)
		return "Content-Length beside Transfer-Encoding";
	r->framing = chunked ? PROXY_CHUNKED :
		     length  ? PROXY_LENGTH :
			       PROXY_UNTIL_CLOSE;
	return NULL;
}

/* Where the empty line ends; 0: it has not come. */
static size_t head_end(const uint8_t *data, size_t len)
{
	const uint8_t *p = data, *end = data + len;

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		p++;
		if (p < end && *p == '\n')
			return (size_t)(p - data) + 1;
		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
			return (size_t)(p - data) + 2;
	}
	return 0;
}

enum http_status proxy_response_peek(const uint8_t *data, size_t len, bool head,
				     struct proxy_response *ret)
{
	struct text rest, line;
	const char *why;

	memset(ret, 0, sizeof(*ret));
	ret->len = head_end(data, len);
	if (len >= 5 && memcmp(data, "HTTP/", 5) != 0)
		return bad(ret, "not HTTP");
	if (ret->len == 0)
		return len >= LIMIT_PEEK_BYTES ? bad(ret, "head too long") :
						 HTTP_NEED_MORE;
	rest = (struct text){ (const char *)data, ret->len };
	if (memchr(data, '\0', ret->len) || !next_line(&rest, &line) ||
	    !status_line(line, ret))
		return bad(ret, "bad status line");
	/* nobody asked for another protocol */
	if (ret->status == 101)
		return bad(ret, "switches protocols unasked");
	why = frame(rest, ret);
	if (why)
		return bad(ret, why);
	ret->interim = ret->status < 200;
	if (ret->interim || head || ret->status == 204 || ret->status == 304)
		ret->framing = PROXY_NO_BODY;
	return HTTP_OK;
}

void proxy_response_rewrite(const uint8_t *data,
			    const struct proxy_response *response, bool keep,
			    struct sbuf *ret)
{
	struct text rest = { (const char *)data, response->len }, line;

	(void)next_line(&rest, &line);
	sbuf_add(ret, line.p, line.len);
	sbuf_str(ret, "\r\n");
	put_fields(rest, true,
		   keep || response->interim ? "keep-alive" : "close", ret);
}
