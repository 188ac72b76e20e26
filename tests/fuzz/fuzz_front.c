/* fuzz_front.c - payloads, targets and a dialer talk to a whole front
 * SPDX-License-Identifier: Apache-2.0
 *
 * The input is a script of steps of STEP bytes, some with bytes behind them:
 * two transparent connections, a client of the explicit proxy and one of DNS
 * over TCP say what they like in pieces, targets answer, the dialer answers
 * late, or what it mustn't, time runs out, the policy changes. All sockets are
 * unix sockets, so that nothing leaves the process and nothing is left to
 * chance.
 *
 * What must hold: a byte reaches a target only of what its own client said, in
 * order, and of a plain HTTP proxy's client only as one request to the host
 * that was allowed, as another parser reads it; a client hears its target or
 * our refusal; not a byte over the budget goes up; what is recorded as allowed
 * was allowed; when the posture ends nothing is left.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "policy/pattern.h"
#include "proxy/flow_private.h"
#include "proxy/proxyd_private.h"
#include "tests/fuzz/front_naive.h"
#include "tests/fuzz/fuzz.h"

enum {
	STEP = 4,
	STEPS = 64,
	TARGETS = 8,
	ASKS = 16,
	NAMES = 16,
	BUDGET = 200,
	POSTURE = 1,
};

enum step_kind {
	S_OPEN,
	S_SAY,
	S_TEXT,
	S_END,
	S_TARGET_SAY,
	S_TARGET_TEXT,
	S_TARGET_END,
	S_ANSWER,
	S_LIE,
	S_TIME,
	S_POLICY,
	S_KINDS
};

enum client_kind { FIRST, SECOND, PROXY, DNS, CLIENTS };

struct client {
	int fd; /* -1: not there */
	bool opened;
	struct bytes said, heard;
};

struct target {
	int fd;
	enum client_kind of;
	char name[LIMIT_NAME + 1]; /* asked for, with the dial */
	struct bytes said, heard;
	bool plain; /* an exchange of http:// */
	bool http;  /* a transparent one on the port of HTTP */
};

struct open_ask {
	bool open;
	enum ask_message type;
	struct ask ask;
	enum client_kind of;
	bool plain;
};

struct harness {
	struct front *front;
	struct chan dialer;
	struct client clients[CLIENTS];
	struct target targets[TARGETS];
	size_t ntargets;
	struct open_ask asks[ASKS];
	char names[NAMES][LIMIT_NAME + 1]; /* allowed */
	size_t nnames;
	bool slow;    /* the dialer answers when it is told to */
	bool lied;    /* it has said what nobody asked */
	bool changed; /* the policy */
	bool broken;
	unsigned policy;
};

static struct event_base *base;
static struct policy *policies[2];
static int listeners[2]; /* of the proxy, of DNS */

static const struct endpoint places[] = {
	{ { .b = { [10] = 0xff, 0xff, 203, 0, 113, 16 } }, 443 },
	{ { .b = { [10] = 0xff, 0xff, 203, 0, 113, 16 } }, 80 },
	{ { .b = { [10] = 0xff, 0xff, 203, 0, 113, 16 } }, 8080 },
	{ { .b = { [10] = 0xff, 0xff, 203, 0, 113, 17 } }, 22 },
	{ { .b = { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, 80 },
};
enum { SECONDS = 32 }; /* added to the last byte: the second client's */

static const char *const texts[] = {
	"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"POST /x HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello",
	"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
	"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"CONNECT b.test:80 HTTP/1.1\r\nHost: b.test\r\n\r\n",
	"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"POST http://b.test:8080/ HTTP/1.1\r\nHost: b.test:8080\r\n"
	"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"
	"Connection: Upgrade\r\nSec-WebSocket-Key: x\r\n"
	"Sec-WebSocket-Version: 13\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"SSH-2.0-client\r\n",
	"\x05\x01",
	"\x05\x02",
	"a.test",
	"\r\n",
};
static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	"5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	"Connection: Upgrade\r\n\r\n",
	"HTTP/1.0 200 OK\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"220 ready\r\n",
	"\0\0\0\4\0\0\0\0\0",
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define PICK(table, byte) ((table)[(byte) % COUNT(table)])

/* ---- bytes ---- */

/* Sends what the socket takes; it is never so much that it does not. */
static void say(int fd, struct bytes *said, const void *data, size_t len)
{
	ssize_t n = fd < 0 ? 0 :
			     send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		bytes_note(said, data, (size_t)n);
}

static void hear(int fd, struct bytes *heard)
{
	static uint8_t buf[64 << 10];
	ssize_t n;

	while (fd >= 0 && (n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		bytes_note(heard, buf, (size_t)n);
}

/* ---- what must hold ---- */

static void check_target(const struct harness *h, const struct target *t)
{
	const struct client *c = &h->clients[t->of];

	if (t->plain)
		return naive_request(&t->heard, t->name,
				     h->policy == 1 || h->changed);
	if (t->http)
		naive_host(&t->heard, t->name);
	if (t->of == PROXY)
		assert(c->said.cut || t->heard.cut ||
		       bytes_have(&c->said, t->heard.data, t->heard.len));
	else
		assert(bytes_begin(&c->said, &t->heard));
}

static const struct target *target_of(const struct harness *h,
				      enum client_kind of)
{
	for (size_t i = 0; i < h->ntargets; i++)
		if (h->targets[i].of == of)
			return &h->targets[i];
	return NULL;
}

static void check_client(const struct harness *h, enum client_kind of)
{
	static const struct bytes nothing;
	const struct client *c = &h->clients[of];
	const struct target *t = target_of(h, of);

	if (c->heard.cut)
		return;
	assert(bytes_have(&c->heard, "exeat:", 6) ||
	       bytes_begin(t ? &t->said : &nothing, &c->heard));
}

static void check_budget(const struct harness *h)
{
	size_t up = 0;

	if (h->policy != 1 || h->changed || h->lied)
		return;
	for (size_t i = 0; i < h->ntargets; i++)
		if (strcmp(h->targets[i].name, "a.test") == 0)
			up += h->targets[i].heard.len;
	assert(up <= BUDGET);
}

static void check(struct harness *h)
{
	for (size_t i = 0; i < CLIENTS; i++)
		hear(h->clients[i].fd, &h->clients[i].heard);
	for (size_t i = 0; i < h->ntargets; i++) {
		hear(h->targets[i].fd, &h->targets[i].heard);
		check_target(h, &h->targets[i]);
	}
	check_client(h, FIRST);
	check_client(h, SECOND);
	check_budget(h);
}

/* ---- the owner of front ---- */

static bool was_allowed(const struct harness *h, const char *name)
{
	for (size_t i = 0; i < h->nnames; i++)
		if (strcmp(h->names[i], name) == 0)
			return true;
	return h->nnames == NAMES;
}

static void event_cb(void *user, const struct audit_event *e)
{
	const struct harness *h = user;

	assert(e->posture == POSTURE && audit_layer_name(e->layer));
	assert(e->verdict != AUDIT_DENY || (e->reason && *e->reason));
	assert(e->verdict != AUDIT_ALLOW || !e->name ||
	       was_allowed(h, e->name));
	assert(!e->has_bytes || e->verdict != AUDIT_DENY);
}

static void broken_cb(void *user, int error)
{
	struct harness *h = user;

	/* only what it said itself can do it */
	assert(!h->broken && error > 0 && h->lied);
	h->broken = true;
}

/* ---- the dialer ---- */

static bool verdict(const struct ask *a)
{
	if (a->name[0])
		return strcmp(a->name, "a.test") == 0 ||
		       strcmp(a->name, "b.test") == 0;
	return a->learnt == POLICY_NAME_PIN ||
	       (a->to.addr.b[15] % SECONDS == 17 && a->to.port == 22);
}

static bool is_plain(const struct posture *p, uint32_t id)
{
	const struct proxyd *d;

	LIST_FOREACH(d, &p->proxyds, link)
		if (d->question.id == id)
			return true;
	return false;
}

/* Whose question it is; DNS for one that nobody waits for any more, too. */
static enum client_kind whose(const struct posture *p, uint32_t id)
{
	const struct flow *fl;

	LIST_FOREACH(fl, &p->flows, link)
		if (fl->question.id == id || fl->recheck.id == id) {
			if (fl->tunnel != PROXYD_NONE)
				return PROXY;
			return fl->to.addr.b[15] >= SECONDS ? SECOND : FIRST;
		}
	return is_plain(p, id) ? PROXY : DNS;
}

static void allow_name(struct harness *h, const char *name)
{
	if (h->nnames < NAMES)
		memcpy(h->names[h->nnames++], name, strlen(name) + 1);
}

/* The front's end of a new target; -1: no more of them. */
static int target_new(struct harness *h, const struct open_ask *o)
{
	struct target *t = &h->targets[h->ntargets];
	int pair[2], r;

	if (h->ntargets == TARGETS || o->of == DNS)
		return -1;
	r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       pair);
	assert(r == 0);
	t->fd = pair[1];
	t->of = o->of;
	t->plain = o->plain;
	t->http = o->of != PROXY && o->ask.to.port == 80;
	t->said.len = t->heard.len = 0;
	t->said.cut = t->heard.cut = false;
	memcpy(t->name, o->ask.name, sizeof(t->name));
	h->ntargets++;
	return pair[0];
}

static void send_answer(struct harness *h, const struct answer *a, int take_fd)
{
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	answer_encode(a, &b);
	assert(!b.bad);
	(void)chan_send(&h->dialer, ANSWER, b.s, b.len, &take_fd, take_fd >= 0);
	sbuf_done(&b);
	fd_close(&take_fd);
}

static void send_resolved(struct harness *h, const struct answer_resolve *a)
{
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	answer_resolve_encode(a, &b);
	assert(!b.bad);
	(void)chan_send(&h->dialer, ANSWER_RESOLVE, b.s, b.len, NULL, 0);
	sbuf_done(&b);
}

static void answer_one(struct harness *h, struct open_ask *o, int error)
{
	struct answer_resolve resolved = {
		.id = o->ask.id,
		.allow = verdict(&o->ask),
		.ttl_s = 5,
		.naddrs = o->ask.qtype == 28 || o->ask.qtype == 1,
		.addrs = { places[0].addr },
	};
	struct answer a = {
		.id = o->ask.id,
		.allow = resolved.allow,
		.reason = POLICY_R_RULE,
		.peer = places[0],
	};
	int fd = -1;

	o->open = false;
	memcpy(a.name, o->ask.name, sizeof(a.name));
	if (a.allow)
		allow_name(h, a.name);
	if (o->type == ASK_RESOLVE)
		return send_resolved(h, &resolved);
	if (a.allow && !error && o->type == ASK_DIAL)
		fd = target_new(h, o);
	if (a.allow && o->type == ASK_DIAL && fd < 0)
		a.error = error ? error : 111;
	send_answer(h, &a, fd);
}

static void asked(struct harness *h, const struct msg *m)
{
	const struct posture *p = LIST_FIRST(&h->front->postures);
	struct open_ask *o = NULL;
	struct ask a;
	bool ok = ask_decode(m->body, m->len, &a);

	assert(ok && (!a.name[0] || name_is_canonical(a.name)));
	for (size_t i = 0; i < ASKS; i++) {
		if (m->type == ASK_CANCEL && h->asks[i].open &&
		    h->asks[i].ask.id == a.id)
			h->asks[i].open = false;
		if (!h->asks[i].open)
			o = &h->asks[i];
	}
	if (m->type == ASK_CANCEL || m->type == ASK_USED || !o)
		return;
	assert(a.posture == POSTURE);
	*o = (struct open_ask){
		.open = true,
		.type = m->type,
		.ask = a,
		.of = whose(p, a.id),
		.plain = is_plain(p, a.id),
	};
	if (!h->slow)
		answer_one(h, o, 0);
}

static void turn(struct harness *h)
{
	static struct msg m;

	for (int i = 0; i < 3; i++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		while (chan_recv(&h->dialer, 0, &m) > 0) {
			asked(h, &m);
			msg_done(&m);
		}
	}
	check(h);
}

/* ---- steps ---- */

static struct open_ask *ask_open(struct harness *h, uint8_t which)
{
	for (size_t i = 0; i < ASKS; i++) {
		struct open_ask *o = &h->asks[(i + which) % ASKS];

		if (o->open)
			return o;
	}
	return NULL;
}

static void open_flow(struct harness *h, enum client_kind of, uint8_t place)
{
	struct endpoint to = PICK(places, place);
	int pair[2], r;
	struct flow *fl;

	if (of == SECOND)
		to.addr.b[15] = (uint8_t)(to.addr.b[15] + SECONDS);
	r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       pair);
	assert(r == 0);
	h->clients[of].fd = pair[1];
	fl = flow_make(LIST_FIRST(&h->front->postures), pair[0], &to);
	assert(fl);
	(void)flow_begin(fl);
}

static void open_listed(struct harness *h, enum client_kind of)
{
	struct sockaddr_un sa;
	socklen_t len = sizeof(sa);
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	r = getsockname(listeners[of - PROXY], (struct sockaddr *)&sa, &len);
	assert(r == 0 && fd >= 0);
	r = connect(fd, (struct sockaddr *)&sa, len);
	assert(r == 0);
	h->clients[of].fd = fd;
}

static void step_open(struct harness *h, enum client_kind of, uint8_t place)
{
	if (h->clients[of].opened)
		return;
	h->clients[of].opened = true;
	if (of == FIRST || of == SECOND)
		open_flow(h, of, place);
	else
		open_listed(h, of);
}

/* Closed, or only its writing side. */
static void step_end(int *fd, bool half)
{
	if (half && *fd >= 0)
		(void)shutdown(*fd, SHUT_WR);
	else
		fd_close(fd);
}

static int odd_fd(uint8_t kind)
{
	int pair[2], r;

	switch (kind & 3) {
	case 0:
		return eventfd(1, EFD_CLOEXEC);
	case 1:
		r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
		assert(r == 0);
		fd_close(&pair[1]);
		return pair[0];
	default:
		return -1;
	}
}

/* s: how, which question, descriptor and verdict. */
static void step_lie(struct harness *h, const uint8_t *s, const uint8_t *data,
		     size_t len)
{
	struct open_ask *o = ask_open(h, s[2]);
	struct answer_resolve resolved = { .allow = s[3] & 4, .naddrs = s[2] };
	struct answer a = {
		.id = o && s[1] & 4 ? o->ask.id : s[2],
		.allow = s[3] & 4,
		.error = s[3] >> 3,
		.reason = POLICY_R_RULE,
		.name = "lie.test",
		.rule = "rule",
		.hint = "hint",
		.peer = PICK(places, s[3]),
	};
	int fd = odd_fd(s[3]);

	h->lied = true;
	if (o && s[1] & 4)
		o->open = false;
	if (a.allow)
		allow_name(h, a.name);
	if (a.allow && o)
		allow_name(h, o->ask.name);
	resolved.id = a.id;
	resolved.naddrs %= LIMIT_DNS_ADDRS + 1;
	switch (s[1] & 3) {
	case 0:
		return send_answer(h, &a, fd);
	case 1:
		fd_close(&fd);
		return send_resolved(h, &resolved);
	default:
		(void)chan_send(&h->dialer, ANSWER + (s[1] >> 4 & 1), data, len,
				&fd, fd >= 0);
		fd_close(&fd);
	}
}

static void fire(struct event *timer)
{
	if (event_pending(timer, EV_TIMEOUT, NULL))
		event_active(timer, EV_TIMEOUT, 1);
}

static void step_time(struct harness *h, uint8_t how)
{
	const int64_t later = clock_ms() + (int64_t)3600 * 1000;
	struct posture *p = LIST_FIRST(&h->front->postures);
	struct proxyd *d;
	struct flow *fl;

	LIST_FOREACH(fl, &p->flows, link)
		fire(&fl->timer);
	LIST_FOREACH(d, &p->proxyds, link)
		fire(&d->timer);
	if (how & 1)
		dns_tick(h->front, later);
	if (how & 2)
		flow_tick(h->front, later);
}

static void step_policy(struct harness *h, uint8_t which)
{
	int r;

	h->policy = which & 1;
	h->changed = true;
	r = front_set_policy(h->front, POSTURE, policies[h->policy]);
	assert(r == 0);
}

/* Returns how many bytes of what follows belong to the step. */
static size_t step(struct harness *h, const uint8_t *s, const uint8_t *data,
		   size_t left)
{
	enum step_kind kind = s[0] % S_KINDS;
	struct client *c = &h->clients[s[1] % CLIENTS];
	struct target *t = h->ntargets ? &h->targets[s[1] % h->ntargets] : NULL;
	size_t len = s[2] | (size_t)(s[3] & 15) << 8;
	struct open_ask *o;

	if (len > left)
		len = left;
	switch (kind) {
	case S_OPEN:
		step_open(h, s[1] % CLIENTS, s[2]);
		return 0;
	case S_SAY:
		say(c->fd, &c->said, data, len);
		return len;
	case S_TEXT:
		say(c->fd, &c->said, PICK(texts, s[2]),
		    strlen(PICK(texts, s[2])));
		return 0;
	case S_END:
		step_end(&c->fd, s[2] & 1);
		return 0;
	case S_TARGET_SAY:
		if (t)
			say(t->fd, &t->said, data, len);
		return len;
	case S_TARGET_TEXT:
		if (t)
			say(t->fd, &t->said, PICK(answers, s[2]),
			    strlen(PICK(answers, s[2])));
		return 0;
	case S_TARGET_END:
		if (t)
			step_end(&t->fd, s[2] & 1);
		return 0;
	case S_ANSWER:
		o = ask_open(h, s[1]);
		if (o)
			answer_one(h, o, s[2] & 128 ? s[2] & 127 : 0);
		return 0;
	case S_LIE:
		len = s[1] & 2 && left >= s[2] ? s[2] : 0;
		step_lie(h, s, data, len);
		return len;
	case S_TIME:
		step_time(h, s[1]);
		return 0;
	case S_POLICY:
		step_policy(h, s[1]);
		return 0;
	case S_KINDS:
		break;
	}
	return 0;
}

/* ---- the harness ---- */

static int listener_new(void)
{
	const struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			   0);

	/* no more than the family: the kernel finds a name */
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa.sun_family));
	assert(r == 0);
	r = listen(fd, 8);
	assert(r == 0);
	return fd;
}

static void begin_once(void)
{
	static const char *const allow[] = { "a.test:80,443,8080",
					     "b.test:80,443,8080",
					     "203.0.113.17:22",
					     "203.0.113.49:22" };
	static const struct policy_budget budget = { "a.test", { BUDGET, 0 } };
	struct policy_spec spec = {
		.mode = POLICY_ALLOWLIST,
		.allow = allow,
		.nallow = COUNT(allow),
	};
	struct err err;
	size_t len;

	if (base)
		return;
	base = event_base_new();
	for (int i = 0; i < 2; i++) {
		void *image;
		int r = policy_compile(&spec, &image, &len, &err);

		assert(r == 0);
		r = policy_new(image, len, &policies[i]);
		assert(r == 0);
		listeners[i] = listener_new();
		spec.budgets = &budget;
		spec.nbudgets = 1;
	}
}

static void harness_begin(struct harness *h, uint8_t how)
{
	const struct front_hooks hooks = { h, event_cb, broken_cb };
	struct front_sockets sockets = {
		.tcp = -1,
		.udp = -1,
		.dns_udp = -1,
		.raw4 = -1,
		.raw6 = -1,
	};
	struct err err;
	int pair[2], r;

	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < CLIENTS; i++)
		h->clients[i].fd = -1;
	h->slow = how & 1;
	h->policy = how >> 1 & 1;
	sockets.proxy = fcntl(listeners[0], F_DUPFD_CLOEXEC, 0);
	sockets.dns_tcp = fcntl(listeners[1], F_DUPFD_CLOEXEC, 0);
	r = chan_pair(pair);
	assert(r == 0 && sockets.proxy >= 0 && sockets.dns_tcp >= 0);
	chan_init(&h->dialer, pair[1], ask_dialer_rules, ask_dialer_nrules,
		  LIMIT_CHAN_QUEUE);
	r = front_new(base, pair[0], &hooks, &h->front);
	assert(r == 0);
	r = front_add_posture(h->front, POSTURE, policies[h->policy], &sockets,
			      &err);
	assert(r == 0);
}

static void harness_end(struct harness *h)
{
	turn(h);
	front_drop_posture(h->front, POSTURE);
	check(h);
	assert(h->front->stats.flows == 0 && h->front->unconnected == 0);
	assert(h->front->nopen == 0 && h->front->dns_conns == 0);
	front_free(h->front);
	for (size_t i = 0; i < CLIENTS; i++)
		fd_close(&h->clients[i].fd);
	for (size_t i = 0; i < h->ntargets; i++)
		fd_close(&h->targets[i].fd);
	chan_done(&h->dialer);
	for (int i = 0; i < 2; i++) {
		int fd;

		/* what was never accepted is not the next input's */
		while ((fd = accept4(listeners[i], NULL, NULL, 0)) >= 0)
			fd_close(&fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct harness h;
	size_t at = 1;
	int before;

	if (size < 1)
		return 0;
	begin_once();
	before = fuzz_lowest_fd();
	harness_begin(&h, data[0]);
	for (int i = 0; i < STEPS && size - at >= STEP; i++) {
		const uint8_t *s = data + at;

		at += STEP;
		at += step(&h, s, data + at, size - at);
		turn(&h);
	}
	harness_end(&h);
	assert(fuzz_lowest_fd() == before);
	return 0;
}
