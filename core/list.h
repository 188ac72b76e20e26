/* list.h - lists of texts, copied
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_LIST_H
#define EXEAT_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* `given` tells an empty list from none. */
struct list {
	char **texts; /* NULL-terminated; never NULL if given */
	size_t n;
	bool given;
};

/* NULL is an unset list. All: 0 or -ENOMEM. */
int list_copy(struct list *ret, const char *const *texts);
/* Append a copy; NULL: nothing, but the list is given then. */
int list_add(struct list *l, const char *text);
/* The same, unless it is there. */
int list_add_once(struct list *l, const char *text);
/* Move out: what is left is an unset list. */
struct list list_take(struct list *l);
void list_free(struct list *l);
/* One that list_take() has given away, by its texts; NULL is allowed. */
void texts_free(char **texts);

#endif
