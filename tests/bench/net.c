/* net.c - a server and the load for it: bytes a second, connections a second
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_net serve PORT ADDRESS	until standard input ends; on port 53
 *					of ADDRESS every A query is answered
 *					with ADDRESS
 *	bench_net get HOST PORT MS	download: bytes a second
 *	bench_net put HOST PORT MS	upload: bytes a second
 *	bench_net conn HOST PORT MS N	N at a time: connections a second, and
 *					the median time of one, in us
 *
 * Requests are HTTP/1.1, as much of it as the gate looks at. A download has
 * no end: the client leaves. An upload ends with the client's half, and
 * counts when the server has said that it has seen it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"

enum {
	CHUNK = 256 << 10,
	HEAD = 1024,
	EVENTS = 64,
	AT_A_TIME_MAX = 256,
	SAMPLES = 1 << 20,
	DNS_HEADER = 12,
};

static uint8_t chunk[CHUNK];

static void die(const char *what)
{
	fprintf(stderr, "bench_net: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t number(const char *text, uint64_t max)
{
	const char *at = text;
	uint64_t n;

	if (num_parse_u64(&at, max, &n) && *at == '\0')
		return n;
	fprintf(stderr, "bench_net: %s: not a number\n", text);
	exit(2);
}

static void watch(int loop, int op, int fd, uint32_t events, void *who)
{
	struct epoll_event ev = { .events = events, .data.ptr = who };

	if (epoll_ctl(loop, op, fd, &ev) < 0)
		die("epoll_ctl");
}

/* -- server -- */

enum conn_state { CONN_HEAD, CONN_SEND, CONN_SINK };

struct conn {
	int fd;
	enum conn_state state;
	size_t len;
	char head[HEAD];
};

static struct conn *conn_end(struct conn *c)
{
	(void)close(c->fd);
	free(c);
	return NULL;
}

static void answer(struct conn *c)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
				 "Connection: close\r\n\r\nok";

	(void)send(c->fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL);
}

/* NULL: it is gone. */
static struct conn *conn_request(struct conn *c, int loop)
{
	static const char endless[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n";
	ssize_t n = recv(c->fd, c->head + c->len, HEAD - 1 - c->len, 0);

	if (n < 0 && errno == EAGAIN)
		return c;
	if (n <= 0)
		return conn_end(c);
	c->len += (size_t)n;
	c->head[c->len] = '\0';
	if (!strstr(c->head, "\r\n\r\n"))
		return c->len < HEAD - 1 ? c : conn_end(c);
	if (strncmp(c->head, "GET /endless ", 13) == 0) {
		(void)send(c->fd, endless, sizeof(endless) - 1, MSG_NOSIGNAL);
		c->state = CONN_SEND;
		watch(loop, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
		return c;
	}
	if (strncmp(c->head, "PUT ", 4) == 0) {
		c->state = CONN_SINK;
		return c;
	}
	answer(c);
	return conn_end(c);
}

static void conn_ready(struct conn *c, int loop)
{
	ssize_t n;

	switch (c->state) {
	case CONN_HEAD:
		(void)conn_request(c, loop);
		return;
	case CONN_SEND:
		n = send(c->fd, chunk, CHUNK, MSG_NOSIGNAL);
		break;
	case CONN_SINK:
		n = recv(c->fd, chunk, CHUNK, 0);
		if (n == 0)
			answer(c);
		break;
	default:
		abort();
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		(void)conn_end(c);
}

static void take_all(int listener, int loop)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *c;

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c)
			die("calloc");
		c->fd = fd;
		watch(loop, EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

/* One question, no EDNS needed: A gets `address`, all else no data. */
static void answer_dns(int fd, const struct in_addr *address)
{
	static const uint8_t a[] = { 0xc0, DNS_HEADER, 0, 1,  0, 1,
				     0,	   0,	       1, 44, 0, 4 };
	uint8_t m[512];
	struct sockaddr_in who;
	socklen_t wholen = sizeof(who);
	size_t at = DNS_HEADER;
	ssize_t n =
		recvfrom(fd, m, sizeof(m), 0, (struct sockaddr *)&who, &wholen);

	if (n <= DNS_HEADER)
		return;
	while (at < (size_t)n && m[at])
		at += m[at] + 1u;
	at += 5;
	if (at > (size_t)n || at + sizeof(a) + sizeof(*address) > sizeof(m))
		return;
	m[2] = 0x84 | (m[2] & 1);
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	if (m[at - 3] == 1) {
		m[7] = 1;
		memcpy(m + at, a, sizeof(a));
		memcpy(m + at + sizeof(a), address, sizeof(*address));
		at += sizeof(a) + sizeof(*address);
	}
	(void)sendto(fd, m, at, 0, (struct sockaddr *)&who, wholen);
}

static int bound(int type, uint16_t port, struct in_addr address)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = address };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    (type == SOCK_STREAM && listen(fd, 4096)))
		die("listen");
	return fd;
}

static void serve(uint16_t port, const char *address)
{
	struct epoll_event ev[EVENTS];
	int loop = epoll_create1(EPOLL_CLOEXEC);
	static int on_input, on_listener, on_dns;
	struct in_addr any = { INADDR_ANY }, own;
	int listener, dns;

	if (inet_pton(AF_INET, address, &own) != 1)
		die(address);
	listener = bound(SOCK_STREAM, port, any);
	dns = bound(SOCK_DGRAM, 53, own); /* answers come from there */
	watch(loop, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &on_input);
	watch(loop, EPOLL_CTL_ADD, listener, EPOLLIN, &on_listener);
	watch(loop, EPOLL_CTL_ADD, dns, EPOLLIN, &on_dns);
	printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		int n = epoll_wait(loop, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &on_input)
				return;
			if (ev[i].data.ptr == &on_listener)
				take_all(listener, loop);
			else if (ev[i].data.ptr == &on_dns)
				answer_dns(dns, &own);
			else
				conn_ready(ev[i].data.ptr, loop);
		}
	}
}

/* -- client -- */

struct load {
	struct addrinfo *to;
	const char *host;
	int64_t end_us;
};

static int connected(const struct load *l)
{
	int fd = socket(l->to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, l->to->ai_addr, l->to->ai_addrlen) < 0)
		die("connect");
	return fd;
}

static void request(const struct load *l, int fd, const char *line)
{
	char text[HEAD];
	int n = snprintf(text, sizeof(text),
			 "%s HTTP/1.1\r\nHost: %s\r\n"
			 "%s\r\n",
			 line, l->host,
			 line[0] == 'P' ? "Content-Length: 1099511627776\r\n" :
					  "");

	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
}

static double bulk(const struct load *l, bool up)
{
	int fd = connected(l);
	int64_t begin;
	uint64_t bytes = 0;

	request(l, fd, up ? "PUT /" : "GET /endless");
	begin = clock_us();
	do {
		ssize_t n = up ? send(fd, chunk, CHUNK, MSG_NOSIGNAL) :
				 recv(fd, chunk, CHUNK, 0);

		if (n <= 0)
			die(up ? "send" : "recv");
		bytes += (uint64_t)n;
	} while (clock_us() < l->end_us);
	if (up && (shutdown(fd, SHUT_WR) || recv(fd, chunk, CHUNK, 0) <= 0))
		die("no answer to an upload");
	begin = clock_us() - begin;
	(void)close(fd);
	return (double)bytes * 1e6 / (double)begin;
}

struct
try {
	int fd;
	bool asked;
	int64_t begin_us;
};

static void try_begin(const struct load *l, struct try *t, int loop)
{
	const int one = 1;

	t->begin_us = clock_us();
	t->asked = false;
	t->fd = socket(l->to->ai_family,
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		die("socket");
	(void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(t->fd, l->to->ai_addr, l->to->ai_addrlen) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	watch(loop, EPOLL_CTL_ADD, t->fd, EPOLLOUT, t);
}

/* True at the end of the response. */
static bool try_ready(const struct load *l, struct try *t, int loop)
{
	ssize_t n;

	if (!t->asked) {
		request(l, t->fd, "GET /");
		t->asked = true;
		watch(loop, EPOLL_CTL_MOD, t->fd, EPOLLIN, t);
		return false;
	}
	n = recv(t->fd, chunk, CHUNK, 0);
	if (n < 0 && errno != EAGAIN)
		die("recv");
	return n == 0;
}

static int compare(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void connections(const struct load *l, size_t at_a_time)
{
	static struct try tries[AT_A_TIME_MAX];
	static int32_t took[SAMPLES];
	struct epoll_event ev[EVENTS];
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int64_t begin = clock_us(), now = begin;
	size_t done = 0;

	for (size_t i = 0; i < at_a_time; i++)
		try_begin(l, &tries[i], loop);
	while (now < l->end_us && done < SAMPLES) {
		int n = epoll_wait(loop, ev, EVENTS, 1000);

		now = clock_us();
		for (int i = 0; i < n && done < SAMPLES; i++) {
			struct try *t = ev[i].data.ptr;

			if (!try_ready(l, t, loop))
				continue;
			(void)close(t->fd);
			took[done++] = (int32_t)(clock_us() - t->begin_us);
			try_begin(l, t, loop);
		}
	}
	if (done == 0)
		die("no connection in time");
	qsort(took, done, sizeof(took[0]), compare);
	printf("%.0f %d\n", (double)done * 1e6 / (double)(now - begin),
	       took[done / 2]);
}

static int usage(void)
{
	fprintf(stderr, "usage: bench_net serve PORT ADDRESS\n"
			"       bench_net get|put HOST PORT MS\n"
			"       bench_net conn HOST PORT MS N\n");
	return 2;
}

int main(int argc, char *argv[])
{
	const struct addrinfo hints = { .ai_family = AF_INET,
					.ai_socktype = SOCK_STREAM };
	struct load l = { 0 };
	int r;

	if (argc == 4 && strcmp(argv[1], "serve") == 0) {
		serve((uint16_t)number(argv[2], 65535), argv[3]);
		return 0;
	}
	if (argc < 5 || argc > 6)
		return usage();
	l.host = argv[2];
	r = getaddrinfo(argv[2], argv[3], &hints, &l.to);
	if (r != 0) {
		fprintf(stderr, "bench_net: %s: %s\n", argv[2],
			gai_strerror(r));
		return 1;
	}
	l.end_us = clock_us() + (int64_t)number(argv[4], 600000) * 1000;
	if (strcmp(argv[1], "conn") == 0 && argc == 6)
		connections(&l, number(argv[5], AT_A_TIME_MAX));
	else if (strcmp(argv[1], "get") == 0 && argc == 5)
		printf("%.0f\n", bulk(&l, false));
	else if (strcmp(argv[1], "put") == 0 && argc == 5)
		printf("%.0f\n", bulk(&l, true));
	else
		return usage();
	freeaddrinfo(l.to);
	return 0;
}
