/* budgets.c - the budgets of options and files, before they are compiled
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/budgets.h"

#include <errno.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/base/num.h"

static const char *const option_names[POLICY_WAYS] = { "max_upload",
						       "max_download" };

void budgets_free(struct budgets *b)
{
	policy_budgets_free(b->all, b->n);
	*b = (struct budgets){ 0 };
}

static int add_one(struct budgets *b, const char *text, enum policy_way way,
		   struct err *err)
{
	const char *option = option_names[way];
	const char *equals = strrchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	char name[LIMIT_RULE_TEXT] = "";
	struct rule_error e;
	struct rule r;
	uint64_t max;
	int rc;

	if (len == 0 || len >= sizeof(name) || !num_size(equals + 1, &max) ||
	    max == 0)
		return err_new(err, ERR_INVALID, option, text,
			       "NAME=SIZE was expected, the size above 0: "
			       "bytes, or with K, M, G");
	memcpy(name, text, len);
	if (rule_parse(name, RULE_ALLOW, &r, &e) &&
	    rule_parse(name, RULE_DENY, &r, &e))
		return err_new(err, ERR_INVALID, option, text,
			       "at byte %zu: %s", e.position, e.message);
	rc = policy_budget_add(&b->all, &b->n, name, way, max);
	if (rc == -E2BIG)
		return err_new(err, ERR_LIMIT, option, text,
			       "more than %d budgets", LIMIT_BUDGETS);
	return rc < 0 ? err_sys(err, -rc, "copy", "%s", option) : 0;
}

int budgets_add_options(struct budgets *b, const char *const *up,
			const char *const *down, struct err *err)
{
	const char *const *const texts[POLICY_WAYS] = { up, down };

	for (enum policy_way way = POLICY_UP; way < POLICY_WAYS; way++) {
		for (size_t i = 0; texts[way] && texts[way][i]; i++) {
			int r = add_one(b, texts[way][i], way, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int budgets_add(struct budgets *b, const struct policy_budget *all, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		for (enum policy_way way = POLICY_UP;
		     r == 0 && way < POLICY_WAYS; way++) {
			if (all[i].max[way] > 0)
				r = policy_budget_add(&b->all, &b->n,
						      all[i].name, way,
						      all[i].max[way]);
		}
	}
	return r;
}

int budgets_add_policy(struct budgets *b, const struct policy *p)
{
	size_t n = p ? policy_nbudgets(p) : 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct policy_budget one = {
			.name = policy_budget_text(p, i),
			.max = { policy_budget_max(p, i, POLICY_UP),
				 policy_budget_max(p, i, POLICY_DOWN) },
		};

		r = budgets_add(b, &one, 1);
	}
	return r;
}

int budgets_check(const struct budgets *b, const struct policy *p,
		  struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct policy_budget *one = &b->all[i];
		enum policy_way way = one->max[POLICY_UP] ? POLICY_UP :
							    POLICY_DOWN;

		if (!policy_budget_fits(p, one->name))
			return err_new(err, ERR_INVALID, option_names[way],
				       one->name,
				       "neither an allow rule nor a host that "
				       "one allows");
	}
	return 0;
}
