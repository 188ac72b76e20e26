/* faults_memory.c - each allocation fails once
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The C library lets a program bring its own malloc(3). This one fails at the
 * n-th call, for n = 1, 2 ... until a scene has had them all: then the scene
 * succeeded, or failed with an error that says why, whichever it was; nothing
 * has crashed, and no memory, descriptor or process is left of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"

#define FOR_EVERYBODY __attribute__((visibility("default")))

enum { GONE_MS = 20000, ALLOCATIONS_MAX = 5000 };

/* ---- malloc ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static unsigned countdown; /* the call that fails; 0: none */
static bool failed;
static long blocks; /* that are not free */

static bool fails(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

FOR_EVERYBODY void *malloc(size_t size)
{
	void *p = fails() ? NULL : __libc_malloc(size);

	blocks += p != NULL;
	return p;
}

FOR_EVERYBODY void *calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __libc_calloc(n, size);

	blocks += p != NULL;
	return p;
}

FOR_EVERYBODY void *realloc(void *old, size_t size)
{
	void *p;

	if (size > 0 && fails())
		return NULL;
	p = __libc_realloc(old, size);
	blocks += (p && !old) - (old && size == 0);
	return p;
}

FOR_EVERYBODY void free(void *p)
{
	const int saved = errno;

	blocks -= p != NULL;
	__libc_free(p);
	errno = saved;
}

/* ---- scenes ---- */

static struct exeat_session *session;

static int opening(struct exeat_error *error)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *s = NULL;
	int r;

	o.network_allowlist = LIST("example.com", "198.51.100.0/24:22");
	o.network_denylist = LIST("*.example.net");
	o.env = LIST("A=b");
	o.label = "label";
	o.read_only_paths = LIST("/usr");
	r = exeat_session_open(&o, &s, error);
	exeat_session_close(s);
	return r;
}

static int running(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run = NULL;
	char *out = NULL, *errors = NULL;
	int r;

	o.command = "cat; echo two >&2";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_BYTES;
	o.stdin_bytes = "one";
	o.stdin_len = 3;
	o.env = LIST("A=b");
	o.idle_timeout_ms = 60000;
	r = exeat_exec(session, &o, &run, &out, NULL, &errors, NULL, error);
	free(out);
	free(errors);
	exeat_run_free(run);
	return r;
}

static int naming(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run = NULL;
	int r;

	o.command = "true";
	o.network_allowlist = LIST("example.com", "192.0.2.1");
	r = exeat_run_start(session, &o, &run, error);
	if (r == 0)
		r = exeat_run_wait(run, 60000, error);
	exeat_run_free(run);
	return r < 0 ? r : 0;
}

/* What was refused is told whole, or only counted. */
static int refusing(struct exeat_error *error)
{
	struct exeat_run_options o = RUN_OPTIONS;
	const struct exeat_result *result;
	struct exeat_run *run = NULL;
	int r;

	o.script = "import socket\n"
		   "for port in 80, 81, 80:\n"
		   "    socket.socket().connect_ex(('203.0.113.7', port))\n";
	o.script_type = "python";
	r = exeat_exec(session, &o, &run, NULL, NULL, NULL, NULL, error);
	if (r < 0)
		return r;
	result = exeat_run_result(run);
	assert_int_equal(result->refused_total, 3);
	for (size_t i = 0; i < result->nrefusals; i++) {
		const struct exeat_refusal *f = &result->refusals[i];

		assert_true(f->layer && f->protocol && f->name && f->address &&
			    f->rule && f->reason && f->allow_hint);
	}
	exeat_run_free(run);
	return 0;
}

static int changing(struct exeat_error *error)
{
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;

	o.network_allowlist = LIST("example.com", "*.example.org:22");
	return exeat_session_set_policy(session, &o, error);
}

static int filing(struct exeat_error *error)
{
	return api_use_files(session, error);
}

/* ---- what must hold ---- */

static void check(unsigned n, int r, const struct exeat_error *error)
{
	char text[1024];

	if (r == 0)
		return;
	(void)exeat_error_text(error, text, sizeof(text));
	if (error->code == EXEAT_OK || error->message[0] == '\0')
		fail_msg("allocation %u: no reason given", n);
	if (error->code == EXEAT_INVALID || error->code == EXEAT_NOT_FOUND ||
	    error->code == EXEAT_POLICY)
		fail_msg("allocation %u: a wrong reason: %s", n, text);
}

static void each_fails(int (*scene)(struct exeat_error *error))
{
	unsigned n = 0, errors = 0, fds;
	long before;

	/* what is made once has been made */
	for (int i = 0; i < 3; i++)
		assert_int_equal(scene(NULL), 0);
	fds = api_fds();
	before = blocks;
	do {
		struct exeat_error error = { 0 };
		int r;

		failed = false;
		countdown = ++n;
		r = scene(&error);
		countdown = 0;
		check(n, r, &error);
		errors += r < 0;
		if (blocks != before && session == NULL)
			fail_msg("allocation %u: %ld blocks are left", n,
				 blocks - before);
		if (api_fds() != fds && session == NULL)
			fail_msg("allocation %u: descriptors are left", n);
		if (session && exeat_session_dispatch(session, 0, NULL) < 0) {
			/* what it could not send ended it: that is an end */
			exeat_session_close(session);
			session = api_open(NULL);
			assert_int_equal(scene(NULL), 0);
		}
	} while (failed && n < ALLOCATIONS_MAX);
	print_message("%u allocations, %u errors\n", n - 1, errors);
	assert_false(failed);
	assert_true(errors > 0);
	assert_int_equal(scene(NULL), 0);
}

static void open_fails(void **state)
{
	(void)state;
	each_fails(opening);
	assert_true(api_helpers_go(GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

/* In a session; what it keeps for later it gives back in the end. */
static void in_a_session(int (*scene)(struct exeat_error *error))
{
	unsigned fds;
	long before;

	session = api_open(NULL);
	exeat_session_close(session);
	fds = api_fds();
	before = blocks;
	session = api_open(NULL);
	each_fails(scene);
	exeat_session_close(session);
	session = NULL;
	assert_int_equal(blocks, before);
	assert_int_equal(api_fds(), fds);
	assert_true(api_helpers_go(GONE_MS));
	assert_int_equal(api_work_dirs(), 0);
}

static void run_fails(void **state)
{
	(void)state;
	in_a_session(running);
}

static void refusal_fails(void **state)
{
	(void)state;
	in_a_session(refusing);
}

static void posture_fails(void **state)
{
	(void)state;
	in_a_session(naming);
}

static void change_fails(void **state)
{
	(void)state;
	in_a_session(changing);
}

static void file_fails(void **state)
{
	(void)state;
	in_a_session(filing);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(open_fails),	 cmocka_unit_test(run_fails),
	cmocka_unit_test(refusal_fails), cmocka_unit_test(posture_fails),
	cmocka_unit_test(change_fails),	 cmocka_unit_test(file_fails),
};

API_MAIN("faults_memory", tests)
