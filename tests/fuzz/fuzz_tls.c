/* fuzz_tls.c - ClientHellos, and what follows them
 * SPDX-License-Identifier: Apache-2.0
 *
 * A hello that is taken is read again by a parser that only counts: it must
 * find the same name, and no other.
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/tls.h"
#include "tests/fuzz/fuzz.h"

static size_t two(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/*
 * The one name of a hello that was found to be well-formed, by counting; ""
 * if there is none. Returns how many there are.
 */
static unsigned naive_name(const uint8_t *hello, size_t len, char *ret)
{
	size_t at = 4 + 2 + 32;
	unsigned found = 0;

	ret[0] = '\0';
	at += 1u + hello[at];
	at += 2u + two(hello + at);
	at += 1u + hello[at];
	if (at == len)
		return 0;
	assert(at + 2 + two(hello + at) == len);
	for (at += 2; at < len; at += 4 + two(hello + at + 2)) {
		const uint8_t *name = hello + at + 9;

		if (two(hello + at) != 0)
			continue;
		assert(two(hello + at + 2) == 5 + two(name - 2));
		memcpy(ret, name, two(name - 2));
		ret[two(name - 2)] = '\0';
		found++;
	}
	assert(at == len);
	return found;
}

/* The records' bodies are put together, and the extensions counted through. */
static void check_naive(const uint8_t *data, const struct tls_hello *h)
{
	static uint8_t hello[LIMIT_PEEK_BYTES];
	static char name[65536];
	size_t len = 0, n;
	unsigned found;

	for (size_t at = 0; at < h->len; at += 5 + two(data + at + 3)) {
		assert(data[at] == 22 && at + 5 + two(data + at + 3) <= h->len);
		memcpy(hello + len, data + at + 5, two(data + at + 3));
		len += two(data + at + 3);
	}
	assert(len >= 4 && hello[0] == 1 && hello[1] == 0);
	assert(4 + two(hello + 2) == len);
	found = naive_name(hello, len, name);
	n = strlen(name);
	if (n > 0 && name[n - 1] == '.')
		name[n - 1] = '\0';
	assert(found == (h->sni[0] != '\0'));
	assert(strcasecmp(name, h->sni) == 0);
}

static void check_hello(const uint8_t *data, size_t size)
{
	struct tls_hello whole, part;
	char canonical[LIMIT_NAME + 1];

	if (tls_peek(data, size, &whole) != TLS_OK)
		return;
	assert(whole.len <= size && whole.len >= 5);
	assert(!whole.sni[0] ||
	       (name_canonical(whole.sni, strlen(whole.sni), canonical) &&
		strcmp(canonical, whole.sni) == 0));
	assert(strlen(whole.alpn) < TLS_ALPN_MAX);
	check_naive(data, &whole);
	/* a hello is the same whatever follows it, and none before its end */
	assert(tls_peek(data, whole.len, &part) == TLS_OK);
	assert(strcmp(part.sni, whole.sni) == 0);
	assert(tls_peek(data, whole.len - 1, &part) == TLS_NEED_MORE);
}

/* The client's bytes in two pieces pass as they do in one. */
static void check_watch(const uint8_t *data, size_t size, uint8_t split)
{
	static struct tls_watch a, b;
	size_t all = 0, first = 0, second = 0, n = split;
	enum tls_status s;

	tls_watch_init(&a);
	a.state = TLS_WATCH_SECOND;
	b = a;
	if (n > size)
		n = size;
	s = tls_watch_client(&a, "a.test", data, size, &all);
	assert(all <= size);
	if (tls_watch_client(&b, "a.test", data, n, &first) == TLS_BAD) {
		assert(s == TLS_BAD);
		return;
	}
	assert(first <= n);
	assert(tls_watch_client(&b, "a.test", data + first, size - first,
				&second) == s);
	assert(s == TLS_BAD || first + second == all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tls_watch w;

	check_hello(data, size);
	if (size == 0)
		return 0;
	check_watch(data + 1, size - 1, data[0]);
	tls_watch_init(&w);
	tls_watch_server(&w, data, size / 2);
	tls_watch_server(&w, data + size / 2, size - size / 2);
	return 0;
}
