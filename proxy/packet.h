/* packet.h - UDP packets with a source of our choice, for raw sockets
 * SPDX-License-Identifier: Apache-2.0
 *
 * A reply to a payload must come from where it sent to, which is any address
 * there is. RFC 791, 8200, 768.
 */
#ifndef EXEAT_PROXY_PACKET_H
#define EXEAT_PROXY_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	PACKET_HEAD_MAX = 40 + 8,
	/* bytes of data that fit: only IPv4 counts its own head */
	PACKET_UDP4_MAX = 65535 - 20 - 8,
	PACKET_UDP6_MAX = 65535 - 8,
};

/*
 * IP and UDP head for `len` bytes of data, in the family of the addresses;
 * checksums filled. Returns the length of both heads, 0 if the families
 * differ or the data is too long.
 */
size_t packet_udp_head(const struct endpoint *from, const struct endpoint *to,
		       const uint8_t *data, size_t len,
		       uint8_t ret[PACKET_HEAD_MAX]);

/*
 * Send it through the raw socket (IP_HDRINCL) of its family: `raw4` or
 * `raw6`. 0 or -errno (-EAFNOSUPPORT: that socket is -1; -EMSGSIZE).
 */
int packet_send_udp(int raw4, int raw6, const struct endpoint *from,
		    const struct endpoint *to, const uint8_t *data, size_t len);

/* Why a datagram does not arrive. */
enum packet_error {
	PACKET_PROHIBITED, /* administratively: what the kernel wall says, too */
	PACKET_NO_PORT,
	PACKET_NO_HOST,
};

/*
 * Tell `client` that its datagrams to `to` do not arrive, as if `to` said so
 * (RFC 792, RFC 4443 3.1). 0 or -errno.
 */
int packet_send_error(int raw4, int raw6, enum packet_error why,
		      const struct endpoint *client, const struct endpoint *to);

#endif
