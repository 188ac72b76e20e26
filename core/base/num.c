/* num.c - numbers, sizes and times from text, one grammar for all of them
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/num.h"

#include <stdio.h>
#include <string.h>

bool num_parse_u64(const char **cursor, uint64_t max, uint64_t *ret)
{
	const char *p = *cursor;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (p == *cursor || v > max)
		return false;
	*ret = v;
	*cursor = p;
	return true;
}

bool num_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTkmgt";
	const char *unit;
	unsigned shift = 0;
	uint64_t v;

	if (!num_parse_u64(&text, UINT64_MAX, &v))
		return false;
	if (*text != '\0') {
		unit = strchr(units, *text);
		if (!unit)
			return false;
		shift = 10 * (unsigned)((unit - units) % 4 + 1);
		text++;
	}
	if (*text != '\0' || v > UINT64_MAX >> shift)
		return false;
	*ret_bytes = v << shift;
	return true;
}

const char *num_size_str(uint64_t bytes, char buf[NUM_SIZE_STRLEN])
{
	static const char *const units[] = { "", "K", "M", "G" };
	unsigned i = 0;

	while (i < 3 && bytes > 0 && bytes % 1024 == 0) {
		bytes /= 1024;
		i++;
	}
	(void)snprintf(buf, NUM_SIZE_STRLEN, "%llu%s",
		       (unsigned long long)bytes, units[i]);
	return buf;
}

/* Milliseconds of a unit's name, 0 if there is no such unit. */
static uint64_t unit_ms(const char *name)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60 * 1000 },
		{ "h", 60 * 60 * 1000 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].name, name) == 0)
			return units[i].ms;
	return 0;
}

/* Up to three digits after the point, in thousandths. */
static bool fraction_parse(const char **cursor, uint64_t *ret)
{
	const char *p = *cursor;
	uint64_t v;

	if (!num_parse_u64(&p, 999, &v) || p - *cursor > 3)
		return false;
	for (long digits = p - *cursor; digits < 3; digits++)
		v *= 10;
	*ret = v;
	*cursor = p;
	return true;
}

bool num_thousandths(const char *text, uint64_t *ret)
{
	uint64_t whole, thousandths = 0;

	if (!num_parse_u64(&text, UINT64_MAX / 1000 - 1, &whole))
		return false;
	if (*text == '.') {
		text++;
		if (!fraction_parse(&text, &thousandths))
			return false;
	}
	if (*text != '\0')
		return false;
	*ret = whole * 1000 + thousandths;
	return true;
}

bool num_duration_ms(const char *text, int64_t *ret_ms)
{
	const uint64_t max = INT64_MAX / 1000; /* fits in us, too */
	uint64_t whole, thousandths = 0, unit, total;

	if (!num_parse_u64(&text, max, &whole))
		return false;
	if (*text == '.') {
		text++;
		if (!fraction_parse(&text, &thousandths))
			return false;
	}
	unit = unit_ms(text);
	/* what is no whole millisecond is refused, not rounded away */
	if (unit == 0 || whole > max / unit || thousandths * unit % 1000 != 0)
		return false;
	total = whole * unit + thousandths * unit / 1000;
	if (total > max)
		return false;
	*ret_ms = (int64_t)total;
	return true;
}
