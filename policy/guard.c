/* guard.c - addresses that no policy opens, and private ranges
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The IPv4 ranges are written once, as lists of macro calls, and unfold to
 * two tables each: one with the reasons, walked by guard_class(), one with
 * every form of IPv6 address that embeds the range at a fixed place, for the
 * kernel. guard_class() undoes the embedding instead and asks itself about
 * the inner address, which also finds the forms that no prefix can say.
 *
 * Teredo (RFC 4380) is guarded as a whole: its addresses name a client
 * behind somebody's NAT through a server of the sender's choice.
 *
 * 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and 2001:db8::/32 are
 * ordinary addresses: test networks and some gateways use them.
 */
#include "policy/guard.h"

#include <string.h>

#define V4(a, b, c, d)                                                       \
	{                                                                    \
		{                                                            \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
		}                                                            \
	}

/* fd5a:8f3c:e7a1::/48, a random prefix of ours (RFC 4193 3.2.2). */
#define OURS(last)                                                      \
	{                                                               \
		{                                                       \
			0xfd, 0x5a, 0x8f, 0x3c, 0xe7, 0xa1, [15] = last \
		}                                                       \
	}

const struct gate_addrs gate_addrs = {
	.own4 = V4(192, 0, 0, 2),
	.own6 = OURS(2),
	.resolver4 = V4(192, 0, 0, 5),
	.resolver6 = OURS(5),
	.host4 = V4(192, 0, 0, 6),
	.host6 = OURS(6),
};

static const char why_metadata[] = "cloud metadata";
static const char why_link_local[] = "link-local";
static const char why_loopback[] = "loopback";
static const char why_multicast[] = "multicast";
static const char why_reserved[] = "reserved";
static const char why_this[] = "this network";
static const char why_protocol[] = "protocol assignments";
static const char why_site_local[] = "site-local";
static const char why_discard[] = "discard";
static const char why_teredo[] = "Teredo";
static const char why_gate[] = "an address of the gate";
static const char why_private[] = "private";

/* Metadata before the ranges it lies in, for the better reason. */
#define GUARDED_V4(X)                           \
	X(169, 254, 0, 0, 16, why_link_local)   \
	X(127, 0, 0, 0, 8, why_loopback)        \
	X(100, 100, 100, 200, 32, why_metadata) \
	X(168, 63, 129, 16, 32, why_metadata)   \
	X(192, 0, 0, 192, 32, why_metadata)     \
	X(192, 0, 0, 0, 24, why_protocol)       \
	X(0, 0, 0, 0, 8, why_this)              \
	X(224, 0, 0, 0, 4, why_multicast)       \
	X(240, 0, 0, 0, 4, why_reserved)

#define PRIVATE_V4(X)                      \
	X(10, 0, 0, 0, 8, why_private)     \
	X(172, 16, 0, 0, 12, why_private)  \
	X(192, 168, 0, 0, 16, why_private) \
	X(100, 64, 0, 0, 10, why_private)

/*
 * IPv6 of its own. The metadata services of Amazon (fd00:ec2::/32: also DNS,
 * time, container credentials), Google, Oracle, Akamai and Scaleway are in
 * ULA space; the others use link-local addresses.
 */
#define GUARDED_V6(X)                                             \
	X(128, why_loopback, [15] = 1)                            \
	X(10, why_link_local, 0xfe, 0x80)                         \
	X(10, why_site_local, 0xfe, 0xc0)                         \
	X(8, why_multicast, 0xff)                                 \
	X(64, why_discard, 0x01)                                  \
	X(32, why_teredo, 0x20, 0x01)                             \
	X(32, why_metadata, 0xfd, 0x00, 0x0e, 0xc2)               \
	X(48, why_metadata, 0xfd, 0x20, 0x00, 0xce)               \
	X(48, why_metadata, 0xfd, 0x00, 0x00, 0xc1)               \
	X(48, why_metadata, 0xfd, 0x00, 0xa9, 0xfe, 0xa9, 0xfe)   \
	X(128, why_metadata, 0xfd, 0x00, 0x00, 0x42, [15] = 0x42) \
	X(128, why_gate, 0xfd, 0x5a, 0x8f, 0x3c, 0xe7, 0xa1, [15] = 2)

#define PRIVATE_V6(X) X(7, why_private, 0xfc)

struct guard_entry {
	struct prefix prefix;
	const char *why;
};

#define REASON_V4(a, b, c, d, len, why) { { V4(a, b, c, d), 96 + (len) }, why },
#define REASON_V6(len, why, ...) { { { { __VA_ARGS__ } }, len }, why },

static const struct guard_entry guarded[] = { GUARDED_V4(REASON_V4)
						      GUARDED_V6(REASON_V6) };

static const struct guard_entry private_ranges[] = { PRIVATE_V4(
	REASON_V4) PRIVATE_V6(REASON_V6) };

/*
 * An IPv4 range and the prefixes that embed it: as itself (mapped, RFC 4291
 * 2.5.5.2), compatible (2.5.5.1), SIIT (RFC 2765 2.1), NAT64 well-known (RFC
 * 6052 2.1) and local-use (RFC 8215), 6to4 (RFC 3056 2).
 */
#define FORMS(a, b, c, d, len, why)                                         \
	{ V4(a, b, c, d), 96 + (len) },                                     \
		{ { { [12] = a, b, c, d } }, 96 + (len) },                  \
		{ { { [8] = 0xff, 0xff, 0, 0, a, b, c, d } }, 96 + (len) }, \
		{ { { 0, 0x64, 0xff, 0x9b, [12] = a, b, c, d } },           \
		  96 + (len) },                                             \
		{ { { 0, 0x64, 0xff, 0x9b, 0, 1, [12] = a, b, c, d } },     \
		  96 + (len) },                                             \
		{ { { 0x20, 0x02, a, b, c, d } }, 16 + (len) },
#define FORM_V6(len, why, ...) { { { __VA_ARGS__ } }, len },

static const struct prefix guarded_prefixes[] = { GUARDED_V4(FORMS)
							  GUARDED_V6(FORM_V6) };

static const struct prefix private_prefixes[] = { PRIVATE_V4(FORMS)
							  PRIVATE_V6(FORM_V6) };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct prefix *guard_prefixes(size_t *ret_n)
{
	*ret_n = COUNT(guarded_prefixes);
	return guarded_prefixes;
}

const struct prefix *guard_private_prefixes(size_t *ret_n)
{
	*ret_n = COUNT(private_prefixes);
	return private_prefixes;
}

static bool starts_with(const struct addr *a, const uint8_t *bytes, size_t len)
{
	return memcmp(a->b, bytes, len) == 0;
}

/*
 * RFC 6052 2.2: where the four bytes lie for a prefix of 48, 56, 64 and 96
 * bits; byte 8 is never part of it. An inner address in 0.0.0.0/8 says that
 * the prefix has another length, unless every length says so.
 */
static size_t local_nat64(const struct addr *a,
			  struct addr ret[GUARD_EMBEDDED_MAX])
{
	static const uint8_t places[][4] = {
		{ 6, 7, 9, 10 },
		{ 7, 9, 10, 11 },
		{ 9, 10, 11, 12 },
		{ 12, 13, 14, 15 },
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT(places); i++) {
		uint8_t quad[4];

		for (size_t k = 0; k < sizeof(quad); k++)
			quad[k] = a->b[places[i][k]];
		if (quad[0] != 0)
			ret[n++] = addr_from_bytes(quad, sizeof(quad));
	}
	if (n == 0)
		ret[n++] = addr_from_v4(0);
	return n;
}

size_t guard_embedded(const struct addr *a, struct addr ret[GUARD_EMBEDDED_MAX])
{
	static const uint8_t zero[12];
	static const uint8_t siit[12] = { [8] = 0xff, 0xff };
	static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
	static const uint8_t nat64_local[6] = { 0, 0x64, 0xff, 0x9b, 0, 1 };
	static const uint8_t six_to_four[2] = { 0x20, 0x02 };
	static const uint8_t isatap[3] = { 0x00, 0x5e, 0xfe };
	size_t n = 0;

	if (addr_is_v4(a))
		return 0;
	if (starts_with(a, nat64_local, sizeof(nat64_local)))
		n = local_nat64(a, ret);
	else if (starts_with(a, zero, sizeof(zero)) ||
		 starts_with(a, siit, sizeof(siit)) ||
		 starts_with(a, nat64, sizeof(nat64)))
		ret[n++] = addr_from_bytes(a->b + 12, 4);
	else if (starts_with(a, six_to_four, sizeof(six_to_four)))
		ret[n++] = addr_from_bytes(a->b + 2, 4);
	/* RFC 5214 6.1, either u bit, under any prefix */
	if ((a->b[8] & ~2) == 0 &&
	    memcmp(a->b + 9, isatap, sizeof(isatap)) == 0)
		ret[n++] = addr_from_bytes(a->b + 12, 4);
	return n;
}

/* prefix_contains() that gives up at the first byte: every verdict comes by
 * here, and hardly any address is in a table. */
static bool covers(const struct prefix *p, const struct addr *a)
{
	size_t bytes = p->len / 8;
	unsigned rest = p->len % 8;

	if (memcmp(p->addr.b, a->b, bytes) != 0)
		return false;
	return rest == 0 ||
	       ((p->addr.b[bytes] ^ a->b[bytes]) >> (8 - rest)) == 0;
}

static const char *find(const struct guard_entry *table, size_t n,
			const struct addr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (covers(&table[i].prefix, a))
			return table[i].why;
	}
	return NULL;
}

/* Of an address taken as it stands: no alias, nothing embedded. */
static enum addr_class plain_class(const struct addr *a, const char **ret_why)
{
	static const struct addr imds = V4(169, 254, 169, 254);
	static const struct addr tasks = V4(169, 254, 170, 2);
	const char *why = find(guarded, COUNT(guarded), a);

	if (why) {
		bool metadata = addr_equal(a, &imds) || addr_equal(a, &tasks);

		*ret_why = metadata ? why_metadata : why;
		return ADDR_GUARDED;
	}
	why = find(private_ranges, COUNT(private_ranges), a);
	*ret_why = why ? why : "";
	return why ? ADDR_PRIVATE : ADDR_PUBLIC;
}

enum addr_class guard_class(const struct addr *a, const char **ret_why)
{
	struct addr inner[GUARD_EMBEDDED_MAX];
	const char *why;
	enum addr_class worst;
	size_t n;

	if (!ret_why)
		ret_why = &why;
	*ret_why = why_gate;
	if (addr_equal(a, &gate_addrs.resolver4) ||
	    addr_equal(a, &gate_addrs.resolver6))
		return ADDR_RESOLVER;
	if (addr_equal(a, &gate_addrs.host4) ||
	    addr_equal(a, &gate_addrs.host6))
		return ADDR_HOST_ALIAS;

	worst = plain_class(a, ret_why);
	n = guard_embedded(a, inner);
	for (size_t i = 0; i < n && worst != ADDR_GUARDED; i++) {
		const char *inner_why;
		enum addr_class class = plain_class(&inner[i], &inner_why);

		if (class == ADDR_PUBLIC)
			continue;
		worst = class;
		*ret_why = inner_why;
	}
	return worst;
}

bool guard_inside_private(const struct prefix *p)
{
	for (size_t i = 0; i < COUNT(private_prefixes); i++) {
		if (prefix_covers(&private_prefixes[i], p))
			return true;
	}
	/* a single address may be so in a way that no prefix can say */
	return p->len == 128 && guard_class(&p->addr, NULL) == ADDR_PRIVATE;
}

bool guard_name(const char *name)
{
	static const char *const names[] = {
		"api.metadata.cloud.ibm.com", "instance-data",
		"instance-data.ec2.internal", "metadata",
		"metadata.azure.internal",    "metadata.goog",
		"metadata.google.internal",   "metadata.tencentyun.com",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}
