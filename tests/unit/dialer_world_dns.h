/* dialer_world_dns.h - a DNS server that says what a test tells it
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_DIALER_WORLD_DNS_H
#define EXEAT_TESTS_DIALER_WORLD_DNS_H

#include "dialer_world.h"

struct dns_world;

/* On 127.0.0.1, UDP and TCP. */
struct dns_world *dns_world_new(struct event_base *base, uint16_t port);
void dns_world_free(struct dns_world *d);
void dns_world_says(struct dns_world *d, struct world_record r);
/* `name` NULL: all of them. */
unsigned dns_world_asked(const struct dns_world *d, const char *name,
			 uint16_t qtype);
unsigned dns_world_asked_tcp(const struct dns_world *d);
unsigned dns_world_source_ports(const struct dns_world *d);
void dns_world_no_edns(struct dns_world *d);

#endif
