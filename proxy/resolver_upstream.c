/* resolver_upstream.c - c-ares in a libevent loop: a query out, bytes back
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * c-ares sends everything of a channel from one port until the channel is
 * idle, and whoever wants to forge an answer has to guess port and id. So
 * the ids are ours (getrandom(2): c-ares 1.18 takes the one in the message,
 * and its own come from rand() where there is no /dev/urandom), sockets are
 * not kept open between queries, and a channel is retired after
 * CHANNEL_QUERIES: a new one takes over, the old one lives until it has got
 * its last answer. New servers mean a new channel, too.
 *
 *	current -> retired -> (no query under way) -> destroyed by a tick
 *
 * c-ares 1.18 begins every query with the first server, dead or not. So the
 * servers change places when a query was answered only after a time-out, and
 * a new channel takes over with those that answer first; for a while, then
 * the order is again as it was given.
 *
 * Nor does it know the interface that a link-local address needs: where a
 * server has one, connecting is done here.
 *
 * A channel is never destroyed from one of its own callbacks, nor in the
 * middle of ares_process_fd(): only the tick, or upstream_free(), does it.
 *
 * The options name everything that c-ares would else look for in files and
 * variables: there are no files, and the variables are not ours.
 *
 * #syscalls socket connect bind setsockopt ioctl fcntl close getsockname
 * #syscalls sendto send write writev recvfrom recv read
 */
#include "proxy/resolver_upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <ares.h>
#include <event2/event.h>

#include "core/base/fd.h"
#include "proxy/dns.h"

enum {
	CHANNEL_QUERIES = 500,
	/* doubles with every round; the owner's deadline ends it before */
	TRY_MS = 800,
	TRIES = 4,
	DNS_PORT = 53,
};

/* A socket of c-ares that the loop watches. */
struct watched {
	LIST_ENTRY(watched) link;
	struct channel *channel;
	ares_socket_t fd;
	struct event *event;
};

struct channel {
	LIST_ENTRY(channel) link; /* of upstream.retired */
	struct upstream *upstream;
	ares_channel ares;
	LIST_HEAD(watched_list, watched) watched;
	unsigned sent, open; /* queries: ever, and under way */
};

struct query {
	struct channel *channel;
	upstream_cb *done;
	void *user;
};

struct upstream {
	struct event_base *base;
	struct channel *current; /* NULL: made for the next query */
	LIST_HEAD(channel_list, channel) retired;
	struct upstream_server given[UPSTREAM_SERVERS],
		servers[UPSTREAM_SERVERS];
	size_t nservers;
	int64_t given_again_ms; /* servers != given until then */
	unsigned open;
};

static void socket_cb(evutil_socket_t fd, short what, void *arg)
{
	const struct watched *w = arg;

	/* w is gone if this closes the socket */
	ares_process_fd(w->channel->ares, what & EV_READ ? fd : ARES_SOCKET_BAD,
			what & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

static void watched_free(struct watched *w)
{
	LIST_REMOVE(w, link);
	if (w->event)
		event_free(w->event);
	free(w);
}

static struct watched *watched_get(struct channel *c, ares_socket_t fd)
{
	struct watched *w;

	LIST_FOREACH(w, &c->watched, link) {
		if (w->fd == fd)
			return w;
	}
	return NULL;
}

/* c-ares says what it wants of a socket; nothing: it will be closed. */
static void state_cb(void *data, ares_socket_t fd, int readable, int writable)
{
	struct channel *c = data;
	struct watched *w = watched_get(c, fd);
	short what = EV_PERSIST;

	if (!readable && !writable) {
		if (w)
			watched_free(w);
		return;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return; /* unwatched: its queries run into time-outs */
		w->channel = c;
		w->fd = fd;
		LIST_INSERT_HEAD(&c->watched, w, link);
	}
	if (readable)
		what |= EV_READ;
	if (writable)
		what |= EV_WRITE;
	if (w->event)
		event_free(w->event);
	w->event = event_new(c->upstream->base, fd, what, socket_cb, w);
	if (!w->event || event_add(w->event, NULL) < 0)
		watched_free(w);
}

/* -- servers with a scope -- */

static ares_socket_t socket_open(int domain, int type, int protocol, void *data)
{
	(void)data;
	return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int socket_close(ares_socket_t fd, void *data)
{
	(void)data;
	return close(fd);
}

static int socket_connect(ares_socket_t fd, const struct sockaddr *to,
			  ares_socklen_t len, void *data)
{
	const struct channel *c = data;
	const struct upstream *u = c->upstream;
	struct sockaddr_in6 scoped;
	struct endpoint e;

	if (!endpoint_from_sockaddr(to, len, &e) || to->sa_family != AF_INET6)
		return connect(fd, to, len);
	memcpy(&scoped, to, sizeof(scoped));
	for (size_t i = 0; i < u->nservers; i++) {
		if (addr_equal(&u->servers[i].at.addr, &e.addr))
			scoped.sin6_scope_id = u->servers[i].scope;
	}
	return connect(fd, (const struct sockaddr *)&scoped, sizeof(scoped));
}

static ares_ssize_t socket_receive(ares_socket_t fd, void *buf, size_t size,
				   int flags, struct sockaddr *from,
				   ares_socklen_t *len, void *data)
{
	(void)data;
	return recvfrom(fd, buf, size, flags, from, len);
}

static ares_ssize_t socket_send(ares_socket_t fd, const struct iovec *parts,
				int n, void *data)
{
	(void)data;
	return writev(fd, parts, n);
}

static const struct ares_socket_functions scoped_sockets = {
	.asocket = socket_open,
	.aclose = socket_close,
	.aconnect = socket_connect,
	.arecvfrom = socket_receive,
	.asendv = socket_send,
};

/* -- channels -- */

static int channel_set_servers(struct channel *c, const struct upstream *u)
{
	struct ares_addr_port_node nodes[UPSTREAM_SERVERS] = { 0 };
	bool scoped = false;

	for (size_t i = 0; i < u->nservers; i++) {
		const struct endpoint *e = &u->servers[i].at;
		struct ares_addr_port_node *node = &nodes[i];

		node->udp_port = e->port ? e->port : DNS_PORT;
		node->tcp_port = node->udp_port;
		if (addr_is_v4(&e->addr)) {
			node->family = AF_INET;
			memcpy(&node->addr.addr4, e->addr.b + 12, 4);
		} else {
			node->family = AF_INET6;
			memcpy(&node->addr.addr6, e->addr.b, 16);
		}
		if (i > 0)
			nodes[i - 1].next = node;
		scoped |= u->servers[i].scope != 0;
	}
	if (scoped)
		ares_set_socket_functions(c->ares, &scoped_sockets, c);
	return ares_set_servers_ports(c->ares, nodes);
}

static void channel_free(struct channel *c)
{
	if (c->ares)
		ares_destroy(c->ares); /* calls back, closes its sockets */
	while (!LIST_EMPTY(&c->watched))
		watched_free(LIST_FIRST(&c->watched));
	free(c);
}

static struct channel *channel_new(struct upstream *u, bool edns)
{
	/* replaced before the first query, but it keeps files unread */
	struct in_addr nobody = { .s_addr = htonl(INADDR_LOOPBACK) };
	char lookups[] = "b";
	struct channel *c = calloc(1, sizeof(*c));
	struct ares_options o = { 0 };

	if (!c)
		return NULL;
	c->upstream = u;
	LIST_INIT(&c->watched);
	o.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
		  (edns ? ARES_FLAG_EDNS : 0);
	o.timeout = TRY_MS;
	o.tries = TRIES;
	o.ndots = 1;
	o.ednspsz = DNS_UDP_UPSTREAM;
	o.servers = &nobody;
	o.nservers = 1;
	o.lookups = lookups;
	o.sock_state_cb = state_cb;
	o.sock_state_cb_data = c;
	if (ares_init_options(&c->ares, &o,
			      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS |
				      ARES_OPT_TRIES | ARES_OPT_NDOTS |
				      ARES_OPT_EDNSPSZ | ARES_OPT_SERVERS |
				      ARES_OPT_DOMAINS | ARES_OPT_SORTLIST |
				      ARES_OPT_LOOKUPS | ARES_OPT_NOROTATE |
				      ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
		c->ares = NULL;
		channel_free(c);
		return NULL;
	}
	if (channel_set_servers(c, u) != ARES_SUCCESS) {
		channel_free(c);
		return NULL;
	}
	return c;
}

static void retire(struct upstream *u)
{
	if (u->current)
		LIST_INSERT_HEAD(&u->retired, u->current, link);
	u->current = NULL;
}

int upstream_new(struct event_base *base, struct upstream **ret)
{
	struct upstream *u;

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return -ENOMEM;
	u = calloc(1, sizeof(*u));
	if (!u) {
		ares_library_cleanup();
		return -ENOMEM;
	}
	u->base = base;
	LIST_INIT(&u->retired);
	*ret = u;
	return 0;
}

void upstream_free(struct upstream *u)
{
	struct channel *c;

	if (!u)
		return;
	retire(u);
	while ((c = LIST_FIRST(&u->retired))) {
		LIST_REMOVE(c, link);
		channel_free(c);
	}
	ares_library_cleanup();
	free(u);
}

/* In the order that was given. */
static void order_as_given(struct upstream *u)
{
	memcpy(u->servers, u->given, sizeof(u->servers));
	u->given_again_ms = 0;
	retire(u);
}

int upstream_set_servers(struct upstream *u,
			 const struct upstream_server *servers, size_t n)
{
	if (n > UPSTREAM_SERVERS)
		return -E2BIG;
	if (n > 0)
		memcpy(u->given, servers, n * sizeof(*servers));
	u->nservers = n;
	order_as_given(u);
	return 0;
}

/* The first `late` servers did not answer in time, the one behind them did. */
static void order_by_answers(struct upstream *u, size_t late)
{
	struct upstream_server moved;

	for (; late > 0; late--) {
		moved = u->servers[0];
		memmove(&u->servers[0], &u->servers[1],
			(u->nservers - 1) * sizeof(moved));
		u->servers[u->nservers - 1] = moved;
	}
	u->given_again_ms = clock_ms() + UPSTREAM_LATE_MS;
	retire(u);
}

static void answer_cb(void *arg, int status, int timeouts, unsigned char *data,
		      int len)
{
	struct query *q = arg;
	struct upstream *u = q->channel->upstream;

	q->channel->open--;
	u->open--;
	/* a query of an older channel tells of an order that is no more */
	if (status == ARES_SUCCESS && timeouts > 0 && q->channel == u->current)
		order_by_answers(u, (size_t)timeouts % u->nservers);
	if (status == ARES_SUCCESS && data && len > 0)
		q->done(q->user, data, (size_t)len);
	else
		q->done(q->user, NULL, 0);
	free(q);
}

void upstream_send(struct upstream *u, const uint8_t *query, size_t len,
		   bool edns, upstream_cb *done, void *user)
{
	struct query *q = NULL;

	if (u->given_again_ms && clock_ms() >= u->given_again_ms)
		order_as_given(u);
	if (u->current && u->current->sent >= CHANNEL_QUERIES)
		retire(u);
	if (!u->current && u->nservers > 0)
		u->current = channel_new(u, edns);
	if (u->current)
		q = calloc(1, sizeof(*q));
	if (!q)
		return done(user, NULL, 0);
	q->channel = u->current;
	q->done = done;
	q->user = user;
	u->current->sent++;
	u->current->open++;
	u->open++;
	ares_send(u->current->ares, query, (int)len, answer_cb, q);
}

void upstream_tick(struct upstream *u)
{
	struct channel *c, *next;

	if (u->current)
		ares_process_fd(u->current->ares, ARES_SOCKET_BAD,
				ARES_SOCKET_BAD);
	for (c = LIST_FIRST(&u->retired); c; c = next) {
		ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		/* taken here: an answer may have retired another channel */
		next = LIST_NEXT(c, link);
		if (c->open > 0)
			continue;
		LIST_REMOVE(c, link);
		channel_free(c);
	}
}

bool upstream_is_busy(const struct upstream *u)
{
	return u->open > 0 || !LIST_EMPTY(&u->retired);
}
