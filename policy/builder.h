/* builder.h - a policy while it is compiled
 * SPDX-License-Identifier: Apache-2.0
 *
 * collect.c fills `rules`, `ports` and `text`; compile.c does the rest and
 * owns the builder. Inside policy/ only.
 */
#ifndef EXEAT_POLICY_BUILDER_H
#define EXEAT_POLICY_BUILDER_H

#include "policy/image.h"

/* A growing array. */
struct vec {
	uint8_t *data;
	size_t count, size, entry;
};

struct builder {
	const struct policy_spec *spec;
	struct err *err;
	bool bad;		/* out of memory */
	struct vec rules, ports, text;
	uint32_t *seen;		/* hash of rule numbers: repetitions */
	size_t nseen;
	struct image_slot *slots;
	struct image_name *names;
	struct image_cidr *cidrs;
	uint32_t *lists;
	uint32_t nslots, nnames, ncidrs, nlists;
	uint64_t web[2][IMAGE_PORT_WORDS];
};

/* The rules of both lists, allow first; fills b->err. */
int builder_collect(struct builder *b);

static inline const char *builder_text(const struct builder *b, uint32_t at)
{
	return (const char *)b->text.data + at;
}

static inline struct image_rule *builder_rule(const struct builder *b,
					      uint32_t i)
{
	return (struct image_rule *)(void *)b->rules.data + i;
}

static inline const struct port_range *builder_ports(const struct builder *b,
						     uint32_t i)
{
	return (const struct port_range *)(const void *)b->ports.data + i;
}

#endif
