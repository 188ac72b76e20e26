/* resolver.c - what upstream says of a name: asked once, kept for its TTL
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One table of questions (name and type). A question is
 *
 *	OPEN	sent upstream; `asks` wait for it. Ends by an answer, or by
 *		its deadline: then it leaves the table, and what still comes
 *		in for it is thrown away
 *	KEPT	has an answer that has not expired
 *
 * Identical questions meet in the same entry, open or kept. Answers reach
 * those who asked from an event of their own (deliver_cb), never from within
 * a call of theirs or of c-ares: a callback may do what it likes.
 *
 * An answer without records is kept for the shortest time there is, and a
 * failure for a moment, so that a zone that is broken is not asked without end.
 *
 * #syscalls getrandom
 */
#include "proxy/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/time.h>

#include <event2/event.h>

#include "core/base/fd.h"
#include "proxy/dialer_hash.h"
#include "proxy/dns.h"
#include "proxy/resolver_upstream.h"

enum { BUCKETS = 2048 };

/* What several may hold: the table, and asks that wait for delivery. */
struct answer {
	struct resolver_answer view;
	bool failed; /* of the view only expires_ms counts */
	unsigned refs;
};

struct question {
	LIST_ENTRY(question) bucket;
	TAILQ_ENTRY(question) order; /* open: by deadline; kept: by use */
	struct flight *flight;	     /* open: what is on its way */
	int64_t deadline_ms;
	TAILQ_HEAD(ask_list, resolver_ask) asks;
	struct answer *answer; /* kept */
	uint16_t qtype;
	char name[];
};

struct resolver_ask {
	TAILQ_ENTRY(resolver_ask) link;
	struct resolver *resolver;
	struct question *question; /* NULL: in resolver.ready */
	struct answer *answer;
	resolver_cb *done;
	void *user;
};

/* One message to upstream; outlives its question. */
struct flight {
	struct resolver *resolver;
	struct question *question; /* NULL: nobody waits any more */
	bool edns;
};

TAILQ_HEAD(question_list, question);

struct resolver {
	struct upstream *upstream;
	struct event *deliver, *tick;
	bool ticking;
	bool no_edns; /* a server does not know it */
	struct hash_key key;
	LIST_HEAD(question_bucket, question) buckets[BUCKETS];
	struct question_list open, kept;
	size_t nopen, nkept;
	struct ask_list ready;
};

/* -- answers -- */

static void answer_unref(struct answer *a)
{
	if (a && --a->refs == 0)
		free(a);
}

static uint32_t clamp_ttl(const struct dns_answer *d)
{
	if (d->ttl_s > LIMIT_TTL_MAX_S)
		return LIMIT_TTL_MAX_S;
	return d->ttl_s < LIMIT_TTL_MIN_S ? LIMIT_TTL_MIN_S : d->ttl_s;
}

/* A compact copy, in one block; most answers are small. */
static struct answer *answer_new(const struct dns_answer *d, int64_t now_ms)
{
	const size_t addrs_len = d->naddrs * sizeof(struct addr);
	size_t chain_len = 0;
	struct answer *a;
	char *p;

	for (size_t i = 0; i < d->nchain; i++)
		chain_len += strlen(d->chain[i]) + 1;
	a = calloc(1, sizeof(*a) + addrs_len + d->rdata_len + chain_len);
	if (!a)
		return NULL;
	a->refs = 1;
	a->view.rcode = d->rcode;
	a->view.expires_ms = now_ms + clamp_ttl(d) * INT64_C(1000);
	a->view.nchain = d->nchain;
	a->view.naddrs = d->naddrs;
	a->view.rdata_len = d->rdata_len;
	p = (char *)(a + 1);
	a->view.addrs = memcpy(p, d->addrs, addrs_len);
	p += addrs_len;
	a->view.rdata = memcpy(p, d->rdata, d->rdata_len);
	p += d->rdata_len;
	a->view.chain = p;
	for (size_t i = 0; i < d->nchain; i++) {
		size_t len = strlen(d->chain[i]) + 1;

		memcpy(p, d->chain[i], len);
		p += len;
	}
	return a;
}

/* -- questions -- */

static size_t bucket_of(const struct resolver *r, const char *name,
			uint16_t qtype)
{
	return hash_bytes(&r->key, qtype, name, strlen(name)) % BUCKETS;
}

static struct question *question_find(struct resolver *r, const char *name,
				      uint16_t qtype)
{
	struct question *q;

	LIST_FOREACH(q, &r->buckets[bucket_of(r, name, qtype)], bucket) {
		if (q->qtype == qtype && !strcmp(q->name, name))
			return q;
	}
	return NULL;
}

static void question_free(struct resolver *r, struct question *q)
{
	LIST_REMOVE(q, bucket);
	if (q->answer) {
		TAILQ_REMOVE(&r->kept, q, order);
		r->nkept--;
	} else {
		TAILQ_REMOVE(&r->open, q, order);
		r->nopen--;
	}
	if (q->flight)
		q->flight->question = NULL;
	answer_unref(q->answer);
	free(q);
}

static void forget_kept(struct resolver *r)
{
	while (!TAILQ_EMPTY(&r->kept))
		question_free(r, TAILQ_FIRST(&r->kept));
}

static void make_ready(struct resolver_ask *a, struct answer *answer)
{
	struct resolver *r = a->resolver;

	a->question = NULL;
	a->answer = answer && !answer->failed ? answer : NULL;
	if (a->answer)
		a->answer->refs++;
	TAILQ_INSERT_TAIL(&r->ready, a, link);
	event_active(r->deliver, EV_TIMEOUT, 0);
}

static void wake_asks(struct question *q, struct answer *answer)
{
	struct resolver_ask *a;

	while ((a = TAILQ_FIRST(&q->asks))) {
		TAILQ_REMOVE(&q->asks, a, link);
		make_ready(a, answer);
	}
}

static struct answer *failure_new(void)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->refs = 1;
	a->failed = true;
	a->view.expires_ms = clock_ms() + LIMIT_DNS_FAILED_MS;
	return a;
}

/* `take` NULL: it failed. */
static void question_end(struct resolver *r, struct question *q,
			 struct answer *take)
{
	if (!take)
		take = failure_new();
	wake_asks(q, take);
	if (!take)
		return question_free(r, q);
	TAILQ_REMOVE(&r->open, q, order);
	r->nopen--;
	q->answer = take;
	TAILQ_INSERT_HEAD(&r->kept, q, order);
	r->nkept++;
	if (r->nkept > RESOLVER_KEPT)
		question_free(r, TAILQ_LAST(&r->kept, question_list));
}

/* -- upstream -- */

static void send_query(struct resolver *r, struct question *q);

static void reply_cb(void *user, const uint8_t *data, size_t len)
{
	struct flight *f = user;
	struct resolver *r = f->resolver;
	struct question *q = f->question;
	const bool edns = f->edns;
	struct dns_answer d;
	struct answer *a = NULL;

	free(f);
	if (!q)
		return;
	q->flight = NULL;
	if (!data || !dns_answer_parse(data, len, NULL, q->name, q->qtype, &d))
		return question_end(r, q, NULL);
	if (d.rcode == DNS_FORMERR && edns) {
		/* RFC 6891 7: an old server; ask as it understands */
		r->no_edns = true;
		return send_query(r, q);
	}
	if (!d.truncated && (d.rcode == DNS_NOERROR || d.rcode == DNS_NXDOMAIN))
		a = answer_new(&d, clock_ms());
	question_end(r, q, a);
}

/* The OPT record of dns_query_build() stands last and has no options. */
static size_t without_edns(uint8_t *query, size_t len)
{
	enum { ARCOUNT = 10, OPT_LEN = 11 };

	query[ARCOUNT] = 0;
	query[ARCOUNT + 1] = 0;
	return len - OPT_LEN;
}

static void send_query(struct resolver *r, struct question *q)
{
	struct flight *f = calloc(1, sizeof(*f));
	uint8_t query[DNS_QUERY_MAX];
	uint16_t id;
	size_t len;

	/* this little is never cut short */
	if (!f || getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		goto failed;
	len = dns_query_build(id, q->name, q->qtype, query, sizeof(query));
	if (len == 0)
		goto failed;
	if (r->no_edns)
		len = without_edns(query, len);
	f->resolver = r;
	f->question = q;
	f->edns = !r->no_edns;
	q->flight = f;
	return upstream_send(r->upstream, query, len, f->edns, reply_cb, f);
failed:
	free(f);
	question_end(r, q, NULL);
}

static void tick_set(struct resolver *r)
{
	const struct timeval tv = { .tv_usec = UPSTREAM_TICK_MS * 1000 };
	const bool need = r->nopen > 0 || upstream_is_busy(r->upstream);

	if (need == r->ticking)
		return;
	if (!need)
		(void)event_del(r->tick); /* cannot fail: it is ours */
	else if (event_add(r->tick, &tv) < 0)
		return; /* tried again with the next question */
	r->ticking = need;
}

static void tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	const int64_t now = clock_ms();
	struct question *q;

	(void)fd;
	(void)what;
	while ((q = TAILQ_FIRST(&r->open)) && q->deadline_ms <= now)
		question_end(r, q, NULL);
	upstream_tick(r->upstream);
	tick_set(r);
}

static void deliver_cb(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct resolver_ask *a;

	(void)fd;
	(void)what;
	while ((a = TAILQ_FIRST(&r->ready))) {
		struct answer *answer = a->answer;
		resolver_cb *done = a->done;
		void *user = a->user;

		TAILQ_REMOVE(&r->ready, a, link);
		free(a);
		done(user, answer ? &answer->view : NULL);
		answer_unref(answer);
	}
}

/* -- for the owner -- */

int resolver_new(struct event_base *base, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	TAILQ_INIT(&r->open);
	TAILQ_INIT(&r->kept);
	TAILQ_INIT(&r->ready);
	r->deliver = event_new(base, -1, 0, deliver_cb, r);
	r->tick = event_new(base, -1, EV_PERSIST, tick_cb, r);
	error = r->deliver && r->tick ? hash_key_init(&r->key) : -ENOMEM;
	if (!error)
		error = upstream_new(base, &r->upstream);
	if (error) {
		resolver_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	/* first: it calls back for what is on its way */
	upstream_free(r->upstream);
	forget_kept(r);
	while (!TAILQ_EMPTY(&r->open))
		question_free(r, TAILQ_FIRST(&r->open));
	if (r->deliver)
		event_free(r->deliver);
	if (r->tick)
		event_free(r->tick);
	free(r);
}

int resolver_set_servers(struct resolver *r,
			 const struct upstream_server *servers, size_t n)
{
	int error = upstream_set_servers(r->upstream, servers, n);
	struct question *q, *next;

	if (error)
		return error;
	r->no_edns = false;
	forget_kept(r);
	/* what the former servers were asked may never be answered */
	for (q = TAILQ_FIRST(&r->open); q; q = next) {
		next = TAILQ_NEXT(q, order);
		if (q->flight)
			q->flight->question = NULL;
		send_query(r, q);
	}
	tick_set(r);
	return 0;
}

/* An open question, in the table but not yet sent. */
static struct question *question_new(struct resolver *r, const char *name,
				     uint16_t qtype)
{
	const size_t size = strlen(name) + 1;
	struct question *q = calloc(1, sizeof(*q) + size);

	if (!q)
		return NULL;
	memcpy(q->name, name, size);
	q->qtype = qtype;
	q->deadline_ms = clock_ms() + LIMIT_DNS_UPSTREAM_MS;
	TAILQ_INIT(&q->asks);
	LIST_INSERT_HEAD(&r->buckets[bucket_of(r, name, qtype)], q, bucket);
	TAILQ_INSERT_TAIL(&r->open, q, order);
	r->nopen++;
	return q;
}

bool resolver_knows(struct resolver *r, const char *name, uint16_t qtype)
{
	const struct question *q = question_find(r, name, qtype);

	return q && (!q->answer || q->answer->view.expires_ms > clock_ms());
}

int resolver_ask(struct resolver *r, const char *name, uint16_t qtype,
		 resolver_cb *done, void *user, struct resolver_ask **ret)
{
	struct question *q = question_find(r, name, qtype);
	struct resolver_ask *a = calloc(1, sizeof(*a));
	bool fresh = false;

	if (!a)
		return -ENOMEM;
	a->resolver = r;
	a->done = done;
	a->user = user;
	if (q && q->answer && q->answer->view.expires_ms <= clock_ms()) {
		question_free(r, q);
		q = NULL;
	}
	if (!q) {
		fresh = true;
		q = r->nopen < RESOLVER_OPEN ? question_new(r, name, qtype) :
					       NULL;
	}
	if (!q) {
		free(a);
		return r->nopen < RESOLVER_OPEN ? -ENOMEM : -ENOBUFS;
	}
	*ret = a;
	if (q->answer) {
		TAILQ_REMOVE(&r->kept, q, order);
		TAILQ_INSERT_HEAD(&r->kept, q, order);
		make_ready(a, q->answer);
		return 0;
	}
	a->question = q;
	TAILQ_INSERT_TAIL(&q->asks, a, link);
	if (fresh) {
		send_query(r, q);
		tick_set(r);
	}
	return 0;
}

void resolver_cancel(struct resolver_ask *a)
{
	if (!a)
		return;
	/* a question that nobody waits for any more still fills the table */
	if (a->question)
		TAILQ_REMOVE(&a->question->asks, a, link);
	else
		TAILQ_REMOVE(&a->resolver->ready, a, link);
	answer_unref(a->answer);
	free(a);
}
