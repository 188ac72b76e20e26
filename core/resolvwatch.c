/* resolvwatch.c - the machine's resolvers change while a session lives
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * resolv.conf and hosts are replaced by rename, rewritten in place, or are
 * links into a folder of the program that keeps them; in containers they are
 * mounts. stat(2) sees all of it. So while a run lives a timer has both looked
 * at once a second, and each run that starts looks by itself. What is read is
 * sent only if it differs from what the dialer has.
 *
 * Not inotify(7): closing a descriptor of it that watched anything waits for a
 * grace period of the kernel, 8 to 26 ms, which would be the most of a short
 * session's end.
 *
 * A file that is not there, or empty, is being replaced: what was known stays
 * until it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

enum {
	LOOK_S = 1,
	/* a change that comes right after a look may leave the same times:
	 * the kernel's are as coarse as its tick. So what is young is read */
	YOUNG_S = 2,
};

static struct resolv_trace trace_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct resolv_trace){ 0 };
	return (struct resolv_trace){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.size = st.st_size,
		.changed_s = st.st_ctim.tv_sec,
		.changed_ns = st.st_ctim.tv_nsec,
	};
}

static bool same(const struct resolv_trace *a, const struct resolv_trace *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

/* Is there something to read? */
static bool look(struct resolv_watch *w)
{
	const char *const paths[] = { RESOLV_CONF, RESOLV_HOSTS };
	const int64_t now_s = time(NULL);
	bool news = false;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct resolv_trace t = trace_of(paths[i]);

		news |= !same(&t, &w->traces[i]) ||
			now_s - t.changed_s <= YOUNG_S;
		w->traces[i] = t;
	}
	return news;
}

static void update(struct exeat_session *s)
{
	struct sbuf *known = &s->resolv.known;
	struct sbuf b;
	struct err err;

	sbuf_init(&b, LIMIT_CHAN_QUEUE);
	err_clear(&err);
	if (resolv_encode(&b, true, &err) < 0 ||
	    (b.len == known->len && memcmp(b.s, known->s, b.len) == 0)) {
		sbuf_done(&b);
		return;
	}
	session_send(s, HELPER_DIALER, D_OPEN, b.s, b.len, NULL, 0);
	sbuf_done(known);
	*known = b;
}

static void look_again(struct exeat_session *s)
{
	const struct itimerspec in = { .it_value.tv_sec = LOOK_S };

	/* cannot fail: it is ours; and a run that starts looks, too */
	if (s->resolv.fd >= 0)
		(void)timerfd_settime(s->resolv.fd, 0, &in, NULL);
}

void resolv_watch_start(struct exeat_session *s, struct sbuf *take)
{
	s->resolv.known = *take;
	sbuf_init(take, 0);
	s->resolv.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->resolv.fd >= 0 &&
	    session_watch(s, s->resolv.fd, &s->resolv.source, EPOLLIN, true) <
		    0)
		fd_close(&s->resolv.fd);
	look_again(s);
}

void resolv_watch_ready(struct exeat_session *s)
{
	uint64_t times;

	if (read(s->resolv.fd, &times, sizeof(times)) < 0)
		return;
	if (look(&s->resolv))
		update(s);
	if (s->runs)
		look_again(s);
}

void resolv_watch_poll(struct exeat_session *s)
{
	if (s->resolv.known.len == 0)
		return;
	if (look(&s->resolv))
		update(s);
	look_again(s);
}

void resolv_watch_stop(struct exeat_session *s)
{
	/* a fork of the caller may hold it, too: closing alone is not enough */
	if (s->resolv.fd >= 0)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->resolv.fd, NULL);
	fd_close(&s->resolv.fd);
	sbuf_done(&s->resolv.known);
}
