/* keeper_posture.c - postures: a namespace, its wall, its sockets, its pins
 * SPDX-License-Identifier: Apache-2.0
 *
 * Order: the dialer is told first (it works in parallel), then namespace,
 * nftables, sockets; front gets the sockets, and our copies are closed as soon
 * as they are sent: the gate alone holds them. Two acknowledgements make the
 * posture ready. A `blocked` posture reaches nothing: there may be no dialer,
 * and it is not told.
 *
 * A posture has all of the gate's sockets in every mode: its policy may change
 * while payloads live in it, and they must not have taken the ports.
 */
#include "core/helper/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/helper/image.h"

struct keeper_posture *keeper_posture_find(struct keeper *k, uint32_t id)
{
	if (id == 0)
		return NULL;
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (k->postures[i].id == id)
			return &k->postures[i];
	return NULL;
}

static struct keeper_posture *slot_new(struct keeper *k, uint32_t id)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct keeper_posture *p = &k->postures[i];

		if (p->id != 0)
			continue;
		*p = (struct keeper_posture){
			.id = id,
			.netns = -1,
			.next_image = -1,
			.missing = ACK_FRONT,
		};
		return p;
	}
	return NULL;
}

static void slot_free(struct keeper_posture *p)
{
	nft_free(p->nft);
	fd_close(&p->netns);
	fd_close(&p->next_image);
	*p = (struct keeper_posture){ .netns = -1, .next_image = -1 };
}

static void tell(struct wire *w, uint32_t type, uint32_t a)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	wbuf_u32(&b, a);
	wire_send(w, type, body, wbuf_len(&b), NULL, 0);
}

static void tell_gate(struct wire *w, uint32_t posture, int image,
		      const struct gate_sockets *s)
{
	const int sockets[] = { s->tcp,	 s->dns_tcp, s->udp,   s->dns_udp,
				s->raw4, s->raw6,    s->proxy, s->nflog };
	int fds[MSG_FDS_MAX];
	unsigned n = 0;
	uint32_t there = 0;
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));

	fds[n++] = image;
	for (unsigned i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		if (sockets[i] < 0)
			continue;
		there |= 1U << i;
		fds[n++] = sockets[i];
	}
	wbuf_u32(&b, posture);
	wbuf_u32(&b, there);
	wire_send(w, G_POSTURE, body, wbuf_len(&b), fds, n);
}

static int netns_take(struct keeper *k, struct keeper_posture *p,
		      struct err *err)
{
	if (k->spare_netns < 0)
		return netns_new(&p->netns, err);
	p->netns = fd_steal(&k->spare_netns);
	keeper_spare_taken(k, p->id);
	return netns_enter(p->netns, err);
}

/* The thread is in the new namespace afterwards; *s is to be closed. */
static int wall_make(struct keeper *k, struct keeper_posture *p,
		     const struct policy *policy, struct gate_sockets *s,
		     struct err *err)
{
	struct plan *plan;
	int r = policy_plan_new(policy, &plan);

	if (r < 0)
		return err_sys(err, -r, "plan", "posture %u", p->id);
	r = netns_take(k, p, err);
	if (r == 0)
		r = nft_open(&p->nft, err);
	if (r == 0)
		r = nft_load(p->nft, plan, err);
	if (r == 0)
		r = gate_sockets_open(s, err);
	policy_plan_free(plan);
	return r;
}

static int posture_make(struct keeper *k, struct keeper_posture *p, int image,
			struct err *err)
{
	static const struct gate_sockets none = {
		-1, -1, -1, -1, -1, -1, -1, -1
	};
	struct gate_sockets sockets = none;
	struct image map;
	int r;

	r = image_map(image, &map);
	if (r < 0)
		return err_sys(err, -r, "map policy", "posture %u", p->id);
	if (policy_get_mode(map.policy) != POLICY_BLOCKED) {
		p->dials = true;
		p->missing |= ACK_DIALER;
		tell_gate(&k->dialer, p->id, image, &none);
	}
	r = wall_make(k, p, map.policy, &sockets, err);
	if (r == 0)
		tell_gate(&k->front, p->id, image, &sockets);
	gate_sockets_close(&sockets);
	image_unmap(&map);
	return r;
}

static void tell_failed(struct keeper *k, uint32_t type, uint32_t id,
			const struct err *err)
{
	struct sbuf body;

	sbuf_init(&body, LIMIT_CHAN_QUEUE);
	sbuf_u32(&body, id);
	err_encode(err, &body);
	if (body.bad)
		return keeper_fatal(k, err);
	wire_send(&k->caller, type, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

static void posture_failed(struct keeper *k, uint32_t id, const struct err *err)
{
	tell_failed(k, K_POSTURE_FAILED, id, err);
	keeper_runs_of_posture(k, id, err);
}

void keeper_posture_add(struct keeper *k, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	struct keeper_posture *p = NULL;
	struct err err;

	err_clear(&err);
	if (id != 0 && !keeper_posture_find(k, id))
		p = slot_new(k, id);
	if (!p) {
		(void)err_new(&err, ERR_LIMIT, "make posture", NULL,
			      "at most %d postures at a time", LIMIT_POSTURES);
		return posture_failed(k, id, &err);
	}
	if (posture_make(k, p, m->fds[0], &err) < 0) {
		if (p->dials)
			tell(&k->dialer, G_POSTURE_DROP, id);
		keeper_runs_unprepare(k, id);
		slot_free(p);
		return posture_failed(k, id, &err);
	}
}

void keeper_posture_drop(struct keeper *k, uint32_t id)
{
	struct keeper_posture *p = keeper_posture_find(k, id);

	if (!p)
		return;
	keeper_runs_unprepare(k, id);
	tell(&k->front, G_POSTURE_DROP, id);
	if (p->dials)
		tell(&k->dialer, G_POSTURE_DROP, id);
	slot_free(p);
}

enum { PIN_BYTES = 21 }; /* 16 + 1 + 2 + 2 */

static int pins_decode(struct rbuf *r, uint32_t n, struct nft_pin **ret)
{
	struct nft_pin *pins;

	if (n == 0 || rbuf_left(r) != (size_t)n * PIN_BYTES)
		return -EBADMSG;
	pins = calloc(n, sizeof(*pins));
	if (!pins)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		pins[i].addr = addr_from_bytes(rbuf_bytes(r, 16), 16);
		pins[i].proto = rbuf_u8(r) == RULE_UDP ? RULE_UDP : RULE_TCP;
		pins[i].range.lo = rbuf_u16(r);
		pins[i].range.hi = rbuf_u16(r);
	}
	*ret = pins;
	return 0;
}

/* ---- another policy ---- */

static void tell_policy(struct wire *w, uint32_t type, uint32_t posture,
			int image)
{
	struct gate_sockets none;
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	memset(&none, -1, sizeof(none));
	if (type == G_POSTURE)
		return tell_gate(w, posture, image, &none);
	wbuf_u32(&b, posture);
	wire_send(w, type, body, wbuf_len(&b), &image, 1);
}

/* In force in the kernel, and the gate is told. `pins` stay. */
static int policy_enforce(struct keeper *k, struct keeper_posture *p,
			  const struct policy *policy,
			  const struct nft_pins *pins, struct err *err)
{
	const bool blocked = policy_get_mode(policy) == POLICY_BLOCKED;
	struct plan *plan;
	int r = policy_plan_new(policy, &plan);

	if (r < 0)
		return err_sys(err, -r, "plan", "posture %u", p->id);
	r = nft_load_pins(p->nft, plan, pins, err);
	policy_plan_free(plan);
	if (r < 0)
		return r;
	p->unchanged = ACK_FRONT;
	if (!p->dials && blocked) {
		tell_policy(&k->front, G_POLICY, p->id, p->next_image);
		return 0;
	}
	p->unchanged |= ACK_DIALER;
	if (p->dials)
		tell(&k->dialer, G_POLICY_NOW, p->id);
	else
		tell_policy(&k->dialer, G_POSTURE, p->id, p->next_image);
	p->dials = true;
	return 0;
}

/* The image that waits; if it cannot be in force the old one is. */
static void policy_now(struct keeper *k, struct keeper_posture *p,
		       const struct nft_pins *pins)
{
	struct image map = { 0 };
	struct err err;
	int r = image_map(p->next_image, &map);

	err_clear(&err);
	if (r < 0)
		r = err_sys(&err, -r, "map policy", "posture %u", p->id);
	else
		r = policy_enforce(k, p, map.policy, pins, &err);
	image_unmap(&map);
	if (r == 0)
		return;
	fd_close(&p->next_image);
	tell_failed(k, K_POLICY_FAILED, p->id, &err);
}

void keeper_posture_policy(struct keeper *k, struct msg *m)
{
	static const struct nft_pins none;
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	struct keeper_posture *p = keeper_posture_find(k, id);
	struct err err;

	if (!p || p->missing || p->unchanged) {
		err_clear(&err);
		(void)err_new(&err, ERR_INTERNAL, "change policy", NULL,
			      "posture %u is not ready", id);
		return tell_failed(k, K_POLICY_FAILED, id, &err);
	}
	p->next_image = fd_steal(&m->fds[0]);
	if (!p->dials)
		return policy_now(k, p, &none);
	p->unchanged = ACK_PINS;
	tell_policy(&k->dialer, G_POLICY, p->id, p->next_image);
}

void keeper_posture_staying(struct keeper *k, const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct keeper_posture *p = keeper_posture_find(k, rbuf_u32(&r));
	struct nft_pins pins = { .ttl_s = rbuf_u32(&r) };
	cleanup_free struct nft_pin *list = NULL;
	uint32_t n = rbuf_u32(&r);

	if (!p || !(p->unchanged & ACK_PINS))
		return;
	p->unchanged = 0;
	/* what cannot be read is not pinned: lookups will */
	if (pins_decode(&r, n, &list) == 0) {
		pins.list = list;
		pins.n = n;
	}
	policy_now(k, p, &pins);
}

static void policy_ack(struct keeper *k, struct keeper_posture *p,
		       enum keeper_ack who)
{
	/* front is told when the dialer has it: it cannot have it before */
	if (who == ACK_FRONT && (p->unchanged & ACK_DIALER))
		return;
	p->unchanged &= ~(unsigned)who;
	if (who == ACK_DIALER)
		return tell_policy(&k->front, G_POLICY, p->id, p->next_image);
	fd_close(&p->next_image);
	tell(&k->caller, K_POLICY_SET, p->id);
}

void keeper_posture_ack(struct keeper *k, uint32_t id, enum keeper_ack who)
{
	struct keeper_posture *p = keeper_posture_find(k, id);

	if (p && (p->unchanged & who))
		return policy_ack(k, p, who);
	if (!p || !(p->missing & who))
		return;
	p->missing &= ~(unsigned)who;
	if (p->missing)
		return;
	tell(&k->caller, K_POSTURE_READY, id);
	keeper_runs_of_posture(k, id, NULL);
}

void keeper_posture_runs(struct keeper *k, struct keeper_posture *p)
{
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));
	uint32_t run = 0;

	/* one that is over, and not gone yet, has no more of them */
	for (size_t i = 0; p->live_runs == 1 && i < LIMIT_RUNS; i++)
		if (k->runs[i] && k->runs[i]->posture == p->id &&
		    (k->runs[i]->state == RUN_BORN ||
		     k->runs[i]->state == RUN_RUNNING))
			run = k->runs[i]->id;
	wbuf_u32(&b, p->id);
	wbuf_u32(&b, run);
	wire_send(&k->front, G_RUN, body, wbuf_len(&b), NULL, 0);
}

void keeper_posture_flush(struct keeper *k, struct keeper_posture *p,
			  uint32_t run)
{
	uint8_t body[8 + 8 * NFT_REFUSALS];
	struct wbuf b = wbuf_make(body, sizeof(body));
	struct nft_counters counters;
	struct err err;

	/* unreadable counters are no reason to lose the run's end */
	if (nft_counters_get(p->nft, &counters, &err) < 0)
		memset(&counters, 0, sizeof(counters));
	wbuf_u32(&b, run);
	wbuf_u32(&b, p->id);
	for (int i = 0; i < NFT_REFUSALS; i++)
		wbuf_u64(&b, counters.packets[i]);
	wire_send(&k->front, G_FLUSH, body, wbuf_len(&b), NULL, 0);
}

/* ---- pins ---- */

void keeper_pin(struct keeper *k, const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t seq = rbuf_u32(&r);
	struct keeper_posture *p = keeper_posture_find(k, rbuf_u32(&r));
	uint32_t ttl_s = rbuf_u32(&r);
	uint32_t n = rbuf_u32(&r);
	cleanup_free struct nft_pin *pins = NULL;
	uint8_t body[8];
	struct wbuf b = wbuf_make(body, sizeof(body));
	struct err err;
	/* one that is blocked it was never told of */
	int error = p && p->dials ? pins_decode(&r, n, &pins) : -ENOENT;

	/* found by the policy that is no more in force */
	if (p && (p->unchanged & ACK_DIALER))
		error = -ESTALE;
	if (error == 0)
		error = nft_pin(p->nft, pins, n, ttl_s, &err);
	wbuf_u32(&b, seq);
	wbuf_u32(&b, (uint32_t)-error);
	wire_send(&k->dialer, G_PINNED, body, wbuf_len(&b), NULL, 0);
}
