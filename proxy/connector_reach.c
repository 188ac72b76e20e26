/* connector_reach.c - the link that finds the caller's own proxy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	ask	is the target one that nobody may reach by way of a proxy
 *		either: an own address of this host, or the proxy itself?
 *	find	the proxy's name, by the session's resolvers and outside of
 *		any posture: no policy looks at it, and it may be anywhere
 *	race	its addresses (happy.h), each dialled as a service of the
 *		host is: private, link-local and loopback are right here, and
 *		nowhere else
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "policy/upproxy.h"
#include "proxy/connector.h"
#include "proxy/dialer_internal.h"
#include "proxy/dns.h"
#include "proxy/happy.h"
#include "proxy/upproxy_talk.h"

struct reach {
	struct happy *happy;
	size_t found;
	struct reach_lookup {
		struct connector *c;
		struct lookup *lookup; /* NULL: not under way */
	} lookups[2];
};

static void own_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connector_end(arg, CONNECTOR_OWN, 0);
}

/* Out of the loop: start() must not end the connector itself. */
static int end_as_own(struct connector *c)
{
	c->event = event_new(c->env->base, -1, 0, own_cb, c);
	if (!c->event)
		return -ENOMEM;
	event_active(c->event, EV_TIMEOUT, 0);
	return 0;
}

static bool is_own(const struct connector *c)
{
	const struct dialer_hooks *hooks = c->env->hooks;

	if (connector_is_proxy(c->env, c->target.name, &c->target.to))
		return true;
	if (c->target.name)
		return false;
	switch (hooks->route(hooks->user, c->target.proto, &c->target.to)) {
	case DIALER_ROUTE_OWN:
	case DIALER_ROUTE_REFUSED:
		return true;
	case DIALER_ROUTE_OK:
	case DIALER_ROUTE_NONE: /* the proxy has its own */
		break;
	}
	return false;
}

static void reached_cb(void *user, const struct happy_result *result)
{
	struct connector *c = user;
	const struct reach *r = c->state;
	const int error = result->error ? result->error : EHOSTUNREACH;

	if (result->fd >= 0) {
		c->fd = result->fd;
		return connector_end(c, CONNECTOR_OK, 0);
	}
	c->failure = r->found ?
			     upproxy_failed(UPPROXY_F_REACH, (unsigned)error) :
			     upproxy_failed(UPPROXY_F_NO_NAME, 0);
	connector_end(c, CONNECTOR_FAILED, error);
}

static void add(struct connector *c, const struct addr *addrs, size_t n)
{
	struct reach *r = c->state;

	for (size_t i = 0; i < n; i++) {
		const struct endpoint to = { addrs[i], c->env->proxy->port };

		happy_add(r->happy, &to, 1);
	}
	r->found += n;
}

/* -- by name -- */

static void remember(struct connector_env *env, const struct addr *a)
{
	const size_t max =
		sizeof(env->proxy_addrs) / sizeof(env->proxy_addrs[0]);

	for (size_t i = 0; i < env->nproxy_addrs; i++)
		if (addr_equal(&env->proxy_addrs[i], a))
			return;
	if (env->nproxy_addrs == max) {
		env->nproxy_addrs--;
		memmove(&env->proxy_addrs[0], &env->proxy_addrs[1],
			(max - 1) * sizeof(env->proxy_addrs[0]));
	}
	env->proxy_addrs[env->nproxy_addrs++] = *a;
}

static void found_cb(void *user, const struct lookup_result *result)
{
	struct reach_lookup *l = user;
	struct connector *c = l->c;
	struct reach *r = c->state;

	l->lookup = NULL;
	for (size_t i = 0; i < result->naddrs; i++)
		remember(c->env, &result->addrs[i]);
	if (connector_is_proxy(c->env, c->target.name, &c->target.to))
		return connector_end(c, CONNECTOR_OWN, 0);
	add(c, result->addrs, result->naddrs);
	if (!r->lookups[0].lookup && !r->lookups[1].lookup)
		happy_close(r->happy);
}

static int find(struct connector *c)
{
	static const uint16_t types[] = { DNS_TYPE_A, DNS_TYPE_AAAA };
	struct reach *r = c->state;
	int err = 0;

	for (int i = 0; i < 2 && err == 0; i++) {
		struct reach_lookup *l = &r->lookups[i];

		l->c = c;
		err = lookup_new(c->env->dialer, NULL, c->env->proxy->host,
				 types[i], found_cb, l, &l->lookup);
	}
	return err;
}

/* -- the link -- */

static int reach_start(struct connector *c)
{
	const struct connector_target like = { .proto = RULE_TCP,
					       .host = true };
	const struct addr local[] = { addr_from_v4(INADDR_LOOPBACK),
				      { .b = { [15] = 1 } } };
	const struct upproxy *u = c->env->proxy;
	struct reach *r;
	int err;

	c->state = r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (is_own(c))
		return end_as_own(c);
	err = happy_new(c->env, &like, reached_cb, c, &r->happy);
	if (err < 0)
		return err;
	if (u->host[0] && !name_is_localhost(u->host))
		return find(c);
	if (u->host[0])
		add(c, local, 2);
	else
		add(c, &u->addr, 1);
	happy_close(r->happy);
	return 0;
}

static void reach_stop(struct connector *c)
{
	struct reach *r = c->state;

	if (c->event)
		event_free(c->event);
	c->event = NULL;
	if (!r)
		return;
	lookup_cancel(r->lookups[0].lookup);
	lookup_cancel(r->lookups[1].lookup);
	happy_free(r->happy);
	free(r);
	c->state = NULL;
}

const struct connector_type connector_reach = {
	.name = "reach",
	.start = reach_start,
	.stop = reach_stop,
};
