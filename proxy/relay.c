/* relay.c - one direction of a relayed connection
 * SPDX-License-Identifier: Apache-2.0
 *
 * #syscalls recvfrom sendto shutdown
 */
#include "proxy/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void relay_done(struct relay *r)
{
	free(r->p);
	r->p = NULL;
	r->off = r->len = r->size = r->ok = 0;
}

const uint8_t *relay_held(const struct relay *r, size_t *ret_len)
{
	*ret_len = r->len - r->ok;
	return r->p ? r->p + r->off + r->ok : NULL;
}

int relay_keep(struct relay *r, const uint8_t *data, size_t len, size_t ok)
{
	uint8_t *p;

	if (len == 0)
		return 0;
	if (r->off > 0) {
		memmove(r->p, r->p + r->off, r->len);
		r->off = 0;
	}
	if (len > r->size - r->len) {
		p = realloc(r->p, r->len + len);
		if (!p)
			return -ENOMEM;
		r->p = p;
		r->size = r->len + len;
	}
	memcpy(r->p + r->len, data, len);
	r->len += len;
	r->ok += ok;
	return 0;
}

int relay_write(struct relay *r, int fd, const uint8_t *data, size_t len,
		int flags, size_t *ret_done)
{
	size_t may = r->meter ? meter_room(r->meter, r->way, len) : len;
	size_t done = 0;
	int e = 0;

	while (done < may && e == 0) {
		ssize_t n = send(fd, data + done, may - done,
				 flags | MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			e = -errno;
		else
			done += (size_t)n;
	}
	if (r->meter)
		meter_count(r->meter, r->way, done);
	r->bytes += done;
	*ret_done = done;
	return e == 0 && done == may && may < len ? -EDQUOT : e;
}

int relay_flush(struct relay *r, int fd)
{
	size_t done = 0;
	int e;

	if (r->ok == 0)
		return 0;
	e = relay_write(r, fd, r->p + r->off, r->ok, 0, &done);
	if (e < 0)
		return e;
	r->off += done;
	r->len -= done;
	r->ok -= done;
	if (r->len == 0)
		relay_done(r);
	return 0;
}

long relay_read(int fd, uint8_t *data, size_t size)
{
	ssize_t n;

	do {
		n = recv(fd, data, size, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void relay_finish(struct relay *r, int fd)
{
	if (!r->eof || r->shut || r->len > 0)
		return;
	(void)shutdown(fd, SHUT_WR); /* ENOTCONN: it is gone already */
	r->shut = true;
}
