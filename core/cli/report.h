/* report.h - what is said of a run when it has ended
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_CLI_REPORT_H
#define EXEAT_CORE_CLI_REPORT_H

#include <stdbool.h>

#include "core/include/exeat.h"

struct report {
	const struct exeat_session *session;
	const struct exeat_result *result;
	const struct exeat_error *error; /* instead: why there is none */
	bool explain, quiet;
	const char *json; /* the file for the result, or NULL */
	int json_folder;  /* result_folder() of it */
};

/* To stderr: what was refused if asked for, why it ended, notices. */
void report_print(const struct report *r);
/* To the file. -1: it cannot be written, which is said. */
int report_write(const struct report *r);

#endif
