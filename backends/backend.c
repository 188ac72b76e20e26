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
	{ BACKEND_STARTED, ANY_STATE, 0, 0, 0, 0 },
	{ BACKEND_FAILED, ANY_STATE, FAILED_MIN, FAILED_MAX, 0, 0 },
	{ BACKEND_EXITED, ANY_STATE, 28, 28, 0, 0 },
};
const size_t backend_keeper_nrules =
	sizeof(backend_keeper_rules) / sizeof(backend_keeper_rules[0]);

const struct msg_rule backend_child_rules[] = {
	{ BACKEND_COMMAND, ANY_STATE, 1, LIMIT_ARGS_BYTES, 3, 3 },
	{ BACKEND_SIGNAL, ANY_STATE, 4, 4, 0, 0 },
};
const size_t backend_child_nrules =
	sizeof(backend_child_rules) / sizeof(backend_child_rules[0]);

void backend_put_failed(struct sbuf *b, const struct err *err,
			uint32_t exit_code)
{
	sbuf_u32(b, (uint32_t)err->code);
	sbuf_u32(b, (uint32_t)err->errnum);
	sbuf_lstr(b, err->step);
	sbuf_lstr(b, err->object);
	sbuf_lstr(b, err->message);
	sbuf_lstr(b, err->remedy);
	sbuf_u32(b, exit_code);
}

/* A string that fits; a longer one is malformed. */
static bool get_text(struct rbuf *r, char *ret, size_t size)
{
	const char *s = rbuf_str(r);

	if (!s || strlen(s) >= size)
		return false;
	memcpy(ret, s, strlen(s) + 1);
	return true;
}

bool backend_get_failed(struct rbuf *r, struct err *ret,
			uint32_t *ret_exit_code)
{
	uint32_t code = rbuf_u32(r), errnum = rbuf_u32(r), exit_code;
	struct err e = { .code = (enum err_code)code, .errnum = (int)errnum };

	if (r->bad || code == ERR_NONE || code > ERR_INTERNAL ||
	    errnum > INT32_MAX || !get_text(r, e.step, sizeof(e.step)) ||
	    !get_text(r, e.object, sizeof(e.object)) ||
	    !get_text(r, e.message, sizeof(e.message)) ||
	    !get_text(r, e.remedy, sizeof(e.remedy)))
		return false;
	exit_code = rbuf_u32(r);
	if (r->bad || rbuf_left(r) > 0)
		return false;
	*ret = e;
	*ret_exit_code = exit_code;
	return true;
}
