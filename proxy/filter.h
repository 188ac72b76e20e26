/* filter.h - what of a client's bytes may go on, and whose name must be asked
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A filter stands between the client and the target of one TCP flow, for its
 * whole life. It sees every byte of the client before it goes on; it knows
 * no sockets and no time. It is fed a window that begins with the first byte
 * that has not gone on, and says how many bytes of it may:
 *
 *	FIRST	nothing is known; the first bytes are classified, whenever
 *		they come. They go on only when the name in them is allowed
 *		(filter_allowed), or when they have none and may do without
 *	TLS	behind the first hello: early data passes, handshake records
 *		wait until the server's answer shows that no second hello
 *		comes, or that one comes, with the same name
 *	HEAD	at the start of an HTTP request: it waits until its name is
 *		allowed
 *	BODY	in the body of one: passes
 *	SWITCH	a WebSocket or h2c was asked for: waits for the server's answer
 *	H2	HTTP/2: the head of each request waits until its name is
 *		allowed, and all that is behind it with it
 *	OPAQUE	everything passes
 *
 *	FIRST -> TLS -> OPAQUE        FIRST -> BODY -> HEAD -> BODY ...
 *	FIRST -> OPAQUE | H2          BODY -> SWITCH -> OPAQUE | H2 | HEAD
 *
 * What a port may carry (policy_carry) is the only thing that differs.
 */
#ifndef EXEAT_PROXY_FILTER_H
#define EXEAT_PROXY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"
#include "policy/policy.h"
#include "proxy/h2.h"
#include "proxy/http.h"
#include "proxy/tls.h"

enum filter_mode {
	FILTER_FIRST,
	FILTER_TLS,
	FILTER_HEAD,
	FILTER_BODY,
	FILTER_SWITCH,
	FILTER_H2,
	FILTER_OPAQUE,
};

enum filter_step {
	FILTER_PASS,   /* all of the window may go on */
	FILTER_HOLD,   /* the rest waits for more bytes, or for the
				 * server */
	FILTER_ASK,    /* the rest waits for filter_allowed(): ask for
				 * `name`, learnt as `learnt` */
	FILTER_REFUSE, /* end the flow: `reason`, `why` */
};

/* What the bytes were seen to be: the layer of the record. */
enum filter_seen { FILTER_SEEN_NOTHING, FILTER_SEEN_TLS, FILTER_SEEN_HTTP };

struct filter {
	enum filter_mode mode;
	enum policy_carry carry;
	enum filter_seen seen;
	bool admitted;		   /* a name, or none, was allowed before */
	char name[LIMIT_NAME + 1]; /* ASK: "" for none */
	enum policy_learnt learnt;
	enum policy_reason reason; /* REFUSE */
	const char *why;	   /* REFUSE: static text, or NULL */

	/* private */
	char allowed[LIMIT_NAME + 1]; /* the last one */
	size_t granted;		      /* bytes that pass once allowed */
	bool asking;
	enum filter_mode next; /* once allowed */
	enum http_upgrade want; /* the request asks for a switch */
	bool answered;	       /* by the server, since the last request */
	bool spoken;	       /* the server, outside of SWITCH */
	bool requested;	       /* a whole request has passed */
	bool ended;	       /* no more bytes of the client come */
	bool silent;	       /* HTTP/2 has begun, and nothing follows */
	unsigned preface;      /* of HTTP/2, seen at a body's start */
	size_t pending;	       /* H2: understood, but not yet passed */
	struct h2 *h2;
	struct http_body body;
	struct http_switch answer; /* SWITCH */
	struct tls_watch watch;
};

void filter_init(struct filter *f, enum policy_carry carry);
void filter_done(struct filter *f);
/* Nothing comes from this side and everything passes. */
void filter_init_opaque(struct filter *f);

/*
 * The client's bytes that have not gone on. *ret_pass of them may. Mustn't
 * be called between ASK and filter_allowed(). Bytes that passed are not shown
 * again.
 */
enum filter_step filter_client(struct filter *f, const uint8_t *data,
			       size_t len, size_t *ret_pass);
/* What was asked for is allowed: call filter_client() again. */
void filter_allowed(struct filter *f);
/* The flow was admitted without a byte of the client (server-first). */
void filter_admit(struct filter *f);
/* The same, by a name that the client said before (an explicit proxy). */
void filter_admit_name(struct filter *f, const char *name);

/* HTTP/2 has begun and names nobody yet: its client may be waiting for the
 * server's settings (RFC 9113 3.4). */
bool filter_may_be_silent(const struct filter *f);
/* It has been, for a while: call filter_client() again for what waits. */
void filter_client_silent(struct filter *f);

/* The client sends no more: call filter_client() again for what waits. */
void filter_client_ended(struct filter *f);

/* The server's bytes, before they go on. True: call filter_client() again,
 * what waits may pass now. */
bool filter_server(struct filter *f, const uint8_t *data, size_t len);

/* What is held waits for the server, not for more bytes. */
bool filter_waits_for_server(const struct filter *f);

/* A refusal may be said in HTTP: the client waits for a response, and no
 * other can be on the way. */
bool filter_may_respond(const struct filter *f);

#endif
