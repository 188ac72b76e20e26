/* proxyd.c - explicit proxies inside: who asks, and for what
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	HEAD	  the first byte tells SOCKS from HTTP. CONNECT and SOCKS: the
 *		  client's socket becomes a flow, and nothing is left here
 *	ASK	  http://: the dialer decides and dials
 *	EXCHANGE  http://: request up, response down; then the next request,
 *		  for whatever target, or the end
 *	LINGER	  the last word was ours
 *
 *	HEAD -> (flow)		HEAD -> ASK -> EXCHANGE -> HEAD ...
 *	any -> LINGER -> closed
 *
 * SOCKS 5 needs no password; a client that insists on giving one may, and
 * nobody looks at it: who may reach the proxy is inside already. SOCKS 4 is
 * refused in its own words. Nobody is ever asked for proxy credentials.
 *
 * A client counts as a flow from its first byte, between requests too, so
 * that LIMIT_FLOWS bounds them together. A head has LIMIT_PEEK_MS from its
 * first byte to its last.
 *
 * #syscalls accept4 recvfrom sendto shutdown setsockopt close
 */
#include "proxy/proxyd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/proxyd_private.h"
#include "proxy/proxyd_socks.h"

enum {
	ACCEPT_AT_ONCE = 64,
	LINGER_MS = 2000,
	SOCKS4_REPLY_LEN = 8,
	SOCKS4_REJECTED = 0x5b,
};

void proxyd_timer(struct proxyd *d, int ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000L };

	(void)event_add(&d->timer, &tv);
}

/* -- the end -- */

static void event_stop(struct event *ev)
{
	if (event_initialized(ev))
		(void)event_del(ev);
}

void proxyd_stop_events(struct proxyd *d)
{
	event_stop(&d->client_in);
	event_stop(&d->client_out);
	event_stop(&d->target_in);
	event_stop(&d->target_out);
	event_stop(&d->timer);
	d->on = 0;
}

/* All but the client's socket. */
static void release(struct proxyd *d)
{
	struct front *f = d->posture->front;

	plain_done(d);
	proxyd_stop_events(d);
	if (d->waits_fd)
		f->unconnected--;
	f->stats.flows--;
	free(d->in);
	LIST_REMOVE(d, link);
}

void proxyd_close(struct proxyd *d, bool reset)
{
	const struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	release(d);
	if (reset)
		(void)setsockopt(d->client, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard));
	fd_close(&d->client);
	free(d);
}

void proxyd_drop_all(struct posture *p)
{
	struct proxyd *d;

	while ((d = LIST_FIRST(&p->proxyds)))
		proxyd_close(d, true);
}

/* Between requests nothing has been decided. */
void proxyd_policy_changed(struct posture *p)
{
	struct proxyd *d = LIST_FIRST(&p->proxyds);

	while (d) {
		struct proxyd *next = LIST_NEXT(d, link);

		if (d->state == PROXYD_ASK || d->state == PROXYD_EXCHANGE)
			plain_policy_changed(d);
		d = next;
	}
}

void proxyd_linger(struct proxyd *d)
{
	plain_done(d);
	proxyd_stop_events(d);
	d->state = PROXYD_LINGER;
	(void)shutdown(d->client, SHUT_WR); /* gone: the next read tells */
	(void)event_add(&d->client_in, NULL);
	proxyd_timer(d, LINGER_MS);
}

void proxyd_refuse(struct proxyd *d, enum policy_reason reason,
		   const char *rule, const char *hint, const char *why)
{
	static const struct addr nowhere;
	const struct proxyd_refusal refusal = { reason, hint, why };
	struct audit_event e = {
		.layer = AUDIT_PROXY,
		.verdict = AUDIT_DENY,
		.protocol = "tcp",
		.name = d->asked.name[0] ? d->asked.name : NULL,
		.learnt = policy_learnt_name(POLICY_NAME_PROXY),
		.has_address = !addr_equal(&d->asked.to.addr, &nowhere),
		.address = d->asked.to.addr,
		.port = d->asked.to.port,
		.reason = policy_reason_name(reason),
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	front_event(d->posture, &e);
	if (proxyd_say_refused(d->client, &d->asked, &refusal))
		return proxyd_linger(d);
	proxyd_close(d, true);
}

static void malformed(struct proxyd *d, const char *why)
{
	proxyd_refuse(d, POLICY_R_MALFORMED, "", "", why);
}

/* -- what the client sends -- */

void proxyd_consume(struct proxyd *d, size_t n)
{
	memmove(d->in, d->in + n, d->nin - n);
	d->nin -= n;
	if (d->nin > 0)
		return;
	free(d->in);
	d->in = NULL;
}

bool proxyd_read(struct proxyd *d)
{
	long n;

	if (!d->in)
		d->in = malloc(LIMIT_PEEK_BYTES);
	if (!d->in) {
		proxyd_close(d, true);
		return false;
	}
	n = relay_read(d->client, d->in + d->nin, LIMIT_PEEK_BYTES - d->nin);
	if (n == -EAGAIN)
		return true;
	if (n < 0) {
		proxyd_close(d, true);
		return false;
	}
	d->eof = n == 0;
	d->nin += (size_t)n;
	return true;
}

/* -- requests -- */

/* Nothing is asked then, of anybody: there may be no dialer. */
static bool is_blocked(struct proxyd *d)
{
	const struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.name = d->asked.name[0] ? d->asked.name : NULL,
		.learnt = POLICY_NAME_PROXY,
		.addr = d->asked.to.addr,
		.proto = RULE_TCP,
		.port = d->asked.to.port,
	};
	char hint[LIMIT_RULE_TEXT] = "";

	if (policy_get_mode(d->posture->policy) != POLICY_BLOCKED)
		return false;
	policy_hint(&q, POLICY_R_BLOCKED, hint);
	proxyd_refuse(d, POLICY_R_BLOCKED, "", hint, NULL);
	return true;
}

/* The socket goes on as a flow; d is gone. */
static void become_flow(struct proxyd *d, size_t used)
{
	struct proxyd_target target = d->asked;
	struct posture *p = d->posture;
	int client = fd_steal(&d->client);
	size_t len = d->nin - used;
	uint8_t *in = d->in;

	d->in = NULL;
	release(d);
	free(d);
	flow_tunnel(p, client, &target, in + used, len);
	free(in);
}

static void take_request(struct proxyd *d, const struct http_head *head)
{
	struct proxy_target request;
	const char *why = proxy_target_parse(d->in, head, &request);

	if (why)
		return malformed(d, why);
	memcpy(d->asked.name, request.name, sizeof(d->asked.name));
	d->asked.to = request.to;
	if (head->method == HTTP_TRACE)
		return proxyd_refuse(d, POLICY_R_PROTOCOL, "", "", "TRACE");
	if (is_blocked(d))
		return;
	if (request.tunnel)
		return become_flow(d, head->len);
	plain_begin(d, head, &request);
}

static void next_http(struct proxyd *d)
{
	struct http_head head;

	switch (http_peek(d->in, d->nin, &head)) {
	case HTTP_OK:
		return take_request(d, &head);
	case HTTP_BAD:
		return malformed(d, head.why);
	case HTTP_H2:
	case HTTP_NOT_HTTP:
		return malformed(d, "neither HTTP/1 nor SOCKS 5");
	case HTTP_NEED_MORE:
		break;
	}
	if (d->eof)
		proxyd_close(d, true);
}

/* False: more bytes are needed, or d is gone. */
static bool socks_methods(struct proxyd *d)
{
	uint8_t answer[2] = { SOCKS_VERSION_5, SOCKS_NO_METHOD };
	size_t len;

	switch (socks_greeting(d->in, d->nin, &answer[1], &len)) {
	case SOCKS_NEED_MORE:
		return false;
	case SOCKS_BAD:
		proxyd_close(d, true);
		return false;
	case SOCKS_OK:
		break;
	}
	d->greeted = true;
	d->passed = answer[1] == SOCKS_NO_AUTHENTICATION;
	proxyd_consume(d, len);
	if (send(d->client, answer, sizeof(answer),
		 MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(answer)) {
		proxyd_close(d, true);
		return false;
	}
	if (answer[1] != SOCKS_NO_METHOD)
		return d->nin > 0;
	proxyd_linger(d);
	return false;
}

static bool socks_credentials(struct proxyd *d)
{
	static const uint8_t welcome[2] = { 1, 0 };
	enum socks_status s;
	size_t len;

	s = socks_password(d->in, d->nin, &len);
	if (s == SOCKS_NEED_MORE)
		return false;
	if (s == SOCKS_BAD ||
	    send(d->client, welcome, sizeof(welcome),
		 MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(welcome)) {
		proxyd_close(d, true);
		return false;
	}
	d->passed = true;
	proxyd_consume(d, len);
	return d->nin > 0;
}

static void socks_request(struct proxyd *d)
{
	struct socks_request q;

	switch (socks_request_peek(d->in, d->nin, &q)) {
	case SOCKS_NEED_MORE:
		return;
	case SOCKS_BAD:
		d->asked.protocol = PROXYD_NONE;
		if (respond_socks(d->client, q.reply))
			return proxyd_refuse(d,
					     q.reply == SOCKS_NO_COMMAND ?
						     POLICY_R_PROTOCOL :
						     POLICY_R_MALFORMED,
					     "", "", q.why);
		return proxyd_close(d, true);
	case SOCKS_OK:
		break;
	}
	memcpy(d->asked.name, q.name, sizeof(d->asked.name));
	d->asked.to = (struct endpoint){ q.addr, q.port };
	if (!is_blocked(d))
		become_flow(d, q.len);
}

static void next_socks(struct proxyd *d)
{
	if (!d->greeted && !socks_methods(d))
		return;
	if (!d->passed && !socks_credentials(d))
		return;
	socks_request(d);
}

static void refuse_socks4(struct proxyd *d)
{
	static const uint8_t no[SOCKS4_REPLY_LEN] = { 0, SOCKS4_REJECTED };

	(void)send(d->client, no, sizeof(no), MSG_NOSIGNAL | MSG_DONTWAIT);
	d->asked.protocol = PROXYD_NONE;
	proxyd_refuse(d, POLICY_R_PROTOCOL, "", "", "SOCKS 4");
}

void proxyd_next(struct proxyd *d)
{
	if (d->nin == 0 && d->eof)
		return proxyd_close(d, false);
	if (d->nin == 0)
		return;
	if (d->asked.protocol == PROXYD_NONE)
		d->asked.protocol = d->in[0] == SOCKS_VERSION_5 ? PROXYD_SOCKS :
								  PROXYD_HTTP;
	if (d->asked.protocol == PROXYD_HTTP && d->in[0] == SOCKS_VERSION_4)
		return refuse_socks4(d);
	if (d->asked.protocol == PROXYD_HTTP)
		return next_http(d);
	next_socks(d);
}

/* -- callbacks -- */

static void read_head(struct proxyd *d)
{
	bool first = d->nin == 0;

	if (!proxyd_read(d))
		return;
	if (first && d->nin > 0)
		proxyd_timer(d, LIMIT_PEEK_MS);
	if (d->eof && d->nin > 0 && d->asked.protocol == PROXYD_SOCKS)
		return proxyd_close(d, true);
	proxyd_next(d);
}

static void drain(struct proxyd *d)
{
	long n = relay_read(d->client, d->posture->front->chunk,
			    LIMIT_RELAY_CHUNK);

	if (n <= 0 && n != -EAGAIN)
		proxyd_close(d, false);
}

static void client_in_cb(evutil_socket_t fd, short what, void *proxyd)
{
	struct proxyd *d = proxyd;

	(void)fd;
	(void)what;
	switch (d->state) {
	case PROXYD_HEAD:
		return read_head(d);
	case PROXYD_LINGER:
		return drain(d);
	case PROXYD_ASK:
	case PROXYD_EXCHANGE:
		return plain_client_in(d);
	}
}

static void timer_cb(evutil_socket_t fd, short what, void *proxyd)
{
	struct proxyd *d = proxyd;

	(void)fd;
	(void)what;
	switch (d->state) {
	case PROXYD_HEAD:
		if (d->nin > 0 && d->asked.protocol == PROXYD_HTTP)
			return malformed(d, "the request took too long");
		return proxyd_close(d, d->nin > 0);
	case PROXYD_ASK:
		return plain_late(d);
	case PROXYD_EXCHANGE:
	case PROXYD_LINGER:
		return proxyd_close(d, true);
	}
}

static void proxyd_new(struct posture *p, int take_fd)
{
	struct proxyd *d = calloc(1, sizeof(*d));
	struct event_base *base = p->front->base;

	if (!d) {
		fd_close(&take_fd);
		return;
	}
	d->posture = p;
	d->client = take_fd;
	d->target = -1;
	(void)event_assign(&d->client_in, base, take_fd, EV_READ | EV_PERSIST,
			   client_in_cb, d);
	(void)event_assign(&d->client_out, base, take_fd, EV_WRITE | EV_PERSIST,
			   plain_in_cb, d);
	(void)event_assign(&d->timer, base, -1, 0, timer_cb, d);
	LIST_INSERT_HEAD(&p->proxyds, d, link);
	p->front->stats.flows++;
	p->front->stats.flows_total++;
	p->front->unconnected++;
	d->waits_fd = true;
	if (event_add(&d->client_in, NULL) < 0)
		return proxyd_close(d, true);
	proxyd_timer(d, LIMIT_PROXY_IDLE_MS);
}

void proxyd_accept_cb(evutil_socket_t listener, short what, void *posture)
{
	struct posture *p = posture;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE && front_may_accept(p->front); i++) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		front_accepted(p->front, fd);
		if (fd >= 0)
			proxyd_new(p, fd);
		else if (front_accept_failed(p->front, errno))
			return;
	}
}
