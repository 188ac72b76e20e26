/* options.h - one table for the parser, the help and the manual
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_CLI_OPTIONS_H
#define EXEAT_CORE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/err.h"

enum cli_type {
	CLI_FLAG,		/* bool */
	CLI_TEXT,		/* const char * */
	CLI_LIST,		/* struct cli_list: repeatable */
	CLI_DURATION,		/* int64_t, milliseconds, at least one */
	CLI_DURATION_ANY,	/* the same, or 0 */
	CLI_SIZE,		/* uint64_t, bytes, at least 1 */
	CLI_SIZE_ANY,		/* the same, or 0 */
	CLI_COUNT,		/* uint64_t, at least 1 */
	CLI_MEMORY,		/* struct cli_limit: a size */
	CLI_CPUS,		/* struct cli_limit: in thousandths */
	CLI_PIDS,		/* struct cli_limit: a count */
	CLI_END
};

/* "64M" or "64M:best-effort"; zero-initialised is none. */
struct cli_limit {
	uint64_t n;
	bool best_effort;
};

struct cli_option {
	char letter;		/* 0: none */
	const char *name;	/* without "--" */
	enum cli_type type;
	size_t offset;		/* in the command's options struct */
	const char *value;	/* what the help calls it; NULL for flags */
	const char *help;
};

/* Borrowed texts, NULL-terminated; zero-initialised is empty and unset. */
struct cli_list {
	const char **texts;
	size_t n;
};

struct cli_command {
	const char *name;		/* "run", "policy test" */
	const char *operands;		/* "[--] CMD [ARG...]" */
	const char *summary;		/* one line */
	const char *text;		/* a paragraph or two, for the manual */
	const struct cli_option *options;	/* ends with CLI_END */
	int usage_status;		/* exit status of wrong usage */
	int (*main)(const struct cli_command *c, int argc, char *argv[]);
};

extern const struct cli_command cli_commands[];	/* NULL name ends it */

/*
 * Parse argv[1..] into *ret (the command's options struct); options end at the
 * first operand or after "--". Returns the index of the first operand, or a
 * negative errno with *err: the option as object. "--help" prints and exits 0,
 * and so does "-h" where no option has that letter.
 */
int cli_parse(const struct cli_command *c, int argc, char *argv[], void *ret,
	      struct err *err);

int cli_list_add(struct cli_list *l, const char *text);
void cli_list_free(struct cli_list *l);
/* A heap text that lives as long as the process. 0 or -ENOMEM (freed). */
int cli_keep(char *take_text);

/* Every line of a file of rules, added to the list. The texts live as long as
 * the process. */
int cli_list_file(struct cli_list *l, const char *option, const char *path,
		  struct err *err);
/* A whole text file ("-": stdin); lives as long as the process. */
int cli_read_file(const char *option, const char *path, const char **ret,
		  struct err *err);

/* Is it one of the commands that begin with this word? NULL: all are. */
bool cli_is_of(const struct cli_command *c, const char *word);
/* The commands that begin with this word (NULL: all), a line each. */
void cli_usage(FILE *to, const char *word);
void cli_help(const struct cli_command *c);
/*
 * A part of a manual page as roff, of the commands whose names begin with this
 * word (NULL: of all): their "synopsis", the "commands" one by one, an
 * "overview" of all; of the first of them the "text" or the "options". Returns
 * an exit status.
 */
int cli_manual(const char *part, const char *word);
/* Completion for bash. */
void cli_completion(void);

/* "exeat: STEP OBJECT: MESSAGE (REMEDY)" to stderr; returns the status. */
int cli_fail(int status, const struct err *err);

/* The commands. */
int cli_run(const struct cli_command *c, int argc, char *argv[]);
int cli_policy_check(const struct cli_command *c, int argc, char *argv[]);
int cli_policy_test(const struct cli_command *c, int argc, char *argv[]);
int cli_policy_presets(const struct cli_command *c, int argc, char *argv[]);
int cli_audit_verify(const struct cli_command *c, int argc, char *argv[]);
int cli_doctor(const struct cli_command *c, int argc, char *argv[]);
int cli_selftest(const struct cli_command *c, int argc, char *argv[]);

extern const struct cli_option cli_run_options[];
/* The first is of check alone. */
extern const struct cli_option cli_policy_check_options[];
extern const struct cli_option cli_audit_verify_options[];
extern const struct cli_option cli_selftest_options[];
extern const struct cli_option cli_no_options[];

#endif
