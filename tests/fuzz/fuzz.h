/* fuzz.h - what a fuzz target defines
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_FUZZ_FUZZ_H
#define EXEAT_FUZZ_FUZZ_H

#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/fd.h"

#ifdef NDEBUG
#error "a target's checks are assertions"
#endif

/*
 * Feed the bytes to the parser, and check by assert() what must hold for any
 * input (parse(format(x)) == x, bounds, nothing left open). Returns 0. Must
 * leave nothing behind: it is called again in the same process.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lowest free descriptor: the same before and after if none was left. */
static inline int fuzz_lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0), number = fd;

	fd_close(&fd);
	return number;
}

#endif
