/* exeat.h - a sandbox whose network is a policy: the public interface
 * SPDX-License-Identifier: Apache-2.0
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
	EXEAT_OK = 0,
	EXEAT_INVALID,	   /* an argument is wrong; object names it */
	EXEAT_POLICY,	   /* refused by a ceiling */
	EXEAT_UNAVAILABLE, /* the machine lacks something; see remedy */
	EXEAT_NOT_FOUND,
	EXEAT_CONFLICT,
	EXEAT_TIMEOUT,
	EXEAT_LIMIT,
	EXEAT_INTERNAL
};

struct exeat_error {
	enum exeat_code code;
	int errnum;	   /* errno behind it, or 0 */
	char step[48];	   /* what was being done */
	char object[192];  /* on what */
	char message[384]; /* the reason */
	char remedy[256];  /* what helps, or "" */
};

/* "invalid", "policy", ... */
EXEAT_API const char *exeat_code_name(enum exeat_code code);
/* One line for people: "STEP OBJECT: MESSAGE (REMEDY)". Returns buf. */
EXEAT_API const char *exeat_error_text(const struct exeat_error *error,
				       char *buf, size_t size);
/* "0.1.0" */
EXEAT_API const char *exeat_version(void);

/* ---- what the policy refused ---- */

/*
 * One refusal or failure, or (session option on_event) any audited event.
 * Strings are never NULL; unknown ones are "".
 */
struct exeat_event {
	uint64_t seq;
	double time;	      /* seconds since the epoch */
	uint64_t run;	      /* run id, 0: not one run's alone */
	const char *layer;    /* dns kernel tcp tls http udp policy lifecycle */
	const char *verdict;  /* allow deny fail */
	const char *protocol; /* tcp udp icmp ... */
	const char *name;     /* and how it was learnt: */
	const char *learnt;   /* dns sni host pin proxy "" */
	const char *address;
	uint16_t port;
	const char *rule; /* the deciding rule */
	const char *reason;
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
	/* Policy files as JSON text (exeat(1), POLICY FILE); NULL: none. */
	const char *network_policy; /* instead of the three above */
	const char *network_ceiling;
	int require_names;	 /* open: refuse flows without a name */
	const char *dns_refusal; /* NULL "nxdomain" | "refused" */
	/* Directory kept and shown at the same path; NULL: a fresh one, removed
	 * at close. */
	const char *host_work_dir;
	const char *const *read_only_paths; /* more of the host */
	const char *const *read_write_paths;
	const char *const *env; /* "K=V", added to the minimal one */
	const char *user;	/* "UID[:GID]", for root; NULL: the owner of
				 * the work dir, else 65534 */
	int work_dir_sockets;	/* unix sockets allowed in the work dir */
	int with_credentials;	/* presets hand in credentials too */
	const char *label;	/* in the audit */
	int audit_fd;		/* JSON lines; borrowed; -1: none */
	/* Called from dispatch for every refusal and failure. */
	void (*on_event)(void *user_data, const struct exeat_event *event);
	void *user_data;
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
	 * What all runs together may use: bytes of memory (swap counts),
	 * processors (1.5: the time of one and a half), processes and threads.
	 * 0: no limit. A cgroup keeps them; where none can be had
	 * EXEAT_UNAVAILABLE says why, unless `limits_best_effort` has its bit:
	 * then limits of each process do. A result's ..._enforced says which.
	 */
	uint64_t memory_bytes;
	double cpus;
	uint64_t pids;
	unsigned limits_best_effort; /* of enum exeat_limit */
	/*
	 * The session's whole time; 0: none. Then every run is ended (TERM,
	 * KILL after 10 s; "session_closed"), and what follows fails with
	 * EXEAT_TIMEOUT. It holds whether or not the caller dispatches.
	 */
	int64_t timeout_ms;
};

/* In best effort memory is the address space of each process (RLIMIT_AS), pids
 * are the run's (RLIMIT_NPROC), cpus is how many processors it begins on. */
enum exeat_limit {
	EXEAT_LIMIT_MEMORY = 1,
	EXEAT_LIMIT_CPUS = 2,
	EXEAT_LIMIT_PIDS = 4
};

#define EXEAT_SESSION_OPTIONS_INIT                                           \
	{                                                                    \
		.size = sizeof(struct exeat_session_options), .audit_fd = -1 \
	}

/*
 * Open a session and wait until it can run. EXEAT_INVALID: an option;
 * EXEAT_UNAVAILABLE: the kernel or machine cannot (remedy says what helps);
 * EXEAT_LIMIT: descriptors, namespaces. On success *ret is the caller's,
 * until exeat_session_close().
 */
EXEAT_API int exeat_session_open(const struct exeat_session_options *options,
				 struct exeat_session **ret,
				 struct exeat_error *error);
/*
 * Begin opening and return at once; runs may be started already, they wait. A
 * failure shows in every later call.
 */
EXEAT_API int exeat_session_begin(const struct exeat_session_options *options,
				  struct exeat_session **ret,
				  struct exeat_error *error);
/*
 * Kill everything in it, remove what is temporary, free it and its runs.
 * Mustn't: from one of its callbacks.
 */
EXEAT_API void exeat_session_close(struct exeat_session *session);

/* Readable when exeat_session_dispatch() has something to do. Borrowed. */
EXEAT_API int exeat_session_fd(const struct exeat_session *session);
/*
 * Do what is due; wait for something at most timeout_ms (0: not at all, -1:
 * for ever). Returns 0, or the session's fatal error.
 */
EXEAT_API int exeat_session_dispatch(struct exeat_session *session,
				     int timeout_ms, struct exeat_error *error);

EXEAT_API const char *exeat_session_id(const struct exeat_session *session);
EXEAT_API const char *
exeat_session_work_dir(const struct exeat_session *session);
/* True if the work dir is fresh and goes at close. */
EXEAT_API int
exeat_session_work_dir_is_fresh(const struct exeat_session *session);
EXEAT_API const char *
exeat_session_backend(const struct exeat_session *session);
/* The session's own posture, as it is in force, as canonical policy JSON.
 * Heap; free(). */
EXEAT_API char *exeat_session_policy(const struct exeat_session *session);
/*
 * Stop every process of every run; returns when all stand still. The runs'
 * times (timeout_ms, idle_timeout_ms) stand still with them, the session's does
 * not. exeat_run_start() resumes. EXEAT_CONFLICT: from a callback;
 * EXEAT_TIMEOUT. SIGKILL ends a stopped run, other signals wait.
 */
EXEAT_API int exeat_session_pause(struct exeat_session *session,
				  struct exeat_error *error);
/* Let them go on (SIGCONT). Not paused: nothing is done. */
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
 * EXEAT_CONFLICT: called from a callback. Dispatches while it waits: callbacks
 * may come, in which no run can be started (EXEAT_CONFLICT).
 */
EXEAT_API int
exeat_session_set_policy(struct exeat_session *session,
			 const struct exeat_policy_options *options,
			 struct exeat_error *error);
/* The file view in force. Heap, NULL-terminated; one free() for each list. */
EXEAT_API int exeat_session_fs_allowlist(const struct exeat_session *session,
					 char ***ret_read_only,
					 char ***ret_read_write);

/* ---- runs ---- */

struct exeat_run;

enum exeat_stdio {
	EXEAT_STDIO_DEFAULT = 0, /* stdin none; stdout and stderr pipes */
	EXEAT_STDIO_NONE,	 /* /dev/null: output is discarded */
	EXEAT_STDIO_PIPE,
	EXEAT_STDIO_INHERIT, /* the caller's own */
	EXEAT_STDIO_FD,	     /* the descriptor given; borrowed, duplicated */
	EXEAT_STDIO_BYTES,   /* stdin: the bytes given, then end of file */
	EXEAT_STDIO_CALLBACK /* output: on_output as it arrives */
};

enum exeat_stream { EXEAT_STDIN = 0, EXEAT_STDOUT = 1, EXEAT_STDERR = 2 };

struct exeat_run_options {
	size_t size;
	/* Exactly one of the three: */
	const char *const *argv; /* without a shell */
	const char *command;	 /* shell string: `shell` -c COMMAND */
	const char *script;	 /* script text for `script_type` */
	const char *shell;	 /* NULL: "/bin/sh" */
	const char *script_type; /* NULL "shell" | "python" */
	/* Posture; NULL: the session's. A list without a mode: allowlist. */
	const char *network_mode;
	const char *const *network_allowlist;
	int private_network; /* a namespace of this run's own */
	enum exeat_stdio stdio[3];
	int stdio_fd[3];	 /* EXEAT_STDIO_FD */
	const void *stdin_bytes; /* EXEAT_STDIO_BYTES */
	size_t stdin_len;
	void (*on_output)(void *user_data, struct exeat_run *run,
			  enum exeat_stream stream, const void *data,
			  size_t len);
	void (*on_exit)(void *user_data, struct exeat_run *run);
	void *user_data;
	const char *const *env; /* "K=V", over the session's */
	const char *cwd;	/* NULL: the work dir; relative: under it */
	int64_t timeout_ms;	/* 0: none */
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
	 * unset. Rows and columns 0: 24 and 80.
	 */
	int pty;
	unsigned short pty_rows, pty_cols;
	/* What this run may use, within what the session may: as there. */
	uint64_t memory_bytes;
	double cpus;
	uint64_t pids;
	unsigned limits_best_effort;
	/* Of each of its processes (setrlimit(2)); 0: as the caller has it. */
	uint64_t file_size_bytes, open_files, core_bytes;
	/* Called from dispatch when a piped stdin takes more, after
	 * exeat_run_write_some() took less than it was given. */
	void (*on_stdin_ready)(void *user_data, struct exeat_run *run);
};

#define EXEAT_RUN_OPTIONS_INIT                           \
	{                                                \
		.size = sizeof(struct exeat_run_options) \
	}

struct exeat_refusal {
	char *layer, *protocol, *name, *address;
	uint16_t port;
	char *rule, *reason;
	char *allow_hint; /* "" if nothing can allow it */
	uint64_t count;
};

struct exeat_result {
	int returncode; /* exit status, or -N for signal N */
	int64_t runtime_ms;
	const char *backend;
	const char *network_mode;
	/* "" | timeout | idle_timeout | killed | signal:SIGNAME | oom |
	 * output_limit | session_closed */
	const char *termination_reason;
	const char *start_error;    /* 126, 127: why the command could not be
					 * executed; else "" */
	int64_t user_us, system_us; /* cpu time */
	int64_t max_rss_kib;
	const struct exeat_refusal *refusals; /* at most 64, merged alike */
	size_t nrefusals;
	uint64_t refused_total; /* all of them */
	/* What the command wrote to its pipes; more than was kept if it was
	 * cut at max_output_bytes. */
	uint64_t stdout_bytes, stderr_bytes;
	int stdout_cut, stderr_cut;
	/* Who keeps the limits: "" (there is none) | cgroup | rlimit |
	 * affinity */
	const char *memory_enforced, *cpus_enforced, *pids_enforced;
	uint64_t memory_peak_bytes; /* of all its processes; 0: not known */
	uint64_t oom_kills;	    /* processes killed for lack of memory */
};

/*
 * Start a command. EXEAT_INVALID: an option (object names it); EXEAT_POLICY:
 * wider than the session's bound (object: the rule); EXEAT_LIMIT. A command
 * that does not exist is no error here: the run ends with 127. On success
 * *ret is the caller's until exeat_run_free().
 */
EXEAT_API int exeat_run_start(struct exeat_session *session,
			      const struct exeat_run_options *options,
			      struct exeat_run **ret,
			      struct exeat_error *error);
/* 1 ended, 0 not within timeout_ms (-1: for ever), negative: the sandbox
 * failed. Output of pipes is kept in memory while waiting. */
EXEAT_API int exeat_run_wait(struct exeat_run *run, int timeout_ms,
			     struct exeat_error *error);
/*
 * Wait until `needed` of n runs have ended, of one session or of several (then
 * all of them are used by this thread). Returns how many have, fewer than
 * `needed` after timeout_ms (-1: for ever); negative: a session's descriptor
 * failed, or every run that is left waits for its output to be read. Which
 * ones: exeat_run_result(); a failed sandbox is an end, exeat_run_wait() says
 * why.
 */
EXEAT_API int exeat_runs_wait(struct exeat_run *const *runs, size_t n,
			      size_t needed, int timeout_ms,
			      struct exeat_error *error);
/* NULL before the end. Borrowed from the run. */
EXEAT_API const struct exeat_result *
exeat_run_result(const struct exeat_run *run);
EXEAT_API uint64_t exeat_run_id(const struct exeat_run *run);

/*
 * What a piped stream has brought: at least one byte, or 0 at its end.
 * -EAGAIN: nothing within timeout_ms.
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
/* Write to a piped stdin; waits until all is taken. -EPIPE: it is closed. */
EXEAT_API int exeat_run_write(struct exeat_run *run, const void *data,
			      size_t len, struct exeat_error *error);
/*
 * The same without waiting, for a caller with a loop of its own: returns how
 * many bytes were taken, at least one; -EAGAIN: none, on_stdin_ready comes
 * when there is room (at most 256 KiB wait for the command to read them).
 */
EXEAT_API ssize_t exeat_run_write_some(struct exeat_run *run, const void *data,
				       size_t len, struct exeat_error *error);
/* The end of its input. A terminal is sent its end-of-file character (^D). */
EXEAT_API void exeat_run_close_stdin(struct exeat_run *run);
/* The window of a run's terminal has another size: its foreground programs
 * get SIGWINCH. EXEAT_INVALID: it has none, or a size is 0. */
EXEAT_API int exeat_run_resize(struct exeat_run *run, unsigned short rows,
			       unsigned short cols, struct exeat_error *error);
/* To the whole process tree. 0 also if it has ended already. */
EXEAT_API int exeat_run_kill(struct exeat_run *run, int signal,
			     struct exeat_error *error);
/* Kill if it lives, forget it. */
EXEAT_API void exeat_run_free(struct exeat_run *run);

/*
 * Run to the end and collect: *ret_out and *ret_err are heap, terminated;
 * free(). Either may be NULL: exeat_run_read() has it then. The run is freed
 * with exeat_run_free().
 */
EXEAT_API int exeat_exec(struct exeat_session *session,
			 const struct exeat_run_options *options,
			 struct exeat_run **ret, char **ret_out,
			 size_t *ret_out_len, char **ret_err,
			 size_t *ret_err_len, struct exeat_error *error);

/*
 * Run Python text and collect what it prints: *ret_out is heap, terminated;
 * free(). `options` (NULL: none) may name everything but the command. Returns
 * 0, or 1 if the text did not end with 0: that is data. What it wrote to
 * stderr and its result are the run's, whose *ret is the caller's, to be freed
 * with exeat_run_free(); NULL: not wanted.
 */
EXEAT_API int exeat_run_code(struct exeat_session *session, const char *code,
			     const struct exeat_run_options *options,
			     struct exeat_run **ret, char **ret_out,
			     size_t *ret_out_len, struct exeat_error *error);
/* exeat_run_start() with a pipe for stdin, for a conversation. */
EXEAT_API int exeat_spawn(struct exeat_session *session,
			  const struct exeat_run_options *options,
			  struct exeat_run **ret, struct exeat_error *error);

/* ---- files of the work dir ---- */

/*
 * Paths are relative to the work dir, or absolute below it; ".." is refused.
 * No symbolic link is followed at any component, so that a payload cannot lead
 * a caller elsewhere: EXEAT_INVALID ("path"). EXEAT_NOT_FOUND: it is not there;
 * EXEAT_CONFLICT: it is of another kind, or a folder is not empty; EXEAT_LIMIT:
 * too long, or no space. Runs may go on meanwhile.
 */

/*
 * Make or replace a file with these bytes; nobody sees half of it. Missing
 * folders are made. `mode`: its permissions, 0 is 0644. It belongs to whom the
 * payload is.
 */
EXEAT_API int exeat_put_bytes(struct exeat_session *session, const char *path,
			      const void *data, size_t len, unsigned mode,
			      struct exeat_error *error);
/*
 * A whole file of at most max_bytes bytes: *ret is heap, terminated by a NUL
 * that *ret_len does not count; free(). EXEAT_LIMIT: it is longer. Root is
 * refused what neither the payload nor everybody may read.
 */
EXEAT_API int exeat_get_bytes(struct exeat_session *session, const char *path,
			      size_t max_bytes, void **ret, size_t *ret_len,
			      struct exeat_error *error);

enum exeat_file_kind {
	EXEAT_FILE_REGULAR,
	EXEAT_FILE_DIRECTORY,
	EXEAT_FILE_SYMLINK,
	EXEAT_FILE_OTHER
};

struct exeat_file {
	const char *name; /* of a list: in its folder; else "" */
	enum exeat_file_kind kind;
	uint64_t size; /* bytes, of a regular file */
	unsigned mode; /* permissions */
	double mtime;  /* last change, seconds since the epoch */
};
/* What is there; of a symbolic link itself. */
EXEAT_API int exeat_stat_file(struct exeat_session *session, const char *path,
			      struct exeat_file *ret,
			      struct exeat_error *error);
/* What a folder has ("": the work dir), by name. *ret: one free(). */
EXEAT_API int exeat_list_files(struct exeat_session *session, const char *path,
			       struct exeat_file **ret, size_t *ret_n,
			       struct exeat_error *error);
/* A file, a link, an empty folder; `recursive`: a folder with all in it. */
EXEAT_API int exeat_remove_file(struct exeat_session *session, const char *path,
				int recursive, struct exeat_error *error);

/* ---- policy as a tool: no session, no privilege, no packet ---- */

struct exeat_policy;

struct exeat_policy_options {
	size_t size;
	const char *network_mode;
	const char *const *network_allowlist;
	const char *const *network_denylist;
	const char *network_policy; /* JSON text instead */
	int require_names;
	const char *const *max_upload; /* as a session's */
	const char *const *max_download;
};
#define EXEAT_POLICY_OPTIONS_INIT                           \
	{                                                   \
		.size = sizeof(struct exeat_policy_options) \
	}

/* Parse and compile. *ret is the caller's. */
EXEAT_API int exeat_policy_new(const struct exeat_policy_options *options,
			       struct exeat_policy **ret,
			       struct exeat_error *error);
EXEAT_API void exeat_policy_free(struct exeat_policy *policy);
/* Canonical JSON, presets expanded. Heap; free(). */
EXEAT_API char *exeat_policy_json(const struct exeat_policy *policy);

struct exeat_policy_answer {
	int allow;
	char rule[512]; /* deciding rule, "" if none */
	char reason[32];
	char text[1024];      /* in words */
	char allow_hint[512]; /* rule that would allow, "" if none can */
};
/*
 * Would it pass? `target`: "NAME", "NAME:PORT", "ADDRESS:PORT", "[V6]:PORT",
 * with "udp/" or "tcp/" before, or a URL. Without a port: 443 for a name.
 */
EXEAT_API int exeat_policy_test(const struct exeat_policy *policy,
				const char *target,
				struct exeat_policy_answer *ret,
				struct exeat_error *error);

struct exeat_policy_warning {
	const char *rule;   /* as the list has it; of a preset, its rule */
	const char *origin; /* "allow", or "@preset" */
	const char *reason;
	const char *advice;
};
/*
 * What opens more than it seems to: hosts of many tenants that no budget
 * bounds, wildcards under which anybody can have a name, wide ranges, all
 * ports. Borrowed for the call. Returns their number, or a negative errno.
 */
EXEAT_API int
exeat_policy_warnings(const struct exeat_policy *policy,
		      void (*each)(void *user_data,
				   const struct exeat_policy_warning *warning),
		      void *user_data, struct exeat_error *error);

struct exeat_preset_info {
	const char *name, *title;
	int deny_only;
	const char *const *rules; /* what it stands for now; NULL-term. */
	const char *const *env;	  /* settings handed in: "K=V" */
	const char *error;	  /* why it cannot be resolved, or NULL */
};
/* All presets (name NULL), or one. Borrowed for the call. */
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
	EXEAT_AUDIT_BROKEN
};

struct exeat_audit_fault {
	uint64_t line;	     /* of the file, from 1 */
	const char *session; /* "": not known */
	enum exeat_audit_state state; /* what it makes of the file */
	const char *reason;
};

struct exeat_audit_session {
	const char *id; /* of the file's making, like all text in it */
	enum exeat_audit_state state;
	uint64_t records;
	uint64_t lost;	  /* events that could not be written, it says */
	uint64_t line;	  /* where its last record stands */
	const char *hash; /* of its last record: 64 digits. Kept elsewhere, it
			   * shows later whether these records are the same */
};

struct exeat_audit_totals {
	enum exeat_audit_state state;
	uint64_t lines, records, sessions, lost, faults;
};

struct exeat_audit_options {
	size_t size;
	int fd; /* read from where it stands to its end; borrowed */
	/* Borrowed for the call; NULL: not told. */
	void (*on_fault)(void *user_data,
			 const struct exeat_audit_fault *fault);
	/* at the end, in the order of their first records */
	void (*on_session)(void *user_data,
			   const struct exeat_audit_session *session);
	void *user_data;
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
	EXEAT_CHECK_OK,
	EXEAT_CHECK_WARN,
	EXEAT_CHECK_MISSING
};

struct exeat_check {
	const char *name; /* "user namespaces" */
	enum exeat_check_state state;
	const char *detail; /* what was found */
	const char *remedy; /* "" if ok */
};
/*
 * Every feature that is needed, each tried in a child that is thrown away;
 * returns the number of missing ones. Mustn't: in a program with threads.
 */
EXEAT_API int exeat_doctor(void (*each)(void *user_data,
					const struct exeat_check *check),
			   void *user_data);

#ifdef __cplusplus
}
#endif

#endif
