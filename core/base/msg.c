/* msg.c - typed messages with descriptors over SEQPACKET sockets
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A packet is `struct head` and, if it fits, the body. A longer body is put
 * into a sealed memfd that is the packet's last descriptor; head.memfd says
 * so. Both ends are the same program on the same machine, so the head is in
 * the machine's byte order.
 *
 * Sending: what the socket does not take is queued whole (with duplicates of
 * its descriptors), and from then on everything goes through the queue until
 * chan_flush() has emptied it: order is kept.
 *
 * Receiving trusts nothing: the other end may be a process that was taken
 * over. Every descriptor that arrives is in `struct packet` from the first
 * moment, and closed there unless the message passes all checks. A memfd is
 * mapped only when nobody can change or shrink it any more (a shrunk one
 * would raise SIGBUS), and only if it is plain shared memory (a huge page
 * that is not there would, too).
 *
 * A packet without descriptors leaves by a call that takes no address: who is
 * forbidden to name one (core/sys/seccomp_list.h) can talk all the same.
 *
 * #syscalls recvmsg sendmsg sendto fcntl fstat fstatfs mmap munmap close
 * #syscalls memfd_create write
 */
#include "core/base/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include "core/base/fd.h"

/* The caller's descriptors and the one that may carry the body. */
#define PACKET_FDS_MAX (MSG_FDS_MAX + 1)

#define BODY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct head {
	uint32_t type;
	uint32_t len;	/* of the body, wherever it is */
	uint32_t memfd; /* 0: body follows; 1: last descriptor */
};

/* One packet before it is sent, or as it came. */
struct packet {
	struct head head;
	const void *body; /* what follows the head */
	size_t body_len;
	int fds[PACKET_FDS_MAX];
	unsigned nfds;
};

/* A packet that waits: owns its descriptors, its body follows. */
struct chan_out {
	struct chan_out *next;
	struct packet packet;
	size_t cost; /* what it counts against the limit */
	uint8_t body[];
};

union control {
	char buf[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

static void close_fds(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
}

int chan_pair(int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

void chan_init(struct chan *c, int take_fd, const struct msg_rule *rules,
	       size_t nrules, size_t limit)
{
	*c = (struct chan){
		.fd = take_fd,
		.rules = rules,
		.nrules = nrules,
		.limit = limit,
	};
	/* for the owner's sake; every call here passes MSG_DONTWAIT too */
	(void)fd_nonblock(take_fd, true);
}

static void queue_pop(struct chan *c)
{
	struct chan_out *out = c->head;

	c->head = out->next;
	if (!c->head)
		c->tail = NULL;
	c->queued -= out->cost;
	close_fds(out->packet.fds, out->packet.nfds);
	free(out);
}

void chan_done(struct chan *c)
{
	while (c->head)
		queue_pop(c);
	fd_close(&c->fd);
}

bool chan_wants_write(const struct chan *c)
{
	return c->head != NULL;
}

/* -- sending -- */

/* A body beyond MSG_INLINE_MAX is never here: it has a descriptor. */
static ssize_t send_plain(int fd, const struct packet *p)
{
	uint8_t bytes[sizeof(p->head) + MSG_INLINE_MAX];

	memcpy(bytes, &p->head, sizeof(p->head));
	if (p->body_len > 0)
		memcpy(bytes + sizeof(p->head), p->body, p->body_len);
	return send(fd, bytes, sizeof(p->head) + p->body_len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_with_fds(int fd, struct packet *p)
{
	struct iovec iov[2] = {
		{ .iov_base = &p->head, .iov_len = sizeof(p->head) },
		{ .iov_base = (void *)(uintptr_t)p->body,
		  .iov_len = p->body_len },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	union control control;
	size_t fds_len = p->nfds * sizeof(int);
	struct cmsghdr *cmsg;

	memset(&control, 0, sizeof(control));
	mh.msg_control = control.buf;
	mh.msg_controllen = CMSG_SPACE(fds_len);
	cmsg = CMSG_FIRSTHDR(&mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(fds_len);
	memcpy(CMSG_DATA(cmsg), p->fds, fds_len);
	return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * 0, -EAGAIN if the socket is full, another -errno if the peer is gone.
 * ECONNRESET comes once, as in packet_recv(): then it is EPIPE.
 */
static int packet_send(int fd, struct packet *p)
{
	for (;;) {
		ssize_t n = p->nfds > 0 ? send_with_fds(fd, p) :
					  send_plain(fd, p);

		if (n >= 0)
			return 0;
		if (errno != EINTR && errno != ECONNRESET)
			return -errno;
	}
}

/* Queue a copy of p that owns duplicates of its descriptors. */
static int queue_push(struct chan *c, const struct packet *p)
{
	size_t cost = sizeof(struct chan_out) + p->head.len;
	struct chan_out *out;

	if (cost > c->limit || c->queued > c->limit - cost)
		return -ENOBUFS;
	out = malloc(sizeof(*out) + p->body_len);
	if (!out)
		return -ENOMEM;
	out->next = NULL;
	out->cost = cost;
	out->packet = *p;
	out->packet.body = out->body;
	if (p->body_len > 0)
		memcpy(out->body, p->body, p->body_len);
	for (unsigned i = 0; i < p->nfds; i++) {
		int r = fcntl(p->fds[i], F_DUPFD_CLOEXEC, 0);

		if (r < 0) {
			r = -errno;
			close_fds(out->packet.fds, i);
			free(out);
			return r;
		}
		out->packet.fds[i] = r;
	}
	if (c->tail)
		c->tail->next = out;
	else
		c->head = out;
	c->tail = out;
	c->queued += cost;
	return 0;
}

int chan_send(struct chan *c, uint32_t type, const void *body, size_t len,
	      const int *fds, unsigned nfds)
{
	struct packet p = { .body = body, .body_len = len, .nfds = nfds };
	cleanup_fd int memfd = -1;
	int r;

	if (nfds > MSG_FDS_MAX || len > UINT32_MAX)
		return -EMSGSIZE;
	p.head = (struct head){ .type = type, .len = (uint32_t)len };
	if (nfds > 0)
		memcpy(p.fds, fds, nfds * sizeof(*fds));
	r = chan_flush(c);
	if (r < 0)
		return r;
	if (len > MSG_INLINE_MAX) {
		memfd = fd_sealed_memfd("exeat-msg", body, len);
		if (memfd < 0)
			return memfd;
		p.head.memfd = 1;
		p.body_len = 0;
		p.fds[p.nfds++] = memfd;
	}
	if (c->head)
		return queue_push(c, &p);
	r = packet_send(c->fd, &p);
	return r == -EAGAIN ? queue_push(c, &p) : r;
}

int chan_flush(struct chan *c)
{
	while (c->head) {
		int r = packet_send(c->fd, &c->head->packet);

		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		queue_pop(c);
	}
	return 0;
}

/* -- receiving -- */

void msg_done(struct msg *m)
{
	close_fds(m->fds, m->nfds);
	m->nfds = 0;
	if (m->mapped > 0)
		(void)munmap(m->heap, m->mapped); /* our own mapping */
	m->heap = NULL;
	m->mapped = 0;
	m->body = NULL;
	m->len = 0;
}

/* Collect every descriptor of a packet; false if it had too many. */
static bool collect_fds(struct msghdr *mh, struct packet *p)
{
	bool fits = true;
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		size_t n;

		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
			       sizeof(fd));
			if (p->nfds < PACKET_FDS_MAX) {
				p->fds[p->nfds++] = fd;
			} else {
				fd_close(&fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* Did it bring more descriptors than there was room for? */
static bool lost_fds(const struct msghdr *mh, const struct packet *p,
		     bool may_lose)
{
	/* a full table cuts them short of what the buffer holds */
	if (may_lose && p->nfds < PACKET_FDS_MAX)
		return false;
	return mh->msg_flags & MSG_CTRUNC;
}

/* 1: a packet (its fds are the caller's). 0: nothing. -errno: none left. */
static int packet_recv(const struct chan *c, struct packet *p, void *body,
		       size_t size)
{
	struct iovec iov[2] = {
		{ .iov_base = &p->head, .iov_len = sizeof(p->head) },
		{ .iov_base = body, .iov_len = size },
	};
	union control control;
	struct msghdr mh = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.buf,
		/* CMSG_SPACE is rounded up and would admit one more */
		.msg_controllen = CMSG_LEN(PACKET_FDS_MAX * sizeof(int)),
	};
	bool whole;
	ssize_t n;

	/*
	 * ECONNRESET comes once, when the peer left without reading all that
	 * we sent; what it had said before is still there to be read.
	 */
	do {
		n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	p->nfds = 0;
	whole = collect_fds(&mh, p);
	if (n == 0 && p->nfds == 0)
		return -EPIPE;
	if (!whole || (mh.msg_flags & MSG_TRUNC) ||
	    lost_fds(&mh, p, c->may_lose_fds) || (size_t)n < sizeof(p->head)) {
		close_fds(p->fds, p->nfds);
		return -EPROTO;
	}
	p->body = body;
	p->body_len = (size_t)n - sizeof(p->head);
	return 1;
}

static bool allowed(const struct chan *c, unsigned state,
		    const struct head *head, unsigned nfds)
{
	if (state >= 32)
		return false;
	for (size_t i = 0; i < c->nrules; i++) {
		const struct msg_rule *rule = &c->rules[i];

		if (rule->type != head->type ||
		    !(rule->states & (UINT32_C(1) << state)))
			continue;
		return head->len >= rule->min_len &&
		       head->len <= rule->max_len && nfds >= rule->min_fds &&
		       nfds <= rule->max_fds;
	}
	return false;
}

/* Map a body that the peer can no longer change. 0 or -errno. */
static int body_map(int fd, size_t len, struct msg *m)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	void *p;

	if (seals < 0 || (seals & BODY_SEALS) != BODY_SEALS)
		return -EPROTO;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)len)
		return -EPROTO;
	p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	m->heap = p;
	m->mapped = len;
	m->body = p;
	return 0;
}

/* Check p against the rules and move it into m. */
static int accept_packet(struct chan *c, unsigned state, struct packet *p,
			 struct msg *m)
{
	bool in_memfd = p->head.memfd == 1;
	unsigned nfds = p->nfds;
	int r;

	if (p->head.memfd > 1 || (in_memfd && nfds == 0))
		return -EPROTO;
	if (in_memfd)
		nfds--;
	if (nfds > MSG_FDS_MAX || !allowed(c, state, &p->head, nfds))
		return -EPROTO;
	if (in_memfd) {
		/* what fits into a packet has only one form */
		if (p->body_len != 0 || p->head.len <= MSG_INLINE_MAX)
			return -EPROTO;
		r = body_map(p->fds[nfds], p->head.len, m);
		if (r < 0)
			return r;
		fd_close(&p->fds[nfds]);
	} else if (p->body_len != p->head.len) {
		return -EPROTO;
	}
	m->type = p->head.type;
	m->len = p->head.len;
	memcpy(m->fds, p->fds, nfds * sizeof(m->fds[0]));
	m->nfds = nfds;
	return 0;
}

int chan_recv(struct chan *c, unsigned state, struct msg *m)
{
	struct packet p;
	int r;

	m->type = 0;
	m->len = 0;
	m->nfds = 0;
	m->heap = NULL;
	m->mapped = 0;
	m->body = m->inline_body;
	r = packet_recv(c, &p, m->inline_body, sizeof(m->inline_body));
	if (r <= 0)
		return r;
	r = accept_packet(c, state, &p, m);
	if (r < 0) {
		close_fds(p.fds, p.nfds);
		return r;
	}
	return 1;
}
