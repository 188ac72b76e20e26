/* fuzz_keeper.c - front and dialer, taken over, talk to the keeper
 * SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's postures with nothing behind them: namespaces, the kernel's
 * tables and the gate's sockets are stood for by what is below. The input is a
 * script of steps of STEP bytes: the caller makes, changes and drops postures
 * as it may, front and dialer say what they like, raw or in the right form,
 * and the kernel takes what it is given or does not.
 *
 * What must hold, by a model that is written from core/proto.h alone: the
 * caller hears that a posture is ready, or that a policy is in force, once, and
 * not before each who needs it has said so in its turn; nobody is told of a
 * policy before the one who comes first has it; nothing is pinned for a
 * posture that is not there, or by a policy that is not in force any more; no
 * descriptor is left over.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/helper/keeper.h"
#include "policy/rule.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 4, STEPS = 128, POSTURES = 7, IMAGES = 4 };

enum step_kind {
	S_POSTURE,
	S_POLICY,
	S_DROP,
	S_READY,
	S_STAYING,
	S_PIN,
	S_RAW,
	S_FLUSH,
	S_KINDS
};

enum peer { CALLER, FRONT, DIALER, PEERS };

/* What may be known of a posture from outside. */
struct model {
	bool used; /* its number; the caller gives none twice */
	bool made;
	bool dials;		   /* the dialer was told of it */
	bool front, dialer;	   /* have acknowledged the posture */
	bool ready;		   /* the caller was told */
	bool asked;		   /* for another policy */
	bool staying;		   /* the dialer has said which pins do */
	bool loaded;		   /* the kernel has it */
	bool told_dialer, dialer2; /* of it, and its acknowledgement */
	bool told_front, front2;
};

struct harness {
	struct keeper keeper;
	struct chan peers[PEERS];
	struct model models[POSTURES + 1];
	bool over;	  /* a channel is */
	bool refuse;	  /* the kernel takes nothing */
	uint32_t loading; /* posture */
	unsigned pinned;
};

static struct harness h;
static struct event_base *base;
static int images[IMAGES]; /* open, a list, blocked, not sealed */

/* ---- what stands for the kernel ---- */

struct nft {
	uint32_t posture;
};

int nft_open(struct nft **ret, struct err *err)
{
	*ret = h.refuse ? NULL : calloc(1, sizeof(**ret));
	return *ret ? 0 : err_sys(err, EPERM, "open", "nft");
}

void nft_free(struct nft *n)
{
	free(n);
}

int nft_load(struct nft *n, const struct plan *plan, struct err *err)
{
	assert(n && plan);
	n->posture = h.loading;
	return h.refuse ? err_sys(err, EPERM, "load", "nft") : 0;
}

static void check_pins(const struct nft_pin *pins, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert(pins[i].proto == RULE_TCP || pins[i].proto == RULE_UDP);
}

int nft_load_pins(struct nft *n, const struct plan *plan,
		  const struct nft_pins *pins, struct err *err)
{
	struct model *m = &h.models[n->posture];

	assert(m->made && m->ready && m->asked && !m->loaded && plan);
	assert(!m->dials || m->staying);
	check_pins(pins->list, pins->n);
	if (h.refuse)
		return err_sys(err, EPERM, "load", "nft");
	m->loaded = true;
	return 0;
}

int nft_pin(struct nft *n, const struct nft_pin *pins, size_t npins,
	    unsigned ttl_s, struct err *err)
{
	const struct model *m = &h.models[n->posture];

	(void)ttl_s;
	assert(m->made && m->dials && npins > 0);
	/* by the old policy, which the kernel has no more */
	assert(!m->loaded || m->dialer2);
	check_pins(pins, npins);
	h.pinned++;
	return h.refuse ? err_sys(err, EPERM, "pin", "nft") : 0;
}

int nft_counters_get(struct nft *n, struct nft_counters *ret, struct err *err)
{
	(void)err;
	*ret = (struct nft_counters){ .packets = { n->posture } };
	return 0;
}

int netns_new(int *ret_fd, struct err *err)
{
	*ret_fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? err_sys(err, errno, "make", "netns") : 0;
}

int netns_enter(int fd, struct err *err)
{
	(void)err;
	assert(fd >= 0);
	return 0;
}

int gate_sockets_open(struct gate_sockets *ret, struct err *err)
{
	memset(ret, -1, sizeof(*ret));
	ret->tcp = fcntl(0, F_DUPFD_CLOEXEC, 0);
	ret->nflog = fcntl(0, F_DUPFD_CLOEXEC, 0);
	return h.refuse ? err_sys(err, EPERM, "open", "sockets") : 0;
}

void gate_sockets_close(struct gate_sockets *s)
{
	fd_close(&s->tcp);
	fd_close(&s->nflog);
}

/* ---- the keeper's other parts ---- */

void keeper_runs_of_posture(struct keeper *k, uint32_t posture,
			    const struct err *err)
{
	assert(k == &h.keeper && (err || posture <= POSTURES));
}

void keeper_runs_unprepare(struct keeper *k, uint32_t posture)
{
	assert(k == &h.keeper && posture <= POSTURES);
}

void keeper_spare_taken(struct keeper *k, uint32_t posture)
{
	assert(k == &h.keeper && posture <= POSTURES);
}

void keeper_fatal(struct keeper *k, const struct err *err)
{
	assert(k == &h.keeper && err->code != ERR_NONE);
	h.over = true;
}

/* ---- who hears the keeper ---- */

static struct model *model_of(const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);

	assert(!r.bad && id <= POSTURES);
	return &h.models[id];
}

static void heard_policy_set(struct model *m)
{
	assert(m->asked && m->loaded && m->front2);
	assert(m->dialer2 || !m->told_dialer);
	m->asked = m->staying = m->loaded = false;
	m->told_dialer = m->dialer2 = m->told_front = m->front2 = false;
}

static void caller_hears(const struct msg *msg)
{
	struct model *m = model_of(msg);

	switch (msg->type) {
	case K_POSTURE_READY:
		assert(m->made && !m->ready && m->front);
		assert(m->dialer || !m->dials);
		m->ready = true;
		return;
	case K_POSTURE_FAILED:
		assert(!m->ready && !m->dials);
		m->made = false;
		return;
	case K_POLICY_SET:
		return heard_policy_set(m);
	case K_POLICY_FAILED:
		assert(!m->loaded);
		m->asked = m->staying = false;
		return;
	default:
		assert(msg->type == F_FLUSHED);
	}
}

static void dialer_hears(const struct msg *msg)
{
	struct model *m;

	if (msg->type == G_PINNED)
		return;
	m = model_of(msg);
	switch (msg->type) {
	case G_POSTURE:
		assert(!m->dials && msg->nfds == 1);
		assert(!m->asked || m->loaded);
		m->dials = true;
		m->told_dialer = m->asked;
		return;
	case G_POLICY:
		assert(m->asked && m->dials && !m->loaded);
		return;
	case G_POLICY_NOW:
		assert(m->asked && m->loaded && m->staying);
		m->told_dialer = true;
		return;
	default:
		assert(msg->type == G_POSTURE_DROP);
		m->dials = false;
	}
}

static void front_hears(const struct msg *msg)
{
	struct model *m;

	if (msg->type == G_FLUSH)
		return;
	m = model_of(msg);
	switch (msg->type) {
	case G_POSTURE:
		assert(m->made && !m->ready && msg->nfds == 3);
		return;
	case G_POLICY:
		assert(m->asked && m->loaded && !m->told_front);
		assert(m->dialer2 || !m->told_dialer);
		m->told_front = true;
		return;
	default:
		assert(msg->type == G_POSTURE_DROP || msg->type == G_RUN);
	}
}

static void turn(void)
{
	static void (*const hears[PEERS])(const struct msg *m) = {
		caller_hears,
		front_hears,
		dialer_hears,
	};
	static struct msg m;

	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	/* front last: what it is told follows from what the dialer was */
	for (unsigned i = 0; i < PEERS; i++) {
		static const enum peer order[PEERS] = { DIALER, FRONT, CALLER };

		while (chan_recv(&h.peers[order[i]], 0, &m) > 0) {
			hears[order[i]](&m);
			msg_done(&m);
		}
	}
}

/* ---- who talks to it ---- */

/* As keeper.c hands them on. */
static void front_message(void *user, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	keeper_posture_ack(user, rbuf_u32(&r), ACK_FRONT);
}

static void dialer_message(void *user, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	if (m->type == G_PIN)
		keeper_pin(user, m);
	else if (m->type == G_STAYING)
		keeper_posture_staying(user, m);
	else
		keeper_posture_ack(user, rbuf_u32(&r), ACK_DIALER);
}

static void caller_message(void *user, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	if (m->type == K_POSTURE)
		keeper_posture_add(user, m);
	else if (m->type == K_POLICY)
		keeper_posture_policy(user, m);
	else if (m->type == K_POSTURE_DROP)
		keeper_posture_drop(user, rbuf_u32(&r));
}

static void on_end(void *user, int error)
{
	assert(user == &h.keeper && error > 0);
	h.over = true;
}

static void say_id(enum peer from, uint32_t type, uint32_t id, int fd)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	wbuf_u32(&b, id);
	(void)chan_send(&h.peers[from], type, body, wbuf_len(&b), &fd, fd >= 0);
}

static void step_posture(uint32_t id, uint8_t image)
{
	struct model *m = &h.models[id];

	if (m->used)
		return;
	*m = (struct model){ .used = true, .made = true };
	h.loading = id;
	say_id(CALLER, K_POSTURE, id, images[image % IMAGES]);
}

static void step_policy(uint32_t id, uint8_t image)
{
	struct model *m = &h.models[id];

	if (m->asked)
		return;
	m->asked = m->ready;
	say_id(CALLER, K_POLICY, id, images[image % IMAGES]);
}

static void step_ready(enum peer from, uint32_t id)
{
	struct model *m = &h.models[id];

	if (from == FRONT) {
		m->front |= m->made;
		m->front2 |= m->told_front;
	} else {
		m->dialer |= m->dials && !m->told_dialer;
		m->dialer2 |= m->told_dialer;
	}
	say_id(from, G_POSTURE_READY, id, -1);
}

/* s: kind, posture, how many, what of them and what is wrong. */
static void say_pins(const uint8_t *s, uint32_t id, bool staying)
{
	uint32_t n = s[2] % 5;
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	if (!staying)
		sbuf_u32(&b, 7);
	sbuf_u32(&b, id);
	sbuf_u32(&b, s[3] & 8 ? UINT32_MAX : 60);
	sbuf_u32(&b, s[3] & 16 ? UINT32_MAX / 21 + s[2] : n);
	for (uint32_t i = 0; i < n; i++) {
		const struct addr a = { .b = { [15] = s[3] } };

		sbuf_add(&b, a.b, sizeof(a.b));
		sbuf_u8(&b, s[3] & 7);
		sbuf_u16(&b, 443);
		sbuf_u16(&b, (uint16_t)(s[3] & 32 ? 0 : 443));
	}
	if (s[3] & 64)
		sbuf_u8(&b, 0);
	(void)chan_send(&h.peers[DIALER], staying ? G_STAYING : G_PIN, b.s,
			b.len, NULL, 0);
	sbuf_done(&b);
}

static void step_staying(const uint8_t *s, uint32_t id)
{
	struct model *m = &h.models[id];

	m->staying |= m->asked && m->dials;
	say_pins(s, id, true);
}

/* Returns how many of the bytes that follow are its body. A raw message may
 * say what the model does not follow: it has no acknowledgement in it. */
static size_t step_raw(const uint8_t *s, const uint8_t *data, size_t left)
{
	size_t len = s[3] < left ? s[3] : left;
	uint32_t type = s[2] % 64;

	if (type == G_POSTURE_READY || type == G_STAYING)
		type = G_PIN;
	(void)chan_send(&h.peers[s[1] & 1 ? FRONT : DIALER], type, data, len,
			NULL, 0);
	return len;
}

static void step_drop(uint32_t id)
{
	h.models[id] = (struct model){ .used = h.models[id].used };
	say_id(CALLER, K_POSTURE_DROP, id, -1);
}

static void step_flush(uint32_t id)
{
	struct keeper_posture *p = keeper_posture_find(&h.keeper, id);

	assert(!p == !h.models[id].made);
	if (!p)
		return;
	keeper_posture_flush(&h.keeper, p, 1);
	keeper_posture_runs(&h.keeper, p);
}

static size_t step(const uint8_t *s, const uint8_t *data, size_t left)
{
	uint32_t id = s[1] % (POSTURES + 1u);

	h.refuse = s[0] & 0x80;
	switch ((enum step_kind)((s[0] & 0x7f) % S_KINDS)) {
	case S_POSTURE:
		step_posture(id ? id : 1, s[2]);
		return 0;
	case S_POLICY:
		step_policy(id, s[2]);
		return 0;
	case S_DROP:
		step_drop(id);
		return 0;
	case S_READY:
		step_ready(s[2] & 1 ? FRONT : DIALER, id);
		return 0;
	case S_STAYING:
		step_staying(s, id);
		return 0;
	case S_PIN:
		say_pins(s, id, false);
		return 0;
	case S_RAW:
		return step_raw(s, data, left);
	case S_FLUSH:
		step_flush(id);
		return 0;
	case S_KINDS:
		break;
	}
	return 0;
}

/* ---- the harness ---- */

static int image_new(enum policy_mode mode)
{
	static const char *const allow[] = { "a.test" };
	const struct policy_spec spec = {
		.mode = mode,
		.allow = allow,
		.nallow = mode == POLICY_ALLOWLIST,
	};
	struct err err;
	void *image;
	size_t len;
	int fd, r = policy_compile(&spec, &image, &len, &err);

	assert(r == 0);
	fd = fd_sealed_memfd("image", image, len);
	assert(fd >= 0);
	free(image);
	return fd;
}

static void begin_once(void)
{
	if (base)
		return;
	base = event_base_new();
	images[0] = image_new(POLICY_OPEN);
	images[1] = image_new(POLICY_ALLOWLIST);
	images[2] = image_new(POLICY_BLOCKED);
	images[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void wire_open(struct wire *w, enum peer who,
		      void (*on_message)(void *user, struct msg *m),
		      const struct msg_rule *rules, size_t nrules,
		      const struct msg_rule *theirs, size_t ntheirs)
{
	int pair[2], r = chan_pair(pair);

	assert(r == 0);
	w->on_message = on_message;
	w->on_end = on_end;
	w->user = &h.keeper;
	r = wire_init(w, base, pair[0], rules, nrules);
	assert(r == 0);
	chan_init(&h.peers[who], pair[1], theirs, ntheirs, LIMIT_CHAN_QUEUE);
}

static void harness_begin(bool spare)
{
	const struct proto_table caller = proto_caller_tables[0];
	/* in the state that proto_caller_tables has for a helper that serves */
	static struct msg_rule serving[32];
	struct keeper *k = &h.keeper;

	memset(&h, 0, sizeof(h));
	k->base = base;
	k->spare_netns = spare ? fcntl(0, F_DUPFD_CLOEXEC, 0) : -1;
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		k->postures[i].netns = k->postures[i].next_image = -1;
	assert(caller.nrules <= 32);
	for (size_t i = 0; i < caller.nrules; i++) {
		serving[i] = caller.rules[i];
		serving[i].states >>= PROTO_SERVING;
	}
	wire_open(&k->caller, CALLER, caller_message, proto_keeper_caller_rules,
		  proto_keeper_caller_nrules, serving, caller.nrules);
	wire_open(&k->front, FRONT, front_message, proto_keeper_front_rules,
		  proto_keeper_front_nrules, proto_front_keeper_rules,
		  proto_front_keeper_nrules);
	wire_open(&k->dialer, DIALER, dialer_message, proto_keeper_dialer_rules,
		  proto_keeper_dialer_nrules, proto_dialer_keeper_rules,
		  proto_dialer_keeper_nrules);
}

/* As the end of the process does it. */
static void harness_end(void)
{
	struct keeper *k = &h.keeper;

	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		nft_free(k->postures[i].nft);
		fd_close(&k->postures[i].netns);
		fd_close(&k->postures[i].next_image);
	}
	fd_close(&k->spare_netns);
	wire_done(&k->caller);
	wire_done(&k->front);
	wire_done(&k->dialer);
	for (unsigned i = 0; i < PEERS; i++)
		chan_done(&h.peers[i]);
}

static void script(const uint8_t *data, size_t size)
{
	size_t at = 0;

	for (int i = 0; i < STEPS && size - at >= STEP && !h.over; i++) {
		const uint8_t *s = data + at;

		at += STEP;
		at += step(s, data + at, size - at);
		turn();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before;

	if (size < 1)
		return 0;
	begin_once();
	before = fuzz_lowest_fd();
	harness_begin(data[0] & 1);
	script(data + 1, size - 1);
	harness_end();
	assert(fuzz_lowest_fd() == before);
	return 0;
}
