/* rules.c - what a session costs with few rules and with many
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_rules [ROUNDS]
 *
 * Opens sessions under an allow-list of 10 and of 100,000 rules by turns
 * (names mostly, some wildcards, prefixes and ports; given as the text of a
 * policy file), and times opening and the first run of `true` in each.
 */
#include <exeat.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/base/num.h"

enum { SIZES = 2, ROUNDS_MAX = 1000, BYTES_MAX = 64 << 20 };

enum part { OPEN, FIRST_RUN, SECOND_RUN, CLOSE, PARTS };

static const char *const parts[PARTS] = {
	[OPEN] = "session open",
	[FIRST_RUN] = "first run",
	[SECOND_RUN] = "second run",
	[CLOSE] = "close",
};

static const unsigned sizes[SIZES] = { 10, 100000 };
static double samples[SIZES][PARTS][ROUNDS_MAX];

static void die(const struct exeat_error *error)
{
	char text[1024];

	fprintf(stderr, "bench_rules: %s\n",
		exeat_error_text(error, text, sizeof(text)));
	exit(1);
}

static char *policy_text(unsigned n)
{
	struct sbuf b;

	sbuf_init(&b, BYTES_MAX);
	sbuf_fmt(&b, "{\"version\": 1, \"network_allowlist\": [");
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			sbuf_fmt(&b, ",\n");
		if (i % 10 == 8)
			sbuf_fmt(&b, "\"*.z%u.example.com\"", i);
		else if (i % 10 == 9)
			sbuf_fmt(&b, "\"11.%u.%u.%u:443\"", i >> 16 & 255,
				 i >> 8 & 255, i & 255);
		else
			sbuf_fmt(&b, "\"h%u.example.com\"", i);
	}
	sbuf_fmt(&b, "]}");
	if (b.bad)
		abort();
	return b.s;
}

static double lap(int64_t *since)
{
	int64_t now = clock_us(), took = now - *since;

	*since = now;
	return (double)took;
}

static void run_true(struct exeat_session *session)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct exeat_run_options options = EXEAT_RUN_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_run *run;

	options.argv = argv;
	options.stdio[EXEAT_STDOUT] = EXEAT_STDIO_NONE;
	options.stdio[EXEAT_STDERR] = EXEAT_STDIO_NONE;
	if (exeat_run_start(session, &options, &run, &error) < 0 ||
	    exeat_run_wait(run, -1, &error) < 0)
		die(&error);
	if (exeat_run_result(run)->returncode != 0)
		exit(1);
	exeat_run_free(run);
}

static void measure(const char *policy, double (*row)[ROUNDS_MAX], int round)
{
	struct exeat_session_options options = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_session *session;
	struct exeat_error error;
	int64_t t = clock_us();

	options.network_policy = policy;
	if (exeat_session_open(&options, &session, &error) < 0)
		die(&error);
	row[OPEN][round] = lap(&t);
	run_true(session);
	row[FIRST_RUN][round] = lap(&t);
	run_true(session);
	row[SECOND_RUN][round] = lap(&t);
	exeat_session_close(session);
	row[CLOSE][round] = lap(&t);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

int main(int argc, char *argv[])
{
	const char *text = argc > 1 ? argv[1] : "15";
	char *policies[SIZES];
	uint64_t rounds;

	if (!num_parse_u64(&text, ROUNDS_MAX, &rounds) || *text ||
	    rounds == 0) {
		fprintf(stderr, "usage: %s [ROUNDS]\n", argv[0]);
		return 2;
	}
	for (int s = 0; s < SIZES; s++)
		policies[s] = policy_text(sizes[s]);
	for (int i = 0; i < (int)rounds; i++)
		for (int s = 0; s < SIZES; s++)
			measure(policies[s], samples[s], i);
	for (int p = 0; p < PARTS; p++) {
		double few = median(samples[0][p], (int)rounds);
		double many = median(samples[1][p], (int)rounds);

		printf("%s\t%.0f\t%.0f\t%.2f\n", parts[p], few, many,
		       many / few);
	}
	for (int s = 0; s < SIZES; s++)
		free(policies[s]);
	return 0;
}
