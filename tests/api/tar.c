/* tar.c - a folder as a tar stream, in and out
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

enum {
	BLOCK = 512, /* of an archive, tar(5) */
	CHUNK = 1 << 20,
	CHUNKS = 200,
};

static struct exeat_session *session;
static struct exeat_error error;

static int open_session(void **state)
{
	(void)state;
	session = api_open(NULL);
	error = (struct exeat_error){ 0 };
	return 0;
}

static int close_session(void **state)
{
	(void)state;
	exeat_session_close(session);
	return 0;
}

/* A file of the caller's own, without a name. */
static int nameless(void)
{
	char path[4200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/archive", api_dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static int get_tar(const char *path)
{
	int fd = nameless();

	assert_int_equal(exeat_get_tar(session, path, fd, &error), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void put_tar(const char *path, int fd)
{
	if (exeat_put_tar(session, path, fd, &error) != 0)
		api_expect(&error, EXEAT_OK, "", "");
}

static void put_fails(const char *path, int fd, enum exeat_code code,
		      const char *text)
{
	assert_true(exeat_put_tar(session, path, fd, &error) < 0);
	api_expect(&error, code, text, "");
}

/* ---- archives of all kinds ---- */

static void octal(char *field, int digits, unsigned long long n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%0*llo", digits, n);
	memcpy(field, text, (size_t)digits);
}

/* One header; what follows it is the caller's. */
static void add(int fd, char type, const char *name, const char *link,
		unsigned mode, unsigned long long size)
{
	char b[BLOCK + 1] = { 0 };
	unsigned sum = 0;

	(void)snprintf(b, 100, "%s", name);
	octal(b + 100, 7, mode);
	octal(b + 108, 7, 0);
	octal(b + 116, 7, 0);
	octal(b + 124, 11, size);
	octal(b + 136, 11, 1000000000);
	memset(b + 148, ' ', 8);
	b[156] = type;
	(void)snprintf(b + 157, 100, "%s", link);
	memcpy(b + 257, "ustar\00000", 8);
	if (type == '3') {
		octal(b + 329, 7, 1);
		octal(b + 337, 7, 3); /* the null device's numbers */
	}
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)b[i];
	octal(b + 148, 6, sum);
	assert_int_equal(write(fd, b, BLOCK), BLOCK);
}

static void add_file(int fd, const char *name, unsigned mode)
{
	static const char data[BLOCK] = "text\n";

	add(fd, '0', name, "", mode, 5);
	assert_int_equal(write(fd, data, BLOCK), BLOCK);
}

static void finish(int fd)
{
	static const char zeros[2 * BLOCK];

	assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

/* ---- in and out ---- */

static void there_and_back(void **state)
{
	char absolute[8192];
	int fd;

	(void)state;
	(void)api_sh(session,
		     "mkdir -p a/b; cd a; echo one > f; ln -s f l; ln f h; "
		     "chmod 751 b; echo '#!/bin/sh' > b/run; chmod 755 b/run; "
		     "touch \"$(printf 'x\\ny')\" \"$(printf '\\377')\"",
		     0);
	fd = get_tar("a");
	put_tar("c/d", fd);
	assert_string_equal(
		api_sh(session,
		       "cd c/d; cat f; readlink l; stat -c '%a %h' b b/run h; "
		       "ls | wc -l; test -O f; diff -r ../../a . && echo same",
		       0),
		"one\nf\n751 2\n755 1\n644 2\n7\nsame\n");
	(void)close(fd);
	/* the work dir, without what the session keeps in it */
	fd = get_tar("");
	(void)snprintf(absolute, sizeof(absolute), "%s/all",
		       exeat_session_work_dir(session));
	put_tar(absolute, fd);
	(void)close(fd);
	assert_string_equal(api_sh(session, "ls -A all", 0), "a\nc\n");
}

/* So much that it would show if somebody kept it. */
static void through_a_pipe(int ends[2])
{
	char *data = calloc(1, CHUNK);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0) {
		(void)close(ends[1]);
		free(data);
		put_tar("big", ends[0]);
		(void)close(ends[0]);
		assert_int_equal(waitpid(child, NULL, 0), child);
		return;
	}
	(void)close(ends[0]);
	add(ends[1], '0', "zeros", "", 0644,
	    (unsigned long long)CHUNKS * CHUNK);
	for (int i = 0; i < CHUNKS; i++)
		for (ssize_t n = 0, at = 0; at < CHUNK; at += n) {
			n = write(ends[1], data + at, (size_t)(CHUNK - at));
			if (n < 0)
				_exit(1);
		}
	memset(data, 0, 2 * BLOCK);
	_exit(write(ends[1], data, 2 * BLOCK) != 2 * BLOCK);
}

static void streams(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char expected[64], buf[8] = "";
	struct exeat_run *beside;
	int ends[2], pair[2];

	(void)state;
	o.command = "read x; echo \"$x\"";
	o.stdio[EXEAT_STDIN] = EXEAT_STDIO_PIPE;
	beside = api_start(session, &o);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	through_a_pipe(ends);
	(void)snprintf(expected, sizeof(expected), "%lld\n",
		       (long long)CHUNKS * CHUNK);
	assert_string_equal(api_sh(session, "stat -c %s big/zeros; rm -r big",
				   0),
			    expected);
	/* a socket, to the end of what there is in it */
	(void)api_sh(session, "mkdir s; echo x > s/f", 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(exeat_get_tar(session, "s", pair[0], &error), 0);
	assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
	put_tar("t", pair[1]);
	assert_string_equal(api_sh(session, "cat t/f", 0), "x\n");
	(void)close(pair[0]);
	(void)close(pair[1]);
	/* a run that was there all the time */
	assert_int_equal(exeat_run_write(beside, "go\n", 3, &error), 0);
	assert_int_equal(api_wait(beside)->returncode, 0);
	assert_int_equal(exeat_run_read(beside, EXEAT_STDOUT, buf, 8, 0, NULL),
			 3);
	exeat_run_free(beside);
}

/* ---- long names, and nothing ---- */

/* What follows one of these is a name that its header has no room for. */
static void add_long(int fd, char type, const char *text)
{
	char data[BLOCK] = "";

	assert_true(strlen(text) < BLOCK);
	(void)snprintf(data, sizeof(data), "%s", text);
	add(fd, type, "././@LongLink", "", 0644,
	    strlen(text) + (type == 'L' ? 1 : 0));
	assert_int_equal(write(fd, data, BLOCK), BLOCK);
}

static void long_names(void **state)
{
	char gnu[202] = "", pax[202] = "", record[256], command[512];
	int fd = nameless();

	(void)state;
	memset(gnu, 'g', 200);
	memset(pax, 'p', 200);
	add_long(fd, 'L', gnu);
	add_file(fd, "short", 0644);
	(void)snprintf(record, sizeof(record), "210 path=%s\n", pax);
	assert_int_equal(strlen(record), 210);
	add_long(fd, 'x', record);
	add_file(fd, "short", 0644);
	finish(fd);
	put_tar("a", fd);
	(void)close(fd);
	(void)snprintf(command, sizeof(command),
		       "cd a && cat %s %s && ls | wc -l && "
		       "mkdir -p \"$(seq -s/ -w 1000 1120)\" && "
		       "mv g* \"$(seq -s/ -w 1000 1120)\"",
		       gnu, pax);
	assert_string_equal(api_sh(session, command, 0), "text\ntext\n2\n");
	fd = get_tar("a");
	put_tar("b", fd);
	(void)close(fd);
	assert_string_equal(
		api_sh(session, "diff -r a b && find b -name 'g*' | wc -l", 0),
		"1\n");
}

static void empty(void **state)
{
	int fd = nameless();

	(void)state;
	finish(fd);
	put_tar("a/b", fd);
	(void)close(fd);
	assert_string_equal(api_sh(session, "ls -A a a/b", 0),
			    "a:\nb\n\na/b:\n");
	fd = get_tar("a/b");
	put_tar("c", fd);
	(void)close(fd);
	assert_string_equal(api_sh(session, "ls -A c", 0), "");
	assert_int_equal(exeat_remove_file(session, "a", 1, &error), 0);
}

/* ---- hostile ones ---- */

/* Whatever it says, it says it about the folder. */
static void hostile(void **state)
{
	char outside[4200], name[4400], link[4400];
	int fd = nameless();

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", api_dir);
	assert_int_equal(mkdir(outside, 0777), 0);
	assert_int_equal(chmod(outside, 0777), 0);
	(void)api_sh(session, "mkdir -p a/in; echo kept > a/kept", 0);
	add_file(fd, "../up", 0644);
	add_file(fd, "x/../../up", 0644);
	add_file(fd, "/tmp/absolute", 0644);
	(void)snprintf(name, sizeof(name), "%.90s/f", outside);
	add_file(fd, name, 0644);
	(void)snprintf(link, sizeof(link), "%.90s", outside);
	add(fd, '2', "link", link, 0777, 0);
	add_file(fd, "link/through", 0644);
	add(fd, '1', "hard", "/etc/passwd", 0644, 0);
	add(fd, '1', "hard2", "../kept", 0644, 0);
	add(fd, '3', "device", "", 0666, 0);
	add_file(fd, "setuid", 06755);
	add_file(fd, "last", 0644);
	finish(fd);
	put_fails("a/in", fd, EXEAT_INVALID, "archive");
	(void)close(fd);
	assert_string_equal(
		api_sh(session,
		       "cat a/in/last; stat -c %a a/in/setuid; ls a; "
		       "find . -perm /6000 -o -type c | grep -v .exeat; "
		       "find . -samefile a/kept; stat -c %h /etc/passwd",
		       0),
		"text\n755\nin\nkept\n./a/kept\n1\n");
	assert_int_equal(api_entries(outside), 0);
	assert_int_equal(rmdir(outside), 0);
}

static void broken(void **state)
{
	static const char gz[BLOCK] = "\x1f\x8b\x08";
	char text[BLOCK];
	int fd = nameless();

	(void)state;
	put_fails("e", fd, EXEAT_INVALID, "archive"); /* nothing at all */
	memset(text, 'x', sizeof(text));
	assert_int_equal(write(fd, text, BLOCK), BLOCK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	put_fails("e", fd, EXEAT_INVALID, "archive");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(write(fd, gz, BLOCK), BLOCK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	put_fails("e", fd, EXEAT_INVALID, "archive");
	/* it says more than there is */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	add(fd, '0', "f", "", 0644, 1 << 20);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	put_fails("e", fd, EXEAT_INVALID, "archive");
	(void)close(fd);
}

/* ---- arguments, and what a machine lacks ---- */

static void bad_arguments(void **state)
{
	int ends[2], fd = nameless(), dir = open("/", O_RDONLY | O_CLOEXEC);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	put_fails("a", -1, EXEAT_INVALID, "fd");
	put_fails("a", dir, EXEAT_INVALID, "fd");
	put_fails("a", full, EXEAT_INVALID, "fd");
	assert_true(exeat_get_tar(session, "", null, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "fd", "writing");
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	put_fails("a", ends[0], EXEAT_INVALID, "O_NONBLOCK");
	put_fails(NULL, fd, EXEAT_INVALID, "path");
	put_fails("../a", fd, EXEAT_INVALID, "path");
	put_fails("a\377", fd, EXEAT_INVALID, "UTF-8");
	(void)api_sh(session,
		     "ln -s /tmp link; echo > file; mkdir shut; "
		     "echo x > shut/f; chmod 0 shut/f",
		     0);
	put_fails("link", fd, EXEAT_INVALID, "link");
	put_fails("link/x", fd, EXEAT_INVALID, "link");
	put_fails("file", fd, EXEAT_CONFLICT, "file");
	assert_true(exeat_get_tar(session, "none", fd, &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "none", "");
	assert_true(exeat_get_tar(session, "shut", fd, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "shut", "Permission");
	assert_true(exeat_get_tar(session, "", full, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "No space", "");
	/* whoever was to read it is gone */
	(void)close(ends[0]);
	assert_true(exeat_get_tar(session, "", ends[1], &error) < 0);
	api_expect(&error, EXEAT_INVALID, "fd", "nobody");
	(void)close(ends[1]);
	(void)close(fd);
	(void)close(dir);
	(void)close(full);
	(void)close(null);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
}

/* A payload's own tar is not the one that gets the caller's descriptor. */
static void not_the_payloads(void **state)
{
	int fd;

	(void)state;
	(void)api_sh(session,
		     "mkdir -p \"$HOME/.local/bin\" .exeat/venv/bin a; "
		     "for d in \"$HOME/.local/bin\" .exeat/venv/bin; do "
		     "printf '#!/bin/sh\\necho mine; touch \"%s/ran\"\\n' "
		     "\"$PWD\" > $d/tar; chmod 755 $d/tar; done; tar x",
		     0);
	assert_string_equal(api_sh(session, "ls; rm ran", 0), "a\nran\n");
	fd = get_tar("a");
	put_tar("b", fd);
	(void)close(fd);
	assert_string_equal(api_sh(session, "ls", 0), "a\nb\n");
}

/* In another's place, as it is in view: a tar with fewer options. */
static void with_another_tar(void)
{
	static const char text[] =
		"#!/bin/sh\ncase \"$*\" in *--exclude*) echo \"tar: "
		"unrecognized option '--exclude=./.exeat'\" >&2; exit 1;; "
		"esac\necho packed\n";
	char tar[PATH_MAX], dir[4200], path[4300];
	int fd = nameless(), out;

	(void)snprintf(dir, sizeof(dir), "%s/small", api_dir);
	(void)snprintf(path, sizeof(path), "%s/tar", dir);
	assert_int_equal(mkdir(dir, 0711), 0);
	assert_non_null(realpath("/usr/bin/tar", tar));
	api_small_disk(dir);
	out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(write(out, text, strlen(text)), strlen(text));
	(void)close(out);
	assert_int_equal(mount(path, tar, NULL, MS_BIND, NULL), 0);
	session = api_open(NULL);
	assert_true(exeat_get_tar(session, "", fd, &error) < 0);
	api_expect(&error, EXEAT_UNAVAILABLE, "--exclude", "GNU tar");
	(void)api_sh(session, "mkdir a", 0);
	assert_int_equal(exeat_get_tar(session, "a", fd, &error), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), strlen("packed\n"));
	exeat_session_close(session);
}

static void another_tar(void **state)
{
	(void)state;
	api_in_a_child(with_another_tar);
}

static void in_callback(void *user_data, struct exeat_run *run)
{
	(void)run;
	*(int *)user_data = exeat_get_tar(session, "", STDOUT_FILENO, &error);
}

static void from_a_callback(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	int r = 0;

	(void)state;
	o.command = "true";
	o.on_exit = in_callback;
	o.user_data = &r;
	run = api_start(session, &o);
	(void)api_wait(run);
	assert_int_equal(r, -EBUSY);
	api_expect(&error, EXEAT_CONFLICT, "callback", "");
	exeat_run_free(run);
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

static const struct CMUnitTest tests[] = {
	WITH_SESSION(there_and_back),  WITH_SESSION(streams),
	WITH_SESSION(hostile),	       WITH_SESSION(broken),
	WITH_SESSION(bad_arguments),   WITH_SESSION(not_the_payloads),
	WITH_SESSION(from_a_callback), WITH_SESSION(long_names),
	WITH_SESSION(empty),	       cmocka_unit_test(another_tar),
};

API_MAIN("tar", tests)
