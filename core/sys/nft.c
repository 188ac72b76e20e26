/* nft.c - the kernel wall of one posture namespace: load, count
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * nft_load() builds in as many transactions as the send buffer wants and
 * enforces in one. A second call replaces the policy: its table gets the
 * other of two names, is built beside the old one, and the transaction that
 * makes the new base chains deletes the old ones. The old table's counters
 * are read when nothing can count there any more, then it goes. Pins that the
 * new policy leaves are part of what is built: no packet meets it without.
 */
#include "core/sys/nft.h"

/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/sys/nft_private.h"
#include "core/sys/nft_rule.h"

static const char *const policy_tables[2] = { "exeat", "exeat_next" };

int nft_open(struct nft **ret, struct err *err)
{
	struct nft *n = calloc(1, sizeof(*n));

	if (!n)
		return err_sys(err, ENOMEM, "open nftables", "memory");
	n->fd = batch_socket(&n->room, err);
	if (n->fd < 0) {
		int r = n->fd;

		nft_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void nft_free(struct nft *n)
{
	if (!n)
		return;
	fd_close(&n->fd);
	free(n->classes);
	free(n);
}

/* ---- load ---- */

static int copy_classes(const struct plan *plan, struct plan_pin_class **ret,
			struct err *err)
{
	struct plan_pin_class *copy;

	*ret = NULL;
	if (!plan->npin_classes)
		return 0;
	copy = calloc(plan->npin_classes, sizeof(*copy));
	if (!copy)
		return err_sys(err, ENOMEM, "load nftables", "pin classes");
	memcpy(copy, plan->pin_classes, plan->npin_classes * sizeof(*copy));
	*ret = copy;
	return 0;
}

/* Remove what a load left half built, or what it replaced. */
static int drop_tables(struct nft *n, bool guard, const char *table,
		       struct err *err)
{
	struct nft_batch b;
	int r;

	batch_init(&b, n->fd, &n->seq, nft_small_room(n));
	if (guard)
		nft_delete_table(&b, NFT_TABLE_GUARD);
	if (table)
		nft_delete_table(&b, table);
	r = batch_commit(&b, err);
	batch_done(&b);
	return r;
}

/* What falls off the end of its base chains is dropped: the last of their
 * rules refuses all, so it is no matter if this cannot be had. */
static void close_end(struct nft *n, const char *table)
{
	struct nft_batch b;

	batch_init(&b, n->fd, &n->seq, nft_small_room(n));
	nft_yield_policy(&b, table, false);
	(void)batch_commit(&b, NULL);
	batch_done(&b);
}

/* The tables may be there or not: each on its own. */
static void undo(struct nft *n, const char *table)
{
	if (!n->loaded)
		(void)drop_tables(n, true, NULL, NULL);
	(void)drop_tables(n, false, table, NULL);
	if (n->loaded)
		close_end(n, n->table);
}

/*
 * Packets pass while a policy is replaced, and the kernel takes its time over
 * a transaction. For a moment base chains are there without a rule, the new
 * ones before it and the old ones behind it: what falls off their end then is
 * judged by the others. And what a transaction puts in a set may be found
 * there only after its rules are in force (Linux 6.18): sets are filled before.
 */
static void prepare_switch(struct nft *n, struct nft_batch *b)
{
	nft_yield_policy(b, n->table, true);
	(void)batch_commit(b, NULL); /* sticks */
}

static void build(struct nft *n, struct nft_batch *b, const char *table,
		  const struct plan *plan, const struct nft_pins *pins)
{
	if (!n->loaded)
		nft_build_guard(b);
	nft_build_policy(b, table, plan);
	nft_build_pins(b, table, plan, pins);
	if (n->loaded)
		prepare_switch(n, b);
	/* What was too big for one transaction has none of the switch. */
	else if (b->commits)
		(void)batch_commit(b, NULL); /* sticks */
	b->whole = true;
	if (!n->loaded)
		nft_enforce_guard(b);
	nft_enforce_policy(b, table, plan, n->loaded);
	if (n->loaded)
		nft_retire_policy(b, n->table);
}

/* The old policy's counters count on; its table goes, now or next time. */
static int retire(struct nft *n, const char *old, struct err *err)
{
	struct nft_counters before = n->before;
	int r;

	(void)nft_counters_add(n, old, &before, NULL);
	r = drop_tables(n, false, old, err);
	n->stale = r ? old : NULL;
	if (!r)
		n->before = before;
	return r;
}

/* Build and switch; the error names what the kernel lacks. */
static int load(struct nft *n, const char *table, const struct plan *plan,
		const struct nft_pins *pins, struct err *err)
{
	struct nft_batch b;
	int r;

	batch_init(&b, n->fd, &n->seq, n->room);
	build(n, &b, table, plan, pins);
	r = batch_commit(&b, err);
	if (r) {
		undo(n, table);
		/* "No such file" would say nothing: find what is missing. */
		if (b.lacks_expr)
			(void)nft_probe_kernel(n->fd, &n->seq, err);
	}
	batch_done(&b);
	return r;
}

int nft_load_pins(struct nft *n, const struct plan *plan,
		  const struct nft_pins *pins, struct err *err)
{
	const char *old = n->table;
	const char *table = policy_tables[old == policy_tables[0]];
	struct plan_pin_class *classes;
	int r = 0;

	if (n->stale)
		r = retire(n, n->stale, err);
	if (r)
		return r;
	r = copy_classes(plan, &classes, err);
	if (!r)
		r = load(n, table, plan, pins, err);
	if (r) {
		free(classes);
		return r;
	}
	free(n->classes);
	n->classes = classes;
	n->nclasses = plan->npin_classes;
	n->pins = nft_takes_pins(plan);
	n->table = table;
	n->loaded = true;
	if (old) {
		(void)retire(n, old, NULL);
		close_end(n, table);
	}
	return 0;
}

int nft_load(struct nft *n, const struct plan *plan, struct err *err)
{
	static const struct nft_pins none;

	return nft_load_pins(n, plan, &none, err);
}

/* ---- counters ---- */

static int read_counter(const struct nlmsghdr *nlh, struct nft_counters *ret)
{
	struct nftnl_obj *o = nftnl_obj_alloc();
	enum nft_refusal why;
	const char *name;

	if (!o)
		return -ENOMEM;
	if (nftnl_obj_nlmsg_parse(nlh, o) == 0) {
		name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);
		if (name && nft_refusal_parse(name, strlen(name), &why))
			ret->packets[why] +=
				nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS);
	}
	nftnl_obj_free(o);
	return 0;
}

struct dump {
	uint32_t seq;
	struct nft_counters *counters;
	bool done;
	int error;		/* the first; the dump is read to its end */
};

static void dump_message(const struct nlmsghdr *nlh, struct dump *d)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	int r = 0;

	if (nlh->nlmsg_seq != d->seq)
		return;		/* of a dump that was given up */
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		r = e->error ? e->error : -EPROTO;
		d->done = true;
	} else if (nlh->nlmsg_flags & NLM_F_DUMP_INTR) {
		r = -EINTR;
	} else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE) {
		r = read_counter(nlh, d->counters);
	}
	if (nlh->nlmsg_type == NLMSG_DONE)
		d->done = true;
	if (!d->error)
		d->error = r;
}

/* Ask for a table's counters (NULL: all) and read the dump to its end. */
static int dump_counters(struct nft *n, const char *table,
			 struct nft_counters *ret)
{
	_Alignas(struct nlmsghdr) uint8_t buf[32768];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct dump d = { .seq = ++n->seq, .counters = ret };
	struct nlmsghdr *nlh;

	nlh = nftnl_nlmsg_build_hdr((char *)buf, NFT_MSG_GETOBJ, NFPROTO_INET,
				    NLM_F_DUMP, d.seq);
	if (table)
		mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, table);
	if (sendto(n->fd, nlh, nlh->nlmsg_len, 0, (void *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	while (!d.done) {
		ssize_t len = recv(n->fd, buf, sizeof(buf), 0);
		int left = (int)len;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		nlh = (void *)buf;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left))
			dump_message(nlh, &d);
	}
	return d.error;
}

int nft_counters_add(struct nft *n, const char *table, struct nft_counters *ret,
		     struct err *err)
{
	int r;

	/* EINTR: something changed while the dump was made. */
	for (int tries = 0; tries < 8; tries++) {
		struct nft_counters sum = *ret;

		r = dump_counters(n, table, &sum);
		if (r == 0) {
			*ret = sum;
			return 0;
		}
		if (r != -EINTR)
			break;
	}
	return err_sys(err, -r, "nftables: read counters", "%s",
		       table ? table : "all");
}

int nft_counters_get(struct nft *n, struct nft_counters *ret, struct err *err)
{
	struct nft_counters sum = n->before;
	int r;

	if (!n->loaded)
		return err_new(err, ERR_INVALID, "nftables: read counters",
			       NULL, "nothing is loaded");
	/* the namespace has our tables and no other */
	r = nft_counters_add(n, NULL, &sum, err);
	if (!r)
		*ret = sum;
	return r;
}
