/* wire.c - a chan in a libevent loop
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/helper/wire.h"

#include <errno.h>
#include <event2/event.h>

#include "core/base/limits.h"

/* Messages handled before the other descriptors get their turn. */
enum { WIRE_BATCH = 64 };

static void wire_end(struct wire *w, int error)
{
	if (w->ended)
		return;
	w->ended = true;
	(void)event_del(w->readable);
	(void)event_del(w->writable);
	w->on_end(w->user, error);
}

void wire_drain(struct wire *w)
{
	for (int i = 0; !w->ended && i < WIRE_BATCH; i++) {
		struct msg m;
		int got = chan_recv(&w->chan, 0, &m);

		if (got == 0)
			return;
		if (got < 0)
			return wire_end(w, -got);
		w->on_message(w->user, &m);
		msg_done(&m);
	}
}

static void wire_read_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	wire_drain(user);
}

static void wire_flush(struct wire *w)
{
	int r = w->failed ? -w->failed : chan_flush(&w->chan);

	if (r < 0)
		return wire_end(w, -r);
	if (chan_wants_write(&w->chan))
		(void)event_add(w->writable, NULL);
}

static void wire_write_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	wire_flush(user);
}

int wire_init(struct wire *w, struct event_base *base, int take_fd,
	      const struct msg_rule *rules, size_t nrules)
{
	chan_init(&w->chan, take_fd, rules, nrules, LIMIT_CHAN_QUEUE);
	w->readable = event_new(base, w->chan.fd, EV_READ | EV_PERSIST,
				wire_read_cb, w);
	w->writable = event_new(base, w->chan.fd, EV_WRITE, wire_write_cb, w);
	if (!w->readable || !w->writable || event_add(w->readable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

void wire_done(struct wire *w)
{
	if (w->readable)
		event_free(w->readable);
	if (w->writable)
		event_free(w->writable);
	w->readable = w->writable = NULL;
	chan_done(&w->chan);
}

void wire_send(struct wire *w, uint32_t type, const void *body, size_t len,
	       const int *fds, unsigned nfds)
{
	int r = chan_send(&w->chan, type, body, len, fds, nfds);

	/*
	 * A failure is the end of the other side, or of the queue's patience
	 * with it. It is reported from the loop, where nobody holds a pointer.
	 */
	if (r < 0) {
		w->failed = -r;
		event_active(w->writable, EV_WRITE, 0);
	} else if (chan_wants_write(&w->chan)) {
		(void)event_add(w->writable, NULL);
	}
}
