/* sysnet_nflog.c - packets of the kernel log, whole, odd and cut
 * SPDX-License-Identifier: Apache-2.0
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysnet_groups.h"
#include "sysnet_posture.h"

/* The payload in hexadecimal; "" for the prefix: no such attribute. */
static size_t build(uint8_t *buf, const char *prefix, const char *hex)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *gen;
	uint8_t bytes[128];
	size_t n = 0;

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
	gen = mnl_nlmsg_put_extra_header(nlh, sizeof(*gen));
	gen->nfgen_family = AF_INET;
	if (*prefix)
		mnl_attr_put_strz(nlh, NFULA_PREFIX, prefix);
	for (; *hex; hex++) {
		unsigned byte;

		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		bytes[n++] = (uint8_t)byte;
		hex++;
	}
	mnl_attr_put(nlh, NFULA_PAYLOAD, n, bytes);
	return nlh->nlmsg_len;
}

struct seen {
	int count;
	struct nflog_packet last;
};

static void on_packet(void *user, const struct nflog_packet *p)
{
	struct seen *seen = user;

	seen->count++;
	seen->last = *p;
}

#define V4_HEAD "0000 0000 40" /* from identification to TTL */
#define V4_ADDRS "0000 c0000002 08080808"
#define PORTS "9c40 0050"
#define V6_ADDRS \
	"fd5a8f3ce7a100000000000000000002 20010db8000000000000000000000001"

static const struct {
	const char *name, *prefix, *packet, *dst;
	uint8_t protocol;
	enum nft_refusal why;
} rows[] = {
	{ "tcp", "guard", "4500003c" V4_HEAD "06" V4_ADDRS PORTS, "8.8.8.8:80",
	  6, NFT_GUARD },
	{ "udp", "deny", "4500003c" V4_HEAD "11" V4_ADDRS PORTS, "8.8.8.8:80",
	  17, NFT_DENY },
	{ "icmp has no ports", "protocol",
	  "4500003c" V4_HEAD "01" V4_ADDRS PORTS, "8.8.8.8:0", 1,
	  NFT_PROTOCOL },
	{ "options", "private",
	  "4600003c" V4_HEAD "06" V4_ADDRS "01010101" PORTS, "8.8.8.8:80", 6,
	  NFT_PRIVATE },
	{ "later fragment", "list", "4500003c 0000 0001 40 11" V4_ADDRS PORTS,
	  "8.8.8.8:0", 17, NFT_LIST },
	{ "first fragment", "source", "4500003c 0000 2000 40 11" V4_ADDRS PORTS,
	  "8.8.8.8:80", 17, NFT_SOURCE },
	{ "ports cut", "list", "4500003c" V4_HEAD "06" V4_ADDRS "9c40 00",
	  "8.8.8.8:0", 6, NFT_LIST },
	{ "header length below 20", "list",
	  "4400003c" V4_HEAD "06" V4_ADDRS PORTS, "[::]:0", 0, NFT_LIST },
	{ "options beyond the end", "list",
	  "4f00003c" V4_HEAD "06" V4_ADDRS PORTS, "8.8.8.8:0", 6, NFT_LIST },
	{ "address cut", "list", "4500003c" V4_HEAD "06 0000 c0000002 0808",
	  "[::]:0", 0, NFT_LIST },
	{ "empty", "list", "", "[::]:0", 0, NFT_LIST },
	{ "version 5", "list", "5500003c" V4_HEAD "06" V4_ADDRS PORTS, "[::]:0",
	  0, NFT_LIST },
	{ "v6 tcp", "guard", "60000000 0014 06 40" V6_ADDRS PORTS,
	  "[2001:db8::1]:80", 6, NFT_GUARD },
	{ "v6 hop-by-hop", "guard",
	  "60000000 0014 00 40" V6_ADDRS "11 00 000000000000" PORTS,
	  "[2001:db8::1]:80", 17, NFT_GUARD },
	{ "v6 destination options of 16, then routing", "guard",
	  "60000000 0014 3c 40" V6_ADDRS
	  "2b 01 0000000000000000000000000000 06 00 000000000000" PORTS,
	  "[2001:db8::1]:80", 6, NFT_GUARD },
	{ "v6 authentication header", "guard",
	  "60000000 0014 33 40" V6_ADDRS "06 01 00000000000000000000" PORTS,
	  "[2001:db8::1]:80", 6, NFT_GUARD },
	{ "v6 first fragment", "guard",
	  "60000000 0014 2c 40" V6_ADDRS "11 00 0001 00000000" PORTS,
	  "[2001:db8::1]:80", 17, NFT_GUARD },
	{ "v6 later fragment", "guard",
	  "60000000 0014 2c 40" V6_ADDRS "11 00 0008 00000000" PORTS,
	  "[2001:db8::1]:0", 17, NFT_GUARD },
	{ "v6 extension cut", "guard",
	  "60000000 0014 3c 40" V6_ADDRS "06 08 0000", "[2001:db8::1]:0", 60,
	  NFT_GUARD },
	{ "v6 icmp", "protocol", "60000000 0014 3a 40" V6_ADDRS "8000 0000",
	  "[2001:db8::1]:0", 58, NFT_PROTOCOL },
	{ "v6 header cut", "protocol", "60000000 0014 3a 40 fd5a", "[::]:0", 0,
	  NFT_PROTOCOL },
	{ "v6 address that is IPv4's mapped form", "guard",
	  "60000000 0014 06 40 fd5a8f3ce7a100000000000000000002"
	  "00000000000000000000ffff08080808" PORTS,
	  "8.8.8.8:80", 6, NFT_GUARD },
};

static void packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_Alignas(struct nlmsghdr) uint8_t buf[512];
		size_t len = build(buf, rows[i].prefix, rows[i].packet);
		struct seen seen = { 0 };
		char text[ENDPOINT_STRLEN];
		int r = nflog_parse(buf, len, on_packet, &seen);

		endpoint_str(&seen.last.dst, text);
		if (r != 1 || seen.count != 1 || seen.last.why != rows[i].why ||
		    seen.last.protocol != rows[i].protocol ||
		    strcmp(text, rows[i].dst))
			fail_msg("%s: %d, why %d, protocol %u, %s",
				 rows[i].name, r, seen.last.why,
				 seen.last.protocol, text);
	}
}

static void several_in_one(void **state)
{
	_Alignas(struct nlmsghdr) uint8_t buf[1024];
	size_t len = 0;
	struct seen seen = { 0 };
	struct nlmsghdr *nlh;

	(void)state;
	for (int i = 0; i < 3; i++)
		len += NLMSG_ALIGN(
			build(buf + len, rows[i].prefix, rows[i].packet));
	nlh = mnl_nlmsg_put_header(buf + len);
	nlh->nlmsg_type = NLMSG_DONE;
	len += nlh->nlmsg_len;
	assert_int_equal(nflog_parse(buf, len, on_packet, &seen), 3);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.last.why, NFT_PROTOCOL);
}

static void no_frame(void **state)
{
	_Alignas(struct nlmsghdr) uint8_t buf[512], odd[512];
	struct seen seen = { 0 };
	struct nlmsghdr *nlh = (void *)odd;
	size_t len = build(buf, "guard", rows[0].packet);

	(void)state;
	/* cut anywhere: never a packet */
	for (size_t cut = 1; cut < len; cut++) {
		uint8_t *copy = malloc(cut);

		assert_non_null(copy);
		memcpy(copy, buf, cut);
		assert_int_equal(nflog_parse(copy, cut, on_packet, &seen),
				 -EBADMSG);
		free(copy);
	}
	len = build(odd, "", rows[0].packet);
	assert_int_equal(nflog_parse(odd, len, on_packet, &seen), -EBADMSG);
	len = build(odd, "guarded", rows[0].packet);
	assert_int_equal(nflog_parse(odd, len, on_packet, &seen), -EBADMSG);
	len = build(odd, "guard", rows[0].packet);
	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFULNL_MSG_PACKET;
	assert_int_equal(nflog_parse(odd, len, on_packet, &seen), -EBADMSG);
	assert_int_equal(seen.count, 0);
	assert_int_equal(nflog_parse(odd, 0, on_packet, &seen), 0);
}

int sysnet_nflog_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets),
		cmocka_unit_test(several_in_one),
		cmocka_unit_test(no_frame),
	};

	return cmocka_run_group_tests_name("sysnet_nflog", tests, NULL, NULL);
}
