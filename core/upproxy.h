/* upproxy.h - the caller's own proxy: what needs no session
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_UPPROXY_H
#define EXEAT_CORE_UPPROXY_H

#include <stddef.h>

#include "core/base/err.h"

struct policy;

/* The exceptions: the image, and a view of it. */
struct upproxy_direct {
	void *image;
	size_t len;
	struct policy *policy; /* of mode open, its deny rules go direct */
};

/* `rules`: NULL-terminated, or NULL. `work_dir`: whose settings presets do not
 * trust, or NULL. On failure nothing is left. */
int upproxy_direct_compile(const char *work_dir, const char *const *rules,
			   size_t n, struct upproxy_direct *ret,
			   struct err *err);
void upproxy_direct_done(struct upproxy_direct *d);

#endif
