/* packet.c - UDP packets with a source of our choice
 * SPDX-License-Identifier: Apache-2.0
 *
 * The raw sockets are connected, to nobody in particular: where a packet goes
 * stands in its own head, and no call here names an address.
 *
 * #syscalls writev
 */
#include "proxy/packet.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/base/buf.h"

enum { TTL = 64, UDP_HEAD = 8, ICMP_HEAD = 8, IP4_HEAD = 20, IP6_HEAD = 40 };

/* RFC 1071: 16-bit words, big endian, an odd byte padded with zero. */
static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	if (len == 1)
		sum += (uint32_t)p[0] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_end(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The bytes of an address as its family writes them. */
static const uint8_t *addr_bytes(const struct addr *a, size_t *ret_len)
{
	bool v4 = addr_is_v4(a);

	*ret_len = v4 ? 4 : 16;
	return v4 ? a->b + 12 : a->b;
}

static void put_ip4(struct wbuf *w, uint8_t protocol,
		    const struct endpoint *from, const struct endpoint *to,
		    size_t payload)
{
	uint8_t *head = w->p;

	wbuf_u8(w, 0x45);
	wbuf_u8(w, 0);
	wbuf_u16(w, (uint16_t)(IP4_HEAD + payload));
	wbuf_u16(w, 0); /* the kernel numbers it */
	wbuf_u16(w, 0);
	wbuf_u8(w, TTL);
	wbuf_u8(w, protocol);
	wbuf_u16(w, 0);
	wbuf_bytes(w, from->addr.b + 12, 4);
	wbuf_bytes(w, to->addr.b + 12, 4);
	put16(head + 10, sum_end(sum_add(0, head, IP4_HEAD)));
}

static void put_ip6(struct wbuf *w, uint8_t protocol,
		    const struct endpoint *from, const struct endpoint *to,
		    size_t payload)
{
	wbuf_u32(w, 0x60000000);
	wbuf_u16(w, (uint16_t)payload);
	wbuf_u8(w, protocol);
	wbuf_u8(w, TTL);
	wbuf_bytes(w, from->addr.b, 16);
	wbuf_bytes(w, to->addr.b, 16);
}

/* The head in the family of `to`. */
static void put_ip(struct wbuf *w, uint8_t protocol,
		   const struct endpoint *from, const struct endpoint *to,
		   size_t payload)
{
	if (addr_is_v4(&to->addr))
		put_ip4(w, protocol, from, to, payload);
	else
		put_ip6(w, protocol, from, to, payload);
}

size_t packet_udp_head(const struct endpoint *from, const struct endpoint *to,
		       const uint8_t *data, size_t len,
		       uint8_t ret[PACKET_HEAD_MAX])
{
	struct wbuf w = wbuf_make(ret, PACKET_HEAD_MAX);
	bool v4 = addr_is_v4(&to->addr);
	size_t payload = UDP_HEAD + len, n;
	const uint8_t *p;
	uint8_t *udp;
	uint32_t sum;
	uint16_t check;

	if (addr_is_v4(&from->addr) != v4 ||
	    len > (v4 ? PACKET_UDP4_MAX : PACKET_UDP6_MAX))
		return 0;
	put_ip(&w, IPPROTO_UDP, from, to, payload);
	udp = w.p;
	wbuf_u16(&w, from->port);
	wbuf_u16(&w, to->port);
	wbuf_u16(&w, (uint16_t)payload);
	wbuf_u16(&w, 0);

	sum = (uint32_t)IPPROTO_UDP + (uint32_t)payload;
	p = addr_bytes(&from->addr, &n);
	sum = sum_add(sum, p, n);
	p = addr_bytes(&to->addr, &n);
	sum = sum_add(sum, p, n);
	sum = sum_add(sum, udp, UDP_HEAD);
	check = sum_end(sum_add(sum, data, len));
	/* RFC 768: zero would say that there is no checksum */
	put16(udp + 6, check ? check : 0xffff);
	return wbuf_len(&w);
}

static int send_raw(int raw4, int raw6, const struct endpoint *to,
		    const struct iovec *iov, int n)
{
	int fd = addr_is_v4(&to->addr) ? raw4 : raw6;

	if (fd < 0)
		return -EAFNOSUPPORT;
	return writev(fd, iov, n) < 0 ? -errno : 0;
}

int packet_send_udp(int raw4, int raw6, const struct endpoint *from,
		    const struct endpoint *to, const uint8_t *data, size_t len)
{
	uint8_t head[PACKET_HEAD_MAX];
	size_t n = packet_udp_head(from, to, data, len, head);
	struct iovec iov[2] = {
		{ .iov_base = head, .iov_len = n },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};

	if (n == 0)
		return -EMSGSIZE;
	return send_raw(raw4, raw6, to, iov, 2);
}

static uint8_t error_code(enum packet_error why, bool v4)
{
	switch (why) {
	case PACKET_NO_PORT:
		return v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT;
	case PACKET_NO_HOST:
		return v4 ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR;
	case PACKET_PROHIBITED:
		break;
	}
	return v4 ? ICMP_PKT_FILTERED : ICMP6_DST_UNREACH_ADMIN;
}

int packet_send_error(int raw4, int raw6, enum packet_error why,
		      const struct endpoint *client, const struct endpoint *to)
{
	uint8_t packet[IP6_HEAD + ICMP_HEAD + PACKET_HEAD_MAX];
	uint8_t inner[PACKET_HEAD_MAX], *icmp;
	bool v4 = addr_is_v4(&client->addr);
	/* the beginning of what is lost: its head says whose it was */
	size_t n = packet_udp_head(client, to, inner, 0, inner);
	struct wbuf w = wbuf_make(packet, sizeof(packet));
	uint8_t protocol = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	struct iovec iov = { .iov_base = packet };
	uint32_t sum = 0;
	size_t len;

	if (n == 0)
		return -EMSGSIZE;
	put_ip(&w, protocol, to, client, ICMP_HEAD + n);
	icmp = w.p;
	wbuf_u8(&w, v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH);
	wbuf_u8(&w, error_code(why, v4));
	wbuf_u16(&w, 0);
	wbuf_u32(&w, 0);
	wbuf_bytes(&w, inner, n);
	len = ICMP_HEAD + n;
	if (!v4) { /* RFC 4443 2.3: the pseudo-header */
		sum = (uint32_t)len + protocol;
		sum = sum_add(sum, to->addr.b, 16);
		sum = sum_add(sum, client->addr.b, 16);
	}
	put16(icmp + 2, sum_end(sum_add(sum, icmp, len)));
	iov.iov_len = wbuf_len(&w);
	return send_raw(raw4, raw6, client, &iov, 1);
}
