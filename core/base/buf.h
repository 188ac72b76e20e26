/* buf.h - bounded reading and writing of bytes
 * SPDX-License-Identifier: Apache-2.0
 *
 * rbuf: a cursor over bytes that somebody else wrote. A read past the end
 * sets `bad`, returns zero and stays bad: check once, at the end.
 * wbuf: the same for writing into memory of a fixed size.
 * sbuf: a growing string with a limit; out of memory or over the limit sets
 * `bad`.
 */
#ifndef EXEAT_BASE_BUF_H
#define EXEAT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rbuf {
	const uint8_t *start, *p, *end;
	bool bad;
};

struct rbuf rbuf_make(const void *data, size_t len);
size_t rbuf_left(const struct rbuf *r);
size_t rbuf_pos(const struct rbuf *r);
uint8_t rbuf_u8(struct rbuf *r);
uint16_t rbuf_u16(struct rbuf *r);		/* big endian */
uint32_t rbuf_u32(struct rbuf *r);
uint64_t rbuf_u64(struct rbuf *r);
/* Borrow n bytes; NULL (and bad) if there are fewer. */
const uint8_t *rbuf_bytes(struct rbuf *r, size_t n);
void rbuf_skip(struct rbuf *r, size_t n);
/* A cursor over the next n bytes, which are skipped in r. */
struct rbuf rbuf_sub(struct rbuf *r, size_t n);
/*
 * A string written by wbuf_str (u32 length, bytes, NUL): borrowed,
 * terminated. NULL (and bad) on a broken one. wbuf_str(NULL) reads as NULL
 * without being bad.
 */
const char *rbuf_str(struct rbuf *r);

struct wbuf {
	uint8_t *start, *p, *end;
	bool bad;
};

struct wbuf wbuf_make(void *data, size_t size);
size_t wbuf_len(const struct wbuf *w);
void wbuf_u8(struct wbuf *w, uint8_t v);
void wbuf_u16(struct wbuf *w, uint16_t v);	/* big endian */
void wbuf_u32(struct wbuf *w, uint32_t v);
void wbuf_u64(struct wbuf *w, uint64_t v);
void wbuf_bytes(struct wbuf *w, const void *data, size_t len);
void wbuf_str(struct wbuf *w, const char *s);

struct sbuf {
	char *s;		/* terminated; NULL before the first append */
	size_t len, size, limit;
	bool bad;
};

void sbuf_init(struct sbuf *b, size_t limit);
void sbuf_done(struct sbuf *b);			/* frees; b may be reused */
void sbuf_clear(struct sbuf *b);	/* empty and good again, memory kept */
void sbuf_add(struct sbuf *b, const void *data, size_t len);
void sbuf_str(struct sbuf *b, const char *s);
void sbuf_fmt(struct sbuf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *sbuf_steal(struct sbuf *b);	/* the string; NULL, and freed, if bad */

/* The wbuf vocabulary on a growing buffer: what messages are built with. */
void sbuf_u8(struct sbuf *b, uint8_t v);
void sbuf_u16(struct sbuf *b, uint16_t v);
void sbuf_u32(struct sbuf *b, uint32_t v);
void sbuf_u64(struct sbuf *b, uint64_t v);
void sbuf_lstr(struct sbuf *b, const char *s);	/* pairs with rbuf_str */

#endif
