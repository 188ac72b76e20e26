/* rule.h - one rule of an allow or deny list: text in, typed value, text out
 * SPDX-License-Identifier: Apache-2.0
 *
 *	rule  = [proto "/"] host [":" ports] {"+" flag}
 *
 * The grammar is in core/man (policy). A rule means different things by the
 * side it stands on (what is left out is narrow in an allow rule, wide in a
 * deny rule), so the side is an argument of the parser and the typed value is
 * complete: nothing behind the parser knows about "left out".
 */
#ifndef EXEAT_POLICY_RULE_H
#define EXEAT_POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/limits.h"

enum rule_side { RULE_ALLOW, RULE_DENY };

enum rule_kind {
	RULE_NAME,		/* exact name */
	RULE_GLOB,		/* "*.x", "a*.x", "*" */
	RULE_CIDR,		/* address or prefix */
	RULE_PRESET,		/* "@x": replaced by its rules at compile */
	RULE_HOST,		/* host.exeat.internal, host.docker.internal */
};

enum rule_proto { RULE_TCP = 1, RULE_UDP = 2, RULE_TCP_UDP = 3 };

enum rule_flag { RULE_PRIVATE = 1, RULE_WIDE = 2 };

struct port_range {
	uint16_t lo, hi;	/* 1..65535, lo <= hi */
};

struct rule {
	enum rule_side side;
	enum rule_kind kind;
	uint8_t protos;			/* enum rule_proto */
	uint8_t flags;			/* enum rule_flag */
	bool lookup;			/* deny: the lookup itself is refused; of
					 * an address: an answer with it */
	bool ports_given, proto_given;	/* written out: for printing */
	uint8_t nports;			/* sorted, merged; never 0 but for
					 * RULE_PRESET */
	struct port_range ports[LIMIT_RULE_PORTS];
	char name[LIMIT_NAME + 1];	/* canonical: lower case A-labels, no
					 * trailing dot; globs with their
					 * stars; preset without the "@" */
	struct prefix prefix;		/* RULE_CIDR */
};

struct rule_error {
	size_t position;		/* byte offset in the text */
	char message[192];		/* with the remedy if there is one */
};

/* 0, or -EINVAL with *error filled. `text` is any bytes, terminated. */
int rule_parse(const char *text, enum rule_side side, struct rule *ret,
	       struct rule_error *error);

/* Canonical text: rule_parse() of it gives the same value. Returns buf. */
const char *rule_str(const struct rule *r, char buf[LIMIT_RULE_TEXT]);

bool rule_equal(const struct rule *a, const struct rule *b);

/* Every connection and lookup that `inner` allows, `outer` allows. */
bool rule_implies(const struct rule *outer, const struct rule *inner);

/* Does it open what mode open leaves shut? Only such allow rules go with it:
 * +private, inside a private range, the host alias. */
bool rule_fits_open(const struct rule *r);

/*
 * Canonical form of a DNS name: ASCII lower case, no trailing dot, labels
 * 1-63, LDH and underscore, 253 at most. Never converts Unicode. False if it
 * is not a name (also for anything that looks like an IPv4 address).
 */
bool name_canonical(const char *text, size_t len, char ret[LIMIT_NAME + 1]);

/* Naive match of a canonical name against the pattern of a rule: the
 * reference that the compiled matcher is tested against. */
bool rule_matches_name(const struct rule *r, const char *name);

#endif
