/* flow_tunnel.c - a flow whose destination a client of the proxy has said
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	accept -> ASK -> RELAY	the dialer is asked before a byte of what is
 *				within is read; the client is told what came
 *				of it, and then the filter begins as it does
 *				with any flow
 *	accept -> PEEK ...	SOCKS with an address that a name within has to
 *				decide: the client is told that it goes on, and
 *				the flow is an ordinary one from there
 *
 * The dialer has said yes to the name that the client named. Where the port
 * carries TLS or HTTP by name, what is within must begin with a name all the
 * same, and no byte of the target goes to the client before that.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fd.h"
#include "policy/guard.h"
#include "policy/pattern.h"
#include "proxy/flow_private.h"

/* Stands for what has no address: 198.18.0.0, of a range nobody routes. */
#define SYNTHETIC UINT32_C(0xc6120000)

/* What an ordinary flow would be judged by is a name within. */
static bool decided_within(const struct posture *p,
			   const struct proxyd_target *t)
{
	switch (policy_carry(p->policy, &t->to.addr, RULE_TCP, t->to.port)) {
	case POLICY_CARRY_TLS:
	case POLICY_CARRY_HTTP:
	case POLICY_CARRY_PINNED:
		return t->protocol == PROXYD_SOCKS && !t->name[0];
	case POLICY_CARRY_NOTHING:
	case POLICY_CARRY_ANY:
		break;
	}
	return false;
}

void flow_tunnel(struct posture *p, int take_client,
		 const struct proxyd_target *target, const uint8_t *data,
		 size_t len)
{
	struct flow *fl = flow_make(p, take_client, &target->to);

	if (!fl)
		return;
	fl->tunnel = target->protocol;
	if (relay_keep(&fl->up, data, len, 0) < 0) {
		(void)flow_fail(fl, ENOMEM);
		return;
	}
	if (decided_within(p, target)) {
		if (!proxyd_say_open(fl->client, fl->tunnel))
			return flow_close(fl, FLOW_LEFT);
		if (flow_begin(fl))
			(void)flow_judge(fl);
		return;
	}
	fl->owed = true;
	filter_init_opaque(&fl->filter);
	memcpy(fl->filter.name, target->name, sizeof(fl->filter.name));
	fl->filter.learnt = POLICY_NAME_PROXY;
	(void)flow_ask(fl);
}

enum policy_carry proxyd_carry(const struct policy *p,
			       const struct proxyd_target *target,
			       const struct endpoint *peer,
			       struct endpoint *ret_to)
{
	static const struct addr nowhere;
	struct addr at;

	*ret_to = target->to;
	if (target->name[0])
		ret_to->addr = name_is_host_alias(target->name) ?
				       gate_addrs.host4 :
				       peer->addr;
	at = ret_to->addr;
	if (addr_equal(&at, &nowhere))
		at = addr_from_v4(SYNTHETIC);
	return policy_carry(p, &at, RULE_TCP, ret_to->port);
}

bool flow_tunnel_open(struct flow *fl, const struct answer *a)
{
	const struct posture *p = fl->posture;
	struct proxyd_target asked = { .protocol = fl->tunnel, .to = fl->to };
	enum policy_carry carry;

	/* from here on it is as if the payload had connected to that address */
	memcpy(asked.name, fl->filter.name, sizeof(asked.name));
	carry = proxyd_carry(p->policy, &asked, &a->peer, &fl->to);
	if (carry != POLICY_CARRY_ANY || p->peek_any) {
		char name[LIMIT_NAME + 1];

		memcpy(name, fl->filter.name, sizeof(name));
		filter_init(&fl->filter, carry);
		filter_admit_name(&fl->filter, name);
	}
	fl->owed = false;
	if (!proxyd_say_open(fl->client, fl->tunnel)) {
		flow_close(fl, FLOW_RESET);
		return false;
	}
	if (flow_owes_name(fl))
		flow_timer(fl, LIMIT_PEEK_MS);
	return true;
}

bool flow_owes_name(const struct flow *fl)
{
	return fl->filter.mode == FILTER_FIRST &&
	       (fl->filter.carry == POLICY_CARRY_TLS ||
		fl->filter.carry == POLICY_CARRY_HTTP);
}
