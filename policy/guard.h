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

/* Metadata host names ("metadata.google.internal"): canonical name in. */
bool guard_name(const char *name);

/* The constant tables, for the kernel plan: pointer and count. */
const struct prefix *guard_prefixes(size_t *ret_n);
const struct prefix *guard_private_prefixes(size_t *ret_n);

/* Fixed addresses inside every posture namespace. */
struct gate_addrs {
	struct addr own4;		/* 192.0.0.2, on lo */
	struct addr own6;		/* ULA, on lo */
	struct addr resolver4, resolver6;	/* on no interface */
	struct addr host4, host6;		/* on no interface */
};
extern const struct gate_addrs gate_addrs;

#endif
