/* pump.h - TLS to the caller's own proxy, for connections that others use
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The dialer reaches an https:// proxy as it reaches any other, and gives the
 * connection to the pump, which makes TLS of it. What the dialer, and then
 * front, go on with is a TCP socket again: what is written into it goes to the
 * proxy within TLS, what the proxy says comes out.
 *
 *	wrap		the connection comes. HANDSHAKE: the proxy's certificate is
 *			verified, its name too; what does not fit ends it, with
 *			the reason
 *	wrapped		an unconnected socket goes back. PAIRING: the dialer
 *			connects it to our listener, in our own network
 *			namespace; the loopback there is all that it can reach.
 *			We cannot do it ourselves: who may connect() could aim
 *			the host's sockets anew
 *	RELAY		both directions are copied, each waits for whoever takes
 *			its bytes. The end of one is close_notify there, a FIN
 *			here. Anything else that ends a side resets the other:
 *			a proxy that goes without close_notify was cut off
 *	LAST		what the proxy had said before it was cut off is read,
 *			then comes the reset
 *
 * All bytes of the proxy go into OpenSSL here, and nowhere else. The pump
 * holds no credentials.
 */
#ifndef EXEAT_PROXY_PUMP_H
#define EXEAT_PROXY_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

struct event_base;
struct pump;
struct upproxy;

enum { PUMP_PORT = 443 }; /* of 127.0.0.1, where nothing else is */

/* Who is expected, and who may say that it is the one. */
struct pump_trust {
	const struct upproxy *proxy; /* its name, or its address */
	/* Certificates of authorities, as PEM. The machine's may have some
	 * that cannot be read. The caller's must all be read, and one in the
	 * middle of a chain will do. */
	const char *machine, *own;
	size_t machine_len, own_len;
};

struct pump_hooks {
	void *user;
	/*
	 * Once for each pump_wrap() that pump_unwrap() did not take back, also
	 * from within. failure (upproxy_talk.h) 0: `fd`, borrowed, is to be
	 * connected to PUMP_PORT within LIMIT_WRAP_MS.
	 */
	void (*wrapped)(void *user, uint32_t id, int fd, uint32_t failure);
};

/*
 * `listener` (borrowed): at PUMP_PORT, in the network namespace of this
 * process. ERR_INVALID: pem.
 */
int pump_new(struct event_base *base, int listener,
	     const struct pump_trust *trust, const struct pump_hooks *hooks,
	     struct pump **ret, struct err *err);
void pump_free(struct pump *p);

/* take_fd: connected, to the proxy; -1: it was lost. `id`: no other one of
 * these. */
void pump_wrap(struct pump *p, uint32_t id, int take_fd);
/* It is not wanted any more; nothing if it was wrapped already. */
void pump_unwrap(struct pump *p, uint32_t id);

#endif
