/* unicode.c - what needs a library to be said of a name in a rule
 * SPDX-License-Identifier: Apache-2.0
 *
 * IDNA and the public suffix list serve whoever writes rules. Who decides by
 * compiled ones is linked with ascii.c instead, and without the libraries.
 */
#include <idn2.h>
#include <libpsl.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/rule.h"

/* Unicode to A-labels (RFC 5891 5, with the mappings of UTS 46). */
bool name_to_a_labels(const char *text, size_t len, char ret[LIMIT_NAME + 1],
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

bool pattern_is_public(const char *pattern)
{
	const psl_ctx_t *psl = psl_builtin();
	bool plain;
	const char *suffix = pattern_literal_suffix(pattern, &plain);

	/* without the list nobody can say that it is not */
	return suffix[0] == '\0' || !psl || psl_is_public_suffix(psl, suffix);
}

bool pattern_is_shared(const char *pattern)
{
	const psl_ctx_t *psl = psl_builtin();
	bool plain;
	const char *suffix = pattern_literal_suffix(pattern, &plain);

	return suffix[0] && psl &&
	       psl_is_public_suffix2(psl, suffix, PSL_TYPE_PRIVATE);
}
