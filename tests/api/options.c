/* options.c - arguments that are wrong: which one, and nothing is left behind
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api.h"

enum { IN_PACKET = 16 }; /* descriptors that one message carries */

#define SIZED .size = sizeof(struct exeat_session_options), .audit_fd = -1

/* What the error must say: the code, and two texts of the line. */
struct expected {
	enum exeat_code code;
	const char *text, *more;
};

static const struct {
	struct exeat_session_options o;
	struct expected e;
} session_rows[] = {
	{ { .size = 0 }, { EXEAT_INVALID, "size", "INIT" } },
	{ { .size = sizeof(size_t) + 1 }, { EXEAT_INVALID, "size", "INIT" } },
	{ { .size = 1 << 20 }, { EXEAT_INVALID, "size", "INIT" } },
	{ { SIZED, .backend = "docker" },
	  { EXEAT_INVALID, "backend", "docker" } },
	{ { SIZED, .network_mode = "off" },
	  { EXEAT_INVALID, "network_mode", "off" } },
	{ { SIZED, .network_allowlist = LIST("a.example", "b..example") },
	  { EXEAT_INVALID, "allow[1]", "byte 2" } },
	{ { SIZED, .network_allowlist = LIST("a.example:70000") },
	  { EXEAT_INVALID, "allow[0]", "byte 10" } },
	{ { SIZED, .network_denylist = LIST("!x.example") },
	  { EXEAT_INVALID, "deny[0]", "byte 0" } },
	{ { SIZED, .network_allowlist = LIST("*.com") },
	  { EXEAT_INVALID, "*.com", "+wide" } },
	{ { SIZED, .network_allowlist = LIST("@nonsense") },
	  { EXEAT_INVALID, "@nonsense", "preset" } },
	{ { SIZED, .network_mode = "blocked",
	    .network_allowlist = LIST("a.example") },
	  { EXEAT_INVALID, "network_allowlist", "blocked" } },
	{ { SIZED, .network_mode = "blocked",
	    .network_allowlist = (const char *const[]){ NULL } },
	  { EXEAT_INVALID, "network_allowlist", "blocked" } },
	{ { SIZED, .network_mode = "open",
	    .network_allowlist = LIST("a.example") },
	  { EXEAT_INVALID, "a.example", "" } },
	{ { SIZED, .network_policy = "{\"version\": 1,\n\"network_mode\" 5}" },
	  { EXEAT_INVALID, "policy file", "line 2" } },
	{ { SIZED, .network_policy = "{\"version\": 1, \"colour\": 1}" },
	  { EXEAT_INVALID, "colour", "" } },
	{ { SIZED, .network_policy = "{\"version\": 1}",
	    .network_mode = "open" },
	  { EXEAT_INVALID, "network_policy", "" } },
	{ { SIZED, .network_ceiling = "[]" },
	  { EXEAT_INVALID, "ceiling", "" } },
	{ { SIZED, .network_mode = "open",
	    .network_ceiling =
		    "{\"version\": 1, \"network_mode\": \"blocked\"}" },
	  { EXEAT_POLICY, "network_mode", "open" } },
	{ { SIZED, .network_allowlist = LIST("b.example"),
	    .network_ceiling =
		    "{\"version\": 1, \"network_allowlist\": [\"a.example\"]}" },
	  { EXEAT_POLICY, "network_allowlist", "b.example" } },
	{ { SIZED, .network_allowlist = LIST("a.example"),
	    .max_upload = LIST("a.example=1M", "a.example=lots") },
	  { EXEAT_INVALID, "max_upload a.example=lots", "NAME=SIZE" } },
	{ { SIZED, .network_allowlist = LIST("a.example"),
	    .max_download = LIST("b.example=1M") },
	  { EXEAT_INVALID, "max_download b.example", "allow rule" } },
	{ { SIZED, .network_mode = "blocked",
	    .max_upload = LIST("a.example=1M") },
	  { EXEAT_INVALID, "max_upload a.example", "" } },
	{ { SIZED, .dns_refusal = "drop" },
	  { EXEAT_INVALID, "dns_refusal", "drop" } },
	{ { SIZED, .host_work_dir = "/no/such/dir" },
	  { EXEAT_INVALID, "work dir", "/no/such/dir" } },
	{ { SIZED, .host_work_dir = "/" }, { EXEAT_INVALID, "work dir", "/" } },
	{ { SIZED, .host_work_dir = "/usr/bin" },
	  { EXEAT_INVALID, "work dir", "/usr/bin" } },
	{ { SIZED, .read_write_paths = LIST("/") },
	  { EXEAT_INVALID, "/", "" } },
	{ { SIZED, .read_write_paths = LIST("/proc") },
	  { EXEAT_INVALID, "/proc", "" } },
	{ { SIZED, .read_write_paths = LIST("/sys") },
	  { EXEAT_INVALID, "/sys", "" } },
	{ { SIZED, .read_only_paths = LIST("/proc/self") },
	  { EXEAT_INVALID, "/proc", "" } },
	{ { SIZED, .read_only_paths = LIST("/no/such") },
	  { EXEAT_INVALID, "/no/such", "" } },
	{ { SIZED, .env = LIST("A=1", "NOVALUE") },
	  { EXEAT_INVALID, "env", "NOVALUE" } },
	{ { SIZED, .env = LIST("=x") }, { EXEAT_INVALID, "env", "=x" } },
	{ { SIZED, .env = LIST("A=\xff") }, { EXEAT_INVALID, "env", "UTF-8" } },
	{ { SIZED, .label = "\xc0\x80" }, { EXEAT_INVALID, "label", "UTF-8" } },
	{ { SIZED, .timeout_ms = -1 },
	  { EXEAT_INVALID, "timeout_ms", "negative" } },
	{ { SIZED, .timeout_ms = INT64_MIN },
	  { EXEAT_INVALID, "timeout_ms", "negative" } },
	{ { SIZED, .timeout_ms = INT64_MAX },
	  { EXEAT_INVALID, "timeout_ms", "ten years" } },
	{ { SIZED, .env = LIST("") }, { EXEAT_INVALID, "env", "NAME=VALUE" } },
	{ { SIZED, .env = LIST("\xff=a secret") },
	  { EXEAT_INVALID, "env \\xff: not UTF-8", "" } },
	{ { SIZED, .backend = "" }, { EXEAT_INVALID, "backend", "empty" } },
	{ { SIZED, .host_work_dir = "" },
	  { EXEAT_INVALID, "host_work_dir", "empty" } },
	{ { SIZED, .host_work_dir = "/tmp/\xff" },
	  { EXEAT_INVALID, "host_work_dir", "UTF-8" } },
	{ { SIZED, .host_work_dir = "/usr/../etc" },
	  { EXEAT_INVALID, "/usr/../etc", "refused" } },
	{ { SIZED, .read_only_paths = LIST("/usr", "\xc0\xaf") },
	  { EXEAT_INVALID, "read_only_paths[1]", "UTF-8" } },
	{ { SIZED, .read_write_paths = LIST("") },
	  { EXEAT_INVALID, "read_write_paths[0]", "empty" } },
	{ { SIZED, .governing_files = LIST("/etc/passwd", "\xff") },
	  { EXEAT_INVALID, "governing_files[1]", "UTF-8" } },
	{ { SIZED, .hidden_files = LIST("") },
	  { EXEAT_INVALID, "hidden_files[0]", "empty" } },
	{ { SIZED, .audit_file = "" },
	  { EXEAT_INVALID, "audit_file", "empty" } },
	{ { SIZED, .audit_file = "/tmp/\xff" },
	  { EXEAT_INVALID, "audit_file", "UTF-8" } },
	{ { SIZED, .ca_file = "" }, { EXEAT_INVALID, "ca_file", "empty" } },
	{ { SIZED, .snapshot = "" }, { EXEAT_INVALID, "snapshot", "" } },
	{ { SIZED, .snapshot = "../x" }, { EXEAT_INVALID, "name", "" } },
	{ { SIZED, .snapshot = "a\xff" },
	  { EXEAT_INVALID, "snapshot", "UTF-8" } },
	{ { SIZED, .snapshot_dir = "" },
	  { EXEAT_INVALID, "snapshot_dir", "empty" } },
	{ { SIZED, .user = "" }, { EXEAT_INVALID, "user", "empty" } },
	{ { SIZED, .user = "1\xff" }, { EXEAT_INVALID, "user", "UTF-8" } },
	{ { SIZED, .helper_path = "" },
	  { EXEAT_INVALID, "helper_path", "empty" } },
	{ { SIZED, .upstream_proxy = "" },
	  { EXEAT_INVALID, "upstream_proxy", "empty" } },
	{ { SIZED, .upstream_by = "name" },
	  { EXEAT_INVALID, "upstream_proxy", "" } },
	{ { .size = sizeof(struct exeat_session_options), .audit_fd = -2 },
	  { EXEAT_INVALID, "audit_fd", "descriptor" } },
	{ { .size = sizeof(struct exeat_session_options), .audit_fd = INT_MAX },
	  { EXEAT_INVALID, "audit_fd", "descriptor" } },
	{ { SIZED, .memory_bytes = 1 },
	  { EXEAT_INVALID, "memory_bytes", "1 MiB" } },
	{ { SIZED, .memory_bytes = (1 << 20) - 1 },
	  { EXEAT_INVALID, "memory_bytes", "1 MiB" } },
	{ { SIZED, .memory_bytes = UINT64_MAX },
	  { EXEAT_INVALID, "memory_bytes", "1 PiB" } },
	{ { SIZED, .cpus = 1e300 }, { EXEAT_INVALID, "cpus", "8192" } },
	{ { SIZED, .cpus = -0.5 }, { EXEAT_INVALID, "cpus", "0.01" } },
	{ { SIZED, .pids = UINT64_MAX }, { EXEAT_INVALID, "pids", "" } },
	{ { SIZED, .disk_bytes = 4096 },
	  { EXEAT_INVALID, "disk_bytes", "1 MiB" } },
	{ { SIZED, .disk_bytes = UINT64_MAX },
	  { EXEAT_INVALID, "disk_bytes", "1 PiB" } },
	{ { SIZED, .limits_best_effort = 16 },
	  { EXEAT_INVALID, "limits_best_effort", "" } },
	{ { SIZED, .limits_best_effort = UINT_MAX },
	  { EXEAT_INVALID, "limits_best_effort", "" } },
	{ { SIZED, .user = "root" }, { EXEAT_INVALID, "root", "" } },
	{ { SIZED, .helper_path = "/no/such/helper" },
	  { EXEAT_UNAVAILABLE, "/no/such/helper", "EXEAT_HELPER" } },
};

/* Refused as expected, and as if it had not been tried. */
static void refused(const struct exeat_session_options *o,
		    const struct expected *e)
{
	struct exeat_session *session = (struct exeat_session *)(uintptr_t)o;
	struct exeat_error error = { 0 };
	unsigned fds = api_fds();
	int r = exeat_session_open(o, &session, &error);

	if (r >= 0)
		fail_msg("opened, but expected: %s", e->text);
	api_expect(&error, e->code, e->text, e->more);
	assert_ptr_equal(session, o);
	/* nobody waits for the end of a helper that had begun */
	assert_true(api_helpers_go(1000));
	assert_int_equal(api_work_dirs(), 0);
	assert_int_equal(api_fds(), fds);
}

static void session_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(session_rows) / sizeof(session_rows[0]);
	     i++) {
		struct exeat_session_options o = session_rows[i].o;

		if (!o.helper_path)
			o.helper_path = api_helper;
		refused(&o, &session_rows[i].e);
	}
}

/* ---- paths that depend on the place ---- */

static void bad_places(void **state)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char dir[4200], sub[4300];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/work", api_dir);
	(void)snprintf(sub, sizeof(sub), "%s/sub", dir);
	assert_int_equal(mkdir(dir, 0777), 0);
	assert_int_equal(mkdir(sub, 0777), 0);

	o.host_work_dir = sub;
	o.read_write_paths = LIST(dir);
	refused(&o, &(struct expected){ EXEAT_INVALID, dir, "work dir" });

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.80s/sock", api_dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	o.host_work_dir = NULL;
	o.read_write_paths = LIST(un.sun_path);
	refused(&o, &(struct expected){ EXEAT_INVALID, un.sun_path, "socket" });
	o.read_write_paths = NULL;
	o.host_work_dir = un.sun_path;
	refused(&o, &(struct expected){ EXEAT_INVALID, un.sun_path, "" });
	(void)close(fd);

	/* root reads everything: there it is its payload that must */
	o.host_work_dir = sub;
	assert_int_equal(chmod(sub, 0), 0);
	if (geteuid() != 0)
		refused(&o, &(struct expected){ EXEAT_INVALID, sub, "" });
	(void)chmod(sub, 0700);
}

/* ---- runs ---- */

#define RUN_SIZED .size = sizeof(struct exeat_run_options)
#define TRUE RUN_SIZED, .command = "true"

static void ignore_output(void *user_data, struct exeat_run *run,
			  enum exeat_stream stream, const void *data,
			  size_t len)
{
	(void)user_data;
	(void)run;
	(void)stream;
	(void)data;
	(void)len;
}

static const struct {
	struct exeat_run_options o;
	struct expected e;
} run_rows[] = {
	{ { .size = 1, .command = "true" }, { EXEAT_INVALID, "size", "" } },
	{ { RUN_SIZED }, { EXEAT_INVALID, "command", "exactly one" } },
	{ { TRUE, .script = "true" },
	  { EXEAT_INVALID, "command", "exactly one" } },
	{ { RUN_SIZED, .argv = (const char *const[]){ NULL } },
	  { EXEAT_INVALID, "argv", "empty" } },
	{ { RUN_SIZED, .argv = LIST("") }, { EXEAT_INVALID, "argv", "empty" } },
	{ { RUN_SIZED, .script = "x", .script_type = "perl" },
	  { EXEAT_INVALID, "script_type", "" } },
	{ { TRUE, .network_mode = "maybe" },
	  { EXEAT_INVALID, "network_mode", "maybe" } },
	{ { TRUE, .network_allowlist = LIST("a.example", "[::1") },
	  { EXEAT_INVALID, "allow[1]", "byte" } },
	{ { TRUE, .network_mode = "blocked",
	    .network_allowlist = LIST("a.example") },
	  { EXEAT_INVALID, "network_allowlist", "blocked" } },
	{ { TRUE, .network_allowlist = LIST("@nonsense") },
	  { EXEAT_INVALID, "@nonsense", "" } },
	{ { TRUE, .env = LIST("NOVALUE") },
	  { EXEAT_INVALID, "env", "NOVALUE" } },
	{ { TRUE, .cwd = "" }, { EXEAT_INVALID, "cwd", "" } },
	{ { TRUE, .cwd = ".." }, { EXEAT_INVALID, "cwd", "\"..\"" } },
	{ { TRUE, .cwd = "a/../../b" }, { EXEAT_INVALID, "cwd", "\"..\"" } },
	{ { TRUE, .cwd = "a\xff" }, { EXEAT_INVALID, "cwd", "UTF-8" } },
	{ { RUN_SIZED, .command = "echo \xff" },
	  { EXEAT_INVALID, "command", "UTF-8" } },
	{ { RUN_SIZED, .script = "\xc3(" },
	  { EXEAT_INVALID, "script", "UTF-8" } },
	{ { TRUE, .shell = "/bin/\xe2\x82" },
	  { EXEAT_INVALID, "shell", "UTF-8" } },
	{ { RUN_SIZED, .argv = LIST("echo", "a", "\xed\xa0\x80") },
	  { EXEAT_INVALID, "argv[2]", "UTF-8" } },
	{ { TRUE, .env = LIST("A=\xff") }, { EXEAT_INVALID, "env", "UTF-8" } },
	{ { RUN_SIZED, .command = "" }, { EXEAT_INVALID, "command", "empty" } },
	{ { TRUE, .shell = "" }, { EXEAT_INVALID, "shell", "empty" } },
	{ { RUN_SIZED, .argv = LIST("true"), .shell = "/bin/sh" },
	  { EXEAT_INVALID, "shell", "" } },
	{ { RUN_SIZED, .script = "1", .script_type = "python",
	    .shell = "/bin/sh" },
	  { EXEAT_INVALID, "shell", "" } },
	{ { TRUE, .script_type = "shell" },
	  { EXEAT_INVALID, "script_type", "no script" } },
	{ { TRUE, .env = LIST("=") }, { EXEAT_INVALID, "env", "NAME=VALUE" } },
	{ { TRUE, .env = LIST("") }, { EXEAT_INVALID, "env", "NAME=VALUE" } },
	{ { TRUE, .stdin_bytes = "x", .stdin_len = 1 },
	  { EXEAT_INVALID, "stdin_bytes", "another kind" } },
	{ { TRUE, .pty_rows = 24 }, { EXEAT_INVALID, "pty_rows", "" } },
	{ { TRUE, .pty_cols = 80 }, { EXEAT_INVALID, "pty_cols", "" } },
	{ { TRUE, .memory_bytes = 4096 },
	  { EXEAT_INVALID, "memory_bytes", "1 MiB" } },
	{ { TRUE, .memory_bytes = UINT64_MAX, .limits_best_effort = 1 },
	  { EXEAT_INVALID, "memory_bytes", "1 PiB" } },
	{ { TRUE, .cpus = 8193 }, { EXEAT_INVALID, "cpus", "8192" } },
	{ { TRUE, .pids = (4 << 20) + 1 }, { EXEAT_INVALID, "pids", "" } },
	{ { TRUE, .limits_best_effort = EXEAT_LIMIT_DISK },
	  { EXEAT_INVALID, "limits_best_effort", "" } },
	{ { TRUE, .open_files = 3 }, { EXEAT_INVALID, "open_files", "16" } },
	{ { TRUE, .open_files = UINT64_MAX },
	  { EXEAT_INVALID, "open_files", "hard limit" } },
	{ { TRUE, .timeout_ms = INT64_MIN },
	  { EXEAT_INVALID, "timeout_ms", "negative" } },
	{ { TRUE, .kill_grace_ms = INT64_MIN },
	  { EXEAT_INVALID, "kill_grace_ms", "negative" } },
	{ { TRUE, .idle_timeout_ms = INT64_MIN },
	  { EXEAT_INVALID, "idle_timeout_ms", "negative" } },
	{ { TRUE, .timeout_ms = INT64_MAX },
	  { EXEAT_INVALID, "timeout_ms", "ten years" } },
	{ { TRUE, .kill_grace_ms = INT64_MAX },
	  { EXEAT_INVALID, "kill_grace_ms", "ten years" } },
	{ { TRUE, .idle_timeout_ms = INT64_MAX },
	  { EXEAT_INVALID, "idle_timeout_ms", "ten years" } },
	{ { TRUE, .timeout_ms = -1 }, { EXEAT_INVALID, "timeout_ms", "" } },
	{ { TRUE, .kill_grace_ms = -1 }, { EXEAT_INVALID, "kill_grace", "" } },
	{ { TRUE, .idle_timeout_ms = -1 },
	  { EXEAT_INVALID, "idle_timeout", "" } },
	{ { TRUE, .stdio = { EXEAT_STDIO_CALLBACK },
	    .on_output = ignore_output },
	  { EXEAT_INVALID, "stdio", "callback" } },
	{ { TRUE, .stdio = { 0, EXEAT_STDIO_CALLBACK } },
	  { EXEAT_INVALID, "stdio", "on_output" } },
	{ { TRUE, .stdio = { 0, EXEAT_STDIO_BYTES } },
	  { EXEAT_INVALID, "stdio", "bytes" } },
	{ { TRUE, .stdio = { EXEAT_STDIO_BYTES }, .stdin_len = 1 },
	  { EXEAT_INVALID, "stdin_bytes", "" } },
	{ { TRUE, .stdio = { EXEAT_STDIO_FD }, .stdio_fd = { -1 } },
	  { EXEAT_INVALID, "stdio_fd", "" } },
	{ { TRUE, .stdio = { (enum exeat_stdio) - 1 } },
	  { EXEAT_INVALID, "stdio", "no such kind" } },
	{ { TRUE, .stdio = { 0, (enum exeat_stdio)99 } },
	  { EXEAT_INVALID, "stdio", "no such kind" } },
	{ { TRUE, .stdio = { 0, (enum exeat_stdio)6, (enum exeat_stdio)7 } },
	  { EXEAT_INVALID, "stdio", "" } },
};

static void run_options(void **state)
{
	struct exeat_session *session = api_open(NULL);
	unsigned fds;

	(void)state;
	api_sh(session, "true", 0);
	fds = api_fds();
	for (size_t i = 0; i < sizeof(run_rows) / sizeof(run_rows[0]); i++) {
		struct exeat_run *run = NULL;
		struct exeat_error error = { 0 };

		if (exeat_run_start(session, &run_rows[i].o, &run, &error) >= 0)
			fail_msg("started, but expected: %s",
				 run_rows[i].e.text);
		api_expect(&error, run_rows[i].e.code, run_rows[i].e.text,
			   run_rows[i].e.more);
		assert_null(run);
		assert_int_equal(api_fds(), fds);
	}
	/* none of them has done the session any harm */
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

static void arguments_too_long(void **state)
{
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_error error = { 0 };
	char *text = malloc(5 << 20);
	struct exeat_run *run;

	(void)state;
	memset(text, 'x', 5 << 20);
	text[(5 << 20) - 1] = '\0';
	o.command = text;
	assert_true(exeat_run_start(session, &o, &run, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "command: longer than 128",
		   "in a file of the work dir");
	o.command = NULL;
	o.argv = LIST("true", text);
	assert_true(exeat_run_start(session, &o, &run, &error) < 0);
	api_expect(&error, EXEAT_LIMIT, "argv", "");
	/* what the kernel does not take is the command's failure to start */
	text[200 << 10] = '\0';
	run = api_start(session, &o);
	assert_int_equal(api_wait(run)->returncode, 126);
	exeat_run_free(run);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
	free(text);
}

/* ---- programs of other versions ---- */

/* What a program passes whose header has a struct of `to` bytes. */
static void *resized(const void *options, size_t size, size_t to)
{
	unsigned char *copy = calloc(1, to);

	assert_non_null(copy);
	memcpy(copy, options, size < to ? size : to);
	memcpy(copy, &to, sizeof(to));
	return copy;
}

static void session_sizes(void **state)
{
	static const size_t full = sizeof(struct exeat_session_options);
	static const size_t older[] = {
		sizeof(size_t),
		offsetof(struct exeat_session_options, network_policy),
		offsetof(struct exeat_session_options, helper_path),
	};
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *session;
	unsigned char *mine;

	(void)state;
	(void)setenv("EXEAT_HELPER", api_helper, 1);
	o.helper_path = "/not/looked/at";
	for (size_t i = 0; i < sizeof(older) / sizeof(older[0]); i++) {
		mine = resized(&o, full, older[i]);
		session = api_open((void *)mine);
		assert_string_equal(api_sh(session, "echo old", 0), "old\n");
		exeat_session_close(session);
		free(mine);
	}
	o.helper_path = api_helper;
	mine = resized(&o, full, full + 2 * sizeof(void *));
	session = api_open((void *)mine);
	assert_string_equal(api_sh(session, "echo new", 0), "new\n");
	exeat_session_close(session);
	mine[full + sizeof(void *)] = 1;
	refused((void *)mine,
		&(struct expected){ EXEAT_INVALID, "size", "later version" });
	free(mine);
}

static void run_sizes(void **state)
{
	static const size_t full = sizeof(struct exeat_run_options);
	struct exeat_session *session = api_open(NULL);
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_run *run = NULL;
	struct exeat_error error = { 0 };
	unsigned char *mine;

	(void)state;
	o.command = "echo $0; pwd";
	o.shell = "/bin/bash";
	o.cwd = "/usr";
	mine = resized(&o, full, full + sizeof(void *));
	assert_string_equal(api_exec(session, (void *)mine, 0),
			    "/bin/bash\n/usr\n");
	mine[full] = 1;
	assert_true(exeat_run_start(session, (void *)mine, &run, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "size", "later version");
	free(mine);

	/* neither the shell nor the directory was there yet */
	mine = resized(&o, full, offsetof(struct exeat_run_options, shell));
	assert_string_not_equal(api_exec(session, (void *)mine, 0),
				"/bin/bash\n/usr\n");
	free(mine);

	assert_true(exeat_run_start(session, NULL, &run, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "command", "exactly one");
	assert_null(run);
	exeat_session_close(session);
}

static void policy_sizes(void **state)
{
	static const size_t full = sizeof(struct exeat_policy_options);
	struct exeat_policy_options o = EXEAT_POLICY_OPTIONS_INIT;
	struct exeat_policy *policy = NULL;
	struct exeat_error error = { 0 };
	unsigned char *mine;

	(void)state;
	o.network_allowlist = LIST("a.example");
	o.network_policy = "no policy at all";
	assert_true(exeat_policy_new(&o, &policy, &error) < 0);
	mine = resized(&o, full,
		       offsetof(struct exeat_policy_options, network_policy));
	assert_int_equal(exeat_policy_new((void *)mine, &policy, &error), 0);
	exeat_policy_free(policy);
	free(mine);

	policy = NULL;
	o.network_policy = NULL;
	mine = resized(&o, full, full + sizeof(void *));
	assert_int_equal(exeat_policy_new((void *)mine, &policy, &error), 0);
	exeat_policy_free(policy);
	policy = NULL;
	mine[full + sizeof(void *) - 1] = 1;
	assert_true(exeat_policy_new((void *)mine, &policy, &error) < 0);
	api_expect(&error, EXEAT_INVALID, "size", "later version");
	assert_null(policy);
	free(mine);
}

/* A NULL error, NULL options, NULL to close and free: all allowed. */
static void null_is_allowed(void **state)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct exeat_session *session = NULL;

	(void)state;
	exeat_session_close(NULL);
	exeat_run_free(NULL);
	exeat_policy_free(NULL);
	o.backend = "none at all";
	assert_true(exeat_session_open(&o, &session, NULL) < 0);
	(void)setenv("EXEAT_HELPER", api_helper, 1);
	assert_int_equal(exeat_session_open(NULL, &session, NULL), 0);
	assert_string_equal(exeat_session_backend(session), "userns");
	exeat_session_close(session);
}

/* Too few descriptors, at every point where they may run out. */
static void descriptors_run_out(void **state)
{
	struct exeat_session_options o = SESSION_OPTIONS;
	struct rlimit old, low;
	unsigned fds = api_fds(), opened = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	o.network_mode = "open";
	for (unsigned room = 0; room < 40; room++) {
		struct exeat_run_options ro = RUN_OPTIONS;
		struct exeat_session *session = NULL;
		struct exeat_error error = { 0 };
		struct exeat_run *run = NULL;
		int r;

		low = old;
		low.rlim_cur = fds + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = exeat_session_open(&o, &session, &error);
		if (r == 0) {
			opened++;
			ro.command = "true";
			r = exeat_run_start(session, &ro, &run, &error);
		}
		if (r == 0)
			r = exeat_run_wait(run, 60000, &error);
		exeat_session_close(session);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (r < 0 && error.message[0] == '\0')
			fail_msg("no reason given with %u descriptors", room);
		assert_true(r < 0 || r == 1);
		assert_int_equal(api_fds(), fds);
		assert_true(api_helpers_go(1000));
	}
	/* the row covers both sides of the edge */
	assert_in_range(opened, 1, 39);
	/* without descriptors no tree can be removed: the next session does */
	exeat_session_close(api_open(NULL));
	assert_int_equal(api_work_dirs(), 0);
}

/* Put descriptors on their way in a socket that nobody reads. */
static void descriptors_send(int socket, unsigned packets)
{
	union {
		char buf[CMSG_SPACE(IN_PACKET * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr mh = {
		.msg_iov = &(struct iovec){ control.buf, 1 },
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(IN_PACKET * sizeof(int));
	for (size_t i = 0; i < IN_PACKET; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &socket,
		       sizeof(socket));
	while (packets-- > 0)
		assert_int_equal(sendmsg(socket, &mh, 0), 1);
}

/*
 * The kernel carries no descriptor for a user who has more on the way than the
 * sender may open: here for the keeper, whose limit is the one that the session
 * was opened with. Real root is not bound by it.
 */
static void descriptors_on_the_way(void **state)
{
	struct rlimit old, low;
	struct exeat_run_options o = RUN_OPTIONS;
	struct exeat_session *session;
	struct exeat_error error = { 0 };
	struct exeat_run *run;
	int pair[2], r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3 * IN_PACKET;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	session = api_open(NULL);
	api_sh(session, "true", 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	descriptors_send(pair[0], 8);

	o.command = "true";
	run = api_start(session, &o);
	r = exeat_run_wait(run, 60000, &error);
	if (r < 0)
		api_expect(&error, EXEAT_LIMIT, "command", "");
	else
		assert_int_equal(r, 1);
	exeat_run_free(run);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_string_equal(api_sh(session, "echo fine", 0), "fine\n");
	exeat_session_close(session);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(session_options),
	cmocka_unit_test(bad_places),
	cmocka_unit_test(run_options),
	cmocka_unit_test(arguments_too_long),
	cmocka_unit_test(session_sizes),
	cmocka_unit_test(run_sizes),
	cmocka_unit_test(policy_sizes),
	cmocka_unit_test(null_is_allowed),
	cmocka_unit_test(descriptors_run_out),
	cmocka_unit_test(descriptors_on_the_way),
};

API_MAIN("options", tests)
