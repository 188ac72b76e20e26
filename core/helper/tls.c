/* tls.c - TLS to an https:// proxy as a process
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * proxy/pump.h does the work; this file gives it a process that has as little
 * as can be: its network namespace is empty but for the loopback that its
 * listener is on, its root is empty, it has no capability, and no connect().
 * The certificates of authorities come with the caller's first message, so
 * that even they are parsed in here; the dialer is heard after that.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/helper/helper.h"
#include "core/helper/wire.h"
#include "core/proto.h"
#include "core/sys/isolate.h"
#include "core/sys/netns.h"
#include "core/sys/seccomp.h"
#include "policy/upproxy.h"
#include "proxy/pump.h"

struct tls_process {
	struct event_base *base;
	struct wire caller, dialer;
	int listener;
	struct pump *pump; /* NULL: not opened yet */
};

static void fatal(struct tls_process *tp, const struct err *err)
{
	_exit(helper_fail(tp->caller.chan.fd, err));
}

static void send_wrapped(void *user, uint32_t id, int fd, uint32_t failure)
{
	struct tls_process *tp = user;
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));

	wbuf_u32(&b, id);
	wbuf_u32(&b, failure);
	wire_send(&tp->dialer, T_WRAPPED, body, wbuf_len(&b), &fd, fd >= 0);
}

static void dialer_message(void *user, struct msg *m)
{
	struct tls_process *tp = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);

	if (m->type == T_WRAP)
		pump_wrap(tp->pump, id, m->nfds ? fd_steal(&m->fds[0]) : -1);
	else
		pump_unwrap(tp->pump, id);
}

static int take_open(struct tls_process *tp, struct msg *m, struct err *err)
{
	const struct pump_hooks hooks = { tp, send_wrapped };
	struct rbuf r = rbuf_make(m->body, m->len);
	struct pump_trust trust = { .own_len = rbuf_u32(&r) };
	struct upproxy to;
	int e;

	if (tp->pump || !upproxy_decode(&r, &to) ||
	    trust.own_len > rbuf_left(&r))
		return err_sys(err, EPROTO, "take", "upstream proxy");
	trust.proxy = &to;
	trust.own = (const char *)rbuf_bytes(&r, trust.own_len);
	trust.machine_len = rbuf_left(&r);
	trust.machine = (const char *)rbuf_bytes(&r, trust.machine_len);
	e = pump_new(tp->base, tp->listener, &trust, &hooks, &tp->pump, err);
	if (e < 0)
		return e;
	e = wire_init(&tp->dialer, tp->base, TLS_FD_DIALER,
		      proto_tls_dialer_rules, proto_tls_dialer_nrules);
	tp->dialer.chan.may_lose_fds = true;
	return e < 0 ? err_sys(err, -e, "watch", "dialer") : 0;
}

static void caller_message(void *user, struct msg *m)
{
	struct tls_process *tp = user;
	struct err err;

	if (m->type == P_PING)
		return wire_send(&tp->caller, P_PONG, NULL, 0, NULL, 0);
	err_clear(&err);
	if (take_open(tp, m, &err) < 0)
		fatal(tp, &err);
}

static void end_now(void *user, int error)
{
	struct tls_process *tp = user;

	(void)error;
	(void)event_base_loopbreak(tp->base);
}

/* Nobody but the dialer can come: nothing else is in this namespace. */
static int listen_alone(int *ret, struct err *err)
{
	const struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(PUMP_PORT),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	cleanup_fd int fd = -1;
	int r = netns_alone(err);

	if (r < 0)
		return r;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, LIMIT_FLOWS) < 0)
		return err_sys(err, errno, "listen", "own loopback");
	*ret = fd_steal(&fd);
	return 0;
}

static int tls_start(struct tls_process *tp, struct err *err)
{
	int r;

	tp->caller.on_message = caller_message;
	tp->dialer.on_message = dialer_message;
	tp->caller.on_end = tp->dialer.on_end = end_now;
	tp->caller.user = tp->dialer.user = tp;
	tp->base = helper_loop(TLS_FD_CALLER_PID);
	r = tp->base ?
		    wire_init(&tp->caller, tp->base, TLS_FD_CALLER,
			      proto_tls_caller_rules, proto_tls_caller_nrules) :
		    -ENOMEM;
	if (r < 0)
		return err_sys(err, -r, "event loop", "tls");
	r = isolate_drop(err);
	return r < 0 ? r : seccomp_load(&seccomp_tls, err);
}

static int tls_main(const struct helper_ids *ids)
{
	static struct tls_process tp;
	struct err err;

	err_clear(&err);
	if (helper_isolate_gate(ids, &err) < 0 ||
	    listen_alone(&tp.listener, &err) < 0 ||
	    helper_hello(TLS_FD_CALLER, &err) < 0 || tls_start(&tp, &err) < 0)
		return helper_fail(TLS_FD_CALLER, &err);
	(void)event_base_dispatch(tp.base);
	helper_bye(TLS_FD_CALLER);
	_exit(EXIT_SUCCESS);
}

const struct helper_mode helper_modes[] = {
	{ "tls", tls_main },
	{ NULL, NULL },
};
