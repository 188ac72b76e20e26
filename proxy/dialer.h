/* dialer.h - the side of the gate that decides and opens
 * SPDX-License-Identifier: Apache-2.0
 *
 * Holds the compiled policies and the pins; resolves with c-ares; asks the
 * kernel for the route; connects (Happy Eyeballs, RFC 8305); passes the
 * connected descriptor to front. Parses nothing that a payload wrote.
 */
#ifndef EXEAT_PROXY_DIALER_H
#define EXEAT_PROXY_DIALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "policy/policy.h"

struct event_base;
struct dialer;
struct upstream_server; /* resolver_upstream.h */
struct upproxy;

enum dialer_route {
	DIALER_ROUTE_OK,
	DIALER_ROUTE_OWN,	/* an own address of the host */
	DIALER_ROUTE_REFUSED,	/* broadcast, multicast */
	DIALER_ROUTE_NONE,	/* unreachable: ENETUNREACH */
};

struct dialer_pin {
	struct addr addr;
	enum rule_proto proto;
	struct port_range range;
};

struct dialer_pins {
	struct dialer_pin *list;
	size_t n;
	unsigned ttl_s;
};

/* What the dialer needs of the machine comes as functions. */
struct dialer_hooks {
	void *user;
	/* Port 0: of none in particular. */
	enum dialer_route (*route)(void *user, enum rule_proto proto,
				   const struct endpoint *to);
	/*
	 * Put pins in force in the kernel. The owner calls dialer_pinned(seq)
	 * when they are (error 0) or cannot be (errno). An answer leaves only
	 * after that.
	 */
	void (*pin)(void *user, uint32_t posture, uint32_t seq,
		    const struct dialer_pin *pins, size_t npins,
		    unsigned ttl_s);
	void (*broken)(void *user, int error);	/* front is gone */
	/*
	 * TLS to the caller's proxy: `fd` (borrowed) is connected to it. The
	 * owner calls dialer_wrapped(), not from within. unwrap: it need not.
	 * NULL: no https:// proxy can be set.
	 */
	void (*wrap)(void *user, uint32_t id, int fd);
	void (*unwrap)(void *user, uint32_t id);
};

/* take_front_fd: SEQPACKET socket to front (ask.h). */
int dialer_new(struct event_base *base, int take_front_fd,
	       const struct dialer_hooks *hooks, struct dialer **ret);
void dialer_free(struct dialer *d);

/* Upstream DNS servers, in order; replaces the former ones. At most 8. Port
 * 53 if 0. */
int dialer_set_servers(struct dialer *d, const struct upstream_server *servers,
		       size_t n, struct err *err);

/* One entry of the host's /etc/hosts; vetted like an answer. */
struct dialer_host {
	const char *name;		/* canonical */
	struct addr addr;
};
int dialer_set_hosts(struct dialer *d, const struct dialer_host *hosts,
		     size_t n, struct err *err);

/*
 * The caller's own proxy, which every flow goes by from then on but for what
 * `direct` denies: its deny rules are the exceptions. `direct` is borrowed
 * until dialer_free(), *u is copied.
 * Should: before the first posture.
 */
void dialer_set_upproxy(struct dialer *d, const struct upproxy *u,
			const struct policy *direct);

/* `policy` is borrowed until dialer_drop_posture(). */
int dialer_add_posture(struct dialer *d, uint32_t posture,
		       const struct policy *policy);
/*
 * Of the posture's pins those that `policy`, which shall be its next one, will
 * still allow, for the kernel to have when it has that policy. The caller
 * frees the list. Nothing changes yet. 0, -ENOENT, -ENOMEM.
 */
int dialer_staying_pins(struct dialer *d, uint32_t posture,
			const struct policy *policy, struct dialer_pins *ret);
/*
 * Another policy for a posture that lives; it decides from now on. The kernel
 * has it, with the pins that were last said to stay. What is under way waits
 * for dialer_renew(): the owner says in between that pins which come now are
 * of the new policy. The old one is borrowed until then. 0, -ENOENT, or
 * -ENOMEM: the old one stays.
 */
int dialer_set_policy(struct dialer *d, uint32_t posture,
		      const struct policy *policy);
void dialer_renew(struct dialer *d, uint32_t posture);
void dialer_drop_posture(struct dialer *d, uint32_t posture);

void dialer_pinned(struct dialer *d, uint32_t seq, int error);
/* failure 0: take_fd is to be connected (pump.h); else -1, and the reason
 * (upproxy_talk.h). */
void dialer_wrapped(struct dialer *d, uint32_t id, int take_fd,
		    uint32_t failure);

#endif
