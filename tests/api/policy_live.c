/* policy_live.c - another policy for a session that lives
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

#define POLICY_OPTIONS                                       \
	((struct exeat_policy_options){                      \
		.size = sizeof(struct exeat_policy_options), \
	})

/* Exactly this, in canonical form. */
static void expect_in_force(struct exeat_session *session, const char *has,
			    const char *has_not)
{
	char *text = exeat_session_policy(session);

	assert_non_null(text);
	if (!strstr(text, has))
		fail_msg("no %s in %s", has, text);
	if (has_not && strstr(text, has_not))
		fail_msg("%s in %s", has_not, text);
	free(text);
}

static void change(struct exeat_session *session,
		   const struct exeat_policy_options *o)
{
	struct exeat_error error = { 0 };
	char text[1024];

	if (exeat_session_set_policy(session, o, &error) < 0)
		fail_msg("%s", exeat_error_text(&error, text, sizeof(text)));
}

static void change_list(struct exeat_session *session, const char *const *list)
{
	struct exeat_policy_options o = POLICY_OPTIONS;

	o.network_allowlist = list;
	change(session, &o);
}

static void refuses(struct exeat_session *session,
		    const struct exeat_policy_options *o, enum exeat_code code,
		    const char *part)
{
	struct exeat_error error = { 0 };

	assert_true(exeat_session_set_policy(session, o, &error) < 0);
	api_expect(&error, code, part, "");
}

/* ---- what is in force ---- */

static void it_replaces(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_policy_options o = POLICY_OPTIONS;
	struct exeat_session *session;

	(void)state;
	so.network_allowlist = LIST("a.example");
	so.network_denylist = LIST("bad.example");
	so.dns_refusal = "refused";
	session = api_open(&so);
	o.network_allowlist = LIST("B.example.");
	change(session, &o);
	expect_in_force(session, "\"b.example\"", "a.example");
	expect_in_force(session, "\"refused\"", "bad.example");
	o = POLICY_OPTIONS;
	o.network_policy = "{\"version\": 1, \"network_mode\": \"open\", "
			   "\"require_names\": true}";
	change(session, &o);
	expect_in_force(session, "\"open\"", "b.example");
	expect_in_force(session, "\"nxdomain\"", NULL);
	o = POLICY_OPTIONS;
	o.network_mode = "blocked";
	change(session, &o);
	expect_in_force(session, "\"blocked\"", "\"open\"");
	exeat_session_close(session);
}

static void a_bad_one_changes_nothing(void **state)
{
	const struct {
		struct exeat_policy_options o;
		enum exeat_code code;
		const char *part;
	} rows[] = {
		{ { .network_mode = "closed" }, EXEAT_INVALID, "network_mode" },
		{ { .network_allowlist = LIST("a..b") }, EXEAT_INVALID, "a..b" },
		{ { .network_mode = "blocked", .network_allowlist = LIST("a") },
		  EXEAT_INVALID,
		  "blocked" },
		{ { .network_denylist = LIST("a.example") },
		  EXEAT_INVALID,
		  "network_mode" },
		{ { .require_names = 1 }, EXEAT_INVALID, "network_mode" },
		{ { .network_policy = "{" }, EXEAT_INVALID, "" },
		{ { .network_policy = "{\"version\": 1}" },
		  EXEAT_INVALID,
		  "network_mode" },
		{ { .network_policy =
			    "{\"version\": 1, \"network_mode\": \"open\", "
			    "\"network_ceiling\": {\"network_mode\": "
			    "\"open\"}}" },
		  EXEAT_INVALID,
		  "network_ceiling" },
		{ { .network_policy =
			    "{\"version\": 1, \"network_mode\": \"open\", "
			    "\"upstream_proxy\": \"http://192.0.2.9:1\"}" },
		  EXEAT_INVALID,
		  "upstream_proxy" },
		{ { .network_mode = "open",
		    .network_policy = "{\"version\": 1}" },
		  EXEAT_INVALID,
		  "network_policy" },
	};
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;

	(void)state;
	so.network_allowlist = LIST("a.example");
	session = api_open(&so);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exeat_policy_options o = rows[i].o;

		o.size = sizeof(o);
		refuses(session, &o, rows[i].code, rows[i].part);
		expect_in_force(session, "\"a.example\"", "open");
	}
	assert_string_equal(api_sh(session, "echo lives", 0), "lives\n");
	exeat_session_close(session);
}

/* What is in force may be given back; another way out may not. */
static void the_proxy_stays(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_policy_options o = POLICY_OPTIONS;
	struct exeat_session *session;
	char *text, *port;

	(void)state;
	so.network_mode = "open";
	so.upstream_proxy = "http://u:s3cret@192.0.2.9:3128";
	so.upstream_direct = LIST("a.example");
	session = api_open(&so);
	expect_in_force(session, "\"http://***:***@192.0.2.9:3128\"", "s3cret");
	expect_in_force(session, "\"upstream_direct\":[\"a.example\"]", NULL);
	text = exeat_session_policy(session);
	assert_non_null(text);
	o.network_policy = text;
	change(session, &o);
	expect_in_force(session, "192.0.2.9:3128", NULL);
	port = strstr(text, ":3128");
	assert_non_null(port);
	port[1] = '4';
	refuses(session, &o, EXEAT_INVALID, "upstream_proxy");
	free(text);
	exeat_session_close(session);
}

/* ---- bounds ---- */

static void run_with(struct exeat_session *session, const char *const *list,
		     enum exeat_code code)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run = NULL;
	int r;

	o.argv = LIST("true");
	o.network_allowlist = list;
	r = exeat_run_start(session, &o, &run, &error);
	assert_int_equal(error.code, code);
	assert_int_equal(r < 0, code != EXEAT_OK);
	if (r == 0)
		assert_int_equal(api_wait(run)->returncode, 0);
}

static void the_bound_moves(void **state)
{
	struct exeat_session *session = api_open(NULL);

	(void)state;
	run_with(session, LIST("a.example"), EXEAT_OK);
	change_list(session, LIST("*.b.example"));
	run_with(session, LIST("a.example"), EXEAT_POLICY);
	run_with(session, LIST("x.b.example"), EXEAT_OK);
	change_list(session, LIST("a.example"));
	run_with(session, LIST("a.example"), EXEAT_OK);
	run_with(session, LIST("x.b.example"), EXEAT_POLICY);
	exeat_session_close(session);
}

static void the_ceiling_stays(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_policy_options o = POLICY_OPTIONS;
	struct exeat_session *session;

	(void)state;
	so.network_ceiling = "{\"version\": 1, \"network_allowlist\": "
			     "[\"a.example\", \"b.example\"]}";
	session = api_open(&so);
	o.network_allowlist = LIST("a.example", "c.example");
	refuses(session, &o, EXEAT_POLICY, "c.example");
	o.network_allowlist = NULL;
	o.network_mode = "open";
	refuses(session, &o, EXEAT_POLICY, "network_mode open");
	expect_in_force(session, "\"blocked\"", NULL);
	change_list(session, LIST("a.example"));
	/* the ceiling bounds runs, not the list */
	run_with(session, LIST("b.example"), EXEAT_OK);
	exeat_session_close(session);
}

/* ---- what lives ---- */

static const char namespace[] = "readlink /proc/self/ns/net";

static void runs_keep_their_namespace(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	char *before = strdup(api_sh(session, namespace, 0));

	(void)state;
	assert_non_null(before);
	change_list(session, LIST("a.example"));
	assert_string_equal(api_sh(session, namespace, 0), before);
	/* who names the same shares it */
	o.command = namespace;
	o.network_allowlist = LIST("A.example");
	assert_string_equal(api_exec(session, &o, 0), before);
	free(before);
	exeat_session_close(session);
}

/* A service of the host on loopback; the only way out that needs no net. */
static int host_service(char rule[64])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	(void)snprintf(rule, 64, "host.exeat.internal:%u", ntohs(sin.sin_port));
	return fd;
}

static const char talk[] = "import socket, sys\n"
			   "s = socket.create_connection(tuple(sys.argv[1:]))\n"
			   "s.sendall(b'x'); print('up', flush=True)\n"
			   "try: s.recv(1); print('end of file')\n"
			   "except OSError as e: print(e.errno)\n";

static struct exeat_run *start_talk(struct exeat_session *session,
				    const char *rule)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char host[32] = "host.exeat.internal";
	struct exeat_run *run;
	char buf[16];

	o.argv = LIST("python3", "-c", talk, host, strchr(rule, ':') + 1);
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf),
					60000, NULL),
			 3);
	return run;
}

static void flows_end(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	const struct exeat_result *result;
	char rule[64], buf[16] = "";
	int service = host_service(rule);
	struct exeat_run *run;
	int64_t begin;

	(void)state;
	so.network_allowlist = LIST(rule, "a.example");
	session = api_open(&so);
	run = start_talk(session, rule);
	/* as it was, in other words: nothing happens */
	change_list(session, LIST("a.example", rule));
	assert_int_equal(exeat_run_wait(run, 200, NULL), 0);
	begin = api_ms();
	change_list(session, (const char *const[]){ NULL });
	assert_true(exeat_run_read(run, EXEAT_STDOUT, buf, sizeof(buf), 60000,
				   NULL) > 0);
	/* a second is promised (tests/net/stories/live.py); machines are slow */
	assert_true(api_ms() - begin < 5000);
	assert_string_equal(buf, "104\n"); /* ECONNRESET */
	result = api_wait(run);
	assert_int_equal(result->returncode, 0);
	assert_int_equal(result->nrefusals, 1);
	assert_string_equal(result->refusals[0].reason, "policy");
	(void)close(service);
	exeat_session_close(session);
}

static void while_a_run_starts(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *session;
	struct exeat_run *runs[3];

	(void)state;
	assert_int_equal(exeat_session_begin(&so, &session, NULL), 0);
	o.command = "exit 7";
	for (int i = 0; i < 3; i++) {
		o.network_mode = i == 1 ? "open" : NULL;
		runs[i] = api_start(session, &o);
	}
	change_list(session, LIST("a.example"));
	change_list(session, LIST("b.example"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(api_wait(runs[i])->returncode, 7);
	expect_in_force(session, "b.example", "a.example");
	exeat_session_close(session);
}

static void quickly(void **state)
{
	static const char *const modes[] = { "open", "blocked", "allowlist" };
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options ro = RUN_OPTIONS;
	unsigned fds = 0;
	struct exeat_run *run;

	(void)state;
	ro.argv = LIST("cat");
	ro.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &ro);
	for (int i = 0; i < 60; i++) {
		struct exeat_policy_options o = POLICY_OPTIONS;

		o.network_mode = modes[i % 3];
		change(session, &o);
		if (i == 10)
			fds = api_fds();
	}
	assert_int_equal(api_fds(), fds);
	exeat_run_close_stdin(run);
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_session_close(session);
}

static void long_lists(void **state)
{
	enum { N = 100000 };
	struct exeat_session *session = api_open(NULL);
	const char **rules = calloc(N + 1, sizeof(*rules));
	char text[48];

	(void)state;
	assert_non_null(rules);
	(void)api_sh(session, "true", 0); /* a posture that lives */
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(text, sizeof(text),
			       i % 2 ? "n%u.example" : "203.%u.%u.7:443",
			       i % 2 ? i : i / 2 % 256, i / 512);
		rules[i] = strdup(text);
	}
	change_list(session, rules);
	expect_in_force(session, "\"n99999.example\"", NULL);
	(void)api_sh(session, "true", 0);
	change_list(session, LIST("a.example"));
	expect_in_force(session, "\"a.example\"", "n99999");
	for (unsigned i = 0; i < N; i++)
		free((char *)(uintptr_t)rules[i]);
	free(rules);
	exeat_session_close(session);
}

/* ---- what it must not ---- */

static void try_in_callback(void *user_data, struct exeat_run *run)
{
	struct exeat_policy_options o = POLICY_OPTIONS;
	struct exeat_error error = { 0 };

	(void)run;
	o.network_mode = "open";
	assert_true(exeat_session_set_policy(user_data, &o, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "callback", "");
}

static void not_from_a_callback(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.argv = LIST("true");
	o.on_exit = try_in_callback;
	o.user_data = session;
	(void)api_wait(api_start(session, &o));
	expect_in_force(session, "\"blocked\"", NULL);
	exeat_session_close(session);
}

/* A helper that stands still: what it owes is not waited for without end. */
static void front_never_answers(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	int64_t begin;

	(void)state;
	(void)api_sh(session, "true", 0);
	o.argv = LIST("cat");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	run = api_start(session, &o);
	assert_int_equal(kill(api_helper_pid("front"), SIGSTOP), 0);
	exeat_run_close_stdin(run);
	begin = api_ms();
	assert_true(exeat_run_wait(run, 60000, &error) < 0);
	assert_true(api_ms() - begin < 30000);
	api_expect(&error, EXEAT_TIMEOUT, "front", "does not answer");
	assert_string_equal(exeat_run_result(run)->termination_reason,
			    "session_closed");
	exeat_session_close(session);
	assert_true(api_helpers_go(5000));
}

/* In a while: meanwhile somebody waits for the process that stands still. */
static pid_t signal_later(pid_t pid, int number)
{
	pid_t child = fork();

	if (child == 0) {
		(void)usleep(200000);
		_exit(kill(pid, number) < 0);
	}
	assert_true(child > 0);
	return child;
}

static void keeper_stands_still(void **state)
{
	struct exeat_policy_options o = POLICY_OPTIONS;
	struct exeat_session *session = api_open(NULL);
	struct exeat_error error = { 0 };
	int status;
	pid_t child;

	(void)state;
	(void)api_sh(session, "true", 0);
	/* it goes on: the change is made */
	assert_int_equal(kill(api_helper_pid("keeper"), SIGSTOP), 0);
	child = signal_later(api_helper_pid("keeper"), SIGCONT);
	change_list(session, LIST("a.example"));
	assert_int_equal(waitpid(child, &status, 0), child);
	expect_in_force(session, "a.example", NULL);
	/* it ends, the others with it, whichever is seen first: that is said,
	 * and the session is over */
	assert_int_equal(kill(api_helper_pid("keeper"), SIGSTOP), 0);
	child = signal_later(api_helper_pid("keeper"), SIGKILL);
	o.network_allowlist = LIST("b.example");
	assert_true(exeat_session_set_policy(session, &o, &error) < 0);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(exeat_session_set_policy(session, &o, &error) < 0);
	api_expect(&error, EXEAT_INTERNAL, "ended unexpectedly", "");
	exeat_session_close(session);
	assert_true(api_helpers_go(5000));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(it_replaces),
	cmocka_unit_test(a_bad_one_changes_nothing),
	cmocka_unit_test(the_proxy_stays),
	cmocka_unit_test(the_bound_moves),
	cmocka_unit_test(the_ceiling_stays),
	cmocka_unit_test(runs_keep_their_namespace),
	cmocka_unit_test(flows_end),
	cmocka_unit_test(while_a_run_starts),
	cmocka_unit_test(quickly),
	cmocka_unit_test(long_lists),
	cmocka_unit_test(not_from_a_callback),
	cmocka_unit_test(front_never_answers),
	cmocka_unit_test(keeper_stands_still),
};

API_MAIN("policy_live", tests)
