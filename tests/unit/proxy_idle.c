/* proxy_idle.c - no clock ends a connection that is relayed
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who may be silent for hours cannot be waited for: what is looked at is that
 * no time-out of a flow is pending. Each flow had one while it was judged.
 */
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "proxy/flow_private.h"
#include "proxy/front_private.h"
#include "tests/unit/proxy_hello.h"
#include "tests/unit/proxy_world.h"

static const char request[] = "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n";
static const char half_body[] = "POST / HTTP/1.1\r\nHost: allowed.test\r\n"
				"Content-Length: 9\r\n\r\nhalf";
static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: allowed.test\r\n"
			      "Connection: Upgrade\r\n"
			      "Upgrade: websocket\r\n\r\n";
static const char switched[] =
	"HTTP/1.1 101 Switching Protocols\r\n"
	"Upgrade: websocket\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/* Of whichever posture; there is one flow in all of them. */
static struct flow *only_flow(struct world *w)
{
	struct flow *found = NULL;
	struct posture *p;

	LIST_FOREACH(p, &w->front->postures, link) {
		if (LIST_EMPTY(&p->flows))
			continue;
		assert_null(found);
		found = LIST_FIRST(&p->flows);
		assert_null(LIST_NEXT(found, link));
	}
	return found;
}

static bool has_timeout(struct world *w)
{
	struct flow *fl = only_flow(w);
	struct event *const events[] = { &fl->client_in, &fl->client_out,
					 &fl->target_in, &fl->target_out,
					 &fl->timer };
	bool any = false;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		any |= event_initialized(events[i]) &&
		       event_pending(events[i], EV_TIMEOUT, NULL);
	return any;
}

/* `first` from the client, `then` back; silence has no end after each. */
static void silent(const char *address, uint16_t port, const uint8_t *first,
		   size_t len, const char *then)
{
	struct world *w = world_new(POLICY_ALLOWLIST);
	int client = world_connect(address, port), target;

	if (len > 0)
		world_send(w, client, first, 1);
	world_until(w, only_flow(w));
	assert_true(has_timeout(w));
	if (len > 1)
		world_send(w, client, first + 1, len - 1);
	target = world_accept(w);
	world_expect(w, target, first, len);
	world_until(w, !has_timeout(w));
	if (then) {
		world_say(w, target, then);
		world_hear(w, client, then);
		world_turn(w);
		assert_false(has_timeout(w));
	}
	/* one end is an end of one direction */
	shutdown(target, SHUT_WR);
	assert_int_equal(world_read_end(w, client, (char[1]){ 0 }, 1), 0);
	world_turn(w);
	assert_non_null(only_flow(w));
	assert_false(has_timeout(w));
	fd_close(&client);
	fd_close(&target);
	world_free(w);
}

static void silent_text(const char *address, uint16_t port, const char *first,
			const char *then)
{
	silent(address, port, (const uint8_t *)first, strlen(first), then);
}

static void nothing_ends_silence(void **state)
{
	static uint8_t hello[1024];
	const struct hello_spec spec = { .name = "allowed.test" };
	size_t n = hello_build(&spec, hello, sizeof(hello));

	(void)state;
	silent(NAMED, 443, hello, n, "server's hello");
	silent_text(NAMED, 80, request, "HTTP/1.1 200 OK\r\n\r\n");
	silent_text(NAMED, 80, half_body, NULL);
	silent_text(NAMED, 80, upgrade, switched);
	silent_text(NAMED, PORT_OTHER, "word\r\n", "answer");
	silent_text(NAMED, PORT_OTHER, "", "220 server first\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_ends_silence),
	};
	int r = world_enter();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
