/* proto.h - the messages between caller, keeper, front and dialer
 * SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 *	caller  <-> keeper	opens the session, makes postures, runs
 *	caller  <-> front	audit descriptor, refusals, barriers
 *	caller  <-> dialer	DNS servers and hosts of the machine
 *	keeper  <-> front	a posture's policy and sockets
 *	keeper  <-> dialer	a posture's policy; pins
 *	front   <-> dialer	proxy/ask.h
 *	caller  <-> tls		whom to expect behind an https:// proxy's name
 *	dialer  <-> tls		connections to it
 *
 * A posture is ready when keeper, front and dialer all have it: the keeper
 * tells the other two, waits for both, then answers the caller. No payload
 * enters before.
 *
 * Another policy for a posture that lives: the keeper asks the dialer which
 * pins it leaves, puts it with them in force in the kernel, then in the dialer,
 * then in front, each when the one before has it. So a live posture never
 * allows what neither policy does, and always what both do.
 *
 * Bodies are fixed sequences of big-endian numbers and length-prefixed
 * strings (sbuf_* writes, rbuf_* reads), given beside each type.
 */
#ifndef EXEAT_CORE_PROTO_H
#define EXEAT_CORE_PROTO_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/msg.h"

/* Descriptors of the helpers, in the order spawn_helper() passes them. */
enum {
	KEEPER_FD_CALLER = 3,
	KEEPER_FD_FRONT,
	KEEPER_FD_DIALER,
	KEEPER_FD_CALLER_PID,		/* pidfd of the caller */
	FRONT_FD_CALLER = 3,
	FRONT_FD_KEEPER,
	FRONT_FD_DIALER,
	FRONT_FD_CALLER_PID,
	DIALER_FD_CALLER = 3,
	DIALER_FD_KEEPER,
	DIALER_FD_FRONT,
	DIALER_FD_CALLER_PID,
	TLS_FD_CALLER = 3,
	TLS_FD_DIALER,
	TLS_FD_CALLER_PID,
};

enum proto_message {
	/* every helper to the caller, once isolated: str version, which must
	 * be the library's own. fd: its own pidfd */
	P_HELLO = 1,
	P_ERROR,		/* struct err: it could not start; it ends */

	/* caller to keeper */
	K_OPEN,			/* u32 uid, gid inside; u8 work_dir_sockets; str
				 * backend, hostname; view. fds: detached mounts */
	K_OPENED,		/* keeper: the template root stands */
	K_WORK,			/* before K_OPEN: a mount for the work dir. u64
				 * size; str place, lower (or NULL) */
	K_WORK_MADE,		/* keeper: fd: the mount; without one: err */
	K_FRESH,		/* the work dir goes, also if the caller is
				 * killed. str name. fds: the folder that it is
				 * in, its lock */
	K_POSTURE,		/* u32 posture; u32 mode. fd: policy image */
	K_POSTURE_READY,	/* u32 posture */
	K_POSTURE_FAILED,	/* u32 posture, err */
	K_POSTURE_DROP,		/* u32 posture */
	K_POLICY,		/* u32 posture, ready: another policy. fd: image */
	K_POLICY_SET,		/* u32 posture; in force everywhere */
	K_POLICY_FAILED,	/* u32 posture, err; perhaps in force somewhere */
	K_PREPARE,		/* u32 posture: it may have more runs, for which
				 * children are to be ready */
	K_RUN,			/* u32 run, posture; u64 timeout_ms, grace_ms (0:
				 * none); command. fds: stdin, stdout, stderr,
				 * files to join cgroups */
	K_TTY,			/* u32 run. fd: the caller's end of its terminal */
	K_RUN_FAILED,		/* u32 run, u32 exit code (125..127), err */
	K_EXITED,		/* u32 run, u32 wait status, u8 reason, u64 utime_us,
				 * stime_us, maxrss_kib, runtime_us */
	K_KILL,			/* u32 run, u32 signal; unknown runs are ignored */
	K_LIFE,			/* u64 ms: then every run ends (TERM, KILL after
				 * LIMIT_SESSION_GRACE_MS), and the session */
	K_PAUSE,		/* u8: stop every run (1), or let them go on. fds: of
				 * each of up to two groups cgroup.freeze and
				 * cgroup.events, then one cgroup.procs; or none */
	K_PAUSED,		/* u8, as asked: it is so */
	K_END,			/* u32 run, u8 reason (RUN_IDLE, RUN_OUTPUT):
				 * TERM, KILL after its grace */

	/* keeper to front and dialer */
	G_POSTURE,		/* u32 posture; u32 sockets (bit set of those
				 * passed). fds: policy image, sockets */
	G_POSTURE_READY,	/* back: u32 posture; also to G_POLICY (front) and
				 * G_POLICY_NOW (dialer) */
	G_POLICY,		/* u32 posture, known. fd: policy image. The dialer
				 * only says what stays */
	G_STAYING,		/* dialer, back: u32 posture, ttl_s, count; each as
				 * of G_PIN: pins that the policy leaves */
	G_POLICY_NOW,		/* u32 posture: the kernel has it, with these */
	G_POSTURE_DROP,		/* u32 posture */
	G_RUN,			/* u32 posture, run: whose the events are (0:
				 * nobody's or several runs') */
	G_FLUSH,		/* u32 run, posture, u64 x NFT_REFUSALS: a run has
				 * ended, these are the kernel's totals; what it
				 * logged is reported before F_FLUSHED */
	G_PIN,			/* dialer to keeper: u32 seq, posture, ttl_s, count;
				 * each: 16 bytes, u8 proto, u16 lo, hi */
	G_PINNED,		/* u32 seq, u32 errno */

	/* caller to front */
	F_OPEN,			/* str session, label. fd: audit (optional) */
	F_FLUSHED,		/* front: u32 run; its refusals have been told */
	F_EVENT,		/* front: one refusal or failure, by
				 * audit_encode() */

	/* caller to dialer */
	D_OPEN,			/* u32 n, each: 16 bytes, u16 port, u32 interface (0:
				 * none); u32 m, each: str name, 16 bytes. Again
				 * whenever they have changed */
	D_PROXY,		/* before D_OPEN: the caller's own proxy, by
				 * upproxy_encode(). fds: policy image whose
				 * deny rules are the exceptions; for https://
				 * the channel to tls */

	/* caller to tls */
	T_OPEN,			/* u32 n; upproxy without credentials;
				 * authorities as PEM: n bytes of the caller's,
				 * the rest is the machine's */

	/* dialer to tls */
	T_WRAP,			/* u32 id. fd: connected to the proxy */
	T_UNWRAP,		/* u32 id: not wanted any more */
	T_WRAPPED,		/* back: u32 id, failure. fd if that is 0: to be
				 * connected */

	/* every helper to the caller: it ends, because another one, or the
	 * caller, is gone. Who ends without a word was the first. */
	P_BYE,

	/* caller to every helper, and back, at once: it goes on working */
	P_PING,
	P_PONG,
};

/* Why a run ended, as the keeper knows it. */
enum run_reason {
	RUN_ENDED,		/* by itself, or a signal from inside */
	RUN_TIMEOUT,
	RUN_KILLED,		/* K_KILL */
	RUN_IDLE,		/* K_END: no output for its idle time */
	RUN_OUTPUT,		/* K_END: more output than it may have */
	RUN_SESSION,		/* K_LIFE */
};

/* What each end may receive. The states are the owner's own. */
extern const struct msg_rule proto_keeper_caller_rules[];
extern const size_t proto_keeper_caller_nrules;
extern const struct msg_rule proto_keeper_front_rules[];
extern const size_t proto_keeper_front_nrules;
extern const struct msg_rule proto_keeper_dialer_rules[];
extern const size_t proto_keeper_dialer_nrules;
extern const struct msg_rule proto_front_caller_rules[];
extern const size_t proto_front_caller_nrules;
extern const struct msg_rule proto_front_keeper_rules[];
extern const size_t proto_front_keeper_nrules;
extern const struct msg_rule proto_dialer_caller_rules[];
extern const size_t proto_dialer_caller_nrules;
extern const struct msg_rule proto_dialer_keeper_rules[];
extern const size_t proto_dialer_keeper_nrules;
extern const struct msg_rule proto_dialer_tls_rules[];
extern const size_t proto_dialer_tls_nrules;
extern const struct msg_rule proto_tls_caller_rules[];
extern const size_t proto_tls_caller_nrules;
extern const struct msg_rule proto_tls_dialer_rules[];
extern const size_t proto_tls_dialer_nrules;
/*
 * The caller, from keeper, front, dialer, tls. It is in PROTO_STARTING until that
 * helper has said P_HELLO, which it says once: what comes with it is watched,
 * waited for and killed, and must not be of a later choice.
 */
enum { PROTO_STARTING, PROTO_SERVING };
struct proto_table {
	const struct msg_rule *rules;
	size_t nrules;
};
extern const struct proto_table proto_caller_tables[4];

#endif
