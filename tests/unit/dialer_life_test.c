/* dialer_life_test.c - many at once, cancelled, dropped, gone
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "dialer_tests.h"
#include "dialer_world.h"
#include "proxy/dns.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_many_dials(void **state)
{
	enum { N = 200 };
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	cleanup_fd int l = world_listen("203.0.113.50", 443);
	const struct ask a = { .to = world_endpoint("203.0.113.50", 443) };
	uint32_t ids[N];

	(void)state;
	for (int i = 0; i < N; i++)
		ids[i] = world_send(w, ASK_DIAL, a);
	for (int i = 0; i < N; i++) {
		int fd;
		struct answer r = world_answer(w, ids[i], &fd);

		assert_true(r.allow);
		assert_int_equal(r.error, 0);
		assert_true(fd >= 0);
		fd_close(&fd);
	}
	for (int i = 0; i < N; i++)
		assert_true(world_accepted(l));
	world_free(w);
}

/* Questions that all hang, each at another stage. */
struct stages {
	struct world *w;
	struct world_hole hole;
	uint32_t ids[5];
	size_t n;
};

static void stages_begin(struct stages *s)
{
	struct ask a = { .qtype = DNS_TYPE_A };

	s->w = world_new(POLICY_ALLOWLIST,
			 LIST("*.stage.test", "203.0.113.0/24:*"), NULL);
	s->hole = world_hole_new("203.0.113.51", 443);
	s->n = 0;
	world_says(s->w, (struct world_record){ .name = "silent.stage.test",
						.qtype = DNS_TYPE_A,
						.silent = true });
	world_a(s->w, "held.stage.test", "203.0.113.52");
	world_a(s->w, "known.stage.test", "198.51.100.1");
	(void)world_resolve(s->w, "known.stage.test", DNS_TYPE_A);
	world_pins(s->w, WORLD_PIN_HELD);

	/* upstream */
	memcpy(a.name, "silent.stage.test", 18);
	s->ids[s->n++] = world_send(s->w, ASK_RESOLVE, a);
	s->ids[s->n++] = world_send(s->w, ASK_RESOLVE, a);
	/* the kernel's acknowledgement */
	memcpy(a.name, "held.stage.test", 16);
	s->ids[s->n++] = world_send(s->w, ASK_RESOLVE, a);
	/* connect */
	a = (struct ask){ .to = world_endpoint("203.0.113.51", 443) };
	s->ids[s->n++] = world_send(s->w, ASK_DIAL, a);
	/* the addresses of a name that is dialled */
	world_says(s->w, (struct world_record){ .name = "known.stage.test",
						.qtype = DNS_TYPE_A,
						.silent = true });
	world_use_servers(s->w, true, false);
	a = (struct ask){ .to = world_endpoint("198.51.100.1", 443),
			  .learnt = POLICY_NAME_SNI,
			  .name = "known.stage.test" };
	s->ids[s->n++] = world_send(s->w, ASK_DIAL, a);
	world_run_ms(s->w, 150);
}

static void stages_done(struct stages *s)
{
	world_hole_done(&s->hole);
	world_free(s->w);
}

static void test_cancel_at_each_stage(void **state)
{
	const size_t before = count_fds();
	struct stages s;

	(void)state;
	stages_begin(&s);
	for (size_t i = 0; i < s.n; i++) {
		assert_false(world_has_answer(s.w, s.ids[i]));
		(void)world_send(s.w, ASK_CANCEL,
				 (struct ask){ .id = s.ids[i] });
	}
	/* one that is not there */
	(void)world_send(s.w, ASK_CANCEL, (struct ask){ .id = 999 });
	world_run_ms(s.w, 50);
	world_release_pins(s.w);
	world_run_ms(s.w, 50);
	for (size_t i = 0; i < s.n; i++)
		assert_false(world_has_answer(s.w, s.ids[i]));
	assert_int_equal(world_broken(s.w), 0);
	stages_done(&s);
	assert_int_equal(count_fds(), before);
}

static void test_drop_posture_at_each_stage(void **state)
{
	struct stages s;
	int fd;

	(void)state;
	stages_begin(&s);
	dialer_drop_posture(world_dialer(s.w), 1);
	for (size_t i = 0; i < 3; i++)
		assert_false(world_answer_resolve(s.w, s.ids[i]).allow);
	for (size_t i = 3; i < s.n; i++)
		assert_false(world_answer(s.w, s.ids[i], &fd).allow);
	world_release_pins(s.w);
	/* nothing is allowed in a posture that is not there */
	assert_false(world_resolve(s.w, "held.stage.test", DNS_TYPE_A).allow);
	assert_false(
		world_dial(s.w, "", POLICY_NAME_NONE, "203.0.113.50", 443, &fd)
			.allow);
	stages_done(&s);
}

static void test_free_at_each_stage(void **state)
{
	const size_t before = count_fds();
	struct stages s;

	(void)state;
	stages_begin(&s);
	stages_done(&s);
	assert_int_equal(count_fds(), before);
}

static void test_front_gone(void **state)
{
	struct stages s;

	(void)state;
	stages_begin(&s);
	world_close_front(s.w);
	world_run_ms(s.w, 50);
	assert_int_equal(world_broken(s.w), EPIPE);
	/* what ends now has nobody to tell, and says it only once */
	world_release_pins(s.w);
	world_run_ms(s.w, 50);
	stages_done(&s);
}

static void test_front_breaks_the_rules(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct ask a = { .qtype = DNS_TYPE_A, .id = 7, .name = "a.test" };

	(void)state;
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_A,
					     .silent = true });
	(void)world_send(w, ASK_RESOLVE, a);
	(void)world_send(w, ASK_RESOLVE, a); /* the same id */
	world_run_ms(w, 50);
	assert_int_equal(world_broken(w), EPROTO);
	world_free(w);
}

/* Ask, and let the dialer keep up. */
static uint32_t ask_and_run(struct world *w, const struct ask *a, size_t i)
{
	uint32_t id = world_send(w, ASK_RESOLVE, *a);

	if (i % 64 == 63)
		world_run_ms(w, 1);
	return id;
}

static void test_too_many_tasks(void **state)
{
	enum { MOST = LIMIT_FLOWS + LIMIT_UDP_FLOWS + LIMIT_DNS_QUERIES };
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct ask a = { .qtype = DNS_TYPE_A, .name = "a.test" };
	struct answer_resolve r;

	(void)state;
	world_says(w, (struct world_record){ .name = "a.test",
					     .qtype = DNS_TYPE_A,
					     .silent = true });
	for (size_t i = 0; i < MOST; i++)
		(void)ask_and_run(w, &a, i);
	r = world_resolve(w, "a.test", DNS_TYPE_A);
	assert_int_equal(r.reason, POLICY_R_LIMIT);
	assert_int_equal(r.rcode, DNS_SERVFAIL);
	assert_int_equal(world_nanswers(w), 1);
	world_free(w);
}

static void test_too_many_questions(void **state)
{
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	struct ask a = { .qtype = DNS_TYPE_A };
	struct answer_resolve r;

	(void)state;
	world_use_servers(w, true, false);
	for (size_t i = 0; i < LIMIT_DNS_QUERIES; i++) {
		(void)snprintf(a.name, sizeof(a.name), "n%zu.test", i);
		(void)ask_and_run(w, &a, i);
	}
	r = world_resolve(w, "more.test", DNS_TYPE_A);
	assert_int_equal(r.rcode, DNS_SERVFAIL);
	assert_int_equal(world_nanswers(w), 1);
	world_free(w);
}

static void test_front_does_not_read(void **state)
{
	enum { N = 12000 };
	struct world *w = world_new(POLICY_OPEN, NULL, NULL);
	const struct ask a = { .to = world_endpoint("203.0.113.50", 443) };
	uint32_t last = 0;
	int fd;

	(void)state;
	world_front_reads(w, false);
	for (int i = 0; i < N; i++)
		last = world_send(w, ASK_CHECK, a);
	world_run_ms(w, 100);
	assert_int_equal(world_nanswers(w), 0);
	world_front_reads(w, true);
	assert_true(world_answer(w, last, &fd).allow);
	assert_int_equal(world_nanswers(w), N);
	assert_int_equal(world_broken(w), 0);
	world_free(w);
}

static void test_postures_are_apart(void **state)
{
	struct world *w = world_new(POLICY_ALLOWLIST, LIST("a.test"), NULL);
	struct ask a = { .qtype = DNS_TYPE_A, .posture = 2, .name = "a.test" };
	int fd;

	(void)state;
	world_a(w, "a.test", "203.0.113.53");
	assert_true(world_resolve(w, "a.test", DNS_TYPE_A).allow);
	assert_false(
		world_answer_resolve(w, world_send(w, ASK_RESOLVE, a)).allow);
	assert_int_equal(dialer_add_posture(world_dialer(w), 1,
					    (const struct policy *)w),
			 -EEXIST);
	a = (struct ask){ .to = world_endpoint("203.0.113.53", 443),
			  .posture = 2,
			  .learnt = POLICY_NAME_SNI,
			  .name = "a.test" };
	assert_false(world_answer(w, world_send(w, ASK_DIAL, a), &fd).allow);
	world_free(w);
}

int dialer_life_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_dials),
		cmocka_unit_test(test_cancel_at_each_stage),
		cmocka_unit_test(test_drop_posture_at_each_stage),
		cmocka_unit_test(test_free_at_each_stage),
		cmocka_unit_test(test_front_gone),
		cmocka_unit_test(test_front_breaks_the_rules),
		cmocka_unit_test(test_too_many_tasks),
		cmocka_unit_test(test_too_many_questions),
		cmocka_unit_test(test_front_does_not_read),
		cmocka_unit_test(test_postures_are_apart),
	};

	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
