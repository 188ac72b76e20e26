/* fuzz_resolve.c - name servers that lie to a whole dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * What talks to name servers is stood for by what is below: questions stay
 * open until the input answers them, with records of its choice about any
 * name, in any order, or with bytes. Front asks to look up and to dial; the
 * policy changes meanwhile. The input is a script of steps of STEP bytes.
 *
 * What must hold: an address that a payload is told of, or that is pinned, was
 * said of the very name that was asked for, along a chain of names none of
 * which is denied, and is not one that no answer may hold; an answer that
 * refuses has none; it is told no longer and no shorter than it may be. All of
 * it by a book of what was said that knows nothing of DNS.
 */
#include <event2/event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "proxy/ask.h"
#include "proxy/dialer.h"
#include "proxy/dns.h"
#include "proxy/resolver_upstream.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 4, STEPS = 128, OPEN = 32, NAMES = 8, ADDRS = 12, IDS = 16 };

enum step_kind {
	S_LOOKUP,
	S_DIAL,
	S_RECORD,
	S_ANSWER,
	S_BYTES,
	S_FAIL,
	S_PINNED,
	S_POLICY,
	S_CANCEL,
	S_KINDS
};

static const char *const names[NAMES] = {
	"a.test",     "x.wild.test", "cdn.test",  "evil.test",
	"sub.a.test", "localhost",   "none.test", "deep.wild.test",
};
enum { DENIED = 3, LOCALHOST = 5 }; /* of `names` */

static const struct addr addrs[ADDRS] = {
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 1 } },
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 2 } },
	{ .b = { [10] = 0xff, 0xff, 198, 51, 100, 7 } }, /* denied */
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 99 } }, /* the host's own */
	{ .b = { [10] = 0xff, 0xff, 127, 0, 0, 1 } },
	{ .b = { [10] = 0xff, 0xff, 169, 254, 169, 254 } },
	{ .b = { [10] = 0xff, 0xff, 10, 0, 0, 1 } },
	{ .b = { 0x20, 1, 0xd, 0xb9, [15] = 1 } },
	{ .b = { [15] = 1 } },
	{ .b = { 0xfd, [15] = 1 } },
	{ .b = { 0, 0x64, 0xff, 0x9b, [12] = 10, [15] = 1 } },
	{ .b = { 0x26, 6, 0x47, [15] = 2 } },
};
/* that may be told of: by hand, not by the product's guard */
static const bool fine[ADDRS] = { true,	 true, false, false, false, false,
				  false, true, false, false, false, true };

struct record {
	uint8_t owner, type, target; /* of `names`; 0 A, 1 AAAA, 2 CNAME */
	uint32_t ttl_s;
};

struct sent {
	bool open;
	uint8_t query[DNS_QUERY_MAX];
	size_t len;
	upstream_cb *done;
	void *user;
};

struct harness {
	struct event_base *base;
	struct dialer *dialer;
	struct chan front;
	struct sent sent[OPEN];
	struct record records[16]; /* of the next answer */
	size_t nrecords;
	/* the book */
	bool alias[NAMES][NAMES], has[NAMES][ADDRS];
	bool bytes; /* were said: the book is of no use */
	uint8_t asked[IDS], qtype[IDS];
	uint32_t seqs[64];
	size_t nseqs;
	unsigned policy;
};

static struct harness *world; /* of the present input */
static struct policy *policies[2];

/* ---- what stands for the network ---- */

int upstream_new(struct event_base *base, struct upstream **ret)
{
	(void)base;
	*ret = calloc(1, 1);
	return *ret ? 0 : -12;
}

void upstream_free(struct upstream *u)
{
	for (size_t i = 0; i < OPEN; i++) {
		struct sent *s = &world->sent[i];

		if (s->open)
			s->done(s->user, NULL, 0);
		s->open = false;
	}
	free(u);
}

int upstream_set_servers(struct upstream *u,
			 const struct upstream_server *servers, size_t n)
{
	return u && (servers || n == 0) ? 0 : -22;
}

void upstream_send(struct upstream *u, const uint8_t *query, size_t len,
		   bool edns, upstream_cb *done, void *user)
{
	struct sent *s = NULL;

	(void)edns;
	assert(u && len <= DNS_QUERY_MAX);
	for (size_t i = 0; i < OPEN; i++)
		if (!world->sent[i].open)
			s = &world->sent[i];
	if (!s)
		return done(user, NULL, 0);
	*s = (struct sent){
		.open = true, .len = len, .done = done, .user = user
	};
	memcpy(s->query, query, len);
}

void upstream_tick(struct upstream *u)
{
	(void)u;
}

bool upstream_is_busy(const struct upstream *u)
{
	return !u;
}

/* ---- the book ---- */

static int addr_index(const struct addr *a)
{
	for (int i = 0; i < ADDRS; i++)
		if (addr_equal(&addrs[i], a))
			return i;
	return -1;
}

/* Was it said of this name, or of one that it is said to stand for? */
static bool was_said(const struct harness *h, int name, int addr)
{
	bool reached[NAMES] = { false };

	reached[name] = true;
	for (int round = 0; round < NAMES; round++)
		for (int i = 0; i < NAMES; i++)
			for (int k = 0; reached[i] && k < NAMES; k++)
				reached[k] |= h->alias[i][k] && k != DENIED;
	for (int i = 0; i < NAMES; i++)
		if (reached[i] && h->has[i][addr])
			return true;
	return false;
}

static void check_addr(const struct harness *h, const struct addr *a, int name)
{
	int i = addr_index(a);

	/* nobody else says what that is */
	if (name == LOCALHOST) {
		assert(i == 4 || i == 8);
		return;
	}
	if (h->bytes)
		return;
	assert(i >= 0 && fine[i]);
	if (name >= 0)
		assert(was_said(h, name, i));
}

/* ---- the owner of the dialer ---- */

static enum dialer_route route(void *user, enum rule_proto proto,
			       const struct endpoint *to)
{
	(void)user;
	(void)proto;
	return addr_equal(&to->addr, &addrs[3]) ? DIALER_ROUTE_OWN :
						  DIALER_ROUTE_OK;
}

static void pin(void *user, uint32_t posture, uint32_t seq,
		const struct dialer_pin *pins, size_t npins, unsigned ttl_s)
{
	struct harness *h = user;

	assert(posture == 1 && npins > 0 && ttl_s > 0);
	assert(ttl_s <= LIMIT_PIN_S + LIMIT_TTL_MAX_S);
	for (size_t i = 0; i < npins; i++) {
		check_addr(h, &pins[i].addr, -1);
		assert(!addr_equal(&pins[i].addr, &addrs[3]));
		assert(pins[i].range.lo > 0 &&
		       pins[i].range.lo <= pins[i].range.hi);
	}
	if (h->nseqs < 64)
		h->seqs[h->nseqs++] = seq;
}

static void broken(void *user, int error)
{
	(void)user;
	(void)error;
	assert(false);
}

/* ---- front ---- */

static void take_resolved(const struct harness *h, const struct msg *m)
{
	static struct answer_resolve a;
	bool ok = answer_resolve_decode(m->body, m->len, &a);
	int name;

	assert(ok && a.id > 0 && a.id < IDS);
	name = h->asked[a.id];
	assert(a.allow || a.naddrs == 0);
	assert(name != DENIED || !a.allow);
	if (!a.allow)
		return;
	assert(a.naddrs == 0 ||
	       (a.ttl_s >= LIMIT_TTL_MIN_S && a.ttl_s <= LIMIT_TTL_MAX_S));
	for (size_t i = 0; i < a.naddrs; i++) {
		check_addr(h, &a.addrs[i], name);
		assert(addr_is_v4(&a.addrs[i]) == (h->qtype[a.id] == 1));
		assert(!addr_equal(&a.addrs[i], &addrs[3]));
	}
}

static void take_dialled(const struct harness *h, const struct msg *m)
{
	struct answer a;
	bool ok = answer_decode(m->body, m->len, &a);

	assert(ok && a.id > 0 && a.id < IDS);
	assert(m->nfds == 0 || a.allow);
	assert(h->asked[a.id] != DENIED || !a.allow);
}

static void turn(struct harness *h)
{
	static struct msg m;

	for (int i = 0; i < 2; i++) {
		(void)event_base_loop(h->base, EVLOOP_NONBLOCK);
		while (chan_recv(&h->front, 0, &m) > 0) {
			if (m.type == ANSWER)
				take_dialled(h, &m);
			else
				take_resolved(h, &m);
			msg_done(&m);
		}
	}
}

/* s: kind, name, number, type. A number has one meaning: the book needs it. */
static void ask(struct harness *h, enum ask_message type, const uint8_t *s)
{
	static const uint8_t qtypes[] = { 1, 28, 65, 64 };
	struct ask a = {
		.id = 1u + s[2] % (IDS - 1u),
		.posture = 1,
		.proto = RULE_TCP,
		.learnt = POLICY_NAME_PROXY,
		.qtype = type == ASK_RESOLVE ? qtypes[s[3] & 3] : 0,
		.to = { .port = type == ASK_RESOLVE ? 0 : 443 },
	};
	struct sbuf b;

	if (h->asked[a.id] != UINT8_MAX)
		return;
	h->asked[a.id] = s[1] % NAMES;
	h->qtype[a.id] = (uint8_t)a.qtype;
	memcpy(a.name, names[h->asked[a.id]],
	       strlen(names[h->asked[a.id]]) + 1);
	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(&a, &b);
	assert(!b.bad);
	(void)chan_send(&h->front, type, b.s, b.len, NULL, 0);
	sbuf_done(&b);
}

static void cancel(struct harness *h, uint8_t id)
{
	struct ask a = { .id = 1u + id % (IDS - 1u), .proto = RULE_TCP };
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(&a, &b);
	(void)chan_send(&h->front, ASK_CANCEL, b.s, b.len, NULL, 0);
	sbuf_done(&b);
}

/* ---- answers ---- */

static void put_name(struct sbuf *b, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		sbuf_u8(b, (uint8_t)len);
		sbuf_add(b, name, len);
		name += len + (name[len] == '.');
	}
	sbuf_u8(b, 0);
}

static void put_record(struct harness *h, struct sbuf *b,
		       const struct record *r)
{
	static const uint16_t types[] = { 1, 28, 5 };
	const struct addr *a = &addrs[r->target % ADDRS];
	const char *name = names[r->target % NAMES];

	put_name(b, names[r->owner]);
	sbuf_u16(b, types[r->type]);
	sbuf_u16(b, 1);
	sbuf_u32(b, r->ttl_s);
	switch (r->type) {
	case 0:
		sbuf_u16(b, 4);
		sbuf_add(b, a->b + 12, 4);
		break;
	case 1:
		sbuf_u16(b, 16);
		sbuf_add(b, a->b, 16);
		break;
	default:
		sbuf_u16(b, (uint16_t)(strlen(name) + 2));
		put_name(b, name);
		h->alias[r->owner][r->target % NAMES] = true;
		return;
	}
	/* what does not look like IPv4 in four bytes is another address */
	if (addr_is_v4(a) == (r->type == 0))
		h->has[r->owner][r->target % ADDRS] = true;
}

static struct sent *sent_open(struct harness *h, uint8_t which)
{
	for (size_t i = 0; i < OPEN; i++) {
		struct sent *s = &h->sent[(i + which) % OPEN];

		if (s->open)
			return s;
	}
	return NULL;
}

static void reply(struct sent *s, const void *data, size_t len)
{
	s->open = false;
	s->done(s->user, data, len);
}

/* The question as it was asked, then the records; what they say is booked. */
static void answer(struct harness *h, struct sent *s, const uint8_t *step)
{
	static const uint8_t rcodes[] = { 0, 0, 3, 2, 1 };
	size_t question = 12;
	struct sbuf b;

	while (s->query[question])
		question += s->query[question] + 1u;
	question += 5;
	sbuf_init(&b, 65535);
	sbuf_add(&b, s->query, 2);
	sbuf_u8(&b, step[2] & 1 ? 0x83 : 0x81); /* TC */
	sbuf_u8(&b, 0x80 | rcodes[step[3] % sizeof(rcodes)]);
	sbuf_u16(&b, 1);
	sbuf_u16(&b, (uint16_t)(h->nrecords + (step[2] >> 7)));
	sbuf_u32(&b, 0);
	sbuf_add(&b, s->query + 12, question - 12);
	for (size_t i = 0; i < h->nrecords; i++)
		put_record(h, &b, &h->records[i]);
	h->nrecords = 0;
	assert(!b.bad);
	reply(s, b.s, b.len);
	sbuf_done(&b);
}

/* Whatever it is, behind the question's own number if it is long enough. */
static void answer_bytes(struct harness *h, struct sent *s, const uint8_t *data,
			 size_t len, bool with_question)
{
	struct sbuf b;

	h->bytes = true;
	sbuf_init(&b, 65535);
	if (with_question) {
		sbuf_add(&b, s->query, 2);
		sbuf_u16(&b, 0x8180);
		sbuf_u16(&b, 1);
		sbuf_u16(&b, len ? data[0] : 0);
		sbuf_u32(&b, 0);
		sbuf_add(&b, s->query + 12, s->len - 12 - 11);
	}
	sbuf_add(&b, data, len);
	reply(s, b.s ? b.s : "", b.len);
	sbuf_done(&b);
}

/* ---- steps ---- */

static void step_record(struct harness *h, const uint8_t *s)
{
	static const uint32_t ttls[] = { 0, 1, 60, 100000, UINT32_MAX };

	if (h->nrecords < 16)
		h->records[h->nrecords++] = (struct record){
			.owner = s[1] % NAMES,
			.type = s[2] % 3,
			.target = s[3],
			.ttl_s = ttls[(s[2] >> 4) % 5],
		};
}

static void step_policy(struct harness *h)
{
	int r;

	h->policy ^= 1;
	r = dialer_set_policy(h->dialer, 1, policies[h->policy]);
	assert(r == 0);
	dialer_renew(h->dialer, 1);
}

static size_t step(struct harness *h, const uint8_t *s, const uint8_t *data,
		   size_t left)
{
	struct sent *sent = sent_open(h, s[1]);
	size_t len = s[2] < left ? s[2] : left;

	switch ((enum step_kind)(s[0] % S_KINDS)) {
	case S_LOOKUP:
		ask(h, ASK_RESOLVE, s);
		return 0;
	case S_DIAL:
		ask(h, ASK_DIAL, s);
		return 0;
	case S_RECORD:
		step_record(h, s);
		return 0;
	case S_ANSWER:
		if (sent)
			answer(h, sent, s);
		return 0;
	case S_BYTES:
		if (sent)
			answer_bytes(h, sent, data, len, s[3] & 1);
		return len;
	case S_FAIL:
		if (sent)
			reply(sent, NULL, 0);
		return 0;
	case S_PINNED:
		if (h->nseqs > 0)
			dialer_pinned(h->dialer, h->seqs[--h->nseqs],
				      s[1] & 1 ? 5 : 0);
		return 0;
	case S_POLICY:
		step_policy(h);
		return 0;
	case S_CANCEL:
		cancel(h, s[1]);
		return 0;
	case S_KINDS:
		break;
	}
	return 0;
}

/* ---- the harness ---- */

static void begin_once(void)
{
	static const char *const allow[] = { "a.test",	  "*.wild.test",
					     "cdn.test",  "localhost",
					     "none.test", "sub.a.test" };
	static const char *const deny[] = { "evil.test", "198.51.100.0/24" };
	struct policy_spec spec = {
		.mode = POLICY_ALLOWLIST,
		.allow = allow,
		.nallow = sizeof(allow) / sizeof(allow[0]),
		.deny = deny,
		.ndeny = 2,
	};
	struct err err;
	size_t len;

	if (policies[1])
		return;
	/* what is dialled leads nowhere: see fuzz_dialer.c */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWNET) < 0)
		exit(77);
	for (int i = 0; i < 2; i++) {
		void *image;
		int r = policy_compile(&spec, &image, &len, &err);

		assert(r == 0);
		r = policy_new(image, len, &policies[i]);
		assert(r == 0);
		spec.nallow = 2;
	}
}

static void harness_begin(struct harness *h)
{
	static const struct upstream_server server = { { .port = 53 }, 0 };
	const struct dialer_hooks hooks = {
		.user = h,
		.route = route,
		.pin = pin,
		.broken = broken,
	};
	struct err err;
	int pair[2], r;

	memset(h, 0, sizeof(*h));
	memset(h->asked, UINT8_MAX, sizeof(h->asked));
	world = h;
	h->base = event_base_new();
	r = chan_pair(pair);
	assert(h->base && r == 0);
	chan_init(&h->front, pair[0], ask_front_rules, ask_front_nrules,
		  LIMIT_CHAN_QUEUE);
	r = dialer_new(h->base, pair[1], &hooks, &h->dialer);
	assert(r == 0);
	r = dialer_set_servers(h->dialer, &server, 1, &err);
	assert(r == 0);
	r = dialer_add_posture(h->dialer, 1, policies[0]);
	assert(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct harness h;
	size_t at = 0;

	begin_once();
	harness_begin(&h);
	for (int i = 0; i < STEPS && size - at >= STEP; i++) {
		const uint8_t *s = data + at;

		at += STEP;
		at += step(&h, s, data + at, size - at);
		turn(&h);
	}
	dialer_free(h.dialer);
	chan_done(&h.front);
	event_base_free(h.base);
	return 0;
}
