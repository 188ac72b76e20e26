/* api.h - what the tests of the public interface share
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every program here knows the library by its public header alone. Sessions
 * are opened with a helper under a name of the test's own, so that its
 * processes can be told from everybody else's, and with work dirs in a
 * directory of the test's own, so that what is left behind shows.
 */
#ifndef EXEAT_TESTS_API_H
#define EXEAT_TESTS_API_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <exeat.h>

#define SESSION_OPTIONS                                       \
	((struct exeat_session_options){                      \
		.size = sizeof(struct exeat_session_options), \
		.audit_fd = -1,                               \
		.helper_path = api_helper,                    \
	})
#define RUN_OPTIONS \
	((struct exeat_run_options){ .size = sizeof(struct exeat_run_options) })
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The helper, by the test's own name for it. */
extern char api_helper[4096];
/* A directory of the test's own: TMPDIR. */
extern char api_dir[4096];

/* The main() of every program: makes and removes the above. */
int api_main(const char *name, const struct CMUnitTest *tests, size_t n);
#define API_MAIN(name, tests)                                        \
	int main(void)                                               \
	{                                                            \
		return api_main(name, tests,                         \
				sizeof(tests) / sizeof((tests)[0])); \
	}

/* A session with these options (NULL: the plain ones), or the test fails. */
struct exeat_session *api_open(const struct exeat_session_options *options);
struct exeat_run *api_start(struct exeat_session *session,
			    const struct exeat_run_options *options);
/* Wait for the end at most 60 s, or the test fails. */
const struct exeat_result *api_wait(struct exeat_run *run);

/*
 * Run to the end. Standard output as text, until the next call; its exit
 * status must be `status`.
 */
const char *api_exec(struct exeat_session *session,
		     const struct exeat_run_options *options, int status);
/* The same for a shell command. */
const char *api_sh(struct exeat_session *session, const char *command,
		   int status);

/* Fail unless the error has this code and all of the texts ("" is any). */
void api_expect(const struct exeat_error *error, enum exeat_code code,
		const char *text, const char *more);

/* What the program does at a signal: SIG_IGN, SIG_DFL. */
void api_signal(int number, void (*handler)(int number));

/* Live processes of this test's sessions: helpers, and runs not executed yet. */
unsigned api_helpers(void);
/* The helper in that mode, or what is about to fork it; 0: none. */
pid_t api_helper_pid(const char *mode);
/* Live processes with this text in their command line. */
unsigned api_processes(const char *text);
/* The oldest of them; 0: none. */
pid_t api_process(const char *text);
/* Whose child it is, as the caller sees it; 0: nobody's that it sees. */
pid_t api_parent(pid_t pid);
/* Is `question(arg)` zero within so many milliseconds? */
bool api_becomes_zero(unsigned (*question)(const char *arg), const char *arg,
		      int ms);
/* As above, for api_helpers(). */
bool api_helpers_go(int ms);

/* Entries of a directory that do not begin with a dot; 0: none, or no right. */
unsigned api_entries(const char *path);
/* Entries in api_dir below the folder of fresh work dirs. */
unsigned api_work_dirs(void);
/* Open descriptors of this process. */
unsigned api_fds(void);
/* In a process of its own: root of a user namespace of its own, with a file
 * system of 2 MiB on the folder `path`. */
void api_small_disk(const char *path);
int64_t api_ms(void);

/* A directory for sessions to keep, that their payloads may write to. Static,
 * until the next call. */
const char *api_kept_dir(void);
/* The calls for files, one after another: what the first that fails says. */
int api_use_files(struct exeat_session *session, struct exeat_error *error);
/* A run with a lease (fcntl(2)) on a file "f", which it does not give up; false
 * if this work dir has none to give. */
bool api_lease(struct exeat_session *session, struct exeat_run **ret);
/* In a child of its own, which may lose what the others need; a failure there
 * is one here. */
void api_in_a_child(void (*test)(void));

#endif
