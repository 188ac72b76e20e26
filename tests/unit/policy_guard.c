/* policy_guard.c - classes of addresses, embedded forms, metadata names
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/guard.h"

static struct addr addr(const char *text)
{
	const char *p = text;
	struct addr a;

	if (!addr_parse(&p, &a) || *p)
		fail_msg("%s is not an address", text);
	return a;
}

struct row {
	const char *addr;
	enum addr_class class;
	const char *why;
};

static const struct row rows[] = {
	/* guarded as they stand */
	{ "0.0.0.0", ADDR_GUARDED, "this network" },
	{ "0.1.2.3", ADDR_GUARDED, "this network" },
	{ "127.0.0.1", ADDR_GUARDED, "loopback" },
	{ "127.255.255.254", ADDR_GUARDED, "loopback" },
	{ "169.254.169.254", ADDR_GUARDED, "cloud metadata" },
	{ "169.254.170.2", ADDR_GUARDED, "cloud metadata" },
	{ "169.254.1.1", ADDR_GUARDED, "link-local" },
	{ "100.100.100.200", ADDR_GUARDED, "cloud metadata" },
	{ "168.63.129.16", ADDR_GUARDED, "cloud metadata" },
	{ "192.0.0.192", ADDR_GUARDED, "cloud metadata" },
	{ "192.0.0.1", ADDR_GUARDED, "protocol" },
	{ "192.0.0.2", ADDR_GUARDED, "protocol" },
	{ "224.0.0.1", ADDR_GUARDED, "multicast" },
	{ "239.255.255.255", ADDR_GUARDED, "multicast" },
	{ "240.0.0.1", ADDR_GUARDED, "reserved" },
	{ "255.255.255.255", ADDR_GUARDED, "reserved" },
	{ "::", ADDR_GUARDED, "this network" },
	{ "::1", ADDR_GUARDED, "loopback" },
	{ "fe80::1", ADDR_GUARDED, "link-local" },
	{ "fe80::a9fe:a9fe", ADDR_GUARDED, "link-local" },
	{ "febf::1", ADDR_GUARDED, "link-local" },
	{ "fec0::1", ADDR_GUARDED, "site-local" },
	{ "ff02::1", ADDR_GUARDED, "multicast" },
	{ "100::1", ADDR_GUARDED, "discard" },
	{ "fd00:ec2::254", ADDR_GUARDED, "cloud metadata" },
	{ "fd20:ce::254", ADDR_GUARDED, "cloud metadata" },
	{ "fd00:c1::a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "fd00:42::42", ADDR_GUARDED, "cloud metadata" },
	{ "fd5a:8f3c:e7a1::2", ADDR_GUARDED, "gate" },
	/* the gate's own doors */
	{ "192.0.0.5", ADDR_RESOLVER, "gate" },
	{ "fd5a:8f3c:e7a1::5", ADDR_RESOLVER, "gate" },
	{ "192.0.0.6", ADDR_HOST_ALIAS, "gate" },
	{ "fd5a:8f3c:e7a1::6", ADDR_HOST_ALIAS, "gate" },
	/* private */
	{ "10.0.0.0", ADDR_PRIVATE, "private" },
	{ "10.255.255.255", ADDR_PRIVATE, "private" },
	{ "172.16.0.1", ADDR_PRIVATE, "private" },
	{ "172.31.255.255", ADDR_PRIVATE, "private" },
	{ "192.168.0.1", ADDR_PRIVATE, "private" },
	{ "100.64.0.1", ADDR_PRIVATE, "private" },
	{ "100.127.255.255", ADDR_PRIVATE, "private" },
	{ "fc00::1", ADDR_PRIVATE, "private" },
	{ "fdff::1", ADDR_PRIVATE, "private" },
	/* public, the edges of ranges, test networks */
	{ "1.1.1.1", ADDR_PUBLIC, "" },
	{ "9.255.255.255", ADDR_PUBLIC, "" },
	{ "11.0.0.0", ADDR_PUBLIC, "" },
	{ "172.15.255.255", ADDR_PUBLIC, "" },
	{ "172.32.0.0", ADDR_PUBLIC, "" },
	{ "100.63.255.255", ADDR_PUBLIC, "" },
	{ "100.128.0.0", ADDR_PUBLIC, "" },
	{ "169.253.255.255", ADDR_PUBLIC, "" },
	{ "169.255.0.0", ADDR_PUBLIC, "" },
	{ "168.63.129.17", ADDR_PUBLIC, "" },
	{ "192.0.1.0", ADDR_PUBLIC, "" },
	{ "223.255.255.255", ADDR_PUBLIC, "" },
	{ "192.0.2.1", ADDR_PUBLIC, "" },
	{ "198.51.100.1", ADDR_PUBLIC, "" },
	{ "203.0.113.1", ADDR_PUBLIC, "" },
	{ "198.18.0.1", ADDR_PUBLIC, "" },
	{ "2001:db8::1", ADDR_PUBLIC, "" },
	{ "2606:4700::1111", ADDR_PUBLIC, "" },
	{ "100:0:0:1::1", ADDR_PUBLIC, "" },
	/* mapped */
	{ "::ffff:169.254.169.254", ADDR_GUARDED, "cloud metadata" },
	{ "::ffff:a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "::ffff:a00:1", ADDR_PRIVATE, "private" },
	{ "::ffff:101:101", ADDR_PUBLIC, "" },
	/* compatible */
	{ "::169.254.169.254", ADDR_GUARDED, "cloud metadata" },
	{ "::10.0.0.1", ADDR_PRIVATE, "private" },
	{ "::1.1.1.1", ADDR_PUBLIC, "" },
	/* SIIT */
	{ "::ffff:0:a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "::ffff:0:a00:1", ADDR_PRIVATE, "private" },
	{ "::ffff:0:101:101", ADDR_PUBLIC, "" },
	/* NAT64 */
	{ "64:ff9b::a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "64:ff9b::7f00:1", ADDR_GUARDED, "loopback" },
	{ "64:ff9b::a00:1", ADDR_PRIVATE, "private" },
	{ "64:ff9b::101:101", ADDR_PUBLIC, "" },
	{ "64:ff9b::c000:5", ADDR_GUARDED, "protocol" },
	/* NAT64, local use: /96, /64, /56, /48 */
	{ "64:ff9b:1::a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "64:ff9b:1:0:a9:fea9:fe00:0", ADDR_GUARDED, "cloud metadata" },
	{ "64:ff9b:1:a9:fe:a9fe::", ADDR_GUARDED, "cloud metadata" },
	{ "64:ff9b:1:a9fe:a9:fe00::", ADDR_GUARDED, "cloud metadata" },
	{ "64:ff9b:1::a00:1", ADDR_PRIVATE, "private" },
	{ "64:ff9b:1::101:101", ADDR_PUBLIC, "" },
	{ "64:ff9b:1::", ADDR_GUARDED, "this network" },
	/* 6to4 */
	{ "2002:a9fe:a9fe::1", ADDR_GUARDED, "cloud metadata" },
	{ "2002:a00:1::1", ADDR_PRIVATE, "private" },
	{ "2002:101:101::1", ADDR_PUBLIC, "" },
	/* Teredo, whatever is inside */
	{ "2001:0:4136:e378:8000:63bf:5601:5601", ADDR_GUARDED, "Teredo" },
	{ "2001:0:101:101::", ADDR_GUARDED, "Teredo" },
	{ "2001:1::1", ADDR_PUBLIC, "" },
	/* ISATAP */
	{ "2001:db8::5efe:169.254.169.254", ADDR_GUARDED, "cloud metadata" },
	{ "2001:db8::200:5efe:a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
	{ "2001:db8::5efe:10.0.0.1", ADDR_PRIVATE, "private" },
	{ "fd00:1::5efe:169.254.169.254", ADDR_GUARDED, "cloud metadata" },
	{ "2001:db8::5efe:1.1.1.1", ADDR_PUBLIC, "" },
	{ "2001:db8::100:5efe:a9fe:a9fe", ADDR_PUBLIC, "" },
	/* two forms in one */
	{ "2002:101:101::5efe:a9fe:a9fe", ADDR_GUARDED, "cloud metadata" },
};

static void classes(void **unused)
{
	unsigned wrong = 0;

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = addr(rows[i].addr);
		const char *why = NULL;
		enum addr_class class = guard_class(&a, &why);

		assert_int_equal(guard_class(&a, NULL), class);
		if (class == rows[i].class && strstr(why, rows[i].why))
			continue;
		print_error("%s: class %d, %s (expected %d, %s)\n",
			    rows[i].addr, class, why, rows[i].class,
			    rows[i].why);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static bool covered(const struct prefix *p, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_contains(&p[i], a))
			return true;
	}
	return false;
}

/* What the kernel refuses, the verdict refuses: at the edges of every prefix
 * of the tables. And what is no ISATAP address, the tables know too. */
static void tables_agree_with_classes(void **unused)
{
	size_t nguard, nprivate;
	const struct prefix *guard = guard_prefixes(&nguard);
	const struct prefix *private = guard_private_prefixes(&nprivate);

	(void)unused;
	for (size_t i = 0; i < nguard; i++) {
		struct addr ends[2];

		prefix_range(&guard[i], &ends[0], &ends[1]);
		for (int k = 0; k < 2; k++) {
			enum addr_class class = guard_class(&ends[k], NULL);
			char buf[ADDR_STRLEN];

			if (class == ADDR_PUBLIC || class == ADDR_PRIVATE)
				fail_msg("%s", addr_str(&ends[k], buf));
		}
	}
	for (size_t i = 0; i < nprivate; i++) {
		struct addr ends[2];

		prefix_range(&private[i], &ends[0], &ends[1]);
		assert_int_not_equal(guard_class(&ends[0], NULL), ADDR_PUBLIC);
		assert_int_not_equal(guard_class(&ends[1], NULL), ADDR_PUBLIC);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = addr(rows[i].addr);
		bool kernel = covered(guard, nguard, &a);
		bool says = rows[i].class == ADDR_GUARDED;
		/* these no prefix can say */
		bool gate_only = strstr(rows[i].addr, "5efe") ||
				 strncmp(rows[i].addr, "64:ff9b:1:", 10) == 0;

		if (kernel)
			assert_true(rows[i].class != ADDR_PUBLIC &&
				    rows[i].class != ADDR_PRIVATE);
		if (says && !kernel && !gate_only)
			fail_msg("%s is not in the table", rows[i].addr);
		if (rows[i].class == ADDR_PRIVATE && !gate_only)
			assert_true(covered(private, nprivate, &a));
		if (rows[i].class == ADDR_PUBLIC)
			assert_false(covered(private, nprivate, &a));
	}
}

static void inside_private(void **unused)
{
	static const struct {
		const char *prefix;
		bool inside;
	} list[] = {
		{ "10.0.0.0/8", true },
		{ "10.1.0.0/16", true },
		{ "10.0.0.0/7", false },
		{ "0.0.0.0/0", false },
		{ "172.16.0.0/12", true },
		{ "172.0.0.0/8", false },
		{ "fd00::/8", true },
		{ "fc00::/7", true },
		{ "::/0", false },
		{ "64:ff9b::a00:0/104", true },
		{ "203.0.113.0/24", false },
		{ "2001:db8::5efe:a00:1", true },
		{ "2001:db8::5efe:a00:0/104", false },
		{ "203.0.113.9", false },
		{ "127.0.0.1", false },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const char *text = list[i].prefix;
		struct prefix p;
		bool bits;

		assert_true(prefix_parse(&text, &p, &bits));
		if (guard_inside_private(&p) != list[i].inside)
			fail_msg("%s", list[i].prefix);
	}
}

static void metadata_names(void **unused)
{
	(void)unused;
	assert_true(guard_name("metadata.google.internal"));
	assert_true(guard_name("metadata.azure.internal"));
	assert_true(guard_name("instance-data"));
	assert_false(guard_name("metadata.google.internal.example"));
	assert_false(guard_name("example.com"));
	assert_false(guard_name(""));
}

static void gate_addresses(void **unused)
{
	struct addr own = addr("192.0.0.2");

	(void)unused;
	assert_true(addr_equal(&gate_addrs.own4, &own));
	assert_int_equal(guard_class(&gate_addrs.own4, NULL), ADDR_GUARDED);
	assert_int_equal(guard_class(&gate_addrs.own6, NULL), ADDR_GUARDED);
	assert_int_equal(guard_class(&gate_addrs.resolver6, NULL),
			 ADDR_RESOLVER);
	assert_int_equal(guard_class(&gate_addrs.host6, NULL), ADDR_HOST_ALIAS);
	assert_int_equal(gate_addrs.own6.b[0], 0xfd); /* RFC 4193 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(tables_agree_with_classes),
		cmocka_unit_test(inside_private),
		cmocka_unit_test(metadata_names),
		cmocka_unit_test(gate_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
