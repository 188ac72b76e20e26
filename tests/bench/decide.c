/* decide.c - what a verdict costs, with few rules and with many
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_decide [VERDICTS]
 *
 * For 10, 1,000 and 100,000 rules (names mostly, some wildcards and
 * prefixes): the time to compile, nanoseconds a verdict, and its ratio to the
 * smallest list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/num.h"
#include "policy/policy.h"

static double now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static char *rule_text(unsigned i)
{
	char text[64];

	if (i % 10 == 8)
		(void)snprintf(text, sizeof(text), "*.z%u.example.com", i);
	else if (i % 10 == 9)
		(void)snprintf(text, sizeof(text), "11.%u.%u.%u:443",
			       i >> 16 & 255, i >> 8 & 255, i & 255);
	else
		(void)snprintf(text, sizeof(text), "h%u.example.com", i);
	return strdup(text);
}

static struct policy *compile(unsigned n, void **ret_image, double *ret_ns)
{
	char **rules = calloc(n, sizeof(*rules));
	struct policy_spec spec = {
		.mode = POLICY_ALLOWLIST,
		.allow = (const char *const *)rules,
		.nallow = n,
	};
	struct policy *p;
	struct err err;
	size_t len;
	double start;

	if (!rules)
		abort();
	for (unsigned i = 0; i < n; i++)
		rules[i] = rule_text(i);
	start = now_ns();
	if (policy_compile(&spec, ret_image, &len, &err) != 0 ||
	    policy_new(*ret_image, len, &p) != 0)
		abort();
	*ret_ns = now_ns() - start;
	for (unsigned i = 0; i < n; i++)
		free(rules[i]);
	free(rules);
	return p;
}

/* Names of the list and others, by turns; addresses of neither. */
static double decide(const struct policy *p, unsigned n, unsigned rounds)
{
	enum { NAMES = 4096 };
	static char names[NAMES][64];
	unsigned allowed = 0;
	double start;

	for (unsigned i = 0; i < NAMES; i++)
		(void)snprintf(names[i], sizeof(names[i]), "%s%u.example.com",
			       i & 1 ? "h" : "a.b.z", i * 7919u % n);
	start = now_ns();
	for (unsigned i = 0; i < rounds; i++) {
		struct policy_question q = {
			.ask = POLICY_ASK_CONNECT,
			.name = names[i % NAMES],
			.learnt = POLICY_NAME_SNI,
			.addr = addr_from_v4(0x0b000000u + i % n),
			.proto = RULE_TCP,
			.port = 443,
		};

		allowed += policy_decide(p, &q).allow;
	}
	start = now_ns() - start;
	if (allowed == 0)
		abort();
	return start / rounds;
}

int main(int argc, char **argv)
{
	static const unsigned sizes[] = { 10, 1000, 100000 };
	const char *text = argc > 1 ? argv[1] : "1000000";
	uint64_t rounds;
	double first = 0;

	if (!num_parse_u64(&text, 1000000000, &rounds) || *text ||
	    rounds == 0) {
		fprintf(stderr, "usage: %s [VERDICTS]\n", argv[0]);
		return 2;
	}
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double compile_ns, ns;
		void *image;
		struct policy *p = compile(sizes[i], &image, &compile_ns);

		(void)decide(p, sizes[i], (unsigned)rounds / 10 + 1);
		ns = decide(p, sizes[i], (unsigned)rounds);
		first = i == 0 ? ns : first;
		printf("%6u rules: compile %7.1f ms, verdict %6.0f ns, "
		       "ratio %.2f\n",
		       sizes[i], compile_ns / 1e6, ns, ns / first);
		policy_free(p);
		free(image);
	}
	return 0;
}
