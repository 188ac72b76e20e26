/* dialer_hosts.c - the host's own names: what its /etc/hosts says
 * SPDX-License-Identifier: Apache-2.0
 *
 * A sorted array over one block of names. What is in it is the whole answer
 * for a name, both families: upstream is not asked any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/dialer_internal.h"

enum { HOSTS_MAX = 1 << 18 }; /* block lists have 100,000 lines and more */

struct host {
	const char *name;
	size_t line; /* the order in the file is kept */
	struct addr addr;
};

struct hosts {
	char *names;
	size_t n;
	struct host hosts[];
};

static int compare(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	if (c)
		return c;
	return x->line < y->line ? -1 : x->line > y->line;
}

static bool is_canonical(const char *name)
{
	char canonical[LIMIT_NAME + 1];

	return name_canonical(name, strlen(name), canonical) &&
	       !strcmp(name, canonical);
}

int hosts_new(const struct dialer_host *entries, size_t n, struct hosts **ret)
{
	size_t bytes = 0;
	struct hosts *h;
	char *p;

	if (n > HOSTS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		bytes += strlen(entries[i].name) + 1;
	h = calloc(1, sizeof(*h) + n * sizeof(h->hosts[0]));
	if (!h)
		return -ENOMEM;
	h->names = p = malloc(bytes + 1);
	if (!p) {
		hosts_free(h);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const size_t size = strlen(entries[i].name) + 1;

		/* no question can ever ask for another one */
		if (!is_canonical(entries[i].name))
			continue;
		h->hosts[h->n++] = (struct host){
			.name = memcpy(p, entries[i].name, size),
			.line = i,
			.addr = entries[i].addr,
		};
		p += size;
	}
	qsort(h->hosts, h->n, sizeof(h->hosts[0]), compare);
	*ret = h;
	return 0;
}

void hosts_free(struct hosts *h)
{
	if (!h)
		return;
	free(h->names);
	free(h);
}

/* Index of the first entry that is not before `name`. */
static size_t lower_bound(const struct hosts *h, const char *name)
{
	size_t lo = 0, hi = h->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(h->hosts[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool hosts_find(const struct hosts *h, const char *name, bool v4,
		struct addr *ret, size_t max, size_t *ret_n)
{
	bool found = false;
	size_t n = 0;

	if (!h)
		return false;
	for (size_t i = lower_bound(h, name); i < h->n; i++) {
		if (strcmp(h->hosts[i].name, name))
			break;
		found = true;
		if (n < max && addr_is_v4(&h->hosts[i].addr) == v4)
			ret[n++] = h->hosts[i].addr;
	}
	if (found)
		*ret_n = n;
	return found;
}
