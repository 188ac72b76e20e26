/* guard.h - addresses that no policy opens, and private ranges
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_POLICY_GUARD_H
#define EXEAT_POLICY_GUARD_H

#include "core/base/addr.h"

enum addr_class {
	ADDR_PUBLIC,
	ADDR_PRIVATE,		/* RFC 1918, CGNAT, ULA */
	ADDR_GUARDED,		/* metadata, link-local, loopback, multicast, ... */
	ADDR_RESOLVER,		/* 192.0.0.5, our ULA: the gate's DNS */
	ADDR_HOST_ALIAS,	/* 192.0.0.6, our ULA: host.exeat.internal */
};

/*
 * The class of an address, IPv6 forms that embed an IPv4 address (mapped,
 * compatible, NAT64, 6to4, Teredo, ISATAP, SIIT) decoded and decided on the
 * inner address. *ret_why (may be NULL): a static text, "cloud metadata".
 * Own addresses of the host are not in it: the dialer asks the kernel.
 */
enum addr_class guard_class(const struct addr *a, const char **ret_why);

/*
 * The IPv4 addresses that an IPv6 address may stand for (0: none), mapped ones
 * aside: those are IPv4 already. Several for the local-use NAT64 prefix, whose
 * length nobody can know (RFC 8215), and for ISATAP within another form.
 */
enum { GUARD_EMBEDDED_MAX = 5 };
size_t guard_embedded(const struct addr *a,
		      struct addr ret[GUARD_EMBEDDED_MAX]);

/* Metadata host names ("metadata.google.internal"): canonical name in. */
bool guard_name(const char *name);

/*
 * The constant tables, for the kernel plan: pointer and count. They hold the
 * embedded forms as far as prefixes can say them (ISATAP, and the local-use
 * NAT64 prefix at lengths other than 96, are the gate's alone), so that
 * guard_class() refuses all that they cover and a little more. The guard
 * covers the addresses of the gate (192.0.0.0/24, own6): let those by first.
 */
const struct prefix *guard_prefixes(size_t *ret_n);
const struct prefix *guard_private_prefixes(size_t *ret_n);
/* Does the whole prefix lie inside one private range? Such a rule opens it. */
bool guard_inside_private(const struct prefix *p);

/* Fixed addresses inside every posture namespace. */
struct gate_addrs {
	struct addr own4;		/* 192.0.0.2, on lo */
	struct addr own6;		/* ULA, on lo */
	struct addr resolver4, resolver6;	/* on no interface */
	struct addr host4, host6;		/* on no interface */
};
extern const struct gate_addrs gate_addrs;

#endif
