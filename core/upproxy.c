/* upproxy.c - the caller's own proxy: from options to the dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * The credentials go the shortest way: out of the options into the session,
 * from there as one message to the dialer, and are forgotten. No error text,
 * audit line or result has a part of the URL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/preset.h"
#include "core/proto.h"
#include "core/session.h"
#include "policy/file.h"

static int parse_url(const char *url, struct upproxy *ret, struct err *err)
{
	struct upproxy_error e;
	int r = upproxy_parse(url, ret, &e);

	if (r < 0) {
		r = err_new(err, ERR_INVALID, "upstream_proxy", NULL,
			    "at byte %zu: %s", e.position, e.message);
		err_remedy(err, "%s", e.remedy);
	}
	return r;
}

static int from_options(struct exeat_session *s,
			const struct exeat_session_options *o, struct err *err)
{
	const char *why;
	int r = parse_url(o->upstream_proxy, &s->proxy, err);

	if (r < 0)
		return r;
	why = upproxy_choose(&s->proxy, o->upstream_by, o->upstream_dns);
	if (why)
		return err_new(err, ERR_INVALID,
			       o->upstream_by ? "upstream_by" : "upstream_dns",
			       o->upstream_by ? o->upstream_by :
						o->upstream_dns,
			       "%s", why);
	return 0;
}

static int from_file(struct exeat_session *s,
		     const struct exeat_session_options *o,
		     const struct policy_file *file, struct err *err)
{
	s->proxy = file->upstream;
	if (s->proxy.kind != UPPROXY_NONE ||
	    (!o->upstream_by && !o->upstream_dns && !o->upstream_direct))
		return 0;
	return err_new(err, ERR_INVALID, "upstream_proxy", NULL,
		       "upstream_by, upstream_dns and upstream_direct have no "
		       "meaning without it");
}

/* Its deny rules are the exceptions: those of the file, and the option's. */
static int compile_direct(struct exeat_session *s, const struct list *direct,
			  struct err *err)
{
	struct preset_set presets = { 0 };
	struct policy_spec spec = {
		.mode = POLICY_OPEN,
		.deny = (const char *const *)direct->texts,
		.ndeny = direct->n,
	};
	int r = preset_set_make_for(s->work.path, NULL, spec.deny, false,
				    &presets, err);

	if (r < 0)
		return r;
	spec.presets = presets.presets;
	spec.npresets = presets.npresets;
	r = policy_compile(&spec, &s->proxy_direct, &s->proxy_direct_len, err);
	preset_set_done(&presets);
	return r;
}

static int take_direct(struct exeat_session *s,
		       const struct exeat_session_options *o,
		       const struct policy_file *file, struct err *err)
{
	struct list direct = { 0 };
	int r = list_copy(&direct, o->upstream_direct);

	for (size_t i = 0; r == 0 && i < file->ndirect; i++)
		r = list_add(&direct, file->direct[i]);
	if (r < 0)
		r = err_sys(err, ENOMEM, "copy", "upstream_direct");
	else
		r = compile_direct(s, &direct, err);
	if (r < 0)
		err_prefix(err, "upstream_direct");
	list_free(&direct);
	return r;
}

int upproxy_open(struct exeat_session *s, const struct exeat_session_options *o,
		 const struct policy_file *file, struct err *err)
{
	int r;

	if (o->upstream_proxy && file->upstream.kind != UPPROXY_NONE)
		return err_new(err, ERR_INVALID, "upstream_proxy", NULL,
			       "both the policy file and the option name one");
	r = o->upstream_proxy ? from_options(s, o, err) :
				from_file(s, o, file, err);
	if (r < 0 || s->proxy.kind == UPPROXY_NONE)
		return r;
	if (s->proxy.kind == UPPROXY_HTTPS) {
		r = err_new(err, ERR_UNAVAILABLE, "upstream_proxy", NULL,
			    "TLS to the proxy is not served by this version");
		err_remedy(err, "http://, socks5:// or socks5h://");
		return r;
	}
	return take_direct(s, o, file, err);
}

int upproxy_send(struct exeat_session *s, struct err *err)
{
	cleanup_fd int fd = -1;
	struct sbuf b;
	int r = 0;

	if (s->proxy.kind == UPPROXY_NONE)
		return 0;
	fd = fd_sealed_memfd("exeat-direct", s->proxy_direct,
			     s->proxy_direct_len);
	if (fd < 0)
		return err_sys(err, -fd, "memfd", "upstream_direct");
	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	upproxy_encode(&s->proxy, &b);
	if (b.bad)
		r = err_sys(err, ENOMEM, "encode", "upstream_proxy");
	else
		session_send(s, HELPER_DIALER, D_PROXY, b.s, b.len, &fd, 1);
	if (b.s)
		explicit_bzero(b.s, b.len);
	sbuf_done(&b);
	upproxy_close(s);
	return r;
}

void upproxy_close(struct exeat_session *s)
{
	upproxy_wipe(&s->proxy);
	free(s->proxy_direct);
	s->proxy_direct = NULL;
	s->proxy_direct_len = 0;
}
