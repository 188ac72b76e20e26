/* tls.c - the name in a TLS ClientHello
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/tls.h"

#include <ctype.h>
#include <string.h>

#include "core/base/buf.h"
#include "policy/rule.h"

enum {
	RECORD_HEAD = 5,
	RECORD_MAX = 16384 + 2048, /* RFC 5246 6.2.3, the larger */
	MESSAGE_HEAD = 4,
	FOREIGN_MAJOR = 16, /* a first byte of a version that is none */

	TYPE_CHANGE_CIPHER = 20,
	TYPE_ALERT,
	TYPE_HANDSHAKE,
	TYPE_DATA,
	TYPE_HEARTBEAT,

	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,

	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_ECH = 0xfe0d,

	RANDOM_LEN = 32,
	SESSION_ID_MAX = 32,
};

/* RFC 8446 4.1.3: the random of a ServerHello that is a retry request. */
static const uint8_t retry_random[RANDOM_LEN] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

struct record {
	uint8_t type;
	size_t len; /* without the head */
};

static enum tls_status record_head(const uint8_t *data, size_t len,
				   struct record *ret)
{
	if (len < 1)
		return TLS_NEED_MORE;
	if (data[0] < TYPE_CHANGE_CIPHER || data[0] > TYPE_HEARTBEAT)
		return TLS_NOT_TLS;
	/* some servers take any version below 16 in a first record */
	if (len >= 2 && data[1] != 3)
		return data[1] < FOREIGN_MAJOR ? TLS_BAD : TLS_NOT_TLS;
	if (len < RECORD_HEAD)
		return TLS_NEED_MORE;
	ret->type = data[0];
	ret->len = (size_t)data[3] << 8 | data[4];
	if (ret->len == 0 || ret->len > RECORD_MAX)
		return TLS_BAD;
	return TLS_OK;
}

/* RFC 6066 3: a list of names, in practice of one. */
static bool parse_server_name(struct rbuf ext, struct tls_hello *ret)
{
	struct rbuf list = rbuf_sub(&ext, rbuf_u16(&ext));
	const uint8_t *name;
	uint8_t type;
	uint16_t n;

	type = rbuf_u8(&list);
	n = rbuf_u16(&list);
	name = rbuf_bytes(&list, n);
	if (!name || type != 0 || rbuf_left(&list) > 0 || rbuf_left(&ext) > 0)
		return false;
	return name_canonical((const char *)name, n, ret->sni);
}

/* Only for the record of what was seen: odd values are left out. */
static bool parse_alpn(struct rbuf ext, struct tls_hello *ret)
{
	struct rbuf list = rbuf_sub(&ext, rbuf_u16(&ext));
	size_t at = 0;

	while (rbuf_left(&list) > 0) {
		uint8_t n = rbuf_u8(&list);
		const uint8_t *p = rbuf_bytes(&list, n);
		bool plain = p && n > 0 && at + n + 2 <= TLS_ALPN_MAX;

		for (size_t i = 0; plain && i < n; i++)
			plain = isgraph(p[i]) && p[i] != ',' && p[i] < 0x7f;
		if (!plain)
			continue;
		if (at > 0)
			ret->alpn[at++] = ',';
		memcpy(ret->alpn + at, p, n);
		at += n;
		ret->alpn[at] = '\0';
	}
	return !ext.bad && !list.bad && rbuf_left(&ext) == 0;
}

static bool parse_extensions(struct rbuf *r, struct tls_hello *ret)
{
	struct rbuf all = rbuf_sub(r, rbuf_u16(r));
	bool named = false, listed = false;

	while (rbuf_left(&all) > 0) {
		uint16_t type = rbuf_u16(&all);
		struct rbuf ext = rbuf_sub(&all, rbuf_u16(&all));

		if (all.bad)
			return false;
		if (type == EXT_SERVER_NAME) {
			if (named || !parse_server_name(ext, ret))
				return false;
			named = true;
		} else if (type == EXT_ALPN) {
			if (listed || !parse_alpn(ext, ret))
				return false;
			listed = true;
		} else if (type == EXT_ECH) {
			ret->has_ech = true;
		}
	}
	return !all.bad;
}

/* RFC 8446 4.1.2; extensions may be missing (RFC 5246 7.4.1.2). */
static bool parse_hello(const uint8_t *body, size_t len, struct tls_hello *ret)
{
	struct rbuf r = rbuf_make(body, len);
	uint8_t session;
	uint16_t suites;
	uint8_t methods;

	if (rbuf_u8(&r) != 3) /* major version, for ever */
		return false;
	rbuf_skip(&r, 1 + RANDOM_LEN);
	session = rbuf_u8(&r);
	rbuf_skip(&r, session);
	suites = rbuf_u16(&r);
	rbuf_skip(&r, suites);
	methods = rbuf_u8(&r);
	rbuf_skip(&r, methods);
	if (r.bad || session > SESSION_ID_MAX || suites < 2 || suites % 2 ||
	    methods < 1)
		return false;
	if (rbuf_left(&r) == 0)
		return true;
	return parse_extensions(&r, ret) && !r.bad && rbuf_left(&r) == 0;
}

/*
 * Handshake bytes without the record heads, as far as they are there; they
 * are gathered only if they come in more than one record.
 */
struct message {
	const uint8_t *p;
	size_t len;   /* there */
	size_t total; /* said by its head; 0: not yet known */
	size_t end;   /* in the stream: after the last record */
	uint8_t gathered[LIMIT_PEEK_BYTES];
};

static void message_add(struct message *m, const uint8_t *p, size_t n)
{
	if (m->len == 0) {
		m->p = p;
	} else {
		if (m->p != m->gathered)
			memcpy(m->gathered, m->p, m->len);
		memcpy(m->gathered + m->len, p, n);
		m->p = m->gathered;
	}
	m->len += n;
	if (m->total == 0 && m->len >= MESSAGE_HEAD)
		m->total = MESSAGE_HEAD + ((size_t)m->p[1] << 16 |
					   (size_t)m->p[2] << 8 | m->p[3]);
}

/* Collect the first handshake message, which must be a ClientHello. */
static enum tls_status message_read(const uint8_t *data, size_t len,
				    struct message *m)
{
	size_t at = 0;

	m->len = m->total = 0;
	do {
		struct record rec;
		enum tls_status s = record_head(data + at, len - at, &rec);
		size_t n;

		if (s == TLS_NOT_TLS && at > 0)
			return TLS_BAD;
		if (s != TLS_OK)
			return s;
		if (rec.type != TYPE_HANDSHAKE)
			return TLS_BAD;
		at += RECORD_HEAD;
		n = len - at < rec.len ? len - at : rec.len;
		message_add(m, data + at, n);
		if (m->len > 0 && m->p[0] != CLIENT_HELLO)
			return TLS_BAD;
		if (m->total > LIMIT_PEEK_BYTES)
			return TLS_BAD;
		if (n < rec.len)
			return TLS_NEED_MORE;
		at += n;
	} while (m->total == 0 || m->len < m->total);
	m->end = at;
	/* a hello ends its record: the keys change (RFC 8446 5.1) */
	return m->len == m->total ? TLS_OK : TLS_BAD;
}

enum tls_status tls_peek(const uint8_t *data, size_t len, struct tls_hello *ret)
{
	struct message m;
	enum tls_status s;
	bool full = len >= LIMIT_PEEK_BYTES;

	memset(ret, 0, sizeof(*ret));
	if (full)
		len = LIMIT_PEEK_BYTES;
	s = message_read(data, len, &m);
	if (s == TLS_NEED_MORE && full)
		return TLS_BAD;
	if (s != TLS_OK)
		return s;
	if (!parse_hello(m.p + MESSAGE_HEAD, m.total - MESSAGE_HEAD, ret)) {
		memset(ret, 0, sizeof(*ret));
		return TLS_BAD;
	}
	ret->len = m.end;
	return TLS_OK;
}

void tls_watch_init(struct tls_watch *w)
{
	w->state = TLS_WATCH_SERVER;
	w->left = 0;
	w->nserver = 0;
}

/*
 * The server's first handshake message, through records of any size; alerts
 * may come first (a warning about the name, RFC 6066 3).
 */
static enum tls_watch_state judge_server(const uint8_t *data, size_t len,
					 size_t size)
{
	uint8_t hello[MESSAGE_HEAD + 2 + RANDOM_LEN];
	size_t at = 0, n = 0;

	while (n < sizeof(hello)) {
		struct record rec;
		enum tls_status s = record_head(data + at, len - at, &rec);
		size_t there;

		if (s == TLS_NEED_MORE)
			return len < size ? TLS_WATCH_SERVER : TLS_WATCH_BAD;
		if (s != TLS_OK ||
		    (rec.type != TYPE_HANDSHAKE && rec.type != TYPE_ALERT))
			return TLS_WATCH_BAD;
		at += RECORD_HEAD;
		there = len - at < rec.len ? len - at : rec.len;
		if (rec.type == TYPE_HANDSHAKE) {
			size_t room = sizeof(hello) - n;
			size_t take = there < room ? there : room;

			memcpy(hello + n, data + at, take);
			n += take;
			if (n > 0 && hello[0] != SERVER_HELLO)
				return TLS_WATCH_OVER;
		}
		if (there < rec.len && n < sizeof(hello))
			return len < size ? TLS_WATCH_SERVER : TLS_WATCH_BAD;
		at += there;
	}
	if (memcmp(hello + MESSAGE_HEAD + 2, retry_random, RANDOM_LEN) == 0)
		return TLS_WATCH_SECOND;
	return TLS_WATCH_OVER;
}

void tls_watch_server(struct tls_watch *w, const uint8_t *data, size_t len)
{
	size_t room = sizeof(w->server) - w->nserver;

	if (w->state != TLS_WATCH_SERVER)
		return;
	if (len > room)
		len = room;
	memcpy(w->server + w->nserver, data, len);
	w->nserver += len;
	w->state = judge_server(w->server, w->nserver, sizeof(w->server));
}

/* A record that begins here; `at` moves over what passes. */
static enum tls_status watch_record(struct tls_watch *w, const char *name,
				    const uint8_t *data, size_t len, size_t *at)
{
	struct tls_hello second;
	struct record rec;
	enum tls_status s = record_head(data + *at, len - *at, &rec);

	if (s != TLS_OK)
		return s == TLS_NEED_MORE ? s : TLS_BAD;
	if (rec.type != TYPE_HANDSHAKE) {
		*at += RECORD_HEAD;
		w->left = rec.len;
		return TLS_OK;
	}
	if (w->state == TLS_WATCH_SERVER)
		return TLS_NEED_MORE;
	s = tls_peek(data + *at, len - *at, &second);
	if (s == TLS_NEED_MORE)
		return s;
	if (s != TLS_OK || strcmp(second.sni, name) != 0)
		return TLS_BAD;
	*at += second.len;
	w->state = TLS_WATCH_OVER;
	return TLS_OK;
}

enum tls_status tls_watch_client(struct tls_watch *w, const char *name,
				 const uint8_t *data, size_t len,
				 size_t *ret_pass)
{
	enum tls_status s = TLS_OK;
	size_t at = 0;

	if (w->state == TLS_WATCH_BAD)
		return TLS_BAD;
	while (s == TLS_OK && at < len && w->state != TLS_WATCH_OVER) {
		size_t n = len - at < w->left ? len - at : w->left;

		at += n;
		w->left -= n;
		if (at < len)
			s = watch_record(w, name, data, len, &at);
	}
	if (s == TLS_BAD)
		return TLS_BAD;
	*ret_pass = w->state == TLS_WATCH_OVER ? len : at;
	return s;
}
