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
#include <netinet/in.h>		/* before linux/, which has parts of it */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/sys/nft_private.h"

enum { EXTENSIONS_MAX = 8 };	/* IPv6 headers that are followed */

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

	rbuf_skip(&head, 5);		/* TOS, length, identification */
	fragment = rbuf_u16(&head);
	rbuf_skip(&head, 1);		/* TTL */
	protocol = rbuf_u8(&head);
	rbuf_skip(&head, 2);		/* checksum */
	src = rbuf_bytes(&head, 4);
	dst = rbuf_bytes(&head, 4);
	if (head.bad || head_len < 20)
		return;
	p->protocol = protocol;
	p->src.addr = addr_from_bytes(src, 4);
	p->dst.addr = addr_from_bytes(dst, 4);
	if (fragment & 0x1fff)
		return;			/* not the first: no ports */
	rbuf_skip(r, head_len);
	parse_ports(r, p);
}

/*
 * The next header behind the extension `next` (RFC 8200 4), -1 if it is cut
 * or a later fragment, or if `next` is no extension: *ret_is_extension.
 */
static int skip_extension(struct rbuf *r, int next, bool *ret_is_extension)
{
	int after;
	size_t len;

	*ret_is_extension = true;
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		after = rbuf_u8(r);
		len = (rbuf_u8(r) + 1U) * 8U;
		break;
	case IPPROTO_AH:
		after = rbuf_u8(r);
		len = (rbuf_u8(r) + 2U) * 4U;
		break;
	case IPPROTO_FRAGMENT:
		after = rbuf_u8(r);
		rbuf_skip(r, 1);
		if (rbuf_u16(r) & 0xfff8)
			return -1;
		len = 8 - 2;		/* the skip below takes off two more */
		break;
	default:
		*ret_is_extension = false;
		return -1;
	}
	rbuf_skip(r, len - 2);
	return r->bad ? -1 : after;
}

/* RFC 8200 3. */
static void parse_v6(struct rbuf *r, struct nflog_packet *p)
{
	const uint8_t *src, *dst;
	bool is_extension = true;
	int next;

	rbuf_skip(r, 6);		/* version, class, label, length */
	next = rbuf_u8(r);
	rbuf_skip(r, 1);		/* hop limit */
	src = rbuf_bytes(r, 16);
	dst = rbuf_bytes(r, 16);
	if (r->bad)
		return;
	p->src.addr = addr_from_bytes(src, 16);
	p->dst.addr = addr_from_bytes(dst, 16);
	p->protocol = (uint8_t)next;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		int after = skip_extension(r, next, &is_extension);

		if (after < 0)
			break;
		next = after;
		p->protocol = (uint8_t)next;
	}
	if (!is_extension)
		parse_ports(r, p);
}

static void parse_packet(const void *data, size_t len,
			 struct nflog_packet *p)
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
	const char *name;
	size_t len;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
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

int nflog_parse(const void *data, size_t len,
		void (*on_packet)(void *user, const struct nflog_packet *p),
		void *user)
{
	const struct nlmsghdr *nlh = data;
	int left = (int)len, count = 0;

	if (len > INT32_MAX)
		return -EBADMSG;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
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
