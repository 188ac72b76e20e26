/* pump_tls.h - the pump's words with OpenSSL
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A pump_tls is one connection's TLS over a non-blocking socket. It knows
 * what the socket can do at present: `readable` and `writable` are set by the
 * owner when the loop says so, and cleared here when the kernel says EAGAIN.
 * A call that answers PUMP_AGAIN while both still stand has made progress
 * without bytes (a ticket, a key update): call it once more, but let others
 * have their turn.
 */
#ifndef EXEAT_PROXY_PUMP_TLS_H
#define EXEAT_PROXY_PUMP_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/pump.h"

struct pump_tls {
	SSL *ssl;
	int fd;
	bool readable, writable;
	bool ended; /* the socket's end of file was seen */
	int error;  /* errno of the socket, or 0 */
};

enum pump_io {
	PUMP_DONE,
	PUMP_AGAIN,
	PUMP_END,    /* reading: close_notify */
	PUMP_BROKEN, /* pump_tls_failure() says more of a handshake */
};

/* Everything that connections have in common; SSL_CTX_free(). */
int pump_tls_context(const struct pump_trust *trust, SSL_CTX **ret,
		     struct err *err);

/* Over `fd`, borrowed. `t` must stay where it is. 0 or -ENOMEM. */
int pump_tls_init(struct pump_tls *t, SSL_CTX *context,
		  const struct upproxy *to, int fd);
void pump_tls_done(struct pump_tls *t);

enum pump_io pump_tls_handshake(struct pump_tls *t);
uint32_t pump_tls_failure(const struct pump_tls *t);
enum pump_io pump_tls_read(struct pump_tls *t, void *data, size_t size,
			   size_t *ret_n);
/* After PUMP_AGAIN the same bytes must come first again. */
enum pump_io pump_tls_write(struct pump_tls *t, const void *data, size_t len,
			    size_t *ret_n);
/* close_notify; what the proxy says is read on. */
enum pump_io pump_tls_end(struct pump_tls *t);

#endif
