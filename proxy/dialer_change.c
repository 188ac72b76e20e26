/* dialer_change.c - another policy for a posture that lives
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	set	the new policy decides from here on; of the pins those stay
 *		that it would give out again; what the kernel was asked to pin
 *		for the old policy counts for nothing
 *	renew	the kernel, whose set is empty, gets the pins that stayed.
 *		What was under way is asked once more from its beginning: a
 *		lookup or a dial was vetted, step by step, by the old policy
 *
 * A pin does not know the chain of names that its address was found by. If
 * the new policy denies names that the old one did not, pins with a chain go.
 */
#include <errno.h>
#include <stdlib.h>

#include "proxy/dialer_internal.h"

struct change {
	const struct policy *policy;
	bool denies_more; /* names, than the old one */
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

int dialer_set_policy(struct dialer *d, uint32_t posture,
		      const struct policy *policy)
{
	struct posture *p = dialer_posture(d, posture);
	struct posture next = { .policy = policy };
	struct change c = { .policy = policy };
	int r = p ? posture_take_classes(&next) : -ENOENT;

	if (r < 0)
		return r;
	c.denies_more = !policy_denies_names_as(p->policy, policy);
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
	pins_renew(d, p);
	for (size_t i = 0; i < DIALER_BUCKETS; i++) {
		/* a new one comes before them in its bucket */
		for (t = LIST_FIRST(&d->tasks[i]); t; t = next) {
			next = LIST_NEXT(t, bucket);
			if (t->posture == p)
				ask_again(t);
		}
	}
}
