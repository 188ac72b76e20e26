/* nft_set.c - filling sets of addresses
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * An interval set knows only boundaries: an element begins a range, one with
 * the flag INTERVAL_END is the first address behind it. A range that reaches
 * the last address of the family has no end element. Both boundaries of a
 * range go in one message, so that a transaction never holds half of one.
 *
 * Sets may have 100,000 elements and more, so their messages are written in
 * place by libmnl, without an object an element.
 */
#include "core/sys/nft_set.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* A nest's length is 16 bits. */
	ELEMS_MSG_MAX = 48 * 1024,
	/* nests, key of 24 bytes, flags, time-out: 64; with room */
	ELEM_MAX = 80,
};

const char *nft_set_name(const char *stem, enum nft_family f,
			 char buf[NFT_NAME_SIZE])
{
	(void)snprintf(buf, NFT_NAME_SIZE, "%s%c", stem,
		       nft_families[f].suffix);
	return buf;
}

/* ---- ranges ---- */

static enum nft_family family_of(const struct plan_range *r)
{
	return addr_is_v4(&r->first) ? NFT_V4 : NFT_V6;
}

/* IPv4 before IPv6, then by address. */
static int compare_ranges(const void *x, const void *y)
{
	const struct plan_range *a = x, *b = y;

	if (family_of(a) != family_of(b))
		return family_of(a) < family_of(b) ? -1 : 1;
	return addr_compare(&a->first, &b->first);
}

/* b begins within a, or right behind it. */
static bool joins(const struct plan_range *a, const struct plan_range *b)
{
	struct addr behind = a->last;

	if (family_of(a) != family_of(b))
		return false;
	return addr_compare(&b->first, &a->last) <= 0 ||
	       (addr_next(&behind) && addr_equal(&behind, &b->first));
}

size_t nft_ranges_from_prefixes(const struct prefix *prefixes, size_t n,
				struct plan_range *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		prefix_range(&prefixes[i], &ret[i].first, &ret[i].last);
	qsort(ret, n, sizeof(*ret), compare_ranges);
	for (size_t i = 0; i < n; i++) {
		struct plan_range *last = count ? &ret[count - 1] : NULL;

		if (!last || !joins(last, &ret[i]))
			ret[count++] = ret[i];
		else if (addr_compare(&ret[i].last, &last->last) > 0)
			last->last = ret[i].last;
	}
	return count;
}

bool nft_ranges_have(const struct plan_range *ranges, size_t n,
		     enum nft_family f)
{
	for (size_t i = 0; i < n; i++) {
		if (family_of(&ranges[i]) == f)
			return true;
	}
	return false;
}

static const uint8_t *key_of(const struct addr *a, enum nft_family f)
{
	return a->b + sizeof(a->b) - nft_families[f].addr_len;
}

/* The last address of its family. */
static bool is_last(const struct addr *a, enum nft_family f)
{
	static const uint8_t ones[16] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};

	return memcmp(key_of(a, f), ones, nft_families[f].addr_len) == 0;
}

static void add_range(struct nft_elems *e, const struct plan_range *r,
		      enum nft_family f, bool intervals)
{
	uint8_t len = nft_families[f].addr_len;
	struct addr behind = r->last;

	nft_elems_together(e, 2);
	nft_elem(e, key_of(&r->first, f), len, 0, 0);
	if (!intervals || is_last(&behind, f))
		return;
	(void)addr_next(&behind); /* there is one: not the last */
	nft_elem(e, key_of(&behind, f), len, NFT_SET_ELEM_INTERVAL_END, 0);
}

static void add_family(struct nft_batch *b, const char *table, const char *name,
		       const struct plan_range *ranges, size_t n,
		       enum nft_family f)
{
	struct nft_set_spec spec = {
		.table = table,
		.name = name,
		.key_type = nft_families[f].key_type,
		.key_len = nft_families[f].addr_len,
		.flags = NFT_SET_CONSTANT,
	};
	struct nft_elems e;
	bool intervals = false;
	uint32_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (family_of(&ranges[i]) != f)
			continue;
		count++;
		if (!addr_equal(&ranges[i].first, &ranges[i].last))
			intervals = true;
	}
	if (!count)
		return;
	if (intervals)
		spec.flags |= NFT_SET_INTERVAL;
	else
		spec.size = count;
	nft_add_set(b, &spec);
	e = nft_elems_begin(b, NFT_MSG_NEWSETELEM, table, name);
	for (size_t i = 0; i < n; i++) {
		if (family_of(&ranges[i]) == f)
			add_range(&e, &ranges[i], f, intervals);
	}
	nft_elems_end(&e);
}

void nft_add_ranges(struct nft_batch *b, const char *table, const char *stem,
		    const struct plan_range *ranges, size_t n)
{
	char name[NFT_NAME_SIZE];

	for (enum nft_family f = NFT_V4; f < NFT_FAMILIES; f++)
		add_family(b, table, nft_set_name(stem, f, name), ranges, n, f);
}

/* ---- elements ---- */

struct nft_elems nft_elems_begin(struct nft_batch *b, uint16_t type,
				 const char *table, const char *set)
{
	return (struct nft_elems){
		.batch = b,
		.table = table,
		.set = set,
		.type = type,
		.flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
		.max = ELEMS_MSG_MAX,
	};
}

void nft_elems_end(struct nft_elems *e)
{
	if (!e->nlh)
		return;
	mnl_attr_nest_end(e->nlh, e->nest);
	batch_msg_end(e->batch, e->nlh);
	e->nlh = NULL;
}

void nft_elems_together(struct nft_elems *e, unsigned n)
{
	if (e->nlh && e->nlh->nlmsg_len + n * ELEM_MAX > e->max)
		nft_elems_end(e);
	if (e->nlh)
		return;
	e->nlh = batch_msg(e->batch, e->type, e->flags, e->max);
	if (!e->nlh)
		return;
	mnl_attr_put_strz(e->nlh, NFTA_SET_ELEM_LIST_TABLE, e->table);
	mnl_attr_put_strz(e->nlh, NFTA_SET_ELEM_LIST_SET, e->set);
	e->nest = mnl_attr_nest_start(e->nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
}

void nft_elem(struct nft_elems *e, const void *key, size_t len, uint32_t flags,
	      uint64_t timeout_ms)
{
	struct nlattr *elem, *nest;

	nft_elems_together(e, 1);
	if (!e->nlh)
		return;
	elem = mnl_attr_nest_start(e->nlh, NFTA_LIST_ELEM);
	if (flags)
		mnl_attr_put_u32(e->nlh, NFTA_SET_ELEM_FLAGS, htonl(flags));
	if (timeout_ms)
		mnl_attr_put_u64(e->nlh, NFTA_SET_ELEM_TIMEOUT,
				 htobe64(timeout_ms));
	nest = mnl_attr_nest_start(e->nlh, NFTA_SET_ELEM_KEY);
	mnl_attr_put(e->nlh, NFTA_DATA_VALUE, len, key);
	mnl_attr_nest_end(e->nlh, nest);
	mnl_attr_nest_end(e->nlh, elem);
}
