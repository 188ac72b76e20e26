/* resolv.c - what the machine knows of names: resolv.conf and hosts
 * SPDX-License-Identifier: Apache-2.0
 *
 * Read by the caller's side, because the dialer has an empty root; sent as
 * numbers and canonical names. resolv.conf(5): without a nameserver line the
 * one on the own machine is meant. A link-local server comes with its
 * interface (fe80::1%eth0), by name or number.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/base/num.h"
#include "core/session.h"
#include "policy/rule.h"

enum {
	FILE_MAX = 4 << 20,
	HOSTS_BYTES_MAX = 2 << 20,	/* encoded; the rest is left out */
	SERVERS_MAX = 8,
};

struct server {
	struct addr addr;
	uint32_t scope;
};

/* The next word of a line; NULL at its end or at a comment. */
static const char *word(const char **cursor, size_t *ret_len)
{
	const char *p = *cursor + strspn(*cursor, " \t\r");
	size_t len = strcspn(p, " \t\r\n#;");

	*cursor = p + len;
	*ret_len = len;
	return len ? p : NULL;
}

static const char *next_line(const char *p)
{
	p += strcspn(p, "\n");
	return *p ? p + 1 : p;
}

/* A whole word that is an address, without a zone. */
static bool word_addr(const char *w, size_t len, struct addr *ret)
{
	char text[ADDR_STRLEN];
	const char *p = text;

	if (len >= sizeof(text))
		return false;
	memcpy(text, w, len);
	text[len] = '\0';
	return addr_parse(&p, ret) && *p == '\0';
}

static bool is_link_local(const struct addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* False also for an interface that is not there: nobody can be asked by it. */
static bool word_server(const char *w, size_t len, struct server *ret)
{
	const char *zone = memchr(w, '%', len);
	const size_t addr_len = zone ? (size_t)(zone - w) : len;
	const size_t zone_len = zone ? len - addr_len - 1 : 0;
	char name[IF_NAMESIZE];
	const char *digits = name;
	uint64_t number;

	ret->scope = 0;
	if (!word_addr(w, addr_len, &ret->addr))
		return false;
	if (!zone || !is_link_local(&ret->addr))
		return !zone;
	if (zone_len == 0 || zone_len >= sizeof(name))
		return false;
	memcpy(name, zone + 1, zone_len);
	name[zone_len] = '\0';
	ret->scope = if_nametoindex(name);
	if (ret->scope == 0 && num_parse_u64(&digits, UINT32_MAX, &number) &&
	    *digits == '\0')
		ret->scope = (uint32_t)number;
	return ret->scope != 0;
}

static void put_server(struct sbuf *b, const struct server *s)
{
	sbuf_add(b, s->addr.b, sizeof(s->addr.b));
	sbuf_u16(b, 53);
	sbuf_u32(b, s->scope);
}

static void put_servers(struct sbuf *b, const char *text)
{
	struct server servers[SERVERS_MAX];
	uint32_t n = 0;

	for (const char *p = text; *p && n < SERVERS_MAX; p = next_line(p)) {
		const char *cursor = p, *w;
		size_t len;

		w = word(&cursor, &len);
		if (!w || len != strlen("nameserver") ||
		    memcmp(w, "nameserver", len) != 0)
			continue;
		w = word(&cursor, &len);
		if (w && word_server(w, len, &servers[n]))
			n++;
	}
	if (n == 0)
		servers[n++] =
			(struct server){ .addr = addr_from_v4(0x7f000001) };
	sbuf_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		put_server(b, &servers[i]);
}

static uint32_t put_hosts(struct sbuf *b, const char *text)
{
	uint32_t n = 0;

	for (const char *p = text; *p; p = next_line(p)) {
		const char *cursor = p, *w;
		char name[LIMIT_NAME + 1];
		struct addr addr;
		size_t len;

		w = word(&cursor, &len);
		if (!w || !word_addr(w, len, &addr))
			continue;
		while ((w = word(&cursor, &len)) != NULL &&
		       b->len < HOSTS_BYTES_MAX) {
			if (!name_canonical(w, len, name))
				continue;
			sbuf_lstr(b, name);
			sbuf_add(b, addr.b, sizeof(addr.b));
			n++;
		}
	}
	return n;
}

int resolv_encode(struct sbuf *ret, bool again, struct err *err)
{
	cleanup_free char *resolv = NULL, *hosts = NULL;
	struct sbuf entries;
	size_t len;
	int r = fd_read_file(AT_FDCWD, RESOLV_CONF, FILE_MAX, &resolv, &len);

	if (again && (r == -ENOENT || (r == 0 && len == 0)))
		return err_sys(err, ENODATA, "read", RESOLV_CONF);
	if (r < 0 && r != -ENOENT)
		return err_sys(err, -r, "read", RESOLV_CONF);
	r = fd_read_file(AT_FDCWD, RESOLV_HOSTS, FILE_MAX, &hosts, &len);
	if (r < 0 && r != -ENOENT)
		return err_sys(err, -r, "read", RESOLV_HOSTS);
	put_servers(ret, resolv ? resolv : "");
	sbuf_init(&entries, FILE_MAX);
	sbuf_u32(ret, put_hosts(&entries, hosts ? hosts : ""));
	sbuf_add(ret, entries.s, entries.len);
	r = entries.bad || ret->bad ? -ENOMEM : 0;
	sbuf_done(&entries);
	return r < 0 ? err_sys(err, -r, "read", RESOLV_HOSTS) : 0;
}
