/* dialer.c - the side of the gate that decides and opens
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * front asks (ask.h), one message a question. What can be said at once is
 * answered at once; the rest becomes a task with a deadline, found again by
 * the id that front gave it:
 *
 *	ASK_RESOLVE	decide -> look up -> pin -> answer	dialer_resolve.c
 *	ASK_DIAL	judge -> (look up) -> race -> answer	dialer_dial.c
 *	ASK_CHECK	judge -> answer
 *
 * A task ends in one of task_answer_dial(), task_answer_resolve() (the answer
 * goes out) and task_free() (cancelled). Whatever it has under way ends with
 * it, without a call back.
 *
 * When front is gone the owner is told, once, from an event of its own: never
 * in the middle of something.
 *
 * #syscalls sendmsg recvmsg epoll_wait epoll_ctl clock_gettime close
 */
#include "proxy/dialer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <event2/event.h>

#include "core/base/fd.h"
#include "proxy/dialer_internal.h"
#include "proxy/happy.h"
#include "proxy/resolver.h"
#include "proxy/synth.h"

/* -- the socket to front -- */

static void front_broken(struct dialer *d, int error)
{
	if (d->broken_error)
		return;
	d->broken_error = error;
	(void)event_del(d->readable); /* cannot fail: both are ours */
	(void)event_del(d->writable);
	event_active(d->broken, EV_TIMEOUT, 0);
}

static void broken_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dialer *d = arg;

	(void)fd;
	(void)what;
	d->hooks.broken(d->hooks.user, d->broken_error);
}

static bool lacks_descriptors(int error)
{
	/* the last: too many of the user's are on their way (unix(7)) */
	return error == EMFILE || error == ENFILE || error == ETOOMANYREFS;
}

/* False: the descriptor could not go, and nothing was sent. */
static bool send_front(struct dialer *d, uint32_t type, struct sbuf *body,
		       int fd)
{
	int r = -ENOMEM;

	if (d->broken_error)
		return true;
	if (!body->bad)
		r = chan_send(&d->front, type, body->s, body->len, &fd,
			      fd >= 0 ? 1 : 0);
	if (fd >= 0 && lacks_descriptors(-r))
		return false;
	if (r == 0 && chan_wants_write(&d->front))
		r = event_add(d->writable, NULL) < 0 ? -ENOMEM : 0;
	if (d->front.queued > DIALER_PAUSE)
		(void)event_del(d->readable); /* cannot fail: it is ours */
	/* an answer that is lost would leave front waiting for ever */
	if (r < 0)
		front_broken(d, -r);
	return true;
}

void send_answer(struct dialer *d, const struct answer *a, int fd)
{
	struct answer failed = *a;
	struct sbuf body;
	bool sent;

	sbuf_init(&body, MSG_INLINE_MAX);
	answer_encode(a, &body);
	sent = send_front(d, ANSWER, &body, fd);
	sbuf_done(&body);
	if (sent)
		return;
	/* it costs this flow, not the session */
	failed.error = EMFILE;
	send_answer(d, &failed, -1);
}

void send_answer_resolve(struct dialer *d, const struct answer_resolve *a)
{
	struct sbuf body;

	sbuf_init(&body, MSG_INLINE_MAX);
	answer_resolve_encode(a, &body);
	(void)send_front(d, ANSWER_RESOLVE, &body, -1); /* has none */
	sbuf_done(&body);
}

static void writable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dialer *d = arg;
	int r = chan_flush(&d->front);

	(void)fd;
	(void)what;
	if (r < 0)
		return front_broken(d, -r);
	if (chan_wants_write(&d->front))
		return;
	(void)event_del(d->writable); /* cannot fail: it is ours */
	if (event_add(d->readable, NULL) < 0)
		front_broken(d, ENOMEM);
}

/* -- tasks -- */

static void late_cb(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;

	(void)fd;
	(void)what;
	if (t->resolved)
		return resolve_late(t);
	dial_late(t);
}

static struct task *task_find(struct dialer *d, uint32_t id)
{
	struct task *t;

	LIST_FOREACH(t, &d->tasks[id % DIALER_BUCKETS], bucket) {
		if (t->ask.id == id)
			return t;
	}
	return NULL;
}

struct task *task_new(struct dialer *d, struct posture *p, const struct ask *a,
		      enum task_kind kind)
{
	const unsigned ms = kind == TASK_RESOLVE ? LIMIT_DNS_UPSTREAM_MS :
						   LIMIT_DIAL_MS;
	const struct timeval tv = {
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};
	struct task *t;

	if (d->ntasks >= DIALER_TASKS)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->dialer = d;
	t->posture = p;
	t->ask = *a;
	LIST_INSERT_HEAD(&d->tasks[a->id % DIALER_BUCKETS], t, bucket);
	d->ntasks++;
	if (kind == TASK_RESOLVE)
		t->resolved = calloc(1, sizeof(*t->resolved));
	else
		t->dialled = calloc(1, sizeof(*t->dialled));
	t->deadline = event_new(d->base, -1, 0, late_cb, t);
	if ((!t->resolved && !t->dialled) || !t->deadline ||
	    event_add(t->deadline, &tv) < 0) {
		task_free(t);
		return NULL;
	}
	return t;
}

void task_free(struct task *t)
{
	LIST_REMOVE(t, bucket);
	t->dialer->ntasks--;
	if (t->deadline)
		event_free(t->deadline);
	lookup_cancel(t->lookup);
	pin_batch_forget_task(t->batch);
	for (int i = 0; t->families && i < 2; i++)
		lookup_cancel(t->families[i].lookup);
	happy_free(t->happy);
	free(t->families);
	free(t->resolved);
	free(t->dialled);
	free(t);
}

void task_answer_dial(struct task *t, int fd)
{
	send_answer(t->dialer, t->dialled, fd);
	task_free(t);
}

void task_answer_resolve(struct task *t)
{
	send_answer_resolve(t->dialer, t->resolved);
	task_free(t);
}

/* -- questions -- */

struct posture *dialer_posture(struct dialer *d, uint32_t id)
{
	struct posture *p;

	LIST_FOREACH(p, &d->postures, link) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

/* 0, or -EPROTO: front says what it never says. */
static int take_ask(struct dialer *d, const struct msg *m)
{
	struct ask a;
	struct posture *p;
	struct task *open;

	if (!ask_decode(m->body, m->len, &a))
		return -EPROTO;
	p = dialer_posture(d, a.posture);
	open = task_find(d, a.id);
	if (m->type == ASK_CANCEL) {
		if (open)
			task_free(open);
		return 0;
	}
	if (m->type == ASK_USED) {
		dial_used(d, p, &a);
		return 0;
	}
	if (open)
		return -EPROTO;
	if (m->type == ASK_RESOLVE) {
		if (!a.name[0] || !a.qtype)
			return -EPROTO;
		resolve_ask(d, p, &a);
		return 0;
	}
	if (m->type == ASK_DIAL)
		dial_ask(d, p, &a);
	else
		dial_check(d, p, &a);
	return 0;
}

static void readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dialer *d = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < DIALER_READ_BURST; i++) {
		struct msg m;

		if (d->broken_error || d->front.queued > DIALER_PAUSE)
			return;
		int r = chan_recv(&d->front, 0, &m);

		if (r == 0)
			return;
		if (r > 0) {
			r = take_ask(d, &m);
			msg_done(&m);
		}
		if (r < 0)
			return front_broken(d, -r);
	}
}

/* -- for the owner -- */

static int make_events(struct dialer *d)
{
	d->readable = event_new(d->base, d->front.fd, EV_READ | EV_PERSIST,
				readable_cb, d);
	d->writable = event_new(d->base, d->front.fd, EV_WRITE | EV_PERSIST,
				writable_cb, d);
	d->broken = event_new(d->base, -1, 0, broken_cb, d);
	if (!d->readable || !d->writable || !d->broken)
		return -ENOMEM;
	return event_add(d->readable, NULL) < 0 ? -ENOMEM : 0;
}

int dialer_new(struct event_base *base, int take_front_fd,
	       const struct dialer_hooks *hooks, struct dialer **ret)
{
	struct dialer *d = calloc(1, sizeof(*d));
	int r;

	if (!d) {
		fd_close(&take_front_fd);
		return -ENOMEM;
	}
	d->base = base;
	d->hooks = *hooks;
	d->env = (struct connector_env){
		.base = base,
		.hooks = &d->hooks,
		.dialer = d,
	};
	TAILQ_INIT(&d->batches);
	chan_init(&d->front, take_front_fd, ask_dialer_rules, ask_dialer_nrules,
		  LIMIT_CHAN_QUEUE);
	r = resolver_new(base, &d->resolver);
	if (r == 0)
		r = make_events(d);
	if (r < 0) {
		dialer_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

static void event_done(struct event *e)
{
	if (e)
		event_free(e);
}

void dialer_free(struct dialer *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < DIALER_BUCKETS; i++) {
		while (!LIST_EMPTY(&d->tasks[i]))
			task_free(LIST_FIRST(&d->tasks[i]));
	}
	while (!LIST_EMPTY(&d->postures))
		dialer_drop_posture(d, LIST_FIRST(&d->postures)->id);
	resolver_free(d->resolver);
	hosts_free(d->hosts);
	upproxy_wipe(&d->proxy);
	event_done(d->readable);
	event_done(d->writable);
	event_done(d->broken);
	chan_done(&d->front);
	free(d);
}

int dialer_set_servers(struct dialer *d, const struct upstream_server *servers,
		       size_t n, struct err *err)
{
	int r = resolver_set_servers(d->resolver, servers, n);

	if (r < 0)
		return err_sys(err, -r, "set DNS servers", "%zu servers", n);
	return 0;
}

int dialer_set_hosts(struct dialer *d, const struct dialer_host *hosts,
		     size_t n, struct err *err)
{
	struct hosts *h;
	int r = hosts_new(hosts, n, &h);

	if (r < 0)
		return err_sys(err, -r, "set host names", "%zu entries", n);
	hosts_free(d->hosts);
	d->hosts = h;
	return 0;
}

static void posture_free(struct posture *p)
{
	pins_free(p->pins);
	quota_free(p->quota);
	synth_free(p->synth);
	free(p->classes);
	free(p);
}

int dialer_add_posture(struct dialer *d, uint32_t posture,
		       const struct policy *policy)
{
	struct posture *p;
	int r;

	if (dialer_posture(d, posture))
		return -EEXIST;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->id = posture;
	p->policy = policy;
	r = pins_new(&p->pins);
	if (r == 0)
		r = posture_take_classes(p);
	if (r < 0) {
		posture_free(p);
		return r;
	}
	LIST_INSERT_HEAD(&d->postures, p, link);
	return 0;
}

/* Nothing of it is allowed any more: what is under way ends so. */
static void refuse_task(struct task *t)
{
	if (t->resolved) {
		/* what was found already is not for front any more */
		*t->resolved = (struct answer_resolve){
			.id = t->ask.id,
			.reason = POLICY_R_DEFAULT,
		};
		return task_answer_resolve(t);
	}
	*t->dialled = (struct answer){
		.id = t->ask.id,
		.reason = POLICY_R_DEFAULT,
	};
	task_answer_dial(t, -1);
}

void dialer_drop_posture(struct dialer *d, uint32_t posture)
{
	struct posture *p = dialer_posture(d, posture);
	struct task *t, *next;

	if (!p)
		return;
	for (size_t i = 0; i < DIALER_BUCKETS; i++) {
		for (t = LIST_FIRST(&d->tasks[i]); t; t = next) {
			next = LIST_NEXT(t, bucket);
			if (t->posture == p)
				refuse_task(t);
		}
	}
	pin_batches_drop(d, p);
	LIST_REMOVE(p, link);
	posture_free(p);
}
