/* core_doctor.c - the doctor finds what is there, and names what is not
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/doctor.h"
#include "core/include/exeat.h"
#include "core/sys/isolate.h"
#include "tests/unit/core_child.h"

struct seen {
	unsigned n, missing, warned;
	bool helper_missing, userns_ok, nft_ok, gate_ok, not_tried;
	bool complete; /* every row has its texts */
};

static void see(void *user_data, const struct exeat_check *c)
{
	struct seen *s = user_data;
	bool ok = c->state == EXEAT_CHECK_OK;

	s->n++;
	s->missing += c->state == EXEAT_CHECK_MISSING;
	s->warned += c->state == EXEAT_CHECK_WARN;
	if (!c->name || !*c->name || !c->detail || !*c->detail || !c->remedy ||
	    (ok && *c->remedy))
		s->complete = false;
	if (strcmp(c->name, "helper program") == 0)
		s->helper_missing = !ok;
	if (strcmp(c->name, "user namespaces") == 0)
		s->userns_ok = ok;
	if (strncmp(c->name, "nf_tables", 9) == 0) {
		s->nft_ok = ok;
		s->not_tried = strstr(c->detail, "not tried");
	}
	if (strncmp(c->name, "transparent", 11) == 0)
		s->gate_ok = ok;
}

/* Where the other tests run, everything is there but for what we hide. */
static bool here_steps(void *as_user)
{
	struct seen s = { .complete = true };
	int missing;

	CHECK(!as_user || child_ordinary());
	/* no package manager of the machine is asked */
	CHECK(setenv("HOME", "/nowhere", 1) == 0 && unsetenv("TMPDIR") == 0);
	CHECK(setenv("PATH", "/nowhere", 1) == 0);
	CHECK(setenv("EXEAT_HELPER", "/nowhere/exeat-helper", 1) == 0);
	missing = exeat_doctor(see, &s);
	CHECK(missing == (int)s.missing && s.missing == 1);
	CHECK(s.complete && s.n > 15 && s.warned > 0);
	CHECK(s.helper_missing && s.userns_ok && s.nft_ok && s.gate_ok);
	CHECK(setenv("EXEAT_HELPER", "/bin/sh", 1) == 0);
	CHECK(exeat_doctor(NULL, NULL) == 0);
	return true;
}

static void here(void **state)
{
	int yes = 1;

	(void)state;
	assert_true(child_run(here_steps, &yes));
	if (geteuid() == 0)
		assert_true(child_run(here_steps, NULL));
}

/* No user namespace to be had: one cause, named once. */
static bool without_steps(void *unused)
{
	struct seen s = { .complete = true };
	struct err err;

	(void)unused;
	CHECK(child_ordinary());
	CHECK_OK(isolate_userns(0, 0, &err), &err);
	CHECK(child_write("/proc/sys/user/max_user_namespaces", "0"));
	CHECK(setenv("PATH", "/nowhere", 1) == 0);
	CHECK(exeat_doctor(see, &s) == (int)s.missing);
	CHECK(!s.userns_ok && !s.nft_ok && s.not_tried && s.complete);
	return true;
}

static void without(void **state)
{
	(void)state;
	assert_true(child_run(without_steps, NULL));
}

static void crash(const struct identity *id, struct finding *f)
{
	const struct rlimit none = { 0, 0 };

	(void)id;
	(void)f;
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)raise(SIGKILL);
}

static void fill(const struct identity *id, struct finding *f)
{
	(void)id;
	(void)snprintf(f->detail, sizeof(f->detail), "pid %d", (int)getpid());
}

/* A probe is a process of its own, and its end is not ours. */
static void probes(void **state)
{
	const struct probe bad = { "bad", crash, false, false };
	const struct probe good = { "good", fill, false, false };
	struct identity id = { .kind = IDENTITY_USER };
	struct finding f;
	char own[32];

	(void)state;
	doctor_run(&bad, &id, &f);
	assert_true(f.r < 0);
	assert_non_null(strstr(f.err.message, "signal 9"));
	doctor_run(&good, &id, &f);
	assert_int_equal(f.r, 0);
	(void)snprintf(own, sizeof(own), "pid %d", (int)getpid());
	assert_string_not_equal(f.detail, own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(here),
		cmocka_unit_test(without),
		cmocka_unit_test(probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
