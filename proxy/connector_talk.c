/* connector_talk.c - the link that asks the caller's own proxy for the target
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * upproxy_talk.h says what to say; this carries it. What comes is looked at
 * before it is read, and only what is the proxy's own is read: the rest are
 * the target's first bytes, which front finds in the socket.
 *
 * #syscalls sendto recvfrom
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "proxy/connector.h"
#include "proxy/upproxy_talk.h"

static void ready_cb(evutil_socket_t fd, short what, void *arg);

static int await(struct connector *c, short what)
{
	if (c->event)
		event_free(c->event);
	c->event = event_new(c->env->base, c->fd, what, ready_cb, c);
	if (!c->event || event_add(c->event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static void fail(struct connector *c, uint32_t failure)
{
	c->failure = failure;
	connector_end(c, CONNECTOR_FAILED, upproxy_failure_errno(failure));
}

static void lost(struct connector *c, int error)
{
	fail(c, upproxy_failed(UPPROXY_F_LOST, (unsigned)error));
}

/* 0: all is said. 1: not all could be. -errno. */
static int say(struct connector *c)
{
	struct upproxy_talk *t = c->state;
	const void *out;
	size_t len;

	while ((out = upproxy_talk_out(t, &len)) != NULL) {
		ssize_t n = send(c->fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		upproxy_talk_sent(t, (size_t)n);
	}
	return 0;
}

static void go_on(struct connector *c)
{
	int r = say(c);

	if (r < 0)
		return lost(c, -r);
	if (await(c, r > 0 ? EV_WRITE : EV_READ) < 0)
		connector_end(c, CONNECTOR_FAILED, ENOMEM);
}

/* What is there of the proxy's answer; the rest stays. */
static void hear(struct connector *c)
{
	struct upproxy_talk *t = c->state;
	enum upproxy_status status;
	uint8_t data[4096];
	size_t used;
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return go_on(c);
	if (n <= 0)
		return lost(c, n < 0 ? errno : 0);
	status = upproxy_talk_take(t, data, (size_t)n, &used);
	/* they are there: it was just seen */
	if (recv(c->fd, data, used, MSG_DONTWAIT) != (ssize_t)used)
		return lost(c, EIO);
	switch (status) {
	case UPPROXY_MORE:
		return go_on(c);
	case UPPROXY_DONE:
		return connector_end(c, CONNECTOR_OK, 0);
	case UPPROXY_FAILED:
		return fail(c, t->failure);
	}
}

static void ready_cb(evutil_socket_t fd, short what, void *arg)
{
	struct connector *c = arg;

	(void)fd;
	if (what & EV_WRITE)
		return go_on(c);
	hear(c);
}

static int talk_start(struct connector *c)
{
	struct upproxy_talk *t = malloc(sizeof(*t));

	c->state = t;
	if (!t)
		return -ENOMEM;
	upproxy_talk_begin(t, c->env->proxy, c->target.name, &c->target.to);
	return await(c, EV_WRITE);
}

static void talk_stop(struct connector *c)
{
	struct upproxy_talk *t = c->state;

	if (c->event)
		event_free(c->event);
	c->event = NULL;
	if (t)
		upproxy_talk_wipe(t);
	free(t);
	c->state = NULL;
}

const struct connector_type connector_talk = {
	.name = "talk",
	.start = talk_start,
	.stop = talk_stop,
};
