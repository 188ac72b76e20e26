/* dialer_hash.h - a keyed hash for tables whose keys come from outside
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_PROXY_DIALER_HASH_H
#define EXEAT_PROXY_DIALER_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Secret, so that nobody can choose names that fall into one bucket. */
struct hash_key {
	uint64_t k[2];
};

/* 0 or -errno of getrandom(2). */
int hash_key_init(struct hash_key *ret);

/* SipHash-1-3. To hash two things, pass the hash of one as `seed`. */
uint64_t hash_bytes(const struct hash_key *key, uint64_t seed, const void *data,
		    size_t len);

#endif
