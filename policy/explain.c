/* explain.c - a verdict in words, and the rule that would allow
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/guard.h"
#include "policy/pattern.h"
#include "policy/policy.h"

static bool is_unset(const struct addr *a)
{
	static const struct addr none;

	return addr_equal(a, &none);
}

static void copy_hint(struct sbuf *b, char hint[LIMIT_RULE_TEXT])
{
	hint[0] = '\0';
	if (!b->bad && b->s && b->len < LIMIT_RULE_TEXT)
		memcpy(hint, b->s, b->len + 1);
	sbuf_done(b);
}

static bool is_web(const struct policy_question *q)
{
	return q->ask == POLICY_ASK_LOOKUP ||
	       (q->proto == RULE_TCP && (q->port == 80 || q->port == 443));
}

static void hint_name(const struct policy_question *q, bool private_ok,
		      struct sbuf *b)
{
	const char *proto = q->proto == RULE_UDP ? "udp/" : "";

	if (is_web(q))
		sbuf_str(b, q->name);
	else
		sbuf_fmt(b, "%s%s:%u", proto, q->name, q->port);
	if (private_ok)
		sbuf_str(b, "+private");
}

static void hint_addr(const struct policy_question *q, struct sbuf *b)
{
	char buf[ENDPOINT_STRLEN];
	struct endpoint ep = { q->addr, q->port };

	if (q->ask != POLICY_ASK_CONNECT || is_unset(&q->addr))
		return;
	sbuf_fmt(b, "%s%s", q->proto == RULE_UDP ? "udp/" : "",
		 endpoint_str(&ep, buf));
}

static void hint_host(const struct policy_question *q, struct sbuf *b)
{
	if (q->ask == POLICY_ASK_CONNECT)
		sbuf_fmt(b, "%s%s:%u", q->proto == RULE_UDP ? "udp/" : "",
			 HOST_ALIAS_NAME, q->port);
}

static void hint_default(const struct policy_question *q,
			 enum policy_reason reason, struct sbuf *b)
{
	enum addr_class class = guard_class(&q->addr, NULL);
	bool connect = q->ask == POLICY_ASK_CONNECT && !is_unset(&q->addr);
	bool alias = q->name && name_is_host_alias(q->name);
	/* QUIC cannot be held to a name, and these two want an address too */
	bool by_addr = !q->name || reason == POLICY_R_PROTOCOL ||
		       reason == POLICY_R_NOT_PINNED ||
		       (q->ask == POLICY_ASK_CONNECT && q->proto == RULE_UDP &&
			q->port == 443);

	if (connect && class == ADDR_HOST_ALIAS)
		hint_host(q, b);
	else if (alias && !connect)
		hint_host(q, b);
	else if (connect && class != ADDR_PUBLIC && class != ADDR_PRIVATE)
		return;
	else if (by_addr || alias)
		hint_addr(q, b);
	else
		hint_name(q,
			  reason == POLICY_R_PRIVATE ||
				  (connect && class == ADDR_PRIVATE),
			  b);
}

void policy_hint(const struct policy_question *q, enum policy_reason reason,
		 char hint[LIMIT_RULE_TEXT])
{
	struct rule_error e;
	struct rule r;
	struct sbuf b;

	sbuf_init(&b, LIMIT_RULE_TEXT * 2);
	switch (reason) {
	case POLICY_R_DEFAULT:
	case POLICY_R_PRIVATE:
	case POLICY_R_BLOCKED:
	case POLICY_R_NO_NAME:
	case POLICY_R_PROTOCOL:
	case POLICY_R_NOT_PINNED:
		hint_default(q, reason, &b);
		break;
	case POLICY_R_RULE:
	case POLICY_R_OPEN:
	case POLICY_R_DENY_RULE:
	case POLICY_R_GUARD:
	case POLICY_R_MALFORMED:
	case POLICY_R_OWN:
	case POLICY_R_UPSTREAM:
	case POLICY_R_LIMIT:
	case POLICY_R_BUDGET:
		break;
	}
	copy_hint(&b, hint);
	/* a name may be one that no rule can say */
	if (hint[0] && rule_parse(hint, RULE_ALLOW, &r, &e))
		hint[0] = '\0';
}

/* ---- in words ---- */

static void say_rule(const struct policy *p, uint32_t i, const char *verb,
		     struct sbuf *b)
{
	struct rule r;

	if (i >= policy_nrules(p)) {
		sbuf_fmt(b, "%s by a rule", verb);
		return;
	}
	policy_get_rule(p, i, &r);
	sbuf_fmt(b, "%s by %s rule \"%s\"", verb,
		 r.side == RULE_ALLOW ? "allow" : "deny",
		 policy_rule_text(p, i));
	if (policy_rule_origin(p, i)[0] == '@')
		sbuf_fmt(b, " of %s", policy_rule_origin(p, i));
}

static void say_guard(const struct policy_question *q, struct sbuf *b)
{
	char buf[ADDR_STRLEN];
	const char *why;

	if (q->name && guard_name(q->name)) {
		sbuf_fmt(b, "%s is cloud metadata, which no rule opens",
			 q->name);
		return;
	}
	(void)guard_class(&q->addr, &why); /* the words are what is wanted */
	sbuf_fmt(b, "%s is %s, which no rule opens", addr_str(&q->addr, buf),
		 why);
}

static const char *reason_text(enum policy_reason reason)
{
	switch (reason) {
	case POLICY_R_DEFAULT:
		return "no rule allows it";
	case POLICY_R_PRIVATE:
		return "a private address, and no rule opens it";
	case POLICY_R_BLOCKED:
		return "the network is blocked";
	case POLICY_R_NO_NAME:
		return "no name that a rule allows was learnt for it";
	case POLICY_R_PROTOCOL:
		return "the port does not carry this protocol";
	case POLICY_R_NOT_PINNED:
		return "the address was not resolved for this name";
	case POLICY_R_MALFORMED:
		return "malformed";
	case POLICY_R_OWN:
		return "an address of the host itself, which no rule opens";
	case POLICY_R_UPSTREAM:
		return "the upstream proxy carries TCP alone";
	case POLICY_R_LIMIT:
		return "a limit was reached";
	case POLICY_R_BUDGET:
		return "its budget is used up";
	case POLICY_R_RULE:
	case POLICY_R_OPEN:
	case POLICY_R_DENY_RULE:
	case POLICY_R_GUARD:
		break;
	}
	return "";
}

static void say_refusal(const struct policy_question *q,
			enum policy_reason reason, const char *hint,
			struct sbuf *b)
{
	sbuf_str(b, reason_text(reason));
	if (hint[0])
		sbuf_fmt(b, "; would be allowed by: --allow %s", hint);
	else if (reason == POLICY_R_DEFAULT && q->name &&
		 name_is_host_alias(q->name))
		sbuf_fmt(b,
			 "; a service of the host needs a rule with its "
			 "port: --allow %s:PORT",
			 HOST_ALIAS_NAME);
}

/* What is allowed may have budgets. */
static void say_budgets(const struct policy *p, const struct policy_question *q,
			struct sbuf *b)
{
	struct policy_budgets found = policy_find_budgets(p, q);

	for (uint32_t i = 0; i < policy_nbudgets(p); i++) {
		if (!(found.bits[i / 64] >> (i % 64) & 1))
			continue;
		sbuf_fmt(b, "; with %s: ", policy_budget_text(p, i));
		policy_say_budget(p, i, b);
	}
}

/* A hint of policy_hint() that this policy's mode would take. */
static void fitting_hint(const struct policy *p,
			 const struct policy_question *q,
			 const struct policy_verdict *v,
			 char hint[LIMIT_RULE_TEXT])
{
	struct rule_error e;
	struct rule r;

	hint[0] = '\0';
	if (v->allow)
		return;
	policy_hint(q, v->reason, hint);
	if (policy_get_mode(p) != POLICY_OPEN || !hint[0])
		return;
	if (rule_parse(hint, RULE_ALLOW, &r, &e) || !rule_fits_open(&r))
		hint[0] = '\0';
}

void policy_explain(const struct policy *p, const struct policy_question *q,
		    const struct policy_verdict *v, struct sbuf *ret_text,
		    char hint[LIMIT_RULE_TEXT])
{
	fitting_hint(p, q, v, hint);
	switch (v->reason) {
	case POLICY_R_RULE:
		say_rule(p, v->rule, "allowed", ret_text);
		break;
	case POLICY_R_OPEN:
		sbuf_str(ret_text, "allowed: the mode is open");
		break;
	case POLICY_R_DENY_RULE:
		say_rule(p, v->rule, "denied", ret_text);
		break;
	case POLICY_R_GUARD:
		say_guard(q, ret_text);
		break;
	case POLICY_R_DEFAULT:
	case POLICY_R_PRIVATE:
	case POLICY_R_BLOCKED:
	case POLICY_R_NO_NAME:
	case POLICY_R_PROTOCOL:
	case POLICY_R_NOT_PINNED:
	case POLICY_R_MALFORMED:
	case POLICY_R_OWN:
	case POLICY_R_UPSTREAM:
	case POLICY_R_LIMIT:
	case POLICY_R_BUDGET:
		say_refusal(q, v->reason, hint, ret_text);
		break;
	}
	if (v->allow)
		say_budgets(p, q, ret_text);
}
