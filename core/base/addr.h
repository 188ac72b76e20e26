/* addr.h - one type for an IP address of either family
 * SPDX-License-Identifier: Apache-2.0
 *
 * An IPv4 address is kept in its mapped form ::ffff:a.b.c.d (RFC 4291
 * 2.5.5.2), so that no function exists twice. A mapped address that a program
 * wrote itself is the same address: the kernel treats it so.
 */
#ifndef EXEAT_BASE_ADDR_H
#define EXEAT_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	uint8_t b[16];		/* network order */
};

struct endpoint {
	struct addr addr;
	uint16_t port;		/* host order */
};

/* Bits beyond `len` are zero. IPv4 a.b.c.d/n has len 96 + n. */
struct prefix {
	struct addr addr;
	uint8_t len;		/* 0..128 */
};

enum {
	ADDR_STRLEN = 48,	/* any address, terminated */
	ENDPOINT_STRLEN = 64,	/* "[addr]:port" */
	PREFIX_STRLEN = 56,	/* "addr/len" */
};

bool addr_is_v4(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
int addr_compare(const struct addr *a, const struct addr *b);

struct addr addr_from_v4(uint32_t host_order);
uint32_t addr_to_v4(const struct addr *a);	/* Mustn't: for IPv6 */
struct addr addr_from_bytes(const uint8_t *bytes, size_t len); /* 4 or 16 */

/* False if the family is neither AF_INET nor AF_INET6. */
bool endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len,
			    struct endpoint *ret);

/* AF_INET for IPv4, AF_INET6 for the rest. Returns the length used. */
socklen_t endpoint_to_sockaddr(const struct endpoint *ep,
			       struct sockaddr_storage *ret);
/* AF_INET6 always (IPv4 mapped), for dual-stack sockets. */
socklen_t endpoint_to_sockaddr6(const struct endpoint *ep,
				struct sockaddr_storage *ret);

/*
 * Parse the text form at *cursor; on success advance it past the address.
 * IPv4: four decimal parts without leading zeros. IPv6: RFC 4291 2.2, no zone.
 * Never a short, octal or hexadecimal IPv4 form.
 */
bool addr_parse(const char **cursor, struct addr *ret);
/* "ADDR" or "ADDR/LEN"; sets bits beyond LEN to zero and says so. */
bool prefix_parse(const char **cursor, struct prefix *ret,
		  bool *ret_had_host_bits);

/* IPv4 in dotted form, IPv6 by RFC 5952. Return buf. */
const char *addr_str(const struct addr *a, char buf[ADDR_STRLEN]);
const char *endpoint_str(const struct endpoint *ep, char buf[ENDPOINT_STRLEN]);
/* Without "/LEN" for a full-length prefix. */
const char *prefix_str(const struct prefix *p, char buf[PREFIX_STRLEN]);

struct prefix prefix_make(const struct addr *a, uint8_t len);
bool prefix_contains(const struct prefix *p, const struct addr *a);
/* Every address of inner is in outer. */
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);
/* First and last address. */
void prefix_range(const struct prefix *p, struct addr *ret_first,
		  struct addr *ret_last);
/* a + 1; false (and unchanged) after the last address. */
bool addr_next(struct addr *a);

#endif
