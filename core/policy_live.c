/* policy_live.c - another policy for a session that lives
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * exeat_session_set_policy() is one transaction:
 *
 *	read	the options, compiled, held against the ceiling: a bad policy
 *		changes nothing
 *	settle	postures that are being made become ready; idle ones go, they
 *		are made anew when a run needs them
 *	plan	for each posture what it shall have: the new policy, if its runs
 *		named none of their own; else what it has, as far as the new
 *		bound allows it (policy_intersect), and with the new deny
 *		rules
 *	send	K_POLICY for each that changes; all must be in force everywhere
 *	commit	this side has the new one, too; or, if one of them failed, all
 *		get back what they had. If that fails the session breaks
 *
 * The order within one posture (kernel, dialer, front) is the keeper's: see
 * core/proto.h.
 *
 * A posture that has runs of both kinds is treated as named: it gets what both
 * may have, and runs that start later get a posture with the new policy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/error.h"
#include "core/network.h"
#include "core/options.h"
#include "core/proto.h"
#include "core/session.h"
#include "policy/file.h"

struct change {
	uint32_t posture; /* 0: none */
	bool differs;	  /* from what is in force */
	struct compiled next;
};

struct transaction {
	struct exeat_session *session;
	struct settings settings;
	struct list env;
	struct compiled policy;
	struct change changes[LIMIT_POSTURES];
	int64_t deadline;
};

/* ---- read ---- */

static int settings_read(struct transaction *t,
			 const struct exeat_policy_options *o, struct err *err)
{
	struct policy_file file = { 0 };
	int r = settings_from_policy(&t->settings, o, &file, err);

	if (r == 0 && file.ceiling)
		r = err_new(err, ERR_INVALID, "network_ceiling", NULL,
			    "is given when the session is opened");
	if (r == 0)
		r = upproxy_check_same(t->session, &file, err);
	if (r == 0 && !t->settings.network.has_mode)
		r = err_new(err, ERR_INVALID, "network_mode", NULL,
			    "a mode or an allow-list is needed");
	if (!o->network_policy)
		t->settings.dns_refusal = t->session->settings.dns_refusal;
	policy_file_done(&file);
	return r;
}

static int policy_read(struct transaction *t,
		       const struct exeat_policy_options *options,
		       struct err *err)
{
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_session *s = t->session;
	int r = options_from_caller(&o, sizeof(o), options, "policy", err);

	if (r == 0)
		r = settings_read(t, &o, err);
	if (r == 0)
		r = settings_compile(s, &t->settings, &t->env, NULL, &t->policy,
				     err);
	return r ? r : policy_check_bound(s->ceiling, t->policy.policy, err);
}

/* ---- settle ---- */

static bool is_settled(const struct exeat_session *s)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		const struct posture *p = &s->postures[i];

		if (p->id != 0 &&
		    (p->state == POSTURE_MAKING || p->change == CHANGE_SENT))
			return false;
	}
	return true;
}

/* The session's fatal error, if it breaks meanwhile. */
static int settle(struct transaction *t, struct err *err)
{
	struct exeat_session *s = t->session;
	int r = 0;

	if (!is_settled(s))
		alive_ask(s);
	while (r == 0 && !is_settled(s)) {
		int64_t left = t->deadline - clock_ms();

		if (left <= 0) {
			struct helper *h = alive_silent(s);

			(void)err_new(err, ERR_TIMEOUT, "change policy",
				      h ? h->name : NULL, "%s",
				      h ? "does not answer" :
					  "not every helper has taken it");
			if (h)
				h->hangs = true;
			session_break(s, err);
		}
		r = exeat_session_dispatch(s, left > 0 ? (int)left : 0, NULL);
	}
	if (r < 0)
		*err = s->fatal;
	return r;
}

/* ---- plan ---- */

/* Of runs that named it: no wider than it was. */
static int narrow(const struct transaction *t, const struct posture *p,
		  struct compiled *ret, struct err *err)
{
	const struct policy *now = t->policy.policy;
	size_t len;
	/* with a ceiling the bound stays, and it is within it already */
	int r = t->session->ceiling ?
			policy_add_denies(p->policy, now, &ret->image, &len,
					  err) :
			policy_intersect(p->policy, now, &ret->image, &len,
					 err);

	return r ? r : compiled_view(ret, len, err);
}

static int plan(struct transaction *t, struct err *err)
{
	struct exeat_session *s = t->session;

	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = &s->postures[i];
		struct change *c = &t->changes[i];
		int r = 0;

		if (p->id == 0 || p->state != POSTURE_READY)
			continue;
		if (p->users == 0 && p != s->own) {
			posture_forget(s, p);
			continue;
		}
		if (p->named > 0)
			r = narrow(t, p, &c->next, err);
		else
			c->next.policy = t->policy.policy;
		if (r < 0)
			return r;
		c->posture = p->id;
		c->differs = !policy_equal(p->policy, c->next.policy);
	}
	return 0;
}

/* ---- send ---- */

static int send_one(struct exeat_session *s, struct posture *p,
		    const struct policy *policy, struct err *err)
{
	int r = posture_send(s, K_POLICY, p->id, policy, err);

	if (r == 0)
		p->change = CHANGE_SENT;
	return r;
}

/* The first failure; forgets how each went. */
static int outcome(struct exeat_session *s, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = &s->postures[i];

		if (p->change == CHANGE_FAILED) {
			*err = s->change_err;
			r = -EIO;
		}
		p->change = CHANGE_NONE;
	}
	return r;
}

static int send_all(struct transaction *t, bool back, struct err *err)
{
	struct exeat_session *s = t->session;
	struct err other;
	int r = 0, answered;

	for (size_t i = 0; r == 0 && i < LIMIT_POSTURES; i++) {
		struct change *c = &t->changes[i];
		struct posture *p = posture_by_id(s, c->posture);

		if (p && c->differs)
			r = send_one(s, p, back ? p->policy : c->next.policy,
				     err);
	}
	/* what went out is waited for also when the rest did not */
	answered = settle(t, r == 0 ? err : &other);
	if (answered < 0)
		return answered;
	answered = outcome(s, r == 0 ? err : &other);
	return r ? r : answered;
}

static int put_in_force(struct transaction *t, struct err *err)
{
	struct exeat_session *s = t->session;
	struct err back;
	int r;

	s->changing = true;
	r = send_all(t, false, err);
	if (r < 0 && s->fatal.code == ERR_NONE) {
		t->deadline = clock_ms() + LIMIT_POLICY_MS;
		if (send_all(t, true, &back) < 0) {
			err_prefix(&back, "restore policy");
			session_break(s, &back);
		}
	}
	s->changing = false;
	return r;
}

/* ---- commit ---- */

static void commit(struct transaction *t)
{
	struct exeat_session *s = t->session;
	struct compiled old = { s->session_image, s->session_policy };

	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = posture_by_id(s, t->changes[i].posture);
		struct compiled *next = &t->changes[i].next;

		if (!p)
			continue; /* its last run has ended */
		compiled_done(&(struct compiled){ p->image, p->policy });
		p->image = next->image;
		p->policy = next->policy;
		*next = (struct compiled){ 0 };
	}
	s->session_image = t->policy.image;
	s->session_policy = t->policy.policy;
	t->policy = old;
	settings_done(&s->settings);
	s->settings = t->settings;
	t->settings = (struct settings){ 0 };
	list_free(&s->preset_env);
	s->preset_env = list_take(&t->env);
	if (!s->ceiling)
		s->bound = s->session_policy;
	if (s->own && !policy_equal(s->own->policy, s->session_policy))
		s->own = NULL;
}

static void transaction_done(struct transaction *t)
{
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		compiled_done(&t->changes[i].next);
	compiled_done(&t->policy);
	settings_done(&t->settings);
	list_free(&t->env);
}

int exeat_session_set_policy(struct exeat_session *s,
			     const struct exeat_policy_options *options,
			     struct exeat_error *error)
{
	struct transaction t = {
		.session = s,
		.deadline = clock_ms() + LIMIT_POLICY_MS,
	};
	struct err err;
	int r;

	if (error_needs(error, "change policy", ERROR_ARGS({ "session", s })) <
	    0)
		return -EINVAL;
	err_clear(&err);
	if (s->fatal.code != ERR_NONE)
		return session_error(error, &s->fatal, -EIO);
	if (s->dispatching > 0) {
		r = err_new(&err, ERR_CONFLICT, "change policy", NULL,
			    "not from a callback");
		return session_error(error, &err, r);
	}
	r = policy_read(&t, options, &err);
	if (r == 0)
		r = settle(&t, &err);
	if (r == 0)
		r = plan(&t, &err);
	if (r == 0)
		r = put_in_force(&t, &err);
	if (r == 0)
		commit(&t);
	transaction_done(&t);
	return r < 0 ? session_error(error, &err, r) : 0;
}
