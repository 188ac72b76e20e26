/* fuzz_command.c - the command of a run, as it comes to the stub
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "core/base/limits.h"
#include "core/sys/command.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command c;
	struct sbuf b;

	if (command_decode(data, size, &c) < 0)
		return 0;
	assert(c.argv[0] && c.cwd[0] == '/');
	/* one command has one form */
	sbuf_init(&b, LIMIT_ARGS_BYTES);
	command_encode(&c, &b);
	assert(!b.bad && b.len == size && memcmp(b.s, data, size) == 0);
	sbuf_done(&b);
	command_done(&c);
	return 0;
}
