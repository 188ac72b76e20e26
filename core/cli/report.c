/* report.c - what is said of a run when it has ended
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/cli/report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/text.h"
#include "core/cli/result.h"

/* ---- for people ---- */

/* The codes of refusals, for people. */
static const struct {
	const char *code, *words;
} reasons[] = {
	{ "default", "no rule allows it" },
	{ "deny_rule", "a deny rule refuses it" },
	{ "guard", "never opened by any policy" },
	{ "private", "a private address, which no rule opens" },
	{ "blocked", "the run is blocked" },
	{ "no_name", "no allowed name was seen" },
	{ "protocol", "not a protocol that may pass there" },
	{ "not_pinned", "this address was not given for an allowed name" },
	{ "malformed", "malformed" },
	{ "own_address", "an address of this host" },
	{ "upstream_proxy", "the upstream proxy carries TCP alone" },
	{ "limit", "a limit was reached" },
	{ "budget", "its budget of bytes is used up" },
};

static const char *reason_words(const char *code)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reasons[i].code, code) == 0)
			return reasons[i].words;
	return code;
}

/* What front tells of a refusal may be of a payload's making. */
static void say(const char *before, const char *text, const char *behind)
{
	char shown[1024];

	if (*text)
		(void)fprintf(stderr, "%s%s%s", before,
			      text_shown(text, shown, sizeof(shown)), behind);
}

static void explain_one(const struct exeat_refusal *f)
{
	const char *what = *f->name ? f->name : f->address;

	(void)fputs("exeat: refused ", stderr);
	say("", f->protocol, " ");
	say("", *what ? what : "connections, too many to log", "");
	if (f->port)
		(void)fprintf(stderr, " port %u", f->port);
	if (*f->name)
		say(" (", f->address, ")");
	say(" [", f->layer, "]: ");
	say("", reason_words(f->reason), "");
	say(" (rule ", f->rule, ")");
	if (f->count > 1)
		(void)fprintf(stderr, ", %llu times",
			      (unsigned long long)f->count);
	say("; would be allowed by --allow '", f->allow_hint, "'");
	(void)fputc('\n', stderr);
}

/* Why it was ended, where that was neither its own doing nor a signal's. */
static const char *end_words(const char *reason)
{
	static const struct {
		const char *reason, *words;
	} ends[] = {
		{ "timeout", "--timeout" },
		{ "idle_timeout", "--idle-timeout: it wrote nothing" },
		{ "output_limit", "--max-output" },
		{ "oom", "out of memory" },
		{ "session_closed", "the session ended" },
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(ends[i].reason, reason) == 0)
			return ends[i].words;
	return "";
}

void report_print(const struct report *r)
{
	const struct exeat_result *result = r->result;
	bool notices = !r->quiet && isatty(STDERR_FILENO);

	for (size_t i = 0; r->explain && i < result->nrefusals; i++)
		explain_one(&result->refusals[i]);
	say("exeat: ", result->start_error, "\n");
	if (!r->quiet)
		say("exeat: the command was ended: ",
		    end_words(result->termination_reason), "\n");
	if (result->stdout_cut || result->stderr_cut)
		(void)fputs("exeat: more output than --max-output: cut\n",
			    stderr);
	if (notices && exeat_session_work_dir_is_fresh(r->session))
		(void)fprintf(stderr, "exeat: the work dir was fresh and is "
				      "gone; -w DIR keeps one\n");
	if (notices && !r->explain && result->refused_total)
		(void)fprintf(stderr,
			      "exeat: %llu refused; --explain shows "
			      "the rule that would allow\n",
			      (unsigned long long)result->refused_total);
}

/* ---- for programs ---- */

static json_t *refusal_json(const struct exeat_refusal *f)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:I}",
			 "layer", f->layer, "protocol", f->protocol, "name",
			 f->name, "address", f->address, "port", (int)f->port,
			 "rule", f->rule, "reason", f->reason, "allow_hint",
			 f->allow_hint, "count", (json_int_t)f->count);
}

static json_t *result_json(const struct report *r)
{
	const struct exeat_result *e = r->result;
	json_t *refusals = json_array(), *limits;

	for (size_t i = 0; i < e->nrefusals; i++)
		(void)json_array_append_new(refusals,
					    refusal_json(&e->refusals[i]));
	limits = json_pack("{s:s, s:s, s:s, s:s}", "memory", e->memory_enforced,
			   "cpus", e->cpus_enforced, "pids", e->pids_enforced,
			   "disk", e->disk_enforced);
	return json_pack(
		"{s:i, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:b, s:b, s:o, s:o, s:I}",
		"returncode", e->returncode, "termination_reason",
		e->termination_reason, "start_error", e->start_error,
		"runtime_ms", (json_int_t)e->runtime_ms, "backend", e->backend,
		"network_mode", e->network_mode, "session",
		exeat_session_id(r->session), "user_us", (json_int_t)e->user_us,
		"system_us", (json_int_t)e->system_us, "max_rss_kib",
		(json_int_t)e->max_rss_kib, "memory_peak_bytes",
		(json_int_t)e->memory_peak_bytes, "oom_kills",
		(json_int_t)e->oom_kills, "stdout_bytes",
		(json_int_t)e->stdout_bytes, "stderr_bytes",
		(json_int_t)e->stderr_bytes, "stdout_cut", e->stdout_cut,
		"stderr_cut", e->stderr_cut, "limits_enforced", limits,
		"refusals", refusals, "refused_total",
		(json_int_t)e->refused_total);
}

static json_t *error_json(const struct exeat_error *e)
{
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:i}}", "error", "code",
			 exeat_code_name(e->code), "step", e->step, "object",
			 e->object, "message", e->message, "remedy", e->remedy,
			 "errno", e->errnum);
}

int report_write(const struct report *r)
{
	cleanup_fd int fd = -1;
	char path[1024];
	json_t *root;
	int written;

	if (!r->json)
		return 0;
	root = r->error ? error_json(r->error) : result_json(r);
	fd = result_open(r->json_folder, r->json);
	if (fd < 0)
		errno = -fd;
	written = root && fd >= 0 ? json_dumpfd(root, fd, JSON_INDENT(2)) : -1;
	json_decref(root);
	if (written < 0)
		(void)fprintf(stderr, "exeat: --json %s: cannot write: %s\n",
			      text_shown(r->json, path, sizeof(path)),
			      strerror(errno));
	return written;
}
