/* preset.h - presets: names for the hosts of well-known services
 * SPDX-License-Identifier: Apache-2.0
 *
 * A preset is a small data file, policy/presets/NAME.json:
 *
 *	{"name": "pypi", "title": "Python packages",
 *	 "rules": ["pypi.org", "files.pythonhosted.org"],
 *	 "deny_only": false,
 *	 "tool": {...}}		how its package manager is configured
 *
 * Data files are compiled into the library (generated table), a user's own
 * folder comes on top. This file parses and checks; reading files, asking
 * tools and making URLs to rules is core/preset.c.
 */
#ifndef EXEAT_POLICY_PRESET_H
#define EXEAT_POLICY_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/err.h"

/* One setting of a package manager. */
struct preset_setting {
	char *key;		/* "registry": the tool's own name of it */
	char *env;		/* variable that hands it in, or NULL */
	bool url;		/* a URL (or several): its host is allowed */
	bool path;		/* a file to show inside (CA) */
	bool secret;		/* never handed in without --with-credentials */
};

/* Where a tool keeps its settings, as data. */
struct preset_tool {
	char *program;		/* "npm" */
	char **ask;		/* argv whose output gives the settings, or NULL */
	char *format;		/* of the output: "json", "lines", "urls" */
	char **watch;		/* files whose change ends the cached answer; "~/"
				 * and "$VAR" allowed */
	char **watch_env;	/* variables likewise; prefix with "*" at end */
	struct preset_setting *settings;
	size_t nsettings;
};

struct preset {
	char *name, *title;
	char **rules;		/* NULL-terminated */
	bool deny_only;
	struct preset_tool *tool;	/* NULL: data only */
};

int preset_parse(const char *text, size_t len, struct preset *ret,
		 struct err *err);
void preset_done(struct preset *p);

/* The files compiled in: name and JSON text; NULL name ends the table. */
struct preset_builtin {
	const char *name, *json;
};
extern const struct preset_builtin preset_builtins[];

/*
 * "https://user:pw@host:8443/path" -> rule text "host:8443" (or "host" for 443
 * and 80, "tcp/1.2.3.4:80" for addresses), with "+private" if asked. False
 * if it is not an http(s) URL with a host.
 */
bool preset_url_rule(const char *url, bool private_ok, char *ret, size_t size);
/* The URL without "user:pw@". False if it is not a URL. */
bool preset_url_strip(const char *url, char *ret, size_t size);

#endif
