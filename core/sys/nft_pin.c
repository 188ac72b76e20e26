/* nft_pin.c - pins: addresses that the kernel lets pass for a name
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A pin is renewed by adding, deleting and adding it again in one
 * transaction: the first makes sure that there is something to delete, the
 * last sets the time anew on every kernel. Packets see the old element until
 * they see the new one.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "core/sys/nft_private.h"
#include "core/sys/nft_set.h"

enum {
	PIN_PORTS = 16, /* of one pin that is no class */
	ELEMENT_MSG_MAX = 256, /* bytes of a message with one element */
};

/* A table that takes pins, and the wide ranges that it has sets for. */
struct pin_place {
	const char *table;
	const struct plan_pin_class *classes;
	size_t nclasses;
	bool empty; /* there is nothing to renew */
};

bool nft_takes_pins(const struct plan *plan)
{
	return plan->mode != POLICY_BLOCKED &&
	       (plan->names || plan->npin_classes);
}

size_t nft_small_room(const struct nft *n)
{
	return n->room < NFT_PINS_BATCH ? n->room : NFT_PINS_BATCH;
}

static void put_element(struct nft_batch *b, uint16_t type, const char *table,
			const char *set, const void *key, size_t len,
			uint64_t timeout_ms)
{
	struct nft_elems e = nft_elems_begin(b, type, table, set);

	e.max = ELEMENT_MSG_MAX;
	nft_elem(&e, key, len, 0, timeout_ms);
	nft_elems_end(&e);
}

static void put_key(struct nft_batch *b, const struct pin_place *to,
		    const char *set, const void *key, size_t len,
		    uint64_t timeout_ms)
{
	const char *table = to->table;

	/* Never a moment without it. */
	batch_reserve(b, 3 * ELEMENT_MSG_MAX);
	put_element(b, NFT_MSG_NEWSETELEM, table, set, key, len, timeout_ms);
	if (to->empty)
		return;
	put_element(b, NFT_MSG_DELSETELEM, table, set, key, len, 0);
	put_element(b, NFT_MSG_NEWSETELEM, table, set, key, len, timeout_ms);
}

static bool find_class(const struct pin_place *in, const struct nft_pin *pin,
		       size_t *ret)
{
	for (size_t i = 0; i < in->nclasses; i++) {
		if (in->classes[i].proto == pin->proto &&
		    in->classes[i].range.lo == pin->range.lo &&
		    in->classes[i].range.hi == pin->range.hi) {
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

static void put_pin(struct nft_batch *b, const struct pin_place *to,
		    const struct nft_pin *pin, uint64_t timeout_ms)
{
	enum nft_family f = addr_is_v4(&pin->addr) ? NFT_V4 : NFT_V6;
	size_t len = nft_families[f].addr_len, class;
	char set[NFT_NAME_SIZE], stem[NFT_NAME_SIZE];
	uint8_t key[24];

	if (find_class(to, pin, &class)) {
		nft_class_stem(class, stem);
		return put_key(b, to, nft_set_name(stem, f, set),
			       pin->addr.b + sizeof(pin->addr.b) - len, len,
			       timeout_ms);
	}
	nft_set_name(NFT_SET_PIN, f, set);
	for (unsigned p = pin->range.lo; p <= pin->range.hi; p++) {
		size_t size = pin_key(pin, f, p, key);

		put_key(b, to, set, key, size, timeout_ms);
	}
}

static bool pin_valid(const struct pin_place *to, const struct nft_pin *pin)
{
	size_t class;

	if (pin->proto != RULE_TCP && pin->proto != RULE_UDP)
		return false;
	if (pin->range.lo == 0 || pin->range.lo > pin->range.hi)
		return false;
	return pin->range.hi - pin->range.lo < PIN_PORTS ||
	       find_class(to, pin, &class);
}

static int check_pins(const struct pin_place *to, const struct nft_pins *pins,
		      struct err *err)
{
	for (size_t i = 0; i < pins->n; i++) {
		const struct nft_pin *pin = &pins->list[i];

		if (!pin_valid(to, pin))
			return err_new(err, ERR_INVALID, "pin", to->table,
				       "ports %u-%u are no class of the plan",
				       pin->range.lo, pin->range.hi);
	}
	return 0;
}

static void put_pins(struct nft_batch *b, const struct pin_place *to,
		     const struct nft_pins *pins)
{
	for (size_t i = 0; i < pins->n; i++)
		put_pin(b, to, &pins->list[i], (uint64_t)pins->ttl_s * 1000);
}

void nft_build_pins(struct nft_batch *b, const char *table,
		    const struct plan *plan, const struct nft_pins *pins)
{
	const struct pin_place to = {
		.table = table,
		.classes = plan->pin_classes,
		.nclasses = plan->npin_classes,
		.empty = true,
	};

	if (pins->n == 0)
		return;
	if (!nft_takes_pins(plan) || pins->ttl_s == 0 ||
	    check_pins(&to, pins, NULL))
		return batch_fail(b, EINVAL, "load nftables", "pins");
	put_pins(b, &to, pins);
}

int nft_pin(struct nft *n, const struct nft_pin *list, size_t npins,
	    unsigned ttl_s, struct err *err)
{
	const struct nft_pins pins = { list, npins, ttl_s };
	const struct pin_place to = {
		.table = n->table,
		.classes = n->classes,
		.nclasses = n->nclasses,
	};
	struct nft_batch b;
	int r;

	if (!n->pins || ttl_s == 0)
		return err_new(err, ERR_INVALID, "pin", n->table,
			       "the posture takes no pins");
	r = check_pins(&to, &pins, err);
	if (r)
		return r;
	batch_init(&b, n->fd, &n->seq, nft_small_room(n));
	put_pins(&b, &to, &pins);
	r = batch_commit(&b, err);
	batch_done(&b);
	return r;
}
