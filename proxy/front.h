/* front.h - the side of the gate that payloads talk to
 * SPDX-License-Identifier: Apache-2.0
 *
 * Holds the listeners of all postures; parses DNS, TLS, HTTP; relays; writes
 * the audit. Opens nothing: connected descriptors come from the dialer.
 */
#ifndef EXEAT_PROXY_FRONT_H
#define EXEAT_PROXY_FRONT_H

#include <stdint.h>

#include "core/audit/audit.h"
#include "core/base/addr.h"
#include "core/base/err.h"
#include "policy/policy.h"

struct event_base;
struct front;

struct front_sockets {
	int tcp, dns_tcp, udp, dns_udp, raw4, raw6; /* -1: none (blocked) */
	int proxy; /* HTTP and SOCKS, for who asks for them */
};

struct front_hooks {
	void *user;
	/* Every decision, once: the owner writes the audit and tells the
	 * caller of refusals. Borrowed for the call. */
	void (*event)(void *user, const struct audit_event *e);
	/* The dialer is gone: the process Should end. */
	void (*broken)(void *user, int error);
};

/* take_dialer_fd: SEQPACKET socket to the dialer (ask.h). */
int front_new(struct event_base *base, int take_dialer_fd,
	      const struct front_hooks *hooks, struct front **ret);
void front_free(struct front *f);

/*
 * Serve a posture. The sockets are taken over, also on failure. `policy` is
 * borrowed and must live until front_drop_posture(): it serves only to know
 * what a port may carry (policy_carry) and how DNS refuses; every verdict is
 * the dialer's.
 */
int front_add_posture(struct front *f, uint32_t posture,
		      const struct policy *policy, struct front_sockets *take,
		      struct err *err);
/*
 * Another policy for a posture that lives, borrowed like the first, which is
 * not needed any more. Should: after the dialer has it. Every flow is held
 * against it at once; what it refuses is reset, recorded with the reason
 * "policy". -ENOENT: no such posture; -ENOMEM, -E2BIG (budgets): Mustn't go on,
 * the old one is not in force any more.
 */
int front_set_policy(struct front *f, uint32_t posture,
		     const struct policy *policy);
/* Close its listeners and every flow of it. */
void front_drop_posture(struct front *f, uint32_t posture);

/* Events that were kept back to be told as one number come now. */
void front_flush(struct front *f, uint32_t posture);

/* The run that the events of a posture belong to; 0: none or several. */
void front_set_run(struct front *f, uint32_t posture, uint32_t run);

struct front_stats {
	uint32_t flows, udp_flows, dns_queries;
	uint64_t flows_total, refused_total;
};
void front_get_stats(const struct front *f, struct front_stats *ret);

#endif
