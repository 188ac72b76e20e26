/* connector.c - reaching a target: a chain of identical small links
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/connector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "policy/upproxy.h"

static const struct connector_type *const chain_direct[] = {
	&connector_direct,
	NULL,
};

static const struct connector_type *const chain_proxy[] = {
	&connector_reach,
	&connector_talk,
	NULL,
};

static const struct connector_type *const chain_tls[] = {
	&connector_reach,
	&connector_wrap,
	&connector_talk,
	NULL,
};

static const struct connector_type *const *
chain_of(const struct connector_env *env, const struct connector_target *target)
{
	if (!target->by_proxy)
		return chain_direct;
	return env->proxy->kind == UPPROXY_HTTPS ? chain_tls : chain_proxy;
}

bool connector_is_proxy(const struct connector_env *env, const char *name,
			const struct endpoint *to)
{
	const struct upproxy *u = env->proxy;

	if (!u || to->port != u->port)
		return false;
	if (name && name[0] && strcmp(name, u->host) == 0)
		return true;
	if (!u->host[0])
		return addr_equal(&to->addr, &u->addr);
	for (size_t i = 0; i < env->nproxy_addrs; i++)
		if (addr_equal(&to->addr, &env->proxy_addrs[i]))
			return true;
	return false;
}

int connector_new(struct connector_env *env,
		  const struct connector_target *target, connector_cb *done,
		  void *user, struct connector **ret)
{
	struct connector *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->env = env;
	c->target = *target;
	c->fd = -1;
	c->links = chain_of(env, target);
	c->done = done;
	c->user = user;
	if ((*c->links)->start(c) < 0) {
		connector_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void connector_end(struct connector *c, enum connector_end end, int error)
{
	if (end == CONNECTOR_OK && c->links[1]) {
		(*c->links)->stop(c);
		c->links++;
		c->error = 0;
		error = -(*c->links)->start(c);
		if (!error)
			return;
		end = CONNECTOR_FAILED;
	}
	c->done(c->user, c, end, error);
}

int connector_steal_fd(struct connector *c)
{
	return fd_steal(&c->fd);
}

/* An end would be passed on, and the proxy's side be waited for. */
static void make_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void connector_free(struct connector *c)
{
	if (!c)
		return;
	(*c->links)->stop(c);
	if (c->wrapped && c->fd >= 0)
		make_reset(c->fd);
	fd_close(&c->fd);
	free(c);
}
