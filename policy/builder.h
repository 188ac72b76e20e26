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
	struct vec rules, shapes, ports, text;
	struct vec names, cidrs, budgets;
	struct index seen;	/* rules by text */
	struct index shape_index, name_index, cidr_index;
	uint32_t *slots, *cslots;
	uint32_t nslots, ncslots;
	struct image_use *uses;
	uint32_t *entries;	/* of each rule: of names or cidrs */
	uint32_t nuses;
	uint64_t web[2][IMAGE_PORT_WORDS];
};

/* Room for n more entries at the end; NULL: out of memory (b->bad). */
void *builder_add(struct builder *b, struct vec *v, size_t n);

/* A text into the pool: where it is. */
uint32_t builder_add_text(struct builder *b, const char *s);

/* The rules of both lists, allow first; fills b->err. */
int builder_collect(struct builder *b);
/* The budgets, behind the rules (budget.c). */
int builder_collect_budgets(struct builder *b);

static inline const char *builder_text(const struct builder *b, uint32_t at)
{
	return (const char *)b->text.data + at;
}

static inline struct image_rule *builder_rule(const struct builder *b,
					      uint32_t i)
{
	return (struct image_rule *)(void *)b->rules.data + i;
}

static inline struct image_shape *builder_shape(const struct builder *b,
						uint32_t i)
{
	return (struct image_shape *)(void *)b->shapes.data + i;
}

static inline struct image_name *builder_name(const struct builder *b,
					      uint32_t i)
{
	return (struct image_name *)(void *)b->names.data + i;
}

static inline struct image_cidr *builder_cidr(const struct builder *b,
					      uint32_t i)
{
	return (struct image_cidr *)(void *)b->cidrs.data + i;
}

static inline const struct port_range *builder_ports(const struct builder *b,
						     uint32_t i)
{
	return (const struct port_range *)(const void *)b->ports.data + i;
}

#endif
