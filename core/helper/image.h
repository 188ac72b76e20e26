/* image.h - a policy image that came as a sealed memfd, mapped
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_HELPER_IMAGE_H
#define EXEAT_CORE_HELPER_IMAGE_H

#include <stddef.h>

struct policy;

struct image {
	void *map;
	size_t len;
	struct policy *policy;
};

/*
 * Map and check. -EBADF: not sealed against change; -EINVAL: not an image;
 * -ENOMEM. The descriptor stays the caller's.
 */
int image_map(int fd, struct image *ret);
void image_unmap(struct image *i);

#endif
