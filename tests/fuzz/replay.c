/* replay.c - run a fuzz target over the files of a corpus
 * SPDX-License-Identifier: Apache-2.0
 *
 * Usage: replay_NAME DIRECTORY
 *
 * Every file is fed whole and cut short at every length up to TRUNCATE_MAX,
 * each time from memory of exactly that size, so that a sanitizer sees a read
 * past the end. A corpus without files is a mistake, not a success.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "tests/fuzz/fuzz.h"

enum {
	FILE_MAX = 16 << 20,
	TRUNCATE_MAX = 2048,
};

static void feed(const char *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, data, len);
	(void)LLVMFuzzerTestOneInput(exact, len); /* 0 by its contract */
	free(exact);
}

static int replay(int dirfd, const char *name)
{
	cleanup_free char *data = NULL;
	size_t len;
	int r = fd_read_file(dirfd, name, FILE_MAX, &data, &len);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", name, strerror(-r));
		return r;
	}
	for (size_t cut = 0; cut < len && cut <= TRUNCATE_MAX; cut++)
		feed(data, cut);
	feed(data, len);
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_fd int dirfd = -1;
	struct dirent *entry;
	unsigned files = 0;
	DIR *dir;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	dirfd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = opendir(argv[1]);
	if (dirfd < 0 || !dir) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay(dirfd, entry->d_name) < 0)
			return 1;
		files++;
	}
	closedir(dir);
	printf("%u files\n", files);
	return files > 0 ? 0 : 1;
}
