/* api.c - what the tests of the public interface share
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 60000, TURN_MS = 5 };

char api_helper[4096], api_dir[4096];
static char helper_name[16];

int64_t api_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- sessions and runs ---- */

static void fail_with(const char *what, const struct exeat_error *error)
{
	char text[1024];

	fail_msg("%s: %s", what, exeat_error_text(error, text, sizeof(text)));
}

struct exeat_session *api_open(const struct exeat_session_options *options)
{
	struct exeat_session *session = NULL;
	struct exeat_error error = { 0 };

	if (exeat_session_open(options ? options : &SESSION_OPTIONS, &session,
			       &error) < 0)
		fail_with("open", &error);
	return session;
}

struct exeat_run *api_start(struct exeat_session *session,
			    const struct exeat_run_options *options)
{
	struct exeat_run *run = NULL;
	struct exeat_error error = { 0 };

	if (exeat_run_start(session, options, &run, &error) < 0)
		fail_with("start", &error);
	return run;
}

const struct exeat_result *api_wait(struct exeat_run *run)
{
	struct exeat_error error = { 0 };
	int r = exeat_run_wait(run, WAIT_MS, &error);

	if (r < 0)
		fail_with("wait", &error);
	assert_int_equal(r, 1);
	return exeat_run_result(run);
}

const char *api_exec(struct exeat_session *session,
		     const struct exeat_run_options *options, int status)
{
	static char *out;
	char *errors = NULL;
	struct exeat_run *run = NULL;
	struct exeat_error error = { 0 };

	free(out);
	out = NULL;
	if (exeat_exec(session, options, &run, &out, NULL, &errors, NULL,
		       &error) < 0)
		fail_with("exec", &error);
	if (exeat_run_result(run)->returncode != status)
		fail_msg("status %d, not %d: %s%s%s",
			 exeat_run_result(run)->returncode, status,
			 exeat_run_result(run)->start_error, out, errors);
	free(errors);
	exeat_run_free(run);
	return out;
}

const char *api_sh(struct exeat_session *session, const char *command,
		   int status)
{
	struct exeat_run_options o = RUN_OPTIONS;

	o.command = command;
	return api_exec(session, &o, status);
}

void api_expect(const struct exeat_error *error, enum exeat_code code,
		const char *text, const char *more)
{
	char line[1024];

	(void)exeat_error_text(error, line, sizeof(line));
	if (error->code != code || !strstr(line, text) || !strstr(line, more))
		fail_msg("expected %s with \"%s\" and \"%s\", got %s: %s",
			 exeat_code_name(code), text, more,
			 exeat_code_name(error->code), line);
}

/* ---- processes ---- */

/* A small file of /proc; zero bytes become spaces. */
static bool read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] == '\0')
			buf[i] = ' ';
	buf[n] = '\0';
	return true;
}

static pid_t pid_of(const char *name)
{
	pid_t pid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		pid = pid * 10 + (*name - '0');
	return *name == '\0' ? pid : 0;
}

static bool is_zombie(pid_t pid)
{
	char stat[512];
	const char *state;

	if (!read_proc(pid, "stat", stat, sizeof(stat)))
		return true;
	state = strrchr(stat, ')');
	return state && state[1] == ' ' && state[2] == 'Z';
}

/* Field 22 of proc_pid_stat(5); pids begin anew when they are used up. */
static unsigned long long started(pid_t pid)
{
	char stat[1024], *at;
	unsigned long long ticks = 0;

	if (!read_proc(pid, "stat", stat, sizeof(stat)))
		return 0;
	at = strrchr(stat, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	for (at = at ? at + 1 : at; at && *at >= '0' && *at <= '9'; at++)
		ticks = ticks * 10 + (unsigned)(*at - '0');
	return ticks;
}

static bool is_older(pid_t a, pid_t b)
{
	const unsigned long long when_a = started(a), when_b = started(b);

	return when_a < when_b || (when_a == when_b && a < b);
}

/* Pid 1 of a namespace right below ours: what was started forks it, and it
 * forks what is pid 1 of one further below. */
static bool is_the_helper(pid_t pid)
{
	static const char key[] = "\nNSpid:\t";
	char status[4096], *at;

	if (!read_proc(pid, "status", status, sizeof(status)))
		return false;
	at = strstr(status, key);
	if (!at)
		return false;
	at += sizeof(key) - 1;
	at[strcspn(at, "\n")] = '\0';
	at = strchr(at, '\t');
	return at && strcmp(at, "\t1") == 0;
}

static bool comes_first(pid_t a, pid_t b, bool helper)
{
	if (helper && is_the_helper(a) != is_the_helper(b))
		return is_the_helper(a);
	return is_older(a, b);
}

/* The number of living processes that match, and the first of them: the
 * oldest, or (more) the one that is the helper. */
static unsigned scan(const char *file, const char *text, const char *more,
		     pid_t *ret_first)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = pid_of(entry->d_name);
		char buf[4096];

		if (pid <= 0 || pid == getpid() ||
		    !read_proc(pid, file, buf, sizeof(buf)) ||
		    !strstr(buf, text) || is_zombie(pid))
			continue;
		if (more && (!read_proc(pid, "cmdline", buf, sizeof(buf)) ||
			     !strstr(buf, more)))
			continue;
		n++;
		if (ret_first && (*ret_first == 0 ||
				  comes_first(pid, *ret_first, more != NULL)))
			*ret_first = pid;
	}
	(void)closedir(proc);
	return n;
}

/* Twice before it is nobody: pids are listed first and looked at later, so
 * that one which forks and ends in between is not seen, nor is its child. */
static unsigned find(const char *file, const char *text, const char *more,
		     pid_t *ret_first)
{
	unsigned n = scan(file, text, more, ret_first);

	return n > 0 ? n : scan(file, text, more, ret_first);
}

unsigned api_helpers(void)
{
	return find("comm", helper_name, NULL, NULL);
}

pid_t api_helper_pid(const char *mode)
{
	pid_t first = 0;

	(void)find("comm", helper_name, mode, &first);
	return first;
}

unsigned api_processes(const char *text)
{
	return find("cmdline", text, NULL, NULL);
}

pid_t api_process(const char *text)
{
	pid_t first = 0;

	(void)find("cmdline", text, NULL, &first);
	return first;
}

pid_t api_parent(pid_t pid)
{
	static const char key[] = "\nPPid:\t";
	char status[4096], *at;

	if (!read_proc(pid, "status", status, sizeof(status)))
		return 0;
	at = strstr(status, key);
	if (!at)
		return 0;
	at += sizeof(key) - 1;
	at[strcspn(at, "\n")] = '\0';
	return pid_of(at);
}

bool api_becomes_zero(unsigned (*question)(const char *arg), const char *arg,
		      int ms)
{
	/* in turns: when one lasts longer, the machine is busy with others */
	for (int turns = ms / TURN_MS; question(arg) != 0; turns--) {
		if (turns <= 0)
			return false;
		(void)poll(NULL, 0, TURN_MS);
	}
	return true;
}

static unsigned helpers(const char *unused)
{
	(void)unused;
	return api_helpers();
}

bool api_helpers_go(int ms)
{
	return api_becomes_zero(helpers, NULL, ms);
}

/* ---- files and descriptors ---- */

unsigned api_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	if (dir)
		(void)closedir(dir);
	return n;
}

unsigned api_work_dirs(void)
{
	char path[sizeof(api_dir) + 32];

	(void)snprintf(path, sizeof(path), "%s/exeat-%u", api_dir, geteuid());
	return api_entries(path);
}

unsigned api_fds(void)
{
	return api_entries("/proc/self/fd");
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

void api_small_disk(const char *path)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
	write_text("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
	assert_int_equal(mount("small", path, "tmpfs", 0, "size=2m,mode=711"),
			 0);
}

/* ---- the program ---- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static bool link_helper(const char *helper, const char *suffix)
{
	char from[sizeof(api_helper)], to[sizeof(api_helper)];

	(void)snprintf(from, sizeof(from), "%.4000s%s", helper, suffix);
	(void)snprintf(to, sizeof(to), "%.4000s%s", api_helper, suffix);
	return symlink(from, to) == 0;
}

static bool make_place(void)
{
	const char *tmp = getenv("TMPDIR"), *helper = getenv("EXEAT_HELPER");

	if (!helper) {
		(void)fprintf(stderr, "EXEAT_HELPER is not set\n");
		return false;
	}
	(void)snprintf(api_dir, sizeof(api_dir), "%s/exeat-api-XXXXXX",
		       tmp ? tmp : "/tmp");
	if (!mkdtemp(api_dir))
		return false;
	/* the payload of root is somebody else */
	(void)chmod(api_dir, 0711);
	(void)setenv("TMPDIR", api_dir, 1);
	(void)snprintf(helper_name, sizeof(helper_name), "x%07d", getpid());
	(void)snprintf(api_helper, sizeof(api_helper), "%.4000s/%s", api_dir,
		       helper_name);
	return link_helper(helper, "") && link_helper(helper, "-tls");
}

void api_signal(int number, void (*handler)(int number))
{
	const struct sigaction action = { .sa_handler = handler };

	(void)sigaction(number, &action, NULL);
}

int api_main(const char *name, const struct CMUnitTest *tests, size_t n)
{
	int failed;

	if (!make_place()) {
		perror("place for the tests");
		return 1;
	}
	failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	(void)nftw(api_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return failed;
}

const char *api_kept_dir(void)
{
	static char dir[sizeof(api_dir) + 16];
	static unsigned n;

	(void)snprintf(dir, sizeof(dir), "%s/kept-%u", api_dir, n++);
	assert_int_equal(mkdir(dir, 0755), 0);
	if (geteuid() == 0 && chown(dir, 65534, 65534) < 0)
		assert_int_equal(chmod(dir, 0755), 0); /* one id: ours */
	return dir;
}

int api_use_files(struct exeat_session *session, struct exeat_error *error)
{
	struct exeat_file *list = NULL;
	void *data = NULL;
	size_t n;
	int r = exeat_put_bytes(session, "a/b/c", "abc", 3, 0, error);

	if (r == 0)
		r = exeat_get_bytes(session, "a/b/c", 3, &data, &n, error);
	if (r == 0)
		r = exeat_list_files(session, "a/b", &list, &n, error);
	if (r == 0)
		r = exeat_remove_file(session, "a", 1, error);
	free(data);
	free(list);
	return r;
}

bool api_lease(struct exeat_session *session, struct exeat_run **ret)
{
	struct exeat_run_options o = RUN_OPTIONS;
	char line[16] = "";

	o.script = "import fcntl, os, signal\n"
		   "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
		   "f = os.open('f', os.O_RDWR | os.O_CREAT)\n"
		   "os.write(f, b'x')\n"
		   "try: fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
		   "except OSError: print('none', flush=True)\n"
		   "else: print('held', flush=True)\n"
		   "while True: signal.pause()\n";
	o.script_type = "python";
	*ret = api_start(session, &o);
	assert_true(exeat_run_read_line(*ret, EXEAT_STDOUT, line, sizeof(line),
					60000, NULL) > 0);
	return strcmp(line, "held\n") == 0;
}

void api_in_a_child(void (*test)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* a failure must not go on with the other tests */
		(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}
