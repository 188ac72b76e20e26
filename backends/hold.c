/* hold.c - the processes of a run, held still
 * SPDX-License-Identifier: Apache-2.0
 */
#include "backends/hold.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/num.h"

enum {
	TRY_MS = 10000,	 /* for all of one TRYING: then it is LOOSE */
	SLEEPY_MS = 200, /* one that does not answer signals may finish */
	CHASES = 20,	 /* looks before those that fork are stopped, too */
	MOVES = 8,	 /* more of them: LOOSE */
	MOVES_SLEEPY = 200,
	LOOK_MAX_MS = 20,    /* between looks, while TRYING */
	WATCH_MAX_MS = 250,  /* while STILL */
	GROUPS_SIZE = 8192,  /* of a process's /proc/PID/cgroup */
	STATUS_SIZE = 16384, /* of its status, which lists user groups */
};

/* What one look found. */
struct sight {
	uint64_t sum;	  /* of who there is and what they used, or whether
			   * they are dead */
	unsigned running; /* threads that run, or may */
	unsigned sleepy;  /* that cannot be interrupted */
	bool continued;	  /* a process of which none runs, and some wait: to
			   * have been told to stop they would have run */
	unsigned outside; /* processes that are not in the frozen group */
	bool failed;	  /* it could not be looked, or moved */
};

void hold_init(struct hold *h)
{
	*h = (struct hold){ .procs = -1, .due_ms = -1 };
}

/* ---- what /proc says ---- */

/* Calls `each` with every number in a directory, until it returns false. */
static bool each_number(const char *path, bool (*each)(void *, pid_t),
			void *user)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	bool go = true;

	if (!dir)
		return false;
	while (go && (e = readdir(dir)) != NULL) {
		const char *cursor = e->d_name;
		uint64_t n;

		if (num_parse_u64(&cursor, INT32_MAX, &n) && *cursor == '\0')
			go = each(user, (pid_t)n);
	}
	(void)closedir(dir);
	return go;
}

/* The beginning of a file of a thread's; "" if it is no more. */
static const char *thread_file(pid_t pid, pid_t tid, const char *name,
			       char *buf, size_t size)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid,
		       name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : fd_read_all(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* proc(5): the letter behind the name, which may have any other; 0: gone. */
static char thread_state(pid_t pid, pid_t tid)
{
	char text[160];
	const char *end;

	(void)thread_file(pid, tid, "stat", text, sizeof(text));
	end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : '\0';
}

static bool is_dead(char state)
{
	return state == '\0' || state == 'Z' || state == 'X' || state == 'x';
}

static bool is_stopped(char state)
{
	return state == 'T' || state == 't';
}

/* The path of a group of version 2, in a text of cgroups(7); NULL: none. */
static const char *group_of(char *text)
{
	char *at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");

	if (!at)
		return NULL;
	at += *at == '\n' ? 4 : 3;
	at[strcspn(at, "\n")] = '\0';
	return at;
}

/* ---- stopped ---- */

/* Processor time of all threads of a process, dead ones too, nanoseconds:
 * clock_getcpuclockid(3) without its look-up. */
static uint64_t time_used(pid_t pid)
{
	const clockid_t clock = (clockid_t)(~(unsigned)pid << 3 | 2);
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A sum of which does not depend on their order (splitmix64). */
static uint64_t mixed(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

struct looked {
	struct sight *sight;
	pid_t pid;
	unsigned running, sleepy, waiting; /* threads of this process; of one
					    * that is to be frozen, alive */
	const char *own; /* our own group; NULL: states are asked for */
	bool outside;
};

static bool see_thread(void *user, pid_t tid)
{
	struct looked *l = user;
	char state = thread_state(l->pid, tid);

	if (is_dead(state) || is_stopped(state))
		return true;
	l->sleepy += state == 'D';
	l->waiting += state == 'S';
	l->running += state != 'D' && state != 'S';
	return true;
}

static bool see_process(void *user, pid_t pid)
{
	struct looked *l = user;
	char path[32];

	if (pid == 1)
		return true;
	l->pid = pid;
	l->running = l->sleepy = l->waiting = 0;
	l->sight->sum += mixed(mixed((uint64_t)pid) + time_used(pid));
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	/* one that is gone by now is no failure */
	(void)each_number(path, see_thread, l);
	l->sight->running += l->running + l->waiting;
	l->sight->sleepy += l->sleepy;
	l->sight->continued |= l->waiting > 0 && l->running + l->sleepy == 0;
	return true;
}

static void look_stopped(struct sight *s)
{
	struct looked l = { .sight = s };

	s->failed = !each_number("/proc", see_process, &l);
}

/* ---- frozen ---- */

static bool group_thread(void *user, pid_t tid)
{
	struct looked *l = user;
	char text[GROUPS_SIZE];
	const char *path;

	/* a dead one stays where it was */
	if (is_dead(thread_state(l->pid, tid)))
		return true;
	l->running++;
	(void)thread_file(l->pid, tid, "cgroup", text, sizeof(text));
	path = group_of(text);
	l->outside |= path && strcmp(path, l->own) == 0;
	return !l->outside;
}

struct mover {
	struct looked looked;
	int procs;
};

static bool move_process(void *user, pid_t pid)
{
	struct mover *m = user;
	char text[32];
	int n;

	if (pid == 1)
		return true;
	m->looked.pid = pid;
	m->looked.running = 0;
	m->looked.outside = false;
	(void)snprintf(text, sizeof(text), "/proc/%d/task", pid);
	(void)each_number(text, group_thread, &m->looked);
	m->looked.sight->sum +=
		mixed((uint64_t)pid << 1 | (m->looked.running > 0));
	if (!m->looked.outside)
		return true;
	m->looked.sight->outside++;
	n = snprintf(text, sizeof(text), "%d", pid);
	if (write(m->procs, text, (size_t)n) < 0 && errno != ESRCH)
		m->looked.sight->failed = true;
	return !m->looked.sight->failed;
}

static void look_frozen(const struct hold *h, struct sight *s)
{
	char text[GROUPS_SIZE];
	struct mover m = { { .sight = s }, h->procs };

	(void)thread_file(getpid(), getpid(), "cgroup", text, sizeof(text));
	m.looked.own = group_of(text);
	s->failed = !m.looked.own || !each_number("/proc", move_process, &m);
}

/* ---- what is done about it ---- */

/* proc(5): signals that wait for the process, as a number of 16 digits. */
static bool is_pending(pid_t pid, int sig)
{
	static const char key[] = "\nShdPnd:\t";
	char text[STATUS_SIZE];
	const char *set = strstr(
		thread_file(pid, pid, "status", text, sizeof(text)), key);
	uint64_t n = 0;

	for (set = set ? set + strlen(key) : ""; isxdigit(*set); set++)
		n = n << 4 | (unsigned)(*set - (*set > '9' ? 'a' - 10 : '0'));
	return n & UINT64_C(1) << (sig - 1);
}

static bool see_stopped(void *user, pid_t tid)
{
	struct looked *l = user;

	l->outside |= thread_state(l->pid, tid) == 'T';
	return !l->outside;
}

/*
 * A SIGSTOP that has not come to it yet is as good as one that has: the one goes
 * over into the other under a lock, so of the two, asked for in this order, one
 * is seen. (Of several threads the first one to see it stops at once.)
 */
static bool is_stopping(pid_t pid)
{
	struct looked l = { .pid = pid };
	char path[32];

	if (is_pending(pid, SIGSTOP))
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	(void)each_number(path, see_stopped, &l);
	return l.outside;
}

/* Who does not find room is continued, as if he had not been stopped. */
static bool note_stopped(void *user, pid_t pid)
{
	struct hold *h = user;

	if (pid == 1 || !is_stopping(pid))
		return true;
	if (h->nbefore == h->room) {
		size_t room = h->room ? 2 * h->room : 64;
		void *more = reallocarray(h->before, room, sizeof(*h->before));

		if (!more)
			return false;
		h->before = more;
		h->room = room;
	}
	h->before[h->nbefore++] = pid;
	return true;
}

/* Everything in the pid namespace but ourselves. */
static void stop_all(struct hold *h)
{
	h->stopped = true;
	(void)kill(-1, SIGSTOP); /* ESRCH: nobody is there */
}

void hold_begin(struct hold *h, int take_procs)
{
	hold_init(h);
	h->state = HOLD_TRYING;
	h->procs = take_procs;
	h->begun_ms = h->due_ms = clock_ms();
	/* a job that a shell has stopped is not ours to continue */
	(void)each_number("/proc", note_stopped, h);
	if (h->procs < 0)
		stop_all(h);
}

static enum hold_state still(struct hold *h)
{
	h->state = HOLD_STILL;
	h->pause_ms = 0;
	return h->state;
}

static enum hold_state loose(struct hold *h)
{
	h->state = HOLD_LOOSE;
	h->due_ms = -1;
	return h->state;
}

static void again_in(struct hold *h, int max_ms)
{
	h->pause_ms = h->pause_ms == 0	       ? 1 :
		      h->pause_ms * 2 < max_ms ? h->pause_ms * 2 :
						 max_ms;
	h->due_ms = clock_ms() + h->pause_ms;
}

/*
 * Nobody is outside. One look cannot tell: it asks those that were there when
 * it began, and of them one may have left a child and be dead when its turn
 * comes. But if the same are alive and dead in a second one, all that was alive
 * between the two is in the group.
 */
static bool all_inside(const struct hold *h, struct sight *s)
{
	struct sight again = { .sum = 0 };

	look_frozen(h, s);
	if (s->failed || s->outside > 0)
		return false;
	look_frozen(h, &again);
	s->failed = again.failed;
	return !again.failed && again.outside == 0 && again.sum == s->sum;
}

/* All are in it, or cannot be brought there. */
static enum hold_state freeze(struct hold *h)
{
	struct sight s = { .sum = 0 };
	bool inside = all_inside(h, &s);

	if (s.failed) {
		fd_close(&h->procs);
		stop_all(h);
	} else if (inside) {
		h->due_ms = -1;
		return still(h);
	} else if (++h->looks % CHASES == 0) {
		/* they fork faster than we move: who is stopped does not */
		stop_all(h);
	}
	if (clock_ms() - h->begun_ms > TRY_MS)
		return loose(h);
	again_in(h, LOOK_MAX_MS);
	return h->state;
}

/* Who has moved so often does it on purpose. */
static bool is_loose(struct hold *h, bool moved)
{
	h->moves += moved;
	return h->moves > (h->sleepy ? MOVES_SLEEPY : MOVES);
}

static enum hold_state try_stop(struct hold *h)
{
	const int64_t tried_ms = clock_ms() - h->begun_ms;
	struct sight s = { .sum = 0 };
	bool same;

	look_stopped(&s);
	same = h->looks++ > 0 && s.sum == h->seen;
	h->seen = s.sum;
	if (!s.failed && s.running == 0 && same &&
	    (s.sleepy == 0 || tried_ms > SLEEPY_MS)) {
		h->sleepy = s.sleepy > 0;
		(void)still(h);
	} else if (tried_ms > TRY_MS || is_loose(h, s.continued)) {
		return loose(h);
	} else if (s.running > 0) {
		stop_all(h);
	}
	again_in(h, LOOK_MAX_MS);
	return h->state;
}

static enum hold_state watch(struct hold *h)
{
	struct sight s = { .sum = 0 };

	look_stopped(&s);
	if (!s.failed && s.running == 0 && s.sum == h->seen) {
		again_in(h, WATCH_MAX_MS);
		return h->state;
	}
	stop_all(h);
	if (is_loose(h, true))
		return loose(h);
	h->state = HOLD_TRYING;
	h->looks = 0;
	h->pause_ms = 0;
	h->begun_ms = h->due_ms = clock_ms();
	return h->state;
}

enum hold_state hold_look(struct hold *h)
{
	if (h->state == HOLD_TRYING)
		return h->procs >= 0 ? freeze(h) : try_stop(h);
	if (h->state == HOLD_STILL && h->procs < 0)
		return watch(h);
	return h->state;
}

int hold_wait(const struct hold *h)
{
	int64_t left = h->due_ms - clock_ms();

	if (h->due_ms < 0)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* ---- on again ---- */

static int by_number(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool go_on(void *user, pid_t pid)
{
	const struct hold *h = user;

	if (pid != 1 &&
	    !bsearch(&pid, h->before, h->nbefore, sizeof(pid), by_number))
		(void)kill(pid, SIGCONT); /* ESRCH: it was killed */
	return true;
}

static void go_on_all(struct hold *h)
{
	/* who is stopped has no children meanwhile: one walk finds all */
	if (h->nbefore == 0 || !each_number("/proc", go_on, h))
		(void)kill(-1, SIGCONT);
	for (int sig = SIGTSTP; sig <= SIGTTOU; sig++)
		if (h->later & UINT32_C(1) << sig)
			(void)kill(-1, sig);
}

void hold_signal(struct hold *h, int sig)
{
	if (sig == SIGSTOP || sig == SIGCONT) {
		h->stay = sig == SIGSTOP;
		h->nbefore = 0;
		h->later = 0;
	}
	/* SIGCONT takes back what came before it, ours as well */
	if (sig >= SIGTSTP && sig <= SIGTTOU)
		h->later |= UINT32_C(1) << sig;
	if (sig != SIGCONT || !h->stopped)
		(void)kill(-1, sig); /* ESRCH: reap() will tell */
}

void hold_end(struct hold *h)
{
	if (h->stopped && !h->stay)
		go_on_all(h);
	fd_close(&h->procs);
	free(h->before);
	hold_init(h);
}
