/* h2_fields.c - the fields of one header block of HTTP/2
 * SPDX-License-Identifier: Apache-2.0
 *
 * RFC 9113 8.2 and 8.3, all of it: a server may hand the request on as
 * HTTP/1, where a field that is not as it must be becomes another request.
 */
#include "proxy/h2_fields.h"

#include <string.h>

enum {
	FIELDS_MAX = 256,
	FIELD_OVERHEAD = 32, /* RFC 7541 4.1 */
	LIST_MAX = LIMIT_PEEK_BYTES,
};

/* Fields that come at most once. */
enum {
	METHOD = 1 << 0,
	SCHEME = 1 << 1,
	PATH = 1 << 2,
	AUTHORITY = 1 << 3,
	PROTOCOL = 1 << 4,
	HOST = 1 << 5,
	LENGTH = 1 << 6,
};

static const struct {
	const char *name;
	unsigned bit;
} once[] = {
	{ ":method", METHOD },
	{ ":scheme", SCHEME },
	{ ":path", PATH },
	{ ":authority", AUTHORITY },
	{ ":protocol", PROTOCOL },
	{ "host", HOST },
	{ "content-length", LENGTH },
};

/* RFC 9113 8.2.2: of the connection, which HTTP/2 does not have. */
static bool is_hop(struct text name)
{
	static const char *const hops[] = { "connection", "proxy-connection",
					    "keep-alive", "transfer-encoding",
					    "upgrade" };

	for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++)
		if (text_is(name, hops[i]))
			return true;
	return false;
}

static bool has_capital(struct text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.p[i] >= 'A' && t.p[i] <= 'Z')
			return true;
	return false;
}

static const char *check_form(const struct h2_fields *f, struct text name,
			      struct text value)
{
	struct text plain = name;

	if (name.len > 0 && name.p[0] == ':') {
		if (f->regular || f->trailers)
			return "pseudo-header out of place";
		plain.p++;
		plain.len--;
	}
	if (!http_is_token(plain) || has_capital(name) ||
	    http_is_lookalike(name))
		return "bad header name";
	if (http_has_control(value) || text_trim(value).len != value.len)
		return "control character in a header";
	return NULL;
}

static const char *take_path(struct h2_fields *f, struct text value)
{
	f->star = text_is(value, "*");
	if (!f->star && !text_starts(value, "/"))
		return "bad :path";
	if (memchr(value.p, ' ', value.len) || memchr(value.p, '\t', value.len))
		return "bad :path";
	return NULL;
}

static const char *take_once(struct h2_fields *f, unsigned bit,
			     struct text value)
{
	if (f->seen & bit)
		return "a header twice";
	f->seen |= bit;
	switch (bit) {
	case METHOD:
		/* methods are case-sensitive; servers are not always */
		f->connect = text_is(value, "CONNECT");
		f->options = text_is(value, "OPTIONS");
		return http_is_token(value) && !text_is(value, "TRACE") &&
				       !text_is(value, "TRACK") ?
			       NULL :
			       "bad method";
	case SCHEME:
		return text_is(value, "http") || text_is(value, "https") ?
			       NULL :
			       "bad :scheme";
	case PATH:
		return take_path(f, value);
	case AUTHORITY:
		return http_authority(value, f->name, &f->literal) ?
			       NULL :
			       "bad :authority";
	case HOST:
		return http_authority(value, f->host, &f->host_literal) ?
			       NULL :
			       "bad Host";
	case LENGTH:
		return http_length(value, &f->length) ? NULL :
							"bad Content-Length";
	case PROTOCOL:
		break;
	}
	return NULL;
}

const char *h2_fields_add(struct h2_fields *f, struct text name,
			  struct text value)
{
	const char *why = check_form(f, name, value);

	f->bytes += name.len + value.len + FIELD_OVERHEAD;
	if (++f->count > FIELDS_MAX || f->bytes > LIST_MAX)
		return "too many headers";
	if (why)
		return why;
	f->regular = f->regular || name.p[0] != ':';
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		if (!text_is(name, once[i].name))
			continue;
		/* servers that merge trailers do it behind their checks */
		return f->trailers ? "bad trailer" :
				     take_once(f, once[i].bit, value);
	}
	if (name.p[0] == ':')
		return "unknown pseudo-header";
	if (is_hop(name) ||
	    (text_is(name, "te") && !text_is(value, "trailers")))
		return "header of a connection";
	return NULL;
}

const char *h2_fields_judge(const struct h2_fields *f, struct h2_request *ret)
{
	bool plain_connect = f->connect && !(f->seen & PROTOCOL);
	unsigned need = plain_connect ? METHOD | AUTHORITY :
					METHOD | SCHEME | PATH;

	if ((f->seen & PROTOCOL) && !f->connect)
		return "unknown pseudo-header";
	if ((f->seen & need) != need ||
	    (plain_connect && (f->seen & (SCHEME | PATH))))
		return "a pseudo-header is missing";
	if (f->star && !f->options)
		return "bad :path";
	if ((f->seen & HOST) && (f->seen & AUTHORITY) &&
	    (f->literal != f->host_literal || strcmp(f->name, f->host) != 0))
		return "Host is not the authority";
	*ret = (struct h2_request){ .connect = f->connect };
	if (f->seen & AUTHORITY) {
		memcpy(ret->name, f->name, sizeof(ret->name));
		ret->literal = f->literal;
	} else if (f->seen & HOST) {
		memcpy(ret->name, f->host, sizeof(ret->name));
		ret->literal = f->host_literal;
	}
	return NULL;
}

bool h2_fields_length(const struct h2_fields *f, uint64_t *ret)
{
	*ret = f->length;
	return (f->seen & LENGTH) != 0;
}
