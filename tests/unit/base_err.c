/* base_err.c - errors: codes, text, cutting
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/err.h"

static void system_errors(void **state)
{
	static const struct {
		int errnum;
		enum err_code code;
	} rows[] = {
		{ ENOSYS, ERR_UNAVAILABLE }, { EOPNOTSUPP, ERR_UNAVAILABLE },
		{ ENOENT, ERR_NOT_FOUND },   { EMFILE, ERR_LIMIT },
		{ ENFILE, ERR_LIMIT },	     { ENOMEM, ERR_LIMIT },
		{ ENOSPC, ERR_LIMIT },	     { EDQUOT, ERR_LIMIT },
		{ ETIMEDOUT, ERR_TIMEOUT },  { EPERM, ERR_INTERNAL },
		{ EACCES, ERR_INTERNAL },    { EINVAL, ERR_INTERNAL },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0x55, sizeof(err));
		errno = 4711;
		assert_int_equal(err_sys(&err, rows[i].errnum, "open", "%s%d",
					 "x", 7),
				 -rows[i].errnum);
		assert_int_equal(errno, 4711);
		assert_int_equal(err.code, rows[i].code);
		assert_int_equal(err.errnum, rows[i].errnum);
		assert_string_equal(err.step, "open");
		assert_string_equal(err.object, "x7");
		assert_string_equal(err.message, strerror(rows[i].errnum));
		assert_string_equal(err.remedy, "");
		assert_int_equal(err_sys(NULL, rows[i].errnum, "open", "%s",
					 "x"),
				 -rows[i].errnum);
	}
	/* a caller's mistake must not turn a failure into success */
	assert_true(err_sys(&err, 0, "open", "%s", "x") < 0);
	assert_true(err_sys(&err, -EPERM, "open", "%s", "x") < 0);
}

static void own_errors(void **state)
{
	static const struct {
		enum err_code code;
		int errnum;
		const char *name;
	} rows[] = {
		{ ERR_INVALID, EINVAL, "invalid" },
		{ ERR_POLICY, EPERM, "policy" },
		{ ERR_UNAVAILABLE, ENOTSUP, "unavailable" },
		{ ERR_NOT_FOUND, ENOENT, "not_found" },
		{ ERR_CONFLICT, EBUSY, "conflict" },
		{ ERR_TIMEOUT, ETIMEDOUT, "timeout" },
		{ ERR_LIMIT, E2BIG, "limit" },
		{ ERR_INTERNAL, EIO, "internal" },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(err_new(&err, rows[i].code, "step", "object",
					 "%d rules", 3),
				 -rows[i].errnum);
		assert_int_equal(err.code, rows[i].code);
		assert_int_equal(err.errnum, 0);
		assert_string_equal(err.message, "3 rules");
		assert_string_equal(err_code_name(rows[i].code), rows[i].name);
		assert_int_equal(err_new(NULL, rows[i].code, "s", NULL, "m"),
				 -rows[i].errnum);
	}
	assert_string_equal(err_code_name(ERR_NONE), "none");
	assert_string_equal(err_code_name((enum err_code)77), "internal");
	assert_int_equal(err_new(&err, (enum err_code)77, "s", NULL, "m"),
			 -EIO);
	assert_int_equal(err_new(&err, ERR_NONE, "s", NULL, "m"), -EIO);
	assert_int_equal(err.code, ERR_INTERNAL);
	err_clear(&err);
	assert_int_equal(err.code, ERR_NONE);
	err_clear(NULL);
	err_prefix(NULL, "x");
	err_remedy(NULL, "x");
}

static void lines(void **state)
{
	struct err err;
	char buf[256];

	(void)state;
	err_sys(&err, ENOENT, "open work dir", "%s", "/a\nb\x7f");
	assert_string_equal(
		err_str(&err, buf, sizeof(buf)),
		"open work dir /a\\x0ab\\x7f: No such file or directory");
	err_remedy(&err, "make it: mkdir %s", "/a");
	err_prefix(&err, "session %d", 3);
	assert_string_equal(err_str(&err, buf, sizeof(buf)),
			    "session 3: open work dir /a\\x0ab\\x7f: No such "
			    "file or directory (make it: mkdir /a)");
	err_new(&err, ERR_INVALID, "policy file", "\xc2\x9b\xe2\x80\xae\xff",
		"\x1b[31m");
	assert_string_equal(err_str(&err, buf, sizeof(buf)),
			    "policy file \\xc2\\x9b\\xe2\\x80\\xae\\xff: "
			    "\\x1b[31m");
	err_new(&err, ERR_INVALID, "rule", NULL, "it is empty");
	assert_string_equal(err_str(&err, buf, sizeof(buf)),
			    "rule: it is empty");
	err_new(&err, ERR_INVALID, "", NULL, "alone");
	assert_string_equal(err_str(&err, buf, sizeof(buf)), "alone");
	err_new(&err, ERR_INVALID, "", "thing", "bad");
	assert_string_equal(err_str(&err, buf, sizeof(buf)), "thing: bad");
}

static void cuts(void **state)
{
	struct err err;
	char buf[64], big[2000];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_new(&err, ERR_INVALID, big, big, "%s", big);
	err_remedy(&err, "%s", big);
	err_prefix(&err, "%s", big);
	assert_int_equal(strlen(err.step), sizeof(err.step) - 1);
	assert_int_equal(strlen(err.object), sizeof(err.object) - 1);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	assert_int_equal(strlen(err.remedy), sizeof(err.remedy) - 1);

	/* no half character at the end */
	for (size_t i = 0; i + 2 < sizeof(big); i += 2)
		memcpy(big + i, "\xc3\xa9", 2);
	err_new(&err, ERR_INVALID, "s", big, "%s", big);
	assert_int_equal(strlen(err.object) % 2, 0);
	assert_int_equal(strlen(err.message) % 2, 0);

	/* every size terminates, and no escape is cut in half */
	err_new(&err, ERR_INVALID, "\x01\x02", NULL, "m");
	for (size_t size = 1; size < 12; size++) {
		memset(buf, 'Z', sizeof(buf));
		err_str(&err, buf, size);
		assert_true(strlen(buf) < size);
		assert_int_equal(buf[size], 'Z');
		assert_int_equal(strlen(buf) % 4,
				 strlen(buf) > 8 ? strlen(buf) - 8 : 0);
	}
	buf[0] = 'Z';
	err_str(&err, buf, 0);
	assert_int_equal(buf[0], 'Z');
}

/* ---- on the wire ---- */

static void wire(void **state)
{
	struct err in, out;
	struct sbuf b;
	struct rbuf r;

	(void)state;
	(void)err_sys(&in, EMFILE, "open", "%s", "thing");
	err_remedy(&in, "raise the limit");
	sbuf_init(&b, 4096);
	err_encode(&in, &b);
	assert_false(b.bad);
	r = rbuf_make(b.s, b.len);
	assert_true(err_decode(&r, &out));
	assert_memory_equal(&out, &in, sizeof(in));
	/* what is cut, has no code, or is longer than the fields is none */
	for (size_t len = 0; len < b.len; len++) {
		r = rbuf_make(b.s, len);
		assert_false(err_decode(&r, &out));
		assert_int_equal(out.code, ERR_INTERNAL);
		assert_string_equal(out.message, "malformed message");
	}
	b.len = 0;
	err_clear(&in);
	err_encode(&in, &b);
	r = rbuf_make(b.s, b.len);
	assert_false(err_decode(&r, &out));
	b.len = 0;
	sbuf_u32(&b, ERR_LIMIT);
	sbuf_u32(&b, 0);
	for (int i = 0; i < 4; i++)
		sbuf_lstr(&b, "a step that is longer than any that there is, "
			      "by some words");
	r = rbuf_make(b.s, b.len);
	assert_false(err_decode(&r, &out));
	sbuf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_errors), cmocka_unit_test(own_errors),
		cmocka_unit_test(lines),	 cmocka_unit_test(cuts),
		cmocka_unit_test(wire),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
