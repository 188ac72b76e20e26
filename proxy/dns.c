/* dns.c - queries of payloads, our answers to them, our queries upstream
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/dns.h"

#include <string.h>

#include "core/base/buf.h"
#include "proxy/dns_name.h"

/* Header bits, RFC 1035 4.1.1 and RFC 4035 3.2.2. */
enum {
	F_QR = 0x8000,
	F_TC = 0x0200,
	F_RD = 0x0100,
	F_RA = 0x0080,
	F_CD = 0x0010,
	OPCODE_SHIFT = 11,
	OPT_DO = 0x8000,
	OPT_EDE = 15,		   /* RFC 8914 2 */
	QUESTION_POINTER = 0xc00c, /* the name right after the header */
};

/* The one record that a query may have besides its question. */
static enum dns_status parse_opt(struct rbuf *r, struct dns_query *q)
{
	uint8_t version;
	uint16_t flags, size;
	struct rbuf options;

	if (rbuf_u8(r) != 0 || rbuf_u16(r) != DNS_TYPE_OPT)
		return DNS_IS_FORMERR;
	size = rbuf_u16(r);
	rbuf_skip(r, 1); /* extended rcode: none in a query */
	version = rbuf_u8(r);
	flags = rbuf_u16(r);
	options = rbuf_sub(r, rbuf_u16(r));
	while (rbuf_left(&options) > 0) {
		rbuf_skip(&options, 2);
		rbuf_skip(&options, rbuf_u16(&options));
	}
	if (r->bad || options.bad)
		return DNS_IS_FORMERR;
	q->edns = true;
	q->dnssec_ok = flags & OPT_DO;
	if (size > DNS_UDP_PLAIN)
		q->udp_size = size < DNS_UDP_CLIENT ? size : DNS_UDP_CLIENT;
	return version == 0 ? DNS_IS_OK : DNS_IS_BADVERS;
}

enum dns_status dns_query_parse(const uint8_t *data, size_t len,
				struct dns_query *ret)
{
	struct rbuf r = rbuf_make(data, len);
	enum dns_status status = DNS_IS_OK;
	enum dns_name_status name;
	uint16_t flags, nquestions, nanswers, nauthority, nmore;
	size_t start;

	memset(ret, 0, sizeof(*ret));
	ret->udp_size = DNS_UDP_PLAIN;
	ret->id = rbuf_u16(&r);
	flags = rbuf_u16(&r);
	nquestions = rbuf_u16(&r);
	nanswers = rbuf_u16(&r);
	nauthority = rbuf_u16(&r);
	nmore = rbuf_u16(&r);
	if (r.bad || (flags & F_QR))
		return DNS_IS_DROP;
	ret->opcode = flags >> OPCODE_SHIFT & 0xf;
	ret->rd = flags & F_RD;
	ret->cd = flags & F_CD;
	if (ret->opcode != 0)
		return DNS_IS_NOTIMP;
	if (nquestions != 1 || nanswers || nauthority || nmore > 1)
		return DNS_IS_FORMERR;

	start = rbuf_pos(&r);
	name = dns_name_read(&r, false, ret->name);
	ret->qtype = rbuf_u16(&r);
	ret->qclass = rbuf_u16(&r);
	/* type 0 is reserved (RFC 6895 3.1), and what the dialer's questions
	 * take for "none" */
	if (name == DNS_NAME_BROKEN || r.bad || ret->qtype == 0)
		return DNS_IS_FORMERR;
	ret->question_len = rbuf_pos(&r) - start;
	memcpy(ret->question, data + start, ret->question_len);

	if (nmore == 1)
		status = parse_opt(&r, ret);
	if (status == DNS_IS_FORMERR || rbuf_left(&r) > 0)
		return DNS_IS_FORMERR;
	if (status != DNS_IS_OK)
		return status;
	if (ret->qclass != DNS_CLASS_IN)
		return DNS_IS_REFUSED;
	return name == DNS_NAME_OK ? DNS_IS_OK : DNS_IS_BAD_NAME;
}

uint8_t dns_status_rcode(enum dns_status s)
{
	switch (s) {
	case DNS_IS_OK:
		return DNS_NOERROR;
	case DNS_IS_NOTIMP:
		return DNS_NOTIMP;
	case DNS_IS_REFUSED:
		return DNS_REFUSED;
	case DNS_IS_BADVERS:
		return DNS_BADVERS;
	case DNS_IS_BAD_NAME:
		return DNS_NXDOMAIN;
	case DNS_IS_DROP:
	case DNS_IS_FORMERR:
		break;
	}
	return DNS_FORMERR;
}

static void put_record(struct wbuf *w, const struct dns_query *q,
		       uint32_t ttl_s, const uint8_t *rdata, size_t len)
{
	wbuf_u16(w, QUESTION_POINTER);
	wbuf_u16(w, q->qtype);
	wbuf_u16(w, DNS_CLASS_IN);
	wbuf_u32(w, ttl_s);
	wbuf_u16(w, (uint16_t)len);
	wbuf_bytes(w, rdata, len);
}

/* Returns how many records were written. */
static uint16_t put_answers(struct wbuf *w, const struct dns_query *q,
			    const struct dns_reply *r)
{
	bool want_v4 = q->qtype == DNS_TYPE_A;
	uint16_t n = 0;

	if (r->rcode != DNS_NOERROR || q->question_len == 0)
		return 0;
	if (q->qtype == DNS_TYPE_HTTPS || q->qtype == DNS_TYPE_SVCB) {
		if (r->rdata_len == 0 || r->rdata_len > DNS_RDATA_MAX)
			return 0;
		put_record(w, q, r->ttl_s, r->rdata, r->rdata_len);
		return 1;
	}
	if (!want_v4 && q->qtype != DNS_TYPE_AAAA)
		return 0;
	for (size_t i = 0; i < r->naddrs && n < LIMIT_DNS_ADDRS; i++) {
		const uint8_t *b = r->addrs[i].b;

		if (addr_is_v4(&r->addrs[i]) != want_v4)
			continue;
		put_record(w, q, r->ttl_s, want_v4 ? b + 12 : b,
			   want_v4 ? 4 : 16);
		n++;
	}
	return n;
}

static void put_opt(struct wbuf *w, const struct dns_query *q,
		    const struct dns_reply *r)
{
	size_t text = r->ede_text ? strnlen(r->ede_text, DNS_EDE_TEXT_MAX) : 0;

	wbuf_u8(w, 0);
	wbuf_u16(w, DNS_TYPE_OPT);
	wbuf_u16(w, DNS_UDP_CLIENT);
	wbuf_u8(w, (uint8_t)(r->rcode >> 4));
	wbuf_u8(w, 0);
	wbuf_u16(w, q->dnssec_ok ? OPT_DO : 0);
	if (r->ede == DNS_EDE_NONE) {
		wbuf_u16(w, 0);
		return;
	}
	wbuf_u16(w, (uint16_t)(text + 6));
	wbuf_u16(w, OPT_EDE);
	wbuf_u16(w, (uint16_t)(text + 2));
	wbuf_u16(w, r->ede);
	wbuf_bytes(w, r->ede_text, text);
}

/* Returns the length, or 0 if it did not fit. */
static size_t reply_write(const struct dns_query *q, const struct dns_reply *r,
			  bool cut, uint8_t *buf, size_t size)
{
	struct wbuf w = wbuf_make(buf, size), counts;
	unsigned flags = F_QR | F_RA | (unsigned)q->opcode << OPCODE_SHIFT |
			 (r->rcode & 0xf);
	uint16_t n;

	if (q->rd)
		flags |= F_RD;
	if (q->cd)
		flags |= F_CD;
	if (cut)
		flags |= F_TC;
	wbuf_u16(&w, q->id);
	wbuf_u16(&w, (uint16_t)flags);
	wbuf_u16(&w, q->question_len > 0);
	counts = w;
	wbuf_u16(&w, 0);
	wbuf_u16(&w, 0);
	wbuf_u16(&w, q->edns);
	wbuf_bytes(&w, q->question, q->question_len);
	n = cut ? 0 : put_answers(&w, q, r);
	if (q->edns)
		put_opt(&w, q, r);
	if (w.bad)
		return 0;
	wbuf_u16(&counts, n);
	return wbuf_len(&w);
}

size_t dns_reply_build(const struct dns_query *q, const struct dns_reply *r,
		       bool udp, uint8_t *buf, size_t size)
{
	size_t n;

	if (udp && size > q->udp_size)
		size = q->udp_size;
	n = reply_write(q, r, false, buf, size);
	if (n == 0 && udp)
		n = reply_write(q, r, true, buf, size);
	return n;
}

size_t dns_query_build(uint16_t id, const char *name, uint16_t qtype,
		       uint8_t *buf, size_t size)
{
	struct wbuf w = wbuf_make(buf, size);

	wbuf_u16(&w, id);
	wbuf_u16(&w, F_RD);
	wbuf_u16(&w, 1);
	wbuf_u32(&w, 0); /* no answers, no authority */
	wbuf_u16(&w, 1);
	dns_name_write(&w, name);
	wbuf_u16(&w, qtype);
	wbuf_u16(&w, DNS_CLASS_IN);
	wbuf_u8(&w, 0); /* EDNS, no options */
	wbuf_u16(&w, DNS_TYPE_OPT);
	wbuf_u16(&w, DNS_UDP_UPSTREAM);
	wbuf_u32(&w, 0);
	wbuf_u16(&w, 0);
	return w.bad ? 0 : wbuf_len(&w);
}
