/* dialer_world_dns.c - a DNS server that says what a test tells it
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dialer_world_dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "proxy/dns.h"

enum { RECORDS = 64, ASKED = 4096, TCP_CONNS = 64, PORTS = 4096 };

struct asked {
	char name[LIMIT_NAME + 1];
	uint16_t qtype;
};

struct conn {
	struct dns_world *dns;
	struct event *event; /* NULL: free */
	uint8_t buf[600];
	size_t len;
};

struct dns_world {
	struct event_base *base;
	struct event *udp, *tcp;
	uint16_t port;
	bool no_edns;
	struct world_record records[RECORDS];
	size_t nrecords;
	struct asked asked[ASKED];
	size_t nasked, nasked_tcp;
	uint16_t ports[PORTS];
	size_t nports;
	struct conn conns[TCP_CONNS];
};

static const struct world_record *find(const struct dns_world *d,
				       const char *name, uint16_t qtype)
{
	for (size_t i = 0; i < d->nrecords; i++) {
		const struct world_record *r = &d->records[i];

		if (!strcmp(r->name, name) && (r->cname || r->qtype == qtype))
			return r;
	}
	return NULL;
}

static bool exists(const struct dns_world *d, const char *name)
{
	for (size_t i = 0; i < d->nrecords; i++) {
		if (!strcmp(d->records[i].name, name))
			return true;
	}
	return false;
}

void dns_world_says(struct dns_world *d, struct world_record r)
{
	for (size_t i = 0; i < d->nrecords; i++) {
		struct world_record *old = &d->records[i];

		if (!strcmp(old->name, r.name) && old->qtype == r.qtype) {
			*old = r;
			return;
		}
	}
	if (d->nrecords == RECORDS)
		abort();
	d->records[d->nrecords++] = r;
}

/* -- messages -- */

static void put_name(struct wbuf *w, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		wbuf_u8(w, (uint8_t)n);
		wbuf_bytes(w, name, n);
		name += n + (name[n] == '.');
	}
	wbuf_u8(w, 0);
}

static void put_record(struct wbuf *w, const char *name, uint16_t type,
		       uint32_t ttl, const void *data, size_t len)
{
	put_name(w, name);
	wbuf_u16(w, type);
	wbuf_u16(w, DNS_CLASS_IN);
	wbuf_u32(w, ttl);
	wbuf_u16(w, (uint16_t)len);
	wbuf_bytes(w, data, len);
}

static uint16_t put_addrs(struct wbuf *w, const char *name, uint16_t type,
			  uint32_t ttl, const char *addrs)
{
	uint16_t n = 0;

	while (addrs && *addrs) {
		size_t len = strcspn(addrs, " ");
		char text[ADDR_STRLEN];
		struct addr a;

		memcpy(text, addrs, len);
		text[len] = '\0';
		a = world_addr(text);
		if (type == DNS_TYPE_A)
			put_record(w, name, type, ttl, a.b + 12, 4);
		else
			put_record(w, name, type, ttl, a.b, 16);
		n++;
		addrs += len + (addrs[len] == ' ');
	}
	return n;
}

/* Answer records for name and type; the rcode in *ret_rcode. */
static uint16_t put_answers(const struct dns_world *d, struct wbuf *w,
			    const char *name, uint16_t qtype,
			    uint8_t *ret_rcode)
{
	const struct world_record *r = find(d, name, qtype);
	uint16_t n = 0;

	for (int hops = 0; r && r->cname && hops < 40; hops++) {
		uint8_t data[256];
		struct wbuf target = wbuf_make(data, sizeof(data));

		put_name(&target, r->cname);
		put_record(w, r->name, DNS_TYPE_CNAME, r->ttl, data,
			   wbuf_len(&target));
		n++;
		name = r->cname;
		if (r->last)
			return n;
		r = find(d, name, qtype);
	}
	if (r && !r->cname) {
		*ret_rcode = r->rcode;
		if (r->rdata) {
			put_record(w, name, qtype, r->ttl, r->rdata,
				   r->rdata_len);
			return n + 1;
		}
		return n + put_addrs(w, name, qtype, r->ttl, r->addrs);
	}
	*ret_rcode = exists(d, name) ? DNS_NOERROR : DNS_NXDOMAIN;
	return n;
}

/* Returns the length of the answer, 0 for silence. */
static size_t reply(struct dns_world *d, const uint8_t *data, size_t len,
		    bool udp, uint8_t *buf, size_t size)
{
	enum { ANCOUNT = 6, FLAGS = 2, QR_RD_RA = 0x8180, TC = 0x0200 };
	struct wbuf w = wbuf_make(buf, size);
	const struct world_record *r;
	struct dns_query q;
	uint8_t rcode = DNS_NOERROR;
	uint16_t flags, n = 0;

	if (dns_query_parse(data, len, &q) != DNS_IS_OK)
		return 0;
	if (d->nasked < ASKED) {
		memcpy(d->asked[d->nasked].name, q.name, sizeof(q.name));
		d->asked[d->nasked++].qtype = q.qtype;
	}
	d->nasked_tcp += !udp;
	r = find(d, q.name, q.qtype);
	if (r && r->silent)
		return 0;
	wbuf_u16(&w, q.id);
	wbuf_u16(&w, 0);
	wbuf_u16(&w, 1);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, 0);
	wbuf_bytes(&w, q.question, q.question_len);
	if (d->no_edns && q.edns) {
		flags = QR_RD_RA | DNS_FORMERR;
	} else if (r && r->truncate && udp) {
		flags = QR_RD_RA | TC;
	} else {
		n = put_answers(d, &w, q.name, q.qtype, &rcode);
		flags = (uint16_t)(QR_RD_RA | rcode);
	}
	if (w.bad)
		abort();
	buf[FLAGS] = (uint8_t)(flags >> 8);
	buf[FLAGS + 1] = (uint8_t)flags;
	buf[ANCOUNT] = (uint8_t)(n >> 8);
	buf[ANCOUNT + 1] = (uint8_t)n;
	return wbuf_len(&w);
}

/* -- UDP and TCP -- */

static void see_port(struct dns_world *d, const struct sockaddr_storage *sa,
		     socklen_t len)
{
	struct endpoint e;

	if (!endpoint_from_sockaddr((const struct sockaddr *)sa, len, &e))
		return;
	for (size_t i = 0; i < d->nports; i++) {
		if (d->ports[i] == e.port)
			return;
	}
	if (d->nports < PORTS)
		d->ports[d->nports++] = e.port;
}

static void udp_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dns_world *d = arg;
	struct sockaddr_storage from;
	uint8_t query[600], answer[8192];

	(void)what;
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, query, sizeof(query), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);
		size_t len;

		if (n < 0)
			return;
		see_port(d, &from, from_len);
		len = reply(d, query, (size_t)n, true, answer, sizeof(answer));
		if (len > 0)
			(void)sendto(fd, answer, len, 0,
				     (struct sockaddr *)&from, from_len);
	}
}

static void conn_close(struct conn *c)
{
	int fd = event_get_fd(c->event);

	event_free(c->event);
	c->event = NULL;
	fd_close(&fd);
}

static void conn_cb(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	uint8_t answer[2 + 8192];
	size_t need, len;

	(void)what;
	if (n <= 0)
		return conn_close(c);
	c->len += (size_t)n;
	if (c->len < 2)
		return;
	need = (size_t)c->buf[0] << 8 | c->buf[1];
	if (c->len < 2 + need)
		return;
	len = reply(c->dns, c->buf + 2, need, false, answer + 2,
		    sizeof(answer) - 2);
	answer[0] = (uint8_t)(len >> 8);
	answer[1] = (uint8_t)len;
	if (len > 0)
		(void)send(fd, answer, 2 + len, MSG_NOSIGNAL);
	c->len -= 2 + need;
	memmove(c->buf, c->buf + 2 + need, c->len);
}

static void accept_cb(evutil_socket_t fd, short what, void *arg)
{
	struct dns_world *d = arg;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (s < 0)
		return;
	for (size_t i = 0; i < TCP_CONNS; i++) {
		struct conn *c = &d->conns[i];

		if (c->event)
			continue;
		c->dns = d;
		c->len = 0;
		c->event =
			event_new(d->base, s, EV_READ | EV_PERSIST, conn_cb, c);
		event_add(c->event, NULL);
		return;
	}
	abort();
}

/* -- for the world -- */

struct dns_world *dns_world_new(struct event_base *base, uint16_t port)
{
	const struct endpoint e = world_endpoint("127.0.0.1", port);
	struct dns_world *d = calloc(1, sizeof(*d));
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int tcp = world_listen("127.0.0.1", port);

	if (!d || udp < 0 || bind(udp, (struct sockaddr *)&sa, len) < 0)
		abort();
	d->base = base;
	d->port = port;
	d->udp = event_new(base, udp, EV_READ | EV_PERSIST, udp_cb, d);
	d->tcp = event_new(base, tcp, EV_READ | EV_PERSIST, accept_cb, d);
	event_add(d->udp, NULL);
	event_add(d->tcp, NULL);
	return d;
}

void dns_world_free(struct dns_world *d)
{
	int udp = event_get_fd(d->udp), tcp = event_get_fd(d->tcp);

	for (size_t i = 0; i < TCP_CONNS; i++) {
		if (d->conns[i].event)
			conn_close(&d->conns[i]);
	}
	event_free(d->udp);
	event_free(d->tcp);
	fd_close(&udp);
	fd_close(&tcp);
	free(d);
}

unsigned dns_world_asked(const struct dns_world *d, const char *name,
			 uint16_t qtype)
{
	unsigned n = 0;

	for (size_t i = 0; i < d->nasked; i++) {
		if (!name || (d->asked[i].qtype == qtype &&
			      !strcmp(d->asked[i].name, name)))
			n++;
	}
	return n;
}

unsigned dns_world_asked_tcp(const struct dns_world *d)
{
	return (unsigned)d->nasked_tcp;
}

unsigned dns_world_source_ports(const struct dns_world *d)
{
	return (unsigned)d->nports;
}

void dns_world_no_edns(struct dns_world *d)
{
	d->no_edns = true;
}
