/* fuzz_audit.c - audit events as messages, and the lines made from them
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "core/audit/audit.h"
#include "tests/fuzz/fuzz.h"

/* One line, without a byte that a terminal would obey. */
static void check_line(const struct sbuf *line)
{
	assert(line->len <= AUDIT_LINE_MAX && line->s[line->len - 1] == '\n');
	for (size_t i = 0; i < line->len - 1; i++) {
		uint8_t c = (uint8_t)line->s[i];

		assert(c >= 0x20 && c != 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audit_event e;
	struct sbuf line, body;

	if (!audit_decode(data, size, &e))
		return 0;
	sbuf_init(&line, AUDIT_LINE_MAX);
	sbuf_init(&body, size);
	assert(audit_format(&e, &line) == 0);
	check_line(&line);
	audit_encode(&e, &body);
	assert(!body.bad && body.len == size);
	assert(memcmp(body.s, data, size) == 0);
	sbuf_done(&line);
	sbuf_done(&body);
	return 0;
}
