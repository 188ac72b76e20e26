/* rule.c - one rule of an allow or deny list: text in, typed value, text out
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * rule_parse() runs over the text once: characters, protocol, host, ports,
 * flags; then it fills in what the side means by what was left out, and
 * refuses what the side does not take. Each step moves the cursor or fails
 * with the byte where it stood. `proto_given` and `ports_given` end up true
 * only where they differ from what is left out, so two texts that mean the
 * same become the same bytes, and rule_str() prints only what is needed.
 */
#include "policy/rule.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/num.h"
#include "policy/pattern.h"

static const struct port_range all_ports = { 1, UINT16_MAX };

struct parser {
	const char *text, *p;
	enum rule_side side;
	struct rule *r;
	struct rule_error *error;
	const char *host; /* where it begins */
};

static int fail(struct parser *ps, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct parser *ps, const char *at, const char *fmt, ...)
{
	va_list ap;

	ps->error->position = (size_t)(at - ps->text);
	va_start(ap, fmt);
	(void)vsnprintf(ps->error->message, sizeof(ps->error->message), fmt,
			ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- characters ---- */

/* Characters of which nothing is to be said by themselves. */
static const bool plain[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true,   ['0' ... '9'] = true,
	['-'] = true,	      ['_'] = true,	      ['.'] = true,
	['*'] = true,	      ['/'] = true,	      ['['] = true,
	[']'] = true,	      ['+'] = true,	      [','] = true,
	['!'] = true,	      [0x80 ... 0xff] = true,
};

static int check_character(struct parser *ps, const char *p)
{
	unsigned char c = (unsigned char)*p;

	if (c == ' ' || c == '\t')
		return fail(ps, p, "a blank; one rule is one string");
	if (c < 0x20 || c == 0x7f)
		return fail(ps, p, "a control character (0x%02x)", c);
	if (c == '@' && p != ps->text)
		return fail(ps, p,
			    "'@' begins a preset; a host has "
			    "no user information");
	if (c == ':' && strncmp(p, "://", 3) == 0)
		return fail(ps, p,
			    "a rule is a host, not a URL: "
			    "leave out the scheme and the path");
	if (c != '@' && c != ':')
		return fail(ps, p, "'%c' is not part of a rule", c);
	return 0;
}

static int check_characters(struct parser *ps)
{
	const char *p = ps->text;

	for (; *p; p++) {
		if (p - ps->text >= LIMIT_RULE_TEXT - 1)
			return fail(ps, p, "a rule has at most %d characters",
				    LIMIT_RULE_TEXT - 1);
		if (!plain[(unsigned char)*p] && check_character(ps, p))
			return -EINVAL;
	}
	return 0;
}

static int fail_here(struct parser *ps, const char *expected)
{
	if (*ps->p == '\0')
		return fail(ps, ps->p, "ends too early: expected %s", expected);
	if (*ps->p == ',')
		return fail(ps, ps->p,
			    "a comma: one rule is one string, "
			    "give several rules one by one");
	if (*ps->p == '/')
		return fail(ps, ps->p,
			    "'/': a rule is a host without a path; "
			    "only tcp/ and udp/ go before it");
	return fail(ps, ps->p, "'%c' where %s was expected", *ps->p, expected);
}

/* ---- protocol and host ---- */

static void parse_proto(struct parser *ps)
{
	if (strnlen(ps->p, 4) < 4 || ps->p[3] != '/')
		return;
	if (strncasecmp(ps->p, "tcp/", 4) == 0)
		ps->r->protos = RULE_TCP;
	else if (strncasecmp(ps->p, "udp/", 4) == 0)
		ps->r->protos = RULE_UDP;
	else
		return;
	ps->r->proto_given = true;
	ps->p += 4;
}

static int parse_preset(struct parser *ps)
{
	const char *start = ++ps->p;
	size_t len;

	while (name_char((unsigned char)*ps->p))
		ps->p++;
	len = (size_t)(ps->p - start);
	if (len == 0 || len > LIMIT_LABEL)
		return fail(ps, start,
			    "no preset name (lower case letters, "
			    "digits, -, _)");
	if (*ps->p)
		return fail(ps, ps->p, "a preset takes no ports or flags");
	ps->r->kind = RULE_PRESET;
	memcpy(ps->r->name, start, len);
	return 0;
}

/*
 * The mapped range is IPv4 and nothing else. A wider IPv6 prefix would open
 * all of it at one stroke, link-local and loopback included.
 */
static int check_mapped(struct parser *ps, const char *at,
			const struct prefix *p, bool written_as_v6,
			bool bits_given)
{
	static const struct prefix mapped = { { { [10] = 0xff, 0xff } }, 96 };
	char buf[PREFIX_STRLEN];

	if (written_as_v6 && bits_given && prefix_covers(&mapped, p))
		return fail(ps, at, "a mapped prefix is IPv4: write %s",
			    prefix_str(p, buf));
	if (p->len > 0 && p->len < 96 && prefix_covers(p, &mapped))
		return fail(ps, at,
			    "this IPv6 prefix has all of IPv4 in it "
			    "(::ffff:0:0/96): write a longer one");
	return 0;
}

static int parse_bits(struct parser *ps, const char *at, const struct addr *a,
		      bool colons)
{
	struct prefix *p = &ps->r->prefix;
	char buf[PREFIX_STRLEN];
	const char *slash = ps->p;
	uint64_t bits = addr_is_v4(a) && !colons ? 32 : 128;

	if (*ps->p == '/') {
		ps->p++;
		if ((ps->p[0] == '0' && name_char((unsigned char)ps->p[1])) ||
		    !num_parse_u64(&ps->p, bits, &bits))
			return fail(ps, ps->p,
				    "a prefix length is a number "
				    "up to %d",
				    (int)bits);
	}
	if (addr_is_v4(a) && !colons)
		bits += 96;
	*p = prefix_make(a, (uint8_t)bits);
	if (check_mapped(ps, at, p, colons, ps->p != slash))
		return -EINVAL;
	if (!addr_equal(&p->addr, a))
		return fail(ps, slash,
			    "bits are set behind the prefix "
			    "length: write %s",
			    prefix_str(p, buf));
	ps->r->kind = RULE_CIDR;
	return 0;
}

static int parse_brackets(struct parser *ps)
{
	const char *open = ps->p++;
	struct addr a;

	if (!addr_parse(&ps->p, &a) ||
	    !memchr(open, ':', (size_t)(ps->p - open)))
		return fail(ps, open + 1,
			    "brackets hold an IPv6 address and "
			    "nothing else");
	if (parse_bits(ps, open + 1, &a, true))
		return -EINVAL;
	if (*ps->p != ']')
		return fail(ps, ps->p, "']' was expected");
	ps->p++;
	if (*ps->p == '/')
		return fail(ps, ps->p,
			    "the prefix length goes inside the "
			    "brackets");
	return 0;
}

/* Two colons or more can only be an IPv6 address without brackets. */
static bool has_two_colons(const char *p)
{
	unsigned n = 0;

	for (; *p && *p != '+' && *p != ',' && *p != '['; p++)
		n += *p == ':';
	return n >= 2;
}

static int parse_bare_v6(struct parser *ps)
{
	const char *start = ps->p;
	const char *colon;
	struct addr a;

	if (addr_parse(&ps->p, &a) && (!*ps->p || strchr("/+,", *ps->p)))
		return parse_bits(ps, start, &a, true);
	ps->p = start;
	colon = strchr(start, ':');
	if (memchr(start, '.', (size_t)(colon - start)))
		return fail(ps, strchr(colon + 1, ':'),
			    "':' again; one colon "
			    "goes between a host and its ports");
	return fail(ps, start,
		    "not an IPv6 address (with ports it needs "
		    "brackets: [2001:db8::1]:443)");
}

static int parse_name(struct parser *ps, size_t len)
{
	struct rule *r = ps->r;
	const char *why;
	size_t at;

	if (!pattern_canonical(ps->p, len, r->name, &at, &why)) {
		if (len == 0)
			return fail_here(ps, "a host");
		return fail(ps, ps->p + at, "%s", why);
	}
	if (name_ends_in_number(r->name, strlen(r->name)))
		return fail(ps, ps->p,
			    "not a name, and an IPv4 address has "
			    "four decimal numbers without leading zeros");
	if (name_is_host_alias(r->name)) {
		r->kind = RULE_HOST;
		memset(r->name, 0, sizeof(r->name));
		memcpy(r->name, HOST_ALIAS_NAME, sizeof(HOST_ALIAS_NAME));
	} else {
		r->kind = strchr(r->name, '*') ? RULE_GLOB : RULE_NAME;
	}
	ps->p += len;
	return 0;
}

static int parse_host(struct parser *ps)
{
	size_t len = strcspn(ps->p, ":/+,[]@!");
	struct addr a;

	ps->host = ps->p;
	if (*ps->p == '[')
		return parse_brackets(ps);
	if (has_two_colons(ps->p))
		return parse_bare_v6(ps);
	/* one colon at most: it can only be IPv4 */
	if (*ps->p >= '0' && *ps->p <= '9' && addr_parse(&ps->p, &a))
		return parse_bits(ps, ps->host, &a, false);
	return parse_name(ps, len);
}

/* ---- ports ---- */

/* Keep the list sorted and merged; false if it gets too long. */
static bool add_ports(struct rule *r, struct port_range add)
{
	struct port_range out[LIMIT_RULE_PORTS + 1];
	uint8_t n = 0;

	for (uint8_t i = 0; i < r->nports; i++) {
		struct port_range x = r->ports[i];

		if (x.lo > add.hi + 1) {
			out[n++] = add;
			add = x;
		} else if (x.hi + 1 < add.lo) {
			out[n++] = x;
		} else {
			add.lo = x.lo < add.lo ? x.lo : add.lo;
			add.hi = x.hi > add.hi ? x.hi : add.hi;
		}
	}
	out[n++] = add;
	if (n > LIMIT_RULE_PORTS)
		return false;
	memcpy(r->ports, out, n * sizeof(out[0]));
	memset(r->ports + n, 0, (LIMIT_RULE_PORTS - n) * sizeof(out[0]));
	r->nports = n;
	return true;
}

static int parse_port(struct parser *ps, uint16_t *ret)
{
	const char *start = ps->p;
	uint64_t v;

	if (*start < '0' || *start > '9')
		return fail_here(ps, "a port");
	if (*start == '0' || !num_parse_u64(&ps->p, UINT16_MAX, &v))
		return fail(ps, start,
			    "a port is 1-65535, without leading "
			    "zeros");
	*ret = (uint16_t)v;
	return 0;
}

static int parse_port_item(struct parser *ps)
{
	const char *start = ps->p;
	struct port_range range = { 0, 0 };

	if (*start == '*')
		return fail(ps, start, "'*' is every port and stands alone");
	if (*start && *start != ',' && (*start < '0' || *start > '9') &&
	    start[-1] == ',')
		return fail(ps, start,
			    "not a port; a comma goes between "
			    "ports, never between rules");
	if (parse_port(ps, &range.lo))
		return -EINVAL;
	range.hi = range.lo;
	if (*ps->p == '-') {
		ps->p++;
		if (parse_port(ps, &range.hi))
			return -EINVAL;
	}
	if (*ps->p == '.') /* "a.com:80,10.0.0.1" */
		return fail(ps, start,
			    "not a port; a comma goes between "
			    "ports, never between rules");
	if (range.hi < range.lo)
		return fail(ps, start, "the range runs backwards");
	if (!add_ports(ps->r, range))
		return fail(ps, start, "at most %d port ranges in a rule",
			    LIMIT_RULE_PORTS);
	return 0;
}

static int parse_ports(struct parser *ps)
{
	if (*ps->p != ':')
		return 0;
	ps->p++;
	ps->r->ports_given = true;
	if (*ps->p == '*') {
		ps->p++;
		(void)add_ports(ps->r, all_ports); /* one always fits */
		return 0;
	}
	for (;;) {
		if (parse_port_item(ps))
			return -EINVAL;
		if (*ps->p != ',')
			return 0;
		ps->p++;
	}
}

/* ---- flags ---- */

static int check_flag(struct parser *ps, const char *at, uint8_t flag)
{
	if (ps->side == RULE_DENY)
		return fail(ps, at, "flags belong to allow rules");
	if (ps->r->flags & flag)
		return fail(ps, at, "the flag is written twice");
	if (ps->r->kind == RULE_HOST)
		return fail(ps, at, "%s takes no flag", HOST_ALIAS_NAME);
	if (flag == RULE_WIDE && ps->r->kind != RULE_GLOB)
		return fail(ps, at, "+wide goes with a wildcard name only");
	if (flag == RULE_PRIVATE && ps->r->kind == RULE_CIDR)
		return fail(ps, at,
			    "+private goes with names; an address "
			    "inside a private range opens it by itself, a "
			    "wider prefix never does");
	return 0;
}

static int parse_flags(struct parser *ps)
{
	while (*ps->p == '+') {
		const char *at = ps->p++;
		size_t len = strspn(ps->p, "abcdefghijklmnopqrstuvwxyz");
		uint8_t flag = 0;

		if (len == 7 && strncmp(ps->p, "private", len) == 0)
			flag = RULE_PRIVATE;
		else if (len == 4 && strncmp(ps->p, "wide", len) == 0)
			flag = RULE_WIDE;
		else
			return fail(ps, ps->p,
				    "unknown flag (known: +private, "
				    "+wide)");
		if (check_flag(ps, at, flag))
			return -EINVAL;
		ps->r->flags |= flag;
		ps->p += len;
	}
	return 0;
}

/* ---- what is left out, and what a side does not take ---- */

static bool has_port(const struct rule *r, uint16_t port)
{
	for (uint8_t i = 0; i < r->nports; i++) {
		if (r->ports[i].lo <= port && port <= r->ports[i].hi)
			return true;
	}
	return false;
}

static bool is_all_ports(const struct rule *r)
{
	return r->nports == 1 && r->ports[0].lo == 1 &&
	       r->ports[0].hi == UINT16_MAX;
}

static bool is_web_ports(const struct rule *r)
{
	return r->nports == 2 && r->ports[0].lo == 80 && r->ports[0].hi == 80 &&
	       r->ports[1].lo == 443 && r->ports[1].hi == 443;
}

static int complete_allow_name(struct parser *ps)
{
	struct rule *r = ps->r;

	if (r->kind == RULE_HOST && !r->ports_given)
		return fail(ps, ps->p, "needs a port: %s:PORT",
			    HOST_ALIAS_NAME);
	if (r->protos == RULE_UDP && !r->ports_given)
		return fail(ps, ps->p,
			    "a udp rule for a name needs ports: "
			    "udp/NAME:PORT");
	if (r->protos == RULE_UDP && r->kind != RULE_HOST && has_port(r, 443))
		return fail(ps, ps->host,
			    "QUIC cannot be held to a name, so "
			    "udp port 443 goes with addresses only; leave it "
			    "out (clients fall back to tcp)");
	if (r->kind == RULE_GLOB && !(r->flags & RULE_WIDE) &&
	    pattern_is_public(r->name))
		return fail(ps, ps->host,
			    "the wildcard covers names that "
			    "anybody can register; %s+wide says it is meant",
			    ps->text);
	if (!r->ports_given) {
		r->ports[0] = (struct port_range){ 80, 80 };
		r->ports[1] = (struct port_range){ 443, 443 };
		r->nports = 2;
	}
	if (!r->proto_given)
		r->protos = RULE_TCP;
	r->proto_given = r->protos != RULE_TCP;
	r->ports_given = r->kind == RULE_HOST || !is_web_ports(r);
	return 0;
}

static void complete_wide(struct rule *r)
{
	bool name = r->kind != RULE_CIDR;

	if (!r->proto_given)
		r->protos = RULE_TCP_UDP;
	if (!r->ports_given)
		(void)add_ports(r, all_ports); /* one always fits */
	/* ":*" says something only where it saves the lookup */
	if (is_all_ports(r) && (!name || r->proto_given))
		r->ports_given = false;
	r->lookup = r->side == RULE_DENY && !r->proto_given && !r->ports_given;
}

static int complete(struct parser *ps)
{
	if (ps->side == RULE_ALLOW && ps->r->kind != RULE_CIDR)
		return complete_allow_name(ps);
	complete_wide(ps->r);
	return 0;
}

int rule_parse(const char *text, enum rule_side side, struct rule *ret,
	       struct rule_error *error)
{
	struct rule_error ignored;
	struct rule r;
	struct parser ps = { text, text, side, &r, error ? error : &ignored,
			     text };

	memset(&r, 0, sizeof(r)); /* equal rules are equal bytes */
	r.side = side;
	if (check_characters(&ps))
		return -EINVAL;
	if (*text == '!')
		return fail(&ps, text,
			    "'!' is not part of a rule: what is "
			    "to be refused goes to the deny-list");
	if (*text == '@') {
		if (parse_preset(&ps))
			return -EINVAL;
		*ret = r;
		return 0;
	}
	parse_proto(&ps);
	if (*ps.p == '@')
		return fail(&ps, ps.p, "a preset takes no protocol");
	if (parse_host(&ps) || parse_ports(&ps) || parse_flags(&ps))
		return -EINVAL;
	if (*ps.p)
		return fail_here(&ps, "the end of the rule");
	if (complete(&ps))
		return -EINVAL;
	*ret = r;
	return 0;
}

/* ---- printing ---- */

static void print_host(const struct rule *r, struct wbuf *w)
{
	char buf[PREFIX_STRLEN];
	bool brackets = r->kind == RULE_CIDR && r->ports_given &&
			!addr_is_v4(&r->prefix.addr);
	const char *host = r->name;

	if (r->kind == RULE_CIDR)
		host = prefix_str(&r->prefix, buf);
	if (brackets)
		wbuf_u8(w, '[');
	wbuf_bytes(w, host, strlen(host));
	if (brackets)
		wbuf_u8(w, ']');
}

static void print_ports(const struct rule *r, struct wbuf *w)
{
	if (is_all_ports(r)) {
		wbuf_bytes(w, ":*", 2);
		return;
	}
	for (uint8_t i = 0; i < r->nports; i++) {
		const struct port_range *x = &r->ports[i];
		char buf[16];

		wbuf_u8(w, i == 0 ? ':' : ',');
		if (x->lo == x->hi)
			(void)snprintf(buf, sizeof(buf), "%d", x->lo);
		else
			(void)snprintf(buf, sizeof(buf), "%d-%d", x->lo, x->hi);
		wbuf_bytes(w, buf, strlen(buf));
	}
}

const char *rule_str(const struct rule *r, char buf[LIMIT_RULE_TEXT])
{
	struct wbuf w = wbuf_make(buf, LIMIT_RULE_TEXT - 1);

	if (r->kind == RULE_PRESET)
		wbuf_u8(&w, '@');
	else if (r->proto_given)
		wbuf_bytes(&w, r->protos == RULE_UDP ? "udp/" : "tcp/", 4);
	print_host(r, &w);
	if (r->ports_given)
		print_ports(r, &w);
	if (r->flags & RULE_PRIVATE)
		wbuf_bytes(&w, "+private", 8);
	if (r->flags & RULE_WIDE)
		wbuf_bytes(&w, "+wide", 5);
	buf[wbuf_len(&w)] = '\0';
	return buf;
}
