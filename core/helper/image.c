/* image.c - a policy image that came as a sealed memfd, mapped
 * SPDX-License-Identifier: Apache-2.0
 *
 * #syscalls fcntl fstat mmap munmap
 */
#include "core/helper/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "policy/policy.h"

enum { IMAGE_SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };

int image_map(int fd, struct image *ret)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *map;
	int r;

	if (seals < 0 || (seals & IMAGE_SEALS) != IMAGE_SEALS)
		return -EBADF;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EINVAL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = (struct image){ .map = map, .len = (size_t)st.st_size };
	r = policy_new(map, ret->len, &ret->policy);
	if (r < 0)
		image_unmap(ret);
	return r;
}

void image_unmap(struct image *i)
{
	policy_free(i->policy);
	if (i->map)
		(void)munmap(i->map, i->len);
	*i = (struct image){ 0 };
}
