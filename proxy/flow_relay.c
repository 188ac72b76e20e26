/* flow_relay.c - a TCP flow's bytes, both ways
 * SPDX-License-Identifier: Apache-2.0
 *
 * The client's bytes go through the filter; what it holds back stays in the
 * direction's buffer. A target's bytes are only shown to it. Each call moves
 * a bounded number of chunks, so that no flow starves the others.
 *
 * #syscalls recvfrom sendto shutdown
 */
#include <errno.h>
#include <sys/socket.h>

#include "proxy/flow_private.h"

enum { CHUNKS_AT_ONCE = 4 };

bool flow_judge(struct flow *fl)
{
	size_t len, pass;
	const uint8_t *held = relay_held(&fl->up, &len);

	if (len == 0 || fl->question.id)
		return true;
	switch (filter_client(&fl->filter, held, len, &pass)) {
	case FILTER_ASK:
		fl->up.ok += pass;
		return flow_ask(fl);
	case FILTER_REFUSE:
		return flow_refuse_bytes(fl, fl->filter.reason, fl->filter.why);
	case FILTER_PASS:
	case FILTER_HOLD:
		break;
	}
	fl->up.ok += pass;
	return true;
}

/* -- relaying -- */

static size_t held_len(const struct flow *fl)
{
	return fl->up.len - fl->up.ok;
}

/*
 * One chunk from the client on: filtered, then written, the rest kept. *ret_n
 * is what was read; 0: nothing there.
 */
static bool pass_up(struct flow *fl, size_t *ret_n)
{
	uint8_t *chunk = fl->posture->front->chunk;
	size_t held = held_len(fl);
	size_t room = held > 0 ? LIMIT_PEEK_BYTES - held : LIMIT_RELAY_CHUNK;
	long n = relay_read(fl->client, chunk, room);
	size_t done = 0;
	int e;

	*ret_n = 0;
	if (n == -EAGAIN)
		return true;
	if (n < 0)
		return flow_reset(fl);
	fl->up.eof = n == 0;
	if (n == 0)
		filter_client_ended(&fl->filter);
	*ret_n = (size_t)n;
	if (held == 0 && fl->filter.mode == FILTER_OPAQUE) {
		e = relay_write(&fl->up, fl->target, chunk, *ret_n, 0, &done);
		if (e < 0)
			return flow_broken(fl, e);
		if (relay_keep(&fl->up, chunk + done, *ret_n - done,
			       *ret_n - done) < 0)
			return flow_fail(fl, ENOMEM);
		return true;
	}
	if (relay_keep(&fl->up, chunk, *ret_n, 0) < 0)
		return flow_fail(fl, ENOMEM);
	return flow_judge(fl);
}

static bool may_read_client(const struct flow *fl)
{
	return !fl->up.eof && fl->up.ok == 0 && !fl->question.id &&
	       held_len(fl) < LIMIT_PEEK_BYTES;
}

/* The later of two ends is not told by shutdown(): close() follows. */
static void finish(struct relay *r, const struct relay *other, int fd)
{
	if (r->eof && r->len == 0 && other->shut)
		r->shut = true;
	else
		relay_finish(r, fd);
}

bool flow_pump_up(struct flow *fl)
{
	int e;

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		size_t n;

		e = relay_flush(&fl->up, fl->target);
		if (e < 0)
			return flow_broken(fl, e);
		if (!may_read_client(fl))
			break;
		if (!pass_up(fl, &n))
			return false;
		/* little came: there will hardly be more; the end is an
		 * event of its own */
		if (n < LIMIT_RELAY_CHUNK / 2)
			break;
	}
	e = relay_flush(&fl->up, fl->target);
	if (e < 0)
		return flow_broken(fl, e);
	if (fl->up.eof && fl->up.ok == 0 && held_len(fl) > 0 &&
	    !fl->question.id && !filter_waits_for_server(&fl->filter))
		return flow_refuse_bytes(fl, POLICY_R_MALFORMED,
					 "ended in the middle");
	finish(&fl->up, &fl->down, fl->target);
	return true;
}

/*
 * One chunk from the target on. An end that is known to follow leaves in the
 * packet of the last bytes. *ret_n is what was read; 0: nothing there.
 */
static bool pass_down(struct flow *fl, bool ends, bool *again, size_t *ret_n)
{
	uint8_t *chunk = fl->posture->front->chunk;
	long n = relay_read(fl->target, chunk, LIMIT_RELAY_CHUNK),
	     end = -EAGAIN;
	size_t done;
	int e;

	*ret_n = 0;
	if (n == -EAGAIN)
		return true;
	if (n < 0)
		return flow_reset(fl);
	if (ends && n > 0 && n < LIMIT_RELAY_CHUNK) {
		end = relay_read(fl->target, chunk + n,
				 (size_t)(LIMIT_RELAY_CHUNK - n));
		n += end > 0 ? end : 0;
	}
	*ret_n = (size_t)n;
	fl->down.eof = n == 0 || end == 0;
	if (filter_server(&fl->filter, chunk, *ret_n))
		*again = true;
	e = relay_write(&fl->down, fl->client, chunk, *ret_n,
			end == 0 ? MSG_MORE : 0, &done);
	if (e < 0)
		return flow_broken(fl, e);
	if (relay_keep(&fl->down, chunk + done, *ret_n - done, *ret_n - done) <
	    0)
		return flow_fail(fl, ENOMEM);
	return end >= 0 || end == -EAGAIN || flow_reset(fl);
}

bool flow_pump_down(struct flow *fl, bool ends)
{
	bool again = false;

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		size_t n;

		int e = relay_flush(&fl->down, fl->client);

		if (e < 0)
			return flow_broken(fl, e);
		if (fl->down.len > 0 || fl->down.eof)
			break;
		if (!pass_down(fl, ends, &again, &n))
			return false;
		if (n < LIMIT_RELAY_CHUNK / 2)
			break;
	}
	finish(&fl->down, &fl->up, fl->client);
	return !again || (flow_judge(fl) && flow_pump_up(fl));
}

static void want(struct flow *fl, struct event *ev, unsigned bit, bool on)
{
	if (on == ((fl->on & bit) != 0))
		return;
	if (on && event_add(ev, NULL) == 0)
		fl->on |= bit;
	else if (!on && event_del(ev) == 0)
		fl->on &= ~bit;
}

/* What is held waits for a server that will say no more. */
static bool waits_in_vain(const struct flow *fl)
{
	return fl->down.eof && fl->down.len == 0 && held_len(fl) > 0 &&
	       filter_waits_for_server(&fl->filter);
}

void flow_settle(struct flow *fl)
{
	bool owes = flow_owes_name(fl);
	bool waits = fl->question.id || held_len(fl) > 0 || owes;

	if (fl->up.shut && fl->down.shut)
		return flow_close(fl, FLOW_DONE);
	if (owes && fl->up.shut)
		return flow_close(fl, FLOW_RESET);
	if (waits_in_vain(fl))
		return flow_close(fl, FLOW_RESET);
	want(fl, &fl->client_in, ON_CLIENT_IN, may_read_client(fl));
	want(fl, &fl->target_out, ON_TARGET_OUT, fl->up.ok > 0);
	want(fl, &fl->target_in, ON_TARGET_IN,
	     !fl->down.eof && fl->down.len == 0 && !owes);
	want(fl, &fl->client_out, ON_CLIENT_OUT, fl->down.len > 0);
	if (!waits)
		(void)event_del(&fl->timer);
	else if (!event_pending(&fl->timer, EV_TIMEOUT, NULL))
		flow_timer(fl, LIMIT_DIAL_MS);
}

void flow_target_out_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	(void)what;
	if (flow_pump_up(fl))
		flow_settle(fl);
}

void flow_target_in_cb(evutil_socket_t fd, short what, void *flow)
{
	struct flow *fl = flow;

	(void)fd;
	if (flow_pump_down(fl, what & EV_CLOSED))
		flow_settle(fl);
}
