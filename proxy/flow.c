/* flow.c - the life of one TCP connection of a payload
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	accept	flow_accept_cb() takes the connection; getsockname() is where
 *		the payload wanted to go
 *	PEEK	the first bytes are collected until the filter (filter.h) knows
 *		whose they are. Where the rule allows a server to speak first,
 *		a short silence counts as "no name". Skipped where a name
 *		could not change the verdict
 *	ASK	the dialer decides and dials; nothing is read meanwhile
 *	RELAY	both ways. The client's bytes go through the filter for the
 *		whole life of the flow; a name that comes up later is asked
 *		for (ASK_CHECK) while they wait
 *	LINGER	a refusal was said in HTTP: the client reads it, and what it
 *		still sends is thrown away, so that no reset overtakes the
 *		answer
 *
 *	accept -> PEEK -> ASK -> RELAY -> closed
 *	accept -> ASK                PEEK, ASK, RELAY -> LINGER -> closed
 *
 * flow_close() is the only end, and every way there names its reason. After
 * it the flow is gone: functions that may close return false then, and their
 * callers return.
 *
 * An end of file is passed on when what came before it is written
 * (half-close); a reset of one side resets the other. A relayed flow has no
 * deadline, but bytes that wait for a decision do.
 *
 * #syscalls accept4 getsockname setsockopt recvfrom sendto shutdown close
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/filter.h"
#include "proxy/front_private.h"
#include "proxy/relay.h"

enum {
	ACCEPT_AT_ONCE = 64,
	CHUNKS_AT_ONCE = 4,	       /* then the others have their turn */
	ASK_MS = LIMIT_DIAL_MS + 5000, /* the dialer should be first */
	LINGER_MS = 2000,
	RESPONSE_MAX = 2048,
};

enum flow_state { FLOW_PEEK, FLOW_ASK, FLOW_RELAY, FLOW_LINGER };

enum flow_end {
	FLOW_DONE,    /* both sides ended, all bytes delivered */
	FLOW_RESET,   /* one side did */
	FLOW_LEFT,    /* the client, before anything was decided */
	FLOW_REFUSED, /* recorded where it happened */
	FLOW_FAILED,  /* allowed, but: `error` */
	FLOW_DROPPED, /* the posture ended */
};

/* Which events are being waited for. */
enum {
	ON_CLIENT_IN = 1 << 0,
	ON_CLIENT_OUT = 1 << 1,
	ON_TARGET_IN = 1 << 2,
	ON_TARGET_OUT = 1 << 3,
};

struct flow {
	LIST_ENTRY(flow) link;
	struct posture *posture;
	enum flow_state state;
	int client, target;
	struct endpoint to;
	struct event client_in, client_out, target_in, target_out, timer;
	unsigned on;
	struct filter filter;
	struct relay up, down; /* to the target, to the client */
	struct question question;
	int64_t start_ms;

	/* what the record will say */
	bool waits_fd; /* counted in front.unconnected */
	bool allowed;  /* by the policy: `reason`, `rule` */
	char name[LIMIT_NAME + 1];
	enum policy_learnt learnt;
	enum policy_reason reason;
	int error;
	char rule[LIMIT_RULE_TEXT];
};

static void client_in_cb(evutil_socket_t fd, short what, void *flow);
static void client_out_cb(evutil_socket_t fd, short what, void *flow);
static void target_in_cb(evutil_socket_t fd, short what, void *flow);
static void target_out_cb(evutil_socket_t fd, short what, void *flow);
static void timer_cb(evutil_socket_t fd, short what, void *flow);
static void on_answer(struct question *q, const struct answer *a, int *take_fd);

/* -- records -- */

static enum audit_layer flow_layer(const struct flow *fl)
{
	switch (fl->filter.seen) {
	case FILTER_SEEN_TLS:
		return AUDIT_TLS;
	case FILTER_SEEN_HTTP:
		return AUDIT_HTTP;
	case FILTER_SEEN_NOTHING:
		break;
	}
	return AUDIT_TCP;
}

static void record_fill(const struct flow *fl, struct audit_event *e,
			const char *name, enum policy_learnt learnt)
{
	e->layer = flow_layer(fl);
	e->protocol = "tcp";
	if (name[0])
		e->name = name;
	if (learnt != POLICY_NAME_NONE)
		e->learnt = policy_learnt_name(learnt);
	e->has_address = true;
	e->address = fl->to.addr;
	e->port = fl->to.port;
}

/* The one record of an allowed flow, at its end. */
static void record_end(struct flow *fl, enum audit_verdict verdict)
{
	struct audit_event e = { .verdict = verdict, .error = fl->error };

	record_fill(fl, &e, fl->name, fl->learnt);
	if (fl->rule[0])
		e.rule = fl->rule;
	e.reason = fl->allowed ? policy_reason_name(fl->reason) : NULL;
	e.has_bytes = true;
	e.bytes_in = fl->down.bytes;
	e.bytes_out = fl->up.bytes;
	e.has_duration = true;
	e.duration_ms = (uint64_t)(clock_ms() - fl->start_ms);
	front_event(fl->posture, &e);
}

/* -- the end -- */

static void event_stop(struct event *ev)
{
	if (event_initialized(ev))
		(void)event_del(ev);
}

static void stop_events(struct flow *fl)
{
	event_stop(&fl->client_in);
	event_stop(&fl->client_out);
	event_stop(&fl->target_in);
	event_stop(&fl->target_out);
	event_stop(&fl->timer);
	fl->on = 0;
}

/* close() shall send a reset, not a FIN. */
static void make_reset(int fd)
{
	const struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard));
}

static void flow_close(struct flow *fl, enum flow_end end)
{
	struct front *f = fl->posture->front;

	front_cancel(f, &fl->question);
	stop_events(fl);
	if (end != FLOW_DONE) {
		/* one that lingered has said what it had to */
		if (fl->state != FLOW_LINGER)
			make_reset(fl->client);
		make_reset(fl->target);
	}
	if (fl->waits_fd)
		f->unconnected--;
	if (fl->allowed || end == FLOW_FAILED)
		record_end(fl, end == FLOW_FAILED ? AUDIT_FAIL : AUDIT_ALLOW);
	fd_close(&fl->client);
	fd_close(&fl->target);
	relay_done(&fl->up);
	relay_done(&fl->down);
	LIST_REMOVE(fl, link);
	f->stats.flows--;
	free(fl);
}

void flow_drop_all(struct posture *p)
{
	struct flow *fl;

	while ((fl = LIST_FIRST(&p->flows)))
		flow_close(fl, FLOW_DROPPED);
}

static bool flow_fail(struct flow *fl, int error)
{
	fl->error = error;
	if (!fl->allowed) {
		fl->learnt = fl->filter.learnt;
		memcpy(fl->name, fl->filter.name, sizeof(fl->name));
	}
	flow_close(fl, FLOW_FAILED);
	return false;
}

/*
 * One side is gone. What the target had said before is still to be read, and
 * is the answer to what the client was doing (an early "413").
 */
static bool flow_reset(struct flow *fl)
{
	uint8_t *chunk = fl->posture->front->chunk;
	size_t done;

	if (relay_flush(&fl->down, fl->client) == 0 && fl->down.len == 0) {
		long n = relay_read(fl->target, chunk, LIMIT_RELAY_CHUNK);

		if (n > 0)
			(void)relay_write(&fl->down, fl->client, chunk,
					  (size_t)n, &done);
	}
	flow_close(fl, FLOW_RESET);
	return false;
}

static void flow_timer(struct flow *fl, int ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000L };

	(void)event_add(&fl->timer, &tv);
}

/* -- refusals -- */

/* Text of ours and of the policy: names and rules are printable. */
static bool respond(struct flow *fl, enum policy_reason reason, const char *why,
		    const char *hint)
{
	char address[ENDPOINT_STRLEN];
	struct sbuf body, all;
	bool ok = false;

	sbuf_init(&body, RESPONSE_MAX);
	sbuf_init(&all, 2 * RESPONSE_MAX);
	sbuf_fmt(&body, "exeat: %s%s%s refused: %s%s%s\n", fl->filter.name,
		 fl->filter.name[0] ? " at " : "",
		 endpoint_str(&fl->to, address), policy_reason_name(reason),
		 why ? ": " : "", why ? why : "");
	if (hint[0])
		sbuf_fmt(&body, "allowed by: --allow %s\n", hint);
	sbuf_fmt(&all,
		 "HTTP/1.1 %s\r\n"
		 "Content-Type: text/plain; charset=utf-8\r\n"
		 "Content-Length: %zu\r\n"
		 "Cache-Control: no-store\r\n"
		 "Connection: close\r\n\r\n",
		 reason == POLICY_R_MALFORMED ? "400 Bad Request" :
						"403 Forbidden",
		 body.len);
	if (!body.bad)
		sbuf_add(&all, body.s, body.len);
	if (!body.bad && !all.bad)
		ok = send(fl->client, all.s, all.len,
			  MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)all.len;
	sbuf_done(&body);
	sbuf_done(&all);
	return ok;
}

static void linger(struct flow *fl)
{
	stop_events(fl);
	fl->state = FLOW_LINGER;
	make_reset(fl->target);
	fd_close(&fl->target);
	relay_done(&fl->up);
	(void)shutdown(fl->client, SHUT_WR); /* gone: the next read tells */
	(void)event_add(&fl->client_in, NULL);
	flow_timer(fl, LINGER_MS);
}

/* End by the policy's verdict on the filter's present name. Always false. */
static bool flow_refuse(struct flow *fl, enum policy_reason reason,
			const char *rule, const char *hint, const char *why)
{
	struct audit_event e = { .verdict = AUDIT_DENY };

	record_fill(fl, &e, fl->filter.name, fl->filter.learnt);
	e.reason = policy_reason_name(reason);
	e.rule = rule[0] ? rule : NULL;
	e.hint = hint[0] ? hint : NULL;
	front_event(fl->posture, &e);
	if (filter_may_respond(&fl->filter) && fl->down.len == 0 &&
	    respond(fl, reason, why, hint))
		linger(fl);
	else
		flow_close(fl, FLOW_REFUSED);
	return false;
}

/* The same where the bytes, not a name, are the reason. */
static bool flow_refuse_bytes(struct flow *fl, enum policy_reason reason,
			      const char *why)
{
	const struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.name = fl->filter.name[0] ? fl->filter.name : NULL,
		.learnt = fl->filter.learnt,
		.addr = fl->to.addr,
		.proto = RULE_TCP,
		.port = fl->to.port,
	};
	char hint[LIMIT_RULE_TEXT] = "";

	policy_hint(&q, reason, hint);
	return flow_refuse(fl, reason, "", hint, why);
}

/* -- asking -- */

/* Dial if there is no target yet, else only check. */
static bool flow_ask(struct flow *fl)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_TCP,
		.to = fl->to,
		.learnt = fl->filter.learnt,
	};
	bool dial = fl->target < 0;
	int r;

	memcpy(a.name, fl->filter.name, sizeof(a.name));
	r = front_ask(fl->posture->front, dial ? ASK_DIAL : ASK_CHECK, &a,
		      &fl->question);
	if (r < 0)
		return flow_fail(fl, -r);
	if (dial) {
		fl->state = FLOW_ASK;
		event_stop(&fl->client_in);
		fl->on &= ~(unsigned)ON_CLIENT_IN;
	}
	flow_timer(fl, ASK_MS);
	return true;
}

/* Nothing came from the client, or nothing that it says matters. */
static bool flow_ask_nameless(struct flow *fl)
{
	fl->filter.name[0] = '\0';
	fl->filter.learnt = fl->filter.carry == POLICY_CARRY_PINNED ?
				    POLICY_NAME_PIN :
				    POLICY_NAME_NONE;
	return flow_ask(fl);
}

/* Ask the filter about the bytes that wait. */
static bool flow_judge(struct flow *fl)
{
	size_t len, pass;
	const uint8_t *held = relay_held(&fl->up, &len);

	if (len == 0 || fl->question.id)
		return true;
	switch (filter_client(&fl->filter, held, len, &pass)) {
	case FILTER_ASK:
		fl->up.ok += pass;
		return flow_ask(fl);
	case FILTER_REFUSE:
		return flow_refuse_bytes(fl, fl->filter.reason, fl->filter.why);
	case FILTER_PASS:
	case FILTER_HOLD:
		break;
	}
	fl->up.ok += pass;
	return true;
}

/* -- relaying -- */

static size_t held_len(const struct flow *fl)
{
	return fl->up.len - fl->up.ok;
}

/*
 * One chunk from the client on: filtered, then written, the rest kept. *ret_n
 * is what was read; 0: nothing there.
 */
static bool pass_up(struct flow *fl, size_t *ret_n)
{
	uint8_t *chunk = fl->posture->front->chunk;
	size_t held = held_len(fl);
	size_t room = held > 0 ? LIMIT_PEEK_BYTES - held : LIMIT_RELAY_CHUNK;
	long n = relay_read(fl->client, chunk, room);
	size_t done = 0;

	*ret_n = 0;
	if (n == -EAGAIN)
		return true;
	if (n < 0)
		return flow_reset(fl);
	fl->up.eof = n == 0;
	*ret_n = (size_t)n;
	if (held == 0 && fl->filter.mode == FILTER_OPAQUE) {
		if (relay_write(&fl->up, fl->target, chunk, *ret_n, &done) < 0)
			return flow_reset(fl);
		if (relay_keep(&fl->up, chunk + done, *ret_n - done,
			       *ret_n - done) < 0)
			return flow_fail(fl, ENOMEM);
		return true;
	}
	if (relay_keep(&fl->up, chunk, *ret_n, 0) < 0)
		return flow_fail(fl, ENOMEM);
	return flow_judge(fl);
}

static bool may_read_client(const struct flow *fl)
{
	return !fl->up.eof && fl->up.ok == 0 && !fl->question.id &&
	       held_len(fl) < LIMIT_PEEK_BYTES;
}

static bool pump_up(struct flow *fl)
{
	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		size_t n;

		if (relay_flush(&fl->up, fl->target) < 0)
			return flow_reset(fl);
		if (!may_read_client(fl))
			break;
		if (!pass_up(fl, &n))
			return false;
		if (n == 0)
			break;
	}
	if (relay_flush(&fl->up, fl->target) < 0)
		return flow_reset(fl);
	if (fl->up.eof && fl->up.ok == 0 && held_len(fl) > 0 &&
	    !fl->question.id && !filter_waits_for_server(&fl->filter))
		return flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					 "ended in the middle");
	relay_finish(&fl->up, fl->target);
	return true;
}

static bool pump_down(struct flow *fl)
{
	uint8_t *chunk = fl->posture->front->chunk;
	bool again = false;

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		size_t done;
		long n;

		if (relay_flush(&fl->down, fl->client) < 0)
			return flow_reset(fl);
		if (fl->down.len > 0 || fl->down.eof)
			break;
		n = relay_read(fl->target, chunk, LIMIT_RELAY_CHUNK);
		if (n == -EAGAIN)
			break;
		if (n < 0)
			return flow_reset(fl);
		fl->down.eof = n == 0;
		if (filter_server(&fl->filter, chunk, (size_t)n))
			again = true;
		if (relay_write(&fl->down, fl->client, chunk, (size_t)n,
				&done) < 0)
			return flow_reset(fl);
		if (relay_keep(&fl->down, chunk + done, (size_t)n - done,
			       (size_t)n - done) < 0)
			return flow_fail(fl, ENOMEM);
		if (n < LIMIT_RELAY_CHUNK / 2)
			break;
	}
	relay_finish(&fl->down, fl->client);
	return !again || (flow_judge(fl) && pump_up(fl));
}

static void want(struct flow *fl, struct event *ev, unsigned bit, bool on)
{
	if (on == ((fl->on & bit) != 0))
		return;
	if (on && event_add(ev, NULL) == 0)
		fl->on |= bit;
	else if (!on && event_del(ev) == 0)
		fl->on &= ~bit;
}

/* Wait for what can move a relayed flow, or end it. */
static void flow_settle(struct flow *fl)
{
	bool waits = fl->question.id || held_len(fl) > 0;

	if (fl->up.shut && fl->down.shut)
		return flow_close(fl, FLOW_DONE);
	want(fl, &fl->client_in, ON_CLIENT_IN, may_read_client(fl));
	want(fl, &fl->target_out, ON_TARGET_OUT, fl->up.ok > 0);
	want(fl, &fl->target_in, ON_TARGET_IN,
	     !fl->down.eof && fl->down.len == 0);
	want(fl, &fl->client_out, ON_CLIENT_OUT, fl->down.len > 0);
	if (!waits)
		(void)event_del(&fl->timer);
	else if (!event_pending(&fl->timer, EV_TIMEOUT, NULL))
		flow_timer(fl, LIMIT_DIAL_MS);
}

/* -- answers -- */

static void start_relay(struct flow *fl, int take_fd)
{
	struct event_base *base = fl->posture->front->base;
	const int one = 1;

	fl->target = take_fd;
	fl->state = FLOW_RELAY;
	fl->waits_fd = false;
	fl->posture->front->unconnected--;
	(void)fd_nonblock(fl->target, true); /* MSG_DONTWAIT as well */
	(void)setsockopt(fl->target, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one));
	(void)event_assign(&fl->target_in, base, fl->target,
			   EV_READ | EV_PERSIST, target_in_cb, fl);
	(void)event_assign(&fl->target_out, base, fl->target,
			   EV_WRITE | EV_PERSIST, target_out_cb, fl);
}

/* The first allowance is the flow's; a later one gets a record of its own. */
static void take_allowance(struct flow *fl, const struct answer *a)
{
	const char *name = a->name[0] ? a->name : fl->filter.name;
	struct audit_event e = { .verdict = AUDIT_ALLOW };

	if (!fl->allowed) {
		fl->allowed = true;
		fl->learnt = fl->filter.learnt;
		fl->reason = a->reason;
		memcpy(fl->name, name, strlen(name) + 1);
		memcpy(fl->rule, a->rule, sizeof(fl->rule));
		return;
	}
	record_fill(fl, &e, name, fl->filter.learnt);
	e.reason = policy_reason_name(a->reason);
	e.rule = a->rule[0] ? a->rule : NULL;
	front_event(fl->posture, &e);
}

static void on_answer(struct question *q, const struct answer *a, int *take_fd)
{
	struct flow *fl =
		(struct flow *)((char *)q - offsetof(struct flow, question));
	bool dialled = fl->state == FLOW_ASK;

	(void)event_del(&fl->timer);
	if (!a->allow) {
		(void)flow_refuse(fl, a->reason, a->rule, a->hint, NULL);
		return;
	}
	take_allowance(fl, a);
	if (a->error || (dialled && *take_fd < 0)) {
		(void)flow_fail(fl, a->error ? a->error : EPROTO);
		return;
	}
	if (dialled)
		start_relay(fl, fd_steal(take_fd));
	if (fl->filter.asking)
		filter_allowed(&fl->filter);
	else
		filter_admit(&fl->filter);
	if (flow_judge(fl) && pump_up(fl) && pump_down(fl))
		flow_settle(fl);
}

/* -- first bytes -- */

static bool may_be_silent(const struct flow *fl)
{
	return fl->filter.carry == POLICY_CARRY_PINNED ||
	       fl->filter.carry == POLICY_CARRY_ANY;
}

static void peek(struct flow *fl)
{
	uint8_t *chunk = fl->posture->front->chunk;
	bool first = fl->up.len == 0;
	long n = relay_read(fl->client, chunk, LIMIT_PEEK_BYTES - fl->up.len);

	if (n == -EAGAIN)
		return;
	if (n < 0 || (n == 0 && first && !may_be_silent(fl)))
		return flow_close(fl, FLOW_LEFT);
	if (n == 0) {
		fl->up.eof = true;
		if (first)
			(void)flow_ask_nameless(fl);
		else
			(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
						"ended in the middle");
		return;
	}
	if (relay_keep(&fl->up, chunk, (size_t)n, 0) < 0) {
		(void)flow_fail(fl, ENOMEM);
		return;
	}
	if (first)
		flow_timer(fl, LIMIT_PEEK_MS);
	(void)flow_judge(fl);
}

static void peek_timeout(struct flow *fl)
{
	if (fl->up.len > 0)
		(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					"the first bytes took too long");
	else if (may_be_silent(fl))
		(void)flow_ask_nameless(fl);
	else
		(void)flow_refuse_bytes(fl, POLICY_R_NO_NAME, "silence");
}

/* -- callbacks -- */

static void drain(struct flow *fl)
{
	long n = relay_read(fl->client, fl->posture->front->chunk,
			    LIMIT_RELAY_CHUNK);

	if (n <= 0 && n != -EAGAIN)
		flow_close(fl, FLOW_REFUSED);
}

static void client_in_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	(void)what;
	switch (fl->state) {
	case FLOW_PEEK:
		return peek(fl);
	case FLOW_LINGER:
		return drain(fl);
	case FLOW_RELAY:
		if (pump_up(fl))
			flow_settle(fl);
		return;
	case FLOW_ASK:
		break;
	}
}

static void target_out_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	(void)what;
	if (pump_up(fl))
		flow_settle(fl);
}

static void target_in_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	(void)what;
	if (pump_down(fl))
		flow_settle(fl);
}

static void client_out_cb(evutil_socket_t fd, short what, void *flow)
{
	target_in_cb(fd, what, flow);
}

static void timer_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	(void)what;
	switch (fl->state) {
	case FLOW_PEEK:
		return peek_timeout(fl);
	case FLOW_LINGER:
		return flow_close(fl, FLOW_REFUSED);
	case FLOW_ASK:
		break;
	case FLOW_RELAY:
		if (fl->question.id)
			break;
		(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					"a request took too long");
		return;
	}
	(void)flow_fail(fl, ETIMEDOUT);
}

/* -- the beginning -- */

/* What the port may carry decides how the flow starts. */
static void flow_begin(struct flow *fl)
{
	const struct posture *p = fl->posture;
	enum policy_carry carry =
		policy_carry(p->policy, &fl->to.addr, RULE_TCP, fl->to.port);

	if (p->front->is_own(&fl->to.addr)) {
		(void)flow_refuse_bytes(fl, POLICY_R_OWN, NULL);
		return;
	}
	/* the dialer says no to NOTHING, with the rule that would help */
	if (carry == POLICY_CARRY_NOTHING ||
	    (carry == POLICY_CARRY_ANY && !p->peek_any)) {
		filter_init_opaque(&fl->filter);
		(void)flow_ask_nameless(fl);
		return;
	}
	filter_init(&fl->filter, carry);
	if (event_add(&fl->client_in, NULL) < 0) {
		(void)flow_fail(fl, ENOMEM);
		return;
	}
	fl->on = ON_CLIENT_IN;
	flow_timer(fl,
		   may_be_silent(fl) ? LIMIT_SERVER_FIRST_MS : LIMIT_PEEK_MS);
}

static void flow_new(struct posture *p, int take_fd)
{
	struct flow *fl = calloc(1, sizeof(*fl));
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	const int one = 1;

	if (!fl || getsockname(take_fd, (struct sockaddr *)&sa, &len) < 0 ||
	    !endpoint_from_sockaddr((struct sockaddr *)&sa, len, &fl->to)) {
		make_reset(take_fd);
		fd_close(&take_fd);
		free(fl);
		return;
	}
	fl->posture = p;
	fl->client = take_fd;
	fl->target = -1;
	fl->start_ms = clock_ms();
	fl->question.on_answer = on_answer;
	(void)setsockopt(take_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)event_assign(&fl->client_in, p->front->base, take_fd,
			   EV_READ | EV_PERSIST, client_in_cb, fl);
	(void)event_assign(&fl->client_out, p->front->base, take_fd,
			   EV_WRITE | EV_PERSIST, client_out_cb, fl);
	(void)event_assign(&fl->timer, p->front->base, -1, 0, timer_cb, fl);
	LIST_INSERT_HEAD(&p->flows, fl, link);
	p->front->stats.flows++;
	p->front->stats.flows_total++;
	p->front->unconnected++;
	fl->waits_fd = true;
	flow_begin(fl);
}

void flow_accept_cb(evutil_socket_t listener, short what, void *posture)
{
	struct posture *p = posture;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE && !p->front->paused; i++) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return;
		front_check_pause(p->front, fd, fd < 0 ? errno : 0);
		if (fd >= 0)
			flow_new(p, fd);
	}
}
