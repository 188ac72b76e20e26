/* preset_ask.c - asking a tool for its settings, and remembering the answer
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A package manager takes half a second to say where it fetches from, so an
 * answer is kept in the user's cache folder under a key: a digest of all that
 * it depends on (the program, the question, the watched files and folders, the
 * watched variables). A file with another key is an old answer and replaced;
 * one that cannot be read or parsed is none. Only the keys that the preset
 * names are kept, never the whole answer.
 *
 * The digest is no signature: who may write the cache may write the settings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "core/base/fd.h"
#include "core/preset_private.h"

extern char **environ;

enum { FORMAT_VERSION = 1 };

static const char step[] = "ask package manager";

/* ---- the key ---- */

/* FNV-1a, 64 bits: over texts with their ends, so that none runs into the
 * next. */
static void digest_bytes(uint64_t *d, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*d ^= p[i];
		*d *= UINT64_C(1099511628211);
	}
}

static void digest_text(uint64_t *d, const char *text)
{
	digest_bytes(d, text, strlen(text) + 1);
}

static void digest_stat(uint64_t *d, const struct stat *st)
{
	const int64_t facts[] = {
		(int64_t)st->st_dev,	     (int64_t)st->st_ino,
		(int64_t)st->st_size,	     (int64_t)st->st_mode,
		(int64_t)st->st_mtim.tv_sec, (int64_t)st->st_mtim.tv_nsec,
		(int64_t)st->st_ctim.tv_sec, (int64_t)st->st_ctim.tv_nsec,
	};

	digest_bytes(d, facts, sizeof(facts));
}

/* The entries of a folder, in whatever order: their digests are added. */
static void digest_folder(uint64_t *d, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	uint64_t sum = 0;

	while (dir && (e = readdir(dir))) {
		uint64_t one = 0;
		struct stat st;

		if (e->d_name[0] == '.' ||
		    fstatat(dirfd(dir), e->d_name, &st, 0) < 0)
			continue;
		digest_text(&one, e->d_name);
		digest_stat(&one, &st);
		sum += one;
	}
	if (dir)
		(void)closedir(dir);
	digest_bytes(d, &sum, sizeof(sum));
}

static void digest_file(uint64_t *d, const char *path)
{
	struct stat st;

	digest_text(d, path);
	if (stat(path, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		digest_folder(d, path);
	else
		digest_stat(d, &st);
}

/* Does a variable belong to a watched name ("*" at the end: all of it)? */
static bool is_watched(char *const *names, const char *variable)
{
	size_t len = strcspn(variable, "=");

	for (; *names; names++) {
		size_t n = strlen(*names);
		bool star = n > 0 && (*names)[n - 1] == '*';

		if (star ? len >= n - 1 &&
				    strncmp(variable, *names, n - 1) == 0 :
			   len == n && strncmp(variable, *names, n) == 0)
			return true;
	}
	return false;
}

/* All that decides what the tool answers. */
static uint64_t make_key(const struct preset_tool *t, const char *program)
{
	uint64_t d = UINT64_C(14695981039346656037) + FORMAT_VERSION;
	char *const *lists[] = { t->watch, t->files };
	char real[PATH_MAX];

	digest_file(&d, realpath(program, real) ? real : program);
	for (char **a = t->ask; *a; a++)
		digest_text(&d, *a);
	for (size_t i = 0; i < 2; i++) {
		for (char *const *w = lists[i]; *w; w++) {
			cleanup_free char *path = preset_expand(*w);

			digest_text(&d, *w);
			if (path)
				digest_file(&d, path);
		}
	}
	for (size_t i = 0; environ && environ[i]; i++)
		if (is_watched(t->watch_env, environ[i]))
			digest_text(&d, environ[i]);
	for (size_t i = 0; i < t->nsettings; i++)
		digest_text(&d, t->settings[i].key);
	return d;
}

/* ---- the cache ---- */

/* The file of a preset in the cache, or NULL if there is no place for it. */
static char *cache_path(const struct preset *p, const char *work_dir)
{
	cleanup_free char *folder =
		preset_own_folder("XDG_CACHE_HOME", ".cache");
	char *path;

	if (!folder || preset_is_below(work_dir, folder) ||
	    asprintf(&path, "%s/preset-%s.json", folder, p->name) < 0)
		return NULL;
	return path;
}

static void key_text(uint64_t key, char ret[17])
{
	(void)snprintf(ret, 17, "%016" PRIx64, key);
}

/* 0, or -ENOENT for every kind of unusable. */
static int cache_load(const char *path, uint64_t key, struct preset_values *ret)
{
	cleanup_free char *text = NULL;
	const char *name;
	json_t *root, *values, *value;
	char want[17];
	int r = -ENOENT;

	if (fd_read_file(AT_FDCWD, path, PRESET_ANSWER_MAX, &text, NULL) < 0)
		return r;
	key_text(key, want);
	root = json_loads(text, 0, NULL);
	name = json_string_value(json_object_get(root, "key"));
	values = json_object_get(root, "values");
	if (name && strcmp(name, want) == 0 && json_is_object(values)) {
		r = 0;
		json_object_foreach(values, name, value)
			if (r == 0 && json_is_string(value))
				r = preset_values_add(ret, name,
						      json_string_value(value));
	}
	json_decref(root);
	if (r < 0)
		preset_values_done(ret);
	return r < 0 ? -ENOENT : 0;
}

static char *cache_text(uint64_t key, const struct preset_values *values)
{
	json_t *root = json_object(), *object = json_object();
	char text[17], *out;

	key_text(key, text);
	for (size_t i = 0; i < values->n; i++)
		(void)json_object_set_new(object, values->v[i].key,
					  json_string(values->v[i].value));
	(void)json_object_set_new(root, "key", json_string(text));
	(void)json_object_set_new(root, "values", object);
	out = json_dumps(root, JSON_SORT_KEYS);
	json_decref(root);
	return out;
}

static bool write_whole(const char *path, const char *text)
{
	cleanup_fd int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0;
}

/* Not to be able to remember is no failure. */
static void cache_store(const char *path, uint64_t key,
			const struct preset_values *values)
{
	cleanup_free char *text = cache_text(key, values), *temporary = NULL,
			  *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!text || !slash)
		return;
	*slash = '\0';
	if (mkdir(folder, 0700) < 0 && errno == ENOENT) {
		slash = strrchr(folder, '/');
		*slash = '\0';
		(void)mkdir(folder, 0700); /* ~/.cache */
		*slash = '/';
		(void)mkdir(folder, 0700);
	}
	if (asprintf(&temporary, "%s.%d.%" PRIx64, path, getpid(),
		     (uint64_t)clock_us()) < 0) {
		temporary = NULL;
		return;
	}
	if (!write_whole(temporary, text) || rename(temporary, path) < 0)
		(void)unlink(temporary);
}

/* ---- asking ---- */

/* A watched file that a payload could have written. */
static int check_watched(const struct preset *p, const char *work_dir,
			 struct err *err)
{
	char *const *lists[] = { p->tool->watch, p->tool->files };
	int r;

	for (size_t i = 0; i < 2; i++) {
		for (char *const *w = lists[i]; *w; w++) {
			cleanup_free char *path = preset_expand(*w);

			if (!path || access(path, F_OK) < 0 ||
			    !preset_is_below(work_dir, path))
				continue;
			r = err_new(
				err, ERR_UNAVAILABLE, step, path,
				"settings in the work dir are not believed: a "
				"payload could have written them");
			err_remedy(err,
				   "name the hosts instead of @%s, or move "
				   "the file",
				   p->name);
			return r;
		}
	}
	return 0;
}

static bool is_asked_for(const struct preset_tool *t, const char *key)
{
	for (size_t i = 0; i < t->nsettings; i++)
		if (preset_key_matches(&t->settings[i], key))
			return true;
	return false;
}

static int ask(const struct preset *p, const char *program, const char *path,
	       struct preset_values *ret, struct err *err)
{
	struct preset_values all = { 0 };
	cleanup_free char *answer = NULL;
	int r = preset_run(program, p->tool->ask, path, &answer);

	if (r == 0)
		r = preset_values_answer(answer, p->tool->format, &all);
	for (size_t i = 0; r == 0 && i < all.n; i++)
		if (is_asked_for(p->tool, all.v[i].key))
			r = preset_values_add(ret, all.v[i].key,
					      all.v[i].value);
	preset_values_done(&all);
	if (r == 0)
		return 0;
	preset_values_done(ret);
	if (r == -ENOMEM)
		return err_sys(err, ENOMEM, step, "%s", program);
	r = err_new(err, ERR_UNAVAILABLE, step, program, "%s",
		    r == -EIO	    ? "it failed" :
		    r == -EBADMSG   ? "its answer cannot be understood" :
		    r == -ETIMEDOUT ? "no answer in time" :
				      strerrordesc_np(-r));
	err_remedy(err, "name the hosts instead of @%s", p->name);
	return r;
}

int preset_ask(const struct preset *p, const char *work_dir,
	       struct preset_values *ret, struct err *err)
{
	cleanup_free char *path = preset_safe_path(work_dir), *cache = NULL;
	char program[PATH_MAX];
	uint64_t key;
	int r;

	if (!path)
		return err_sys(err, ENOMEM, step, NULL);
	r = check_watched(p, work_dir, err);
	if (r < 0)
		return r;
	if (!preset_find_program(path, p->tool->ask[0], work_dir, program,
				 sizeof(program))) {
		r = err_new(err, ERR_UNAVAILABLE, step, p->tool->ask[0],
			    "no such program");
		err_remedy(err, "install it, or name the hosts instead of @%s",
			   p->name);
		return r;
	}
	key = make_key(p->tool, program);
	cache = cache_path(p, work_dir);
	if (cache && cache_load(cache, key, ret) == 0)
		return 0;
	r = ask(p, program, path, ret, err);
	if (r == 0 && cache)
		cache_store(cache, key, ret);
	return r;
}
