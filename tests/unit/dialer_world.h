/* dialer_world.h - a small world for the dialer: a net, a DNS, a front
 * SPDX-License-Identifier: Apache-2.0
 *
 * All of it in this process and in a network namespace of its own. On `lo`
 * answer, without being addresses of the "host" (192.0.2.1, 2001:db8::1):
 * 203.0.113.0/24, 10.9.0.0/16 and 2001:db8:1::/64.
 */
#ifndef EXEAT_TESTS_DIALER_WORLD_H
#define EXEAT_TESTS_DIALER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "proxy/ask.h"
#include "proxy/dialer.h"

struct event_base;
struct world;

/* Once, first of all. Exits with 77 where there are no user namespaces. */
void world_enter_namespace(void);

struct addr world_addr(const char *text);
struct endpoint world_endpoint(const char *addr, uint16_t port);

/* With one posture (1) of these rules; NULL-terminated lists or NULL. */
struct world *world_new(enum policy_mode mode, const char *const *allow,
			const char *const *deny);
void world_free(struct world *w);
struct dialer *world_dialer(struct world *w);
struct event_base *world_base(struct world *w);

/* Run the loop until *flag, 20 s at most; a test fails by that. */
void world_run_until(struct world *w, const bool *flag);
/* Run the loop for so long. */
void world_run_ms(struct world *w, int ms);

/* -- the routes that the hook tells; everything else is OK -- */
void world_route(struct world *w, const char *prefix, enum dialer_route route);
/* The same from the question after `not_yet` others on. */
void world_route_later(struct world *w, const char *prefix, unsigned not_yet,
		       enum dialer_route route);

/* -- DNS -- */
struct world_record {
	const char *name;
	uint16_t qtype;
	const char *cname; /* or */
	const char *addrs; /* blank between; "" NODATA */
	uint32_t ttl;
	uint8_t rcode;
	bool truncate; /* over UDP */
	bool silent;
	const char *rdata; /* HTTPS: as it is, rdata_len bytes */
	size_t rdata_len;
	bool last; /* the server follows no CNAME beyond this */
};
/* Takes the place of an earlier one for the same name and type. A name of
 * which nothing is said does not exist. */
void world_says(struct world *w, struct world_record r);
/* ttl 60 */
void world_a(struct world *w, const char *name, const char *addrs);
void world_aaaa(struct world *w, const char *name, const char *addrs);
void world_cname(struct world *w, const char *name, const char *to);
/* How often was it asked, on UDP and TCP together, and on TCP alone? */
unsigned world_asked(struct world *w, const char *name, uint16_t qtype);
unsigned world_asked_all(struct world *w);
unsigned world_asked_tcp(struct world *w);
/* Different UDP source ports seen. */
unsigned world_source_ports(struct world *w);
/* A server that knows no EDNS: FORMERR to queries with it. */
void world_no_edns(struct world *w);
/* Servers of the dialer: the good one, or one that never answers. */
void world_use_servers(struct world *w, bool silent_first, bool good);

/* -- pins -- */
enum world_pins {
	WORLD_PIN_AT_ONCE, /* acknowledged within the call */
	WORLD_PIN_HELD,	   /* by world_release_pins() */
	WORLD_PIN_FAILS,
};
void world_pins(struct world *w, enum world_pins how);
void world_release_pins(struct world *w);
size_t world_pin_calls(struct world *w);
/* Was this put in force? */
bool world_pinned(struct world *w, const char *addr, enum rule_proto proto,
		  uint16_t lo, uint16_t hi);

/* -- front -- */
uint32_t world_send(struct world *w, enum ask_message type, struct ask a);
/* Wait for the answer; *ret_fd is the caller's (-1: none). */
struct answer world_answer(struct world *w, uint32_t id, int *ret_fd);
struct answer_resolve world_answer_resolve(struct world *w, uint32_t id);
bool world_has_answer(struct world *w, uint32_t id);
size_t world_nanswers(struct world *w);
struct answer_resolve world_resolve(struct world *w, const char *name,
				    uint16_t qtype);
struct answer world_dial(struct world *w, const char *name,
			 enum policy_learnt learnt, const char *addr,
			 uint16_t port, int *ret_fd);
void world_front_reads(struct world *w, bool on);
void world_close_front(struct world *w);
int world_broken(struct world *w); /* 0: the hook was not called */

/* -- peers -- */
int world_listen(const char *addr, uint16_t port);
/* A listener whose queue is full: a further connection hangs. */
struct world_hole {
	int listener, filler;
};
struct world_hole world_hole_new(const char *addr, uint16_t port);
void world_hole_done(struct world_hole *h);
/* Who connected to `listener`? Closed again. */
bool world_accepted(int listener);

#endif
