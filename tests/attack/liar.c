/* liar.c - a front that was taken over, for rows G17 and G18
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linked instead of core/helper/front.c: it is isolated as front is, gets what
 * front gets, and then tries one thing. Which, says the name that it is
 * executed by: liar-NAME, or bare-NAME, which loads no system call filter: so
 * it shows what the filter keeps from happening, and what the kernel refuses
 * without it. What came of it goes into the audit, one line for each step.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/audit/audit.h"
#include "core/base/addr.h"
#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/helper/helper.h"
#include "core/proto.h"
#include "core/sys/isolate.h"
#include "core/sys/nft.h"
#include "core/sys/seccomp.h"
#include "policy/pattern.h"
#include "proxy/ask.h"

enum { CALLER, KEEPER, DIALER, CHANS };
/* As the keeper passes them. */
enum { TCP, DNS_TCP, UDP, DNS_UDP, RAW4, RAW6, PROXY, NFLOG, SOCKETS };
enum { WAIT_MS = 5000 };

/* What the rows allow, and what they do not: world/zone.json. */
static const char allowed[] = "203.0.113.66", other[] = "203.0.113.10";

struct liar {
	const char *attempt;
	struct chan chans[CHANS];
	int sockets[SOCKETS];
	int audit;
	uint32_t posture, run, last_id;
	bool tried;
};

/* ---- telling ---- */

static void tell(const struct liar *l, const char *step, int errnum,
		 long number)
{
	const char *name = errnum ? strerrorname_np(errnum) : "";
	char line[256];

	/* not dprintf(): it seeks */
	(void)snprintf(line, sizeof(line),
		       "{\"attempt\": \"%s\", \"step\": \"%s\", \"errno\": "
		       "\"%s\", \"number\": %ld}\n",
		       l->attempt, step, name ? name : "?", number);
	(void)fd_write_all(l->audit, line, strlen(line));
}

/* Of a system call. */
static long told(const struct liar *l, const char *step, long r)
{
	tell(l, step, r < 0 ? errno : 0, r);
	return r;
}

/* ---- asking the dialer ---- */

static struct addr address(const char *text)
{
	struct addr a = { 0 };

	if (!addr_parse(&text, &a))
		abort();
	return a;
}

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1;
}

/* The answer; its descriptor, or -1. */
static int ask(struct liar *l, enum ask_message type, struct ask *a,
	       bool *ret_allow)
{
	struct answer_resolve resolved;
	struct answer answer;
	struct sbuf b;
	struct msg m;
	int fd = -1;

	*ret_allow = false;
	a->id = ++l->last_id;
	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(a, &b);
	if (chan_send(&l->chans[DIALER], type, b.s, b.len, NULL, 0) < 0 ||
	    !wait_for(l->chans[DIALER].fd) ||
	    chan_recv(&l->chans[DIALER], 0, &m) != 1)
		_exit(EXIT_FAILURE);
	sbuf_done(&b);
	if (m.type == ANSWER && answer_decode(m.body, m.len, &answer))
		*ret_allow = answer.allow;
	else if (answer_resolve_decode(m.body, m.len, &resolved))
		*ret_allow = resolved.allow;
	if (m.nfds > 0)
		fd = fd_steal(&m.fds[0]);
	msg_done(&m);
	return fd;
}

static int dial(struct liar *l, enum rule_proto proto, const char *to,
		uint16_t port)
{
	struct ask a = {
		.posture = l->posture,
		.proto = proto,
		.to = { address(to), port },
	};
	bool allow;
	int fd = ask(l, ASK_DIAL, &a, &allow);

	tell(l, "dial", 0, fd >= 0);
	return fd;
}

static void try_allowed(struct liar *l)
{
	int fd = dial(l, RULE_TCP, allowed, 22);
	char line[64];

	if (fd >= 0 && wait_for(fd))
		told(l, "banner", recv(fd, line, sizeof(line), 0));
}

/* Every field of a question in every way. */
struct asked {
	unsigned n, allowed, reached;
};

static void ask_one(struct liar *l, struct ask *a, struct asked *count)
{
	static const enum ask_message types[] = { ASK_DIAL, ASK_CHECK };
	bool allow;

	for (int i = 0; i < 2; i++) {
		int fd = ask(l, types[i], a, &allow);

		count->n++;
		count->allowed += allow;
		count->reached += fd >= 0;
		fd_close(&fd);
	}
}

static void ask_names(struct liar *l, struct ask *a, struct asked *count)
{
	static const char *const names[] = {
		"", "allowed.test", "evil.test", "localhost", HOST_ALIAS_NAME,
	};

	for (int learnt = 0; learnt <= POLICY_NAME_PROXY; learnt++) {
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			a->learnt = (enum policy_learnt)learnt;
			(void)snprintf(a->name, sizeof(a->name), "%s",
				       names[i]);
			ask_one(l, a, count);
		}
	}
}

static void try_anything(struct liar *l)
{
	static const char *const to[] = {
		"169.254.169.254",
		"127.0.0.1",
		"::1",
		"::",
		"0.0.0.0",
		"192.0.2.2",
		"203.0.113.10",
		"203.0.113.66",
		"10.0.0.5",
		"fd12:3456::1",
		"192.0.0.5",
		"192.0.0.8",
		"224.0.0.1",
		"255.255.255.255",
	};
	static const uint16_t ports[] = { 0, 23, 53, 80, 65535 };
	const uint32_t postures[] = { l->posture, 0, l->posture + 1,
				      UINT32_MAX };
	struct asked count = { 0 };

	for (size_t i = 0; i < sizeof(to) / sizeof(*to); i++) {
		for (size_t k = 0; k < 5 * 4; k++) {
			struct ask a = {
				.posture = postures[k % 4],
				.proto = i & 1 ? RULE_UDP : RULE_TCP,
				.to = { address(to[i]), ports[k / 4] },
			};

			ask_names(l, &a, &count);
		}
	}
	tell(l, "asked", 0, count.n);
	tell(l, "allowed", 0, count.allowed);
	tell(l, "reached", 0, count.reached);
}

static void try_lookups(struct liar *l)
{
	static const char *const names[] = {
		"evil.test",
		"a.allowed.test",
		"metadata.google.internal",
	};
	long n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		for (unsigned qtype = 1; qtype < 300; qtype++) {
			struct ask a = {
				.posture = l->posture,
				.proto = RULE_UDP,
				.learnt = POLICY_NAME_DNS,
				.qtype = (uint16_t)qtype,
			};
			bool allow;

			(void)snprintf(a.name, sizeof(a.name), "%s", names[i]);
			(void)ask(l, ASK_RESOLVE, &a, &allow);
			n += allow;
		}
	}
	tell(l, "allowed", 0, n);
}

/* A name that no front says: the dialer ends, and the session with it. */
static void try_bad_name(struct liar *l)
{
	struct ask a = { .posture = l->posture,
			 .proto = RULE_TCP,
			 .to = { address(allowed), 22 },
			 .name = "A..test" };
	bool allow;

	(void)ask(l, ASK_DIAL, &a, &allow);
}

/* An id that is in use: the dialer ends, and the session with it. */
static void try_same_id(struct liar *l)
{
	struct ask a = {
		.id = 7,
		.posture = l->posture,
		.proto = RULE_TCP,
		.to = { address(allowed), 22 },
	};
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	ask_encode(&a, &b);
	for (int i = 0; i < 64; i++)
		(void)chan_send(&l->chans[DIALER], ASK_DIAL, b.s, b.len, NULL,
				0);
	sbuf_done(&b);
}

/* ---- sending round it ---- */

static long send_to(int fd, const char *to, uint16_t port, int flags)
{
	const struct endpoint ep = { address(to), port };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&ep, &sa);

	return sendto(fd, "leak", 4, flags | MSG_NOSIGNAL,
		      (struct sockaddr *)&sa, len);
}

/* A socket of the host's, connected to what is allowed. */
static void try_udp_elsewhere(struct liar *l)
{
	int fd = dial(l, RULE_UDP, allowed, 9999);

	told(l, "send", send_to(fd, other, 9999, 0));
}

static void try_message_elsewhere(struct liar *l)
{
	const struct endpoint ep = { address(other), 9999 };
	struct sockaddr_storage sa;
	struct iovec iov = { .iov_base = (char[]){ "leak" }, .iov_len = 4 };
	struct msghdr mh = { .msg_name = &sa,
			     .msg_iov = &iov,
			     .msg_iovlen = 1 };
	int fd = dial(l, RULE_UDP, allowed, 9999);

	mh.msg_namelen = endpoint_to_sockaddr(&ep, &sa);
	told(l, "send", sendmsg(fd, &mh, 0));
}

static bool is_closed(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	       info.tcpi_state == TCP_CLOSE;
}

/* A connection that has ended becomes another one. */
static void try_fast_open(struct liar *l)
{
	const struct linger hard = { .l_onoff = 1 };
	int fd = dial(l, RULE_TCP, allowed, 22);

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	(void)shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < WAIT_MS / 10 && !is_closed(fd); i++)
		(void)poll(NULL, 0, 10);
	told(l, "first", send_to(fd, other, 80, MSG_FASTOPEN));
	told(l, "second", send_to(fd, other, 80, MSG_FASTOPEN));
	(void)poll(NULL, 0, 100); /* the handshake, if there is one */
}

static void try_reconnect(struct liar *l)
{
	const struct endpoint ep = { address(other), 80 };
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&ep, &sa);
	int fd = dial(l, RULE_TCP, allowed, 22);

	told(l, "disconnect", connect(fd, &none, sizeof(none)));
	told(l, "connect", connect(fd, (struct sockaddr *)&sa, len));
	(void)poll(NULL, 0, 100);
}

static void try_socket(struct liar *l)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	told(l, "socket", fd);
	told(l, "send", send_to(fd, other, 9999, 0));
}

/* The sockets of the posture lead nowhere but into it, with an address... */
static void try_inside(struct liar *l)
{
	told(l, "raw", send_to(l->sockets[RAW4], other, 0, 0));
	told(l, "udp", send_to(l->sockets[UDP], other, 9999, 0));
	told(l, "dns", send_to(l->sockets[DNS_UDP], "8.8.8.8", 53, 0));
}

/* ...and without one. */
static void try_packet(struct liar *l)
{
	struct {
		struct iphdr ip;
		uint8_t udp[8];
	} p = {
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_UDP },
		.udp = { 0x27, 0x0f, 0x27, 0x0f, 0, 8 },
	};

	(void)inet_pton(AF_INET, other, &p.ip.daddr);
	(void)inet_pton(AF_INET, "192.0.2.2", &p.ip.saddr);
	told(l, "write", write(l->sockets[RAW4], &p, sizeof(p)));
}

/* ---- the wall, and who made it ---- */

struct nft_message {
	struct nlmsghdr head;
	struct nfgenmsg gen;
};

static struct nft_message nft_message(uint16_t type, uint16_t flags,
				      uint8_t family, uint16_t resource)
{
	return (struct nft_message){
		.head = { .nlmsg_len = sizeof(struct nft_message),
			  .nlmsg_type = type,
			  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
			  .nlmsg_seq = 99 },
		.gen = { .nfgen_family = family, .res_id = htons(resource) },
	};
}

/* The kernel's answer to message 99. */
static int netlink_error(int fd)
{
	union {
		struct nlmsghdr head;
		uint8_t bytes[16 << 10];
	} u;

	while (wait_for(fd) && recv(fd, &u, sizeof(u), 0) > 0) {
		const struct nlmsgerr *e = (void *)(&u.head + 1);

		if (u.head.nlmsg_type == NLMSG_ERROR && u.head.nlmsg_seq == 99)
			return -e->error;
	}
	return ETIMEDOUT;
}

/* Flush every table through the socket that the keeper opened. */
static void try_flush(struct liar *l)
{
	const struct nft_message batch[] = {
		nft_message(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
			    NFNL_SUBSYS_NFTABLES),
		nft_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
			    NLM_F_ACK, AF_UNSPEC, 0),
		nft_message(NFNL_MSG_BATCH_END, 0, AF_UNSPEC,
			    NFNL_SUBSYS_NFTABLES),
	};

	told(l, "write", send(l->sockets[NFLOG], batch, sizeof(batch), 0));
	tell(l, "flush", netlink_error(l->sockets[NFLOG]), 0);
}

/* U1 and its network, by every handle that front has of them. */
static void try_namespaces(struct liar *l)
{
	told(l, "network of a socket", ioctl(l->sockets[UDP], SIOCGSKNS));
	told(l, "caller's",
	     setns(FRONT_FD_CALLER_PID, CLONE_NEWUSER | CLONE_NEWNET));
	told(l, "new", unshare(CLONE_NEWNET));
}

/* ---- the other processes ---- */

/* The session kills what greeted it, when it closes: the caller itself? */
static void try_hello(struct liar *l)
{
	const int caller = FRONT_FD_CALLER_PID;

	told(l, "greet",
	     chan_send(&l->chans[CALLER], P_HELLO, NULL, 0, &caller, 1));
}

static void try_exited(struct liar *l)
{
	uint8_t body[41] = { 0 };
	struct wbuf b = wbuf_make(body, 4);

	wbuf_u32(&b, l->run);
	told(l, "exited",
	     chan_send(&l->chans[CALLER], K_EXITED, body, sizeof(body), NULL,
		       0));
}

/* A refusal whose name would rewrite the user's terminal. */
static void try_escape(struct liar *l)
{
	const struct audit_event e = {
		.posture = l->posture,
		.run = l->run,
		.layer = AUDIT_DNS,
		.verdict = AUDIT_DENY,
		.name = "a\033[2J\nb",
		.reason = "\033[8m",
		.hint = "\302\233c",
	};
	struct sbuf b;

	sbuf_init(&b, AUDIT_LINE_MAX);
	audit_encode(&e, &b);
	told(l, "event",
	     chan_send(&l->chans[CALLER], F_EVENT, b.s, b.len, NULL, 0));
	sbuf_done(&b);
}

static void try_pin(struct liar *l)
{
	uint8_t body[16 + 21] = { [3] = 1 };

	told(l, "pin",
	     chan_send(&l->chans[KEEPER], G_PIN, body, sizeof(body), NULL, 0));
}

static void try_truncate(struct liar *l)
{
	told(l, "truncate", ftruncate(l->audit, 0));
}

static const struct {
	const char *name;
	void (*attempt)(struct liar *l);
} attempts[] = {
	{ "nothing", NULL },
	{ "allowed", try_allowed },
	{ "anything", try_anything },
	{ "lookups", try_lookups },
	{ "bad_name", try_bad_name },
	{ "same_id", try_same_id },
	{ "udp_elsewhere", try_udp_elsewhere },
	{ "message_elsewhere", try_message_elsewhere },
	{ "fast_open", try_fast_open },
	{ "reconnect", try_reconnect },
	{ "socket", try_socket },
	{ "inside", try_inside },
	{ "packet", try_packet },
	{ "flush", try_flush },
	{ "namespaces", try_namespaces },
	{ "hello", try_hello },
	{ "exited", try_exited },
	{ "escape", try_escape },
	{ "pin", try_pin },
	{ "truncate", try_truncate },
};

static void attempt(struct liar *l)
{
	if (l->tried)
		return;
	l->tried = true;
	tell(l, "begins", 0, 0);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (strcmp(attempts[i].name, l->attempt) == 0 &&
		    attempts[i].attempt)
			attempts[i].attempt(l);
	tell(l, "ends", 0, 0);
}

/* ---- as front does it ---- */

static void take_posture(struct liar *l, struct msg *m, struct rbuf *r)
{
	uint32_t there = rbuf_u32(r);
	unsigned next = 1;

	for (unsigned i = 0; i < SOCKETS; i++)
		l->sockets[i] = there & 1U << i && next < m->nfds ?
					fd_steal(&m->fds[next++]) :
					-1;
	(void)chan_send(&l->chans[KEEPER], G_POSTURE_READY, m->body, 4, NULL,
			0);
}

static void take(struct liar *l, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);
	uint32_t first = m->type == F_OPEN ? 0 : rbuf_u32(&r);

	if (m->type == F_OPEN && m->nfds > 0)
		l->audit = fd_steal(&m->fds[0]);
	if (m->type == G_POSTURE)
		take_posture(l, m, &r);
	if (m->type == G_FLUSH)
		(void)chan_send(&l->chans[CALLER], F_FLUSHED, m->body, 4, NULL,
				0);
	if (m->type != G_RUN)
		return;
	l->posture = first;
	l->run = rbuf_u32(&r);
	if (l->run != 0)
		attempt(l);
}

static void serve(struct liar *l)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = l->chans[CALLER].fd, .events = POLLIN },
			{ .fd = l->chans[KEEPER].fd, .events = POLLIN },
		};

		(void)poll(p, 2, -1);
		for (int i = CALLER; i <= KEEPER; i++) {
			struct msg m;
			int r = chan_recv(&l->chans[i], 0, &m);

			if (r < 0)
				return;
			if (r == 0)
				continue;
			take(l, &m);
			msg_done(&m);
		}
	}
}

int front_main(const struct helper_ids *ids)
{
	static struct liar l = { .audit = -1 };
	const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	bool bare = strncmp(base, "bare-", 5) == 0;
	struct err err;

	l.attempt = base + 5;
	err_clear(&err);
	chan_init(&l.chans[CALLER], FRONT_FD_CALLER, proto_front_caller_rules,
		  proto_front_caller_nrules, LIMIT_CHAN_QUEUE);
	chan_init(&l.chans[KEEPER], FRONT_FD_KEEPER, proto_front_keeper_rules,
		  proto_front_keeper_nrules, LIMIT_CHAN_QUEUE);
	chan_init(&l.chans[DIALER], FRONT_FD_DIALER, ask_front_rules,
		  ask_front_nrules, LIMIT_CHAN_QUEUE);
	if (helper_isolate_gate(ids, &err) < 0 ||
	    helper_hello(FRONT_FD_CALLER, &err) < 0 || isolate_drop(&err) < 0 ||
	    (!bare && seccomp_load(&seccomp_front, &err) < 0))
		return helper_fail(FRONT_FD_CALLER, &err);
	serve(&l);
	_exit(EXIT_SUCCESS);
}
