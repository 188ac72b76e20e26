/* options.c - the parser that walks the table
 * SPDX-License-Identifier: Apache-2.0
 *
 * Words are read as getopt_long(3) reads them, but for one thing, because of
 * which it is not used: it takes every beginning of a long option that is no
 * other's, so that each new option could end a script that was right, or make
 * it say something else.
 */
#include "core/cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"

enum { FILE_MAX = 64 << 20 };

int cli_list_add(struct cli_list *l, const char *text)
{
	const char **texts = realloc(l->texts, (l->n + 2) * sizeof(*texts));

	if (!texts)
		return -ENOMEM;
	texts[l->n++] = text;
	texts[l->n] = NULL;
	l->texts = texts;
	return 0;
}

void cli_list_free(struct cli_list *l)
{
	free(l->texts);
	*l = (struct cli_list){ 0 };
}

int cli_keep(char *take_text)
{
	/* options point into them until the end: nobody frees them */
	static struct cli_list kept;
	int r = cli_list_add(&kept, take_text);

	if (r < 0)
		free(take_text);
	return r;
}

int cli_fail(int status, const struct err *err)
{
	char text[1024];

	(void)fprintf(stderr, "exeat: %s\n", err_str(err, text, sizeof(text)));
	return status;
}

/* ---- parsing ---- */

static const struct cli_option *find(const struct cli_option *o,
				     const char *name, size_t len, char letter)
{
	for (; o->type != CLI_END; o++) {
		if (letter && o->letter == letter)
			return o;
		if (!letter && strlen(o->name) == len &&
		    memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

/* What stands before ":best-effort", and whether that is there. */
static bool limit_store(enum cli_type type, const char *value,
			struct cli_limit *ret)
{
	static const char effort[] = ":best-effort";
	size_t len = strcspn(value, ":");
	const char *at;
	char text[64];

	if (len >= sizeof(text))
		return false;
	memcpy(text, value, len);
	text[len] = '\0';
	ret->best_effort = strcmp(value + len, effort) == 0;
	if (value[len] != '\0' && !ret->best_effort)
		return false;
	at = text;
	if (type == CLI_MEMORY)
		return num_size(text, &ret->n) && ret->n > 0;
	if (type == CLI_CPUS)
		return num_thousandths(text, &ret->n) && ret->n > 0;
	return num_parse_u64(&at, UINT64_MAX, &ret->n) && *at == '\0' &&
	       ret->n > 0;
}

static int store(const struct cli_option *o, const char *value, void *ret,
		 struct err *err)
{
	void *field = (char *)ret + o->offset;

	switch (o->type) {
	case CLI_FLAG:
		*(bool *)field = true;
		return 0;
	case CLI_TEXT:
		*(const char **)field = value;
		return 0;
	case CLI_LIST:
		if (cli_list_add(field, value) < 0)
			return err_sys(err, ENOMEM, "option", "--%s", o->name);
		return 0;
	case CLI_DURATION:
	case CLI_DURATION_ANY:
		if (num_duration_ms(value, field) &&
		    (o->type == CLI_DURATION_ANY || *(int64_t *)field > 0))
			return 0;
		return err_new(err, ERR_INVALID, "option", value,
			       "--%s takes seconds, or 90s, 5m, 1h", o->name);
	case CLI_SIZE:
	case CLI_SIZE_ANY:
		if (num_size(value, field) &&
		    (o->type == CLI_SIZE_ANY || *(uint64_t *)field > 0))
			return 0;
		return err_new(err, ERR_INVALID, "option", value,
			       "--%s takes bytes, or 64K, 10M, 1G", o->name);
	case CLI_COUNT:
		if (num_parse_u64(&value, UINT64_MAX, field) &&
		    *value == '\0' && *(uint64_t *)field > 0)
			return 0;
		return err_new(err, ERR_INVALID, "option", value,
			       "--%s takes a number, at least 1", o->name);
	case CLI_MEMORY:
	case CLI_CPUS:
	case CLI_PIDS:
		if (limit_store(o->type, value, field))
			return 0;
		return err_new(err, ERR_INVALID, "option", value,
			       "--%s takes %s, also with \":best-effort\"",
			       o->name,
			       o->type == CLI_MEMORY ? "bytes, or 64M, 1G" :
			       o->type == CLI_CPUS   ? "processors: 2, or 0.5" :
						       "a number");
	case CLI_END:
		break;
	}
	return err_new(err, ERR_INTERNAL, "option", o->name, "no type");
}

/* The option's value is `value` (NULL: there was none with it), or else the
 * word behind argv[i]. Returns how many words it took. */
static int take(const struct cli_option *o, const char *value, int argc,
		char *argv[], int i, void *ret, struct err *err)
{
	bool is_next = o->type != CLI_FLAG && !value;
	int r;

	if (is_next && i + 1 >= argc)
		return err_new(err, ERR_INVALID, "option", argv[i],
			       "needs a value: %s", o->value);
	r = store(o, is_next ? argv[i + 1] : value, ret, err);
	return r < 0 ? r : 1 + is_next;
}

/* "--name", "--name=VALUE", "--name" and "VALUE". */
static int parse_long(const struct cli_command *c, int argc, char *argv[],
		      int i, void *ret, struct err *err)
{
	const char *name = argv[i] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct cli_option *o = find(c->options, name, len, '\0');

	if (!o)
		return err_new(err, ERR_INVALID, "option", argv[i],
			       "unknown; see exeat %s --help", c->name);
	if (o->type == CLI_FLAG && value)
		return err_new(err, ERR_INVALID, "option", argv[i],
			       "takes no value");
	return take(o, value, argc, argv, i, ret, err);
}

_Noreturn static void help(const struct cli_command *c)
{
	cli_help(c);
	exit(EXIT_SUCCESS);
}

/* "-x", "-xy", and of the first that has one: "-xVALUE", "-x" and "VALUE". */
static int parse_letters(const struct cli_command *c, int argc, char *argv[],
			 int i, void *ret, struct err *err)
{
	for (const char *p = argv[i] + 1; *p != '\0'; p++) {
		const struct cli_option *o = find(c->options, NULL, 0, *p);
		int r;

		if (!o && *p == 'h')
			help(c);
		if (!o)
			return err_new(err, ERR_INVALID, "option", argv[i],
				       "unknown%s; see exeat %s --help",
				       argv[i][2] ? " letter in it" : "",
				       c->name);
		if (o->type != CLI_FLAG)
			return take(o, p[1] ? p + 1 : NULL, argc, argv, i, ret,
				    err);
		r = take(o, NULL, argc, argv, i, ret, err);
		if (r < 0)
			return r;
	}
	return 1;
}

int cli_parse(const struct cli_command *c, int argc, char *argv[], void *ret,
	      struct err *err)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		int r;

		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		if (strcmp(argv[i], "--help") == 0)
			help(c);
		r = argv[i][1] == '-' ?
			    parse_long(c, argc, argv, i, ret, err) :
			    parse_letters(c, argc, argv, i, ret, err);
		if (r < 0)
			return r;
		i += r;
	}
	return i;
}

/* ---- files ---- */

int cli_read_file(const char *option, const char *path, const char **ret,
		  struct err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	char *text;
	size_t len;
	int r = fd_read_file(AT_FDCWD, is_stdin ? "/dev/stdin" : path, FILE_MAX,
			     &text, &len);

	if (r < 0)
		return err_sys(err, -r, option, "%s", path);
	if (strlen(text) != len) {
		free(text);
		return err_new(err, ERR_INVALID, option, path,
			       "has a NUL byte in it");
	}
	*ret = text;
	return cli_keep(text) < 0 ? err_sys(err, ENOMEM, option, "%s", path) :
				    0;
}

int cli_list_file(struct cli_list *l, const char *option, const char *path,
		  struct err *err)
{
	const char *text = NULL;
	char *line, *rest;
	int r = cli_read_file(option, path, &text, err);

	if (r < 0)
		return r;
	/* ours: nobody else sees the text, so it may be cut into lines */
	rest = (char *)(uintptr_t)text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "#\r")] = '\0';
		line += strspn(line, " \t");
		for (size_t n = strlen(line);
		     n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'); n--)
			line[n - 1] = '\0';
		if (*line != '\0' && cli_list_add(l, line) < 0)
			return err_sys(err, ENOMEM, option, "%s", path);
	}
	if (!l->texts) {
		l->texts = calloc(1, sizeof(*l->texts));
		if (!l->texts)
			return err_sys(err, ENOMEM, option, "%s", path);
	}
	return 0;
}
