/* fuzz_dialer.c - a front that was taken over asks a whole dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * The input is a script of steps of STEP bytes: questions with any id,
 * posture, address, name; cancels; acknowledgements of pins, late, twice, of
 * none; postures that come and go; turns of the loop; broken messages. Names
 * resolve by the host's own table, and the process has a network without
 * anything, so that nothing leaves the machine.
 *
 * What must hold: a question has one answer at most, of its own kind, none
 * after its cancel; a descriptor comes only with an answer that allows; a
 * posture that is gone allows nothing.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "proxy/ask.h"
#include "proxy/dialer.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 8, STEPS = 512, IDS = 16, POSTURES = 4, PINS = 64 };

enum step_kind {
	S_DIAL,
	S_CHECK,
	S_RESOLVE,
	S_CANCEL,
	S_USED,
	S_PINNED,
	S_POSTURE,
	S_TURN,
	S_BROKEN,
	S_KINDS
};

/* Unsure: cancelled, or its id used again; until the dialer has read that, an
 * answer may be on its way, or two. */
enum open_kind { NOT_OPEN, OPEN_DIAL, OPEN_RESOLVE, UNSURE };

struct harness {
	struct event_base *base;
	struct dialer *dialer;
	struct chan front;
	bool ended;
	enum open_kind open[IDS];
	uint32_t asked_of[IDS]; /* posture */
	bool postures[POSTURES];
	uint32_t seqs[PINS];
	size_t nseqs;
};

static const char *const allow_list[] = {
	"a.test",	  "*.wild.test:1-70",	    "udp/203.0.113.9:9999",
	"203.0.113.9:22", "host.exeat.internal:80",
};
static const char *const deny_list[] = { "evil.test", "198.51.100.0/24" };
static const struct policy_spec specs[] = {
	{ .mode = POLICY_ALLOWLIST,
	  .allow = allow_list,
	  .nallow = 5,
	  .deny = deny_list,
	  .ndeny = 2 },
	{ .mode = POLICY_OPEN, .deny = deny_list, .ndeny = 2 },
};
static struct policy *policies[2];

static const struct dialer_host hosts[] = {
	{ "a.test", { .b = { [10] = 0xff, 0xff, 203, 0, 113, 10 } } },
	{ "a.test", { .b = { 0x20, 1, 0xd, 0xb8, [15] = 1 } } },
	{ "x.wild.test", { .b = { [10] = 0xff, 0xff, 203, 0, 113, 11 } } },
	{ "in.wild.test", { .b = { [10] = 0xff, 0xff, 10, 0, 0, 1 } } },
	{ "own.wild.test", { .b = { [10] = 0xff, 0xff, 203, 0, 113, 99 } } },
	{ "evil.test", { .b = { [10] = 0xff, 0xff, 203, 0, 113, 12 } } },
};
static const char *const names[] = {
	"",
	"a.test",
	"x.wild.test",
	"in.wild.test",
	"own.wild.test",
	"evil.test",
	"A.test",
	"none.test",
	"localhost",
	"host.exeat.internal",
};
static const struct addr addrs[] = {
	{ .b = { 0 } },
	{ .b = { [15] = 1 } },
	{ .b = { [10] = 0xff, 0xff, 127, 0, 0, 1 } },
	{ .b = { [10] = 0xff, 0xff, 169, 254, 169, 254 } },
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 9 } },
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 10 } },
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 11 } },
	{ .b = { [10] = 0xff, 0xff, 203, 0, 113, 99 } },
	{ .b = { [10] = 0xff, 0xff, 198, 51, 100, 1 } },
	{ .b = { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
};
static const uint16_t ports[] = { 0, 22, 53, 80, 443, 9999, 65535 };
static const uint16_t qtypes[] = { 0, 1, 28, 65, 64, 16, 255 };

#define PICK(table, byte) \
	((table)[(byte) % (sizeof(table) / sizeof((table)[0]))])

/* ---- the owner of the dialer ---- */

static enum dialer_route route(void *user, enum rule_proto proto,
			       const struct endpoint *to)
{
	(void)user;
	(void)proto;
	return addr_equal(&to->addr, &addrs[7]) ? DIALER_ROUTE_OWN :
						  DIALER_ROUTE_OK;
}

static void pin(void *user, uint32_t posture, uint32_t seq,
		const struct dialer_pin *pins, size_t npins, unsigned ttl_s)
{
	struct harness *h = user;

	assert(posture > 0 && posture <= POSTURES && h->postures[posture - 1]);
	assert(npins > 0 && ttl_s > 0);
	for (size_t i = 0; i < npins; i++)
		assert(pins[i].range.lo > 0 &&
		       pins[i].range.lo <= pins[i].range.hi &&
		       !addr_equal(&pins[i].addr, &addrs[7]));
	if (h->nseqs < PINS)
		h->seqs[h->nseqs++] = seq;
}

static void broken(void *user, int error)
{
	struct harness *h = user;

	assert(!h->ended && error > 0);
	h->ended = true;
}

/* ---- front ---- */

static void take_answer(struct harness *h, struct msg *m)
{
	static struct answer_resolve resolved;
	struct answer a;
	uint32_t id;
	bool allows;

	if (m->type == ANSWER) {
		assert(answer_decode(m->body, m->len, &a));
		id = a.id;
		allows = a.allow;
		assert(m->nfds == 0 || (a.allow && !a.error));
	} else {
		assert(answer_resolve_decode(m->body, m->len, &resolved));
		id = resolved.id;
		allows = resolved.allow;
		assert(resolved.allow || resolved.naddrs == 0);
	}
	assert(id < IDS);
	assert(h->open[id] == UNSURE ||
	       h->open[id] == (m->type == ANSWER ? OPEN_DIAL : OPEN_RESOLVE));
	if (h->open[id] != UNSURE)
		h->open[id] = NOT_OPEN;
	assert(!allows || (h->asked_of[id] > 0 && h->asked_of[id] <= POSTURES));
}

static void turn(struct harness *h)
{
	struct msg m;

	(void)event_base_loop(h->base, EVLOOP_NONBLOCK);
	while (chan_recv(&h->front, 0, &m) > 0) {
		take_answer(h, &m);
		msg_done(&m);
	}
	for (int i = 0; i < IDS; i++)
		if (h->open[i] == UNSURE)
			h->open[i] = NOT_OPEN;
}

static void ask(struct harness *h, enum step_kind kind, const uint8_t *s)
{
	static const enum ask_message types[] = {
		ASK_DIAL, ASK_CHECK, ASK_RESOLVE, ASK_CANCEL, ASK_USED,
	};
	struct ask a = {
		.id = s[1] % IDS,
		.posture = s[2] % (POSTURES + 2),
		.proto = s[3] & 1 ? RULE_UDP : RULE_TCP,
		.learnt = (enum policy_learnt)((s[3] >> 1) %
					       (POLICY_NAME_PROXY + 1)),
		.to = { PICK(addrs, s[4]), PICK(ports, s[5]) },
		.qtype = PICK(qtypes, s[7]),
	};
	const char *name = PICK(names, s[6]);
	struct sbuf b;

	/* answers that are there count before an id is used again */
	turn(h);
	if (h->ended)
		return;
	memcpy(a.name, name, strlen(name) + 1);
	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(&a, &b);
	assert(!b.bad);
	(void)chan_send(&h->front, types[kind], b.s, b.len, NULL, 0);
	sbuf_done(&b);
	if (kind <= S_CANCEL && h->open[a.id] != NOT_OPEN)
		h->open[a.id] = UNSURE;
	if (kind > S_RESOLVE || h->open[a.id] != NOT_OPEN)
		return;
	h->open[a.id] = kind == S_RESOLVE ? OPEN_RESOLVE : OPEN_DIAL;
	h->asked_of[a.id] = a.posture;
}

/* ---- steps ---- */

static void step_posture(struct harness *h, const uint8_t *s)
{
	unsigned i = s[1] % POSTURES;
	int r;

	if (h->postures[i]) {
		h->postures[i] = false;
		dialer_drop_posture(h->dialer, i + 1);
		return;
	}
	r = dialer_add_posture(h->dialer, i + 1, policies[s[2] & 1]);
	assert(r == 0);
	h->postures[i] = true;
	assert(dialer_add_posture(h->dialer, i + 1, policies[0]) < 0);
}

static void step_pinned(struct harness *h, const uint8_t *s)
{
	uint32_t seq = s[2];

	if (h->nseqs > 0 && s[1] & 1)
		seq = h->seqs[s[2] % h->nseqs];
	dialer_pinned(h->dialer, seq, s[3] & 1 ? 5 : 0);
}

static void step(struct harness *h, const uint8_t *s)
{
	enum step_kind kind = s[0] % S_KINDS;
	const int fd = h->front.fd;

	switch (kind) {
	case S_PINNED:
		return step_pinned(h, s);
	case S_POSTURE:
		return step_posture(h, s);
	case S_TURN:
		return turn(h);
	case S_BROKEN:
		(void)chan_send(&h->front, 95 + s[1] % 16, s, s[2] % STEP, &fd,
				s[3] & 1);
		return;
	case S_DIAL:
	case S_CHECK:
	case S_RESOLVE:
	case S_CANCEL:
	case S_USED:
	case S_KINDS:
		break;
	}
	ask(h, kind, s);
}

/* ---- the harness ---- */

static void begin_once(void)
{
	static bool done;
	struct err err;
	size_t len;

	if (done)
		return;
	done = true;
	/* no user namespace with threads, as libFuzzer has: unshare -Ur */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWNET) < 0)
		exit(77);
	for (int i = 0; i < 2; i++) {
		void *image;
		int r = policy_compile(&specs[i], &image, &len, &err);

		assert(r == 0);
		r = policy_new(image, len, &policies[i]);
		assert(r == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct harness h = { .ended = false };
	const struct dialer_hooks hooks = {
		.user = &h, .route = route, .pin = pin, .broken = broken
	};
	const uint8_t add[STEP] = { S_POSTURE };
	struct err err;
	int pair[2], r;

	begin_once();
	h.base = event_base_new();
	r = chan_pair(pair);
	assert(h.base && r == 0);
	chan_init(&h.front, pair[0], ask_front_rules, ask_front_nrules,
		  LIMIT_CHAN_QUEUE);
	r = dialer_new(h.base, pair[1], &hooks, &h.dialer);
	assert(r == 0);
	r = dialer_set_hosts(h.dialer, hosts, sizeof(hosts) / sizeof(hosts[0]),
			     &err);
	assert(r == 0);
	step_posture(&h, add);
	for (size_t i = 0; i + STEP <= size && i < STEPS * STEP && !h.ended;
	     i += STEP)
		step(&h, data + i);
	if (!h.ended)
		turn(&h);
	dialer_free(h.dialer);
	chan_done(&h.front);
	event_base_free(h.base);
	return 0;
}
