/* snapshot.c - what a snapshot costs, and a session that begins with one
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_snapshot [ROUNDS]
 *
 * Of a work dir with FILES files of SIZE bytes each. A line for each comparison:
 * what, microseconds of ours and of theirs (medians), the median of the rounds'
 * ratios, by tabs. Both sides of a round are timed one after the other.
 *
 *	taking one		cp -a --reflink=never of the same tree
 *	begin with it, overlay	a session with a fresh work dir (open, close)
 *	begin with it, copied	cp -a as above, and rm -r: a session removes
 *				its copy at close, too
 *
 * Which of the last two it is, is the kernel's and the store's: a store with a
 * colon in its path is none that an overlay can be told of.
 */
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/num.h"
#include "core/include/exeat.h"

enum { FILES = 1000, SIZE = 100000, ROUNDS_MAX = 500, PATH_LEN = 256 };

extern char **environ;
static char base[PATH_LEN], work[PATH_LEN + 16], copy[PATH_LEN + 16];
static char store[PATH_LEN + 16], odd_store[PATH_LEN + 16];
static struct exeat_session *session;

static double now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(int r, const struct exeat_error *error)
{
	char text[1024];

	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s\n",
		      exeat_error_text(error, text, sizeof(text)));
	exit(1);
}

/* ---- the tree ---- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		die(path);
}

static void make_file(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, data, SIZE) != SIZE || close(fd) < 0)
		die(path);
}

static void make_place(void)
{
	static char data[SIZE];
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(base, sizeof(base), "%.200s/exeat-bench-XXXXXX",
		       tmp ? tmp : "/var/tmp");
	if (!mkdtemp(base) || chmod(base, 0711) < 0)
		die(base);
	(void)snprintf(work, sizeof(work), "%s/work", base);
	(void)snprintf(copy, sizeof(copy), "%s/copy", base);
	(void)snprintf(store, sizeof(store), "%s/store", base);
	(void)snprintf(odd_store, sizeof(odd_store), "%s/st:ore", base);
	if (mkdir(work, 0755) < 0 ||
	    (geteuid() == 0 && chown(work, 65534, 65534) < 0))
		die(work);
	memset(data, 'x', sizeof(data));
	for (int i = 0; i < FILES; i++) {
		char path[PATH_LEN + 64];

		(void)snprintf(path, sizeof(path), "%s/d%d", work, i / 100);
		if (i % 100 == 0 && mkdir(path, 0755) < 0)
			die(path);
		(void)snprintf(path, sizeof(path), "%s/d%d/f%d", work, i / 100,
			       i);
		make_file(path, data);
	}
}

/* ---- what is compared ---- */

static struct exeat_session *open_one(const char *host_work_dir,
				      const char *dir, const char *snapshot)
{
	struct exeat_session_options o = EXEAT_SESSION_OPTIONS_INIT;
	struct exeat_error error;
	struct exeat_session *s;

	o.host_work_dir = host_work_dir;
	o.snapshot_dir = dir;
	o.snapshot = snapshot;
	must(exeat_session_open(&o, &s, &error), &error);
	return s;
}

static void take(void)
{
	struct exeat_error error;

	must(exeat_session_snapshot(session, "s", &error), &error);
}

static void forget(void)
{
	struct exeat_error error;

	must(exeat_snapshot_remove(store, "s", &error), &error);
}

static void copy_tree(void)
{
	const char *const argv[] = { "cp", "-a", "--reflink=never",
				     work, copy, NULL };
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL,
			 (char *const *)(uintptr_t)argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		die("cp");
}

static void uncopy(void)
{
	remove_tree(copy);
}

static void copy_and_remove(void)
{
	copy_tree();
	uncopy();
}

static void fresh(void)
{
	exeat_session_close(open_one(NULL, NULL, NULL));
}

static void begin(void)
{
	exeat_session_close(open_one(NULL, store, "s"));
}

static void begin_odd(void)
{
	exeat_session_close(open_one(NULL, odd_store, "s"));
}

static void nothing(void)
{
}

static double timed(void (*work_fn)(void), void (*after)(void))
{
	double begun = now_us(), took;

	work_fn();
	took = now_us() - begun;
	after();
	return took;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *of, uint64_t n)
{
	qsort(of, n, sizeof(*of), by_size);
	return of[n / 2];
}

static void measure(const char *what, void (*ours)(void),
		    void (*ours_after)(void), void (*theirs)(void),
		    void (*theirs_after)(void), uint64_t rounds)
{
	static double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX];
	double mine, other;

	for (uint64_t i = 0; i < rounds; i++) {
		b[i] = timed(theirs, theirs_after);
		a[i] = timed(ours, ours_after);
		ratio[i] = a[i] / b[i];
	}
	mine = median(a, rounds);
	other = median(b, rounds);
	printf("%s\t%.0f\t%.0f\t%.3f\n", what, mine, other,
	       median(ratio, rounds));
	(void)fflush(stdout);
}

/* How a session begins with what is in that store, as a row is called. */
static const char *begins(const char *dir, char ret[64])
{
	struct exeat_session *s = open_one(NULL, dir, "s");

	(void)snprintf(ret, 64, "begin with it, by %s",
		       exeat_session_work_dir_kind(s));
	exeat_session_close(s);
	return ret;
}

int main(int argc, char *argv[])
{
	const char *text = argc > 1 ? argv[1] : "15";
	uint64_t rounds = 15;
	struct exeat_error error;
	char what[64];

	if (!num_parse_u64(&text, ROUNDS_MAX, &rounds) || rounds == 0)
		return 2;
	make_place();
	session = open_one(work, odd_store, NULL);
	take();
	exeat_session_close(session);
	session = open_one(work, store, NULL);
	measure("taking one", take, forget, copy_tree, uncopy, rounds);
	take();
	measure(begins(store, what), begin, nothing, fresh, nothing, rounds);
	measure(begins(odd_store, what), begin_odd, nothing, copy_and_remove,
		nothing, rounds);
	exeat_session_close(session);
	forget();
	must(exeat_snapshot_remove(odd_store, "s", &error), &error);
	remove_tree(base);
	return 0;
}
