/* upstream.c - --upstream-proxy: a URL, a file with one, or the environment
 * SPDX-License-Identifier: Apache-2.0
 *
 * There is no standard for proxy variables, but a habit: lower case before
 * upper, a value without a scheme is http://, the entries of no_proxy stand
 * between commas, and a name there means what is below it too.
 */
#include "core/cli/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"

static const char OPTION[] = "--upstream-proxy";

static int no_memory(struct err *err)
{
	return err_sys(err, ENOMEM, "option", "%s", OPTION);
}

/* A text that is kept; NULL: no memory. */
static const char *kept(char *take_text)
{
	return take_text && cli_keep(take_text) == 0 ? take_text : NULL;
}

static const char *variable(const char *lower, const char *upper)
{
	const char *value = getenv(lower);

	if (!value || !*value)
		value = getenv(upper);
	return value && *value ? value : NULL;
}

/* ---- a file ---- */

static int from_file(const char *path, const char **ret, struct err *err)
{
	const char *text = NULL;
	char *line;
	int r = cli_read_file(OPTION, path, &text, err);

	if (r < 0)
		return r;
	line = strndup(text, strcspn(text, "\r\n"));
	*ret = kept(line);
	if (!*ret)
		return no_memory(err);
	if (!**ret)
		return err_new(err, ERR_INVALID, OPTION, path,
			       "its first line is empty");
	return 0;
}

/* ---- the environment ---- */

static int add(struct cli_list *direct, char *take_text)
{
	const char *text = kept(take_text);

	return text && cli_list_add(direct, text) == 0 ? 0 : -ENOMEM;
}

/* These never leave a sandbox, with or without a proxy. */
static bool is_local(const char *entry)
{
	return strncmp(entry, "localhost", 9) == 0 ||
	       strncmp(entry, "127.", 4) == 0 || strcmp(entry, "::1") == 0 ||
	       strcmp(entry, "[::1]") == 0;
}

/* Does it look like an address or a range of them? */
static bool is_numbers(const char *entry)
{
	return strchr(entry, '/') || *entry == '[' ||
	       strchr(entry, ':') != strrchr(entry, ':') ||
	       entry[strspn(entry, "0123456789.:")] == '\0';
}

/* One entry as the rules that say the same. */
static int add_entry(struct cli_list *direct, const char *entry)
{
	char *below;

	if (is_local(entry))
		return 0;
	if (strcmp(entry, "*") == 0)
		return add(direct, strdup("*")) < 0 ||
				       add(direct, strdup("0.0.0.0/0")) < 0 ||
				       add(direct, strdup("::/0")) < 0 ?
			       -ENOMEM :
			       0;
	if (is_numbers(entry) || *entry == '*')
		return add(direct, strdup(entry));
	if (*entry != '.' && add(direct, strdup(entry)) < 0)
		return -ENOMEM;
	if (asprintf(&below, "*%s%s", *entry == '.' ? "" : ".", entry) < 0)
		return -ENOMEM;
	return add(direct, below);
}

static int add_exceptions(const char *text, struct cli_list *direct)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t len = strcspn(text, ", \t");
		char *entry = strndup(text, len);

		if (!entry)
			return -ENOMEM;
		if (len)
			r = add_entry(direct, entry);
		free(entry);
		text += len + strspn(text + len, ", \t");
	}
	return r;
}

static int with_scheme(const char *value, const char **ret, struct err *err)
{
	char *url;

	*ret = value;
	if (strstr(value, "://"))
		return 0;
	if (asprintf(&url, "http://%s", value) < 0)
		return no_memory(err);
	*ret = kept(url);
	return *ret ? 0 : no_memory(err);
}

static void say_exceptions(const struct cli_list *direct, size_t from)
{
	char shown[1024];

	for (size_t i = from; i < direct->n; i++)
		(void)fprintf(stderr, "exeat: not by the proxy: %s\n",
			      text_shown(direct->texts[i], shown,
					 sizeof(shown)));
}

static int from_env(const char **ret, struct cli_list *direct, bool quiet,
		    struct err *err)
{
	const char *https = variable("https_proxy", "HTTPS_PROXY");
	const char *http = variable("http_proxy", "HTTP_PROXY");
	const char *all = variable("all_proxy", "ALL_PROXY");
	const char *no = variable("no_proxy", "NO_PROXY");
	const char *value = https ? https : http ? http : all;
	const size_t from = direct->n;

	*ret = NULL;
	if (https && http && strcmp(https, http) != 0)
		return err_new(err, ERR_INVALID, OPTION, "env",
			       "http_proxy and https_proxy name different "
			       "proxies; say which one, as a URL or @FILE");
	if (!value)
		return err_new(err, ERR_INVALID, OPTION, "env",
			       "none of https_proxy, http_proxy, all_proxy is "
			       "set");
	if (no && add_exceptions(no, direct) < 0)
		return no_memory(err);
	if (!quiet)
		say_exceptions(direct, from);
	return with_scheme(value, ret, err);
}

int cli_upstream(const char **value, struct cli_list *direct, bool quiet,
		 struct err *err)
{
	if (!*value)
		return 0;
	if (**value == '@')
		return from_file(*value + 1, value, err);
	if (strcmp(*value, "env") == 0)
		return from_env(value, direct, quiet, err);
	return 0;
}
