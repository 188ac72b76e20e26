/* fuzz_addr.c - addresses and prefixes as text
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "tests/fuzz/fuzz.h"

static void check_addr(const char *text)
{
	const char *cursor = text, *again;
	struct addr a, b;
	char buf[ADDR_STRLEN];

	if (!addr_parse(&cursor, &a)) {
		assert(cursor == text);
		return;
	}
	assert(cursor > text && cursor <= text + strlen(text));
	again = addr_str(&a, buf);
	assert(addr_parse(&again, &b) && *again == '\0');
	assert(addr_equal(&a, &b));
}

static void check_prefix(const char *text)
{
	const char *cursor = text, *again;
	struct prefix p, q;
	struct addr first, last;
	char buf[PREFIX_STRLEN];
	bool host_bits;

	if (!prefix_parse(&cursor, &p, &host_bits)) {
		assert(cursor == text);
		return;
	}
	assert(p.len <= 128);
	prefix_range(&p, &first, &last);
	assert(addr_equal(&first, &p.addr));
	assert(prefix_contains(&p, &first) && prefix_contains(&p, &last));
	again = prefix_str(&p, buf);
	assert(prefix_parse(&again, &q, &host_bits) && *again == '\0');
	assert(!host_bits && q.len == p.len && addr_equal(&q.addr, &p.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_addr(text);
	check_prefix(text);
	free(text);
	return 0;
}
