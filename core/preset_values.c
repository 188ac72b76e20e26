/* preset_values.c - keys and values, whatever they were written in
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "core/base/buf.h"
#include "core/preset_private.h"

bool preset_value_is_none(const char *value)
{
	return !value || !*value || strcmp(value, "null") == 0 ||
	       strstr(value, "${");
}

int preset_values_add(struct preset_values *v, const char *key,
		      const char *value)
{
	struct preset_value *bigger, one;

	if (preset_value_is_none(value))
		return 0;
	if (v->n >= PRESET_VALUES_MAX)
		return -E2BIG;
	bigger = reallocarray(v->v, v->n + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	v->v = bigger;
	one.key = strdup(key);
	one.value = strdup(value);
	if (!one.key || !one.value) {
		free(one.key);
		free(one.value);
		return -ENOMEM;
	}
	v->v[v->n++] = one;
	return 0;
}

void preset_values_done(struct preset_values *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->v[i].key);
		free(v->v[i].value);
	}
	free(v->v);
	*v = (struct preset_values){ 0 };
}

const char *preset_values_get(const struct preset_values *v, const char *key)
{
	/* the last one said holds */
	for (size_t i = v->n; i-- > 0;)
		if (strcmp(v->v[i].key, key) == 0)
			return v->v[i].value;
	return NULL;
}

/* ---- INI ---- */

struct ini {
	struct preset_values *ret;
	char section[128];
	struct sbuf key, value;
	bool open; /* a key waits for the end of its value */
};

/* The line without blanks at both ends. */
static size_t trim(const char **line, size_t len)
{
	while (len > 0 && isspace((unsigned char)**line)) {
		(*line)++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)(*line)[len - 1]))
		len--;
	return len;
}

static int ini_flush(struct ini *ini)
{
	int r = 0;

	if (ini->open && (ini->key.bad || ini->value.bad))
		r = -E2BIG;
	else if (ini->open && ini->value.s)
		r = preset_values_add(ini->ret, ini->key.s, ini->value.s);
	sbuf_done(&ini->key);
	sbuf_done(&ini->value);
	ini->open = false;
	return r;
}

static int ini_pair(struct ini *ini, const char *line, size_t len)
{
	size_t n = 0, value_len;
	const char *value;

	while (n < len && line[n] != '=' && line[n] != ':')
		n++;
	if (n == len)
		return 0; /* no value: not for us */
	value = line + n + 1;
	value_len = trim(&value, len - n - 1);
	n = trim(&line, n);
	sbuf_init(&ini->key, 1024);
	sbuf_init(&ini->value, PRESET_FILE_MAX);
	if (ini->section[0])
		sbuf_fmt(&ini->key, "%s.", ini->section);
	sbuf_add(&ini->key, line, n);
	/* pip writes its keys either way */
	for (size_t i = strlen(ini->section);
	     !ini->key.bad && ini->section[0] && i < ini->key.len; i++) {
		char c = ini->key.s[i];

		ini->key.s[i] = c == '_' ? '-' :
					   (char)tolower((unsigned char)c);
	}
	sbuf_add(&ini->value, value, value_len);
	ini->open = true;
	return 0;
}

static int ini_line(struct ini *ini, const char *line, size_t len)
{
	bool indented = len > 0 && (*line == ' ' || *line == '\t');
	int r;

	len = trim(&line, len);
	if (len == 0 || *line == '#' || *line == ';')
		return 0;
	if (indented && ini->open) {
		if (ini->value.len > 0)
			sbuf_str(&ini->value, " ");
		sbuf_add(&ini->value, line, len);
		return 0;
	}
	r = ini_flush(ini);
	if (r < 0 || *line != '[')
		return r < 0 ? r : ini_pair(ini, line, len);
	if (line[len - 1] != ']' || len - 2 >= sizeof(ini->section))
		return -EBADMSG;
	memcpy(ini->section, line + 1, len - 2);
	ini->section[len - 2] = '\0';
	return 0;
}

int preset_values_ini(const char *text, struct preset_values *ret)
{
	struct ini ini = { .ret = ret };
	int r = 0, last;

	sbuf_init(&ini.key, 0);
	sbuf_init(&ini.value, 0);
	while (r == 0 && *text) {
		size_t len = strcspn(text, "\n");

		r = ini_line(&ini, text, len);
		text += len + (text[len] == '\n');
	}
	last = ini_flush(&ini);
	return r < 0 ? r : last;
}

/* ---- answers ---- */

static void json_text(const json_t *j, struct sbuf *ret)
{
	const json_t *item;
	size_t i;

	if (json_is_string(j))
		sbuf_str(ret, json_string_value(j));
	else if (json_is_integer(j))
		sbuf_fmt(ret, "%lld", (long long)json_integer_value(j));
	else if (json_is_boolean(j))
		sbuf_str(ret, json_is_true(j) ? "true" : "false");
	if (!json_is_array(j))
		return;
	json_array_foreach(j, i, item) {
		if (!json_is_string(item))
			continue;
		if (ret->len > 0)
			sbuf_str(ret, " ");
		sbuf_str(ret, json_string_value(item));
	}
}

static int answer_json(const char *text, struct preset_values *ret)
{
	json_t *root = json_loads(text, 0, NULL), *value;
	const char *key;
	int r = 0;

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	json_object_foreach(root, key, value) {
		struct sbuf b;

		sbuf_init(&b, PRESET_ANSWER_MAX);
		json_text(value, &b);
		r = b.bad ? -E2BIG : b.s ? preset_values_add(ret, key, b.s) : 0;
		sbuf_done(&b);
		if (r < 0)
			break;
	}
	json_decref(root);
	return r;
}

static int answer_line(const char *line, size_t len, struct preset_values *ret)
{
	const char *equal = memchr(line, '=', len);
	char *key, *value;
	size_t n;
	int r;

	if (!equal)
		return 0;
	n = (size_t)(line + len - equal) - 1;
	equal++;
	n = trim(&equal, n);
	if (n >= 2 && (*equal == '"' || *equal == '\'') &&
	    equal[n - 1] == *equal) {
		equal++;
		n -= 2;
	}
	value = strndup(equal, n);
	n = (size_t)(strchr(line, '=') - line);
	n = trim(&line, n);
	key = strndup(line, n);
	r = key && value ? preset_values_add(ret, key, value) : -ENOMEM;
	free(key);
	free(value);
	return r;
}

static int answer_lines(const char *text, struct preset_values *ret)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t len = strcspn(text, "\n");

		r = answer_line(text, len, ret);
		text += len + (text[len] == '\n');
	}
	return r;
}

/* Every URL once, all in one value. */
static int answer_urls(const char *text, struct preset_values *ret)
{
	struct sbuf all;
	int r = 0;

	sbuf_init(&all, PRESET_ANSWER_MAX);
	while (*text) {
		size_t len = strcspn(text, "\n"), n;
		const char *line = text;

		text += len + (text[len] == '\n');
		n = trim(&line, len);
		if (strncasecmp(line, "http://", 7) != 0 &&
		    strncasecmp(line, "https://", 8) != 0)
			continue;
		if (all.s && memmem(all.s, all.len, line, n))
			continue;
		if (all.len > 0)
			sbuf_str(&all, " ");
		sbuf_add(&all, line, n);
	}
	if (all.bad)
		r = -E2BIG;
	else if (all.s)
		r = preset_values_add(ret, "url", all.s);
	sbuf_done(&all);
	return r;
}

int preset_values_answer(const char *text, enum preset_format format,
			 struct preset_values *ret)
{
	switch (format) {
	case PRESET_JSON:
		return answer_json(text, ret);
	case PRESET_LINES:
		return answer_lines(text, ret);
	case PRESET_URLS:
		return answer_urls(text, ret);
	}
	return -EBADMSG;
}
