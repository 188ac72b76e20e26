/* schema.h - every field of the audit, in one table
 * SPDX-License-Identifier: Apache-2.0
 *
 * The formatter, the message codec, the documentation and the checks of the
 * tests all walk this table: a field that is not in it does not exist.
 */
#ifndef EXEAT_AUDIT_SCHEMA_H
#define EXEAT_AUDIT_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

enum audit_type {
	AUDIT_T_TIME,		/* int64_t; RFC 3339 in UTC */
	AUDIT_T_U64,
	AUDIT_T_U32,
	AUDIT_T_U16,
	AUDIT_T_TEXT,		/* const char * */
	AUDIT_T_LIST,		/* const char *, words; array of text */
	AUDIT_T_LAYER,
	AUDIT_T_VERDICT,
	AUDIT_T_ADDRESS,	/* struct addr */
	AUDIT_T_ERRNO,		/* int; its symbolic name */
};

enum audit_when {
	AUDIT_ALWAYS,
	AUDIT_IF_SET,		/* not zero, not NULL, not "" */
	AUDIT_IF_FLAG,		/* the bool at `flag` says so */
};

struct audit_field {
	const char *name;
	enum audit_type type;
	enum audit_when when;
	size_t offset;		/* in struct audit_event */
	size_t flag;		/* offset of a bool; AUDIT_IF_FLAG only */
	const char *presence;	/* when it is there, in words */
	const char *meaning;
};

extern const struct audit_field audit_fields[];
extern const size_t audit_nfields;

/* "string", "number", "array of strings" */
const char *audit_type_json(enum audit_type type);

#endif
