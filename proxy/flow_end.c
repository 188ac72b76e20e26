/* flow_end.c - how a TCP flow ends, and what is recorded of it
 * SPDX-License-Identifier: Apache-2.0
 *
 * #syscalls setsockopt sendto shutdown close
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/flow_private.h"
#include "proxy/upproxy_talk.h"

enum { LINGER_MS = 2000, RESPONSE_MAX = 2048 };

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
	return fl->tunnel ? AUDIT_PROXY : AUDIT_TCP;
}

static void record_fill(const struct flow *fl, struct audit_event *e,
			const char *name, enum policy_learnt learnt)
{
	static const struct addr nowhere;

	e->layer = flow_layer(fl);
	e->protocol = "tcp";
	if (name[0])
		e->name = name;
	if (learnt != POLICY_NAME_NONE)
		e->learnt = policy_learnt_name(learnt);
	/* a proxy's client may have named no address */
	e->has_address = !addr_equal(&fl->to.addr, &nowhere);
	e->address = fl->to.addr;
	e->port = fl->to.port;
}

/* The one record of an allowed flow, at its end. */
static void record_end(struct flow *fl, enum audit_verdict verdict)
{
	struct audit_event e = { .verdict = verdict, .error = fl->error };
	char failure[UPPROXY_FAILURE_TEXT];

	record_fill(fl, &e, fl->name, fl->learnt);
	if (fl->rule[0])
		e.rule = fl->rule;
	e.reason = fl->allowed ? policy_reason_name(fl->reason) : NULL;
	if (fl->failure)
		e.reason = upproxy_failure_text(fl->failure, failure);
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

void flow_make_reset(int fd)
{
	const struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard));
}

void flow_close(struct flow *fl, enum flow_end end)
{
	struct front *f = fl->posture->front;

	front_cancel(f, &fl->question);
	front_cancel(f, &fl->recheck);
	stop_events(fl);
	if (end != FLOW_DONE) {
		/* one that lingered has said what it had to */
		if (fl->state != FLOW_LINGER)
			flow_make_reset(fl->client);
		flow_make_reset(fl->target);
	}
	if (fl->waits_fd)
		f->unconnected--;
	if (fl->allowed || end == FLOW_FAILED)
		record_end(fl, end == FLOW_FAILED ? AUDIT_FAIL : AUDIT_ALLOW);
	fd_close(&fl->client);
	fd_close(&fl->target);
	relay_done(&fl->up);
	relay_done(&fl->down);
	filter_done(&fl->filter);
	flow_forget_names(fl);
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

/*
 * One side is gone. What the target had said before is still to be read, and
 * is the answer to what the client was doing (an early "413").
 */
bool flow_reset(struct flow *fl)
{
	uint8_t *chunk = fl->posture->front->chunk;
	size_t done;

	if (relay_flush(&fl->down, fl->client) == 0 && fl->down.len == 0) {
		long n = relay_read(fl->target, chunk, LIMIT_RELAY_CHUNK);

		if (n > 0)
			(void)relay_write(&fl->down, fl->client, chunk,
					  (size_t)n, 0, &done);
	}
	flow_close(fl, FLOW_RESET);
	return false;
}

/* In the middle of what was allowed: nothing can be said but a reset. */
static bool flow_cut(struct flow *fl, const struct counter *spent)
{
	struct audit_event e = {
		.verdict = AUDIT_DENY,
		.reason = policy_reason_name(POLICY_R_BUDGET),
		.rule = spent->text,
	};

	record_fill(fl, &e, fl->name, fl->learnt);
	front_event(fl->posture, &e);
	flow_close(fl, FLOW_REFUSED);
	return false;
}

bool flow_broken(struct flow *fl, int error)
{
	const struct counter *spent = meter_spent(&fl->meter);

	return error == -EDQUOT && spent ? flow_cut(fl, spent) : flow_reset(fl);
}

/* -- refusals -- */

/* Text of ours and of the policy: names and rules are printable. */
/* The same in HTTP/2, whose client has asked for nothing before. */
static bool respond_h2(struct flow *fl, const struct sbuf *body)
{
	struct sbuf all;
	bool ok = false;

	sbuf_init(&all, 2 * RESPONSE_MAX);
	h2_say_refusal(&all, h2_last_stream(fl->filter.h2), body->s, body->len);
	if (!body->bad && !all.bad)
		ok = send(fl->client, all.s, all.len,
			  MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)all.len;
	sbuf_done(&all);
	return ok;
}

static bool respond(struct flow *fl, enum policy_reason reason, const char *why,
		    const char *hint)
{
	char address[ENDPOINT_STRLEN];
	struct sbuf body;
	bool ok;

	sbuf_init(&body, RESPONSE_MAX);
	sbuf_fmt(&body, "exeat: %s%s%s refused: %s%s%s\n", fl->filter.name,
		 fl->filter.name[0] ? " at " : "",
		 endpoint_str(&fl->to, address), policy_reason_name(reason),
		 why ? ": " : "", why ? why : "");
	if (hint[0])
		sbuf_fmt(&body, "allowed by: --allow %s\n", hint);
	if (fl->filter.h2)
		ok = respond_h2(fl, &body);
	else
		ok = respond_http(fl->client,
				  reason == POLICY_R_MALFORMED ?
					  "400 Bad Request" :
					  "403 Forbidden",
				  &body);
	sbuf_done(&body);
	return ok;
}

static void linger(struct flow *fl)
{
	front_cancel(fl->posture->front, &fl->question);
	stop_events(fl);
	fl->state = FLOW_LINGER;
	flow_make_reset(fl->target);
	fd_close(&fl->target);
	relay_done(&fl->up);
	(void)shutdown(fl->client, SHUT_WR); /* gone: the next read tells */
	(void)event_add(&fl->client_in, NULL);
	flow_timer(fl, LINGER_MS);
}

/* A client of a proxy hears why, once. */
static bool tell_owed(struct flow *fl, const struct proxyd_refusal *refusal)
{
	struct proxyd_target t = { .protocol = fl->tunnel, .to = fl->to };

	if (!fl->owed)
		return false;
	fl->owed = false;
	memcpy(t.name, fl->filter.name, sizeof(t.name));
	return refusal ? proxyd_say_refused(fl->client, &t, refusal) :
			 proxyd_say_failed(fl->client, &t, fl->error);
}

bool flow_fail(struct flow *fl, int error)
{
	fl->error = error;
	if (!fl->allowed) {
		fl->learnt = fl->filter.learnt;
		memcpy(fl->name, fl->filter.name, sizeof(fl->name));
	}
	if (tell_owed(fl, NULL))
		linger(fl);
	else
		flow_close(fl, FLOW_FAILED);
	return false;
}

/* End by the policy's verdict on the filter's present name. Always false. */
bool flow_refuse(struct flow *fl, enum policy_reason reason, const char *rule,
		 const char *hint, const char *why)
{
	const struct proxyd_refusal refusal = { reason, hint, why };
	struct audit_event e = { .verdict = AUDIT_DENY };

	record_fill(fl, &e, fl->filter.name, fl->filter.learnt);
	e.reason = policy_reason_name(reason);
	e.rule = rule[0] ? rule : NULL;
	e.hint = hint[0] ? hint : NULL;
	front_event(fl->posture, &e);
	if (tell_owed(fl, &refusal) ||
	    (filter_may_respond(&fl->filter) && fl->down.len == 0 &&
	     respond(fl, reason, why, hint)))
		linger(fl);
	else
		flow_close(fl, FLOW_REFUSED);
	return false;
}

/* The same where the bytes, not a name, are the reason. */
bool flow_refuse_bytes(struct flow *fl, enum policy_reason reason,
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

bool flow_refuse_spent(struct flow *fl, const struct counter *spent)
{
	char why[METER_WHY];

	return flow_refuse(fl, POLICY_R_BUDGET, spent->text, "",
			   counter_why(spent, why));
}

bool flow_refuse_changed(struct flow *fl, const char *rule, const char *hint)
{
	struct audit_event e = {
		.verdict = AUDIT_DENY,
		.reason = FRONT_REASON_CHANGED,
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	record_fill(fl, &e, fl->name, fl->learnt);
	front_event(fl->posture, &e);
	flow_close(fl, FLOW_REFUSED);
	return false;
}

void flow_record_name(struct flow *fl, const struct answer *a)
{
	struct audit_event e = {
		.verdict = AUDIT_ALLOW,
		.reason = policy_reason_name(a->reason),
		.rule = a->rule[0] ? a->rule : NULL,
	};

	record_fill(fl, &e, fl->filter.name, fl->filter.learnt);
	front_event(fl->posture, &e);
}
