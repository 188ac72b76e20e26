/* nft.c - the kernel wall of one posture namespace: load, pin, count
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * nft_load() builds in as many transactions as the send buffer wants and
 * enforces in one. A second call replaces the policy: its table gets the
 * other of two names, is built beside the old one, and the transaction that
 * makes the new base chains deletes the old ones. The old table's counters
 * are read when nothing can count there any more, then it goes.
 *
 * A pin is renewed by adding, deleting and adding it again in one
 * transaction: the first makes sure that there is something to delete, the
 * last sets the time anew on every kernel. Packets see the old element until
 * they see the new one.
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
#include "core/sys/nft_set.h"

enum {
	PIN_PORTS = 16, /* of one pin that is no class */
	ELEMENT_MSG_MAX = 256, /* bytes of a message with one element */
};

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

static size_t small_room(const struct nft *n)
{
	return n->room < NFT_PINS_BATCH ? n->room : NFT_PINS_BATCH;
}

/* Remove what a load left half built, or what it replaced. */
static int drop_tables(struct nft *n, bool guard, const char *table,
		       struct err *err)
{
	struct nft_batch b;
	int r;

	batch_init(&b, n->fd, &n->seq, small_room(n));
	if (guard)
		nft_delete_table(&b, NFT_TABLE_GUARD);
	if (table)
		nft_delete_table(&b, table);
	r = batch_commit(&b, err);
	batch_done(&b);
	return r;
}

/* The tables may be there or not: each on its own. */
static void undo(struct nft *n, const char *table)
{
	if (!n->loaded)
		(void)drop_tables(n, true, NULL, NULL);
	(void)drop_tables(n, false, table, NULL);
}

static void build(struct nft *n, struct nft_batch *b, const char *table,
		  const struct plan *plan)
{
	if (!n->loaded)
		nft_build_guard(b);
	nft_build_policy(b, table, plan);
	/* What was too big for one transaction has none of the switch. */
	if (b->commits)
		(void)batch_commit(b, NULL); /* sticks */
	b->whole = true;
	if (!n->loaded)
		nft_enforce_guard(b);
	nft_enforce_policy(b, table, plan);
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
		struct err *err)
{
	struct nft_batch b;
	int r;

	batch_init(&b, n->fd, &n->seq, n->room);
	build(n, &b, table, plan);
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

int nft_load(struct nft *n, const struct plan *plan, struct err *err)
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
		r = load(n, table, plan, err);
	if (r) {
		free(classes);
		return r;
	}
	free(n->classes);
	n->classes = classes;
	n->nclasses = plan->npin_classes;
	n->pins = plan->mode != POLICY_BLOCKED &&
		  (plan->names || plan->npin_classes);
	n->table = table;
	n->loaded = true;
	if (old)
		(void)retire(n, old, NULL);
	return 0;
}

/* ---- pins ---- */

static void put_element(struct nft_batch *b, uint16_t type, const char *table,
			const char *set, const void *key, size_t len,
			uint64_t timeout_ms)
{
	struct nft_elems e = nft_elems_begin(b, type, table, set);

	e.max = ELEMENT_MSG_MAX;
	nft_elem(&e, key, len, 0, timeout_ms);
	nft_elems_end(&e);
}

static void renew(struct nft_batch *b, const char *table, const char *set,
		  const void *key, size_t len, uint64_t timeout_ms)
{
	/* Never a moment without it. */
	batch_reserve(b, 3 * ELEMENT_MSG_MAX);
	put_element(b, NFT_MSG_NEWSETELEM, table, set, key, len, timeout_ms);
	put_element(b, NFT_MSG_DELSETELEM, table, set, key, len, 0);
	put_element(b, NFT_MSG_NEWSETELEM, table, set, key, len, timeout_ms);
}

static bool find_class(const struct nft *n, const struct nft_pin *pin,
		       size_t *ret)
{
	for (size_t i = 0; i < n->nclasses; i++) {
		if (n->classes[i].proto == pin->proto &&
		    n->classes[i].range.lo == pin->range.lo &&
		    n->classes[i].range.hi == pin->range.hi) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* address . protocol . port, each padded to four bytes */
static size_t pin_key(const struct nft_pin *pin, enum nft_family f,
		      unsigned port, uint8_t key[24])
{
	size_t len = nft_families[f].addr_len;

	memset(key, 0, 24);
	memcpy(key, pin->addr.b + sizeof(pin->addr.b) - len, len);
	key[len] = pin->proto == RULE_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	key[len + 4] = (uint8_t)(port >> 8);
	key[len + 5] = (uint8_t)port;
	return len + 8;
}

static void put_pin(struct nft *n, struct nft_batch *b,
		    const struct nft_pin *pin, uint64_t timeout_ms)
{
	enum nft_family f = addr_is_v4(&pin->addr) ? NFT_V4 : NFT_V6;
	size_t len = nft_families[f].addr_len, class;
	char set[NFT_NAME_SIZE], stem[NFT_NAME_SIZE];
	uint8_t key[24];

	if (find_class(n, pin, &class)) {
		nft_class_stem(class, stem);
		return renew(b, n->table, nft_set_name(stem, f, set),
			     pin->addr.b + sizeof(pin->addr.b) - len, len,
			     timeout_ms);
	}
	nft_set_name(NFT_SET_PIN, f, set);
	for (unsigned p = pin->range.lo; p <= pin->range.hi; p++) {
		size_t size = pin_key(pin, f, p, key);

		renew(b, n->table, set, key, size, timeout_ms);
	}
}

static bool pin_valid(const struct nft *n, const struct nft_pin *pin)
{
	size_t class;

	if (pin->proto != RULE_TCP && pin->proto != RULE_UDP)
		return false;
	if (pin->range.lo == 0 || pin->range.lo > pin->range.hi)
		return false;
	return pin->range.hi - pin->range.lo < PIN_PORTS ||
	       find_class(n, pin, &class);
}

int nft_pin(struct nft *n, const struct nft_pin *pins, size_t npins,
	    unsigned ttl_s, struct err *err)
{
	struct nft_batch b;
	int r;

	if (!n->pins || ttl_s == 0)
		return err_new(err, ERR_INVALID, "pin", n->table,
			       "the posture takes no pins");
	for (size_t i = 0; i < npins; i++) {
		if (!pin_valid(n, &pins[i]))
			return err_new(err, ERR_INVALID, "pin", n->table,
				       "ports %u-%u are no class of the plan",
				       pins[i].range.lo, pins[i].range.hi);
	}
	batch_init(&b, n->fd, &n->seq, small_room(n));
	for (size_t i = 0; i < npins; i++)
		put_pin(n, &b, &pins[i], (uint64_t)ttl_s * 1000);
	r = batch_commit(&b, err);
	batch_done(&b);
	return r;
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
