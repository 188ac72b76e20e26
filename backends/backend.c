/* backend.c - the table of backends, and the messages they share
 * SPDX-License-Identifier: Apache-2.0
 */
#include "backends/backend.h"

#include <string.h>

#include "core/base/limits.h"

static const struct backend *const backends[] = {
	&backend_userns,
};

#define NBACKENDS (sizeof(backends) / sizeof(backends[0]))

const struct backend *backend_find(const char *name)
{
	for (size_t i = 0; i < NBACKENDS; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

const char *backend_names(void)
{
	/* kept beside the table above */
	return "userns";
}

/* Whatever its state, an end may get these; its own order decides. */
#define ANY_STATE UINT32_MAX

/* Code, errno, four strings, exit code: as long as struct err can be. */
#define FAILED_MIN (3 * 4 + 4 * 4)
#define FAILED_MAX (sizeof(struct err) + 64)

const struct msg_rule backend_keeper_rules[] = {
	{ BACKEND_TTY, ANY_STATE, 0, 0, 1, 1 },
	{ BACKEND_STARTED, ANY_STATE, 0, 0, 0, 0 },
	{ BACKEND_FAILED, ANY_STATE, FAILED_MIN, FAILED_MAX, 0, 0 },
	{ BACKEND_EXITED, ANY_STATE, 28, 28, 0, 0 },
	{ BACKEND_STOPPED, ANY_STATE, 0, 0, 0, 0 },
	{ BACKEND_LOOSE, ANY_STATE, 0, 0, 0, 0 },
};
const size_t backend_keeper_nrules =
	sizeof(backend_keeper_rules) / sizeof(backend_keeper_rules[0]);

const struct msg_rule backend_child_rules[] = {
	{ BACKEND_COMMAND, ANY_STATE, 1, LIMIT_ARGS_BYTES, 3,
	  3 + BACKEND_GROUPS },
	{ BACKEND_SIGNAL, ANY_STATE, 4, 4, 0, 0 },
	{ BACKEND_PAUSE, ANY_STATE, 1, 1, 0, 1 },
};
const size_t backend_child_nrules =
	sizeof(backend_child_rules) / sizeof(backend_child_rules[0]);

void backend_put_failed(struct sbuf *b, const struct err *err,
			uint32_t exit_code)
{
	err_encode(err, b);
	sbuf_u32(b, exit_code);
}

bool backend_get_failed(struct rbuf *r, struct err *ret,
			uint32_t *ret_exit_code)
{
	struct err e;
	uint32_t exit_code;

	if (!err_decode(r, &e))
		return false;
	exit_code = rbuf_u32(r);
	if (r->bad || rbuf_left(r) > 0)
		return false;
	*ret = e;
	*ret_exit_code = exit_code;
	return true;
}
