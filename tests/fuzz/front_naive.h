/* front_naive.h - what a target was sent, read by another parser
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_FUZZ_FRONT_NAIVE_H
#define EXEAT_FUZZ_FRONT_NAIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEPT = 4096 }; /* bytes of one direction that are looked at */

/* What went one way. */
struct bytes {
	uint8_t data[KEPT];
	size_t len;
	bool cut; /* there was more */
};

void bytes_note(struct bytes *b, const void *data, size_t len);
/* Is the part the beginning of the whole, as far as both are known? */
bool bytes_begin(const struct bytes *whole, const struct bytes *part);
bool bytes_have(const struct bytes *b, const void *part, size_t len);

/* Asserts that the first request of HTTP/1, if it is whole, is for `name`. */
void naive_host(const struct bytes *heard, const char *name);

/*
 * Asserts that it is one request of a proxy's client as its origin has to read
 * it: for `name` alone, nothing of what is between client and proxy. "" for a
 * name: an address. `may_be_cut`: a budget may have ended it.
 */
void naive_request(const struct bytes *heard, const char *name,
		   bool may_be_cut);

#endif
