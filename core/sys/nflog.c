/* nflog.c - packets of the kernel log
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The frame (netlink headers, attributes) is the kernel's and is validated
 * all the same. The packet in it is the payload's and may be cut: whatever
 * cannot be read stays zero, but the refusal is told. Only a frame that is
 * none gives -EBADMSG.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/sys/nft_private.h"

enum { EXTENSIONS_MAX = 8 }; /* IPv6 headers that are followed */

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
	       protocol == IPPROTO_UDPLITE;
}

static void parse_ports(struct rbuf *r, struct nflog_packet *p)
{
	uint16_t src, dst;

	if (!has_ports(p->protocol))
		return;
	src = rbuf_u16(r);
	dst = rbuf_u16(r);
	if (r->bad)
		return;
	p->src.port = src;
	p->dst.port = dst;
}

/* RFC 791 3.1. */
static void parse_v4(struct rbuf *r, struct nflog_packet *p)
{
	struct rbuf head = *r;
	size_t head_len = (rbuf_u8(&head) & 0xfU) * 4U;
	const uint8_t *src, *dst;
	uint16_t fragment;
	uint8_t protocol;

	rbuf_skip(&head, 5); /* TOS, length, identification */
	fragment = rbuf_u16(&head);
	rbuf_skip(&head, 1); /* TTL */
	protocol = rbuf_u8(&head);
	rbuf_skip(&head, 2); /* checksum */
	src = rbuf_bytes(&head, 4);
	dst = rbuf_bytes(&head, 4);
	if (head.bad || head_len < 20)
		return;
	p->protocol = protocol;
	p->src.addr = addr_from_bytes(src, 4);
	p->dst.addr = addr_from_bytes(dst, 4);
	if (fragment & 0x1fff)
		return; /* not the first: no ports */
	rbuf_skip(r, head_len);
	parse_ports(r, p);
}

enum step {
	STEP_NEXT,    /* an extension: *protocol is what follows */
	STEP_PAYLOAD, /* none: r stands at the payload */
	STEP_STOP,    /* cut, or not the first fragment: no ports */
};

/* RFC 8200 4; RFC 4302 2.2 counts in other units. */
static enum step skip_extension(struct rbuf *r, uint8_t *protocol)
{
	uint8_t this = *protocol, next, len;
	uint16_t offset = 0;

	if (this != IPPROTO_HOPOPTS && this != IPPROTO_ROUTING &&
	    this != IPPROTO_DSTOPTS && this != IPPROTO_MH &&
	    this != IPPROTO_AH && this != IPPROTO_FRAGMENT)
		return STEP_PAYLOAD;
	next = rbuf_u8(r);
	len = rbuf_u8(r);
	if (this == IPPROTO_FRAGMENT) {
		offset = rbuf_u16(r) & 0xfff8;
		rbuf_skip(r, 4);
	} else if (this == IPPROTO_AH) {
		rbuf_skip(r, (len + 2U) * 4U - 2U);
	} else {
		rbuf_skip(r, (len + 1U) * 8U - 2U);
	}
	if (r->bad)
		return STEP_STOP;
	*protocol = next;
	return offset ? STEP_STOP : STEP_NEXT;
}

/* RFC 8200 3. */
static void parse_v6(struct rbuf *r, struct nflog_packet *p)
{
	const uint8_t *src, *dst;
	enum step step = STEP_NEXT;
	uint8_t protocol;

	rbuf_skip(r, 6); /* version, class, label, length */
	protocol = rbuf_u8(r);
	rbuf_skip(r, 1); /* hop limit */
	src = rbuf_bytes(r, 16);
	dst = rbuf_bytes(r, 16);
	if (r->bad)
		return;
	p->src.addr = addr_from_bytes(src, 16);
	p->dst.addr = addr_from_bytes(dst, 16);
	for (int i = 0; i < EXTENSIONS_MAX && step == STEP_NEXT; i++)
		step = skip_extension(r, &protocol);
	p->protocol = protocol;
	if (step == STEP_PAYLOAD)
		parse_ports(r, p);
}

static void parse_packet(const void *data, size_t len, struct nflog_packet *p)
{
	struct rbuf r = rbuf_make(data, len);

	if (!len)
		return;
	switch (*r.p >> 4) {
	case 4:
		return parse_v4(&r, p);
	case 6:
		return parse_v6(&r, p);
	default:
		return;
	}
}

/* The attributes of one message; false if they are not a refusal's. */
static bool parse_message(const struct nlmsghdr *nlh, struct nflog_packet *p)
{
	const struct nlattr *attr, *prefix = NULL, *payload = NULL;
	const uint8_t *end = (const uint8_t *)nlh + nlh->nlmsg_len;
	const char *name;
	size_t len;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return false;
	/* mnl_attr_for_each() goes to the end of the padding. */
	for (attr = mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg));
	     mnl_attr_ok(attr, (int)(end - (const uint8_t *)attr));
	     attr = mnl_attr_next(attr)) {
		if (mnl_attr_get_type(attr) == NFULA_PREFIX)
			prefix = attr;
		else if (mnl_attr_get_type(attr) == NFULA_PAYLOAD)
			payload = attr;
	}
	if (!prefix)
		return false;
	name = mnl_attr_get_payload(prefix);
	len = strnlen(name, mnl_attr_get_payload_len(prefix));
	*p = (struct nflog_packet){ .protocol = 0 };
	if (!nft_refusal_parse(name, len, &p->why))
		return false;
	if (payload)
		parse_packet(mnl_attr_get_payload(payload),
			     mnl_attr_get_payload_len(payload), p);
	return true;
}

/* mnl_nlmsg_ok() takes a length over 31 bits for a negative one. */
static bool message_ok(const struct nlmsghdr *nlh, int left)
{
	return mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (unsigned)left;
}

int nflog_parse(const void *data, size_t len,
		void (*on_packet)(void *user, const struct nflog_packet *p),
		void *user)
{
	const struct nlmsghdr *nlh = data;
	int left = (int)len, count = 0;

	if (len > INT32_MAX)
		return -EBADMSG;
	for (; message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		struct nflog_packet p;

		if (nlh->nlmsg_type == NLMSG_DONE ||
		    nlh->nlmsg_type == NLMSG_NOOP)
			continue;
		if (nlh->nlmsg_type !=
			    (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
		    !parse_message(nlh, &p))
			return -EBADMSG;
		on_packet(user, &p);
		count++;
	}
	return left > 0 ? -EBADMSG : count;
}
