/* error_api.c - errors as the public header has them
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/error.h"

#include <stdio.h>
#include <string.h>

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)

/* One list, two names: a code passes by its number. */
SAME(EXEAT_OK, ERR_NONE);
SAME(EXEAT_INVALID, ERR_INVALID);
SAME(EXEAT_POLICY, ERR_POLICY);
SAME(EXEAT_UNAVAILABLE, ERR_UNAVAILABLE);
SAME(EXEAT_NOT_FOUND, ERR_NOT_FOUND);
SAME(EXEAT_CONFLICT, ERR_CONFLICT);
SAME(EXEAT_TIMEOUT, ERR_TIMEOUT);
SAME(EXEAT_LIMIT, ERR_LIMIT);
SAME(EXEAT_INTERNAL, ERR_INTERNAL);

void exeat_error_from(struct exeat_error *ret, const struct err *err)
{
	if (!ret)
		return;
	*ret = (struct exeat_error){
		.code = err->code == ERR_NONE ? EXEAT_INTERNAL :
						(enum exeat_code)err->code,
		.errnum = err->errnum,
	};
	(void)snprintf(ret->step, sizeof(ret->step), "%s", err->step);
	(void)snprintf(ret->object, sizeof(ret->object), "%s", err->object);
	(void)snprintf(ret->message, sizeof(ret->message), "%s", err->message);
	(void)snprintf(ret->remedy, sizeof(ret->remedy), "%s", err->remedy);
}

int error_needs(struct exeat_error *ret, const char *step,
		const struct error_arg *args)
{
	struct err err;
	int r;

	for (; args->name; args++) {
		if (args->value)
			continue;
		r = err_new(&err, ERR_INVALID, step, args->name, "is NULL");
		exeat_error_from(ret, &err);
		return r;
	}
	return 0;
}

int error_timeout(struct exeat_error *ret, const char *step, int timeout_ms)
{
	struct err err;
	int r;

	if (timeout_ms >= -1)
		return 0;
	r = err_new(&err, ERR_INVALID, step, "timeout_ms",
		    "less than -1, which is for ever");
	exeat_error_from(ret, &err);
	return r;
}

const char *exeat_code_name(enum exeat_code code)
{
	return code == EXEAT_OK ? "ok" : err_code_name((enum err_code)code);
}

const char *exeat_error_text(const struct exeat_error *error, char *buf,
			     size_t size)
{
	struct err err = { 0 };

	if (!buf || size == 0)
		return buf;
	buf[0] = '\0';
	if (!error)
		return buf;
	err.code = (enum err_code)error->code;
	(void)snprintf(err.step, sizeof(err.step), "%s", error->step);
	(void)snprintf(err.object, sizeof(err.object), "%s", error->object);
	(void)snprintf(err.message, sizeof(err.message), "%s", error->message);
	(void)snprintf(err.remedy, sizeof(err.remedy), "%s", error->remedy);
	return err_str(&err, buf, size);
}

const char *exeat_version(void)
{
	return EXEAT_VERSION;
}
