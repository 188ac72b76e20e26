/* proxy_front.c - TCP flows through front
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/front_private.h"
#include "tests/unit/proxy_h2.h"
#include "tests/unit/proxy_hello.h"
#include "tests/unit/proxy_world.h"

static uint8_t hello[80 << 10];

static size_t hello_for(const char *name, size_t padding, size_t record)
{
	const struct hello_spec s = { .name = name,
				      .padding = padding,
				      .record = record };
	size_t n = hello_build(&s, hello, sizeof(hello));

	assert_true(n > 0);
	return n;
}

/* Both sides end; the one record says `out` and `in` bytes. */
static void finish(struct world *w, int client, int target)
{
	char rest[16];
	unsigned before = w->nevents;

	shutdown(client, SHUT_WR);
	assert_int_equal(world_read_end(w, target, rest, sizeof(rest)), 0);
	fd_close(&target);
	assert_int_equal(world_read_end(w, client, rest, sizeof(rest)), 0);
	fd_close(&client);
	world_until(w, w->nevents > before);
	assert_int_equal(w->nevents, before + 1);
}

static void expect_event(const struct world *w, enum audit_verdict verdict,
			 enum audit_layer layer, const char *name,
			 const char *reason)
{
	const struct world_event *e = world_last(w);

	assert_int_equal(e->e.verdict, verdict);
	assert_int_equal(e->e.layer, layer);
	assert_string_equal(e->name, name);
	assert_string_equal(e->reason, reason);
	assert_int_equal(e->e.run, 7);
	assert_true(e->e.time_us > 0);
	assert_true(e->e.has_address);
}

static void tls_passes(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("Allowed.TEST.", 0, 0);
	int client = world_connect(NAMED, 443), target;

	(void)state;
	/* one byte at a time */
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(world_asked(w, ASK_DIAL), 0);
		world_send(w, client, hello + i, 1);
		world_turn(w);
	}
	target = world_accept(w);
	world_expect(w, target, hello, n);
	assert_string_equal(w->last.name, "allowed.test");
	assert_int_equal(w->last.learnt, POLICY_NAME_SNI);
	assert_int_equal(w->last.to.port, 443);
	world_say(w, target, "answer");
	world_hear(w, client, "answer");
	finish(w, client, target);
	expect_event(w, AUDIT_ALLOW, AUDIT_TLS, "allowed.test",
		     policy_reason_name(POLICY_R_RULE));
	assert_string_equal(world_last(w)->rule, "allowed.test");
	assert_string_equal(world_last(w)->learnt, "sni");
	assert_int_equal(world_last(w)->e.bytes_out, n);
	assert_int_equal(world_last(w)->e.bytes_in, 6);
	world_free(w);
}

static void tls_large(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("allowed.test", 40000, 0);
	int client = world_connect(NAMED6, 443), target;

	(void)state;
	world_send(w, client, hello, n);
	target = world_accept(w);
	world_expect(w, target, hello, n);
	finish(w, client, target);
	world_free(w);
}

/* Bytes that are refused on a port, and how the record calls it. */
static void first_bytes_refused(void **state)
{
	static const struct {
		uint16_t port;
		const char *text;
		enum policy_reason reason;
	} rows[] = {
		{ 443, "GET / HTTP/1.1\r\n", POLICY_R_PROTOCOL },
		{ 443, "SSH-2.0-x\r\n", POLICY_R_PROTOCOL },
		{ 443, "\x15\x03\x01\x00\x02\x01\x00", POLICY_R_MALFORMED },
		{ 80, "\x16\x03\x01\x02\x00\x01", POLICY_R_PROTOCOL },
		{ 80, "EHLO x\r\n", POLICY_R_PROTOCOL },
		{ 80, "PRI * HTTP/2.0\r\n\r\nSM\r\nX", POLICY_R_MALFORMED },
		{ 80, "\r\nGET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
		  POLICY_R_MALFORMED },
		{ 80, "GET / HTTP/1.1\r\n\r\n", POLICY_R_MALFORMED },
		{ 80, "TRACE / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
		  POLICY_R_PROTOCOL },
		{ 80,
		  "CONNECT allowed.test:443 HTTP/1.1\r\n"
		  "Host: allowed.test:443\r\n\r\n",
		  POLICY_R_PROTOCOL },
		{ 80, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		  POLICY_R_NO_NAME },
		{ 8080, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		  POLICY_R_NO_NAME },
		{ 8080, "\n\nGET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
		  POLICY_R_MALFORMED },
	};
	struct world *w = world_new(POLICY_ALLOWLIST);
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int client = world_connect(NAMED, rows[i].port);
		size_t len = strlen(rows[i].text);
		int end;

		if (rows[i].text[0] == '\x15')
			len = 7;
		if (rows[i].text[0] == '\x16')
			len = 6;
		world_send(w, client, rows[i].text, len);
		end = world_read_end(w, client, text, sizeof(text));
		fd_close(&client);
		world_until(w, w->nevents == i + 1);
		assert_int_equal(world_last(w)->e.verdict, AUDIT_DENY);
		assert_string_equal(world_last(w)->reason,
				    policy_reason_name(rows[i].reason));
		if (end == 0 && strncmp(text, "HTTP/1.1 40", 11) != 0)
			fail_msg("row %zu: \"%s\"", i, text);
		if (end != 0)
			assert_int_equal(end, ECONNRESET);
	}
	assert_int_equal(accept(w->target, NULL, NULL), -1);
	world_free(w);
}

static void refused_name(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("evil.test", 0, 0);
	int client = world_connect(NAMED, 443);
	char text[2048];

	(void)state;
	world_send(w, client, hello, n);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);
	expect_event(w, AUDIT_DENY, AUDIT_TLS, "evil.test",
		     policy_reason_name(POLICY_R_NO_NAME));
	assert_string_equal(world_last(w)->hint, "hinted.test");

	client = world_connect(NAMED, 80);
	world_say(w, client, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	fd_close(&client);
	assert_non_null(strstr(text, "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(text, "Connection: close\r\n"));
	assert_non_null(strstr(text, "allowed by: --allow hinted.test\n"));
	expect_event(w, AUDIT_DENY, AUDIT_HTTP, "evil.test",
		     policy_reason_name(POLICY_R_NO_NAME));
	world_free(w);
}

static void dial_fails(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("allowed.test", 0, 0);
	int client = world_connect(NAMED, 443);
	char text[64];

	(void)state;
	w->dial_error = ECONNREFUSED;
	world_send(w, client, hello, n);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);
	assert_int_equal(w->nevents, 1);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_FAIL);
	assert_int_equal(world_last(w)->e.error, ECONNREFUSED);
	world_free(w);
}

/* A connection with one answered request for allowed.test. */
static int http_flow(struct world *w, int *ret_target)
{
	static const char request[] =
		"POST /a HTTP/1.1\r\nHost: allowed.test\r\n"
		"Content-Length: 5\r\n\r\nhello";
	int client = world_connect(NAMED, 80);

	world_say(w, client, request);
	*ret_target = world_accept(w);
	world_hear(w, *ret_target, request);
	world_say(w, *ret_target, "HTTP/1.1 200 OK\r\n\r\n");
	world_hear(w, client, "HTTP/1.1 200 OK\r\n\r\n");
	return client;
}

static void http_keep_alive(void **state)
{
	static const char same[] = "GET /b HTTP/1.1\r\nHost: allowed.test\r\n"
				   "\r\n";
	static const char other[] = "GET /c HTTP/1.1\r\nHost: other.test\r\n"
				    "\r\n";
	struct world *w = world_new(POLICY_ALLOWLIST);
	int target, client = http_flow(w, &target);
	char text[2048];

	(void)state;
	world_say(w, client, same);
	world_hear(w, target, same);
	assert_int_equal(world_asked(w, ASK_CHECK), 0);
	world_say(w, target, "x");
	world_hear(w, client, "x");
	world_say(w, client, other);
	world_hear(w, target, other);
	assert_int_equal(world_asked(w, ASK_CHECK), 1);
	expect_event(w, AUDIT_ALLOW, AUDIT_HTTP, "other.test",
		     policy_reason_name(POLICY_R_RULE));
	world_say(w, target, "y");
	world_hear(w, client, "y");
	world_say(w, client, "GET /d HTTP/1.1\r\nHost: evil.test\r\n\r\n");
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "HTTP/1.1 403 Forbidden\r\n"));
	assert_int_equal(w->events[1].e.verdict, AUDIT_DENY);
	assert_string_equal(w->events[1].name, "evil.test");
	fd_close(&client);
	assert_int_equal(world_read_end(w, target, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&target);
	world_until(w, w->nevents == 3);
	expect_event(w, AUDIT_ALLOW, AUDIT_HTTP, "allowed.test",
		     policy_reason_name(POLICY_R_RULE));
	assert_int_equal(world_asked(w, ASK_CHECK), 2);
	world_free(w);
}

/* Nothing of the response has come: a 403 could be taken for it. */
static void http_pipelined(void **state)
{
	static const char first[] = "GET /a HTTP/1.1\r\nHost: allowed.test\r\n"
				    "\r\n";
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, 80), target;
	char text[2048];

	(void)state;
	world_say(w, client,
		  "GET /a HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
		  "GET /b HTTP/1.1\r\nHost: evil.test\r\n\r\n");
	target = world_accept(w);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	world_until(w, w->nevents == 2);
	/* the reset may overtake the first request, the second never comes */
	if (recv(target, text, sizeof(text), 0) > 0)
		assert_memory_equal(text, first, sizeof(first) - 1);
	fd_close(&client);
	fd_close(&target);
	world_free(w);
}

static void websocket(void **state)
{
	static const char ask[] = "GET /ws HTTP/1.1\r\nHost: allowed.test\r\n"
				  "Connection: Upgrade\r\n"
				  "Upgrade: websocket\r\n\r\n";
	static const char yes[] =
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, 80), target;

	(void)state;
	world_say(w, client, ask);
	target = world_accept(w);
	world_hear(w, target, ask);
	/* ahead of its time: waits for the answer */
	world_say(w, client, "\x81\x01z");
	world_say(w, target, yes);
	world_hear(w, client, yes);
	world_hear(w, target, "\x81\x01z");
	finish(w, client, target);
	world_free(w);
}

/* A client that waits for the server's settings before it names anybody. */
static void http2(void **state)
{
	static uint8_t bytes[512];
	struct wbuf w2 = wbuf_make(bytes, sizeof(bytes));
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, PORT_OTHER), target;
	char text[512] = "";
	size_t n;

	(void)state;
	h2_begin(&w2);
	n = wbuf_len(&w2);
	world_send(w, client, bytes, n);
	target = world_accept(w);
	assert_string_equal(w->last.name, "");
	assert_int_equal(w->last.learnt, POLICY_NAME_PIN);
	world_hear(w, target, H2_PREFACE);
	h2_headers(&w2, H2_END_HEADERS, 1,
		   ":method=GET|:scheme=http|:path=/|:authority=evil.test");
	world_send(w, client, bytes + n, wbuf_len(&w2) - n);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	assert_non_null(memmem(text, sizeof(text), "exeat: evil.test at ", 20));
	assert_string_equal(w->last.name, "evil.test");
	assert_int_equal(w->last.learnt, POLICY_NAME_HOST);
	fd_close(&client);
	fd_close(&target);
	world_free(w);
}

static void server_first(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, PORT_OTHER), target;

	(void)state;
	target = world_accept(w); /* after a short silence */
	assert_string_equal(w->last.name, "");
	assert_int_equal(w->last.learnt, POLICY_NAME_PIN);
	world_say(w, target, "220 hello\r\n");
	world_hear(w, client, "220 hello\r\n");
	world_say(w, client, "EHLO me\r\n");
	world_hear(w, target, "EHLO me\r\n");
	finish(w, client, target);
	expect_event(w, AUDIT_ALLOW, AUDIT_TCP, "",
		     policy_reason_name(POLICY_R_NO_NAME));
	world_free(w);
}

/* Silence first, then a name: it is decided when it comes. */
static void late_name(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, PORT_OTHER), target;
	char text[64];
	size_t n;

	(void)state;
	target = world_accept(w);
	n = hello_for("evil.test", 0, 0);
	world_send(w, client, hello, n);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	assert_int_equal(world_read_end(w, target, text, sizeof(text)),
			 ECONNRESET);
	assert_string_equal(text, "");
	fd_close(&client);
	fd_close(&target);

	client = world_connect(NAMED, PORT_OTHER);
	target = world_accept(w);
	n = hello_for("other.test", 0, 100);
	world_send(w, client, hello, n);
	world_expect(w, target, hello, n);
	assert_int_equal(world_asked(w, ASK_CHECK), 2);
	finish(w, client, target);
	world_free(w);
}

/* Where the address decides, a name is held against the deny-list only. */
static void by_address(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(OPENED, 443), target;
	size_t n = hello_for("denied.test", 0, 0);
	char text[64];

	(void)state;
	world_send(w, client, hello, n);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);

	client = world_connect(OPENED, 443);
	world_say(w, client, "SSH-2.0-any\r\n");
	target = world_accept(w);
	world_hear(w, target, "SSH-2.0-any\r\n");
	finish(w, client, target);
	world_free(w);
}

static void half_close(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int target, client = http_flow(w, &target);
	char text[64];

	(void)state;
	shutdown(client, SHUT_WR);
	assert_int_equal(world_read_end(w, target, text, sizeof(text)), 0);
	assert_int_equal(w->nevents, 0);
	world_say(w, target, "still talking");
	world_hear(w, client, "still talking");
	fd_close(&target);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	fd_close(&client);
	world_until(w, w->nevents == 1);
	world_free(w);
}

static void resets_pass(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int target, client = http_flow(w, &target);
	char text[64];

	(void)state;
	world_reset(&client);
	assert_int_equal(world_read_end(w, target, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&target);
	client = http_flow(w, &target);
	world_reset(&target);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);
	world_until(w, w->nevents == 2);
	world_free(w);
}

enum { BULK = 100 << 20, BLOCK = 64 << 10 };

/* Write what fits without waiting; returns how much. */
static size_t push(int fd, const uint8_t *block, size_t left)
{
	size_t n = left < BLOCK ? left : BLOCK;
	ssize_t done = send(fd, block, n, MSG_NOSIGNAL);

	return done > 0 ? (size_t)done : 0;
}

/* A reader that does not read holds the writer up; nothing is lost. */
static void bulk(struct world *w, int from, int to)
{
	static uint8_t block[BLOCK], got[BLOCK];
	size_t sent = 0, received = 0;

	/* until nothing moves any more */
	for (int idle = 0; idle < 20;) {
		size_t n;

		for (size_t i = 0; i < BLOCK; i++)
			block[i] = (uint8_t)((sent + i) * 31 >> 8);
		n = push(from, block, BULK - sent);
		sent += n;
		idle = n ? 0 : idle + 1;
		world_turn(w);
	}
	if (sent > 40 << 20)
		fail_msg("%zu bytes went in and none came out", sent);
	while (received < BULK) {
		ssize_t n = recv(to, got, BLOCK, 0);

		for (ssize_t i = 0; i < n; i++)
			if (got[i] !=
			    (uint8_t)((received + (size_t)i) * 31 >> 8))
				fail_msg("wrong byte at %zu",
					 received + (size_t)i);
		if (n > 0)
			received += (size_t)n;
		for (size_t i = 0; i < BLOCK; i++)
			block[i] = (uint8_t)((sent + i) * 31 >> 8);
		if (sent < BULK)
			sent += push(from, block, BULK - sent);
		if (n <= 0)
			world_turn(w);
	}
	assert_int_equal(sent, received);
}

static void backpressure(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("allowed.test", 0, 0);
	int client = world_connect(OPENED, 443), target;

	(void)state;
	world_send(w, client, hello, n);
	target = world_accept(w);
	world_expect(w, target, hello, n);
	bulk(w, target, client);
	fd_close(&client);
	fd_close(&target);
	client = world_connect(OPENED, 80);
	world_say(w, client, "raw stream\n");
	target = world_accept(w);
	world_hear(w, target, "raw stream\n");
	bulk(w, client, target);
	fd_close(&client);
	fd_close(&target);
	world_free(w);
}

/* The body of a request goes through the filter. */
static void large_upload(void **state)
{
	static const char head[] = "PUT /x HTTP/1.1\r\nHost: allowed.test\r\n"
				   "Content-Length: 104857600\r\n\r\n";
	static const char next[] = "GET /y HTTP/1.1\r\nHost: allowed.test\r\n"
				   "\r\n";
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(NAMED, 80), target;

	(void)state;
	world_say(w, client, head);
	target = world_accept(w);
	world_hear(w, target, head);
	bulk(w, client, target);
	world_say(w, client, next);
	world_hear(w, target, next);
	finish(w, client, target);
	assert_int_equal(world_last(w)->e.bytes_out,
			 BULK + sizeof(head) - 1 + sizeof(next) - 1);
	world_free(w);
}

/* Bytes that wait for a server's answer do not outlive the server. */
static void waits_in_vain(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	size_t n = hello_for("allowed.test", 0, 0);
	int client = world_connect(NAMED, 443), target;
	int64_t began = clock_ms();
	char text[16];

	(void)state;
	world_send(w, client, hello, n);
	world_send(w, client, "\x16\x03\x03\x01\x00\x01", 6);
	target = world_accept(w);
	world_expect(w, target, hello, n);
	shutdown(target, SHUT_WR);
	(void)world_read_end(w, client, text, sizeof(text));
	assert_int_equal(world_read_end(w, target, text, sizeof(text)),
			 ECONNRESET);
	assert_true(clock_ms() - began < 10000);
	expect_event(w, AUDIT_ALLOW, AUDIT_TLS, "allowed.test",
		     policy_reason_name(POLICY_R_RULE));
	fd_close(&client);
	fd_close(&target);

	client = world_connect(NAMED, 80);
	world_say(w, client,
		  "GET / HTTP/1.1\r\nHost: allowed.test\r\n"
		  "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nmore");
	target = world_accept(w);
	fd_close(&target);
	(void)world_read_end(w, client, text, sizeof(text));
	world_until(w, w->front->stats.flows == 0);
	assert_true(clock_ms() - began < 10000);
	fd_close(&client);
	world_free(w);
}

/* Silence, a half of a request: neither lasts. */
static void peek_ends(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int silent = world_connect(NAMED, 443);
	int half = world_connect(NAMED, PORT_OTHER);
	char text[64];

	(void)state;
	world_say(w, half, "G");
	assert_int_equal(world_read_end(w, silent, text, sizeof(text)),
			 ECONNRESET);
	assert_int_equal(world_read_end(w, half, text, sizeof(text)),
			 ECONNRESET);
	world_until(w, w->nevents == 2);
	assert_int_equal(world_asked(w, ASK_DIAL), 0);
	fd_close(&silent);
	fd_close(&half);
	world_free(w);
}

static void drop_and_break(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int target, client = http_flow(w, &target), waiting;
	struct front_stats stats;
	char text[64];

	(void)state;
	w->mute = true;
	waiting = world_connect(OPENED, 80);
	world_say(w, waiting, "GET / HTTP/1.1\r\nHost: x.test\r\n\r\n");
	world_until(w, world_asked(w, ASK_DIAL) == 2);
	front_drop_posture(w->front, 2);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	assert_int_equal(world_read_end(w, target, text, sizeof(text)),
			 ECONNRESET);
	assert_int_equal(world_read_end(w, waiting, text, sizeof(text)),
			 ECONNRESET);
	world_until(w, world_asked(w, ASK_CANCEL) == 1);
	front_get_stats(w->front, &stats);
	assert_int_equal(stats.flows, 0);
	assert_int_equal(stats.flows_total, 2);
	fd_close(&client);
	fd_close(&target);
	fd_close(&waiting);

	shutdown(w->dialer.fd, SHUT_RDWR);
	world_until(w, w->broken == EPIPE);
	client = world_connect(OPENED, 443);
	shutdown(client, SHUT_WR);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);
	world_free(w);
}

/* Descriptors run out: no flow is lost, the rest waits in the kernel. */
static void accept_pauses(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int clients[8], last = world_connect(NAMED, 443);
	struct front_stats stats;

	(void)state;
	world_until(w, !LIST_EMPTY(&w->front->postures) &&
			       w->front->stats.flows == 1);
	for (int i = 0; i < 8; i++)
		clients[i] = world_connect(NAMED, 443);
	w->front->fd_max = clients[7];
	world_until(w, w->front->paused);
	front_get_stats(w->front, &stats);
	assert_true(stats.flows < 9);
	w->front->fd_max = 4096;
	world_until(w, !w->front->paused && w->front->stats.flows == 9);
	for (int i = 0; i < 8; i++)
		fd_close(&clients[i]);
	fd_close(&last);
	world_until(w, w->front->stats.flows == 0);
	assert_int_equal(w->front->unconnected, 0);
	assert_int_equal(w->nevents, 0);
	world_free(w);
}

/* A low number may be free where hardly any other is: they are counted. */
static void descriptors_counted(void **state)
{
	enum { BASE = 10000, POSTURES = 3, EACH = 9, FLOWS = 2 };
	struct world *w = world_new(POLICY_ALLOWLIST);
	uint32_t base = w->front->fd_base;
	int clients[2 * FLOWS];

	(void)state;
	for (int i = 0; i < 2 * FLOWS; i++)
		clients[i] = world_connect(NAMED, 443);
	w->front->fd_base = BASE;
	w->front->fd_max = BASE + POSTURES * EACH + 2 * FLOWS;
	world_until(w, w->front->paused);
	assert_int_equal(w->front->stats.flows, FLOWS);
	w->front->fd_base = base;
	world_until(w, w->front->stats.flows == 2 * FLOWS);
	for (int i = 0; i < 2 * FLOWS; i++)
		fd_close(&clients[i]);
	world_until(w, w->front->stats.flows == 0);
	world_free(w);
}

static void loop_refused(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect("127.0.0.1", 443);
	char text[64];

	(void)state;
	assert_int_equal(world_read_end(w, client, text, sizeof(text)),
			 ECONNRESET);
	fd_close(&client);
	assert_int_equal(w->nevents, 1);
	assert_string_equal(world_last(w)->reason,
			    policy_reason_name(POLICY_R_OWN));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_passes),
		cmocka_unit_test(tls_large),
		cmocka_unit_test(first_bytes_refused),
		cmocka_unit_test(refused_name),
		cmocka_unit_test(dial_fails),
		cmocka_unit_test(http_keep_alive),
		cmocka_unit_test(http_pipelined),
		cmocka_unit_test(websocket),
		cmocka_unit_test(http2),
		cmocka_unit_test(server_first),
		cmocka_unit_test(late_name),
		cmocka_unit_test(by_address),
		cmocka_unit_test(half_close),
		cmocka_unit_test(resets_pass),
		cmocka_unit_test(backpressure),
		cmocka_unit_test(large_upload),
		cmocka_unit_test(waits_in_vain),
		cmocka_unit_test(peek_ends),
		cmocka_unit_test(drop_and_break),
		cmocka_unit_test(accept_pauses),
		cmocka_unit_test(descriptors_counted),
		cmocka_unit_test(loop_refused),
	};
	int r = world_enter();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
