/* policy_compile.c - what compiles, what does not, and what the image says
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/file.h"
#include "policy/image.h"
#include "tests/unit/policy_build.h"

static void keeps_rules_in_order(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("b.test", "A.test.", "10.0.0.1:22",
				    "a.test", "tcp/b.test:80,443"),
			       LIST("x.test", "x.test"));
	static const char *const texts[] = {
		"b.test",
		"a.test",
		"10.0.0.1:22",
		"x.test",
	};
	struct rule r;

	(void)unused;
	assert_non_null(b.p);
	assert_int_equal(policy_nrules(b.p), 4); /* no repetitions */
	for (uint32_t i = 0; i < 4; i++) {
		assert_string_equal(policy_rule_text(b.p, i), texts[i]);
		assert_string_equal(policy_rule_origin(b.p, i),
				    i < 3 ? "allow" : "deny");
	}
	policy_get_rule(b.p, 2, &r);
	assert_int_equal(r.kind, RULE_CIDR);
	assert_int_equal(r.ports[0].lo, 22);
	built_done(&b);
}

static const struct policy_preset presets[] = {
	{ "pypi", (const char *const[]){ "pypi.org", "files.test+private" }, 2,
	  false },
	{ "metadata", (const char *const[]){ "169.254.169.254" }, 1, true },
	{ "broken", (const char *const[]){ "a.test", "b..test" }, 2, false },
	{ "nested", (const char *const[]){ "@pypi" }, 1, false },
	{ "empty", NULL, 0, false },
};

static struct built with_presets(enum policy_mode mode,
				 const char *const *allow,
				 const char *const *deny)
{
	struct policy_spec spec = {
		.mode = mode,
		.presets = presets,
		.npresets = sizeof(presets) / sizeof(presets[0]),
	};

	return build_spec(&spec, allow, deny);
}

static void expands_presets(void **unused)
{
	struct built b = with_presets(POLICY_ALLOWLIST,
				      LIST("a.test", "@pypi", "pypi.org"),
				      LIST("@metadata", "@pypi"));

	(void)unused;
	assert_non_null(b.p);
	assert_int_equal(policy_nrules(b.p), 6);
	assert_string_equal(policy_rule_text(b.p, 1), "pypi.org");
	assert_string_equal(policy_rule_origin(b.p, 1), "@pypi");
	assert_string_equal(policy_rule_text(b.p, 2), "files.test+private");
	assert_string_equal(policy_rule_text(b.p, 3), "169.254.169.254");
	assert_string_equal(policy_rule_origin(b.p, 3), "@metadata");
	/* a flag says nothing on the deny side */
	assert_string_equal(policy_rule_text(b.p, 5), "files.test");
	built_done(&b);

	b = with_presets(POLICY_ALLOWLIST, LIST("@empty"), NULL);
	assert_non_null(b.p);
	assert_int_equal(policy_nrules(b.p), 0);
	built_done(&b);
}

static void refuses(void **unused)
{
	static const struct {
		enum policy_mode mode;
		const char *allow, *deny;
		enum err_code code;
		const char *object, *message;
	} rows[] = {
		{ POLICY_ALLOWLIST, "a b", NULL, ERR_INVALID,
		  "allow[1] \"a b\"", "at byte 1" },
		{ POLICY_ALLOWLIST, NULL, "a..b", ERR_INVALID,
		  "deny[0] \"a..b\"", "empty label" },
		{ POLICY_ALLOWLIST, "@nope", NULL, ERR_INVALID,
		  "allow[1] \"@nope\"", "@pypi @metadata" },
		{ POLICY_ALLOWLIST, "@metadata", NULL, ERR_INVALID, "@metadata",
		  "deny-list only" },
		{ POLICY_ALLOWLIST, "@broken", NULL, ERR_INVALID,
		  "allow[1] @broken[1] \"b..test\"", "empty label" },
		{ POLICY_ALLOWLIST, "@nested", NULL, ERR_INVALID, "@nested[0]",
		  "preset within" },
		{ POLICY_BLOCKED, "a.test", NULL, ERR_INVALID, "",
		  "takes no allow-list" },
		{ POLICY_OPEN, "a.test", NULL, ERR_INVALID, "a.test",
		  "+private" },
		{ POLICY_OPEN, "203.0.113.0/24", NULL, ERR_INVALID,
		  "203.0.113.0/24", "private range" },
		{ POLICY_OPEN, "0.0.0.0/0", NULL, ERR_INVALID, "0.0.0.0/0",
		  "private range" },
		{ POLICY_OPEN, "@pypi", NULL, ERR_INVALID, "@pypi[0]",
		  "+private" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *allow[] = { "ok.test+private", rows[i].allow,
					NULL };
		const char *deny[] = { rows[i].deny, NULL };
		struct built b = with_presets(
			rows[i].mode, rows[i].allow ? allow : NULL, deny);

		if (b.p || b.err.code != rows[i].code ||
		    !strstr(b.err.object, rows[i].object) ||
		    !strstr(b.err.message, rows[i].message))
			fail_msg("row %zu: %d %s: %s", i, b.err.code,
				 b.err.object, b.err.message);
	}
}

static void open_takes_what_it_leaves_shut(void **unused)
{
	struct built b =
		build(POLICY_OPEN,
		      LIST("a.test+private", "10.0.0.0/8", "fd00::1",
			   "host.exeat.internal:5432", "*+wide+private"),
		      NULL);

	(void)unused;
	assert_non_null(b.p);
	built_done(&b);
}

static void limits_port_lists(void **unused)
{
	char texts[LIMIT_PORT_GROUPS + 1][48];
	const char *list[LIMIT_PORT_GROUPS + 2] = { NULL };
	struct built b;

	(void)unused;
	for (int i = 0; i <= LIMIT_PORT_GROUPS; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "203.0.113.9:%d",
			       i + 1);
		list[i] = texts[i];
	}
	b = build(POLICY_ALLOWLIST, list, NULL);
	assert_null(b.p);
	assert_int_equal(b.err.code, ERR_LIMIT);
	list[LIMIT_PORT_GROUPS] = NULL;
	b = build(POLICY_ALLOWLIST, list, list); /* a limit a side */
	assert_non_null(b.p);
	built_done(&b);

	/* names cost nothing, unless a range is wide */
	for (int i = 0; i <= LIMIT_PORT_GROUPS; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "a.test:%d", i + 1);
		list[i] = texts[i];
	}
	b = build(POLICY_ALLOWLIST, list, NULL);
	assert_non_null(b.p);
	built_done(&b);
	for (int i = 0; i <= LIMIT_PORT_GROUPS; i++)
		(void)snprintf(texts[i], sizeof(texts[i]), "a.test:%d-%d",
			       i + 1, i + 100);
	b = build(POLICY_ALLOWLIST, list, NULL);
	assert_null(b.p);
	assert_int_equal(b.err.code, ERR_LIMIT);
}

static bool alike(struct built a, struct built b)
{
	bool equal;

	assert_non_null(a.p);
	assert_non_null(b.p);
	equal = policy_equal(a.p, b.p);
	built_done(&a);
	built_done(&b);
	return equal;
}

static void equals(void **unused)
{
	const char *const *a_b = LIST("a.test", "b.test"), *const * c;
	struct policy_spec strict = { .mode = POLICY_OPEN,
				      .require_names = true };

	(void)unused;
	c = LIST("c.test");
	assert_true(alike(build(POLICY_ALLOWLIST, a_b, c),
			  build(POLICY_ALLOWLIST,
				LIST("A.test.", "tcp/b.test", "a.test"), c)));
	assert_false(alike(build(POLICY_ALLOWLIST, a_b, c),
			   build(POLICY_ALLOWLIST, LIST("a.test"), c)));
	assert_false(alike(build(POLICY_ALLOWLIST, a_b, c),
			   build(POLICY_ALLOWLIST,
				 LIST("a.test", "b.test", "c.test"), NULL)));
	assert_false(alike(build(POLICY_OPEN, NULL, NULL),
			   build(POLICY_BLOCKED, NULL, NULL)));
	assert_false(alike(build(POLICY_OPEN, NULL, NULL),
			   build_spec(&strict, NULL, NULL)));
}

/* No truncation and no single changed byte of a head is taken, or it does no
 * harm: sanitizers watch. */
static void views_only_whole_images(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("a.test", "*.b.test", "10.0.0.0/8"),
			       LIST("x*.test"));
	uint8_t *copy = malloc(b.len);
	struct policy *p;

	(void)unused;
	for (size_t len = 0; len < b.len; len += len < 512 ? 1 : 97) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, b.image, len);
		assert_int_equal(policy_new(cut, len, &p), -EINVAL);
		free(cut);
	}
	for (size_t i = 0; i < sizeof(struct image_head); i++) {
		struct policy_question q = { .name = "a.b.test" };

		memcpy(copy, b.image, b.len);
		copy[i] ^= 0x81;
		if (policy_new(copy, b.len, &p) == 0) {
			(void)policy_decide(p, &q);
			(void)policy_decide_naive(p, &q);
			policy_free(p);
		}
	}
	free(copy);
	built_done(&b);
}

/* One wrong number in a table. */
struct wrong {
	size_t table;	 /* offset of its image_table in the head */
	size_t at, size; /* in the table */
	uint64_t value;
};

static void views_no_wrong_tables(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("a.test", "*.b.test", "10.0.0.0/8", "y*.test+wide"),
		      LIST("x*.test", "10.1.0.0/16"));
	const struct image_head *h = b.image;
#define IN(table, type, field)                                     \
	offsetof(struct image_head, table), offsetof(type, field), \
		sizeof(((type *)0)->field)
	struct wrong rows[] = {
		{ IN(shapes, struct image_shape, side), 2 },
		{ IN(shapes, struct image_shape, kind), RULE_PRESET },
		{ IN(shapes, struct image_shape, kind), 9 },
		{ IN(shapes, struct image_shape, kind), RULE_GLOB },
		{ IN(shapes, struct image_shape, hang), HANG_GLOB },
		{ IN(shapes, struct image_shape, hang), HANG_COUNT },
		{ IN(shapes, struct image_shape, protos), 0 },
		{ IN(shapes, struct image_shape, protos), 4 },
		{ IN(shapes, struct image_shape, nports), 0 },
		{ IN(shapes, struct image_shape, nports), 17 },
		{ IN(shapes, struct image_shape, ports), UINT32_MAX },
		{ IN(shapes, struct image_shape, ports), h->ports.count },
		{ IN(rules, struct image_rule, shape), h->shapes.count },
		/* one of a prefix: the host is none */
		{ IN(rules, struct image_rule, shape),
		  image_shape(b.p, 2) - b.p->shapes },
		{ IN(rules, struct image_rule, text), h->text.count },
		{ IN(rules, struct image_rule, origin), h->text.count },
		{ IN(rules, struct image_rule, host), h->text.count },
		{ offsetof(struct image_head, rules),
		  2 * sizeof(struct image_rule) +
			  offsetof(struct image_rule, host),
		  4, h->cidrs.count },
		{ IN(ports, struct port_range, lo), 0 },
		{ IN(ports, struct port_range, lo), 65535 },
		{ IN(names, struct image_name, key), h->text.count },
		{ IN(names, struct image_name, uses.count), UINT32_MAX },
		{ IN(names, struct image_name, uses.one.rule), h->rules.count },
		{ IN(names, struct image_name, uses.one.shape),
		  h->shapes.count },
		{ IN(cidrs, struct image_cidr, len), 129 },
		{ IN(cidrs, struct image_cidr, uses.one.rule), h->rules.count },
		{ IN(cidrs, struct image_cidr, uses.count), 3 },
		{ IN(uses, struct image_use, rule), h->rules.count },
		{ IN(uses, struct image_use, shape), h->shapes.count },
		{ offsetof(struct image_head, slots), 0, 4, h->names.count },
		{ offsetof(struct image_head, cslots), 0, 4, h->cidrs.count },
		{ offsetof(struct image_head, text), h->text.count - 1, 1,
		  'x' },
	};
#undef IN
	uint8_t *copy = malloc(b.len);
	struct policy *p;

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image_table t;

		memcpy(copy, b.image, b.len);
		memcpy(&t, copy + rows[i].table, sizeof(t));
		/* little endian: the low bytes come first */
		memcpy(copy + t.offset + rows[i].at, &rows[i].value,
		       rows[i].size);
		if (policy_new(copy, b.len, &p) != -EINVAL)
			fail_msg("row %zu is taken", i);
	}
	free(copy);
	built_done(&b);
}

static void writes_json(void **unused)
{
	struct built b = with_presets(POLICY_ALLOWLIST, LIST("B.test", "@pypi"),
				      LIST("c.test"));
	struct policy_file f;
	struct sbuf text;

	(void)unused;
	sbuf_init(&text, 4096);
	assert_int_equal(policy_json(b.p, &text), 0);
	assert_string_equal(
		text.s,
		"{\"version\":1,\"network_mode\":\"allowlist\","
		"\"network_allowlist\":[\"b.test\",\"pypi.org\","
		"\"files.test+private\"],\"network_denylist\":[\"c.test\"],"
		"\"network_ceiling\":null,\"upstream_proxy\":null,"
		"\"dns_refusal\":\"nxdomain\",\"require_names\":false}");
	assert_int_equal(policy_file_parse(text.s, text.len, &f, NULL), 0);
	assert_int_equal(f.nallow, 3);
	policy_file_done(&f);
	sbuf_done(&text);
	built_done(&b);
}

static void names_of_things(void **unused)
{
	enum policy_mode mode;

	(void)unused;
	for (int i = POLICY_BLOCKED; i <= POLICY_OPEN; i++) {
		assert_true(policy_mode_parse(
			policy_mode_name((enum policy_mode)i), &mode));
		assert_int_equal(mode, i);
	}
	assert_false(policy_mode_parse("Open", &mode));
	assert_string_equal(policy_reason_name(POLICY_R_DENY_RULE),
			    "deny_rule");
	for (int i = 0; i <= POLICY_R_LAST; i++)
		assert_string_not_equal(
			policy_reason_name((enum policy_reason)i), "?");
	for (int i = 0; i <= POLICY_NAME_PROXY; i++)
		assert_string_not_equal(
			policy_learnt_name((enum policy_learnt)i), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_rules_in_order),
		cmocka_unit_test(expands_presets),
		cmocka_unit_test(refuses),
		cmocka_unit_test(open_takes_what_it_leaves_shut),
		cmocka_unit_test(limits_port_lists),
		cmocka_unit_test(equals),
		cmocka_unit_test(views_only_whole_images),
		cmocka_unit_test(views_no_wrong_tables),
		cmocka_unit_test(writes_json),
		cmocka_unit_test(names_of_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
