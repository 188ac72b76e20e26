/* preset.c - presets in action: from "@name" to rules and settings
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	find	the user's folder first, then what is compiled in
 *	values	of each setting: the caller's environment, files that we read,
 *		the tool's answer (preset_ask.c), in this order
 *	use	URLs become rules with +private; variables are handed in,
 *		stripped of credentials; files of CAs are shown
 *
 * policy/preset.h describes the data. What a payload could have written is not
 * believed: everything below the work dir.
 */
#include "core/preset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/base/limits.h"
#include "core/preset_private.h"
#include "policy/rule.h"

enum {
	NAME_MAX_LEN = 64,
	FILES_MAX = 16,	  /* settings files of one tool */
	RULES_MAX = 1024, /* of one preset */
};

static const char step[] = "resolve preset";

/* Append, unless it is there. */
static int add(struct list *l, const char *text)
{
	return l->n < RULES_MAX ? list_add_once(l, text) : -E2BIG;
}

/* ---- find ---- */

/* Other names are the rule parser's to complain about. */
static bool good_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n <= NAME_MAX_LEN && name[n] == '\0';
}

/* The user's presets, or NULL: none, or where a payload could write. */
static char *user_folder(const char *work_dir)
{
	cleanup_free char *folder =
		preset_own_folder("XDG_CONFIG_HOME", ".config");
	char *path;

	if (!folder || preset_is_below(work_dir, folder) ||
	    asprintf(&path, "%s/presets", folder) < 0)
		return NULL;
	return path;
}

static int parse(const char *name, const char *text, size_t len,
		 const char *where, struct preset *ret, struct err *err)
{
	int r = preset_parse(text, len, ret, err);

	if (r < 0) {
		err_prefix(err, "%s", where);
		return r;
	}
	if (strcmp(ret->name, name) == 0)
		return 0;
	preset_done(ret);
	return err_new(err, ERR_INVALID, step, where,
		       "its name is not that of its file");
}

static int unknown(const char *name, struct err *err)
{
	char object[NAME_MAX_LEN + 2];
	char **names = NULL;
	struct sbuf list;
	int r;

	sbuf_init(&list, sizeof(((struct err *)NULL)->message));
	if (preset_names(&names) == 0)
		for (char **n = names; n && *n; n++)
			sbuf_fmt(&list, " @%s", *n);
	(void)snprintf(object, sizeof(object), "@%s", name);
	r = err_new(err, ERR_INVALID, step, object,
		    "no such preset; there are%s", list.s ? list.s : " none");
	sbuf_done(&list);
	preset_names_free(names);
	return r;
}

static int find(const char *name, const char *work_dir, struct preset *ret,
		struct err *err)
{
	cleanup_free char *folder = user_folder(work_dir), *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	if (folder) {
		(void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
		r = fd_read_file(AT_FDCWD, path, PRESET_FILE_MAX, &text, &len);
		if (r == 0 && !preset_is_below(work_dir, path))
			return parse(name, text, len, path, ret, err);
		if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -EACCES)
			return err_sys(err, -r, step, "%s", path);
	}
	for (const struct preset_builtin *b = preset_builtins; b->name; b++)
		if (strcmp(b->name, name) == 0)
			return parse(name, b->json, strlen(b->json), name, ret,
				     err);
	return unknown(name, err);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int preset_names(char ***ret)
{
	cleanup_free char *folder = user_folder(NULL);
	DIR *dir = folder ? opendir(folder) : NULL;
	struct list names = { 0 };
	struct dirent *e;
	int r = 0;

	for (const struct preset_builtin *b = preset_builtins;
	     r == 0 && b->name; b++)
		r = add(&names, b->name);
	while (dir && r == 0 && (e = readdir(dir))) {
		size_t n = strlen(e->d_name);
		char name[NAME_MAX_LEN + 1];

		if (n < 6 || n - 5 > NAME_MAX_LEN ||
		    strcmp(e->d_name + n - 5, ".json") != 0)
			continue;
		memcpy(name, e->d_name, n - 5);
		name[n - 5] = '\0';
		if (good_name(name))
			r = add(&names, name);
	}
	if (dir)
		(void)closedir(dir);
	if (r < 0) {
		list_free(&names);
		return r;
	}
	if (names.n > 0)
		qsort(names.texts, names.n, sizeof(*names.texts),
		      compare_names);
	*ret = names.texts;
	return 0;
}

void preset_names_free(char **names)
{
	texts_free(names);
}

/* ---- one preset being resolved ---- */

struct resolver {
	const char *work_dir;
	bool with_credentials;
	bool hands_in; /* not for a deny list */
	bool any_side; /* a deny-only one will do */
	struct preset preset;
	struct list rules;	/* from settings */
	bool replaced;		/* instead of the preset's own */
	struct list env, files; /* of the whole set */
	struct preset_values of_file[FILES_MAX];
	size_t nfiles;
	struct preset_values answer;
	bool asked;
	int ask_result; /* and why, if the tool is needed: */
	struct err ask_err;
};

static void resolver_done(struct resolver *rs)
{
	preset_done(&rs->preset);
	list_free(&rs->rules);
	for (size_t i = 0; i < rs->nfiles; i++)
		preset_values_done(&rs->of_file[i]);
	preset_values_done(&rs->answer);
}

/* The values of every settings file, each by itself: the first file that
 * says something holds. */
static int read_files(struct resolver *rs, struct err *err)
{
	char **f = rs->preset.tool->files;
	int r;

	for (; *f && rs->nfiles < FILES_MAX; f++) {
		cleanup_free char *path = preset_expand(*f), *text = NULL;

		if (!path || preset_is_below(rs->work_dir, path))
			continue;
		r = fd_read_file(AT_FDCWD, path, PRESET_FILE_MAX, &text, NULL);
		if (r < 0)
			continue; /* as if it were not there */
		r = preset_values_ini(text, &rs->of_file[rs->nfiles++]);
		if (r == -ENOMEM)
			return err_sys(err, ENOMEM, step, "%s", path);
		if (r < 0)
			return err_new(err, ERR_INVALID, step, path,
				       "not a settings file: %s",
				       strerrordesc_np(-r));
	}
	return 0;
}

static const struct preset_values *answer_of(struct resolver *rs)
{
	if (!rs->asked && rs->preset.tool->ask[0])
		rs->ask_result = preset_ask(&rs->preset, rs->work_dir,
					    &rs->answer, &rs->ask_err);
	rs->asked = true;
	return &rs->answer;
}

/* ---- use ---- */

/*
 * A value without the credentials of its URLs. What stands between them
 * stays. Heap, or NULL.
 */
static char *stripped(const char *value)
{
	const char *cursor = value, *kept = value, *url;
	struct sbuf b;
	size_t len;

	sbuf_init(&b, PRESET_FILE_MAX);
	while (preset_next_url(&cursor, &url, &len)) {
		cleanup_free char *one = strndup(url, len);
		char clean[4096];

		if (!one) {
			b.bad = true;
			break;
		}
		sbuf_add(&b, kept, (size_t)(url - kept));
		kept = url + len;
		if (preset_url_strip(one, clean, sizeof(clean)))
			sbuf_str(&b, clean);
		else if (!strchr(one, '@'))
			sbuf_str(&b, one);
		/* else: an odd form that might hold some, dropped */
	}
	sbuf_str(&b, kept);
	return sbuf_steal(&b);
}

static int add_rules(struct resolver *rs, const char *value, bool *ret_any)
{
	const char *cursor = value, *url;
	size_t len;
	int r = 0;

	*ret_any = false;
	while (r == 0 && preset_next_url(&cursor, &url, &len)) {
		cleanup_free char *one = strndup(url, len);
		char rule[LIMIT_RULE_TEXT];

		if (!one)
			return -ENOMEM;
		if (!preset_url_rule(one, true, rule, sizeof(rule)))
			continue;
		*ret_any = true;
		r = add(&rs->rules, rule);
	}
	return r;
}

static int hand_in(struct resolver *rs, const struct preset_setting *s,
		   const char *key, const char *value)
{
	cleanup_free char *clean = NULL, *text = NULL;
	char name[256];

	if (!preset_env_name(s, key, name, sizeof(name)))
		return 0;
	if (s->secret && !rs->with_credentials)
		return 0;
	if (s->url && !rs->with_credentials) {
		clean = stripped(value);
		if (!clean)
			return -ENOMEM;
		value = clean;
	}
	if (asprintf(&text, "%s=%s", name, value) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return add(&rs->env, text);
}

static int use(struct resolver *rs, const struct preset_setting *s,
	       const char *key, const char *value)
{
	bool any = false;
	int r = 0;

	if (s->url)
		r = add_rules(rs, value, &any);
	if (any && s->replaces)
		rs->replaced = true;
	if (r < 0 || !rs->hands_in)
		return r;
	r = hand_in(rs, s, key, value);
	/* a file that is not there is the tool's to complain about */
	if (r == 0 && s->path && *value == '/' && access(value, R_OK) == 0)
		r = add(&rs->files, value);
	return r;
}

/* Every key that fits a pattern, once: the first place that has it holds. */
static int use_pattern(struct resolver *rs, const struct preset_setting *s)
{
	struct preset_values seen = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i <= rs->nfiles; i++) {
		const struct preset_values *v =
			i < rs->nfiles ? &rs->of_file[i] : answer_of(rs);

		for (size_t k = 0; r == 0 && k < v->n; k++) {
			const char *key = v->v[k].key;

			if (!preset_key_matches(s, key) ||
			    preset_values_get(&seen, key))
				continue;
			r = preset_values_add(&seen, key, "seen");
			if (r == 0)
				r = use(rs, s, key, v->v[k].value);
		}
	}
	preset_values_done(&seen);
	return r;
}

/* Its own variable, or one that says the same to another tool. */
static const char *from_environment(const struct resolver *rs,
				    const struct preset_setting *s)
{
	const struct preset_tool *t = rs->preset.tool;
	const char *value = s->env ? getenv(s->env) : NULL;

	for (size_t i = 0; preset_value_is_none(value) && i < t->nsettings; i++)
		if (t->settings[i].env &&
		    strcmp(t->settings[i].key, s->key) == 0)
			value = getenv(t->settings[i].env);
	return preset_value_is_none(value) ? NULL : value;
}

static int use_setting(struct resolver *rs, const struct preset_setting *s)
{
	const char *value;

	if (strchr(s->key, '*'))
		return use_pattern(rs, s);
	value = from_environment(rs, s);
	for (size_t i = 0; !value && i < rs->nfiles; i++)
		value = preset_values_get(&rs->of_file[i], s->key);
	if (!value)
		value = preset_values_get(answer_of(rs), s->key);
	return value ? use(rs, s, s->key, value) : 0;
}

/* ---- one preset ---- */

static int take_rules(struct resolver *rs, struct policy_preset *ret)
{
	char **own = rs->preset.rules;
	int r = 0;

	for (; r == 0 && !rs->replaced && *own; own++)
		r = add(&rs->rules, *own);
	if (r < 0)
		return r;
	ret->name = rs->preset.name;
	ret->deny_only = rs->preset.deny_only;
	ret->nrules = rs->rules.n;
	/* both are the set's now */
	ret->rules = (const char *const *)list_take(&rs->rules).texts;
	rs->preset.name = NULL;
	return 0;
}

static int use_settings(struct resolver *rs, struct err *err)
{
	const struct preset_tool *t = rs->preset.tool;
	int r = read_files(rs, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->nsettings; i++) {
		r = use_setting(rs, &t->settings[i]);
		if (r < 0)
			return err_sys(err, -r, step, "@%s", rs->preset.name);
	}
	return 0;
}

static int resolve(struct resolver *rs, const char *name,
		   struct policy_preset *ret, struct err *err)
{
	char object[NAME_MAX_LEN + 2];
	int r = find(name, rs->work_dir, &rs->preset, err);

	if (r < 0)
		return r;
	(void)snprintf(object, sizeof(object), "@%s", name);
	if (rs->hands_in && !rs->any_side && rs->preset.deny_only) {
		r = err_new(err, ERR_INVALID, step, object,
			    "it is for deny lists only");
		err_remedy(err, "--deny %s", object);
		return r;
	}
	r = rs->preset.tool ? use_settings(rs, err) : 0;
	if (r < 0)
		return r;
	if (!*rs->preset.rules && rs->rules.n == 0) {
		/* everything hangs on the tool, and it gave nothing */
		if (rs->ask_result < 0) {
			if (err)
				*err = rs->ask_err;
			return rs->ask_result;
		}
		return err_new(err, ERR_UNAVAILABLE, step, object,
			       "%s names no server",
			       rs->preset.tool ? rs->preset.tool->program :
						 "it");
	}
	r = take_rules(rs, ret);
	return r < 0 ? err_sys(err, -r, step, "%s", object) : 0;
}

/* ---- the set ---- */

static bool is_there(const struct preset_set *s, const char *name)
{
	for (size_t i = 0; i < s->npresets; i++)
		if (strcmp(s->presets[i].name, name) == 0)
			return true;
	return false;
}

static int add_preset(struct preset_set *s, const char *name,
		      struct resolver *rs, struct err *err)
{
	struct policy_preset *bigger;
	int r;

	bigger = reallocarray(s->presets, s->npresets + 1, sizeof(*bigger));
	if (!bigger)
		return err_sys(err, ENOMEM, step, "@%s", name);
	s->presets = bigger;
	rs->env = s->env;
	rs->files = s->files;
	r = resolve(rs, name, &bigger[s->npresets], err);
	s->env = rs->env;
	s->files = rs->files;
	if (r == 0)
		s->npresets++;
	return r;
}

/* `how`: what a resolver starts with. */
static int add_named(struct preset_set *s, const char *name,
		     const struct resolver *how, struct err *err)
{
	struct resolver *rs;
	int r;

	if (!good_name(name) || is_there(s, name))
		return 0;
	rs = malloc(sizeof(*rs));
	if (!rs)
		return err_sys(err, ENOMEM, step, "@%s", name);
	*rs = *how;
	r = add_preset(s, name, rs, err);
	resolver_done(rs);
	free(rs);
	return r;
}

int preset_set_make_for(const char *work_dir, const char *const *allow,
			const char *const *deny, bool with_credentials,
			struct preset_set *ret, struct err *err)
{
	struct resolver how = {
		.work_dir = work_dir,
		.with_credentials = with_credentials,
	};
	const char *const *lists[] = { allow, deny };
	struct preset_set s = { 0 };
	int r = 0;

	for (size_t i = 0; i < 2; i++) {
		how.hands_in = i == 0;
		for (const char *const *t = lists[i]; r == 0 && t && *t; t++)
			if (**t == '@')
				r = add_named(&s, *t + 1, &how, err);
	}
	if (r < 0) {
		preset_set_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int preset_set_make(const char *const *allow, const char *const *deny,
		    bool with_credentials, struct preset_set *ret,
		    struct err *err)
{
	return preset_set_make_for(NULL, allow, deny, with_credentials, ret,
				   err);
}

int preset_set_make_one(const char *name, struct preset_set *ret,
			struct err *err)
{
	const struct resolver how = { .hands_in = true, .any_side = true };
	struct preset_set s = { 0 };
	int r = good_name(name) ? add_named(&s, name, &how, err) :
				  unknown(name, err);

	if (r < 0)
		preset_set_done(&s);
	else
		*ret = s;
	return r;
}

int preset_describe(const char *name, char **ret_title, bool *ret_deny_only,
		    struct err *err)
{
	struct preset p = { 0 };
	int r = good_name(name) ? find(name, NULL, &p, err) :
				  unknown(name, err);

	if (r < 0)
		return r;
	*ret_title = p.title;
	*ret_deny_only = p.deny_only;
	p.title = NULL;
	preset_done(&p);
	return 0;
}

void preset_set_done(struct preset_set *s)
{
	for (size_t i = 0; i < s->npresets; i++) {
		free((char *)(uintptr_t)s->presets[i].name);
		texts_free((char **)(uintptr_t)s->presets[i].rules);
	}
	free(s->presets);
	list_free(&s->env);
	list_free(&s->files);
	*s = (struct preset_set){ 0 };
}
