/* proxy_world.h - front as a whole: listeners, payloads, targets, a dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything runs in one process and in a network namespace of its own:
 * addresses of the internet are on its loopback, so that ordinary listeners
 * stand in for transparent ones. Answers are made up by world_verdict().
 */
#ifndef EXEAT_TESTS_PROXY_WORLD_H
#define EXEAT_TESTS_PROXY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "proxy/ask.h"
#include "proxy/front.h"

/* Where payloads go. NAMED: only name rules; OPENED: a CIDR rule. */
#define NAMED "203.0.113.9"
#define NAMED6 "2001:db8::9"
#define OPENED "198.51.100.9"

enum { PORT_OTHER = 8080, WORLD_EVENTS = 256 };

struct world_event {
	struct audit_event e; /* texts below; others NULL */
	char name[LIMIT_NAME + 1], reason[64], rule[128], hint[128];
	char learnt[16], chain[256];
};

struct world {
	struct event_base *base;
	struct front *front;
	struct chan dialer; /* the fake one's end */
	struct event *dialer_in;
	int target; /* listener: what is dialled */
	uint16_t target_port;
	int target_udp;
	unsigned asked[ANSWER]; /* by message: index type - ASK_DIAL */
	struct ask last;
	int dial_error; /* allowed, but not reached */
	bool mute;	/* do not answer */
	bool refuse;	/* say no to everything */
	const char *refused; /* and to this name, if not NULL */
	int broken;
	unsigned nevents;
	struct world_event events[WORLD_EVENTS];
	void *image;
	struct policy *policy;
};

/* A namespace for the whole program; skips the program if there is none. */
int world_enter(void);

/* For a test: front with one posture (number 1). `mode`: enum policy_mode. */
struct world *world_new(enum policy_mode mode);
struct world *world_with(enum policy_mode mode,
			 const struct policy_budget *budgets, size_t n);
void world_free(struct world *w);

unsigned world_asked(const struct world *w, enum ask_message type);
/* The last event; fails if there is none. */
const struct world_event *world_last(const struct world *w);

/* Let everything run until `cond`, or fail after some seconds. */
#define world_until(w, cond)                                            \
	do {                                                            \
		int64_t until_ = clock_ms() + 20000;                    \
		while (!(cond)) {                                       \
			if (clock_ms() > until_)                        \
				fail_msg("never came true: %s", #cond); \
			world_turn(w);                                  \
		}                                                       \
	} while (0)
void world_turn(struct world *w);

/* A payload's connection; non-blocking. */
int world_connect(const char *address, uint16_t port);
/* The target's end of the flow that was dialled last. */
int world_accept(struct world *w);

void world_send(struct world *w, int fd, const void *data, size_t len);
void world_say(struct world *w, int fd, const char *text);
/* Read until exactly this came. */
void world_expect(struct world *w, int fd, const void *data, size_t len);
void world_hear(struct world *w, int fd, const char *text);
/* Read until the end; what came before is put into buf, terminated. Returns
 * 0 or the errno that ended it. */
int world_read_end(struct world *w, int fd, char *buf, size_t size);
void world_reset(int *fd); /* close with a RST */

#endif
