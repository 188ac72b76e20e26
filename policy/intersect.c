/* intersect.c - what two policies both allow, as a policy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The deny rules of both stand. An allow rule of one that the other implies
 * stands as it is; of any other each pair is taken whose hosts lie one within
 * the other, with the ports, protocol and flags that both have. What comes out
 * of a pair is a rule again, and it is kept only if both rules of the pair
 * imply it. So it is never wider than either, and where an intersection is
 * not one rule (two globs that merely overlap, a name and a range) narrower.
 *
 * The pairs of a rule are found by the hashes of the other image: whoever has
 * the wider host hangs on a suffix, or a shorter prefix, of the narrower one.
 * So both lists are walked, each against the other.
 *
 * A mode `open` is a rule that nobody wrote: every name and every address that
 * is not private.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "policy/image.h"
#include "policy/pattern.h"

enum {
	PAIRS_MAX = 1 << 22, /* looked at; then ERR_LIMIT */
	PAIR_PORTS = 2 * LIMIT_RULE_PORTS,
};

struct texts {
	char **list;
	size_t n, size;
};

struct work {
	const struct policy *of; /* whose rules are walked */
	const struct policy *by; /* by whose they are bounded */
	struct texts allow, deny;
	struct policy_budget *budgets;
	size_t nbudgets;
	size_t pairs;
	int error; /* 0 or -errno; -E2BIG: too many pairs */
};

static void texts_free(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->list[i]);
	free(t->list);
}

static void texts_add(struct work *w, struct texts *t, const char *text)
{
	if (t->n == t->size) {
		size_t size = t->size ? 2 * t->size : 64;
		char **list = reallocarray(t->list, size, sizeof(*list));

		if (!list) {
			w->error = -ENOMEM;
			return;
		}
		t->list = list;
		t->size = size;
	}
	t->list[t->n] = strdup(text);
	if (t->list[t->n])
		t->n++;
	else
		w->error = -ENOMEM;
}

/* ---- one pair ---- */

static unsigned common_ports(const struct rule *a, const struct rule *b,
			     struct port_range ret[PAIR_PORTS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->nports; i++) {
		for (unsigned k = 0; k < b->nports; k++) {
			const struct port_range *x = &a->ports[i];
			const struct port_range *y = &b->ports[k];
			uint16_t lo = x->lo > y->lo ? x->lo : y->lo;
			uint16_t hi = x->hi < y->hi ? x->hi : y->hi;

			if (lo <= hi && n < PAIR_PORTS)
				ret[n++] = (struct port_range){ lo, hi };
		}
	}
	return n;
}

/* As text, and only if what is read of it is within both. */
static void keep(struct work *w, const struct rule *r, const struct rule *a,
		 const struct rule *b)
{
	char text[LIMIT_RULE_TEXT];
	struct rule read;

	(void)rule_str(r, text);
	if (rule_parse(text, RULE_ALLOW, &read, NULL) == 0 &&
	    rule_implies(a, &read) && rule_implies(b, &read))
		texts_add(w, &w->allow, text);
}

/* `narrow` has the host that is not wider. */
static void pair(struct work *w, const struct rule *narrow,
		 const struct rule *wide)
{
	struct port_range ports[PAIR_PORTS];
	unsigned n = common_ports(narrow, wide, ports);
	struct rule r = *narrow;

	r.protos = narrow->protos & wide->protos;
	r.flags &= (uint8_t)(wide->flags | RULE_WIDE);
	r.proto_given = r.kind == RULE_CIDR ? r.protos != RULE_TCP_UDP :
					      r.protos != RULE_TCP;
	r.ports_given = true;
	if (r.protos == 0)
		return;
	for (unsigned at = 0; at < n; at += r.nports) {
		unsigned left = n - at;

		r.nports = (uint8_t)(left < LIMIT_RULE_PORTS ?
					     left :
					     LIMIT_RULE_PORTS);
		memcpy(r.ports, ports + at, r.nports * sizeof(ports[0]));
		keep(w, &r, narrow, wide);
	}
}

/* ---- the pairs of one rule ---- */

static void pair_uses(struct work *w, const struct rule *r,
		      const struct image_uses *l)
{
	const struct image_use *uses = image_uses(w->by, l);
	struct rule wide;

	for (uint32_t i = 0; i < l->count && !w->error; i++) {
		if (++w->pairs > PAIRS_MAX)
			w->error = -E2BIG;
		if (w->by->shapes[uses[i].shape].side != RULE_ALLOW)
			continue;
		policy_get_rule(w->by, uses[i].rule, &wide);
		pair(w, r, &wide);
	}
}

static void pairs_by_name(struct work *w, const struct rule *r)
{
	struct image_cut cuts[IMAGE_CUTS];
	bool plain;
	const char *suffix = pattern_literal_suffix(r->name, &plain);
	size_t n = image_cut(w->by, suffix, cuts);

	for (size_t i = 0; i < n; i++) {
		const struct image_name *entry = image_find_name(
			w->by, suffix + cuts[i].at, cuts[i].hash);

		if (entry)
			pair_uses(w, r, &entry->uses);
	}
}

static void pairs_by_prefix(struct work *w, const struct rule *r)
{
	const struct image_head *h = w->by->head;

	for (uint32_t i = 0; i < h->nlengths[RULE_ALLOW]; i++) {
		uint8_t len = h->lengths[RULE_ALLOW][i];
		const struct image_cidr *entry;
		struct prefix key;

		if (len > r->prefix.len)
			continue;
		key = prefix_make(&r->prefix.addr, len);
		entry = image_find_cidr(w->by, RULE_ALLOW, &key);
		if (entry)
			pair_uses(w, r, &entry->uses);
	}
}

/* What `open` leaves of a rule that says more than it has. */
static void pair_open(struct work *w, const struct rule *r)
{
	struct rule public = *r;

	if (policy_get_mode(w->by) != POLICY_OPEN ||
	    policy_get_mode(w->of) == POLICY_OPEN ||
	    (r->kind != RULE_NAME && r->kind != RULE_GLOB))
		return;
	public.flags &= (uint8_t)~RULE_PRIVATE;
	keep(w, &public, r, r);
}

static void walk_allow(struct work *w, const struct policy *of,
		       const struct policy *by)
{
	struct rule r;
	uint32_t next = 0;

	w->of = of;
	w->by = by;
	for (uint32_t i = 0; i < policy_nrules(of) && !w->error; i++) {
		policy_get_rule(of, i, &r);
		if (r.side != RULE_ALLOW)
			continue;
		if (policy_implies_rule(by, &r, &next)) {
			texts_add(w, &w->allow, policy_rule_text(of, i));
			continue;
		}
		pair_open(w, &r);
		if (r.kind == RULE_CIDR)
			pairs_by_prefix(w, &r);
		else
			pairs_by_name(w, &r);
	}
}

static void add_denies(struct work *w, const struct policy *p)
{
	for (uint32_t i = 0; i < policy_nrules(p) && !w->error; i++) {
		if (image_shape(p, i)->side == RULE_DENY)
			texts_add(w, &w->deny, policy_rule_text(p, i));
	}
}

static void take_budgets(struct work *w, const struct policy *p)
{
	for (uint32_t i = 0; i < policy_nbudgets(p) && !w->error; i++) {
		for (enum policy_way way = POLICY_UP; way < POLICY_WAYS;
		     way++) {
			uint64_t max = policy_budget_max(p, i, way);

			if (max > 0 && !w->error)
				w->error = policy_budget_add(
					&w->budgets, &w->nbudgets,
					policy_budget_text(p, i), way, max);
		}
	}
}

/* ---- both ---- */

static void work_done(struct work *w)
{
	texts_free(&w->allow);
	texts_free(&w->deny);
	policy_budgets_free(w->budgets, w->nbudgets);
}

static int compile(const struct work *w, const struct policy *p,
		   const struct policy *bound, void **ret_image,
		   size_t *ret_len, struct err *err)
{
	const enum policy_mode a = policy_get_mode(p);
	const enum policy_mode b = policy_get_mode(bound);
	const struct policy_spec spec = {
		.mode = a < b ? a : b,
		.allow = (const char *const *)w->allow.list,
		.nallow = w->allow.n,
		.deny = (const char *const *)w->deny.list,
		.ndeny = w->deny.n,
		.require_names = policy_get_require_names(p) ||
				 policy_get_require_names(bound),
		.dns_refusal = policy_get_dns_refusal(p),
		.budgets = w->budgets,
		.nbudgets = w->nbudgets,
	};

	return policy_compile(&spec, ret_image, ret_len, err);
}

int policy_intersect(const struct policy *p, const struct policy *bound,
		     void **ret_image, size_t *ret_len, struct err *err)
{
	struct work w = { 0 };
	int r;

	add_denies(&w, p);
	add_denies(&w, bound);
	take_budgets(&w, bound);
	if (policy_get_mode(p) != POLICY_BLOCKED &&
	    policy_get_mode(bound) != POLICY_BLOCKED) {
		walk_allow(&w, p, bound);
		walk_allow(&w, bound, p);
	}
	if (w.error == -E2BIG)
		r = err_new(err, ERR_LIMIT, "intersect policies", NULL,
			    "more than %d pairs of rules overlap", PAIRS_MAX);
	else if (w.error)
		r = err_sys(err, -w.error, "intersect policies", "rules");
	else
		r = compile(&w, p, bound, ret_image, ret_len, err);
	work_done(&w);
	return r;
}

int policy_add_denies(const struct policy *p, const struct policy *denies,
		      void **ret_image, size_t *ret_len, struct err *err)
{
	struct work w = { 0 };
	int r;

	add_denies(&w, p);
	add_denies(&w, denies);
	take_budgets(&w, denies);
	for (uint32_t i = 0; i < policy_nrules(p) && !w.error; i++) {
		if (image_shape(p, i)->side == RULE_ALLOW)
			texts_add(&w, &w.allow, policy_rule_text(p, i));
	}
	r = w.error ? err_sys(err, -w.error, "add deny rules", "rules") :
		      compile(&w, p, p, ret_image, ret_len, err);
	work_done(&w);
	return r;
}
