/* snapshot.c - work dirs kept, begun with, and bounded
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "api.h"

enum { MIB = 1 << 20 };

static struct exeat_session *session;
static struct exeat_error error;
static char store[4200], work[4200];

static int open_session(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;

	(void)state;
	(void)snprintf(store, sizeof(store), "%s/store", api_dir);
	s.snapshot_dir = store;
	session = api_open(&s);
	(void)snprintf(work, sizeof(work), "%s",
		       exeat_session_work_dir(session));
	error = (struct exeat_error){ 0 };
	return 0;
}

static void forget(void *user_data, const struct exeat_snapshot *snapshot)
{
	(void)user_data;
	assert_int_equal(exeat_snapshot_remove(store, snapshot->name, &error),
			 0);
}

static int close_session(void **state)
{
	(void)state;
	exeat_session_close(session);
	session = NULL;
	assert_int_equal(exeat_snapshots(store, forget, NULL, &error), 0);
	assert_int_equal(api_entries(store), 0);
	return 0;
}

static void keep(struct exeat_session *of, const char *name)
{
	char text[1024];

	if (exeat_session_snapshot(of, name, &error) < 0)
		fail_msg("%s", exeat_error_text(&error, text, sizeof(text)));
}

static struct exeat_session *branch(const char *name, uint64_t disk)
{
	struct exeat_session_options s = SESSION_OPTIONS;

	s.snapshot = name;
	s.snapshot_dir = store;
	s.disk_bytes = disk;
	return api_open(&s);
}

/* How it was done, as text that a log shows. */
static void told(const struct exeat_session *of)
{
	const char *kind = exeat_session_work_dir_kind(of);

	print_message("work dir: %s\n", kind);
	assert_true(strcmp(kind, "overlay") == 0 ||
		    strcmp(kind, "reflink") == 0 || strcmp(kind, "copy") == 0);
	assert_int_equal(exeat_session_work_dir_is_fresh(of), 1);
}

static void gives(struct exeat_session *of, const char *path, const char *text)
{
	void *data;
	size_t len;

	assert_int_equal(exeat_get_bytes(of, path, MIB, &data, &len, &error),
			 0);
	assert_string_equal(data, text);
	free(data);
}

/* Is there but one id, so that nobody can be another user? */
static bool one_id(void)
{
	unsigned inside = 0, outside = 0, n = 0;
	FILE *f = fopen("/proc/self/uid_map", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u %u %u", &inside, &outside, &n), 3);
	(void)fclose(f);
	return n == 1;
}

/* ---- what a branch is ---- */

static void branches(void **state)
{
	struct exeat_session *a, *b, *again;
	char path[4300];

	(void)state;
	api_sh(session,
	       "mkdir -p d/e && echo one > d/f && ln d/f hard && "
	       "ln -s d/f soft && ln -s /etc/passwd out && chmod 750 d/f && "
	       "touch -d @1000000000 d/f && printf '#!/bin/sh\\necho \"$0\"' "
	       "> run && chmod +x run && mkfifo fifo && echo secret > shut && "
	       "mkdir dark && echo in > dark/in && chmod 0 shut dark",
	       0);
	keep(session, "first");
	a = branch("first", 0);
	b = branch("first", 0);
	told(a);
	/* at the original's path, whole, and its own */
	assert_string_equal(exeat_session_work_dir(a), work);
	assert_string_equal(
		api_sh(a,
		       "stat -c '%n %a %Y' d/f; readlink soft out; cat hard; "
		       "test -p fifo || echo no fifo; stat -c %a shut dark; "
		       "chmod 700 shut dark; cat shut dark/in; "
		       "test $(stat -c %i d/f) = $(stat -c %i hard) && "
		       "echo linked",
		       0),
		"d/f 750 1000000000\nd/f\n/etc/passwd\none\nno fifo\n0\n0\n"
		"secret\nin\nlinked\n");
	(void)snprintf(path, sizeof(path), "%s/run", work);
	assert_true(strstr(api_sh(a, "\"$PWD/run\"", 0), path));
	/* nothing that one does changes another one, or the snapshot */
	api_sh(a,
	       "echo two > d/f; echo three >> hard; rm run; rmdir d/e; "
	       "mkdir d/e; touch d/e/x; rm -r dark",
	       0);
	assert_string_equal(api_sh(b, "cat d/f hard; ls; ls d/e", 0),
			    "one\none\nd\ndark\nhard\nout\nrun\nshut\nsoft\n");
	gives(session, "d/f", "one\n");
	again = branch("first", 0);
	assert_string_equal(api_sh(again, "cat d/f hard; ls d/e", 0),
			    "one\none\n");
	/* from outside, by the same path */
	(void)snprintf(path, sizeof(path), "%s/new/g", work);
	assert_int_equal(exeat_put_bytes(a, path, "put", 3, 0, &error), 0);
	assert_string_equal(api_sh(a, "cat new/g; test -O new/g", 0), "put");
	(void)snprintf(path, sizeof(path), "%s/d/f", work);
	gives(a, path, "two\n");
	assert_true(exeat_get_bytes(session, "new/g", MIB, &(void *){ NULL },
				    &(size_t){ 0 }, &error) < 0);
	/* one from a branch */
	keep(a, "second");
	exeat_session_close(a);
	a = branch("second", 0);
	assert_string_equal(api_sh(a, "cat d/f new/g; ls", 0),
			    "two\nputd\nhard\nnew\nout\nshut\nsoft\n");
	exeat_session_close(a);
	exeat_session_close(b);
	exeat_session_close(again);
	assert_int_equal(api_work_dirs(), 2); /* the original's, its lock */
}

/* Where there can be no overlay (a path that it cannot be told, files that are
 * another user's) it is a copy, and nobody sees a difference. */
static void copies(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *from, *a;
	char odd[4300];

	(void)state;
	(void)snprintf(odd, sizeof(odd), "%s/st:ore", api_dir);
	s.snapshot_dir = odd;
	from = api_open(&s);
	api_sh(from, "echo one > f && ln f g && mkdir -m 0 shut", 0);
	keep(from, "c");
	for (int i = 0; i < 3; i++) {
		s.snapshot = "c";
		s.disk_bytes = i == 1 ? 4 * MIB : 0;
		/* only root can name another one */
		s.user = i == 2 && !one_id() && geteuid() == 0 ? "4321:4321" :
								 NULL;
		a = api_open(&s);
		told(a);
		assert_string_not_equal(exeat_session_work_dir_kind(a),
					"overlay");
		assert_string_equal(
			api_sh(a,
			       "cat f g; echo two >> f; cat g; test -O f && "
			       "stat -c %a shut && chmod 700 shut && "
			       "touch shut/x",
			       0),
			"one\none\none\ntwo\n0\n");
		assert_int_equal(exeat_put_bytes(a, "n/p", "put", 3, 0, NULL),
				 0);
		gives(a, "n/p", "put");
		exeat_session_close(a);
	}
	gives(from, "g", "one\n");
	exeat_session_close(from);
	assert_int_equal(exeat_snapshot_remove(odd, "c", &error), 0);
}

/* It lives on, and its runs stand still only meanwhile. */
static void while_it_runs(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *a;
	struct exeat_run *run;

	(void)state;
	o.command = "i=0; while [ ! -e stop ]; do i=$((i + 1)); "
		    "echo $i > a.new; mv a.new a; ln -f a b; done";
	run = api_start(session, &o);
	for (int i = 0; i < 3; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "n%d", i);
		keep(session, name);
	}
	a = branch("n2", 0);
	exeat_session_close(session);
	session = NULL;
	api_sh(a, "echo >> a; echo >> b; touch stop", 0);
	exeat_session_close(a);
	(void)run; /* went with its session */
}

/* ---- names, and the store ---- */

struct seen {
	unsigned n;
	char text[4600];
};

static void see(void *user_data, const struct exeat_snapshot *snapshot)
{
	struct seen *seen = user_data;

	(void)snprintf(seen->text, sizeof(seen->text), "%s %s", snapshot->name,
		       snapshot->path);
	assert_true(snapshot->files >= 1 && snapshot->bytes >= 5);
	assert_true(snapshot->time > 1e9);
	seen->n++;
}

static void names(void **state)
{
	static const char *const bad[] = { "",	 ".x",	"a/b",
					   "..", "a b", "\xc3\xa4" };
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *other = NULL;
	struct seen seen = { 0 };
	char path[4600];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(exeat_session_snapshot(session, bad[i], &error) <
			    0);
		api_expect(&error, EXEAT_INVALID, "name", "");
	}
	assert_int_equal(exeat_put_bytes(session, "f", "12345", 5, 0, NULL), 0);
	keep(session, "a.b-c_1");
	assert_true(exeat_session_snapshot(session, "a.b-c_1", &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "a.b-c_1", "");
	assert_int_equal(exeat_snapshots(store, see, &seen, &error), 0);
	(void)snprintf(path, sizeof(path), "a.b-c_1 %s", work);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.text, path);
	/* in use, and not */
	other = branch("a.b-c_1", 0);
	assert_true(exeat_snapshot_remove(store, "a.b-c_1", &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "a.b-c_1", "open");
	exeat_session_close(other);
	other = NULL;
	assert_int_equal(exeat_snapshot_remove(store, "a.b-c_1", &error), 0);
	assert_true(exeat_snapshot_remove(store, "a.b-c_1", &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "a.b-c_1", "");
	s.snapshot = "a.b-c_1";
	s.snapshot_dir = store;
	assert_true(exeat_session_open(&s, &other, &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "a.b-c_1", "");
	s.host_work_dir = work;
	assert_true(exeat_session_open(&s, &other, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "snapshot", "host_work_dir");
	(void)snprintf(path, sizeof(path), "%s/none", api_dir);
	assert_int_equal(exeat_snapshots(path, see, &seen, &error), 0);
	assert_int_equal(seen.n, 1);
	/* others may write to it */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_true(exeat_snapshots(path, see, &seen, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "others", "");
	assert_int_equal(rmdir(path), 0);
}

/* A store that its runs could change is none. */
static void store_inside(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *kept;
	char dir[4200], inside[4300];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/kept", api_dir);
	(void)snprintf(inside, sizeof(inside), "%s/store", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	s.host_work_dir = dir;
	s.snapshot_dir = inside;
	kept = api_open(&s);
	assert_string_equal(exeat_session_work_dir_kind(kept), "kept");
	assert_true(exeat_session_snapshot(kept, "x", &error) < 0);
	api_expect(&error, EXEAT_INVALID, "snapshot_dir", "write");
	exeat_session_close(kept);
}

/* ---- hostile trees ---- */

static void hostile(void **state)
{
	struct exeat_session *a;

	(void)state;
	/* notes that an overlay would believe, a whiteout, a deep tree */
	api_sh(session,
	       "python3 - <<'E'\n"
	       "import os\n"
	       "os.mkdir('d'); open('d/f', 'w').write('x')\n"
	       "def note(p, n, v):\n"
	       "    try: os.setxattr(p, n, v)\n"
	       "    except OSError: pass\n"
	       "note('d', 'user.overlay.redirect', b'/etc')\n"
	       "note('d', 'user.overlay.opaque', b'y')\n"
	       "note('d/f', 'user.mine', b'kept')\n"
	       "os.symlink('../../../../../../etc', 'etc')\n"
	       "try: os.mknod('white', 0o20000, 0)\n"
	       "except OSError: pass\n"
	       "top = os.getcwd()\n"
	       "for i in range(2000):\n"
	       "    os.mkdir('n' * 20); os.chdir('n' * 20)\n"
	       "open('end', 'w').write('deep')\n"
	       "E",
	       0);
	keep(session, "h");
	a = branch("h", 0);
	assert_string_equal(
		api_sh(a,
		       "python3 - <<'E'\n"
		       "import os\n"
		       "print(os.listdir('d'), os.readlink('etc'))\n"
		       "print([x for x in os.listxattr('d/f') "
		       "if x != 'user.mine'], os.listxattr('d'))\n"
		       "print(os.path.lexists('white'))\n"
		       "n = 0\n"
		       "while os.path.isdir('n' * 20):\n"
		       "    os.chdir('n' * 20); n += 1\n"
		       "print(n, open('end').read())\n"
		       "E",
		       0),
		"['f'] ../../../../../../etc\n[] []\nFalse\n2000 deep\n");
	exeat_session_close(a);
}

/* A file that only root may read lies in a work dir of somebody else. */
static void not_readable(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *kept;
	char dir[4200], path[4300];
	int fd;

	(void)state;
	if (geteuid() != 0 || access("/proc/self/uid_map", R_OK) < 0)
		skip();
	(void)snprintf(dir, sizeof(dir), "%s/other", api_dir);
	(void)snprintf(path, sizeof(path), "%s/secret", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	if (chown(dir, 4321, 4321) < 0)
		skip(); /* one id */
	s.host_work_dir = dir;
	s.snapshot_dir = store;
	kept = api_open(&s);
	assert_true(exeat_session_snapshot(kept, "x", &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "secret", "read");
	assert_int_equal(api_entries(store), 0);
	exeat_session_close(kept);
}

/* Who has a lease stands still, and is not waited for. */
static void leased(void **state)
{
	struct exeat_run *run;

	(void)state;
	if (api_lease(session, &run)) {
		assert_true(exeat_session_snapshot(session, "l", &error) < 0);
		api_expect(&error, EXEAT_CONFLICT, "/f", "lease");
		assert_int_equal(api_entries(store), 0);
	}
	assert_int_equal(exeat_run_kill(run, SIGKILL, NULL), 0);
	(void)api_wait(run);
	exeat_run_free(run);
	keep(session, "l");
}

/* What was hidden from the runs is not in what is kept of their folder. */
static void hidden(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_session *kept, *a;
	char dir[4200], path[4300];
	FILE *f;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/hiding", api_dir);
	(void)snprintf(path, sizeof(path), "%s/password", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("swordfish", f);
	(void)fclose(f);
	s.host_work_dir = dir;
	s.snapshot_dir = store;
	s.hidden_files = LIST(path);
	kept = api_open(&s);
	keep(kept, "hid");
	exeat_session_close(kept);
	a = branch("hid", 0);
	assert_string_equal(exeat_session_work_dir(a), dir);
	assert_string_equal(api_sh(a, "cat password; ls", 0), "password\n");
	exeat_session_close(a);
	/* likewise, where it is known only later that it is to be hidden */
	s.hidden_files = NULL;
	kept = api_open(&s);
	keep(kept, "seen");
	exeat_session_close(kept);
	s.host_work_dir = NULL;
	s.snapshot = "seen";
	s.hidden_files = LIST(path);
	a = api_open(&s);
	assert_string_equal(api_sh(a, "cat password", 0), "");
	exeat_session_close(a);
}

/* ---- the limit of the work dir ---- */

static const char fill_it[] = "head -c 20M /dev/zero 2>&1 > big | "
			      "grep -c 'No space'; rm big; "
			      "echo small > small; cat small";

static void disk(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	struct exeat_session *a;

	(void)state;
	s.disk_bytes = 8 * MIB;
	s.snapshot_dir = store;
	a = api_open(&s);
	assert_string_equal(exeat_session_work_dir_kind(a), "tmpfs");
	assert_string_equal(api_sh(a, fill_it, 0), "1\nsmall\n");
	assert_string_equal(
		api_sh(a,
		       "mkdir many; python3 -c \"\n"
		       "try:\n"
		       "    for i in range(5000): open(f'many/{i}', 'w')\n"
		       "except OSError: print('bounded')\n\"; rm -r many",
		       0),
		"bounded\n");
	assert_int_equal(exeat_put_bytes(a, "x/y", "put", 3, 0, &error), 0);
	assert_string_equal(api_sh(a, "cat x/y; test -O x/y", 0), "put");
	o.argv = LIST("true");
	run = api_start(a, &o);
	assert_string_equal(api_wait(run)->disk_enforced, "tmpfs");
	exeat_run_free(run);
	keep(a, "small");
	exeat_session_close(a);
	a = branch("small", 4 * MIB);
	told(a);
	assert_string_equal(api_sh(a, fill_it, 0), "1\nsmall\n");
	assert_string_equal(api_sh(a, "cat x/y", 0), "put");
	exeat_session_close(a);
	run = api_start(session, &o);
	assert_string_equal(api_wait(run)->disk_enforced, "");
	exeat_run_free(run);
}

/* Bytes of a file whose name is never seen: how much a run could write. */
static unsigned long room_of(struct exeat_session *of)
{
	unsigned long room = 0;

	assert_int_equal(sscanf(api_sh(of,
				       "trap '' XFSZ; head -c 4M /dev/zero "
				       "> big; stat -c %s big; rm big",
				       0),
				"%lu", &room),
			 1);
	return room;
}

/* Nobody keeps it for a folder of the host's: what is there counts. */
static void disk_of_a_kept_one(void **state)
{
	struct exeat_session_options s = SESSION_OPTIONS;
	struct exeat_run_options o = RUN_OPTIONS;
	unsigned long before, after;
	struct exeat_session *a = NULL;
	struct exeat_run *run = NULL;
	char dir[4200], path[4300];
	int fd;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/pinned", api_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	s.host_work_dir = dir;
	s.disk_bytes = 3 * MIB;
	assert_true(exeat_session_open(&s, &a, &error) < 0);
	api_expect(&error, EXEAT_UNAVAILABLE, "disk", "best effort");
	s.limits_best_effort = EXEAT_LIMIT_DISK;
	a = api_open(&s);
	o.argv = LIST("true");
	run = api_start(a, &o);
	assert_string_equal(api_wait(run)->disk_enforced, "rlimit");
	exeat_run_free(run);
	before = room_of(a);
	assert_in_range(before, 2 * MIB, 3 * MIB - 1);
	/* one of two names, shut, and deep */
	api_sh(a,
	       "mkdir -p x/y && head -c 1M /dev/zero > x/y/f && "
	       "ln x/y/f l && sync x/y/f && chmod 0 x",
	       0);
	after = room_of(a);
	assert_in_range(after, before - MIB - 65536, before - MIB);
	assert_int_equal(exeat_put_bytes(a, "p", "", 0, 0, &error), 0);
	api_sh(a, "stat -c %a x | grep -qx 0", 0);
	/* full: no run, but what is there can be had, and removed */
	api_sh(a,
	       "head -c 1M /dev/zero > g; head -c 1M /dev/zero > h; sync g h",
	       0);
	assert_true(exeat_run_start(a, &o, &run, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "disk", "already");
	(void)snprintf(path, sizeof(path), "%s/out", api_dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(exeat_remove_file(a, "x", 1, &error), 0);
	assert_int_equal(
		exeat_put_bytes(a, "h", store, sizeof(store), 0, &error), 0);
	assert_int_equal(exeat_get_tar(a, "", fd, &error), 0);
	assert_true(lseek(fd, 0, SEEK_END) > 2 * MIB);
	(void)close(fd);
	assert_int_equal(exeat_remove_file(a, "l", 0, &error), 0);
	api_sh(a, "true", 0);
	exeat_session_close(a);
	s.host_work_dir = NULL;
	s.disk_bytes = 1000;
	assert_true(exeat_session_open(&s, &a, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "disk", "1 MiB");
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

static const struct CMUnitTest tests[] = {
	WITH_SESSION(branches),
	WITH_SESSION(copies),
	WITH_SESSION(while_it_runs),
	WITH_SESSION(names),
	WITH_SESSION(store_inside),
	WITH_SESSION(hostile),
	WITH_SESSION(not_readable),
	WITH_SESSION(leased),
	WITH_SESSION(hidden),
	WITH_SESSION(disk),
	WITH_SESSION(disk_of_a_kept_one),
};

API_MAIN("snapshot", tests)
