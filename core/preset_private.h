/* preset_private.h - between the files of core/preset*.c
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_PRESET_PRIVATE_H
#define EXEAT_CORE_PRESET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"
#include "policy/preset.h"

enum {
	PRESET_FILE_MAX = 1 << 20,   /* bytes of a settings file */
	PRESET_ANSWER_MAX = 4 << 20, /* bytes of a tool's answer */
	PRESET_ASK_MS = 10000,
	PRESET_VALUES_MAX = 8192,
};

/* ---- preset_values.c: keys and values, whatever they were written in ---- */

struct preset_values {
	struct preset_value {
		char *key, *value;
	} * v;
	size_t n;
};

/* Appends a copy. Values that count as none are left out. 0 or -errno. */
int preset_values_add(struct preset_values *v, const char *key,
		      const char *value);
void preset_values_done(struct preset_values *v);
/* Of this key, or NULL. Borrowed. */
const char *preset_values_get(const struct preset_values *v, const char *key);
/* Empty, "null", or a placeholder that only the tool could fill. */
bool preset_value_is_none(const char *value);

int preset_values_ini(const char *text, struct preset_values *ret);
/* -EBADMSG: the answer is not in this format. */
int preset_values_answer(const char *text, enum preset_format format,
			 struct preset_values *ret);

/* ---- preset_files.c: where things are, and what is not believed ---- */

/* Is `path` (links resolved) below `dir`? False if dir is NULL. */
bool preset_is_below(const char *dir, const char *path);
/* "~/x", "$VAR", "$VAR/x" expanded. Heap; NULL: no such variable, or not an
 * absolute path. */
char *preset_expand(const char *pattern);
/* $NAME, or ~/OTHERWISE; then "/exeat". Heap, or NULL. */
char *preset_own_folder(const char *variable, const char *otherwise);
/* PATH without relative folders and those below `work_dir`. Heap, or NULL. */
char *preset_safe_path(const char *work_dir);
/* The program on that PATH; false if there is none. */
bool preset_find_program(const char *path, const char *name,
			 const char *work_dir, char *ret, size_t size);

/* ---- preset_ask.c: asking a tool, remembering the answer ---- */

/*
 * What the tool says, of the keys that its settings name: from the cache or by
 * asking. ERR_UNAVAILABLE: no such program, no answer in time, one of another
 * format, settings in the work dir.
 */
int preset_ask(const struct preset *p, const char *work_dir,
	       struct preset_values *ret, struct err *err);

/* ---- preset_run.c ---- */

/* Run argv in "/", PATH replaced; its output, bounded in size and time. Heap,
 * terminated. 0 or -errno. */
int preset_run(const char *program, char *const *argv, const char *path,
	       char **ret);

#endif
