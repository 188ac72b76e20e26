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

const char *exeat_code_name(enum exeat_code code)
{
	return code == EXEAT_OK ? "ok" : err_code_name((enum err_code)code);
}

const char *exeat_error_text(const struct exeat_error *error, char *buf,
			     size_t size)
{
	struct err err = { .code = (enum err_code)error->code };

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
