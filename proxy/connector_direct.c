/* connector_direct.c - the link that makes the socket and connects it
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The last look before a packet leaves. The owner says where the address
 * would go, at this moment: an own address of the host, broadcast or
 * multicast is not dialled, whatever the policy says of names; nor an IPv6
 * address that stands for such an IPv4 one, which a translator in the network
 * would lead back to the host. Between the question and connect() the host may
 * still be given that very address; then the connection has one address at both
 * ends, or the second question, behind connect(), finds it: it is thrown away.
 *
 * #syscalls socket setsockopt getsockopt connect getsockname getpeername
 * #syscalls close
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "policy/guard.h"
#include "proxy/connector.h"

/* What start() found out stands in c->error until the loop reports it. */
enum {
	STILL_CONNECTING = 0,
	CONNECTED_AT_ONCE = -1,
	WOULD_BE_OWN = -2,
};

/* 0, WOULD_BE_OWN or errno. */
static int ask_one(const struct connector *c, const struct addr *to)
{
	const struct dialer_hooks *hooks = c->env->hooks;

	const struct endpoint there = { *to, c->target.to.port };

	switch (hooks->route(hooks->user, c->target.proto, &there)) {
	case DIALER_ROUTE_OK:
		return 0;
	case DIALER_ROUTE_NONE:
		return ENETUNREACH;
	case DIALER_ROUTE_OWN:
	case DIALER_ROUTE_REFUSED:
		break;
	}
	return WOULD_BE_OWN;
}

static int ask_route(const struct connector *c)
{
	struct addr inner[GUARD_EMBEDDED_MAX];
	size_t n;

	if (c->target.host)
		return 0;
	n = guard_embedded(&c->target.to.addr, inner);
	/* that nothing leads there from here says nothing of the translator */
	for (size_t i = 0; i < n; i++)
		if (ask_one(c, &inner[i]) == WOULD_BE_OWN)
			return WOULD_BE_OWN;
	return ask_one(c, &c->target.to.addr);
}

/* STILL_CONNECTING, CONNECTED_AT_ONCE or WOULD_BE_OWN, by the two ends. */
static int look_at_ends(const struct connector *c)
{
	struct sockaddr_storage local = { 0 }, remote = { 0 };
	socklen_t local_len = sizeof(local), remote_len = sizeof(remote);
	struct endpoint a, b;

	/* there is no peer before the handshake has ended */
	if (getpeername(c->fd, (struct sockaddr *)&remote, &remote_len) < 0)
		return STILL_CONNECTING;
	if (getsockname(c->fd, (struct sockaddr *)&local, &local_len) < 0 ||
	    !endpoint_from_sockaddr((struct sockaddr *)&local, local_len, &a) ||
	    !endpoint_from_sockaddr((struct sockaddr *)&remote, remote_len, &b))
		return WOULD_BE_OWN;
	if (!addr_equal(&a.addr, &b.addr))
		return ask_route(c) == WOULD_BE_OWN ? WOULD_BE_OWN :
						      CONNECTED_AT_ONCE;
	/* to a service of the host: only the very same socket is wrong */
	return c->target.host && a.port != b.port ? CONNECTED_AT_ONCE :
						    WOULD_BE_OWN;
}

static void ready_cb(evutil_socket_t fd, short what, void *arg)
{
	struct connector *c = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)what;
	if (c->error > 0)
		return connector_end(c, CONNECTOR_FAILED, c->error);
	if (c->error == STILL_CONNECTING) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (error)
			return connector_end(c, CONNECTOR_FAILED, error);
		/* no peer: gone already, the relay says it */
		c->error = look_at_ends(c);
	}
	if (c->error == WOULD_BE_OWN)
		return connector_end(c, CONNECTOR_OWN, 0);
	connector_end(c, CONNECTOR_OK, 0);
}

static void set_options(int fd)
{
	const int on = 1, idle_s = LIMIT_KEEPALIVE_S;

	/* comforts: a connection without them is still one */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
			 sizeof(idle_s));
}

static int begin(struct connector *c)
{
	const bool tcp = c->target.proto == RULE_TCP;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&c->target.to, &sa);
	int r = ask_route(c);

	if (r)
		return r;
	c->fd = socket(sa.ss_family,
		       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK |
			       SOCK_CLOEXEC,
		       0);
	if (c->fd < 0)
		return errno;
	if (tcp)
		set_options(c->fd);
	/* interrupted, it goes on in the background: connect(2) */
	if (connect(c->fd, (struct sockaddr *)&sa, len) < 0 &&
	    errno != EINPROGRESS && errno != EINTR)
		return errno;
	/* a neighbour has answered by now: nothing to wait for */
	return look_at_ends(c);
}

static int direct_start(struct connector *c)
{
	c->error = begin(c);
	c->event = event_new(c->env->base, c->fd, EV_WRITE, ready_cb, c);
	if (!c->event)
		return -ENOMEM;
	if (c->error != STILL_CONNECTING)
		event_active(c->event, EV_WRITE, 0);
	else if (event_add(c->event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static void direct_stop(struct connector *c)
{
	if (c->event)
		event_free(c->event);
	c->event = NULL;
}

const struct connector_type connector_direct = {
	.name = "direct",
	.start = direct_start,
	.stop = direct_stop,
};
