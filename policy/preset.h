/* preset.h - presets: names for the hosts of well-known services
 * SPDX-License-Identifier: Apache-2.0
 *
 * A preset is a small data file, policy/presets/NAME.json:
 *
 *	{"name": "pypi", "title": "Python packages",
 *	 "rules": ["pypi.org", "files.pythonhosted.org"],
 *	 "deny_only": false,
 *	 "tool": {"program": "pip",
 *		  "files": ["~/.config/pip/pip.conf", "/etc/pip.conf"],
 *		  "ask": ["pip", "config", "list"], "format": "lines",
 *		  "watch": ["/etc/pip.conf"], "watch_env": ["PIP_*"],
 *		  "settings": [
 *			{"key": "global.index-url", "env": "PIP_INDEX_URL",
 *			 "url": true, "replaces": true},
 *			{"key": "global.cert", "env": "PIP_CERT",
 *			 "path": true}]}}
 *
 * "name" and "title" are required, everything else may be left out. Unknown
 * keys and wrong types are errors. Data files are compiled into the library
 * (preset_builtins, a generated table), a user's own folder comes on top.
 *
 * Theory of operation
 *
 * The value of a setting is looked for in this order; the first that has one
 * wins:
 *
 *	1. the caller's environment: the variable `env`, or that of another
 *	   setting with the same key (a pattern key has none there);
 *	2. `files`, in their order, read by us as INI: "[section]", "key =
 *	   value", "#" and ";" comments, a value goes on in indented lines.
 *	   The full key is "section.key", or "key" before the first section;
 *	3. the output of `ask`, run once in "/" and cached until a file of
 *	   `watch` or `files`, or a variable of `watch_env`, changes.
 *
 * A value that is empty, "null" or has "${" in it counts as none. Settings
 * with `url` give rules (preset_url_rule(), with +private) for every URL in
 * the value; with `replaces` and a value they take the place of the preset's
 * own `rules`, else they are added to them. Every setting with a value and an
 * `env` is handed in under that name: URLs stripped of credentials unless
 * asked otherwise, `secret` ones never unless asked, the file of a `path`
 * shown inside.
 *
 * This file parses and checks; reading files, asking tools and running is
 * core/preset.c. Never a file in the work dir: a payload could write it.
 */
#ifndef EXEAT_POLICY_PRESET_H
#define EXEAT_POLICY_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

/* What `ask` prints. */
enum preset_format {
	PRESET_JSON,  /* one object: key -> value (numbers, booleans as
			 * text; arrays: their strings, blank between) */
	PRESET_LINES, /* "key=value" lines; one pair of quotes round the
			 * value is not part of it */
	PRESET_URLS,  /* a URL a line, all under the key "url"; a line that
			 * is not an http(s) URL is skipped */
};

/* One setting of a package manager. */
struct preset_setting {
	char *key;     /* the tool's own name of it; one "*" in it
				 * stands for any text: "@*:registry" */
	char *env;     /* variable that holds it and hands it in, or
				 * NULL; "*" stands for the whole key */
	bool url;      /* URLs, between blanks, "," or "|" */
	bool path;     /* a file to show inside (CA) */
	bool secret;   /* never handed in unless asked for */
	bool replaces; /* instead of the preset's own rules */
};

/* Where a tool keeps its settings, as data. */
struct preset_tool {
	char *program; /* "npm" */
	char **files;  /* NULL-terminated, never NULL; "~/x" and
				 * "$VAR" or "$VAR/x" at the beginning are
				 * expanded, one whose variable is unset is
				 * skipped */
	char **ask;    /* argv, NULL-terminated; empty: never asked */
	enum preset_format format;
	char **watch;	  /* like `files`: ends the cached answer. A
				 * folder: its entries' names and times */
	char **watch_env; /* names; "*" at the end: all that begin so */
	struct preset_setting *settings;
	size_t nsettings;
};

struct preset {
	char *name, *title;
	char **rules; /* NULL-terminated, never NULL */
	bool deny_only;
	struct preset_tool *tool; /* NULL: data only */
};

/*
 * Every rule of `rules` is parsed and must be a plain one (no preset).
 * ERR_INVALID with "line L column C" or the key's path. *ret is filled only
 * on success.
 */
int preset_parse(const char *text, size_t len, struct preset *ret,
		 struct err *err);
void preset_done(struct preset *p);

/* The files compiled in, sorted: name and JSON text; NULL name ends it. */
struct preset_builtin {
	const char *name, *json;
};
extern const struct preset_builtin preset_builtins[];

/* Does the key of a tool belong to this setting? */
bool preset_key_matches(const struct preset_setting *s, const char *key);
/*
 * The variable that hands in `key` of this setting: `env` with "*" replaced.
 * False if there is none, or it does not fit, or the key holds "=" or
 * control characters.
 */
bool preset_env_name(const struct preset_setting *s, const char *key, char *ret,
		     size_t size);

/*
 * "https://user:pw@host:8443/path" -> rule text "host:8443" ("host" for 443
 * and 80, "tcp/1.2.3.4:80" for addresses), names with "+private" if asked (an
 * address needs none: a rule that names it opens it). False if it is not an
 * http(s) URL with a host.
 */
bool preset_url_rule(const char *url, bool private_ok, char *ret, size_t size);
/* The URL without "user:pw@". False if it is not a URL. */
bool preset_url_strip(const char *url, char *ret, size_t size);
/*
 * The next URL of a value that may hold several: borrowed start and length,
 * cursor advanced. False at the end.
 */
bool preset_next_url(const char **cursor, const char **ret, size_t *ret_len);

#endif
