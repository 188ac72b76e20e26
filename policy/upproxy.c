/* upproxy.c - the caller's own proxy: a URL in, a typed value out
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/upproxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/num.h"
#include "policy/pattern.h"
#include "policy/rule.h"

static const struct {
	const char *name;
	enum upproxy_kind kind;
	uint16_t port;
	bool by_name;
} schemes[] = {
	{ "http", UPPROXY_HTTP, 80, false },
	{ "https", UPPROXY_HTTPS, 443, false },
	{ "socks5", UPPROXY_SOCKS, 1080, false },
	{ "socks5h", UPPROXY_SOCKS, 1080, true },
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

/* What people also write; each has its own answer. */
static const struct {
	const char *name, *remedy;
} other_schemes[] = {
	{ "socks", "write socks5:// or socks5h://" },
	{ "socks4", "SOCKS 4 is not served: use socks5:// or http://" },
	{ "socks4a", "SOCKS 4 is not served: use socks5:// or http://" },
	{ "pac", "PAC is not served: name the proxy that it would choose" },
	{ "pac+http",
	  "PAC is not served: name the proxy that it would choose" },
	{ "pac+https",
	  "PAC is not served: name the proxy that it would choose" },
	{ "ntlm", "NTLM is not served: put a local proxy that speaks it "
		  "between, as cntlm does" },
	{ "negotiate", "Kerberos is not served: put a local proxy that "
		       "speaks it between" },
	{ "kerberos", "Kerberos is not served: put a local proxy that "
		      "speaks it between" },
};

struct parser {
	const char *url, *p;
	struct upproxy *u;
	struct upproxy_error *error;
};

static int wrong(const struct parser *s, const char *at, const char *message,
		 const char *remedy)
{
	*s->error = (struct upproxy_error){
		.position = (size_t)(at - s->url),
		.message = message,
		.remedy = remedy,
	};
	return -EINVAL;
}

static const char *scheme_remedy(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(other_schemes) / sizeof(*other_schemes);
	     i++) {
		if (strlen(other_schemes[i].name) == len &&
		    strncasecmp(other_schemes[i].name, name, len) == 0)
			return other_schemes[i].remedy;
	}
	return "http://, https://, socks5:// or socks5h://HOST:PORT";
}

static int parse_scheme(struct parser *s)
{
	const char *end = strstr(s->url, "://");
	size_t len = end ? (size_t)(end - s->url) : 0;

	if (!end)
		return wrong(s, s->url, "has no scheme",
			     "http://, https://, socks5:// or "
			     "socks5h://HOST:PORT");
	for (size_t i = 0; i < SCHEMES; i++) {
		if (strlen(schemes[i].name) != len ||
		    strncasecmp(schemes[i].name, s->url, len) != 0)
			continue;
		s->u->kind = schemes[i].kind;
		s->u->port = schemes[i].port;
		s->u->by_scheme = schemes[i].by_name;
		if (schemes[i].by_name)
			s->u->by = UPPROXY_BY_NAME;
		s->p = end + 3;
		return 0;
	}
	return wrong(s, s->url, "this kind of proxy is not served",
		     scheme_remedy(s->url, len));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One part of the user information, decoded. */
static int parse_text(const struct parser *s, const char *from, const char *end,
		      char ret[UPPROXY_TEXT + 1])
{
	size_t n = 0;

	for (const char *p = from; p < end; p++) {
		int c = (unsigned char)*p;

		if (c == '%') {
			if (end - p < 3 || hex(p[1]) < 0 || hex(p[2]) < 0)
				return wrong(s, p, "a % without two digits",
					     "write %25 for a percent sign");
			c = hex(p[1]) << 4 | hex(p[2]);
			p += 2;
		} else if (c <= ' ' || c == 0x7f) {
			return wrong(s, p, "a blank or control character",
				     "write it as %XX");
		}
		if (c == 0 || c == '\r' || c == '\n')
			return wrong(s, p, "a character that no proxy takes",
				     "");
		if (n == UPPROXY_TEXT)
			return wrong(s, p, "longer than 255 bytes", "");
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return 0;
}

static int parse_credentials(struct parser *s)
{
	const char *end = s->p + strcspn(s->p, "/?#");
	const char *at = memrchr(s->p, '@', (size_t)(end - s->p));
	const char *colon;
	int r;

	if (!at)
		return 0;
	colon = memchr(s->p, ':', (size_t)(at - s->p));
	r = parse_text(s, s->p, colon ? colon : at, s->u->user);
	if (r == 0 && colon)
		r = parse_text(s, colon + 1, at, s->u->password);
	if (r < 0)
		return r;
	if (!s->u->user[0])
		return wrong(s, s->p, "a user name is missing", "");
	/* RFC 7617 2: what stands before the first colon is the name */
	if (s->u->kind != UPPROXY_SOCKS && strchr(s->u->user, ':'))
		return wrong(s, s->p, "the user name has a colon in it", "");
	if (s->u->kind == UPPROXY_SOCKS && !s->u->password[0])
		return wrong(s, at, "a password is missing",
			     "SOCKS takes no empty one (RFC 1929)");
	s->u->has_credentials = true;
	s->p = at + 1;
	return 0;
}

static bool is_any(const struct addr *a)
{
	static const struct addr v6;
	const struct addr v4 = addr_from_v4(0);

	return addr_equal(a, &v6) || addr_equal(a, &v4);
}

/* A name, in ASCII or not. */
static bool host_name(const char *text, size_t len, char ret[LIMIT_NAME + 1])
{
	const char *why;
	size_t at;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return name_to_a_labels(text, len, ret, &at, &why);
	return name_canonical(text, len, ret);
}

static int parse_host(struct parser *s)
{
	const char *from = s->p, *end;
	const bool bracket = *from == '[';
	const char *cursor = from + bracket;

	if (addr_parse(&cursor, &s->u->addr) &&
	    addr_is_v4(&s->u->addr) == !bracket &&
	    (!bracket || *cursor++ == ']') && strchr(":/", *cursor)) {
		s->p = cursor;
		if (is_any(&s->u->addr))
			return wrong(s, from, "no address to connect to", "");
		return 0;
	}
	end = from + strcspn(from, ":/?#");
	if (bracket || !host_name(from, (size_t)(end - from), s->u->host))
		return wrong(s, from,
			     end == from ? "the proxy's host is missing" :
					   "not a host name or address",
			     "IPv6 addresses stand in brackets");
	s->p = end;
	return 0;
}

static int parse_port(struct parser *s)
{
	uint64_t port;
	const char *from = s->p;

	if (*s->p == ':') {
		s->p++;
		if (!num_parse_u64(&s->p, UINT16_MAX, &port) || port == 0)
			return wrong(s, from + 1, "not a port", "1 to 65535");
		s->u->port = (uint16_t)port;
	}
	if (*s->p == '/')
		s->p++;
	if (*s->p)
		return wrong(s, s->p, "nothing may follow the port", "");
	return 0;
}

int upproxy_parse(const char *url, struct upproxy *ret,
		  struct upproxy_error *error)
{
	struct upproxy u = { 0 };
	struct parser s = { .url = url, .p = url, .u = &u, .error = error };
	int r = parse_scheme(&s);

	if (r == 0)
		r = parse_credentials(&s);
	if (r == 0)
		r = parse_host(&s);
	if (r == 0)
		r = parse_port(&s);
	if (r == 0)
		*ret = u;
	upproxy_wipe(&u);
	return r;
}

const char *upproxy_choose(struct upproxy *u, const char *by, const char *dns)
{
	const bool address = by && strcmp(by, "address") == 0;
	const bool name = by && strcmp(by, "name") == 0;

	if (by && !address && !name)
		return "one of address, name was expected";
	if (dns && strcmp(dns, "local") != 0 && strcmp(dns, "proxy") != 0)
		return "one of local, proxy was expected";
	if (address && u->by_scheme)
		return "socks5h is by name; socks5 is by address";
	u->dns = dns && strcmp(dns, "proxy") == 0;
	if (address && u->dns)
		return "what the proxy resolves, it is told by name";
	if (name || u->dns)
		u->by = UPPROXY_BY_NAME;
	return NULL;
}

void upproxy_encode(const struct upproxy *u, struct sbuf *ret)
{
	sbuf_u8(ret, (uint8_t)u->kind);
	sbuf_u8(ret, (uint8_t)u->by);
	sbuf_u8(ret, u->dns);
	sbuf_u8(ret, u->has_credentials);
	sbuf_u16(ret, u->port);
	sbuf_lstr(ret, u->host);
	sbuf_add(ret, u->addr.b, sizeof(u->addr.b));
	sbuf_lstr(ret, u->user);
	sbuf_lstr(ret, u->password);
}

static void get_text(struct rbuf *r, char *ret, size_t size)
{
	const char *s = rbuf_str(r);
	size_t n = s ? strlen(s) : size;

	if (n >= size) {
		r->bad = true;
		return;
	}
	memcpy(ret, s, n + 1);
}

bool upproxy_decode(struct rbuf *r, struct upproxy *ret)
{
	struct upproxy u = { 0 };
	char canonical[LIMIT_NAME + 1];
	uint8_t kind = rbuf_u8(r), by = rbuf_u8(r), dns = rbuf_u8(r);
	uint8_t has_credentials = rbuf_u8(r);
	const uint8_t *bytes;
	bool ok;

	u.port = rbuf_u16(r);
	get_text(r, u.host, sizeof(u.host));
	bytes = rbuf_bytes(r, 16);
	if (bytes)
		u.addr = addr_from_bytes(bytes, 16);
	get_text(r, u.user, sizeof(u.user));
	get_text(r, u.password, sizeof(u.password));
	ok = !r->bad && kind > UPPROXY_NONE && kind <= UPPROXY_SOCKS &&
	     by <= UPPROXY_BY_NAME && dns <= 1 && has_credentials <= 1 &&
	     u.port > 0;
	if (ok && u.host[0])
		ok = name_canonical(u.host, strlen(u.host), canonical) &&
		     strcmp(u.host, canonical) == 0;
	else if (ok)
		ok = !is_any(&u.addr);
	u.kind = kind;
	u.by = by;
	u.dns = dns;
	u.has_credentials = has_credentials;
	if (ok)
		*ret = u;
	upproxy_wipe(&u);
	return ok;
}

static const char mask[] = "***";

static const char *scheme_of(const struct upproxy *u)
{
	for (size_t i = 0; i < SCHEMES; i++)
		if (schemes[i].kind == u->kind &&
		    schemes[i].by_name == u->by_scheme)
			return schemes[i].name;
	return "";
}

const char *upproxy_url(const struct upproxy *u, char buf[UPPROXY_URL])
{
	const struct endpoint at = { u->addr, u->port };
	char text[ENDPOINT_STRLEN], port[8];

	(void)snprintf(port, sizeof(port), ":%u", (unsigned)u->port);
	(void)snprintf(buf, UPPROXY_URL, "%s://%s%s%s%s%s%s", scheme_of(u),
		       u->has_credentials ? mask : "",
		       u->has_credentials ? ":" : "",
		       u->has_credentials ? mask : "",
		       u->has_credentials ? "@" : "",
		       u->host[0] ? u->host : endpoint_str(&at, text),
		       u->host[0] ? port : "");
	return buf;
}

bool upproxy_is_masked(const struct upproxy *u)
{
	return strcmp(u->user, mask) == 0 && strcmp(u->password, mask) == 0;
}

void upproxy_wipe(struct upproxy *u)
{
	explicit_bzero(u->user, sizeof(u->user));
	explicit_bzero(u->password, sizeof(u->password));
}
