/* files.c - the work dir, the view, the virtual environment
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

#define PATH_SIZE (sizeof(api_dir) + 64)

static void a_kept_dir_keeps(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	struct stat st;
	char path[sizeof(api_dir) + 64];

	(void)state;
	so.host_work_dir = api_kept_dir();
	session = api_open(&so);
	assert_false(exeat_session_work_dir_is_fresh(session));
	assert_string_equal(exeat_session_work_dir(session), so.host_work_dir);
	api_sh(session,
	       "echo data > file; mkdir -p \"$HOME\"/.cache; "
	       "echo cached > \"$HOME\"/.cache/x; echo gone > /tmp/x",
	       0);
	/* /tmp is each run's own */
	api_sh(session, "! test -e /tmp/x", 0);
	exeat_session_close(session);

	(void)snprintf(path, sizeof(path), "%s/file", so.host_work_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	session = api_open(&so);
	assert_string_equal(api_sh(session, "cat file \"$HOME\"/.cache/x", 0),
			    "data\ncached\n");
	exeat_session_close(session);
}

static void a_fresh_dir_goes(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char *path = strdup(exeat_session_work_dir(session));

	(void)state;
	assert_true(exeat_session_work_dir_is_fresh(session));
	/* what is hard to remove goes, too; what a link points to does not */
	api_sh(session,
	       "mkdir -p a/b; touch a/b/c; chmod 0 a/b; "
	       "ln -s /etc outside; chmod 0 a",
	       0);
	assert_int_equal(access(path, F_OK), 0);
	exeat_session_close(session);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	free(path);
}

/* The payload lives, and makes folders, until the session is closed. */
static void a_fresh_dir_goes_from_under_a_writer(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;

	(void)state;
	o.command = "trap '' TERM; echo up; i=0; while :; do "
		    "mkdir -p $i/a/b; i=$((i + 1)); done";
	for (int freed = 0; freed < 2; freed++) {
		struct exeat_session *session = api_open(NULL);
		struct exeat_run *run;
		char buf[8];

		/* an end that was reported says nothing of the next run */
		api_sh(session, "true", 0);
		run = api_start(session, &o);
		assert_int_equal(exeat_run_read(run, EXEAT_STDOUT, buf,
						sizeof(buf), 60000, NULL),
				 3);
		if (freed)
			exeat_run_free(run);
		exeat_session_close(session);
		assert_int_equal(api_work_dirs(), 0);
		assert_int_equal(api_helpers(), 0);
	}
}

static bool has(char **list, const char *path)
{
	for (; *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

static void the_view_is_told(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	char extra[sizeof(api_dir) + 16], more[sizeof(api_dir) + 16];
	char command[3 * sizeof(extra)];
	char **ro, **rw;

	(void)state;
	(void)snprintf(extra, sizeof(extra), "%s/extra", api_dir);
	assert_int_equal(mkdir(extra, 0755), 0);
	so.read_only_paths = LIST(extra);
	(void)snprintf(more, sizeof(more), "%s/more", api_dir);
	assert_int_equal(mkdir(more, 0777), 0);
	assert_int_equal(chmod(more, 0777), 0);
	so.read_write_paths = LIST(more);
	session = api_open(&so);
	assert_int_equal(exeat_session_fs_allowlist(session, &ro, &rw), 0);
	assert_true(has(ro, "/usr"));
	assert_true(has(ro, "/etc"));
	assert_true(has(ro, extra));
	assert_false(has(ro, "/home"));
	assert_true(has(rw, exeat_session_work_dir(session)));
	assert_false(has(rw, extra));
	assert_true(has(rw, more));
	assert_false(has(ro, more));
	free(ro);
	free(rw);
	(void)snprintf(command, sizeof(command),
		       "ls -d %s >/dev/null && ! touch %s/x 2>/dev/null && "
		       "! test -r /etc/shadow && ! ls /root",
		       extra, extra);
	api_sh(session, command, 0);
	(void)snprintf(command, sizeof(command),
		       "echo kept > %s/f && test -O %s/f", more, more);
	api_sh(session, command, 0);
	exeat_session_close(session);
	(void)snprintf(command, sizeof(command), "%s/f", more);
	assert_int_equal(access(command, F_OK), 0);
}

/* What is in it, and what is not, path by path; `$PWD` is the work dir. */
static const char view_checks[] =
	"fail() { echo \"$*\"; exit 1; }\n"
	"writes() { (: > \"$1/.x\") 2>/dev/null; }\n"
	"test \"$PWD\" = \"$EXPECTED\" || fail the work dir is $PWD\n"
	"for p in / /usr /usr/bin /bin /sbin /lib /opt /etc /var/lib/dpkg "
	"/var/lib/apt /var/cache/apt /sys/devices/system/cpu /proc /proc/sys "
	"/sys /var; do\n"
	"    ! writes $p || fail $p can be written\n"
	"done\n"
	"for p in /tmp /dev/shm /run \"$PWD\"; do\n"
	"    writes $p || fail $p cannot be written\n"
	"done\n"
	"for p in /etc/shadow /etc/gshadow /etc/sudoers; do\n"
	"    test -z \"$(cat $p 2>/dev/null)\" || fail $p shows\n"
	"done\n"
	"for p in /home /root /srv /mnt /media /boot; do\n"
	"    case $PWD/ in $p/*) continue ;; esac\n"
	"    test -z \"$(ls -A $p 2>/dev/null)\" || fail $p shows\n"
	"done\n"
	"test -z \"$(find /dev -type b)\" || fail a disk\n"
	"test ! -e /dev/mem && test ! -e /dev/kmsg || fail /dev\n"
	"test -z \"$(find /run /var -type s 2>/dev/null)\" || fail sockets\n"
	"for p in /sys/*; do\n"
	"    test $p = /sys/devices || fail $p shows\n"
	"done\n";

static void the_view_is(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	char expected[sizeof(api_dir) + 64];

	(void)state;
	(void)snprintf(expected, sizeof(expected), "EXPECTED=%s",
		       exeat_session_work_dir(session));
	o.command = view_checks;
	o.env = LIST(expected);
	assert_string_equal(api_exec(session, &o, 0), "");
	/* each run has its own of these, and of no others */
	assert_string_equal(api_sh(session,
				   "ls -A /tmp /dev/shm | grep '^\\.x'; "
				   "ls -A /run | grep '^\\.x'; ls -A . | "
				   "grep -x '\\.x'",
				   0),
			    ".x\n");
	/* no socket but where a run has its own, unless it was asked for; nor
	 * in /tmp, if the work dir lies below it, as one of a test may */
	assert_string_equal(
		api_sh(session,
		       "python3 -c \"import socket\n"
		       "for p in 's', '/dev/shm/s':\n"
		       "    try: socket.socket(socket.AF_UNIX).bind(p)\n"
		       "    except OSError: print(p)\"",
		       0),
		"s\n");
	exeat_session_close(session);
}

static void venv_in_place(void **state)
{
	struct exeat_session *session = api_open(NULL);
	char expected[sizeof(api_dir) + 64];

	(void)state;
	(void)snprintf(expected, sizeof(expected), "%s/.exeat/venv\n",
		       exeat_session_work_dir(session));
	assert_string_equal(
		api_sh(session, "python -c 'import sys; print(sys.prefix)'", 0),
		expected);
	assert_string_equal(api_sh(session, "echo $VIRTUAL_ENV", 0), expected);
	/* what one run puts there the next one finds */
	api_sh(session,
	       "echo x = 5 > $(python -c 'import sysconfig as s; "
	       "print(s.get_paths()[\"purelib\"])')/placed.py",
	       0);
	assert_string_equal(api_sh(session,
				   "python3 -c 'import placed; "
				   "print(placed.x)'",
				   0),
			    "5\n");
	if (access("/usr/lib/python3/dist-packages/pip", F_OK) == 0)
		assert_non_null(
			strstr(api_sh(session, "pip --version", 0), "pip "));
	exeat_session_close(session);
}

/* ---- files that govern the runs ---- */

static void put(const char *dir, const char *name, const char *text,
		char ret[PATH_SIZE])
{
	FILE *f;

	(void)snprintf(ret, PATH_SIZE, "%s/%s", dir, name);
	f = fopen(ret, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(ret, 0666), 0);
}

static void governing_files_stay(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	char policy[PATH_SIZE], secret[PATH_SIZE], folder[PATH_SIZE];

	(void)state;
	so.host_work_dir = api_kept_dir();
	put(so.host_work_dir, "policy", "policy\n", policy);
	(void)snprintf(folder, sizeof(folder), "%s/conf", so.host_work_dir);
	assert_int_equal(mkdir(folder, 0777), 0);
	assert_int_equal(chmod(folder, 0777), 0);
	put(folder, "secret", "secret\n", secret);
	so.governing_files = LIST(policy, "/dev/null");
	so.hidden_files = LIST(secret);
	session = api_open(&so);
	for (int i = 0; i < 2; i++)
		assert_string_equal(
			api_sh(session,
			       "cat policy conf/secret; exec 2>/dev/null; "
			       "echo x >policy || mv policy x || rm policy || "
			       "ln policy y || mv conf z || rm conf/secret || "
			       "echo x >conf/secret || echo stays; "
			       "touch new conf/new && echo writes",
			       0),
			"policy\nstays\nwrites\n");
	exeat_session_close(session);
	/* where nobody names them, they are files like any other */
	so.governing_files = so.hidden_files = NULL;
	session = api_open(&so);
	assert_string_equal(
		api_sh(session, "cat conf/secret; mv conf z; rm policy; ls", 0),
		"secret\nnew\nz\n");
	exeat_session_close(session);
}

static void expect_refused(const struct exeat_session_options *so,
			   const char *object, const char *message)
{
	struct exeat_session *session;
	struct exeat_error error = { 0 };

	assert_true(exeat_session_begin(so, &session, &error) < 0);
	assert_int_equal(error.code, EXEAT_INVALID);
	assert_string_equal(error.object, object);
	assert_non_null(strstr(error.message, message));
}

static void governing_files_refused(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	char file[PATH_SIZE], other[PATH_SIZE];

	(void)state;
	so.host_work_dir = api_kept_dir();
	put(so.host_work_dir, "file", "text\n", file);
	(void)snprintf(other, sizeof(other), "%s/other", so.host_work_dir);
	so.governing_files = LIST(other);
	expect_refused(&so, other, "No such file");
	assert_int_equal(symlink(file, other), 0);
	expect_refused(&so, other, "symlink");
	assert_int_equal(unlink(other), 0);
	assert_int_equal(link(file, other), 0);
	expect_refused(&so, other, "hard links");
	assert_int_equal(unlink(other), 0);
	assert_int_equal(mkfifo(other, 0666), 0);
	expect_refused(&so, other, "not a regular file");
	so.governing_files = LIST(file);
	so.read_write_paths = LIST(file);
	expect_refused(&so, file, "governs");
	exeat_session_close(api_open(&(struct exeat_session_options){
		.size = sizeof(so),
		.audit_fd = -1,
		.helper_path = so.helper_path,
		.host_work_dir = so.host_work_dir,
		.governing_files = LIST(file),
	}));
}

static void audit_files(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *session;
	char inside[PATH_SIZE], outside[PATH_SIZE], line[512];
	FILE *f;
	int fd;

	(void)state;
	so.host_work_dir = api_kept_dir();
	put(so.host_work_dir, "audit", "", inside);
	so.audit_file = inside;
	expect_refused(&so, inside, "a run could write");
	fd = open(inside, O_WRONLY | O_APPEND | O_CLOEXEC);
	so.audit_file = NULL;
	so.audit_fd = fd;
	expect_refused(&so, inside, "a run could write");
	(void)close(fd);
	so.audit_fd = -1;
	(void)snprintf(outside, sizeof(outside), "%s/audit", api_dir);
	/* a run of an earlier session has made the name another file's */
	assert_int_equal(unlink(inside), 0);
	assert_int_equal(symlink(outside, inside), 0);
	so.audit_file = inside;
	expect_refused(&so, inside, "a run could write");
	assert_int_equal(access(outside, F_OK), -1);
	so.audit_file = outside;
	so.read_write_paths = LIST(api_dir);
	expect_refused(&so, outside, "a run could write");
	so.read_write_paths = NULL;
	session = api_open(&so);
	api_sh(session, "true", 0);
	exeat_session_close(session);
	f = fopen(outside, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "the session begins"));
	(void)fclose(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_kept_dir_keeps),
	cmocka_unit_test(a_fresh_dir_goes),
	cmocka_unit_test(a_fresh_dir_goes_from_under_a_writer),
	cmocka_unit_test(the_view_is_told),
	cmocka_unit_test(the_view_is),
	cmocka_unit_test(venv_in_place),
	cmocka_unit_test(governing_files_stay),
	cmocka_unit_test(governing_files_refused),
	cmocka_unit_test(audit_files),
};

API_MAIN("files", tests)
