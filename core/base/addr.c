/* addr.c - one type for an IP address of either family
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base/num.h"

static const uint8_t v4_lead[12] = { [10] = 0xff, [11] = 0xff };

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->b, v4_lead, sizeof(v4_lead)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

struct addr addr_from_v4(uint32_t host_order)
{
	uint32_t be = htonl(host_order);

	return addr_from_bytes((const uint8_t *)&be, sizeof(be));
}

uint32_t addr_to_v4(const struct addr *a)
{
	uint32_t be;

	memcpy(&be, a->b + sizeof(v4_lead), sizeof(be));
	return ntohl(be);
}

struct addr addr_from_bytes(const uint8_t *bytes, size_t len)
{
	struct addr a = { { 0 } };

	if (len == sizeof(a.b)) {
		memcpy(a.b, bytes, sizeof(a.b));
	} else if (len == sizeof(a.b) - sizeof(v4_lead)) {
		memcpy(a.b, v4_lead, sizeof(v4_lead));
		memcpy(a.b + sizeof(v4_lead), bytes, len);
	}
	return a;
}

bool endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len,
			    struct endpoint *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	/* copied, because a caller's buffer need not be aligned */
	if (len >= sizeof(in) && sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		ret->addr = addr_from_v4(ntohl(in.sin_addr.s_addr));
		ret->port = ntohs(in.sin_port);
		return true;
	}
	if (len >= sizeof(in6) && sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(ret->addr.b, &in6.sin6_addr, sizeof(ret->addr.b));
		ret->port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *ep,
			       struct sockaddr_storage *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (!addr_is_v4(&ep->addr))
		return endpoint_to_sockaddr6(ep, ret);
	in.sin_port = htons(ep->port);
	in.sin_addr.s_addr = htonl(addr_to_v4(&ep->addr));
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &in, sizeof(in));
	return sizeof(in);
}

socklen_t endpoint_to_sockaddr6(const struct endpoint *ep,
				struct sockaddr_storage *ret)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	in6.sin6_port = htons(ep->port);
	memcpy(&in6.sin6_addr, ep->addr.b, sizeof(ep->addr.b));
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &in6, sizeof(in6));
	return sizeof(in6);
}

/* One part of a dotted quad: 0-255, no leading zero (it could be octal). */
static bool part_parse(const char **cursor, uint8_t *ret)
{
	const char *p = *cursor;
	uint64_t v;

	if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
		return false;
	if (!num_parse_u64(&p, UINT8_MAX, &v))
		return false;
	*ret = (uint8_t)v;
	*cursor = p;
	return true;
}

/* What may not follow an address: more of a name, a number or a zone. */
static bool goes_on(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_' ||
	       c == '%';
}

static bool quad_parse(const char **cursor, struct addr *ret)
{
	const char *p = *cursor;
	uint8_t quad[4];

	for (size_t i = 0; i < sizeof(quad); i++) {
		if (i > 0 && *p++ != '.')
			return false;
		if (!part_parse(&p, &quad[i]))
			return false;
	}
	if (goes_on(*p))
		return false;
	*ret = addr_from_bytes(quad, sizeof(quad));
	*cursor = p;
	return true;
}

static bool hextets_parse(const char **cursor, struct addr *ret)
{
	char token[INET6_ADDRSTRLEN];
	size_t len = strspn(*cursor, "0123456789abcdefABCDEF:.");

	if (len >= sizeof(token) || goes_on((*cursor)[len]))
		return false;
	memcpy(token, *cursor, len);
	token[len] = '\0';
	if (inet_pton(AF_INET6, token, ret->b) != 1)
		return false;
	*cursor += len;
	return true;
}

/* As addr_parse, and tells which of the two notations it was. */
static bool notation_parse(const char **cursor, struct addr *ret,
			   bool *ret_quad)
{
	struct addr a;

	*ret_quad = quad_parse(cursor, &a);
	if (!*ret_quad && !hextets_parse(cursor, &a))
		return false;
	*ret = a;
	return true;
}

bool addr_parse(const char **cursor, struct addr *ret)
{
	bool quad;

	return notation_parse(cursor, ret, &quad);
}

bool prefix_parse(const char **cursor, struct prefix *ret,
		  bool *ret_had_host_bits)
{
	const char *p = *cursor;
	struct addr a;
	bool quad;
	uint64_t len;

	if (!notation_parse(&p, &a, &quad))
		return false;
	len = quad ? 32 : 128;
	if (*p == '/') {
		p++;
		if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
			return false;
		if (!num_parse_u64(&p, len, &len))
			return false;
	}
	*ret = prefix_make(&a, (uint8_t)(quad ? 96 + len : len));
	if (ret_had_host_bits)
		*ret_had_host_bits = !addr_equal(&ret->addr, &a);
	*cursor = p;
	return true;
}

/* A number below 256; lists of 100,000 prefixes are printed as a whole. */
static char *put_decimal(char *to, unsigned n)
{
	if (n >= 100)
		*to++ = (char)('0' + n / 100);
	if (n >= 10)
		*to++ = (char)('0' + n / 10 % 10);
	*to++ = (char)('0' + n % 10);
	return to;
}

const char *addr_str(const struct addr *a, char buf[ADDR_STRLEN])
{
	char *to = buf;

	if (!addr_is_v4(a)) {
		(void)inet_ntop(AF_INET6, a->b, buf, ADDR_STRLEN);
		return buf;
	}
	for (size_t i = sizeof(v4_lead); i < sizeof(a->b); i++) {
		to = put_decimal(to, a->b[i]);
		*to++ = '.';
	}
	to[-1] = '\0';
	return buf;
}

const char *endpoint_str(const struct endpoint *ep, char buf[ENDPOINT_STRLEN])
{
	char a[ADDR_STRLEN];

	addr_str(&ep->addr, a);
	if (addr_is_v4(&ep->addr))
		(void)snprintf(buf, ENDPOINT_STRLEN, "%s:%u", a, ep->port);
	else
		(void)snprintf(buf, ENDPOINT_STRLEN, "[%s]:%u", a, ep->port);
	return buf;
}

const char *prefix_str(const struct prefix *p, char buf[PREFIX_STRLEN])
{
	char a[ADDR_STRLEN];
	bool quad = p->len >= 96 && addr_is_v4(&p->addr);
	size_t n = strlen(addr_str(&p->addr, a));
	char *to = buf + n;

	memcpy(buf, a, n);
	if (p->len < 128) {
		*to++ = '/';
		to = put_decimal(to, quad ? p->len - 96U : p->len);
	}
	*to = '\0';
	return buf;
}

/* The bits of byte i that a prefix of this length fixes. */
static uint8_t byte_mask(unsigned len, unsigned i)
{
	unsigned bits = len > i * 8 ? len - i * 8 : 0;

	if (bits >= 8)
		return 0xff;
	return (uint8_t)(0xff00u >> bits);
}

struct prefix prefix_make(const struct addr *a, uint8_t len)
{
	struct prefix p = { .addr = *a, .len = len > 128 ? 128 : len };
	size_t whole = p.len / 8;

	if (whole == sizeof(p.addr.b))
		return p;
	p.addr.b[whole] &= byte_mask(p.len, (unsigned)whole);
	memset(p.addr.b + whole + 1, 0, sizeof(p.addr.b) - whole - 1);
	return p;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	size_t whole = p->len / 8;

	if (memcmp(p->addr.b, a->b, whole) != 0)
		return false;
	return whole == sizeof(a->b) || !((p->addr.b[whole] ^ a->b[whole]) &
					  byte_mask(p->len, (unsigned)whole));
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	return outer->len <= inner->len && prefix_contains(outer, &inner->addr);
}

void prefix_range(const struct prefix *p, struct addr *ret_first,
		  struct addr *ret_last)
{
	struct addr last = p->addr;

	for (unsigned i = 0; i < sizeof(last.b); i++)
		last.b[i] |= (uint8_t)~byte_mask(p->len, i);
	*ret_first = p->addr;
	*ret_last = last;
}

bool addr_next(struct addr *a)
{
	struct addr next = *a;

	for (size_t i = sizeof(next.b); i-- > 0;) {
		if (++next.b[i] != 0) {
			*a = next;
			return true;
		}
	}
	return false;
}
