/* front.c - the gate's front as a process
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * proxy/front.h does the work; this file gives it a process: isolation, the
 * sockets that the keeper sends for each posture, the kernel's log of
 * refusals, and the two places where every event goes: the audit, and the
 * caller (refusals and failures only).
 *
 * The kernel logs at most so many refusals a second but counts them all. When
 * a run ends the keeper sends the counters; what they have more than the log
 * is reported as one event with the number.
 *
 * After isolation the process holds no capability and its system calls are a
 * list; it can open nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/audit/audit.h"
#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/helper/helper.h"
#include "core/helper/image.h"
#include "core/helper/wire.h"
#include "core/proto.h"
#include "core/sys/isolate.h"
#include "core/sys/nft.h"
#include "core/sys/seccomp.h"
#include "policy/policy.h"
#include "proxy/front.h"

enum {
	SOCKETS = 8, /* as struct gate_sockets lists them */
	SOCKET_NFLOG = 7,
	NFLOG_BATCH = 256,	/* datagrams read before others get a turn */
	EVENTS_PER_S = 5000,	/* audited; beyond it they are counted */
	EVENTS_QUEUE = 1 << 20, /* bytes that the caller has not read: then the
				 * refusals of a run are only counted for it */
};

struct front_posture {
	struct front_process *process;
	uint32_t id; /* 0: free */
	uint32_t run;
	struct image image;
	int nflog;
	struct event *nflog_event;
	uint64_t reported[NFT_REFUSALS];
	uint64_t untold; /* refusals that the caller was not sent */
};

struct front_process {
	struct event_base *base;
	struct wire caller, keeper;
	struct front *front;
	struct audit_writer audit;
	uint64_t unwritten; /* records of it that the caller knows of */
	char session[64], label[LIMIT_SESSION_LABEL + 1];
	struct front_posture postures[LIMIT_POSTURES];
};

static int64_t wall_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct front_posture *posture_find(struct front_process *fp, uint32_t id)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (fp->postures[i].id == id)
			return &fp->postures[i];
	return NULL;
}

/* ---- events ---- */

static void event_tell(struct front_process *fp, const struct audit_event *e)
{
	struct sbuf body;

	sbuf_init(&body, AUDIT_LINE_MAX);
	audit_encode(e, &body);
	if (!body.bad)
		wire_send(&fp->caller, F_EVENT, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

static void event_out(void *user, const struct audit_event *event)
{
	struct front_process *fp = user;
	struct audit_event e = *event;
	struct front_posture *p = e.posture ? posture_find(fp, e.posture) :
					      NULL;

	e.time_us = wall_us();
	e.session = fp->session;
	e.label = fp->label;
	if (p && !e.run)
		e.run = p->run;
	/* what cannot be written is counted by the writer and said later */
	(void)audit_write(&fp->audit, &e, clock_ms());
	if (e.verdict != AUDIT_DENY && e.verdict != AUDIT_FAIL)
		return;
	e.seq = fp->audit.seq;
	/* a payload that is refused without end must not fill the queue */
	if (fp->caller.chan.queued < EVENTS_QUEUE)
		event_tell(fp, &e);
	else if (p && e.verdict == AUDIT_DENY)
		p->untold += e.dropped ? e.dropped : 1;
}

/* What the caller was spared, as one number; the audit has had it all. */
static void tell_rest(struct front_process *fp, struct front_posture *p,
		      uint32_t run)
{
	const struct audit_event e = {
		.time_us = wall_us(),
		.seq = fp->audit.seq,
		.session = fp->session,
		.label = fp->label,
		.posture = p->id,
		.run = run,
		.layer = AUDIT_POLICY,
		.verdict = AUDIT_DENY,
		.reason = policy_reason_name(POLICY_R_LIMIT),
		.dropped = p->untold,
	};

	if (p->untold)
		event_tell(fp, &e);
	p->untold = 0;
}

/*
 * What an audit that cannot be written does not say itself: a full disk, a
 * reader that does not read. Lost for being too many, they stand in it.
 */
static void tell_unwritten(struct front_process *fp, uint32_t run)
{
	char reason[LIMIT_AUDIT_TEXT];
	struct audit_event e = {
		.time_us = wall_us(),
		.session = fp->session,
		.label = fp->label,
		.run = run,
		.layer = AUDIT_LIFECYCLE,
		.verdict = AUDIT_FAIL,
		.reason = reason,
	};
	int r = audit_flush(&fp->audit, &e);

	e.seq = fp->audit.seq;
	e.dropped = fp->audit.unsaid;
	e.error = -r;
	if (r < 0 && e.dropped > fp->unwritten) {
		(void)snprintf(reason, sizeof(reason),
			       "the audit cannot be written: %s",
			       strerrordesc_np(-r));
		event_tell(fp, &e);
	}
	fp->unwritten = e.dropped;
}

/* ---- what the kernel refused ---- */

static enum policy_reason refusal_reason(enum nft_refusal why)
{
	switch (why) {
	case NFT_GUARD:
		return POLICY_R_GUARD;
	case NFT_DENY:
		return POLICY_R_DENY_RULE;
	case NFT_PRIVATE:
		return POLICY_R_PRIVATE;
	case NFT_SOURCE:
	case NFT_PROTOCOL:
		return POLICY_R_PROTOCOL;
	case NFT_LIST:
	case NFT_REFUSALS:
		break;
	}
	return POLICY_R_DEFAULT;
}

/* The dialer's verdict on the same question names the rule and the hint. */
static void kernel_explain(const struct policy *policy,
			   const struct nflog_packet *packet,
			   struct audit_event *e, char hint[LIMIT_RULE_TEXT])
{
	struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.addr = packet->dst.addr,
		.proto = packet->protocol == IPPROTO_UDP ? RULE_UDP : RULE_TCP,
		.port = packet->dst.port,
	};
	enum policy_reason reason = refusal_reason(packet->why);
	struct policy_verdict v;

	if (packet->protocol == IPPROTO_TCP ||
	    packet->protocol == IPPROTO_UDP) {
		v = policy_decide(policy, &q);
		if (!v.allow)
			reason = v.reason;
		if (!v.allow && v.rule != POLICY_NO_RULE)
			e->rule = policy_rule_text(policy, v.rule);
		policy_hint(&q, reason, hint);
	}
	e->reason = policy_reason_name(reason);
	e->hint = hint;
}

static const char *protocol_name(uint8_t protocol, char *buf, size_t size)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	default:
		(void)snprintf(buf, size, "ip-%u", protocol);
		return buf;
	}
}

static void kernel_refused(void *user, const struct nflog_packet *packet)
{
	struct front_posture *p = user;
	char hint[LIMIT_RULE_TEXT] = "", protocol[16];
	struct audit_event e = {
		.posture = p->id,
		.layer = AUDIT_KERNEL,
		.verdict = AUDIT_DENY,
		.protocol = protocol_name(packet->protocol, protocol,
					  sizeof(protocol)),
		.has_address = true,
		.address = packet->dst.addr,
		.port = packet->dst.port,
	};

	p->reported[packet->why]++;
	kernel_explain(p->image.policy, packet, &e, hint);
	event_out(p->process, &e);
}

/* False when there is nothing more to read. */
static bool nflog_read(struct front_posture *p)
{
	static uint8_t buf[64 << 10];

	for (int i = 0; i < NFLOG_BATCH; i++) {
		ssize_t n = recv(p->nflog, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS)
			continue; /* overrun: the counters know */
		if (n <= 0)
			return false;
		/* a malformed one is missing in the count, as it should */
		(void)nflog_parse(buf, (size_t)n, kernel_refused, p);
	}
	return true;
}

static void nflog_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	(void)nflog_read(user);
}

static void flush(struct front_process *fp, struct rbuf *r)
{
	uint32_t run = rbuf_u32(r);
	struct front_posture *p = posture_find(fp, rbuf_u32(r));
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	while (p && p->nflog >= 0 && nflog_read(p))
		;
	for (int why = 0; p && why < NFT_REFUSALS; why++) {
		uint64_t total = rbuf_u64(r);
		struct audit_event e = {
			.posture = p->id,
			.run = run,
			.layer = AUDIT_KERNEL,
			.verdict = AUDIT_DENY,
			.reason = policy_reason_name(
				refusal_reason((enum nft_refusal)why)),
		};

		if (total <= p->reported[why])
			continue;
		e.dropped = total - p->reported[why];
		p->reported[why] = total;
		event_out(fp, &e);
	}
	if (p) {
		front_flush(fp->front, p->id);
		tell_rest(fp, p, run);
	}
	tell_unwritten(fp, run);
	wbuf_u32(&b, run);
	wire_send(&fp->caller, F_FLUSHED, body, wbuf_len(&b), NULL, 0);
}

/* ---- postures ---- */

static void posture_drop(struct front_process *fp, struct front_posture *p)
{
	front_drop_posture(fp->front, p->id);
	if (p->nflog_event)
		event_free(p->nflog_event);
	fd_close(&p->nflog);
	image_unmap(&p->image);
	*p = (struct front_posture){ .nflog = -1 };
}

static int posture_serve(struct front_process *fp, struct front_posture *p,
			 struct front_sockets *take, struct err *err)
{
	p->nflog_event = event_new(fp->base, p->nflog, EV_READ | EV_PERSIST,
				   nflog_cb, p);
	if (!p->nflog_event || event_add(p->nflog_event, NULL) < 0)
		return err_sys(err, ENOMEM, "watch kernel log", "posture %u",
			       p->id);
	return front_add_posture(fp->front, p->id, p->image.policy, take, err);
}

/* A posture that cannot be served is not acknowledged: the session fails. */
static void posture_add(struct front_process *fp, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	uint32_t there = rbuf_u32(&r);
	struct front_posture *p = posture_find(fp, 0);
	int fds[SOCKETS];
	unsigned next = 1;
	struct front_sockets take;
	struct err err;
	int error;

	for (unsigned i = 0; i < SOCKETS; i++) {
		bool has = (there & 1U << i) && next < m->nfds;

		fds[i] = has ? fd_steal(&m->fds[next++]) : -1;
	}
	take = (struct front_sockets){ fds[0], fds[1], fds[2], fds[3],
				       fds[4], fds[5], fds[6] };
	err_clear(&err);
	if (!p || id == 0) {
		(void)err_new(&err, ERR_LIMIT, "serve posture", NULL,
			      "too many");
		_exit(helper_fail(fp->caller.chan.fd, &err));
	}
	*p = (struct front_posture){
		.process = fp,
		.id = id,
		.nflog = fds[SOCKET_NFLOG],
	};
	error = image_map(m->fds[0], &p->image);
	if (error < 0)
		(void)err_sys(&err, -error, "map policy", "posture %u", id);
	else
		error = posture_serve(fp, p, &take, &err);
	if (error < 0)
		_exit(helper_fail(fp->caller.chan.fd, &err));
	wire_send(&fp->keeper, G_POSTURE_READY, m->body, 4, NULL, 0);
}

/* Flows that the new policy refuses end with it. */
static void posture_change(struct front_process *fp, struct front_posture *p,
			   struct msg *m)
{
	struct image image;
	struct err err;
	int error = image_map(m->fds[0], &image);

	err_clear(&err);
	if (error == 0)
		error = front_set_policy(fp->front, p->id, image.policy);
	if (error < 0) {
		(void)err_sys(&err, -error, "change policy", "posture %u",
			      p->id);
		_exit(helper_fail(fp->caller.chan.fd, &err));
	}
	image_unmap(&p->image);
	p->image = image;
	wire_send(&fp->keeper, G_POSTURE_READY, m->body, 4, NULL, 0);
}

static void keeper_message(void *user, struct msg *m)
{
	struct front_process *fp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	struct front_posture *p;

	if (m->type == G_POSTURE)
		return posture_add(fp, m);
	if (m->type == G_FLUSH)
		return flush(fp, &r);
	p = posture_find(fp, rbuf_u32(&r));
	if (!p || p->id == 0)
		return;
	if (m->type == G_POSTURE_DROP)
		return posture_drop(fp, p);
	if (m->type == G_POLICY)
		return posture_change(fp, p, m);
	p->run = rbuf_u32(&r);
	front_set_run(fp->front, p->id, p->run);
}

static void caller_message(void *user, struct msg *m)
{
	const struct audit_event begins = {
		.layer = AUDIT_LIFECYCLE,
		.verdict = AUDIT_NONE,
		.reason = AUDIT_BEGINS,
	};
	struct front_process *fp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	const char *session = rbuf_str(&r);
	const char *label = rbuf_str(&r);
	struct err err;

	if (m->type == P_PING)
		return wire_send(&fp->caller, P_PONG, NULL, 0, NULL, 0);
	/* else it is F_OPEN */
	if (r.bad || rbuf_left(&r) > 0 || !session || !label) {
		/* a session without its audit is not to go on */
		err_clear(&err);
		(void)err_new(&err, ERR_INTERNAL, "open audit", NULL,
			      "malformed message");
		_exit(helper_fail(fp->caller.chan.fd, &err));
	}
	(void)snprintf(fp->session, sizeof(fp->session), "%s", session);
	(void)snprintf(fp->label, sizeof(fp->label), "%s", label);
	audit_writer_done(&fp->audit);
	audit_writer_init(&fp->audit, m->nfds > 0 ? fd_steal(&m->fds[0]) : -1,
			  EVENTS_PER_S);
	event_out(fp, &begins);
}

/* ---- the process ---- */

static void end_now(void *user, int error)
{
	struct front_process *fp = user;

	(void)error;
	(void)event_base_loopbreak(fp->base);
}

static int front_wires(struct front_process *fp)
{
	int r;

	fp->caller.on_message = caller_message;
	fp->keeper.on_message = keeper_message;
	fp->caller.on_end = fp->keeper.on_end = end_now;
	fp->caller.user = fp->keeper.user = fp;
	r = wire_init(&fp->caller, fp->base, FRONT_FD_CALLER,
		      proto_front_caller_rules, proto_front_caller_nrules);
	if (r == 0)
		r = wire_init(&fp->keeper, fp->base, FRONT_FD_KEEPER,
			      proto_front_keeper_rules,
			      proto_front_keeper_nrules);
	return r;
}

static int front_start(struct front_process *fp, struct err *err)
{
	const struct front_hooks hooks = {
		.user = fp,
		.event = event_out,
		.broken = end_now,
	};
	int r;

	fp->base = helper_loop(FRONT_FD_CALLER_PID);
	r = fp->base ? front_wires(fp) : -ENOMEM;
	if (r == 0)
		r = front_new(fp->base, FRONT_FD_DIALER, &hooks, &fp->front);
	if (r < 0)
		return err_sys(err, -r, "event loop", "front");
	tzset(); /* looks for a file at its first use, in vain here */
	r = isolate_drop(err);
	if (r == 0)
		r = seccomp_load(&seccomp_front, err);
	return r;
}

/* The flows that still live get their last audit line; then it is closed. */
static void front_end(struct front_process *fp)
{
	const struct audit_event like = {
		.time_us = wall_us(),
		.session = fp->session,
		.label = fp->label,
	};

	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (fp->postures[i].id != 0)
			posture_drop(fp, &fp->postures[i]);
	(void)audit_end(&fp->audit, &like);
}

int front_main(const struct helper_ids *ids)
{
	static struct front_process fp;
	struct err err;

	err_clear(&err);
	audit_writer_init(&fp.audit, -1, EVENTS_PER_S);
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		fp.postures[i].nflog = -1;
	if (helper_isolate_gate(ids, &err) < 0 ||
	    helper_hello(FRONT_FD_CALLER, &err) < 0 ||
	    front_start(&fp, &err) < 0)
		return helper_fail(FRONT_FD_CALLER, &err);
	(void)event_base_dispatch(fp.base);
	helper_bye(FRONT_FD_CALLER);
	front_end(&fp);
	_exit(EXIT_SUCCESS);
}
