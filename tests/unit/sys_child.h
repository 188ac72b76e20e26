/* sys_child.h - a piece of a test in a process that it may ruin
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_SYS_CHILD_H
#define EXEAT_TESTS_SYS_CHILD_H

#include <sys/types.h>

struct child;

/* Say what is wrong, and end. Async-signal-safe enough after a fork. */
_Noreturn void child_fail(struct child *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define CHILD_CHECK(c, condition)                                       \
	do {                                                            \
		if (!(condition))                                       \
			child_fail(c, "%s:%d: %s (errno %m)", __FILE__, \
				   __LINE__, #condition);               \
	} while (0)

/*
 * Call fn in a child; fail the test if it, or what it forked, failed. Its
 * descendants may end in any order (isolate_pid1): it is waited for the last.
 */
void in_child(void (*fn)(struct child *c, void *arg), void *arg);

/* The wait status of fn in a child. */
int status_of(void (*fn)(void *arg), void *arg);

/* The uid that an unprivileged part of a test runs under. */
uid_t child_uid(void);
gid_t child_gid(void);

#endif
