/* list.c - lists of texts, copied
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int list_add(struct list *l, const char *text)
{
	char **texts = realloc(l->texts, (l->n + 2) * sizeof(*texts));

	if (!texts)
		return -ENOMEM;
	l->texts = texts;
	l->given = true;
	texts[l->n] = text ? strdup(text) : NULL;
	if (text && !texts[l->n])
		return -ENOMEM;
	if (text)
		l->n++;
	texts[l->n] = NULL;
	return 0;
}

int list_add_once(struct list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->texts[i], text) == 0)
			return 0;
	return list_add(l, text);
}

struct list list_take(struct list *l)
{
	struct list taken = *l;

	*l = (struct list){ 0 };
	return taken;
}

int list_copy(struct list *ret, const char *const *texts)
{
	struct list l = { 0 };
	size_t n = 0;

	*ret = l;
	if (!texts)
		return 0;
	while (texts[n])
		n++;
	l.texts = calloc(n + 1, sizeof(*l.texts));
	if (!l.texts)
		return -ENOMEM;
	l.given = true;
	for (; l.n < n; l.n++) {
		l.texts[l.n] = strdup(texts[l.n]);
		if (!l.texts[l.n]) {
			list_free(&l);
			return -ENOMEM;
		}
	}
	*ret = l;
	return 0;
}

void texts_free(char **texts)
{
	for (char **t = texts; t && *t; t++)
		free(*t);
	free(texts);
}

void list_free(struct list *l)
{
	texts_free(l->texts);
	*l = (struct list){ 0 };
}
