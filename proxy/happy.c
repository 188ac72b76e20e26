/* happy.c - Happy Eyeballs: the first of several addresses that answers
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * `list` holds what is known, `next` is the first that was not tried. One
 * timer drives everything: it fires at once when something was added or an
 * attempt failed, else a delay after the last attempt began. Its callback
 * (step_cb) begins the next attempt, or finds that nothing is left.
 */
#include "proxy/happy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <event2/event.h>

#include "core/base/fd.h"
#include "proxy/upproxy_talk.h"

struct attempt {
	struct happy *happy;
	struct connector *connector; /* NULL: free place */
	struct endpoint to;
	unsigned number; /* the lower, the older */
};

struct happy {
	struct connector_env *env;
	struct connector_target like;
	bool closed;
	happy_cb *done;
	void *user;
	struct event *timer;
	struct endpoint list[HAPPY_ADDRS];
	size_t nlist, next;
	struct attempt attempts[HAPPY_ATTEMPTS];
	unsigned running, began;
	int best_error;
	uint32_t failure; /* that goes with it */
	bool own;
};

static void step_cb(evutil_socket_t fd, short what, void *arg);

int happy_new(struct connector_env *env, const struct connector_target *like,
	      happy_cb *done, void *user, struct happy **ret)
{
	struct happy *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->env = env;
	h->like = *like;
	h->done = done;
	h->user = user;
	h->timer = event_new(env->base, -1, 0, step_cb, h);
	if (!h->timer) {
		happy_free(h);
		return -ENOMEM;
	}
	for (size_t i = 0; i < HAPPY_ATTEMPTS; i++)
		h->attempts[i].happy = h;
	*ret = h;
	return 0;
}

void happy_free(struct happy *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < HAPPY_ATTEMPTS; i++)
		connector_free(h->attempts[i].connector);
	if (h->timer)
		event_free(h->timer);
	free(h);
}

static void step_in_ms(struct happy *h, int ms)
{
	const struct timeval tv = {
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};

	/* at once is in this turn of the loop, not in one of its own */
	if (ms == 0)
		event_active(h->timer, EV_TIMEOUT, 0);
	else /* one lost for want of memory: the owner's own ends it */
		(void)event_add(h->timer, &tv);
}

static bool in_list(const struct happy *h, const struct endpoint *e)
{
	for (size_t i = 0; i < h->nlist; i++) {
		if (h->list[i].port == e->port &&
		    addr_equal(&h->list[i].addr, &e->addr))
			return true;
	}
	return false;
}

static void swap(struct endpoint *a, struct endpoint *b)
{
	struct endpoint t = *a;

	*a = *b;
	*b = t;
}

/* Among those not yet tried, let the families take turns. */
static void take_turns(struct happy *h)
{
	for (size_t i = h->next ? h->next : 1; i < h->nlist; i++) {
		const bool before_is_v4 = addr_is_v4(&h->list[i - 1].addr);
		size_t other = i;

		while (other < h->nlist &&
		       addr_is_v4(&h->list[other].addr) == before_is_v4)
			other++;
		if (other == h->nlist)
			return;
		/* moved up, the order of the rest kept */
		for (; other > i; other--)
			swap(&h->list[other], &h->list[other - 1]);
	}
}

void happy_add(struct happy *h, const struct endpoint *to, size_t n)
{
	for (size_t i = 0; i < n && h->nlist < HAPPY_ADDRS; i++) {
		if (!in_list(h, &to[i]))
			h->list[h->nlist++] = to[i];
	}
	take_turns(h);
	/* no step to come: the delay after the last attempt has passed */
	if (!h->running || !event_pending(h->timer, EV_TIMEOUT, NULL))
		step_in_ms(h, 0);
}

void happy_close(struct happy *h)
{
	h->closed = true;
	if (!h->running)
		step_in_ms(h, 0);
}

/* The nearer to the target a failure was, the more it tells. */
static int rank(int error)
{
	switch (error) {
	case 0:
		return 0;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return 1;
	case ETIMEDOUT:
		return 3;
	case ECONNREFUSED:
	case ECONNRESET:
		return 4;
	default:
		return 2;
	}
}

static void remember_error(struct happy *h, int error, uint32_t failure)
{
	if (rank(error) <= rank(h->best_error))
		return;
	h->best_error = error;
	h->failure = failure;
}

int happy_error(const struct happy *h)
{
	return rank(h->best_error) > rank(ETIMEDOUT) ? h->best_error :
						       ETIMEDOUT;
}

static void attempt_end(struct attempt *a)
{
	connector_free(a->connector);
	a->connector = NULL;
	a->happy->running--;
}

static void attempt_cb(void *user, struct connector *c, enum connector_end end,
		       int error)
{
	struct attempt *a = user;
	struct happy *h = a->happy;

	if (end == CONNECTOR_OK) {
		const struct happy_result r = {
			.fd = connector_steal_fd(c),
			.peer = a->to,
		};

		attempt_end(a);
		h->done(h->user, &r);
		return;
	}
	if (end == CONNECTOR_OWN)
		h->own = true;
	else
		remember_error(h, error, c->failure);
	/* what it says of us it would say again */
	if (upproxy_failure_final(c->failure))
		h->next = h->nlist;
	attempt_end(a);
	step_in_ms(h, 0);
}

/* A free place, or that of the oldest attempt, which ends. */
static struct attempt *place_for_one(struct happy *h)
{
	struct attempt *oldest = NULL;

	for (size_t i = 0; i < HAPPY_ATTEMPTS; i++) {
		struct attempt *a = &h->attempts[i];

		if (!a->connector)
			return a;
		if (!oldest || a->number < oldest->number)
			oldest = a;
	}
	remember_error(h, ETIMEDOUT, 0);
	attempt_end(oldest);
	return oldest;
}

static void attempt_begin(struct happy *h, const struct endpoint *to)
{
	struct connector_target target = h->like;
	struct attempt *a = place_for_one(h);
	int r;

	target.to = *to;
	a->to = *to;
	a->number = h->began++;
	r = connector_new(h->env, &target, attempt_cb, a, &a->connector);
	if (r < 0)
		remember_error(h, -r, 0);
	else
		h->running++;
}

/* A proxy takes its time, and its answer tells: no second one too soon. */
static int delay_ms(const struct happy *h)
{
	return h->like.by_proxy ? LIMIT_HE_PROXY_MS : LIMIT_HE_DELAY_MS;
}

static void step_cb(evutil_socket_t fd, short what, void *arg)
{
	struct happy *h = arg;

	(void)fd;
	(void)what;
	if (h->next < h->nlist) {
		attempt_begin(h, &h->list[h->next++]);
		step_in_ms(h, h->running ? delay_ms(h) : 0);
		return;
	}
	if (h->closed && !h->running) {
		const struct happy_result r = {
			.fd = -1,
			.error = h->best_error,
			.failure = h->failure,
			.own = h->own && !h->best_error,
		};

		h->done(h->user, &r);
	}
}
