/* nft_probe.c - what the kernel's nf_tables lacks, by name
 * SPDX-License-Identifier: Apache-2.0
 *
 * A rule with an expression that the kernel does not know fails with "no
 * such file". So each expression that the wall uses is tried alone, in a
 * table of its own that goes away again.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <linux/netfilter.h>

#include "core/base/fd.h"
#include "core/sys/netns.h"
#include "core/sys/nft_private.h"
#include "core/sys/nft_rule.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { PROBE_ROOM = 32 << 10 };

static const char table[] = "exeat_probe", chain[] = "probe";

static void try_reject(struct nft_rule *r)
{
	nft_match_proto(r, IPPROTO_TCP);
	nft_do_reset(r);
}

static void try_log(struct nft_rule *r)
{
	nft_do_log(r, GATE_NFLOG_GROUP, "probe");
}

static void try_limit(struct nft_rule *r)
{
	nft_match_limit(r, 1, 1);
}

static void try_tproxy(struct nft_rule *r)
{
	nft_match_proto(r, IPPROTO_TCP);
	nft_do_tproxy(r, GATE_PORT_TCP);
}

static void try_counter(struct nft_rule *r)
{
	nft_add_counter(r->batch, table, "probe");
	nft_do_count(r, "probe");
}

static const struct {
	void (*try)(struct nft_rule *r);
	const char *expression, *option, *module;
} features[] = {
	{ try_reject, "reject", "CONFIG_NFT_REJECT_INET", "nft_reject_inet" },
	{ try_limit, "limit", "CONFIG_NFT_LIMIT", "nft_limit" },
	{ try_log, "log", "CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG",
	  "-a nft_log nfnetlink_log" },
	{ try_counter, "counter", "CONFIG_NFT_COUNTER and CONFIG_NFT_OBJREF",
	  "-a nft_counter nft_objref" },
	{ try_tproxy, "tproxy", "CONFIG_NFT_TPROXY", "nft_tproxy" },
};

static int try_feature(int fd, uint32_t *seq, size_t i, struct err *err)
{
	struct nft_batch b;
	struct nft_rule r;
	int result;

	batch_init(&b, fd, seq, PROBE_ROOM);
	nft_add_table(&b, table);
	nft_add_base_chain(&b, table, chain, NF_INET_PRE_ROUTING, 0, true);
	r = nft_rule_begin(&b, table, chain);
	features[i].try(&r);
	nft_rule_end(&r);
	nft_delete_table(&b, table);
	result = batch_commit(&b, err);
	if (b.lacks_expr || result == -EOPNOTSUPP) {
		result = err_new(err, ERR_UNAVAILABLE, "nftables",
				 features[i].expression, "the kernel has no %s",
				 features[i].option);
		err_remedy(err, "load the module: modprobe %s",
			   features[i].module);
	}
	batch_done(&b);
	return result;
}

int nft_probe_kernel(int fd, uint32_t *seq, struct err *err)
{
	struct nft_batch b;
	int r;

	batch_init(&b, fd, seq, PROBE_ROOM);
	nft_add_table(&b, table);
	nft_delete_table(&b, table);
	r = batch_commit(&b, err);
	batch_done(&b);
	for (size_t i = 0; !r && i < COUNT(features); i++)
		r = try_feature(fd, seq, i, err);
	return r;
}

int nft_probe(struct err *err)
{
	cleanup_fd int fd = -1;
	uint32_t seq = 0;
	size_t room;

	fd = batch_socket(&room, err);
	return fd < 0 ? fd : nft_probe_kernel(fd, &seq, err);
}
