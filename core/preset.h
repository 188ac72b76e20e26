/* preset.h - presets in action: reading settings, asking the tools
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_PRESET_H
#define EXEAT_CORE_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"
#include "policy/policy.h"

struct preset_set {
	struct policy_preset *presets;	/* for policy_spec */
	size_t npresets;
	char **env;			/* "K=V" to hand in; NULL-terminated */
	char **files;			/* CA files to show inside */
};

/*
 * Resolve every "@name" in the lists (NULL-terminated, either may be NULL).
 * Settings come from the caller's environment, user and system files, never
 * from a work dir or venv; a tool is asked once, started in "/", and its
 * answer is kept in $XDG_CACHE_HOME/exeat until a watched setting changes.
 * ERR_INVALID: unknown preset (lists the known), a deny-only one in `allow`;
 * ERR_UNAVAILABLE: the tool is not installed or says nothing usable.
 */
int preset_set_make(const char *const *allow, const char *const *deny,
		    bool with_credentials, struct preset_set *ret,
		    struct err *err);
void preset_set_done(struct preset_set *s);

#endif
