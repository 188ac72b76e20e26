/* fuzz_num.c - numbers, sizes and durations as text
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	const char *cursor = text;
	uint64_t v;
	int64_t ms;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (num_parse_u64(&cursor, 65535, &v))
		assert(v <= 65535 && cursor > text);
	else
		assert(cursor == text);
	(void)num_size(text, &v);	/* only that it ends well */
	if (num_duration_ms(text, &ms))
		assert(ms >= 0 && ms <= INT64_MAX / 1000);
	free(text);
	return 0;
}
