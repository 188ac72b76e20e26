/* sysnet_posture.h - a posture namespace for a test, and a payload's moves
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_SYSNET_POSTURE_H
#define EXEAT_TESTS_SYSNET_POSTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/addr.h"
#include "core/sys/netns.h"
#include "core/sys/nft.h"

/* Any call that failed though it should not: print the reason, fail. */
void must(int r, const struct err *err);

struct addr addr_of(const char *text);
struct endpoint at(const char *addr, uint16_t port);
/* "10.0.0.0/8" */
struct plan_range range_of(const char *prefix);

struct posture {
	struct nft *nft;
	struct gate_sockets gate;
	int netns;
};

/* A fresh namespace, entered, with the plan's wall and the gate's sockets. */
void posture_open(struct posture *p, const struct plan *plan);
void posture_close(struct posture *p);

/* A group for all protocols and ports. */
struct plan_group group_all(const struct plan_range *ranges, size_t n);

/* How the payload connects. */
enum family { BY_V4, BY_MAPPED, BY_V6 };

/*
 * Connect blocking, at most some seconds. 0 and *ret_fd (may be NULL: closed
 * then), or the errno. *ret_us: how long it took (may be NULL).
 */
int payload_connect(enum family how, const struct endpoint *to, int *ret_fd,
		    int64_t *ret_us);
/* The same from a source of the payload's choice. */
int payload_connect_from(const struct endpoint *from,
			 const struct endpoint *to);
/* sendto() of one datagram. 0 or the errno. */
int payload_send(enum family how, const struct endpoint *to);

/* Refused at once, with this counter going up by one or more. */
void expect_refused(struct posture *p, const char *addr, uint16_t port,
		    enum nft_refusal why);
void expect_udp_refused(struct posture *p, const char *addr, uint16_t port,
			enum nft_refusal why);
/* Connects, and the gate's listener sees the original destination. */
void expect_gate(struct posture *p, const char *addr, uint16_t port);
/* One datagram arrives at `listener` with its original destination. */
void expect_udp_gate(int listener, const char *addr, uint16_t port);

uint64_t counted(struct posture *p, enum nft_refusal why);

/* Wait until fd is readable; fails after some seconds. */
void wait_readable(int fd);

/* recvmsg() with the original destination. */
size_t recv_orig(int fd, void *buf, size_t size, struct endpoint *ret_from,
		 struct endpoint *ret_to);

/* A listener of the payload's. */
int own_listener(const char *addr, uint16_t port);

#endif
