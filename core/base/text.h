/* text.h - text of unknown origin, made fit to be shown
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_BASE_TEXT_H
#define EXEAT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The character at s (RFC 3629; s is terminated), its length in *ret_len. An
 * invalid byte is returned as itself, with *ret_len 0: no overlong form, no
 * surrogate is a character.
 */
uint32_t text_char(const uint8_t *s, size_t *ret_len);

/* Is all of it characters (RFC 3629)? */
bool text_is_utf8(const char *text);

/* Is it invisible, or does it change how the rest of the line is shown:
 * controls, directions, tags? */
bool text_char_hides(uint32_t c);

/*
 * A copy for terminals, of one line: what hides, and bytes that are no UTF-8,
 * come out as \xNN, byte by byte. Whole characters only; what does not fit is
 * cut. Always terminates; returns buf.
 */
const char *text_shown(const char *text, char *buf, size_t size);

#endif
