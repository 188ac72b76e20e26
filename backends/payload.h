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
	uint32_t exit_code;	/* 127, 126, 125 */
};

/*
 * In a child of its own: confine this process and execute the command. The
 * descriptors 0-2 of the command are fds[0..2]. `report` is a close-on-exec
 * pipe: it ends silently when exec has succeeded. Does not return.
 */
_Noreturn void payload_exec(const struct backend_spec *spec,
			    const struct command *command, const int fds[3],
			    int report);

#endif
