/* filter.c - what of a client's bytes may go on
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/filter.h"

#include <string.h>

/* The first line of a client's preface (RFC 9113 3.4), told from any other
 * bytes by as much of it. */
static const char preface[] = "PRI * HTTP/2.0";
enum { PREFACE_ENOUGH = sizeof(preface) - 1 };

void filter_init(struct filter *f, enum policy_carry carry)
{
	memset(f, 0, sizeof(*f));
	f->mode = FILTER_FIRST;
	f->carry = carry;
}

void filter_init_opaque(struct filter *f)
{
	filter_init(f, POLICY_CARRY_ANY);
	f->mode = FILTER_OPAQUE;
	f->admitted = true;
}

void filter_done(struct filter *f)
{
	h2_free(f->h2);
	f->h2 = NULL;
}

static enum filter_step refuse(struct filter *f, enum policy_reason reason,
			       const char *why)
{
	f->reason = reason;
	f->why = why;
	return FILTER_REFUSE;
}

/* `n` bytes pass, into `next`, as soon as f->name is allowed. */
static enum filter_step grant(struct filter *f, size_t n, enum filter_mode next)
{
	f->granted = n;
	f->next = next;
	/* the same question has the same answer: the destination is one */
	if (f->admitted && strcmp(f->name, f->allowed) == 0 && f->name[0]) {
		filter_allowed(f);
		return FILTER_PASS;
	}
	f->asking = true;
	return FILTER_ASK;
}

/*
 * How a flow without a name may be admitted. Where names decide, the pin of
 * the address may stand for one, but not beside a name that is no name.
 */
static enum policy_learnt
learnt_nameless(const struct filter *f, enum policy_learnt learnt, bool silent)
{
	if (f->carry == POLICY_CARRY_PINNED && silent)
		return POLICY_NAME_PIN;
	return f->carry == POLICY_CARRY_ANY ? POLICY_NAME_NONE : learnt;
}

static enum filter_step first_tls(struct filter *f,
				  const struct tls_hello *hello)
{
	f->seen = FILTER_SEEN_TLS;
	memcpy(f->name, hello->sni, sizeof(f->name));
	f->learnt = f->name[0] ? POLICY_NAME_SNI :
				 learnt_nameless(f, POLICY_NAME_SNI, true);
	tls_watch_init(&f->watch);
	return grant(f, hello->len, FILTER_TLS);
}

/* Requests that would make the connection somebody else's. */
static const char *http_unfit(const struct http_head *head)
{
	if (head->method == HTTP_CONNECT)
		return "CONNECT";
	return head->method == HTTP_TRACE ? "TRACE" : NULL;
}

/* Only where no byte of an earlier answer can pass for a "101". */
static enum http_upgrade may_switch(const struct filter *f,
				    const struct http_head *head)
{
	if (f->spoken || f->requested || head->upgrade == HTTP_UPGRADE_OTHER)
		return HTTP_UPGRADE_NONE;
	return head->upgrade;
}

static enum filter_step http_request(struct filter *f,
				     const struct http_head *head)
{
	bool any = f->carry == POLICY_CARRY_ANY;
	const char *unfit = any ? NULL : http_unfit(head);
	enum filter_mode next = FILTER_BODY;

	f->seen = FILTER_SEEN_HTTP;
	if (unfit)
		return refuse(f, POLICY_R_PROTOCOL, unfit);
	memcpy(f->name, head->name, sizeof(f->name));
	f->learnt = f->name[0] ? POLICY_NAME_HOST :
				 learnt_nameless(f, POLICY_NAME_HOST,
						 !head->literal);
	http_body_start(&f->body, head);
	f->want = may_switch(f, head);
	f->preface = head->upgrade == HTTP_UPGRADE_H2C ? 0 : PREFACE_ENOUGH;
	if (any && head->method == HTTP_CONNECT)
		next = FILTER_OPAQUE;
	return grant(f, head->len, next);
}

/* No name to be had, and the protocol is none that has one. */
static enum filter_step first_opaque(struct filter *f)
{
	if (f->admitted) {
		f->mode = FILTER_OPAQUE;
		return FILTER_PASS;
	}
	f->name[0] = '\0';
	f->learnt = learnt_nameless(f, POLICY_NAME_NONE, true);
	return grant(f, 0, FILTER_OPAQUE);
}

/* The next byte is the first of a client's preface of HTTP/2. */
static enum filter_step begin_h2(struct filter *f, bool upgraded)
{
	f->h2 = h2_new(upgraded);
	if (!f->h2)
		return refuse(f, POLICY_R_LIMIT, "out of memory");
	f->seen = FILTER_SEEN_HTTP;
	f->mode = FILTER_H2;
	return FILTER_PASS;
}

/*
 * Too little to tell. More may come and make it a request, unless the client
 * has ended: then a bare word, which no server takes for one, is of another
 * protocol.
 */
static enum filter_step first_partial(struct filter *f, const uint8_t *data,
				      size_t len)
{
	if (!f->ended || f->carry == POLICY_CARRY_HTTP ||
	    f->carry == POLICY_CARRY_TLS || memchr(data, ' ', len) ||
	    memchr(data, '\n', len))
		return FILTER_HOLD;
	return first_opaque(f);
}

static enum filter_step first_http(struct filter *f, const uint8_t *data,
				   size_t len)
{
	struct http_head head;

	switch (http_peek(data, len, &head)) {
	case HTTP_NEED_MORE:
		return first_partial(f, data, len);
	case HTTP_OK:
		return http_request(f, &head);
	case HTTP_BAD:
		f->seen = FILTER_SEEN_HTTP;
		return refuse(f, POLICY_R_MALFORMED, head.why);
	case HTTP_H2:
		return begin_h2(f, false);
	case HTTP_NOT_HTTP:
		break;
	}
	if (f->carry == POLICY_CARRY_HTTP)
		return refuse(f, POLICY_R_PROTOCOL, "not HTTP");
	return first_opaque(f);
}

static enum filter_step first(struct filter *f, const uint8_t *data, size_t len)
{
	struct tls_hello hello;

	if (f->carry == POLICY_CARRY_HTTP)
		return first_http(f, data, len);
	switch (tls_peek(data, len, &hello)) {
	case TLS_NEED_MORE:
		return FILTER_HOLD;
	case TLS_OK:
		return first_tls(f, &hello);
	case TLS_BAD:
		f->seen = FILTER_SEEN_TLS;
		return refuse(f, POLICY_R_MALFORMED, "bad ClientHello");
	case TLS_NOT_TLS:
		break;
	}
	if (f->carry == POLICY_CARRY_TLS)
		return refuse(f, POLICY_R_PROTOCOL, "not TLS");
	return first_http(f, data, len);
}

static enum filter_step next_request(struct filter *f, const uint8_t *data,
				     size_t len)
{
	struct http_head head;

	switch (http_peek(data, len, &head)) {
	case HTTP_NEED_MORE:
		return FILTER_HOLD;
	case HTTP_OK:
		return http_request(f, &head);
	case HTTP_H2:
		/* what an h2c upgrade leads to, where any protocol passes */
		if (f->carry == POLICY_CARRY_ANY)
			return begin_h2(f, true);
		head.why = "HTTP/2 that the first request did not begin";
		break;
	case HTTP_BAD:
	case HTTP_NOT_HTTP:
		break;
	}
	return refuse(f, POLICY_R_MALFORMED,
		      head.why ? head.why : "no HTTP request");
}

/* Head and body of a request have passed. */
static void request_passed(struct filter *f)
{
	f->mode = f->want != HTTP_UPGRADE_NONE && !f->spoken ? FILTER_SWITCH :
							       FILTER_HEAD;
	f->requested = true;
	http_switch_init(&f->answer, f->want);
}

/*
 * A server that wrongly switches to h2c before the body has come waits for a
 * preface; a body must not be one.
 */
static bool begins_h2(struct filter *f, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && f->preface < PREFACE_ENOUGH; i++) {
		if (data[i] != (uint8_t)preface[f->preface]) {
			f->preface = PREFACE_ENOUGH;
			return false;
		}
		if (++f->preface == PREFACE_ENOUGH)
			return true;
	}
	return false;
}

static enum filter_step in_body(struct filter *f, const uint8_t *data,
				size_t len, size_t *ret_used)
{
	enum http_status s = http_body_feed(&f->body, data, len, ret_used);

	if (s != HTTP_BAD && begins_h2(f, data, *ret_used))
		return refuse(f, POLICY_R_MALFORMED, "HTTP/2 in a body");
	if (s == HTTP_BAD)
		return refuse(f, POLICY_R_MALFORMED, "broken chunks");
	if (s == HTTP_OK)
		request_passed(f);
	return FILTER_PASS;
}

static enum filter_step h2_request(struct filter *f,
				   const struct h2_request *req, size_t n)
{
	if (req->connect && f->carry != POLICY_CARRY_ANY)
		return refuse(f, POLICY_R_PROTOCOL, "CONNECT");
	memcpy(f->name, req->name, sizeof(f->name));
	f->learnt = f->name[0] ?
			    POLICY_NAME_HOST :
			    learnt_nameless(f, POLICY_NAME_HOST, !req->literal);
	return grant(f, n, FILTER_H2);
}

/*
 * Nothing names anybody yet. A client that waits for the server's settings
 * before it asks is let through by the pin, as one of a protocol whose server
 * speaks first; its requests are decided when they come. Where the port
 * carries HTTP alone, a name is worth waiting for first.
 */
static enum filter_step h2_without_name(struct filter *f, size_t len)
{
	bool by_name = f->carry == POLICY_CARRY_HTTP;

	if (filter_may_be_silent(f) && f->pending == len &&
	    (f->silent || !by_name)) {
		f->pending = 0;
		f->name[0] = '\0';
		f->learnt = f->carry == POLICY_CARRY_ANY ? POLICY_NAME_NONE :
							   POLICY_NAME_PIN;
		return grant(f, len, FILTER_H2);
	}
	if (len >= LIMIT_PEEK_BYTES)
		return refuse(f, POLICY_R_MALFORMED, "no request");
	return FILTER_HOLD;
}

static enum filter_step in_h2(struct filter *f, const uint8_t *data, size_t len,
			      size_t *ret_used)
{
	struct h2_request req;
	const char *why;
	size_t n, at = f->pending;

	switch (h2_feed(f->h2, data + at, len - at, &n, &req, &why)) {
	case H2_BAD:
		return refuse(f, POLICY_R_MALFORMED, why);
	case H2_REQUEST:
		f->pending = 0;
		return h2_request(f, &req, at + n);
	case H2_NEED_MORE:
		break;
	}
	f->pending = at + n;
	if (!f->admitted)
		return h2_without_name(f, len);
	*ret_used = f->pending;
	f->pending = 0;
	return *ret_used < len ? FILTER_HOLD : FILTER_PASS;
}

/* What was allowed as a whole. */
static size_t use_grant(struct filter *f, size_t len)
{
	size_t n = f->granted < len ? f->granted : len;

	f->granted -= n;
	if (f->granted == 0 && f->mode == FILTER_BODY &&
	    f->body.state == HTTP_BODY_END)
		request_passed(f);
	return n;
}

static enum filter_step behind_hello(struct filter *f, const uint8_t *data,
				     size_t len, size_t *ret_used)
{
	enum tls_status s =
		tls_watch_client(&f->watch, f->allowed, data, len, ret_used);

	if (s == TLS_BAD)
		return refuse(f, POLICY_R_MALFORMED, "second ClientHello");
	if (f->watch.state == TLS_WATCH_OVER)
		f->mode = FILTER_OPAQUE;
	return s == TLS_NEED_MORE ? FILTER_HOLD : FILTER_PASS;
}

/* One step at the start of the window; *ret_used bytes of it pass. */
static enum filter_step step(struct filter *f, const uint8_t *data, size_t len,
			     size_t *ret_used)
{
	*ret_used = 0;
	if (f->granted > 0) {
		*ret_used = use_grant(f, len);
		return FILTER_PASS;
	}
	switch (f->mode) {
	case FILTER_FIRST:
		return first(f, data, len);
	case FILTER_TLS:
		return behind_hello(f, data, len, ret_used);
	case FILTER_HEAD:
		return next_request(f, data, len);
	case FILTER_BODY:
		return in_body(f, data, len, ret_used);
	case FILTER_H2:
		return in_h2(f, data, len, ret_used);
	case FILTER_SWITCH:
		return FILTER_HOLD;
	case FILTER_OPAQUE:
		break;
	}
	*ret_used = len;
	return FILTER_PASS;
}

enum filter_step filter_client(struct filter *f, const uint8_t *data,
			       size_t len, size_t *ret_pass)
{
	enum filter_step s = FILTER_PASS;
	size_t at = 0;

	*ret_pass = 0;
	if (f->asking)
		return FILTER_HOLD;
	while (s == FILTER_PASS && at < len) {
		size_t used;

		s = step(f, data + at, len - at, &used);
		at += s == FILTER_REFUSE ? 0 : used;
	}
	*ret_pass = at;
	return s;
}

bool filter_may_be_silent(const struct filter *f)
{
	return f->mode == FILTER_H2 && !f->admitted && !f->asking &&
	       h2_is_idle(f->h2);
}

void filter_client_silent(struct filter *f)
{
	f->silent = true;
}

void filter_client_ended(struct filter *f)
{
	f->ended = true;
}

void filter_allowed(struct filter *f)
{
	f->asking = false;
	f->admitted = true;
	f->answered = false;
	memcpy(f->allowed, f->name, sizeof(f->allowed));
	f->mode = f->next;
}

void filter_admit(struct filter *f)
{
	f->admitted = true;
}

void filter_admit_name(struct filter *f, const char *name)
{
	f->admitted = true;
	memcpy(f->allowed, name, strlen(name) + 1);
}

/* What was asked for is all that may come behind a switch. */
static void switched(struct filter *f)
{
	if (f->want != HTTP_UPGRADE_H2C)
		f->mode = FILTER_OPAQUE;
	else if (begin_h2(f, true) != FILTER_PASS)
		f->mode = FILTER_HEAD; /* which no preface passes */
}

bool filter_server(struct filter *f, const uint8_t *data, size_t len)
{
	f->answered = true;
	if (f->mode == FILTER_TLS) {
		f->spoken = true;
		tls_watch_server(&f->watch, data, len);
		return f->watch.state != TLS_WATCH_SERVER;
	}
	if (f->mode != FILTER_SWITCH) {
		f->spoken = true;
		return false;
	}
	switch (http_switch_feed(&f->answer, data, len)) {
	case HTTP_NEED_MORE:
		return false;
	case HTTP_OK:
		switched(f);
		return true;
	case HTTP_NOT_HTTP:
	case HTTP_BAD:
	case HTTP_H2:
		break;
	}
	f->mode = FILTER_HEAD;
	return true;
}

bool filter_waits_for_server(const struct filter *f)
{
	return f->mode == FILTER_SWITCH ||
	       (f->mode == FILTER_TLS && f->watch.state == TLS_WATCH_SERVER);
}

bool filter_may_respond(const struct filter *f)
{
	if (f->seen != FILTER_SEEN_HTTP)
		return false;
	/* frames of two servers cannot be mixed */
	if (f->mode == FILTER_H2)
		return f->asking && !f->requested && !f->spoken &&
		       h2_last_stream(f->h2) != 0;
	return f->mode == FILTER_FIRST ? !f->admitted :
					 f->mode == FILTER_HEAD && f->answered;
}
