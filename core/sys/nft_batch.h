/* nft_batch.h - netlink transactions to nf_tables
 * SPDX-License-Identifier: Apache-2.0
 *
 * A batch collects messages and hands them to the kernel as one transaction:
 * all or nothing. The first failure sticks: what follows does nothing, and
 * batch_commit() tells it. So builders return nothing and are not checked
 * one by one.
 */
#ifndef EXEAT_SYS_NFT_BATCH_H
#define EXEAT_SYS_NFT_BATCH_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

struct nft_batch {
	int fd;			/* borrowed */
	uint32_t *seq;		/* borrowed: the socket's sequence number */
	uint8_t *buf;
	size_t len, size;
	size_t last;		/* offset of the last message */
	bool whole;		/* Mustn't be cut: overflow is an error */
	unsigned commits;	/* transactions that went through */
	int error;		/* sticky, negative errno */
	bool lacks_expr;	/* the kernel does not know an expression */
	struct err err;
};

/* A NETLINK_NETFILTER socket with a send buffer as big as may be; *ret_room
 * is the size of the biggest batch that fits. fd or -errno. */
int batch_socket(size_t *ret_room, struct err *err);

/* An allocation failure sticks like any other. */
void batch_init(struct nft_batch *b, int fd, uint32_t *seq, size_t room);
void batch_done(struct nft_batch *b);

/* Keep the next messages, of together this many bytes, in one transaction:
 * commits what is there first if there is no room, unless b->whole. */
void batch_reserve(struct nft_batch *b, size_t bytes);

/*
 * Begin a message of at most `max` bytes, header included, which it reserves;
 * NULL after a failure. batch_msg_end() closes it.
 */
struct nlmsghdr *batch_msg(struct nft_batch *b, uint16_t type, uint16_t flags,
			   size_t max);
void batch_msg_end(struct nft_batch *b, const struct nlmsghdr *nlh);

/* Send and wait for the kernel's word. 0, or the sticky error, also in *err
 * (may be NULL). The batch is empty afterwards. */
int batch_commit(struct nft_batch *b, struct err *err);

/* Make a failure of our own stick. */
void batch_fail(struct nft_batch *b, int errnum, const char *step,
		const char *object);

#endif
