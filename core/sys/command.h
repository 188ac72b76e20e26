/* command.h - what to execute, as one message body
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoded by the caller's library, forwarded unread by the keeper, decoded
 * by the process that becomes the payload.
 */
#ifndef EXEAT_SYS_COMMAND_H
#define EXEAT_SYS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct command {
	const char *const *argv; /* NULL-terminated, argv[0] set */
	const char *const *envp; /* complete environment */
	const char *cwd;	 /* absolute, inside the view */
	bool new_session;	 /* setsid(); with a tty: TIOCSCTTY */
	uint8_t tty;		 /* a terminal of the run's own instead of
				  * what comes with the message */
	uint16_t rows, cols;	 /* its size */
	uint64_t rlimit_fsize, rlimit_nofile,
		rlimit_core; /* UINT64_MAX: keep */
	uint64_t rlimit_as, rlimit_nproc; /* 0: keep */
	uint32_t cpus; /* how many processors it may be on; 0: all */
};

void command_encode(const struct command *c, struct sbuf *ret);
/* Borrow from the body; argv and envp arrays are heap: command_done(). */
int command_decode(const void *body, size_t len, struct command *ret);
void command_done(struct command *c);

#endif
