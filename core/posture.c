/* posture.c - postures: from options to a compiled policy in the keeper
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two runs share a posture when what the wall decides on is the same text,
 * presets expanded, rules in canonical form (policy_equal()), so different
 * spellings of one policy share. At most LIMIT_POSTURES exist; one that no
 * run uses gives way, the least recently used first.
 *
 * A run that names nothing of its own takes the policy that was compiled when
 * the session was opened: borrowed, the session keeps it.
 *
 * network_open() also keeps the session's bound: the ceiling, or what the
 * session itself named; every run is held against it before anything is
 * sent.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/proto.h"
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

/* A list without a mode means allowlist. */
static int network_parse(const char *mode, const char *const *allow,
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

/* The session's policy file takes the place of the single options. */
static int network_from_file(struct exeat_session *s, const char *text,
			     struct policy_file *file, struct err *err)
{
	int r = policy_file_parse(text, strlen(text), file, err);

	if (r < 0)
		return r;
	s->network.has_mode = file->has_mode || file->has_allow;
	s->network.mode = file->has_mode ? file->mode : POLICY_ALLOWLIST;
	list_of_file(&s->network.allow, &file->allow, file->nallow);
	list_of_file(&s->deny, &file->deny, file->ndeny);
	s->require_names = file->require_names;
	s->dns_refusal = file->dns_refusal;
	if (budgets_add(&s->budgets, file->budgets, file->nbudgets) < 0)
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

static int network_from_options(struct exeat_session *s,
				const struct exeat_session_options *o,
				struct err *err)
{
	int r = network_parse(o->network_mode, o->network_allowlist,
			      &s->network, err);

	if (r == 0)
		r = dns_refusal_parse(o->dns_refusal, &s->dns_refusal, err);
	if (r == 0 && list_copy(&s->deny, o->network_denylist) < 0)
		r = err_sys(err, ENOMEM, "copy", "network_denylist");
	s->require_names = o->require_names != 0;
	return r;
}

/* ---- compiling ---- */

struct compiled {
	void *image; /* NULL: the policy is the session's own */
	struct policy *policy;
};

static void compiled_done(struct compiled *c)
{
	if (c->image) {
		policy_free(c->policy);
		free(c->image);
	}
	*c = (struct compiled){ 0 };
}

static int compile(const struct exeat_session *s, enum policy_mode mode,
		   const struct list *allow, const struct list *deny,
		   const struct preset_set *presets,
		   const struct budgets *budgets, struct compiled *ret,
		   struct err *err)
{
	const struct policy_spec spec = {
		.mode = mode,
		.allow = (const char *const *)allow->texts,
		.nallow = allow->n,
		.deny = (const char *const *)deny->texts,
		.ndeny = deny->n,
		.require_names = s->require_names,
		.dns_refusal = s->dns_refusal,
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
	if (r < 0)
		return r;
	r = policy_new(ret->image, len, &ret->policy);
	if (r < 0) {
		compiled_done(ret);
		return err_sys(err, -r, "open", "compiled policy");
	}
	return 0;
}

static int compile_with_presets(struct exeat_session *s, enum policy_mode mode,
				const struct list *allow,
				const struct list *deny,
				const struct budgets *budgets, bool for_session,
				struct list *ret_env, struct compiled *ret,
				struct err *err)
{
	struct preset_set set = { 0 };
	int r;

	*ret = (struct compiled){ 0 };
	r = preset_set_make_for(s->work.path, (const char *const *)allow->texts,
				(const char *const *)deny->texts,
				s->with_credentials, &set, err);
	if (r < 0)
		return r;
	r = compile(s, mode, allow, deny, &set, budgets, ret, err);
	if (r == 0 && ret_env)
		*ret_env = list_take(&set.env);
	if (r == 0 && for_session)
		s->preset_files = list_take(&set.files);
	if (r < 0)
		compiled_done(ret);
	preset_set_done(&set);
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
	struct list deny = { 0 };
	struct compiled c = { 0 };
	int r;

	list_of_file(&n.allow, &file->allow, file->nallow);
	list_of_file(&deny, &file->deny, file->ndeny);
	r = compile_with_presets(s, n.mode, &n.allow, &deny, &budgets, false,
				 NULL, &c, err);
	list_free(&n.allow);
	list_free(&deny);
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

static int within_bound(const struct exeat_session *s,
			const struct policy *policy, struct err *err)
{
	uint32_t rule;

	if (!s->bound || policy_within(s->bound, policy, &rule))
		return 0;
	if (rule == POLICY_NO_RULE)
		return err_new(err, ERR_POLICY, "network_mode",
			       policy_mode_name(policy_get_mode(policy)),
			       "wider than the session's bound, %s",
			       policy_mode_name(policy_get_mode(s->bound)));
	return err_new(err, ERR_POLICY, "network_allowlist",
		       policy_rule_text(policy, rule),
		       "not within the session's bound");
}

/*
 * Bytes are counted for the session, so every posture has the budgets of the
 * session and of its ceiling, whatever a run names.
 */
static int own_compile(struct exeat_session *s, struct compiled *ret,
		       struct err *err)
{
	struct budgets all = { 0 };
	int r = budgets_add(&all, s->budgets.all, s->budgets.n);

	if (r == 0)
		r = budgets_add_policy(&all, s->ceiling);
	if (r < 0)
		r = err_sys(err, -r, "copy", "budgets");
	else
		r = compile_with_presets(s,
					 s->network.has_mode ? s->network.mode :
							       POLICY_BLOCKED,
					 &s->network.allow, &s->deny, &all,
					 true, &s->preset_env, ret, err);
	budgets_free(&all);
	return r;
}

/* The session's own posture: compiled at once, so that errors are early. */
static int own_open(struct exeat_session *s, struct err *err)
{
	struct compiled c;
	int r = own_compile(s, &c, err);

	if (r < 0)
		return r;
	s->session_image = c.image;
	s->session_policy = c.policy;
	/* without a list of its own there is nothing to hold them against */
	if (s->network.has_mode)
		r = budgets_check(&s->budgets, s->session_policy, err);
	if (r < 0)
		return r;
	if (s->ceiling)
		return within_bound(s, c.policy, err);
	if (s->network.has_mode)
		s->bound = s->session_policy;
	return 0;
}

int network_open(struct exeat_session *s, const struct exeat_session_options *o,
		 struct err *err)
{
	struct policy_file file = { 0 };
	int r;

	if (o->network_policy &&
	    (o->network_mode || o->network_allowlist || o->network_denylist))
		return err_new(err, ERR_INVALID, "network_policy", NULL,
			       "stands instead of mode and lists, not beside "
			       "them");
	r = o->network_policy ?
		    network_from_file(s, o->network_policy, &file, err) :
		    network_from_options(s, o, err);
	if (r == 0)
		r = budgets_add_options(&s->budgets, o->max_upload,
					o->max_download, err);
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

static void posture_free_policy(struct posture *p)
{
	struct compiled c = { p->image, p->policy };

	compiled_done(&c);
}

void network_close(struct exeat_session *s)
{
	upproxy_close(s);
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		posture_free_policy(&s->postures[i]);
	policy_free(s->session_policy);
	free(s->session_image);
	policy_free(s->ceiling);
	free(s->ceiling_image);
	list_free(&s->network.allow);
	list_free(&s->deny);
	budgets_free(&s->budgets);
	list_free(&s->preset_env);
	list_free(&s->preset_files);
}

/* ---- postures ---- */

struct posture *posture_by_id(struct exeat_session *s, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < LIMIT_POSTURES; i++)
		if (s->postures[i].id == id)
			return &s->postures[i];
	return NULL;
}

static void posture_forget(struct exeat_session *s, struct posture *p)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (p->state != POSTURE_FAILED) {
		wbuf_u32(&b, p->id);
		session_send(s, HELPER_KEEPER, K_POSTURE_DROP, body,
			     wbuf_len(&b), NULL, 0);
	}
	if (s->own == p)
		s->own = NULL;
	if (s->prepared_posture == p->id)
		s->prepared_run = s->prepared_posture = 0;
	posture_free_policy(p);
	*p = (struct posture){ 0 };
}

static struct posture *posture_slot(struct exeat_session *s)
{
	struct posture *oldest = NULL;

	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = &s->postures[i];

		if (p->id == 0)
			return p;
		if (p->users == 0 &&
		    (!oldest || p->last_used < oldest->last_used))
			oldest = p;
	}
	if (oldest)
		posture_forget(s, oldest);
	return oldest;
}

static int posture_send(struct exeat_session *s, const struct posture *p,
			struct err *err)
{
	size_t len;
	const void *image = policy_get_image(p->policy, &len);
	cleanup_fd int fd = fd_sealed_memfd("exeat-policy", image, len);
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (fd < 0)
		return err_sys(err, -fd, "memfd", "policy");
	if (policy_get_mode(p->policy) != POLICY_BLOCKED) {
		int r = session_need_dialer(s, err);

		if (r < 0)
			return r;
	}
	wbuf_u32(&b, p->id);
	session_send(s, HELPER_KEEPER, K_POSTURE, body, wbuf_len(&b), &fd, 1);
	return 0;
}

static int posture_new(struct exeat_session *s, struct compiled *take,
		       bool is_private, struct posture **ret, struct err *err)
{
	struct posture *p = posture_slot(s);
	int r;

	if (!p) {
		compiled_done(take);
		return err_new(err, ERR_LIMIT, "posture", NULL,
			       "%d distinct postures are in use at a time, "
			       "and no more can be",
			       LIMIT_POSTURES);
	}
	*p = (struct posture){
		.id = ++s->last_posture,
		.image = take->image,
		.policy = take->policy,
		.is_private = is_private,
	};
	r = posture_send(s, p, err);
	if (r < 0) {
		p->state = POSTURE_FAILED; /* the keeper has not got it */
		posture_forget(s, p);
		return r;
	}
	*ret = p;
	return 0;
}

static struct posture *posture_by_policy(struct exeat_session *s,
					 const struct policy *policy)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = &s->postures[i];

		if (p->id != 0 && !p->is_private &&
		    p->state != POSTURE_FAILED &&
		    policy_equal(p->policy, policy))
			return p;
	}
	return NULL;
}

static int posture_find(struct exeat_session *s, struct compiled *take,
			bool is_private, struct posture **ret, struct err *err)
{
	struct posture *found = is_private ? NULL :
					     posture_by_policy(s, take->policy);

	if (!found)
		return posture_new(s, take, is_private, ret, err);
	compiled_done(take);
	*ret = found;
	return 0;
}

/*
 * What a run names, completed by the session's: a mode without a list takes
 * the session's list if the session has that mode.
 */
static int run_network(const struct exeat_session *s,
		       const struct exeat_run_options *o, struct network *ret,
		       struct err *err)
{
	int r = network_parse(o->network_mode, o->network_allowlist, ret, err);

	if (r < 0)
		return r;
	if (!ret->has_mode) {
		ret->mode = s->network.has_mode ? s->network.mode :
						  POLICY_BLOCKED;
		ret->has_mode = true;
	}
	if (!ret->allow.given && s->network.has_mode &&
	    s->network.mode == ret->mode && s->network.allow.given &&
	    list_copy(&ret->allow,
		      (const char *const *)s->network.allow.texts) < 0)
		return err_sys(err, ENOMEM, "copy", "network_allowlist");
	return 0;
}

static int run_compile(struct exeat_session *s,
		       const struct exeat_run_options *o, struct list *ret_env,
		       struct compiled *ret, struct err *err)
{
	struct network n = { 0 };
	struct budgets budgets = { 0 };
	int r = run_network(s, o, &n, err);

	if (r == 0 && budgets_add_policy(&budgets, s->session_policy) < 0)
		r = err_sys(err, ENOMEM, "copy", "budgets");
	if (r == 0)
		r = compile_with_presets(s, n.mode, &n.allow, &s->deny,
					 &budgets, false, ret_env, ret, err);
	budgets_free(&budgets);
	list_free(&n.allow);
	return r;
}

/* Nothing of the network is the run's own: the session's, as it stands. */
static int run_borrow(const struct exeat_session *s, struct list *ret_env,
		      struct compiled *ret, struct err *err)
{
	if (list_copy(ret_env, (const char *const *)s->preset_env.texts) < 0)
		return err_sys(err, ENOMEM, "copy", "preset settings");
	ret->policy = s->session_policy;
	return 0;
}

static int posture_make(struct exeat_session *s,
			const struct exeat_run_options *o, struct list *ret_env,
			struct posture **ret, struct err *err)
{
	struct compiled c = { 0 };
	int r = o->network_mode || o->network_allowlist ?
			run_compile(s, o, ret_env, &c, err) :
			run_borrow(s, ret_env, &c, err);

	if (r < 0)
		return r;
	r = within_bound(s, c.policy, err);
	if (r < 0) {
		compiled_done(&c);
		return r;
	}
	return posture_find(s, &c, o->private_network != 0, ret, err);
}

int posture_get(struct exeat_session *s, const struct exeat_run_options *o,
		struct list *ret_env, struct posture **ret, struct err *err)
{
	bool own = !o->network_mode && !o->network_allowlist &&
		   !o->private_network;
	struct posture *p = own ? s->own : NULL;
	int r = 0;

	*ret_env = (struct list){ 0 };
	if (!p || p->state == POSTURE_FAILED)
		r = posture_make(s, o, ret_env, &p, err);
	if (r < 0) {
		list_free(ret_env);
		return r;
	}
	assert(p);
	if (own)
		s->own = p;
	p->users++;
	p->last_used = ++s->clock;
	*ret = p;
	return 0;
}

void posture_put(struct exeat_session *s, struct posture *p)
{
	p->users--;
	if (p->users == 0 && (p->is_private || p->state == POSTURE_FAILED))
		posture_forget(s, p);
}
