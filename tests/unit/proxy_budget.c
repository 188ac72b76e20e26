/* proxy_budget.c - bytes through front against budgets
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "tests/unit/proxy_world.h"

#define HEAD                     \
	"POST /a HTTP/1.1\r\n"   \
	"Host: allowed.test\r\n" \
	"Content-Length: 100000\r\n\r\n"
enum { HEAD_LEN = sizeof(HEAD) - 1 };

static const char *budget_reason(void)
{
	return policy_reason_name(POLICY_R_BUDGET);
}

/* A reset came behind exactly these bytes. */
static void cut_after(struct world *w, int fd, const char *text)
{
	char got[2048];

	assert_int_equal(world_read_end(w, fd, got, sizeof(got)), ECONNRESET);
	assert_string_equal(got, text);
}

/* The records of a flow that was cut: first that, then what it was. */
static void cut_recorded(struct world *w, const char *rule, uint64_t out,
			 uint64_t in)
{
	const struct world_event *cut = &w->events[w->nevents - 2];
	const struct world_event *flow = world_last(w);

	assert_true(w->nevents >= 2);
	assert_int_equal(cut->e.verdict, AUDIT_DENY);
	assert_string_equal(cut->reason, budget_reason());
	assert_string_equal(cut->rule, rule);
	assert_string_equal(cut->name, flow->name);
	assert_int_equal(flow->e.verdict, AUDIT_ALLOW);
	assert_int_equal(flow->e.bytes_out, out);
	assert_int_equal(flow->e.bytes_in, in);
}

/* Asked, without a packet, and told in HTTP. */
static void refused_at_once(struct world *w)
{
	int client = world_connect(NAMED, 80);
	unsigned dials = world_asked(w, ASK_DIAL);
	char text[2048];

	world_say(w, client, "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n");
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	fd_close(&client);
	assert_non_null(strstr(text, "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(text, "refused: budget: all of"));
	assert_int_equal(world_asked(w, ASK_DIAL), dials);
	assert_int_equal(world_last(w)->e.verdict, AUDIT_DENY);
	assert_string_equal(world_last(w)->reason, budget_reason());
	assert_string_equal(world_last(w)->rule, "allowed.test");
	assert_false(world_last(w)->hint[0]);
}

static void upload_ends_exactly(void **state)
{
	const struct policy_budget b = { "allowed.test", { HEAD_LEN + 9, 0 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int client = world_connect(NAMED, 80), target;

	(void)state;
	world_say(w, client, HEAD);
	target = world_accept(w);
	world_hear(w, target, HEAD);
	world_say(w, client, "12345");
	world_hear(w, target, "12345");
	world_say(w, client, "6789");
	world_hear(w, target, "6789"); /* all of it, and it still lives */
	world_say(w, target, "x");
	world_hear(w, client, "x");
	world_say(w, client, "0");
	cut_after(w, client, "");
	cut_after(w, target, "");
	fd_close(&client);
	fd_close(&target);
	cut_recorded(w, "allowed.test", HEAD_LEN + 9, 1);
	refused_at_once(w);
	world_free(w);
}

static void upload_is_cut_within_a_write(void **state)
{
	const struct policy_budget b = { "allowed.test", { HEAD_LEN + 3, 0 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int client = world_connect(NAMED, 80), target;

	(void)state;
	world_say(w, client, HEAD "123456789");
	target = world_accept(w);
	cut_after(w, target, HEAD "123");
	cut_after(w, client, "");
	fd_close(&client);
	fd_close(&target);
	cut_recorded(w, "allowed.test", HEAD_LEN + 3, 0);
	world_free(w);
}

/* Two connections of two postures at a time, and a name of a wildcard. */
static void downloads_share(void **state)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n";
	const struct policy_budget b = { "*.test", { 0, 10 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int one = world_connect(NAMED, 80), other, targets[2];

	(void)state;
	world_say(w, one, HEAD);
	targets[0] = world_accept(w);
	world_hear(w, targets[0], HEAD);
	other = world_connect(NAMED, PORT_OTHER);
	world_say(w, other, get);
	targets[1] = world_accept(w);
	world_say(w, targets[0], "123456");
	world_hear(w, one, "123456");
	world_say(w, targets[1], "7890");
	world_hear(w, other, "7890");
	world_say(w, targets[1], "no");
	cut_after(w, other, "");
	cut_recorded(w, "*.test", sizeof(get) - 1, 4);
	world_say(w, targets[0], "no");
	cut_after(w, one, "");
	cut_recorded(w, "*.test", HEAD_LEN, 6);
	for (int i = 0; i < 2; i++)
		fd_close(&targets[i]);
	fd_close(&one);
	fd_close(&other);
	world_free(w);
}

/* A second request of a connection for a name without bytes left. */
static void later_name(void **state)
{
	static const char first[] =
		"GET /b HTTP/1.1\r\nHost: other.test\r\n\r\n";
	const struct policy_budget b = { "allowed.test", { 1, 0 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int client = world_connect(NAMED, 80), spender, target;
	char text[2048];

	(void)state;
	spender = world_connect(NAMED, 80);
	world_say(w, spender, HEAD);
	target = world_accept(w);
	cut_after(w, target, "P");
	cut_after(w, spender, "");
	fd_close(&target);
	fd_close(&spender);
	world_say(w, client, first);
	target = world_accept(w);
	world_hear(w, target, first);
	world_say(w, target, "HTTP/1.1 204 No Content\r\n\r\n");
	world_hear(w, client, "HTTP/1.1 204 No Content\r\n\r\n");
	world_say(w, client, HEAD);
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "HTTP/1.1 403 Forbidden\r\n"));
	cut_after(w, target, "");
	fd_close(&client);
	fd_close(&target);
	world_free(w);
}

/* What no budget names is not counted; a deny rule is the better reason. */
static void others_go_on(void **state)
{
	const struct policy_budget b[] = { { "allowed.test:443", { 1, 1 } },
					   { "denied.test", { 1, 1 } } };
	struct world *w = world_with(POLICY_ALLOWLIST, b, 2);
	int client = world_connect(NAMED, 80), target;
	char text[2048];

	(void)state;
	world_say(w, client, HEAD);
	target = world_accept(w);
	world_hear(w, target, HEAD);
	fd_close(&client);
	fd_close(&target);
	client = world_connect(NAMED, 80);
	world_say(w, client, "GET / HTTP/1.1\r\nHost: denied.test\r\n\r\n");
	assert_int_equal(world_read_end(w, client, text, sizeof(text)), 0);
	fd_close(&client);
	assert_string_equal(world_last(w)->reason,
			    policy_reason_name(POLICY_R_DENY_RULE));
	world_free(w);
}

/* An address has its bytes whatever name the flow says. */
static void address_counts(void **state)
{
	const struct policy_budget b = { OPENED, { 4, 0 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int client = world_connect(OPENED, PORT_OTHER), target;

	(void)state;
	world_say(w, client, "SSH-2.0-any\r\n");
	target = world_accept(w);
	cut_after(w, target, "SSH-");
	cut_after(w, client, "");
	fd_close(&client);
	fd_close(&target);
	cut_recorded(w, OPENED, 4, 0);
	world_free(w);
}

static int udp_client(const char *address, uint16_t port)
{
	const char *cursor = address;
	struct endpoint ep = { .port = port };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	assert_true(addr_parse(&cursor, &ep.addr));
	len = endpoint_to_sockaddr(&ep, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* The next datagram's length; `from` may be NULL. */
static ssize_t datagram(struct world *w, int fd, struct sockaddr_storage *from)
{
	socklen_t len = sizeof(*from);
	char buf[64];
	ssize_t n;

	world_until(w, (n = recvfrom(fd, buf, sizeof(buf), 0,
				     (struct sockaddr *)from,
				     from ? &len : NULL)) >= 0 ||
			       errno != EAGAIN);
	return n;
}

static void datagrams_go_whole(void **state)
{
	const struct policy_budget b = { "udp/" OPENED, { 7, 6 } };
	struct world *w = world_with(POLICY_ALLOWLIST, &b, 1);
	int one = udp_client(OPENED, 5000), other = udp_client(OPENED, 5000);
	struct sockaddr_storage from;

	(void)state;
	assert_int_equal(send(one, "123", 3, 0), 3);
	assert_int_equal(datagram(w, w->target_udp, &from), 3);
	assert_int_equal(sendto(w->target_udp, "1234", 4, 0,
				(struct sockaddr *)&from,
				sizeof(struct sockaddr_in)),
			 4);
	assert_int_equal(datagram(w, one, NULL), 4);
	/* 3 and 4 fill it; one more finds no room */
	assert_int_equal(send(other, "4567", 4, 0), 4);
	assert_int_equal(datagram(w, w->target_udp, NULL), 4);
	assert_int_equal(send(other, "8", 1, 0), 1);
	world_until(w, w->nevents == 2);
	cut_recorded(w, "udp/" OPENED, 4, 0);
	/* the other direction: a datagram that is too long for what is left */
	assert_int_equal(sendto(w->target_udp, "567", 3, 0,
				(struct sockaddr *)&from,
				sizeof(struct sockaddr_in)),
			 3);
	world_until(w, w->nevents == 4);
	cut_recorded(w, "udp/" OPENED, 3, 4);
	fd_close(&one);
	fd_close(&other);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upload_ends_exactly),
		cmocka_unit_test(upload_is_cut_within_a_write),
		cmocka_unit_test(downloads_share),
		cmocka_unit_test(later_name),
		cmocka_unit_test(others_go_on),
		cmocka_unit_test(address_counts),
		cmocka_unit_test(datagrams_go_whole),
	};
	int r = world_enter();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
