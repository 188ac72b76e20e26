/* audit.c - exeat-audit.5, from the table of the audit's fields
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program of the build: prints the page.
 */
#include <stdio.h>
#include <string.h>

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
	"The first line of a session says that it begins, the last one that "
	"it ends.\n"
	".PP\n"
	"An audit never stops a session.\n"
	"What cannot be written is lost and counted: the next line that can be "
	"written\nsays how many there were\n"
	".RI ( dropped ),\n"
	"and the caller is told when a run ends.\n"
	".SH FIELDS\n";

static const char chain[] =
	".SH THE CHAIN\n"
	"Each line bears a hash of itself and of the hash of the line before "
	"it, in the\nsame session: SHA\\-256 of the 64 digits of the former "
	"(64 zeros before the\nfirst) and the bytes of the line up to the "
	"comma before its field\n"
	".IR hash .\n"
	"The number is right if this prints it:\n"
	".PP\n"
	".EX\n"
	"printf %s \"$before${line%,\\e\\(dqhash\\e\\(dq:*}\" | sha256sum\n"
	".EE\n"
	".PP\n"
	".B exeat audit verify\n"
	"follows the chains of all sessions of a file, which several may have "
	"written at\nthe same time.\n"
	"It names a line that was changed, removed, put elsewhere, repeated, or "
	"added;\nit tells a session without its last line, whose end was cut "
	"off, or which lives,\nor was killed: that is not called whole.\n"
	"Lost events are no fault, because lines say so; they are counted.\n"
	".PP\n"
	"What it cannot prove: no secret is in the hash, so who can write the "
	"file can\nwrite another one, with a chain that fits, or take out all "
	"of a session.\n"
	"Keep the hash of a session\\(aqs last line\n"
	".RB ( \"exeat audit verify \\-\\-sessions\" )\n"
	"where such a one cannot write; it stands for every line before it, "
	"and\n"
	".B \\-\\-expect\n"
	"asks for it.\n"
	"While a session lives its own chain goes on from what was written, "
	"whatever\nbecame of it in the file: who changes it or empties it then "
	"changes none of\nthese lines unseen, but may leave another file in "
	"its place.\n"
	"A run never can: a session is refused an audit that one could write "
	"to.\n";

static const char tail[] = ".SH SEE ALSO\n"
			   ".BR exeat\\-audit (1),\n"
			   ".BR exeat\\-run (1),\n"
			   ".BR exeat (3),\n"
			   ".BR exeat_audit (3)\n";

/* In lines of at most 80 columns, as people write them. */
static void roff(const char *text)
{
	size_t column = 0;

	for (; *text; text++) {
		column++;
		if (*text == ' ' && column + strcspn(text + 1, " ") > 72) {
			(void)putchar('\n');
			column = 0;
		} else if (*text == '-')
			printf("\\-");
		else if (*text == '\'')
			printf("\\(aq");
		else
			(void)putchar(*text);
	}
}

int main(int argc, char *argv[])
{
	printf(".TH EXEAT\\-AUDIT 5 \"%s\" \"exeat %s\" \"File formats\"\n%s",
	       argc > 2 ? argv[2] : "", argc > 1 ? argv[1] : "", head);
	for (size_t i = 0; i < audit_nfields; i++) {
		const struct audit_field *f = &audit_fields[i];

		printf(".TP\n.BR %s \" (%s; ", f->name,
		       audit_type_json(f->type));
		roff(f->presence);
		printf(")\"\n");
		roff(f->meaning);
		printf("\n");
	}
	printf("%s%s", chain, tail);
	return ferror(stdout) || fflush(stdout) != 0;
}
