/* proxyd_plain.c - http:// through the explicit proxy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One exchange: the dialer is asked for the target, the rewritten head goes
 * up, the body behind it as far as its framing says; the response's heads
 * are rewritten, its body is followed to its end. Each request has a
 * connection of its own to the origin: two targets never share one, and what
 * an origin sends beyond its response reaches nobody. The client's connection
 * goes on when both sides of the exchange have an end of their own.
 *
 * Bytes of the client that are not of this request stay in `in`, and nothing
 * more is read while there are any: pipelined requests wait there.
 *
 * #syscalls recvfrom sendto shutdown close
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/proxyd_private.h"

enum {
	CHUNKS_AT_ONCE = 4,
	ASK_MS = LIMIT_DIAL_MS + 5000, /* the dialer should be first */
	HEADS_MAX = 2 * LIMIT_PEEK_BYTES,
};

/* Which events are being waited for. */
enum {
	ON_CLIENT_IN = 1 << 0,
	ON_CLIENT_OUT = 1 << 1,
	ON_TARGET_IN = 1 << 2,
	ON_TARGET_OUT = 1 << 3,
};

static struct proxyd *of_question(struct question *q)
{
	return (struct proxyd *)((char *)q - offsetof(struct proxyd, question));
}

/* -- budgets -- */

/* Count for what the name that was asked for, or the address, has. */
static void count_for(struct proxyd *d, const char *name,
		      const struct addr *addr)
{
	struct posture *p = d->posture;
	const struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.name = name[0] ? name : NULL,
		.learnt = POLICY_NAME_PROXY,
		.addr = *addr,
		.proto = RULE_TCP,
		.port = d->asked.to.port,
	};

	meter_add(&d->x.meter, &p->front->counters, p->policy, &p->counters,
		  &q);
}

/* The next byte is one too many. */
static bool cut(struct proxyd *d, const struct counter *spent)
{
	struct audit_event e = {
		.layer = AUDIT_PROXY,
		.verdict = AUDIT_DENY,
		.protocol = "tcp",
		.name = d->asked.name[0] ? d->asked.name : NULL,
		.learnt = policy_learnt_name(POLICY_NAME_PROXY),
		.has_address = true,
		.address = d->x.peer.addr,
		.port = d->asked.to.port,
		.reason = policy_reason_name(POLICY_R_BUDGET),
		.rule = spent->text,
	};

	front_event(d->posture, &e);
	proxyd_close(d, true);
	return false;
}

/* -- the end of an exchange -- */

/* The one record of a request that was allowed. */
static void record(struct proxyd *d, enum audit_verdict verdict, int error)
{
	static const struct addr nowhere;
	const struct proxyd_exchange *x = &d->x;
	const bool reached = !addr_equal(&x->peer.addr, &nowhere);
	struct audit_event e = {
		.layer = AUDIT_PROXY,
		.verdict = verdict,
		.protocol = "tcp",
		.name = d->asked.name[0] ? d->asked.name : NULL,
		.learnt = policy_learnt_name(POLICY_NAME_PROXY),
		.has_address = reached,
		.address = x->peer.addr,
		.port = d->asked.to.port,
		.rule = x->rule[0] ? x->rule : NULL,
		.reason = policy_reason_name(x->reason),
		.error = error,
		.has_bytes = true,
		.bytes_in = x->down.bytes,
		.bytes_out = x->up.bytes,
		.has_duration = true,
		.duration_ms = (uint64_t)(clock_ms() - x->start_ms),
	};

	front_event(d->posture, &e);
}

void plain_done(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;

	front_cancel(d->posture->front, &d->question);
	if (x->allowed)
		record(d, AUDIT_ALLOW, 0);
	relay_done(&x->up);
	relay_done(&x->down);
	relay_done(&x->head);
	*x = (struct proxyd_exchange){ 0 };
	if (d->target < 0)
		return;
	if (event_initialized(&d->target_in)) {
		(void)event_del(&d->target_in);
		(void)event_del(&d->target_out);
	}
	d->on &= ~(unsigned)(ON_TARGET_IN | ON_TARGET_OUT);
	fd_close(&d->target);
	if (!d->waits_fd)
		d->posture->front->unconnected++;
	d->waits_fd = true;
}

/* Allowed, but the target is not there, or makes no sense. */
static bool fail(struct proxyd *d, int error)
{
	bool said = d->x.down.bytes > 0 || d->x.down.len > 0;

	record(d, AUDIT_FAIL, error);
	d->x.allowed = false;
	if (!said && proxyd_say_failed(d->client, &d->asked, error))
		proxyd_linger(d);
	else
		proxyd_close(d, true);
	return false;
}

static void watch_client(struct proxyd *d)
{
	(void)event_add(&d->client_in, NULL);
	d->on |= ON_CLIENT_IN;
}

/* Both sides are done. False: d is gone, or on to something else. */
static void finish(struct proxyd *d)
{
	bool keep = d->x.keep && !(d->eof && d->nin == 0);

	if (!keep)
		return proxyd_linger(d);
	plain_done(d);
	proxyd_stop_events(d);
	d->state = PROXYD_HEAD;
	watch_client(d);
	proxyd_timer(d, d->nin > 0 ? LIMIT_PEEK_MS : LIMIT_PROXY_IDLE_MS);
	if (d->nin > 0)
		proxyd_next(d);
}

/* -- up -- */

static bool uploading(const struct proxyd *d)
{
	return d->x.upload.state != HTTP_BODY_END && !d->x.deaf;
}

/*
 * A write to the target failed. It may have gone deaf behind an early answer
 * that is still to be read: "413".
 */
static bool target_broken(struct proxyd *d, int error)
{
	const struct counter *spent = meter_spent(&d->x.meter);

	if (error == -EDQUOT && spent)
		return cut(d, spent);
	d->x.deaf = true;
	relay_done(&d->x.up);
	return true;
}

/* A write to the client failed. */
static bool client_broken(struct proxyd *d, int error)
{
	const struct counter *spent = meter_spent(&d->x.meter);

	if (error == -EDQUOT && spent)
		return cut(d, spent);
	proxyd_close(d, true);
	return false;
}

/* What of `in` belongs to the body goes on. */
static bool pass_up(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;
	size_t used, done;
	int e;

	if (http_body_feed(&x->upload, d->in, d->nin, &used) == HTTP_BAD) {
		proxyd_close(d, true);
		return false;
	}
	e = relay_write(&x->up, d->target, d->in, used, 0, &done);
	if (e < 0 && !target_broken(d, e))
		return false;
	if (e == 0 &&
	    relay_keep(&x->up, d->in + done, used - done, used - done) < 0)
		return fail(d, ENOMEM);
	proxyd_consume(d, used);
	return true;
}

static bool pump_up(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;
	int e = x->deaf ? 0 : relay_flush(&x->up, d->target);

	if (e < 0 && !target_broken(d, e))
		return false;
	for (int i = 0; i < CHUNKS_AT_ONCE && uploading(d) && x->up.len == 0;
	     i++) {
		if (d->nin == 0 && !d->eof && !proxyd_read(d))
			return false;
		if (d->nin == 0 && d->eof) { /* it left in the middle */
			proxyd_close(d, true);
			return false;
		}
		if (d->nin == 0)
			break;
		if (!pass_up(d))
			return false;
	}
	return true;
}

/* -- down -- */

static void give(struct proxyd *d, const uint8_t *data, size_t len, int *ret)
{
	struct relay *down = &d->x.down;
	size_t done = 0;

	if (down->len == 0)
		*ret = relay_write(down, d->client, data, len, 0, &done);
	if (*ret == 0)
		*ret = relay_keep(down, data + done, len - done, len - done);
}

static bool pass_body(struct proxyd *d, const uint8_t *data, size_t len)
{
	struct proxyd_exchange *x = &d->x;
	size_t used = 0;
	int r = 0;

	switch (x->framing) {
	case PROXY_NO_BODY:
		x->answered = true;
		break;
	case PROXY_UNTIL_CLOSE:
		used = len;
		break;
	case PROXY_LENGTH:
	case PROXY_CHUNKED:
		switch (http_body_feed(&x->download, data, len, &used)) {
		case HTTP_BAD:
			return fail(d, EPROTO);
		case HTTP_OK:
			x->answered = true;
			break;
		case HTTP_NEED_MORE:
		case HTTP_NOT_HTTP:
		case HTTP_H2:
			break;
		}
		break;
	}
	give(d, data, used, &r);
	return r == 0 || client_broken(d, r);
}

static void frame(struct proxyd *d, const struct proxy_response *r)
{
	const struct http_head like = {
		.chunked = r->framing == PROXY_CHUNKED,
		.length = r->framing == PROXY_LENGTH ? r->length : 0,
	};
	struct proxyd_exchange *x = &d->x;

	x->framed = true;
	x->framing = r->framing;
	http_body_start(&x->download, &like);
	if (x->download.state == HTTP_BODY_END &&
	    x->framing != PROXY_UNTIL_CLOSE)
		x->framing = PROXY_NO_BODY;
	/* who has not sent all of a request cannot begin the next one */
	x->keep = x->request.keep && x->framing != PROXY_UNTIL_CLOSE &&
		  x->upload.state == HTTP_BODY_END && x->up.len == 0;
}

static bool pass_head(struct proxyd *d, const uint8_t *data,
		      const struct proxy_response *r)
{
	struct sbuf head;
	int error;

	if (!r->interim)
		frame(d, r);
	sbuf_init(&head, HEADS_MAX);
	proxy_response_rewrite(data, r, d->x.keep, &head);
	error = head.bad ? -ENOMEM :
			   relay_keep(&d->x.down, (const uint8_t *)head.s,
				      head.len, head.len);
	sbuf_done(&head);
	return error == 0 || fail(d, -error);
}

/* Heads wait in x.head until they are whole. */
static bool take_heads(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;
	struct proxy_response r;
	const uint8_t *p;
	size_t len;

	while (!x->framed) {
		p = relay_held(&x->head, &len);
		if (len == 0)
			return true;
		switch (proxy_response_peek(p, len, x->request.head, &r)) {
		case HTTP_NEED_MORE:
			return true;
		case HTTP_OK:
			break;
		case HTTP_BAD:
		case HTTP_NOT_HTTP:
		case HTTP_H2:
			return fail(d, EPROTO);
		}
		if (x->down.len > HEADS_MAX) /* of interim responses */
			return fail(d, EPROTO);
		if (!pass_head(d, p, &r))
			return false;
		x->head.off += r.len;
		x->head.len -= r.len;
	}
	p = relay_held(&x->head, &len);
	if (!pass_body(d, p, len))
		return false;
	relay_done(&x->head);
	return true;
}

static bool take_response(struct proxyd *d, const uint8_t *data, size_t len)
{
	if (d->x.framed)
		return pass_body(d, data, len);
	if (relay_keep(&d->x.head, data, len, 0) < 0)
		return fail(d, ENOMEM);
	return take_heads(d);
}

static bool target_ended(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;

	if (!x->framed)
		return fail(d, ECONNRESET);
	if (x->framing != PROXY_UNTIL_CLOSE) {
		proxyd_close(d, true); /* a short body must not look whole */
		return false;
	}
	x->answered = true;
	return true;
}

static bool pump_down(struct proxyd *d)
{
	struct proxyd_exchange *x = &d->x;
	uint8_t *chunk = d->posture->front->chunk;

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		int e = relay_flush(&x->down, d->client);
		long n;

		if (e < 0)
			return client_broken(d, e);
		if (x->answered || x->down.len > 0)
			break;
		n = relay_read(d->target, chunk, LIMIT_RELAY_CHUNK);
		if (n == -EAGAIN)
			break;
		if (n < 0 && !x->framed)
			return fail(d, (int)-n);
		if (n < 0) {
			proxyd_close(d, true);
			return false;
		}
		if (n == 0 ? !target_ended(d) :
			     !take_response(d, chunk, (size_t)n))
			return false;
	}
	return true;
}

/* -- events -- */

static void want(struct proxyd *d, struct event *ev, unsigned bit, bool on)
{
	if (on == ((d->on & bit) != 0))
		return;
	if (on && event_add(ev, NULL) == 0)
		d->on |= bit;
	else if (!on && event_del(ev) == 0)
		d->on &= ~bit;
}

static void settle(struct proxyd *d)
{
	const struct proxyd_exchange *x = &d->x;

	if (x->answered && x->down.len == 0)
		return finish(d);
	want(d, &d->client_in, ON_CLIENT_IN,
	     uploading(d) && x->up.len == 0 && d->nin == 0 && !d->eof);
	want(d, &d->target_out, ON_TARGET_OUT, x->up.len > 0);
	want(d, &d->target_in, ON_TARGET_IN, x->down.len == 0 && !x->answered);
	want(d, &d->client_out, ON_CLIENT_OUT, x->down.len > 0);
}

void plain_client_in(struct proxyd *d)
{
	if (d->state == PROXYD_EXCHANGE && pump_up(d))
		settle(d);
}

void plain_in_cb(evutil_socket_t fd, short what, void *proxyd)
{
	struct proxyd *d = proxyd;

	(void)fd;
	(void)what;
	if (pump_down(d))
		settle(d);
}

void plain_out_cb(evutil_socket_t fd, short what, void *proxyd)
{
	struct proxyd *d = proxyd;

	(void)fd;
	(void)what;
	if (pump_up(d))
		settle(d);
}

/* -- the beginning -- */

void plain_late(struct proxyd *d)
{
	(void)fail(d, ETIMEDOUT);
}

/* A port that carries TLS by name carries nothing else. */
static bool carries_http(struct proxyd *d, const struct answer *a)
{
	return proxyd_carry(d->posture->policy, &d->asked, &a->peer,
			    &d->x.to) != POLICY_CARRY_TLS;
}

static void start_exchange(struct proxyd *d, int take_fd)
{
	struct event_base *base = d->posture->front->base;

	d->target = take_fd;
	d->state = PROXYD_EXCHANGE;
	d->waits_fd = false;
	d->posture->front->unconnected--;
	(void)event_assign(&d->target_in, base, take_fd, EV_READ | EV_PERSIST,
			   plain_in_cb, d);
	(void)event_assign(&d->target_out, base, take_fd, EV_WRITE | EV_PERSIST,
			   plain_out_cb, d);
	if (pump_up(d))
		settle(d);
}

/* -- a new policy -- */

static void refuse_changed(struct proxyd *d, const char *rule, const char *hint)
{
	struct audit_event e = {
		.layer = AUDIT_PROXY,
		.verdict = AUDIT_DENY,
		.protocol = "tcp",
		.name = d->asked.name[0] ? d->asked.name : NULL,
		.learnt = policy_learnt_name(POLICY_NAME_PROXY),
		.has_address = true,
		.address = d->x.peer.addr,
		.port = d->asked.to.port,
		.reason = FRONT_REASON_CHANGED,
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	front_event(d->posture, &e);
	proxyd_close(d, true);
}

static void on_check(struct question *q, const struct answer *a, int *take_fd)
{
	struct proxyd *d = of_question(q);

	(void)take_fd; /* none comes with a check */
	if (!a->allow)
		refuse_changed(d, a->rule, a->hint);
}

static bool recheck(struct proxyd *d)
{
	struct ask a = {
		.posture = d->posture->id,
		.proto = RULE_TCP,
		.to = d->x.to,
		.learnt = POLICY_NAME_PROXY,
	};

	d->x.stale = false;
	memcpy(a.name, d->asked.name, sizeof(a.name));
	front_cancel(d->posture->front, &d->question);
	d->question.on_answer = on_check;
	if (policy_get_mode(d->posture->policy) != POLICY_BLOCKED &&
	    front_ask(d->posture->front, ASK_CHECK, &a, &d->question) == 0)
		return true;
	refuse_changed(d, "", "");
	return false;
}

/* The dialer that is asked now asks itself again. */
void plain_policy_changed(struct proxyd *d)
{
	if (d->state == PROXYD_ASK)
		d->x.stale = true;
	else
		(void)recheck(d);
}

static void on_answer(struct question *q, const struct answer *a, int *take_fd)
{
	struct proxyd *d = of_question(q);
	struct proxyd_exchange *x = &d->x;
	const struct counter *spent;
	char why[METER_WHY];

	(void)event_del(&d->timer);
	if (!a->allow)
		return proxyd_refuse(d, a->reason, a->rule, a->hint, NULL);
	x->reason = a->reason;
	memcpy(x->rule, a->rule, sizeof(x->rule));
	count_for(d, d->asked.name, &d->asked.to.addr);
	if (!a->error)
		count_for(d, "", &a->peer.addr);
	spent = meter_spent(&x->meter);
	if (spent)
		return proxyd_refuse(d, POLICY_R_BUDGET, spent->text, "",
				     counter_why(spent, why));
	if (a->error || *take_fd < 0) {
		(void)fail(d, a->error ? a->error : EMFILE);
		return;
	}
	x->peer = a->peer;
	if (!carries_http(d, a))
		return proxyd_refuse(d, POLICY_R_PROTOCOL, a->rule, "",
				     "not TLS");
	x->allowed = true;
	if (!x->stale || recheck(d))
		start_exchange(d, fd_steal(take_fd));
}

static int put_head(struct proxyd *d, const struct http_head *head)
{
	struct sbuf b;
	int r = -ENOMEM;

	sbuf_init(&b, HEADS_MAX);
	proxy_request_rewrite(d->in, head, &b);
	if (!b.bad)
		r = relay_keep(&d->x.up, (const uint8_t *)b.s, b.len, b.len);
	sbuf_done(&b);
	return r;
}

void plain_begin(struct proxyd *d, const struct http_head *head,
		 const struct proxy_target *request)
{
	struct ask a = {
		.posture = d->posture->id,
		.proto = RULE_TCP,
		.to = d->asked.to,
		.learnt = POLICY_NAME_PROXY,
	};
	int r;

	d->x = (struct proxyd_exchange){
		.request = *request,
		.start_ms = clock_ms(),
		.reason = POLICY_R_DEFAULT,
	};
	d->x.up.meter = d->x.down.meter = &d->x.meter;
	d->x.up.way = POLICY_UP;
	d->x.down.way = POLICY_DOWN;
	http_body_start(&d->x.upload, head);
	(void)event_del(&d->client_in);
	d->on = 0;
	d->state = PROXYD_ASK;
	d->question.on_answer = on_answer;
	memcpy(a.name, d->asked.name, sizeof(a.name));
	r = put_head(d, head);
	proxyd_consume(d, head->len);
	if (r == 0)
		r = front_ask(d->posture->front, ASK_DIAL, &a, &d->question);
	if (r < 0) {
		(void)fail(d, -r);
		return;
	}
	proxyd_timer(d, ASK_MS);
}
