/* keeper.c - the keeper: holds the namespaces, forks payloads
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: keeper.h. This file isolates the process, opens the
 * session, and hands each message to its part.
 */
#include "core/helper/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/sys/isolate.h"

void keeper_fatal(struct keeper *k, const struct err *err)
{
	/* whatever lives in the pid namespace ends with us */
	_exit(helper_fail(k->caller.chan.fd, err));
}

static int session_decode(struct keeper *k, struct msg *m, const char **name,
			  struct err *err)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	const char *hostname;

	k->spec.uid = rbuf_u32(&r);
	k->spec.gid = rbuf_u32(&r);
	k->spec.work_dir_sockets = rbuf_u8(&r) != 0;
	*name = rbuf_str(&r);
	hostname = rbuf_str(&r);
	if (r.bad || !*name || !hostname ||
	    strlen(hostname) >= sizeof(k->hostname) ||
	    view_decode(&r, &k->view) < 0 || rbuf_left(&r) > 0)
		return err_new(err, ERR_INTERNAL, "open session", NULL,
			       "malformed message");
	memcpy(k->hostname, hostname, strlen(hostname) + 1);
	k->spec.hostname = k->hostname;
	k->spec.view = &k->view;
	return 0;
}

static void session_open(struct keeper *k, struct msg *m)
{
	struct err err;
	const char *name;

	err_clear(&err);
	if (k->open) {
		(void)err_new(&err, ERR_INTERNAL, "open session", NULL,
			      "it is open already");
		return keeper_fatal(k, &err);
	}
	if (session_decode(k, m, &name, &err) < 0)
		return keeper_fatal(k, &err);
	k->backend = backend_find(name);
	if (!k->backend) {
		(void)err_new(&err, ERR_INVALID, "backend", name,
			      "no such backend; there are: %s",
			      backend_names());
		return keeper_fatal(k, &err);
	}
	if (view_session(&k->view, m->fds, m->nfds, &err) < 0)
		return keeper_fatal(k, &err);
	k->open = true;
	wire_send(&k->caller, K_OPENED, NULL, 0, NULL, 0);
	keeper_spare_make(k);
}

static void work_make(struct keeper *k, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct view_work work;
	cleanup_fd int mount = -1;
	struct sbuf body;
	struct err err;

	err_clear(&err);
	work.size = rbuf_u64(&r);
	work.place = rbuf_str(&r);
	work.lower = rbuf_str(&r);
	if (r.bad || rbuf_left(&r) > 0 || !work.place || k->open) {
		(void)err_new(&err, ERR_INTERNAL, "mount work dir", NULL,
			      "malformed message, or too late");
		return keeper_fatal(k, &err);
	}
	if (view_work(&work, &mount, &err) == 0)
		return wire_send(&k->caller, K_WORK_MADE, NULL, 0, &mount, 1);
	sbuf_init(&body, MSG_INLINE_MAX);
	err_encode(&err, &body);
	if (body.bad)
		return keeper_fatal(k, &err);
	wire_send(&k->caller, K_WORK_MADE, body.s, body.len, NULL, 0);
	sbuf_done(&body);
}

static void life_cb(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	keeper_runs_over(user);
}

static void life_begin(struct keeper *k, uint64_t ms)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000) * 1000,
	};
	struct err err;

	if (!k->life)
		k->life = event_new(k->base, -1, 0, life_cb, k);
	if (k->life && event_add(k->life, &tv) == 0)
		return;
	(void)err_sys(&err, ENOMEM, "watch", "the session's time");
	keeper_fatal(k, &err);
}

static void caller_message(void *user, struct msg *m)
{
	struct keeper *k = user;
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id;
	struct err err;

	if (m->type == P_PING)
		return wire_send(&k->caller, P_PONG, NULL, 0, NULL, 0);
	if (m->type == K_OPEN)
		return session_open(k, m);
	if (m->type == K_WORK)
		return work_make(k, m);
	if (m->type == K_FRESH)
		return keeper_fresh(k, m);
	if (!k->open) {
		(void)err_new(&err, ERR_INTERNAL, "keeper", NULL,
			      "message %u before the session is open", m->type);
		return keeper_fatal(k, &err);
	}
	switch (m->type) {
	case K_POSTURE:
		return keeper_posture_add(k, m);
	case K_POLICY:
		return keeper_posture_policy(k, m);
	case K_POSTURE_DROP:
		return keeper_posture_drop(k, rbuf_u32(&r));
	case K_PREPARE:
		return keeper_spare_want(k, rbuf_u32(&r));
	case K_RUN:
		return keeper_run_start(k, m);
	case K_KILL:
		id = rbuf_u32(&r);
		return keeper_run_kill(k, id, (int)rbuf_u32(&r));
	case K_LIFE:
		return life_begin(k, rbuf_u64(&r));
	case K_PAUSE:
		return rbuf_u8(&r) ? keeper_pause(k, m) : keeper_resume(k);
	case K_END:
		id = rbuf_u32(&r);
		return keeper_run_end(k, id, rbuf_u8(&r));
	default:
		return; /* not in the table of the chan */
	}
}

static void front_message(void *user, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	/* G_POSTURE_READY is all that it may say */
	keeper_posture_ack(user, rbuf_u32(&r), ACK_FRONT);
}

static void dialer_message(void *user, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	if (m->type == G_PIN)
		keeper_pin(user, m);
	else if (m->type == G_STAYING)
		keeper_posture_staying(user, m);
	else
		keeper_posture_ack(user, rbuf_u32(&r), ACK_DIALER);
}

static void end_now(void *user, int error)
{
	struct keeper *k = user;

	(void)error;
	(void)event_base_loopbreak(k->base);
}

static int keeper_isolate(const struct helper_ids *ids, struct err *err)
{
	int r = isolate_identity(ids->uid, ids->gid, err);

	if (r == 0)
		r = isolate_userns(0, 0, err);
	if (r == 0)
		/* /proc/PID/cgroup says nothing of where on the host we are */
		r = isolate_pid1(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
					 CLONE_NEWCGROUP,
				 err);
	/* it executes nothing; its children need not do this one by one */
	return r < 0 ? r : isolate_bound(err);
}

static int keeper_wires(struct keeper *k)
{
	int r;

	k->caller.on_message = caller_message;
	k->front.on_message = front_message;
	k->dialer.on_message = dialer_message;
	k->caller.on_end = k->front.on_end = k->dialer.on_end = end_now;
	k->caller.user = k->front.user = k->dialer.user = k;
	r = wire_init(&k->caller, k->base, KEEPER_FD_CALLER,
		      proto_keeper_caller_rules, proto_keeper_caller_nrules);
	if (r == 0)
		r = wire_init(&k->front, k->base, KEEPER_FD_FRONT,
			      proto_keeper_front_rules,
			      proto_keeper_front_nrules);
	if (r == 0)
		r = wire_init(&k->dialer, k->base, KEEPER_FD_DIALER,
			      proto_keeper_dialer_rules,
			      proto_keeper_dialer_nrules);
	return r;
}

int keeper_main(const struct helper_ids *ids)
{
	static struct keeper k;
	struct err err;
	int r;

	err_clear(&err);
	k.ids = ids;
	k.spare_netns = k.join_frozen = k.fresh_in = k.fresh_lock = -1;
	if (keeper_isolate(ids, &err) < 0 ||
	    helper_hello(KEEPER_FD_CALLER, &err) < 0)
		return helper_fail(KEEPER_FD_CALLER, &err);
	k.base = helper_loop(KEEPER_FD_CALLER_PID);
	r = k.base ? keeper_wires(&k) : -ENOMEM;
	if (r < 0) {
		(void)err_sys(&err, -r, "event loop", "keeper");
		return helper_fail(KEEPER_FD_CALLER, &err);
	}
	(void)event_base_dispatch(k.base);
	helper_bye(KEEPER_FD_CALLER);
	keeper_fresh_remove(&k);
	/* every process in the pid namespace ends with its pid 1 */
	_exit(EXIT_SUCCESS);
}
