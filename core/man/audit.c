/* audit.c - exeat-audit.5, from the table of the audit's fields
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program of the build: prints the page.
 */
#include <stdio.h>

#include "core/audit/schema.h"

static const char head[] =
	".SH NAME\n"
	"exeat-audit \\- the audit of an exeat session\n"
	".SH DESCRIPTION\n"
	"With \\fBexeat run \\-\\-audit\\fR, or \\fIaudit_fd\\fR of\n"
	".BR exeat (3),\n"
	"a session writes one JSON object a line (RFC 8259, UTF\\-8) for each\n"
	"thing that it allowed, refused or failed to do.\n"
	"Names and addresses come from the command and from the network: they\n"
	"are escaped and bounded, and may be lies.\n"
	".PP\n"
	"A connection has one line, when it ends.\n"
	"What the kernel refuses is logged at a bounded rate; the rest of it "
	"is one\nline with a number.\n"
	".SH FIELDS\n";

static const char tail[] = ".SH SEE ALSO\n"
			   ".BR exeat (1),\n"
			   ".BR exeat (3)\n";

static void roff(const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			printf("\\-");
		else if (*text == '\'')
			printf("\\(aq");
		else
			(void)putchar(*text);
	}
}

int main(int argc, char *argv[])
{
	printf(".TH EXEAT-AUDIT 5 \"\" \"exeat %s\" \"File formats\"\n%s",
	       argc > 1 ? argv[1] : "", head);
	for (size_t i = 0; i < audit_nfields; i++) {
		const struct audit_field *f = &audit_fields[i];

		printf(".TP\n.BR %s \" (%s; ", f->name,
		       audit_type_json(f->type));
		roff(f->presence);
		printf(")\"\n");
		roff(f->meaning);
		printf("\n");
	}
	printf("%s", tail);
	return ferror(stdout) || fflush(stdout) != 0;
}
