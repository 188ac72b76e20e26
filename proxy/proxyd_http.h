/* proxyd_http.h - what an HTTP proxy does to heads (RFC 9110, RFC 9112)
 * SPDX-License-Identifier: Apache-2.0
 *
 * Requests come here only when http_peek() found them well-formed, so that
 * what is sent on has one reading. Of responses only what frames them is
 * looked at: whoever can be misled by one is the payload that asked for it.
 */
#ifndef EXEAT_PROXY_PROXYD_HTTP_H
#define EXEAT_PROXY_PROXYD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/buf.h"
#include "proxy/http.h"

/* Where a request to a proxy wants to go. */
struct proxy_target {
	bool tunnel;		   /* CONNECT */
	bool head;		   /* HEAD: its response has no body */
	bool keep;		   /* the client's connection may go on */
	char name[LIMIT_NAME + 1]; /* canonical; "": `to.addr` */
	struct endpoint to;	   /* the address all zero beside a name */
};

/* NULL, or why it is no request to a proxy: static text. */
const char *proxy_target_parse(const uint8_t *data,
			       const struct http_head *head,
			       struct proxy_target *ret);

/*
 * The request for the origin: origin-form, Host as it was, without what is
 * between client and proxy (Connection and what it lists, Proxy-*, ...), and
 * the last one on its connection.
 */
void proxy_request_rewrite(const uint8_t *data, const struct http_head *head,
			   struct sbuf *ret);

enum proxy_framing {
	PROXY_NO_BODY,
	PROXY_LENGTH,
	PROXY_CHUNKED,
	PROXY_UNTIL_CLOSE,
};

struct proxy_response {
	unsigned status;
	bool interim; /* 1xx: another head follows */
	enum proxy_framing framing;
	uint64_t length;
	size_t len;	 /* of the head */
	const char *why; /* HTTP_BAD: static text */
};

/* NEED_MORE, OK or BAD. `head`: the request was HEAD. */
enum http_status proxy_response_peek(const uint8_t *data, size_t len, bool head,
				     struct proxy_response *ret);

/* The response for the client; `keep`: its connection goes on behind it. */
void proxy_response_rewrite(const uint8_t *data,
			    const struct proxy_response *response, bool keep,
			    struct sbuf *ret);

#endif
