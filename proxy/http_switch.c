/* http_switch.c - has the server switched to another protocol?
 * SPDX-License-Identifier: Apache-2.0
 *
 * A status alone would not do: pages exist that answer with whatever status
 * they are asked for, and go on in HTTP. Lines are looked at one by one, and
 * only as far as the ones that count are long.
 */
#include <string.h>

#include "proxy/http.h"
#include "proxy/http_text.h"

enum {
	HEAD_MAX = 16384,
	ACCEPT_LEN = 28, /* a SHA-1 in base64 (RFC 6455 4.2.2) */
};

void http_switch_init(struct http_switch *w, enum http_upgrade want)
{
	*w = (struct http_switch){ .want = want };
}

static void see_header(struct http_switch *w, struct text line)
{
	struct text name = text_cut(&line, ':'), value = text_trim(line);

	if (text_is(name, "Upgrade"))
		w->upgraded = text_is(value, w->want == HTTP_UPGRADE_H2C ?
						     "h2c" :
						     "websocket");
	if (text_is(name, "Sec-WebSocket-Accept"))
		w->accepted = value.len == ACCEPT_LEN;
}

static enum http_status end_line(struct http_switch *w)
{
	struct text line = { w->line, w->nline };

	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (!w->status) {
		w->status = true;
		return text_starts(line, "HTTP/1.1 101") ? HTTP_NEED_MORE :
							   HTTP_NOT_HTTP;
	}
	if (w->nline == sizeof(w->line))
		return HTTP_NEED_MORE; /* none that counts is so long */
	if (line.len > 0) {
		see_header(w, line);
		return HTTP_NEED_MORE;
	}
	return w->upgraded && (w->accepted || w->want == HTTP_UPGRADE_H2C) ?
		       HTTP_OK :
		       HTTP_NOT_HTTP;
}

/* What is no 101 is known after its first bytes. */
static bool may_be_101(const struct http_switch *w)
{
	static const char expect[] = "HTTP/1.1 101";
	size_t n = w->nline < sizeof(expect) - 1 ? w->nline :
						   sizeof(expect) - 1;

	return w->status || memcmp(w->line, expect, n) == 0;
}

enum http_status http_switch_feed(struct http_switch *w, const uint8_t *data,
				  size_t len)
{
	enum http_status s = HTTP_NEED_MORE;

	for (size_t i = 0; i < len && s == HTTP_NEED_MORE; i++) {
		if (++w->bytes > HEAD_MAX)
			return HTTP_NOT_HTTP;
		if (data[i] == '\n') {
			s = end_line(w);
			w->nline = 0;
			continue;
		}
		if (w->nline < sizeof(w->line))
			w->line[w->nline++] = (char)data[i];
		if (!may_be_101(w))
			s = HTTP_NOT_HTTP;
	}
	return s;
}
