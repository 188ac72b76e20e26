/* policy_decide.c - verdicts, hints and words, row by row
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/policy_build.h"

/*
 * One question and its verdict. `addr` NULL: a lookup. `rule`: text of the
 * deciding rule, "" for none.
 */
struct row {
	const char *name, *addr;
	enum rule_proto proto;
	uint16_t port;
	bool allow;
	enum policy_reason reason;
	const char *rule;
	const char *hint;
};

static struct policy_question question(const struct row *r)
{
	struct policy_question q = {
		.ask = r->addr ? POLICY_ASK_CONNECT : POLICY_ASK_LOOKUP,
		.name = r->name,
		.learnt = r->name ? POLICY_NAME_SNI : POLICY_NAME_NONE,
		.proto = r->proto,
		.port = r->port,
	};
	const char *text = r->addr;

	if (text && strcmp(text, "proxy") == 0)
		q.learnt = POLICY_NAME_PROXY;
	else if (text)
		assert_true(addr_parse(&text, &q.addr));
	return q;
}

static void check(const char *what, struct built *b, const struct row *rows,
		  size_t n)
{
	unsigned wrong = 0;

	assert_non_null(b->p);
	for (size_t i = 0; i < n; i++) {
		struct policy_question q = question(&rows[i]);
		struct policy_verdict v = policy_decide(b->p, &q);
		struct policy_verdict w = policy_decide_naive(b->p, &q);
		const char *rule = v.rule == POLICY_NO_RULE ?
					   "" :
					   policy_rule_text(b->p, v.rule);
		char hint[LIMIT_RULE_TEXT];
		struct sbuf text;

		sbuf_init(&text, 4096);
		policy_explain(b->p, &q, &v, &text, hint);
		assert_false(text.bad);
		assert_true(text.len > 0);
		if (v.allow != rows[i].allow || v.reason != rows[i].reason ||
		    v.reason != w.reason || v.allow != w.allow ||
		    strcmp(rule, rows[i].rule) != 0 ||
		    strcmp(hint, rows[i].hint) != 0) {
			print_error("%s row %zu: %d %s rule \"%s\" hint "
				    "\"%s\" (%s; naive %s)\n",
				    what, i, v.allow,
				    policy_reason_name(v.reason), rule, hint,
				    text.s, policy_reason_name(w.reason));
			wrong++;
		}
		sbuf_done(&text);
	}
	built_done(b);
	assert_int_equal(wrong, 0);
}

#define CHECK(b, rows) check(__func__, b, rows, sizeof(rows) / sizeof(rows[0]))

#define LOOKUP(name) name, NULL, 0, 0
#define TCP(name, addr, port) name, addr, RULE_TCP, port
#define UDP(name, addr, port) name, addr, RULE_UDP, port
#define YES true, POLICY_R_RULE
#define NO(reason) false, POLICY_R_##reason

/* One list for the next two. */
static struct built build_list(void)
{
	return build(POLICY_ALLOWLIST,
		     LIST("allowed.test", "*.wild.test", "git.test:22",
			  "dns.test:53", "udp/game.test:5000-5100",
			  "intra.test+private", "203.0.113.0/24:8000-9000",
			  "10.1.0.0/16", "0.0.0.0/0:7"),
		     LIST("x.wild.test", "203.0.113.66",
			  "tcp/allowed.test:80"));
}

static void allowlist_by_name(void **unused)
{
	struct built b = build_list();
	static const struct row rows[] = {
		{ LOOKUP("allowed.test"), YES, "allowed.test", "" },
		{ LOOKUP("evil.test"), NO(DEFAULT), "", "evil.test" },
		{ LOOKUP("evilallowed.test"), NO(DEFAULT), "",
		  "evilallowed.test" },
		{ LOOKUP("allowed.test.evil.test"), NO(DEFAULT), "",
		  "allowed.test.evil.test" },
		{ LOOKUP("wild.test"), NO(DEFAULT), "", "wild.test" },
		{ LOOKUP("a.b.wild.test"), YES, "*.wild.test", "" },
		{ LOOKUP("x.wild.test"), NO(DENY_RULE), "x.wild.test", "" },
		{ LOOKUP("y.x.wild.test"), YES, "*.wild.test", "" },
		{ LOOKUP("ALLOWED.test"), NO(MALFORMED), "", "" },
		{ LOOKUP("allowed.test."), NO(MALFORMED), "", "" },
		{ LOOKUP(""), NO(MALFORMED), "", "" },
		{ LOOKUP(NULL), NO(MALFORMED), "", "" },
		{ LOOKUP("metadata.google.internal"), NO(GUARD), "", "" },
		/* by name */
		{ TCP("allowed.test", "198.51.100.1", 443), YES, "allowed.test",
		  "" },
		{ TCP("allowed.test", "198.51.100.1", 22), NO(DEFAULT), "",
		  "allowed.test:22" },
		{ TCP("allowed.test", "198.51.100.1", 80), NO(DENY_RULE),
		  "tcp/allowed.test:80", "" },
		{ UDP("allowed.test", "198.51.100.1", 443), NO(DEFAULT), "",
		  "udp/198.51.100.1:443" },
		{ UDP("allowed.test", "198.51.100.1", 53), NO(DEFAULT), "",
		  "udp/allowed.test:53" },
		{ UDP("game.test", "198.51.100.1", 5050), YES,
		  "udp/game.test:5000-5100", "" },
		{ TCP("game.test", "198.51.100.1", 5050), NO(DEFAULT), "",
		  "game.test:5050" },
		{ TCP("git.test", "198.51.100.1", 22), YES, "git.test:22", "" },
		{ TCP("x.wild.test", "198.51.100.1", 443), NO(DENY_RULE),
		  "x.wild.test", "" },
		/* a name does not open what is shut */
		{ TCP("allowed.test", "10.0.0.1", 443), NO(PRIVATE), "",
		  "allowed.test+private" },
		{ TCP("git.test", "fd00::1", 22), NO(PRIVATE), "",
		  "git.test:22+private" },
		{ TCP("intra.test", "10.0.0.1", 443), YES, "intra.test+private",
		  "" },
		{ TCP("intra.test", "169.254.169.254", 80), NO(GUARD), "", "" },
		{ TCP("allowed.test", "127.0.0.1", 443), NO(GUARD), "", "" },
		{ TCP("allowed.test", "203.0.113.66", 443), NO(DENY_RULE),
		  "203.0.113.66", "" },
		{ TCP("evil.test", "10.0.0.1", 443), NO(DEFAULT), "",
		  "evil.test+private" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void allowlist_by_address(void **unused)
{
	struct built b = build_list();
	static const struct row rows[] = {
		{ TCP(NULL, "203.0.113.9", 8080), YES,
		  "203.0.113.0/24:8000-9000", "" },
		{ TCP("evil.test", "203.0.113.9", 8080), YES,
		  "203.0.113.0/24:8000-9000", "" },
		{ TCP("x.wild.test", "203.0.113.9", 8080), NO(DENY_RULE),
		  "x.wild.test", "" },
		{ TCP(NULL, "203.0.113.66", 8080), NO(DENY_RULE),
		  "203.0.113.66", "" },
		{ TCP(NULL, "203.0.113.9", 443), NO(NO_NAME), "",
		  "203.0.113.9:443" },
		{ TCP(NULL, "203.0.113.9", 79), NO(DEFAULT), "",
		  "203.0.113.9:79" },
		{ TCP(NULL, "2001:db8::1", 79), NO(DEFAULT), "",
		  "[2001:db8::1]:79" },
		{ UDP(NULL, "198.51.100.7", 9999), NO(DEFAULT), "",
		  "udp/198.51.100.7:9999" },
		{ TCP(NULL, "10.1.2.3", 5432), YES, "10.1.0.0/16", "" },
		{ TCP(NULL, "10.2.2.3", 5432), NO(DEFAULT), "",
		  "10.2.2.3:5432" },
		{ TCP(NULL, "10.2.2.3", 7), NO(PRIVATE), "", "10.2.2.3:7" },
		{ TCP(NULL, "198.51.100.7", 7), YES, "0.0.0.0/0:7", "" },
		{ TCP(NULL, "2001:db8::1", 7), NO(DEFAULT), "",
		  "[2001:db8::1]:7" },
		{ TCP(NULL, "169.254.169.254", 7), NO(GUARD), "", "" },
		{ TCP(NULL, "127.0.0.1", 7), NO(GUARD), "", "" },
		{ TCP(NULL, "192.0.0.5", 53), NO(GUARD), "", "" },
		/* a denied address in another form */
		{ TCP(NULL, "64:ff9b::cb00:7142", 8080), NO(DENY_RULE),
		  "203.0.113.66", "" },
		{ TCP(NULL, "2002:cb00:7142::1", 8080), NO(DENY_RULE),
		  "203.0.113.66", "" },
		/* an explicit proxy */
		{ TCP("allowed.test", "proxy", 443), YES, "allowed.test", "" },
		{ TCP("evil.test", "proxy", 443), NO(DEFAULT), "",
		  "evil.test" },
		{ TCP("host.exeat.internal", "proxy", 5432), NO(DEFAULT), "",
		  "host.exeat.internal:5432" },
		/* the host has no rule */
		{ LOOKUP("host.exeat.internal"), NO(DEFAULT), "", "" },
		{ TCP(NULL, "192.0.0.6", 5432), NO(DEFAULT), "",
		  "host.exeat.internal:5432" },
		{ TCP(NULL, "203.0.113.9", 0), NO(MALFORMED), "", "" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void host_alias(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("host.docker.internal:5432",
			   "udp/host.exeat.internal:53", "*:5555+wide"),
		      LIST("tcp/host.exeat.internal:53"));
	static const struct row rows[] = {
		{ LOOKUP("host.exeat.internal"), YES,
		  "host.exeat.internal:5432", "" },
		{ LOOKUP("host.docker.internal"), YES,
		  "host.exeat.internal:5432", "" },
		{ TCP(NULL, "192.0.0.6", 5432), YES, "host.exeat.internal:5432",
		  "" },
		{ TCP("evil.test", "192.0.0.6", 5432), YES,
		  "host.exeat.internal:5432", "" },
		{ TCP(NULL, "fd5a:8f3c:e7a1::6", 5432), YES,
		  "host.exeat.internal:5432", "" },
		{ TCP("host.docker.internal", "proxy", 5432), YES,
		  "host.exeat.internal:5432", "" },
		{ UDP(NULL, "192.0.0.6", 53), YES, "udp/host.exeat.internal:53",
		  "" },
		{ TCP(NULL, "192.0.0.6", 53), NO(DENY_RULE),
		  "tcp/host.exeat.internal:53", "" },
		{ TCP(NULL, "192.0.0.6", 22), NO(DEFAULT), "",
		  "host.exeat.internal:22" },
		/* a wildcard is not the host, and its name is not elsewhere */
		{ TCP(NULL, "192.0.0.6", 5555), NO(DEFAULT), "",
		  "host.exeat.internal:5555" },
		{ TCP("host.exeat.internal", "198.51.100.1", 5555), NO(DEFAULT),
		  "", "198.51.100.1:5555" },
		{ TCP("a.test", "198.51.100.1", 5555), YES, "*:5555+wide", "" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void host_alias_denied(void **unused)
{
	static const struct {
		const char *deny, *canonical;
	} denies[] = {
		{ "host.docker.internal", "host.exeat.internal" },
		{ "*", "*" },
		{ "*.internal", "*.internal" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "192.0.0.6", "192.0.0.6" },
		{ "host.docker.*", "host.docker.*" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(denies) / sizeof(denies[0]); i++) {
		struct built b = build(POLICY_ALLOWLIST,
				       LIST("host.exeat.internal:5432"),
				       LIST(denies[i].deny));
		const struct row rows[] = {
			{ TCP(NULL, "192.0.0.6", 5432), NO(DENY_RULE),
			  denies[i].canonical, "" },
		};

		CHECK(&b, rows);
	}
}

static void open_mode(void **unused)
{
	struct built b = build(POLICY_OPEN,
			       LIST("db.test:5432+private", "10.1.0.0/16:22",
				    "host.exeat.internal:80"),
			       LIST("evil.test", "*.evil.test",
				    "198.51.100.0/24", "[2001:db8::/32]:25"));
	static const struct row rows[] = {
		{ LOOKUP("any.test"), true, POLICY_R_OPEN, "", "" },
		{ LOOKUP("evil.test"), NO(DENY_RULE), "evil.test", "" },
		{ LOOKUP("a.b.evil.test"), NO(DENY_RULE), "*.evil.test", "" },
		{ LOOKUP("metadata"), NO(GUARD), "", "" },
		{ TCP(NULL, "203.0.113.9", 443), true, POLICY_R_OPEN, "", "" },
		{ UDP(NULL, "203.0.113.9", 443), true, POLICY_R_OPEN, "", "" },
		{ TCP("evil.test", "203.0.113.9", 443), NO(DENY_RULE),
		  "evil.test", "" },
		{ TCP(NULL, "198.51.100.9", 443), NO(DENY_RULE),
		  "198.51.100.0/24", "" },
		{ TCP(NULL, "64:ff9b::c633:6409", 443), NO(DENY_RULE),
		  "198.51.100.0/24", "" },
		{ TCP(NULL, "64:ff9b::cb00:7109", 443), true, POLICY_R_OPEN, "",
		  "" },
		{ TCP(NULL, "2001:db8::1", 25), NO(DENY_RULE),
		  "[2001:db8::/32]:25", "" },
		{ TCP(NULL, "2001:db8::1", 26), true, POLICY_R_OPEN, "", "" },
		{ TCP(NULL, "169.254.169.254", 80), NO(GUARD), "", "" },
		{ TCP(NULL, "::ffff:169.254.169.254", 80), NO(GUARD), "", "" },
		{ TCP(NULL, "64:ff9b::a9fe:a9fe", 80), NO(GUARD), "", "" },
		{ TCP(NULL, "2001:0:1::1", 80), NO(GUARD), "", "" },
		{ TCP(NULL, "10.0.0.1", 443), NO(PRIVATE), "", "10.0.0.1:443" },
		{ TCP("a.test", "10.0.0.1", 443), NO(PRIVATE), "",
		  "a.test+private" },
		{ TCP(NULL, "64:ff9b::a00:1", 443), NO(PRIVATE), "",
		  "[64:ff9b::a00:1]:443" },
		{ TCP(NULL, "10.1.0.1", 22), YES, "10.1.0.0/16:22", "" },
		{ TCP(NULL, "10.1.0.1", 23), NO(PRIVATE), "", "10.1.0.1:23" },
		{ TCP("db.test", "10.0.0.1", 5432), YES, "db.test:5432+private",
		  "" },
		{ TCP("db.test", "203.0.113.9", 5432), YES,
		  "db.test:5432+private", "" },
		{ TCP(NULL, "10.0.0.1", 5432), NO(PRIVATE), "",
		  "10.0.0.1:5432" },
		{ TCP(NULL, "192.0.0.6", 80), YES, "host.exeat.internal:80",
		  "" },
		{ TCP(NULL, "192.0.0.6", 81), NO(DEFAULT), "",
		  "host.exeat.internal:81" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void open_with_names(void **unused)
{
	struct policy_spec spec = { .mode = POLICY_OPEN,
				    .require_names = true };
	struct built b =
		build_spec(&spec, LIST("10.1.0.0/16:22"), LIST("evil.test"));
	static const struct row rows[] = {
		{ LOOKUP("any.test"), true, POLICY_R_OPEN, "", "" },
		{ TCP("any.test", "203.0.113.9", 443), true, POLICY_R_OPEN, "",
		  "" },
		{ TCP(NULL, "203.0.113.9", 443), NO(NO_NAME), "", "" },
		{ TCP("evil.test", "203.0.113.9", 443), NO(DENY_RULE),
		  "evil.test", "" },
		{ UDP("any.test", "203.0.113.9", 443), NO(PROTOCOL), "", "" },
		{ UDP("any.test", "203.0.113.9", 53), true, POLICY_R_OPEN, "",
		  "" },
		{ TCP(NULL, "10.1.0.1", 22), YES, "10.1.0.0/16:22", "" },
		{ TCP("host.exeat.internal", "203.0.113.9", 443), NO(NO_NAME),
		  "", "" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void blocked(void **unused)
{
	struct built b = build(POLICY_BLOCKED, NULL, LIST("evil.test"));
	static const struct row rows[] = {
		{ LOOKUP("a.test"), NO(BLOCKED), "", "a.test" },
		{ LOOKUP("evil.test"), NO(DENY_RULE), "evil.test", "" },
		{ TCP("a.test", "203.0.113.9", 22), NO(BLOCKED), "",
		  "a.test:22" },
		{ TCP(NULL, "203.0.113.9", 22), NO(BLOCKED), "",
		  "203.0.113.9:22" },
		{ TCP(NULL, "10.0.0.1", 22), NO(BLOCKED), "", "10.0.0.1:22" },
		{ TCP(NULL, "169.254.169.254", 80), NO(GUARD), "", "" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void empty_list_allows_nothing(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST, NULL, NULL);
	static const struct row rows[] = {
		{ LOOKUP("a.test"), NO(DEFAULT), "", "a.test" },
		{ TCP(NULL, "203.0.113.9", 443), NO(DEFAULT), "",
		  "203.0.113.9:443" },
		{ UDP("a.test", "203.0.113.9", 53), NO(DEFAULT), "",
		  "udp/a.test:53" },
	};

	(void)unused;
	CHECK(&b, rows);
}

/* Every name denied, yet an address rule is not a name. */
static void deny_every_name(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST, LIST("a.test", "203.0.113.9"),
			       LIST("*"));
	static const struct row rows[] = {
		{ LOOKUP("a.test"), NO(DENY_RULE), "*", "" },
		{ TCP("a.test", "203.0.113.9", 443), NO(DENY_RULE), "*", "" },
		{ TCP(NULL, "203.0.113.9", 443), YES, "203.0.113.9", "" },
	};

	(void)unused;
	CHECK(&b, rows);
}

static void says_how_to_go_on(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("a.test", "b.test+private", "203.0.113.9"),
			       NULL);
	struct policy_question q = { .ask = POLICY_ASK_CONNECT,
				     .name = "a.test",
				     .proto = RULE_TCP,
				     .port = 443 };
	struct policy_verdict v;
	const char *text = "203.0.113.9";

	(void)unused;
	assert_true(addr_parse(&text, &q.addr));
	v = policy_decide(b.p, &q);
	assert_true(v.allow && v.by_address && !v.private_ok);
	q.addr = addr_from_v4(0xcb00710au);
	v = policy_decide(b.p, &q);
	assert_true(v.allow && !v.by_address);
	q.name = "b.test";
	v = policy_decide(b.p, &q);
	assert_true(v.allow && v.private_ok);
	q.name = "c.test";
	v = policy_decide(b.p, &q);
	assert_false(v.allow || v.by_address || v.private_ok || v.host_alias);
	built_done(&b);
}

static bool vet(const struct built *b, const char *name, const char *text,
		enum policy_reason *reason, uint32_t *rule)
{
	struct addr a;

	assert_true(addr_parse(&text, &a));
	return policy_vet_answer(b->p, name, &a, reason, rule);
}

static void vets_answers(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("a.test", "p.test+private", "10.1.0.0/16"),
		      LIST("203.0.113.66", "203.0.113.67:22", "10.1.1.1"));
	static const struct {
		const char *name, *addr;
		bool ok;
		enum policy_reason reason;
	} rows[] = {
		{ "a.test", "203.0.113.9", true, 0 },
		{ "a.test", "203.0.113.66", false, POLICY_R_DENY_RULE },
		{ "a.test", "64:ff9b::cb00:7142", false, POLICY_R_DENY_RULE },
		{ "a.test", "203.0.113.67", true, 0 },
		{ "a.test", "10.0.0.1", false, POLICY_R_PRIVATE },
		{ "a.test", "10.1.0.1", true, 0 },
		{ "a.test", "10.1.1.1", false, POLICY_R_DENY_RULE },
		{ "p.test", "10.0.0.1", true, 0 },
		{ "p.test", "fd00::1", true, 0 },
		{ "p.test", "127.0.0.1", false, POLICY_R_GUARD },
		{ "p.test", "169.254.169.254", false, POLICY_R_GUARD },
		{ "p.test", "192.0.0.5", false, POLICY_R_GUARD },
		{ "p.test", "192.0.0.6", false, POLICY_R_GUARD },
		{ "a.test", "64:ff9b::a00:1", false, POLICY_R_PRIVATE },
		{ "A.test", "203.0.113.9", false, POLICY_R_MALFORMED },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum policy_reason reason;
		uint32_t rule;
		bool ok = vet(&b, rows[i].name, rows[i].addr, &reason, &rule);

		if (ok != rows[i].ok || (!ok && reason != rows[i].reason))
			fail_msg("%s %s: %d %s", rows[i].name, rows[i].addr, ok,
				 policy_reason_name(reason));
		if (!ok && reason == POLICY_R_DENY_RULE)
			assert_true(rule < policy_nrules(b.p));
	}
	built_done(&b);
}

static void denies_names_of_a_chain(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST, LIST("a.test"),
			       LIST("evil.test", "port.test:80"));
	uint32_t rule;

	(void)unused;
	assert_false(policy_name_denied(b.p, "cdn.test", &rule));
	assert_false(policy_name_denied(b.p, "port.test", &rule));
	assert_true(policy_name_denied(b.p, "evil.test", &rule));
	assert_string_equal(policy_rule_text(b.p, rule), "evil.test");
	assert_true(policy_name_denied(b.p, "metadata", &rule));
	assert_int_equal(rule, POLICY_NO_RULE);
	assert_true(policy_name_denied(b.p, "EVIL.test", &rule));
	built_done(&b);
}

static enum policy_carry carry(const struct built *b, const char *text,
			       enum rule_proto proto, uint16_t port)
{
	struct addr a;

	assert_true(addr_parse(&text, &a));
	return policy_carry(b->p, &a, proto, port);
}

static void what_ports_carry(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST,
		      LIST("a.test:*", "udp/a.test:53", "203.0.113.9:443",
			   "host.exeat.internal:80"),
		      LIST("198.51.100.66"));
	struct policy_spec strict = { .mode = POLICY_OPEN,
				      .require_names = true };

	(void)unused;
	assert_int_equal(carry(&b, "198.51.100.1", RULE_TCP, 443),
			 POLICY_CARRY_TLS);
	assert_int_equal(carry(&b, "198.51.100.1", RULE_TCP, 80),
			 POLICY_CARRY_HTTP);
	assert_int_equal(carry(&b, "198.51.100.1", RULE_TCP, 22),
			 POLICY_CARRY_PINNED);
	assert_int_equal(carry(&b, "198.51.100.1", RULE_UDP, 53),
			 POLICY_CARRY_PINNED);
	assert_int_equal(carry(&b, "198.51.100.1", RULE_UDP, 54),
			 POLICY_CARRY_NOTHING);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_TCP, 443),
			 POLICY_CARRY_ANY);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_UDP, 443),
			 POLICY_CARRY_ANY);
	assert_int_equal(carry(&b, "192.0.0.6", RULE_TCP, 80),
			 POLICY_CARRY_ANY);
	assert_int_equal(carry(&b, "198.51.100.66", RULE_TCP, 443),
			 POLICY_CARRY_NOTHING);
	assert_int_equal(carry(&b, "127.0.0.1", RULE_TCP, 443),
			 POLICY_CARRY_NOTHING);
	built_done(&b);

	b = build(POLICY_OPEN, LIST("db.test:5432+private"), NULL);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_TCP, 443),
			 POLICY_CARRY_ANY);
	assert_int_equal(carry(&b, "10.0.0.1", RULE_TCP, 443),
			 POLICY_CARRY_NOTHING);
	assert_int_equal(carry(&b, "10.0.0.1", RULE_TCP, 5432),
			 POLICY_CARRY_PINNED);
	built_done(&b);

	b = build_spec(&strict, NULL, NULL);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_TCP, 443),
			 POLICY_CARRY_TLS);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_UDP, 443),
			 POLICY_CARRY_NOTHING);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_UDP, 53),
			 POLICY_CARRY_PINNED);
	built_done(&b);

	b = build(POLICY_BLOCKED, NULL, NULL);
	assert_int_equal(carry(&b, "203.0.113.9", RULE_TCP, 443),
			 POLICY_CARRY_NOTHING);
	built_done(&b);
}

static void ports_of_names(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("a.w.test", "*.w.test:81-90", "a.w.test:22",
				    "udp/a.w.test:53", "b*.w.test:1000",
				    "203.0.113.9", "host.exeat.internal:80"),
			       LIST("x.w.test"));
	static const struct policy_port want[] = {
		{ RULE_TCP, { 22, 22 } },
		{ RULE_TCP, { 80, 90 } },
		{ RULE_TCP, { 443, 443 } },
		{ RULE_UDP, { 53, 53 } },
	};
	struct policy_port got[8];

	(void)unused;
	assert_non_null(b.p);
	assert_int_equal(policy_name_ports(b.p, "a.w.test", got, 8), 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(got[i].proto, want[i].proto);
		assert_int_equal(got[i].range.lo, want[i].range.lo);
		assert_int_equal(got[i].range.hi, want[i].range.hi);
	}
	assert_int_equal(policy_name_ports(b.p, "a.w.test", got, 3), 3);
	assert_int_equal(policy_name_ports(b.p, "bb.w.test", got, 8), 2);
	assert_int_equal(policy_name_ports(b.p, "w.test", got, 8), 0);
	assert_int_equal(policy_name_ports(b.p, "x.w.test", got, 8), 0);
	assert_int_equal(policy_name_ports(b.p, "host.exeat.internal", got, 8),
			 0);
	built_done(&b);
}

static void within(void **unused)
{
	enum { B = POLICY_BLOCKED, A = POLICY_ALLOWLIST, O = POLICY_OPEN };
	static const struct {
		int outer, inner;
		const char *bound, *rule, *outer_deny, *inner_deny;
		bool yes;
		uint32_t index;
	} rows[] = {
		{ A, B, NULL, NULL, NULL, NULL, true, 0 },
		{ B, B, NULL, NULL, NULL, NULL, true, 0 },
		{ B, A, NULL, NULL, NULL, NULL, false, POLICY_NO_RULE },
		{ A, O, NULL, NULL, NULL, NULL, false, POLICY_NO_RULE },
		{ A, A, "a.test", "a.test:443", NULL, NULL, true, 0 },
		{ A, A, "a.test", "b.test", NULL, NULL, false, 0 },
		{ A, A, "*.a.test", "x.y.a.test", NULL, NULL, true, 0 },
		{ A, A, "*.a.test", "*.y.a.test", NULL, NULL, true, 0 },
		{ A, A, "*.a.test", "q*.y.a.test", NULL, NULL, true, 0 },
		{ A, A, "q*.a.test", "qx*.a.test", NULL, NULL, true, 0 },
		{ A, A, "q*.a.test", "*.a.test", NULL, NULL, false, 0 },
		{ A, A, "*+wide", "a.test", NULL, NULL, true, 0 },
		{ A, A, "*+wide", "a.test+private", NULL, NULL, false, 0 },
		{ A, A, "10.0.0.0/8", "10.1.0.0/16:22", NULL, NULL, true, 0 },
		{ A, A, "0.0.0.0/0", "10.1.0.0/16", NULL, NULL, false, 0 },
		{ A, A, "0.0.0.0/0", "203.0.113.9", NULL, NULL, true, 0 },
		{ A, A, "203.0.113.9", "203.0.113.0/24", NULL, NULL, false, 0 },
		{ A, A, "host.exeat.internal:80-90", "host.exeat.internal:85",
		  NULL, NULL, true, 0 },
		{ A, A, "*:*+wide", "host.exeat.internal:85", NULL, NULL, false,
		  0 },
		{ O, A, NULL, "a.test", NULL, NULL, true, 0 },
		{ O, A, NULL, "a.test+private", NULL, NULL, false, 0 },
		{ O, A, NULL, "10.0.0.0/8", NULL, NULL, false, 0 },
		{ O, A, "10.0.0.0/8", "10.0.0.0/9", NULL, NULL, true, 0 },
		{ O, A, NULL, "host.exeat.internal:80", NULL, NULL, false, 0 },
		{ O, O, NULL, NULL, NULL, NULL, true, 0 },
		{ O, O, NULL, "10.0.0.1", NULL, NULL, false, 0 },
		{ O, O, NULL, NULL, "evil.test", NULL, false, POLICY_NO_RULE },
		{ O, O, NULL, NULL, "evil.test", "*", true, 0 },
		{ O, O, NULL, NULL, "evil.test", "evil.test:80", false,
		  POLICY_NO_RULE },
		{ O, O, NULL, NULL, "host.exeat.internal", "*.internal", true,
		  0 },
		{ O, B, NULL, NULL, "evil.test", NULL, true, 0 },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct built outer = build((enum policy_mode)rows[i].outer,
					   LIST(rows[i].bound),
					   LIST(rows[i].outer_deny));
		struct built inner = build((enum policy_mode)rows[i].inner,
					   LIST(rows[i].rule),
					   LIST(rows[i].inner_deny));
		uint32_t rule = 77;
		bool yes = policy_within(outer.p, inner.p, &rule);

		if (yes != rows[i].yes || (!yes && rule != rows[i].index))
			fail_msg("row %zu: %d rule %u", i, yes, rule);
		built_done(&outer);
		built_done(&inner);
	}
}

static void explains(void **unused)
{
	struct built b =
		build(POLICY_ALLOWLIST, LIST("a.test"), LIST("10.0.0.0/8"));
	static const struct {
		struct row row;
		const char *text;
	} rows[] = {
		{ { TCP("a.test", "203.0.113.9", 443), .hint = "" },
		  "allowed by allow rule \"a.test\"" },
		{ { TCP(NULL, "10.0.0.1", 443), .hint = "" },
		  "denied by deny rule \"10.0.0.0/8\"" },
		{ { TCP("b.test", "203.0.113.9", 22), .hint = "" },
		  "no rule allows it; would be allowed by: --allow b.test:22" },
		{ { TCP(NULL, "169.254.169.254", 80), .hint = "" },
		  "169.254.169.254 is cloud metadata, which no rule opens" },
		{ { LOOKUP("host.exeat.internal"), .hint = "" },
		  "no rule allows it; a service of the host needs a rule with "
		  "its port: --allow host.exeat.internal:PORT" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_question q = question(&rows[i].row);
		struct policy_verdict v = policy_decide(b.p, &q);
		char hint[LIMIT_RULE_TEXT];
		struct sbuf text;

		sbuf_init(&text, 4096);
		policy_explain(b.p, &q, &v, &text, hint);
		assert_string_equal(text.s, rows[i].text);
		sbuf_done(&text);
	}
	built_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowlist_by_name),
		cmocka_unit_test(allowlist_by_address),
		cmocka_unit_test(host_alias),
		cmocka_unit_test(host_alias_denied),
		cmocka_unit_test(open_mode),
		cmocka_unit_test(open_with_names),
		cmocka_unit_test(blocked),
		cmocka_unit_test(empty_list_allows_nothing),
		cmocka_unit_test(deny_every_name),
		cmocka_unit_test(says_how_to_go_on),
		cmocka_unit_test(vets_answers),
		cmocka_unit_test(denies_names_of_a_chain),
		cmocka_unit_test(what_ports_carry),
		cmocka_unit_test(ports_of_names),
		cmocka_unit_test(within),
		cmocka_unit_test(explains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
