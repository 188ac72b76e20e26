/* canonical.c - what needs a library to be said of a name in a rule
 * SPDX-License-Identifier: Apache-2.0
 *
 * IDNA and the public suffix list serve whoever writes rules. Whoever decides
 * by them has them compiled, and is linked without this file's libraries.
 */
#include <idn2.h>
#include <libpsl.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/rule.h"

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return false;
	}
	return true;
}

/* Unicode to A-labels (RFC 5891 5, with the mappings of UTS 46). */
static bool to_a_labels(const char *text, size_t len, char ret[LIMIT_NAME + 1],
			size_t *ret_at, const char **ret_why)
{
	char in[LIMIT_RULE_TEXT];
	uint8_t *out = NULL;
	bool ok = false;
	int rc;

	*ret_at = 0;
	*ret_why = "not a name (IDNA)";
	if (len >= sizeof(in))
		return false;
	memcpy(in, text, len);
	in[len] = '\0';
	rc = idn2_lookup_u8((const uint8_t *)in, &out,
			    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc == IDN2_OK && out)
		ok = name_canonical((const char *)out,
				    strlen((const char *)out), ret);
	else if (rc != IDN2_OK)
		*ret_why = idn2_strerror(rc);
	idn2_free(out);
	return ok;
}

bool pattern_canonical(const char *text, size_t len, char ret[LIMIT_NAME + 1],
		       size_t *ret_at, const char **ret_why)
{
	size_t skip = len > 2 && text[0] == '*' && text[1] == '.' ? 2 : 0;
	char name[LIMIT_NAME + 1];
	size_t n;

	if (is_ascii(text, len)) {
		bool star = memchr(text, '*', len) != NULL;

		return pattern_copy_labels(text, len, star, ret, ret_at,
					   ret_why);
	}
	if (memchr(text + skip, '*', len - skip)) {
		*ret_at = skip;
		*ret_why = "a * inside a label goes with ASCII only: write "
			   "the name in its xn-- form";
		return false;
	}
	if (!to_a_labels(text + skip, len - skip, name, ret_at, ret_why)) {
		*ret_at += skip;
		return false;
	}
	n = strlen(name);
	if (skip + n > LIMIT_NAME) {
		*ret_at = 0;
		*ret_why = "a name has at most 253 characters";
		return false;
	}
	memcpy(ret, text, skip);
	memcpy(ret + skip, name, n + 1);
	return true;
}

bool pattern_is_public(const char *pattern)
{
	const psl_ctx_t *psl = psl_builtin();
	bool plain;
	const char *suffix = pattern_literal_suffix(pattern, &plain);

	/* without the list nobody can say that it is not */
	return suffix[0] == '\0' || !psl || psl_is_public_suffix(psl, suffix);
}
