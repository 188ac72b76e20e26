/* lint.h - rules that open more than they seem to
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_POLICY_LINT_H
#define EXEAT_POLICY_LINT_H

#include "policy/policy.h"

struct policy_warning {
	uint32_t rule;
	const char *reason, *advice;	/* borrowed for the call */
};

/*
 * Each warning about a rule of the allow-list, in its order: known ways out
 * (drains.json) that no budget bounds, wildcards under which anybody can have
 * a name, wide ranges, all ports. Returns their number, or -errno.
 */
int policy_lint(const struct policy *p,
		void (*each)(void *user, const struct policy_warning *w),
		void *user);

/* policy/drains.json, compiled in. */
extern const char policy_drains[];

#endif
