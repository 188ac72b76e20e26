/* resolvwatch.c - the machine's resolvers change while a session lives
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * resolv.conf and hosts are replaced by rename, rewritten in place, or are
 * links into a folder of the program that keeps them (one link after another,
 * sometimes); in containers they are mounts. So every folder that a name
 * leads through is watched, and the file at its end; after each event all of
 * it anew, because the old names may lead elsewhere now. What is read is sent
 * only if it differs from what the dialer has.
 *
 * A file that is not there, or empty, is being replaced: what was known stays
 * until it is. Where there is no watch to be had (a user has 128 of them),
 * each run looks.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

enum { LINKS_MAX = 8 };

static const uint32_t folder_events = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE |
				      IN_DELETE | IN_MOVED_FROM;
static const uint32_t file_events = IN_CLOSE_WRITE | IN_MOVE_SELF |
				    IN_DELETE_SELF;

/* The folder of a path, or of its parents the nearest that is there. */
static void watch_folder(int fd, const char *path)
{
	char folder[PATH_MAX];
	char *slash;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	while ((slash = strrchr(folder, '/')) != NULL) {
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder, folder_events) >= 0 ||
		    slash == folder)
			return;
	}
}

/* Where a link leads: to *path, in its place. False: it is none. */
static bool follow(char path[PATH_MAX])
{
	char to[PATH_MAX], joined[PATH_MAX];
	const ssize_t n = readlink(path, to, sizeof(to) - 1);
	const int folder = (int)(strrchr(path, '/') + 1 - path);
	int len;

	if (n <= 0)
		return false;
	to[n] = '\0';
	len = snprintf(joined, sizeof(joined), "%.*s%s",
		       to[0] == '/' ? 0 : folder, path, to);
	if (len < 0 || (size_t)len >= sizeof(joined))
		return false;
	memcpy(path, joined, (size_t)len + 1);
	return true;
}

static void watch_path(int fd, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s", name);
	for (int links = 0; links < LINKS_MAX; links++) {
		watch_folder(fd, path);
		if (!follow(path))
			break;
	}
	/* not there: its folder tells when it comes */
	(void)inotify_add_watch(fd, path, file_events);
}

static void unwatch(struct exeat_session *s)
{
	/* a fork of the caller may hold it, too: closing alone is not enough */
	if (s->resolv.fd >= 0)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->resolv.fd, NULL);
	fd_close(&s->resolv.fd);
}

static void watch(struct exeat_session *s)
{
	unwatch(s);
	s->resolv.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->resolv.fd < 0)
		return;
	watch_path(s->resolv.fd, RESOLV_CONF);
	watch_path(s->resolv.fd, RESOLV_HOSTS);
	if (session_watch(s, s->resolv.fd, &s->resolv.source, EPOLLIN, true) <
	    0)
		fd_close(&s->resolv.fd);
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

void resolv_watch_start(struct exeat_session *s, struct sbuf *take)
{
	s->resolv.known = *take;
	sbuf_init(take, 0);
	watch(s);
	/* changed between the reading and the watch? */
	update(s);
}

void resolv_watch_ready(struct exeat_session *s)
{
	watch(s);
	update(s);
}

void resolv_watch_poll(struct exeat_session *s)
{
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	if (s->resolv.known.len == 0)
		return;
	if (s->resolv.fd < 0)
		update(s);
	else if (read(s->resolv.fd, event, sizeof(event)) > 0)
		resolv_watch_ready(s); /* a new watch: the rest goes with it */
}

void resolv_watch_stop(struct exeat_session *s)
{
	unwatch(s);
	sbuf_done(&s->resolv.known);
}
