/* faults_machine.c - a machine that has no more of something
 * SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors, processes, space, a helper that is one: what is short is an
 * error of the one call, with a reason, and when there is some again the
 * session goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

enum { GONE_MS = 20000, ROOM = 40, ROOM_TO_OPEN = 60 };

static struct exeat_session *session;

static int open_session(void **state)
{
	(void)state;
	session = api_open(NULL);
	return 0;
}

static int close_session(void **state)
{
	(void)state;
	exeat_session_close(session);
	assert_true(api_helpers_go(GONE_MS));
	return 0;
}

/* ---- descriptors ---- */

/* 0, or the error: of a run to its end, whatever way. */
static int run_it(const struct exeat_run_options *o, struct exeat_error *error)
{
	struct exeat_run *run = NULL;
	int r = exeat_run_start(session, o, &run, error);

	if (r == 0)
		r = exeat_run_wait(run, 60000, error);
	exeat_run_free(run);
	return r < 0 ? r : 0;
}

static int plain(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = "cat";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = "abc";
	o.stdin_len = 3;
	return run_it(&o, error);
}

static int terminal(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = "tty";
	o.pty = 1;
	return run_it(&o, error);
}

static int limited(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = "true";
	o.memory_bytes = 256 << 20;
	o.limits_best_effort = EXEAT_LIMIT_MEMORY;
	o.timeout_ms = 60000;
	o.idle_timeout_ms = 60000;
	return run_it(&o, error);
}

static int files(struct exeat_error *error)
{
	return api_use_files(session, error);
}

static int opening(struct exeat_error *error)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *s = NULL;
	int r;

	o.network_mode = "open";
	r = exeat_session_open(&o, &s, error);
	exeat_session_close(s);
	return r;
}

/* Fewer than it needs at every point, and then enough. */
static void with_few(int (*call)(struct exeat_error *error), unsigned enough)
{
	struct rlimit old, low;
	unsigned fds, failed = 0;
	int lowest;

	/* what is made once has been made */
	assert_int_equal(call(NULL), 0);
	assert_int_equal(call(NULL), 0);
	fds = api_fds();
	lowest = dup(STDERR_FILENO);
	assert_true(lowest >= 0);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (unsigned room = 0; room < enough; room++) {
		struct exeat_error error = { 0 };
		int r;

		low = old;
		low.rlim_cur = (rlim_t)lowest + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = call(&error);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		failed += r < 0;
		if (r < 0 &&
		    (error.code == EXEAT_OK || error.message[0] == '\0'))
			fail_msg("no reason given, of %u", room);
		if (r < 0 && error.code == EXEAT_INTERNAL)
			fail_msg("%u: %s %s: %s", room, error.step,
				 error.object, error.message);
		/* a session's timer is made when something is first due */
		assert_in_range(api_fds(), fds, fds + 1);
	}
	/* both sides of the edge */
	assert_in_range(failed, 1, enough - 1);
	assert_int_equal(call(NULL), 0);
}

static void few_for_a_run(void **state)
{
	(void)state;
	with_few(plain, ROOM);
}

static void few_to_open(void **state)
{
	const unsigned before = api_work_dirs();

	(void)state;
	with_few(opening, ROOM_TO_OPEN);
	assert_int_equal(api_work_dirs(), before);
}

static void few_for_a_terminal(void **state)
{
	(void)state;
	with_few(terminal, ROOM);
}

static void few_for_a_limit(void **state)
{
	(void)state;
	with_few(limited, ROOM);
}

static void few_for_files(void **state)
{
	(void)state;
	with_few(files, ROOM);
}

/* ---- processes ---- */

static void processes_of(pid_t pid, rlim_t soft)
{
	struct rlimit limit;

	if (prlimit(pid, RLIMIT_NPROC, NULL, &limit) < 0) {
		/* root without CAP_SYS_RESOURCE, whose helper is another's */
		assert_int_equal(errno, EPERM);
		skip();
	}
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	assert_int_equal(prlimit(pid, RLIMIT_NPROC, &limit, NULL), 0);
}

static void no_more_processes(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	pid_t keeper = api_helper_pid("keeper");
	int r = 0;

	(void)state;
	o.command = "true";
	processes_of(keeper, 0);
	/* some may be ready already */
	for (int i = 0; i < 32 && r == 0; i++)
		r = run_it(&o, &error);
	assert_true(r < 0);
	api_expect(&error, EXEAT_LIMIT, "", "");
	processes_of(keeper, RLIM_INFINITY);
	assert_string_equal(api_sh(session, "echo again", 0), "again\n");
}

static void no_process_at_all(void **state)
{
	struct exeat_error error = { 0 };
	struct exeat_session *s = NULL;
	struct rlimit old, none;
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &none), 0);
	r = exeat_session_open(&SESSION_OPTIONS, &s, &error);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &old), 0);
	assert_true(r < 0);
	assert_true(error.code == EXEAT_LIMIT ||
		    error.code == EXEAT_UNAVAILABLE);
	assert_true(error.message[0] != '\0');
	assert_true(api_helpers_go(GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

/* ---- the helper ---- */

static void opens_with(const char *helper, enum exeat_code code,
		       const char *why)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_session *s = NULL;

	o.helper_path = helper;
	assert_true(exeat_session_open(&o, &s, &error) < 0);
	api_expect(&error, code, why, "");
	assert_int_equal(api_work_dirs(), 0);
}

static void make_program(char path[4200], const char *name, const char *text)
{
	int fd;

	(void)snprintf(path, 4200, "%s/%s", api_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void helper_is_another(void **state)
{
	char path[4200];

	(void)state;
	opens_with("/nowhere/exeat-helper", EXEAT_UNAVAILABLE, "find helper");
	opens_with(api_dir, EXEAT_UNAVAILABLE, "find helper");
	make_program(path, "no-program", "neither ELF nor a script\n");
	opens_with(path, EXEAT_UNAVAILABLE, "execute");
	opens_with("/bin/true", EXEAT_INTERNAL, "ended unexpectedly");
	assert_int_equal(api_work_dirs(), 0);
}

/* It is told before anything that it says is believed. */
static void version_is(const char *version, const char *told)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_session *s = NULL;
	char path[4200], own[64];

	(void)snprintf(path, sizeof(path), "%s/helper-%s", api_dir, version);
	assert_int_equal(symlink(OTHER_HELPER, path), 0);
	o.helper_path = path;
	assert_true(exeat_session_open(&o, &s, &error) < 0);
	(void)snprintf(own, sizeof(own), "the library of version %s",
		       exeat_version());
	api_expect(&error, EXEAT_UNAVAILABLE, told, own);
	api_expect(&error, EXEAT_UNAVAILABLE, path, "");
	assert_non_null(strstr(error.remedy, "from one release"));
	assert_true(api_becomes_zero(api_processes, path, GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

static void helper_of_another_version(void **state)
{
	(void)state;
	version_is("0.0.9", "of version 0.0.9,");
	version_is("99.0.0~rc1", "of version 99.0.0~rc1,");
	version_is("", "of version unknown,");
}

/* One that says nothing and never ends: closing does not wait for it. */
static void helper_is_silent(void **state)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *s;
	char path[4200], name[32], text[96];

	(void)state;
	(void)snprintf(name, sizeof(name), "3608.%d", getpid());
	(void)snprintf(text, sizeof(text), "#!/bin/sh\nexec sleep %s\n", name);
	make_program(path, "sleeper", text);
	o.helper_path = path;
	assert_int_equal(exeat_session_begin(&o, &s, NULL), 0);
	assert_int_equal(exeat_session_dispatch(s, 50, NULL), 0);
	exeat_session_close(s);
	assert_true(api_becomes_zero(api_processes, name, GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

static void link_helper(const char *path, const char *suffix)
{
	const char *helper = getenv("EXEAT_HELPER");
	char from[4200], to[4300];

	assert_non_null(helper);
	(void)snprintf(from, sizeof(from), "%s%s", helper, suffix);
	(void)snprintf(to, sizeof(to), "%s%s", path, suffix);
	assert_int_equal(symlink(from, to), 0);
}

/* It goes between the session's begin and the first run that needs it: nothing
 * could reach the proxy any more, and no run is left waiting for it. */
static void helper_for_tls_is_gone(void **state)
{
	static const char *const allowed[] = { "example.com", NULL };
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_run_options r = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_run *run = NULL;
	char path[4200], tls[4210];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/linked", api_dir);
	(void)snprintf(tls, sizeof(tls), "%s-tls", path);
	link_helper(path, "");
	link_helper(path, "-tls");
	o.helper_path = path;
	o.upstream_proxy = "https://127.0.0.1:1";
	session = api_open(&o);
	assert_int_equal(unlink(tls), 0);
	r.command = "true";
	r.network_allowlist = allowed;
	for (int i = 0; i < 2; i++) {
		assert_true(exeat_run_start(session, &r, &run, &error) < 0);
		api_expect(&error, EXEAT_NOT_FOUND, "execute", tls);
	}
	exeat_session_close(session);
	assert_true(api_helpers_go(GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

/* ---- space ---- */

static void on_a_small_disk(void)
{
	static char much[4 << 20];
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_error error = { 0 };
	struct exeat_file *list;
	char path[4200];
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "%s/small", api_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	api_small_disk(path);
	o.host_work_dir = path;
	session = api_open(&o);
	assert_string_equal(api_sh(session,
				   "head -c 4M /dev/zero > full 2>/dev/null; "
				   "echo $?; echo on",
				   0),
			    "1\non\n");
	/* as a whole or not at all */
	assert_true(exeat_put_bytes(session, "d/f", much, sizeof(much), 0,
				    &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "d/f", "No space");
	assert_true(exeat_stat_file(session, "d/f", &(struct exeat_file){ 0 },
				    &error) < 0);
	if (exeat_list_files(session, "d", &list, &n, NULL) == 0)
		free(list);
	assert_int_equal(n, 0);
	/* another session in it: it has nothing to write there */
	exeat_session_close(session);
	session = api_open(&o);
	assert_string_equal(api_sh(session, "rm full; echo on > f; cat f", 0),
			    "on\n");
	assert_int_equal(exeat_put_bytes(session, "d/f", much, 1000, 0, NULL),
			 0);
	exeat_session_close(session);
}

static void no_space(void **state)
{
	(void)state;
	api_in_a_child(on_a_small_disk);
	assert_true(api_helpers_go(GONE_MS));
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

static const struct CMUnitTest tests[] = {
	WITH_SESSION(few_for_a_run),
	WITH_SESSION(few_to_open),
	WITH_SESSION(few_for_a_terminal),
	WITH_SESSION(few_for_a_limit),
	WITH_SESSION(few_for_files),
	WITH_SESSION(no_more_processes),
	cmocka_unit_test(no_process_at_all),
	cmocka_unit_test(helper_is_another),
	cmocka_unit_test(helper_of_another_version),
	cmocka_unit_test(helper_is_silent),
	cmocka_unit_test(helper_for_tls_is_gone),
	cmocka_unit_test(no_space),
};

API_MAIN("faults_machine", tests)
