/* http_text.h - pieces of text, as the parsers of HTTP see them
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_PROXY_HTTP_TEXT_H
#define EXEAT_PROXY_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

/* Borrowed; not terminated. */
struct text {
	const char *p;
	size_t len;
};

/* Without regard to case. */
bool text_is(struct text t, const char *s);
bool text_starts(struct text t, const char *s);
bool text_contains(struct text t, const char *s);

/* Without blanks and tabs at both ends. */
struct text text_trim(struct text t);

/* Cut at the first `c`: returns what is before, *t becomes what is behind;
 * the whole, and *t empty, if there is none. */
struct text text_cut(struct text *t, char c);

/* Of a token (RFC 9110 5.6.2). */
bool http_is_tchar(unsigned char c);
/* Controls other than HTAB; bytes above 0x7f are let by (RFC 9110 5.5). */
bool http_is_control(unsigned char c);

bool http_is_token(struct text t); /* not empty */
/* One that some servers take for a name that bounds the body. */
bool http_is_lookalike(struct text t);
bool http_has_control(struct text t);

/*
 * host [":" port]: a name into ret, canonical, or *ret_literal and "" for an
 * address. userinfo, blanks and brackets around names fail as names do.
 */
bool http_authority(struct text t, char ret[LIMIT_NAME + 1], bool *ret_literal);

/* Decimal digits and nothing else (RFC 9110 8.6). */
bool http_length(struct text t, uint64_t *ret);

#endif
