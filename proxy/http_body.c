/* http_body.c - where a request's body ends
 * SPDX-License-Identifier: Apache-2.0
 *
 * Chunks by RFC 9112 7.1, lines ended by CRLF and nothing else. Bytes go on
 * as they come; what a broken body has already sent cannot begin a new
 * request for the server either, because the connection ends there.
 */
#include <string.h>

#include "proxy/http.h"
#include "proxy/http_text.h"

enum {
	SIZE_DIGITS_MAX = 15, /* < 2^60 */
	SIZE_LINE_MAX = 256,  /* with extensions */
	TRAILERS_MAX = 8192,
};

void http_body_start(struct http_body *b, const struct http_head *head)
{
	*b = (struct http_body){ .state = HTTP_BODY_END };
	if (head->chunked) {
		b->state = HTTP_BODY_SIZE;
	} else if (head->length > 0) {
		b->state = HTTP_BODY_LENGTH;
		b->left = head->length;
	}
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void next_state(struct http_body *b, enum http_body_state state)
{
	b->state = state;
	b->line = 0;
	b->cr = false;
	b->extension = false;
	b->value = false;
}

/* One byte that is part of a line's end. False: a CR or LF out of place. */
static bool line_end(struct http_body *b, uint8_t c, bool *ret_ended)
{
	*ret_ended = b->cr && c == '\n';
	if (b->cr || c == '\n')
		return *ret_ended;
	b->cr = c == '\r';
	return true;
}

static bool feed_size(struct http_body *b, uint8_t c)
{
	int digit = hex_digit(c);
	bool ended;

	if (!line_end(b, c, &ended))
		return false;
	if (ended) {
		next_state(b,
			   b->left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER);
		return true;
	}
	if (b->cr)
		return b->line > 0; /* at least one digit */
	if (++b->line > SIZE_LINE_MAX)
		return false;
	if (b->extension)
		return !http_is_control(c);
	if (digit < 0) {
		b->extension = true;
		return b->line > 1 && c == ';';
	}
	b->left = b->left << 4 | (unsigned)digit;
	return b->line <= SIZE_DIGITS_MAX;
}

static bool feed_chunk_end(struct http_body *b, uint8_t c)
{
	bool ended;

	if (!line_end(b, c, &ended) || (!ended && !b->cr))
		return false;
	if (ended)
		next_state(b, HTTP_BODY_SIZE);
	return true;
}

/* Servers that merge trailers into the head do it behind their checks. */
static bool may_trail(const struct http_body *b)
{
	static const char *const heads[] = { "Host", "Content-Length",
					     "Transfer-Encoding" };
	size_t n = b->line < sizeof(b->name) ? b->line : sizeof(b->name);
	const struct text name = { b->name, n };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (text_is(name, heads[i]))
			return false;
	return b->line > 0 && !http_is_lookalike(name);
}

static bool feed_trailer_byte(struct http_body *b, uint8_t c)
{
	if (b->value)
		return !http_is_control(c);
	b->value = c == ':';
	if (b->value)
		return may_trail(b);
	if (b->line < sizeof(b->name))
		b->name[b->line] = (char)c;
	b->line++;
	return http_is_tchar(c);
}

static bool feed_trailer(struct http_body *b, uint8_t c)
{
	bool ended;

	if (++b->trailers > TRAILERS_MAX || !line_end(b, c, &ended))
		return false;
	if (b->cr && !ended)
		return b->value || b->line == 0;
	if (!ended)
		return feed_trailer_byte(b, c);
	next_state(b, b->value ? HTTP_BODY_TRAILER : HTTP_BODY_END);
	return true;
}

static bool feed_byte(struct http_body *b, uint8_t c)
{
	switch (b->state) {
	case HTTP_BODY_SIZE:
		return feed_size(b, c);
	case HTTP_BODY_CHUNK_END:
		return feed_chunk_end(b, c);
	case HTTP_BODY_TRAILER:
		return feed_trailer(b, c);
	case HTTP_BODY_END:
	case HTTP_BODY_LENGTH:
	case HTTP_BODY_CHUNK:
		break;
	}
	return false;
}

enum http_status http_body_feed(struct http_body *b, const uint8_t *data,
				size_t len, size_t *ret_used)
{
	size_t at = 0;

	while (at < len && b->state != HTTP_BODY_END) {
		bool bulk = b->state == HTTP_BODY_LENGTH ||
			    b->state == HTTP_BODY_CHUNK;

		if (bulk) {
			size_t n = len - at < b->left ? len - at :
							(size_t)b->left;

			at += n;
			b->left -= n;
			if (b->left == 0)
				next_state(b, b->state == HTTP_BODY_LENGTH ?
						      HTTP_BODY_END :
						      HTTP_BODY_CHUNK_END);
		} else if (!feed_byte(b, data[at++])) {
			return HTTP_BAD;
		}
	}
	*ret_used = at;
	return b->state == HTTP_BODY_END ? HTTP_OK : HTTP_NEED_MORE;
}
