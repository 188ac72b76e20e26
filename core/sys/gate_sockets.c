/* gate_sockets.c - the gate's sockets in a posture namespace
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A transparent socket bound to the unspecified address gets what tproxy
 * hands it for any destination. All are of family IPv6 and dual-stack: IPv4
 * arrives with mapped addresses, also in the control message that tells the
 * original destination of a datagram (that one with AF_INET and level
 * SOL_IP). The mark is what output and prerouting know replies by; accepted
 * connections inherit it. No SO_REUSEADDR, no SO_REUSEPORT: nobody else can
 * bind these ports while we hold them.
 *
 * The raw sockets are connected to the namespace's own loopback. Each packet
 * carries its real destination, and every one of these leads to the same
 * stack; but so the gate needs no system call that takes an address, and its
 * filter lets none pass: with one, a UDP socket that the dialer connected
 * would send to anybody (core/sys/seccomp_list.h).
 *
 * All that needs a capability (transparent, mark, raw, the log group's
 * binding) is done here, before the descriptors leave the keeper.
 */
/* before linux/, which has parts of it */
#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/fd.h"
#include "core/sys/lacks.h"
#include "core/sys/netns.h"

enum {
	GATE_BACKLOG = 4096, /* the kernel caps it: somaxconn */
	GATE_UDP_RCVBUF = 1 << 20,
	NFLOG_RCVBUF = 1 << 20,
	NFLOG_COPY = 128,  /* bytes of a packet */
	NFLOG_TIMEOUT = 1, /* 1/100 s */
};

static const char step[] = "open gate socket";

static int set_option(int fd, int level, int option, int value,
		      const char *name, struct err *err)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		return lacks(err, errno, step, name, NULL);
	return 0;
}

/* What the machine allows; less costs datagrams under load, no more. */
static void receive_buffer(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));
}

/* Options that every transparent socket has; `dgram`: also those that tell
 * the original destination of a datagram. */
static int prepare(int fd, bool dgram, struct err *err)
{
	static const struct {
		int level, option, value;
		const char *name;
		bool dgram;
	} options[] = {
		{ SOL_SOCKET, SO_MARK, GATE_MARK, "SO_MARK", false },
		{ SOL_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY", false },
		{ SOL_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT", false },
		{ SOL_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT", false },
		{ SOL_IPV6, IPV6_RECVORIGDSTADDR, 1, "IPV6_RECVORIGDSTADDR",
		  true },
		{ SOL_IP, IP_RECVORIGDSTADDR, 1, "IP_RECVORIGDSTADDR", true },
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(options) / sizeof(*options); i++) {
		if (options[i].dgram && !dgram)
			continue;
		r = set_option(fd, options[i].level, options[i].option,
			       options[i].value, options[i].name, err);
	}
	return r;
}

static int open_transparent(int type, uint16_t port, int *ret, struct err *err)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};
	bool dgram = type == SOCK_DGRAM;
	cleanup_fd int fd = -1;
	int r;

	fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, step, "port %u", port);
	r = prepare(fd, dgram, err);
	if (r)
		return r;
	if (dgram)
		receive_buffer(fd, GATE_UDP_RCVBUF);
	if (bind(fd, (void *)&any, sizeof(any)))
		return err_sys(err, errno, step, "bind to port %u", port);
	if (!dgram && listen(fd, GATE_BACKLOG))
		return err_sys(err, errno, step, "listen on port %u", port);
	*ret = fd_steal(&fd);
	return 0;
}

/*
 * Who wants the proxy says so: an ordinary listener, at every address of lo.
 * To any other address its port is a port like others.
 */
static int open_proxy(int *ret, struct err *err)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(GATE_PORT_PROXY),
	};
	cleanup_fd int fd = -1;
	int r;

	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, step, "port %u", GATE_PORT_PROXY);
	r = set_option(fd, SOL_SOCKET, SO_MARK, GATE_MARK, "SO_MARK", err);
	if (!r)
		r = set_option(fd, SOL_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY",
			       err);
	if (r)
		return r;
	if (bind(fd, (void *)&any, sizeof(any)) || listen(fd, GATE_BACKLOG))
		return err_sys(err, errno, step, "listen on port %u",
			       GATE_PORT_PROXY);
	*ret = fd_steal(&fd);
	return 0;
}

/* IPPROTO_RAW sends only: the header is ours, nothing is received. */
static int open_raw(int family, int *ret, struct err *err)
{
	const struct endpoint self = {
		.addr = family == AF_INET ? addr_from_v4(INADDR_LOOPBACK) :
					    (struct addr){ .b = { [15] = 1 } },
	};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&self, &sa);
	cleanup_fd int fd = -1;
	int r;

	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    IPPROTO_RAW);
	if (fd < 0)
		return lacks(err, errno, step, "raw", NULL);
	r = set_option(fd, SOL_SOCKET, SO_MARK, GATE_MARK, "SO_MARK", err);
	if (!r && family == AF_INET)
		r = set_option(fd, SOL_IP, IP_HDRINCL, 1, "IP_HDRINCL", err);
	if (!r && family == AF_INET6)
		r = set_option(fd, SOL_IPV6, IPV6_HDRINCL, 1, "IPV6_HDRINCL",
			       err);
	if (!r && connect(fd, (void *)&sa, len))
		r = err_sys(err, errno, step, "connect raw to itself");
	if (!r)
		*ret = fd_steal(&fd);
	return r;
}

/* ---- the kernel log ---- */

/* One request, one acknowledgement. `nlh` lies in a buffer of the caller. */
static int nflog_ask(int fd, const struct nlmsghdr *nlh)
{
	_Alignas(struct nlmsghdr) uint8_t buf[1024];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(fd, nlh, nlh->nlmsg_len, 0, (void *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *reply = (const void *)buf;
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(reply);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!mnl_nlmsg_ok(reply, (int)n) ||
		    reply->nlmsg_type != NLMSG_ERROR ||
		    mnl_nlmsg_get_payload_len(reply) < sizeof(*e) ||
		    reply->nlmsg_seq != nlh->nlmsg_seq)
			continue; /* a packet, already */
		return e->error;
	}
}

static struct nlmsghdr *nflog_config(void *buf, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *gen;

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = seq;
	gen = mnl_nlmsg_put_extra_header(nlh, sizeof(*gen));
	gen->nfgen_family = AF_UNSPEC;
	gen->version = NFNETLINK_V0;
	gen->res_id = htons(GATE_NFLOG_GROUP);
	return nlh;
}

static int nflog_bind(int fd)
{
	_Alignas(struct nlmsghdr) uint8_t buf[256];
	struct nfulnl_msg_config_cmd bind_cmd = {
		.command = NFULNL_CFG_CMD_BIND,
	};
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(NFLOG_COPY),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	struct nlmsghdr *nlh = nflog_config(buf, 1);
	int r;

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind_cmd), &bind_cmd);
	r = nflog_ask(fd, nlh);
	if (r)
		return r;
	nlh = nflog_config(buf, 2);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(1));
	mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(NFLOG_TIMEOUT));
	return nflog_ask(fd, nlh);
}

static int open_nflog(int *ret, struct err *err)
{
	static const char what[] = "open kernel log";
	cleanup_fd int fd = -1;
	int r, on = 1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return err_sys(err, errno, what, "NETLINK_NETFILTER");
	receive_buffer(fd, NFLOG_RCVBUF);
	/* Lost messages are counted by the wall: no error for each flood. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	r = nflog_bind(fd);
	if (r) {
		(void)err_sys(err, -r, what, "group %d", GATE_NFLOG_GROUP);
		if (r == -EINVAL || r == -EOPNOTSUPP)
			err_remedy(err,
				   "the kernel has no "
				   "CONFIG_NETFILTER_NETLINK_LOG; load the "
				   "module: modprobe nfnetlink_log");
		return r;
	}
	r = fd_nonblock(fd, true);
	if (r)
		return err_sys(err, -r, what, "O_NONBLOCK");
	*ret = fd_steal(&fd);
	return 0;
}

/* ---- all of them ---- */

static int open_all(struct gate_sockets *s, struct err *err)
{
	int r;

	r = open_transparent(SOCK_STREAM, GATE_PORT_DNS_TCP, &s->dns_tcp, err);
	if (!r)
		r = open_transparent(SOCK_DGRAM, GATE_PORT_DNS_UDP, &s->dns_udp,
				     err);
	if (!r)
		r = open_transparent(SOCK_STREAM, GATE_PORT_TCP, &s->tcp, err);
	if (!r)
		r = open_transparent(SOCK_DGRAM, GATE_PORT_UDP, &s->udp, err);
	if (!r)
		r = open_proxy(&s->proxy, err);
	if (!r)
		r = open_raw(AF_INET, &s->raw4, err);
	if (!r)
		r = open_raw(AF_INET6, &s->raw6, err);
	return r ? r : open_nflog(&s->nflog, err);
}

int gate_sockets_open(struct gate_sockets *ret, struct err *err)
{
	struct gate_sockets s = { -1, -1, -1, -1, -1, -1, -1, -1 };
	int r = open_all(&s, err);

	if (r) {
		gate_sockets_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void gate_sockets_close(struct gate_sockets *s)
{
	fd_close(&s->tcp);
	fd_close(&s->dns_tcp);
	fd_close(&s->udp);
	fd_close(&s->dns_udp);
	fd_close(&s->raw4);
	fd_close(&s->raw6);
	fd_close(&s->proxy);
	fd_close(&s->nflog);
}
