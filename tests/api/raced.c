/* raced.c - a payload that changes what its caller's calls are about
 * SPDX-License-Identifier: Apache-2.0
 *
 * It swaps folders and files for links to the host's, or for a FIFO, in one
 * step (renameat2(2), RENAME_EXCHANGE) and as fast as it can, while the caller
 * puts, reads, lists, removes, packs and unpacks by their names, keeps all of it,
 * and opens sessions there. The folder that
 * the links lead to is one that the caller may write and everybody may read: it
 * would show if he were led there once.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

enum { MAX = 1 << 20, ROUNDS = 600, PATIENCE_MS = 60000 };

static struct exeat_session *session;
static struct exeat_error error;
static char outside[4200];
static struct stat before;

/* What is there is there afterwards, and nothing else. */
static const char secret[] = "the host's own";

static void outside_path(char path[4300], const char *name)
{
	(void)snprintf(path, 4300, "%s/%s", outside, name);
}

static void make_outside(void)
{
	char path[4300];
	int fd;

	(void)snprintf(outside, sizeof(outside), "%s/outside", api_dir);
	assert_int_equal(mkdir(outside, 0755), 0);
	outside_path(path, "sub");
	assert_int_equal(mkdir(path, 0700), 0);
	outside_path(path, "sub/kept");
	assert_int_equal(mkdir(path, 0755), 0);
	outside_path(path, "f");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
	(void)close(fd);
	assert_int_equal(stat(outside, &before), 0);
}

static void outside_is_as_it_was(void)
{
	char path[4300], text[64] = "";
	struct stat st;
	int fd;

	assert_int_equal(stat(outside, &st), 0);
	assert_int_equal(st.st_mode, before.st_mode);
	assert_int_equal(st.st_uid, before.st_uid);
	/* no name came or went, not even for a moment */
	assert_memory_equal(&st.st_mtim, &before.st_mtim, sizeof(st.st_mtim));
	outside_path(path, "sub");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(api_entries(path), 1);
	outside_path(path, "f");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(secret));
	(void)close(fd);
	assert_string_equal(text, secret);
}

/* Both names are always there, but for moments in which the caller removed
 * what they are of. */
static const char swapping[] =
	"import ctypes, os\n"
	"libc = ctypes.CDLL(None)\n"
	"def swap(a, b): libc.renameat2(-100, a, -100, b, 2)\n"
	"to = open('target').read()\n"
	"def make(d):\n"
	"    try:\n"
	"        os.makedirs(d + '/sub/kept')\n"
	"    except OSError: pass\n"
	"    try:\n"
	"        with open(d + '/f', 'x') as f: f.write('mine')\n"
	"    except OSError: pass\n"
	"make('d'); make('a/b/c')\n"
	"for link, where in (('l', to), ('a/l', to), ('a/b/l', to + '/f')):\n"
	"    os.symlink(where, link)\n"
	"os.mkfifo('a/b/p')\n"
	"n = 0\n"
	"while True:\n"
	"    n += 1\n"
	"    swap(b'd', b'l'); swap(b'a/b', b'a/l')\n"
	"    swap(b'a/l/c/f', b'a/l/l'); swap(b'd', b'l')\n"
	"    swap(b'a/b', b'a/l'); swap(b'a/b/c/f', b'a/b/p')\n"
	"    if n % 16 == 0: make('d'); make('a/b/c')\n"
	"    if n == 16: print('go', flush=True)\n";

/* ---- the caller ---- */

enum call { PUT, GET, LIST_, STAT, REMOVE, REMOVE_ALL, CALLS };
static unsigned done[CALLS];

static int call_put(const char *path)
{
	return exeat_put_bytes(session, path, "mine", 4, 0, &error);
}

static int call_get(const char *path)
{
	void *data;
	size_t len;
	int r = exeat_get_bytes(session, path, MAX, &data, &len, &error);

	if (r < 0)
		return r;
	if (len != 0)
		assert_string_equal(data, "mine");
	free(data);
	return 0;
}

static int call_list(const char *path)
{
	struct exeat_file *files;
	size_t n;
	int r = exeat_list_files(session, path, &files, &n, &error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].name, "f") == 0 &&
		    files[i].kind == EXEAT_FILE_REGULAR)
			assert_true(files[i].size <= 4);
	free(files);
	return 0;
}

static int call_stat(const char *path)
{
	struct exeat_file file;
	int r = exeat_stat_file(session, path, &file, &error);

	if (r < 0)
		return r;
	if (file.kind == EXEAT_FILE_REGULAR)
		assert_true(file.size <= 4);
	return 0;
}

static int call_remove(const char *path)
{
	return exeat_remove_file(session, path, 0, &error);
}

static int call_remove_all(const char *path)
{
	return exeat_remove_file(session, path, 1, &error);
}

static const struct {
	int (*call)(const char *path);
	const char *paths[4];
} calls[CALLS] = {
	[PUT] = { call_put, { "d/f", "a/b/c/f", "d/sub/kept/f", "a/b/new/f" } },
	[GET] = { call_get, { "d/f", "a/b/c/f", "a/b/l", "l/f" } },
	[LIST_] = { call_list, { "d", "a/b/c", "a/b", "l" } },
	[STAT] = { call_stat, { "d/f", "a/b/c/f", "a/b/l", "d/sub/kept" } },
	[REMOVE] = { call_remove, { "d/f", "a/b/c/f", "a/b/new/f", "l/f" } },
	[REMOVE_ALL] = { call_remove_all,
			 { "d/sub", "a/b/c/sub", "l/sub", "a/b/new" } },
};

/* What can become of it is one of what the header says. */
static void try_one(enum call which, unsigned path)
{
	error = (struct exeat_error){ 0 };
	if (calls[which].call(calls[which].paths[path]) == 0)
		done[which]++;
	else if (error.code != EXEAT_INVALID && error.code != EXEAT_CONFLICT)
		api_expect(&error, EXEAT_NOT_FOUND, "", "");
}

static bool each_got_through(void)
{
	for (int i = 0; i < CALLS; i++)
		if (done[i] == 0)
			return false;
	return true;
}

/* Its run swaps from now on. */
static void start_swapping(struct exeat_session *in, const char *script)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;

	assert_int_equal(exeat_put_bytes(in, "target", outside, strlen(outside),
					 0, NULL),
			 0);
	o.script = script;
	o.script_type = "python";
	run = api_start(in, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 4,
				   PATIENCE_MS, NULL) > 0);
}

static void files(void **state)
{
	int64_t end = api_ms() + PATIENCE_MS;

	(void)state;
	session = api_open(NULL);
	start_swapping(session, swapping);
	/* all of them may fall into one turn of the other's */
	for (unsigned i = 0;
	     i < ROUNDS || (!each_got_through() && api_ms() < end); i++)
		for (unsigned which = 0; which < CALLS; which++)
			try_one(which, i / 4 % 4);
	for (int i = 0; i < CALLS; i++)
		print_message("call %d: %u times\n", i, done[i]);
	assert_true(each_got_through());
	exeat_session_close(session);
	outside_is_as_it_was();
}

/* tar is inside, where the links lead nowhere; what it says is no more than
 * the payload could. */
static void archives(void **state)
{
	static const char *const paths[] = { "d", "a/b/c", "l", "a/l" };
	char path[4300];
	int fd;

	(void)state;
	session = api_open(NULL);
	start_swapping(session, swapping);
	outside_path(path, "../archive");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	for (unsigned i = 0; i < 40; i++) {
		char text[8192] = "";

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		(void)exeat_get_tar(session, paths[i % 4], fd, NULL);
		for (ssize_t at = 0; pread(fd, text, sizeof(text) - 1, at) > 0;
		     at += 512)
			assert_null(strstr(text, secret));
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		(void)exeat_put_tar(session, paths[(i + 1) % 4], fd, NULL);
	}
	(void)close(fd);
	exeat_session_close(session);
	outside_is_as_it_was();
}

/* ---- of another session, on one work dir ---- */

/* One whose run swaps, and which therefore cannot be made to stand still by the
 * other one's calls. */
static struct exeat_session *swapping_beside(const char *dir,
					     const char *script)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *other;

	s.host_work_dir = dir;
	other = api_open(&s);
	start_swapping(other, script);
	return other;
}

static int has_no_secret(const char *path, const struct stat *st, int kind,
			 struct FTW *at)
{
	char text[64] = "";
	int fd;

	(void)st;
	(void)at;
	if (kind != FTW_F)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	assert_null(strstr(text, secret));
	return 0;
}

static void snapshots(void **state)
{
	enum { SNAPSHOTS = 30 };
	struct exeat_session_options s = SESSION_OPTIONS;
	const char *dir = api_kept_dir();
	struct exeat_session *other = swapping_beside(dir, swapping);
	unsigned kept = 0;
	char store[4300];

	(void)state;
	outside_path(store, "../store");
	assert_int_equal(mkdir(store, 0711), 0);
	s.host_work_dir = dir;
	s.snapshot_dir = store;
	session = api_open(&s);
	for (int i = 0; i < SNAPSHOTS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%d", i);
		error = (struct exeat_error){ 0 };
		if (exeat_session_snapshot(session, name, &error) == 0)
			kept++;
		else
			assert_int_equal(error.code, EXEAT_CONFLICT);
	}
	print_message("%u snapshots\n", kept);
	assert_true(kept > 0);
	assert_int_equal(nftw(store, has_no_secret, 32, FTW_PHYS), 0);
	exeat_session_close(session);
	exeat_session_close(other);
	outside_is_as_it_was();
}

/* Links to folders of the host's in place of what a session prepares. */
static const char swapping_kept[] =
	"import ctypes, os\n"
	"libc = ctypes.CDLL(None)\n"
	"def swap(a, b): libc.renameat2(-100, a, -100, b, 2)\n"
	"to = open('target').read()\n"
	"places = ['.exeat', '.exeat/home', '.exeat/venv', '.exeat/venv/bin',"
	" '.exeat/venv/lib', '.exeat/home/.local', '.exeat/home/.local/bin',"
	" '.exeat/home/.cargo', '.exeat/home/go', '.exeat/home/.npmrc',"
	" '.exeat/venv/pyvenv.cfg', '.exeat/.gitignore']\n"
	"pairs = []\n"
	"for i, place in enumerate(places):\n"
	"    os.symlink(to if i % 3 else to + '/f', f'link{i}')\n"
	"    pairs.append((place.encode(), f'link{i}'.encode()))\n"
	"n = 0\n"
	"while True:\n"
	"    n += 1\n"
	"    for pair in pairs:\n"
	"        swap(*pair)\n"
	"        if n % 4 == 0:\n"
	"            try: os.unlink(pair[0])\n"
	"            except OSError: pass\n"
	"            try: os.symlink(to, pair[0])\n"
	"            except OSError: pass\n"
	"        swap(*pair)\n"
	"    if n == 4: print('go', flush=True)\n";

static void preparing(void **state)
{
	enum { OPENED = 40 };
	struct exeat_session_options s = SESSION_OPTIONS;
	const char *dir = api_kept_dir();
	struct exeat_session *other = swapping_beside(dir, swapping_kept);

	(void)state;
	s.host_work_dir = dir;
	for (int i = 0; i < OPENED; i++) {
		error = (struct exeat_error){ 0 };
		if (exeat_session_open(&s, &session, &error) == 0)
			exeat_session_close(session);
		else
			assert_true(error.code == EXEAT_CONFLICT ||
				    error.code == EXEAT_NOT_FOUND);
		outside_is_as_it_was();
	}
	exeat_session_close(other);
	outside_is_as_it_was();
}

static int make_all(void **state)
{
	(void)state;
	make_outside();
	return 0;
}

static int remove_all(void **state)
{
	char path[4300];

	(void)state;
	outside_path(path, "sub/kept");
	(void)rmdir(path);
	outside_path(path, "sub");
	(void)rmdir(path);
	outside_path(path, "f");
	(void)unlink(path);
	return rmdir(outside);
}

#define WITH_OUTSIDE(test) \
	cmocka_unit_test_setup_teardown(test, make_all, remove_all)

static const struct CMUnitTest tests[] = {
	WITH_OUTSIDE(files),
	WITH_OUTSIDE(archives),
	WITH_OUTSIDE(snapshots),
	WITH_OUTSIDE(preparing),
};

API_MAIN("raced", tests)
