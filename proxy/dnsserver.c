/* dnsserver.c - the resolver that payloads see
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Every query to an address that is not the namespace's own comes here, over
 * UDP and TCP, whichever server it was meant for. One that is well-formed
 * becomes a job: the dialer decides the name, resolves it and pins what it
 * found, then the answer is built and leaves; over UDP from the address that
 * was asked. Mode blocked is answered here, at once. Every decision is one
 * record.
 *
 * A job ends with its answer, with its TCP connection, with its posture, or
 * by time-out (SERVFAIL).
 *
 * #syscalls accept4 recvmsg recvfrom sendmsg sendto close
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/dns.h"
#include "proxy/front_private.h"
#include "proxy/packet.h"
#include "proxy/relay.h"

enum {
	AT_ONCE = 64,
	TCP_QUERY_MAX = 4096,
	REPLY_MAX = 4096,
	TCP_JOBS_MAX = 32,	/* of one connection; then it waits */
	TCP_OUT_MAX = 64 << 10, /* bytes of answers not yet taken */
	TCP_IDLE_S = 10,
	JOB_MS = 2 * LIMIT_DNS_UPSTREAM_MS + 2000, /* the dialer is first */
};

struct dns_conn {
	LIST_ENTRY(dns_conn) link;
	struct posture *posture;
	int fd;
	struct event in, out;
	LIST_HEAD(, dns_job) jobs;
	unsigned njobs;
	bool ended; /* the client will send no more */
	struct relay answers;
	size_t len; /* of what came */
	uint8_t buf[2 + TCP_QUERY_MAX];
};

struct dns_job {
	TAILQ_ENTRY(dns_job) age;
	LIST_ENTRY(dns_job) in_conn;
	struct posture *posture;
	struct dns_conn *conn;		/* NULL: UDP */
	struct endpoint client, server; /* UDP: who asked, and whom */
	struct question question;
	struct dns_query query;
	int64_t start_ms;
};

/* Where an answer goes. */
struct dns_path {
	struct posture *posture;
	struct dns_conn *conn;
	const struct endpoint *client, *server;
};

static void conn_in_cb(evutil_socket_t fd, short what, void *conn);
static void conn_out_cb(evutil_socket_t fd, short what, void *conn);

/* -- answers -- */

/* Out of memory or over the limit loses the answer: the client asks again. */
static void conn_answer(struct dns_conn *c, const uint8_t *reply, size_t len)
{
	const uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	if (c->answers.len + len + 2 > TCP_OUT_MAX)
		return;
	if (relay_keep(&c->answers, head, 2, 2) == 0 &&
	    relay_keep(&c->answers, reply, len, len) == 0)
		(void)event_add(&c->out, NULL);
}

static void send_reply(const struct dns_path *to, const struct dns_query *q,
		       const struct dns_reply *reply)
{
	uint8_t buf[REPLY_MAX];
	size_t len =
		dns_reply_build(q, reply, to->conn == NULL, buf, sizeof(buf));

	if (len == 0)
		return;
	if (to->conn)
		conn_answer(to->conn, buf, len);
	else /* lost like any datagram */
		(void)packet_send_udp(to->posture->sockets.raw4,
				      to->posture->sockets.raw6, to->server,
				      to->client, buf, len);
}

static void record(const struct dns_path *to, const struct dns_query *q,
		   struct audit_event *e)
{
	e->layer = AUDIT_DNS;
	e->protocol = to->conn ? "tcp" : "udp";
	e->name = q->name[0] ? q->name : NULL;
	e->learnt = policy_learnt_name(POLICY_NAME_DNS);
	front_event(to->posture, e);
}

/* -- what was refused at a limit -- */

void dns_tell_limited(struct posture *p)
{
	struct dns_limited *l = &p->limited;
	struct audit_event e = {
		.layer = AUDIT_DNS,
		.verdict = AUDIT_DENY,
		.reason = policy_reason_name(POLICY_R_LIMIT),
		.rule = l->rule[0] ? l->rule : NULL,
		.dropped = l->untold,
	};

	if (l->untold > 0)
		front_event(p, &e);
	l->untold = 0;
	l->since_ms = 0;
}

/* True: this one is told by itself. */
static bool limited_first(struct posture *p, const char *rule)
{
	struct dns_limited *l = &p->limited;

	(void)snprintf(l->rule, sizeof(l->rule), "%s", rule);
	if (l->since_ms > 0) {
		l->untold++;
		return false;
	}
	l->since_ms = clock_ms();
	return true;
}

/* -- refusals -- */

static uint16_t ede_of(enum policy_reason reason)
{
	if (reason == POLICY_R_DENY_RULE)
		return DNS_EDE_FILTERED;
	if (reason == POLICY_R_GUARD || reason == POLICY_R_PRIVATE ||
	    reason == POLICY_R_OWN)
		return DNS_EDE_BLOCKED;
	return DNS_EDE_PROHIBITED;
}

/*
 * The policy says no: answered as it wants, with the reason beside it. At a
 * limit the name is as good as before, and the client may come again.
 */
static void refuse(const struct dns_path *to, const struct dns_query *q,
		   enum policy_reason reason, const char *rule,
		   const char *hint)
{
	bool nx = reason != POLICY_R_LIMIT &&
		  policy_get_dns_refusal(to->posture->policy) ==
			  POLICY_NXDOMAIN;
	char text[DNS_EDE_TEXT_MAX];
	struct dns_reply reply = {
		.rcode = nx ? DNS_NXDOMAIN : DNS_REFUSED,
		.ede = ede_of(reason),
		.ede_text = text,
	};
	struct audit_event e = {
		.verdict = AUDIT_DENY,
		.reason = policy_reason_name(reason),
		.rule = rule[0] ? rule : NULL,
		.hint = hint[0] ? hint : NULL,
	};

	/* cut if too long: it is an explanation, not data */
	(void)snprintf(text, sizeof(text), "%s%s%s%s%s",
		       policy_reason_name(reason), rule[0] ? ": " : "", rule,
		       hint[0] ? "; allowed by: --allow " : "", hint);
	send_reply(to, q, &reply);
	if (reason != POLICY_R_LIMIT || limited_first(to->posture, rule))
		record(to, q, &e);
}

/* Without a verdict on the name. */
static uint16_t ede_of_rcode(uint8_t rcode)
{
	switch (rcode) {
	case DNS_SERVFAIL:
		return DNS_EDE_NETWORK;
	case DNS_NOTIMP:
	case DNS_REFUSED: /* another class */
		return DNS_EDE_NOT_SUPPORTED;
	case DNS_NXDOMAIN: /* a name that no rule can say */
		return DNS_EDE_PROHIBITED;
	default:
		return DNS_EDE_NONE;
	}
}

static void fail(const struct dns_path *to, const struct dns_query *q,
		 uint8_t rcode, enum audit_verdict verdict, int error,
		 enum policy_reason reason)
{
	const struct dns_reply reply = {
		.rcode = rcode,
		.ede = ede_of_rcode(rcode),
		.ede_text = error ? strerror(error) :
				    policy_reason_name(reason),
	};
	struct audit_event e = {
		.verdict = verdict,
		.error = error,
		.reason = verdict == AUDIT_DENY ? policy_reason_name(reason) :
						  NULL,
	};

	send_reply(to, q, &reply);
	record(to, q, &e);
}

/* -- jobs -- */

static struct dns_path job_path(const struct dns_job *j)
{
	return (struct dns_path){ j->posture, j->conn, &j->client, &j->server };
}

static void job_free(struct dns_job *j)
{
	struct front *f = j->posture->front;

	front_cancel(f, &j->question);
	TAILQ_REMOVE(&f->dns_age, j, age);
	f->stats.dns_queries--;
	if (j->conn) {
		LIST_REMOVE(j, in_conn);
		j->conn->njobs--;
		/* it may have waited for a place */
		if (!j->conn->ended)
			(void)event_add(&j->conn->in, NULL);
		(void)event_add(&j->conn->out, NULL);
	}
	free(j);
}

/* Allowed; what else there is to say of it. */
static uint16_t ede_of_answer(const struct dns_query *q,
			      const struct answer_resolve *a)
{
	if (a->rcode == DNS_SERVFAIL)
		return DNS_EDE_NETWORK;
	if (a->rcode != DNS_NOERROR || q->qtype == DNS_TYPE_A ||
	    q->qtype == DNS_TYPE_AAAA || q->qtype == DNS_TYPE_HTTPS ||
	    q->qtype == DNS_TYPE_SVCB)
		return DNS_EDE_NONE;
	return DNS_EDE_NOT_SUPPORTED;
}

static void on_resolve(struct question *q, const struct answer_resolve *a)
{
	struct dns_job *j =
		(struct dns_job *)((char *)q -
				   offsetof(struct dns_job, question));
	struct dns_path to = job_path(j);
	struct dns_reply reply = {
		.rcode = a->rcode,
		.ttl_s = a->ttl_s,
		.addrs = a->addrs,
		.naddrs = a->naddrs,
		.rdata = a->rdata,
		.rdata_len = a->rdata_len,
		.ede = ede_of_answer(&j->query, a),
		.ede_text = a->rcode == DNS_SERVFAIL ?
				    "no usable answer from upstream" :
				    "only addresses, HTTPS and SVCB are served",
	};
	struct audit_event e = {
		.verdict = a->rcode == DNS_SERVFAIL ? AUDIT_FAIL : AUDIT_ALLOW,
		.error = a->rcode == DNS_SERVFAIL ? EAGAIN : 0,
		.reason = policy_reason_name(a->reason),
		.rule = a->rule[0] ? a->rule : NULL,
		.chain = a->chain[0] ? a->chain : NULL,
		.has_address = a->naddrs > 0,
		.has_duration = true,
		.duration_ms = (uint64_t)(clock_ms() - j->start_ms),
	};

	if (!a->allow) {
		refuse(&to, &j->query, a->reason, a->rule, a->hint);
	} else {
		if (a->naddrs > 0)
			e.address = a->addrs[0];
		send_reply(&to, &j->query, &reply);
		record(&to, &j->query, &e);
	}
	job_free(j);
}

static void job_start(const struct dns_path *to, const struct dns_query *q)
{
	struct front *f = to->posture->front;
	struct ask a = {
		.posture = to->posture->id,
		.proto = to->conn ? RULE_TCP : RULE_UDP,
		.learnt = POLICY_NAME_DNS,
		.qtype = q->qtype,
	};
	struct dns_job *j = NULL;
	int r;

	if (f->stats.dns_queries < LIMIT_DNS_QUERIES)
		j = calloc(1, sizeof(*j));
	if (!j)
		return refuse(to, q, POLICY_R_LIMIT, "", "");
	j->posture = to->posture;
	j->conn = to->conn;
	if (to->client)
		j->client = *to->client;
	if (to->server)
		j->server = *to->server;
	j->query = *q;
	j->start_ms = clock_ms();
	j->question.on_resolve = on_resolve;
	TAILQ_INSERT_TAIL(&f->dns_age, j, age);
	f->stats.dns_queries++;
	if (j->conn) {
		LIST_INSERT_HEAD(&j->conn->jobs, j, in_conn);
		j->conn->njobs++;
	}
	a.to = j->server;
	memcpy(a.name, q->name, sizeof(a.name));
	r = front_ask(f, ASK_RESOLVE, &a, &j->question);
	if (r < 0) {
		fail(to, q, DNS_SERVFAIL, AUDIT_FAIL, -r, 0);
		job_free(j);
	}
}

/* Refused without asking: the mode says all. */
static void refuse_blocked(const struct dns_path *to, const struct dns_query *q)
{
	const struct policy_question question = {
		.ask = POLICY_ASK_LOOKUP,
		.name = q->name,
		.learnt = POLICY_NAME_DNS,
	};
	char hint[LIMIT_RULE_TEXT] = "";

	policy_hint(&question, POLICY_R_BLOCKED, hint);
	refuse(to, q, POLICY_R_BLOCKED, "", hint);
}

static void take_query(const struct dns_path *to, const uint8_t *data,
		       size_t len)
{
	struct dns_query q;
	enum dns_status s = dns_query_parse(data, len, &q);

	if (s == DNS_IS_DROP)
		return;
	if (s != DNS_IS_OK)
		return fail(to, &q, dns_status_rcode(s), AUDIT_DENY, 0,
			    POLICY_R_MALFORMED);
	if (policy_get_mode(to->posture->policy) == POLICY_BLOCKED)
		return refuse_blocked(to, &q);
	job_start(to, &q);
}

void dns_tick(struct front *f, int64_t now_ms)
{
	struct posture *p;
	struct dns_job *j;

	while ((j = TAILQ_FIRST(&f->dns_age)) &&
	       now_ms - j->start_ms > JOB_MS) {
		struct dns_path to = job_path(j);

		fail(&to, &j->query, DNS_SERVFAIL, AUDIT_FAIL, ETIMEDOUT, 0);
		job_free(j);
	}
	LIST_FOREACH(p, &f->postures, link)
		if (p->limited.since_ms > 0 &&
		    now_ms - p->limited.since_ms > LIMIT_DNS_TOLD_MS)
			dns_tell_limited(p);
}

/* -- UDP -- */

void dns_readable_cb(evutil_socket_t fd, short what, void *posture)
{
	struct posture *p = posture;

	(void)what;
	for (int i = 0; i < AT_ONCE; i++) {
		struct datagram d;
		int r = datagram_recv(fd, p->front->chunk, LIMIT_RELAY_CHUNK,
				      &d);
		struct dns_path to = { p, NULL, &d.client, &d.to };

		if (r == 0)
			return;
		if (r > 0)
			take_query(&to, d.data, d.len);
	}
}

/* -- TCP -- */

static void conn_close(struct dns_conn *c)
{
	struct dns_job *j;

	while ((j = LIST_FIRST(&c->jobs)))
		job_free(j);
	(void)event_del(&c->in);
	(void)event_del(&c->out);
	fd_close(&c->fd);
	relay_done(&c->answers);
	LIST_REMOVE(c, link);
	c->posture->front->dns_conns--;
	free(c);
}

/* Every whole query that came; false: not DNS, or longer than any query. */
static bool conn_take(struct dns_conn *c)
{
	const struct dns_path to = { .posture = c->posture, .conn = c };
	size_t at = 0;

	while (c->len - at >= 2 && c->njobs < TCP_JOBS_MAX) {
		size_t n = (size_t)c->buf[at] << 8 | c->buf[at + 1];

		if (n == 0 || n > TCP_QUERY_MAX)
			return false;
		if (c->len - at - 2 < n)
			break;
		take_query(&to, c->buf + at + 2, n);
		at += 2 + n;
	}
	memmove(c->buf, c->buf + at, c->len - at);
	c->len -= at;
	return true;
}

static bool conn_full(const struct dns_conn *c)
{
	return c->njobs >= TCP_JOBS_MAX || c->answers.len > TCP_OUT_MAX / 2 ||
	       c->len == sizeof(c->buf);
}

/* Close what is over; wait for what may come. */
static void conn_settle(struct dns_conn *c)
{
	const struct timeval idle = { .tv_sec = TCP_IDLE_S };

	if (c->ended && c->njobs == 0 && c->answers.len == 0)
		return conn_close(c);
	if (c->answers.len > 0)
		(void)event_add(&c->out, &idle);
	else
		(void)event_del(&c->out);
	if (c->ended || conn_full(c))
		(void)event_del(&c->in);
	else
		(void)event_add(&c->in, &idle);
}

static void conn_in_cb(evutil_socket_t fd, short what, void *conn)
{
	struct dns_conn *c = conn;
	size_t room = sizeof(c->buf) - c->len;
	long n = -EAGAIN;

	/* idle; what is being resolved still counts as use */
	if ((what & EV_TIMEOUT) && c->njobs == 0)
		return conn_close(c);
	if (room > 0)
		n = relay_read(fd, c->buf + c->len, room);
	if (n < 0 && n != -EAGAIN)
		return conn_close(c);
	if (n == 0)
		c->ended = true;
	if (n > 0)
		c->len += (size_t)n;
	if (!conn_take(c))
		return conn_close(c);
	conn_settle(c);
}

static void conn_out_cb(evutil_socket_t fd, short what, void *conn)
{
	struct dns_conn *c = conn;

	if ((what & EV_TIMEOUT) || relay_flush(&c->answers, fd) < 0)
		return conn_close(c);
	if (!conn_take(c))
		return conn_close(c);
	conn_settle(c);
}

static void conn_new(struct posture *p, int take_fd)
{
	struct dns_conn *c = NULL;

	if (p->front->dns_conns < LIMIT_DNS_TCP)
		c = calloc(1, sizeof(*c));
	if (!c) {
		fd_close(&take_fd);
		return;
	}
	c->posture = p;
	c->fd = take_fd;
	LIST_INIT(&c->jobs);
	(void)event_assign(&c->in, p->front->base, take_fd,
			   EV_READ | EV_PERSIST, conn_in_cb, c);
	(void)event_assign(&c->out, p->front->base, take_fd,
			   EV_WRITE | EV_PERSIST, conn_out_cb, c);
	LIST_INSERT_HEAD(&p->dns_conns, c, link);
	p->front->dns_conns++;
	conn_settle(c);
}

void dns_accept_cb(evutil_socket_t listener, short what, void *posture)
{
	struct posture *p = posture;

	(void)what;
	for (int i = 0; i < AT_ONCE && front_may_accept(p->front); i++) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		front_accepted(p->front, fd);
		if (fd >= 0)
			conn_new(p, fd);
		else if (front_accept_failed(p->front, errno))
			return;
	}
}

void dns_drop_all(struct posture *p)
{
	struct front *f = p->front;
	struct dns_conn *c;
	struct dns_job *j;

	while ((c = LIST_FIRST(&p->dns_conns)))
		conn_close(c);
	j = TAILQ_FIRST(&f->dns_age);
	while (j) {
		struct dns_job *next = TAILQ_NEXT(j, age);

		if (j->posture == p)
			job_free(j);
		j = next;
	}
	if (!f->broken)
		dns_tell_limited(p);
}
