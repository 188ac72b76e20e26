/* plan.c - what addresses can say, as ranges for the kernel's sets
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The CIDR rules of a side fall into groups by their protocols and ports.
 * Each prefix becomes a range; a rule that is not inside a private range
 * loses what is private of it (such a rule does not open it), which cuts it
 * into pieces. The ranges of a group are then sorted and merged.
 *
 * The guard is a table of its own and not taken out here.
 */
#include "policy/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/image.h"

struct ranges {
	struct plan_range *r;
	size_t n, size;
};

static int ranges_add(struct ranges *v, const struct plan_range *add)
{
	if (v->n == v->size) {
		size_t size = v->size ? v->size * 2 : 16;
		void *r = reallocarray(v->r, size, sizeof(*v->r));

		if (!r)
			return -ENOMEM;
		v->r = r;
		v->size = size;
	}
	v->r[v->n++] = *add;
	return 0;
}

/* IPv4 first, though its mapped form lies in the middle of IPv6. */
static int range_compare(const void *a, const void *b)
{
	const struct plan_range *x = a, *y = b;
	bool x4 = addr_is_v4(&x->first), y4 = addr_is_v4(&y->first);

	if (x4 != y4)
		return x4 ? -1 : 1;
	return addr_compare(&x->first, &y->first);
}

static void ranges_merge(struct ranges *v)
{
	size_t n = 0;

	if (v->n == 0)
		return;
	qsort(v->r, v->n, sizeof(*v->r), range_compare);
	for (size_t i = 1; i < v->n; i++) {
		struct plan_range *last = &v->r[n];
		struct addr behind = last->last;
		bool more = addr_next(&behind);
		bool same = addr_is_v4(&last->first) ==
			    addr_is_v4(&v->r[i].first);

		if (same &&
		    (!more || addr_compare(&v->r[i].first, &behind) <= 0)) {
			if (addr_compare(&v->r[i].last, &last->last) > 0)
				last->last = v->r[i].last;
		} else {
			v->r[++n] = v->r[i];
		}
	}
	v->n = n + 1;
}

static struct addr addr_before(struct addr a)
{
	for (size_t i = sizeof(a.b); i-- > 0 && a.b[i]-- == 0;)
		;
	return a;
}

/* Add `whole` without the parts that `holes` (merged) cover. */
static int add_without(struct ranges *v, struct plan_range whole,
		       const struct ranges *holes)
{
	bool v4 = addr_is_v4(&whole.first);

	for (size_t i = 0; i < holes->n; i++) {
		const struct plan_range *hole = &holes->r[i];
		struct addr behind = hole->last;

		if (addr_is_v4(&hole->first) != v4 ||
		    addr_compare(&hole->last, &whole.first) < 0 ||
		    addr_compare(&hole->first, &whole.last) > 0)
			continue;
		if (addr_compare(&hole->first, &whole.first) > 0) {
			struct plan_range left = { whole.first,
						   addr_before(hole->first) };
			int rc = ranges_add(v, &left);

			if (rc)
				return rc;
		}
		if (!addr_next(&behind) ||
		    addr_compare(&behind, &whole.last) > 0)
			return 0;
		whole.first = behind;
	}
	return ranges_add(v, &whole);
}

static int private_holes(struct ranges *ret)
{
	size_t n;
	const struct prefix *p = guard_private_prefixes(&n);

	for (size_t i = 0; i < n; i++) {
		struct plan_range r;
		int rc;

		prefix_range(&p[i], &r.first, &r.last);
		rc = ranges_add(ret, &r);
		if (rc)
			return rc;
	}
	ranges_merge(ret);
	return 0;
}

/* ---- groups ---- */

struct group {
	const struct image_shape *like; /* has its protocols and ports */
	struct ranges ranges;
};

struct groups {
	struct group g[LIMIT_PORT_GROUPS];
	size_t n;
};

static bool same_ports(const struct policy *p, const struct image_shape *a,
		       const struct image_shape *b)
{
	return a->protos == b->protos && a->nports == b->nports &&
	       memcmp(p->ports + a->ports, p->ports + b->ports,
		      a->nports * sizeof(*p->ports)) == 0;
}

/* NULL: one too many. */
static struct group *group_of(const struct policy *p, struct groups *gs,
			      const struct image_shape *s)
{
	for (size_t i = 0; i < gs->n; i++) {
		if (gs->g[i].like == s || same_ports(p, gs->g[i].like, s))
			return &gs->g[i];
	}
	if (gs->n == LIMIT_PORT_GROUPS)
		return NULL;
	gs->g[gs->n].like = s;
	return &gs->g[gs->n++];
}

static void groups_done(struct groups *gs)
{
	for (size_t i = 0; i < gs->n; i++)
		free(gs->g[i].ranges.r);
}

static int collect(const struct policy *p, enum rule_side side,
		   const struct ranges *holes, struct groups *gs)
{
	static const struct ranges none;

	for (uint32_t i = 0; i < p->head->rules.count; i++) {
		const struct image_shape *s = image_shape(p, i);
		bool whole = side == RULE_DENY || s->opens_private;
		struct plan_range range;
		struct prefix prefix;
		struct group *g;
		int rc;

		if (s->side != side || s->kind != RULE_CIDR)
			continue;
		g = group_of(p, gs, s);
		if (!g)
			return -E2BIG;
		prefix = image_rule_prefix(p, i);
		prefix_range(&prefix, &range.first, &range.last);
		rc = add_without(&g->ranges, range, whole ? &none : holes);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < gs->n; i++)
		ranges_merge(&gs->g[i].ranges);
	return 0;
}

static int fill_groups(const struct policy *p, struct groups *gs,
		       struct plan_group **ret, size_t *ret_n)
{
	struct plan_group *out = calloc(gs->n + 1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	*ret = out;
	*ret_n = gs->n;
	for (size_t i = 0; i < gs->n; i++, out++) {
		const struct image_shape *s = gs->g[i].like;

		out->protos = s->protos;
		out->nports = s->nports;
		memcpy(out->ports, p->ports + s->ports,
		       s->nports * sizeof(*out->ports));
		out->all_ports = s->nports == 1 && out->ports[0].lo == 1 &&
				 out->ports[0].hi == UINT16_MAX;
		out->ranges = gs->g[i].ranges.r;
		out->nranges = gs->g[i].ranges.n;
		gs->g[i].ranges.r = NULL; /* the plan's now */
	}
	return 0;
}

static int plan_side(const struct policy *p, enum rule_side side,
		     const struct ranges *holes, struct plan_group **ret,
		     size_t *ret_n)
{
	struct groups *gs = calloc(1, sizeof(*gs));
	int rc;

	if (!gs)
		return -ENOMEM;
	rc = collect(p, side, holes, gs);
	if (!rc)
		rc = fill_groups(p, gs, ret, ret_n);
	groups_done(gs);
	free(gs);
	return rc;
}

/* ---- names ---- */

static bool add_class(struct plan_pin_class classes[LIMIT_PORT_GROUPS],
		      size_t *n, enum rule_proto proto,
		      const struct port_range *x)
{
	if (x->hi - x->lo < PLAN_PIN_PORTS)
		return true;
	for (size_t i = 0; i < *n; i++) {
		if (classes[i].proto == proto && classes[i].range.lo == x->lo &&
		    classes[i].range.hi == x->hi)
			return true;
	}
	if (*n == LIMIT_PORT_GROUPS)
		return false;
	classes[*n].proto = proto;
	classes[(*n)++].range = *x;
	return true;
}

static bool find_classes(const struct policy *p,
			 struct plan_pin_class classes[LIMIT_PORT_GROUPS],
			 size_t *ret_n)
{
	static const struct port_range all = { 1, UINT16_MAX };
	static const struct port_range below_quic = { 1, 442 };
	static const struct port_range above_quic = { 444, UINT16_MAX };
	bool fits = true;

	*ret_n = 0;
	if (policy_get_mode(p) == POLICY_OPEN && policy_get_require_names(p)) {
		(void)add_class(classes, ret_n, RULE_TCP, &all);
		(void)add_class(classes, ret_n, RULE_UDP, &below_quic);
		(void)add_class(classes, ret_n, RULE_UDP, &above_quic);
	}
	for (uint32_t i = 0; i < p->head->shapes.count && fits; i++) {
		const struct image_shape *s = &p->shapes[i];

		if (s->side != RULE_ALLOW ||
		    (s->kind != RULE_NAME && s->kind != RULE_GLOB))
			continue;
		for (uint8_t k = 0; k < s->nports && fits; k++) {
			const struct port_range *x = p->ports + s->ports + k;

			if (s->protos & RULE_TCP)
				fits = add_class(classes, ret_n, RULE_TCP, x);
			if (fits && (s->protos & RULE_UDP))
				fits = add_class(classes, ret_n, RULE_UDP, x);
		}
	}
	return fits;
}

int policy_pin_classes_new(const struct policy *p, struct plan_pin_class **ret,
			   size_t *ret_n)
{
	struct plan_pin_class classes[LIMIT_PORT_GROUPS];
	struct plan_pin_class *out;
	size_t n;

	if (!find_classes(p, classes, &n))
		return -E2BIG;
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		return -ENOMEM;
	memcpy(out, classes, n * sizeof(*out));
	*ret = out;
	*ret_n = n;
	return 0;
}

/* ---- the host alias ---- */

static int host_ports(const struct policy *p, enum rule_proto proto,
		      struct port_range **ret, uint64_t *ret_n)
{
	uint64_t set[IMAGE_PORT_WORDS] = { 0 };
	struct port_range range;
	struct port_range *out;
	size_t n = 0;

	for (uint32_t i = 0; i < p->head->shapes.count; i++) {
		const struct image_shape *s = &p->shapes[i];

		if (s->side != RULE_ALLOW || s->kind != RULE_HOST ||
		    !(s->protos & proto))
			continue;
		for (uint8_t k = 0; k < s->nports; k++)
			image_mark_ports(set, p->ports[s->ports + k]);
	}
	for (uint32_t from = 1; image_next_ports(set, &from, &range);)
		n++;
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		return -ENOMEM;
	*ret = out;
	*ret_n = n;
	for (uint32_t from = 1; image_next_ports(set, &from, &range);)
		*out++ = range;
	return 0;
}

/* ---- all of it ---- */

bool plan_fits(const struct policy *p)
{
	struct plan_pin_class classes[LIMIT_PORT_GROUPS];
	struct groups *gs = calloc(IMAGE_SIDES, sizeof(*gs));
	bool fits = gs != NULL;
	size_t n;

	for (uint32_t i = 0; i < p->head->shapes.count && fits; i++) {
		const struct image_shape *s = &p->shapes[i];

		if (s->kind == RULE_CIDR)
			fits = group_of(p, &gs[s->side], s) != NULL;
	}
	free(gs);
	return fits && find_classes(p, classes, &n);
}

static int plan_fill(const struct policy *p, struct plan *plan)
{
	struct ranges holes = { 0 };
	int rc = private_holes(&holes);

	plan->mode = policy_get_mode(p);
	plan->names = p->head->flags & IMAGE_NAMES;
	if (!rc)
		rc = plan_side(p, RULE_DENY, &holes, &plan->deny, &plan->ndeny);
	if (!rc)
		rc = plan_side(p, RULE_ALLOW, &holes, &plan->allow,
			       &plan->nallow);
	if (!rc)
		rc = policy_pin_classes_new(p, &plan->pin_classes,
					    &plan->npin_classes);
	if (!rc)
		rc = host_ports(p, RULE_TCP, &plan->host_ports_tcp,
				&plan->host_ports_tcp_n);
	if (!rc)
		rc = host_ports(p, RULE_UDP, &plan->host_ports_udp,
				&plan->host_ports_udp_n);
	free(holes.r);
	return rc;
}

int policy_plan_new(const struct policy *p, struct plan **ret)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	int rc;

	if (!plan)
		return -ENOMEM;
	rc = plan_fill(p, plan);
	if (rc) {
		policy_plan_free(plan);
		return rc;
	}
	*ret = plan;
	return 0;
}

static void free_groups(struct plan_group *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)g[i].ranges);
	free(g);
}

void policy_plan_free(struct plan *plan)
{
	if (!plan)
		return;
	free_groups(plan->deny, plan->ndeny);
	free_groups(plan->allow, plan->nallow);
	free(plan->pin_classes);
	free(plan->host_ports_tcp);
	free(plan->host_ports_udp);
	free(plan);
}
