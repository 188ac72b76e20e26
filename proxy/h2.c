/* h2.c - HTTP/2 without TLS: frames and header blocks
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	PREFACE   24 bytes, all of them
 *	SETTINGS  the first frame (RFC 9113 3.4)
 *	FRAMES    any
 *
 * A frame is judged by its head and passes as it comes, but for HEADERS: it
 * and its CONTINUATIONs are taken as a whole, once. Streams are not followed,
 * only what the verdict needs: the highest one, above which HEADERS begins a
 * request and below which it ends one (trailers), and how much of a body a
 * Content-Length still allows, because a server that hands the request on as
 * HTTP/1 may take what is too much for another request.
 */
#include "proxy/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/h2_fields.h"

enum {
	FRAME_HEAD = 9,
	CONTINUATIONS_MAX = 64,
	TABLE_MAX = 16 << 10, /* a server's table is seldom above 4096 */
	BODIES_MAX = 128,     /* with a Content-Length, at a time */
	PRIORITY_LEN = 5,
};

enum frame_type {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION,
	KNOWN_TYPES,
};

enum {
	END_STREAM = 0x1, /* DATA, HEADERS */
	ACK = 0x1,	  /* SETTINGS */
	END_HEADERS = 0x4,
	PADDED = 0x8,
	HAS_PRIORITY = 0x20,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum stage { STAGE_PREFACE, STAGE_SETTINGS, STAGE_FRAMES };

struct body {
	uint32_t stream;
	uint64_t left;
};

struct h2 {
	nghttp2_hd_inflater *inflater;
	enum stage stage;
	uint32_t last; /* the highest stream */
	uint64_t skip; /* bytes of a frame that pass */
	unsigned nbodies;
	struct body bodies[BODIES_MAX];
	const char *why;
};

struct frame {
	uint8_t type, flags;
	uint32_t stream;
	size_t len; /* of the payload */
};

/* A header block, found but not yet read. */
struct block {
	struct frame frame; /* HEADERS */
	const uint8_t *p;   /* its fragment */
	size_t len;
	size_t end; /* of the last frame */
};

struct h2 *h2_new(bool upgraded)
{
	struct h2 *h = calloc(1, sizeof(*h));

	if (!h || nghttp2_hd_inflate_new(&h->inflater) != 0 ||
	    nghttp2_hd_inflate_change_table_size(h->inflater, TABLE_MAX) != 0) {
		h2_free(h);
		return NULL;
	}
	h->last = upgraded;
	return h;
}

void h2_free(struct h2 *h)
{
	if (!h)
		return;
	if (h->inflater)
		nghttp2_hd_inflate_del(h->inflater);
	free(h);
}

bool h2_is_idle(const struct h2 *h)
{
	return h->stage == STAGE_FRAMES && h->skip == 0;
}

/* What a part of the bytes was found to be. */
enum look { LOOK_MORE, LOOK_OK, LOOK_BAD };

static enum look no(struct h2 *h, const char *why)
{
	h->why = why;
	return LOOK_BAD;
}

uint32_t h2_last_stream(const struct h2 *h)
{
	return h->last;
}

static enum h2_status bad(struct h2 *h, const char *why)
{
	h->why = why;
	return H2_BAD;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void frame_head(const uint8_t *p, struct frame *ret)
{
	ret->len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
	ret->type = p[3];
	ret->flags = p[4];
	ret->stream = get32(p + 5);
}

/* -- bodies -- */

static struct body *find_body(struct h2 *h, uint32_t stream)
{
	for (unsigned i = 0; i < h->nbodies; i++)
		if (h->bodies[i].stream == stream)
			return &h->bodies[i];
	return NULL;
}

static void forget_body(struct h2 *h, struct body *b)
{
	if (b)
		*b = h->bodies[--h->nbodies];
}

/* `n` bytes of a stream's body, perhaps the last. */
static bool count_body(struct h2 *h, uint32_t stream, uint64_t n, bool ends)
{
	struct body *b = find_body(h, stream);

	if (!b)
		return true;
	if (n > b->left || (ends && n < b->left))
		return false;
	b->left -= n;
	if (ends)
		forget_body(h, b);
	return true;
}

static const char *begin_body(struct h2 *h, uint32_t stream, uint64_t length,
			      bool ends)
{
	if (ends)
		return length == 0 ? NULL : "Content-Length without a body";
	if (h->nbodies == BODIES_MAX)
		return "too many bodies at a time";
	h->bodies[h->nbodies++] = (struct body){ stream, length };
	return NULL;
}

/* -- frames that pass -- */

/* The form of what carries no header block (RFC 9113 6). */
static bool fits(const struct h2 *h, const struct frame *f)
{
	bool known = f->stream % 2 == 1 && f->stream <= h->last;

	switch (f->type) {
	case DATA:
		return known && f->len >= ((f->flags & PADDED) != 0);
	case PRIORITY:
		return f->stream != 0 && f->len == PRIORITY_LEN;
	case RST_STREAM:
		return f->stream != 0 && f->len == 4;
	case SETTINGS:
		return f->stream == 0 && f->len % 6 == 0 &&
		       (!(f->flags & ACK) || f->len == 0);
	case PING:
		return f->stream == 0 && f->len == 8;
	case GOAWAY:
		return f->stream == 0 && f->len >= 8;
	case WINDOW_UPDATE:
		return f->len == 4;
	case PUSH_PROMISE: /* a client promises nothing */
	case CONTINUATION:
		return false;
	default: /* to be ignored by all (RFC 9113 5.5) */
		return f->type >= KNOWN_TYPES;
	}
}

static enum look pass_data(struct h2 *h, const struct frame *f,
			   const uint8_t *data, size_t len)
{
	bool ends = f->flags & END_STREAM;
	size_t pad = 0;

	if (f->flags & PADDED) {
		if (len <= FRAME_HEAD)
			return LOOK_MORE;
		pad = 1u + data[FRAME_HEAD];
		if (pad > f->len)
			return no(h, "bad padding");
	}
	if (!count_body(h, f->stream, f->len - pad, ends))
		return no(h, "a body is not of its Content-Length");
	return LOOK_OK;
}

/* A frame at the start of `data` that carries no header block. */
static enum look pass_frame(struct h2 *h, const struct frame *f,
			    const uint8_t *data, size_t len)
{
	if (!fits(h, f))
		return no(h, "bad frame");
	if (f->type == DATA)
		return pass_data(h, f, data, len);
	if (f->type == RST_STREAM)
		forget_body(h, find_body(h, f->stream));
	return LOOK_OK;
}

/* -- header blocks -- */

/* The first frame of a block, without padding and priority. */
static bool trim_headers(struct block *b)
{
	size_t pad = 0;

	if (b->frame.flags & PADDED) {
		if (b->len < 1)
			return false;
		pad = b->p[0];
		b->p++;
		b->len--;
	}
	if (b->frame.flags & HAS_PRIORITY) {
		if (b->len < PRIORITY_LEN)
			return false;
		b->p += PRIORITY_LEN;
		b->len -= PRIORITY_LEN;
	}
	if (pad > b->len)
		return false;
	b->len -= pad;
	return true;
}

/* Is all of the block there? */
static enum look find_block(struct h2 *h, const uint8_t *data, size_t len,
			    struct block *ret)
{
	struct frame f = ret->frame;
	size_t end = FRAME_HEAD + f.len;

	for (unsigned n = 0; !(f.flags & END_HEADERS); n++) {
		if (end > LIMIT_PEEK_BYTES || n == CONTINUATIONS_MAX)
			return no(h, "headers too long");
		if (len < end + FRAME_HEAD)
			return LOOK_MORE;
		frame_head(data + end, &f);
		if (f.type != CONTINUATION || f.stream != ret->frame.stream)
			return no(h, "broken header block");
		end += FRAME_HEAD + f.len;
	}
	if (end > LIMIT_PEEK_BYTES)
		return no(h, "headers too long");
	if (len < end)
		return LOOK_MORE;
	ret->p = data + FRAME_HEAD;
	ret->len = ret->frame.len;
	ret->end = end;
	return trim_headers(ret) ? LOOK_OK : no(h, "bad padding");
}

/* One fragment of a block. NULL, or why it is bad. */
static const char *inflate(struct h2 *h, const uint8_t *p, size_t len,
			   bool final, struct h2_fields *fields)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, p,
						   len, final);
		const char *why;

		if (n < 0)
			return "bad header block";
		p += n;
		len -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			return nghttp2_hd_inflate_end_headers(h->inflater) ==
					       0 ?
				       NULL :
				       "bad header block";
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT)) {
			if (len == 0)
				return final ? "bad header block" : NULL;
			continue;
		}
		why = h2_fields_add(
			fields,
			(struct text){ (const char *)nv.name, nv.namelen },
			(struct text){ (const char *)nv.value, nv.valuelen });
		if (why)
			return why;
	}
}

/* All fragments of a block, in order. */
static const char *inflate_block(struct h2 *h, const uint8_t *data,
				 const struct block *b,
				 struct h2_fields *fields)
{
	size_t at = FRAME_HEAD + b->frame.len;
	const char *why = inflate(h, b->p, b->len, at == b->end, fields);

	while (!why && at < b->end) {
		struct frame f;

		frame_head(data + at, &f);
		at += FRAME_HEAD;
		why = inflate(h, data + at, f.len, at + f.len == b->end,
			      fields);
		at += f.len;
	}
	return why;
}

static const char *begin_request(struct h2 *h, const struct frame *f,
				 const struct h2_fields *fields,
				 struct h2_request *ret)
{
	const char *why = h2_fields_judge(fields, ret);
	uint64_t length;

	if (why)
		return why;
	h->last = f->stream;
	if (!h2_fields_length(fields, &length))
		return NULL;
	return begin_body(h, f->stream, length, f->flags & END_STREAM);
}

static enum h2_status take_headers(struct h2 *h, const uint8_t *data,
				   size_t len, const struct frame *f,
				   size_t *ret_taken, struct h2_request *ret)
{
	struct h2_fields fields = { .trailers = f->stream <= h->last };
	struct block b = { .frame = *f };
	const char *why;
	enum look l;

	if (f->stream % 2 == 0 || (fields.trailers && !(f->flags & END_STREAM)))
		return bad(h, "bad stream");
	l = find_block(h, data, len, &b);
	if (l != LOOK_OK)
		return l == LOOK_MORE ? H2_NEED_MORE : H2_BAD;
	why = inflate_block(h, data, &b, &fields);
	if (!why && !fields.trailers)
		why = begin_request(h, f, &fields, ret);
	else if (!why && !count_body(h, f->stream, 0, true))
		why = "a body is not of its Content-Length";
	if (why)
		return bad(h, why);
	*ret_taken += b.end;
	return fields.trailers ? H2_NEED_MORE : H2_REQUEST;
}

/* -- the connection -- */

/* A frame's beginning; *ret_taken grows by what of it is understood. */
static enum h2_status take_frame(struct h2 *h, const uint8_t *data, size_t len,
				 size_t *ret_taken, struct h2_request *ret)
{
	struct frame f;
	enum look l;

	if (len < FRAME_HEAD)
		return H2_NEED_MORE;
	frame_head(data, &f);
	if (f.stream > INT32_MAX) /* the reserved bit */
		return bad(h, "bad stream");
	if (h->stage == STAGE_SETTINGS && (f.type != SETTINGS || f.flags & ACK))
		return bad(h, "no settings first");
	if (f.type == HEADERS)
		return take_headers(h, data, len, &f, ret_taken, ret);
	l = pass_frame(h, &f, data, len);
	if (l != LOOK_OK)
		return l == LOOK_MORE ? H2_NEED_MORE : H2_BAD;
	h->stage = STAGE_FRAMES;
	h->skip = f.len;
	*ret_taken += FRAME_HEAD;
	return H2_NEED_MORE;
}

static enum h2_status take_preface(struct h2 *h, const uint8_t *data,
				   size_t len, size_t *ret_taken)
{
	size_t n = sizeof(preface) - 1;

	if (memcmp(data, preface, len < n ? len : n) != 0)
		return bad(h, "no preface of HTTP/2");
	if (len >= n) {
		h->stage = STAGE_SETTINGS;
		*ret_taken += n;
	}
	return H2_NEED_MORE;
}

static enum h2_status take(struct h2 *h, const uint8_t *data, size_t len,
			   size_t *ret_taken, struct h2_request *ret)
{
	size_t n = h->skip < len ? (size_t)h->skip : len;

	if (h->stage == STAGE_PREFACE)
		return take_preface(h, data, len, ret_taken);
	if (n == 0)
		return take_frame(h, data, len, ret_taken, ret);
	h->skip -= n;
	*ret_taken += n;
	return H2_NEED_MORE;
}

enum h2_status h2_feed(struct h2 *h, const uint8_t *data, size_t len,
		       size_t *ret_taken, struct h2_request *ret,
		       const char **ret_why)
{
	enum h2_status s = H2_NEED_MORE;
	size_t at = 0, before;

	do {
		before = at;
		if (at < len)
			s = take(h, data + at, len - at, &at, ret);
	} while (s == H2_NEED_MORE && at > before);
	if (s == H2_BAD)
		*ret_why = h->why;
	else
		*ret_taken = at;
	return s;
}
