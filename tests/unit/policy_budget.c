/* policy_budget.c - budgets: what they hold for, and what they are called
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/file.h"
#include "tests/unit/policy_build.h"

static struct built with(enum policy_mode mode, const char *const *allow,
			 const struct policy_budget *budgets, size_t n)
{
	struct policy_spec spec = { .mode = mode,
				    .budgets = budgets,
				    .nbudgets = n };

	return build_spec(&spec, allow, NULL);
}

static bool holds(const struct policy *p, uint32_t i, const char *name,
		  const char *address, enum rule_proto proto, uint16_t port)
{
	struct policy_question q = { .ask = POLICY_ASK_CONNECT,
				     .name = name,
				     .proto = proto,
				     .port = port };

	if (address)
		assert_true(addr_parse(&address, &q.addr));
	return policy_find_budgets(p, &q).bits[i / 64] >> (i % 64) & 1;
}

static void holds_as_a_deny_rule(void **unused)
{
	static const struct policy_budget budgets[] = {
		{ "A.test", { 1, 0 } },
		{ "*.b.test:22,8000-9000", { 1, 0 } },
		{ "10.0.0.0/8", { 0, 1 } },
		{ "tcp/host.exeat.internal", { 1, 1 } },
	};
	static const struct {
		uint32_t budget;
		const char *name, *address;
		enum rule_proto proto;
		uint16_t port;
		bool yes;
	} rows[] = {
		{ 0, "a.test", "192.0.2.1", RULE_TCP, 443, true },
		{ 0, "a.test", "192.0.2.1", RULE_UDP, 9, true },
		{ 0, "x.a.test", "192.0.2.1", RULE_TCP, 443, false },
		{ 0, NULL, "192.0.2.1", RULE_TCP, 443, false },
		{ 1, "x.y.b.test", "192.0.2.1", RULE_TCP, 8500, true },
		{ 1, "x.b.test", "192.0.2.1", RULE_TCP, 443, false },
		{ 1, "b.test", "192.0.2.1", RULE_TCP, 22, false },
		{ 2, "x.test", "10.1.2.3", RULE_UDP, 5, true },
		{ 2, NULL, "64:ff9b::10.1.2.3", RULE_TCP, 5, true },
		{ 2, NULL, "11.1.2.3", RULE_TCP, 5, false },
		{ 3, "host.docker.internal", NULL, RULE_TCP, 5, true },
		{ 3, NULL, "192.0.0.6", RULE_TCP, 5, true },
		{ 3, NULL, "192.0.0.6", RULE_UDP, 5, false },
	};
	struct built b = with(POLICY_OPEN, NULL, budgets, 4);

	(void)unused;
	assert_non_null(b.p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (holds(b.p, rows[i].budget, rows[i].name, rows[i].address,
			  rows[i].proto, rows[i].port) != rows[i].yes)
			fail_msg("row %zu", i);
	}
	assert_string_equal(policy_budget_text(b.p, 0), "a.test");
	assert_true(policy_budget_is_named(b.p, 3));
	assert_false(policy_budget_is_named(b.p, 2));
	assert_int_equal(policy_budget_max(b.p, 2, POLICY_UP), 0);
	assert_int_equal(policy_budget_max(b.p, 2, POLICY_DOWN), 1);
	built_done(&b);
}

static void the_lower_one_holds(void **unused)
{
	static const struct policy_budget budgets[] = {
		{ "a.test", { 9, 0 } },
		{ "A.TEST+private", { 7, 5 } },
		{ "a.test", { 8, 0 } },
	};
	static const struct policy_budget other = { "a.test", { 7, 6 } };
	struct built b = with(POLICY_OPEN, NULL, budgets, 3);
	struct built c = with(POLICY_OPEN, NULL, &other, 1);
	struct built d = with(POLICY_OPEN, NULL, NULL, 0);

	(void)unused;
	assert_int_equal(policy_nbudgets(b.p), 1);
	assert_int_equal(policy_budget_max(b.p, 0, POLICY_UP), 7);
	assert_int_equal(policy_budget_max(b.p, 0, POLICY_DOWN), 5);
	assert_true(policy_equal(b.p, b.p));
	assert_false(policy_equal(b.p, c.p));
	assert_false(policy_equal(b.p, d.p));
	built_done(&b);
	built_done(&c);
	built_done(&d);
}

static void presets_have_one_a_rule(void **unused)
{
	static const char *const rules[] = { "a.test", "b.test:22+private" };
	static const struct policy_preset preset = { "two", rules, 2, false };
	static const struct policy_budget budgets[] = {
		{ "@two", { 5, 0 } },
		{ "b.test:22", { 3, 0 } },
	};
	struct policy_spec spec = { .mode = POLICY_ALLOWLIST,
				    .presets = &preset,
				    .npresets = 1,
				    .budgets = budgets,
				    .nbudgets = 2 };
	struct built b = build_spec(&spec, LIST("@two"), NULL);

	(void)unused;
	assert_int_equal(policy_nbudgets(b.p), 2);
	assert_string_equal(policy_budget_text(b.p, 1), "b.test:22");
	assert_int_equal(policy_budget_max(b.p, 0, POLICY_UP), 5);
	assert_int_equal(policy_budget_max(b.p, 1, POLICY_UP), 3);
	assert_true(policy_budget_fits(b.p, "@two"));
	assert_false(policy_budget_fits(b.p, "@three"));
	built_done(&b);
}

static void refuses(void **unused)
{
	static const char *const names[] = { "@none", "a b", "", "udp/" };
	struct policy_budget many[LIMIT_BUDGETS + 1];
	char texts[LIMIT_BUDGETS + 1][16];
	struct built b;

	(void)unused;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct policy_budget one = { names[i], { 1, 1 } };

		b = with(POLICY_OPEN, NULL, &one, 1);
		assert_null(b.p);
		assert_int_equal(b.err.code, ERR_INVALID);
	}
	for (size_t i = 0; i <= LIMIT_BUDGETS; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "x%zu.test", i);
		many[i] = (struct policy_budget){ texts[i], { 1, 1 } };
	}
	b = with(POLICY_OPEN, NULL, many, LIMIT_BUDGETS);
	assert_true(
		holds(b.p, LIMIT_BUDGETS - 1, "x255.test", NULL, RULE_TCP, 1));
	built_done(&b);
	b = with(POLICY_OPEN, NULL, many, LIMIT_BUDGETS + 1);
	assert_null(b.p);
	assert_int_equal(b.err.code, ERR_LIMIT);
}

static void belongs_to_the_list(void **unused)
{
	static const struct {
		const char *name;
		bool yes;
	} rows[] = {
		{ "a.test", true },
		{ "A.test.", true },
		{ "b.test", false },
		{ "x.b.test", true },
		{ "*.b.test", true },
		{ "*.x.b.test", true },
		{ "*.test", false },
		{ "a.test:443", true },
		{ "a.test:22", false },
		{ "udp/a.test:443", false },
		{ "10.1.0.0/16", true },
		{ "10.2.0.0/16", false },
		{ "10.1.2.3:22", true },
		{ "host.docker.internal", true },
		{ "h.test:22+private", true },
	};
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("a.test", "*.b.test", "10.1.0.0/16",
			   "h.test:22+private", "host.exeat.internal:80"),
		      NULL);
	struct built open = build(POLICY_OPEN, NULL, NULL);
	struct built blocked = build(POLICY_BLOCKED, NULL, NULL);

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (policy_budget_fits(b.p, rows[i].name) != rows[i].yes)
			fail_msg("%s", rows[i].name);
	}
	assert_true(policy_budget_fits(open.p, "any.test"));
	assert_false(policy_budget_fits(open.p, "host.exeat.internal:80"));
	assert_false(policy_budget_fits(blocked.p, "any.test"));
	built_done(&b);
	built_done(&open);
	built_done(&blocked);
}

/* What is printed reads back to the same. */
static void prints_and_reads(void **unused)
{
	static const struct policy_budget budgets[] = {
		{ "a.test:22+private", { 10 << 20, 0 } },
		{ "x.b.test", { 1025, 3ULL << 30 } },
	};
	static const char wanted[] =
		"{\"version\":1,\"network_mode\":\"allowlist\","
		"\"network_allowlist\":[{\"rule\":\"a.test:22+private\","
		"\"max_upload\":\"10M\"},\"*.b.test\"],"
		"\"network_denylist\":[],\"network_ceiling\":null,"
		"\"upstream_proxy\":null,\"dns_refusal\":\"nxdomain\","
		"\"require_names\":false,"
		"\"max_upload\":{\"x.b.test\":\"1025\"},"
		"\"max_download\":{\"x.b.test\":\"3G\"}}";
	struct built b = with(POLICY_ALLOWLIST,
			      LIST("a.test:22+private", "*.b.test"), budgets,
			      2);
	struct policy_file f;
	struct built again;
	struct sbuf text;

	(void)unused;
	sbuf_init(&text, 4096);
	assert_int_equal(policy_json(b.p, &text), 0);
	assert_string_equal(text.s, wanted);
	assert_int_equal(policy_file_parse(text.s, text.len, &f, NULL), 0);
	again = with(f.mode, (const char *const *)f.allow, f.budgets,
		     f.nbudgets);
	assert_true(policy_equal(b.p, again.p));
	policy_file_done(&f);
	sbuf_done(&text);
	built_done(&b);
	built_done(&again);
}

static void is_explained(void **unused)
{
	static const struct policy_budget b = { "a.test", { 2048, 5 } };
	struct policy_question q = { .ask = POLICY_ASK_LOOKUP,
				     .name = "a.test" };
	struct built built = with(POLICY_ALLOWLIST, LIST("a.test"), &b, 1);
	struct policy_verdict v = policy_decide(built.p, &q);
	char hint[LIMIT_RULE_TEXT];
	struct sbuf text;

	(void)unused;
	sbuf_init(&text, 4096);
	policy_explain(built.p, &q, &v, &text, hint);
	assert_string_equal(text.s, "allowed by allow rule \"a.test\"; with "
				    "a.test: at most 2K up, 5 down");
	sbuf_done(&text);
	built_done(&built);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_as_a_deny_rule),
		cmocka_unit_test(the_lower_one_holds),
		cmocka_unit_test(presets_have_one_a_rule),
		cmocka_unit_test(refuses),
		cmocka_unit_test(belongs_to_the_list),
		cmocka_unit_test(prints_and_reads),
		cmocka_unit_test(is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
