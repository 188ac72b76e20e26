/* h2_say.c - a refusal, said in HTTP/2
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/h2.h"

#include "core/base/buf.h"

enum { DATA, HEADERS, SETTINGS = 4, GOAWAY = 7 };
enum { END_STREAM = 0x1, END_HEADERS = 0x4 };

static void put32(uint8_t *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void frame(struct sbuf *s, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *payload, size_t len)
{
	uint8_t head[9];

	put32(head, (uint32_t)len << 8 | type);
	head[4] = flags;
	put32(head + 5, stream);
	sbuf_add(s, (const char *)head, sizeof(head));
	sbuf_add(s, payload, len);
}

void h2_say_refusal(struct sbuf *s, uint32_t stream, const char *text,
		    size_t len)
{
	/* literals whose names are of the static table: 8 and 31 (RFC 7541 A) */
	static const char block[] = "\x08\x03"
				    "403"
				    "\x0f\x10\x0a"
				    "text/plain";
	uint8_t last[8] = { 0 }; /* and no error */

	put32(last, stream);
	frame(s, SETTINGS, 0, 0, "", 0);
	frame(s, HEADERS, END_HEADERS, stream, block, sizeof(block) - 1);
	frame(s, DATA, END_STREAM, stream, text, len);
	frame(s, GOAWAY, 0, 0, last, sizeof(last));
}
