/* pins.c - which addresses stand for which names, in one posture
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One record for each pair of name and address, in two hash tables: by pair,
 * and by address (the most recent at the head of its bucket). A list in the
 * order of use is at the same time the order of expiry, because every use
 * sets the same life: the end of it is what has expired, or goes first.
 */
#include "proxy/pins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/dialer_hash.h"

enum { BUCKETS = 8192 };

struct pin {
	LIST_ENTRY(pin) by_pair;
	LIST_ENTRY(pin) by_addr;
	TAILQ_ENTRY(pin) by_use;
	int64_t expires_ms;
	int64_t told_ms; /* 0: the kernel never was */
	bool lost;	 /* the kernel was told, but has forgotten */
	bool handed;	 /* over to the next policy, which comes */
	bool chained;
	struct addr addr;
	char name[];
};

LIST_HEAD(pin_list, pin);

struct pins {
	struct hash_key key;
	size_t count;
	TAILQ_HEAD(pin_by_use, pin) by_use;
	struct pin_list by_pair[BUCKETS], by_addr[BUCKETS];
};

int pins_new(struct pins **ret)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	TAILQ_INIT(&p->by_use);
	r = hash_key_init(&p->key);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

static void pin_remove(struct pins *p, struct pin *pin)
{
	LIST_REMOVE(pin, by_pair);
	LIST_REMOVE(pin, by_addr);
	TAILQ_REMOVE(&p->by_use, pin, by_use);
	p->count--;
	free(pin);
}

void pins_free(struct pins *p)
{
	if (!p)
		return;
	while (!TAILQ_EMPTY(&p->by_use))
		pin_remove(p, TAILQ_FIRST(&p->by_use));
	free(p);
}

static size_t addr_bucket(const struct pins *p, const struct addr *a)
{
	return hash_bytes(&p->key, 0, a->b, sizeof(a->b)) % BUCKETS;
}

static size_t pair_bucket(const struct pins *p, const char *name,
			  const struct addr *a)
{
	uint64_t h = hash_bytes(&p->key, 1, a->b, sizeof(a->b));

	return hash_bytes(&p->key, h, name, strlen(name)) % BUCKETS;
}

static struct pin *find(const struct pins *p, const char *name,
			const struct addr *a)
{
	struct pin *pin;

	LIST_FOREACH(pin, &p->by_pair[pair_bucket(p, name, a)], by_pair) {
		if (addr_equal(&pin->addr, a) && !strcmp(pin->name, name))
			return pin;
	}
	return NULL;
}

static void make_room(struct pins *p, int64_t now_ms)
{
	struct pin *last;

	while ((last = TAILQ_LAST(&p->by_use, pin_by_use)) &&
	       (last->expires_ms <= now_ms || p->count >= LIMIT_PINS))
		pin_remove(p, last);
}

static struct pin *pin_new(struct pins *p, const char *name,
			   const struct addr *a)
{
	size_t size = strlen(name) + 1;
	struct pin *pin = calloc(1, sizeof(*pin) + size);

	if (!pin)
		return NULL;
	pin->addr = *a;
	memcpy(pin->name, name, size);
	LIST_INSERT_HEAD(&p->by_pair[pair_bucket(p, name, a)], pin, by_pair);
	LIST_INSERT_HEAD(&p->by_addr[addr_bucket(p, a)], pin, by_addr);
	TAILQ_INSERT_HEAD(&p->by_use, pin, by_use);
	p->count++;
	return pin;
}

static void make_most_recent(struct pins *p, struct pin *pin)
{
	LIST_REMOVE(pin, by_addr);
	LIST_INSERT_HEAD(&p->by_addr[addr_bucket(p, &pin->addr)], pin, by_addr);
	TAILQ_REMOVE(&p->by_use, pin, by_use);
	TAILQ_INSERT_HEAD(&p->by_use, pin, by_use);
}

int pins_add(struct pins *p, const char *name, const struct addr *a,
	     int64_t now_ms, bool *ret_stale)
{
	struct pin *pin = find(p, name, a);

	if (pin) {
		make_most_recent(p, pin);
	} else {
		make_room(p, now_ms);
		pin = pin_new(p, name, a);
		if (!pin)
			return -ENOMEM;
	}
	pin->expires_ms = now_ms + LIMIT_PIN_S * INT64_C(1000);
	*ret_stale = !pin->told_ms || pin->lost ||
		     now_ms - pin->told_ms >= PIN_RENEW_S * INT64_C(1000);
	return 0;
}

void pins_told(struct pins *p, const char *name, const struct addr *a,
	       int64_t now_ms)
{
	struct pin *pin = find(p, name, a);

	if (!pin)
		return;
	pin->told_ms = now_ms;
	pin->lost = false;
}

void pins_set_chained(struct pins *p, const char *name, const struct addr *a,
		      bool chained)
{
	struct pin *pin = find(p, name, a);

	if (pin)
		pin->chained = chained;
}

void pins_prune(struct pins *p,
		bool (*keeps)(void *user, const char *name,
			      const struct addr *a, bool chained),
		void *user)
{
	struct pin *pin = TAILQ_FIRST(&p->by_use);

	while (pin) {
		struct pin *next = TAILQ_NEXT(pin, by_use);

		pin->lost = !pin->handed;
		pin->handed = false;
		if (!keeps(user, pin->name, &pin->addr, pin->chained))
			pin_remove(p, pin);
		pin = next;
	}
}

void pins_hand(struct pins *p, int64_t now_ms,
	       bool (*takes)(void *user, const char *name, const struct addr *a,
			     bool chained),
	       void *user)
{
	struct pin *pin;

	TAILQ_FOREACH(pin, &p->by_use, by_use)
		pin->handed = pin->expires_ms > now_ms &&
			      takes(user, pin->name, &pin->addr, pin->chained);
}

void pins_remove(struct pins *p, const char *name, const struct addr *a)
{
	struct pin *pin = find(p, name, a);

	if (pin)
		pin_remove(p, pin);
}

bool pins_has(const struct pins *p, const char *name, const struct addr *a,
	      int64_t now_ms)
{
	const struct pin *pin = find(p, name, a);

	return pin && pin->told_ms && pin->expires_ms > now_ms;
}

size_t pins_names(const struct pins *p, const struct addr *a, int64_t now_ms,
		  const char **ret, size_t max)
{
	const struct pin *pin;
	size_t n = 0;

	LIST_FOREACH(pin, &p->by_addr[addr_bucket(p, a)], by_addr) {
		if (n == max)
			break;
		if (pin->told_ms && pin->expires_ms > now_ms &&
		    addr_equal(&pin->addr, a))
			ret[n++] = pin->name;
	}
	return n;
}
