/* tls.h - the name in a TLS ClientHello, as far as the policy needs it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Peeking is stateless: the caller keeps the bytes from the start of the
 * connection and asks again when more have come, until the answer is not
 * TLS_NEED_MORE. RFC 8446 4.1.2 and 5.1, RFC 6066 3, RFC 7301.
 *
 * Encrypted ClientHello: the outer hello's name is the one that is decided.
 * Real ECH and GREASE look alike, so its presence refuses nothing.
 */
#ifndef EXEAT_PROXY_TLS_H
#define EXEAT_PROXY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

enum tls_status {
	TLS_NEED_MORE,
	TLS_OK,
	TLS_NOT_TLS, /* the first bytes are no TLS record */
	TLS_BAD,     /* it begins as TLS and breaks its rules */
};

enum { TLS_ALPN_MAX = 64 };

struct tls_hello {
	char sni[LIMIT_NAME + 1]; /* canonical; "" if none */
	bool has_ech;
	char alpn[TLS_ALPN_MAX]; /* "h2,http/1.1": printable ones, cut */
	size_t len;		 /* bytes up to the end of the hello's
					 * last record */
};

/*
 * A ClientHello may be spread over records of any size, none of them empty
 * (RFC 8446 5.1) and nothing else in between. BAD: an empty record, a record
 * or message of another kind first, a length that does not fit, a second SNI,
 * an SNI that is no canonical name (an address, too), bytes behind the hello
 * in its last record, more than LIMIT_PEEK_BYTES.
 */
enum tls_status tls_peek(const uint8_t *data, size_t len,
			 struct tls_hello *ret);

/*
 * What follows the first hello, until it is certain that no second one can
 * name somebody else: only a HelloRetryRequest of the server (RFC 8446 4.1.4)
 * asks for one, and its first record tells. Meanwhile early data and
 * change_cipher_spec of the client pass, handshake records wait.
 */
enum tls_watch_state {
	TLS_WATCH_SERVER, /* the server has not answered */
	TLS_WATCH_SECOND, /* it wants a second hello */
	TLS_WATCH_OVER,	  /* everything passes */
	TLS_WATCH_BAD,	  /* the server's answer is not TLS's */
};

struct tls_watch {
	enum tls_watch_state state;
	size_t left; /* of the record that passes */
	size_t nserver;
	uint8_t server[512]; /* its first bytes */
};

void tls_watch_init(struct tls_watch *w);

/* Should be called with all that the server sends, before it is relayed,
 * until the state is OVER. */
void tls_watch_server(struct tls_watch *w, const uint8_t *data, size_t len);

/*
 * The client's bytes, beginning with the first that has not passed. *ret_pass
 * of them may go on (set in every case but BAD). NEED_MORE: the rest waits
 * for more bytes or for the server; OK: all passed, or the state is OVER.
 * BAD: the second hello is not one, or its name is not `name`.
 */
enum tls_status tls_watch_client(struct tls_watch *w, const char *name,
				 const uint8_t *data, size_t len,
				 size_t *ret_pass);

#endif
