/* proxy_hello.h - ClientHellos to order
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_PROXY_HELLO_H
#define EXEAT_TESTS_PROXY_HELLO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/buf.h"

struct hello_spec {
	const char *name;	 /* NULL: no SNI */
	const char *second_name; /* a second entry of the list */
	const char *alpn;	 /* one protocol */
	size_t padding;		 /* bytes of an extension that pads */
	size_t record;		 /* bytes a record; 0: as large as may be */
	int ech;
	int twice; /* the SNI extension, two times */
};

/* Reserve a length field; fill it when what it measures is written. */
static inline uint8_t *hello_open(struct wbuf *w, int size)
{
	uint8_t *at = w->p;

	for (int i = 0; i < size; i++)
		wbuf_u8(w, 0);
	return at;
}

static inline void hello_shut(struct wbuf *w, uint8_t *at, int size)
{
	size_t n = (size_t)(w->p - at) - (size_t)size;

	for (int i = size - 1; i >= 0; i--, n >>= 8)
		at[i] = (uint8_t)n;
}

static inline void hello_name(struct wbuf *w, const char *name)
{
	uint8_t *n;

	wbuf_u8(w, 0);
	n = hello_open(w, 2);
	wbuf_bytes(w, name, strlen(name));
	hello_shut(w, n, 2);
}

static inline void hello_sni(struct wbuf *w, const struct hello_spec *s)
{
	uint8_t *ext, *list;

	wbuf_u16(w, 0);
	ext = hello_open(w, 2);
	list = hello_open(w, 2);
	hello_name(w, s->name);
	if (s->second_name)
		hello_name(w, s->second_name);
	hello_shut(w, list, 2);
	hello_shut(w, ext, 2);
}

static inline void hello_extensions(struct wbuf *w, const struct hello_spec *s)
{
	uint8_t *all = hello_open(w, 2), *ext, *list;

	if (s->alpn) {
		wbuf_u16(w, 16);
		ext = hello_open(w, 2);
		list = hello_open(w, 2);
		wbuf_u8(w, (uint8_t)strlen(s->alpn));
		wbuf_bytes(w, s->alpn, strlen(s->alpn));
		hello_shut(w, list, 2);
		hello_shut(w, ext, 2);
	}
	if (s->padding > 0) {
		wbuf_u16(w, 21);
		ext = hello_open(w, 2);
		for (size_t i = 0; i < s->padding; i++)
			wbuf_u8(w, 0);
		hello_shut(w, ext, 2);
	}
	if (s->name)
		hello_sni(w, s);
	if (s->name && s->twice)
		hello_sni(w, s);
	if (s->ech) {
		wbuf_u16(w, 0xfe0d);
		wbuf_u16(w, 1);
		wbuf_u8(w, 1);
	}
	hello_shut(w, all, 2);
}

/* Into buf, in records; returns the length. */
static inline size_t hello_build(const struct hello_spec *s, uint8_t *buf,
				 size_t size)
{
	static uint8_t body[128 << 10];
	struct wbuf b = wbuf_make(body, sizeof(body));
	struct wbuf w = wbuf_make(buf, size);
	size_t record = s->record ? s->record : 16384, at = 0;
	uint8_t *len;

	wbuf_u8(&b, 1);
	len = hello_open(&b, 3);
	wbuf_u16(&b, 0x0303);
	for (int i = 0; i < 32; i++)
		wbuf_u8(&b, (uint8_t)i);
	wbuf_u8(&b, 0);
	wbuf_u16(&b, 2);
	wbuf_u16(&b, 0x1301);
	wbuf_u16(&b, 0x0100);
	hello_extensions(&b, s);
	hello_shut(&b, len, 3);
	while (at < wbuf_len(&b)) {
		size_t n = wbuf_len(&b) - at;

		if (n > record)
			n = record;
		wbuf_u8(&w, 22);
		wbuf_u16(&w, 0x0301);
		wbuf_u16(&w, (uint16_t)n);
		wbuf_bytes(&w, body + at, n);
		at += n;
	}
	return b.bad || w.bad ? 0 : wbuf_len(&w);
}

#endif
