/* audit.c - exeat audit verify
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/text.h"
#include "core/cli/options.h"
#include "core/include/exeat.h"

enum { WHOLE = 0, BROKEN = 1, USAGE = 2, UNTOLD = 3 };
enum { HASH_LEN = 64, FAULTS_SHOWN = 20 };

struct verify_options {
	struct cli_list expect;
	bool sessions, quiet;
};

#define AT(field) offsetof(struct verify_options, field)

const struct cli_option cli_audit_verify_options[] = {
	{ 0, "sessions", CLI_FLAG, AT(sessions), NULL,
	  "a line for each session: the hash of its last record, which says "
	  "all of it (keep it elsewhere), its identifier, how many records it "
	  "has, and whole, broken or no end" },
	{ 0, "expect", CLI_LIST, AT(expect), "HASH",
	  "a session whose last record has this hash must be there, in one of "
	  "the files; repeatable" },
	{ 'q', "quiet", CLI_FLAG, AT(quiet), NULL,
	  "print nothing about what is whole" },
	{ .type = CLI_END },
};

/* One file, and what was found in all of them. */
struct verify {
	const struct verify_options *o;
	const char *path; /* as it may be shown */
	uint64_t shown;
	bool *found; /* by number of `expect` */
	int status;
};

/* Broken is certain, the other is not. */
static void status_worsen(struct verify *v, int status)
{
	if (v->status == WHOLE || status == BROKEN)
		v->status = status;
}

static void fault_print(void *user, const struct exeat_audit_fault *f)
{
	struct verify *v = user;
	char id[256];

	if (v->shown++ >= FAULTS_SHOWN)
		return;
	printf("%s:%" PRIu64 ": ", v->path, f->line);
	if (*f->session)
		printf("session %s: ", text_shown(f->session, id, sizeof(id)));
	printf("%s\n", f->reason);
}

static void session_print(void *user, const struct exeat_audit_session *s)
{
	static const char *const states[] = {
		[EXEAT_AUDIT_WHOLE] = "whole",
		[EXEAT_AUDIT_UNTOLD] = "no end",
		[EXEAT_AUDIT_BROKEN] = "broken",
	};
	struct verify *v = user;
	char id[256];

	for (size_t i = 0; i < v->o->expect.n; i++)
		if (s->state == EXEAT_AUDIT_WHOLE &&
		    strcmp(v->o->expect.texts[i], s->hash) == 0)
			v->found[i] = true;
	if (v->o->sessions)
		printf("%s  %s  %" PRIu64 "  %s\n", s->hash,
		       text_shown(s->id, id, sizeof(id)), s->records,
		       states[s->state]);
}

static void totals_print(struct verify *v, const struct exeat_audit_totals *t)
{
	static const char *const words[] = {
		[EXEAT_AUDIT_WHOLE] = "whole",
		[EXEAT_AUDIT_UNTOLD] = "cannot tell",
		[EXEAT_AUDIT_BROKEN] = "broken",
	};

	if (v->shown > FAULTS_SHOWN)
		printf("%s: and %" PRIu64 " more like these\n", v->path,
		       v->shown - FAULTS_SHOWN);
	if (v->o->quiet && t->state == EXEAT_AUDIT_WHOLE)
		return;
	printf("%s: %s: sessions: %" PRIu64 ", records: %" PRIu64, v->path,
	       words[t->state], t->sessions, t->records);
	if (t->lost)
		printf(", events lost when they should have been written: "
		       "%" PRIu64,
		       t->lost);
	printf("\n");
}

static void verify_one(struct verify *v, const char *path)
{
	static const int statuses[] = {
		[EXEAT_AUDIT_WHOLE] = WHOLE,
		[EXEAT_AUDIT_UNTOLD] = UNTOLD,
		[EXEAT_AUDIT_BROKEN] = BROKEN,
	};
	struct exeat_audit_options o = EXEAT_AUDIT_OPTIONS_INIT;
	struct exeat_audit_totals totals;
	struct exeat_error error = { 0 };
	char shown[1024], text[1024];
	bool is_stdin = strcmp(path, "-") == 0;
	cleanup_fd int fd =
		is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct err err;

	v->path = text_shown(path, shown, sizeof(shown));
	v->shown = 0;
	if (!is_stdin && fd < 0) {
		err_clear(&err);
		(void)err_sys(&err, errno, "open", "%s", path);
		return status_worsen(v, cli_fail(UNTOLD, &err));
	}
	o.fd = is_stdin ? STDIN_FILENO : fd;
	o.on_fault = fault_print;
	o.on_session = session_print;
	o.user_data = v;
	if (exeat_audit_verify(&o, &totals, &error) < 0) {
		(void)fprintf(stderr, "exeat: %s: %s\n", v->path,
			      exeat_error_text(&error, text, sizeof(text)));
		return status_worsen(v, UNTOLD);
	}
	totals_print(v, &totals);
	status_worsen(v, statuses[totals.state]);
}

/* The first that is none; NULL: all are hashes. */
static const char *bad_hash(const struct cli_list *hashes)
{
	for (size_t i = 0; i < hashes->n; i++)
		if (strlen(hashes->texts[i]) != HASH_LEN ||
		    strspn(hashes->texts[i], "0123456789abcdef") != HASH_LEN)
			return hashes->texts[i];
	return NULL;
}

static int verify_all(const struct verify_options *o, char *paths[], int n)
{
	struct verify v = {
		.o = o,
		.found = calloc(o->expect.n + 1, sizeof(bool)),
	};

	if (!v.found)
		return UNTOLD;
	for (int i = 0; i < n; i++)
		verify_one(&v, paths[i]);
	for (size_t i = 0; i < o->expect.n; i++) {
		if (v.found[i])
			continue;
		printf("no whole session ends in %s\n", o->expect.texts[i]);
		status_worsen(&v, BROKEN);
	}
	free(v.found);
	return v.status;
}

int cli_audit_verify(const struct cli_command *c, int argc, char *argv[])
{
	struct verify_options o = { 0 };
	struct err err;
	int at, status;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &o, &err);
	if (at >= 0 && bad_hash(&o.expect))
		at = err_new(&err, ERR_INVALID, "--expect", bad_hash(&o.expect),
			     "64 digits, 0-9 and a-f");
	if (at < 0) {
		status = cli_fail(USAGE, &err);
	} else if (at >= argc) {
		cli_help(c);
		status = USAGE;
	} else {
		status = verify_all(&o, argv + at, argc - at);
	}
	cli_list_free(&o.expect);
	return status;
}
