/* message.c - what the helpers say to the caller
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/audit/audit.h"
#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

/* Messages change with every version, and nobody translates them. */
static bool is_ours(struct exeat_session *s, struct helper *h,
		    const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	const char *theirs = rbuf_str(&r);
	struct err err;

	if (theirs && strcmp(theirs, exeat_version()) == 0 &&
	    rbuf_left(&r) == 0)
		return true;
	err_clear(&err);
	(void)err_new(&err, ERR_UNAVAILABLE, "start helper", h->name,
		      "%s%s is of version %s, the library of version %s",
		      s->helper_path,
		      h == &s->helpers[HELPER_TLS] ? HELPER_TLS_SUFFIX : "",
		      theirs ? theirs : "unknown", exeat_version());
	err_remedy(&err,
		   "install both from one release; $EXEAT_HELPER and "
		   "helper_path, where they are set, have to name a helper of "
		   "the library's version");
	session_break(s, &err);
	return false;
}

/* The process that was started has forked its last self: watch that one. */
static void hello(struct exeat_session *s, struct helper *h, struct msg *m)
{
	if (!is_ours(s, h, m))
		return;
	fd_close(&h->pidfd);
	h->pidfd = fd_steal(&m->fds[0]);
	h->hello = true;
	(void)session_watch(s, h->pidfd, &h->pid_source, EPOLLIN, true);
}

/* The rest of a message. A malformed one is an error like any other. */
static void take_err(struct rbuf *r, struct err *ret)
{
	if (err_decode(r, ret) && rbuf_left(r) > 0)
		(void)err_new(ret, ERR_INTERNAL, "read error", NULL,
			      "malformed message");
}

static void posture_failed(struct exeat_session *s, struct rbuf *r)
{
	struct posture *p = posture_by_id(s, rbuf_u32(r));
	struct exeat_run *run;
	struct err err;

	if (!p)
		return;
	take_err(r, &err);
	p->state = POSTURE_FAILED;
	/* on_exit may free any run: after each, from the first */
	for (run = s->runs; run;) {
		if (run->posture == p && p->state == POSTURE_FAILED) {
			run_failed(run, 125, &err);
			run = s->runs;
		} else {
			run = run->next;
		}
	}
}

static void policy_answered(struct exeat_session *s, uint32_t type,
			    struct rbuf *r)
{
	struct posture *p = posture_by_id(s, rbuf_u32(r));

	/* it may have been dropped meanwhile */
	if (!p || p->change != CHANGE_SENT)
		return;
	p->change = type == K_POLICY_SET ? CHANGE_DONE : CHANGE_FAILED;
	if (type == K_POLICY_FAILED)
		take_err(r, &s->change_err);
}

/*
 * The keeper says so of each run once, whether or not its owner still has it. Of
 * one that nobody has, it is believed as long as there can be such.
 */
static void run_is_over(struct exeat_session *s, struct rbuf r)
{
	struct exeat_run *run = run_by_id(s, rbuf_u32(&r));
	unsigned known = 0;

	if (run && run->reported)
		return;
	for (struct exeat_run *at = s->runs; !run && at; at = at->next)
		known += !at->reported;
	if (s->unended <= known)
		return;
	s->unended--;
	if (run)
		run->reported = true;
}

static void run_ended(struct exeat_session *s, struct rbuf *r)
{
	struct exeat_run *run = run_by_id(s, rbuf_u32(r));
	uint32_t status = rbuf_u32(r);
	uint8_t reason = rbuf_u8(r);

	/* it has one end: that one, or the session's that came before */
	if (!run || run->exited || run->phase == PHASE_OVER)
		return;
	run->result.user_us = (int64_t)rbuf_u64(r);
	run->result.system_us = (int64_t)rbuf_u64(r);
	run->result.max_rss_kib = (int64_t)rbuf_u64(r);
	run->result.runtime_ms = (int64_t)(rbuf_u64(r) / 1000);
	if (reason == RUN_SESSION) /* the keeper's clock may be before ours */
		s->over_ms = clock_ms();
	run_exited(run, (int)status, reason);
}

static void run_not_started(struct exeat_session *s, struct rbuf *r)
{
	struct exeat_run *run = run_by_id(s, rbuf_u32(r));
	uint32_t exit_code = rbuf_u32(r);
	struct err err;

	if (!run)
		return;
	take_err(r, &err);
	run_failed(run, exit_code, &err);
}

static void run_terminal(struct exeat_session *s, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct exeat_run *run = run_by_id(s, rbuf_u32(&r));

	if (run)
		run_tty(run, fd_steal(&m->fds[0]));
}

/* That all stood still before they were let go on says nothing of a pause that
 * was asked for afterwards. */
static void paused(struct exeat_session *s, bool still)
{
	if (!still)
		s->resumes -= s->resumes > 0;
	else if (s->resumes == 0)
		s->pausing = false;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void event_out(struct exeat_session *s, const struct audit_event *e)
{
	char address[ADDR_STRLEN] = "";
	const struct exeat_event event = {
		.seq = e->seq,
		.time = (double)e->time_us / 1e6,
		.run = e->run,
		.layer = or_empty(audit_layer_name(e->layer)),
		.verdict = or_empty(audit_verdict_name(e->verdict)),
		.protocol = or_empty(e->protocol),
		.name = or_empty(e->name),
		.learnt = or_empty(e->learnt),
		.address = e->has_address ? addr_str(&e->address, address) : "",
		.port = e->port,
		.rule = or_empty(e->rule),
		.reason = or_empty(e->reason),
		.allow_hint = or_empty(e->hint),
		.count = e->dropped ? e->dropped : 1,
	};

	if (s->on_event)
		s->on_event(s->user_data, &event);
}

static void event_in(struct exeat_session *s, const struct msg *m)
{
	struct audit_event e;

	if (!audit_decode(m->body, m->len, &e))
		return;
	/* of several runs in one posture each is told: any of them it was */
	for (struct exeat_run *run = s->runs; run; run = run->next)
		if (e.verdict == AUDIT_DENY && run->posture &&
		    run->posture->id == e.posture &&
		    (e.run == 0 || e.run == run->id))
			run_refusal(run, &e);
	event_out(s, &e);
}

void session_message(struct exeat_session *s, struct helper *h, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct exeat_run *run;
	struct posture *p;
	struct err err;

	/* who has much to say may come to its P_PONG late */
	h->silent = 0;
	h->words++;
	switch (m->type) {
	case P_HELLO:
		return hello(s, h, m);
	case P_BYE:
		h->said_bye = true;
		return;
	case P_PONG:
		h->asked = false;
		return;
	case P_ERROR:
		h->said_bye = true;
		take_err(&r, &err);
		session_break(s, &err);
		return;
	case K_OPENED:
		s->opened = true;
		return;
	case K_WORK_MADE:
		return workmount_made(s, m);
	case K_POSTURE_READY:
		p = posture_by_id(s, rbuf_u32(&r));
		if (p)
			p->state = POSTURE_READY;
		return;
	case K_POSTURE_FAILED:
		return posture_failed(s, &r);
	case K_POLICY_SET:
	case K_POLICY_FAILED:
		return policy_answered(s, m->type, &r);
	case K_TTY:
		return run_terminal(s, m);
	case K_PAUSED:
		return paused(s, rbuf_u8(&r) != 0);
	case K_RUN_FAILED:
		run_is_over(s, r);
		return run_not_started(s, &r);
	case K_EXITED:
		run_is_over(s, r);
		return run_ended(s, &r);
	case F_FLUSHED:
		run = run_by_id(s, rbuf_u32(&r));
		if (run)
			run_flushed(run);
		return;
	case F_EVENT:
		return event_in(s, m);
	default:
		return; /* not in the table */
	}
}
