/* selftest.c - exeat selftest: the attack suite, executed
 * SPDX-License-Identifier: Apache-2.0
 *
 * The suite is a program of its own, in Python, that lies beside the helper.
 * It gets this program as $EXEAT, so that what is tried is what is installed,
 * and becomes this process: its exit status is the command's.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/options.h"

enum { USAGE = 2, UNTOLD = 3 };

#define PYTHON "/usr/bin/python3"
#define SUITE "attack/selftest.py"

struct selftest_options {
	const char *json;
	bool list, quiet;
};

#define AT(field) offsetof(struct selftest_options, field)

const struct cli_option cli_selftest_options[] = {
	{ 0, "json", CLI_TEXT, AT(json), "FILE",
	  "write every verdict there as JSON; - is stdout, without the table" },
	{ 0, "list", CLI_FLAG, AT(list), NULL,
	  "list all attacks and where each is tried; try none" },
	{ 'q', "quiet", CLI_FLAG, AT(quiet), NULL,
	  "show only what did not hold, and the summary" },
	{ .type = CLI_END },
};

/* The suite of this program's installation, or of its build tree. */
static int find_suite(const char *program, char *ret, size_t size,
		      struct err *err)
{
	static const char *const places[] = {
		"../libexec/exeat/selftest",
		"../selftest",
	};
	const char *slash = strrchr(program, '/');
	int dir = slash ? (int)(slash - program) : 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(ret, size, "%.*s/%s/" SUITE, dir, program,
				 places[i]);

		if (n > 0 && (size_t)n < size && access(ret, R_OK) == 0)
			return 0;
	}
	(void)snprintf(ret, size, EXEAT_LIBEXEC "/selftest/" SUITE);
	if (access(ret, R_OK) == 0)
		return 0;
	(void)err_sys(err, errno, "find attack suite", "%s", ret);
	err_remedy(err, "install the whole of exeat");
	return -ENOENT;
}

static int become(const char *suite, const struct selftest_options *o,
		  char *rows[], int nrows, struct err *err)
{
	/* -I: nothing of the environment or the user changes what is run */
	const char *fixed[] = {
		PYTHON,
		"-I",
		"-B",
		suite,
		o->list ? "--list" : NULL,
		o->quiet ? "--quiet" : NULL,
		o->json ? "--json" : NULL,
		o->json,
		"--",
	};
	size_t nfixed = sizeof(fixed) / sizeof(fixed[0]), n = 0;
	char **argv = calloc(nfixed + (size_t)nrows + 1, sizeof(*argv));

	if (!argv)
		return err_sys(err, ENOMEM, "run attack suite", NULL);
	for (size_t i = 0; i < nfixed; i++)
		if (fixed[i])
			argv[n++] = (char *)(uintptr_t)fixed[i];
	for (int i = 0; i < nrows; i++)
		argv[n++] = rows[i];
	(void)execv(PYTHON, argv);
	(void)err_sys(err, errno, "run attack suite", PYTHON);
	err_remedy(err, "install python3");
	free(argv);
	return -err->errnum;
}

int cli_selftest(const struct cli_command *c, int argc, char *argv[])
{
	struct selftest_options o = { 0 };
	char program[PATH_MAX], suite[PATH_MAX];
	struct err err;
	int at;

	err_clear(&err);
	at = cli_parse(c, argc, argv, &o, &err);
	if (at < 0)
		return cli_fail(USAGE, &err);
	if (!realpath("/proc/self/exe", program) ||
	    setenv("EXEAT", program, 1) < 0) {
		(void)err_sys(&err, errno, "find own program", NULL);
		return cli_fail(UNTOLD, &err);
	}
	if (find_suite(program, suite, sizeof(suite), &err) == 0)
		(void)become(suite, &o, argv + at, argc - at, &err);
	return cli_fail(UNTOLD, &err);
}
