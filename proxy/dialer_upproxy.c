/* dialer_upproxy.c - which flows go by the caller's own proxy, and how
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * With a proxy set, an allowed flow takes one of three ways:
 *
 *	direct	a service of the host; what the exceptions name. They are a
 *		deny-list of their own: what that policy denies goes direct
 *	proxy	every other TCP flow. Whatever happens, it never goes direct
 *	refused	UDP, which no proxy here carries; the proxy itself
 *
 * The verdict came before, and is the same with and without a proxy.
 *
 * Where names are the proxy's to resolve, a name is answered with a synthetic
 * address (synth.h). A flow to one is the name that it stands for: from there
 * on it is treated like a name that an explicit proxy was given, which nobody
 * has resolved.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "policy/upproxy.h"
#include "proxy/dialer_internal.h"
#include "proxy/synth.h"

void dialer_set_upproxy(struct dialer *d, const struct upproxy *u,
			const struct policy *direct)
{
	d->proxy = *u;
	d->direct = direct;
	d->env.proxy = &d->proxy;
	d->env.nproxy_addrs = 0;
}

void dialer_wrapped(struct dialer *d, uint32_t id, int take_fd,
		    uint32_t failure)
{
	connector_wrapped(&d->env, id, take_fd, failure);
}

static bool is_exception(const struct dialer *d, const struct ask *a)
{
	const struct policy_question q = dial_question(a);
	const struct policy_verdict v = policy_decide(d->direct, &q);

	return !v.allow && v.reason == POLICY_R_DENY_RULE;
}

/* A rule for the host's own services may name the proxy's port by chance. */
static bool is_proxy_on_host(const struct dialer *d, const struct ask *a)
{
	const struct upproxy *u = &d->proxy;

	if (a->to.port != u->port)
		return false;
	if (u->host[0])
		return name_is_localhost(u->host);
	return (addr_is_v4(&u->addr) && addr_to_v4(&u->addr) >> 24 == 127) ||
	       addr_equal(&u->addr, &(struct addr){ .b = { [15] = 1 } });
}

enum dial_way upproxy_way(const struct dialer *d, const struct ask *a,
			  const struct policy_verdict *v,
			  enum policy_reason *ret_reason)
{
	*ret_reason = POLICY_R_OWN;
	if (!d->env.proxy)
		return WAY_DIRECT;
	if (v->host_alias)
		return is_proxy_on_host(d, a) ? WAY_REFUSED : WAY_DIRECT;
	if (connector_is_proxy(&d->env, a->name, &a->to))
		return WAY_REFUSED;
	*ret_reason = POLICY_R_UPSTREAM;
	if (a->proto == RULE_UDP && synth_is(&a->to.addr) && d->proxy.dns)
		return WAY_REFUSED;
	if (is_exception(d, a))
		return WAY_DIRECT;
	return a->proto == RULE_TCP ? WAY_PROXY : WAY_REFUSED;
}

/* In `open` a flow may show no name, but have an address of one name only. */
static void name_of_address(const struct posture *p, struct ask *a)
{
	const char *names[2];

	if (pins_names(p->pins, &a->to.addr, clock_ms(), names, 2) == 1)
		memcpy(a->name, names[0], strlen(names[0]) + 1);
}

bool upproxy_by_name(const struct dialer *d, const struct posture *p,
		     struct ask *a)
{
	if (d->proxy.by != UPPROXY_BY_NAME)
		return false;
	if (!a->name[0])
		name_of_address(p, a);
	if (!a->name[0])
		return false;
	/* vetted for this name; in `open` a name may be seen that was not */
	return pins_has(p->pins, a->name, &a->to.addr, clock_ms());
}

/* -- names that the proxy resolves -- */

bool upproxy_resolves(const struct dialer *d, const char *name)
{
	struct addr none;
	uint32_t rule;
	size_t n;

	return d->env.proxy && d->proxy.dns &&
	       !policy_name_denied(d->direct, name, &rule) &&
	       !hosts_find(d->hosts, name, true, &none, 1, &n);
}

int upproxy_address(struct posture *p, const char *name, struct addr *ret)
{
	cleanup_free char *old = NULL;
	int r = p->synth ? 0 : synth_new(&p->synth);

	if (r == 0)
		r = synth_get(p->synth, name, ret, &old);
	if (r == 0 && old)
		pins_remove(p->pins, old, ret);
	return r;
}

bool upproxy_unmask(const struct dialer *d, const struct posture *p,
		    struct ask *a, enum policy_reason *ret_reason)
{
	static const struct addr nowhere;
	const char *name;
	uint32_t rule;

	*ret_reason = POLICY_R_NOT_PINNED;
	if (!d->env.proxy || !d->proxy.dns || !p || a->proto != RULE_TCP ||
	    !synth_is(&a->to.addr))
		return true;
	name = p->synth ? synth_name(p->synth, &a->to.addr) : NULL;
	if (!name || !pins_has(p->pins, name, &a->to.addr, clock_ms()))
		return false;
	if (a->name[0] && strcmp(a->name, name) != 0) {
		/* `open` has no say in what is said to an address */
		if (policy_get_mode(p->policy) != POLICY_OPEN ||
		    policy_get_require_names(p->policy))
			return false;
		*ret_reason = POLICY_R_DENY_RULE;
		if (policy_name_denied(p->policy, a->name, &rule))
			return false;
	}
	*ret_reason = POLICY_R_NO_NAME;
	if (!a->name[0] && a->learnt != POLICY_NAME_PIN &&
	    policy_get_require_names(p->policy))
		return false;
	memcpy(a->name, name, strlen(name) + 1);
	a->learnt = POLICY_NAME_PROXY;
	a->to.addr = nowhere;
	return true;
}
