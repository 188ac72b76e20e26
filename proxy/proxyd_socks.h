/* proxyd_socks.h - SOCKS 5 as a client says it (RFC 1928, RFC 1929)
 * SPDX-License-Identifier: Apache-2.0
 *
 * Peeking is stateless: the caller keeps the bytes from the start of the
 * message and asks again when more have come.
 */
#ifndef EXEAT_PROXY_PROXYD_SOCKS_H
#define EXEAT_PROXY_PROXYD_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/limits.h"

enum socks_status { SOCKS_NEED_MORE, SOCKS_OK, SOCKS_BAD };

enum {
	SOCKS_VERSION_4 = 4,
	SOCKS_VERSION_5 = 5,
	/* methods, RFC 1928 3 */
	SOCKS_NO_AUTHENTICATION = 0,
	SOCKS_PASSWORD = 2,
	SOCKS_NO_METHOD = 0xff,
	/* replies, RFC 1928 6 */
	SOCKS_SUCCEEDED = 0,
	SOCKS_FAILURE = 1,
	SOCKS_NOT_ALLOWED = 2,
	SOCKS_NET_UNREACHABLE = 3,
	SOCKS_HOST_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_TTL_EXPIRED = 6,
	SOCKS_NO_COMMAND = 7,
	SOCKS_NO_ADDRESS_TYPE = 8,
	SOCKS_REPLY_LEN = 10,
};

/*
 * The methods that a client offers; *ret_method is what we take: none if it
 * may be, a password if the client insists, SOCKS_NO_METHOD. Also the bytes of
 * the message, when OK.
 */
enum socks_status socks_greeting(const uint8_t *data, size_t len,
				 uint8_t *ret_method, size_t *ret_len);
/* User and password: nobody looks at them. */
enum socks_status socks_password(const uint8_t *data, size_t len,
				 size_t *ret_len);

struct socks_request {
	bool literal;		     /* `addr`, else `name` */
	char name[LIMIT_NAME + 1]; /* canonical */
	struct addr addr;
	uint16_t port;
	size_t len;
	uint8_t reply; /* BAD: what to answer */
	const char *why; /* BAD: static text */
};

/* Only CONNECT is OK. */
enum socks_status socks_request_peek(const uint8_t *data, size_t len,
				     struct socks_request *ret);

/* The reply; its address says nothing of where we are: all zero. */
void socks_reply(uint8_t code, uint8_t ret[SOCKS_REPLY_LEN]);

#endif
