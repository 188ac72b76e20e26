/* fuzz_filter.c - a client's bytes pass alike however they are cut
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte of the input is what the port may carry, the second the
 * size of the pieces. Every name is allowed.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/filter.h"
#include "tests/fuzz/fuzz.h"

struct outcome {
	size_t passed;
	unsigned asked;
	uint32_t names; /* a digest of them, in order */
	bool refused;
	bool admitted;
};

static void asked(struct outcome *o, const struct filter *f)
{
	/* that HTTP/2 begins without a request is a matter of time */
	if (f->h2 && !f->name[0])
		return;
	o->asked++;
	for (const char *p = f->name; *p; p++)
		o->names = o->names * 31 + (uint8_t)*p;
	o->names = o->names * 31 + (uint32_t)f->learnt;
}

static struct outcome run(enum policy_carry carry, const uint8_t *data,
			  size_t size, size_t piece)
{
	static struct filter f;
	struct outcome o = { 0 };
	size_t end = 0;

	filter_init(&f, carry);
	while (end < size && !o.refused) {
		enum filter_step s;

		end = size - end < piece ? size : end + piece;
		do {
			size_t pass, window = end - o.passed;

			s = filter_client(&f, data + o.passed, window, &pass);
			assert(pass <= window);
			assert(s != FILTER_PASS || pass == window);
			o.passed += pass;
			o.refused = s == FILTER_REFUSE;
			if (s == FILTER_ASK) {
				asked(&o, &f);
				filter_allowed(&f);
			}
		} while (s == FILTER_ASK);
	}
	o.admitted = f.admitted;
	filter_done(&f);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum policy_carry carries[] = { POLICY_CARRY_ANY,
						     POLICY_CARRY_TLS,
						     POLICY_CARRY_HTTP,
						     POLICY_CARRY_PINNED };
	struct outcome whole, cut;
	enum policy_carry carry;
	size_t piece;

	if (size < 2)
		return 0;
	carry = carries[data[0] & 3];
	piece = data[1] % 64 + 1u;
	data += 2;
	size -= 2;
	/* cut pieces are read again and again while they are held */
	if (size > 4096)
		size = 4096;
	whole = run(carry, data, size, size + 1);
	cut = run(carry, data, size, piece);
	assert(whole.refused == cut.refused);
	assert(whole.asked == cut.asked && whole.names == cut.names);
	/* a pause where HTTP/2 names nobody yet admits what no pause holds */
	assert(whole.refused || whole.passed == cut.passed ||
	       (cut.admitted && !whole.admitted));
	return 0;
}
