/* preset.h - presets in action: reading settings, asking the tools
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_PRESET_H
#define EXEAT_CORE_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"
#include "core/list.h"
#include "policy/policy.h"

struct preset_set {
	struct policy_preset *presets; /* for policy_spec */
	size_t npresets;
	struct list env;   /* "K=V" to hand in */
	struct list files; /* CA files to show inside */
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

/*
 * The same for a session in `work_dir`: nothing below it is believed (a
 * payload of an earlier session could have written it), neither settings nor
 * the user's presets, nor a cached answer, nor a program found there. A
 * setting that only the tool knows, and whose file lies there, is
 * ERR_UNAVAILABLE.
 *
 * A tool that is asked is a child of this process, reaped here by its pid: the
 * one case in which the caller may see a SIGCHLD.
 */
int preset_set_make_for(const char *work_dir, const char *const *allow,
			const char *const *deny, bool with_credentials,
			struct preset_set *ret, struct err *err);

/* One preset, on whichever side it may stand. */
int preset_set_make_one(const char *name, struct preset_set *ret,
			struct err *err);
/* What its data file says; *ret_title is heap. ERR_INVALID: unknown. */
int preset_describe(const char *name, char **ret_title, bool *ret_deny_only,
		    struct err *err);
/* The names of all presets, sorted: built in and the user's. Heap,
 * NULL-terminated. 0 or -ENOMEM. */
int preset_names(char ***ret);
void preset_names_free(char **names);

#endif
