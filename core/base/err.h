/* err.h - one error type: what failed, on which object, why, what helps
 * SPDX-License-Identifier: Apache-2.0
 *
 * A function whose reason the user will read takes `struct err *err` as its
 * last parameter and fills it exactly once, where the failure happened.
 * Callers add context with err_prefix(). `err` may be NULL everywhere.
 */
#ifndef EXEAT_BASE_ERR_H
#define EXEAT_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

struct rbuf;
struct sbuf;

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,	 /* the caller's argument is wrong */
	ERR_POLICY,	 /* refused by a ceiling or a rule */
	ERR_UNAVAILABLE, /* the machine lacks something; see remedy */
	ERR_NOT_FOUND,
	ERR_CONFLICT,
	ERR_TIMEOUT,
	ERR_LIMIT,
	ERR_INTERNAL,
};

struct err {
	enum err_code code;
	int errnum;	   /* errno behind it, 0 if none */
	char step[48];	   /* what was being done: "open work dir" */
	char object[192];  /* on what: a path, an address, a rule */
	char message[384]; /* the reason in words, without step/object */
	char remedy[256];  /* what the user can do, "" if nothing */
};

/* Clear to ERR_NONE. */
void err_clear(struct err *err);

/*
 * A system call failed: `errnum` (positive), the step and the object.
 * The code is derived: ENOSYS, EOPNOTSUPP -> unavailable; ENOENT ->
 * not_found; EMFILE, ENFILE, ENOMEM, ENOSPC, EDQUOT -> limit; ETIMEDOUT ->
 * timeout; else internal. The message is strerror. Returns -errnum.
 */
int err_sys(struct err *err, int errnum, const char *step,
	    const char *object_fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * A failure of another kind. `object` may be NULL. Returns a negative errno
 * that fits the code (EINVAL, EPERM, ENOTSUP, ENOENT, EBUSY, ETIMEDOUT,
 * E2BIG, EIO), never 0.
 */
int err_new(struct err *err, enum err_code code, const char *step,
	    const char *object, const char *message_fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Add what helps; cut if too long. */
void err_remedy(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Put a context before the step: "posture 3: create namespace". */
void err_prefix(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "invalid", "policy", "unavailable", ... ; never NULL. */
const char *err_code_name(enum err_code code);

/*
 * One line: "STEP OBJECT: MESSAGE (REMEDY)", fit for a terminal
 * (text_shown()). Always terminates; returns buf.
 */
const char *err_str(const struct err *err, char *buf, size_t size);

/* On the wire: u32 code, u32 errno, lstr step, object, message, remedy. */
void err_encode(const struct err *err, struct sbuf *ret);
/* False if malformed: then *ret says so, as an error of its own. */
bool err_decode(struct rbuf *r, struct err *ret);

#endif
