/* payload.h - from a fork of the run's first process to the command
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_BACKENDS_PAYLOAD_H
#define EXEAT_BACKENDS_PAYLOAD_H

#include <stdint.h>

#include "backends/backend.h"
#include "core/base/msg.h"
#include "core/sys/command.h"

/* What the payload says through its pipe when it cannot start. */
struct payload_failure {
	struct err err;
	uint32_t exit_code; /* 127, 126, 125; 0: killed before it began */
};

/* What the payload and the process that starts it share, as all memory, until
 * it executes its command or ends. */
struct payload {
	const struct backend_spec *spec;
	struct chan *control;
	int report; /* a close-on-exec pipe */
	/* the payload's: */
	struct msg message;
	struct command command;
};

/* Before anything else. */
void payload_init(struct payload *p, const struct backend_spec *spec,
		  struct chan *control);

/*
 * In a child (process_share()) whose signals have their defaults: confine this
 * process, wait for the command on `control`, execute it. `report` ends
 * silently when exec has succeeded, or when the keeper is gone. Does not
 * return.
 */
int payload_main(void *payload);

/* Afterwards, in the process that started it: release what it left. */
void payload_left(struct payload *p);

#endif
