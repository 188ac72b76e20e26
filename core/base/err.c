/* err.c - one error type: what failed, on which object, why, what helps
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/text.h"

static const struct {
	const char *name;
	int errnum;
} codes[] = {
	[ERR_NONE] = { "none", EIO },
	[ERR_INVALID] = { "invalid", EINVAL },
	[ERR_POLICY] = { "policy", EPERM },
	[ERR_UNAVAILABLE] = { "unavailable", ENOTSUP },
	[ERR_NOT_FOUND] = { "not_found", ENOENT },
	[ERR_CONFLICT] = { "conflict", EBUSY },
	[ERR_TIMEOUT] = { "timeout", ETIMEDOUT },
	[ERR_LIMIT] = { "limit", E2BIG },
	[ERR_INTERNAL] = { "internal", EIO },
};

static enum err_code known(enum err_code code)
{
	return (size_t)code < sizeof(codes) / sizeof(codes[0]) ? code :
								 ERR_INTERNAL;
}

static enum err_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNAVAILABLE;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case ETOOMANYREFS:
		return ERR_LIMIT;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_INTERNAL;
	}
}

/* Shorten s to `len` bytes, not in the middle of a UTF-8 sequence. */
static void cut(char *s, size_t len)
{
	while (len > 0 && ((uint8_t)s[len] & 0xc0) == 0x80)
		len--;
	s[len] = '\0';
}

__attribute__((format(printf, 3, 0))) static void
fill(char *field, size_t size, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		text[0] = '\0';
	if (strlen(text) >= size)
		cut(text, size - 1);
	memcpy(field, text, strlen(text) + 1);
}

void err_clear(struct err *err)
{
	if (err)
		*err = (struct err){ .code = ERR_NONE };
}

int err_sys(struct err *err, int errnum, const char *step,
	    const char *object_fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (errnum <= 0)
		errnum = EIO;
	if (!err)
		return -errnum;
	err_clear(err);
	err->code = code_of_errno(errnum);
	err->errnum = errnum;
	(void)snprintf(err->step, sizeof(err->step), "%s", step);
	if (object_fmt) {
		va_start(ap, object_fmt);
		fill(err->object, sizeof(err->object), object_fmt, ap);
		va_end(ap);
	}
	/* %m, because strerror() is not for threaded programs */
	errno = errnum;
	(void)snprintf(err->message, sizeof(err->message), "%m");
	errno = saved;
	return -errnum;
}

int err_new(struct err *err, enum err_code code, const char *step,
	    const char *object, const char *message_fmt, ...)
{
	va_list ap;

	code = known(code);
	if (!err)
		return -codes[code].errnum;
	err_clear(err);
	err->code = code == ERR_NONE ? ERR_INTERNAL : code;
	(void)snprintf(err->step, sizeof(err->step), "%s", step);
	if (object && strlen(object) < sizeof(err->object)) {
		memcpy(err->object, object, strlen(object) + 1);
	} else if (object) {
		memcpy(err->object, object, sizeof(err->object));
		cut(err->object, sizeof(err->object) - 1);
	}
	va_start(ap, message_fmt);
	fill(err->message, sizeof(err->message), message_fmt, ap);
	va_end(ap);
	return -codes[code].errnum;
}

void err_remedy(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	fill(err->remedy, sizeof(err->remedy), fmt, ap);
	va_end(ap);
}

void err_prefix(struct err *err, const char *fmt, ...)
{
	char context[sizeof(err->step)], whole[2 * sizeof(err->step) + 2];
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	fill(context, sizeof(context), fmt, ap);
	va_end(ap);
	(void)snprintf(whole, sizeof(whole), "%s: %s", context, err->step);
	if (strlen(whole) >= sizeof(err->step))
		cut(whole, sizeof(err->step) - 1);
	memcpy(err->step, whole, strlen(whole) + 1);
}

const char *err_code_name(enum err_code code)
{
	return codes[known(code)].name;
}

const char *err_str(const struct err *err, char *buf, size_t size)
{
	bool where = err->step[0] || err->object[0];
	char whole[sizeof(*err) + 8];

	(void)snprintf(whole, sizeof(whole), "%s%s%s%s%s%s%s%s", err->step,
		       err->step[0] && err->object[0] ? " " : "", err->object,
		       where && err->message[0] ? ": " : "", err->message,
		       err->remedy[0] ? " (" : "", err->remedy,
		       err->remedy[0] ? ")" : "");
	return text_shown(whole, buf, size);
}

void err_encode(const struct err *err, struct sbuf *ret)
{
	sbuf_u32(ret, (uint32_t)err->code);
	sbuf_u32(ret, (uint32_t)err->errnum);
	sbuf_lstr(ret, err->step);
	sbuf_lstr(ret, err->object);
	sbuf_lstr(ret, err->message);
	sbuf_lstr(ret, err->remedy);
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

bool err_decode(struct rbuf *r, struct err *ret)
{
	uint32_t code = rbuf_u32(r), errnum = rbuf_u32(r);
	struct err e = { .code = (enum err_code)code, .errnum = (int)errnum };

	if (r->bad || code == ERR_NONE || code > ERR_INTERNAL ||
	    errnum > INT32_MAX || !get_text(r, e.step, sizeof(e.step)) ||
	    !get_text(r, e.object, sizeof(e.object)) ||
	    !get_text(r, e.message, sizeof(e.message)) ||
	    !get_text(r, e.remedy, sizeof(e.remedy))) {
		(void)err_new(ret, ERR_INTERNAL, "read error", NULL,
			      "malformed message");
		return false;
	}
	*ret = e;
	return true;
}
