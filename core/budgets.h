/* budgets.h - the budgets of options and files, before they are compiled
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_BUDGETS_H
#define EXEAT_CORE_BUDGETS_H

#include "core/base/err.h"
#include "policy/policy.h"

/* Zero-initialised is empty. */
struct budgets {
	struct policy_budget *all;
	size_t n;
};

void budgets_free(struct budgets *b);
/*
 * Add the options of this name, "NAME=SIZE" each; NULL: none. ERR_INVALID:
 * step is the option's name, object the text.
 */
int budgets_add_options(struct budgets *b, const char *const *up,
			const char *const *down, struct err *err);
/* Add those of a compiled policy: NULL has none. 0 or -errno. */
int budgets_add_policy(struct budgets *b, const struct policy *p);
/* Add a copy of another list. */
int budgets_add(struct budgets *b, const struct policy_budget *all, size_t n);
/* Does each belong to the policy (policy_budget_fits())? ERR_INVALID. */
int budgets_check(const struct budgets *b, const struct policy *p,
		  struct err *err);

#endif
