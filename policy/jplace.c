/* jplace.c - where things stand in a JSON text
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/jplace.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

struct walk {
	const char *p, *end;
};

/* The next character that is no blank; 0 at the end. */
static char next(struct walk *w)
{
	while (w->p < w->end && memchr(" \t\r\n", *w->p, 4))
		w->p++;
	return w->p < w->end ? *w->p : '\0';
}

static bool take(struct walk *w, char c)
{
	if (next(w) != c)
		return false;
	w->p++;
	return true;
}

/* From the quote that begins it. */
static void skip_string(struct walk *w)
{
	for (w->p++; w->p < w->end && *w->p != '"'; w->p++)
		if (*w->p == '\\' && w->p + 1 < w->end)
			w->p++;
	if (w->p < w->end)
		w->p++;
}

static void skip_value(struct walk *w)
{
	size_t depth = 0;

	do {
		char c = next(w);

		if (c == '"') {
			skip_string(w);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		else if (c != ',' && c != ':')
			/* a number or a word */
			while (w->p + 1 < w->end &&
			       !memchr(",:]} \t\r\n", w->p[1], 8))
				w->p++;
		if (c != '\0')
			w->p++;
	} while (depth > 0 && w->p < w->end);
}

/* A key may be written with escapes: then the parser says what it means. */
static bool is_key(const char *token, size_t len, const char *key)
{
	bool same;
	json_t *name;

	if (!memchr(token, '\\', len))
		return len == strlen(key) + 2 &&
		       memcmp(token + 1, key, len - 2) == 0;
	name = json_loadb(token, len, JSON_DECODE_ANY, NULL);
	same = json_is_string(name) &&
	       strcmp(json_string_value(name), key) == 0;
	json_decref(name);
	return same;
}

const char *jplace_member(const char *object, const char *end, const char *key,
			  const char **ret_value)
{
	struct walk w = { object, end };

	if (!take(&w, '{'))
		return NULL;
	while (next(&w) == '"') {
		const char *name = w.p;
		size_t len;

		skip_string(&w);
		len = (size_t)(w.p - name);
		if (!take(&w, ':'))
			return NULL;
		if (is_key(name, len, key)) {
			(void)next(&w);
			*ret_value = w.p;
			return name;
		}
		skip_value(&w);
		if (!take(&w, ','))
			return NULL;
	}
	return NULL;
}

const char *jplace_element(const char *array, const char *end, size_t index)
{
	struct walk w = { array, end };

	if (!take(&w, '['))
		return NULL;
	for (size_t i = 0; i < index; i++) {
		skip_value(&w);
		if (!take(&w, ','))
			return NULL;
	}
	return next(&w) == '\0' || *w.p == ']' ? NULL : w.p;
}

struct jplace jplace_make(const char *text, const char *at)
{
	struct jplace place = { 1, 1 };

	for (; text < at; text++) {
		if (*text == '\n') {
			place.line++;
			place.column = 1;
		} else if (((unsigned char)*text & 0xc0) != 0x80) {
			/* not one more byte of the same character */
			place.column++;
		}
	}
	return place;
}
