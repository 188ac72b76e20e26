/* http.h - HTTP/1 requests: whose they are, and where each one ends
 * SPDX-License-Identifier: Apache-2.0
 *
 * Strict on purpose (RFC 9112): what two parsers may read differently is
 * refused, because the server behind us must see the same requests, with the
 * same Host, as we do. Bodies are followed so that every request on a
 * connection is found, pipelined ones too.
 *
 * Peeking is stateless: the caller keeps the bytes from the start of the
 * request and asks again when more have come.
 */
#ifndef EXEAT_PROXY_HTTP_H
#define EXEAT_PROXY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

enum http_status {
	HTTP_NEED_MORE,
	HTTP_OK,
	HTTP_NOT_HTTP, /* the first line is no HTTP request */
	HTTP_H2,       /* the preface of HTTP/2, RFC 9113 3.4 */
	HTTP_BAD,      /* HTTP that breaks the rules: see `why` */
};

enum http_method { HTTP_OTHER, HTTP_CONNECT, HTTP_TRACE };

enum http_upgrade {
	HTTP_UPGRADE_NONE,
	HTTP_UPGRADE_WEBSOCKET, /* and nothing else */
	HTTP_UPGRADE_H2C,
	HTTP_UPGRADE_OTHER,
};

struct http_head {
	enum http_method method;
	unsigned version; /* 10 or 11 */
	/* Host, or the authority of CONNECT; "" if there is none or it is an
	 * address. Canonical. */
	char name[LIMIT_NAME + 1];
	bool literal; /* it is an address */
	bool chunked;
	uint64_t length; /* of the body, if not chunked */
	enum http_upgrade upgrade;
	size_t len;	 /* of the head, empty line included */
	const char *why; /* HTTP_BAD: static text */
};

enum http_status http_peek(const uint8_t *data, size_t len,
			   struct http_head *ret);

/* Where in a body we are. */
enum http_body_state {
	HTTP_BODY_END,
	HTTP_BODY_LENGTH,
	HTTP_BODY_SIZE, /* chunk-size line */
	HTTP_BODY_CHUNK,
	HTTP_BODY_CHUNK_END, /* CRLF after a chunk */
	HTTP_BODY_TRAILER,
};

struct http_body {
	enum http_body_state state;
	uint64_t left;	   /* of the body or chunk */
	unsigned line;	   /* bytes of the line so far */
	unsigned trailers; /* bytes of all trailer lines */
	bool cr;	   /* the last byte was CR */
	bool extension;	   /* behind the digits of a chunk size */
	bool value;	   /* behind the name of a trailer */
	char name[20];	   /* its beginning */
};

/* Start at the end of a head. */
void http_body_start(struct http_body *b, const struct http_head *head);

/*
 * Follow the body. OK: it ended, *ret_used bytes belong to it. NEED_MORE: all
 * of them do (every byte may go on at once). BAD: broken chunks.
 */
enum http_status http_body_feed(struct http_body *b, const uint8_t *data,
				size_t len, size_t *ret_used);

/*
 * Has the server switched protocols as it was asked to? Its bytes, from the
 * first on, to the end of its answer's head. NEED_MORE; OK: it has, everything
 * behind the head is of the new protocol; NOT_HTTP: it has not.
 */
struct http_switch {
	enum http_upgrade want; /* WEBSOCKET or H2C */

	/* private */
	char line[64]; /* its beginning */
	size_t nline, bytes;
	bool status, upgraded, accepted; /* seen */
};

void http_switch_init(struct http_switch *w, enum http_upgrade want);
enum http_status http_switch_feed(struct http_switch *w, const uint8_t *data,
				  size_t len);

#endif
