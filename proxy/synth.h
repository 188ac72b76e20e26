/* synth.h - addresses that stand for names which nobody here can resolve
 * SPDX-License-Identifier: Apache-2.0
 *
 * 198.18.0.0/15 is for benchmarks (RFC 2544) and routed nowhere, so a program
 * can be given one of its addresses for a name that only the caller's own
 * proxy can resolve. One table for each posture. A name keeps its address; at
 * LIMIT_SYNTH the one that was asked for the longest time ago gives it up.
 */
#ifndef EXEAT_PROXY_SYNTH_H
#define EXEAT_PROXY_SYNTH_H

#include <stdbool.h>

#include "core/base/addr.h"

struct synth;

int synth_new(struct synth **ret); /* 0 or -errno */
void synth_free(struct synth *s);

bool synth_is(const struct addr *a);

/*
 * The address of a name, made if there is none. *ret_old: the name that had it
 * before and has it no more, or NULL; heap, the caller's. 0 or -ENOMEM.
 */
int synth_get(struct synth *s, const char *name, struct addr *ret,
	      char **ret_old);
/* NULL: it stands for nothing. Borrowed until the next synth_get(). */
const char *synth_name(const struct synth *s, const struct addr *a);

#endif
