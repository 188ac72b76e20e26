/* dialer_world.c - a small world for the dialer: hooks, front
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dialer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/base/fd.h"
#include "dialer_world_dns.h"
#include "proxy/resolver_upstream.h"

enum {
	FIRST_PORT = 5300, /* two for each world */
	ROUTES = 16,
	PINS = 8192,
	ANSWERS = 16384,
	DEADLINE_S = 20,
};

struct route {
	struct prefix prefix;
	enum dialer_route route;
	unsigned not_yet; /* questions that still get OK */
};

struct got {
	uint32_t id;
	bool taken, is_resolve;
	int fd;
	struct answer dial;
	struct answer_resolve *resolve;
};

struct world {
	struct event_base *base;
	struct dns_world *dns;
	uint16_t dns_port;
	int silent; /* a UDP socket that nobody reads */
	struct dialer *dialer;
	void *image;
	struct policy *policy;
	struct chan front;
	struct event *readable, *tick;
	uint32_t next_id;
	struct got *got;
	size_t ngot;
	int broken;
	struct route routes[ROUTES];
	size_t nroutes;
	enum world_pins how;
	struct dialer_pin pins[PINS];
	size_t npins, ncalls;
	uint32_t held[PINS];
	size_t nheld;
};

/* -- hooks -- */

static enum dialer_route route_hook(void *user, enum rule_proto proto,
				    const struct endpoint *to)
{
	struct world *w = user;

	(void)proto;
	for (size_t i = 0; i < w->nroutes; i++) {
		struct route *r = &w->routes[i];

		if (!prefix_contains(&r->prefix, &to->addr))
			continue;
		if (r->not_yet == 0)
			return r->route;
		r->not_yet--;
		return DIALER_ROUTE_OK;
	}
	return DIALER_ROUTE_OK;
}

static void pin_hook(void *user, uint32_t posture, uint32_t seq,
		     const struct dialer_pin *pins, size_t npins,
		     unsigned ttl_s)
{
	struct world *w = user;

	assert_int_equal(posture, 1);
	assert_true(npins > 0);
	assert_true(ttl_s >= LIMIT_PIN_S);
	w->ncalls++;
	for (size_t i = 0; i < npins && w->npins < PINS; i++)
		w->pins[w->npins++] = pins[i];
	if (w->how == WORLD_PIN_HELD)
		w->held[w->nheld++] = seq;
	else
		dialer_pinned(w->dialer, seq,
			      w->how == WORLD_PIN_FAILS ? ENOSPC : 0);
}

static void broken_hook(void *user, int error)
{
	struct world *w = user;

	assert_int_equal(w->broken, 0);
	w->broken = error;
}

/* -- front -- */

static void take_answer(struct world *w, struct msg *m)
{
	struct got *g = &w->got[w->ngot++];

	assert_true(w->ngot <= ANSWERS);
	*g = (struct got){ .fd = -1 };
	if (m->type == ANSWER) {
		assert_true(answer_decode(m->body, m->len, &g->dial));
		g->id = g->dial.id;
		if (m->nfds > 0)
			g->fd = fd_steal(&m->fds[0]);
		return;
	}
	g->is_resolve = true;
	g->resolve = calloc(1, sizeof(*g->resolve));
	assert_non_null(g->resolve);
	assert_true(answer_resolve_decode(m->body, m->len, g->resolve));
	g->id = g->resolve->id;
}

static void readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	for (;;) {
		struct msg m;
		int r = chan_recv(&w->front, 0, &m);

		if (r == 0)
			return;
		assert_int_equal(r, 1);
		take_answer(w, &m);
		msg_done(&m);
	}
}

/* -- the loop -- */

/* So that no wait in the loop is longer than this. */
static void tick_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void world_run_until(struct world *w, const bool *flag)
{
	const int64_t end = clock_ms() + DEADLINE_S * 1000;

	while (!*flag) {
		if (clock_ms() > end)
			fail_msg("nothing happened for %d s", DEADLINE_S);
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	}
}

void world_run_ms(struct world *w, int ms)
{
	const int64_t end = clock_ms() + ms;

	while (clock_ms() < end) {
		(void)chan_flush(&w->front);
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	}
}

/* -- life -- */

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static void compile(struct world *w, enum policy_mode mode,
		    const char *const *allow, const char *const *deny)
{
	const struct policy_spec spec = {
		.mode = mode,
		.allow = allow,
		.nallow = count(allow),
		.deny = deny,
		.ndeny = count(deny),
	};
	struct err err;
	size_t len;
	char text[512];

	err_clear(&err);
	if (policy_compile(&spec, &w->image, &len, &err) < 0)
		fail_msg("%s", err_str(&err, text, sizeof(text)));
	assert_int_equal(policy_new(w->image, len, &w->policy), 0);
}

static int silent_server(uint16_t port)
{
	const struct endpoint e = world_endpoint("127.0.0.1", port);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

struct world *world_new(enum policy_mode mode, const char *const *allow,
			const char *const *deny)
{
	static uint16_t next_port = FIRST_PORT;
	const struct timeval tick = { .tv_usec = 5000 };
	struct world *w = calloc(1, sizeof(*w));
	struct dialer_hooks hooks = {
		.user = w,
		.route = route_hook,
		.pin = pin_hook,
		.broken = broken_hook,
	};
	int fds[2];

	assert_non_null(w);
	w->got = calloc(ANSWERS, sizeof(*w->got));
	w->base = event_base_new();
	assert_true(w->got && w->base);
	compile(w, mode, allow, deny);
	/* a test that failed leaves its world behind */
	w->dns_port = next_port;
	next_port += 2;
	w->dns = dns_world_new(w->base, w->dns_port);
	w->silent = silent_server(w->dns_port + 1);
	assert_int_equal(chan_pair(fds), 0);
	chan_init(&w->front, fds[0], ask_front_rules, ask_front_nrules,
		  LIMIT_CHAN_QUEUE);
	w->readable = event_new(w->base, fds[0], EV_READ | EV_PERSIST,
				readable_cb, w);
	assert_int_equal(event_add(w->readable, NULL), 0);
	assert_int_equal(dialer_new(w->base, fds[1], &hooks, &w->dialer), 0);
	assert_int_equal(dialer_add_posture(w->dialer, 1, w->policy), 0);
	world_use_servers(w, false, true);
	w->tick = event_new(w->base, -1, EV_PERSIST, tick_cb, NULL);
	assert_int_equal(event_add(w->tick, &tick), 0);
	w->next_id = 1;
	return w;
}

void world_free(struct world *w)
{
	dialer_free(w->dialer);
	for (size_t i = 0; i < w->ngot; i++) {
		fd_close(&w->got[i].fd);
		free(w->got[i].resolve);
	}
	free(w->got);
	if (w->readable)
		event_free(w->readable);
	event_free(w->tick);
	chan_done(&w->front);
	dns_world_free(w->dns);
	fd_close(&w->silent);
	policy_free(w->policy);
	free(w->image);
	event_base_free(w->base);
	free(w);
}

struct dialer *world_dialer(struct world *w)
{
	return w->dialer;
}

struct event_base *world_base(struct world *w)
{
	return w->base;
}

void world_route(struct world *w, const char *prefix, enum dialer_route route)
{
	const char *cursor = prefix;
	bool host_bits;

	assert_true(w->nroutes < ROUTES);
	assert_true(prefix_parse(&cursor, &w->routes[w->nroutes].prefix,
				 &host_bits));
	w->routes[w->nroutes++].route = route;
}

void world_route_later(struct world *w, const char *prefix, unsigned not_yet,
		       enum dialer_route route)
{
	world_route(w, prefix, route);
	w->routes[w->nroutes - 1].not_yet = not_yet;
}

/* -- DNS -- */

void world_says(struct world *w, struct world_record r)
{
	dns_world_says(w->dns, r);
}

void world_a(struct world *w, const char *name, const char *addrs)
{
	world_says(w, (struct world_record){ .name = name,
					     .qtype = 1,
					     .addrs = addrs,
					     .ttl = 60 });
}

void world_aaaa(struct world *w, const char *name, const char *addrs)
{
	world_says(w, (struct world_record){ .name = name,
					     .qtype = 28,
					     .addrs = addrs,
					     .ttl = 60 });
}

void world_cname(struct world *w, const char *name, const char *to)
{
	world_says(w, (struct world_record){
			      .name = name, .cname = to, .ttl = 60 });
}

unsigned world_asked(struct world *w, const char *name, uint16_t qtype)
{
	return dns_world_asked(w->dns, name, qtype);
}

unsigned world_asked_all(struct world *w)
{
	return dns_world_asked(w->dns, NULL, 0);
}

unsigned world_asked_tcp(struct world *w)
{
	return dns_world_asked_tcp(w->dns);
}

unsigned world_source_ports(struct world *w)
{
	return dns_world_source_ports(w->dns);
}

void world_no_edns(struct world *w)
{
	dns_world_no_edns(w->dns);
}

void world_use_servers(struct world *w, bool silent_first, bool good)
{
	struct upstream_server servers[2] = { 0 };
	size_t n = 0;

	if (silent_first)
		servers[n++].at = world_endpoint("127.0.0.1", w->dns_port + 1);
	if (good)
		servers[n++].at = world_endpoint("127.0.0.1", w->dns_port);
	assert_int_equal(dialer_set_servers(w->dialer, servers, n, NULL), 0);
}

/* -- pins -- */

void world_pins(struct world *w, enum world_pins how)
{
	w->how = how;
}

void world_release_pins(struct world *w)
{
	for (size_t i = 0; i < w->nheld; i++)
		dialer_pinned(w->dialer, w->held[i], 0);
	w->nheld = 0;
}

size_t world_pin_calls(struct world *w)
{
	return w->ncalls;
}

bool world_pinned(struct world *w, const char *addr, enum rule_proto proto,
		  uint16_t lo, uint16_t hi)
{
	const struct addr a = world_addr(addr);

	for (size_t i = 0; i < w->npins; i++) {
		const struct dialer_pin *p = &w->pins[i];

		if (addr_equal(&p->addr, &a) && p->proto == proto &&
		    p->range.lo == lo && p->range.hi == hi)
			return true;
	}
	return false;
}

/* -- asks and answers -- */

uint32_t world_send(struct world *w, enum ask_message type, struct ask a)
{
	struct sbuf body;

	if (!a.id)
		a.id = w->next_id++;
	if (!a.posture)
		a.posture = 1;
	if (!a.proto)
		a.proto = RULE_TCP;
	sbuf_init(&body, MSG_INLINE_MAX);
	ask_encode(&a, &body);
	assert_false(body.bad);
	assert_int_equal(chan_send(&w->front, type, body.s, body.len, NULL, 0),
			 0);
	sbuf_done(&body);
	return a.id;
}

static struct got *find_got(struct world *w, uint32_t id)
{
	for (size_t i = 0; i < w->ngot; i++) {
		if (w->got[i].id == id && !w->got[i].taken)
			return &w->got[i];
	}
	return NULL;
}

bool world_has_answer(struct world *w, uint32_t id)
{
	return find_got(w, id) != NULL;
}

size_t world_nanswers(struct world *w)
{
	return w->ngot;
}

static struct got *wait_got(struct world *w, uint32_t id)
{
	const int64_t end = clock_ms() + DEADLINE_S * 1000;
	struct got *g;

	while (!(g = find_got(w, id))) {
		if (clock_ms() > end)
			fail_msg("no answer to %u in %d s", id, DEADLINE_S);
		(void)chan_flush(&w->front);
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	}
	g->taken = true;
	return g;
}

struct answer world_answer(struct world *w, uint32_t id, int *ret_fd)
{
	struct got *g = wait_got(w, id);

	assert_false(g->is_resolve);
	*ret_fd = fd_steal(&g->fd);
	return g->dial;
}

struct answer_resolve world_answer_resolve(struct world *w, uint32_t id)
{
	struct got *g = wait_got(w, id);

	assert_true(g->is_resolve);
	return *g->resolve;
}

struct answer_resolve world_resolve(struct world *w, const char *name,
				    uint16_t qtype)
{
	struct ask a = { .qtype = qtype, .learnt = POLICY_NAME_DNS };

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	return world_answer_resolve(w, world_send(w, ASK_RESOLVE, a));
}

struct answer world_dial(struct world *w, const char *name,
			 enum policy_learnt learnt, const char *addr,
			 uint16_t port, int *ret_fd)
{
	struct ask a = {
		.learnt = learnt,
		.to = world_endpoint(addr, port),
	};

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	return world_answer(w, world_send(w, ASK_DIAL, a), ret_fd);
}

void world_front_reads(struct world *w, bool on)
{
	if (on)
		assert_int_equal(event_add(w->readable, NULL), 0);
	else
		assert_int_equal(event_del(w->readable), 0);
}

void world_close_front(struct world *w)
{
	event_free(w->readable);
	w->readable = NULL;
	chan_done(&w->front);
	w->front.fd = -1;
}

int world_broken(struct world *w)
{
	return w->broken;
}
