/* nft.h - the kernel wall of one posture namespace
 * SPDX-License-Identifier: Apache-2.0
 *
 * libnftnl and libmnl, no text, no `nft` program. A struct nft owns a netlink
 * socket opened inside the namespace, so it works from wherever the keeper
 * is. Calls are synchronous: they return after the kernel's acknowledgement.
 */
#ifndef EXEAT_SYS_NFT_H
#define EXEAT_SYS_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "policy/policy.h"

struct nft;

/*
 * Open in the current network namespace. Closing may take some 20 ms when
 * pins were renewed just before: the kernel waits until the old elements are
 * gone (so it does for any NETLINK_NETFILTER socket).
 */
int nft_open(struct nft **ret, struct err *err);
void nft_free(struct nft *n);

/*
 * In a network namespace that the caller throws away: can the kernel do all
 * that the wall needs? ERR_UNAVAILABLE names the kernel option that is
 * missing and the module to load.
 */
int nft_probe(struct err *err);

/*
 * Load the guard table and the policy table for `plan`, in the order of rules
 * that core/README.md gives. Big sets are filled in chunks while nothing
 * refers to them; one small last batch puts the chains in force. After an
 * error nothing of it is in force (no payload may enter).
 *
 * A second call replaces the policy table in one transaction; after an error
 * the old one is still in force. The pins are those of the old policy and go
 * with it; live TCP connections stay. Counters go on.
 */
int nft_load(struct nft *n, const struct plan *plan, struct err *err);

struct nft_pin {
	struct addr addr;
	enum rule_proto proto;	 /* RULE_TCP or RULE_UDP */
	struct port_range range; /* one of the plan's pin classes, or
					 * at most 16 ports */
};

struct nft_pins {
	const struct nft_pin *list; /* borrowed */
	size_t n;
	unsigned ttl_s;
};

/* nft_load(), and these pins are in force with it, from the first packet. */
int nft_load_pins(struct nft *n, const struct plan *plan,
		  const struct nft_pins *pins, struct err *err);

/* Add pins, or renew those that are there, for ttl_s seconds. Before kernel
 * 6.12 adding an existing element leaves its timeout alone: delete and add,
 * in one batch, always. */
int nft_pin(struct nft *n, const struct nft_pin *list, size_t npins,
	    unsigned ttl_s, struct err *err);

/* Why the kernel refused: also the NFLOG prefix of each. */
enum nft_refusal {
	NFT_GUARD,
	NFT_DENY,
	NFT_PRIVATE,
	NFT_LIST,     /* no rule allows it; blocked */
	NFT_SOURCE,   /* a source that is not an own address */
	NFT_PROTOCOL, /* neither TCP nor UDP */
	NFT_REFUSALS
};

struct nft_counters {
	uint64_t packets[NFT_REFUSALS];
};
int nft_counters_get(struct nft *n, struct nft_counters *ret, struct err *err);

/* One packet of the kernel log. */
struct nflog_packet {
	enum nft_refusal why;
	uint8_t protocol;	  /* IP protocol number */
	struct endpoint src, dst; /* ports 0 if there are none */
};

/*
 * Parse one datagram of an NFLOG socket, aligned as struct nlmsghdr, and call
 * `on_packet` for every packet in it. The packet's bytes are the payload's:
 * nothing is trusted, and what cannot be read of them is zero. Returns the
 * count, or -EBADMSG.
 */
int nflog_parse(const void *data, size_t len,
		void (*on_packet)(void *user, const struct nflog_packet *p),
		void *user);

#endif
