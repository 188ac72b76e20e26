/* fuzz_tls.c - ClientHellos, and what follows them
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "policy/rule.h"
#include "proxy/tls.h"
#include "tests/fuzz/fuzz.h"

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
