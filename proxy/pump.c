/* pump.c - TLS to the caller's own proxy, for connections that others use
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: pump.h. The loop tells of both sockets when something
 * about them changes (edge-triggered); what each can do at present is kept in
 * the tube, and each event moves what can be moved: no state has a set of
 * events of its own. One that never runs dry lets the others have their turn.
 *
 * #syscalls accept4 socket getsockname getpeername recvfrom sendto shutdown
 * #syscalls setsockopt getsockopt ioctl dup close
 */
#include "proxy/pump.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/fd.h"
#include "core/base/limits.h"
#include "policy/upproxy.h"
#include "proxy/pump_tls.h"
#include "proxy/upproxy_talk.h"

enum {
	CHUNK = 16 << 10, /* one record of TLS (RFC 8446 5.1) */
	BURST = 16,	  /* chunks of one direction at a time */
	LAST_MS = 10,	  /* between two looks at what is unread */
};

enum state { HANDSHAKE, PAIRING, RELAY, LAST };

/* One direction: what its sink has not taken yet, and its end. */
struct lane {
	uint8_t *data; /* CHUNK; NULL: empty */
	size_t off, len;
	bool ended; /* the source has */
	bool told;  /* and the sink knows */
};

struct tube {
	LIST_ENTRY(tube) link;
	struct pump *pump;
	uint32_t id; /* of the dialer's choice; of no meaning after PAIRING */
	enum state state;
	struct pump_tls tls;
	int proxy;
	int given; /* PAIRING: our copy of what the dialer connects */
	int inner; /* from RELAY on: what it is connected to */
	bool readable, writable; /* inner */
	int64_t last_ms;	 /* LAST: until then */
	struct event *proxy_event, *inner_event;
	struct event *timer; /* a deadline; RELAY: the next turn */
	struct lane up, down;
};

struct pump {
	struct event_base *base;
	struct pump_hooks hooks;
	struct upproxy to; /* no credentials */
	SSL_CTX *context;
	int spare; /* a descriptor for when there is none left */
	struct event *accept;
	LIST_HEAD(tube_list, tube) tubes;
	unsigned ntubes;
	uint8_t chunk[CHUNK];
};

/* ---- life ---- */

static void event_drop(struct event **e)
{
	if (*e)
		event_free(*e);
	*e = NULL;
}

/* Its peer sees a reset, not an end. */
static void make_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	if (fd >= 0) /* else its end alone will be seen */
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void tube_free(struct tube *t)
{
	event_drop(&t->proxy_event);
	event_drop(&t->inner_event);
	event_drop(&t->timer);
	pump_tls_done(&t->tls);
	fd_close(&t->proxy);
	fd_close(&t->given);
	fd_close(&t->inner);
	free(t->up.data);
	free(t->down.data);
	LIST_REMOVE(t, link);
	t->pump->ntubes--;
	free(t);
}

static void tube_reset(struct tube *t)
{
	make_reset(t->proxy);
	make_reset(t->inner);
	tube_free(t);
}

static void timer_in_ms(struct tube *t, int ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000 };

	/* it was made with the tube; adding it again takes no memory */
	(void)event_add(t->timer, &tv);
}

/* No answer has gone out yet. */
static void tube_fail(struct tube *t, uint32_t failure)
{
	struct pump *p = t->pump;
	const uint32_t id = t->id;

	make_reset(t->proxy);
	tube_free(t);
	p->hooks.wrapped(p->hooks.user, id, -1, failure);
}

/* ---- the copies ---- */

/* Keep what the sink did not take. Mustn't: while something is kept. */
static int lane_keep(struct lane *l, const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	l->data = malloc(CHUNK);
	if (!l->data)
		return -ENOMEM;
	memcpy(l->data, data, len);
	l->off = 0;
	l->len = len;
	return 0;
}

static void lane_used(struct lane *l, size_t n)
{
	l->off += n;
	l->len -= n;
	if (l->len > 0)
		return;
	free(l->data);
	l->data = NULL;
}

/* What can be sent inwards of these bytes now. 0 or -errno. */
static int send_inner(struct tube *t, const uint8_t *data, size_t len,
		      size_t *ret_n)
{
	*ret_n = 0;
	while (*ret_n < len) {
		ssize_t n = send(t->inner, data + *ret_n, len - *ret_n,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			t->writable = false;
			break;
		}
		if (n < 0)
			return -errno;
		*ret_n += (size_t)n;
	}
	return 0;
}

static int down_flush(struct tube *t)
{
	struct lane *l = &t->down;
	size_t n;
	int r = 0;

	if (l->len > 0) {
		r = send_inner(t, l->data + l->off, l->len, &n);
		lane_used(l, n);
	}
	if (r == 0 && l->len == 0 && l->ended && !l->told) {
		(void)shutdown(t->inner, SHUT_WR); /* gone: a read tells */
		l->told = true;
	}
	return r;
}

/* 1: there may be more. 0: one side must move first. -errno. */
static int down_once(struct tube *t)
{
	struct lane *l = &t->down;
	size_t n, done;
	int r = down_flush(t);

	if (r < 0 || l->len > 0 || l->ended)
		return r;
	switch (pump_tls_read(&t->tls, t->pump->chunk, CHUNK, &n)) {
	case PUMP_DONE:
		break;
	case PUMP_AGAIN:
		return t->tls.readable && t->tls.writable;
	case PUMP_END:
		l->ended = true;
		return down_flush(t);
	case PUMP_BROKEN:
		return -ECONNRESET;
	}
	r = send_inner(t, t->pump->chunk, n, &done);
	if (r == 0)
		r = lane_keep(l, t->pump->chunk + done, n - done);
	return r < 0 ? r : 1;
}

static int up_flush(struct tube *t)
{
	struct lane *l = &t->up;
	enum pump_io io = PUMP_DONE;
	size_t n;

	while (l->len > 0 && io == PUMP_DONE) {
		io = pump_tls_write(&t->tls, l->data + l->off, l->len, &n);
		if (io == PUMP_DONE)
			lane_used(l, n);
	}
	if (l->len == 0 && l->ended && !l->told) {
		io = pump_tls_end(&t->tls);
		l->told = io == PUMP_DONE;
	}
	return io == PUMP_BROKEN ? -EPIPE : 0;
}

static int up_once(struct tube *t)
{
	struct lane *l = &t->up;
	size_t done = 0;
	ssize_t n;
	int r = up_flush(t);

	if (r < 0 || l->len > 0 || l->ended || !t->readable)
		return r;
	n = recv(t->inner, t->pump->chunk, CHUNK, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		t->readable = false;
		return 0;
	}
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	l->ended = n == 0;
	if (n == 0)
		return up_flush(t);
	if (pump_tls_write(&t->tls, t->pump->chunk, (size_t)n, &done) ==
	    PUMP_BROKEN)
		return -EPIPE;
	r = lane_keep(l, t->pump->chunk + done, (size_t)n - done);
	return r < 0 ? r : 1;
}

/* ---- the end ---- */

/* Bytes that whoever holds the other end has not been given yet. */
static bool unread(const struct tube *t)
{
	int n = 0;

	return ioctl(t->inner, SIOCOUTQ, &n) == 0 && n > 0;
}

static void last_step(struct tube *t)
{
	if (down_flush(t) < 0 || clock_ms() >= t->last_ms ||
	    (t->down.len == 0 && !unread(t)))
		return tube_reset(t);
	timer_in_ms(t, LAST_MS);
}

/* The proxy's side is broken. */
static void cut_off(struct tube *t)
{
	t->state = LAST;
	event_drop(&t->proxy_event);
	make_reset(t->proxy);
	fd_close(&t->proxy);
	pump_tls_done(&t->tls);
	t->last_ms = clock_ms() + LIMIT_WRAP_FLUSH_MS;
	last_step(t);
}

/* ---- RELAY ---- */

static int copy(struct tube *t, int (*once)(struct tube *t), bool *ret_more)
{
	int r = 1;

	for (int i = 0; i < BURST && r > 0; i++)
		r = once(t);
	*ret_more |= r > 0;
	return r;
}

static void relay_step(struct tube *t)
{
	bool more = false;
	int r;

	/* without bytes of ours: the proxy may have ended it, and said why */
	if (copy(t, up_once, &more) < 0 && !t->tls.error)
		return tube_reset(t);
	r = copy(t, down_once, &more);
	if (r == -ECONNRESET || t->tls.error)
		return cut_off(t);
	if (r < 0)
		return tube_reset(t);
	if (t->up.told && t->down.told)
		return tube_free(t);
	if (more)
		timer_in_ms(t, 0);
}

static void inner_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tube *t = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	/* a reset is acted upon before what came with it is read */
	if ((what & EV_READ) && (what & EV_WRITE) &&
	    (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error))
		return tube_reset(t);
	t->readable |= (what & EV_READ) != 0;
	t->writable |= (what & EV_WRITE) != 0;
	if (t->state == LAST)
		return last_step(t);
	relay_step(t);
}

/* ---- PAIRING ---- */

/* What the dialer will connect; its end is in our namespace. */
static void offer(struct tube *t)
{
	struct pump *p = t->pump;

	t->given =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->given < 0)
		return tube_fail(t, upproxy_failed(UPPROXY_F_TLS_LIMIT, 0));
	t->state = PAIRING;
	timer_in_ms(t, LIMIT_WRAP_MS);
	p->hooks.wrapped(p->hooks.user, t->id, t->given, 0);
}

static uint16_t port_of(int fd, int (*name)(int, struct sockaddr *restrict,
					    socklen_t *restrict))
{
	struct sockaddr_in sa = { 0 };
	socklen_t len = sizeof(sa);

	if (name(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	return ntohs(sa.sin_port);
}

static struct tube *tube_by_port(struct pump *p, uint16_t port)
{
	struct tube *t;

	LIST_FOREACH(t, &p->tubes, link)
		if (t->state == PAIRING && port != 0 &&
		    port_of(t->given, getsockname) == port)
			return t;
	return NULL;
}

static void pair(struct tube *t, int take_fd)
{
	const int on = 1;

	t->inner = take_fd;
	fd_close(&t->given);
	/* comfort: it works without */
	(void)setsockopt(take_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	t->inner_event = event_new(t->pump->base, take_fd,
				   EV_READ | EV_WRITE | EV_ET | EV_PERSIST,
				   inner_cb, t);
	if (!t->inner_event || event_add(t->inner_event, NULL) < 0)
		return tube_reset(t);
	t->state = RELAY;
	(void)event_del(t->timer);
	/* what came from the proxy so far was not looked at */
	timer_in_ms(t, 0);
}

/* What cannot be had must not wait: the loop would hear of it for ever. */
static bool turn_away(struct pump *p, int listener)
{
	cleanup_fd int fd = -1;

	if ((errno != EMFILE && errno != ENFILE) || p->spare < 0)
		return false;
	fd_close(&p->spare);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fd_close(&fd);
	p->spare = dup(listener);
	return true;
}

static void accept_cb(evutil_socket_t listener, short what, void *arg)
{
	struct pump *p = arg;

	(void)what;
	for (;;) {
		cleanup_fd int fd = accept4(listener, NULL, NULL,
					    SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct tube *t;

		if (fd < 0 && turn_away(p, listener))
			continue;
		if (fd < 0)
			return;
		t = tube_by_port(p, port_of(fd, getpeername));
		if (t)
			pair(t, fd_steal(&fd));
	}
}

/* ---- HANDSHAKE ---- */

static void handshake_step(struct tube *t)
{
	switch (pump_tls_handshake(&t->tls)) {
	case PUMP_DONE:
		return offer(t);
	case PUMP_AGAIN:
	case PUMP_END:
		return;
	case PUMP_BROKEN:
		return tube_fail(t, pump_tls_failure(&t->tls));
	}
}

static void proxy_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tube *t = arg;

	(void)fd;
	t->tls.readable |= (what & EV_READ) != 0;
	t->tls.writable |= (what & EV_WRITE) != 0;
	if (t->state == HANDSHAKE)
		return handshake_step(t);
	if (t->state == RELAY)
		return relay_step(t);
}

static void timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct tube *t = arg;

	(void)fd;
	(void)what;
	switch (t->state) {
	case HANDSHAKE:
		return tube_fail(t, upproxy_failed(UPPROXY_F_TLS_LATE, 0));
	case PAIRING:
		return tube_reset(t);
	case RELAY:
		return relay_step(t);
	case LAST:
		return last_step(t);
	}
}

/* -- from outside -- */

static int tube_start(struct tube *t)
{
	struct pump *p = t->pump;

	t->timer = event_new(p->base, -1, 0, timer_cb, t);
	t->proxy_event = event_new(p->base, t->proxy,
				   EV_READ | EV_WRITE | EV_ET | EV_PERSIST,
				   proxy_cb, t);
	if (!t->timer || !t->proxy_event ||
	    pump_tls_init(&t->tls, p->context, &p->to, t->proxy) < 0 ||
	    event_add(t->proxy_event, NULL) < 0)
		return -ENOMEM;
	timer_in_ms(t, LIMIT_WRAP_MS);
	return 0;
}

static void refuse_wrap(struct pump *p, uint32_t id, int take_fd)
{
	fd_close(&take_fd);
	p->hooks.wrapped(p->hooks.user, id, -1,
			 upproxy_failed(UPPROXY_F_TLS_LIMIT, 0));
}

void pump_wrap(struct pump *p, uint32_t id, int take_fd)
{
	struct tube *t = NULL;

	if (take_fd >= 0 && p->ntubes < LIMIT_FLOWS)
		t = calloc(1, sizeof(*t));
	if (!t)
		return refuse_wrap(p, id, take_fd);
	t->pump = p;
	t->id = id;
	t->proxy = take_fd;
	t->given = t->inner = -1;
	LIST_INSERT_HEAD(&p->tubes, t, link);
	p->ntubes++;
	if (tube_start(t) < 0)
		return tube_fail(t, upproxy_failed(UPPROXY_F_TLS_LIMIT, 0));
}

void pump_unwrap(struct pump *p, uint32_t id)
{
	struct tube *t;

	LIST_FOREACH(t, &p->tubes, link)
		if (t->id == id && t->state <= PAIRING)
			return tube_reset(t);
}

int pump_new(struct event_base *base, int listener,
	     const struct pump_trust *trust, const struct pump_hooks *hooks,
	     struct pump **ret, struct err *err)
{
	struct pump *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_sys(err, ENOMEM, "make", "TLS pump");
	p->base = base;
	p->hooks = *hooks;
	p->to = *trust->proxy;
	p->spare = dup(listener);
	LIST_INIT(&p->tubes);
	r = pump_tls_context(trust, &p->context, err);
	p->accept =
		event_new(base, listener, EV_READ | EV_PERSIST, accept_cb, p);
	if (r == 0 && (!p->accept || event_add(p->accept, NULL) < 0))
		r = err_sys(err, ENOMEM, "watch", "TLS pump");
	if (r < 0) {
		pump_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pump_free(struct pump *p)
{
	struct tube *t;

	if (!p)
		return;
	while ((t = LIST_FIRST(&p->tubes)))
		tube_reset(t);
	event_drop(&p->accept);
	fd_close(&p->spare);
	SSL_CTX_free(p->context);
	free(p);
}
