/* text.c - text of unknown origin, made fit to be shown
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

static size_t length_of(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

uint32_t text_char(const uint8_t *s, size_t *ret_len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = length_of(s[0]);
	uint32_t c = s[0];

	*ret_len = 0;
	if (len == 0)
		return s[0];
	if (len > 1)
		c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		/* the terminator is no continuation: never read past it */
		if ((s[i] & 0xc0) != 0x80)
			return s[0];
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return s[0];
	*ret_len = len;
	return c;
}

bool text_is_utf8(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t len;

	for (; *s; s += len) {
		(void)text_char(s, &len);
		if (len == 0)
			return false;
	}
	return true;
}

bool text_char_hides(uint32_t c)
{
	static const struct {
		uint32_t lo, hi;
	} ranges[] = {
		{ 0x0000, 0x001f }, { 0x007f, 0x009f },	  { 0x00ad, 0x00ad },
		{ 0x061c, 0x061c }, { 0x180e, 0x180e },	  { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f },	  { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].lo && c <= ranges[i].hi)
			return true;
	return false;
}

/* One character as it is shown; its length. Moves *s on. */
static size_t show_one(const uint8_t **s, char out[4 * 4 + 1])
{
	size_t len, n = 0;
	uint32_t c = text_char(*s, &len);

	if (len > 0 && !text_char_hides(c)) {
		memcpy(out, *s, len);
		*s += len;
		return len;
	}
	for (size_t i = 0; i < (len ? len : 1); i++, n += 4)
		(void)snprintf(out + n, 5, "\\x%02x", (*s)[i]);
	*s += len ? len : 1;
	return n;
}

const char *text_shown(const char *text, char *buf, size_t size)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t at = 0;

	if (size == 0)
		return buf;
	while (*s) {
		char out[4 * 4 + 1];
		size_t n = show_one(&s, out);

		if (n >= size - at)
			break;
		memcpy(buf + at, out, n);
		at += n;
	}
	buf[at] = '\0';
	return buf;
}
