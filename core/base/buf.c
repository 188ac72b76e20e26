/* buf.c - bounded reading and writing of bytes
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length that stands for a NULL string on the wire. */
#define STR_NULL UINT32_MAX

static void be_store(uint8_t *out, uint64_t v, size_t n)
{
	while (n-- > 0) {
		out[n] = (uint8_t)v;
		v >>= 8;
	}
}

/* -- rbuf -- */

struct rbuf rbuf_make(const void *data, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *p = data && len > 0 ? data : nothing;

	return (struct rbuf){ .start = p,
			      .p = p,
			      .end = p == nothing ? p : p + len };
}

size_t rbuf_left(const struct rbuf *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

size_t rbuf_pos(const struct rbuf *r)
{
	return (size_t)(r->p - r->start);
}

const uint8_t *rbuf_bytes(struct rbuf *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > rbuf_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static uint64_t be_load(struct rbuf *r, size_t n)
{
	const uint8_t *p = rbuf_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t rbuf_u8(struct rbuf *r)
{
	return (uint8_t)be_load(r, 1);
}

uint16_t rbuf_u16(struct rbuf *r)
{
	return (uint16_t)be_load(r, 2);
}

uint32_t rbuf_u32(struct rbuf *r)
{
	return (uint32_t)be_load(r, 4);
}

uint64_t rbuf_u64(struct rbuf *r)
{
	return be_load(r, 8);
}

void rbuf_skip(struct rbuf *r, size_t n)
{
	(void)rbuf_bytes(r, n); /* bad remembers a short one */
}

struct rbuf rbuf_sub(struct rbuf *r, size_t n)
{
	const uint8_t *p = rbuf_bytes(r, n);
	struct rbuf sub = rbuf_make(p, p ? n : 0);

	sub.bad = p == NULL;
	return sub;
}

const char *rbuf_str(struct rbuf *r)
{
	uint32_t len = rbuf_u32(r);
	const uint8_t *p;

	if (r->bad || len == STR_NULL)
		return NULL;
	p = rbuf_bytes(r, (size_t)len + 1);
	/* exactly one NUL, at the end: text has one length, not two */
	if (p && memchr(p, '\0', (size_t)len + 1) == p + len)
		return (const char *)p;
	r->bad = true;
	return NULL;
}

/* -- wbuf -- */

struct wbuf wbuf_make(void *data, size_t size)
{
	uint8_t *p = data;

	return (struct wbuf){ .start = p,
			      .p = p,
			      .end = size > 0 ? p + size : p };
}

size_t wbuf_len(const struct wbuf *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for n bytes, or NULL and bad. */
static uint8_t *wbuf_room(struct wbuf *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

static void wbuf_be(struct wbuf *w, uint64_t v, size_t n)
{
	uint8_t *p = wbuf_room(w, n);

	if (p)
		be_store(p, v, n);
}

void wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_be(w, v, 1);
}

void wbuf_u16(struct wbuf *w, uint16_t v)
{
	wbuf_be(w, v, 2);
}

void wbuf_u32(struct wbuf *w, uint32_t v)
{
	wbuf_be(w, v, 4);
}

void wbuf_u64(struct wbuf *w, uint64_t v)
{
	wbuf_be(w, v, 8);
}

void wbuf_bytes(struct wbuf *w, const void *data, size_t len)
{
	uint8_t *p = len > 0 ? wbuf_room(w, len) : NULL;

	if (p)
		memcpy(p, data, len);
}

void wbuf_str(struct wbuf *w, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (len >= STR_NULL) {
		w->bad = true;
		return;
	}
	wbuf_u32(w, s ? (uint32_t)len : STR_NULL);
	if (s)
		wbuf_bytes(w, s, len + 1);
}

/* -- sbuf -- */

void sbuf_init(struct sbuf *b, size_t limit)
{
	*b = (struct sbuf){ .limit = limit };
}

void sbuf_done(struct sbuf *b)
{
	free(b->s);
	sbuf_init(b, b->limit);
}

void sbuf_clear(struct sbuf *b)
{
	b->len = 0;
	b->bad = false;
	if (b->s)
		b->s[0] = '\0';
}

/* Room for n more characters and the terminator; NULL and bad if not. */
static char *sbuf_room(struct sbuf *b, size_t n)
{
	size_t size = b->size ? b->size : 64;
	char *s;

	if (b->bad || n > b->limit - b->len || n > SIZE_MAX / 2 - b->len - 1)
		goto bad;
	while (size < b->len + n + 1)
		size *= 2;
	if (size != b->size) {
		s = realloc(b->s, size);
		if (!s)
			goto bad;
		b->s = s;
		b->size = size;
	}
	s = b->s + b->len;
	b->len += n;
	s[n] = '\0';
	return s;
bad:
	b->bad = true;
	return NULL;
}

void sbuf_add(struct sbuf *b, const void *data, size_t len)
{
	char *p = sbuf_room(b, len);

	if (p && len > 0)
		memcpy(p, data, len);
}

void sbuf_str(struct sbuf *b, const char *s)
{
	sbuf_add(b, s, strlen(s));
}

void sbuf_fmt(struct sbuf *b, const char *fmt, ...)
{
	char small[256], *p;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->bad = true;
		return;
	}
	if ((size_t)n < sizeof(small)) {
		sbuf_add(b, small, (size_t)n);
		return;
	}
	p = sbuf_room(b, (size_t)n);
	if (!p)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap); /* length known */
	va_end(ap);
}

char *sbuf_steal(struct sbuf *b)
{
	char *s;

	sbuf_str(b, ""); /* an empty one has no memory yet */
	if (b->bad) {
		sbuf_done(b);
		b->bad = true;
		return NULL;
	}
	s = b->s;
	sbuf_init(b, b->limit);
	return s;
}

static void sbuf_be(struct sbuf *b, uint64_t v, size_t n)
{
	char *p = sbuf_room(b, n);

	if (p)
		be_store((uint8_t *)p, v, n);
}

void sbuf_u8(struct sbuf *b, uint8_t v)
{
	sbuf_be(b, v, 1);
}

void sbuf_u16(struct sbuf *b, uint16_t v)
{
	sbuf_be(b, v, 2);
}

void sbuf_u32(struct sbuf *b, uint32_t v)
{
	sbuf_be(b, v, 4);
}

void sbuf_u64(struct sbuf *b, uint64_t v)
{
	sbuf_be(b, v, 8);
}

void sbuf_lstr(struct sbuf *b, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (len >= STR_NULL) {
		b->bad = true;
		return;
	}
	sbuf_u32(b, s ? (uint32_t)len : STR_NULL);
	if (s)
		sbuf_add(b, s, len + 1);
}
