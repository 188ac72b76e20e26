/* fuzz_msg.c - packets of a hostile peer: frame, descriptors, body
 * SPDX-License-Identifier: Apache-2.0
 *
 * Input: one byte of state, one of descriptors (low half: how many; high
 * half: the last one is a memfd, with which seals), then the packet. The body
 * of what passes is read through rbuf, each byte choosing what is read next.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/base/msg.h"
#include "tests/fuzz/fuzz.h"

enum {
	FDS = 20, /* more than a message may have */
	PACKET_MAX = 64 << 10,
	MEMFD_SIZE = MSG_INLINE_MAX + 1,
};

static const struct msg_rule rules[] = {
	{ 1, 1, 0, 1 << 20, 0, MSG_FDS_MAX },
	{ 2, 2, 4, 8, 1, 2 },
	{ 3, 3, 0, 100, 0, 0 },
};

static void read_body(const struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len), sub;
	const char *s;

	while (!r.bad && rbuf_left(&r) > 0) {
		size_t before = rbuf_left(&r);

		switch (rbuf_u8(&r) % 8) {
		case 0:
			(void)rbuf_u16(&r);
			break;
		case 1:
			(void)rbuf_bytes(&r, 3);
			break;
		case 2:
			(void)rbuf_u32(&r);
			break;
		case 3:
			(void)rbuf_u64(&r);
			break;
		case 4:
			s = rbuf_str(&r);
			assert(!s || strlen(s) < m->len);
			break;
		case 5:
			sub = rbuf_sub(&r, rbuf_u8(&r));
			(void)rbuf_u64(&sub);
			break;
		case 6:
			rbuf_skip(&r, rbuf_u16(&r));
			break;
		default:
			break;
		}
		assert(rbuf_left(&r) < before);
		assert(rbuf_pos(&r) <= m->len);
	}
}

static void send_raw(int fd, const uint8_t *data, size_t len, int *fds,
		     size_t nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data,
			     .iov_len = len };
	union {
		char buf[CMSG_SPACE(FDS * sizeof(int))];
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
	assert(sendmsg(fd, &mh, MSG_DONTWAIT) == (ssize_t)len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct msg m;
	int pair[2], fds[FDS], probe, after;
	cleanup_fd int peer = -1, memfd = -1;
	size_t nfds;
	struct chan c;

	if (size < 2 || size > PACKET_MAX)
		return 0;
	probe = fcntl(0, F_DUPFD_CLOEXEC, 0); /* the lowest free number */
	fd_close(&(int){ probe });
	nfds = data[1] % FDS;
	memfd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(memfd >= 0 && ftruncate(memfd, MEMFD_SIZE) == 0);
	if (data[1] & 0x80)
		assert(fcntl(memfd, F_ADD_SEALS,
			     F_SEAL_WRITE | F_SEAL_SHRINK |
				     (data[1] & 0x40 ? F_SEAL_GROW : 0)) == 0);
	for (size_t i = 0; i < nfds; i++)
		fds[i] = memfd;
	assert(chan_pair(pair) == 0);
	peer = pair[1];
	chan_init(&c, pair[0], rules, 3, 1 << 20);
	send_raw(peer, data + 2, size - 2, fds, nfds);
	if (chan_recv(&c, data[0], &m) == 1)
		read_body(&m);
	msg_done(&m);
	chan_done(&c);
	fd_close(&peer);
	fd_close(&memfd);
	after = fcntl(0, F_DUPFD_CLOEXEC, 0);
	fd_close(&(int){ after });
	assert(after == probe); /* nothing was left open */
	return 0;
}
