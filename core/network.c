/* network.c - from options to compiled policies, and what bounds them
 * SPDX-License-Identifier: Apache-2.0
 *
 * network_open() also keeps the session's bound: the ceiling, or what the
 * session itself named; every run is held against it before anything is
 * sent.
 */
#include "core/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/session.h"
#include "policy/file.h"

/* ---- reading options ---- */

static int mode_parse(const char *text, struct network *ret, struct err *err)
{
	ret->has_mode = text != NULL;
	if (text && !policy_mode_parse(text, &ret->mode))
		return err_new(err, ERR_INVALID, "network_mode", text,
			       "must be blocked, allowlist or open");
	return 0;
}

int network_parse(const char *mode, const char *const *allow,
		  struct network *ret, struct err *err)
{
	int r = mode_parse(mode, ret, err);

	if (r < 0)
		return r;
	if (list_copy(&ret->allow, allow) < 0)
		return err_sys(err, ENOMEM, "copy", "network_allowlist");
	if (allow && !mode) {
		ret->has_mode = true;
		ret->mode = POLICY_ALLOWLIST;
	}
	return 0;
}

/* The texts of a policy file, which has them no more; NULL: no list. */
static void list_of_file(struct list *ret, char ***take_texts, size_t n)
{
	*ret = (struct list){ *take_texts, n, *take_texts != NULL };
	*take_texts = NULL;
}

/* A policy file takes the place of the single options. */
static int settings_from_file(struct settings *t, const char *text,
			      struct policy_file *file, struct err *err)
{
	int r = policy_file_parse(text, strlen(text), file, err);

	if (r < 0)
		return r;
	t->network.has_mode = file->has_mode || file->has_allow;
	t->network.mode = file->has_mode ? file->mode : POLICY_ALLOWLIST;
	list_of_file(&t->network.allow, &file->allow, file->nallow);
	list_of_file(&t->deny, &file->deny, file->ndeny);
	t->require_names = file->require_names;
	t->dns_refusal = file->dns_refusal;
	if (budgets_add(&t->budgets, file->budgets, file->nbudgets) < 0)
		return err_sys(err, ENOMEM, "copy", "budgets");
	return 0;
}

static int dns_refusal_parse(const char *text, enum policy_dns_refusal *ret,
			     struct err *err)
{
	if (!text || strcmp(text, "nxdomain") == 0)
		*ret = POLICY_NXDOMAIN;
	else if (strcmp(text, "refused") == 0)
		*ret = POLICY_REFUSED;
	else
		return err_new(err, ERR_INVALID, "dns_refusal", text,
			       "must be nxdomain or refused");
	return 0;
}

static int settings_from_lists(struct settings *t, const char *mode,
			       const char *const *allow,
			       const char *const *deny, bool require_names,
			       struct err *err)
{
	int r = network_parse(mode, allow, &t->network, err);

	if (r == 0 && list_copy(&t->deny, deny) < 0)
		r = err_sys(err, ENOMEM, "copy", "network_denylist");
	t->require_names = require_names;
	return r;
}

static int not_beside(struct err *err)
{
	return err_new(err, ERR_INVALID, "network_policy", NULL,
		       "stands instead of mode and lists, not beside them");
}

int settings_from_policy(struct settings *ret,
			 const struct exeat_policy_options *o,
			 struct policy_file *file, struct err *err)
{
	int r;

	if (o->network_policy &&
	    (o->network_mode || o->network_allowlist || o->network_denylist))
		return not_beside(err);
	r = o->network_policy ?
		    settings_from_file(ret, o->network_policy, file, err) :
		    settings_from_lists(ret, o->network_mode,
					o->network_allowlist,
					o->network_denylist,
					o->require_names != 0, err);
	return r ? r :
		   budgets_add_options(&ret->budgets, o->max_upload,
				       o->max_download, err);
}

void settings_done(struct settings *t)
{
	list_free(&t->network.allow);
	list_free(&t->deny);
	budgets_free(&t->budgets);
	*t = (struct settings){ 0 };
}

/* ---- compiling ---- */

void compiled_done(struct compiled *c)
{
	if (c->image) {
		policy_free(c->policy);
		free(c->image);
	}
	*c = (struct compiled){ 0 };
}

static int compile(const struct settings *t, enum policy_mode mode,
		   const struct list *allow, const struct preset_set *presets,
		   const struct budgets *budgets, struct compiled *ret,
		   struct err *err)
{
	const struct policy_spec spec = {
		.mode = mode,
		.allow = (const char *const *)allow->texts,
		.nallow = allow->n,
		.deny = (const char *const *)t->deny.texts,
		.ndeny = t->deny.n,
		.require_names = t->require_names,
		.dns_refusal = t->dns_refusal,
		.presets = presets->presets,
		.npresets = presets->npresets,
		.budgets = budgets->all,
		.nbudgets = budgets->n,
	};
	size_t len;
	int r;

	*ret = (struct compiled){ 0 };
	/* an empty list with `blocked` is a list with `blocked` all the same */
	if (mode == POLICY_BLOCKED && allow->given)
		return err_new(
			err, ERR_INVALID, "network_allowlist", NULL,
			"an allow-list has no meaning with mode blocked");
	r = policy_compile(&spec, &ret->image, &len, err);
	return r < 0 ? r : compiled_view(ret, len, err);
}

int compiled_view(struct compiled *c, size_t len, struct err *err)
{
	int r = policy_new(c->image, len, &c->policy);

	if (r < 0) {
		compiled_done(c);
		return err_sys(err, -r, "open", "compiled policy");
	}
	return 0;
}

int network_compile(const struct exeat_session *s, const struct settings *t,
		    enum policy_mode mode, const struct list *allow,
		    const struct budgets *budgets, struct list *ret_env,
		    struct list *ret_files, struct compiled *ret,
		    struct err *err)
{
	struct preset_set set = { 0 };
	int r;

	*ret = (struct compiled){ 0 };
	r = preset_set_make_for(s->work.path, (const char *const *)allow->texts,
				(const char *const *)t->deny.texts,
				s->with_credentials, &set, err);
	if (r < 0)
		return r;
	r = compile(t, mode, allow, &set, budgets, ret, err);
	if (r == 0 && ret_env)
		*ret_env = list_take(&set.env);
	if (r == 0 && ret_files)
		*ret_files = list_take(&set.files);
	preset_set_done(&set);
	return r;
}

/*
 * Bytes are counted for the session, so every posture has the budgets of the
 * session and of its ceiling, whatever a run names.
 */
static int all_budgets(const struct exeat_session *s, const struct settings *t,
		       struct budgets *ret, struct err *err)
{
	int r = budgets_add(ret, t->budgets.all, t->budgets.n);

	if (r == 0)
		r = budgets_add_policy(ret, s->ceiling);
	return r < 0 ? err_sys(err, -r, "copy", "budgets") : 0;
}

int settings_compile(const struct exeat_session *s, const struct settings *t,
		     struct list *ret_env, struct list *ret_files,
		     struct compiled *ret, struct err *err)
{
	const struct network *n = &t->network;
	struct budgets all = { 0 };
	int r = all_budgets(s, t, &all, err);

	*ret = (struct compiled){ 0 };
	if (r == 0)
		r = network_compile(s, t,
				    n->has_mode ? n->mode : POLICY_BLOCKED,
				    &n->allow, &all, ret_env, ret_files, ret,
				    err);
	budgets_free(&all);
	/* without a list of its own there is nothing to hold them against */
	if (r == 0 && n->has_mode)
		r = budgets_check(&t->budgets, ret->policy, err);
	if (r < 0)
		compiled_done(ret);
	return r;
}

/* ---- the bound ---- */

static int ceiling_from_file(struct exeat_session *s, struct policy_file *file,
			     struct err *err)
{
	struct network n = {
		.mode = file->has_mode	? file->mode :
			file->has_allow ? POLICY_ALLOWLIST :
					  POLICY_BLOCKED,
	};
	const struct budgets budgets = { file->budgets, file->nbudgets };
	struct settings t = { .require_names = s->settings.require_names,
			      .dns_refusal = s->settings.dns_refusal };
	struct compiled c = { 0 };
	int r;

	if (file->upstream.kind != UPPROXY_NONE || file->ndirect > 0)
		return err_new(err, ERR_INVALID, "network_ceiling", NULL,
			       "a ceiling has no upstream_proxy");
	list_of_file(&n.allow, &file->allow, file->nallow);
	list_of_file(&t.deny, &file->deny, file->ndeny);
	r = network_compile(s, &t, n.mode, &n.allow, &budgets, NULL, NULL, &c,
			    err);
	list_free(&n.allow);
	settings_done(&t);
	if (r < 0) {
		err_prefix(err, "network_ceiling");
		return r;
	}
	s->ceiling_image = c.image;
	s->bound = s->ceiling = c.policy;
	return 0;
}

static int ceiling_from_text(struct exeat_session *s, const char *text,
			     struct err *err)
{
	struct policy_file file = { 0 };
	int r = policy_file_parse(text, strlen(text), &file, err);

	if (r < 0)
		err_prefix(err, "network_ceiling");
	else
		r = ceiling_from_file(s, &file, err);
	policy_file_done(&file);
	return r;
}

int policy_check_bound(const struct policy *bound, const struct policy *policy,
		       struct err *err)
{
	uint32_t rule;

	if (!bound || policy_within(bound, policy, &rule))
		return 0;
	if (rule == POLICY_NO_RULE)
		return err_new(err, ERR_POLICY, "network_mode",
			       policy_mode_name(policy_get_mode(policy)),
			       "wider than the session's bound, %s",
			       policy_mode_name(policy_get_mode(bound)));
	return err_new(err, ERR_POLICY, "network_allowlist",
		       policy_rule_text(policy, rule),
		       "not within the session's bound");
}

/* The session's own posture: compiled at once, so that errors are early. */
static int own_open(struct exeat_session *s, struct err *err)
{
	struct compiled c;
	int r = settings_compile(s, &s->settings, &s->preset_env,
				 &s->preset_files, &c, err);

	if (r < 0)
		return r;
	s->session_image = c.image;
	s->session_policy = c.policy;
	if (s->ceiling)
		return policy_check_bound(s->bound, c.policy, err);
	if (s->settings.network.has_mode)
		s->bound = s->session_policy;
	return 0;
}

static int settings_from_session(struct settings *t,
				 const struct exeat_session_options *o,
				 struct policy_file *file, struct err *err)
{
	const struct exeat_policy_options like = {
		.network_mode = o->network_mode,
		.network_allowlist = o->network_allowlist,
		.network_denylist = o->network_denylist,
		.network_policy = o->network_policy,
		.require_names = o->require_names,
		.max_upload = o->max_upload,
		.max_download = o->max_download,
	};
	int r = settings_from_policy(t, &like, file, err);

	/* a file says it itself */
	if (r == 0 && !o->network_policy)
		r = dns_refusal_parse(o->dns_refusal, &t->dns_refusal, err);
	return r;
}

int network_open(struct exeat_session *s, const struct exeat_session_options *o,
		 struct err *err)
{
	struct policy_file file = { 0 };
	int r = settings_from_session(&s->settings, o, &file, err);

	if (r == 0)
		r = upproxy_open(s, o, &file, err);
	if (r == 0 && o->network_ceiling)
		r = ceiling_from_text(s, o->network_ceiling, err);
	else if (r == 0 && file.ceiling)
		r = ceiling_from_file(s, file.ceiling, err);
	if (r == 0)
		r = own_open(s, err);
	policy_file_done(&file);
	return r;
}
