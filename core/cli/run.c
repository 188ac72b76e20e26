/* run.c - exeat run: one session, one command
 * SPDX-License-Identifier: Apache-2.0
 *
 * The command's stdin, stdout and stderr are its own; ours is stderr only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"
#include "core/cli/attend.h"
#include "core/cli/options.h"
#include "core/cli/report.h"
#include "core/cli/result.h"
#include "core/cli/upstream.h"
#include "core/include/exeat.h"

enum {
	STATUS_DENIED = 123,
	STATUS_TIMEOUT = 124,
	STATUS_SANDBOX = 125,
};

struct run_options {
	const char *net, *policy, *ceiling, *work_dir, *cwd, *user, *command;
	const char *shell, *python, *backend, *audit, *json, *dns_refusal;
	const char *label, *upstream, *upstream_by, *upstream_dns, *ca;
	struct cli_list upstream_direct;
	struct cli_list allow, allow_files, deny, deny_files, ro, rw, env;
	struct cli_list max_upload, max_download;
	struct cli_list governing, hidden; /* files that options name */
	bool require_names, explain, fail_on_deny, quiet, with_credentials;
	bool private_network, work_dir_sockets, proxy_env, pty;
	int64_t timeout_ms, idle_timeout_ms, kill_grace_ms;
	uint64_t max_output, file_size, open_files, core;
	struct cli_limit memory, cpus, pids, disk;
};

#define AT(field) offsetof(struct run_options, field)

const struct cli_option cli_run_options[] = {
	{ 0, "net", CLI_TEXT, AT(net), "blocked|allowlist|open",
	  "the mode; default blocked, or with --allow alone allowlist" },
	{ 0, "allow", CLI_LIST, AT(allow), "RULE",
	  "allow this: example.com, '*.example.com:443', 192.0.2.0/24, @npm; "
	  "repeatable, one rule each" },
	{ 0, "allow-file", CLI_LIST, AT(allow_files), "FILE",
	  "allow the rules of a file, one a line, # begins a comment" },
	{ 0, "deny", CLI_LIST, AT(deny), "RULE",
	  "refuse this, whatever else allows it; repeatable" },
	{ 0, "deny-file", CLI_LIST, AT(deny_files), "FILE",
	  "refuse the rules of a file" },
	{ 0, "policy", CLI_TEXT, AT(policy), "FILE",
	  "mode and lists from a policy file (JSON) instead; in the work dir "
	  "it is read-only" },
	{ 0, "ceiling", CLI_TEXT, AT(ceiling), "FILE",
	  "a policy file that bounds the posture: a wider one is an error" },
	{ 0, "max-upload", CLI_LIST, AT(max_upload), "NAME=SIZE",
	  "send at most so much (10M, 1G) to NAME, the text of an allow rule "
	  "or a host that one allows; repeatable" },
	{ 0, "max-download", CLI_LIST, AT(max_download), "NAME=SIZE",
	  "the same for what comes from it; then it is refused" },
	{ 0, "require-names", CLI_FLAG, AT(require_names), NULL,
	  "with open: refuse connections without a name" },
	{ 0, "proxy-env", CLI_FLAG, AT(proxy_env), NULL,
	  "set http_proxy, https_proxy, all_proxy to the proxy inside, for "
	  "programs that want one" },
	{ 0, "dns-refusal", CLI_TEXT, AT(dns_refusal), "nxdomain|refused",
	  "how refused look-ups are answered (default nxdomain)" },
	{ 0, "upstream-proxy", CLI_TEXT, AT(upstream), "URL|env|@FILE",
	  "every allowed connection by this proxy of yours: http://, https://, "
	  "socks5:// or socks5h://[USER:PASSWORD@]HOST[:PORT]; env: your proxy "
	  "variables; @FILE: the first line of a file" },
	{ 0, "ca", CLI_TEXT, AT(ca), "FILE",
	  "trust these authorities (PEM) besides the machine's: of an https:// "
	  "proxy, and inside by SSL_CERT_FILE and its like" },
	{ 0, "upstream-by", CLI_TEXT, AT(upstream_by), "address|name",
	  "what the proxy is told: the address that was vetted here (default), "
	  "or the name (default with socks5h)" },
	{ 0, "upstream-dns", CLI_TEXT, AT(upstream_dns), "local|proxy",
	  "who resolves names: local (default) or proxy, by stand-in addresses "
	  "of 198.18.0.0/15" },
	{ 0, "upstream-direct", CLI_LIST, AT(upstream_direct), "RULE",
	  "what goes direct, not by the proxy; repeatable" },
	{ 'w', "work-dir", CLI_TEXT, AT(work_dir), "DIR",
	  "the directory to work in, kept (default: a fresh one, removed)" },
	{ 0, "ro", CLI_LIST, AT(ro), "PATH",
	  "show this file or directory, read-only; repeatable" },
	{ 0, "rw", CLI_LIST, AT(rw), "PATH",
	  "show this file or directory, writable; repeatable" },
	{ 0, "cwd", CLI_TEXT, AT(cwd), "DIR",
	  "start there: under the work dir, or absolute inside" },
	{ 0, "user", CLI_TEXT, AT(user), "UID[:GID]",
	  "as root: whom the command is; default the work dir's owner or 65534" },
	{ 'e', "env", CLI_LIST, AT(env), "K[=V]",
	  "set a variable, or pass on the caller's; repeatable" },
	{ 'c', "command", CLI_TEXT, AT(command), "TEXT",
	  "run a shell command string instead of CMD" },
	{ 0, "shell", CLI_TEXT, AT(shell), "PROGRAM",
	  "the shell for -c (default /bin/sh)" },
	{ 0, "python", CLI_TEXT, AT(python), "FILE",
	  "run this Python script (-: from stdin) instead of CMD" },
	{ 't', "pty", CLI_FLAG, AT(pty), NULL,
	  "a terminal of its own, wired to yours: for shells, editors, top" },
	{ 0, "timeout", CLI_DURATION, AT(timeout_ms), "TIME",
	  "end the command after that: 90, 90s, 5m, 1h" },
	{ 0, "idle-timeout", CLI_DURATION, AT(idle_timeout_ms), "TIME",
	  "end it when for so long it has written nothing" },
	{ 0, "memory", CLI_MEMORY, AT(memory), "SIZE",
	  "memory of all its processes (64M, 2G); more, and it is ended. A "
	  "limit of a cgroup, or an error; SIZE:best-effort: where there is "
	  "none, one of each process" },
	{ 0, "cpus", CLI_CPUS, AT(cpus), "N",
	  "time of so many processors (0.5, 2) for all of them; N:best-effort "
	  "as above" },
	{ 0, "pids", CLI_PIDS, AT(pids), "N",
	  "how many processes and threads there are at a time; N:best-effort "
	  "as above" },
	{ 0, "disk", CLI_MEMORY, AT(disk), "SIZE",
	  "what its work dir may hold, at least 1M: a fresh one is in memory "
	  "then; for -w DIR, where nobody can keep it, an error; "
	  "SIZE:best-effort: what is in it already counts, and no file gets "
	  "larger than the rest" },
	{ 0, "file-size", CLI_SIZE, AT(file_size), "SIZE",
	  "how large a file may become by its writing (SIGXFSZ)" },
	{ 0, "open-files", CLI_COUNT, AT(open_files), "N",
	  "how many descriptors each process has" },
	{ 0, "core", CLI_SIZE_ANY, AT(core), "SIZE",
	  "how large a core file may be; 0: none is written" },
	{ 0, "max-output", CLI_SIZE, AT(max_output), "SIZE",
	  "end it when it has written more than that (64K, 10M) to stdout and "
	  "stderr together; the rest is cut" },
	{ 0, "kill-grace", CLI_DURATION_ANY, AT(kill_grace_ms), "TIME",
	  "from TERM to KILL (default 2s; 0: at once)" },
	{ 0, "backend", CLI_TEXT, AT(backend), "NAME",
	  "how the command is confined (default userns)" },
	{ 0, "private-network", CLI_FLAG, AT(private_network), NULL,
	  "a network namespace of its own, shared with no other run" },
	{ 0, "work-dir-sockets", CLI_FLAG, AT(work_dir_sockets), NULL,
	  "let it make unix sockets in the work dir, not in /tmp only" },
	{ 0, "with-credentials", CLI_FLAG, AT(with_credentials), NULL,
	  "presets hand in the package manager's credentials too" },
	{ 0, "audit", CLI_TEXT, AT(audit), "FILE",
	  "append every decision as a JSON line, to a file where no command "
	  "can write; fd:N writes to a descriptor; "
	  "what cannot be written is counted, there and in a notice" },
	{ 0, "label", CLI_TEXT, AT(label), "TEXT",
	  "put this into every audit line" },
	{ 0, "explain", CLI_FLAG, AT(explain), NULL,
	  "say what was refused, and which option would have allowed it" },
	{ 0, "fail-on-deny", CLI_FLAG, AT(fail_on_deny), NULL,
	  "exit 123 if something was refused and the command succeeded" },
	{ 0, "json", CLI_TEXT, AT(json), "FILE", "write the result as JSON" },
	{ 'q', "quiet", CLI_FLAG, AT(quiet), NULL, "no notices" },
	{ .type = CLI_END },
};

/* Everything that is to be undone at the end. */
struct run_context {
	const struct run_options *o;
	struct exeat_session_options session_options;
	struct exeat_run_options run_options;
	struct exeat_session *session;
	struct exeat_run *run;
	struct attend attend;
	int audit, json_folder;
};

static int fail(const struct exeat_error *error)
{
	char text[1024];

	(void)fprintf(stderr, "exeat: %s\n",
		      exeat_error_text(error, text, sizeof(text)));
	return STATUS_SANDBOX;
}

/* ---- from the command line to the library's options ---- */

/* What a run mustn't change; of "-" what stands behind it, if it has a name. */
static int govern(struct cli_list *l, const char *path, struct err *err)
{
	if (!path)
		return 0;
	if (strcmp(path, "-") == 0)
		path = "/dev/stdin";
	return cli_list_add(l, path) < 0 ?
		       err_sys(err, ENOMEM, "option", "%s", path) :
		       0;
}

static int files_govern(struct run_options *o, struct err *err)
{
	int r = govern(&o->governing, o->policy, err);

	if (r == 0)
		r = govern(&o->governing, o->ceiling, err);
	for (size_t i = 0; r == 0 && i < o->allow_files.n; i++)
		r = govern(&o->governing, o->allow_files.texts[i], err);
	for (size_t i = 0; r == 0 && i < o->deny_files.n; i++)
		r = govern(&o->governing, o->deny_files.texts[i], err);
	if (r == 0 && o->upstream && *o->upstream == '@')
		r = govern(&o->hidden, o->upstream + 1, err);
	return r;
}

static int files_read(struct run_options *o, struct err *err)
{
	int r = files_govern(o, err);

	for (size_t i = 0; r == 0 && i < o->allow_files.n; i++)
		r = cli_list_file(&o->allow, "--allow-file",
				  o->allow_files.texts[i], err);
	for (size_t i = 0; r == 0 && i < o->deny_files.n; i++)
		r = cli_list_file(&o->deny, "--deny-file",
				  o->deny_files.texts[i], err);
	if (r == 0 && o->policy)
		r = cli_read_file("--policy", o->policy, &o->policy, err);
	if (r == 0 && o->ceiling)
		r = cli_read_file("--ceiling", o->ceiling, &o->ceiling, err);
	if (r == 0 && o->python)
		r = cli_read_file("--python", o->python, &o->python, err);
	return r;
}

/* "K" passes on the caller's value; one that is not set is left out. */
static int env_complete(struct cli_list *env, struct err *err)
{
	struct cli_list full = { 0 };

	for (size_t i = 0; i < env->n; i++) {
		const char *text = env->texts[i], *value;
		char *pair;

		/* "" is no variable: the session says so */
		if (*text == '\0' || strchr(text, '=')) {
			if (cli_list_add(&full, text) < 0)
				goto no_memory;
			continue;
		}
		value = getenv(text);
		if (!value)
			continue;
		if (asprintf(&pair, "%s=%s", text, value) < 0 ||
		    cli_keep(pair) < 0 || cli_list_add(&full, pair) < 0)
			goto no_memory;
	}
	cli_list_free(env);
	*env = full;
	return 0;
no_memory:
	cli_list_free(&full);
	return err_sys(err, ENOMEM, "option", "--env");
}

/* fd:N; a file is opened by the session. */
static int audit_open(const char *where, int *ret, struct err *err)
{
	const char *p = where;
	uint64_t fd;

	*ret = -1;
	if (!where || strncmp(p, "fd:", 3) != 0)
		return 0;
	p += 3;
	if (num_parse_u64(&p, INT32_MAX, &fd) && *p == '\0')
		*ret = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
	if (*ret < 0)
		return err_new(err, ERR_INVALID, "--audit", where,
			       "not an open descriptor");
	return 0;
}

static int json_place(const struct run_options *o, int *ret, struct err *err)
{
	struct cli_list places = { 0 };
	int r = o->json && o->work_dir ? cli_list_add(&places, o->work_dir) : 0;

	for (size_t i = 0; o->json && r == 0 && i < o->rw.n; i++)
		r = cli_list_add(&places, o->rw.texts[i]);
	if (r < 0)
		(void)err_sys(err, ENOMEM, "option", "--json");
	else if (o->json)
		r = result_folder(o->json,
				  places.n ? places.texts :
					     &(const char *const){ NULL },
				  ret, err);
	cli_list_free(&places);
	return r;
}

/* What the audit lacks: said whether or not anybody asked for notices. */
static void event_cb(void *user_data, const struct exeat_event *event)
{
	(void)user_data;
	if (strcmp(event->layer, "lifecycle") != 0 ||
	    strcmp(event->verdict, "fail") != 0)
		return;
	(void)fprintf(stderr, "exeat: %s; records lost: %llu\n", event->reason,
		      (unsigned long long)event->count);
}

/* The caller's own, unless somebody has to see what passes. */
static void stdio_choose(struct run_context *x, const struct run_options *o)
{
	struct exeat_run_options *r = &x->run_options;
	bool seen = o->idle_timeout_ms > 0 || o->max_output > 0;

	r->idle_timeout_ms = o->idle_timeout_ms;
	r->max_output_bytes = o->max_output;
	r->on_output = attend_output;
	r->on_stdin_ready = attend_input;
	r->user_data = &x->attend;
	x->attend.pty = o->pty;
	x->attend.quiet = o->quiet;
	if (o->pty) {
		r->pty = 1;
		attend_window(&r->pty_rows, &r->pty_cols);
		r->stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
		return;
	}
	attend_share(&x->attend, !seen, r);
	for (int i = EXEAT_STDOUT; seen && i <= EXEAT_STDERR; i++)
		r->stdio[i] = EXEAT_STDIO_CALLBACK;
}

static void limits_choose(struct exeat_run_options *r,
			  const struct run_options *o)
{
	r->memory_bytes = o->memory.n;
	r->cpus = (double)o->cpus.n / 1000;
	r->pids = o->pids.n;
	r->limits_best_effort =
		(o->memory.best_effort ? EXEAT_LIMIT_MEMORY : 0U) |
		(o->cpus.best_effort ? EXEAT_LIMIT_CPUS : 0U) |
		(o->pids.best_effort ? EXEAT_LIMIT_PIDS : 0U);
	r->file_size_bytes = o->file_size;
	r->open_files = o->open_files;
	/* the library's 0 is the caller's own limit; of one byte the kernel
	 * makes no core file, and wakes no program that would take it */
	if (o->core != UINT64_MAX)
		r->core_bytes = o->core ? o->core : 1;
}

static int prepare(struct run_context *x, struct run_options *o, int argc,
		   char *argv[], struct err *err)
{
	struct exeat_session_options *s = &x->session_options;
	struct exeat_run_options *r = &x->run_options;
	int commands = (argc > 0) + (o->command != NULL) + (o->python != NULL);

	if (commands != 1)
		return err_new(err, ERR_INVALID, "command line", NULL,
			       commands == 0 ? "no command; see exeat run "
					       "--help" :
					       "more than one of CMD, -c and "
					       "--python");
	if (files_read(o, err) < 0 || env_complete(&o->env, err) < 0 ||
	    cli_upstream(&o->upstream, &o->upstream_direct, o->quiet, err) <
		    0 ||
	    audit_open(o->audit, &x->audit, err) < 0 ||
	    json_place(o, &x->json_folder, err) < 0)
		return -EINVAL;
	s->backend = o->backend;
	s->network_mode = o->net;
	s->network_allowlist = o->allow.texts;
	s->network_denylist = o->deny.texts;
	s->network_policy = o->policy;
	s->network_ceiling = o->ceiling;
	s->max_upload = o->max_upload.texts;
	s->max_download = o->max_download.texts;
	s->require_names = o->require_names;
	s->dns_refusal = o->dns_refusal;
	s->upstream_proxy = o->upstream;
	s->upstream_by = o->upstream_by;
	s->upstream_dns = o->upstream_dns;
	s->upstream_direct = o->upstream_direct.texts;
	s->ca_file = o->ca;
	s->host_work_dir = o->work_dir;
	s->read_only_paths = o->ro.texts;
	s->read_write_paths = o->rw.texts;
	s->user = o->user;
	s->env = o->env.texts; /* a bad one is found before anything starts */
	s->work_dir_sockets = o->work_dir_sockets;
	s->proxy_env = o->proxy_env;
	s->with_credentials = o->with_credentials;
	s->label = o->label;
	s->disk_bytes = o->disk.n;
	s->limits_best_effort = o->disk.best_effort ? EXEAT_LIMIT_DISK : 0U;
	s->audit_fd = x->audit;
	s->audit_file = x->audit < 0 ? o->audit : NULL;
	s->governing_files = o->governing.texts;
	s->hidden_files = o->hidden.texts;
	s->on_event = event_cb;
	r->argv = argc > 0 ? (const char *const *)argv : NULL;
	r->command = o->command;
	r->script = o->python;
	r->script_type = o->python ? "python" : NULL;
	r->shell = o->shell;
	r->cwd = o->cwd;
	r->timeout_ms = o->timeout_ms;
	/* the library's 0 is its default */
	if (o->kill_grace_ms >= 0)
		r->kill_grace_ms = o->kill_grace_ms ? o->kill_grace_ms : 1;
	r->private_network = o->private_network;
	limits_choose(r, o);
	stdio_choose(x, o);
	return 0;
}

/* ---- running ---- */

static int exit_status(const struct run_options *o,
		       const struct exeat_result *result)
{
	if (strcmp(result->termination_reason, "timeout") == 0 ||
	    strcmp(result->termination_reason, "idle_timeout") == 0)
		return STATUS_TIMEOUT;
	if (result->returncode < 0)
		return 128 - result->returncode;
	/* it may have been faster than its TERM: what was cut is not whole */
	if (result->stdout_cut || result->stderr_cut)
		return 128 + SIGTERM;
	if (result->returncode == 0 && o->fail_on_deny && result->refused_total)
		return STATUS_DENIED;
	return result->returncode;
}

static int attended(struct run_context *x, struct exeat_error *error)
{
	int r;

	if (exeat_session_begin(&x->session_options, &x->session, error) < 0 ||
	    exeat_run_start(x->session, &x->run_options, &x->run, error) < 0)
		return -1;
	x->attend.session = x->session;
	x->attend.run = x->run;
	r = attend_run(&x->attend, error);
	attend_end(&x->attend);
	return r;
}

/* That a file cannot be written is told, and changes nothing any more. */
static int failed(struct report *report, const struct exeat_error *error)
{
	report->error = error;
	(void)report_write(report);
	return fail(error);
}

static int run(struct run_context *x)
{
	struct exeat_error error = { 0 };
	const struct run_options *o = x->o;
	struct report report = {
		.explain = o->explain,
		.quiet = o->quiet,
		.json = o->json,
		.json_folder = x->json_folder,
	};
	int status;

	if (attend_begin(&x->attend) < 0) {
		(void)fputs("exeat: signalfd: no descriptor left\n", stderr);
		return STATUS_SANDBOX;
	}
	if (attended(x, &error) < 0)
		return failed(&report, &error);
	report.session = x->session;
	report.result = exeat_run_result(x->run);
	report_print(&report);
	status = exit_status(o, report.result);
	if (report_write(&report) < 0)
		return STATUS_SANDBOX;
	return status;
}

int cli_run(const struct cli_command *c, int argc, char *argv[])
{
	struct run_options o = { .core = UINT64_MAX, .kill_grace_ms = -1 };
	struct run_context x = {
		.o = &o,
		.session_options = EXEAT_SESSION_OPTIONS_INIT,
		.run_options = EXEAT_RUN_OPTIONS_INIT,
		.audit = -1,
		.json_folder = -1,
		.attend = { .signals = -1, .terminal = -1 },
	};
	struct err err;
	int status, at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &o, &err);
	if (at < 0 || prepare(&x, &o, argc - at, argv + at, &err) < 0)
		status = cli_fail(STATUS_SANDBOX, &err);
	else
		status = run(&x);
	exeat_session_close(x.session);
	fd_close(&x.audit);
	fd_close(&x.json_folder);
	attend_end(&x.attend);
	cli_list_free(&o.allow);
	cli_list_free(&o.allow_files);
	cli_list_free(&o.deny);
	cli_list_free(&o.deny_files);
	cli_list_free(&o.max_upload);
	cli_list_free(&o.max_download);
	cli_list_free(&o.ro);
	cli_list_free(&o.rw);
	cli_list_free(&o.env);
	cli_list_free(&o.upstream_direct);
	cli_list_free(&o.governing);
	cli_list_free(&o.hidden);
	return status;
}
