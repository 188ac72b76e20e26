/* fuzz_runs.c - caller and children of runs talk to the keeper
 * SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's process without its isolation: core/helper/keeper.c as it is,
 * with runs and spare children, and nothing behind them: a child is a channel
 * and an eventfd in the place of its pidfd, a posture is a number. The input is
 * a script of steps of STEP bytes: the caller opens the session, starts, ends
 * and kills runs, pauses and lets go on; children say what they like, in any
 * order, in the right form or not; timers are up when the input says so.
 *
 * What must hold, by a model that is written from core/proto.h and
 * backends/backend.h alone: each run has one end, and nothing is said of it
 * behind that; its command reaches one child, unchanged, of its own posture,
 * once that is ready, and not while all stand still; all do stand still when
 * the caller is told so, and what was frozen for it is not when they go on; a
 * message that is cut short, or longer than it may be,
 * ends the keeper, and nothing else comes of it; no descriptor is left over.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/runs_fake.h"

/* The process ends by a flag. */
static void ended(int status);
#define _exit(status) ended(status)
/* one function there has no other end */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
#include "core/helper/keeper.c" /* NOLINT(bugprone-suspicious-include) */
#pragma GCC diagnostic pop
#undef _exit

enum { STEP = 4, STEPS = 160, POSTURES = 3, RUNS = 24 };

enum step_kind {
	S_POSTURE,
	S_READY,
	S_RUN,
	S_CHILD,
	S_CHILD_RAW,
	S_KILL,
	S_END,
	S_PAUSE,
	S_PREPARE,
	S_TIME,
	S_LIFE,
	S_DROP,
	S_BROKEN,
	S_PING,
	S_KINDS
};

struct model {
	bool asked, answered;
	uint32_t posture;
	unsigned nfds;
	size_t len; /* of its command */
};

/* What stands for a group that can be frozen. */
struct group {
	int freeze, events;
	bool frozen; /* events says so */
};

struct keeper keeper;
static struct chan caller, front, dialer;
static struct model runs[RUNS + 1];
static bool used[POSTURES + 1], ready[POSTURES + 1];
static bool over;     /* the keeper has ended */
static bool paused;   /* the caller asked for it */
static bool is_over;  /* the session's time was up */
static unsigned told; /* messages that the caller got */
static unsigned pings;
static struct group groups[KEEPER_FREEZERS]; /* of the last pause */
static unsigned ngroups;

/* ---- what stands for the machine ---- */

static void ended(int status)
{
	assert(status == EXIT_FAILURE);
	over = true;
}

/* ---- who hears the keeper ---- */

uint32_t runs_posture(uint32_t run)
{
	assert(run >= 1 && run <= RUNS && runs[run].asked);
	return runs[run].posture;
}

static struct child *child_of(uint32_t run)
{
	for (size_t i = 0; i < fake.nchildren; i++)
		if (fake.children[i].run == run)
			return &fake.children[i];
	return NULL;
}

static void child_hears_command(struct child *c, const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);
	const struct model *run = &runs[id];

	assert(!r.bad && id >= 1 && id <= RUNS && c->run == 0);
	assert(run->asked && !run->answered && !child_of(id));
	assert(m->nfds == run->nfds && m->len == run->len);
	while (rbuf_left(&r) > 0)
		assert(rbuf_u8(&r) == (uint8_t)id);
	assert(ready[run->posture] && !paused);
	assert(keeper.postures[run->posture].netns == c->netns);
	c->run = id;
}

static void child_hears(struct child *c, const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t sig;

	if (m->type == BACKEND_COMMAND)
		return child_hears_command(c, m);
	assert(c->run);
	if (m->type == BACKEND_PAUSE) {
		/* before its command has begun it would not hear */
		assert(c->started || c->raw);
		c->stops += rbuf_u8(&r);
		return;
	}
	sig = rbuf_u32(&r);
	assert(m->type == BACKEND_SIGNAL && sig > 0 && sig < NSIG);
}

static struct model *model_of(struct rbuf *r, uint32_t *ret_id)
{
	uint32_t id = rbuf_u32(r);

	assert(!r->bad && id >= 1 && id <= RUNS);
	assert(runs[id].asked && !runs[id].answered);
	*ret_id = id;
	return &runs[id];
}

static void caller_hears_exited(struct rbuf *r)
{
	uint32_t id, status;
	struct model *run = model_of(r, &id);
	const struct child *c = child_of(id);

	status = rbuf_u32(r);
	assert(rbuf_u8(r) <= RUN_SESSION);
	/* nobody else knows */
	assert(!c || c->exited || c->raw || c->dead);
	assert(!c || !c->exited || c->raw || status == c->status);
	run->answered = true;
}

static bool is_thawed(const struct group *g)
{
	char last = '0';
	off_t end = lseek(g->freeze, 0, SEEK_END);

	return end == 0 ||
	       (pread(g->freeze, &last, 1, end - 1) == 1 && last == '0');
}

static void caller_hears_paused(struct rbuf *r)
{
	bool pause = rbuf_u8(r);

	for (unsigned i = 0; i < ngroups; i++)
		assert(pause ? is_thawed(&groups[i]) || groups[i].frozen :
			       is_thawed(&groups[i]));
	if (!pause)
		return;
	assert(paused || is_over);
	for (size_t i = 0; i < fake.nchildren; i++) {
		const struct child *c = &fake.children[i];

		assert(c->dead || !c->run || runs[c->run].answered || c->raw ||
		       c->stopped == c->stops);
	}
}

static void caller_hears(const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct model *run;
	uint32_t id;

	told++;
	switch (m->type) {
	case K_EXITED:
		return caller_hears_exited(&r);
	case K_RUN_FAILED:
		run = model_of(&r, &id);
		assert(rbuf_u32(&r) > 0);
		run->answered = true;
		return;
	case K_TTY:
		(void)model_of(&r, &id);
		assert(m->nfds == 1 && child_of(id) && child_of(id)->tty);
		return;
	case K_PAUSED:
		return caller_hears_paused(&r);
	case P_PONG:
		assert(pings > 0);
		pings--;
		return;
	default:
		assert(m->type == K_OPENED || m->type == K_WORK_MADE);
	}
}

static void turn(void)
{
	static struct msg m;

	for (int i = 0; i < 4; i++)
		(void)event_base_loop(keeper.base, EVLOOP_NONBLOCK);
	for (size_t i = 0; i < fake.nchildren; i++)
		while (!fake.children[i].dead &&
		       chan_recv(&fake.children[i].chan, 0, &m) > 0) {
			child_hears(&fake.children[i], &m);
			msg_done(&m);
		}
	while (chan_recv(&caller, PROTO_SERVING, &m) > 0) {
		caller_hears(&m);
		msg_done(&m);
	}
}

/* ---- who talks to it ---- */

static void say(struct chan *c, uint32_t type, const struct sbuf *b,
		unsigned nfds)
{
	static const int fds[MSG_FDS_MAX];

	(void)chan_send(c, type, b->s, b->len, fds, nfds);
}

static void say_numbers(struct chan *c, uint32_t type, uint32_t a, int more,
			unsigned nfds)
{
	struct sbuf b;

	sbuf_init(&b, 64);
	sbuf_u32(&b, a);
	if (more >= 0)
		sbuf_u32(&b, (uint32_t)more);
	say(c, type, &b, nfds);
	sbuf_done(&b);
}

/* No command is let go, but by its own grace or time: those are the input's. */
static void step_run(const uint8_t *s)
{
	static const uint64_t times[] = { 0, 3600000, UINT64_MAX,
					  UINT64_MAX / 2 };
	uint32_t id = 1;
	struct model *run;
	struct sbuf b;

	while (id <= RUNS && runs[id].asked)
		id++;
	if (id > RUNS)
		return;
	run = &runs[id];
	*run = (struct model){
		.asked = true,
		.posture = s[1] % (POSTURES + 1u),
		.nfds = 3 + s[2] % 4u,
		.len = 4 + s[3] % 32u + (s[2] & 0x80 ? MSG_INLINE_MAX : 0),
	};
	sbuf_init(&b, 2 * MSG_INLINE_MAX);
	sbuf_u32(&b, id);
	sbuf_u32(&b, run->posture);
	sbuf_u64(&b, times[s[2] >> 2 & 3]);
	sbuf_u64(&b, times[s[2] >> 4 & 3]);
	sbuf_u32(&b, id);
	for (size_t i = 4; i < run->len; i++)
		sbuf_u8(&b, (uint8_t)id);
	say(&caller, K_RUN, &b, run->nfds);
	sbuf_done(&b);
}

static void step_child(const uint8_t *s)
{
	struct child *c =
		&fake.children[s[1] % (fake.nchildren ? fake.nchildren : 1)];
	struct err err;
	struct sbuf b;

	if (fake.nchildren == 0 || c->dead)
		return;
	sbuf_init(&b, MSG_INLINE_MAX);
	switch (s[2] % 7) {
	case 0:
		c->started = true;
		say(&c->chan, BACKEND_STARTED, &b, 0);
		break;
	case 1:
		c->tty = true;
		say(&c->chan, BACKEND_TTY, &b, 1);
		break;
	case 2:
		if (!c->exited)
			c->status = s[3];
		c->exited = true;
		sbuf_u32(&b, s[3]);
		for (int i = 0; i < 3; i++)
			sbuf_u64(&b, s[3] & 1 ? UINT64_MAX : 7);
		say(&c->chan, BACKEND_EXITED, &b, 0);
		break;
	case 3:
		err_clear(&err);
		(void)err_new(&err, ERR_INTERNAL, "start", NULL, "%s", "no");
		backend_put_failed(&b, &err, 125);
		if (s[3] & 1)
			sbuf_u8(&b, 0);
		say(&c->chan, BACKEND_FAILED, &b, 0);
		break;
	case 4:
		c->stopped += c->stopped < c->stops;
		say(&c->chan, BACKEND_STOPPED, &b, 0);
		break;
	case 5:
		say(&c->chan, BACKEND_LOOSE, &b, 0);
		break;
	default:
		child_dies(c);
	}
	sbuf_done(&b);
}

/* Returns how many of the bytes that follow are its body. */
static size_t step_child_raw(const uint8_t *s, const uint8_t *data, size_t left)
{
	struct child *c =
		&fake.children[s[1] % (fake.nchildren ? fake.nchildren : 1)];
	static const int fds[MSG_FDS_MAX];
	size_t len = s[3] < left ? s[3] : left;

	if (fake.nchildren == 0 || c->dead)
		return 0;
	c->raw = c->tty = true;
	(void)chan_send(&c->chan, s[2] & 15, data, len, fds, s[2] >> 4 & 3);
	return len;
}

static void groups_close(void)
{
	while (ngroups > 0) {
		struct group *g = &groups[--ngroups];

		fd_close(&g->freeze);
		fd_close(&g->events);
	}
}

/* Files of groups, and one by which to join. Returns their number. */
static unsigned groups_open(const uint8_t *s, int fds[MSG_FDS_MAX])
{
	static const char *const texts[] = { "populated 1\nfrozen 0\n",
					     "populated 1\nfrozen 1\n" };
	static int unwritable = -1;
	unsigned n = 0;

	if (unwritable < 0)
		unwritable = open("/dev/null", O_RDONLY | O_CLOEXEC);
	groups_close();
	for (unsigned i = 0; i < s[2] % (KEEPER_FREEZERS + 1u); i++) {
		struct group *g = &groups[ngroups++];

		g->frozen = s[3] >> i & 1;
		g->freeze = memfd_create("freeze", MFD_CLOEXEC);
		g->events = memfd_create("events", MFD_CLOEXEC);
		(void)fd_write_all(g->events, texts[g->frozen],
				   strlen(texts[g->frozen]));
		fds[n++] = s[3] >> (2 + i) & 1 ? unwritable : g->freeze;
		fds[n++] = g->events;
	}
	if (n > 0 && !(s[3] & 16))
		fds[n++] = 0;
	return n;
}

static void step_pause(const uint8_t *s)
{
	int fds[MSG_FDS_MAX];
	unsigned nfds = 0;
	const uint8_t pause = s[1] & 1;

	/* who asks twice gives nothing new */
	if (pause && !paused && !is_over)
		nfds = groups_open(s, fds);
	/* what is told so far was of before; a session that is over goes on */
	paused = pause && !is_over;
	(void)chan_send(&caller, K_PAUSE, &pause, 1, fds, nfds);
}

/* Some event's time is up, if it waits for one. */
static void step_time(const uint8_t *s)
{
	struct event *const session[] = { keeper.life, keeper.spare_timer,
					  keeper.frozen_timer };
	struct event *e = NULL;

	if (s[1] & 1) {
		struct keeper_run *run = keeper.runs[s[2] % RUNS];

		e = run ? run->timer : NULL;
	} else {
		e = session[s[2] % 3];
	}
	if (!e || !event_pending(e, EV_TIMEOUT, NULL))
		return;
	if (e == keeper.life) {
		is_over = true;
		paused = false;
	}
	event_active(e, EV_TIMEOUT, 1);
}

static void step_life(const uint8_t *s)
{
	struct sbuf b;

	sbuf_init(&b, 8);
	sbuf_u64(&b, s[1] & 1 ? UINT64_MAX : 3600000);
	say(&caller, K_LIFE, &b, 0);
	sbuf_done(&b);
}

/* s: kind, which, how many bytes too many or too few, descriptors. */
static void step_broken(const uint8_t *s)
{
	static const struct {
		uint32_t type;
		size_t len;
		unsigned nfds;
	} forms[] = {
		{ K_OPEN, 20, 0 },   { K_WORK, 16, 0 },
		{ K_POSTURE, 4, 1 }, { K_POLICY, 4, 1 },
		{ K_PREPARE, 4, 0 }, { K_POSTURE_DROP, 4, 0 },
		{ K_KILL, 8, 0 },    { K_END, 5, 0 },
		{ K_LIFE, 8, 0 },    { K_PAUSE, 1, 0 },
		{ K_RUN, 24, 3 },    { K_EXITED, 41, 0 },
		{ K_PAUSED, 1, 0 },  { P_BYE, 0, 0 },
		{ K_TTY, 4, 1 },     { P_PING, 0, 0 },
	};
	const size_t i = s[1] % (sizeof(forms) / sizeof(forms[0]));
	size_t len = forms[i].len;
	unsigned nfds = forms[i].nfds, before;
	struct sbuf b;

	if (s[2] == 0)
		nfds += 6; /* none has so many */
	else if (s[2] & 1 && len >= s[2] / 2u + 1)
		len -= s[2] / 2u + 1;
	else if (forms[i].type == K_RUN)
		len -= 1; /* behind it is the command */
	else
		len += s[2];
	sbuf_init(&b, 512);
	for (size_t n = 0; n < len; n++)
		sbuf_u8(&b, s[3]);
	before = told;
	say(&caller, forms[i].type, &b, nfds);
	sbuf_done(&b);
	turn();
	assert(over && told == before);
}

static size_t step(const uint8_t *s, const uint8_t *data, size_t left)
{
	uint32_t id = s[1] % (POSTURES + 1u);
	struct sbuf b;

	fake.refuse = s[0] & 0x80;
	switch ((enum step_kind)((s[0] & 0x7f) % S_KINDS)) {
	case S_POSTURE:
		if (id > 0 && !used[id]) {
			used[id] = true;
			say_numbers(&caller, K_POSTURE, id, -1, 1);
		}
		return 0;
	case S_READY:
		ready[id] |= used[id];
		say_numbers(&front, G_POSTURE_READY, id, -1, 0);
		return 0;
	case S_RUN:
		step_run(s);
		return 0;
	case S_CHILD:
		step_child(s);
		return 0;
	case S_CHILD_RAW:
		return step_child_raw(s, data, left);
	case S_KILL:
		say_numbers(&caller, K_KILL, s[1] % (RUNS + 2u), s[2], 0);
		return 0;
	case S_END:
		sbuf_init(&b, 8);
		sbuf_u32(&b, s[1] % (RUNS + 2u));
		sbuf_u8(&b, s[2] % 8);
		say(&caller, K_END, &b, 0);
		sbuf_done(&b);
		return 0;
	case S_PAUSE:
		step_pause(s);
		return 0;
	case S_PREPARE:
		say_numbers(&caller, s[2] & 1 ? K_POLICY : K_PREPARE, id, -1,
			    s[2] & 1);
		return 0;
	case S_TIME:
		step_time(s);
		return 0;
	case S_LIFE:
		step_life(s);
		return 0;
	case S_DROP:
		say_numbers(&caller, K_POSTURE_DROP, id, -1, 0);
		return 0;
	case S_BROKEN:
		step_broken(s);
		return 0;
	case S_PING:
		pings++;
		(void)chan_send(&caller, P_PING, NULL, 0, NULL, 0);
		return 0;
	case S_KINDS:
		break;
	}
	return 0;
}

/* ---- the beginning: how: bits of what is wrong with it ---- */

static void say_open(uint8_t how)
{
	const struct view_op op = {
		.kind = VIEW_DIR,
		.path = (char *)(uintptr_t) "/tmp",
		.mode = 01777,
	};
	struct view v;
	struct sbuf b;
	int r;

	view_init(&v);
	r = view_add(&v, &op);
	assert(r == 0);
	sbuf_init(&b, MSG_INLINE_MAX);
	sbuf_u32(&b, 1000);
	sbuf_u32(&b, 1000);
	sbuf_u8(&b, how & 1);
	sbuf_lstr(&b, how & 2 ? "none such" : "userns");
	sbuf_lstr(&b, how & 4 ? NULL : "exeat");
	view_encode(&v, &b);
	if (how & 8)
		sbuf_u8(&b, 0);
	if (how & 16)
		b.len--;
	say(&caller, K_OPEN, &b, how >> 6);
	sbuf_done(&b);
	view_done(&v);
	turn();
	assert(over == ((how & 2) || (how & 4) || !(how & 8) != !(how & 16) ||
			fake.refuse));
}

static void say_work(uint8_t how)
{
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	sbuf_u64(&b, 1 << 20);
	sbuf_lstr(&b, how & 1 ? NULL : "/place");
	sbuf_lstr(&b, how & 2 ? "/lower" : NULL);
	if (how & 4)
		sbuf_u8(&b, 0);
	say(&caller, K_WORK, &b, 0);
	sbuf_done(&b);
	turn();
	assert(over == (how & 1 || how & 4));
	assert(told == !over);
}

/* ---- the harness ---- */

static void on_end(void *user, int error)
{
	assert(user == &keeper && error > 0);
	over = true;
}

static void wire_open(struct wire *w, struct chan *theirs,
		      void (*on_message)(void *user, struct msg *m),
		      const struct msg_rule *rules, size_t nrules,
		      const struct proto_table *their_rules)
{
	int pair[2], r = chan_pair(pair);

	assert(r == 0);
	w->on_message = on_message;
	w->on_end = on_end;
	w->user = &keeper;
	r = wire_init(w, keeper.base, pair[0], rules, nrules);
	assert(r == 0);
	chan_init(theirs, pair[1], their_rules->rules, their_rules->nrules,
		  LIMIT_CHAN_QUEUE);
}

static void harness_begin(void)
{
	static const struct proto_table none;
	struct keeper *k = &keeper;

	memset(k, 0, sizeof(*k));
	memset(runs, 0, sizeof(runs));
	memset(used, 0, sizeof(used));
	memset(ready, 0, sizeof(ready));
	fake.nchildren = 0;
	told = pings = 0;
	over = fake.refuse = paused = is_over = false;
	k->spare_netns = k->join_frozen = -1;
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		k->postures[i].netns = k->postures[i].next_image = -1;
	k->base = event_base_new();
	assert(k->base);
	wire_open(&k->caller, &caller, caller_message,
		  proto_keeper_caller_rules, proto_keeper_caller_nrules,
		  &proto_caller_tables[0]);
	wire_open(&k->front, &front, front_message, proto_keeper_front_rules,
		  proto_keeper_front_nrules, &none);
	wire_open(&k->dialer, &dialer, dialer_message,
		  proto_keeper_dialer_rules, proto_keeper_dialer_nrules, &none);
}

/* Whatever lives dies: then each run has had its end. */
static void all_die(void)
{
	const bool was_over = over;

	fake.refuse = true;
	for (int i = 0; i < 8; i++) {
		for (size_t n = 0; n < fake.nchildren; n++)
			child_dies(&fake.children[n]);
		turn();
	}
	for (size_t i = 0; i < LIMIT_RUNS; i++)
		assert(!keeper.runs[i]);
	for (uint32_t id = 1; id <= RUNS && !was_over; id++)
		assert(runs[id].answered == runs[id].asked);
	assert(was_over || pings == 0);
}

static void harness_end(void)
{
	struct keeper *k = &keeper;

	all_die();
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		fd_close(&k->postures[i].netns);
	fd_close(&k->spare_netns);
	if (k->life)
		event_free(k->life);
	if (k->spare_timer)
		event_free(k->spare_timer);
	if (k->frozen_timer)
		event_free(k->frozen_timer);
	while (k->nfreezers > 0) {
		fd_close(&k->freezers[--k->nfreezers].freeze);
		fd_close(&k->freezers[k->nfreezers].events);
	}
	groups_close();
	view_done(&k->view);
	wire_done(&k->caller);
	wire_done(&k->front);
	wire_done(&k->dialer);
	chan_done(&caller);
	chan_done(&front);
	chan_done(&dialer);
	event_base_free(k->base);
}

static void script(const uint8_t *data, size_t size)
{
	size_t at = 0;

	for (int i = 0; i < STEPS && size - at >= STEP && !over; i++) {
		const uint8_t *s = data + at;

		at += STEP;
		at += step(s, data + at, size - at);
		turn();
	}
}

/* The first bytes: what comes before the session is open, and its opening. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before;

	if (size < 2)
		return 0;
	before = fuzz_lowest_fd();
	harness_begin();
	fake.refuse = data[0] & 0x80;
	if (data[0] & 0x40)
		say_work(data[0]);
	if (!over)
		say_open(data[1]);
	if (!over)
		script(data + 2, size - 2);
	harness_end();
	assert(fuzz_lowest_fd() == before);
	return 0;
}
