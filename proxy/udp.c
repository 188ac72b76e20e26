/* udp.c - UDP flows of payloads
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A flow is (posture, client endpoint, original destination). Its first
 * datagram asks the dialer for a connected socket; what comes meanwhile is
 * queued, a little. Then datagrams go out through that socket, and what
 * arrives there goes back to the payload through the raw socket of the
 * posture, from the address that the payload sent to.
 *
 * A flow ends by silence, by an error of its socket (an ICMP error that came
 * back), or with its posture. A refused one stays as a tombstone for some
 * seconds, so that a program that goes on sending costs one question and one
 * record.
 *
 * Nobody says that a flow is over. So when places or descriptors run out, the
 * one that was silent for longest gives way.
 *
 * The keeper's pin lives an hour: a flow in use says so now and then
 * (ASK_USED), because UDP is judged packet by packet.
 *
 * #syscalls recvmsg sendmsg sendto recvfrom close
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/base/fd.h"
#include "proxy/front_private.h"
#include "proxy/packet.h"

enum {
	DATAGRAMS_AT_ONCE = 64,
	QUEUE_MAX = 8,		/* datagrams of a flow that is dialled */
	QUEUE_BYTES = 64 << 10, /* one of any size; the rest is lost */
	TOMBSTONE_MS = 5000,
	USED_MS = 60000,
	ASK_MS = LIMIT_DIAL_MS + 5000,
};

struct queued {
	size_t len;
	uint8_t data[];
};

struct udp_flow {
	LIST_ENTRY(udp_flow) link, in_bucket;
	TAILQ_ENTRY(udp_flow) age;
	struct posture *posture;
	struct endpoint client, to;
	int target; /* -1: asking, or refused */
	bool refused;
	bool stale;	/* an answer of an old policy may be on the way */
	bool waits_fd;	/* counted in front.unconnected */
	bool counts_fd; /* counted in front.udp_fds */
	struct event target_in;
	struct question question;
	unsigned nqueued;
	size_t queued_bytes;
	struct queued *queue[QUEUE_MAX];
	int64_t start_ms, used_ms, told_ms;
	uint64_t bytes_in, bytes_out;
	struct meter meter;
	enum policy_learnt learnt;
	enum policy_reason reason;
	bool allowed;
	int error;
	char name[LIMIT_NAME + 1];
	char rule[LIMIT_RULE_TEXT];
};

/* -- datagrams -- */

static void find_original(struct msghdr *mh, struct endpoint *ret, bool *found)
{
	struct cmsghdr *c;

	*found = false;
	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		bool v4 = c->cmsg_level == SOL_IP &&
			  c->cmsg_type == IP_ORIGDSTADDR;
		bool v6 = c->cmsg_level == SOL_IPV6 &&
			  c->cmsg_type == IPV6_ORIGDSTADDR;
		struct sockaddr_storage sa = { 0 };
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if ((!v4 && !v6) || len > sizeof(sa))
			continue;
		memcpy(&sa, CMSG_DATA(c), len);
		*found = endpoint_from_sockaddr((struct sockaddr *)&sa,
						(socklen_t)len, ret);
	}
}

int datagram_recv(int fd, uint8_t *buf, size_t size, struct datagram *ret)
{
	union {
		char buf[256];
		struct cmsghdr align;
	} control;
	struct sockaddr_storage sa;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr mh = {
		.msg_name = &sa,
		.msg_namelen = sizeof(sa),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	bool found;
	ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT);

	*ret = (struct datagram){ .data = buf };
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	find_original(&mh, &ret->to, &found);
	if (!found || (mh.msg_flags & MSG_TRUNC) ||
	    !endpoint_from_sockaddr((struct sockaddr *)&sa, mh.msg_namelen,
				    &ret->client))
		return -EBADMSG;
	ret->len = (size_t)n;
	return 1;
}

/* -- the table -- */

/* FNV-1a: every payload fills only its own session's table. */
static unsigned hash(const struct posture *p, const struct endpoint *client,
		     const struct endpoint *to)
{
	uint32_t h = 2166136261u ^ p->id;
	const struct endpoint *eps[2] = { client, to };

	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 16; k++)
			h = (h ^ eps[i]->addr.b[k]) * 16777619u;
		h = (h ^ eps[i]->port) * 16777619u;
	}
	return (h ^ h >> 16) % UDP_BUCKETS;
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

static struct udp_flow *flow_find(struct posture *p, const struct datagram *d)
{
	unsigned b = hash(p, &d->client, &d->to);
	struct udp_flow *fl;

	LIST_FOREACH(fl, &p->front->udp_table[b], in_bucket)
		if (fl->posture == p && endpoint_equal(&fl->to, &d->to) &&
		    endpoint_equal(&fl->client, &d->client))
			return fl;
	return NULL;
}

static void flow_used(struct udp_flow *fl, int64_t now_ms)
{
	struct front *f = fl->posture->front;

	fl->used_ms = now_ms;
	TAILQ_REMOVE(&f->udp_age, fl, age);
	TAILQ_INSERT_TAIL(&f->udp_age, fl, age);
}

/* -- records and the end -- */

static void record_fill(const struct udp_flow *fl, struct audit_event *e)
{
	e->layer = AUDIT_UDP;
	e->protocol = "udp";
	e->name = fl->name[0] ? fl->name : NULL;
	if (fl->learnt != POLICY_NAME_NONE)
		e->learnt = policy_learnt_name(fl->learnt);
	e->has_address = true;
	e->address = fl->to.addr;
	e->port = fl->to.port;
}

static void record_end(struct udp_flow *fl)
{
	struct audit_event e = {
		.verdict = fl->error ? AUDIT_FAIL : AUDIT_ALLOW,
		.error = fl->error,
		.reason = fl->allowed ? policy_reason_name(fl->reason) : NULL,
		.rule = fl->rule[0] ? fl->rule : NULL,
		.has_bytes = true,
		.bytes_in = fl->bytes_in,
		.bytes_out = fl->bytes_out,
		.has_duration = true,
		.duration_ms = (uint64_t)(clock_ms() - fl->start_ms),
	};

	record_fill(fl, &e);
	front_event(fl->posture, &e);
}

/* A flow that asks will get a descriptor. */
static void flow_asks(struct udp_flow *fl, bool asks)
{
	struct front *f = fl->posture->front;

	if (fl->waits_fd != asks)
		f->unconnected += asks ? 1 : -1U;
	fl->waits_fd = asks;
}

static void flow_counts(struct udp_flow *fl, bool counts)
{
	if (fl->counts_fd != counts)
		fl->posture->front->udp_fds += counts ? 1 : -1U;
	fl->counts_fd = counts;
}

static void queue_free(struct udp_flow *fl)
{
	for (unsigned i = 0; i < fl->nqueued; i++)
		free(fl->queue[i]);
	fl->nqueued = 0;
}

/* As visible as the kernel's own; lost if it cannot be sent. */
static void tell_error(const struct udp_flow *fl, enum packet_error why)
{
	(void)packet_send_error(fl->posture->sockets.raw4,
				fl->posture->sockets.raw6, why, &fl->client,
				&fl->to);
}

/*
 * The only end; `error` 0: silence, or the posture ended. What the target's
 * network said of it the program is told as well.
 */
static void flow_close(struct udp_flow *fl, int error)
{
	struct front *f = fl->posture->front;

	if (error)
		tell_error(fl, error == ECONNREFUSED ? PACKET_NO_PORT :
						       PACKET_NO_HOST);

	front_cancel(f, &fl->question);
	flow_asks(fl, false);
	flow_counts(fl, false);
	if (event_initialized(&fl->target_in))
		(void)event_del(&fl->target_in);
	fl->error = error;
	if (!fl->refused && (fl->allowed || error))
		record_end(fl);
	fd_close(&fl->target);
	queue_free(fl);
	LIST_REMOVE(fl, link);
	LIST_REMOVE(fl, in_bucket);
	TAILQ_REMOVE(&f->udp_age, fl, age);
	f->stats.udp_flows--;
	free(fl);
}

void udp_drop_all(struct posture *p)
{
	struct udp_flow *fl;

	while ((fl = LIST_FIRST(&p->udp_flows)))
		flow_close(fl, 0);
}

/* The record now; the flow stays to swallow what still comes. */
static void flow_refuse(struct udp_flow *fl, enum policy_reason reason,
			const char *rule, const char *hint)
{
	struct audit_event e = {
		.verdict = AUDIT_DENY,
		.reason = policy_reason_name(reason),
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	record_fill(fl, &e);
	front_event(fl->posture, &e);
	fl->refused = true;
	flow_counts(fl, false);
	queue_free(fl);
	tell_error(fl, PACKET_PROHIBITED);
}

/* -- budgets -- */

static void flow_meter(struct udp_flow *fl, struct meter *m,
		       const struct addr *addr)
{
	struct posture *p = fl->posture;
	const struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.name = fl->name[0] ? fl->name : NULL,
		.learnt = fl->learnt,
		.addr = *addr,
		.proto = RULE_UDP,
		.port = fl->to.port,
	};

	meter_add(m, &p->front->counters, p->policy, &p->counters, &q);
}

static bool will_be_spent(struct udp_flow *fl)
{
	struct meter m = fl->meter;

	flow_meter(fl, &m, &fl->to.addr);
	return meter_spent(&m) != NULL;
}

/* The record that no more may go on, then what did. */
static void flow_spent(struct udp_flow *fl, const struct counter *spent)
{
	if (event_initialized(&fl->target_in))
		(void)event_del(&fl->target_in);
	fd_close(&fl->target);
	flow_refuse(fl, POLICY_R_BUDGET, spent->text, "");
	if (fl->allowed)
		record_end(fl);
}

/* -- another policy -- */

/* It lived, and a new policy refuses it: its socket is closed. */
static void flow_end_changed(struct udp_flow *fl, const char *rule,
			     const char *hint)
{
	struct audit_event e = {
		.verdict = AUDIT_DENY,
		.reason = FRONT_REASON_CHANGED,
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	record_fill(fl, &e);
	front_event(fl->posture, &e);
	tell_error(fl, PACKET_PROHIBITED);
	flow_close(fl, 0);
}

/* How the dialer finds the name of a destination, if it needs one. */
static enum policy_learnt learnt_by(const struct posture *p,
				    const struct endpoint *to)
{
	enum policy_carry carry =
		policy_carry(p->policy, &to->addr, RULE_UDP, to->port);

	return carry == POLICY_CARRY_PINNED ? POLICY_NAME_PIN :
					      POLICY_NAME_NONE;
}

/* -- relaying -- */

/* False: the flow passes nothing any more. */
static bool send_out(struct udp_flow *fl, const uint8_t *data, size_t len)
{
	const struct counter *spent = meter_short(&fl->meter, POLICY_UP, len);

	if (spent) { /* a datagram goes on whole, or not at all */
		flow_spent(fl, spent);
		return false;
	}
	if (send(fl->target, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		fl->bytes_out += len;
		meter_count(&fl->meter, POLICY_UP, len);
		return true;
	}
	/* full, or too long for the path: lost, as datagrams are */
	if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE ||
	    errno == EINTR)
		return true;
	flow_close(fl, errno);
	return false;
}

static void target_readable_cb(evutil_socket_t fd, short what, void *flow)
{
	struct udp_flow *fl = flow;
	struct posture *p = fl->posture;
	uint8_t *chunk = p->front->chunk;
	bool any = false;

	(void)what;
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		const struct counter *spent;
		ssize_t n = recv(fd, chunk, LIMIT_RELAY_CHUNK, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0)
			return flow_close(fl, errno);
		any = true;
		spent = meter_short(&fl->meter, POLICY_DOWN, (size_t)n);
		if (spent)
			return flow_spent(fl, spent);
		meter_count(&fl->meter, POLICY_DOWN, (size_t)n);
		if (packet_send_udp(p->sockets.raw4, p->sockets.raw6, &fl->to,
				    &fl->client, chunk, (size_t)n) == 0)
			fl->bytes_in += (uint64_t)n;
	}
	if (any)
		flow_used(fl, clock_ms());
}

static void flow_changed(struct udp_flow *fl)
{
	const struct posture *p = fl->posture;
	struct ask a = {
		.posture = p->id,
		.proto = RULE_UDP,
		.to = fl->to,
	};

	/* one that is refused begins anew with its next datagram */
	if (fl->refused)
		return flow_close(fl, 0);
	fl->learnt = learnt_by(p, &fl->to);
	if (fl->target < 0) {
		fl->stale = true;
		return;
	}
	fl->stale = false;
	front_cancel(p->front, &fl->question);
	a.learnt = fl->learnt;
	if (policy_get_mode(p->policy) == POLICY_BLOCKED ||
	    front_ask(p->front, ASK_CHECK, &a, &fl->question) < 0)
		flow_end_changed(fl, "", "");
}

void udp_policy_changed(struct posture *p)
{
	struct udp_flow *fl = LIST_FIRST(&p->udp_flows);

	while (fl) {
		struct udp_flow *next = LIST_NEXT(fl, link);

		flow_changed(fl);
		fl = next;
	}
}

/* What an answer of the present policy says of a flow that lives. */
static void on_recheck(struct udp_flow *fl, const struct answer *a)
{
	if (!a->allow)
		return flow_end_changed(fl, a->rule, a->hint);
	fl->reason = a->reason;
	memcpy(fl->rule, a->rule, sizeof(fl->rule));
	flow_meter(fl, &fl->meter, &fl->to.addr);
}

static void on_answer(struct question *q, const struct answer *a, int *take_fd)
{
	struct udp_flow *fl =
		(struct udp_flow *)((char *)q -
				    offsetof(struct udp_flow, question));
	const struct counter *spent;
	unsigned n = fl->nqueued;

	if (fl->target >= 0)
		return on_recheck(fl, a);
	flow_asks(fl, false);
	if (a->name[0])
		memcpy(fl->name, a->name, sizeof(fl->name));
	if (!a->allow)
		return flow_refuse(fl, a->reason, a->rule, a->hint);
	flow_meter(fl, &fl->meter, &fl->to.addr);
	if (*take_fd >= 0)
		flow_meter(fl, &fl->meter, &a->peer.addr);
	spent = meter_spent(&fl->meter);
	if (spent)
		return flow_spent(fl, spent);
	fl->allowed = true;
	fl->reason = a->reason;
	memcpy(fl->rule, a->rule, sizeof(fl->rule));
	if (a->error || *take_fd < 0)
		return flow_close(fl, a->error ? a->error : EMFILE);
	fl->target = fd_steal(take_fd);
	(void)event_assign(&fl->target_in, fl->posture->front->base, fl->target,
			   EV_READ | EV_PERSIST, target_readable_cb, fl);
	if (event_add(&fl->target_in, NULL) < 0)
		return flow_close(fl, ENOMEM);
	for (unsigned i = 0; i < n; i++)
		if (!send_out(fl, fl->queue[i]->data, fl->queue[i]->len))
			return;
	queue_free(fl);
	if (fl->stale)
		flow_changed(fl);
}

static void enqueue(struct udp_flow *fl, const struct datagram *d)
{
	struct queued *q;

	if (fl->nqueued == QUEUE_MAX || d->len > QUEUE_BYTES ||
	    fl->queued_bytes > QUEUE_BYTES - d->len)
		return;
	q = malloc(sizeof(*q) + d->len);
	if (!q)
		return;
	q->len = d->len;
	memcpy(q->data, d->data, d->len);
	fl->queue[fl->nqueued++] = q;
	fl->queued_bytes += d->len;
}

/* -- the beginning -- */

static void flow_ask(struct udp_flow *fl)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_UDP,
		.to = fl->to,
		.learnt = fl->learnt,
	};
	int r;

	/* nothing is asked then; there may be nobody to ask */
	if (policy_get_mode(fl->posture->policy) == POLICY_BLOCKED)
		return flow_refuse(fl, POLICY_R_BLOCKED, "", "");
	r = front_ask(fl->posture->front,
		      will_be_spent(fl) ? ASK_CHECK : ASK_DIAL, &a,
		      &fl->question);
	if (r < 0)
		return flow_close(fl, -r);
	flow_asks(fl, true);
	flow_counts(fl, true);
}

static struct udp_flow *flow_new(struct posture *p, const struct datagram *d,
				 int64_t now_ms)
{
	unsigned b = hash(p, &d->client, &d->to);
	struct front *f = p->front;
	struct udp_flow *fl = calloc(1, sizeof(*fl));

	if (!fl)
		return NULL;
	fl->posture = p;
	fl->client = d->client;
	fl->to = d->to;
	fl->target = -1;
	fl->start_ms = fl->used_ms = fl->told_ms = now_ms;
	fl->question.on_answer = on_answer;
	LIST_INSERT_HEAD(&p->udp_flows, fl, link);
	LIST_INSERT_HEAD(&f->udp_table[b], fl, in_bucket);
	TAILQ_INSERT_TAIL(&f->udp_age, fl, age);
	f->stats.udp_flows++;
	return fl;
}

bool udp_give_way(struct front *f, int64_t now_ms)
{
	struct udp_flow *fl;

	TAILQ_FOREACH(fl, &f->udp_age, age) {
		if (now_ms - fl->used_ms < LIMIT_UDP_SPARE_MS)
			return false;
		if (fl->question.id)
			continue;
		flow_close(fl, 0);
		return true;
	}
	return false;
}

static bool has_place(struct front *f, int64_t now_ms)
{
	while (f->stats.udp_flows >= LIMIT_UDP_FLOWS)
		if (!udp_give_way(f, now_ms))
			return false;
	return front_may_dial(f);
}

static void flow_begin(struct posture *p, const struct datagram *d,
		       int64_t now_ms)
{
	struct audit_event full = {
		.layer = AUDIT_UDP,
		.verdict = AUDIT_DENY,
		.protocol = "udp",
		.has_address = true,
		.address = d->to.addr,
		.port = d->to.port,
		.reason = policy_reason_name(POLICY_R_LIMIT),
	};
	struct udp_flow *fl = NULL;

	if (has_place(p->front, now_ms))
		fl = flow_new(p, d, now_ms);
	if (!fl)
		return front_event(p, &full);
	fl->learnt = learnt_by(p, &d->to);
	if (p->front->is_own(&d->to.addr))
		return flow_refuse(fl, POLICY_R_OWN, "", "");
	enqueue(fl, d);
	flow_ask(fl);
}

void udp_readable_cb(evutil_socket_t fd, short what, void *posture)
{
	struct posture *p = posture;
	int64_t now_ms = clock_ms();

	(void)what;
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct datagram d;
		struct udp_flow *fl;
		int r = datagram_recv(fd, p->front->chunk, LIMIT_RELAY_CHUNK,
				      &d);

		if (r == 0)
			return;
		if (r < 0)
			continue;
		fl = flow_find(p, &d);
		if (!fl) {
			flow_begin(p, &d, now_ms);
		} else if (fl->target >= 0) {
			flow_used(fl, now_ms);
			(void)send_out(fl, d.data, d.len);
		} else if (fl->refused) {
			tell_error(fl, PACKET_PROHIBITED);
		} else {
			enqueue(fl, &d);
		}
	}
}

static void tell_used(struct udp_flow *fl, int64_t now_ms)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_UDP,
		.to = fl->to,
		.learnt = fl->learnt,
	};

	if (fl->used_ms <= fl->told_ms || now_ms - fl->told_ms < USED_MS)
		return;
	fl->told_ms = now_ms;
	memcpy(a.name, fl->name, sizeof(a.name));
	front_tell(fl->posture->front, ASK_USED, &a);
}

void udp_tick(struct front *f, int64_t now_ms)
{
	struct udp_flow *fl = TAILQ_FIRST(&f->udp_age);

	while (fl) {
		struct udp_flow *next = TAILQ_NEXT(fl, age);
		int64_t quiet = now_ms - fl->used_ms;

		if (fl->question.id && quiet > ASK_MS)
			flow_close(fl, ETIMEDOUT);
		else if (!fl->question.id &&
			 quiet > (fl->refused ? TOMBSTONE_MS :
						LIMIT_UDP_IDLE_MS))
			flow_close(fl, 0);
		else if (fl->target >= 0)
			tell_used(fl, now_ms);
		fl = next;
	}
}
