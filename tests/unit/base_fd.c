/* base_fd.c - descriptors, files, memfds, the clock
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/fd.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void ownership(void **state)
{
	int fd = open("/dev/null", O_RDONLY), copy = fd;

	(void)state;
	errno = 4711;
	assert_int_equal(fd_steal(&fd), copy);
	assert_int_equal(fd, -1);
	fd_close(&fd); /* nothing to close */
	assert_true(is_open(copy));
	{
		cleanup_fd int local = copy;
		cleanup_free char *memory = malloc(10);
		cleanup_free char *none = NULL;

		assert_true(is_open(local));
		assert_non_null(memory);
		assert_null(none);
	}
	assert_false(is_open(copy));
	errno = 4711;
	fd = copy; /* closed already: errno is kept */
	fd_close(&fd);
	assert_int_equal(errno, 4711);
	assert_int_equal(fd, -1);
}

static void flags(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_nonblock(fds[0], true), 0);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_nonblock(fds[0], false), 0);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	assert_int_equal(fd_nonblock(-1, true), -EBADF);
}

static void transfer(void **state)
{
	char buf[16];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fd_write_all(fds[1], "hello world", 11), 0);
	assert_int_equal(fd_read_all(fds[0], buf, 5), 5);
	assert_memory_equal(buf, "hello", 5);
	fd_close(&fds[1]);
	assert_int_equal(fd_read_all(fds[0], buf, sizeof(buf)), 6);
	assert_int_equal(fd_read_all(fds[0], buf, sizeof(buf)), 0);
	assert_int_equal(fd_write_all(fds[0], "x", 1), -EBADF);
	fd_close(&fds[0]);
	assert_int_equal(fd_read_all(-1, buf, 1), -EBADF);
}

static void files(void **state)
{
	char dir[] = "/tmp/exeat-unit-XXXXXX", *text = NULL, *big;
	cleanup_fd int dirfd = -1;
	size_t len = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fd_read_file(dirfd, "f", 10, &text, &len), -ENOENT);
	assert_null(text);
	assert_int_equal(fd_write_file(dirfd, "f", "0123456789"), 0);
	assert_int_equal(fd_read_file(dirfd, "f", 9, &text, &len), -EFBIG);
	assert_null(text);
	assert_int_equal(fd_read_file(dirfd, "f", 10, &text, &len), 0);
	assert_int_equal(len, 10);
	assert_string_equal(text, "0123456789");
	free(text);
	assert_int_equal(fd_write_file(dirfd, "f", ""), 0);
	assert_int_equal(fd_read_file(dirfd, "f", 0, &text, NULL), 0);
	assert_string_equal(text, "");
	free(text);

	/* several times what is read at first, and exactly such sizes */
	for (size_t size = 4095; size <= 65536; size = size * 2 + size % 2) {
		big = malloc(size + 1);
		memset(big, 'b', size);
		big[size] = '\0';
		assert_int_equal(fd_write_file(dirfd, "f", big), 0);
		assert_int_equal(fd_read_file(dirfd, "f", size, &text, &len),
				 0);
		assert_int_equal(len, size);
		assert_string_equal(text, big);
		free(text);
		assert_int_equal(fd_read_file(dirfd, "f", size - 1, &text,
					      &len),
				 -EFBIG);
		free(big);
	}
	assert_int_equal(unlinkat(dirfd, "f", 0), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(fd_write_file(dirfd, "f", ""), -ENOENT);
	/* a file whose size says nothing */
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/stat", 4096, &text,
				      &len),
			 0);
	assert_true(len > 10);
	free(text);
}

static void memfds(void **state)
{
	cleanup_fd int fd = fd_sealed_memfd("unit", "content", 7);
	struct stat st;
	char *p;

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 3), -1);
	assert_int_equal(ftruncate(fd, 9), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_ptr_equal(mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      0),
			 MAP_FAILED);
	p = mmap(NULL, 7, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_memory_equal(p, "content", 7);
	munmap(p, 7);
}

static void clocks(void **state)
{
	int64_t us = clock_us(), ms = clock_ms();

	(void)state;
	assert_true(us > 0);
	assert_true(ms >= us / 1000 && ms < us / 1000 + 60000);
	assert_true(clock_us() >= us);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ownership), cmocka_unit_test(flags),
		cmocka_unit_test(transfer),  cmocka_unit_test(files),
		cmocka_unit_test(memfds),    cmocka_unit_test(clocks),
	};

	return cmocka_run_group_tests_name("base/fd", tests, NULL, NULL);
}
