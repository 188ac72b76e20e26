/* flow_private.h - one TCP flow, as its files see it
 * SPDX-License-Identifier: Apache-2.0
 *
 * flow.c moves a flow from state to state (its theory of operation is
 * there), flow_tunnel.c begins those of the explicit proxies, flow_relay.c
 * passes bytes, flow_end.c says how it ended. Functions
 * that return bool say whether the flow goes on; if not, it may be gone.
 */
#ifndef EXEAT_PROXY_FLOW_PRIVATE_H
#define EXEAT_PROXY_FLOW_PRIVATE_H

#include "proxy/filter.h"
#include "proxy/front_private.h"
#include "proxy/proxyd.h"
#include "proxy/relay.h"

/* Moved by flow.c alone, but for LINGER (flow_refuse). */
enum flow_state {
	FLOW_PEEK,   /* client is read; no target */
	FLOW_ASK,    /* nothing is read; no target */
	FLOW_RELAY,  /* both are there; a question may be open */
	FLOW_LINGER, /* client is drained; the target is closed */
};

enum flow_end {
	FLOW_DONE,    /* both sides ended, all bytes delivered */
	FLOW_RESET,   /* one side did */
	FLOW_LEFT,    /* the client, before anything was decided */
	FLOW_REFUSED, /* recorded where it happened */
	FLOW_FAILED,  /* allowed, but: `error` */
	FLOW_DROPPED, /* the posture ended */
};

/* A further name that was allowed on a flow. */
struct flow_name {
	enum policy_learnt learnt;
	char text[];
};

/* Which events are being waited for. */
enum {
	ON_CLIENT_IN = 1 << 0,
	ON_CLIENT_OUT = 1 << 1,
	ON_TARGET_IN = 1 << 2,
	ON_TARGET_OUT = 1 << 3,
};

struct flow {
	LIST_ENTRY(flow) link;
	struct posture *posture;
	enum flow_state state;
	int client, target;
	struct endpoint to;
	struct event client_in, client_out, target_in, target_out, timer;
	unsigned on;
	struct filter filter;
	struct relay up, down; /* to the target, to the client */
	struct meter meter;    /* of both */
	struct question question;
	int64_t start_ms;
	int64_t first_ms; /* PEEK: of the first byte */

	/* asked of an explicit proxy; `owed`: it has not answered yet */
	enum proxyd_protocol tunnel;
	bool owed;
	/* whether a new policy allows it still (flow_change.c) */
	struct question recheck;
	struct flow_name *names[LIMIT_FLOW_NAMES]; /* behind the first one:
						    * may be in use now */
	unsigned nnames, rechecked;
	bool stale;	 /* an answer of the old policy may be on the way */
	bool many_names; /* in use, and not all of them are known */

	/* what the record will say */
	bool waits_fd; /* counted in front.unconnected */
	bool allowed;  /* by the policy: `reason`, `rule` */
	char name[LIMIT_NAME + 1];
	enum policy_learnt learnt;
	enum policy_reason reason;
	int error;
	uint32_t failure; /* of the caller's own proxy */
	char rule[LIMIT_RULE_TEXT];
};

/* ---- flow.c ---- */

/* The socket is taken over. `to` NULL: ask the socket. NULL: it is gone. */
struct flow *flow_make(struct posture *p, int take_client,
		       const struct endpoint *to);
/* What the port may carry decides how the flow starts. */
bool flow_begin(struct flow *fl);
/* Dial if there is no target yet, else only check. */
bool flow_ask(struct flow *fl);
void flow_timer(struct flow *fl, int ms);
/* Count for what this name and address have. */
void flow_meter(struct flow *fl, struct meter *m, const char *name,
		const struct addr *addr);

/* ---- flow_change.c ---- */

/* A further name was allowed; before the filter is told. */
void flow_note_name(struct flow *fl, const char *name);
void flow_forget_names(struct flow *fl);
/* Hold a relayed flow against the present policy. */
bool flow_recheck(struct flow *fl);

/* ---- flow_tunnel.c ---- */

/* The target is reached: tell the client, let the filter begin. */
bool flow_tunnel_open(struct flow *fl, const struct answer *a);
/* The client has to name somebody before it hears anything. */
bool flow_owes_name(const struct flow *fl);

/* ---- flow_relay.c ---- */

/* Ask the filter about the bytes that wait. */
bool flow_judge(struct flow *fl);
bool flow_pump_up(struct flow *fl); /* client to target */
/* Target to client; `ends`: the target's end has been seen. */
bool flow_pump_down(struct flow *fl, bool ends);
/* Wait for what can move a relayed flow, or end it: the last call. */
void flow_settle(struct flow *fl);
void flow_target_in_cb(evutil_socket_t fd, short what, void *flow);
void flow_target_out_cb(evutil_socket_t fd, short what, void *flow);

/* ---- flow_end.c: how it ends ---- */

/* close() shall send a reset, not a FIN; ends nothing by itself. */
void flow_make_reset(int fd);
void flow_close(struct flow *fl, enum flow_end end);
/* Allowed or not yet decided, but it cannot be. Always false. */
bool flow_fail(struct flow *fl, int error);
/* A side is gone: reset the other. Always false. */
bool flow_reset(struct flow *fl);
/* A write failed: a side is gone, or (-EDQUOT) a budget is used up. Always
 * false. */
bool flow_broken(struct flow *fl, int error);
/*
 * The policy's verdict on the filter's present name, or on the bytes
 * themselves; said in HTTP where that can be (the flow lingers then). `why`
 * may be NULL. Always false.
 */
bool flow_refuse(struct flow *fl, enum policy_reason reason, const char *rule,
		 const char *hint, const char *why);
bool flow_refuse_bytes(struct flow *fl, enum policy_reason reason,
		       const char *why);
/* The same where nothing is left of a budget of the filter's present name. */
bool flow_refuse_spent(struct flow *fl, const struct counter *spent);
/* It lived, and a new policy refuses it. Always false. */
bool flow_refuse_changed(struct flow *fl, const char *rule, const char *hint);
/* A record for a further name that was allowed on a flow. */
void flow_record_name(struct flow *fl, const struct answer *a);

#endif
