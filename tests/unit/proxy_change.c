/* proxy_change.c - another policy for what lives in front
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/front_private.h"
#include "tests/unit/policy_build.h"
#include "tests/unit/proxy_h2.h"
#include "tests/unit/proxy_hello.h"
#include "tests/unit/proxy_world.h"

static const char names[] = "allowed.test:80,443,8080";

/* A flow by name that lives: a TLS one. */
struct pair {
	int client, target;
};

static struct pair flow_by_name(struct world *w)
{
	static uint8_t hello[8192];
	const struct hello_spec s = { .name = "allowed.test" };
	size_t n = hello_build(&s, hello, sizeof(hello));
	struct pair p = { .client = world_connect(NAMED, 443) };

	world_send(w, p.client, hello, n);
	p.target = world_accept(w);
	world_expect(w, p.target, hello, n);
	return p;
}

static struct pair flow_by_address(struct world *w)
{
	struct pair p = { .client = world_connect(OPENED, PORT_OTHER) };

	world_say(w, p.client, "\1hello");
	p.target = world_accept(w);
	world_hear(w, p.target, "\1hello");
	return p;
}

static void change(struct world *w, const struct built *to)
{
	assert_non_null(to->p);
	/* one for each port that is listened on */
	for (uint32_t posture = 1; posture <= 3; posture++)
		assert_int_equal(front_set_policy(w->front, posture, to->p), 0);
}

static void expect_ended(struct world *w, struct pair *p, const char *name)
{
	const struct world_event *e;
	char rest[16];

	assert_int_equal(world_read_end(w, p->client, rest, sizeof(rest)),
			 ECONNRESET);
	assert_int_equal(world_read_end(w, p->target, rest, sizeof(rest)),
			 ECONNRESET);
	/* that it is refused, then what it was */
	assert_int_equal(w->nevents, 2);
	e = &w->events[0];
	assert_int_equal(e->e.verdict, AUDIT_DENY);
	assert_string_equal(e->reason, "policy");
	assert_string_equal(e->name, name);
	assert_int_equal(w->events[1].e.verdict, AUDIT_ALLOW);
	assert_true(w->events[1].e.bytes_out > 0);
	fd_close(&p->client);
	fd_close(&p->target);
}

static void by_name(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built other = build(POLICY_ALLOWLIST, LIST(names), NULL);
	struct pair p = flow_by_name(w);

	(void)state;
	change(w, &other);
	world_until(w, world_asked(w, ASK_CHECK) == 1);
	assert_string_equal(w->last.name, "allowed.test");
	assert_int_equal(w->last.learnt, POLICY_NAME_SNI);
	world_say(w, p.target, "lives");
	world_hear(w, p.client, "lives");
	w->refuse = true;
	change(w, &other);
	expect_ended(w, &p, "allowed.test");
	assert_string_equal(w->events[0].hint, "hinted.test");
	world_free(w);
	built_done(&other);
}

/* Streams of so many names, on one connection. */
static struct pair flow_by_names(struct world *w, int n)
{
	static uint8_t bytes[16384];
	struct wbuf b = wbuf_make(bytes, sizeof(bytes));
	struct pair p = { .client = world_connect(NAMED, PORT_OTHER) };
	char fields[128];

	h2_begin(&b);
	for (int i = 0; i < n; i++) {
		(void)snprintf(fields, sizeof(fields),
			       ":method=GET|:scheme=http|:path=/|"
			       ":authority=n%d.many.test",
			       i);
		h2_headers(&b, H2_END_HEADERS, 2 * (uint32_t)i + 1, fields);
	}
	world_send(w, p.client, bytes, wbuf_len(&b));
	p.target = world_accept(w);
	world_expect(w, p.target, bytes, wbuf_len(&b));
	assert_int_equal(world_asked(w, ASK_CHECK), n - 1);
	return p;
}

/* Streams live side by side: every name that one has had is asked for. */
static void by_names(void **state)
{
	enum { NAMES = 5 };
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built other = build(POLICY_ALLOWLIST, LIST(names), NULL);
	struct pair p = flow_by_names(w, NAMES);
	char rest[16];

	(void)state;
	change(w, &other);
	world_until(w, world_asked(w, ASK_CHECK) == 2 * NAMES - 1);
	world_say(w, p.target, "lives");
	world_hear(w, p.client, "lives");
	w->refused = "n2.many.test";
	w->nevents = 0;
	change(w, &other);
	assert_int_equal(world_read_end(w, p.client, rest, sizeof(rest)),
			 ECONNRESET);
	assert_int_equal(w->events[0].e.verdict, AUDIT_DENY);
	assert_string_equal(w->events[0].reason, "policy");
	fd_close(&p.client);
	fd_close(&p.target);
	world_free(w);
	built_done(&other);
}

/* As many as are kept, and the first; with one more nobody knows. */
static void by_too_many_names(void **state)
{
	struct built other = build(POLICY_ALLOWLIST, LIST(names), NULL);

	(void)state;
	for (int more = 0; more < 2; more++) {
		struct world *w = world_new(POLICY_ALLOWLIST);
		const int n = 1 + LIMIT_FLOW_NAMES + more;
		struct pair p = flow_by_names(w, n);
		char rest[16];

		w->nevents = 0;
		change(w, &other);
		if (!more)
			world_until(w, world_asked(w, ASK_CHECK) ==
					       2 * (unsigned)n - 1);
		else
			assert_int_equal(world_read_end(w, p.client, rest,
							sizeof(rest)),
					 ECONNRESET);
		assert_int_equal(w->nevents > 0, more);
		fd_close(&p.client);
		fd_close(&p.target);
		world_free(w);
	}
	built_done(&other);
}

/* HTTP/2 behind its settings waits for the server's: also where the port
 * carries HTTP alone the pin lets it through, after a while. */
static void settings_first(void **state)
{
	static const uint16_t ports[] = { 80, PORT_OTHER };
	uint8_t bytes[512];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_new(POLICY_ALLOWLIST);
		struct wbuf b = wbuf_make(bytes, sizeof(bytes));
		struct pair p = { .client = world_connect(NAMED, ports[i]) };

		h2_begin(&b);
		world_send(w, p.client, bytes, wbuf_len(&b));
		p.target = world_accept(w);
		assert_int_equal(w->last.learnt, POLICY_NAME_PIN);
		assert_string_equal(w->last.name, "");
		world_expect(w, p.target, bytes, wbuf_len(&b));
		world_say(w, p.target, "settings");
		world_hear(w, p.client, "settings");
		b = wbuf_make(bytes, sizeof(bytes));
		h2_headers(&b, H2_END_HEADERS | H2_END_STREAM, 1,
			   ":method=GET|:scheme=http|:path=/|"
			   ":authority=allowed.test");
		world_send(w, p.client, bytes, wbuf_len(&b));
		world_expect(w, p.target, bytes, wbuf_len(&b));
		assert_string_equal(w->last.name, "allowed.test");
		b = wbuf_make(bytes, sizeof(bytes));
		h2_headers(&b, H2_END_HEADERS | H2_END_STREAM, 3,
			   ":method=GET|:scheme=http|:path=/|"
			   ":authority=denied.test");
		world_send(w, p.client, bytes, wbuf_len(&b));
		assert_int_equal(world_read_end(w, p.target, (char *)bytes,
						sizeof(bytes)),
				 ECONNRESET);
		assert_string_equal((char *)bytes, "");
		fd_close(&p.client);
		fd_close(&p.target);
		world_free(w);
	}
}

/* What an address opened lives as long as that address is open. */
static void by_address(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built same = build(POLICY_OPEN, NULL, NULL);
	struct built other =
		build(POLICY_ALLOWLIST, LIST("allowed.test:8080"), NULL);
	struct pair p = flow_by_address(w);

	(void)state;
	change(w, &same);
	world_until(w, world_asked(w, ASK_CHECK) == 1);
	world_say(w, p.client, "lives");
	world_hear(w, p.target, "lives");
	change(w, &other);
	expect_ended(w, &p, "");
	assert_int_equal(world_asked(w, ASK_CHECK), 1);
	world_free(w);
	built_done(&same);
	built_done(&other);
}

/* Before anything is known of it. */
static void in_the_beginning(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built none = build(POLICY_BLOCKED, NULL, NULL);
	int client = world_connect(NAMED, 443);
	struct front_stats stats = { 0 };
	char rest[16];

	(void)state;
	world_send(w, client, "\x16\x03", 2);
	world_until(w, (front_get_stats(w->front, &stats), stats.flows == 1));
	change(w, &none);
	assert_int_equal(world_read_end(w, client, rest, sizeof(rest)),
			 ECONNRESET);
	assert_string_equal(world_last(w)->reason, "policy");
	assert_int_equal(world_asked(w, ASK_DIAL), 0);
	fd_close(&client);
	world_free(w);
	built_done(&none);
}

/* The first bytes are held against what the port may carry now. */
static void first_bytes(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built open = build(POLICY_OPEN, NULL, NULL);
	struct built list = build(POLICY_ALLOWLIST, LIST(names), NULL);
	struct front_stats stats = { 0 };
	int client, target;

	(void)state;
	change(w, &list);
	client = world_connect(OPENED, 443);
	world_send(w, client, "\x16\x03", 2);
	world_until(w, (front_get_stats(w->front, &stats), stats.flows == 1));
	/* read already, or in a moment */
	for (int i = 0; i < 8; i++)
		world_turn(w);
	change(w, &list);
	assert_int_equal(world_asked(w, ASK_DIAL), 0);
	change(w, &open);
	target = world_accept(w);
	world_expect(w, target, "\x16\x03", 2);
	assert_int_equal(world_asked(w, ASK_DIAL), 1);
	assert_int_equal(w->last.learnt, POLICY_NAME_NONE);
	world_say(w, client, "more");
	world_hear(w, target, "more");
	assert_int_equal(w->nevents, 0);
	fd_close(&client);
	fd_close(&target);
	world_free(w);
	built_done(&open);
	built_done(&list);
}

/* It asks nobody: there may be no dialer. */
static void blocked(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built none = build(POLICY_BLOCKED, NULL, NULL);
	struct pair p = flow_by_name(w);
	int client;
	char rest[16];

	(void)state;
	change(w, &none);
	expect_ended(w, &p, "allowed.test");
	assert_int_equal(world_asked(w, ASK_CHECK), 0);
	client = world_connect(OPENED, PORT_OTHER);
	assert_int_equal(world_read_end(w, client, rest, sizeof(rest)),
			 ECONNRESET);
	assert_string_equal(world_last(w)->reason, "blocked");
	assert_int_equal(world_asked(w, ASK_DIAL), 1);
	fd_close(&client);
	world_free(w);
	built_done(&none);
}

static int udp_to(const char *address, uint16_t port)
{
	struct endpoint ep = { .port = port };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	assert_true(addr_parse(&address, &ep.addr));
	len = endpoint_to_sockaddr(&ep, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(send(fd, "one", 3, 0), 3);
	return fd;
}

static void datagrams(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct built other = build(POLICY_ALLOWLIST, LIST(OPENED), NULL);
	struct front_stats stats = { 0 };
	int fd = udp_to(OPENED, 5000);
	char buf[8];

	(void)state;
	world_until(w, recv(w->target_udp, buf, sizeof(buf), 0) == 3);
	change(w, &other);
	world_until(w, world_asked(w, ASK_CHECK) == 1);
	assert_int_equal(send(fd, "two", 3, 0), 3);
	world_until(w, recv(w->target_udp, buf, sizeof(buf), 0) == 3);
	w->refuse = true;
	change(w, &other);
	world_until(w,
		    (front_get_stats(w->front, &stats), stats.udp_flows == 0));
	assert_int_equal(w->nevents, 2);
	assert_string_equal(w->events[0].reason, "policy");
	assert_int_equal(w->events[0].e.verdict, AUDIT_DENY);
	assert_int_equal(w->events[1].e.verdict, AUDIT_ALLOW);
	assert_int_equal(w->events[1].e.bytes_out, 6);
	/* refused: what follows is swallowed, until the policy changes */
	(void)send(fd, "three", 5, 0); /* perhaps the error of before */
	(void)send(fd, "three", 5, 0);
	world_until(w, world_asked(w, ASK_DIAL) == 2 && w->nevents == 3);
	w->refuse = false;
	change(w, &other);
	(void)send(fd, "four", 4, 0);
	(void)send(fd, "four", 4, 0);
	world_until(w, recv(w->target_udp, buf, sizeof(buf), 0) == 4);
	fd_close(&fd);
	world_free(w);
	built_done(&other);
}

/* A pin is in use as long as the flow that came by it. */
static void uses_are_told(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	struct pair p = flow_by_name(w);

	(void)state;
	flow_tick(w->front, clock_ms());
	flow_tick(w->front, clock_ms() + LIMIT_PIN_S / 2 * 1000);
	world_until(w, world_asked(w, ASK_USED) > 0);
	assert_string_equal(w->last.name, "allowed.test");
	fd_close(&p.client);
	fd_close(&p.target);
	world_free(w);
}

static void no_such_posture(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST);

	(void)state;
	assert_int_equal(front_set_policy(w->front, 9, w->policy), -ENOENT);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name),
		cmocka_unit_test(by_address),
		cmocka_unit_test(by_names),
		cmocka_unit_test(by_too_many_names),
		cmocka_unit_test(settings_first),
		cmocka_unit_test(in_the_beginning),
		cmocka_unit_test(first_bytes),
		cmocka_unit_test(blocked),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(uses_are_told),
		cmocka_unit_test(no_such_posture),
	};
	int r = world_enter();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
