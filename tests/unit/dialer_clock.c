/* dialer_clock.c - a clock that stands still when this process does
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tests say how long the dialer waits, to a quarter of a second and less;
 * a busy machine may take longer than that from a process at any moment. So
 * the clock of all that runs here (libevent, c-ares, the dialer, the tests)
 * counts no more than STEP_MS between two questions: the loop asks every 5 ms
 * (the tick of the world), so that what is not counted is what others took.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { STEP_MS = 15 };

static const int64_t ns_per_s = 1000000000;

static int64_t monotonic_ns(int64_t real)
{
	static int64_t last, now;
	const int64_t step = STEP_MS * (int64_t)1000000;

	if (last == 0)
		now = real;
	else if (real > last)
		now += real - last < step ? real - last : step;
	last = real > last ? real : last;
	return now;
}

/* Takes the place of libc's, for the libraries too. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id,
							 struct timespec *tp)
{
	const clockid_t real = id == CLOCK_MONOTONIC_COARSE ? CLOCK_MONOTONIC :
							      id;
	int64_t ns;

	if (syscall(SYS_clock_gettime, real, tp) < 0)
		return -1;
	if (real != CLOCK_MONOTONIC)
		return 0;
	ns = monotonic_ns(tp->tv_sec * ns_per_s + tp->tv_nsec);
	tp->tv_sec = ns / ns_per_s;
	tp->tv_nsec = ns % ns_per_s;
	return 0;
}
