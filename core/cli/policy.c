/* policy.c - exeat policy check, test, presets; exeat doctor
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/cli/options.h"
#include "core/include/exeat.h"

enum { YES = 0, NO = 1, USAGE = 2, UNKNOWN = 3 };

struct policy_options {
	const char *net, *policy;
	struct cli_list allow, allow_files, deny, deny_files;
	struct cli_list max_upload, max_download;
	bool require_names, strict;
};

#define AT(field) offsetof(struct policy_options, field)

const struct cli_option cli_policy_check_options[] = {
	{ 0, "strict", CLI_FLAG, AT(strict), NULL,
	  "exit 1 if there are warnings" },
	{ 0, "net", CLI_TEXT, AT(net), "blocked|allowlist|open",
	  "the mode; default blocked, or with --allow alone allowlist" },
	{ 0, "allow", CLI_LIST, AT(allow), "RULE",
	  "an allow rule; repeatable" },
	{ 0, "allow-file", CLI_LIST, AT(allow_files), "FILE",
	  "allow the rules of a file, one a line" },
	{ 0, "deny", CLI_LIST, AT(deny), "RULE", "a deny rule; repeatable" },
	{ 0, "deny-file", CLI_LIST, AT(deny_files), "FILE",
	  "refuse the rules of a file" },
	{ 0, "policy", CLI_TEXT, AT(policy), "FILE",
	  "a policy file (JSON) instead" },
	{ 0, "max-upload", CLI_LIST, AT(max_upload), "NAME=SIZE",
	  "a budget of bytes to NAME; repeatable" },
	{ 0, "max-download", CLI_LIST, AT(max_download), "NAME=SIZE",
	  "a budget of bytes from NAME; repeatable" },
	{ 0, "require-names", CLI_FLAG, AT(require_names), NULL,
	  "with open: refuse connections without a name" },
	{ .type = CLI_END },
};

static int fail(int status, const struct exeat_error *error)
{
	char text[1024];

	(void)fprintf(stderr, "exeat: %s\n",
		      exeat_error_text(error, text, sizeof(text)));
	return status;
}

/* Words of users' files and of arguments, as a terminal may have them. */
static void show(const char *text)
{
	char shown[2048];

	printf("%s", text_shown(text, shown, sizeof(shown)));
}

static void options_done(struct policy_options *o)
{
	cli_list_free(&o->allow);
	cli_list_free(&o->allow_files);
	cli_list_free(&o->deny);
	cli_list_free(&o->deny_files);
	cli_list_free(&o->max_upload);
	cli_list_free(&o->max_download);
}

/* 0 with a policy, or the exit status, already explained. */
static int policy_open(struct policy_options *o, const char *file,
		       struct exeat_policy **ret)
{
	struct exeat_policy_options p = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_error error = { 0 };
	struct err err;
	int r = 0;

	err_clear(&err);
	for (size_t i = 0; r == 0 && i < o->allow_files.n; i++)
		r = cli_list_file(&o->allow, "--allow-file",
				  o->allow_files.texts[i], &err);
	for (size_t i = 0; r == 0 && i < o->deny_files.n; i++)
		r = cli_list_file(&o->deny, "--deny-file",
				  o->deny_files.texts[i], &err);
	if (r == 0 && file)
		r = cli_read_file("policy", file, &p.network_policy, &err);
	if (r < 0)
		return cli_fail(UNKNOWN, &err);
	p.network_mode = o->net;
	p.network_allowlist = o->allow.texts;
	p.network_denylist = o->deny.texts;
	p.require_names = o->require_names;
	p.max_upload = o->max_upload.texts;
	p.max_download = o->max_download.texts;
	r = exeat_policy_new(&p, ret, &error);
	return r < 0 ? fail(NO, &error) : 0;
}

static void warning_print(void *user, const struct exeat_policy_warning *w)
{
	char rule[1024];

	(void)user;
	(void)fprintf(stderr, "exeat: warning: %s%s%s: %s; %s\n",
		      text_shown(w->rule, rule, sizeof(rule)),
		      *w->origin == '@' ? " of " : "",
		      *w->origin == '@' ? w->origin : "", w->reason, w->advice);
}

/* The policy on stdout, what is to be said about it on stderr. */
static int policy_print(const struct exeat_policy *policy, bool strict)
{
	struct exeat_error error = { 0 };
	char *text = exeat_policy_json(policy);
	int n;

	if (!text) {
		(void)fputs("exeat: policy: out of memory\n", stderr);
		return UNKNOWN;
	}
	printf("%s\n", text);
	free(text);
	n = exeat_policy_warnings(policy, warning_print, NULL, &error);
	if (n < 0)
		return fail(UNKNOWN, &error);
	return n > 0 && strict ? NO : YES;
}

int cli_policy_check(const struct cli_command *c, int argc, char *argv[])
{
	struct policy_options o = { 0 };
	struct exeat_policy *policy = NULL;
	struct err err;
	const char *file;
	int status, at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &o, &err);
	if (at < 0)
		return cli_fail(USAGE, &err);
	if (argc - at > 1 || (argc - at == 1 && o.policy)) {
		cli_help(c);
		return USAGE;
	}
	file = argc > at ? argv[at] : o.policy;
	status = policy_open(&o, file, &policy);
	if (status == YES)
		status = policy_print(policy, o.strict);
	exeat_policy_free(policy);
	options_done(&o);
	return status;
}

static int test_one(const struct exeat_policy *policy, const char *target)
{
	struct exeat_policy_answer answer;
	struct exeat_error error = { 0 };

	if (exeat_policy_test(policy, target, &answer, &error) < 0)
		return fail(UNKNOWN, &error);
	printf("%s ", answer.allow ? "allow" : "deny");
	show(target);
	printf(": ");
	show(answer.text);
	printf("\n");
	return answer.allow ? YES : NO;
}

int cli_policy_test(const struct cli_command *c, int argc, char *argv[])
{
	struct policy_options o = { 0 };
	struct exeat_policy *policy = NULL;
	struct err err;
	int status, at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &o, &err);
	if (at < 0)
		return cli_fail(USAGE, &err);
	if (at >= argc) {
		cli_help(c);
		return USAGE;
	}
	status = policy_open(&o, o.policy, &policy);
	if (status == NO)
		status = UNKNOWN;
	for (; policy && at < argc; at++) {
		int one = test_one(policy, argv[at]);

		if (one > status)
			status = one;
	}
	exeat_policy_free(policy);
	options_done(&o);
	return status;
}

static void preset_print(void *user, const struct exeat_preset_info *info)
{
	int *status = user;

	printf("@%s  %s%s\n", info->name, info->title,
	       info->deny_only ? " (deny lists only)" : "");
	for (size_t i = 0; info->rules && info->rules[i]; i++)
		printf("    %s\n", info->rules[i]);
	for (size_t i = 0; info->env && info->env[i]; i++) {
		printf("    hands in ");
		show(info->env[i]);
		printf("\n");
	}
	if (info->error) {
		printf("    not here: ");
		show(info->error);
		printf("\n");
		*status = NO;
	}
}

int cli_policy_presets(const struct cli_command *c, int argc, char *argv[])
{
	struct exeat_error error = { 0 };
	struct err err;
	int status = YES, unused, at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &unused, &err);
	if (at < 0)
		return cli_fail(USAGE, &err);
	if (argc - at > 1) {
		cli_help(c);
		return USAGE;
	}
	if (exeat_presets(argc > at ? argv[at] : NULL, preset_print, &status,
			  &error) < 0)
		return fail(NO, &error);
	/* in the list of all, one whose tool is missing is no failure */
	return argc > at ? status : YES;
}

static void check_print(void *user, const struct exeat_check *check)
{
	static const char *const states[] = {
		[EXEAT_CHECK_OK] = "ok",
		[EXEAT_CHECK_WARN] = "warning",
		[EXEAT_CHECK_MISSING] = "MISSING",
	};

	(void)user;
	printf("%-8s %s: ", states[check->state], check->name);
	show(check->detail);
	printf("\n");
	if (*check->remedy) {
		printf("         -> ");
		show(check->remedy);
		printf("\n");
	}
}

int cli_doctor(const struct cli_command *c, int argc, char *argv[])
{
	struct err err;
	int unused, at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &unused, &err);
	if (at < 0)
		return cli_fail(USAGE, &err);
	if (at < argc) {
		cli_help(c);
		return USAGE;
	}
	return exeat_doctor(check_print, NULL) == 0 ? YES : NO;
}
