/* dns_answer.c - taking an upstream's answer apart
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The records of the answer section may come in any order. The first walk
 * checks that each is whole; then the chain is followed from the asked name,
 * one walk a CNAME, at most LIMIT_CNAME_CHAIN; a last walk collects what
 * stands under the final name. Authority and additional sections are not
 * read: nothing in them answers the question.
 */
#include "proxy/dns.h"

#include <string.h>

#include "core/base/buf.h"
#include "proxy/dns_name.h"

enum {
	F_QR = 0x8000,
	F_TC = 0x0200,
	OPCODE = 0x7800,
	TTL_SIGN = 1u << 31,
};

/* Keys of RFC 9460 14.3.2. */
enum {
	KEY_MANDATORY,
	KEY_ALPN,
	KEY_NO_DEFAULT_ALPN,
	KEY_PORT,
	KEY_IPV4HINT,
	KEY_ECH,
	KEY_IPV6HINT,
	KEYS,
	KEYS_KEPT = 1 << KEY_ALPN | 1 << KEY_NO_DEFAULT_ALPN,
};

struct record {
	enum dns_name_status owner_status;
	char owner[LIMIT_NAME + 1];
	uint16_t type, class;
	uint32_t ttl_s;
	struct rbuf rdata; /* over the message up to the end of it:
					 * pointers count from the start */
};

static bool record_next(struct rbuf *r, struct record *ret)
{
	const uint8_t *rdata;
	uint16_t len;

	ret->owner_status = dns_name_read(r, true, ret->owner);
	ret->type = rbuf_u16(r);
	ret->class = rbuf_u16(r);
	ret->ttl_s = rbuf_u32(r);
	len = rbuf_u16(r);
	rdata = rbuf_bytes(r, len);
	if (!rdata || ret->owner_status == DNS_NAME_BROKEN)
		return false;
	/* RFC 2181 8: a set high bit means zero */
	if (ret->ttl_s & TTL_SIGN)
		ret->ttl_s = 0;
	ret->rdata = *r;
	ret->rdata.p = rdata;
	ret->rdata.end = rdata + len;
	return true;
}

static bool record_is(const struct record *rec, const char *name, uint16_t type)
{
	return rec->owner_status == DNS_NAME_OK && rec->type == type &&
	       rec->class == DNS_CLASS_IN && strcmp(rec->owner, name) == 0;
}

static void use_ttl(struct dns_answer *a, bool *used, uint32_t ttl_s)
{
	if (!*used || ttl_s < a->ttl_s)
		a->ttl_s = ttl_s;
	*used = true;
}

/* The records of one message and what was taken from them so far. */
struct walk {
	struct rbuf records; /* at the first one */
	unsigned n;
	bool used;
	struct dns_answer *answer;
};

enum chain_step { CHAIN_END, CHAIN_MORE, CHAIN_BAD };

/* Look for the CNAME of `name`, and add its target to the chain. */
static enum chain_step chain_follow(struct walk *w, const char *name)
{
	struct dns_answer *a = w->answer;
	struct rbuf r = w->records;
	struct record rec;

	for (unsigned i = 0; i < w->n; i++) {
		if (!record_next(&r, &rec))
			return CHAIN_BAD;
		if (!record_is(&rec, name, DNS_TYPE_CNAME))
			continue;
		if (a->nchain == LIMIT_CNAME_CHAIN ||
		    dns_name_read(&rec.rdata, true, a->chain[a->nchain]) !=
			    DNS_NAME_OK ||
		    rbuf_left(&rec.rdata) > 0)
			return CHAIN_BAD;
		a->nchain++;
		use_ttl(a, &w->used, rec.ttl_s);
		return CHAIN_MORE;
	}
	return CHAIN_END;
}

static bool take_addr(struct walk *w, struct record *rec, size_t len)
{
	struct dns_answer *a = w->answer;
	const uint8_t *bytes = rbuf_bytes(&rec->rdata, len);
	struct addr addr;

	if (!bytes || rbuf_left(&rec->rdata) > 0)
		return false;
	use_ttl(a, &w->used, rec->ttl_s);
	addr = addr_from_bytes(bytes, len);
	for (size_t i = 0; i < a->naddrs; i++)
		if (addr_equal(&a->addrs[i], &addr))
			return true;
	if (a->naddrs < LIMIT_DNS_ADDRS)
		a->addrs[a->naddrs++] = addr;
	return true;
}

/* A record that we cannot use is as if it were not there. */
static void take_svcb(struct walk *w, const struct record *rec)
{
	struct dns_answer *a = w->answer;
	uint8_t stripped[DNS_RDATA_MAX];
	size_t len;

	if (!dns_svcb_strip(rec->rdata.p, rbuf_left(&rec->rdata), stripped,
			    &len))
		return;
	/* the priority is the first two bytes: the lower the better */
	if (a->rdata_len > 0 && memcmp(a->rdata, stripped, 2) <= 0)
		return;
	memcpy(a->rdata, stripped, len);
	a->rdata_len = len;
	use_ttl(a, &w->used, rec->ttl_s);
}

static bool collect(struct walk *w, const char *name, uint16_t qtype)
{
	struct rbuf r = w->records;
	struct record rec;

	for (unsigned i = 0; i < w->n; i++) {
		if (!record_next(&r, &rec))
			return false;
		if (!record_is(&rec, name, qtype))
			continue;
		if (qtype == DNS_TYPE_A || qtype == DNS_TYPE_AAAA) {
			if (!take_addr(w, &rec, qtype == DNS_TYPE_A ? 4 : 16))
				return false;
		} else if (qtype == DNS_TYPE_HTTPS || qtype == DNS_TYPE_SVCB) {
			take_svcb(w, &rec);
		}
	}
	return true;
}

bool dns_answer_parse(const uint8_t *data, size_t len, const uint16_t *id,
		      const char *name, uint16_t qtype, struct dns_answer *ret)
{
	struct rbuf r = rbuf_make(data, len);
	struct walk w = { .answer = ret };
	char asked[LIMIT_NAME + 1];
	uint16_t got_id, flags, nquestions;
	enum chain_step step;

	memset(ret, 0, sizeof(*ret));
	got_id = rbuf_u16(&r);
	flags = rbuf_u16(&r);
	nquestions = rbuf_u16(&r);
	w.n = rbuf_u16(&r);
	rbuf_skip(&r, 4); /* the sections that are not read */
	if (r.bad || (id && *id != got_id) || !(flags & F_QR) ||
	    (flags & OPCODE) || nquestions != 1)
		return false;
	if (dns_name_read(&r, false, asked) != DNS_NAME_OK ||
	    strcmp(asked, name) != 0 || rbuf_u16(&r) != qtype ||
	    rbuf_u16(&r) != DNS_CLASS_IN || r.bad)
		return false;
	ret->rcode = flags & 0xf;
	ret->truncated = flags & F_TC;
	if (ret->truncated)
		return true;
	w.records = r;
	do {
		if (ret->nchain > 0)
			name = ret->chain[ret->nchain - 1];
		step = chain_follow(&w, name);
	} while (step == CHAIN_MORE);
	return step == CHAIN_END && collect(&w, name, qtype);
}

/* A list of strings with a length byte each, none empty, at least one. */
static bool alpn_valid(struct rbuf list)
{
	if (rbuf_left(&list) == 0)
		return false;
	while (rbuf_left(&list) > 0) {
		uint8_t n = rbuf_u8(&list);

		if (n == 0)
			return false;
		rbuf_skip(&list, n);
	}
	return !list.bad;
}

/* The keys of `mandatory` as a bit set; 0 if malformed or unknown to us. */
static unsigned mandatory_keys(struct rbuf list)
{
	unsigned keys = 0;
	int last = KEY_MANDATORY;

	while (rbuf_left(&list) > 0) {
		uint16_t key = rbuf_u16(&list);

		if (list.bad || key <= last || key >= KEYS)
			return 0;
		keys |= 1u << key;
		last = key;
	}
	return keys;
}

static void put_mandatory(struct wbuf *w, unsigned keys)
{
	uint16_t n = 0;

	for (unsigned key = 0; key < KEYS; key++)
		if (keys >> key & 1)
			n++;
	if (n == 0)
		return;
	wbuf_u16(w, KEY_MANDATORY);
	wbuf_u16(w, (uint16_t)(n * 2));
	for (unsigned key = 0; key < KEYS; key++)
		if (keys >> key & 1)
			wbuf_u16(w, (uint16_t)key);
}

bool dns_svcb_strip(const uint8_t *rdata, size_t len,
		    uint8_t ret[DNS_RDATA_MAX], size_t *ret_len)
{
	struct rbuf r = rbuf_make(rdata, len);
	struct wbuf w = wbuf_make(ret, DNS_RDATA_MAX);
	char target[LIMIT_NAME + 1];
	unsigned mandatory = 0, present = 0;
	enum dns_name_status status;
	int last = -1;

	wbuf_u16(&w, rbuf_u16(&r));
	status = dns_name_read(&r, false, target);
	if (r.bad || (status != DNS_NAME_OK && status != DNS_NAME_ROOT))
		return false;
	dns_name_write(&w, target);
	while (rbuf_left(&r) > 0) {
		uint16_t key = rbuf_u16(&r);
		uint16_t n = rbuf_u16(&r);
		struct rbuf value = rbuf_sub(&r, n);

		/* RFC 9460 2.2: in strictly increasing order */
		if (r.bad || key <= last)
			return false;
		last = key;
		if (key < KEYS)
			present |= 1u << key;
		if (key == KEY_MANDATORY) {
			mandatory = mandatory_keys(value);
			if (mandatory == 0)
				return false;
			put_mandatory(&w, mandatory & KEYS_KEPT);
			continue;
		}
		if ((key == KEY_ALPN && !alpn_valid(value)) ||
		    (key == KEY_NO_DEFAULT_ALPN && n > 0))
			return false;
		if (key >= KEYS || !(KEYS_KEPT >> key & 1))
			continue;
		wbuf_u16(&w, key);
		wbuf_u16(&w, n);
		wbuf_bytes(&w, value.p, n);
	}
	/* RFC 9460 8, 7.1.1 */
	if (w.bad || r.bad || (mandatory & ~present) ||
	    (present & KEYS_KEPT) == 1u << KEY_NO_DEFAULT_ALPN)
		return false;
	*ret_len = wbuf_len(&w);
	return true;
}
