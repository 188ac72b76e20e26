/* h2.h - HTTP/2 without TLS: whose requests a connection carries
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads what a client sends, from its preface on (RFC 9113 3.4), and finds
 * every request with its name; relays and changes nothing. As strict as
 * http.h: what two parsers may read differently is refused.
 *
 * Header blocks are decompressed with the state of the whole connection
 * (RFC 7541). That our table is the server's does not depend on knowing its
 * settings: a table holds the newest fields that fit, so that tables of
 * different sizes are beginnings of one list, and an index that both know
 * means the same field to both. One that a side does not know ends the
 * connection there.
 */
#ifndef EXEAT_PROXY_H2_H
#define EXEAT_PROXY_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

enum h2_status {
	H2_NEED_MORE,
	H2_REQUEST, /* a request begins: see struct h2_request */
	H2_BAD,	    /* see `why` */
};

struct h2_request {
	/* Of :authority and Host, which agree; "" if there is neither, or they
	 * are an address. Canonical. */
	char name[LIMIT_NAME + 1];
	bool literal; /* it is an address */
	bool connect; /* CONNECT, extended or not */
};

struct h2;

/* NULL: no memory. `upgraded`: stream 1 was a request of HTTP/1 (RFC 7540
 * 3.2). */
struct h2 *h2_new(bool upgraded);
void h2_free(struct h2 *h);

/*
 * The bytes that follow those taken before. *ret_taken of them are understood
 * (set in every case but BAD) and mustn't be shown again; the rest waits for
 * more. REQUEST: the taken bytes end with the head of one, *ret is filled.
 * BAD: *ret_why is static text.
 */
enum h2_status h2_feed(struct h2 *h, const uint8_t *data, size_t len,
		       size_t *ret_taken, struct h2_request *ret,
		       const char **ret_why);

/* Its settings were taken, and no frame is in the middle: a client that waits
 * for the server's settings before it asks is here. */
bool h2_is_idle(const struct h2 *h);

/* The stream of the last request; 0: none yet. */
uint32_t h2_last_stream(const struct h2 *h);

/*
 * All that a server says which refuses its first request, and the end of the
 * connection. Should be sent where no other byte of a server was.
 */
struct sbuf;
void h2_say_refusal(struct sbuf *s, uint32_t stream, const char *text,
		    size_t len);

#endif
