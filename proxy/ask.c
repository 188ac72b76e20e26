/* ask.c - questions of front to dialer, and the answers, as bytes
 * SPDX-License-Identifier: Apache-2.0
 *
 * Both decoders take the other side for one that was taken over: every
 * number is held against its range, every name against name_canonical().
 */
#include "proxy/ask.h"

#include <string.h>

#include "policy/rule.h"
#include "proxy/upproxy_talk.h"

enum {
	STR_MIN = 4 + 1, /* length and NUL */
	ENDPOINT_LEN = 16 + 2,
	ASK_MIN = 4 + 4 + 1 + ENDPOINT_LEN + 1 + 2 + STR_MIN,
	ASK_MAX = ASK_MIN + LIMIT_NAME,
	ANSWER_MIN = 4 + 1 + 4 + 1 + 3 * STR_MIN + ENDPOINT_LEN + 4,
	ANSWER_MAX = ANSWER_MIN + 2 * (LIMIT_RULE_TEXT - 1) + LIMIT_NAME,
	RESOLVE_MIN = 4 + 1 + 1 + 4 + 1 + 3 * STR_MIN + 2 + 2,
	RESOLVE_MAX = RESOLVE_MIN + 2 * (LIMIT_RULE_TEXT - 1) +
		      ASK_RESOLVE_CHAIN_TEXT - 1 + LIMIT_DNS_ADDRS * 16 +
		      sizeof(((struct answer_resolve *)0)->rdata),
};

_Static_assert((int)ASK_MAX <= (int)MSG_INLINE_MAX &&
		       (int)ANSWER_MAX <= (int)MSG_INLINE_MAX &&
		       (int)RESOLVE_MAX <= (int)MSG_INLINE_MAX,
	       "questions and answers are small enough for one packet");

const struct msg_rule ask_dialer_rules[] = {
	{ ASK_DIAL, 1, ASK_MIN, ASK_MAX, 0, 0 },
	{ ASK_CHECK, 1, ASK_MIN, ASK_MAX, 0, 0 },
	{ ASK_RESOLVE, 1, ASK_MIN, ASK_MAX, 0, 0 },
	{ ASK_CANCEL, 1, ASK_MIN, ASK_MAX, 0, 0 },
	{ ASK_USED, 1, ASK_MIN, ASK_MAX, 0, 0 },
};
const size_t ask_dialer_nrules =
	sizeof(ask_dialer_rules) / sizeof(ask_dialer_rules[0]);

const struct msg_rule ask_front_rules[] = {
	{ ANSWER, 1, ANSWER_MIN, ANSWER_MAX, 0, 1 },
	{ ANSWER_RESOLVE, 1, RESOLVE_MIN, RESOLVE_MAX, 0, 0 },
};
const size_t ask_front_nrules =
	sizeof(ask_front_rules) / sizeof(ask_front_rules[0]);

static void put_endpoint(struct sbuf *b, const struct endpoint *ep)
{
	sbuf_add(b, ep->addr.b, sizeof(ep->addr.b));
	sbuf_u16(b, ep->port);
}

static void get_addr(struct rbuf *r, struct addr *ret)
{
	const uint8_t *p = rbuf_bytes(r, sizeof(ret->b));

	if (p)
		memcpy(ret->b, p, sizeof(ret->b));
}

static void get_endpoint(struct rbuf *r, struct endpoint *ret)
{
	get_addr(r, &ret->addr);
	ret->port = rbuf_u16(r);
}

static void get_bool(struct rbuf *r, bool *ret)
{
	uint8_t v = rbuf_u8(r);

	if (v > 1)
		r->bad = true;
	*ret = v == 1;
}

/* A number of an enumeration whose last value is `last`. */
static unsigned get_enum(struct rbuf *r, unsigned last)
{
	uint8_t v = rbuf_u8(r);

	if (v > last)
		r->bad = true;
	return v;
}

static void get_text(struct rbuf *r, char *ret, size_t size)
{
	const char *s = rbuf_str(r);
	size_t n = s ? strlen(s) : 0;

	if (!s || n >= size) {
		r->bad = true;
		return;
	}
	memcpy(ret, s, n + 1);
}

/* Empty, or canonical as it stands. */
static void get_name(struct rbuf *r, char ret[LIMIT_NAME + 1])
{
	char canonical[LIMIT_NAME + 1];

	get_text(r, ret, LIMIT_NAME + 1);
	if (r->bad || ret[0] == '\0')
		return;
	if (!name_canonical(ret, strlen(ret), canonical) ||
	    strcmp(ret, canonical) != 0)
		r->bad = true;
}

static bool whole(const struct rbuf *r)
{
	return !r->bad && rbuf_left(r) == 0;
}

void ask_encode(const struct ask *a, struct sbuf *ret)
{
	sbuf_u32(ret, a->id);
	sbuf_u32(ret, a->posture);
	sbuf_u8(ret, (uint8_t)a->proto);
	put_endpoint(ret, &a->to);
	sbuf_u8(ret, (uint8_t)a->learnt);
	sbuf_u16(ret, a->qtype);
	sbuf_lstr(ret, a->name);
}

bool ask_decode(const void *body, size_t len, struct ask *ret)
{
	struct rbuf r = rbuf_make(body, len);
	struct ask a = { .id = rbuf_u32(&r) };

	a.posture = rbuf_u32(&r);
	a.proto = get_enum(&r, RULE_UDP);
	get_endpoint(&r, &a.to);
	a.learnt = get_enum(&r, POLICY_NAME_PROXY);
	a.qtype = rbuf_u16(&r);
	get_name(&r, a.name);
	if (!whole(&r) || (a.proto != RULE_TCP && a.proto != RULE_UDP))
		return false;
	*ret = a;
	return true;
}

void answer_encode(const struct answer *a, struct sbuf *ret)
{
	sbuf_u32(ret, a->id);
	sbuf_u8(ret, a->allow);
	sbuf_u32(ret, (uint32_t)a->error);
	sbuf_u8(ret, (uint8_t)a->reason);
	sbuf_lstr(ret, a->rule);
	sbuf_lstr(ret, a->hint);
	sbuf_lstr(ret, a->name);
	put_endpoint(ret, &a->peer);
	sbuf_u32(ret, a->failure);
}

bool answer_decode(const void *body, size_t len, struct answer *ret)
{
	struct rbuf r = rbuf_make(body, len);
	struct answer a = { .id = rbuf_u32(&r) };
	uint32_t error;

	get_bool(&r, &a.allow);
	error = rbuf_u32(&r);
	a.reason = get_enum(&r, POLICY_R_LAST);
	get_text(&r, a.rule, sizeof(a.rule));
	get_text(&r, a.hint, sizeof(a.hint));
	get_name(&r, a.name);
	get_endpoint(&r, &a.peer);
	a.failure = rbuf_u32(&r);
	if (!whole(&r) || error > INT32_MAX ||
	    !upproxy_failure_valid(a.failure))
		return false;
	a.error = (int32_t)error;
	*ret = a;
	return true;
}

void answer_resolve_encode(const struct answer_resolve *a, struct sbuf *ret)
{
	sbuf_u32(ret, a->id);
	sbuf_u8(ret, a->allow);
	sbuf_u8(ret, a->rcode);
	sbuf_u32(ret, a->ttl_s);
	sbuf_u8(ret, (uint8_t)a->reason);
	sbuf_lstr(ret, a->rule);
	sbuf_lstr(ret, a->hint);
	sbuf_lstr(ret, a->chain);
	sbuf_u16(ret, a->naddrs);
	for (size_t i = 0; i < a->naddrs; i++)
		sbuf_add(ret, a->addrs[i].b, sizeof(a->addrs[i].b));
	sbuf_u16(ret, a->rdata_len);
	sbuf_add(ret, a->rdata, a->rdata_len);
}

bool answer_resolve_decode(const void *body, size_t len,
			   struct answer_resolve *ret)
{
	struct rbuf r = rbuf_make(body, len);
	struct answer_resolve a = { .id = rbuf_u32(&r) };
	const uint8_t *rdata;

	get_bool(&r, &a.allow);
	a.rcode = (uint8_t)get_enum(&r, 15);
	a.ttl_s = rbuf_u32(&r);
	a.reason = get_enum(&r, POLICY_R_LAST);
	get_text(&r, a.rule, sizeof(a.rule));
	get_text(&r, a.hint, sizeof(a.hint));
	get_text(&r, a.chain, sizeof(a.chain));
	a.naddrs = rbuf_u16(&r);
	if (a.naddrs > LIMIT_DNS_ADDRS)
		return false;
	for (size_t i = 0; i < a.naddrs; i++)
		get_addr(&r, &a.addrs[i]);
	a.rdata_len = rbuf_u16(&r);
	rdata = rbuf_bytes(&r, a.rdata_len);
	if (!rdata || a.rdata_len > sizeof(a.rdata) || !whole(&r))
		return false;
	memcpy(a.rdata, rdata, a.rdata_len);
	*ret = a;
	return true;
}
