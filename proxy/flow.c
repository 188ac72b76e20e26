/* flow.c - the life of one TCP connection of a payload
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	accept	flow_accept_cb() takes the connection; getsockname() is where
 *		the payload wanted to go
 *	PEEK	the first bytes are collected until the filter (filter.h) knows
 *		whose they are. Where the rule allows a server to speak first,
 *		a short silence counts as "no name"; everywhere, that of a
 *		client of HTTP/2 behind its settings. Skipped where a name
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
 * #syscalls accept4 getsockname recvfrom
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/flow_private.h"

enum {
	ACCEPT_AT_ONCE = 64,
	ASK_MS = LIMIT_DIAL_MS + 5000, /* the dialer should be first */
};

void flow_timer(struct flow *fl, int ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000L };

	(void)event_add(&fl->timer, &tv);
}

/* -- budgets -- */

void flow_meter(struct flow *fl, struct meter *m, const char *name,
		const struct addr *addr)
{
	struct posture *p = fl->posture;
	const struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.name = name[0] ? name : NULL,
		.learnt = fl->filter.learnt,
		.addr = *addr,
		.proto = RULE_TCP,
		.port = fl->to.port,
	};

	meter_add(m, &p->front->counters, p->policy, &p->counters, &q);
}

/* Is there nothing left of a budget that will hold for it? */
static bool will_be_spent(struct flow *fl)
{
	struct meter m = fl->meter;

	flow_meter(fl, &m, fl->filter.name, &fl->to.addr);
	return meter_spent(&m) != NULL;
}

/* -- asking -- */

bool flow_ask(struct flow *fl)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_TCP,
		.to = fl->to,
		.learnt = fl->filter.learnt,
	};
	bool dial = fl->target < 0;
	int r;

	/* nothing is asked then; there may be nobody to ask */
	if (policy_get_mode(fl->posture->policy) == POLICY_BLOCKED)
		return flow_refuse_bytes(fl, POLICY_R_BLOCKED, NULL);
	memcpy(a.name, fl->filter.name, sizeof(a.name));
	/* nothing leaves then, but a deny rule is the better reason */
	r = front_ask(fl->posture->front,
		      dial && !will_be_spent(fl) ? ASK_DIAL : ASK_CHECK, &a,
		      &fl->question);
	if (r < 0)
		return flow_fail(fl, -r);
	if (dial) {
		fl->state = FLOW_ASK;
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

/* -- first bytes -- */

static bool may_be_silent(const struct flow *fl)
{
	return fl->filter.carry == POLICY_CARRY_PINNED ||
	       fl->filter.carry == POLICY_CARRY_ANY;
}

static void wait_for_more(struct flow *fl)
{
	int64_t left = fl->first_ms + LIMIT_PEEK_MS - clock_ms();

	if (left < 1)
		left = 1;
	if (filter_may_be_silent(&fl->filter) && !fl->filter.silent &&
	    left > LIMIT_SERVER_FIRST_MS)
		left = LIMIT_SERVER_FIRST_MS;
	flow_timer(fl, (int)left);
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
		filter_client_ended(&fl->filter);
		if (first)
			(void)flow_ask_nameless(fl);
		else if (flow_judge(fl) && fl->state == FLOW_PEEK)
			(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
						"ended in the middle");
		return;
	}
	if (relay_keep(&fl->up, chunk, (size_t)n, 0) < 0) {
		(void)flow_fail(fl, ENOMEM);
		return;
	}
	if (first)
		fl->first_ms = clock_ms();
	if (flow_judge(fl) && fl->state == FLOW_PEEK)
		wait_for_more(fl);
}

static void peek_timeout(struct flow *fl)
{
	if (filter_may_be_silent(&fl->filter) && !fl->filter.silent) {
		filter_client_silent(&fl->filter);
		if (flow_judge(fl) && fl->state == FLOW_PEEK)
			wait_for_more(fl);
		return;
	}
	if (fl->up.len > 0)
		(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					"the first bytes took too long");
	else if (may_be_silent(fl))
		(void)flow_ask_nameless(fl);
	else
		(void)flow_refuse_bytes(fl, POLICY_R_NO_NAME, "silence");
}

/* -- answers -- */

static void start_relay(struct flow *fl, int take_fd)
{
	struct event_base *base = fl->posture->front->base;

	/* the dialer has set its options; every call says MSG_DONTWAIT */
	fl->target = take_fd;
	fl->state = FLOW_RELAY;
	fl->waits_fd = false;
	fl->posture->front->unconnected--;
	(void)event_assign(&fl->target_in, base, fl->target,
			   EV_READ | EV_CLOSED | EV_PERSIST, flow_target_in_cb,
			   fl);
	(void)event_assign(&fl->target_out, base, fl->target,
			   EV_WRITE | EV_PERSIST, flow_target_out_cb, fl);
}

/* The first allowance is the flow's; a later one gets a record of its own. */
static void take_allowance(struct flow *fl, const struct answer *a)
{
	const char *name = a->name[0] ? a->name : fl->filter.name;

	if (fl->allowed) {
		flow_note_name(fl, name);
		return flow_record_name(fl, a);
	}
	fl->allowed = true;
	fl->learnt = fl->filter.learnt;
	fl->reason = a->reason;
	memcpy(fl->name, name, strlen(name) + 1);
	memcpy(fl->rule, a->rule, sizeof(fl->rule));
}

static void on_answer(struct question *q, const struct answer *a, int *take_fd)
{
	struct flow *fl =
		(struct flow *)((char *)q - offsetof(struct flow, question));
	bool dialled = fl->state == FLOW_ASK;
	const struct counter *spent;

	(void)event_del(&fl->timer);
	if (!a->allow) {
		(void)flow_refuse(fl, a->reason, a->rule, a->hint, NULL);
		return;
	}
	flow_meter(fl, &fl->meter, a->name[0] ? a->name : fl->filter.name,
		   &fl->to.addr);
	if (*take_fd >= 0)
		flow_meter(fl, &fl->meter, "", &a->peer.addr);
	spent = meter_spent(&fl->meter);
	if (spent) {
		(void)flow_refuse_spent(fl, spent);
		return;
	}
	take_allowance(fl, a);
	if (a->error || (dialled && *take_fd < 0)) {
		fl->failure = a->failure;
		(void)flow_fail(fl, a->error ? a->error : EMFILE);
		return;
	}
	if (dialled)
		start_relay(fl, fd_steal(take_fd));
	if (fl->owed) {
		if (!flow_tunnel_open(fl, a))
			return;
	} else if (fl->filter.asking)
		filter_allowed(&fl->filter);
	else
		filter_admit(&fl->filter);
	if (fl->stale && !flow_recheck(fl))
		return;
	if (flow_judge(fl) && flow_pump_up(fl))
		flow_settle(fl);
}

/* -- callbacks -- */

static void drain(struct flow *fl)
{
	long n = relay_read(fl->client, fl->posture->front->chunk,
			    LIMIT_RELAY_CHUNK);

	if (n <= 0 && n != -EAGAIN)
		flow_close(fl, fl->error ? FLOW_FAILED : FLOW_REFUSED);
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
		if (flow_pump_up(fl))
			flow_settle(fl);
		return;
	case FLOW_ASK: /* it has to wait; most clients do so unasked */
		(void)event_del(&fl->client_in);
		fl->on &= ~(unsigned)ON_CLIENT_IN;
		return;
	}
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
		return flow_close(fl, fl->error ? FLOW_FAILED : FLOW_REFUSED);
	case FLOW_ASK:
		break;
	case FLOW_RELAY:
		if (fl->question.id)
			break;
		if (flow_owes_name(fl) && fl->up.len == 0) {
			(void)flow_refuse_bytes(fl, POLICY_R_NO_NAME,
						"silence");
			return;
		}
		(void)flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					"a request took too long");
		return;
	}
	(void)flow_fail(fl, ETIMEDOUT);
}

/* -- the beginning -- */

bool flow_begin(struct flow *fl)
{
	const struct posture *p = fl->posture;
	enum policy_carry carry =
		policy_carry(p->policy, &fl->to.addr, RULE_TCP, fl->to.port);

	if (p->front->is_own(&fl->to.addr))
		return flow_refuse_bytes(fl, POLICY_R_OWN, NULL);
	filter_done(&fl->filter);
	/* the dialer says no to NOTHING, with the rule that would help */
	if (carry == POLICY_CARRY_NOTHING ||
	    (carry == POLICY_CARRY_ANY && !p->peek_any)) {
		filter_init_opaque(&fl->filter);
		return flow_ask_nameless(fl);
	}
	filter_init(&fl->filter, carry);
	if (event_add(&fl->client_in, NULL) < 0)
		return flow_fail(fl, ENOMEM);
	fl->on = ON_CLIENT_IN;
	flow_timer(fl,
		   may_be_silent(fl) ? LIMIT_SERVER_FIRST_MS : LIMIT_PEEK_MS);
	return true;
}

static bool original(int fd, struct endpoint *ret)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	       endpoint_from_sockaddr((struct sockaddr *)&sa, len, ret);
}

struct flow *flow_make(struct posture *p, int take_client,
		       const struct endpoint *to)
{
	struct flow *fl = calloc(1, sizeof(*fl));

	if (!fl || (!to && !original(take_client, &fl->to))) {
		flow_make_reset(take_client);
		fd_close(&take_client);
		free(fl);
		return NULL;
	}
	if (to)
		fl->to = *to;
	fl->posture = p;
	fl->client = take_client;
	fl->target = -1;
	fl->start_ms = clock_ms();
	fl->question.on_answer = on_answer;
	fl->up.meter = fl->down.meter = &fl->meter;
	fl->down.way = POLICY_DOWN;
	(void)event_assign(&fl->client_in, p->front->base, take_client,
			   EV_READ | EV_PERSIST, client_in_cb, fl);
	(void)event_assign(&fl->client_out, p->front->base, take_client,
			   EV_WRITE | EV_PERSIST, flow_target_in_cb, fl);
	(void)event_assign(&fl->timer, p->front->base, -1, 0, timer_cb, fl);
	LIST_INSERT_HEAD(&p->flows, fl, link);
	p->front->stats.flows++;
	p->front->stats.flows_total++;
	p->front->unconnected++;
	fl->waits_fd = true;
	return fl;
}

void flow_accept_cb(evutil_socket_t listener, short what, void *posture)
{
	struct posture *p = posture;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE && front_may_accept(p->front); i++) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct flow *fl;

		front_accepted(p->front, fd);
		if (fd < 0 && front_accept_failed(p->front, errno))
			return;
		fl = fd >= 0 ? flow_make(p, fd, NULL) : NULL;
		if (fl)
			(void)flow_begin(fl);
	}
}
