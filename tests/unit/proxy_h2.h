/* proxy_h2.h - what a client of HTTP/2 sends, made by hand
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_UNIT_PROXY_H2_H
#define EXEAT_TESTS_UNIT_PROXY_H2_H

#include <stdint.h>
#include <string.h>

#include "core/base/buf.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE,
	H2_CONTINUATION,

	H2_END_STREAM = 0x1,
	H2_ACK = 0x1,
	H2_END_HEADERS = 0x4,
	H2_PADDED = 0x8,
	H2_HAS_PRIORITY = 0x20,
};

static inline void h2_frame(struct wbuf *w, int type, int flags,
			    uint32_t stream, const void *payload, size_t len)
{
	wbuf_u8(w, (uint8_t)(len >> 16));
	wbuf_u16(w, (uint16_t)len);
	wbuf_u8(w, (uint8_t)type);
	wbuf_u8(w, (uint8_t)flags);
	wbuf_u16(w, (uint16_t)(stream >> 16));
	wbuf_u16(w, (uint16_t)stream);
	wbuf_bytes(w, payload, len);
}

/* "name=value|name=value" as literals; `how`: 0 without, 0x40 with indexing. */
static inline void h2_block(struct wbuf *w, int how, const char *fields)
{
	while (*fields) {
		size_t name = strcspn(fields, "=");
		const char *value = fields + name + 1;
		size_t n = strcspn(value, "|");

		wbuf_u8(w, (uint8_t)how);
		wbuf_u8(w, (uint8_t)name);
		wbuf_bytes(w, fields, name);
		wbuf_u8(w, (uint8_t)n);
		wbuf_bytes(w, value, n);
		fields = value + n + (value[n] == '|');
	}
}

static inline void h2_begin(struct wbuf *w)
{
	wbuf_bytes(w, H2_PREFACE, sizeof(H2_PREFACE) - 1);
	h2_frame(w, H2_SETTINGS, 0, 0, "", 0);
}

static inline void h2_headers(struct wbuf *w, int flags, uint32_t stream,
			      const char *fields)
{
	uint8_t block[1024];
	struct wbuf b = wbuf_make(block, sizeof(block));

	h2_block(&b, 0, fields);
	h2_frame(w, H2_HEADERS, flags, stream, block, wbuf_len(&b));
}

#endif
