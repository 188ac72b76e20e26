/* msg.h - typed messages with descriptors over SEQPACKET sockets
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * One message is one packet: a header, a body, up to MSG_FDS_MAX descriptors.
 * A body longer than MSG_INLINE_MAX travels in a sealed memfd that is passed
 * as the last descriptor; neither side's code sees the difference.
 *
 * A chan is one end: it owns the socket and a bounded queue of what the
 * kernel would not take yet. It does not know an event loop: whoever owns
 * one watches chan->fd for reading always, for writing while
 * chan_wants_write(), and calls chan_flush() and chan_recv().
 *
 * What may come in which state is a table of msg_rule; chan_recv() refuses
 * the rest with -EPROTO before any handler sees it.
 */
#ifndef EXEAT_BASE_MSG_H
#define EXEAT_BASE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MSG_FDS_MAX = 16,
	MSG_INLINE_MAX = 16 * 1024,
};

/* A received message. Bodies and fds belong to it until msg_done(). */
struct msg {
	uint32_t type;
	size_t len;
	const uint8_t *body;
	int fds[MSG_FDS_MAX];	/* take one by fd_steal(&m->fds[i]) */
	unsigned nfds;
	uint8_t *heap;		/* private */
	size_t mapped;		/* private */
	uint8_t inline_body[MSG_INLINE_MAX];
};

/* Close what was not taken. Accepts a zeroed message. */
void msg_done(struct msg *m);

struct msg_rule {
	uint32_t type;
	uint32_t states;	/* bit set of the receiver's states */
	uint32_t min_len, max_len;
	uint8_t min_fds, max_fds;
};

struct chan {
	int fd;
	const struct msg_rule *rules;
	size_t nrules;
	struct chan_out *head, *tail;	/* private: queue */
	size_t queued;			/* bytes in it */
	size_t limit;
	/* A descriptor that finds no place in this process is lost, and the
	 * message comes without it; else such a message is -EPROTO. Set after
	 * chan_init(). */
	bool may_lose_fds;
};

/*
 * Take over a SEQPACKET socket, make it non-blocking. `rules` says what may
 * be received; it is borrowed for the life of the chan. `limit`: bytes that
 * may wait.
 */
void chan_init(struct chan *c, int take_fd, const struct msg_rule *rules,
	       size_t nrules, size_t limit);
void chan_done(struct chan *c);

/*
 * Send, or queue. The fds are duplicated if queued; the caller keeps its own.
 * 0, -ENOBUFS (queue limit), -EPIPE and the like (peer gone), -ENOMEM.
 */
int chan_send(struct chan *c, uint32_t type, const void *body, size_t len,
	      const int *fds, unsigned nfds);
bool chan_wants_write(const struct chan *c);
int chan_flush(struct chan *c);		/* 0 or -errno; EAGAIN is 0 */

/*
 * Receive one message. 1: *m is filled (call msg_done). 0: nothing there.
 * -EPIPE: end of file. -EPROTO: against the rules for `state` (bit index).
 */
int chan_recv(struct chan *c, unsigned state, struct msg *m);

/* A pair of connected SEQPACKET sockets, close-on-exec. 0 or -errno. */
int chan_pair(int ret_fds[2]);

#endif
