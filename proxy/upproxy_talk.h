/* upproxy_talk.h - asking a proxy for a connection: bytes in, bytes out
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Pure: no I/O. The owner sends what upproxy_talk_out() has, and hands in
 * what came with upproxy_talk_take(), which says how much of it was the
 * proxy's: what follows are the target's first bytes already, and must stay
 * in the socket.
 *
 *	begin -> (out, take) ... -> DONE or FAILED
 *
 * What the proxy says is hostile: bounded, and of it nothing but numbers goes
 * on.
 */
#ifndef EXEAT_PROXY_UPPROXY_TALK_H
#define EXEAT_PROXY_UPPROXY_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "policy/upproxy.h"

/* Why a proxy did not serve: the kind, and a number that goes with it. */
enum upproxy_failure {
	UPPROXY_F_NONE,
	UPPROXY_F_NO_NAME,  /* the proxy's own name has no address */
	UPPROXY_F_REACH,    /* errno: it was not reached */
	UPPROXY_F_LOST,	    /* errno, or 0: it closed before it had answered */
	UPPROXY_F_LATE,	    /* no answer in time */
	UPPROXY_F_NONSENSE, /* not the protocol */
	UPPROXY_F_HTTP,	    /* status of CONNECT */
	UPPROXY_F_AUTH,	    /* 407, and it does not take Basic */
	UPPROXY_F_METHOD,   /* SOCKS: none of our methods */
	UPPROXY_F_LOGIN,    /* SOCKS: user and password refused */
	UPPROXY_F_SOCKS,    /* reply of SOCKS */
	/* TLS to the proxy: nothing was said within it */
	UPPROXY_F_TLS_NONSENSE,	   /* no TLS */
	UPPROXY_F_TLS_OLD,	   /* TLS 1.1, or older */
	UPPROXY_F_TLS_CERTIFICATE, /* enum upproxy_certificate */
	UPPROXY_F_TLS_ALERT,	   /* its number (RFC 8446 6) */
	UPPROXY_F_TLS_LOST,	   /* errno, or 0: closed in the handshake */
	UPPROXY_F_TLS_LATE,	   /* no end of the handshake in time */
	UPPROXY_F_TLS_LIMIT,	   /* too many, or no memory */
	UPPROXY_F_LAST = UPPROXY_F_TLS_LIMIT,
};

/* What is wrong with a proxy's certificate. */
enum upproxy_certificate {
	UPPROXY_C_OTHER,
	UPPROXY_C_EXPIRED,
	UPPROXY_C_EARLY, /* not valid yet */
	UPPROXY_C_SELF_SIGNED,
	UPPROXY_C_UNKNOWN, /* its authority */
	UPPROXY_C_NAME,
	UPPROXY_C_ADDRESS,
	UPPROXY_C_PURPOSE,
	UPPROXY_C_WEAK,
};

/* Both in one number, as it travels in an answer. 0: none. */
uint32_t upproxy_failed(enum upproxy_failure kind, unsigned number);
bool upproxy_failure_valid(uint32_t failure);
/* Is it about the proxy and us, whatever the target? */
bool upproxy_failure_final(uint32_t failure);
/* The errno that says it best. */
int upproxy_failure_errno(uint32_t failure);
/* "upstream_proxy: HTTP 407, ..."; a fixed text but for numbers. Returns
 * buf. */
enum { UPPROXY_FAILURE_TEXT = 96 };
const char *upproxy_failure_text(uint32_t failure,
				 char buf[UPPROXY_FAILURE_TEXT]);

enum upproxy_status {
	UPPROXY_MORE,
	UPPROXY_DONE,
	UPPROXY_FAILED,
};

enum {
	UPPROXY_OUT_MAX = 2048,	     /* the longest thing that is said */
	UPPROXY_HEAD_MAX = 32 << 10, /* bytes of HTTP heads, 1xx included */
	UPPROXY_LINE_KEPT = 64,	     /* of a header line */
};

struct upproxy_talk {
	const struct upproxy *upproxy;
	const char *name; /* NULL: addr; borrowed */
	struct endpoint to;
	uint32_t failure; /* when FAILED */

	/* private */
	unsigned state;
	size_t out_len, out_sent, in_len, in_need, taken;
	unsigned http_status;
	bool basic, other; /* what a 407 offers */
	uint8_t in[512];   /* SOCKS: the present piece; HTTP: the line */
	uint8_t out[UPPROXY_OUT_MAX];
};

/* `u` and `name` are borrowed as long as it lasts. */
void upproxy_talk_begin(struct upproxy_talk *t, const struct upproxy *u,
			const char *name, const struct endpoint *to);
/* What is to be sent; NULL: nothing at present. */
const void *upproxy_talk_out(const struct upproxy_talk *t, size_t *ret_len);
void upproxy_talk_sent(struct upproxy_talk *t, size_t n);
/* Mustn't: after DONE or FAILED. */
enum upproxy_status upproxy_talk_take(struct upproxy_talk *t, const void *data,
				      size_t len, size_t *ret_used);
/* Credentials are in it. */
void upproxy_talk_wipe(struct upproxy_talk *t);

/* -- for the protocols -- */

enum upproxy_status upproxy_talk_fail(struct upproxy_talk *t,
				      enum upproxy_failure kind,
				      unsigned number);
void upproxy_http_begin(struct upproxy_talk *t);
enum upproxy_status upproxy_http_take(struct upproxy_talk *t,
				      const uint8_t *data, size_t len,
				      size_t *ret_used);
void upproxy_socks_begin(struct upproxy_talk *t);
enum upproxy_status upproxy_socks_take(struct upproxy_talk *t,
				       const uint8_t *data, size_t len,
				       size_t *ret_used);

#endif
