/* h2_fields.h - the fields of one header block of HTTP/2
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_PROXY_H2_FIELDS_H
#define EXEAT_PROXY_H2_FIELDS_H

#include "proxy/h2.h"
#include "proxy/http_text.h"

struct h2_fields {
	bool trailers; /* set by the caller: no request begins */

	/* private */
	bool regular; /* a field that is no pseudo-header was seen */
	unsigned seen; /* of those that come once */
	unsigned count;
	size_t bytes;
	bool connect, options, star;
	bool literal, host_literal;
	char name[LIMIT_NAME + 1], host[LIMIT_NAME + 1];
	uint64_t length;
};

/* Take one. NULL, or why it is bad: static text. */
const char *h2_fields_add(struct h2_fields *f, struct text name,
			  struct text value);

/* At the end of the block. The same. */
const char *h2_fields_judge(const struct h2_fields *f, struct h2_request *ret);

/* The request says how long its body is. */
bool h2_fields_length(const struct h2_fields *f, uint64_t *ret);

#endif
