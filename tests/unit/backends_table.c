/* backends_table.c - the table of backends and the messages they share
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"

static void names(void **state)
{
	(void)state;
	assert_ptr_equal(backend_find("userns"), &backend_userns);
	assert_null(backend_find("USERNS"));
	assert_null(backend_find(""));
	assert_non_null(strstr(backend_names(), backend_userns.name));
}

static void failed_round_trip(void **state)
{
	struct err in, out;
	uint32_t exit_code = 0;
	struct sbuf b;
	struct rbuf r;

	(void)state;
	err_sys(&in, ENOENT, "execute", "%s", "thing");
	err_remedy(&in, "%s", "look");
	sbuf_init(&b, 4096);
	backend_put_failed(&b, &in, 127);
	assert_false(b.bad);
	r = rbuf_make(b.s, b.len);
	assert_true(backend_get_failed(&r, &out, &exit_code));
	assert_int_equal(exit_code, 127);
	assert_int_equal(out.code, ERR_NOT_FOUND);
	assert_int_equal(out.errnum, ENOENT);
	assert_string_equal(out.step, "execute");
	assert_string_equal(out.object, "thing");
	assert_string_equal(out.message, in.message);
	assert_string_equal(out.remedy, "look");
	/* every shorter one is malformed, and so is a longer one */
	for (size_t len = 0; len < b.len; len++) {
		r = rbuf_make(b.s, len);
		assert_false(backend_get_failed(&r, &out, &exit_code));
	}
	sbuf_u8(&b, 0);
	r = rbuf_make(b.s, b.len);
	assert_false(backend_get_failed(&r, &out, &exit_code));
	sbuf_done(&b);
}

static void rules(void **state)
{
	bool seen = false;

	(void)state;
	/* stdin, stdout, stderr, always; a file for each cgroup to join */
	for (size_t i = 0; i < backend_child_nrules; i++) {
		const struct msg_rule *rule = &backend_child_rules[i];

		if (rule->type != BACKEND_COMMAND)
			continue;
		seen = true;
		assert_int_equal(rule->min_fds, 3);
		assert_int_equal(rule->max_fds, 3 + BACKEND_GROUPS);
	}
	assert_true(seen);
	/* and the keeper gets none from a run but its terminal, which is one */
	for (size_t i = 0; i < backend_keeper_nrules; i++) {
		const struct msg_rule *rule = &backend_keeper_rules[i];
		unsigned fds = rule->type == BACKEND_TTY ? 1 : 0;

		assert_int_equal(rule->min_fds, fds);
		assert_int_equal(rule->max_fds, fds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(failed_round_trip),
		cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
