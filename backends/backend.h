/* backend.h - how a payload is confined: a table of functions
 * SPDX-License-Identifier: Apache-2.0
 *
 * Core owns the network, backends own the rest. The keeper calls them; it has
 * entered the posture's network namespace before `prepare`, and every child
 * is born into it. Its bounding set is empty, and it has no_new_privs: so do
 * all that it starts.
 *
 * Life of a run, as the backend sees it
 *
 *	prepare   clones a child with everything that does not depend on the
 *	          command done (namespaces, mounts), waiting on `control`
 *	start     the keeper sends BACKEND_COMMAND on `control` (an encoded
 *	          struct command, fds: stdin, stdout, stderr, and the files by
 *	          which it joins up to BACKEND_GROUPS cgroups)
 *	          if it asks for a terminal, the child makes one in the run's
 *	          view and sends BACKEND_TTY; it answers BACKEND_STARTED once
 *	          exec has succeeded, or
 *	          BACKEND_FAILED (an encoded error; the child ends)
 *	signals   the keeper sends BACKEND_SIGNAL {u32 signal}: to the whole tree
 *	pause     the keeper sends BACKEND_PAUSE {u8 on} (fd: cgroup.procs of a
 *	          frozen group that all are to be moved to; without one they
 *	          are stopped); each that is on is answered, by BACKEND_STOPPED
 *	          when all stand still, at the latest when it is off again; or
 *	          by BACKEND_LOOSE, which may also come later: they cannot be
 *	          held, and are being killed
 *	end       BACKEND_EXITED {u32 wait status, u64 utime_us, u64 stime_us,
 *	          u64 maxrss_kib} when the command has ended, and everything
 *	          else in its pid namespace with it; the child then waits for
 *	          the keeper to shut down its half of `control`, and ends
 *	          itself. Its mounts are gone when its pidfd says so. One that
 *	          failed or was killed may be gone before its last message was
 *	          read: read `control` to its end first
 *	kill      SIGKILL to the child through its pidfd ends everything at once
 */
#ifndef EXEAT_BACKENDS_BACKEND_H
#define EXEAT_BACKENDS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/msg.h"
#include "core/sys/view.h"

enum { BACKEND_GROUPS = 3 };

enum backend_message {
	BACKEND_COMMAND = 1,
	BACKEND_TTY,		/* fd: the other end of the run's terminal */
	BACKEND_STARTED,
	BACKEND_FAILED,		/* u32 err_code, u32 errno, lstr step, object,
				 * message, remedy; u32 exit code to report:
				 * 127 not found, 126 not executable, 125 */
	BACKEND_SIGNAL,
	BACKEND_EXITED,
	BACKEND_PAUSE,
	BACKEND_STOPPED,	/* all of the tree stands still */
	BACKEND_LOOSE,		/* it does not, whatever is done */
};

/* The body of BACKEND_FAILED, written and read. False if malformed. */
void backend_put_failed(struct sbuf *b, const struct err *err,
			uint32_t exit_code);
bool backend_get_failed(struct rbuf *r, struct err *ret,
			uint32_t *ret_exit_code);

/* What may be received by the keeper and by the child. */
extern const struct msg_rule backend_keeper_rules[];
extern const size_t backend_keeper_nrules;
extern const struct msg_rule backend_child_rules[];
extern const size_t backend_child_nrules;

struct backend_spec {
	uid_t uid;			/* inside, of the payload */
	gid_t gid;
	const struct view *view;	/* run operations are the backend's */
	/* No Landlock. Without it, unix sockets can be made in the tmpfs of
	 * the run (/tmp, /run, /dev/shm) below which nothing of the host is
	 * writable: none in /tmp if the work dir lies there. */
	bool work_dir_sockets;
	const char *hostname;		/* uts namespace */
};

struct backend_child {
	pid_t pid;			/* in the keeper's pid namespace */
	int pidfd;			/* owned by whoever called prepare */
	int control;			/* SEQPACKET, owned likewise */
};

struct backend {
	const char *name;
	/* Can it work here? ERR_UNAVAILABLE with the remedy. Runs in a
	 * throw-away child of `exeat doctor` too: no lasting effect. */
	int (*probe)(struct err *err);
	int (*prepare)(const struct backend_spec *spec,
		       struct backend_child *ret, struct err *err);
};

extern const struct backend backend_userns;

/* By name; NULL if there is none of that name. */
const struct backend *backend_find(const char *name);
/* "userns, ..." for the error. */
const char *backend_names(void);

#endif
