/* dialer_hash.c - a keyed hash for tables whose keys come from outside
 * SPDX-License-Identifier: Apache-2.0
 *
 * SipHash (Aumasson, Bernstein 2012) with one round a word and three at the
 * end: enough for a table whose key nobody outside can learn.
 *
 * #syscalls getrandom
 */
#include "proxy/dialer_hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int hash_key_init(struct hash_key *ret)
{
	/* this little is never cut short */
	if (getrandom(ret->k, sizeof(ret->k), 0) != (ssize_t)sizeof(ret->k))
		return errno ? -errno : -EIO;
	return 0;
}

static uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void round_once(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	round_once(v);
	v[0] ^= word;
}

uint64_t hash_bytes(const struct hash_key *key, uint64_t seed, const void *data,
		    size_t len)
{
	const uint8_t *p = data;
	uint64_t v[4] = {
		key->k[0] ^ UINT64_C(0x736f6d6570736575),
		key->k[1] ^ UINT64_C(0x646f72616e646f6d),
		key->k[0] ^ UINT64_C(0x6c7967656e657261),
		key->k[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t word, last = (uint64_t)len << 56;

	absorb(v, seed);
	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		absorb(v, word);
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)p[i] << (8 * i);
	absorb(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		round_once(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
