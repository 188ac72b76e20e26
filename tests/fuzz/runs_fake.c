/* runs_fake.c - what the keeper of fuzz_runs.c stands on
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/runs_fake.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

struct fake fake;

int helper_fail(int fd, const struct err *err)
{
	assert(fd >= 0 && err->code != ERR_NONE);
	return EXIT_FAILURE;
}

int helper_hello(int fd, struct err *err)
{
	return err_sys(err, EPERM, "say", "hello on %d", fd);
}

void helper_bye(int fd)
{
	assert(fd >= 0);
}

struct event_base *helper_loop(int caller_pidfd)
{
	return caller_pidfd < 0 ? NULL : event_base_new();
}

int view_session(struct view *v, const int *fds, unsigned nfds, struct err *err)
{
	assert(v && (nfds == 0 || fds[0] >= 0));
	return fake.refuse ? err_sys(err, EPERM, "mount", "root") : 0;
}

int view_work(const struct view_work *w, int *ret_mount, struct err *err)
{
	assert(w->place);
	*ret_mount = fake.refuse ? -1 : fcntl(0, F_DUPFD_CLOEXEC, 0);
	return fake.refuse ? err_sys(err, EPERM, "mount", "work dir") : 0;
}

int netns_new(int *ret_fd, struct err *err)
{
	*ret_fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? err_sys(err, errno, "make", "netns") : 0;
}

int netns_enter(int fd, struct err *err)
{
	(void)err;
	assert(fd >= 0);
	fake.entered = fd;
	return 0;
}

static int fake_probe(struct err *err)
{
	err_clear(err);
	return 0;
}

static int fake_prepare(const struct backend_spec *spec,
			struct backend_child *ret, struct err *err)
{
	struct child *c = &fake.children[fake.nchildren];
	int pair[2], r;

	assert(spec == &keeper.spec);
	if (fake.refuse || fake.nchildren == FAKE_CHILDREN)
		return err_sys(err, EAGAIN, "fork", "child");
	r = chan_pair(pair);
	assert(r == 0);
	*c = (struct child){ .number = eventfd(0, EFD_CLOEXEC) };
	c->life = fcntl(c->number, F_DUPFD_CLOEXEC, 0);
	c->netns = fake.entered;
	chan_init(&c->chan, pair[1], backend_child_rules, backend_child_nrules,
		  LIMIT_CHAN_QUEUE);
	fake.nchildren++;
	/* a number that no process of this machine has */
	*ret = (struct backend_child){
		.pid = INT32_MAX,
		.pidfd = c->number,
		.control = pair[0],
	};
	return 0;
}

const struct backend backend_userns = {
	.name = "userns",
	.probe = fake_probe,
	.prepare = fake_prepare,
};

void child_dies(struct child *c)
{
	const uint64_t one = 1;

	if (c->dead)
		return;
	c->dead = true;
	(void)!write(c->life, &one, sizeof(one));
	fd_close(&c->life);
	chan_done(&c->chan);
}

/* The keeper's: a number may be a later child's, too. */
int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	assert(sig == SIGKILL && !info && flags == 0);
	for (size_t i = fake.nchildren; i-- > 0;)
		if (fake.children[i].number == pidfd) {
			child_dies(&fake.children[i]);
			return 0;
		}
	assert(!"a pidfd of no child");
	return -1;
}

/* ---- the keeper's other part: postures ---- */

struct keeper_posture *keeper_posture_find(struct keeper *k, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < LIMIT_POSTURES; i++)
		if (k->postures[i].id == id)
			return &k->postures[i];
	return NULL;
}

void keeper_posture_add(struct keeper *k, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct keeper_posture *p = &k->postures[rbuf_u32(&r)];
	struct err err;

	assert(m->nfds == 1 && p->id == 0);
	p->id = (uint32_t)(p - k->postures);
	p->missing = ACK_FRONT;
	if (k->spare_netns >= 0) {
		p->netns = fd_steal(&k->spare_netns);
		keeper_spare_taken(k, p->id);
	} else {
		(void)netns_new(&p->netns, &err);
	}
}

void keeper_posture_drop(struct keeper *k, uint32_t id)
{
	struct keeper_posture *p = keeper_posture_find(k, id);

	if (!p)
		return;
	keeper_runs_unprepare(k, id);
	/* its number stays taken, so that children can be told apart */
	p->id = 0;
}

void keeper_posture_policy(struct keeper *k, struct msg *m)
{
	assert(k == &keeper && m->nfds == 1 && m->len == 4);
}

void keeper_posture_ack(struct keeper *k, uint32_t id, enum keeper_ack who)
{
	struct keeper_posture *p = keeper_posture_find(k, id);

	assert(who == ACK_FRONT);
	if (!p || !p->missing)
		return;
	p->missing = 0;
	keeper_runs_of_posture(k, id, NULL);
}

void keeper_posture_staying(struct keeper *k, const struct msg *m)
{
	assert(k == &keeper && m->len >= 12);
}

void keeper_pin(struct keeper *k, const struct msg *m)
{
	assert(k == &keeper && m->len >= 16);
}

void keeper_posture_runs(struct keeper *k, struct keeper_posture *p)
{
	assert(k == &keeper && p->id > 0);
}

void keeper_posture_flush(struct keeper *k, struct keeper_posture *p,
			  uint32_t run)
{
	assert(k == &keeper && p->id == runs_posture(run));
}
