/* core_proto.c - what each helper may say to the caller, and when
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/limits.h"
#include "core/proto.h"

enum { KEEPER = 1, FRONT = 2, DIALER = 4 };

static const struct {
	uint32_t type;
	uint32_t len;
	unsigned nfds;
	int starting, serving; /* who may */
} rows[] = {
	{ P_HELLO, 0, 1, KEEPER | FRONT | DIALER, 0 },
	{ P_HELLO, 64, 1, KEEPER | FRONT | DIALER, 0 },
	{ P_HELLO, 65, 1, 0, 0 },
	{ P_HELLO, 0, 0, 0, 0 },
	{ P_HELLO, 0, 2, 0, 0 },
	{ P_PONG, 0, 0, 0, KEEPER | FRONT | DIALER },
	{ P_PONG, 1, 0, 0, 0 },
	{ P_PING, 0, 0, 0, 0 },
	{ P_ERROR, 24, 0, KEEPER | FRONT | DIALER, KEEPER | FRONT | DIALER },
	{ K_OPENED, 0, 0, 0, KEEPER },
	{ K_POSTURE_READY, 4, 0, 0, KEEPER },
	{ K_POSTURE_READY, 4, 1, 0, 0 },
	{ K_POSTURE_FAILED, 28, 0, 0, KEEPER },
	{ K_RUN_FAILED, 32, 0, 0, KEEPER },
	{ K_EXITED, 41, 0, 0, KEEPER },
	{ K_EXITED, 40, 0, 0, 0 },
	{ F_FLUSHED, 4, 0, 0, FRONT },
	{ F_EVENT, 1, 0, 0, FRONT },
	{ F_EVENT, 1, 1, 0, 0 },
	{ F_EVENT, (16 << 10) + 1, 0, 0, 0 },
	{ K_OPEN, 32, 0, 0, 0 },
	{ G_PIN, 64, 0, 0, 0 },
	{ 0, 0, 0, 0, 0 },
	{ UINT32_MAX, 0, 0, 0, 0 },
};

static void check(size_t i, unsigned who, unsigned state, bool may)
{
	static const uint8_t body[32 << 10];
	const struct proto_table *t = &proto_caller_tables[who];
	const int fds[2] = { STDIN_FILENO, STDIN_FILENO };
	struct chan helper, caller;
	struct msg m;
	int pair[2], r;

	assert_int_equal(chan_pair(pair), 0);
	chan_init(&helper, pair[0], NULL, 0, LIMIT_CHAN_QUEUE);
	chan_init(&caller, pair[1], t->rules, t->nrules, LIMIT_CHAN_QUEUE);
	assert_int_equal(chan_send(&helper, rows[i].type, body, rows[i].len,
				   fds, rows[i].nfds),
			 0);
	r = chan_recv(&caller, state, &m);
	if (r != (may ? 1 : -EPROTO))
		fail_msg("row %zu, helper %u, state %u: %d", i, who, state, r);
	if (r > 0)
		msg_done(&m);
	chan_done(&helper);
	chan_done(&caller);
}

static void who_says_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned who = 0; who < 3; who++) {
			check(i, who, PROTO_STARTING,
			      rows[i].starting & 1 << who);
			check(i, who, PROTO_SERVING,
			      rows[i].serving & 1 << who);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_says_what),
	};

	return cmocka_run_group_tests_name("core/proto", tests, NULL, NULL);
}
