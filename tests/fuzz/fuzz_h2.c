/* fuzz_h2.c - a client of HTTP/2: frames and header blocks
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte of the input is the size of the pieces; the preface and the
 * client's settings stand before the rest.
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/h2.h"
#include "tests/fuzz/fuzz.h"

struct outcome {
	unsigned requests;
	uint32_t names; /* a digest of them, in order */
	size_t taken;
	bool bad;
};

static void take_request(struct outcome *o, const struct h2_request *r)
{
	char canonical[LIMIT_NAME + 1];

	o->requests++;
	for (const char *p = r->name; *p; p++)
		o->names = o->names * 31 + (uint8_t)*p;
	o->names = o->names * 31 + r->connect * 2u + r->literal;
	assert(!r->literal || !r->name[0]);
	assert(!r->name[0] ||
	       (name_canonical(r->name, strlen(r->name), canonical) &&
		strcmp(canonical, r->name) == 0));
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece)
{
	struct h2 *h = h2_new(false);
	struct outcome o = { 0 };
	size_t end = 0;

	assert(h);
	while (end < size && !o.bad) {
		struct h2_request r;
		const char *why = NULL;
		enum h2_status s;

		end = size - end < piece ? size : end + piece;
		do {
			size_t n = 0;

			s = h2_feed(h, data + o.taken, end - o.taken, &n, &r,
				    &why);
			o.bad = s == H2_BAD;
			assert(!o.bad || why);
			assert(n <= end - o.taken);
			o.taken += n;
			if (s == H2_REQUEST)
				take_request(&o, &r);
		} while (s == H2_REQUEST);
	}
	h2_free(h);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0\0";
	static uint8_t all[8192];
	size_t n = sizeof(begin) - 1, piece;
	struct outcome whole, cut;

	if (size < 1)
		return 0;
	piece = data[0] % 64 + 1u;
	data++;
	size--;
	if (size > sizeof(all) - n)
		size = sizeof(all) - n;
	memcpy(all, begin, n);
	memcpy(all + n, data, size);
	whole = run(all, n + size, n + size);
	cut = run(all, n + size, piece);
	assert(whole.bad == cut.bad && whole.requests == cut.requests);
	assert(whole.names == cut.names);
	assert(whole.bad || whole.taken == cut.taken);
	return 0;
}
