/* flow_change.c - TCP flows that live when the policy changes
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * By state of the flow:
 *
 *	PEEK	the dialer will decide by the new policy. Where the port may
 *		carry something else now, the filter, which was made for what
 *		it was, begins again; nothing has gone on yet
 *	ASK	the dialer asks itself again; but an answer of the old policy
 *		may be on the way, so the flow is `stale`: it is held against
 *		the new one as soon as it is relayed
 *	RELAY	asked for (ASK_CHECK): the name that it was opened by, then
 *		those that may be in use besides: the present one, and of
 *		HTTP/2, whose streams live side by side, all that came since.
 *		Bytes go on meanwhile; an answer takes no time. One that has
 *		had more names than are kept ends. A flow that was opened by
 *		its address
 *		alone ends when its address alone opens nothing any more,
 *		whatever name was seen on it
 *	LINGER	has ended already
 *
 * What cannot be asked ends. A check asks for the pin as the dial did, so the
 * pin of a flow must live as long as the flow: flow_tick() says so.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/flow_private.h"

enum { TELL_MS = LIMIT_PIN_S / 4 * 1000 };

static enum policy_carry carry_now(const struct flow *fl)
{
	return policy_carry(fl->posture->policy, &fl->to.addr, RULE_TCP,
			    fl->to.port);
}

static bool check(struct flow *fl, const char *name, enum policy_learnt learnt)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_TCP,
		.to = fl->to,
		.learnt = learnt,
	};

	memcpy(a.name, name, strlen(name) + 1);
	/* named to an explicit proxy, as then: its address has no pin */
	if (learnt == POLICY_NAME_PROXY && name[0]) {
		if (carry_now(fl) == POLICY_CARRY_NOTHING)
			return flow_refuse_changed(fl, "", "");
		a.to.addr = (struct addr){ 0 };
	}
	if (policy_get_mode(fl->posture->policy) == POLICY_BLOCKED ||
	    front_ask(fl->posture->front, ASK_CHECK, &a, &fl->recheck) < 0)
		return flow_refuse_changed(fl, "", "");
	return true;
}

static void on_recheck(struct question *q, const struct answer *a, int *take_fd)
{
	struct flow *fl =
		(struct flow *)((char *)q - offsetof(struct flow, recheck));
	const struct flow_name *next;

	(void)take_fd; /* none comes with a check */
	if (!a->allow) {
		(void)flow_refuse_changed(fl, a->rule, a->hint);
		return;
	}
	flow_meter(fl, &fl->meter, a->name, &fl->to.addr);
	if (fl->rechecked >= fl->nnames)
		return;
	next = fl->names[fl->rechecked++];
	(void)check(fl, next->text, next->learnt);
}

static bool by_address(enum policy_carry carry)
{
	return carry == POLICY_CARRY_ANY;
}

void flow_forget_names(struct flow *fl)
{
	while (fl->nnames > 0)
		free(fl->names[--fl->nnames]);
	fl->rechecked = 0;
}

static bool name_is_noted(const struct flow *fl, const char *name)
{
	if (!name[0] || strcmp(name, fl->name) == 0)
		return true;
	for (unsigned i = 0; i < fl->nnames; i++)
		if (strcmp(name, fl->names[i]->text) == 0)
			return true;
	return false;
}

void flow_note_name(struct flow *fl, const char *name)
{
	const size_t size = strlen(name) + 1;
	struct flow_name *n;

	/* a request of HTTP/1 is over when the next one is there */
	if (!fl->filter.h2)
		flow_forget_names(fl);
	if (name_is_noted(fl, name))
		return;
	n = fl->nnames < LIMIT_FLOW_NAMES ? malloc(sizeof(*n) + size) : NULL;
	if (!n) {
		fl->many_names = true;
		return;
	}
	n->learnt = fl->filter.learnt;
	memcpy(n->text, name, size);
	fl->names[fl->nnames++] = n;
}

bool flow_recheck(struct flow *fl)
{
	fl->stale = false;
	if (fl->many_names)
		return flow_refuse_changed(fl, "", "");
	/* its client was never held to what a name rule lets pass */
	if (by_address(fl->filter.carry) && !by_address(carry_now(fl)))
		return flow_refuse_changed(fl, "", "");
	front_cancel(fl->posture->front, &fl->recheck);
	fl->recheck.on_answer = on_recheck;
	fl->rechecked = 0;
	return check(fl, fl->name, fl->learnt);
}

static void begin_again(struct flow *fl)
{
	const enum policy_carry carry = carry_now(fl);

	if (fl->filter.carry == carry)
		return;
	if (carry == POLICY_CARRY_NOTHING) {
		(void)flow_refuse_changed(fl, "", "");
		return;
	}
	if (!flow_begin(fl) || fl->state != FLOW_PEEK || fl->up.len == 0)
		return;
	flow_timer(fl, LIMIT_PEEK_MS);
	(void)flow_judge(fl);
}

static void flow_changed(struct flow *fl)
{
	switch (fl->state) {
	case FLOW_PEEK:
		return begin_again(fl);
	case FLOW_ASK:
		fl->stale = true;
		return;
	case FLOW_RELAY:
		if (flow_recheck(fl))
			fl->stale = fl->question.id != 0;
		return;
	case FLOW_LINGER:
		return;
	}
}

void flow_policy_changed(struct posture *p)
{
	struct flow *fl = LIST_FIRST(&p->flows);

	while (fl) {
		struct flow *next = LIST_NEXT(fl, link);

		flow_changed(fl);
		fl = next;
	}
}

static void tell_used(const struct flow *fl)
{
	struct ask a = {
		.posture = fl->posture->id,
		.proto = RULE_TCP,
		.to = fl->to,
		.learnt = fl->learnt,
	};

	if (fl->state != FLOW_RELAY || !fl->name[0])
		return;
	memcpy(a.name, fl->name, sizeof(a.name));
	front_tell(fl->posture->front, ASK_USED, &a);
}

void flow_tick(struct front *f, int64_t now_ms)
{
	const struct posture *p;
	const struct flow *fl;

	if (now_ms - f->told_ms < TELL_MS)
		return;
	f->told_ms = now_ms;
	LIST_FOREACH(p, &f->postures, link)
		LIST_FOREACH(fl, &p->flows, link)
			tell_used(fl);
}
