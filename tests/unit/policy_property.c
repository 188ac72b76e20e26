/* policy_property.c - random rules, policies and questions
 * SPDX-License-Identifier: Apache-2.0
 *
 *	print		parse(format(rule)) gives the same rule, and the text
 *			does not change again
 *	verdict		policy_decide() and the naive walk agree, field by
 *			field, also with what vetting and the plan say
 *
 *	hint		the rule of a hint, added to the list, allows
 *	within		what a policy allows, one that bounds it allows too
 *	intersect	what comes of two is within both
 *
 * The seed is printed; EXEAT_SEED repeats a run, EXEAT_ROUNDS lengthens it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/num.h"
#include "policy/guard.h"
#include "policy/policy.h"

static uint64_t state;

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t v;

	if (!text || !num_parse_u64(&text, UINT64_MAX, &v))
		return otherwise;
	return v;
}

/* splitmix64 */
static uint32_t pick(uint32_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 11) % n;
}

#define PICK(array) ((array)[pick(sizeof(array) / sizeof((array)[0]))])

/* Few words, so that rules and questions meet. */
static const char *const labels[] = { "a", "b", "ab", "abc", "x-1", "_s" };
static const char *const stars[] = { "*", "a*", "*b", "a*c", "*-*", "*s" };
static const char *const tops[] = { "com", "test", "example", "co.uk" };
static const char *const odd_names[] = {
	"host.exeat.internal",
	"host.docker.internal",
	"metadata",
	"metadata.google.internal",
	"A.test",
	"a..test",
	"",
	".",
	"1.2.3.4",
	"a.test.",
	"a b.test",
	"x.1",
};
static const char *const addresses[] = {
	"10.0.0.1",
	"10.1.2.3",
	"172.16.5.5",
	"172.32.0.1",
	"192.168.1.1",
	"100.64.0.9",
	"100.100.100.200",
	"127.0.0.1",
	"169.254.169.254",
	"0.0.0.0",
	"192.0.0.2",
	"192.0.0.5",
	"192.0.0.6",
	"192.0.0.192",
	"203.0.113.9",
	"203.0.113.10",
	"198.51.100.7",
	"224.0.0.1",
	"255.255.255.255",
	"::1",
	"::",
	"fe80::1",
	"fd00::1",
	"fd12:3::4",
	"fd00:ec2::254",
	"2001:db8::1",
	"2001:db8::2",
	"2001:db8:1::1",
	"64:ff9b::a00:1",
	"64:ff9b::cb00:7109",
	"64:ff9b:1::a00:1",
	"2002:a00:1::1",
	"2002:cb00:7109::1",
	"::ffff:0:a00:1",
	"::a00:1",
	"::cb00:7109",
	"2001:db8::5efe:a00:1",
	"2001:db8::200:5efe:cb00:7109",
	"2001:0:4136:e378::1",
	"fd5a:8f3c:e7a1::5",
	"fd5a:8f3c:e7a1::6",
	"fd5a:8f3c:e7a1::2",
	"ff02::1",
	"fec0::1",
	"100::1",
};
static const uint16_t ports[] = {
	1, 22, 53, 80, 81, 442, 443, 444, 1000, 1015, 1016, 5432, 8080, 65535,
};

static void put_name(struct sbuf *b, bool glob)
{
	unsigned n = 1 + pick(3);

	if (glob && pick(2))
		sbuf_str(b, "*.");
	for (unsigned i = 0; i < n; i++) {
		sbuf_str(b, glob && pick(4) == 0 ? PICK(stars) : PICK(labels));
		sbuf_str(b, ".");
	}
	sbuf_str(b, PICK(tops));
}

static void put_cidr(struct sbuf *b)
{
	char buf[PREFIX_STRLEN];
	const char *text = PICK(addresses);
	struct prefix p;
	struct addr a;

	assert_true(addr_parse(&text, &a));
	if (pick(8) == 0) {
		sbuf_str(b, pick(2) ? "0.0.0.0/0" : "::/0");
		return;
	}
	p = prefix_make(&a, addr_is_v4(&a) ? (uint8_t)(128 - pick(25)) :
					     (uint8_t)(128 - pick(100)));
	sbuf_fmt(b, addr_is_v4(&a) ? "%s" : "[%s]", prefix_str(&p, buf));
}

static void put_ports(struct sbuf *b)
{
	unsigned n = 1 + pick(3);

	if (pick(8) == 0) {
		sbuf_str(b, ":*");
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		uint16_t lo = PICK(ports), hi = PICK(ports);

		sbuf_str(b, i ? "," : ":");
		if (pick(3) == 0 && lo <= hi)
			sbuf_fmt(b, "%u-%u", lo, hi);
		else
			sbuf_fmt(b, "%u", lo);
	}
}

/* A text that is mostly a rule; the parser says whether it is. */
static void put_rule(struct sbuf *b)
{
	unsigned kind = pick(10);
	static const char *const protos[] = { "", "", "", "tcp/", "udp/" };
	static const char *const flags[] = {
		"", "", "", "+private", "+wide", "+private+wide",
	};

	sbuf_str(b, PICK(protos));
	if (kind < 4)
		put_name(b, false);
	else if (kind < 6)
		put_name(b, true);
	else if (kind < 9)
		put_cidr(b);
	else
		sbuf_str(b, pick(3) ? "host.exeat.internal" : "*");
	if (pick(2))
		put_ports(b);
	sbuf_str(b, PICK(flags));
}

static char *valid_rule(enum rule_side side)
{
	for (;;) {
		struct rule_error e;
		struct rule r;
		struct sbuf b;

		sbuf_init(&b, LIMIT_RULE_TEXT);
		put_rule(&b);
		assert_false(b.bad);
		if (rule_parse(b.s, side, &r, &e) == 0)
			return sbuf_steal(&b);
		sbuf_done(&b);
	}
}

static void check_print(enum rule_side side)
{
	char *text = valid_rule(side);
	char once[LIMIT_RULE_TEXT], twice[LIMIT_RULE_TEXT];
	struct rule_error e = { 0 };
	struct rule first, second;

	assert_int_equal(rule_parse(text, side, &first, &e), 0);
	rule_str(&first, once);
	if (rule_parse(once, side, &second, &e) != 0)
		fail_msg("%s -> %s: %s", text, once, e.message);
	if (!rule_equal(&first, &second))
		fail_msg("%s -> %s is another rule", text, once);
	assert_string_equal(rule_str(&second, twice), once);
	assert_true(rule_implies(&first, &second));
	free(text);
}

static void prints_and_parses(void **unused)
{
	uint64_t rounds = from_env("EXEAT_ROUNDS", 20000);

	(void)unused;
	for (uint64_t i = 0; i < rounds; i++)
		check_print(i & 1 ? RULE_DENY : RULE_ALLOW);
}

/* ---- verdicts ---- */

enum { RULES_MAX = 24 };

struct lists {
	char *allow[RULES_MAX], *deny[RULES_MAX];
	size_t nallow, ndeny;
};

static struct policy *random_policy(struct lists *l, void **ret_image)
{
	struct policy_spec spec = {
		.mode = (enum policy_mode)pick(3),
		.require_names = pick(3) == 0,
		.allow = (const char *const *)l->allow,
		.deny = (const char *const *)l->deny,
	};
	struct policy *p;
	size_t len;

	memset(l, 0, sizeof(*l));
	l->nallow = spec.mode == POLICY_BLOCKED ? 0 : pick(RULES_MAX);
	l->ndeny = pick(RULES_MAX / 3);
	for (size_t i = 0; i < l->nallow; i++)
		l->allow[i] = valid_rule(RULE_ALLOW);
	for (size_t i = 0; i < l->ndeny; i++)
		l->deny[i] = valid_rule(RULE_DENY);
	spec.nallow = l->nallow;
	spec.ndeny = l->ndeny;
	if (policy_compile(&spec, ret_image, &len, NULL) != 0) {
		/* mode open takes a part of the rules only */
		spec.mode = POLICY_ALLOWLIST;
		assert_int_equal(policy_compile(&spec, ret_image, &len, NULL),
				 0);
	}
	assert_int_equal(policy_new(*ret_image, len, &p), 0);
	return p;
}

static void random_question(struct policy_question *q, struct sbuf *name)
{
	const char *text = PICK(addresses);

	memset(q, 0, sizeof(*q));
	q->ask = pick(4) ? POLICY_ASK_CONNECT : POLICY_ASK_LOOKUP;
	q->proto = pick(3) ? RULE_TCP : RULE_UDP;
	q->port = PICK(ports);
	assert_true(addr_parse(&text, &q->addr));
	q->learnt = (enum policy_learnt)pick(POLICY_NAME_PROXY + 1);
	if (pick(3) == 0) {
		q->learnt = POLICY_NAME_NONE;
		return;
	}
	if (q->learnt == POLICY_NAME_PROXY && pick(2))
		memset(&q->addr, 0, sizeof(q->addr));
	if (pick(6) == 0)
		sbuf_str(name, PICK(odd_names));
	else
		put_name(name, false);
	q->name = name->s ? name->s : "";
}

static void explain_difference(const struct policy *p,
			       const struct policy_question *q,
			       const struct policy_verdict *a,
			       const struct policy_verdict *b)
{
	char addr[ADDR_STRLEN];

	for (uint32_t i = 0; i < policy_nrules(p); i++)
		print_error("%u %s %s\n", i, policy_rule_origin(p, i),
			    policy_rule_text(p, i));
	print_error("mode %s, require_names %d\n",
		    policy_mode_name(policy_get_mode(p)),
		    policy_get_require_names(p));
	print_error("%s name %s learnt %s addr %s proto %d port %d\n",
		    q->ask == POLICY_ASK_LOOKUP ? "lookup" : "connect",
		    q->name ? q->name : "(none)", policy_learnt_name(q->learnt),
		    addr_str(&q->addr, addr), q->proto, q->port);
	for (int i = 0; i < 2; i++) {
		const struct policy_verdict *v = i ? b : a;

		print_error("%s: %d %s rule %u address %d private %d host %d\n",
			    i ? "naive" : "index", v->allow,
			    policy_reason_name(v->reason), v->rule,
			    v->by_address, v->private_ok, v->host_alias);
	}
	fail_msg("verdicts differ");
}

static bool plan_has(const struct plan_group *groups, size_t n,
		     const struct policy_question *q)
{
	for (size_t i = 0; i < n; i++) {
		const struct plan_group *g = &groups[i];
		bool port = false, addr = false;

		for (unsigned k = 0; k < g->nports; k++)
			port |= g->ports[k].lo <= q->port &&
				q->port <= g->ports[k].hi;
		for (size_t k = 0; k < g->nranges; k++) {
			const struct plan_range *r = &g->ranges[k];

			addr |= addr_is_v4(&r->first) == addr_is_v4(&q->addr) &&
				addr_compare(&r->first, &q->addr) <= 0 &&
				addr_compare(&q->addr, &r->last) <= 0;
		}
		if (port && addr && (g->protos & q->proto))
			return true;
	}
	return false;
}

static bool kernel_guards(const struct addr *a)
{
	size_t n;
	const struct prefix *p = guard_prefixes(&n);

	for (size_t i = 0; i < n; i++) {
		if (prefix_contains(&p[i], a))
			return true;
	}
	return false;
}

/* The kernel's wall and the verdict must not contradict each other. */
static void check_plan(const struct policy *p, const struct plan *plan,
		       const struct policy_question *q,
		       const struct policy_verdict *v)
{
	bool alias = guard_class(&q->addr, NULL) == ADDR_HOST_ALIAS;

	if (q->ask != POLICY_ASK_CONNECT || q->name || alias)
		return;
	if (kernel_guards(&q->addr))
		assert_false(v->allow);
	if (plan_has(plan->deny, plan->ndeny, q))
		assert_false(v->allow);
	if (policy_get_mode(p) == POLICY_ALLOWLIST && v->allow)
		assert_true(plan_has(plan->allow, plan->nallow, q));
	if (plan_has(plan->allow, plan->nallow, q) && !v->allow)
		assert_true(v->reason == POLICY_R_GUARD ||
			    v->reason == POLICY_R_PRIVATE ||
			    v->reason == POLICY_R_DENY_RULE);
}

/* What is pinned for a name is what the verdict lets it reach. */
static void check_ports(const struct policy *p, const struct policy_question *q,
			const struct policy_verdict *v)
{
	struct policy_port list[64];
	size_t n;
	bool has = false;

	if (q->ask != POLICY_ASK_CONNECT || !q->name || v->by_address ||
	    v->reason == POLICY_R_DENY_RULE || v->host_alias)
		return;
	n = policy_name_ports(p, q->name, list, 64);
	for (size_t i = 0; i < n; i++) {
		assert_true(list[i].range.lo <= list[i].range.hi);
		has |= list[i].proto == q->proto &&
		       list[i].range.lo <= q->port &&
		       q->port <= list[i].range.hi;
	}
	if (v->allow)
		if (!has)
			explain_difference(p, q, v, v);
}

/* The same policy, made an allow-list if it was blocked, and one rule more. */
static struct policy *with_rule(const struct policy *p, const char *rule,
				void **ret_image)
{
	const char *allow[RULES_MAX + 1], *deny[RULES_MAX];
	struct policy_spec spec = {
		.mode = policy_get_mode(p),
		.require_names = policy_get_require_names(p),
		.allow = allow,
		.deny = deny,
	};
	struct policy *q;
	size_t len;

	if (spec.mode == POLICY_BLOCKED)
		spec.mode = POLICY_ALLOWLIST;
	for (uint32_t i = 0; i < policy_nrules(p); i++) {
		struct rule r;

		policy_get_rule(p, i, &r);
		if (r.side == RULE_ALLOW)
			allow[spec.nallow++] = policy_rule_text(p, i);
		else
			deny[spec.ndeny++] = policy_rule_text(p, i);
	}
	allow[spec.nallow++] = rule;
	assert_int_equal(policy_compile(&spec, ret_image, &len, NULL), 0);
	assert_int_equal(policy_new(*ret_image, len, &q), 0);
	return q;
}

static void check_hint(const struct policy *p, const struct policy_question *q,
		       const struct policy_verdict *v)
{
	char hint[LIMIT_RULE_TEXT];
	struct policy_verdict after;
	struct policy *wider;
	struct sbuf text;
	void *image;

	sbuf_init(&text, 4096);
	policy_explain(p, q, v, &text, hint);
	assert_false(text.bad);
	sbuf_done(&text);
	if (v->allow || v->reason == POLICY_R_DENY_RULE ||
	    v->reason == POLICY_R_GUARD)
		assert_string_equal(hint, "");
	if (!hint[0])
		return;
	wider = with_rule(p, hint, &image);
	after = policy_decide(wider, q);
	if (!after.allow) {
		print_error("hint %s\n", hint);
		explain_difference(p, q, v, &after);
	}
	policy_free(wider);
	free(image);
}

static void check_questions(const struct policy *p)
{
	struct plan *plan;

	assert_int_equal(policy_plan_new(p, &plan), 0);
	for (int i = 0; i < 60; i++) {
		struct policy_question q;
		struct policy_verdict a, b;
		struct sbuf name;

		sbuf_init(&name, 1024);
		random_question(&q, &name);
		a = policy_decide(p, &q);
		b = policy_decide_naive(p, &q);
		if (a.allow != b.allow || a.reason != b.reason ||
		    a.rule != b.rule || a.by_address != b.by_address ||
		    a.private_ok != b.private_ok ||
		    a.host_alias != b.host_alias)
			explain_difference(p, &q, &a, &b);
		check_plan(p, plan, &q, &a);
		check_ports(p, &q, &a);
		check_hint(p, &q, &a);
		sbuf_done(&name);
	}
	policy_plan_free(plan);
}

static void lists_done(struct lists *l)
{
	for (size_t i = 0; i < l->nallow; i++)
		free(l->allow[i]);
	for (size_t i = 0; i < l->ndeny; i++)
		free(l->deny[i]);
}

/* Some of the bound's rules, some narrower ones, all of its deny rules. */
static struct policy *random_inner(const struct policy *outer, struct lists *l,
				   void **ret_image)
{
	struct policy_spec spec = {
		.mode = (enum policy_mode)pick(policy_get_mode(outer) + 1u),
		.require_names = pick(2),
		.allow = (const char *const *)l->allow,
		.deny = (const char *const *)l->deny,
	};
	struct policy *p;
	size_t len;

	memset(l, 0, sizeof(*l));
	for (uint32_t i = 0; i < policy_nrules(outer); i++) {
		struct rule r;

		policy_get_rule(outer, i, &r);
		if (r.side == RULE_DENY)
			l->deny[l->ndeny++] =
				strdup(policy_rule_text(outer, i));
		else if (l->nallow < RULES_MAX && pick(2))
			l->allow[l->nallow++] =
				strdup(policy_rule_text(outer, i));
	}
	while (l->nallow < RULES_MAX && pick(3))
		l->allow[l->nallow++] = valid_rule(RULE_ALLOW);
	if (spec.mode == POLICY_BLOCKED && l->nallow > 0)
		spec.mode = POLICY_ALLOWLIST;
	spec.nallow = l->nallow;
	spec.ndeny = l->ndeny;
	if (policy_compile(&spec, ret_image, &len, NULL) != 0) {
		spec.mode = POLICY_ALLOWLIST;
		assert_int_equal(policy_compile(&spec, ret_image, &len, NULL),
				 0);
	}
	assert_int_equal(policy_new(*ret_image, len, &p), 0);
	return p;
}

static void check_within(const struct policy *outer, const struct policy *inner)
{
	uint32_t rule;

	if (!policy_within(outer, inner, &rule)) {
		assert_true(rule == POLICY_NO_RULE ||
			    rule < policy_nrules(inner));
		return;
	}
	for (int i = 0; i < 200; i++) {
		struct policy_question q;
		struct policy_verdict a, b;
		struct sbuf name;

		sbuf_init(&name, 1024);
		random_question(&q, &name);
		a = policy_decide(inner, &q);
		b = policy_decide(outer, &q);
		if (a.allow && !b.allow) {
			explain_difference(inner, &q, &a, &a);
			explain_difference(outer, &q, &b, &b);
		}
		sbuf_done(&name);
	}
}

static void bounds_hold(void **unused)
{
	uint64_t rounds = from_env("EXEAT_ROUNDS", 20000) / 10;
	unsigned within = 0;

	(void)unused;
	for (uint64_t i = 0; i < rounds; i++) {
		struct lists l = { .nallow = 0 }, k = { .nallow = 0 };
		void *outer_image, *inner_image;
		struct policy *outer = random_policy(&l, &outer_image);
		struct policy *inner = random_inner(outer, &k, &inner_image);
		uint32_t rule;

		within += policy_within(outer, inner, &rule);
		check_within(outer, inner);
		assert_true(policy_within(outer, outer, &rule));
		policy_free(inner);
		policy_free(outer);
		free(inner_image);
		free(outer_image);
		lists_done(&l);
		lists_done(&k);
	}
	assert_true(within > rounds / 20); /* it did test something */
}

/* What comes of two policies is refused where either refuses. */
static void check_narrower(const struct policy *both, const struct policy *one,
			   const struct policy_question *q)
{
	struct policy_verdict a = policy_decide(both, q);
	struct policy_verdict b = policy_decide_naive(one, q);

	if (!a.allow)
		return;
	if (b.allow && a.by_address <= b.by_address &&
	    a.private_ok <= b.private_ok && a.host_alias == b.host_alias)
		return;
	explain_difference(both, q, &a, &a);
	explain_difference(one, q, &b, &b);
}

static unsigned check_intersection(const struct policy *both,
				   const struct policy *a,
				   const struct policy *b)
{
	unsigned allowed = 0;

	for (int i = 0; i < 200; i++) {
		struct policy_question q;
		struct sbuf name;

		sbuf_init(&name, 1024);
		random_question(&q, &name);
		check_narrower(both, a, &q);
		check_narrower(both, b, &q);
		allowed += policy_decide(both, &q).allow;
		sbuf_done(&name);
	}
	return allowed;
}

static struct policy *intersect(const struct policy *a, const struct policy *b,
				void **ret_image)
{
	struct policy *p;
	struct err err;
	uint32_t rule;
	size_t len;

	if (policy_intersect(a, b, ret_image, &len, &err) < 0)
		fail_msg("%s %s", err.object, err.message);
	assert_int_equal(policy_new(*ret_image, len, &p), 0);
	assert_true(policy_within(a, p, &rule));
	assert_true(policy_within(b, p, &rule));
	return p;
}

static void intersections_hold(void **unused)
{
	uint64_t rounds = from_env("EXEAT_ROUNDS", 20000) / 10;
	unsigned allowed = 0, same = 0;

	(void)unused;
	for (uint64_t i = 0; i < rounds; i++) {
		struct lists l = { .nallow = 0 }, k = { .nallow = 0 };
		void *images[4];
		struct policy *a = random_policy(&l, &images[0]);
		struct policy *b = pick(2) ? random_inner(a, &k, &images[1]) :
					     random_policy(&k, &images[1]);
		struct policy *ab = intersect(a, b, &images[2]);
		struct policy *again = intersect(ab, b, &images[3]);

		allowed += check_intersection(ab, a, b);
		same += policy_equal(again, ab);
		policy_free(again);
		policy_free(ab);
		policy_free(b);
		policy_free(a);
		for (int n = 0; n < 4; n++)
			free(images[n]);
		lists_done(&l);
		lists_done(&k);
	}
	assert_true(allowed > rounds); /* it did test something */
	assert_true(same > rounds / 4);
}

static void verdicts_agree(void **unused)
{
	uint64_t rounds = from_env("EXEAT_ROUNDS", 20000) / 10;

	(void)unused;
	for (uint64_t i = 0; i < rounds; i++) {
		struct lists l = { .nallow = 0 };
		void *image;
		struct policy *p = random_policy(&l, &image);

		check_questions(p);
		policy_free(p);
		free(image);
		lists_done(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_and_parses),
		cmocka_unit_test(verdicts_agree),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(intersections_hold),
	};

	state = from_env("EXEAT_SEED", (uint64_t)time(NULL));
	print_message("EXEAT_SEED=%llu\n", (unsigned long long)state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
