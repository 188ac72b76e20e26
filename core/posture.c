/* posture.c - postures: from a compiled policy to a namespace in the keeper
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two runs share a posture when what the wall decides on is the same text,
 * presets expanded, rules in canonical form (policy_equal()), so different
 * spellings of one policy share. At most LIMIT_POSTURES exist; one that no
 * run uses gives way, the least recently used first.
 *
 * A run that names nothing of its own takes the policy that was compiled for
 * the session: borrowed, the session keeps it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/network.h"
#include "core/proto.h"
#include "core/session.h"

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
	settings_done(&s->settings);
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

void posture_forget(struct exeat_session *s, struct posture *p)
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

int posture_send(struct exeat_session *s, uint32_t type, uint32_t id,
		 const struct policy *policy, struct err *err)
{
	size_t len;
	const void *image = policy_get_image(policy, &len);
	cleanup_fd int fd = fd_sealed_memfd("exeat-policy", image, len);
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (fd < 0)
		return err_sys(err, -fd, "memfd", "policy");
	if (policy_get_mode(policy) != POLICY_BLOCKED) {
		int r = session_need_dialer(s, err);

		if (r < 0)
			return r;
	}
	wbuf_u32(&b, id);
	session_send(s, HELPER_KEEPER, type, body, wbuf_len(&b), &fd, 1);
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
	r = posture_send(s, K_POSTURE, p->id, p->policy, err);
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
		ret->mode = s->settings.network.has_mode ?
				    s->settings.network.mode :
				    POLICY_BLOCKED;
		ret->has_mode = true;
	}
	if (!ret->allow.given && s->settings.network.has_mode &&
	    s->settings.network.mode == ret->mode &&
	    s->settings.network.allow.given &&
	    list_copy(&ret->allow,
		      (const char *const *)s->settings.network.allow.texts) < 0)
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
		r = network_compile(s, &s->settings, n.mode, &n.allow, &budgets,
				    ret_env, NULL, ret, err);
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

bool posture_is_named(const struct exeat_run_options *o)
{
	return o->network_mode || o->network_allowlist;
}

static int posture_make(struct exeat_session *s,
			const struct exeat_run_options *o, struct list *ret_env,
			struct posture **ret, struct err *err)
{
	struct compiled c = { 0 };
	int r = posture_is_named(o) ? run_compile(s, o, ret_env, &c, err) :
				      run_borrow(s, ret_env, &c, err);

	if (r < 0)
		return r;
	r = policy_check_bound(s->bound, c.policy, err);
	if (r < 0) {
		compiled_done(&c);
		return r;
	}
	return posture_find(s, &c, o->private_network != 0, ret, err);
}

int posture_get(struct exeat_session *s, const struct exeat_run_options *o,
		struct list *ret_env, struct posture **ret, struct err *err)
{
	bool own = !posture_is_named(o) && !o->private_network;
	struct posture *p = own ? s->own : NULL;
	int r = 0;

	*ret_env = (struct list){ 0 };
	if (s->changing)
		return err_new(err, ERR_CONFLICT, "run", NULL,
			       "the policy of the session is being changed");
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
	p->named += posture_is_named(o);
	p->last_used = ++s->clock;
	*ret = p;
	return 0;
}

void posture_expect(struct exeat_session *s, struct posture *p)
{
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (p->is_private || p->many)
		return;
	p->many = true;
	wbuf_u32(&b, p->id);
	session_send(s, HELPER_KEEPER, K_PREPARE, body, wbuf_len(&b), NULL, 0);
}

void posture_make_own(struct exeat_session *s)
{
	const struct exeat_run_options none = EXEAT_RUN_OPTIONS_INIT;
	struct list env = { 0 };
	struct posture *p = NULL;
	struct err err;

	err_clear(&err);
	/* what fails here fails again, and is said, when a run wants it */
	if (posture_get(s, &none, &env, &p, &err) == 0 && p) {
		posture_expect(s, p);
		posture_put(s, p, false);
	}
	list_free(&env);
}

void posture_put(struct exeat_session *s, struct posture *p, bool named)
{
	p->users--;
	p->named -= named;
	if (p->users == 0 && (p->is_private || p->state == POSTURE_FAILED))
		posture_forget(s, p);
}
