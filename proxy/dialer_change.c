/* dialer_change.c - another policy for a posture that lives
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	staying	the old one decides. Which pins will the new one leave? They are
 *		part of what replaces the kernel's table, so that no packet
 *		meets the new policy without them. Those that the kernel is
 *		being asked for are among them: its answer may be on the way
 *	set	the new policy decides from here on; of the pins those stay
 *		that it would give out again; what the kernel was asked to pin
 *		meanwhile counts for nothing
 *	renew	what was under way is asked once more from its beginning: a
 *		lookup or a dial was vetted, step by step, by the old policy
 *
 * A pin does not know the chain of names that its address was found by. If
 * the new policy denies names that the old one did not, pins with a chain go.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/base/fd.h"
#include "proxy/dialer_internal.h"

/* Elements of the kernel's sets that come with a new policy, the most recent
 * first; the rest is pinned there when its name is looked up again. */
enum { STAYING = 16384 };

struct change {
	const struct policy *policy;
	bool denies_more; /* names, than the old one */
};

struct staying {
	struct change change;
	struct posture next;
	struct dialer_pins pins;
	size_t left; /* of STAYING */
};

static bool stays(void *user, const char *name, const struct addr *a,
		  bool chained)
{
	const struct change *c = user;
	const struct policy_question q = {
		.ask = POLICY_ASK_LOOKUP,
		.name = name,
		.learnt = POLICY_NAME_DNS,
	};
	enum policy_reason reason;
	uint32_t rule;

	if (chained && c->denies_more)
		return false;
	return policy_decide(c->policy, &q).allow &&
	       policy_vet_answer(c->policy, name, a, &reason, &rule);
}

static struct change change_of(const struct posture *p,
			       const struct policy *policy)
{
	return (struct change){
		.policy = policy,
		.denies_more = !policy_denies_names_as(p->policy, policy),
	};
}

static bool take_staying(void *user, const char *name, const struct addr *a,
			 bool chained)
{
	struct staying *s = user;

	return stays(&s->change, name, a, chained) &&
	       pins_add_ranges(&s->pins, &s->left, &s->next, name, a);
}

int dialer_staying_pins(struct dialer *d, uint32_t posture,
			const struct policy *policy, struct dialer_pins *ret)
{
	struct posture *p = dialer_posture(d, posture);
	struct staying s = {
		.next.policy = policy,
		.pins.ttl_s = PIN_KERNEL_S,
		.left = STAYING,
	};
	int r = p ? posture_take_classes(&s.next) : -ENOENT;

	if (r < 0)
		return r;
	s.pins.list = calloc(STAYING, sizeof(s.pins.list[0]));
	if (s.pins.list) {
		s.change = change_of(p, policy);
		pins_hand(p->pins, clock_ms(), take_staying, &s);
		*ret = s.pins;
	}
	free(s.next.classes);
	return s.pins.list ? 0 : -ENOMEM;
}

int dialer_set_policy(struct dialer *d, uint32_t posture,
		      const struct policy *policy)
{
	struct posture *p = dialer_posture(d, posture);
	struct posture next = { .policy = policy };
	struct change c;
	int r = p ? posture_take_classes(&next) : -ENOENT;

	if (r < 0)
		return r;
	c = change_of(p, policy);
	free(p->classes);
	p->policy = policy;
	p->classes = next.classes;
	p->nclasses = next.nclasses;
	pins_prune(p->pins, stays, &c);
	return 0;
}

static void ask_again(struct task *t)
{
	struct dialer *d = t->dialer;
	struct posture *p = t->posture;
	struct ask a = t->ask;
	const bool resolves = t->resolved;

	task_free(t);
	/* the name was found among the pins: they may be others now */
	if (a.learnt == POLICY_NAME_PIN)
		a.name[0] = '\0';
	if (resolves)
		resolve_ask(d, p, &a);
	else
		dial_ask(d, p, &a);
}

void dialer_renew(struct dialer *d, uint32_t posture)
{
	struct posture *p = dialer_posture(d, posture);
	struct task *t, *next;

	if (!p)
		return;
	pin_batches_drop(d, p);
	for (size_t i = 0; i < DIALER_BUCKETS; i++) {
		/* a new one comes before them in its bucket */
		for (t = LIST_FIRST(&d->tasks[i]); t; t = next) {
			next = LIST_NEXT(t, bucket);
			if (t->posture == p)
				ask_again(t);
		}
	}
}
