/* print.c - what is made from the table: help, manual, completion
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/options.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 80 };

/* ---- help ---- */

bool cli_is_of(const struct cli_command *c, const char *word)
{
	size_t len = word ? strlen(word) : 0;

	return !word || (strncmp(c->name, word, len) == 0 &&
			 (c->name[len] == '\0' || c->name[len] == ' '));
}

static int option_head(const struct cli_option *o, char *buf, size_t size)
{
	char letter[8] = "    ";

	if (o->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return snprintf(buf, size, "  %s--%s%s%s", letter, o->name,
			o->value ? " " : "", o->value ? o->value : "");
}

/* From this column, where the cursor is, in lines of whole words. */
static void help_text(const char *text, size_t first)
{
	size_t column = first;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > first && column + 1 + len > HELP_WIDTH) {
			printf("\n%*s", (int)first, "");
			column = first;
		}
		if (column > first)
			column += (size_t)printf(" ");
		column += (size_t)printf("%.*s", (int)len, text);
		text += len;
		text += *text == ' ';
	}
	printf("\n");
}

void cli_help(const struct cli_command *c)
{
	char head[80];

	printf("usage: exeat %s%s%s\n\n%s\n", c->name,
	       c->options->type != CLI_END ? " [options] " : " ", c->operands,
	       c->summary);
	if (c->options->type != CLI_END)
		printf("\n");
	for (const struct cli_option *o = c->options; o->type != CLI_END; o++) {
		int n = option_head(o, head, sizeof(head));

		printf("%s%s%*s", head, n >= HELP_COLUMN ? "\n" : "",
		       n >= HELP_COLUMN ? HELP_COLUMN : HELP_COLUMN - n, "");
		help_text(o->help, HELP_COLUMN);
	}
	if (c->text) {
		printf("\n");
		help_text(c->text, 0);
	}
}

void cli_usage(FILE *to, const char *word)
{
	(void)fprintf(to, "usage: exeat %s [options] ...\n\n",
		      word ? word : "COMMAND");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (cli_is_of(c, word))
			(void)fprintf(to, "  %-16s%s\n", c->name, c->summary);
	(void)fprintf(to, "\nexeat help COMMAND says more, and so do exeat "
			  "COMMAND -h and man exeat; exeat --version\n");
}

/* ---- the manual ---- */

/* As it stands, in lines of at most 80 columns: some characters mean something
 * to roff, or are replaced by what looks better and cannot be copied. */
static void roff(const char *text)
{
	static const struct {
		char plain;
		const char *roff;
	} escapes[] = {
		{ '\\', "\\e" },  { '-', "\\-" },   { '\'', "\\(aq" },
		{ '`', "\\(ga" }, { '^', "\\(ha" }, { '~', "\\(ti" },
	};

	size_t column = 0;

	if (*text == '.')
		printf("\\&");
	for (; *text; text++) {
		const char *out = NULL;

		if (*text == ' ' && column + strcspn(text + 1, " ") > 70) {
			printf("\n%s", text[1] == '.' ? "\\&" : "");
			column = 0;
			continue;
		}
		for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++)
			if (*text == escapes[i].plain)
				out = escapes[i].roff;
		if (out)
			printf("%s", out);
		else
			(void)putchar(*text);
		column++;
	}
}

static void manual_synopsis(const char *word)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (!cli_is_of(c, word))
			continue;
		printf("\\fBexeat %s\\fR", c->name);
		if (c->options->type != CLI_END)
			printf(" [\\fIoptions\\fR]");
		if (*c->operands)
			printf(" ");
		roff(c->operands);
		printf("\n");
	}
}

/* One line each, and the page that has the rest. */
static void manual_overview(void)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		printf(".TP\n\\fBexeat %s\\fR\n", c->name);
		roff(c->summary);
		printf("\nSee\n.BR exeat\\-%.*s (1).\n",
		       (int)strcspn(c->name, " "), c->name);
	}
}

static void manual_option(const struct cli_option *o)
{
	printf(".TP\n\\fB");
	if (o->letter)
		printf("\\-%c\\fR, \\fB", o->letter);
	printf("\\-\\-");
	roff(o->name);
	printf("\\fR");
	if (o->value) {
		printf(" \\fI");
		roff(o->value);
		printf("\\fR");
	}
	printf("\n");
	roff(o->help);
	printf("\n");
}

static void manual_text(const struct cli_command *c)
{
	roff(c->summary);
	printf("\n");
	if (c->text) {
		roff(c->text);
		printf("\n");
	}
}

static void manual_options(const struct cli_command *c)
{
	for (const struct cli_option *o = c->options; o->type != CLI_END; o++)
		manual_option(o);
}

static void manual_commands(const char *word)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (!cli_is_of(c, word))
			continue;
		printf(".SS exeat %s\n", c->name);
		manual_text(c);
		manual_options(c);
	}
}

int cli_manual(const char *part, const char *word)
{
	const struct cli_command *c = cli_commands;

	while (c->name && !cli_is_of(c, word))
		c++;
	if (!c->name)
		return 2;
	if (strcmp(part, "synopsis") == 0)
		manual_synopsis(word);
	else if (strcmp(part, "overview") == 0)
		manual_overview();
	else if (strcmp(part, "commands") == 0)
		manual_commands(word);
	else if (strcmp(part, "text") == 0)
		manual_text(c);
	else if (strcmp(part, "options") == 0)
		manual_options(c);
	else
		return 2;
	return EXIT_SUCCESS;
}

/* ---- completion ---- */

/* One command's options as "--name=VALUE", flags without a value. */
static void completion_command(const struct cli_command *c)
{
	int words = 1;

	for (const char *p = c->name; *p; p++)
		words += *p == ' ';
	printf("\t'%s '*) at=%d options='", c->name, words + 1);
	for (const struct cli_option *o = c->options; o->type != CLI_END; o++) {
		const char *equals = o->value ? "=" : "";
		const char *value = o->value ? o->value : "";

		if (o->letter)
			printf("-%c%s%s ", o->letter, equals, value);
		printf("--%s%s%s ", o->name, equals, value);
	}
	printf("-h --help' ;;\n");
}

/* Every word that follows `first` in a command's name ("": every first one). */
static void completion_names(const char *first)
{
	size_t len = strlen(first), last_len = 0;
	const char *last = "";

	for (const struct cli_command *c = cli_commands; c->name; c++) {
		const char *word;
		size_t n;

		if (strncmp(c->name, first, len) != 0 ||
		    (len > 0 && c->name[len] != ' '))
			continue;
		word = c->name + len + (len > 0);
		n = strcspn(word, " ");
		if (n == last_len && memcmp(word, last, n) == 0)
			continue;
		printf("%.*s ", (int)n, word);
		last = word;
		last_len = n;
	}
}

/* The words after the first one, where a command has more; also behind help. */
static void completion_words(void)
{
	const char *last = "";

	for (const struct cli_command *c = cli_commands; c->name; c++) {
		size_t n = strcspn(c->name, " ");
		char first[16];

		if (c->name[n] == '\0' || n >= sizeof(first) ||
		    strncmp(c->name, last, n + 1) == 0)
			continue;
		last = c->name;
		memcpy(first, c->name, n);
		first[n] = '\0';
		printf("\t'%s ' | 'help %s ') words='", first, first);
		completion_names(first);
		printf("' ;;\n");
	}
	printf("\t'help ') words='");
	completion_names("");
	printf("' ;;\n\t' ') words='");
	completion_names("");
	printf("help --version -h --help' ;;\n");
}

static const char completion_head[] =
	"# bash completion for exeat, made by `exeat completion`\n"
	"_exeat() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} at=1 options= words= value= o\n"
	"\tcase \"${COMP_WORDS[*]:1:COMP_CWORD-1} \" in\n";

/*
 * Options end at the first operand; bash breaks words at "=" and ":", too. What
 * a value is called says what completes it: words in lower case stand for
 * themselves.
 */
static const char completion_tail[] =
	"\tesac\n"
	"\tCOMPREPLY=()\n"
	"\twhile ((at < COMP_CWORD)) && [ -n \"$options\" ]; do\n"
	"\t\tcase ${COMP_WORDS[at]} in\n"
	"\t\t--) ((at++)); options=; break ;;\n"
	"\t\t-?*) ;;\n"
	"\t\t*) options=; break ;;\n"
	"\t\tesac\n"
	"\t\tvalue=\n"
	"\t\tfor o in $options; do\n"
	"\t\t\tcase $o in\n"
	"\t\t\t\"${COMP_WORDS[at]}\"=*) value=${o#*=} ;;\n"
	"\t\t\tesac\n"
	"\t\tdone\n"
	"\t\t((++at))\n"
	"\t\t[ -n \"$value\" ] || continue\n"
	"\t\t[ \"${COMP_WORDS[at]}\" != = ] || ((++at))\n"
	"\t\t((at < COMP_CWORD)) || break\n"
	"\t\tvalue=\n"
	"\t\t((++at))\n"
	"\t\twhile [ \"${COMP_WORDS[at]}\" = : ]; do ((at += 2)); done\n"
	"\tdone\n"
	"\t[ \"$cur\" != = ] || cur=\n"
	"\tcase $value:$cur in\n"
	"\t*'|'*:*)\n"
	"\t\tfor o in ${value//|/ }; do\n"
	"\t\t\t[[ $o != [a-z]* ]] || words+=\" $o\"\n"
	"\t\tdone ;;\n"
	"\tDIR:*) COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
	"\tFILE:* | PATH:*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"\tPROGRAM:*) COMPREPLY=($(compgen -c -- \"$cur\")) ;;\n"
	"\t?*:*) ;;\n"
	"\t:-*) for o in $options; do words+=\" ${o%%=*}\"; done ;;\n"
	"\tesac\n"
	"\tif [ -n \"$words\" ]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	"\telif [ -n \"$value\" ]; then\n"
	"\t\treturn\n"
	"\telif [ \"${COMP_WORDS[1]}\" != run ]; then\n"
	"\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	"\telif declare -F _command_offset >/dev/null; then\n"
	"\t\t_command_offset \"$at\"\n"
	"\telse\n"
	"\t\tCOMPREPLY=($(compgen -c -f -- \"$cur\"))\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -F _exeat exeat\n";

void cli_completion(void)
{
	printf("%s", completion_head);
	for (const struct cli_command *c = cli_commands; c->name; c++)
		completion_command(c);
	completion_words();
	printf("%s", completion_tail);
}
