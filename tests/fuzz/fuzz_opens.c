/* fuzz_opens.c - what the dialer's process is told by caller, keeper and tls
 * SPDX-License-Identifier: Apache-2.0
 *
 * The process without its isolation: core/helper/dialer.c as it is, on
 * channels that the input writes to. Postures come, change and go in any
 * order; DNS servers, hosts and the caller's own proxy come twice or broken;
 * tls, which reads what the network sends, says what it likes.
 *
 * What must hold: the keeper is answered for postures that it named, and told
 * which pins stay only when it asked; what cannot be done, and a message that is
 * cut short or too long, ends the process and nothing else is said then; no
 * descriptor is left over.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/proto.h"
#include "tests/fuzz/fuzz.h"

/* The process ends by a flag, and its channels are not at fixed numbers. */
static void ended(int status);
static int keeper_fd;
#define _exit(status) ended(status)
#define DIALER_FD_KEEPER keeper_fd
/* one function there has no other end */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
#include "core/helper/dialer.c" /* NOLINT(bugprone-suspicious-include) */
#pragma GCC diagnostic pop
#undef _exit
#undef DIALER_FD_KEEPER

enum { STEP = 4, STEPS = 64, IDS = 8, IMAGES = 4 };

enum step_kind { S_KEEPER, S_OPEN, S_PROXY, S_TLS, S_RAW, S_TURN, S_KINDS };

static struct dialer_process process;
static struct chan caller, keeper, front, tls;
static bool over;
static bool named[IDS];	    /* by the keeper */
static unsigned asked[IDS]; /* which pins stay */
static int images[IMAGES];  /* open, a list, blocked, not sealed */

/* ---- what the process stands on ---- */

static void ended(int status)
{
	assert(status == EXIT_FAILURE);
	over = true;
}

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

int helper_isolate_gate(const struct helper_ids *ids, struct err *err)
{
	return err_sys(err, EPERM, "isolate", "%u", ids->uid);
}

struct event_base *helper_loop(int caller_pidfd)
{
	return caller_pidfd < 0 ? NULL : event_base_new();
}

/* ---- the keeper's ears ---- */

static void keeper_hears(const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t id = rbuf_u32(&r);

	/* no flow asks for any: nothing is ever pinned */
	assert(m->type == G_POSTURE_READY || m->type == G_STAYING);
	assert(id > 0 && id < IDS && named[id]);
	if (m->type == G_POSTURE_READY)
		return;
	assert(asked[id] > 0);
	asked[id]--;
	(void)rbuf_u32(&r);
	assert(rbuf_u32(&r) == 0 && !r.bad && rbuf_left(&r) == 0);
}

static void turn(void)
{
	static struct msg m;

	for (int i = 0; i < 2; i++)
		(void)event_base_loop(process.base, EVLOOP_NONBLOCK);
	while (chan_recv(&keeper, 0, &m) > 0) {
		keeper_hears(&m);
		msg_done(&m);
	}
}

/* ---- what is said ---- */

static void say(struct chan *c, uint32_t type, const struct sbuf *b,
		const int *fds, unsigned nfds)
{
	(void)chan_send(c, type, b->s, b->len, fds, nfds);
}

static void step_keeper(const uint8_t *s)
{
	static const uint32_t types[] = { G_POSTURE, G_POLICY, G_POLICY_NOW,
					  G_POSTURE_DROP, G_PINNED };
	uint32_t type = types[s[1] % 5], id = s[2] % IDS;
	struct sbuf b;

	sbuf_init(&b, 64);
	sbuf_u32(&b, id);
	if (type == G_POSTURE || type == G_PINNED)
		sbuf_u32(&b, s[3] >> 2);
	say(&keeper, type, &b, &images[s[3] % IMAGES],
	    type == G_POSTURE || type == G_POLICY);
	sbuf_done(&b);
	/* it is heard in this order, if it is heard */
	asked[id] += type == G_POLICY;
	named[id] |= type == G_POSTURE;
}

/* s: servers, hosts, how many are missing, or what is too much. */
static void step_open(const uint8_t *s)
{
	static const char *const names[] = { "a.test", "b.test", "A..B", "" };
	size_t whole;
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	sbuf_u32(&b, s[1] & 0x80 ? UINT32_MAX : s[1] % 12);
	for (int i = 0; i < s[1] % 12; i++) {
		sbuf_u64(&b, 0);
		sbuf_u64(&b, UINT64_C(0xffffc0000201) << 16 | s[3]);
		sbuf_u16(&b, s[3]);
		sbuf_u32(&b, s[3] & 1);
	}
	sbuf_u32(&b, s[2] & 0x80 ? UINT32_MAX : s[2] % 16);
	for (int i = 0; i < s[2] % 16; i++) {
		sbuf_lstr(&b, names[(s[3] + i) & 3]);
		sbuf_u64(&b, 0);
		sbuf_u64(&b, 0);
	}
	whole = b.len;
	if (b.len > 8 && s[3] & 0x40)
		b.len -= s[3] & 7;
	else if (s[3] & 0x20)
		sbuf_u8(&b, 0);
	say(&caller, D_OPEN, &b, NULL, 0);
	turn();
	/* cut short, or longer than what it counts */
	assert(over || process.caller.ended || b.len == whole);
	sbuf_done(&b);
}

static void step_proxy(const uint8_t *s)
{
	static const char *const urls[] = { "http://h", "socks5h://u:p@h",
					    "https://h", "https://192.0.2.1" };
	struct upproxy_error e;
	struct upproxy u;
	int pair[2], fds[2] = { images[s[2] % IMAGES], -1 };
	struct sbuf b;
	int r = upproxy_parse(urls[s[1] & 3], &u, &e);

	assert(r == 0);
	r = chan_pair(pair);
	assert(r == 0);
	fds[1] = pair[1];
	sbuf_init(&b, MSG_INLINE_MAX);
	upproxy_encode(&u, &b);
	if (s[3] & 2)
		sbuf_u8(&b, 0);
	say(&caller, D_PROXY, &b, fds, s[3] & 1 ? 2 : 1);
	sbuf_done(&b);
	fd_close(&pair[1]);
	chan_done(&tls);
	chan_init(&tls, pair[0], proto_tls_dialer_rules,
		  proto_tls_dialer_nrules, LIMIT_CHAN_QUEUE);
	turn();
	assert(over || process.caller.ended || !(s[3] & 2));
}

static void step_tls(const uint8_t *s)
{
	struct sbuf b;

	sbuf_init(&b, 64);
	sbuf_u32(&b, s[1]);
	sbuf_u32(&b, (uint32_t)s[2] << 24 | s[3]);
	say(&tls, T_WRAPPED, &b, images, s[3] & 1);
	sbuf_done(&b);
}

static size_t step_raw(const uint8_t *s, const uint8_t *data, size_t left)
{
	struct chan *const to[] = { &caller, &tls };
	size_t len = s[3] < left ? s[3] : left;

	(void)chan_send(to[s[1] & 1], s[2] % 64, data, len, images,
			s[1] >> 1 & 1);
	return len;
}

static size_t step(const uint8_t *s, const uint8_t *data, size_t left)
{
	switch ((enum step_kind)(s[0] % S_KINDS)) {
	case S_KEEPER:
		step_keeper(s);
		return 0;
	case S_OPEN:
		step_open(s);
		return 0;
	case S_PROXY:
		step_proxy(s);
		return 0;
	case S_TLS:
		step_tls(s);
		return 0;
	case S_RAW:
		return step_raw(s, data, left);
	case S_TURN:
	case S_KINDS:
		turn();
	}
	return 0;
}

/* ---- the harness ---- */

static int image_new(enum policy_mode mode)
{
	static const char *const allow[] = { "a.test" };
	const struct policy_spec spec = {
		.mode = mode,
		.allow = allow,
		.nallow = mode == POLICY_ALLOWLIST,
	};
	struct err err;
	void *image;
	size_t len;
	int fd, r = policy_compile(&spec, &image, &len, &err);

	assert(r == 0);
	fd = fd_sealed_memfd("image", image, len);
	assert(fd >= 0);
	free(image);
	return fd;
}

static void begin_once(void)
{
	if (images[0])
		return;
	images[0] = image_new(POLICY_OPEN);
	images[1] = image_new(POLICY_ALLOWLIST);
	images[2] = image_new(POLICY_BLOCKED);
	images[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void process_begin(void)
{
	struct dialer_process *dp = &process;
	const struct dialer_hooks hooks = {
		.user = dp,
		.route = ask_route,
		.pin = send_pins,
		.broken = end_now,
		.wrap = ask_wrap,
		.unwrap = ask_unwrap,
	};
	int c[2], k[2], f[2], r;

	memset(dp, 0, sizeof(*dp));
	memset(named, 0, sizeof(named));
	memset(asked, 0, sizeof(asked));
	over = false;
	dp->base = event_base_new();
	r = chan_pair(c) | chan_pair(k) | chan_pair(f);
	assert(dp->base && r == 0);
	keeper_fd = k[0];
	dp->caller.on_message = caller_message;
	dp->keeper.on_message = keeper_message;
	dp->tls.on_message = tls_message;
	dp->caller.on_end = dp->keeper.on_end = dp->tls.on_end = end_now;
	dp->caller.user = dp->keeper.user = dp->tls.user = dp;
	dp->keeper.chan.fd = dp->tls.chan.fd = -1;
	r = wire_init(&dp->caller, dp->base, c[0], proto_dialer_caller_rules,
		      proto_dialer_caller_nrules);
	assert(r == 0);
	r = dialer_new(dp->base, f[0], &hooks, &dp->dialer);
	assert(r == 0);
	chan_init(&caller, c[1], NULL, 0, LIMIT_CHAN_QUEUE);
	chan_init(&keeper, k[1], proto_keeper_dialer_rules,
		  proto_keeper_dialer_nrules, LIMIT_CHAN_QUEUE);
	chan_init(&front, f[1], NULL, 0, LIMIT_CHAN_QUEUE);
	chan_init(&tls, -1, NULL, 0, LIMIT_CHAN_QUEUE);
}

/* As the end of the process does it. */
static void process_end(void)
{
	struct dialer_process *dp = &process;

	dialer_free(dp->dialer);
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		image_unmap(&dp->postures[i].image);
		image_unmap(&dp->postures[i].next);
	}
	image_unmap(&dp->direct);
	wire_done(&dp->caller);
	wire_done(&dp->keeper);
	wire_done(&dp->tls);
	if (!dp->opened)
		fd_close(&keeper_fd);
	chan_done(&caller);
	chan_done(&keeper);
	chan_done(&front);
	chan_done(&tls);
	event_base_free(dp->base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;
	int before;

	begin_once();
	before = fuzz_lowest_fd();
	process_begin();
	for (int i = 0; i < STEPS && size - at >= STEP && !over; i++) {
		const uint8_t *s = data + at;

		at += STEP;
		at += step(s, data + at, size - at);
		if (!over)
			turn();
	}
	process_end();
	assert(fuzz_lowest_fd() == before);
	return 0;
}
