/* fuzz_nflog.c - datagrams of the kernel log
 * SPDX-License-Identifier: Apache-2.0
 *
 * First the bytes as they are, as a datagram; then as the packet within a
 * datagram that is right, which is what a payload can write.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

#include "core/sys/nft.h"
#include "tests/fuzz/fuzz.h"

enum { PACKET_MAX = 4096 };

static void on_packet(void *user, const struct nflog_packet *p)
{
	int *count = user;

	++*count;
	assert(p->why < NFT_REFUSALS);
	/* ports only where a protocol has them */
	if (p->src.port || p->dst.port)
		assert(p->protocol == IPPROTO_TCP ||
		       p->protocol == IPPROTO_UDP ||
		       p->protocol == IPPROTO_SCTP ||
		       p->protocol == IPPROTO_DCCP ||
		       p->protocol == IPPROTO_UDPLITE);
}

/* In memory of exactly this size, so that a read beyond it is seen. */
static void parse(const void *data, size_t len, int want)
{
	void *copy = malloc(len ? len : 1);
	int count = 0, r;

	assert(copy);
	memcpy(copy, data, len);
	r = nflog_parse(copy, len, on_packet, &count);
	assert(r == -EBADMSG || r == count);
	assert(want < 0 || r == want);
	free(copy);
}

static void parse_packet(const uint8_t *data, size_t size)
{
	_Alignas(struct nlmsghdr) uint8_t buf[PACKET_MAX + 256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	mnl_attr_put_strz(nlh, NFULA_PREFIX, "guard");
	mnl_attr_put(nlh, NFULA_PAYLOAD, size, data);
	parse(buf, nlh->nlmsg_len, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse(data, size, -1);
	if (size <= PACKET_MAX)
		parse_packet(data, size);
	return 0;
}
