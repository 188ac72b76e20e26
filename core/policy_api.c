/* policy_api.c - policy as a tool: compile, print, ask, list presets
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/budgets.h"
#include "core/error.h"
#include "core/include/exeat.h"
#include "core/options.h"
#include "core/preset.h"
#include "core/upproxy.h"
#include "policy/file.h"
#include "policy/guard.h"
#include "policy/lint.h"
#include "policy/policy.h"
#include "policy/preset.h"
#include "policy/rule.h"

struct exeat_policy {
	void *image;
	struct policy *view;
	struct upproxy proxy; /* without credentials */
	struct upproxy_direct direct;
};

enum { JSON_MAX = 256 << 20 };

/* ---- compile ---- */

/* Where the lists come from: the options, or the file's text. */
struct source {
	bool has_mode, has_allow;
	enum policy_mode mode;
	const char *const *allow, *const *deny;
	bool require_names;
	enum policy_dns_refusal dns_refusal;
	struct policy_file file;
	struct budgets budgets;
};

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int from_file(const struct exeat_policy_options *o, struct source *ret,
		     struct err *err)
{
	struct policy_file *f = &ret->file;
	int r;

	if (o->network_mode || o->network_allowlist || o->network_denylist)
		return err_new(
			err, ERR_INVALID, "network_policy", NULL,
			"stands instead of mode and lists, not beside them");
	r = policy_file_parse(o->network_policy, strlen(o->network_policy), f,
			      err);
	if (r < 0)
		return r;
	ret->has_mode = f->has_mode;
	ret->mode = f->mode;
	ret->has_allow = f->has_allow;
	ret->allow = (const char *const *)f->allow;
	ret->deny = (const char *const *)f->deny;
	ret->require_names = f->require_names;
	ret->dns_refusal = f->dns_refusal;
	if (budgets_add(&ret->budgets, f->budgets, f->nbudgets) < 0)
		return err_sys(err, ENOMEM, "copy", "budgets");
	return 0;
}

static int from_options(const struct exeat_policy_options *o,
			struct source *ret, struct err *err)
{
	if (o->network_mode && !policy_mode_parse(o->network_mode, &ret->mode))
		return err_new(err, ERR_INVALID, "network_mode",
			       o->network_mode,
			       "must be blocked, allowlist or open");
	ret->has_mode = o->network_mode;
	ret->has_allow = o->network_allowlist;
	ret->allow = o->network_allowlist;
	ret->deny = o->network_denylist;
	ret->require_names = o->require_names;
	return 0;
}

static int compile(const struct source *s, struct exeat_policy *ret,
		   struct err *err)
{
	struct preset_set presets = { 0 };
	struct policy_spec spec = {
		.mode = s->has_mode  ? s->mode :
			s->has_allow ? POLICY_ALLOWLIST :
				       POLICY_BLOCKED,
		.allow = s->allow,
		.nallow = count(s->allow),
		.deny = s->deny,
		.ndeny = count(s->deny),
		.require_names = s->require_names,
		.dns_refusal = s->dns_refusal,
		.budgets = s->budgets.all,
		.nbudgets = s->budgets.n,
	};
	size_t len;
	int r;

	/* an empty list with `blocked` is a list with `blocked` all the same */
	if (spec.mode == POLICY_BLOCKED && s->has_allow)
		return err_new(
			err, ERR_INVALID, "network_allowlist", NULL,
			"an allow-list has no meaning with mode blocked");
	r = preset_set_make(s->allow, s->deny, false, &presets, err);
	if (r < 0)
		return r;
	spec.presets = presets.presets;
	spec.npresets = presets.npresets;
	r = policy_compile(&spec, &ret->image, &len, err);
	preset_set_done(&presets);
	if (r < 0)
		return r;
	r = policy_new(ret->image, len, &ret->view);
	if (r < 0)
		return err_sys(err, -r, "open compiled policy", NULL);
	return budgets_check(&s->budgets, ret->view, err);
}

/* What a session would do beside deciding. */
static int take_upstream(struct policy_file *f, struct exeat_policy *ret,
			 struct err *err)
{
	upproxy_wipe(&f->upstream);
	ret->proxy = f->upstream;
	if (f->ndirect == 0)
		return 0;
	return upproxy_direct_compile(NULL, (const char *const *)f->direct,
				      f->ndirect, &ret->direct, err);
}

int exeat_policy_new(const struct exeat_policy_options *options,
		     struct exeat_policy **ret, struct exeat_error *error)
{
	struct exeat_policy *p;
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct source source = { 0 };
	struct err err = { 0 };
	int r = error_needs(error, "policy", ERROR_ARGS({ "ret", ret }));

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p) {
		r = err_sys(&err, ENOMEM, "compile policy", NULL);
		exeat_error_from(error, &err);
		return r;
	}
	r = options_from_caller(&o, sizeof(o), options, "policy", &err);
	if (r == 0)
		r = o.network_policy ? from_file(&o, &source, &err) :
				       from_options(&o, &source, &err);
	if (r == 0)
		r = budgets_add_options(&source.budgets, o.max_upload,
					o.max_download, &err);
	if (r == 0)
		r = compile(&source, p, &err);
	if (r == 0)
		r = take_upstream(&source.file, p, &err);
	policy_file_done(&source.file);
	budgets_free(&source.budgets);
	if (r < 0) {
		exeat_policy_free(p);
		exeat_error_from(error, &err);
		return r;
	}
	*ret = p;
	return 0;
}

void exeat_policy_free(struct exeat_policy *policy)
{
	if (!policy)
		return;
	policy_free(policy->view);
	free(policy->image);
	upproxy_direct_done(&policy->direct);
	free(policy);
}

char *exeat_policy_json(const struct exeat_policy *policy)
{
	struct policy_upstream upstream;
	struct sbuf b;
	int r;

	if (!policy)
		return NULL;
	upstream = (struct policy_upstream){ &policy->proxy,
					     policy->direct.policy };
	sbuf_init(&b, JSON_MAX);
	r = policy_json_with(policy->view, &upstream, &b);
	if (r == 0)
		return sbuf_steal(&b);
	sbuf_done(&b);
	return NULL;
}

/* ---- ask ---- */

static int bad_target(const char *target, const char *why, struct err *err)
{
	int r = err_new(err, ERR_INVALID, "test target", target, "%s", why);

	err_remedy(err,
		   "NAME[:PORT], ADDRESS[:PORT], [IPv6]:PORT, udp/ before it, "
		   "or an http(s) URL");
	return r;
}

/*
 * A target is a rule that says one destination; the rule parser knows all the
 * spellings. The side is deny's, where nothing is filled in that was left out.
 */
static int parse_target(const char *target, struct rule *ret,
			uint16_t *ret_port, struct err *err)
{
	char text[LIMIT_RULE_TEXT];
	struct rule_error e;

	*ret_port = 443;
	if (strstr(target, "://")) {
		if (!preset_url_rule(target, false, text, sizeof(text)))
			return bad_target(
				target, "not an http or https URL with a host",
				err);
		if (strncasecmp(target, "http:", 5) == 0)
			*ret_port = 80;
		target = text;
	}
	if (rule_parse(target, RULE_DENY, ret, &e) < 0)
		return bad_target(target, e.message, err);
	if (ret->kind == RULE_GLOB || ret->kind == RULE_PRESET || ret->flags ||
	    (ret->kind == RULE_CIDR && ret->prefix.len != 128))
		return bad_target(target, "not one destination", err);
	if (!ret->ports_given)
		return 0;
	if (ret->nports != 1 || ret->ports[0].lo != ret->ports[0].hi)
		return bad_target(target, "not one port", err);
	*ret_port = ret->ports[0].lo;
	return 0;
}

/* The questions of a program that goes there, in its order; the answer is the
 * first refusal's, or the last one's. */
static struct policy_verdict ask(const struct policy *p, const struct rule *to,
				 uint16_t port, struct policy_question *ret_q)
{
	struct policy_question connect = {
		.ask = POLICY_ASK_CONNECT,
		.proto = to->proto_given && to->protos == RULE_UDP ? RULE_UDP :
								     RULE_TCP,
		.port = port,
	};
	struct policy_question lookup = { .ask = POLICY_ASK_LOOKUP };
	struct policy_verdict looked_up, connected;

	if (to->kind == RULE_CIDR) {
		connect.addr = to->prefix.addr;
		*ret_q = connect;
		return policy_decide(p, &connect);
	}
	/* a name whose address nobody has asked for yet */
	connect.learnt = POLICY_NAME_PROXY;
	connect.name = lookup.name = to->name;
	looked_up = policy_decide(p, &lookup);
	connected = policy_decide(p, &connect);
	/* with the port in it, the better explanation of the two */
	*ret_q = looked_up.allow || !connected.allow ? connect : lookup;
	return looked_up.allow || !connected.allow ? connected : looked_up;
}

static void copy_text(char *ret, size_t size, const char *text)
{
	size_t n = strnlen(text ? text : "", size - 1);

	if (n > 0)
		memcpy(ret, text, n);
	ret[n] = '\0';
}

int exeat_policy_test(const struct exeat_policy *policy, const char *target,
		      struct exeat_policy_answer *ret,
		      struct exeat_error *error)
{
	struct exeat_policy_answer a = { 0 };
	struct policy_question q;
	struct policy_verdict v;
	struct err err = { 0 };
	struct sbuf text;
	struct rule to = { 0 };
	uint16_t port = 0;
	int r = error_needs(error, "test target",
			    ERROR_ARGS({ "policy", policy },
				       { "target", target }, { "ret", ret }));

	if (r < 0)
		return r;
	r = parse_target(target, &to, &port, &err);
	if (r < 0) {
		exeat_error_from(error, &err);
		return r;
	}
	v = ask(policy->view, &to, port, &q);
	sbuf_init(&text, 8 << 10);
	_Static_assert(sizeof(a.allow_hint) >= LIMIT_RULE_TEXT, "hint");
	policy_explain(policy->view, &q, &v, &text, a.allow_hint);
	a.allow = v.allow;
	if (v.rule != POLICY_NO_RULE)
		copy_text(a.rule, sizeof(a.rule),
			  policy_rule_text(policy->view, v.rule));
	copy_text(a.reason, sizeof(a.reason), policy_reason_name(v.reason));
	copy_text(a.text, sizeof(a.text), text.s);
	sbuf_done(&text);
	*ret = a;
	return 0;
}

/* ---- warnings ---- */

struct warn {
	const struct policy *policy;
	void (*each)(void *user_data,
		     const struct exeat_policy_warning *warning);
	void *user_data;
};

static void warn_one(void *user, const struct policy_warning *w)
{
	const struct warn *warn = user;
	const struct exeat_policy_warning warning = {
		.rule = policy_rule_text(warn->policy, w->rule),
		.origin = policy_rule_origin(warn->policy, w->rule),
		.reason = w->reason,
		.advice = w->advice,
	};

	if (warn->each)
		warn->each(warn->user_data, &warning);
}

int exeat_policy_warnings(
	const struct exeat_policy *policy,
	void (*each)(void *user_data,
		     const struct exeat_policy_warning *warning),
	void *user_data, struct exeat_error *error)
{
	struct warn warn = { .each = each, .user_data = user_data };
	struct err err = { 0 };
	int r = error_needs(error, "check policy",
			    ERROR_ARGS({ "policy", policy }));

	if (r < 0)
		return r;
	warn.policy = policy->view;
	r = policy_lint(policy->view, warn_one, &warn);
	if (r < 0) {
		(void)err_sys(&err, -r, "check policy", NULL);
		exeat_error_from(error, &err);
	}
	return r;
}

/* ---- presets ---- */

typedef void each_preset(void *user_data, const struct exeat_preset_info *info);

/* Its rules and settings, as far as they can be had now. */
static int tell_resolved(struct exeat_preset_info *info, each_preset *each,
			 void *user_data, struct err *err)
{
	struct preset_set set = { 0 };
	const char **rules = NULL;
	char text[1024];
	size_t n;

	if (preset_set_make_one(info->name, &set, err) < 0) {
		info->error = err_str(err, text, sizeof(text));
		each(user_data, info);
		return 0;
	}
	n = set.presets[0].nrules;
	rules = calloc(n + 1, sizeof(*rules));
	if (!rules) {
		preset_set_done(&set);
		return err_sys(err, ENOMEM, "list preset", NULL);
	}
	for (size_t i = 0; i < n; i++)
		rules[i] = set.presets[0].rules[i];
	info->rules = rules;
	if (set.env.texts)
		info->env = (const char *const *)set.env.texts;
	each(user_data, info);
	free(rules);
	preset_set_done(&set);
	return 0;
}

/* `in_list`: a data file that cannot be read is told, too. */
static int tell_preset(const char *name, bool in_list, each_preset *each,
		       void *user_data, struct err *err)
{
	static const char *const none[] = { NULL };
	struct exeat_preset_info info = {
		.name = name,
		.title = "",
		.rules = none,
		.env = none,
	};
	char text[1024], *title;
	bool deny_only;
	int r = preset_describe(name, &title, &deny_only, err);

	if (r < 0 && !in_list)
		return r;
	if (r < 0) {
		info.error = err_str(err, text, sizeof(text));
		each(user_data, &info);
		return 0;
	}
	info.title = title;
	info.deny_only = deny_only;
	r = tell_resolved(&info, each, user_data, err);
	free(title);
	return r;
}

static void tell_nobody(void *user_data, const struct exeat_preset_info *info)
{
	(void)user_data;
	(void)info;
}

int exeat_presets(const char *name,
		  void (*each)(void *user_data,
			       const struct exeat_preset_info *info),
		  void *user_data, struct exeat_error *error)
{
	char **names = NULL;
	struct err err = { 0 };
	int r;

	if (!each)
		each = tell_nobody;
	if (name) {
		r = tell_preset(*name == '@' ? name + 1 : name, false, each,
				user_data, &err);
	} else {
		r = preset_names(&names);
		if (r < 0)
			(void)err_sys(&err, -r, "list presets", NULL);
		for (char **n = names; r == 0 && *n; n++)
			r = tell_preset(*n, true, each, user_data, &err);
		preset_names_free(names);
	}
	if (r < 0)
		exeat_error_from(error, &err);
	return r;
}
