/* carry.c - what a port may carry, and the ports of a name
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/policy.h"

#include <string.h>

#include "policy/image.h"
#include "policy/pattern.h"

static enum policy_carry carry_name(enum rule_proto proto, uint16_t port)
{
	if (proto == RULE_TCP && port == 443)
		return POLICY_CARRY_TLS;
	if (proto == RULE_TCP && port == 80)
		return POLICY_CARRY_HTTP;
	return POLICY_CARRY_PINNED;
}

enum policy_carry policy_carry(const struct policy *p, const struct addr *a,
			       enum rule_proto proto, uint16_t port)
{
	struct policy_question q = {
		.ask = POLICY_ASK_CONNECT,
		.addr = *a,
		.proto = proto,
		.port = port,
	};
	struct policy_verdict v = policy_decide(p, &q);
	bool quic = proto == RULE_UDP && port == 443;

	if (v.allow)
		return POLICY_CARRY_ANY;
	switch (v.reason) {
	case POLICY_R_NO_NAME:
		/* open with require_names: every port takes a name */
		if (quic && policy_get_mode(p) == POLICY_OPEN)
			return POLICY_CARRY_NOTHING;
		return carry_name(proto, port);
	case POLICY_R_PRIVATE:
		if (image_name_port(p, proto, port))
			return carry_name(proto, port);
		return POLICY_CARRY_NOTHING;
	case POLICY_R_DEFAULT:
	case POLICY_R_RULE:
	case POLICY_R_OPEN:
	case POLICY_R_DENY_RULE:
	case POLICY_R_GUARD:
	case POLICY_R_BLOCKED:
	case POLICY_R_PROTOCOL:
	case POLICY_R_NOT_PINNED:
	case POLICY_R_MALFORMED:
	case POLICY_R_OWN:
	case POLICY_R_UPSTREAM:
	case POLICY_R_LIMIT:
	case POLICY_R_BUDGET:
		break;
	}
	return POLICY_CARRY_NOTHING;
}

/* ---- the ports of a name ---- */

struct port_set {
	uint64_t words[2][IMAGE_PORT_WORDS];
};

static void add_shape_ports(const struct policy *p, const struct image_shape *s,
			    struct port_set *set)
{
	for (uint8_t i = 0; i < s->nports; i++) {
		struct port_range x = p->ports[s->ports + i];

		if (s->protos & RULE_TCP)
			image_mark_ports(set->words[0], x);
		if (s->protos & RULE_UDP)
			image_mark_ports(set->words[1], x);
	}
}

static void add_use_ports(const struct policy *p, const char *name,
			  const struct image_uses *l, bool whole,
			  struct port_set *set)
{
	const struct image_use *uses = image_uses(p, l);

	for (uint32_t k = 0; k < l->count; k++) {
		const struct image_shape *s = &p->shapes[uses[k].shape];

		if (s->side != RULE_ALLOW || whole != (s->hang == HANG_EXACT))
			continue;
		if (s->kind == RULE_GLOB ?
			    pattern_matches(p->text +
						    p->rules[uses[k].rule].host,
					    name) :
			    s->kind == RULE_NAME)
			add_shape_ports(p, s, set);
	}
}

static void add_name_ports(const struct policy *p, const char *name,
			   struct port_set *set)
{
	struct image_cut cuts[IMAGE_CUTS];
	size_t n = image_cut(p, name, cuts);

	for (size_t i = 0; i < n; i++) {
		const struct image_name *entry =
			image_find_name(p, name + cuts[i].at, cuts[i].hash);

		if (entry)
			add_use_ports(p, name, &entry->uses, cuts[i].at == 0,
				      set);
	}
}

static size_t list_ports(const uint64_t words[IMAGE_PORT_WORDS],
			 enum rule_proto proto, struct policy_port *ret,
			 size_t max)
{
	struct port_range range;
	uint32_t from = 1;
	size_t n = 0;

	while (n < max && image_next_ports(words, &from, &range)) {
		ret[n].proto = proto;
		ret[n++].range = range;
	}
	return n;
}

size_t policy_name_ports(const struct policy *p, const char *name,
			 struct policy_port *ret, size_t max)
{
	static const struct port_range below_quic = { 1, 442 };
	static const struct port_range above_quic = { 444, UINT16_MAX };
	struct port_set set = { { { 0 } } };
	uint32_t rule;
	size_t n;

	if (policy_name_denied(p, name, &rule) || name_is_host_alias(name))
		return 0;
	if (policy_get_mode(p) == POLICY_OPEN && policy_get_require_names(p)) {
		image_mark_ports(set.words[0],
				 (struct port_range){ 1, UINT16_MAX });
		image_mark_ports(set.words[1], below_quic);
		image_mark_ports(set.words[1], above_quic);
	}
	add_name_ports(p, name, &set);
	n = list_ports(set.words[0], RULE_TCP, ret, max);
	return n + list_ports(set.words[1], RULE_UDP, ret + n, max - n);
}
