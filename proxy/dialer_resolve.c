/* dialer_resolve.c - the answer to a payload's DNS question
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	decide		the policy on the name alone (of a service: on that of
 *			its host). A refused name ends here: nothing leaves the
 *			machine for it
 *	special		names that stand for the sandbox itself or its host
 *	types		only addresses and HTTPS/SVCB are ever asked for
 *	budget		dialer_quota.c: no more than may be said in names
 *	look up		dialer_lookup.c
 *	pin		the answer leaves when its addresses are in force
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/pattern.h"
#include "proxy/dialer_internal.h"
#include "proxy/dns.h"

/* _service._proto.NAME asks something about NAME (RFC 2782). */
static const char *subject(const struct ask *a)
{
	const char *name = a->name;

	for (int i = 0; i < 2 && a->qtype == DNS_TYPE_SRV; i++) {
		const char *dot = strchr(name, '.');

		if (name[0] != '_' || !dot)
			return a->name;
		name = dot + 1;
	}
	return name;
}

static void refuse(const struct posture *p, const struct ask *a,
		   enum policy_reason reason, uint32_t rule,
		   struct answer_resolve *r)
{
	const struct policy_question q = {
		.ask = POLICY_ASK_LOOKUP,
		.name = subject(a),
		.learnt = POLICY_NAME_DNS,
	};

	r->allow = false;
	r->reason = reason;
	if (!p)
		return;
	if (rule != POLICY_NO_RULE)
		(void)snprintf(r->rule, sizeof(r->rule), "%s",
			       policy_rule_text(p->policy, rule));
	policy_hint(&q, reason, r->hint);
}

static void say_rcode(struct answer_resolve *r, uint8_t rcode)
{
	r->rcode = rcode;
	r->ttl_s = LIMIT_TTL_MIN_S;
}

/* The one address of a special name, in the family that was asked for. */
static void say_special(struct answer_resolve *r, uint16_t qtype,
			const struct addr *v4, const struct addr *v6)
{
	say_rcode(r, DNS_NOERROR);
	if (qtype == DNS_TYPE_A)
		r->addrs[r->naddrs++] = *v4;
	else if (qtype == DNS_TYPE_AAAA)
		r->addrs[r->naddrs++] = *v6;
}

/*
 * The part that needs nobody else. True: *r is the answer. Allow is assigned
 * here and nowhere else.
 */
static bool decide(const struct posture *p, const struct ask *a,
		   struct answer_resolve *r)
{
	struct policy_question q = {
		.ask = POLICY_ASK_LOOKUP,
		.name = a->name,
		.learnt = POLICY_NAME_DNS,
	};
	const struct addr loopback4 = addr_from_v4(INADDR_LOOPBACK);
	const struct addr loopback6 = { .b = { [15] = 1 } };
	const bool localhost = name_is_localhost(a->name);
	struct policy_verdict v;
	uint32_t denied;

	if (!p) {
		refuse(p, a, POLICY_R_DEFAULT, POLICY_NO_RULE, r);
		return true;
	}
	v = policy_decide(p->policy, &q);
	/* apt asks before each connection; as of any type, nothing leaves */
	if (!v.allow && v.reason == POLICY_R_DEFAULT && subject(a) != a->name) {
		q.name = subject(a);
		v = policy_decide(p->policy, &q);
	}
	/* RFC 6761 6.3: it needs no rule, and it is the payload's own */
	if (localhost && !policy_name_denied(p->policy, a->name, &denied)) {
		v.allow = true;
		v.reason = POLICY_R_RULE;
		v.rule = POLICY_NO_RULE;
	}
	if (!v.allow) {
		refuse(p, a, v.reason, v.rule, r);
		return true;
	}
	r->allow = true;
	r->reason = v.reason;
	if (v.rule != POLICY_NO_RULE)
		(void)snprintf(r->rule, sizeof(r->rule), "%s",
			       policy_rule_text(p->policy, v.rule));
	if (localhost) {
		say_special(r, a->qtype, &loopback4, &loopback6);
		return true;
	}
	if (v.host_alias) {
		say_special(r, a->qtype, &gate_addrs.host4, &gate_addrs.host6);
		return true;
	}
	if (name_is_host_alias(a->name)) {
		say_rcode(r, DNS_NXDOMAIN);
		return true;
	}
	switch (a->qtype) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
	case DNS_TYPE_HTTPS:
	case DNS_TYPE_SVCB:
		return false;
	default:
		say_rcode(r, DNS_NOERROR);
		return true;
	}
}

static void no_answer(struct answer_resolve *r)
{
	r->naddrs = 0;
	r->rdata_len = 0;
	say_rcode(r, DNS_SERVFAIL);
}

static void take_result(struct task *t, const struct lookup_result *l)
{
	struct answer_resolve *r = t->resolved;

	(void)snprintf(r->chain, sizeof(r->chain), "%s", l->chain);
	r->ttl_s = l->ttl_s;
	if (!l->allow) {
		r->rule[0] = '\0';
		refuse(t->posture, &t->ask, l->reason, l->rule, r);
		return;
	}
	r->rcode = l->rcode;
	r->naddrs = (uint16_t)l->naddrs;
	memcpy(r->addrs, l->addrs, l->naddrs * sizeof(l->addrs[0]));
	if (l->rdata_len > 0 && l->rdata_len <= sizeof(r->rdata)) {
		r->rdata_len = (uint16_t)l->rdata_len;
		memcpy(r->rdata, l->rdata, l->rdata_len);
	}
}

static void looked_up_cb(void *user, const struct lookup_result *l)
{
	struct task *t = user;
	int r = 0;

	t->lookup = NULL;
	take_result(t, l);
	if (l->allow && l->naddrs > 0)
		r = pin_addresses(t->dialer, t->posture, t->ask.name, l->addrs,
				  l->naddrs, t);
	if (r > 0)
		return; /* t goes on in resolve_pinned() */
	if (r < 0)
		no_answer(t->resolved);
	task_answer_resolve(t);
}

void resolve_pinned(struct task *t, int error)
{
	if (error)
		no_answer(t->resolved);
	task_answer_resolve(t);
}

void resolve_late(struct task *t)
{
	no_answer(t->resolved);
	task_answer_resolve(t);
}

/* True: *r is the answer, a refusal. A rule for the very name has no budget. */
static bool over_quota(struct dialer *d, struct posture *p, const struct ask *a,
		       struct answer_resolve *r)
{
	const struct policy_question q = {
		.ask = POLICY_ASK_LOOKUP,
		.name = a->name,
		.learnt = POLICY_NAME_DNS,
	};
	uint32_t rule;
	enum quota_verdict v = quota_lookup(d, p, a->name, a->qtype, &rule);

	if (v == QUOTA_WITHIN)
		return false;
	refuse(p, a, POLICY_R_LIMIT, rule, r);
	if (v == QUOTA_OVER_NAMES)
		policy_hint(&q, POLICY_R_DEFAULT, r->hint);
	return true;
}

/* The proxy will resolve it: the name has an address for the payload alone. */
static void answer_synthetic(struct task *t)
{
	struct lookup_result l = {
		.allow = true,
		.rcode = DNS_NOERROR,
		.ttl_s = LIMIT_TTL_MAX_S,
		.chain = "",
	};

	if (t->ask.qtype == DNS_TYPE_A) {
		if (upproxy_address(t->posture, t->ask.name, &l.addrs[0]) < 0)
			return resolve_late(t);
		l.naddrs = 1;
	}
	looked_up_cb(t, &l);
}

void resolve_ask(struct dialer *d, struct posture *p, const struct ask *a)
{
	struct answer_resolve r = { .id = a->id };
	struct task *t;

	if (decide(p, a, &r) || over_quota(d, p, a, &r))
		return send_answer_resolve(d, &r);
	t = task_new(d, p, a, TASK_RESOLVE);
	if (!t) {
		r.reason = POLICY_R_LIMIT;
		no_answer(&r);
		return send_answer_resolve(d, &r);
	}
	*t->resolved = r;
	if (upproxy_resolves(d, a->name))
		return answer_synthetic(t);
	if (lookup_new(d, p->policy, a->name, a->qtype, looked_up_cb, t,
		       &t->lookup) < 0)
		return resolve_late(t);
}
