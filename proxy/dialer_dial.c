/* dialer_dial.c - the verdict on a flow, and reaching its target
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	judge		the policy on name, address and port; then, if a name
 *			opens the flow, the address must be pinned for it:
 *			given to this posture as an answer for this name
 *	dial		by address: the original destination, nothing else
 *			by name: what the name stands for now, the family of
 *			the original destination first. If that is nothing
 *			usable any more (the answer is gone, or now points
 *			where it may not), the pinned address, which was
 *			vetted when it was given out
 *			host alias: the host's loopback
 *			by the caller's own proxy (dialer_upproxy.c): the
 *			same, but the proxy is asked for each; or only for
 *			the name
 *
 * An explicit proxy brings a name without an address. Nothing can be pinned
 * for it, and there is nothing to fall back to: what the name stands for is
 * resolved, vetted and dialled here, and the address that answered is pinned,
 * as if the payload had asked for it, so that names that come up within the
 * connection can be held against it.
 *
 * Each address is decided again with the port before it is dialled: deny
 * rules may name ports. UDP has no handshake to race: the original
 * destination, always.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "policy/guard.h"
#include "proxy/dialer_internal.h"
#include "proxy/dns.h"
#include "proxy/happy.h"
#include "proxy/upproxy_talk.h"

/* Names of one address that are tried when a flow shows none. */
enum { CANDIDATES = 64 };

struct policy_question dial_question(const struct ask *a)
{
	return (struct policy_question){
		.ask = POLICY_ASK_CONNECT,
		.name = a->name[0] ? a->name : NULL,
		.learnt = a->learnt,
		.addr = a->to.addr,
		.proto = a->proto,
		.port = a->to.port,
	};
}

/* An explicit proxy was given a name: nobody has resolved it yet. */
static bool unresolved(const struct ask *a)
{
	static const struct addr none;

	return a->learnt == POLICY_NAME_PROXY && a->name[0] &&
	       a->proto == RULE_TCP && addr_equal(&a->to.addr, &none);
}

static void refuse(struct policy_verdict *v, enum policy_reason reason)
{
	v->allow = false;
	v->reason = reason;
	v->rule = POLICY_NO_RULE; /* it is not a rule that refuses */
}

/* What policy_decide() cannot know: to which name an address belongs. */
static struct policy_verdict judge_named(const struct posture *p,
					 const struct ask *a)
{
	const struct policy_question q = dial_question(a);
	struct policy_verdict v = policy_decide(p->policy, &q);

	/* who asks a proxy for it means the payload's or the gate's own */
	if (unresolved(a) && name_is_localhost(a->name))
		refuse(&v, POLICY_R_GUARD);
	if (!v.allow || unresolved(a))
		return v;
	if (v.host_alias) {
		if (guard_class(&a->to.addr, NULL) != ADDR_HOST_ALIAS)
			refuse(&v, POLICY_R_NOT_PINNED);
		return v;
	}
	if (v.by_address)
		return v;
	if (!q.name)
		refuse(&v, POLICY_R_NO_NAME);
	else if (!pins_has(p->pins, a->name, &a->to.addr, clock_ms()))
		refuse(&v, POLICY_R_NOT_PINNED);
	return v;
}

/*
 * A flow that shows no name: the address alone, or one of the names that were
 * resolved to it. The name that decides is left in a->name.
 */
static struct policy_verdict judge_unnamed(const struct posture *p,
					   struct ask *a)
{
	const char *names[CANDIDATES];
	struct policy_verdict v = judge_named(p, a);
	size_t n;

	if (v.allow ||
	    (v.reason != POLICY_R_NO_NAME && v.reason != POLICY_R_DEFAULT))
		return v;
	n = pins_names(p->pins, &a->to.addr, clock_ms(), names, CANDIDATES);
	for (size_t i = 0; i < n; i++) {
		struct ask named = *a;
		struct policy_verdict w;

		memcpy(named.name, names[i], strlen(names[i]) + 1);
		w = judge_named(p, &named);
		if (!w.allow && i > 0)
			continue;
		/* the most recent one explains a refusal */
		v = w;
		*a = named;
		if (w.allow)
			return v;
	}
	if (n == 0)
		refuse(&v, POLICY_R_NOT_PINNED);
	return v;
}

static struct policy_verdict judge(const struct posture *p, struct ask *a)
{
	static const struct addr nowhere;
	struct policy_verdict deny = {
		.reason = POLICY_R_DEFAULT,
		.rule = POLICY_NO_RULE,
	};

	if (!p)
		return deny;
	/* with a name the policy takes it for "not resolved yet", and would not
	 * look at it; the kernel takes it for the host's loopback */
	if ((a->proto != RULE_TCP && a->proto != RULE_UDP) ||
	    (addr_equal(&a->to.addr, &nowhere) && !unresolved(a))) {
		deny.reason = POLICY_R_MALFORMED;
		return deny;
	}
	if (a->learnt == POLICY_NAME_PIN && !a->name[0])
		return judge_unnamed(p, a);
	return judge_named(p, a);
}

/* The same; a synthetic address has become its name in *a. */
static struct policy_verdict
judge_unmasked(const struct dialer *d, const struct posture *p, struct ask *a)
{
	struct policy_verdict deny = { .rule = POLICY_NO_RULE };

	if (!upproxy_unmask(d, p, a, &deny.reason))
		return deny;
	return judge(p, a);
}

/* The answer as far as the verdict says it. */
static void put_verdict(const struct posture *p, const struct ask *a,
			const struct policy_verdict *v, struct answer *r)
{
	const struct policy_question q = dial_question(a);

	*r = (struct answer){
		.id = a->id,
		.allow = v->allow,
		.reason = v->reason,
	};
	memcpy(r->name, a->name, sizeof(r->name));
	if (!p)
		return;
	if (v->rule != POLICY_NO_RULE)
		(void)snprintf(r->rule, sizeof(r->rule), "%s",
			       policy_rule_text(p->policy, v->rule));
	if (!v->allow)
		policy_hint(&q, v->reason, r->hint);
}

/* A use prolongs the pin; the kernel need not be waited for. */
static void use_pin(struct dialer *d, struct posture *p, const struct ask *a,
		    const struct addr *addr)
{
	if (a->name[0] && pins_has(p->pins, a->name, addr, clock_ms()))
		(void)pin_addresses(d, p, a->name, addr, 1, NULL);
}

void dial_check(struct dialer *d, struct posture *p, const struct ask *a)
{
	struct ask asked = *a;
	struct policy_verdict v = judge_unmasked(d, p, &asked);
	struct answer r;

	put_verdict(p, &asked, &v, &r);
	if (v.allow)
		use_pin(d, p, &asked, &a->to.addr);
	send_answer(d, &r, -1);
}

void dial_used(struct dialer *d, struct posture *p, const struct ask *a)
{
	struct ask asked = *a;

	if (p && judge_unmasked(d, p, &asked).allow)
		use_pin(d, p, &asked, &a->to.addr);
}

/* -- dial -- */

static void failed(struct task *t, int error)
{
	t->dialled->error = error ? error : EHOSTUNREACH;
	task_answer_dial(t, -1);
}

static void happy_done_cb(void *user, const struct happy_result *r)
{
	struct task *t = user;
	cleanup_fd int fd = r->fd;

	if (r->own) {
		t->dialled->allow = false;
		t->dialled->reason = POLICY_R_OWN;
		t->dialled->rule[0] = '\0';
		return task_answer_dial(t, -1);
	}
	if (fd < 0) {
		t->dialled->failure = r->failure;
		return failed(t, r->error);
	}
	t->dialled->peer = r->peer;
	/* without the pin names within are refused, no more */
	if (t->families && unresolved(&t->ask))
		(void)pin_addresses(t->dialer, t->posture, t->ask.name,
				    &r->peer.addr, 1, NULL);
	task_answer_dial(t, fd);
}

static int race(struct task *t, bool host)
{
	const struct connector_target like = {
		.proto = t->ask.proto,
		.host = host,
		.by_proxy = t->by_proxy,
		.name = t->told_name ? t->ask.name : NULL,
	};

	return happy_new(&t->dialer->env, &like, happy_done_cb, t, &t->happy);
}

static int dial_original(struct task *t)
{
	int r = race(t, false);

	if (r < 0)
		return r;
	happy_add(t->happy, &t->ask.to, 1);
	happy_close(t->happy);
	return 0;
}

static int dial_host(struct task *t)
{
	const struct endpoint to[] = {
		{ addr_from_v4(INADDR_LOOPBACK), t->ask.to.port },
		{ { .b = { [15] = 1 } }, t->ask.to.port },
	};
	int r = race(t, true);

	if (r < 0)
		return r;
	happy_add(t->happy, to, sizeof(to) / sizeof(to[0]));
	happy_close(t->happy);
	return 0;
}

/* -- dial by name -- */

static void add_family(struct task *t, struct dial_family *f)
{
	if (!f->done || f->added)
		return;
	f->added = true;
	happy_add(t->happy, f->addrs, f->naddrs);
}

/* A name that came without an address, and none of its own will do. */
static void nothing_to_dial(struct task *t)
{
	for (int i = 0; i < 2; i++) {
		const struct policy_verdict *v = &t->families[i].refused;

		if (v->reason == POLICY_R_DEFAULT)
			continue;
		put_verdict(t->posture, &t->ask, v, t->dialled);
		return task_answer_dial(t, -1);
	}
	failed(t, EHOSTUNREACH);
}

/* The race begins when the family of the original destination is known. */
static void feed(struct task *t)
{
	struct dial_family *own = &t->families[0], *other = &t->families[1];

	if (!own->done)
		return;
	add_family(t, own);
	add_family(t, other);
	if (!other->done)
		return;
	if (own->naddrs + other->naddrs == 0) {
		if (unresolved(&t->ask))
			return nothing_to_dial(t);
		happy_add(t->happy, &t->ask.to, 1);
	}
	happy_close(t->happy);
}

/* Those that may be dialled at this port, the original destination first. */
static void take_addrs(struct dial_family *f, const struct addr *addrs,
		       size_t n)
{
	const struct task *t = f->task;
	struct policy_question q = dial_question(&t->ask);

	for (size_t i = 0; i < n && f->naddrs < LIMIT_DNS_ADDRS; i++) {
		struct endpoint e = { addrs[i], t->ask.to.port };
		struct policy_verdict v;

		q.addr = addrs[i];
		v = policy_decide(t->posture->policy, &q);
		if (!v.allow) {
			f->refused = v;
			continue;
		}
		if (f->naddrs > 0 && addr_equal(&e.addr, &t->ask.to.addr)) {
			f->addrs[f->naddrs++] = f->addrs[0];
			f->addrs[0] = e;
		} else {
			f->addrs[f->naddrs++] = e;
		}
	}
}

static void family_cb(void *user, const struct lookup_result *r)
{
	struct dial_family *f = user;

	f->lookup = NULL;
	f->done = true;
	f->refused = (struct policy_verdict){ .rule = POLICY_NO_RULE };
	if (r->allow) {
		take_addrs(f, r->addrs, r->naddrs);
	} else {
		f->refused.reason = r->reason;
		f->refused.rule = r->rule;
	}
	feed(f->task);
}

static int dial_name(struct task *t)
{
	const bool v4 = addr_is_v4(&t->ask.to.addr);
	int r;

	t->families = calloc(2, sizeof(*t->families));
	if (!t->families)
		return -ENOMEM;
	r = race(t, false);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		struct dial_family *f = &t->families[i];
		const bool want_v4 = (i == 0) == v4;

		f->task = t;
		r = lookup_new(t->dialer, t->posture->policy, t->ask.name,
			       want_v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, family_cb,
			       f, &f->lookup);
		if (r < 0)
			f->done = true;
	}
	feed(t);
	return 0;
}

void dial_late(struct task *t)
{
	if (t->by_proxy)
		t->dialled->failure = upproxy_failed(UPPROXY_F_LATE, 0);
	failed(t, t->happy ? happy_error(t->happy) : ETIMEDOUT);
}

/* Which addresses, if any, by the verdict and the way that it takes. */
static int dial(struct task *t, const struct policy_verdict *v)
{
	const struct dialer *d = t->dialer;
	const bool nowhere = unresolved(&t->ask);

	if (v->host_alias)
		return dial_host(t);
	if (t->by_proxy && nowhere && d->proxy.dns)
		t->told_name = true;
	else if (t->by_proxy && nowhere)
		t->told_name = d->proxy.by == UPPROXY_BY_NAME;
	else if (t->by_proxy)
		t->told_name = upproxy_by_name(d, t->posture, &t->ask);
	if (t->told_name && (!nowhere || d->proxy.dns))
		return dial_original(t);
	if (!nowhere && (v->by_address || t->ask.proto == RULE_UDP))
		return dial_original(t);
	return dial_name(t);
}

void dial_ask(struct dialer *d, struct posture *p, const struct ask *a)
{
	struct ask asked = *a;
	struct policy_verdict v = judge_unmasked(d, p, &asked);
	enum dial_way way = WAY_REFUSED;
	enum policy_reason reason;
	struct answer refused;
	struct task *t;
	uint32_t rule;
	int r;

	/* a name that a proxy inside was given is as good as one looked up */
	if (v.allow && unresolved(&asked) && !quota_say(p, asked.name, &rule)) {
		refuse(&v, POLICY_R_LIMIT);
		v.rule = rule;
	}
	if (v.allow)
		way = upproxy_way(d, &asked, &v, &reason);
	if (v.allow && way == WAY_REFUSED)
		refuse(&v, reason);
	put_verdict(p, &asked, &v, &refused);
	if (!v.allow)
		return send_answer(d, &refused, -1);
	t = task_new(d, p, &asked, TASK_DIAL);
	if (!t) {
		refused.allow = false;
		refused.reason = POLICY_R_LIMIT;
		return send_answer(d, &refused, -1);
	}
	*t->dialled = refused;
	t->by_proxy = way == WAY_PROXY;
	if (!v.by_address || unresolved(&asked))
		use_pin(d, p, &asked, &a->to.addr);
	r = dial(t, &v);
	if (r < 0)
		failed(t, -r);
}
