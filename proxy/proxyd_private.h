/* proxyd_private.h - one client of the explicit proxies, as its files see it
 * SPDX-License-Identifier: Apache-2.0
 *
 * proxyd.c reads what it asks for and ends it, proxyd_plain.c serves
 * http://. Functions that return bool say whether the client is still there.
 */
#ifndef EXEAT_PROXY_PROXYD_PRIVATE_H
#define EXEAT_PROXY_PROXYD_PRIVATE_H

#include "proxy/front_private.h"
#include "proxy/proxyd.h"
#include "proxy/proxyd_http.h"
#include "proxy/relay.h"

enum proxyd_state {
	PROXYD_HEAD,	 /* a request, or the talk before one, is read */
	PROXYD_ASK,	 /* http://: the dialer is at it */
	PROXYD_EXCHANGE, /* http://: the target is there */
	PROXYD_LINGER,	 /* all is said; the client is drained */
};

/* One request for http://, and its response. */
struct proxyd_exchange {
	struct proxy_target request;
	struct http_body upload, download;
	struct relay up, down;
	struct meter meter; /* of both */
	struct relay head; /* of the response, until it is whole */
	enum proxy_framing framing;
	bool framed;   /* the final head has come */
	bool answered; /* the whole response has */
	bool deaf;     /* the target takes no more */
	bool keep;     /* the client's connection goes on */
	bool stale;    /* an answer of the old policy may be on the way */
	bool allowed;  /* by the policy: `reason`, `rule` */
	enum policy_reason reason;
	char rule[LIMIT_RULE_TEXT];
	struct endpoint peer, to; /* dialled; what the policy judges */
	int64_t start_ms;
};

struct proxyd {
	LIST_ENTRY(proxyd) link;
	struct posture *posture;
	enum proxyd_state state;
	struct proxyd_target asked;
	int client, target;
	struct event client_in, client_out, target_in, target_out, timer;
	unsigned on; /* which of these are being waited for */
	bool greeted, passed; /* SOCKS: a method was agreed on, and used */
	bool eof;	      /* of the client */
	bool waits_fd;	      /* counted in front.unconnected */
	uint8_t *in;	      /* what the client sent; LIMIT_PEEK_BYTES */
	size_t nin;
	struct question question;
	struct proxyd_exchange x;
};

/* ---- proxyd.c ---- */

/* The next request, from what has been read. */
void proxyd_next(struct proxyd *d);
/* Read into `in`; false at the end of file, too, or if it is gone. */
bool proxyd_read(struct proxyd *d);
void proxyd_consume(struct proxyd *d, size_t n);
void proxyd_timer(struct proxyd *d, int ms);
void proxyd_stop_events(struct proxyd *d);
void proxyd_close(struct proxyd *d, bool reset);
/* All is said: drain the client, so that no reset overtakes it. */
void proxyd_linger(struct proxyd *d);
/* Record, say it, linger. `rule` and `hint`: "" for none; `why` or NULL. */
void proxyd_refuse(struct proxyd *d, enum policy_reason reason,
		   const char *rule, const char *hint, const char *why);

/* ---- proxyd_plain.c ---- */

/* A request for http:// lies at the start of `in`. */
void plain_begin(struct proxyd *d, const struct http_head *head,
		 const struct proxy_target *request);
void plain_client_in(struct proxyd *d);
/* Hold what is under way against the new policy; may end it. */
void plain_policy_changed(struct proxyd *d);
/* The dialer did not answer. */
void plain_late(struct proxyd *d);
/* The record of an exchange that ends early; nothing if there is none. */
void plain_done(struct proxyd *d);
/* Events of the target, and of a client that takes bytes. */
void plain_in_cb(evutil_socket_t fd, short what, void *proxyd);
void plain_out_cb(evutil_socket_t fd, short what, void *proxyd);

#endif
