/* dialer_pin.c - pins: ours, and the kernel's copy of them
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A name that was resolved is pinned in two places: in pins.h, by which the
 * dialer knows whose address it is, and in the kernel's sets, which let the
 * packets pass to the gate at all. What the kernel does not have, or was told
 * too long ago, goes to it as a batch (hooks.pin()). The answer that made the
 * batch necessary waits for its acknowledgement; a pin counts only from then
 * on. What stays when the policy changes is the kernel's before it is in force
 * (dialer_change.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "proxy/dialer_internal.h"

enum {
	NAME_RANGES = 128, /* port ranges of one name; the rest: no pin */
	/* what nft_pin() takes when it is not a class of its own */
	SMALL_RANGE = LIMIT_RULE_PORTS,
};

struct pin_batch {
	TAILQ_ENTRY(pin_batch) link;
	uint32_t seq;
	struct posture *posture;
	struct task *task; /* NULL: nobody waits */
	int64_t asked_ms;
	size_t naddrs;
	struct addr addrs[LIMIT_DNS_ADDRS];
	char name[LIMIT_NAME + 1];
};

/* The wide ranges that have sets of their own in the kernel. */
int posture_take_classes(struct posture *p)
{
	if (policy_get_mode(p->policy) == POLICY_BLOCKED)
		return 0;
	return policy_pin_classes_new(p->policy, &p->classes, &p->nclasses);
}

/* -- from the ports of a name to what the kernel takes -- */

struct range_list {
	struct policy_port ports[NAME_RANGES];
	size_t n;
};

static void add_range(struct range_list *l, enum rule_proto proto, unsigned lo,
		      unsigned hi)
{
	if (l->n < NAME_RANGES)
		l->ports[l->n++] = (struct policy_port){
			.proto = proto,
			.range = { (uint16_t)lo, (uint16_t)hi },
		};
}

static bool range_within(const struct port_range *inner,
			 const struct port_range *outer)
{
	return inner->lo >= outer->lo && inner->hi <= outer->hi;
}

/* The widest class within `whole` that begins at or before port and has it. */
static const struct plan_pin_class *class_at(const struct posture *p,
					     const struct policy_port *whole,
					     unsigned port)
{
	const struct plan_pin_class *best = NULL;

	for (size_t i = 0; i < p->nclasses; i++) {
		const struct plan_pin_class *c = &p->classes[i];

		if (c->proto != whole->proto ||
		    !range_within(&c->range, &whole->range) ||
		    c->range.lo > port || c->range.hi < port)
			continue;
		if (!best || c->range.hi > best->range.hi)
			best = c;
	}
	return best;
}

static bool class_begins_at(const struct posture *p,
			    const struct policy_port *whole, unsigned port)
{
	for (size_t i = 0; i < p->nclasses; i++) {
		const struct plan_pin_class *c = &p->classes[i];

		if (c->proto == whole->proto && c->range.lo == port &&
		    range_within(&c->range, &whole->range))
			return true;
	}
	return false;
}

/* Cover one merged range by classes, and small ranges between them. */
static void cover(const struct posture *p, const struct policy_port *whole,
		  struct range_list *l)
{
	unsigned port = whole->range.lo;

	while (port <= whole->range.hi) {
		const struct plan_pin_class *c = class_at(p, whole, port);
		unsigned end = port;

		if (c) {
			add_range(l, c->proto, c->range.lo, c->range.hi);
			port = c->range.hi + 1U;
			continue;
		}
		while (end < whole->range.hi && end - port + 1 < SMALL_RANGE &&
		       !class_begins_at(p, whole, end + 1))
			end++;
		add_range(l, whole->proto, port, end);
		port = end + 1;
	}
}

static void ranges_of_name(const struct posture *p, const char *name,
			   struct range_list *ret)
{
	struct policy_port ports[NAME_RANGES];
	const size_t n = policy_name_ports(p->policy, name, ports, NAME_RANGES);

	ret->n = 0;
	for (size_t i = 0; i < n; i++)
		cover(p, &ports[i], ret);
}

/* -- batches -- */

static void batch_free(struct dialer *d, struct pin_batch *b)
{
	TAILQ_REMOVE(&d->batches, b, link);
	free(b);
}

void pin_batches_drop(struct dialer *d, const struct posture *p)
{
	struct pin_batch *b, *next;

	for (b = TAILQ_FIRST(&d->batches); b; b = next) {
		next = TAILQ_NEXT(b, link);
		if (b->posture != p)
			continue;
		if (b->task)
			b->task->batch = NULL;
		batch_free(d, b);
	}
}

void pin_batch_forget_task(struct pin_batch *b)
{
	if (b)
		b->task = NULL;
}

static int batch_send(struct dialer *d, struct pin_batch *b,
		      const struct range_list *l)
{
	const size_t n = b->naddrs * l->n;
	cleanup_free struct dialer_pin *pins = calloc(n, sizeof(*pins));
	size_t k = 0;

	if (!pins)
		return -ENOMEM;
	for (size_t i = 0; i < b->naddrs; i++) {
		for (size_t j = 0; j < l->n; j++) {
			pins[k++] = (struct dialer_pin){
				.addr = b->addrs[i],
				.proto = l->ports[j].proto,
				.range = l->ports[j].range,
			};
		}
	}
	if (b->task)
		b->task->batch = b;
	/* the last of it: b may be acknowledged, and gone, when this returns */
	d->hooks.pin(d->hooks.user, b->posture->id, b->seq, pins, n,
		     PIN_KERNEL_S);
	return 1;
}

static void all_told(const struct pin_batch *b)
{
	for (size_t i = 0; i < b->naddrs; i++)
		pins_told(b->posture->pins, b->name, &b->addrs[i], b->asked_ms);
}

int pin_addresses(struct dialer *d, struct posture *p, const char *name,
		  const struct addr *addrs, size_t n, struct task *waiting)
{
	const int64_t now = clock_ms();
	struct pin_batch *b = calloc(1, sizeof(*b));
	struct range_list l;
	int r;

	if (!b)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&d->batches, b, link);
	b->seq = d->next_seq++;
	b->posture = p;
	b->task = waiting;
	b->asked_ms = now;
	memcpy(b->name, name, strlen(name) + 1);
	for (size_t i = 0; i < n && i < LIMIT_DNS_ADDRS; i++) {
		bool stale = true;

		r = pins_add(p->pins, name, &addrs[i], now, &stale);
		if (r < 0) {
			batch_free(d, b);
			return r;
		}
		if (waiting)
			pins_set_chained(p->pins, name, &addrs[i],
					 waiting->resolved->chain[0]);
		if (stale)
			b->addrs[b->naddrs++] = addrs[i];
	}
	l.n = 0;
	if (b->naddrs > 0)
		ranges_of_name(p, name, &l);
	if (l.n == 0) {
		all_told(b); /* open: the kernel asks for no pin */
		batch_free(d, b);
		return 0;
	}
	r = batch_send(d, b, &l);
	if (r < 0)
		batch_free(d, b);
	return r;
}

/* Elements of a set; a wide range is a class, and one. */
static size_t range_elements(const struct port_range *r)
{
	const size_t ports = r->hi - r->lo + 1U;

	return ports > SMALL_RANGE ? 1 : ports;
}

bool pins_add_ranges(struct dialer_pins *to, size_t *left,
		     const struct posture *p, const char *name,
		     const struct addr *a)
{
	struct range_list l;
	size_t elements = 0;

	ranges_of_name(p, name, &l);
	for (size_t i = 0; i < l.n; i++)
		elements += range_elements(&l.ports[i].range);
	if (elements > *left)
		return false;
	*left -= elements;
	for (size_t i = 0; i < l.n; i++) {
		to->list[to->n++] = (struct dialer_pin){
			.addr = *a,
			.proto = l.ports[i].proto,
			.range = l.ports[i].range,
		};
	}
	return true;
}

void dialer_pinned(struct dialer *d, uint32_t seq, int error)
{
	struct pin_batch *b;
	struct task *t;

	/* acknowledged in order, so the first is the one */
	TAILQ_FOREACH(b, &d->batches, link) {
		if (b->seq == seq)
			break;
	}
	if (!b)
		return;
	if (!error)
		all_told(b);
	t = b->task;
	batch_free(d, b);
	if (!t)
		return;
	t->batch = NULL;
	resolve_pinned(t, error);
}
