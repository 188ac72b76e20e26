/* audit_api.c - the audit as a tool: verify
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/audit/verify.h"
#include "core/base/err.h"
#include "core/error.h"
#include "core/include/exeat.h"
#include "core/options.h"

enum { CHUNK = 64 << 10 };

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)

SAME(EXEAT_AUDIT_WHOLE, AUDIT_WHOLE);
SAME(EXEAT_AUDIT_UNTOLD, AUDIT_UNTOLD);
SAME(EXEAT_AUDIT_BROKEN, AUDIT_BROKEN);

static void fault_out(void *user, const struct audit_fault *f)
{
	const struct exeat_audit_options *o = user;
	const struct exeat_audit_fault fault = {
		.line = f->line,
		.session = f->session,
		.state = (enum exeat_audit_state)f->state,
		.reason = f->reason,
	};

	if (o->on_fault)
		o->on_fault(o->user_data, &fault);
}

static void session_out(void *user, const struct audit_session *s)
{
	const struct exeat_audit_options *o = user;
	const struct exeat_audit_session session = {
		.id = s->id,
		.state = (enum exeat_audit_state)s->state,
		.records = s->records,
		.lost = s->lost,
		.line = s->line,
		.hash = s->hash,
	};

	if (o->on_session)
		o->on_session(o->user_data, &session);
}

static int read_all(struct audit_verify *v, int fd, struct err *err)
{
	char data[CHUNK];

	for (;;) {
		ssize_t n = read(fd, data, sizeof(data));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read", "audit");
		if (n == 0)
			return 0;
		r = audit_verify_bytes(v, data, (size_t)n);
		if (r == -E2BIG)
			return err_new(err, ERR_LIMIT, "verify", "audit",
				       "too many sessions in one file");
		if (r < 0)
			return err_sys(err, -r, "verify", "audit");
	}
}

static int verify(struct exeat_audit_options *o, struct exeat_audit_totals *ret,
		  struct err *err)
{
	const struct audit_hooks hooks = {
		.user = o,
		.fault = fault_out,
		.session = session_out,
	};
	struct audit_verify *v = audit_verify_new(&hooks);
	struct audit_totals t;
	int r = v ? read_all(v, o->fd, err) :
		    err_sys(err, ENOMEM, "verify", "audit");

	if (r == 0) {
		r = audit_verify_end(v, &t);
		if (r < 0)
			(void)err_sys(err, -r, "verify", "audit");
	}
	audit_verify_free(v);
	if (r < 0)
		return r;
	*ret = (struct exeat_audit_totals){
		.state = (enum exeat_audit_state)t.state,
		.lines = t.lines,
		.records = t.records,
		.sessions = t.sessions,
		.lost = t.lost,
		.faults = t.faults,
	};
	return 0;
}

static int fd_check(int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
	    fstat(fd, &st) < 0)
		return err_new(err, ERR_INVALID, "verify", "fd",
			       "not a descriptor to read from");
	return S_ISDIR(st.st_mode) ? err_new(err, ERR_INVALID, "verify", "fd",
					     "%s", strerrordesc_np(EISDIR)) :
				     0;
}

int exeat_audit_verify(const struct exeat_audit_options *options,
		       struct exeat_audit_totals *ret,
		       struct exeat_error *error)
{
	struct exeat_audit_options o = EXEAT_AUDIT_OPTIONS_INIT;
	struct err err;
	int r;

	if (error_needs(error, "verify", ERROR_ARGS({ "ret", ret })) < 0)
		return -EINVAL;
	err_clear(&err);
	r = options_from_caller(&o, sizeof(o), options, "audit", &err);
	if (r == 0)
		r = fd_check(o.fd, &err);
	if (r == 0)
		r = verify(&o, ret, &err);
	if (r < 0)
		exeat_error_from(error, &err);
	return r;
}
