/* environ.c - the environment of a payload
 * SPDX-License-Identifier: Apache-2.0
 *
 * Empty but for a minimum, then what the presets hand in, then the session's,
 * then the run's own; the last one wins.
 *
 * A `blocked` run is refused at once, but package managers take a refusal for
 * bad weather and try again for a minute or more (npm: 10 s, then 60 s). They
 * are told not to, unless the caller says otherwise.
 *
 * The explicit proxy inside is named only on request.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/text.h"
#include "core/session.h"
#include "core/sys/netns.h"

#define SYSTEM_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Replace the variable if it is there. `text` is "K=V". */
static int put(struct list *l, const char *text)
{
	size_t key = strcspn(text, "=") + 1;

	for (size_t i = 0; i < l->n; i++) {
		char *copy;

		if (strncmp(l->texts[i], text, key) != 0)
			continue;
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		free(l->texts[i]);
		l->texts[i] = copy;
		return 0;
	}
	return list_add(l, text);
}

static int put_pair(struct list *l, const char *key, const char *value)
{
	char *text;
	int r;

	if (asprintf(&text, "%s=%s", key, value) < 0)
		return -ENOMEM;
	r = put(l, text);
	free(text);
	return r;
}

static int put_path(struct list *l, const struct exeat_session *s)
{
	const char *w = s->work.path;
	char *value;
	int r;

	if (asprintf(&value,
		     "/run/exeat/bin:%s/.exeat/venv/bin:"
		     "%s/.exeat/home/.local/bin:" SYSTEM_PATH,
		     w, w) < 0)
		return -ENOMEM;
	r = put_pair(l, "PATH", value);
	free(value);
	return r;
}

/* WORK/.exeat/NAME */
static int put_kept(struct list *l, const struct exeat_session *s,
		    const char *key, const char *name)
{
	char *value;
	int r;

	if (asprintf(&value, "%s/.exeat/%s", s->work.path, name) < 0)
		return -ENOMEM;
	r = put_pair(l, key, value);
	free(value);
	return r;
}

static int put_minimal(struct list *l, const struct exeat_session *s)
{
	static const struct {
		const char *key, *otherwise;
	} callers[] = {
		{ "LANG", "C.UTF-8" },
		{ "TERM", NULL },
		{ "TZ", NULL },
	};
	int r = put_path(l, s);

	if (r == 0)
		r = put_kept(l, s, "HOME", "home");
	if (r == 0)
		r = put_pair(l, "USER", s->identity.user);
	if (r == 0)
		r = put_pair(l, "LOGNAME", s->identity.user);
	if (r == 0)
		r = put_pair(l, "TMPDIR", "/tmp");
	for (size_t i = 0; r == 0 && i < sizeof(callers) / sizeof(callers[0]);
	     i++) {
		const char *value = getenv(callers[i].key);

		if (!value)
			value = callers[i].otherwise;
		if (value)
			r = put_pair(l, callers[i].key, value);
	}
	if (r == 0 &&
	    faccessat(s->work.fd, ".exeat/venv/pyvenv.cfg", F_OK, 0) == 0)
		r = put_kept(l, s, "VIRTUAL_ENV", "venv");
	return r;
}

/* OpenSSL and what is built on it, and those that have a way of their own. */
static int put_ca(struct list *l)
{
	static const char *const names[] = {
		"SSL_CERT_FILE",     "CURL_CA_BUNDLE",	  "REQUESTS_CA_BUNDLE",
		"PIP_CERT",	     "GIT_SSL_CAINFO",	  "NODE_EXTRA_CA_CERTS",
		"npm_config_cafile", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		r = put_pair(l, names[i], VIEWPLAN_CA);
	return r;
}

static int put_blocked(struct list *l)
{
	static const char *const no_retries[] = {
		"npm_config_fetch_retries=0", "PIP_RETRIES=0",
		"CARGO_NET_RETRY=0",	      "YARN_HTTP_RETRY=0",
		"UV_HTTP_RETRIES=0",
	};
	int r = 0;

	for (size_t i = 0;
	     r == 0 && i < sizeof(no_retries) / sizeof(no_retries[0]); i++)
		r = put(l, no_retries[i]);
	return r;
}

/*
 * Programs disagree on the case of the names: curl reads http_proxy in lower
 * case only, others the upper one. Java reads neither.
 */
static int put_proxy(struct list *l)
{
	static const char *const names[][2] = {
		{ "http_proxy", "HTTP_PROXY" },
		{ "https_proxy", "HTTPS_PROXY" },
		{ "all_proxy", "ALL_PROXY" },
	};
	char url[64], java[512];
	int r = 0;

	for (size_t i = 0; r == 0 && i < 3; i++) {
		(void)snprintf(url, sizeof(url), "%s://127.0.0.1:%d",
			       i == 2 ? "socks5h" : "http", GATE_PORT_PROXY);
		r = put_pair(l, names[i][0], url);
		if (r == 0)
			r = put_pair(l, names[i][1], url);
	}
	if (r == 0)
		r = put(l, "no_proxy=localhost,127.0.0.1,::1");
	if (r == 0)
		r = put(l, "NO_PROXY=localhost,127.0.0.1,::1");
	(void)snprintf(java, sizeof(java),
		       "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=%d "
		       "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=%d "
		       "-Dhttp.nonProxyHosts=localhost|127.*|[::1]",
		       GATE_PORT_PROXY, GATE_PORT_PROXY);
	return r == 0 ? put_pair(l, "JAVA_TOOL_OPTIONS", java) : r;
}

/* The value may be a secret. */
static int not_text(const char *text, struct err *err)
{
	cleanup_free char *name = strndup(text, strcspn(text, "="));

	return err_new(err, ERR_INVALID, "env", name, "not UTF-8");
}

static int put_all(struct list *l, const char *const *texts, const char *option,
		   struct err *err)
{
	for (size_t i = 0; texts && texts[i]; i++) {
		if (texts[i][0] == '=' || !strchr(texts[i], '='))
			return err_new(err, ERR_INVALID, option, texts[i],
				       "must be NAME=VALUE");
		/* what a preset found is not the caller's mistake */
		if (strcmp(option, "env") == 0 && !text_is_utf8(texts[i]))
			return not_text(texts[i], err);
		if (put(l, texts[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What is wrong with it in every run. */
int environ_check(const struct exeat_session *s, struct err *err)
{
	struct list l = { 0 };
	int r = put_all(&l, (const char *const *)s->preset_env.texts, "preset",
			err);

	if (r == 0)
		r = put_all(&l, (const char *const *)s->env.texts, "env", err);
	list_free(&l);
	return r == -ENOMEM ? err_sys(err, ENOMEM, "check", "environment") : r;
}

int environ_make(const struct exeat_session *s, enum policy_mode mode,
		 const struct list *preset_env,
		 const struct exeat_run_options *run, struct list *ret,
		 struct err *err)
{
	struct list l = { 0 };
	int r = put_minimal(&l, s);

	if (r == 0 && s->ca.inside)
		r = put_ca(&l);
	if (r == 0 && mode == POLICY_BLOCKED)
		r = put_blocked(&l);
	else if (r == 0 && (s->proxy_env || run->proxy_env))
		r = put_proxy(&l);
	if (r == 0)
		r = put_all(&l, (const char *const *)s->preset_env.texts,
			    "preset", err);
	if (r == 0 && preset_env)
		r = put_all(&l, (const char *const *)preset_env->texts,
			    "preset", err);
	if (r == 0)
		r = put_all(&l, (const char *const *)s->env.texts, "env", err);
	if (r == 0)
		r = put_all(&l, run->env, "env", err);
	if (r < 0) {
		list_free(&l);
		return r == -ENOMEM ?
			       err_sys(err, ENOMEM, "make", "environment") :
			       r;
	}
	*ret = l;
	return 0;
}
