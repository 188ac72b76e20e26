/* faults.c - helpers, stubs and commands that are killed, in every state
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A table of states, each brought about by the public interface, and of who is
 * killed in it. What must follow is the same everywhere: without a helper every
 * call fails and says which one ended; without the stub or the command of a
 * run that run ends, and the session goes on. Each run has one end, no wait
 * lasts, close works, nothing is left.
 *
 * A state that would pass by itself is held by a helper that is stopped; it
 * goes on when the victim is dead.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

enum { WAIT_MS = 60000, GONE_MS = 20000, AWHILE_MS = 30 };

enum victim {
	KEEPER = 1,
	FRONT = 2,
	DIALER = 4,
	TLS = 8,
	HELPERS = KEEPER | FRONT | DIALER | TLS,
	STUB = 16,
	PAYLOAD = 32,
};

static const struct {
	enum victim victim;
	const char *mode;
} helpers[] = {
	{ KEEPER, "keeper" },
	{ FRONT, "front" },
	{ DIALER, "dialer" },
	{ TLS, "tls" },
};

struct scene {
	struct exeat_session *session;
	struct exeat_run *run;
	unsigned exits;
	pid_t held;	    /* stopped; 0: nobody */
	const char *mode;   /* its */
	int client;	    /* of the proxy that we are; 0: none */
	const char *reason; /* why its run ends, but for the kill; NULL */
};

/* An https:// proxy where TLS is killed: there it is a helper. NULL: none */
static const char *proxy;
static char marker[64];
static const char *const sleeping[] = { "sleep", marker, NULL };

static int make_marker(void **state)
{
	(void)state;
	proxy = NULL;
	(void)snprintf(marker, sizeof(marker), "3606.%d", getpid());
	return 0;
}

/* ---- who is killed ---- */

static void hold(struct scene *scene, const char *mode)
{
	scene->mode = mode;
	scene->held = api_helper_pid(mode);
	assert_true(scene->held > 0);
	assert_int_equal(kill(scene->held, SIGSTOP), 0);
}

static void let_go(struct scene *scene)
{
	/* it may be the one that was killed */
	if (scene->held > 0)
		(void)kill(scene->held, SIGCONT);
	scene->held = 0;
}

#define EACH_HELPER(i) \
	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)

/* All of a helper: while it starts it may be two processes. */
static void kill_helper(const char *mode)
{
	pid_t pid;

	while ((pid = api_helper_pid(mode)) > 0)
		(void)kill(pid, SIGKILL);
}

static void kill_them(unsigned victims)
{
	pid_t command = api_process(marker);

	/* the end of one is that of the others: first all must be there */
	EACH_HELPER(i)
	while (victims & helpers[i].victim &&
	       api_helper_pid(helpers[i].mode) == 0)
		;
	if (victims & STUB)
		assert_int_equal(kill(api_parent(command), SIGKILL), 0);
	if (victims & PAYLOAD)
		assert_int_equal(kill(command, SIGKILL), 0);
	EACH_HELPER(i)
	if (victims & helpers[i].victim)
		kill_helper(helpers[i].mode);
}

/* The same from outside, a while from now, while the caller waits. */
static pid_t kill_them_soon(const struct scene *scene, unsigned victims)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
	(void)poll(NULL, 0, AWHILE_MS);
	kill_them(victims);
	if (scene->held > 0) {
		/* what was waited for is not to come before the end is seen */
		EACH_HELPER(i)
		while (strcmp(helpers[i].mode, scene->mode) != 0 &&
		       api_helper_pid(helpers[i].mode) > 0)
			(void)poll(NULL, 0, 1);
		(void)kill(scene->held, SIGCONT);
	}
	_exit(0);
}

static void killed_soon(struct scene *scene, pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	scene->held = 0;
}

/* ---- states ---- */

static void note_exit(void *user_data, struct exeat_run *run)
{
	struct scene *scene = user_data;

	assert_ptr_equal(run, scene->run);
	scene->exits++;
}

static struct exeat_run_options lasting(struct scene *scene)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.argv = sleeping;
	o.on_exit = note_exit;
	o.user_data = scene;
	return o;
}

static void until_it_runs(struct scene *scene)
{
	while (api_process(marker) == 0)
		assert_int_equal(
			exeat_session_dispatch(scene->session, 5, NULL), 0);
}

static void turns(struct scene *scene)
{
	for (int i = 0; i < 3; i++)
		(void)exeat_session_dispatch(scene->session, AWHILE_MS / 3,
					     NULL);
}

static void open_scene(struct scene *scene)
{
	struct exeat_session_options o = SESSION_OPTIONS;

	o.network_mode = "open";
	o.upstream_proxy = proxy;
	o.snapshot_dir = api_dir;
	scene->session = api_open(&o);
}

static void beginning(struct scene *scene)
{
	struct exeat_session_options o = SESSION_OPTIONS;

	o.network_mode = "open";
	o.upstream_proxy = proxy;
	assert_int_equal(exeat_session_begin(&o, &scene->session, NULL), 0);
}

static void beginning_with_a_run(struct scene *scene)
{
	struct exeat_run_options ro = lasting(scene);

	beginning(scene);
	scene->run = api_start(scene->session, &ro);
}

static void idle(struct scene *scene)
{
	open_scene(scene);
	(void)api_sh(scene->session, "true", 0);
	(void)api_sh(scene->session, "true", 0);
}

static void posture_made(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);

	open_scene(scene);
	hold(scene, "front");
	o.network_allowlist = LIST("198.51.100.1");
	scene->run = api_start(scene->session, &o);
	turns(scene);
}

static void starting(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);

	idle(scene);
	scene->run = api_start(scene->session, &o);
}

static void running(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);

	open_scene(scene);
	scene->run = api_start(scene->session, &o);
	until_it_runs(scene);
}

static void output_pending(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);

	open_scene(scene);
	o.argv = LIST("sh", "-c", "head -c 60000 /dev/zero; exec sleep \"$0\"",
		      marker);
	scene->run = api_start(scene->session, &o);
	while (api_process("sleep") == 0 || api_process(marker) == 0)
		(void)poll(NULL, 0, 5);
}

static void input_pending(struct scene *scene)
{
	static const char data[64 << 10];
	struct exeat_run_options o = lasting(scene);
	ssize_t n;

	open_scene(scene);
	assert_int_equal(exeat_spawn(scene->session, &o, &scene->run, NULL), 0);
	until_it_runs(scene);
	do {
		n = exeat_run_write_some(scene->run, data, sizeof(data), NULL);
		if (n > 0)
			turns(scene);
	} while (n > 0);
	assert_int_equal(n, -EAGAIN);
}

static void terminal(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);

	open_scene(scene);
	o.pty = 1;
	scene->run = api_start(scene->session, &o);
	until_it_runs(scene);
}

static void paused(struct scene *scene)
{
	running(scene);
	assert_int_equal(exeat_session_pause(scene->session, NULL), 0);
}

/* It has got its TERM and does not heed it. */
static void ending(struct scene *scene)
{
	struct exeat_run_options o = lasting(scene);
	char buf[16];

	open_scene(scene);
	o.argv = LIST("sh", "-c", "trap '' TERM; echo more; exec sleep \"$0\"",
		      marker);
	o.max_output_bytes = 1;
	o.kill_grace_ms = 1000000;
	scene->run = api_start(scene->session, &o);
	assert_int_equal(exeat_run_read(scene->run, EXEAT_STDOUT, buf,
					sizeof(buf), WAIT_MS, NULL),
			 1);
	turns(scene);
	scene->reason = "output_limit";
}

/* The proxy is there, and says nothing: TLS has only begun. */
static void wrapping(struct scene *scene)
{
	const struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	struct exeat_run_options o = lasting(scene);
	char url[64];

	assert_int_equal(bind(fd, (const struct sockaddr *)&any, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u",
		       ntohs(sa.sin_port));
	proxy = url;
	open_scene(scene);
	proxy = NULL;
	o.argv = LIST("python3", "-c",
		      "import os, socket, sys\n"
		      "socket.create_connection(('198.51.100.1', 443))\n"
		      "os.execvp('sleep', ['sleep', sys.argv[1]])\n",
		      marker);
	scene->run = api_start(scene->session, &o);
	client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(client >= 0);
	scene->client = client;
	/* its hello: from now on it waits for ours */
	assert_int_equal(recv(client, url, 1, 0), 1);
	(void)close(fd);
}

#define LIVE (HELPERS | STUB | PAYLOAD)

static const struct {
	const char *name;
	void (*enter)(struct scene *scene);
	unsigned victims;
} states[] = {
	{ "beginning", beginning, HELPERS },
	{ "beginning with a run", beginning_with_a_run, HELPERS },
	{ "idle", idle, HELPERS },
	{ "posture made", posture_made, HELPERS },
	{ "starting", starting, HELPERS },
	{ "running", running, LIVE },
	{ "output pending", output_pending, LIVE },
	{ "input pending", input_pending, LIVE },
	{ "terminal", terminal, LIVE },
	{ "paused", paused, LIVE },
	{ "ending", ending, LIVE },
	{ "wrapping", wrapping, TLS },
};

/* ---- what follows ---- */

static void is_told(const struct exeat_error *error, unsigned victims)
{
	char text[1024];

	api_expect(error, EXEAT_INTERNAL, "ended unexpectedly", "");
	(void)exeat_error_text(error, text, sizeof(text));
	EACH_HELPER(i)
	if (victims & helpers[i].victim &&
	    strcmp(error->object, helpers[i].mode) == 0)
		return;
	fail_msg("not whom it was: %s", text);
}

static void every_run_ends(struct scene *scene, unsigned victims)
{
	struct exeat_error error = { 0 };
	char buf[4096];
	ssize_t n;

	assert_int_equal(exeat_run_wait(scene->run, WAIT_MS, &error), -EIO);
	is_told(&error, victims);
	assert_int_equal(scene->exits, 1);
	assert_string_equal(exeat_run_result(scene->run)->termination_reason,
			    "session_closed");
	assert_int_equal(exeat_run_wait(scene->run, -1, &error), -EIO);
	/* what had come is there; then it is said why no more does */
	do
		n = exeat_run_read(scene->run, EXEAT_STDOUT, buf, sizeof(buf),
				   -1, &error);
	while (n > 0);
	assert_int_equal(n, -EIO);
	is_told(&error, victims);
	assert_true(exeat_run_write(scene->run, "x", 1, NULL) < 0);
	assert_int_equal(exeat_run_kill(scene->run, SIGKILL, NULL), 0);
}

static void every_call_fails(struct scene *scene, unsigned victims)
{
	struct exeat_policy_options po = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_run_options o = lasting(scene);
	struct exeat_error error = { 0 };
	struct exeat_run *run;

	while (exeat_session_dispatch(scene->session, WAIT_MS, &error) == 0)
		;
	is_told(&error, victims);
	memset(&error, 0, sizeof(error));
	assert_int_equal(exeat_run_start(scene->session, &o, &run, &error),
			 -EIO);
	is_told(&error, victims);
	memset(&error, 0, sizeof(error));
	assert_int_equal(exeat_session_pause(scene->session, &error), -EIO);
	is_told(&error, victims);
	memset(&error, 0, sizeof(error));
	assert_int_equal(exeat_session_resume(scene->session, &error), -EIO);
	is_told(&error, victims);
	memset(&error, 0, sizeof(error));
	po.network_mode = "blocked";
	assert_int_equal(exeat_session_set_policy(scene->session, &po, &error),
			 -EIO);
	is_told(&error, victims);
}

/* The work dir is the caller's own: no helper is needed for it. */
static void files_go_on(struct scene *scene)
{
	struct exeat_file *files;
	size_t n = 0;
	void *data;

	assert_int_equal(
		exeat_put_bytes(scene->session, "d/f", "abc", 3, 0, NULL), 0);
	assert_int_equal(
		exeat_get_bytes(scene->session, "d/f", 3, &data, &n, NULL), 0);
	assert_int_equal(n, 3);
	free(data);
	assert_int_equal(
		exeat_list_files(scene->session, "d", &files, &n, NULL), 0);
	assert_int_equal(n, 1);
	free(files);
}

static void nothing_is_left(struct scene *scene, bool closed)
{
	if (!api_helpers_go(GONE_MS))
		fail_msg("%u helpers are left", api_helpers());
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	if (!closed)
		exeat_session_close(scene->session);
	assert_int_equal(api_work_dirs(), 0);
}

static void without_a_helper(struct scene *scene, unsigned victims)
{
	files_go_on(scene);
	if (scene->run)
		every_run_ends(scene, victims);
	every_call_fails(scene, victims);
	assert_int_equal(scene->exits, scene->run ? 1 : 0);
	files_go_on(scene);
	nothing_is_left(scene, false);
}

static void without_a_command(struct scene *scene)
{
	const struct exeat_result *result = api_wait(scene->run);

	assert_string_equal(result->termination_reason,
			    scene->reason ? scene->reason : "signal:SIGKILL");
	assert_int_equal(result->returncode, -SIGKILL);
	assert_int_equal(scene->exits, 1);
	assert_true(api_becomes_zero(api_processes, marker, GONE_MS));
	assert_string_equal(api_sh(scene->session, "echo on", 0), "on\n");
	exeat_session_close(scene->session);
	nothing_is_left(scene, true);
}

static void killed(void (*enter)(struct scene *scene), unsigned victims)
{
	struct scene scene = { 0 };

	enter(&scene);
	kill_them(victims);
	let_go(&scene);
	if (scene.client > 0)
		(void)close(scene.client);
	if (victims & ~(unsigned)(STUB | PAYLOAD))
		without_a_helper(&scene, victims);
	else
		without_a_command(&scene);
}

static void in_every_state(enum victim victim)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (!(states[i].victims & victim))
			continue;
		print_message("%s\n", states[i].name);
		killed(states[i].enter, victim);
	}
}

static void keeper(void **state)
{
	(void)state;
	in_every_state(KEEPER);
}

static void front(void **state)
{
	(void)state;
	in_every_state(FRONT);
}

static void dialer(void **state)
{
	(void)state;
	in_every_state(DIALER);
}

static void tls(void **state)
{
	(void)state;
	proxy = "https://127.0.0.1:1";
	in_every_state(TLS);
}

static void stub(void **state)
{
	(void)state;
	in_every_state(STUB);
}

static void payload(void **state)
{
	(void)state;
	in_every_state(PAYLOAD);
}

static void several(void **state)
{
	static const unsigned sets[] = {
		KEEPER | FRONT,
		KEEPER | DIALER,
		FRONT | DIALER,
		KEEPER | FRONT | DIALER,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		killed(running, sets[i]);
}

/* ---- while a call waits ---- */

static void in_a_change(enum victim victim)
{
	struct exeat_policy_options po = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_error error = { 0 };
	struct scene scene = { 0 };
	pid_t killer;

	running(&scene);
	hold(&scene, "front");
	killer = kill_them_soon(&scene, victim);
	po.network_mode = "blocked";
	assert_int_equal(exeat_session_set_policy(scene.session, &po, &error),
			 -EIO);
	is_told(&error, victim);
	killed_soon(&scene, killer);
	without_a_helper(&scene, victim);
}

static void policy_changing(void **state)
{
	(void)state;
	in_a_change(KEEPER);
	in_a_change(FRONT);
	in_a_change(DIALER);
	proxy = "https://127.0.0.1:1";
	in_a_change(TLS);
}

/* Held by the keeper, which does not say that every run stands still. */
static void in_a_snapshot(enum victim victim)
{
	struct exeat_error error = { 0 };
	struct scene scene = { 0 };
	pid_t killer;

	running(&scene);
	hold(&scene, "keeper");
	killer = kill_them_soon(&scene, victim);
	assert_int_equal(exeat_session_snapshot(scene.session, "s", &error),
			 -EIO);
	is_told(&error, victim);
	killed_soon(&scene, killer);
	assert_int_equal(exeat_snapshot_remove(api_dir, "s", &error), -ENOENT);
	without_a_helper(&scene, victim);
}

static void snapshot(void **state)
{
	(void)state;
	in_a_snapshot(KEEPER);
	in_a_snapshot(FRONT);
	in_a_snapshot(DIALER);
	proxy = "https://127.0.0.1:1";
	in_a_snapshot(TLS);
}

/* Nothing comes: tar waits. */
static void in_a_tar(enum victim victim)
{
	struct exeat_error error = { 0 };
	struct scene scene = { 0 };
	pid_t killer;
	int ends[2];

	running(&scene);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	killer = kill_them_soon(&scene, victim);
	assert_int_equal(exeat_put_tar(scene.session, "t", ends[0], &error),
			 -EIO);
	is_told(&error, victim);
	killed_soon(&scene, killer);
	(void)close(ends[0]);
	(void)close(ends[1]);
	without_a_helper(&scene, victim);
}

static void put_tar(void **state)
{
	(void)state;
	in_a_tar(KEEPER);
	in_a_tar(FRONT);
	in_a_tar(DIALER);
	proxy = "https://127.0.0.1:1";
	in_a_tar(TLS);
}

static void in_close(enum victim victim, const char *mode)
{
	struct scene scene = { 0 };
	pid_t killer;

	idle(&scene);
	hold(&scene, mode);
	/* the keeper is the first that close kills: that one need not be */
	killer = kill_them_soon(&scene, victim);
	exeat_session_close(scene.session);
	killed_soon(&scene, killer);
	nothing_is_left(&scene, true);
}

static void closing(void **state)
{
	(void)state;
	in_close(FRONT, "front");
	in_close(DIALER, "dialer");
	proxy = "https://127.0.0.1:1";
	in_close(TLS, "tls");
}

/* ---- helpers that do not end, and do nothing ---- */

static void hangs(const char *mode)
{
	struct exeat_run_options o;
	struct scene scene = { 0 };
	int64_t began;
	char buf[16];

	running(&scene);
	hold(&scene, mode);
	assert_int_equal(exeat_run_wait(scene.run, AWHILE_MS, NULL), 0);
	assert_int_equal(exeat_run_read(scene.run, EXEAT_STDOUT, buf,
					sizeof(buf), AWHILE_MS, NULL),
			 -EAGAIN);
	o = lasting(&scene);
	o.on_exit = NULL;
	o.network_allowlist = LIST("198.51.100.1");
	assert_int_equal(exeat_run_wait(api_start(scene.session, &o), AWHILE_MS,
					NULL),
			 0);
	began = api_ms();
	exeat_session_close(scene.session);
	/* it is killed for it, after two seconds */
	assert_true(api_ms() - began < GONE_MS);
	nothing_is_left(&scene, true);
}

static void hanging(void **state)
{
	(void)state;
	hangs("keeper");
	hangs("front");
}

/* A stub that does nothing is no way for a run to stay: neither at a caller's
 * KILL, nor in a pause. */
static void stub_hangs(void **state)
{
	(void)state;
	for (int pauses = 0; pauses < 2; pauses++) {
		struct scene scene = { 0 };
		pid_t stub;

		running(&scene);
		stub = api_parent(api_process(marker));
		assert_true(stub > 1);
		if (pauses)
			assert_int_equal(
				exeat_session_pause(scene.session, NULL), 0);
		assert_int_equal(kill(stub, SIGSTOP), 0);
		assert_int_equal(exeat_run_kill(scene.run, SIGKILL, NULL), 0);
		assert_int_equal(exeat_run_wait(scene.run, GONE_MS, NULL), 1);
		assert_int_equal(exeat_run_result(scene.run)->returncode,
				 -SIGKILL);
		assert_string_equal(
			exeat_run_result(scene.run)->termination_reason,
			"killed");
		assert_string_equal(api_sh(scene.session, "echo on", 0),
				    "on\n");
		exeat_session_close(scene.session);
		nothing_is_left(&scene, true);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(keeper, make_marker),
	cmocka_unit_test_setup(front, make_marker),
	cmocka_unit_test_setup(dialer, make_marker),
	cmocka_unit_test_setup(tls, make_marker),
	cmocka_unit_test_setup(stub, make_marker),
	cmocka_unit_test_setup(payload, make_marker),
	cmocka_unit_test_setup(several, make_marker),
	cmocka_unit_test_setup(policy_changing, make_marker),
	cmocka_unit_test_setup(snapshot, make_marker),
	cmocka_unit_test_setup(put_tar, make_marker),
	cmocka_unit_test_setup(closing, make_marker),
	cmocka_unit_test_setup(hanging, make_marker),
	cmocka_unit_test_setup(stub_hangs, make_marker),
};

API_MAIN("faults", tests)
