/* nft_batch.c - netlink transactions to nf_tables
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The kernel works a batch off inside sendto(), so that every answer waits in
 * the receive queue when the call returns: they are read without blocking
 * until there is none. Only the last message asks for an acknowledgement; a
 * failing message always answers. A batch has gone through if and only if the
 * last message was acknowledged and nothing failed.
 *
 * The object of an error is read from the message that failed: it is still
 * in our buffer, found by its sequence number.
 */
#include "core/sys/nft_batch.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"

enum {
	BATCH_SNDBUF = 4 << 20,
	BATCH_RCVBUF = 1 << 20,
	BATCH_FRAME = 64, /* begin and end message */
};

int batch_socket(size_t *ret_room, struct err *err)
{
	cleanup_fd int fd = -1;
	int size = BATCH_SNDBUF, rcv = BATCH_RCVBUF, on = 1;
	socklen_t len = sizeof(size);

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 && errno == EPROTONOSUPPORT) {
		(void)err_new(err, ERR_UNAVAILABLE, "open nftables",
			      "NETLINK_NETFILTER",
			      "the kernel has no CONFIG_NETFILTER_NETLINK");
		err_remedy(err, "load the module: modprobe nfnetlink");
		return -EPROTONOSUPPORT;
	}
	if (fd < 0)
		return err_sys(err, errno, "open nftables",
			       "NETLINK_NETFILTER");
	/* Beyond the limit of the machine needs a right that we may not
	 * have; the smaller buffer only means smaller chunks. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, len))
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, len);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, len))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcv, len);
	/* Without these errors are longer and have no text: no harm. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len))
		return err_sys(err, errno, "open nftables", "SO_SNDBUF");
	*ret_room = (size_t)size < BATCH_SNDBUF ? (size_t)size : BATCH_SNDBUF;
	/* netlink_sendmsg() keeps 32 bytes for itself. */
	*ret_room -= 32;
	return fd_steal(&fd);
}

void batch_init(struct nft_batch *b, int fd, uint32_t *seq, size_t room)
{
	*b = (struct nft_batch){ .fd = fd, .seq = seq, .size = room };
	b->buf = malloc(room);
	if (!b->buf)
		batch_fail(b, ENOMEM, "load nftables", "batch");
}

void batch_done(struct nft_batch *b)
{
	free(b->buf);
	b->buf = NULL;
}

void batch_fail(struct nft_batch *b, int errnum, const char *step,
		const char *object)
{
	if (b->error)
		return;
	b->error = -errnum;
	(void)err_sys(&b->err, errnum, step, "%s", object);
}

void batch_reserve(struct nft_batch *b, size_t bytes)
{
	if (b->error || !b->len || b->len + bytes + BATCH_FRAME <= b->size)
		return;
	if (b->whole)
		batch_fail(b, EMSGSIZE, "load nftables", "batch");
	else
		(void)batch_commit(b, NULL); /* sticks */
}

struct nlmsghdr *batch_msg(struct nft_batch *b, uint16_t type, uint16_t flags,
			   size_t max)
{
	struct nlmsghdr *nlh;

	batch_reserve(b, max);
	if (!b->error && max + 2 * BATCH_FRAME > b->size)
		batch_fail(b, EMSGSIZE, "load nftables", "message");
	if (b->error)
		return NULL;
	if (!b->len) {
		nlh = nftnl_batch_begin((char *)b->buf, ++*b->seq);
		b->len = NLMSG_ALIGN(nlh->nlmsg_len);
	}
	b->last = b->len;
	return nftnl_nlmsg_build_hdr((char *)b->buf + b->len, type,
				     NFPROTO_INET, flags, ++*b->seq);
}

void batch_msg_end(struct nft_batch *b, const struct nlmsghdr *nlh)
{
	b->len += NLMSG_ALIGN(nlh->nlmsg_len);
}

/* ---- errors in words ---- */

static const char *message_step(uint16_t type)
{
	switch (type & 0xff) {
	case NFT_MSG_NEWTABLE:
		return "nftables: add table";
	case NFT_MSG_DELTABLE:
		return "nftables: delete table";
	case NFT_MSG_NEWCHAIN:
		return "nftables: add chain";
	case NFT_MSG_DELCHAIN:
		return "nftables: delete chain";
	case NFT_MSG_NEWRULE:
		return "nftables: add rule to";
	case NFT_MSG_NEWSET:
		return "nftables: add set";
	case NFT_MSG_NEWSETELEM:
		return "nftables: fill set";
	case NFT_MSG_DELSETELEM:
		return "nftables: delete from set";
	case NFT_MSG_NEWOBJ:
		return "nftables: add counter";
	default:
		return "nftables: transaction";
	}
}

/* "exeat refuse_list": attribute 1 is the table in all of them. */
static void message_object(const struct nlmsghdr *nlh, char *buf, size_t size)
{
	const struct nlattr *attr;
	uint16_t type = nlh->nlmsg_type & 0xff;
	uint16_t want = type == NFT_MSG_NEWCHAIN ? NFTA_CHAIN_NAME : 2;
	const char *table = "", *name = "";

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == 1)
			table = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == want &&
			 type != NFT_MSG_NEWTABLE && type != NFT_MSG_DELTABLE)
			name = mnl_attr_get_str(attr);
	}
	(void)snprintf(buf, size, "%s%s%s", table, *name ? " " : "", name);
}

/* The kernel's own words (extended acknowledgement), or NULL. */
static const char *kernel_text(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS) ||
	    !(nlh->nlmsg_flags & NLM_F_CAPPED))
		return NULL;
	mnl_attr_for_each(attr, nlh, sizeof(struct nlmsgerr)) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(attr);
	}
	return NULL;
}

/* The message of our buffer that an answer speaks of, or NULL. */
static const struct nlmsghdr *find_message(const struct nft_batch *b,
					   uint32_t seq)
{
	const struct nlmsghdr *nlh = (const void *)b->buf;
	int left = (int)b->len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq == seq)
			return nlh;
	}
	return NULL;
}

static void note_error(struct nft_batch *b, const struct nlmsghdr *reply,
		       int errnum)
{
	const struct nlmsghdr *nlh = find_message(b, reply->nlmsg_seq);
	const char *text = kernel_text(reply);
	char object[128] = "batch";
	bool ours = nlh && nlh->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES;

	if (!nlh || b->error)
		return; /* of something else, or not the first */
	if (ours)
		message_object(nlh, object, sizeof(object));
	batch_fail(b, errnum, message_step(ours ? nlh->nlmsg_type : UINT8_MAX),
		   object);
	/* -ENOENT for a rule: the kernel lacks an expression, or what the
	 * rule refers to; ours refer only to what the batch has made. */
	b->lacks_expr = ours && errnum == ENOENT &&
			(nlh->nlmsg_type & 0xff) == NFT_MSG_NEWRULE;
	if (!ours && errnum == EOPNOTSUPP)
		err_remedy(&b->err, "the kernel has no CONFIG_NF_TABLES; load "
				    "the module: modprobe nf_tables");
	else if (errnum == EPERM)
		err_remedy(&b->err, "needs CAP_NET_ADMIN in the user namespace "
				    "that owns the network namespace");
	if (text)
		(void)snprintf(b->err.message, sizeof(b->err.message),
			       "%s (%s)", strerror(errnum), text);
}

/* Reads every answer; true if the last message was acknowledged. */
static bool read_answers(struct nft_batch *b, uint32_t last_seq)
{
	_Alignas(struct nlmsghdr) uint8_t buf[16384];
	bool acked = false;

	for (;;) {
		ssize_t n = recv(b->fd, buf, sizeof(buf), MSG_DONTWAIT);
		const struct nlmsghdr *nlh = (const void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			batch_fail(b, errno, "nftables: read answer", "batch");
		if (n <= 0)
			return acked;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR ||
			    mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
				continue;
			if (e->error)
				note_error(b, nlh, -e->error);
			else if (nlh->nlmsg_seq == last_seq)
				acked = true;
		}
	}
}

int batch_commit(struct nft_batch *b, struct err *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr *last, *end;
	ssize_t n;

	if (!b->error && b->len) {
		last = (void *)(b->buf + b->last);
		last->nlmsg_flags |= NLM_F_ACK;
		end = nftnl_batch_end((char *)b->buf + b->len, ++*b->seq);
		b->len += NLMSG_ALIGN(end->nlmsg_len);
		do {
			n = sendto(b->fd, b->buf, b->len, 0, (void *)&kernel,
				   sizeof(kernel));
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			batch_fail(b, errno, "nftables: send", "batch");
		else if (!read_answers(b, last->nlmsg_seq))
			batch_fail(b, EPROTO, "nftables: transaction",
				   "no acknowledgement");
		if (!b->error)
			b->commits++;
	}
	b->len = 0;
	if (b->error && err)
		*err = b->err;
	return b->error;
}
