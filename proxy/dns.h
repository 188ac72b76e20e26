/* dns.h - DNS messages: what payloads ask, what we answer, what upstream says
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * No message is ever relayed. A query is taken apart into a canonical name
 * and two numbers (dns_query_parse), a new query is built from these
 * (dns_query_build), the upstream's answer is taken apart into addresses
 * (dns_answer_parse), and a new answer is built from those
 * (dns_reply_build). What is not one of the fields below does not pass:
 * neither case, nor EDNS options, nor records that were not asked for.
 *
 * RFC 1035 (messages), 6891 (EDNS), 8914 (extended errors), 9460 (SVCB).
 */
#ifndef EXEAT_PROXY_DNS_H
#define EXEAT_PROXY_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/limits.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_CLASS_IN = 1,
};

enum {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* RFC 6891 6.1.3, extended */
};

enum {
	DNS_EDE_OTHER = 0,    /* RFC 8914 4 */
	DNS_EDE_BLOCKED = 15, /* by what is on in every mode */
	DNS_EDE_FILTERED = 17, /* by a deny rule */
	DNS_EDE_PROHIBITED = 18, /* nothing allows it; over a limit */
	DNS_EDE_NOT_SUPPORTED = 21,
	DNS_EDE_NETWORK = 23,	/* no server gave a usable answer */
	DNS_EDE_NONE = 0xffff, /* ours: no extended error */
};

enum {
	DNS_UDP_PLAIN = 512,	    /* bytes without EDNS */
	DNS_UDP_UPSTREAM = 1232,    /* what we say we take from upstream */
	DNS_UDP_CLIENT = 4096,	    /* at most, whatever a client says */
	DNS_QUESTION_MAX = 255 + 4, /* name, type, class */
	DNS_QUERY_MAX = 12 + DNS_QUESTION_MAX + 11,
	DNS_MESSAGE_MAX = 65535,
	DNS_RDATA_MAX = 512, /* one HTTPS/SVCB RDATA, stripped */
	DNS_EDE_TEXT_MAX = 200,
};

/* What a query is. All but DROP are answered. */
enum dns_status {
	DNS_IS_OK,
	DNS_IS_DROP,	 /* a response, or no whole header: be silent */
	DNS_IS_FORMERR,	 /* no single question, compression in it, trailing
				 * bytes, records that no query has */
	DNS_IS_NOTIMP,	 /* another opcode than QUERY */
	DNS_IS_REFUSED,	 /* another class than IN */
	DNS_IS_BADVERS,	 /* EDNS of a version above 0 */
	DNS_IS_BAD_NAME, /* well-formed, but no rule can speak of it: the
				 * root, labels beyond letters, digits, - and _ */
};

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool rd, cd;
	bool edns, dnssec_ok;
	uint16_t udp_size; /* what the client takes: 512..4096 */
	uint16_t qtype, qclass;
	char name[LIMIT_NAME + 1]; /* canonical; "" unless OK or REFUSED */
	size_t question_len;	   /* 0: none to echo */
	uint8_t question[DNS_QUESTION_MAX]; /* as asked, case kept */
};

/*
 * Whatever the outcome (but DROP) *ret can be handed to dns_reply_build().
 */
enum dns_status dns_query_parse(const uint8_t *data, size_t len,
				struct dns_query *ret);

/* The response code that says this status. */
uint8_t dns_status_rcode(enum dns_status s);

struct dns_reply {
	uint8_t rcode;
	uint32_t ttl_s;
	const struct addr *addrs; /* only those of the asked family are
					 * used (A or AAAA) */
	size_t naddrs;
	const uint8_t *rdata; /* asked HTTPS or SVCB */
	size_t rdata_len;     /* 0: none */
	uint16_t ede;	      /* DNS_EDE_NONE: none */
	const char *ede_text; /* may be NULL; cut */
};

/*
 * Addresses stand under the asked name (a CNAME chain is not shown).
 * `udp`: over the client's payload size the answer is empty and has TC.
 * Returns the length, 0 if it does not fit `size` (4 KiB always do).
 */
size_t dns_reply_build(const struct dns_query *q, const struct dns_reply *r,
		       bool udp, uint8_t *buf, size_t size);

/*
 * Our own query for a canonical name: recursion desired, EDNS without
 * options. Returns the length, 0 if `name` is none (DNS_QUERY_MAX is enough).
 */
size_t dns_query_build(uint16_t id, const char *name, uint16_t qtype,
		       uint8_t *buf, size_t size);

struct dns_answer {
	uint8_t rcode; /* of the header: 0..15 */
	bool truncated;
	uint32_t ttl_s; /* lowest of all records used, as they
					 * say; 0 if none was used */
	size_t nchain;	/* CNAME targets, in order */
	char chain[LIMIT_CNAME_CHAIN][LIMIT_NAME + 1];
	size_t naddrs; /* the rest is cut */
	struct addr addrs[LIMIT_DNS_ADDRS];
	size_t rdata_len; /* HTTPS/SVCB: the one of the highest
					 * precedence, stripped */
	uint8_t rdata[DNS_RDATA_MAX];
};

/*
 * Take the answer to (name, qtype) out of an upstream's message. `id` may be
 * NULL: not compared (the resolver library did). False: malformed, not the
 * answer to this question, a chain that loops or is longer than
 * LIMIT_CNAME_CHAIN, or a name in it that is not canonical; treat it as
 * SERVFAIL. Addresses count only under the last name of the chain.
 */
bool dns_answer_parse(const uint8_t *data, size_t len, const uint16_t *id,
		      const char *name, uint16_t qtype, struct dns_answer *ret);

/*
 * One HTTPS/SVCB RDATA without what would lead a client around the policy:
 * only alpn and no-default-alpn stay; `ech`, `port` and the hints go, also
 * from `mandatory`. False: malformed, too long, or a mandatory key that we
 * do not know (RFC 9460 8: such a record is not for us).
 */
bool dns_svcb_strip(const uint8_t *rdata, size_t len,
		    uint8_t ret[DNS_RDATA_MAX], size_t *ret_len);

#endif
