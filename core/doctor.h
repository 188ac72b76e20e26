/* doctor.h - between doctor.c and its probes
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_DOCTOR_H
#define EXEAT_CORE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"
#include "core/identity.h"

/* What a probe found; travels over a pipe as it is. */
struct finding {
	int r;		/* 0, or -errno with err */
	bool only_warn; /* not there, and sessions work without it */
	struct err err;
	char detail[256];
};

struct probe {
	const char *name;
	void (*run)(const struct identity *id, struct finding *ret);
	/* In a throw-away child: in namespaces like the keeper's if `inside`,
	 * else as the caller is. */
	bool inside;
	bool root_only;
};

/* What the kernel has to give; the first one is what the `inside` ones need. */
extern const struct probe doctor_kernel_probes[];
extern const size_t doctor_kernel_nprobes;

/* Run one in a child of its own. */
void doctor_run(const struct probe *p, const struct identity *id,
		struct finding *ret);

#endif
