/* front_private.h - what the parts of front share
 * SPDX-License-Identifier: Apache-2.0
 *
 * front.c owns the list of postures, the line to the dialer and the pausing
 * of listeners. flow.c (TCP), udp.c (UDP) and dnsserver.c own their objects,
 * each kept in a list of its posture. An object ends by its own close
 * function, or when its posture is dropped.
 */
#ifndef EXEAT_PROXY_FRONT_PRIVATE_H
#define EXEAT_PROXY_FRONT_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "core/base/limits.h"
#include "proxy/ask.h"
#include "proxy/front.h"
#include "proxy/meter.h"

/*
 * A question to the dialer that waits for its answer, embedded in whoever
 * asked. `id` is 0 when none is open. Exactly one of the callbacks is called,
 * once, unless the question is cancelled before; it may free the asker.
 */
struct question {
	uint32_t id;
	struct question *next;
	/* *take_fd is -1, or the connected descriptor: steal it, or it will be
	 * closed. */
	void (*on_answer)(struct question *q, const struct answer *a,
			  int *take_fd);
	void (*on_resolve)(struct question *q, const struct answer_resolve *a);
};

/*
 * Questions refused at a limit: the first is told at once, the rest of
 * LIMIT_DNS_TOLD_MS as one number. Whoever asks without end gets an answer
 * each time, but not a record.
 */
struct dns_limited {
	int64_t since_ms; /* 0: none was refused lately */
	uint64_t untold;
	char rule[LIMIT_RULE_TEXT]; /* of the last */
};

struct flow;
struct udp_flow;
struct proxyd;
struct dns_conn;
struct dns_job;

struct posture {
	LIST_ENTRY(posture) link;
	struct front *front;
	uint32_t id, run;
	const struct policy *policy;
	struct counter_map counters; /* of its budgets */
	bool peek_any; /* names matter where addresses decide:
					 * deny rules with names, or
					 * require_names */
	struct front_sockets sockets;
	struct event tcp, dns_tcp, udp, dns_udp, proxy; /* listeners */
	LIST_HEAD(, flow) flows;
	LIST_HEAD(, proxyd) proxyds;
	LIST_HEAD(, udp_flow) udp_flows;
	LIST_HEAD(, dns_conn) dns_conns;
	struct dns_limited limited;
};

enum { QUESTION_BUCKETS = 1024, UDP_BUCKETS = 1024 };

TAILQ_HEAD(udp_age, udp_flow);
TAILQ_HEAD(dns_age, dns_job);

struct front {
	struct event_base *base;
	struct front_hooks hooks;
	struct chan dialer;
	struct event dialer_in, dialer_out;
	bool broken;
	uint32_t last_id;
	uint32_t nopen; /* questions; the dialer says nothing unasked */
	struct question *open[QUESTION_BUCKETS];
	LIST_HEAD(, posture) postures;
	struct counters counters; /* of all postures */

	bool paused; /* accepting */
	struct event resume;
	uint32_t fd_base;  /* descriptors that are there without flows */
	uint32_t udp_fds;  /* of UDP flows, also those they will get */
	int fd_max;	   /* accept pauses from this one on */
	int fd_last;	   /* the newest that was accepted */
	struct event tick; /* one coarse timer for what is many */
	int64_t told_ms;   /* the dialer, which pins TCP flows use */
	struct front_stats stats;
	uint32_t unconnected; /* flows that will get a descriptor */
	uint8_t *chunk;	      /* LIMIT_RELAY_CHUNK bytes, for nobody
					 * longer than one call */

	struct udp_age udp_age; /* least recently used first */
	LIST_HEAD(, udp_flow) udp_table[UDP_BUCKETS];
	struct dns_age dns_age; /* oldest first */
	uint32_t dns_conns;

	/* Is this destination the gate itself (a loop)? Replaced in tests,
	 * where everything is on loopback. */
	bool (*is_own)(const struct addr *a);
};

/*
 * Ask. Fills a->id and q->id. 0, or -errno: then no callback comes. Mustn't:
 * while q is open.
 */
int front_ask(struct front *f, enum ask_message type, struct ask *a,
	      struct question *q);
/* No callback comes after it. Nothing happens if q is not open. */
void front_cancel(struct front *f, struct question *q);
/* A message without an answer (ASK_USED). */
void front_tell(struct front *f, enum ask_message type, struct ask *a);

/* Fill time, run and posture, count refusals, hand it to the owner. */
void front_event(struct posture *p, struct audit_event *e);

/*
 * Should be asked before each accept4(): false when descriptors (each flow
 * will need a second one) or places run out; all listeners then pause.
 */
bool front_may_accept(struct front *f);
/* What accept4() returned, -1 too. */
void front_accepted(struct front *f, int fd);
/* The same for what takes a descriptor by dialling alone. */
bool front_may_dial(struct front *f);
/* accept4() failed: true if there is no sense in trying again now. */
bool front_accept_failed(struct front *f, int error);

/* The reason in the record of a flow that lived when the policy changed. */
#define FRONT_REASON_CHANGED "policy"

/* flow.c */
void flow_accept_cb(evutil_socket_t listener, short what, void *posture);
void flow_drop_all(struct posture *p);

/* flow_change.c */
void flow_policy_changed(struct posture *p);
/* A pin lives as long as a flow that came by it. */
void flow_tick(struct front *f, int64_t now_ms);

/* proxyd.c */
void proxyd_accept_cb(evutil_socket_t listener, short what, void *posture);
void proxyd_policy_changed(struct posture *p);
void proxyd_drop_all(struct posture *p);

/* udp.c */
void udp_readable_cb(evutil_socket_t fd, short what, void *posture);
void udp_tick(struct front *f, int64_t now_ms);
void udp_drop_all(struct posture *p);
void udp_policy_changed(struct posture *p);
/* End a flow that is silent; false if there is none. */
bool udp_give_way(struct front *f, int64_t now_ms);

/* One datagram of a transparent socket. */
struct datagram {
	struct endpoint client;
	struct endpoint to; /* original destination */
	const uint8_t *data;
	size_t len;
};
/* 1: *ret is filled; 0: nothing there; -errno. `buf` holds the data. */
int datagram_recv(int fd, uint8_t *buf, size_t size, struct datagram *ret);

/* dnsserver.c */
void dns_readable_cb(evutil_socket_t fd, short what, void *posture);
void dns_accept_cb(evutil_socket_t listener, short what, void *posture);
void dns_tick(struct front *f, int64_t now_ms);
/* Tell what was refused at a limit and not told yet. */
void dns_tell_limited(struct posture *p);
void dns_drop_all(struct posture *p);

#endif
