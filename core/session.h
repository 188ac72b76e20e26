/* session.h - the inside of a session, for the files of core/ only
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A session is an epoll descriptor with everything in it: the channels to the
 * helpers, their pidfds, the pipes of the runs. exeat_session_dispatch()
 * takes what is ready; nothing else moves the state. Opening, making a posture
 * and starting a run are messages that are sent at once, in this order, without
 * waiting for each other's answers: the keeper takes them in order.
 *
 * A session is OPENING -> OPEN -> BROKEN (a helper is gone or said P_ERROR;
 * `fatal` says why; every run ends with it). There is no way back.
 *
 * A run is over when three things have come: K_EXITED (or K_RUN_FAILED),
 * F_FLUSHED (its refusals are all here), and the end of its output pipes.
 */
#ifndef EXEAT_CORE_SESSION_H
#define EXEAT_CORE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/limits.h"
#include "core/base/msg.h"
#include "core/budgets.h"
#include "core/ca.h"
#include "core/cgroup.h"
#include "core/error.h"
#include "core/governs.h"
#include "core/identity.h"
#include "core/include/exeat.h"
#include "core/list.h"
#include "core/preset.h"
#include "core/proto.h"
#include "core/snapshot.h"
#include "core/upproxy.h"
#include "core/viewplan.h"
#include "core/workdir.h"
#include "policy/policy.h"
#include "policy/upproxy.h"

struct audit_event;

enum source_kind {
	SOURCE_CHAN,   /* a helper's channel */
	SOURCE_PIDFD,  /* a helper's life */
	SOURCE_STREAM, /* a pipe of a run */
	SOURCE_RESOLV, /* the machine's resolvers may have changed */
	SOURCE_DUE,    /* something of a run is due */
};

/* What an epoll event points to. */
struct source {
	enum source_kind kind;
	void *owner; /* struct helper, struct stream, struct exeat_session */
};

struct helper {
	struct exeat_session *session;
	const char *name;
	struct chan chan;
	int pidfd;
	bool hello;   /* isolated; pidfd is its own */
	bool asked;   /* P_PING is sent, P_PONG has not come */
	bool hangs;   /* it was waited for long enough */
	unsigned silent; /* ticks since it was asked, or started */
	uint64_t words;	 /* messages that have come */
	bool ended;   /* end of file; silent from now on */
	bool gone;    /* the same, seen while another one ended */
	bool said_bye;
	bool writing; /* epoll watches for room */
	struct source chan_source, pid_source;
};

enum { SESSION_ID_SIZE = 17 };

/* tls: only where the caller's own proxy is an https:// one */
enum { HELPER_KEEPER, HELPER_FRONT, HELPER_DIALER, HELPER_TLS, HELPERS };

/* A policy that was sent for a posture that is READY. */
enum posture_change { CHANGE_NONE, CHANGE_SENT, CHANGE_DONE, CHANGE_FAILED };

enum posture_state { POSTURE_MAKING, POSTURE_READY, POSTURE_FAILED };

struct posture {
	uint32_t id; /* 0: free slot */
	enum posture_state state;
	void *image; /* of `policy`; NULL: that is the session's own */
	struct policy *policy;
	uint32_t users; /* live runs */
	uint32_t named; /* those of them that named the posture themselves */
	enum posture_change change;
	uint64_t last_used;
	bool is_private;
	bool many; /* K_PREPARE is sent */
	unsigned silent; /* ticks that it has been MAKING */
};

/* What a posture is made of, before it is compiled. */
struct network {
	bool has_mode;
	enum policy_mode mode;
	struct list allow;
};

/* What exeat_session_set_policy() replaces. */
struct settings {
	struct network network;
	struct list deny;
	bool require_names;
	enum policy_dns_refusal dns_refusal;
	struct budgets budgets;
};

/* One end of a pipe to or from a run, with what is in between. */
struct stream {
	struct exeat_run *run;
	enum exeat_stream which;
	int fd; /* -1: none, or at its end */
	struct source source;
	bool watched;
	bool hung; /* output: a terminal that nobody has at the moment */
	char *buf; /* output: not read yet; input: not written */
	size_t start, len, size;
	uint64_t total;	       /* output: bytes that came, kept or not */
	bool awaited;	       /* its descriptor is still to come */
	bool close_when_empty; /* input */
	char last; /* input: the byte that was queued last; 0: none */
};

enum run_phase { PHASE_STARTED, PHASE_OVER };

struct exeat_run {
	struct exeat_session *session;
	struct exeat_run *next;
	uint32_t id;
	struct posture *posture; /* NULL once over */
	enum run_phase phase;
	bool named;		    /* its posture; else it is the session's */
	bool exited, flushed, lost; /* lost: the session broke */
	bool reported; /* the keeper has said its end */
	int64_t asked_ms; /* since when front's answer to its end is awaited */
	unsigned asked;	  /* how often it was not there in time */
	uint64_t front_words; /* that it had said by then */
	int64_t idle_ms, active_ms; /* 0: for ever; last output, clock_ms() */
	uint64_t output_left;	    /* bytes, of both streams */
	struct cgroup cgroup;	    /* of no places: none */
	bool ending;		    /* K_END is sent */
	unsigned held;		    /* by calls that wait: is not destroyed */
	struct err err;		    /* lost, or the sandbox failed */
	struct stream streams[3];
	void (*on_output)(void *user_data, struct exeat_run *run,
			  enum exeat_stream stream, const void *data,
			  size_t len);
	void (*on_exit)(void *user_data, struct exeat_run *run);
	void (*on_stdin_ready)(void *user_data, struct exeat_run *run);
	bool wants_stdin; /* on_stdin_ready is owed */
	bool pty;	  /* its streams are a terminal, once that has come */
	bool python;	  /* a script for python3 */
	uint16_t rows, cols;
	void *user_data;
	bool callback[3];
	int sent_signal;
	char reason[32];
	char start_error[640]; /* 126, 127 */
	struct exeat_result result;
	struct exeat_refusal refusals[LIMIT_REFUSALS];
};

/* By what a file is known to have changed. */
struct resolv_trace {
	uint64_t dev, ino;
	int64_t size, changed_s, changed_ns;
};

/* What the dialer was told of the machine's resolvers, and their watch. */
struct resolv_watch {
	int fd; /* a timer; -1: none */
	struct source source;
	struct resolv_trace traces[2]; /* resolv.conf, hosts */
	struct sbuf known; /* the last D_OPEN; empty: no dialer yet */
};

struct exeat_session {
	char id[SESSION_ID_SIZE];
	char *label;
	const char *backend;
	bool opened;
	struct err fatal; /* code != ERR_NONE: broken */
	int epoll;
	int self; /* own pidfd: what the helpers watch */
	char helper_path[4096];
	/* the ends of the dialer until it is started, then -1 */
	int dialer_fds[3], dialer_own;
	struct resolv_watch resolv;
	struct helper helpers[HELPERS];
	struct identity identity;
	struct workdir work;
	uint64_t disk_bytes; /* 0: no limit */
	bool disk_spared;    /* the run that begins writes nothing there */
	bool work_asked;     /* K_WORK is sent; until its answer is here: */
	struct err work_err;
	struct snapshot snapshot; /* that it began with; none: no path */
	char *snapshot_dir;	  /* NULL: the user's */
	struct viewplan view;
	struct list governing, hidden; /* files, without a symlink */
	int audit; /* ours to close; -1: the caller's, or none */
	bool work_dir_sockets, with_credentials;
	struct list env, preset_env, preset_files;
	struct settings settings; /* the session's own posture */
	bool proxy_env;
	bool paused;	     /* told so, and not otherwise since */
	bool pausing;	     /* and it is not known yet that it is so */
	unsigned resumes;    /* asked for, and not answered */
	uint64_t timeout_ms; /* 0: none */
	int64_t over_ms;     /* when it is up, clock_ms(); 0: never */
	struct cgroup_limits limits;
	unsigned best_effort; /* of enum exeat_limit */
	bool cgroup_tried;
	struct cgroup cgroup; /* what there is of it */
	bool freezer_tried;
	struct cgroup freezer; /* of no places: pausing is by SIGSTOP */
	void *session_image;  /* the session's own posture */
	struct policy *session_policy;
	void *ceiling_image;
	struct policy *ceiling;	    /* network_ceiling, or NULL */
	const struct policy *bound; /* of every run: one of the two, or NULL */
	struct posture postures[LIMIT_POSTURES];
	struct posture *own; /* of runs that name none, if made */
	uint32_t last_posture, last_run;
	uint64_t clock; /* counts uses, for last_used */
	/* The caller's own proxy; its credentials: until the dialer has them */
	struct upproxy proxy; /* kind UPPROXY_NONE: there is none */
	struct upproxy_direct proxy_direct;
	struct ca ca;
	bool changing;	       /* in exeat_session_set_policy() */
	struct err change_err; /* of the last K_POLICY_FAILED */
	int due;	       /* timerfd */
	int64_t due_ms; /* when it is up, by clock_ms(); INT64_MAX: never */
	int64_t tick_ms; /* the next look at who is silent; 0: none */
	struct source due_source;
	struct exeat_run *runs;
	unsigned dispatching; /* depth; while it is, runs are buried: */
	struct exeat_run *dead;
	unsigned started;      /* runs so far */
	unsigned unended;      /* sent, and no end reported by the keeper */
	void (*on_event)(void *user_data, const struct exeat_event *event);
	void *user_data;
};

/* ---- session.c ---- */

/* Report and return: fills the public error from ours. */
int session_error(struct exeat_error *error, const struct err *err, int r);
/* A name that nobody else has, on any machine. 0, or -errno. */
int session_id_make(char ret[SESSION_ID_SIZE]);
/* The first reason stays; every run ends with it, in the next dispatch. */
void session_break(struct exeat_session *s, const struct err *err);
void session_send(struct exeat_session *s, unsigned helper, uint32_t type,
		  const void *body, size_t len, const int *fds, unsigned nfds);
int session_watch(struct exeat_session *s, int fd, struct source *source,
		  uint32_t events, bool add);
/* Take what the helpers have said so far. */
void session_hear(struct exeat_session *s);

/* ---- sessioncheck.c ---- */

/* A time that is an option. */
int time_check(const char *step, const char *name, int64_t ms, struct err *err);
int session_check_options(const struct exeat_session_options *o,
			  struct err *err);

/* ---- helpers.c ---- */

/* The pairs between caller and helpers, and between helpers. */
enum { PAIR_CK, PAIR_CF, PAIR_CD, PAIR_KF, PAIR_KD, PAIR_FD, PAIRS };

void helpers_init(struct exeat_session *s);
/* Makes the pairs; takes its own ends of them. */
int helpers_start_keeper(struct exeat_session *s, int pairs[PAIRS][2],
			 struct err *err);
int helpers_start_front(struct exeat_session *s, int pairs[PAIRS][2],
			struct err *err);
int helpers_open_keeper(struct exeat_session *s, struct err *err);
/* audit_fd -1: none; borrowed. */
int helpers_open_front(struct exeat_session *s, int audit_fd, struct err *err);
/* Start the dialer, if it is not there yet. */
int session_need_dialer(struct exeat_session *s, struct err *err);
/* The same of tls; *ret_fd is the dialer's end of the channel to it. */
int session_need_tls(struct exeat_session *s, int *ret_fd, struct err *err);
/* The keeper, and with it every payload, ends here; the others begin to. */
void helpers_stop(struct exeat_session *s);
/* Should: last; waits for them. */
void helpers_done(struct exeat_session *s);

/* ---- pause.c ---- */
void session_pause_send(struct exeat_session *s, bool pause);

/* ---- workmount.c ---- */

/* Should: before K_OPEN, when there is a fresh work dir. It becomes a mount of
 * disk_bytes, over `lower` if there is one; waits for it. */
int workmount_open(struct exeat_session *s, const char *lower, struct err *err);
void workmount_made(struct exeat_session *s, struct msg *m);

/* ---- message.c ---- */
void session_message(struct exeat_session *s, struct helper *h, struct msg *m);

/* ---- network.c ---- */

/* Parse the session's lists and ceiling; make the bound. */
int network_open(struct exeat_session *s, const struct exeat_session_options *o,
		 struct err *err);

/* ---- posture.c ---- */

void network_close(struct exeat_session *s);
/* Does a run name its posture itself? */
bool posture_is_named(const struct exeat_run_options *o);
/* Find or make the posture that a run names; counts as its user. */
int posture_get(struct exeat_session *s, const struct exeat_run_options *o,
		struct list *ret_env, struct posture **ret, struct err *err);
void posture_put(struct exeat_session *s, struct posture *p, bool named);
/* More runs may come in it: the keeper has children ready. */
void posture_expect(struct exeat_session *s, struct posture *p);
/* Should: when the session is open. Its own posture is made, before a run asks
 * for it; if that fails, the run hears why. */
void posture_make_own(struct exeat_session *s);
/* K_POSTURE or K_POLICY; starts the dialer if the policy needs it. */
int posture_send(struct exeat_session *s, uint32_t type, uint32_t id,
		 const struct policy *policy, struct err *err);
void posture_forget(struct exeat_session *s, struct posture *p);
struct posture *posture_by_id(struct exeat_session *s, uint32_t id);

/* ---- runlimit.c ---- */

struct command;
/* The session's limits, and who keeps them. ERR_UNAVAILABLE: nobody can. */
int limits_open(struct exeat_session *s, const struct exeat_session_options *o,
		struct err *err);
void limits_close(struct exeat_session *s);
/* A run's: into the command, and a group to join. Returns the number of
 * descriptors in ret_fds, which the caller owns. */
int limits_run(struct exeat_run *run, const struct exeat_run_options *o,
	       struct command *c, int ret_fds[CGROUP_KINDS], struct err *err);
/* Should: when its end is known. What its group counted goes into the result. */
void limits_ended(struct exeat_run *run, int status);

/* ---- due.c ---- */

/* Should: when a run has started or exited: what it has an end to is watched.
 * The session breaks if front does not tell its refusals in time. */
void due_watch(struct exeat_run *run);
void due_ready(struct exeat_session *s);

int due_open(struct exeat_session *s, struct err *err);
/* Something is due then, of what due_ready() looks at. */
void due_at(struct exeat_session *s, int64_t due_ms);

/* ---- alive.c ---- */

/* Should: when something begins that a helper must answer. While that lasts,
 * one that says nothing for LIMIT_SILENT_MS breaks the session. */
void alive_watch(struct exeat_session *s);
void alive_tick(struct exeat_session *s);
/* Ask all of them now; then, of those that have not answered, the first. */
void alive_ask(struct exeat_session *s);
struct helper *alive_silent(struct exeat_session *s);

/* ---- runcheck.c ---- */

/* The error's object is the option's name. */
int run_check_options(const struct exeat_run_options *o, struct err *err);

/* ---- run.c ---- */
struct exeat_run *run_by_id(struct exeat_session *s, uint32_t id);
void run_exited(struct exeat_run *run, int status, unsigned reason);
void run_failed(struct exeat_run *run, unsigned exit_code,
		const struct err *err);
void run_flushed(struct exeat_run *run);
void run_lost(struct exeat_run *run, const struct err *err);
/* Its streams wait for what the keeper will send. */
int run_tty_await(struct exeat_run *run, const struct exeat_run_options *o,
		  struct err *err);
/* The terminal has come: takes it. */
void run_tty(struct exeat_run *run, int take_fd);
/* TERM, then KILL after its grace; `reason` is what its result says. */
void run_end(struct exeat_run *run, enum run_reason reason);
/* Over if everything has come: calls on_exit once. */
void run_check(struct exeat_run *run);
void run_refusal(struct exeat_run *run, const struct audit_event *e);
/* What it owns. */
void run_refusal_free(const struct exeat_refusal *f);
/* A call that waits for it may find it freed by a callback, but there: it is
 * over, and has no streams. */
void run_hold(struct exeat_run *run);
void run_release(struct exeat_run *run);
/* Free what was freed by its owner while events were being handled. */
void runs_bury(struct exeat_session *s);

/* ---- stream.c ---- */
void stream_init(struct exeat_run *run, enum exeat_stream which);
int stream_attach(struct stream *st, int take_fd);
void stream_ready(struct stream *st);
void stream_close(struct stream *st);
void stream_done(struct stream *st);
/* Input: queue bytes; written as the pipe takes them. */
int stream_queue(struct stream *st, const void *data, size_t len);
/* As many as there is room for: -EAGAIN if none, -EPIPE if it is closed. */
ssize_t stream_queue_some(struct stream *st, const void *data, size_t len);
/* Output: nothing more is read from the pipe until some is taken. */
bool stream_full(const struct stream *st);
/* Output: the run is gone; take what is in the pipe, and end it. */
void stream_drain(struct stream *st);
/* Output: the first n bytes of what is kept have been taken. */
void stream_drop(struct stream *st, size_t n);
/* Output: move out what is kept, at most size bytes. */
size_t stream_take(struct stream *st, void *buf, size_t size);

/* ---- environ.c ---- */

/* Before anything is started: the presets' and the session's part. */
int environ_check(const struct exeat_session *s, struct err *err);
/* The payload's complete environment: minimal, presets', session's, run's. */
int environ_make(const struct exeat_session *s, enum policy_mode mode,
		 const struct list *preset_env,
		 const struct exeat_run_options *run, struct list *ret,
		 struct err *err);

/* ---- resolv.c ---- */

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_HOSTS "/etc/hosts"
/*
 * D_OPEN from these two. `again`: -ENODATA while resolv.conf is being replaced
 * (not there, or empty); the first time that means 127.0.0.1.
 */
int resolv_encode(struct sbuf *ret, bool again, struct err *err);

/* ---- resolvwatch.c ---- */

/* Should: after D_OPEN was sent; `take` is its body. Cannot fail: without a
 * timer, resolv_watch_poll() looks. */
void resolv_watch_start(struct exeat_session *s, struct sbuf *take);
void resolv_watch_ready(struct exeat_session *s);
/* Should: before a run starts. */
void resolv_watch_poll(struct exeat_session *s);
void resolv_watch_stop(struct exeat_session *s);

/* ---- upproxy.c ---- */

struct policy_file;
/* From the options, or from the session's policy file. */
int upproxy_open(struct exeat_session *s, const struct exeat_session_options *o,
		 const struct policy_file *file, struct err *err);
/* To the dialer, before it is opened; then its secrets are forgotten here. */
int upproxy_send(struct exeat_session *s, struct err *err);
void upproxy_close(struct exeat_session *s);
/* A policy for the live session may say what is so; ERR_INVALID if it says
 * something else. */
int upproxy_check_same(const struct exeat_session *s,
		       const struct policy_file *file, struct err *err);

/* ---- helperpath.c ---- */
/* Its name, behind the path of the other. */
#define HELPER_TLS_SUFFIX "-tls"
/* Is it there? 0, or ERR_UNAVAILABLE. */
int helper_tls_check(const char *helper_path, struct err *err);
int helper_path(const char *option, char *ret, size_t size, struct err *err);

#endif
