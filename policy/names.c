/* names.c - the words for modes, reasons and ways to learn a name
 * SPDX-License-Identifier: Apache-2.0
 *
 * They appear in policy files, audit records and refusals.
 */
#include <string.h>

#include "policy/policy.h"

static const char *const modes[] = {
	[POLICY_BLOCKED] = "blocked",
	[POLICY_ALLOWLIST] = "allowlist",
	[POLICY_OPEN] = "open",
};

static const char *const learnts[] = {
	[POLICY_NAME_NONE] = "none", [POLICY_NAME_DNS] = "dns",
	[POLICY_NAME_SNI] = "sni",   [POLICY_NAME_HOST] = "host",
	[POLICY_NAME_PIN] = "pin",   [POLICY_NAME_PROXY] = "proxy",
};

static const char *const reasons[] = {
	[POLICY_R_DEFAULT] = "default",
	[POLICY_R_RULE] = "rule",
	[POLICY_R_OPEN] = "open",
	[POLICY_R_DENY_RULE] = "deny_rule",
	[POLICY_R_GUARD] = "guard",
	[POLICY_R_PRIVATE] = "private",
	[POLICY_R_BLOCKED] = "blocked",
	[POLICY_R_NO_NAME] = "no_name",
	[POLICY_R_PROTOCOL] = "protocol",
	[POLICY_R_NOT_PINNED] = "not_pinned",
	[POLICY_R_MALFORMED] = "malformed",
	[POLICY_R_OWN] = "own_address",
	[POLICY_R_UPSTREAM] = "upstream_proxy",
	[POLICY_R_LIMIT] = "limit",
	[POLICY_R_BUDGET] = "budget",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *policy_mode_name(enum policy_mode mode)
{
	return (size_t)mode < COUNT(modes) ? modes[mode] : "?";
}

bool policy_mode_parse(const char *text, enum policy_mode *ret)
{
	for (size_t i = 0; i < COUNT(modes); i++) {
		if (strcmp(text, modes[i]) == 0) {
			*ret = (enum policy_mode)i;
			return true;
		}
	}
	return false;
}

const char *policy_learnt_name(enum policy_learnt l)
{
	return (size_t)l < COUNT(learnts) ? learnts[l] : "?";
}

const char *policy_reason_name(enum policy_reason r)
{
	return (size_t)r < COUNT(reasons) ? reasons[r] : "?";
}
