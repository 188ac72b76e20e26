/* ask.h - questions of front to dialer, and the answers
 * SPDX-License-Identifier: Apache-2.0
 *
 * One flat message each. front parses what payloads send and can open
 * nothing; dialer decides and opens and parses nothing that a payload wrote:
 * a question carries a canonical name (checked again with name_canonical())
 * and numbers only.
 */
#ifndef EXEAT_PROXY_ASK_H
#define EXEAT_PROXY_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/base/msg.h"
#include "policy/policy.h"

enum ask_message {
	ASK_DIAL = 100, /* struct ask; answer with a descriptor */
	ASK_CHECK,	/* struct ask: decide only (second request) */
	ASK_RESOLVE,	/* struct ask: name and qtype */
	ASK_CANCEL,	/* struct ask: only id; no answer comes */
	ASK_USED,	/* struct ask: a UDP flow lives: keep the pin */
	ANSWER,		/* struct answer to DIAL, CHECK (no fd) */
	ANSWER_RESOLVE, /* struct answer_resolve */
};

struct ask {
	uint32_t id; /* front's, unique among the open ones */
	uint32_t posture;
	enum rule_proto proto;
	struct endpoint to; /* original destination */
	enum policy_learnt learnt;
	uint16_t qtype;		   /* RESOLVE: 1, 28, 65, ... */
	char name[LIMIT_NAME + 1]; /* "" if none */
};

struct answer {
	uint32_t id;
	bool allow;    /* the policy's verdict */
	int32_t error; /* allowed, but not reached: errno > 0 */
	enum policy_reason reason;
	char rule[LIMIT_RULE_TEXT]; /* deciding rule, "" if none */
	char hint[LIMIT_RULE_TEXT]; /* rule that would allow, "" if none */
	char name[LIMIT_NAME + 1];  /* decided by this name, "" if none */
	struct endpoint peer;	    /* dialled */
	uint32_t failure; /* error: the proxy's (upproxy_talk.h), or 0 */
};

enum { ASK_RESOLVE_CHAIN_TEXT = 1024 };

struct answer_resolve {
	uint32_t id;
	bool allow;
	uint8_t rcode;	/* when allowed: NOERROR, NXDOMAIN,
					 * SERVFAIL of the upstream */
	uint32_t ttl_s; /* clamped */
	enum policy_reason reason;
	char rule[LIMIT_RULE_TEXT];
	char hint[LIMIT_RULE_TEXT];
	char chain[ASK_RESOLVE_CHAIN_TEXT]; /* CNAMEs, " " between; "" none */
	uint16_t naddrs;		    /* A or AAAA, as asked */
	struct addr addrs[LIMIT_DNS_ADDRS];
	uint16_t rdata_len; /* HTTPS/SVCB: one stripped RDATA */
	uint8_t rdata[512];
};

void ask_encode(const struct ask *a, struct sbuf *ret);
bool ask_decode(const void *body, size_t len, struct ask *ret);
void answer_encode(const struct answer *a, struct sbuf *ret);
bool answer_decode(const void *body, size_t len, struct answer *ret);
void answer_resolve_encode(const struct answer_resolve *a, struct sbuf *ret);
bool answer_resolve_decode(const void *body, size_t len,
			   struct answer_resolve *ret);

/* What may be received, for chan_init(). */
extern const struct msg_rule ask_dialer_rules[];
extern const size_t ask_dialer_nrules;
extern const struct msg_rule ask_front_rules[];
extern const size_t ask_front_nrules;

#endif
