/* sys_codec.c - commands and views on the wire
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/limits.h"
#include "core/sys/command.h"
#include "core/sys/view.h"

static const char *const argv_in[] = { "prog", "", "two words\n", NULL };
static const char *const envp_in[] = { "A=1", "B=", NULL };

static void encode(const struct command *c, struct sbuf *b)
{
	sbuf_init(b, LIMIT_ARGS_BYTES);
	command_encode(c, b);
	assert_false(b->bad);
}

static void command_round_trip(void **state)
{
	const struct command in = {
		.argv = argv_in,
		.envp = envp_in,
		.cwd = "/a b",
		.new_session = true,
		.tty = 1,
		.rows = 50,
		.cols = 132,
		.rlimit_fsize = 1,
		.rlimit_nofile = UINT64_MAX,
		.rlimit_core = 3,
	};
	struct command out;
	struct sbuf b;

	(void)state;
	encode(&in, &b);
	assert_int_equal(command_decode(b.s, b.len, &out), 0);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(out.argv[i], argv_in[i]);
	assert_null(out.argv[3]);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(out.envp[i], envp_in[i]);
	assert_null(out.envp[2]);
	assert_string_equal(out.cwd, "/a b");
	assert_true(out.new_session);
	assert_int_equal(out.tty, 1);
	assert_int_equal(out.rows, 50);
	assert_int_equal(out.cols, 132);
	assert_true(out.rlimit_fsize == 1 && out.rlimit_core == 3);
	assert_true(out.rlimit_nofile == UINT64_MAX);
	command_done(&out);
	assert_null(out.argv);
	command_done(&out); /* and again */
	sbuf_done(&b);
}

/* Nothing shorter or longer than a whole message is one. */
static void command_cut(void **state)
{
	const struct command in = { .argv = argv_in,
				    .envp = envp_in,
				    .cwd = "/" };
	struct command out;
	struct sbuf b;

	(void)state;
	encode(&in, &b);
	for (size_t len = 0; len < b.len; len++) {
		/* on the heap, so that a sanitizer sees a read past the end */
		char *copy = malloc(len + 1);

		assert_non_null(copy);
		memcpy(copy, b.s, len);
		assert_int_equal(command_decode(copy, len, &out), -EPROTO);
		free(copy);
	}
	sbuf_u8(&b, 0);
	assert_int_equal(command_decode(b.s, b.len, &out), -EPROTO);
	sbuf_done(&b);
}

static void command_malformed(void **state)
{
	static const char *const none[] = { NULL };
	static const char huge[] = { (char)0xff, (char)0xff, (char)0xff,
				     (char)0xff };
	const struct command rows[] = {
		{ .argv = none, .envp = none, .cwd = "/" },
		{ .argv = argv_in, .envp = none, .cwd = "relative" },
		{ .argv = argv_in, .envp = none, .cwd = "" },
		{ .argv = argv_in, .envp = none, .cwd = NULL },
		{ .argv = argv_in, .envp = none, .cwd = "/", .tty = 2 },
	};
	struct command out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sbuf b;

		encode(&rows[i], &b);
		assert_int_equal(command_decode(b.s, b.len, &out), -EPROTO);
		sbuf_done(&b);
	}
	/* a count that no body could hold allocates nothing */
	assert_int_equal(command_decode(huge, sizeof(huge), &out), -EPROTO);
	assert_int_equal(command_decode(huge, LIMIT_ARGS_BYTES + 1UL, &out),
			 -E2BIG);
}

static const struct view_op ops[] = {
	{ .kind = VIEW_BIND_RO,
	  .path = (char *)(uintptr_t) "/usr",
	  .source = (char *)(uintptr_t) "/usr",
	  .optional = true },
	{ .kind = VIEW_TMPFS,
	  .path = (char *)(uintptr_t) "/tmp",
	  .per_run = true,
	  .size = 1ULL << 40,
	  .mode = 01777 },
	{ .kind = VIEW_MOUNT_FD,
	  .path = (char *)(uintptr_t) "/w",
	  .fd_index = 3 },
	{ .kind = VIEW_FILE,
	  .path = (char *)(uintptr_t) "/etc/passwd",
	  .source = (char *)(uintptr_t) "a:\nb:\n" },
};

#define NOPS (sizeof(ops) / sizeof(ops[0]))

static void make_view(struct view *v)
{
	view_init(v);
	for (size_t i = 0; i < NOPS; i++)
		assert_int_equal(view_add(v, &ops[i]), 0);
}

static void view_round_trip(void **state)
{
	struct view in, out;
	struct sbuf b;
	struct rbuf r;

	(void)state;
	make_view(&in);
	sbuf_init(&b, 1 << 20);
	view_encode(&in, &b);
	/* it is a part of a message: what follows is not its own */
	sbuf_u8(&b, 42);
	r = rbuf_make(b.s, b.len);
	assert_int_equal(view_decode(&r, &out), 0);
	assert_int_equal(rbuf_u8(&r), 42);
	assert_int_equal(out.nops, NOPS);
	for (size_t i = 0; i < NOPS; i++) {
		const struct view_op *x = &in.ops[i], *y = &out.ops[i];

		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->per_run, y->per_run);
		assert_int_equal(x->optional, y->optional);
		assert_string_equal(x->path, y->path);
		if (x->source)
			assert_string_equal(x->source, y->source);
		else
			assert_null(y->source);
		assert_true(x->size == y->size && x->mode == y->mode);
		assert_int_equal(x->fd_index, y->fd_index);
	}
	view_done(&out);
	for (size_t len = 0; len < b.len - 1; len++) {
		r = rbuf_make(b.s, len);
		assert_int_equal(view_decode(&r, &out), -EPROTO);
	}
	view_done(&in);
	view_done(&in); /* and again */
	sbuf_done(&b);
}

/* No descriptor is -1 to whoever writes the list. */
static void view_no_descriptor(void **state)
{
	const struct view_op op = { .kind = VIEW_DIR,
				    .path = (char *)(uintptr_t) "/x",
				    .fd_index = -1 };
	struct view in, out;
	struct sbuf b;
	struct rbuf r;

	(void)state;
	view_init(&in);
	assert_int_equal(view_add(&in, &op), 0);
	sbuf_init(&b, 4096);
	view_encode(&in, &b);
	r = rbuf_make(b.s, b.len);
	assert_int_equal(view_decode(&r, &out), 0);
	view_done(&out);
	/* but on the wire there is one way to say it */
	b.s[b.len - 1] = 1;
	r = rbuf_make(b.s, b.len);
	assert_int_equal(view_decode(&r, &out), -EPROTO);
	sbuf_done(&b);
	view_done(&in);
}

static void view_malformed(void **state)
{
	const struct view_op rows[] = {
		{ .kind = VIEW_DIR, .path = (char *)(uintptr_t) "relative" },
		{ .kind = VIEW_DIR, .path = (char *)(uintptr_t) "" },
		{ .kind = VIEW_BIND_RO, .path = (char *)(uintptr_t) "/x" },
		{ .kind = VIEW_FILE, .path = (char *)(uintptr_t) "/x" },
		{ .kind = VIEW_SYMLINK, .path = (char *)(uintptr_t) "/x" },
		{ .kind = (enum view_kind)(VIEW_COVER + 1),
		  .path = (char *)(uintptr_t) "/x" },
		{ .kind = VIEW_DIR,
		  .path = (char *)(uintptr_t) "/x",
		  .mode = 010000 },
		{ .kind = VIEW_MOUNT_FD,
		  .path = (char *)(uintptr_t) "/x",
		  .fd_index = 16 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct view in, out;
		struct sbuf b;
		struct rbuf r;

		view_init(&in);
		assert_int_equal(view_add(&in, &rows[i]), 0);
		sbuf_init(&b, 4096);
		view_encode(&in, &b);
		r = rbuf_make(b.s, b.len);
		assert_int_equal(view_decode(&r, &out), -EPROTO);
		sbuf_done(&b);
		view_done(&in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_round_trip),
		cmocka_unit_test(command_cut),
		cmocka_unit_test(command_malformed),
		cmocka_unit_test(view_round_trip),
		cmocka_unit_test(view_no_descriptor),
		cmocka_unit_test(view_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
