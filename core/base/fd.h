/* fd.h - descriptors: ownership, cleanup, small I/O
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_BASE_FD_H
#define EXEAT_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define cleanup_fd __attribute__((cleanup(fd_cleanup)))
#define cleanup_free __attribute__((cleanup(free_cleanup)))

/* Close *fd unless it is negative, and set it to -1. Keeps errno. */
void fd_close(int *fd);
void fd_cleanup(int *fd);
void free_cleanup(void *pointer_to_pointer);

/* Give *fd away: returns it and leaves -1. */
int fd_steal(int *fd);

int fd_nonblock(int fd, bool on);		/* 0 or -errno */

/* All of it, or -errno; retries EINTR and short counts. Blocking fds only. */
int fd_write_all(int fd, const void *data, size_t len);
/* Up to size bytes until end of file; returns the count or -errno. */
ssize_t fd_read_all(int fd, void *buf, size_t size);
/*
 * A whole file with a limit: heap, terminated by a NUL that *ret_len does not
 * count. -EFBIG over the limit.
 */
int fd_read_file(int dirfd, const char *path, size_t limit, char **ret,
		 size_t *ret_len);
int fd_write_file(int dirfd, const char *path, const char *text);

/* A sealed memfd (no write, no resize) holding a copy. -errno. */
int fd_sealed_memfd(const char *name, const void *data, size_t len);

/* CLOCK_MONOTONIC in milliseconds and microseconds. */
int64_t clock_ms(void);
int64_t clock_us(void);

#endif
