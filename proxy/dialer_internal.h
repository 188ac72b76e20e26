/* dialer_internal.h - what the files of the dialer share
 * SPDX-License-Identifier: Apache-2.0
 *
 *	dialer.c		its life; messages in and out; tasks
 *	dialer_resolve.c	ASK_RESOLVE
 *	dialer_dial.c		ASK_DIAL, ASK_CHECK, ASK_USED
 *	dialer_upproxy.c	which flows go by the caller's own proxy
 *	dialer_lookup.c		a name to vetted addresses
 *	dialer_quota.c		how much may be looked up
 *	dialer_pin.c		pins: ours, and the kernel's
 *	dialer_hosts.c		the host's own names
 *	dialer_change.c		another policy for a live posture
 */
#ifndef EXEAT_PROXY_DIALER_INTERNAL_H
#define EXEAT_PROXY_DIALER_INTERNAL_H

#include <sys/queue.h>

#include "core/base/msg.h"
#include "policy/policy.h"
#include "policy/upproxy.h"
#include "proxy/ask.h"
#include "proxy/connector.h"
#include "proxy/dialer.h"
#include "proxy/pins.h"
#include "proxy/quota.h"

struct event;
struct happy;
struct hosts;
struct lookup;
struct pin_batch;
struct resolver;
struct synth;
struct task;

enum {
	DIALER_TASKS = LIMIT_FLOWS + LIMIT_UDP_FLOWS + LIMIT_DNS_QUERIES,
	DIALER_BUCKETS = 1024,
	DIALER_READ_BURST = 64, /* messages before others get their turn */
	DIALER_PAUSE = 1 << 20, /* bytes that front does not read: no more
				 * questions until it has */
};

struct posture {
	LIST_ENTRY(posture) link;
	uint32_t id;
	const struct policy *policy;
	struct pins *pins;
	struct quota *quota; /* NULL: no name below a wildcard yet */
	struct quota_rate rate;
	struct synth *synth; /* NULL: no name has one yet */
	struct plan_pin_class *classes;
	size_t nclasses;
};

/* One family of the addresses of a name that is being dialled. */
struct dial_family {
	struct task *task;
	struct lookup *lookup; /* NULL: not under way */
	bool done, added;
	struct policy_verdict refused; /* DEFAULT: nothing was */
	size_t naddrs;
	struct endpoint addrs[LIMIT_DNS_ADDRS];
};

/* A question under way: from its message to its answer, or to a cancel. */
struct task {
	LIST_ENTRY(task) bucket;
	struct dialer *dialer;
	struct posture *posture;
	struct ask ask;
	struct event *deadline;
	/* ASK_RESOLVE */
	struct lookup *lookup;
	struct pin_batch *batch; /* waits for the kernel */
	struct answer_resolve *resolved;
	/* ASK_DIAL */
	struct answer *dialled;
	struct dial_family *families; /* own family first; NULL: by address */
	struct happy *happy;
	bool by_proxy, told_name; /* by the name, not the address */
};

struct dialer {
	struct event_base *base;
	struct dialer_hooks hooks;
	struct connector_env env;
	struct chan front;
	struct event *readable, *writable, *broken;
	int broken_error; /* 0: front is there */
	struct upproxy proxy;	/* env.proxy, if there is one */
	const struct policy *direct; /* its exceptions */
	struct resolver *resolver;
	struct hosts *hosts; /* NULL: none */
	struct quota_rate rate;
	LIST_HEAD(posture_list, posture) postures;
	LIST_HEAD(task_list, task) tasks[DIALER_BUCKETS]; /* by ask.id */
	size_t ntasks;
	TAILQ_HEAD(pin_batch_list, pin_batch) batches; /* by seq */
	uint32_t next_seq;
};

/* -- dialer.c -- */

struct posture *dialer_posture(struct dialer *d, uint32_t id);
/* Send the answer and be done with the task. Nothing follows these. */
void task_answer_dial(struct task *t, int fd);
void task_answer_resolve(struct task *t);
void task_free(struct task *t);
enum task_kind { TASK_RESOLVE, TASK_DIAL };
/*
 * A task for an ask, with the deadline and an empty answer of its kind. NULL
 * if there are too many, or no memory.
 */
struct task *task_new(struct dialer *d, struct posture *p, const struct ask *a,
		      enum task_kind kind);
void send_answer(struct dialer *d, const struct answer *a, int fd);
void send_answer_resolve(struct dialer *d, const struct answer_resolve *a);

/* -- dialer_resolve.c -- */

void resolve_ask(struct dialer *d, struct posture *p, const struct ask *a);
void resolve_pinned(struct task *t, int error);
void resolve_late(struct task *t);

/* -- dialer_dial.c -- */

/* What the policy is asked of a flow. Borrows the name. */
struct policy_question dial_question(const struct ask *a);

/* `p` NULL: a posture that is not there (any more) refuses everything. */
void dial_ask(struct dialer *d, struct posture *p, const struct ask *a);
void dial_check(struct dialer *d, struct posture *p, const struct ask *a);
void dial_used(struct dialer *d, struct posture *p, const struct ask *a);
void dial_late(struct task *t);

/* -- dialer_upproxy.c -- */

enum dial_way { WAY_REFUSED, WAY_DIRECT, WAY_PROXY };
/* The way of a flow that the policy allows; refused: the reason. */
enum dial_way upproxy_way(const struct dialer *d, const struct ask *a,
			  const struct policy_verdict *v,
			  enum policy_reason *ret_reason);
/* Is the proxy told the name of this flow that goes by it? If the flow has
 * shown none, a->name is filled where its address says which. */
bool upproxy_by_name(const struct dialer *d, const struct posture *p,
		     struct ask *a);
/* Is a name answered with a synthetic address? */
bool upproxy_resolves(const struct dialer *d, const char *name);
/* Which one; 0 or -errno. */
int upproxy_address(struct posture *p, const char *name, struct addr *ret);
/*
 * A flow to a synthetic address becomes one to its name, not resolved; any
 * other is left alone. False: it stands for nothing that the flow may have.
 */
bool upproxy_unmask(const struct dialer *d, const struct posture *p,
		    struct ask *a, enum policy_reason *ret_reason);

/* -- dialer_lookup.c -- */

struct lookup_result {
	bool allow;
	enum policy_reason reason; /* not allowed */
	uint32_t rule;
	uint8_t rcode; /* allowed */
	uint32_t ttl_s;
	const char *chain; /* names, " " between */
	size_t naddrs;
	struct addr addrs[LIMIT_DNS_ADDRS]; /* vetted */
	size_t rdata_len;
	const uint8_t *rdata;
};

/* Called once, never from within lookup_new(); the lookup is gone then. */
typedef void lookup_cb(void *user, const struct lookup_result *r);

/* 0 or -errno. `policy` must have allowed the lookup of `name`; NULL: the
 * dialer asks for itself, and nothing is vetted. */
int lookup_new(struct dialer *d, const struct policy *policy, const char *name,
	       uint16_t qtype, lookup_cb *done, void *user,
	       struct lookup **ret);
void lookup_cancel(struct lookup *l);
/* localhost and what is below it (RFC 6761 6.3). */
bool name_is_localhost(const char *name);

/* -- dialer_quota.c -- */

enum quota_verdict {
	QUOTA_OVER_RATE,  /* questions a second */
	QUOTA_OVER_NAMES, /* different ones below this wildcard */
	QUOTA_WITHIN,
};
/*
 * May the payload say this name, which the policy allows? Counts it. *ret_rule:
 * what it is counted under, or POLICY_NO_RULE.
 */
bool quota_say(struct posture *p, const char *name, uint32_t *ret_rule);
/* The same, and may it be looked up once more? */
enum quota_verdict quota_lookup(struct dialer *d, struct posture *p,
				const char *name, uint16_t qtype,
				uint32_t *ret_rule);

/* -- dialer_pin.c -- */

int posture_take_classes(struct posture *p);
/*
 * Pin addresses that were vetted for a name. 0: in force. 1: the kernel was
 * asked, and `waiting` (or NULL) will be told by resolve_pinned(): it may
 * have been already. -errno.
 */
int pin_addresses(struct dialer *d, struct posture *p, const char *name,
		  const struct addr *addrs, size_t n, struct task *waiting);
void pin_batch_forget_task(struct pin_batch *b);
/* What the kernel is to be told of one pin; false: its sets would have more
 * elements by it than are *left. The list has room for as many. */
bool pins_add_ranges(struct dialer_pins *to, size_t *left,
		     const struct posture *p, const char *name,
		     const struct addr *a);
/* Those of one posture: what is acknowledged later counts for nothing. */
void pin_batches_drop(struct dialer *d, const struct posture *p);

/* -- dialer_hosts.c -- */

int hosts_new(const struct dialer_host *entries, size_t n, struct hosts **ret);
void hosts_free(struct hosts *h);
/* Is the name there? Its addresses of one family (at most max). */
bool hosts_find(const struct hosts *h, const char *name, bool v4,
		struct addr *ret, size_t max, size_t *ret_n);

#endif
