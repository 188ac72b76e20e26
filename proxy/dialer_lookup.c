/* dialer_lookup.c - a name to vetted addresses
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	hosts		the host's own names come first
 *	ask		upstream, or what is kept of it (resolver.h)
 *	chain		each CNAME target is held against the deny rules and
 *			the guard; a chain that ends without addresses is
 *			followed by asking for its last name: back to `ask`
 *	vet		each address, by the policy and by the kernel's route:
 *			one that may not be refuses the whole answer (a name
 *			that points to a private address is an attack or a
 *			mistake, and half of it is no better)
 *
 * An IPv6 address that the host cannot reach is left out: clients would try
 * it first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/base/fd.h"
#include "policy/pattern.h"
#include "proxy/dialer_internal.h"
#include "proxy/dns.h"
#include "proxy/resolver.h"

struct lookup {
	struct dialer *dialer;
	const struct policy *policy;
	uint16_t qtype;
	lookup_cb *done;
	void *user;
	struct resolver_ask *ask; /* upstream is asked */
	struct event *later;	  /* the host's own name: no ask */
	int64_t expires_ms;	  /* the earliest of all answers */
	size_t nnames;		  /* the asked one first */
	char names[1 + LIMIT_CNAME_CHAIN][LIMIT_NAME + 1];
	char chain[ASK_RESOLVE_CHAIN_TEXT];
};

static void answer_cb(void *user, const struct resolver_answer *a);

bool name_is_localhost(const char *name)
{
	static const char localhost[] = "localhost";
	const size_t len = strlen(name), n = sizeof(localhost) - 1;

	if (len < n || strcmp(name + len - n, localhost))
		return false;
	return len == n || name[len - n - 1] == '.';
}

static void lookup_free(struct lookup *l)
{
	resolver_cancel(l->ask);
	if (l->later)
		event_free(l->later);
	free(l);
}

void lookup_cancel(struct lookup *l)
{
	if (l)
		lookup_free(l);
}

static void finish(struct lookup *l, struct lookup_result *r)
{
	int64_t left_ms = l->expires_ms - clock_ms();
	uint32_t ttl = left_ms > 0 ? (uint32_t)((left_ms + 999) / 1000) : 0;

	if (ttl > LIMIT_TTL_MAX_S)
		ttl = LIMIT_TTL_MAX_S;
	r->ttl_s = ttl < LIMIT_TTL_MIN_S ? LIMIT_TTL_MIN_S : ttl;
	r->chain = l->chain;
	l->done(l->user, r);
	lookup_free(l);
}

static void finish_rcode(struct lookup *l, uint8_t rcode)
{
	struct lookup_result r = {
		.allow = true,
		.reason = POLICY_R_RULE,
		.rule = POLICY_NO_RULE,
		.rcode = rcode,
	};

	finish(l, &r);
}

static void finish_refused(struct lookup *l, enum policy_reason reason,
			   uint32_t rule)
{
	struct lookup_result r = { .reason = reason, .rule = rule };

	finish(l, &r);
}

/* -- vet -- */

struct vetting {
	bool refused;
	enum policy_reason reason;
	uint32_t rule;
};

/* True: keep it. False: leave it out, or all are refused. */
static bool vet(const struct lookup *l, const struct addr *a, struct vetting *v)
{
	const struct dialer_hooks *hooks = &l->dialer->hooks;
	const struct endpoint to = { .addr = *a };

	v->rule = POLICY_NO_RULE;
	if (!l->policy)
		return true;
	if (!policy_vet_answer(l->policy, l->names[0], a, &v->reason,
			       &v->rule)) {
		v->refused = true;
		return false;
	}
	switch (hooks->route(hooks->user, RULE_TCP, &to)) {
	case DIALER_ROUTE_OK:
		return true;
	case DIALER_ROUTE_NONE:
		return addr_is_v4(a);
	case DIALER_ROUTE_OWN:
		v->reason = POLICY_R_OWN;
		break;
	case DIALER_ROUTE_REFUSED:
		v->reason = POLICY_R_GUARD;
		break;
	}
	v->refused = true;
	return false;
}

static void finish_addrs(struct lookup *l, const struct addr *addrs, size_t n)
{
	struct lookup_result r = {
		.allow = true,
		.reason = POLICY_R_RULE,
		.rule = POLICY_NO_RULE,
		.rcode = DNS_NOERROR,
	};
	struct vetting v = { 0 };

	for (size_t i = 0; i < n && r.naddrs < LIMIT_DNS_ADDRS; i++) {
		/* IPv4 mapped into an AAAA is vetted, and told to nobody */
		if (vet(l, &addrs[i], &v) &&
		    addr_is_v4(&addrs[i]) == (l->qtype == DNS_TYPE_A))
			r.addrs[r.naddrs++] = addrs[i];
		if (v.refused)
			return finish_refused(l, v.reason, v.rule);
	}
	finish(l, &r);
}

/* -- the chain -- */

enum link_status { LINK_OK, LINK_BROKEN, LINK_DENIED };

static void chain_text(struct lookup *l, const char *name)
{
	const size_t have = strlen(l->chain), len = strlen(name);

	/* over the limit the rest is not shown; it was checked all the same */
	if (have + 1 + len >= sizeof(l->chain))
		return;
	if (have)
		l->chain[have] = ' ';
	memcpy(l->chain + have + (have > 0), name, len + 1);
}

static enum link_status add_link(struct lookup *l, const char *name,
				 uint32_t *ret_rule)
{
	for (size_t i = 0; i < l->nnames; i++) {
		if (!strcmp(l->names[i], name))
			return LINK_BROKEN;
	}
	if (l->nnames > LIMIT_CNAME_CHAIN)
		return LINK_BROKEN;
	memcpy(l->names[l->nnames++], name, strlen(name) + 1);
	chain_text(l, name);
	*ret_rule = POLICY_NO_RULE;
	if (l->policy && policy_name_denied(l->policy, name, ret_rule))
		return LINK_DENIED;
	return LINK_OK;
}

static enum link_status
add_chain(struct lookup *l, const struct resolver_answer *a, uint32_t *ret_rule)
{
	const char *name = a->chain;

	for (size_t i = 0; i < a->nchain; i++, name += strlen(name) + 1) {
		enum link_status s = add_link(l, name, ret_rule);

		if (s != LINK_OK)
			return s;
	}
	return LINK_OK;
}

/* -- ask -- */

static int ask_last(struct lookup *l)
{
	const char *name = l->names[l->nnames - 1];

	/* these are ours; nobody upstream has a say in them */
	if (name_is_localhost(name) || name_is_host_alias(name))
		return -EINVAL;
	return resolver_ask(l->dialer->resolver, name, l->qtype, answer_cb, l,
			    &l->ask);
}

static void finish_rdata(struct lookup *l, const struct resolver_answer *a)
{
	struct lookup_result r = {
		.allow = true,
		.reason = POLICY_R_RULE,
		.rule = POLICY_NO_RULE,
		.rcode = a->rcode,
		.rdata = a->rdata,
		.rdata_len = a->rdata_len,
	};

	finish(l, &r);
}

static void answer_cb(void *user, const struct resolver_answer *a)
{
	struct lookup *l = user;
	uint32_t rule;

	l->ask = NULL;
	if (!a)
		return finish_rcode(l, DNS_SERVFAIL);
	if (a->expires_ms < l->expires_ms)
		l->expires_ms = a->expires_ms;
	switch (add_chain(l, a, &rule)) {
	case LINK_BROKEN:
		return finish_rcode(l, DNS_SERVFAIL);
	case LINK_DENIED:
		return finish_refused(l,
				      rule == POLICY_NO_RULE ?
					      POLICY_R_GUARD :
					      POLICY_R_DENY_RULE,
				      rule);
	case LINK_OK:
		break;
	}
	if (a->naddrs > 0)
		return finish_addrs(l, a->addrs, a->naddrs);
	if (a->rdata_len > 0 || a->nchain == 0 || a->rcode != DNS_NOERROR)
		return finish_rdata(l, a);
	if (ask_last(l) < 0)
		return finish_rcode(l, DNS_SERVFAIL);
}

static void hosts_cb(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *l = arg;
	struct addr addrs[LIMIT_DNS_ADDRS];
	size_t n = 0;

	(void)fd;
	(void)what;
	l->expires_ms = 0; /* the file may change: the shortest life */
	/* gone since: then nothing is known of it */
	if (l->qtype == DNS_TYPE_A || l->qtype == DNS_TYPE_AAAA)
		(void)hosts_find(l->dialer->hosts, l->names[0],
				 l->qtype == DNS_TYPE_A, addrs, LIMIT_DNS_ADDRS,
				 &n);
	finish_addrs(l, addrs, n);
}

static int begin(struct lookup *l)
{
	struct addr none;
	size_t n;

	if (!hosts_find(l->dialer->hosts, l->names[0], true, &none, 1, &n))
		return ask_last(l);
	l->later = event_new(l->dialer->base, -1, 0, hosts_cb, l);
	if (!l->later)
		return -ENOMEM;
	event_active(l->later, EV_TIMEOUT, 0);
	return 0;
}

int lookup_new(struct dialer *d, const struct policy *policy, const char *name,
	       uint16_t qtype, lookup_cb *done, void *user, struct lookup **ret)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->dialer = d;
	l->policy = policy;
	l->qtype = qtype;
	l->done = done;
	l->user = user;
	l->expires_ms = clock_ms() + LIMIT_TTL_MAX_S * INT64_C(1000);
	l->nnames = 1;
	memcpy(l->names[0], name, strlen(name) + 1);
	r = begin(l);
	if (r < 0) {
		lookup_free(l);
		return r;
	}
	*ret = l;
	return 0;
}
