/* fuzz_backend.c - what a run's first process says of a failure
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "backends/backend.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_make(data, size);
	uint32_t exit_code;
	struct err err;
	struct sbuf b;

	if (!backend_get_failed(&r, &err, &exit_code))
		return 0;
	assert(err.code > ERR_NONE && err.code <= ERR_INTERNAL);
	sbuf_init(&b, size + 1);
	backend_put_failed(&b, &err, exit_code);
	assert(!b.bad && b.len == size && memcmp(b.s, data, size) == 0);
	sbuf_done(&b);
	return 0;
}
