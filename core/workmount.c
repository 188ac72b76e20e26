/* workmount.c - a work dir that is a mount of the keeper's making
 * SPDX-License-Identifier: Apache-2.0
 *
 * Only the keeper may mount, and only the caller knows what is to be in the
 * work dir before the first run: so the keeper is asked for the mount before
 * the session is opened, and what it sends is a descriptor, by which the
 * caller reaches the tree (no path of the host's leads there), and which goes
 * back with the view.
 */
#include <errno.h>
#include <fcntl.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

void workmount_made(struct exeat_session *s, struct msg *m)
{
	struct rbuf r = rbuf_make(m->body, m->len);

	if (!s->work_asked)
		return;
	s->work_asked = false;
	err_clear(&s->work_err);
	if (m->nfds == 1 && m->len == 0)
		s->work.mount = fd_steal(&m->fds[0]);
	else if (m->nfds == 1 ||
		 (err_decode(&r, &s->work_err) && rbuf_left(&r) > 0))
		(void)err_new(&s->work_err, ERR_INTERNAL, "mount work dir",
			      NULL, "malformed message");
}

static int ask(struct exeat_session *s, const char *lower, struct err *err)
{
	struct sbuf b;

	sbuf_init(&b, MSG_INLINE_MAX);
	sbuf_u64(&b, s->disk_bytes);
	sbuf_lstr(&b, s->work.place);
	sbuf_lstr(&b, lower);
	s->work_asked = !b.bad;
	if (!b.bad)
		session_send(s, HELPER_KEEPER, K_WORK, b.s, b.len, NULL, 0);
	sbuf_done(&b);
	return s->work_asked ? 0 : err_sys(err, ENOMEM, "encode", "work dir");
}

int workmount_open(struct exeat_session *s, const char *lower, struct err *err)
{
	int r = ask(s, lower, err), fd;

	while (r == 0 && s->work_asked)
		r = exeat_session_dispatch(s, -1, NULL);
	if (s->fatal.code != ERR_NONE)
		*err = s->fatal;
	else if (r == 0 && s->work.mount < 0)
		*err = s->work_err;
	if (r < 0 || s->work.mount < 0)
		return r < 0 ? r : -EOPNOTSUPP;
	fd = openat(s->work.mount, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		r = err_sys(err, errno, "open", "work dir");
		fd_close(&s->work.mount);
		return r;
	}
	fd_close(&s->work.fd);
	s->work.fd = fd;
	return 0;
}
