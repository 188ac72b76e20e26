/* exeat.h - a sandbox whose network is a policy: the public interface
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program that runs one command; cc hello.c $(pkg-config --cflags --libs exeat)
 *
 *	#include <exeat.h>
 *	#include <stdio.h>
 *	#include <stdlib.h>
 *
 *	int main(void)
 *	{
 *		struct exeat_run_options hello = EXEAT_RUN_OPTIONS_INIT;
 *		struct exeat_session *session;
 *		struct exeat_error error;
 *		struct exeat_run *run;
 *		char *out, text[1024];
 *
 *		hello.command = "printf hello";
 *		if (exeat_session_open(NULL, &session, &error) < 0 ||
 *		    exeat_exec(session, &hello, &run, &out, NULL, NULL, NULL,
 *			       &error) < 0) {
 *			puts(exeat_error_text(&error, text, sizeof(text)));
 *			return 125;
 *		}
 *		printf("%s, %d\n", out, exeat_run_result(run)->returncode);
 *		free(out);
 *		exeat_session_close(session);
 *		return 0;
 *	}
 *
 * The rules of this interface
 *
 * - A *session* keeps a work dir and its processes; a *run* is one command in
 *   it. Each run names its own network posture: "blocked" (default),
 *   "allowlist" or "open".
 * - Functions that can fail return 0 or a negative errno and fill
 *   `struct exeat_error *error` (may be NULL). A command's non-zero exit is
 *   data, never an error.
 * - Option structs begin with their size: start from EXEAT_..._OPTIONS_INIT
 *   and set what you need; NULL is the same as setting nothing. Everything in
 *   them is copied. Later versions add fields at their ends, so a program and
 *   a library of different versions work together: what an older program does
 *   not know stays as ..._INIT has it; what an older library does not know
 *   must be zero, else EXEAT_INVALID names "size".
 * - Lists of strings are NULL-terminated arrays. A NULL list is unset; an
 *   empty list ({NULL}) is an empty list: an empty allow-list allows nothing.
 * - Text is UTF-8 (RFC 3629), and "" names nothing. What is not so is refused,
 *   and so is every number out of the range that is told: nothing is cut to fit,
 *   and nothing that was asked for is left out: EXEAT_INVALID says which.
 * - NULL is EXEAT_INVALID, too, where something is needed: a session, a run, a
 *   path, the place for a result. Functions that cannot fail answer it with
 *   NULL, 0 or, for a descriptor, -1. It may be given for options, for errors,
 *   for the lengths of results, for callbacks (which are not called), and where
 *   a function says so.
 * - A time to wait is in milliseconds: 0 is not at all, -1 for ever, and less
 *   than that EXEAT_INVALID.
 * - Whatever a function returns by `ret_x` belongs to the caller only where
 *   it says so; everything else is borrowed and lives as long as its owner.
 * - A session is used by one thread at a time; different sessions may be used
 *   by different threads. The library starts no thread, installs no signal
 *   handler, and keeps the caller's SIGCHLD, signal mask and environment
 *   untouched: its helpers are nobody's children. Nothing is global. One
 *   exception: a preset that asks a package manager for its settings, which
 *   is once until they change, starts it as a child and reaps it by its pid.
 * - Inside, everything is event-driven: exeat_session_fd() is one descriptor to
 *   poll for reading, exeat_session_dispatch() does what is due. Calls that
 *   wait (..._wait, ..._read, exeat_session_open) are loops over it.
 * - The callbacks of sessions and runs come from these calls. They may make any
 *   call that does not say otherwise, wait in it themselves, and free any run,
 *   also one that a call waits for, which then counts as ended; but not one that
 *   exeat_exec() or exeat_run_code() is to return.
 * - free and close functions accept NULL, return nothing and always succeed.
 */
#ifndef EXEAT_H
#define EXEAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXEAT_API __attribute__((visibility("default")))

/* ---- errors ---- */

enum exeat_code {
	EXEAT_OK = 0,	   /* no error */
	EXEAT_INVALID,	   /* an argument is wrong; object is its name, or
			    * what it names, and step is the rest */
	EXEAT_POLICY,	   /* wider than a bound; object is the rule */
	EXEAT_UNAVAILABLE, /* the machine lacks something; see remedy */
	EXEAT_NOT_FOUND,   /* there is no such thing */
	EXEAT_CONFLICT,	   /* it is in use, of another kind, or done already;
			    * or the call mustn't come from a callback */
	EXEAT_TIMEOUT,	   /* it took longer than it may */
	EXEAT_LIMIT,	   /* too many, too large, or no space */
	EXEAT_INTERNAL	   /* a helper process ended, or a bug of ours */
};

/* Of the caller's making; filled by a call that fails. Strings are never NULL
 * and end with a NUL: what is longer is cut. */
struct exeat_error {
	enum exeat_code code; /* for programs */
	int errnum;	      /* errno behind it, or 0 */
	char step[48];	      /* what was being done */
	char object[192];     /* on what */
	char message[384];    /* the reason */
	char remedy[256];     /* what helps, or "" */
};

/* "invalid", "policy", "unavailable", ...: the code's name in lower case. */
EXEAT_API const char *exeat_code_name(enum exeat_code code);
/* One line for people: "STEP OBJECT: MESSAGE (REMEDY)"; of NULL "". Returns
 * buf. */
EXEAT_API const char *exeat_error_text(const struct exeat_error *error,
				       char *buf, size_t size);
/* The library's version, "0.1.0". */
EXEAT_API const char *exeat_version(void);

/* ---- what the policy refused ---- */

/*
 * One refusal or failure, or (session option on_event) any audited event.
 * Strings are never NULL; unknown ones are "".
 */
struct exeat_event {
	uint64_t seq;	      /* of the session, from 1; as in its audit */
	double time;	      /* seconds since the epoch */
	uint64_t run;	      /* run id, 0: not one run's alone */
	const char *layer;    /* dns kernel tcp tls http udp policy lifecycle */
	const char *verdict;  /* allow deny fail */
	const char *protocol; /* tcp udp icmp ... */
	const char *name;     /* of the target, as far as it is known */
	const char *learnt;   /* how: dns sni host pin proxy */
	const char *address;  /* of the target; IPv4 or IPv6 text */
	uint16_t port;	      /* 0: none, or not known */
	const char *rule;     /* the deciding rule */
	const char *reason;   /* its code, as in the audit */
	const char *allow_hint; /* the rule that would allow; "" if none can */
	uint64_t count;		/* how many alike (kernel refusals), >= 1 */
};

/* ---- sessions ---- */

struct exeat_session;

struct exeat_session_options {
	size_t size;	     /* sizeof(struct exeat_session_options) */
	const char *backend; /* NULL: "userns". No auto-detection. */
	/*
	 * The session's posture for runs that name none, and, if no ceiling
	 * is given, the bound of every run. NULL mode and NULL list: runs are
	 * "blocked" unless they say otherwise, and nothing bounds them. A
	 * list without a mode means "allowlist".
	 */
	const char *network_mode;
	const char *const *network_allowlist;
	const char *const *network_denylist; /* wins over every allow-list */
	/* A policy file's JSON text (exeat-policy(5), POLICY FILE) instead of
	 * the three above; NULL: none. */
	const char *network_policy;
	/* Another one, which no run and no later policy may exceed. */
	const char *network_ceiling;
	int require_names;	 /* open: refuse flows without a name */
	const char *dns_refusal; /* NULL "nxdomain" | "refused" */
	/* Directory kept and shown at the same path; NULL: a fresh one, removed
	 * at close. */
	const char *host_work_dir;
	/* More of the host: absolute paths, shown at the same place. Refused
	 * (EXEAT_INVALID): "/", what belongs to the kernel, folders above the
	 * work dir, sockets. */
	const char *const *read_only_paths;
	const char *const *read_write_paths;
	const char *const *env; /* "K=V", added to the minimal one */
	const char *user;	/* "UID[:GID]", for root; NULL: the owner of
				 * the work dir, else 65534 */
	int work_dir_sockets;	/* unix sockets allowed in the work dir */
	int with_credentials;	/* presets hand in credentials too */
	const char *label;	/* in every line of the audit; "" is none, at
				 * most 255 bytes */
	int audit_fd;		/* JSON lines (exeat-audit(5)); open for
				 * writing, borrowed until close; -1: none */
	/* Called from dispatch for every refusal and failure; the event is
	 * borrowed for the call. */
	void (*on_event)(void *user_data, const struct exeat_event *event);
	void *user_data;	 /* on_event's first argument */
	const char *helper_path; /* NULL: the installed exeat-helper, or
					 * $EXEAT_HELPER in the environment */
	/*
	 * Budgets, "NAME=SIZE" each (bytes, or with K, M, G of 1024): so much
	 * may go to and come from what NAME says, in all runs together; then
	 * its flows are reset and refused ("budget"). NAME: an allow rule's
	 * text, or a host that one allows; without a port: on all of them.
	 * They stand beside lists or network_policy.
	 */
	const char *const *max_upload;
	const char *const *max_download;
	/*
	 * The caller's own proxy, by which every allowed TCP connection goes;
	 * none ever goes direct instead. "http://[USER:PASSWORD@]HOST[:PORT]",
	 * https://, socks5:// or socks5h://; NULL: none, or what
	 * network_policy names. Its other options have no meaning without it.
	 */
	const char *upstream_proxy;
	/* What it is told: NULL | "address", which was vetted here, | "name".
	 * Unset is "name" for socks5h and if it resolves. */
	const char *upstream_by;
	/* Who resolves names: NULL | "local" | "proxy": look-ups inside are
	 * answered with addresses of 198.18.0.0/15 that stand for names */
	const char *upstream_dns;
	/* Deny rules by their form: what goes direct all the same */
	const char *const *upstream_direct;
	/*
	 * Set http_proxy, https_proxy, all_proxy and no_proxy, in lower and
	 * upper case, and what Java reads, to the explicit proxy inside. It is
	 * there for every run that is not blocked, and nothing depends on it:
	 * what asks it and what does not is decided alike. `env` wins.
	 */
	int proxy_env;
	/*
	 * A file of certificates (PEM) of authorities that are trusted besides
	 * those of the machine: of a network that opens TLS. By an https://
	 * upstream_proxy, whose certificate and name, or address, are always
	 * verified; and inside, where /etc/exeat-ca.pem has all of them and
	 * SSL_CERT_FILE and the variables of other programs name it (`env`
	 * wins). NULL: the machine's alone.
	 */
	const char *ca_file;
	/*
	 * Files of the caller's that say what runs may do: where its policy,
	 * its lists come from. What lies where a run could write is shown
	 * read-only, and neither it nor a folder above it can be moved.
	 * EXEAT_INVALID: a symlink that a run could change leads there, or
	 * there are other hard links. ca_file is one without being named.
	 */
	const char *const *governing_files;
	/* The same, but what is in them is nothing for runs: where they would
	 * be seen, they are empty, or are not there. */
	const char *const *hidden_files;
	/* Instead of audit_fd: appended to, made (0600) if it is not there.
	 * EXEAT_INVALID, as for audit_fd: a run could write to it. */
	const char *audit_file;
	/*
	 * What all runs together may use: bytes of memory (swap counts; from
	 * 1 MiB to 1 PiB), processors (1.5: the time of one and a half; 0.01
	 * to 8192), processes and threads (at most 4194304). 0: no limit. A
	 * cgroup keeps them; where none can be had EXEAT_UNAVAILABLE says why,
	 * unless `limits_best_effort` has its bit: then limits of each process
	 * do. A result's ..._enforced says which. In version 2 the processes
	 * of the caller's own group may have to be moved for it, into a group
	 * exeat.callers below it.
	 */
	uint64_t memory_bytes;
	double cpus;
	uint64_t pids;
	unsigned limits_best_effort; /* of enum exeat_limit */
	/*
	 * The session's whole time; 0: none. Then every run is ended (TERM,
	 * KILL after 10 s; "session_closed"), and no other begins:
	 * EXEAT_TIMEOUT. Files can be had until the close. It holds whether or
	 * not the caller dispatches. At most ten years.
	 */
	int64_t timeout_ms;
	/*
	 * What the work dir may hold, 1 MiB to 1 PiB; 0: no limit. A
	 * fresh one, or one from a snapshot, is in memory then (tmpfs; the
	 * cgroup that writes is charged), and who writes more gets ENOSPC; HOME
	 * and caches count, they lie in it. For host_work_dir nobody can keep
	 * it: EXEAT_UNAVAILABLE. With EXEAT_LIMIT_DISK in limits_best_effort,
	 * what is in it is counted when a run begins (blocks on disk; it is
	 * walked whole): if nothing is left, EXEAT_LIMIT ("disk"), and if it
	 * cannot be counted in half a minute; else no file that the run writes
	 * gets larger than what is left (RLIMIT_FSIZE). That is no quota: many
	 * files can hold more, so can runs side by side, and what the caller
	 * puts is not held to it.
	 */
	uint64_t disk_bytes;
	/*
	 * Begin with what was in the work dir when exeat_session_snapshot()
	 * was called, in a private writable copy that goes at close. Inside,
	 * by exeat_session_work_dir() and by the functions for files it is at
	 * the original's path; on the host nothing is there. NULL: no.
	 * EXEAT_NOT_FOUND; EXEAT_INVALID: host_work_dir is given, too.
	 *
	 * Where it is an overlay (exeat_session_work_dir_kind()), a folder that
	 * was there is moved by mv(1), which copies it, not by rename(2):
	 * EXDEV (the kernel's way around, redirect_dir, is shut to users), and
	 * a file with several names is a file of its own under the one by which
	 * it is first changed.
	 */
	const char *snapshot;
	/*
	 * Where snapshots are kept: a folder of the caller's, to which nobody
	 * else may write, made if it is not there. NULL: $EXEAT_SNAPSHOTS,
	 * else $XDG_DATA_HOME/exeat/snapshots, else
	 * ~/.local/share/exeat/snapshots; for root /var/lib/exeat/snapshots.
	 */
	const char *snapshot_dir;
};

/* In best effort memory is the address space of each process (RLIMIT_AS), pids
 * are the run's (RLIMIT_NPROC), cpus is how many processors it begins on. */
enum exeat_limit {
	EXEAT_LIMIT_MEMORY = 1, /* memory_bytes */
	EXEAT_LIMIT_CPUS = 2,	/* cpus */
	EXEAT_LIMIT_PIDS = 4,	/* pids */
	EXEAT_LIMIT_DISK = 8	/* disk_bytes, of a session */
};

#define EXEAT_SESSION_OPTIONS_INIT                                           \
	{                                                                    \
		.size = sizeof(struct exeat_session_options), .audit_fd = -1 \
	}

/*
 * Open a session and wait until it can run. EXEAT_INVALID: an option;
 * EXEAT_POLICY: wider than network_ceiling (object: the rule); EXEAT_NOT_FOUND:
 * the snapshot, or the folder of audit_file; EXEAT_UNAVAILABLE: the kernel or
 * machine cannot (remedy says what helps); EXEAT_LIMIT: descriptors,
 * namespaces, memory, space on the disk; more rules, paths, or unix sockets in
 * what is shown than there may be; EXEAT_CONFLICT: .exeat of host_work_dir, or
 * what has to be a folder in it, is none; EXEAT_TIMEOUT: a helper process said
 * nothing for a minute. On success *ret is the caller's, until
 * exeat_session_close().
 */
EXEAT_API int exeat_session_open(const struct exeat_session_options *options,
				 struct exeat_session **ret,
				 struct exeat_error *error);
/*
 * Begin opening and return at once; runs may be started already, they wait. A
 * bad option is found now, as by exeat_session_open(); what fails later shows in
 * every later call. With `snapshot` or `disk_bytes` it returns when the work dir
 * is there, which the session's first process makes.
 */
EXEAT_API int exeat_session_begin(const struct exeat_session_options *options,
				  struct exeat_session **ret,
				  struct exeat_error *error);
/*
 * Kill everything in it, remove what is temporary, free it and its runs.
 * It succeeds, and in time: a helper that hangs is killed after two seconds,
 * and one that the kernel does not let die (a file system that hangs) is left
 * to it after ten more. Mustn't: from one of its callbacks.
 */
EXEAT_API void exeat_session_close(struct exeat_session *session);

/* Readable when exeat_session_dispatch() has something to do. Borrowed. */
EXEAT_API int exeat_session_fd(const struct exeat_session *session);
/*
 * Do what is due; wait for something at most timeout_ms (0: not at all, -1:
 * for ever). Returns 0, or what the session failed with: EXEAT_TIMEOUT, its time
 * is over; EXEAT_INTERNAL and others, it can do nothing any more but close.
 */
EXEAT_API int exeat_session_dispatch(struct exeat_session *session,
				     int timeout_ms, struct exeat_error *error);

/* Its name in the audit and in messages. Borrowed from the session, like the
 * strings of the next two. */
EXEAT_API const char *exeat_session_id(const struct exeat_session *session);
/* The work dir's absolute path, the same inside and outside; one from a
 * snapshot, or with disk_bytes, is seen there from inside alone. */
EXEAT_API const char *
exeat_session_work_dir(const struct exeat_session *session);
/* True if the work dir is fresh and goes at close. */
EXEAT_API int
exeat_session_work_dir_is_fresh(const struct exeat_session *session);
/*
 * What the work dir is: "kept" (host_work_dir), "fresh", "tmpfs" (fresh, with
 * disk_bytes), or from a snapshot "overlay", "reflink" or "copy": an overlay
 * takes a moment whatever its size, the others grow with it. Static.
 */
EXEAT_API const char *
exeat_session_work_dir_kind(const struct exeat_session *session);
/* How its runs are confined: "userns". */
EXEAT_API const char *
exeat_session_backend(const struct exeat_session *session);
/* The session's own posture, as it is in force, as canonical policy JSON.
 * Heap; free(). NULL: no memory. */
EXEAT_API char *exeat_session_policy(const struct exeat_session *session);
/* The file view in force. Heap, NULL-terminated; one free() for each list.
 * Returns 0, -EINVAL (an argument is NULL) or -ENOMEM. */
EXEAT_API int exeat_session_fs_allowlist(const struct exeat_session *session,
					 char ***ret_read_only,
					 char ***ret_read_write);
/*
 * Stop every process of every run; returns when all stand still. The runs'
 * times (timeout_ms, idle_timeout_ms) stand still with them, the session's does
 * not, and a call that waits for one of them waits on. exeat_run_start()
 * resumes. SIGKILL ends a stopped run, other signals wait; where runs are
 * frozen, one that ends who does not handle it ends it.
 *
 * Where the caller may make cgroups of version 2 they are frozen, and nothing
 * moves them. Elsewhere they get SIGSTOP, and are watched: what continues itself
 * is stopped again, and a run that keeps on doing so is killed ("killed").
 * exeat_doctor() says which it is.
 *
 * EXEAT_CONFLICT: called from a callback, or one has let them go on (by starting
 * a run); EXEAT_TIMEOUT: after half a minute not all of them stand still (those
 * that do stay so until exeat_session_resume()).
 */
EXEAT_API int exeat_session_pause(struct exeat_session *session,
				  struct exeat_error *error);
/* Let them go on; those that were stopped (SIGSTOP) before the pause stay so.
 * exeat_run_kill() with SIGSTOP or SIGCONT while they stood still stops or
 * continues the run now. Not paused: nothing is done. */
EXEAT_API int exeat_session_resume(struct exeat_session *session,
				   struct exeat_error *error);
struct exeat_policy_options;
/*
 * Another policy for a session that lives, in place of the one that it was
 * opened with: mode, lists, require_names. (dns_refusal stays unless a policy
 * file is given.) Returns when it is in force; as one transaction: after an
 * error the old one is in force, everywhere, and exeat_session_policy() says
 * which.
 *
 * Runs that named no posture of their own have it at once, in the namespace
 * that they are in. It is also the new bound, if the session has no
 * network_ceiling: for runs that named theirs, what exceeds it is refused from
 * now on; nothing gets wider for them. Connections and UDP flows that are
 * refused now are reset within a second (audited as "policy"). A name that was
 * resolved before and is allowed stays usable all the while; at no moment does
 * more pass than one of the two policies allows.
 *
 * EXEAT_INVALID: a bad policy, one that names neither mode nor list, a ceiling
 * in it; EXEAT_POLICY: wider than network_ceiling (object: the rule);
 * EXEAT_CONFLICT: called from a callback; EXEAT_LIMIT: more rules than there may
 * be; EXEAT_TIMEOUT: a helper process did not take it, and the session is over.
 * Dispatches while it waits: callbacks may come, in which no run can be started
 * (EXEAT_CONFLICT).
 */
EXEAT_API int
exeat_session_set_policy(struct exeat_session *session,
			 const struct exeat_policy_options *options,
			 struct exeat_error *error);

/* ---- snapshots ---- */

/*
 * Keep what is in the work dir now, under this name (1 to 64 letters, digits,
 * '.', '_', '-', not beginning with '.'), in snapshot_dir, until it is removed:
 * sessions begin with it by their option `snapshot`, any number at a time, and
 * nothing that they do changes it. Sockets, fifos, owners and extended
 * attributes but "user.*" are not kept; hidden_files are empty in it. It appears
 * whole or not at all, also if this process is killed meanwhile.
 *
 * Runs stand still while it is taken, so it is of one moment, between two system
 * calls of each of their threads; what a program has in buffers of its own is
 * not in it. What else changes a host_work_dir meanwhile is not held. A paused
 * session stays paused, another one goes on.
 *
 * EXEAT_INVALID: the name ("name"), or a run could write to the store
 * ("snapshot_dir"); EXEAT_CONFLICT: there is one of that name, something
 * belongs to somebody else and may not be read, or a payload holds it (a lease);
 * EXEAT_LIMIT: no space; EXEAT_UNAVAILABLE: snapshot_dir is not given, and there
 * is no home folder; and as exeat_session_pause().
 */
EXEAT_API int exeat_session_snapshot(struct exeat_session *session,
				     const char *name,
				     struct exeat_error *error);

struct exeat_snapshot {
	const char *name; /* as it was kept under */
	const char *path; /* of the work dir that it is of */
	const char *how;  /* it was made: "reflink" | "copy" */
	double time;	  /* when: seconds since the epoch */
	uint64_t files;	  /* regular ones */
	uint64_t bytes;	  /* in them */
};
/* All snapshots of a store (NULL: the user's), by name. Borrowed for the call.
 * One that is damaged is left out; no store is none. EXEAT_INVALID: who else may
 * write to it ("snapshot_dir"); EXEAT_UNAVAILABLE, as above. */
EXEAT_API int exeat_snapshots(
	const char *snapshot_dir,
	void (*each)(void *user_data, const struct exeat_snapshot *snapshot),
	void *user_data, struct exeat_error *error);
/* Remove one. EXEAT_NOT_FOUND: there is none of that name; EXEAT_CONFLICT: a
 * session that began with it is open; EXEAT_INVALID: "name", "snapshot_dir";
 * EXEAT_UNAVAILABLE, as above. */
EXEAT_API int exeat_snapshot_remove(const char *snapshot_dir, const char *name,
				    struct exeat_error *error);

/* ---- runs ---- */

struct exeat_run;

enum exeat_stdio {
	EXEAT_STDIO_DEFAULT = 0, /* stdin none; stdout and stderr pipes */
	EXEAT_STDIO_NONE,	 /* /dev/null: output is discarded */
	EXEAT_STDIO_PIPE,	 /* exeat_run_read(), exeat_run_write() */
	EXEAT_STDIO_INHERIT,	 /* the caller's own; NONE if he has closed it,
				  * or it is close-on-exec. A terminal may be
				  * read by the run also while the caller is in
				  * the background of its shell */
	EXEAT_STDIO_FD,	     /* the descriptor given; borrowed, duplicated */
	EXEAT_STDIO_BYTES,   /* stdin: the bytes given, then end of file */
	EXEAT_STDIO_CALLBACK /* output: on_output as it arrives */
};

enum exeat_stream {
	EXEAT_STDIN = 0,  /* written to by the caller */
	EXEAT_STDOUT = 1, /* read by the caller */
	EXEAT_STDERR = 2  /* read by the caller */
};

struct exeat_run_options {
	size_t size; /* sizeof(struct exeat_run_options) */
	/* The command: exactly one of argv, command and script. */
	const char *const *argv; /* program and arguments, without a shell; the
				  * program is looked for in the run's PATH */
	const char *command;	 /* shell string: `shell` -c COMMAND; at most
				  * 128 KiB */
	const char *script;	 /* script text for `script_type`; as long; ""
				  * does nothing */
	const char *shell;	 /* NULL: "/bin/sh"; for what is a shell's */
	const char *script_type; /* of script: NULL "shell" | "python" */
	/* Posture; NULL: the session's. A list without a mode: allowlist. */
	const char *network_mode;
	const char *const *network_allowlist;
	int private_network; /* a namespace of this run's own */
	/* Where its streams come from and go to, by enum exeat_stream. */
	enum exeat_stdio stdio[3];
	int stdio_fd[3]; /* for EXEAT_STDIO_FD, by enum exeat_stream */
	/* For EXEAT_STDIO_BYTES: this many bytes, copied. */
	const void *stdin_bytes;
	size_t stdin_len;
	/* For EXEAT_STDIO_CALLBACK: called from dispatch with what has come,
	 * at least one byte, borrowed for the call. */
	void (*on_output)(void *user_data, struct exeat_run *run,
			  enum exeat_stream stream, const void *data,
			  size_t len);
	/* Called from dispatch, once: exeat_run_result() is there, and all
	 * output has been read. */
	void (*on_exit)(void *user_data, struct exeat_run *run);
	void *user_data;	/* the callbacks' first argument */
	const char *const *env; /* "K=V", over the session's */
	const char *cwd;	/* NULL: the work dir; relative: under it,
				 * without ".."; absolute: in the view */
	int64_t timeout_ms;	/* then it is ended ("timeout"); 0: never. All
				 * times: at most ten years */
	int64_t kill_grace_ms;	/* TERM, then KILL after it; 0: 2000 */
	int proxy_env;		/* as a session's, for this run */
	/* stderr goes where stdout goes, in the order in which it is written.
	 * stdio[EXEAT_STDERR] must be unset. */
	int merge_output;
	/*
	 * End the command (TERM, then KILL) when for so long it has written
	 * nothing to stdout or stderr; 0: never. What it wrote and nobody has
	 * taken yet counts as written. Both outputs must be pipes, callbacks
	 * or discarded, and not both discarded: others are not seen.
	 */
	int64_t idle_timeout_ms;
	/*
	 * At most so many bytes of output, of stdout and stderr together; what
	 * is more is counted, not kept, and ends the command ("output_limit").
	 * 0: no limit. For pipes and callbacks, as above.
	 */
	uint64_t max_output_bytes;
	/*
	 * A terminal of the run's own (pty(7)) as its stdin, stdout, stderr
	 * and controlling terminal, in a devpts of its own. What it shows is
	 * read as stdout; what is written to stdin is typed. stdio: stdin
	 * unset, a pipe or bytes; stdout unset, a pipe or a callback; stderr
	 * unset. Rows and columns 0: 24 and 80; without pty they must be 0.
	 */
	int pty;
	unsigned short pty_rows, pty_cols;
	/* What this run may use, within what the session may: as there, but
	 * for EXEAT_LIMIT_DISK. */
	uint64_t memory_bytes;
	double cpus;
	uint64_t pids;
	unsigned limits_best_effort;
	/* Of each of its processes (setrlimit(2)); 0: as the caller has it.
	 * EXEAT_INVALID: files larger, or open files more, than his own hard
	 * limit allows; open files fewer than 16. */
	uint64_t file_size_bytes, open_files, core_bytes;
	/* Called from dispatch when a piped stdin takes more, after
	 * exeat_run_write_some() took less than it was given. */
	void (*on_stdin_ready)(void *user_data, struct exeat_run *run);
};

#define EXEAT_RUN_OPTIONS_INIT                           \
	{                                                \
		.size = sizeof(struct exeat_run_options) \
	}

/* What a run was refused, as in struct exeat_event; strings are never NULL. */
struct exeat_refusal {
	/* which layer refused what to whom; "" where it is not known */
	char *layer, *protocol, *name, *address;
	uint16_t port; /* 0: none, or not known */
	/* the rule that decided, "" for none, and the reason's code */
	char *rule, *reason;
	char *allow_hint; /* the rule that would allow; "" if none can */
	uint64_t count;	  /* how many alike */
};

/* How a run ended. Borrowed, with its strings, until exeat_run_free(). */
struct exeat_result {
	int returncode;		  /* exit status, or -N for signal N */
	int64_t runtime_ms;	  /* from the command's start to its end */
	const char *backend;	  /* how it was confined */
	const char *network_mode; /* the posture it had */
	/*
	 * Why it ended, where that was not its own doing:
	 *
	 * - "": it ended by itself
	 * - "timeout", "idle_timeout", "output_limit": a limit of the run's
	 * - "killed": by exeat_run_kill(), or because it would not stand still
	 *   (exeat_session_pause())
	 * - "oom": the kernel killed a process of it for lack of memory
	 * - "session_closed": the session's time was up
	 * - "signal:SIGNAME": another signal
	 */
	const char *termination_reason;
	const char *start_error; /* 126, 127: why the command could not be
					 * executed; else "" */
	/*
	 * Processor time, microseconds, of all processes of the run, also of
	 * those that were left behind and killed at its end. By the kernel's
	 * sums over who was waited for; that leaves out children of a process
	 * that ignores SIGCHLD, where no cgroup counts them. 0 after a run that
	 * did not even end by KILL in time.
	 */
	int64_t user_us, system_us;
	int64_t max_rss_kib; /* resident, of the largest of these, KiB */
	/* What the policy refused to it: at most 64, alike ones merged. */
	const struct exeat_refusal *refusals;
	size_t nrefusals;
	uint64_t refused_total; /* all that was refused, counted */
	/* Bytes that the command wrote to its pipes; more than was kept if it
	 * was cut at max_output_bytes. */
	uint64_t stdout_bytes, stderr_bytes;
	int stdout_cut, stderr_cut; /* it was */
	/* Who keeps the limits: "" (there is none) | cgroup | rlimit |
	 * affinity */
	const char *memory_enforced, *cpus_enforced, *pids_enforced;
	uint64_t memory_peak_bytes; /* of all its processes at a time, by its
				     * cgroup; 0: not known */
	uint64_t oom_kills;	    /* processes killed for lack of memory */
	/* Who keeps the session's disk_bytes: "" | tmpfs | rlimit */
	const char *disk_enforced;
};

/*
 * Start a command, and return at once. A command that does not exist is no
 * error here: the run ends with 127. A paused session is resumed. On success
 * *ret is the caller's until exeat_run_free(), or the session's close.
 *
 * EXEAT_INVALID: an option (object names it): a text that is not UTF-8, argv and
 * env too; a time that is negative or more than ten years; a relative cwd with
 * ".."; options that exclude each other. EXEAT_POLICY: wider than the session's
 * bound (object: the rule); EXEAT_UNAVAILABLE: a limit that nothing here can
 * keep; EXEAT_LIMIT: 1023 runs live already, 32 postures are in use, argv and
 * env have more than 4 MiB, or descriptors are short; EXEAT_CONFLICT: a policy
 * change is under way; or what the session failed with. Whether a cwd is there
 * is found by the command's own process: then exeat_run_wait() says
 * EXEAT_INVALID ("cwd").
 */
EXEAT_API int exeat_run_start(struct exeat_session *session,
			      const struct exeat_run_options *options,
			      struct exeat_run **ret,
			      struct exeat_error *error);
/*
 * Wait for a run's end, at most timeout_ms (0: not at all, -1: for ever).
 * Returns 1 if it has ended, 0 if not; negative: the sandbox failed. What the
 * command writes to pipes meanwhile is kept, up to 64 MiB of each stream; when
 * that is full the command waits, and so would we: EXEAT_LIMIT ("output").
 */
EXEAT_API int exeat_run_wait(struct exeat_run *run, int timeout_ms,
			     struct exeat_error *error);
/*
 * Wait until `needed` of n runs have ended, of one session or of several (then
 * all of them are used by this thread). Returns how many have, fewer than
 * `needed` after timeout_ms (-1: for ever); negative: a session's descriptor
 * failed, or every run that is left waits for its output to be read
 * (EXEAT_LIMIT), or `needed` is more than n (EXEAT_INVALID). Which ones:
 * exeat_run_result(); a failed sandbox is an end, exeat_run_wait() says why.
 */
EXEAT_API int exeat_runs_wait(struct exeat_run *const *runs, size_t n,
			      size_t needed, int timeout_ms,
			      struct exeat_error *error);
/* NULL before the end. Borrowed from the run. */
EXEAT_API const struct exeat_result *
exeat_run_result(const struct exeat_run *run);
/* The run's number in its session, as events and the audit have it. */
EXEAT_API uint64_t exeat_run_id(const struct exeat_run *run);

/*
 * What a piped stream has brought: returns how many bytes are in buf, at least
 * one and at most `size`, or 0 at its end. -EAGAIN: nothing within timeout_ms
 * (0: what is there, -1: wait for ever); `error` says nothing then.
 * EXEAT_INVALID: not an output ("stream"), no room ("size"). Other errors: the
 * sandbox failed. All three readers have these, and may be mixed.
 */
EXEAT_API ssize_t exeat_run_read(struct exeat_run *run,
				 enum exeat_stream stream, void *buf,
				 size_t size, int timeout_ms,
				 struct exeat_error *error);
/*
 * The next line of a piped stream, with its newline, terminated by a NUL; a
 * line of size - 1 bytes or more comes in pieces, the last one perhaps without
 * a newline. Returns its length, 0 at the end of the stream; -EAGAIN: no whole
 * line within timeout_ms (what there is of it stays). A line may have NULs.
 */
EXEAT_API ssize_t exeat_run_read_line(struct exeat_run *run,
				      enum exeat_stream stream, char *buf,
				      size_t size, int timeout_ms,
				      struct exeat_error *error);
/*
 * The same as text: whole characters of UTF-8 (RFC 3629), at least one,
 * terminated by a NUL. A byte that is of no character comes as U+FFFD. `size`
 * is at least 8 bytes.
 */
EXEAT_API ssize_t exeat_run_read_text(struct exeat_run *run,
				      enum exeat_stream stream, char *buf,
				      size_t size, int timeout_ms,
				      struct exeat_error *error);
/*
 * Write to a piped stdin; waits until all is taken. -EPIPE (EXEAT_CONFLICT): it
 * is closed, or the command does not read it any more; EXEAT_LIMIT: the command
 * waits for its own output to be read, or there is no memory. Other errors: the
 * sandbox failed.
 */
EXEAT_API int exeat_run_write(struct exeat_run *run, const void *data,
			      size_t len, struct exeat_error *error);
/*
 * The same without waiting, for a caller with a loop of its own: returns how
 * many bytes were taken, at least one; -EAGAIN: none, on_stdin_ready comes
 * when there is room (at most 256 KiB wait for the command to read them);
 * -EPIPE, as above.
 */
EXEAT_API ssize_t exeat_run_write_some(struct exeat_run *run, const void *data,
				       size_t len, struct exeat_error *error);
/* The end of its input. A terminal is sent its end-of-file character (^D), twice
 * behind a line that has no end: the first hands that on. */
EXEAT_API void exeat_run_close_stdin(struct exeat_run *run);
/* The window of a run's terminal has another size: its foreground programs
 * get SIGWINCH. EXEAT_INVALID: it has none, or a size is 0. */
EXEAT_API int exeat_run_resize(struct exeat_run *run, unsigned short rows,
			       unsigned short cols, struct exeat_error *error);
/*
 * Send a signal to the whole process tree, whatever sessions its processes
 * made. A command that it ends is "killed". Returns 0 also if the run has ended
 * already; EXEAT_INVALID: there is no such signal.
 *
 * Before the command has begun (the session opens, its posture is made) a signal
 * does what it would do to a program that handles none: TERM, INT and most
 * others end the run (returncode -N, "killed") without a start, WINCH, CHLD and
 * their like do nothing, and after STOP it begins stopped, until CONT.
 */
EXEAT_API int exeat_run_kill(struct exeat_run *run, int signal,
			     struct exeat_error *error);
/* Kill it if it lives, forget it. on_exit does not come any more. */
EXEAT_API void exeat_run_free(struct exeat_run *run);

/*
 * Run to the end and collect: *ret_out and *ret_err are heap, terminated by a
 * NUL that the lengths do not count; free(). Either may be NULL:
 * exeat_run_read() has it then; so may the lengths. *ret is the caller's until
 * exeat_run_free(); its result says how the command ended. Errors are those of
 * exeat_run_start() and exeat_run_wait(): more than 64 MiB of one stream is
 * EXEAT_LIMIT, and nothing is returned.
 */
EXEAT_API int exeat_exec(struct exeat_session *session,
			 const struct exeat_run_options *options,
			 struct exeat_run **ret, char **ret_out,
			 size_t *ret_out_len, char **ret_err,
			 size_t *ret_err_len, struct exeat_error *error);

/*
 * Run Python text and collect what it prints: *ret_out is heap, terminated;
 * free(); NULL: not wanted. `options` (NULL: none) may name everything but the
 * command. Returns 0, or 1 if the text did not end with 0: that is data. What
 * it wrote to stderr and its result are the run's, whose *ret is the caller's,
 * to be freed with exeat_run_free(); NULL: not wanted. Where sessions see no
 * python3, the result's returncode is 127, and start_error says what helps.
 */
EXEAT_API int exeat_run_code(struct exeat_session *session, const char *code,
			     const struct exeat_run_options *options,
			     struct exeat_run **ret, char **ret_out,
			     size_t *ret_out_len, struct exeat_error *error);
/* exeat_run_start() with a pipe for stdin, unless `options` say otherwise: for
 * a conversation. */
EXEAT_API int exeat_spawn(struct exeat_session *session,
			  const struct exeat_run_options *options,
			  struct exeat_run **ret, struct exeat_error *error);

/* ---- files of the work dir ---- */

/*
 * Paths are relative to the work dir, or absolute below it; ".." is refused.
 * No symbolic link is followed at any component, so that a payload cannot lead
 * a caller elsewhere: EXEAT_INVALID ("path"). EXEAT_NOT_FOUND: it is not there;
 * EXEAT_CONFLICT: it is of another kind, a folder is not empty, its permissions
 * forbid it, or a payload holds it (a lease) or moves it all the time;
 * EXEAT_LIMIT: too long, or no space. Runs may go on meanwhile. What is made has
 * a name of UTF-8; what a payload made may have any, and is named by its bytes.
 */

/*
 * Make or replace a file with these bytes; nobody sees half of it. Missing
 * folders are made. `mode`: its permissions, 0 is 0644. It belongs to whom the
 * payload is. EXEAT_INVALID ("mode"): a bit above 0777.
 */
EXEAT_API int exeat_put_bytes(struct exeat_session *session, const char *path,
			      const void *data, size_t len, unsigned mode,
			      struct exeat_error *error);
/*
 * A whole file of at most max_bytes bytes: *ret is heap, terminated by a NUL
 * that *ret_len does not count; free(). EXEAT_LIMIT: it is longer. Root is
 * refused what neither the payload nor everybody may read. EXEAT_INVALID
 * ("max_bytes"): half of the address space or more.
 */
EXEAT_API int exeat_get_bytes(struct exeat_session *session, const char *path,
			      size_t max_bytes, void **ret, size_t *ret_len,
			      struct exeat_error *error);

enum exeat_file_kind {
	EXEAT_FILE_REGULAR,   /* bytes */
	EXEAT_FILE_DIRECTORY, /* a folder */
	EXEAT_FILE_SYMLINK,   /* never followed */
	EXEAT_FILE_OTHER      /* FIFO, socket, device */
};

struct exeat_file {
	const char *name;	   /* of a list: in its folder; else "" */
	enum exeat_file_kind kind; /* of the link itself, if it is one */
	uint64_t size;		   /* bytes, of a regular file */
	unsigned mode;		   /* permissions */
	double mtime;		   /* last change, seconds since the epoch */
};
/* What is there; of a symbolic link itself. */
EXEAT_API int exeat_stat_file(struct exeat_session *session, const char *path,
			      struct exeat_file *ret,
			      struct exeat_error *error);
/* What a folder has ("": the work dir), by name. *ret: one free().
 * EXEAT_LIMIT: more than a million entries. */
EXEAT_API int exeat_list_files(struct exeat_session *session, const char *path,
			       struct exeat_file **ret, size_t *ret_n,
			       struct exeat_error *error);
/*
 * A file, a link, an empty folder; `recursive`: a folder with all in it.
 * EXEAT_TIMEOUT: a payload went on filling it for two minutes.
 */
EXEAT_API int exeat_remove_file(struct exeat_session *session, const char *path,
				int recursive, struct exeat_error *error);

/*
 * A folder as a tar stream. `tar` does it, inside, with the payload's rights and
 * no network: nothing of an archive is read by this process, nor can it write or
 * read what a payload could not. Both return when it is done; other runs go on,
 * and their callbacks come. A paused session goes on, as with
 * exeat_run_start().
 *
 * `fd` is borrowed: a file, read or written from where it stands, a pipe or a
 * socket, not O_NONBLOCK. What is at its other end is another process or
 * thread. Who waits for its end sees that when the caller has closed his own.
 *
 * EXEAT_INVALID: "fd"; a path, as above. EXEAT_UNAVAILABLE: there is no tar in
 * view, or for the whole work dir one that can leave nothing out (BusyBox).
 * EXEAT_LIMIT: no space, or no memory. EXEAT_TIMEOUT: the session's time is
 * over.
 * EXEAT_CONFLICT: called from a callback, or as below.
 */

/*
 * Unpack into a folder, which is made if it is missing. Absolute names and ".."
 * lose what leads elsewhere, or are refused; no owner is set, no setuid bit, no
 * device is made; links stay links. `fd` is read to the archive's end, and a
 * pipe to its own. EXEAT_INVALID ("archive"): it is broken, compressed, or holds
 * what cannot be made; the message has tar's words. EXEAT_CONFLICT: a folder may
 * not be written. After an error, what came before it is there.
 */
EXEAT_API int exeat_put_tar(struct exeat_session *session, const char *path,
			    int fd, struct exeat_error *error);
/*
 * Pack what is in a folder ("": the work dir, without .exeat, where the session
 * keeps its own). Runs may change it meanwhile: then it has either. How much
 * there is a payload decides: give it a pipe, and count, if that matters.
 * EXEAT_CONFLICT: something in it may not be read.
 */
EXEAT_API int exeat_get_tar(struct exeat_session *session, const char *path,
			    int fd, struct exeat_error *error);

/* ---- policy as a tool: no session, no privilege, no packet ---- */

struct exeat_policy;

struct exeat_policy_options {
	size_t size; /* sizeof(struct exeat_policy_options) */
	/* Each as the session option of this name. */
	const char *network_mode;
	const char *const *network_allowlist;
	const char *const *network_denylist;
	const char *network_policy; /* JSON text instead of the three above */
	/* Each as the session option of this name. */
	int require_names;
	const char *const *max_upload;
	const char *const *max_download;
};
#define EXEAT_POLICY_OPTIONS_INIT                           \
	{                                                   \
		.size = sizeof(struct exeat_policy_options) \
	}

/* Parse and compile. *ret is the caller's until exeat_policy_free().
 * EXEAT_INVALID: an option, or a rule, with its position; EXEAT_LIMIT: more
 * rules, budgets or different lists of ports than there may be. */
EXEAT_API int exeat_policy_new(const struct exeat_policy_options *options,
			       struct exeat_policy **ret,
			       struct exeat_error *error);
/* Forget it. */
EXEAT_API void exeat_policy_free(struct exeat_policy *policy);
/* Canonical JSON, presets expanded. Heap; free(). NULL: no memory. */
EXEAT_API char *exeat_policy_json(const struct exeat_policy *policy);

struct exeat_policy_answer {
	int allow;	      /* 1: it would pass */
	char rule[512];	      /* deciding rule, "" if none */
	char reason[32];      /* a code, as in the audit */
	char text[1024];      /* in words */
	char allow_hint[512]; /* rule that would allow, "" if none can */
};
/*
 * Would it pass? `target`: "NAME", "NAME:PORT", "ADDRESS:PORT", "[V6]:PORT",
 * with "udp/" or "tcp/" before, or a URL. Without a port: 443 for a name.
 * Nothing is asked of the network: a name's addresses are not looked at.
 * Returns 0 whatever the answer; EXEAT_INVALID: no target.
 */
EXEAT_API int exeat_policy_test(const struct exeat_policy *policy,
				const char *target,
				struct exeat_policy_answer *ret,
				struct exeat_error *error);

struct exeat_policy_warning {
	const char *rule;   /* as the list has it; of a preset, its rule */
	const char *origin; /* "allow", or "@preset" */
	const char *reason; /* what it opens, in words */
	const char *advice; /* what would bound it */
};
/*
 * What opens more than it seems to: hosts of many tenants that no budget
 * bounds, wildcards under which anybody can have a name, wide ranges, all
 * ports. Borrowed for the call. Returns their number, also if `each` is NULL, or
 * a negative errno.
 */
EXEAT_API int
exeat_policy_warnings(const struct exeat_policy *policy,
		      void (*each)(void *user_data,
				   const struct exeat_policy_warning *warning),
		      void *user_data, struct exeat_error *error);

struct exeat_preset_info {
	const char *name, *title; /* without "@"; in words */
	int deny_only;		  /* it may stand in a deny-list only */
	const char *const *rules; /* what it stands for now; NULL-term. */
	const char *const *env;	  /* settings handed in: "K=V" */
	const char *error;	  /* why it cannot be resolved, or NULL */
};
/* All presets (name NULL), or one; `each` is called with what it stands for on
 * this machine, borrowed for the call. EXEAT_INVALID: there is none. */
EXEAT_API int exeat_presets(const char *name,
			    void (*each)(void *user_data,
					 const struct exeat_preset_info *info),
			    void *user_data, struct exeat_error *error);

/* ---- the audit as a tool ---- */

/* The worst of many is their greatest. */
enum exeat_audit_state {
	EXEAT_AUDIT_WHOLE,  /* every chain fits, from its begin to its end */
	EXEAT_AUDIT_UNTOLD, /* no fault, but no end: of a session that lives,
			     * was killed, or whose last lines were cut off */
	EXEAT_AUDIT_BROKEN  /* lines were changed, removed, added, moved */
};

struct exeat_audit_fault {
	uint64_t line;		      /* of the file, from 1 */
	const char *session;	      /* "": not known */
	enum exeat_audit_state state; /* what it makes of the file */
	const char *reason;	      /* in words */
};

struct exeat_audit_session {
	const char *id; /* of the file's making, like all text in it */
	enum exeat_audit_state state; /* of its chain */
	uint64_t records;	      /* lines of it in the file */
	uint64_t lost;	  /* events that could not be written, it says */
	uint64_t line;	  /* where its last record stands */
	const char *hash; /* of its last record: 64 digits. Kept elsewhere, it
			   * shows later whether these records are the same */
};

struct exeat_audit_totals {
	enum exeat_audit_state state; /* the worst of the file */
	/* How many there are of each in the file. */
	uint64_t lines, records, sessions, lost, faults;
};

struct exeat_audit_options {
	size_t size; /* sizeof(struct exeat_audit_options) */
	int fd;	     /* read from where it stands to its end; borrowed */
	/* Borrowed for the call; NULL: not told. */
	void (*on_fault)(void *user_data,
			 const struct exeat_audit_fault *fault);
	/* at the end, in the order of their first records */
	void (*on_session)(void *user_data,
			   const struct exeat_audit_session *session);
	void *user_data; /* the callbacks' first argument */
};

#define EXEAT_AUDIT_OPTIONS_INIT                                      \
	{                                                             \
		.size = sizeof(struct exeat_audit_options), .fd = -1, \
	}

/*
 * Is an audit as it was written? exeat-audit(5) says what that proves. 0: *ret
 * says; a negative errno: it cannot be read, or has too many sessions
 * (EXEAT_LIMIT).
 */
EXEAT_API int exeat_audit_verify(const struct exeat_audit_options *options,
				 struct exeat_audit_totals *ret,
				 struct exeat_error *error);

/* ---- doctor ---- */

enum exeat_check_state {
	EXEAT_CHECK_OK,	    /* it is there */
	EXEAT_CHECK_WARN,   /* sessions can run, but something is less */
	EXEAT_CHECK_MISSING /* sessions cannot run */
};

struct exeat_check {
	const char *name;	      /* "user namespaces" */
	enum exeat_check_state state; /* what it means */
	const char *detail;	      /* what was found */
	const char *remedy;	      /* "" if ok */
};
/*
 * Every feature that is needed, each tried in a child that is thrown away;
 * `each` is called with what was found, borrowed for the call. Returns the
 * number of missing ones. Mustn't: in a program with threads.
 */
EXEAT_API int exeat_doctor(void (*each)(void *user_data,
					const struct exeat_check *check),
			   void *user_data);

#ifdef __cplusplus
}
#endif

#endif
