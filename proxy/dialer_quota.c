/* dialer_quota.c - how much a payload may have looked up
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	names	those that only a wildcard rule allows are counted under that
 *		rule (quota.h). A name with a rule of its own is not, nor is
 *		one that `open` allows without a rule: whoever may connect to
 *		anybody needs no tunnel. A rule with +wide stands for zones of
 *		different owners, each counted by itself
 *	rate	questions that would go upstream, of the posture and of the
 *		session; what is kept, asked already, or in the host's own
 *		file costs nothing
 */
#include <string.h>

#include "core/base/fd.h"
#include "proxy/dialer_internal.h"
#include "proxy/resolver.h"

/* The last two labels: near enough to who owns a name. */
static const char *owner_of(const char *name)
{
	const char *p = name + strlen(name);

	for (int dots = 0; p > name; p--) {
		if (p[-1] == '.' && ++dots == 2)
			break;
	}
	return p;
}

/* How much of the name is not written in the pattern. */
static size_t free_bytes(const char *pattern, const char *name)
{
	const size_t len = strlen(name);
	size_t fixed = 0;

	for (const char *p = pattern; *p; p++)
		fixed += *p != '*';
	return len > fixed ? len - fixed : 0;
}

static bool within_names(struct posture *p, const char *name, uint32_t rule,
			 int64_t now_ms)
{
	struct quota_scope scope = {
		.rule = policy_rule_text(p->policy, rule),
		.suffix = "",
	};
	struct rule r;

	policy_get_rule(p->policy, rule, &r);
	if (r.flags & RULE_WIDE)
		scope.suffix = owner_of(name);
	if (!p->quota && quota_new(&p->quota) < 0)
		return false;
	return quota_name(p->quota, &scope, name, free_bytes(r.name, name),
			  now_ms);
}

/* The rule that a name is counted under. */
static uint32_t counting_rule(const struct posture *p, const char *name)
{
	const struct policy_question q = {
		.ask = POLICY_ASK_LOOKUP,
		.name = name,
		.learnt = POLICY_NAME_DNS,
	};
	const struct policy_verdict v = policy_decide(p->policy, &q);

	if (v.host_alias || policy_name_exact(p->policy, name))
		return POLICY_NO_RULE;
	return v.rule;
}

static bool is_free(struct dialer *d, const char *name, uint16_t qtype)
{
	struct addr a;
	size_t n;

	return hosts_find(d->hosts, name, true, &a, 1, &n) ||
	       resolver_knows(d->resolver, name, qtype);
}

bool quota_say(struct posture *p, const char *name, uint32_t *ret_rule)
{
	*ret_rule = counting_rule(p, name);
	return *ret_rule == POLICY_NO_RULE ||
	       within_names(p, name, *ret_rule, clock_ms());
}

enum quota_verdict quota_lookup(struct dialer *d, struct posture *p,
				const char *name, uint16_t qtype,
				uint32_t *ret_rule)
{
	const int64_t now_ms = clock_ms();

	if (!quota_say(p, name, ret_rule))
		return QUOTA_OVER_NAMES;
	if (is_free(d, name, qtype))
		return QUOTA_WITHIN;
	if (!quota_take(&p->rate, LIMIT_DNS_RATE_S, LIMIT_DNS_BURST, now_ms) ||
	    !quota_take(&d->rate, LIMIT_DNS_SESSION_RATE_S,
			LIMIT_DNS_SESSION_BURST, now_ms))
		return QUOTA_OVER_RATE;
	return QUOTA_WITHIN;
}
