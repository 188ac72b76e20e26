/* refusal.c - what the policy refused is told: in the result, and as it happens
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"

enum { REFUSALS = 64, RUNS = 30 };

/* Events by layer, as on_event counts them. */
struct events {
	uint64_t kernel, dns, all;
	uint64_t last_seq;
	bool bad;
};

static void count_event(void *user_data, const struct exeat_event *event)
{
	struct events *e = user_data;

	e->all += event->count;
	e->kernel += strcmp(event->layer, "kernel") == 0 ? event->count : 0;
	e->dns += strcmp(event->layer, "dns") == 0 ? event->count : 0;
	e->bad |= !event->name || !event->learnt || !event->address ||
		  !event->rule || !event->allow_hint || event->count == 0 ||
		  event->time < 1e9 || event->seq < e->last_seq;
	e->last_seq = event->seq;
}

/* Functions that the scripts use. */
#define PRELUDE                                                         \
	"import socket\n"                                               \
	"def tcp(host, port):\n"                                        \
	"    try: socket.create_connection((host, port), 60).close()\n" \
	"    except OSError: return\n"                                  \
	"    raise SystemExit('connected')\n"                           \
	"u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"        \
	"u.settimeout(60)\n"                                            \
	"def udp(host, port):\n"                                        \
	"    try: u.sendto(b'x', (host, port))\n"                       \
	"    except OSError: return\n"                                  \
	"def send(*labels):\n"                                          \
	"    q = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0'\n"             \
	"    for l in labels: q += bytes([len(l)]) + l.encode()\n"      \
	"    u.sendto(q + b'\\0\\0\\1\\0\\1', ('192.0.0.5', 53))\n"     \
	"def look(*labels):\n"                                          \
	"    send(*labels)\n"                                           \
	"    if u.recv(512)[3] & 15 != 3: raise SystemExit('answered')\n"

static struct exeat_run *start(struct exeat_session *session,
			       const char *script, const char *mode,
			       const char *const *allow)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.script = script;
	o.script_type = "python";
	o.network_mode = mode;
	o.network_allowlist = allow;
	o.stdio[EXEAT_STDERR] = EXEAT_STDIO_INHERIT;
	return api_start(session, &o);
}

static const struct exeat_refusal *find(const struct exeat_result *result,
					const char *layer, const char *object,
					uint16_t port)
{
	for (size_t i = 0; i < result->nrefusals; i++) {
		const struct exeat_refusal *f = &result->refusals[i];

		if (strcmp(f->layer, layer) == 0 && f->port == port &&
		    (strcmp(f->name, object) == 0 ||
		     strcmp(f->address, object) == 0))
			return f;
	}
	fail_msg("no refusal of %s port %u by %s among %zu", object, port,
		 layer, result->nrefusals);
	return NULL;
}

static void each_kind_is_told(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	const struct exeat_result *result;
	const struct exeat_refusal *f;
	struct exeat_session *session;
	struct exeat_run *run;
	struct events e = { 0 };

	(void)state;
	so.on_event = count_event;
	so.user_data = &e;
	session = api_open(&so);
	run = start(session,
		    PRELUDE "tcp('203.0.113.1', 443)\n"
			    "udp('203.0.113.2', 123)\n"
			    "tcp('169.254.169.254', 80)\n"
			    "look('www', 'example', 'com')\n",
		    NULL, NULL);
	result = api_wait(run);
	assert_int_equal(result->returncode, 0);
	assert_int_equal(result->nrefusals, 4);
	assert_int_equal(result->refused_total, 4);
	f = find(result, "kernel", "203.0.113.1", 443);
	assert_string_equal(f->protocol, "tcp");
	assert_string_equal(f->reason, "blocked");
	assert_non_null(strstr(f->allow_hint, "203.0.113.1"));
	f = find(result, "kernel", "203.0.113.2", 123);
	assert_string_equal(f->protocol, "udp");
	f = find(result, "kernel", "169.254.169.254", 80);
	assert_string_equal(f->reason, "guard");
	assert_string_equal(f->allow_hint, "");
	f = find(result, "dns", "www.example.com", 0);
	assert_non_null(strstr(f->allow_hint, "www.example.com"));
	assert_int_equal(e.all, 4);
	assert_int_equal(e.kernel, 3);
	assert_int_equal(e.dns, 1);
	assert_false(e.bad);
	exeat_session_close(session);
}

/* The hint is a rule that may be given, and then allows. */
static void hint_is_a_rule(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_policy_options po = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_policy_answer answer;
	struct exeat_policy *policy;
	const struct exeat_result *result;

	(void)state;
	result = api_wait(start(session, PRELUDE "tcp('203.0.113.9', 22)\n",
				NULL, LIST("a.example")));
	assert_int_equal(result->nrefusals, 1);
	po.network_allowlist = LIST(result->refusals[0].allow_hint);
	assert_int_equal(exeat_policy_new(&po, &policy, NULL), 0);
	assert_int_equal(
		exeat_policy_test(policy, "203.0.113.9:22", &answer, NULL), 0);
	assert_true(answer.allow);
	exeat_policy_free(policy);
	exeat_session_close(session);
}

static void alike_are_merged(void **state)
{
	struct exeat_session *session = api_open(NULL);
	const struct exeat_result *result;

	(void)state;
	result = api_wait(start(session,
				PRELUDE "for i in range(10):\n"
					"    look('a', 'example')\n"
					"    tcp('203.0.113.1', 80)\n",
				NULL, NULL));
	assert_int_equal(result->nrefusals, 2);
	assert_int_equal(result->refused_total, 20);
	assert_int_equal(find(result, "dns", "a.example", 0)->count, 10);
	assert_int_equal(find(result, "kernel", "203.0.113.1", 80)->count, 10);
	exeat_session_close(session);
}

static void many_are_counted(void **state)
{
	struct exeat_session *session = api_open(NULL);
	const struct exeat_result *result;

	(void)state;
	result = api_wait(start(session,
				PRELUDE "for i in range(100):\n"
					"    tcp('203.0.113.1', 1000 + i)\n"
					"    look('n%d' % i, 'example')\n",
				NULL, NULL));
	assert_int_equal(result->nrefusals, REFUSALS);
	assert_int_equal(result->refused_total, 200);
	exeat_session_close(session);
}

/* More than the kernel logs: the counters know. */
static void kernel_totals_are_right(void **state)
{
	struct exeat_session *session = api_open(NULL);
	const struct exeat_result *result;

	(void)state;
	result = api_wait(start(session,
				PRELUDE "for i in range(3000):\n"
					"    tcp('203.0.113.1', 80)\n",
				NULL, NULL));
	assert_int_equal(result->refused_total, 3000);
	exeat_session_close(session);
}

/* A run is told its own refusals, not those of others before or beside it. */
static void refusals_are_the_runs_own(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *session = api_open(NULL);
	const struct exeat_result *result;
	struct exeat_run *open;

	(void)state;
	api_wait(
		start(session, PRELUDE "tcp('203.0.113.1', 80)\n", NULL, NULL));
	result = api_wait(
		start(session, PRELUDE "tcp('203.0.113.2', 80)\n", NULL, NULL));
	assert_int_equal(result->refused_total, 1);
	find(result, "kernel", "203.0.113.2", 80);

	/* lives until it is told */
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	o.network_mode = "open";
	open = api_start(session, &o);
	api_wait(
		start(session, PRELUDE "tcp('203.0.113.1', 80)\n", NULL, NULL));
	assert_int_equal(exeat_run_wait(open, 0, NULL), 0);
	exeat_run_close_stdin(open);
	assert_int_equal(api_wait(open)->refused_total, 0);
	exeat_session_close(session);
}

/* The one before is still being cleared away. */
static void one_right_after_the_other(void **state)
{
	struct exeat_session *session = api_open(NULL);

	(void)state;
	for (uint16_t i = 0; i < RUNS; i++) {
		const struct exeat_result *result;
		struct exeat_run *run;
		char script[1536];

		(void)snprintf(script, sizeof(script),
			       PRELUDE "tcp('203.0.113.1', %d)\n", 1000 + i);
		run = start(session, script, NULL, NULL);
		result = api_wait(run);
		assert_int_equal(result->refused_total, 1);
		(void)find(result, "kernel", "203.0.113.1", 1000 + i);
		exeat_run_free(run);
	}
	exeat_session_close(session);
}

/*
 * A caller that does not look for a while, a payload that is refused without
 * end: the session stays, and the number is right.
 */
static void flood_is_survived(void **state)
{
	static const char flood[] = PRELUDE
		"for i in range(60000):\n"
		"    look('a%d' % i, 'x' * 60, 'x' * 60, 'x' * 60, 'example')\n"
		"open('done', 'w')\n";
	struct exeat_session *session = api_open(NULL);
	const struct exeat_result *result;
	struct exeat_run *run;
	char path[4200];
	int64_t deadline = api_ms() + 300000;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/done",
		       exeat_session_work_dir(session));
	run = start(session, flood, NULL, NULL);
	/* begun, so that it goes on without us */
	while (exeat_run_wait(run, 50, NULL) != 0)
		assert_true(api_ms() < deadline);
	while (access(path, F_OK) != 0) {
		assert_true(api_ms() < deadline);
		(void)poll(NULL, 0, 10);
	}
	result = api_wait(run);
	assert_int_equal(result->returncode, 0);
	assert_int_equal(result->refused_total, 60000);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_kind_is_told),
	cmocka_unit_test(hint_is_a_rule),
	cmocka_unit_test(alike_are_merged),
	cmocka_unit_test(many_are_counted),
	cmocka_unit_test(kernel_totals_are_right),
	cmocka_unit_test(refusals_are_the_runs_own),
	cmocka_unit_test(one_right_after_the_other),
	cmocka_unit_test(flood_is_survived),
};

API_MAIN("refusal", tests)
