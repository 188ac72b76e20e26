/* dialer_parts.c - the tables of the dialer alone
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/dialer_hash.h"
#include "proxy/pins.h"

enum { PIN_LIFE_MS = LIMIT_PIN_S * 1000, RENEW_MS = PIN_RENEW_S * 1000 };

static struct addr nth(uint32_t n)
{
	return addr_from_v4(UINT32_C(0xcb007100) + n);
}

/* Add, and tell the kernel if it has to be. */
static bool put(struct pins *p, const char *name, uint32_t n, int64_t now)
{
	struct addr a = nth(n);
	bool stale;

	assert_int_equal(pins_add(p, name, &a, now, &stale), 0);
	if (stale)
		pins_told(p, name, &a, now);
	return stale;
}

static bool has(const struct pins *p, const char *name, uint32_t n, int64_t now)
{
	struct addr a = nth(n);

	return pins_has(p, name, &a, now);
}

static bool count_one(void *user, const char *name, const struct addr *a,
		      bool chained)
{
	size_t *n = user;

	(void)name;
	(void)a;
	(void)chained;
	++*n;
	return true;
}

/* All that are kept, also those that expire after `now`. */
static size_t count(struct pins *p, int64_t now)
{
	size_t n = 0;

	pins_hand(p, now, count_one, &n);
	return n;
}

static void test_pin_life(void **state)
{
	struct pins *p;
	struct addr a = nth(1);
	bool stale;

	(void)state;
	assert_int_equal(pins_new(&p), 0);
	assert_int_equal(pins_add(p, "a.test", &a, 1000, &stale), 0);
	assert_true(stale);
	/* counts only when the kernel has it */
	assert_false(has(p, "a.test", 1, 1000));
	pins_told(p, "a.test", &a, 1000);
	assert_true(has(p, "a.test", 1, 1000));
	assert_false(has(p, "b.test", 1, 1000));
	assert_false(has(p, "a.test", 2, 1000));
	assert_true(has(p, "a.test", 1, 1000 + PIN_LIFE_MS - 1));
	assert_false(has(p, "a.test", 1, 1000 + PIN_LIFE_MS));
	/* a use prolongs it; the kernel is told once a minute */
	assert_false(put(p, "a.test", 1, 1000 + RENEW_MS - 1));
	assert_true(has(p, "a.test", 1, 1000 + PIN_LIFE_MS + 1));
	assert_true(put(p, "a.test", 1, 1000 + RENEW_MS));
	assert_false(put(p, "a.test", 1, 1000 + RENEW_MS + 1));
	assert_int_equal(count(p, 1000 + RENEW_MS), 1);
	pins_free(p);
}

static void test_pin_outlives_in_kernel(void **state)
{
	(void)state;
	/* told at t, used without telling until just before t + RENEW */
	assert_true(PIN_KERNEL_S >= LIMIT_PIN_S + PIN_RENEW_S);
}

static void test_names_most_recent_first(void **state)
{
	const char *names[4];
	struct addr a = nth(7);
	struct pins *p;

	(void)state;
	assert_int_equal(pins_new(&p), 0);
	(void)put(p, "a.test", 7, 1000);
	(void)put(p, "b.test", 7, 2000);
	(void)put(p, "c.test", 8, 3000);
	assert_int_equal(pins_names(p, &a, 3000, names, 4), 2);
	assert_string_equal(names[0], "b.test");
	assert_string_equal(names[1], "a.test");
	(void)put(p, "a.test", 7, 4000);
	assert_int_equal(pins_names(p, &a, 4000, names, 4), 2);
	assert_string_equal(names[0], "a.test");
	assert_int_equal(pins_names(p, &a, 4000, names, 1), 1);
	assert_int_equal(pins_names(p, &a, 2000 + PIN_LIFE_MS, names, 4), 1);
	pins_free(p);
}

static void test_pins_are_bounded(void **state)
{
	struct pins *p;
	char name[32];

	(void)state;
	assert_int_equal(pins_new(&p), 0);
	for (uint32_t i = 0; i < LIMIT_PINS; i++) {
		(void)snprintf(name, sizeof(name), "n%u.test", i);
		(void)put(p, name, i % 200, 1000 + i);
	}
	assert_int_equal(count(p, 100000), LIMIT_PINS);
	/* used, so not the next to go */
	(void)put(p, "n0.test", 0, 100000);
	(void)put(p, "more.test", 9, 100000);
	assert_int_equal(count(p, 100000), LIMIT_PINS);
	assert_true(has(p, "n0.test", 0, 100000));
	assert_false(has(p, "n1.test", 1, 100000));
	assert_true(has(p, "n2.test", 2, 100000));
	/* what has expired makes room */
	(void)put(p, "late.test", 9, 200000 + PIN_LIFE_MS);
	assert_int_equal(count(p, 100000), 1);
	pins_free(p);
}

static void test_hash(void **state)
{
	struct hash_key k, other;
	const char text[] = "allowed.test";

	(void)state;
	assert_int_equal(hash_key_init(&k), 0);
	assert_int_equal(hash_key_init(&other), 0);
	assert_int_equal(hash_bytes(&k, 1, text, 12),
			 hash_bytes(&k, 1, text, 12));
	assert_true(hash_bytes(&k, 1, text, 12) !=
		    hash_bytes(&other, 1, text, 12));
	assert_true(hash_bytes(&k, 1, text, 12) != hash_bytes(&k, 2, text, 12));
	/* every length counts, every byte counts */
	for (size_t i = 1; i <= 12; i++) {
		char copy[sizeof(text)];

		memcpy(copy, text, sizeof(text));
		copy[i - 1] ^= 1;
		assert_true(hash_bytes(&k, 1, text, i) !=
			    hash_bytes(&k, 1, text, i - 1));
		assert_true(hash_bytes(&k, 1, text, 12) !=
			    hash_bytes(&k, 1, copy, 12));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_life),
		cmocka_unit_test(test_pin_outlives_in_kernel),
		cmocka_unit_test(test_names_most_recent_first),
		cmocka_unit_test(test_pins_are_bounded),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests_name("dialer_parts", tests, NULL, NULL);
}
