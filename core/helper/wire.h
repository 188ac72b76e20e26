/* wire.h - a chan in a libevent loop
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_HELPER_WIRE_H
#define EXEAT_CORE_HELPER_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/msg.h"

struct event;
struct event_base;

struct wire {
	struct chan chan;
	struct event *readable, *writable;
	/* One message; msg_done() is the wire's. */
	void (*on_message)(void *user, struct msg *m);
	/* The other end is gone, or broke the rules. The wire is still there
	 * and silent; called once. */
	void (*on_end)(void *user, int error);
	void *user;
	int failed;		/* private: errno of a send */
	bool ended;		/* private */
};

/* Takes the socket over. Call-backs and user are set by the owner before.
 * 0 or -ENOMEM. */
int wire_init(struct wire *w, struct event_base *base, int take_fd,
	      const struct msg_rule *rules, size_t nrules);
void wire_done(struct wire *w);

/* Handle what has come and was not read yet; nothing on a wire that ended. */
void wire_drain(struct wire *w);

/* Send or queue; a dead end is reported by on_end, later, from the loop. */
void wire_send(struct wire *w, uint32_t type, const void *body, size_t len,
	       const int *fds, unsigned nfds);

#endif
