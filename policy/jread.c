/* jread.c - JSON texts in: every wrong thing is named by its place
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/jread.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "policy/jplace.h"

int jread_text(const char *text, size_t len, const char *step,
	       json_t **ret_root, struct jread *ret, struct err *err)
{
	json_error_t e;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);

	if (!root)
		return err_new(err, ERR_INVALID, step, NULL,
			       "line %d column %d: %s", e.line, e.column,
			       e.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return err_new(err, ERR_INVALID, step, NULL,
			       "line 1 column 1: an object was expected");
	}
	*ret_root = root;
	*ret = (struct jread){
		.object = root,
		.step = step,
		.text = text,
		.end = text + len,
		.err = err,
	};
	return 0;
}

static void put(struct wbuf *w, const char *s)
{
	size_t room = (size_t)(w->end - w->p);
	size_t len = strlen(s);

	wbuf_bytes(w, s, len < room ? len : room);
}

const char *jread_path(const struct jread *j, const char *key, size_t index,
		       char buf[JREAD_PATH])
{
	struct wbuf w = wbuf_make(buf, JREAD_PATH - 1);
	char number[32];

	put(&w, j->path);
	put(&w, j->path[0] ? "." : "");
	put(&w, key);
	(void)snprintf(number, sizeof(number), "[%zu]", index);
	put(&w, index == SIZE_MAX ? "" : number);
	buf[wbuf_len(&w)] = '\0';
	return buf;
}

/* Where the key stands, and its value; without one, where the object does. */
static const char *find(const struct jread *j, const char *key, size_t index,
			const char **ret_value)
{
	const char *object = j->text, *name, *value, *element;

	if (j->outer)
		(void)find(j->outer, j->key, j->index, &object);
	*ret_value = object;
	name = jplace_member(object, j->end, key, &value);
	if (!name)
		return object;
	*ret_value = value;
	if (index == SIZE_MAX)
		return name;
	element = jplace_element(value, j->end, index);
	if (element)
		*ret_value = element;
	return *ret_value;
}

__attribute__((format(printf, 5, 0))) static int
fail(const struct jread *j, enum err_code code, const char *key, size_t index,
     const char *fmt, va_list ap)
{
	const char *value;
	struct jplace place = jplace_make(j->text, find(j, key, index, &value));
	char path[JREAD_PATH];
	char message[256];

	(void)vsnprintf(message, sizeof(message), fmt, ap);
	return err_new(j->err, code, j->step, jread_path(j, key, index, path),
		       "line %zu column %zu: %s", place.line, place.column,
		       message);
}

int jread_fail(const struct jread *j, enum err_code code, const char *key,
	       size_t index, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(j, code, key, index, fmt, ap);
	va_end(ap);
	return r;
}

int jread_wrong(const struct jread *j, const char *key, size_t index,
		const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(j, ERR_INVALID, key, index, fmt, ap);
	va_end(ap);
	return r;
}

int jread_enter(const struct jread *j, const char *key, size_t index,
		const json_t *value, struct jread *ret)
{
	if (!json_is_object(value))
		return jread_wrong(j, key, index, "an object was expected");
	*ret = *j;
	ret->object = value;
	ret->outer = j;
	ret->key = key;
	ret->index = index;
	(void)jread_path(j, key, index, ret->path);
	return 0;
}

int jread_known(const struct jread *j, const char *const *keys)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)j->object, key, value) {
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], key) != 0)
			i++;
		if (!keys[i])
			return jread_wrong(j, key, SIZE_MAX, "unknown key");
	}
	return 0;
}

const json_t *jread_get(const struct jread *j, const char *key)
{
	const json_t *v = json_object_get(j->object, key);

	return v && !json_is_null(v) ? v : NULL;
}

int jread_string(const struct jread *j, const char *key, bool required,
		 char **ret)
{
	const json_t *v = jread_get(j, key);
	char *s;

	if (!v && !required)
		return 0;
	if (!json_is_string(v))
		return jread_wrong(j, key, SIZE_MAX, "a string was expected");
	s = strdup(json_string_value(v));
	if (!s)
		return err_sys(j->err, ENOMEM, j->step, "%s", key);
	*ret = s;
	return 0;
}

void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

int jread_strings(const struct jread *j, const char *key, char ***ret)
{
	const json_t *v = jread_get(j, key);
	char **out;

	if (v && !json_is_array(v))
		return jread_wrong(j, key, SIZE_MAX, "an array was expected");
	out = calloc(json_array_size(v) + 1, sizeof(*out));
	if (!out)
		return err_sys(j->err, ENOMEM, j->step, "%s", key);
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *s = json_string_value(json_array_get(v, i));

		if (!s) {
			strings_free(out);
			return jread_wrong(j, key, i, "a string was expected");
		}
		out[i] = strdup(s);
		if (!out[i]) {
			strings_free(out);
			return err_sys(j->err, ENOMEM, j->step, "%s", key);
		}
	}
	*ret = out;
	return 0;
}

int jread_bool(const struct jread *j, const char *key, bool *ret)
{
	const json_t *v = jread_get(j, key);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return jread_wrong(j, key, SIZE_MAX,
				   "true or false was expected");
	*ret = json_is_true(v);
	return 0;
}
