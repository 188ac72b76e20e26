/* base_msg.c - messages: bodies, descriptors, queue, and a hostile peer
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each test owns a connected pair: `a` sends, `b` receives. A peer that does
 * not keep to the frame is played by raw(), which writes packets by hand.
 * Every test ends with as many open descriptors as it began with.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"
#include "core/base/msg.h"

enum { T_ANY = 1, T_LATE, T_ONE_FD, T_SHORT };
enum { S_FIRST, S_SECOND };

#define IN(state) (1u << (state))

static const struct msg_rule rules[] = {
	{ T_ANY, IN(S_FIRST) | IN(S_SECOND), 0, 64 << 20, 0, MSG_FDS_MAX },
	{ T_LATE, IN(S_SECOND), 0, 100, 0, 0 },
	{ T_ONE_FD, IN(S_FIRST), 4, 8, 1, 1 },
};

struct pair {
	struct chan a, b;
	unsigned fds; /* open ones before */
	struct msg m;
};

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	struct pair *t = calloc(1, sizeof(*t));
	int fds[2];

	assert_non_null(t);
	t->fds = count_fds();
	assert_int_equal(chan_pair(fds), 0);
	chan_init(&t->a, fds[0], rules, 3, 8 << 20);
	chan_init(&t->b, fds[1], rules, 3, 8 << 20);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct pair *t = *state;
	unsigned after;

	msg_done(&t->m);
	chan_done(&t->a);
	chan_done(&t->b);
	after = count_fds();
	if (after != t->fds)
		print_error("%u descriptors before, %u after\n", t->fds, after);
	after -= t->fds;
	free(t);
	return after ? -1 : 0;
}

static void sockets(void **state)
{
	struct pair *t = *state;

	assert_true(fcntl(t->a.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(t->b.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(t->a.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 0);
	msg_done(&t->m);
	assert_false(chan_wants_write(&t->a));
}

/* Sizes round the border between the two ways a body travels. */
static void bodies(void **state)
{
	static const size_t sizes[] = { 0,
					1,
					100,
					MSG_INLINE_MAX - 1,
					MSG_INLINE_MAX,
					MSG_INLINE_MAX + 1,
					1 << 20 };
	struct pair *t = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *body = malloc(sizes[i] + 1);

		for (size_t j = 0; j < sizes[i]; j++)
			body[j] = (uint8_t)(j * 7 + i);
		assert_int_equal(
			chan_send(&t->a, T_ANY, body, sizes[i], NULL, 0), 0);
		assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 1);
		assert_int_equal(t->m.type, T_ANY);
		assert_int_equal(t->m.len, sizes[i]);
		assert_non_null(t->m.body);
		assert_memory_equal(t->m.body, body, sizes[i]);
		assert_int_equal(t->m.nfds, 0);
		msg_done(&t->m);
		msg_done(&t->m); /* twice is harmless */
		free(body);
	}
}

static void descriptors(void **state)
{
	static uint8_t big[MSG_INLINE_MAX + 1];
	struct pair *t = *state;
	int fds[MSG_FDS_MAX], taken;

	for (size_t i = 0; i < MSG_FDS_MAX; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(chan_send(&t->a, T_ANY, "hi", 2, fds, MSG_FDS_MAX), 0);
	assert_int_equal(
		chan_send(&t->a, T_ANY, big, sizeof(big), fds, MSG_FDS_MAX), 0);
	assert_int_equal(chan_send(&t->a, T_ANY, "", 0, fds, MSG_FDS_MAX + 1),
			 -EMSGSIZE);
	for (size_t i = 0; i < MSG_FDS_MAX; i++)
		fd_close(&fds[i]);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 1);
		assert_int_equal(t->m.nfds, MSG_FDS_MAX);
		for (size_t i = 0; i < MSG_FDS_MAX; i++)
			assert_true(fcntl(t->m.fds[i], F_GETFD) & FD_CLOEXEC);
		taken = fd_steal(&t->m.fds[3]);
		msg_done(&t->m);
		assert_true(fcntl(taken, F_GETFD) >= 0);
		fd_close(&taken);
	}
}

/* What the socket does not take waits, in order, with its descriptors. */
static void queueing(void **state)
{
	struct pair *t = *state;
	static uint8_t body[MSG_INLINE_MAX + 1];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint32_t sent = 0, got = 0;
	int r;

	while (t->a.queued < 2 << 20) {
		/* every third body is a memfd */
		size_t len = sizeof(body) - (sent % 3 ? 1 : 0);

		memcpy(body, &sent, sizeof(sent));
		assert_int_equal(chan_send(&t->a, T_ANY, body, len, &fd, 1), 0);
		sent++;
	}
	fd_close(&fd); /* the queue has its own */
	assert_true(chan_wants_write(&t->a));
	while (got < sent) {
		r = chan_recv(&t->b, S_FIRST, &t->m);
		if (r == 0) {
			assert_true(chan_wants_write(&t->a));
			assert_int_equal(chan_flush(&t->a), 0);
			continue;
		}
		assert_int_equal(r, 1);
		assert_memory_equal(t->m.body, &got, sizeof(got));
		assert_int_equal(t->m.nfds, 1);
		assert_true(fcntl(t->m.fds[0], F_GETFD) >= 0);
		msg_done(&t->m);
		got++;
	}
	assert_false(chan_wants_write(&t->a));
	assert_int_equal(t->a.queued, 0);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 0);
}

static void queue_limit(void **state)
{
	struct pair *t = *state;
	static uint8_t body[MSG_INLINE_MAX];
	size_t queued;
	int r;

	t->a.limit = 100000;
	do {
		r = chan_send(&t->a, T_ANY, body, sizeof(body), NULL, 0);
	} while (r == 0);
	assert_int_equal(r, -ENOBUFS);
	queued = t->a.queued;
	assert_true(queued <= t->a.limit && queued > 100000 - 20000);
	/* a small one still fits, and a refused one left nothing behind */
	assert_int_equal(chan_send(&t->a, T_ANY, "x", 1, NULL, 0), 0);
	assert_true(t->a.queued > queued);
	/* teardown frees what waits */
}

static void queue_without_fds(void **state)
{
	struct pair *t = *state;
	static uint8_t body[MSG_INLINE_MAX];
	struct rlimit old, none;
	size_t queued;
	int fds[2] = { 0, 1 };

	while (!chan_wants_write(&t->a))
		assert_int_equal(chan_send(&t->a, T_ANY, body, sizeof(body),
					   NULL, 0),
				 0);
	queued = t->a.queued;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)t->b.fd + 2; /* room for one, not for two */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(chan_send(&t->a, T_ANY, "x", 1, fds, 2), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(t->a.queued, queued);
}

static void end_of_file(void **state)
{
	struct pair *t = *state;

	assert_int_equal(chan_send(&t->a, T_ANY, "last", 4, NULL, 0), 0);
	/* the peer leaves without reading: what it said is still there */
	assert_int_equal(chan_send(&t->b, T_ANY, "unread", 6, NULL, 0), 0);
	chan_done(&t->a);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 1);
	assert_memory_equal(t->m.body, "last", 4);
	msg_done(&t->m);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), -EPIPE);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), -EPIPE);
	assert_int_equal(chan_send(&t->b, T_ANY, "x", 1, NULL, 0), -EPIPE);
}

/* It left, and the first that notices is a message to it. */
static void last_words_after_sending(void **state)
{
	struct pair *t = *state;

	assert_int_equal(chan_send(&t->a, T_ANY, "why", 3, NULL, 0), 0);
	assert_int_equal(chan_send(&t->b, T_ANY, "unread", 6, NULL, 0), 0);
	chan_done(&t->a);
	assert_int_equal(chan_send(&t->b, T_ANY, "x", 1, NULL, 0), -EPIPE);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), 1);
	assert_memory_equal(t->m.body, "why", 3);
}

static void peer_gone_while_queued(void **state)
{
	struct pair *t = *state;
	static uint8_t body[MSG_INLINE_MAX];

	while (!chan_wants_write(&t->a))
		assert_int_equal(chan_send(&t->a, T_ANY, body, sizeof(body),
					   NULL, 0),
				 0);
	chan_done(&t->b);
	assert_true(chan_flush(&t->a) < 0);
	assert_true(chan_send(&t->a, T_ANY, "x", 1, NULL, 0) < 0);
}

static void against_the_rules(void **state)
{
	static const struct {
		unsigned state;
		uint32_t type;
		size_t len;
		unsigned nfds;
		int expected;
	} rows[] = {
		{ S_FIRST, T_LATE, 1, 0, -EPROTO },
		{ S_SECOND, T_LATE, 1, 0, 1 },
		{ S_SECOND, T_LATE, 100, 0, 1 },
		{ S_SECOND, T_LATE, 101, 0, -EPROTO },
		{ S_SECOND, T_LATE, 1, 1, -EPROTO },
		{ S_SECOND, T_LATE, 20000, 0, -EPROTO },
		{ S_FIRST, T_ONE_FD, 4, 1, 1 },
		{ S_FIRST, T_ONE_FD, 3, 1, -EPROTO },
		{ S_FIRST, T_ONE_FD, 9, 1, -EPROTO },
		{ S_FIRST, T_ONE_FD, 4, 0, -EPROTO },
		{ S_FIRST, T_ONE_FD, 4, 2, -EPROTO },
		{ S_SECOND, T_ONE_FD, 4, 1, -EPROTO },
		{ S_FIRST, T_SHORT, 0, 0, -EPROTO }, /* no such rule */
		{ S_FIRST, UINT32_MAX, 0, 0, -EPROTO },
		{ 2, T_ANY, 0, 0, -EPROTO },
		{ 31, T_ANY, 0, 0, -EPROTO },
		{ 32, T_ANY, 0, 0, -EPROTO },
		{ UINT32_MAX, T_ANY, 0, 16, -EPROTO },
	};
	static uint8_t body[20000];
	struct pair *t = *state;
	int fds[MSG_FDS_MAX] = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r;

		assert_int_equal(chan_send(&t->a, rows[i].type, body,
					   rows[i].len, fds, rows[i].nfds),
				 0);
		r = chan_recv(&t->b, rows[i].state, &t->m);
		if (r != rows[i].expected)
			fail_msg("row %zu: %d", i, r);
		msg_done(&t->m);
	}
}

/* A packet as a hostile peer would write it. */
static void raw(struct pair *t, const void *data, size_t len, const int *fds,
		unsigned nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data,
			     .iov_len = len };
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > 0) {
		struct cmsghdr *cmsg;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(t->a.fd, &mh, 0), len);
}

static void broken_frames(void **state)
{
	static const struct {
		uint32_t head[3];
		size_t len; /* of the packet, head included */
		unsigned nfds;
	} rows[] = {
		{ { T_ANY, 0, 0 }, 0, 1 }, /* only a descriptor */
		{ { T_ANY, 0, 0 }, 4, 0 },
		{ { T_ANY, 0, 0 }, 11, 3 },
		{ { T_ANY, 1, 0 }, 12, 1 }, /* body shorter than said */
		{ { T_ANY, 0, 0 }, 13, 0 }, /* longer than said */
		{ { T_ANY, UINT32_MAX, 0 }, 12, 0 },
		{ { T_ANY, 0, 2 }, 12, 1 },	   /* no such form */
		{ { T_ANY, 20000, 1 }, 12, 0 },	   /* memfd, but none there */
		{ { T_ANY, 20000, 1 }, 12, 1 },	   /* and this is none */
		{ { T_ANY, 20000, 0 }, 20012, 2 }, /* over the packet */
		{ { T_ANY, 0, 0 }, 12, MSG_FDS_MAX + 1 },
		{ { T_ANY, 0, 0 }, 12, MSG_FDS_MAX + 2 },
		{ { T_ANY, 0, 0 }, 12, 60 },
	};
	struct pair *t = *state;
	static uint8_t packet[20012];
	int fds[64] = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r;

		memcpy(packet, rows[i].head, sizeof(rows[i].head));
		raw(t, packet, rows[i].len, fds, rows[i].nfds);
		r = chan_recv(&t->b, S_FIRST, &t->m);
		if (r != -EPROTO)
			fail_msg("row %zu: %d", i, r);
		msg_done(&t->m);
		assert_int_equal(count_fds(), t->fds + 2);
	}
}

/* Bodies that the peer could still change, or that are not what it says. */
static void unsealed_bodies(void **state)
{
	static const struct {
		int seals;
		uint32_t size, said;
		int expected;
	} rows[] = {
		{ F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, 20000, 20000, 1 },
		{ F_SEAL_WRITE | F_SEAL_SHRINK, 20000, 20000, -EPROTO },
		{ F_SEAL_WRITE | F_SEAL_GROW, 20000, 20000, -EPROTO },
		{ F_SEAL_SHRINK | F_SEAL_GROW, 20000, 20000, -EPROTO },
		{ 0, 20000, 20000, -EPROTO },
		{ F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, 20000, 20001,
		  -EPROTO },
		{ F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, 20001, 20000,
		  -EPROTO },
		{ F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, 0, 20000,
		  -EPROTO },
		/* small enough for the packet: there is one form only */
		{ F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, MSG_INLINE_MAX,
		  MSG_INLINE_MAX, -EPROTO },
	};
	struct pair *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t head[3] = { T_ANY, rows[i].said, 1 };
		int fd = memfd_create("unit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		int r;

		assert_int_equal(ftruncate(fd, rows[i].size), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, rows[i].seals), 0);
		raw(t, head, sizeof(head), &fd, 1);
		fd_close(&fd);
		r = chan_recv(&t->b, S_FIRST, &t->m);
		if (r != rows[i].expected)
			fail_msg("row %zu: %d", i, r);
		msg_done(&t->m);
	}
}

/* Receive three descriptors where no number is left for any. */
static int receive_without_room(struct pair *t)
{
	struct rlimit old, none;
	int fds[3] = { 0, 1, 2 }, r;

	assert_int_equal(chan_send(&t->a, T_ANY, "x", 1, fds, 3), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3; /* the standard ones are there */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = chan_recv(&t->b, S_FIRST, &t->m);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	return r;
}

/* The receiver may open no more: the message is refused, not half taken. */
static void no_room_for_fds(void **state)
{
	struct pair *t = *state;

	assert_int_equal(receive_without_room(t), -EPROTO);
}

/* Unless it has said that it can do without them. */
static void fds_may_be_lost(void **state)
{
	struct pair *t = *state;
	int fds[MSG_FDS_MAX + 2] = { 0 };
	uint32_t head[3] = { T_ANY, 0, 0 };

	t->b.may_lose_fds = true;
	assert_int_equal(receive_without_room(t), 1);
	assert_int_equal(t->m.len, 1);
	assert_int_equal(t->m.nfds, 0);
	msg_done(&t->m);
	/* too many are too many all the same */
	raw(t, head, sizeof(head), fds, MSG_FDS_MAX + 2);
	assert_int_equal(chan_recv(&t->b, S_FIRST, &t->m), -EPROTO);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sockets),	      T(bodies),
		T(descriptors),	      T(queueing),
		T(queue_limit),	      T(queue_without_fds),
		T(end_of_file),	      T(peer_gone_while_queued),
		T(against_the_rules), T(broken_frames),
		T(unsealed_bodies),   T(no_room_for_fds),
		T(fds_may_be_lost),   T(last_words_after_sending),
	};

	return cmocka_run_group_tests_name("base/msg", tests, NULL, NULL);
}
