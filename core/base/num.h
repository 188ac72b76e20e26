/* num.h - numbers, sizes and times from text, one grammar for all of them
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cursor parsers: on success *cursor is advanced past what was read, on
 * failure nothing changes. No sign, no blanks, no locale.
 */
#ifndef EXEAT_BASE_NUM_H
#define EXEAT_BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

bool num_parse_u64(const char **cursor, uint64_t max, uint64_t *ret);
/* A whole string: bytes with K, M, G, T (powers of 1024), either case. */
bool num_size(const char *text, uint64_t *ret_bytes);
/* The shortest text with K, M or G that num_size() reads back. Returns buf. */
enum { NUM_SIZE_STRLEN = 24 };
const char *num_size_str(uint64_t bytes, char buf[NUM_SIZE_STRLEN]);
/* A whole string: "2", "1.5", "0.125", in thousandths. */
bool num_thousandths(const char *text, uint64_t *ret);
/* A whole string: "90", "1.5", "90s", "5m", "1h", "250ms". */
bool num_duration_ms(const char *text, int64_t *ret_ms);

#endif
