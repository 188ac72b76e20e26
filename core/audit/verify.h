/* verify.h - is an audit as it was written?
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of a file go in, in pieces of any size; what is wrong comes out, line
 * by line, and at the end what became of each session. Nothing in the file is
 * believed: a line has its bounds, and every text that comes out is of the
 * file's making.
 */
#ifndef EXEAT_AUDIT_VERIFY_H
#define EXEAT_AUDIT_VERIFY_H

#include <stddef.h>
#include <stdint.h>

/* The worst of many is their greatest. */
enum audit_state {
	AUDIT_WHOLE,
	AUDIT_UNTOLD,		/* no fault, but no end either */
	AUDIT_BROKEN,
};

struct audit_fault {
	uint64_t line;		/* of the file, from 1 */
	const char *session;	/* "": not known */
	enum audit_state state;	/* what it makes of the file */
	const char *reason;
};

struct audit_session {
	const char *id;
	enum audit_state state;
	uint64_t records;
	uint64_t lost;		/* events that could not be written, it says */
	uint64_t line;		/* where its last record stands */
	const char *hash;	/* of its last record */
};

struct audit_totals {
	enum audit_state state;
	uint64_t lines, records, sessions, lost, faults;
};

/* Texts are borrowed for the call. */
struct audit_hooks {
	void *user;
	void (*fault)(void *user, const struct audit_fault *fault);
	/* at the end, in the order of their first records */
	void (*session)(void *user, const struct audit_session *session);
};

struct audit_verify;

struct audit_verify *audit_verify_new(const struct audit_hooks *hooks);
/* 0, -ENOMEM, or -E2BIG: more sessions than LIMIT_AUDIT_SESSIONS. Then it
 * cannot be told, and nothing but free may follow. */
int audit_verify_bytes(struct audit_verify *v, const void *data, size_t len);
int audit_verify_end(struct audit_verify *v, struct audit_totals *ret);
void audit_verify_free(struct audit_verify *v);

#endif
