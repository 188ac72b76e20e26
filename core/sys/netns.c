/* netns.c - a posture's network namespace
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * Everything that rtnetlink has to do goes into one datagram; the kernel
 * works its messages off in order, one failing does not stop the next, and
 * every one is acknowledged: all acknowledgements are waiting when send()
 * returns. The order matters: 192.0.0.2 is the first address of lo, so that
 * it is the source that the kernel chooses; with an address there, bringing
 * lo up does not add 127.0.0.1 by itself.
 */
#include "core/sys/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/fd.h"
#include "core/sys/lacks.h"
#include "policy/guard.h"

enum {
	LO_IFINDEX = 1, /* in every network namespace */
	LO_MTU = 40 + 65535, /* a datagram as large as IPv6 has it */
	BATCH_SIZE = 1024,
	STEPS_MAX = 8,
};

struct steps {
	uint8_t buf[BATCH_SIZE];
	size_t len;
	unsigned count;
	const char *what[STEPS_MAX]; /* by sequence number, from 0 */
	bool done[STEPS_MAX];
};

static struct nlmsghdr *begin(struct steps *s, const char *what, uint16_t type,
			      uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(s->buf + s->len);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = s->count;
	s->what[s->count++] = what;
	return nlh;
}

static void end(struct steps *s, const struct nlmsghdr *nlh)
{
	s->len += NLMSG_ALIGN(nlh->nlmsg_len);
}

static const uint8_t *wire(const struct addr *a, size_t *ret_len)
{
	*ret_len = addr_is_v4(a) ? 4 : 16;
	return a->b + sizeof(a->b) - *ret_len;
}

static void add_address(struct steps *s, const char *what, const struct addr *a,
			uint8_t prefix_len)
{
	struct nlmsghdr *nlh =
		begin(s, what, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	size_t len;
	const uint8_t *bytes = wire(a, &len);

	ifa->ifa_family = len == 4 ? AF_INET : AF_INET6;
	ifa->ifa_prefixlen = prefix_len;
	ifa->ifa_flags = IFA_F_NODAD;
	ifa->ifa_scope = prefix_len < 32 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	ifa->ifa_index = LO_IFINDEX;
	mnl_attr_put(nlh, IFA_LOCAL, len, bytes);
	mnl_attr_put(nlh, IFA_ADDRESS, len, bytes);
	end(s, nlh);
}

static void link_up(struct steps *s)
{
	struct nlmsghdr *nlh = begin(s, "bring up lo", RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));

	ifi->ifi_index = LO_IFINDEX;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	mnl_attr_put_u32(nlh, IFLA_MTU, LO_MTU);
	end(s, nlh);
}

/* `local default dev lo src A`: every address leads to our own stack. */
static void local_default(struct steps *s, const char *what,
			  const struct addr *src)
{
	struct nlmsghdr *nlh =
		begin(s, what, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	size_t len;
	const uint8_t *bytes = wire(src, &len);

	rtm->rtm_family = len == 4 ? AF_INET : AF_INET6;
	rtm->rtm_table = RT_TABLE_LOCAL;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = RT_SCOPE_HOST;
	rtm->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(nlh, RTA_OIF, LO_IFINDEX);
	mnl_attr_put(nlh, RTA_PREFSRC, len, bytes);
	end(s, nlh);
}

static int step_failed(const char *what, int errnum, struct err *err)
{
	int r = err_sys(err, errnum, "network namespace", "%s", what);

	if (errnum == EACCES || errnum == EAFNOSUPPORT || errnum == EOPNOTSUPP)
		err_remedy(err,
			   "IPv6 is switched off: it is needed inside, "
			   "even if the network has none (boot without "
			   "ipv6.disable, net.ipv6.conf.default.disable_ipv6 "
			   "= 0)");
	return r;
}

static int read_acks(int fd, struct steps *s, struct err *err)
{
	_Alignas(struct nlmsghdr) uint8_t buf[8192];
	unsigned missing = s->count;

	while (missing) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *nlh = (const void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return step_failed("read answer", errno, err);
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR ||
			    mnl_nlmsg_get_payload_len(nlh) < sizeof(*e) ||
			    nlh->nlmsg_seq >= s->count ||
			    s->done[nlh->nlmsg_seq])
				continue;
			if (e->error)
				return step_failed(s->what[nlh->nlmsg_seq],
						   -e->error, err);
			s->done[nlh->nlmsg_seq] = true;
			missing--;
		}
	}
	return 0;
}

static int ask(struct steps *s, struct err *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	cleanup_fd int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return step_failed("open rtnetlink", errno, err);
	if (sendto(fd, s->buf, s->len, 0, (void *)&kernel, sizeof(kernel)) < 0)
		return step_failed("ask rtnetlink", errno, err);
	return read_acks(fd, s, err);
}

static int configure(struct err *err)
{
	struct addr loopback = addr_from_v4(0x7f000001);
	struct steps s = { .len = 0 };

	add_address(&s, "add 192.0.0.2 to lo", &gate_addrs.own4, 32);
	add_address(&s, "add 127.0.0.1 to lo", &loopback, 8);
	add_address(&s, "add our ULA to lo", &gate_addrs.own6, 128);
	link_up(&s);
	local_default(&s, "route IPv4 to lo", &gate_addrs.own4);
	local_default(&s, "route IPv6 to lo", &gate_addrs.own6);
	return ask(&s, err);
}

static int enter_new(struct err *err)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	return lacks(err, errno, "network namespace", "unshare",
		     "CONFIG_NET_NS");
}

int netns_new(int *ret_fd, struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	r = enter_new(err);
	if (r)
		return r;
	r = configure(err);
	if (r)
		return r;
	/* A convenience for payloads, see the header. */
	(void)fd_write_file(
		AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "network namespace",
			       "/proc/thread-self/ns/net");
	*ret_fd = fd_steal(&fd);
	return 0;
}

int netns_alone(struct err *err)
{
	struct steps s = { .len = 0 };
	int r = enter_new(err);

	if (r)
		return r;
	/* the kernel gives it 127.0.0.1 by itself */
	link_up(&s);
	return ask(&s, err);
}

int netns_enter(int fd, struct err *err)
{
	if (setns(fd, CLONE_NEWNET))
		return lacks(err, errno, "enter network namespace", "setns",
			     NULL);
	return 0;
}
