/* budget.h - what the other files here ask about budgets
 * SPDX-License-Identifier: Apache-2.0
 *
 * Inside policy/ only.
 */
#ifndef EXEAT_POLICY_BUDGET_H
#define EXEAT_POLICY_BUDGET_H

#include "policy/policy.h"

/* The budget whose name is this allow rule's text; POLICY_NO_RULE: none. */
uint32_t policy_budget_of_rule(const struct policy *p, const char *rule);

#endif
