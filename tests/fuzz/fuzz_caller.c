/* fuzz_caller.c - helpers that were taken over talk to a caller's session
 * SPDX-License-Identifier: Apache-2.0
 *
 * The library as the caller has it, with runs that the input starts, kills and
 * forgets, and nobody behind the channels but the input: a script of
 * steps of STEP bytes, some with bytes behind them. Messages are sent raw or
 * in the right form; front and dialer say all that the keeper may.
 *
 * What must hold: a run ends once, by the keeper's word and front's, or with
 * the session; its result is what the keeper said first and never changes
 * afterwards; postures count their runs; the keeper is sent nothing that it
 * would refuse, asked once at most to end a run, and in turn to stop all runs
 * and to let them go on; a message that is cut short or too long breaks the
 * session; no descriptor is left over.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/audit/audit.h"
#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 4, STEPS = 200, RUNS = 8, HELLO_FDS = 8, SAID = 512 };

enum step_kind {
	S_RUN,
	S_RAW,
	S_SAY,
	S_EXITED,
	S_EVENT,
	S_TURN,
	S_FREE,
	S_KILL,
	S_OUTPUT,
	S_CHANGE,
	S_END,
	S_TTY,
	S_PAUSE,
	S_IDLE,
	S_BROKEN,
	S_KINDS
};

/* What the owner of a run does when it is told of its end. */
enum at_exit { KEEP, FREE_IT, FREE_FIRST, KILL_FIRST, AT_EXITS };

struct known {
	struct harness *harness;
	struct exeat_run *run; /* NULL: free slot */
	uint32_t id, posture;
	enum at_exit at_exit;
	int out[2]; /* the payload's ends */
	bool over;
	struct exeat_result result; /* as it was at its end */
	char reason[32];
};

/* What was said of a run, or of a posture, by its number. */
struct said {
	bool exited, failed, flushed;
	uint32_t status; /* of the first K_EXITED */
	bool asked_to_end;
};

struct harness {
	struct exeat_session *session;
	struct chan peers[HELPERS];
	struct known known[RUNS];
	struct said runs[SAID];
	bool postures_failed[SAID];
	bool paused; /* as the keeper was told */
	int hellos[HELLO_FDS]; /* taken for pidfds */
	size_t nhellos;
	const uint8_t *p, *end; /* of the input */
};

static void *image;
static struct policy *policy;

static struct proto_table peer_rules(unsigned helper)
{
	const struct proto_table tables[HELPERS] = {
		{ proto_keeper_caller_rules, proto_keeper_caller_nrules },
		{ proto_front_caller_rules, proto_front_caller_nrules },
		{ proto_dialer_caller_rules, proto_dialer_caller_nrules },
		{ proto_tls_caller_rules, proto_tls_caller_nrules },
	};

	return tables[helper];
}

/* ---- what must hold ---- */

/* As wait(2) has it, by hand. */
static int code_of(uint32_t status)
{
	unsigned low = status & 0x7f;

	if (low == 0 || low == 0x7f)
		return (int)(status >> 8 & 0xff);
	return -(int)low;
}

static void check_result(const struct known *k)
{
	const struct exeat_result *r = exeat_run_result(k->run);

	assert(!r == !k->over);
	if (!r)
		return;
	assert(r->returncode == k->result.returncode);
	assert(r->nrefusals == k->result.nrefusals);
	assert(r->refused_total == k->result.refused_total);
	assert(strcmp(r->termination_reason, k->reason) == 0);
	assert(r->nrefusals <= LIMIT_REFUSALS);
	assert(r->refused_total >= r->nrefusals);
}

static void check_postures(const struct exeat_session *s)
{
	uint32_t users[LIMIT_POSTURES] = { 0 };
	size_t alive = 0;

	for (struct exeat_run *run = s->runs; run; run = run->next) {
		assert(!run->posture == (run->phase == PHASE_OVER));
		if (run->posture)
			users[run->posture - s->postures]++;
		alive += run->posture && !run->exited;
	}
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		assert(s->postures[i].users == users[i]);
		assert(s->postures[i].named <= users[i]);
		assert(s->postures[i].id > 0 || users[i] == 0);
	}
	/* one that lives is never taken for ended */
	assert(s->unended >= alive || s->fatal.code != ERR_NONE);
	assert(s->unended <= s->last_run);
}

static void check(const struct harness *h)
{
	for (size_t i = 0; i < RUNS; i++)
		if (h->known[i].run)
			check_result(&h->known[i]);
	check_postures(h->session);
}

/* ---- the owner of the runs ---- */

static void forget(struct known *k)
{
	struct exeat_run *run = k->run;

	k->run = NULL;
	for (int i = 0; i < 2; i++)
		fd_close(&k->out[i]);
	exeat_run_free(run);
}

static struct known *first_known(struct harness *h)
{
	for (size_t i = 0; i < RUNS; i++)
		if (h->known[i].run)
			return &h->known[i];
	return NULL;
}

static void on_exit_cb(void *user, struct exeat_run *run)
{
	struct known *k = user, *first;
	struct harness *h = k->harness;
	const struct said *said = &h->runs[k->id];

	assert(k->run == run && !k->over);
	if (h->session->fatal.code == ERR_NONE && !said->failed &&
	    !h->postures_failed[k->posture]) {
		assert(said->exited && said->flushed);
		assert(exeat_run_result(run)->returncode ==
		       code_of(said->status));
	}
	k->over = true;
	k->result = *exeat_run_result(run);
	memcpy(k->reason, k->result.termination_reason, sizeof(k->reason));
	first = first_known(h);
	switch (k->at_exit) {
	case FREE_IT:
		return forget(k);
	case FREE_FIRST:
		return forget(first);
	case KILL_FIRST:
		(void)exeat_run_kill(first->run, 9, NULL);
		return;
	case KEEP:
	case AT_EXITS:
		return;
	}
}

static void on_output_cb(void *user, struct exeat_run *run,
			 enum exeat_stream stream, const void *data, size_t len)
{
	const struct known *k = user;

	assert(k->run == run && !k->over && stream == EXEAT_STDOUT);
	assert(data && len > 0);
}

static void on_event_cb(void *user, const struct exeat_event *e)
{
	const char *address = e->address;
	struct addr a;

	(void)user;
	assert(e->layer[0] && e->verdict && e->protocol && e->name);
	assert(e->learnt && e->rule && e->reason && e->allow_hint);
	assert(e->count >= 1);
	assert(!*address || (addr_parse(&address, &a) && !*address));
}

/* ---- what the caller says ---- */

static struct known *known_by_id(struct harness *h, uint32_t id)
{
	for (size_t i = 0; i < RUNS; i++)
		if (h->known[i].run && h->known[i].id == id)
			return &h->known[i];
	return NULL;
}

static void heard_end(struct harness *h, struct rbuf *r)
{
	struct said *s = &h->runs[rbuf_u32(r) % SAID];
	uint8_t reason = rbuf_u8(r);

	assert(!s->asked_to_end);
	assert(reason == RUN_IDLE || reason == RUN_OUTPUT);
	s->asked_to_end = true;
}

static void heard_pause(struct harness *h, struct rbuf *r)
{
	bool pause = rbuf_u8(r);

	assert(pause != h->paused);
	h->paused = pause;
}

/* Descriptors of a run are kept as a payload would. */
static void heard(struct harness *h, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	struct known *k;

	if (m->type == K_END)
		return heard_end(h, &r);
	if (m->type == K_PAUSE)
		return heard_pause(h, &r);
	if (m->type != K_RUN)
		return;
	/* what is started goes on */
	assert(!h->paused);
	k = known_by_id(h, rbuf_u32(&r));
	if (!k)
		return;
	k->posture = rbuf_u32(&r);
	for (int i = 0; i < 2; i++)
		k->out[i] = fd_steal(&m->fds[1 + i]);
}

static void hear(struct harness *h)
{
	static struct msg m;

	for (unsigned i = 0; i < HELPERS; i++) {
		struct chan *c = &h->peers[i];
		int r = 0;

		while (c->fd >= 0 && (r = chan_recv(c, 0, &m)) > 0) {
			heard(h, &m);
			msg_done(&m);
		}
		assert(r == 0 || r == -EPIPE);
	}
}

/* All that was said has been heard, on both sides. */
static void turn(struct harness *h)
{
	for (int i = 0; i < 4; i++)
		(void)exeat_session_dispatch(h->session, 0, NULL);
	check(h);
	hear(h);
}

/* ---- what the helpers say ---- */

static uint32_t number_at(const uint8_t *body, size_t len, size_t at)
{
	struct rbuf r = rbuf_make(body, len);

	rbuf_skip(&r, at);
	return rbuf_u32(&r);
}

static void remember(struct harness *h, unsigned from, uint32_t type,
		     const uint8_t *body, size_t len)
{
	const uint32_t id = number_at(body, len, 0);
	struct said *s = &h->runs[id % SAID];

	if (id >= SAID)
		return; /* there is none of that number */
	if (from == HELPER_FRONT && type == F_FLUSHED)
		s->flushed = true;
	if (from != HELPER_KEEPER)
		return;
	if (type == K_EXITED && !s->exited) {
		s->exited = true;
		s->status = number_at(body, len, 4);
	}
	if (type == K_RUN_FAILED)
		s->failed = true;
	if (type == K_POSTURE_FAILED)
		h->postures_failed[id] = true;
}

static void say(struct harness *h, unsigned from, uint32_t type,
		const uint8_t *body, size_t len, int fd)
{
	struct chan *c = &h->peers[from];

	if (c->fd < 0)
		return;
	remember(h, from, type, body, len);
	(void)chan_send(c, type, body, len, &fd, fd >= 0);
}

/* What a helper may pass as its own pidfd; readable: it has ended. */
static int hello_fd(struct harness *h, bool ended)
{
	if (h->nhellos == HELLO_FDS)
		return -1;
	h->hellos[h->nhellos] = eventfd(ended, EFD_CLOEXEC);
	return h->hellos[h->nhellos++];
}

/* s: kind, helper, type and descriptor, length of the body that follows. */
static void step_raw(struct harness *h, const uint8_t *s)
{
	size_t left = (size_t)(h->end - h->p), len = s[3] < left ? s[3] : left;
	int fd = s[2] & 1 ? hello_fd(h, s[2] & 2) : -1;

	say(h, s[1] % HELPERS, s[2] >> 2, h->p, len, fd);
	h->p += len;
}

static void step_say(struct harness *h, const uint8_t *s)
{
	enum {
		NUMBER = 1,
		CODE = 2,
		ERR = 4,
		PIDFD = 8,
		BIT = 16,
		FD = 32,
		VERSION = 64
	};
	static const struct {
		unsigned from;
		uint32_t type;
		unsigned parts;
	} forms[] = {
		{ HELPER_FRONT, F_FLUSHED, NUMBER },
		{ HELPER_KEEPER, K_OPENED, 0 },
		{ HELPER_KEEPER, K_POSTURE_READY, NUMBER },
		{ HELPER_KEEPER, K_POSTURE_FAILED, NUMBER | ERR },
		{ HELPER_KEEPER, K_POLICY_SET, NUMBER },
		{ HELPER_KEEPER, K_POLICY_FAILED, NUMBER | ERR },
		{ HELPER_KEEPER, K_RUN_FAILED, NUMBER | CODE | ERR },
		{ HELPER_KEEPER, P_HELLO, VERSION | PIDFD },
		{ HELPER_FRONT, P_HELLO, VERSION | PIDFD },
		{ HELPER_DIALER, P_HELLO, VERSION | PIDFD },
		{ HELPER_FRONT, P_ERROR, ERR },
		{ HELPER_DIALER, P_ERROR, ERR },
		{ HELPER_FRONT, K_EXITED, NUMBER },
		{ HELPER_DIALER, K_RUN_FAILED, NUMBER | CODE | ERR },
		{ HELPER_KEEPER, K_PAUSED, BIT },
		{ HELPER_KEEPER, K_WORK_MADE, FD },
		{ HELPER_KEEPER, K_WORK_MADE, ERR },
		{ HELPER_KEEPER, K_WORK_MADE, ERR | FD },
		{ HELPER_KEEPER, K_TTY, NUMBER | FD },
		{ HELPER_KEEPER, P_BYE, 0 },
		{ HELPER_FRONT, P_BYE, 0 },
		{ HELPER_DIALER, P_BYE, 0 },
		{ HELPER_KEEPER, P_PONG, 0 },
		{ HELPER_FRONT, P_PONG, 0 },
		{ HELPER_DIALER, P_PONG, 0 },
	};
	size_t i = s[1] % (sizeof(forms) / sizeof(forms[0]));
	struct err err;
	struct sbuf b;

	err_clear(&err);
	(void)err_new(&err, s[3] % 12, "step", s[3] & 1 ? "object" : NULL, "%s",
		      s[3] & 2 ? "\033[31m" : "why");
	sbuf_init(&b, MSG_INLINE_MAX);
	if (forms[i].parts & NUMBER)
		sbuf_u32(&b, s[2]);
	if (forms[i].parts & CODE)
		sbuf_u32(&b, 124u + s[3] % 8);
	if (forms[i].parts & ERR)
		err_encode(&err, &b);
	/* behind an error it is another one */
	if (forms[i].parts & ERR && s[3] & 4)
		sbuf_u8(&b, 0);
	if (forms[i].parts & BIT)
		sbuf_u8(&b, s[2]);
	if (forms[i].parts & VERSION)
		sbuf_lstr(&b, s[3] & 4 ? "0" : exeat_version());
	say(h, forms[i].from, forms[i].type, (const uint8_t *)b.s, b.len,
	    forms[i].parts & PIDFD ? hello_fd(h, s[3] & 1) :
	    forms[i].parts & FD	   ? 0 :
				     -1);
	sbuf_done(&b);
}

/* The run's other end is kept as a payload would. */
static void step_tty(struct harness *h, const uint8_t *s)
{
	struct known *k = &h->known[s[1] % RUNS];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	uint8_t body[4];
	struct wbuf b = wbuf_make(body, sizeof(body));

	if (k->run && master >= 0) {
		wbuf_u32(&b, k->id);
		if (k->out[0] < 0 && unlockpt(master) == 0)
			k->out[0] = ioctl(master, TIOCGPTPEER,
					  O_RDWR | O_NOCTTY | O_NONBLOCK |
						  O_CLOEXEC);
		say(h, HELPER_KEEPER, K_TTY, body, wbuf_len(&b), master);
	}
	fd_close(&master);
}

/* s: kind, which, bytes too many or (odd) too few. */
static void step_broken(struct harness *h, const uint8_t *s)
{
	static const struct {
		unsigned from;
		uint32_t type;
		size_t len;
		bool has_fd;
	} forms[] = {
		{ HELPER_KEEPER, K_OPENED, 0, false },
		{ HELPER_KEEPER, K_POSTURE_READY, 4, false },
		{ HELPER_KEEPER, K_POLICY_SET, 4, false },
		{ HELPER_KEEPER, K_TTY, 4, true },
		{ HELPER_KEEPER, K_TTY, 4, false },
		{ HELPER_KEEPER, K_PAUSED, 1, false },
		{ HELPER_KEEPER, K_EXITED, 41, false },
		{ HELPER_KEEPER, P_BYE, 0, false },
		{ HELPER_FRONT, F_FLUSHED, 4, false },
		{ HELPER_FRONT, P_BYE, 0, false },
		{ HELPER_DIALER, P_BYE, 0, false },
		{ HELPER_KEEPER, P_PONG, 0, false },
		{ HELPER_KEEPER, P_HELLO, 65, true },
	};
	const size_t i = s[1] % (sizeof(forms) / sizeof(forms[0]));
	const struct helper *helper = &h->session->helpers[forms[i].from];
	bool fewer = s[2] & 1 && forms[i].len > 0;
	uint8_t body[96] = { 0 };

	turn(h);
	if (helper->ended || helper->gone || h->peers[forms[i].from].fd < 0)
		return;
	(void)chan_send(&h->peers[forms[i].from], forms[i].type, body,
			fewer ? forms[i].len - 1 :
				forms[i].len + 1 + s[2] % 16u,
			&(int){ 0 }, forms[i].has_fd);
	turn(h);
	assert(h->session->fatal.code != ERR_NONE);
}

static void step_exited(struct harness *h, const uint8_t *s)
{
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	sbuf_u32(&b, s[1]);
	sbuf_u32(&b, s[2] | (uint32_t)s[3] << 8);
	sbuf_u8(&b, s[3] & 3);
	for (int i = 0; i < 4; i++)
		sbuf_u64(&b, s[2] & 0x80 ? UINT64_MAX : 1000);
	say(h, HELPER_KEEPER, K_EXITED, (const uint8_t *)b.s, b.len, -1);
	sbuf_done(&b);
}

static void step_event(struct harness *h, const uint8_t *s)
{
	char text[8] = { (char)s[3], (char)s[2] };
	const struct audit_event e = {
		.posture = s[1] & 7,
		.run = s[1] >> 3 & 7,
		.verdict = (enum audit_verdict)(s[1] >> 6),
		.layer = (enum audit_layer)(s[2] % 10),
		.name = s[3] & 1 ? text : NULL,
		.rule = s[3] & 2 ? text : NULL,
		.reason = s[3] & 4 ? "guard" : NULL,
		.has_address = s[3] & 8,
		.address = { .b = { [15] = s[3] } },
		.port = s[2],
		.dropped = s[3] & 16 ? s[2] : 0,
	};
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	audit_encode(&e, &b);
	say(h, HELPER_FRONT, F_EVENT, (const uint8_t *)b.s, b.len, -1);
	sbuf_done(&b);
}

/* ---- the other steps ---- */

static void step_run(struct harness *h, const uint8_t *s)
{
	static const char *const argv[] = { "true", NULL };
	struct exeat_run_options o = EXEAT_RUN_OPTIONS_INIT;
	struct known *k = NULL;

	for (size_t i = 0; !k && i < RUNS; i++)
		if (!h->known[i].run)
			k = &h->known[i];
	turn(h);
	if (!k)
		return;
	*k = (struct known){
		.harness = h,
		.at_exit = s[2] % AT_EXITS,
		.out = { -1, -1 },
	};
	o.argv = argv;
	o.user_data = k;
	o.on_exit = on_exit_cb;
	o.private_network = (s[1] & 3) == 1;
	o.network_mode = (s[1] & 3) == 2 ? "blocked" : NULL;
	o.pty = (s[1] & 16) != 0;
	o.idle_timeout_ms = s[1] & 32 ? 3600000 : 0;
	o.max_output_bytes = s[1] & 64 ? 3 : 0;
	o.stdio[EXEAT_STDIN] = s[1] & 20 ? EXEAT_STDIO_PIPE : EXEAT_STDIO_NONE;
	if (s[1] & 8) {
		o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
		o.on_output = on_output_cb;
	}
	if (exeat_run_start(h->session, &o, &k->run, NULL) < 0) {
		k->run = NULL;
		return;
	}
	k->id = (uint32_t)exeat_run_id(k->run);
	assert(k->id < SAID);
	h->runs[k->id] = (struct said){ .exited = false };
	hear(h);
	h->postures_failed[k->posture] = false;
}

static void step_output(struct harness *h, const uint8_t *s)
{
	struct known *k = &h->known[s[1] % RUNS];
	int *out = &k->out[s[2] & 1];

	if (!k->run || *out < 0)
		return;
	if (s[3])
		(void)!write(*out, "output", s[3] % 6 + 1u);
	else
		fd_close(out);
}

/* As if exeat_session_set_policy() had sent another. */
static void step_change(struct harness *h, const uint8_t *s)
{
	struct posture *p = posture_by_id(h->session, s[1]);

	if (p && p->state == POSTURE_READY)
		p->change = s[2] & 1 ? CHANGE_SENT : CHANGE_NONE;
}

/* As if it had not spoken since the machine was started. */
static void step_idle(struct harness *h, struct known *k)
{
	if (!k->run || !k->run->idle_ms)
		return;
	k->run->idle_ms = 1;
	k->run->active_ms = 0;
	due_ready(h->session);
}

static void step(struct harness *h, const uint8_t *s)
{
	struct known *k = &h->known[s[1] % RUNS];

	switch ((enum step_kind)(s[0] % S_KINDS)) {
	case S_RUN:
		return step_run(h, s);
	case S_RAW:
		return step_raw(h, s);
	case S_SAY:
		return step_say(h, s);
	case S_EXITED:
		return step_exited(h, s);
	case S_EVENT:
		return step_event(h, s);
	case S_TURN:
		return turn(h);
	case S_FREE:
		if (k->run)
			forget(k);
		return;
	case S_KILL:
		if (k->run)
			(void)exeat_run_kill(k->run, s[2], NULL);
		return;
	case S_OUTPUT:
		return step_output(h, s);
	case S_CHANGE:
		return step_change(h, s);
	case S_END:
		if (s[1] < HELPERS)
			chan_done(&h->peers[s[1]]);
		return;
	case S_TTY:
		return step_tty(h, s);
	case S_PAUSE:
		return session_pause_send(h->session, s[1] & 1);
	case S_IDLE:
		return step_idle(h, k);
	case S_BROKEN:
		return step_broken(h, s);
	case S_KINDS:
		return;
	}
}

/* ---- the harness ---- */

static void begin_once(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	const struct policy_spec spec = { .mode = POLICY_OPEN };
	struct err err;
	size_t len;
	int r;

	if (policy)
		return;
	/* a payload writes where nobody reads any more */
	r = sigaction(SIGPIPE, &ignore, NULL);
	assert(r == 0);
	r = policy_compile(&spec, &image, &len, &err);
	assert(r == 0);
	r = policy_new(image, len, &policy);
	assert(r == 0);
}

/* As session.c makes one, with channels to nobody; `hello`: a bit each. */
static void helper_open(struct harness *h, unsigned i, bool hello)
{
	struct helper *helper = &h->session->helpers[i];
	struct proto_table rules = peer_rules(i);
	int pair[2], r;

	*helper = (struct helper){
		.session = h->session,
		.name = "helper",
		.pidfd = -1,
		.hello = hello,
		.chan_source = { SOURCE_CHAN, helper },
		.pid_source = { SOURCE_PIDFD, helper },
	};
	r = chan_pair(pair);
	assert(r == 0);
	chan_init(&h->peers[i], pair[1], rules.rules, rules.nrules,
		  LIMIT_CHAN_QUEUE);
	chan_init(&helper->chan, pair[0], proto_caller_tables[i].rules,
		  proto_caller_tables[i].nrules, LIMIT_CHAN_QUEUE);
	r = session_watch(h->session, pair[0], &helper->chan_source, EPOLLIN,
			  true);
	assert(r == 0);
}

static void session_make(struct harness *h, uint8_t hellos)
{
	struct exeat_session *s = calloc(1, sizeof(*s));
	struct err err;
	int r;

	assert(s);
	h->session = s;
	workdir_init(&s->work);
	snapshot_init(&s->snapshot);
	s->work.path = strdup("/work");
	s->backend = "userns";
	s->session_policy = policy;
	s->on_event = on_event_cb;
	for (int i = 0; i < 3; i++)
		s->dialer_fds[i] = -1;
	s->dialer_own = s->resolv.fd = s->self = s->audit = -1;
	s->due_ms = INT64_MAX;
	s->due_source = (struct source){ SOURCE_DUE, s };
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert(s->work.path && s->epoll >= 0);
	r = due_open(s, &err);
	assert(r == 0);
	for (unsigned i = 0; i < HELPERS; i++)
		helper_open(h, i, !(hellos >> i & 1));
}

static void session_end(struct harness *h)
{
	const uint64_t one = 1;

	turn(h);
	for (unsigned i = 0; i < HELPERS; i++)
		chan_done(&h->peers[i]);
	turn(h);
	for (size_t i = 0; i < RUNS; i++)
		if (h->known[i].run) {
			assert(h->known[i].over);
			forget(&h->known[i]);
		}
	/* whoever is waited for has ended */
	for (size_t i = 0; i < h->nhellos; i++) {
		(void)!write(h->hellos[i], &one, sizeof(one));
		fd_close(&h->hellos[i]);
	}
	h->session->session_policy = NULL;
	exeat_session_close(h->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct harness h = { .nhellos = 0 };
	int before;

	if (size < 1)
		return 0;
	begin_once();
	before = fuzz_lowest_fd();
	h.p = data + 1;
	h.end = data + size;
	session_make(&h, data[0]);
	for (int i = 0; i < STEPS && h.end - h.p >= STEP; i++) {
		const uint8_t *s = h.p;

		h.p += STEP;
		step(&h, s);
	}
	session_end(&h);
	assert(fuzz_lowest_fd() == before);
	return 0;
}
