/* command.c - what to execute, as one message body
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/command.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/base/limits.h"

/* The least that a string takes on the wire: its length and the NUL. */
#define STR_MIN 5

static void put_list(struct sbuf *b, const char *const *list)
{
	uint32_t n = 0;

	while (list && list[n])
		n++;
	sbuf_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		sbuf_lstr(b, list[i]);
}

/* A NULL-terminated array of borrowed strings; NULL if malformed. */
static const char **get_list(struct rbuf *r, int *ret_error)
{
	uint32_t n = rbuf_u32(r);
	const char **list;

	*ret_error = -EPROTO;
	if (r->bad || n > rbuf_left(r) / STR_MIN)
		return NULL;
	list = calloc((size_t)n + 1, sizeof(*list));
	if (!list) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		list[i] = rbuf_str(r);
		if (!list[i]) {
			free(list);
			return NULL;
		}
	}
	return list;
}

void command_encode(const struct command *c, struct sbuf *ret)
{
	put_list(ret, c->argv);
	put_list(ret, c->envp);
	sbuf_lstr(ret, c->cwd);
	sbuf_u8(ret, c->new_session);
	sbuf_u8(ret, c->tty);
	sbuf_u16(ret, c->rows);
	sbuf_u16(ret, c->cols);
	sbuf_u64(ret, c->rlimit_fsize);
	sbuf_u64(ret, c->rlimit_nofile);
	sbuf_u64(ret, c->rlimit_core);
	sbuf_u64(ret, c->rlimit_as);
	sbuf_u64(ret, c->rlimit_nproc);
	sbuf_u32(ret, c->cpus);
}

int command_decode(const void *body, size_t len, struct command *ret)
{
	struct rbuf r = rbuf_make(body, len);
	struct command c = { .argv = NULL };
	uint8_t new_session;
	int error = -EPROTO;

	if (len > LIMIT_ARGS_BYTES)
		return -E2BIG;
	c.argv = get_list(&r, &error);
	if (!c.argv)
		return error;
	c.envp = get_list(&r, &error);
	if (!c.envp)
		goto fail;
	error = -EPROTO;
	c.cwd = rbuf_str(&r);
	new_session = rbuf_u8(&r);
	c.new_session = new_session != 0;
	c.tty = rbuf_u8(&r);
	c.rows = rbuf_u16(&r);
	c.cols = rbuf_u16(&r);
	c.rlimit_fsize = rbuf_u64(&r);
	c.rlimit_nofile = rbuf_u64(&r);
	c.rlimit_core = rbuf_u64(&r);
	c.rlimit_as = rbuf_u64(&r);
	c.rlimit_nproc = rbuf_u64(&r);
	c.cpus = rbuf_u32(&r);
	if (r.bad || rbuf_left(&r) > 0 || !c.argv[0] || !c.cwd ||
	    c.cwd[0] != '/' || new_session > 1 || c.tty > 1)
		goto fail;
	*ret = c;
	return 0;
fail:
	command_done(&c);
	return error;
}

void command_done(struct command *c)
{
	free((void *)(uintptr_t)c->argv);
	free((void *)(uintptr_t)c->envp);
	c->argv = NULL;
	c->envp = NULL;
}
