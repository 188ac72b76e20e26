/* runs_fake.h - a machine without processes, namespaces and mounts
 * SPDX-License-Identifier: Apache-2.0
 *
 * A child is a channel and an eventfd in the place of its pidfd; a posture is a
 * number, whose network namespace is any descriptor.
 */
#ifndef EXEAT_FUZZ_RUNS_FAKE_H
#define EXEAT_FUZZ_RUNS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/msg.h"
#include "core/helper/keeper.h"

enum { FAKE_CHILDREN = 160 };

/* What stands for a process. */
struct child {
	struct chan chan; /* its end of `control` */
	int number;	  /* of the keeper's descriptor that is its pidfd */
	int life;	  /* the same, ours */
	int netns;	  /* that it was born into */
	bool dead;
	uint32_t run; /* whose command it got; 0: none */
	bool started, exited, raw, tty;
	uint32_t status;	 /* that it said first */
	unsigned stops, stopped; /* pauses that came, and were answered */
};

struct fake {
	struct child children[FAKE_CHILDREN];
	size_t nchildren;
	bool refuse; /* nothing can be made */
	int entered; /* the last network namespace */
};

extern struct fake fake;
/* Of the target: what is tried, and the posture of a run that was asked for. */
extern struct keeper keeper;
uint32_t runs_posture(uint32_t run);

/* It ends, and its pidfd says so. Nothing for one that has ended. */
void child_dies(struct child *c);

#endif
