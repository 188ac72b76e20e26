/* fuzz_verify.c - a file that says it is an audit
 * SPDX-License-Identifier: Apache-2.0
 *
 * However it is cut into pieces, the same comes out.
 */
#include <stdlib.h>
#include <string.h>

#include "core/audit/verify.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	uint64_t faults, sessions, records;
	enum audit_state worst;
};

static void on_fault(void *user, const struct audit_fault *f)
{
	struct seen *seen = user;

	assert(f->line > 0 && *f->reason && f->state != AUDIT_WHOLE);
	seen->faults++;
	if (f->state > seen->worst)
		seen->worst = f->state;
}

static void on_session(void *user, const struct audit_session *s)
{
	struct seen *seen = user;

	assert(*s->id && strlen(s->hash) == 64 && s->records > 0);
	seen->sessions++;
	seen->records += s->records;
}

static struct audit_totals verify(const uint8_t *data, size_t size, size_t step)
{
	struct seen seen = { 0 };
	const struct audit_hooks hooks = { &seen, on_fault, on_session };
	struct audit_verify *v = audit_verify_new(&hooks);
	struct audit_totals t;

	assert(v);
	for (size_t at = 0; at < size; at += step)
		assert(audit_verify_bytes(v, data + at,
					  size - at < step ? size - at :
							     step) == 0);
	assert(audit_verify_end(v, &t) == 0);
	assert(t.faults == seen.faults && t.sessions == seen.sessions);
	assert(t.records == seen.records);
	/* whole is what has no fault, and something in it */
	assert(t.state ==
	       (t.sessions || seen.worst ? seen.worst : AUDIT_UNTOLD));
	audit_verify_free(v);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audit_totals once = verify(data, size, size ? size : 1);
	struct audit_totals pieces = verify(data, size, 7);

	assert(once.state == pieces.state && once.lines == pieces.lines);
	assert(once.faults == pieces.faults && once.lost == pieces.lost);
	return 0;
}
