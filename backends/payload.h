/* payload.h - from a fork of the run's first process to the command
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_BACKENDS_PAYLOAD_H
#define EXEAT_BACKENDS_PAYLOAD_H

#include <stdint.h>

#include "backends/backend.h"
#include "core/sys/command.h"

/* What the payload says through its pipe when it cannot start. */
struct payload_failure {
	struct err err;
	uint32_t exit_code; /* 127, 126, 125; 0: killed before it began */
};

/*
 * In a child of its own: confine this process, wait for the command on
 * `control`, execute it. `report` is a close-on-exec pipe: it ends silently
 * when exec has succeeded, or when the keeper is gone. Does not return.
 */
_Noreturn void payload_main(const struct backend_spec *spec,
			    struct chan *control, int report);

#endif
