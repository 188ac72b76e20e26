/* front.c - the side of the gate that payloads talk to: what holds it together
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A posture is a set of listeners in its namespace. What arrives there
 * becomes a flow (flow.c, udp.c) or a query (dnsserver.c), and each of these
 * asks the dialer through front_ask(). The answer finds its way back by the
 * number of the question.
 *
 * Listeners are paused together, and tried again a moment later, when
 * descriptors, memory or places run out: the kernel's queue holds what comes
 * meanwhile.
 *
 * #syscalls recvmsg sendmsg fcntl close getrlimit prlimit64 clock_gettime
 * #syscalls setsockopt
 * #syscalls epoll_wait epoll_pwait epoll_ctl
 */
#include "proxy/front.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "core/base/fd.h"
#include "policy/guard.h"
#include "proxy/front_private.h"

enum {
	RESUME_MS = 100,
	TICK_MS = 1000,
	MESSAGES_AT_ONCE = 64,
	POSTURE_FDS = 9, /* sockets, and the kernel's log */
};

/* -- questions -- */

static struct question **bucket(struct front *f, uint32_t id)
{
	return &f->open[id % QUESTION_BUCKETS];
}

static struct question *question_take(struct front *f, uint32_t id)
{
	struct question **at = bucket(f, id), *q;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	q = *at;
	if (q) {
		*at = q->next;
		q->id = 0;
		f->nopen--;
	}
	return q;
}

/* The dialer is gone, or says what it must not: nothing can be decided. */
static void break_down(struct front *f, int error)
{
	if (f->broken)
		return;
	f->broken = true;
	(void)event_del(&f->dialer_in);
	(void)event_del(&f->dialer_out);
	f->hooks.broken(f->hooks.user, error);
}

static int message_send(struct front *f, enum ask_message type,
			const struct ask *a)
{
	struct sbuf b;
	int r = -ENOMEM;

	if (f->broken)
		return -EPIPE;
	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(a, &b);
	if (!b.bad)
		r = chan_send(&f->dialer, type, b.s, b.len, NULL, 0);
	sbuf_done(&b);
	if (chan_wants_write(&f->dialer))
		(void)event_add(&f->dialer_out, NULL);
	return r;
}

static uint32_t new_id(struct front *f)
{
	struct question *q;

	/* after 2^32 questions an old one may still be open */
	do {
		if (++f->last_id == 0)
			f->last_id = 1;
		for (q = *bucket(f, f->last_id); q; q = q->next)
			if (q->id == f->last_id)
				break;
	} while (q);
	return f->last_id;
}

int front_ask(struct front *f, enum ask_message type, struct ask *a,
	      struct question *q)
{
	int r;

	a->id = new_id(f);
	r = message_send(f, type, a);
	if (r < 0)
		return r;
	q->id = a->id;
	q->next = *bucket(f, q->id);
	*bucket(f, q->id) = q;
	f->nopen++;
	return 0;
}

void front_cancel(struct front *f, struct question *q)
{
	struct ask a = { .id = q->id, .proto = RULE_TCP };

	if (q->id == 0)
		return;
	(void)question_take(f, q->id);
	/* a lost one costs an answer that nobody waits for */
	(void)message_send(f, ASK_CANCEL, &a);
}

void front_tell(struct front *f, enum ask_message type, struct ask *a)
{
	a->id = new_id(f);
	(void)message_send(f, type, a); /* said again later */
}

static bool on_answer(struct front *f, struct msg *m)
{
	struct question *q;
	struct answer a;
	int fd;

	if (!answer_decode(m->body, m->len, &a))
		return false;
	q = question_take(f, a.id);
	if (!q)
		return true; /* cancelled; msg_done() closes */
	if (!q->on_answer)
		return false;
	fd = m->nfds > 0 ? fd_steal(&m->fds[0]) : -1;
	q->on_answer(q, &a, &fd);
	fd_close(&fd);
	return true;
}

static bool on_resolve(struct front *f, const struct msg *m)
{
	struct answer_resolve a;
	struct question *q;

	if (!answer_resolve_decode(m->body, m->len, &a))
		return false;
	q = question_take(f, a.id);
	if (q && !q->on_resolve)
		return false;
	if (q)
		q->on_resolve(q, &a);
	return true;
}

static void dialer_readable_cb(evutil_socket_t fd, short what, void *front)
{
	struct front *f = front;
	struct msg m;

	(void)fd;
	(void)what;
	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		int r = chan_recv(&f->dialer, 0, &m);
		bool ok;

		if (r == 0)
			return;
		if (r < 0)
			return break_down(f, -r);
		ok = m.type == ANSWER ? on_answer(f, &m) : on_resolve(f, &m);
		msg_done(&m);
		if (!ok)
			return break_down(f, EPROTO);
		if (f->nopen == 0)
			return;
	}
}

static void dialer_writable_cb(evutil_socket_t fd, short what, void *front)
{
	struct front *f = front;
	int r = chan_flush(&f->dialer);

	(void)fd;
	(void)what;
	if (r < 0)
		return break_down(f, -r);
	if (!chan_wants_write(&f->dialer))
		(void)event_del(&f->dialer_out);
}

/* -- listeners -- */

static void listen_event(struct event *ev, bool on)
{
	if (!event_initialized(ev))
		return;
	if (on)
		(void)event_add(ev, NULL); /* re-adding needs no memory */
	else
		(void)event_del(ev);
}

static void listen_all(struct front *f, bool on)
{
	struct posture *p;

	LIST_FOREACH(p, &f->postures, link) {
		listen_event(&p->tcp, on);
		listen_event(&p->dns_tcp, on);
		listen_event(&p->proxy, on);
	}
}

static void pause_accept(struct front *f)
{
	const struct timeval later = { .tv_usec = RESUME_MS * 1000 };

	listen_all(f, false);
	f->paused = true;
	(void)event_add(&f->resume, &later);
}

/* A flow has two descriptors, or will have them. */
static uint32_t descriptors_used(const struct front *f)
{
	uint32_t n =
		f->fd_base + 2 * f->stats.flows + f->udp_fds + f->dns_conns;
	const struct posture *p;

	LIST_FOREACH(p, &f->postures, link)
		n += POSTURE_FDS;
	return n;
}

/*
 * A new descriptor is the lowest free number. That alone says little: above a
 * single hole all may be taken.
 */
static bool descriptors_left(const struct front *f)
{
	int fd = fcntl(f->dialer.fd, F_DUPFD_CLOEXEC, 0);
	bool left = fd >= 0 &&
		    (uint32_t)fd + f->unconnected < (uint32_t)f->fd_max &&
		    descriptors_used(f) < (uint32_t)f->fd_max;

	fd_close(&fd);
	return left;
}

bool front_may_dial(struct front *f)
{
	while (!descriptors_left(f))
		if (!udp_give_way(f, clock_ms()))
			return false;
	return true;
}

/*
 * The number that the last accept4() got is near the lowest free one: only
 * when that is near the end it is worth asking for the true one.
 */
static bool descriptors_near(const struct front *f)
{
	return (uint32_t)f->fd_last + 1 + f->unconnected >=
		       (uint32_t)f->fd_max ||
	       descriptors_used(f) >= (uint32_t)f->fd_max;
}

void front_accepted(struct front *f, int fd)
{
	if (fd >= 0)
		f->fd_last = fd;
}

bool front_may_accept(struct front *f)
{
	if (!f->paused && (f->stats.flows >= LIMIT_FLOWS ||
			   (descriptors_near(f) && !front_may_dial(f))))
		pause_accept(f);
	return !f->paused;
}

bool front_accept_failed(struct front *f, int error)
{
	/* they ran out otherwise than by accepting: look before the next */
	if (error == EMFILE || error == ENFILE)
		f->fd_last = f->fd_max;
	if (error == EMFILE || error == ENFILE || error == ENOMEM ||
	    error == ENOBUFS)
		pause_accept(f);
	return error == EAGAIN || f->paused;
}

static void resume_cb(evutil_socket_t fd, short what, void *front)
{
	struct front *f = front;

	(void)fd;
	(void)what;
	f->paused = false;
	if (!front_may_accept(f))
		return;
	listen_all(f, true);
}

static void tick_cb(evutil_socket_t fd, short what, void *front)
{
	struct front *f = front;
	int64_t now_ms = clock_ms();

	(void)fd;
	(void)what;
	dns_tick(f, now_ms);
	udp_tick(f, now_ms);
	flow_tick(f, now_ms);
}

/* -- events -- */

void front_event(struct posture *p, struct audit_event *e)
{
	struct front *f = p->front;
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	e->time_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	e->run = p->run;
	e->posture = p->id;
	if (e->verdict == AUDIT_DENY)
		f->stats.refused_total++;
	f->hooks.event(f->hooks.user, e);
}

/* -- life -- */

/* An address that stands for the namespace itself: see guard.h. */
static bool is_own_address(const struct addr *a)
{
	static const struct addr loopback6 = { .b = { [15] = 1 } };

	if (addr_is_v4(a) && addr_to_v4(a) >> 24 == 127)
		return true;
	return addr_equal(a, &loopback6) || addr_equal(a, &gate_addrs.own4) ||
	       addr_equal(a, &gate_addrs.own6);
}

static int descriptor_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur > INT32_MAX)
		return INT32_MAX;
	if (rl.rlim_cur <= 2 * LIMIT_FD_RESERVE)
		return (int)rl.rlim_cur / 2;
	return (int)rl.rlim_cur - LIMIT_FD_RESERVE;
}

int front_new(struct event_base *base, int take_dialer_fd,
	      const struct front_hooks *hooks, struct front **ret)
{
	const struct timeval tick = { .tv_usec = TICK_MS * 1000L % 1000000,
				      .tv_sec = TICK_MS / 1000 };
	struct front *f = calloc(1, sizeof(*f));

	if (!f) {
		fd_close(&take_dialer_fd);
		return -ENOMEM;
	}
	f->base = base;
	f->hooks = *hooks;
	f->is_own = is_own_address;
	f->fd_max = descriptor_limit();
	TAILQ_INIT(&f->udp_age);
	TAILQ_INIT(&f->dns_age);
	chan_init(&f->dialer, take_dialer_fd, ask_front_rules, ask_front_nrules,
		  LIMIT_CHAN_QUEUE);
	f->dialer.may_lose_fds = true; /* costs that one flow */
	f->chunk = malloc(LIMIT_RELAY_CHUNK);
	/* what there is by now stays for ever, and is below it */
	f->fd_base = (uint32_t)take_dialer_fd + 8;
	(void)event_assign(&f->dialer_in, base, take_dialer_fd,
			   EV_READ | EV_PERSIST, dialer_readable_cb, f);
	(void)event_assign(&f->dialer_out, base, take_dialer_fd,
			   EV_WRITE | EV_PERSIST, dialer_writable_cb, f);
	(void)event_assign(&f->resume, base, -1, 0, resume_cb, f);
	(void)event_assign(&f->tick, base, -1, EV_PERSIST, tick_cb, f);
	if (!f->chunk || event_add(&f->dialer_in, NULL) < 0 ||
	    event_add(&f->tick, &tick) < 0) {
		front_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

static void sockets_close(struct front_sockets *s)
{
	fd_close(&s->tcp);
	fd_close(&s->dns_tcp);
	fd_close(&s->udp);
	fd_close(&s->dns_udp);
	fd_close(&s->raw4);
	fd_close(&s->raw6);
	fd_close(&s->proxy);
}

static void posture_free(struct posture *p)
{
	listen_event(&p->tcp, false);
	listen_event(&p->dns_tcp, false);
	listen_event(&p->proxy, false);
	listen_event(&p->udp, false);
	listen_event(&p->dns_udp, false);
	flow_drop_all(p);
	proxyd_drop_all(p);
	udp_drop_all(p);
	dns_drop_all(p);
	sockets_close(&p->sockets);
	free(p);
}

void front_free(struct front *f)
{
	struct posture *p;

	if (!f)
		return;
	f->broken = true; /* nobody is to be told any more */
	while ((p = LIST_FIRST(&f->postures))) {
		LIST_REMOVE(p, link);
		posture_free(p);
	}
	(void)event_del(&f->dialer_in);
	(void)event_del(&f->dialer_out);
	(void)event_del(&f->resume);
	(void)event_del(&f->tick);
	chan_done(&f->dialer);
	counters_done(&f->counters);
	free(f->chunk);
	free(f);
}

static struct posture *posture_find(struct front *f, uint32_t id)
{
	struct posture *p;

	LIST_FOREACH(p, &f->postures, link)
		if (p->id == id)
			return p;
	return NULL;
}

/* Could a name that is seen change the verdict on an address, or what its
 * bytes are counted for? */
static bool names_matter(const struct policy *policy)
{
	struct rule r;

	if (policy_get_require_names(policy))
		return true;
	for (uint32_t i = 0; i < policy_nrules(policy); i++) {
		policy_get_rule(policy, i, &r);
		if (r.side == RULE_DENY && r.kind != RULE_CIDR)
			return true;
	}
	for (uint32_t i = 0; i < policy_nbudgets(policy); i++) {
		if (policy_budget_is_named(policy, i))
			return true;
	}
	return false;
}

static int listen_on(struct posture *p, struct event *ev, int fd,
		     event_callback_fn cb)
{
	if (fd < 0)
		return 0;
	if (event_assign(ev, p->front->base, fd, EV_READ | EV_PERSIST, cb, p) <
	    0)
		return -EINVAL;
	return event_add(ev, NULL) < 0 ? -ENOMEM : 0;
}

int front_add_posture(struct front *f, uint32_t posture,
		      const struct policy *policy, struct front_sockets *take,
		      struct err *err)
{
	struct posture *p = posture_find(f, posture) ? NULL :
						       calloc(1, sizeof(*p));
	const int one = 1;
	int r;

	if (!p) {
		sockets_close(take);
		return err_sys(err, ENOMEM, "serve posture", "%u", posture);
	}
	p->front = f;
	p->id = posture;
	p->policy = policy;
	p->peek_any = names_matter(policy);
	p->sockets = *take;
	*take = (struct front_sockets){ -1, -1, -1, -1, -1, -1, -1 };
	/* what is accepted inherits it; -1 has none */
	(void)setsockopt(p->sockets.tcp, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one));
	(void)setsockopt(p->sockets.proxy, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one));
	r = counters_take(&f->counters, policy, &p->counters);
	if (r == 0)
		r = listen_on(p, &p->tcp, p->sockets.tcp, flow_accept_cb);
	if (r == 0)
		r = listen_on(p, &p->dns_tcp, p->sockets.dns_tcp,
			      dns_accept_cb);
	if (r == 0)
		r = listen_on(p, &p->proxy, p->sockets.proxy, proxyd_accept_cb);
	if (r == 0)
		r = listen_on(p, &p->udp, p->sockets.udp, udp_readable_cb);
	if (r == 0)
		r = listen_on(p, &p->dns_udp, p->sockets.dns_udp,
			      dns_readable_cb);
	if (r < 0) {
		posture_free(p);
		return err_sys(err, -r, "serve posture", "%u", posture);
	}
	LIST_INSERT_HEAD(&f->postures, p, link);
	if (f->paused)
		listen_all(f, false);
	return 0;
}

int front_set_policy(struct front *f, uint32_t posture,
		     const struct policy *policy)
{
	struct posture *p = posture_find(f, posture);
	int r = p ? counters_take(&f->counters, policy, &p->counters) : -ENOENT;

	if (r < 0)
		return r;
	p->policy = policy;
	p->peek_any = names_matter(policy);
	flow_policy_changed(p);
	proxyd_policy_changed(p);
	udp_policy_changed(p);
	return 0;
}

void front_drop_posture(struct front *f, uint32_t posture)
{
	struct posture *p = posture_find(f, posture);

	if (!p)
		return;
	LIST_REMOVE(p, link);
	posture_free(p);
}

void front_flush(struct front *f, uint32_t posture)
{
	struct posture *p = posture_find(f, posture);

	if (p)
		dns_tell_limited(p);
}

void front_set_run(struct front *f, uint32_t posture, uint32_t run)
{
	struct posture *p = posture_find(f, posture);

	if (p)
		p->run = run;
}

void front_get_stats(const struct front *f, struct front_stats *ret)
{
	*ret = f->stats;
}
