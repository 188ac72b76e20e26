/* sys_child.c - a piece of a test in a process that it may ruin
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/sys_child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"

#define SUCCESS "ok"

struct child {
	int report;
};

_Noreturn void child_fail(struct child *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fd_write_all(c->report, text, strlen(text));
	_exit(1);
}

void in_child(void (*fn)(struct child *c, void *arg), void *arg)
{
	char text[2048];
	int ends[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct child c = { .report = ends[1] };

		fn(&c, arg);
		(void)fd_write_all(c.report, SUCCESS, strlen(SUCCESS));
		_exit(0);
	}
	assert_true(pid > 0);
	fd_close(&ends[1]);
	n = fd_read_all(ends[0], text, sizeof(text) - 1);
	fd_close(&ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(n >= 0);
	text[n] = '\0';
	if (strcmp(text, SUCCESS) != 0)
		fail_msg("in the child: %s", n > 0 ? text : "it ended early");
}

int status_of(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Real root has every id; uid 0 of a small user namespace may have one. */
static bool is_mapped(const char *map, unsigned id)
{
	cleanup_free char *text = NULL;
	unsigned inside, outside, count;
	int used;

	if (fd_read_file(AT_FDCWD, map, 4096, &text, NULL) < 0)
		return false;
	for (const char *p = text;
	     sscanf(p, "%u %u %u%n", &inside, &outside, &count, &used) == 3;
	     p += used)
		if (id >= inside && id - inside < count)
			return true;
	return false;
}

uid_t child_uid(void)
{
	return geteuid() == 0 && is_mapped("/proc/self/uid_map", 65534) ?
		       65534 :
		       geteuid();
}

gid_t child_gid(void)
{
	return geteuid() == 0 && is_mapped("/proc/self/gid_map", 65534) ?
		       65534 :
		       getegid();
}
