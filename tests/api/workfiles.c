/* workfiles.c - files of the work dir, put, got, listed, removed
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "api.h"

enum { BIG = 300000, MAX = 1 << 20 };

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

static void put(const char *path, const char *text)
{
	assert_int_equal(exeat_put_bytes(session, path, text, strlen(text), 0,
					 &error),
			 0);
}

static void gives(const char *path, const char *text)
{
	void *data;
	size_t len;

	assert_int_equal(
		exeat_get_bytes(session, path, MAX, &data, &len, &error), 0);
	assert_int_equal(len, strlen(text));
	assert_string_equal(data, text);
	free(data);
}

static void put_fails(const char *path, enum exeat_code code)
{
	assert_true(exeat_put_bytes(session, path, "x", 1, 0, &error) < 0);
	api_expect(&error, code, "", "");
}

static void get_fails(const char *path, enum exeat_code code)
{
	void *data = NULL;
	size_t len;

	assert_true(exeat_get_bytes(session, path, MAX, &data, &len, &error) <
		    0);
	api_expect(&error, code, "", "");
	assert_null(data);
}

/* ---- in and out ---- */

static void there_and_back(void **state)
{
	char absolute[8192], *big = malloc(BIG);
	void *data;
	size_t len;

	(void)state;
	put("plain", "text\n");
	assert_string_equal(api_sh(session, "cat plain; stat -c %a plain", 0),
			    "text\n644\n");
	put("plain", "");
	gives("plain", "");
	put("a/./b//c", "deep");
	assert_string_equal(api_sh(session, "cat a/b/c; stat -c %a a/b", 0),
			    "deep755\n");
	(void)snprintf(absolute, sizeof(absolute), "%s/a/b/c",
		       exeat_session_work_dir(session));
	gives(absolute, "deep");
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 31 >> 5);
	assert_int_equal(exeat_put_bytes(session, "big", big, BIG, 0750, NULL),
			 0);
	assert_int_equal(
		exeat_get_bytes(session, "big", BIG, &data, &len, NULL), 0);
	assert_int_equal(len, BIG);
	assert_memory_equal(data, big, BIG);
	free(data);
	assert_true(exeat_get_bytes(session, "big", BIG - 1, &data, &len,
				    &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "max_bytes", "");
	free(big);
	/* it is the payload's: it may change it, run it, remove it */
	assert_string_equal(
		api_sh(session,
		       "stat -c %a big; test -O big; echo x >> plain; "
		       "cat plain; rm -r a big; ls",
		       0),
		"750\nx\nplain\n");
	get_fails("big", EXEAT_NOT_FOUND);
	assert_int_equal(
		exeat_get_bytes(session, "plain", 2, &data, &len, NULL), 0);
	free(data);
}

/* Whoever reads it meanwhile has one of the two, whole. */
static void never_half(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char *a = malloc(BIG), *b = malloc(BIG);
	struct exeat_run *run;

	(void)state;
	memset(a, 'a', BIG);
	memset(b, 'b', BIG);
	assert_int_equal(exeat_put_bytes(session, "f", a, BIG, 0, NULL), 0);
	o.script = "import os\n"
		   "n = 0\n"
		   "while not os.path.exists('stop'):\n"
		   "    t = open('f').read()\n"
		   "    assert t in ('a' * 300000, 'b' * 300000), len(t)\n"
		   "    n += 1\n"
		   "    if n == 20: print('many', flush=True)\n";
	o.script_type = "python";
	run = api_start(session, &o);
	for (int i = 0; i < 100; i++)
		assert_int_equal(exeat_put_bytes(session, "f", i % 2 ? a : b,
						 BIG, 0, NULL),
				 0);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, a, 4, 20000, NULL) > 0);
	put("stop", "");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
	free(a);
	free(b);
}

/* ---- paths that lead elsewhere ---- */

static void paths(void **state)
{
	static const char *const bad[] = {
		"..",	  "../x",	  "a/../x",   "/etc/hostname",
		"/",	  "link/x",	  "a/link/x", "dangling/x",
		"loop/x", "work/../../x",
	};
	char *next, *path;

	(void)state;
	(void)api_sh(session,
		     "mkdir a; ln -s /etc link; ln -s / a/link; "
		     "ln -s nowhere dangling; ln -s loop loop; ln -s . work; "
		     "ln -s /etc/hostname final; mkfifo fifo",
		     0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_fails(bad[i], EXEAT_INVALID);
		get_fails(bad[i], EXEAT_INVALID);
	}
	get_fails("final", EXEAT_INVALID);
	put_fails("", EXEAT_INVALID);
	put_fails("./", EXEAT_INVALID);
	get_fails("a", EXEAT_CONFLICT);
	get_fails("", EXEAT_CONFLICT);
	get_fails("fifo", EXEAT_CONFLICT);
	put_fails("a", EXEAT_CONFLICT);
	put_fails("fifo/x", EXEAT_CONFLICT);
	assert_true(exeat_put_bytes(session, NULL, "", 0, 0, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "path", "");
	assert_true(exeat_put_bytes(session, "x", "", 0, 04755, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "mode", "");
	/* a folder beside the work dir whose name begins alike */
	assert_true(asprintf(&path, "%sx/f", exeat_session_work_dir(session)) >
		    0);
	put_fails(path, EXEAT_INVALID);
	free(path);
	/* a link that is to be replaced is not followed: it goes */
	put("final", "mine");
	gives("final", "mine");
	next = strdup(api_sh(session, "cat /etc/hostname", 0));
	assert_string_not_equal(next, "mine");
	free(next);
	put("a \n", "odd");
	gives("a \n", "odd");
	assert_true(exeat_put_bytes(session, "b\377/x", "", 0, 0, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "path", "UTF-8");
	assert_true(exeat_put_bytes(session, "x", NULL, 1, 0, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "data", "");
}

/* Whichever component of a path is a link, for every way in. */
static void every_component(void **state)
{
	static const char *const at[] = { "a", "a/b", "a/b/c", "a/b/c/d" };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char *outside, command[4400];
	struct exeat_file *files;
	void *data;
	size_t n;

	(void)state;
	assert_true(null >= 0);
	assert_true(asprintf(&outside, "%s/real", api_dir) > 0);
	assert_int_equal(mkdir(outside, 0777), 0);
	assert_int_equal(chmod(outside, 0777), 0);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		/* to a folder outside, and to the one that was there */
		for (int in = 0; in < 2; in++) {
			(void)snprintf(command, sizeof(command),
				       "rm -rf a real; mkdir -p a/b/c/d; "
				       "echo x > a/b/c/d/f; mv %s real; "
				       "ln -s %s %s",
				       at[i], in ? "$PWD/real" : outside,
				       at[i]);
			(void)api_sh(session, command, 0);
			put_fails("a/b/c/d/f", EXEAT_INVALID);
			put_fails("a/b/c/d/new/f", EXEAT_INVALID);
			get_fails("a/b/c/d/f", EXEAT_INVALID);
			assert_true(exeat_stat_file(session, "a/b/c/d/f",
						    &(struct exeat_file){ 0 },
						    &error) < 0);
			api_expect(&error, EXEAT_INVALID, "link", "");
			assert_true(exeat_list_files(session, "a/b/c/d", &files,
						     &n, &error) < 0);
			api_expect(&error, EXEAT_INVALID, "link", "");
			assert_true(exeat_remove_file(session, "a/b/c/d/f", 1,
						      &error) < 0);
			api_expect(&error, EXEAT_INVALID, "link", "");
			assert_true(exeat_put_tar(session, "a/b/c/d/x", null,
						  &error) < 0);
			api_expect(&error, EXEAT_INVALID, "link", "");
			assert_true(exeat_get_tar(session, "a/b/c/d", null,
						  &error) < 0);
			api_expect(&error, EXEAT_INVALID, "link", "");
			/* the link itself can be looked at, and removed */
			assert_int_equal(exeat_remove_file(session, at[i], 1,
							   &error),
					 0);
			assert_int_equal(api_entries(outside), 0);
		}
	}
	assert_int_equal(
		exeat_get_bytes(session, "real/f", MAX, &data, &n, &error), 0);
	free(data);
	assert_int_equal(rmdir(outside), 0);
	free(outside);
	(void)close(null);
}

/* ---- what is no file, or does not stay as it is ---- */

static void no_files(void **state)
{
	struct exeat_session_options so = SESSION_OPTIONS;
	struct exeat_session *of;
	struct exeat_file file;
	void *data;
	size_t len;

	(void)state;
	so.work_dir_sockets = 1;
	of = api_open(&so);
	(void)api_sh(of,
		     "mkfifo fifo && python3 -c \"import socket; "
		     "socket.socket(socket.AF_UNIX).bind('sock')\"",
		     0);
	assert_true(exeat_get_bytes(of, "fifo", MAX, &data, &len, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "fifo", "not a file");
	assert_true(exeat_get_bytes(of, "sock", MAX, &data, &len, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "sock", "not a file");
	assert_int_equal(exeat_stat_file(of, "sock", &file, &error), 0);
	assert_int_equal(file.kind, EXEAT_FILE_OTHER);
	/* replaced, not written to; removed, not opened */
	assert_int_equal(exeat_put_bytes(of, "fifo", "x", 1, 0, &error), 0);
	assert_int_equal(exeat_put_bytes(of, "sock", "x", 1, 0, &error), 0);
	assert_string_equal(
		api_sh(of, "cat fifo sock; rm fifo sock; mkfifo fifo", 0),
		"xx");
	assert_int_equal(exeat_remove_file(of, "fifo", 0, &error), 0);
	exeat_session_close(of);
}

/* A device can come only by the host's root; it is not opened. */
static void devices(void **state)
{
	char path[8192];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/zero",
		       exeat_session_work_dir(session));
	if (mknod(path, S_IFCHR | 0666, makedev(1, 5)) < 0)
		skip();
	get_fails("zero", EXEAT_CONFLICT);
	put("zero", "file");
	gives("zero", "file");
}

/* While it is read it grows without end; there is an end of it, or a limit. */
static void growing(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	unsigned limited = 0;
	struct exeat_run *run;
	void *data;
	size_t len;

	(void)state;
	o.script = "import os\n"
		   "f = os.open('f', os.O_WRONLY | os.O_CREAT)\n"
		   "n = 0\n"
		   "while not os.path.exists('stop'):\n"
		   "    os.write(f, b'x' * 4096)\n"
		   "    n += 1\n"
		   "    if n == 10: print('go', flush=True)\n"
		   "    if n % 512 == 0:\n"
		   "        os.ftruncate(f, 0); os.lseek(f, 0, 0)\n";
	o.script_type = "python";
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 4, 60000,
				   NULL) > 0);
	for (int i = 0; i < 300; i++) {
		if (exeat_get_bytes(session, "f", MAX, &data, &len, &error) <
		    0) {
			api_expect(&error, EXEAT_LIMIT, "max_bytes", "");
			limited++;
			continue;
		}
		assert_true(len <= MAX);
		assert_int_equal(((char *)data)[len], '\0');
		free(data);
	}
	print_message("over the limit: %u of 300\n", limited);
	put("stop", "");
	assert_int_equal(api_wait(run)->returncode, 0);
	exeat_run_free(run);
}

static void limits(void **state)
{
	void *data = NULL;
	size_t len;

	(void)state;
	put("f", "12345");
	assert_true(exeat_get_bytes(session, "f", SIZE_MAX, &data, &len,
				    &error) < 0);
	api_expect(&error, EXEAT_INVALID, "max_bytes", "");
	assert_null(data);
	/* as much room as the file takes, not as might be */
	assert_int_equal(exeat_get_bytes(session, "f", SIZE_MAX / 2 - 1, &data,
					 &len, &error),
			 0);
	assert_int_equal(len, 5);
	free(data);
	assert_true(exeat_get_bytes(session, "f", 0, &data, &len, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "max_bytes", "");
	put("none", "");
	assert_int_equal(
		exeat_get_bytes(session, "none", 0, &data, &len, &error), 0);
	assert_int_equal(len, 0);
	free(data);
}

/* A payload that changes folders for links as fast as it can. */
static void a_race(void **state)
{
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run;
	int64_t end = api_ms() + 30000;
	unsigned done = 0;
	char *outside;
	void *data;
	size_t len;

	(void)state;
	assert_true(asprintf(&outside, "%s/outside", api_dir) > 0);
	assert_int_equal(mkdir(outside, 0777), 0);
	assert_int_equal(chmod(outside, 0777), 0);
	put("target", outside);
	o.script = "import os\n"
		   "to = open('target').read()\n"
		   "os.mkdir('d'); print('go', flush=True)\n"
		   "while True:\n"
		   "    os.rename('d', 'e'); os.symlink(to, 'd')\n"
		   "    os.unlink('d'); os.rename('e', 'd')\n";
	o.script_type = "python";
	run = api_start(session, &o);
	assert_true(exeat_run_read(run, EXEAT_STDOUT, (char[4]){ 0 }, 4, 20000,
				   NULL) > 0);
	/* all of them may fall into one turn of the other's */
	for (int i = 0; i < 1000 || (done == 0 && api_ms() < end); i++) {
		done += exeat_put_bytes(session, "d/f", "x", 1, 0, NULL) == 0;
		if (exeat_get_bytes(session, "d/f", MAX, &data, &len, NULL) ==
		    0)
			free(data);
		(void)exeat_remove_file(session, "d/f", 0, NULL);
	}
	assert_true(done > 0);
	exeat_run_free(run);
	assert_int_equal(api_entries(outside), 0);
	assert_int_equal(rmdir(outside), 0);
	free(outside);
}

/* What root could read and the payload could not, by a link of the payload. */
static void of_others(void **state)
{
	char path[8192];
	int fd;

	(void)state;
	if (geteuid() != 0)
		return; /* an ordinary caller has the payload's rights */
	(void)snprintf(path, sizeof(path), "%s/secret",
		       exeat_session_work_dir(session));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	if (api_sh(session, "test -r secret && echo yes || echo no", 0)[0] ==
	    'y')
		return; /* root of one id: the payload is the same */
	get_fails("secret", EXEAT_CONFLICT);
	assert_int_equal(chmod(path, 0644), 0);
	gives("secret", "");
}

/* ---- what is there ---- */

static void listed(void **state)
{
	struct exeat_file *files, file;
	size_t n;

	(void)state;
	put("dir/b", "12345");
	(void)api_sh(session,
		     "cd dir; ln -s b a; mkdir c; mkfifo d; chmod 640 b", 0);
	assert_int_equal(exeat_list_files(session, "dir", &files, &n, NULL), 0);
	assert_int_equal(n, 4);
	assert_string_equal(files[0].name, "a");
	assert_int_equal(files[0].kind, EXEAT_FILE_SYMLINK);
	assert_string_equal(files[1].name, "b");
	assert_int_equal(files[1].kind, EXEAT_FILE_REGULAR);
	assert_int_equal(files[1].size, 5);
	assert_int_equal(files[1].mode, 0640);
	assert_true(files[1].mtime > 1e9);
	assert_int_equal(files[2].kind, EXEAT_FILE_DIRECTORY);
	assert_int_equal(files[3].kind, EXEAT_FILE_OTHER);
	free(files);
	(void)api_sh(session, "mkdir many; cd many; seq -w 5000 | xargs touch",
		     0);
	assert_int_equal(exeat_list_files(session, "many", &files, &n, NULL),
			 0);
	assert_int_equal(n, 5000);
	assert_string_equal(files[0].name, "0001");
	assert_string_equal(files[4999].name, "5000");
	free(files);
	assert_int_equal(exeat_list_files(session, "dir/c", &files, &n, NULL),
			 0);
	assert_int_equal(n, 0);
	free(files);
	assert_true(exeat_list_files(session, "dir/b", &files, &n, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "", "");
	assert_true(exeat_list_files(session, "dir/a", &files, &n, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "link", "");

	assert_int_equal(exeat_stat_file(session, "dir/a", &file, NULL), 0);
	assert_int_equal(file.kind, EXEAT_FILE_SYMLINK);
	assert_int_equal(exeat_stat_file(session, "", &file, NULL), 0);
	assert_int_equal(file.kind, EXEAT_FILE_DIRECTORY);
	assert_true(exeat_stat_file(session, "dir/x", &file, &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "", "");
}

/* A name of a payload's need not be text, nor are there few of them. */
static void odd_and_many(void **state)
{
	enum { MANY = 20000 };
	struct exeat_file *files;
	struct exeat_file file;
	size_t n;

	(void)state;
	(void)api_sh(session,
		     "mkdir d; cd d; printf x > \"$(printf '\\377\\nb')\"", 0);
	assert_int_equal(exeat_list_files(session, "d", &files, &n, &error), 0);
	assert_int_equal(n, 1);
	assert_string_equal(files[0].name, "\377\nb");
	free(files);
	gives("d/\377\nb", "x");
	assert_int_equal(exeat_stat_file(session, "d/\377\nb", &file, &error),
			 0);
	assert_int_equal(exeat_remove_file(session, "d/\377\nb", 0, &error), 0);
	(void)api_sh(session, "cd d; seq -w 20000 | xargs touch", 0);
	assert_int_equal(exeat_list_files(session, "d", &files, &n, &error), 0);
	assert_int_equal(n, MANY);
	assert_string_equal(files[MANY - 1].name, "20000");
	free(files);
	assert_int_equal(exeat_remove_file(session, "d", 1, &error), 0);
}

/* Who has a lease on a file is told when it is opened, and waited for. */
static void leased(void **state)
{
	struct exeat_run *run;

	(void)state;
	if (api_lease(session, &run))
		get_fails("f", EXEAT_CONFLICT);
	put("f", "another");
	gives("f", "another");
	exeat_run_free(run);
}

/* Nothing but what was put is there, neither after a failure. */
static void no_traces(void **state)
{
	(void)state;
	(void)api_sh(session, "mkdir -p d/sub", 0);
	put("d/f", "1");
	put("d/f", "2");
	put_fails("d/sub", EXEAT_CONFLICT);
	assert_string_equal(api_sh(session, "ls -A d", 0), "f\nsub\n");
}

static void removed(void **state)
{
	(void)state;
	put("dir/sub/f", "");
	(void)api_sh(session, "ln -s / dir/root; chmod 0 dir/sub", 0);
	assert_true(exeat_remove_file(session, "dir", 0, &error) < 0);
	api_expect(&error, EXEAT_CONFLICT, "", "");
	assert_int_equal(exeat_remove_file(session, "dir/root", 1, NULL), 0);
	assert_int_equal(exeat_remove_file(session, "dir", 1, NULL), 0);
	assert_true(exeat_remove_file(session, "dir", 1, &error) < 0);
	api_expect(&error, EXEAT_NOT_FOUND, "", "");
	assert_true(exeat_remove_file(session, "", 1, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "", "");
	put("f", "");
	assert_int_equal(exeat_remove_file(session, "f", 0, NULL), 0);
	assert_string_equal(api_sh(session, "ls; ls / | grep -c usr", 0),
			    "1\n");
}

#define WITH_SESSION(test) \
	cmocka_unit_test_setup_teardown(test, open_session, close_session)

static const struct CMUnitTest tests[] = {
	WITH_SESSION(there_and_back),  WITH_SESSION(never_half),
	WITH_SESSION(paths),	       WITH_SESSION(a_race),
	WITH_SESSION(of_others),       WITH_SESSION(listed),
	WITH_SESSION(removed),	       WITH_SESSION(odd_and_many),
	WITH_SESSION(leased),	       WITH_SESSION(no_traces),
	WITH_SESSION(every_component), WITH_SESSION(no_files),
	WITH_SESSION(devices),	       WITH_SESSION(growing),
	WITH_SESSION(limits),
};

API_MAIN("workfiles", tests)
