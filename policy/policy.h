/* policy.h - what is allowed: compile, decide, explain, plan
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A policy_spec (mode, rules as typed, options) is compiled to an *image*: one
 * block of bytes without pointers, immutable, that travels as a sealed memfd
 * and is mapped, never parsed twice. struct policy is a view of an image.
 *
 * policy_decide() is the one verdict: a pure total function. It starts at
 * deny and assigns allow in one place. Its cost does not grow with the number
 * of rules: names walk a suffix table label by label, addresses ask one hash
 * table for each prefix length in use.
 *
 * Pure: no I/O, no clock. Whoever compiles brings the rules of presets along.
 */
#ifndef EXEAT_POLICY_POLICY_H
#define EXEAT_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "policy/rule.h"

enum policy_mode {
	POLICY_BLOCKED,
	POLICY_ALLOWLIST,
	POLICY_OPEN,
};

const char *policy_mode_name(enum policy_mode mode);
bool policy_mode_parse(const char *text, enum policy_mode *ret);

enum policy_dns_refusal { POLICY_NXDOMAIN, POLICY_REFUSED };

/* The rules that a preset stands for; see preset.h for the data files. */
struct policy_preset {
	const char *name;		/* without "@" */
	const char *const *rules;	/* texts; +private already on them */
	size_t nrules;
	bool deny_only;
};

/* The ways of bytes, as the payload sees them. */
enum policy_way { POLICY_UP, POLICY_DOWN, POLICY_WAYS };

/*
 * So many bytes may go each way in all, 0: any number, between a session and
 * what `name` says. It is read as the host of a deny rule: what it leaves out
 * (protocol, ports) it means all of. Flags are ignored, so that it may be the
 * text of an allow rule. "@preset": each rule of it has such a budget.
 */
struct policy_budget {
	const char *name;
	uint64_t max[POLICY_WAYS];
};

struct policy_spec {
	enum policy_mode mode;
	const char *const *allow;
	size_t nallow;
	const char *const *deny;
	size_t ndeny;
	bool require_names;
	enum policy_dns_refusal dns_refusal;
	const struct policy_preset *presets;
	size_t npresets;
	/* Of two for the same the lower number holds. */
	const struct policy_budget *budgets;
	size_t nbudgets;
};

/*
 * Compile. *ret_image is heap, the caller frees it.
 * ERR_INVALID: a bad rule (object: "allow[3] \"RULE\"", message with the
 * position), unknown preset (lists the known), an allow-list with `blocked`,
 * rules that `open` may not hold, a bad budget (object: its name); ERR_LIMIT:
 * too many rules, port lists or budgets.
 */
int policy_compile(const struct policy_spec *spec, void **ret_image,
		   size_t *ret_len, struct err *err);

struct policy;			/* a view; borrow of the image */

/*
 * Check the image's frame (magic, version, length, every table within it) and
 * make a view. The image must stay mapped. -EINVAL, -ENOMEM.
 */
int policy_new(const void *image, size_t len, struct policy **ret);
void policy_free(struct policy *p);

enum policy_mode policy_get_mode(const struct policy *p);
enum policy_dns_refusal policy_get_dns_refusal(const struct policy *p);
bool policy_get_require_names(const struct policy *p);
/* The bytes that it is a view of. Borrowed. */
const void *policy_get_image(const struct policy *p, size_t *ret_len);
/* Do the two decide on the same text: mode, options, and every rule in
 * canonical form, in the same order? */
bool policy_equal(const struct policy *a, const struct policy *b);
size_t policy_nrules(const struct policy *p);
/* Rule i after presets are expanded; canonical text of it and its origin
 * ("allow", "deny", or "@preset"). Borrowed. */
void policy_get_rule(const struct policy *p, uint32_t i, struct rule *ret);
const char *policy_rule_text(const struct policy *p, uint32_t i);
const char *policy_rule_origin(const struct policy *p, uint32_t i);

enum policy_ask {
	POLICY_ASK_LOOKUP,	/* may this name be resolved? */
	POLICY_ASK_CONNECT,	/* may this flow be? */
};

/* How a name was learnt; POLICY_NAME_NONE: there is none. */
enum policy_learnt {
	POLICY_NAME_NONE,
	POLICY_NAME_DNS,	/* asked of our resolver */
	POLICY_NAME_SNI,
	POLICY_NAME_HOST,	/* HTTP Host or :authority */
	POLICY_NAME_PIN,	/* the address is pinned for it */
	POLICY_NAME_PROXY,	/* CONNECT, SOCKS */
};
const char *policy_learnt_name(enum policy_learnt l);

struct policy_question {
	enum policy_ask ask;
	const char *name;	/* canonical, or NULL */
	enum policy_learnt learnt;
	struct addr addr;	/* CONNECT: the original destination; all zero
				 * with POLICY_NAME_PROXY: not resolved yet */
	enum rule_proto proto;	/* CONNECT: RULE_TCP or RULE_UDP */
	uint16_t port;
};

enum policy_reason {
	POLICY_R_DEFAULT,	/* no rule allows it */
	POLICY_R_RULE,		/* an allow rule */
	POLICY_R_OPEN,		/* mode open */
	POLICY_R_DENY_RULE,
	POLICY_R_GUARD,
	POLICY_R_PRIVATE,	/* private range, and nothing opens it */
	POLICY_R_BLOCKED,	/* mode blocked */
	POLICY_R_NO_NAME,	/* require_names, or a name rule's port without a
				 * name that it allows */
	POLICY_R_PROTOCOL,	/* what the port may carry: not this (gate) */
	POLICY_R_NOT_PINNED,	/* name allowed, address not of it (gate) */
	POLICY_R_MALFORMED,	/* (gate) */
	POLICY_R_OWN,		/* an own address of the host (gate) */
	POLICY_R_UPSTREAM,	/* not by way of the upstream proxy (gate) */
	POLICY_R_LIMIT,		/* (gate) */
	POLICY_R_BUDGET,	/* its bytes are used up (gate) */
	POLICY_R_LAST = POLICY_R_BUDGET,
};
const char *policy_reason_name(enum policy_reason r);

enum { POLICY_NO_RULE = UINT32_MAX };

struct policy_verdict {
	bool allow;
	enum policy_reason reason;
	uint32_t rule;		/* deciding rule, or POLICY_NO_RULE */
	bool by_address;	/* a CIDR rule or open: any protocol passes, the
				 * original destination is dialled. May be
				 * set beside a name rule. Never with a name
				 * in `open` with require_names: the name's
				 * own addresses are dialled */
	bool private_ok;	/* name rule with +private: answers may be private */
	bool host_alias;	/* dial the host's loopback at this port */
};

/*
 * CONNECT with a name: the name's rules (a name rule never looks at the
 * address but for guard, deny and private_ok). CONNECT without: address rules
 * only; if none allows but some name rule has the port, the reason is NO_NAME.
 * A name whose own rule does not allow it may still pass by a CIDR rule
 * (by_address), unless a deny rule names it.
 */
struct policy_verdict policy_decide(const struct policy *p,
				    const struct policy_question *q);

/*
 * Is this name (one of a CNAME chain, say) refused by a deny rule (*ret_rule)
 * or the guard (POLICY_NO_RULE)? Whether a rule allows it is not asked. A name
 * that is not canonical is refused.
 */
bool policy_name_denied(const struct policy *p, const char *name,
			uint32_t *ret_rule);

/* Is there an allow rule for exactly this name (none with a wildcard)? */
bool policy_name_exact(const struct policy *p, const char *name);

/*
 * May `name`, whose lookup is allowed, have this address as an answer? False
 * with the reason: GUARD, PRIVATE, MALFORMED (the name) or DENY_RULE
 * (*ret_rule). A deny rule for some ports only leaves the answer alone: ask
 * policy_decide() again with each address that is to be dialled.
 */
bool policy_vet_answer(const struct policy *p, const char *name,
		       const struct addr *a, enum policy_reason *ret_reason,
		       uint32_t *ret_rule);

/* The same verdict by a linear walk over the rules: for tests. */
struct policy_verdict policy_decide_naive(const struct policy *p,
					  const struct policy_question *q);

/* What the gate expects on a port when the address alone does not decide. */
enum policy_carry {
	POLICY_CARRY_NOTHING,	/* refuse now */
	POLICY_CARRY_ANY,	/* by address, or open: dial, look on the way */
	POLICY_CARRY_TLS,	/* name rules, 443 */
	POLICY_CARRY_HTTP,	/* name rules, 80 */
	POLICY_CARRY_PINNED,	/* name rules, another port: server-first may be */
};
enum policy_carry policy_carry(const struct policy *p, const struct addr *a,
			       enum rule_proto proto, uint16_t port);

/*
 * The ports for which a name is to be pinned: union over the rules that
 * allow it. Returns the count written (at most `max`), sorted and merged for
 * each protocol, TCP first. To pin: every plan_pin_class that lies within
 * one of the ranges as a class, what is left over port by port. 0 for the
 * host alias (its ports are in the plan).
 */
struct policy_port {
	enum rule_proto proto;
	struct port_range range;
};
size_t policy_name_ports(const struct policy *p, const char *name,
			 struct policy_port *ret, size_t max);

/*
 * In words, appended: "denied by deny rule \"10.0.0.0/8\"", "no rule allows it;
 * would be allowed by: --allow example.com:22". `q` and `v` belong together;
 * `v` may carry a reason of the gate. The rule that would allow goes to
 * `hint`, "" if none can.
 */
void policy_explain(const struct policy *p, const struct policy_question *q,
		    const struct policy_verdict *v, struct sbuf *ret_text,
		    char hint[LIMIT_RULE_TEXT]);
/* Only the rule that would allow in an allow-list; "" if none can (guard,
 * deny). */
void policy_hint(const struct policy_question *q, enum policy_reason reason,
		 char hint[LIMIT_RULE_TEXT]);

/*
 * Is every posture of `inner` within `outer` (blocked < allowlist < open,
 * each rule implied by one of the bound)? False: *ret_rule is the index in
 * `inner` of the rule that is not, or POLICY_NO_RULE if the mode is wider or
 * a deny rule of the bound is missing in `inner` (put them there first).
 */
bool policy_within(const struct policy *outer, const struct policy *inner,
		   uint32_t *ret_rule);

/*
 * What both allow: every deny rule of either, the narrower mode, and of each
 * pair of allow rules what is one rule again. Never wider than either; two
 * globs that merely overlap, or a name and a range, have nothing in common.
 * Options are p's, names are required if either does; budgets are the bound's,
 * as they are in every posture of a session. *ret_image is heap.
 * ERR_LIMIT: too many rules, or pairs of them.
 */
int policy_intersect(const struct policy *p, const struct policy *bound,
		     void **ret_image, size_t *ret_len, struct err *err);
/* The policy p with the deny rules of `denies` besides, and its budgets. */
int policy_add_denies(const struct policy *p, const struct policy *denies,
		      void **ret_image, size_t *ret_len, struct err *err);
/* Does p deny every name that q denies? May say no where several rules of p
 * together do. */
bool policy_denies_names_as(const struct policy *p, const struct policy *q);

/* ---- budgets: how much of what is allowed ---- */

size_t policy_nbudgets(const struct policy *p);
/* The name in canonical form. Borrowed. */
const char *policy_budget_text(const struct policy *p, uint32_t i);
/* Is it for names? Else for addresses. */
bool policy_budget_is_named(const struct policy *p, uint32_t i);
/* 0: no limit this way. */
uint64_t policy_budget_max(const struct policy *p, uint32_t i,
			   enum policy_way way);

struct policy_budgets {
	uint64_t bits[LIMIT_BUDGETS / 64];
};
/*
 * Which of them hold for a flow (CONNECT), or for a name whatever the port
 * (LOOKUP). By the name, if there is one, and by the address.
 */
struct policy_budgets policy_find_budgets(const struct policy *p,
					  const struct policy_question *q);
/* "at most 10M up, 1G down", appended. */
void policy_say_budget(const struct policy *p, uint32_t i, struct sbuf *ret);
/*
 * Is the name one that a budget of this policy may have: the text of an allow
 * rule, or a host that one allows on one of its ports (in open: any)?
 */
bool policy_budget_fits(const struct policy *p, const char *name);

/*
 * A list of them on the heap: *list of *n, NULL and 0 to begin with. `max`
 * goes to the entry of this very name, made if there is none. -ENOMEM,
 * -E2BIG: nothing has changed.
 */
int policy_budget_add(struct policy_budget **list, size_t *n, const char *name,
		      enum policy_way way, uint64_t max);
void policy_budgets_free(struct policy_budget *list, size_t n);

/* The policy as canonical JSON (exeat-policy(5)), one line. */
int policy_json(const struct policy *p, struct sbuf *ret);

/* The caller's own proxy beside it, which is no part of what decides. */
struct upproxy;
struct policy_upstream {
	const struct upproxy *proxy;  /* NULL, or of no kind: none */
	const struct policy *direct; /* its deny rules go direct; or NULL */
};
/* With that, but for the credentials. */
int policy_json_with(const struct policy *p, const struct policy_upstream *u,
		     struct sbuf *ret);

/* ---- the plan for the kernel ---- */

/*
 * What addresses can say, as sorted, merged, disjoint ranges for each
 * distinct list of protocols and ports ("group"). Private ranges in mode open
 * come out as `private_open`: the parts of private ranges that rules open.
 */
struct plan_range {
	struct addr first, last;	/* both IPv4 or both IPv6 */
};

struct plan_group {
	uint8_t protos;
	bool all_ports;
	uint8_t nports;
	struct port_range ports[LIMIT_RULE_PORTS];
	const struct plan_range *ranges;	/* IPv4 first */
	size_t nranges;
};

/* A wide port range (> 16 ports) that names are pinned for: a class of its
 * own; smaller lists are pinned port by port. */
struct plan_pin_class {
	enum rule_proto proto;		/* one of the two */
	struct port_range range;
};

struct plan {
	enum policy_mode mode;
	struct plan_group *deny;
	size_t ndeny;
	struct plan_group *allow;
	size_t nallow;
	struct plan_pin_class *pin_classes;
	size_t npin_classes;
	bool names;			/* there are name rules: pins come */
	uint64_t host_ports_tcp_n;	/* host.exeat.internal */
	struct port_range *host_ports_tcp;
	uint64_t host_ports_udp_n;
	struct port_range *host_ports_udp;
};

/* Heap; made from the mapped image by whoever loads nftables. */
int policy_plan_new(const struct policy *p, struct plan **ret);
void policy_plan_free(struct plan *plan);
/* Its pin classes alone, for who needs no more of it; heap. */
int policy_pin_classes_new(const struct policy *p, struct plan_pin_class **ret,
			   size_t *ret_n);

#endif
