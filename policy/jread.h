/* jread.h - JSON texts in: every wrong thing is named by its place
 * SPDX-License-Identifier: Apache-2.0
 *
 * A path is what the user would write to reach the value: "tool.settings[2]".
 * A place is the line and column of the key or element that is wrong, or of
 * the object where a key is missing. Readers of an optional value leave *ret alone where the key is missing or
 * null. Inside policy/ only.
 */
#ifndef EXEAT_POLICY_JREAD_H
#define EXEAT_POLICY_JREAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

enum { JREAD_PATH = 96 };

struct jread {
	const json_t *object;
	char path[JREAD_PATH];	/* "" at the top */
	const char *text, *end; /* the whole of it */
	const struct jread *outer; /* NULL at the top; else it is there: */
	const char *key;
	size_t index;
	const char *step;	/* for errors: "policy file" */
	struct err *err;
};

/*
 * Parse a whole text that must be an object; duplicate keys and trailing
 * bytes are errors with line and column. *ret_root is the caller's
 * (json_decref), *ret borrows it and the text.
 */
int jread_text(const char *text, size_t len, const char *step,
	       json_t **ret_root, struct jread *ret, struct err *err);

/* The object at key (index: SIZE_MAX for none); it must be one. *ret borrows
 * j and key. */
int jread_enter(const struct jread *j, const char *key, size_t index,
		const json_t *value, struct jread *ret);

/* "path.key" or "path.key[index]". Returns buf. */
const char *jread_path(const struct jread *j, const char *key, size_t index,
		       char buf[JREAD_PATH]);

/* ERR_INVALID, or another code, at the key. */
int jread_wrong(const struct jread *j, const char *key, size_t index,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int jread_fail(const struct jread *j, enum err_code code, const char *key,
	       size_t index, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Every key is one of the NULL-terminated list. */
int jread_known(const struct jread *j, const char *const *keys);

/* NULL where the key is missing or null. */
const json_t *jread_get(const struct jread *j, const char *key);

/* Heap strings and arrays (NULL-terminated). 0, -EINVAL, -ENOMEM. */
int jread_string(const struct jread *j, const char *key, bool required,
		 char **ret);
int jread_strings(const struct jread *j, const char *key, char ***ret);
int jread_bool(const struct jread *j, const char *key, bool *ret);

/* Free a NULL-terminated array of strings; accepts NULL. */
void strings_free(char **strings);

#endif
