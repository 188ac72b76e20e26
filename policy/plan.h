/* plan.h - does a policy fit the kernel plan?
 * SPDX-License-Identifier: Apache-2.0
 *
 * Inside policy/ only; the plan itself is in policy.h.
 */
#ifndef EXEAT_POLICY_PLAN_H
#define EXEAT_POLICY_PLAN_H

#include <stdbool.h>

struct policy;

enum {
	/* names are pinned port by port up to here, as a class above it */
	PLAN_PIN_PORTS = 16,
};

/* At most LIMIT_PORT_GROUPS groups a side, and as many pin classes. */
bool plan_fits(const struct policy *p);

#endif
