/* faulty.c - the helper with a kernel that refuses one policy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linked with --wrap=nft_load_pins: what keeper asks for comes here first.
 * The first policy that allows 203.0.113.77 and not 203.0.113.78 is refused.
 */
#include <errno.h>

#include "core/sys/nft.h"

int __real_nft_load_pins(struct nft *n, const struct plan *plan,
			 const struct nft_pins *pins, struct err *err);
int __wrap_nft_load_pins(struct nft *n, const struct plan *plan,
			 const struct nft_pins *pins, struct err *err);

static bool allows(const struct plan *plan, const char *text)
{
	struct addr a;

	if (!addr_parse(&text, &a))
		return false;
	for (size_t i = 0; i < plan->nallow; i++) {
		const struct plan_group *g = &plan->allow[i];

		for (size_t k = 0; k < g->nranges; k++)
			if (addr_compare(&a, &g->ranges[k].first) >= 0 &&
			    addr_compare(&a, &g->ranges[k].last) <= 0)
				return true;
	}
	return false;
}

int __wrap_nft_load_pins(struct nft *n, const struct plan *plan,
			 const struct nft_pins *pins, struct err *err)
{
	static bool refused;

	if (refused || !allows(plan, "203.0.113.77") ||
	    allows(plan, "203.0.113.78"))
		return __real_nft_load_pins(n, plan, pins, err);
	refused = true;
	return err_sys(err, ENOSPC, "nftables: add rule", "a test");
}
