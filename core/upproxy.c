/* upproxy.c - the caller's own proxy: from options to the dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * The credentials go the shortest way: out of the options into the session,
 * from there as one message to the dialer, and are forgotten. No error text,
 * audit line or result has a part of the URL.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	if (s->proxy.kind == UPPROXY_NONE &&
	    (o->upstream_by || o->upstream_dns || o->upstream_direct))
		return err_new(err, ERR_INVALID, "upstream_proxy", NULL,
			       "upstream_by, upstream_dns and upstream_direct "
			       "have no meaning without it");
	if (s->proxy.kind != UPPROXY_NONE &&
	    (o->upstream_by || o->upstream_dns))
		return err_new(err, ERR_INVALID,
			       o->upstream_by ? "upstream_by" : "upstream_dns",
			       NULL,
			       "stands beside upstream_proxy in the policy "
			       "file, where that is");
	return 0;
}

/* ---- exceptions ---- */

int upproxy_direct_compile(const char *work_dir, const char *const *rules,
			   size_t n, struct upproxy_direct *ret,
			   struct err *err)
{
	struct upproxy_direct d = { 0 };
	struct preset_set presets = { 0 };
	struct policy_spec spec = {
		.mode = POLICY_OPEN,
		.deny = rules,
		.ndeny = n,
	};
	int r = preset_set_make_for(work_dir, NULL, rules, false, &presets,
				    err);

	if (r == 0) {
		spec.presets = presets.presets;
		spec.npresets = presets.npresets;
		r = policy_compile(&spec, &d.image, &d.len, err);
		preset_set_done(&presets);
	}
	if (r == 0) {
		r = policy_new(d.image, d.len, &d.policy);
		if (r < 0)
			(void)err_sys(err, -r, "open", "compiled policy");
	}
	if (r < 0) {
		err_prefix(err, "upstream_direct");
		upproxy_direct_done(&d);
		return r;
	}
	*ret = d;
	return 0;
}

void upproxy_direct_done(struct upproxy_direct *d)
{
	policy_free(d->policy);
	free(d->image);
	*d = (struct upproxy_direct){ 0 };
}

/* Those of the file, and the option's. */
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
		r = upproxy_direct_compile(s->work.path,
					   (const char *const *)direct.texts,
					   direct.n, &s->proxy_direct, err);
	list_free(&direct);
	return r;
}

/* ---- the session ---- */

int upproxy_open(struct exeat_session *s, const struct exeat_session_options *o,
		 const struct policy_file *file, struct err *err)
{
	int r;

	if (o->upstream_proxy && file->upstream.kind != UPPROXY_NONE)
		return err_new(err, ERR_INVALID, "upstream_proxy", NULL,
			       "both the policy file and the option name one");
	r = o->upstream_proxy ? from_options(s, o, err) :
				from_file(s, o, file, err);
	if (r == 0)
		r = ca_open(o->ca_file, s->proxy.kind == UPPROXY_HTTPS, &s->ca,
			    err);
	if (r < 0 || s->proxy.kind == UPPROXY_NONE)
		return r;
	return take_direct(s, o, file, err);
}

/* It learns of the proxy what a certificate can say, no more. */
static int send_tls(struct exeat_session *s, int *ret_fd, struct err *err)
{
	struct upproxy to = s->proxy;
	struct sbuf b;
	int r;

	upproxy_wipe(&to);
	to.has_credentials = false;
	sbuf_init(&b, 2 * LIMIT_CA_FILE + 4096);
	sbuf_u32(&b, (uint32_t)s->ca.own_len);
	upproxy_encode(&to, &b);
	sbuf_add(&b, s->ca.own, s->ca.own_len);
	sbuf_add(&b, s->ca.machine, s->ca.machine_len);
	r = b.bad ? err_sys(err, ENOMEM, "encode", "ca_file") :
		    session_need_tls(s, ret_fd, err);
	if (r == 0)
		session_send(s, HELPER_TLS, T_OPEN, b.s, b.len, NULL, 0);
	sbuf_done(&b);
	return r;
}

static int send_dialer(struct exeat_session *s, int tls, struct err *err)
{
	int fds[2] = { fd_sealed_memfd("exeat-direct", s->proxy_direct.image,
				       s->proxy_direct.len),
		       tls };
	struct sbuf b;
	int r = 0;

	if (fds[0] < 0)
		return err_sys(err, -fds[0], "memfd", "upstream_direct");
	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	upproxy_encode(&s->proxy, &b);
	if (b.bad)
		r = err_sys(err, ENOMEM, "encode", "upstream_proxy");
	else
		session_send(s, HELPER_DIALER, D_PROXY, b.s, b.len, fds,
			     tls >= 0 ? 2 : 1);
	if (b.s)
		explicit_bzero(b.s, b.len);
	sbuf_done(&b);
	fd_close(&fds[0]);
	return r;
}

int upproxy_send(struct exeat_session *s, struct err *err)
{
	cleanup_fd int tls = -1;
	int r = 0;

	if (s->proxy.kind == UPPROXY_NONE)
		return 0;
	if (s->proxy.kind == UPPROXY_HTTPS)
		r = send_tls(s, &tls, err);
	if (r == 0)
		r = send_dialer(s, tls, err);
	upproxy_wipe(&s->proxy);
	ca_forget(&s->ca);
	return r;
}

/* Is it another way out than the one in force? Passwords are kept nowhere. */
static bool same_proxy(const struct upproxy *a, const struct upproxy *b)
{
	return a->kind == b->kind && a->by == b->by && a->dns == b->dns &&
	       a->port == b->port && strcmp(a->host, b->host) == 0 &&
	       (a->host[0] || addr_equal(&a->addr, &b->addr)) &&
	       a->has_credentials == b->has_credentials &&
	       (!a->has_credentials || upproxy_is_masked(a));
}

int upproxy_check_same(const struct exeat_session *s,
		       const struct policy_file *file, struct err *err)
{
	struct upproxy_direct d = { 0 };
	bool same;
	int r;

	if (file->upstream.kind == UPPROXY_NONE && file->ndirect == 0)
		return 0;
	r = upproxy_direct_compile(s->work.path,
				   (const char *const *)file->direct,
				   file->ndirect, &d, err);
	if (r < 0)
		return r;
	same = s->proxy.kind != UPPROXY_NONE &&
	       same_proxy(&file->upstream, &s->proxy) &&
	       policy_equal(d.policy, s->proxy_direct.policy);
	upproxy_direct_done(&d);
	if (same)
		return 0;
	return err_new(err, ERR_INVALID, "upstream_proxy", NULL,
		       "is given when the session is opened");
}

void upproxy_close(struct exeat_session *s)
{
	upproxy_wipe(&s->proxy);
	upproxy_direct_done(&s->proxy_direct);
	ca_forget(&s->ca);
}
