/* dialer.c - the gate's dialer as a process
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * proxy/dialer.h does the work; this file gives it a process and what it needs
 * of the machine: the route question (netlink sockets opened before the
 * system call filter), pins (messages to the keeper), the policies that the
 * keeper passes on, DNS servers and hosts that the caller read.
 *
 * The keeper, by whom postures come, is not heard before the caller has opened
 * us, which it does after it has said whether there is a proxy of its own: no
 * flow can come before the way that it has to take is known.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/helper/helper.h"
#include "core/helper/image.h"
#include "core/helper/wire.h"
#include "core/proto.h"
#include "core/sys/isolate.h"
#include "core/sys/route.h"
#include "core/sys/seccomp.h"
#include "policy/upproxy.h"
#include "proxy/dialer.h"
#include "proxy/resolver_upstream.h"
#include "proxy/upproxy_talk.h"

enum { SERVERS_MAX = 8 };

struct dialer_posture {
	uint32_t id; /* 0: free */
	struct image image;
	struct image next; /* asked about, not yet in force; or empty */
};

struct dialer_process {
	struct event_base *base;
	struct wire caller, keeper;
	struct wire tls; /* if the caller's own proxy is https:// */
	struct dialer *dialer;
	struct routes routes;
	struct dialer_posture postures[LIMIT_POSTURES];
	struct image direct; /* what does not go by the caller's own proxy */
	bool opened;	     /* the keeper is heard */
};

/* ---- what the dialer asks of the machine ---- */

static enum dialer_route ask_route(void *user, enum rule_proto proto,
				   const struct endpoint *to)
{
	struct dialer_process *dp = user;
	const struct route_flow flow = {
		.to = to->addr,
		.ipproto = proto == RULE_UDP ? IPPROTO_UDP : IPPROTO_TCP,
		.port = to->port,
	};
	enum route_kind kind;
	struct err err;

	if (routes_ask(&dp->routes, &flow, &kind, &err) < 0)
		return DIALER_ROUTE_NONE;
	switch (kind) {
	case ROUTE_UNICAST:
		return DIALER_ROUTE_OK;
	case ROUTE_LOCAL:
		return DIALER_ROUTE_OWN;
	case ROUTE_BROADCAST:
	case ROUTE_MULTICAST:
		return DIALER_ROUTE_REFUSED;
	case ROUTE_NONE:
		break;
	}
	return DIALER_ROUTE_NONE;
}

static void put_pins(struct sbuf *body, const struct dialer_pin *pins,
		     size_t npins, unsigned ttl_s)
{
	sbuf_u32(body, ttl_s);
	sbuf_u32(body, (uint32_t)npins);
	for (size_t i = 0; i < npins; i++) {
		sbuf_add(body, pins[i].addr.b, sizeof(pins[i].addr.b));
		sbuf_u8(body, (uint8_t)pins[i].proto);
		sbuf_u16(body, pins[i].range.lo);
		sbuf_u16(body, pins[i].range.hi);
	}
}

static void send_pins(void *user, uint32_t posture, uint32_t seq,
		      const struct dialer_pin *pins, size_t npins,
		      unsigned ttl_s)
{
	struct dialer_process *dp = user;
	struct sbuf body;

	sbuf_init(&body, LIMIT_CHAN_QUEUE);
	sbuf_u32(&body, seq);
	sbuf_u32(&body, posture);
	put_pins(&body, pins, npins, ttl_s);
	if (body.bad)
		dialer_pinned(dp->dialer, seq, ENOMEM);
	else
		wire_send(&dp->keeper, G_PIN, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

static void send_tls(struct dialer_process *dp, uint32_t type, uint32_t id,
		     const int *fd)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	wbuf_u32(&b, id);
	wire_send(&dp->tls, type, body, wbuf_len(&b), fd, fd != NULL);
}

static void ask_wrap(void *user, uint32_t id, int fd)
{
	send_tls(user, T_WRAP, id, &fd);
}

static void ask_unwrap(void *user, uint32_t id)
{
	send_tls(user, T_UNWRAP, id, NULL);
}

/* ---- messages ---- */

static struct dialer_posture *posture_find(struct dialer_process *dp,
					   uint32_t id)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (dp->postures[i].id == id)
			return &dp->postures[i];
	return NULL;
}

static void fatal(struct dialer_process *dp, int errnum, const char *step)
{
	struct err err;

	err_clear(&err);
	(void)err_sys(&err, errnum, step, "dialer");
	_exit(helper_fail(dp->caller.chan.fd, &err));
}

static void posture_drop(struct dialer_process *dp, struct dialer_posture *p)
{
	dialer_drop_posture(dp->dialer, p->id);
	image_unmap(&p->image);
	image_unmap(&p->next);
	p->id = 0;
}

static void posture_add(struct dialer_process *dp, uint32_t id, struct msg *m)
{
	struct dialer_posture *p = posture_find(dp, 0);
	int r = p && id != 0 ? image_map(m->fds[0], &p->image) : -ENOSPC;

	if (r == 0) {
		p->id = id;
		r = dialer_add_posture(dp->dialer, id, p->image.policy);
	}
	if (r < 0)
		return fatal(dp, -r, "add posture");
	wire_send(&dp->keeper, G_POSTURE_READY, m->body, 4, NULL, 0);
}

/* Another policy is to come. One that did not, the kernel would not take. */
static void posture_next(struct dialer_process *dp, struct dialer_posture *p,
			 struct msg *m)
{
	struct dialer_pins stay = { 0 };
	struct sbuf body;
	int r;

	image_unmap(&p->next);
	r = image_map(m->fds[0], &p->next);
	if (r == 0)
		r = dialer_staying_pins(dp->dialer, p->id, p->next.policy,
					&stay);
	if (r < 0)
		return fatal(dp, -r, "change policy");
	sbuf_init(&body, LIMIT_CHAN_QUEUE);
	sbuf_u32(&body, p->id);
	put_pins(&body, stay.list, stay.n, stay.ttl_s);
	free(stay.list);
	if (body.bad)
		return fatal(dp, ENOMEM, "change policy");
	wire_send(&dp->keeper, G_STAYING, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

/* What cannot be changed ends the session: the kernel has the new one. */
static void posture_change(struct dialer_process *dp, struct dialer_posture *p,
			   struct msg *m)
{
	int r = p->next.policy ?
			dialer_set_policy(dp->dialer, p->id, p->next.policy) :
			-EPROTO;

	if (r < 0)
		return fatal(dp, -r, "change policy");
	/* the keeper takes pins from here on */
	wire_send(&dp->keeper, G_POSTURE_READY, m->body, 4, NULL, 0);
	dialer_renew(dp->dialer, p->id);
	image_unmap(&p->image);
	p->image = p->next;
	p->next = (struct image){ 0 };
}

static void keeper_message(void *user, struct msg *m)
{
	struct dialer_process *dp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	struct dialer_posture *p;

	if (m->type == G_POSTURE)
		return posture_add(dp, id, m);
	if (m->type == G_PINNED)
		return dialer_pinned(dp->dialer, id, (int)rbuf_u32(&r));
	p = posture_find(dp, id);
	if (!p || p->id == 0)
		return;
	if (m->type == G_POLICY)
		posture_next(dp, p, m);
	else if (m->type == G_POLICY_NOW)
		posture_change(dp, p, m);
	else
		posture_drop(dp, p);
}

static int take_servers(struct dialer_process *dp, struct rbuf *r,
			struct err *err)
{
	struct upstream_server servers[SERVERS_MAX];
	uint32_t n = rbuf_u32(r);

	if (n > SERVERS_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *bytes = rbuf_bytes(r, 16);

		if (!bytes)
			return -EPROTO;
		servers[i].at.addr = addr_from_bytes(bytes, 16);
		servers[i].at.port = rbuf_u16(r);
		servers[i].scope = rbuf_u32(r);
	}
	return dialer_set_servers(dp->dialer, servers, n, err);
}

static int take_hosts(struct dialer_process *dp, struct rbuf *r,
		      struct err *err)
{
	uint32_t n = rbuf_u32(r);
	cleanup_free struct dialer_host *hosts = NULL;

	if (n > rbuf_left(r))
		return -EPROTO;
	hosts = calloc(n ? n : 1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *bytes;

		hosts[i].name = rbuf_str(r);
		bytes = rbuf_bytes(r, 16);
		if (!hosts[i].name || !bytes)
			return -EPROTO;
		hosts[i].addr = addr_from_bytes(bytes, 16);
	}
	return dialer_set_hosts(dp->dialer, hosts, n, err);
}

static void tls_message(void *user, struct msg *m)
{
	struct dialer_process *dp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r), failure = rbuf_u32(&r);

	/* one of no known kind would break front, which is told of it */
	if (!upproxy_failure_valid(failure))
		failure = upproxy_failed(UPPROXY_F_TLS_NONSENSE, 0);
	dialer_wrapped(dp->dialer, id, m->nfds ? fd_steal(&m->fds[0]) : -1,
		       failure);
}

static int hear_tls(struct dialer_process *dp, int take_fd)
{
	int e = wire_init(&dp->tls, dp->base, take_fd, proto_dialer_tls_rules,
			  proto_dialer_tls_nrules);

	dp->tls.chan.may_lose_fds = true;
	return e;
}

static int take_proxy(struct dialer_process *dp, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct upproxy u;
	int e;

	if (dp->opened || dp->direct.policy || !upproxy_decode(&r, &u))
		return -EPROTO;
	if (rbuf_left(&r) > 0 || (m->nfds == 2) != (u.kind == UPPROXY_HTTPS)) {
		upproxy_wipe(&u);
		return -EPROTO;
	}
	e = image_map(m->fds[0], &dp->direct);
	if (e == 0 && m->nfds == 2)
		e = hear_tls(dp, fd_steal(&m->fds[1]));
	if (e == 0)
		dialer_set_upproxy(dp->dialer, &u, dp->direct.policy);
	upproxy_wipe(&u);
	return e;
}

static int hear_keeper(struct dialer_process *dp)
{
	dp->opened = true;
	return wire_init(&dp->keeper, dp->base, DIALER_FD_KEEPER,
			 proto_dialer_keeper_rules, proto_dialer_keeper_nrules);
}

static void caller_message(void *user, struct msg *m)
{
	struct dialer_process *dp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	struct err err;
	int e;

	if (m->type == P_PING)
		return wire_send(&dp->caller, P_PONG, NULL, 0, NULL, 0);
	if (m->type == D_PROXY) {
		e = take_proxy(dp, m);
		if (e < 0)
			fatal(dp, -e, "take upstream proxy");
		return;
	}
	err_clear(&err);
	e = take_servers(dp, &r, &err);
	if (e == 0)
		e = take_hosts(dp, &r, &err);
	if (e == 0 && (r.bad || rbuf_left(&r) > 0))
		e = -EPROTO;
	if (e == 0 && !dp->opened)
		e = hear_keeper(dp);
	if (e < 0)
		fatal(dp, -e, "take DNS servers");
}

/* ---- the process ---- */

static void end_now(void *user, int error)
{
	struct dialer_process *dp = user;

	(void)error;
	(void)event_base_loopbreak(dp->base);
}

static int dialer_wires(struct dialer_process *dp)
{
	dp->caller.on_message = caller_message;
	dp->keeper.on_message = keeper_message;
	dp->tls.on_message = tls_message;
	dp->caller.on_end = dp->keeper.on_end = dp->tls.on_end = end_now;
	dp->caller.user = dp->keeper.user = dp->tls.user = dp;
	return wire_init(&dp->caller, dp->base, DIALER_FD_CALLER,
			 proto_dialer_caller_rules, proto_dialer_caller_nrules);
}

static int dialer_start(struct dialer_process *dp, struct err *err)
{
	const struct dialer_hooks hooks = {
		.user = dp,
		.route = ask_route,
		.pin = send_pins,
		.broken = end_now,
		.wrap = ask_wrap,
		.unwrap = ask_unwrap,
	};
	int r;

	dp->base = helper_loop(DIALER_FD_CALLER_PID);
	r = dp->base ? dialer_wires(dp) : -ENOMEM;
	if (r == 0)
		r = dialer_new(dp->base, DIALER_FD_FRONT, &hooks, &dp->dialer);
	if (r < 0)
		return err_sys(err, -r, "event loop", "dialer");
	r = routes_open(&dp->routes, err);
	if (r == 0)
		r = isolate_drop(err);
	if (r == 0)
		r = seccomp_load(&seccomp_dialer, err);
	return r;
}

int dialer_main(const struct helper_ids *ids)
{
	static struct dialer_process dp;
	struct err err;

	err_clear(&err);
	if (helper_isolate_gate(ids, &err) < 0 ||
	    helper_hello(DIALER_FD_CALLER, &err) < 0 ||
	    dialer_start(&dp, &err) < 0)
		return helper_fail(DIALER_FD_CALLER, &err);
	(void)event_base_dispatch(dp.base);
	helper_bye(DIALER_FD_CALLER);
	_exit(EXIT_SUCCESS);
}
