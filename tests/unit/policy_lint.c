/* policy_lint.c - what is said of rules that open more than they seem to
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "policy/lint.h"
#include "policy/preset.h"
#include "tests/unit/policy_build.h"

struct said {
	const struct policy *p;
	struct sbuf text; /* "RULE: REASON\n" */
};

static void hear(void *user, const struct policy_warning *w)
{
	struct said *s = user;

	assert_true(w->advice[0]);
	sbuf_fmt(&s->text, "%s: %s\n", policy_rule_text(s->p, w->rule),
		 w->reason);
}

static struct said lint(const struct policy *p, int count)
{
	struct said s = { .p = p };

	sbuf_init(&s.text, 1 << 16);
	assert_int_equal(policy_lint(p, hear, &s), count);
	assert_false(s.text.bad);
	return s;
}

static void rules_one_by_one(void **unused)
{
	static const struct {
		const char *rule;
		const char *says; /* NULL: nothing */
	} rows[] = {
		{ "example.com", NULL },
		{ "*.example.com", NULL },
		{ "*.example.com:8000-9000", NULL },
		/* a tenant that is named, and the others */
		{ "mine.github.io", NULL },
		{ "*.github.io+wide", "anybody can have a site" },
		{ "mine.s3.amazonaws.com", NULL },
		{ "*.mine.s3.amazonaws.com", NULL },
		{ "*.s3.amazonaws.com+wide", "a bucket below it" },
		{ "s3.amazonaws.com", "signed URL" },
		{ "s3.eu-west-1.amazonaws.com", "signed URL" },
		{ "*.amazonaws.com", "a bucket below it" },
		{ "f*.github.io+wide", "anybody can register" },
		{ "d111.cloudfront.net", NULL },
		{ "*.cloudfront.net+wide", "this CDN" },
		{ "a.b.ngrok.io", "a tunnel" },
		{ "webhook.site", "shows to anybody" },
		{ "gist.github.com", "anybody can put a text" },
		{ "hooks.slack.com", "anybody's channel" },
		{ "o1.ingest.sentry.io", "telemetry" },
		{ "*.sentry.io", "telemetry" },
		{ "events.statsigapi.net", "telemetry" },
		{ "github.com", "a push there" },
		{ "github.com:22", "a push there" },
		{ "*.github.com", "anybody can put a text" },
		{ "tcp/GitLab.com.:22", "a push there" },
		{ "dns.google", "DNS over HTTPS" },
		/* what the rule itself says */
		{ "*+wide", "anybody can have a site" },
		{ "*.co.uk+wide", "belongs to many" },
		{ "*.duckdns.org+wide", "anybody can register" },
		{ "example.com:*", "all ports" },
		{ "10.0.0.0/16", NULL },
		{ "10.0.0.0/15", "wider than /16" },
		{ "0.0.0.0/0", "wider than /16" },
		{ "2001:db8::/32", NULL },
		{ "2001:db8::/31", "wider than /32" },
		{ "::/0", "wider than /32" },
		{ "host.exeat.internal:80", NULL },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct built b =
			build(POLICY_ALLOWLIST, LIST(rows[i].rule), NULL);
		struct said s;

		if (!b.p)
			fail_msg("%s: %s", rows[i].rule, b.err.message);
		s = lint(b.p, rows[i].says ? 1 : 0);
		if (rows[i].says && !strstr(s.text.s, rows[i].says))
			fail_msg("%s: %s", rows[i].rule, s.text.s);
		sbuf_done(&s.text);
		built_done(&b);
	}
}

static void all_that_is_said(void **unused)
{
	struct built b = build(POLICY_ALLOWLIST,
			       LIST("*.pages.dev:*+wide", "example.com"),
			       LIST("*.sentry.io", "0.0.0.0/0"));
	struct said s = lint(b.p, 2);

	(void)unused;
	assert_string_equal(s.text.s,
			    "*.pages.dev:*+wide: anybody can have a site "
			    "below it\n"
			    "*.pages.dev:*+wide: all ports\n");
	sbuf_done(&s.text);
	built_done(&b);
}

/* What is bounded is as the advice wants it. */
static void budgets_quiet(void **unused)
{
	static const struct policy_budget budgets[] = {
		{ "github.com:22", { 1 << 20, 0 } },
		{ "gist.github.com", { 0, 1 << 20 } },
	};
	struct policy_spec spec = { .mode = POLICY_ALLOWLIST,
				    .budgets = budgets,
				    .nbudgets = 2 };
	struct built b = build_spec(
		&spec, LIST("github.com:22", "gist.github.com", "gitlab.com"),
		NULL);
	struct said s = lint(b.p, 1);

	(void)unused;
	assert_non_null(strstr(s.text.s, "gitlab.com: "));
	sbuf_done(&s.text);
	built_done(&b);
}

/* The presets open what their services need; this is what that is. */
static void presets(void **unused)
{
	static const struct {
		const char *preset;
		const char *rules; /* that something is said of */
	} rows[] = {
		{ "github", "github.com github.com:22 api.github.com "
			    "codeload.github.com raw.githubusercontent.com "
			    "objects.githubusercontent.com "
			    "release-assets.githubusercontent.com " },
		{ "gitlab", "gitlab.com gitlab.com:22 " },
		{ "huggingface", "huggingface.co " },
	};

	(void)unused;
	for (const struct preset_builtin *p = preset_builtins; p->name; p++) {
		struct preset preset;
		struct built b;
		struct sbuf rules;
		struct said s;
		const char *want = "";

		assert_int_equal(preset_parse(p->json, strlen(p->json), &preset,
					      NULL),
				 0);
		b = build(preset.deny_only ? POLICY_OPEN : POLICY_ALLOWLIST,
			  preset.deny_only ? NULL :
					     (const char *const *)preset.rules,
			  NULL);
		s = (struct said){ .p = b.p };
		sbuf_init(&s.text, 1 << 16);
		sbuf_init(&rules, 1 << 16);
		sbuf_str(&rules, "");
		assert_true(policy_lint(b.p, hear, &s) >= 0);
		for (const char *at = s.text.s; at && *at;) {
			sbuf_add(&rules, at, strcspn(at, " ") - 1);
			sbuf_str(&rules, " ");
			at = strchr(at, '\n') + 1;
		}
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			if (strcmp(rows[i].preset, p->name) == 0)
				want = rows[i].rules;
		}
		if (strcmp(rules.s ? rules.s : "", want) != 0)
			fail_msg("@%s: %s", p->name, s.text.s);
		sbuf_done(&rules);
		sbuf_done(&s.text);
		built_done(&b);
		preset_done(&preset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_one_by_one),
		cmocka_unit_test(all_that_is_said),
		cmocka_unit_test(budgets_quiet),
		cmocka_unit_test(presets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
