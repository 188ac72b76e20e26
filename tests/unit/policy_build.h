/* policy_build.h - a policy from two lists of texts, for tests
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_POLICY_BUILD_H
#define EXEAT_TESTS_POLICY_BUILD_H

#include <stdlib.h>

#include "policy/policy.h"

/* Image and view; `p` is NULL if the compiler refused. */
struct built {
	void *image;
	size_t len;
	struct policy *p;
	struct err err;
};

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline struct built build_spec(struct policy_spec *spec,
				      const char *const *allow,
				      const char *const *deny)
{
	struct built b = { 0 };

	for (spec->allow = allow; allow && allow[spec->nallow];)
		spec->nallow++;
	for (spec->deny = deny; deny && deny[spec->ndeny];)
		spec->ndeny++;
	if (policy_compile(spec, &b.image, &b.len, &b.err) == 0 &&
	    policy_new(b.image, b.len, &b.p) != 0)
		abort();
	return b;
}

static inline struct built
build(enum policy_mode mode, const char *const *allow, const char *const *deny)
{
	struct policy_spec spec = { .mode = mode };

	return build_spec(&spec, allow, deny);
}

static inline void built_done(struct built *b)
{
	policy_free(b->p);
	free(b->image);
}

#endif
