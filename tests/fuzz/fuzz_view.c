/* fuzz_view.c - the file view of a session, as it comes to the keeper
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "core/sys/view.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_make(data, size);
	struct view v;
	struct sbuf b;

	if (view_decode(&r, &v) < 0)
		return 0;
	assert(!r.bad);
	for (size_t i = 0; i < v.nops; i++)
		assert(v.ops[i].path[0] == '/' && !v.ops[i].target);
	/* one view has one form; what follows it is somebody else's */
	sbuf_init(&b, size + 1);
	view_encode(&v, &b);
	assert(!b.bad && b.len == rbuf_pos(&r) &&
	       memcmp(b.s, data, b.len) == 0);
	sbuf_done(&b);
	view_done(&v);
	return 0;
}
