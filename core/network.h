/* network.h - from options to compiled policies, and what bounds them
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_NETWORK_H
#define EXEAT_CORE_NETWORK_H

#include "core/session.h"

struct policy_file;

struct compiled {
	void *image; /* NULL: the policy is borrowed */
	struct policy *policy;
};

void compiled_done(struct compiled *c);
/* The view of an image that is there; on failure nothing of it is left. */
int compiled_view(struct compiled *c, size_t len, struct err *err);

/* A list without a mode means allowlist. */
int network_parse(const char *mode, const char *const *allow,
		  struct network *ret, struct err *err);
/* What a policy option struct says; of a file that it names, what has no place
 * in settings is left in *file: policy_file_done(), also after an error. */
int settings_from_policy(struct settings *ret,
			 const struct exeat_policy_options *o,
			 struct policy_file *file, struct err *err);
void settings_done(struct settings *t);

/* The settings with this mode and list; ret_env, ret_files (of presets) may be
 * NULL. */
int network_compile(const struct exeat_session *s, const struct settings *t,
		    enum policy_mode mode, const struct list *allow,
		    const struct budgets *budgets, struct list *ret_env,
		    struct list *ret_files, struct compiled *ret,
		    struct err *err);
/* The settings as they are. */
int settings_compile(const struct exeat_session *s, const struct settings *t,
		     struct list *ret_env, struct list *ret_files,
		     struct compiled *ret, struct err *err);

/* 0, or ERR_POLICY that names the rule. A NULL bound bounds nothing. */
int policy_check_bound(const struct policy *bound, const struct policy *policy,
		       struct err *err);

#endif
