/* relay.h - one direction of a relayed connection
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes are copied through the caller's chunk; what the other side does not
 * take, or may not have yet, stays in a heap buffer of this direction, and
 * while something waits nothing more is read: backpressure. The buffer is
 * freed when it is empty, so an idle flow holds no memory.
 */
#ifndef EXEAT_PROXY_RELAY_H
#define EXEAT_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/meter.h"

struct relay {
	struct meter *meter; /* NULL: any number of bytes may go on */
	enum policy_way way;
	uint8_t *p;
	size_t off, len, size; /* waiting: p[off .. off + len) */
	size_t ok;	       /* of these, may be written */
	bool eof;	       /* the reading side ended */
	bool shut;	       /* and the writing side was told */
	uint64_t bytes;	       /* written */
};

void relay_done(struct relay *r);

/* Bytes that wait for leave to be written. */
const uint8_t *relay_held(const struct relay *r, size_t *ret_len);

/* Append `len` bytes, of which the first `ok` may be written. Mustn't: ok > 0
 * while others are held. 0 or -ENOMEM. */
int relay_keep(struct relay *r, const uint8_t *data, size_t len, size_t ok);

/* Write what may be written. 0 (also if some is left), or -errno; -EDQUOT as
 * relay_write(). */
int relay_flush(struct relay *r, int fd);

/*
 * Write from `data` what `fd` takes now; *ret_done bytes. 0 or -errno. `flags`
 * of send(): MSG_MORE if relay_finish() follows. -EDQUOT: all that the budgets
 * let go on was written, and there is more.
 */
int relay_write(struct relay *r, int fd, const uint8_t *data, size_t len,
		int flags, size_t *ret_done);

/* Read once. The count, 0 at the end, -EAGAIN, or -errno. */
long relay_read(int fd, uint8_t *data, size_t size);

/* Pass the end on: once nothing waits, shutdown() the writing side. */
void relay_finish(struct relay *r, int fd);

#endif
