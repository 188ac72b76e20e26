/* alive.c - helpers that are there, and do not answer
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * That a helper has ended shows by itself. One that hangs (stopped, or in a
 * system call that does not come back) shows by nothing, and everything that
 * is asked of it would be waited for without end: its caller's own time-outs
 * are the keeper's, too. So while something is awaited (the session is being
 * opened, a posture made, a run lives), a timer ticks: each helper is asked
 * for a sign of life, and none for LIMIT_SILENT_MS is the end of the session. Any
 * word is one: the answer may wait behind many others.
 *
 * Time is counted in ticks that the caller has seen, and what has come is read
 * first: if all of us stood still together, nobody is blamed. An idle session
 * has no timer.
 */
#include "core/base/fd.h"
#include "core/proto.h"
#include "core/session.h"

enum { TICKS = 6, TICK_MS = LIMIT_SILENT_MS / TICKS };

static bool is_starting(const struct helper *h)
{
	return h->chan.fd >= 0 && !h->ended && !h->hello;
}

static bool is_awaited(const struct exeat_session *s)
{
	if (!s->opened)
		return true;
	for (unsigned i = 0; i < HELPERS; i++)
		if (is_starting(&s->helpers[i]))
			return true;
	for (size_t i = 0; i < LIMIT_POSTURES; i++)
		if (s->postures[i].id != 0 &&
		    s->postures[i].state == POSTURE_MAKING)
			return true;
	for (const struct exeat_run *run = s->runs; run; run = run->next)
		if (run->phase != PHASE_OVER)
			return true;
	return false;
}

static void is_silent(struct exeat_session *s, const char *name)
{
	struct err err;

	err_clear(&err);
	(void)err_new(&err, ERR_TIMEOUT, "session", name, "does not answer");
	session_break(s, &err);
}

void alive_ask(struct exeat_session *s)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		if (!h->hello || h->asked || h->ended)
			continue;
		h->asked = true;
		h->silent = 0;
		session_send(s, i, P_PING, NULL, 0, NULL, 0);
	}
}

struct helper *alive_silent(struct exeat_session *s)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		if (h->asked && !h->ended)
			return h;
	}
	return NULL;
}

void alive_watch(struct exeat_session *s)
{
	if (s->tick_ms)
		return;
	s->tick_ms = clock_ms() + TICK_MS;
	due_at(s, s->tick_ms);
}

/* One goes through several of them: whose fault it is that it does not come,
 * while all of them answer, cannot be told. */
static void postures_tick(struct exeat_session *s)
{
	if (!s->opened || alive_silent(s))
		return;
	for (size_t i = 0; i < LIMIT_POSTURES; i++) {
		struct posture *p = &s->postures[i];

		if (p->id != 0 && p->state == POSTURE_MAKING &&
		    ++p->silent >= TICKS)
			return is_silent(s, "gate");
	}
}

void alive_tick(struct exeat_session *s)
{
	session_hear(s);
	s->tick_ms = 0;
	if (!is_awaited(s))
		return;
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helpers[i];

		if (!is_starting(h) && (!h->asked || h->ended))
			continue;
		if (++h->silent < TICKS)
			continue;
		h->hangs = true;
		return is_silent(s, h->name);
	}
	postures_tick(s);
	alive_ask(s);
	s->tick_ms = clock_ms() + TICK_MS;
}
