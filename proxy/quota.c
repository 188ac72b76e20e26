/* quota.c - how much may be asked: names below wildcards, questions a second
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Two tables by keyed hashes of text, so that a name takes the same room
 * however long it is: scopes, which count, and the names that they count. All
 * names hang in one list in the order of their last use, so those whose
 * window has passed are at its head; each call takes them off first. That is
 * how a budget that was used up recovers.
 *
 * Two names with one hash count as one. Nobody can look for such a pair: the
 * key is secret.
 */
#include "proxy/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/dialer_hash.h"

enum { NAME_BUCKETS = 1024, SCOPE_BUCKETS = 64, SECOND_MS = 1000 };

struct scope {
	LIST_ENTRY(scope) bucket;
	uint64_t key;
	size_t names, bytes;
};

struct name {
	LIST_ENTRY(name) bucket;
	TAILQ_ENTRY(name) order;
	struct scope *scope;
	uint64_t key;
	int64_t used_ms;
	size_t bytes;
};

LIST_HEAD(name_list, name);
LIST_HEAD(scope_list, scope);

struct quota {
	struct hash_key key;
	struct name_list names[NAME_BUCKETS];
	struct scope_list scopes[SCOPE_BUCKETS];
	TAILQ_HEAD(, name) order; /* least recently used first */
	size_t nnames;
};

int quota_new(struct quota **ret)
{
	struct quota *b = calloc(1, sizeof(*b));
	int r = b ? hash_key_init(&b->key) : -ENOMEM;

	if (r < 0) {
		free(b);
		return r;
	}
	TAILQ_INIT(&b->order);
	*ret = b;
	return 0;
}

/* A scope lives as long as it counts something. */
static void scope_release(struct scope *s, size_t bytes)
{
	s->bytes -= bytes;
	if (--s->names > 0)
		return;
	LIST_REMOVE(s, bucket);
	free(s);
}

static void name_free(struct quota *b, struct name *n)
{
	LIST_REMOVE(n, bucket);
	TAILQ_REMOVE(&b->order, n, order);
	b->nnames--;
	scope_release(n->scope, n->bytes);
	free(n);
}

void quota_free(struct quota *b)
{
	if (!b)
		return;
	while (!TAILQ_EMPTY(&b->order))
		name_free(b, TAILQ_FIRST(&b->order));
	free(b);
}

static void expire(struct quota *b, int64_t now_ms)
{
	const int64_t window_ms = (int64_t)LIMIT_DNS_WINDOW_S * SECOND_MS;
	struct name *n;

	while ((n = TAILQ_FIRST(&b->order)) && now_ms - n->used_ms >= window_ms)
		name_free(b, n);
}

static uint64_t hash_text(const struct quota *b, uint64_t seed,
			  const char *text)
{
	return hash_bytes(&b->key, seed, text, strlen(text));
}

static struct name *name_find(struct quota *b, uint64_t key)
{
	struct name *n;

	LIST_FOREACH(n, &b->names[key % NAME_BUCKETS], bucket) {
		if (n->key == key)
			return n;
	}
	return NULL;
}

static struct scope *scope_find(struct quota *b, uint64_t key)
{
	struct scope *s;

	LIST_FOREACH(s, &b->scopes[key % SCOPE_BUCKETS], bucket) {
		if (s->key == key)
			return s;
	}
	return NULL;
}

static bool has_room(const struct quota *b, const struct scope *s, size_t bytes)
{
	const size_t names = s ? s->names : 0, used = s ? s->bytes : 0;

	return b->nnames < LIMIT_DNS_NAMES_ALL && names < LIMIT_DNS_NAMES &&
	       used + bytes <= LIMIT_DNS_NAME_BYTES;
}

static struct scope *scope_get(struct quota *b, struct scope *found,
			       uint64_t key)
{
	struct scope *s = found ? found : calloc(1, sizeof(*s));

	if (s && !found) {
		s->key = key;
		LIST_INSERT_HEAD(&b->scopes[key % SCOPE_BUCKETS], s, bucket);
	}
	return s;
}

/* Counted once and for all: there is no way to fail from here on. */
static void name_add(struct quota *b, struct name *take, struct scope *s)
{
	take->scope = s;
	s->names++;
	s->bytes += take->bytes;
	LIST_INSERT_HEAD(&b->names[take->key % NAME_BUCKETS], take, bucket);
	TAILQ_INSERT_TAIL(&b->order, take, order);
	b->nnames++;
}

bool quota_name(struct quota *b, const struct quota_scope *scope,
		const char *name, size_t bytes, int64_t now_ms)
{
	const uint64_t scope_key =
		hash_text(b, hash_text(b, 0, scope->rule), scope->suffix);
	const uint64_t key = hash_text(b, scope_key, name);
	struct name *n;
	struct scope *s;

	expire(b, now_ms);
	n = name_find(b, key);
	if (n) {
		n->used_ms = now_ms;
		TAILQ_REMOVE(&b->order, n, order);
		TAILQ_INSERT_TAIL(&b->order, n, order);
		return true;
	}
	s = scope_find(b, scope_key);
	if (!has_room(b, s, bytes))
		return false;
	n = calloc(1, sizeof(*n));
	s = n ? scope_get(b, s, scope_key) : NULL;
	if (!s) {
		free(n);
		return false;
	}
	n->key = key;
	n->bytes = bytes;
	n->used_ms = now_ms;
	name_add(b, n, s);
	return true;
}

bool quota_take(struct quota_rate *r, unsigned per_second, unsigned burst,
		int64_t now_ms)
{
	const uint64_t one = 1000, full = (uint64_t)burst * one;
	const uint64_t passed_ms =
		now_ms > r->last_ms ? (uint64_t)(now_ms - r->last_ms) : 0;
	/* a bucket is full after that long, however long it was */
	const uint64_t most_ms = full / per_second + 1;
	const uint64_t back =
		(passed_ms < most_ms ? passed_ms : most_ms) * per_second;

	r->taken = back < r->taken ? r->taken - back : 0;
	r->last_ms = now_ms;
	if (r->taken + one > full)
		return false;
	r->taken += one;
	return true;
}
