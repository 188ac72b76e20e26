/* connector_wrap.c - the link that has TLS made of the connection to the proxy
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The connection goes to a process of its own (pump.h), by way of the dialer's
 * owner. Back comes the reason why not, or an unconnected socket, which is
 * connected to that process; what is written into it reaches the proxy within
 * TLS. Nothing of ours, credentials above all, is sent before: the next link
 * begins when the proxy is known to be the one that was meant.
 *
 * #syscalls connect
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/connector.h"
#include "proxy/pump.h"
#include "proxy/upproxy_talk.h"

struct wrap {
	LIST_ENTRY(wrap) link;
	uint32_t id;
	struct connector *connector;
	bool answered;
};

static struct wrap *find(struct connector_env *env, uint32_t id)
{
	struct wrap *w;

	LIST_FOREACH(w, &env->wraps, link)
		if (w->id == id)
			return w;
	return NULL;
}

/* 0, also if that takes its time: who sends waits for it. errno. */
static int connect_pump(int fd)
{
	const struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(PUMP_PORT),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};

	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 ||
	    errno == EINPROGRESS || errno == EINTR)
		return 0;
	return errno;
}

void connector_wrapped(struct connector_env *env, uint32_t id, int take_fd,
		       uint32_t failure)
{
	cleanup_fd int fd = take_fd;
	struct wrap *w = find(env, id);
	struct connector *c;
	int error;

	if (!w)
		return; /* not wanted any more */
	c = w->connector;
	w->answered = true;
	c->failure = failure;
	if (failure)
		return connector_end(c, CONNECTOR_FAILED,
				     upproxy_failure_errno(failure));
	error = fd < 0 ? EMFILE : connect_pump(fd);
	if (error)
		return connector_end(c, CONNECTOR_FAILED, error);
	c->fd = fd_steal(&fd);
	c->wrapped = true;
	connector_end(c, CONNECTOR_OK, 0);
}

static int wrap_start(struct connector *c)
{
	const struct dialer_hooks *hooks = c->env->hooks;
	struct wrap *w = calloc(1, sizeof(*w));

	c->state = w;
	if (!w)
		return -ENOMEM;
	w->connector = c;
	w->id = ++c->env->last_wrap;
	LIST_INSERT_HEAD(&c->env->wraps, w, link);
	hooks->wrap(hooks->user, w->id, c->fd);
	fd_close(&c->fd);
	return 0;
}

static void wrap_stop(struct connector *c)
{
	const struct dialer_hooks *hooks = c->env->hooks;
	struct wrap *w = c->state;

	c->state = NULL;
	if (!w)
		return;
	if (!w->answered)
		hooks->unwrap(hooks->user, w->id);
	LIST_REMOVE(w, link);
	free(w);
}

const struct connector_type connector_wrap = {
	.name = "wrap",
	.start = wrap_start,
	.stop = wrap_stop,
};
