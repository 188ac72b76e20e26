/* branching.c - snapshots at bad moments: while runs write, while a process
 * that takes or uses one is killed, where there is no space, and many at once
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

enum { GONE_MS = 20000, BRANCHES = 10, MANY = 400, TRIES = 20 };

static struct exeat_error error;
static char store[4200];

static void must(int r)
{
	char text[1024];

	if (r < 0)
		fail_msg("%s", exeat_error_text(&error, text, sizeof(text)));
}

static struct exeat_session *begin(const char *snapshot)
{
	struct exeat_session_options s = SESSION_OPTIONS;

	s.snapshot = snapshot;
	s.snapshot_dir = store;
	return api_open(&s);
}

static int make_store(void **state)
{
	static unsigned n;

	(void)state;
	(void)snprintf(store, sizeof(store), "%s/store%u", api_dir, n++);
	error = (struct exeat_error){ 0 };
	return mkdir(store, 0711);
}

static void forget(void *user_data, const struct exeat_snapshot *snapshot)
{
	(void)user_data;
	must(exeat_snapshot_remove(store, snapshot->name, &error));
}

static int empty_store(void **state)
{
	(void)state;
	must(exeat_snapshots(store, forget, NULL, &error));
	return rmdir(store); /* nothing else is in it, by any name */
}

/* Names in the store that are no snapshot's. */
static unsigned half_made(void)
{
	DIR *dir = opendir(store);
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		n += strncmp(e->d_name, ".tmp-", 5) == 0;
	(void)closedir(dir);
	return n;
}

/* ---- while runs write ---- */

/* So that every file has the last number, or those before one and it the
 * number before. */
static const char counting[] =
	"import os\n"
	"fds = [os.open(f'f{i:03}', os.O_RDWR | os.O_CREAT) "
	"for i in range(200)]\n"
	"n = 0\n"
	"while True:\n"
	"    n += 1\n"
	"    for fd in fds: os.pwrite(fd, b'%09d' % n, 0)\n"
	"    if n == 2: print('go', flush=True)\n";

static const char of_one_moment[] =
	"import os\n"
	"seen = [int(open(f'f{i:03}').read()) for i in range(200)]\n"
	"assert seen == sorted(seen, reverse=True), seen\n"
	"assert seen[0] - seen[-1] <= 1, seen\n"
	"print(seen[0])\n";

static struct exeat_run *start_counting(struct exeat_session *session)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char line[8];

	o.script = counting;
	o.script_type = "python";
	run = api_start(session, &o);
	assert_int_equal(exeat_run_read_line(run, EXEAT_STDOUT, line,
					     sizeof(line), 60000, &error),
			 3);
	return run;
}

static unsigned long moment_of(const char *name)
{
	struct exeat_session *branch = begin(name);
	struct exeat_run_options o = RUN_OPTIONS;
	unsigned long n = 0;

	o.script = of_one_moment;
	o.script_type = "python";
	assert_int_equal(sscanf(api_exec(branch, &o, 0), "%lu", &n), 1);
	exeat_session_close(branch);
	return n;
}

/* What was being written is of one moment, and the writer goes on. */
static void of_a_writer(void **state)
{
	struct exeat_session *session = begin(NULL);
	unsigned long first, second;

	(void)state;
	(void)start_counting(session);
	must(exeat_session_snapshot(session, "a", &error));
	first = moment_of("a");
	must(exeat_session_snapshot(session, "b", &error));
	second = moment_of("b");
	assert_true(second > first);
	exeat_session_close(session);
}

/* A session that stood still stands still, and what is there is kept. */
static void of_a_paused_one(void **state)
{
	struct exeat_session *session = begin(NULL);

	(void)state;
	(void)start_counting(session);
	must(exeat_session_pause(session, &error));
	must(exeat_session_snapshot(session, "a", &error));
	must(exeat_session_snapshot(session, "b", &error));
	assert_int_equal(moment_of("a"), moment_of("b"));
	must(exeat_session_resume(session, &error));
	exeat_session_close(session);
}

/* ---- many ---- */

/* A branch of a branch, ten of it at once, all of them their own. */
static void ten_at_once(void **state)
{
	struct exeat_session *session = begin(NULL), *of[BRANCHES];
	char command[160], expected[32];

	(void)state;
	api_sh(session, "mkdir d && seq 500 > d/f && echo base > d/name", 0);
	must(exeat_session_snapshot(session, "base", &error));
	exeat_session_close(session);
	session = begin("base");
	api_sh(session, "echo more >> d/name", 0);
	must(exeat_session_snapshot(session, "more", &error));
	exeat_session_close(session);
	for (int i = 0; i < BRANCHES; i++)
		of[i] = begin("more");
	for (int i = 0; i < BRANCHES; i++) {
		(void)snprintf(command, sizeof(command),
			       "test $(tail -n 1 d/f) = 500 && "
			       "echo %d >> d/name && echo %d > n%d && "
			       "tail -n %d d/f > g && mv g d/f",
			       i, i, i, i + 1);
		api_sh(of[i], command, 0);
	}
	must(exeat_session_snapshot(of[3], "three", &error));
	for (int i = BRANCHES - 1; i >= 0; i--) {
		(void)snprintf(expected, sizeof(expected),
			       "base\nmore\n%d\nd\nn%d\n%d\n", i, i, i + 1);
		assert_string_equal(api_sh(of[i], "cat d/name; ls; wc -l < d/f",
					   0),
				    expected);
		/* as long as one of them lives */
		assert_true(exeat_snapshot_remove(store, "more", &error) < 0);
		api_expect(&error, EXEAT_CONFLICT, "more", "open");
		exeat_session_close(of[i]);
	}
	must(exeat_snapshot_remove(store, "more", &error));
	session = begin("three");
	assert_string_equal(api_sh(session, "cat d/name; ls", 0),
			    "base\nmore\n3\nd\nn3\n");
	/* what it is of is gone, and so are the others' */
	must(exeat_session_snapshot(session, "four", &error));
	exeat_session_close(session);
}

/* ---- a branch that would change what it is of ---- */

/* Everything that can be done to a file, to each of them; an overlay's own
 * notes, by which it could be led elsewhere; the host's paths, as far as the
 * kernel tells of them. Says "reached" if one of those led somewhere. */
static const char hostile[] =
	"import mmap, os\n"
	"def to(f, *a):\n"
	"    try: return f(*a)\n"
	"    except OSError: return None\n"
	"mapped = []\n"
	"for p in ('f', 'd/g', 'd/e/h'):\n"
	"    fd = os.open(p, os.O_RDWR)\n"
	"    mapped.append(mmap.mmap(fd, 4))\n"
	"    mapped[-1][:4] = b'evil'\n"
	"    os.pwrite(fd, b'evil', 2)\n"
	"    to(os.posix_fallocate, fd, 0, 100000)\n"
	"    os.fchmod(fd, 0o777); os.utime(p, (1, 1))\n"
	"    to(os.setxattr, p, 'user.evil', b'x')\n"
	"    os.link(p, p + '.link'); os.rename(p, p + '.gone')\n"
	"    os.truncate(p + '.link', 1)\n"
	"for p in ('d', 'd/e', 'f.gone', '.'):\n"
	"    for n, v in (('redirect', b'/etc'), ('redirect', b'../../..'),\n"
	"                 ('opaque', b'y'), ('metacopy', b''),\n"
	"                 ('origin', b'\\0' * 29), ('impure', b'y'),\n"
	"                 ('whiteout', b'')):\n"
	"        for key in ('user.overlay.', 'trusted.overlay.'):\n"
	"            to(os.setxattr, p, key + n, v)\n"
	"os.unlink('l'); os.symlink('d/e', 'l'); os.chmod('d', 0)\n"
	"os.chmod('d', 0o700); os.utime('d', (1, 1))\n"
	"to(os.rename, 'd', 'elsewhere'); to(os.rmdir, 'empty')\n"
	"to(os.mknod, 'white', 0o20000, 0)\n"
	"for line in open('/proc/self/mountinfo'):\n"
	"    for part in line.split()[-1].split(','):\n"
	"        key, _, path = part.partition('=')\n"
	"        if key in ('lowerdir', 'upperdir', 'workdir'):\n"
	"            for p in (path, os.path.dirname(path)):\n"
	"                if to(os.listdir, p) is not None: print('reached', p)\n";

static uint64_t sum;

static void add_to_sum(const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static int sum_one(const char *path, const struct stat *st, int type,
		   struct FTW *ftw)
{
	char data[4096];
	ssize_t n;
	int fd;

	(void)type;
	(void)ftw;
	add_to_sum(path, strlen(path));
	add_to_sum(&st->st_mode, sizeof(st->st_mode));
	add_to_sum(&st->st_nlink, sizeof(st->st_nlink));
	add_to_sum(&st->st_ino, sizeof(st->st_ino));
	add_to_sum(&st->st_size, sizeof(st->st_size));
	add_to_sum(&st->st_mtim, sizeof(st->st_mtim));
	add_to_sum(&st->st_ctim, sizeof(st->st_ctim));
	if (!S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	while ((n = read(fd, data, sizeof(data))) > 0)
		add_to_sum(data, (size_t)n);
	(void)close(fd);
	return 0;
}

/* Of all that the store has by that name. */
static uint64_t sum_of(const char *name)
{
	char path[4300];

	sum = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", store, name);
	/* in the order of the folder, which nobody changes */
	assert_int_equal(nftw(path, sum_one, 16, FTW_PHYS), 0);
	return sum;
}

static char *look(struct exeat_session *session)
{
	return strdup(
		api_sh(session,
		       "find . -mindepth 1 -path ./.exeat -prune -o -printf "
		       "'%p %m %s %T@ %n %l\\n' | sort; "
		       "cat f d/g d/e/h",
		       0));
}

static void attacked(void)
{
	struct exeat_session *session = begin(NULL), *other, *evil, *later;
	struct exeat_run_options o = RUN_OPTIONS;
	char *is, *was;
	uint64_t kept;

	api_sh(session,
	       "mkdir -p d/e empty; for p in f d/g d/e/h; do "
	       "echo precious > $p; done; ln f hard; ln -s f l",
	       0);
	must(exeat_session_snapshot(session, "s", &error));
	exeat_session_close(session);
	kept = sum_of("s");
	other = begin("s");
	evil = begin("s");
	print_message("work dir: %s\n", exeat_session_work_dir_kind(evil));
	was = look(other);
	assert_non_null(strstr(was, "precious\nprecious\nprecious\n"));
	o.script = hostile;
	o.script_type = "python";
	assert_string_equal(api_exec(evil, &o, 0), "");
	/* once more, after what the first has done */
	assert_string_equal(
		api_sh(evil,
		       "ls elsewhere >/dev/null 2>&1 || "
		       "mv d elsewhere; cat f 2>/dev/null; "
		       "echo evil > elsewhere/e/h.gone; rm -rf .[!e]"
		       "* [!.]* 2>/dev/null; ls",
		       0),
		"");
	later = begin("s");
	for (int i = 0; i < 2; i++) {
		is = look(i ? later : other);
		assert_string_equal(is, was);
		free(is);
	}
	free(was);
	exeat_session_close(evil);
	exeat_session_close(other);
	exeat_session_close(later);
	assert_true(sum_of("s") == kept);
}

/* As an overlay, and where there can be none. */
static void hostile_branch(void **state)
{
	char plain[4200];

	(void)state;
	attacked();
	(void)snprintf(plain, sizeof(plain), "%s", store);
	(void)snprintf(store, sizeof(store), "%s/st:ore", api_dir);
	assert_int_equal(mkdir(store, 0711), 0);
	attacked();
	must(exeat_snapshot_remove(store, "s", &error));
	assert_int_equal(rmdir(store), 0);
	(void)snprintf(store, sizeof(store), "%s", plain);
}

/* ---- names ---- */

static void in_callback(void *user_data, struct exeat_run *run)
{
	struct exeat_session *session = user_data;

	(void)run;
	assert_true(exeat_session_snapshot(session, "x", &error) < 0);
}

static void names(void **state)
{
	struct exeat_session *session = begin(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	char name[66];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[65] = '\0';
	assert_true(exeat_session_snapshot(session, name, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "name", "64");
	assert_true(exeat_session_snapshot(session, NULL, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "name", "");
	assert_true(exeat_snapshot_remove(store, "../x", &error) < 0);
	api_expect(&error, EXEAT_INVALID, "name", "");
	name[64] = '\0';
	must(exeat_session_snapshot(session, name, &error));
	exeat_session_close(begin(name));
	o.command = "true";
	o.on_exit = in_callback;
	o.user_data = session;
	run = api_start(session, &o);
	(void)api_wait(run);
	api_expect(&error, EXEAT_CONFLICT, "callback", "");
	exeat_run_free(run);
	exeat_session_close(session);
}

/* ---- processes that are killed ---- */

static void reap(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(api_helpers_go(GONE_MS));
}

static void many_files(char dir[4200])
{
	char path[4300];

	(void)snprintf(dir, 4200, "%s/many", api_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	for (int i = 0; i < MANY; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%d", dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, path, 8), 8);
		(void)close(fd);
	}
}

static void take_and_wait(const char *dir)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *session;

	s.host_work_dir = dir;
	s.snapshot_dir = store;
	if (exeat_session_open(&s, &session, NULL) < 0 ||
	    exeat_session_snapshot(session, "k", NULL) < 0)
		_exit(1);
	for (;;)
		(void)pause();
}

/* Who takes one is killed when he has begun to. Whether he was not done. */
static bool killed_in_the_middle(const char *dir)
{
	char path[4300];
	pid_t pid = fork();
	bool middle;

	assert_true(pid >= 0);
	if (pid == 0)
		take_and_wait(dir);
	(void)snprintf(path, sizeof(path), "%s/k", store);
	while (half_made() == 0 && access(path, F_OK) < 0)
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	reap(pid);
	middle = half_made() == 1;
	if (!middle)
		must(exeat_snapshot_remove(store, "k", &error));
	return middle;
}

static void taker_killed(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *session = NULL;
	char dir[4200];
	int tries = 0;

	(void)state;
	many_files(dir);
	while (!killed_in_the_middle(dir))
		assert_true(++tries < TRIES);
	/* half of it is none that anybody could begin with, or list */
	assert_int_equal(api_entries(store), 0);
	s.snapshot = "k";
	s.snapshot_dir = store;
	assert_true(exeat_session_open(&s, &session, &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "k", "");
	/* the next that is taken finds the name free, and removes the half */
	session = begin(NULL);
	api_sh(session, "echo whole > f", 0);
	must(exeat_session_snapshot(session, "k", &error));
	exeat_session_close(session);
	assert_int_equal(half_made(), 0);
	session = begin("k");
	assert_string_equal(api_sh(session, "ls; cat f", 0), "f\nwhole\n");
	exeat_session_close(session);
}

static void use_and_wait(int up)
{
	struct exeat_session *session = begin("k");

	api_sh(session, "echo mine > f; mkdir -p d/e; rm -r was; mkdir was", 0);
	(void)!write(up, "x", 1);
	for (;;)
		(void)pause();
}

/* What it held it holds no more, and nothing of it is left. */
static void user_killed(void **state)
{
	struct exeat_session *session = begin(NULL);
	int up[2];
	pid_t pid;
	char c;

	(void)state;
	api_sh(session, "mkdir was; echo kept > f; touch was/x", 0);
	must(exeat_session_snapshot(session, "k", &error));
	exeat_session_close(session);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		use_and_wait(up[1]);
	(void)close(up[1]);
	assert_int_equal(read(up[0], &c, 1), 1);
	(void)close(up[0]);
	assert_true(exeat_snapshot_remove(store, "k", &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "k", "open");
	reap(pid);
	/* its sweep is bounded in time: a busy machine may need a few */
	for (int i = 0; i < 50 && api_work_dirs() != 0; i++)
		exeat_session_close(begin(NULL));
	assert_int_equal(api_work_dirs(), 0);
	session = begin("k");
	assert_string_equal(api_sh(session, "ls; cat f; ls was", 0),
			    "f\nwas\nkept\nx\n");
	exeat_session_close(session);
	must(exeat_snapshot_remove(store, "k", &error));
}

/* ---- no space ---- */

static void in_a_small_store(void)
{
	struct exeat_session *session;

	api_small_disk(store);
	session = begin(NULL);
	api_sh(session, "head -c 1M /dev/urandom > f; cp f g; cp f h", 0);
	assert_true(exeat_session_snapshot(session, "x", &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "No space", "");
	assert_int_equal(api_entries(store) + half_made(), 0);
	api_sh(session, "rm g h", 0);
	must(exeat_session_snapshot(session, "x", &error));
	api_sh(session, "echo on", 0);
	exeat_session_close(session);
	session = begin("x");
	assert_string_equal(api_sh(session, "stat -c %s f", 0), "1048576\n");
	exeat_session_close(session);
}

static void no_space(void **state)
{
	(void)state;
	api_in_a_child(in_a_small_store);
	assert_true(api_helpers_go(GONE_MS));
}

#define WITH_STORE(test) \
	cmocka_unit_test_setup_teardown(test, make_store, empty_store)

static const struct CMUnitTest tests[] = {
	WITH_STORE(of_a_writer),  WITH_STORE(of_a_paused_one),
	WITH_STORE(ten_at_once),  WITH_STORE(names),
	WITH_STORE(taker_killed), WITH_STORE(user_killed),
	WITH_STORE(no_space),	  WITH_STORE(hostile_branch),
};

API_MAIN("branching", tests)
