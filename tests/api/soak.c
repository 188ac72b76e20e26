/* soak.c - many runs, many sessions, many at once: nothing grows, nothing is
 * lost
 * SPDX-License-Identifier: Apache-2.0
 *
 * How many is for a short test; the environment may ask for more:
 * EXEAT_SOAK_RUNS, EXEAT_SOAK_SESSIONS, EXEAT_SOAK_KIB (through each stream).
 *
 * The helpers' descriptors and mounts are seen by who may look at them; who
 * may not sees zero at any time. What is leaked by each run or session is
 * more than SLACK at the end, what comes and goes is less.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"

enum {
	WARM_UP = 50,
	SLACK = 16,
	AT_ONCE = 100,
	LINE = 64,
	CHUNK = 8 << 10,
	SETTLE_MS = 20000,
	TURN_MS = 10,
#ifdef __SANITIZE_ADDRESS__
	GROWTH_KIB = 512 << 10, /* what was freed is kept for a while */
#else
	GROWTH_KIB = 6 << 10,
#endif
};

static unsigned from_environment(const char *name, unsigned by_default)
{
	const char *text = getenv(name);
	unsigned n = 0;

	if (!text)
		return by_default;
	for (; *text >= '0' && *text <= '9' && n < 100000000; text++)
		n = n * 10 + (unsigned)(*text - '0');
	assert_true(*text == '\0' && n > 0);
	return n;
}

/* ---- what could grow ---- */

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

static unsigned resident_kib(pid_t pid)
{
	FILE *file = open_proc(pid, "status");
	unsigned kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %u", &kib) == 1)
			break;
	if (file)
		(void)fclose(file);
	assert_true(kib > 0);
	return kib;
}

static unsigned mounts(pid_t pid)
{
	FILE *file = open_proc(pid, "mountinfo");
	unsigned lines = 0;
	int c;

	while (file && (c = fgetc(file)) != EOF)
		lines += c == '\n';
	if (file)
		(void)fclose(file);
	return lines;
}

static unsigned descriptors(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return api_entries(path);
}

enum { CALLER, KEEPER, FRONT, PROCESSES };

struct size {
	unsigned fds[PROCESSES], mounts[PROCESSES], kib[PROCESSES];
	unsigned helpers; /* and what is not executed yet */
};

static struct size size_now(const pid_t pids[PROCESSES])
{
	struct size size = { .helpers = api_helpers() };

	for (int i = 0; i < PROCESSES; i++) {
		size.fds[i] = descriptors(pids[i]);
		size.mounts[i] = mounts(pids[i]);
		size.kib[i] = resident_kib(pids[i]);
	}
	return size;
}

static bool is_larger(const struct size *now, const struct size *then)
{
	for (int i = 0; i < PROCESSES; i++)
		if (now->fds[i] > then->fds[i] + SLACK ||
		    now->mounts[i] > then->mounts[i] + SLACK ||
		    now->kib[i] > then->kib[i] + GROWTH_KIB)
			return true;
	return now->helpers > then->helpers + SLACK;
}

static void print_size(const char *when, const struct size *s)
{
	print_message("%s: descriptors %u %u %u, mounts %u %u %u, "
		      "KiB %u %u %u, processes %u\n",
		      when, s->fds[CALLER], s->fds[KEEPER], s->fds[FRONT],
		      s->mounts[CALLER], s->mounts[KEEPER], s->mounts[FRONT],
		      s->kib[CALLER], s->kib[KEEPER], s->kib[FRONT],
		      s->helpers);
}

/* What ended last is cleared away behind our back. */
static void expect_no_growth(const pid_t pids[PROCESSES],
			     const struct size *then)
{
	struct size now = size_now(pids);

	for (int i = 0; i < SETTLE_MS / TURN_MS && is_larger(&now, then); i++) {
		(void)poll(NULL, 0, TURN_MS);
		now = size_now(pids);
	}
	print_size("before", then);
	print_size("after", &now);
	assert_false(is_larger(&now, then));
}

/* ---- one after the other ---- */

static void run_true(struct exeat_session *session, unsigned n)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.argv = LIST("true");
	for (unsigned i = 0; i < n; i++) {
		struct exeat_run *run = api_start(session, &o);

		assert_int_equal(api_wait(run)->returncode, 0);
		exeat_run_free(run);
	}
}

static void runs(void **state)
{
	const unsigned n = from_environment("EXEAT_SOAK_RUNS", 300);
	struct exeat_session *session = api_open(NULL);
	pid_t pids[PROCESSES];
	struct size before;

	(void)state;
	run_true(session, WARM_UP);
	pids[CALLER] = getpid();
	pids[KEEPER] = api_helper_pid("keeper");
	pids[FRONT] = api_helper_pid("front");
	assert_true(pids[KEEPER] > 0 && pids[FRONT] > 0);
	before = size_now(pids);
	run_true(session, n);
	expect_no_growth(pids, &before);
	exeat_session_close(session);
	assert_true(api_helpers_go(SETTLE_MS));
}

static void use_sessions(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct exeat_session *session = api_open(NULL);

		/* with and without one, and with one that is not awaited */
		if (i % 3 == 1)
			run_true(session, 1);
		if (i % 3 == 2) {
			struct exeat_run_options o = RUN_OPTIONS;

			o.command = "sleep 1000";
			(void)api_start(session, &o);
		}
		exeat_session_close(session);
	}
}

static void sessions(void **state)
{
	const unsigned n = from_environment("EXEAT_SOAK_SESSIONS", 40);
	const pid_t self = getpid();
	unsigned fds, mounted, kib;

	(void)state;
	use_sessions(6);
	fds = api_fds();
	mounted = mounts(self);
	kib = resident_kib(self);
	use_sessions(n);
	print_message("descriptors %u, then %u; KiB %u, then %u\n", fds,
		      api_fds(), kib, resident_kib(self));
	assert_int_equal(api_fds(), fds);
	assert_int_equal(api_work_dirs(), 0);
	assert_true(api_helpers_go(SETTLE_MS));
	/* others may mount something beside us, but not for each of ours */
	assert_true(mounts(self) < mounted + SLACK);
	assert_true(resident_kib(self) < kib + GROWTH_KIB);
}

/* ---- at once ---- */

/* What run `id` is given at `at`: lines of its own, none like another. */
static char given(unsigned id, size_t at)
{
	uint64_t x = ((uint64_t)id << 32) + at / LINE + 1;

	if (at % LINE == LINE - 1)
		return '\n';
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return "0123456789abcdef"[x >> at % 15 * 4 & 15];
}

/* Half of them have their stdout read from the pipe itself, which is full when
 * nobody reads; the others' is what the library keeps. */
struct talk {
	struct exeat_run *run;
	unsigned id;
	int fd; /* -1: the library's */
	size_t sent, size;
	size_t came[3]; /* by stream */
	bool ended[3];
};

static void talk_start(struct talk *t, struct exeat_session *session,
		       unsigned id, size_t size)
{
	struct exeat_run_options o = RUN_OPTIONS;
	int ends[2] = { -1, -1 };

	o.argv = LIST("awk", "{ print; print > \"/dev/stderr\" }");
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	if (id % 2) {
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
		o.stdio[EXEAT_STDOUT] = EXEAT_STDIO_FD;
		o.stdio_fd[EXEAT_STDOUT] = ends[1];
	}
	*t = (struct talk){ .id = id, .fd = ends[0], .size = size };
	t->run = api_start(session, &o);
	if (ends[1] >= 0)
		(void)close(ends[1]);
}

static void talk_write(struct talk *t)
{
	char data[CHUNK];
	size_t n = t->size - t->sent;
	ssize_t taken;

	if (n == 0)
		return;
	n = n < sizeof(data) ? n : sizeof(data);
	for (size_t i = 0; i < n; i++)
		data[i] = given(t->id, t->sent + i);
	taken = exeat_run_write_some(t->run, data, n, NULL);
	if (taken == -EAGAIN)
		return;
	assert_true(taken >= 0);
	t->sent += (size_t)taken;
	if (t->sent == t->size)
		exeat_run_close_stdin(t->run);
}

static void talk_read(struct talk *t, enum exeat_stream stream, size_t pace)
{
	char data[CHUNK];
	ssize_t n;

	if (t->ended[stream])
		return;
	if (stream == EXEAT_STDOUT && t->fd >= 0) {
		n = read(t->fd, data, pace);
		n = n < 0 ? -errno : n;
	} else {
		n = exeat_run_read(t->run, stream, data, pace, 0, NULL);
	}
	if (n == -EAGAIN)
		return;
	assert_true(n >= 0);
	t->ended[stream] = n == 0;
	for (ssize_t i = 0; i < n; i++)
		if (data[i] != given(t->id, t->came[stream]++))
			fail_msg("run %u, stream %d: not its own at %zu", t->id,
				 (int)stream, t->came[stream] - 1);
}

/* One turn of one run; readers differ in how much they take at a time. */
static bool talk_turn(struct talk *t, unsigned turn)
{
	size_t pace = (size_t)1 << (9 + (t->id + turn) % 5);

	talk_write(t);
	if (turn % (t->id % 3 + 1) == 0)
		talk_read(t, EXEAT_STDOUT, pace);
	if (turn % (t->id % 4 + 1) == 0)
		talk_read(t, EXEAT_STDERR, CHUNK + 512 - pace);
	return t->ended[EXEAT_STDOUT] && t->ended[EXEAT_STDERR];
}

static void talk_end(struct talk *t)
{
	assert_int_equal(api_wait(t->run)->returncode, 0);
	assert_int_equal(t->came[EXEAT_STDOUT], t->size);
	assert_int_equal(t->came[EXEAT_STDERR], t->size);
	exeat_run_free(t->run);
	if (t->fd >= 0)
		(void)close(t->fd);
}

static void at_once(void **state)
{
	const size_t size = (size_t)from_environment("EXEAT_SOAK_KIB", 192)
			    << 10;
	struct exeat_session *session = api_open(NULL);
	static struct talk talks[AT_ONCE];
	unsigned over = 0;

	(void)state;
	for (unsigned i = 0; i < AT_ONCE; i++)
		talk_start(&talks[i], session, i, size);
	for (unsigned turn = 0; over < AT_ONCE; turn++) {
		over = 0;
		for (unsigned i = 0; i < AT_ONCE; i++)
			over += talk_turn(&talks[i], turn);
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		talk_end(&talks[i]);
	/* the children that were ready for so many are of no run */
	assert_string_equal(api_sh(session, "echo $$", 0), "2\n");
	exeat_session_close(session);
	assert_true(api_helpers_go(SETTLE_MS));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(runs),
	cmocka_unit_test(sessions),
	cmocka_unit_test(at_once),
};

API_MAIN("soak", tests)
