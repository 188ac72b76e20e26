/* fuzz_image.c - images of policies with changed bytes
 * SPDX-License-Identifier: Apache-2.0
 *
 * An image is large and mostly holes, so the input is not one: its first byte
 * chooses a policy, every four bytes behind are a change (offset, value).
 * What policy_new() takes must be safe to ask anything, and the verdict must
 * stay total. What it says of a forged image means nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

static const char *const allow[] = {
	"a.test",
	"*.wild.test:1-1000",
	"x*y.wild.test+private",
	"udp/dns.test:53",
	"10.1.0.0/16",
	"203.0.113.9:22",
	"[2001:db8::/32]:*",
	"host.exeat.internal:80",
};
static const char *const openers[] = {
	"*+wide+private",
	"10.0.0.0/8:22",
	"host.exeat.internal:80-90",
};
static const char *const deny[] = {
	"evil.test", "*.bad.test", "e*.test:80", "198.51.100.0/24", "::/0:25",
};
static const struct policy_budget budgets[] = {
	{ "a.test", { 1 << 20, 0 } },
	{ "*.wild.test:80,443", { 0, 7 } },
	{ "10.0.0.0/8", { 1, 1 } },
	{ "host.exeat.internal:80", { 5, 0 } },
};
static const struct policy_spec specs[] = {
	{ .mode = POLICY_ALLOWLIST,
	  .allow = allow,
	  .nallow = 8,
	  .deny = deny,
	  .ndeny = 4,
	  .budgets = budgets,
	  .nbudgets = 4 },
	{ .mode = POLICY_OPEN,
	  .allow = openers,
	  .nallow = 3,
	  .deny = deny,
	  .ndeny = 4,
	  .budgets = budgets,
	  .nbudgets = 2,
	  .require_names = true },
	{ .mode = POLICY_BLOCKED },
};

static void ask(const struct policy *p, const struct policy_question *q)
{
	struct policy_verdict v = policy_decide(p, q);
	struct policy_port ports[4];
	enum policy_reason reason;
	char hint[LIMIT_RULE_TEXT];
	struct sbuf text;
	uint32_t rule;

	assert(v.rule == POLICY_NO_RULE || v.rule < policy_nrules(p));
	assert(v.allow ==
	       (v.reason == POLICY_R_RULE || v.reason == POLICY_R_OPEN));
	/* whatever the bytes say, the guard is not in them */
	if (q->ask == POLICY_ASK_CONNECT &&
	    guard_class(&q->addr, NULL) == ADDR_GUARDED &&
	    q->learnt != POLICY_NAME_PROXY)
		assert(!v.allow);
	sbuf_init(&text, 1 << 16);
	policy_explain(p, q, &v, &text, hint);
	sbuf_done(&text);
	(void)policy_decide_naive(p, q);
	(void)policy_carry(p, &q->addr, q->proto, q->port);
	(void)policy_find_budgets(p, q);
	if (!q->name)
		return;
	(void)policy_vet_answer(p, q->name, &q->addr, &reason, &rule);
	(void)policy_name_denied(p, q->name, &rule);
	assert(policy_name_ports(p, q->name, ports, 4) <= 4);
}

static void ask_everything(const struct policy *p)
{
	static const char *const names[] = {
		NULL,	     "a.test", "x1y.wild.test",
		"evil.test", "test",   "host.docker.internal",
		"B..",
	};
	static const char *const addrs[] = {
		"10.1.2.3",  "203.0.113.9", "2001:db8::1", "64:ff9b::a00:1",
		"192.0.0.6", "127.0.0.1",   "::",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct policy_question q = {
			.ask = i % 3 ? POLICY_ASK_CONNECT : POLICY_ASK_LOOKUP,
			.name = names[i],
			.learnt = (enum policy_learnt)(i % 6),
			.proto = i % 2 ? RULE_TCP : RULE_UDP,
			.port = i % 2 ? 80 : 53,
		};
		const char *text = addrs[i];

		(void)addr_parse(&text, &q.addr); /* they are addresses */
		ask(p, &q);
	}
}

/* `sound`: what the image was before it was changed. */
static void check(const void *image, size_t len, const struct policy *sound)
{
	struct policy *p;
	struct plan *plan;
	struct sbuf json;
	uint32_t rule;

	if (policy_new(image, len, &p) != 0)
		return;
	ask_everything(p);
	if (policy_plan_new(p, &plan) == 0)
		policy_plan_free(plan);
	(void)policy_within(p, sound, &rule);
	(void)policy_within(sound, p, &rule);
	assert(policy_equal(p, p));
	(void)policy_equal(p, sound);
	sbuf_init(&json, 1 << 20);
	(void)policy_json(p, &json);
	sbuf_done(&json);
	policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct policy_spec *spec = &specs[size ? data[0] % 3 : 0];
	struct policy *sound;
	void *image, *first;
	uint8_t *bytes;
	size_t len;

	assert(policy_compile(spec, &first, &len, NULL) == 0);
	assert(policy_new(first, len, &sound) == 0);
	assert(policy_compile(spec, &image, &len, NULL) == 0);
	bytes = image;
	for (size_t i = 1; i + 4 <= size; i += 4) {
		size_t at = (size_t)data[i] << 16 | (size_t)data[i + 1] << 8 |
			    data[i + 2];

		bytes[at % len] = data[i + 3];
	}
	check(image, len, sound);
	policy_free(sound);
	free(first);
	free(image);
	return 0;
}
