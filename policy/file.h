/* file.h - the policy file (JSON)
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_POLICY_FILE_H
#define EXEAT_POLICY_FILE_H

#include "policy/policy.h"
#include "policy/upproxy.h"

/* Everything owned; free with policy_file_done(). */
struct policy_file {
	bool has_mode;
	enum policy_mode mode;
	bool has_allow;			/* key present and not null */
	char **allow;
	size_t nallow;
	char **deny;
	size_t ndeny;
	bool require_names;
	enum policy_dns_refusal dns_refusal;
	struct policy_budget *budgets;	/* of rules, and by name */
	size_t nbudgets;
	struct upproxy upstream;	/* UPPROXY_NONE: none */
	char **direct;			/* deny rules: what goes direct */
	size_t ndirect;
	struct policy_file *ceiling;	/* network_ceiling, or NULL */
};

/*
 * Parse JSON text. Unknown keys, wrong types, a version other than 1,
 * trailing bytes, a bad rule: ERR_INVALID with "line L column C" and, where the
 * text is JSON, the path of the key ("network_allowlist[3]"); null is as if
 * the key were not there. A ceiling is such an object
 * too ("version" may be left out) and has no ceiling of its own. Presets are
 * not looked up here. *ret is filled only on success.
 */
int policy_file_parse(const char *text, size_t len, struct policy_file *ret,
		      struct err *err);
void policy_file_done(struct policy_file *f);

#endif
